//! `show`: the process and what goes on in it.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use super::{Answer, Command, Session, Words};
use crate::model::AccessLevel;
use crate::stats::format::Format;
use crate::stats::info;
use crate::stats::{self, View};

pub(super) const BACKEND: Command = Command {
    path: &["show", "backend"],
    access: AccessLevel::User,
    usage: "show backend",
    doc: "the names of all backends",
    run: backend,
};

pub(super) const ENVIRONMENT: Command = Command {
    path: &["show", "env"],
    access: AccessLevel::Operator,
    usage: "show env [<name>]",
    doc: "environment variables of the process",
    run: environment,
};

pub(super) const INFO: Command = Command {
    path: &["show", "info"],
    access: AccessLevel::User,
    usage: "show info [desc|json|typed|float]*",
    doc: "facts about the process",
    run: info,
};

/// What HAProxy's master tells of its processes. Here one process is both.
pub(super) const PROCESSES: Command = Command {
    path: &["show", "proc"],
    access: AccessLevel::Operator,
    usage: "show proc",
    doc: "the process, as master and as worker",
    run: processes,
};

pub(super) const STARTUP: Command = Command {
    path: &["show", "startup-logs"],
    access: AccessLevel::Operator,
    usage: "show startup-logs",
    doc: "what was said of the configuration when it was read",
    run: |_, view, _| {
        let remarks = view.process.remarks.lock();
        Ok(remarks.unwrap_or_else(PoisonError::into_inner).clone())
    },
};

pub(super) const VERSION: Command = Command {
    path: &["show", "version"],
    access: AccessLevel::User,
    usage: "show version",
    doc: "the version of this program",
    run: |_, _, _| Ok(format!("{}\n", stats::VERSION)),
};

fn backend(_: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let mut text = "# name\n".to_owned();
    for (_, backend) in view.backends() {
        text.push_str(&backend.name);
        text.push('\n');
    }
    Ok(text)
}

fn environment(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let variables = &view.model().global.environment;
    match words.next() {
        None => Ok(variables
            .iter()
            .map(|variable| format!("{variable}\n"))
            .collect()),
        Some(name) => {
            let is_it =
                |variable: &&String| variable.split_once('=').is_some_and(|(n, _)| n == name);
            let variable = variables.iter().find(is_it);
            let variable = variable.ok_or("Variable not found")?;
            Ok(format!("{variable}\n"))
        }
    }
}

fn info(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let mut wish = info::Wish {
        format: Format::Csv,
        described: false,
        exact: false,
    };
    for word in words.all() {
        match word.as_str() {
            "typed" => wish.format = Format::Typed,
            "json" => wish.format = Format::Json,
            "desc" => wish.described = true,
            "float" => wish.exact = true,
            _ => {}
        }
    }
    Ok(info::info(view, wish))
}

fn processes(_: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let process = view.process;
    let up_s = view.now.wall_ms.saturating_sub(process.started_ms) / 1_000;
    let (days, hours) = (up_s / 86_400, up_s / 3_600 % 24);
    let (minutes, seconds) = (up_s / 60 % 60, up_s % 60);
    let uptime = format!("{days}d{hours:02}h{minutes:02}m{seconds:02}s");
    let reloads = process.reloads.load(Relaxed);
    let row = |kind: &str, reloads: u32| {
        let (id, version) = (process.id, stats::VERSION);
        format!("{id:<15} {kind:<15} {reloads:<15} {uptime:<15} {version}\n")
    };
    let (master, worker) = (row("master", reloads), row("worker", 0));
    Ok(format!(
        "#<PID>          <type>          <reloads>       <uptime>        <version>\n{master}# workers\n{worker}"
    ))
}
