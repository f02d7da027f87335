//! Backends that come and go at run time.

use super::{Answer, BackendChange, Change, Command, Refusal, Session, Words, find};
use crate::balance::{BalanceSpec, HashMethod};
use crate::model::{AccessLevel, Backend, BackendId, Mode, Model, Template, is_guid};
use crate::stats::View;

pub(super) const ADD: Command = Command {
    path: &["add", "backend"],
    access: AccessLevel::Admin,
    usage: "add backend <bk> from <defaults> [mode <mode>]",
    doc: "a backend without servers, not published yet",
    run: add,
};

pub(super) const DELETE: Command = Command {
    path: &["del", "backend"],
    access: AccessLevel::Admin,
    usage: "del backend <bk>",
    doc: "remove an unpublished backend without servers",
    run: delete,
};

pub(super) const PUBLISH: Command = Command {
    path: &["publish", "backend"],
    access: AccessLevel::Operator,
    usage: "publish backend <bk>",
    doc: "let rules lead to a backend",
    run: |words, view, session| {
        switch(words, view, session, BackendChange::Publish)?;
        Ok("Backend published.\n".to_owned())
    },
};

pub(super) const UNPUBLISH: Command = Command {
    path: &["unpublish", "backend"],
    access: AccessLevel::Operator,
    usage: "unpublish backend <bk>",
    doc: "let no rule lead to a backend any more",
    run: |words, view, session| {
        switch(words, view, session, BackendChange::Unpublish)?;
        Ok("Backend unpublished.\n".to_owned())
    },
};

pub(super) const DEFAULTS: Command = Command {
    path: &["show", "defaults"],
    access: AccessLevel::Operator,
    usage: "show defaults",
    doc: "named defaults sections, for 'add backend'",
    run: |_, view, _| {
        let templates = view.model().templates.iter();
        Ok(templates
            .map(|template| format!("{}\n", template.name))
            .collect())
    },
};

pub(super) const DEFAULT_SERVERS: Command = Command {
    path: &["show", "default-server"],
    access: AccessLevel::Operator,
    usage: "show default-server [<bk>]",
    doc: "default servers, for 'add server'",
    run: |words, view, _| {
        let mut text = String::new();
        for (_, backend) in find::backends(words, view)? {
            let mut mark = "*";
            for preset in &backend.presets {
                text.push_str(mark);
                text.push(' ');
                text.push_str(&backend.name);
                if !preset.name.is_empty() {
                    text.push('/');
                    text.push_str(&preset.name);
                }
                text.push('\n');
                mark = " ";
            }
        }
        Ok(text)
    },
};

/// Longest name of a backend.
const NAME_BYTES_MAX: usize = 255;

const USAGE: &str = "Usage: add backend <name> from <defproxy> [mode <px_mode>] [guid <val>].";

fn add(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let name = words.next().ok_or(USAGE)?;
    let (Some("from"), Some(from)) = (words.next(), words.next()) else {
        return Err(USAGE.into());
    };
    let (mut mode, mut guid) = (None, None);
    while let Some(word) = words.next() {
        match (word, words.next()) {
            ("mode", Some("http")) => mode = Some(Mode::Http),
            ("mode", Some("tcp")) => mode = Some(Mode::Tcp),
            ("mode", Some(_)) => {
                return Err("Dynamic backends are compatible with only TCP or HTTP mode.".into());
            }
            ("guid", Some(text)) if is_guid(text) && !view.model().has_guid(text) => {
                guid = Some(text.to_owned());
            }
            ("guid", Some(_)) => return Err("The guid is invalid, or taken.".into()),
            _ => return Err(USAGE.into()),
        }
    }
    let templates = &view.model().templates;
    let template = templates.iter().find(|template| template.name == from);
    let template =
        template.ok_or_else(|| Refusal(format!("Cannot find default proxy '{from}'.")))?;
    let mode = mode.or_else(|| template.has_mode.then_some(template.backend.mode));
    let mode = mode.ok_or_else(|| {
        Refusal(format!(
            "Mode is required as '{from}' default proxy does not explicitly defines it."
        ))
    })?;
    judge_name(view, name)?;
    let mut model = view.model().clone();
    let backend = made(&model, template, name, mode);
    let note = match static_method(&backend) {
        None => String::new(),
        Some(why) => format!(" (no support for dynamic servers: {why})"),
    };
    model.add_backend(Backend { guid, ..backend });
    session.changes.push(Change::Model(Box::new(model)));
    Ok(format!("New backend registered{note}.\n"))
}

fn judge_name(view: View<'_>, name: &str) -> Result<(), Refusal> {
    let safe = |letter: char| letter.is_ascii_alphanumeric() || ".:-_".contains(letter);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(safe) {
        return Err("Backend name contains invalid characters.".into());
    }
    let mut names = view.backends().map(|(_, backend)| &backend.name);
    match names.any(|known| known == name) {
        true => Err("Already exists a backend with the same name.".into()),
        false => Ok(()),
    }
}

fn made(model: &Model, template: &Template, name: &str, mode: Mode) -> Backend {
    let taken = |number: &u32| {
        let mut fronts = model.frontends.iter().map(|front| front.number);
        let mut backs = model.backends.iter().map(|back| back.number);
        fronts.any(|known| known == *number) || backs.any(|known| known == *number)
    };
    Backend {
        name: name.to_owned(),
        number: (2..).find(|number| !taken(number)).unwrap_or(u32::MAX),
        mode,
        unpublished: true,
        ..template.backend.clone()
    }
}

/// Why servers cannot be added to a backend while it is in use; `None`: they can.
pub(super) fn static_method(backend: &Backend) -> Option<String> {
    let hashes = !matches!(
        backend.balance,
        BalanceSpec::RoundRobin
            | BalanceSpec::StaticRoundRobin
            | BalanceSpec::LeastConnections
            | BalanceSpec::First
            | BalanceSpec::Random { .. }
            | BalanceSpec::PeakEwma
    );
    let fixed = matches!(backend.balance, BalanceSpec::StaticRoundRobin)
        || (hashes && backend.hash.method == HashMethod::MapBased);
    fixed.then(|| {
        format!(
            "backend '{}' uses a non dynamic load balancing method",
            backend.name
        )
    })
}

fn delete(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let name = words.next().ok_or("Usage: del backend <name>.")?;
    let id = removable(name, view)?.map_err(Refusal::from)?;
    let mut model = view.model().clone();
    if model.remove_backend(id).is_err() {
        return Err(REFERENCED.into());
    }
    session.changes.push(Change::Model(Box::new(model)));
    Ok("Backend deleted.\n".to_owned())
}

pub(super) const REFERENCED: &str =
    "This proxy cannot be removed at runtime due to other configuration elements pointing to it.";

/// The backend of that name if nothing keeps it: an outer error does not pass by itself, an inner one may.
pub(super) fn removable(
    name: &str,
    view: View<'_>,
) -> Result<Result<BackendId, &'static str>, Refusal> {
    let id = view.backend_named(name).ok_or("No such backend.")?;
    let (backend, model) = (view.backend(id), view.model());
    if view.frontend_named(&backend.name).is_some() {
        return Err("Cannot delete a listen section.".into());
    }
    if model.tables.iter().any(|table| table.name == backend.name) {
        return Err("Cannot remove a backend with stick-table.".into());
    }
    if model.clone().remove_backend(id).is_err() {
        return Err(REFERENCED.into());
    }
    if view.plane.backend(id).live.is_published() {
        return Err("Backend must be unpublished prior to its deletion.".into());
    }
    if view.servers(backend).next().is_some() {
        return Err("Only a backend without server can be deleted.".into());
    }
    let sessions = view
        .sums
        .backend(id, crate::counters::BackendCounter::SessionsNow);
    Ok(match sessions {
        0 => Ok(id),
        _ => Err("Backend still has attached streams on it."),
    })
}

fn switch(
    words: &mut Words<'_>,
    view: View<'_>,
    session: &mut Session,
    change: BackendChange,
) -> Result<(), Refusal> {
    let id = find::backend(words, view)?;
    if view.backend(id).disabled {
        return Err("No effect on a disabled backend.".into());
    }
    session.changes.push(Change::Backend(id, change));
    Ok(())
}
