//! What breaks around the balancer, and how many requests that costs: none, wherever another attempt is allowed.
//!
//! Servers that are slow are in `passive`; those that fail their checks in `checks`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::rig::origin::{Origin, Reply};
use crate::rig::peer::require_peer;
use crate::rig::{Binary, DEADLINE, PLIMSOLL, Rig, ask, free_address, until};

/// Requests that a client may send again: GET, over one connection after the other.
struct Traffic {
    going: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
    answered: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
}

impl Traffic {
    fn start(address: SocketAddr, clients: usize) -> Self {
        let (going, answered, lost) = (
            Arc::new(AtomicBool::new(true)),
            Arc::default(),
            Arc::default(),
        );
        let threads = (0..clients).map(|_| {
            let (going, answered, lost): (_, Arc<AtomicU64>, Arc<AtomicU64>) =
                (Arc::clone(&going), Arc::clone(&answered), Arc::clone(&lost));
            thread::spawn(move || {
                let mut connection = None;
                while going.load(Ordering::SeqCst) {
                    let count = match request(&mut connection, address) {
                        true => &answered,
                        false => &lost,
                    };
                    count.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        Self {
            threads: threads.collect(),
            going,
            answered,
            lost,
        }
    }

    /// Waits for so many more answers.
    fn goes_on(&self, answers: u64) {
        let before = self.answered.load(Ordering::SeqCst);
        let enough = || self.answered.load(Ordering::SeqCst) >= before + answers;
        assert!(
            until(enough),
            "traffic stands still, {} lost",
            self.lost.load(Ordering::SeqCst)
        );
    }

    fn stop(self) -> u64 {
        self.going.store(false, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("clients do not panic");
        }
        self.lost.load(Ordering::SeqCst)
    }
}

/// One request; whether it was answered with 200 and all of its body.
fn request(connection: &mut Option<TcpStream>, address: SocketAddr) -> bool {
    let mut stream = match connection.take() {
        Some(stream) => stream,
        None => match TcpStream::connect(address) {
            Ok(stream) => stream,
            Err(_) => return false,
        },
    };
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a time-out can be set");
    if stream
        .write_all(b"GET / HTTP/1.1\r\nHost: rig\r\n\r\n")
        .is_err()
    {
        return false;
    }
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return false,
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        if length.is_some_and(|length| body.len() >= length) {
            let well = head.starts_with("HTTP/1.1 200");
            *connection = Some(stream);
            return well;
        }
    }
}

/// A configuration that lets requests that may be sent again be sent again: more often than a busy machine lets servers that
/// are well be late.
fn text(rig: &Rig, global: &str, servers: &str) -> String {
    format!(
        "global\n    stats socket {} level admin\n{global}\
         defaults\n    mode http\n    timeout connect 300ms\n    timeout client 1m\n    timeout server 1s\n    \
         retries 6\n    option redispatch 1\n    retry-on all-retryable-errors\n\
         frontend web\n    bind {{listen}}\n    default_backend app\n\
         backend app\n    option httpchk\n    default-server inter 100ms fall 2 rise 1\n{servers}\n",
        rig.path("sock").display()
    )
}

/// The cheapest server that can be killed: a process of its own.
fn server(listen: SocketAddr, around: &[&str]) -> Binary {
    let words: Vec<&str> = around.iter().copied().chain([PLIMSOLL]).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command.args(["backend", "--bench", "--listen", &listen.to_string()]);
    let mut server = Binary::start(command);
    let listening = until(|| !server.is_running() || server.said().contains("listens"));
    assert!(listening && server.is_running(), "{}", server.said());
    server
}

fn is_down(rig: &Rig, server: &str) -> bool {
    let stat = ask(&rig.path("sock"), "show stat app 4 -1");
    let row = stat
        .lines()
        .find(|row| row.starts_with(&format!("app,{server},")));
    row.is_some_and(|row| {
        row.split(',')
            .nth(17)
            .is_some_and(|status| status.starts_with("DOWN"))
    })
}

/// Two servers. Checks are in a hurry here, and might find fault with one that is well on a busy machine; so it is asked
/// only whether the second one lives, to which things happen.
fn pair() -> ([SocketAddr; 2], String) {
    let addresses = [free_address(), free_address()];
    let lines = format!(
        "    server one {}\n    server two {} check",
        addresses[0], addresses[1]
    );
    (addresses, lines)
}

fn tell(process: u32, signal: &str) {
    let told = Command::new("kill")
        .args([signal, &process.to_string()])
        .status();
    assert!(told.expect("kill runs").success());
}

#[test]
fn a_server_that_is_killed_costs_no_request() {
    let mut rig = Rig::new();
    let (addresses, lines) = pair();
    let mut servers = addresses.map(|address| server(address, &[]));
    rig.config(&text(&rig, "", &lines));
    let traffic = Traffic::start(rig.address(), 8);
    traffic.goes_on(200);
    tell(servers[1].id(), "-KILL");
    servers[1].wait();
    traffic.goes_on(500);
    assert!(until(|| is_down(&rig, "two")));
    servers[1] = server(addresses[1], &[]);
    assert!(until(|| !is_down(&rig, "two")));
    traffic.goes_on(200);
    assert_eq!(traffic.stop(), 0, "requests lost");
}

#[test]
fn a_server_that_is_frozen_costs_no_request() {
    let mut rig = Rig::new();
    let (addresses, lines) = pair();
    let servers = addresses.map(|address| server(address, &[]));
    rig.config(&text(&rig, "", &lines));
    let traffic = Traffic::start(rig.address(), 8);
    traffic.goes_on(200);
    tell(servers[1].id(), "-STOP");
    assert!(until(|| is_down(&rig, "two")), "its check sees it");
    traffic.goes_on(500);
    tell(servers[1].id(), "-CONT");
    assert!(until(|| !is_down(&rig, "two")));
    traffic.goes_on(200);
    assert_eq!(traffic.stop(), 0, "requests lost");
}

#[test]
fn a_server_that_hangs_up_instead_of_answering_costs_no_request() {
    let mut rig = Rig::new();
    let well = rig.origin("well");
    // It takes a request and closes, now before and now in the middle of the head of its answer.
    let turn = AtomicU64::new(0);
    let half = rig.origin_raw("half", move |mut stream| {
        let _ = stream.set_read_timeout(Some(DEADLINE));
        if matches!(stream.read(&mut [0; 1024]), Ok(1..))
            && turn.fetch_add(1, Ordering::SeqCst).is_multiple_of(2)
        {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConte");
        }
    });
    let lines = format!("    {}\n    {}", well.server_line(), half.server_line());
    rig.config(&text(&rig, "", &lines));
    let traffic = Traffic::start(rig.address(), 4);
    traffic.goes_on(400);
    assert!(half.connections() > 20, "it was asked");
    assert_eq!(traffic.stop(), 0, "requests lost");
}

/// A network of its own with a server in it; both vanish with the value.
struct Island {
    id: u32,
    name: String,
    address: SocketAddr,
    _server: Binary,
}

impl Island {
    fn make(ip: &Path) -> Option<Self> {
        let run = |words: &str| {
            let ran = Command::new(ip).args(words.split(' ')).output();
            ran.is_ok_and(|output| output.status.success())
        };
        let name = |id: u32| format!("plimsoll-kills-{id}");
        // Another process may have one at the same time.
        let mut ids = (0..200).map(|turn| (std::process::id() + turn) % 200);
        let id = ids.find(|&id| run(&format!("netns add {}", name(id))))?;
        let name = name(id);
        let (here, there) = (format!("plk{id}a"), format!("plk{id}b"));
        let made = run(&format!(
            "link add {here} type veth peer name {there} netns {name}"
        )) && run(&format!("addr add 10.231.{id}.1/30 dev {here}"))
            && run(&format!("link set {here} up"))
            && run(&format!("-n {name} addr add 10.231.{id}.2/30 dev {there}"))
            && run(&format!("-n {name} link set {there} up"));
        if !made {
            run(&format!("netns del {name}"));
            return None;
        }
        let address = SocketAddr::from(([10, 231, id as u8, 2], 8_080));
        let ip = ip.to_string_lossy().into_owned();
        let server = server(address, &[&ip, "netns", "exec", &name]);
        Some(Self {
            id,
            name,
            address,
            _server: server,
        })
    }

    /// Cuts or mends the only way to it.
    fn link(&self, state: &str) {
        let there = format!("plk{}b", self.id);
        let words = ["-n", &self.name, "link", "set", &there, state].map(str::to_owned);
        let ran = Command::new("ip").args(words).status();
        assert!(ran.expect("ip runs").success());
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .output();
    }
}

#[test]
fn a_server_whose_cable_is_cut_costs_no_request() {
    let Some(ip) = require_peer("ip") else { return };
    let Some(island) = Island::make(&ip) else {
        eprintln!("SKIPPED: making a network of one's own needs root");
        return;
    };
    let mut rig = Rig::new();
    let near = rig.origin("near");
    let lines = format!(
        "    {}\n    server far {} check",
        near.server_line(),
        island.address
    );
    rig.config(&text(&rig, "", &lines));
    let traffic = Traffic::start(rig.address(), 8);
    traffic.goes_on(200);
    island.link("down");
    assert!(until(|| is_down(&rig, "far")), "its check sees it");
    traffic.goes_on(500);
    island.link("up");
    assert!(until(|| !is_down(&rig, "far")));
    traffic.goes_on(200);
    assert_eq!(traffic.stop(), 0, "requests lost");
}

#[test]
fn out_of_descriptors_connections_wait_and_none_is_lost() {
    let mut rig = Rig::new();
    let origin = rig.origin("one");
    let address = free_address();
    let config = text(
        &rig,
        "    maxconn 500\n    nbthread 1\n",
        &format!("    {}", origin.server_line()),
    );
    let config = config.replace("connect 300ms", "connect 1m");
    let path = rig.file(
        "haproxy.cfg",
        &config.replace("{listen}", &address.to_string()),
    );
    let mut command = Command::new("sh");
    let line = format!("ulimit -n 64 && exec {PLIMSOLL} -db -f {}", path.display());
    command.args(["-c", &line]);
    rig.start(command, address);
    // All its threads run, and want nothing more for themselves.
    assert!(ask(&rig.path("sock"), "show info").contains("Uptime"));
    let idle: Vec<_> = (0..120)
        .map(|_| TcpStream::connect(address).expect("the kernel takes it"))
        .collect();
    let traffic = Traffic::start(address, 4);
    thread::scope(|scope| {
        // The idle ones end while requests wait behind them.
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(500));
            drop(idle);
        });
        let all_answered = || traffic.answered.load(Ordering::SeqCst) >= 100;
        assert!(until(all_answered), "it said: {}", rig.binary().said());
    });
    assert_eq!(traffic.stop(), 0, "requests lost");
    assert!(rig.binary().is_running());
}

#[test]
fn a_log_target_that_is_gone_costs_no_request() {
    let mut rig = Rig::new();
    let origin = rig.origin("one");
    let gone = free_address();
    let target = UdpSocket::bind(gone).expect("a free address");
    let path = rig.path("no-such-socket");
    let global = format!("    log {gone} local0\n    log {} local0\n", path.display());
    let config = text(&rig, &global, &format!("    {}", origin.server_line()));
    rig.config(&config.replace(
        "mode http\n",
        "mode http\n    log global\n    option httplog\n",
    ));
    let traffic = Traffic::start(rig.address(), 4);
    traffic.goes_on(100);
    drop(target);
    traffic.goes_on(300);
    assert_eq!(traffic.stop(), 0, "requests lost");
}

/// Traffic to a server that is well and another one; nothing may be lost, and the other one must have been asked.
fn costs_nothing(other: &Origin) {
    let mut rig = Rig::new();
    let well = rig.origin("well");
    let lines = format!("    {}\n    {}", well.server_line(), other.server_line());
    rig.config(&text(&rig, "", &lines));
    let traffic = Traffic::start(rig.address(), 8);
    traffic.goes_on(60);
    assert!(other.connections() > 1, "it was asked");
    assert_eq!(traffic.stop(), 0, "requests lost");
}

#[test]
fn a_server_that_is_slow_costs_no_request() {
    // Beyond the time-out for answers.
    costs_nothing(&Rig::new().origin_with("slow", |_| {
        Reply::After(Duration::from_secs(10), Box::new(Reply::ok("late")))
    }));
}

#[test]
fn connections_that_are_half_open_cost_no_request() {
    // Each answers once; then it is as if the other side had gone without a word: nobody reads, and nobody ends it.
    costs_nothing(&Rig::new().origin_raw("halfopen", |mut stream| {
        let _ = stream.set_read_timeout(Some(DEADLINE));
        if matches!(stream.read(&mut [0; 1024]), Ok(1..)) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            thread::sleep(DEADLINE);
        }
    }));
}

#[test]
fn an_answer_that_stops_halfway_is_the_one_request_lost() {
    let mut rig = Rig::new();
    let stops = rig.origin_with("stops", |request| match request.line.contains("/half") {
        true => Reply::SendAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".into()),
        false => Reply::ok("whole"),
    });
    rig.config(&text(&rig, "", &format!("    {}", stops.server_line())));
    let traffic = Traffic::start(rig.address(), 4);
    traffic.goes_on(50);
    // Part of it has reached the client, who must not take it for all: no other attempt can be made.
    let mut client = rig.client();
    client.send("GET /half HTTP/1.1\r\nHost: rig\r\n\r\n");
    let answer = String::from_utf8(client.read_to_end()).expect("text");
    assert!(answer.ends_with("\r\n\r\nhalf"), "{answer}");
    traffic.goes_on(50);
    assert_eq!(traffic.stop(), 0, "further requests lost");
}

/// A number of `/proc/PID/status`, in KiB.
fn status_kib(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_ascii_whitespace().nth(1));
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

/// What clients may take of memory is bounded: with hardly more than it needs at rest, it holds as many as may come, each
/// of whom makes it keep as much as it can, and goes on for the others.
#[test]
fn with_hardly_any_memory_left_no_request_is_lost() {
    const CLIENTS: usize = 400;
    const ROOM_KIB: u64 = 64 << 10;
    let mut rig = Rig::new();
    let origin = rig.origin("one");
    let stalled = rig.origin_raw("stalled", |_stream| thread::sleep(3 * DEADLINE));
    let address = free_address();
    let lines = format!(
        "    {}\nbackend stalled\n    {}",
        origin.server_line(),
        stalled.server_line()
    );
    let config = text(&rig, "    maxconn 500\n    nbthread 1\n", &lines)
        .replace("server 1s", "server 5m")
        .replace(
            "default_backend",
            "use_backend stalled if { path /stalled }\n    default_backend",
        );
    let path = rig.file(
        "haproxy.cfg",
        &config.replace("{listen}", &address.to_string()),
    );
    let limited = |limit: &str| {
        let mut command = Command::new("sh");
        let line = format!(
            "ulimit -v {limit} && exec {PLIMSOLL} -db -f {}",
            path.display()
        );
        command.args(["-c", &line]);
        command
    };
    rig.start(limited("unlimited"), address);
    assert!(ask(&rig.path("sock"), "show info").contains("Uptime"));
    let at_rest_kib = status_kib(rig.binary().id(), "VmSize");
    tell(rig.binary().id(), "-TERM");
    rig.binary().wait();
    rig.start(limited(&(at_rest_kib + ROOM_KIB).to_string()), address);
    let traffic = Traffic::start(address, 4);
    // Half of them send heads that never end, half uploads to a server that reads nothing.
    let hold = |number: usize| {
        let mut stream = TcpStream::connect(address).expect("the kernel takes it");
        stream.set_nonblocking(true).expect("it can be set");
        let head: &[u8] = match number % 2 {
            0 => b"GET / HTTP/1.1\r\nX: ",
            _ => b"POST /stalled HTTP/1.1\r\nHost: rig\r\nContent-Length: 99999999\r\n\r\n",
        };
        let _ = stream.write_all(head);
        // As much as is taken.
        while matches!(stream.write(&[b'x'; 15_000]), Ok(1..)) && number % 2 == 1 {}
        stream
    };
    let held: Vec<_> = (0..CLIENTS).map(hold).collect();
    traffic.goes_on(50);
    let used_kib = status_kib(rig.binary().id(), "VmSize");
    assert!(used_kib <= at_rest_kib + ROOM_KIB, "{used_kib} KiB");
    drop(held);
    traffic.goes_on(50);
    assert_eq!(traffic.stop(), 0, "requests lost");
    assert!(rig.binary().is_running(), "{}", rig.binary().said());
}
