//! Edge-triggered readiness.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

/// What may be done with a descriptor, as a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness(u8);

impl Readiness {
    pub const NONE: Self = Self(0);
    /// Reading will not block: bytes, the end, or an error.
    pub const READ: Self = Self(1);
    /// Writing will not block: room, or an error.
    pub const WRITE: Self = Self(2);
    /// The peer has closed its sending side.
    pub const READ_CLOSED: Self = Self(4);
    /// Both directions are closed, or the connection has failed.
    pub const HUNG_UP: Self = Self(8);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without the members of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the sets have a member in common.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the set has no member.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn from_flags(flags: EventFlags) -> Self {
        let mut ready = Self::NONE;
        if flags.intersects(EventFlags::IN) {
            ready = ready.with(Self::READ);
        }
        if flags.intersects(EventFlags::OUT) {
            ready = ready.with(Self::WRITE);
        }
        if flags.intersects(EventFlags::RDHUP) {
            ready = ready.with(Self::READ).with(Self::READ_CLOSED);
        }
        if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            ready = ready.with(Self::READ).with(Self::WRITE).with(Self::HUNG_UP);
        }
        ready
    }
}

/// One descriptor that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The number given at registration.
    pub token: u64,
    pub ready: Readiness,
}

/// A set of descriptors to wait for.
#[derive(Debug)]
pub struct Epoll {
    fd: OwnedFd,
}

/// Room for the events of one wait; allocated once.
pub struct Events {
    raw: Vec<epoll::Event>,
}

impl Events {
    /// Room for `capacity` events, at least one.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            raw: Vec::with_capacity(capacity.max(1)),
        }
    }

    /// The events of the last wait.
    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.raw.iter().map(|raw| Event {
            token: raw.data.u64(),
            ready: Readiness::from_flags(raw.flags),
        })
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Epoll {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            fd: epoll::create(CreateFlags::CLOEXEC)?,
        })
    }

    /// Adds a connection, edge-triggered, for both directions. Closing the descriptor removes it.
    pub fn add_stream(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.fd, fd, EventData::new_u64(token), flags)?)
    }

    /// Adds a listening socket, edge-triggered. Of several sets that share the socket, the kernel wakes only some.
    pub fn add_listener(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::ET | EventFlags::EXCLUSIVE;
        Ok(epoll::add(&self.fd, fd, EventData::new_u64(token), flags)?)
    }

    /// Adds a descriptor that is reported for as long as it is readable.
    pub fn add_level(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        Ok(epoll::add(
            &self.fd,
            fd,
            EventData::new_u64(token),
            EventFlags::IN,
        )?)
    }

    /// Removes a descriptor whose description lives on elsewhere (a shared listener).
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.fd, fd)?)
    }

    /// Waits for events until `timeout_ms` has passed; `None` waits for ever. A signal ends the wait early.
    pub fn wait(&self, events: &mut Events, timeout_ms: Option<u32>) -> io::Result<()> {
        events.raw.clear();
        // epoll_wait counts in a signed integer of milliseconds.
        let timeout = timeout_ms.map(|ms| {
            let ms = ms.min(i32::MAX as u32);
            Timespec {
                tv_sec: i64::from(ms / 1_000),
                tv_nsec: i64::from(ms % 1_000) * 1_000_000,
            }
        });
        match epoll::wait(&self.fd, spare_capacity(&mut events.raw), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
