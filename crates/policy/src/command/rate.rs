//! `set rate-limit`.

use super::{Answer, Change, Command, Session, Words};
use crate::model::AccessLevel;
use crate::stats::View;

pub(super) const SET: Command = Command {
    path: &["set", "rate-limit"],
    access: AccessLevel::Admin,
    usage: "set rate-limit connections|sessions global <n>",
    doc: "most new client connections per second; 0: no limit",
    run: set,
};

const KNOWN: &str = "\
'set rate-limit' only supports :
   - 'connections global' to set the per-process maximum connection rate
   - 'sessions global' to set the same: connections and sessions begin together";

fn set(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let (Some("connections" | "sessions"), Some("global")) = (words.next(), words.next()) else {
        return Err(KNOWN.into());
    };
    let word = words.next().ok_or("Expects an integer value.")?;
    let rate: u32 = word.parse().map_err(|_| "Value out of range.")?;
    let mut model = view.model().clone();
    model.global.connection_rate = (rate > 0).then_some(rate);
    session.changes.push(Change::Model(Box::new(model)));
    Ok(String::new())
}
