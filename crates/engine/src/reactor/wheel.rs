//! A timer wheel with one deadline per task, re-armed lazily.
//!
//! Almost every deadline in a proxy is pushed back long before it comes, so pushing back must cost next to nothing.
//! A task stays linked in the bucket it was first put into; a later deadline is one store. When the bucket's time
//! comes the task is linked again at its real deadline. Only an earlier deadline moves it at once.
//!
//! ```text
//!              cursor                       horizon
//!  ticks  ────────┬────┬────┬────┬────┬── … ──┐       deadlines behind the horizon wait in the last bucket
//!  buckets        │    │ 7⇄3│    │ 12 │       │       and are linked again from there
//! ```
//!
//! Ticks are rounded up: a deadline is never reported early, and at most two ticks late.

/// A deadline that never comes.
pub const NEVER: u64 = u64::MAX;

/// A tick is 2^21 ns, about 2.1 ms.
const TICK_SHIFT: u32 = 21;
/// The horizon is 8.6 s; a minute's timeout is linked again seven times if nothing happens meanwhile.
const BUCKETS: usize = 4_096;
const WORDS: usize = BUCKETS / 64;
/// End of a list.
const NONE: u32 = u32::MAX;
/// Bucket of a task that is in no list.
const UNLINKED: u64 = 0;

#[derive(Clone, Copy)]
struct Node {
    /// Tick at which the task is to be woken; [`NEVER`] when it need not be.
    deadline: u64,
    /// Tick of the bucket the task is linked in, or [`UNLINKED`].
    bucket: u64,
    previous: u32,
    next: u32,
}

pub(super) struct Wheel {
    /// Grows with the highest task index.
    nodes: Vec<Node>,
    heads: Vec<u32>,
    /// One bit per bucket that is not empty, and one bit per word of those that is not zero.
    occupied: [u64; WORDS],
    occupied_words: u64,
    /// The last tick that has been run.
    cursor: u64,
    start_ns: u64,
}

impl Wheel {
    /// A wheel whose first tick begins at `start_ns`.
    pub(super) fn new(start_ns: u64) -> Self {
        Self {
            nodes: Vec::new(),
            heads: vec![NONE; BUCKETS],
            occupied: [0; WORDS],
            occupied_words: 0,
            cursor: 0,
            start_ns,
        }
    }

    /// Wakes `task` soon after `deadline_ns`, and forgets its earlier deadline.
    #[inline]
    pub(super) fn arm(&mut self, task: u32, deadline_ns: u64) {
        let deadline = match deadline_ns {
            NEVER => NEVER,
            ns => (ns.saturating_sub(self.start_ns) >> TICK_SHIFT) + 1,
        };
        let Some(node) = self.nodes.get_mut(task as usize) else {
            return self.arm_first(task, deadline);
        };
        node.deadline = deadline;
        if deadline < NEVER && (node.bucket == UNLINKED || deadline < node.bucket) {
            self.relink(task, deadline);
        }
    }

    /// Forgets the task's deadline; its index may be reused.
    pub(super) fn disarm(&mut self, task: u32) {
        if let Some(node) = self.nodes.get_mut(task as usize) {
            node.deadline = NEVER;
        }
    }

    #[cold]
    fn arm_first(&mut self, task: u32, deadline: u64) {
        if deadline == NEVER {
            return;
        }
        let blank = Node {
            deadline: NEVER,
            bucket: UNLINKED,
            previous: NONE,
            next: NONE,
        };
        self.nodes.resize(task as usize + 1, blank);
        self.nodes[task as usize].deadline = deadline;
        self.link(task, deadline);
    }

    fn relink(&mut self, task: u32, deadline: u64) {
        self.unlink(task);
        self.link(task, deadline);
    }

    fn link(&mut self, task: u32, deadline: u64) {
        let bucket = deadline.clamp(self.cursor + 1, self.cursor + BUCKETS as u64 - 1);
        let place = bucket as usize % BUCKETS;
        let next = std::mem::replace(&mut self.heads[place], task);
        let node = &mut self.nodes[task as usize];
        node.bucket = bucket;
        node.previous = NONE;
        node.next = next;
        if next != NONE {
            self.nodes[next as usize].previous = task;
        }
        self.occupied[place / 64] |= 1 << (place % 64);
        self.occupied_words |= 1 << (place / 64);
    }

    fn unlink(&mut self, task: u32) {
        let Node {
            bucket,
            previous,
            next,
            ..
        } = self.nodes[task as usize];
        if bucket == UNLINKED {
            return;
        }
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
        if previous != NONE {
            self.nodes[previous as usize].next = next;
        } else {
            let place = bucket as usize % BUCKETS;
            self.heads[place] = next;
            if next == NONE {
                self.mark_empty(place);
            }
        }
        self.nodes[task as usize].bucket = UNLINKED;
    }

    fn mark_empty(&mut self, place: usize) {
        self.occupied[place / 64] &= !(1 << (place % 64));
        if self.occupied[place / 64] == 0 {
            self.occupied_words &= !(1 << (place / 64));
        }
    }

    /// Runs every bucket up to `now_ns`, and calls `expired` for each task whose deadline has passed.
    #[inline]
    pub(super) fn advance(&mut self, now_ns: u64, expired: impl FnMut(u32)) {
        let now = now_ns.saturating_sub(self.start_ns) >> TICK_SHIFT;
        if now > self.cursor {
            self.advance_to(now, expired);
        }
    }

    fn advance_to(&mut self, now: u64, mut expired: impl FnMut(u32)) {
        // After a long sleep every bucket is visited once, not once per tick.
        let mut tick = self.cursor.max(now.saturating_sub(BUCKETS as u64));
        while tick < now {
            tick += 1;
            let place = tick as usize % BUCKETS;
            if self.occupied[place / 64] & (1 << (place % 64)) == 0 {
                continue;
            }
            // Tasks linked again from here must land behind `now`, or this loop would meet them twice.
            self.cursor = now;
            self.run_bucket(place, now, &mut expired);
        }
        self.cursor = now;
    }

    fn run_bucket(&mut self, place: usize, now: u64, expired: &mut impl FnMut(u32)) {
        let mut task = std::mem::replace(&mut self.heads[place], NONE);
        self.mark_empty(place);
        while task != NONE {
            let Node { deadline, next, .. } = self.nodes[task as usize];
            self.nodes[task as usize].bucket = UNLINKED;
            if deadline <= now {
                self.nodes[task as usize].deadline = NEVER;
                expired(task);
            } else if deadline < NEVER {
                self.link(task, deadline);
            }
            task = next;
        }
    }

    /// When the next bucket wants to be run, in nanoseconds of the same clock; `None` when all are empty.
    pub(super) fn next_ns(&self) -> Option<u64> {
        if self.occupied_words == 0 {
            return None;
        }
        let first = self.cursor + 1;
        let start = first as usize % BUCKETS;
        let place = self
            .occupied_from(start)
            .or_else(|| self.occupied_from(0))?;
        let distance = (place + BUCKETS - start) % BUCKETS;
        Some(self.start_ns + ((first + distance as u64) << TICK_SHIFT))
    }

    /// The first bucket that is not empty, at `place` or behind it.
    fn occupied_from(&self, place: usize) -> Option<usize> {
        let word = place / 64;
        let here = self.occupied[word] & (!0 << (place % 64));
        if here != 0 {
            return Some(word * 64 + here.trailing_zeros() as usize);
        }
        let behind = self.occupied_words & (!0_u64).checked_shl(word as u32 + 1).unwrap_or(0);
        if behind == 0 {
            return None;
        }
        let word = behind.trailing_zeros() as usize;
        Some(word * 64 + self.occupied[word].trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TICK_NS: u64 = 1 << TICK_SHIFT;

    fn fire(wheel: &mut Wheel, now_ns: u64) -> Vec<u32> {
        let mut fired = Vec::new();
        wheel.advance(now_ns, |task| fired.push(task));
        fired.sort_unstable();
        fired
    }

    #[test]
    fn later_deadlines_are_lazy_and_earlier_ones_prompt() {
        let mut wheel = Wheel::new(0);
        wheel.arm(1, 10 * TICK_NS);
        wheel.arm(2, 10 * TICK_NS);
        wheel.arm(3, 5_000 * TICK_NS);
        wheel.arm(1, 20 * TICK_NS);
        wheel.arm(2, 4 * TICK_NS);
        assert_eq!(wheel.next_ns(), Some(5 * TICK_NS));
        assert_eq!(fire(&mut wheel, 5 * TICK_NS), [2]);
        assert_eq!(fire(&mut wheel, 12 * TICK_NS), []);
        assert_eq!(wheel.next_ns(), Some(21 * TICK_NS));
        assert_eq!(fire(&mut wheel, 25 * TICK_NS), [1]);
        assert_eq!(fire(&mut wheel, 5_000 * TICK_NS), []);
        assert_eq!(fire(&mut wheel, 5_001 * TICK_NS), [3]);
        assert_eq!(wheel.next_ns(), None);
    }

    #[test]
    fn a_disarmed_task_is_not_woken() {
        let mut wheel = Wheel::new(0);
        wheel.arm(0, 3 * TICK_NS);
        wheel.disarm(0);
        assert_eq!(fire(&mut wheel, 10 * TICK_NS), []);
        assert_eq!(wheel.next_ns(), None);
    }

    #[test]
    fn a_sleep_longer_than_the_horizon_misses_nobody() {
        let mut wheel = Wheel::new(77);
        for task in 0..10_000 {
            wheel.arm(task, 77 + u64::from(task) * TICK_NS);
        }
        assert_eq!(fire(&mut wheel, 77 + 20_000 * TICK_NS).len(), 10_000);
    }

    proptest! {
        #[test]
        fn behaves_as_a_list_of_deadlines(steps in prop::collection::vec((0_u32..24, 0_u64..20_000, 0_u64..700), 1..400)) {
            let mut wheel = Wheel::new(5);
            let mut model = [NEVER; 24];
            let mut now_ns = 5;
            for (task, ahead, passed) in steps {
                let deadline_ns = now_ns + ahead * TICK_NS / 3;
                wheel.arm(task, deadline_ns);
                model[task as usize] = deadline_ns;
                if let Some(next_ns) = wheel.next_ns() {
                    let earliest = model.iter().copied().min().unwrap_or(NEVER);
                    prop_assert!(next_ns <= earliest + 2 * TICK_NS, "would sleep past a deadline");
                }
                now_ns += passed * TICK_NS / 7;
                for task in fire(&mut wheel, now_ns) {
                    prop_assert!(model[task as usize] <= now_ns, "early");
                    model[task as usize] = NEVER;
                }
                prop_assert!(model.iter().all(|&deadline| deadline.saturating_add(2 * TICK_NS) > now_ns), "late");
            }
        }
    }
}
