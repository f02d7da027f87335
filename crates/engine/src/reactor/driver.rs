//! Where events and time come from, and where bytes go: the seam between the reactor and the world.
//!
//! Two worlds exist: the kernel by way of `epoll`, and a `simulated` one inside the process. Calls have the meaning
//! of the system calls they are named after; "would block" is `Ok(None)`.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;

use plimsoll_sys::address::Address;
use plimsoll_sys::connect::ConnectOptions;
use plimsoll_sys::epoll::Event;
use plimsoll_sys::listen::ListenOptions;
use plimsoll_sys::pipe;
use plimsoll_sys::socket::TcpInfo;

/// A socket, in one world or the other.
#[derive(Debug)]
pub(super) enum Handle {
    Kernel(OwnedFd),
    Virtual(u32),
}

/// A pipe, in one world or the other.
#[derive(Debug)]
pub(super) enum PipeHandle {
    Kernel(pipe::Pipe),
    Virtual(std::cell::RefCell<std::collections::VecDeque<u8>>),
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// Events were delivered, the time is up, or somebody sent mail.
    Done,
    /// Nothing can ever happen again. Only a simulated world knows that.
    Deadlocked,
}

/// The token of mail from other threads; no socket has it, since their generations are not zero.
pub(super) const MAIL: u64 = 0;

pub(super) trait Driver {
    /// Nanoseconds of a clock that never jumps.
    fn now_ns(&self) -> u64;

    /// Nanoseconds since 1970.
    fn wall_ns(&self) -> u64;

    /// A turn has polled tasks so often, and they say that they did so many units of work. That takes time by itself; only a
    /// simulated world has to be told.
    fn toil(&self, _polls: usize, _units: u32) {}

    /// Waits until something happens or `timeout_ns` has passed (`None`: for ever), and reports what happened.
    fn wait(&self, timeout_ns: Option<u64>, report: &mut dyn FnMut(Event)) -> io::Result<Waited>;

    /// Reports changes of this connection from now on, beginning with its present state.
    fn add_stream(&self, handle: &Handle, token: u64) -> io::Result<()>;

    /// Reports connections to be accepted from now on.
    fn add_listener(&self, handle: &Handle, token: u64) -> io::Result<()>;

    fn listen(&self, address: &Address, options: &ListenOptions) -> io::Result<Handle>;

    fn accept(&self, listener: &Handle) -> io::Result<Option<(Handle, Address)>>;

    /// The flag says that the connection is established already.
    fn connect(&self, address: &Address, options: &ConnectOptions) -> io::Result<(Handle, bool)>;

    fn receive(&self, handle: &Handle, buffer: &mut [u8]) -> io::Result<Option<usize>>;

    fn peek(&self, handle: &Handle, buffer: &mut [u8]) -> io::Result<Option<usize>>;

    fn send(&self, handle: &Handle, bytes: &[u8]) -> io::Result<Option<usize>>;

    fn send_vectored(&self, handle: &Handle, parts: &[IoSlice<'_>]) -> io::Result<Option<usize>>;

    fn shutdown_write(&self, handle: &Handle) -> io::Result<()>;

    fn take_error(&self, handle: &Handle) -> io::Result<()>;

    fn set_reset_on_close(&self, handle: &Handle, on: bool) -> io::Result<()>;

    fn vanish(&self, handle: &Handle, ttl: Option<u8>) -> io::Result<()>;

    /// See [`plimsoll_sys::socket::set_mark`].
    fn set_mark(&self, handle: &Handle, mark: u32) -> io::Result<()>;

    /// See [`plimsoll_sys::socket::set_service`].
    fn set_service(&self, handle: &Handle, service: u8) -> io::Result<()>;

    fn tcp_info(&self, handle: &Handle) -> io::Result<TcpInfo>;

    /// See [`plimsoll_sys::socket::saved_syn`].
    fn saved_syn(&self, handle: &Handle) -> io::Result<Vec<u8>>;

    fn local_address(&self, handle: &Handle) -> io::Result<Address>;

    fn peer_address(&self, handle: &Handle) -> io::Result<Address>;

    /// A pipe and its capacity in bytes.
    fn pipe(&self, capacity_bytes: usize) -> io::Result<(PipeHandle, usize)>;

    /// Moves bytes from a socket into a pipe.
    fn fill(&self, pipe: &PipeHandle, from: &Handle, limit: usize) -> io::Result<Option<usize>>;

    /// Moves bytes from a pipe into a socket.
    fn drain(&self, pipe: &PipeHandle, to: &Handle, limit: usize) -> io::Result<Option<usize>>;

    /// Reports nothing more about a listener. Dropping its handle is not enough when other threads share it.
    fn remove_listener(&self, handle: &Handle);

    /// Called before a handle is dropped.
    fn close(&self, handle: &Handle);
}
