//! The reactor on the kernel's own sockets, over loopback.

use std::future::poll_fn;

use plimsoll_engine::reactor::{Listener, Options, Reactor, Socket, TimedOut, connect};
use plimsoll_sys::address::Address;
use plimsoll_sys::connect::ConnectOptions;
use plimsoll_sys::listen::ListenOptions;

const SECOND_NS: u64 = 1_000_000_000;

fn reactor() -> Reactor {
    Reactor::new(Options::default()).unwrap()
}

fn any_port() -> Address {
    Address::Inet("127.0.0.1:0".parse().unwrap())
}

fn listen(reactor: &Reactor) -> (Listener, Address) {
    let listener = Listener::bind(reactor, &any_port(), &ListenOptions::default()).unwrap();
    let address = listener.address().clone();
    (listener, address)
}

async fn dial(reactor: &Reactor, address: &Address) -> Socket {
    let socket = connect(reactor, address, &ConnectOptions::default()).unwrap();
    poll_fn(|_| socket.poll_connected()).await.unwrap();
    socket
}

async fn accept(listener: &Listener) -> Socket {
    poll_fn(|_| listener.poll_accept()).await.unwrap()
}

async fn write_all(socket: &Socket, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let count = poll_fn(|_| socket.poll_write(bytes)).await.unwrap();
        bytes = &bytes[count..];
    }
}

async fn read_exact(socket: &Socket, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        let count = poll_fn(|_| socket.poll_read(&mut bytes[filled..]))
            .await
            .unwrap();
        assert_ne!(count, 0, "ended after {filled} of {length} bytes");
        filled += count;
    }
    bytes
}

async fn echo(reactor: Reactor, socket: Socket) {
    loop {
        let mut scratch = reactor.scratch();
        let count = poll_fn(|_| socket.poll_read(&mut scratch))
            .await
            .unwrap_or(0);
        if count == 0 {
            return;
        }
        write_all(&socket, &scratch[..count]).await;
    }
}

fn serve_echo(reactor: &Reactor, listener: Listener) {
    let spawner = reactor.clone();
    reactor
        .spawn(async move {
            loop {
                let socket = accept(&listener).await;
                spawner.spawn(echo(spawner.clone(), socket)).unwrap();
            }
        })
        .unwrap();
}

#[test]
fn bytes_come_back() {
    let reactor = reactor();
    let (listener, address) = listen(&reactor);
    serve_echo(&reactor, listener);
    let client = reactor.clone();
    reactor
        .block_on(async move {
            let socket = dial(&client, &address).await;
            for round in 0..100_usize {
                let sent: Vec<u8> = (0..round * 997).map(|i| (i * 31 + round) as u8).collect();
                write_all(&socket, &sent).await;
                assert_eq!(read_exact(&socket, sent.len()).await, sent);
            }
        })
        .unwrap();
    reactor.cancel_all();
    assert_eq!((reactor.usage().tasks, reactor.usage().sockets), (0, 0));
}

#[test]
fn a_deadline_ends_a_wait_for_silence() {
    let reactor = reactor();
    let (listener, address) = listen(&reactor);
    let task = reactor.clone();
    let waited_ns = reactor
        .block_on(async move {
            let client = dial(&task, &address).await;
            let _server = accept(&listener).await;
            let start_ns = task.now_ns();
            let waited = task
                .until(start_ns + SECOND_NS / 50, || client.poll_readable())
                .await;
            assert_eq!(waited, Err(TimedOut));
            task.now_ns() - start_ns
        })
        .unwrap();
    assert!(
        (SECOND_NS / 50..SECOND_NS).contains(&waited_ns),
        "waited {waited_ns} ns"
    );
}
