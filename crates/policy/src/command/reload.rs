//! `reload`.

use super::{Change, Command};
use crate::model::AccessLevel;

/// HAProxy has it on its master's socket, with the same answer.
pub(super) const RELOAD: Command = Command {
    path: &["reload"],
    access: AccessLevel::Admin,
    usage: "reload",
    doc: "read the configuration anew and serve by it",
    run: |_, _, session| {
        session.changes.push(Change::Reload);
        Ok(String::new())
    },
};
