//! Lists of patterns, with or without a value behind each, and the searches that conditions and maps make in them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use regex::bytes::Captures;

use crate::value::Value;

use super::index::Index;
use super::method::Method;

/// Most patterns of one list.
pub(super) const PATTERNS_MAX: usize = 4_000_000;

/// Where patterns come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A file, by the name the configuration gives it; it may be named several times.
    File(String),
    /// The line of a configuration, told apart by a number.
    Line(u32),
}

/// One pattern as written, with the value that a map has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Tells entries of a list apart, as the runtime API shows it.
    pub id: u64,
    pub pattern: Box<str>,
    pub value: Option<Box<str>>,
}

/// Patterns of one origin.
///
/// Readers take a read lock: uncontended unless the runtime API or a rule changes the list at that moment.
pub struct List {
    pub origin: Origin,
    /// The number under which the runtime API knows it (`#N`).
    pub id: u32,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<Entry>,
    indices: Vec<(Method, bool, Index)>,
}

impl List {
    fn new(origin: Origin, id: u32) -> Self {
        Self {
            origin,
            id,
            inner: RwLock::default(),
        }
    }

    /// Appends a pattern.
    ///
    /// # Errors
    /// What is wrong with it; the list is as it was.
    pub fn add(&self, pattern: &str, value: Option<&str>) -> Result<(), String> {
        let mut guard = self.write();
        let inner = &mut *guard;
        let position = inner.entries.len();
        if position >= PATTERNS_MAX {
            return Err(format!("a list has at most {PATTERNS_MAX} patterns"));
        }
        for (method, ignore_case, index) in &mut inner.indices {
            index.add(*method, *ignore_case, pattern, position)?;
        }
        inner.entries.push(Entry {
            id: position as u64 + 1,
            pattern: pattern.into(),
            value: value.map(Into::into),
        });
        Ok(())
    }

    /// The first pattern that `test` accepts.
    pub(crate) fn find(&self, test: impl Fn(&Entry) -> bool) -> Option<Entry> {
        self.read()
            .entries
            .iter()
            .find(|entry| test(entry))
            .cloned()
    }

    /// How many patterns there are.
    pub fn len(&self) -> usize {
        self.read().entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List")
            .field("origin", &self.origin)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A list and a way of searching in it. Equal when they search the same patterns of the same origin in the same way.
#[derive(Clone, Debug)]
pub struct Search {
    pub list: Arc<List>,
    method: Method,
    ignore_case: bool,
    /// The place among the list's indices.
    index: usize,
}

impl Search {
    /// Prepares to search `list` in this way.
    ///
    /// # Errors
    /// The first pattern that cannot be understood in this way, and what is wrong with it.
    pub fn new(list: Arc<List>, method: Method, ignore_case: bool) -> Result<Self, String> {
        let place = {
            let mut inner = list.write();
            let known = inner
                .indices
                .iter()
                .position(|(known, case, _)| (*known, *case) == (method, ignore_case));
            match known {
                Some(known) => known,
                None => {
                    let mut index = Index::default();
                    for (position, entry) in inner.entries.iter().enumerate() {
                        index.add(method, ignore_case, &entry.pattern, position)?;
                    }
                    inner.indices.push((method, ignore_case, index));
                    inner.indices.len() - 1
                }
            }
        };
        Ok(Self {
            list,
            method,
            ignore_case,
            index: place,
        })
    }

    pub fn method(&self) -> Method {
        self.method
    }

    /// Whether a pattern matches.
    pub fn matches(&self, value: Value<'_>) -> bool {
        self.find(value, |_| ()).is_some()
    }

    /// What `take` makes of the pattern that matches.
    pub fn find<T>(&self, value: Value<'_>, take: impl FnOnce(&Entry) -> T) -> Option<T> {
        let inner = self.list.read();
        let (_, _, index) = &inner.indices[self.index];
        let position = index.find(self.method, self.ignore_case, value)?;
        inner.entries.get(position).map(take)
    }
}

impl Search {
    /// What `take` makes of the first regular expression that matches, and of what its groups matched.
    pub(crate) fn find_groups<T>(
        &self,
        text: &[u8],
        take: impl FnOnce(&Entry, &Captures<'_>) -> T,
    ) -> Option<T> {
        let inner = self.list.read();
        let (_, _, index) = &inner.indices[self.index];
        let (position, groups) = index.find_groups(text)?;
        inner
            .entries
            .get(position)
            .map(|entry| take(entry, &groups))
    }
}

impl PartialEq for Search {
    fn eq(&self, other: &Self) -> bool {
        (self.method, self.ignore_case) == (other.method, other.ignore_case)
            && self.list.origin == other.list.origin
            && (Arc::ptr_eq(&self.list, &other.list)
                || self.list.read().entries == other.list.read().entries)
    }
}

/// The lists of one configuration.
#[derive(Debug, Default)]
pub struct Lists(Mutex<BTreeMap<Origin, Arc<List>>>);

/// What lists contain changes while the configuration stays the same.
impl PartialEq for Lists {
    fn eq(&self, other: &Self) -> bool {
        let origins = |lists: &Self| -> Vec<Origin> {
            let known = lists.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.keys().cloned().collect()
        };
        origins(self) == origins(other)
    }
}

impl Lists {
    /// The list of this origin; `true` when it is new and has no patterns yet.
    pub fn list(&self, origin: Origin) -> (Arc<List>, bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = known.get(&origin) {
            return (Arc::clone(list), false);
        }
        let list = Arc::new(List::new(origin.clone(), known.len() as u32));
        known.insert(origin, Arc::clone(&list));
        (list, true)
    }

    /// A list for the patterns of one line.
    pub fn fresh(&self) -> Arc<List> {
        let next = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.len() as u32
        };
        self.list(Origin::Line(next)).0
    }

    /// Every list, in the order of their numbers.
    pub fn all(&self) -> Vec<Arc<List>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = known.values().cloned().collect();
        all.sort_by_key(|list| list.id);
        all
    }
}
