//! Servers that come and go at run time.

use super::backend::static_method;
use super::{Answer, Change, Command, Refusal, Session, Words, find};
use crate::keyword::haproxy;
use crate::model::{AccessLevel, BackendId, Mode, Server, ServerId};
use crate::stats::View;

pub(super) const ADD: Command = Command {
    path: &["add", "server"],
    access: AccessLevel::Admin,
    usage: "add server <bk>/<srv> <address> [option]*",
    doc: "a server, in maintenance until it is enabled",
    run: add,
};

pub(super) const HELP: Command = Command {
    path: &["add", "server", "help"],
    access: AccessLevel::Admin,
    usage: "add server help",
    doc: "the options of servers that can be added",
    run: |_, _, _| {
        let words = haproxy::server_words();
        Ok(words.map(|word| format!("{word}\n")).collect())
    },
};

pub(super) const DELETE: Command = Command {
    path: &["del", "server"],
    access: AccessLevel::Admin,
    usage: "del server <bk>/<srv>",
    doc: "remove a server that is in maintenance and idle",
    run: delete,
};

/// Most servers of a backend, whether they were configured or added.
const SERVERS_MAX: usize = 200_000;

fn add(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let place = words.next().unwrap_or_default();
    let (backend, name) = place
        .split_once('/')
        .filter(|(_, name)| !name.is_empty())
        .ok_or("Require 'backend/server'.")?;
    let backend = view.backend_named(backend).ok_or("No such backend.")?;
    let known = view.backend(backend);
    if let Some(why) = static_method(known) {
        let text = format!("Backend does not support dynamic servers : {why}.");
        return Err(Refusal(text));
    }
    if known.servers.iter().any(|server| server.name == name) {
        return Err("Already exists a server with the same name in backend.".into());
    }
    if known.servers.len() >= SERVERS_MAX {
        return Err("The backend has as many servers as it may.".into());
    }
    if words.is_empty() {
        return Err("'server' expects <name> and <addr>[:<port>] as arguments.".into());
    }
    let mut words = with_preset(words.all(), view, backend)?;
    words[0] = with_variables(&words[0], &view.model().global.environment);
    let (rest, leader) = take_track(&words, view, backend)?;
    let (rest, checked_by) = take_value(&rest, "healthcheck");
    let speaks_h2 = rest
        .windows(2)
        .any(|pair| pair[0] == "proto" && pair[1] == "h2");
    if speaks_h2 && known.mode == Mode::Tcp {
        return Err("MUX protocol is not usable for server.".into());
    }
    let store = &view.model().store;
    let mut server = haproxy::dynamic_server(name, &rest, known.mode, store).map_err(Refusal)?;
    if let Some(name) = checked_by {
        let mut sections = view.model().healthchecks.iter();
        let section = sections.find(|(known, _)| *known == name);
        let section = section
            .ok_or_else(|| Refusal(format!("No healthcheck section is called '{name}'.")))?;
        server.check.spec = Some(section.1.clone());
    }
    if leader.is_some() && (server.check.enabled || server.check.agent.is_some()) {
        return Err("'track' cannot be used together with checks or agents.".into());
    }
    if server
        .guid
        .as_ref()
        .is_some_and(|guid| view.model().has_guid(guid))
    {
        return Err("Another frontend, backend or server has this guid.".into());
    }
    server.check.track = leader;
    server.dynamic = true;
    let taken = |number: u32| known.servers.iter().any(|known| known.number == number);
    if server.number == 0 {
        server.number = (1..).find(|number| !taken(*number)).unwrap_or(u32::MAX);
    } else if taken(server.number) {
        return Err("Another server of the backend has this id.".into());
    }
    let mut model = view.model().clone();
    model.add_server(backend, server);
    session.changes.push(Change::Model(Box::new(model)));
    Ok(session.severity.advice().to_owned() + "New server registered.\n")
}

/// A server that another one tracks.
type Leader = (BackendId, ServerId);

/// An address with the values of the variables in it (`${NAME}`), as in a file; unknown ones are empty.
fn with_variables(address: &str, environment: &[String]) -> String {
    let mut parts = address.split("${");
    let mut expanded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((name, rest)) = part.split_once('}') else {
            expanded.push_str("${");
            expanded.push_str(part);
            continue;
        };
        let mut known = environment.iter().filter_map(|known| known.split_once('='));
        let value = known.find(|(known, _)| *known == name);
        expanded.push_str(value.map_or("", |(_, value)| value));
        expanded.push_str(rest);
    }
    expanded
}

/// `ADDRESS from …`: the words with the options that are taken over in place of `from`.
fn with_preset(words: &[String], view: View<'_>, own: BackendId) -> Result<Vec<String>, Refusal> {
    let mut all = words.to_vec();
    if all.get(1).is_none_or(|word| word != "from") {
        return Ok(all);
    }
    let origin = all.get(2).cloned().ok_or("from: missing value.")?;
    let backend = |name: &str| match name {
        "" => Ok(own),
        name => view
            .backend_named(name)
            .ok_or_else(|| Refusal(format!("from: unknown backend instance '{name}'."))),
    };
    let (backend, name) = match origin.split_once(':') {
        None if origin == "none" => {
            all.drain(1..3);
            return Ok(all);
        }
        Some(("be", name)) => (backend(name)?, ""),
        Some(("srv", path)) => match path.split_once('/') {
            Some((name, server)) => (backend(name)?, server),
            None => (own, path),
        },
        _ => {
            return Err(Refusal(format!(
                "invalid '{origin}' value for 'from' keyword."
            )));
        }
    };
    let section = view.backend(backend);
    let preset = section.presets.iter().find(|preset| preset.name == name);
    let options = match preset {
        Some(preset) => preset.words.clone(),
        // Without a line of its own a backend's default server has no options.
        None if name.is_empty() => Vec::new(),
        None if view.server_named(backend, name).is_some() => {
            return Err(
                "from: the options of servers are not kept, only those of default servers.".into(),
            );
        }
        None => {
            let of = &section.name;
            let text = format!("from: unknown server '{name}' in backend '{of}'.");
            return Err(Refusal(text));
        }
    };
    all.splice(1..3, options);
    Ok(all)
}

/// The words without one of them and its value, and that value.
fn take_value(words: &[String], name: &str) -> (Vec<String>, Option<String>) {
    let mut rest = words.to_vec();
    let Some(at) = rest.iter().position(|word| word == name) else {
        return (rest, None);
    };
    let value = rest.get(at + 1).cloned().unwrap_or_default();
    rest.drain(at..rest.len().min(at + 2));
    (rest, Some(value))
}

/// The words without `track SERVER`, and the server that it names.
fn take_track(
    words: &[String],
    view: View<'_>,
    own: BackendId,
) -> Result<(Vec<String>, Option<Leader>), Refusal> {
    let (rest, named) = take_value(words, "track");
    let Some(named) = named else {
        return Ok((rest, None));
    };
    let (backend, name) = match named.split_once('/') {
        Some((backend, name)) => (view.backend_named(backend), name),
        None => (Some(own), named.as_str()),
    };
    let leader = backend.and_then(|id| Some((id, view.server_named(id, name)?)));
    let (backend, server) =
        leader.ok_or_else(|| Refusal(format!("unable to find required server '{named}'.")))?;
    let model = view.server(backend, server);
    let full = format!("{}/{}", view.backend(backend).name, model.name);
    let why_not = if model.dynamic {
        "it is a dynamic server"
    } else if !is_checked(model) {
        "it does not have any check nor agent enabled"
    } else {
        return Ok((rest, Some((backend, server))));
    };
    Err(Refusal(format!(
        "unable to use {full} for tracking as {why_not}."
    )))
}

fn is_checked(server: &Server) -> bool {
    let check = &server.check;
    check.enabled || check.agent.is_some() || check.track.is_some()
}

fn delete(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let (backend, server) = find::server(words, view)?;
    removable(view, backend, server)?.map_err(Refusal::from)?;
    let mut model = view.model().clone();
    if model.remove_server(backend, server).is_err() {
        return Err(REFERENCED.into());
    }
    session.changes.push(Change::Model(Box::new(model)));
    Ok(session.severity.advice().to_owned() + "Server deleted.\n")
}

const REFERENCED: &str =
    "This server cannot be removed at runtime due to other configuration elements pointing to it.";

/// Whether nothing keeps the server: an outer error does not pass by itself, an inner one may.
pub(super) fn removable(
    view: View<'_>,
    backend: BackendId,
    server: ServerId,
) -> Result<Result<(), &'static str>, Refusal> {
    if view.model().clone().remove_server(backend, server).is_err() {
        return Err(REFERENCED.into());
    }
    let live = view.plane.backend(backend).server(server);
    if !live.state().is_maintained() {
        return Err("Only servers in maintenance mode can be deleted.".into());
    }
    Ok(match live.load() {
        // Idle connections are closed with the server.
        0 => Ok(()),
        _ => Err("Server still has connections attached to it, cannot remove it."),
    })
}
