//! Starting and stopping: sockets are opened first, then one thread per worker serves them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use plimsoll_policy::model::{Bind, BindAddress, Frontend, FrontendId, Mode, Model};
use plimsoll_policy::plane::Plane;
use plimsoll_sys::address::Address;
use plimsoll_sys::listen::{self, ListenOptions};

use crate::control::admin::desk::{Gates, Reach};
use crate::control::admin::{self, Admin, Door};
use crate::control::checks::Checks;
use crate::control::log::LogSink;
use crate::counters::Side;
use crate::listener::{self, Entrance};
use crate::orders::{Order, Orders};
use crate::queue;
use crate::reactor::{self, Listener, Reactor};
use crate::tables::{Shared, Tables};
use crate::worker::Worker;

/// How often pools are looked through for connections that nobody needs.
const HOUSEKEEPING_NS: u64 = 1_000_000_000;

/// How long the end of the process waits for log lines to be written.
const LOG_PATIENCE: Duration = Duration::from_millis(500);

/// Descriptors kept for listeners, logs, checks and the like.
const DESCRIPTORS_RESERVED: u64 = 100;

/// What the engine must be told beside its model.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The name in log lines, where no `log-tag` is set.
    pub name: String,
}

/// Why the engine did not start.
#[derive(Debug)]
pub enum StartError {
    /// A listening socket could not be opened.
    Listen {
        proxy: String,
        address: String,
        error: io::Error,
    },
    /// A thread or its reactor could not be made.
    Worker(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen {
                proxy,
                address,
                error,
            } => write!(f, "{proxy}: cannot listen on {address}: {error}"),
            Self::Worker(error) => write!(f, "cannot start a worker: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// A running balancer.
pub struct Engine {
    workers: Vec<(Orders, JoinHandle<()>)>,
    stopping: Arc<AtomicBool>,
    shared: Shared,
    sink: LogSink,
    admin: Option<Admin>,
    checks: Option<Checks>,
}

/// A listening socket with what it leads to.
struct Opening {
    socket: OwnedFd,
    eager: bool,
    entrance: Entrance,
}

impl Engine {
    /// Opens every listening socket, then starts the workers. Nothing runs when this fails.
    pub fn start(mut model: Model, options: Options) -> Result<Self, StartError> {
        let count = worker_count(&model);
        let process_maxconn = connection_limit(&model);
        plimsoll_policy::queue::fill_fullconn(&mut model, process_maxconn);
        let gates = Gates::new(&model);
        let mut openings = open_all(&model, count, &gates)?;
        let doors = admin::open(&model).map_err(|(bind, error)| StartError::Listen {
            proxy: "stats socket".to_owned(),
            address: display(&bind.address),
            error,
        })?;
        let sink = LogSink::default();
        let shared = Shared::new(Plane::build(model, None), count, &sink, &options.name);
        let stopping = Arc::new(AtomicBool::new(false));
        let mut engine = Self {
            workers: Vec::with_capacity(count),
            stopping,
            shared,
            sink,
            admin: None,
            checks: None,
        };
        for (index, openings) in openings.drain(..).enumerate() {
            match start_worker(index, openings, &engine.shared, &engine.stopping) {
                Ok(worker) => engine.workers.push(worker),
                Err(error) => {
                    engine.stop_now();
                    return Err(StartError::Worker(error));
                }
            }
        }
        let started = engine.start_admin(doors, gates).and_then(|()| {
            let Shared { plane, desk, .. } = &engine.shared;
            Checks::start(plane, desk, &engine.sink, &options.name)
        });
        match started {
            Ok(checks) => {
                engine.checks = checks;
                Ok(engine)
            }
            Err(error) => {
                engine.stop_now();
                Err(StartError::Worker(error))
            }
        }
    }

    /// Command sockets, and the rates that they and statistics pages show.
    fn start_admin(&mut self, doors: Vec<Door>, gates: Gates) -> io::Result<()> {
        let workers = self.workers.iter().map(|(orders, _)| orders.clone());
        let desk = &self.shared.desk;
        desk.attach(Reach {
            gates,
            workers: workers.collect(),
        });
        let model = &self.shared.plane.model;
        let pages = model.frontends.iter().map(|frontend| &frontend.stats_page);
        let pages = pages.chain(model.backends.iter().map(|backend| &backend.stats_page));
        if !doors.is_empty() || pages.flatten().next().is_some() {
            self.admin = Some(Admin::start(doors, Arc::clone(desk))?);
        }
        Ok(())
    }

    /// Accepts nothing more; what runs may end. [`wait`](Self::wait) returns when it has.
    pub fn stop_gracefully(&self) {
        self.order(Order::StopGracefully);
    }

    /// Ends everything at once.
    pub fn stop_now(&self) {
        self.order(Order::StopNow);
    }

    fn order(&self, order: Order) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Some(admin) = &self.admin {
            admin.stop();
        }
        if let Some(checks) = &self.checks {
            checks.stop();
        }
        for (orders, _) in &self.workers {
            orders.send(order);
        }
    }

    /// Returns when every worker has stopped.
    pub fn wait(self) {
        for (_, thread) in self.workers {
            // A worker that panicked has already said so.
            let _ = thread.join();
        }
        self.sink.drain(Instant::now() + LOG_PATIENCE);
    }

    /// Messages that were not acceptable, by who sent them and by the name of what was wrong.
    pub fn refusals(&self) -> BTreeMap<(Side, &'static str), u64> {
        self.shared.counters.refusals()
    }

    /// Log messages that could not be delivered.
    pub fn lost_logs(&self) -> u64 {
        self.sink.lost()
    }

    /// Whether every worker has stopped.
    pub fn is_finished(&self) -> bool {
        let workers = self.workers.iter().all(|(_, thread)| thread.is_finished());
        let checks = self.checks.as_ref().is_none_or(Checks::is_finished);
        workers && checks && self.admin.as_ref().is_none_or(Admin::is_finished)
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

/// The sockets of each worker.
fn open_all(model: &Model, workers: usize, gates: &Gates) -> Result<Vec<Vec<Opening>>, StartError> {
    let mut openings: Vec<Vec<Opening>> = (0..workers).map(|_| Vec::new()).collect();
    for (index, frontend) in model
        .frontends
        .iter()
        .enumerate()
        .filter(|(_, frontend)| !frontend.disabled)
    {
        for (bind_index, bind) in frontend.binds.iter().enumerate() {
            let sockets =
                open(model, frontend, bind, workers).map_err(|error| StartError::Listen {
                    proxy: frontend.name.clone(),
                    address: display(&bind.address),
                    error,
                })?;
            for (socket, openings) in sockets.into_iter().zip(&mut openings) {
                openings.push(Opening {
                    socket,
                    // A client of HTTP speaks first, and has mostly done so by the time it is accepted.
                    eager: bind.defer_accept || frontend.mode == Mode::Http,
                    entrance: Entrance {
                        frontend: FrontendId(index as u32),
                        bind: bind_index,
                        gates: [
                            Arc::clone(&gates.process),
                            Arc::clone(&gates.frontends[index]),
                        ],
                    },
                });
            }
        }
    }
    Ok(openings)
}

/// One socket per worker: of their own where the kernel can spread connections over them, else shared.
fn open(
    model: &Model,
    frontend: &Frontend,
    bind: &Bind,
    workers: usize,
) -> io::Result<Vec<OwnedFd>> {
    let options = listen_options(model, frontend, bind);
    let address = match &bind.address {
        BindAddress::Inet(address) => Address::Inet(*address),
        BindAddress::Unix(path) => Address::Unix(path.clone()),
        BindAddress::Abstract(name) => Address::Abstract(name.as_bytes().into()),
        BindAddress::Inherited(descriptor) => {
            return share(listen::inherited(*descriptor)?, workers);
        }
    };
    let first = listen::listen(&address, &options)?;
    if address.is_unix() {
        return share(first, workers);
    }
    // Port 0 is chosen once, for all of them.
    let address = plimsoll_sys::socket::local_address(first.as_fd())?;
    let mut sockets = vec![first];
    while sockets.len() < workers {
        sockets.push(listen::listen(&address, &options)?);
    }
    Ok(sockets)
}

fn share(socket: OwnedFd, workers: usize) -> io::Result<Vec<OwnedFd>> {
    let mut sockets = (1..workers)
        .map(|_| socket.try_clone())
        .collect::<io::Result<Vec<_>>>()?;
    sockets.push(socket);
    Ok(sockets)
}

fn listen_options(model: &Model, frontend: &Frontend, bind: &Bind) -> ListenOptions {
    let tune = &model.global.tune;
    ListenOptions {
        backlog: bind
            .backlog
            .or(frontend.backlog)
            .unwrap_or(listen::BACKLOG_DEFAULT),
        defer_accept_seconds: u32::from(bind.defer_accept),
        fast_open_queue: if bind.fast_open {
            listen::BACKLOG_DEFAULT
        } else {
            0
        },
        interface: bind.interface.clone(),
        segment_bytes: bind
            .segment_bytes
            .and_then(|bytes| u32::try_from(bytes).ok()),
        user_timeout_ms: bind
            .user_timeout_ms
            .map(|ms| u32::try_from(ms).unwrap_or(u32::MAX)),
        v6_only: bind.only_v6,
        transparent: bind.transparent,
        receive_buffer_bytes: tune.receive_buffer_client_bytes,
        send_buffer_bytes: tune.send_buffer_client_bytes,
        unix_mode: bind.unix.mode,
        unix_uid: bind.unix.user,
        unix_gid: bind.unix.group,
        ..ListenOptions::default()
    }
}

fn display(address: &BindAddress) -> String {
    match address {
        BindAddress::Inet(address) => address.to_string(),
        BindAddress::Unix(path) => path.display().to_string(),
        BindAddress::Abstract(name) => format!("abns@{}", name.trim_end_matches('\0')),
        BindAddress::Inherited(descriptor) => format!("fd@{descriptor}"),
    }
}

/// Starts a worker's thread and waits until it is ready to serve.
fn start_worker(
    index: usize,
    openings: Vec<Opening>,
    shared: &Shared,
    stopping: &Arc<AtomicBool>,
) -> io::Result<(Orders, JoinHandle<()>)> {
    let (shared, stopping) = (shared.clone(), Arc::clone(stopping));
    let (ready, started) = mpsc::channel();
    let thread = thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || match prepare(index, openings, shared, stopping) {
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
    openings: Vec<Opening>,
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
    let worker = Worker::new(reactor, Rc::new(Tables::new(shared, index)), seed, stopping);
    let entrances = openings
        .into_iter()
        .map(|opening| {
            let listener = Listener::adopt(&worker.reactor, opening.socket, opening.eager)?;
            Ok((listener, opening.entrance))
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
    let mut listeners = Vec::new();
    for (listener, entrance) in entrances {
        let frontend = entrance.frontend;
        let task = worker
            .reactor
            .spawn(listener::run(Rc::clone(worker), listener, entrance));
        let task = task.map_err(|_| io::Error::other("no room for another listener"))?;
        listeners.push((frontend, task));
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
            obey(&worker, order, &mut listeners);
        }
    });
    let task = worker
        .reactor
        .spawn(keep_house(Rc::downgrade(worker), worker.reactor.clone()));
    task.map_err(|_| io::Error::other("no room for the housekeeper"))?;
    Ok(orders)
}

fn obey(worker: &Rc<Worker>, order: Order, listeners: &mut Vec<(FrontendId, reactor::TaskId)>) {
    match order {
        Order::StopGracefully => {
            listeners
                .drain(..)
                .for_each(|(_, task)| worker.reactor.cancel(task));
            worker.reactor.wake_all();
            worker.drain();
        }
        Order::StopNow => worker.reactor.stop(),
        Order::CloseFrontend(frontend) => listeners
            .extract_if(.., |(known, _)| *known == frontend)
            .for_each(|(_, task)| worker.reactor.cancel(task)),
        Order::ServeWaiting(backend, server) => {
            queue::serve_waiting(&worker.tables(), backend, server);
        }
        Order::DropIdle(backend, server) => worker.tables().pool(backend, server).clear(),
    }
}

/// Serves until an order ends it.
fn serve(worker: &Rc<Worker>) {
    // The driver cannot wait any more: nothing can be served, and nothing can be said without it either.
    let _ = worker.reactor.run();
    worker.tables().pools().for_each(|(_, pool)| pool.clear());
    worker.reactor.cancel_all();
}

/// Once a second: drops idle server connections that nobody needs.
async fn keep_house(worker: std::rc::Weak<Worker>, reactor: Reactor) {
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
    }
}
