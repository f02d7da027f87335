//! How other threads make a reactor listen.
//!
//! A mailbox carries no letters: it says "look again". What is new lies elsewhere (a channel, an atomic), and the
//! hooks given to [`Reactor::on_mail`](super::Reactor::on_mail) look there. Notices that come faster than the
//! reactor turns are one notice, and cost one system call.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use plimsoll_sys::event_fd::EventFd;

use super::task::{TaskId, TaskTable};

/// Notifies one reactor; may be sent to and used from any thread.
#[derive(Clone, Debug)]
pub struct Mailbox {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    event_fd: Arc<EventFd>,
    /// A notice is on its way that the reactor has not seen.
    pending: AtomicBool,
    /// Real wakers that were used. Each enters once until the reactor looks, so there are never more than exist.
    woken: Mutex<Vec<Arc<RemoteWake>>>,
}

impl Mailbox {
    /// Has the reactor run its mail hooks, soon. Everything written before is visible to them.
    pub fn notify(&self) {
        self.shared.notify();
    }

    /// Whether a notice is on its way.
    pub(super) fn is_pending(&self) -> bool {
        self.shared.pending.load(Ordering::Acquire)
    }
}

impl Shared {
    fn notify(&self) {
        if !self.pending.swap(true, Ordering::AcqRel) {
            self.event_fd.signal();
        }
    }
}

/// The reactor's end of its mailbox.
pub(super) struct Mail {
    shared: Arc<Shared>,
}

impl Mail {
    pub(super) fn new() -> io::Result<Self> {
        let event_fd = Arc::new(EventFd::new()?);
        let shared = Shared {
            event_fd,
            pending: AtomicBool::new(false),
            woken: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    pub(super) fn event_fd(&self) -> &Arc<EventFd> {
        &self.shared.event_fd
    }

    pub(super) fn mailbox(&self) -> Mailbox {
        Mailbox {
            shared: Arc::clone(&self.shared),
        }
    }

    pub(super) fn waker(&self, task: TaskId) -> Waker {
        Waker::from(Arc::new(RemoteWake {
            task,
            queued: AtomicBool::new(false),
            shared: Arc::clone(&self.shared),
        }))
    }

    /// Makes the mailbox empty, and wakes what wakers have asked for.
    ///
    /// The order matters: a notice that comes behind the swap signals anew, so none is lost.
    pub(super) fn receive(&self, tasks: &mut TaskTable) {
        self.shared.event_fd.drain();
        self.shared.pending.swap(false, Ordering::AcqRel);
        let woken = std::mem::take(
            &mut *self
                .shared
                .woken
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for waker in woken {
            // Before the wake: whoever uses the waker from now on wants another look. A swap and not a store, so that
            // what its users wrote before is visible to the task.
            waker.queued.swap(false, Ordering::AcqRel);
            tasks.wake(waker.task);
        }
    }
}

#[derive(Debug)]
struct RemoteWake {
    task: TaskId,
    /// In the list of those that were used.
    queued: AtomicBool,
    shared: Arc<Shared>,
}

impl Wake for RemoteWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut woken = self
            .shared
            .woken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        woken.push(Arc::clone(self));
        drop(woken);
        self.shared.notify();
    }
}
