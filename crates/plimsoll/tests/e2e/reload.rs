//! Live change: another configuration is served by the same process, and nobody notices but those who are meant to.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_sys::signal::Signal;

use crate::rig::client::Client;
use crate::rig::origin::{Origin, Reply};
use crate::rig::{PLIMSOLL, Rig, free_address, plimsoll, reach, until};

/// Reloads in one run; `PLIMSOLL_RELOADS=1000` makes more.
fn rounds() -> u64 {
    let asked = std::env::var("PLIMSOLL_RELOADS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(60)
}

/// Ten a second.
const RELOAD_PERIOD: Duration = Duration::from_millis(100);

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: rig\r\n\r\n";

/// A balancer with a command socket, whose file can be rewritten.
struct Stage {
    rig: Rig,
    address: SocketAddr,
    socket: PathBuf,
    file: PathBuf,
}

impl Stage {
    /// `text` is everything behind the global section and the time-outs; `{listen}` stands for the address.
    fn new(text: &str, flags: &[&str]) -> Self {
        let mut rig = Rig::new();
        let socket = rig.path("admin.sock");
        let whole = Self::whole(&socket, text);
        let address = rig.config_with(&whole, flags);
        let file = rig.path("haproxy.cfg");
        Self {
            rig,
            address,
            socket,
            file,
        }
    }

    fn whole(socket: &Path, text: &str) -> String {
        format!(
            "global\n    stats socket {} level admin\n    nbthread 2\n\
             defaults\n    mode http\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n\
             \x20   timeout tunnel 1m\n{text}",
            socket.display()
        )
    }

    fn write(&self, text: &str) {
        let text = Self::whole(&self.socket, text).replace("{listen}", &self.address.to_string());
        // At once, so that no reader sees half of it.
        let beside = self.rig.file("haproxy.cfg.new", &text);
        fs::rename(beside, &self.file).unwrap();
    }

    fn ask(&self, line: &str) -> String {
        let mut stream = reach(&self.socket);
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Serves this text from now on.
    fn reload(&self, text: &str) {
        self.write(text);
        assert_eq!(self.ask("reload"), "Success=1\n--\n\n");
    }

    /// Has the file read anew by a signal, and waits until it has been.
    fn signal(&mut self, signal: Signal) {
        let told = |said: String| said.matches("reloaded").count();
        let before = told(self.rig.binary().said());
        self.rig.binary().signal(signal);
        let binary = self.rig.binary();
        assert!(until(|| told(binary.said()) > before), "{}", binary.said());
    }
}

fn listen(servers: &[&Origin]) -> String {
    let lines = servers.iter().map(|origin| origin.server_line());
    format!(
        "listen web\n    bind {{listen}}\n    {}\n",
        lines.collect::<Vec<_>>().join("\n    ")
    )
}

#[test]
fn signals_and_the_command_bring_other_servers() {
    let rig = Rig::new();
    let origins = ["a", "b", "c"].map(|name| rig.origin(name));
    let [a, b, c] = &origins;
    let mut stage = Stage::new(&listen(&[a]), &["-db"]);
    let mut kept = stage.rig.client();
    kept.send(REQUEST);
    assert_eq!(kept.response().text(), "a");
    stage.write(&listen(&[b]));
    stage.signal(Signal::Hangup);
    assert_eq!(stage.rig.get("/").text(), "b");
    kept.send(REQUEST);
    assert_eq!(kept.response().text(), "b", "an open connection moves on");
    stage.write(&listen(&[a]));
    stage.signal(Signal::User2);
    assert_eq!(stage.rig.get("/").text(), "a");
    stage.reload(&listen(&[c]));
    kept.send(REQUEST);
    assert_eq!(kept.response().text(), "c");
}

#[test]
fn a_faulty_file_changes_nothing_and_says_why() {
    let rig = Rig::new();
    let a = rig.origin("a");
    let mut stage = Stage::new(&listen(&[&a]), &["-db"]);
    stage.write("listen web\n    bind {listen}\n    blance roundrobin\n");
    let answer = stage.ask("reload");
    assert!(answer.starts_with("Success=0\n--\n"), "{answer}");
    assert!(
        answer.contains("blance") && answer.contains("haproxy.cfg"),
        "{answer}"
    );
    assert_eq!(stage.rig.get("/").text(), "a");
    stage.signal(Signal::Hangup);
    for part in ["blance", "not reloaded; going on as before"] {
        let binary = stage.rig.binary();
        assert!(until(|| binary.said().contains(part)), "{}", binary.said());
    }
    // An address that somebody else has is found out before anything is changed.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!(
        "{}frontend other\n    bind {}\n",
        listen(&[]),
        taken.local_addr().unwrap()
    );
    stage.write(&text);
    let answer = stage.ask("reload");
    assert!(answer.contains("other: cannot listen on"), "{answer}");
    assert_eq!(stage.rig.get("/").text(), "a");
    fs::remove_file(&stage.file).unwrap();
    assert!(stage.ask("reload").starts_with("Success=0\n--\n"));
    assert_eq!(stage.rig.get("/").text(), "a");
}

#[test]
fn listeners_come_and_go() {
    let rig = Rig::new();
    let (a, b) = (rig.origin("a"), rig.origin("b"));
    let stage = Stage::new(&listen(&[&a]), &["-db"]);
    let (second, path) = (free_address(), stage.rig.path("front.sock"));
    let more = format!(
        // Rules on connections see each of them at once, the silent ones too.
        "listen second\n    bind {second} name two\n    bind {}\n    tcp-request connection accept\n    {}\n",
        path.display(),
        b.server_line()
    );
    stage.reload(&(listen(&[&a]) + &more));
    let mut client = Client::connect(second);
    client.send(REQUEST);
    assert_eq!(client.response().text(), "b");
    let mut unix = UnixStream::connect(&path).unwrap();
    unix.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    unix.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nb"), "{answer}");
    // Under another name and with other options it is the same listener.
    let renamed = more
        .replace("listen second", "listen third")
        .replace("name two", "name two backlog 7");
    stage.reload(&(listen(&[&a]) + &renamed));
    assert!(stage.ask("show stat").contains("third,FRONTEND"));
    let mut late = Client::connect(second);
    stage.reload(&listen(&[&a]));
    assert!(until(|| TcpStream::connect(second).is_err()));
    assert!(until(
        || UnixStream::connect(&path).is_err() && !path.exists()
    ));
    assert_eq!(stage.rig.get("/").text(), "a");
    // Whoever was connected gets an answer, and is told that it is the last one.
    late.send(REQUEST);
    let answer = late.response();
    assert_eq!((answer.status, answer.text().as_str()), (200, "b"));
    assert_eq!(answer.field("connection"), Some("close"));
    assert!(late.is_closed());
}

#[test]
fn what_operators_and_checks_have_found_stays() {
    let rig = Rig::new();
    let (a, b) = (rig.origin("a"), rig.origin("b"));
    let dead = free_address();
    let servers = |weight: u32| {
        format!(
            "frontend web\n    bind {{listen}}\n    default_backend app\n\
             backend app\n    {} weight 10\n    {} weight {weight}\n    server dead {dead} check inter 50ms fall 1\n",
            a.server_line(),
            b.server_line()
        )
    };
    let stage = Stage::new(&servers(20), &["-db"]);
    assert!(until(|| stage.ask("show stat app 4 3").contains(",DOWN,")));
    stage.ask(
        "set server app/a state drain; set server app/b weight 77; set maxconn frontend web 55",
    );
    let asked = 9;
    (0..asked).for_each(|_| assert_eq!(stage.rig.get("/").text(), "b"));
    let extra = "backend other\n    server x 127.0.0.1:1\n";
    stage.reload(&(servers(20) + extra));
    assert_eq!(stage.rig.get("/").text(), "b");
    let stat = |kind: &str, column: usize| {
        let text = stage.ask(&format!("show stat {kind}"));
        let line = text.lines().nth(1).unwrap_or_default().to_owned();
        line.split(',').nth(column).unwrap_or_default().to_owned()
    };
    let sessions = (asked + 1).to_string();
    assert!(until(|| stat("app 4 2", 7) == sessions), "sessions of b");
    assert_eq!(stat("app 4 1", 17), "DRAIN");
    assert_eq!(stat("app 4 3", 17), "DOWN");
    assert_eq!(stat("web 1 -1", 6), "55");
    assert_eq!(stage.ask("get weight app/b"), "77 (initial 20)\n\n");
    stage.reload(&servers(30));
    assert_eq!(
        stage.ask("get weight app/b"),
        "30 (initial 30)\n\n",
        "an edit of this very value wins"
    );
    assert_eq!(stat("app 4 1", 17), "DRAIN");
}

#[test]
fn checks_follow() {
    let rig = Rig::new();
    let a = rig.origin("a");
    let stage = Stage::new(&listen(&[&a]), &["-db"]);
    let dead = free_address();
    let checked = format!(
        "{}    server d {dead} check inter 50ms fall 1\n",
        listen(&[&a])
    );
    stage.reload(&checked);
    assert!(until(|| stage.ask("show stat web 4 2").contains(",DOWN,")));
    // Reloads that come faster than checks do not keep them from being made.
    let _server = std::net::TcpListener::bind(dead).unwrap();
    let up = until(|| {
        stage.reload(&checked);
        stage.ask("show stat web 4 2").contains(",UP,")
    });
    assert!(up, "{}", stage.ask("show stat web 4 2"));
    stage.reload(&listen(&[&a]));
    assert_eq!(stage.rig.get("/").text(), "a");
}

#[test]
fn command_sockets_follow() {
    let rig = Rig::new();
    let a = rig.origin("a");
    let stage = Stage::new(&listen(&[&a]), &["-db"]);
    let other = stage.rig.path("other.sock");
    let text =
        listen(&[&a]) + &format!("global\n    stats socket {} level user\n", other.display());
    stage.reload(&text);
    let mut stream = UnixStream::connect(&other).expect("a new socket");
    stream.write_all(b"show cli level\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "user\n\n");
    stage.reload(&listen(&[&a]));
    assert!(until(
        || !other.exists() && UnixStream::connect(&other).is_err()
    ));
}

#[test]
fn files_are_watched() {
    let mut rig = Rig::new();
    let (a, b) = (rig.origin("a"), rig.origin("b"));
    let address = free_address();
    let text = |origin: &Origin| {
        "defaults\n    mode http\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n".to_owned()
            + &listen(&[origin]).replace("{listen}", &address.to_string())
    };
    let file = rig.file("plimsoll.cfg", &text(&a));
    let mut command = Command::new(PLIMSOLL);
    command.arg("run").arg("--watch").arg(&file);
    rig.start(command, address);
    assert_eq!(rig.get("/").text(), "a");
    rig.file("plimsoll.cfg", "nonsense\n");
    assert!(until(|| rig.binary().said().contains("not reloaded")));
    assert_eq!(rig.get("/").text(), "a");
    rig.file("plimsoll.cfg", &text(&b));
    assert!(until(|| rig.get("/").text() == "b"));
}

/// An origin that answers, and that echoes on what was upgraded.
fn echo(rig: &Rig, name: &str) -> Origin {
    let body = name.to_owned();
    rig.origin_with(name, move |request| match request.field("upgrade") {
        None => Reply::ok(&body),
        Some(_) => Reply::Switch(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n".to_vec(),
            |reader, writer| {
                let mut chunk = [0; 64];
                while let Ok(count @ 1..) = reader.read(&mut chunk) {
                    writer.write_all(&chunk[..count])?;
                }
                Ok(())
            },
        ),
    })
}

/// The three kinds of traffic of the promise; whoever fails panics, and the thread's end tells.
struct Traffic {
    ending: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Traffic {
    fn start(address: SocketAddr) -> Self {
        let mut traffic = Self {
            ending: Arc::default(),
            requests: Arc::default(),
            threads: Vec::new(),
        };
        for _ in 0..4 {
            traffic.go_on(
                move |_| Client::connect(address),
                |kept, _| {
                    kept.send(REQUEST);
                    assert_eq!(kept.response().status, 200);
                },
            );
        }
        for _ in 0..2 {
            traffic.go_on(
                |_| (),
                move |(), _| {
                    let mut client = Client::connect(address);
                    client.send("GET / HTTP/1.1\r\nHost: rig\r\nConnection: close\r\n\r\n");
                    assert_eq!(client.response().status, 200);
                },
            );
        }
        for _ in 0..8 {
            let open = move |_: usize| {
                let mut client = Client::connect(address);
                client.send("GET /ws HTTP/1.1\r\nHost: rig\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
                assert_eq!(client.response().status, 101);
                client
            };
            traffic.go_on(open, |socket, turn| {
                let word = format!("{turn:08}");
                socket.send(&word);
                assert_eq!(socket.read_exact(8), word.as_bytes());
            });
        }
        traffic
    }

    fn go_on<T>(
        &mut self,
        open: impl FnOnce(usize) -> T + Send + 'static,
        act: impl Fn(&mut T, u64) + Send + 'static,
    ) {
        let (ending, requests) = (Arc::clone(&self.ending), Arc::clone(&self.requests));
        let number = self.threads.len();
        self.threads.push(thread::spawn(move || {
            let mut state = open(number);
            for turn in 0.. {
                act(&mut state, turn);
                requests.fetch_add(1, Ordering::Relaxed);
                if ending.load(Ordering::Relaxed) {
                    return;
                }
                // As clients are: some think, none is synchronous with the others.
                thread::sleep(Duration::from_micros(500 + (number as u64 * 137) % 1_000));
            }
        }));
    }

    fn is_well(&self) -> bool {
        !self.threads.iter().any(thread::JoinHandle::is_finished)
    }

    /// Ends it; how many requests and words there were, all of them answered.
    fn end(self) -> u64 {
        self.ending.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("nothing failed");
        }
        self.requests.load(Ordering::Relaxed)
    }
}

fn resident_kib(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("the process is there");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap()
}

/// The promise: a thousand reloads at ten a second under keep-alive, short and WebSocket traffic lose nothing.
#[test]
fn reloads_under_traffic_lose_nothing() {
    let rig = Rig::new();
    let origins = ["a", "b", "c"].map(|name| echo(&rig, name));
    let [a, b, c] = &origins;
    let dead = free_address();
    let second = free_address();
    let text = |round: u64| {
        let mut text = format!(
            "frontend web\n    bind {{listen}}\n    default_backend app\nbackend app\n    balance leastconn\n    {} weight 10\n    {} weight {}\n\
             \x20   server dead {dead} check inter 200 fall 1\n",
            a.server_line(),
            b.server_line(),
            20 + round % 7,
        );
        // A server that comes and goes, and with it a listener.
        if round % 2 == 1 {
            text += &format!(
                "    {}\nlisten second\n    bind {second}\n    {}\n",
                c.server_line(),
                a.server_line()
            );
        }
        text
    };
    let mut stage = Stage::new(&text(0), &["-db"]);
    assert!(until(|| stage.ask("show stat app 4 3").contains(",DOWN,")));
    stage.ask("set server app/a weight 42");
    let traffic = Traffic::start(stage.address);
    // Until everything that grows with use has grown.
    for round in 1..=20 {
        stage.reload(&text(round));
    }
    let id = stage.rig.binary().id();
    let before_kib = resident_kib(id);
    let begun = Instant::now();
    let (mut slowest, mut reloads) = (Duration::ZERO, 0);
    for round in 1..=rounds() {
        let due = begun + RELOAD_PERIOD * round as u32;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        stage.write(&text(round));
        let asked = Instant::now();
        let answer = stage.ask("reload");
        slowest = slowest.max(asked.elapsed());
        assert_eq!(answer, "Success=1\n--\n\n");
        reloads += 1;
        assert!(traffic.is_well(), "something failed at reload {round}");
    }
    let took = begun.elapsed();
    let after_kib = resident_kib(id);
    let answered = traffic.end();
    eprintln!(
        "{reloads} reloads in {took:.1?}, the slowest took {slowest:.1?}; {answered} requests and words answered, none \
         failed; resident before {before_kib} KiB, after {after_kib} KiB"
    );
    assert!(stage.ask("show stat app 4 3").contains(",DOWN,"), "health");
    assert!(
        stage.ask("get weight app/a").starts_with("42 "),
        "the weight that was set"
    );
    let stat = stage.ask("show stat web 1 -1");
    let total: u64 = stat
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .nth(48)
        .unwrap()
        .parse()
        .unwrap();
    assert!(total > 0 && total <= answered, "requests counted: {total}");
    let grown = after_kib.saturating_sub(before_kib);
    assert!(
        grown * 20 < before_kib,
        "resident {before_kib} KiB before, {after_kib} KiB after"
    );
}

#[test]
fn servers_are_added_and_removed_at_run_time() {
    let rig = Rig::new();
    let (a, b) = (rig.origin("a"), rig.origin("b"));
    let text = format!(
        "frontend web\n    bind {{listen}}\n    default_backend app\nbackend app\n    {}\n    server late 127.0.0.1:1 disabled track app/lead\n\
         \x20   server lead 127.0.0.1:1 disabled check\n",
        a.server_line()
    );
    let stage = Stage::new(&text, &["-db"]);
    let place = b.address;
    for (question, answer) in [
        (
            format!("add server app/b {place} wieght 3"),
            "did you mean 'weight'",
        ),
        (format!("add server nope/b {place}"), "No such backend."),
        (
            format!("add server app/a {place}"),
            "Already exists a server with the same name",
        ),
        (
            format!("add server app/b {place} weight 3"),
            "New server registered.\n\n",
        ),
        ("get weight app/b".to_owned(), "3 (initial 3)\n\n"),
        (
            "del server app/a".to_owned(),
            "Only servers in maintenance mode can be deleted.",
        ),
        (
            "del server app/lead".to_owned(),
            "other configuration elements pointing to it",
        ),
    ] {
        let said = stage.ask(&question);
        assert!(said.contains(answer), "{question}: {said}");
    }
    let mut kept = stage.rig.client();
    let seen = |client: &mut Client| -> Vec<String> {
        let asked = (0..4).map(|_| {
            client.send(REQUEST);
            client.response().text()
        });
        asked.collect()
    };
    assert_eq!(seen(&mut kept), ["a"; 4], "it starts in maintenance");
    assert_eq!(stage.ask("enable server app/b"), "\n");
    assert!(seen(&mut kept).contains(&"b".to_owned()));
    assert_eq!(
        stage.ask("disable server app/a; del server app/a"),
        "\nServer deleted.\n\n"
    );
    assert_eq!(seen(&mut kept), ["b"; 4]);
    let table = stage.ask("show servers state app");
    assert!(!table.contains(" a ") && table.contains(" b "), "{table}");
    // The place of the server that is gone may be taken by another of its name.
    stage.ask(&format!(
        "add server app/a {}; enable server app/a",
        a.address
    ));
    assert!(seen(&mut kept).contains(&"a".to_owned()));
    // The file knows nothing of them.
    stage.reload(&text);
    assert_eq!(seen(&mut kept), ["a"; 4]);
    assert!(!stage.ask("show servers state app").contains(" b "));
}

#[test]
fn a_busy_server_is_waited_for() {
    let rig = Rig::new();
    let held = Arc::new(AtomicBool::new(true));
    let holds = Arc::clone(&held);
    let slow = rig.origin_with("slow", move |_| {
        until(|| !holds.load(Ordering::SeqCst));
        Reply::ok("late")
    });
    let stage = Stage::new(&listen(&[&slow]), &["-db"]);
    let mut client = stage.rig.client();
    client.send(REQUEST);
    slow.wait_for_requests(1);
    stage.ask("disable server web/slow");
    let busy = "Server still has connections attached to it, cannot remove it.\n\n";
    assert_eq!(stage.ask("del server web/slow"), busy);
    let said = stage.ask("wait 10ms srv-removable web/slow");
    assert_eq!(said, format!("Wait delay expired. {busy}"));
    let mut waiting = reach(&stage.socket);
    let line = b"wait 1m srv-removable web/slow; del server web/slow\n";
    waiting.write_all(line).unwrap();
    held.store(false, Ordering::SeqCst);
    let mut said = String::new();
    waiting.read_to_string(&mut said).expect("an answer");
    assert_eq!(said, "Done.\n\nServer deleted.\n\n");
    assert_eq!(client.response().text(), "late", "it was not cut off");
    client.send(REQUEST);
    assert_eq!(client.response().status, 503);
}

#[test]
fn backends_are_added_published_and_removed() {
    let rig = Rig::new();
    let a = rig.origin("a");
    let text = format!(
        "frontend web\n    bind {{listen}}\n    default_backend app\nbackend app\n    {}\n\
         defaults plain\ndefaults web\n    mode http\n    balance leastconn\n",
        a.server_line()
    );
    let stage = Stage::new(&text, &["-db"]);
    for (question, answer) in [
        ("show defaults", "plain\nweb\n\n"),
        (
            "add backend new from nope",
            "Cannot find default proxy 'nope'.\n\n",
        ),
        ("add backend new from web", "New backend registered.\n\n"),
        (
            "add backend new from web",
            "Already exists a backend with the same name.\n\n",
        ),
        (
            "del backend app",
            "This proxy cannot be removed at runtime due to other configuration elements pointing to it.\n\n",
        ),
        ("publish backend new", "Backend published.\n\n"),
        (
            "del backend new",
            "Backend must be unpublished prior to its deletion.\n\n",
        ),
        ("unpublish backend new", "Backend unpublished.\n\n"),
        (
            "wait 30s be-removable new; del backend new",
            "Done.\n\nBackend deleted.\n\n",
        ),
        ("del backend new", "No such backend.\n\n"),
    ] {
        let said = stage.ask(question);
        assert!(
            said == answer || said.starts_with(answer.trim_end_matches('\n')),
            "{question}: {said}"
        );
    }
    assert_eq!(stage.rig.get("/").text(), "a");
    stage.ask("unpublish backend app");
    assert_eq!(
        stage.rig.get("/").status,
        503,
        "an unpublished backend is led to by nothing"
    );
    stage.ask("publish backend app");
    assert_eq!(stage.rig.get("/").text(), "a");
}

#[test]
fn a_plan_tells_what_would_change() {
    let rig = Rig::new();
    let (a, b) = (rig.origin("a"), rig.origin("b"));
    let text = |weight: u32| format!("{} weight {weight}\n", listen(&[&a]).trim_end());
    let stage = Stage::new(&text(10), &["-db"]);
    stage.ask("set server web/a weight 33");
    stage.write(&(text(20) + "    " + &b.server_line() + "\n"));
    let replaced = "~ server web/a (weight 33, set at run time, is replaced)\n      weight: 10 -> 20\n+ server web/b\n";
    let expected = format!("{replaced}1 added, 1 changed, 0 removed\n");
    assert_eq!(stage.ask("plan"), expected.clone() + "\n");
    assert_eq!(
        stage.ask("get weight web/a"),
        "33 (initial 10)\n\n",
        "nothing was changed"
    );
    let socket = stage.socket.display().to_string();
    let file = stage.file.display().to_string();
    let seen = plimsoll(&["plan", "--socket", &socket, &file]);
    assert_eq!((seen.status, seen.stdout), (Some(0), expected));
    // Without a running balancer: one file and another.
    let old = stage
        .rig
        .file("old.cfg", &fs::read_to_string(&file).unwrap());
    let old = old.display().to_string();
    stage.write(&text(10));
    let seen = plimsoll(&["plan", "--from", &old, &file, "--format", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap();
    let changes = plan["changes"].as_array().unwrap();
    let told: Vec<_> = changes
        .iter()
        .map(|change| {
            (
                change["change"].as_str().unwrap(),
                change["name"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(told, [("changed", "web/a"), ("removed", "web/b")]);
    let seen = plimsoll(&["plan", "--socket", &socket, &file]);
    assert_eq!(
        seen.stdout,
        "= server web/a: weight 33, set at run time\nnothing would change\n"
    );
    stage.write("nonsense\n");
    assert!(stage.ask("plan").contains("nonsense"));
}

#[test]
fn the_socket_of_haproxys_master_is_there() {
    let rig = Rig::new();
    let a = rig.origin("a");
    let place = rig.path("master.sock").display().to_string();
    let stage = Stage::new(
        &listen(&[&a]),
        &["-W", "-db", "-S", &format!("{place},mode,600")],
    );
    let master = Stage {
        socket: rig.path("master.sock"),
        ..stage
    };
    assert_eq!(master.ask("reload"), "Success=1\n--\n\n");
    assert_eq!(
        master.ask("reload"),
        "Success=1\n--\n\n",
        "it is still there"
    );
    let said = master.ask("show proc");
    let row = |kind: &str| {
        said.lines()
            .any(|line| line.split_whitespace().nth(1) == Some(kind))
    };
    assert!(row("master") && row("worker"), "{said}");
    assert!(
        said.lines().nth(1).unwrap().split_whitespace().nth(2) == Some("2"),
        "{said}"
    );
    assert!(master.ask("@1 show info").contains("Process_num: 1\n"));
}

/// What rules and commands have changed in a map goes on where its file is the same; an edit of the file wins.
#[test]
fn changes_of_maps_go_on() {
    let folder = Rig::new();
    let map = folder.file("ages.map", "joe 7\nann 8\n");
    let text = format!(
        "frontend fe\n    bind {{listen}}\n    http-request set-map({map}) %[url_param(key)] %[url_param(value)] if {{ path /set }}\n    \
         http-request return status 200 content-type text/plain lf-string \"%[url_param(key),map({map},nobody)]\"\n",
        map = map.display()
    );
    let stage = Stage::new(&text, &[]);
    let age = |name: &str| stage.rig.get(&format!("/?key={name}")).text();
    assert_eq!(age("joe"), "7");
    assert_eq!(stage.rig.get("/set?key=joe&value=9").text(), "9");
    assert_eq!(stage.ask(&format!("del map {} ann", map.display())), "\n");
    stage.reload(&(text.clone() + "    # the same file\n"));
    assert_eq!(
        (age("joe"), age("ann")),
        ("9".to_owned(), "nobody".to_owned())
    );
    fs::write(&map, "joe 10\n").unwrap();
    stage.reload(&text);
    assert_eq!(age("joe"), "10");
}

/// Lookups go on while a map is filled, committed and emptied; each sees a whole version.
#[test]
fn maps_are_replaced_under_traffic() {
    let folder = Rig::new();
    let map = folder.file("colour.map", "a red\nb red\n");
    let map = map.display();
    let stage = Stage::new(
        &format!(
            "frontend fe\n    bind {{listen}}\n    \
             http-request return status 200 content-type text/plain lf-string \"%[str(a),map({map})] %[str(b),map({map})]\"\n"
        ),
        &[],
    );
    let (ended, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut round = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = Client::connect(stage.address);
            while !ended.load(Ordering::Relaxed) {
                client.send(REQUEST);
                let text = client.response().text();
                let words: Vec<_> = text.split(' ').collect();
                // A commit may come between the two lookups of one request, but no version is seen in part.
                let whole = words.iter().all(|word| ["red", "blue"].contains(word));
                asked.fetch_add(1, Ordering::Relaxed);
                assert!(whole, "{text:?}");
            }
        });
        while round < 50 || asked.load(Ordering::Relaxed) < 50 {
            round += 1;
            let colour = ["red", "blue"][round % 2];
            let made = stage.ask(&format!("prepare map {map}"));
            assert_eq!(made, format!("New version created: {round}\n\n"));
            let line = format!(
                "add map @{round} {map} a {colour}; add map @{round} {map} b {colour}; commit map @{round} {map}"
            );
            assert_eq!(stage.ask(&line), "\n\n\n");
        }
        ended.store(true, Ordering::Relaxed);
    });
    let colour = ["red", "blue"][round % 2];
    assert_eq!(stage.rig.get("/").text(), format!("{colour} {colour}"));
}
