//! Commands that change servers.

use std::net::IpAddr;

use super::{
    Answer, Change, Command, ProbeChange, Refusal, ServerChange, Session, Words, find, weight,
};
use crate::health::Which;
use crate::model::check::SEND_BYTES_MAX;
use crate::model::{AccessLevel, BackendId, ServerAddress, ServerId, ServerPort};
use crate::stats::View;

pub(super) const SET: Command = Command {
    path: &["set", "server"],
    access: AccessLevel::Admin,
    usage: "set server <bk>/<srv> [opts]",
    doc: "change a server's state, weight, health or address",
    run: set,
};

pub(super) const ENABLE: Command = Command {
    path: &["enable", "server"],
    access: AccessLevel::Admin,
    usage: "enable server <bk>/<srv>",
    doc: "as 'set server <bk>/<srv> state ready'",
    run: |words, view, session| shorthand(words, view, session, ServerChange::Ready),
};

pub(super) const DISABLE: Command = Command {
    path: &["disable", "server"],
    access: AccessLevel::Admin,
    usage: "disable server <bk>/<srv>",
    doc: "as 'set server <bk>/<srv> state maint'",
    run: |words, view, session| shorthand(words, view, session, ServerChange::Maintain),
};

pub(super) const ENABLE_HEALTH: Command = Command {
    path: &["enable", "health"],
    access: AccessLevel::Admin,
    usage: "enable health <bk>/<srv>",
    doc: "resume a server's health checks",
    run: |words, view, session| pause(words, view, session, Which::Check, false),
};

pub(super) const DISABLE_HEALTH: Command = Command {
    path: &["disable", "health"],
    access: AccessLevel::Admin,
    usage: "disable health <bk>/<srv>",
    doc: "pause a server's health checks",
    run: |words, view, session| pause(words, view, session, Which::Check, true),
};

pub(super) const ENABLE_AGENT: Command = Command {
    path: &["enable", "agent"],
    access: AccessLevel::Admin,
    usage: "enable agent <bk>/<srv>",
    doc: "resume a server's agent checks",
    run: |words, view, session| pause(words, view, session, Which::Agent, false),
};

pub(super) const DISABLE_AGENT: Command = Command {
    path: &["disable", "agent"],
    access: AccessLevel::Admin,
    usage: "disable agent <bk>/<srv>",
    doc: "pause a server's agent checks",
    run: |words, view, session| pause(words, view, session, Which::Agent, true),
};

const USAGE: &str = "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | \
    check-addr | check-port | fqdn | health | name | ssl | state | weight";

/// Longest name of a server that is renamed, and of a host, in bytes.
const NAME_BYTES_MAX: usize = 255;

fn set(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let (backend, server) = find::server(words, view)?;
    let change = match words.next() {
        Some("state") => match words.next() {
            Some("ready") => ServerChange::Ready,
            Some("drain") => ServerChange::Drain,
            Some("maint") => ServerChange::Maintain,
            _ => {
                return Err(
                    "'set server <srv> state' expects 'ready', 'drain' and 'maint'.".into(),
                );
            }
        },
        Some("health") if view.server(backend, server).check.track.is_some() => {
            return Err("cannot change health on a tracking server.".into());
        }
        Some("health") => match words.next() {
            Some("up") => ServerChange::Up,
            Some("stopping") => ServerChange::Stopping,
            Some("down") => ServerChange::Down,
            _ => {
                return Err(
                    "'set server <srv> health' expects 'up', 'stopping', or 'down'.".into(),
                );
            }
        },
        Some("weight") => {
            ServerChange::Weight(weight::read(words, view.server(backend, server).weight)?)
        }
        Some(word) if word.starts_with("agent") || word.starts_with("check") => {
            return set_probe(word, words, view, session, (backend, server));
        }
        Some("addr") => return set_address(words, view, session, (backend, server)),
        Some("name") => return rename(words, view, session, (backend, server)),
        Some("ssl") => return set_tls(words, view, session, (backend, server)),
        Some("fqdn") => return set_host(words, view, session, (backend, server)),
        _ => return Err(USAGE.into()),
    };
    session
        .changes
        .push(Change::Server(backend, server, change));
    Ok(String::new())
}

fn shorthand(
    words: &mut Words<'_>,
    view: View<'_>,
    session: &mut Session,
    change: ServerChange,
) -> Answer {
    let (backend, server) = find::server(words, view)?;
    session
        .changes
        .push(Change::Server(backend, server, change));
    Ok(String::new())
}

/// `name NAME`.
fn rename(
    words: &mut Words<'_>,
    view: View<'_>,
    session: &mut Session,
    (backend, server): (BackendId, ServerId),
) -> Answer {
    const DONE: &str = "Server name updated.\n";
    let name = words
        .next()
        .ok_or("set server <b>/<s> name requires a new name.")?;
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_:.-".contains(&byte);
    if name.is_empty() || !name.bytes().all(safe) {
        return Err("Server name contains invalid characters.".into());
    }
    if name.len() > NAME_BYTES_MAX {
        return Err("Server name too long.".into());
    }
    let live = view.plane.backend(backend).server(server);
    if !live.state().is_maintained() {
        let help = "set server <b>/<s> state maint";
        let text = format!("Server must be in maintenance mode to be renamed ({help}).");
        return Err(Refusal(text));
    }
    let mut model = view.model().clone();
    if model.rename_server(backend, server, name).is_err() {
        return Err("Cannot rename: server's name is statically referenced (use-server, track, or sample argument).".into());
    }
    if view.server(backend, server).name == name {
        return Ok(DONE.to_owned());
    }
    if view.server_named(backend, name).is_some() {
        return Err("A server with the same name already exists in this backend.".into());
    }
    session.changes.push(Change::Model(Box::new(model)));
    Ok(DONE.to_owned())
}

/// `fqdn NAME`.
fn set_host(
    words: &mut Words<'_>,
    view: View<'_>,
    session: &mut Session,
    (backend, server): (BackendId, ServerId),
) -> Answer {
    let host = words
        .next()
        .ok_or("set server <b>/<s> fqdn requires a FQDN.")?;
    let known = view.server(backend, server);
    let follow = known
        .follows
        .as_deref()
        .ok_or("set server <b>/<s> fqdn failed because no resolution is configured.")?;
    if follow.is_service() {
        return Err("set server <b>/<s> fqdn failed because SRV resolution is configured.".into());
    }
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let news = if follow.host.as_deref() == Some(host) {
        "no need to change the FDQN".to_owned()
    } else if host.len() > NAME_BYTES_MAX || !host.bytes().all(safe) {
        format!("invalid fqdn '{host}'")
    } else {
        let mut model = view.model().clone();
        model.rename_host(backend, server, host);
        session.changes.push(Change::Model(Box::new(model)));
        format!(
            "{}/{} changed its FQDN from {} to {host}",
            view.backend(backend).name,
            known.name,
            follow.host.as_deref().unwrap_or("(null)"),
        )
    };
    let level = session.severity.warning();
    Ok(format!("{level}{news} by 'stats socket command'\n"))
}

/// `ssl on|off`.
fn set_tls(
    words: &mut Words<'_>,
    view: View<'_>,
    session: &mut Session,
    (backend, server): (BackendId, ServerId),
) -> Answer {
    let known = view.server(backend, server);
    if known.dynamic {
        return Err("'set server <srv> ssl' not supported on dynamic servers".into());
    }
    if known.tls.is_none() && known.idle_tls.is_none() {
        return Err(
            "'set server <srv> ssl' cannot be set.  default-server should define ssl settings"
                .into(),
        );
    }
    let on = match words.next() {
        Some("on") => true,
        Some("off") => false,
        _ => return Err("'set server <srv> ssl' expects 'on' or 'off'.".into()),
    };
    let mut model = view.model().clone();
    model.switch_tls(backend, server, on);
    session.changes.push(Change::Model(Box::new(model)));
    Ok("server ssl setting updated.\n".to_owned())
}

/// `addr IP [port PORT]`.
fn set_address(
    words: &mut Words<'_>,
    view: View<'_>,
    session: &mut Session,
    (backend, server): (BackendId, ServerId),
) -> Answer {
    let word = words
        .next()
        .ok_or("set server <b>/<s> addr requires an address and optionally a port.")?;
    let ip: IpAddr = word
        .parse()
        .map_err(|_| Refusal(format!("Invalid addr '{word}'")))?;
    let live = view.plane.backend(backend).server(server);
    let model = view.server(backend, server);
    let before = live.moved_to().unwrap_or_else(|| model.address.clone());
    let (old_ip, old_port) = match before {
        ServerAddress::Inet { ip, port } => (Some(ip), port),
        ServerAddress::Unresolved { port, .. } => (None, port),
        ServerAddress::Unix(_) | ServerAddress::Abstract(_) => {
            return Err("A server on a unix socket cannot be moved.".into());
        }
    };
    let port = match words.next() {
        None => old_port,
        Some("port") => read_port(words.next())?,
        Some(word) => return Err(Refusal(format!("Expected 'port' instead of '{word}'."))),
    };
    let Some(news) = address_news((old_ip, old_port), (ip, port)) else {
        return Ok("nothing changed\n".to_owned());
    };
    let change = ServerChange::Move(ServerAddress::Inet { ip, port });
    session
        .changes
        .push(Change::Server(backend, server, change));
    let level = session.severity.warning();
    Ok(format!("{level}{news} by 'stats socket command'\n"))
}

/// What is said of a server that gets another address or port; `None`: neither is another.
pub fn address_news(
    (old_ip, old_port): (Option<IpAddr>, ServerPort),
    (ip, port): (IpAddr, ServerPort),
) -> Option<String> {
    let mut news = Vec::new();
    if old_ip != Some(ip) {
        let old = old_ip.map_or_else(|| "-".to_owned(), |ip| ip.to_string());
        news.push(format!("IP changed from '{old}' to '{ip}'"));
    }
    if old_port != port {
        let (old, new) = (port_text(old_port), port_text(port));
        news.push(format!("port changed from '{old}' to '{new}'"));
    }
    (!news.is_empty()).then(|| news.join(", "))
}

/// A port, or `+N` or `-N` for one relative to the client's.
fn read_port(word: Option<&str>) -> Result<ServerPort, Refusal> {
    let word = word.ok_or("A port is expected.")?;
    let port = match word.as_bytes().first() {
        Some(b'+' | b'-') => word.parse().ok().map(ServerPort::Offset),
        _ => word.parse().ok().map(ServerPort::Fixed),
    };
    port.ok_or_else(|| Refusal(format!("Invalid port '{word}'")))
}

fn port_text(port: ServerPort) -> String {
    match port {
        ServerPort::Fixed(port) => port.to_string(),
        ServerPort::Offset(offset) => format!("{offset:+}"),
    }
}

/// `agent up|down`, `agent-addr`, `agent-port`, `agent-send`, `check-addr` and `check-port`.
fn set_probe(
    word: &str,
    words: &mut Words<'_>,
    view: View<'_>,
    session: &mut Session,
    (backend, server): (BackendId, ServerId),
) -> Answer {
    let which = match word.starts_with("agent") {
        true => Which::Agent,
        false => Which::Check,
    };
    if !is_checked(view, backend, server, which) {
        return Err(match which {
            Which::Agent => "agent checks are not enabled on this server.".into(),
            Which::Check => "Health checks are not enabled on this server.".into(),
        });
    }
    let mut changes = Vec::new();
    match word {
        "agent" => match words.next() {
            Some("up") => changes.push(ProbeChange::AgentUp(true)),
            Some("down") => changes.push(ProbeChange::AgentUp(false)),
            _ => return Err("'set server <srv> agent' expects 'up' or 'down'.".into()),
        },
        "agent-send" => {
            let text = words.next().unwrap_or_default();
            if text.len() > SEND_BYTES_MAX {
                return Err(Refusal(format!("At most {SEND_BYTES_MAX} bytes are sent.")));
            }
            changes.push(ProbeChange::AgentSend(text.as_bytes().to_vec()));
        }
        "agent-addr" | "check-addr" => {
            let ip = probe_address(word, words.next())?;
            changes.push(match which {
                Which::Agent => ProbeChange::AgentAddress(ip),
                Which::Check => ProbeChange::CheckAddress(ip),
            });
            if words.next() == Some("port") {
                changes.push(probe_port(which, word, words.next())?);
            }
        }
        "agent-port" | "check-port" => changes.push(probe_port(which, word, words.next())?),
        _ => return Err(USAGE.into()),
    }
    let changes = changes.into_iter().map(ServerChange::Probe);
    let changes = changes.map(|change| Change::Server(backend, server, change));
    session.changes.extend(changes);
    Ok(String::new())
}

fn probe_address(word: &str, text: Option<&str>) -> Result<IpAddr, Refusal> {
    let text = text.ok_or_else(|| {
        let need = "requires an address and optionally a port.";
        Refusal(format!("set server <b>/<s> {word} {need}"))
    })?;
    text.parse()
        .map_err(|_| Refusal(format!("Invalid addr '{text}'")))
}

fn probe_port(which: Which, word: &str, text: Option<&str>) -> Result<ProbeChange, Refusal> {
    let text =
        text.ok_or_else(|| Refusal(format!("set server <b>/<s> {word} requires a port.")))?;
    match (text.parse(), which) {
        (Ok(0) | Err(_), _) => Err("provided port is not valid.".into()),
        (Ok(port), Which::Agent) => Ok(ProbeChange::AgentPort(port)),
        (Ok(port), Which::Check) => Ok(ProbeChange::CheckPort(port)),
    }
}

fn is_checked(view: View<'_>, backend: BackendId, server: ServerId, which: Which) -> bool {
    let health = view.sums.health(backend, server);
    health.is_some_and(|health| health.tally(which).is_some())
}

/// Checks that are not configured cannot be resumed, and need not be paused.
fn pause(
    words: &mut Words<'_>,
    view: View<'_>,
    session: &mut Session,
    which: Which,
    paused: bool,
) -> Answer {
    let (backend, server) = find::server(words, view)?;
    if !is_checked(view, backend, server, which) {
        return match (paused, which) {
            (true, _) => Ok(String::new()),
            (false, Which::Agent) => {
                Err("Agent was not configured on this server, cannot enable.".into())
            }
            (false, Which::Check) => {
                Err("Health check was not configured on this server, cannot enable.".into())
            }
        };
    }
    let change = match which {
        Which::Agent => ProbeChange::AgentPaused(paused),
        Which::Check => ProbeChange::CheckPaused(paused),
    };
    let change = Change::Server(backend, server, ServerChange::Probe(change));
    session.changes.push(change);
    Ok(String::new())
}
