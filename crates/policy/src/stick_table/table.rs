//! The store: shards, the count of entries, and what holds for all of them.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entry::Entry;
use super::key::{Key, KeyValue};
use super::shard::{Life, PURGE_MAX, Shard};
use super::spec::{Layout, TableSpec};
use super::tracked::Tracked;

/// Entries per shard that are aimed at. A table no larger has one shard, in which the oldest entry is exactly that.
const SHARD_ENTRIES: u32 = 4_096;
const SHARDS_MAX: usize = 256;

/// In larger tables an entry that is touched again within this part of its life keeps its place in the order of age; so
/// much of an error that order may have. Where nothing expires: within so many milliseconds.
const SLACK_SHARE: u32 = 16;
const SLACK_MS: u32 = 1_000;

/// Shards other than its own in which a new key looks for a place to take over.
const EVICTION_SHARDS_MAX: usize = 32;

/// Rows that are visited while a shard is locked.
const VISIT_ROWS: u32 = 64;

/// Names of servers that a table knows; further ones are not remembered.
const SERVER_KEYS_MAX: usize = 200_000;

/// A table of keys and what is kept with them, shared by all workers.
///
/// A function given to one of the methods runs while the key's shard is locked: it must be short, and must not use the
/// same table.
pub struct Table {
    spec: TableSpec,
    pub(super) layout: Layout,
    size: AtomicU32,
    expire_ms: AtomicU32,
    nopurge: AtomicBool,
    used: AtomicU32,
    /// A key of its own for each table, so that nobody can choose keys that fall into one shard or one place.
    hasher: RandomState,
    shards: Box<[Padded]>,
    servers: Mutex<ServerKeys>,
}

/// A shard with cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Padded(Mutex<Shard>);

/// Names of servers by number; number 0 stands for none.
#[derive(Debug, Default)]
struct ServerKeys {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

/// An entry's place, by which the runtime API names it. It is given to another key once this one is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    pub(super) shard: u32,
    pub(super) number: u32,
}

impl Pointer {
    /// What [`Pointer`]'s `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let value = u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()?;
        Some(Self {
            shard: u32::try_from((value >> 32).checked_sub(1)?).ok()?,
            number: value as u32,
        })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = (u64::from(self.shard) + 1) << 32 | u64::from(self.number);
        write!(f, "{value:#x}")
    }
}

/// What became of a key that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    Removed,
    /// Connections or requests track it.
    InUse,
    Absent,
}

/// One entry, as [`Table::visit`] shows it.
#[derive(Debug)]
pub struct Row<'a> {
    pub pointer: Pointer,
    pub key: KeyValue,
    pub entry: Entry<'a>,
}

impl Table {
    pub fn new(spec: TableSpec) -> Self {
        let shards = spec.size.div_ceil(SHARD_ENTRIES) as usize;
        let shards = shards.clamp(1, SHARDS_MAX).next_power_of_two();
        Self {
            layout: Layout::new(&spec),
            size: AtomicU32::new(spec.size),
            expire_ms: AtomicU32::new(spec.expire_ms),
            nopurge: AtomicBool::new(spec.nopurge),
            used: AtomicU32::new(0),
            hasher: RandomState::new(),
            shards: (0..shards).map(|_| Padded::default()).collect(),
            servers: Mutex::default(),
            spec,
        }
    }

    /// What the configuration that made the table says; limits may have changed since ([`Self::configure`]).
    pub fn spec(&self) -> &TableSpec {
        &self.spec
    }

    /// Adopts the limits of a new configuration; entries go on. False, and nothing done, where they mean something else
    /// there.
    pub fn configure(&self, spec: &TableSpec) -> bool {
        if !self.spec.is_compatible(spec) {
            return false;
        }
        self.size.store(spec.size, Relaxed);
        self.expire_ms.store(spec.expire_ms, Relaxed);
        self.nopurge.store(spec.nopurge, Relaxed);
        true
    }

    /// Most entries.
    pub fn size(&self) -> u32 {
        self.size.load(Relaxed)
    }

    /// How long an entry stays that nobody touches; 0: until its place is needed.
    pub fn expire_ms(&self) -> u32 {
        self.expire_ms.load(Relaxed)
    }

    fn life(&self) -> Life {
        let expire_ms = self.expire_ms();
        let slack_ms = match (self.shards.len(), expire_ms) {
            // All rows are in a cache, and the order is to be exact.
            (1, _) => 0,
            (_, 0) => SLACK_MS,
            (_, expire_ms) => expire_ms / SLACK_SHARE,
        };
        Life {
            expire_ms,
            slack_ms,
        }
    }

    /// How many keys there are, after the expired ones have been removed. In a larger table some of those that expired a
    /// moment ago, within the [`SLACK_SHARE`], may be counted still.
    pub fn used(&self, now_ms: u64) -> u32 {
        self.purge(now_ms);
        self.used.load(Relaxed)
    }

    /// Removes what has expired, in a larger table but for what [`Self::used`] says.
    pub fn purge(&self, now_ms: u64) {
        for shard in 0..self.shards.len() {
            loop {
                let (removed, looked) =
                    self.lock(shard)
                        .purge(&self.layout, now_ms, self.life(), VISIT_ROWS);
                self.used.fetch_sub(removed, Relaxed);
                if removed == 0 || looked < VISIT_ROWS {
                    break;
                }
            }
        }
    }

    /// Follows `key` from now on, counting a connection, and lets `count` count more; `None` when the table is full.
    pub fn track(
        self: &Arc<Self>,
        key: &Key<'_>,
        now_ms: u64,
        count: impl FnOnce(&mut Entry<'_>),
    ) -> Option<Tracked> {
        let (place, number, mut shard) = self.obtain(key, now_ms)?;
        let users = shard.users(&self.layout, number);
        shard.set_users(&self.layout, number, users + 1);
        shard.touch(&self.layout, number, now_ms, self.life());
        let mut entry = shard.entry(&self.layout, number, now_ms);
        entry.begin();
        count(&mut entry);
        let pointer = Pointer {
            shard: place as u32,
            number,
        };
        Some(Tracked::new(Arc::clone(self), pointer))
    }

    /// Shows the entry of `key`, if there is one; what `read` changes postpones its end.
    pub fn read<R>(
        &self,
        key: &Key<'_>,
        now_ms: u64,
        read: impl FnOnce(&mut Entry<'_>) -> R,
    ) -> Option<R> {
        let (place, hash) = self.place(key);
        let mut shard = self.lock(place);
        let number = self.alive(&mut shard, hash, key, now_ms)?;
        Some(self.open(&mut shard, number, now_ms, read))
    }

    /// Shows the entry of `key`, which is made if there is none, and postpones its end; `None` when the table is full.
    pub fn update<R>(
        &self,
        key: &Key<'_>,
        now_ms: u64,
        update: impl FnOnce(&mut Entry<'_>) -> R,
    ) -> Option<R> {
        let (_, number, mut shard) = self.obtain(key, now_ms)?;
        shard.touch(&self.layout, number, now_ms, self.life());
        Some(update(&mut shard.entry(&self.layout, number, now_ms)))
    }

    /// Forgets `key`.
    pub fn remove(&self, key: &Key<'_>, now_ms: u64) -> Removal {
        let (place, hash) = self.place(key);
        let mut shard = self.lock(place);
        match self.alive(&mut shard, hash, key, now_ms) {
            Some(number) => self.discard(&mut shard, number),
            None => Removal::Absent,
        }
    }

    /// Forgets what `pointer` points to.
    pub fn remove_at(&self, pointer: Pointer) -> Removal {
        let Some(mut shard) = self.lock_at(pointer) else {
            return Removal::Absent;
        };
        self.discard(&mut shard, pointer.number)
    }

    /// Shows what `pointer` points to.
    pub fn at<R>(
        &self,
        pointer: Pointer,
        now_ms: u64,
        show: impl FnOnce(&mut Row<'_>) -> R,
    ) -> Option<R> {
        let mut shard = self.lock_at(pointer)?;
        Some(self.show(&mut shard, pointer, now_ms, show))
    }

    /// The pointer to the entry of `key`.
    pub fn pointer(&self, key: &Key<'_>, now_ms: u64) -> Option<Pointer> {
        let (place, hash) = self.place(key);
        let number = self.alive(&mut self.lock(place), hash, key, now_ms)?;
        Some(Pointer {
            shard: place as u32,
            number,
        })
    }

    /// Shows every entry, some at a time between two locks; what comes and goes meanwhile may be missed.
    pub fn visit(&self, now_ms: u64, mut show: impl FnMut(&mut Row<'_>)) {
        self.remove_where(now_ms, |row| {
            show(row);
            false
        });
    }

    /// Forgets every entry that `choose` chooses and nobody tracks, in the way of [`Self::visit`].
    pub fn remove_where(&self, now_ms: u64, mut choose: impl FnMut(&mut Row<'_>) -> bool) {
        for place in 0..self.shards.len() {
            let mut next = 0;
            loop {
                let mut shard = self.lock(place);
                let rows = shard.rows(&self.layout);
                let end = rows.min(next + VISIT_ROWS);
                for number in next..end {
                    if !shard.is_taken(&self.layout, number) {
                        continue;
                    }
                    let expired = shard.is_expired(&self.layout, number, now_ms);
                    if expired && shard.users(&self.layout, number) == 0 {
                        continue;
                    }
                    let pointer = Pointer {
                        shard: place as u32,
                        number,
                    };
                    if self.show(&mut shard, pointer, now_ms, &mut choose) {
                        // Those in use stay.
                        let _ = self.discard(&mut shard, number);
                    }
                }
                next = end;
                if next == rows {
                    break;
                }
            }
        }
    }

    /// The number under which `name` is kept as a server's key; `None` when there are too many.
    pub fn server_number(&self, name: &str) -> Option<u32> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&number) = servers.numbers.get(name) {
            return Some(number);
        }
        if servers.names.len() >= SERVER_KEYS_MAX {
            return None;
        }
        let name: Arc<str> = Arc::from(name);
        servers.names.push(Arc::clone(&name));
        let number = servers.names.len() as u32;
        servers.numbers.insert(name, number);
        Some(number)
    }

    /// The name that [`Self::server_number`] keeps under `number`.
    pub fn server_name(&self, number: u32) -> Option<Arc<str>> {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let index = (number as usize).checked_sub(1)?;
        servers.names.get(index).cloned()
    }

    // --- Shards ---

    /// Changes the entry that a [`Tracked`] holds.
    pub(super) fn with<R>(
        &self,
        pointer: Pointer,
        now_ms: u64,
        change: impl FnOnce(&mut Entry<'_>) -> R,
    ) -> R {
        let mut shard = self.lock(pointer.shard as usize);
        self.open(&mut shard, pointer.number, now_ms, change)
    }

    /// A [`Tracked`] lets go of its entry.
    pub(super) fn release(
        &self,
        pointer: Pointer,
        now_ms: Option<u64>,
        end: impl FnOnce(&mut Entry<'_>),
    ) {
        let mut shard = self.lock(pointer.shard as usize);
        let number = pointer.number;
        let users = shard.users(&self.layout, number);
        shard.set_users(&self.layout, number, users.saturating_sub(1));
        match now_ms {
            Some(now_ms) => self.open(&mut shard, number, now_ms, end),
            None => end(&mut shard.entry(&self.layout, number, 0)),
        }
    }

    fn place(&self, key: &Key<'_>) -> (usize, u32) {
        let hash = self.hasher.hash_one(key.as_bytes());
        let shard = (hash >> 32) as usize & (self.shards.len() - 1);
        (shard, hash as u32)
    }

    fn lock(&self, place: usize) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[place].0;
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_at(&self, pointer: Pointer) -> Option<MutexGuard<'_, Shard>> {
        let place = pointer.shard as usize;
        if place >= self.shards.len() {
            return None;
        }
        let shard = self.lock(place);
        shard
            .is_taken(&self.layout, pointer.number)
            .then_some(shard)
    }

    /// The row of `key`, if it has not expired.
    fn alive(&self, shard: &mut Shard, hash: u32, key: &Key<'_>, now_ms: u64) -> Option<u32> {
        let number = shard.find(&self.layout, hash, key)?;
        if shard.is_expired(&self.layout, number, now_ms) {
            if shard.users(&self.layout, number) == 0 {
                self.discard(shard, number);
                return None;
            }
            shard.touch(&self.layout, number, now_ms, self.life());
        }
        Some(number)
    }

    /// The row of `key`, which is made if there is none.
    fn obtain(&self, key: &Key<'_>, now_ms: u64) -> Option<(usize, u32, MutexGuard<'_, Shard>)> {
        let (place, hash) = self.place(key);
        let mut shard = self.lock(place);
        if let Some(number) = self.alive(&mut shard, hash, key, now_ms) {
            return Some((place, number, shard));
        }
        let (removed, _) = shard.purge(&self.layout, now_ms, self.life(), PURGE_MAX);
        self.used.fetch_sub(removed, Relaxed);
        if self.used.fetch_add(1, Relaxed) >= self.size() {
            // This shard's oldest, or that of another, which takes giving this one up meanwhile.
            if self.nopurge.load(Relaxed) || !self.evict(&mut shard) {
                drop(shard);
                if !self.make_room(place, now_ms) {
                    self.used.fetch_sub(1, Relaxed);
                    return None;
                }
                shard = self.lock(place);
                if let Some(number) = self.alive(&mut shard, hash, key, now_ms) {
                    self.used.fetch_sub(1, Relaxed);
                    return Some((place, number, shard));
                }
            }
        }
        let number = shard.insert(&self.layout, hash, key, now_ms);
        Some((place, number, shard))
    }

    /// Takes a place in one of the shards beside `place`; those that have expired first.
    fn make_room(&self, place: usize, now_ms: u64) -> bool {
        let shards = self.shards.len();
        if self.nopurge.load(Relaxed) {
            self.purge(now_ms);
            return self.used.load(Relaxed) <= self.size();
        }
        (1..shards.min(EVICTION_SHARDS_MAX)).any(|offset| {
            let other = (place + offset) % shards;
            self.evict(&mut self.lock(other))
        })
    }

    fn evict(&self, shard: &mut Shard) -> bool {
        let evicted = shard.evict(&self.layout);
        self.used.fetch_sub(u32::from(evicted), Relaxed);
        evicted
    }

    fn discard(&self, shard: &mut Shard, number: u32) -> Removal {
        if shard.users(&self.layout, number) > 0 {
            return Removal::InUse;
        }
        shard.remove(&self.layout, number);
        self.used.fetch_sub(1, Relaxed);
        Removal::Removed
    }

    fn open<R>(
        &self,
        shard: &mut Shard,
        number: u32,
        now_ms: u64,
        change: impl FnOnce(&mut Entry<'_>) -> R,
    ) -> R {
        let mut entry = shard.entry(&self.layout, number, now_ms);
        let result = change(&mut entry);
        if entry.changed {
            shard.touch(&self.layout, number, now_ms, self.life());
        }
        result
    }

    fn show<R>(
        &self,
        shard: &mut Shard,
        pointer: Pointer,
        now_ms: u64,
        show: impl FnOnce(&mut Row<'_>) -> R,
    ) -> R {
        let key = KeyValue::read(self.spec.key, shard.key(&self.layout, pointer.number));
        let entry = shard.entry(&self.layout, pointer.number, now_ms);
        let mut row = Row {
            pointer,
            key,
            entry,
        };
        let result = show(&mut row);
        if row.entry.changed {
            shard.touch(&self.layout, pointer.number, now_ms, self.life());
        }
        result
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("spec", &self.spec)
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}
