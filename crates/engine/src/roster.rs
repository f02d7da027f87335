//! Who is connected now: for `show sess`, and to be cut off one by one.
//!
//! A connection signs the roster of its worker when it comes and is struck off when it goes; both take a lock that only
//! those who ask contend for. What changes in between (requests, the server) are single words, written without one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use plimsoll_policy::model::{BackendId, FrontendId, ServerId};
use plimsoll_policy::plane::Plane;
use plimsoll_policy::stats::Visitor;

use crate::listener::Admission;

/// All client connections of the process.
pub(crate) struct Roster {
    workers: Box<[Mutex<Leaf>]>,
    /// The number of the connection that comes next; those of all workers are told apart.
    next: AtomicU64,
}

/// One worker's connections. Places are used again.
#[derive(Default)]
struct Leaf {
    places: Vec<Weak<Admission>>,
    free: Vec<u32>,
}

/// What the roster tells of one connection.
pub(crate) struct Presence {
    roster: Arc<Roster>,
    worker: u32,
    place: AtomicU32,
    number: u64,
    accepted_us: u64,
    /// Requests begun so far.
    pub(crate) requests: AtomicU32,
    /// An operator wants it to end.
    doomed: AtomicBool,
    /// The backend and the server at which it is, each counted from 1; 0: nowhere.
    at: AtomicU64,
    /// By whose names all this goes, and where it comes from.
    known: Mutex<Known>,
}

struct Known {
    plane: Arc<Plane>,
    frontend: FrontendId,
    bind: usize,
    source: Option<SocketAddr>,
}

/// How a connection introduces itself.
pub(crate) struct Introduction {
    pub(crate) plane: Arc<Plane>,
    pub(crate) frontend: FrontendId,
    pub(crate) bind: usize,
    pub(crate) source: Option<SocketAddr>,
    pub(crate) accepted_us: u64,
}

impl Roster {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| Mutex::default()).collect(),
            next: AtomicU64::new(1),
        }
    }

    /// Signs a connection of a worker in.
    pub(crate) fn sign(
        self: &Arc<Self>,
        worker: usize,
        mut admission: Admission,
        who: Introduction,
    ) -> Arc<Admission> {
        admission.presence = Some(Presence {
            roster: Arc::clone(self),
            worker: worker as u32,
            place: AtomicU32::new(u32::MAX),
            number: self.next.fetch_add(1, Relaxed),
            accepted_us: who.accepted_us,
            requests: AtomicU32::new(0),
            doomed: AtomicBool::new(false),
            at: AtomicU64::new(0),
            known: Mutex::new(Known {
                plane: who.plane,
                frontend: who.frontend,
                bind: who.bind,
                source: who.source,
            }),
        });
        let admission = Arc::new(admission);
        let Some(mut leaf) = self.leaf(worker) else {
            return admission;
        };
        let weak = Arc::downgrade(&admission);
        let place = match leaf.free.pop() {
            Some(place) => {
                leaf.places[place as usize] = weak;
                place
            }
            None => {
                leaf.places.push(weak);
                (leaf.places.len() - 1) as u32
            }
        };
        if let Some(presence) = &admission.presence {
            presence.place.store(place, Relaxed);
        }
        drop(leaf);
        admission
    }

    fn leaf(&self, worker: usize) -> Option<MutexGuard<'_, Leaf>> {
        let leaf = self.workers.get(worker)?;
        Some(leaf.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn strike(&self, worker: usize, place: u32) {
        let Some(mut leaf) = self.leaf(worker) else {
            return;
        };
        if let Some(weak) = leaf.places.get_mut(place as usize) {
            *weak = Weak::new();
            leaf.free.push(place);
        }
    }

    /// Whoever is there now.
    fn present(&self) -> Vec<Arc<Admission>> {
        let mut all = Vec::new();
        for worker in 0..self.workers.len() {
            if let Some(leaf) = self.leaf(worker) {
                all.extend(leaf.places.iter().filter_map(Weak::upgrade));
            }
        }
        all
    }

    /// All connections, the oldest first.
    pub(crate) fn visitors(&self) -> Vec<Visitor> {
        let present = self.present();
        let told = present.iter().filter_map(|it| it.presence.as_ref());
        let mut all: Vec<_> = told.map(Presence::tell).collect();
        all.sort_by_key(|visitor| visitor.number);
        all
    }

    /// Marks a connection for its end, which it sees when it is woken; false: there is none of this number.
    pub(crate) fn doom(&self, number: u64) -> bool {
        let present = self.present();
        let mut all = present.iter().filter_map(|it| it.presence.as_ref());
        let found = all.find(|presence| presence.number == number);
        if let Some(presence) = found {
            presence.doomed.store(true, Relaxed);
        }
        found.is_some()
    }
}

impl Presence {
    pub(crate) fn is_doomed(&self) -> bool {
        self.doomed.load(Relaxed)
    }

    /// It has come to a server; `None`: it is at none any more.
    pub(crate) fn goes_to(&self, place: Option<(BackendId, ServerId)>) {
        let at = place.map_or(0, |(backend, server)| {
            u64::from(backend.0 + 1) << 32 | u64::from(server.0 + 1)
        });
        self.at.store(at, Relaxed);
    }

    /// It goes by the names of another plane from now on.
    pub(crate) fn follows(&self, plane: &Arc<Plane>, frontend: FrontendId, bind: usize) {
        let mut known = self.known();
        (known.frontend, known.bind) = (frontend, bind);
        known.plane = Arc::clone(plane);
    }

    /// It really comes from there.
    pub(crate) fn comes_from(&self, source: SocketAddr) {
        self.known().source = Some(source);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) -> Visitor {
        let known = self.known();
        let at = self.at.load(Relaxed);
        // A stream may have gone there by the names of a plane before.
        let backend = (at >> 32).checked_sub(1).map(|id| BackendId(id as u32));
        let server = (at & u64::from(u32::MAX)).checked_sub(1);
        let backend = backend.filter(|id| (id.0 as usize) < known.plane.model.backends.len());
        let at = backend.zip(server).and_then(|(backend, server)| {
            let servers = &known.plane.model.backends[backend.0 as usize].servers;
            let server = ServerId(server as u32);
            ((server.0 as usize) < servers.len()).then_some((backend, server))
        });
        Visitor {
            number: self.number,
            worker: self.worker,
            accepted_us: self.accepted_us,
            requests: self.requests.load(Relaxed),
            source: known.source,
            plane: Arc::clone(&known.plane),
            frontend: known.frontend,
            bind: known.bind,
            at,
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.roster
            .strike(self.worker as usize, self.place.load(Relaxed));
    }
}
