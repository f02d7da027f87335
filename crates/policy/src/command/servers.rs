//! `show servers`.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;

use super::{Answer, Command, Refusal, Session, Words};
use crate::counters::ServerCounter;
use crate::live::{RAMP_FULL, ServerLive, ServerState};
use crate::model::{AccessLevel, Backend, BackendId, ServerAddress, ServerPort};
use crate::stats::format::write;
use crate::stats::{View, admin_bits};

pub(super) const STATE: Command = Command {
    path: &["show", "servers", "state"],
    access: AccessLevel::User,
    usage: "show servers state [<backend>]",
    doc: "addresses, states and weights of servers",
    run: state,
};

pub(super) const CONNECTIONS: Command = Command {
    path: &["show", "servers", "conn"],
    access: AccessLevel::User,
    usage: "show servers conn [<backend>]",
    doc: "connections to servers",
    run: connections,
};

/// The version of the format, and its columns: what reads states back counts on both.
const STATE_HEADER: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight \
    srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state \
    srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port \
    srv_check_addr srv_agent_addr srv_agent_port\n";

/// Columns from `srv_check_status` to `srv_f_forced_id` of a server without checks.
const UNCHECKED: &str = "1 0 0 0 0 0 0";

fn state(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let mut text = STATE_HEADER.to_owned();
    for (id, backend) in asked(words, view)? {
        for (server, model) in view.servers(backend) {
            let live = view.plane.backend(id).server(server);
            let address = live.moved_to().unwrap_or_else(|| model.address.clone());
            let (number, name) = (backend.number, &backend.name);
            let place = Place::of(&address);
            write(
                &mut text,
                format_args!(
                    "{number} {name} {} {} {} {} {} {} {} {} {UNCHECKED} {} {} - 0 0 - - 0\n",
                    model.number,
                    model.name,
                    place.ip,
                    operational(live),
                    admin_bits(model, live.state()),
                    live.weight(),
                    model.weight,
                    view.seconds_since(live.changed_s()),
                    place.host,
                    place.port,
                ),
            );
        }
    }
    Ok(text)
}

/// 0 stopped, 1 starting, 2 running, 3 stopping.
fn operational(live: &ServerLive) -> u32 {
    let state = live.state();
    let out = [
        ServerState::DOWN,
        ServerState::MAINTENANCE,
        ServerState::UNRESOLVED,
    ];
    if out.into_iter().any(|reason| state.contains(reason)) {
        0
    } else if state.contains(ServerState::STOPPING) {
        3
    } else if live.ramp_sixteenths() < RAMP_FULL {
        1
    } else {
        2
    }
}

fn connections(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let mut text =
        "# bkname/svname bkid/svid addr port - purge_delay served used_max idle_lim\n".to_owned();
    for (id, backend) in asked(words, view)? {
        for (server, model) in view.servers(backend) {
            let live = view.plane.backend(id).server(server);
            let address = live.moved_to().unwrap_or_else(|| model.address.clone());
            let place = Place::of(&address);
            let idle_limit = model.pool_max.map_or(-1, i64::from);
            write(
                &mut text,
                format_args!(
                    "{}/{} {}/{} {} {} - {} {} {} {idle_limit}\n",
                    backend.name,
                    model.name,
                    backend.number,
                    model.number,
                    place.ip,
                    place.port,
                    model.pool_purge_delay_ms,
                    live.current.load(Relaxed),
                    view.sums.server(id, server, ServerCounter::SessionsMax),
                ),
            );
        }
    }
    Ok(text)
}

/// The backend that the words name, or all.
fn asked<'a>(
    words: &mut Words<'_>,
    view: View<'a>,
) -> Result<Vec<(BackendId, &'a Backend)>, Refusal> {
    match words.next() {
        None => Ok(view.backends().collect()),
        Some(name) => {
            let id = view.backend_named(name).ok_or("Can't find backend.")?;
            Ok(vec![(id, view.backend(id))])
        }
    }
}

/// An address in columns; `-` stands for what there is not.
struct Place<'a> {
    ip: Shown<IpAddr>,
    host: &'a str,
    port: u16,
}

impl<'a> Place<'a> {
    fn of(address: &'a ServerAddress) -> Self {
        let fixed = |port: &ServerPort| match port {
            ServerPort::Fixed(port) => *port,
            ServerPort::Offset(_) => 0,
        };
        match address {
            ServerAddress::Inet { ip, port } => Self {
                ip: Shown(Some(*ip)),
                host: "-",
                port: fixed(port),
            },
            ServerAddress::Unresolved { host, port } => Self {
                ip: Shown(None),
                host,
                port: fixed(port),
            },
            ServerAddress::Unix(_) | ServerAddress::Abstract(_) => Self {
                ip: Shown(None),
                host: "-",
                port: 0,
            },
        }
    }
}

struct Shown<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("-"),
        }
    }
}
