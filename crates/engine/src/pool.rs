//! Server connections: opened, lent to exchanges, kept while idle.
//!
//! Every worker has its own pool per server, so that a request and its response stay on one core and no lock is
//! needed. The connection used last is lent first: its memory is warm, and the surplus grows old and is purged.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use plimsoll_policy::context::{Labels, SessionFacts};
use plimsoll_policy::model::source::Source;
use plimsoll_policy::model::{BackendId, Protocol, Reuse, ServerAddress, ServerId, ServerPort};
use plimsoll_policy::passive::Observation;
use plimsoll_sys::{Address, ConnectOptions};
use plimsoll_wire::head::Head;

use crate::fault::Fault;
use crate::h2::server::{ServerHalf, Trunk};
use crate::observe;
use crate::reactor::{self, Reactor, Socket, SocketId, TimedOut};
use crate::tables::Tables;
use crate::tls::handshake::{self, Failure};
use crate::transport::Transport;
use crate::upstream::Upstream;
use crate::worker::Worker;
use crate::{h1, h2, sockets, socks};

/// Idle connections kept per server and worker when `pool-max-conn` says nothing.
pub(crate) const IDLE_PER_SERVER_MAX: usize = 4_096;

/// Idle connections kept per server and worker whether or not so many were needed lately.
const IDLE_FREE: usize = 8;

/// Pause before a connection is tried again for want of descriptors or ports.
const EXHAUSTED_PAUSE_NS: u64 = 20_000_000;

/// A connection to a server, while it serves an exchange or waits for one.
pub(crate) struct Connection {
    pub(crate) stream: Upstream,
    /// It has carried an exchange before this one.
    pub(crate) reused: bool,
    /// It is authenticated as one client's, and may serve no other.
    pub(crate) private: bool,
    /// Exchanges begun on it.
    pub(crate) uses: u32,
    pub(crate) mark: Mark,
    pub(crate) backend: BackendId,
    pub(crate) server: ServerId,
}

impl Connection {
    /// Opens a connection.
    pub(crate) async fn open(
        worker: &Rc<Worker>,
        tables: &Tables,
        (backend, server): (BackendId, ServerId),
        opening: Opening<'_>,
    ) -> Result<Box<Self>, Fault> {
        let (mark, wanted) = (opening.identity.keep(), opening.protocol);
        let alone = tables.backend(backend).reuse == Reuse::Never;
        let transport = open(worker, tables, (backend, server), opening).await?;
        let limits = tables.response_limits(backend);
        let agreed = transport.has_agreed_on(b"h2");
        let http2 = match wanted {
            None => agreed || tables.server(backend, server).http2,
            Some(Protocol::Http1) => false,
            // Where protocols are offered the server has the last word.
            Some(Protocol::Http2) => agreed || !offers_protocols(tables, (backend, server)),
        };
        let stream = match http2 {
            false => Upstream::H1(h1::server::Server::new(worker.clone(), transport, limits)),
            true => {
                let config = h2::server::config(tables, limits);
                let trunk = Trunk::start(worker, transport, config, mark.clone())?;
                match alone {
                    true => trunk.retire(),
                    false => tables.pool(backend, server).share(Rc::clone(&trunk)),
                }
                Upstream::H2(ServerHalf::new(trunk))
            }
        };
        Ok(Self::over(stream, (backend, server), mark))
    }

    fn over(stream: Upstream, (backend, server): (BackendId, ServerId), mark: Mark) -> Box<Self> {
        Box::new(Self {
            stream,
            reused: false,
            private: false,
            uses: 0,
            mark,
            backend,
            server,
        })
    }

    /// The socket, where the connection has one for itself.
    pub(crate) fn socket(&self) -> Option<&Socket> {
        self.stream.own().map(|server| server.transport.socket())
    }
}

/// How packets to a server get there, as far as that depends on whose request it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    /// Where they go, if that depends on where the client wanted to go.
    destination: Option<SocketAddr>,
    /// Where they come from, if that is somebody else's address (`usesrc`).
    source: Option<SocketAddr>,
    labels: Labels,
}

impl Route {
    /// The route to a server for this client and its request.
    pub(crate) fn to(
        tables: &Tables,
        (backend, server): (BackendId, ServerId),
        client: &SessionFacts,
        request: Option<&Head>,
        labels: Labels,
    ) -> Self {
        let own = &tables.server(backend, server).address;
        let source = tables.source(backend, server);
        let foreign = source.and_then(|source| source.foreign.as_ref());
        let mut route = Self {
            destination: None,
            source: foreign.and_then(|foreign| foreign.address(client.source, request)),
            labels,
        };
        if own.follows_client() {
            let moved = tables.plane.backend(backend).server(server).moved_to();
            let place = address_of(moved.as_ref().unwrap_or(own), client.destination);
            route.destination = place.and_then(|address| address.inet());
        }
        route
    }
}

/// What tells connections to one server apart: one that differs is of no use to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity<'a> {
    /// What `pool-conn-name` yields, or else the name that the server is asked for in TLS.
    pub(crate) name: Option<&'a [u8]>,
    pub(crate) route: Route,
    /// The PROXY header that it begins with: whom it has introduced it speaks for.
    pub(crate) header: Option<&'a [u8]>,
}

impl Identity<'_> {
    fn keep(self) -> Mark {
        Mark {
            name: self.name.map(Into::into),
            route: self.route,
            header: self.header.map(Into::into),
        }
    }
}

/// The identity of an open connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mark {
    name: Option<Box<[u8]>>,
    route: Route,
    header: Option<Box<[u8]>>,
}

impl Mark {
    pub(crate) fn identity(&self) -> Identity<'_> {
        Identity {
            name: self.name.as_deref(),
            route: self.route,
            header: self.header.as_deref(),
        }
    }
}

/// What a request asks of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish<'a> {
    pub(crate) identity: Identity<'a>,
    /// The only protocol in which it can be carried.
    pub(crate) protocol: Option<Protocol>,
}

impl Wish<'_> {
    fn suits(&self, protocol: Protocol, mark: &Mark) -> bool {
        self.protocol.is_none_or(|wanted| wanted == protocol) && mark.identity() == self.identity
    }

    /// Whether a connection that is one exchange's at a time will do.
    pub(crate) fn suits_own(&self, connection: &Connection) -> bool {
        self.suits(Protocol::Http1, &connection.mark)
    }
}

/// How a connection to a server begins.
#[derive(Clone, Copy)]
pub(crate) struct Opening<'a> {
    /// Where the client wanted to go, for servers without an address or a port of their own.
    pub(crate) client: Option<SocketAddr>,
    /// What a rule set in place of `timeout connect`, in milliseconds.
    pub(crate) connect_ms: Option<u64>,
    /// What the server is asked for in TLS.
    pub(crate) name: Option<&'a str>,
    /// What tells it from others; a PROXY header is sent first.
    pub(crate) identity: Identity<'a>,
    /// The only protocol that is of use.
    pub(crate) protocol: Option<Protocol>,
}

/// Whether the server is offered protocols in TLS.
fn offers_protocols(tables: &Tables, (backend, server): (BackendId, ServerId)) -> bool {
    let tls = tables.tls.server(backend, server);
    tls.is_some_and(|back| back.offers_protocols())
}

/// Closes a connection whose last response is complete.
///
/// A reset does it with one packet, and leaves no port waiting on our side (RFC 9293 section 3.6.1): source ports
/// towards a busy server are precious. Nothing is lost by it, since nothing is on its way.
pub(crate) fn discard(connection: Box<Connection>) {
    if let Some(socket) = connection.socket()
        && !socket.hung_up()
    {
        let _ = socket.reset_on_close();
    }
}

/// For how long a server may be connected before it is watched whether the client is still there: mostly there is no need
/// to, and a client that is watched costs a call.
const QUICK_CONNECT_NS: u64 = 10_000_000;

/// Waits for a connection that is being opened, and gives up when its client has `left` meanwhile. Of one that is there
/// quickly that is never asked.
pub(crate) async fn unless_left<T>(
    reactor: &Reactor,
    mut opening: Pin<Box<impl Future<Output = Result<T, Fault>>>>,
    mut left: impl FnMut() -> bool,
) -> Result<T, Fault> {
    let watched_ns = reactor.now_ns() + QUICK_CONNECT_NS;
    poll_fn(|context| {
        let opened = opening.as_mut().poll(context);
        let watches = opened.is_pending() && reactor.poll_deadline(watched_ns).is_ready();
        match watches && left() {
            true => Poll::Ready(Err(Fault::ClientClosed)),
            false => opened,
        }
    })
    .await
}

/// Connects to a server within `timeout connect`, its handshake included.
pub(crate) async fn open(
    worker: &Rc<Worker>,
    tables: &Tables,
    (backend, server): (BackendId, ServerId),
    opening: Opening<'_>,
) -> Result<Transport, Fault> {
    let Opening {
        client,
        connect_ms,
        name,
        identity,
        protocol,
    } = opening;
    let model = tables.server(backend, server);
    let server_address = present_address(tables, (backend, server), client);
    let server_address = server_address.ok_or(Fault::ConnectRefused)?;
    let address = match model.socks {
        Some(proxy) => Address::Inet(proxy),
        None => server_address.clone(),
    };
    let back = tables.backend(backend);
    let mut options = connect_options(tables, (backend, server), identity.route, &address);
    let mut ports = SourcePorts::of(tables.source(backend, server), &options, worker.random());
    let deadline_ns = worker.deadline(connect_ms.or(back.timeouts.connect_ms));
    let socket = loop {
        let chosen = ports.next(&mut options);
        match reactor::connect(&worker.reactor, &address, &options) {
            Ok(socket) => break socket,
            Err(error) if chosen && is_taken(&error) => {}
            Err(error) => make_room(worker, tables, &error, deadline_ns).await?,
        }
    };
    match worker
        .reactor
        .until(deadline_ns, || socket.poll_connected())
        .await
    {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(refused(&error)),
        Err(TimedOut) => return Err(Fault::ConnectTimeout),
    }
    if let (Some(_), Address::Inet(destination)) = (model.socks, server_address) {
        socks::ask(&worker.reactor, &socket, destination, deadline_ns).await?;
    }
    if back.linger_zero {
        let _ = socket.reset_on_close();
    }
    if let Some(header) = identity.header {
        introduce(&socket, header)?;
    }
    let transport = match tables.tls.server(backend, server) {
        None => Transport::Plain(socket),
        Some(back) => {
            let call = (name, protocol);
            let shaken = handshake::connect(&worker.reactor, back, call, socket, deadline_ns);
            match Box::pin(shaken).await {
                Ok(stream) => Transport::Tls(stream),
                Err(Failure::TimedOut) => return Err(Fault::ConnectTimeout),
                Err(_) => return Err(Fault::HandshakeFailed),
            }
        }
    };
    let (connected, now_ns) = (Observation::Connected, worker.reactor.now_ns());
    observe::note(tables, (backend, server), connected, now_ns);
    Ok(transport)
}

/// Source ports of a range that are tried for one connection.
const SOURCE_PORTS_MAX: u32 = 64;

/// The ports of a range that a connection may come from: from some port on, one after the other. Where few of them are free
/// that finds one soon enough, and workers need not agree.
struct SourcePorts {
    first: u16,
    /// Ports in the range; 0: there is none.
    count: u32,
    /// Counted from the first.
    next: u32,
    left: u32,
}

impl SourcePorts {
    /// `chance` decides where the search begins.
    fn of(source: Option<&Source>, options: &ConnectOptions, chance: u64) -> Self {
        let own = source.filter(|_| !options.transparent);
        let range = own.and_then(|source| Some((source.address.port(), source.last_port?)));
        let (first, count) = range.map_or((0, 0), |(first, last)| {
            (first, u32::from(last.saturating_sub(first)) + 1)
        });
        Self {
            first,
            count,
            next: (chance % u64::from(count.max(1))) as u32,
            left: count.min(SOURCE_PORTS_MAX),
        }
    }

    /// Puts the next port into the options; `false`: there is none, or no other.
    fn next(&mut self, options: &mut ConnectOptions) -> bool {
        let Some(Address::Inet(source)) = &mut options.source else {
            return false;
        };
        if self.left == 0 {
            return false;
        }
        source.set_port(self.first + self.next as u16);
        (self.next, self.left) = ((self.next + 1) % self.count, self.left - 1);
        true
    }
}

/// Whether a source port cannot be had because somebody has it.
fn is_taken(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable};
    matches!(error.kind(), AddrInUse | AddrNotAvailable)
}

/// How a socket towards a server is set up.
fn connect_options(
    tables: &Tables,
    (backend, server): (BackendId, ServerId),
    route: Route,
    address: &Address,
) -> ConnectOptions {
    let (back, source) = (tables.backend(backend), tables.source(backend, server));
    // An address of the other family could not be had.
    let suits = |near: &SocketAddr| {
        let far = address.inet();
        far.is_some_and(|far| far.is_ipv4() == near.is_ipv4())
    };
    let foreign = route.source.filter(suits);
    let own = source.map(|source| source.address).filter(suits);
    ConnectOptions {
        source: foreign.or(own).map(Address::Inet),
        transparent: foreign.is_some(),
        interface: source.and_then(|source| source.interface.clone()),
        mark: route.labels.mark,
        service: route.labels.service,
        keepalive: sockets::keepalive(back.keepalive_probes, back.probes),
        ..tables.connect_options()
    }
}

/// Where a server is now, for a client that wanted to go there.
fn present_address(
    tables: &Tables,
    (backend, server): (BackendId, ServerId),
    client: Option<SocketAddr>,
) -> Option<Address> {
    let own = &tables.server(backend, server).address;
    let moved = tables.plane.backend(backend).server(server).moved_to();
    let place = moved.as_ref().unwrap_or(own);
    // A server that was not configured so cannot be made to follow clients: its idle connections are everybody's.
    let strays = place.follows_client() && !own.follows_client();
    address_of(place, client).filter(|_| !strays)
}

/// Sends the header that tells a server who the client is. A fresh connection has room for it.
fn introduce(socket: &Socket, header: &[u8]) -> Result<(), Fault> {
    match socket.try_write(header) {
        Ok(sent) if sent == header.len() => Ok(()),
        _ => Err(Fault::ConnectRefused),
    }
}

/// Waits a little where a connection failed for want of descriptors or ports: others end meanwhile, idle ones at once.
async fn make_room(
    worker: &Worker,
    tables: &Tables,
    error: &io::Error,
    deadline_ns: u64,
) -> Result<(), Fault> {
    let again_ns = worker.reactor.now_ns() + EXHAUSTED_PAUSE_NS;
    if !plimsoll_sys::is_exhausted(error) || again_ns > deadline_ns {
        return Err(refused(error));
    }
    tables.pools().for_each(|(_, pool)| pool.clear());
    worker.reactor.sleep_until(again_ns).await;
    Ok(())
}

/// Running out of descriptors, ports or memory is our trouble, not the server's.
fn refused(error: &io::Error) -> Fault {
    if plimsoll_sys::is_exhausted(error) {
        Fault::Exhausted
    } else {
        Fault::ConnectRefused
    }
}

fn address_of(address: &ServerAddress, client: Option<SocketAddr>) -> Option<Address> {
    match address {
        ServerAddress::Inet { ip, port } => {
            let ip = match ip.is_unspecified() {
                true => client?.ip(),
                false => *ip,
            };
            let port = match port {
                ServerPort::Fixed(port) => *port,
                ServerPort::Offset(offset) => {
                    let base = client.map_or(0, |address| address.port());
                    u16::try_from(i32::from(base) + offset).ok()?
                }
            };
            Some(Address::Inet((ip, port).into()))
        }
        ServerAddress::Unix(path) => Some(Address::Unix(path.clone())),
        ServerAddress::Abstract(name) => Some(Address::Abstract(name.as_bytes().into())),
        ServerAddress::Unresolved { .. } => None,
    }
}

/// The idle connections of one worker to one server. Planes that follow each other share it.
pub(crate) struct Pool {
    /// Under which the reactor reports what happens to idle connections.
    pub(crate) tag: u32,
    /// The server is gone, or elsewhere: nothing is kept any more.
    closed: Cell<bool>,
    #[expect(
        clippy::vec_box,
        reason = "connections move between pools and exchanges, and are large"
    )]
    idle: RefCell<Vec<Box<Connection>>>,
    /// Connections that take more streams, or will again.
    trunks: RefCell<Vec<Rc<Trunk>>>,
    /// The fewest that lay idle since the last purge: so many were not needed.
    spare: Cell<usize>,
    /// The most that were in use at once lately: more idle ones than that could never be needed.
    need: Cell<usize>,
    purge_due_ns: Cell<u64>,
}

impl Pool {
    pub(crate) fn new(tag: u32) -> Self {
        Self {
            tag,
            closed: Cell::new(false),
            idle: RefCell::default(),
            trunks: RefCell::default(),
            spare: Cell::new(0),
            need: Cell::new(0),
            purge_due_ns: Cell::new(0),
        }
    }

    /// Shares a connection that carries several exchanges at once.
    pub(crate) fn share(&self, trunk: Rc<Trunk>) {
        match self.closed.get() {
            true => trunk.retire(),
            false => self.trunks.borrow_mut().push(trunk),
        }
    }

    /// A stream of the oldest shared connection with room, so that the others may empty.
    fn join(&self, proven: bool, wish: Wish<'_>) -> Option<Box<Connection>> {
        let mut trunks = self.trunks.borrow_mut();
        trunks.retain(|trunk| !trunk.is_over());
        let mut trunks = trunks.iter();
        let trunk = trunks.find(|trunk| {
            trunk.has_room()
                && (!proven || trunk.is_proven())
                && wish.suits(Protocol::Http2, trunk.mark())
        })?;
        let stream = Upstream::H2(ServerHalf::new(Rc::clone(trunk)));
        let mark = wish.identity.keep();
        let mut connection = Connection::over(stream, (BackendId(0), ServerId(0)), mark);
        connection.uses = trunk.uses();
        connection.reused = trunk.is_proven();
        Some(connection)
    }

    /// Takes the connection used last that suits a request; `proven`: only one that has already been reused.
    pub(crate) fn take(&self, proven: bool, wish: Wish<'_>) -> Option<Box<Connection>> {
        let stream = self.join(proven, wish);
        if stream.is_some() {
            return stream;
        }
        let mut idle = self.idle.borrow_mut();
        loop {
            let index = idle.iter().rposition(|connection| {
                (connection.reused || !proven) && wish.suits_own(connection)
            })?;
            let mut connection = idle.remove(index);
            self.spare.set(self.spare.get().min(idle.len()));
            if connection.socket().is_some_and(Socket::unpark) {
                connection.reused = true;
                return Some(connection);
            }
        }
    }

    /// Keeps an idle connection, unless `max` are kept already, or as many as were `in_use` at once lately, or its peer
    /// has spoken or closed meanwhile.
    ///
    /// The reactor reports under the pool's tag when that happens later; see [`Pool::drop_socket`].
    pub(crate) fn put(&self, connection: Box<Connection>, max: usize, in_use: usize) {
        let need = self.need.get().max(in_use);
        self.need.set(need);
        let mut idle = self.idle.borrow_mut();
        if self.closed.get() || idle.len() >= max.min(need.max(IDLE_FREE)) {
            discard(connection);
        } else if connection
            .socket()
            .is_some_and(|socket| socket.park(self.tag))
        {
            idle.push(connection);
        }
    }

    /// Drops the connection on which something happened while it lay idle.
    pub(crate) fn drop_socket(&self, id: SocketId) {
        self.idle
            .borrow_mut()
            .retain(|connection| connection.socket().is_none_or(|socket| socket.id() != id));
    }

    /// Every `delay_ms`: drops half of what was not needed since the last time, oldest first.
    pub(crate) fn purge(&self, now_ns: u64, delay_ms: u64) {
        if now_ns < self.purge_due_ns.get() {
            return;
        }
        self.purge_due_ns
            .set(now_ns.saturating_add(delay_ms.saturating_mul(1_000_000)));
        // One that nothing was asked on for the whole time is not needed, whatever the others do.
        self.trunks.borrow_mut().retain(|trunk| {
            let goes = trunk.is_over() || trunk.has_rested();
            if goes {
                trunk.retire();
            }
            !goes
        });
        let mut idle = self.idle.borrow_mut();
        let surplus = self.spare.get().min(idle.len()).div_ceil(2);
        idle.drain(..surplus).for_each(discard);
        self.spare.set(idle.len());
        self.need.set(self.need.get() / 2);
    }

    /// How many lie idle.
    pub(crate) fn len(&self) -> usize {
        self.idle.borrow().len()
    }

    /// Closes all connections, and those that come back later.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.clear();
    }

    pub(crate) fn clear(&self) {
        self.idle.take().into_iter().for_each(discard);
        for trunk in self.trunks.take() {
            trunk.retire();
        }
    }
}
