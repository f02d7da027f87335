//! Events per second over the last second, from two counts and the time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const PERIOD_MS: u64 = 1_000;

/// A meter of events per second, written by one worker and read by anyone.
///
/// Seconds begin at multiples of 1,000 of the caller's milliseconds, so that the meters of several workers that share a
/// clock may be summed. Within a second the one before still counts for the part of it that lies less than
/// a second back, as in HAProxy's frequency counters.
#[derive(Debug, Default)]
pub struct Rate {
    /// The number of a second in the upper half, the events in it in the lower.
    present: AtomicU64,
    /// The same for an earlier second.
    past: AtomicU64,
}

impl Rate {
    /// Counts events; returns how many this second has seen.
    pub fn add(&self, number: u32, now_ms: u64) -> u32 {
        let second = second_of(now_ms);
        let present = self.present.load(Relaxed);
        // A clock that has gone back counts into the second it was in.
        let behind = (second.wrapping_sub(half(present)) as i32) <= 0;
        let count = if behind {
            (present as u32).saturating_add(number)
        } else {
            self.past.store(present, Relaxed);
            number
        };
        let second = if behind { half(present) } else { second };
        self.present.store(join(second, count), Relaxed);
        count
    }

    /// Events per second at `now_ms`.
    pub fn read(&self, now_ms: u64) -> u32 {
        let (past, present) = self.counts(now_ms);
        // One event a second would flicker between 0 and 1.
        if present == 0 && past <= 1 {
            return past;
        }
        let left = PERIOD_MS - now_ms % PERIOD_MS;
        (u64::from(present) + u64::from(past) * left / PERIOD_MS).min(u64::from(u32::MAX)) as u32
    }

    /// Events in the last whole second: for exact maxima across workers, read once a second.
    pub fn last_second(&self, now_ms: u64) -> u32 {
        self.counts(now_ms).0
    }

    /// Events in the second before `now_ms` and in the one it lies in.
    fn counts(&self, now_ms: u64) -> (u32, u32) {
        let second = second_of(now_ms);
        let (present, past) = (self.present.load(Relaxed), self.past.load(Relaxed));
        let within = |wanted: u32| {
            [present, past]
                .into_iter()
                .find(|&pair| half(pair) == wanted)
                .map_or(0, |pair| pair as u32)
        };
        (within(second.wrapping_sub(1)), within(second))
    }
}

/// Seconds wrap after 136 years.
fn second_of(now_ms: u64) -> u32 {
    (now_ms / PERIOD_MS) as u32
}

fn half(pair: u64) -> u32 {
    (pair >> 32) as u32
}

fn join(second: u32, count: u32) -> u64 {
    u64::from(second) << 32 | u64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_past_fades() {
        let rate = Rate::default();
        for _ in 0..100 {
            rate.add(1, 5_500);
        }
        for (now_ms, expected) in [
            (5_500, 100),
            (6_000, 100),
            (6_250, 75),
            (6_999, 0),
            (7_000, 0),
        ] {
            assert_eq!(rate.read(now_ms), expected, "at {now_ms}");
        }
        assert_eq!(rate.last_second(6_500), 100);
        assert_eq!(rate.last_second(7_500), 0);
    }

    #[test]
    fn one_event_a_second_does_not_flicker() {
        let rate = Rate::default();
        rate.add(1, 1_000);
        assert_eq!(rate.read(2_999), 1);
        assert_eq!(rate.read(3_000), 0);
    }

    #[test]
    fn seconds_without_events_are_not_the_past() {
        let rate = Rate::default();
        rate.add(50, 1_000);
        rate.add(3, 9_000);
        assert_eq!(rate.read(9_000), 3);
    }

    #[test]
    fn a_clock_that_goes_back_loses_nothing() {
        let rate = Rate::default();
        rate.add(5, 9_000);
        assert_eq!(rate.add(1, 8_000), 6);
        assert_eq!(rate.read(9_000), 6);
    }

    proptest! {
        /// A steady stream is read as what it is, whenever one looks, but for rounding.
        #[test]
        fn steady_streams(per_second in 1_u32..1_000, look_ms in 2_000_u64..8_000) {
            let rate = Rate::default();
            let events = (0..u64::from(per_second) * 8).map(|n| n * 1_000 / u64::from(per_second));
            for at_ms in events.take_while(|&at_ms| at_ms <= look_ms) {
                rate.add(1, at_ms);
            }
            prop_assert!(rate.read(look_ms).abs_diff(per_second) <= 1);
        }
    }
}
