//! Answers that Plimsoll gives itself, as messages that any protocol can carry.

use plimsoll_policy::action;
use plimsoll_policy::context::Context;
use plimsoll_policy::model::ErrorFile;
use plimsoll_policy::rule::{self, Rule, Verdict};
use plimsoll_wire::h1::response::{self, Asked, Parse};
use plimsoll_wire::h1::{HEAD_FIELDS_MAX, Limits};
use plimsoll_wire::head::{FieldKind, Framing, Head};
use plimsoll_wire::uri;

/// A whole response.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// What logs and counters tell. A file may say something else to the client.
    pub(crate) status: u16,
    /// The client's connection ends behind it, whatever the client wishes.
    pub(crate) close: bool,
}

impl Reply {
    /// Reads a response that was written as HTTP/1 text, by a person perhaps: line ends may lack their CR, and the body
    /// is whatever follows the head. Without a length the connection ends behind it. `None`: it is empty, or no response.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let limits = Limits {
            bytes_max: text.len() + 1,
            fields_max: HEAD_FIELDS_MAX,
            lenient: true,
            ..Limits::default()
        };
        let mut head = Head::default();
        let parsed = response::parse(text, &mut head, &limits, Asked::default());
        let Ok(Parse::Complete(length)) = parsed else {
            return None;
        };
        let body = text[length..].to_vec();
        let close = !head.keep_alive;
        head.remove_kind(FieldKind::TransferEncoding);
        head.framing = match head.framing {
            Framing::None => Framing::None,
            _ => Framing::Length(body.len() as u64),
        };
        Some(Self {
            status: head.status,
            head,
            body,
            close,
        })
    }

    /// Leaves only the head: the answer to HEAD, behind which the client expects its next response.
    pub(crate) fn drop_body(&mut self) {
        self.body.clear();
        self.head.framing = Framing::None;
    }
}

/// The error response for `status`: the configured file, or ours. `None`: the file is empty, to say nothing at all.
pub(crate) fn error(status: u16, files: &[ErrorFile]) -> Option<Reply> {
    let file = files.iter().find(|file| file.status == status);
    if file.is_some_and(|file| file.content.is_empty()) {
        return None;
    }
    if let Some(reply) = file.and_then(|file| Reply::read(&file.content)) {
        return Some(Reply { status, ..reply });
    }
    let (reason, sentence) = texts(status);
    let body = format!("<html><body><h1>{status} {reason}</h1>\n{sentence}\n</body></html>\n");
    let text = format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-length: {}\r\ncache-control: no-cache\r\ncontent-type: text/html\r\n\r\n{body}",
        body.len(),
    );
    Reply::read(text.as_bytes())
}

/// Sends whoever asked for `target` to the same path behind a prefix.
pub(crate) fn redirect(prefix: &str, target: &[u8]) -> Option<Reply> {
    let target = uri::split(target);
    let mut location = prefix.as_bytes().to_vec();
    location.extend_from_slice(target.path.unwrap_or(b"/"));
    if let Some(query) = target.query {
        location.push(b'?');
        location.extend_from_slice(query);
    }
    let text = b"HTTP/1.1 302 Found\r\ncache-control: no-cache\r\ncontent-length: 0\r\n\r\n";
    let mut reply = Reply::read(text)?;
    reply.head.add(b"location", &location).then_some(reply)
}

/// The rule that makes the answer to `status`, where `http-error` says so.
pub(crate) fn composed(status: u16, files: &[ErrorFile]) -> Option<&Rule> {
    let file = files.iter().find(|file| file.status == status)?;
    file.composed.as_ref()
}

/// The answer that such a rule makes now.
pub(crate) fn compose(rule: &Rule, context: &mut Context<'_>) -> Option<Reply> {
    match rule::run(std::slice::from_ref(rule), 0, context) {
        Verdict::Stop {
            flow: action::Flow::Reply(reply),
            ..
        } if reply.stock => error(reply.head.status, &[]),
        Verdict::Stop {
            flow: action::Flow::Reply(reply),
            ..
        } => Some(of_rule(*reply)),
        _ => None,
    }
}

/// The answer that a rule has made.
pub(crate) fn of_rule(reply: action::Reply) -> Reply {
    let action::Reply {
        status,
        mut head,
        body,
        close,
        ..
    } = reply;
    head.set_length(body.len() as u64);
    if head.reason.is_empty() {
        head.reason = head.push(plimsoll_wire::reason::reason(head.status).as_bytes());
    }
    Reply {
        head,
        body,
        status,
        close,
    }
}

/// The reason phrase and one sentence for a person.
fn texts(status: u16) -> (&'static str, &'static str) {
    match status {
        200 => ("OK", "Service ready."),
        400 => ("Bad Request", "The request could not be understood."),
        401 => ("Unauthorized", "You need a valid user and password."),
        403 => ("Forbidden", "Request forbidden by administrative rules."),
        404 => ("Not Found", "The resource could not be found."),
        405 => (
            "Method Not Allowed",
            "The method is not allowed for this resource.",
        ),
        407 => (
            "Proxy Authentication Required",
            "You need a valid user and password.",
        ),
        410 => ("Gone", "The resource is no longer there."),
        425 => ("Too Early", "The request was sent too early."),
        429 => (
            "Too Many Requests",
            "Too many requests arrived in a given time.",
        ),
        408 => ("Request Timeout", "The request did not arrive in time."),
        413 => (
            "Content Too Large",
            "The request is larger than this server accepts.",
        ),
        414 => (
            "URI Too Long",
            "The address is longer than this server accepts.",
        ),
        421 => (
            "Misdirected Request",
            "This server does not answer for that name.",
        ),
        422 => (
            "Unprocessable Content",
            "The request uses a transfer coding that is not supported here.",
        ),
        431 => (
            "Request Header Fields Too Large",
            "The request's header is larger than this server accepts.",
        ),
        500 => (
            "Internal Server Error",
            "The proxy failed to handle the request.",
        ),
        501 => (
            "Not Implemented",
            "The request needs something that is not implemented here.",
        ),
        502 => (
            "Bad Gateway",
            "The server gave an incomplete or invalid answer.",
        ),
        503 => (
            "Service Unavailable",
            "No server is available to handle this request.",
        ),
        504 => ("Gateway Timeout", "The server did not answer in time."),
        505 => (
            "HTTP Version Not Supported",
            "This version of HTTP is not supported.",
        ),
        _ => ("Error", "The request could not be handled."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> ErrorFile {
        ErrorFile::new(503, content.into())
    }

    #[test]
    fn every_error_has_an_answer() {
        for status in [
            400, 408, 413, 414, 421, 422, 431, 500, 501, 502, 503, 504, 505, 599,
        ] {
            let reply = error(status, &[]).expect("an answer");
            assert_eq!(reply.head.status, status);
            assert_eq!(reply.head.framing, Framing::Length(reply.body.len() as u64));
            assert!(!reply.close && reply.body.starts_with(b"<html>"));
        }
    }

    #[test]
    fn files_are_read_as_people_write_them() {
        let unix = file(
            b"HTTP/1.0 503 Sorry\nContent-Type: text/plain\nContent-Length: 99\n\nback soon\n",
        );
        let reply = error(503, &[unix]).expect("an answer");
        assert_eq!(
            (reply.head.status, reply.head.reason()),
            (503, &b"Sorry"[..])
        );
        assert_eq!((&*reply.body, reply.close), (&b"back soon\n"[..], true));
        assert_eq!(reply.head.framing, Framing::Length(10));
        // Nothing at all is an answer too; what is no response is not.
        assert!(error(503, &[file(b"")]).is_none());
        let ours = error(503, &[file(b"sorry")]).expect("an answer");
        assert!(ours.body.starts_with(b"<html>"));
    }
}
