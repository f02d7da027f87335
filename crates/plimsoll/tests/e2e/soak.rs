//! Many connections, ended in every way: nothing may stay behind.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use crate::rig::client::Client;
use crate::rig::origin::Origin;
use crate::rig::{DEADLINE, Rig, until};

/// How many connections are made; `PLIMSOLL_SOAK=100000` makes more.
fn rounds() -> usize {
    let asked = std::env::var("PLIMSOLL_SOAK").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(1_500)
}

/// Idle connections held at once, which is what the project promises to hold.
const HELD: usize = 10_000;

/// How many of them ask at once: each may cost the origin, which lives in the test process, a thread.
const BATCH: usize = 100;

/// Listeners, epoll instances, pipes kept for the next relay, log sockets: far fewer than there are connections.
const DESCRIPTORS_AT_REST_MAX: usize = 100;

/// Memory that may come and go with buffers and tables, in bytes.
const MEMORY_SLACK_BYTES: usize = 8 << 20;

fn descriptors(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd"))
        .expect("the process is there")
        .count()
}

fn resident_bytes(id: u32) -> usize {
    let statm = fs::read_to_string(format!("/proc/{id}/statm")).expect("the process is there");
    let pages: usize = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap();
    pages * 4096
}

/// An origin that ends connections in a way chosen by the first byte it hears.
fn capricious(rig: &Rig) -> Origin {
    rig.origin_raw("capricious", |mut stream| {
        let mut first = [0];
        if !matches!(stream.read(&mut first), Ok(1)) {
            return;
        }
        match first[0] {
            // Answers and closes.
            b'a' => drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
            // Half-closes, hears the rest.
            b'h' => {
                let _ = stream.shutdown(Shutdown::Write);
                let _ = stream.read_to_end(&mut Vec::new());
            }
            // Leaves unread bytes behind, which makes the close a reset.
            b'r' => {
                let _ = stream.peek(&mut first);
            }
            // Holds on until the other side goes.
            _ => drop(stream.read_to_end(&mut Vec::new())),
        }
    })
}

/// One connection, which ends as its number says.
fn one(address: std::net::SocketAddr, number: usize) {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return;
    };
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    // In HTTP the first byte of the method reaches the origin as well as the first byte of a relay does.
    let word = ["a", "h", "rest", "wait"][number % 4];
    let _ = stream
        .write_all(format!("{word} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
    match number / 4 % 4 {
        // Waits for the end, or half-closes and waits.
        0 if word != "wait" => drop(stream.read_to_end(&mut Vec::new())),
        0 | 1 => {
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
        // Leaves, with or without an answer unread.
        2 => drop(stream.peek(&mut [0])),
        _ => {}
    }
}

fn soak(mode: &str) {
    let mut rig = Rig::new();
    let origin = capricious(&rig);
    let address = rig.config(&format!(
        "global\n    nbthread 2\ndefaults\n    mode {mode}\n    timeout connect 1s\n    timeout client 1s\n\
         \x20   timeout server 1s\n    retries 0\nlisten relay\n    bind {{listen}}\n    {}\n",
        origin.server_line()
    ));
    let id = rig.binary().id();
    let warm = 200.min(rounds());
    (0..warm).for_each(|number| one_without_waiting(address, number));
    assert!(
        until(|| descriptors(id) <= DESCRIPTORS_AT_REST_MAX),
        "{} descriptors at rest",
        descriptors(id)
    );
    let (descriptors_before, memory_before) = (descriptors(id), resident_bytes(id));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                (0..rounds() / 4).for_each(|number| {
                    one_without_waiting(address, number * 4 + thread + number / 16)
                });
            });
        }
    });
    let calm = until(|| descriptors(id) <= DESCRIPTORS_AT_REST_MAX);
    assert!(
        calm,
        "{} descriptors, before {descriptors_before}",
        descriptors(id)
    );
    let grown = resident_bytes(id).saturating_sub(memory_before);
    assert!(grown < MEMORY_SLACK_BYTES, "{grown} bytes more than before");
    assert!(rig.binary().is_running());
}

/// Waiting for an end that only a time-out brings would take a second each; those connections are simply left.
fn one_without_waiting(address: std::net::SocketAddr, number: usize) {
    let silent = number % 4 == 3;
    one(address, if silent { number | 12 } else { number });
}

#[test]
fn tcp_leaves_nothing_behind() {
    soak("tcp");
}

#[test]
fn http_leaves_nothing_behind() {
    soak("http");
}

#[test]
fn ten_thousand_connections_are_held_and_served() {
    // The origin and the other tests live in this process, too.
    let wanted = HELD as u64 + 2_000;
    let reached = plimsoll_sys::limit::raise_descriptor_limit(wanted).unwrap_or(0);
    if reached < wanted {
        eprintln!("SKIPPED: the descriptor limit is {reached}, {wanted} are needed");
        return;
    }
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let address = rig.config(&format!(
        "global\n    maxconn {}\ndefaults\n    mode http\n    timeout connect 20s\n    timeout client 10m\n\
         \x20   timeout server 1m\n    timeout http-keep-alive 10m\n    http-reuse always\nlisten web\n    bind {{listen}}\n    {}\n",
        HELD + 100,
        origin.server_line()
    ));
    let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut held: Vec<Client> = Vec::with_capacity(HELD);
    for _ in 0..HELD {
        let mut client = Client::connect(address);
        client.send(request);
        assert_eq!(client.response().status, 200);
        held.push(client);
    }
    // All of them again: they are not only open but served.
    for batch in held.chunks_mut(BATCH) {
        batch.iter_mut().for_each(|client| client.send(request));
        batch
            .iter_mut()
            .for_each(|client| assert_eq!(client.response().text(), "a"));
    }
    let id = rig.binary().id();
    assert!(descriptors(id) >= HELD);
    drop(held);
    assert!(
        until(|| descriptors(id) < 1_000),
        "{} descriptors are left",
        descriptors(id)
    );
}
