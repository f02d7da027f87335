//! What the reactor's tests say in one word.

use std::future::poll_fn;
use std::io;

use plimsoll_engine::reactor::{Listener, Reactor, Socket, connect};
use plimsoll_sys::{Address, ConnectOptions, ListenOptions};

pub(crate) const SECOND_NS: u64 = 1_000_000_000;

pub(crate) fn any_port() -> Address {
    Address::Inet("127.0.0.1:0".parse().unwrap())
}

pub(crate) fn listen(reactor: &Reactor) -> (Listener, Address) {
    let listener = Listener::bind(reactor, &any_port(), &ListenOptions::default()).unwrap();
    let address = listener.address().clone();
    (listener, address)
}

pub(crate) async fn dial(reactor: &Reactor, address: &Address) -> io::Result<Socket> {
    let socket = connect(reactor, address, &ConnectOptions::default())?;
    poll_fn(|_| socket.poll_connected()).await?;
    Ok(socket)
}

pub(crate) async fn accept(listener: &Listener) -> Socket {
    poll_fn(|_| listener.poll_accept()).await.unwrap()
}

pub(crate) async fn write_all(socket: &Socket, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = poll_fn(|_| socket.poll_write(bytes)).await?;
        bytes = &bytes[count..];
    }
    Ok(())
}

/// Exactly `length` bytes; an earlier end is an error.
pub(crate) async fn read_exact(socket: &Socket, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match poll_fn(|_| socket.poll_read(&mut bytes[filled..])).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(bytes)
}

/// Everything until the end.
pub(crate) async fn read_all(socket: &Socket) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        match poll_fn(|_| socket.poll_read(&mut piece)).await? {
            0 => return Ok(all),
            count => all.extend_from_slice(&piece[..count]),
        }
    }
}

/// Sends back what comes, and ends when the peer does.
pub(crate) async fn echo(reactor: Reactor, socket: Socket) -> io::Result<()> {
    loop {
        let mut scratch = reactor.scratch();
        let count = poll_fn(|_| socket.poll_read(&mut scratch)).await?;
        if count == 0 {
            return socket.shutdown_write();
        }
        write_all(&socket, &scratch[..count]).await?;
    }
}

/// `length` bytes that tell their position and `salt`.
pub(crate) fn pattern(length: usize, salt: usize) -> Vec<u8> {
    (0..length)
        .map(|position| (position * 31 + position / 251 + salt) as u8)
        .collect()
}
