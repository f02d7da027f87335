//! Reading answers, whatever pieces they arrive in.
//!
//! A [`Reply`] belongs to a connection and is small; the [`Reader`] holds what one thread needs only
//! while it looks at one piece. Heads are usually whole, so they are parsed in the receive buffer;
//! only one that is cut is copied aside.

use plimsoll_wire::h1::body::Decoder;
use plimsoll_wire::h1::response::{self, Asked};
use plimsoll_wire::h1::{Limits, Parse};
use plimsoll_wire::head::{Framing, Head};

use super::plan::Plan;
use super::target::Protocol;
use crate::statistics::Cause;

/// Largest head of an answer. More than proxies allow, so that theirs is the limit that shows.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Most fields of an answer.
const HEAD_FIELDS_MAX: usize = 512;
/// Longest value of the field that tells servers apart; the rest is cut off.
const SERVER_BYTES_MAX: usize = 128;
/// Most interim answers (1xx) before the final one.
const INTERIM_MAX: u8 = 16;

/// What a piece of an answer has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The answer is not complete.
    More,
    /// It is; `status` is 0 when the protocol has none.
    Done { status: u16, reusable: bool },
}

/// Memory shared by the replies of one thread.
#[derive(Debug, Default)]
pub(super) struct Reader {
    head: Head,
}

/// The answer that a connection waits for.
#[derive(Debug)]
pub(super) enum Reply {
    Http(HttpReply),
    Echo {
        /// Bytes that have come back.
        received: usize,
    },
}

impl Reply {
    pub(super) fn new(plan: &Plan) -> Self {
        match plan.protocol {
            Protocol::Http => Self::Http(HttpReply::default()),
            Protocol::Tcp => Self::Echo { received: 0 },
        }
    }

    /// A request is about to be sent.
    pub(super) fn begin(&mut self) {
        match self {
            Self::Http(reply) => reply.begin(),
            Self::Echo { received } => *received = 0,
        }
    }

    /// Takes the bytes that have arrived; they may be overwritten.
    pub(super) fn receive(
        &mut self,
        plan: &Plan,
        reader: &mut Reader,
        bytes: &mut [u8],
    ) -> Result<Step, Cause> {
        match self {
            Self::Http(reply) => reply.receive(plan, reader, bytes),
            Self::Echo { received } => {
                let rest = &plan.request[*received..];
                if !rest.starts_with(bytes) {
                    return Err(Cause::Malformed);
                }
                *received += bytes.len();
                Ok(match *received == plan.request.len() {
                    true => Step::Done {
                        status: 0,
                        reusable: true,
                    },
                    false => Step::More,
                })
            }
        }
    }

    /// The server has ended the connection. For some answers that is their end too.
    pub(super) fn end(&mut self) -> Result<Step, Cause> {
        match self {
            Self::Http(HttpReply {
                body: Body::UntilClose,
                status,
                ..
            }) => Ok(Step::Done {
                status: *status,
                reusable: false,
            }),
            _ => Err(Cause::Closed),
        }
    }

    /// The value of the field that tells servers apart, if this answer had it.
    pub(super) fn server(&self) -> Option<&[u8]> {
        match self {
            Self::Http(reply) if !reply.server.is_empty() => Some(&reply.server),
            _ => None,
        }
    }
}

/// An HTTP/1.1 answer.
#[derive(Debug, Default)]
pub(super) struct HttpReply {
    /// The beginning of a head that arrived in pieces.
    partial: Vec<u8>,
    body: Body,
    status: u16,
    keep_alive: bool,
    interim: u8,
    server: Vec<u8>,
}

#[derive(Debug, Default)]
enum Body {
    /// The head has not been read.
    #[default]
    Unknown,
    /// This many bytes are left.
    Length(u64),
    /// Boxed: most answers have a length, and connections are many.
    Chunked(Box<Decoder>),
    UntilClose,
}

impl HttpReply {
    fn begin(&mut self) {
        self.partial.clear();
        self.body = Body::Unknown;
        self.interim = 0;
        self.server.clear();
    }

    fn receive(
        &mut self,
        plan: &Plan,
        reader: &mut Reader,
        bytes: &mut [u8],
    ) -> Result<Step, Cause> {
        if !matches!(self.body, Body::Unknown) {
            return self.read_body(bytes);
        }
        if self.partial.is_empty() {
            return match self.read_head(plan, reader, bytes)? {
                Some(used) => self.read_body(&mut bytes[used..]),
                None => Ok(Step::More),
            };
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(bytes);
        match self.read_head(plan, reader, &whole)? {
            Some(used) => self.read_body(&mut whole[used..]),
            None => Ok(Step::More),
        }
    }

    /// Reads the final head and those of interim answers before it; `None`: it is not complete.
    fn read_head(
        &mut self,
        plan: &Plan,
        reader: &mut Reader,
        bytes: &[u8],
    ) -> Result<Option<usize>, Cause> {
        let limits = Limits {
            bytes_max: HEAD_BYTES_MAX,
            fields_max: HEAD_FIELDS_MAX,
            ..Limits::default()
        };
        let asked = Asked {
            head: plan.is_head,
            ..Asked::default()
        };
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            let parse = response::parse(rest, &mut reader.head, &limits, asked);
            let Parse::Complete(length) = parse.map_err(|_| Cause::Malformed)? else {
                self.partial.extend_from_slice(rest);
                return Ok(None);
            };
            used += length;
            if reader.head.status >= 200 {
                break;
            }
            self.interim += 1;
            if self.interim > INTERIM_MAX {
                return Err(Cause::Malformed);
            }
        }
        let head = &reader.head;
        self.status = head.status;
        self.keep_alive = head.keep_alive;
        self.body = match head.framing {
            Framing::None => Body::Length(0),
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(Box::new(Decoder::new(Framing::Chunked))),
            Framing::UntilClose => Body::UntilClose,
        };
        if let Some(name) = &plan.count_by
            && let Some(value) = head.values(name).next()
        {
            let length = value.len().min(SERVER_BYTES_MAX);
            self.server.extend_from_slice(&value[..length]);
        }
        Ok(Some(used))
    }

    fn read_body(&mut self, bytes: &mut [u8]) -> Result<Step, Cause> {
        let done = match &mut self.body {
            Body::Unknown => return Err(Cause::Malformed),
            Body::UntilClose => false,
            Body::Length(left) => {
                // Bytes beyond the end answer nothing that was asked.
                *left = left
                    .checked_sub(bytes.len() as u64)
                    .ok_or(Cause::Malformed)?;
                *left == 0
            }
            Body::Chunked(decoder) => {
                let mut used = 0;
                loop {
                    let decoded = decoder
                        .decode(&mut bytes[used..])
                        .map_err(|_| Cause::Malformed)?;
                    used += decoded.consumed;
                    if decoded.done && used < bytes.len() {
                        return Err(Cause::Malformed);
                    }
                    if decoded.done || decoded.consumed == 0 || used == bytes.len() {
                        break decoded.done;
                    }
                }
            }
        };
        Ok(match done {
            true => Step::Done {
                status: self.status,
                reusable: self.keep_alive,
            },
            false => Step::More,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Options;
    use super::super::target::Target;
    use super::*;

    fn plan(target: &str, method: &str) -> Plan {
        Plan::new(&Options {
            method: method.to_owned(),
            body: b"ping".to_vec(),
            count_by: Some("X-Backend".to_owned()),
            ..Options::new(Target::parse(target).unwrap())
        })
        .unwrap()
    }

    /// Reads `answer` in pieces of `size` bytes, then the end of the connection.
    fn read(plan: &Plan, answer: &[u8], size: usize) -> Result<Step, Cause> {
        let (mut reply, mut reader) = (Reply::new(plan), Reader::default());
        reply.begin();
        for piece in answer.chunks(size) {
            match reply.receive(plan, &mut reader, &mut piece.to_vec())? {
                Step::More => {}
                done => return Ok(done),
            }
        }
        reply.end()
    }

    fn done(status: u16, reusable: bool) -> Result<Step, Cause> {
        Ok(Step::Done { status, reusable })
    }

    #[test]
    fn complete_answers_in_pieces_of_every_size() {
        let cases: [(&[u8], _); 7] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", done(200, true)),
            (b"HTTP/1.1 204 No Content\r\n\r\n", done(204, true)),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", done(200, false)),
            (
                b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                done(503, false),
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\nyou\r\n0\r\n\r\n",
                done(200, true),
            ),
            (
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                done(200, true),
            ),
            (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", done(200, false)),
        ];
        let plan = plan("http://a/", "GET");
        for (answer, expected) in cases {
            for size in 1..=answer.len() {
                let text = String::from_utf8_lossy(answer);
                assert_eq!(read(&plan, answer, size), expected, "{size} of {text}");
            }
        }
    }

    #[test]
    fn bad_answers_have_a_cause() {
        let cases: [(&[u8], _); 6] = [
            (b"SSH-2.0-OpenSSH\r\n\r\n", Cause::Malformed),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi you",
                Cause::Malformed,
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
                Cause::Malformed,
            ),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh",
                Cause::Closed,
            ),
            (b"HTTP/1.1 200 OK\r\n", Cause::Closed),
            (b"", Cause::Closed),
        ];
        let plan = plan("http://a/", "GET");
        for (answer, cause) in cases {
            let text = String::from_utf8_lossy(answer);
            assert_eq!(read(&plan, answer, 1000), Err(cause), "{text}");
        }
        let endless = b"HTTP/1.1 102 x\r\n\r\n".repeat(50);
        assert_eq!(read(&plan, &endless, 7), Err(Cause::Malformed));
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n";
        assert_eq!(read(&plan("http://a/", "HEAD"), answer, 9), done(200, true));
    }

    #[test]
    fn servers_are_told_apart_by_a_field() {
        let plan = plan("http://a/", "GET");
        let (mut reply, mut reader) = (Reply::new(&plan), Reader::default());
        let answers = [
            ("x-backend: app-a\r\n", Some(b"app-a".as_slice())),
            ("", None),
        ];
        for (field, expected) in answers {
            let answer = format!("HTTP/1.1 200 OK\r\n{field}Content-Length: 0\r\n\r\n");
            reply.begin();
            let step = reply.receive(&plan, &mut reader, &mut answer.into_bytes());
            assert_eq!(step, done(200, true));
            assert_eq!(reply.server(), expected);
        }
    }

    #[test]
    fn echoes_must_be_equal() {
        let plan = plan("tcp://a:1", "GET");
        for size in 1..=4 {
            assert_eq!(read(&plan, b"ping", size), done(0, true));
        }
        assert_eq!(read(&plan, b"pong", 4), Err(Cause::Malformed));
        assert_eq!(read(&plan, b"pinging", 7), Err(Cause::Malformed));
        assert_eq!(read(&plan, b"pin", 1), Err(Cause::Closed));
    }
}
