//! Hashes of all beginnings, or all ends, of a text in one pass.
//!
//! A text is taken eight bytes at a time, so that the hash of one more length costs one multiplication and not another
//! look at the whole text. The hash is keyed by chance, one key for the process: nobody outside can choose texts that
//! collide.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

const BLOCK: usize = 8;

/// From which end lengths are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Front,
    Back,
}

/// What makes this process's hashes its own.
#[derive(Clone, Copy)]
struct Seed {
    start: u64,
    step: u64,
    finish: u64,
}

fn seed() -> Seed {
    static SEED: OnceLock<Seed> = OnceLock::new();
    *SEED.get_or_init(|| {
        let chance = RandomState::new();
        Seed {
            start: chance.hash_one(0_u8),
            step: chance.hash_one(1_u8) | 1,
            finish: chance.hash_one(2_u8),
        }
    })
}

fn fold(value: u64, by: u64) -> u64 {
    let product = u128::from(value) * u128::from(by);
    product as u64 ^ (product >> 64) as u64
}

/// The hash of a whole text, which is that of its longest beginning and of its longest end.
pub(super) fn whole(text: &[u8], side: Side) -> u64 {
    Walk::new(text, side).at(text.len())
}

/// The hash of a number with a few bits beside it.
pub(super) fn number(value: u128, beside: u8) -> u64 {
    let seed = seed();
    let half = fold(seed.start ^ value as u64, seed.step);
    fold(half ^ (value >> 64) as u64, seed.finish ^ u64::from(beside))
}

/// Gives the hashes of ever longer beginnings, or ends, of a text.
pub(super) struct Walk<'t> {
    text: &'t [u8],
    side: Side,
    seed: Seed,
    state: u64,
    /// Bytes that are part of `state`.
    taken: usize,
}

impl<'t> Walk<'t> {
    pub(super) fn new(text: &'t [u8], side: Side) -> Self {
        let seed = seed();
        Self {
            text,
            side,
            seed,
            state: seed.start,
            taken: 0,
        }
    }

    /// The hash of `length` bytes, which the text has. Lengths must not become smaller from one call to the next.
    pub(super) fn at(&mut self, length: usize) -> u64 {
        while self.taken + BLOCK <= length {
            let block = self.load(BLOCK);
            self.state = fold(self.state ^ block, self.seed.step);
            self.taken += BLOCK;
        }
        let rest = self.load(length - self.taken);
        fold(self.state ^ rest, self.seed.finish ^ length as u64)
    }

    /// The next `count` bytes, of which there are at most eight, as a number.
    fn load(&self, count: usize) -> u64 {
        let unused = (BLOCK - count) as u32 * 8;
        if count == 0 {
            return 0;
        }
        match self.side {
            Side::Front => {
                let rest = &self.text[self.taken..];
                match rest.first_chunk::<BLOCK>() {
                    Some(block) => u64::from_le_bytes(*block) << unused >> unused,
                    None => small(&rest[..count]),
                }
            }
            Side::Back => {
                let rest = &self.text[..self.text.len() - self.taken];
                match rest.last_chunk::<BLOCK>() {
                    Some(block) => u64::from_le_bytes(*block) >> unused,
                    None => small(&rest[rest.len() - count..]),
                }
            }
        }
    }
}

fn small(bytes: &[u8]) -> u64 {
    let mut block = [0; BLOCK];
    block[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(block)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What follows, or comes before, does not change the hash of a part.
        #[test]
        fn parts_have_the_hash_of_themselves(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            let (mut front, mut back) = (Walk::new(&text, Side::Front), Walk::new(&text, Side::Back));
            for length in 0..=text.len() {
                prop_assert_eq!(front.at(length), whole(&text[..length], Side::Front));
                let end = &text[text.len() - length..];
                prop_assert_eq!(back.at(length), whole(end, Side::Back));
            }
        }
    }

    #[test]
    fn different_texts_have_different_hashes() {
        let texts: [&[u8]; 6] = [b"", b"\0", b"\0\0", b"a", b"aaaaaaaa", b"aaaaaaaa\0"];
        for side in [Side::Front, Side::Back] {
            let mut hashes: Vec<_> = texts.iter().map(|text| whole(text, side)).collect();
            hashes.sort_unstable();
            hashes.dedup();
            assert_eq!(hashes.len(), texts.len());
        }
    }
}
