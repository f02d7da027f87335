//! What changes while a plane lives: shared atomics that outlive it, found again by name.
//!
//! Every field may be read by any worker at any time; none is guarded by a lock. Slots change by compare-and-swap
//! in one total order with the counts of who waits; all else is relaxed, because a choice made on a count that is
//! a microsecond old is as good as any.
//!
//! What is absent: queues of waiting requests ([`crate::queue`]), traffic counters, health histories.

use std::net::IpAddr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::availability::Availability;
use crate::model;
use crate::outlier::Standing;
use crate::passive::{Failures, Observation, Rule};

/// A server that is not being ramped up receives all of its weight: sixteen sixteenths.
pub const RAMP_FULL: u32 = 16;

/// Time after which an old response time has lost 63 % of its say, in nanoseconds.
const RESPONSE_DECAY_NS: f32 = 10e9;

/// What a server is taken to need while its first answers are still awaited, in nanoseconds.
const RESPONSE_UNKNOWN_NS: f32 = 1e9;

/// Run-time state of one backend, shared by all workers.
#[derive(Debug, Default)]
pub struct BackendLive {
    /// Exchanges and tunnels in this backend, waiting ones included. Kept only while [`Self::counts`] is on.
    current: AtomicU32,
    /// Exchanges and tunnels now at a server. Kept only while [`Self::counts`] is on.
    served: AtomicU32,
    /// Requests in the backend's own queue, which wait for whichever server is free first.
    pub queued: AtomicU32,
    /// `fullconn`: at so many exchanges servers take their full `maxconn`; 0: `minconn` has no effect.
    fullconn: AtomicU32,
    counting: AtomicBool,
    /// Rules do not lead here (`be-unpublished`, `unpublish backend`).
    unpublished: AtomicBool,
    generation: AtomicU64,
    /// How often and how long it had no server to offer.
    pub availability: Availability,
}

/// A place in a backend, given back through [`BackendLive::leave`].
#[derive(Debug)]
#[must_use = "a visit that is not given back to BackendLive::leave is counted for ever"]
pub struct Visit {
    counted: bool,
}

impl BackendLive {
    /// State for a backend that has just been configured.
    pub fn new(backend: &model::Backend) -> Self {
        let live = Self::default();
        live.configure(backend);
        live.unpublished.store(backend.unpublished, Relaxed);
        live
    }

    /// Whether content switching may lead here, as far as operators decide it.
    pub fn is_published(&self) -> bool {
        !self.unpublished.load(Relaxed)
    }

    pub fn set_published(&self, published: bool) {
        self.unpublished.store(!published, Relaxed);
    }

    /// Adopts what a new configuration says; counts go on.
    pub fn configure(&self, backend: &model::Backend) {
        let dynamic = backend
            .servers
            .iter()
            .any(|server| server.minconn.is_some());
        self.fullconn.store(backend.fullconn.unwrap_or(0), Relaxed);
        self.counting
            .store(dynamic || backend.hash_balance_factor > 0, Relaxed);
        self.touch();
    }

    /// Adopts what an edit of the configuration changed; what was set at run time stays otherwise.
    pub(crate) fn reconfigure(&self, before: &model::Backend, after: &model::Backend) {
        let fullconn = self.fullconn();
        self.configure(after);
        if before.unpublished != after.unpublished {
            self.set_published(!after.unpublished);
        }
        if before.fullconn == after.fullconn {
            self.set_fullconn(fullconn);
        }
    }

    /// Whether anything in this backend looks at backend-wide counts: `minconn` or `hash-balance-factor`.
    ///
    /// Two more shared cache lines per request would be wasted on all others.
    pub fn counts(&self) -> bool {
        self.counting.load(Relaxed)
    }

    /// An exchange has been directed to this backend.
    pub fn enter(&self) -> Visit {
        let counted = self.counts();
        if counted {
            self.current.fetch_add(1, Relaxed);
        }
        Visit { counted }
    }

    /// It has ended, or gone to another backend.
    pub fn leave(&self, visit: Visit) {
        if visit.counted {
            self.current.fetch_sub(1, Relaxed);
        }
    }

    /// Exchanges in this backend while [`Self::counts`] is on, otherwise 0.
    pub fn current(&self) -> u32 {
        self.current.load(Relaxed)
    }

    /// Exchanges now at servers while [`Self::counts`] is on, otherwise 0.
    pub fn served(&self) -> u32 {
        self.served.load(Relaxed)
    }

    /// `fullconn`, 0 when there is none.
    pub fn fullconn(&self) -> u32 {
        self.fullconn.load(Relaxed)
    }

    pub fn set_fullconn(&self, fullconn: u32) {
        self.fullconn.store(fullconn, Relaxed);
    }

    /// Rises with every change of a weight or a state: whoever holds an arrangement made at an older
    /// generation should make a new one.
    pub fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    fn touch(&self) {
        self.generation.fetch_add(1, Release);
    }
}

/// Why a server takes no new requests; any combination may hold at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerState(u32);

impl ServerState {
    pub const UP: Self = Self(0);
    /// Health checks failed, or an operator said so.
    pub const DOWN: Self = Self(1);
    /// Finishes what it has; persistence may still bring it requests.
    pub const DRAIN: Self = Self(1 << 1);
    /// Out of service, by configuration or by an operator.
    pub const MAINTENANCE: Self = Self(1 << 2);
    /// Its name does not resolve.
    pub const UNRESOLVED: Self = Self(1 << 3);
    /// Its health checks ask for no new requests (`http-check disable-on-404`).
    pub const STOPPING: Self = Self(1 << 4);
    /// Its traffic failed too often, and it is left alone for a while (`on-error suspend`).
    pub const SUSPENDED: Self = Self(1 << 5);
    /// It is far slower than its peers (`option outlier-ejection`).
    pub const EJECTED: Self = Self(1 << 6);
    /// The server that it tracks is out of service, or finishes what it has.
    pub const INHERITED_MAINTENANCE: Self = Self(1 << 7);
    pub const INHERITED_DRAIN: Self = Self(1 << 8);

    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it is out of service, for itself or with the server that it tracks.
    pub fn is_maintained(self) -> bool {
        self.0 & (Self::MAINTENANCE.0 | Self::INHERITED_MAINTENANCE.0) != 0
    }

    /// Whether it finishes what it has, for itself or with the server that it tracks.
    pub fn is_draining(self) -> bool {
        self.0 & (Self::DRAIN.0 | Self::INHERITED_DRAIN.0) != 0
    }

    /// Neither down nor out of service, and it has an address.
    pub fn is_in(self) -> bool {
        !self.contains(Self::DOWN) && !self.contains(Self::UNRESOLVED) && !self.is_maintained()
    }

    /// Whether clients that a cookie leads there stay with it: also while it is drained, but not while it is left alone
    /// because its traffic failed or it is slow.
    pub fn keeps_clients(self) -> bool {
        self.is_in() && !self.contains(Self::SUSPENDED) && !self.contains(Self::EJECTED)
    }

    /// Whether new requests that no persistence binds may go there.
    pub fn is_usable(self) -> bool {
        self == Self::UP
    }
}

/// What operators have changed of a server's checks at run time; what is absent is as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probing {
    pub check_paused: bool,
    pub agent_paused: bool,
    pub check_address: Option<IpAddr>,
    pub check_port: Option<u16>,
    pub agent_address: Option<IpAddr>,
    pub agent_port: Option<u16>,
    pub agent_send: Option<Vec<u8>>,
    /// What the agent is to be taken to have said (`set server … agent up|down`), until that is heeded.
    pub agent_up: Option<bool>,
}

/// Run-time state of one server, shared by all workers.
///
/// It has a cache line of its own, since every worker writes the counts for every request.
#[derive(Debug)]
#[repr(align(64))]
pub struct ServerLive {
    /// Exchanges or tunnels now served (`scur`). Change it through [`Self::take`] and [`Self::release`].
    pub current: AtomicU32,
    /// Requests waiting for a slot of this server.
    pub queued: AtomicU32,
    maxconn: AtomicU32,
    minconn: AtomicU32,
    maxqueue: AtomicU32,
    weight: AtomicU32,
    ramp: AtomicU32,
    state: AtomicU32,
    /// A moving average: `f32` nanoseconds above, milliseconds of the last update below.
    response: AtomicU64,
    /// When the state last changed, in seconds since 1970; 0: not since the start.
    changed_s: AtomicU64,
    failures: Failures,
    /// Rises when whoever is at the server is to be cut off.
    recalls: AtomicU32,
    kills: AtomicU32,
    /// Where the server is now, once an operator has moved it.
    moved: OnceLock<Box<Mutex<Option<model::ServerAddress>>>>,
    /// What operators have changed of its checks.
    probing: OnceLock<Box<Mutex<Probing>>>,
    /// How it compares with its peers, once that has been looked at.
    standing: OnceLock<Box<Mutex<Standing>>>,
    backend: Arc<BackendLive>,
}

/// A slot of a server, given back through [`ServerLive::release`].
#[derive(Debug)]
#[must_use = "a slot that is not given back to ServerLive::release stays taken for ever"]
pub struct Slot {
    counted: bool,
}

impl Default for ServerLive {
    /// Up, weight 1, without limits, in a backend of its own.
    fn default() -> Self {
        Self {
            current: AtomicU32::new(0),
            queued: AtomicU32::new(0),
            maxconn: AtomicU32::new(0),
            minconn: AtomicU32::new(0),
            maxqueue: AtomicU32::new(0),
            weight: AtomicU32::new(1),
            ramp: AtomicU32::new(RAMP_FULL),
            state: AtomicU32::new(ServerState::UP.0),
            response: AtomicU64::new(0),
            changed_s: AtomicU64::new(0),
            failures: Failures::default(),
            recalls: AtomicU32::new(0),
            kills: AtomicU32::new(0),
            moved: OnceLock::new(),
            probing: OnceLock::new(),
            standing: OnceLock::new(),
            backend: Arc::default(),
        }
    }
}

impl ServerLive {
    /// State for a server that has just been configured.
    pub fn new(server: &model::Server, backend: Arc<BackendLive>) -> Self {
        let live = Self {
            backend,
            ..Self::default()
        };
        live.configure(server);
        let disabled = if server.disabled || server.dynamic {
            ServerState::MAINTENANCE
        } else {
            ServerState::UP
        };
        let unresolved = match &server.address {
            model::ServerAddress::Unresolved { .. } => ServerState::UNRESOLVED,
            _ => ServerState::UP,
        };
        live.state.store(disabled.0 | unresolved.0, Relaxed);
        live
    }

    /// Adopts weight and limits of a new configuration; state and counts go on.
    pub fn configure(&self, server: &model::Server) {
        self.set_maxconn(server.maxconn.unwrap_or(0));
        self.minconn.store(server.minconn.unwrap_or(0), Relaxed);
        self.maxqueue.store(server.maxqueue.unwrap_or(0), Relaxed);
        self.set_weight(u32::from(server.weight));
    }

    /// Adopts the values that an edit of the configuration changed; those that were set at run time stay otherwise.
    pub(crate) fn reconfigure(&self, before: &model::Server, after: &model::Server) {
        if before.weight != after.weight {
            self.set_weight(u32::from(after.weight));
        }
        if before.maxconn != after.maxconn {
            self.set_maxconn(after.maxconn.unwrap_or(0));
        }
        self.minconn.store(after.minconn.unwrap_or(0), Relaxed);
        self.maxqueue.store(after.maxqueue.unwrap_or(0), Relaxed);
        if before.disabled != after.disabled {
            let _ = match after.disabled {
                true => self.mark(ServerState::MAINTENANCE),
                false => self.clear(ServerState::MAINTENANCE),
            };
        }
        if before.address != after.address {
            self.return_home();
            let _ = match &after.address {
                model::ServerAddress::Unresolved { .. } => self.mark(ServerState::UNRESOLVED),
                _ => self.clear(ServerState::UNRESOLVED),
            };
        }
        let checked = |check: &model::check::ServerCheck| {
            check.enabled || check.agent.is_some() || check.track.is_some()
        };
        // Nobody is left who could say that it is up again.
        if checked(&before.check) && !checked(&after.check) {
            self.clear(ServerState::DOWN);
            self.clear(ServerState::STOPPING);
            self.set_ramp_sixteenths(RAMP_FULL);
        }
    }

    pub fn backend(&self) -> &Arc<BackendLive> {
        &self.backend
    }

    // --- Load ---

    /// Exchanges that it serves now.
    pub fn served(&self) -> u32 {
        self.current.load(Relaxed)
    }

    /// The load that `leastconn` and `random` compare: served plus waiting.
    pub fn load(&self) -> u32 {
        self.current
            .load(Relaxed)
            .saturating_add(self.queued.load(Relaxed))
    }

    /// Most exchanges this server takes now, `minconn` considered; `None`: no limit.
    pub fn limit(&self) -> Option<u32> {
        let maxconn = self.maxconn.load(Relaxed);
        if maxconn == 0 {
            return None;
        }
        let minconn = self.minconn.load(Relaxed);
        if minconn == 0 {
            return Some(maxconn);
        }
        Some(crate::queue::dynamic_limit(
            maxconn,
            minconn,
            self.backend.fullconn(),
            self.backend.current(),
        ))
    }

    /// Whether a request sent here now would be served at once: nobody waits and a slot is free.
    pub fn has_room(&self) -> bool {
        match self.limit() {
            None => true,
            Some(limit) => self.queued.load(Relaxed) == 0 && self.current.load(Relaxed) < limit,
        }
    }

    /// Whether the server's own queue is at `maxqueue`; never without one.
    pub fn queue_is_full(&self) -> bool {
        let maxqueue = self.maxqueue.load(Relaxed);
        maxqueue > 0 && self.queued.load(Relaxed) >= maxqueue
    }

    /// Takes a slot if one is free, without a look at who waits: for whoever is at the head of a queue.
    ///
    /// One atomic addition without a limit, one compare-and-swap loop with one.
    pub fn take(&self) -> Option<Slot> {
        match self.limit() {
            None => {
                self.current.fetch_add(1, Relaxed);
            }
            Some(limit) => {
                self.current
                    .fetch_update(SeqCst, SeqCst, |current| {
                        (current < limit).then_some(current + 1)
                    })
                    .ok()?;
            }
        }
        Some(self.counted())
    }

    /// Takes a slot even beyond the limit: for what must not wait, such as health checks over the data path.
    pub fn take_beyond_limit(&self) -> Slot {
        self.current.fetch_add(1, Relaxed);
        self.counted()
    }

    fn counted(&self) -> Slot {
        let counted = self.backend.counts();
        if counted {
            self.backend.served.fetch_add(1, Relaxed);
        }
        Slot { counted }
    }

    /// Gives a slot back; whether somebody waits for one, so that [`crate::queue::Waiting::grant`] is due.
    pub fn release(&self, slot: Slot) -> bool {
        if slot.counted {
            self.backend.served.fetch_sub(1, Relaxed);
        }
        // One total order with the announcement of whoever joins a queue and then tries for this slot.
        self.current.fetch_sub(1, SeqCst);
        self.somebody_waits()
    }

    /// Whether anyone waits for this server, or for any server of its backend.
    pub fn somebody_waits(&self) -> bool {
        self.queued.load(SeqCst) > 0 || self.backend.queued.load(SeqCst) > 0
    }

    // --- Limits ---

    /// `maxconn`, 0 for none.
    pub fn maxconn(&self) -> u32 {
        self.maxconn.load(Relaxed)
    }

    pub fn set_maxconn(&self, maxconn: u32) {
        self.maxconn.store(maxconn, Relaxed);
    }

    /// `minconn`, 0 for none.
    pub fn minconn(&self) -> u32 {
        self.minconn.load(Relaxed)
    }

    /// `maxqueue`, 0 for none.
    pub fn maxqueue(&self) -> u32 {
        self.maxqueue.load(Relaxed)
    }

    // --- What an arrangement depends on ---

    /// The weight an operator or the configuration gave, 0 to 256.
    pub fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }

    /// Sets the weight; values above 256 count as 256.
    pub fn set_weight(&self, weight: u32) {
        let weight = weight.min(256);
        if self.weight.swap(weight, Relaxed) != weight {
            self.backend.touch();
        }
    }

    /// How far a warming server (`slowstart`) is, in sixteenths of its weight.
    pub fn ramp_sixteenths(&self) -> u32 {
        self.ramp.load(Relaxed)
    }

    /// The part of the weight that counts now, 1 to 16 sixteenths: what the ramp leaves, less what failures take.
    pub fn share_sixteenths(&self) -> u32 {
        let share = self.ramp_sixteenths() * self.failures.share_sixteenths();
        (share / RAMP_FULL).max(1)
    }

    /// Takes note of an exchange under a rule; how many failures there were, when that is worth a report.
    pub fn note(&self, rule: &Rule, observation: Observation, now_ms: u64) -> Option<u32> {
        let outcome = self.failures.note(rule, observation, now_ms);
        if outcome.share_changed {
            self.backend.touch();
        }
        outcome.report
    }

    /// Cuts off whoever is at the server now; see [`Self::recalls`].
    pub fn recall(&self) {
        self.recalls.fetch_add(1, Relaxed);
    }

    /// Cuts off whoever is at the server now, because an operator says so; see [`Self::kills`].
    pub fn kill(&self) {
        self.kills.fetch_add(1, Relaxed);
    }

    /// As [`Self::recalls`], for an operator's word.
    pub fn kills(&self) -> u32 {
        self.kills.load(Relaxed)
    }

    /// A number that is another once whoever has been at the server before is to be cut off.
    pub fn recalls(&self) -> u32 {
        self.recalls.load(Relaxed)
    }

    /// Sets the ramp, 1 to 16; other values count as the nearest of these.
    pub fn set_ramp_sixteenths(&self, ramp: u32) {
        let ramp = ramp.clamp(1, RAMP_FULL);
        if self.ramp.swap(ramp, Relaxed) != ramp {
            self.backend.touch();
        }
    }

    pub fn state(&self) -> ServerState {
        ServerState(self.state.load(Relaxed))
    }

    /// Adds a reason to stay away; whether that was news.
    pub fn mark(&self, reason: ServerState) -> bool {
        let before = ServerState(self.state.fetch_or(reason.0, Relaxed));
        let news = !before.contains(reason);
        if news {
            self.backend.touch();
        }
        news
    }

    /// Removes a reason to stay away; whether that was news.
    pub fn clear(&self, reason: ServerState) -> bool {
        let before = self.state.fetch_and(!reason.0, Relaxed);
        let news = before & reason.0 != 0;
        if news {
            self.backend.touch();
        }
        news
    }

    /// When the state last changed, in seconds since 1970; 0: not since the start.
    pub fn changed_s(&self) -> u64 {
        self.changed_s.load(Relaxed)
    }

    /// Notes that [`Self::mark`] or [`Self::clear`] made a difference, at a moment in seconds since 1970.
    pub fn note_change(&self, now_s: u64) {
        self.changed_s.store(now_s, Relaxed);
    }

    /// The address an operator gave the server at run time; `None`: that of the configuration holds.
    pub fn moved_to(&self) -> Option<model::ServerAddress> {
        let moved = self.moved.get()?;
        moved.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives the server another address. Connections that exist go on to the old one.
    pub fn move_to(&self, address: model::ServerAddress) {
        let moved = self.moved.get_or_init(Box::default);
        *moved.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    /// The address of the configuration holds again.
    fn return_home(&self) {
        if let Some(moved) = self.moved.get() {
            *moved.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// What operators have changed of its checks.
    pub fn probing(&self) -> Probing {
        let probing = self.probing.get();
        probing.map_or_else(Probing::default, |probing| {
            probing
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        })
    }

    pub fn set_probing(&self, change: impl FnOnce(&mut Probing)) {
        let cell = self.probing.get_or_init(Box::default);
        change(&mut cell.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How it compares with its peers.
    pub fn standing(&self) -> Standing {
        let standing = self.standing.get();
        standing.map_or_else(Standing::default, |standing| {
            *standing.lock().unwrap_or_else(PoisonError::into_inner)
        })
    }

    pub fn set_standing(&self, standing: Standing) {
        let cell = self.standing.get_or_init(Box::default);
        *cell.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// Whether a balancing algorithm may choose it: up, and a weight above 0.
    pub fn is_usable(&self) -> bool {
        self.state().is_usable() && self.weight() > 0
    }

    // --- Response times, for `peak-ewma` ---

    /// Notes that a response took `response_ns`, at `now_ns` on the clock of [`crate::balance::Pick`].
    ///
    /// A slower answer than expected counts in full at once, a faster one bit by bit as time passes.
    pub fn note_response(&self, response_ns: u64, now_ns: u64) {
        let seen = (response_ns as f32).max(1.0);
        // A lost race costs one sample of many; trying again would only add traffic on a hot cache line.
        let before = self.response.load(Relaxed);
        let (old, elapsed_ns) = unpack(before, now_ns);
        let new = if seen >= old {
            seen
        } else {
            let keep = (-elapsed_ns / RESPONSE_DECAY_NS).exp();
            old * keep + seen * (1.0 - keep)
        };
        let _ = self
            .response
            .compare_exchange(before, pack(new, now_ns), Relaxed, Relaxed);
    }

    /// Notes an exchange that failed: a server that fails fast must not look like a fast server.
    pub fn note_failure(&self, response_ns: u64, now_ns: u64) {
        let (old, _) = unpack(self.response.load(Relaxed), now_ns);
        let penalty = (old * 2.0).max(RESPONSE_UNKNOWN_NS) as u64;
        self.note_response(response_ns.max(penalty), now_ns);
    }

    /// What one more request here is expected to cost: the decayed response time times all that is outstanding,
    /// this one included. Comparable between servers of equal weight; divide by the weight for others.
    pub fn expected_delay_ns(&self, now_ns: u64) -> f32 {
        let outstanding = self.load() as f32;
        let (response, elapsed_ns) = unpack(self.response.load(Relaxed), now_ns);
        if response == 0.0 {
            // Never heard of: worth one try, but not a crowd before the first answer.
            return outstanding * RESPONSE_UNKNOWN_NS;
        }
        response * (-elapsed_ns / RESPONSE_DECAY_NS).exp() * (outstanding + 1.0)
    }
}

fn pack(response_ns: f32, now_ns: u64) -> u64 {
    u64::from(response_ns.to_bits()) << 32 | (now_ns / 1_000_000) & 0xffff_ffff
}

/// The stored average and its age in nanoseconds; ages beyond 24 days are clocks of other workers that run
/// slightly behind, so they count as none.
fn unpack(packed: u64, now_ns: u64) -> (f32, f32) {
    let age_ms = ((now_ns / 1_000_000) as u32).wrapping_sub(packed as u32) as i32;
    (
        f32::from_bits((packed >> 32) as u32),
        age_ms.max(0) as f32 * 1e6,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(maxconn: u32) -> ServerLive {
        let live = ServerLive::default();
        live.set_maxconn(maxconn);
        live
    }

    #[test]
    fn slots_end_at_the_limit_and_come_back() {
        let live = limited(2);
        let first = live.take().expect("the first of two");
        let second = live.take().expect("the second of two");
        assert!(live.take().is_none());
        assert!(!live.has_room());
        live.release(first);
        assert!(live.has_room());
        live.release(second);
        assert_eq!(live.load(), 0);
    }

    #[test]
    fn slots_are_exact_under_contention() {
        let live = limited(7);
        let most = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if let Some(slot) = live.take() {
                            most.fetch_max(live.current.load(Relaxed), Relaxed);
                            live.release(slot);
                        }
                    }
                });
            }
        });
        assert_eq!(live.current.load(Relaxed), 0);
        assert!(most.load(Relaxed) <= 7);
    }

    #[test]
    fn backend_counts_only_when_somebody_looks() {
        let mut backend = model::Backend::default();
        let live = Arc::new(BackendLive::new(&backend));
        let server = ServerLive {
            backend: Arc::clone(&live),
            ..ServerLive::default()
        };
        let before = server.take().expect("no limit");
        assert_eq!(live.served(), 0);

        backend.hash_balance_factor = 150;
        live.configure(&backend);
        let after = server.take().expect("no limit");
        assert_eq!(live.served(), 1);
        // The slot taken before counting began must not be subtracted.
        server.release(before);
        assert_eq!(live.served(), 1);
        server.release(after);
        assert_eq!(live.served(), 0);
    }

    #[test]
    fn generation_rises_with_changes_only() {
        let live = ServerLive::default();
        let start = live.backend().generation();
        live.set_weight(1);
        assert!(!live.clear(ServerState::DOWN));
        assert_eq!(live.backend().generation(), start);
        live.set_weight(2);
        assert!(live.mark(ServerState::DOWN));
        assert!(!live.mark(ServerState::DOWN));
        assert!(live.clear(ServerState::DOWN));
        assert_eq!(live.backend().generation(), start + 3);
    }

    #[test]
    fn response_time_jumps_up_and_sinks_slowly() {
        let second = 1_000_000_000;
        let live = ServerLive::default();
        assert_eq!(live.expected_delay_ns(0), 0.0);
        live.note_response(1_000_000, second);
        live.note_response(9_000_000, second);
        assert_eq!(live.expected_delay_ns(second), 9e6);
        live.note_response(1_000_000, 2 * second);
        let soon = live.expected_delay_ns(2 * second);
        assert!(soon < 9e6 && soon > 8e6, "{soon}");
        live.note_response(1_000_000, 62 * second);
        let later = live.expected_delay_ns(62 * second);
        assert!(later < 1.1e6, "{later}");
    }

    #[test]
    fn fast_failures_do_not_attract() {
        let live = ServerLive::default();
        live.note_response(1_000_000, 0);
        live.note_failure(10_000, 1_000_000);
        assert!(live.expected_delay_ns(1_000_000) >= 1e9);
    }

    #[test]
    fn a_clock_slightly_behind_is_no_eternity() {
        let live = ServerLive::default();
        live.note_response(5_000_000, 10_000_000_000);
        assert_eq!(live.expected_delay_ns(9_999_000_000), 5e6);
    }
}
