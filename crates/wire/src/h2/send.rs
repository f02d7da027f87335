//! What goes out: messages to frames, within the peer's windows.

use super::connection::{Connection, OUTPUT_BYTES_MAX};
use super::frame::{FrameHead, HEAD_BYTES, flag, kind};
use super::message;
use super::streams::{Key, Stream};
use crate::h1::response::Asked;
use crate::head::Head;

impl<T: Copy> Connection<T> {
    /// Opens a stream with a request; `None`: the connection has no room for it, see
    /// [`capacity`](Self::capacity). `end`: there is no body.
    pub fn open(&mut self, head: &Head, scheme: &[u8], end: bool) -> Option<Key> {
        if self.capacity() == 0 {
            return None;
        }
        let id = self.own_next;
        self.own_next += 2;
        self.counts.streams += 1;
        let mut stream = Stream::new(id, self.config.window_bytes, self.peer_window);
        stream.asked = Asked::by(head);
        // An extended CONNECT is a tunnel: its side stays open.
        let end = end && !stream.asked.connect && !stream.asked.upgrade;
        stream.local_done = end;
        let key = self.streams.insert(stream);
        let start = self.begin_block();
        message::write_request(head, scheme, &mut self.encoder, &mut self.out);
        self.end_block(start, id, end);
        Some(key)
    }

    /// Sends the head of a response, interim ones included; `end`: nothing follows it.
    ///
    /// Does nothing on a stream that is closed; see [`reset_code`](Self::reset_code).
    pub fn send_head(&mut self, key: Key, head: &Head, end: bool) {
        let is_interim = head.status < 200 && head.status != 101;
        let end = end && !is_interim && head.status != 101;
        if !self.may_send(key, end) {
            return;
        }
        let start = self.begin_block();
        message::write_response(head, &mut self.encoder, &mut self.out);
        self.end_block(start, key.id, end);
    }

    /// Sends as much of `payload` as the windows and the output have room for, and says how much that was.
    ///
    /// With `end` the stream ends behind the last byte. When not all was taken, the owner is woken once more can be.
    pub fn send_data(&mut self, key: Key, payload: &[u8], end: bool) -> usize {
        let room = self.room(key);
        let Some(stream) = self.streams.get_mut(key) else {
            return payload.len();
        };
        if stream.reset.is_some() || stream.local_done {
            // Nobody will ever take it; whoever asks is told of the reset.
            return payload.len();
        }
        let taken = payload.len().min(room);
        let ends = end && taken == payload.len();
        if taken < payload.len() {
            stream.blocked = true;
            self.blocked = true;
        }
        stream.window_out -= taken as i64;
        stream.local_done = ends;
        self.window_out -= taken as i64;
        let mut pieces = payload[..taken].chunks(self.peer_frame_bytes).peekable();
        if pieces.peek().is_none() && ends {
            frame_head(&mut self.out, 0, kind::DATA, flag::END_STREAM, key.id);
        }
        while let Some(piece) = pieces.next() {
            let flags = if ends && pieces.peek().is_none() {
                flag::END_STREAM
            } else {
                0
            };
            frame_head(&mut self.out, piece.len(), kind::DATA, flags, key.id);
            self.out.extend_from_slice(piece);
        }
        taken
    }

    /// Ends the stream with trailers.
    pub fn send_trailers(&mut self, key: Key, trailers: &Head) {
        if !self.may_send(key, true) {
            return;
        }
        let start = self.begin_block();
        message::write_trailers(trailers, &mut self.encoder, &mut self.out);
        self.end_block(start, key.id, true);
    }

    /// How much data [`send_data`](Self::send_data) would take now.
    pub fn room(&self, key: Key) -> usize {
        let Some(stream) = self.streams.get(key) else {
            return 0;
        };
        let window = stream.window_out.min(self.window_out).max(0);
        let room = OUTPUT_BYTES_MAX.saturating_sub(self.out.len());
        usize::try_from(window).unwrap_or(usize::MAX).min(room)
    }

    /// Has the owner woken when there is room for data.
    pub fn await_room(&mut self, key: Key) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.blocked = true;
            self.blocked = true;
        }
    }

    /// Whether our side of the stream is still open; with `end` it is so no longer.
    fn may_send(&mut self, key: Key, end: bool) -> bool {
        match self.streams.get_mut(key) {
            Some(stream) if stream.reset.is_none() && !stream.local_done => {
                stream.local_done = end;
                true
            }
            _ => false,
        }
    }

    /// A status and nothing else, on a stream that is in no table.
    pub(super) fn encoded_status(&mut self, id: u32, status: u16) {
        let start = self.begin_block();
        self.encoder.begin(&mut self.out);
        self.encoder.status(status, &mut self.out);
        self.end_block(start, id, true);
    }

    /// Leaves room for a frame's head; the block follows.
    fn begin_block(&mut self) -> usize {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; HEAD_BYTES]);
        start
    }

    /// Writes the frame's head, and cuts the block into several frames when it is too long for one.
    fn end_block(&mut self, start: usize, id: u32, end: bool) {
        let length = self.out.len() - start - HEAD_BYTES;
        let end = u8::from(end) * flag::END_STREAM;
        if length > self.peer_frame_bytes {
            return self.cut_block(start, id, end);
        }
        let flags = end | flag::END_HEADERS;
        write_head(&mut self.out[start..], length, kind::HEADERS, flags, id);
    }

    #[cold]
    fn cut_block(&mut self, start: usize, id: u32, end: u8) {
        let block = self.out.split_off(start + HEAD_BYTES);
        self.out.truncate(start);
        let mut pieces = block.chunks(self.peer_frame_bytes).peekable();
        let (mut kind, mut flags) = (kind::HEADERS, end);
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                flags |= flag::END_HEADERS;
            }
            frame_head(&mut self.out, piece.len(), kind, flags, id);
            self.out.extend_from_slice(piece);
            (kind, flags) = (kind::CONTINUATION, 0);
        }
    }
}

fn frame_head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    FrameHead {
        length,
        kind,
        flags,
        stream,
    }
    .write(out);
}

/// Writes a frame's head where room was left for it.
fn write_head(place: &mut [u8], length: usize, kind: u8, flags: u8, stream: u32) {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    let [e, f, g, h] = stream.to_be_bytes();
    place[..HEAD_BYTES].copy_from_slice(&[a, b, c, kind, flags, e, f, g, h]);
}
