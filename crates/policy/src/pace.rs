//! So many connections per second, and no more: `maxconnrate`, `maxsessrate`, `rate-limit sessions`.
//!
//! What is absent: clocks and waiting. Shared by all workers without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const NS_PER_S: u64 = 1_000_000_000;

/// Lets a second's worth through at once, and then one at a time as the rate allows.
#[derive(Debug, Default)]
pub struct Pace {
    /// When the next one would be due if all came evenly spread.
    due_ns: AtomicU64,
}

impl Pace {
    /// Whether one more may pass now under a rate per second; otherwise when it may be asked again.
    ///
    /// # Errors
    /// The moment at which there is room again.
    pub fn pass(&self, per_second: u32, now_ns: u64) -> Result<(), u64> {
        let interval_ns = NS_PER_S / u64::from(per_second.max(1));
        let last_ns = now_ns.saturating_add(NS_PER_S.saturating_sub(interval_ns));
        let passed = self.due_ns.fetch_update(Relaxed, Relaxed, |due_ns| {
            let due_ns = due_ns.max(now_ns);
            (due_ns <= last_ns).then(|| due_ns + interval_ns)
        });
        match passed {
            Ok(_) => Ok(()),
            Err(due_ns) => Err(due_ns.saturating_sub(NS_PER_S - interval_ns)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of those who come in every millisecond of `seconds` pass.
    fn passed(per_second: u32, seconds: u64) -> usize {
        let pace = Pace::default();
        let moments = (0..seconds * 1_000).map(|ms| NS_PER_S + ms * 1_000_000);
        moments
            .flat_map(|now_ns| [now_ns; 3])
            .filter(|now_ns| pace.pass(per_second, *now_ns).is_ok())
            .count()
    }

    #[test]
    fn a_seconds_worth_passes_at_once_and_then_the_rate_holds() {
        let pace = Pace::default();
        let now_ns = 5 * NS_PER_S;
        for _ in 0..10 {
            assert_eq!(pace.pass(10, now_ns), Ok(()));
        }
        let wait = pace.pass(10, now_ns).unwrap_err();
        assert_eq!(wait, now_ns + NS_PER_S / 10);
        assert_eq!(pace.pass(10, wait), Ok(()));
        assert!(pace.pass(10, wait).is_err());
        for (rate, seconds, most) in [(100, 1, 200), (100, 10, 1_100), (7, 10, 77), (1, 5, 6)] {
            let count = passed(rate, seconds);
            let least = rate as usize * seconds as usize;
            assert!((least..=most).contains(&count), "{rate}/s: {count}");
        }
    }

    #[test]
    fn nobody_is_held_up_behind_a_quiet_time() {
        let pace = Pace::default();
        assert_eq!(pace.pass(1, NS_PER_S), Ok(()));
        assert_eq!(pace.pass(1, 1_000 * NS_PER_S), Ok(()));
        assert_eq!(
            pace.pass(0, 2_000 * NS_PER_S),
            Ok(()),
            "no rate is one per second"
        );
    }
}
