//! Messages (RFC 9113 section 8): fields of a block to a [`Head`] and back.
//!
//! A head looks as if HTTP/1 had brought it: the path is the target, the authority is `Host`, crumbs of cookies are one
//! field, an extended CONNECT (RFC 8441) is an upgrade. Rules and the encoders of HTTP/1 need not know the difference.
//! What could be understood in two ways, here or behind an HTTP/1 connection, is refused.

use super::error::Fault;
use super::hpack::{Encoder, Sink};
use crate::decimal::{self, Digits};
use crate::h1::response::Asked;
use crate::h1::{self, Limits, body, token};
use crate::head::{FieldKind, Framing, Head, Slice, Version};
use crate::uri::{self, Form};

/// What a block is the head of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Response(Asked),
    Trailers,
}

const METHOD: u8 = 1;
const SCHEME: u8 = 2;
const AUTHORITY: u8 = 4;
const PATH: u8 = 8;
const PROTOCOL: u8 = 16;
const STATUS: u8 = 32;

/// Puts the fields of a block into a head, and judges them.
pub(super) struct Reader<'a> {
    head: &'a mut Head,
    kind: Kind,
    limits: Limits,
    /// The pseudo-header fields seen so far.
    pseudo: u8,
    /// A regular field was seen.
    regular: bool,
    cookies: u32,
    /// `:authority`, or `Host` in its place.
    authority: Slice,
    scheme: Slice,
    protocol: Slice,
    fault: Option<Fault>,
}

impl<'a> Reader<'a> {
    /// `head` must be empty.
    pub(super) fn new(head: &'a mut Head, kind: Kind, limits: &Limits) -> Self {
        let limits = match kind {
            Kind::Trailers => Limits {
                bytes_max: body::TRAILER_BYTES_MAX,
                fields_max: body::TRAILER_FIELDS_MAX,
                lenient: false,
                ..*limits
            },
            _ => *limits,
        };
        Self {
            head,
            kind,
            limits,
            pseudo: 0,
            regular: false,
            cookies: 0,
            authority: Slice::default(),
            scheme: Slice::default(),
            protocol: Slice::default(),
            fault: None,
        }
    }

    /// The end of the block, and perhaps of the stream. Returns the length that the data must have.
    pub(super) fn finish(mut self, end_stream: bool) -> Result<Option<u64>, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.head.version = Version::H2;
        self.head.keep_alive = true;
        if self.cookies > 1 {
            self.join_cookies();
        }
        match self.kind {
            Kind::Request => self.request(end_stream),
            Kind::Response(asked) => self.response(asked, end_stream),
            Kind::Trailers => {
                self.head
                    .fields
                    .retain(|field| field.kind == FieldKind::Other);
                Ok(None)
            }
        }
    }

    fn has(&self, bits: u8) -> bool {
        self.pseudo & bits == bits
    }

    fn request(&mut self, end_stream: bool) -> Result<Option<u64>, Fault> {
        let head = &mut *self.head;
        let is_connect = head.method() == b"CONNECT";
        let is_extended = self.pseudo & PROTOCOL != 0;
        if is_connect && !is_extended {
            if self.pseudo != METHOD | AUTHORITY {
                return Err(Fault::BadPseudoHeader);
            }
            if uri::split_port(head.bytes(self.authority))
                .1
                .is_none_or(<[u8]>::is_empty)
            {
                return Err(Fault::BadAuthority);
            }
            head.target = self.authority;
            head.remove_kind(FieldKind::ContentLength);
            return Ok(None);
        }
        if !self.has(METHOD | SCHEME | PATH) || is_extended && !(is_connect && self.has(AUTHORITY))
        {
            return Err(Fault::BadPseudoHeader);
        }
        let head = &mut *self.head;
        if head.method() == b"PRI" {
            return Err(Fault::ReservedMethod);
        }
        match head.target() {
            [b'/', ..] => {}
            b"*" if !matches!(
                head.method(),
                b"GET" | b"HEAD" | b"POST" | b"PUT" | b"DELETE" | b"TRACE" | b"CONNECT"
            ) => {}
            _ => return Err(Fault::BadPath),
        }
        self.name_target();
        if is_extended {
            return self.extended();
        }
        let head = &mut *self.head;
        head.expect_continue = head
            .find(FieldKind::Expect)
            .is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
        let length = content_length(head)?;
        head.framing = match (length, end_stream) {
            (Some(length), _) => Framing::Length(length),
            (None, true) => Framing::None,
            (None, false) => Framing::Chunked,
        };
        Ok(length)
    }

    /// Keeps what the target is besides its path; a port that goes without saying is left out (RFC 9110 section 4.2.3).
    fn name_target(&mut self) {
        let authority = self.head.bytes(self.authority);
        let (name, port) = uri::split_port(authority);
        let scheme = self.head.bytes(self.scheme);
        if port.is_some_and(|port| !port.is_empty()) && uri::is_default_port(Some(scheme), port) {
            self.authority.end = self.authority.start + name.len() as u32;
            let mut fields = self.head.fields.iter_mut();
            if let Some(host) = fields.find(|field| field.kind == FieldKind::Host) {
                host.value.end = self.authority.end;
            }
        }
        if self.has(AUTHORITY) {
            (self.head.scheme, self.head.authority) = (self.scheme, self.authority);
        }
    }

    /// RFC 8441: what HTTP/1 calls an upgrade.
    fn extended(&mut self) -> Result<Option<u64>, Fault> {
        let head = &mut *self.head;
        head.remove_kind(FieldKind::ContentLength);
        head.method = head.push(b"GET");
        let protocol = head.bytes(self.protocol).to_vec();
        head.add(b"upgrade", &protocol);
        head.add(b"connection", b"upgrade");
        head.upgrade = true;
        Ok(None)
    }

    fn response(&mut self, asked: Asked, end_stream: bool) -> Result<Option<u64>, Fault> {
        if self.pseudo != STATUS {
            return Err(Fault::BadPseudoHeader);
        }
        let head = &mut *self.head;
        if head.status < 200 {
            head.remove_kind(FieldKind::ContentLength);
            return if end_stream {
                Err(Fault::BadStatus)
            } else {
                Ok(None)
            };
        }
        let is_success = head.status < 300;
        if (asked.connect || asked.upgrade) && is_success {
            head.remove_kind(FieldKind::ContentLength);
            return Ok(None);
        }
        let length = content_length(head)?;
        if asked.head || matches!(head.status, 204 | 304) {
            return Ok(None);
        }
        head.framing = match (length, end_stream) {
            (Some(length), _) => Framing::Length(length),
            (None, true) => Framing::Length(0),
            (None, false) => Framing::Chunked,
        };
        Ok(length)
    }

    /// RFC 9113 section 8.2.3: what was split for the sake of compression becomes one field again.
    fn join_cookies(&mut self) {
        let start = self.head.arena.len();
        let mut first = None;
        for index in 0..self.head.fields.len() {
            let field = self.head.fields[index];
            if self.head.bytes(field.name) != b"cookie" {
                continue;
            }
            if first.is_some() {
                self.head.arena.extend_from_slice(b"; ");
                self.head.fields[index].kind = FieldKind::Removed;
            } else {
                first = Some(index);
            }
            self.head.arena.extend_from_within(field.value.range());
        }
        if let Some(first) = first {
            self.head.fields[first].value = Slice::new(start, self.head.arena.len());
        }
    }

    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        let bit = match (self.kind, name) {
            (Kind::Request, b":method") => METHOD,
            (Kind::Request, b":scheme") => SCHEME,
            (Kind::Request, b":authority") => AUTHORITY,
            (Kind::Request, b":path") => PATH,
            (Kind::Request, b":protocol") => PROTOCOL,
            (Kind::Response(_), b":status") => STATUS,
            _ => return Err(Fault::BadPseudoHeader),
        };
        if self.regular || self.pseudo & bit != 0 {
            return Err(Fault::BadPseudoHeader);
        }
        self.pseudo |= bit;
        match bit {
            METHOD => {
                if value.is_empty() || !value.iter().all(|&byte| token::is_token_byte(byte)) {
                    return Err(Fault::BadMethod);
                }
                self.head.method = self.head.push(value);
            }
            SCHEME => {
                let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
                if !value.first().is_some_and(u8::is_ascii_alphabetic) || !value.iter().all(allowed)
                {
                    return Err(Fault::BadScheme);
                }
                self.scheme = self.head.push(value);
            }
            AUTHORITY => {
                if value.is_empty() || !uri::is_plain_authority(value) {
                    return Err(Fault::BadAuthority);
                }
                self.authority = self.append(b"host", value, FieldKind::Host);
            }
            PATH => {
                if !value.iter().all(|&byte| h1::is_target_byte(byte)) {
                    return Err(Fault::BadPath);
                }
                self.head.target = self.head.push(value);
            }
            PROTOCOL => {
                let is_token = value.iter().all(|&byte| token::is_token_byte(byte));
                // HTTP/2 inside of a stream would be requests that nobody looks at.
                if value.is_empty() || !is_token || value.eq_ignore_ascii_case(b"h2c") {
                    return Err(Fault::BadPseudoHeader);
                }
                self.protocol = self.head.push(value);
            }
            _ => self.head.status = status(value)?,
        }
        Ok(())
    }

    fn regular(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.regular = true;
        if name.is_empty() || !name.iter().all(|&byte| h1::is_lower_name_byte(byte)) {
            return Err(Fault::BadFieldName);
        }
        if value.iter().any(|&byte| is_control(byte)) {
            return Err(Fault::BadFieldValue);
        }
        // Blanks around a value are not part of it, here as in HTTP/1.
        let value = token::trim(value);
        let kind = FieldKind::of(name);
        match kind {
            FieldKind::Connection
            | FieldKind::KeepAlive
            | FieldKind::ProxyConnection
            | FieldKind::TransferEncoding
            | FieldKind::Upgrade => return Err(Fault::ConnectionField),
            FieldKind::Te if value != b"trailers" => return Err(Fault::ConnectionField),
            FieldKind::Host if self.kind == Kind::Request => return self.host(value),
            FieldKind::Other if name == b"cookie" => self.cookies += 1,
            _ => {}
        }
        self.append(name, value, kind);
        Ok(())
    }

    /// `Host` alone takes the place of `:authority`; beside it nobody sees it, whatever it says.
    fn host(&mut self, value: &[u8]) -> Result<(), Fault> {
        if !uri::is_plain_authority(value) {
            return Err(Fault::BadAuthority);
        }
        if self.has(AUTHORITY) {
            return Ok(());
        }
        if !self.authority.is_empty() {
            let is_same = self.head.bytes(self.authority).eq_ignore_ascii_case(value);
            return if is_same {
                Ok(())
            } else {
                Err(Fault::BadAuthority)
            };
        }
        self.authority = self.append(b"host", value, FieldKind::Host);
        Ok(())
    }

    /// Lays a field down as HTTP/1 writes it, so that it can be copied together with its neighbours.
    fn append(&mut self, name: &[u8], value: &[u8], kind: FieldKind) -> Slice {
        let arena = &mut self.head.arena;
        let start = arena.len();
        arena.extend_from_slice(name);
        arena.extend_from_slice(b": ");
        let middle = arena.len();
        arena.extend_from_slice(value);
        let end = arena.len();
        arena.extend_from_slice(b"\r\n");
        let value = Slice::new(middle, end);
        self.head.fields.push(crate::head::Field {
            name: Slice::new(start, middle - 2),
            value,
            kind,
        });
        value
    }
}

impl Sink for Reader<'_> {
    fn field(&mut self, name: &[u8], value: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        // Looked at before anything is copied: a block of a few bytes can stand for megabytes.
        if self.head.arena.len() + name.len() + value.len() + 4 > self.limits.bytes_max
            || self.head.fields.len() >= self.limits.fields_max
        {
            self.fault = Some(Fault::HeadTooLarge);
            return;
        }
        let taken = match name.first() {
            Some(b':') => self.pseudo(name, value),
            _ => self.regular(name, value),
        };
        self.fault = taken.err();
    }
}

fn is_control(byte: u8) -> bool {
    byte < b' ' && byte != b'\t' || byte == 0x7f
}

fn status(value: &[u8]) -> Result<u16, Fault> {
    let &[
        hundreds @ b'1'..=b'9',
        tens @ b'0'..=b'9',
        ones @ b'0'..=b'9',
    ] = value
    else {
        return Err(Fault::BadStatus);
    };
    let digit = |byte: u8| u16::from(byte - b'0');
    match digit(hundreds) * 100 + digit(tens) * 10 + digit(ones) {
        101 => Err(Fault::BadStatus),
        status => Ok(status),
    }
}

/// The one length that the head names; the field is reduced to it.
fn content_length(head: &mut Head) -> Result<Option<u64>, Fault> {
    let mut agreed = None;
    for index in 0..head.fields.len() {
        let field = head.fields[index];
        if field.kind != FieldKind::ContentLength {
            continue;
        }
        let length = listed_length(head.bytes(field.value)).ok_or(Fault::BadContentLength)?;
        match agreed {
            None => agreed = Some(length),
            Some(known) if known == length => head.fields[index].kind = FieldKind::Removed,
            Some(_) => return Err(Fault::BadContentLength),
        }
        let digits = Digits::of(length);
        if head.bytes(field.value) != digits.as_bytes() {
            head.fields[index].value = head.push(digits.as_bytes());
        }
    }
    Ok(agreed)
}

/// A number, or several that are the same (RFC 9110 section 8.6).
fn listed_length(value: &[u8]) -> Option<u64> {
    let mut numbers = value
        .split(|byte| *byte == b',')
        .map(|number| decimal::parse(token::trim(number)));
    let first = numbers.next()??;
    numbers.all(|number| number == Some(first)).then_some(first)
}

/// Appends the block of a request. `scheme` is what the target does not say itself.
pub(super) fn write_request(head: &Head, scheme: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
    encoder.begin(out);
    let host = head.find(FieldKind::Host);
    let target = uri::split(head.target());
    match target.form {
        Form::Authority => {
            encoder.field(b":method", head.method(), out);
            encoder.field(b":authority", head.target(), out);
        }
        form => {
            let method = if head.upgrade {
                b"CONNECT"
            } else {
                head.method()
            };
            encoder.field(b":method", method, out);
            if head.upgrade {
                let protocol = head.find(FieldKind::Upgrade).unwrap_or_default();
                encoder.field(b":protocol", protocol, out);
            }
            encoder.field(b":scheme", target.scheme.unwrap_or(scheme), out);
            if let Some(authority) = target.authority.or(host) {
                encoder.field(b":authority", authority, out);
            }
            let path = match (form, target.authority) {
                (Form::Absolute, Some(authority)) => {
                    &head.target()[target.authority_start + authority.len()..]
                }
                _ => head.target(),
            };
            match path.first() {
                Some(b'?') => encoder.field(b":path", &[b"/", path].concat(), out),
                None if head.method() == b"OPTIONS" => encoder.field(b":path", b"*", out),
                None => encoder.field(b":path", b"/", out),
                Some(_) => encoder.field(b":path", path, out),
            }
        }
    }
    write_fields(head, b"sec-websocket-key", encoder, out);
}

/// Appends the block of a response. 101, which HTTP/2 lacks, is the success of an extended CONNECT.
pub(super) fn write_response(head: &Head, encoder: &mut Encoder, out: &mut Vec<u8>) {
    encoder.begin(out);
    let status = if head.status == 101 { 200 } else { head.status };
    encoder.status(status, out);
    write_fields(head, b"sec-websocket-accept", encoder, out);
}

/// Appends the block of trailers.
pub(super) fn write_trailers(head: &Head, encoder: &mut Encoder, out: &mut Vec<u8>) {
    encoder.begin(out);
    for (name, value) in head.fields() {
        encoder.field(name, value, out);
    }
}

/// The regular fields; `upgrade_only` is left out of what changes the protocol.
fn write_fields(head: &Head, upgrade_only: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
    let mut length = match head.framing {
        Framing::Length(length) => Some(length),
        _ => None,
    };
    for field in &head.fields {
        let (name, value) = (head.bytes(field.name), head.bytes(field.value));
        match field.kind {
            FieldKind::Removed
            | FieldKind::Connection
            | FieldKind::Upgrade
            | FieldKind::KeepAlive
            | FieldKind::ProxyConnection
            | FieldKind::TransferEncoding => continue,
            FieldKind::Host if head.status == 0 => continue,
            FieldKind::Te if value != b"trailers" => continue,
            // A request whose length is not that of its body, which may be none, would be taken for a malformed one.
            FieldKind::ContentLength if head.framing != Framing::None || head.status == 0 => {
                let Some(length) = length.take() else {
                    continue;
                };
                encoder.field(b"content-length", Digits::of(length).as_bytes(), out);
                continue;
            }
            FieldKind::Other if head.upgrade && name == upgrade_only => continue,
            _ => encoder.field(name, value, out),
        }
    }
    if let Some(length) = length {
        encoder.field(b"content-length", Digits::of(length).as_bytes(), out);
    }
}
