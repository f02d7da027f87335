//! `maxconn` of the process and of frontends: a counted gate in front of accepting.
//!
//! A full gate accepts nothing, so that further connections wait in the kernel's backlog, where they cost nothing.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

/// Counts the connections that have passed, up to a limit. Shared by all workers.
#[derive(Debug)]
pub(crate) struct Gate {
    passed: AtomicU32,
    /// How often somebody had to wait.
    turned_back: AtomicU64,
    limit: AtomicU32,
    /// Somebody stands in `waiting`: looked at whenever a connection ends, which is why it is not the list itself.
    crowded: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Gate {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            passed: AtomicU32::new(0),
            turned_back: AtomicU64::new(0),
            limit: AtomicU32::new(limit),
            crowded: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }

    pub(crate) fn passed(&self) -> u32 {
        self.passed.load(Ordering::Relaxed)
    }

    /// How many more may pass.
    pub(crate) fn room(&self) -> u32 {
        let limit = self.limit.load(Ordering::Relaxed);
        limit.saturating_sub(self.passed())
    }

    pub(crate) fn turned_back(&self) -> u64 {
        self.turned_back.load(Ordering::Relaxed)
    }

    /// Changes the limit; who has passed stays.
    pub(crate) fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Ordering::SeqCst);
        self.wake();
    }

    /// Lets one connection through, or remembers whom to wake when that may succeed.
    pub(crate) fn pass(self: &Arc<Self>, waker: impl FnOnce() -> Waker) -> Option<Pass> {
        if let Some(pass) = self.try_pass() {
            return Some(pass);
        }
        self.turned_back.fetch_add(1, Ordering::Relaxed);
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(waker());
        self.crowded.store(true, Ordering::SeqCst);
        // Room may have been made between the look and the note; its maker did not see the note.
        self.try_pass()
    }

    /// Lets one connection through, if there is room now.
    pub(crate) fn pass_now(self: &Arc<Self>) -> Option<Pass> {
        self.try_pass()
    }

    fn try_pass(self: &Arc<Self>) -> Option<Pass> {
        self.passed
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |passed| {
                (passed < self.limit.load(Ordering::SeqCst)).then_some(passed + 1)
            })
            .ok()
            .map(|_| Pass(Arc::clone(self)))
    }

    fn wake(&self) {
        if self.crowded.swap(false, Ordering::SeqCst) {
            let waiting =
                std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Pass(Arc<Gate>);

impl Pass {
    /// How many hold a place now.
    pub(crate) fn passed(&self) -> u32 {
        self.0.passed()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.passed.fetch_sub(1, Ordering::SeqCst);
        self.0.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_gate_opens_when_somebody_leaves() {
        let gate = Arc::new(Gate::new(2));
        let first = gate.pass(|| unreachable!()).unwrap();
        let _second = gate.pass(|| unreachable!()).unwrap();
        assert!(gate.pass(|| Waker::noop().clone()).is_none());
        assert_eq!(gate.turned_back(), 1);
        assert!(gate.crowded.load(Ordering::SeqCst));
        drop(first);
        assert!(!gate.crowded.load(Ordering::SeqCst), "who waited was woken");
        assert!(gate.pass(|| unreachable!()).is_some());
        assert_eq!(gate.passed(), 1);
    }

    #[test]
    fn a_higher_limit_lets_waiting_ones_try_again() {
        let gate = Arc::new(Gate::new(0));
        assert!(gate.pass(|| Waker::noop().clone()).is_none());
        gate.set_limit(1);
        assert!(!gate.crowded.load(Ordering::SeqCst), "who waited was woken");
        let _pass = gate.pass(|| unreachable!()).unwrap();
        gate.set_limit(0);
        assert_eq!(gate.passed(), 1, "who has passed stays");
    }
}
