//! The streams of a connection: what each has received, may send, and has come to.

use std::collections::VecDeque;

use super::error::Code;
use crate::h1::response::Asked;
use crate::head::Head;

/// Slots kept when a connection falls idle.
const IDLE_SLOTS: usize = 2;

/// Names a stream for as long as its owner holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub(super) slot: u32,
    pub(super) id: u32,
}

impl Key {
    /// The identifier on the wire.
    pub fn id(self) -> u32 {
        self.id
    }
}

/// One stream, from its first frame until its owner lets go of it.
#[derive(Debug)]
pub(super) struct Stream<T> {
    pub(super) id: u32,
    /// Whom to wake.
    pub(super) owner: Option<T>,
    // -- receiving
    /// A head that has not been taken yet, and the ones behind it.
    pub(super) head: Option<Head>,
    pub(super) more_heads: VecDeque<Head>,
    /// The final head has arrived.
    pub(super) headed: bool,
    /// Data that has not been read yet: from `read` on.
    pub(super) data: Vec<u8>,
    pub(super) read: usize,
    pub(super) trailers: Option<Box<Head>>,
    /// The peer has ended its side.
    pub(super) remote_done: bool,
    /// How much of the announced length is still to come.
    pub(super) expected: Option<u64>,
    /// What the peer may still send.
    pub(super) window_in: i64,
    /// What was read since the peer was last told.
    pub(super) unreported: u32,
    /// What it was given beyond its window, of what the connection has to spare.
    pub(super) widened: u32,
    // -- sending
    pub(super) window_out: i64,
    pub(super) local_done: bool,
    /// Something could not be sent: wake the owner when it can.
    pub(super) blocked: bool,
    /// What the request was, on the side that sent it.
    pub(super) asked: Asked,
    // -- both
    /// `RST_STREAM` was received or sent.
    pub(super) reset: Option<Code>,
    /// It was received: the peer has nothing more to say on this stream.
    pub(super) abandoned: bool,
}

impl<T> Stream<T> {
    pub(super) fn new(id: u32, window_in: u32, window_out: u32) -> Self {
        Self {
            id,
            owner: None,
            head: None,
            more_heads: VecDeque::new(),
            headed: false,
            data: Vec::new(),
            read: 0,
            trailers: None,
            remote_done: false,
            expected: None,
            window_in: i64::from(window_in),
            unreported: 0,
            widened: 0,
            window_out: i64::from(window_out),
            local_done: false,
            blocked: false,
            asked: Asked::default(),
            reset: None,
            abandoned: false,
        }
    }

    pub(super) fn unread(&self) -> usize {
        self.data.len() - self.read
    }

    pub(super) fn is_closed(&self) -> bool {
        self.reset.is_some() || self.local_done && self.remote_done
    }
}

/// A slab of streams, found by slot or by identifier.
#[derive(Debug)]
pub(super) struct Streams<T> {
    slots: Vec<Option<Stream<T>>>,
    free: Vec<u32>,
    /// Identifier and slot, sorted.
    index: Vec<(u32, u32)>,
}

impl<T> Default for Streams<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: Vec::new(),
        }
    }
}

impl<T> Streams<T> {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn insert(&mut self, stream: Stream<T>) -> Key {
        let id = stream.id;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(stream);
                slot
            }
            None => {
                self.slots.push(Some(stream));
                self.slots.len() as u32 - 1
            }
        };
        let at = self.index.partition_point(|(known, _)| *known < id);
        self.index.insert(at, (id, slot));
        Key { slot, id }
    }

    pub(super) fn find(&self, id: u32) -> Option<Key> {
        let at = self.index.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(Key {
            slot: self.index[at].1,
            id,
        })
    }

    pub(super) fn get(&self, key: Key) -> Option<&Stream<T>> {
        self.slots
            .get(key.slot as usize)?
            .as_ref()
            .filter(|stream| stream.id == key.id)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Stream<T>> {
        self.slots
            .get_mut(key.slot as usize)?
            .as_mut()
            .filter(|stream| stream.id == key.id)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Stream<T>> {
        self.get(key)?;
        let stream = self.slots[key.slot as usize].take();
        if let Ok(at) = self.index.binary_search_by_key(&key.id, |(id, _)| *id) {
            self.index.remove(at);
        }
        self.free.push(key.slot);
        if self.index.is_empty() && self.slots.capacity() > IDLE_SLOTS {
            // An idle connection does not carry the memory of its busy hours.
            *self = Self::default();
        }
        stream
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stream<T>> {
        self.slots.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream<T>> {
        self.slots.iter_mut().flatten()
    }

    /// All streams with their slots, from the one in slot `from` on and around.
    pub(super) fn rotated_mut(
        &mut self,
        from: usize,
    ) -> impl Iterator<Item = (usize, &mut Stream<T>)> {
        let from = from.min(self.slots.len());
        let (before, behind) = self.slots.split_at_mut(from);
        let behind = behind.iter_mut().enumerate();
        behind
            .map(move |(index, slot)| (from + index, slot))
            .chain(before.iter_mut().enumerate())
            .filter_map(|(index, slot)| Some((index, slot.as_mut()?)))
    }
}
