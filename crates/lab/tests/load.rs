//! The load generator against real servers on loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_lab::backend::work::Work;
use plimsoll_lab::backend::{self, Backend};
use plimsoll_lab::load::profile::Profile;
use plimsoll_lab::load::report::{Report, Second};
use plimsoll_lab::load::target::Target;
use plimsoll_lab::load::{self, Options};
use plimsoll_lab::origin::{self, Origin, Service};
use plimsoll_lab::statistics::Cause;

/// Longer than anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

static NEVER: AtomicBool = AtomicBool::new(false);

fn origin(service: Service) -> Origin {
    Origin::start(&origin::Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        threads: 1,
        service,
        name: Some("o1".to_owned()),
    })
    .expect("an origin")
}

fn backend(base: Work) -> Backend {
    Backend::start(backend::Options {
        instance: "app-a".to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        agent_listen: None,
        base,
        ..backend::Options::default()
    })
    .expect("a backend")
}

fn options(scheme: &str, address: SocketAddr, path: &str) -> Options {
    let target = Target::parse(&format!("{scheme}://{address}{path}")).expect("a target");
    // The usual time-out is one for people who watch.
    Options {
        timeout: PATIENCE,
        ..Options::new(target)
    }
}

fn run(options: &Options) -> Report {
    load::run(options, &NEVER, &mut |_| {}).expect("a report")
}

#[test]
fn asks_exactly_as_often_as_told() {
    let origin = origin(Service::Http { size: 100 });
    let options = Options {
        requests: Some(1001),
        threads: 3,
        connections: 7,
        count_by: Some("X-Backend".to_owned()),
        ..options("http", origin.address(), "/")
    };
    let mut observed = 0;
    let report = load::run(&options, &NEVER, &mut |second: &Second| {
        observed += second.interval.tally.ok();
    })
    .expect("a report");
    let tally = &report.total.tally;
    assert_eq!((tally.ok(), tally.ko(), observed), (1001, 0, 1001));
    assert_eq!(report.total.latency.count(), 1001);
    assert_eq!((report.unfinished, report.unsent), (0, 0));
    assert!(report.total.connect.count() <= 7, "connections are kept");
    let servers = report.total.servers();
    assert_eq!((servers.len(), servers[0].label().as_str()), (1, "o1"));
    assert_eq!(servers[0].tally.ok(), 1001);
}

#[test]
fn a_connection_for_each_request() {
    let origin = origin(Service::Http { size: 0 });
    let report = run(&Options {
        requests: Some(50),
        close: true,
        ..options("http", origin.address(), "/")
    });
    assert_eq!((report.total.tally.ok(), report.total.tally.ko()), (50, 0));
    assert_eq!(report.total.connect.count(), 50);
}

#[test]
fn large_bodies_in_both_directions() {
    let origin = origin(Service::Http { size: 3 << 20 });
    let report = run(&Options {
        requests: Some(6),
        method: "POST".to_owned(),
        body: vec![b'b'; 2 << 20],
        timeout: PATIENCE,
        ..options("http", origin.address(), "/")
    });
    assert_eq!((report.total.tally.ok(), report.total.tally.ko()), (6, 0));
    assert!(report.total.tally.received_bytes >= 6 * (3 << 20));
    assert!(report.total.tally.sent_bytes >= 6 * (2 << 20));
}

#[test]
fn echoes_over_tcp() {
    let origin = origin(Service::Echo);
    let report = run(&Options {
        requests: Some(500),
        body: vec![b'p'; 5000],
        ..options("tcp", origin.address(), "")
    });
    assert_eq!((report.total.tally.ok(), report.total.tally.ko()), (500, 0));
    assert_eq!(report.total.tally.received_bytes, 500 * 5000);
}

#[test]
fn chunks_failures_and_waits_of_the_demo_service() {
    let backend = backend(Work::default());
    let report = run(&Options {
        requests: Some(60),
        ..options("http", backend.address(), "/?fail_rate=1&sleep_ms=5")
    });
    let tally = &report.total.tally;
    assert_eq!((tally.ok(), tally.class(5), tally.requests()), (0, 60, 60));
    assert!(report.total.latency.min_us() >= 5000);
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let origin = origin(Service::Http { size: 10 });
    let report = run(&Options {
        rate: Some(400.0),
        duration: Some(Duration::from_millis(500)),
        ..options("http", origin.address(), "/")
    });
    assert_eq!(report.total.tally.requests() + report.unsent, 200);
    assert_eq!(report.total.tally.ko(), 0);
}

/// A server that takes 20 ms for each request answers 50 a second on one connection. Asked 500 times
/// a second, it makes later requests wait longer and longer, and the figures must say so: a closed
/// loop would have reported 20 ms for all.
#[test]
fn an_open_loop_omits_no_waiting() {
    let backend = backend(Work {
        sleep_ms: 20.0,
        ..Work::default()
    });
    let report = run(&Options {
        rate: Some(500.0),
        requests: Some(50),
        duration: Some(Duration::from_secs(3)),
        connections: 1,
        timeout: PATIENCE,
        ..options("http", backend.address(), "/")
    });
    assert_eq!(report.total.tally.requests() + report.unsent, 50);
    // The last of n was due n / 500 s after the start and done n / 50 s after it at best.
    let answered = report.total.latency.count() as f64;
    let waited_us = (answered / 50.0 - answered / 500.0) * 1e6;
    let max_us = report.total.latency.max_us() as f64;
    assert!(max_us >= 0.95 * waited_us, "{max_us} of {waited_us}");
}

#[test]
fn stages_of_connections() {
    let origin = origin(Service::Http { size: 10 });
    let report = run(&Options {
        stages: Some(Profile::parse("0s:1c,200ms:1c,0s:6c,3s:6c").expect("stages")),
        threads: 1,
        ..options("http", origin.address(), "/")
    });
    assert_eq!(report.connections, 6);
    assert_eq!(report.total.connect.count(), 6);
    assert!(report.total.tally.ok() > 6);
}

#[test]
fn a_rate_for_each_connection() {
    let origin = origin(Service::Http { size: 10 });
    let started = Instant::now();
    let report = run(&Options {
        rate_per_connection: Some(50.0),
        connections: 2,
        requests: Some(20),
        ..options("http", origin.address(), "/")
    });
    assert_eq!(report.total.tally.ok(), 20);
    // Ten requests of each connection have nine pauses between them.
    assert!(started.elapsed() >= Duration::from_millis(9 * 20));
}

#[test]
fn what_goes_wrong_has_a_cause() {
    // The first connection only proves that somebody listens; the others are treated like this once
    // their request has come.
    type Behaviour = fn(&mut TcpStream);
    let cases: [(Behaviour, Cause, Duration); 3] = [
        (|_| {}, Cause::Closed, PATIENCE),
        (
            |socket| {
                let _ = socket.write_all(b"220 mail ready\r\n\r\n");
            },
            Cause::Malformed,
            PATIENCE,
        ),
        (
            // Silence until the client gives up.
            |socket| {
                let _ = socket.read(&mut [0; 10]);
            },
            Cause::Timeout,
            Duration::from_millis(100),
        ),
    ];
    for (behave, cause, timeout) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let server = thread::spawn(move || {
            for number in 0..3 {
                let (mut socket, _) = listener.accept().expect("accept");
                if number > 0 {
                    let _ = socket.read(&mut [0; 1000]);
                    behave(&mut socket);
                }
            }
        });
        let report = run(&Options {
            requests: Some(2),
            connections: 2,
            timeout,
            ..options("http", address, "/")
        });
        server.join().expect("the server");
        let tally = &report.total.tally;
        assert_eq!((tally.failed(cause), tally.ko()), (2, 2), "{cause:?}");
    }
}

#[test]
fn a_server_that_disappears_is_a_result_and_one_that_never_was_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let server = thread::spawn(move || {
        listener.accept().expect("the first connection");
    });
    let options = Options {
        requests: Some(3),
        connections: 1,
        ..options("http", address, "/")
    };
    let report = run(&options);
    server.join().expect("the server");
    assert_eq!(report.total.tally.requests(), 3);
    assert_eq!(report.total.tally.ok(), 0);
    let error = load::run(&options, &NEVER, &mut |_| {}).expect_err("nobody listens");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn a_stop_ends_it_early() {
    let origin = origin(Service::Http { size: 10 });
    let stop = AtomicBool::new(false);
    let options = Options {
        duration: Some(Duration::from_secs(3600)),
        ..options("http", origin.address(), "/")
    };
    let started = Instant::now();
    let report = load::run(&options, &stop, &mut |_| {
        stop.store(true, Ordering::Relaxed)
    })
    .expect("a report");
    assert!(report.total.tally.ok() > 0);
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_thousand_connections() {
    let origin = origin(Service::Http { size: 10 });
    let report = run(&Options {
        requests: Some(5000),
        connections: 1000,
        timeout: PATIENCE,
        ..options("http", origin.address(), "/")
    });
    assert_eq!(
        (report.total.tally.ok(), report.total.tally.ko()),
        (5000, 0)
    );
    assert_eq!(report.total.connect.count(), 1000);
}
