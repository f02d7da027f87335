//! Bytes relayed both ways between two transports: TCP mode, and what an HTTP upgrade leaves behind.
//!
//! Each direction runs on its own: an end of input on one side becomes a half-close on the other, and the tunnel
//! ends when both directions have ended, when either side breaks, or when nothing moved for too long.
//!
//! Small messages are copied through the worker's scratch buffer. A direction that keeps filling it is moved to
//! splice(2), which never copies the bytes into this process.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, ready};

use plimsoll_policy::bandwidth::Limits;

use crate::fault::Fault;
use crate::queue::Recall;
use crate::quota::Quota;
use crate::reactor::Pipe;
use crate::relay::Independent;
use crate::transport::{Outbox, Transport};
use crate::worker::{NEVER_NS, Worker, deadline_after};

/// Buffers moved in one direction before other tasks get their turn.
const MOVES_PER_TURN: u32 = 16;

/// Full buffers in a row after which a direction is spliced.
const FULL_READS_BEFORE_SPLICE: u32 = 4;

/// Inactivity limits; `None` never expires.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience {
    pub(crate) client_ms: Option<u64>,
    pub(crate) server_ms: Option<u64>,
    /// Replaces both when set.
    pub(crate) tunnel_ms: Option<u64>,
    /// Replace their side's once that side is half-closed.
    pub(crate) client_fin_ms: Option<u64>,
    pub(crate) server_fin_ms: Option<u64>,
    pub(crate) independent: Independent,
}

/// Which side ended a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Both sides closed in an orderly way.
    Both,
    ClientBroke,
    ServerBroke,
    ClientTimeout,
    ServerTimeout,
    /// The server was marked down, or another up, and this tunnel was to end with that.
    Recalled(Fault),
}

/// One end of a tunnel: the transport and what is known but not yet delivered to it.
pub(crate) struct Side<'a> {
    pub(crate) transport: &'a mut Transport,
    outbox: Outbox,
    /// Its input has ended.
    finished: bool,
    /// Its output has been shut down.
    shut: bool,
    /// The way from this side to the other, once it is spliced.
    pipe: Option<Pipe>,
    full_reads: u32,
    /// Bytes received from this side.
    pub(crate) received_bytes: u64,
}

impl<'a> Side<'a> {
    pub(crate) fn new(transport: &'a mut Transport) -> Self {
        Self {
            transport,
            outbox: Outbox::default(),
            finished: false,
            shut: false,
            pipe: None,
            full_reads: 0,
            received_bytes: 0,
        }
    }

    /// Sends what was read from this side to the other one before the tunnel begins.
    pub(crate) fn forward(&mut self, to: &mut Transport, bytes: &[u8]) -> io::Result<()> {
        self.received_bytes += bytes.len() as u64;
        let mut outbox = Outbox::default();
        outbox.write_one(to, bytes)?;
        match outbox.is_empty() {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Whether something is still to be taken by this side: through `pipe` where that is spliced.
    fn is_slow(&self, pipe: Option<&Pipe>) -> bool {
        self.outbox.is_waiting(self.transport) || pipe.is_some_and(|pipe| pipe.held_bytes() > 0)
    }

    /// Since when it is waited for, if it is: who has said everything and taken everything keeps nobody waiting. `pipe` is
    /// the way to this side where that is spliced.
    fn awaited_since(&self, pipe: Option<&Pipe>, speaks_ns: u64, takes_ns: u64) -> Option<u64> {
        match (self.finished, self.is_slow(pipe)) {
            (false, false) => Some(speaks_ns),
            (false, true) => Some(speaks_ns.min(takes_ns)),
            (true, true) => Some(takes_ns),
            (true, false) => None,
        }
    }

    /// Reads from this side, outside a tunnel.
    pub(crate) fn poll_read(&mut self, scratch: &mut [u8]) -> Poll<io::Result<usize>> {
        self.transport.poll_read(scratch)
    }

    fn half_closed(&self) -> bool {
        self.finished || self.shut
    }
}

/// Relays until the tunnel ends. `carry` holds what was read from each side before it became a tunnel.
pub(crate) async fn run(
    worker: &Rc<Worker>,
    client: &mut Side<'_>,
    server: &mut Side<'_>,
    carry: [&[u8]; 2],
    (patience, limits): (Patience, Option<&mut Limits>),
    recall: Recall<'_>,
) -> Ended {
    let [from_client, from_server] = carry;
    client.received_bytes += from_client.len() as u64;
    server.received_bytes += from_server.len() as u64;
    if server
        .outbox
        .write_one(server.transport, from_client)
        .is_err()
    {
        return Ended::ServerBroke;
    }
    if client
        .outbox
        .write_one(client.transport, from_server)
        .is_err()
    {
        return Ended::ClientBroke;
    }
    let mut quota = Quota::new(limits);
    let now_ns = worker.reactor.now_ns();
    let mut silence = Silence {
        patience,
        upload_ns: now_ns,
        download_ns: now_ns,
        expired: false,
    };
    let ended = poll_fn(|_| {
        let before = (client.received_bytes, server.received_bytes);
        let halves = (client.half_closed(), server.half_closed());
        let mut upload = Way::new(true, &mut quota);
        let up = poll_direction(worker, client, server, &mut upload);
        let held_up = upload.held;
        let mut download = Way::new(false, &mut quota);
        let down = poll_direction(worker, server, client, &mut download);
        let held_down = download.held;
        if let Some(ended) = end_of(&up, &down) {
            return Poll::Ready(ended);
        }
        let ends = halves != (client.half_closed(), server.half_closed());
        // Whoever is held back is not silent.
        if held_up || ends || client.received_bytes != before.0 {
            silence.upload_ns = worker.reactor.now_ns();
        }
        if held_down || ends || server.received_bytes != before.1 {
            silence.download_ns = worker.reactor.now_ns();
        }
        let ended = match recall.fault() {
            Some(fault) => Poll::Ready(Ended::Recalled(fault)),
            None => silence.poll(worker, client, server),
        };
        // A client whose silence counts by itself has only that way closed: the server may still speak to it.
        if ended == Poll::Ready(Ended::ClientTimeout) && silence.ends_upload(client) {
            worker.reactor.wake(worker.reactor.current());
            return Poll::Pending;
        }
        ended
    })
    .await;
    match silence.expired {
        true => Ended::ClientTimeout,
        false => ended,
    }
}

/// Passes on what a client says before its tunnel begins, its end included; an error where that cannot be.
pub(crate) fn poll_upload(
    worker: &Rc<Worker>,
    client: &mut Side<'_>,
    server: &mut Side<'_>,
) -> Result<(), Fault> {
    match poll_direction(
        worker,
        client,
        server,
        &mut Way::new(true, &mut Quota::default()),
    ) {
        Poll::Ready(Err(Broke::Source)) => Err(Fault::ClientClosed),
        Poll::Ready(Err(Broke::Sink)) => Err(Fault::ServerClosed),
        Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
    }
}

/// How a tunnel ends whose directions stand so, if it does.
fn end_of(up: &Poll<Result<(), Broke>>, down: &Poll<Result<(), Broke>>) -> Option<Ended> {
    match (up, down) {
        (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Some(Ended::Both),
        (Poll::Ready(Err(Broke::Source)), _) | (_, Poll::Ready(Err(Broke::Sink))) => {
            Some(Ended::ClientBroke)
        }
        (Poll::Ready(Err(Broke::Sink)), _) | (_, Poll::Ready(Err(Broke::Source))) => {
            Some(Ended::ServerBroke)
        }
        _ => None,
    }
}

/// Since when nothing has moved, each way.
struct Silence {
    patience: Patience,
    upload_ns: u64,
    download_ns: u64,
    /// The client has been silent for too long, while the server was not.
    expired: bool,
}

impl Silence {
    /// Ends what a client says in place of the whole tunnel, where its silence counts by itself. Said once.
    fn ends_upload(&mut self, client: &mut Side<'_>) -> bool {
        let ends = self.patience.independent.client && !client.finished;
        if ends {
            client.finished = true;
            self.expired = true;
        }
        ends
    }

    /// Waits until somebody's patience ends.
    fn poll(&self, worker: &Worker, client: &Side<'_>, server: &Side<'_>) -> Poll<Ended> {
        let patience = &self.patience;
        let now_ns = worker.reactor.now_ns();
        let usual_ms = patience.tunnel_ms.or(patience.client_ms);
        let fin_ms = patience.client_fin_ms.filter(|_| client.half_closed());
        let (speaks_ns, takes_ns) = self.since(patience.independent.client, true);
        let client_ns = client
            .awaited_since(server.pipe.as_ref(), speaks_ns, takes_ns)
            .map_or(NEVER_NS, |since| deadline_after(since, fin_ms.or(usual_ms)));
        if now_ns >= client_ns {
            return Poll::Ready(Ended::ClientTimeout);
        }
        let usual_ms = patience.tunnel_ms.or(patience.server_ms);
        let fin_ms = patience.server_fin_ms.filter(|_| server.half_closed());
        let (speaks_ns, takes_ns) = self.since(patience.independent.server, false);
        let server_ns = server
            .awaited_since(client.pipe.as_ref(), speaks_ns, takes_ns)
            .map_or(NEVER_NS, |since| deadline_after(since, fin_ms.or(usual_ms)));
        if now_ns >= server_ns {
            return Poll::Ready(Ended::ServerTimeout);
        }
        worker.reactor.wake_at(client_ns.min(server_ns));
        Poll::Pending
    }

    /// Since when a side has said nothing, and taken nothing. Whatever moves counts as both, unless it is independent.
    fn since(&self, alone: bool, of_client: bool) -> (u64, u64) {
        match (alone, of_client) {
            (false, _) => {
                let moved_ns = self.upload_ns.max(self.download_ns);
                (moved_ns, moved_ns)
            }
            (true, true) => (self.upload_ns, self.download_ns),
            (true, false) => (self.download_ns, self.upload_ns),
        }
    }
}

/// A direction, and how fast bytes may go there.
struct Way<'q, 'a> {
    upload: bool,
    quota: &'q mut Quota<'a>,
    /// They have to wait.
    held: bool,
}

impl<'q, 'a> Way<'q, 'a> {
    fn new(upload: bool, quota: &'q mut Quota<'a>) -> Self {
        Self {
            upload,
            quota,
            held: false,
        }
    }
}

/// Which end of a direction failed.
enum Broke {
    Source,
    Sink,
}

/// Moves bytes one way; ready when the source has ended and everything, its end included, has been passed on.
fn poll_direction(
    worker: &Rc<Worker>,
    source: &mut Side<'_>,
    sink: &mut Side<'_>,
    way: &mut Way<'_, '_>,
) -> Poll<Result<(), Broke>> {
    for _ in 0..MOVES_PER_TURN {
        ready!(poll_drain(source, sink)).map_err(|_| Broke::Sink)?;
        if source.finished {
            if !sink.shut {
                sink.shut = true;
                // A peer that is gone already cannot be told; its own direction reports that.
                let _ = sink.transport.shutdown_write();
            }
            return Poll::Ready(Ok(()));
        }
        if ready!(poll_fill(worker, source, sink, way))? == 0 {
            source.finished = true;
        }
    }
    worker.reactor.wake(worker.reactor.current());
    Poll::Pending
}

/// Everything that was taken from `source` has reached `sink`'s kernel buffers.
fn poll_drain(source: &mut Side<'_>, sink: &mut Side<'_>) -> Poll<io::Result<()>> {
    ready!(sink.outbox.poll_flush(sink.transport))?;
    match &mut source.pipe {
        Some(pipe) => pipe.poll_drain(sink.transport.socket()),
        None => Poll::Ready(Ok(())),
    }
}

/// Takes bytes from `source`: into the pipe when spliced, else through the scratch buffer to `sink`.
fn poll_fill(
    worker: &Rc<Worker>,
    source: &mut Side<'_>,
    sink: &mut Side<'_>,
    way: &mut Way<'_, '_>,
) -> Poll<Result<usize, Broke>> {
    if let Some(pipe) = &mut source.pipe {
        let count = ready!(pipe.poll_fill(source.transport.socket())).map_err(|_| Broke::Source)?;
        source.received_bytes += count as u64;
        return Poll::Ready(Ok(count));
    }
    let mut scratch = worker.reactor.scratch();
    let quota = way.quota.poll(&worker.reactor, way.upload, scratch.len());
    way.held = quota.is_pending();
    let room = ready!(quota);
    let count =
        ready!(source.transport.poll_read(&mut scratch[..room])).map_err(|_| Broke::Source)?;
    source.received_bytes += count as u64;
    way.quota.passed(&worker.reactor, way.upload, count);
    sink.outbox
        .write_one(sink.transport, &scratch[..count])
        .map_err(|_| Broke::Sink)?;
    source.full_reads = if count == scratch.len() {
        source.full_reads + 1
    } else {
        0
    };
    let plain = source.transport.is_plain() && sink.transport.is_plain();
    let free = plain && !way.quota.applies(way.upload);
    if source.full_reads >= FULL_READS_BEFORE_SPLICE && free && worker.may_splice() {
        source.pipe = worker.reactor.pipe();
    }
    Poll::Ready(Ok(count))
}
