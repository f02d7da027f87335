//! Server connections: opened, lent to exchanges, kept while idle.
//!
//! Every worker has its own pool per server, so that a request and its response stay on one core and no lock is
//! needed. The connection used last is lent first: its memory is warm, and the surplus grows old and is purged.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use plimsoll_policy::model::{BackendId, ServerAddress, ServerId, ServerPort};
use plimsoll_policy::passive::Observation;
use plimsoll_sys::{Address, ConnectOptions};

use crate::fault::Fault;
use crate::h1;
use crate::observe;
use crate::reactor::{self, SocketId, TimedOut};
use crate::tables::Tables;
use crate::tls::handshake::{self, Failure};
use crate::transport::Transport;
use crate::worker::Worker;

/// Idle connections kept per server and worker when `pool-max-conn` says nothing.
pub(crate) const IDLE_PER_SERVER_MAX: usize = 4_096;

/// Idle connections kept per server and worker whether or not so many were needed lately.
const IDLE_FREE: usize = 8;

/// A connection to a server, while it serves an exchange or waits for one.
pub(crate) struct Connection {
    pub(crate) stream: h1::server::Server,
    /// It has carried an exchange before this one.
    pub(crate) reused: bool,
    /// It is authenticated as one client's, and may serve no other.
    pub(crate) private: bool,
    /// Exchanges begun on it.
    pub(crate) uses: u32,
    /// The name that the server was asked for in TLS; a connection for one name is of no use for another.
    pub(crate) name: Option<Box<str>>,
    pub(crate) backend: BackendId,
    pub(crate) server: ServerId,
}

impl Connection {
    /// Opens a connection; `client_port` is the port the client connected to, for servers without one of their own, and
    /// `name` what the server is asked for in TLS.
    pub(crate) async fn open(
        worker: &Rc<Worker>,
        tables: &Tables,
        (backend, server): (BackendId, ServerId),
        (client_port, connect_ms): (u16, Option<u64>),
        name: Option<&str>,
    ) -> Result<Box<Self>, Fault> {
        let port = (client_port, connect_ms);
        let transport = open(worker, tables, (backend, server), port, name).await?;
        let stream =
            h1::server::Server::new(worker.clone(), transport, tables.response_limits(backend));
        Ok(Box::new(Self {
            stream,
            reused: false,
            private: false,
            uses: 0,
            name: name.map(Into::into),
            backend,
            server,
        }))
    }
}

/// Closes a connection whose last response is complete.
///
/// A reset does it with one packet, and leaves no port waiting on our side (RFC 9293 section 3.6.1): source ports
/// towards a busy server are precious. Nothing is lost by it, since nothing is on its way.
pub(crate) fn discard(connection: Box<Connection>) {
    let socket = connection.stream.transport.socket();
    if !socket.hung_up() {
        let _ = socket.reset_on_close();
    }
}

/// Connects to a server within `timeout connect`, its handshake included.
pub(crate) async fn open(
    worker: &Rc<Worker>,
    tables: &Tables,
    (backend, server): (BackendId, ServerId),
    (client_port, connect_ms): (u16, Option<u64>),
    name: Option<&str>,
) -> Result<Transport, Fault> {
    let model = tables.server(backend, server);
    let moved = tables.plane.backend(backend).server(server).moved_to();
    let address = address_of(moved.as_ref().unwrap_or(&model.address), client_port)
        .ok_or(Fault::ConnectRefused)?;
    let options = ConnectOptions {
        source: model
            .source
            .or_else(|| tables.backend(backend).source)
            .map(Address::Inet),
        ..tables.connect_options()
    };
    let socket =
        reactor::connect(&worker.reactor, &address, &options).map_err(|error| refused(&error))?;
    let deadline_ns =
        worker.deadline(connect_ms.or_else(|| tables.backend(backend).timeouts.connect_ms));
    match worker
        .reactor
        .until(deadline_ns, || socket.poll_connected())
        .await
    {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(refused(&error)),
        Err(TimedOut) => return Err(Fault::ConnectTimeout),
    }
    let transport = match tables.tls.server(backend, server) {
        None => Transport::Plain(socket),
        Some(back) => {
            let shaken = handshake::connect(&worker.reactor, back, name, socket, deadline_ns);
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

/// Running out of descriptors, ports or memory is our trouble, not the server's.
fn refused(error: &std::io::Error) -> Fault {
    if plimsoll_sys::is_exhausted(error) {
        Fault::Exhausted
    } else {
        Fault::ConnectRefused
    }
}

fn address_of(address: &ServerAddress, client_port: u16) -> Option<Address> {
    match address {
        ServerAddress::Inet { ip, port } => {
            let port = match port {
                ServerPort::Fixed(port) => *port,
                ServerPort::Offset(offset) => {
                    u16::try_from(i32::from(client_port) + offset).ok()?
                }
            };
            Some(Address::Inet((*ip, port).into()))
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
            spare: Cell::new(0),
            need: Cell::new(0),
            purge_due_ns: Cell::new(0),
        }
    }

    /// Takes the connection used last that asked for `name`; `proven`: only one that has already been reused.
    pub(crate) fn take(&self, proven: bool, name: Option<&str>) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let index = idle.iter().rposition(|connection| {
                (connection.reused || !proven) && connection.name.as_deref() == name
            })?;
            let mut connection = idle.remove(index);
            self.spare.set(self.spare.get().min(idle.len()));
            if connection.stream.transport.socket().unpark() {
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
        } else if connection.stream.transport.socket().park(self.tag) {
            idle.push(connection);
        }
    }

    /// Drops the connection on which something happened while it lay idle.
    pub(crate) fn drop_socket(&self, id: SocketId) {
        self.idle
            .borrow_mut()
            .retain(|connection| connection.stream.transport.socket().id() != id);
    }

    /// Every `delay_ms`: drops half of what was not needed since the last time, oldest first.
    pub(crate) fn purge(&self, now_ns: u64, delay_ms: u64) {
        if now_ns < self.purge_due_ns.get() {
            return;
        }
        self.purge_due_ns
            .set(now_ns.saturating_add(delay_ms.saturating_mul(1_000_000)));
        let mut idle = self.idle.borrow_mut();
        let surplus = self.spare.get().min(idle.len()).div_ceil(2);
        idle.drain(..surplus).for_each(discard);
        self.spare.set(idle.len());
        self.need.set(self.need.get() / 2);
    }

    /// How many lie idle.
    #[cfg(test)]
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
    }
}
