//! A connected stream socket on a reactor.

use std::cell::OnceCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Poll, ready};

use plimsoll_sys::address::Address;
use plimsoll_sys::connect::ConnectOptions;
use plimsoll_sys::epoll::Readiness;
use plimsoll_sys::socket::TcpInfo;

use super::driver::Handle;
use super::source::{CLOSED, READABLE_OR_OVER, SocketId};
use super::{Core, EXHAUSTED_PAUSE_NS, Reactor};

/// How much later the first hang-up of a connection may be noticed.
const HANGUP_LATENESS_NS: u64 = 10_000_000;

/// A stream socket. Belongs to the reactor's thread, may move between its tasks, and closes when dropped.
///
/// The driver hears of it at its first wait, so that a connection which never waits never pays for that. At most one
/// task waits to read (or for a hang-up) and at most one to write; a second one of a kind takes the first one's place.
pub struct Socket {
    core: Rc<Core>,
    id: SocketId,
    handle: Handle,
    /// Boxed, because sockets are moved between tasks and pools more often than they are asked for addresses.
    peer: OnceCell<Box<Address>>,
    local: OnceCell<Box<Address>>,
}

/// Starts a connection; [`Socket::poll_connected`] tells when it is established.
///
/// Fails at once when the address cannot be reached at all, when options are refused, or when the table is full.
pub fn connect(
    reactor: &Reactor,
    address: &Address,
    options: &ConnectOptions,
) -> io::Result<Socket> {
    let core = &reactor.core;
    if !core.sources.borrow().has_room() {
        core.count(|usage| usage.sockets_refused += 1);
        return Err(full());
    }
    let (handle, done) = core.driver.connect(address, options)?;
    let ready = if done {
        Readiness::WRITE
    } else {
        Readiness::NONE
    };
    Socket::new(core, handle, ready)
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, "the table of sockets is full")
}

impl Socket {
    /// Takes a handle in. `ready` is what is known, or worth assuming, before the first event.
    pub(super) fn new(core: &Rc<Core>, handle: Handle, ready: Readiness) -> io::Result<Self> {
        let inserted = core.sources.borrow_mut().insert(ready);
        let Some(id) = inserted else {
            core.count(|usage| usage.sockets_refused += 1);
            core.driver.close(&handle);
            return Err(full());
        };
        Ok(Self {
            core: Rc::clone(core),
            id,
            handle,
            peer: OnceCell::new(),
            local: OnceCell::new(),
        })
    }

    pub(super) fn set_peer(&self, peer: Address) {
        let _ = self.peer.set(Box::new(peer));
    }

    /// What this socket is called in [`Stale`](super::Stale).
    #[must_use]
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// The reactor it belongs to.
    #[must_use]
    pub fn reactor(&self) -> Reactor {
        Reactor {
            core: Rc::clone(&self.core),
        }
    }

    // ---- Connecting

    /// Ready when the connection is established, or has failed.
    pub fn poll_connected(&self) -> Poll<io::Result<()>> {
        ready!(self.poll_writable());
        // A failed attempt hangs up, so that a successful one need not be asked for its error.
        if self.is_broken() {
            return Poll::Ready(self.core.driver.take_error(&self.handle));
        }
        Poll::Ready(Ok(()))
    }

    // ---- Reading

    /// Reads into `buffer`, which must not be empty. `Ok(0)` is the end.
    ///
    /// A short read is taken as a sign that nothing more is there, which saves the call that would say so.
    #[inline]
    pub fn poll_read(&self, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.try_read(buffer) {
            Ok(Some(count)) => Poll::Ready(Ok(count)),
            Ok(None) => {
                self.wait_read(Readiness::READ);
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Reads what is there now; `None` when nothing is, without registering anything.
    #[inline]
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        if !self.core.sources.borrow_mut().may_read(self.id) {
            return Ok(None);
        }
        let received = self.core.driver.receive(&self.handle, buffer)?;
        match received {
            None => self
                .core
                .sources
                .borrow_mut()
                .clear(self.id, Readiness::READ),
            Some(count) if count < buffer.len() => self
                .core
                .sources
                .borrow_mut()
                .clear_read_unless_closed(self.id),
            Some(_) => {}
        }
        Ok(received)
    }

    /// Copies what could be read, without taking it, once that is more than `beyond` bytes.
    ///
    /// An answer of `beyond` bytes or fewer says that no more will come: the peer has closed its side.
    pub fn poll_peek(&self, buffer: &mut [u8], beyond: usize) -> Poll<io::Result<usize>> {
        if self.ready().intersects(Readiness::READ) {
            let seen = self.core.driver.peek(&self.handle, buffer)?;
            match seen {
                Some(count) if count > beyond || count == 0 || self.hung_up() => {
                    return Poll::Ready(Ok(count));
                }
                Some(_) => self.core.sources.borrow_mut().set_peeked(self.id),
                None => self.blocked(Readiness::READ),
            }
        }
        self.wait_read(Readiness::READ);
        Poll::Pending
    }

    /// Ready when a read is worth trying.
    #[inline]
    pub fn poll_readable(&self) -> Poll<()> {
        if self.core.sources.borrow_mut().may_read(self.id) {
            return Poll::Ready(());
        }
        self.wait_read(Readiness::READ);
        Poll::Pending
    }

    /// Ready when the peer has closed its sending side, or the connection is over. Reads nothing.
    ///
    /// The same task may wait for readability, or for another socket, as well. The driver hears of a new socket only
    /// when this is asked a second time, at the latest a moment later: mostly the wait is over by then, and a connection
    /// that ends with its first answer never costs a registration and its event.
    #[inline]
    pub fn poll_hangup(&self) -> Poll<()> {
        if self.hung_up() {
            return Poll::Ready(());
        }
        if self.core.sources.borrow_mut().postpones(self.id) {
            self.core
                .wake_at(self.core.now_ns.get() + HANGUP_LATENESS_NS);
            return Poll::Pending;
        }
        self.wait_read(CLOSED);
        Poll::Pending
    }

    /// Whether the peer has closed its sending side or the connection is over, as far as events have told.
    #[must_use]
    pub fn hung_up(&self) -> bool {
        self.ready().intersects(CLOSED)
    }

    /// Whether the connection is over in both directions (reset, or shut by both), as far as events have told.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.ready().intersects(Readiness::HUNG_UP)
    }

    // ---- Writing

    /// Writes what the kernel takes, at least one byte unless `bytes` is empty.
    #[inline]
    pub fn poll_write(&self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_with(bytes.len(), |socket| socket.try_write(bytes))
    }

    /// Writes what the kernel takes of several pieces, in order, at least one byte unless all are empty.
    pub fn poll_write_vectored(&self, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_write_with(length(parts), |socket| socket.try_write_vectored(parts))
    }

    /// Writes what is taken now, 0 when nothing is, without registering anything.
    #[inline]
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write_with(bytes.len(), |core, handle| core.driver.send(handle, bytes))
    }

    /// Writes what is taken now of several pieces, in order, without registering anything.
    pub fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write_with(length(parts), |core, handle| {
            core.driver.send_vectored(handle, parts)
        })
    }

    /// Ready when a write is worth trying.
    #[inline]
    pub fn poll_writable(&self) -> Poll<()> {
        if self.ready().intersects(Readiness::WRITE) {
            return Poll::Ready(());
        }
        let first = self
            .core
            .sources
            .borrow_mut()
            .wait_write(self.id, self.core.current.get());
        self.register_if(first);
        Poll::Pending
    }

    /// Says that nothing more will be written.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.core.driver.shutdown_write(&self.handle)
    }

    /// Makes the coming close a reset: the peer sees an error at once, and unsent bytes are thrown away.
    pub fn reset_on_close(&self) -> io::Result<()> {
        self.core.driver.set_reset_on_close(&self.handle, true)
    }

    /// Takes [`Self::reset_on_close`] back.
    pub fn close_in_order(&self) -> io::Result<()> {
        self.core.driver.set_reset_on_close(&self.handle, false)
    }

    /// Has the coming close say nothing to the other end, as far as that can be had; see [`plimsoll_sys::socket::vanish`].
    pub fn vanish(&self, ttl: Option<u8>) -> io::Result<()> {
        self.core.driver.vanish(&self.handle, ttl)
    }

    /// Marks packets to the other end; see [`plimsoll_sys::socket::set_mark`].
    pub fn set_mark(&self, mark: u32) -> io::Result<()> {
        self.core.driver.set_mark(&self.handle, mark)
    }

    /// Sets the type of service of packets to the other end; see [`plimsoll_sys::socket::set_service`].
    pub fn set_service(&self, service: u8) -> io::Result<()> {
        self.core.driver.set_service(&self.handle, service)
    }

    /// The error that broke the connection, if the kernel still knows it. Asking clears it.
    pub fn take_error(&self) -> io::Result<()> {
        self.core.driver.take_error(&self.handle)
    }

    /// How well packets travel to the other end, where the kernel knows: not for unix sockets.
    pub fn tcp_info(&self) -> io::Result<TcpInfo> {
        self.core.driver.tcp_info(&self.handle)
    }

    /// The SYN packet of an accepted connection, if it was saved; the kernel gives it once.
    pub fn saved_syn(&self) -> io::Result<Vec<u8>> {
        self.core.driver.saved_syn(&self.handle)
    }

    // ---- Addresses

    /// The other end; known from accepting, else asked of the kernel once, when first needed.
    pub fn peer_address(&self) -> io::Result<&Address> {
        if let Some(known) = self.peer.get() {
            return Ok(known);
        }
        let asked = self.core.driver.peer_address(&self.handle)?;
        Ok(self.peer.get_or_init(|| Box::new(asked)))
    }

    /// This end. Asked of the kernel once, when first needed.
    pub fn local_address(&self) -> io::Result<&Address> {
        if let Some(known) = self.local.get() {
            return Ok(known);
        }
        let asked = self.core.driver.local_address(&self.handle)?;
        Ok(self.local.get_or_init(|| Box::new(asked)))
    }

    // ---- Resting in a pool

    /// Nobody waits for this socket from now on. Anything that happens to it makes it stale, which is reported once by
    /// [`Reactor::take_stale`] with `tag`. `false`: it is stale already, will not be reported, and is of no more use.
    #[must_use]
    pub fn park(&self, tag: u32) -> bool {
        // A read that exactly filled its buffer leaves READ set though nothing may be there.
        let doubtful = self.core.sources.borrow_mut().may_read(self.id) && !self.hung_up();
        if doubtful && matches!(self.core.driver.peek(&self.handle, &mut [0]), Ok(None)) {
            self.blocked(Readiness::READ);
        }
        if self.is_stale() {
            return false;
        }
        let first = self.core.sources.borrow_mut().park(self.id, tag);
        self.register_if(first);
        true
    }

    /// Takes the socket out of its rest. `false`: it is stale and of no more use.
    #[must_use]
    pub fn unpark(&self) -> bool {
        self.core.sources.borrow_mut().unpark(self.id);
        !self.is_stale()
    }

    /// Whether the peer has closed, or sent something, since the last read, as far as events have told.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.ready().intersects(READABLE_OR_OVER)
    }

    // ---- Within

    #[inline]
    fn ready(&self) -> Readiness {
        self.core.sources.borrow().ready(self.id)
    }

    #[inline]
    fn wait_read(&self, interest: Readiness) {
        let first =
            self.core
                .sources
                .borrow_mut()
                .wait_read(self.id, self.core.current.get(), interest);
        self.register_if(first);
    }

    #[inline]
    fn register_if(&self, first: bool) {
        if first {
            self.register();
        }
    }

    fn register(&self) {
        if self
            .core
            .driver
            .add_stream(&self.handle, self.id.token())
            .is_err()
        {
            // No memory or no watches left: without events the task must look again by itself.
            self.core.sources.borrow_mut().unregistered(self.id);
            self.core.count(|usage| usage.watch_failures += 1);
            self.core
                .wake_at(self.core.now_ns.get() + EXHAUSTED_PAUSE_NS);
        }
    }

    #[inline]
    fn poll_write_with(
        &self,
        length: usize,
        write: impl FnOnce(&Self) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        match write(self) {
            Ok(0) if length > 0 => {
                // A write that took nothing has cleared WRITE, so this registers.
                let _ = self.poll_writable();
                Poll::Pending
            }
            written => Poll::Ready(written),
        }
    }

    #[inline]
    fn try_write_with(
        &self,
        length: usize,
        send: impl FnOnce(&Core, &Handle) -> io::Result<Option<usize>>,
    ) -> io::Result<usize> {
        if !self.ready().intersects(Readiness::WRITE) {
            return Ok(0);
        }
        let taken = send(&self.core, &self.handle)?.unwrap_or(0);
        if taken < length {
            self.core
                .sources
                .borrow_mut()
                .clear(self.id, Readiness::WRITE);
        }
        Ok(taken)
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// For who used the handle directly and was told to wait.
    pub(super) fn blocked(&self, bits: Readiness) {
        self.core.sources.borrow_mut().clear(self.id, bits);
    }
}

fn length(parts: &[IoSlice<'_>]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.core.sources.borrow_mut().remove(self.id);
        self.core.driver.close(&self.handle);
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("handle", &self.handle)
            .field("ready", &self.ready())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_small_enough_to_be_moved_about() {
        assert!(size_of::<Socket>() <= 40, "{} bytes", size_of::<Socket>());
    }
}
