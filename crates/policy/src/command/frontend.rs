//! Commands that open and close frontends.

use super::{Answer, Change, Command, FrontendChange, Session, Words, find};
use crate::model::{AccessLevel, FrontendId};
use crate::plane::FrontendState;
use crate::stats::View;

pub(super) const ENABLE: Command = Command {
    path: &["enable", "frontend"],
    access: AccessLevel::Admin,
    usage: "enable frontend <frontend>",
    doc: "accept connections again",
    run: enable,
};

pub(super) const DISABLE: Command = Command {
    path: &["disable", "frontend"],
    access: AccessLevel::Admin,
    usage: "disable frontend <frontend>",
    doc: "accept no connections for the time being",
    run: disable,
};

pub(super) const SHUTDOWN: Command = Command {
    path: &["shutdown", "frontend"],
    access: AccessLevel::Admin,
    usage: "shutdown frontend <frontend>",
    doc: "give up a frontend's addresses for good",
    run: shutdown,
};

fn enable(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let frontend = find::frontend(words, view)?;
    match state(view, frontend) {
        FrontendState::Stopped => Err("Frontend was previously shut down, cannot enable.".into()),
        FrontendState::Open => {
            Ok(session.severity.notice().to_owned() + "All sockets are already enabled.\n")
        }
        FrontendState::Paused => ask(session, frontend, FrontendChange::Enable),
    }
}

fn disable(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let frontend = find::frontend(words, view)?;
    match state(view, frontend) {
        FrontendState::Stopped => Err("Frontend was previously shut down, cannot disable.".into()),
        FrontendState::Paused => {
            Ok(session.severity.notice().to_owned() + "All sockets are already disabled.\n")
        }
        FrontendState::Open => ask(session, frontend, FrontendChange::Disable),
    }
}

fn shutdown(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let frontend = find::frontend(words, view)?;
    match state(view, frontend) {
        FrontendState::Stopped => Err("Frontend was already shut down.".into()),
        _ => ask(session, frontend, FrontendChange::Stop),
    }
}

/// A frontend that the configuration disables never had its addresses.
fn state(view: View<'_>, frontend: FrontendId) -> FrontendState {
    if view.frontend(frontend).disabled {
        FrontendState::Stopped
    } else {
        view.plane.frontend(frontend).state()
    }
}

fn ask(session: &mut Session, frontend: FrontendId, change: FrontendChange) -> Answer {
    session.changes.push(Change::Frontend(frontend, change));
    Ok(String::new())
}
