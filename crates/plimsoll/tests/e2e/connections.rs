//! What tells connections to one server apart, and how those end that nobody serves.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use crate::rig::client::Client;
use crate::rig::{Rig, ask, free_address, until};

const DEFAULTS: &str = "global\n    nbthread 1\n    stats socket {socket} level admin\n\
    defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n    timeout check 20s\n    http-reuse always\n";

fn certificate() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/tls/site.pem")
}

fn defaults(rig: &Rig) -> String {
    let socket = rig.path("admin").display().to_string();
    DEFAULTS.replace("{socket}", &socket)
}

/// One request with fields of its own; the body.
fn get(client: &mut Client, fields: &str) -> String {
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: www.site.test\r\n{fields}\r\n"
    ));
    client.response().text()
}

#[test]
fn a_name_tells_connections_apart() {
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let text = format!(
        "{}listen web\n    bind {{listen}}\n    {} pool-conn-name req.hdr(x-name)\n",
        defaults(&rig),
        origin.server_line()
    );
    rig.config(&text);
    let mut client = rig.client();
    for (name, connections) in [("one", 1), ("one", 1), ("two", 2), ("one", 2), ("two", 2)] {
        let body = get(&mut client, &format!("X-Name: {name}\r\n"));
        assert_eq!(
            (body.as_str(), origin.connections()),
            ("a", connections),
            "{name}"
        );
    }
    // Without a name there is none that fits.
    get(&mut client, "");
    assert_eq!(origin.connections(), 3);
}

#[test]
fn a_port_that_follows_the_clients_tells_connections_apart() {
    let mut rig = Rig::new();
    let (a, b) = (rig.origin("a"), rig.origin("b"));
    let text = format!(
        "{}listen web\n    bind {{listen}}\n    http-request set-dst-port req.hdr(x-port)\n    \
         server s 127.0.0.1\n",
        defaults(&rig)
    );
    rig.config(&text);
    let mut client = rig.client();
    for origin in [&a, &a, &b, &a, &b] {
        let port = origin.address.port();
        assert_eq!(
            get(&mut client, &format!("X-Port: {port}\r\n")),
            origin.name
        );
    }
    assert_eq!((a.connections(), b.connections()), (1, 1));
}

#[test]
fn a_connection_speaks_for_the_client_it_was_introduced_with() {
    let mut rig = Rig::new();
    let hop = free_address();
    let text = format!(
        "{}listen hop\n    bind {hop} accept-proxy\n    http-request return status 200 content-type text/plain \
         lf-string \"%[src]:%[src_port] %[http_first_req]\"\n\
         listen web\n    bind {{listen}} accept-proxy\n    server s {hop} send-proxy\n",
        defaults(&rig)
    );
    let address = rig.config(&text);
    for (port, first) in [
        (40_000, 1),
        (50_000, 1),
        (40_000, 0),
        (60_000, 1),
        (50_000, 0),
    ] {
        let mut client = Client::connect(address);
        client.send(format!(
            "PROXY TCP4 10.1.2.3 {} {port} {}\r\n",
            address.ip(),
            address.port()
        ));
        for first in [first, 0] {
            assert_eq!(get(&mut client, ""), format!("10.1.2.3:{port} {first}"));
        }
    }
}

#[test]
fn tls_is_switched_on_and_off() {
    let mut rig = Rig::new();
    let hop = free_address();
    let text = format!(
        "{}listen hop\n    bind {hop} ssl crt {}\n    http-request return status 200 content-type text/plain string tls\n\
         listen web\n    bind {{listen}}\n    default-server ssl verify none\n    server s {hop} no-ssl\n",
        defaults(&rig),
        certificate().display()
    );
    rig.config(&text);
    let socket = rig.path("admin");
    assert_ne!(rig.get("/").status, 200);
    for (word, served) in [("on", true), ("off", false), ("on", true)] {
        let answer = ask(&socket, &format!("set server web/s ssl {word}"));
        assert_eq!(answer.trim_end(), "server ssl setting updated.");
        assert!(until(|| (rig.get("/").status == 200) == served), "{word}");
    }
}

#[test]
fn checks_ask_for_the_host_that_they_name() {
    let mut rig = Rig::new();
    let hop = free_address();
    let mut text = format!(
        "{}listen hop\n    bind {hop} ssl crt {}\n    \
         http-request return status 200 if {{ ssl_fc_sni app.site.test }}\n    http-request deny\n",
        defaults(&rig),
        certificate().display()
    );
    text += "listen probe\n    bind {listen}\n    http-request return status 200\n";
    let mut cases = Vec::new();
    for (check, words, passes) in [
        ("http-check send uri / hdr host app.site.test:443", "", true),
        ("http-check send uri / hdr host app.site.test", "", true),
        (
            "http-check send uri / hdr host app.site.test",
            "no-check-sni-auto",
            false,
        ),
        (
            "http-check send uri / hdr host other.test",
            "check-sni app.site.test",
            true,
        ),
        (
            "http-check send uri / hdr host app.site.test",
            "check-sni other.test",
            false,
        ),
        (
            "http-check connect default\n    http-check send uri / hdr host app.site.test",
            "",
            false,
        ),
    ] {
        let (front, number) = (free_address(), cases.len());
        // Whichever way the check goes, it changes something.
        let state = if passes { "down" } else { "up" };
        text += &format!(
            "listen case{number}\n    bind {front}\n    option httpchk\n    {check}\n    \
             http-request return status 200 if {{ nbsrv gt 0 }}\n    http-request deny status 503\n    \
             server s {hop} ssl verify none check inter 20ms rise 1 fall 1 init-state {state} {words}\n"
        );
        cases.push((front, format!("{check} {words}"), passes));
    }
    rig.config(&text);
    for (front, what, passes) in cases {
        let wanted = if passes { 200 } else { 503 };
        let turned = until(|| {
            let mut client = Client::connect(front);
            client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            client.response().status == wanted
        });
        assert!(turned, "{what}");
    }
}

#[test]
fn clients_whom_nobody_serves_hear_the_end() {
    let mut rig = Rig::new();
    let text = defaults(&rig).replace("mode http", "mode tcp");
    rig.config(&format!(
        "{text}frontend web\n    bind {{listen}}\n    tcp-request inspect-delay 1m\n    \
         tcp-request content accept if {{ req.len gt 0 }}\n"
    ));
    for _ in 0..30 {
        let mut stream = TcpStream::connect(rig.address()).expect("it accepts");
        stream.write_all(&[b'x'; 20_000]).expect("it takes bytes");
        let read = stream.read(&mut [0; 16]);
        assert!(matches!(read, Ok(0)), "{read:?}");
    }
}
