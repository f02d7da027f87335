//! Starting and stopping: sockets are opened first, then one thread per worker serves them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use plimsoll_policy::command::{Change, FrontendChange};
use plimsoll_policy::model::{Bind, FrontendId, Global, Model};
use plimsoll_policy::plane::{FrontendState, Plane};
use plimsoll_policy::rule::Place;
use plimsoll_policy::saved::{self, Extent, Saved};
use plimsoll_policy::stats::file::Recalled;

use crate::control::admin::Doors;
use crate::control::admin::desk;
use crate::control::conductor::{Conductor, Loader, Outcome};
use crate::control::log::LogSink;
use crate::counters::Side;
use crate::listener::{self, Entrance};
use crate::orders::{Adoption, Fresh, Order, Orders};
use crate::queue;
use crate::reactor::{self, Listener, Reactor};
use crate::sockets::{self, Sockets};
use crate::spares;
use crate::tables::{Shared, Tables};
use crate::tls::{self, Tls};
use crate::worker::Worker;

/// How often pools are looked through for connections that nobody needs.
const HOUSEKEEPING_NS: u64 = 1_000_000_000;

/// How long the end of the process waits for log lines to be written.
const LOG_PATIENCE: Duration = Duration::from_millis(500);

/// Descriptors kept for listeners, logs, checks and the like.
const DESCRIPTORS_RESERVED: u64 = 100;

/// What the engine must be told beside its model.
#[derive(Default)]
pub struct Options {
    /// The name in log lines, where no `log-tag` is set.
    pub name: String,
    /// Reads the configuration anew; without it there is no reload.
    pub loader: Option<Loader>,
    /// Listening sockets of an older process: what wants their addresses takes them.
    pub inherited: Vec<OwnedFd>,
    /// What was said of the configuration: lines.
    pub remarks: String,
    /// States of servers to begin with, and what of them is taken over.
    pub saved: Vec<(Vec<Saved>, Extent)>,
    /// What counters begin with.
    pub counters: Vec<Recalled>,
    /// Done when all sockets are open, and before there is any other thread: time to give up privileges.
    pub settle: Option<Settle>,
}

/// What is done between the opening of sockets and the start of threads. When it fails nothing starts.
pub type Settle = Box<dyn FnOnce() -> Result<(), String>>;

/// A listening socket or command socket that could not be opened.
#[derive(Debug)]
pub struct ListenError {
    /// The line that wants it.
    pub place: Place,
    /// `frontend NAME`, or `stats socket`.
    pub of: String,
    pub address: String,
    pub error: io::Error,
}

impl ListenError {
    pub(crate) fn new(bind: &Bind, of: String, error: io::Error) -> Self {
        Self {
            place: bind.place.clone(),
            of,
            address: sockets::display(&bind.address),
            error,
        }
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.line > 0 {
            write!(f, "{}: ", self.place)?;
        }
        write!(
            f,
            "{}: cannot listen on {}: {}",
            self.of, self.address, self.error
        )
    }
}

/// Why the engine did not start, or did not take another model.
#[derive(Debug)]
pub enum StartError {
    /// Sockets that could not be opened, all of them.
    Listen(Vec<ListenError>),
    /// A certificate, key or list of trust is of no use.
    Tls(tls::SetupError),
    /// A thread or its reactor could not be made.
    Worker(io::Error),
    /// What had to be done before the first thread failed.
    Unsettled(String),
    /// The engine is about to end.
    Ending,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(errors) => {
                let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
            Self::Tls(error) => write!(f, "{error}"),
            Self::Worker(error) => write!(f, "cannot start a worker: {error}"),
            Self::Unsettled(problem) => f.write_str(problem),
            Self::Ending => f.write_str("the process is about to end"),
        }
    }
}

impl std::error::Error for StartError {}

/// A running balancer.
pub struct Engine {
    workers: Vec<(Orders, JoinHandle<()>)>,
    conductor: Arc<Conductor>,
}

/// A hold on a running balancer from elsewhere, to change what it serves.
#[derive(Clone)]
pub struct Handle(Arc<Conductor>);

impl Handle {
    /// Reads the configuration anew and serves by it. When that fails nothing has changed, and the text says why.
    ///
    /// # Errors
    /// What is wrong with the configuration, or what it wants and cannot have.
    pub fn reload(&self) -> Result<Outcome, String> {
        self.0.reload()
    }

    /// Serves by another model from now on. When that fails nothing has changed.
    ///
    /// # Errors
    /// What the model wants and cannot have.
    pub fn adopt(&self, model: Model) -> Result<Outcome, StartError> {
        self.0.adopt(model)
    }

    /// Whether every worker turns within `patience`. While the process ends they may have ended, which is as good.
    pub fn is_alive(&self, patience: Duration) -> bool {
        self.0.is_alive(patience)
    }

    /// The settings of the process as they are now.
    pub fn global(&self) -> Global {
        self.0.desk().plane().model.global.clone()
    }

    /// Lets all frontends that are open accept nothing more for the time being, or those again that were paused; the names
    /// of those for which that is news.
    pub fn pause(&self, paused: bool) -> Vec<String> {
        let desk = self.0.desk();
        let plane = desk.plane();
        let (from, change) = match paused {
            true => (FrontendState::Open, FrontendChange::Disable),
            false => (FrontendState::Paused, FrontendChange::Enable),
        };
        let mut names = Vec::new();
        for (id, frontend) in (0..).map(FrontendId).zip(&plane.model.frontends) {
            if !frontend.disabled && plane.frontend(id).state() == from {
                desk.carry_out(&Change::Frontend(id, change));
                names.push(frontend.name.clone());
            }
        }
        names
    }

    /// The listening sockets, to be handed to a newer process.
    pub fn listening(&self) -> Vec<OwnedFd> {
        self.0.listening()
    }
}

impl Engine {
    /// Opens every listening socket, then starts the workers. Nothing runs when this fails.
    ///
    /// # Errors
    /// A socket or a thread that cannot be had.
    pub fn start(mut model: Model, options: Options) -> Result<Self, StartError> {
        let count = worker_count(&model);
        let process_maxconn = connection_limit(&model);
        plimsoll_policy::queue::fill_fullconn(&mut model, process_maxconn);
        let sink = LogSink::default();
        let tls = Tls::build(&model, None).map_err(StartError::Tls)?;
        let plane = Plane::build(model, None);
        for (states, extent) in &options.saved {
            saved::recall(&plane, states, *extent);
        }
        let shared = Shared::new(plane, tls, count, &sink, &options.name);
        let desk = &shared.desk;
        desk.note_remarks(&options.remarks);
        desk.recall(&options.counters);
        desk.plane().begin_variables(None, &**desk, desk::now());
        let mut sockets = Sockets::default();
        sockets.inherit(options.inherited);
        // Command sockets first: whoever waits for the balancer to listen may ask at once.
        let doors = Doors::open(&shared.plane.model);
        let wanted = sockets.prepare(&shared.plane, count, shared.desk.gates());
        let (doors, wanted) = both(doors, wanted)?;
        let (standing, next_number, _, fresh) = wanted.into_parts();
        sockets.settle(standing, next_number);
        if let Some(settle) = options.settle {
            settle().map_err(StartError::Unsettled)?;
        }
        let (name, loader) = (options.name, options.loader);
        let conductor = Conductor::new(shared.clone(), sockets, sink, name, loader);
        let mut engine = Self {
            workers: Vec::with_capacity(count),
            conductor: Arc::new(conductor),
        };
        for (index, fresh) in fresh.into_iter().enumerate() {
            match start_worker(index, fresh, &shared, &engine.conductor.stopping) {
                Ok(worker) => engine.workers.push(worker),
                Err(error) => {
                    engine.stop_now();
                    return Err(StartError::Worker(error));
                }
            }
        }
        let workers = engine.workers.iter().map(|(orders, _)| orders.clone());
        let counters = &options.counters;
        match engine.conductor.begin(workers.collect(), doors, counters) {
            Ok(()) => Ok(engine),
            Err(error) => {
                engine.stop_now();
                Err(StartError::Worker(error))
            }
        }
    }

    /// A hold on it for other threads.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.conductor))
    }

    /// Accepts nothing more; what runs may end. [`wait`](Self::wait) returns when it has.
    pub fn stop_gracefully(&self) {
        self.order(&Order::StopGracefully);
    }

    /// Cuts off whoever is at a server, as `shutdown sessions server` does to one: each writes its line.
    pub fn cut_off(&self) {
        self.conductor.desk().vacate_all();
    }

    /// Ends everything at once.
    pub fn stop_now(&self) {
        self.order(&Order::StopNow);
    }

    fn order(&self, order: &Order) {
        self.conductor.end(order);
        // Workers may have started before the conductor knew them.
        for (orders, _) in &self.workers {
            orders.send(order.clone());
        }
    }

    /// Returns when every worker has stopped.
    pub fn wait(self) {
        for (_, thread) in self.workers {
            // A worker that panicked has already said so.
            let _ = thread.join();
        }
        self.conductor.sink.drain(Instant::now() + LOG_PATIENCE);
    }

    /// Messages that were not acceptable, by who sent them and by the name of what was wrong.
    pub fn refusals(&self) -> BTreeMap<(Side, &'static str), u64> {
        self.conductor.shared().counters.refusals()
    }

    /// Log messages that could not be delivered.
    pub fn lost_logs(&self) -> u64 {
        self.conductor.sink.lost()
    }

    /// Whether every worker has stopped.
    pub fn is_finished(&self) -> bool {
        let workers = self.workers.iter().all(|(_, thread)| thread.is_finished());
        workers && self.conductor.is_finished()
    }
}

/// Command sockets and listeners, or all that could not be opened.
pub(crate) fn both<D, W>(
    doors: Result<D, Vec<ListenError>>,
    wanted: Result<W, Vec<ListenError>>,
) -> Result<(D, W), StartError> {
    match (doors, wanted) {
        (Ok(doors), Ok(wanted)) => Ok((doors, wanted)),
        (doors, wanted) => {
            let errors = [doors.err(), wanted.err()].into_iter().flatten();
            Err(StartError::Listen(errors.flatten().collect()))
        }
    }
}

fn worker_count(model: &Model) -> usize {
    match model.global.worker_count {
        Some(count) => count.max(1) as usize,
        None => plimsoll_sys::cpu::usable_core_count(),
    }
}

/// The process's `maxconn` when nothing limits it: the descriptor limit allows two per connection.
pub(crate) fn connection_limit(model: &Model) -> u32 {
    model.global.maxconn.unwrap_or_else(|| {
        let descriptors = plimsoll_sys::limit::descriptor_limit().now;
        u32::try_from(descriptors.saturating_sub(DESCRIPTORS_RESERVED) / 2)
            .unwrap_or(u32::MAX)
            .max(1)
    })
}

/// Starts a worker's thread and waits until it is ready to serve.
fn start_worker(
    index: usize,
    fresh: Vec<Fresh>,
    shared: &Shared,
    stopping: &Arc<AtomicBool>,
) -> io::Result<(Orders, JoinHandle<()>)> {
    let (shared, stopping) = (shared.clone(), Arc::clone(stopping));
    let (ready, started) = mpsc::channel();
    let thread = thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || match prepare(index, fresh, shared, stopping) {
            Ok((worker, orders)) => {
                let _ = ready.send(Ok(orders));
                serve(&worker);
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        })?;
    let orders = started
        .recv()
        .map_err(|_| io::Error::other("the worker died at once"))??;
    Ok((orders, thread))
}

fn prepare(
    index: usize,
    fresh: Vec<Fresh>,
    shared: Shared,
    stopping: Arc<AtomicBool>,
) -> io::Result<(Rc<Worker>, Orders)> {
    let tune = &shared.plane.model.global.tune;
    let reactor = Reactor::new(reactor::Options {
        events_per_turn: tune.max_events as usize,
        accepts_per_turn: tune.max_accept,
        ..reactor::Options::default()
    })?;
    let seed = plimsoll_sys::clock::wall_ns() ^ (index as u64) << 56;
    let tables = Rc::new(Tables::new(shared, index, None));
    let worker = Worker::new(reactor, index, tables, seed, stopping);
    let entrances = fresh
        .into_iter()
        .map(|fresh| {
            let listener = Listener::adopt(&worker.reactor, fresh.socket, fresh.eager)?;
            Ok((listener, fresh.entrance))
        })
        .collect::<io::Result<Vec<_>>>()?;
    let orders = settle(&worker, entrances)?;
    Ok((worker, orders))
}

/// Gives a worker what it does: its entrances, its house to keep, and the orders it obeys.
pub(crate) fn settle(
    worker: &Rc<Worker>,
    entrances: Vec<(Listener, Entrance)>,
) -> io::Result<Orders> {
    let mut posts = Vec::new();
    for (listener, entrance) in entrances {
        let post = Post::take(worker, listener, entrance);
        posts.push(post.ok_or_else(|| io::Error::other("no room for another listener"))?);
    }
    // No reference back from the hooks to the worker: it would keep itself alive.
    let weak = Rc::downgrade(worker);
    let stale = weak.clone();
    worker.reactor.on_turn_end(move || {
        let Some(worker) = stale.upgrade() else {
            return;
        };
        while let Some(stale) = worker.reactor.take_stale() {
            if let Some(pool) = worker.tables().pool_of_tag(stale.tag) {
                pool.drop_socket(stale.socket);
            }
        }
    });
    let orders = Orders::new(worker.reactor.mailbox());
    let obeyed = orders.clone();
    worker.reactor.on_mail(move || {
        let Some(worker) = weak.upgrade() else { return };
        while let Some(order) = obeyed.next() {
            obey(&worker, order, &mut posts);
        }
    });
    let task = worker
        .reactor
        .spawn(keep_house(Rc::downgrade(worker), worker.reactor.clone()));
    task.map_err(|_| io::Error::other("no room for the housekeeper"))?;
    Ok(orders)
}

/// A listener of a worker, and the task that accepts from it.
struct Post {
    listener: Rc<Listener>,
    entrance: Rc<Entrance>,
    task: reactor::TaskId,
}

impl Post {
    /// `None`: the worker has no room for another task.
    fn take(worker: &Rc<Worker>, listener: Listener, entrance: Entrance) -> Option<Self> {
        let (listener, entrance) = (Rc::new(listener), Rc::new(entrance));
        let accepting = listener::run(
            Rc::clone(worker),
            Rc::clone(&listener),
            Rc::clone(&entrance),
        );
        Some(Self {
            task: worker.reactor.spawn(accepting).ok()?,
            listener,
            entrance,
        })
    }

    /// Takes in who waits there already, then closes.
    fn leave(self, worker: &Rc<Worker>) {
        worker.reactor.cancel(self.task);
        listener::farewell(worker, &self.listener, &self.entrance);
    }
}

fn obey(worker: &Rc<Worker>, order: Order, posts: &mut Vec<Post>) {
    match order {
        Order::StopGracefully => {
            posts.drain(..).for_each(|post| post.leave(worker));
            worker.reactor.wake_all();
            worker.drain();
        }
        Order::StopNow => worker.reactor.stop(),
        Order::CloseFrontend(live) => {
            let plane = Arc::clone(&worker.tables().plane);
            posts
                .extract_if(.., |post| {
                    Arc::ptr_eq(plane.frontend(post.entrance.frontend()), &live)
                })
                .for_each(|post| worker.reactor.cancel(post.task));
        }
        Order::ServeWaiting(live) => {
            let tables = worker.tables();
            if let Some((backend, server)) = tables.plane.server_of(&live) {
                queue::serve_waiting(&tables, backend, server);
            }
        }
        Order::Redistribute(live) => {
            let tables = worker.tables();
            if let Some((backend, server)) = tables.plane.server_of(&live) {
                queue::redistribute(&tables, backend, server);
            }
        }
        Order::Recall => worker.reactor.wake_all(),
        Order::DropIdle(live) => {
            let tables = worker.tables();
            if let Some((backend, server)) = tables.plane.server_of(&live) {
                tables.pool(backend, server).clear();
            }
        }
        Order::Tell(silent) => {
            silent.fetch_sub(1, Ordering::Release);
        }
        Order::Adopt(adoption) => adopt(worker, &adoption, posts),
    }
}

/// Serves what begins from now on by another plane.
fn adopt(worker: &Rc<Worker>, adoption: &Adoption, posts: &mut Vec<Post>) {
    let find = |number| {
        let mut fixtures = adoption.fixtures.iter();
        fixtures.find(|fixture| fixture.number == number)
    };
    // Those that are given up lead to the plane they belong to, so they go first.
    posts
        .extract_if(.., |post| find(post.entrance.number).is_none())
        .for_each(|post| post.leave(worker));
    let before = worker.tables();
    let shared = adoption.shared.clone();
    let after = Rc::new(Tables::new(shared, worker.index, Some(&before)));
    before.close_others(&after);
    for post in posts.iter() {
        if let Some(fixture) = find(post.entrance.number) {
            let place = (fixture.frontend, fixture.bind);
            post.entrance.lead_to(place, after.desk.gates());
            post.listener.set_eager(fixture.eager);
        }
    }
    worker.adopt(after);
    for fresh in adoption.take_fresh(worker.index) {
        let listener = Listener::adopt(&worker.reactor, fresh.socket, fresh.eager);
        // Without room for it here, other workers take the connections of this one.
        if let Ok(listener) = listener {
            posts.extend(Post::take(worker, listener, fresh.entrance));
        }
    }
    // Connections at rest move on, and let go of the old plane.
    worker.reactor.wake_all();
    adoption.adopted();
}

/// Serves until an order ends it.
fn serve(worker: &Rc<Worker>) {
    // The driver cannot wait any more: nothing can be served, and nothing can be said without it either.
    let _ = worker.reactor.run();
    worker.tables().pools().for_each(|(_, pool)| pool.clear());
    worker.reactor.cancel_all();
}

/// Once a second: drops idle server connections that nobody needs, and tells what is kept and how the worker fares. The first
/// worker measures rates for all.
async fn keep_house(worker: std::rc::Weak<Worker>, reactor: Reactor) {
    let mut told_ns = reactor.now_ns();
    loop {
        reactor
            .sleep_until(reactor.now_ns() + HOUSEKEEPING_NS)
            .await;
        let Some(worker) = worker.upgrade() else {
            return;
        };
        let now_ns = reactor.now_ns();
        for (server, pool) in worker.tables().pools() {
            pool.purge(now_ns, server.pool_purge_delay_ms);
        }
        let desk = &worker.tables().desk;
        if worker.index == 0 {
            desk.measure();
        }
        desk.spares().note(worker.index, spares::stock(&worker));
        let elapsed = Duration::from_nanos(now_ns - told_ns);
        told_ns = now_ns;
        let busy = plimsoll_sys::cpu::thread_time();
        desk.vitals().note(worker.index, &reactor, busy, elapsed);
    }
}
