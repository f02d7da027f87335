//! The check of a server that has no other: it accepts a connection.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::Kind;
use crate::model::check::CheckSpec;

pub(super) const PROBE: Kind = Kind {
    name: "check",
    usage: "",
    doc: "Opens a connection.",
    read,
};

fn read(_: &mut Args<'_>) -> Result<CheckSpec, Diagnostic> {
    Ok(CheckSpec::default())
}
