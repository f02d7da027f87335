//! A listening socket on a reactor.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Poll;

use plimsoll_sys::address::Address;
use plimsoll_sys::epoll::Readiness;
use plimsoll_sys::listen::{self, ListenOptions};

use super::driver::Handle;
use super::source::SocketId;
use super::{Core, EXHAUSTED_PAUSE_NS, Reactor, Socket};

/// Takes connections. A worker at its limit simply does not ask: they wait in the kernel's backlog.
pub struct Listener {
    core: Rc<Core>,
    id: SocketId,
    handle: Handle,
    address: Address,
    /// Accepted connections probably have bytes to read, so reading at once is worth it.
    eager: Cell<bool>,
    /// No accept before this, after one failed for want of resources.
    paused_until_ns: Cell<u64>,
    turn: Cell<u64>,
    accepted_in_turn: Cell<u32>,
}

impl Listener {
    /// Binds and listens.
    pub fn bind(reactor: &Reactor, address: &Address, options: &ListenOptions) -> io::Result<Self> {
        let handle = reactor.core.driver.listen(address, options)?;
        Self::new(reactor, handle, options.defer_accept_seconds > 0)
    }

    /// Takes over a listening socket made elsewhere: by another process, or shared with another worker.
    ///
    /// `eager` says that the first bytes of a connection are mostly there when it is accepted: reading is tried before
    /// the driver hears of the connection at all.
    pub fn adopt(reactor: &Reactor, socket: OwnedFd, eager: bool) -> io::Result<Self> {
        let (socket, _) = listen::adopt(socket)?;
        Self::new(reactor, Handle::Kernel(socket), eager)
    }

    fn new(reactor: &Reactor, handle: Handle, eager: bool) -> io::Result<Self> {
        let core = Rc::clone(&reactor.core);
        let address = core.driver.local_address(&handle)?;
        let inserted = core.sources.borrow_mut().insert(Readiness::READ);
        let Some(id) = inserted else {
            core.driver.close(&handle);
            return Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                "the table of sockets is full",
            ));
        };
        Ok(Self {
            core,
            id,
            handle,
            address,
            eager: Cell::new(eager),
            paused_until_ns: Cell::new(0),
            turn: Cell::new(0),
            accepted_in_turn: Cell::new(0),
        })
    }

    /// Where it listens; the port is the kernel's choice when 0 was asked for.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The next connection.
    ///
    /// At most [`Options::accepts_per_turn`](super::Options::accepts_per_turn) are taken in one turn, so that a flood
    /// of new connections does not starve those that are here. When descriptors, memory or room in the table run
    /// out, the listener pauses for a moment and counts that. An error means that the socket itself is of no use.
    pub fn poll_accept(&self) -> Poll<io::Result<Socket>> {
        let core = &self.core;
        if core.now_ns.get() < self.paused_until_ns.get() {
            core.wake_at(self.paused_until_ns.get());
            return Poll::Pending;
        }
        if !self.may_accept_in_this_turn() {
            core.tasks.borrow_mut().wake(core.current.get());
            return Poll::Pending;
        }
        if !core
            .sources
            .borrow()
            .ready(self.id)
            .intersects(Readiness::READ)
        {
            self.wait();
            return Poll::Pending;
        }
        if !core.sources.borrow().has_room() {
            core.count(|usage| usage.sockets_refused += 1);
            return self.pause();
        }
        match core.driver.accept(&self.handle) {
            Ok(Some((handle, peer))) => Poll::Ready(self.receive(handle, peer)),
            Ok(None) => {
                core.sources.borrow_mut().clear(self.id, Readiness::READ);
                self.wait();
                Poll::Pending
            }
            Err(error) if listen::is_exhausted(&error) => self.pause(),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Whether somebody seems to wait; only [`Self::poll_accept`] tells for certain.
    pub fn poll_ready(&self) -> Poll<()> {
        let ready = self.core.sources.borrow().ready(self.id);
        if ready.intersects(Readiness::READ) {
            return Poll::Ready(());
        }
        self.wait();
        Poll::Pending
    }

    fn receive(&self, handle: Handle, peer: Address) -> io::Result<Socket> {
        let ready = if self.eager.get() {
            Readiness::READ.with(Readiness::WRITE)
        } else {
            Readiness::WRITE
        };
        let socket = Socket::new(&self.core, handle, ready)?;
        socket.set_peer(peer);
        Ok(socket)
    }

    /// Takes a connection that waits at this moment: for a listener that is about to be closed.
    #[must_use]
    pub fn accept_now(&self) -> Option<Socket> {
        if !self.core.sources.borrow().has_room() {
            return None;
        }
        let (handle, peer) = self.core.driver.accept(&self.handle).ok()??;
        self.receive(handle, peer).ok()
    }

    /// See [`Self::adopt`].
    pub fn set_eager(&self, eager: bool) {
        self.eager.set(eager);
    }

    fn may_accept_in_this_turn(&self) -> bool {
        let turn = self.core.usage.get().turns;
        if self.turn.replace(turn) != turn {
            self.accepted_in_turn.set(0);
        }
        let accepted = self.accepted_in_turn.get() + 1;
        self.accepted_in_turn.set(accepted);
        accepted <= self.core.options.accepts_per_turn.max(1)
    }

    /// READ stays set: the event that announced the waiting connections will not come again.
    fn pause(&self) -> Poll<io::Result<Socket>> {
        let until_ns = self.core.now_ns.get() + EXHAUSTED_PAUSE_NS;
        self.paused_until_ns.set(until_ns);
        self.core.count(|usage| usage.accept_pauses += 1);
        self.core.wake_at(until_ns);
        Poll::Pending
    }

    fn wait(&self) {
        let core = &self.core;
        let first =
            core.sources
                .borrow_mut()
                .wait_read(self.id, core.current.get(), Readiness::READ);
        if first
            && core
                .driver
                .add_listener(&self.handle, self.id.token())
                .is_err()
        {
            core.sources.borrow_mut().unregistered(self.id);
            core.count(|usage| usage.watch_failures += 1);
            core.wake_at(core.now_ns.get() + EXHAUSTED_PAUSE_NS);
            core.sources.borrow_mut().set(self.id, Readiness::READ);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.core.driver.remove_listener(&self.handle);
        self.core.sources.borrow_mut().remove(self.id);
        self.core.driver.close(&self.handle);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
