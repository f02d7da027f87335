//! Bytes in both directions, whatever carries them.
//!
//! Today that is a socket; TLS becomes a second variant here, and nothing above notices.

use std::io::{self, IoSlice};
use std::task::{Poll, ready};

use crate::reactor::Socket;

/// A backlog that grew beyond this gives its memory back once it has left.
const BACKLOG_KEEP_BYTES: usize = 0;

#[derive(Debug)]
pub(crate) enum Transport {
    Plain(Socket),
}

impl Transport {
    pub(crate) fn poll_read(&mut self, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => socket.poll_read(buffer),
        }
    }

    /// Writes what is taken now; `Ok(0)` when nothing is.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write(bytes),
        }
    }

    fn try_write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write_vectored(parts),
        }
    }

    /// Ready when a read is worth trying.
    pub(crate) fn poll_readable(&mut self) -> Poll<()> {
        match self {
            Self::Plain(socket) => socket.poll_readable(),
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.shutdown_write(),
        }
    }

    /// Ready when a write is worth trying.
    pub(crate) fn poll_writable(&mut self) -> Poll<()> {
        match self {
            Self::Plain(socket) => socket.poll_writable(),
        }
    }

    /// Ready when the peer has closed or reset its side.
    pub(crate) fn poll_hangup(&mut self) -> Poll<()> {
        match self {
            Self::Plain(socket) => socket.poll_hangup(),
        }
    }

    pub(crate) fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
        }
    }
}

/// What the kernel has not taken yet. Empty, and without memory, unless the peer reads slowly.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    backlog: Vec<u8>,
    sent: usize,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Sends three parts in order with one call; keeps what does not leave now.
    pub(crate) fn write_parts(
        &mut self,
        transport: &mut Transport,
        parts: [&[u8]; 3],
    ) -> io::Result<()> {
        let mut taken = match self.is_empty() {
            true => transport.try_write_vectored(&parts.map(IoSlice::new))?,
            false => 0,
        };
        for part in parts {
            let skipped = taken.min(part.len());
            taken -= skipped;
            if skipped < part.len() {
                self.keep(&part[skipped..]);
            }
        }
        Ok(())
    }

    /// Sends `bytes` behind what is already waiting.
    pub(crate) fn write_one(&mut self, transport: &mut Transport, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let taken = if self.is_empty() {
            transport.try_write(bytes)?
        } else {
            0
        };
        if taken < bytes.len() {
            self.keep(&bytes[taken..]);
        }
        Ok(())
    }

    /// Ready when everything has left.
    pub(crate) fn poll_flush(&mut self, transport: &mut Transport) -> Poll<io::Result<()>> {
        while self.sent < self.backlog.len() {
            match transport.try_write(&self.backlog[self.sent..])? {
                0 => ready!(transport.poll_writable()),
                taken => self.sent += taken,
            }
        }
        self.sent = 0;
        self.backlog.clear();
        self.backlog.shrink_to(BACKLOG_KEEP_BYTES);
        Poll::Ready(Ok(()))
    }

    #[cold]
    fn keep(&mut self, bytes: &[u8]) {
        self.backlog.extend_from_slice(bytes);
    }
}
