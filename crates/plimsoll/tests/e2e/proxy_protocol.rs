//! The PROXY protocol through the real binary: headers of clients are believed where the configuration says so, and
//! servers are told.

use crate::rig::Rig;
use crate::rig::origin::{Origin, Reply, Request};

const DEFAULTS: &str = "defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n";

/// An origin that answers with the fields it saw.
fn teller(rig: &Rig) -> Origin {
    rig.origin_with("a", |request: &Request| {
        Reply::ok(&request.fields.join("\n"))
    })
}

/// What the origin saw when a client sent these bytes before its request; `None`: the connection was closed.
fn seen(rig: &Rig, before: &[u8]) -> Option<String> {
    let mut client = rig.client();
    // At once: behind a header that is refused the connection may be gone already.
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    client.send([before, request].concat());
    let bytes = client.read_to_end();
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn headers_of_clients_tell_addresses() {
    let mut rig = Rig::new();
    let origin = teller(&rig);
    rig.config(&format!(
        "{DEFAULTS}listen web\n    bind {{listen}} accept-proxy\n\
         \x20   http-request set-header x-from %[src]:%[src_port]-%[dst]:%[dst_port]\n    {}\n",
        origin.server_line()
    ));
    let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    second.extend([192, 0, 2, 7, 198, 51, 100, 8, 0x10, 0x00, 0x01, 0xbb]);
    for (header, from) in [
        (
            &b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"[..],
            "x-from: 192.0.2.1:56324-198.51.100.1:443",
        ),
        (
            &b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n"[..],
            "x-from: 2001:db8::1:1-2001:db8::2:2",
        ),
        (&b"PROXY UNKNOWN\r\n"[..], "x-from: 127.0.0.1"),
        (&second, "x-from: 192.0.2.7:4096-198.51.100.8:443"),
    ] {
        let seen = seen(&rig, header).unwrap_or_default();
        assert!(seen.contains(from), "{from}: {seen}");
    }
    for header in [
        &b""[..],
        b"PROXY TCP4 nonsense\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
    ] {
        assert_eq!(seen(&rig, header), None);
    }
}

#[test]
fn a_rule_may_expect_headers() {
    let mut rig = Rig::new();
    let origin = teller(&rig);
    rig.config(&format!(
        "{DEFAULTS}listen web\n    bind {{listen}}\n\
         \x20   tcp-request connection expect-proxy layer4 if {{ src 127.0.0.0/8 }}\n\
         \x20   tcp-request session reject if {{ src 192.0.2.66 }}\n\
         \x20   http-request set-header x-from %[src]\n    {}\n",
        origin.server_line()
    ));
    let friend = seen(&rig, b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n").unwrap_or_default();
    assert!(friend.contains("x-from: 192.0.2.1"), "{friend}");
    assert_eq!(
        seen(&rig, b"PROXY TCP4 192.0.2.66 198.51.100.1 1 2\r\n"),
        None
    );
}

#[test]
fn servers_are_told_in_both_versions() {
    for option in [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 proxy-v2-options crc32c",
    ] {
        for mode in ["http", "tcp"] {
            let mut inner = Rig::new();
            let origin = teller(&inner);
            let address = inner.config(&format!(
                "{DEFAULTS}listen web\n    bind {{listen}} accept-proxy\n\
                 \x20   http-request set-header x-from %[src]:%[src_port]\n    {}\n",
                origin.server_line()
            ));
            let mut outer = Rig::new();
            outer.config(&format!(
                "{DEFAULTS}listen web\n    mode {mode}\n    bind {{listen}}\n    server a {address} {option}\n"
            ));
            let mut client = outer.client();
            let expected = format!("x-from: {}", client.local_address());
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            let seen = client.response().text();
            assert!(seen.contains(&expected), "{option} in {mode}: {seen}");
        }
    }
}
