//! Bodies (RFC 9112 sections 6 and 7): where they end, and what of the bytes is payload.
//!
//! A [`Decoder`] looks at the bytes in the buffer they were read into and moves payload only to close the gaps that
//! chunk heads leave:
//!
//! ```text
//! read     4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\nGET /next
//! decoded     WikipediaA\r\npedia\r\n0\r\n\r\nGET /next
//!             └payload┘                  └ from here on: the next message
//! ```

use std::fmt;
use std::ops::Range;

use super::HeadError;
use super::encode;
use super::scan::{Scan, Stop};
use crate::head::{FieldKind, Framing, Head};

/// Most hexadecimal digits of a chunk's size, leading zeros included.
pub const CHUNK_SIZE_DIGITS_MAX: u8 = 16;
/// Largest chunk: what every language's numbers can hold exactly. HAProxy has the same limit.
pub const CHUNK_BYTES_MAX: u64 = (1 << 52) - 1;
/// Most bytes of one chunk's extensions. They are not forwarded.
pub const CHUNK_EXTENSION_BYTES_MAX: u16 = 1_024;
/// Most bytes of all trailer fields.
pub const TRAILER_BYTES_MAX: usize = 8_192;
/// Most trailer fields.
pub const TRAILER_FIELDS_MAX: usize = 64;

/// A fault in a body's framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyError {
    /// A chunk's size is missing or contains something other than hexadecimal digits.
    InvalidChunkSize,
    /// A chunk's size exceeds [`CHUNK_BYTES_MAX`] or [`CHUNK_SIZE_DIGITS_MAX`].
    ChunkTooLarge,
    /// A chunk extension contains a control byte or an open quotation.
    InvalidChunkExtension,
    /// A chunk's extensions exceed [`CHUNK_EXTENSION_BYTES_MAX`].
    ChunkExtensionTooLong,
    /// CR LF is missing behind a chunk's size or data.
    MissingLineEnd,
    /// A trailer field is malformed.
    Trailer(HeadError),
}

impl BodyError {
    /// A short stable name, for counters.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::InvalidChunkSize => (
                "invalid_chunk_size",
                "a chunk's size is not a hexadecimal number",
            ),
            Self::ChunkTooLarge => ("chunk_too_large", "a chunk's size is beyond all reason"),
            Self::InvalidChunkExtension => {
                ("invalid_chunk_extension", "a chunk extension is malformed")
            }
            Self::ChunkExtensionTooLong => {
                ("chunk_extension_too_long", "a chunk extension is too long")
            }
            Self::MissingLineEnd => ("missing_line_end", "a chunk is not followed by a line end"),
            Self::Trailer(_) => ("trailer", "a trailer field is malformed"),
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trailer(error) => write!(f, "in the trailers: {error}"),
            _ => f.write_str(self.row().1),
        }
    }
}

impl std::error::Error for BodyError {}

/// Where [`Decoder::decode`] gave a buffer up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    pub error: BodyError,
    /// The byte at fault.
    pub at: usize,
    /// From here on the bytes lie as they were received: payload before it may have been moved.
    pub intact_from: usize,
}

impl From<Broken> for BodyError {
    fn from(broken: Broken) -> Self {
        broken.error
    }
}

/// What [`Decoder::decode`] found in a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Where the payload lies now.
    pub payload: Range<usize>,
    /// How many bytes belong to this body; less than the buffer only when the body is done.
    pub consumed: usize,
    /// The body has ended.
    pub done: bool,
}

/// Follows a body to its end, across any number of buffers. The default one has ended already.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    trailers: Option<Box<Head>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Done,
    Length(u64),
    UntilClose,
    /// In a chunk's size, after this many digits.
    Size {
        size: u64,
        digits: u8,
    },
    /// In the extensions of a chunk.
    Extension {
        size: u64,
        length: u16,
        quote: Quote,
    },
    /// Behind the CR that ends a chunk's head.
    SizeLineFeed {
        size: u64,
    },
    Data(u64),
    DataCarriageReturn,
    DataLineFeed,
    /// In the trailers: raw lines are gathered in the trailers' arena. `line` is where the present one starts.
    Trailers {
        line: usize,
    },
}

/// Where in a quoted string of an extension we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quote {
    Outside,
    Inside,
    Escaped,
}

impl Decoder {
    /// A decoder for a body that is framed so.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size { size: 0, digits: 0 },
            Framing::UntilClose => State::UntilClose,
        };
        Self {
            state,
            trailers: None,
        }
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the end of the connection is the body's regular end.
    pub fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// How many bytes are certainly still to come before the next thing to look at: what may be spliced.
    pub fn bytes_ahead(&self) -> u64 {
        match self.state {
            State::Length(length) | State::Data(length) => length,
            State::UntilClose => u64::MAX,
            _ => 0,
        }
    }

    /// Takes note of payload that went by without [`decode`](Self::decode), at most [`bytes_ahead`](Self::bytes_ahead).
    pub fn skip(&mut self, bytes: u64) {
        self.state = match self.state {
            State::Length(length) if bytes < length => State::Length(length - bytes),
            State::Length(_) => State::Done,
            State::Data(length) if bytes < length => State::Data(length - bytes),
            State::Data(_) => State::DataCarriageReturn,
            state => state,
        };
    }

    /// The trailer fields, once the body is done, if there are any.
    ///
    /// Fields that would frame, route or govern the connection are dropped (RFC 9110 section 6.5.1).
    pub fn trailers(&self) -> Option<&Head> {
        self.trailers.as_deref().filter(|_| self.is_done())
    }

    /// Takes in the bytes just read.
    ///
    /// # Errors
    /// When the framing is broken. The decoder is of no use any more.
    pub fn decode(&mut self, buffer: &mut [u8]) -> Result<Decoded, Broken> {
        let length = buffer.len();
        match self.state {
            State::Done => Ok(Decoded {
                payload: 0..0,
                consumed: 0,
                done: true,
            }),
            State::UntilClose => Ok(Decoded {
                payload: 0..length,
                consumed: length,
                done: false,
            }),
            State::Length(left) => {
                let taken = usize::try_from(left).map_or(length, |left| left.min(length));
                self.skip(taken as u64);
                Ok(Decoded {
                    payload: 0..taken,
                    consumed: taken,
                    done: self.is_done(),
                })
            }
            _ => self.decode_chunks(buffer),
        }
    }

    fn decode_chunks(&mut self, buffer: &mut [u8]) -> Result<Decoded, Broken> {
        let mut payload = 0..0;
        let (mut at, mut intact_from) = (0, 0);
        while at < buffer.len() && self.state != State::Done {
            match self.state {
                State::Data(left) => {
                    let available = buffer.len() - at;
                    let taken = usize::try_from(left).map_or(available, |left| left.min(available));
                    if payload.is_empty() {
                        payload = at..at;
                    } else {
                        buffer.copy_within(at..at + taken, payload.end);
                        intact_from = payload.end + taken;
                    }
                    payload.end += taken;
                    self.skip(taken as u64);
                    at += taken;
                }
                state => {
                    let stepped = match state {
                        State::Trailers { line } => self.gather(&buffer[at..], line),
                        _ => self.step(buffer[at]).map(|next| {
                            self.state = next;
                            1
                        }),
                    };
                    at += stepped.map_err(|error| Broken {
                        error,
                        at,
                        intact_from,
                    })?;
                }
            }
        }
        Ok(Decoded {
            payload,
            consumed: at,
            done: self.is_done(),
        })
    }

    /// One byte of a chunk's head or end.
    fn step(&mut self, byte: u8) -> Result<State, BodyError> {
        match (self.state, byte) {
            (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                let size = size << 4 | u64::from((byte as char).to_digit(16).unwrap_or_default());
                if digits == CHUNK_SIZE_DIGITS_MAX || size > CHUNK_BYTES_MAX {
                    return Err(BodyError::ChunkTooLarge);
                }
                Ok(State::Size {
                    size,
                    digits: digits + 1,
                })
            }
            (State::Size { digits: 0, .. }, _) => Err(BodyError::InvalidChunkSize),
            (State::Size { size, .. }, b'\r') => Ok(State::SizeLineFeed { size }),
            (State::Size { size, .. }, b';') => Ok(State::Extension {
                size,
                length: 0,
                quote: Quote::Outside,
            }),
            (State::Size { .. }, b'\n') => Err(BodyError::MissingLineEnd),
            (State::Size { .. }, _) => Err(BodyError::InvalidChunkSize),
            (
                State::Extension {
                    size,
                    quote: Quote::Outside,
                    ..
                },
                b'\r',
            ) => Ok(State::SizeLineFeed { size }),
            (
                State::Extension {
                    size,
                    length,
                    quote,
                },
                _,
            ) => {
                if length == CHUNK_EXTENSION_BYTES_MAX {
                    return Err(BodyError::ChunkExtensionTooLong);
                }
                Ok(State::Extension {
                    size,
                    length: length + 1,
                    quote: quote.after(byte)?,
                })
            }
            (State::SizeLineFeed { size: 0 }, b'\n') => Ok(State::Trailers { line: 0 }),
            (State::SizeLineFeed { size }, b'\n') => Ok(State::Data(size)),
            (State::DataCarriageReturn, b'\r') => Ok(State::DataLineFeed),
            (State::DataLineFeed, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            _ => Err(BodyError::MissingLineEnd),
        }
    }

    /// Gathers trailer lines up to the empty one; returns how many bytes were taken.
    fn gather(&mut self, bytes: &[u8], line: usize) -> Result<usize, BodyError> {
        if line == 0 && self.trailers.is_none() && bytes.starts_with(b"\r\n") {
            self.state = State::Done; // nearly always
            return Ok(2);
        }
        let taken = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
        let head = self.trailers.get_or_insert_default();
        if head.arena.len() + taken > TRAILER_BYTES_MAX {
            return Err(BodyError::Trailer(HeadError::TooLong));
        }
        head.arena.extend_from_slice(&bytes[..taken]);
        if !head.arena.ends_with(b"\n") {
            return Ok(taken);
        }
        if matches!(&head.arena[line..], b"\r\n" | b"\n") {
            read_trailers(head)?;
            if head.fields.is_empty() {
                self.trailers = None;
            }
            self.state = State::Done;
        } else {
            self.state = State::Trailers {
                line: head.arena.len(),
            };
        }
        Ok(taken)
    }
}

impl Quote {
    fn after(self, byte: u8) -> Result<Self, BodyError> {
        if byte.is_ascii_control() && byte != b'\t' {
            return Err(BodyError::InvalidChunkExtension);
        }
        match (self, byte) {
            (Self::Outside, b'\\') => Err(BodyError::InvalidChunkExtension),
            (Self::Outside, b'"') | (Self::Escaped, _) => Ok(Self::Inside),
            (Self::Outside, _) | (Self::Inside, b'"') => Ok(Self::Outside),
            (Self::Inside, b'\\') => Ok(Self::Escaped),
            (Self::Inside, _) => Ok(Self::Inside),
        }
    }
}

/// Reads the lines gathered in the arena into fields.
fn read_trailers(head: &mut Head) -> Result<(), BodyError> {
    let mut scan = Scan {
        bytes: &mut head.arena,
        at: 0,
        lenient: false,
    };
    scan.fields(&mut head.fields, TRAILER_FIELDS_MAX)
        .map_err(|stop| match stop {
            Stop::Refused(error) => BodyError::Trailer(error),
            Stop::OutOfBytes => BodyError::MissingLineEnd,
        })?;
    head.fields.retain(|field| field.kind == FieldKind::Other);
    Ok(())
}

/// Appends what precedes a chunk's data: its size and a line end. Behind the data goes another line end.
///
/// An empty chunk would end the body; say so with [`last_chunk`].
pub fn chunk_head(bytes: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(ChunkHead::of(bytes).as_bytes());
}

/// A chunk's head, written out: for callers that hand several slices to one `writev`.
#[derive(Clone, Copy, Debug)]
pub struct ChunkHead {
    bytes: [u8; 18],
    start: u8,
}

impl ChunkHead {
    /// The head of a chunk of this many bytes.
    pub fn of(bytes: usize) -> Self {
        let mut left = bytes;
        let mut start = 16;
        let mut text = *b"0000000000000000\r\n";
        while left > 0 {
            start -= 1;
            text[start] = b"0123456789abcdef"[left & 0xf];
            left >>= 4;
        }
        Self {
            bytes: text,
            start: start.min(15) as u8,
        }
    }

    /// The size in hexadecimal digits, and a line end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start as usize..]
    }
}

/// Appends the chunk that ends a body, with trailer fields if there are any.
pub fn last_chunk(trailers: Option<&Head>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(head) = trailers {
        encode::plain_fields(head, out);
    }
    out.extend_from_slice(b"\r\n");
}
