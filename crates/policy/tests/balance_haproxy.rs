//! A running HAProxy and we must send the same keys to the same servers.
//!
//! HAProxy serves every combination of algorithm and `hash-type` from one file, with uneven weights and identifiers,
//! servers that are out of service and backups, and names the server that it chose for each request in a response
//! field. Then servers leave and weights change over its command socket, and all is compared again.
//!
//! Skipped without HAProxy, unless `PLIMSOLL_REQUIRE_PEERS` is set. `PLIMSOLL_HAPROXY` names another binary than the
//! first `haproxy` of the path.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::Span;
use plimsoll_policy::balance::{self, BalanceSpec, HashMethod, HashSpec, Pick, key};
use plimsoll_policy::live::{BackendLive, ServerLive, ServerState};
use plimsoll_policy::model::{
    Backend, HashKey, HashPreserveAffinity, Server, ServerAddress, ServerPort,
};

/// Keys per combination when HAProxy has just started, after changes, and when only backups are left.
const KEYS: [u64; 3] = [10_000, 1_000, 200];

/// Requests under way on one connection.
const PIPELINED: u64 = 100;

const CLIENTS: usize = 3;

/// How long HAProxy may take for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// name, weight, identifier, disabled, backup
type Row = (&'static str, u16, u32, bool, bool);

const SERVERS: [Row; 9] = [
    ("a", 10, 1, false, false),
    ("b", 20, 77, false, false),
    ("c", 1, 3, false, false),
    ("d", 0, 4, false, false),
    ("e", 100, 5, true, false),
    ("f", 33, 1_000_003, false, false),
    ("g", 16, 7, false, false),
    ("h", 2, 8, false, true),
    ("i", 3, 9, false, true),
];

/// What stands after `balance`, tried with every hash type.
const EVERYWHERE: [&str; 1] = ["uri"];

/// What stands after `balance`, tried with one map and one ring.
const SOMEWHERE: [&str; 10] = [
    "source",
    "uri whole",
    "uri path-only",
    "uri len 12",
    "uri depth 2",
    "uri path-only depth 1 len 30 whole",
    "url_param id",
    "hdr(x-key)",
    "hdr(host) use_domain_only",
    "hash req.hdr(x-key)",
];

struct Case {
    balance: String,
    hash_type: String,
    all_backups: bool,
    servers: Vec<(Server, Arc<ServerLive>)>,
}

impl Case {
    fn new(balance: &str, hash_type: &str, all_backups: bool) -> Self {
        let backend = Arc::new(BackendLive::default());
        let servers = SERVERS
            .iter()
            .map(|&(name, weight, number, disabled, backup)| {
                let mut server = Server::new(name, ServerAddress::Abstract(name.into()));
                (server.weight, server.number, server.disabled, server.backup) =
                    (weight, number, disabled, backup);
                let live = Arc::new(ServerLive::new(&server, Arc::clone(&backend)));
                (server, live)
            });
        Self {
            balance: balance.into(),
            hash_type: hash_type.into(),
            all_backups,
            servers: servers.collect(),
        }
    }

    fn live(&self, name: &str) -> &ServerLive {
        let found = self.servers.iter().find(|(server, _)| server.name == name);
        &found.expect("a server of that name").1
    }

    fn is_consistent(&self) -> bool {
        self.hash_type.starts_with("consistent")
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in ["map-based", "consistent"] {
        let mut hash_types = vec![method.to_owned()];
        for function in ["sdbm", "djb2", "wt6", "crc32"] {
            hash_types.push(format!("{method} {function}"));
            hash_types.push(format!("{method} {function} avalanche"));
        }
        for balance in EVERYWHERE {
            cases.extend(
                hash_types
                    .iter()
                    .map(|hash_type| Case::new(balance, hash_type, false)),
            );
        }
        for balance in SOMEWHERE {
            cases.push(Case::new(balance, method, true));
        }
        cases.push(Case::new(
            "source",
            &format!("{method} sdbm avalanche"),
            true,
        ));
    }
    cases
}

/// Read as a configuration file would be.
fn parsed(case: &Case) -> (BalanceSpec, HashSpec) {
    fn words(text: &str) -> Vec<Word> {
        text.split(' ')
            .map(|word| Word::new(word, Span::default()))
            .collect()
    }
    let (spec, hash) = (words(&case.balance), words(&case.hash_type));
    (
        balance::read(&mut Args::new(&spec, Span::default())).expect("a balance line"),
        balance::read_hash_type(&mut Args::new(&hash, Span::default())).expect("a hash-type line"),
    )
}

/// The request that goes with a number; some lack one key or another.
struct Request {
    target: String,
    host: String,
    fields: String,
    source: IpAddr,
}

impl Request {
    fn new(number: u64) -> Self {
        let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
        let mut random = |below: u64| {
            state ^= state >> 31;
            state = state.wrapping_mul(0xd6e8_feb8_6659_fd93);
            state ^= state >> 29;
            state % below
        };
        let host = match random(4) {
            0 => format!("www.site{}.example.com", random(5_000)),
            1 => format!("site{}.org:8080", random(5_000)),
            2 => format!("host{}", random(5_000)),
            _ => format!("10.{}.{}.1", random(256), random(256)),
        };
        let scheme = if random(8) == 0 {
            format!("http://{host}")
        } else {
            String::new()
        };
        let path = format!(
            "/{}/dir{}/file-{}.html",
            random(50),
            random(50),
            random(100_000)
        );
        let query = match random(4) {
            0 => format!("?id={}", random(1_000_000)),
            1 => format!("?x=1&id={:x}/%20&y=?", random(1_000_000_000)),
            2 => format!("?id={number}&z=/a"),
            _ => format!("?id=&u={}", random(100)),
        };
        let source = if random(2) == 0 {
            IpAddr::V4(Ipv4Addr::from_bits(random(1 << 32) as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(
                u128::from(random(1 << 60)) << 64 | u128::from(random(1 << 60)),
            ))
        };
        let fields = match random(3) {
            0 => format!("x-key: {}\r\n", random(1_000_000)),
            1 => format!("X-KEY:  v-{} , second\r\n", random(1_000_000)),
            _ => format!("x-key: \"a,{}\", b\r\nx-key: c\r\n", random(1_000_000)),
        };
        Self {
            target: format!("{scheme}{path}{query}"),
            host,
            fields,
            source,
        }
    }

    fn write(&self, backend: usize, to: &mut Vec<u8>) {
        let Self {
            target,
            host,
            fields,
            source,
        } = self;
        let head = format!(
            "GET {target} HTTP/1.1\r\nhost: {host}\r\nx-backend: c{backend}\r\nx-source: {source}\r\n{fields}\r\n"
        );
        to.extend_from_slice(head.as_bytes());
    }
}

impl<'a> key::Request<'a> for &'a Request {
    fn target(&self) -> Option<&'a [u8]> {
        Some(self.target.as_bytes())
    }

    fn header(&self, name: &str) -> Option<&'a [u8]> {
        if name == "host" {
            return Some(self.host.as_bytes());
        }
        let line = self
            .fields
            .split("\r\n")
            .find(|line| line.to_lowercase().starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.as_bytes())
    }
}

fn binary() -> OsString {
    std::env::var_os("PLIMSOLL_HAPROXY").unwrap_or_else(|| "haproxy".into())
}

/// Major and minor version; `None` without HAProxy.
fn version() -> Option<(u32, u32)> {
    let output = Command::new(binary()).arg("-v").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, version) = text.split_once("version ")?;
    let mut numbers = version
        .split(['.', '-'])
        .map_while(|number| number.parse().ok());
    numbers.next().zip(numbers.next())
}

/// A running HAProxy, which ends with the test.
struct Peer {
    child: Child,
    directory: PathBuf,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Peer {
    /// Starts HAProxy, or says that there is none.
    #[expect(clippy::print_stderr, reason = "a skip has to be seen")]
    fn start(name: &str, configuration: impl FnOnce(&Path) -> String) -> Option<Self> {
        let directory =
            std::env::temp_dir().join(format!("plimsoll-balance-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for sockets");
        let file = directory.join("haproxy.cfg");
        std::fs::write(&file, configuration(&directory)).expect("a file for HAProxy");
        let said =
            std::fs::File::create(directory.join("stderr")).expect("a file for what HAProxy says");
        let child = Command::new(binary())
            .arg("-db")
            .arg("-f")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(said)
            .spawn();
        let Ok(child) = child else {
            let _ = std::fs::remove_dir_all(&directory);
            let required = std::env::var_os("PLIMSOLL_REQUIRE_PEERS").is_some_and(|set| set == "1");
            assert!(
                !required,
                "haproxy is not installed, and peers are required"
            );
            eprintln!("SKIPPED: haproxy is not installed");
            return None;
        };
        Some(Self { child, directory })
    }

    fn connect(&self, socket: &str) -> UnixStream {
        let start = Instant::now();
        loop {
            match UnixStream::connect(self.directory.join(socket)) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                    return stream;
                }
                Err(error) if start.elapsed() > PATIENCE => {
                    let said =
                        std::fs::read_to_string(self.directory.join("stderr")).unwrap_or_default();
                    panic!("{socket}: {error}; HAProxy says: {said}");
                }
                Err(_) => {}
            }
            std::thread::yield_now();
        }
    }

    fn command(&self, command: &str) {
        let mut stream = self.connect("control.sock");
        stream
            .write_all(format!("{command}\n").as_bytes())
            .expect("a command is sent");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("a reply comes");
        assert!(reply.trim().is_empty(), "{command}: {reply}");
    }

    /// The servers that HAProxy chooses for the requests of these numbers.
    fn choices(&self, backend: usize, count: u64) -> Vec<String> {
        let mut stream = self.connect("front.sock");
        let mut choices = Vec::new();
        let mut heard = Vec::new();
        for start in (0..count).step_by(PIPELINED as usize) {
            let batch = start..count.min(start + PIPELINED);
            let mut bytes = Vec::new();
            batch
                .clone()
                .for_each(|number| Request::new(number).write(backend, &mut bytes));
            stream.write_all(&bytes).expect("HAProxy listens");
            while (choices.len() as u64) < batch.end {
                read_more(&mut stream, &mut heard);
                take_choices(&mut heard, &mut choices);
            }
        }
        choices
    }
}

fn read_more(stream: &mut UnixStream, heard: &mut Vec<u8>) {
    let mut bytes = [0; 16_384];
    let length = stream.read(&mut bytes).expect("HAProxy answers");
    assert!(length > 0, "HAProxy hung up after {}", heard.escape_ascii());
    heard.extend_from_slice(&bytes[..length]);
}

/// Takes whole response heads, none of which has a body, and the server each of them names.
fn take_choices(heard: &mut Vec<u8>, choices: &mut Vec<String>) {
    const END: &[u8] = b"\r\n\r\n";
    let mut taken = 0;
    while let Some(end) = heard[taken..]
        .windows(END.len())
        .position(|window| window == END)
    {
        let head = String::from_utf8_lossy(&heard[taken..taken + end]).into_owned();
        let server = head
            .split("\r\n")
            .find_map(|line| line.strip_prefix("x-server: "));
        choices.push(
            server
                .unwrap_or_else(|| panic!("no server named in {head}"))
                .to_owned(),
        );
        taken += end + END.len();
    }
    heard.drain(..taken);
}

fn server_line(server: &Server, directory: &Path) -> String {
    let address = match &server.address {
        ServerAddress::Inet {
            ip,
            port: ServerPort::Fixed(port),
        } => SocketAddr::new(*ip, *port).to_string(),
        _ => format!("unix@{}/origin.sock", directory.display()),
    };
    let hash_key = match server.hash_key {
        HashKey::Id => "",
        HashKey::Id32 => " hash-key id32",
        HashKey::Guid => " hash-key guid",
        HashKey::Addr => " hash-key addr",
        HashKey::AddrPort => " hash-key addr-port",
    };
    let guid = server.guid.as_ref();
    let guid = guid.map_or_else(String::new, |guid| format!(" guid {guid}"));
    let disabled = if server.disabled { " disabled" } else { "" };
    let backup = if server.backup { " backup" } else { "" };
    format!(
        "server {} {address} weight {} id {}{disabled}{backup}{hash_key}{guid}",
        server.name, server.weight, server.number
    )
}

fn configuration(cases: &[Case], origin: &str, directory: &Path) -> String {
    let mut text = format!(
        "global\n stats socket unix@{0}/control.sock level admin\n\
         defaults\n mode http\n timeout client 1m\n timeout server 1m\n timeout connect 1m\n retries 3\n\
         frontend origin\n bind unix@{0}/origin.sock{origin}\n http-request return status 200\n\
         frontend front\n bind unix@{0}/front.sock\n http-request set-src req.hdr(x-source)\n \
         use_backend %[req.hdr(x-backend)]\n",
        directory.display()
    );
    for (index, case) in cases.iter().enumerate() {
        let all_backups = if case.all_backups {
            " option allbackups\n"
        } else {
            ""
        };
        write!(
            text,
            "backend c{index}\n balance {}\n hash-type {}\n{all_backups} http-response set-header x-server %s\n",
            case.balance, case.hash_type
        )
        .expect("a string grows");
        for (server, _) in &case.servers {
            writeln!(text, " {}", server_line(server, directory)).expect("a string grows");
        }
    }
    text
}

/// The names of the servers that we choose; `None` for a request without a key, which is nobody's in particular.
fn our_choices(case: &Case, count: u64) -> Vec<Option<String>> {
    let (spec, hash) = parsed(case);
    let candidates = balance::usable(
        case.servers.iter().map(|(server, live)| (server, live)),
        case.all_backups,
    );
    let arranged =
        balance::build(&spec, hash, 0, HashPreserveAffinity::Always).arrange(&candidates);
    let choose = |number| {
        let request = Request::new(number);
        let key = match spec {
            // Stands for the rule language, which would yield the last value of the field.
            BalanceSpec::Hash { .. } => Some(last_value(&request.fields)),
            _ => key::find(&spec, &&request),
        };
        let by_source = spec == BalanceSpec::Source;
        let pick = Pick {
            key,
            source: by_source.then_some(request.source),
            ..Pick::default()
        };
        (key.is_some() || by_source).then(|| {
            let id = arranged.pick(&pick).expect("there are servers");
            case.servers[id.0 as usize].0.name.clone()
        })
    };
    (0..count).map(choose).collect()
}

/// What `req.hdr(x-key)` yields: the last element of the last field of that name.
fn last_value(fields: &str) -> &[u8] {
    let line = fields.trim_end().rsplit("\r\n").next().unwrap_or_default();
    let value = line.split_once(':').map_or("", |(_, value)| value);
    value
        .rsplit(',')
        .next()
        .unwrap_or_default()
        .trim()
        .as_bytes()
}

/// Compares all cases on a few connections at once; how many keys were compared.
fn compare(peer: &Peer, cases: &[Case], count: u64, phase: &str) -> usize {
    let next = AtomicUsize::new(0);
    let compared = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while let Some(index) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&index| index < cases.len())
                {
                    let case = &cases[index];
                    let theirs = peer.choices(index, count);
                    for (number, (ours, theirs)) in
                        our_choices(case, count).into_iter().zip(theirs).enumerate()
                    {
                        let Some(ours) = ours else { continue };
                        let target = Request::new(number as u64).target;
                        let line =
                            format!("balance {}, hash-type {}", case.balance, case.hash_type);
                        assert_eq!(ours, theirs, "{phase}: {line}: request {number} {target}");
                        compared.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    compared.into_inner()
}

#[test]
#[expect(clippy::print_stderr, reason = "tells how much was compared")]
fn same_key_same_server() {
    let cases = cases();
    let Some(peer) = Peer::start("http", |directory| configuration(&cases, "", directory)) else {
        return;
    };
    let mut compared = compare(&peer, &cases, KEYS[0], "at start");

    for (index, case) in cases.iter().enumerate() {
        peer.command(&format!(
            "set server c{index}/b state maint; set weight c{index}/g 0%"
        ));
        case.live("b").mark(ServerState::MAINTENANCE);
        case.live("g").set_weight(0);
        if case.is_consistent() {
            // A map-based backend only takes 0 % and 100 % while it runs.
            peer.command(&format!(
                "set weight c{index}/f 200; set weight c{index}/a 3"
            ));
            case.live("f").set_weight(200);
            case.live("a").set_weight(3);
        }
    }
    compared += compare(&peer, &cases, KEYS[1], "after changes");

    for (index, case) in cases.iter().enumerate() {
        for name in ["a", "c", "f"] {
            peer.command(&format!("set server c{index}/{name} state drain"));
            case.live(name).mark(ServerState::DRAIN);
        }
    }
    compared += compare(&peer, &cases, KEYS[2], "with backups only");
    eprintln!("{compared} keys compared in {} combinations", cases.len());
    assert!(
        compared as u64 > cases.len() as u64 * KEYS[0] * 2 / 3,
        "too many requests had no key"
    );
}

/// What HAProxy has had since 3.0: keys that are numbers, and servers placed on the ring by their address.
fn newer_cases(port: u16) -> Vec<Case> {
    let mut cases = Vec::new();
    for hash_type in [
        "map-based none",
        "map-based none avalanche",
        "consistent none",
        "consistent none avalanche",
    ] {
        cases.push(Case::new("hash req.hdr(x-key)", hash_type, false));
    }
    let mut hash_keys = vec![HashKey::Id, HashKey::Addr, HashKey::AddrPort];
    if version().is_some_and(|version| version >= (3, 5)) {
        hash_keys.extend([HashKey::Id32, HashKey::Guid]);
    }
    for hash_key in hash_keys {
        let mut case = Case::new("uri", "consistent", false);
        for ((server, _), host) in case.servers.iter_mut().zip(1..) {
            let ip = match host {
                7 => IpAddr::V6(Ipv6Addr::LOCALHOST),
                _ => IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)),
            };
            server.address = ServerAddress::Inet {
                ip,
                port: ServerPort::Fixed(port),
            };
            server.hash_key = hash_key;
            // One of them has none.
            let guid = (hash_key == HashKey::Guid && host != 2).then(|| format!("srv-{host}"));
            server.guid = guid;
        }
        cases.push(case);
    }
    cases
}

#[test]
#[expect(clippy::print_stderr, reason = "a skip has to be seen")]
fn same_key_same_server_since_3_0() {
    if version().is_some_and(|version| version < (3, 0)) {
        eprintln!("SKIPPED: this HAProxy is older than 3.0");
        return;
    }
    // Below those that the kernel hands out, so that none is taken before HAProxy listens there.
    let turn = std::process::id() as u16 % 1_000;
    let mut ports = (10_000 + turn)..12_000;
    let free = ports.find(|&port| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).is_ok());
    let Some(port) = free else {
        eprintln!("SKIPPED: no IPv6 here");
        return;
    };
    let cases = newer_cases(port);
    let origin = format!(",:::{port} v4v6");
    if let Some(peer) = Peer::start("newer", |directory| {
        configuration(&cases, &origin, directory)
    }) {
        compare(&peer, &cases, KEYS[1], "at start");
    }
}

/// Servers that say their name to whoever connects, for as long as the test runs.
fn name_servers(directory: &Path, names: &[&'static str]) {
    for &name in names {
        let listener = UnixListener::bind(directory.join(name)).expect("a socket for a server");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let _ = stream.write_all(name.as_bytes());
                // Until the other side ends: a reset would destroy the answer.
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
    }
}

/// Servers that report each connection and never answer, so that every request stays under way.
fn silent_servers(
    directory: &Path,
    names: &[&'static str],
) -> mpsc::Receiver<(&'static str, UnixStream)> {
    let (report, reports) = mpsc::channel();
    for &name in names {
        let listener = UnixListener::bind(directory.join(name)).expect("a socket for a server");
        let report = report.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if report.send((name, stream)).is_err() {
                    return;
                }
            }
        });
    }
    reports
}

#[test]
fn same_server_under_bounded_loads() {
    const FACTOR: u32 = 130;
    const REQUESTS: usize = 120;
    let weights = [("a", 1), ("b", 2), ("c", 5), ("d", 2)];
    let names = weights.map(|(name, _)| name);
    let mut reports = None;
    let peer = Peer::start("bounded", |directory| {
        reports = Some(silent_servers(directory, &names));
        let directory = directory.display();
        let servers = weights.map(|(name, weight)| {
            format!(" server {name} unix@{directory}/{name} weight {weight}\n")
        });
        format!(
            "defaults\n mode http\n timeout client 1m\n timeout server 1m\n timeout connect 1m\n\
             listen bounded\n bind unix@{directory}/front.sock\n balance uri\n hash-type consistent\n \
             hash-balance-factor {FACTOR}\n{}",
            servers.concat()
        )
    });
    let (Some(peer), Some(reports)) = (peer, reports) else {
        return;
    };

    let backend = Backend {
        hash_balance_factor: FACTOR,
        ..Backend::default()
    };
    let backend = Arc::new(BackendLive::new(&backend));
    let servers: Vec<_> = (1..)
        .zip(weights)
        .map(|(number, (name, weight))| {
            let mut server = Server::new(name, ServerAddress::Abstract(name.into()));
            (server.number, server.weight) = (number, weight);
            let live = Arc::new(ServerLive::new(&server, Arc::clone(&backend)));
            (server, live)
        })
        .collect();
    let candidates = balance::usable(servers.iter().map(|(server, live)| (server, live)), false);
    let hash = HashSpec {
        method: HashMethod::Consistent,
        avalanche: true,
        ..HashSpec::default()
    };
    let uri = BalanceSpec::Uri {
        length: None,
        depth: None,
        whole: false,
        path_only: false,
    };
    let arranged =
        balance::build(&uri, hash, FACTOR, HashPreserveAffinity::Always).arrange(&candidates);
    let mut under_way = Vec::new();
    for number in 0..REQUESTS {
        // Few keys, so that the bounds decide more often than the ring.
        let target = format!("/hot{}", number % 3);
        let mut stream = peer.connect("front.sock");
        stream
            .write_all(format!("GET {target} HTTP/1.1\r\nhost: h\r\n\r\n").as_bytes())
            .expect("HAProxy listens");
        let (theirs, connection) = reports.recv_timeout(PATIENCE).expect("a server is chosen");
        let pick = Pick {
            key: Some(target.as_bytes()),
            ..Pick::default()
        };
        let ours = arranged.pick(&pick).expect("there are servers");
        assert_eq!(names[ours.0 as usize], theirs, "request {number}");
        let slot = servers[ours.0 as usize].1.take();
        under_way.push((stream, connection, slot));
    }
}

#[test]
fn same_remote_desktop_user_same_server() {
    struct Opening(Vec<u8>);
    impl<'a> key::Request<'a> for &'a Opening {
        fn opening(&self) -> Option<&'a [u8]> {
            Some(&self.0)
        }
    }

    let names = ["a", "b", "c"];
    let peer = Peer::start("rdp", |directory| {
        name_servers(directory, &names);
        let directory = directory.display();
        let servers: String = names
            .iter()
            .map(|name| format!(" server {name} unix@{directory}/{name}\n"))
            .collect();
        format!(
            "defaults\n mode tcp\n timeout client 1m\n timeout server 1m\n timeout connect 1m\n\
             listen rdp\n bind unix@{directory}/front.sock\n tcp-request inspect-delay 10s\n \
             tcp-request content accept if RDP_COOKIE\n balance rdp-cookie\n{servers}"
        )
    });
    let Some(peer) = peer else { return };

    let spec = BalanceSpec::RdpCookie {
        name: "mstshash".into(),
    };
    let servers: Vec<_> = (1..)
        .zip(names)
        .map(|(number, name)| {
            let mut server = Server::new(name, ServerAddress::Abstract(name.into()));
            server.number = number;
            let live = Arc::new(ServerLive::new(&server, Arc::default()));
            (server, live)
        })
        .collect();
    let candidates = balance::usable(servers.iter().map(|(server, live)| (server, live)), false);
    let arranged = balance::build(&spec, HashSpec::default(), 0, HashPreserveAffinity::Always)
        .arrange(&candidates);
    for number in 0..300 {
        let mut opening = b"\x03\x00\x00\x2a\x25\xe0\x00\x00\x00\x00\x00".to_vec();
        opening.extend_from_slice(
            format!("Cookie: mstshash=user{number}\r\n\x01\x00\x08\x00\x03\x00\x00\x00").as_bytes(),
        );
        let mut stream = peer.connect("front.sock");
        stream.write_all(&opening).expect("HAProxy listens");
        let mut theirs = String::new();
        stream.read_to_string(&mut theirs).expect("a name comes");
        let opening = Opening(opening);
        let pick = Pick {
            key: key::find(&spec, &&opening),
            ..Pick::default()
        };
        assert!(pick.key.is_some());
        let ours = arranged.pick(&pick).expect("there are servers");
        assert_eq!(names[ours.0 as usize], theirs, "user {number}");
    }
}
