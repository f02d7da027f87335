//! `show events`.

use super::{Answer, Command, Refusal, Session, Words};
use crate::model::AccessLevel;
use crate::stats::View;

pub(super) const SHOW: Command = Command {
    path: &["show", "events"],
    access: AccessLevel::Operator,
    usage: "show events [<sink>]",
    doc: "the places that events can go to; none of them keeps any",
    run: show,
};

fn show(words: &mut Words<'_>, _: View<'_>, _: &mut Session) -> Answer {
    match words.next() {
        None => Ok("Supported events sinks are listed below. There are no rings, so none keeps events.\n    \
                    stdout     : type=fd, standard output (fd#1)\n    stderr     : type=fd, standard error (fd#2)\n"
            .to_owned()),
        Some("stdout" | "stderr") => Err("Nothing to report for this sink".into()),
        Some(name) => Err(Refusal(format!(
            "No such event sink: there are no rings, '{name}' neither."
        ))),
    }
}
