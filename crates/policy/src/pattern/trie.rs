//! A hash table of entries that copies share: changing one leaves all others as they are, at the price of the few nodes
//! on the way to the change.
//!
//! Nodes branch by five bits of the hash at a time; a leaf holds a handful of slots. As long as nobody shares a node it
//! is changed in place, so that filling a table copies nothing. What is absent: what a key is; callers compare.

use std::sync::Arc;

use super::entry::Entry;

const BITS: u32 = 5;
const FAN: usize = 1 << BITS;

/// Slots of a leaf that is not at the very bottom.
const SLOTS_MAX: usize = 8;

/// Levels beyond which the hash has no bits left.
const DEPTH_MAX: u32 = u64::BITS / BITS;

/// Entries of one key, the oldest first.
#[derive(Clone, Debug)]
pub(super) struct Slot<K> {
    hash: u64,
    pub(super) key: K,
    pub(super) first: Entry,
    /// Those that come after the first: a key may be given several times.
    more: Option<Arc<Vec<Entry>>>,
}

impl<K> Slot<K> {
    fn push(&mut self, entry: Entry) {
        Arc::make_mut(self.more.get_or_insert_default()).push(entry);
    }

    fn replace(&mut self, entry: &Entry) {
        if self.first.id() == entry.id() {
            self.first = entry.clone();
        } else if let Some(more) = &mut self.more
            && let Ok(place) = more.binary_search_by_key(&entry.id(), |known| known.id())
        {
            Arc::make_mut(more)[place] = entry.clone();
        }
    }

    /// Takes an entry out; returns whether none is left.
    fn remove(&mut self, id: u64) -> bool {
        let Some(more) = &mut self.more else {
            return self.first.id() == id;
        };
        let more = Arc::make_mut(more);
        if self.first.id() == id {
            self.first = more.remove(0);
        } else if let Ok(place) = more.binary_search_by_key(&id, |known| known.id()) {
            more.remove(place);
        }
        if more.is_empty() {
            self.more = None;
        }
        false
    }

    /// Every entry of the key.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let more = self.more.iter().flat_map(|more| more.iter());
        std::iter::once(&self.first).chain(more)
    }
}

#[derive(Clone, Debug)]
enum Node<K> {
    Leaf(Arc<[Slot<K>]>),
    Branch(Arc<[Self; FAN]>),
}

impl<K> Default for Node<K> {
    fn default() -> Self {
        Self::Leaf(Arc::default())
    }
}

#[derive(Clone, Debug)]
pub(super) struct Trie<K> {
    root: Node<K>,
    slots: usize,
}

impl<K> Default for Trie<K> {
    fn default() -> Self {
        Self {
            root: Node::default(),
            slots: 0,
        }
    }
}

fn way(hash: u64, depth: u32) -> usize {
    (hash >> (depth * BITS)) as usize & (FAN - 1)
}

impl<K: Clone> Trie<K> {
    /// How many different keys there are.
    pub(super) fn len(&self) -> usize {
        self.slots
    }

    /// The slot under `hash` that `is_it` confirms.
    pub(super) fn get(&self, hash: u64, is_it: impl Fn(&Slot<K>) -> bool) -> Option<&Slot<K>> {
        let (mut node, mut depth) = (&self.root, 0);
        loop {
            match node {
                Node::Branch(children) => node = &children[way(hash, depth)],
                Node::Leaf(slots) => {
                    let mut slots = slots.iter();
                    return slots.find(|slot| slot.hash == hash && is_it(slot));
                }
            }
            depth += 1;
        }
    }

    /// Adds an entry behind those of the same key, which `is_it` confirms.
    pub(super) fn insert(
        &mut self,
        hash: u64,
        key: K,
        entry: &Entry,
        is_it: impl Fn(&Slot<K>) -> bool,
    ) {
        let leaf = leaf(&mut self.root, hash);
        let known = leaf
            .iter()
            .position(|slot| slot.hash == hash && is_it(slot));
        if let Some(known) = known {
            change(leaf, |slots| slots[known].push(entry.clone()));
            return;
        }
        self.slots += 1;
        let slot = Slot {
            hash,
            key,
            first: entry.clone(),
            more: None,
        };
        put(&mut self.root, slot);
    }

    /// Puts another entry of the same number in place of the present one.
    pub(super) fn replace(&mut self, hash: u64, entry: &Entry, is_it: impl Fn(&Slot<K>) -> bool) {
        let leaf = leaf(&mut self.root, hash);
        let known = leaf
            .iter()
            .position(|slot| slot.hash == hash && is_it(slot));
        if let Some(known) = known {
            change(leaf, |slots| slots[known].replace(entry));
        }
    }

    /// Takes the entry of this number out; returns whether it was the last one of its key.
    pub(super) fn remove(&mut self, hash: u64, id: u64, is_it: impl Fn(&Slot<K>) -> bool) -> bool {
        let leaf = leaf(&mut self.root, hash);
        let known = leaf
            .iter()
            .position(|slot| slot.hash == hash && is_it(slot));
        let Some(known) = known else { return false };
        let mut gone = false;
        change(leaf, |slots| gone = slots[known].remove(id));
        if gone {
            let slots = leaf.iter().enumerate();
            let left = slots.filter(|(place, _)| *place != known);
            *leaf = left.map(|(_, slot)| slot.clone()).collect();
            self.slots -= 1;
        }
        gone
    }

    /// The hashes of all keys.
    pub(super) fn hashes(&self, see: &mut impl FnMut(u64)) {
        hashes(&self.root, see);
    }
}

fn hashes<K>(node: &Node<K>, see: &mut impl FnMut(u64)) {
    match node {
        Node::Leaf(slots) => slots.iter().for_each(|slot| see(slot.hash)),
        Node::Branch(children) => children.iter().for_each(|child| hashes(child, see)),
    }
}

/// The leaf that `hash` belongs to. The nodes before it are nobody else's then.
fn leaf<K: Clone>(root: &mut Node<K>, hash: u64) -> &mut Arc<[Slot<K>]> {
    let (mut node, mut depth) = (root, 0);
    loop {
        match node {
            Node::Leaf(slots) => return slots,
            Node::Branch(children) => node = &mut Arc::make_mut(children)[way(hash, depth)],
        }
        depth += 1;
    }
}

/// Changes slots in place, or a copy of them where somebody else looks at these.
fn change<K: Clone>(slots: &mut Arc<[Slot<K>]>, change: impl FnOnce(&mut [Slot<K>])) {
    if Arc::get_mut(slots).is_none() {
        *slots = slots.iter().cloned().collect();
    }
    if let Some(own) = Arc::get_mut(slots) {
        change(own);
    }
}

/// Adds a slot; a leaf that is full becomes a branch.
fn put<K: Clone>(root: &mut Node<K>, slot: Slot<K>) {
    let (mut node, mut depth) = (root, 0);
    loop {
        if let Node::Leaf(slots) = node {
            if slots.len() < SLOTS_MAX || depth == DEPTH_MAX {
                let all = slots.iter().cloned().chain(std::iter::once(slot));
                *slots = all.collect();
                return;
            }
            *node = split(slots, depth);
        }
        if let Node::Branch(children) = node {
            node = &mut Arc::make_mut(children)[way(slot.hash, depth)];
        }
        depth += 1;
    }
}

fn split<K: Clone>(slots: &[Slot<K>], depth: u32) -> Node<K> {
    let children = std::array::from_fn(|child| {
        let own = slots.iter().filter(|slot| way(slot.hash, depth) == child);
        Node::Leaf(own.cloned().collect())
    });
    Node::Branch(Arc::new(children))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn entry(id: u64) -> Entry {
        Entry::new(id, b"", None)
    }

    fn ids(trie: &Trie<u8>, hash: u64, key: u8) -> Vec<u64> {
        let slot = trie.get(hash, |slot| slot.key == key);
        slot.map(|slot| slot.entries().map(|entry| entry.id()).collect())
            .unwrap_or_default()
    }

    /// Keys that share hashes, or their lowest bits, so that leaves split to the bottom.
    fn hash(key: u8) -> u64 {
        match key % 4 {
            0 => 7,
            1 => 7 | 1 << 63,
            _ => u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        }
    }

    proptest! {
        #[test]
        fn a_trie_is_a_map_and_copies_stay(steps in proptest::collection::vec((0_u8..40, any::<bool>()), 1..300)) {
            let (mut trie, mut model) = (Trie::default(), BTreeMap::<u8, Vec<u64>>::new());
            let mut copies = Vec::new();
            for (id, (key, add)) in (1..).zip(steps) {
                let known = model.entry(key).or_default();
                match known.pop() {
                    Some(last) if !add => {
                        trie.remove(hash(key), last, |slot| slot.key == key);
                    }
                    last => {
                        known.extend(last);
                        known.push(id);
                        trie.insert(hash(key), key, &entry(id), |slot| slot.key == key);
                    }
                }
                if id % 50 == 0 {
                    copies.push((trie.clone(), model.clone()));
                }
            }
            copies.push((trie, model));
            for (trie, model) in copies {
                for (key, known) in &model {
                    prop_assert_eq!(&ids(&trie, hash(*key), *key), known);
                }
                let keys = model.values().filter(|known| !known.is_empty()).count();
                prop_assert_eq!(trie.len(), keys);
                let mut seen = 0;
                trie.hashes(&mut |_| seen += 1);
                prop_assert_eq!(seen, keys);
            }
        }
    }
}
