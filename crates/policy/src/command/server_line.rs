//! Servers that come and go at run time.

use super::backend::static_method;
use super::{Answer, Change, Command, Refusal, Session, Words, find};
use crate::keyword::haproxy;
use crate::live::ServerState;
use crate::model::{AccessLevel, BackendId, Server, ServerId};
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
    let (mut rest, leader) = take_track(words.all(), view, backend)?;
    if let Some(address) = rest.first_mut() {
        *address = expanded(address, &view.process.environment);
    }
    let store = &view.model().store;
    let mut server = haproxy::dynamic_server(name, &rest, known.mode, store).map_err(Refusal)?;
    if leader.is_some() && (server.check.enabled || server.check.agent.is_some()) {
        return Err("'track' cannot be used together with checks or agents.".into());
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
    Ok("New server registered.\n".to_owned())
}

/// An address with the variables of the environment in it, `$NAME` or `${NAME}`, replaced.
fn expanded(address: &str, environment: &[String]) -> String {
    let value = |name: &str| {
        let mut all = environment.iter();
        all.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    };
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut parts = address.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = match part.strip_prefix('{').and_then(|part| part.split_once('}')) {
            Some(split) => split,
            None => part.split_at(
                part.find(|letter| !is_of_name(letter))
                    .unwrap_or(part.len()),
            ),
        };
        text.push_str(value(name).unwrap_or_default());
        text.push_str(rest);
    }
    text
}

/// A server that another one tracks.
type Leader = (BackendId, ServerId);

/// The words without `track SERVER`, and the server that it names.
fn take_track(
    words: &[String],
    view: View<'_>,
    own: BackendId,
) -> Result<(Vec<String>, Option<Leader>), Refusal> {
    let mut rest = words.to_vec();
    let Some(at) = rest.iter().position(|word| word == "track") else {
        return Ok((rest, None));
    };
    let named = rest.get(at + 1).cloned().unwrap_or_default();
    rest.drain(at..rest.len().min(at + 2));
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
    Ok("Server deleted.\n".to_owned())
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
    if !live.state().contains(ServerState::MAINTENANCE) {
        return Err("Only servers in maintenance mode can be deleted.".into());
    }
    Ok(match live.load() {
        // Idle connections are closed with the server.
        0 => Ok(()),
        _ => Err("Server still has connections attached to it, cannot remove it."),
    })
}
