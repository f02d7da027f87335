//! Response heads (RFC 9112 section 4), read with the same suspicion as requests.

use std::fmt;

use super::framing::{self, Kinds, Said};
use super::scan::{self, Scan, Stop};
use super::{HeadError, Limits};
use crate::head::{FieldKind, Framing, Head, Slice, Version};

pub use super::Parse;

/// Why a response is refused. The client gets 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseError {
    /// The lines or fields are at fault, as they could be in a request too.
    Head(HeadError),
    /// The first word is not `HTTP/1.` digit.
    InvalidVersion,
    /// The status is not a number from 100 to 999.
    InvalidStatus,
    /// The reason phrase contains a control byte.
    InvalidReason,
    /// 101 in answer to a request that did not ask for another protocol, or without naming one.
    UnexpectedSwitch,
}

impl ResponseError {
    /// The status that the client is answered with.
    pub fn status(self) -> u16 {
        502
    }

    /// A short stable name, for counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Head(error) => error.name(),
            _ => self.row().0,
        }
    }

    fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::Head(_) => ("head", "the head is malformed"),
            Self::InvalidVersion => (
                "invalid_version",
                "the status line does not start with an HTTP/1 version",
            ),
            Self::InvalidStatus => (
                "invalid_status",
                "the status is not a number of three digits",
            ),
            Self::InvalidReason => (
                "invalid_reason",
                "the reason phrase contains a control byte",
            ),
            Self::UnexpectedSwitch => (
                "unexpected_switch",
                "101 answers a request that asked for no other protocol",
            ),
        }
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => error.fmt(f),
            _ => f.write_str(self.row().1),
        }
    }
}

impl std::error::Error for ResponseError {}

impl From<HeadError> for ResponseError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl From<Stop<HeadError>> for Stop<ResponseError> {
    fn from(stop: Stop<HeadError>) -> Self {
        match stop {
            Stop::OutOfBytes => Self::OutOfBytes,
            Stop::Refused(error) => Self::Refused(error.into()),
        }
    }
}

/// What the request was, as far as it decides how its response ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// HEAD: the response has no body, whatever its fields say.
    pub head: bool,
    /// CONNECT: behind a 2xx head lies a tunnel.
    pub connect: bool,
    /// The request offered another protocol, so that 101 may follow.
    pub upgrade: bool,
}

impl Asked {
    /// What this request asks.
    pub fn by(request: &Head) -> Self {
        Self {
            head: request.method() == b"HEAD",
            connect: request.method() == b"CONNECT",
            upgrade: request.upgrade,
        }
    }
}

/// Parses the response head at the start of `input` into `head`, which is overwritten.
///
/// Like [`super::request::parse`] in all other respects. `upgrade` is set on 101 alone. A body that has no length and
/// no chunks ends with the connection: [`Framing::UntilClose`].
pub fn parse(
    input: &[u8],
    head: &mut Head,
    limits: &Limits,
    asked: Asked,
) -> Result<Parse, ResponseError> {
    let parse = scan::head(input, head, limits, status_line)?;
    if matches!(parse, Parse::Complete(_)) {
        let kinds = Kinds::of(head);
        framing::connection(head, kinds);
        if head.status != 101 {
            // The fields of a 426, say, are passed on as the advice they are.
            head.upgrade = false;
        } else if !(asked.upgrade && head.upgrade) {
            return Err(ResponseError::UnexpectedSwitch);
        }
        body(head, kinds, asked, limits)?;
        framing::hop_by_hop(head, kinds);
    }
    Ok(parse)
}

fn status_line(scan: &mut Scan<'_>, head: &mut Head) -> Result<bool, Stop<ResponseError>> {
    let rest = &scan.bytes[scan.at..];
    head.version = match rest {
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'1'..=b'9',
            b' ',
            ..,
        ] => Version::H11,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0', b' ', ..] => Version::H10,
        _ if rest.len() < 9 && b"HTTP/1.".starts_with(&rest[..rest.len().min(7)]) => {
            return Err(Stop::OutOfBytes);
        }
        _ => return Err(ResponseError::InvalidVersion.into()),
    };
    head.status = match &rest[9..] {
        [
            hundreds @ b'1'..=b'9',
            tens @ b'0'..=b'9',
            ones @ b'0'..=b'9',
            b' ' | b'\r' | b'\n',
            ..,
        ] => {
            u16::from(hundreds - b'0') * 100 + u16::from(tens - b'0') * 10 + u16::from(ones - b'0')
        }
        digits if digits.len() < 4 && digits.iter().all(u8::is_ascii_digit) => {
            return Err(Stop::OutOfBytes);
        }
        _ => return Err(ResponseError::InvalidStatus.into()),
    };
    scan.at += 12;
    scan.at += usize::from(scan.bytes[scan.at] == b' ');
    let start = scan.at;
    scan.text().map_err(|stop| match stop {
        Stop::Refused(HeadError::ControlByte | HeadError::NulByte) => {
            Stop::Refused(ResponseError::InvalidReason)
        }
        stop => stop.into(),
    })?;
    head.reason = Slice::new(start, scan.at);
    scan.line_end()?;
    Ok(true)
}

fn body(head: &mut Head, kinds: Kinds, asked: Asked, limits: &Limits) -> Result<(), ResponseError> {
    let said = framing::body(head, kinds, limits)?;
    let is_tunnel = head.status == 101 || asked.connect && (200..300).contains(&head.status);
    let is_never_framed = is_tunnel || head.status < 200 || head.status == 204;
    head.framing = match said {
        _ if is_never_framed => Framing::None,
        _ if asked.head || head.status == 304 => Framing::None,
        Said::Length(length) => Framing::Length(length),
        Said::Chunked => Framing::Chunked,
        Said::Nothing => {
            head.keep_alive = false;
            Framing::UntilClose
        }
    };
    if is_never_framed {
        head.remove_kind(FieldKind::ContentLength);
        head.remove_kind(FieldKind::TransferEncoding);
    }
    Ok(())
}
