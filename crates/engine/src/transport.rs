//! Bytes in both directions, whatever carries them: a socket, or TLS over one.
//!
//! What is absent: handshakes. A transport is made when they are over, or when what comes before their end is to be used.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Poll, ready};

use plimsoll_policy::tls::Facts;

use crate::reactor::Socket;
use crate::tls::stream::Stream;

/// A backlog that grew beyond this gives its memory back once it has left.
const BACKLOG_KEEP_BYTES: usize = 0;

pub(crate) enum Transport {
    Plain(Socket),
    /// Boxed, so that plain connections do not carry its size.
    Tls(Box<Stream>),
}

impl Transport {
    pub(crate) fn poll_read(&mut self, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => socket.poll_read(buffer),
            Self::Tls(stream) => stream.poll_read(buffer),
        }
    }

    /// Writes what is taken now; `Ok(0)` when nothing is.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write(bytes),
            Self::Tls(stream) => stream.try_write(bytes),
        }
    }

    fn try_write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write_vectored(parts),
            Self::Tls(stream) => stream.try_write_vectored(parts),
        }
    }

    /// Ready when a read is worth trying.
    pub(crate) fn poll_readable(&mut self) -> Poll<()> {
        match self {
            Self::Plain(socket) => socket.poll_readable(),
            Self::Tls(stream) => stream.poll_readable(),
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.shutdown_write(),
            Self::Tls(stream) => stream.shutdown_write(),
        }
    }

    /// Ready when a write is worth trying.
    pub(crate) fn poll_writable(&mut self) -> Poll<()> {
        self.socket().poll_writable()
    }

    /// Ready when what [`Transport::try_write`] took has reached the kernel.
    pub(crate) fn poll_flush(&mut self) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => stream.poll_flush(),
        }
    }

    /// Whether something that was taken has not reached the kernel.
    pub(crate) fn is_blocked(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.is_blocked(),
        }
    }

    /// Whether something can be read that the socket has given already.
    pub(crate) fn has_unread(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.has_unread(),
        }
    }

    /// Whether the bytes on the socket are the bytes that are carried, so that the kernel can move them alone.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Whether both sides have agreed on this protocol while they shook hands (ALPN).
    pub(crate) fn has_agreed_on(&self, protocol: &[u8]) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.alpn() == Some(protocol),
        }
    }

    /// Whether the client's handshake has not ended, although what it sends is used already.
    pub(crate) fn is_unconfirmed(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.is_unconfirmed(),
        }
    }

    /// Ready when the handshake has ended.
    pub(crate) fn poll_handshake(&mut self) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => {
                let ended = ready!(stream.poll_handshake());
                Poll::Ready(ended.map_err(|_| io::ErrorKind::ConnectionAborted.into()))
            }
        }
    }

    /// What the handshake with a server has told.
    pub(crate) fn facts(&self) -> Option<&Arc<Facts>> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => stream.facts(),
        }
    }

    /// Ready when the peer has closed or reset its side.
    pub(crate) fn poll_hangup(&mut self) -> Poll<()> {
        self.socket().poll_hangup()
    }

    /// The socket, where bytes pass over it as they are.
    pub(crate) fn plain(&self) -> Option<&Socket> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(_) => None,
        }
    }

    pub(crate) fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.socket(),
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

    /// Whether something handed over has not reached the kernel.
    pub(crate) fn is_waiting(&self, transport: &Transport) -> bool {
        !self.is_empty() || transport.is_blocked()
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
        transport.poll_flush()
    }

    #[cold]
    fn keep(&mut self, bytes: &[u8]) {
        self.backlog.extend_from_slice(bytes);
    }
}
