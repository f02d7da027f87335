//! What comes in: bytes to frames, frames to streams.
//!
//! Payload of `DATA` is taken as it arrives; every other frame is looked at when all of it is there. A returned
//! [`Fault`] is the end of the connection, and `GOAWAY` lies in the output; faults of a stream are answered here.

use super::budget::{REQUEST_UNITS, UNIT_BYTES};
use super::connection::{Connection, Event, Role};
use super::error::{Code, Fault};
use super::frame::{
    self, FRAME_BYTES_DEFAULT, FRAME_BYTES_MAX, FrameHead, HEAD_BYTES, NUMBER_MAX, flag, kind,
    setting,
};
use super::message::{self, Kind};
use super::streams::{Key, Stream};
use crate::head::Head;

/// Most frames that one header block may come in.
pub(super) const BLOCK_PIECES_MAX: u32 = 32;

/// Most interim responses before a final one, and most that wait to be taken.
const INTERIM_MAX: usize = 16;

/// Uploads that may each fill their share of the connection's window.
const UPLOADS_AT_ONCE: u32 = 4;

/// Downloads that may each have their share of what a connection has to spare.
const DOWNLOADS_AT_ONCE: u32 = 4;

/// Memory for part of a frame, or for a block, that is kept between uses.
const CARRY_KEEP_BYTES: usize = 0;

/// A `DATA` frame on its way.
#[derive(Debug)]
pub(super) struct Data {
    /// `None`: the stream is gone, and its data is thrown away.
    key: Option<Key>,
    /// The length of the padding is still to come.
    padded: bool,
    /// Bytes that are neither of these come first.
    payload: usize,
    padding: usize,
    end: bool,
}

/// A header block on its way.
#[derive(Debug)]
pub(super) struct Block {
    stream: u32,
    end_stream: bool,
    /// The frame named its own stream as the one it depends on.
    depends_on_itself: bool,
    pieces: u32,
    code: Vec<u8>,
}

impl<T: Copy> Connection<T> {
    /// Takes in what the transport has brought, at `now_ms` of any steady clock.
    ///
    /// `take_head` supplies empty heads. News is in [`next_event`](Self::next_event), answers are in
    /// [`output`](Self::output), even after a fault.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        now_ms: u64,
        take_head: &mut dyn FnMut() -> Head,
    ) -> Result<(), Fault> {
        let mut units = u32::MAX;
        self.receive_some(bytes, now_ms, &mut units, take_head)?;
        Ok(())
    }

    /// As [`receive`](Self::receive), until so many `units` of work are done: about so many frames, where requests, streams
    /// that come to nothing and long header blocks count for several. Returns how many bytes were taken in, the rest of which
    /// is to be handed over again; `units` is lowered by what was done.
    pub fn receive_some(
        &mut self,
        bytes: &[u8],
        now_ms: u64,
        units: &mut u32,
        take_head: &mut dyn FnMut() -> Head,
    ) -> Result<usize, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.now_ms = now_ms;
        self.work = 0;
        let taken = self.take_in(bytes, *units, take_head);
        *units = units.saturating_sub(self.work);
        taken.map_err(|fault| self.fail(fault))
    }

    fn take_in(
        &mut self,
        all: &[u8],
        units: u32,
        take_head: &mut dyn FnMut() -> Head,
    ) -> Result<usize, Fault> {
        let mut bytes = all;
        self.preface(&mut bytes)?;
        while !bytes.is_empty() && self.work < units {
            if self.data.is_some() {
                bytes = self.data_bytes(bytes)?;
                continue;
            }
            if !self.carry.is_empty() {
                self.complete(&mut bytes, take_head)?;
                continue;
            }
            let Some(head) = FrameHead::read(bytes) else {
                self.carry.extend_from_slice(bytes);
                return Ok(all.len());
            };
            self.check(head)?;
            if head.kind == kind::DATA {
                bytes = &bytes[HEAD_BYTES..];
                self.begin_data(head)?;
                continue;
            }
            match bytes.split_at_checked(HEAD_BYTES + head.length) {
                Some((frame, rest)) => {
                    bytes = rest;
                    self.frame(head, &frame[HEAD_BYTES..], take_head)?;
                }
                None => {
                    self.carry.extend_from_slice(bytes);
                    return Ok(all.len());
                }
            }
        }
        Ok(all.len() - bytes.len())
    }

    /// Work was done beyond that of a frame.
    pub(super) fn toil(&mut self, units: u32) {
        self.work = self.work.saturating_add(units);
    }

    fn preface(&mut self, bytes: &mut &[u8]) -> Result<(), Fault> {
        let taken = self.preface_left.min(bytes.len());
        let from = frame::PREFACE.len() - self.preface_left;
        if frame::PREFACE[from..][..taken] != bytes[..taken] {
            return Err(Fault::BadPreface);
        }
        self.preface_left -= taken;
        *bytes = &bytes[taken..];
        Ok(())
    }

    /// Adds to the frame that has begun, and takes it when it is whole.
    fn complete(
        &mut self,
        bytes: &mut &[u8],
        take_head: &mut dyn FnMut() -> Head,
    ) -> Result<(), Fault> {
        let mut wanted = HEAD_BYTES;
        if let Some(head) = FrameHead::read(&self.carry) {
            wanted += head.length;
        }
        let taken = (wanted - self.carry.len()).min(bytes.len());
        self.carry.extend_from_slice(&bytes[..taken]);
        *bytes = &bytes[taken..];
        let Some(head) = FrameHead::read(&self.carry) else {
            return Ok(());
        };
        if self.carry.len() == HEAD_BYTES {
            self.check(head)?;
            if head.kind == kind::DATA {
                self.carry = Vec::new();
                return self.begin_data(head);
            }
        }
        if self.carry.len() < HEAD_BYTES + head.length {
            return Ok(());
        }
        let mut frame = std::mem::take(&mut self.carry);
        self.frame(head, &frame[HEAD_BYTES..], take_head)?;
        frame.clear();
        frame.shrink_to(CARRY_KEEP_BYTES);
        self.carry = frame;
        Ok(())
    }

    /// What a frame's head alone can get wrong.
    fn check(&mut self, head: FrameHead) -> Result<(), Fault> {
        self.counts.frames += 1;
        self.toil(1);
        if head.length > self.config.frame_bytes as usize {
            return Err(Fault::FrameTooLarge);
        }
        if !self.settled && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return Err(Fault::BadPreface);
        }
        let continues = head.kind == kind::CONTINUATION;
        match &self.block {
            Some(block) if !continues || head.stream != block.stream => {
                return Err(Fault::BrokenBlock);
            }
            None if continues => return Err(Fault::BrokenBlock),
            _ => {}
        }
        let belongs_to_connection = matches!(head.kind, kind::SETTINGS | kind::PING | kind::GOAWAY);
        let belongs_to_stream = matches!(
            head.kind,
            kind::DATA | kind::HEADERS | kind::PRIORITY | kind::RST_STREAM | kind::CONTINUATION
        );
        if belongs_to_connection && head.stream != 0 || belongs_to_stream && head.stream == 0 {
            return Err(Fault::WrongStream);
        }
        let length_is_right = match head.kind {
            kind::RST_STREAM | kind::WINDOW_UPDATE => head.length == 4,
            kind::PING => head.length == 8,
            kind::GOAWAY => head.length >= 8,
            kind::SETTINGS if head.has(flag::ACK) => head.length == 0,
            kind::SETTINGS => head.length.is_multiple_of(6),
            _ => true,
        };
        if !length_is_right {
            return Err(Fault::BadFrameLength);
        }
        Ok(())
    }

    fn frame(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        take_head: &mut dyn FnMut() -> Head,
    ) -> Result<(), Fault> {
        match head.kind {
            kind::HEADERS => self.headers(head, payload, take_head),
            kind::CONTINUATION => self.continuation(head, payload, take_head),
            kind::PRIORITY => self.priority(head, payload),
            kind::RST_STREAM => self.peer_reset(head, payload),
            kind::SETTINGS => self.settings(head, payload),
            kind::PUSH_PROMISE => Err(Fault::UnexpectedPush),
            kind::PING => self.pinged(head, payload),
            kind::GOAWAY => self.peer_leaves(payload),
            kind::WINDOW_UPDATE => self.window_update(head, payload),
            // RFC 9113 section 5.5: what is not known is passed over.
            _ => self.spend_idle(),
        }
    }

    /// Whether a stream with this identifier has never been open.
    fn is_unopened(&self, id: u32) -> bool {
        let is_ours = (id % 2 == 1) == (self.role == Role::Client);
        match is_ours {
            true => id >= self.own_next,
            false => id > self.peer_last,
        }
    }

    // ---- Data

    fn begin_data(&mut self, head: FrameHead) -> Result<(), Fault> {
        if self.is_unopened(head.stream) {
            return Err(Fault::BadStreamId);
        }
        let padded = head.has(flag::PADDED);
        if padded && head.length == 0 {
            return Err(Fault::BadPadding);
        }
        let end = head.has(flag::END_STREAM);
        let length = head.length as i64;
        if length > self.window_in {
            return Err(Fault::WindowExceeded);
        }
        self.window_in -= length;
        if head.length == 0 && !end {
            self.spend_idle()?;
        }
        let key = self.accept_data(head.stream, length)?;
        let data = Data {
            key,
            padded,
            payload: head.length,
            padding: 0,
            end,
        };
        if head.length == 0 {
            return self.end_data(&data);
        }
        self.data = Some(data);
        Ok(())
    }

    /// The peer goes on with a stream that it has reset itself (RFC 9113 section 5.1, "closed").
    fn talks_on(&mut self, id: u32) -> Result<(), Fault> {
        self.spend_idle()?;
        frame::reset(id, Code::STREAM_CLOSED, &mut self.out);
        Ok(())
    }

    /// The stream that takes this data; `None`: it is thrown away.
    fn accept_data(&mut self, id: u32, length: i64) -> Result<Option<Key>, Fault> {
        let Some(key) = self.streams.find(id) else {
            if !self.cancelled.contains(&id) {
                self.spend_idle()?;
                frame::reset(id, Code::STREAM_CLOSED, &mut self.out);
                self.remember_cancelled(id);
            }
            return Ok(None);
        };
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok(None);
        };
        if stream.abandoned {
            return self.talks_on(id).map(|()| None);
        }
        if stream.reset.is_some() {
            return Ok(None);
        }
        let fault = if stream.remote_done {
            Fault::StreamClosed
        } else if self.role == Role::Client && !stream.headed {
            Fault::BadPseudoHeader
        } else if length > stream.window_in {
            Fault::WindowExceeded
        } else {
            stream.window_in -= length;
            return Ok(Some(key));
        };
        self.fail_stream(key, fault)?;
        Ok(None)
    }

    /// Takes payload and padding of the present frame; returns what follows.
    fn data_bytes<'b>(&mut self, mut bytes: &'b [u8]) -> Result<&'b [u8], Fault> {
        let Some(mut data) = self.data.take() else {
            return Ok(bytes);
        };
        if data.padded {
            data.padding = usize::from(bytes[0]);
            data.payload -= 1;
            if data.padding > data.payload {
                return Err(Fault::BadPadding);
            }
            data.payload -= data.padding;
            data.padded = false;
            // Padding spends the windows too, and nobody reads it.
            self.credit(data.key, data.padding as u32 + 1);
            bytes = &bytes[1..];
        }
        let taken = data.payload.min(bytes.len());
        self.payload(&mut data, &bytes[..taken])?;
        data.payload -= taken;
        let skipped = data.padding.min(bytes.len() - taken);
        if data.payload == 0 {
            data.padding -= skipped;
            bytes = &bytes[taken + skipped..];
        } else {
            bytes = &bytes[taken..];
        }
        if data.payload == 0 && data.padding == 0 {
            self.end_data(&data)?;
        } else {
            self.data = Some(data);
        }
        Ok(bytes)
    }

    fn payload(&mut self, data: &mut Data, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        // The stream may have been given up since the frame began.
        let open = data
            .key
            .and_then(|key| self.streams.get_mut(key))
            .filter(|stream| stream.reset.is_none());
        let Some(stream) = open else {
            data.key = None;
            self.credit(None, bytes.len() as u32);
            return Ok(());
        };
        if let Some(expected) = &mut stream.expected {
            let Some(left) = expected.checked_sub(bytes.len() as u64) else {
                let key = data.key.take();
                self.credit(None, bytes.len() as u32);
                return key.map_or(Ok(()), |key| self.fail_stream(key, Fault::BadContentLength));
            };
            *expected = left;
        }
        stream.data.extend_from_slice(bytes);
        if let Some(key) = data.key {
            self.wake(key);
        }
        Ok(())
    }

    fn end_data(&mut self, data: &Data) -> Result<(), Fault> {
        match data.key {
            Some(key) if data.end => self.end_remote(key),
            _ => Ok(()),
        }
    }

    /// The peer has ended its side of the stream.
    fn end_remote(&mut self, key: Key) -> Result<(), Fault> {
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok(());
        };
        if stream.expected.is_some_and(|left| left > 0) {
            return self.fail_stream(key, Fault::BadContentLength);
        }
        stream.remote_done = true;
        self.wake(key);
        Ok(())
    }

    // ---- Header blocks

    fn headers(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        take_head: &mut dyn FnMut() -> Head,
    ) -> Result<(), Fault> {
        let mut block = payload;
        let mut padding = 0;
        if head.has(flag::PADDED) {
            let (&length, rest) = block.split_first().ok_or(Fault::BadFrameLength)?;
            (padding, block) = (usize::from(length), rest);
        }
        let mut depends_on = None;
        if head.has(flag::PRIORITY) {
            let (priority, rest) = block.split_at_checked(5).ok_or(Fault::BadFrameLength)?;
            depends_on = Some(u32_at(priority) & NUMBER_MAX);
            block = rest;
        }
        let length = block.len().checked_sub(padding).ok_or(Fault::BadPadding)?;
        let block = Block {
            stream: head.stream,
            end_stream: head.has(flag::END_STREAM),
            depends_on_itself: depends_on == Some(head.stream),
            pieces: 1,
            code: Vec::new(),
        }
        .with(
            &block[..length],
            self.config.limits.bytes_max,
            head.has(flag::END_HEADERS),
        );
        match block {
            Piece::Whole(block, code) => self.block(&block, code, take_head),
            Piece::More(block) => {
                self.block = Some(block);
                Ok(())
            }
            Piece::TooLong => Err(Fault::BlockTooLong),
        }
    }

    fn continuation(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        take_head: &mut dyn FnMut() -> Head,
    ) -> Result<(), Fault> {
        let mut block = self.block.take().ok_or(Fault::BrokenBlock)?;
        block.pieces += 1;
        block.code.extend_from_slice(payload);
        if block.is_too_long(self.config.limits.bytes_max) {
            return Err(Fault::BlockTooLong);
        }
        if !head.has(flag::END_HEADERS) {
            self.block = Some(block);
            return Ok(());
        }
        let code = std::mem::take(&mut block.code);
        self.block(&block, &code, take_head)
    }

    /// A whole header block. Whatever becomes of its stream, it is decoded, for what it does to the table.
    fn block(
        &mut self,
        block: &Block,
        code: &[u8],
        take_head: &mut dyn FnMut() -> Head,
    ) -> Result<(), Fault> {
        self.toil((code.len() / UNIT_BYTES) as u32);
        if let Some(key) = self.streams.find(block.stream) {
            return self.further_block(key, block, code, take_head);
        }
        if self.role == Role::Client
            || block.stream.is_multiple_of(2)
            || block.stream <= self.peer_last
        {
            let is_late = !self.is_unopened(block.stream);
            self.decoder.skip(code)?;
            return match is_late {
                true if self.cancelled.contains(&block.stream) => Ok(()),
                true => Err(Fault::StreamClosed),
                false => Err(Fault::BadStreamId),
            };
        }
        if self.leaving {
            self.decoder.skip(code)?;
            return self.spend_idle();
        }
        self.peer_last = block.stream;
        self.counts.streams += 1;
        self.toil(REQUEST_UNITS - 1);
        if self.is_full() {
            self.decoder.skip(code)?;
            return self.refuse(block.stream, Fault::TooManyStreams);
        }
        let mut head = take_head();
        let mut reader = message::Reader::new(&mut head, Kind::Request, &self.config.limits);
        self.decoder.decode(code, &mut reader)?;
        let read = match reader.finish(block.end_stream) {
            _ if block.depends_on_itself => Err(Fault::SelfDependency),
            Ok(Some(1..)) if block.end_stream => Err(Fault::BadContentLength),
            read => read,
        };
        let expected = match read {
            Ok(expected) => expected,
            // RFC 6585 section 5: a head beyond our limits is told so. What is only wrong to HTTP is answered in HTTP.
            Err(fault @ Fault::HeadTooLarge) => return self.answer(block, fault, 431),
            Err(fault @ (Fault::BadMethod | Fault::BadScheme | Fault::ReservedMethod)) => {
                return self.answer(block, fault, 400);
            }
            Err(fault) => return self.refuse(block.stream, fault),
        };
        let mut stream = Stream::new(block.stream, self.config.window_bytes, self.peer_window);
        stream.expected = expected;
        stream.remote_done = block.end_stream;
        stream.headed = true;
        stream.head = Some(head);
        if !block.end_stream
            && expected.is_none_or(|length| length > u64::from(self.config.window_bytes))
        {
            self.widen(&mut stream);
        }
        let key = self.streams.insert(stream);
        self.events.push_back(Event::Request(key));
        Ok(())
    }

    /// Lets a client upload faster than one window per round trip: a few streams may use all of the connection's.
    fn widen(&mut self, stream: &mut Stream<T>) {
        let share = self.config.connection_window_bytes / UPLOADS_AT_ONCE;
        let more = share.saturating_sub(self.config.window_bytes);
        if more > 0 {
            frame::window_update(stream.id, more, &mut self.out);
            stream.window_in += i64::from(more);
        }
    }

    /// Whether one more stream would be too many. Those that are over for the peer, but not yet for their owners, count
    /// only when there are as many of them again: a peer that cancels what it opens gains nothing.
    fn is_full(&self) -> bool {
        let most = self.config.streams_max as usize;
        let held = self.streams.len();
        held >= most
            && (held >= 2 * most
                || self
                    .streams
                    .iter()
                    .filter(|stream| !stream.is_closed())
                    .count()
                    >= most)
    }

    /// A block on a stream that is open: trailers, or a response.
    fn further_block(
        &mut self,
        key: Key,
        block: &Block,
        code: &[u8],
        take_head: &mut dyn FnMut() -> Head,
    ) -> Result<(), Fault> {
        let Some(stream) = self.streams.get(key) else {
            return Ok(());
        };
        if stream.abandoned {
            self.decoder.skip(code)?;
            return self.talks_on(key.id);
        }
        if stream.reset.is_some() {
            return Ok(self.decoder.skip(code)?);
        }
        let kind = match stream.headed {
            true => Kind::Trailers,
            false => Kind::Response(stream.asked),
        };
        let remote_done = stream.remote_done;
        let mut head = take_head();
        let mut reader = message::Reader::new(&mut head, kind, &self.config.limits);
        self.decoder.decode(code, &mut reader)?;
        let read = reader.finish(block.end_stream);
        let fault = match read {
            _ if remote_done => Fault::StreamClosed,
            _ if block.depends_on_itself => Fault::SelfDependency,
            _ if kind == Kind::Trailers && !block.end_stream => Fault::TrailersWithoutEnd,
            Err(fault) => fault,
            Ok(expected) => return self.take_block(key, kind, head, expected, block.end_stream),
        };
        self.fail_stream(key, fault)
    }

    fn take_block(
        &mut self,
        key: Key,
        kind: Kind,
        mut head: Head,
        expected: Option<u64>,
        end_stream: bool,
    ) -> Result<(), Fault> {
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok(());
        };
        if kind == Kind::Trailers {
            if !head.fields.is_empty() {
                stream.trailers = Some(Box::new(head));
            }
            return self.end_remote(key);
        }
        let grants_upgrade = stream.asked.upgrade && (200..300).contains(&head.status);
        if grants_upgrade {
            head.status = 101;
            head.upgrade = true;
        }
        if head.status >= 200 || grants_upgrade {
            stream.headed = true;
            stream.expected = expected;
        }
        if stream.head.is_none() {
            stream.head = Some(head);
        } else if stream.more_heads.len() < INTERIM_MAX {
            stream.more_heads.push_back(head);
        } else {
            return self.fail_stream(key, Fault::TooManyInterim);
        }
        if end_stream {
            return self.end_remote(key);
        }
        self.widen_download(key);
        self.wake(key);
        Ok(())
    }

    /// Lets a server send a long body faster than one window per round trip, as far as the connection has bytes to spare.
    /// What others may hold unread is none of these.
    fn widen_download(&mut self, key: Key) {
        let window = self.config.window_bytes;
        let share = self.config.spare_bytes / DOWNLOADS_AT_ONCE;
        let more = share.saturating_sub(window);
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let is_long = stream.expected.is_none_or(|length| length > window.into());
        let is_tunnel = stream.asked.connect || stream.asked.upgrade;
        if more == 0
            || more > self.spare
            || !stream.headed
            || !is_long
            || is_tunnel
            || stream.widened > 0
        {
            return;
        }
        frame::window_update(stream.id, more, &mut self.out);
        stream.window_in += i64::from(more);
        stream.widened = more;
        self.spare -= more;
    }

    /// Answers a request that comes to nothing.
    fn answer(&mut self, block: &Block, fault: Fault, status: u16) -> Result<(), Fault> {
        self.note_rejected(fault, status);
        self.encoded_status(block.stream, status);
        if !block.end_stream {
            frame::reset(block.stream, Code::NO_ERROR, &mut self.out);
            self.remember_cancelled(block.stream);
        }
        self.spend_reset()
    }

    fn note_refused(&mut self, fault: Fault) {
        self.counts.stream_faults += 1;
        self.events.push_back(Event::Refused(fault));
    }

    fn note_rejected(&mut self, fault: Fault, status: u16) {
        self.counts.stream_faults += 1;
        self.events.push_back(Event::Rejected(fault, status));
    }

    /// Refuses a stream that has not come into being.
    fn refuse(&mut self, id: u32, fault: Fault) -> Result<(), Fault> {
        self.note_rejected(fault, 0);
        self.counts.glitches = self.counts.glitches.saturating_add(1);
        frame::reset(id, fault.code(), &mut self.out);
        self.remember_cancelled(id);
        self.spend_reset()
    }

    /// A stream's fault is its own; only too many of them end the connection.
    fn fail_stream(&mut self, key: Key, fault: Fault) -> Result<(), Fault> {
        self.note_refused(fault);
        self.counts.glitches = self.counts.glitches.saturating_add(1);
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok(());
        };
        if stream.is_closed() {
            stream.reset.get_or_insert_with(|| fault.code());
            frame::reset(key.id, fault.code(), &mut self.out);
            self.remember_cancelled(key.id);
        }
        self.cancel(key, fault.code());
        self.wake(key);
        self.spend_reset()
    }

    // ---- Other frames

    fn priority(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fault> {
        self.spend_idle()?;
        let fault = match payload.len() {
            5 if u32_at(payload) & NUMBER_MAX == head.stream => Fault::SelfDependency,
            5 => return Ok(()),
            _ => Fault::BadFrameLength,
        };
        match self.streams.find(head.stream) {
            Some(key) => self.fail_stream(key, fault),
            None if self.cancelled.contains(&head.stream) => Ok(()),
            None => self.refuse(head.stream, fault),
        }
    }

    fn peer_reset(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fault> {
        if self.is_unopened(head.stream) {
            return Err(Fault::BadStreamId);
        }
        let key = self.streams.find(head.stream);
        let Some(stream) = key.and_then(|key| self.streams.get_mut(key)) else {
            return self.spend_idle();
        };
        let is_complete = stream.local_done;
        stream.abandoned = true;
        if stream.reset.is_none() {
            stream.reset = Some(Code(u32_at(payload)));
        }
        if let Some(key) = key {
            self.wake(key);
        }
        if is_complete || self.role == Role::Client {
            return Ok(());
        }
        self.counts.cancelled += 1;
        self.spend_reset()
    }

    fn settings(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fault> {
        if head.has(flag::ACK) {
            self.decoder
                .set_size_limit(self.config.table_bytes as usize);
            return Ok(());
        }
        if self.settled {
            self.spend_idle()?;
        }
        self.settled = true;
        self.toil((payload.len() / UNIT_BYTES) as u32);
        let mut windows = None;
        for pair in payload.chunks_exact(6) {
            let value = u32_at(&pair[2..]);
            match u16::from_be_bytes([pair[0], pair[1]]) {
                setting::INITIAL_WINDOW_SIZE => {
                    let (_, largest) = windows.unwrap_or((value, value));
                    windows = Some((value, value.max(largest)));
                }
                setting => self.set(setting, value)?,
            }
        }
        if let Some((last, largest)) = windows {
            self.set_window(last, largest)?;
        }
        frame::settings_ack(&mut self.out);
        Ok(())
    }

    fn set(&mut self, setting: u16, value: u32) -> Result<(), Fault> {
        match setting {
            setting::HEADER_TABLE_SIZE => self.encoder.set_size_limit(value as usize),
            setting::ENABLE_PUSH if value > 1 || value == 1 && self.role == Role::Client => {
                return Err(Fault::BadSetting);
            }
            setting::MAX_CONCURRENT_STREAMS => self.peer_streams_max = value,
            setting::MAX_FRAME_SIZE => {
                let size = value as usize;
                if !(FRAME_BYTES_DEFAULT..=FRAME_BYTES_MAX).contains(&size) {
                    return Err(Fault::BadSetting);
                }
                self.peer_frame_bytes = size;
            }
            setting::ENABLE_CONNECT_PROTOCOL => {
                if value > 1 || self.peer_connects && value == 0 {
                    return Err(Fault::BadSetting);
                }
                self.peer_connects = value == 1;
            }
            _ => {}
        }
        Ok(())
    }

    /// The initial window changes those of open streams too, below zero perhaps (section 6.9.2). It is the last one of a
    /// frame that counts, and the largest that must not be too large: streams are gone through once, however many there are.
    fn set_window(&mut self, value: u32, largest: u32) -> Result<(), Fault> {
        if largest > NUMBER_MAX {
            return Err(Fault::BadWindowSetting);
        }
        let change = i64::from(value) - i64::from(self.peer_window);
        let excess = i64::from(largest) - i64::from(value);
        self.peer_window = value;
        for stream in self.streams.iter_mut() {
            stream.window_out += change;
            if stream.window_out + excess > i64::from(NUMBER_MAX) {
                return Err(Fault::BadWindowSetting);
            }
        }
        if change > 0 {
            self.wake_blocked();
        }
        Ok(())
    }

    fn pinged(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fault> {
        if head.has(flag::ACK) {
            return Ok(());
        }
        self.spend_idle()?;
        let payload = payload.first_chunk().ok_or(Fault::BadFrameLength)?;
        frame::ping(true, *payload, &mut self.out);
        Ok(())
    }

    fn peer_leaves(&mut self, payload: &[u8]) -> Result<(), Fault> {
        self.left = true;
        let last = u32_at(payload) & NUMBER_MAX;
        if self.role == Role::Client {
            let beyond = self
                .streams
                .iter_mut()
                .filter(|stream| stream.id > last && !stream.is_closed());
            for stream in beyond {
                stream.reset = Some(Code::REFUSED_STREAM);
                self.events.extend(stream.owner.map(Event::Wake));
            }
        }
        self.events.push_back(Event::GoAway);
        self.spend_idle()
    }

    fn window_update(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fault> {
        let increment = u32_at(payload) & NUMBER_MAX;
        if head.stream == 0 {
            return self.enlarge(increment);
        }
        if self.is_unopened(head.stream) {
            return Err(Fault::BadStreamId);
        }
        let Some(key) = self.streams.find(head.stream) else {
            return self.spend_idle();
        };
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok(());
        };
        stream.window_out += i64::from(increment);
        let fault = if increment == 0 {
            Fault::ZeroIncrement
        } else if stream.window_out > i64::from(NUMBER_MAX) {
            Fault::WindowOverflow
        } else {
            if std::mem::take(&mut stream.blocked) {
                self.wake(key);
            }
            return Ok(());
        };
        self.fail_stream(key, fault)
    }

    /// Enlarges the connection's own window.
    fn enlarge(&mut self, increment: u32) -> Result<(), Fault> {
        if increment == 0 {
            return Err(Fault::ZeroIncrement);
        }
        let was_shut = self.window_out <= 0;
        self.window_out += i64::from(increment);
        if self.window_out > i64::from(NUMBER_MAX) {
            return Err(Fault::WindowOverflow);
        }
        if was_shut && self.blocked {
            self.wake_blocked();
        }
        Ok(())
    }
}

/// What a frame has made of a block.
enum Piece<'a> {
    Whole(Block, &'a [u8]),
    More(Block),
    TooLong,
}

impl Block {
    /// The first frame: usually all of it, which then need not be copied.
    fn with(mut self, code: &[u8], bytes_max: usize, ended: bool) -> Piece<'_> {
        if ended {
            return Piece::Whole(self, code);
        }
        self.code.extend_from_slice(code);
        match self.is_too_long(bytes_max) {
            true => Piece::TooLong,
            false => Piece::More(self),
        }
    }

    /// Code is hardly ever longer than what it stands for; twice the limit of a head is no honest one.
    fn is_too_long(&self, bytes_max: usize) -> bool {
        self.pieces > BLOCK_PIECES_MAX
            || self.code.len() > bytes_max.saturating_mul(2).max(FRAME_BYTES_DEFAULT)
    }
}

fn u32_at(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}
