//! Lists of patterns, with or without a value behind each, which change while others search in them.
//!
//! Readers see a snapshot behind one shared pointer and never wait. Who changes a list takes its lock, changes the nodes
//! that lead to the change, and publishes the next snapshot; all else is shared with the one before. Changes under a
//! version that is not current are seen by nobody until it is committed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use arc_swap::ArcSwap;
use regex::bytes::Captures;

use crate::value::{Type, Value, leading_integer};

use super::entry::Entry;
use super::index::Index;
use super::method::Method;

/// Most patterns of one list, those of all versions together.
pub(crate) const PATTERNS_MAX: usize = 4_000_000;

/// How often one looks whether the last reader has left a snapshot, before a large one is given up all the same.
const PATIENCE: u32 = 10_000;

/// Where patterns come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A file, by the name the configuration gives it; it may be named several times.
    File(String),
    /// The line of a configuration, told apart by a number.
    Line(u32),
}

/// A way in which a configuration uses a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    pub method: Method,
    pub ignore_case: bool,
    /// What the values of a map are; `None`: only the patterns count.
    pub values: Option<Type>,
    /// Groups of a regular expression are put into the value (`map_regm`).
    pub groups: bool,
}

impl Use {
    /// The patterns alone, as conditions use them.
    pub fn patterns(method: Method, ignore_case: bool) -> Self {
        Self {
            method,
            ignore_case,
            values: None,
            groups: false,
        }
    }

    /// Whether HAProxy keeps the same patterns for both, and shows one of them only.
    fn is_kin(&self, other: &Self) -> bool {
        let arranged = |this: &Self| match this.method {
            Method::Substring | Method::Directory | Method::Domain | Method::Suffix => {
                Method::Substring
            }
            Method::Integer | Method::Length => Method::Integer,
            method => method,
        };
        let rest = |this: &Self| (this.ignore_case, this.values, this.groups);
        arranged(self) == arranged(other) && rest(self) == rest(other)
    }
}

/// The value of a map as one of this type; `None` where it is no such thing.
pub(crate) fn read_value(kind: Type, text: &[u8]) -> Option<Value<'static>> {
    match kind {
        Type::Integer => {
            let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+"));
            let mut digits = digits.unwrap_or(text).iter();
            let is_number = digits.all(u8::is_ascii_digit);
            is_number.then(|| Value::Integer(leading_integer(text)))
        }
        Type::Address => {
            let address = std::str::from_utf8(text).ok()?.parse().ok()?;
            Some(Value::Address(address))
        }
        _ => Some(Value::owned(text)),
    }
}

/// What readers see.
#[derive(Debug, Default)]
struct Snapshot {
    indices: Vec<Index>,
}

/// The entries of one version.
#[derive(Clone, Debug)]
struct Version {
    entries: BTreeMap<u64, Entry>,
    /// The first one finds patterns as written; the others are those of the list's uses.
    indices: Vec<Index>,
}

/// What only those who change or show a list look at.
#[derive(Debug)]
struct Book {
    versions: BTreeMap<u32, Version>,
    current: u32,
    next: u32,
    uses: Vec<Use>,
    /// The ways of comparing that a version is arranged for.
    ways: Vec<(Method, bool)>,
    last_id: u64,
    /// Tells what the configuration has written.
    written: u64,
    /// Something was changed since.
    edited: bool,
}

impl Book {
    fn version(&mut self, number: u32) -> &mut Version {
        let ways = &self.ways;
        self.versions.entry(number).or_insert_with(|| Version {
            entries: BTreeMap::new(),
            indices: ways.iter().map(|way| Index::new(way.0, way.1)).collect(),
        })
    }

    fn snapshot(&mut self) -> Snapshot {
        let current = self.current;
        Snapshot {
            indices: self.version(current).indices.clone(),
        }
    }

    fn len(&self) -> usize {
        self.versions
            .values()
            .map(|known| known.entries.len())
            .sum()
    }
}

/// Patterns of one origin.
pub struct List {
    pub origin: Origin,
    /// The number under which the runtime API knows it (`#N`).
    number: AtomicU32,
    /// Each pattern has a value.
    has_values: bool,
    present: ArcSwap<Snapshot>,
    book: Mutex<Book>,
}

impl List {
    pub(super) fn new(origin: Origin, has_values: bool) -> Self {
        let mut book = Book {
            versions: BTreeMap::new(),
            current: 0,
            next: 0,
            uses: Vec::new(),
            ways: vec![(Method::Text, false)],
            last_id: 0,
            written: 0,
            edited: false,
        };
        Self {
            origin,
            number: AtomicU32::new(0),
            has_values,
            present: ArcSwap::from_pointee(book.snapshot()),
            book: Mutex::new(book),
        }
    }

    /// The number under which the runtime API knows it (`#N`).
    pub fn number(&self) -> u32 {
        self.number.load(Relaxed)
    }

    pub(super) fn set_number(&self, number: u32) {
        self.number.store(number, Relaxed);
    }

    /// The name of the file; empty for the patterns of a line.
    pub fn name(&self) -> &str {
        match &self.origin {
            Origin::File(name) => name,
            Origin::Line(_) => "",
        }
    }

    /// Whether each pattern has a value.
    pub fn has_values(&self) -> bool {
        self.has_values
    }

    /// Changes the list; readers see all of it or nothing.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Editor<'_>) -> T) -> T {
        let mut editor = Editor {
            book: self.book(),
            loading: false,
            changed: false,
        };
        let result = change(&mut editor);
        self.publish(editor);
        result
    }

    /// As [`Self::edit`], for what the configuration itself says.
    pub(crate) fn load<T>(&self, change: impl FnOnce(&mut Editor<'_>) -> T) -> T {
        let mut editor = Editor {
            book: self.book(),
            loading: true,
            changed: false,
        };
        let result = change(&mut editor);
        self.publish(editor);
        result
    }

    fn publish(&self, mut editor: Editor<'_>) {
        if editor.changed {
            self.present.store(Arc::new(editor.book.snapshot()));
        }
    }

    /// Does to all versions at once what leaves many entries behind: [`Editor::clear`] and [`Editor::commit`]. The
    /// entries are freed here, not by the reader who happens to be the last.
    pub fn replace<T>(&self, change: impl FnOnce(&mut Editor<'_>) -> T) -> T {
        let mut editor = Editor {
            book: self.book(),
            loading: false,
            changed: false,
        };
        let result = change(&mut editor);
        if editor.changed {
            let next = Arc::new(editor.book.snapshot());
            let before = self.present.swap(next);
            drop(editor);
            for _ in 0..PATIENCE {
                if Arc::strong_count(&before) == 1 {
                    break;
                }
                thread::yield_now();
            }
        }
        result
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the list stands: its versions, and how many entries they have.
    pub fn state(&self) -> State {
        let book = self.book();
        State {
            current: book.current,
            next: book.next,
            patterns: book.len(),
            uses: book.uses.clone(),
        }
    }

    /// The entries of a version, in the order in which they were given; `None`: of the current one.
    pub fn entries(&self, version: Option<u32>) -> Vec<Entry> {
        let book = self.book();
        let version = book.versions.get(&version.unwrap_or(book.current));
        let entries = version
            .into_iter()
            .flat_map(|version| version.entries.values());
        entries.cloned().collect()
    }

    /// What `text` finds in the current version, used in this way.
    pub fn look_up(&self, used: Use, text: &[u8]) -> Option<Entry> {
        let present = self.present.load();
        let mut indices = present.indices.iter();
        let index = indices.find(|index| index.is(used.method, used.ignore_case))?;
        let value = Value::text(text).cast(used.method.input())?;
        index.find(value).cloned()
    }

    /// Takes over what was changed at run time in `before`, which was written equally. False, and nothing done, where an
    /// entry of it means nothing here.
    pub(super) fn take_over(&self, before: &Self) -> bool {
        let before = before.book();
        let mut book = self.book();
        if !before.edited || before.written != book.written {
            return true;
        }
        let mut next = Book {
            versions: BTreeMap::new(),
            current: before.current,
            next: before.next,
            uses: book.uses.clone(),
            ways: book.ways.clone(),
            last_id: before.last_id,
            written: book.written,
            edited: true,
        };
        for (&number, version) in &before.versions {
            for entry in version.entries.values() {
                if next.put(number, entry).is_err() {
                    return false;
                }
            }
        }
        *book = next;
        self.present.store(Arc::new(book.snapshot()));
        true
    }

    /// Tells what the configuration has written, whatever was changed since.
    fn written(&self) -> u64 {
        self.book().written
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// See [`List::state`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub current: u32,
    pub next: u32,
    /// Patterns of all versions.
    pub patterns: usize,
    /// In the order in which the configuration has them; of those for which HAProxy keeps the same patterns, the first.
    pub uses: Vec<Use>,
}

impl Book {
    /// Adds an entry to every index of a version.
    fn put(&mut self, version: u32, entry: &Entry) -> Result<(), String> {
        if let Some(value) = entry.value() {
            self.check_value(value)?;
        }
        let version = self.version(version);
        let forms: Result<Vec<_>, _> = version
            .indices
            .iter()
            .map(|index| index.form(entry.pattern()))
            .collect();
        for (index, form) in version.indices.iter_mut().zip(forms?) {
            index.add(form, entry);
        }
        version.entries.insert(entry.id(), entry.clone());
        Ok(())
    }

    fn check_value(&self, value: &[u8]) -> Result<(), String> {
        let kinds = self.uses.iter().filter_map(|used| used.values);
        for kind in kinds {
            if read_value(kind, value).is_none() {
                return Err(format!(
                    "unable to parse '{}'",
                    String::from_utf8_lossy(value)
                ));
            }
        }
        Ok(())
    }
}

/// A list that is being changed.
pub struct Editor<'l> {
    book: MutexGuard<'l, Book>,
    loading: bool,
    changed: bool,
}

impl Editor<'_> {
    /// The version that readers see.
    pub fn current(&self) -> u32 {
        self.book.current
    }

    /// The newest version that was handed out.
    pub fn next(&self) -> u32 {
        self.book.next
    }

    fn touch(&mut self, version: u32) {
        self.changed |= version == self.book.current;
        self.book.edited |= !self.loading;
    }

    /// Appends a pattern to a version.
    ///
    /// # Errors
    /// What is wrong with it; the list is as it was.
    pub fn add(
        &mut self,
        version: u32,
        pattern: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), String> {
        if self.book.len() >= PATTERNS_MAX {
            return Err(format!("a list has at most {PATTERNS_MAX} patterns"));
        }
        let id = self.book.last_id + 1;
        let entry = Entry::new(id, pattern, value);
        self.book.put(version, &entry)?;
        self.book.last_id = id;
        if self.loading {
            let mut hash = twox_hash::XxHash64::with_seed(self.book.written);
            std::hash::Hash::hash(&(pattern, value), &mut hash);
            self.book.written = std::hash::Hasher::finish(&hash);
        }
        self.touch(version);
        Ok(())
    }

    /// Whether the current version has this very pattern.
    pub fn has(&mut self, pattern: &[u8]) -> bool {
        let current = self.book.current;
        self.book.version(current).indices[0]
            .same(pattern)
            .next()
            .is_some()
    }

    /// Takes the oldest entry with this very pattern out of the current version.
    pub fn remove(&mut self, pattern: &[u8]) -> bool {
        let current = self.book.current;
        let version = self.book.version(current);
        let oldest = version.indices[0].same(pattern).next().cloned();
        oldest.is_some_and(|entry| self.take_out(current, &entry))
    }

    /// Takes the entry of this number out of whichever version has it.
    pub fn remove_numbered(&mut self, id: u64) -> bool {
        let found = self.numbered(id);
        found.is_some_and(|(version, entry)| self.take_out(version, &entry))
    }

    fn take_out(&mut self, number: u32, entry: &Entry) -> bool {
        let version = self.book.version(number);
        version.entries.remove(&entry.id());
        for index in &mut version.indices {
            index.remove(entry);
        }
        self.touch(number);
        true
    }

    fn numbered(&self, id: u64) -> Option<(u32, Entry)> {
        let mut versions = self.book.versions.iter();
        versions.find_map(|(&number, version)| Some((number, version.entries.get(&id)?.clone())))
    }

    /// Gives all entries with this very pattern in the current version another value. Without any, returns false.
    ///
    /// # Errors
    /// The value is not of the type that a use of the list needs.
    pub fn set(&mut self, pattern: &[u8], value: &[u8]) -> Result<bool, String> {
        let current = self.book.current;
        let version = self.book.version(current);
        let all: Vec<_> = version.indices[0].same(pattern).cloned().collect();
        if all.is_empty() {
            return Ok(false);
        }
        self.book.check_value(value)?;
        for entry in all {
            self.assign(current, &entry, value);
        }
        Ok(true)
    }

    /// Gives the entry of this number, in whichever version has it, another value. Without it, returns false.
    ///
    /// # Errors
    /// As for [`Self::set`].
    pub fn set_numbered(&mut self, id: u64, value: &[u8]) -> Result<bool, String> {
        let Some((version, entry)) = self.numbered(id) else {
            return Ok(false);
        };
        self.book.check_value(value)?;
        self.assign(version, &entry, value);
        Ok(true)
    }

    fn assign(&mut self, number: u32, entry: &Entry, value: &[u8]) {
        let entry = Entry::new(entry.id(), entry.pattern(), Some(value));
        let version = self.book.version(number);
        for index in &mut version.indices {
            index.replace(&entry);
        }
        version.entries.insert(entry.id(), entry);
        self.touch(number);
    }

    /// Hands out the number of a version that can be filled and committed.
    pub fn prepare(&mut self) -> u32 {
        self.book.next = self.book.next.wrapping_add(1);
        self.book.next
    }

    /// Empties a version.
    pub fn clear(&mut self, version: u32) {
        if self.book.versions.remove(&version).is_some() {
            self.touch(version);
        }
    }

    /// Makes a version the current one; older ones are forgotten. False where it was never handed out, or is too old.
    pub fn commit(&mut self, version: u32) -> bool {
        let book = &mut *self.book;
        let ahead = version.wrapping_sub(book.current.wrapping_add(1));
        if ahead >= book.next.wrapping_sub(book.current) {
            return false;
        }
        book.current = version;
        // Of numbers that wrap around, the half before this one is older.
        let is_older = |number: u32| (version.wrapping_sub(number) as i32) > 0;
        book.versions.retain(|&number, _| !is_older(number));
        self.touch(version);
        true
    }
}

/// A list and a way of searching in it. Equal when they search in the same way what was written equally.
#[derive(Clone, Debug)]
pub struct Search {
    pub list: Arc<List>,
    used: Use,
    /// The place among the list's indices.
    index: usize,
}

impl Search {
    /// Prepares to search `list` in this way.
    ///
    /// # Errors
    /// The first entry that cannot be understood in this way, and what is wrong with it.
    pub fn new(list: Arc<List>, used: Use) -> Result<Self, String> {
        let index = {
            let mut guard = list.book();
            let book = &mut *guard;
            let way = (used.method, used.ignore_case);
            if let Some(kind) = used.values {
                check_values(book, kind)?;
            }
            let index = match book.ways.iter().position(|known| *known == way) {
                Some(index) => index,
                None => {
                    for version in book.versions.values_mut() {
                        version.indices.push(arranged(version, used)?);
                    }
                    book.ways.push(way);
                    list.present.store(Arc::new(book.snapshot()));
                    book.ways.len() - 1
                }
            };
            if !book.uses.iter().any(|known| known.is_kin(&used)) {
                book.uses.push(used);
            }
            index
        };
        Ok(Self { list, used, index })
    }

    /// Searches for one pattern, which nobody can change.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of_one(pattern: &[u8], used: Use) -> Result<Self, String> {
        let list = List::new(Origin::Line(0), false);
        let search = Self::new(Arc::new(list), used)?;
        let add = |editor: &mut Editor<'_>| editor.add(editor.current(), pattern, None);
        search.list.load(add)?;
        Ok(search)
    }

    pub fn method(&self) -> Method {
        self.used.method
    }

    /// Whether a pattern matches.
    pub fn matches(&self, value: Value<'_>) -> bool {
        self.find(value, |_| ()).is_some()
    }

    /// What `take` makes of the pattern that matches.
    pub fn find<T>(&self, value: Value<'_>, take: impl FnOnce(&Entry) -> T) -> Option<T> {
        let present = self.list.present.load();
        let entry = present.indices[self.index].find(value)?;
        Some(take(entry))
    }

    /// What `take` makes of the first regular expression that matches, and of what its groups matched.
    pub(crate) fn find_groups<T>(
        &self,
        text: &[u8],
        take: impl FnOnce(&Entry, &Captures<'_>) -> T,
    ) -> Option<T> {
        let present = self.list.present.load();
        let (entry, groups) = present.indices[self.index].find_groups(text)?;
        Some(take(entry, &groups))
    }
}

fn check_values(book: &Book, kind: Type) -> Result<(), String> {
    let entries = book
        .versions
        .values()
        .flat_map(|known| known.entries.values());
    for entry in entries {
        let value = entry.value().unwrap_or_default();
        if read_value(kind, value).is_none() {
            let (key, kind) = (entry.pattern_text(), kind.name());
            let value = String::from_utf8_lossy(value);
            return Err(format!("'{value}', the value of '{key}', is no {kind}"));
        }
    }
    Ok(())
}

/// The entries of a version for another use.
fn arranged(version: &Version, used: Use) -> Result<Index, String> {
    let mut index = Index::new(used.method, used.ignore_case);
    for entry in version.entries.values() {
        index.add(index.form(entry.pattern())?, entry);
    }
    Ok(index)
}

impl PartialEq for Search {
    fn eq(&self, other: &Self) -> bool {
        self.used == other.used
            && self.list.origin == other.list.origin
            && (Arc::ptr_eq(&self.list, &other.list) || self.list.written() == other.list.written())
    }
}
