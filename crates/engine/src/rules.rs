//! Where rules run: what they may look at is put together here, for exchanges and for sessions.
//!
//! What is absent: what rules decide (that is `policy`'s), and what follows from it for an HTTP exchange
//! ([`crate::exchange`]) or a TCP session ([`crate::tcp`]).

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use plimsoll_policy::action::{Flow, Label};
use plimsoll_policy::context::{
    ConnectionError, Context, ExchangeFacts, Now, Payload, Phase, Progress, TcpInfo, World,
};
use plimsoll_policy::counters::FrontendCounter;
use plimsoll_policy::expression::Expression;
use plimsoll_policy::log::{Level, Profile, Times, WallTime};
use plimsoll_policy::log_format::Format;
use plimsoll_policy::model::{BackendId, ServerId};
use plimsoll_policy::rule::{self, Rule, Verdict};
use plimsoll_policy::stats::Sums;

use plimsoll_sys::Address;
use plimsoll_wire::head::Head;

use crate::account;
use crate::control::log::hostname;
use crate::fault::Fault;
use crate::reactor::Socket;
use crate::session::Session;
use crate::tables::Tables;
use crate::worker::Worker;

/// The number of the next request or TCP session of the process whose number is asked for.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What the engine tells rules.
pub(crate) struct Teller<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) tables: &'a Tables,
}

impl World for Teller<'_> {
    fn random(&self) -> u64 {
        self.worker.random()
    }

    fn sums(&self) -> &dyn Sums {
        &*self.tables.desk
    }

    fn process_id(&self) -> u32 {
        std::process::id()
    }

    fn hostname(&self) -> &str {
        hostname()
    }

    fn is_stopping(&self) -> bool {
        self.worker.is_stopping()
    }

    fn worker(&self) -> u32 {
        self.worker.index as u32
    }

    fn utc_offset_s(&self) -> i32 {
        self.worker.utc_offset_s()
    }

    fn is_local(&self, address: IpAddr) -> bool {
        // Only an address of ours can be bound to.
        UdpSocket::bind((address, 0)).is_ok()
    }

    fn uptime_s(&self) -> u64 {
        self.tables.desk.uptime_s()
    }

    fn next_number(&self) -> u32 {
        next_number()
    }

    fn rewrite_failed(&self, context: &Context<'_>) {
        account::rewrite_failed(self.tables, context);
    }

    fn log(&self, context: &Context<'_>, level: Option<Option<Level>>, profile: Option<&Profile>) {
        let Some(record) = context.record else { return };
        let route = self.tables.log_route(context.frontend);
        let fill = &mut |format: &Format, out: &mut Vec<u8>| format.write(context, out);
        self.worker
            .log_demanded(route, record, (level, profile), fill);
    }
}

/// See [`World::next_number`].
pub(crate) fn next_number() -> u32 {
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// The moment, as rules see it.
pub(crate) fn now(worker: &Worker) -> Now {
    Now {
        monotonic_ns: worker.reactor.now_ns(),
        wall: WallTime::from_unix_ns(worker.reactor.wall_ns()),
    }
}

/// How far a session has come, as rules see it.
pub(crate) fn progress(session: &Session) -> Progress {
    let accepted_us = session.accepted_wall_us;
    Progress {
        accepted: WallTime {
            unix_s: accepted_us / 1_000_000,
            micros: (accepted_us % 1_000_000) as u32,
        },
        handshake_ms: account::handshake_ms(session),
        ..Progress::default()
    }
}

/// How well packets travel over a socket, where the kernel knows.
pub(crate) fn tcp_info(socket: &Socket) -> Option<TcpInfo> {
    let info = socket.tcp_info().ok()?;
    Some(TcpInfo {
        rtt_us: info.rtt_us,
        rtt_variance_us: info.rtt_variance_us,
        unacked: info.unacked,
        sacked: info.sacked,
        lost: info.lost,
        retransmitted: info.retransmitted,
        forward_acknowledged: info.forward_acknowledged,
        reordering: info.reordering,
    })
}

/// What went wrong with a connection to a server whose exchange or tunnel ended so.
pub(crate) fn failure(fault: Option<Fault>, socket: Option<&Socket>) -> ConnectionError {
    let is_closed = |socket: &Socket| socket.tcp_info().is_ok_and(|info| info.closed);
    match fault {
        Some(Fault::ConnectRefused) => ConnectionError::REFUSED,
        Some(Fault::HandshakeFailed) => ConnectionError::HANDSHAKE,
        Some(Fault::EmptyResponse | Fault::ServerClosed) if socket.is_some_and(is_closed) => {
            ConnectionError::RESET
        }
        _ => ConnectionError::NONE,
    }
}

/// The addresses of a socket to a server: the server's, and the one it was reached from.
pub(crate) fn addresses(socket: &Socket) -> Option<(SocketAddr, SocketAddr)> {
    let inet = |address: std::io::Result<&Address>| match address {
        Ok(Address::Inet(address)) => Some(*address),
        _ => None,
    };
    inet(socket.peer_address()).zip(inet(socket.local_address()))
}

/// The server's side of a session, once there is one.
#[derive(Clone, Copy)]
pub(crate) struct Reached {
    pub(crate) backend: BackendId,
    pub(crate) server: Option<ServerId>,
}

/// What rules of a TCP session see besides the connection itself.
#[derive(Default)]
pub(crate) struct Sight<'a> {
    /// The request that the first bytes are, taken for HTTP.
    pub(crate) request: Option<&'a mut Head>,
    /// They are no HTTP, and whatever comes cannot make them so.
    pub(crate) refused: bool,
    /// They are relayed as they are, whatever they look like.
    pub(crate) is_raw: bool,
    /// The client's first bytes, or in `tcp-response` rules the server's.
    pub(crate) payload: Payload<'a>,
    pub(crate) reached: Option<Reached>,
}

/// Lends a context of a connection and what was seen on it.
pub(crate) fn with_session<T>(
    session: &mut Session,
    exchange: &mut ExchangeFacts,
    phase: Phase,
    sight: Sight<'_>,
    use_it: impl FnOnce(&mut Context<'_>) -> T,
) -> T {
    let progress = Progress {
        times: Times {
            idle_ns: session.accepted_ns,
            started_ns: session.accepted_ns,
            received_ns: session.accepted_ns,
            ..Times::default()
        },
        ..progress(session)
    };
    let (worker, tables) = (&*session.worker, &*session.tables);
    let teller = Teller { worker, tables };
    let mut context = Context::new(
        &tables.plane,
        &teller,
        phase,
        session.frontend,
        &mut session.facts,
        exchange,
    );
    context.now = now(worker);
    context.progress = progress;
    match phase {
        Phase::ResponseContent => context.response_payload = sight.payload,
        _ => context.request_payload = sight.payload,
    }
    (context.request, context.refused) = (sight.request, sight.refused);
    context.is_raw = sight.is_raw;
    context.backend = sight.reached.map(|reached| reached.backend);
    context.server = sight.reached.and_then(|reached| reached.server);
    context.bind = tables.frontend(session.frontend).binds.get(session.bind);
    use_it(&mut context)
}

/// What an expression says a server of a TCP session is to be asked for in TLS.
pub(crate) fn name_of(
    session: &mut Session,
    facts: &mut ExchangeFacts,
    (backend, server): (BackendId, ServerId),
    expression: &Expression,
) -> Option<Box<str>> {
    let sight = Sight {
        reached: Some(Reached {
            backend,
            server: Some(server),
        }),
        ..Sight::default()
    };
    with_session(session, facts, Phase::Connect, sight, |context| {
        host(&expression.evaluate(context)?.into_text())
    })
}

/// A name that can be asked for; none when there is nothing in it, or no text.
pub(crate) fn host(name: &[u8]) -> Option<Box<str>> {
    let name = std::str::from_utf8(name).ok()?;
    (!name.is_empty()).then(|| name.into())
}

/// `tcp-request connection`: whether the connection may stay.
pub(crate) fn admits_connection(session: &mut Session, socket: &Socket) -> bool {
    let tables = Rc::clone(&session.tables);
    let rules = &tables.frontend(session.frontend).rules;
    if rules.asks.saved_syn && session.bind().is_some_and(|bind| bind.save_syn > 0) {
        session.facts.extra().saved_syn = socket.saved_syn().unwrap_or_default().into();
    }
    let rules = &rules.connection;
    let refused = FrontendCounter::DeniedConnections;
    passes((session, socket), rules, Phase::Connection, refused)
}

/// `tcp-request session`: whether it may still stay, now that handshakes are over.
pub(crate) fn admits_session(session: &mut Session, socket: &Socket) -> bool {
    let tables = Rc::clone(&session.tables);
    let rules = &tables.frontend(session.frontend).rules.session;
    let refused = FrontendCounter::DeniedSessions;
    passes((session, socket), rules, Phase::Session, refused)
}

/// Labels packets to the client. Where that may not be done, or not over such a connection, it is left out as in HAProxy.
pub(crate) fn label(socket: &Socket, label: Label) {
    let _ = match label {
        Label::Mark(mark) => socket.set_mark(mark),
        Label::Service(service) => socket.set_service(service),
    };
}

fn passes(
    (session, socket): (&mut Session, &Socket),
    rules: &[Rule],
    phase: Phase,
    refused: FrontendCounter,
) -> bool {
    if rules.is_empty() {
        return true;
    }
    let mut facts = ExchangeFacts::default();
    if session
        .tables
        .frontend(session.frontend)
        .rules
        .asks
        .client_info
    {
        facts.ends().client = tcp_info(socket);
    }
    let mut from = 0;
    let verdict = loop {
        let sight = Sight::default();
        let verdict = with_session(session, &mut facts, phase, sight, |context| {
            rule::run(rules, from, context)
        });
        match verdict {
            Verdict::Stop {
                at,
                flow: Flow::Label(of_packets),
            } => {
                label(socket, of_packets);
                from = at + 1;
            }
            other => break other,
        }
    };
    if let Verdict::Stop {
        flow: Flow::Drop { ttl },
        ..
    } = verdict
    {
        // Where it cannot be had, the connection is closed in the open.
        let _ = socket.vanish(ttl);
    }
    let passes = matches!(verdict, Verdict::Pass);
    if !passes {
        let counters = session.tables.counters.frontend(session.frontend);
        counters.increment(refused);
    }
    passes
}
