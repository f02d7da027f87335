//! Long bodies move from one socket to another within the kernel, by way of a pipe (splice(2)).
//!
//! Heads, and the marks of chunks, are read and written as always; only stretches of payload whose length is known, or
//! whose end is that of the connection, go this way:
//!
//! ```text
//! read      ...chunk head│first bytes of payload
//! moved                                         │rest of the chunk's payload
//! read                                                                      │line end, next chunk head, ...
//! ```
//!
//! What is absent: tunnels, whose bytes have no marks ([`crate::tunnel`]), and the choice between the two ways at every
//! moment, which is the relay's.

use std::task::{Poll, ready};

use crate::reactor::{Pipe, Socket};
use crate::stream::StreamError;
use crate::worker::Worker;

/// A stretch must be this long to be moved within the kernel, in bytes.
const STRETCH_BYTES_MIN: u64 = 128 << 10;

/// Full buffers in a row after which a body that ends with its connection is thought to be long.
const FULL_READS_MIN: u32 = 4;

/// One side of an exchange, as far as the kernel can move its bytes. By default it cannot.
pub(crate) trait Splice {
    /// Where the next bytes of the body that comes in come from just as they are, and how many do. `u64::MAX`: until
    /// the connection ends.
    fn splice_source(&self) -> Option<(&Socket, u64)> {
        None
    }

    /// Takes note of payload taken from there; says whether the body ends with it.
    fn spliced(&mut self, _bytes: u64) -> bool {
        false
    }

    /// Nothing more comes from there, which is an error unless the body ends so.
    fn source_ended(&mut self) -> Result<(), StreamError> {
        Err(StreamError::Closed)
    }

    /// Where more of the body that goes out may be put as it is; nothing handed over is waiting then.
    fn splice_sink(&self) -> Option<&Socket> {
        None
    }

    /// Says what has to be said before so many bytes of payload are put there.
    fn announce(&mut self, _bytes: u64) -> Result<(), StreamError> {
        Ok(())
    }

    /// Ready when that has left.
    fn poll_announced(&mut self) -> Poll<Result<(), StreamError>> {
        Poll::Ready(Ok(()))
    }
}

/// Whose side failed.
#[derive(Debug)]
pub(crate) enum Trouble {
    Source(StreamError),
    Sink(StreamError),
}

/// The way of a long body in one direction.
#[derive(Debug, Default)]
pub(crate) struct Conduit {
    pipe: Option<Pipe>,
    /// Buffers in a row that were filled by one read.
    full_reads: u32,
    /// The body ends with what is in the pipe.
    ends: bool,
    /// All that has gone this way, in bytes.
    pub(crate) moved_bytes: u64,
    /// When something of the body went in this direction last, whichever way; 0: never.
    pub(crate) moved_ns: u64,
}

impl Conduit {
    /// One whose silence counts from a moment.
    pub(crate) fn since(moved_ns: u64) -> Self {
        Self {
            moved_ns,
            ..Self::default()
        }
    }

    /// Takes note of payload that was read into a buffer with so much room.
    pub(crate) fn copied(&mut self, bytes: usize, room: usize) {
        self.full_reads = match bytes >= room / 2 {
            true => self.full_reads.saturating_add(1),
            false => 0,
        };
    }

    /// Whether the next bytes go this way: decided anew where a stretch begins.
    pub(crate) fn is_open(
        &mut self,
        worker: &Worker,
        source: &impl Splice,
        sink: &impl Splice,
    ) -> bool {
        let ahead = match (sink.splice_sink(), source.splice_source()) {
            (Some(_), Some((_, ahead))) => ahead,
            _ => 0,
        };
        let is_long = match ahead {
            u64::MAX => self.full_reads >= FULL_READS_MIN,
            ahead => ahead >= STRETCH_BYTES_MIN,
        };
        if ahead == 0 {
            self.pipe = None;
        } else if self.pipe.is_none() && is_long && worker.may_splice() {
            self.pipe = worker.reactor.pipe();
        }
        self.pipe.is_some()
    }

    /// Takes what the source has into the pipe, which is empty, and announces it to the sink.
    pub(crate) fn poll_fill(
        &mut self,
        source: &mut impl Splice,
        sink: &mut impl Splice,
    ) -> Poll<Result<(), Trouble>> {
        let (Some(pipe), Some((socket, ahead))) = (&mut self.pipe, source.splice_source()) else {
            return Poll::Ready(Ok(()));
        };
        let limit = usize::try_from(ahead).unwrap_or(usize::MAX);
        let count = match ready!(pipe.poll_fill_at_most(socket, limit)) {
            Ok(count) => count as u64,
            Err(error) => return Poll::Ready(Err(Trouble::Source(error.into()))),
        };
        if count == 0 {
            self.ends = true;
            return Poll::Ready(source.source_ended().map_err(Trouble::Source));
        }
        self.moved_bytes += count;
        self.ends = source.spliced(count);
        Poll::Ready(sink.announce(count).map_err(Trouble::Sink))
    }

    /// Ready when everything in the pipe has reached the sink's socket.
    pub(crate) fn poll_drain(&mut self, sink: &mut impl Splice) -> Poll<Result<(), Trouble>> {
        let Some(pipe) = self.pipe.as_mut().filter(|pipe| pipe.held_bytes() > 0) else {
            return Poll::Ready(Ok(()));
        };
        ready!(sink.poll_announced()).map_err(Trouble::Sink)?;
        let Some(socket) = sink.splice_sink() else {
            return Poll::Ready(Err(Trouble::Sink(StreamError::Closed)));
        };
        let drained = ready!(pipe.poll_drain(socket));
        Poll::Ready(drained.map_err(|error| Trouble::Sink(error.into())))
    }

    /// Whether the body has ended in the pipe, which is empty by now: told once.
    pub(crate) fn take_end(&mut self) -> bool {
        std::mem::take(&mut self.ends)
    }

    /// Bytes that wait for the sink.
    pub(crate) fn held_bytes(&self) -> usize {
        self.pipe.as_ref().map_or(0, Pipe::held_bytes)
    }
}
