//! What is counted: one row per counter, one block of cells per worker and object.
//!
//! A [`Block`] has a single writer, its worker, so counting is a load and a store on a cache line nobody else
//! writes. Readers sum the blocks of all workers ([`total`]) and may see numbers a moment apart.
//!
//! | look in | for |
//! |---|---|
//! | [`FrontendCounter`] … [`ServerCounter`] | the rows: one enum for each kind of object |
//! | [`Rate`] | events per second |
//! | [`Histogram`] | how long things took |
//!
//! What is absent: who counts what when (the engine), and the pages that show it.

mod histogram;
mod rate;
mod rows;

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use histogram::{Histogram, Summary};
pub use rate::Rate;
pub use rows::{BackendCounter, FrontendCounter, ServerCounter};

/// One counter, as exports show it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Unique within its enum. HAProxy's name (`show stat`, `show info`) where it counts the same thing.
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
}

/// How a counter moves, and how the numbers of several workers become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises. Workers are summed.
    Count,
    /// The number of something now. Workers are summed.
    Level,
    /// The greatest value seen of something all workers see alike. The greatest of all workers is taken.
    Maximum,
    /// The greatest value seen of something each worker has its own share of. Workers are summed, which is exact for one
    /// and an upper bound for several, since their peaks need not have fallen together.
    Peak,
    /// The mean of the last [`AVERAGE_WINDOW`] values of each worker. All of them weigh the same.
    Average,
}

/// Values an average remembers; beyond it, older ones fade.
pub const AVERAGE_WINDOW: u64 = 1_024;

/// An average is a sum below and the number of its values above.
const AVERAGE_SUM_BITS: u32 = 48;

/// An enum of counters: a variant is the index of its row.
pub trait Counter: Copy + 'static {
    const ROWS: &'static [Row];

    /// The place of this counter in a block.
    fn index(self) -> usize;

    fn row(self) -> &'static Row {
        &Self::ROWS[self.index()]
    }
}

/// The cells of one object and one worker. `N` is the number of rows of `C`: see [`FrontendBlock`] and its like.
#[derive(Debug)]
#[repr(align(64))]
pub struct Block<C: Counter, const N: usize> {
    cells: [AtomicU64; N],
    of: PhantomData<fn(C)>,
}

pub type FrontendBlock = Block<FrontendCounter, { FrontendCounter::ROWS.len() }>;
pub type BackendBlock = Block<BackendCounter, { BackendCounter::ROWS.len() }>;
pub type ServerBlock = Block<ServerCounter, { ServerCounter::ROWS.len() }>;

impl<C: Counter, const N: usize> Default for Block<C, N> {
    fn default() -> Self {
        const { assert!(N == C::ROWS.len(), "a block has one cell for each row") };
        Self {
            cells: std::array::from_fn(|_| AtomicU64::new(0)),
            of: PhantomData,
        }
    }
}

impl<C: Counter, const N: usize> Block<C, N> {
    /// Counts `number` more. Only the block's own worker may call this, as any other method that writes.
    pub fn add(&self, counter: C, number: u64) {
        let cell = &self.cells[counter.index()];
        cell.store(cell.load(Relaxed).wrapping_add(number), Relaxed);
    }

    /// One more.
    pub fn increment(&self, counter: C) {
        self.add(counter, 1);
    }

    /// One more of `level`, and `peak` follows.
    pub fn raise(&self, level: C, peak: C) {
        self.increment(level);
        self.maximum(peak, self.read(level));
    }

    /// One less; a level that is 0 stays 0.
    pub fn lower(&self, level: C) {
        let cell = &self.cells[level.index()];
        cell.store(cell.load(Relaxed).saturating_sub(1), Relaxed);
    }

    /// Notes a value of which the greatest is kept.
    pub fn maximum(&self, counter: C, value: u64) {
        let cell = &self.cells[counter.index()];
        if cell.load(Relaxed) < value {
            cell.store(value, Relaxed);
        }
    }

    /// Notes a value of which the mean is kept.
    pub fn average(&self, counter: C, value: u32) {
        let cell = &self.cells[counter.index()];
        let (sum, count) = unpack(cell.load(Relaxed));
        let (sum, count) = if count < AVERAGE_WINDOW {
            (sum, count + 1)
        } else {
            (sum - sum.div_ceil(AVERAGE_WINDOW), count)
        };
        let sum = sum + u64::from(value);
        cell.store(count << AVERAGE_SUM_BITS | sum, Relaxed);
    }

    /// This worker's number.
    pub fn read(&self, counter: C) -> u64 {
        total([self], counter)
    }

    fn raw(&self, counter: C) -> u64 {
        self.cells[counter.index()].load(Relaxed)
    }

    /// Sets counts, maxima and peaks back to 0 and keeps levels (`clear counters all`).
    ///
    /// Another thread may call it: what its worker counts at the same moment may survive.
    pub fn clear(&self) {
        self.clear_kinds(|kind| kind != Kind::Level);
    }

    /// Sets maxima and peaks back to 0 (`clear counters`). As [`Self::clear`], another thread may call it.
    pub fn clear_peaks(&self) {
        self.clear_kinds(|kind| matches!(kind, Kind::Maximum | Kind::Peak));
    }

    fn clear_kinds(&self, wanted: impl Fn(Kind) -> bool) {
        for (cell, row) in self.cells.iter().zip(C::ROWS) {
            if wanted(row.kind) {
                cell.store(0, Relaxed);
            }
        }
    }
}

/// The number that several workers' blocks of one object make together.
pub fn total<'a, C: Counter, const N: usize>(
    blocks: impl IntoIterator<Item = &'a Block<C, N>>,
    counter: C,
) -> u64 {
    let cells = blocks.into_iter().map(|block| block.raw(counter));
    match counter.row().kind {
        Kind::Maximum => cells.max().unwrap_or(0),
        Kind::Count | Kind::Level | Kind::Peak => cells.fold(0, u64::wrapping_add),
        Kind::Average => {
            let (sum, count) = cells
                .map(unpack)
                .fold((0, 0), |(sum, count), (s, c)| (sum + s, count + c));
            sum / count.max(1)
        }
    }
}

/// Sum and number of values of an average.
fn unpack(cell: u64) -> (u64, u64) {
    (
        cell & ((1 << AVERAGE_SUM_BITS) - 1),
        cell >> AVERAGE_SUM_BITS,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_merged_by_kind() {
        let blocks = [ServerBlock::default(), ServerBlock::default()];
        blocks[0].add(ServerCounter::BytesIn, 5);
        blocks[1].add(ServerCounter::BytesIn, 7);
        blocks[0].maximum(ServerCounter::QueueTimeMax, 9);
        blocks[1].maximum(ServerCounter::QueueTimeMax, 4);
        blocks[0].maximum(ServerCounter::QueueTimeMax, 1);
        assert_eq!(total(&blocks, ServerCounter::BytesIn), 12);
        assert_eq!(total(&blocks, ServerCounter::QueueTimeMax), 9);
        assert_eq!(total(&blocks[..0], ServerCounter::QueueTimeMax), 0);
    }

    #[test]
    fn levels_have_peaks_and_survive_clearing() {
        let block = BackendBlock::default();
        for _ in 0..3 {
            block.raise(BackendCounter::SessionsNow, BackendCounter::SessionsPeak);
        }
        block.lower(BackendCounter::SessionsNow);
        block.increment(BackendCounter::Sessions);
        assert_eq!(block.read(BackendCounter::SessionsNow), 2);
        assert_eq!(block.read(BackendCounter::SessionsPeak), 3);
        block.clear();
        assert_eq!(block.read(BackendCounter::SessionsNow), 2);
        assert_eq!(block.read(BackendCounter::SessionsPeak), 0);
        assert_eq!(block.read(BackendCounter::Sessions), 0);
        for _ in 0..3 {
            block.lower(BackendCounter::SessionsNow);
        }
        assert_eq!(block.read(BackendCounter::SessionsNow), 0);
    }

    #[test]
    fn averages_follow_and_merge_by_weight() {
        let blocks = [ServerBlock::default(), ServerBlock::default()];
        for _ in 0..3 {
            blocks[0].average(ServerCounter::TotalTime, 100);
        }
        blocks[1].average(ServerCounter::TotalTime, 20);
        assert_eq!(total(&blocks, ServerCounter::TotalTime), 80);
        for _ in 0..20_000 {
            blocks[0].average(ServerCounter::TotalTime, u32::MAX);
        }
        let high = blocks[0].read(ServerCounter::TotalTime);
        assert!(u64::from(u32::MAX) - high < 1_000, "{high}");
        for _ in 0..60_000 {
            blocks[0].average(ServerCounter::TotalTime, 0);
        }
        assert_eq!(blocks[0].read(ServerCounter::TotalTime), 0);
    }

    #[test]
    fn blocks_share_no_cache_line() {
        assert_eq!(align_of::<ServerBlock>(), 64);
        assert_eq!(size_of::<ServerBlock>() % 64, 0);
        assert!(
            size_of::<ServerBlock>() <= 384,
            "ten thousand servers have one each per worker"
        );
    }
}
