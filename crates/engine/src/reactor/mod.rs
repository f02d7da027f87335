//! The reactor: one thread's tasks, timers and sockets.
//!
//! Each worker thread owns one [`Reactor`]. It polls futures, waits for the kernel (or for a [simulation](simulated))
//! and wakes tasks by index. Nothing in here is shared with other threads except a [`Mailbox`]; nothing takes a lock
//! on the way of a request. Unlike general executors it lacks work stealing, priorities and join handles.
//!
//! One turn, in this order:
//!
//! ```text
//!   poll the tasks queued so far ─► last words (turn_end) ─► hooks ─► wait for events ─► wake ─► timers
//!        ▲                                                                                        │
//!        └────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! # The rule of waiting
//!
//! The `Waker` a task is polled with does nothing. A poll-style function here that returns `Pending` has registered
//! [`Reactor::current`] with whatever it waits for: a socket's readiness, a deadline ([`Reactor::wake_at`]), the run
//! queue ([`Reactor::wake`]). So must anything built on them. Two consequences:
//!
//! - Being woken says only "look again". Spurious polls happen, and whoever is polled re-registers what it still
//!   waits for. A deadline lasts until the task's next poll; of several asked for in one poll the earliest counts.
//! - A future that needs a real `Waker` (a channel to another thread, say) is polled with [`Reactor::waker`] instead.
//!
//! # Caps
//!
//! Every table is bounded by [`Options`], and what was refused is counted in [`Usage`].

mod driver;
mod epoll;
mod listener;
mod mailbox;
mod pipe;
mod scratch;
pub mod simulated;
mod socket;
mod source;
mod task;
mod wait;
mod wheel;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use self::driver::{Driver, MAIL, Waited};
use self::epoll::EpollDriver;
use self::mailbox::Mail;
use self::scratch::Buffers;
use self::source::Sources;
use self::task::TaskTable;
use self::wheel::Wheel;

pub use self::listener::Listener;
pub use self::mailbox::Mailbox;
pub use self::pipe::Pipe;
pub use self::scratch::{Buffer, Scratch};
pub use self::socket::{Socket, connect};
pub use self::source::{SocketId, Stale};
pub use self::task::{TableFull, TaskId};
pub use self::wait::TimedOut;
pub use self::wheel::NEVER;

/// How long to wait before trying again what failed for want of kernel resources.
const EXHAUSTED_PAUSE_NS: u64 = 100_000_000;

/// How often the wall clock is compared with the monotonic one.
const WALL_REFRESH_NS: u64 = 1_000_000_000;

/// The caps of one reactor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Tasks alive at the same time.
    pub tasks_max: usize,
    /// Sockets open at the same time, listeners included.
    pub sockets_max: usize,
    /// Events taken from the kernel in one turn.
    pub events_per_turn: usize,
    /// Connections taken from one listener in one turn.
    pub accepts_per_turn: u32,
    /// Size of a scratch buffer, in bytes.
    pub scratch_bytes: usize,
    /// Small buffers kept for reuse.
    pub buffers_max: usize,
    /// A small buffer that has grown beyond this is not kept, in bytes.
    pub buffer_bytes_max: usize,
    /// Pipes open at the same time, idle ones included.
    pub pipes_max: usize,
    /// Wished capacity of a pipe, in bytes.
    pub pipe_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tasks_max: 1 << 20,
            sockets_max: 1 << 21,
            events_per_turn: 256,
            accepts_per_turn: 64,
            scratch_bytes: 65_536,
            buffers_max: 1_024,
            buffer_bytes_max: 16_384,
            pipes_max: 256,
            pipe_bytes: 1 << 20,
        }
    }
}

/// What a reactor holds now, and what it has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tasks alive.
    pub tasks: usize,
    /// Sockets open, listeners included.
    pub sockets: usize,
    /// Tasks that are to be polled.
    pub runnable: usize,
    /// Pipes open, idle ones included.
    pub pipes: usize,
    /// Pipes that nobody uses.
    pub pipes_idle: usize,
    /// Turns of the loop.
    pub turns: u64,
    /// Polls of tasks.
    pub polls: u64,
    /// Events received.
    pub events: u64,
    /// Tasks refused because the table was full.
    pub tasks_refused: u64,
    /// Sockets refused because the table was full.
    pub sockets_refused: u64,
    /// Times a listener paused for want of descriptors, memory or room in the table.
    pub accept_pauses: u64,
    /// Pipes refused, by the cap or by the kernel.
    pub pipes_refused: u64,
    /// Sockets the driver could not watch at once.
    pub watch_failures: u64,
}

/// Why a reactor stopped running.
#[derive(Debug)]
pub enum RunError {
    /// Every task waits for something that cannot happen any more. Only a simulated world can tell.
    Deadlocked {
        /// Tasks that wait.
        tasks: usize,
    },
    /// The driver failed to wait.
    Wait(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlocked { tasks } => {
                write!(f, "{tasks} tasks wait and nothing can happen any more")
            }
            Self::Wait(error) => write!(f, "waiting for events failed: {error}"),
        }
    }
}

impl std::error::Error for RunError {}

/// A handle to one thread's reactor; clones are the same reactor.
#[derive(Clone)]
pub struct Reactor {
    core: Rc<Core>,
}

type Hook = Box<dyn FnMut()>;

/// What was done in one turn, beside waking tasks.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    /// Polls of tasks.
    polls: usize,
    /// See [`Reactor::add_work`]; and how much of it was done by those who have not had their share yet.
    units: u32,
    begun_units: u32,
    went_on: bool,
}

struct Core {
    driver: Box<dyn Driver>,
    options: Options,
    tasks: RefCell<TaskTable>,
    sources: RefCell<Sources>,
    wheel: RefCell<Wheel>,
    buffers: Buffers,
    pipes: pipe::Pipes,
    mail: Mail,
    current: Cell<TaskId>,
    /// The earliest deadline asked for in the present poll.
    deadline_ns: Cell<u64>,
    now_ns: Cell<u64>,
    /// The wall clock is `now_ns + wall_ahead_ns`.
    wall_ahead_ns: Cell<i64>,
    wall_checked_ns: Cell<u64>,
    last_words: RefCell<Vec<TaskId>>,
    /// The last words of this turn are being heard.
    ending: Cell<bool>,
    /// What tasks have said that they did in this turn, and whether one of them has gone on with what it had too much of.
    work: Cell<Work>,
    turn_hooks: RefCell<Vec<Hook>>,
    mail_hooks: RefCell<Vec<Hook>>,
    stopping: Cell<bool>,
    usage: Cell<Usage>,
}

impl Reactor {
    /// A reactor on this thread's own epoll set.
    pub fn new(options: Options) -> io::Result<Self> {
        let mail = Mail::new()?;
        let driver = EpollDriver::new(options.events_per_turn, mail.event_fd())?;
        Ok(Self::with_driver(Box::new(driver), mail, options))
    }

    fn with_driver(driver: Box<dyn Driver>, mail: Mail, options: Options) -> Self {
        let now_ns = driver.now_ns();
        let core = Core {
            tasks: RefCell::new(TaskTable::new(options.tasks_max)),
            sources: RefCell::new(Sources::new(options.sockets_max)),
            wheel: RefCell::new(Wheel::new(now_ns)),
            buffers: Buffers::new(&options),
            pipes: pipe::Pipes::default(),
            mail,
            current: Cell::new(TaskId::NOBODY),
            deadline_ns: Cell::new(NEVER),
            now_ns: Cell::new(now_ns),
            wall_ahead_ns: Cell::new(driver.wall_ns().wrapping_sub(now_ns) as i64),
            wall_checked_ns: Cell::new(now_ns),
            last_words: RefCell::default(),
            ending: Cell::new(false),
            work: Cell::default(),
            turn_hooks: RefCell::default(),
            mail_hooks: RefCell::default(),
            stopping: Cell::new(false),
            usage: Cell::default(),
            driver,
            options,
        };
        Self {
            core: Rc::new(core),
        }
    }

    /// Starts a task; it is polled in the next turn.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) -> Result<TaskId, TableFull> {
        // Looked at first, so that a full table does not pay for the box.
        if !self.core.tasks.borrow().has_room() {
            self.core.count(|usage| usage.tasks_refused += 1);
            return Err(TableFull);
        }
        self.core.tasks.borrow_mut().insert(Box::pin(task))
    }

    /// The task being polled. Outside of a task the answer names nobody.
    #[inline]
    #[must_use]
    pub fn current(&self) -> TaskId {
        self.core.current.get()
    }

    /// Has the task polled in the next turn. Does nothing when it has ended.
    #[inline]
    pub fn wake(&self, task: TaskId) {
        self.core.tasks.borrow_mut().wake(task);
    }

    /// Has every task polled in the next turn: for news that concern all, such as the coming end.
    pub fn wake_all(&self) {
        self.core.tasks.borrow_mut().wake_all();
    }

    /// Drops a task, whatever it is doing. One that cancels itself ends when it next waits.
    pub fn cancel(&self, task: TaskId) {
        self.core.end(task);
    }

    /// Drops every task, those started by the dropping included.
    ///
    /// Tasks own sockets, which own the reactor; a reactor with tasks left is therefore not freed until this is called.
    pub fn cancel_all(&self) {
        loop {
            let any = self.core.tasks.borrow().any();
            match any {
                Some(task) => self.core.end(task),
                None => return,
            }
        }
    }

    /// Drops every task and every hook. What is left of the reactor goes with its last handle.
    pub fn close(&self) {
        self.cancel_all();
        drop(self.core.turn_hooks.take());
        drop(self.core.mail_hooks.take());
    }

    /// Monotonic time, in nanoseconds, read once per turn.
    #[inline]
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.core.now_ns.get()
    }

    /// Monotonic time, in nanoseconds, read now.
    #[must_use]
    pub fn precise_ns(&self) -> u64 {
        self.core.driver.now_ns()
    }

    /// Nanoseconds since 1970, as of this turn. Follows changes of the clock within a second.
    #[must_use]
    pub fn wall_ns(&self) -> u64 {
        self.now_ns()
            .wrapping_add_signed(self.core.wall_ahead_ns.get())
    }

    /// The current task is polled no later than soon (milliseconds) after `deadline_ns`.
    ///
    /// Holds until the task's next poll; of several calls in one poll the earliest deadline counts.
    #[inline]
    pub fn wake_at(&self, deadline_ns: u64) {
        self.core.wake_at(deadline_ns);
    }

    /// Calls `hook` at the end of every turn, after tasks were polled and before the wait for events.
    pub fn on_turn_end(&self, hook: impl FnMut() + 'static) {
        self.core.turn_hooks.borrow_mut().push(Box::new(hook));
    }

    /// Calls `hook` after a [`Mailbox`] was notified, before tasks are polled.
    pub fn on_mail(&self, hook: impl FnMut() + 'static) {
        self.core.mail_hooks.borrow_mut().push(Box::new(hook));
    }

    /// What other threads use to be heard by this reactor.
    #[must_use]
    pub fn mailbox(&self) -> Mailbox {
        self.core.mail.mailbox()
    }

    /// A real waker for the current task, for futures that other threads complete. Allocates.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.core.mail.waker(self.current())
    }

    /// The next parked socket on which something happened; see [`Socket::park`].
    #[must_use]
    pub fn take_stale(&self) -> Option<Stale> {
        self.core.sources.borrow_mut().take_stale()
    }

    /// What is held now, and what was done so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            tasks: self.core.tasks.borrow().len(),
            runnable: self.core.tasks.borrow().queued(),
            pipes_idle: self.core.pipes.idle(),
            sockets: self.core.sources.borrow().len(),
            pipes: self.core.pipes.open(),
            ..self.core.usage.get()
        }
    }

    /// Ends [`run`](Self::run) before it waits again. Tasks stay; see [`cancel_all`](Self::cancel_all).
    pub fn stop(&self) {
        self.core.stopping.set(true);
    }

    /// Turns until [`stop`](Self::stop) is called.
    pub fn run(&self) -> Result<(), RunError> {
        self.core.stopping.set(false);
        while !self.core.stopping.get() {
            self.turn()?;
        }
        Ok(())
    }

    /// One turn: polls what is queued, then waits for events or the next deadline.
    pub fn turn(&self) -> Result<(), RunError> {
        self.core.poll_queued();
        self.core.run_hooks(&self.core.turn_hooks);
        if self.core.stopping.get() {
            return Ok(());
        }
        self.core.wait()?;
        self.core.expire();
        Ok(())
    }

    /// Runs until `future` is done, and returns its answer. Other tasks run meanwhile, and stay.
    pub fn block_on<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
    ) -> Result<T, RunError> {
        let answer = Rc::new(Cell::new(None));
        let (reactor, slot) = (self.clone(), Rc::clone(&answer));
        let job = Box::pin(async move {
            slot.set(Some(future.await));
            reactor.stop();
        });
        let inserted = self.core.tasks.borrow_mut().insert(job);
        if inserted.is_err() {
            return Err(RunError::Wait(io::ErrorKind::OutOfMemory.into()));
        }
        loop {
            self.run()?;
            if let Some(answer) = answer.take() {
                return Ok(answer);
            }
        }
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("usage", &self.usage())
            .finish_non_exhaustive()
    }
}

impl Core {
    #[inline]
    fn wake_at(&self, deadline_ns: u64) {
        self.deadline_ns
            .set(self.deadline_ns.get().min(deadline_ns));
    }

    #[inline]
    fn count(&self, change: impl FnOnce(&mut Usage)) {
        let mut usage = self.usage.get();
        change(&mut usage);
        self.usage.set(usage);
    }

    /// Polls the tasks queued now. Those queued meanwhile wait for the next turn, so that nobody starves the kernel.
    fn poll_queued(&self) {
        let queued = self.tasks.borrow().queued();
        self.work.set(Work::default());
        for _ in 0..queued {
            let next = self.tasks.borrow_mut().pop();
            if let Some((id, job)) = next {
                self.poll(id, job);
            }
        }
        let mut last_words = self.last_words.take();
        let heard = last_words.len();
        self.ending.set(true);
        for id in last_words.drain(..) {
            let job = self.tasks.borrow_mut().take(id);
            if let Some(job) = job {
                self.poll(id, job);
            }
        }
        self.ending.set(false);
        self.work.set(Work {
            polls: queued + heard,
            ..self.work.get()
        });
        self.last_words.borrow_mut().append(&mut last_words);
        self.count(|usage| {
            usage.turns += 1;
            usage.polls += queued as u64;
        });
    }

    #[inline]
    fn poll(&self, id: TaskId, mut job: task::Job) {
        self.current.set(id);
        self.deadline_ns.set(NEVER);
        let polled = job.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let left = match polled {
            Poll::Ready(()) => Some(job),
            Poll::Pending => self.tasks.borrow_mut().put_back(id, job).err(),
        };
        match left {
            None => self
                .wheel
                .borrow_mut()
                .arm(id.index(), self.deadline_ns.get()),
            Some(job) => {
                // Its sockets close while it is still the current task; its slot is free only afterwards.
                drop(job);
                self.end(id);
            }
        }
        self.current.set(TaskId::NOBODY);
    }

    fn end(&self, id: TaskId) {
        if !self.tasks.borrow().is_live(id) {
            return;
        }
        let job = self.tasks.borrow_mut().take(id);
        self.wheel.borrow_mut().disarm(id.index());
        self.tasks.borrow_mut().end(id);
        drop(job);
    }

    fn run_hooks(&self, hooks: &RefCell<Vec<Hook>>) {
        if hooks.borrow().is_empty() {
            return;
        }
        // Taken out meanwhile, so that a hook may add another.
        let mut running = hooks.take();
        running.iter_mut().for_each(|hook| hook());
        let mut added = hooks.replace(running);
        hooks.borrow_mut().append(&mut added);
    }

    fn wait(&self) -> Result<(), RunError> {
        let timeout_ns = if self.tasks.borrow().queued() > 0 || !self.last_words.borrow().is_empty()
        {
            Some(0)
        } else {
            let next_ns = self.wheel.borrow().next_ns();
            next_ns.map(|ns| ns.saturating_sub(self.now_ns.get()))
        };
        let mut mail = false;
        let mut events = 0;
        let Work { polls, units, .. } = self.work.get();
        self.driver.toil(polls, units);
        let waited = self.driver.wait(timeout_ns, &mut |event| {
            events += 1;
            if event.token == MAIL {
                mail = true;
                return;
            }
            let woken = self.sources.borrow_mut().on_event(event.token, event.ready);
            let mut tasks = self.tasks.borrow_mut();
            woken
                .reader
                .into_iter()
                .chain(woken.writer)
                .for_each(|task| tasks.wake(task));
        });
        let now_ns = self.driver.now_ns();
        self.now_ns.set(now_ns);
        if now_ns.saturating_sub(self.wall_checked_ns.get()) >= WALL_REFRESH_NS {
            self.wall_checked_ns.set(now_ns);
            self.wall_ahead_ns
                .set(self.driver.wall_ns().wrapping_sub(now_ns) as i64);
        }
        self.count(|usage| usage.events += events);
        if mail {
            self.mail.receive(&mut self.tasks.borrow_mut());
            self.run_hooks(&self.mail_hooks);
        }
        match waited {
            Ok(Waited::Done) => Ok(()),
            Ok(Waited::Deadlocked) => Err(RunError::Deadlocked {
                tasks: self.tasks.borrow().len(),
            }),
            Err(error) => Err(RunError::Wait(error)),
        }
    }

    fn expire(&self) {
        let mut tasks = self.tasks.borrow_mut();
        self.wheel
            .borrow_mut()
            .advance(self.now_ns.get(), |index| tasks.wake_index(index));
    }
}

impl Reactor {
    /// Resolves when every other task queued for this turn has been polled, still before the reactor waits: the place
    /// to send at once what several tasks have put together.
    pub fn turn_end(&self) -> impl Future<Output = ()> + use<> {
        let core = Rc::clone(&self.core);
        let mut asked = false;
        poll_fn(move |_| {
            if std::mem::replace(&mut asked, true) {
                return Poll::Ready(());
            }
            core.last_words.borrow_mut().push(core.current.get());
            Poll::Pending
        })
    }

    /// Has a task polled when all others queued for this turn have been, as [`turn_end`](Self::turn_end) does for the
    /// current one.
    pub fn last_word(&self, task: TaskId) {
        self.core.last_words.borrow_mut().push(task);
    }

    /// Notes work that was done in this turn, in any unit that those agree on who ask for it; `goes_on`: by the one who
    /// [goes on](Self::goes_on).
    pub fn add_work(&self, units: u32, goes_on: bool) {
        let mut work = self.core.work.get();
        work.units = work.units.saturating_add(units);
        if !goes_on {
            work.begun_units = work.begun_units.saturating_add(units);
        }
        self.core.work.set(work);
    }

    /// How much work was noted in this turn, without that of the one who goes on: nobody has to wait for both.
    #[must_use]
    pub fn begun_work(&self) -> u32 {
        self.core.work.get().begun_units
    }

    /// For those who have had their share of a turn and still have work: one of them goes on in each turn, however many
    /// there are. Whether that is the caller; if not, it asks again in the next turn, before those who did go on.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        let mut work = self.core.work.get();
        let first = !std::mem::replace(&mut work.went_on, true);
        self.core.work.set(work);
        first
    }

    /// Whether the current task is polled at the end of the turn.
    #[must_use]
    pub fn is_last_word(&self) -> bool {
        self.core.ending.get()
    }
}
