//! Limits of bandwidth (`filter bwlim-in`, `filter bwlim-out`): how much of a body may pass now, and when more may.
//!
//! Bytes are spread evenly over time instead of being let through until a period is used up: each byte that has passed
//! postpones the next one. A limit that streams share through a stick table is divided by how many there are at that
//! moment. What is absent: clocks and bytes.

use std::fmt;
use std::sync::Arc;

use crate::expression::Expression;
use crate::stick_table::{Data, KeyType, TableId, Tracked};

/// How much passes at a time, as a share of a limit: what comes due in this time.
const QUANTUM_NS: u64 = 10_000_000;

/// How much of its time a stream may make up for, when it was looked at too late or had nothing to say.
const SLACK_NS: u64 = 20_000_000;

/// Most limits of one proxy, and so of one direction of a stream twice as many.
pub const LIMITS_MAX: usize = 64;

/// A limit as its line says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub name: String,
    /// What clients send, rather than what they are sent.
    pub upload: bool,
    /// In bytes, in the time of [`Spec::period_ms`].
    pub limit_bytes: u32,
    /// For shared ones that of the rate which the table keeps.
    pub period_ms: u32,
    /// No less is passed on at a time, but at the end (`min-size`).
    pub min_bytes: u32,
    /// Whose streams share it; `None`: each has its own.
    pub shared: Option<Shared>,
    /// `filter-sequence` leaves it out: it is never set.
    pub idle: bool,
}

/// By what streams are put together.
#[derive(Clone, Debug, PartialEq)]
pub struct Shared {
    pub key: Expression,
    pub table: TableId,
    pub kind: KeyType,
}

/// A limit at work on one stream.
struct Active {
    spec: Arc<Spec>,
    limit_bytes: u64,
    period_ns: u64,
    entry: Option<Tracked>,
    /// Nothing passes before.
    next_ns: u64,
}

/// The limits that rules have set on one stream. It owns nothing until one is.
#[derive(Default)]
pub struct Limits(Vec<Active>);

impl Limits {
    /// Sets a limit, in place of an earlier setting of the same. `limit_bytes` and `period_ms` replace what its line says,
    /// where they are more than 0.
    pub fn set(
        &mut self,
        spec: &Arc<Spec>,
        (limit_bytes, period_ms): (u32, u32),
        entry: Option<Tracked>,
    ) {
        let or = |own: u32, usual: u32| u64::from(if own > 0 { own } else { usual }).max(1);
        self.0.retain(|active| !Arc::ptr_eq(&active.spec, spec));
        self.0.push(Active {
            spec: Arc::clone(spec),
            limit_bytes: or(limit_bytes, spec.limit_bytes),
            period_ns: or(period_ms, spec.period_ms) * 1_000_000,
            entry,
            next_ns: 0,
        });
    }

    /// Whether anything limits a direction.
    pub fn apply(&self, upload: bool) -> bool {
        self.0.iter().any(|active| active.spec.upload == upload)
    }

    /// How many bytes may pass now, at least one; `Err`: none before that moment.
    pub fn allowed(&self, upload: bool, now_ns: u64) -> Result<usize, u64> {
        let limits = self.0.iter().filter(|active| active.spec.upload == upload);
        let mut allowed = u64::MAX;
        let mut next_ns = 0;
        for active in limits {
            next_ns = active.next_ns.max(active.free_ns(now_ns)).max(next_ns);
            let due = share(active.limit_bytes, QUANTUM_NS, active.period_ns);
            allowed = allowed.min(due.max(u64::from(active.spec.min_bytes)).max(1));
        }
        match next_ns > now_ns {
            true => Err(next_ns),
            false => Ok(usize::try_from(allowed).unwrap_or(usize::MAX)),
        }
    }

    /// Takes note of bytes that have passed.
    pub fn passed(&mut self, upload: bool, now_ns: u64, bytes: usize) {
        let limits = self
            .0
            .iter_mut()
            .filter(|active| active.spec.upload == upload);
        for active in limits {
            let users = active.count(now_ns, bytes as u64);
            let cost_ns = share(bytes as u64, active.period_ns, active.limit_bytes);
            let cost_ns = cost_ns.saturating_mul(u64::from(users));
            let from_ns = active.next_ns.max(now_ns.saturating_sub(SLACK_NS));
            active.next_ns = from_ns.saturating_add(cost_ns);
        }
    }
}

impl Active {
    /// When what the streams that share it have passed together is no more than the limit.
    fn free_ns(&self, now_ns: u64) -> u64 {
        let Some(entry) = &self.entry else { return 0 };
        let rate = entry.with(now_ns / 1_000_000, |entry| entry.read(self.data(), 0));
        let rate = u64::try_from(rate.unwrap_or(0)).unwrap_or(0);
        let over = rate.saturating_sub(self.limit_bytes);
        match over {
            0 => 0,
            // After a period the rate is another one.
            over => {
                let wait_ns = share(over, self.period_ns, self.limit_bytes).min(self.period_ns);
                now_ns.saturating_add(wait_ns.max(1_000_000))
            }
        }
    }

    fn data(&self) -> Data {
        match self.spec.upload {
            true => Data::BytesInRate,
            false => Data::BytesOutRate,
        }
    }

    /// Counts in the entry that streams share, and tells how many they are.
    fn count(&self, now_ns: u64, bytes: u64) -> u32 {
        let Some(entry) = &self.entry else { return 1 };
        entry.with(now_ns / 1_000_000, |entry| {
            entry.add(self.data(), 0, bytes);
            entry.users().max(1)
        })
    }
}

/// `amount` times `part` by `whole`, without overflow.
fn share(amount: u64, part: u64, whole: u64) -> u64 {
    let share = u128::from(amount) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// Limits are of one stream: no copy of what is known about it has them.
impl Clone for Limits {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|active| &active.spec.name);
        f.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec(upload: bool, limit_bytes: u32, min_bytes: u32) -> Arc<Spec> {
        Arc::new(Spec {
            name: "l".to_owned(),
            upload,
            limit_bytes,
            period_ms: 1_000,
            min_bytes,
            shared: None,
            idle: false,
        })
    }

    /// How long it takes from that second until so many bytes have passed, looked at whenever it says.
    fn time_ns(limits: &mut Limits, second: u64, upload: bool, mut bytes: usize) -> u64 {
        let begun_ns = second * 1_000_000_000;
        let mut now_ns = begun_ns;
        while bytes > 0 {
            match limits.allowed(upload, now_ns) {
                Err(next_ns) => now_ns = next_ns,
                Ok(allowed) => {
                    let count = allowed.min(bytes);
                    limits.passed(upload, now_ns, count);
                    bytes -= count;
                }
            }
        }
        now_ns - begun_ns
    }

    #[test]
    fn bytes_are_spread_over_time() {
        let mut limits = Limits::default();
        assert!(!limits.apply(false) && limits.allowed(false, 0).is_ok());
        limits.set(&spec(false, 1_000_000, 0), (0, 0), None);
        assert!(limits.apply(false) && !limits.apply(true));
        assert_eq!(time_ns(&mut limits, 1, true, 1 << 30), 0);
        // All but what is due at once, and may be made up for.
        let whole = time_ns(&mut limits, 1, false, 1_000_000);
        assert!((950_000_000..=1_000_000_000).contains(&whole), "{whole}");
    }

    #[test]
    fn the_strictest_limit_counts_and_the_last_setting() {
        let (slow, fast) = (spec(true, 1_000, 0), spec(true, 1_000_000, 0));
        let mut limits = Limits::default();
        limits.set(&slow, (0, 0), None);
        limits.set(&fast, (0, 0), None);
        let whole = time_ns(&mut limits, 1, true, 500);
        assert!((450_000_000..=500_000_000).contains(&whole), "{whole}");
        limits.set(&slow, (1_000, 100), None);
        let whole = time_ns(&mut limits, 2, true, 5_000);
        assert!((450_000_000..=500_000_000).contains(&whole), "{whole}");
    }

    #[test]
    fn small_pieces_wait_for_each_other() {
        let mut limits = Limits::default();
        limits.set(&spec(false, 10_000, 2_896), (0, 0), None);
        assert_eq!(limits.allowed(false, 1), Ok(2_896));
        limits.passed(false, 1_000_000_000, 2_896);
        let next = limits.allowed(false, 1_000_000_000).unwrap_err();
        assert_eq!(next, 1_000_000_000 + 289_600_000 - SLACK_NS);
    }

    proptest! {
        #[test]
        fn no_number_harms(limit: u32, period: u32, min: u32, bytes: usize, now: u64) {
            let mut limits = Limits::default();
            limits.set(&spec(false, limit, min), (limit, period), None);
            limits.passed(false, now, bytes);
            if let Ok(allowed) = limits.allowed(false, now) {
                prop_assert!(allowed > 0);
            }
        }
    }
}
