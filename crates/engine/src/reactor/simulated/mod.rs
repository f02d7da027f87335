//! A world inside the process: virtual sockets, a virtual clock, and chance from a seed.
//!
//! A whole proxy, its clients and its servers run as tasks of one reactor on one thread, through the same
//! [`Socket`](super::Socket) they would use over the kernel. Nothing depends on the machine: the same seed gives the
//! same run, event by event. When no task can run, time jumps to the next thing that happens; when nothing ever will,
//! the run ends with [`RunError::Deadlocked`](super::RunError::Deadlocked).
//!
//! It lacks datagrams, urgent data, and bandwidth: bytes are late by chance, never slow.
//!
//! ```
//! use plimsoll_engine::reactor::{Options, Reactor};
//! use plimsoll_engine::reactor::simulated::{Simulation, Weather};
//!
//! let simulation = Simulation::new(7, Weather::stormy());
//! let reactor = Reactor::simulated(&simulation, Options::default());
//! let start_ns = reactor.now_ns();
//! reactor.block_on(reactor.sleep_until(start_ns + 3_600_000_000_000)).unwrap();
//! assert!(reactor.now_ns() - start_ns >= 3_600_000_000_000); // an hour, at once
//! ```

mod chance;
mod world;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::rc::Rc;

use plimsoll_sys::address::Address;
use plimsoll_sys::connect::ConnectOptions;
use plimsoll_sys::epoll::{Event, Readiness};
use plimsoll_sys::listen::ListenOptions;
use plimsoll_sys::socket::TcpInfo;

use super::driver::{Driver, Handle, MAIL, PipeHandle, Waited};
use super::mailbox::{Mail, Mailbox};
use super::{Options, Reactor};

use self::world::World;

pub use self::chance::{Chance, Weather};
pub use self::world::Happening;

/// The environment variable that replays one seed.
const SEED_VARIABLE: &str = "SEED";

/// The wall clock of every simulation starts at 2026-01-01 00:00:00 UTC.
const WALL_START_NS: u64 = 1_767_225_600_000_000_000;

/// What a turn costs, so that tasks which never wait cannot stop the time.
const TURN_NS: u64 = 1_000;

/// Bytes moved in one step of a virtual splice.
const SPLICE_BYTES_MAX: usize = 65_536;

/// A handle to a simulated world, to look at it from a test. Clones are the same world.
#[derive(Clone)]
pub struct Simulation {
    world: Rc<RefCell<World>>,
    seed: u64,
}

impl Simulation {
    /// A world whose chances come from `seed`.
    #[must_use]
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self {
            world: Rc::new(RefCell::new(World::new(seed, weather))),
            seed,
        }
    }

    /// The seeds a test should run: `count` of them from `first`, or the single one of the environment's `SEED`.
    pub fn seeds(first: u64, count: u64) -> impl Iterator<Item = u64> {
        let only = std::env::var(SEED_VARIABLE)
            .ok()
            .and_then(|text| text.parse::<u64>().ok());
        let (first, count) = only.map_or((first, count), |seed| (seed, 1));
        (0..count).map(move |offset| first.wrapping_add(offset))
    }

    /// The seed of this world, for the message of a failed test.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Changes the weather from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.world.borrow_mut().set_weather(weather);
    }

    /// The source of chance for the test's own decisions, so that they follow the seed too.
    #[must_use]
    pub fn chance(&self) -> Chance {
        self.world.borrow_mut().fork_chance()
    }

    /// A number that depends on everything that has happened, in order.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.world.borrow().digest()
    }

    /// The latest happenings, oldest first.
    #[must_use]
    pub fn recent(&self) -> Vec<Happening> {
        self.world.borrow().recent()
    }

    /// Virtual sockets open, listeners included, whoever owns them.
    #[must_use]
    pub fn open_sockets(&self) -> usize {
        self.world.borrow().open_sockets()
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl Reactor {
    /// A reactor in a simulated world.
    ///
    /// # Panics
    ///
    /// When the process has no descriptor left for the reactor's mailbox.
    #[must_use]
    pub fn simulated(simulation: &Simulation, options: Options) -> Self {
        let mail = Mail::new().expect("a descriptor for the mailbox");
        let driver = SimulatedDriver {
            world: Rc::clone(&simulation.world),
            mailbox: mail.mailbox(),
        };
        Self::with_driver(Box::new(driver), mail, options)
    }
}

struct SimulatedDriver {
    world: Rc<RefCell<World>>,
    mailbox: Mailbox,
}

/// The number of a handle. A kernel handle never meets this driver; if it did, no virtual socket has that number.
fn number(handle: &Handle) -> u32 {
    match handle {
        Handle::Virtual(number) => *number,
        Handle::Kernel(_) => u32::MAX,
    }
}

impl SimulatedDriver {
    /// Delivers one batch of events, moving time on to the next happening if there is none yet.
    fn deliver(&self, until_ns: Option<u64>, report: &mut dyn FnMut(Event)) -> Waited {
        loop {
            if self.mailbox.is_pending() {
                report(Event {
                    token: MAIL,
                    ready: Readiness::READ,
                });
                return Waited::Done;
            }
            // All that has happened while others worked is there at once, as it is with epoll.
            self.world.borrow_mut().catch_up();
            // Taken out first: nothing may look at the world while it is borrowed.
            let events = self.world.borrow_mut().take_events();
            if !events.is_empty() {
                events.into_iter().for_each(report);
                return Waited::Done;
            }
            let mut world = self.world.borrow_mut();
            if !world.step(until_ns) {
                let Some(until_ns) = until_ns else {
                    return Waited::Deadlocked;
                };
                world.pass_until(until_ns);
                return Waited::Done;
            }
        }
    }
}

impl Driver for SimulatedDriver {
    fn now_ns(&self) -> u64 {
        self.world.borrow().now_ns()
    }

    fn wall_ns(&self) -> u64 {
        WALL_START_NS + self.now_ns()
    }

    fn toil(&self, polls: usize, units: u32) {
        self.world.borrow_mut().toil(polls, units);
    }

    fn wait(&self, timeout_ns: Option<u64>, report: &mut dyn FnMut(Event)) -> io::Result<Waited> {
        let turn_over_ns = self.now_ns() + TURN_NS;
        self.world.borrow_mut().pass_until(turn_over_ns);
        // The turn has taken some of the time that was to be waited.
        let until_ns = timeout_ns.map(|ns| turn_over_ns.saturating_add(ns.saturating_sub(TURN_NS)));
        Ok(self.deliver(until_ns, report))
    }

    fn add_stream(&self, handle: &Handle, token: u64) -> io::Result<()> {
        self.world.borrow_mut().watch(number(handle), token)
    }

    fn add_listener(&self, handle: &Handle, token: u64) -> io::Result<()> {
        self.world.borrow_mut().watch(number(handle), token)
    }

    fn listen(&self, address: &Address, options: &ListenOptions) -> io::Result<Handle> {
        Ok(Handle::Virtual(
            self.world.borrow_mut().listen(address, options)?,
        ))
    }

    fn accept(&self, listener: &Handle) -> io::Result<Option<(Handle, Address)>> {
        let accepted = self.world.borrow_mut().accept(number(listener))?;
        Ok(accepted.map(|(socket, peer)| (Handle::Virtual(socket), peer)))
    }

    fn connect(&self, address: &Address, options: &ConnectOptions) -> io::Result<(Handle, bool)> {
        Ok((
            Handle::Virtual(self.world.borrow_mut().connect(address, options)?),
            false,
        ))
    }

    fn receive(&self, handle: &Handle, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        self.world.borrow_mut().receive(number(handle), buffer)
    }

    fn peek(&self, handle: &Handle, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        self.world.borrow_mut().peek(number(handle), buffer)
    }

    fn send(&self, handle: &Handle, bytes: &[u8]) -> io::Result<Option<usize>> {
        self.world.borrow_mut().send(number(handle), bytes)
    }

    fn send_vectored(&self, handle: &Handle, parts: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        let together: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        self.send(handle, &together)
    }

    fn shutdown_write(&self, handle: &Handle) -> io::Result<()> {
        self.world.borrow_mut().shutdown_write(number(handle))
    }

    fn take_error(&self, handle: &Handle) -> io::Result<()> {
        self.world.borrow_mut().take_error(number(handle))
    }

    fn set_reset_on_close(&self, handle: &Handle, on: bool) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        world.set_reset_on_close(number(handle), on)
    }

    /// Everyone is one hop away.
    fn vanish(&self, handle: &Handle, _: Option<u8>) -> io::Result<()> {
        self.set_reset_on_close(handle, true)
    }

    /// Nobody here looks at packets.
    fn set_mark(&self, _: &Handle, _: u32) -> io::Result<()> {
        Ok(())
    }

    fn set_service(&self, _: &Handle, _: u8) -> io::Result<()> {
        Ok(())
    }

    /// Packets take no time here.
    fn tcp_info(&self, _: &Handle) -> io::Result<TcpInfo> {
        Ok(TcpInfo::default())
    }

    /// There are none here.
    fn saved_syn(&self, _: &Handle) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn local_address(&self, handle: &Handle) -> io::Result<Address> {
        self.world.borrow().local_address(number(handle))
    }

    fn peer_address(&self, handle: &Handle) -> io::Result<Address> {
        self.world.borrow().peer_address(number(handle))
    }

    fn pipe(&self, capacity_bytes: usize) -> io::Result<(PipeHandle, usize)> {
        Ok((
            PipeHandle::Virtual(RefCell::new(VecDeque::new())),
            capacity_bytes,
        ))
    }

    fn fill(&self, pipe: &PipeHandle, from: &Handle, limit: usize) -> io::Result<Option<usize>> {
        let PipeHandle::Virtual(held) = pipe else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut piece = vec![0; limit.min(SPLICE_BYTES_MAX)];
        let received = self.receive(from, &mut piece)?;
        held.borrow_mut().extend(&piece[..received.unwrap_or(0)]);
        Ok(received)
    }

    fn drain(&self, pipe: &PipeHandle, to: &Handle, limit: usize) -> io::Result<Option<usize>> {
        let PipeHandle::Virtual(held) = pipe else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut held = held.borrow_mut();
        let piece: Vec<u8> = held
            .iter()
            .copied()
            .take(limit.min(SPLICE_BYTES_MAX))
            .collect();
        let sent = self.send(to, &piece)?;
        held.drain(..sent.unwrap_or(0));
        Ok(sent)
    }

    fn remove_listener(&self, handle: &Handle) {
        self.world.borrow_mut().unwatch(number(handle));
    }

    fn close(&self, handle: &Handle) {
        self.world.borrow_mut().close(number(handle));
    }
}
