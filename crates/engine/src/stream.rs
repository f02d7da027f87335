//! The seam between an exchange and the connections on its two sides.
//!
//! An exchange sees one request coming in and one response going out. Whether the client's side is an HTTP/1
//! connection, one stream of a multiplexed one, or a test's double, and whether TLS lies below, is not visible here.
//! All methods are poll-style in the reactor's sense: whoever returns `Pending` has registered the current task.
//!
//! Writers never lose bytes: what the kernel does not take at once is kept by the stream (one piece at most),
//! and the exchange offers more only after [`ClientStream::poll_flush`] says that it has left.

use std::ops::Range;
use std::sync::Arc;
use std::task::Poll;

use plimsoll_policy::context::StreamEnd;
use plimsoll_policy::specimen::Bytes;
use plimsoll_wire::h1::body::{BodyError, Broken};
use plimsoll_wire::h1::response::ResponseError;
use plimsoll_wire::h1::{Spelling, fault_position};
use plimsoll_wire::head::Head;

use crate::reactor::Socket;
use crate::splice::Splice;

/// Part of a body, lying in the buffer it was read into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) range: Range<usize>,
    /// The body ends behind this piece.
    pub(crate) last: bool,
}

/// What can go wrong on one side of an exchange. Whose fault it is follows from the side.
#[derive(Debug)]
pub(crate) enum StreamError {
    /// The peer closed before its message was complete.
    Closed,
    /// The peer reset the connection, or the kernel gave up on it.
    Reset,
    /// The peer has not looked at the message, and says so, or cannot have: it may be sent to another.
    Unprocessed,
    /// The body's framing is broken.
    Body(BodyError),
    /// The response head is not acceptable.
    Response(ResponseError),
    /// The response head is larger than a buffer.
    TooLarge,
}

impl StreamError {
    /// What was wrong with the bytes, when that is what was wrong.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Body(error) => Some(error.name()),
            Self::Response(error) => Some(error.name()),
            Self::TooLarge => Some("too_large"),
            Self::Closed | Self::Reset | Self::Unprocessed => None,
        }
    }
}

impl From<std::io::Error> for StreamError {
    fn from(_: std::io::Error) -> Self {
        Self::Reset
    }
}

impl From<BodyError> for StreamError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

/// The end of a message, as a writer must mark it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// More follows.
    More,
    /// The body ends here.
    Done,
}

impl End {
    pub(crate) fn of(piece: &Piece) -> Self {
        if piece.last { Self::Done } else { Self::More }
    }

    pub(crate) fn is_done(self) -> bool {
        matches!(self, Self::Done)
    }
}

/// The client's side of one exchange: its request body comes in, a response goes out.
pub(crate) trait ClientStream: Splice {
    /// More of the request's body, read into `scratch`.
    fn poll_body(&mut self, scratch: &mut [u8]) -> Poll<Result<Piece, StreamError>>;

    /// The trailer fields that ended the request's body, if any.
    fn request_trailers(&self) -> Option<&Head>;

    /// Sends `100 Continue` on our own account: the body is wanted before a server is asked.
    fn invite(&mut self) -> Result<(), StreamError>;

    /// Sends an interim response (1xx).
    fn inform(&mut self, head: &Head) -> Result<(), StreamError>;

    /// Starts the response: its head and the part of its body that is already there.
    fn respond(
        &mut self,
        head: &Head,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError>;

    /// As [`respond`](Self::respond), with the payload in a buffer in which what lies before it is not needed any more.
    fn respond_within(
        &mut self,
        head: &Head,
        buffer: &mut [u8],
        payload: Range<usize>,
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError> {
        self.respond(head, &buffer[payload], end, trailers)
    }

    /// Sends more of the response's body.
    fn send(
        &mut self,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError>;

    /// Ready when everything handed over has left.
    fn poll_flush(&mut self) -> Poll<Result<(), StreamError>>;

    /// Ready when the client's handshake has ended, where its request has come before that.
    fn poll_handshake(&mut self) -> Poll<Result<(), StreamError>> {
        Poll::Ready(Ok(()))
    }

    /// Whether something handed over has not left yet: it is the client that is waited for.
    fn is_backlogged(&self) -> bool;

    /// Ready when the client has gone away. Reads nothing.
    fn poll_gone(&mut self) -> Poll<()>;

    /// Whether a client that has merely ended its side has left, where that can be told from one that has cancelled its
    /// request.
    fn heed_end(&self, _heeds: bool) {}

    /// Bytes received from and sent to the client since the last call.
    fn take_traffic(&mut self) -> (u64, u64);

    /// What [`take_traffic`](Self::take_traffic) would tell.
    fn traffic(&self) -> (u64, u64);

    /// The bytes that were not acceptable, when that is why the last call failed.
    fn take_refused(&mut self) -> Option<Box<Bytes>> {
        None
    }

    /// The client's socket, where this stream has one to itself.
    fn socket(&self) -> Option<&Socket> {
        None
    }

    /// Says so in the coming response when the client's connection is not to be used again.
    fn close_after(&mut self);

    /// Says how names of fields are to be written, from the coming response on; `None`: as they are. Only HTTP/1 has a
    /// choice.
    fn spell_names(&mut self, _spelling: Option<&Arc<Spelling>>) {}

    /// Whether nothing more is taken from the client once the present response is complete.
    fn closes(&self) -> bool;

    /// Whether this is one of several streams of a connection: what it cannot send takes memory from the others.
    fn is_multiplexed(&self) -> bool {
        false
    }

    /// What this is among the streams of its connection; `None`: there is no other.
    fn end(&self) -> Option<StreamEnd> {
        None
    }

    /// How much of a body is welcome before anything is known of the rest.
    fn appetite(&self) -> usize {
        usize::MAX
    }

    /// Ready when everything handed over has left and more can be, with how much of it will not have to wait.
    fn poll_room(&mut self) -> Poll<Result<usize, StreamError>> {
        self.poll_flush().map_ok(|()| usize::MAX)
    }

    /// From the coming response on, what goes both ways is no message but a tunnel.
    fn become_tunnel(&mut self);
}

/// The server's side of one exchange.
pub(crate) trait ServerStream: Splice {
    /// Sends the request's head and the part of its body that is already there.
    fn request(
        &mut self,
        head: &Head,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError>;

    /// Sends more of the request's body.
    fn send(
        &mut self,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError>;

    /// Ready when everything handed over has left.
    fn poll_flush(&mut self) -> Poll<Result<(), StreamError>>;

    /// Ready when everything handed over has left and more can be, with how much of it will not have to wait.
    fn poll_room(&mut self) -> Poll<Result<usize, StreamError>> {
        self.poll_flush().map_ok(|()| usize::MAX)
    }

    /// The next response head, into `head`, and the start of its body, in `scratch`.
    fn poll_response(
        &mut self,
        head: &mut Head,
        scratch: &mut [u8],
    ) -> Poll<Result<Piece, StreamError>>;

    /// More of the response's body, read into `scratch`.
    fn poll_body(&mut self, scratch: &mut [u8]) -> Poll<Result<Piece, StreamError>>;

    /// The trailer fields that ended the response's body, if any.
    fn response_trailers(&self) -> Option<&Head>;

    /// Whether something handed over has not left yet: it is the server that is waited for.
    fn is_backlogged(&self) -> bool;

    /// Whether something of the response has arrived.
    fn answered(&self) -> bool;
}

/// What is kept of a head that is not acceptable, with the name of what is wrong and a sentence.
#[cold]
pub(crate) fn broken_head(
    received: &[u8],
    head: &Head,
    wrong: (&'static str, String),
) -> Box<Bytes> {
    let position = fault_position(received, head);
    Box::new(Bytes::keep(received, 0, position, wrong))
}

/// What is kept of a body whose framing is broken; `start` is where it begins in what was received.
pub(crate) fn broken_body(received: &[u8], start: usize, broken: &Broken) -> Box<Bytes> {
    let from = match broken.intact_from {
        0 => 0,
        moved => start + moved,
    };
    let (error, position) = (broken.error, start + broken.at);
    let wrong = (error.name(), error.to_string());
    Box::new(Bytes::keep(received, from, position, wrong))
}
