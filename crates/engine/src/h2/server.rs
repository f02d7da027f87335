//! Connections to servers that speak HTTP/2: each carries the requests of many clients side by side.
//!
//! A [`Trunk`] lies in its server's pool for as long as it takes new streams. Its bytes are moved by a task of its own,
//! so that the requests and responses of one turn of the loop leave in one write, whoever they belong to.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use std::future::poll_fn;

use plimsoll_policy::context::StreamEnd;
use plimsoll_policy::tls::Facts;
use plimsoll_wire::h1::response::ResponseError;
use plimsoll_wire::h2::{Code, Config, Role};
use plimsoll_wire::head::{FieldKind, Head};
use plimsoll_wire::websocket;

use super::link::{Link, Over};
use super::stream::Stream;
use crate::counters::Side;
use crate::fault::Fault;
use crate::pool::Mark;
use crate::reactor::TaskId;
use crate::splice::Splice;
use crate::stream::{End, Piece, ServerStream, StreamError};
use crate::tables::Tables;
use crate::transport::Transport;
use crate::worker::Worker;

/// The scheme of a request whose target names none, whatever carries it: as HAProxy has it, and servers expect it.
const SCHEME: &[u8] = b"https";

/// What long bodies may have beyond their windows, on one connection.
const SPARE_BYTES: u32 = 1 << 20;

/// What servers may do, by `tune.h2.*` and the limits of their backend's responses.
pub(crate) fn config(tables: &Tables, limits: plimsoll_wire::h1::Limits) -> Config {
    let tune = &tables.plane.model.global.tune.http2;
    let streams_max = tune.servers.streams_max.unwrap_or(tune.streams_max);
    let window_bytes = tune.servers.window_bytes.unwrap_or(tune.window_bytes);
    // Room for what every stream may hold: a client that reads slowly must not stop those beside it.
    let all_bytes = window_bytes.saturating_mul(streams_max);
    let all_bytes = all_bytes.saturating_add(SPARE_BYTES);
    let connection_bytes = tune.servers.connection_bytes;
    Config {
        streams_max,
        window_bytes,
        connection_window_bytes: connection_bytes.unwrap_or(all_bytes),
        spare_bytes: connection_bytes.unwrap_or(SPARE_BYTES),
        frame_bytes: tune.frame_bytes,
        table_bytes: tune.table_bytes,
        limits,
        ..Config::default()
    }
}

/// A connection to a server, shared by exchanges.
pub(crate) struct Trunk {
    link: Rc<Link>,
    /// It takes no more streams, and ends with the last of them.
    retired: Cell<bool>,
    /// Nothing was asked on it since the pool last looked.
    rested: Cell<bool>,
    /// Streams opened on it.
    uses: Cell<u32>,
    /// Exchanges that have to know what the server allows before they ask.
    waiting: RefCell<Vec<TaskId>>,
    /// What tells it from other connections to the same server.
    mark: Mark,
    /// What the handshake has told.
    tls: Option<Arc<Facts>>,
}

impl Trunk {
    /// Starts a connection over a transport that is connected.
    pub(crate) fn start(
        worker: &Rc<Worker>,
        transport: Transport,
        config: Config,
        mark: Mark,
    ) -> Result<Rc<Self>, Fault> {
        let link = Rc::new(Link::new(Rc::clone(worker), Role::Client, config));
        let trunk = Rc::new(Self {
            link,
            retired: Cell::new(false),
            rested: Cell::new(false),
            uses: Cell::new(0),
            waiting: RefCell::default(),
            mark,
            tls: transport.facts().map(Arc::clone),
        });
        let task = carry(Rc::clone(&trunk), transport);
        let mover = worker.reactor.spawn(task).map_err(|_| Fault::Exhausted)?;
        trunk.link.set_mover(mover);
        Ok(trunk)
    }

    /// Whether one more stream may be opened.
    pub(crate) fn has_room(&self) -> bool {
        !self.retired.get() && self.link.look().capacity() > 0
    }

    /// Whether it will never take another stream.
    pub(crate) fn is_over(&self) -> bool {
        self.retired.get() || self.link.look().is_leaving()
    }

    /// Whether it has carried an exchange.
    pub(crate) fn is_proven(&self) -> bool {
        self.uses.get() > 0
    }

    /// What tells it from other connections to the same server.
    pub(crate) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Streams opened on it so far.
    pub(crate) fn uses(&self) -> u32 {
        self.uses.get()
    }

    /// Takes no more streams.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.link.ask();
    }

    /// Whether nothing has been asked on it since the last time this was asked, nor is now.
    pub(crate) fn has_rested(&self) -> bool {
        let idle = self.link.look().open_streams() == 0;
        idle && self.rested.replace(true)
    }

    /// Moves bytes until nothing is left to be moved.
    fn poll(&self, transport: &mut Transport) -> Poll<Over> {
        let link = &self.link;
        let received = link.poll_receive(transport);
        link.spread_news();
        if link.look().is_settled() || received.is_ready() {
            for task in self.waiting.take() {
                link.worker.reactor.wake(task);
            }
        }
        let sent = link.poll_send(transport, false);
        link.spread_news();
        if let Poll::Ready(over) = received {
            return Poll::Ready(over);
        }
        if let Poll::Ready(Err(over)) = sent {
            return Poll::Ready(over);
        }
        let machine = link.look();
        let ends = self.retired.get() || machine.is_leaving();
        match ends && machine.open_streams() == 0 && sent.is_ready() {
            true => Poll::Ready(Over::Done),
            false => Poll::Pending,
        }
    }
}

/// The task of a trunk.
async fn carry(trunk: Rc<Trunk>, mut transport: Transport) {
    let over = poll_fn(|_| trunk.poll(&mut transport)).await;
    trunk.retired.set(true);
    let link = &trunk.link;
    if let Some(fault) = link.look().fault() {
        let tables = link.worker.tables();
        tables.counters.refuse(Side::Server, fault.name());
    }
    if matches!(over, Over::Done | Over::Fault) {
        link.with(|machine| machine.leave());
        // What the server does not take at once it will not miss.
        let _ = link.poll_send(&mut transport, true);
    }
    link.close();
}

/// The server's side of an exchange, as one stream of a trunk.
pub(crate) struct ServerHalf {
    trunk: Rc<Trunk>,
    /// Once the request has been sent.
    stream: Option<Stream>,
    /// Whether the exchange has to be the last one on its trunk.
    pub(crate) persistent: bool,
    answered: bool,
    request_done: bool,
    /// What a client of HTTP/1 wants to see of its handshake.
    handshake: Option<(Vec<u8>, Option<websocket::Key>)>,
}

impl ServerHalf {
    pub(crate) fn new(trunk: Rc<Trunk>) -> Self {
        Self {
            trunk,
            stream: None,
            persistent: true,
            answered: false,
            request_done: false,
            handshake: None,
        }
    }

    /// Ready when the server has said what it allows, or never will.
    pub(crate) fn poll_settled(&self) -> Poll<()> {
        let link = &self.trunk.link;
        if link.look().is_settled() || self.trunk.is_over() {
            return Poll::Ready(());
        }
        let current = link.worker.reactor.current();
        let mut waiting = self.trunk.waiting.borrow_mut();
        if !waiting.contains(&current) {
            waiting.push(current);
        }
        Poll::Pending
    }

    pub(crate) fn is_request_done(&self) -> bool {
        self.request_done
    }

    /// What this is among the streams of its connection, once it has been opened.
    pub(crate) fn end(&self) -> Option<StreamEnd> {
        self.stream.as_ref().map(Stream::end)
    }

    /// Oddities on the connection so far.
    pub(crate) fn glitches(&self) -> u32 {
        self.trunk.link.look().counts().glitches
    }

    /// What the handshake with the server has told.
    pub(crate) fn tls(&self) -> Option<&Arc<Facts>> {
        self.trunk.tls.as_ref()
    }

    fn failed(&self) -> StreamError {
        let code = self.stream.as_ref().and_then(Stream::reset_code);
        match code {
            // RFC 9113 section 8.7: the server has not looked at the request.
            Some(Code::REFUSED_STREAM) if !self.answered => StreamError::Unprocessed,
            _ => StreamError::Reset,
        }
    }

    /// Writes what a server of HTTP/1 would have answered to the same handshake.
    fn complete_handshake(&self, head: &mut Head) {
        let Some((protocol, key)) = &self.handshake else {
            return;
        };
        head.add(b"upgrade", protocol);
        if let Some(key) = key {
            head.remove(b"sec-websocket-accept");
            head.add(b"sec-websocket-accept", &key.accept());
        }
    }
}

impl Splice for ServerHalf {}

impl ServerStream for ServerHalf {
    fn request(
        &mut self,
        head: &Head,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError> {
        let trunk = &self.trunk;
        trunk.uses.set(trunk.uses.get().saturating_add(1));
        trunk.rested.set(false);
        if !self.persistent {
            trunk.retired.set(true);
        }
        if head.upgrade {
            let machine = trunk.link.look();
            // An extended CONNECT stands for a GET, and has no body of its own.
            let can_ask = head.method() == b"GET" && end.is_done() && payload.is_empty();
            if !can_ask || !machine.peer_connects() {
                return Err(StreamError::Response(ResponseError::UnexpectedSwitch));
            }
            let protocol = head.find(FieldKind::Upgrade).unwrap_or_default().to_vec();
            let key = head.value(b"sec-websocket-key");
            self.handshake = Some((protocol, key.and_then(websocket::Key::read)));
        }
        self.request_done = end.is_done();
        let is_all = end.is_done() && payload.is_empty() && trailers.is_none();
        let opened = trunk
            .link
            .with(|machine| machine.open(head, SCHEME, is_all));
        let key = opened.ok_or(StreamError::Unprocessed)?;
        let reactor = &trunk.link.worker.reactor;
        trunk
            .link
            .with(|machine| machine.set_owner(key, reactor.current()));
        let stream = self.stream.insert(Stream::new(Rc::clone(&trunk.link), key));
        match is_all {
            true => Ok(()),
            false => stream.send(payload, end, trailers),
        }
    }

    fn send(
        &mut self,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError> {
        self.request_done |= end.is_done();
        let stream = self.stream.as_mut().ok_or(StreamError::Closed)?;
        stream.send(payload, end, trailers)
    }

    fn poll_flush(&mut self) -> Poll<Result<(), StreamError>> {
        match &mut self.stream {
            Some(stream) => stream.poll_flush(),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_room(&mut self) -> Poll<Result<usize, StreamError>> {
        match &mut self.stream {
            Some(stream) => stream.poll_room(),
            None => Poll::Ready(Err(StreamError::Closed)),
        }
    }

    fn poll_response(
        &mut self,
        head: &mut Head,
        scratch: &mut [u8],
    ) -> Poll<Result<Piece, StreamError>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Err(StreamError::Closed));
        };
        let (link, key) = (&stream.link, stream.key);
        let Some(taken) = link.with(|machine| machine.take_head(key)) else {
            return match stream.reset_code() {
                Some(_) => Poll::Ready(Err(self.failed())),
                None => Poll::Pending,
            };
        };
        link.worker.give_head(std::mem::replace(head, taken));
        let nothing = Piece {
            range: 0..0,
            last: true,
        };
        if head.status < 200 {
            if head.status == 101 {
                self.answered = true;
                self.complete_handshake(head);
            }
            return Poll::Ready(Ok(nothing));
        }
        self.answered = true;
        match stream.poll_body(scratch) {
            Poll::Ready(piece) => Poll::Ready(piece),
            Poll::Pending => Poll::Ready(Ok(Piece {
                range: 0..0,
                last: false,
            })),
        }
    }

    fn poll_body(&mut self, scratch: &mut [u8]) -> Poll<Result<Piece, StreamError>> {
        match &mut self.stream {
            Some(stream) => stream.poll_body(scratch),
            None => Poll::Ready(Err(StreamError::Closed)),
        }
    }

    fn response_trailers(&self) -> Option<&Head> {
        self.stream.as_ref()?.trailers()
    }

    fn is_backlogged(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_backlogged)
    }

    fn answered(&self) -> bool {
        self.answered
    }
}
