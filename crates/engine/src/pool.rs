//! Server connections: opened, lent to exchanges, kept while idle.
//!
//! Every worker has its own pool per server, so that a request and its response stay on one core and no lock is
//! needed. The connection used last is lent first: its memory is warm, and the surplus grows old and is purged.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use plimsoll_policy::model::{BackendId, ServerAddress, ServerId, ServerPort};
use plimsoll_sys::{Address, ConnectOptions};

use crate::fault::Fault;
use crate::h1;
use crate::reactor::{self, SocketId, TimedOut};
use crate::tables::Tables;
use crate::transport::Transport;
use crate::worker::Worker;

/// Idle connections kept per server and worker when `pool-max-conn` says nothing.
pub(crate) const IDLE_PER_SERVER_MAX: usize = 4_096;

/// A connection to a server, while it serves an exchange or waits for one.
pub(crate) struct Connection {
    pub(crate) stream: h1::server::Server,
    /// It has carried an exchange before this one.
    pub(crate) reused: bool,
    /// Exchanges begun on it.
    pub(crate) uses: u32,
    pub(crate) backend: BackendId,
    pub(crate) server: ServerId,
}

impl Connection {
    /// Opens a connection; `client_port` is the port the client connected to, for servers without one of their own.
    pub(crate) async fn open(
        worker: &Rc<Worker>,
        tables: &Tables,
        (backend, server): (BackendId, ServerId),
        client_port: u16,
    ) -> Result<Box<Self>, Fault> {
        let transport = open(worker, tables, (backend, server), client_port).await?;
        let stream =
            h1::server::Server::new(worker.clone(), transport, tables.response_limits(backend));
        Ok(Box::new(Self {
            stream,
            reused: false,
            uses: 0,
            backend,
            server,
        }))
    }
}

/// Connects to a server within `timeout connect`.
pub(crate) async fn open(
    worker: &Rc<Worker>,
    tables: &Tables,
    (backend, server): (BackendId, ServerId),
    client_port: u16,
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
    let deadline_ns = worker.deadline(tables.backend(backend).timeouts.connect_ms);
    match worker
        .reactor
        .until(deadline_ns, || socket.poll_connected())
        .await
    {
        Ok(Ok(())) => Ok(Transport::Plain(socket)),
        Ok(Err(error)) => Err(refused(&error)),
        Err(TimedOut) => Err(Fault::ConnectTimeout),
    }
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

/// The idle connections of one worker to one server.
#[derive(Default)]
pub(crate) struct Pool {
    #[expect(
        clippy::vec_box,
        reason = "connections move between pools and exchanges, and are large"
    )]
    idle: RefCell<Vec<Box<Connection>>>,
    /// The fewest that lay idle since the last purge: so many were not needed.
    spare: Cell<usize>,
    purge_due_ns: Cell<u64>,
}

impl Pool {
    /// Takes the connection used last; `proven`: only one that has already been reused.
    pub(crate) fn take(&self, proven: bool) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let index = match proven {
                false => idle.len().checked_sub(1)?,
                true => idle.iter().rposition(|connection| connection.reused)?,
            };
            let mut connection = idle.remove(index);
            self.spare.set(self.spare.get().min(idle.len()));
            if connection.stream.transport.socket().unpark() {
                connection.reused = true;
                return Some(connection);
            }
        }
    }

    /// Keeps an idle connection, unless `max` are kept already or its peer has spoken or closed meanwhile.
    ///
    /// The reactor reports under `tag` when that happens later; see [`Pool::drop_socket`].
    pub(crate) fn put(&self, connection: Box<Connection>, tag: u32, max: usize) {
        let mut idle = self.idle.borrow_mut();
        let socket = connection.stream.transport.socket();
        if idle.len() < max && socket.park(tag) {
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
        idle.drain(..surplus);
        self.spare.set(idle.len());
    }

    pub(crate) fn clear(&self) {
        self.idle.borrow_mut().clear();
    }
}
