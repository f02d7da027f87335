//! The kernel as a driver, by edge-triggered epoll.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use plimsoll_sys::address::Address;
use plimsoll_sys::connect::{self, ConnectOptions};
use plimsoll_sys::epoll::{Epoll, Event, Events};
use plimsoll_sys::event_fd::EventFd;
use plimsoll_sys::listen::{self, ListenOptions};
use plimsoll_sys::pipe::Pipe;
use plimsoll_sys::socket::TcpInfo;
use plimsoll_sys::{clock, signal, socket};

use super::driver::{Driver, Handle, MAIL, PipeHandle, Waited};

const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;

pub(super) struct EpollDriver {
    epoll: Epoll,
    events: RefCell<Events>,
}

impl EpollDriver {
    /// A driver that takes up to `events_max` events per wait and is woken by `mail`.
    pub(super) fn new(events_max: usize, mail: &Arc<EventFd>) -> io::Result<Self> {
        // Vectored writes would raise the signal.
        signal::ignore_broken_pipes();
        let epoll = Epoll::new()?;
        epoll.add_level(mail.as_fd(), MAIL)?;
        Ok(Self {
            epoll,
            events: RefCell::new(Events::with_capacity(events_max)),
        })
    }
}

/// The descriptor of a handle. A simulated handle never meets this driver; if it did, it would be a bad descriptor.
#[inline]
fn descriptor(handle: &Handle) -> io::Result<BorrowedFd<'_>> {
    match handle {
        Handle::Kernel(fd) => Ok(fd.as_fd()),
        Handle::Virtual(_) => Err(foreign()),
    }
}

fn kernel_pipe(pipe: &PipeHandle) -> io::Result<&Pipe> {
    match pipe {
        PipeHandle::Kernel(pipe) => Ok(pipe),
        PipeHandle::Virtual(_) => Err(foreign()),
    }
}

#[cold]
fn foreign() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "the socket belongs to another driver",
    )
}

impl Driver for EpollDriver {
    fn now_ns(&self) -> u64 {
        clock::monotonic_ns()
    }

    fn wall_ns(&self) -> u64 {
        clock::wall_ns()
    }

    fn wait(&self, timeout_ns: Option<u64>, report: &mut dyn FnMut(Event)) -> io::Result<Waited> {
        // Rounded up: waking early would only mean another turn for nothing.
        let timeout_ms = timeout_ns
            .map(|ns| u32::try_from(ns.div_ceil(NANOSECONDS_PER_MILLISECOND)).unwrap_or(u32::MAX));
        let mut events = self.events.borrow_mut();
        self.epoll.wait(&mut events, timeout_ms)?;
        events.iter().for_each(report);
        Ok(Waited::Done)
    }

    fn add_stream(&self, handle: &Handle, token: u64) -> io::Result<()> {
        self.epoll.add_stream(descriptor(handle)?, token)
    }

    fn add_listener(&self, handle: &Handle, token: u64) -> io::Result<()> {
        self.epoll.add_listener(descriptor(handle)?, token)
    }

    fn listen(&self, address: &Address, options: &ListenOptions) -> io::Result<Handle> {
        Ok(Handle::Kernel(listen::listen(address, options)?))
    }

    fn accept(&self, listener: &Handle) -> io::Result<Option<(Handle, Address)>> {
        let accepted = listen::accept(descriptor(listener)?)?;
        Ok(accepted.map(|(socket, peer)| (Handle::Kernel(socket), peer)))
    }

    fn connect(&self, address: &Address, options: &ConnectOptions) -> io::Result<(Handle, bool)> {
        let connecting = connect::connect(address, options)?;
        Ok((Handle::Kernel(connecting.socket), connecting.done))
    }

    fn receive(&self, handle: &Handle, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        socket::receive(descriptor(handle)?, buffer)
    }

    fn peek(&self, handle: &Handle, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        socket::peek(descriptor(handle)?, buffer)
    }

    fn send(&self, handle: &Handle, bytes: &[u8]) -> io::Result<Option<usize>> {
        socket::send(descriptor(handle)?, bytes)
    }

    fn send_vectored(&self, handle: &Handle, parts: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        socket::send_vectored(descriptor(handle)?, parts)
    }

    fn shutdown_write(&self, handle: &Handle) -> io::Result<()> {
        socket::shutdown_write(descriptor(handle)?)
    }

    fn take_error(&self, handle: &Handle) -> io::Result<()> {
        socket::take_error(descriptor(handle)?)
    }

    fn set_reset_on_close(&self, handle: &Handle, on: bool) -> io::Result<()> {
        socket::set_reset_on_close(descriptor(handle)?, on)
    }

    fn vanish(&self, handle: &Handle, ttl: Option<u8>) -> io::Result<()> {
        socket::vanish(descriptor(handle)?, ttl)
    }

    fn set_mark(&self, handle: &Handle, mark: u32) -> io::Result<()> {
        socket::set_mark(descriptor(handle)?, mark)
    }

    fn set_service(&self, handle: &Handle, service: u8) -> io::Result<()> {
        socket::set_service(descriptor(handle)?, service)
    }

    fn tcp_info(&self, handle: &Handle) -> io::Result<TcpInfo> {
        socket::tcp_info(descriptor(handle)?)
    }

    fn saved_syn(&self, handle: &Handle) -> io::Result<Vec<u8>> {
        socket::saved_syn(descriptor(handle)?)
    }

    fn local_address(&self, handle: &Handle) -> io::Result<Address> {
        socket::local_address(descriptor(handle)?)
    }

    fn peer_address(&self, handle: &Handle) -> io::Result<Address> {
        socket::peer_address(descriptor(handle)?)
    }

    fn pipe(&self, capacity_bytes: usize) -> io::Result<(PipeHandle, usize)> {
        let pipe = Pipe::new(capacity_bytes)?;
        let granted = pipe.capacity_bytes();
        Ok((PipeHandle::Kernel(pipe), granted))
    }

    fn fill(&self, pipe: &PipeHandle, from: &Handle, limit: usize) -> io::Result<Option<usize>> {
        kernel_pipe(pipe)?.fill(descriptor(from)?, limit)
    }

    fn drain(&self, pipe: &PipeHandle, to: &Handle, limit: usize) -> io::Result<Option<usize>> {
        kernel_pipe(pipe)?.drain(descriptor(to)?, limit, false)
    }

    fn remove_listener(&self, handle: &Handle) {
        // It may never have been added; either way it is not in the set afterwards.
        let _ = descriptor(handle).and_then(|fd| self.epoll.remove(fd));
    }

    fn close(&self, _: &Handle) {
        // Dropping the descriptor closes it, and closing removes it from the set.
    }
}
