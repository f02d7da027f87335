//! Rules through the real binary: what is decided in `policy` has the effect that clients and servers see.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use crate::rig::client::Response;
use crate::rig::origin::{Reply, Request};
use crate::rig::peer::require_peer;
use crate::rig::{Rig, run};

/// A frontend with these lines, and two backends that answer with the head they saw.
fn rig(lines: &str) -> Rig {
    let mut rig = Rig::new();
    let told =
        |request: &Request| Reply::ok(&format!("{}\n{}", request.line, request.fields.join("\n")));
    let (a, b) = (rig.origin_with("a", told), rig.origin_with("b", told));
    let text = format!(
        "defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         frontend web\n    bind {{listen}}\n{lines}    default_backend first\n\
         backend first\n    http-response set-header x-backend first\n    {}\n\
         backend second\n    http-response set-header x-backend second\n    {}\n",
        a.server_line(),
        b.server_line()
    );
    rig.config(&text);
    rig
}

fn ask(rig: &Rig, request: &str) -> Response {
    let mut client = rig.client();
    client.send(request);
    client.response()
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x.example\r\n{fields}\r\n")
}

#[test]
fn rules_answer_in_place_of_servers() {
    let rig = rig("    acl bad hdr_sub(user-agent) -i evil\n\
         \x20   http-request deny if bad\n\
         \x20   http-request deny status 429 if { path /busy }\n\
         \x20   http-request redirect scheme https code 301 if { path_beg /secure }\n\
         \x20   http-request return status 200 content-type text/plain lf-string \"%[req.hdr(host),upper]\" if { path /hello }\n\
         \x20   http-after-response set-header x-after yes\n");
    for (path, fields, status) in [
        ("/", "User-Agent: very EVIL\r\n", 403),
        ("/busy", "", 429),
        ("/secure/a?b", "", 301),
        ("/hello", "", 200),
        ("/", "", 200),
    ] {
        let response = ask(&rig, &get(path, fields));
        assert_eq!(response.status, status, "{path}");
        assert_eq!(response.field("x-after"), Some("yes"), "{path}");
        match path {
            "/hello" => assert_eq!(response.text(), "X.EXAMPLE"),
            "/secure/a?b" => assert_eq!(
                response.field("location"),
                Some("https://x.example/secure/a?b")
            ),
            _ => {}
        }
    }
}

/// What a server sends as the body of a response that must not have one would be taken for the next response.
#[test]
fn a_status_without_a_body_leaves_none() {
    let rig = rig("    http-request set-var(txn.path) path\n\
         \x20   http-request deny if { path /denied }\n\
         \x20   http-request return status 204 if { path /returned }\n\
         \x20   http-response set-status 204 if { var(txn.path) -m str /204 }\n\
         \x20   http-response set-status 103 if { var(txn.path) -m str /103 }\n\
         \x20   http-response set-status 304 if { var(txn.path) -m str /304 }\n\
         \x20   http-after-response set-status 204 if { var(txn.path) -m str /denied }\n");
    for (path, status) in [
        ("/204", 204),
        ("/304", 304),
        ("/denied", 204),
        ("/returned", 204),
    ] {
        let mut client = rig.client();
        client.send(get(path, "") + &get("/next", ""));
        let response = client.response();
        assert_eq!(response.status, status, "{path}");
        assert_eq!(response.field("transfer-encoding"), None, "{path}");
        let length = match path {
            "/304" => response.field("content-length").map(|_| "some"),
            _ => response.field("content-length"),
        };
        let told = match path {
            "/304" => Some("some"),
            "/returned" => Some("0"),
            _ => None,
        };
        assert_eq!(length, told, "{path}");
        let next = client.response();
        assert_eq!(
            (next.status, next.text().lines().next()),
            (200, Some("GET /next HTTP/1.1")),
            "{path}"
        );
    }
    // Such a status promises another response, which never comes.
    let mut client = rig.client();
    client.send(get("/103", "") + &get("/next", ""));
    let rest = String::from_utf8(client.read_to_end()).unwrap();
    assert!(
        rest.starts_with("HTTP/1.1 103 ") && rest.ends_with("\r\n\r\n") && !rest.contains("/next"),
        "{rest}"
    );
    if let Some(curl) = require_peer("curl") {
        for (path, status) in [
            ("204", "204"),
            ("304", "304"),
            ("denied", "204"),
            ("next", "200"),
        ] {
            let url = format!("http://{}/{path}", rig.address());
            let words = ["-s", "--http2-prior-knowledge", "-o", "/dev/null", "-w"];
            let mut curl = Command::new(&curl);
            let outcome = run(curl
                .args(words)
                .args(["%{http_code} %{http_version}", &url]));
            assert_eq!(outcome.status, Some(0), "{path}: {}", outcome.stderr);
            assert_eq!(outcome.stdout, format!("{status} 2"), "{path}");
        }
    }
}

#[test]
fn rules_change_messages_and_choose_backends() {
    let rig = rig("    http-request set-header x-client %[src]\n\
         \x20   http-request del-header x-secret\n\
         \x20   http-request set-var(txn.path) path,lower\n\
         \x20   http-response add-header x-path %[var(txn.path)]\n\
         \x20   use_backend second if { path_beg /second } METH_GET\n\
         \x20   use_backend %[req.hdr(x-to)] if { req.hdr(x-to) -m found }\n");
    for (path, fields, backend) in [
        ("/First", "X-Secret: 1\r\n", "first"),
        ("/second", "", "second"),
        ("/", "X-To: second\r\n", "second"),
        ("/", "X-To: nowhere\r\n", "first"),
    ] {
        let response = ask(&rig, &get(path, fields));
        assert_eq!(response.field("x-backend"), Some(backend), "{path}");
        let path = path.to_ascii_lowercase();
        assert_eq!(response.field("x-path"), Some(path.as_str()));
        let seen = response.text().to_ascii_lowercase();
        assert!(seen.contains("x-client: 127.0.0.1"), "{seen}");
        assert!(!seen.contains("x-secret"), "{seen}");
    }
}

#[test]
fn connections_and_first_bytes_are_judged() {
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    rig.config(&format!(
        "defaults\n    mode tcp\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         listen relay\n    bind {{listen}}\n    tcp-request connection reject if {{ src 127.0.0.2 }}\n\
         \x20   tcp-request inspect-delay 1m\n    tcp-request content accept if TRUE\n    {}\n",
        origin.server_line()
    ));
    assert_eq!(ask(&rig, &get("/", "")).text(), "a");
    let Some(python) = require_peer("python3") else {
        return;
    };
    let refused = is_closed_from(&python, [127, 0, 0, 2], rig.address());
    assert!(refused, "a connection from 127.0.0.2 is closed");
}

/// Whether a connection from this address is closed without an answer to a request.
fn is_closed_from(python: &Path, from: [u8; 4], to: SocketAddr) -> bool {
    let script = format!(
        "import socket\ns = socket.socket()\ns.bind(('{}', 0))\ns.settimeout(60)\n\
         s.connect(('{}', {}))\ntry:\n    s.send(b'GET / HTTP/1.0\\r\\n\\r\\n')\n    print(len(s.recv(1)))\n\
         except ConnectionError:\n    print(0)\n",
        Ipv4Addr::from(from),
        to.ip(),
        to.port()
    );
    let output = Command::new(python).args(["-c", &script]).output();
    let output = output.expect("python3 runs");
    String::from_utf8_lossy(&output.stdout).trim() == "0"
}

/// A label is no decision: the rules behind it run, in every set.
#[test]
fn packets_are_labelled_and_rules_go_on() {
    let mut rig = Rig::new();
    let origin = rig.origin("s1");
    rig.config(&format!(
        "defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         frontend web\n    bind {{listen}}\n    tcp-request connection set-fc-tos 0x20\n    tcp-request connection set-fc-mark 7\n\
         \x20   tcp-request connection set-var(sess.a) str(one)\n    tcp-request session set-tos 8\n\
         \x20   tcp-request session set-var(sess.b) str(two)\n    tcp-request content set-tos 8\n\
         \x20   http-request set-tos 16\n    http-request return status 200 content-type text/plain lf-string %[var(sess.a)],%[var(sess.b)] if {{ path /a }}\n\
         \x20   default_backend app\nbackend app\n    http-response set-tos 24\n    http-response set-header x-behind it\n    {}\n",
        origin.server_line()
    ));
    assert_eq!(rig.get("/a").body, b"one,two");
    let response = rig.get("/b");
    assert_eq!(response.field("x-behind"), Some("it"));
}

/// Packets of one label take another way than those of another: a connection carries only its own.
#[test]
fn connections_to_servers_keep_to_their_labels() {
    let mut rig = Rig::new();
    let origin = rig.origin("s1");
    rig.config(&format!(
        "global\n    nbthread 1\n\
         defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         frontend web\n    bind {{listen}}\n    http-request set-bc-tos req.hdr(tos)\n    default_backend app\n\
         backend app\n    http-reuse always\n    {}\n",
        origin.server_line()
    ));
    let mut client = rig.client();
    for tos in ["8", "16", "8", "16", "x", "x"] {
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\nTos: {tos}\r\n\r\n"));
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(origin.connections(), 3);
}
