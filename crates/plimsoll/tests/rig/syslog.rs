//! A receiver of log lines.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use super::DEADLINE;

/// A UDP socket that log lines are sent to.
pub struct Syslog {
    socket: UdpSocket,
}

impl Syslog {
    pub fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// The next line.
    ///
    /// # Panics
    /// When none comes in time.
    pub fn line(&self) -> String {
        let mut buffer = vec![0; 64 << 10];
        let received = std::iter::repeat_with(|| self.socket.recv(&mut buffer))
            // The process stood still.
            .find(|received| !is_interrupted(received))
            .expect("it goes on");
        let length = received.expect("a log line comes");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}

fn is_interrupted(received: &io::Result<usize>) -> bool {
    let error = received.as_ref().err();
    error.is_some_and(|error| error.kind() == io::ErrorKind::Interrupted)
}
