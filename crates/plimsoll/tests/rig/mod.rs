//! Drives the real binary from outside: origins behind it, clients before it, a log receiver beside it.
//!
//! Nothing here sleeps for luck: every wait is for a condition and has a deadline, after which the test fails with
//! what the binary said. Everything started is ended when the rig is dropped.
#![allow(
    clippy::print_stderr,
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of the rig, and skips are told"
)]

pub mod client;
pub mod frames;
pub mod names;
pub mod origin;
pub mod peer;
pub mod syslog;

use std::collections::HashSet;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use plimsoll_sys::signal::{self, Signal};
use tempfile::TempDir;

use client::{Client, Response};
use origin::{Origin, Reply, Request};
use syslog::Syslog;

/// Longest wait for anything. Far beyond what is needed, because test machines are busy, and stand still for seconds.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The path of the binary under test.
pub const PLIMSOLL: &str = env!("CARGO_BIN_EXE_plimsoll");

/// Ports are handed out below the range from which the kernel takes those of outgoing connections (32768 and up), so
/// that none is taken between the moment it is found free and the moment the binary binds it.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// Ports of one test process: more than all of its tests ask for, so that none is handed out twice. Some are kept for servers
/// that are not to be there.
const BLOCK_PORTS: u16 = 4_000;

/// A folder, the origins and log receivers in use, and the running binary.
pub struct Rig {
    folder: TempDir,
    binaries: Vec<Binary>,
    /// Where [`Rig::get`] goes.
    address: Option<SocketAddr>,
}

impl Rig {
    pub fn new() -> Self {
        Self {
            folder: TempDir::new().expect("a temporary folder"),
            binaries: Vec::new(),
            address: None,
        }
    }

    /// A path in the rig's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the rig's own folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("the temporary folder is writable");
        path
    }

    /// An origin that answers every request with its name.
    pub fn origin(&self, name: &str) -> Origin {
        let body = name.to_owned();
        self.origin_with(name, move |_| Reply::ok(&body))
    }

    /// An origin that answers as told.
    pub fn origin_with(
        &self,
        name: &str,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Origin {
        Origin::http(name, answer)
    }

    /// An origin that handles connections as told, whatever they speak.
    pub fn origin_raw(
        &self,
        name: &str,
        handle: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Origin {
        Origin::raw(name, handle)
    }

    /// A receiver of log lines over UDP.
    pub fn syslog(&self) -> Syslog {
        Syslog::start()
    }

    /// Runs a configuration whose `{listen}` stands for a free address, and waits until it accepts there.
    ///
    /// # Panics
    /// When it does not accept in time; the message has what it said.
    pub fn config(&mut self, text: &str) -> SocketAddr {
        self.config_with(text, &["-db"])
    }

    /// As [`Rig::config`], with HAProxy flags of the caller's choice.
    pub fn config_with(&mut self, text: &str, flags: &[&str]) -> SocketAddr {
        let address = free_address();
        let path = self.file(
            "haproxy.cfg",
            &text.replace("{listen}", &address.to_string()),
        );
        let mut command = Command::new(PLIMSOLL);
        command.args(flags).arg("-f").arg(path);
        self.start(command, address);
        address
    }

    /// Runs a program of HAProxy's kind with a configuration, and waits until it accepts at the address.
    pub fn serve(&mut self, program: &Path, text: &str, address: SocketAddr) {
        let mut command = Command::new(program);
        let file = self.file("haproxy.cfg", text);
        command.arg("-db").arg("-f").arg(file);
        self.start(command, address);
    }

    /// Starts a command, and waits until something accepts at the address, and listens at all others that its configuration
    /// names.
    pub fn start(&mut self, command: Command, address: SocketAddr) {
        let binds = binds(&command);
        let mut binary = Binary::start(command);
        binary.wait_until_accepting(address);
        // Without a connection to each, because tests count them.
        let ports = || listeners().into_iter().map(|(port, _)| port).collect();
        let all = until(|| !binary.is_running() || binds.is_subset(&ports()));
        assert!(
            all,
            "not all of {binds:?} listen; it said:\n{}",
            binary.said()
        );
        self.binaries.push(binary);
        self.address = Some(address);
    }

    /// The binary started last.
    pub fn binary(&mut self) -> &mut Binary {
        self.binaries.last_mut().expect("something was started")
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("something was started")
    }

    /// A new client connection.
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// One request on a connection of its own.
    pub fn get(&self, path: &str) -> Response {
        let mut client = self.client();
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: rig\r\nConnection: close\r\n\r\n"
        ));
        client.response()
    }
}

/// A running binary with what it says.
pub struct Binary {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Binary {
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let mut stderr = child.stderr.take().expect("stderr is a pipe");
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let reader = thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut chunk) {
                heard.lock().unwrap().extend_from_slice(&chunk[..count]);
            }
        });
        Self {
            child,
            said,
            reader: Some(reader),
        }
    }

    /// What it wrote to standard error so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        signal::send(self.child.id(), signal).expect("the process is there");
    }

    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("the child can be asked")
            .is_none()
    }

    fn wait_until_accepting(&mut self, address: SocketAddr) {
        let accepting = until(|| !self.is_running() || TcpStream::connect(address).is_ok());
        assert!(
            accepting && self.is_running(),
            "nothing accepts at {address}; it said:\n{}",
            self.said()
        );
    }

    /// Ends it, and returns all that it has said.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn said_to_its_end(&mut self) -> String {
        self.signal(Signal::Terminate);
        self.wait();
        self.said()
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn wait(&mut self) -> ExitStatus {
        let ended = until(|| !self.is_running());
        assert!(ended, "it does not end; it said:\n{}", self.said());
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader does not panic");
        }
        self.child.wait().expect("the child has ended")
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The ports on loopback at which the configurations of a command want to listen.
fn binds(command: &Command) -> HashSet<u16> {
    let texts = command
        .get_args()
        .filter_map(|word| fs::read_to_string(word).ok());
    let texts: Vec<String> = texts.collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    let places =
        lines.filter_map(|line| line.trim_start().strip_prefix("bind ")?.split(' ').next());
    let places = places.filter_map(|place| place.parse::<SocketAddrV4>().ok());
    places
        .filter(|place| place.ip().is_loopback())
        .map(|place| place.port())
        .collect()
}

/// Who listens over IPv4 on this machine: ports, and how many connections wait there to be accepted (proc(5)).
pub fn listeners() -> Vec<(u16, u32)> {
    const LISTENS: &str = "0A";
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let rows = table.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (place, state, queues) = (words.next()?, words.nth(1)?, words.next()?);
        let (_, port) = place.split_once(':').filter(|_| state == LISTENS)?;
        let (_, waiting) = queues.split_once(':')?;
        Some((
            u16::from_str_radix(port, 16).ok()?,
            u32::from_str_radix(waiting, 16).ok()?,
        ))
    });
    rows.collect()
}

/// Waits until a condition holds; false when the deadline passes first.
pub fn until(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

/// A free address on the loopback interface, which no other test of this or another process is given meanwhile.
pub fn free_address() -> SocketAddr {
    static BLOCK: OnceLock<PortBlock> = OnceLock::new();
    BLOCK.get_or_init(PortBlock::take).next()
}

/// The ports of this test process. Others may run side by side, and one of them must not come to listen where another
/// means nobody to.
struct PortBlock {
    /// Listens on the block's first port as long as the process lives, which tells others that the block is taken.
    guard: TcpListener,
    handed_out: AtomicU16,
}

impl PortBlock {
    fn take() -> Self {
        let mut guard = None;
        until(|| {
            let mut blocks = PORTS.step_by(usize::from(BLOCK_PORTS));
            guard = blocks.find_map(|first| TcpListener::bind((Ipv4Addr::LOCALHOST, first)).ok());
            guard.is_some()
        });
        Self {
            guard: guard.expect("not every block of ports is taken"),
            handed_out: AtomicU16::new(0),
        }
    }

    fn next(&self) -> SocketAddr {
        let first = self.guard.local_addr().expect("it listens").port();
        loop {
            let turn = self.handed_out.fetch_add(1, Ordering::Relaxed);
            let port = first + 1 + turn % (BLOCK_PORTS - 1);
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            // Listening there for a moment would tell as well. But whatever another test starts in that moment has all
            // our sockets open until it has become another program, and would be in the way of who is to listen there.
            let reached = TcpStream::connect_timeout(&address, DEADLINE);
            if reached.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
                return address;
            }
        }
    }
}

/// Listens at an address where somebody has listened, as soon as that is over: what is started meanwhile for other tests has
/// the old socket open until it has become another program.
///
/// # Panics
/// When it is not over in time.
pub fn listen_again(address: SocketAddr) -> TcpListener {
    let mut listener = None;
    until(|| {
        listener = TcpListener::bind(address).ok();
        listener.is_some()
    });
    listener.expect("nobody listens any more")
}

/// A connection to a command socket, which may appear a moment after the listeners of traffic do.
///
/// # Panics
/// When it is not there in time.
pub fn reach(socket: &Path) -> UnixStream {
    let mut stream = None;
    until(|| {
        stream = UnixStream::connect(socket).ok();
        stream.is_some()
    });
    let stream = stream.expect("the socket is there");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Sends a line to a command socket, ends the writing half as socat does, and reads the whole answer.
pub fn ask(socket: &Path, line: &str) -> String {
    let mut stream = reach(socket);
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Puts a copy of a program at a place, in one step, as package managers do.
///
/// Another process writes it: a file that is open for writing anywhere cannot be run, and whatever this process starts
/// meanwhile, for another test, has all of our files open until it has become another program.
pub fn install(place: &Path, program: &Path) {
    let beside = place.with_extension("new");
    let copied = run(Command::new("cp").arg("--").arg(program).arg(&beside));
    assert_eq!(copied.status, Some(0), "{}", copied.stderr);
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).expect("permissions");
    fs::rename(beside, place).expect("the place");
}

/// What a command that ends by itself said and how it ended.
pub struct Outcome {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the binary until it ends by itself.
pub fn plimsoll(words: &[&str]) -> Outcome {
    run(Command::new(PLIMSOLL).args(words))
}

/// Runs a command until it ends by itself.
pub fn run(command: &mut Command) -> Outcome {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    Outcome {
        status: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// DER as a file holds it.
pub fn pem(label: &str, der: &[u8]) -> String {
    let encoded = BASE64.encode(der);
    format!("-----BEGIN {label}-----\n{encoded}\n-----END {label}-----\n")
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .and_then(Path::parent)
        .expect("crates live two folders deep")
}
