//! HAProxy as a judge: what it forwards and what it refuses, head by head, against what we do; and whether it reads our
//! PROXY protocol headers as we read its own.
//!
//! Skipped without HAProxy, unless `PLIMSOLL_REQUIRE_PEERS` is set.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_wire::h1::encode::{self, Connection};
use plimsoll_wire::h1::request::{Parse, RequestError, parse};
use plimsoll_wire::h1::{HeadError, Limits};
use plimsoll_wire::head::Head;
use plimsoll_wire::proxy_protocol::{self, Endpoints, v1, v2};

/// How long a verdict may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether HAProxy is there.
#[expect(clippy::print_stderr, reason = "a skip has to be seen")]
fn haproxy_installed() -> bool {
    let found = Command::new("haproxy")
        .arg("-v")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_ok() {
        return true;
    }
    let required = std::env::var_os("PLIMSOLL_REQUIRE_PEERS").is_some_and(|set| set == "1");
    assert!(
        !required,
        "haproxy is not installed, and peers are required"
    );
    eprintln!("SKIPPED: haproxy is not installed");
    false
}

/// A HAProxy between us and ourselves.
struct Judge {
    process: Child,
    front: std::net::SocketAddr,
    origin: TcpListener,
}

impl Judge {
    /// With these words behind `bind` and `server`.
    fn start(bind: &str, server_words: &str) -> Self {
        let origin = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let front = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = front.local_addr().expect("it is bound");
        let server = origin.local_addr().expect("it is bound");
        let config = format!(
            "defaults\n mode http\n timeout connect 20s\n timeout client 1m\n timeout server 1m\n\
             listen judge\n bind fd@0 {bind}\n retries 0\n server origin {server} {server_words}\n"
        );
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("judge-{}.cfg", address.port()));
        fs::write(&path, config).expect("the folder for temporary files is writable");
        let process = Command::new("haproxy")
            .args(["-db", "-f"]) // not -q, which would close the inherited listener
            .arg(&path)
            .stdin(Stdio::from(OwnedFd::from(front)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("haproxy starts");
        Self {
            process,
            front: address,
            origin,
        }
    }

    /// What the origin gets to see of a request: its head, or the status with which it was refused.
    fn pass(&self, request: &[u8]) -> Result<String, u16> {
        let mut client = TcpStream::connect(self.front).expect("the judge listens");
        client.write_all(request).expect("the judge reads");
        client.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        self.origin.set_nonblocking(true).expect("a flag");
        let deadline = Instant::now() + PATIENCE;
        let mut answer = [0; 12];
        client.set_nonblocking(true).expect("a flag");
        loop {
            if let Ok((server, _)) = self.origin.accept() {
                return Ok(head_of(server));
            }
            if client
                .peek(&mut answer)
                .is_ok_and(|count| count == answer.len())
            {
                let status = std::str::from_utf8(&answer[9..])
                    .ok()
                    .and_then(|text| text.parse().ok());
                return Err(status.expect("a status line"));
            }
            assert!(
                Instant::now() < deadline,
                "no verdict on {}",
                request.escape_ascii()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Judge {
    /// What the origin is told of a client that came with `header`.
    fn relay_header(&self, header: &[u8]) -> Option<Endpoints> {
        let mut client = TcpStream::connect(self.front).expect("the judge listens");
        client.write_all(header).expect("the judge reads");
        client
            .write_all(b"GET / HTTP/1.1\r\n\r\n")
            .expect("the judge reads");
        self.origin.set_nonblocking(true).expect("a flag");
        let deadline = Instant::now() + PATIENCE;
        let mut server = loop {
            match self.origin.accept() {
                Ok((server, _)) => break server,
                Err(_) => assert!(
                    Instant::now() < deadline,
                    "refused: {}",
                    header.escape_ascii()
                ),
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        server.set_nonblocking(false).expect("a flag");
        server.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        let (mut seen, mut byte) = (Vec::new(), [0]);
        loop {
            server
                .read_exact(&mut byte)
                .expect("the judge says who it is");
            seen.push(byte[0]);
            match proxy_protocol::parse(&seen).expect("a sound header") {
                proxy_protocol::Parse::Complete(header, _) => return header.endpoints,
                proxy_protocol::Parse::Partial => {}
            }
        }
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn head_of(mut server: TcpStream) -> String {
    server.set_nonblocking(false).expect("a flag");
    server.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        server
            .read_exact(&mut byte)
            .expect("the judge forwards whole heads");
        head.push(byte[0]);
    }
    let _ = server.shutdown(Shutdown::Both);
    head.escape_ascii().to_string()
}

fn ours(request: &[u8]) -> Result<String, RequestError> {
    let mut head = Head::default();
    assert!(matches!(
        parse(request, &mut head, &Limits::default())?,
        Parse::Complete(_)
    ));
    let connection = if head.upgrade {
        Connection::Upgrade
    } else {
        Connection::Implied
    };
    let mut out = Vec::new();
    encode::request(&head, connection, head.framing, &mut out);
    Ok(out.escape_ascii().to_string())
}

/// Requests that both forward, byte for byte alike.
const FORWARDED: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: A\r\nX-Y:z  \r\nX-Z: \t a b\t\r\nEmpty:\r\n\r\n",
    "get /%41?b=c;d HTTP/1.1\r\nUser-Agent: x\r\n\r\n",
    "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nHost: A\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive , Foo,bar, close\r\nFoo: 1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\nConnection: te\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n",
    "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\nContent-Length: 03\r\nX: y\r\n\r\nabc",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-maybe\r\nContent-Length: 0\r\n\r\n",
    "CONNECT a:81 HTTP/1.1\r\nHost: a:81\r\nContent-Length: 3\r\n\r\n",
    "GET http://u:p@h:80/a HTTP/1.1\r\nHost: h:80\r\nX: y\r\n\r\n",
    "GET https://h:443/a HTTP/1.1\r\nX: y\r\nHost: h:443\r\n\r\n",
    "GET http://h:8080/a HTTP/1.1\r\nHost: h:8080\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nX: y\r\n\r\n",
];

/// Requests that both refuse, with the same status.
const REFUSED: &[&str] = &[
    "\x16\x03\x01\x02",
    "GET / HTTP/1.1\r\n: b\r\n\r\n",
    "GET / HTTP/1.1\r\nA : b\r\n\r\n",
    "GET / HTTP/1.1\r\nA(: b\r\n\r\n",
    "GET / HTTP/1.1\r\nA\r\n\r\n",
    "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
    "GET / HTTP/1.1\r\n A: b\r\n\r\n",
    "GET /a\x01b HTTP/1.1\r\n\r\n",
    "GET /a b HTTP/1.1\r\n\r\n",
    "GET /a\r\n\r\n",
    "GET / HTTX/1.1\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 3,\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "GET / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
    "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT a:80 HTTP/1.1\r\nHost: b:80\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
];

/// Requests that HAProxy repairs, or passes on as they are, and that we refuse: two readers could take them differently.
const STRICTER: &[(&str, RequestError)] = &[
    (
        "GET / HTTP/1.1\nHost: a\n\n",
        RequestError::Head(HeadError::BareLineFeed),
    ),
    (
        "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        RequestError::Head(HeadError::FoldedLine),
    ),
    (
        "GET / HTTP/1.1\r\nA: b\x01\r\n\r\n",
        RequestError::Head(HeadError::ControlByte),
    ),
    ("GET / HTTP/2.0\r\n\r\n", RequestError::UnsupportedVersion),
];

#[test]
fn requests_are_forwarded_and_refused_as_haproxy_does() {
    if !haproxy_installed() {
        return;
    }
    let judge = Judge::start("", "");
    for request in FORWARDED {
        let expected = judge.pass(request.as_bytes());
        assert_eq!(
            ours(request.as_bytes()).map_err(RequestError::status),
            expected,
            "{request:?}"
        );
    }
    for request in REFUSED {
        let expected = judge.pass(request.as_bytes());
        assert!(expected.is_err(), "{request:?} was forwarded: {expected:?}");
        assert_eq!(
            ours(request.as_bytes()).map_err(RequestError::status),
            expected,
            "{request:?}"
        );
    }
    for (request, error) in STRICTER {
        assert!(
            judge.pass(request.as_bytes()).is_ok(),
            "HAProxy refuses {request:?} as well"
        );
        assert_eq!(ours(request.as_bytes()), Err(*error), "{request:?}");
    }
}

#[test]
fn proxy_headers_are_understood_both_ways() {
    if !haproxy_installed() {
        return;
    }
    let endpoints = [
        ("192.0.2.1:56324", "198.51.100.1:443"),
        ("[2001:db8::1]:1", "[2001:db8::2]:65535"),
        ("192.0.2.1:1", "[2001:db8::2]:2"),
    ];
    for version in [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 proxy-v2-options crc32c",
    ] {
        let judge = Judge::start("accept-proxy", version);
        for (source, destination) in endpoints {
            let address = |text: &str| text.parse().expect("a socket address");
            let endpoints = Endpoints {
                source: address(source),
                destination: address(destination),
            };
            let (mut line, mut plain, mut checked) = (Vec::new(), Vec::new(), Vec::new());
            v1::encode(Some(endpoints), &mut line);
            v2::encode(Some(endpoints), &[], None, &mut plain).expect("it fits");
            v2::encode(Some(endpoints), &[], Some(0), &mut checked).expect("it fits");
            for header in [line, plain, checked] {
                let seen = judge.relay_header(&header);
                assert_eq!(
                    seen,
                    Some(endpoints.in_one_family()),
                    "{version} {}",
                    header.escape_ascii()
                );
            }
        }
    }
}
