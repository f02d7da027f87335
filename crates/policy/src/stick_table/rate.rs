//! Rates over a sliding period, from two counts and the time of the present period's beginning.
//!
//! The events of the last period fade out while those of the present one come in, as HAProxy's frequency counters do:
//! a rate read in the middle of a period is half of the last period's count plus all of the present one. Times are
//! milliseconds modulo 2^32.

/// When the period began, events in it, and events in the one before.
pub(super) const WORDS: usize = 3;

/// Workers read their clocks at slightly different moments: a period that begins up to this much in the future has just
/// begun.
const SKEW_MS_MAX: u32 = 10_000;

/// Counts `events`, and returns those of the present period.
pub(super) fn add(words: &mut [u32], now_ms: u32, period_ms: u32, events: u32) -> u32 {
    let [began_ms, current, last] = words else {
        return 0;
    };
    let elapsed_ms = u64::from(elapsed(*began_ms, now_ms));
    let period = u64::from(period_ms);
    // The first period of an empty counter begins with its first event.
    let empty = (*current, *last) == (0, 0);
    if !empty && elapsed_ms < period {
        *current = current.saturating_add(events);
        return *current;
    }
    (*began_ms, *last) = if !empty && elapsed_ms < 2 * period {
        (began_ms.wrapping_add(period_ms), *current)
    } else {
        (now_ms, 0)
    };
    *current = events;
    events
}

/// Events per period. A single event stays 1 until its period and the next are over, instead of flickering.
pub(super) fn read(words: &[u32], now_ms: u32, period_ms: u32) -> u32 {
    let [began_ms, current, last] = *words else {
        return 0;
    };
    let (elapsed_ms, period_ms) = (
        u64::from(elapsed(began_ms, now_ms)),
        u64::from(period_ms.max(1)),
    );
    let (last, current, remain_ms) = if elapsed_ms <= period_ms {
        (last, current, period_ms - elapsed_ms)
    } else if elapsed_ms <= 2 * period_ms {
        (current, 0, 2 * period_ms - elapsed_ms)
    } else {
        (0, 0, 0)
    };
    if current == 0 && last <= 1 {
        return last;
    }
    let faded = u64::from(last) * remain_ms / period_ms;
    u32::try_from(faded + u64::from(current)).unwrap_or(u32::MAX)
}

/// Makes the rate `events` for the rest of the period, from which it fades out.
pub(super) fn set(words: &mut [u32], now_ms: u32, events: u32) {
    if let [began_ms, current, last] = words {
        (*began_ms, *current, *last) = (now_ms, events, 0);
    }
}

fn elapsed(began_ms: u32, now_ms: u32) -> u32 {
    if began_ms.wrapping_sub(now_ms) <= SKEW_MS_MAX {
        return 0;
    }
    now_ms.wrapping_sub(began_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One step: wait, then count.
    type Step = (u32, u32);

    /// The rate as the manual tells it, from a list of events, with periods that begin like ours.
    #[derive(Default)]
    struct Model {
        began_ms: u64,
        current: u64,
        last: u64,
    }

    impl Model {
        fn add(&mut self, now_ms: u64, period_ms: u64, events: u64) {
            if self.current + self.last == 0 {
                self.began_ms = now_ms;
            } else if now_ms >= self.began_ms + 2 * period_ms {
                *self = Self {
                    began_ms: now_ms,
                    ..Self::default()
                };
            } else if now_ms >= self.began_ms + period_ms {
                *self = Self {
                    began_ms: self.began_ms + period_ms,
                    current: 0,
                    last: self.current,
                };
            }
            self.current += events;
        }

        fn read(&self, now_ms: u64, period_ms: u64) -> u64 {
            let elapsed_ms = now_ms - self.began_ms;
            let (last, current, past_ms) = match elapsed_ms {
                ms if ms <= period_ms => (self.last, self.current, ms),
                ms if ms <= 2 * period_ms => (self.current, 0, ms - period_ms),
                _ => return 0,
            };
            if current == 0 && last <= 1 {
                last
            } else {
                (last * (period_ms - past_ms) + current * period_ms) / period_ms
            }
        }
    }

    proptest! {
        #[test]
        fn rates_are_those_of_the_model(
            start_ms in prop_oneof![Just(0_u64), Just(u64::from(u32::MAX) - 500), 0..1_u64 << 33],
            period_ms in 1_u32..5_000,
            steps in proptest::collection::vec((0_u32..3_000, 0_u32..50), 1..60),
        ) {
            let (mut words, mut model, mut now_ms) = ([0; WORDS], Model::default(), start_ms);
            for (wait_ms, events) in steps as Vec<Step> {
                now_ms += u64::from(wait_ms);
                prop_assert_eq!(
                    u64::from(read(&words, now_ms as u32, period_ms)),
                    model.read(now_ms, u64::from(period_ms)),
                );
                if events > 0 {
                    add(&mut words, now_ms as u32, period_ms, events);
                    model.add(now_ms, u64::from(period_ms), u64::from(events));
                }
            }
        }
    }

    #[test]
    fn what_has_faded_is_gone() {
        let mut words = [0; WORDS];
        for _ in 0..10 {
            add(&mut words, 1_000, 1_000, 1);
        }
        for (now_ms, expected) in [
            (1_000, 10),
            (1_999, 10),
            (2_500, 5),
            (2_900, 1),
            (3_000, 0),
            (9_000, 0),
        ] {
            assert_eq!(read(&words, now_ms, 1_000), expected, "{now_ms}");
        }
    }

    #[test]
    fn a_clock_that_lags_counts_too() {
        let mut words = [0; WORDS];
        add(&mut words, 5_000, 1_000, 1);
        add(&mut words, 4_990, 1_000, 1);
        assert_eq!(read(&words, 4_995, 1_000), 2);
    }
}
