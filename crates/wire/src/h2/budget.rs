//! What a peer may cost: allowances that refill with time, so that bursts pass and floods do not.
//!
//! A window of HTTP/2 bounds bytes; nothing in the protocol bounds streams that are opened and cancelled ("rapid
//! reset"), streams that a peer makes us cancel ("MadeYouReset"), or frames that do nothing. These do.

/// Most of an allowance, and how much of it comes back per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub burst: u32,
    pub per_second: u32,
}

/// Streams that end by `RST_STREAM`, from either side, before their response is complete.
pub const RESETS: Allowance = Allowance {
    burst: 1_000,
    per_second: 33,
};

/// Frames that do nothing: `PING`, `SETTINGS`, `PRIORITY`, empty `DATA`, unknown types, and all frames on closed streams.
pub const IDLE_FRAMES: Allowance = Allowance {
    burst: 1_000,
    per_second: 100,
};

// Allowances bound what a connection costs in the long run; how much of it comes at once is bounded by whoever hands bytes
// over, in units of work. A frame is one.

/// What a request costs, in units of work: it is going to be served.
pub const REQUEST_UNITS: u32 = 4;

/// What a stream costs beside that, in units of work, when it comes to nothing: whoever wastes work gets less of it at once.
pub const RESET_UNITS: u32 = 24;

/// Bytes of a header block, or of settings, that cost one unit of work.
pub const UNIT_BYTES: usize = 32;

/// How much of an allowance is spent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    spent: u32,
    /// When `spent` was last lowered.
    at_ms: u64,
}

impl Meter {
    /// Spends one; `false` when there is nothing left.
    pub(super) fn spend(&mut self, allowance: Allowance, now_ms: u64) -> bool {
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        let back = passed_ms.saturating_mul(u64::from(allowance.per_second)) / 1_000;
        if back > 0 {
            self.spent = self
                .spent
                .saturating_sub(u32::try_from(back).unwrap_or(u32::MAX));
            self.at_ms = now_ms;
        }
        self.spent = self.spent.saturating_add(1);
        self.spent <= allowance.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Allowance = Allowance {
        burst: 10,
        per_second: 2,
    };

    #[test]
    fn bursts_pass_and_floods_do_not() {
        let mut meter = Meter::default();
        assert!((0..10).all(|_| meter.spend(SMALL, 1_000)));
        assert!(!meter.spend(SMALL, 1_000));
    }

    #[test]
    fn what_is_within_the_rate_passes_for_ever() {
        let mut meter = Meter::default();
        assert!((0..10_000).all(|round| meter.spend(SMALL, round * 500)));
    }

    #[test]
    fn slightly_more_than_the_rate_does_not() {
        let mut meter = Meter::default();
        let last = (0..1_000).find(|round| !meter.spend(SMALL, round * 400));
        assert!(last.is_some_and(|round| round < 100), "{last:?}");
    }
}
