//! Sending datagrams without ever waiting: log lines to syslog over UDP or a unix socket.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{self, SendFlags, SocketAddrAny, SocketFlags, SocketType, sockopt};

use crate::address::Address;

/// Sends datagrams to one place.
///
/// The socket is not connected, so that a receiver may go away and come back.
#[derive(Debug)]
pub struct DatagramSender {
    socket: OwnedFd,
    target: SocketAddrAny,
}

impl DatagramSender {
    /// A sender to `target`; nothing is sent, and nobody need be there yet.
    pub fn new(target: &Address) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = net::socket_with(target.family(), SocketType::DGRAM, flags, None)?;
        Ok(Self {
            socket,
            target: target.encode()?,
        })
    }

    /// Asks for room in the kernel for this many bytes on their way out.
    pub fn set_send_buffer(&self, bytes: usize) -> io::Result<()> {
        Ok(sockopt::set_socket_send_buffer_size(&self.socket, bytes)?)
    }

    /// Hands one datagram to the kernel. `false`: its queue is full and the datagram is lost.
    pub fn send(&self, bytes: &[u8]) -> io::Result<bool> {
        match net::sendto(
            &self.socket,
            bytes,
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            &self.target,
        ) {
            Ok(_) => Ok(true),
            Err(Errno::AGAIN | Errno::NOBUFS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn a_line_arrives_over_udp() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = DatagramSender::new(&Address::Inet(receiver.local_addr().unwrap())).unwrap();
        assert!(sender.send(b"<134>hello").unwrap());
        let mut line = [0; 64];
        let (length, _) = receiver.recv_from(&mut line).unwrap();
        assert_eq!(&line[..length], b"<134>hello");
    }

    #[test]
    fn a_full_queue_loses_lines_and_a_receiver_may_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let sender = DatagramSender::new(&Address::Unix(path.clone())).unwrap();
        assert_eq!(
            sender.send(b"nobody").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );

        let receiver = UnixDatagram::bind(&path).unwrap();
        let line = [b'x'; 1_000];
        let sent = (0..100_000)
            .take_while(|_| sender.send(&line).unwrap())
            .count();
        assert!(sent > 0 && sent < 100_000);

        drop(receiver);
        assert!(sender.send(b"gone").is_err());
        std::fs::remove_file(&path).unwrap();
        let _receiver = UnixDatagram::bind(&path).unwrap();
        assert!(sender.send(b"back").unwrap());
    }
}
