//! A real HAProxy logs real exchanges; told the same facts, we must write the same bytes.
//!
//! What only HAProxy can know (times, counts of connections, bytes) is read from its line; everything else comes from
//! what the test sent and configured.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_policy::counters::{BackendCounter, Counter, FrontendCounter, ServerCounter};
use plimsoll_policy::log::{
    Cause, CookieSeen, CookieSet, Dates, Endpoint, Header, Identity, Level, Load, Phase, Queued,
    Record, RequestLine, Termination, Timers, WallTime, format,
};
use plimsoll_policy::model::{LogEnvelope, LogFormat, Mode};

const DEADLINE: Duration = Duration::from_secs(60);

/// Nobody listens there: a port that no test is ever given, unlike one that was free a moment ago.
const DEAD_SERVER: &str = "127.0.0.1:1";
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: SID=\"x#1\"\r\nX-Kind: a|b\r\nConnection: close\r\n\r\nok";

/// A frontend of its own, one request to it, and what we know of the exchange.
struct Case {
    name: &'static str,
    format: LogFormat,
    /// Lines of the section.
    config: &'static str,
    request: Vec<u8>,
    /// The client comes over a unix socket.
    unix: bool,
    fill: fn(&mut Record<'_>),
}

impl Case {
    fn new(
        name: &'static str,
        format: LogFormat,
        config: &'static str,
        request: &[u8],
        fill: fn(&mut Record<'_>),
    ) -> Self {
        Self {
            name,
            format,
            config,
            request: request.to_vec(),
            unix: false,
            fill,
        }
    }

    fn over_unix(self) -> Self {
        Self { unix: true, ..self }
    }
}

const HTTP: LogFormat = LogFormat::Http { clf: false };
const CLF: LogFormat = LogFormat::Http { clf: true };
const GET: &[u8] =
    b"GET /index.html HTTP/1.1\r\nHost: a.example\r\nCookie: ID=7\r\nConnection: close\r\n\r\n";
const CAPTURES: &str = "capture cookie ID len 8\n capture cookie SID len 9\n capture request header Host len 20\n \
     capture request header X-None len 9\n capture response header X-Kind len 9\n default_backend good";

const EARLY: &str = "option logasap\n default_backend good";
const GOOD: &str = "default_backend good";
const CLF_CAPTURES: &str = "capture request header Host len 20\n capture request header X-None len 9\n default_backend good";

fn cases() -> Vec<Case> {
    let mut cases = served();
    cases.extend(not_served());
    cases.extend(other_formats());
    cases
}

/// A server answered.
fn served() -> Vec<Case> {
    let end = b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let long = [b"GET /", &b"x".repeat(2_000)[..], end].concat();
    let quoted = [&b"GET /a\"b{c|d}%20"[..], end].concat();
    vec![
        Case::new("http", HTTP, GOOD, GET, plain),
        Case::new("clf", CLF, GOOD, GET, plain),
        Case::new("http-captures", HTTP, CAPTURES, GET, captured),
        Case::new("clf-captures", CLF, CLF_CAPTURES, GET, |record| {
            record.request_captures = &[b"a.example", b""];
        }),
        Case::new("http-quoted", HTTP, GOOD, &quoted, plain),
        Case::new("http-long", HTTP, GOOD, &long, plain),
        Case::new("http-cookies", HTTP, "default_backend cookies", GET, |it| {
            it.backend = "cookies";
            it.termination.cookie_seen = CookieSeen::None;
            it.termination.cookie_set = CookieSet::Inserted;
        }),
        Case::new(
            "http-redispatched",
            HTTP,
            "default_backend half",
            GET,
            |it| {
                it.backend = "half";
                it.retries = 1;
                it.redispatched = true;
            },
        ),
        Case::new("http-early", HTTP, EARLY, GET, |record| {
            record.partial = true;
        }),
        Case::new("http-unix", HTTP, GOOD, GET, plain).over_unix(),
    ]
}

/// No server answered.
fn not_served() -> Vec<Case> {
    let (dead, junk) = ("default_backend dead", b"GET\x01 / HTTP/1.1\r\n\r\n");
    let here = "http-request return status 204";
    vec![
        Case::new("http-refused", HTTP, GOOD, junk, refused),
        Case::new("clf-refused", CLF, GOOD, b"nonsense\r\n\r\n", refused),
        Case::new("http-dead", HTTP, dead, GET, unreachable),
        Case::new("clf-dead", CLF, dead, GET, unreachable),
        Case::new("http-here", HTTP, here, GET, answered_here),
    ]
}

fn other_formats() -> Vec<Case> {
    use LogFormat::{Connect, Https};
    const TCP: LogFormat = LogFormat::Tcp { clf: false };
    vec![
        Case::new("https", Https, GOOD, GET, plain),
        Case::new("tcp", TCP, "default_backend goodtcp", GET, |record| {
            record.backend = "goodtcp";
        }),
        Case::new("tcp-dead", TCP, "default_backend deadtcp", GET, |record| {
            unreachable(record);
            record.backend = "deadtcp";
        }),
        Case::new("connect", Connect, GOOD, GET, plain),
        Case::new("connect-unix", Connect, GOOD, GET, plain).over_unix(),
    ]
}

fn plain(_: &mut Record<'_>) {}

fn captured(record: &mut Record<'_>) {
    record.request_captures = &[b"a.example", b""];
    record.response_captures = &[b"a|b"];
    // Of several such lines HAProxy keeps the last.
    record.response_cookie = Some(b"SID=\"x#1\"");
}

fn refused(record: &mut Record<'_>) {
    record.backend = record.frontend;
    record.server = None;
    record.status = Some(400);
    record.termination = Termination::new(Cause::Proxy, Phase::Request);
    record.request = None;
}

fn unreachable(record: &mut Record<'_>) {
    record.backend = "dead";
    record.status = Some(503);
    record.termination = Termination::new(Cause::ServerAborted, Phase::Connect);
    record.retries = 1;
}

fn answered_here(record: &mut Record<'_>) {
    record.backend = record.frontend;
    record.server = None;
    record.status = Some(204);
    record.termination = Termination::new(Cause::Local, Phase::Request);
}

fn mode(case: &Case) -> Mode {
    match case.name.starts_with("tcp") {
        true => Mode::Tcp,
        false => Mode::Http,
    }
}

// --- HAProxy ---

/// A running HAProxy; it ends with the test.
struct Haproxy(Child);

impl Drop for Haproxy {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Haproxy {
    /// Starts it, unless there is none on this machine.
    #[expect(clippy::print_stderr, reason = "a skip has to be seen")]
    fn start(scratch: &Scratch, config: &str) -> Option<Self> {
        let file = scratch.path("haproxy.cfg");
        std::fs::write(&file, config).expect("the test's own directory");
        let child = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(&file)
            .env("TZ", "UTC")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let required =
                    std::env::var_os("PLIMSOLL_REQUIRE_PEERS").is_some_and(|value| value == "1");
                assert!(!required, "haproxy is required here and not installed");
                eprintln!("SKIPPED: no haproxy to compare with");
                return None;
            }
            Err(error) => panic!("haproxy: {error}"),
        };
        let mut running = Self(child);
        let start = Instant::now();
        while UnixStream::connect(scratch.control()).is_err() {
            let ended = running.0.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "haproxy refused {}", file.display());
            assert!(start.elapsed() < DEADLINE, "haproxy did not start");
            thread::yield_now();
        }
        Some(running)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

/// A test's own directory; it goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        // Not among the build's files: paths of unix sockets have to be short.
        let name = format!("plimsoll-{test}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a directory for the test");
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// HAProxy's command socket.
    fn control(&self) -> PathBuf {
        self.path("control")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind in a temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A free port at an address that nobody else is given. Elsewhere the kernel might hand it out once more, or to an outgoing
/// connection, before HAProxy listens there.
fn free_port() -> SocketAddr {
    static GIVEN: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, GIVEN.fetch_add(1, Ordering::Relaxed), high, low);
    let listener = TcpListener::bind((own, 0));
    let listener = listener.expect("a free port");
    listener.local_addr().expect("a bound socket")
}

fn receiver() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    socket
}

fn receive(socket: &UdpSocket) -> String {
    let mut buffer = [0; 8_192];
    let length = socket
        .recv(&mut buffer)
        .expect("a log line before the deadline");
    String::from_utf8(buffer[..length].to_vec()).expect("ASCII")
}

/// Answers every connection once, for as long as the test lives.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            read_until(&mut stream, |bytes| {
                bytes.windows(4).any(|end| end == b"\r\n\r\n")
            });
            // A client that has gone away is no concern of the origin's.
            let _ = stream.write_all(ANSWER);
        }
    });
    address
}

fn read_until(stream: &mut impl Read, done: impl Fn(&[u8]) -> bool) {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4_096]);
    while !done(&seen) {
        match stream.read(&mut buffer) {
            Ok(length) if length > 0 => seen.extend_from_slice(&buffer[..length]),
            _ => return,
        }
    }
}

fn exchange(mut stream: impl Read + std::io::Write, request: &[u8]) {
    stream.write_all(request).expect("haproxy reads requests");
    read_until(&mut stream, |_| false);
}

// --- What HAProxy's line says that nobody else knows ---

/// Splits a line at spaces outside quotation marks, braces and brackets, and takes these away.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut until) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (until, c) {
            (Some(end), c) if c == end => until = None,
            (None, '"') => until = Some('"'),
            (None, '[') => until = Some(']'),
            (None, '{') => until = Some('}'),
            (None, ' ') => words.push(std::mem::take(&mut word)),
            (_, c) => word.push(c),
        }
    }
    words.push(word);
    words
}

fn number(text: &str) -> Option<u32> {
    text.trim_start_matches('+').parse().ok()
}

/// `21/Nov/2026:03:00:57.123` or `21/Nov/2026:03:00:57 +0000`.
fn moment(text: &str) -> WallTime {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let field = |range: std::ops::Range<usize>| text[range].parse::<u64>().expect("digits");
    let (day, year) = (field(0..2), field(7..11));
    let month = MONTHS.find(&text[3..6]).expect("a month") as u64 / 3;
    let leap = |year: u64| {
        u64::from(year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)))
    };
    let before_year: u64 = (1970..year).map(|year| 365 + leap(year)).sum();
    let lengths = [31, 28 + leap(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before_month: u64 = lengths[..month as usize].iter().sum();
    let clock = field(12..14) * 3_600 + field(15..17) * 60 + field(18..20);
    WallTime {
        unix_s: (before_year + before_month + day - 1) * 86_400 + clock,
        micros: text.get(21..24).and_then(number).unwrap_or(0) * 1_000,
    }
}

fn load(counts: &[&str]) -> Load {
    let count = |index: usize| number(counts[index]).expect("a count");
    Load {
        process: count(0),
        frontend: count(1),
        backend: count(2),
        server: count(3),
    }
}

fn http_timers(record: &mut Record<'_>, timers: &[&str]) {
    record.timers = Timers {
        request_ms: number(timers[0]),
        queue_ms: number(timers[1]),
        connect_ms: number(timers[2]),
        response_ms: number(timers[3]),
        active_ms: number(timers[4]).expect("a duration"),
        ..Timers::default()
    };
}

/// Copies measurements from HAProxy's line.
fn measure(record: &mut Record<'_>, form: &LogFormat, line: &str) {
    let words = words(line);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let split = |index: usize| words[index].split('/').collect::<Vec<_>>();
    match form {
        LogFormat::Connect | LogFormat::Custom(_) => {}
        LogFormat::Tcp { clf: true } => {
            record.accepted = moment(words[3]);
            record.accepted.micros = number(words[10]).expect("milliseconds") * 1_000;
            record.bytes_sent = u64::from(number(words[6]).expect("a size"));
            record.timers = Timers {
                queue_ms: number(words[15]),
                connect_ms: number(words[16]),
                active_ms: number(words[17]).expect("a duration"),
                ..Timers::default()
            };
            record.load = load(&words[20..24]);
        }
        LogFormat::Tcp { clf: false } => {
            record.accepted = moment(words[1]);
            let timers = split(4);
            record.timers = Timers {
                queue_ms: number(timers[0]),
                connect_ms: number(timers[1]),
                active_ms: number(timers[2]).expect("a duration"),
                ..Timers::default()
            };
            record.bytes_sent = u64::from(number(words[5]).expect("a size"));
            record.load = load(&split(7));
        }
        LogFormat::Http { clf: false } | LogFormat::Https => {
            record.accepted = moment(words[1]);
            http_timers(record, &split(4));
            record.bytes_sent = u64::from(number(words[6]).expect("a size"));
            record.load = load(&split(10));
        }
        LogFormat::Http { clf: true } => {
            record.accepted = moment(words[3]);
            record.accepted.micros = number(words[10]).expect("milliseconds") * 1_000;
            record.bytes_sent = u64::from(number(words[6]).expect("a size"));
            http_timers(record, &words[14..19]);
            record.load = load(&words[20..24]);
        }
    }
}

// --- The comparison ---

fn blank<'a>(case: &Case, client: Endpoint, local: Endpoint, request: &'a [u8]) -> Record<'a> {
    let line = request
        .split(|&byte| byte == b'\r')
        .next()
        .unwrap_or_default();
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    let mut part = || parts.next().unwrap_or_default();
    Record {
        mode: mode(case),
        client,
        local,
        frontend: case.name,
        bind_number: 1,
        secure: false,
        tls: None,
        backend: "good",
        server: Some("s1"),
        accepted: WallTime::default(),
        timers: Timers::default(),
        status: Some(200),
        bytes_sent: 0,
        bytes_received: request.len() as u64,
        request: Some(RequestLine {
            method: part(),
            target: part(),
            version: part(),
            bytes_max: 1_023,
        }),
        request_cookie: None,
        response_cookie: None,
        request_captures: &[],
        response_captures: &[],
        termination: Termination::NORMAL,
        load: Load::default(),
        retries: 0,
        redispatched: false,
        queued: Queued::default(),
        partial: false,
        ..Record::default()
    }
}

const BACKENDS: &str = "backend good\n server s1 ORIGIN\n\
    backend goodtcp\n mode tcp\n server s1 ORIGIN\n\
    backend cookies\n cookie SRV insert\n server s1 ORIGIN cookie one\n\
    backend dead\n retries 1\n server s1 DEAD\n\
    backend deadtcp\n mode tcp\n retries 1\n server s1 DEAD\n\
    backend half\n retries 1\n balance roundrobin\n option redispatch 1\n server s0 DEAD\n server s1 ORIGIN\n";

fn config(cases: &[Case], places: &[(SocketAddr, UdpSocket)], scratch: &Scratch) -> String {
    let mut text = format!(
        "global\n stats socket {}\ndefaults\n mode http\n timeout client 1m\n timeout server 1m\n timeout connect 20s\n",
        scratch.control().display()
    );
    for (case, (address, logs)) in cases.iter().zip(places) {
        let option = match case.format {
            LogFormat::Connect | LogFormat::Custom(_) => "",
            LogFormat::Tcp { clf: false } => "option tcplog",
            LogFormat::Tcp { clf: true } => "option tcplog clf",
            LogFormat::Https => "option httpslog",
            LogFormat::Http { clf: false } => "option httplog",
            LogFormat::Http { clf: true } => "option httplog clf",
        };
        let bind = match case.unix {
            true => format!("unix@{}", scratch.path(case.name).display()),
            false => address.to_string(),
        };
        let mode = match mode(case) {
            Mode::Tcp => "tcp",
            Mode::Http => "http",
        };
        let logs = logs.local_addr().expect("a bound socket");
        writeln!(
            text,
            "frontend {}\n mode {mode}\n bind {bind}\n log {logs} len 8192 format raw local0\n {option}\n {}",
            case.name, case.config
        )
        .expect("writing to a string");
    }
    let backends = BACKENDS.replace("ORIGIN", &origin().to_string());
    text + &backends.replace("DEAD", DEAD_SERVER)
}

#[test]
fn our_lines_are_haproxys() {
    let cases = cases();
    let places: Vec<_> = cases.iter().map(|_| (free_port(), receiver())).collect();
    let scratch = Scratch::new("lines");
    let Some(_haproxy) = Haproxy::start(&scratch, &config(&cases, &places, &scratch)) else {
        return;
    };
    for (case, (address, logs)) in cases.iter().zip(&places) {
        let client = if case.unix {
            let stream = UnixStream::connect(scratch.path(case.name)).expect("haproxy listens");
            exchange(stream, &case.request);
            Endpoint::Unix { bind: 1 }
        } else {
            let stream = TcpStream::connect(address).expect("haproxy listens");
            let client = Endpoint::Inet(stream.local_addr().expect("a connected socket"));
            exchange(stream, &case.request);
            client
        };
        let theirs = receive(logs);
        let mut record = blank(case, client, Endpoint::Inet(*address), &case.request);
        measure(&mut record, &case.format, theirs.trim_end_matches('\n'));
        (case.fill)(&mut record);
        let mut ours = Vec::new();
        format(&case.format, &record, &mut Dates::default(), &mut ours);
        ours.push(b'\n');
        assert_eq!(String::from_utf8_lossy(&ours), theirs, "case {}", case.name);
    }
}

#[test]
fn our_headers_are_haproxys() {
    let forms = [
        ("rfc3164", LogEnvelope::Rfc3164),
        ("local", LogEnvelope::Local),
        ("rfc5424", LogEnvelope::Rfc5424),
        ("priority", LogEnvelope::Priority),
        ("short", LogEnvelope::Short),
        ("timed", LogEnvelope::Timed),
        ("iso", LogEnvelope::Iso),
        ("raw", LogEnvelope::Raw),
    ];
    for (hostname, unsaid) in [
        (None, LogEnvelope::Local),
        (Some("edge1"), LogEnvelope::Rfc3164),
    ] {
        let mut forms = forms.to_vec();
        forms.push(("", unsaid));
        let logs: Vec<_> = forms.iter().map(|_| receiver()).collect();
        let (scratch, address) = (Scratch::new("headers"), free_port());
        let mut text = format!(
            "global\n log-tag lb\n stats socket {}\n",
            scratch.control().display()
        );
        if let Some(hostname) = hostname {
            writeln!(text, " log-send-hostname {hostname}").expect("writing to a string");
        }
        writeln!(text, "frontend f\n mode http\n timeout client 1m\n bind {address}\n http-request return status 204").expect("a string");
        for (name, socket) in forms.iter().zip(&logs) {
            let place = socket.local_addr().expect("a bound socket");
            let format = match name.0 {
                "" => String::new(),
                name => format!("format {name}"),
            };
            writeln!(text, " log {place} {format} local3").expect("writing to a string");
        }
        let Some(haproxy) = Haproxy::start(&scratch, &text) else {
            return;
        };
        exchange(TcpStream::connect(address).expect("haproxy listens"), GET);
        let identity = Identity {
            hostname: hostname.map(str::to_owned),
            tag: "lb".to_owned(),
            pid: haproxy.pid(),
        };
        for ((name, envelope), socket) in forms.iter().zip(&logs) {
            let theirs = receive(socket);
            let (their_header, _) = theirs.split_once("Connect from").expect("the default line");
            let mut ours = Vec::new();
            let header = Header::new(*envelope, 19, &identity);
            header.write(Level::Info, now(), &mut Dates::default(), &mut ours);
            let ours = String::from_utf8(ours).expect("ASCII");
            assert_eq!(
                shape(&ours),
                shape(their_header),
                "{name}: {ours:?} {their_header:?}"
            );
        }
    }
}

fn now() -> WallTime {
    let since = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970");
    WallTime::from_unix_ns(since.as_nanos() as u64)
}

/// A header with the digits of its clock hidden: a second may have passed.
fn shape(header: &str) -> String {
    let hide =
        |word: &str| match word.contains(':') && word.starts_with(|c: char| c.is_ascii_digit()) {
            true => word
                .chars()
                .map(|c| if c.is_ascii_digit() { '0' } else { c })
                .collect(),
            false => word.to_owned(),
        };
    // `<6>` and a date may stand together.
    let spaced = header.replace('>', "> ");
    spaced
        .split(' ')
        .map(hide)
        .collect::<Vec<String>>()
        .join(" ")
}

/// Counters that scripts look for have HAProxy's names.
#[test]
fn our_counters_have_haproxys_names() {
    let scratch = Scratch::new("names");
    let text = format!(
        "global\n stats socket {}\ndefaults\n mode http\n timeout client 1s\nfrontend f\n bind {}\n",
        scratch.control().display(),
        free_port()
    );
    let Some(_haproxy) = Haproxy::start(&scratch, &text) else {
        return;
    };
    let mut stream = UnixStream::connect(scratch.control()).expect("haproxy listens");
    stream
        .write_all(b"show stat\n")
        .expect("haproxy reads commands");
    let mut csv = String::new();
    stream.read_to_string(&mut csv).expect("a reply");
    let columns: Vec<&str> = csv
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("# ")
        .split(',')
        .collect();
    let lists = [
        FrontendCounter::ROWS,
        BackendCounter::ROWS,
        ServerCounter::ROWS,
    ];
    // Of protocols only newer ones tell.
    let is_newer = columns.contains(&"sess_other");
    let mut rows = lists.concat();
    // A fact of `show info`, where frontends are summed.
    rows.retain(|row| row.name != "CurrSslConns");
    for row in rows {
        let known = is_newer || !matches!(row.name, "h1sess" | "h2sess" | "h2req");
        assert!(
            !known || columns.contains(&row.name),
            "{} is none of {columns:?}",
            row.name
        );
    }
}
