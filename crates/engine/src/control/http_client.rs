//! Requests of our own: to authorities, and to those that vouch for certificates.
//!
//! One request, one connection. What is absent: connections kept open, redirects.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_wire::h1::body::Decoder;
use plimsoll_wire::h1::response::{self, Asked};
use plimsoll_wire::h1::{Limits, Parse};
use plimsoll_wire::head::Head;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::tls::back::Back;

/// How long a request may take, from the look-up of the name to the last byte.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a connection may take to come about; then the next address is tried.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// Most addresses of a host that are tried.
const ADDRESSES_MAX: usize = 4;

/// Most bytes of an answer, head and body.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Bytes taken at once.
const CHUNK_BYTES: usize = 16_384;

/// A request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    /// The type of the body, and the body.
    pub(crate) content: Option<(&'a str, &'a [u8])>,
    /// Whom a request of http is made to instead, as `HOST:PORT`.
    pub(crate) proxy: Option<&'a str>,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: Head,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a field.
    pub(crate) fn field(&self, name: &'static str) -> Option<&str> {
        let value = self.head.value(name.as_bytes())?;
        std::str::from_utf8(value).ok()
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A URL taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place<'a> {
    secure: bool,
    /// Host and port, as the field `Host` has them.
    authority: &'a str,
    host: &'a str,
    port: u16,
    target: &'a str,
}

impl<'a> Place<'a> {
    /// `None` when it is no URL of http or https, or has what must not stand in a request.
    fn of(url: &'a str) -> Option<Self> {
        let (secure, rest) = match url.split_once("://")? {
            ("https", rest) => (true, rest),
            ("http", rest) => (false, rest),
            _ => return None,
        };
        let start = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(start);
        let target = target.split('#').next().unwrap_or_default();
        let odd = |byte: u8| !byte.is_ascii_graphic();
        if rest.bytes().any(odd) || authority.is_empty() || authority.contains('@') {
            return None;
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (authority, if secure { 443 } else { 80 }),
        };
        Some(Self {
            secure,
            authority,
            host: host.trim_start_matches('[').trim_end_matches(']'),
            port,
            target,
        })
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// Makes a request; the text says why nothing came of it. `tls` is how servers of https are spoken to.
pub(crate) async fn ask(tls: Option<&Arc<Back>>, request: Request<'_>) -> Result<Answer, String> {
    let place = Place::of(request.url).ok_or_else(|| format!("'{}' is no URL", request.url))?;
    let exchange = async {
        let mut stream = match request.proxy {
            Some(proxy) if !place.secure => plain(lookup_host(proxy).await?).await?,
            _ => connect(place, tls).await?,
        };
        stream.write_all(&encoded(place, request)).await?;
        receive(&mut *stream, request.method == "HEAD").await
    };
    match timeout(PATIENCE, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("{}: {error}", request.url)),
        Err(_) => Err(format!("{}: no answer in time", request.url)),
    }
}

async fn connect(place: Place<'_>, tls: Option<&Arc<Back>>) -> io::Result<Box<dyn Duplex>> {
    let stream = plain(lookup_host((place.host, place.port)).await?).await?;
    if !place.secure {
        return Ok(stream);
    }
    let tls = tls.ok_or(io::ErrorKind::Unsupported)?;
    let connector = TlsConnector::from(tls.config());
    let name = Back::server_name(Some(place.host));
    Ok(Box::new(connector.connect(name, stream).await?))
}

/// A connection to the first of these that takes one.
async fn plain(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<Box<dyn Duplex>> {
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses.take(ADDRESSES_MAX) {
        let tried = timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await;
        failure = match tried {
            Ok(Ok(stream)) => return Ok(Box::new(stream)),
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
    }
    Err(failure)
}

fn encoded(place: Place<'_>, request: Request<'_>) -> Vec<u8> {
    // A proxy is told whose target it is (RFC 9112 section 3.2.2).
    let origin = match request.proxy {
        Some(_) if !place.secure => format!("http://{}", place.authority),
        _ => String::new(),
    };
    let slash = if place.target.starts_with('/') {
        ""
    } else {
        "/"
    };
    let mut text = format!(
        "{} {origin}{slash}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: plimsoll/{}\r\nConnection: close\r\n",
        request.method,
        place.target,
        place.authority,
        env!("CARGO_PKG_VERSION"),
    );
    if let Some((kind, body)) = request.content {
        text += &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
    }
    let mut bytes = (text + "\r\n").into_bytes();
    bytes.extend_from_slice(request.content.map_or(&[][..], |(_, body)| body));
    bytes
}

async fn receive(stream: &mut dyn Duplex, is_head: bool) -> io::Result<Answer> {
    let malformed = |error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidData, error.to_string())
    };
    let asked = Asked {
        head: is_head,
        ..Asked::default()
    };
    let (mut head, mut bytes) = (Head::default(), Vec::new());
    let start = loop {
        if !more(stream, &mut bytes).await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let parse = response::parse(&bytes, &mut head, &Limits::default(), asked);
        match parse.map_err(|error| malformed(&error))? {
            // (Early hints and their like come before the answer.)
            Parse::Complete(length) if head.status < 200 => drop(bytes.drain(..length)),
            Parse::Complete(length) => break length,
            Parse::Partial => {}
        }
    };
    let mut decoder = Decoder::new(head.framing);
    let mut arrived = bytes.split_off(start);
    let mut body = Vec::new();
    loop {
        let decoded = decoder
            .decode(&mut arrived)
            .map_err(|broken| malformed(&broken.error))?;
        body.extend_from_slice(&arrived[decoded.payload]);
        arrived.clear();
        if decoder.is_done() {
            break;
        }
        if body.len() > ANSWER_BYTES_MAX {
            return Err(malformed(&"the answer is too long"));
        }
        if !more(stream, &mut arrived).await? {
            match decoder.ends_with_connection() {
                true => break,
                false => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
    Ok(Answer {
        status: head.status,
        head,
        body,
    })
}

/// Takes some bytes; `false` when there are no more.
async fn more(stream: &mut dyn Duplex, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0; CHUNK_BYTES];
    match stream.read(&mut chunk).await {
        Ok(count) => {
            bytes.extend_from_slice(&chunk[..count]);
            Ok(count > 0)
        }
        // Peers that end without the words for it are common; whether something is missing is seen later.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_apart() {
        let place =
            |url| Place::of(url).map(|place| (place.secure, place.host, place.port, place.target));
        assert_eq!(
            place("https://a.test/x?y"),
            Some((true, "a.test", 443, "/x?y"))
        );
        assert_eq!(place("http://a.test:81"), Some((false, "a.test", 81, "")));
        assert_eq!(place("http://[::1]:8/#z"), Some((false, "::1", 8, "/")));
        assert_eq!(place("http://[::1]"), Some((false, "::1", 80, "")));
        for wrong in [
            "",
            "ftp://a",
            "http://",
            "http://u@a/",
            "http://a/ b",
            "http://a/\r\nx",
            "http://a:x/",
            "http://ä/",
        ] {
            assert_eq!(Place::of(wrong), None, "{wrong}");
        }
    }

    fn received(text: &[u8], is_head: bool) -> io::Result<(u16, Vec<u8>)> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(async {
            let (mut near, mut far) = tokio::io::duplex(1 << 16);
            far.write_all(text).await.expect("room");
            drop(far);
            let answer = receive(&mut near, is_head).await?;
            Ok((answer.status, answer.body))
        })
    }

    #[test]
    fn answers_are_read_to_their_end() {
        for (text, is_head, expected) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                false,
                "ok",
            ),
            ("HTTP/1.1 200 OK\r\n\r\nok", false, "ok"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
                false,
                "ok",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true, ""),
        ] {
            let answer = received(text.as_bytes(), is_head).expect("an answer");
            assert_eq!(answer, (200, expected.into()), "{text}");
        }
        for cut in [
            "",
            "HTTP/1.1 200",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\no",
            "nonsense\r\n\r\n",
        ] {
            assert!(received(cut.as_bytes(), false).is_err(), "{cut}");
        }
    }
}
