//! Bytes through TLS over a socket of the reactor.
//!
//! Records are read in big pieces through the reactor's scratch buffer and written as many as there are with one call.
//! An idle connection holds what the library needs to go on (its keys and a small buffer), no buffers of ours.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::sync::Arc;
use std::task::{Poll, ready};

use plimsoll_policy::tls::{EarlyData, Facts, Secrets};
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerifier;
use rustls::{Connection, Error, HandshakeKind, ProtocolVersion};

use super::early::Early;
use super::handshake::{Failure, refused};
use super::trust::{self, Verdict};
use super::{cause, secrets};
use crate::reactor::Socket;

pub(crate) struct Stream {
    socket: Socket,
    connection: Connection,
    /// What the handshake with a server has told. That with a client is kept by its session.
    facts: Option<Arc<Facts>>,
    /// What became of the client's certificate, until the handshake is over.
    verdict: Option<Box<Verdict>>,
    /// What the handshake has told of its secrets, until it is over.
    secrets: Option<Box<Secrets>>,
    /// What the client sends before the end of its handshake, and until that has been read.
    early: Option<Box<Early>>,
    /// Records that have been read but that the library has no room for yet.
    waiting: Vec<u8>,
    /// The library holds bytes for us.
    has_plain: bool,
    /// The peer has ended its side, properly or not.
    ended: bool,
    /// The kernel did not take all of the records last time.
    blocked: bool,
    /// The write side is to be shut once all records have left.
    closing: bool,
}

impl Stream {
    /// The protocol that both sides have agreed on.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    pub(super) fn new(socket: Socket, mut connection: Connection) -> Self {
        Self {
            early: Early::of(&mut connection),
            socket,
            connection,
            facts: None,
            verdict: None,
            secrets: None,
            waiting: Vec::new(),
            has_plain: false,
            ended: false,
            blocked: false,
            closing: false,
        }
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// What the handshake with a server has told.
    pub(crate) fn facts(&self) -> Option<&Arc<Facts>> {
        self.facts.as_ref()
    }

    /// Judges the certificate of a client that resumes a session: it may have been revoked since, and what is overlooked
    /// stays known.
    pub(super) fn judge_again(&mut self, clients: &dyn ClientCertVerifier) -> Result<(), Error> {
        let resumed = self.connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let chain = self.connection.peer_certificates().unwrap_or_default();
        let Some((own, rest)) = chain.split_first().filter(|_| resumed) else {
            return Ok(());
        };
        let judged = clients.verify_client_cert(own, rest, UnixTime::now());
        self.verdict = trust::take_verdict().map(Box::new);
        judged.map(drop)
    }

    /// Takes what became of the client's certificate; nothing is wrong with one that was not asked for.
    pub(super) fn take_verdict(&mut self) -> Verdict {
        self.verdict
            .take()
            .map_or_else(Verdict::default, |verdict| *verdict)
    }

    pub(super) fn keep_facts(&mut self, facts: Facts) {
        self.facts = Some(Arc::new(facts));
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    // ---- The handshake

    /// What comes before the end of the handshake; `None`: nothing can.
    pub(super) fn early(&self) -> Option<&Arc<EarlyData>> {
        self.early.as_ref().map(|early| &early.told)
    }

    /// Whether it is used although the handshake has not ended.
    pub(crate) fn is_unconfirmed(&self) -> bool {
        self.early.is_some() && self.connection.is_handshaking()
    }

    /// Ready when both sides have agreed.
    pub(crate) fn poll_handshake(&mut self) -> Poll<Result<(), Failure>> {
        while self.connection.is_handshaking() {
            self.flush().map_err(|_| Failure::Broken)?;
            if self.ended {
                return Poll::Ready(Err(Failure::Refused(cause::EARLY_END)));
            }
            // Bytes of the peer's that come before the end are kept by the library.
            if !self.receive(&mut [], &mut 0).map_err(refused)? {
                if self.blocked {
                    let _ = self.socket.poll_writable();
                }
                ready!(self.socket.poll_readable());
            }
        }
        Poll::Ready(Ok(()))
    }

    // ---- Reading

    /// As [`Socket::poll_read`].
    pub(crate) fn poll_read(&mut self, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut filled = self.take_plain(buffer)?;
        for _ in 0..READS_PER_POLL {
            if filled == buffer.len() || self.ended || !self.receive(buffer, &mut filled)? {
                break;
            }
        }
        if filled > 0 || self.ended {
            return Poll::Ready(Ok(filled));
        }
        // Nothing was there, so that this waits; should it be ready after all, the task looks again at once.
        if self.socket.poll_readable().is_ready() {
            let reactor = self.socket.reactor();
            reactor.wake(reactor.current());
        }
        Poll::Pending
    }

    /// Takes records from the socket and bytes out of them; `false` when the socket has nothing now.
    fn receive(&mut self, buffer: &mut [u8], filled: &mut usize) -> io::Result<bool> {
        if !self.waiting.is_empty() {
            let waiting = std::mem::take(&mut self.waiting);
            self.feed(&waiting, buffer, filled)?;
            return Ok(true);
        }
        let mut scratch = self.socket.reactor().scratch();
        // No more than fits, so that nothing has to wait here.
        let room = scratch
            .len()
            .min((buffer.len() - *filled).max(RECORD_BYTES_MAX));
        match self.socket.try_read(&mut scratch[..room])? {
            None => return Ok(false),
            Some(0) => self.ended = true,
            Some(count) => self.feed(&scratch[..count], buffer, filled)?,
        }
        Ok(true)
    }

    fn feed(&mut self, mut raw: &[u8], buffer: &mut [u8], filled: &mut usize) -> io::Result<()> {
        while !raw.is_empty() && !self.ended {
            if self.has_plain && *filled == buffer.len() {
                self.waiting.extend_from_slice(raw);
                break;
            }
            self.advance(&mut raw)?;
            *filled += self.take_plain(&mut buffer[*filled..])?;
        }
        Ok(())
    }

    /// Takes over what the library has just told of the secrets.
    pub(super) fn hear_secrets(&mut self) {
        match (secrets::take(), &mut self.secrets) {
            (Some(more), Some(known)) => known.add(*more),
            (Some(more), None) => self.secrets = Some(more),
            (None, _) => {}
        }
    }

    /// Takes the secrets, where they are kept.
    pub(super) fn take_secrets(&mut self) -> Option<Box<Secrets>> {
        self.secrets.take()
    }

    /// Gives the library some of `raw`.
    fn advance(&mut self, raw: &mut &[u8]) -> io::Result<()> {
        self.connection.read_tls(raw)?;
        self.digest()
    }

    /// Has the library look at what it has been given.
    fn digest(&mut self) -> io::Result<()> {
        let handshaking = self.connection.is_handshaking();
        let outcome = self.connection.process_new_packets();
        if handshaking {
            self.hear_secrets();
        }
        if let Some(verdict) = trust::take_verdict() {
            self.verdict = Some(Box::new(verdict));
        }
        match outcome {
            Ok(state) => {
                if let Some(early) = &mut self.early {
                    early.receive(&mut self.connection)?;
                }
                self.has_plain = state.plaintext_bytes_to_read() > 0;
                self.ended |= state.peer_has_closed() && !self.has_plain;
            }
            Err(error) => {
                // The peer is told why.
                let _ = self.flush();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
        if self.connection.wants_write() && !self.connection.is_handshaking() && !self.blocked {
            self.flush()?; // an answer to a change of keys
        }
        Ok(())
    }

    /// Gives the library what was read before it was there.
    pub(super) fn begin_with(&mut self, mut raw: &[u8]) -> io::Result<()> {
        if self.early.is_some() {
            self.digest()?; // It has read beyond the hello.
        }
        while !raw.is_empty() {
            if self.has_plain {
                self.waiting.extend_from_slice(raw);
                break;
            }
            self.advance(&mut raw)?;
        }
        Ok(())
    }

    fn take_plain(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        if let Some(early) = &mut self.early {
            filled = early.take(buffer);
            if early.is_empty() && !self.connection.is_handshaking() {
                self.early = None;
            }
        }
        while self.has_plain && filled < buffer.len() {
            match self.connection.reader().read(&mut buffer[filled..]) {
                Ok(0) => {
                    (self.has_plain, self.ended) = (false, true);
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.has_plain = false,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// As [`Socket::poll_readable`].
    pub(crate) fn poll_readable(&mut self) -> Poll<()> {
        if self.has_unread() || self.ended {
            return Poll::Ready(());
        }
        self.socket.poll_readable()
    }

    /// Whether bytes can be read without the socket.
    pub(crate) fn has_unread(&self) -> bool {
        let has_early = self.early.as_ref().is_some_and(|early| !early.is_empty());
        self.has_plain || has_early || !self.waiting.is_empty()
    }

    // ---- Writing

    /// As [`Socket::try_write`]; what is taken and does not leave now waits in the library.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < bytes.len() && self.may_write()? {
            taken += self.connection.writer().write(&bytes[taken..])?;
            self.flush()?;
        }
        Ok(taken)
    }

    /// As [`Socket::try_write_vectored`].
    pub(crate) fn try_write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.may_write()? {
            return Ok(0);
        }
        let taken = self.connection.writer().write_vectored(parts)?;
        self.flush()?;
        Ok(taken)
    }

    /// Whether records made before have left, so that more may be made.
    fn may_write(&mut self) -> io::Result<bool> {
        if self.blocked {
            self.flush()?;
        }
        Ok(!self.blocked)
    }

    /// Sends records until the kernel takes no more.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.blocked = false;
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut ToSocket(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        if std::mem::take(&mut self.closing) {
            self.socket.shutdown_write()?;
        }
        Ok(())
    }

    /// Ready when every record has left.
    pub(crate) fn poll_flush(&mut self) -> Poll<io::Result<()>> {
        while self.connection.wants_write() {
            self.flush()?;
            if self.blocked {
                ready!(self.socket.poll_writable());
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether records wait for the kernel.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Says that nothing more will be written, inside TLS and below it.
    pub(crate) fn shutdown_write(&mut self) -> io::Result<()> {
        self.connection.send_close_notify();
        self.closing = true;
        self.flush()
    }

    /// Whether the last words of a handshake may travel with the first bytes.
    pub(super) fn may_delay_tickets(&self) -> bool {
        self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }
}

/// Reads in one poll: a peer that sends records without content does not keep the worker to itself.
const READS_PER_POLL: u32 = 16;

/// Room for one record and what comes with it.
const RECORD_BYTES_MAX: usize = 16_384 + 256 + 5;

impl Drop for Stream {
    fn drop(&mut self) {
        // The end is told, where that is still possible; nobody waits for it.
        let speaks = !self.connection.is_handshaking() || self.early.is_some();
        if speaks && !self.blocked && !self.socket.is_broken() {
            self.connection.send_close_notify();
            let _ = self.flush();
        }
    }
}

/// A socket as the library's output.
struct ToSocket<'a>(&'a Socket);

impl io::Write for ToSocket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        taken(self.0.try_write(bytes)?)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        taken(self.0.try_write_vectored(parts)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn taken(count: usize) -> io::Result<usize> {
    match count {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        count => Ok(count),
    }
}
