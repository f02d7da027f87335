//! A part of a table under one lock: rows of words, an index, and a list from the oldest row to the newest.
//!
//! A row is a header, the key and the data in one run of memory, so that tracking touches few cache lines. All rows
//! live equally long after they were touched, so that the list is in order of expiry too. To move a row to the new end
//! touches its neighbours, which no cache holds where there are many rows; so a row that has not been at its place for
//! long stays there when it is touched ([`Life::slack_ms`]), and the order is right but for that time. What is absent:
//! the count of all entries, which the table keeps.

use super::entry::Entry;
use super::index::Index;
use super::key::Key;
use super::spec::Layout;

const NONE: u32 = u32::MAX;

/// The header: neighbours in the list, users, hash, when the row expires, and when it came to its place in the list.
const OLDER: usize = 0;
const NEWER: usize = 1;
const USERS: usize = 2;
const HASH: usize = 3;
const EXPIRES_LOW: usize = 4;
const EXPIRES_HIGH: usize = 5;
const SINCE: usize = 6;
const HEADER: usize = 7;

/// In [`USERS`] of a row that is free.
const FREE: u32 = u32::MAX;

/// A row that never expires.
const NEVER_MS: u64 = u64::MAX;

/// Rows in use that one eviction passes over before it gives up.
const EVICTION_LOOK_MAX: usize = 32;

/// Rows that are looked at for removal with one access: more than one, so that removal outpaces insertion.
pub(super) const PURGE_MAX: u32 = 4;

/// How long rows live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    /// After they were touched; 0: for ever.
    pub(super) expire_ms: u32,
    /// How long they stay at their place in the list although they are touched.
    pub(super) slack_ms: u32,
}

#[derive(Debug)]
pub(super) struct Shard {
    rows: Vec<u32>,
    index: Index,
    oldest: u32,
    newest: u32,
    free: u32,
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            index: Index::default(),
            oldest: NONE,
            newest: NONE,
            free: NONE,
        }
    }
}

impl Shard {
    fn at(layout: &Layout, number: u32) -> usize {
        number as usize * stride(layout)
    }

    /// Rows, free ones included.
    pub(super) fn rows(&self, layout: &Layout) -> u32 {
        (self.rows.len() / stride(layout)) as u32
    }

    /// Whether `number` is a row with a key.
    pub(super) fn is_taken(&self, layout: &Layout, number: u32) -> bool {
        number < self.rows(layout) && self.rows[Self::at(layout, number) + USERS] != FREE
    }

    /// The row of `key`. A row that has expired is gone, unless it is in use: then it lives on.
    pub(super) fn find(&self, layout: &Layout, hash: u32, key: &Key<'_>) -> Option<u32> {
        self.index.find(hash, |number| {
            let start = Self::at(layout, number) + HEADER;
            let mut stored = self.rows[start..start + layout.key_words].iter();
            key.words().all(|word| stored.next() == Some(&word)) && stored.all(|&word| word == 0)
        })
    }

    pub(super) fn is_expired(&self, layout: &Layout, number: u32, now_ms: u64) -> bool {
        self.expires_at_ms(layout, number) <= now_ms
    }

    fn expires_at_ms(&self, layout: &Layout, number: u32) -> u64 {
        let row = &self.rows[Self::at(layout, number)..];
        u64::from(row[EXPIRES_LOW]) | u64::from(row[EXPIRES_HIGH]) << 32
    }

    pub(super) fn users(&self, layout: &Layout, number: u32) -> u32 {
        self.rows[Self::at(layout, number) + USERS]
    }

    pub(super) fn key(&self, layout: &Layout, number: u32) -> &[u32] {
        let start = Self::at(layout, number) + HEADER;
        &self.rows[start..start + layout.key_words]
    }

    /// One more or one less user.
    pub(super) fn set_users(&mut self, layout: &Layout, number: u32, users: u32) {
        self.rows[Self::at(layout, number) + USERS] = users;
    }

    /// A row for a key that has none.
    pub(super) fn insert(&mut self, layout: &Layout, hash: u32, key: &Key<'_>, now_ms: u64) -> u32 {
        let number = match self.free {
            NONE => {
                let number = self.rows(layout);
                self.rows.resize(self.rows.len() + stride(layout), 0);
                number
            }
            number => {
                self.free = self.rows[Self::at(layout, number) + NEWER];
                number
            }
        };
        let start = Self::at(layout, number);
        let row = &mut self.rows[start..start + stride(layout)];
        row.fill(0);
        row[HASH] = hash;
        for (word, value) in row[HEADER..].iter_mut().zip(key.words()) {
            *word = value;
        }
        self.index.insert(hash, number);
        self.append(layout, number, now_ms);
        number
    }

    pub(super) fn remove(&mut self, layout: &Layout, number: u32) {
        self.detach(layout, number);
        let start = Self::at(layout, number);
        self.index.remove(self.rows[start + HASH], number);
        self.rows[start + USERS] = FREE;
        self.rows[start + NEWER] = self.free;
        self.free = number;
    }

    /// The row has a new life from now on, and is among the newest.
    pub(super) fn touch(&mut self, layout: &Layout, number: u32, now_ms: u64, life: Life) {
        let at_ms = match life.expire_ms {
            0 => NEVER_MS,
            _ => now_ms.saturating_add(u64::from(life.expire_ms)),
        };
        let row = &mut self.rows[Self::at(layout, number)..];
        row[EXPIRES_LOW] = at_ms as u32;
        row[EXPIRES_HIGH] = (at_ms >> 32) as u32;
        if self.newest == number {
            row[SINCE] = now_ms as u32;
        } else if since_ms(row, now_ms) >= life.slack_ms {
            self.detach(layout, number);
            self.append(layout, number, now_ms);
        }
    }

    /// Looks at up to `most` rows at the old end and removes those that have expired; those in use are given a new life.
    /// Returns how many were removed, and how many looked at.
    pub(super) fn purge(
        &mut self,
        layout: &Layout,
        now_ms: u64,
        life: Life,
        most: u32,
    ) -> (u32, u32) {
        let (mut removed, mut looked) = (0, 0);
        let mut number = self.oldest;
        while number != NONE && looked < most {
            let row = &self.rows[Self::at(layout, number)..];
            let (newer, since_ms) = (row[NEWER], since_ms(row, now_ms));
            if !self.is_expired(layout, number, now_ms) {
                // One that was touched at its place may live on while those behind it have expired.
                if life.slack_ms == 0 || life.expire_ms == 0 || since_ms < life.expire_ms {
                    break;
                }
            } else if self.users(layout, number) == 0 {
                self.remove(layout, number);
                removed += 1;
            } else {
                self.touch(layout, number, now_ms, life);
            }
            looked += 1;
            number = newer;
        }
        (removed, looked)
    }

    /// Removes the oldest row that nobody uses, to make room.
    pub(super) fn evict(&mut self, layout: &Layout) -> bool {
        let mut number = self.oldest;
        for _ in 0..EVICTION_LOOK_MAX {
            if number == NONE {
                return false;
            }
            if self.users(layout, number) == 0 {
                self.remove(layout, number);
                return true;
            }
            number = self.rows[Self::at(layout, number) + NEWER];
        }
        false
    }

    pub(super) fn entry<'a>(
        &'a mut self,
        layout: &'a Layout,
        number: u32,
        now_ms: u64,
    ) -> Entry<'a> {
        let at_ms = self.expires_at_ms(layout, number);
        let users = self.users(layout, number);
        let start = Self::at(layout, number) + HEADER + layout.key_words;
        Entry {
            layout,
            words: &mut self.rows[start..start + layout.data_words],
            now_ms,
            users,
            expires_at_ms: (at_ms != NEVER_MS).then_some(at_ms),
            changed: false,
        }
    }

    fn append(&mut self, layout: &Layout, number: u32, now_ms: u64) {
        let start = Self::at(layout, number);
        self.rows[start + SINCE] = now_ms as u32;
        self.rows[start + OLDER] = self.newest;
        self.rows[start + NEWER] = NONE;
        match self.newest {
            NONE => self.oldest = number,
            newest => self.rows[Self::at(layout, newest) + NEWER] = number,
        }
        self.newest = number;
    }

    fn detach(&mut self, layout: &Layout, number: u32) {
        let start = Self::at(layout, number);
        let (older, newer) = (self.rows[start + OLDER], self.rows[start + NEWER]);
        match older {
            NONE => self.oldest = newer,
            older => self.rows[Self::at(layout, older) + NEWER] = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.rows[Self::at(layout, newer) + OLDER] = older,
        }
    }
}

/// For how long a row has been at its place in the list.
fn since_ms(row: &[u32], now_ms: u64) -> u32 {
    (now_ms as u32).wrapping_sub(row[SINCE])
}

fn stride(layout: &Layout) -> usize {
    HEADER + layout.key_words + layout.data_words
}
