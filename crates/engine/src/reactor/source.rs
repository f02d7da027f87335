//! What is known about each open socket, without asking the kernel.
//!
//! Readiness is remembered: an event sets it, a short read or write clears it, so that a task first looks here and
//! makes no call that would only say "not yet". A socket may have one task waiting to read (or for a hang-up) and
//! one waiting to write; both may be the same. The token given to the driver carries a generation, because a slot
//! can be closed and filled again while events for its former socket are still on their way.

use std::num::NonZeroU32;

use plimsoll_sys::epoll::Readiness;

use super::task::TaskId;

/// Names one opened socket; never reused while the reactor lives (until 2^32 sockets have had the same slot).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketId {
    index: u32,
    generation: NonZeroU32,
}

impl SocketId {
    pub(super) fn token(self) -> u64 {
        u64::from(self.generation.get()) << 32 | u64::from(self.index)
    }
}

/// A parked socket on which something happened: its peer closed it, or spoke out of turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale {
    /// What the socket was parked with.
    pub tag: u32,
    pub socket: SocketId,
}

/// Reading would not block, or the connection is over.
pub(super) const READABLE_OR_OVER: Readiness = Readiness::READ
    .with(Readiness::READ_CLOSED)
    .with(Readiness::HUNG_UP);
/// The peer has closed its side, or the connection is over.
pub(super) const CLOSED: Readiness = Readiness::READ_CLOSED.with(Readiness::HUNG_UP);

#[derive(Debug)]
struct Source {
    generation: NonZeroU32,
    live: bool,
    registered: bool,
    ready: Readiness,
    /// What `reader` waits for.
    interest: Readiness,
    reader: Option<TaskId>,
    writer: Option<TaskId>,
    /// Tag of a parked socket.
    parked: Option<u32>,
    /// READ was cleared to hear of more, though bytes that were only looked at are still there.
    peeked: bool,
    /// The driver would have been told of the socket for a hang-up alone, and was not.
    postponed: bool,
}

impl Source {
    /// A slot without a socket.
    fn vacant(generation: NonZeroU32) -> Self {
        Self {
            generation,
            live: false,
            registered: false,
            ready: Readiness::NONE,
            interest: Readiness::NONE,
            reader: None,
            writer: None,
            parked: None,
            peeked: false,
            postponed: false,
        }
    }
}

/// The table of open sockets.
#[derive(Debug)]
pub(super) struct Sources {
    slots: Vec<Source>,
    free: Vec<u32>,
    cap: usize,
    /// Parked sockets seen to be stale. A socket enters once, since entering ends its parking; those that were closed
    /// since are swept out when they could be the greater part.
    stale: Vec<Stale>,
}

/// The tasks an event is for.
#[derive(Debug, Default)]
pub(super) struct Woken {
    pub(super) reader: Option<TaskId>,
    pub(super) writer: Option<TaskId>,
}

impl Sources {
    pub(super) fn new(cap: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            cap: cap.min(u32::MAX as usize - 1),
            stale: Vec::new(),
        }
    }

    /// Sockets open.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn has_room(&self) -> bool {
        self.len() < self.cap
    }

    /// Takes a socket in; `None` when the table is full.
    pub(super) fn insert(&mut self, ready: Readiness) -> Option<SocketId> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() >= self.cap => return None,
            None => {
                self.slots.push(Source::vacant(NonZeroU32::MIN));
                (self.slots.len() - 1) as u32
            }
        };
        let source = &mut self.slots[index as usize];
        source.live = true;
        source.ready = ready;
        Some(SocketId {
            index,
            generation: source.generation,
        })
    }

    pub(super) fn remove(&mut self, id: SocketId) {
        let source = &mut self.slots[id.index as usize];
        *source = Source::vacant(source.generation.checked_add(1).unwrap_or(NonZeroU32::MIN));
        self.free.push(id.index);
    }

    #[inline]
    pub(super) fn ready(&self, id: SocketId) -> Readiness {
        self.slots[id.index as usize].ready
    }

    /// Whether a read is worth trying.
    #[inline]
    pub(super) fn may_read(&mut self, id: SocketId) -> bool {
        let source = &mut self.slots[id.index as usize];
        if std::mem::take(&mut source.peeked) {
            source.ready = source.ready.with(Readiness::READ);
        }
        source.ready.intersects(Readiness::READ)
    }

    /// Waits for more than what has just been looked at.
    pub(super) fn set_peeked(&mut self, id: SocketId) {
        let source = &mut self.slots[id.index as usize];
        source.ready = source.ready.without(Readiness::READ);
        source.peeked = true;
    }

    #[inline]
    pub(super) fn set(&mut self, id: SocketId, bits: Readiness) {
        let source = &mut self.slots[id.index as usize];
        source.ready = source.ready.with(bits);
    }

    #[inline]
    pub(super) fn clear(&mut self, id: SocketId, bits: Readiness) {
        let source = &mut self.slots[id.index as usize];
        source.ready = source.ready.without(bits);
    }

    /// Clears READ after a short read, unless the end has been announced: no further event would set it again.
    #[inline]
    pub(super) fn clear_read_unless_closed(&mut self, id: SocketId) {
        let source = &mut self.slots[id.index as usize];
        if !source.ready.intersects(CLOSED) {
            source.ready = source.ready.without(Readiness::READ);
        }
    }

    /// Wakes `task` when one of `interest` becomes true. Says whether the driver must be told of the socket first.
    #[inline]
    pub(super) fn wait_read(&mut self, id: SocketId, task: TaskId, interest: Readiness) -> bool {
        let source = &mut self.slots[id.index as usize];
        // One task may wait for bytes and for a hang-up at once.
        source.interest = if source.reader == Some(task) {
            source.interest.with(interest)
        } else {
            interest
        };
        source.reader = Some(task);
        !std::mem::replace(&mut source.registered, true)
    }

    /// Whether to tell the driver later, if the socket is watched for a hang-up alone: once, for a new socket.
    #[inline]
    pub(super) fn postpones(&mut self, id: SocketId) -> bool {
        let source = &mut self.slots[id.index as usize];
        !source.registered && !std::mem::replace(&mut source.postponed, true)
    }

    /// Wakes `task` when writing becomes possible. Says whether the driver must be told of the socket first.
    #[inline]
    pub(super) fn wait_write(&mut self, id: SocketId, task: TaskId) -> bool {
        let source = &mut self.slots[id.index as usize];
        source.writer = Some(task);
        !std::mem::replace(&mut source.registered, true)
    }

    /// The driver could not take the socket; the next wait tries again.
    pub(super) fn unregistered(&mut self, id: SocketId) {
        self.slots[id.index as usize].registered = false;
    }

    /// Notes an event and tells whom to wake. Events for former tenants of the slot are dropped.
    #[inline]
    pub(super) fn on_event(&mut self, token: u64, ready: Readiness) -> Woken {
        let index = token as u32;
        let Some(source) = self.slots.get_mut(index as usize) else {
            return Woken::default();
        };
        if !source.live || u64::from(source.generation.get()) != token >> 32 {
            return Woken::default();
        }
        source.ready = source.ready.with(ready);
        if source.parked.is_some() && source.ready.intersects(READABLE_OR_OVER) {
            let socket = SocketId {
                index,
                generation: source.generation,
            };
            if let Some(tag) = source.parked.take() {
                self.report_stale(Stale { tag, socket });
            }
            return Woken::default();
        }
        let mut woken = Woken::default();
        if source.interest.intersects(source.ready) {
            source.interest = Readiness::NONE;
            woken.reader = source.reader.take();
        }
        if source.ready.intersects(Readiness::WRITE) {
            woken.writer = source.writer.take();
        }
        woken
    }

    /// Nobody waits for the socket any more; events make it stale. Says whether the driver must be told of it first.
    pub(super) fn park(&mut self, id: SocketId, tag: u32) -> bool {
        let source = &mut self.slots[id.index as usize];
        source.reader = None;
        source.writer = None;
        source.interest = Readiness::NONE;
        source.parked = Some(tag);
        !std::mem::replace(&mut source.registered, true)
    }

    pub(super) fn unpark(&mut self, id: SocketId) {
        self.slots[id.index as usize].parked = None;
    }

    /// The next stale socket that is still open.
    pub(super) fn take_stale(&mut self) -> Option<Stale> {
        loop {
            let stale = self.stale.pop()?;
            if is_open(&self.slots, stale.socket) {
                return Some(stale);
            }
        }
    }

    fn report_stale(&mut self, stale: Stale) {
        if self.stale.len() > 2 * self.slots.len() {
            let slots = &self.slots;
            self.stale.retain(|stale| is_open(slots, stale.socket));
        }
        self.stale.push(stale);
    }
}

fn is_open(slots: &[Source], socket: SocketId) -> bool {
    let source = &slots[socket.index as usize];
    source.live && source.generation == socket.generation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_for_a_former_tenant_is_dropped() {
        let mut sources = Sources::new(4);
        let first = sources.insert(Readiness::NONE).unwrap();
        sources.remove(first);
        let second = sources.insert(Readiness::NONE).unwrap();
        assert_eq!(first.index, second.index);
        sources.on_event(first.token(), Readiness::READ);
        assert!(sources.ready(second).is_empty());
        sources.on_event(second.token(), Readiness::READ);
        assert!(sources.ready(second).intersects(Readiness::READ));
    }

    #[test]
    fn a_short_read_after_a_hang_up_leaves_the_socket_readable() {
        let mut sources = Sources::new(4);
        let id = sources.insert(Readiness::NONE).unwrap();
        sources.on_event(id.token(), Readiness::READ);
        sources.clear_read_unless_closed(id);
        assert!(!sources.ready(id).intersects(Readiness::READ));
        sources.on_event(id.token(), Readiness::READ.with(Readiness::READ_CLOSED));
        sources.clear_read_unless_closed(id);
        assert!(sources.ready(id).intersects(Readiness::READ));
    }

    #[test]
    fn a_parked_socket_becomes_stale_once() {
        let mut sources = Sources::new(4);
        let id = sources.insert(Readiness::WRITE).unwrap();
        assert!(sources.park(id, 9), "the driver has not seen it yet");
        sources.on_event(id.token(), Readiness::WRITE);
        assert_eq!(sources.take_stale(), None);
        sources.on_event(id.token(), Readiness::READ.with(Readiness::READ_CLOSED));
        sources.on_event(id.token(), Readiness::HUNG_UP);
        assert_eq!(sources.take_stale(), Some(Stale { tag: 9, socket: id }));
        assert_eq!(sources.take_stale(), None);
    }

    #[test]
    fn a_stale_socket_closed_meanwhile_is_not_reported() {
        let mut sources = Sources::new(4);
        let id = sources.insert(Readiness::WRITE).unwrap();
        sources.park(id, 9);
        sources.on_event(id.token(), Readiness::HUNG_UP);
        sources.remove(id);
        assert_eq!(sources.take_stale(), None);
    }

    #[test]
    fn what_nobody_asks_about_does_not_pile_up() {
        let mut sources = Sources::new(4);
        for _ in 0..1_000 {
            let id = sources.insert(Readiness::WRITE).unwrap();
            sources.park(id, 9);
            sources.on_event(id.token(), Readiness::HUNG_UP);
            sources.remove(id);
        }
        assert!(sources.stale.len() < 10);
    }

    #[test]
    fn only_a_new_socket_is_watched_later_and_only_once() {
        let mut sources = Sources::new(4);
        let first = sources.insert(Readiness::WRITE).unwrap();
        assert!(sources.postpones(first));
        assert!(!sources.postpones(first));
        sources.remove(first);
        let second = sources.insert(Readiness::WRITE).unwrap();
        assert!(sources.postpones(second));
        let known = sources.insert(Readiness::WRITE).unwrap();
        sources.park(known, 0);
        assert!(!sources.postpones(known));
    }

    #[test]
    fn the_cap_holds() {
        let mut sources = Sources::new(1);
        let id = sources.insert(Readiness::NONE).unwrap();
        assert_eq!(sources.insert(Readiness::NONE), None);
        sources.remove(id);
        assert!(sources.insert(Readiness::NONE).is_some());
    }
}
