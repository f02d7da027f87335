//! The server's side of an exchange, spoken as HTTP/1.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};

use plimsoll_policy::specimen::Bytes;
use plimsoll_wire::h1::body::Decoder;
use plimsoll_wire::h1::response::{self, Asked, Parse, ResponseError};
use plimsoll_wire::h1::{Limits, Spelling, encode, has_news};
use plimsoll_wire::head::{Framing, Head, Version};

use super::writer::BodyWriter;
use crate::reactor::Socket;
use crate::splice::Splice;
use crate::stream::{End, Piece, ServerStream, StreamError, broken_body, broken_head};
use crate::transport::{Outbox, Transport};
use crate::worker::Worker;

/// A server connection that speaks HTTP/1, for the time of one exchange after another.
pub(crate) struct Server {
    worker: Rc<Worker>,
    pub(crate) transport: Transport,
    outbox: Outbox,
    /// Bytes read that did not make up a whole response head, or that followed an interim one.
    carry: Vec<u8>,
    scanned: usize,
    decoder: Decoder,
    writer: BodyWriter,
    asked: Asked,
    limits: Limits,
    keep_alive: bool,
    /// The request has been sent whole.
    request_done: bool,
    /// The server said something that belongs to no request.
    spoiled: bool,
    /// Something of the present response has arrived.
    answered: bool,
    /// Bytes go both ways as they are.
    is_tunnel: bool,
    /// Whether the connection is asked to stay open.
    pub(crate) persistent: bool,
    /// What was not acceptable.
    pub(crate) refused: Option<Box<Bytes>>,
}

impl Server {
    pub(crate) fn new(worker: Rc<Worker>, transport: Transport, limits: Limits) -> Self {
        Self {
            worker,
            transport,
            outbox: Outbox::default(),
            carry: Vec::new(),
            scanned: 0,
            decoder: Decoder::default(),
            writer: BodyWriter::default(),
            asked: Asked::default(),
            limits,
            keep_alive: true,
            request_done: true,
            spoiled: false,
            answered: false,
            is_tunnel: false,
            persistent: true,
            refused: None,
        }
    }

    /// Whether the connection may carry another exchange.
    pub(crate) fn reusable(&self) -> bool {
        self.keep_alive
            && self.persistent
            && self.request_done
            && self.decoder.is_done()
            && !self.spoiled
            && !self.outbox.is_waiting(&self.transport)
            && !self.transport.has_unread()
    }

    /// Whether the request has been handed over whole.
    pub(crate) fn is_request_done(&self) -> bool {
        self.request_done
    }

    /// The transport and what was read from it but not used: an upgraded connection goes on as a tunnel.
    pub(crate) fn into_parts(self) -> (Transport, Vec<u8>) {
        (self.transport, self.carry)
    }

    /// Sends part of the request behind what `out` holds.
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError> {
        let way = (&mut self.transport, &mut self.outbox);
        Ok(self.writer.send(way, out, payload, end, trailers)?)
    }

    /// Says how names of fields are to be written; `None`: as they are.
    pub(crate) fn spell_names(&mut self, spelling: Option<&Arc<Spelling>>) {
        self.writer.spell_names(spelling);
    }

    /// Keeps what was not acceptable, for those who ask.
    #[cold]
    fn refuse(&mut self, received: &[u8], head: &Head, error: ResponseError) -> StreamError {
        let wrong = (error.name(), error.to_string());
        self.refused = Some(broken_head(received, head, wrong));
        StreamError::Response(error)
    }

    /// Keeps a partial head until more of it comes.
    #[cold]
    fn keep(&mut self, bytes: &[u8]) {
        self.carry.clear();
        self.carry.extend_from_slice(bytes);
        self.scanned = bytes.len();
    }

    /// From now on bytes go both ways as they are; returns those that have already come.
    pub(crate) fn become_tunnel(&mut self) -> Vec<u8> {
        self.decoder = Decoder::new(Framing::UntilClose);
        self.writer = BodyWriter::default();
        self.is_tunnel = true;
        self.persistent = false;
        std::mem::take(&mut self.carry)
    }

    /// Takes over the framing of a parsed head and what follows it in the buffer.
    fn accept(
        &mut self,
        head: &Head,
        start: usize,
        scratch: &mut [u8],
    ) -> Result<Piece, StreamError> {
        self.carry = Vec::new();
        self.scanned = 0;
        if head.status < 200 && head.status != 101 {
            self.carry.extend_from_slice(&scratch[start..]);
            return Ok(Piece {
                range: 0..0,
                last: true,
            });
        }
        self.keep_alive = head.keep_alive;
        self.decoder = Decoder::new(head.framing);
        // RFC 9112 section 6.3: behind a successful answer to CONNECT there is no body but a tunnel, as behind 101.
        let granted = self.asked.connect && (200..300).contains(&head.status);
        if head.status == 101 || granted {
            self.carry.extend_from_slice(&scratch[start..]);
            return Ok(Piece {
                range: 0..0,
                last: true,
            });
        }
        self.decode(start, scratch)
    }

    /// The body has ended as the connection has.
    fn end_with_connection(&mut self) {
        self.keep_alive = false;
        self.decoder = Decoder::new(Framing::None);
    }

    /// Decodes what lies in `scratch` from `start` on; anything behind the body's end spoils the connection.
    fn decode(&mut self, start: usize, scratch: &mut [u8]) -> Result<Piece, StreamError> {
        let decoded = self.decoder.decode(&mut scratch[start..]);
        let decoded = decoded.map_err(|broken| {
            self.refused = Some(broken_body(scratch, start, &broken));
            broken.error
        })?;
        self.spoiled |= decoded.consumed < scratch.len() - start;
        Ok(Piece {
            range: start + decoded.payload.start..start + decoded.payload.end,
            last: decoded.done,
        })
    }
}

impl Splice for Server {
    fn splice_source(&self) -> Option<(&Socket, u64)> {
        let bytes = self.decoder.bytes_ahead();
        self.transport.plain().map(|socket| (socket, bytes))
    }

    fn spliced(&mut self, bytes: u64) -> bool {
        self.decoder.skip(bytes);
        self.decoder.is_done()
    }

    fn source_ended(&mut self) -> Result<(), StreamError> {
        if !self.decoder.ends_with_connection() {
            return Err(StreamError::Closed);
        }
        self.end_with_connection();
        Ok(())
    }

    fn splice_sink(&self) -> Option<&Socket> {
        let is_clear = self.outbox.is_empty() && !self.writer.is_mute();
        self.transport.plain().filter(|_| is_clear)
    }

    fn announce(&mut self, bytes: u64) -> Result<(), StreamError> {
        let way = (&mut self.transport, &mut self.outbox);
        Ok(self.writer.announce(way, bytes)?)
    }

    fn poll_announced(&mut self) -> Poll<Result<(), StreamError>> {
        self.poll_flush()
    }
}

impl ServerStream for Server {
    fn request(
        &mut self,
        head: &Head,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError> {
        self.asked = Asked::by(head);
        self.answered = false;
        self.request_done = end.is_done();
        self.decoder = Decoder::default();
        self.writer.begin(head.framing);
        // A request of HTTP/1.0 stays one, and there closing is what needs no word. It should have no chunks.
        let persists_by_itself = head.version >= Version::H11;
        self.persistent &= persists_by_itself || head.framing != Framing::Chunked;
        let connection = match (head.upgrade, self.persistent) {
            (true, _) => encode::Connection::Upgrade,
            (_, true) if !persists_by_itself => encode::Connection::KeepAlive,
            (_, false) if persists_by_itself => encode::Connection::Close,
            _ => encode::Connection::Implied,
        };
        let worker = Rc::clone(&self.worker);
        let mut out = worker.out_buffer();
        encode::request(head, connection, head.framing, &mut out);
        self.writer.spell(&mut out);
        self.write(&mut out, payload, end, trailers)
    }

    fn send(
        &mut self,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError> {
        self.request_done |= end.is_done();
        let worker = Rc::clone(&self.worker);
        self.write(&mut worker.out_buffer(), payload, end, trailers)?;
        if self.is_tunnel && end.is_done() && self.outbox.is_empty() {
            self.transport.shutdown_write()?;
        }
        Ok(())
    }

    fn poll_flush(&mut self) -> Poll<Result<(), StreamError>> {
        self.outbox
            .poll_flush(&mut self.transport)
            .map_err(StreamError::from)
    }

    fn poll_response(
        &mut self,
        head: &mut Head,
        scratch: &mut [u8],
    ) -> Poll<Result<Piece, StreamError>> {
        let mut fresh = self.carry.len() > self.scanned;
        loop {
            let kept = self.carry.len();
            if kept >= scratch.len() {
                return Poll::Ready(Err(StreamError::TooLarge));
            }
            scratch[..kept].copy_from_slice(&self.carry);
            let mut filled = kept;
            if !fresh {
                match ready!(self.transport.poll_read(&mut scratch[kept..]))? {
                    0 => return Poll::Ready(Err(StreamError::Closed)),
                    count => filled += count,
                }
                self.answered = true;
            }
            fresh = false;
            if !has_news(&scratch[..filled], self.scanned, &self.limits) {
                self.keep(&scratch[..filled]);
                continue;
            }
            let parsed = response::parse(&scratch[..filled], head, &self.limits, self.asked);
            match parsed.map_err(|error| self.refuse(&scratch[..filled], head, error))? {
                Parse::Complete(length) => {
                    let interim = head.status < 200 && head.status != 101;
                    self.answered = !interim || filled > length;
                    return Poll::Ready(self.accept(head, length, &mut scratch[..filled]));
                }
                Parse::Partial => self.keep(&scratch[..filled]),
            }
        }
    }

    fn poll_body(&mut self, scratch: &mut [u8]) -> Poll<Result<Piece, StreamError>> {
        loop {
            if self.decoder.is_done() {
                return Poll::Ready(Ok(Piece {
                    range: 0..0,
                    last: true,
                }));
            }
            let filled = match ready!(self.transport.poll_read(scratch)) {
                Ok(0) if self.decoder.ends_with_connection() => {
                    self.end_with_connection();
                    return Poll::Ready(Ok(Piece {
                        range: 0..0,
                        last: true,
                    }));
                }
                Ok(0) => return Poll::Ready(Err(StreamError::Closed)),
                Ok(count) => count,
                Err(error) => return Poll::Ready(Err(error.into())),
            };
            let piece = self.decode(0, &mut scratch[..filled])?;
            if piece.last || !piece.range.is_empty() {
                return Poll::Ready(Ok(piece));
            }
        }
    }

    fn response_trailers(&self) -> Option<&Head> {
        self.decoder.trailers()
    }

    fn is_backlogged(&self) -> bool {
        self.outbox.is_waiting(&self.transport)
    }

    fn answered(&self) -> bool {
        self.answered
    }
}
