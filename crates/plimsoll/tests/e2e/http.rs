//! HTTP/1.1 through the real binary. The many cases live in the engine's simulation; these show that the parts fit.

use std::time::Duration;

use crate::rig::client::Client;
use crate::rig::origin::{Origin, Reply};
use crate::rig::{Rig, ask, free_address, until};

fn text(backend: &str) -> String {
    format!(
        "defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         frontend web\n    bind {{listen}}\n    default_backend app\n\
         backend app\n    balance roundrobin\n{backend}"
    )
}

fn servers(origins: &[&Origin]) -> String {
    let lines = origins
        .iter()
        .map(|origin| format!("    {}\n", origin.server_line()));
    lines.collect()
}

#[test]
fn requests_take_turns() {
    let mut rig = Rig::new();
    let (a, b, c) = (rig.origin("a"), rig.origin("b"), rig.origin("c"));
    rig.config_with(
        &format!("global\n    nbthread 1\n{}", text(&servers(&[&a, &b, &c]))),
        &["-db"],
    );
    let answers: Vec<String> = (0..6).map(|_| rig.get("/").text()).collect();
    assert_eq!(answers, ["a", "b", "c", "a", "b", "c"]);
}

#[test]
fn keep_alive_reuses_both_sides() {
    let mut rig = Rig::new();
    let a = rig.origin("a");
    rig.config(&text(&servers(&[&a])));
    let mut client = rig.client();
    for number in 0..5 {
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(client.response().text(), "a");
    }
    let requests = a.requests();
    let lines: Vec<_> = requests
        .iter()
        .map(|request| request.line.as_str())
        .collect();
    assert_eq!(lines[4], "GET /4 HTTP/1.1");
    assert!(
        a.connections() <= 2,
        "{} connections for one client",
        a.connections()
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut rig = Rig::new();
    let a = rig.origin_with("a", |request| Reply::ok(&request.line));
    rig.config(&text(&servers(&[&a])));
    let mut client = rig.client();
    client.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\n");
    for number in 1..=3 {
        assert_eq!(client.response().text(), format!("GET /{number} HTTP/1.1"));
    }
}

/// Many clients send the whole of a body before they look for an answer.
#[test]
fn an_upload_that_is_refused_is_heard_to_its_end() {
    let mut rig = Rig::new();
    let a = rig.origin("a");
    let too_large =
        "    http-request deny deny_status 413 if { req.hdr_val(content-length) gt 1000 }\n";
    rig.config(&text(&(too_large.to_owned() + &servers(&[&a]))));
    let mut client = rig.client();
    let length = 8 << 20;
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    ));
    for _ in 0..length >> 16 {
        client.send(vec![b'x'; 1 << 16]);
    }
    assert_eq!(client.response().status, 413);
}

#[test]
fn bodies_pass_in_both_framings() {
    let mut rig = Rig::new();
    let a = rig.origin_with("a", |request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
        Reply::Send(answer.into_bytes())
    });
    rig.config(&text(&servers(&[&a])));
    let mut client = rig.client();
    let long = "x".repeat(200_000);
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{long}",
        long.len()
    ));
    assert_eq!(client.response().text(), long);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;e=1\r\ndefg\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "abcdefg");
    assert_eq!(a.requests().len(), 2);
}

#[test]
fn smuggling_is_refused_and_reaches_nobody() {
    let mut rig = Rig::new();
    let a = rig.origin("a");
    rig.config(&text(&servers(&[&a])));
    let cases = [
        "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "Content-Length: +3\r\n\r\nabc",
        "Content-Length : 3\r\n\r\nabc",
        "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "X: a\r\n folded: b\r\n\r\n",
        "X: a\0b\r\n\r\n",
        "X: a\rb\r\n\r\n",
        ": empty\r\n\r\n",
    ];
    for case in cases {
        let mut client = rig.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\n{case}"));
        let response = client.response();
        assert!(
            matches!(response.status, 400 | 422),
            "{case:?} got {}",
            response.status
        );
        assert!(client.is_closed(), "{case:?}");
    }
    assert_eq!(a.requests().len(), 0);
}

#[test]
fn faults_of_servers_have_their_statuses() {
    let mut rig = Rig::new();
    let silent = rig.origin_with("silent", |_| Reply::Silence);
    let junk = rig.origin_with("junk", |_| Reply::SendAndClose(b"HELLO\r\n\r\n".to_vec()));
    let mute = rig.origin_with("mute", |_| Reply::SendAndClose(Vec::new()));
    let nobody = format!("    server nobody {}\n", free_address());
    let cases = [
        (servers(&[&silent]), 504),
        (servers(&[&junk]), 502),
        (servers(&[&mute]), 502),
        (nobody, 503),
        (String::new(), 503),
    ];
    for (backend, status) in cases {
        let text = text(&format!("    retries 0\n{backend}"));
        rig.config(&match status {
            504 => text.replace("timeout server 1m", "timeout server 1s"),
            _ => text,
        });
        assert_eq!(rig.get("/").status, status, "{backend}");
    }
}

#[test]
fn a_dead_server_is_passed_over_with_redispatch() {
    let mut rig = Rig::new();
    let a = rig.origin("a");
    let dead = format!("    server dead {}\n", free_address());
    rig.config(&text(&format!(
        "    retries 2\n    option redispatch 1\n{dead}{}",
        servers(&[&a])
    )));
    for _ in 0..4 {
        assert_eq!(rig.get("/").text(), "a");
    }
}

#[test]
fn the_client_address_is_told_to_the_server() {
    let mut rig = Rig::new();
    let a = rig.origin("a");
    rig.config(&text(&format!("    option forwardfor\n{}", servers(&[&a]))));
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(a.requests()[0].field("x-forwarded-for"), Some("127.0.0.1"));
}

#[test]
fn a_full_server_lets_requests_wait() {
    let mut rig = Rig::new();
    let a = rig.origin_with("a", |_| {
        Reply::After(Duration::from_millis(100), Box::new(Reply::ok("a")))
    });
    rig.config(&text(&format!(
        "    timeout queue 1m\n    {} maxconn 1\n",
        a.server_line()
    )));
    let mut clients: Vec<_> = (0..4).map(|_| rig.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
}

/// An origin that grants every change of protocol as soon as it has read a head, and echoes.
fn upgrading(rig: &Rig) -> Origin {
    rig.origin_raw("echo", |stream| {
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if std::io::BufRead::read_line(&mut reader, &mut line).unwrap_or(0) == 0 {
                return;
            }
        }
        let mut writer = stream;
        let head =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        let _ = std::io::Write::write_all(&mut writer, head.as_bytes());
        let _ = std::io::copy(&mut reader, &mut writer);
    })
}

/// What of a request would be read by one side as its body and by the other as the new protocol is read by nobody.
#[test]
fn a_change_of_protocol_in_the_middle_of_a_request_is_refused() {
    let mut rig = Rig::new();
    let echo = upgrading(&rig);
    rig.config(&text(&servers(&[&echo])));
    let mut client = rig.client();
    client.send(
        "POST /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: other\r\nContent-Length: 50\r\n\r\n",
    );
    assert_eq!(client.response().status, 502);
}

#[test]
fn an_upgraded_connection_becomes_a_tunnel() {
    let mut rig = Rig::new();
    let echo = upgrading(&rig);
    rig.config(&text(&servers(&[&echo])));
    let mut client = rig.client();
    client.send(
        "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    let head = client.read_head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    // A masked text frame, as a browser sends it; the origin sends bytes back as they are.
    let frame = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2];
    for _ in 0..3 {
        client.send(frame);
        assert_eq!(client.read_exact(frame.len()), frame);
    }
}

#[test]
fn a_chunked_answer_of_an_http_1_0_server_ends_the_connection() {
    let mut rig = Rig::new();
    let origin = rig.origin_with("a", |_| {
        let answer = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
        Reply::Send(answer.into())
    });
    rig.config(&text(&servers(&[&origin])));
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let response = client.response();
    assert_eq!(response.text(), "a");
    assert_eq!(response.field("connection"), Some("close"));
    // Long before its time-out.
    let asked = std::time::Instant::now();
    assert!(client.is_closed());
    assert!(asked.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_client_that_leaves_does_not_disturb_others() {
    let mut rig = Rig::new();
    let a = rig.origin_with("a", |_| {
        Reply::After(Duration::from_millis(50), Box::new(Reply::ok("a")))
    });
    rig.config(&text(&servers(&[&a])));
    for _ in 0..20 {
        let mut client = rig.client();
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        drop(client);
    }
    assert_eq!(rig.get("/").text(), "a");
    assert!(rig.binary().is_running());
}

#[test]
fn silent_clients_are_left_to_the_kernel_unless_connections_are_judged() {
    let mut rig = Rig::new();
    let a = rig.origin("a");
    let (judged, socket) = (free_address(), rig.path("admin.sock"));
    let backend = format!(
        "{}frontend judged\n    bind {judged}\n    tcp-request connection accept\n    default_backend app\n",
        servers(&[&a])
    );
    let global = format!(
        "global\n    nbthread 1\n    stats socket {}\n",
        socket.display()
    );
    rig.config_with(&(global + &text(&backend)), &["-db"]);
    let current = |name: &str| {
        let table = ask(&socket, &format!("show stat {name} 1 -1"));
        let row = table.lines().nth(1).expect("a row");
        row.split(',').nth(4).map(str::to_owned)
    };
    let _seen = Client::connect(judged);
    assert!(until(|| current("judged").as_deref() == Some("1")));
    // Tried again, should a second have passed meanwhile: then the kernel hands over a silent one too.
    let mut silent = None;
    assert!(until(|| {
        silent = Some(rig.client());
        // Whoever came first is accepted first.
        assert_eq!(rig.get("/").text(), "a");
        current("web").as_deref() == Some("0")
    }));
    assert!(until(|| current("web").as_deref() == Some("1")));
}
