//! Entries that are compared one after the other, in the order in which they were given.
//!
//! They stand in chunks, so that a change copies one of them and not the whole row.

use std::sync::Arc;

use super::entry::Entry;

const CHUNK: usize = 64;

/// Entries, each with the form of it that is compared.
#[derive(Clone, Debug)]
pub(super) struct Row<T>(Vec<Arc<Vec<(T, Entry)>>>);

impl<T> Default for Row<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Clone> Row<T> {
    pub(super) fn push(&mut self, form: T, entry: &Entry) {
        let item = (form, entry.clone());
        match self.0.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => Arc::make_mut(chunk).push(item),
            _ => self.0.push(Arc::new(vec![item])),
        }
    }

    pub(super) fn replace(&mut self, entry: &Entry) {
        if let Some((chunk, place)) = self.place(entry.id()) {
            Arc::make_mut(&mut self.0[chunk])[place].1 = entry.clone();
        }
    }

    pub(super) fn remove(&mut self, id: u64) {
        if let Some((chunk, place)) = self.place(id) {
            let items = Arc::make_mut(&mut self.0[chunk]);
            items.remove(place);
            if items.is_empty() {
                self.0.remove(chunk);
            }
        }
    }

    /// The first entry whose form `test` accepts.
    pub(super) fn find(&self, mut test: impl FnMut(&T) -> bool) -> Option<&Entry> {
        self.find_map(|form| test(form).then_some(()))
            .map(|(entry, ())| entry)
    }

    /// As [`Self::find`], with what `test` made of the form.
    pub(super) fn find_map<R>(&self, mut test: impl FnMut(&T) -> Option<R>) -> Option<(&Entry, R)> {
        let mut all = self.0.iter().flat_map(|chunk| chunk.iter());
        all.find_map(|(form, entry)| Some((entry, test(form)?)))
    }

    /// Numbers of entries only grow.
    fn place(&self, id: u64) -> Option<(usize, usize)> {
        let last = |chunk: &Arc<Vec<(T, Entry)>>| chunk.last().map_or(0, |(_, last)| last.id());
        let chunk = self.0.partition_point(|chunk| last(chunk) < id);
        let items = self.0.get(chunk)?;
        let place = items.binary_search_by_key(&id, |(_, entry)| entry.id());
        place.ok().map(|place| (chunk, place))
    }
}
