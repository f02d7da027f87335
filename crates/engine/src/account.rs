//! What is counted and logged when something ends.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use plimsoll_policy::balance::BalanceSpec;
use plimsoll_policy::context::{Context, ExchangeFacts, Phase};
use plimsoll_policy::counters::{BackendCounter, FrontendCounter, ServerCounter};
use plimsoll_policy::log::{
    self, Endpoint, Load, Moment, Origin, Queued, RequestLine, Termination, Timers, Times,
    elapsed_ms,
};
use plimsoll_policy::model::{BackendId, FrontendId, Mode, ServerId};
use plimsoll_policy::stick_table::Event;
use plimsoll_wire::head::Version;

use crate::dispatch::Dispatch;
use crate::exchange::Record;
use crate::fault::{self, Fault};
use crate::h1::client::Client;
use crate::observe;
use crate::proxy_protocol::Refusal;
use crate::rules::{self, Teller};
use crate::session::Session;
use crate::stream::ClientStream as _;
use crate::tables::Tables;
use crate::tcp::Report;
use crate::tls::handshake::{Failed, Failure};
use crate::worker::{NS_PER_S, Worker};
use crate::{stories, tracking};

pub(crate) fn session_begins(session: &mut Session) {
    session.worker.session_begins();
    let frontend = session.tables.counters.frontend(session.frontend);
    frontend.increment(FrontendCounter::Connections);
    frontend.maximum(
        FrontendCounter::SessionsMax,
        u64::from(session.admission.frontend()),
    );
}

/// A TCP session begins: no rule for connections or sessions has refused it, and headers have told where it comes from.
pub(crate) fn tcp_begins(session: &mut Session) {
    let mode = session.tables.frontend(session.frontend).mode;
    let mut facts = ExchangeFacts::default();
    write(
        session,
        &mut facts,
        Moment::Accept,
        &Line {
            mode,
            ..Line::default()
        },
    );
}

/// No rule for connections or sessions has refused it: it counts, in the frontend and where it is tracked.
pub(crate) fn session_admitted(session: &Session) {
    let frontend = session.tables.counters.frontend(session.frontend);
    frontend.increment(FrontendCounter::Sessions);
    tracking::count_session(session, Event::Session);
}

/// A request is there that no rule for contents has refused. It counts from now on: rules may ask how many there are.
pub(crate) fn request_begins(session: &Session, record: &Record) {
    tracking::count(session, &record.facts, Event::Request);
    let frontend = session.tables.counters.frontend(session.frontend);
    frontend.increment(FrontendCounter::Requests);
    if record.request.head.version == Version::H2 {
        frontend.increment(FrontendCounter::H2Requests);
    }
}

/// It has turned out what the client speaks.
pub(crate) fn protocol_begins(session: &Session, counter: FrontendCounter) {
    let frontend = session.tables.counters.frontend(session.frontend);
    frontend.increment(counter);
}

pub(crate) fn session_ends(session: &Session) {
    if session
        .facts
        .extra
        .as_ref()
        .is_some_and(|extra| extra.tls.is_some() && extra.failure.is_none())
    {
        let frontend = session.tables.counters.frontend(session.frontend);
        frontend.lower(FrontendCounter::TlsSessions);
    }
    session.worker.session_ends();
}

/// A client has not come through its handshake.
pub(crate) fn handshake_failed(session: &mut Session, failed: Failed) {
    let Failed { failure, facts } = failed;
    if matches!(failure, Failure::Validated) {
        return; // it has all it came for
    }
    let tables = Rc::clone(&session.tables);
    let frontend = tables.frontend(session.frontend);
    let counters = tables.counters.frontend(session.frontend);
    if !matches!(failure, Failure::Silent) || !frontend.ignore_empty_connections {
        counters.increment(FrontendCounter::RequestErrors);
        counters.increment(FrontendCounter::TlsFailures);
    }
    let error = failure.error();
    let extra = session.facts.extra();
    (extra.failure, extra.tls) = (Some(error), Some(facts.into()));
    if failure.is_empty() && frontend.ignore_empty_connections {
        return;
    }
    match failure {
        Failure::Refused(cause) => unusable(session, &format!("{} ({cause})", error.text)),
        _ => unusable(session, error.text),
    }
}

/// A request was answered here, before it went to another section.
pub(crate) fn intercepted(session: &Session, backend: Option<BackendId>) {
    let (tables, frontend) = (&session.tables, session.frontend);
    let number = tables.frontend(frontend).number;
    if backend.is_some_and(|id| tables.backend(id).number != number) {
        return;
    }
    let frontend = session.tables.counters.frontend(session.frontend);
    frontend.increment(FrontendCounter::Intercepted);
}

/// A request or TCP session has been directed to a backend.
pub(crate) fn backend_entered(worker: &Worker, tables: &Tables, backend: BackendId) {
    let counters = tables.counters.backend(backend);
    counters.maximum(BackendCounter::LastSession, wall_s(worker));
    counters.raise(BackendCounter::SessionsNow, BackendCounter::SessionsPeak);
    counters.increment(BackendCounter::Sessions);
}

/// A rule has refused a request or a client's first bytes; `backend`: where that counts as well.
pub(crate) fn request_denied(session: &Session, backend: Option<BackendId>) {
    let counters = &session.tables.counters;
    let frontend = counters.frontend(session.frontend);
    frontend.increment(FrontendCounter::DeniedRequests);
    if let Some(backend) = backend {
        let backend = counters.backend(backend);
        backend.increment(BackendCounter::DeniedRequests);
    }
}

/// A rule has refused a response or a server's first bytes.
pub(crate) fn answer_denied(
    session: &Session,
    backend: Option<BackendId>,
    server: Option<ServerId>,
) {
    let place = (session.frontend, backend, server);
    let denied = (
        FrontendCounter::DeniedResponses,
        BackendCounter::DeniedResponses,
        ServerCounter::DeniedResponses,
    );
    count_along(&session.tables, place, denied);
}

/// Counts in the frontend, and as far behind it as something has come.
fn count_along(
    tables: &Tables,
    (frontend, backend, server): (FrontendId, Option<BackendId>, Option<ServerId>),
    (of_frontend, of_backend, of_server): (FrontendCounter, BackendCounter, ServerCounter),
) {
    tables.counters.frontend(frontend).increment(of_frontend);
    let Some(backend) = backend else { return };
    match server {
        Some(server) => count_behind(tables, (backend, server), (of_backend, of_server)),
        None => tables.counters.backend(backend).increment(of_backend),
    }
}

/// Counts in a backend and in its server.
fn count_behind(
    tables: &Tables,
    (backend, server): (BackendId, ServerId),
    (of_backend, of_server): (BackendCounter, ServerCounter),
) {
    tables.counters.backend(backend).increment(of_backend);
    let server = tables.counters.server(backend, server);
    server.increment(of_server);
}

/// The balancing algorithm has chosen a server.
pub(crate) fn server_chosen(tables: &Tables, place: (BackendId, ServerId)) {
    let chosen = (BackendCounter::Balanced, ServerCounter::Balanced);
    count_behind(tables, place, chosen);
}

/// A server has given a slot.
pub(crate) fn server_entered(
    worker: &Worker,
    tables: &Tables,
    (backend, server): (BackendId, ServerId),
    current: u32,
) {
    let counters = tables.counters.server(backend, server);
    counters.increment(ServerCounter::Sessions);
    counters.maximum(ServerCounter::SessionsMax, u64::from(current));
    counters.maximum(ServerCounter::LastSession, wall_s(worker));
}

/// Seconds since 1970, as of this turn.
fn wall_s(worker: &Worker) -> u64 {
    worker.reactor.wall_ns() / NS_PER_S
}

/// A connection to a server has been taken from the pool, or is about to be opened.
pub(crate) fn server_connection(
    tables: &Tables,
    backend: BackendId,
    server: ServerId,
    reused: bool,
) {
    let (of_backend, of_server) = match reused {
        true => (
            BackendCounter::ConnectionReuses,
            ServerCounter::ConnectionReuses,
        ),
        false => (
            BackendCounter::ConnectionAttempts,
            ServerCounter::ConnectionAttempts,
        ),
    };
    tables.counters.backend(backend).increment(of_backend);
    tables.counters.server(backend, server).increment(of_server);
}

/// An attempt with a server has failed; another may follow.
pub(crate) fn attempt_failed(
    tables: &Tables,
    (backend, server): (BackendId, ServerId),
    fault: Fault,
    now_ns: u64,
) {
    if fault.is_servers() && tables.backend(backend).balance == BalanceSpec::PeakEwma {
        let live = tables.plane.backend(backend).server(server);
        live.note_failure(0, now_ns);
    }
    if let Some(observation) = fault.observation() {
        observe::note(tables, (backend, server), observation, now_ns);
    }
}

/// An attempt has failed, and another follows.
pub(crate) fn attempt_follows(tables: &Tables, place: (BackendId, ServerId), fault: Fault) {
    if matches!(
        fault,
        Fault::ConnectRefused | Fault::ConnectTimeout | Fault::HandshakeFailed
    ) {
        return;
    }
    // As HAProxy has it: what follows a failed response is a retry in any case, and one more where the server stays.
    attempt_repeated(tables, place);
    if matches!(
        fault,
        Fault::EmptyResponse | Fault::JunkResponse | Fault::ServerClosed
    ) {
        let failed = (
            BackendCounter::ResponseErrors,
            ServerCounter::ResponseErrors,
        );
        count_behind(tables, place, failed);
    }
}

/// Another attempt with the same server follows.
pub(crate) fn attempt_repeated(tables: &Tables, place: (BackendId, ServerId)) {
    let repeated = (BackendCounter::Retries, ServerCounter::Retries);
    count_behind(tables, place, repeated);
}

/// Another attempt follows, and the server was to be chosen anew: it came from one server and goes `to` another, or to
/// none.
pub(crate) fn attempt_moved(
    tables: &Tables,
    backend: BackendId,
    from: ServerId,
    to: Option<ServerId>,
) {
    if to == Some(from) {
        return attempt_repeated(tables, (backend, from));
    }
    let moved = (BackendCounter::Redispatches, ServerCounter::Redispatches);
    count_behind(tables, (backend, from), moved);
}

/// A request or TCP session has to wait: how many are in its queue now.
pub(crate) fn queued(tables: &Tables, backend: BackendId, server: Option<ServerId>) {
    let (counters, plane) = (&tables.counters, tables.plane.backend(backend));
    match server {
        Some(server) => {
            let waiting = plane.server(server).queued.load(Relaxed);
            let counters = counters.server(backend, server);
            counters.maximum(ServerCounter::QueueMax, u64::from(waiting));
        }
        None => {
            let waiting = plane.live.queued.load(Relaxed);
            let counters = counters.backend(backend);
            counters.maximum(BackendCounter::QueueMax, u64::from(waiting));
        }
    }
}

/// A server has sent the head of a response, which may be an interim one.
pub(crate) fn server_answered(
    tables: &Tables,
    (backend, server): (BackendId, ServerId),
    status: u16,
) {
    let counters = tables.counters.server(backend, server);
    counters.increment(ServerCounter::Requests);
    counters.increment(server_class(status));
}

/// A change of a message that rules asked for did not fit.
pub(crate) fn rewrite_failed(tables: &Tables, context: &Context<'_>) {
    let place = (context.frontend, context.backend, context.server);
    let failed = (
        FrontendCounter::FailedRewrites,
        BackendCounter::FailedRewrites,
        ServerCounter::FailedRewrites,
    );
    count_along(tables, place, failed);
}

/// An HTTP exchange has ended, with whatever tunnel it left behind.
pub(crate) fn exchange(session: &mut Session, record: &mut Record) {
    let now_ns = session.worker.reactor.now_ns();
    let frontend = session.tables.counters.frontend(session.frontend);
    frontend.increment(frontend_class(record.status));
    if record.fault == Some(Fault::RuleFailed) {
        frontend.increment(FrontendCounter::InternalErrors);
    }
    frontend.add(FrontendCounter::BytesIn, record.received_bytes);
    frontend.add(FrontendCounter::BytesOut, record.sent_bytes);
    let (up, down) = record.spliced_bytes;
    if up | down > 0 {
        frontend.add(FrontendCounter::SplicedIn, up);
        frontend.add(FrontendCounter::SplicedOut, down);
    }
    if let Some(dispatch) = &record.dispatch {
        count_backend(session, record, dispatch, now_ns);
    }
    let moment = last_moment(session, record.times.answered_ns > 0, Mode::Http);
    write_exchange(session, moment, record, now_ns);
    stories::exchange_ends(session, record);
}

/// Whether a line is written when the head of a response is there.
pub(crate) fn tells_answers(session: &Session) -> bool {
    writes(session, Moment::Answer, Mode::Http)
}

/// The head of a response is there: `option logasap` writes its line now.
pub(crate) fn exchange_answered(session: &mut Session, record: &mut Record) {
    let now_ns = session.worker.reactor.now_ns();
    write_exchange(session, Moment::Answer, record, now_ns);
}

/// What lines may be about on the way of an exchange: it begins, its request is there, its server is connected.
pub(crate) fn exchange_step(session: &mut Session, record: &mut Record, moment: Moment) {
    // Without `log-steps` the line of a TCP session that has become one of HTTP was its beginning.
    let is_told = moment == Moment::Accept
        && session.requests <= 1
        && !has_steps(session)
        && session.tables.frontend(session.frontend).mode == Mode::Tcp;
    if !is_told {
        let now_ns = session.worker.reactor.now_ns();
        write_exchange(session, moment, record, now_ns);
    }
}

fn write_exchange(session: &mut Session, moment: Moment, record: &mut Record, now_ns: u64) {
    if !writes(session, moment, Mode::Http) {
        return;
    }
    let Record { request, facts, .. } = record;
    facts.is_later = session.requests > 1 || request.head.version >= Version::H2;
    // What rules made of the first line is for servers; the log shows what was received.
    let original = facts.original.take();
    let head = &request.head;
    let whole = head.whole_target();
    let (method, target) = match &original {
        Some(line) => (line.method.as_slice(), line.target.as_slice()),
        None => (head.method(), &*whole),
    };
    let line = RequestLine {
        method,
        target,
        version: head.version.name().as_bytes(),
        bytes_max: session.tables.plane.model.global.tune.log_uri_bytes as usize,
    };
    let mut timers = record.times.timers(now_ns);
    let (mut request, mut status) = (Some(line), (record.status > 0).then_some(record.status));
    match moment {
        // Nobody has looked at the request yet.
        Moment::Accept => (request, status, timers.request_ms) = (None, Some(0), None),
        // Rules may wait for more of it.
        Moment::Request => timers.request_ms = None,
        _ => {}
    }
    let mut termination = fault::termination(record.fault, record.phase);
    (termination.cookie_seen, termination.cookie_set) = (facts.cookie.seen, facts.cookie.set);
    write(
        session,
        facts,
        moment,
        &Line {
            mode: Mode::Http,
            dispatch: record.dispatch.as_ref(),
            server: record.server,
            service: record.service,
            status,
            version: Some(record.version),
            traffic: (record.received_bytes, record.sent_bytes),
            request,
            termination,
            timers,
            server_load: record.server_load,
            server_addresses: record.server_addresses,
            spoke: false,
            malformed: false,
        },
    );
    record.facts.original = original;
}

fn count_backend(session: &Session, record: &Record, dispatch: &Dispatch, now_ns: u64) {
    let backend = session.tables.counters.backend(dispatch.backend);
    let ended = (record.fault, record.phase);
    leave_backend(session, dispatch, record.server, ended);
    backend.increment(BackendCounter::Requests);
    backend.increment(backend_class(record.status));
    backend.add(BackendCounter::BytesIn, record.received_bytes);
    backend.add(BackendCounter::BytesOut, record.sent_bytes);
    let (up, down) = record.spliced_bytes;
    if up | down > 0 {
        backend.add(BackendCounter::SplicedIn, down);
        backend.add(BackendCounter::SplicedOut, up);
    }
    let Some(server) = record.server else { return };
    let counters = session.tables.counters.server(dispatch.backend, server);
    counters.add(ServerCounter::BytesIn, record.received_bytes);
    counters.add(ServerCounter::BytesOut, record.sent_bytes);
    let times = &record.times;
    if times.answered_ns == 0 {
        return;
    }
    let response_ns = times.answered_ns.saturating_sub(times.connected_ns);
    if session.tables.backend(dispatch.backend).balance == BalanceSpec::PeakEwma {
        let live = session
            .tables
            .plane
            .backend(dispatch.backend)
            .server(server);
        live.note_response(response_ns, now_ns);
    }
    session
        .tables
        .counters
        .latency(dispatch.backend, server)
        .record(response_ns / 1_000);
    let connected = (times.received_ns, times.admitted_ns, times.connected_ns);
    took(
        session,
        (dispatch.backend, server),
        connected,
        times.answered_ns,
        (times.started_ns, now_ns),
    );
}

/// How long each step took with a server that was reached: until the request was there, a slot was given, the server was
/// connected, and until it answered; and from the first moment to the last.
fn took(
    session: &Session,
    (backend, server): (BackendId, ServerId),
    (received_ns, admitted_ns, connected_ns): (u64, u64, u64),
    answered_ns: u64,
    (started_ns, now_ns): (u64, u64),
) {
    let of_backend = session.tables.counters.backend(backend);
    let of_server = session.tables.counters.server(backend, server);
    for ((backend, backend_max), (server, server_max), from_ns, to_ns) in [
        (
            (BackendCounter::QueueTime, BackendCounter::QueueTimeMax),
            (ServerCounter::QueueTime, ServerCounter::QueueTimeMax),
            received_ns,
            admitted_ns,
        ),
        (
            (BackendCounter::ConnectTime, BackendCounter::ConnectTimeMax),
            (ServerCounter::ConnectTime, ServerCounter::ConnectTimeMax),
            admitted_ns,
            connected_ns,
        ),
        (
            (
                BackendCounter::ResponseTime,
                BackendCounter::ResponseTimeMax,
            ),
            (ServerCounter::ResponseTime, ServerCounter::ResponseTimeMax),
            connected_ns,
            answered_ns,
        ),
        (
            (BackendCounter::TotalTime, BackendCounter::TotalTimeMax),
            (ServerCounter::TotalTime, ServerCounter::TotalTimeMax),
            started_ns,
            now_ns,
        ),
    ] {
        let ms = elapsed_ms(from_ns, to_ns).unwrap_or(0);
        of_backend.average(backend, ms);
        of_server.average(server, ms);
        if ms > 0 {
            of_backend.maximum(backend_max, u64::from(ms));
            of_server.maximum(server_max, u64::from(ms));
        }
    }
}

/// What HTTP exchanges and TCP sessions have in common when they leave a backend.
fn leave_backend(
    session: &Session,
    dispatch: &Dispatch,
    server: Option<ServerId>,
    (fault, phase): (Option<Fault>, fault::Phase),
) {
    let tables = &session.tables;
    let of_backend = tables.counters.backend(dispatch.backend);
    of_backend.lower(BackendCounter::SessionsNow);
    let Some(fault) = fault else { return };
    // No server could be found for it, whoever had it before.
    let server = server.filter(|_| fault != Fault::NoServer);
    let count = |counted, counted_by_server| match server {
        Some(server) => {
            let both = (counted, counted_by_server);
            count_behind(tables, (dispatch.backend, server), both);
        }
        None => of_backend.increment(counted),
    };
    let is_relaying = phase >= fault::Phase::Data;
    match fault {
        Fault::ClientClosed if phase == fault::Phase::Queue => {}
        Fault::GaveUp | Fault::ClientClosed | Fault::ClientTimeout => {
            count(BackendCounter::ClientAborts, ServerCounter::ClientAborts);
        }
        Fault::ServerTimeout if is_relaying => {
            count(BackendCounter::ServerAborts, ServerCounter::ServerAborts);
        }
        Fault::EmptyResponse | Fault::JunkResponse | Fault::ServerTimeout | Fault::ServerClosed => {
            count(
                BackendCounter::ResponseErrors,
                ServerCounter::ResponseErrors,
            );
            if fault == Fault::ServerClosed && is_relaying {
                count(BackendCounter::ServerAborts, ServerCounter::ServerAborts);
            }
        }
        Fault::RuleFailed => {
            count(
                BackendCounter::InternalErrors,
                ServerCounter::InternalErrors,
            );
        }
        Fault::Refused(_)
        | Fault::RetryStatus(_)
        | Fault::Denied(_)
        | Fault::Local(_)
        | Fault::Rejected => {}
        _ => count(
            BackendCounter::ConnectionErrors,
            ServerCounter::ConnectionErrors,
        ),
    }
}

/// A TCP session has ended.
pub(crate) fn tcp(
    session: &mut Session,
    dispatch: Option<&Dispatch>,
    server: Option<ServerId>,
    report: &mut Report,
) {
    let (received, sent) = (report.received_bytes, report.sent_bytes);
    let frontend = session.tables.counters.frontend(session.frontend);
    frontend.add(FrontendCounter::BytesIn, received);
    frontend.add(FrontendCounter::BytesOut, sent);
    tracking::moved(session, &report.facts, (received, sent));
    if let Some(dispatch) = dispatch {
        leave_backend(session, dispatch, server, (report.fault, report.phase));
        let backend = session.tables.counters.backend(dispatch.backend);
        backend.add(BackendCounter::BytesIn, received);
        backend.add(BackendCounter::BytesOut, sent);
        if let Some(server) = server {
            let counters = session.tables.counters.server(dispatch.backend, server);
            counters.add(ServerCounter::BytesIn, received);
            counters.add(ServerCounter::BytesOut, sent);
            if report.connected_ns > 0 {
                let (begun_ns, now_ns) = (session.accepted_ns, session.worker.reactor.now_ns());
                let connected_ns = report.connected_ns;
                let connected = (begun_ns, report.admitted_ns, connected_ns);
                took(
                    session,
                    (dispatch.backend, server),
                    connected,
                    connected_ns,
                    (begun_ns, now_ns),
                );
            }
        }
    }
    let moment = last_moment(session, report.connected_ns > 0, Mode::Tcp);
    write_tcp(session, moment, dispatch, server, report);
    stories::tcp_ends(session, dispatch.map(|it| it.backend), report);
}

/// The server is connected: `option logasap` writes its line now.
pub(crate) fn tcp_connected(
    session: &mut Session,
    dispatch: &Dispatch,
    server: ServerId,
    report: &mut Report,
) {
    write_tcp(
        session,
        Moment::Answer,
        Some(dispatch),
        Some(server),
        report,
    );
}

fn write_tcp(
    session: &mut Session,
    moment: Moment,
    dispatch: Option<&Dispatch>,
    server: Option<ServerId>,
    report: &mut Report,
) {
    let times = Times {
        idle_ns: session.accepted_ns,
        started_ns: session.accepted_ns,
        received_ns: session.accepted_ns,
        admitted_ns: report.admitted_ns,
        connected_ns: report.connected_ns,
        answered_ns: 0,
    };
    let now_ns = session.worker.reactor.now_ns();
    let line = Line {
        mode: Mode::Tcp,
        dispatch,
        server,
        traffic: (report.received_bytes, report.sent_bytes),
        termination: fault::termination(report.fault, report.phase),
        timers: times.timers(now_ns),
        server_load: report.server_load,
        server_addresses: report
            .facts
            .ends
            .as_ref()
            .and_then(|ends| ends.server_addresses),
        ..Line::default()
    };
    write(session, &mut report.facts, moment, &line);
}

/// A connection did not begin with the PROXY protocol header that is expected of it.
pub(crate) fn header_refused(session: &mut Session, refusal: Refusal) {
    let frontend = session.tables.counters.frontend(session.frontend);
    frontend.increment(FrontendCounter::RequestErrors);
    session.facts.extra().failure = Some(refusal.error());
    unusable(session, refusal.reason());
}

/// Writes the line of a session that ended before it could carry anything.
pub(crate) fn unusable(session: &mut Session, reason: &str) {
    let (tables, worker) = (Rc::clone(&session.tables), Rc::clone(&session.worker));
    let mode = tables.frontend(session.frontend).mode;
    let line = Line {
        mode,
        malformed: true,
        status: (mode == Mode::Http).then_some(0),
        termination: Fault::Refused(0).termination(fault::Phase::Request),
        ..Line::default()
    };
    let route = tables.log_route(session.frontend);
    let record = log::Record {
        origin: Origin::SessionKilled,
        logged: route.count(),
        ..record(session, &tables, &line)
    };
    if !route.asks_context_of_errors() {
        return worker.log_error(route, &record, reason, &mut |_, _| {});
    }
    let mut facts = ExchangeFacts::default();
    let sight = rules::Sight::default();
    rules::with_session(session, &mut facts, Phase::Log, sight, |context| {
        worker.log_error(route, &record, reason, &mut |format, out| {
            format.write(&context.lend(&record), out);
        });
    });
}

/// A connection ended before (another) request could be read.
pub(crate) fn bad_request(session: &mut Session, client: &mut Client, fault: Fault, times: Times) {
    let frontend = session.tables.counters.frontend(session.frontend);
    frontend.increment(FrontendCounter::Requests);
    frontend.increment(FrontendCounter::RequestErrors);
    frontend.increment(frontend_class(fault.status()));
    let traffic = client.take_traffic();
    frontend.add(FrontendCounter::BytesIn, traffic.0);
    frontend.add(FrontendCounter::BytesOut, traffic.1);
    let now_ns = session.worker.reactor.now_ns();
    let line = Line {
        mode: Mode::Http,
        status: Some(fault.status()).filter(|status| *status > 0),
        // What could not be understood is part of nothing.
        traffic: (0, traffic.1),
        spoke: traffic.0 > 0,
        malformed: true,
        termination: fault.termination(fault::Phase::Request),
        timers: times.timers(now_ns),
        ..Line::default()
    };
    let moment = last_moment(session, false, Mode::Http);
    write(session, &mut ExchangeFacts::default(), moment, &line);
}

/// Frames of a client's were no request (0), or one that was answered with this status before anybody looked at it.
pub(crate) fn frames_rejected(session: &mut Session, status: u16) {
    let line = Line {
        mode: Mode::Http,
        status: Some(status),
        spoke: true,
        malformed: true,
        termination: Termination::new(log::Cause::Proxy, log::Phase::Request),
        timers: Timers {
            handshake_ms: handshake_ms(session),
            ..Timers::default()
        },
        ..Line::default()
    };
    let moment = last_moment(session, false, Mode::Http);
    write(session, &mut ExchangeFacts::default(), moment, &line);
}

fn frontend_class(status: u16) -> FrontendCounter {
    match status {
        100..=199 => FrontendCounter::Responses1xx,
        200..=299 => FrontendCounter::Responses2xx,
        300..=399 => FrontendCounter::Responses3xx,
        400..=499 => FrontendCounter::Responses4xx,
        500..=599 => FrontendCounter::Responses5xx,
        _ => FrontendCounter::ResponsesOther,
    }
}

fn backend_class(status: u16) -> BackendCounter {
    match status {
        100..=199 => BackendCounter::Responses1xx,
        200..=299 => BackendCounter::Responses2xx,
        300..=399 => BackendCounter::Responses3xx,
        400..=499 => BackendCounter::Responses4xx,
        500..=599 => BackendCounter::Responses5xx,
        _ => BackendCounter::ResponsesOther,
    }
}

fn server_class(status: u16) -> ServerCounter {
    match status {
        100..=199 => ServerCounter::Responses1xx,
        200..=299 => ServerCounter::Responses2xx,
        300..=399 => ServerCounter::Responses3xx,
        400..=499 => ServerCounter::Responses4xx,
        500..=599 => ServerCounter::Responses5xx,
        _ => ServerCounter::ResponsesOther,
    }
}

/// How long the client's handshake took, for the first line of a connection.
pub(crate) fn handshake_ms(session: &Session) -> u32 {
    let facts = session.facts.tls().filter(|_| session.requests <= 1);
    facts.map_or(0, |facts| facts.handshake_ms)
}

/// What differs between the kinds of log lines.
#[derive(Default)]
struct Line<'a> {
    mode: Mode,
    dispatch: Option<&'a Dispatch>,
    server: Option<ServerId>,
    /// What answered in place of a server.
    service: Option<&'static str>,
    status: Option<u16>,
    /// That of the response.
    version: Option<Version>,
    traffic: (u64, u64),
    /// The client has said what is not part of that.
    spoke: bool,
    request: Option<RequestLine<'a>>,
    termination: Termination,
    timers: Timers,
    /// The server's load when its slot was given back; `None`: it is looked up.
    server_load: Option<u32>,
    /// The server's address and the one it was reached from, where the line shows them.
    server_addresses: Option<(SocketAddr, SocketAddr)>,
    /// No request, or not even a connection, could be understood.
    malformed: bool,
}

/// Whether the frontend has lines written, and at this moment.
fn writes(session: &Session, moment: Moment, mode: Mode) -> bool {
    let settings = &session.tables.frontend(session.frontend).log;
    log::is_due(settings, moment, mode)
}

/// Whether the frontend says itself at which moments its lines are written (`log-steps`).
fn has_steps(session: &Session) -> bool {
    session
        .tables
        .frontend(session.frontend)
        .log
        .steps
        .is_some()
}

/// The moment that an end is: also that of the answer, when none came.
fn last_moment(session: &Session, answered: bool, mode: Mode) -> Moment {
    match !answered && !has_steps(session) && writes(session, Moment::Answer, mode) {
        true => Moment::Answer,
        false => Moment::End,
    }
}

/// Writes a line, if this is the moment at which the frontend's lines are written.
fn write(session: &mut Session, facts: &mut ExchangeFacts, moment: Moment, line: &Line<'_>) {
    // What could not be understood is told whenever it happens, but not among lines that tell of connections.
    let settings = &session.tables.frontend(session.frontend).log;
    let is_error = line.malformed && (settings.steps.is_some() || settings.error_format.is_some());
    if !is_error && !writes(session, moment, line.mode) {
        return;
    }
    let (tables, worker) = (Rc::clone(&session.tables), Rc::clone(&session.worker));
    let route = tables.log_route(session.frontend);
    let backend = line.dispatch.map(|dispatch| dispatch.backend);
    let texts = |captures: &'_ [Option<Box<[u8]>>]| {
        let texts = captures
            .iter()
            .map(|text| text.as_deref().unwrap_or_default().to_vec());
        texts.collect::<Vec<_>>()
    };
    let (requests, responses) = (
        texts(&facts.request_captures),
        texts(&facts.response_captures),
    );
    let requests: Vec<_> = requests.iter().map(Vec::as_slice).collect();
    let responses: Vec<_> = responses.iter().map(Vec::as_slice).collect();
    let cookies = [facts.request_cookie.clone(), facts.response_cookie.clone()];
    let tls = session
        .facts
        .extra
        .as_ref()
        .and_then(|extra| extra.tls.clone());
    let record = log::Record {
        tls: tls.as_deref(),
        request_cookie: cookies[0].as_deref(),
        response_cookie: cookies[1].as_deref(),
        request_captures: &requests,
        response_captures: &responses,
        logged: route.count(),
        origin: match line.malformed {
            true => Origin::SessionError,
            false => log::origin(moment, line.mode),
        },
        partial: moment == Moment::Answer && !has_steps(session),
        ..record(session, &tables, line)
    };
    let level = facts.overrides.log_level;
    if !route.asks_context() {
        return worker.log(route, &record, level, &mut |_, _| {});
    }
    let teller = Teller {
        worker: &worker,
        tables: &tables,
    };
    let frontend = session.frontend;
    let bind = tables.frontend(frontend).binds.get(session.bind);
    let mut context = Context::new(
        &tables.plane,
        &teller,
        Phase::Log,
        frontend,
        &mut session.facts,
        facts,
    );
    (context.now, context.bind) = (rules::now(&worker), bind);
    (context.backend, context.server) = (backend, line.server);
    (context.record, context.is_raw) = (Some(&record), line.mode == Mode::Tcp);
    worker.log(route, &record, level, &mut |format, out| {
        format.write(&context, out)
    });
}

/// What is known of every line.
fn record<'a>(session: &Session, tables: &'a Tables, line: &'a Line<'a>) -> log::Record<'a> {
    let frontend = tables.frontend(session.frontend);
    let backend = line.dispatch.map(|dispatch| dispatch.backend);
    let server = backend.zip(line.server);
    log::Record {
        mode: line.mode,
        client: client(session),
        local: session
            .facts
            .destination
            .map_or(Endpoint::Unknown, Endpoint::Inet),
        frontend: &frontend.name,
        bind: tables.bind_name(session.frontend, session.bind),
        bind_number: session.bind_number(),
        secure: tables.tls.bind(session.frontend, session.bind).is_some(),
        backend: backend.map_or(frontend.name.as_str(), |id| {
            tables.backend(id).name.as_str()
        }),
        server: server
            .map(|(backend, server)| tables.server(backend, server).name.as_str())
            .or(line.service),
        serviced: line.service.is_some(),
        accepted: rules::progress(session).accepted,
        timers: Timers {
            handshake_ms: handshake_ms(session),
            ..line.timers
        },
        status: line.status,
        response_version: line.version.filter(|_| line.status > Some(0)),
        bytes_sent: line.traffic.1,
        bytes_received: line.traffic.0,
        spoke: line.spoke,
        request: line.request,
        malformed: line.malformed,
        termination: line.termination,
        load: Load {
            process: session.admission.process(),
            frontend: session.admission.frontend(),
            backend: backend.map_or(0, |id| tables.backend_sessions(id)),
            server: line.server_load.unwrap_or_else(|| {
                server.map_or(0, |(backend, server)| {
                    tables.plane.backend(backend).server(server).served()
                })
            }),
        },
        retries: line.dispatch.map_or(0, |dispatch| dispatch.retries),
        redispatched: line.dispatch.is_some_and(|dispatch| dispatch.redispatched),
        queued: line
            .dispatch
            .map_or_else(Queued::default, |dispatch| Queued {
                server: dispatch.waited.behind.0,
                backend: dispatch.waited.behind.1,
            }),
        server_address: line.server_addresses.map(|(address, _)| address),
        server_source: line.server_addresses.map(|(_, source)| source),
        ..log::Record::default()
    }
}

fn client(session: &Session) -> Endpoint {
    match session.facts.source {
        Some(address) => Endpoint::Inet(address),
        None => Endpoint::Unix {
            bind: session.bind_number(),
        },
    }
}
