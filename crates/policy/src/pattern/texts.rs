//! Texts that are found whole, as beginnings, as ends, or between delimiters, in a time that hardly depends on how many
//! there are.

use std::sync::Arc;

use super::entry::Entry;
use super::filter::Filter;
use super::hash::{self, Side, Walk};
use super::index::folded;
use super::trie::{Slot, Trie};

#[derive(Clone, Debug)]
pub(super) struct Texts {
    rule: Rule,
    trie: Trie<()>,
    filter: Filter,
    /// How many keys there are of each length, the shortest first.
    lengths: Arc<Vec<(usize, usize)>>,
    /// All entries, the oldest first, while there are so few that it is quickest to compare with each; `None`: there were
    /// more once.
    few: Option<Arc<Vec<Entry>>>,
}

/// Most entries that are compared one after the other.
const FEW_MAX: usize = 8;

/// What makes two texts the same.
#[derive(Clone, Copy, Debug)]
struct Rule {
    side: Side,
    ignore_case: bool,
    /// Bytes that do not count at either end of a pattern.
    delimiters: &'static [u8],
}

impl Rule {
    /// What counts of a pattern.
    fn key<'p>(&self, pattern: &'p [u8]) -> &'p [u8] {
        let is_outside = |byte: &u8| self.delimiters.contains(byte);
        let Some(start) = pattern.iter().position(|byte| !is_outside(byte)) else {
            // Nothing counts of a pattern of delimiters, and all of one where there are none.
            return &pattern[pattern.len()..];
        };
        let end = pattern.iter().rposition(|byte| !is_outside(byte));
        &pattern[start..end.map_or(start, |last| last + 1)]
    }

    fn hash(&self, text: &[u8]) -> u64 {
        hash::whole(&folded(text, self.ignore_case), self.side)
    }

    fn equal(&self, pattern: &[u8], text: &[u8]) -> bool {
        match self.ignore_case {
            true => pattern.eq_ignore_ascii_case(text),
            false => pattern == text,
        }
    }

    /// Whether `text` begins, or ends, with an entry.
    fn bounds(&self, entry: &Entry, text: &[u8]) -> bool {
        let pattern = entry.pattern();
        let Some(rest) = text.len().checked_sub(pattern.len()) else {
            return false;
        };
        self.equal(
            pattern,
            match self.side {
                Side::Front => &text[..pattern.len()],
                Side::Back => &text[rest..],
            },
        )
    }

    /// Whether a slot is that of `text`.
    fn is(&self, slot: &Slot<()>, text: &[u8]) -> bool {
        let key = self.key(slot.first.pattern());
        match self.ignore_case {
            true => key.eq_ignore_ascii_case(text),
            false => key == text,
        }
    }
}

impl Texts {
    pub(super) fn new(side: Side, ignore_case: bool, delimiters: &'static [u8]) -> Self {
        Self {
            rule: Rule {
                side,
                ignore_case,
                delimiters,
            },
            trie: Trie::default(),
            filter: Filter::default(),
            lengths: Arc::default(),
            few: delimiters.is_empty().then(Arc::default),
        }
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        match &mut self.few {
            Some(few) if few.len() < FEW_MAX => Arc::make_mut(few).push(entry.clone()),
            few => *few = None,
        }
        let (rule, known) = (self.rule, self.trie.len());
        let key = rule.key(entry.pattern());
        let hash = rule.hash(key);
        self.trie.insert(hash, (), entry, |slot| rule.is(slot, key));
        if self.trie.len() == known {
            return;
        }
        self.filter.note(hash, &self.trie);
        let lengths = Arc::make_mut(&mut self.lengths);
        match lengths.binary_search_by_key(&key.len(), |(length, _)| *length) {
            Ok(place) => lengths[place].1 += 1,
            Err(place) => lengths.insert(place, (key.len(), 1)),
        }
    }

    pub(super) fn replace(&mut self, entry: &Entry) {
        if let Some(few) = &mut self.few
            && let Some(known) = Arc::make_mut(few)
                .iter_mut()
                .find(|known| known.id() == entry.id())
        {
            *known = entry.clone();
        }
        let rule = self.rule;
        let key = rule.key(entry.pattern());
        self.trie
            .replace(rule.hash(key), entry, |slot| rule.is(slot, key));
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        if let Some(few) = &mut self.few {
            Arc::make_mut(few).retain(|known| known.id() != entry.id());
        }
        let rule = self.rule;
        let key = rule.key(entry.pattern());
        let hash = rule.hash(key);
        if !self
            .trie
            .remove(hash, entry.id(), |slot| rule.is(slot, key))
        {
            return;
        }
        let lengths = Arc::make_mut(&mut self.lengths);
        if let Ok(place) = lengths.binary_search_by_key(&key.len(), |(length, _)| *length) {
            lengths[place].1 -= 1;
            if lengths[place].1 == 0 {
                lengths.remove(place);
            }
        }
    }

    /// The entries that are `text`.
    pub(super) fn slot(&self, text: &[u8]) -> Option<&Slot<()>> {
        let hash = self.rule.hash(text);
        self.trie.get(hash, |slot| self.rule.is(slot, text))
    }

    /// The entry that is `text`.
    pub(super) fn whole(&self, text: &[u8]) -> Option<&Entry> {
        if let Some(few) = &self.few {
            let mut few = few.iter();
            return few.find(|entry| self.rule.equal(entry.pattern(), text));
        }
        self.slot(text).map(|slot| &slot.first)
    }

    /// The longest entry that `text` begins, or ends, with.
    pub(super) fn longest(&self, text: &[u8]) -> Option<&Entry> {
        let mut longest: Option<&Entry> = None;
        if let Some(few) = &self.few {
            let length = |entry: &Entry| entry.pattern().len();
            for entry in few.iter().filter(|entry| self.rule.bounds(entry, text)) {
                if longest.is_none_or(|known| length(entry) > length(known)) {
                    longest = Some(entry);
                }
            }
            return longest;
        }
        let text = folded(text, self.rule.ignore_case);
        self.each(&text, |_| true, &mut |slot| longest = Some(&slot.first));
        longest
    }

    /// The oldest entry that `text` begins, or ends, with.
    pub(super) fn oldest(&self, text: &[u8]) -> Option<&Entry> {
        if let Some(few) = &self.few {
            return few.iter().find(|entry| self.rule.bounds(entry, text));
        }
        let mut oldest = None;
        let text = folded(text, self.rule.ignore_case);
        self.each(&text, |_| true, &mut |slot| keep(&mut oldest, &slot.first));
        oldest
    }

    /// The oldest entry that stands in `text` between delimiters or its ends.
    pub(super) fn between(&self, text: &[u8]) -> Option<&Entry> {
        let is_delimiter = |byte: &u8| self.rule.delimiters.contains(byte);
        let text = folded(text, self.rule.ignore_case);
        let mut oldest = None;
        let mut bounded = true;
        for (start, byte) in text.iter().enumerate() {
            let starts = bounded && !is_delimiter(byte);
            bounded = is_delimiter(byte);
            if !starts {
                continue;
            }
            let rest = &text[start..];
            let ends = |length: usize| length > 0 && rest.get(length).is_none_or(is_delimiter);
            self.each(rest, ends, &mut |slot| keep(&mut oldest, &slot.first));
        }
        oldest
    }

    /// Shows every key that `text`, whose case is folded, begins or ends with and whose length `fits`.
    fn each<'s>(
        &'s self,
        text: &[u8],
        fits: impl Fn(usize) -> bool,
        see: &mut impl FnMut(&'s Slot<()>),
    ) {
        let mut walk = Walk::new(text, self.rule.side);
        for &(length, _) in self.lengths.iter() {
            if length > text.len() {
                return;
            }
            if !fits(length) {
                continue;
            }
            let hash = walk.at(length);
            if !self.filter.may_have(hash) {
                continue;
            }
            let part = match self.rule.side {
                Side::Front => &text[..length],
                Side::Back => &text[text.len() - length..],
            };
            if let Some(slot) = self.trie.get(hash, |slot| self.rule.is(slot, part)) {
                see(slot);
            }
        }
    }
}

fn keep<'e>(oldest: &mut Option<&'e Entry>, entry: &'e Entry) {
    if oldest.is_none_or(|known| entry.id() < known.id()) {
        *oldest = Some(entry);
    }
}
