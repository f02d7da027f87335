//! `show servers`.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;

use super::{Answer, Command, Session, Words, find};
use crate::counters::ServerCounter;
use crate::health::{Health, Which};
use crate::live::{RAMP_FULL, ServerLive, ServerState};
use crate::model::{AccessLevel, Server, ServerAddress, ServerPort};
use crate::probe::{Class, Status};
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

/// The columns from `srv_check_status` to `srv_f_forced_id`.
struct Checks {
    health: Option<Health>,
    /// The server is out of service, so that nobody asks it.
    maintained: bool,
    /// It began so.
    disabled: bool,
    /// Its checks, and those of its agent; `disable health` and `disable agent` switch them off.
    switched_on: [bool; 2],
    /// The tally of a server without checks: HAProxy begins it where a `default-server` line is in force.
    unchecked: u32,
    /// Whether the numbers of backend and server are written.
    numbered: [bool; 2],
}

/// Bits of `srv_check_state` and `srv_agent_state`: configured, switched on, paused, an agent.
pub(crate) const CHECK_CONFIGURED: u32 = 2;
pub(crate) const CHECK_ENABLED: u32 = 4;
const CHECK_PAUSED: u32 = 8;
const CHECK_AGENT: u32 = 16;

impl fmt::Display for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let health = self.health.as_ref();
        let paused = match health {
            Some(health) if self.maintained || health.is_paused() => CHECK_PAUSED,
            _ => 0,
        };
        let tally = |which| health.and_then(|health| health.tally(which));
        let [check_on, agent_on] = self.switched_on.map(|on| match on {
            true => CHECK_CONFIGURED | CHECK_ENABLED,
            false => CHECK_CONFIGURED,
        });
        let agent = tally(Which::Agent).map_or(0, |_| agent_on | CHECK_AGENT | paused);
        let [backend, server] = self.numbered.map(u8::from);
        match tally(Which::Check) {
            Some(tally) => {
                let status = tally.last().status;
                let (number, result) = (number_of(status), result_of(status));
                let (count, state) = (tally.count(), check_on | paused);
                write!(
                    f,
                    "{number} {result} {count} {state} {agent} {backend} {server}"
                )
            }
            None => {
                let state = if self.disabled { CHECK_PAUSED } else { 0 };
                let count = self.unchecked;
                write!(f, "1 0 {count} {state} {agent} {backend} {server}")
            }
        }
    }
}

/// The number of a check's outcome in HAProxy's list.
fn number_of(status: Status) -> u32 {
    match status {
        Status::Unknown => 0,
        Status::Initializing => 1,
        Status::Checked => 3,
        Status::Observed => 4,
        Status::SocketError => 5,
        Status::ConnectOk => 6,
        Status::ConnectTimeout => 7,
        Status::ConnectError => 8,
        Status::TlsOk => 9,
        Status::TlsTimeout => 10,
        Status::TlsInvalid => 11,
        Status::ReplyTimeout => 12,
        Status::ReplyInvalid => 13,
        Status::ReplyOk => 15,
        Status::ReplyConditional => 16,
        Status::ReplyWrong => 17,
        Status::ProgramError => 18,
        Status::ProgramTimeout => 19,
        Status::ProgramOk => 20,
    }
}

/// 0 unknown, 1 neutral, 2 failed, 3 passed, 4 passed on a condition.
fn result_of(status: Status) -> u32 {
    match status.class() {
        Class::Unknown => 0,
        Class::Neutral => 1,
        Class::Failed => 2,
        Class::Passed => 3,
        Class::Conditional => 4,
    }
}

fn state(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let mut text = STATE_HEADER.to_owned();
    for (id, backend) in find::backends(words, view)? {
        for (server, model) in view.servers(backend) {
            let live = view.plane.backend(id).server(server);
            let address = live.moved_to().unwrap_or_else(|| model.address.clone());
            let (number, name) = (backend.number, &backend.name);
            let place = Place::of(&address);
            let [host, service] = names(model);
            write(
                &mut text,
                format_args!(
                    "{number} {name} {} {} {} {} {} {} {} {} {} {host} {} {service} {} {}\n",
                    model.number,
                    model.name,
                    place.ip,
                    operational(live),
                    admin_bits(model, live.state()),
                    live.weight(),
                    model.weight,
                    view.seconds_since(live.changed_s()),
                    Checks {
                        health: view.sums.health(id, server),
                        maintained: live.state().is_maintained(),
                        disabled: model.disabled,
                        switched_on: {
                            let probing = live.probing();
                            [!probing.check_paused, !probing.agent_paused]
                        },
                        unchecked: match model.disabled || backend.presets.is_empty() {
                            true => 0,
                            false => model.check.rhythm.rise,
                        },
                        numbered: [backend.has_number, model.has_number],
                    },
                    place.port,
                    uses_tls(model),
                    asked_at(model, live),
                ),
            );
        }
    }
    Ok(text)
}

/// 1 and 0, or -1 where `no-ssl` is written and still holds.
fn uses_tls(model: &Server) -> i8 {
    match model.no_tls {
        true => -1,
        false => i8::from(model.tls.is_some()),
    }
}

/// The columns from `srv_check_port` on: where checks and agents are asked, when that is elsewhere.
fn asked_at(model: &Server, live: &ServerLive) -> String {
    let probing = live.probing();
    let (check, agent) = (&model.check, model.check.agent.as_ref());
    // As in HAProxy 'addr' and 'port' are for agents too, also where none is asked.
    let agent_port = agent.map_or_else(|| check.port.unwrap_or(0), |agent| agent.port);
    format!(
        "{} {} {} {}",
        probing.check_port.or(check.port).unwrap_or(0),
        Shown(probing.check_address.or(check.address)),
        Shown(
            probing
                .agent_address
                .or_else(|| agent.map_or(check.address, |agent| agent.address))
        ),
        probing.agent_port.unwrap_or(agent_port),
    )
}

/// 0 stopped, 1 starting, 2 running, 3 stopping.
fn operational(live: &ServerLive) -> u32 {
    let state = live.state();
    if !state.is_in() || state.contains(ServerState::UNRESOLVED) {
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
    // What is not counted here is no number, so that nobody takes it for one.
    let mut text = "# bkname/svname bkid/svid addr port - purge_delay served used_cur used_max need_est idle_sess \
        unsafe_nb safe_nb idle_lim idle_cur\n"
        .to_owned();
    for (id, backend) in find::backends(words, view)? {
        for (server, model) in view.servers(backend) {
            let live = view.plane.backend(id).server(server);
            let address = live.moved_to().unwrap_or_else(|| model.address.clone());
            let place = Place::of(&address);
            let idle_limit = model.pool_max.map_or(-1, i64::from);
            write(
                &mut text,
                format_args!(
                    "{}/{} {}/{} {} {} - {} {} {} {} - - - - {idle_limit} -\n",
                    backend.name,
                    model.name,
                    backend.number,
                    model.number,
                    place.ip,
                    place.port,
                    model.pool_purge_delay_ms,
                    live.current.load(Relaxed),
                    live.current.load(Relaxed),
                    view.sums.server(id, server, ServerCounter::SessionsMax),
                ),
            );
        }
    }
    Ok(text)
}

/// The name of a server's host, and that of services which its address follows from; `-` stands for none.
fn names(model: &Server) -> [&str; 2] {
    let follow = model.follows.as_ref();
    let followed = follow.and_then(|follow| follow.host.as_deref());
    match follow {
        Some(follow) if follow.is_service() => ["-", followed.unwrap_or("-")],
        _ => [followed.or(model.host.as_deref()).unwrap_or("-"), "-"],
    }
}

/// An address in columns; `-` stands for what there is not.
struct Place {
    ip: Shown<IpAddr>,
    port: u16,
}

impl Place {
    fn of(address: &ServerAddress) -> Self {
        let fixed = |port: &ServerPort| match port {
            ServerPort::Fixed(port) => *port,
            ServerPort::Offset(_) => 0,
        };
        match address {
            ServerAddress::Inet { ip, port } => Self {
                ip: Shown(Some(*ip)),
                port: fixed(port),
            },
            ServerAddress::Unresolved { port, .. } => Self {
                ip: Shown(None),
                port: fixed(port),
            },
            ServerAddress::Unix(_) | ServerAddress::Abstract(_) => Self {
                ip: Shown(None),
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
