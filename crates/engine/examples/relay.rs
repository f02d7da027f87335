//! A relay of raw bytes on the reactor, and nothing else: what the engine costs before it knows what a request is.
//!
//! ```text
//! relay LISTEN SERVER [CORE]          relay 127.0.0.1:8080 127.0.0.1:9000 0
//! ```
//!
//! Each client connection is paired with one server connection for its life. Between messages a pair holds no
//! buffer; what a slow peer does not take waits in a small one.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Poll, ready};

use plimsoll_engine::reactor::{Buffer, Listener, Options, Reactor, Socket, connect};
use plimsoll_sys::{Address, ConnectOptions, ListenOptions, cpu, limit};

/// A pair on which nothing moves for this long is closed.
const IDLE_NS: u64 = 60_000_000_000;

/// Reads of one direction before other pairs get their turn.
const READS_PER_TURN: u32 = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let mut word = || words.next().ok_or("usage: relay LISTEN SERVER [CORE]");
    let listen: SocketAddr = word()?.parse()?;
    let server: SocketAddr = word()?.parse()?;
    if let Ok(core) = word() {
        cpu::pin_thread(core.parse()?)?;
    }
    limit::raise_descriptor_limit(100_000)?;

    let reactor = Reactor::new(Options::default())?;
    let listener = Listener::bind(&reactor, &listen.into(), &ListenOptions::default())?;
    reactor.spawn(accept(reactor.clone(), listener, server.into()))?;
    reactor.run()?;
    Ok(())
}

async fn accept(reactor: Reactor, listener: Listener, server: Address) {
    loop {
        let Ok(client) = poll_fn(|_| listener.poll_accept()).await else {
            return reactor.stop();
        };
        let pair = serve(reactor.clone(), client, server.clone());
        // A full table closes the connection, which is all that can be done for it.
        let _ = reactor.spawn(async { drop(pair.await) });
    }
}

async fn serve(reactor: Reactor, client: Socket, server: Address) -> io::Result<()> {
    let server = connect(&reactor, &server, &ConnectOptions::default())?;
    let deadline_ns = reactor.now_ns() + IDLE_NS;
    reactor
        .until(deadline_ns, || server.poll_connected())
        .await??;

    let mut up = Direction::default();
    let mut down = Direction::default();
    let mut deadline_ns = reactor.now_ns() + IDLE_NS;
    poll_fn(|_| {
        let before = (up.moved_bytes, down.moved_bytes);
        let over = up.poll(&reactor, &client, &server)?.is_ready();
        let over = down.poll(&reactor, &server, &client)?.is_ready() && over;
        if over {
            return Poll::Ready(Ok(()));
        }
        if (up.moved_bytes, down.moved_bytes) != before {
            deadline_ns = reactor.now_ns() + IDLE_NS;
        }
        let timed_out = ready!(reactor.poll_deadline(deadline_ns));
        Poll::Ready(Err(timed_out.into()))
    })
    .await
}

/// One way through a pair.
#[derive(Default)]
struct Direction {
    /// What the sink has not taken, and how much of that has left since.
    backlog: Option<(Buffer, usize)>,
    ended: bool,
    moved_bytes: u64,
}

impl Direction {
    /// Ready when the source has ended and the sink knows it.
    fn poll(&mut self, reactor: &Reactor, source: &Socket, sink: &Socket) -> io::Result<Poll<()>> {
        for _ in 0..READS_PER_TURN {
            if self.poll_flush(sink)?.is_pending() {
                return Ok(Poll::Pending);
            }
            if self.ended {
                return Ok(Poll::Ready(()));
            }
            let mut scratch = reactor.scratch();
            let Poll::Ready(read) = source.poll_read(&mut scratch) else {
                return Ok(Poll::Pending);
            };
            let count = read?;
            if count == 0 {
                self.ended = true;
                sink.shutdown_write()?;
                continue;
            }
            self.moved_bytes += count as u64;
            let taken = sink.try_write(&scratch[..count])?;
            if taken < count {
                let mut rest = reactor.buffer();
                rest.extend_from_slice(&scratch[taken..count]);
                self.backlog = Some((rest, 0));
            }
        }
        reactor.wake(reactor.current());
        Ok(Poll::Pending)
    }

    fn poll_flush(&mut self, sink: &Socket) -> io::Result<Poll<()>> {
        while let Some((rest, sent)) = &mut self.backlog {
            let Poll::Ready(written) = sink.poll_write(&rest[*sent..]) else {
                return Ok(Poll::Pending);
            };
            *sent += written?;
            if *sent == rest.len() {
                self.backlog = None;
            }
        }
        Ok(Poll::Ready(()))
    }
}
