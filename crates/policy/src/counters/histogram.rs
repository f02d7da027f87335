//! How long things took: counts in buckets whose width grows with the duration.
//!
//! ```text
//! µs      0 1 2 … 7 | 8 … 15 | 16 18 … 30 | 32 36 … 60 | …   each octave in eight equal buckets
//! bucket  0 1 2 … 7 | 8 … 15 | 16    … 23 | 24    … 31 | …
//! ```

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets of an octave, as a power of two.
const SPLIT_BITS: u32 = 3;
const SPLIT: usize = 1 << SPLIT_BITS;

/// Longer durations (134 s and more) fall into the last bucket.
const EXPONENT_MAX: u32 = 26;

const BUCKETS: usize = SPLIT + (EXPONENT_MAX - SPLIT_BITS + 1) as usize * SPLIT;

/// Durations in microseconds, counted by one worker and read by anyone; 1.6 kB.
///
/// What is read is off by at most 1/16 of the duration.
#[derive(Debug)]
#[repr(align(64))]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Histogram {
    /// Counts one duration. Only the histogram's own worker may call this.
    pub fn record(&self, micros: u64) {
        let bucket = &self.buckets[bucket_of(micros)];
        bucket.store(bucket.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for bucket in &self.buckets {
            bucket.store(0, Relaxed);
        }
    }
}

fn bucket_of(micros: u64) -> usize {
    if micros < SPLIT as u64 {
        return micros as usize;
    }
    let exponent = micros.ilog2();
    if exponent > EXPONENT_MAX {
        return BUCKETS - 1;
    }
    let within = (micros >> (exponent - SPLIT_BITS)) as usize - SPLIT;
    SPLIT + (exponent - SPLIT_BITS) as usize * SPLIT + within
}

/// The least duration of a bucket and the least of the one after it.
fn bounds_of(bucket: usize) -> (u64, u64) {
    if bucket < SPLIT {
        return (bucket as u64, bucket as u64 + 1);
    }
    let (octave, within) = ((bucket - SPLIT) / SPLIT, (bucket % SPLIT) as u64);
    let width = 1 << octave;
    let start = (SPLIT as u64 + within) * width;
    (start, start + width)
}

/// What several histograms held at one moment.
#[derive(Clone, Debug)]
pub struct Summary {
    buckets: [u64; BUCKETS],
    count: u64,
}

impl Summary {
    /// Adds the workers' histograms up.
    pub fn of<'a>(histograms: impl IntoIterator<Item = &'a Histogram>) -> Self {
        let mut buckets = [0_u64; BUCKETS];
        for histogram in histograms {
            for (sum, bucket) in buckets.iter_mut().zip(&histogram.buckets) {
                *sum = sum.wrapping_add(bucket.load(Relaxed));
            }
        }
        let count = buckets.iter().fold(0, |sum: u64, &n| sum.saturating_add(n));
        Self { buckets, count }
    }

    /// What was counted since `earlier`, an older summary of the same histograms.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let buckets: [u64; BUCKETS] =
            std::array::from_fn(|i| self.buckets[i].saturating_sub(earlier.buckets[i]));
        let count = buckets.iter().fold(0, |sum: u64, &n| sum.saturating_add(n));
        Self { buckets, count }
    }

    /// How many durations there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The duration in microseconds that `percent` of all (0 to 100) do not exceed; `None` without any.
    pub fn percentile(&self, percent: f64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let share = (percent / 100.0).clamp(0.0, 1.0);
        let rank = ((share * self.count as f64).ceil() as u64).clamp(1, self.count);
        let mut seen = 0_u64;
        let bucket = self.buckets.iter().position(|&number| {
            seen = seen.saturating_add(number);
            seen >= rank
        })?;
        let (start, end) = bounds_of(bucket);
        Some(start + (end - start) / 2)
    }

    /// Buckets that are not empty: the duration in microseconds below which a bucket's lie, and how many do.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let buckets = self.buckets.iter().enumerate();
        buckets
            .filter(|(_, number)| **number > 0)
            .map(|(bucket, &number)| (bounds_of(bucket).1, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_small() {
        assert!(
            size_of::<Histogram>() <= 2_048,
            "{}",
            size_of::<Histogram>()
        );
    }

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        for bucket in 0..BUCKETS - 1 {
            let (start, end) = bounds_of(bucket);
            assert_eq!(bounds_of(bucket + 1).0, end);
            assert_eq!((bucket_of(start), bucket_of(end - 1)), (bucket, bucket));
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(Summary::of(&[]).percentile(50.0), None);
    }

    #[test]
    fn differences_between_two_looks() {
        let histogram = Histogram::default();
        histogram.record(100);
        let before = Summary::of([&histogram]);
        histogram.record(5);
        let after = Summary::of([&histogram]).since(&before);
        assert_eq!((after.count(), after.percentile(99.0)), (1, Some(5)));
        assert_eq!(after.buckets().collect::<Vec<_>>(), [(6, 1)]);
        histogram.clear();
        assert_eq!(Summary::of([&histogram]).count(), 0);
    }

    proptest! {
        #[test]
        fn percentiles_are_close(
            mut values in proptest::collection::vec(0_u64..100_000_000, 1..200),
            percent in 0_f64..=100.0,
            split in 0_usize..200,
        ) {
            let workers = [Histogram::default(), Histogram::default()];
            for (index, &value) in values.iter().enumerate() {
                workers[usize::from(index < split)].record(value);
            }
            values.sort_unstable();
            let rank = ((percent / 100.0 * values.len() as f64).ceil() as usize).max(1);
            let exact = values[rank - 1];
            let read = Summary::of(&workers).percentile(percent).expect("there are values");
            prop_assert!(read.abs_diff(exact) <= exact / 16 + 1, "{read} for {exact}");
        }
    }
}
