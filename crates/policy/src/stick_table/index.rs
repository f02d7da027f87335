//! From the hash of a key to the entry's number: open addressing with linear probing, within one shard.
//!
//! It knows hashes and numbers only; what a number stands for is asked of the caller. Removal moves the followers of a
//! gap back, so that there are no tombstones and the index never degrades.

const EMPTY: u32 = u32::MAX;

/// Places at the beginning; always a power of two.
const PLACES_MIN: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Index {
    /// Hash and number; a number of [`EMPTY`] marks a free place. At most three quarters are taken.
    places: Vec<(u32, u32)>,
    taken: usize,
}

impl Index {
    /// The number under `hash` that `is_it` confirms.
    pub(super) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        if self.places.is_empty() {
            return None;
        }
        let mut place = self.home(hash);
        loop {
            let (found, number) = self.places[place];
            if number == EMPTY {
                return None;
            }
            if found == hash && is_it(number) {
                return Some(number);
            }
            place = self.next(place);
        }
    }

    /// Adds a number that is not yet there.
    pub(super) fn insert(&mut self, hash: u32, number: u32) {
        if (self.taken + 1) * 4 > self.places.len() * 3 {
            self.grow();
        }
        self.taken += 1;
        self.put(hash, number);
    }

    /// Takes `number` out.
    pub(super) fn remove(&mut self, hash: u32, number: u32) {
        if self.places.is_empty() {
            return;
        }
        let mut gap = self.home(hash);
        while self.places[gap].1 != number {
            if self.places[gap].1 == EMPTY {
                return;
            }
            gap = self.next(gap);
        }
        self.taken -= 1;
        let mut place = gap;
        loop {
            place = self.next(place);
            let (hash, number) = self.places[place];
            if number == EMPTY {
                break;
            }
            // It may move back unless that would put it before its home.
            let mask = self.places.len() - 1;
            let from_home = place.wrapping_sub(self.home(hash)) & mask;
            if from_home >= place.wrapping_sub(gap) & mask {
                self.places[gap] = (hash, number);
                gap = place;
            }
        }
        self.places[gap] = (0, EMPTY);
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.places.len() - 1)
    }

    fn next(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }

    fn put(&mut self, hash: u32, number: u32) {
        let mut place = self.home(hash);
        while self.places[place].1 != EMPTY {
            place = self.next(place);
        }
        self.places[place] = (hash, number);
    }

    fn grow(&mut self) {
        let places = (self.places.len() * 2).max(PLACES_MIN);
        let before = std::mem::replace(&mut self.places, vec![(0, EMPTY); places]);
        for (hash, number) in before {
            if number != EMPTY {
                self.put(hash, number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Few hashes, so that runs of colliding places form, wrap around and are torn open.
        #[test]
        fn the_index_is_a_map(steps in proptest::collection::vec((0_u32..64, 0_u32..20), 1..400)) {
            let (mut index, mut model) = (Index::default(), BTreeMap::new());
            for (number, hash) in steps {
                match model.remove(&number) {
                    Some(hash) => index.remove(hash, number),
                    None => {
                        // Homes at the end wrap around.
                        let hash = hash.wrapping_sub(4);
                        index.insert(hash, number);
                        model.insert(number, hash);
                    }
                }
                for number in 0..64 {
                    let hash = model.get(&number).copied();
                    let found = index.find(hash.unwrap_or(3), |found| found == number);
                    prop_assert_eq!(found, hash.map(|_| number));
                }
            }
        }
    }
}
