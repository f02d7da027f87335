//! One HTTP/2 connection: the machine that its streams share, and the moving of its bytes.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use std::task::{Poll, ready};

use plimsoll_wire::h2::{Config, Connection, Event, Fault, Key, Role};

use crate::counters::Side;
use crate::reactor::TaskId;
use crate::transport::Transport;
use crate::worker::Worker;

const NS_PER_MS: u64 = 1_000_000;

/// Reads in one poll before other tasks get their turn.
const READS_PER_TURN: u32 = 4;

/// Work that one connection does in one poll, in units of [`budget`](plimsoll_wire::h2::budget): as many requests as most
/// clients may have open at once, or a thousand frames. The rest waits for a later turn, in which others come first.
const SHARE_UNITS: u32 = 1_024;

/// Work of a turn after which connections leave what has come for the next one, beside that of the one that goes on.
const TURN_UNITS: u32 = SHARE_UNITS;

pub(super) struct Link {
    pub(super) worker: Rc<Worker>,
    machine: RefCell<Connection<TaskId>>,
    /// The task that moves the bytes.
    mover: Cell<TaskId>,
    /// It has been asked for, at the end of this turn.
    asked: Cell<bool>,
    /// Nothing was read, because too much was to be sent: it is read once that has left.
    holds_back: Cell<bool>,
    /// What was read and has not been looked at, from `looked_at` on: more work than one turn's share.
    unread: RefCell<Vec<u8>>,
    looked_at: Cell<usize>,
    /// It has had its share of a turn, and there was more.
    goes_on: Cell<bool>,
    /// Whose misdeeds are counted here.
    side: Side,
    /// The handshake below has not ended yet, although what comes is used; and which streams wait for that, each once.
    unconfirmed: Cell<bool>,
    awaiting: RefCell<Vec<TaskId>>,
    /// How requests were answered that came to nothing and that nobody has logged yet; 0: by a reset.
    rejected: RefCell<Vec<u16>>,
}

/// Requests that came to nothing in one turn and are logged. The peer's budget for them ends its connection before.
const REJECTED_MAX: usize = 256;

/// Why no more bytes are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The peer has closed its side.
    Closed,
    /// The transport broke.
    Broken,
    /// The peer broke the protocol, and has been told.
    Fault,
    /// Nothing more is to be done on it.
    Done,
}

impl Link {
    /// A link whose bytes are moved by the current task.
    pub(super) fn new(worker: Rc<Worker>, role: Role, config: Config) -> Self {
        Self {
            side: match role {
                Role::Server => Side::Client,
                Role::Client => Side::Server,
            },
            machine: RefCell::new(Connection::new(role, config)),
            mover: Cell::new(worker.reactor.current()),
            asked: Cell::new(false),
            holds_back: Cell::new(false),
            unread: RefCell::default(),
            looked_at: Cell::new(0),
            goes_on: Cell::new(false),
            unconfirmed: Cell::new(false),
            awaiting: RefCell::default(),
            rejected: RefCell::default(),
            worker,
        }
    }

    /// Uses the machine; what it has to say is sent at the end of this turn.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Connection<TaskId>) -> T) -> T {
        let mut machine = self.machine.borrow_mut();
        if machine.output().capacity() == 0 {
            *machine.output() = self.worker.take_output();
        }
        let done = act(&mut machine);
        if !machine.output().is_empty() {
            self.ask();
        }
        done
    }

    /// Has the bytes moved at the end of this turn.
    pub(super) fn ask(&self) {
        if !self.asked.replace(true) {
            self.worker.reactor.last_word(self.mover.get());
        }
    }

    /// Nothing more is to be moved: the next word of a stream wakes the task again.
    pub(super) fn clear_ask(&self) {
        self.asked.set(false);
    }

    /// The machine, for looking only.
    pub(super) fn look(&self) -> Ref<'_, Connection<TaskId>> {
        self.machine.borrow()
    }

    /// Has another task move the bytes.
    pub(super) fn set_mover(&self, mover: TaskId) {
        self.mover.set(mover);
        self.asked.set(false);
        self.ask();
    }

    /// Wakes whoever has news, on a connection on which no requests come in.
    pub(super) fn spread_news(&self) {
        while self.next_request().is_some() {}
    }

    /// Keeps bytes that were read before this was known to be HTTP/2, for when its task is polled.
    pub(super) fn keep_early(&self, bytes: Vec<u8>) {
        *self.unread.borrow_mut() = bytes;
    }

    /// Takes in bytes, as far as `units` of work reach, and keeps the rest. `false`: there is a rest.
    fn receive(&self, bytes: &[u8], units: &mut u32) -> Result<bool, Over> {
        let taken = self.take_in(bytes, units)?;
        let rest = &bytes[taken..];
        self.unread.borrow_mut().extend_from_slice(rest);
        Ok(rest.is_empty())
    }

    /// As [`receive`](Self::receive), with what was kept.
    fn receive_kept(&self, units: &mut u32) -> Result<bool, Over> {
        let mut unread = self.unread.take();
        let from = self.looked_at.take();
        let taken = self.take_in(&unread[from..], units)?;
        if from + taken == unread.len() {
            return Ok(true);
        }
        self.looked_at.set(from + taken);
        self.unread.replace(std::mem::take(&mut unread));
        Ok(false)
    }

    fn take_in(&self, bytes: &[u8], units: &mut u32) -> Result<usize, Over> {
        let (worker, now_ms) = (&self.worker, self.worker.reactor.now_ns() / NS_PER_MS);
        let taken = self.with(|machine| {
            let mut take_head = || worker.take_head();
            machine.receive_some(bytes, now_ms, units, &mut take_head)
        });
        taken.map_err(|_| Over::Fault)
    }

    /// The next request; whoever else has news is woken.
    pub(super) fn next_request(&self) -> Option<Key> {
        loop {
            let event = self.machine.borrow_mut().next_event()?;
            match event {
                Event::Request(key) => return Some(key),
                Event::Wake(task) => self.worker.reactor.wake(task),
                Event::Refused(fault) => self.count(fault),
                Event::Rejected(fault, status) => {
                    self.count(fault);
                    let mut rejected = self.rejected.borrow_mut();
                    if rejected.len() < REJECTED_MAX {
                        rejected.push(status);
                    }
                }
                Event::GoAway => {}
            }
        }
    }

    fn count(&self, fault: Fault) {
        let tables = self.worker.tables();
        tables.counters.refuse(self.side, fault.name());
    }

    /// How requests were answered that have come to nothing since the last time; 0: by a reset.
    pub(super) fn take_rejected(&self) -> Vec<u16> {
        self.rejected.take()
    }

    /// Reads what is there, unless the peer does not take what it is told, or this would be too much for one turn. Pending:
    /// what is left is read when its turn comes.
    pub(super) fn poll_receive(&self, transport: &mut Transport) -> Poll<Over> {
        let reactor = &self.worker.reactor;
        let goes_on = self.goes_on.get();
        let mut units = SHARE_UNITS;
        for _ in 0..READS_PER_TURN {
            if self.look().is_congested() {
                self.holds_back.set(true);
                return Poll::Pending;
            }
            if units == SHARE_UNITS && !self.may_begin() {
                // Only if something is there; otherwise its coming will be told.
                if self.has_unread() || transport.poll_readable().is_ready() {
                    reactor.wake(self.mover.get());
                }
                return Poll::Pending;
            }
            let before = units;
            let received = match self.has_unread() {
                true => self.receive_kept(&mut units),
                false => {
                    let mut scratch = reactor.scratch();
                    match transport.poll_read(&mut scratch) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(0)) => return Poll::Ready(Over::Closed),
                        Poll::Ready(Err(_)) => return Poll::Ready(Over::Broken),
                        Poll::Ready(Ok(count)) => self.receive(&scratch[..count], &mut units),
                    }
                }
            };
            reactor.add_work(before - units, goes_on);
            match received {
                Ok(true) => {}
                // There is a rest. It is asked for at the end of this turn, behind those who had to wait in it.
                Ok(false) => {
                    self.goes_on.set(true);
                    match reactor.is_last_word() {
                        true => reactor.wake(self.mover.get()),
                        false => self.ask(),
                    }
                    return Poll::Pending;
                }
                Err(over) => return Poll::Ready(over),
            }
        }
        reactor.wake(self.mover.get());
        Poll::Pending
    }

    /// Whether anything is to be taken in now: of those that had more than a share, one in each turn goes on.
    fn may_begin(&self) -> bool {
        let reactor = &self.worker.reactor;
        match self.goes_on.get() {
            true => {
                let goes_on = reactor.goes_on();
                self.goes_on.set(!goes_on);
                goes_on
            }
            false => reactor.begun_work() < TURN_UNITS,
        }
    }

    fn has_unread(&self) -> bool {
        !self.unread.borrow().is_empty()
    }

    /// Sends what has gathered, if this is the end of the turn or `now`. Ready when nothing is left to be sent.
    pub(super) fn poll_send(&self, transport: &mut Transport, now: bool) -> Poll<Result<(), Over>> {
        let mut machine = self.machine.borrow_mut();
        if machine.output().is_empty() {
            self.asked.set(false);
            self.worker.give_output(std::mem::take(machine.output()));
            return transport.poll_flush().map_err(|_| Over::Broken);
        }
        if !now && !self.worker.reactor.is_last_word() {
            self.ask();
            return Poll::Pending;
        }
        self.asked.set(false);
        ready!(transport.poll_flush()).map_err(|_| Over::Broken)?;
        loop {
            let out = machine.output();
            match transport.try_write(out) {
                Err(_) => return Poll::Ready(Err(Over::Broken)),
                Ok(taken) if taken == out.len() => {
                    let out = std::mem::take(out);
                    self.worker.give_output(out);
                    machine.output_taken();
                    self.read_on();
                    return transport.poll_flush().map_err(|_| Over::Broken);
                }
                Ok(0) => {
                    ready!(transport.poll_flush()).map_err(|_| Over::Broken)?;
                    ready!(transport.poll_writable());
                }
                Ok(taken) => {
                    out.drain(..taken);
                    machine.output_taken();
                    if !machine.is_congested() {
                        self.read_on();
                    }
                }
            }
        }
    }

    /// What could not be read for want of room in the output is read in the next turn. The socket will not say again that
    /// it has something.
    fn read_on(&self) {
        if self.holds_back.take() {
            self.worker.reactor.wake(self.mover.get());
        }
    }

    /// Notes whether the handshake has ended, and wakes whoever has waited for that.
    pub(super) fn follow_handshake(&self, transport: &Transport) {
        let unconfirmed = transport.is_unconfirmed();
        if self.unconfirmed.replace(unconfirmed) && !unconfirmed {
            for task in self.awaiting.take() {
                self.worker.reactor.wake(task);
            }
        }
    }

    /// Ready when the handshake has ended.
    pub(super) fn poll_handshake(&self) -> Poll<()> {
        if !self.unconfirmed.get() {
            return Poll::Ready(());
        }
        let mut awaiting = self.awaiting.borrow_mut();
        let task = self.worker.reactor.current();
        if !awaiting.contains(&task) {
            awaiting.push(task);
        }
        Poll::Pending
    }

    /// The transport has ended: every stream is told, and requests that nobody has begun to serve are forgotten.
    pub(super) fn close(&self) {
        self.machine.borrow_mut().close();
        while let Some(key) = self.next_request() {
            self.machine.borrow_mut().release(key);
        }
    }
}
