//! Connecting stream sockets.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{self, SocketFlags, SocketType, sockopt};

use crate::address::Address;
use crate::listen::{bind_to_interface, set_buffers, set_transparent};
use crate::option;
use crate::socket::Keepalive;

/// How to connect. Options that do not fit the kind of address are left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The address to come from; port 0 lets the kernel choose when it connects.
    pub source: Option<Address>,
    /// The source need not belong to this machine (IP_TRANSPARENT).
    pub transparent: bool,
    /// Leave through this network interface.
    pub interface: Option<String>,
    /// Largest TCP segment, in bytes.
    pub segment_bytes: Option<u32>,
    /// How long sent bytes may stay unacknowledged before the connection is given up, in milliseconds.
    pub user_timeout_ms: Option<u32>,
    /// Congestion control algorithm, by its kernel name.
    pub congestion: Option<String>,
    pub receive_buffer_bytes: Option<u32>,
    pub send_buffer_bytes: Option<u32>,
    pub keepalive: Option<Keepalive>,
    /// The kernel's mark, where it may be set (it takes `CAP_NET_ADMIN`); it is left out where not.
    pub mark: Option<u32>,
    /// The type of service of packets; left out where it cannot be had.
    pub service: Option<u8>,
}

/// A connection, or the attempt at one.
#[derive(Debug)]
pub struct Connecting {
    pub socket: OwnedFd,
    /// Established already (unix sockets, loopback); otherwise it is when the socket becomes writable without an error.
    pub done: bool,
}

/// Starts a connection with a new non-blocking socket. NODELAY is always set.
pub fn connect(address: &Address, options: &ConnectOptions) -> io::Result<Connecting> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(address.family(), SocketType::STREAM, flags, None)?;
    let fd = socket.as_fd();
    set_buffers(fd, options.receive_buffer_bytes, options.send_buffer_bytes)?;
    if let Address::Inet(_) = address {
        set_inet(fd, options)?;
    }
    let encoded = address.encode()?;
    let done = match net::connect(fd, &encoded) {
        Ok(()) => true,
        // Over loopback the whole handshake happens within the call, which says all the same that it has only begun.
        // Asking once more is cheaper than waiting for an event.
        Err(Errno::INPROGRESS) if address.is_loopback() => {
            is_established(net::connect(fd, &encoded))?
        }
        Err(Errno::INPROGRESS) => false,
        Err(error) => return Err(error.into()),
    };
    Ok(Connecting { socket, done })
}

/// What a second `connect` tells about the first.
fn is_established(again: Result<(), Errno>) -> io::Result<bool> {
    match again {
        Ok(()) | Err(Errno::ISCONN) => Ok(true),
        Err(Errno::ALREADY) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn set_inet(fd: BorrowedFd<'_>, options: &ConnectOptions) -> io::Result<()> {
    sockopt::set_tcp_nodelay(fd, true)?;
    if let Some(name) = &options.interface {
        bind_to_interface(fd, name)?;
    }
    if let Some(bytes) = options.segment_bytes {
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        option::set_int(fd, libc::IPPROTO_TCP, libc::TCP_MAXSEG, bytes)?;
    }
    if let Some(ms) = options.user_timeout_ms {
        sockopt::set_tcp_user_timeout(fd, ms)?;
    }
    if let Some(name) = &options.congestion {
        sockopt::set_tcp_congestion(fd, name)?;
    }
    if let Some(keepalive) = &options.keepalive {
        crate::socket::set_keepalive(fd, keepalive)?;
    }
    if let Some(mark) = options.mark {
        let _ = crate::socket::set_mark(fd, mark);
    }
    if let Some(service) = options.service {
        let _ = crate::socket::set_service(fd, service);
    }
    if let Some(source) = &options.source {
        if let (true, Address::Inet(source)) = (options.transparent, source) {
            set_transparent(fd, *source)?;
        }
        // Lets many connections to different servers share one source port.
        option::set_int(fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
        sockopt::set_socket_reuseaddr(fd, true)?;
        net::bind(fd, &source.encode()?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_connection_comes_from_where_it_was_told_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = ConnectOptions {
            source: Some(Address::Inet("127.0.0.3:0".parse().unwrap())),
            ..ConnectOptions::default()
        };
        let connecting = connect(&Address::Inet(listener.local_addr().unwrap()), &options).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip().to_string(), "127.0.0.3");
        crate::socket::take_error(connecting.socket.as_fd()).unwrap();
        assert!(sockopt::tcp_nodelay(&connecting.socket).unwrap());
    }

    #[test]
    fn the_first_packet_is_labelled() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = ConnectOptions {
            service: Some(0x28),
            mark: Some(7),
            ..ConnectOptions::default()
        };
        // Whether this process may mark packets or not: it connects.
        let connecting = connect(&Address::Inet(listener.local_addr().unwrap()), &options).unwrap();
        assert_eq!(sockopt::ip_tos(&connecting.socket).unwrap(), 0x28);
    }

    #[test]
    fn a_path_nobody_listens_at_fails_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let nowhere = Address::Unix(directory.path().join("nowhere"));
        assert!(connect(&nowhere, &ConnectOptions::default()).is_err());
    }
}
