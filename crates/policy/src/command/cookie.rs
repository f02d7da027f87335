//! Cookies that are computed from a secret and a server's address (`cookie … dynamic`).

use std::sync::Arc;

use super::{Answer, Change, Command, Session, Words, find};
use crate::cookie::compute;
use crate::model::{AccessLevel, Backend};
use crate::stats::View;

pub(super) const DISABLE: Command = Command {
    path: &["disable", "dynamic-cookie", "backend"],
    access: AccessLevel::Admin,
    usage: "disable dynamic-cookie backend <bk>",
    doc: "take back the cookies that were computed for servers",
    run: |words, view, session| switch(words, view, session, false),
};

pub(super) const ENABLE: Command = Command {
    path: &["enable", "dynamic-cookie", "backend"],
    access: AccessLevel::Admin,
    usage: "enable dynamic-cookie backend <bk>",
    doc: "compute cookies for servers that have none",
    run: |words, view, session| switch(words, view, session, true),
};

pub(super) const KEY: Command = Command {
    path: &["set", "dynamic-cookie-key", "backend"],
    access: AccessLevel::Admin,
    usage: "set dynamic-cookie-key backend <bk> <key>",
    doc: "the secret that computed cookies follow from",
    run: |words, view, session| {
        edit(words, view, session, |words, backend| {
            let key = words.next().ok_or("String value expected.")?;
            backend.cookie_key = Some(key.to_owned());
            Ok(String::new())
        })
    },
};

fn switch(words: &mut Words<'_>, view: View<'_>, session: &mut Session, on: bool) -> Answer {
    edit(words, view, session, |_, backend| {
        let spec = backend.cookie.as_mut();
        let spec = spec.ok_or("This backend has no 'cookie' line.")?;
        Arc::make_mut(spec).dynamic = on;
        Ok(String::new())
    })
}

fn edit(
    words: &mut Words<'_>,
    view: View<'_>,
    session: &mut Session,
    change: impl FnOnce(&mut Words<'_>, &mut Backend) -> Answer,
) -> Answer {
    let id = find::backend(words, view)?;
    let mut model = view.model().clone();
    let backend = &mut model.backends[id.0 as usize];
    let answer = change(words, backend)?;
    compute(backend);
    session.changes.push(Change::Model(Box::new(model)));
    Ok(answer)
}
