//! The machine: what a connection knows, and what its owner may ask of it.

use std::collections::VecDeque;

use super::budget::{self, Meter};
use super::error::{Code, Fault};
use super::frame::{self, FRAME_BYTES_DEFAULT, NUMBER_MAX, setting};
use super::hpack::{Decoder, Encoder, TABLE_BYTES_DEFAULT};
use super::receive::{Block, Data};
use super::streams::{Key, Streams};
use crate::h1::Limits;
use crate::head::Head;

/// Output beyond this is not added to by data: whoever sends waits until some of it has left.
pub(super) const OUTPUT_BYTES_MAX: usize = 65_536;

/// The window of a connection, and of its streams, until it is changed (section 6.9.2).
pub(super) const WINDOW_DEFAULT: u32 = 65_535;

/// Streams remembered after we have cancelled them: what is still on its way for them is no fault.
const CANCELLED_MAX: usize = 128;

/// A stream that waits for data keeps no more memory for it than this.
const DATA_KEEP_BYTES: usize = 4_096;

/// Which side of a connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Requests come in.
    Server,
    /// Requests go out.
    Client,
}

/// What we allow the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Streams open at once.
    pub streams_max: u32,
    /// Each stream's window.
    pub window_bytes: u32,
    /// The connection's window: no more unread data is held than this.
    pub connection_window_bytes: u32,
    /// What bodies of responses may have beyond their windows, all together, of the connection's.
    pub spare_bytes: u32,
    pub frame_bytes: u32,
    pub table_bytes: u32,
    /// Whether clients may ask for tunnels by extended CONNECT (RFC 8441), such as WebSockets.
    pub extended_connect: bool,
    /// What a head may look like.
    pub limits: Limits,
}

impl Default for Config {
    /// HAProxy's defaults, where it has them.
    fn default() -> Self {
        Self {
            streams_max: 100,
            window_bytes: 65_536,
            connection_window_bytes: 1 << 20,
            spare_bytes: 0,
            frame_bytes: FRAME_BYTES_DEFAULT as u32,
            table_bytes: TABLE_BYTES_DEFAULT as u32,
            extended_connect: true,
            limits: Limits::default(),
        }
    }
}

/// News for the connection's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<T> {
    /// A request has come in: take it with [`Connection::take_head`], and [`Connection::release`] the stream in the end.
    Request(Key),
    /// Something has changed on this owner's stream.
    Wake(T),
    /// The peer takes no new streams.
    GoAway,
    /// The peer did this on one of its streams, which was refused or cancelled.
    Refused(Fault),
    /// The same, before there was a stream: it was answered with this status, or reset (0).
    Rejected(Fault, u16),
}

/// What reading a stream's data came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes; `end`: nothing but trailers can follow.
    Data { bytes: usize, end: bool },
    /// Nothing is there yet.
    Pending,
    /// The stream was cancelled.
    Reset(Code),
}

/// What a connection has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Streams opened.
    pub streams: u64,
    /// Streams cancelled by the peer before they were complete.
    pub cancelled: u64,
    /// Streams refused or cancelled for what the peer did on them.
    pub stream_faults: u64,
    /// Oddities of the peer, each of which ended no more than a stream.
    pub glitches: u32,
    /// Frames that did nothing.
    pub idle_frames: u64,
    pub frames: u64,
}

/// One HTTP/2 connection. `T` is what the owner needs to be reminded of a stream.
#[derive(Debug)]
pub struct Connection<T> {
    pub(super) role: Role,
    pub(super) config: Config,
    // -- receiving
    /// How much of the preface is still to come.
    pub(super) preface_left: usize,
    /// The peer's first `SETTINGS` has arrived.
    pub(super) settled: bool,
    /// Part of a frame.
    pub(super) carry: Vec<u8>,
    /// The `DATA` frame whose payload is being received.
    pub(super) data: Option<Data>,
    /// The header block being received.
    pub(super) block: Option<Block>,
    pub(super) decoder: Decoder,
    /// What the peer may still send, over all streams, and what was read since it was last told.
    pub(super) window_in: i64,
    pub(super) unreported: u32,
    /// What is left of the spare bytes.
    pub(super) spare: u32,
    // -- sending
    pub(super) encoder: Encoder,
    pub(super) out: Vec<u8>,
    pub(super) window_out: i64,
    /// Streams wait for the connection's window, or for room in the output.
    pub(super) blocked: bool,
    /// The slot of the stream that comes first when they are woken.
    pub(super) first_woken: usize,
    pub(super) peer_window: u32,
    pub(super) peer_frame_bytes: usize,
    pub(super) peer_streams_max: u32,
    pub(super) peer_connects: bool,
    // -- streams
    pub(super) streams: Streams<T>,
    /// The last stream that the peer has opened.
    pub(super) peer_last: u32,
    /// The next stream that we open.
    pub(super) own_next: u32,
    /// Ours, lately cancelled by us.
    pub(super) cancelled: VecDeque<u32>,
    /// `GOAWAY` was sent: later streams are not taken.
    pub(super) leaving: bool,
    /// `GOAWAY` was received.
    pub(super) left: bool,
    /// The peer has ended its side of the transport.
    pub(super) input_ended: bool,
    pub(super) fault: Option<Fault>,
    // -- budgets
    pub(super) resets: Meter,
    pub(super) idle_frames: Meter,
    pub(super) now_ms: u64,
    /// Units of work done since bytes were last handed over.
    pub(super) work: u32,
    pub(super) counts: Counts,
    pub(super) events: VecDeque<Event<T>>,
}

impl<T: Copy> Connection<T> {
    /// A new connection, whose preface is ready to be sent.
    pub fn new(role: Role, config: Config) -> Self {
        let mut connection = Self {
            role,
            config,
            preface_left: match role {
                Role::Server => frame::PREFACE.len(),
                Role::Client => 0,
            },
            settled: false,
            carry: Vec::new(),
            data: None,
            block: None,
            decoder: Decoder::default(),
            window_in: i64::from(WINDOW_DEFAULT),
            unreported: 0,
            spare: config.spare_bytes,
            encoder: Encoder::default(),
            out: Vec::new(),
            window_out: i64::from(WINDOW_DEFAULT),
            blocked: false,
            first_woken: 0,
            peer_window: WINDOW_DEFAULT,
            peer_frame_bytes: FRAME_BYTES_DEFAULT,
            peer_streams_max: u32::MAX,
            peer_connects: false,
            streams: Streams::default(),
            peer_last: 0,
            own_next: 1,
            cancelled: VecDeque::new(),
            leaving: false,
            input_ended: false,
            left: false,
            fault: None,
            resets: Meter::default(),
            idle_frames: Meter::default(),
            now_ms: 0,
            work: 0,
            counts: Counts::default(),
            events: VecDeque::new(),
        };
        connection.greet();
        connection
    }

    /// The client's preface, our settings, and the connection's window.
    fn greet(&mut self) {
        let config = &self.config;
        let mut pairs = [(0, 0); 6];
        let mut count = 0;
        let mut say = |setting, value| {
            pairs[count] = (setting, value);
            count += 1;
        };
        match self.role {
            Role::Server => {
                say(setting::MAX_CONCURRENT_STREAMS, config.streams_max);
                if config.extended_connect {
                    say(setting::ENABLE_CONNECT_PROTOCOL, 1);
                }
            }
            Role::Client => {
                self.out.extend_from_slice(frame::PREFACE);
                say(setting::ENABLE_PUSH, 0);
            }
        }
        say(
            setting::MAX_HEADER_LIST_SIZE,
            config.limits.bytes_max.try_into().unwrap_or(u32::MAX),
        );
        for (setting, value, usual) in [
            (
                setting::INITIAL_WINDOW_SIZE,
                config.window_bytes,
                WINDOW_DEFAULT,
            ),
            (
                setting::MAX_FRAME_SIZE,
                config.frame_bytes,
                FRAME_BYTES_DEFAULT as u32,
            ),
            (
                setting::HEADER_TABLE_SIZE,
                config.table_bytes,
                TABLE_BYTES_DEFAULT as u32,
            ),
        ] {
            if value != usual {
                say(setting, value);
            }
        }
        frame::settings(&pairs[..count], &mut self.out);
        // Told with the first data that is read: few connections receive so much.
        let window = config.connection_window_bytes.min(NUMBER_MAX);
        self.unreported = window.saturating_sub(WINDOW_DEFAULT);
    }

    /// The next of the news that [`receive`](Self::receive) brought.
    pub fn next_event(&mut self) -> Option<Event<T>> {
        let event = self.events.pop_front();
        if event.is_none() && self.events.capacity() > 0 && self.streams.len() == 0 {
            self.events = VecDeque::new();
        }
        event
    }

    /// Whom to remind of this stream.
    pub fn set_owner(&mut self, key: Key, owner: T) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.owner = Some(owner);
        }
    }

    /// The next head on this stream that has not been taken: a request, a response, or an interim one.
    pub fn take_head(&mut self, key: Key) -> Option<Head> {
        let stream = self.streams.get_mut(key)?;
        let head = stream.head.take()?;
        stream.head = stream.more_heads.pop_front();
        Some(head)
    }

    /// Reads data into `buffer`, and lets the peer send as much again.
    pub fn read(&mut self, key: Key, buffer: &mut [u8]) -> Read {
        let Some(stream) = self.streams.get_mut(key) else {
            return Read::Reset(Code::CANCEL);
        };
        let bytes = stream.unread().min(buffer.len());
        // A message that is complete stays so, even if its sender wants nothing more to do with the stream.
        let end = stream.remote_done && bytes == stream.unread();
        if bytes == 0 && !end {
            return stream.reset.map_or(Read::Pending, Read::Reset);
        }
        buffer[..bytes].copy_from_slice(&stream.data[stream.read..stream.read + bytes]);
        stream.read += bytes;
        if stream.read == stream.data.len() {
            stream.read = 0;
            stream.data.clear();
            if stream.remote_done || stream.data.capacity() > DATA_KEEP_BYTES {
                stream.data = Vec::new();
            }
        }
        self.credit(Some(key), bytes as u32);
        Read::Data { bytes, end }
    }

    /// Takes the trailers, once the data has been read to its end.
    pub fn take_trailers(&mut self, key: Key) -> Option<Box<Head>> {
        let stream = self.streams.get_mut(key)?;
        match stream.remote_done && stream.unread() == 0 {
            true => stream.trailers.take(),
            false => None,
        }
    }

    /// Bytes that were received are done with: the peer may send as many more, and is told when it is worth a frame.
    pub(super) fn credit(&mut self, key: Option<Key>, bytes: u32) {
        self.unreported += bytes;
        if self.unreported >= self.config.connection_window_bytes.max(WINDOW_DEFAULT) / 2 {
            frame::window_update(0, self.unreported, &mut self.out);
            self.window_in += i64::from(std::mem::take(&mut self.unreported));
        }
        let Some(stream) = key.and_then(|key| self.streams.get_mut(key)) else {
            return;
        };
        stream.unreported += bytes;
        let is_due = stream.unreported >= self.config.window_bytes / 2;
        if is_due && !stream.remote_done && stream.reset.is_none() {
            frame::window_update(stream.id, stream.unreported, &mut self.out);
            stream.window_in += i64::from(std::mem::take(&mut stream.unreported));
        }
    }

    /// Whether the peer has cancelled the stream, and why.
    pub fn reset_code(&self, key: Key) -> Option<Code> {
        match self.streams.get(key) {
            Some(stream) => stream.reset,
            None => Some(Code::CANCEL),
        }
    }

    /// The code that the peer has sent to cancel the stream.
    pub fn received_reset(&self, key: Key) -> Option<Code> {
        let stream = self.streams.get(key)?;
        stream.reset.filter(|_| stream.abandoned)
    }

    /// Whether the peer has ended its side of the stream and all of it has been read.
    pub fn is_read_out(&self, key: Key) -> bool {
        self.streams
            .get(key)
            .is_none_or(|stream| stream.remote_done && stream.unread() == 0)
    }

    /// The stream's owner has no more use for it. What is not complete is cancelled.
    pub fn release(&mut self, key: Key) {
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        if !stream.is_closed() {
            // RFC 9113 section 8.1: a complete response may leave the rest of its request unwanted.
            let code = match (self.role, stream.local_done) {
                (Role::Server, true) => Code::NO_ERROR,
                _ => Code::CANCEL,
            };
            self.cancel(key, code);
        }
        if let Some(stream) = self.streams.remove(key) {
            self.spare += stream.widened;
            let unread = stream.unread() as u32;
            if unread > 0 {
                self.credit(None, unread);
            }
        }
    }

    /// Cancels a stream; its owner still has to [`release`](Self::release) it.
    pub fn cancel(&mut self, key: Key, code: Code) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if stream.is_closed() {
            return;
        }
        stream.reset = Some(code);
        frame::reset(key.id, code, &mut self.out);
        self.remember_cancelled(key.id);
    }

    pub(super) fn remember_cancelled(&mut self, id: u32) {
        if self.cancelled.len() >= CANCELLED_MAX {
            self.cancelled.pop_front();
        }
        self.cancelled.push_back(id);
    }

    /// Takes no more streams from the peer; those that are open go on.
    pub fn leave(&mut self) {
        if !std::mem::replace(&mut self.leaving, true) && self.fault.is_none() {
            frame::go_away(self.peer_last, Code::NO_ERROR, &mut self.out);
        }
    }

    /// Asks for a sign of life.
    pub fn ping(&mut self) {
        frame::ping(false, *b"plimsoll", &mut self.out);
    }

    /// What has to be sent, all at once. Keep what the transport does not take, and hand the buffer back empty.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Something was taken from the output: whoever waits for room there is reminded.
    pub fn output_taken(&mut self) {
        if self.blocked && self.out.len() < OUTPUT_BYTES_MAX && self.window_out > 0 {
            self.wake_blocked();
        }
    }

    /// Whether the output is so long that nothing more should be received before some of it has left.
    pub fn is_congested(&self) -> bool {
        self.out.len() >= OUTPUT_BYTES_MAX
    }

    /// Streams that their owners still hold.
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// How many streams may be open at a time: what this side says to clients, and what both sides want of servers.
    pub fn streams_max(&self) -> u32 {
        match self.role {
            Role::Server => self.config.streams_max,
            Role::Client => self.config.streams_max.min(self.peer_streams_max),
        }
    }

    /// How many more streams can be opened from this side.
    pub fn capacity(&self) -> usize {
        if self.left || self.leaving || self.fault.is_some() || self.own_next > NUMBER_MAX {
            return 0;
        }
        let most = self.peer_streams_max.min(self.config.streams_max) as usize;
        most.saturating_sub(self.streams.len())
    }

    /// Whether the peer has said what it allows.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether the peer understands extended CONNECT (RFC 8441).
    pub fn peer_connects(&self) -> bool {
        self.peer_connects
    }

    /// Whether part of a frame has arrived.
    pub fn is_within_frame(&self) -> bool {
        !self.carry.is_empty() || self.data.is_some() || self.block.is_some()
    }

    /// Whether either side has said that it takes no more streams.
    pub fn is_leaving(&self) -> bool {
        self.leaving || self.left || self.fault.is_some()
    }

    /// What ended the connection.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// What the connection has seen so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn wake(&mut self, key: Key) {
        if let Some(owner) = self.streams.get(key).and_then(|stream| stream.owner) {
            self.events.push_back(Event::Wake(owner));
        }
    }

    /// Wakes all that could not send, each time another one first: the first may take all that there is.
    pub(super) fn wake_blocked(&mut self) {
        self.blocked = false;
        let mut first = None;
        for (slot, stream) in self.streams.rotated_mut(self.first_woken) {
            if !std::mem::take(&mut stream.blocked) {
                continue;
            }
            first.get_or_insert(slot);
            self.events.extend(stream.owner.map(Event::Wake));
        }
        self.first_woken = first.map_or(0, |slot| slot + 1);
    }

    /// A stream was cancelled, or we were made to cancel one.
    pub(super) fn spend_reset(&mut self) -> Result<(), Fault> {
        self.toil(budget::RESET_UNITS);
        match self.resets.spend(budget::RESETS, self.now_ms) {
            true => Ok(()),
            false => Err(Fault::TooManyResets),
        }
    }

    /// A frame did nothing.
    pub(super) fn spend_idle(&mut self) -> Result<(), Fault> {
        self.counts.idle_frames += 1;
        match self.idle_frames.spend(budget::IDLE_FRAMES, self.now_ms) {
            true => Ok(()),
            false => Err(Fault::TooManyIdleFrames),
        }
    }

    /// The connection has failed: every stream is told, and so is the peer.
    pub(super) fn fail(&mut self, fault: Fault) -> Fault {
        if self.fault.is_none() {
            self.fault = Some(fault);
            frame::go_away(self.peer_last, fault.code(), &mut self.out);
            self.end_streams(fault.code());
        }
        fault
    }

    /// The peer has ended its side of the transport: what is not complete never will be, what is may still be answered.
    pub fn end_input(&mut self) {
        self.input_ended = true;
        for stream in self.streams.iter_mut().filter(|stream| !stream.is_closed()) {
            if !stream.remote_done {
                stream.reset = Some(Code::CANCEL);
            }
            self.events.extend(stream.owner.map(Event::Wake));
        }
    }

    /// Whether the peer has ended its side of the transport.
    pub fn has_input_ended(&self) -> bool {
        self.input_ended
    }

    /// The transport has ended: every open stream is told.
    pub fn close(&mut self) {
        self.left = true;
        self.end_streams(Code::CANCEL);
    }

    fn end_streams(&mut self, code: Code) {
        for stream in self.streams.iter_mut().filter(|stream| !stream.is_closed()) {
            stream.reset = Some(code);
            self.events.extend(stream.owner.map(Event::Wake));
        }
    }
}
