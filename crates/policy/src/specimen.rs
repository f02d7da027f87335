//! Messages that were not acceptable, kept so that people can see what was wrong (`show errors`).
//!
//! The form is HAProxy's, which scripts read; in place of the state of its parser stands the reason in words. What is
//! absent: who keeps them, and for how long (the engine).

use std::net::SocketAddr;

use crate::log::{Dates, WallTime};
use crate::stats::format::write;

/// Most bytes of a message that are kept.
pub const SPECIMEN_BYTES_MAX: usize = 16_384;

/// Longest line of bytes shown, its line end included.
const LINE_BYTES: usize = 80;

/// Whether it came from a client or from a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Request,
    Response,
}

/// What somebody was called, and its number, when the message came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    pub number: u32,
}

/// The bytes that were not acceptable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// At most [`SPECIMEN_BYTES_MAX`] of them.
    pub kept: Vec<u8>,
    /// Bytes of the message that came before these and are not there any more.
    pub offset: usize,
    /// How many there were.
    pub length: usize,
    /// The one at fault.
    pub position: usize,
    /// What was wrong: a short name, and a sentence.
    pub name: &'static str,
    pub reason: String,
}

impl Bytes {
    /// Keeps what was received from `from` on; the byte at `position` of all is the one at fault.
    pub fn keep(
        received: &[u8],
        from: usize,
        position: usize,
        (name, reason): (&'static str, String),
    ) -> Self {
        let from = from.min(received.len());
        let rest = &received[from..];
        Self {
            kept: rest[..rest.len().min(SPECIMEN_BYTES_MAX)].to_vec(),
            offset: from,
            length: rest.len(),
            position: position.saturating_sub(from),
            name,
            reason,
        }
    }
}

/// A message, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specimen {
    /// Counts all that were ever kept, from 0.
    pub number: u32,
    pub seen: WallTime,
    pub direction: Direction,
    pub frontend: Named,
    /// Where it had been directed, or came from.
    pub backend: Option<Named>,
    pub server: Option<Named>,
    /// The client; `None`: it came by a unix socket.
    pub source: Option<SocketAddr>,
    /// How much a buffer holds.
    pub buffer_bytes: usize,
    pub bytes: Bytes,
}

impl Specimen {
    /// Whose fault it would be to have let it pass: requests are their frontend's, responses their backend's.
    pub fn owner(&self) -> &Named {
        match (self.direction, &self.backend) {
            (Direction::Response, Some(backend)) => backend,
            _ => &self.frontend,
        }
    }

    /// Whether it has to do with the proxy of this number.
    pub fn concerns(&self, number: u32) -> bool {
        let backend = self.backend.as_ref();
        self.frontend.number == number || backend.is_some_and(|backend| backend.number == number)
    }

    /// Appends all of it.
    pub fn write(&self, dates: &mut Dates, text: &mut String) {
        let mut date = Vec::new();
        dates.push_local_ms(self.seen, &mut date);
        let date = String::from_utf8_lossy(&date);
        let owner = self.owner();
        let (whose, what, other, opposite) = match self.direction {
            Direction::Request => ("frontend", "request", "backend", self.backend.as_ref()),
            Direction::Response => ("backend", "response", "frontend", Some(&self.frontend)),
        };
        write(
            text,
            format_args!(
                " \n[{date}] {whose} {} (#{}): invalid {what}\n  {other} ",
                owner.name, owner.number
            ),
        );
        push_named(opposite, text);
        text.push_str(", server ");
        push_named(self.server.as_ref(), text);
        let source = match self.source {
            Some(source) => format!("{}:{}", source.ip(), source.port()),
            None => "unix:0".to_owned(),
        };
        let bytes = &self.bytes;
        let free = self.buffer_bytes.saturating_sub(bytes.length);
        write(
            text,
            format_args!(
                ", event #{}, src {source}\n  buffer starts at {} (including 0 out), {free} free,\n  len {}, wraps at {}, \
                 error at position {}\n  {}: {} :\n  \n",
                self.number,
                bytes.offset,
                bytes.length,
                self.buffer_bytes,
                bytes.position,
                bytes.name,
                bytes.reason,
            ),
        );
        push_lines(&bytes.kept, text);
    }
}

fn push_named(named: Option<&Named>, text: &mut String) {
    match named {
        Some(Named { name, number }) => write(text, format_args!("{name} (#{number})")),
        None => text.push_str("<NONE> (#-1)"),
    }
}

/// Appends bytes as lines of visible letters, each behind the place where it begins; `+` goes on with a line.
fn push_lines(bytes: &[u8], text: &mut String) {
    let (mut at, mut fresh) = (0, true);
    while at < bytes.len() {
        let start = text.len();
        let mark = if fresh { ' ' } else { '+' };
        write(text, format_args!("  {at:05}{mark} "));
        fresh = false;
        while let Some(&byte) = bytes.get(at) {
            let shown = visible(byte);
            if text.len() - start + shown.len() >= LINE_BYTES {
                break;
            }
            text.push_str(&shown);
            at += 1;
            if byte == b'\n' {
                fresh = true;
                break;
            }
        }
        text.push('\n');
    }
}

fn visible(byte: u8) -> String {
    match byte {
        b'\\' => r"\\".to_owned(),
        b'\t' => r"\t".to_owned(),
        b'\n' => r"\n".to_owned(),
        b'\r' => r"\r".to_owned(),
        0x1b => r"\e".to_owned(),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!(r"\x{byte:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_line_by_line() {
        let mut text = String::new();
        let long = format!("A: {}\\\t\x1b", "x".repeat(140));
        push_lines(
            &[b"GET /\x01 HTTP/1.1\r\n", long.as_bytes(), b"\xff\r\nend"].concat(),
            &mut text,
        );
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], r"  00000  GET /\x01 HTTP/1.1\r\n");
        assert_eq!(
            lines[1],
            format!("  00017  A: {}", "x".repeat(67)),
            "as wide as HAProxy's"
        );
        assert_eq!(lines[2], format!("  00087+ {}", "x".repeat(70)));
        assert_eq!(lines[3], r"  00157+ xxx\\\t\e\xFF\r\n");
        assert_eq!(lines[4], "  00166  end");
    }

    #[test]
    fn what_was_moved_is_left_out() {
        let wrong = ("missing_line_end", "it is missing".to_owned());
        let bytes = Bytes::keep(b"0123456789", 4, 7, wrong.clone());
        assert_eq!(
            (bytes.kept.as_slice(), bytes.offset, bytes.position),
            (&b"456789"[..], 4, 3)
        );
        let bytes = Bytes::keep(&[b'x'; 40_000], 0, 39_999, wrong);
        assert_eq!(
            (bytes.kept.len(), bytes.length),
            (SPECIMEN_BYTES_MAX, 40_000)
        );
    }
}
