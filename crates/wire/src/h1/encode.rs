//! Heads back to bytes.
//!
//! Fields that nobody touched lie in the arena as they will go out, names in lower case; they are copied in runs. The
//! version is ours, whatever the peer's was (RFC 9110 section 2.5), but for requests of HTTP/1.0, which stay such;
//! framing and connection are what the caller says.

use crate::decimal::{self, Digits};
use crate::head::{Field, FieldKind, Framing, Head, Version};
use crate::reason::reason;

/// What the message says about the connection it is sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// `Connection` and `Upgrade` go out as they are in the head; for interim responses.
    Unchanged,
    /// Nothing: an HTTP/1.1 connection persists.
    Implied,
    /// `keep-alive`, for HTTP/1.0 clients.
    KeepAlive,
    Close,
    /// The message asks for, or grants, another protocol.
    Upgrade,
}

/// Appends a request head to `out`.
///
/// With `Framing::None` the fields `Content-Length` and `Transfer-Encoding` are left as they are.
pub fn request(head: &Head, connection: Connection, framing: Framing, out: &mut Vec<u8>) {
    out.reserve(head.arena.len() + 64);
    out.extend_from_slice(head.method());
    out.push(b' ');
    out.extend_from_slice(head.target());
    // An HTTP/1.0 request may lack a host, without which HTTP/1.1 servers refuse it.
    out.extend_from_slice(match head.version < Version::H11 {
        true => b" HTTP/1.0\r\n",
        false => b" HTTP/1.1\r\n",
    });
    fields(head, connection, framing, Strays::Dropped, out);
}

/// Appends a response head to `out`.
///
/// With `Framing::None` the fields `Content-Length` and `Transfer-Encoding` are left as they are, since in answers to
/// HEAD and in 304 they tell of a body that is not sent. Answers of other statuses that have no body have no such fields
/// (RFC 9112 section 6.1).
pub fn response(head: &Head, connection: Connection, framing: Framing, out: &mut Vec<u8>) {
    out.reserve(head.arena.len() + 64);
    let status = head.status.min(999);
    let digit = |number: u16| b'0' + (number % 10) as u8;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[digit(status / 100), digit(status / 10), digit(status), b' ']);
    // HTTP/2 has none, and there are clients of HTTP/1 that expect one.
    let phrase = match head.reason() {
        b"" => reason(head.status).as_bytes(),
        phrase => phrase,
    };
    out.extend_from_slice(phrase);
    out.extend_from_slice(b"\r\n");
    let strays = match head.status {
        ..200 | 204 => Strays::Dropped,
        _ => Strays::Kept,
    };
    fields(head, connection, framing, strays, out);
}

/// What becomes of fields that frame a body where none follows. A request with them would have its server wait for one,
/// and take the next request for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strays {
    Kept,
    Dropped,
}

/// Appends the fields that have not been removed, as they are, and no empty line: for trailers.
pub(super) fn plain_fields(head: &Head, out: &mut Vec<u8>) {
    let mut runs = Runs {
        head,
        out,
        start: 0,
        end: 0,
    };
    for field in head
        .fields
        .iter()
        .filter(|field| field.kind != FieldKind::Removed)
    {
        runs.push(field);
    }
    runs.flush();
}

fn fields(
    head: &Head,
    connection: Connection,
    framing: Framing,
    strays: Strays,
    out: &mut Vec<u8>,
) {
    let hides_upgrade =
        head.upgrade && !matches!(connection, Connection::Unchanged | Connection::Upgrade);
    let mut framed = framing == Framing::None;
    let frames = !framed || strays == Strays::Dropped;
    let mut names_upgrade = false;
    let mut runs = Runs {
        head,
        out,
        start: 0,
        end: 0,
    };
    for field in &head.fields {
        match field.kind {
            FieldKind::Removed => continue,
            FieldKind::ContentLength | FieldKind::TransferEncoding if frames => {
                if framed || !says(head, field, framing) {
                    continue;
                }
                framed = true;
            }
            FieldKind::Connection | FieldKind::Upgrade if hides_upgrade => continue,
            FieldKind::Connection => names_upgrade = true,
            _ => {}
        }
        runs.push(field);
    }
    runs.flush();
    match framing {
        Framing::Length(length) if !framed => {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(Digits::of(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked if !framed => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        _ => {}
    }
    match connection {
        Connection::Close => out.extend_from_slice(b"connection: close\r\n"),
        Connection::KeepAlive => out.extend_from_slice(b"connection: keep-alive\r\n"),
        Connection::Upgrade if !names_upgrade => out.extend_from_slice(b"connection: upgrade\r\n"),
        Connection::Upgrade | Connection::Implied | Connection::Unchanged => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether a framing field says just what is to be said.
fn says(head: &Head, field: &Field, framing: Framing) -> bool {
    let value = head.bytes(field.value);
    match (field.kind, framing) {
        (FieldKind::ContentLength, Framing::Length(length)) => decimal::is_written(value, length),
        (FieldKind::TransferEncoding, Framing::Chunked) => value == b"chunked",
        _ => false,
    }
}

/// Copies fields to `out`, neighbours in the arena together.
struct Runs<'a> {
    head: &'a Head,
    out: &'a mut Vec<u8>,
    /// The run that has not been copied yet: from the first name to the last value.
    start: usize,
    end: usize,
}

impl Runs<'_> {
    fn push(&mut self, field: &Field) {
        let arena = &self.head.arena;
        let (name, value) = (field.name.range(), field.value.range());
        let is_wire_form = value.start == name.end + 2 && arena[name.end..value.start] == *b": ";
        if !is_wire_form {
            self.flush();
            for part in [&arena[name], b": ", &arena[value], b"\r\n"] {
                self.out.extend_from_slice(part);
            }
            return;
        }
        let follows = self.end + 2 == name.start && arena[self.end..name.start] == *b"\r\n";
        if self.start == self.end || !follows {
            self.flush();
            self.start = name.start;
        }
        self.end = value.end;
    }

    fn flush(&mut self) {
        if self.start < self.end {
            self.out
                .extend_from_slice(&self.head.arena[self.start..self.end]);
            self.out.extend_from_slice(b"\r\n");
        }
        (self.start, self.end) = (0, 0);
    }
}
