//! One thread of the load generator: an event loop over its share of the connections.
//!
//! ```text
//! closed loop   ready ──► launch ──► finish or fail ──► ready again, at once or after a rest
//! open loop     the same, but a launch also needs an arrival, which comes when the profile says
//! ```
//! In an open loop a latency counts from the moment the request was *meant* to be sent. A server
//! that stalls therefore cannot hide its stall by keeping the generator from asking.
//!
//! Sockets are edge-triggered; a connection costs no buffer while nothing is half read.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::iter::Peekable;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use plimsoll_sys::clock::monotonic_ns;
use plimsoll_sys::connect::connect;
use plimsoll_sys::epoll::{Epoll, Event, Events, Readiness};
use plimsoll_sys::timer_fd::TimerFd;
use plimsoll_sys::{Address, ConnectOptions, socket};

use super::plan::Plan;
use super::profile::{Arrivals, Unit};
use super::reply::{Reader, Reply, Step};
use crate::statistics::{Cause, Interval, Tally};

/// Room for what one call can receive; shared by all connections of a thread.
const SCRATCH_BYTES: usize = 128 << 10;
/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 512;
/// Connections being made at once by a thread; more would overflow accept queues and measure that.
const CONNECTING_MAX: usize = 512;
/// How long a closed-loop connection rests after a failure to connect, to spare a dead server.
const REST_NS: u64 = 100_000_000;
/// How often timeouts and levels are looked at.
const HOUSEKEEPING_NS: u64 = 50_000_000;
/// The length of an interval.
const TICK_NS: u64 = 1_000_000_000;
/// Most arrivals that are counted as not sent, by a thread; counting takes time.
const UNSENT_MAX: usize = 10_000_000;
/// Waits shorter than this are left to the precise timer.
const PRECISE_BELOW_NS: u64 = 2_000_000;

const SECOND_NS: f64 = 1e9;
const TOKEN_TIMER: u64 = u64::MAX;

/// What a worker tells the one who started it.
#[derive(Debug)]
pub(super) enum Message {
    /// What happened in the second with this number.
    Interval(usize, Box<Interval>),
    /// The thread is done.
    End(Result<Ending, io::Error>),
}

/// What was left when a worker ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ending {
    /// Requests that were sent and not answered when patience ended.
    pub(super) unfinished: u64,
    /// Arrivals that no connection was free for before the end.
    pub(super) unsent: u64,
    /// How long it worked, in nanoseconds.
    pub(super) elapsed_ns: u64,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The profile does not need it now.
    Dormant,
    /// In the queue of those that may be given a request.
    Ready,
    /// Pausing, in `resting`.
    Resting,
    Connecting,
    /// A request is being sent or its answer received.
    Talking,
}

#[derive(Debug)]
struct Connection {
    socket: Option<OwnedFd>,
    phase: Phase,
    /// Tells events of this socket from late ones of the socket before.
    generation: u32,
    /// Where latency counts from.
    since_ns: u64,
    launched_ns: u64,
    sent_bytes: usize,
    reply: Reply,
}

/// See the head of this file.
pub(super) struct Worker<'a> {
    plan: &'a Plan,
    number: usize,
    address: Address,
    epoll: Epoll,
    timer: TimerFd,
    connections: Vec<Connection>,
    /// Connections that may be given a request, in turn.
    ready: VecDeque<u32>,
    /// Connections that pause, by the moment the pause ends.
    resting: BinaryHeap<Reverse<(u64, u32)>>,
    /// Of an open loop.
    arrivals: Option<Peekable<Arrivals<'a>>>,
    /// Connections the profile grants; those from this number on go dormant.
    allowed: u32,
    /// Requests that may still be launched.
    quota: u64,
    connecting: usize,
    /// Requests that have been launched and have not ended.
    busy: usize,
    reader: Reader,
    scratch: Vec<u8>,
    interval: Interval,
    begin_ns: u64,
    end_ns: u64,
    stopping: bool,
}

impl<'a> Worker<'a> {
    /// The worker with this number, of `plan.threads`.
    pub(super) fn new(plan: &'a Plan, number: usize, address: SocketAddr) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let timer = TimerFd::new()?;
        // Edge-triggered: a timer that has gone off must not end later waits too.
        epoll.add_stream(timer.as_fd(), TOKEN_TIMER)?;
        let count = plan.share(plan.connections as u64, number) as usize;
        let open = plan.profile.unit() == Unit::Rate;
        let connection = || Connection {
            socket: None,
            phase: if open { Phase::Ready } else { Phase::Dormant },
            generation: 0,
            since_ns: 0,
            launched_ns: 0,
            sent_bytes: 0,
            reply: Reply::new(plan),
        };
        let arrivals = || plan.profile.arrivals(number as u64, plan.threads as u64);
        Ok(Self {
            plan,
            number,
            address: address.into(),
            epoll,
            timer,
            connections: std::iter::repeat_with(connection).take(count).collect(),
            ready: (0..if open { count as u32 } else { 0 }).collect(),
            resting: BinaryHeap::new(),
            arrivals: open.then(|| arrivals().peekable()),
            allowed: count as u32,
            quota: plan
                .requests
                .map_or(u64::MAX, |all| plan.share(all, number)),
            connecting: 0,
            busy: 0,
            reader: Reader::default(),
            scratch: vec![0; SCRATCH_BYTES],
            interval: Interval::default(),
            begin_ns: 0,
            end_ns: u64::MAX,
            stopping: false,
        })
    }

    /// Works from `begin_ns` (monotonic) until the plan is carried out or `stop` is set.
    pub(super) fn run(
        mut self,
        begin_ns: u64,
        stop: &AtomicBool,
        messages: &Sender<Message>,
    ) -> io::Result<Ending> {
        self.begin_ns = begin_ns;
        self.end_ns = begin_ns.saturating_add(self.plan.profile.length().as_nanos() as u64);
        let patience_ns = self
            .end_ns
            .saturating_add(self.plan.timeout.as_nanos() as u64);
        let mut tick = 0;
        let mut housekeeping_ns = begin_ns;
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            let now = monotonic_ns();
            if now >= housekeeping_ns {
                self.keep_house(now);
                housekeeping_ns = now + HOUSEKEEPING_NS;
            }
            while now >= begin_ns + (tick + 1) * TICK_NS {
                self.report(tick as usize, messages);
                tick += 1;
            }
            self.stopping = now >= self.end_ns || self.quota == 0;
            self.launch_what_is_due(now);
            let done = self.busy == 0 && (self.stopping || self.is_exhausted());
            if done || now >= patience_ns || stop.load(Ordering::Relaxed) {
                break;
            }
            let chore_ns = housekeeping_ns.min(begin_ns + (tick + 1) * TICK_NS);
            self.wait(&mut events, chore_ns)?;
            for event in events.iter() {
                self.handle(event);
            }
        }
        // A second that has only begun is told when something happened in it.
        if self.interval.tally != Tally::default() {
            self.report(tick as usize, messages);
        }
        let now = monotonic_ns();
        Ok(Ending {
            unfinished: self.busy as u64,
            unsent: self.unsent(now.min(self.end_ns)),
            elapsed_ns: now.saturating_sub(begin_ns),
        })
    }

    /// Waits for events until a launch is due, or until `chore_ns` at most. Launches are waited for
    /// precisely; chores can be a millisecond late.
    fn wait(&mut self, events: &mut Events, chore_ns: u64) -> io::Result<()> {
        const MS_NS: u64 = 1_000_000;
        let launch_ns = self.next_launch_ns();
        let now = monotonic_ns();
        let wait_ns = launch_ns.min(chore_ns).saturating_sub(now);
        let wait_ms = if launch_ns > chore_ns || wait_ns == 0 {
            wait_ns.div_ceil(MS_NS)
        } else if wait_ns < PRECISE_BELOW_NS {
            self.timer.set(Duration::from_nanos(wait_ns))?;
            PRECISE_BELOW_NS / MS_NS
        } else {
            // Rounded down: what is left is then waited for precisely.
            wait_ns / MS_NS
        };
        self.epoll.wait(events, Some(wait_ms as u32))
    }

    /// Gives away what has been counted in the second called `tick`.
    fn report(&mut self, tick: usize, messages: &Sender<Message>) {
        let interval = Box::new(std::mem::take(&mut self.interval));
        // Nobody listens any more only when the whole run is being given up.
        let _ = messages.send(Message::Interval(tick, interval));
    }

    /// Ends what took too long, and follows the profile's number of connections.
    fn keep_house(&mut self, now: u64) {
        let timeout_ns = self.plan.timeout.as_nanos() as u64;
        if self.arrivals.is_none() {
            let level = self.plan.profile.level(self.seconds_at(now)).round() as u64;
            let granted = self.plan.share(level, self.number);
            self.allowed = granted.min(self.connections.len() as u64) as u32;
        }
        for index in 0..self.connections.len() as u32 {
            let connection = &mut self.connections[index as usize];
            match connection.phase {
                Phase::Connecting | Phase::Talking
                    if now.saturating_sub(connection.launched_ns) > timeout_ns =>
                {
                    self.fail(index, Cause::Timeout, now);
                }
                Phase::Dormant if index < self.allowed => {
                    connection.phase = Phase::Ready;
                    self.ready.push_back(index);
                }
                _ => {}
            }
        }
    }

    fn seconds_at(&self, now: u64) -> f64 {
        now.saturating_sub(self.begin_ns) as f64 / SECOND_NS
    }

    /// The moment of the next arrival, when there is one to come.
    fn next_arrival_ns(&mut self) -> Option<u64> {
        let seconds = *self.arrivals.as_mut()?.peek()?;
        Some(self.begin_ns + (seconds * SECOND_NS) as u64)
    }

    /// When a request must be launched next, as far as that depends on time alone.
    fn next_launch_ns(&mut self) -> u64 {
        if self.stopping {
            return u64::MAX;
        }
        let rested = self.resting.peek().map(|Reverse((until, _))| *until);
        let arrival = match self.ready.is_empty() || self.connecting >= CONNECTING_MAX {
            true => None,
            false => self.next_arrival_ns(),
        };
        [rested, arrival, Some(self.end_ns)]
            .into_iter()
            .flatten()
            .fold(u64::MAX, u64::min)
    }

    /// An open loop without arrivals to come has nothing more to do.
    fn is_exhausted(&mut self) -> bool {
        self.arrivals.is_some() && self.next_arrival_ns().is_none()
    }

    /// Arrivals meant to be before `until` that have not been launched.
    fn unsent(&mut self, until: u64) -> u64 {
        let seconds = self.seconds_at(until);
        let most = usize::try_from(self.quota).map_or(UNSENT_MAX, |quota| quota.min(UNSENT_MAX));
        let arrivals = self.arrivals.take().into_iter().flatten();
        arrivals.take(most).take_while(|&at| at < seconds).count() as u64
    }

    fn launch_what_is_due(&mut self, now: u64) {
        while let Some(&Reverse((until, index))) = self.resting.peek()
            && until <= now
        {
            self.resting.pop();
            self.make_ready(index);
        }
        while !self.stopping && self.quota > 0 {
            let since = match self.arrivals {
                None => now,
                Some(_) => match self.next_arrival_ns() {
                    Some(arrival) if arrival <= now => arrival,
                    _ => return,
                },
            };
            let Some(&index) = self.ready.front() else {
                return;
            };
            let has_socket = self.connections[index as usize].socket.is_some();
            if !has_socket && self.connecting >= CONNECTING_MAX {
                return;
            }
            self.ready.pop_front();
            if index >= self.allowed {
                let connection = &mut self.connections[index as usize];
                connection.socket = None;
                connection.phase = Phase::Dormant;
                continue;
            }
            if let Some(arrivals) = &mut self.arrivals {
                arrivals.next();
            }
            self.quota -= 1;
            self.launch(index, since, monotonic_ns());
        }
    }

    /// Sends a request on a connection, after making one when there is none.
    fn launch(&mut self, index: u32, since_ns: u64, now: u64) {
        self.busy += 1;
        let connection = &mut self.connections[index as usize];
        connection.launched_ns = now;
        connection.since_ns = if self.arrivals.is_some() {
            since_ns
        } else {
            now
        };
        connection.sent_bytes = 0;
        connection.reply.begin();
        if connection.socket.is_some() {
            connection.phase = Phase::Talking;
            self.send(index);
            return;
        }
        connection.phase = Phase::Connecting;
        connection.generation = connection.generation.wrapping_add(1);
        self.connecting += 1;
        let token = u64::from(connection.generation) << 32 | u64::from(index);
        let made = connect(&self.address, &ConnectOptions::default()).and_then(|made| {
            self.epoll.add_stream(made.socket.as_fd(), token)?;
            Ok(made)
        });
        match made {
            Ok(made) => {
                connection.socket = Some(made.socket);
                if made.done {
                    self.connected(index);
                }
            }
            Err(_) => self.fail(index, Cause::Connect, now),
        }
    }

    fn connected(&mut self, index: u32) {
        let now = monotonic_ns();
        let connection = &mut self.connections[index as usize];
        connection.phase = Phase::Talking;
        self.connecting -= 1;
        self.interval
            .connect
            .record_ns(now - connection.launched_ns);
        // Someone who connects for one request waits for both; who stays waits for answers only.
        if self.arrivals.is_none() && !self.plan.close {
            connection.since_ns = now;
        }
        self.send(index);
    }

    fn handle(&mut self, event: Event) {
        let index = event.token as u32;
        let Some(connection) = self.connections.get_mut(index as usize) else {
            return;
        };
        let Some(socket) = &connection.socket else {
            return;
        };
        if connection.generation != (event.token >> 32) as u32 {
            return;
        }
        let closed = Readiness::READ_CLOSED.with(Readiness::HUNG_UP);
        match connection.phase {
            Phase::Connecting => {
                if event.ready.intersects(Readiness::WRITE) {
                    match socket::take_error(socket.as_fd()) {
                        Ok(()) => self.connected(index),
                        Err(_) => self.fail(index, Cause::Connect, monotonic_ns()),
                    }
                }
            }
            Phase::Talking => {
                let unsent = connection.sent_bytes < self.plan.request.len();
                if unsent && event.ready.intersects(Readiness::WRITE) {
                    self.send(index);
                }
                if event.ready.intersects(Readiness::READ) {
                    self.receive(index, event.ready.intersects(closed));
                }
            }
            // Nothing was asked: the server has closed the connection, or talks out of turn.
            Phase::Dormant | Phase::Ready | Phase::Resting => {
                if event.ready.intersects(Readiness::READ.with(closed)) {
                    connection.socket = None;
                }
            }
        }
    }

    fn send(&mut self, index: u32) {
        let connection = &mut self.connections[index as usize];
        let Some(socket) = &connection.socket else {
            return;
        };
        while connection.sent_bytes < self.plan.request.len() {
            let rest = &self.plan.request[connection.sent_bytes..];
            match socket::send(socket.as_fd(), rest) {
                Ok(Some(count)) => {
                    connection.sent_bytes += count;
                    self.interval.tally.sent_bytes += count as u64;
                }
                Ok(None) => return,
                // The answer may have come before the connection broke: receiving will tell.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return,
                Err(_) => return self.fail(index, Cause::Reset, monotonic_ns()),
            }
        }
    }

    fn receive(&mut self, index: u32, closed: bool) {
        loop {
            let connection = &mut self.connections[index as usize];
            let (Phase::Talking, Some(socket)) = (connection.phase, &connection.socket) else {
                return;
            };
            let count = match socket::receive(socket.as_fd(), &mut self.scratch) {
                Ok(None) => return,
                Ok(Some(count)) => count,
                Err(_) => return self.fail(index, Cause::Reset, monotonic_ns()),
            };
            self.interval.tally.received_bytes += count as u64;
            let bytes = &mut self.scratch[..count];
            let step = match count {
                0 => connection.reply.end(),
                _ => connection.reply.receive(self.plan, &mut self.reader, bytes),
            };
            match step {
                Ok(Step::More) => {}
                Ok(Step::Done { status, reusable }) => {
                    let sent = connection.sent_bytes == self.plan.request.len();
                    return self.finish(index, status, reusable && sent && count > 0);
                }
                Err(cause) => return self.fail(index, cause, monotonic_ns()),
            }
            // A short read means that nothing is left, unless an end follows that has been announced.
            if count < self.scratch.len() && !closed {
                return;
            }
        }
    }

    /// An answer is complete.
    fn finish(&mut self, index: u32, status: u16, reusable: bool) {
        let now = monotonic_ns();
        let connection = &mut self.connections[index as usize];
        let latency_ns = now.saturating_sub(connection.since_ns);
        self.interval.answer(status, latency_ns);
        if self.plan.count_by.is_some() {
            let server = connection.reply.server();
            self.interval.answer_of(server, status, latency_ns);
        }
        if !reusable || self.plan.close {
            connection.socket = None;
        }
        self.busy -= 1;
        let pause_until = connection.launched_ns.saturating_add(self.plan.pause_ns);
        if pause_until > now {
            self.rest(index, pause_until);
        } else {
            self.make_ready(index);
        }
    }

    /// A request has come to nothing.
    fn fail(&mut self, index: u32, cause: Cause, now: u64) {
        let connection = &mut self.connections[index as usize];
        if connection.phase == Phase::Connecting {
            self.connecting -= 1;
        }
        connection.socket = None;
        self.busy -= 1;
        self.interval.tally.failure(cause);
        // An open loop must not rest: its next arrival decides when to ask again.
        if self.arrivals.is_none() && cause == Cause::Connect {
            self.rest(index, now + REST_NS);
        } else {
            self.make_ready(index);
        }
    }

    fn rest(&mut self, index: u32, until: u64) {
        self.connections[index as usize].phase = Phase::Resting;
        self.resting.push(Reverse((until, index)));
    }

    fn make_ready(&mut self, index: u32) {
        self.connections[index as usize].phase = Phase::Ready;
        self.ready.push_back(index);
    }
}
