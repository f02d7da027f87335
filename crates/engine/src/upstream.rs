//! The server's side of an exchange, whichever protocol the server speaks.

use std::sync::Arc;
use std::task::Poll;

use plimsoll_policy::context::StreamEnd;
use plimsoll_policy::specimen::Bytes;
use plimsoll_policy::tls::Facts;
use plimsoll_wire::h1::Spelling;
use plimsoll_wire::head::Head;

use crate::h1;
use crate::h2::server::ServerHalf;
use crate::reactor::Socket;
use crate::splice::Splice;
use crate::stream::{End, Piece, ServerStream, StreamError};

/// A server connection of its own, or a stream of a shared one.
pub(crate) enum Upstream {
    H1(h1::server::Server),
    H2(ServerHalf),
}

impl Upstream {
    /// Whether it may carry another exchange when it is put into a pool. Streams are over with theirs.
    pub(crate) fn reusable(&self) -> bool {
        match self {
            Self::H1(server) => server.reusable(),
            Self::H2(_) => false,
        }
    }

    /// Whether the connection may carry exchanges after the coming one.
    pub(crate) fn set_persistent(&mut self, persistent: bool) {
        match self {
            Self::H1(server) => server.persistent = persistent,
            Self::H2(stream) => stream.persistent = persistent,
        }
    }

    /// Says how names of fields are to be written; only HTTP/1 has a choice.
    pub(crate) fn spell_names(&mut self, spelling: Option<&Arc<Spelling>>) {
        if let Self::H1(server) = self {
            server.spell_names(spelling);
        }
    }

    /// Ready when it is known whether a change of protocol can be asked for (RFC 8441 section 3).
    pub(crate) fn poll_settled(&self) -> Poll<()> {
        match self {
            Self::H1(_) => Poll::Ready(()),
            Self::H2(stream) => stream.poll_settled(),
        }
    }

    /// Whether the request has been handed over whole.
    pub(crate) fn is_request_done(&self) -> bool {
        match self {
            Self::H1(server) => server.is_request_done(),
            Self::H2(stream) => stream.is_request_done(),
        }
    }

    /// From now on bytes go both ways as they are; returns those that have already come.
    pub(crate) fn become_tunnel(&mut self) -> Vec<u8> {
        match self {
            Self::H1(server) => server.become_tunnel(),
            Self::H2(_) => Vec::new(),
        }
    }

    /// Whether this is one of several streams of a connection.
    pub(crate) fn is_multiplexed(&self) -> bool {
        matches!(self, Self::H2(_))
    }

    /// What this is among the streams of its connection; `None`: there is no other.
    pub(crate) fn end(&self) -> Option<StreamEnd> {
        match self {
            Self::H1(_) => None,
            Self::H2(stream) => stream.end(),
        }
    }

    /// Oddities on the connection so far.
    pub(crate) fn glitches(&self) -> u32 {
        match self {
            Self::H1(_) => 0,
            Self::H2(stream) => stream.glitches(),
        }
    }

    /// What the handshake with the server has told.
    pub(crate) fn tls(&self) -> Option<&Arc<Facts>> {
        match self {
            Self::H1(server) => server.transport.facts(),
            Self::H2(stream) => stream.tls(),
        }
    }

    /// The bytes of the server that were not acceptable, when that is why the last call failed.
    pub(crate) fn take_refused(&mut self) -> Option<Box<Bytes>> {
        self.own_mut()?.refused.take()
    }

    fn own_mut(&mut self) -> Option<&mut h1::server::Server> {
        match self {
            Self::H1(server) => Some(server),
            Self::H2(_) => None,
        }
    }

    /// The connection of its own, where there is one.
    pub(crate) fn own(&self) -> Option<&h1::server::Server> {
        match self {
            Self::H1(server) => Some(server),
            Self::H2(_) => None,
        }
    }
}

/// Streams share their connection's bytes with others: only a connection of its own has some to move.
impl Splice for Upstream {
    fn splice_source(&self) -> Option<(&Socket, u64)> {
        self.own()?.splice_source()
    }

    fn spliced(&mut self, bytes: u64) -> bool {
        self.own_mut().is_some_and(|server| server.spliced(bytes))
    }

    fn source_ended(&mut self) -> Result<(), StreamError> {
        let server = self.own_mut().ok_or(StreamError::Closed)?;
        server.source_ended()
    }

    fn splice_sink(&self) -> Option<&Socket> {
        self.own()?.splice_sink()
    }

    fn announce(&mut self, bytes: u64) -> Result<(), StreamError> {
        match self.own_mut() {
            Some(server) => server.announce(bytes),
            None => Ok(()),
        }
    }

    fn poll_announced(&mut self) -> Poll<Result<(), StreamError>> {
        match self.own_mut() {
            Some(server) => server.poll_announced(),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl ServerStream for Upstream {
    fn request(
        &mut self,
        head: &Head,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError> {
        match self {
            Self::H1(server) => server.request(head, payload, end, trailers),
            Self::H2(stream) => stream.request(head, payload, end, trailers),
        }
    }

    fn send(
        &mut self,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError> {
        match self {
            Self::H1(server) => server.send(payload, end, trailers),
            Self::H2(stream) => stream.send(payload, end, trailers),
        }
    }

    fn poll_flush(&mut self) -> Poll<Result<(), StreamError>> {
        match self {
            Self::H1(server) => server.poll_flush(),
            Self::H2(stream) => stream.poll_flush(),
        }
    }

    fn poll_room(&mut self) -> Poll<Result<usize, StreamError>> {
        match self {
            Self::H1(server) => server.poll_room(),
            Self::H2(stream) => stream.poll_room(),
        }
    }

    fn poll_response(
        &mut self,
        head: &mut Head,
        scratch: &mut [u8],
    ) -> Poll<Result<Piece, StreamError>> {
        match self {
            Self::H1(server) => server.poll_response(head, scratch),
            Self::H2(stream) => stream.poll_response(head, scratch),
        }
    }

    fn poll_body(&mut self, scratch: &mut [u8]) -> Poll<Result<Piece, StreamError>> {
        match self {
            Self::H1(server) => server.poll_body(scratch),
            Self::H2(stream) => stream.poll_body(scratch),
        }
    }

    fn response_trailers(&self) -> Option<&Head> {
        match self {
            Self::H1(server) => server.response_trailers(),
            Self::H2(stream) => stream.response_trailers(),
        }
    }

    fn is_backlogged(&self) -> bool {
        match self {
            Self::H1(server) => server.is_backlogged(),
            Self::H2(stream) => stream.is_backlogged(),
        }
    }

    fn answered(&self) -> bool {
        match self {
            Self::H1(server) => server.answered(),
            Self::H2(stream) => stream.answered(),
        }
    }
}
