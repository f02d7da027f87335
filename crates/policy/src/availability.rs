//! How often, and for how long, a backend had no server to offer (`chkdown`, `downtime` and `lastchg` of its row).
//!
//! Whoever changes a server says afterwards whether any is usable. What is absent: clocks, and the servers themselves.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Counts of one backend. Written when the state of a server changes, read by statistics.
#[derive(Debug, Default)]
pub struct Availability {
    is_down: AtomicBool,
    times_down: AtomicU64,
    /// Time spent down until the last change, in seconds.
    down_s: AtomicU64,
    /// When it last went down or came back, in seconds since 1970; 0: not since the start.
    changed_s: AtomicU64,
}

impl Availability {
    /// What holds before anything changes: that a backend begins without a usable server is no event.
    pub fn begin(&self, usable: bool) {
        self.is_down.store(!usable, Relaxed);
    }

    /// Goes on from what a file of counters says.
    pub fn recall(&self, times_down: u64, changed_s: u64) {
        self.times_down.store(times_down, Relaxed);
        self.changed_s.store(changed_s, Relaxed);
    }

    /// Notes whether any server is usable now; `now_s` and `started_s` are seconds since 1970.
    pub fn note(&self, usable: bool, now_s: u64, started_s: u64) {
        if self.is_down.swap(!usable, Relaxed) != usable {
            return;
        }
        let since_s = match self.changed_s.swap(now_s, Relaxed) {
            0 => started_s,
            changed_s => changed_s,
        };
        if usable {
            let spent_s = now_s.saturating_sub(since_s);
            self.down_s.fetch_add(spent_s, Relaxed);
        } else {
            self.times_down.fetch_add(1, Relaxed);
        }
    }

    pub fn times_down(&self) -> u64 {
        self.times_down.load(Relaxed)
    }

    /// When it last went down or came back, in seconds since 1970; 0: not since the start.
    pub fn changed_s(&self) -> u64 {
        self.changed_s.load(Relaxed)
    }

    /// Time spent down, of which so many seconds are those since the last change.
    pub fn down_s(&self, since_change_s: u64) -> u64 {
        let now_s = match self.is_down.load(Relaxed) {
            true => since_change_s,
            false => 0,
        };
        self.down_s.load(Relaxed).saturating_add(now_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_are_counted_and_their_time_is_summed() {
        let seen = Availability::default();
        seen.begin(true);
        for (usable, now_s, times_down, down_s) in [
            (true, 105, 0, 0),
            (false, 110, 1, 0),
            (false, 115, 1, 0),
            (true, 120, 1, 10),
            (false, 130, 2, 10),
            (true, 137, 2, 17),
        ] {
            seen.note(usable, now_s, 100);
            assert_eq!(
                (seen.times_down(), seen.down_s(0)),
                (times_down, down_s),
                "{now_s}"
            );
        }
        assert_eq!(seen.changed_s(), 137);
    }

    #[test]
    fn a_backend_that_begins_without_servers_is_down_since_the_start() {
        let seen = Availability::default();
        seen.begin(false);
        assert_eq!(
            (seen.times_down(), seen.changed_s(), seen.down_s(7)),
            (0, 0, 7)
        );
        seen.note(true, 110, 100);
        assert_eq!((seen.times_down(), seen.down_s(3)), (0, 10));
    }

    #[test]
    fn counts_go_on_from_a_file() {
        let seen = Availability::default();
        seen.begin(true);
        seen.recall(4, 90);
        seen.note(false, 110, 100);
        seen.note(true, 112, 100);
        assert_eq!((seen.times_down(), seen.down_s(0)), (5, 2));
    }
}
