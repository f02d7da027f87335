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

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use plimsoll_sys::address::Address;
use plimsoll_sys::connect::ConnectOptions;
use plimsoll_sys::epoll::{Event, Readiness};
use plimsoll_sys::listen::ListenOptions;

use super::chance::{Chance, Weather};

/// Time starts here rather than at 0, so that subtracting from it shows up in tests.
const START_NS: u64 = 1_000_000_000;

/// A client whose connection did not fit into the backlog tries again after this.
const BACKLOG_RETRY_NS: u64 = 1_000_000_000;

/// Happenings remembered for [`World::recent`].
const RECENT_MAX: usize = 256;

const FIRST_EPHEMERAL_PORT: u16 = 32_768;

/// `EMFILE`: too many open files in the process.
const EMFILE: i32 = 24;

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

    // ---- Listening and connecting

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

    fn ephemeral_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL_PORT);
        port
    }

    pub(super) fn listen(&mut self, address: &Address, options: &ListenOptions) -> io::Result<u32> {
        let mut address = address.clone();
        if let Address::Inet(inet) = &mut address
            && inet.port() == 0
        {
            inet.set_port(self.ephemeral_port());
        }
        if self.listeners.contains_key(&address) && !options.reuse_port {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let backlog = options.backlog.max(1) as usize;
        let listening = Listening {
            address: address.clone(),
            backlog,
            waiting: VecDeque::new(),
        };
        let id = self.insert(Kind::Listening(listening));
        self.listeners.entry(address).or_default().push(id);
        self.note("listen", id, backlog);
        Ok(id)
    }

    pub(super) fn accept(&mut self, id: u32) -> io::Result<Option<(u32, Address)>> {
        let waiting = match self.nodes.get_mut(&id).map(|node| &mut node.kind) {
            Some(Kind::Listening(listening)) => &mut listening.waiting,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        if waiting.is_empty() {
            return Ok(None);
        }
        if self.chance.happens(self.weather.exhausted) {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        let Some(server) = waiting.pop_front() else {
            return Ok(None);
        };
        self.note("accept", server, 0);
        let remote = self.half(server)?.remote.clone();
        Ok(Some((server, remote)))
    }

    pub(super) fn connect(
        &mut self,
        address: &Address,
        options: &ConnectOptions,
    ) -> io::Result<u32> {
        if self.chance.happens(self.weather.exhausted) {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        let local = self.source(address, options);
        let client = self.insert(Kind::Half(Half::new(local, address.clone())));
        self.note("connect", client, 0);
        if self.chance.happens(self.weather.refused) {
            self.schedule(Action::Fail {
                to: client,
                error: io::ErrorKind::ConnectionRefused,
            });
        } else if !self.chance.happens(self.weather.unanswered) {
            self.schedule(Action::Arrive {
                client,
                address: address.clone(),
            });
        }
        Ok(client)
    }

    fn source(&mut self, target: &Address, options: &ConnectOptions) -> Address {
        if target.is_unix() {
            return Address::Unnamed;
        }
        let wished = options.source.as_ref().and_then(Address::inet);
        let ip = wished.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |inet| inet.ip());
        let port = match wished.map_or(0, |inet| inet.port()) {
            0 => self.ephemeral_port(),
            port => port,
        };
        Address::Inet(SocketAddr::new(ip, port))
    }

    fn arrive(&mut self, client: u32, address: Address) {
        let Ok(half) = self.half(client) else { return };
        let remote = half.local.clone();
        let Some(listener) = self.listener_at(&address) else {
            return self.schedule(Action::Fail {
                to: client,
                error: io::ErrorKind::ConnectionRefused,
            });
        };
        let Some(Kind::Listening(listening)) = self.nodes.get(&listener).map(|node| &node.kind)
        else {
            return;
        };
        if listening.waiting.len() >= listening.backlog {
            let at_ns = self.now_ns + BACKLOG_RETRY_NS;
            return self.schedule_at(at_ns, Action::Arrive { client, address });
        }
        let server = self.insert(Kind::Half(Half {
            peer: client,
            established: true,
            ..Half::new(address, remote)
        }));
        if let Some(half) = self.half_mut(client) {
            half.peer = server;
        }
        if let Some(Kind::Listening(listening)) =
            self.nodes.get_mut(&listener).map(|node| &mut node.kind)
        {
            listening.waiting.push_back(server);
        }
        self.note("arrive", server, client as usize);
        self.edge(listener, Readiness::READ);
        self.schedule_in_order(client, Action::Establish { client, server });
    }

    /// One of the listeners on this address, or on the wildcard with its port.
    fn listener_at(&mut self, address: &Address) -> Option<u32> {
        let wildcard = address
            .inet()
            .map(|inet| Address::Inet((Ipv4Addr::UNSPECIFIED, inet.port()).into()));
        let found = [Some(address.clone()), wildcard]
            .into_iter()
            .flatten()
            .find_map(|candidate| self.listeners.get(&candidate))?;
        let index = self.chance.below(found.len() as u64) as usize;
        found.get(index).copied()
    }

    fn establish(&mut self, client: u32, server: u32) {
        if let Some(half) = self.half_mut(client).filter(|half| !half.broken) {
            half.established = true;
            self.note("establish", client, server as usize);
            self.edge(client, Readiness::WRITE);
        }
    }

    // ---- Bytes

    /// How many bytes may be sent to `to` now.
    fn room(&self, to: u32) -> usize {
        let limit = self.weather.buffer_bytes.max(1);
        // Nobody there: the kernel takes the bytes and learns of that later.
        self.half(to).map_or(limit, |half| {
            limit.saturating_sub(half.inbox.len() + half.coming)
        })
    }

    /// All of `count`, or by chance less, but at least one.
    fn shortened(&mut self, count: usize, millionths: u32) -> usize {
        if count > 1 && self.chance.happens(millionths) {
            1 + self.chance.below(count as u64 - 1) as usize
        } else {
            count
        }
    }

    pub(super) fn send(&mut self, id: u32, bytes: &[u8]) -> io::Result<Option<usize>> {
        let half = self.half_mut(id).ok_or(io::ErrorKind::NotConnected)?;
        if let Some(error) = half.error.take() {
            return Err(error.into());
        }
        if half.broken || half.shut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !half.established || half.doomed {
            return Ok(None);
        }
        let peer = half.peer;
        if self.chance.happens(self.weather.reset) {
            self.note("storm", id, 0);
            self.schedule(Action::Fail {
                to: peer,
                error: io::ErrorKind::ConnectionReset,
            });
            self.schedule(Action::Fail {
                to: id,
                error: io::ErrorKind::ConnectionReset,
            });
        }
        let fits = bytes.len().min(self.room(peer));
        let taken = self.shortened(fits, self.weather.short_write);
        if taken < bytes.len() {
            self.starve(id, taken < fits);
        }
        if taken == 0 {
            return Ok(if bytes.is_empty() { Some(0) } else { None });
        }
        self.note("send", id, taken);
        match self.half_mut(peer) {
            Some(half) => {
                half.coming += taken;
                self.schedule_in_order(
                    peer,
                    Action::Deliver {
                        from: id,
                        to: peer,
                        bytes: bytes[..taken].to_vec(),
                    },
                );
            }
            None => self.doom(id),
        }
        Ok(Some(taken))
    }

    /// Bytes were sent to a peer that has closed: it answers with a reset.
    fn doom(&mut self, id: u32) {
        let Some(half) = self.half_mut(id) else {
            return;
        };
        if !std::mem::replace(&mut half.doomed, true) {
            self.schedule(Action::Fail {
                to: id,
                error: io::ErrorKind::ConnectionReset,
            });
        }
    }

    /// The writer must wait: until the peer reads, or, when there was room after all, a little.
    fn starve(&mut self, id: u32, room_left: bool) {
        if room_left {
            self.schedule(Action::Room { to: id });
        } else if let Some(half) = self.half_mut(id) {
            half.starved = true;
        }
    }

    fn arrived(&mut self, from: u32, to: u32, bytes: &[u8]) {
        let Some(half) = self.half_mut(to) else {
            return self.doom(from);
        };
        half.coming = half.coming.saturating_sub(bytes.len());
        if half.broken {
            return;
        }
        half.inbox.extend(bytes);
        self.note("deliver", to, bytes.len());
        self.edge(to, Readiness::READ);
    }

    pub(super) fn receive(&mut self, id: u32, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let available = match self.readable(id, buffer.len())? {
            Some(0) => return Ok(Some(0)),
            Some(available) => available,
            None => return Ok(None),
        };
        let count = self.shortened(available, self.weather.short_read);
        let Some(half) = self.half_mut(id) else {
            return Ok(None);
        };
        for (byte, from) in buffer.iter_mut().zip(half.inbox.drain(..count)) {
            *byte = from;
        }
        let (peer, more) = (half.peer, !half.inbox.is_empty());
        self.note("receive", id, count);
        // A short read says that nothing more is there: what is left counts as arriving later.
        if more && count < buffer.len() {
            self.schedule(Action::More { to: id });
        }
        if let Some(writer) = self.half_mut(peer)
            && std::mem::take(&mut writer.starved)
        {
            self.schedule(Action::Room { to: peer });
        }
        Ok(Some(count))
    }

    pub(super) fn peek(&mut self, id: u32, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let available = self.readable(id, buffer.len())?;
        for (byte, from) in buffer.iter_mut().zip(&self.half(id)?.inbox) {
            *byte = *from;
        }
        Ok(available)
    }

    /// Bytes that fit into a buffer of `room`; `Some(0)` at the end, `None` while there are none.
    fn readable(&mut self, id: u32, room: usize) -> io::Result<Option<usize>> {
        let half = self.half_mut(id).ok_or(io::ErrorKind::NotConnected)?;
        if !half.inbox.is_empty() {
            return Ok(Some(half.inbox.len().min(room)));
        }
        if let Some(error) = half.error.take() {
            return Err(error.into());
        }
        Ok(if half.ended || half.broken {
            Some(0)
        } else {
            None
        })
    }

    // ---- Ending

    pub(super) fn shutdown_write(&mut self, id: u32) -> io::Result<()> {
        let half = self.half_mut(id).ok_or(io::ErrorKind::NotConnected)?;
        if half.broken || !half.established {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if std::mem::replace(&mut half.shut, true) {
            return Ok(());
        }
        let (peer, over) = (half.peer, half.ended);
        self.note("shutdown", id, 0);
        self.schedule_in_order(peer, Action::End { to: peer });
        if over {
            self.edge(id, OVER);
        }
        Ok(())
    }

    fn ended(&mut self, to: u32) {
        let Some(half) = self.half_mut(to).filter(|half| !half.broken) else {
            return;
        };
        half.ended = true;
        let over = half.shut;
        self.note("end", to, 0);
        self.edge(to, Readiness::READ.with(Readiness::READ_CLOSED));
        if over {
            self.edge(to, OVER);
        }
    }

    fn fail(&mut self, to: u32, error: io::ErrorKind) {
        let Some(half) = self.half_mut(to).filter(|half| !half.broken) else {
            return;
        };
        half.broken = true;
        half.error = Some(error);
        self.note("fail", to, 0);
        self.edge(to, OVER);
    }

    pub(super) fn close(&mut self, id: u32) {
        let Some(node) = self.nodes.remove(&id) else {
            return;
        };
        self.note("close", id, 0);
        match node.kind {
            Kind::Half(half) => self.close_half(&half),
            Kind::Listening(listening) => self.close_listener(id, listening),
        }
    }

    fn close_half(&mut self, half: &Half) {
        if half.broken {
            return;
        }
        // Closing with bytes unread tells the peer so by a reset, as TCP does.
        if half.reset_on_close || !half.inbox.is_empty() {
            self.schedule(Action::Fail {
                to: half.peer,
                error: io::ErrorKind::ConnectionReset,
            });
        } else if !half.shut {
            self.schedule_in_order(half.peer, Action::End { to: half.peer });
        }
    }

    fn close_listener(&mut self, id: u32, listening: Listening) {
        if let Some(others) = self.listeners.get_mut(&listening.address) {
            others.retain(|&other| other != id);
            if others.is_empty() {
                self.listeners.remove(&listening.address);
            }
        }
        for server in listening.waiting {
            if let Some(half) = self.half_mut(server) {
                half.reset_on_close = true;
            }
            self.close(server);
        }
    }

    pub(super) fn take_error(&mut self, id: u32) -> io::Result<()> {
        let half = self.half_mut(id).ok_or(io::ErrorKind::NotConnected)?;
        half.error.take().map_or(Ok(()), |error| Err(error.into()))
    }

    pub(super) fn set_reset_on_close(&mut self, id: u32) -> io::Result<()> {
        self.half_mut(id)
            .ok_or(io::ErrorKind::NotConnected)?
            .reset_on_close = true;
        Ok(())
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
