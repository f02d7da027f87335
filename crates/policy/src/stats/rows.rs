//! What stands in each row.
//!
//! A cell that nobody can fill is left out, not set to 0: counts of idle connections, for instance, are known to
//! workers alone.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;

use super::{Column, Meter, Row, RowKind, Speed, Tags, Value, View};
use crate::balance::BalanceSpec;
use crate::counters::{BackendCounter, FrontendCounter, ServerCounter};
use crate::health::{Condition, Health, Tally, Which};
use crate::live::{RAMP_FULL, ServerState};
use crate::model::{BackendId, FrontendId, Mode, Server, ServerAddress, ServerId, ServerPort};
use crate::plane::FrontendState;

/// Which rows are wanted, and how much may be shown in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// A proxy's number; `None`: all.
    pub proxy: Option<u32>,
    /// Bits of [`RowKind::bit`]; 0: all.
    pub kinds: i64,
    /// A server's number; `None`: all.
    pub service: Option<u32>,
    /// Proxies of these names only; empty: all (`stats scope`).
    pub names: Vec<String>,
    /// Proxies whose names contain this (`scope=` on the page).
    pub name_part: Option<String>,
    /// Addresses, cookies and algorithms are shown.
    pub legends: bool,
    /// Servers that are down are left out (`up`).
    pub without_down: bool,
    /// Servers in maintenance are left out (`no-maint`).
    pub without_maintenance: bool,
}

impl Selection {
    fn wants(&self, kind: RowKind, name: &str, number: u32) -> bool {
        (self.kinds <= 0 || self.kinds & kind.bit() != 0)
            && self.proxy.is_none_or(|wanted| wanted == number)
            && (self.names.is_empty() || self.names.iter().any(|known| known == name))
            && self
                .name_part
                .as_ref()
                .is_none_or(|part| name.contains(part.as_str()))
    }

    fn wants_server(&self, server: &Server, state: ServerState) -> bool {
        let (down, maintenance) = (is_down(state), state.is_maintained());
        self.service.is_none_or(|wanted| wanted == server.number)
            && !(self.without_maintenance && maintenance)
            && !(self.without_down && (down || maintenance))
    }
}

fn is_down(state: ServerState) -> bool {
    state.contains(ServerState::DOWN) || state.contains(ServerState::UNRESOLVED)
}

/// The rows of all proxies in the order of their numbers: for each its frontend, its servers, its backend.
pub fn rows<'a, 's>(
    view: View<'a>,
    selection: &'s Selection,
) -> impl Iterator<Item = Row<'a>> + use<'a, 's> {
    proxies(view).into_iter().flat_map(move |proxy| {
        let frontend = proxy.frontend.filter(|&id| {
            let model = view.frontend(id);
            selection.wants(RowKind::Frontend, &model.name, model.number)
        });
        let wanted = |kind| {
            proxy.backend.filter(move |&id| {
                let model = view.backend(id);
                selection.wants(kind, &model.name, model.number)
            })
        };
        let servers = wanted(RowKind::Server).into_iter().flat_map(move |id| {
            let plane = view.plane.backend(id);
            view.servers(view.backend(id))
                .filter(move |(server, model)| {
                    selection.wants_server(model, plane.server(*server).state())
                })
                .map(move |(server, _)| server_row(view, selection, id, server))
        });
        let backend =
            wanted(RowKind::Backend).filter(|_| selection.service.is_none_or(|id| id == 0));
        frontend
            .filter(|_| selection.service.is_none_or(|id| id == 0))
            .into_iter()
            .map(move |id| frontend_row(view, id))
            .chain(servers)
            .chain(
                backend
                    .into_iter()
                    .map(move |id| backend_row(view, selection, id)),
            )
    })
}

/// A section of the configuration with its halves.
struct Proxy {
    number: u32,
    frontend: Option<FrontendId>,
    backend: Option<BackendId>,
}

fn proxies(view: View<'_>) -> Vec<Proxy> {
    let mut proxies: Vec<Proxy> = view
        .frontends()
        .map(|(id, model)| Proxy {
            number: model.number,
            frontend: Some(id),
            backend: None,
        })
        .collect();
    let with_frontend = proxies.len();
    let mut halves: Vec<(u32, usize)> = (0..with_frontend)
        .map(|index| (proxies[index].number, index))
        .collect();
    halves.sort_unstable();
    for (id, model) in view.backends() {
        let half = halves.binary_search_by_key(&model.number, |&(number, _)| number);
        match half {
            Ok(found) => proxies[halves[found].1].backend = Some(id),
            Err(_) => proxies.push(Proxy {
                number: model.number,
                frontend: None,
                backend: Some(id),
            }),
        }
    }
    proxies.sort_by_key(|proxy| proxy.number);
    proxies
}

fn frontend_row(view: View<'_>, id: FrontendId) -> Row<'_> {
    let (model, live) = (view.frontend(id), view.plane.frontend(id));
    let mut row = Row::new(RowKind::Frontend, model.number, 0);
    identify(&mut row, &model.name, "FRONTEND", model.mode);
    let now = view.sums.connections(id);
    row.number_u32(Column::SessionsNow, Tags::GAUGE, now);
    let count = |counter| view.sums.frontend(id, counter);
    let peak = count(FrontendCounter::SessionsMax).max(u64::from(now));
    row.number_u32(Column::SessionsMax, Tags::MAXIMUM, narrow(peak));
    let limit = live
        .maxconn()
        .or(model.maxconn)
        .unwrap_or(view.process.connections_max);
    row.number_u32(Column::SessionLimit, Tags::CONFIG_LIMIT, limit);
    let state = match live.state() {
        _ if model.disabled => "STOP",
        FrontendState::Open => "OPEN",
        FrontendState::Paused => "PAUSED",
        FrontendState::Stopped => "STOP",
    };
    row.text(Column::Status, Tags::STATUS, state);
    speeds(&mut row, view.sums.rate(Meter::FrontendSessions(id)));
    row.number_u32(Column::RateLimit, Tags::CONFIG_LIMIT, 0);
    // A connection is a session until TLS or rules come between the two.
    let accepted = view.sums.rate(Meter::FrontendSessions(id));
    put_rate(&mut row, Column::ConnectionRate, accepted.now);
    row.number_u32(Column::ConnectionRateMax, Tags::MAXIMUM, accepted.max);
    let requests = view.sums.rate(Meter::FrontendRequests(id));
    put_rate(&mut row, Column::RequestRate, requests.now);
    row.number_u32(Column::RequestRateMax, Tags::MAXIMUM, requests.max);
    for (column, counter) in FRONTEND_COUNTS {
        if model.mode == Mode::Http || !of_http(*column) {
            row.count(*column, count(*counter));
        }
    }
    row.count(Column::Requests, count(FrontendCounter::Requests));
    let other = match model.mode {
        Mode::Http => 0,
        Mode::Tcp => count(FrontendCounter::Sessions),
    };
    row.put(Column::OtherSessions, Tags::COUNTER, Value::U64(other));
    let h2 = count(FrontendCounter::H2Requests);
    let h1 = count(FrontendCounter::Requests).saturating_sub(h2);
    row.count(Column::H1Requests, h1);
    row.put(Column::H1Streams, Tags::COUNTER, Value::U64(h1));
    row.count(Column::H2Requests, h2);
    row.put(Column::H2Streams, Tags::COUNTER, Value::U64(h2));
    for column in [
        Column::H3Sessions,
        Column::OtherRequests,
        Column::H3Requests,
    ] {
        row.count(column, 0);
    }
    for (column, counter) in FRONTEND_MODULE_COUNTS {
        row.put(*column, Tags::COUNTER, Value::U64(count(*counter)));
    }
    unfiltered(&mut row, model.mode);
    row.sorted()
}

/// What HAProxy's modules count. What of it is not counted here is left out.
const FRONTEND_MODULE_COUNTS: &[(Column, FrontendCounter)] = &[
    (Column::H2Connections, FrontendCounter::H2Sessions),
    (Column::TlsHandshakes, FrontendCounter::TlsHandshakes),
    (Column::TlsResumed, FrontendCounter::TlsResumed),
    (Column::TlsFailures, FrontendCounter::TlsFailures),
    (Column::H1Connections, FrontendCounter::H1Sessions),
    (Column::H1SplicedIn, FrontendCounter::SplicedIn),
    (Column::H1SplicedOut, FrontendCounter::SplicedOut),
];

pub(super) const FRONTEND_COUNTS: &[(Column, FrontendCounter)] = &[
    (Column::H1Sessions, FrontendCounter::H1Sessions),
    (Column::H2Sessions, FrontendCounter::H2Sessions),
    (Column::Sessions, FrontendCounter::Sessions),
    (Column::BytesIn, FrontendCounter::BytesIn),
    (Column::BytesOut, FrontendCounter::BytesOut),
    (Column::DeniedRequests, FrontendCounter::DeniedRequests),
    (Column::DeniedResponses, FrontendCounter::DeniedResponses),
    (Column::RequestErrors, FrontendCounter::RequestErrors),
    (Column::Responses1xx, FrontendCounter::Responses1xx),
    (Column::Responses2xx, FrontendCounter::Responses2xx),
    (Column::Responses3xx, FrontendCounter::Responses3xx),
    (Column::Responses4xx, FrontendCounter::Responses4xx),
    (Column::Responses5xx, FrontendCounter::Responses5xx),
    (Column::ResponsesOther, FrontendCounter::ResponsesOther),
    (Column::Connections, FrontendCounter::Connections),
    (Column::Intercepted, FrontendCounter::Intercepted),
    (
        Column::DeniedConnections,
        FrontendCounter::DeniedConnections,
    ),
    (Column::DeniedSessions, FrontendCounter::DeniedSessions),
    (Column::FailedRewrites, FrontendCounter::FailedRewrites),
    (Column::InternalErrors, FrontendCounter::InternalErrors),
    (Column::RequestBytesIn, FrontendCounter::BytesIn),
    (Column::ResponseBytesOut, FrontendCounter::BytesOut),
];

fn of_http(column: Column) -> bool {
    matches!(
        column,
        Column::Responses1xx
            | Column::Responses2xx
            | Column::Responses3xx
            | Column::Responses4xx
            | Column::Responses5xx
            | Column::ResponsesOther
            | Column::Intercepted
            | Column::Requests
    )
}

fn server_row<'a>(
    view: View<'a>,
    selection: &Selection,
    backend: BackendId,
    id: ServerId,
) -> Row<'a> {
    let (owner, model) = (view.backend(backend), view.server(backend, id));
    let live = view.plane.backend(backend).server(id);
    let mut row = Row::new(RowKind::Server, owner.number, model.number);
    row.server = Some((backend, id));
    identify(&mut row, &owner.name, &model.name, owner.mode);
    let count = |counter| view.sums.server(backend, id, counter);
    let now = live.current.load(Relaxed);
    let peak = count(ServerCounter::SessionsMax).max(u64::from(now));
    let waiting = live.queued.load(Relaxed);
    let waiting_peak = count(ServerCounter::QueueMax).max(u64::from(waiting));
    row.number_u32(Column::QueueNow, Tags::GAUGE, waiting);
    row.number_u32(Column::QueueMax, Tags::MAXIMUM, narrow(waiting_peak));
    row.number_u32(Column::SessionsNow, Tags::GAUGE, now);
    row.number_u32(Column::SessionsMax, Tags::MAXIMUM, narrow(peak));
    if live.maxconn() > 0 {
        row.number_u32(Column::SessionLimit, Tags::CONFIG_LIMIT, live.maxconn());
    }
    condition(&mut row, view, (backend, id));
    let weight = live.weight() * live.share_sixteenths() / RAMP_FULL;
    row.number_u32(Column::Weight, Tags::AVERAGE, weight);
    row.number_u32(Column::UserWeight, Tags::AVERAGE, live.weight());
    if live.share_sixteenths() < RAMP_FULL {
        let percent = live.share_sixteenths() * 100 / RAMP_FULL;
        row.number_u32(Column::Throttle, Tags::AVERAGE, percent);
    }
    row.number_u32(Column::Active, Tags::STATUS, u32::from(!model.backup));
    row.number_u32(Column::Backup, Tags::STATUS, u32::from(model.backup));
    let changed_s = narrow(view.seconds_since(live.changed_s()));
    row.number_u32(Column::LastChange, Tags::AGE_KEPT, changed_s);
    if live.maxqueue() > 0 {
        row.number_u32(Column::QueueLimit, Tags::CONFIG, live.maxqueue());
    }
    row.number_u32(Column::ServerRevision, Tags::COUNTER, 0);
    speeds(&mut row, view.sums.rate(Meter::ServerSessions(backend, id)));
    if let Some(most) = model.pool_max {
        row.number_u32(Column::IdleLimit, Tags::CONFIG_LIMIT, most);
    }
    last_session(&mut row, view, count(ServerCounter::LastSession));
    for (column, counter) in SERVER_COUNTS {
        if owner.mode == Mode::Http || !of_http(*column) {
            row.count(*column, count(*counter));
        }
    }
    for (column, tags, counter) in SERVER_TIMES {
        row.number_u32(*column, *tags, narrow(count(*counter)));
    }
    if selection.legends {
        let address = live.moved_to().unwrap_or_else(|| model.address.clone());
        if let Some(text) = address_text(&address) {
            row.text(Column::Address, Tags::CONFIG, text);
        }
        if let Some(cookie) = &model.cookie {
            row.text(Column::Cookie, Tags::CONFIG_NAME, cookie);
        }
    }
    row.sorted()
}

/// Whether a server is in service, and what its checks or the server that it tracks say of that.
fn condition(row: &mut Row<'_>, view: View<'_>, (backend, id): (BackendId, ServerId)) {
    let model = view.server(backend, id);
    let live = view.plane.backend(backend).server(id);
    let health = view.sums.health(backend, id);
    row.text(Column::Status, Tags::STATUS, status(view, backend, id));
    if let Some(health) = &health {
        let probing = live.probing();
        let paused = (probing.check_paused, probing.agent_paused);
        healthy(row, health, paused, view.seconds_since(live.changed_s()));
        if is_observed(view, (backend, id)) {
            row.count(Column::AnalysisFailed, health.sums().traffic_failed);
        }
    }
    if let Some(leader) = model.check.track {
        row.text(Column::Tracked, Tags::CONFIG_NAME, named(view, leader));
    }
}

pub(super) const SERVER_COUNTS: &[(Column, ServerCounter)] = &[
    (Column::Sessions, ServerCounter::Sessions),
    (Column::BytesIn, ServerCounter::BytesIn),
    (Column::BytesOut, ServerCounter::BytesOut),
    (Column::DeniedResponses, ServerCounter::DeniedResponses),
    (Column::ConnectionErrors, ServerCounter::ConnectionErrors),
    (Column::ResponseErrors, ServerCounter::ResponseErrors),
    (Column::Retries, ServerCounter::Retries),
    (Column::Redispatches, ServerCounter::Redispatches),
    (Column::Balanced, ServerCounter::Balanced),
    (Column::Responses1xx, ServerCounter::Responses1xx),
    (Column::Responses2xx, ServerCounter::Responses2xx),
    (Column::Responses3xx, ServerCounter::Responses3xx),
    (Column::Responses4xx, ServerCounter::Responses4xx),
    (Column::Responses5xx, ServerCounter::Responses5xx),
    (Column::ResponsesOther, ServerCounter::ResponsesOther),
    (Column::Requests, ServerCounter::Requests),
    (Column::ClientAborts, ServerCounter::ClientAborts),
    (Column::ServerAborts, ServerCounter::ServerAborts),
    (Column::FailedRewrites, ServerCounter::FailedRewrites),
    (
        Column::ConnectionAttempts,
        ServerCounter::ConnectionAttempts,
    ),
    (Column::ConnectionReuses, ServerCounter::ConnectionReuses),
    (Column::InternalErrors, ServerCounter::InternalErrors),
    (Column::RequestBytesOut, ServerCounter::BytesIn),
    (Column::ResponseBytesIn, ServerCounter::BytesOut),
];

const SERVER_TIMES: &[(Column, Tags, ServerCounter)] = &[
    (Column::QueueTime, Tags::AVERAGE, ServerCounter::QueueTime),
    (
        Column::ConnectTime,
        Tags::AVERAGE,
        ServerCounter::ConnectTime,
    ),
    (
        Column::ResponseTime,
        Tags::AVERAGE,
        ServerCounter::ResponseTime,
    ),
    (Column::TotalTime, Tags::AVERAGE, ServerCounter::TotalTime),
    (
        Column::QueueTimeMax,
        Tags::MAXIMUM,
        ServerCounter::QueueTimeMax,
    ),
    (
        Column::ConnectTimeMax,
        Tags::MAXIMUM,
        ServerCounter::ConnectTimeMax,
    ),
    (
        Column::ResponseTimeMax,
        Tags::MAXIMUM,
        ServerCounter::ResponseTimeMax,
    ),
    (
        Column::TotalTimeMax,
        Tags::MAXIMUM,
        ServerCounter::TotalTimeMax,
    ),
];

/// Servers in a row whose states follow each other, beyond which nobody looks.
const TRACKS_MAX: usize = 64;

/// Where the outcome of a check stands: status, code, duration, its meaning, what was said, rise, fall, count.
type CheckColumns = [Column; 8];

const CHECK_COLUMNS: CheckColumns = [
    Column::CheckStatus,
    Column::CheckCode,
    Column::CheckDuration,
    Column::CheckText,
    Column::LastCheck,
    Column::CheckRise,
    Column::CheckFall,
    Column::CheckHealth,
];

const AGENT_COLUMNS: CheckColumns = [
    Column::AgentStatus,
    Column::AgentCode,
    Column::AgentDuration,
    Column::AgentText,
    Column::LastAgent,
    Column::AgentRise,
    Column::AgentFall,
    Column::AgentHealth,
];

/// What its checks say of a server, unless an operator has switched checks or agent off, and what has happened to its
/// health; `age_s`: since when its state is what it is.
fn healthy(row: &mut Row<'_>, health: &Health, (check_off, agent_off): (bool, bool), age_s: u64) {
    if !health.is_paused() && !check_off {
        checked(row, health, Which::Check, CHECK_COLUMNS);
    }
    if !health.is_paused() && !agent_off {
        checked(row, health, Which::Agent, AGENT_COLUMNS);
    }
    let sums = health.sums();
    let now_s = match health.condition() {
        Condition::Down => age_s,
        Condition::Up | Condition::Stopping => 0,
    };
    if health.tally(Which::Check).is_some() {
        row.count(Column::ChecksFailed, sums.checks_failed);
        row.count(Column::TimesDown, sums.times_down);
    }
    let down_s = narrow(sums.down_ms / 1_000 + now_s);
    row.number_u32(Column::Downtime, Tags::COUNTER, down_s);
}

/// Whether the traffic of a server, or of the one whose state it shares, is watched (`observe`).
fn is_observed(view: View<'_>, server: (BackendId, ServerId)) -> bool {
    let (backend, id) = tracked(view, server);
    view.server(backend, id).check.observe.is_some()
}

fn checked(row: &mut Row<'_>, health: &Health, which: Which, columns: CheckColumns) {
    let Some(tally) = health.tally(which) else {
        return;
    };
    let [status, code, duration, meaning, said, rise, fall, count] = columns;
    let last = tally.last();
    row.text(status, Tags::OUTPUT, last.status.name());
    if last.status.has_code() {
        row.number_u32(code, Tags::OUTPUT, last.code);
    }
    if let Some(duration_ms) = last.duration_ms {
        row.put(duration, Tags::DURATION, Value::U64(duration_ms));
    }
    row.text(meaning, Tags::OUTPUT, last.status.words());
    let info = String::from_utf8_lossy(&last.info).into_owned();
    row.text(said, Tags::OUTPUT, info);
    row.number_u32(rise, Tags::CONFIG, tally.rise());
    row.number_u32(fall, Tags::CONFIG, tally.fall());
    row.number_u32(count, Tags::CONFIG, tally.count());
}

/// States in which a server that is well is left alone for a while.
const OUT_FOR_NOW: [ServerState; 2] = [ServerState::SUSPENDED, ServerState::EJECTED];

/// The words of the `status` column; while checks are unsure, with their count. Whoever tracks another server shows what
/// the checks at the end of that row of servers say.
pub fn status(view: View<'_>, backend: BackendId, id: ServerId) -> String {
    let live = |(backend, id): (BackendId, ServerId)| view.plane.backend(backend).server(id);
    let state = live((backend, id)).state();
    let track = view.server(backend, id).check.track;
    if state.contains(ServerState::UNRESOLVED) {
        return "MAINT (resolution)".to_owned();
    }
    if state.is_maintained() {
        let leader = track.filter(|_| state.contains(ServerState::INHERITED_MAINTENANCE));
        return leader.map_or_else(
            || "MAINT".to_owned(),
            |leader| format!("MAINT (via {})", named(view, leader)),
        );
    }
    let checked = tracked(view, (backend, id));
    let health = view.sums.health(checked.0, checked.1);
    let probing = live(checked).probing();
    let tally = |which, paused: bool| health.as_ref()?.tally(which).filter(|_| !paused);
    let check = tally(Which::Check, probing.check_paused);
    let agent = tally(Which::Agent, probing.agent_paused);
    let is_down = live(checked).state().contains(ServerState::DOWN);
    let count = |tally: &Tally| match is_down {
        true => format!("{}/{}", tally.count(), tally.rise()),
        false => {
            let above = (tally.count() + 1).saturating_sub(tally.rise());
            format!("{above}/{}", tally.fall())
        }
    };
    let unsure = check.filter(|check| check.count() < check.rise() + check.fall() - 1);
    if state.contains(ServerState::DOWN) {
        return match (agent, check) {
            (Some(agent), _) if agent.count() == 0 => "DOWN (agent)".to_owned(),
            (_, Some(check)) if check.count() == 0 => "DOWN".to_owned(),
            (agent, check) => {
                let rising = check.or(agent);
                rising.map_or_else(|| "DOWN".to_owned(), |it| format!("DOWN {}", count(it)))
            }
        };
    }
    let word = if state.contains(ServerState::STOPPING) {
        "NOLB"
    } else if state.is_draining() && agent.is_some() {
        return "DRAIN (agent)".to_owned();
    } else if state.is_draining() {
        "DRAIN"
    } else if OUT_FOR_NOW.into_iter().any(|out| state.contains(out)) {
        "NOLB"
    } else if check.is_some() {
        "UP"
    } else {
        "no check"
    };
    unsure.map_or_else(|| word.to_owned(), |it| format!("{word} {}", count(it)))
}

/// The server whose checks say how this one is: itself, or the end of a row of servers that track each other.
fn tracked(view: View<'_>, server: (BackendId, ServerId)) -> (BackendId, ServerId) {
    let leader = |&(backend, id): &(BackendId, ServerId)| view.server(backend, id).check.track;
    let chain = std::iter::successors(Some(server), leader).take(TRACKS_MAX);
    chain.last().unwrap_or(server)
}

/// A server's name with that of its backend.
fn named(view: View<'_>, (backend, id): (BackendId, ServerId)) -> String {
    let (section, server) = (view.backend(backend), view.server(backend, id));
    format!("{}/{}", section.name, server.name)
}

/// An address as it stands in the `addr` column; names that are not resolved have none.
pub fn address_text(address: &ServerAddress) -> Option<String> {
    match address {
        ServerAddress::Inet { ip, port } => {
            let port = match port {
                ServerPort::Fixed(port) => *port,
                ServerPort::Offset(offset) => u16::try_from(*offset).unwrap_or(0),
            };
            Some(SocketAddr::new(*ip, port).to_string())
        }
        ServerAddress::Unix(_) | ServerAddress::Abstract(_) => Some("unix".to_owned()),
        ServerAddress::Unresolved { .. } => None,
    }
}

fn backend_row<'a>(view: View<'a>, selection: &Selection, id: BackendId) -> Row<'a> {
    let (model, usable) = (view.backend(id), view.usable(id));
    let mut row = Row::new(RowKind::Backend, model.number, 0);
    identify(&mut row, &model.name, "BACKEND", model.mode);
    let count = |counter| view.sums.backend(id, counter);
    let queued = view.queued(id);
    let queued_peak = count(BackendCounter::QueueMax).max(u64::from(queued));
    row.number_u32(Column::QueueNow, Tags::GAUGE, queued);
    row.number_u32(Column::QueueMax, Tags::MAXIMUM, narrow(queued_peak));
    let now = narrow(count(BackendCounter::SessionsNow));
    row.number_u32(Column::SessionsNow, Tags::GAUGE, now);
    let peak = narrow(count(BackendCounter::SessionsPeak));
    row.number_u32(Column::SessionsMax, Tags::MAXIMUM, peak);
    let full = model.fullconn.unwrap_or(view.process.connections_max / 10);
    row.number_u32(Column::SessionLimit, Tags::CONFIG_LIMIT, full.max(1));
    let mut servers = view.servers(model);
    let up = usable.weight > 0 || servers.next().is_none();
    let mut status = if up { "UP" } else { "DOWN" }.to_owned();
    if selection.without_down || selection.without_maintenance {
        let (good, known) = (usable.active + usable.backup, in_service(view, id));
        status = format!("{status} ({good}/{known})");
    }
    row.text(Column::Status, Tags::STATUS, status);
    row.number_u32(Column::Weight, Tags::AVERAGE, usable.weight);
    row.number_u32(Column::UserWeight, Tags::AVERAGE, usable.weight);
    row.number_u32(Column::Active, Tags::GAUGE, usable.active);
    row.number_u32(Column::Backup, Tags::GAUGE, usable.backup);
    available(&mut row, view, id);
    let rate = view.sums.rate(Meter::BackendSessions(id));
    put_rate(&mut row, Column::Rate, rate.now);
    row.number_u32(Column::RateMax, Tags::GAUGE, rate.max);
    last_session(&mut row, view, count(BackendCounter::LastSession));
    for (column, counter) in BACKEND_COUNTS {
        if model.mode == Mode::Http || !of_http(*column) {
            row.count(*column, count(*counter));
        }
    }
    for (column, tags, counter) in BACKEND_TIMES {
        row.number_u32(*column, *tags, narrow(count(*counter)));
    }
    for (column, counter) in [
        (Column::H1SplicedIn, BackendCounter::SplicedIn),
        (Column::H1SplicedOut, BackendCounter::SplicedOut),
    ] {
        row.put(column, Tags::COUNTER, Value::U64(count(counter)));
    }
    if selection.legends {
        row.text(Column::Algorithm, Tags::CONFIG, algorithm(&model.balance));
        if let Some(cookie) = &model.cookie {
            row.text(Column::Cookie, Tags::CONFIG_NAME, &*cookie.name);
        }
    }
    for column in [
        Column::AggregatedServerStatus,
        Column::AggregatedServerCheckStatus,
        Column::AggregatedCheckStatus,
    ] {
        row.number_u32(column, Tags::GAUGE, 0);
    }
    unfiltered(&mut row, model.mode);
    row.sorted()
}

pub(super) const BACKEND_COUNTS: &[(Column, BackendCounter)] = &[
    (Column::Sessions, BackendCounter::Sessions),
    (Column::BytesIn, BackendCounter::BytesIn),
    (Column::BytesOut, BackendCounter::BytesOut),
    (Column::DeniedRequests, BackendCounter::DeniedRequests),
    (Column::DeniedResponses, BackendCounter::DeniedResponses),
    (Column::ConnectionErrors, BackendCounter::ConnectionErrors),
    (Column::ResponseErrors, BackendCounter::ResponseErrors),
    (Column::Retries, BackendCounter::Retries),
    (Column::Redispatches, BackendCounter::Redispatches),
    (Column::Balanced, BackendCounter::Balanced),
    (Column::Responses1xx, BackendCounter::Responses1xx),
    (Column::Responses2xx, BackendCounter::Responses2xx),
    (Column::Responses3xx, BackendCounter::Responses3xx),
    (Column::Responses4xx, BackendCounter::Responses4xx),
    (Column::Responses5xx, BackendCounter::Responses5xx),
    (Column::ResponsesOther, BackendCounter::ResponsesOther),
    (Column::Requests, BackendCounter::Requests),
    (Column::ClientAborts, BackendCounter::ClientAborts),
    (Column::ServerAborts, BackendCounter::ServerAborts),
    (Column::FailedRewrites, BackendCounter::FailedRewrites),
    (
        Column::ConnectionAttempts,
        BackendCounter::ConnectionAttempts,
    ),
    (Column::ConnectionReuses, BackendCounter::ConnectionReuses),
    (Column::InternalErrors, BackendCounter::InternalErrors),
    (Column::RequestBytesOut, BackendCounter::BytesIn),
    (Column::ResponseBytesIn, BackendCounter::BytesOut),
];

const BACKEND_TIMES: &[(Column, Tags, BackendCounter)] = &[
    (Column::QueueTime, Tags::AVERAGE, BackendCounter::QueueTime),
    (
        Column::ConnectTime,
        Tags::AVERAGE,
        BackendCounter::ConnectTime,
    ),
    (
        Column::ResponseTime,
        Tags::AVERAGE,
        BackendCounter::ResponseTime,
    ),
    (Column::TotalTime, Tags::AVERAGE, BackendCounter::TotalTime),
    (
        Column::QueueTimeMax,
        Tags::MAXIMUM,
        BackendCounter::QueueTimeMax,
    ),
    (
        Column::ConnectTimeMax,
        Tags::MAXIMUM,
        BackendCounter::ConnectTimeMax,
    ),
    (
        Column::ResponseTimeMax,
        Tags::MAXIMUM,
        BackendCounter::ResponseTimeMax,
    ),
    (
        Column::TotalTimeMax,
        Tags::MAXIMUM,
        BackendCounter::TotalTimeMax,
    ),
];

/// The configuration's word for an algorithm.
pub fn algorithm(spec: &BalanceSpec) -> &'static str {
    match spec {
        BalanceSpec::RoundRobin => "roundrobin",
        BalanceSpec::StaticRoundRobin => "static-rr",
        BalanceSpec::LeastConnections => "leastconn",
        BalanceSpec::First => "first",
        BalanceSpec::Random { .. } => "random",
        BalanceSpec::Source => "source",
        BalanceSpec::Uri { .. } => "uri",
        BalanceSpec::UrlParam { .. } => "url_param",
        BalanceSpec::Header { .. } => "hdr",
        BalanceSpec::Hash { .. } => "hash",
        BalanceSpec::RdpCookie { .. } => "rdp-cookie",
        BalanceSpec::PeakEwma => "peak-ewma",
    }
}

/// How often and how long the backend had no server to offer, and since when it is as it is.
fn available(row: &mut Row<'_>, view: View<'_>, id: BackendId) {
    let seen = &view.plane.backend(id).live.availability;
    let changed_s = view.seconds_since(seen.changed_s());
    row.count(Column::TimesDown, seen.times_down());
    row.number_u32(Column::LastChange, Tags::AGE_KEPT, narrow(changed_s));
    if view.servers(view.backend(id)).next().is_some() {
        let down_s = narrow(seen.down_s(changed_s));
        row.number_u32(Column::Downtime, Tags::COUNTER, down_s);
    }
}

/// Servers that are not in maintenance.
fn in_service(view: View<'_>, id: BackendId) -> usize {
    let plane = view.plane.backend(id);
    view.servers(view.backend(id))
        .filter(|(server, _)| {
            let state = plane.server(*server).state();
            !state.is_maintained()
        })
        .count()
}

/// What all rows begin with.
fn identify<'a>(row: &mut Row<'a>, proxy: &'a str, service: &'a str, mode: Mode) {
    row.text(Column::ProxyName, Tags::KEY_NAME, proxy);
    row.text(Column::ServiceName, Tags::KEY_NAME, service);
    row.number_u32(Column::Process, Tags::KEY, 1);
    row.number_u32(Column::ProxyNumber, Tags::KEY_SERVICE, row.proxy);
    row.number_u32(Column::ServiceNumber, Tags::KEY_SERVICE, row.service);
    row.number_u32(Column::Kind, Tags::CONFIG, row.kind as u32);
    let mode = match mode {
        Mode::Http => "http",
        Mode::Tcp => "tcp",
    };
    row.text(Column::Mode, Tags::CONFIG, mode);
}

fn speeds(row: &mut Row<'_>, speed: Speed) {
    put_rate(row, Column::Rate, speed.now);
    row.number_u32(Column::RateMax, Tags::MAXIMUM, speed.max);
}

fn put_rate(row: &mut Row<'_>, column: Column, per_second: u32) {
    row.number_u32(column, Tags::RATE_KEPT, per_second);
}

fn last_session(row: &mut Row<'_>, view: View<'_>, moment_s: u64) {
    let age_s = match moment_s {
        0 => -1,
        moment_s => i32::try_from(view.seconds_since(moment_s)).unwrap_or(i32::MAX),
    };
    row.put(Column::LastSession, Tags::AGE_KEPT, Value::S32(age_s));
}

/// Nothing is compressed or cached, so these are 0 and not unknown.
fn unfiltered(row: &mut Row<'_>, mode: Mode) {
    for column in [
        Column::CompressedIn,
        Column::CompressedOut,
        Column::CompressionBypassed,
        Column::ResponsesCompressed,
    ] {
        row.count(column, 0);
    }
    if mode == Mode::Http {
        for column in [
            Column::CacheLookups,
            Column::CacheHits,
            Column::CacheHintHits,
        ] {
            row.count(column, 0);
        }
    }
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::{format, testing};
    use super::*;

    fn csv(selection: &Selection) -> Vec<String> {
        let (plane, process) = (testing::plane(), testing::process());
        let view = testing::view(&plane, &process);
        let text = format::stat(rows(view, selection), format::Format::Csv, false);
        text.lines().map(str::to_owned).collect()
    }

    fn field(line: &str, column: Column) -> &str {
        line.split(',').nth(column as usize).expect("a column")
    }

    #[test]
    fn every_line_has_every_column() {
        let lines = csv(&Selection::default());
        let columns = Column::ALL.len() + 1;
        for line in &lines {
            assert_eq!(line.matches(',').count(), columns, "{line}");
        }
        let names: Vec<String> = lines[1..]
            .iter()
            .map(|line| line.split(',').take(2).collect::<Vec<_>>().join("/"))
            .collect();
        assert_eq!(
            names,
            [
                "web/FRONTEND",
                "app/a",
                "app/b",
                "app/c",
                "app/BACKEND",
                "raw/FRONTEND",
                "raw/x",
                "raw/BACKEND"
            ]
        );
    }

    #[test]
    fn values_stand_in_their_columns() {
        let lines = csv(&Selection {
            legends: true,
            ..Selection::default()
        });
        for (line, column, expected) in [
            (1, Column::SessionsNow, "2"),
            (1, Column::SessionLimit, "1000"),
            (1, Column::Status, "OPEN"),
            (1, Column::Rate, "3"),
            (2, Column::Status, "no check"),
            (2, Column::Weight, "50"),
            (2, Column::LastChange, "61"),
            (2, Column::LastSession, "-1"),
            (3, Column::LastSession, "5"),
            (2, Column::Address, "127.0.0.1:8001"),
            (3, Column::SessionLimit, "10"),
            (3, Column::Status, "UP 1/3"),
            (3, Column::CheckStatus, "INI"),
            (3, Column::CheckRise, "2"),
            (2, Column::CheckRise, ""),
            (4, Column::Status, "MAINT"),
            (4, Column::Backup, "1"),
            (5, Column::Status, "UP"),
            (5, Column::Weight, "70"),
            (5, Column::Active, "2"),
            (5, Column::Algorithm, "roundrobin"),
            (7, Column::Responses2xx, ""),
            (7, Column::Mode, "tcp"),
        ] {
            assert_eq!(
                field(&lines[line], column),
                expected,
                "{} in line {line}",
                column.name()
            );
        }
    }

    #[test]
    fn selections_leave_out_what_is_not_wanted() {
        let count = |selection: Selection| csv(&selection).len() - 1;
        let with = Selection::default;
        assert_eq!(
            count(Selection {
                proxy: Some(3),
                ..with()
            }),
            4
        );
        assert_eq!(count(Selection { kinds: 1, ..with() }), 2);
        assert_eq!(count(Selection { kinds: 6, ..with() }), 6);
        assert_eq!(
            count(Selection {
                proxy: Some(3),
                kinds: 4,
                service: Some(2),
                ..with()
            }),
            1
        );
        assert_eq!(
            count(Selection {
                without_maintenance: true,
                ..with()
            }),
            7
        );
        assert_eq!(
            count(Selection {
                names: vec!["raw".into()],
                ..with()
            }),
            3
        );
        assert_eq!(
            count(Selection {
                name_part: Some("a".into()),
                ..with()
            }),
            7
        );
        assert_eq!(
            count(Selection {
                proxy: Some(99),
                ..with()
            }),
            0
        );
    }

    #[test]
    fn a_backend_without_usable_servers_is_down() {
        let (plane, process) = (testing::plane(), testing::process());
        let view = testing::view(&plane, &process);
        let id = view.backend_named("app").expect("it is there");
        for server in 0..2 {
            plane
                .backend(id)
                .server(ServerId(server))
                .mark(ServerState::DOWN);
        }
        let selection = Selection::default();
        let row = rows(view, &selection).find(|row| row.kind == RowKind::Backend);
        let row = row.expect("the first backend is this one");
        assert_eq!(row.value(Column::Status), Some(&Value::Text("DOWN".into())));
        assert_eq!(row.number(Column::Active), 0);
    }
}
