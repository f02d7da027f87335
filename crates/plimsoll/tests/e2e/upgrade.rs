//! One process after the other: listeners are handed over, what runs ends in peace, nobody is refused.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_sys::signal::Signal;

use crate::rig::client::Client;
use crate::rig::origin::{Origin, Reply};
use crate::rig::syslog::Syslog;
use crate::rig::{Binary, PLIMSOLL, Rig, free_address, until};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: rig\r\n\r\n";

/// How many processes follow each other under traffic.
const SUCCESSORS: usize = 4;

pub(crate) fn text(rig: &Rig, address: SocketAddr, origin: &Origin) -> String {
    format!(
        "global\n    stats socket {} level admin expose-fd listeners\n    nbthread 2\n    hard-stop-after 50s\n\
         defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         listen web\n    bind {address}\n    option idle-close-on-response\n    {}\n",
        rig.path("admin.sock").display(),
        origin.server_line()
    )
}

fn start(file: &Path, more: &[String]) -> Binary {
    let mut command = Command::new(PLIMSOLL);
    command.args(["-db", "-f"]).arg(file).args(more);
    Binary::start(command)
}

/// Clients that ask again and again, and come back when they are told that a connection ends. Whoever is failed panics.
pub(crate) struct Crowd {
    ending: Arc<AtomicBool>,
    pub(crate) answered: Arc<AtomicU64>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Crowd {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let (ending, answered) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let threads = (0..6).map(|number| {
            let (ending, answered) = (Arc::clone(&ending), Arc::clone(&answered));
            thread::spawn(move || {
                let mut kept = None;
                while !ending.load(Ordering::Relaxed) {
                    let mut client = kept.take().unwrap_or_else(|| Client::connect(address));
                    client.send(REQUEST);
                    let answer = client.response();
                    assert_eq!(answer.status, 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                    // Two of three keep their connections.
                    if number % 3 > 0 && answer.field("connection") != Some("close") {
                        kept = Some(client);
                    }
                    thread::sleep(Duration::from_micros(300 + number * 100));
                }
            })
        });
        Self {
            threads: threads.collect(),
            ending,
            answered,
        }
    }

    pub(crate) fn end(self) -> u64 {
        self.ending.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("nobody was failed");
        }
        self.answered.load(Ordering::Relaxed)
    }
}

/// Lets processes follow each other, with what `more` adds to their command lines.
fn follow(more: impl Fn(&Rig, u32) -> Vec<String>) {
    let rig = Rig::new();
    let origin = rig.origin("a");
    let address = free_address();
    let file = rig.file("haproxy.cfg", &text(&rig, address, &origin));
    let mut old = start(&file, &[]);
    assert!(
        until(|| TcpStream::connect(address).is_ok()),
        "{}",
        old.said()
    );
    let crowd = Crowd::start(address);
    for _ in 0..SUCCESSORS {
        let before = crowd.answered.load(Ordering::Relaxed);
        assert!(until(
            || crowd.answered.load(Ordering::Relaxed) > before + 200
        ));
        let mut new = start(&file, &more(&rig, old.id()));
        assert_eq!(old.wait().code(), Some(0), "{}", old.said());
        assert!(new.is_running(), "{}", new.said());
        old = new;
    }
    let answered = crowd.end();
    assert!(answered > 200 * SUCCESSORS as u64);
    eprintln!("{SUCCESSORS} upgrades, {answered} requests answered, none failed");
}

#[test]
fn a_newer_process_takes_the_listeners_over() {
    follow(|rig, old| {
        let socket = rig.path("admin.sock").display().to_string();
        vec!["-x".into(), socket, "-sf".into(), old.to_string()]
    });
}

#[test]
fn without_the_old_process_there_is_no_start() {
    let rig = Rig::new();
    let origin = rig.origin("a");
    let file = rig.file("haproxy.cfg", &text(&rig, free_address(), &origin));
    let socket = rig.path("nobody.sock").display().to_string();
    let mut binary = start(&file, &["-x".into(), socket]);
    assert_eq!(binary.wait().code(), Some(1));
    assert!(
        binary
            .said()
            .contains("cannot get the sockets of the old process")
    );
}

#[test]
fn a_soft_stop_ends_in_time() {
    let mut rig = Rig::new();
    let origin = rig.origin_with("silent", |_| {
        until(|| false);
        Reply::ok("too late")
    });
    let log = Syslog::start();
    let address = rig.config(&format!(
        "global\n    grace 300\n    hard-stop-after 500\ndefaults\n    mode http\n    timeout connect 20s\n    timeout client 5m\n\
         \x20   timeout server 5m\nlisten web\n    bind {{listen}}\n    log {} local0\n    option httplog\n    {}\n",
        log.address(),
        origin.server_line()
    ));
    let mut client = rig.client();
    client.send(REQUEST);
    origin.wait_for_requests(1);
    let begun = Instant::now();
    rig.binary().signal(Signal::User1);
    assert!(until(|| TcpStream::connect(address).is_err()));
    let grace = begun.elapsed();
    assert!(grace >= Duration::from_millis(300), "{grace:?} of grace");
    assert_eq!(rig.binary().wait().code(), Some(0));
    let took = begun.elapsed();
    // No time-out and no answer would have ended it sooner.
    assert!(took >= Duration::from_millis(800), "it took {took:?}");
    assert!(rig.binary().said().contains("hard-stop-after"));
    assert!(client.is_closed());
    // Whoever was cut off has its line, behind those of the connections above that asked nothing.
    let lines = std::iter::repeat_with(|| log.line());
    let line = lines.take(10_000).find(|line| line.contains("GET "));
    let line = line.expect("a line");
    assert!(line.contains(" K"), "{line}");
}
