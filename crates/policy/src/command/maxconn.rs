//! `set maxconn`.

use super::{Answer, Change, Command, FrontendChange, Refusal, ServerChange, Session, Words, find};
use crate::model::AccessLevel;
use crate::stats::View;

pub(super) const FRONTEND: Command = Command {
    path: &["set", "maxconn", "frontend"],
    access: AccessLevel::Admin,
    usage: "set maxconn frontend <frontend> <value>",
    doc: "connections a frontend may have at once",
    run: frontend,
};

pub(super) const GLOBAL: Command = Command {
    path: &["set", "maxconn", "global"],
    access: AccessLevel::Admin,
    usage: "set maxconn global <value>",
    doc: "connections the process may have at once; 0: as at the start",
    run: global,
};

pub(super) const SERVER: Command = Command {
    path: &["set", "maxconn", "server"],
    access: AccessLevel::Admin,
    usage: "set maxconn server <bk>/<srv> <value>",
    doc: "requests a server may serve at once; 0: any number",
    run: server,
};

fn frontend(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let frontend = find::frontend(words, view)?;
    let value = number(words, "Integer value expected.")?;
    let change = FrontendChange::Maxconn(value);
    session.changes.push(Change::Frontend(frontend, change));
    Ok(String::new())
}

fn global(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let value = number(words, "Expects an integer value.")?;
    if value > view.process.connections_max {
        return Err("Value out of range.".into());
    }
    session.changes.push(Change::ProcessMaxconn(value));
    Ok(String::new())
}

fn server(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let (backend, server) = find::server(words, view)?;
    let word = words.next().ok_or("Require <maxconn>.")?;
    let unread = "maxconn string empty or preceded by garbage";
    let value = word.parse().map_err(|_| Refusal(unread.to_owned()))?;
    let change = ServerChange::Maxconn(value);
    session
        .changes
        .push(Change::Server(backend, server, change));
    Ok(String::new())
}

/// The next word as a number. What is no number is refused: HAProxy would take it for 0, which lifts the limit.
fn number(words: &mut Words<'_>, missing: &str) -> Result<u32, Refusal> {
    let word = words.next().ok_or(missing)?;
    word.parse()
        .map_err(|_| Refusal(format!("'{word}' is not a number of connections.")))
}
