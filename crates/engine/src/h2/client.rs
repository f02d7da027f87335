//! A client's connection that speaks HTTP/2: one task that moves bytes and opens streams, and one for each stream.
//!
//! A stream's exchange is the usual one, in a session that is a copy of the connection's. What rules keep for the
//! connection, and server connections that belong to it alone, pass from each stream that ends to the next that begins.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use plimsoll_policy::context::StreamEnd;
use plimsoll_policy::counters::FrontendCounter;
use plimsoll_policy::model::Http2Log;
use plimsoll_policy::stick_table::Event;
use plimsoll_policy::variable::Variables;
use plimsoll_wire::h2::{Config, Key, Role};
use plimsoll_wire::head::{FieldKind, Head};
use plimsoll_wire::websocket;

use super::link::{Link, Over};
use super::stream::Stream;
use crate::counters::Side;
use crate::exchange::{self, Outcome, Request, Times};
use crate::session::{FRAMES, Session, linger};
use crate::splice::Splice;
use crate::stream::{ClientStream, End, Piece, StreamError};
use crate::tables::Tables;
use crate::transport::Transport;
use crate::worker::NEVER_NS;
use crate::{account, tracking};

/// How long a client may take to receive our last words.
const FAREWELL_MS: u64 = 2_000;

/// Serves a connection to its end. `early` is what was read before its protocol was known.
pub(crate) async fn serve(session: &mut Session, transport: Transport, early: Vec<u8>) {
    account::protocol_begins(session, FrontendCounter::H2Sessions);
    let worker = Rc::clone(&session.worker);
    let config = config(&session.tables, session);
    let link = Rc::new(Link::new(Rc::clone(&worker), Role::Server, config));
    link.follow_handshake(&transport);
    link.keep_early(early);
    let mut front = Front {
        idle_until_ns: worker.deadline(first_wait_ms(session)),
        shared: Rc::default(),
        glitches: 0,
        link,
        transport,
        session,
    };
    let end = poll_fn(|_| front.poll()).await;
    front.part(end).await;
}

/// What clients may do, by `tune.h2.*`.
fn config(tables: &Tables, session: &Session) -> Config {
    let tune = &tables.plane.model.global.tune.http2;
    let usual = Config::default();
    Config {
        streams_max: tune.clients.streams_max.unwrap_or(tune.streams_max),
        window_bytes: tune.clients.window_bytes.unwrap_or(tune.window_bytes),
        connection_window_bytes: tune
            .clients
            .connection_bytes
            .unwrap_or(usual.connection_window_bytes),
        frame_bytes: tune.frame_bytes,
        table_bytes: tune.table_bytes,
        extended_connect: !tune.hides_web_sockets,
        spare_bytes: 0,
        limits: tables.request_limits(session.frontend),
    }
}

/// How long the first request may take.
fn first_wait_ms(session: &Session) -> Option<u64> {
    let timeouts = session.tables.frontend(session.frontend).timeouts;
    timeouts.http_request_ms.or(timeouts.client_ms)
}

/// What the streams of a connection hand to each other.
#[derive(Default)]
struct Shared {
    /// `sess.…`, once a stream has ended.
    variables: Option<Variables>,
    #[expect(clippy::vec_box, reason = "connections move, and are large")]
    own: Vec<Box<crate::pool::Connection>>,
}

/// The connection, as the task that moves its bytes has it.
struct Front<'a> {
    session: &'a mut Session,
    link: Rc<Link>,
    transport: Transport,
    shared: Rc<RefCell<Shared>>,
    /// When the connection ends because nothing is asked on it; never, while streams are open.
    idle_until_ns: u64,
    /// Oddities that have been counted.
    glitches: u32,
}

impl Front<'_> {
    fn poll(&mut self) -> Poll<Over> {
        let received = self.link.poll_receive(&mut self.transport);
        self.link.follow_handshake(&self.transport);
        if let Poll::Ready(over) = received {
            self.open_streams();
            return Poll::Ready(over);
        }
        self.open_streams();
        if self.leaves() {
            self.link.with(|machine| machine.leave());
        }
        let sent = self.link.poll_send(&mut self.transport, false);
        self.open_streams();
        if let Poll::Ready(Err(over)) = sent {
            return Poll::Ready(over);
        }
        let worker = &self.session.worker;
        let (open, leaving) = {
            let machine = self.link.look();
            (machine.open_streams(), machine.is_leaving())
        };
        if open > 0 {
            self.idle_until_ns = NEVER_NS;
            return Poll::Pending;
        }
        if (leaving || self.session.admission.is_doomed()) && sent.is_ready() {
            return Poll::Ready(Over::Done);
        }
        if self.idle_until_ns == NEVER_NS {
            let timeouts = self.session.tables.frontend(self.session.frontend).timeouts;
            let idle_ms = timeouts.http_keep_alive_ms.or(timeouts.http_request_ms);
            self.idle_until_ns = worker.deadline(idle_ms.or(timeouts.client_ms));
        }
        if worker.reactor.now_ns() >= self.idle_until_ns {
            return Poll::Ready(Over::Done);
        }
        if self.idle_until_ns != NEVER_NS {
            worker.reactor.wake_at(self.idle_until_ns);
        }
        Poll::Pending
    }

    /// Whether no more streams are to be taken.
    fn leaves(&mut self) -> bool {
        self.session.follow();
        let tune = &self.session.tables.plane.model.global.tune.http2;
        let total = tune.clients.streams_total;
        self.session.ends() || total.is_some_and(|total| self.session.requests >= total)
    }

    /// Counts what was odd since the last time.
    fn count_glitches(&mut self) {
        let now = self.link.look().counts().glitches;
        let before = std::mem::replace(&mut self.glitches, now);
        if now > before {
            self.session.facts.extra().glitches = now;
            tracking::count_session(self.session, Event::Glitch(u64::from(now - before)));
        }
    }

    /// Starts a task for each request that has come.
    fn open_streams(&mut self) {
        self.count_glitches();
        self.begin_streams();
        let rejected = self.link.take_rejected();
        if self.logged() < Http2Log::Stream {
            return;
        }
        for status in rejected {
            account::frames_rejected(self.session, status);
        }
    }

    /// Which misdeeds leave a line in the log.
    fn logged(&self) -> Http2Log {
        self.session.tables.plane.model.global.tune.http2.logged
    }

    fn begin_streams(&mut self) {
        while let Some(key) = self.link.next_request() {
            let (link, shared) = (Rc::clone(&self.link), Rc::clone(&self.shared));
            let Some(mut head) = link.with(|machine| machine.take_head(key)) else {
                continue;
            };
            self.session.requests = self.session.requests.saturating_add(1);
            self.session.admission.asks(self.session.requests);
            complete_handshake(&mut head, || self.session.worker.random());
            let session = self.session.fork();
            let reactor = &self.session.worker.reactor;
            // What follows a change of protocol is no body: nothing is read of it before it is granted.
            let tunnels = head.upgrade || head.method() == b"CONNECT";
            let request = Request {
                complete: tunnels || link.look().is_read_out(key),
                early: self.session.worker.take_buffer(),
                head,
            };
            let stream = ClientHalf::new(link, key, &request.head);
            match reactor.spawn(run(session, stream, shared, request)) {
                Ok(task) => self.link.with(|machine| machine.set_owner(key, task)),
                // The stream is cancelled with its task; a full table is counted.
                Err(_) => return,
            }
        }
    }

    /// Says goodbye as far as that is possible, and waits for the streams.
    async fn part(&mut self, mut end: Over) {
        let worker = Rc::clone(&self.session.worker);
        if end == Over::Closed {
            end = self.answer_the_rest().await;
        }
        let fault = self.link.look().fault();
        if let Some(fault) = fault {
            let counters = &self.session.tables.counters;
            counters.refuse(Side::Client, fault.name());
            counters
                .frontend(self.session.frontend)
                .increment(FrontendCounter::RequestErrors);
            tracking::count_session(self.session, Event::Error);
            if self.logged() >= Http2Log::Connection {
                account::frames_rejected(self.session, 0);
            }
        }
        if matches!(end, Over::Done | Over::Fault) {
            self.link.with(|machine| machine.leave());
            let deadline_ns = worker.deadline(Some(FAREWELL_MS));
            let (link, transport) = (&self.link, &mut self.transport);
            let sent = worker
                .reactor
                .until(deadline_ns, || link.poll_send(transport, true))
                .await;
            if matches!(sent, Ok(Ok(()))) {
                self.linger().await;
            }
        }
        self.link.close();
        let link = &self.link;
        poll_fn(|_| match link.look().open_streams() {
            0 => Poll::Ready(()),
            _ => {
                link.clear_ask();
                Poll::Pending
            }
        })
        .await;
    }

    /// Serves what a client had asked for before it ended its side.
    async fn answer_the_rest(&mut self) -> Over {
        self.link.with(|machine| machine.end_input());
        poll_fn(|_| {
            self.open_streams();
            let sent = self.link.poll_send(&mut self.transport, false);
            self.open_streams();
            let open = self.link.look().open_streams();
            match sent {
                Poll::Ready(Err(over)) => Poll::Ready(over),
                Poll::Ready(Ok(())) if open == 0 => Poll::Ready(Over::Closed),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Lets the client read our last words before a close with unread bytes could reset the connection.
    async fn linger(&mut self) {
        linger(&self.session.worker, &mut self.transport, FRAMES).await;
    }
}

/// RFC 8441 has no key for what RFC 6455 demands one: ours goes to a server that speaks HTTP/1.
fn complete_handshake(head: &mut Head, mut random: impl FnMut() -> u64) {
    let protocol = head.find(FieldKind::Upgrade).unwrap_or_default();
    if !head.upgrade || !protocol.eq_ignore_ascii_case(b"websocket") {
        return;
    }
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&random().to_ne_bytes());
    bytes[8..].copy_from_slice(&random().to_ne_bytes());
    let key = websocket::Key::of(bytes);
    head.remove(b"sec-websocket-key");
    head.add(b"sec-websocket-key", key.as_bytes());
}

/// One stream, from its request to the end of its response.
async fn run(
    mut session: Session,
    mut stream: ClientHalf,
    shared: Rc<RefCell<Shared>>,
    request: Request,
) {
    {
        let mut shared = shared.borrow_mut();
        if let Some(variables) = &shared.variables {
            session.facts.extra().variables = variables.clone();
        }
        session.own = std::mem::take(&mut shared.own);
    }
    let now_ns = session.worker.reactor.now_ns();
    let times = Times {
        idle_ns: now_ns,
        started_ns: now_ns,
        received_ns: now_ns,
        ..Times::default()
    };
    let outcome = exchange::run(&mut session, &mut stream, request, times).await;
    if !matches!(outcome, Outcome::Gone) && stream.inner.is_holding() {
        // What was handed over belongs to the client, even when the exchange ended badly behind it.
        let client_ms = session.tables.frontend(session.frontend).timeouts.client_ms;
        let deadline_ns = session.worker.deadline(client_ms);
        let flushed = session
            .worker
            .reactor
            .until(deadline_ns, || stream.poll_flush());
        let _ = flushed.await;
    }
    let mut shared = shared.borrow_mut();
    if let Some(extra) = &mut session.facts.extra {
        shared.variables = Some(std::mem::take(&mut extra.variables));
    }
    if shared.own.is_empty() {
        shared.own = std::mem::take(&mut session.own);
    }
}

/// The client's side of an exchange, as one stream of its connection.
struct ClientHalf {
    inner: Stream,
    /// `100 Continue` was asked for and not sent yet.
    expects_continue: bool,
    /// The response has no body: the request, as it was received, is one of those, or a status is (RFC 9110 section 6.4.1).
    mute: bool,
    /// A client that has ended its side of the connection has left (`option abortonclose`).
    heeds_end: Cell<bool>,
    /// Bytes of heads, about as HTTP/1 would have sent them.
    head_bytes: (u64, u64),
}

impl ClientHalf {
    fn new(link: Rc<Link>, key: Key, request: &Head) -> Self {
        Self {
            inner: Stream::new(link, key),
            expects_continue: request.expect_continue,
            mute: request.method() == b"HEAD",
            heeds_end: Cell::new(false),
            head_bytes: (request.arena.len() as u64, 0),
        }
    }

    fn begin(&mut self, head: &Head, end: bool) -> Result<(), StreamError> {
        if self.inner.reset_code().is_some() {
            return Err(StreamError::Reset);
        }
        self.head_bytes.1 += head.arena.len() as u64;
        let key = self.inner.key;
        self.inner
            .link
            .with(|machine| machine.send_head(key, head, end));
        Ok(())
    }
}

impl Splice for ClientHalf {}

impl ClientStream for ClientHalf {
    fn poll_body(&mut self, scratch: &mut [u8]) -> Poll<Result<Piece, StreamError>> {
        self.inner.poll_body(scratch)
    }

    fn poll_handshake(&mut self) -> Poll<Result<(), StreamError>> {
        let link = &self.inner.link;
        match link.poll_handshake() {
            _ if self.inner.reset_code().is_some() => Poll::Ready(Err(StreamError::Reset)),
            // What is still missing will not come.
            Poll::Pending if link.look().has_input_ended() => Poll::Ready(Err(StreamError::Closed)),
            polled => polled.map(Ok),
        }
    }

    fn request_trailers(&self) -> Option<&Head> {
        self.inner.trailers()
    }

    fn invite(&mut self) -> Result<(), StreamError> {
        if !std::mem::take(&mut self.expects_continue) {
            return Ok(());
        }
        let head = Head {
            status: 100,
            ..Head::default()
        };
        self.begin(&head, false)
    }

    fn inform(&mut self, head: &Head) -> Result<(), StreamError> {
        self.expects_continue = false;
        self.begin(head, false)
    }

    fn respond(
        &mut self,
        head: &Head,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError> {
        self.mute |= head.is_bodiless();
        let is_empty = self.mute || payload.is_empty() && trailers.is_none();
        let is_all = is_empty && end.is_done();
        self.begin(head, is_all)?;
        match is_all {
            true => Ok(()),
            false => self.send(payload, end, trailers),
        }
    }

    fn send(
        &mut self,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError> {
        match (self.mute, end.is_done()) {
            // What a server sends all the same is left out. The response ends with it, so that the connection it came by is
            // there for the next request.
            (true, false) => Ok(()),
            (true, true) => self.inner.send(&[], end, None),
            (false, _) => self.inner.send(payload, end, trailers),
        }
    }

    fn poll_flush(&mut self) -> Poll<Result<(), StreamError>> {
        self.inner.poll_flush()
    }

    fn poll_room(&mut self) -> Poll<Result<usize, StreamError>> {
        self.inner.poll_room()
    }

    fn end(&self) -> Option<StreamEnd> {
        Some(self.inner.end())
    }

    fn appetite(&self) -> usize {
        let tables = self.inner.link.worker.tables();
        let head_bytes = tables.plane.model.global.tune.buffer_bytes as usize;
        self.inner.room().max(head_bytes + 1)
    }

    fn is_backlogged(&self) -> bool {
        self.inner.is_backlogged()
    }

    fn poll_gone(&mut self) -> Poll<()> {
        let has_left = self.heeds_end.get() && self.inner.link.look().has_input_ended();
        match has_left || self.inner.reset_code().is_some() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    fn heed_end(&self, heeds: bool) {
        self.heeds_end.set(heeds);
    }

    fn take_traffic(&mut self) -> (u64, u64) {
        let (received, sent) = std::mem::take(&mut self.head_bytes);
        (
            received + std::mem::take(&mut self.inner.received_bytes),
            sent + std::mem::take(&mut self.inner.sent_bytes),
        )
    }

    fn traffic(&self) -> (u64, u64) {
        let (received, sent) = self.head_bytes;
        (
            received + self.inner.received_bytes,
            sent + self.inner.sent_bytes,
        )
    }

    /// One stream cannot close the connection of the others.
    fn close_after(&mut self) {}

    /// A response that is complete ends its stream, and with it what is left of the request.
    fn closes(&self) -> bool {
        true
    }

    fn is_multiplexed(&self) -> bool {
        true
    }

    fn become_tunnel(&mut self) {}
}
