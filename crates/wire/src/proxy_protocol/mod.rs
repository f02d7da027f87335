//! The PROXY protocol: who the client of a relayed connection is, told in a header before its first byte.
//!
//! Version 1 is a line of text ([`v1`]), version 2 is binary and may carry more than addresses ([`v2`]):
//!
//! ```text
//! PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n
//!
//! \r\n\r\n\0\r\nQUIT\n │ 0x21 │ 0x11 │ length │ addresses and ports │ type length value │ ...
//!      signature        version  family  2 bytes    12, 36, 216 bytes    1    2      …
//!                       command
//! ```
//!
//! Whether a peer may be believed is not decided here.

mod crc32c;
pub mod v1;
pub mod v2;

use std::fmt;
use std::net::SocketAddr;

pub use v2::{Tlv, Tlvs};

/// Both ends of the connection that the sender accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

impl Endpoints {
    /// Both addresses in one family: if only one is IPv4, it is mapped into IPv6, since a header has room for one family.
    pub fn in_one_family(self) -> Self {
        if self.source.is_ipv4() == self.destination.is_ipv4() {
            return self;
        }
        Self {
            source: mapped(self.source),
            destination: mapped(self.destination),
        }
    }
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        v6 @ SocketAddr::V6(_) => v6,
    }
}

/// A header that has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// `None`: the sender speaks for itself (a health check) or cannot tell; the connection's own addresses count.
    pub endpoints: Option<Endpoints>,
    /// What else version 2 had to say.
    pub tlvs: Tlvs<'a>,
}

/// What parsing has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parse<'a> {
    /// So far nothing is wrong, but the header has not ended. Call again with more bytes.
    Partial,
    /// The header, and how many bytes it took; what follows is the client's.
    Complete(Header<'a>, usize),
}

/// Why a header is refused; the connection cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyError {
    /// The first bytes are neither version's.
    NotAHeader,
    /// A version 1 line without end within [`v1::LINE_BYTES_MAX`], or a version 2 header beyond
    /// [`v2::HEADER_BYTES_MAX`].
    TooLong,
    /// A protocol other than TCP4, TCP6 and UNKNOWN, or a family that does not exist.
    UnknownFamily,
    /// A command other than LOCAL and PROXY.
    UnknownCommand,
    InvalidAddress,
    InvalidPort,
    /// A version 1 line with missing or surplus words or spaces, or a bare line feed.
    InvalidLine,
    /// A version 2 header with less room than its addresses need.
    TooShort,
    /// A type-length-value field that does not fit the header, or whose value is malformed.
    InvalidTlv,
    /// The header's checksum is wrong.
    WrongChecksum,
}

impl ProxyError {
    /// A short stable name, for counters.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::NotAHeader => (
                "not_a_header",
                "the connection does not start with a PROXY protocol header",
            ),
            Self::TooLong => ("too_long", "the PROXY protocol header is too long"),
            Self::UnknownFamily => (
                "unknown_family",
                "the PROXY protocol header names an unknown address family",
            ),
            Self::UnknownCommand => (
                "unknown_command",
                "the PROXY protocol header contains an unknown command",
            ),
            Self::InvalidAddress => (
                "invalid_address",
                "the PROXY protocol header contains a malformed address",
            ),
            Self::InvalidPort => (
                "invalid_port",
                "the PROXY protocol header contains a malformed port",
            ),
            Self::InvalidLine => ("invalid_line", "the PROXY protocol line is malformed"),
            Self::TooShort => (
                "too_short",
                "the PROXY protocol header has no room for its addresses",
            ),
            Self::InvalidTlv => (
                "invalid_tlv",
                "the PROXY protocol header contains a malformed field",
            ),
            Self::WrongChecksum => (
                "wrong_checksum",
                "the PROXY protocol header's checksum is wrong",
            ),
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().1)
    }
}

impl std::error::Error for ProxyError {}

/// Parses a header of either version at the start of `input`.
///
/// A peer that does not speak the protocol is found out by its first wrong byte.
pub fn parse(input: &[u8]) -> Result<Parse<'_>, ProxyError> {
    match input.first() {
        None => Ok(Parse::Partial),
        Some(b'P') => v1::parse(input),
        Some(_) => v2::parse(input),
    }
}

/// Whether `input` starts as `prefix` does, as far as it goes.
fn agrees(input: &[u8], prefix: &[u8]) -> bool {
    input
        .iter()
        .zip(prefix)
        .all(|(known, expected)| known == expected)
}
