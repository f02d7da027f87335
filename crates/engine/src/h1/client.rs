//! The client's side of an exchange, spoken as HTTP/1.
//!
//! Between requests the connection owns no buffer: a head is parsed straight out of the worker's scratch buffer, and
//! only what arrived too early (a partial head, a pipelined request) is kept in `carry`.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};

use plimsoll_policy::specimen::Bytes;
use plimsoll_wire::h1::body::Decoder;
use plimsoll_wire::h1::request::{self, Parse, RequestError};
use plimsoll_wire::h1::{Limits, Spelling, encode, has_news};
use plimsoll_wire::head::{Framing, Head, Version};

use super::writer::BodyWriter;
use crate::reactor::Socket;
use crate::splice::Splice;
use crate::stream::{ClientStream, End, Piece, StreamError, broken_body, broken_head};
use crate::transport::{Outbox, Transport};
use crate::worker::Worker;

/// A client connection that speaks HTTP/1.
pub(crate) struct Client {
    worker: Rc<Worker>,
    pub(crate) transport: Transport,
    outbox: Outbox,
    /// Bytes read beyond the message in hand: at most one buffer.
    carry: Vec<u8>,
    /// How far `carry` has been searched for the end of a head.
    scanned: usize,
    decoder: Decoder,
    writer: BodyWriter,
    /// What this client's request said about the connection.
    pub(crate) keep_alive: bool,
    version: Version,
    /// `100 Continue` was asked for and not sent yet.
    pub(crate) expects_continue: bool,
    /// The request, as it was received, is one whose response has no body (RFC 9110 section 9.3.2).
    is_head: bool,
    /// Requests taken from this connection.
    requests: u32,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// What was not acceptable.
    refused: Option<Box<Bytes>>,
}

/// Why there is no (further) request.
#[derive(Debug)]
pub(crate) enum NoRequest {
    /// Closed between requests; `partial`: in the middle of a head.
    Closed {
        partial: bool,
    },
    Reset,
    Refused(RequestError),
    /// The connection begins as one of HTTP/2 does; what was read is kept.
    Http2,
}

/// What HTTP/1 can see of the preface of HTTP/2: a request, as far as its version.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0";

impl Client {
    pub(crate) fn new(worker: Rc<Worker>, transport: Transport) -> Self {
        Self {
            worker,
            transport,
            outbox: Outbox::default(),
            carry: Vec::new(),
            scanned: 0,
            decoder: Decoder::default(),
            writer: BodyWriter::default(),
            keep_alive: true,
            version: Version::H11,
            expects_continue: false,
            is_head: false,
            requests: 0,
            bytes_in: 0,
            bytes_out: 0,
            refused: None,
        }
    }

    /// A client of whose requests some bytes have been read already.
    pub(crate) fn after(worker: Rc<Worker>, transport: Transport, early: Vec<u8>) -> Self {
        Self {
            bytes_in: early.len() as u64,
            carry: early,
            ..Self::new(worker, transport)
        }
    }

    /// Whether part of a request has already arrived.
    pub(crate) fn has_started(&self) -> bool {
        !self.carry.is_empty()
    }

    /// The next request: its head in `head`, the part of its body that came along in `early`.
    ///
    /// The returned flag says whether the body is complete.
    pub(crate) fn poll_request(
        &mut self,
        limits: &Limits,
        head: &mut Head,
        early: &mut Vec<u8>,
    ) -> Poll<Result<bool, NoRequest>> {
        let mut scratch = self.worker.reactor.scratch();
        let mut fresh = self.carry.len() > self.scanned;
        let window = limits.bytes_max.min(scratch.len());
        loop {
            let kept = self.carry.len().min(window);
            scratch[..kept].copy_from_slice(&self.carry[..kept]);
            let mut filled = kept;
            if !fresh {
                match ready!(self.transport.poll_read(&mut scratch[kept..window])) {
                    Ok(0) => return Poll::Ready(Err(NoRequest::Closed { partial: kept > 0 })),
                    Ok(count) => filled += count,
                    Err(_) => return Poll::Ready(Err(NoRequest::Reset)),
                }
                self.bytes_in += (filled - kept) as u64;
            }
            fresh = false;
            if self.requests == 0 && scratch[..filled].starts_with(PREFACE) {
                self.keep(&scratch[..filled]);
                return Poll::Ready(Err(NoRequest::Http2));
            }
            if !has_news(&scratch[..filled], self.scanned.min(kept), limits) {
                self.keep(&scratch[..filled]);
                continue;
            }
            match request::parse(&scratch[..filled], head, limits) {
                Ok(Parse::Complete(length)) => {
                    self.carry.drain(..kept);
                    return Poll::Ready(self.accept(head, &mut scratch[..filled], length, early));
                }
                Ok(Parse::Partial) => self.keep(&scratch[..filled]),
                Err(error) => {
                    let wrong = (error.name(), error.to_string());
                    self.refused = Some(broken_head(&scratch[..filled], head, wrong));
                    return Poll::Ready(Err(NoRequest::Refused(error)));
                }
            }
        }
    }

    /// Takes over the framing of a parsed head of this length and what follows it in the buffer.
    fn accept(
        &mut self,
        head: &Head,
        received: &mut [u8],
        length: usize,
        early: &mut Vec<u8>,
    ) -> Result<bool, NoRequest> {
        self.requests += 1;
        self.keep_alive = head.keep_alive;
        self.version = head.version;
        self.expects_continue = head.expect_continue;
        self.is_head = head.method() == b"HEAD";
        self.decoder = Decoder::new(head.framing);
        let decoded = self.decoder.decode(&mut received[length..]);
        let decoded = decoded.map_err(|broken| {
            self.refused = Some(broken_body(received, length, &broken));
            NoRequest::Refused(broken.error.into())
        })?;
        let rest = &received[length..];
        early.extend_from_slice(&rest[decoded.payload.clone()]);
        self.scanned = 0;
        if decoded.consumed < rest.len() {
            // Behind an upload more may have been carried than a head's window shows.
            let unused = rest[decoded.consumed..].iter().copied();
            self.carry.splice(..0, unused);
        } else if self.carry.is_empty() {
            self.carry = Vec::new();
        }
        Ok(decoded.done)
    }

    #[cold]
    fn keep(&mut self, bytes: &[u8]) {
        self.carry.clear();
        self.carry.extend_from_slice(bytes);
        self.scanned = bytes.len();
    }

    /// Whether the connection may carry another request once the present response has ended.
    pub(crate) fn may_continue(&self) -> bool {
        self.keep_alive && self.decoder.is_done() && !self.is_backlogged()
    }

    /// Everything that arrived belonged to requests that were read to their end.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.decoder.is_done() && self.carry.is_empty() && self.requests > 0
    }

    /// Whether a part of a request waits to be parsed without anything new having to arrive.
    pub(crate) fn has_unread(&self) -> bool {
        self.carry.len() > self.scanned
    }

    /// What was read from the transport but not used: an upgraded connection goes on as a tunnel.
    pub(crate) fn take_carry(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.carry)
    }

    /// The transport, and what was read from it but not used.
    pub(crate) fn into_parts(self) -> (Transport, Vec<u8>) {
        (self.transport, self.carry)
    }

    /// What the present response says about the connection.
    fn persistence(&self) -> encode::Connection {
        match (self.keep_alive, self.version) {
            (false, _) => encode::Connection::Close,
            (true, Version::H10) => encode::Connection::KeepAlive,
            (true, _) => encode::Connection::Implied,
        }
    }

    /// Begins a response: settles what it says of the connection, and puts its head into `out`.
    fn open_response(&mut self, head: &Head, payload_bytes: usize, out: &mut Vec<u8>) {
        // A rule may have asked the server for more than the client has asked for, or chosen a status without a body.
        let bodiless = head.is_bodiless() && head.framing == Framing::None;
        let mute = self.is_head && !head.upgrade || bodiless;
        // A status that a rule has chosen: the client goes on waiting for a response that never comes.
        self.keep_alive &= !(bodiless && head.status < 200);
        let framing = match mute {
            true => Framing::None,
            false => self.response_framing(head),
        };
        // A request body that was never asked for leaves the connection in doubt.
        self.keep_alive &= !self.expects_continue || self.decoder.is_done();
        let connection = match head.upgrade {
            true => encode::Connection::Upgrade,
            false => self.persistence(),
        };
        match mute {
            true => self.writer.begin_mute(),
            false => self.writer.begin(framing),
        }
        encode::response(head, connection, framing, out);
        self.writer.spell(out);
        let payload_bytes = if mute { 0 } else { payload_bytes };
        self.bytes_out += (out.len() + payload_bytes) as u64;
    }

    /// Sends part of a response's body behind what `out` holds.
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

    /// The framing that this response's body gets towards this client.
    fn response_framing(&mut self, head: &Head) -> Framing {
        match head.framing {
            // HTTP/1.0 knows no chunks, and a server that ends its body by closing says nothing of its length:
            // in both cases the end of the client's connection ends the body.
            Framing::Chunked if self.version < Version::H11 => {
                self.keep_alive = false;
                Framing::UntilClose
            }
            Framing::UntilClose => {
                self.keep_alive = false;
                Framing::UntilClose
            }
            framing => framing,
        }
    }
}

impl Splice for Client {
    fn splice_source(&self) -> Option<(&Socket, u64)> {
        let bytes = self.decoder.bytes_ahead();
        let is_clear = self.carry.is_empty() && !self.decoder.ends_with_connection();
        let socket = self.transport.plain().filter(|_| is_clear);
        socket.map(|socket| (socket, bytes))
    }

    fn spliced(&mut self, bytes: u64) -> bool {
        self.bytes_in += bytes;
        self.decoder.skip(bytes);
        self.decoder.is_done()
    }

    fn splice_sink(&self) -> Option<&Socket> {
        let is_clear = self.outbox.is_empty() && !self.writer.is_mute();
        self.transport.plain().filter(|_| is_clear)
    }

    fn announce(&mut self, bytes: u64) -> Result<(), StreamError> {
        self.bytes_out += bytes;
        let way = (&mut self.transport, &mut self.outbox);
        Ok(self.writer.announce(way, bytes)?)
    }

    fn poll_announced(&mut self) -> Poll<Result<(), StreamError>> {
        self.poll_flush()
    }
}

impl ClientStream for Client {
    fn poll_body(&mut self, scratch: &mut [u8]) -> Poll<Result<Piece, StreamError>> {
        loop {
            if self.decoder.is_done() {
                return Poll::Ready(Ok(Piece {
                    range: 0..0,
                    last: true,
                }));
            }
            let filled = if self.carry.is_empty() {
                match ready!(self.transport.poll_read(scratch))? {
                    0 if self.decoder.ends_with_connection() => {
                        self.decoder = Decoder::default();
                        continue;
                    }
                    0 => return Poll::Ready(Err(StreamError::Closed)),
                    count => {
                        self.bytes_in += count as u64;
                        count
                    }
                }
            } else {
                let count = self.carry.len().min(scratch.len());
                scratch[..count].copy_from_slice(&self.carry[..count]);
                self.carry.drain(..count);
                count
            };
            let decoded = self.decoder.decode(&mut scratch[..filled]);
            let decoded = decoded.map_err(|broken| {
                self.refused = Some(broken_body(&scratch[..filled], 0, &broken));
                broken.error
            })?;
            if decoded.consumed < filled {
                let rest = scratch[decoded.consumed..filled].to_vec();
                self.carry.splice(..0, rest);
            }
            if decoded.done || !decoded.payload.is_empty() {
                return Poll::Ready(Ok(Piece {
                    range: decoded.payload,
                    last: decoded.done,
                }));
            }
        }
    }

    fn take_refused(&mut self) -> Option<Box<Bytes>> {
        self.refused.take()
    }

    fn poll_handshake(&mut self) -> Poll<Result<(), StreamError>> {
        self.transport.poll_handshake().map_err(StreamError::from)
    }

    fn request_trailers(&self) -> Option<&Head> {
        self.decoder.trailers()
    }

    fn invite(&mut self) -> Result<(), StreamError> {
        if !std::mem::take(&mut self.expects_continue) {
            return Ok(());
        }
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
        self.bytes_out += interim.len() as u64;
        Ok(self.outbox.write_one(&mut self.transport, interim)?)
    }

    fn inform(&mut self, head: &Head) -> Result<(), StreamError> {
        if self.version < Version::H11 {
            return Ok(()); // RFC 9110 section 15.2: an HTTP/1.0 client is not sent 1xx
        }
        self.expects_continue = false;
        let mut out = self.worker.out_buffer();
        encode::response(head, encode::Connection::Unchanged, Framing::None, &mut out);
        self.writer.spell(&mut out);
        self.bytes_out += out.len() as u64;
        Ok(self.outbox.write_one(&mut self.transport, &out)?)
    }

    fn respond(
        &mut self,
        head: &Head,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError> {
        let worker = Rc::clone(&self.worker);
        let mut out = worker.out_buffer();
        self.open_response(head, payload.len(), &mut out);
        self.write(&mut out, payload, end, trailers)
    }

    fn respond_within(
        &mut self,
        head: &Head,
        buffer: &mut [u8],
        payload: Range<usize>,
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError> {
        let worker = Rc::clone(&self.worker);
        let mut out = worker.out_buffer();
        self.open_response(head, payload.len(), &mut out);
        match payload.start.checked_sub(out.len()) {
            // Written in front of the payload, where the server's head was, ours leaves with it in one plain send.
            Some(start) if !self.writer.adds_marks() && !self.writer.is_mute() => {
                buffer[start..payload.start].copy_from_slice(&out);
                let message = &buffer[start..payload.end];
                Ok(self.outbox.write_one(&mut self.transport, message)?)
            }
            _ => self.write(&mut out, &buffer[payload], end, trailers),
        }
    }

    fn send(
        &mut self,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError> {
        if self.writer.is_mute() {
            return Ok(());
        }
        self.bytes_out += payload.len() as u64;
        let worker = Rc::clone(&self.worker);
        self.write(&mut worker.out_buffer(), payload, end, trailers)
    }

    fn poll_flush(&mut self) -> Poll<Result<(), StreamError>> {
        self.outbox
            .poll_flush(&mut self.transport)
            .map_err(StreamError::from)
    }

    fn is_backlogged(&self) -> bool {
        self.outbox.is_waiting(&self.transport)
    }

    fn poll_gone(&mut self) -> Poll<()> {
        self.transport.poll_hangup()
    }

    fn take_traffic(&mut self) -> (u64, u64) {
        (
            std::mem::take(&mut self.bytes_in),
            std::mem::take(&mut self.bytes_out),
        )
    }

    fn traffic(&self) -> (u64, u64) {
        (self.bytes_in, self.bytes_out)
    }

    fn socket(&self) -> Option<&Socket> {
        Some(self.transport.socket())
    }

    fn close_after(&mut self) {
        self.keep_alive = false;
    }

    fn spell_names(&mut self, spelling: Option<&Arc<Spelling>>) {
        self.writer.spell_names(spelling);
    }

    fn closes(&self) -> bool {
        !self.keep_alive
    }

    fn become_tunnel(&mut self) {
        self.decoder = Decoder::new(Framing::UntilClose);
        self.keep_alive = false;
    }
}
