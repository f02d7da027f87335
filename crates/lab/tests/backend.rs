//! The demo service, asked over real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use plimsoll_lab::backend::work::Work;
use plimsoll_lab::backend::{Backend, Options};
use serde_json::Value;

/// Longer than anything here may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

fn options() -> Options {
    Options {
        instance: "app-a".to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        agent_listen: Some("127.0.0.1:0".to_owned()),
        ..Options::default()
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("connect");
    socket.set_read_timeout(Some(DEADLINE)).expect("option");
    socket
}

/// Between two questions whether something has happened yet.
const PAUSE: Duration = Duration::from_millis(10);

/// Sends one request on its own connection; returns the whole answer.
fn ask(address: SocketAddr, head: &str) -> (u16, String, String) {
    let mut socket = connect(address);
    write!(socket, "{head}\r\nHost: lab\r\nConnection: close\r\n\r\n").expect("send");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("receive");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
    (status.expect("a status"), head.to_owned(), body.to_owned())
}

fn get(address: SocketAddr, target: &str) -> (u16, String) {
    let (status, _, body) = ask(address, &format!("GET {target} HTTP/1.1"));
    (status, body)
}

fn json(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// Asks again until `what` is content.
fn eventually(mut what: impl FnMut() -> bool) {
    let started = Instant::now();
    while !what() {
        assert!(started.elapsed() < DEADLINE, "waited in vain");
        std::thread::sleep(PAUSE);
    }
}

#[test]
fn answers_work_with_its_identity() {
    let backend = Backend::start(options()).expect("starts");
    let (status, head, body) = ask(
        backend.address(),
        "GET /?cpu_ms=2&sleep_ms=3&payload_bytes=256 HTTP/1.1\r\nX-Request-Id: abc-1",
    );
    assert_eq!(status, 200);
    let head = head.to_lowercase();
    assert!(head.contains("x-backend: app-a") && head.contains("x-request-id: abc-1"));
    let body = json(&body);
    assert_eq!(body["request_id"], "abc-1");
    assert_eq!(body["instance"], "app-a");
    assert_eq!(body["metrics_hint"], "/metrics");
    assert_eq!(body["payload"].as_str().map(str::len), Some(256));
    assert!(body["latency_ms"].as_f64() >= Some(5.0));

    let metrics = json(&get(backend.address(), "/metrics").1);
    assert_eq!(metrics["counters"]["requests_total"], 1);
    assert_eq!(metrics["gauges"]["inflight"], 0);
    assert!(metrics["latency"]["ewma_latency_ms"].as_f64() >= Some(5.0));
    backend.stop();
}

#[test]
fn routes_and_refusals() {
    let backend = Backend::start(options()).expect("starts");
    let cases = [
        ("GET /healthz HTTP/1.1", 200, "ok"),
        ("GET /agent HTTP/1.1", 200, "up 100\n"),
        ("GET /nothing HTTP/1.1", 404, "/healthz"),
        ("DELETE /metrics HTTP/1.1", 405, "GET"),
        ("GET /?cpu_ms=fast HTTP/1.1", 400, "cpu_ms"),
        (
            "GET /?payload_bytes=99999999999 HTTP/1.1",
            400,
            "payload_bytes",
        ),
        ("POST / HTTP/1.1\r\nContent-Length: 0", 200, "request_id"),
        ("GET /metrics?format=prometheus HTTP/1.1", 200, "# TYPE"),
        (
            "GET /metrics HTTP/1.1\r\nAccept: text/plain;version=0.0.4",
            200,
            "# TYPE",
        ),
        (
            "GET /metrics HTTP/1.1\r\nAccept: application/json",
            200,
            "\"counters\"",
        ),
    ];
    for (head, status, part) in cases {
        let (actual, _, body) = ask(backend.address(), head);
        assert_eq!(actual, status, "{head}");
        assert!(body.contains(part), "{head}: {body}");
    }
}

#[test]
fn the_agent_port_speaks_lines_and_http() {
    let backend = Backend::start(options()).expect("starts");
    let agent = backend.agent_address().expect("an agent");
    let mut line = String::new();
    connect(agent).read_to_string(&mut line).expect("a line");
    assert_eq!(line, "up 100%\n");
    // It waits a moment only for what clients say first, which is over before a busy machine has let them say it.
    let told = |said: &[u8]| {
        let (mut socket, mut told) = (connect(agent), String::new());
        let _ = socket.write_all(said);
        let _ = socket.read_to_string(&mut told);
        told
    };
    eventually(|| told(b"hello\n") == "up 100%\n");
    eventually(|| {
        let told = told(b"GET /agent HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
        told.starts_with("HTTP/1.1 200 ") && told.ends_with("\r\n\r\nup 100\n")
    });
}

#[test]
fn failures_take_the_instance_down_and_it_recovers() {
    let backend = Backend::start(options()).expect("starts");
    let address = backend.address();
    let mut socket = connect(address);
    for _ in 0..5 {
        write!(socket, "GET /?fail_rate=1 HTTP/1.1\r\nHost: lab\r\n\r\n").expect("send");
        let mut head = [0; 12];
        socket.read_exact(&mut head).expect("receive");
        assert_eq!(&head, b"HTTP/1.1 500");
        let mut rest = [0; 4096];
        while !rest.contains(&b'}') {
            let count = socket.read(&mut rest).expect("receive");
            assert_ne!(count, 0);
        }
    }
    assert_eq!(get(address, "/agent").1, "down\n");
    let metrics = json(&get(address, "/metrics").1);
    assert_eq!(metrics["counters"]["errors_total"], 5);
    assert_eq!(metrics["gauges"]["weight_percent"], 0);
    eventually(|| get(address, "/agent").1.starts_with("up"));
}

#[test]
fn a_client_that_leaves_is_not_in_flight() {
    let backend = Backend::start(options()).expect("starts");
    let address = backend.address();
    let inflight = || json(&get(address, "/metrics").1)["gauges"]["inflight"].clone();
    let mut socket = connect(address);
    write!(socket, "GET /?sleep_ms=60000 HTTP/1.1\r\nHost: lab\r\n\r\n").expect("send");
    eventually(|| inflight() == 1);
    drop(socket);
    eventually(|| inflight() == 0);
    let metrics = json(&get(address, "/metrics").1);
    assert_eq!(metrics["counters"]["abandoned_total"], 1);
}

#[test]
fn a_stop_lets_requests_end() {
    let backend = Backend::start(Options {
        base: Work {
            sleep_ms: 100.0,
            ..Work::default()
        },
        ..options()
    })
    .expect("starts");
    let address = backend.address();
    let mut socket = connect(address);
    write!(socket, "GET / HTTP/1.1\r\nHost: lab\r\n\r\n").expect("send");
    eventually(|| json(&get(address, "/metrics").1)["gauges"]["inflight"] == 1);
    backend.stop();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("receive");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(TcpStream::connect(address).is_err(), "it listens no more");
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bind");
    let listen = taken.local_addr().expect("address").to_string();
    let error = Backend::start(Options {
        listen: listen.clone(),
        ..options()
    })
    .expect_err("the port is taken");
    let message = error.to_string();
    assert!(
        message.contains(&listen) && message.contains("-listen"),
        "{message}"
    );
}
