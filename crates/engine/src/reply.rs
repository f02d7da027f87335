//! Answers that Plimsoll gives itself.

use plimsoll_policy::action::Reply;
use plimsoll_policy::model::ErrorFile;
use plimsoll_wire::h1::encode::Connection;
use plimsoll_wire::h1::response::{self, Asked};
use plimsoll_wire::h1::{Limits, Parse};
use plimsoll_wire::head::Head;

/// Appends the error response for `status` to `out`: the configured file, or ours.
///
/// Returns whether the connection must close behind it; files are sent as they are, and close.
pub(crate) fn error(
    status: u16,
    files: &[ErrorFile],
    connection: Connection,
    out: &mut Vec<u8>,
) -> bool {
    if let Some(file) = files.iter().find(|file| file.status == status) {
        out.extend_from_slice(&file.content);
        return true;
    }
    let (reason, sentence) = texts(status);
    let body = format!("<html><body><h1>{status} {reason}</h1>\n{sentence}\n</body></html>\n");
    let field = match connection {
        Connection::Close => "connection: close\r\n",
        Connection::KeepAlive => "connection: keep-alive\r\n",
        _ => "",
    };
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-length: {}\r\ncache-control: no-cache\r\n{field}content-type: text/html\r\n\r\n",
        body.len(),
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.as_bytes());
    connection == Connection::Close
}

/// The error response for `status` as head and body: the configured file, or ours.
pub(crate) fn stock(status: u16, files: &[ErrorFile]) -> Reply {
    let mut bytes = Vec::new();
    let close = error(status, files, Connection::Implied, &mut bytes);
    let mut head = Head::default();
    let parsed = response::parse(&bytes, &mut head, &Limits::default(), Asked::default());
    match parsed {
        Ok(Parse::Complete(length)) => Reply {
            head,
            body: bytes.split_off(length.min(bytes.len())),
            close,
            ..Reply::default()
        },
        // A file that is no response has nothing for rules to look at.
        _ => Reply {
            close: true,
            ..Reply::new(status, bytes)
        },
    }
}

/// Leaves only the head: the answer to HEAD, behind which the client expects its next response.
pub(crate) fn drop_body(response: &mut Vec<u8>) {
    if let Some(end) = memchr::memmem::find(response, b"\r\n\r\n") {
        response.truncate(end + 4);
    }
}

/// The reason phrase of a status, as RFC 9110 and its like have it.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        429 => "Too Many Requests",
        other => texts(other).0,
    }
}

/// The reason phrase and one sentence for a person.
fn texts(status: u16) -> (&'static str, &'static str) {
    match status {
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
