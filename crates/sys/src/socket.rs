//! What is done with a connected stream socket.
//!
//! "Would block" is `Ok(None)`, not an error: on a non-blocking socket it is an everyday answer.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, sockopt};

use crate::address::Address;

fn unless_blocked(result: Result<usize, Errno>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Receives into `buffer`. `Some(0)` is the end, unless `buffer` is empty.
#[inline]
pub fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    unless_blocked(rustix::net::recv(fd, buffer, RecvFlags::DONTWAIT).map(|(_, count)| count))
}

/// Looks at what could be received, without taking it.
pub fn peek(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    unless_blocked(
        rustix::net::recv(fd, buffer, RecvFlags::DONTWAIT | RecvFlags::PEEK)
            .map(|(_, count)| count),
    )
}

/// Sends what the kernel takes of `bytes`; a closed connection is an error, not a signal.
#[inline]
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<Option<usize>> {
    unless_blocked(rustix::net::send(
        fd,
        bytes,
        SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
    ))
}

/// Sends what the kernel takes of several pieces in one call, in order.
///
/// Uses writev(2), which is cheaper than sendmsg(2) but raises SIGPIPE on a closed connection; see
/// [`ignore_broken_pipes`](crate::signal::ignore_broken_pipes).
#[inline]
pub fn send_vectored(fd: BorrowedFd<'_>, parts: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
    unless_blocked(rustix::io::writev(fd, parts))
}

/// Says that nothing more will be sent (FIN).
pub fn shutdown_write(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::net::shutdown(fd, Shutdown::Write)?)
}

/// Takes the pending error: the result of a connect(2) in progress, or what broke the connection.
pub fn take_error(fd: BorrowedFd<'_>) -> io::Result<()> {
    sockopt::socket_error(fd)?.map_err(io::Error::from)
}

/// Makes close(2) reset the connection (RST) and throw unsent bytes away.
pub fn set_reset_on_close(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(sockopt::set_socket_linger(fd, Some(Duration::ZERO))?)
}

/// Sends small pieces at once instead of waiting for acknowledgements of earlier ones.
pub fn set_nodelay(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    Ok(sockopt::set_tcp_nodelay(fd, on)?)
}

/// How a silent connection is probed. `None` keeps the kernel's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe, in seconds.
    pub idle_seconds: Option<u32>,
    /// Pause between probes, in seconds.
    pub interval_seconds: Option<u32>,
    /// Unanswered probes before the connection is given up.
    pub count: Option<u32>,
}

/// Lets the kernel probe a silent TCP connection.
pub fn set_keepalive(fd: BorrowedFd<'_>, keepalive: &Keepalive) -> io::Result<()> {
    sockopt::set_socket_keepalive(fd, true)?;
    if let Some(seconds) = keepalive.idle_seconds {
        sockopt::set_tcp_keepidle(fd, Duration::from_secs(seconds.into()))?;
    }
    if let Some(seconds) = keepalive.interval_seconds {
        sockopt::set_tcp_keepintvl(fd, Duration::from_secs(seconds.into()))?;
    }
    if let Some(count) = keepalive.count {
        sockopt::set_tcp_keepcnt(fd, count)?;
    }
    Ok(())
}

/// The address this socket is bound to.
pub fn local_address(fd: BorrowedFd<'_>) -> io::Result<Address> {
    Ok(Address::decode(&rustix::net::getsockname(fd)?))
}

/// The address at the other end.
pub fn peer_address(fd: BorrowedFd<'_>) -> io::Result<Address> {
    Ok(rustix::net::getpeername(fd)?.map_or(Address::Unnamed, |raw| Address::decode(&raw)))
}
