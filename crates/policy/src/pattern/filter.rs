//! A small table that says of most hashes that nothing is stored under them, so that looking for many lengths costs
//! little.
//!
//! Two bits of one word are set for a hash. Copies share the words: what one of them adds is noise to the others, and
//! never hides what they have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::trie::Trie;

/// Keys for which a word of 64 bits is enough: one hash in seventy that is not there looks as if it were.
const KEYS_PER_WORD: usize = 4;

#[derive(Clone, Debug)]
pub(super) struct Filter(Arc<[AtomicU64]>);

impl Default for Filter {
    fn default() -> Self {
        Self(std::iter::once(AtomicU64::new(0)).collect())
    }
}

impl Filter {
    /// Whether something may be stored under `hash`.
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let bits = bits(hash);
        self.word(hash).load(Relaxed) & bits == bits
    }

    /// Notes the hash of a key that was just added to `trie`.
    pub(super) fn note<K: Clone>(&mut self, hash: u64, trie: &Trie<K>) {
        if trie.len() > self.0.len() * KEYS_PER_WORD {
            let words = self.0.len() * 4;
            self.0 = (0..words).map(|_| AtomicU64::new(0)).collect();
            trie.hashes(&mut |hash| self.set(hash));
        }
        self.set(hash);
    }

    fn set(&self, hash: u64) {
        self.word(hash).fetch_or(bits(hash), Relaxed);
    }

    fn word(&self, hash: u64) -> &AtomicU64 {
        &self.0[(hash >> 16) as usize & (self.0.len() - 1)]
    }
}

fn bits(hash: u64) -> u64 {
    1 << (hash >> 58) | 1 << (hash >> 52 & 63)
}
