//! HTTP/2 through the real binary, before clients and servers of others. The many cases live in `wire`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::rig::frames::frame;
use crate::rig::origin::{Origin, Reply};
use crate::rig::peer::require_peer;
use crate::rig::{DEADLINE, Rig, ask, run, until};

/// A frontend whose server is `server`, behind `hops` more that speak HTTP/2 to each other.
fn text(server: &str, hops: &[std::net::SocketAddr]) -> String {
    let mut text = String::from(
        "global\n    nbthread 1\n\
         defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n",
    );
    let mut next = server.to_owned();
    for (index, hop) in hops.iter().enumerate() {
        text += &format!("listen hop{index}\n    bind {hop} proto h2\n    {next}\n");
        next = format!("server hop {hop} proto h2");
    }
    text + &format!("listen web\n    bind {{listen}}\n    http-reuse always\n    {next}\n")
}

fn echo(rig: &Rig) -> Origin {
    rig.origin_with("a", |request| {
        Reply::ok(&String::from_utf8_lossy(&request.body))
    })
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const GET: &[u8] = b"\x82\x86\x84\x41\x01a";

/// `tune.h2.log-errors`: a line that is not to be there would come before that of the good request.
#[test]
fn misdeeds_are_logged_by_their_level() {
    let no_method = frame(1, 5, 1, &GET[1..]);
    let bad_ping = frame(6, 0, 0, b"1234");
    for (level, misdeed, is_logged) in [
        ("none", &bad_ping, false),
        ("none", &no_method, false),
        ("connection", &bad_ping, true),
        ("connection", &no_method, false),
        ("stream", &no_method, true),
    ] {
        let mut rig = Rig::new();
        let (origin, log) = (echo(&rig), rig.syslog());
        let logs = format!(
            "global\n    tune.h2.log-errors {level}\n    log {} local0\n",
            log.address()
        );
        let text = text(&origin.server_line(), &[])
            .replacen("global\n", &logs, 1)
            .replace(
                "mode http",
                "mode http\n    log global\n    option httplog\n    option dontlognull",
            );
        let address = rig.config(&text);
        let mut bad = TcpStream::connect(address).expect("it listens");
        bad.write_all(&[PREFACE, misdeed].concat())
            .expect("it is taken");
        bad.shutdown(std::net::Shutdown::Write).expect("it is open");
        let mut said = Vec::new();
        bad.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        bad.read_to_end(&mut said).expect("the connection ends");
        rig.get("/good");
        let line = log.line();
        assert_eq!(line.contains("<BADREQ>"), is_logged, "{level}: {line}");
    }
}

#[test]
fn curl_through_both_protocols() {
    let Some(curl) = require_peer("curl") else {
        return;
    };
    for hops in 0..=2 {
        let mut rig = Rig::new();
        let origin = echo(&rig);
        let hops: Vec<_> = (0..hops).map(|_| crate::rig::free_address()).collect();
        let address = rig.config(&text(&origin.server_line(), &hops));
        let body = rig.file("body", &"0123456789".repeat(30_000));
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            for field in ["X-A: b", "Transfer-Encoding: chunked"] {
                let outcome = run(Command::new(&curl)
                    .args([
                        "-sSf",
                        "--max-time",
                        "60",
                        version,
                        "-H",
                        field,
                        "-H",
                        "Expect:",
                    ])
                    .arg("--data-binary")
                    .arg(format!("@{}", body.display()))
                    .arg(format!("http://{address}/upload?x=y")));
                let which = format!("{version} {field}, {} hops", hops.len());
                assert_eq!(outcome.status, Some(0), "{which}: {}", outcome.stderr);
                assert_eq!(outcome.stdout.len(), 300_000, "{which}");
            }
        }
        let last = origin.requests().pop().expect("requests");
        assert_eq!(last.line, "POST /upload?x=y HTTP/1.1");
        assert_eq!(last.field("host"), Some(address.to_string().as_str()));
    }
}

#[test]
fn h2load() {
    let Some(h2load) = require_peer("h2load") else {
        return;
    };
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let hop = crate::rig::free_address();
    let address = rig.config(&text(&origin.server_line(), &[hop]));
    let outcome = run(Command::new(h2load)
        .args(["-n2000", "-c4", "-m25"])
        .arg(format!("http://{address}/")));
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    let expected = "2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored";
    assert!(outcome.stdout.contains(expected), "{}", outcome.stdout);
    assert_eq!(origin.requests().len(), 2_000);
}

#[test]
fn nghttp_sees_heads_and_bodies() {
    let Some(nghttp) = require_peer("nghttp") else {
        return;
    };
    let mut rig = Rig::new();
    let origin = rig.origin_with("a", |_| {
        Reply::Send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\nConnection: keep-alive\r\n\r\n\
              5\r\nhello\r\n0\r\nX-End: yes\r\n\r\n"
                .to_vec(),
        )
    });
    let address = rig.config(&text(&origin.server_line(), &[]));
    let outcome = run(Command::new(nghttp)
        .arg("-v")
        .arg(format!("http://{address}/path")));
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    for sign in [":status: 200", "x-a: b", "hello", "x-end: yes"] {
        assert!(outcome.stdout.contains(sign), "{sign}: {}", outcome.stdout);
    }
    // The frames that came: the request's own lines say connection nowhere, nor do the response's.
    assert!(!outcome.stdout.contains("connection: keep-alive"));
}

#[test]
fn one_connection_carries_many_clients() {
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let hop = crate::rig::free_address();
    rig.config(&text(&origin.server_line(), &[hop]));
    // The first opens the connection to the hop; those behind share it.
    assert_eq!(rig.get("/").text(), "a");
    let mut clients: Vec<_> = (0..20).map(|_| rig.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.response().text(), "a");
    }
}

#[test]
fn a_response_without_its_body_ends_when_the_server_has_sent_that() {
    let mut rig = Rig::new();
    // It takes its time between a head and the body that nobody wants.
    let origin = rig.origin_raw("a", |mut stream| {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while let Some(Ok(line)) = lines.next() {
            if line.is_empty() {
                let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
                stream.write_all(head).unwrap();
                thread::sleep(Duration::from_millis(30));
                stream.write_all(b"hello").unwrap();
            }
        }
    });
    let hop = crate::rig::free_address();
    let server = format!("http-request set-method GET\n    {}", origin.server_line());
    rig.config(&text(&server, &[hop]));
    let mut client = rig.client();
    for _ in 0..3 {
        client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
        let response = client.response_to("HEAD");
        assert_eq!(response.field("content-length"), Some("5"));
    }
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response().text(), "hello");
    // Each found the connection of the one before it free.
    assert_eq!(origin.connections(), 1);
}

/// Reads until the other side closes, or `limit` has passed; `true` when it closed.
fn closes(stream: &mut TcpStream, limit: Duration) -> (bool, Vec<u8>) {
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("a timeout");
    let (begun, mut heard) = (Instant::now(), Vec::new());
    let mut chunk = [0; 4_096];
    while begun.elapsed() < limit {
        match stream.read(&mut chunk) {
            Ok(0) => return (true, heard),
            Ok(count) => heard.extend_from_slice(&chunk[..count]),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
                ) => {}
            Err(_) => return (true, heard),
        }
    }
    (false, heard)
}

/// A client's first bytes bring a request and a fault at once: nobody serves the request, and nobody waits for its end.
#[test]
fn a_request_with_a_fault_behind_it_keeps_no_connection() {
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let socket = rig.path("sock");
    let mut config = text(&origin.server_line(), &[]);
    config.insert_str(
        "global\n".len(),
        &format!("    stats socket {}\n", socket.display()),
    );
    let address = rig.config(&config);
    let mut stream = TcpStream::connect(address).expect("it accepts");
    // DATA of stream 0 is a fault of the connection (RFC 9113 section 6.1).
    let bytes = [PREFACE, &frame(1, 4, 1, GET), &frame(0, 0, 0, b"")].concat();
    stream.write_all(&bytes).expect("it is sent");
    let (closed, _) = closes(&mut stream, DEADLINE);
    assert!(closed, "the client sees the end");
    drop(stream);
    let sessions = || {
        let stat = ask(&socket, "show stat web 1 -1");
        let row = stat.lines().nth(1).unwrap_or_default();
        row.split(',').nth(4).map(str::to_owned)
    };
    // The column `scur`.
    assert!(
        until(|| sessions().as_deref() == Some("0")),
        "{stat:?}",
        stat = sessions()
    );
}

#[test]
fn an_idle_connection_ends_with_goaway() {
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let config =
        text(&origin.server_line(), &[]).replace("timeout client 1m", "timeout client 300ms");
    let address = rig.config(&config);
    let mut stream = TcpStream::connect(address).expect("it accepts");
    // At once: nobody may pause for the length of the time-out between the two.
    let bytes = [PREFACE, &frame(1, 5, 1, GET)].concat();
    stream.write_all(&bytes).expect("a request");
    let (closed, heard) = closes(&mut stream, DEADLINE);
    assert!(closed, "still open");
    let goaway = &frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])[..];
    assert!(heard.ends_with(goaway), "{heard:?}");
}

/// Reads until these bytes have come.
fn read_until(stream: &mut TcpStream, wanted: &[u8]) {
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let (mut seen, mut chunk) = (Vec::new(), [0; 4_096]);
    while !seen.windows(wanted.len()).any(|window| window == wanted) {
        let count = stream.read(&mut chunk).expect("it answers");
        assert_ne!(count, 0, "{seen:?}");
        seen.extend_from_slice(&chunk[..count]);
    }
}

/// A request that is cancelled by the bytes behind it troubles no server, not even with a connection.
#[test]
fn servers_do_not_hear_of_requests_that_were_cancelled_at_once() {
    let mut rig = Rig::new();
    let (told, heard) = mpsc::channel();
    let origin = rig.origin_raw("a", move |mut stream| {
        let _ = told.send(());
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while let Some(Ok(line)) = lines.next() {
            if line.is_empty() {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole";
                stream.write_all(answer).unwrap();
            }
        }
    });
    let address = rig.config(&text(&origin.server_line(), &[]));
    let mut stream = TcpStream::connect(address).expect("it accepts");
    let cancelled = (0..50).flat_map(|number| {
        let id = 2 * number + 1;
        [frame(1, 5, id, GET), frame(3, 0, id, &[0, 0, 0, 8])].concat()
    });
    let bytes: Vec<u8> = PREFACE.iter().copied().chain(cancelled).collect();
    stream.write_all(&bytes).expect("requests");
    stream.write_all(&frame(1, 5, 101, GET)).expect("a request");
    read_until(&mut stream, b"whole");
    assert_eq!(heard.try_iter().count(), 1, "connections to the server");
}

/// A response that has begun and says nothing more for a while, as a stream of events does, is given up with its stream.
#[test]
fn a_stream_that_is_cancelled_in_a_quiet_response_is_given_up_at_once() {
    let mut rig = Rig::new();
    let (told, heard) = mpsc::channel();
    let origin = rig.origin_raw("a", move |mut stream| {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while let Some(Ok(line)) = lines.next() {
            if line.is_empty() {
                let begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n";
                stream.write_all(begun).unwrap();
            }
        }
        let _ = told.send(());
    });
    let hop = crate::rig::free_address();
    // No time-out has a part in it.
    let config = text(&origin.server_line(), &[hop]).replace("1m", "5m");
    let address = rig.config(&config);
    let mut stream = TcpStream::connect(address).expect("it accepts");
    stream.write_all(PREFACE).expect("a preface");
    stream.write_all(&frame(1, 5, 1, GET)).expect("a request");
    read_until(&mut stream, b"begun");
    let cancel = frame(3, 0, 1, &[0, 0, 0, 8]);
    stream.write_all(&cancel).expect("it is sent");
    let ended = heard.recv_timeout(DEADLINE);
    assert!(ended.is_ok(), "the server still has its connection");
}
