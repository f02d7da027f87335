//! What the rest of the process asks of a worker.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use plimsoll_policy::live::ServerLive;
use plimsoll_policy::plane::FrontendLive;

use crate::listener::Entrance;
use crate::reactor::Mailbox;
use crate::sockets::Fixture;
use crate::tables::Shared;

/// Orders waiting for one worker; more than this means that it has not turned for a long time.
pub(crate) const ORDERS_MAX: usize = 1_024;

/// A change, obeyed between two turns.
///
/// Whom it concerns is said by live state and not by ids, since an id means somebody else once a plane has been adopted.
#[derive(Clone)]
pub(crate) enum Order {
    /// Accept nothing more, let what runs end, then stop.
    StopGracefully,
    /// Drop everything and stop.
    StopNow,
    /// Give up a frontend's addresses.
    CloseFrontend(Arc<FrontendLive>),
    /// Hand out free slots of a server to those who wait.
    ServeWaiting(Arc<ServerLive>),
    /// Let those choose again who wait for a server.
    Redistribute(Arc<ServerLive>),
    /// Look whether somebody is to be cut off.
    Recall,
    /// Close idle connections to a server.
    DropIdle(Arc<ServerLive>),
    /// Count down: the worker turns.
    Tell(Arc<AtomicUsize>),
    /// Serve what begins from now on by this plane.
    Adopt(Arc<Adoption>),
}

/// A plane to adopt, and the listening sockets that come with it.
pub(crate) struct Adoption {
    pub(crate) shared: Shared,
    /// Every listener of the new plane, those that stay included. Others are closed.
    pub(crate) fixtures: Vec<Fixture>,
    /// New sockets of each worker.
    fresh: Vec<Mutex<Vec<Fresh>>>,
    /// Workers that have not adopted it yet.
    awaited: AtomicUsize,
}

/// A socket that a worker is to accept from.
pub(crate) struct Fresh {
    pub(crate) socket: OwnedFd,
    /// The first bytes of a connection are mostly there when it is accepted.
    pub(crate) eager: bool,
    pub(crate) entrance: Entrance,
}

impl Adoption {
    pub(crate) fn new(shared: Shared, fixtures: Vec<Fixture>, fresh: Vec<Vec<Fresh>>) -> Self {
        Self {
            shared,
            fixtures,
            awaited: AtomicUsize::new(fresh.len()),
            fresh: fresh.into_iter().map(Mutex::new).collect(),
        }
    }

    /// The new sockets of worker number `index`, once.
    pub(crate) fn take_fresh(&self, index: usize) -> Vec<Fresh> {
        let fresh = self.fresh.get(index);
        fresh.map_or_else(Vec::new, |fresh| {
            std::mem::take(&mut fresh.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }

    /// Told by each worker when it serves by the plane.
    pub(crate) fn adopted(&self) {
        self.awaited.fetch_sub(1, Ordering::Release);
    }

    /// Whether every worker serves by the plane.
    pub(crate) fn is_adopted(&self) -> bool {
        self.awaited.load(Ordering::Acquire) == 0
    }
}

/// The sending end of a worker's orders.
#[derive(Clone)]
pub(crate) struct Orders {
    waiting: Arc<Mutex<VecDeque<Order>>>,
    mailbox: Mailbox,
}

impl Orders {
    pub(crate) fn new(mailbox: Mailbox) -> Self {
        Self {
            waiting: Arc::default(),
            mailbox,
        }
    }

    /// Sends an order; `false` when the worker has too many waiting already.
    ///
    /// Planes and ends are never refused: a worker that missed one would serve by an old plane, or for ever.
    pub(crate) fn send(&self, order: Order) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let must = matches!(
            order,
            Order::Adopt(_) | Order::StopGracefully | Order::StopNow
        );
        let room = must || waiting.len() < ORDERS_MAX;
        if room {
            // Only the newest of several planes matters, but each brings sockets that must not be lost.
            waiting.push_back(order);
        }
        drop(waiting);
        self.mailbox.notify();
        room
    }

    /// The oldest order not yet obeyed.
    pub(crate) fn next(&self) -> Option<Order> {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }
}
