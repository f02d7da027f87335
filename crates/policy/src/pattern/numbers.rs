//! Numbers and ranges of numbers.

use super::entry::Entry;
use super::hash;
use super::row::Row;
use super::trie::Trie;

/// What a pattern of numbers accepts, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) low: i64,
    pub(super) high: i64,
}

impl Range {
    /// `N`, `N:`, `:N`, `N:M`; `-` may stand for the colon, so that a number with a sign is an open range, and `--` means
    /// `:0`.
    ///
    /// # Errors
    /// HAProxy's sentences.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a valid number range");
        let Some((low, high)) = text.split_once([':', '-']) else {
            if text.is_empty() {
                return Err(wrong());
            }
            let number = number(text).ok_or_else(|| format!("'{text}' is not a number"))?;
            return Ok(Self {
                low: number,
                high: number,
            });
        };
        let bound = |text: &str, open: i64| match text {
            "" => Some(open),
            text => number(text),
        };
        let (low, high) = match (low, high) {
            ("", "") => return Err(wrong()),
            (low, high) => (bound(low, i64::MIN), bound(high, i64::MAX)),
        };
        match (low, high) {
            (Some(low), Some(high)) if low <= high => Ok(Self { low, high }),
            _ => Err(wrong()),
        }
    }

    fn single(self) -> Option<i64> {
        (self.low == self.high).then_some(self.low)
    }
}

fn number(text: &str) -> Option<i64> {
    if text == "-" {
        return Some(0);
    }
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

/// Single numbers are found at once, ranges one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    singles: Trie<i64>,
    ranges: Row<Range>,
}

fn hash_of(number: i64) -> u64 {
    hash::number(number as u64 as u128, 0)
}

impl Numbers {
    pub(super) fn add(&mut self, range: Range, entry: &Entry) {
        match range.single() {
            Some(number) => {
                let hash = hash_of(number);
                self.singles
                    .insert(hash, number, entry, |slot| slot.key == number);
            }
            None => self.ranges.push(range, entry),
        }
    }

    pub(super) fn replace(&mut self, range: Range, entry: &Entry) {
        match range.single() {
            Some(number) => {
                let hash = hash_of(number);
                self.singles.replace(hash, entry, |slot| slot.key == number);
            }
            None => self.ranges.replace(entry),
        }
    }

    pub(super) fn remove(&mut self, range: Range, id: u64) {
        match range.single() {
            Some(number) => {
                let hash = hash_of(number);
                self.singles.remove(hash, id, |slot| slot.key == number);
            }
            None => self.ranges.remove(id),
        }
    }

    /// The first entry that accepts the number.
    pub(super) fn find(&self, number: i64) -> Option<&Entry> {
        let single = self
            .singles
            .get(hash_of(number), |slot| slot.key == number)
            .map(|slot| &slot.first);
        let range = self
            .ranges
            .find(|range| (range.low..=range.high).contains(&number));
        match (single, range) {
            (Some(single), Some(range)) if range.id() < single.id() => Some(range),
            (single, range) => single.or(range),
        }
    }
}
