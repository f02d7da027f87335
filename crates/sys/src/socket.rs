//! What is done with a connected stream socket.
//!
//! "Would block" is `Ok(None)`, not an error: on a non-blocking socket it is an everyday answer.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, sockopt};

use crate::address::Address;
use crate::option;

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

/// Makes close(2) reset the connection (RST) and throw unsent bytes away, or end it in order again.
pub fn set_reset_on_close(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    let linger = on.then_some(Duration::ZERO);
    Ok(sockopt::set_socket_linger(fd, linger)?)
}

/// Has the connection end without the peer being told, when it is closed: the peer goes on believing in it.
///
/// Where this process may administer the network, nothing is sent at all (`TCP_REPAIR`). Elsewhere, or where `ttl` is
/// given, a reset is sent that does not get further than so many hops, 1 unless said otherwise: it spares the routers and
/// firewalls in between an entry, and does not reach a peer behind them.
pub fn vanish(fd: BorrowedFd<'_>, ttl: Option<u8>) -> io::Result<()> {
    const ON: i32 = 1;
    // What the peer has sent is acknowledged, so that it sends nothing again.
    let _ = option::set_int(fd, libc::IPPROTO_TCP, libc::TCP_QUICKACK, ON);
    if ttl.is_none() && option::set_int(fd, libc::IPPROTO_TCP, libc::TCP_REPAIR, ON).is_ok() {
        return Ok(());
    }
    let ttl = i32::from(ttl.unwrap_or(1));
    // One of the two is the socket's family.
    let _ = option::set_int(fd, libc::IPPROTO_IP, libc::IP_TTL, ttl);
    let _ = option::set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, ttl);
    set_reset_on_close(fd, true)
}

/// Marks outgoing packets for routing and filters of this machine (`SO_MARK`), which takes the right to administer the network.
pub fn set_mark(fd: BorrowedFd<'_>, mark: u32) -> io::Result<()> {
    option::set_int(fd, libc::SOL_SOCKET, libc::SO_MARK, mark as i32)
}

/// Sets the type of service of outgoing packets, or the traffic class of IPv6 (RFC 2474).
pub fn set_service(fd: BorrowedFd<'_>, service: u8) -> io::Result<()> {
    let service = i32::from(service);
    // A socket of IPv6 may carry IPv4, and has both.
    let old = option::set_int(fd, libc::IPPROTO_IP, libc::IP_TOS, service);
    option::set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, service).or(old)
}

/// Sends small pieces at once instead of waiting for acknowledgements of earlier ones.
pub fn set_nodelay(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    Ok(sockopt::set_tcp_nodelay(fd, on)?)
}

/// How well packets travel to the peer of a TCP connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    pub rtt_us: u32,
    pub rtt_variance_us: u32,
    pub unacked: u32,
    pub sacked: u32,
    pub lost: u32,
    /// Sent again and on their way.
    pub retransmitted: u32,
    pub forward_acknowledged: u32,
    pub reordering: u32,
    /// Nothing goes either way any more, and nothing has to be waited for: the peer reset it, for instance.
    pub closed: bool,
}

/// `TCP_CLOSE` of the kernel's states.
const STATE_CLOSED: u8 = 7;

/// Asks the kernel how well packets travel.
pub fn tcp_info(fd: BorrowedFd<'_>) -> io::Result<TcpInfo> {
    let info = option::tcp_info(fd)?;
    Ok(TcpInfo {
        rtt_us: info.tcpi_rtt,
        rtt_variance_us: info.tcpi_rttvar,
        unacked: info.tcpi_unacked,
        sacked: info.tcpi_sacked,
        lost: info.tcpi_lost,
        retransmitted: info.tcpi_retrans,
        forward_acknowledged: info.tcpi_fackets,
        reordering: info.tcpi_reordering,
        closed: info.tcpi_state == STATE_CLOSED,
    })
}

/// The SYN packet that an accepted connection began with, if its listener has had it saved; the kernel gives it once.
pub fn saved_syn(fd: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    option::saved_syn(fd)
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

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn packets_carry_the_type_of_service_in_both_families() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // A machine may lack the second one.
            let Ok(listener) = TcpListener::bind(address) else {
                continue;
            };
            let address = listener.local_addr().expect("an address");
            let stream = TcpStream::connect(address).expect("it listens");
            set_service(stream.as_fd(), 0x28).expect("everyone may");
            let found = match address.is_ipv4() {
                true => u32::from(sockopt::ip_tos(stream.as_fd()).expect("an answer")),
                false => sockopt::ipv6_tclass(stream.as_fd()).expect("an answer"),
            };
            assert_eq!(found, 0x28, "{address}");
        }
    }
}
