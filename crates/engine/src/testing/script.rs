//! What an origin is to do with a request, written into the request's own target.
//!
//! `/chunked/17/5000/0` asks for the 5,000 bytes that belong to the number 17, in chunks. The client that wrote the
//! target therefore knows what it may get, and no response can pass for another's.

use std::fmt;

/// How an origin answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// With a length.
    Fixed,
    Chunked,
    /// In three chunks.
    LongChunks,
    /// In chunks, with a trailer behind them.
    Trailers,
    /// As [`Fixed`](Self::Fixed), but not at once: the first request finds the connection closed, the second one gets a 503.
    Again,
    /// The end of the connection is the end of the body.
    UntilClose,
    /// With a length, in pieces with pauses.
    Slow,
    /// 204.
    NoContent,
    /// 103 before the response.
    Interim,
    /// Chunk by chunk what is uploaded, while it is.
    Echo,
    /// Before it has read what is uploaded.
    Early,
    /// And closes at once, though it has promised to stay.
    CloseAfter,
    /// And closes after `at` microseconds of rest.
    CloseLate,
    /// Only the first `at` bytes, then a reset.
    ResetAt,
    /// Only the first `at` bytes, then an end.
    CloseAt,
    /// Not in HTTP.
    Garbage,
    /// In chunks that are none.
    JunkChunks,
    /// Only the first `at` bytes, then nothing for long.
    StallAt,
    /// Never.
    Silent,
}

impl Kind {
    const ALL: [(Self, &str); 19] = [
        (Self::Fixed, "fixed"),
        (Self::Chunked, "chunked"),
        (Self::LongChunks, "long-chunks"),
        (Self::Trailers, "trailers"),
        (Self::Again, "again"),
        (Self::UntilClose, "until-close"),
        (Self::Slow, "slow"),
        (Self::NoContent, "no-content"),
        (Self::Interim, "interim"),
        (Self::Echo, "echo"),
        (Self::Early, "early"),
        (Self::CloseAfter, "close-after"),
        (Self::CloseLate, "close-late"),
        (Self::ResetAt, "reset-at"),
        (Self::CloseAt, "close-at"),
        (Self::Garbage, "garbage"),
        (Self::JunkChunks, "junk-chunks"),
        (Self::StallAt, "stall-at"),
        (Self::Silent, "silent"),
    ];

    /// The origin does what it promises, so that its response arrives whole.
    pub(super) fn is_honest(self) -> bool {
        !matches!(
            self,
            Self::ResetAt
                | Self::CloseAt
                | Self::Garbage
                | Self::JunkChunks
                | Self::StallAt
                | Self::Silent
        )
    }
}

/// One request's script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) kind: Kind,
    /// Tells this request from all others, and its bytes too.
    pub(super) id: u32,
    /// Bytes of the response's body.
    pub(super) length: usize,
    /// Where or when it happens, as the kind says.
    pub(super) at: usize,
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, name) = Kind::ALL
            .iter()
            .find(|(kind, _)| *kind == self.kind)
            .expect("listed");
        write!(f, "/{name}/{}/{}/{}", self.id, self.length, self.at)
    }
}

impl Script {
    /// The script of a target that a client of ours wrote.
    ///
    /// # Panics
    ///
    /// When it is anything else: then the proxy has changed it.
    pub(super) fn parse(target: &str) -> Self {
        let parts: Vec<&str> = target.split('/').collect();
        let ["", name, id, length, at] = parts[..] else {
            panic!("{target} is no script");
        };
        let (kind, _) = Kind::ALL
            .iter()
            .find(|(_, known)| *known == name)
            .expect(target);
        Self {
            kind: *kind,
            id: id.parse().expect(target),
            length: length.parse().expect(target),
            at: at.parse().expect(target),
        }
    }

    pub(super) fn body(&self) -> Vec<u8> {
        bytes_of(self.id, self.length)
    }

    /// The answer of a server that asks for patience.
    pub(super) fn unavailable(&self) -> Vec<u8> {
        let id = self.id;
        let head = format!("HTTP/1.1 503 Later\r\nX-Script: {id}\r\nContent-Length: 0\r\n\r\n");
        head.into_bytes()
    }

    /// The whole response, as an origin writes it that waits for nothing; `head_only` when a HEAD asked.
    pub(super) fn response(&self, head_only: bool) -> Vec<u8> {
        let (id, length) = (self.id, self.length);
        let body = if head_only { Vec::new() } else { self.body() };
        let head = |status: &str, framing: &str| {
            format!("HTTP/1.1 {status}\r\nX-Script: {id}\r\n{framing}\r\n").into_bytes()
        };
        match self.kind {
            Kind::NoContent => head("204 No Content", ""),
            // With nothing behind the head, nothing else would say that the connection ends.
            Kind::UntilClose if head_only => head("200 OK", "Connection: close\r\n"),
            Kind::UntilClose => [head("200 OK", ""), body].concat(),
            Kind::LongChunks => {
                let mut all = head("200 OK", "Transfer-Encoding: chunked\r\n");
                if !head_only {
                    all.extend(body.chunks(1 + body.len() / 3).flat_map(chunk));
                    all.extend(last_chunk(None));
                }
                all
            }
            Kind::Chunked | Kind::Trailers | Kind::Echo => {
                let mut all = head("200 OK", "Transfer-Encoding: chunked\r\n");
                if !head_only {
                    // Of many sizes, so that borders fall everywhere.
                    let mut rest = &body[..];
                    while !rest.is_empty() {
                        let (piece, behind) = rest.split_at(rest.len().min(1 + rest.len() / 3));
                        all.extend(chunk(piece));
                        rest = behind;
                    }
                    all.extend(last_chunk((self.kind == Kind::Trailers).then_some(id)));
                }
                all
            }
            Kind::JunkChunks => {
                let mut all = head("200 OK", "Transfer-Encoding: chunked\r\n");
                all.extend(chunk(&body));
                all.extend(b"pears\r\n\r\n");
                all
            }
            Kind::Garbage => GARBAGE[id as usize % GARBAGE.len()].to_vec(),
            Kind::Interim => {
                let mut all = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n".to_vec();
                all.extend(head("200 OK", &format!("Content-Length: {length}\r\n")));
                all.extend(body);
                all
            }
            _ => [
                head("200 OK", &format!("Content-Length: {length}\r\n")),
                body,
            ]
            .concat(),
        }
    }
}

/// Heads that no proxy may pass on.
const GARBAGE: &[&[u8]] = &[
    b"\x16\x03\x01\x00\x05hello to you too\r\n\r\n",
    b"HTTP/1.1 2OO OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nBad Name: 1\r\nContent-Length: 0\r\n\r\n",
];

/// One chunk with its framing.
pub(super) fn chunk(piece: &[u8]) -> Vec<u8> {
    let mut all = format!("{:x}\r\n", piece.len()).into_bytes();
    all.extend_from_slice(piece);
    all.extend_from_slice(b"\r\n");
    all
}

/// What ends a body in chunks; with a trailer that names `id`.
pub(super) fn last_chunk(id: Option<u32>) -> Vec<u8> {
    let trailer = id.map_or(String::new(), |id| format!("X-Trailer: {id}\r\n"));
    format!("0\r\n{trailer}\r\n").into_bytes()
}

/// The number whose bytes are uploaded with request `id`.
pub(super) fn upload_id(id: u32) -> u32 {
    id | 1 << 31
}

/// The first `length` bytes that belong to `id`; every eight of them tell whose they are, and where they belong.
pub(super) fn bytes_of(id: u32, length: usize) -> Vec<u8> {
    let blocks = (0..length.div_ceil(8) as u64).flat_map(|block| {
        let mut mixed = (u64::from(id) << 32 | block).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^= mixed >> 29;
        mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes()
    });
    blocks.take(length).collect()
}
