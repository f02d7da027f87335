//! A key that a connection or request follows for its whole life (`track-sc`).

use std::fmt;
use std::sync::Arc;

use super::data::Data;
use super::entry::Entry;
use super::key::KeyValue;
use super::table::{Pointer, Table};

/// A hold on an entry, which cannot expire or be evicted meanwhile.
///
/// However it ends, `conn_cur` goes down exactly once: by [`Tracked::release`], or, where there is no time to tell, by
/// being dropped.
pub struct Tracked {
    table: Arc<Table>,
    pointer: Pointer,
    released: bool,
}

impl Tracked {
    pub(super) fn new(table: Arc<Table>, pointer: Pointer) -> Self {
        Self {
            table,
            pointer,
            released: false,
        }
    }

    /// The same entry, without a hold of its own: for streams of the connection that has it.
    pub(super) fn lent(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
            pointer: self.pointer,
            released: true,
        }
    }

    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The key that is followed.
    pub fn key(&self) -> Option<KeyValue> {
        self.table.at(self.pointer, 0, |row| row.key.clone())
    }

    /// Shows the entry; what `change` changes postpones its end.
    pub fn with<R>(&self, now_ms: u64, change: impl FnOnce(&mut Entry<'_>) -> R) -> R {
        self.table.with(self.pointer, now_ms, change)
    }

    /// The connection or request has ended. Where current connections are kept, the entry lives on from now.
    pub fn release(mut self, now_ms: u64) {
        self.end(Some(now_ms));
    }

    fn end(&mut self, now_ms: Option<u64>) {
        if !self.released {
            self.released = true;
            let less = |entry: &mut Entry<'_>| entry.decrease(Data::ConnCur);
            self.table.release(self.pointer, now_ms, less);
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl fmt::Debug for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked")
            .field("table", &self.table.spec().name)
            .field("pointer", &self.pointer)
            .finish_non_exhaustive()
    }
}
