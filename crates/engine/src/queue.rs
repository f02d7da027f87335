//! Slots of servers, and waiting for one.
//!
//! Without limits a slot is one atomic addition. Under `maxconn` it is a compare-and-swap; only when that fails does
//! a request enter its backend's queue, which is shared by all workers and guarded by a lock.

use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use plimsoll_policy::balance::{BalanceSpec, Pick};
use plimsoll_policy::kin::Kin;
use plimsoll_policy::live::{self, ServerLive};
use plimsoll_policy::model::{BackendId, ServerId};
use plimsoll_policy::plane::{BackendPlane, Plane};
use plimsoll_policy::queue::{self, Admit, Place, Priority, Ticket, Waiting};

use crate::account;
use crate::fault::Fault;
use crate::listener::Admission;
use crate::tables::Tables;
use crate::worker::Worker;

/// Choices made again when the server that was waited for goes out of service; whoever sees it happen more often than
/// this waits for the whole backend.
const EVICTIONS_MAX: u32 = 8;

/// Choices made again when the chosen server's last slot was taken by another worker meanwhile.
const PICKS_MAX: u32 = 3;

/// The queues of all backends, in the order of the plane's backends.
#[derive(Default)]
pub(crate) struct Queues(Vec<Arc<Mutex<Waiting<Arc<Seat>>>>>);

impl Queues {
    /// Queues for a plane; those of backends that were there `before` go on.
    pub(crate) fn new(plane: &Plane, before: Option<(&Self, &Kin)>) -> Self {
        let backends = (0..plane.model.backends.len() as u32).map(BackendId);
        let queue = |id| {
            let known = before.and_then(|(old, kin)| Some((old, kin.backend(id)?)));
            match known {
                Some((old, id)) => Arc::clone(&old.0[id.0 as usize]),
                None => {
                    let live = Arc::clone(&plane.backend(id).live);
                    Arc::new(Mutex::new(Waiting::new(live)))
                }
            }
        };
        Self(backends.map(queue).collect())
    }

    fn lock(&self, backend: BackendId) -> MutexGuard<'_, Waiting<Arc<Seat>>> {
        self.0[backend.0 as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a waiting request finds what it was given, and how it is woken.
pub(crate) struct Seat {
    given: Mutex<Option<(Arc<ServerLive>, live::Slot)>>,
    /// The server that was waited for is out of service.
    evicted: AtomicBool,
    waker: Waker,
    /// The servers that the request may be sent to: those of the plane it began with.
    plane: Arc<BackendPlane>,
}

impl Seat {
    /// What was given, as the request's own plane calls it.
    fn take(&self) -> Option<(ServerId, live::Slot)> {
        let given = self
            .given
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let (live, slot) = given?;
        match self.plane.server_of(&live) {
            Some(server) => Some((server, slot)),
            None => {
                debug_assert!(false, "only servers that the request knows are given");
                live.release(slot);
                None
            }
        }
    }

    fn knows(&self, plane: &Arc<BackendPlane>, server: &Arc<ServerLive>) -> bool {
        Arc::ptr_eq(plane, &self.plane) || self.plane.server_of(server).is_some()
    }
}

/// A server's promise to take one exchange; given back when dropped.
pub(crate) struct Slot {
    tables: Rc<Tables>,
    pub(crate) backend: BackendId,
    pub(crate) server: ServerId,
    slot: Option<live::Slot>,
    /// How often the server had been recalled, and vacated, when the slot was given.
    recalls: (u32, u32),
}

/// Tells whether whoever holds a slot is to be cut off.
#[derive(Clone, Copy)]
pub(crate) struct Recall<'a> {
    live: &'a ServerLive,
    recalls: (u32, u32),
    /// The client's connection, which may be cut off by itself.
    client: &'a Admission,
}

impl Recall<'_> {
    /// The fault to end with, once there is one.
    pub(crate) fn fault(self) -> Option<Fault> {
        let (recalls, kills) = self.recalls;
        if self.client.is_doomed() || self.live.kills() != kills {
            return Some(Fault::Killed);
        }
        if self.live.recalls() == recalls {
            return None;
        }
        let out = !self.live.state().is_in();
        Some(match out {
            true => Fault::ServerDown,
            false => Fault::ServerUp,
        })
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = (self.backend, self.server);
        f.debug_tuple("Slot").field(&place).finish()
    }
}

impl Slot {
    fn new(
        tables: &Rc<Tables>,
        (backend, server): (BackendId, ServerId),
        slot: live::Slot,
    ) -> Self {
        let live = tables.plane.backend(backend).server(server);
        Self {
            recalls: (live.recalls(), live.kills()),
            tables: Rc::clone(tables),
            backend,
            server,
            slot: Some(slot),
        }
    }

    /// Tells whether whoever has this slot for that client is to be cut off.
    pub(crate) fn recall<'a>(&'a self, client: &'a Admission) -> Recall<'a> {
        Recall {
            client,
            live: self.live(),
            recalls: self.recalls,
        }
    }

    pub(crate) fn live(&self) -> &Arc<ServerLive> {
        self.tables.plane.backend(self.backend).server(self.server)
    }
}

impl Slot {
    /// Gives the slot back; how many the server still serves, before anyone who waited takes it.
    pub(crate) fn release(self) -> u32 {
        self.live().served().saturating_sub(1)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let slot = self.slot.take();
        let live = self.live();
        if let Some(slot) = slot {
            live.release(slot);
        }
        if live.somebody_waits() {
            serve_waiting(&self.tables, self.backend, self.server);
        }
    }
}

/// Where a request waited, if it had to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waited {
    /// How many were before it in the server's or in the backend's queue, itself included.
    pub(crate) behind: (u32, u32),
    /// The server whose queue it was sent to.
    pub(crate) server: Option<ServerId>,
}

impl Waited {
    /// Whether it got as far as a place in a queue.
    pub(crate) fn has_queued(self) -> bool {
        self.behind != (0, 0)
    }
}

/// How a request waits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manners {
    /// The server that it is meant for.
    pub(crate) pinned: Option<ServerId>,
    /// For how long at most; `None`: as the backend says.
    pub(crate) queue_ms: Option<u64>,
    pub(crate) priority: Priority,
}

/// Picks a server, the pinned one if there is, and takes a slot of it, waiting if need be; `gone` gives up the wait.
///
/// `note` tells afterwards, whatever the outcome, where the request waited.
pub(crate) async fn acquire(
    worker: &Rc<Worker>,
    tables: &Rc<Tables>,
    backend: BackendId,
    manners: Manners,
    pick: &Pick<'_>,
    note: &mut Waited,
    mut gone: impl FnMut() -> bool,
) -> Result<Slot, Fault> {
    let mut pinned = manners.pinned;
    let deadline_ns = match manners.queue_ms {
        Some(_) => worker.deadline(manners.queue_ms),
        None => queue_deadline(worker, tables, backend),
    };
    for evictions in 0..=EVICTIONS_MAX {
        let chosen = match choose(tables, backend, pinned, pick)? {
            Choice::Slot(slot) => return Ok(slot),
            Choice::Wait(chosen) => chosen.filter(|_| evictions < EVICTIONS_MAX),
        };
        note.server = chosen;
        let terms = (deadline_ns, manners.priority);
        let waited = Box::pin(wait(worker, tables, backend, terms, note, &mut gone));
        if let Some(slot) = waited.await? {
            return Ok(slot);
        }
        pinned = None;
    }
    Err(Fault::NoServer)
}

/// When a request that has just come has waited for long enough.
fn queue_deadline(worker: &Worker, tables: &Tables, backend: BackendId) -> u64 {
    let timeouts = tables.backend(backend).timeouts;
    worker.deadline(timeouts.queue_ms.or(timeouts.connect_ms))
}

/// What a look at the servers leads to.
enum Choice {
    Slot(Slot),
    /// Every slot is taken: of this server, to which the request is bound, or of all.
    Wait(Option<ServerId>),
}

fn choose(
    tables: &Rc<Tables>,
    backend: BackendId,
    pinned: Option<ServerId>,
    pick: &Pick<'_>,
) -> Result<Choice, Fault> {
    let plane = tables.plane.backend(backend);
    let mut chosen = None;
    for _ in 0..PICKS_MAX {
        chosen = pinned.or_else(|| tables.pick(backend, pick));
        let Some(server) = chosen else { break };
        if let Some(slot) = queue::take_now(plane.server(server)) {
            return Ok(Choice::Slot(Slot::new(tables, (backend, server), slot)));
        }
    }
    if chosen.is_none() && tables.arrangement(backend).usable == 0 {
        return Err(Fault::NoServer);
    }
    Ok(Choice::Wait(chosen))
}

/// Whether the algorithm binds a request to one server, so that it waits for that one alone.
pub(crate) fn binds(spec: &BalanceSpec) -> bool {
    match spec {
        BalanceSpec::Source
        | BalanceSpec::Uri { .. }
        | BalanceSpec::UrlParam { .. }
        | BalanceSpec::Header { .. }
        | BalanceSpec::Hash { .. }
        | BalanceSpec::RdpCookie { .. } => true,
        BalanceSpec::RoundRobin
        | BalanceSpec::StaticRoundRobin
        | BalanceSpec::LeastConnections
        | BalanceSpec::First
        | BalanceSpec::Random { .. }
        | BalanceSpec::PeakEwma => false,
    }
}

/// Waits for a slot of the server that `note` names, or of any; `None`: that server is out of service.
async fn wait(
    worker: &Rc<Worker>,
    tables: &Rc<Tables>,
    backend: BackendId,
    (deadline_ns, priority): (u64, Priority),
    note: &mut Waited,
    gone: &mut impl FnMut() -> bool,
) -> Result<Option<Slot>, Fault> {
    let seat = Arc::new(Seat {
        given: Mutex::default(),
        evicted: AtomicBool::new(false),
        waker: worker.reactor.waker(),
        plane: Arc::clone(tables.plane.backend(backend)),
    });
    let live = |server| tables.plane.backend(backend).server(server);
    let place = match note.server {
        Some(server) => Place::Server(Arc::clone(live(server))),
        None => Place::Backend,
    };
    let admitted = tables
        .queues
        .lock(backend)
        .join_with(place, Arc::clone(&seat), None, priority);
    let Admit::Queued { ticket, ahead } = admitted else {
        return Err(Fault::QueueFull);
    };
    account::queued(tables, backend, note.server);
    note.behind = match note.server {
        Some(_) => (ahead + 1, 0),
        None => (0, ahead + 1),
    };
    let queued = Queued {
        tables: Rc::clone(tables),
        backend,
        ticket,
        seat,
    };
    // A slot may have come free between the look and the note that somebody waits.
    match note.server {
        // So may the server have gone, with those who waited then.
        Some(server) if is_gone(live(server)) => return Ok(None),
        Some(server) => serve_waiting(tables, backend, server),
        None => (0..tables.backend(backend).servers.len() as u32)
            .map(ServerId)
            .for_each(|server| serve_waiting(tables, backend, server)),
    }
    let given = worker
        .reactor
        .until(deadline_ns, || match queued.seat.take() {
            Some(given) => Poll::Ready(Ok(Some(given))),
            None if queued.seat.evicted.load(Ordering::Acquire) => Poll::Ready(Ok(None)),
            None if gone() => Poll::Ready(Err(Fault::ClientClosed)),
            None => Poll::Pending,
        });
    let given = given.await.map_err(|_| Fault::QueueTimeout)??;
    Ok(given.map(|(server, slot)| Slot::new(tables, (backend, server), slot)))
}

/// Nobody should wait for this server alone.
fn is_gone(live: &ServerLive) -> bool {
    !live.state().is_in()
}

/// Lets those choose again who wait for a server that is out of service.
pub(crate) fn redistribute(tables: &Tables, backend: BackendId, server: ServerId) {
    let live = tables.plane.backend(backend).server(server);
    let evicted = tables.queues.lock(backend).evict(live);
    for (_, seat) in evicted {
        seat.evicted.store(true, Ordering::Release);
        seat.waker.wake_by_ref();
    }
}

/// A request's place in a queue; leaves it when dropped, and passes on a slot that came too late.
struct Queued {
    tables: Rc<Tables>,
    backend: BackendId,
    ticket: Ticket,
    seat: Arc<Seat>,
}

impl Drop for Queued {
    fn drop(&mut self) {
        let waited = self
            .tables
            .queues
            .lock(self.backend)
            .leave(self.ticket)
            .is_some();
        if !waited && let Some((server, slot)) = self.seat.take() {
            drop(Slot::new(&self.tables, (self.backend, server), slot));
        }
    }
}

/// Hands free slots of `server` to those who wait for them.
pub(crate) fn serve_waiting(tables: &Tables, backend: BackendId, server: ServerId) {
    let plane = tables.plane.backend(backend);
    let live = plane.server(server);
    let for_backend = tables.takes_part(backend, server);
    loop {
        let mut waiting = tables.queues.lock(backend);
        let grant = waiting.grant_to(live, for_backend, |seat| seat.knows(plane, live));
        drop(waiting);
        let Some(grant) = grant else { return };
        let seat = grant.token;
        *seat.given.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((grant.server, grant.slot));
        seat.waker.wake_by_ref();
    }
}
