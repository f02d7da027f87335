//! The life of a client connection, top to bottom.

use std::future::poll_fn;
use std::io::Write as _;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};

use plimsoll_policy::action::Versions;
use plimsoll_policy::context::{ExchangeFacts, Phase, SessionFacts};
use plimsoll_policy::counters::FrontendCounter;
use plimsoll_policy::model::tls::ServerName;
use plimsoll_policy::model::{BackendId, Bind, FrontendId, Mode, ServerId};
use plimsoll_policy::stick_table::Event;
use plimsoll_wire::h1::request::RequestError;
use plimsoll_wire::head::Head;

use crate::counters::Side;
use crate::exchange::{self, Handover, Outcome, Request, Times};
use crate::fault::Fault;
use crate::h1::client::NoRequest;
use crate::listener::Admission;
use crate::pool::{Connection, Wish};
use crate::reactor::Socket;
use crate::reply::{self, Reply};
use crate::stream::{ClientStream as _, End};
use crate::tables::Tables;
use crate::tls::handshake;
use crate::transport::Transport;
use crate::worker::{NEVER_NS, Worker};
use crate::{account, h1, h2, proxy_protocol, rules, specimens, tcp, tracking, upgrade};

/// Longest text of an IP address: an IPv4-mapped one in full.
const IP_TEXT_MAX: usize = 45;

/// How long in all, and for how many bytes, a closing connection is listened to. What comes is thrown away, so that it
/// costs no memory.
#[derive(Clone, Copy)]
pub(crate) struct Lingering {
    ms: u64,
    bytes_max: usize,
    /// Most bytes that are thrown away before others have their turn.
    turn_bytes: usize,
    /// It waits for its turn with those that had too much to do.
    goes_on: bool,
}

/// A client that uploads before it looks for an answer has to come to its end.
const UPLOAD: Lingering = Lingering {
    ms: 30_000,
    bytes_max: 1 << 30,
    turn_bytes: LINGER_TURN_BYTES,
    goes_on: false,
};

/// A client of HTTP/2 has been told what it did wrong, and is not to go on with it.
pub(crate) const FRAMES: Lingering = Lingering {
    ms: 2_000,
    bytes_max: 1 << 20,
    turn_bytes: LINGER_TURN_BYTES / 4,
    goes_on: true,
};

/// The longest silence that a closing connection is listened to.
const LINGER_SILENCE_MS: u64 = 2_000;

/// Most bytes that are thrown away before others have their turn.
pub(crate) const LINGER_TURN_BYTES: usize = 1 << 18;

/// How long a connection at rest that is to end may still bring a request. Its client may be sending one at this very
/// moment: it gets an answer that says that it is the last.
const FAREWELL_MS: u64 = 1_000;

/// Server connections kept for one session alone, unless `max-session-srv-conns` says otherwise.
const OWN_CONNECTIONS_MAX: u32 = 5;

/// What is known of a client connection for as long as it lasts.
pub(crate) struct Session {
    pub(crate) worker: Rc<Worker>,
    pub(crate) tables: Rc<Tables>,
    pub(crate) frontend: FrontendId,
    /// Index of the bind within the frontend.
    pub(crate) bind: usize,
    /// Where the client comes from and wanted to go, and what rules keep for the connection.
    pub(crate) facts: SessionFacts,
    pub(crate) accepted_ns: u64,
    pub(crate) accepted_wall_us: u64,
    /// Requests begun so far, the present one included.
    pub(crate) requests: u32,
    /// Its frontend or listener is gone from the configuration: it ends with the present request.
    pub(crate) leaving: bool,
    /// Server connections that belong to this session alone (`http-reuse never`, authenticated connections).
    #[expect(clippy::vec_box, reason = "connections move, and are large")]
    pub(crate) own: Vec<Box<Connection>>,
    /// What its first request begins with, where the connection was one of TCP until now.
    pub(crate) handover: Option<Box<Handover>>,
    /// Holds the connection's place under `maxconn`; gives it back when the session ends, or the last one of several
    /// that run side by side on one multiplexed connection.
    pub(crate) admission: Arc<Admission>,
}

impl Session {
    pub(crate) fn bind(&self) -> Option<&Bind> {
        self.tables.frontend(self.frontend).binds.get(self.bind)
    }

    /// The session of one of several streams of this connection.
    pub(crate) fn fork(&self) -> Self {
        Self {
            worker: Rc::clone(&self.worker),
            tables: Rc::clone(&self.tables),
            frontend: self.frontend,
            bind: self.bind,
            facts: self.facts.of_stream(),
            accepted_ns: self.accepted_ns,
            accepted_wall_us: self.accepted_wall_us,
            requests: self.requests,
            leaving: self.leaving,
            own: Vec::new(),
            handover: None,
            admission: Arc::clone(&self.admission),
        }
    }

    /// Moves on to the tables of this moment, between two requests. A connection whose frontend or listener is there no
    /// more stays with its own, and is to end.
    pub(crate) fn follow(&mut self) {
        let tables = self.worker.tables();
        if Rc::ptr_eq(&tables, &self.tables) || self.leaving {
            return;
        }
        let before = self.tables.frontend(self.frontend);
        let heir = tables.plane.frontend_named(&before.name);
        let heir = heir.filter(|&id| {
            let now = tables.frontend(id);
            now.mode == before.mode && !now.disabled
        });
        let bind = before
            .binds
            .get(self.bind)
            .zip(heir)
            .and_then(|(bind, id)| {
                let mut binds = tables.frontend(id).binds.iter();
                binds.position(|known| known.address == bind.address)
            });
        let (Some(frontend), Some(bind)) = (heir, bind) else {
            self.leaving = true;
            return;
        };
        (self.frontend, self.bind) = (frontend, bind);
        if let Some(presence) = &self.admission.presence {
            presence.follows(&tables.plane, frontend, bind);
        }
        self.own.retain_mut(|connection| {
            let place = (connection.backend, connection.server);
            let heir = tables.heir_of(&self.tables, place);
            if let Some(place) = heir {
                (connection.backend, connection.server) = place;
            }
            heir.is_some()
        });
        self.tables = tables;
    }

    pub(crate) fn bind_number(&self) -> u32 {
        self.bind().map_or(0, |bind| bind.number)
    }

    /// Whether the connection is to end at its next rest.
    pub(crate) fn ends(&self) -> bool {
        self.leaving || self.worker.is_stopping()
    }

    /// The name that a server is to be asked for in TLS; `request` is the one that goes there, `found` what an expression
    /// has yielded for it.
    pub(crate) fn server_name<'a>(
        &'a self,
        (backend, server): (BackendId, ServerId),
        request: Option<&'a Head>,
        found: Option<&'a str>,
    ) -> Option<&'a str> {
        let back = self.tables.tls.server(backend, server)?;
        match &back.name {
            ServerName::None => None,
            ServerName::Fixed(name) => Some(name),
            ServerName::Client => self.facts.tls()?.server_name.as_deref(),
            ServerName::Host => host_name(request?),
            ServerName::Expression(_) => found,
        }
    }

    /// Whether its bind is one of TLS.
    fn is_secured(&self) -> bool {
        let tls = &self.tables.tls;
        tls.bind(self.frontend, self.bind).is_some()
    }

    /// Whether the client has agreed to HTTP/2, or is expected to know.
    fn begins_http2(&self) -> bool {
        let agreed = self.facts.tls().and_then(|tls| tls.alpn.as_deref());
        agreed == Some(b"h2") || self.bind().is_some_and(|bind| bind.http2)
    }

    /// The place of the server connection that only this session may use.
    pub(crate) fn find_own(
        &self,
        backend: BackendId,
        server: ServerId,
        wish: Wish<'_>,
    ) -> Option<usize> {
        self.own
            .iter()
            .position(|own| own.backend == backend && own.server == server && wish.suits_own(own))
    }

    /// Takes that connection, if it still lives.
    pub(crate) fn take_own(&mut self, index: usize) -> Option<Box<Connection>> {
        let mut own = self.own.remove(index);
        own.reused = true;
        let lives = own.socket().is_some_and(|socket| !socket.is_stale());
        lives.then_some(own)
    }

    /// Keeps a server connection for this session alone, if there are not too many.
    pub(crate) fn keep_own(&mut self, connection: Box<Connection>) {
        let frontend = self.tables.frontend(self.frontend);
        let most = frontend.session_connections_max;
        if self.own.len() < most.unwrap_or(OWN_CONNECTIONS_MAX) as usize {
            self.own.push(connection);
        }
    }

    pub(crate) fn client_ip(&self) -> Option<IpAddr> {
        self.facts.source.map(|address| address.ip())
    }

    /// Whether the connection has to begin with a PROXY protocol header: its bind says so, or a rule.
    fn wants_header(&self) -> bool {
        let extra = self.facts.extra.as_ref();
        extra.is_some_and(|extra| extra.expects_header)
            || self.bind().is_some_and(|bind| bind.accept_proxy)
    }
}

/// Hands an address, as text, to `write`, without allocating.
pub(crate) fn write_ip<T>(address: IpAddr, write: impl FnOnce(&[u8]) -> T) -> Option<T> {
    let mut text = [0; IP_TEXT_MAX];
    let mut rest = &mut text[..];
    write!(rest, "{address}").ok()?;
    let length = IP_TEXT_MAX - rest.len();
    Some(write(&text[..length]))
}

/// The host that a request is for, without its port, when it can be the name of a server.
fn host_name(request: &Head) -> Option<&str> {
    let field = request.values(b"host").next()?;
    let text = std::str::from_utf8(field).ok()?.trim();
    let end = match text.rfind(':') {
        // Of an IPv6 address the brackets say where it ends.
        Some(colon) if !text[colon..].contains(']') => colon,
        _ => text.len(),
    };
    let name = &text[..end];
    (!name.is_empty()).then_some(name)
}

/// Serves one client connection to its end.
pub(crate) fn serve(mut session: Session, socket: Socket) -> impl Future<Output = ()> {
    account::session_begins(&mut session);
    // Nearly every connection comes to be a client of HTTP/1: from the beginning it lies where that one will.
    let worker = Rc::clone(&session.worker);
    let mut client = h1::client::Client::new(worker, Transport::Plain(socket));
    // A block rather than an `async fn`, which would hold each argument twice. For the same reason everything that
    // an idle HTTP connection does not need is boxed below: there may be a great many of them.
    async move {
        if !rules::admits_connection(&mut session, client.transport.socket()) {
            return ends(&mut session);
        }
        if session.wants_header() {
            let received = proxy_protocol::receive(&mut session, client.transport.socket());
            if let Err(refusal) = Box::pin(received).await {
                account::header_refused(&mut session, refusal);
                return ends(&mut session);
            }
        }
        if session.is_secured() {
            let (transport, _) = client.into_parts();
            match Box::pin(secure(&mut session, transport)).await {
                Some(secured) => client = secured,
                None => return ends(&mut session),
            }
        }
        if !rules::admits_session(&mut session, client.transport.socket()) {
            return ends(&mut session);
        }
        account::session_admitted(&session);
        match session.tables.frontend(session.frontend).mode {
            Mode::Http => {
                if session.begins_http2()
                    || matches!(serve_h1(&mut session, &mut client).await, Spoken::Http2)
                {
                    let (transport, early) = client.into_parts();
                    Box::pin(h2::client::serve(&mut session, transport, early)).await;
                }
            }
            Mode::Tcp => {
                let (transport, _) = client.into_parts();
                Box::pin(serve_tcp(&mut session, transport)).await;
            }
        }
        ends(&mut session);
    }
}

/// What every session does last.
fn ends(session: &mut Session) {
    tracking::session_ends(&session.worker, &mut session.facts);
    account::session_ends(session);
}

/// The client behind its handshake, which has its time.
async fn secure(session: &mut Session, transport: Transport) -> Option<h1::client::Client> {
    let front = session.tables.tls.bind(session.frontend, session.bind)?;
    let front = Arc::clone(front);
    let Transport::Plain(socket) = transport else {
        return None; // Nothing is secured twice.
    };
    let frontend = session.tables.frontend(session.frontend);
    let timeouts = &frontend.timeouts;
    let patience_ms = timeouts.client_handshake_ms.or(timeouts.client_ms);
    let deadline_ns = session.worker.deadline(patience_ms);
    let speaks_first = frontend.mode == Mode::Tcp;
    let reactor = &session.worker.reactor;
    let done = handshake::accept(reactor, &front, socket, deadline_ns, speaks_first).await;
    match done {
        Ok((stream, mut facts)) => {
            let took_ns = reactor.now_ns().saturating_sub(session.accepted_ns);
            facts.handshake_ms = u32::try_from(took_ns / 1_000_000).unwrap_or(u32::MAX);
            let counters = session.tables.counters.frontend(session.frontend);
            counters.increment(FrontendCounter::TlsHandshakes);
            counters.increment(FrontendCounter::TlsSessions);
            if facts.resumed {
                counters.increment(FrontendCounter::TlsResumed);
            }
            session.facts.extra().tls = Some(facts.into());
            let worker = Rc::clone(&session.worker);
            Some(h1::client::Client::new(worker, Transport::Tls(stream)))
        }
        Err(failed) => {
            account::handshake_failed(session, failed);
            None
        }
    }
}

/// What was spoken on a connection.
enum Spoken {
    Http1,
    /// The client begins as with HTTP/2; nothing has been done yet.
    Http2,
}

/// A connection of a TCP frontend, which may turn out to be one of HTTP.
async fn serve_tcp(session: &mut Session, transport: Transport) {
    let served = Box::pin(tcp::serve(session, transport)).await;
    let Some((transport, early)) = served else {
        return;
    };
    let worker = Rc::clone(&session.worker);
    let versions = session.handover.as_ref().map(|handover| handover.versions);
    let mut client = h1::client::Client::after(worker, transport, early);
    let begins_http2 = session.begins_http2() || versions == Some(Versions::Http2);
    if begins_http2 || matches!(serve_h1(session, &mut client).await, Spoken::Http2) {
        // Streams do not take over what was found out: all rules run for each of them.
        if let Some(mut handover) = session.handover.take() {
            tracking::tcp_ends(session, &mut handover.facts);
        }
        let (transport, early) = client.into_parts();
        h2::client::serve(session, transport, early).await;
    }
}

/// All requests of one HTTP/1 connection, one after the other.
async fn serve_h1(session: &mut Session, client: &mut h1::client::Client) -> Spoken {
    account::protocol_begins(session, FrontendCounter::H1Sessions);
    let mut times = idle_since_now(session);
    loop {
        let outcome = {
            // Boxed at once: a request that lay here would take its room in every idle connection.
            let step = match next_request(session, client, &mut times).await {
                Ok(request) => {
                    session.requests += 1;
                    session.admission.asks(session.requests);
                    Ok(Box::pin(exchange::run(session, client, request, times)))
                }
                Err(NoMore::NewTables) => {
                    session.follow();
                    continue;
                }
                Err(NoMore::Client(NoRequest::Http2)) if !stays(session) => return Spoken::Http2,
                Err(end) => Err(Box::pin(refuse(session, client, end, times))),
            };
            match step {
                Ok(exchange) => exchange.await,
                Err(refusal) => {
                    refusal.await;
                    return Spoken::Http1;
                }
            }
        };
        match outcome {
            // A client that was not told of an end may be sending its next request already.
            Outcome::Next if client.may_continue() => {}
            Outcome::Next | Outcome::Close => {
                Box::pin(close(session, client)).await;
                return Spoken::Http1;
            }
            Outcome::Gone => return Spoken::Http1,
            Outcome::Tunnel(server) => {
                Box::pin(upgrade::run(session, client, *server)).await;
                return Spoken::Http1;
            }
        }
        session.follow();
        times = idle_since_now(session);
    }
}

fn idle_since_now(session: &Session) -> Times {
    Times {
        idle_ns: session.worker.reactor.now_ns(),
        ..Times::default()
    }
}

/// `option disable-h2-upgrade`, or `proto h1`.
fn stays(session: &Session) -> bool {
    let handover = session.handover.as_ref();
    handover.is_some_and(|handover| handover.versions == Versions::Http1)
        || session.tables.frontend(session.frontend).stays_http1
        || session.bind().is_some_and(|bind| bind.stays_http1)
}

/// Why a connection ends before another request.
enum NoMore {
    /// Between requests, and nobody's fault.
    Quietly,
    Client(NoRequest),
    Timeout,
    /// An operator ends the connection.
    Killed,
    /// Another plane is in use: the wait goes on under it.
    NewTables,
}

/// Waits for the next request. No buffer is held while nothing arrives.
async fn next_request(
    session: &Session,
    client: &mut h1::client::Client,
    times: &mut Times,
) -> Result<Request, NoMore> {
    let worker = &session.worker;
    let frontend = session.tables.frontend(session.frontend);
    let (timeouts, idles_on) = (frontend.timeouts, frontend.idles_on);
    let first = session.requests == 0;
    let idle_ms = if first {
        None
    } else {
        timeouts.http_keep_alive_ms
    };
    let head_ms = timeouts.http_request_ms.or(timeouts.client_ms);
    let waited_ns = worker.reactor.now_ns().saturating_sub(times.idle_ns);
    let mut deadline_ns = worker
        .deadline(idle_ms.or(head_ms))
        .saturating_sub(waited_ns);
    let limits = session.tables.request_limits(session.frontend);
    let mut ends_ns = NEVER_NS;
    poll_fn(|_| {
        if let Poll::Ready(result) = poll_request(worker, client, &limits, times) {
            let rests = !first && !client.has_started();
            return Poll::Ready(result.map_err(|end| match end {
                // Whoever has been answered may leave as they like.
                NoRequest::Closed { partial: false } | NoRequest::Reset if rests => NoMore::Quietly,
                end => NoMore::Client(end),
            }));
        }
        if session.admission.is_doomed() {
            return Poll::Ready(Err(NoMore::Killed));
        }
        let now_ns = worker.reactor.now_ns();
        if client.has_started() && times.started_ns == 0 {
            times.started_ns = now_ns;
            if !first {
                deadline_ns = worker.deadline(head_ms);
            }
        }
        if !client.has_started() && !session.leaving && !worker.is_present(&session.tables) {
            return Poll::Ready(Err(NoMore::NewTables));
        }
        let is_told = session.ends() && !idles_on;
        if is_told && !first && !client.has_started() && ends_ns == NEVER_NS {
            ends_ns = now_ns.saturating_add(FAREWELL_MS * 1_000_000);
            deadline_ns = deadline_ns.min(ends_ns);
        }
        if now_ns >= deadline_ns {
            let idle = !first && !client.has_started();
            return Poll::Ready(Err(if idle {
                NoMore::Quietly
            } else {
                NoMore::Timeout
            }));
        }
        worker.reactor.wake_at(deadline_ns);
        Poll::Pending
    })
    .await
}

fn poll_request(
    worker: &Rc<Worker>,
    client: &mut h1::client::Client,
    limits: &plimsoll_wire::h1::Limits,
    times: &mut Times,
) -> Poll<Result<Request, NoRequest>> {
    if !client.has_unread() {
        ready!(client.transport.poll_readable());
    }
    let (mut head, mut early) = (worker.take_head(), worker.take_buffer());
    let polled = client.poll_request(limits, &mut head, &mut early);
    match polled {
        Poll::Ready(Ok(complete)) => {
            times.received_ns = worker.reactor.now_ns();
            if times.started_ns == 0 {
                times.started_ns = times.received_ns;
            }
            Poll::Ready(Ok(Request {
                head,
                early,
                complete,
            }))
        }
        other => {
            worker.give_head(head);
            worker.give_buffer(early);
            other.map_ok(|_| unreachable!("handled above"))
        }
    }
}

/// Answers and logs the end of a connection that brought no further request.
async fn refuse(session: &mut Session, client: &mut h1::client::Client, end: NoMore, times: Times) {
    let silent = session.requests == 0 && client.bytes_in == 0;
    if silent && session.tables.frontend(session.frontend).ignores_probes {
        return;
    }
    let fault = match end {
        NoMore::Quietly | NoMore::NewTables | NoMore::Killed => return say_end(session, client),
        NoMore::Client(NoRequest::Refused(error)) => {
            session.tables.counters.refuse(Side::Client, error.name());
            specimens::request(session, None, client.take_refused());
            tracking::count_session(session, Event::Request);
            tracking::count_session(session, Event::Error);
            Fault::Refused(error.status())
        }
        NoMore::Client(NoRequest::Http2) => {
            let error = RequestError::UnsupportedVersion;
            session.tables.counters.refuse(Side::Client, error.name());
            tracking::count_session(session, Event::Request);
            tracking::count_session(session, Event::Error);
            Fault::Refused(405)
        }
        NoMore::Client(NoRequest::Closed { .. } | NoRequest::Reset) => Fault::GaveUp,
        NoMore::Timeout => {
            tracking::count_session(session, Event::Request);
            Fault::ClientTimeout
        }
    };
    let frontend = session.tables.frontend(session.frontend);
    if !silent || !frontend.ignore_empty_connections {
        account::bad_request(session, client, fault, times);
    }
    if fault.status() != 0 {
        client.close_after();
        let Some(Reply { head, body, .. }) = error_reply(session, fault.status()) else {
            return;
        };
        if client.respond(&head, &body, End::Done, None).is_ok() {
            close(session, client).await;
        }
    }
}

/// The answer that the configuration, or `http-error`, has for a status.
fn error_reply(session: &mut Session, status: u16) -> Option<Reply> {
    let tables = Rc::clone(&session.tables);
    let files = tables.error_files(session.frontend, None);
    let Some(rule) = reply::composed(status, files) else {
        return reply::error(status, files);
    };
    let (mut facts, sight) = (ExchangeFacts::default(), rules::Sight::default());
    rules::with_session(session, &mut facts, Phase::Request, sight, |context| {
        reply::compose(rule, context)
    })
}

/// Closes in a way that lets the client read everything.
///
/// What has not left is sent. When the client may still be sending, the end is announced, and what arrives is thrown
/// away for a moment, because closing with unread bytes would reset the connection (RFC 9112 section 9.6).
async fn close(session: &Session, client: &mut h1::client::Client) {
    let worker = &session.worker;
    let client_ms = session.tables.frontend(session.frontend).timeouts.client_ms;
    let deadline_ns = worker.deadline(client_ms);
    if !matches!(
        worker
            .reactor
            .until(deadline_ns, || client.poll_flush())
            .await,
        Ok(Ok(()))
    ) {
        return;
    }
    // (The end of a handshake may still be under way.)
    if client.is_between_messages() && !client.transport.is_unconfirmed() {
        return say_end(session, client);
    }
    linger(worker, &mut client.transport, UPLOAD).await;
}

/// `option nolinger` is for connections with something under way: an idle one ends in order.
fn say_end(session: &Session, client: &mut h1::client::Client) {
    if session.tables.frontend(session.frontend).linger_zero {
        let _ = client.transport.socket().close_in_order();
    }
}

/// Announces the end, and throws away what still comes until the client ends its side too.
pub(crate) async fn linger(worker: &Worker, transport: &mut Transport, patience: Lingering) {
    let _ = transport.shutdown_write();
    let end_ns = worker.deadline(Some(patience.ms));
    let mut left = patience.bytes_max;
    while left > 0 {
        let silence_ns = worker.deadline(Some(LINGER_SILENCE_MS));
        let mut turn = patience.turn_bytes.min(left);
        let mut waits = patience.goes_on;
        let heard = worker.reactor.until(end_ns.min(silence_ns), || {
            let mut scratch = worker.reactor.scratch();
            let mut heard = false;
            if waits {
                ready!(transport.poll_readable());
                waits = !worker.reactor.goes_on();
            }
            if waits {
                worker.reactor.wake(worker.reactor.current());
                return Poll::Pending;
            }
            while turn > 0 {
                match transport.poll_read(&mut scratch) {
                    Poll::Ready(Ok(count @ 1..)) => {
                        heard = true;
                        left = left.saturating_sub(count);
                        turn = turn.saturating_sub(count);
                    }
                    Poll::Ready(_) => return Poll::Ready(false),
                    Poll::Pending if heard => return Poll::Ready(true),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(true)
        });
        if !matches!(heard.await, Ok(true)) {
            return;
        }
        worker.reactor.yield_now().await;
    }
}
