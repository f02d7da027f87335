//! `option tcp-check`: whatever the `tcp-check` lines say.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::Kind;
use crate::model::check::{CheckSpec, Flavour};

pub(super) const PROBE: Kind = Kind {
    name: "tcp-check",
    usage: "",
    doc: "Performs the steps of 'tcp-check' lines; without any, opens a connection.",
    read,
};

fn read(_: &mut Args<'_>) -> Result<CheckSpec, Diagnostic> {
    Ok(CheckSpec {
        flavour: Flavour::Script,
        ..CheckSpec::default()
    })
}
