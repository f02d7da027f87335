//! Checks that are more than a connection or a request: programs, gRPC, agents over HTTP, ways through SOCKS.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;

use plimsoll_wire::h2::{Config, Connection, Event, Role};
use plimsoll_wire::head::Head;

use crate::rig::origin::Reply;
use crate::rig::syslog::Syslog;
use crate::rig::{Rig, ask, free_address, install, until};

fn text(rig: &Rig, backend: &str) -> String {
    let socket = socket(rig);
    format!(
        "global\n    external-check\n    stats socket {} level admin\n\
         defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n    timeout check 20s\n\
         frontend web\n    bind {{listen}}\n    default_backend app\n\
         backend app\n    option log-health-checks\n{backend}\n",
        socket.display()
    )
}

fn socket(rig: &Rig) -> PathBuf {
    rig.path("admin.sock")
}

fn command(rig: &Rig, line: &str) -> String {
    ask(&socket(rig), line)
}

/// Whether the program has children that have ended and that nobody has waited for.
fn has_zombies(parent: u32) -> bool {
    let processes = fs::read_dir("/proc").expect("processes are listed");
    let stats = processes
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats.into_iter().any(|stat| {
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut fields = rest.split_whitespace();
        (fields.next(), fields.next()) == (Some("Z"), Some(&*parent.to_string()))
    })
}

#[test]
fn a_program_judges_a_server_and_leaves_nothing_behind() {
    let mut rig = Rig::new();
    let (one, log, late_log) = (rig.origin("one"), rig.syslog(), rig.syslog());
    let mark = rig.file("ill", "");
    let script = rig.file(
        "judge.sh",
        &format!(
            "test \"$HAPROXY_PROXY_NAME\" = late && {{ sleep 600 & sleep 600; }}\n\
             test \"$HAPROXY_SERVER_PORT\" = \"$4\" && test \"$HAPROXY_PROXY_NAME\" = app && test -z \"$HOME\" && test ! -e {}\n",
            mark.display()
        ),
    );
    let source = rig.file(
        "judge.source",
        &format!(
            "#!/bin/sh\nPATH=/usr/bin:/bin exec /bin/sh {} \"$@\"\n",
            script.display()
        ),
    );
    let program = rig.path("judge");
    install(&program, &source);
    let judged = |log: &Syslog| {
        format!(
            "    log {} local0\n    option external-check\n    external-check command {}\n",
            log.address(),
            program.display()
        )
    };
    // A program has the time of an interval: far more than it needs, or never enough.
    let text = text(
        &rig,
        &format!(
            "{}    {} check inter 1m downinter 100ms rise 1 fall 1\n\
             backend late\n    option log-health-checks\n{}    {} check inter 1s rise 1 fall 1",
            judged(&log),
            one.server_line(),
            judged(&late_log),
            one.server_line(),
        ),
    );
    rig.config(&text);
    let line = log.line();
    assert!(
        line.contains("failed, reason: External check error, code: 1"),
        "{line}"
    );
    assert!(log.line().contains("Server app/one is DOWN"));
    assert!(log.line().contains("has no server available"));
    fs::remove_file(&mark).expect("the mark");
    let line = log.line();
    assert!(
        line.contains("succeeded, reason: External check passed, code: 0"),
        "{line}"
    );
    assert!(log.line().contains("Server app/one is UP"));
    let line = late_log.line();
    assert!(
        line.contains("failed, reason: External check timeout"),
        "{line}"
    );
    let id = rig.binary().id();
    assert!(
        until(|| !has_zombies(id)),
        "somebody is left to be waited for"
    );
}

/// Answers calls of the health service: what is served, and what is said of everything else.
fn grpc_server(serving: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            // A check that breaks off is no fault of this server.
            let _ = answer_calls(stream, serving);
        }
    });
    address
}

fn answer_calls(mut stream: TcpStream, serving: &[u8]) -> std::io::Result<()> {
    let mut machine = Connection::<()>::new(Role::Server, Config::default());
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0
            || machine
                .receive(&chunk[..count], 0, &mut Head::default)
                .is_err()
        {
            return Ok(());
        }
        while let Some(event) = machine.next_event() {
            let Event::Request(key) = event else { continue };
            let request = machine.take_head(key).expect("a head");
            assert_eq!(request.target(), b"/grpc.health.v1.Health/Check");
            let mut head = Head {
                status: 200,
                ..Head::default()
            };
            head.add(b"content-type", b"application/grpc");
            machine.send_head(key, &head, false);
            machine.send_data(key, serving, false);
            let mut trailers = Head::default();
            trailers.add(b"grpc-status", b"0");
            machine.send_trailers(key, &trailers);
        }
        stream.write_all(machine.output())?;
        machine.output().clear();
        machine.output_taken();
    }
}

#[test]
fn the_health_service_of_grpc_is_asked() {
    let mut rig = Rig::new();
    let log = rig.syslog();
    let well = grpc_server(b"\0\0\0\0\x02\x08\x01");
    let ill = grpc_server(b"\0\0\0\0\x02\x08\x02");
    let text = text(
        &rig,
        &format!(
            "    log {} local0\n    option grpc-check a.Service\n    server well {well} check inter 5s rise 1 fall 1\n\
         \x20   server ill {ill} check inter 5s rise 1 fall 1",
            log.address(),
        ),
    );
    rig.config(&text);
    let mut lines: Vec<_> = (0..3).map(|_| log.line()).collect();
    lines.sort();
    let all = lines.join("");
    for part in [
        "app/well succeeded, reason: Layer7 check passed, code: 0, info: \"SERVING\"",
        "app/ill failed, reason: Layer7 wrong status, code: 0, info: \"NOT_SERVING\"",
        "Server app/ill is DOWN",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
}

#[test]
fn agents_speak_http_and_json() {
    let mut rig = Rig::new();
    let one = rig.origin("one");
    let agent = rig.origin_with("agent", |request| {
        assert_eq!(request.line, "GET /agent HTTP/1.1");
        let body = r#"{"state": "up", "weight": 25, "maxconn": 7}"#;
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        Reply::SendAndClose(format!("{head}{body}").into_bytes())
    });
    let text = text(
        &rig,
        &format!(
            "    {} weight 100 agent-check agent-port {} agent-inter 50ms agent-http /agent",
            one.server_line(),
            agent.address.port(),
        ),
    );
    rig.config(&text);
    let obeyed = until(|| {
        let state = command(&rig, "show servers state app");
        let row = state.lines().nth(2).unwrap_or_default();
        row.split(' ').nth(7) == Some("25")
    });
    assert!(obeyed, "the agent is not obeyed");
    let limited = until(|| {
        let stat = command(&rig, "show stat app 4 -1");
        let row = stat.lines().nth(1).unwrap_or_default();
        row.split(',').nth(6) == Some("7")
    });
    assert!(limited, "{}", command(&rig, "show stat app 4 -1"));
}

/// A SOCKS proxy that leads to wherever it is asked to.
fn socks_proxy() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            thread::spawn(move || lead(stream));
        }
    });
    address
}

fn lead(mut client: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 16];
    client.read_exact(&mut request)?;
    assert_eq!((request[0], request[1]), (4, 1));
    let port = u16::from_be_bytes([request[2], request[3]]);
    let ip = Ipv4Addr::new(request[4], request[5], request[6], request[7]);
    let mut server = TcpStream::connect((ip, port))?;
    client.write_all(b"\0\x5a\0\0\0\0\0\0")?;
    let (mut back, mut front) = (server.try_clone()?, client.try_clone()?);
    let backward = thread::spawn(move || std::io::copy(&mut back, &mut front));
    std::io::copy(&mut client, &mut server)?;
    server.shutdown(std::net::Shutdown::Write)?;
    let _ = backward.join();
    Ok(())
}

#[test]
fn traffic_and_checks_pass_through_socks() {
    let mut rig = Rig::new();
    let (one, log, proxy) = (rig.origin("one"), rig.syslog(), socks_proxy());
    let nobody = free_address();
    let text = text(
        &rig,
        &format!(
            "    log {} local0\n    option httpchk GET /\n    {} socks4 {proxy} check-via-socks4 check inter 5s\n\
         \x20   server two {} socks4 {nobody} backup",
            log.address(),
            one.server_line(),
            one.address,
        ),
    );
    rig.config(&text);
    let line = log.line();
    assert!(
        line.contains("app/one succeeded, reason: Layer7 check passed, code: 200"),
        "{line}"
    );
    assert_eq!(rig.get("/").text(), "one");
    command(&rig, "disable server app/one");
    assert_eq!(rig.get("/").status, 503, "there is no way around a proxy");
}
