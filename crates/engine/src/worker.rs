//! One core's share of the work: a reactor, the tables of the present plane, and memory that is used again.

use std::cell::{Cell, RefCell};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use plimsoll_policy::log::{Level, Profile, Record, WallTime};
use plimsoll_sys::clock;
use plimsoll_wire::head::Head;

use crate::control::log::{Fill, LogRoute, LogWriter};
use crate::reactor::Reactor;
use crate::tables::Tables;

/// Heads, and buffers of each kind, kept for the next request.
const SPARE_MAX: usize = 1_024;

/// Buffers kept for the output of multiplexed connections, and the largest one that is kept.
const OUTPUTS_MAX: usize = 16;
const OUTPUT_BYTES_MAX: usize = 262_144;

/// Larger buffers are not kept.
const SPARE_BYTES_MAX: usize = 16_384;

const NS_PER_MS: u64 = 1_000_000;
pub(crate) const NS_PER_S: u64 = 1_000_000_000;

/// A deadline that never comes.
pub(crate) const NEVER_NS: u64 = u64::MAX;

/// The moment so long after another; `None` never comes.
pub(crate) fn deadline_after(since_ns: u64, after_ms: Option<u64>) -> u64 {
    match after_ms {
        Some(ms) => since_ns.saturating_add(ms.saturating_mul(NS_PER_MS)),
        None => NEVER_NS,
    }
}

pub(crate) struct Worker {
    pub(crate) reactor: Reactor,
    /// This worker's number.
    pub(crate) index: usize,
    tables: RefCell<Rc<Tables>>,
    heads: RefCell<Vec<Head>>,
    buffers: RefCell<Vec<Vec<u8>>>,
    outs: RefCell<Vec<Vec<u8>>>,
    outputs: RefCell<Vec<Vec<u8>>>,
    random: Cell<u64>,
    writer: RefCell<LogWriter>,
    /// A minute, and by how many seconds local time is ahead then.
    utc_offset: Cell<(u64, i32)>,
    stopping: Arc<AtomicBool>,
    /// Client connections now open.
    sessions: Cell<usize>,
    /// Stop the reactor when the last of them ends.
    draining: Cell<bool>,
}

impl Worker {
    pub(crate) fn new(
        reactor: Reactor,
        index: usize,
        tables: Rc<Tables>,
        seed: u64,
        stopping: Arc<AtomicBool>,
    ) -> Rc<Self> {
        Rc::new(Self {
            reactor,
            index,
            tables: RefCell::new(tables),
            heads: RefCell::default(),
            buffers: RefCell::default(),
            outs: RefCell::default(),
            outputs: RefCell::default(),
            random: Cell::new(seed | 1),
            writer: RefCell::default(),
            utc_offset: Cell::default(),
            stopping,
            sessions: Cell::new(0),
            draining: Cell::new(false),
        })
    }

    /// The tables of this moment; whoever takes them works with them to its end.
    pub(crate) fn tables(&self) -> Rc<Tables> {
        Rc::clone(&self.tables.borrow())
    }

    /// Serves by other tables from now on; returns those that were in use.
    pub(crate) fn adopt(&self, tables: Rc<Tables>) -> Rc<Tables> {
        self.tables.replace(tables)
    }

    /// Whether these are the tables of this moment.
    pub(crate) fn is_present(&self, tables: &Rc<Tables>) -> bool {
        Rc::ptr_eq(&self.tables.borrow(), tables)
    }

    /// Whether connections are to end at their next rest.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn session_begins(&self) {
        self.sessions.set(self.sessions.get() + 1);
    }

    pub(crate) fn session_ends(&self) {
        self.sessions.set(self.sessions.get() - 1);
        self.stop_if_drained();
    }

    /// Ends the worker when its last client connection has ended.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        self.stop_if_drained();
    }

    fn stop_if_drained(&self) {
        if self.draining.get() && self.sessions.get() == 0 {
            self.reactor.stop();
        }
    }

    /// Whether tunnels may be moved into the kernel.
    pub(crate) fn may_splice(&self) -> bool {
        self.tables.borrow().plane.model.global.tune.splice
    }

    /// The moment `after_ms` from now; `None` never comes.
    pub(crate) fn deadline(&self, after_ms: Option<u64>) -> u64 {
        deadline_after(self.reactor.now_ns(), after_ms)
    }

    /// The next number of a xorshift generator: for spreading load, not for secrets.
    pub(crate) fn random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Writes the line of a session or an exchange, where `route` asks for one.
    pub(crate) fn log(
        &self,
        route: &LogRoute,
        record: &Record<'_>,
        level: Option<Option<Level>>,
        fill: Fill<'_>,
    ) {
        let wall_ns = self.reactor.wall_ns();
        let now = WallTime {
            unix_s: wall_ns / NS_PER_S,
            micros: (wall_ns % NS_PER_S / 1_000) as u32,
        };
        let mut writer = self.writer.borrow_mut();
        writer.traffic(route, record, level, now, fill);
    }

    /// Writes a line that a rule asks for.
    pub(crate) fn log_demanded(
        &self,
        route: &LogRoute,
        record: &Record<'_>,
        wishes: (Option<Option<Level>>, Option<&Profile>),
        fill: Fill<'_>,
    ) {
        let now = WallTime::from_unix_ns(self.reactor.wall_ns());
        let mut writer = self.writer.borrow_mut();
        writer.demanded(route, record, wishes, now, fill);
    }

    /// By how many seconds local time is ahead of universal time; asked for once per minute.
    pub(crate) fn utc_offset_s(&self) -> i32 {
        let second = self.reactor.wall_ns() / NS_PER_S;
        let (minute, offset_s) = self.utc_offset.get();
        if minute == second / 60 {
            return offset_s;
        }
        let offset_s = clock::utc_offset_seconds(i64::try_from(second).unwrap_or(i64::MAX));
        self.utc_offset.set((second / 60, offset_s));
        offset_s
    }

    /// Writes the line of a session that ended before it could carry anything.
    pub(crate) fn log_error(
        &self,
        route: &LogRoute,
        record: &Record<'_>,
        reason: &str,
        fill: Fill<'_>,
    ) {
        let now = WallTime::from_unix_ns(self.reactor.wall_ns());
        let mut writer = self.writer.borrow_mut();
        writer.error(route, record, reason, now, fill);
    }

    pub(crate) fn take_head(&self) -> Head {
        self.heads.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_head(&self, mut head: Head) {
        let mut heads = self.heads.borrow_mut();
        if heads.len() < SPARE_MAX && (1..=SPARE_BYTES_MAX).contains(&head.arena.capacity()) {
            head.clear();
            heads.push(head);
        }
    }

    /// An empty buffer for what must outlive this turn.
    pub(crate) fn take_buffer(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_buffer(&self, buffer: Vec<u8>) {
        give(&self.buffers, buffer);
    }

    /// An empty buffer for what a connection says in one turn.
    pub(crate) fn take_output(&self) -> Vec<u8> {
        self.outputs.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_output(&self, mut buffer: Vec<u8>) {
        let mut outputs = self.outputs.borrow_mut();
        if outputs.len() < OUTPUTS_MAX && (1..=OUTPUT_BYTES_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            outputs.push(buffer);
        }
    }

    /// How many heads, buffers, messages and outputs are kept, and how many bytes they have.
    pub(crate) fn spares(&self) -> [(usize, usize); 4] {
        let bytes = |spare: &RefCell<Vec<Vec<u8>>>| {
            let spare = spare.borrow();
            (spare.len(), spare.iter().map(Vec::capacity).sum())
        };
        let heads = self.heads.borrow();
        let arenas = heads.iter().map(|head| head.arena.capacity());
        let heads = (
            heads.len(),
            arenas.sum::<usize>() + heads.len() * size_of::<Head>(),
        );
        [
            heads,
            bytes(&self.buffers),
            bytes(&self.outs),
            bytes(&self.outputs),
        ]
    }

    /// An empty buffer for putting a message together; it comes back by itself.
    pub(crate) fn out_buffer(&self) -> OutBuffer<'_> {
        OutBuffer {
            worker: self,
            buffer: self.outs.borrow_mut().pop().unwrap_or_default(),
        }
    }
}

fn give(spare: &RefCell<Vec<Vec<u8>>>, mut buffer: Vec<u8>) {
    let mut spare = spare.borrow_mut();
    if spare.len() < SPARE_MAX && (1..=SPARE_BYTES_MAX).contains(&buffer.capacity()) {
        buffer.clear();
        spare.push(buffer);
    }
}

/// A borrowed buffer, hot in the cache.
pub(crate) struct OutBuffer<'a> {
    worker: &'a Worker,
    buffer: Vec<u8>,
}

impl Deref for OutBuffer<'_> {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.buffer
    }
}

impl DerefMut for OutBuffer<'_> {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }
}

impl Drop for OutBuffer<'_> {
    fn drop(&mut self) {
        give(&self.worker.outs, std::mem::take(&mut self.buffer));
    }
}
