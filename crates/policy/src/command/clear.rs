//! `clear counters`.

use super::{Answer, Change, Clear, Command, Session, Words, find};
use crate::model::AccessLevel;
use crate::stats::View;

pub(super) const COUNTERS: Command = Command {
    path: &["clear", "counters"],
    access: AccessLevel::Operator,
    usage: "clear counters [all|server <bk>/<srv> [force]]",
    doc: "begin maxima anew, or all counters, or those of a server",
    run: counters,
};

fn counters(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let (clear, text) = match words.next() {
        Some("all") => (Clear::All, ""),
        Some("server") => {
            let (backend, server) = find::server(words, view)?;
            (Clear::Server(backend, server), "Server counters cleared.\n")
        }
        _ => (Clear::Peaks, ""),
    };
    if clear != Clear::Peaks && session.level < AccessLevel::Admin {
        return Err("Permission denied".into());
    }
    session.changes.push(Change::Clear(clear));
    Ok(text.to_owned())
}
