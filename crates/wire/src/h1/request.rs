//! Request heads (RFC 9112 section 3).

use std::fmt;

use super::body::BodyError;
use super::framing::{self, Kinds, Said};
use super::scan::{self, Scan, Stop};
use super::{HeadError, Limits, target, token};
use crate::head::{FieldKind, Framing, Head, Version};

pub use super::Parse;

/// Length of a `Sec-WebSocket-Key`: sixteen bytes in base64 (RFC 6455 section 4.1).
const WEBSOCKET_KEY_BYTES: usize = 24;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestError {
    /// The lines or fields are at fault, as they could be in a response too.
    Head(HeadError),
    /// The body's framing is at fault.
    Body(BodyError),
    /// The method is empty or not a token.
    InvalidMethod,
    /// The target is empty or contains a byte that is not allowed there.
    InvalidTarget,
    /// The target contains `#`, which clients never send.
    FragmentInTarget,
    /// The target's form does not suit the method (RFC 9112 section 3.2).
    WrongTargetForm,
    /// The request line is not three words separated by single spaces.
    InvalidRequestLine,
    /// The third word is not `HTTP/` digit `.` digit.
    InvalidVersion,
    /// HTTP, but not version 1.
    UnsupportedVersion,
    /// A request line without version, as in HTTP/0.9.
    MissingVersion,
    /// `Host` contains a byte that is not allowed there.
    InvalidHost,
    /// Several `Host` fields that differ.
    ConflictingHosts,
    /// The target's authority contains a byte that is not allowed there, or lacks the port that CONNECT needs.
    InvalidAuthority,
    /// `Host` and the target's authority differ.
    HostMismatch,
    /// A body in an HTTP/1.0 request whose method has none: a known way to smuggle.
    UnexpectedBody,
    /// A WebSocket handshake without a well-formed key.
    InvalidWebSocketKey,
}

impl RequestError {
    /// The status that answers it.
    pub fn status(self) -> u16 {
        match self {
            Self::Head(HeadError::StartLineTooLong) => 414,
            Self::Head(HeadError::TooLong) => 431,
            Self::Head(HeadError::UnknownTransferEncoding) => 422,
            Self::UnsupportedVersion => 505,
            Self::UnexpectedBody => 413,
            _ => 400,
        }
    }

    /// A short stable name, for counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Head(error) => error.name(),
            Self::Body(error) => error.name(),
            _ => self.row().0,
        }
    }

    fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::Head(_) => ("head", "the head is malformed"),
            Self::Body(_) => ("body", "the body is malformed"),
            Self::InvalidMethod => (
                "invalid_method",
                "the method contains a byte that is not allowed there",
            ),
            Self::InvalidTarget => (
                "invalid_target",
                "the target contains a byte that is not allowed there",
            ),
            Self::FragmentInTarget => ("fragment_in_target", "the target contains a fragment"),
            Self::WrongTargetForm => (
                "wrong_target_form",
                "the target's form does not suit the method",
            ),
            Self::InvalidRequestLine => (
                "invalid_request_line",
                "the request line is not three words separated by single spaces",
            ),
            Self::InvalidVersion => ("invalid_version", "the protocol version is malformed"),
            Self::UnsupportedVersion => {
                ("unsupported_version", "the protocol version is not HTTP/1")
            }
            Self::MissingVersion => (
                "missing_version",
                "the request line has no protocol version",
            ),
            Self::InvalidHost => (
                "invalid_host",
                "Host contains a byte that is not allowed there",
            ),
            Self::ConflictingHosts => ("conflicting_hosts", "several Host fields differ"),
            Self::InvalidAuthority => ("invalid_authority", "the target's authority is malformed"),
            Self::HostMismatch => ("host_mismatch", "Host differs from the target's authority"),
            Self::UnexpectedBody => (
                "unexpected_body",
                "an HTTP/1.0 request has a body that its method has no use for",
            ),
            Self::InvalidWebSocketKey => (
                "invalid_websocket_key",
                "the WebSocket handshake lacks a well-formed key",
            ),
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => error.fmt(f),
            Self::Body(error) => error.fmt(f),
            _ => f.write_str(self.row().1),
        }
    }
}

impl std::error::Error for RequestError {}

impl From<HeadError> for RequestError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl From<BodyError> for RequestError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<Stop<HeadError>> for Stop<RequestError> {
    fn from(stop: Stop<HeadError>) -> Self {
        match stop {
            Stop::OutOfBytes => Self::OutOfBytes,
            Stop::Refused(error) => Self::Refused(error.into()),
        }
    }
}

/// Parses the request head at the start of `input` into `head`, which is overwritten.
///
/// After [`Parse::Partial`] call again with all bytes so far and more; see [`super::has_news`]. Bytes beyond the head
/// are not looked at. The parsed head is ready to be forwarded: what concerns this hop alone has been removed, repeated
/// framing fields and hosts are reduced to one, and an absolute target has lost a default port (RFC 3986 section 6.2.3).
/// A request without `Host` is accepted, as in HAProxy.
pub fn parse(input: &[u8], head: &mut Head, limits: &Limits) -> Result<Parse, RequestError> {
    let parse = scan::head(input, head, limits, request_line)?;
    if matches!(parse, Parse::Complete(_)) {
        let kinds = Kinds::of(head);
        framing::connection(head, kinds);
        body(head, kinds, limits)?;
        target::check(head, kinds, limits)?;
        if kinds.contains(FieldKind::Expect) && head.version >= Version::H11 {
            let expects = |value: &[u8]| value.eq_ignore_ascii_case(b"100-continue");
            head.expect_continue = head.find(FieldKind::Expect).is_some_and(expects);
        }
        if head.upgrade && !limits.lenient {
            web_socket(head)?;
        }
        framing::hop_by_hop(head, kinds);
    }
    Ok(parse)
}

fn request_line(scan: &mut Scan<'_>, head: &mut Head) -> Result<bool, Stop<RequestError>> {
    head.method = scan.token();
    if scan.peek()? != b' ' || head.method.is_empty() {
        return Err(RequestError::InvalidMethod.into());
    }
    space(scan)?;
    head.target = scan.target();
    match scan.peek()? {
        b' ' if !head.target.is_empty() => {}
        b'\r' | b'\n' if !head.target.is_empty() => return http_0_9(scan, head),
        b' ' | b'\r' | b'\n' => return Err(RequestError::InvalidRequestLine.into()),
        b'#' => return Err(RequestError::FragmentInTarget.into()),
        _ => return Err(RequestError::InvalidTarget.into()),
    }
    space(scan)?;
    head.version = version(scan)?;
    if !scan.line_end()? {
        return Err(RequestError::InvalidVersion.into());
    }
    Ok(true)
}

/// Passes the spaces between words, or any blanks when the scan is lenient.
///
/// There should be one; more are as clear, are seen in the wild, and go out as one (RFC 9112 section 3).
fn space(scan: &mut Scan<'_>) -> Result<(), Stop<RequestError>> {
    let start = scan.at;
    if let [b' ', b'!'..=b'~', ..] = scan.bytes[start..] {
        scan.at += 1;
        return Ok(());
    }
    scan.blanks();
    let passed = &scan.bytes[start..scan.at];
    if !scan.lenient && (passed.is_empty() || passed.contains(&b'\t')) {
        return Err(RequestError::InvalidRequestLine.into());
    }
    scan.peek()?;
    Ok(())
}

/// Passes the protocol version. HTTP/1.2 and above are HTTP/1.1 to us (RFC 9110 section 2.5).
fn version(scan: &mut Scan<'_>) -> Result<Version, Stop<RequestError>> {
    let rest = &scan.bytes[scan.at..];
    let version = match rest {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', ..] => Version::H11,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0', ..] => Version::H10,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9', ..] => Version::H11,
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'0'..=b'9',
            b'.',
            b'0'..=b'9',
            ..,
        ] => {
            return Err(RequestError::UnsupportedVersion.into());
        }
        _ if rest.len() < 8 && b"HTTP/".starts_with(&rest[..rest.len().min(5)]) => {
            return Err(Stop::OutOfBytes);
        }
        _ => return Err(RequestError::InvalidVersion.into()),
    };
    scan.at += 8;
    Ok(version)
}

/// A lenient scan takes `GET target` for a whole request (RFC 1945 section 4.1).
#[cold]
fn http_0_9(scan: &mut Scan<'_>, head: &mut Head) -> Result<bool, Stop<RequestError>> {
    if !scan.lenient || &scan.bytes[head.method.range()] != b"GET" {
        return Err(RequestError::MissingVersion.into());
    }
    scan.line_end()?;
    head.version = Version::H09;
    Ok(false)
}

fn body(head: &mut Head, kinds: Kinds, limits: &Limits) -> Result<(), RequestError> {
    let said = framing::body(head, kinds, limits)?;
    if head.method() == b"CONNECT" {
        // What follows belongs to the tunnel, whatever the head claims (RFC 9110 section 9.3.6).
        head.remove_kind(FieldKind::ContentLength);
        head.remove_kind(FieldKind::TransferEncoding);
        return Ok(());
    }
    head.framing = match said {
        Said::Nothing => Framing::None,
        Said::Length(length) => Framing::Length(length),
        Said::Chunked => Framing::Chunked,
    };
    let is_empty = matches!(head.framing, Framing::None | Framing::Length(0));
    if head.version < Version::H11
        && !is_empty
        && !limits.any_method_bodies
        && matches!(head.method(), b"GET" | b"HEAD" | b"DELETE")
    {
        return Err(RequestError::UnexpectedBody);
    }
    Ok(())
}

/// A handshake without a key could not be answered, and would leave the server in doubt.
fn web_socket(head: &Head) -> Result<(), RequestError> {
    let asks = head
        .find(FieldKind::Upgrade)
        .is_some_and(|value| token::contains(value, b"websocket"));
    let has_key = || {
        head.value(b"sec-websocket-key")
            .is_some_and(|key| key.len() == WEBSOCKET_KEY_BYTES)
    };
    if asks && !has_key() {
        Err(RequestError::InvalidWebSocketKey)
    } else {
        Ok(())
    }
}
