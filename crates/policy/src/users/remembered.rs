//! Which passwords have been right before.
//!
//! A table of fingerprints of fixed size, without locks; one that meets another takes its place. A fingerprint is keyed by
//! chance that never leaves the process, so that nobody can make up another password for it but by trying 2^54 of them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use aws_lc_rs::rand::SystemRandom;

/// Passwords that are remembered at most.
const PLACES: usize = 1_024;

pub(super) struct Remembered {
    /// Made when the first password is remembered; `None` inside: there is no chance to be had, and nothing is.
    key: OnceLock<Option<Key>>,
    /// 0: free.
    places: Box<[AtomicU64]>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            key: OnceLock::new(),
            places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Remembered {
    /// Whether this password was right for this hash.
    pub(super) fn knows(&self, hash: &str, password: &[u8]) -> bool {
        let Some(Some(key)) = self.key.get() else {
            return false;
        };
        let print = print(key, hash, password);
        self.place(print).load(Relaxed) == print
    }

    pub(super) fn learn(&self, hash: &str, password: &[u8]) {
        let make = || Key::generate(HMAC_SHA256, &SystemRandom::new()).ok();
        if let Some(key) = self.key.get_or_init(make) {
            let print = print(key, hash, password);
            self.place(print).store(print, Relaxed);
        }
    }

    fn place(&self, print: u64) -> &AtomicU64 {
        &self.places[print as usize & (PLACES - 1)]
    }
}

/// A fingerprint, which is never 0.
fn print(key: &Key, hash: &str, password: &[u8]) -> u64 {
    let mut context = hmac::Context::with_key(key);
    context.update(hash.as_bytes());
    context.update(&[0]);
    context.update(password);
    let tag = context.sign();
    let first = tag.as_ref().first_chunk();
    first.map_or(1, |bytes| u64::from_be_bytes(*bytes)).max(1)
}
