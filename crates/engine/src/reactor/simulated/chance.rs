//! Chance from a seed, and how much of it there is.

/// A small generator of numbers that look random (SplitMix64, Steele, Lea and Flood, 2014). Not for secrets.
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias is below bound / 2^64.
        ((u128::from(self.number()) * u128::from(bound)) >> 64) as u64
    }

    /// `true` in `millionths` of a million cases.
    pub fn happens(&mut self, millionths: u32) -> bool {
        self.below(1_000_000) < u64::from(millionths)
    }

    /// Puts the members of `list` into any order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            list.swap(last, other);
        }
    }
}

/// How unkind the simulated world is. Chances are in millionths per occasion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Longest time anything is on its way, in nanoseconds.
    pub delay_ns_max: u64,
    /// A read gives less than what is there; the rest comes later.
    pub short_read: u32,
    /// A write takes less than there is room for.
    pub short_write: u32,
    /// Bytes on their way or unread in one direction of a connection before its writer must wait; at least 1.
    pub buffer_bytes: usize,
    /// What each byte costs that is read, in nanoseconds: work, which passes time for everybody.
    pub byte_ns: u64,
    /// What each poll of a task costs, and each unit of work that tasks note, in nanoseconds.
    pub poll_ns: u64,
    pub unit_ns: u64,
    /// A write breaks the connection for both sides.
    pub reset: u32,
    /// A connection is refused.
    pub refused: u32,
    /// A connection is never answered.
    pub unanswered: u32,
    /// Accepting or connecting fails for want of descriptors.
    pub exhausted: u32,
    /// An event is reported later than others that happened at the same time.
    pub late_event: u32,
}

impl Weather {
    /// Everything works; only distances take a little time.
    #[must_use]
    pub fn calm() -> Self {
        Self {
            delay_ns_max: 200_000,
            short_read: 0,
            short_write: 0,
            buffer_bytes: 65_536,
            byte_ns: 0,
            poll_ns: 0,
            unit_ns: 0,
            reset: 0,
            refused: 0,
            unanswered: 0,
            exhausted: 0,
            late_event: 0,
        }
    }

    /// Bytes come in pieces, late and in any order between connections, but everything arrives.
    #[must_use]
    pub fn choppy() -> Self {
        Self {
            delay_ns_max: 20_000_000,
            short_read: 300_000,
            short_write: 300_000,
            buffer_bytes: 2_000,
            late_event: 250_000,
            ..Self::calm()
        }
    }

    /// As choppy, and connections fail in every way they can.
    #[must_use]
    pub fn stormy() -> Self {
        Self {
            reset: 10_000,
            refused: 50_000,
            unanswered: 20_000,
            exhausted: 20_000,
            ..Self::choppy()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        let mut chance = Chance::new(1_234_567);
        assert_eq!(chance.number(), 6_457_827_717_110_365_317);
        assert_eq!(chance.number(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn bounds_hold_and_are_reached() {
        let mut chance = Chance::new(1);
        let mut seen = [0; 5];
        (0..10_000).for_each(|_| seen[chance.below(5) as usize] += 1);
        assert!(
            seen.iter().all(|&count| (1_800..2_200).contains(&count)),
            "{seen:?}"
        );
        assert!(!chance.happens(0));
        assert!(chance.happens(1_000_000));
    }

    #[test]
    fn shuffling_keeps_every_member() {
        let mut list: Vec<u32> = (0..100).collect();
        Chance::new(3).shuffle(&mut list);
        assert_ne!(list, (0..100).collect::<Vec<_>>());
        list.sort_unstable();
        assert_eq!(list, (0..100).collect::<Vec<_>>());
    }
}
