//! Clients that abuse HTTP/2, each for a second, or for as long as `PLIMSOLL_ABUSE_SECONDS` says. Whatever they do, the
//! proxy's memory stays within its budget, and others are served; how quickly is printed (docs/http2.md has figures).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::rig::client::Client;
use crate::rig::frames::frame;
use crate::rig::origin::Reply;
use crate::rig::{Rig, until};

/// Connections that one flood holds at once.
const ATTACKERS: usize = 2;

/// What one connection may cost (docs/http2.md): unread data, data to be sent, a block in the making, and what was read and waits for
/// its turn, in KiB.
const CONNECTION_KIB: u64 = 1_024 + 64 + 64 + 64;

/// What a stream and its server's connection may cost beside that, in KiB.
const STREAM_KIB: u64 = 8;

/// What the allocator and threads may keep for themselves, in KiB.
const SLACK_KIB: u64 = 8 * 1_024;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const GET: &[u8] = b"\x82\x86\x84\x41\x01a";
const POST: &[u8] = b"\x83\x86\x84\x41\x01a";

fn seconds() -> u64 {
    let text = std::env::var("PLIMSOLL_ABUSE_SECONDS").ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Memory that a process holds, in KiB.
fn resident_kib(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a live process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let digits = line.and_then(|line| line.split_whitespace().nth(1));
    digits
        .and_then(|digits| digits.parse().ok())
        .expect("a size")
}

/// A stage with a proxy, and what an innocent client sees of it.
struct Stage {
    rig: Rig,
    address: SocketAddr,
    process: u32,
    _origin: crate::rig::origin::Origin,
}

impl Stage {
    fn new(body_bytes: usize) -> Self {
        let mut rig = Rig::new();
        let origin = rig.origin_with("a", move |_| Reply::ok(&"x".repeat(body_bytes)));
        let address = rig.config(&format!(
            "global\n    nbthread 1\n\
             defaults\n    mode http\n    timeout connect 20s\n    timeout client 5m\n    timeout server 5m\n\
             listen web\n    bind {{listen}}\n    http-reuse always\n    \
             http-request return status 200 content-type text/plain string x if {{ path /small }}\n    {}\n",
            origin.server_line()
        ));
        Self {
            process: rig.binary().id(),
            rig,
            address,
            _origin: origin,
        }
    }

    /// Asks for as long as `goes_on`, in a steady pace; the 99th percentile of the answers' times.
    fn p99(&self, goes_on: impl Fn() -> bool) -> Duration {
        let (mut client, mut times) = (Client::connect(self.address), Vec::new());
        while goes_on() || times.len() < 100 {
            let begun = Instant::now();
            client.send("GET /small HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(client.response().text(), "x", "others are served");
            times.push(begun.elapsed());
            thread::sleep(Duration::from_micros(500));
        }
        times.sort_unstable();
        times[times.len() * 99 / 100]
    }

    /// Judges what was seen, and prints it.
    #[expect(clippy::print_stdout, reason = "figures are for whoever runs it")]
    fn judge(&self, name: &str, seen: &Seen, streams: u64) {
        let grown = seen.peak_kib.saturating_sub(seen.calm_kib);
        let budget =
            (seen.connections * CONNECTION_KIB + streams * STREAM_KIB) * 11 / 10 + SLACK_KIB;
        println!(
            "{name}: {} s, {} connections cut off, memory {} + {grown} KiB (allowed {budget}), p99 of others {:.2} ms, {:.2} ms before",
            seconds(),
            seen.cut_off,
            seen.calm_kib,
            seen.p99.as_secs_f64() * 1e3,
            seen.calm_p99.as_secs_f64() * 1e3,
        );
        assert!(
            grown <= budget,
            "{name}: {grown} KiB, where {budget} are allowed"
        );
        assert_eq!(
            self.rig.get("/small").text(),
            "x",
            "{name}: others are served"
        );
    }
}

struct Seen {
    calm_kib: u64,
    peak_kib: u64,
    calm_p99: Duration,
    p99: Duration,
    cut_off: u32,
    /// Most connections at once.
    connections: u64,
}

/// Sends `part(number)` for as long as it lasts, on one connection after the other; the proxy must cut each off.
fn abuse(name: &str, part: impl Fn(u32) -> Vec<u8> + Sync) {
    let stage = Stage::new(1);
    let calm = Instant::now();
    let calm_p99 = stage.p99(|| calm.elapsed() < Duration::from_millis(500));
    let (calm_kib, begun) = (resident_kib(stage.process), Instant::now());
    let (over, cut_off) = (AtomicBool::new(false), AtomicU32::new(0));
    let mut peak_kib = calm_kib;
    let p99 = thread::scope(|scope| {
        // However this ends, so that nobody waits for those who go on for ever.
        let _ending = Ending(&over);
        for _ in 0..ATTACKERS {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    attack(name, stage.address, &part);
                    cut_off.fetch_add(1, Relaxed);
                }
            });
        }
        let watch = scope.spawn(|| {
            let mut peak = 0;
            while !over.load(Relaxed) {
                peak = peak.max(resident_kib(stage.process));
                thread::sleep(Duration::from_millis(10));
            }
            peak
        });
        let lasts =
            || begun.elapsed() < Duration::from_secs(seconds()) || cut_off.load(Relaxed) == 0;
        let p99 = stage.p99(lasts);
        over.store(true, Relaxed);
        peak_kib = peak_kib.max(watch.join().expect("a watch"));
        p99
    });
    let seen = Seen {
        calm_kib,
        peak_kib,
        calm_p99,
        p99,
        cut_off: cut_off.into_inner(),
        connections: ATTACKERS as u64,
    };
    stage.judge(name, &seen, 100 * ATTACKERS as u64);
}

/// Sets its flag when it goes.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// One connection, until it is cut off.
fn attack(name: &str, address: SocketAddr, part: impl Fn(u32) -> Vec<u8>) {
    let mut stream = TcpStream::connect(address).expect("it accepts");
    if stream.write_all(PREFACE).is_err() {
        return;
    }
    let mut reader = stream.try_clone().expect("a second handle");
    // Whoever does not read is held back by its own window; this one reads.
    let listener = thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    let mut number = 0;
    while number < 1_000_000 && stream.write_all(&part(number)).is_ok() {
        number += 1;
    }
    assert!(number < 1_000_000, "{name}: never cut off");
    let _ = listener.join();
}

#[test]
fn rapid_resets_are_cut_off() {
    abuse("rapid reset", |number| {
        let id = 2 * number + 1;
        [frame(1, 5, id, GET), frame(3, 0, id, &[0, 0, 0, 8])].concat()
    });
}

#[test]
fn forced_resets_are_cut_off() {
    abuse("MadeYouReset", |number| {
        let id = 2 * number + 1;
        [frame(1, 5, id, GET), frame(8, 0, id, &[0; 4])].concat()
    });
}

#[test]
fn ping_floods_are_cut_off() {
    abuse("PING", |_| frame(6, 0, 0, &[0; 8]).repeat(10));
}

#[test]
fn settings_floods_are_cut_off() {
    abuse("SETTINGS", |_| frame(4, 0, 0, b"").repeat(10));
}

#[test]
fn priority_floods_are_cut_off() {
    abuse("PRIORITY", |_| frame(2, 0, 3, &[0, 0, 0, 0, 9]).repeat(10));
}

#[test]
fn empty_frames_are_cut_off() {
    abuse("empty DATA", |number| match number {
        0 => frame(1, 4, 1, POST),
        _ => frame(0, 0, 1, b"").repeat(10),
    });
}

#[test]
fn continuation_floods_are_cut_off() {
    abuse("CONTINUATION", |number| match number {
        0 => frame(1, 1, 1, GET),
        _ => frame(9, 0, 1, b""),
    });
}

/// A field of 4,000 bytes is put into the table once, and then meant by one byte each: ten kilobytes would be forty
/// megabytes of head. Each such request is refused (431), and so many of them end the connection.
#[test]
fn header_bombs_are_cut_off() {
    let value = [b'x'; 3_900];
    let mut first = GET.to_vec();
    first.extend_from_slice(b"\x40\x01b\x7f\xbd\x1d");
    first.extend_from_slice(&value);
    let bomb = [GET, &[0xbe; 10_000]].concat();
    abuse("header bomb", |number| match number {
        0 => frame(1, 5, 1, &first),
        _ => frame(1, 5, 2 * number + 1, &bomb),
    });
}

/// Many streams ask for large bodies and take nothing of them: what they are owed waits at the servers.
#[test]
fn stalled_windows_hold_no_memory() {
    const CONNECTIONS: u32 = 5;
    const STREAMS: u32 = 100;
    let stage = Stage::new(1 << 20);
    let calm = Instant::now();
    let calm_p99 = stage.p99(|| calm.elapsed() < Duration::from_millis(500));
    let calm_kib = resident_kib(stage.process);
    let mut stalled = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(stage.address).expect("it accepts");
        // INITIAL_WINDOW_SIZE is 0.
        let settings = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
        let requests = (0..STREAMS).flat_map(|number| frame(1, 5, 2 * number + 1, GET));
        let bytes: Vec<u8> = [&PREFACE[..24], &settings]
            .concat()
            .into_iter()
            .chain(requests)
            .collect();
        stream.write_all(&bytes).expect("it is sent");
        stalled.push(stream);
    }
    for stream in &mut stalled {
        heads(stream, STREAMS);
    }
    let (begun, mut peak_kib) = (Instant::now(), 0);
    let p99 = stage.p99(|| begun.elapsed() < Duration::from_secs(seconds()));
    // What was taken from servers all the same lies there by now.
    assert!(until(|| {
        let before = std::mem::replace(&mut peak_kib, resident_kib(stage.process));
        before == peak_kib
    }));
    let seen = Seen {
        calm_kib,
        peak_kib,
        calm_p99,
        p99,
        cut_off: 0,
        connections: u64::from(CONNECTIONS),
    };
    stage.judge("window stall", &seen, u64::from(CONNECTIONS * STREAMS));
}

/// Reads until so many responses have begun.
fn heads(stream: &mut TcpStream, count: u32) {
    let (mut bytes, mut begun) = (Vec::new(), 0);
    let mut chunk = [0; 4_096];
    loop {
        while let Some(head) = bytes.first_chunk::<9>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            if bytes.len() < 9 + length {
                break;
            }
            begun += u32::from(head[3] == 1);
            bytes.drain(..9 + length);
        }
        if begun >= count {
            return;
        }
        let read = stream.read(&mut chunk).expect("it answers");
        assert!(
            read > 0 || begun >= count,
            "the end after {begun} responses"
        );
        bytes.extend_from_slice(&chunk[..read]);
    }
}
