//! WebSockets over both versions of HTTP, towards clients and towards servers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use plimsoll_wire::websocket::Key;

use crate::rig::client::{Client, Response};
use crate::rig::origin::Origin;
use crate::rig::{Rig, free_address};

const DEFAULTS: &str = "global\n    nbthread 1\n\
    defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n";

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Takes the handshake of RFC 6455 section 1.3, greets, and sends back what it hears.
pub(crate) fn talker(rig: &Rig) -> Origin {
    rig.origin_raw("talker", |mut stream| {
        let _ = talk(&mut stream);
    })
}

fn talk(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let names = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let key = names.find("sec-websocket-key: ").expect("a key") + 19;
    stream.write_all(&granted(&head[key..key + 24]))?;
    let mut chunk = [0; 4_096];
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&chunk[..count])?;
    }
}

/// The answer to a key, and a greeting behind it.
fn granted(key: &[u8]) -> Vec<u8> {
    let accept = Key::read(key).expect("24 letters").accept();
    let accept = String::from_utf8_lossy(&accept).into_owned();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\nhello"
    )
    .into_bytes()
}

/// A listener that tells which version of HTTP it was spoken to in.
fn witness(name: &str, bind: &str, server: &str) -> String {
    format!(
        "listen {name}\n    bind {bind}\n    http-request set-var(txn.version) req.ver\n    \
         http-response set-header x-version %[var(txn.version)]\n    {server}\n"
    )
}

/// Opens a WebSocket and says something; what the server's side answered.
fn converse(address: SocketAddr) -> Response {
    let mut client = Client::connect(address);
    client.send(UPGRADE);
    let response = client.response();
    if response.status == 101 {
        assert_eq!(client.read_exact(5), b"hello");
        client.send("ping");
        assert_eq!(client.read_exact(4), b"ping");
        client.finish();
        assert!(client.is_closed());
    }
    response
}

#[test]
fn servers_are_asked_in_the_protocol_of_their_line() {
    let mut rig = Rig::new();
    let origin = talker(&rig);
    let (plain, secret) = (free_address(), free_address());
    let crt = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/tls/site.pem");
    let server = origin.server_line();
    let tls = format!("{secret} ssl crt {} alpn h2,http/1.1", crt.display());
    let mut text = DEFAULTS.to_owned();
    text += &witness("plain", &plain.to_string(), &server);
    text += &witness("secret", &tls, &server);
    text += "listen probe\n    bind {listen}\n    http-request return status 200\n";
    let mut cases = Vec::new();
    for (address, words, version) in [
        (plain, "", "1.1"),
        (plain, "proto h2", "2.0"),
        (plain, "ws h2", "2.0"),
        (plain, "proto h2 ws h1", "1.1"),
        (plain, "proto h2 ws h2", "2.0"),
        (secret, "ssl verify none alpn h2,http/1.1", "1.1"),
        (secret, "ssl verify none alpn h2,http/1.1 ws auto", "1.1"),
        (secret, "ssl verify none alpn h2,http/1.1 ws h2", "2.0"),
        (secret, "ssl verify none alpn h2,http/1.1 ws h1", "1.1"),
        (secret, "ssl verify none alpn h2", "2.0"),
        (secret, "ssl verify none", "1.1"),
    ] {
        let (front, number) = (free_address(), cases.len());
        text += &format!("listen case{number}\n    bind {front}\n    server s {address} {words}\n");
        cases.push((front, words, version));
    }
    rig.config(&text);
    for (front, words, version) in cases {
        // Twice: a connection that lies idle must not be taken for one that suits.
        for _ in 0..2 {
            let response = converse(front);
            assert_eq!(response.status, 101, "{words}");
            assert_eq!(response.field("x-version"), Some(version), "{words}");
        }
    }
}
