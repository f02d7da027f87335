//! Waiting for a slot: `maxconn`, `minconn`, `fullconn`, `maxqueue`, `timeout queue`.
//!
//! Most requests never come here: [`take_now`] is a compare-and-swap, or one addition where there is no limit.
//! Whoever finds no slot joins the backend's [`Waiting`], which the engine keeps behind a lock:
//!
//! ```text
//! request    take_now(server) ── slot ──────────────────────────────► served
//!               │ none, or no server was picked
//!               ▼
//!            join(place) ── Refused ──► 503
//!               │ ticket
//!               ▼
//!            grant(server)…            whoever joins also grants, since a slot may have come free meanwhile
//!               ▼
//!            asleep until granted, or until leave(ticket): time-out, client gone
//!
//! response   ServerLive::release ── somebody waits ──► grant(server)… ──► wake each of them
//! ```
//!
//! No wake-up is lost: a request announces itself before it looks for a slot a last time, and a slot is given
//! back before the announcements are read, all in one total order of atomics.
//!
//! What is absent: the lock, wake-ups, timers, and the choice of a server.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use crate::live::{BackendLive, ServerLive, Slot};
use crate::model::Model;
use crate::rule::BackendTarget;

/// Most requests that may wait in one backend, all its servers' queues included.
pub const ENTRIES_MAX: usize = 1 << 18;

/// Waiting requests that a server is offered to in vain before it serves nobody for now; see [`Waiting::grant_to`].
const STRANGERS_MAX: usize = 256;

/// The connections a server takes now, when its limit grows with the backend's load.
///
/// With a `minconn` the limit follows the backend's use: `maxconn` × `backend_current` / `fullconn`, at least
/// `minconn` and at most `maxconn`. Without `fullconn` (0) the limit is `maxconn`.
pub fn dynamic_limit(maxconn: u32, minconn: u32, fullconn: u32, backend_current: u32) -> u32 {
    if fullconn == 0 || minconn >= maxconn || backend_current >= fullconn {
        return maxconn;
    }
    let share = u64::from(backend_current) * u64::from(maxconn) / u64::from(fullconn);
    // Below maxconn, because backend_current is below fullconn.
    minconn.max(share as u32)
}

/// Fills in `fullconn` where it is not written: a tenth of the connections that the frontends leading to the backend
/// may bring, rounded up. A frontend without a `maxconn` may bring `process_maxconn`.
pub fn fill_fullconn(model: &mut Model, process_maxconn: u32) {
    let mut brought = vec![0_u32; model.backends.len()];
    let frontends = model.frontends.iter().filter(|frontend| !frontend.disabled);
    for frontend in frontends {
        let chosen = frontend.rules.use_backend.iter();
        let chosen = chosen.filter_map(|choice| match choice.target {
            BackendTarget::Known(id) => Some(id),
            BackendTarget::Named(_) => None,
        });
        let reached: BTreeSet<_> = frontend.default_backend.into_iter().chain(chosen).collect();
        for backend in reached {
            if let Some(sum) = brought.get_mut(backend.0 as usize) {
                *sum = sum.saturating_add(frontend.maxconn.unwrap_or(process_maxconn));
            }
        }
    }
    for (backend, brought) in model.backends.iter_mut().zip(brought) {
        let tenth = brought.div_ceil(10).max(1);
        backend.fullconn.get_or_insert(tenth);
    }
}

/// Takes a slot of a server at once, unless it is full or others have waited longer.
///
/// `None` means: join the server's queue. Lock-free; a server without a limit always has a slot.
pub fn take_now(server: &ServerLive) -> Option<Slot> {
    let is_limited = server.maxconn() > 0;
    if is_limited && server.somebody_waits() {
        return None;
    }
    server.take()
}

/// Where a request waits.
#[derive(Clone, Debug)]
pub enum Place {
    /// For whichever server is free first: no server was picked because all are full.
    Backend,
    /// For this server: persistence or a hash binds the request to it.
    Server(Arc<ServerLive>),
}

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// How a request stands to others that wait: `set-priority-class`, `set-priority-offset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Priority {
    /// Lower ones are served first.
    pub class: i32,
    /// By how much it goes ahead of those of its class (below 0) or behind them, as if it had come then.
    pub offset_ms: i64,
    /// When it came, by a clock that never goes back.
    pub now_ms: u64,
}

/// A place in a line, the first to be served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    class: i32,
    due_ms: i64,
    ticket: Ticket,
}

/// What became of an attempt to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// In the queue, behind `ahead` others of the same queue.
    Queued { ticket: Ticket, ahead: u32 },
    /// The server's queue holds `maxqueue` requests.
    RefusedByMaxQueue,
    /// The backend holds as many waiting requests as it may, see [`ENTRIES_MAX`].
    RefusedByCap,
}

/// A slot for somebody who waited.
#[derive(Debug)]
#[must_use = "a grant holds a slot, to be served or given back to ServerLive::release"]
pub struct Grant<T> {
    pub ticket: Ticket,
    /// What [`Waiting::join`] was given.
    pub token: T,
    pub server: Arc<ServerLive>,
    pub slot: Slot,
}

/// The requests that wait in one backend, in order of arrival.
///
/// `T` is what the engine needs to wake a request up.
#[derive(Debug)]
pub struct Waiting<T> {
    backend: Arc<BackendLive>,
    entries: HashMap<Ticket, Entry<T>>,
    entries_max: usize,
    /// The backend's own queue.
    shared: BTreeSet<Turn>,
    /// Each server's queue, by the address of its live state; empty queues are removed.
    own: BTreeMap<usize, BTreeSet<Turn>>,
    deadlines: BTreeSet<(u64, Ticket)>,
    next: u64,
    /// When the last one came: the clocks of workers differ a little, and nobody goes ahead by that.
    latest_ms: u64,
}

#[derive(Debug)]
struct Entry<T> {
    token: T,
    place: Place,
    turn: Turn,
    deadline_ns: Option<u64>,
}

fn address(server: &Arc<ServerLive>) -> usize {
    Arc::as_ptr(server) as usize
}

impl<T> Waiting<T> {
    /// Nobody waits yet. The counts `queued` of the backend and its servers are kept from here on.
    pub fn new(backend: Arc<BackendLive>) -> Self {
        Self::with_cap(backend, ENTRIES_MAX)
    }

    /// The same with another cap on the number of entries.
    pub fn with_cap(backend: Arc<BackendLive>, entries_max: usize) -> Self {
        Self {
            backend,
            entries: HashMap::new(),
            entries_max,
            shared: BTreeSet::new(),
            own: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            next: 0,
            latest_ms: 0,
        }
    }

    /// How many wait, in all queues together.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Queues a request; `deadline_ns` is when [`Self::expire`] gives it up (`timeout queue`).
    ///
    /// A slot may have come free since none was found: the caller calls [`Self::grant`] now, for the server it
    /// waits for, or for every usable server when it waits for any. The grant may well be its own.
    pub fn join(&mut self, place: Place, token: T, deadline_ns: Option<u64>) -> Admit {
        self.join_with(place, token, deadline_ns, Priority::default())
    }

    /// The same for a request that may go ahead of others.
    pub fn join_with(
        &mut self,
        place: Place,
        token: T,
        deadline_ns: Option<u64>,
        priority: Priority,
    ) -> Admit {
        if self.entries.len() >= self.entries_max {
            return Admit::RefusedByCap;
        }
        if let Place::Server(server) = &place
            && server.queue_is_full()
        {
            return Admit::RefusedByMaxQueue;
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        self.latest_ms = self.latest_ms.max(priority.now_ms);
        let came_ms = i64::try_from(self.latest_ms).unwrap_or(i64::MAX);
        let turn = Turn {
            class: priority.class,
            due_ms: came_ms.saturating_add(priority.offset_ms),
            ticket,
        };
        let (line, count) = match &place {
            Place::Backend => (&mut self.shared, &self.backend.queued),
            Place::Server(server) => (self.own.entry(address(server)).or_default(), &server.queued),
        };
        let ahead = match line.last() {
            Some(last) if *last > turn => line.range(..turn).count() as u32,
            _ => line.len() as u32,
        };
        line.insert(turn);
        count.fetch_add(1, SeqCst);
        if let Some(deadline_ns) = deadline_ns {
            self.deadlines.insert((deadline_ns, ticket));
        }
        let entry = Entry {
            token,
            place,
            turn,
            deadline_ns,
        };
        self.entries.insert(ticket, entry);
        Admit::Queued { ticket, ahead }
    }

    /// Gives a free slot of `server` to whoever has waited longest for it; call it until it gives none.
    ///
    /// `for_backend`: the server takes part in balancing now, so that requests of the backend's queue may go
    /// there. One that is down, drained or an idle backup only serves those that wait for it alone.
    pub fn grant(&mut self, server: &Arc<ServerLive>, for_backend: bool) -> Option<Grant<T>> {
        self.grant_to(server, for_backend, |_| true)
    }

    /// The same, past those of the backend's queue who may not go there: a server that has just been configured is
    /// unknown to requests that began before, and one that is configured no more to those that began after.
    pub fn grant_to(
        &mut self,
        server: &Arc<ServerLive>,
        for_backend: bool,
        may: impl Fn(&T) -> bool,
    ) -> Option<Grant<T>> {
        let own = self.own.get(&address(server)).and_then(|line| line.first());
        let line = self.shared.iter().take(STRANGERS_MAX);
        let may = |turn: &&Turn| {
            let entry = self.entries.get(&turn.ticket);
            entry.is_none_or(|entry| may(&entry.token))
        };
        let shared = line.filter(|_| for_backend).find(may);
        let turn = match (own, shared) {
            (Some(own), Some(shared)) => own.min(shared),
            (own, shared) => own.or(shared)?,
        };
        let ticket = turn.ticket;
        let slot = server.take()?;
        let Some(token) = self.leave(ticket) else {
            debug_assert!(false, "a queue names {ticket:?}, which does not wait");
            server.release(slot);
            return None;
        };
        Some(Grant {
            ticket,
            token,
            server: Arc::clone(server),
            slot,
        })
    }

    /// Takes a request out of its queue; `None` when it has been granted, has expired or has left already.
    pub fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let entry = self.entries.remove(&ticket)?;
        if let Some(deadline_ns) = entry.deadline_ns {
            self.deadlines.remove(&(deadline_ns, ticket));
        }
        let count: &AtomicU32 = match &entry.place {
            Place::Backend => {
                self.shared.remove(&entry.turn);
                &self.backend.queued
            }
            Place::Server(server) => {
                if let Some(line) = self.own.get_mut(&address(server)) {
                    line.remove(&entry.turn);
                    if line.is_empty() {
                        self.own.remove(&address(server));
                    }
                }
                &server.queued
            }
        };
        count.fetch_sub(1, SeqCst);
        Some(entry.token)
    }

    /// When the next request gives up waiting.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        self.deadlines.first().map(|&(deadline_ns, _)| deadline_ns)
    }

    /// The next request whose deadline has passed; call it until it gives none.
    pub fn expire(&mut self, now_ns: u64) -> Option<(Ticket, T)> {
        let &(_, ticket) = self
            .deadlines
            .first()
            .filter(|&&(deadline_ns, _)| deadline_ns <= now_ns)?;
        self.leave(ticket).map(|token| (ticket, token))
    }

    /// Everyone who waits for this server alone, in order: it has gone down, they may choose again.
    pub fn evict(&mut self, server: &Arc<ServerLive>) -> Vec<(Ticket, T)> {
        let line = self.own.get(&address(server)).cloned().unwrap_or_default();
        line.into_iter()
            .filter_map(|Turn { ticket, .. }| self.leave(ticket).map(|token| (ticket, token)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use std::sync::atomic::Ordering::Relaxed;

    use proptest::prelude::*;

    use super::*;

    fn servers(maxconns: &[u32]) -> (Arc<BackendLive>, Vec<Arc<ServerLive>>) {
        let backend = Arc::new(BackendLive::default());
        let servers = maxconns
            .iter()
            .map(|&maxconn| {
                let address = crate::model::ServerAddress::Abstract("a".into());
                let mut server = crate::model::Server::new("a", address);
                server.maxconn = Some(maxconn);
                Arc::new(ServerLive::new(&server, Arc::clone(&backend)))
            })
            .collect();
        (backend, servers)
    }

    #[test]
    fn a_tenth_of_what_frontends_may_bring_is_a_full_backend() {
        use crate::model::{Backend, BackendId, Frontend};
        let frontend = |maxconn, backend: u32, disabled| Frontend {
            maxconn,
            disabled,
            default_backend: Some(BackendId(backend)),
            ..Frontend::default()
        };
        let mut model = Model {
            frontends: vec![
                frontend(Some(101), 0, false),
                frontend(None, 0, false),
                frontend(Some(5), 1, false),
                frontend(Some(5_000), 1, true),
                frontend(Some(5_000), 2, false),
                Frontend::default(),
            ],
            backends: vec![Backend::default(); 4],
            ..Model::default()
        };
        model.backends[2].fullconn = Some(7);
        fill_fullconn(&mut model, 1_000);
        let found: Vec<_> = model
            .backends
            .iter()
            .map(|backend| backend.fullconn)
            .collect();
        assert_eq!(found, [Some(111), Some(1), Some(7), Some(1)]);
    }

    #[test]
    fn requests_are_passed_by_that_may_not_go_there() {
        let (backend, servers) = servers(&[1]);
        let mut waiting = Waiting::new(backend);
        for name in ["old", "new"] {
            let _ = waiting.join(Place::Backend, name, None);
        }
        let grant = waiting.grant_to(&servers[0], true, |name| *name == "new");
        let Grant {
            token,
            server,
            slot,
            ..
        } = grant.expect("a slot is free");
        assert_eq!(token, "new");
        server.release(slot);
        assert!(waiting.grant_to(&servers[0], true, |_| false).is_none());
        assert_eq!(waiting.len(), 1);
    }

    #[test]
    fn dynamic_limits() {
        // maxconn, minconn, fullconn, current, limit
        let cases = [
            (100, 10, 1000, 0, 10),
            (100, 10, 1000, 50, 10),
            (100, 10, 1000, 500, 50),
            (100, 10, 1000, 999, 99),
            (100, 10, 1000, 1000, 100),
            (100, 10, 1000, 5000, 100),
            (100, 10, 0, 1, 100),
            (100, 100, 1000, 1, 100),
            (100, 200, 1000, 1, 100),
            (u32::MAX, 1, u32::MAX, u32::MAX - 1, u32::MAX - 1),
        ];
        for (maxconn, minconn, fullconn, current, limit) in cases {
            let found = dynamic_limit(maxconn, minconn, fullconn, current);
            assert_eq!(found, limit, "{maxconn} {minconn} {fullconn} {current}");
        }
    }

    #[test]
    fn first_come_first_served_over_both_queues() {
        let (backend, servers) = servers(&[1]);
        let mut waiting = Waiting::new(backend);
        let mut slot = take_now(&servers[0]);
        assert!(take_now(&servers[0]).is_none());
        let own = || Place::Server(Arc::clone(&servers[0]));
        let aheads: Vec<_> = [own(), Place::Backend, own(), Place::Backend]
            .into_iter()
            .zip(0..)
            .map(|(place, token)| match waiting.join(place, token, None) {
                Admit::Queued { ahead, .. } => ahead,
                refused => panic!("{refused:?}"),
            })
            .collect();
        assert_eq!(aheads, [0, 0, 1, 1]);
        let mut order = Vec::new();
        while let Some(held) = slot.take() {
            let somebody = servers[0].release(held);
            assert_eq!(somebody, order.len() < 4);
            // A newcomer must not overtake.
            assert_eq!(take_now(&servers[0]).is_none(), somebody);
            if let Some(grant) = waiting.grant(&servers[0], true) {
                order.push(grant.token);
                slot = Some(grant.slot);
            }
        }
        assert_eq!(order, [0, 1, 2, 3]);
    }

    #[test]
    fn who_has_priority_goes_first() {
        let (backend, servers) = servers(&[1]);
        let mut waiting = Waiting::new(backend);
        let held = take_now(&servers[0]).expect("a slot");
        for (token, class, offset_ms, now_ms, ahead) in [
            ("plain", 0, 0, 100, 0),
            ("patient", 0, 500, 101, 1),
            ("hasty", 0, -50, 102, 0),
            ("first class", -1, 0, 103, 0),
            ("last class", 1, -900, 104, 4),
            // The clock of another worker is behind: that is no privilege.
            ("late", 0, 0, 50, 3),
        ] {
            let priority = Priority {
                class,
                offset_ms,
                now_ms,
            };
            let joined = waiting.join_with(Place::Backend, token, None, priority);
            assert!(
                matches!(joined, Admit::Queued { ahead: found, .. } if found == ahead),
                "{token}: {joined:?}"
            );
        }
        let mut slot = Some(held);
        let mut order = Vec::new();
        while let Some(held) = slot.take() {
            servers[0].release(held);
            if let Some(grant) = waiting.grant(&servers[0], true) {
                order.push(grant.token);
                slot = Some(grant.slot);
            }
        }
        let expected = [
            "first class",
            "hasty",
            "plain",
            "late",
            "patient",
            "last class",
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn a_server_out_of_balance_serves_its_own_only() {
        let (backend, servers) = servers(&[2]);
        let mut waiting = Waiting::new(backend);
        waiting.join(Place::Backend, "any", None);
        waiting.join(Place::Server(Arc::clone(&servers[0])), "own", None);
        let grant = waiting.grant(&servers[0], false).expect("a free slot");
        assert_eq!(grant.token, "own");
        assert!(waiting.grant(&servers[0], false).is_none());
        assert_eq!(
            waiting.grant(&servers[0], true).map(|grant| grant.token),
            Some("any")
        );
    }

    #[test]
    fn limits_of_queues() {
        let (backend, servers) = servers(&[1]);
        let mut server =
            crate::model::Server::new("a", crate::model::ServerAddress::Abstract("a".into()));
        server.maxconn = Some(1);
        server.maxqueue = Some(2);
        servers[0].configure(&server);
        let own = || Place::Server(Arc::clone(&servers[0]));
        let mut waiting = Waiting::with_cap(backend, 3);
        for _ in 0..2 {
            assert!(matches!(
                waiting.join(own(), (), None),
                Admit::Queued { .. }
            ));
        }
        assert_eq!(waiting.join(own(), (), None), Admit::RefusedByMaxQueue);
        assert!(matches!(
            waiting.join(Place::Backend, (), None),
            Admit::Queued { .. }
        ));
        assert_eq!(waiting.join(Place::Backend, (), None), Admit::RefusedByCap);
        assert_eq!(waiting.evict(&servers[0]).len(), 2);
        assert_eq!(waiting.len(), 1);
        assert_eq!(servers[0].queued.load(Relaxed), 0);
    }

    #[test]
    fn deadlines_pass_in_their_own_order() {
        let (backend, servers) = servers(&[1]);
        let mut waiting = Waiting::new(backend);
        for (token, deadline_ns) in [(0, Some(30)), (1, None), (2, Some(10)), (3, Some(20))] {
            waiting.join(Place::Server(Arc::clone(&servers[0])), token, deadline_ns);
        }
        assert_eq!(waiting.next_deadline_ns(), Some(10));
        let expired =
            |waiting: &mut Waiting<i32>, now_ns| waiting.expire(now_ns).map(|(_, token)| token);
        assert_eq!(expired(&mut waiting, 9), None);
        assert_eq!(expired(&mut waiting, 20), Some(2));
        assert_eq!(expired(&mut waiting, 20), Some(3));
        assert_eq!(expired(&mut waiting, 20), None);
        let grant = waiting.grant(&servers[0], true).expect("a free slot");
        assert_eq!(grant.token, 0);
        assert_eq!(waiting.leave(grant.ticket), None);
        assert_eq!(waiting.next_deadline_ns(), None);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Arrive {
            server: Option<usize>,
            deadline_ns: Option<u64>,
        },
        Finish {
            nth: usize,
        },
        Leave {
            nth: usize,
        },
        Expire {
            now_ns: u64,
        },
        SetMaxconn {
            server: usize,
            maxconn: u32,
        },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (prop::option::of(0..3usize), prop::option::of(0..100u64))
                .prop_map(|(server, deadline_ns)| Step::Arrive { server, deadline_ns }),
            3 => any::<usize>().prop_map(|nth| Step::Finish { nth }),
            1 => any::<usize>().prop_map(|nth| Step::Leave { nth }),
            1 => (0..100u64).prop_map(|now_ns| Step::Expire { now_ns }),
            1 => (0..3usize, 1..4u32).prop_map(|(server, maxconn)| Step::SetMaxconn { server, maxconn }),
        ];
        prop::collection::vec(step, 1..200)
    }

    /// The machine beside a plain list of who waits.
    struct Bench {
        backend: Arc<BackendLive>,
        servers: Vec<Arc<ServerLive>>,
        waiting: Waiting<u32>,
        serving: Vec<(usize, Slot)>,
        expected: VecDeque<(Ticket, Option<usize>)>,
    }

    impl Bench {
        /// Grants all that is free, and checks that it is the longest waiting who get it.
        fn settle(&mut self) {
            for index in 0..self.servers.len() {
                while let Some(grant) = self.waiting.grant(&self.servers[index], true) {
                    let may = |place: &Option<usize>| place.is_none_or(|server| server == index);
                    let position = self.expected.iter().position(|(_, place)| may(place));
                    let first = position.and_then(|position| self.expected.remove(position));
                    assert_eq!(first.map(|(ticket, _)| ticket), Some(grant.ticket));
                    self.serving.push((index, grant.slot));
                }
            }
        }

        fn check(&self) {
            assert_eq!(self.waiting.len(), self.expected.len());
            let count = |place| self.expected.iter().filter(|(_, at)| *at == place).count() as u32;
            assert_eq!(self.backend.queued.load(Relaxed), count(None));
            for (index, server) in self.servers.iter().enumerate() {
                assert_eq!(server.queued.load(Relaxed), count(Some(index)));
                let serving = self.serving.iter().filter(|(at, _)| *at == index).count() as u32;
                assert_eq!(server.current.load(Relaxed), serving);
                let waits = count(Some(index)) + count(None) > 0;
                assert!(
                    !waits || serving >= server.maxconn(),
                    "a free slot while somebody waits"
                );
            }
        }

        fn step(&mut self, step: Step) {
            match step {
                Step::Arrive {
                    server,
                    deadline_ns,
                } => {
                    if let Some(slot) = server.and_then(|server| take_now(&self.servers[server])) {
                        self.serving.push((server.expect("taken"), slot));
                        return;
                    }
                    let place = match server {
                        None => Place::Backend,
                        Some(server) => Place::Server(Arc::clone(&self.servers[server])),
                    };
                    match self.waiting.join(place, 0, deadline_ns) {
                        Admit::Queued { ticket, .. } => self.expected.push_back((ticket, server)),
                        refused => {
                            assert_eq!((refused, self.waiting.len()), (Admit::RefusedByCap, 20))
                        }
                    }
                }
                Step::Finish { nth } if !self.serving.is_empty() => {
                    let (server, slot) = self.serving.swap_remove(nth % self.serving.len());
                    self.servers[server].release(slot);
                }
                Step::Leave { nth } if !self.expected.is_empty() => {
                    let (ticket, _) = self
                        .expected
                        .remove(nth % self.expected.len())
                        .expect("in range");
                    assert!(self.waiting.leave(ticket).is_some());
                }
                Step::Expire { now_ns } => {
                    while let Some((ticket, _)) = self.waiting.expire(now_ns) {
                        self.expected.retain(|&(known, _)| known != ticket);
                    }
                    assert!(
                        self.waiting
                            .next_deadline_ns()
                            .is_none_or(|deadline_ns| deadline_ns > now_ns)
                    );
                }
                Step::SetMaxconn { server, maxconn } => self.servers[server].set_maxconn(maxconn),
                Step::Finish { .. } | Step::Leave { .. } => {}
            }
        }
    }

    proptest! {
        #[test]
        fn nobody_is_lost_overtaken_or_kept_waiting(steps in steps()) {
            let (backend, servers) = servers(&[1, 2, 3]);
            let mut bench = Bench {
                waiting: Waiting::with_cap(Arc::clone(&backend), 20),
                backend,
                servers,
                serving: Vec::new(),
                expected: VecDeque::new(),
            };
            for step in steps {
                bench.step(step);
                bench.settle();
                bench.check();
            }
        }
    }

    #[test]
    fn no_wake_up_is_lost_between_threads() {
        let (backend, servers) = servers(&[2]);
        let server = &servers[0];
        let waiting = Mutex::new(Waiting::new(backend));
        let grant_all = || {
            let mut waiting = waiting.lock().expect("no panics");
            while let Some(Grant { token, slot, .. }) = waiting.grant(server, true) {
                let token: std::sync::mpsc::Sender<Slot> = token;
                token.send(slot).expect("the waiter is there");
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let slot = take_now(server).unwrap_or_else(|| {
                            let (granted, wait) = std::sync::mpsc::channel();
                            let place = Place::Server(Arc::clone(server));
                            waiting
                                .lock()
                                .expect("no panics")
                                .join(place, granted, None);
                            grant_all();
                            // A lost wake-up would leave this thread here for good.
                            wait.recv_timeout(std::time::Duration::from_secs(120))
                                .expect("a grant")
                        });
                        assert!(server.current.load(Relaxed) <= 2);
                        if server.release(slot) {
                            grant_all();
                        }
                    }
                });
            }
        });
        assert_eq!(server.load(), 0);
    }
}
