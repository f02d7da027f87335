//! How workers fare: told by each of them once a second, for those who ask.
//!
//! What is absent: the numbers themselves (`reactor`), and how they are shown (`policy::command::activity`, `policy::stats`).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use plimsoll_policy::stats::Vitals;

use crate::reactor::Reactor;

/// Those of all workers.
pub(crate) struct AllVitals(Box<[Mutex<Vitals>]>);

impl AllVitals {
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Mutex::default()).collect())
    }

    /// Takes note of how a worker fares. `busy` is the processor time it has used so far, `elapsed` what has passed since it
    /// told the last time.
    pub(crate) fn note(&self, worker: usize, reactor: &Reactor, busy: Duration, elapsed: Duration) {
        let Some(cell) = self.0.get(worker) else {
            return;
        };
        let mut vitals = cell.lock().unwrap_or_else(PoisonError::into_inner);
        let busy_ms = busy.as_millis() as u64;
        *vitals = Vitals {
            busy_ms,
            busy_percent: share(busy_ms.saturating_sub(vitals.busy_ms), elapsed),
            ..taken(reactor)
        };
    }

    /// Those of each worker, in their order.
    pub(crate) fn all(&self) -> Vec<Vitals> {
        let cells = self.0.iter();
        cells
            .map(|cell| *cell.lock().unwrap_or_else(PoisonError::into_inner))
            .collect()
    }
}

/// Per cent of a time, at most all of it.
fn share(busy_ms: u64, elapsed: Duration) -> u32 {
    let elapsed_ms = (elapsed.as_millis() as u64).max(1);
    (100 * busy_ms / elapsed_ms).min(100) as u32
}

fn taken(reactor: &Reactor) -> Vitals {
    let usage = reactor.usage();
    Vitals {
        tasks: usage.tasks as u64,
        runnable: usage.runnable as u64,
        turns: usage.turns,
        polls: usage.polls,
        events: usage.events,
        pipes: usage.pipes as u64,
        pipes_idle: usage.pipes_idle as u64,
        accept_pauses: usage.accept_pauses,
        tasks_refused: usage.tasks_refused,
        sockets_refused: usage.sockets_refused,
        pipes_refused: usage.pipes_refused,
        ..Vitals::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_stay_within_a_hundred() {
        let second = Duration::from_secs(1);
        assert_eq!(share(0, second), 0);
        assert_eq!(share(250, second), 25);
        assert_eq!(share(1_010, second), 100);
        assert_eq!(share(5, Duration::ZERO), 100);
    }
}
