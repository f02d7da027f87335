//! What the rest of the process asks of a worker.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use plimsoll_policy::model::{BackendId, FrontendId, ServerId};

use crate::reactor::Mailbox;

/// Orders waiting for one worker; more than this means that it has not turned for a long time.
pub(crate) const ORDERS_MAX: usize = 1_024;

/// A change, obeyed between two turns.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// Accept nothing more, let what runs end, then stop.
    StopGracefully,
    /// Drop everything and stop.
    StopNow,
    /// Give up a frontend's addresses.
    CloseFrontend(FrontendId),
    /// Hand out free slots of a server to those who wait.
    ServeWaiting(BackendId, ServerId),
    /// Close idle connections to a server.
    DropIdle(BackendId, ServerId),
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
    pub(crate) fn send(&self, order: Order) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let room = waiting.len() < ORDERS_MAX;
        if room {
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
