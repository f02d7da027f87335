//! The state of a simulated world, and the rules by which it changes.
//!
//! A connection is two halves. What one half does reaches the other after a delay drawn by chance, in order within a
//! direction, in any order between connections:
//!
//! ```text
//!   half A ── send ──► on its way ── delay ──► inbox ── receive ──► half B
//!          ◄──────────── room again ── delay ──────────┘
//! ```
//!
//! Events are edges, as with epoll: one per change, merged until they are taken.

mod connecting;
mod traffic;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;

use plimsoll_sys::address::Address;
use plimsoll_sys::epoll::{Event, Readiness};

use super::chance::{Chance, Weather};

/// Time starts here rather than at 0, so that subtracting from it shows up in tests.
const START_NS: u64 = 1_000_000_000;

/// Happenings remembered for [`World::recent`].
const RECENT_MAX: usize = 256;

const FIRST_EPHEMERAL_PORT: u16 = 32_768;

/// Something that has happened, for the eyes of whoever looks for the cause of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When, in nanoseconds of the simulation.
    pub now_ns: u64,
    pub what: &'static str,
    /// The virtual socket.
    pub socket: u32,
    /// Bytes, or another number that belongs to it.
    pub count: usize,
}

#[derive(Debug)]
struct Half {
    peer: u32,
    established: bool,
    /// Bytes that have arrived.
    inbox: VecDeque<u8>,
    /// Bytes from the peer on their way here.
    coming: usize,
    /// When the latest thing on its way here arrives; nothing overtakes it.
    last_arrival_ns: u64,
    /// The peer has said that it sends no more.
    ended: bool,
    /// We have said that we send no more.
    shut: bool,
    /// The connection is broken; the error is told once.
    broken: bool,
    error: Option<io::ErrorKind>,
    /// A write has found no room, so more room is an event.
    starved: bool,
    /// Bytes were sent to a peer that has closed; its reset is on the way.
    doomed: bool,
    reset_on_close: bool,
    local: Address,
    remote: Address,
}

#[derive(Debug)]
struct Listening {
    address: Address,
    backlog: usize,
    waiting: VecDeque<u32>,
}

#[derive(Debug)]
enum Kind {
    Half(Half),
    Listening(Listening),
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    /// What the reactor calls it, once it watches.
    token: Option<u64>,
    /// Changes not reported yet.
    edges: Readiness,
}

/// What is on its way.
#[derive(Debug)]
enum Action {
    Arrive { client: u32, address: Address },
    Establish { client: u32, server: u32 },
    Fail { to: u32, error: io::ErrorKind },
    Deliver { from: u32, to: u32, bytes: Vec<u8> },
    End { to: u32 },
    Room { to: u32 },
    More { to: u32 },
}

pub(super) struct World {
    now_ns: u64,
    weather: Weather,
    chance: Chance,
    nodes: BTreeMap<u32, Node>,
    next_node: u32,
    next_port: u16,
    listeners: HashMap<Address, Vec<u32>>,
    /// By time, then by order of scheduling.
    agenda: BTreeMap<(u64, u64), Action>,
    next_action: u64,
    /// Nodes with edges and a watcher.
    changed: Vec<u32>,
    recent: VecDeque<Happening>,
    digest: u64,
}

impl World {
    pub(super) fn new(seed: u64, weather: Weather) -> Self {
        Self {
            now_ns: START_NS,
            weather,
            chance: Chance::new(seed),
            nodes: BTreeMap::new(),
            next_node: 0,
            next_port: FIRST_EPHEMERAL_PORT,
            listeners: HashMap::new(),
            agenda: BTreeMap::new(),
            next_action: 0,
            changed: Vec::new(),
            recent: VecDeque::new(),
            digest: seed,
        }
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.now_ns
    }

    pub(super) fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    pub(super) fn fork_chance(&mut self) -> Chance {
        Chance::new(self.chance.number())
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    pub(super) fn recent(&self) -> Vec<Happening> {
        self.recent.iter().copied().collect()
    }

    pub(super) fn open_sockets(&self) -> usize {
        self.nodes.len()
    }

    fn note(&mut self, what: &'static str, socket: u32, count: usize) {
        let happening = Happening {
            now_ns: self.now_ns,
            what,
            socket,
            count,
        };
        // FNV-1a over everything that was noted.
        let numbers = [self.now_ns, u64::from(socket), count as u64];
        let bytes = what
            .bytes()
            .chain(numbers.into_iter().flat_map(u64::to_le_bytes));
        self.digest = bytes.fold(self.digest ^ 0xcbf2_9ce4_8422_2325, |digest, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(happening);
    }

    // ---- Time

    /// Time passes with work.
    pub(super) fn toil(&mut self, polls: usize, units: u32) {
        let (poll_ns, unit_ns) = (self.weather.poll_ns, self.weather.unit_ns);
        let ns = polls as u64 * poll_ns + u64::from(units) * unit_ns;
        self.pass_until(self.now_ns + ns);
    }

    /// Moves the clock on, never back.
    pub(super) fn pass_until(&mut self, ns: u64) {
        self.now_ns = self.now_ns.max(ns);
    }

    /// Lets the next thing on its way arrive, unless that is later than `until_ns`. `false`: nothing arrived.
    pub(super) fn step(&mut self, until_ns: Option<u64>) -> bool {
        let Some(entry) = self.agenda.first_entry() else {
            return false;
        };
        let at_ns = entry.key().0;
        if until_ns.is_some_and(|until_ns| at_ns > until_ns) {
            return false;
        }
        let action = entry.remove();
        self.pass_until(at_ns);
        self.perform(action);
        true
    }

    /// Lets everything arrive that was to arrive by now.
    pub(super) fn catch_up(&mut self) {
        while self.step(Some(self.now_ns)) {}
    }

    fn delay_ns(&mut self) -> u64 {
        let bound = self.weather.delay_ns_max.max(1);
        1 + self.chance.below(bound)
    }

    fn schedule_at(&mut self, at_ns: u64, action: Action) {
        self.next_action += 1;
        self.agenda.insert((at_ns, self.next_action), action);
    }

    fn schedule(&mut self, action: Action) {
        let at_ns = self.now_ns + self.delay_ns();
        self.schedule_at(at_ns, action);
    }

    /// Schedules what must not overtake other things on their way to `to`.
    fn schedule_in_order(&mut self, to: u32, action: Action) {
        let at_ns = self.now_ns + self.delay_ns();
        let Some(half) = self.half_mut(to) else {
            return;
        };
        let at_ns = at_ns.max(half.last_arrival_ns);
        half.last_arrival_ns = at_ns;
        self.schedule_at(at_ns, action);
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Arrive { client, address } => self.arrive(client, address),
            Action::Establish { client, server } => self.establish(client, server),
            Action::Fail { to, error } => self.fail(to, error),
            Action::Deliver { from, to, bytes } => self.arrived(from, to, &bytes),
            Action::End { to } => self.ended(to),
            Action::Room { to } => self.edge(to, Readiness::WRITE),
            Action::More { to } => self.edge(to, Readiness::READ),
        }
    }

    // ---- Events

    /// Reports changes of a socket from now on, its present state first.
    pub(super) fn watch(&mut self, id: u32, token: u64) -> io::Result<()> {
        let level = self.level(id);
        let node = self.nodes.get_mut(&id).ok_or(io::ErrorKind::InvalidInput)?;
        node.token = Some(token);
        self.edge(id, level);
        Ok(())
    }

    pub(super) fn unwatch(&mut self, id: u32) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.token = None;
        }
    }

    /// The changes to be reported now, in any order; some stay for later.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        let mut changed = std::mem::take(&mut self.changed);
        self.chance.shuffle(&mut changed);
        let mut events = Vec::new();
        for id in changed {
            let Some(node) = self.nodes.get_mut(&id) else {
                continue;
            };
            if !events.is_empty() && self.chance.happens(self.weather.late_event) {
                self.changed.push(id);
                continue;
            }
            let ready = std::mem::take(&mut node.edges);
            events.extend(
                node.token
                    .filter(|_| !ready.is_empty())
                    .map(|token| Event { token, ready }),
            );
        }
        events
    }

    fn edge(&mut self, id: u32, bits: Readiness) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        if node.token.is_none() || bits.is_empty() {
            return;
        }
        if node.edges.is_empty() && !self.changed.contains(&id) {
            self.changed.push(id);
        }
        node.edges = node.edges.with(bits);
    }

    /// What a socket is ready for, as poll(2) would say.
    fn level(&self, id: u32) -> Readiness {
        match self.nodes.get(&id).map(|node| &node.kind) {
            Some(Kind::Listening(listening)) if !listening.waiting.is_empty() => Readiness::READ,
            Some(Kind::Half(half)) => {
                let mut level = Readiness::NONE;
                if !half.inbox.is_empty() || half.ended {
                    level = level.with(Readiness::READ);
                }
                if half.ended {
                    level = level.with(Readiness::READ_CLOSED);
                }
                if half.established && self.room(half.peer) > 0 {
                    level = level.with(Readiness::WRITE);
                }
                if half.broken || (half.ended && half.shut) {
                    level = level.with(OVER);
                }
                level
            }
            _ => Readiness::NONE,
        }
    }

    // ---- Sockets

    fn insert(&mut self, kind: Kind) -> u32 {
        let id = self.next_node;
        self.next_node += 1;
        self.nodes.insert(
            id,
            Node {
                kind,
                token: None,
                edges: Readiness::NONE,
            },
        );
        id
    }

    fn half(&self, id: u32) -> io::Result<&Half> {
        match self.nodes.get(&id).map(|node| &node.kind) {
            Some(Kind::Half(half)) => Ok(half),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn half_mut(&mut self, id: u32) -> Option<&mut Half> {
        match self.nodes.get_mut(&id).map(|node| &mut node.kind) {
            Some(Kind::Half(half)) => Some(half),
            _ => None,
        }
    }

    pub(super) fn local_address(&self, id: u32) -> io::Result<Address> {
        match self.nodes.get(&id).map(|node| &node.kind) {
            Some(Kind::Half(half)) => Ok(half.local.clone()),
            Some(Kind::Listening(listening)) => Ok(listening.address.clone()),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(super) fn peer_address(&self, id: u32) -> io::Result<Address> {
        Ok(self.half(id)?.remote.clone())
    }
}

/// How the end of a connection in both directions shows.
const OVER: Readiness = Readiness::READ
    .with(Readiness::WRITE)
    .with(Readiness::READ_CLOSED)
    .with(Readiness::HUNG_UP);

impl Half {
    /// A half that waits to be connected.
    fn new(local: Address, remote: Address) -> Self {
        Self {
            peer: u32::MAX,
            established: false,
            inbox: VecDeque::new(),
            coming: 0,
            last_arrival_ns: 0,
            ended: false,
            shut: false,
            broken: false,
            error: None,
            starved: false,
            doomed: false,
            reset_on_close: false,
            local,
            remote,
        }
    }
}
