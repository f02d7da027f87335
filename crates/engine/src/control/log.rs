//! The way of log lines out of the process.
//!
//! ```text
//! worker ── LogWriter ──┬── socket of its own ── send(2), never waiting ──► UDP or unix datagram target
//!                       └── bounded buffer ── thread ── write(2) ─────────► stdout, stderr, fd@N
//! ```
//!
//! A [`LogRoute`] says where the lines of one proxy go; workers share it. A [`LogWriter`] belongs to one worker and holds
//! what is not shared: sockets, buffers, dates. Datagrams are sent at once: on loopback a connected send(2) costs 2.7 µs of
//! processor time per line, sendmsg(2) to an address 3.7 µs, and sendmmsg(2) of 32 lines no less per line
//! than send(2), so a thread that batched them would only add a hand-over.
//!
//! What is absent: the text of lines and the choice of targets ([`plimsoll_policy::log`]).

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_policy::log::{
    Dates, Event, Header, Identity, Level, Origin, Override, Profile, Record, WallTime, admit,
    format, format_error, sample_takes, traffic_level,
};
use plimsoll_policy::log_format::Format;
use plimsoll_policy::model::{Global, LogAddress, LogFormat, LogSettings, LogTarget};
use plimsoll_sys::{clock, listen};

/// Most bytes waiting for the thread that writes to one descriptor; lines beyond it are lost.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// Longest message, whatever a target's `len`: what fits into a datagram of UDP over IPv4.
const MESSAGE_BYTES_MAX: usize = 65_507;

/// How long the thread of a descriptor that takes nothing rests before it tries again.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// Where the machine's name stands.
const HOSTNAME_FILE: &str = "/proc/sys/kernel/hostname";

/// Who speaks in the messages of a proxy, or of the process itself when `settings` are the global ones.
pub fn identity(global: &Global, settings: &LogSettings, program: &str) -> Identity {
    let tag = settings.tag.as_ref().or(global.log_tag.as_ref());
    let hostname = global
        .log_hostname
        .as_ref()
        .map(|name| match name.as_str() {
            "" => machine_name(),
            name => name.to_owned(),
        });
    Identity {
        hostname,
        tag: tag.map_or(program, String::as_str).to_owned(),
        pid: std::process::id(),
    }
}

/// The machine's name, asked for once.
pub(crate) fn hostname() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(machine_name)
}

fn machine_name() -> String {
    let name = std::fs::read_to_string(HOSTNAME_FILE).unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

// --- Shared by all workers ---

/// All places that logs go to. It outlives reloads, so that losses go on being counted.
///
/// Threads write to descriptors, so it is made after the process has gone into the background.
#[derive(Debug, Default)]
pub struct LogSink {
    outlets: Mutex<Outlets>,
    /// Messages lost since the start, by outlets that are no more too.
    lost: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Outlets {
    /// Places are used again once no route leads to their outlet.
    places: Vec<Weak<Outlet>>,
    /// How many outlets there ever were.
    count: u64,
}

/// One address, however many proxies log to it.
#[derive(Debug)]
struct Outlet {
    address: LogAddress,
    /// Where writers keep its socket, and what tells them that another outlet had the place before.
    place: usize,
    serial: u64,
    losses: Losses,
    cut: AtomicU64,
    /// For descriptors; `None` also when the descriptor is not open.
    queue: Option<Arc<Queue>>,
}

/// Counts what is lost at one place and everywhere.
#[derive(Clone, Debug, Default)]
struct Losses {
    here: Arc<AtomicU64>,
    everywhere: Arc<AtomicU64>,
}

impl Losses {
    fn add(&self, messages: u64) {
        self.here.fetch_add(messages, Relaxed);
        self.everywhere.fetch_add(messages, Relaxed);
    }
}

/// How a target fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutletReport {
    pub address: LogAddress,
    /// Messages that were not delivered, as far as can be known.
    pub lost: u64,
    /// Messages cut at the target's `len`.
    pub cut: u64,
}

impl LogSink {
    /// The way of one proxy's lines. `ignore_empty` is the frontend's `option dontlognull`.
    pub fn route(&self, settings: &LogSettings, ignore_empty: bool, who: &Identity) -> LogRoute {
        let branches = settings.targets.iter().map(|target| Branch {
            header: header(target, who, target.profile.as_deref()),
            outlet: self.outlet(&target.address),
            target: target.clone(),
            position: AtomicU64::new(0),
        });
        LogRoute {
            branches: branches.collect(),
            counts: asks_count(settings),
            asks_addresses: settings.formats().any(|format| format.asks_addresses()),
            lines: AtomicU64::new(0),
            settings: settings.clone(),
            ignore_empty,
            who: who.clone(),
        }
    }

    fn outlet(&self, address: &LogAddress) -> Arc<Outlet> {
        let mut outlets = lock(&self.outlets);
        let known = outlets.places.iter().filter_map(Weak::upgrade);
        if let Some(known) = known.into_iter().find(|outlet| outlet.address == *address) {
            return known;
        }
        let free = |place: &Weak<Outlet>| place.strong_count() == 0;
        let place = outlets.places.iter().position(free);
        let place = place.unwrap_or(outlets.places.len());
        let losses = Losses {
            here: Arc::default(),
            everywhere: Arc::clone(&self.lost),
        };
        let outlet = Arc::new(Outlet::new(address, place, outlets.count, losses));
        outlets.count += 1;
        match outlets.places.get_mut(place) {
            Some(free) => *free = Arc::downgrade(&outlet),
            None => outlets.places.push(Arc::downgrade(&outlet)),
        }
        outlet
    }

    /// How every target fares that a route leads to.
    pub fn report(&self) -> Vec<OutletReport> {
        let outlets = lock(&self.outlets);
        let known = outlets.places.iter().filter_map(Weak::upgrade);
        known
            .map(|outlet| OutletReport {
                address: outlet.address.clone(),
                lost: outlet.losses.here.load(Relaxed),
                cut: outlet.cut.load(Relaxed),
            })
            .collect()
    }

    /// The count behind [`Self::lost`].
    pub(crate) fn losses(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    /// Messages lost since the start (`DroppedLogs`).
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Waits until everything that lies in buffers has been written, or until `deadline`: for the end of the process.
    pub fn drain(&self, deadline: Instant) {
        let known: Vec<_> = {
            let outlets = lock(&self.outlets);
            outlets.places.iter().filter_map(Weak::upgrade).collect()
        };
        let queues = known.iter().filter_map(|outlet| outlet.queue.as_ref());
        queues.for_each(|queue| queue.drain(deadline));
    }
}

impl Outlet {
    fn new(address: &LogAddress, place: usize, serial: u64, losses: Losses) -> Self {
        let queue = match address {
            LogAddress::Descriptor(number) => Queue::start(*number, losses.clone()).ok(),
            _ => None,
        };
        Self {
            address: address.clone(),
            place,
            serial,
            losses,
            cut: AtomicU64::new(0),
            queue,
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.close();
        }
    }
}

/// The header of messages to a target, under the name that a profile may give.
fn header(target: &LogTarget, who: &Identity, profile: Option<&Profile>) -> Header {
    match profile.and_then(|profile| profile.tag.as_ref()) {
        None => Header::new(target.format, target.facility, who),
        Some(tag) => {
            let renamed = Identity {
                tag: tag.clone(),
                ..who.clone()
            };
            Header::new(target.format, target.facility, &renamed)
        }
    }
}

/// Where the lines of one proxy go, and which.
#[derive(Debug)]
pub struct LogRoute {
    branches: Vec<Branch>,
    who: Identity,
    settings: LogSettings,
    ignore_empty: bool,
    /// A line shows how many there were (`%lc`), so that they are counted; since the configuration was read.
    counts: bool,
    lines: AtomicU64,
    /// Lines show the server's addresses.
    asks_addresses: bool,
}

#[derive(Debug)]
struct Branch {
    target: LogTarget,
    header: Header,
    outlet: Arc<Outlet>,
    /// Messages admitted so far by all workers; counted only for samples.
    position: AtomicU64,
}

impl Branch {
    /// The level under which a message goes this way; `None`: it does not.
    fn admit(&self, level: Level) -> Option<Level> {
        let level = admit(&self.target, level)?;
        let taken = match &self.target.sample {
            None => true,
            Some(sample) => sample_takes(sample, self.position.fetch_add(1, Relaxed)),
        };
        taken.then_some(level)
    }
}

/// Whether lines show how many there were.
fn asks_count(settings: &LogSettings) -> bool {
    settings.formats().any(|format| format.asks_count())
}

impl LogRoute {
    /// Whether lines show more than their record.
    pub fn asks_context(&self) -> bool {
        self.settings.formats().next().is_some()
    }

    /// Whether error lines do.
    pub fn asks_context_of_errors(&self) -> bool {
        let targets = &self.settings.targets;
        self.settings.error_format.is_some() || targets.iter().any(|it| it.profile.is_some())
    }

    /// Whether lines show the server's addresses.
    pub fn asks_addresses(&self) -> bool {
        self.asks_addresses
    }

    /// The number of the line that is about to be written; 0 where nobody asks.
    pub fn count(&self) -> u64 {
        match self.counts {
            true => self.lines.fetch_add(1, Relaxed) + 1,
            false => 0,
        }
    }

    /// What the route was made from.
    pub fn settings(&self) -> &LogSettings {
        &self.settings
    }
}

// --- One per worker ---

/// Writes a format of the configuration's own.
pub type Fill<'a> = &'a mut dyn FnMut(&Format, &mut Vec<u8>);

/// What other lines are made of, where a profile asks for them.
struct Lines<'a> {
    origin: Origin,
    /// In place of those of the targets.
    profile: Option<&'a Profile>,
    fill: Fill<'a>,
}

/// What a target is sent.
enum Found {
    Own,
    Dropped,
    /// A line of its own, or structured data, or both.
    Others {
        line: bool,
        structured: bool,
    },
}

/// Writes and sends lines for one worker. Nothing in it waits, and nothing is shared but the bounded buffers of descriptors.
#[derive(Debug, Default)]
pub struct LogWriter {
    dates: Dates,
    /// The minute for which the dates know how far local time is ahead.
    minute: Option<u64>,
    line: Vec<u8>,
    /// Structured data of RFC 5424 for the line at hand.
    structured: Vec<u8>,
    /// Both as a profile says.
    other: (Vec<u8>, Vec<u8>),
    message: Vec<u8>,
    sockets: Vec<Option<Wire>>,
}

/// A writer's own socket to an outlet.
#[derive(Debug)]
struct Wire {
    serial: u64,
    /// `None` after a failure.
    socket: Option<Socket>,
    /// The second of the last attempt to make a socket.
    tried_s: u64,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl LogWriter {
    /// The line of a session or an exchange, if it is to be logged.
    ///
    /// `own` is the level that rules set (`None` in it: no line), and `fill` writes a format of the configuration's own.
    pub fn traffic(
        &mut self,
        route: &LogRoute,
        record: &Record<'_>,
        own: Option<Option<Level>>,
        now: WallTime,
        fill: Fill<'_>,
    ) {
        let level = traffic_level(&route.settings, route.ignore_empty, record);
        let Some(level) = level.and_then(|level| own.unwrap_or(Some(level))) else {
            return;
        };
        self.compose(route, record, now, fill);
        let lines = Lines {
            origin: record.origin,
            profile: None,
            fill,
        };
        self.send(route, level, now, Some(lines));
    }

    /// A line that a rule asks for (`do-log`), whatever else is logged.
    ///
    /// A `profile` takes the place of those of the targets; the rest is as in [`LogWriter::traffic`].
    pub fn demanded(
        &mut self,
        route: &LogRoute,
        record: &Record<'_>,
        (own, profile): (Option<Option<Level>>, Option<&Profile>),
        now: WallTime,
        fill: Fill<'_>,
    ) {
        let Some(level) = own.unwrap_or(Some(Level::Info)) else {
            return;
        };
        self.compose(route, record, now, fill);
        let lines = Lines {
            origin: record.origin,
            profile,
            fill,
        };
        self.send(route, level, now, Some(lines));
    }

    /// Writes the proxy's own line and structured data.
    fn compose(&mut self, route: &LogRoute, record: &Record<'_>, now: WallTime, fill: Fill<'_>) {
        let settings = &route.settings;
        self.begin(now);
        let of_errors = settings.error_format.as_ref();
        match (&settings.format, of_errors.filter(|_| record.malformed)) {
            (_, Some(format)) | (LogFormat::Custom(format), None) => fill(format, &mut self.line),
            // It tells of connections, which is not what these lines are about.
            (LogFormat::Connect, None)
                if record.origin != Origin::Accept || settings.steps.is_some() => {}
            (ready, None) => format(ready, record, &mut self.dates, &mut self.line),
        }
        if let Some(format) = &settings.structured {
            fill(format, &mut self.structured);
        }
    }

    /// The line of a session that ended before it could carry anything.
    ///
    /// `fill` writes `error-log-format`, where there is one.
    pub fn error(
        &mut self,
        route: &LogRoute,
        record: &Record<'_>,
        reason: &str,
        now: WallTime,
        fill: Fill<'_>,
    ) {
        let level = match route.settings.separate_errors {
            true => Level::Error,
            false => Level::Info,
        };
        self.begin(now);
        let settings = &route.settings;
        match &settings.error_format {
            Some(format) => fill(format, &mut self.line),
            // These lines tell of connections that came to be.
            None if settings.format == LogFormat::Connect && settings.steps.is_none() => return,
            None => format_error(record, reason, &mut self.dates, &mut self.line),
        }
        let lines = Lines {
            origin: record.origin,
            profile: None,
            fill,
        };
        self.send(route, level, now, Some(lines));
    }

    /// A message that is not about traffic.
    pub fn event(&mut self, route: &LogRoute, event: &Event<'_>, now: WallTime) {
        self.begin(now);
        // A line break would make two messages of one.
        let bytes = event.text.bytes();
        self.line
            .extend(bytes.map(|byte| if byte < b' ' { b' ' } else { byte }));
        self.send(route, event.level, now, None);
    }

    fn begin(&mut self, now: WallTime) {
        self.line.clear();
        self.structured.clear();
        let minute = now.unix_s / 60;
        if self.minute != Some(minute) {
            let second = i64::try_from(now.unix_s).unwrap_or(i64::MAX);
            self.dates
                .set_utc_offset_s(clock::utc_offset_seconds(second));
            self.minute = Some(minute);
        }
    }

    /// Sends the line to every target that takes it; where profiles say so, another one.
    fn send(
        &mut self,
        route: &LogRoute,
        level: Level,
        now: WallTime,
        mut lines: Option<Lines<'_>>,
    ) {
        for branch in &route.branches {
            let Some(level) = branch.admit(level) else {
                continue;
            };
            let found = lines
                .as_mut()
                .map_or(Found::Own, |lines| self.find(branch, lines));
            let (line, structured) = match found {
                Found::Own => (&self.line, &self.structured),
                Found::Dropped => continue,
                Found::Others {
                    line: true,
                    structured: true,
                } => (&self.other.0, &self.other.1),
                Found::Others { line: true, .. } => (&self.other.0, &self.structured),
                Found::Others { .. } => (&self.line, &self.other.1),
            };
            if line.is_empty() {
                continue;
            }
            let lent = lines.as_ref().and_then(|lines| lines.profile);
            let lent = lent.map(|profile| header(&branch.target, &route.who, Some(profile)));
            self.message.clear();
            lent.as_ref().unwrap_or(&branch.header).write_structured(
                level,
                now,
                structured,
                &mut self.dates,
                &mut self.message,
            );
            self.message.extend_from_slice(line);
            let length = (branch.target.length_bytes as usize).min(MESSAGE_BYTES_MAX);
            let room = length.saturating_sub(1);
            if self.message.len() > room {
                self.message.truncate(room);
                branch.outlet.cut.fetch_add(1, Relaxed);
            }
            self.message.push(b'\n');
            self.deliver(&branch.outlet, now);
        }
    }

    /// What a target is sent of a line. What differs from the proxy's own is written beside it.
    fn find(&mut self, branch: &Branch, lines: &mut Lines<'_>) -> Found {
        let profile = lines.profile.or(branch.target.profile.as_deref());
        let (format, structured) = match profile.and_then(|profile| profile.find(lines.origin)) {
            None => return Found::Own,
            Some(Override::Drop) => return Found::Dropped,
            Some(Override::Lines { format, structured }) => (format, structured),
        };
        for (format, out) in [(format, &mut self.other.0), (structured, &mut self.other.1)] {
            out.clear();
            if let Some(format) = format {
                (lines.fill)(format, out);
            }
        }
        match (format.is_some(), structured.is_some()) {
            (false, false) => Found::Own,
            (line, structured) => Found::Others { line, structured },
        }
    }

    fn deliver(&mut self, outlet: &Outlet, now: WallTime) {
        match (&outlet.queue, &outlet.address) {
            (Some(queue), _) => queue.push(&self.message),
            (None, LogAddress::Descriptor(_)) => outlet.losses.add(1),
            (None, _) => {
                if self.sockets.len() <= outlet.place {
                    self.sockets.resize_with(outlet.place + 1, || None);
                }
                Wire::of(&mut self.sockets[outlet.place], outlet, now).send(
                    outlet,
                    &self.message,
                    now,
                );
            }
        }
    }
}

impl Wire {
    /// The wire in a place, made anew when the place was another outlet's.
    fn of<'a>(place: &'a mut Option<Self>, outlet: &Outlet, now: WallTime) -> &'a mut Self {
        if place
            .as_ref()
            .is_some_and(|wire| wire.serial != outlet.serial)
        {
            *place = None;
        }
        place.get_or_insert_with(|| Self {
            serial: outlet.serial,
            socket: Socket::open(&outlet.address).ok(),
            tried_s: now.unix_s,
        })
    }

    /// Sends one message, or counts it as lost.
    ///
    /// A connected UDP socket reports with one send that the message before it found nobody: that one is lost, and this
    /// one is sent again, since the receiver may have come back. Any other failure gives the socket up; one per second
    /// is made instead.
    fn send(&mut self, outlet: &Outlet, message: &[u8], now: WallTime) {
        for _ in 0..2 {
            if self.socket.is_none() && self.tried_s != now.unix_s {
                self.tried_s = now.unix_s;
                self.socket = Socket::open(&outlet.address).ok();
            }
            let Some(socket) = &self.socket else { break };
            match socket.send(message) {
                Ok(()) => return,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if socket.reports_the_past(&error) => outlet.losses.add(1),
                Err(_) => self.socket = None,
            }
        }
        outlet.losses.add(1);
    }
}

impl Socket {
    fn open(address: &LogAddress) -> io::Result<Self> {
        match address {
            LogAddress::Udp(address) => {
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.set_nonblocking(true)?;
                socket.connect(address)?;
                Ok(Self::Udp(socket))
            }
            LogAddress::Unix(path) => Self::unix(|socket| socket.connect(path)),
            LogAddress::Abstract(name) => {
                let address = UnixAddress::from_abstract_name(name)?;
                Self::unix(|socket| socket.connect_addr(&address))
            }
            LogAddress::Descriptor(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    fn unix(connect: impl FnOnce(&UnixDatagram) -> io::Result<()>) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        connect(&socket)?;
        Ok(Self::Unix(socket))
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(message),
            Self::Unix(socket) => socket.send(message),
        }
        .map(drop)
    }

    /// Whether an error tells of an earlier message and not of this one.
    fn reports_the_past(&self, error: &io::Error) -> bool {
        matches!(self, Self::Udp(_)) && error.kind() == ErrorKind::ConnectionRefused
    }
}

// --- Descriptors ---

/// Lines on their way to a descriptor that may block, and the thread that writes them.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// There is something to write, or the queue has been closed.
    filled: Condvar,
    /// Everything has been written.
    emptied: Condvar,
    losses: Losses,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// The thread is writing what it has taken.
    writing: bool,
    closed: bool,
}

impl Queue {
    fn start(number: i32, losses: Losses) -> io::Result<Arc<Self>> {
        let file = File::from(listen::inherited(number)?);
        let queue = Arc::new(Self {
            losses,
            ..Self::default()
        });
        let shared = Arc::clone(&queue);
        thread::Builder::new()
            .name(format!("log fd@{number}"))
            .spawn(move || shared.write_all(file))?;
        Ok(queue)
    }

    /// Adds a line; the lock is held for one copy.
    fn push(&self, line: &[u8]) {
        let mut waiting = lock(&self.waiting);
        if waiting.bytes.len() + line.len() > WAITING_BYTES_MAX {
            self.losses.add(1);
            return;
        }
        waiting.bytes.extend_from_slice(line);
        let asleep = !waiting.writing && waiting.bytes.len() == line.len();
        drop(waiting);
        if asleep {
            self.filled.notify_one();
        }
    }

    fn close(&self) {
        lock(&self.waiting).closed = true;
        self.filled.notify_one();
    }

    fn drain(&self, deadline: Instant) {
        let mut waiting = lock(&self.waiting);
        while waiting.writing || !waiting.bytes.is_empty() {
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return;
            }
            let woken = self.emptied.wait_timeout(waiting, rest);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The thread: writes what waits until the queue is closed and empty.
    fn write_all(&self, mut file: File) {
        let mut batch = Vec::new();
        loop {
            let mut waiting = lock(&self.waiting);
            waiting.writing = false;
            while waiting.bytes.is_empty() {
                self.emptied.notify_all();
                if waiting.closed {
                    return;
                }
                let woken = self.filled.wait(waiting);
                waiting = woken.unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut waiting.bytes, &mut batch);
            waiting.writing = true;
            drop(waiting);
            self.write(&mut file, &batch);
            batch.clear();
        }
    }

    /// Writes a batch; what cannot be written is lost, line by line.
    fn write(&self, file: &mut File, batch: &[u8]) {
        let mut rest = batch;
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(written) if written > 0 => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody else made the descriptor non-blocking. Lines gather meanwhile, up to their limit.
                Err(error) if error.kind() == ErrorKind::WouldBlock && !self.is_closed() => {
                    thread::sleep(FULL_PAUSE);
                }
                _ => {
                    let lines = rest.iter().filter(|&&byte| byte == b'\n').count();
                    self.losses.add(lines as u64);
                    return;
                }
            }
        }
    }

    fn is_closed(&self) -> bool {
        lock(&self.waiting).closed
    }
}

/// Locks; a panic elsewhere leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::{BufRead as _, BufReader, Read as _};
    use std::os::fd::AsRawFd as _;

    use plimsoll_policy::log::{Endpoint, Load, Queued, RequestLine, Timers};
    use plimsoll_policy::log::{Step, Termination};
    use plimsoll_policy::model::{LogEnvelope, LogSample, Mode};

    const DEADLINE: Duration = Duration::from_secs(60);

    fn at(unix_s: u64) -> WallTime {
        WallTime { unix_s, micros: 0 }
    }

    fn who() -> Identity {
        Identity {
            hostname: None,
            tag: "lb".to_owned(),
            pid: 7,
        }
    }

    fn target(address: LogAddress) -> LogTarget {
        LogTarget {
            address,
            length_bytes: 1_024,
            format: LogEnvelope::Priority,
            sample: None,
            facility: 16,
            level_max: 7,
            level_min: 0,
            profile: None,
        }
    }

    fn route(sink: &LogSink, targets: Vec<LogTarget>) -> LogRoute {
        let settings = LogSettings {
            targets,
            format: LogFormat::Http { clf: false },
            ..LogSettings::default()
        };
        sink.route(&settings, false, &who())
    }

    fn udp() -> (UdpSocket, LogAddress) {
        udp_at("127.0.0.1:0")
    }

    fn udp_at(place: &str) -> (UdpSocket, LogAddress) {
        let receiver = UdpSocket::bind(place).expect("a free port");
        receiver
            .set_read_timeout(Some(DEADLINE))
            .expect("a deadline");
        let address = receiver.local_addr().expect("a bound socket");
        (receiver, LogAddress::Udp(address))
    }

    fn receive(receiver: &UdpSocket) -> String {
        let mut buffer = [0; 65_536];
        let length = receiver
            .recv(&mut buffer)
            .expect("a message before the deadline");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    fn say(writer: &mut LogWriter, route: &LogRoute, text: &str, second: u64) {
        let level = Level::Notice;
        writer.event(route, &Event { level, text }, at(second));
    }

    fn record() -> Record<'static> {
        Record {
            mode: Mode::Http,
            client: Endpoint::Unknown,
            local: Endpoint::Unknown,
            frontend: "web",
            bind_number: 1,
            secure: false,
            tls: None,
            backend: "web",
            server: None,
            accepted: at(0),
            timers: Timers::default(),
            status: Some(200),
            bytes_sent: 1,
            bytes_received: 1,
            request: Some(RequestLine {
                method: b"GET",
                target: b"/",
                version: b"HTTP/1.1",
                bytes_max: 100,
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

    #[test]
    fn lines_have_headers_ends_and_lengths() {
        let (receiver, address) = udp();
        let sink = LogSink::default();
        let short = LogTarget {
            length_bytes: 80,
            ..target(address.clone())
        };
        let route = route(&sink, vec![short, target(address)]);
        let mut writer = LogWriter::default();
        writer.traffic(&route, &record(), None, at(0), &mut |_, _| {});
        let (short, whole) = (receive(&receiver), receive(&receiver));
        assert_eq!(
            (short.len(), &short[..5], &short[79..]),
            (80, "<134>", "\n")
        );
        assert!(whole.ends_with("\"GET / HTTP/1.1\"\n"), "{whole}");
        assert_eq!(sink.report().len(), 1, "one address is one outlet");
        assert_eq!((sink.report()[0].cut, sink.lost()), (1, 0));
    }

    #[test]
    fn profiles_change_lines_and_names() {
        let (receiver, address) = udp();
        let sink = LogSink::default();
        let profile = |tag: Option<&str>, overrides| {
            let tag = tag.map(str::to_owned);
            Some(Arc::new(Profile {
                name: "p".to_owned(),
                tag,
                overrides,
            }))
        };
        let empty = || Override::Lines {
            format: Some(Arc::default()),
            structured: Some(Arc::default()),
        };
        let to = |profile| LogTarget {
            format: LogEnvelope::Rfc5424,
            profile,
            ..target(address.clone())
        };
        let targets = vec![
            to(profile(Some("other"), vec![(Step::Close, empty())])),
            to(profile(None, vec![(Step::Any, Override::Drop)])),
            to(None),
        ];
        let route = route(&sink, targets);
        let mut writer = LogWriter::default();
        let closed = Record {
            origin: Origin::Close,
            ..record()
        };
        let fill: Fill<'_> = &mut |_, out| out.extend_from_slice(b"filled");
        writer.traffic(&route, &closed, None, at(0), fill);
        let told = [receive(&receiver), receive(&receiver)];
        assert!(
            told[0].contains(" other 7 - filled filled\n"),
            "{}",
            told[0]
        );
        assert!(told[1].contains(" lb 7 - - -:- ["), "{}", told[1]);
        // The profile of a rule takes the place of all of them, its name too.
        let lent = Profile::default();
        writer.demanded(&route, &closed, (None, Some(&lent)), at(0), fill);
        for _ in 0..3 {
            let line = receive(&receiver);
            assert!(line.contains(" lb 7 - - -:- ["), "{line}");
        }
        say(&mut writer, &route, "up", 1);
        let told = [receive(&receiver), receive(&receiver), receive(&receiver)];
        assert!(told[0].contains(" other 7 - - up") && told[1].contains(" lb 7 - - up"));
    }

    #[test]
    fn events_stay_on_one_line_and_errors_have_reasons() {
        let (receiver, address) = udp();
        let sink = LogSink::default();
        let mut settings = LogSettings {
            targets: vec![target(address)],
            format: LogFormat::Http { clf: false },
            ..LogSettings::default()
        };
        settings.separate_errors = true;
        let route = sink.route(&settings, false, &who());
        let mut writer = LogWriter::default();
        say(&mut writer, &route, "Server a/b\nis DOWN.", 1);
        assert_eq!(receive(&receiver), "<133>Server a/b is DOWN.\n");
        writer.error(
            &route,
            &record(),
            "Connection closed",
            at(1),
            &mut |_, _| {},
        );
        let line = receive(&receiver);
        assert!(
            line.starts_with("<131>-:- [") && line.ends_with("] web/1: Connection closed\n"),
            "{line}"
        );
        // Where lines tell of connections there is none to tell of.
        settings.format = LogFormat::Connect;
        let connections = sink.route(&settings, false, &who());
        writer.error(&connections, &record(), "nothing", at(1), &mut |_, _| {});
        say(&mut writer, &route, "next", 1);
        assert_eq!(receive(&receiver), "<133>next\n");
    }

    #[test]
    fn a_udp_receiver_may_go_and_come_back() {
        // Nobody else takes the port meanwhile where nobody else is.
        let (receiver, address) = udp_at("127.0.0.9:0");
        let place = receiver.local_addr().expect("a bound socket");
        let sink = LogSink::default();
        let route = route(&sink, vec![target(address)]);
        let mut writer = LogWriter::default();
        say(&mut writer, &route, "before", 1);
        assert_eq!(receive(&receiver), "<133>before\n");
        drop(receiver);
        for _ in 0..10 {
            say(&mut writer, &route, "nobody listens", 1);
        }
        assert!(sink.lost() > 0);
        let receiver = UdpSocket::bind(place).expect("the same port");
        receiver
            .set_read_timeout(Some(DEADLINE))
            .expect("a deadline");
        say(&mut writer, &route, "after", 1);
        assert_eq!(receive(&receiver), "<133>after\n");
    }

    #[test]
    fn a_unix_receiver_may_come_late_be_slow_and_come_back() {
        let directory = std::env::temp_dir().join(format!("plimsoll-log-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for the socket");
        let path = directory.join("log");
        let sink = LogSink::default();
        let route = route(&sink, vec![target(LogAddress::Unix(path.clone()))]);
        let mut writer = LogWriter::default();
        say(&mut writer, &route, "too early", 1);
        assert_eq!(sink.lost(), 1);

        let receiver = UnixDatagram::bind(&path).expect("a new path");
        say(&mut writer, &route, "still in the same second", 1);
        assert_eq!(sink.lost(), 2);
        say(&mut writer, &route, "found", 2);
        let mut buffer = [0; 100];
        let length = receiver.recv(&mut buffer).expect("a message");
        assert_eq!(&buffer[..length], b"<133>found\n");

        for _ in 0..10_000 {
            say(&mut writer, &route, "nobody reads", 3);
        }
        assert!(sink.lost() > 2, "the kernel's queue is finite");
        drop(receiver);
        std::fs::remove_file(&path).expect("the old path");
        say(&mut writer, &route, "gone", 4);
        let receiver = UnixDatagram::bind(&path).expect("a new path");
        say(&mut writer, &route, "back", 5);
        let length = receiver.recv(&mut buffer).expect("a message");
        assert_eq!(&buffer[..length], b"<133>back\n");
        std::fs::remove_dir_all(&directory).expect("the directory");
    }

    #[test]
    fn samples_are_exact_over_all_writers() {
        let (receiver, address) = udp();
        let sink = LogSink::default();
        let mut sampled = target(address);
        sampled.sample = Some(LogSample {
            ranges: vec![(2, 2)],
            period: 4,
        });
        let route = route(&sink, vec![sampled]);
        let mut writers = [LogWriter::default(), LogWriter::default()];
        for number in 0..8 {
            say(&mut writers[number % 2], &route, &number.to_string(), 1);
        }
        assert_eq!(
            (receive(&receiver), receive(&receiver)),
            ("<133>1\n".to_owned(), "<133>5\n".to_owned())
        );
        receiver.set_nonblocking(true).expect("a socket");
        assert!(receiver.recv(&mut [0; 10]).is_err(), "two of eight");
    }

    #[test]
    fn levels_choose_targets() {
        let (receiver, address) = udp();
        let sink = LogSink::default();
        let important = LogTarget {
            level_max: Level::Warning.number(),
            ..target(address.clone())
        };
        let calmed = LogTarget {
            facility: 0,
            level_min: Level::Debug.number(),
            ..target(address)
        };
        let route = route(&sink, vec![important, calmed]);
        say(&mut LogWriter::default(), &route, "notice", 1);
        assert_eq!(receive(&receiver), "<7>notice\n");
    }

    #[test]
    fn places_are_used_again_without_mixing_up_sockets() {
        let sink = LogSink::default();
        let mut writer = LogWriter::default();
        for _ in 0..3 {
            let (receiver, address) = udp();
            let route = route(&sink, vec![target(address)]);
            say(&mut writer, &route, "hello", 1);
            assert_eq!(receive(&receiver), "<133>hello\n");
        }
        assert_eq!(writer.sockets.len(), 1);
    }

    #[test]
    fn a_descriptor_that_nobody_reads_holds_nobody_up() {
        let (reader, pipe) = io::pipe().expect("a pipe");
        let sink = LogSink::default();
        let address = LogAddress::Descriptor(pipe.as_raw_fd());
        let route = route(&sink, vec![target(address)]);
        drop(pipe);
        let mut writer = LogWriter::default();
        let text = "x".repeat(500);
        let sent = 2 * (WAITING_BYTES_MAX + 65_536) / text.len();
        for _ in 0..sent {
            say(&mut writer, &route, &text, 1);
        }
        let lost = sink.lost() as usize;
        assert!(lost > 0, "the buffer is finite");
        sink.drain(Instant::now());

        let reader = thread::spawn(move || {
            let lines = BufReader::new(reader).lines();
            lines
                .map(|line| line.expect("text").len())
                .collect::<Vec<_>>()
        });
        sink.drain(Instant::now() + DEADLINE);
        drop(route);
        let lines = reader.join().expect("the reader");
        assert_eq!(lines.len() + lost, sent);
        assert!(
            lines.iter().all(|&length| length == 5 + text.len()),
            "whole lines only"
        );
    }

    #[test]
    fn a_descriptor_whose_reader_left_counts_losses() {
        let (reader, pipe) = io::pipe().expect("a pipe");
        let sink = LogSink::default();
        let route = route(
            &sink,
            vec![
                target(LogAddress::Descriptor(pipe.as_raw_fd())),
                target(LogAddress::Descriptor(-1)),
            ],
        );
        drop(reader);
        say(&mut LogWriter::default(), &route, "to nobody", 1);
        sink.drain(Instant::now() + DEADLINE);
        assert_eq!(sink.lost(), 2);
        drop(route);
        assert_eq!(sink.lost(), 2, "losses outlive their targets");
    }

    #[test]
    fn the_last_lines_are_written_after_the_route_is_gone() {
        let (mut reader, pipe) = io::pipe().expect("a pipe");
        let sink = LogSink::default();
        let route = route(
            &sink,
            vec![target(LogAddress::Descriptor(pipe.as_raw_fd()))],
        );
        drop(pipe);
        say(&mut LogWriter::default(), &route, "goodbye", 1);
        drop(route);
        let mut text = String::new();
        reader
            .read_to_string(&mut text)
            .expect("text until the thread ends");
        assert_eq!(text, "<133>goodbye\n");
    }

    #[test]
    fn who_speaks() {
        let mut global = Global::default();
        let mut settings = LogSettings::default();
        let plain = identity(&global, &settings, "plimsoll");
        assert_eq!((plain.tag.as_str(), plain.hostname), ("plimsoll", None));
        global.log_tag = Some("lb".to_owned());
        global.log_hostname = Some(String::new());
        let named = identity(&global, &settings, "plimsoll");
        assert_eq!(named.tag, "lb");
        assert!(named.hostname.is_some_and(|name| !name.is_empty()));
        settings.tag = Some("shop".to_owned());
        global.log_hostname = Some("edge1".to_owned());
        let shop = identity(&global, &settings, "plimsoll");
        assert_eq!(
            (shop.tag.as_str(), shop.hostname.as_deref()),
            ("shop", Some("edge1"))
        );
    }
}
