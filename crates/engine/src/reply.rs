//! Answers that Plimsoll gives itself.

use plimsoll_policy::model::ErrorFile;
use plimsoll_wire::h1::encode::Connection;

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

/// Leaves only the head: the answer to HEAD, behind which the client expects its next response.
pub(crate) fn drop_body(response: &mut Vec<u8>) {
    if let Some(end) = memchr::memmem::find(response, b"\r\n\r\n") {
        response.truncate(end + 4);
    }
}

/// The reason phrase and one sentence for a person.
fn texts(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("Bad Request", "The request could not be understood."),
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
