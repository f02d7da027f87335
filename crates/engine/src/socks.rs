//! Reaching a server through a SOCKS proxy (`socks4`).

use std::net::SocketAddr;
use std::task::{Poll, ready};

use plimsoll_wire::socks4::{self, ANSWER_BYTES};

use crate::fault::Fault;
use crate::reactor::{Reactor, Socket, TimedOut};

/// Asks the proxy at the other end for a connection to `destination`; what is said from then on is said to the server.
pub(crate) async fn ask(
    reactor: &Reactor,
    socket: &Socket,
    destination: SocketAddr,
    deadline_ns: u64,
) -> Result<(), Fault> {
    // Version 4 knows no other addresses.
    let SocketAddr::V4(destination) = destination else {
        return Err(Fault::ConnectRefused);
    };
    let request = socks4::request(destination);
    // A fresh connection has room for it.
    if !matches!(socket.try_write(&request), Ok(sent) if sent == request.len()) {
        return Err(Fault::ConnectRefused);
    }
    let (mut answer, mut heard) = ([0; ANSWER_BYTES], 0);
    let hearing = reactor.until(deadline_ns, || {
        // No more is read than belongs to the answer: the rest is the server's.
        while heard < ANSWER_BYTES {
            match ready!(socket.poll_read(&mut answer[heard..])) {
                Ok(0) | Err(_) => return Poll::Ready(false),
                Ok(count) => heard += count,
            }
        }
        Poll::Ready(socks4::is_granted(&answer))
    });
    match hearing.await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::ConnectRefused),
        Err(TimedOut) => Err(Fault::ConnectTimeout),
    }
}
