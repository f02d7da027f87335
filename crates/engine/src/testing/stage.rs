//! The proxy under simulation: built from a model, run until its guests have left, and then searched for leftovers.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use plimsoll_policy::model::{
    Backend, BackendId, BackendTimeouts, Bind, BindAddress, Frontend, FrontendId, FrontendTimeouts,
    Mode, Model, Server, ServerAddress, ServerId, ServerPort,
};
use plimsoll_policy::plane::Plane;
use plimsoll_sys::{Address, ConnectOptions, ListenOptions};

use super::tracking;
use crate::control::log::LogSink;
use crate::engine;
use crate::gate::Gate;
use crate::listener::{Admission, Entrance};
use crate::orders::{Adoption, Order, Orders};
use crate::reactor::simulated::{Simulation, Weather};
use crate::reactor::{self, Listener, Reactor, Socket, TaskId};
use crate::sockets::Fixture;
use crate::tables::{Shared, Tables};
use crate::tls::Tls;
use crate::worker::Worker;

pub(super) const MS_NS: u64 = 1_000_000;
pub(super) const SECOND_NS: u64 = 1_000 * MS_NS;

/// Longer than any time-out of [`model`]: afterwards nobody waits for anything.
const REST_NS: u64 = 600 * SECOND_NS;

/// Virtual time in which every run must be over. Whoever is stuck without a time-out is found out by this.
const RUN_NS_MAX: u64 = 3_600 * SECOND_NS;

/// Longest time an actor waits for a connection, which may be for a place in the backlog.
const DIAL_NS_MAX: u64 = 1_000 * SECOND_NS;

/// Pipes a reactor may have in these runs; so few that a leak is noticed.
const PIPES_MAX: usize = 4;

/// Where the proxy of every run listens.
pub(super) fn front_door() -> Address {
    Address::Inet(SocketAddr::from(([10, 0, 1, 1], 80)))
}

/// Where server number `index` listens.
pub(super) fn server_address(index: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 2, index as u8 + 1], 8080))
}

/// One frontend and one backend with `servers` servers, and time-outs that differ from each other.
pub(super) fn model(mode: Mode, servers: usize) -> Model {
    let address = |index| {
        let inet = server_address(index);
        ServerAddress::Inet {
            ip: inet.ip(),
            port: ServerPort::Fixed(inet.port()),
        }
    };
    let front = front_door().inet().expect("an inet address");
    Model {
        frontends: vec![Frontend {
            name: "front".into(),
            mode,
            binds: vec![Bind::new(BindAddress::Inet(front))],
            default_backend: Some(BackendId(0)),
            timeouts: FrontendTimeouts {
                client_ms: Some(40_000),
                http_request_ms: Some(30_000),
                http_keep_alive_ms: Some(50_000),
                ..FrontendTimeouts::default()
            },
            ..Frontend::default()
        }],
        backends: vec![Backend {
            name: "back".into(),
            mode,
            servers: (0..servers)
                .map(|index| Server::new(format!("s{index}"), address(index)))
                .collect(),
            retries: 3,
            timeouts: BackendTimeouts {
                connect_ms: Some(5_000),
                server_ms: Some(20_000),
                queue_ms: Some(300_000),
                ..BackendTimeouts::default()
            },
            ..Backend::default()
        }],
        ..Model::default()
    }
}

/// Runs `play` for many seeds: all of them, or as many as `patience` allows but never fewer than a quarter.
pub(super) fn for_seeds(count: u64, patience: Duration, play: impl Fn(u64)) {
    let begun = Instant::now();
    for (played, seed) in Simulation::seeds(1, count).enumerate() {
        if begun.elapsed() > patience && played as u64 >= count / 4 {
            return;
        }
        let _replay = Replay(seed);
        play(seed);
    }
}

/// Names the seed of a run that failed.
struct Replay(u64);

impl Drop for Replay {
    #[expect(clippy::print_stderr, reason = "a failing test says how to repeat it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with SEED={}", self.0);
        }
    }
}

/// A proxy in its world, and the actors around it.
pub(super) struct Stage {
    pub(super) simulation: Simulation,
    pub(super) worker: Rc<Worker>,
    pub(super) orders: Orders,
    gates: Vec<Arc<Gate>>,
    shared: Shared,
    sink: LogSink,
    /// Tasks that would serve for ever.
    staff: Vec<TaskId>,
    cast: Cast,
}

/// Starts tasks, and counts those that have not ended.
#[derive(Clone)]
pub(super) struct Cast {
    pub(super) reactor: Reactor,
    playing: Rc<Cell<usize>>,
}

impl Cast {
    /// Starts an actor; the run is over when the last one has ended.
    pub(super) fn enter(&self, actor: impl Future<Output = ()> + 'static) {
        let playing = Rc::clone(&self.playing);
        playing.set(playing.get() + 1);
        let task = async move {
            actor.await;
            playing.set(playing.get() - 1);
        };
        self.reactor.spawn(task).expect("room for an actor");
    }

    pub(super) async fn sleep(&self, ns: u64) {
        self.reactor.sleep_until(self.reactor.now_ns() + ns).await;
    }

    /// A connection to `address`.
    pub(super) async fn dial(&self, address: &Address) -> io::Result<Rc<Socket>> {
        let socket = reactor::connect(&self.reactor, address, &ConnectOptions::default())?;
        let deadline_ns = self.reactor.now_ns() + DIAL_NS_MAX;
        self.reactor
            .until(deadline_ns, || socket.poll_connected())
            .await??;
        Ok(Rc::new(socket))
    }
}

impl Stage {
    pub(super) fn new(seed: u64, weather: Weather, model: Model) -> Self {
        let simulation = Simulation::new(seed, weather);
        let options = reactor::Options {
            pipes_max: PIPES_MAX,
            ..reactor::Options::default()
        };
        let reactor = Reactor::simulated(&simulation, options);
        let sink = LogSink::default();
        let shared = Shared::new(Plane::build(model, None), Tls::default(), 1, &sink, "test");
        let gates = shared.desk.gates();
        let mut entrances = Vec::new();
        for (index, frontend) in shared.plane.model.frontends.iter().enumerate() {
            for (bind, _) in frontend.binds.iter().enumerate() {
                let options = ListenOptions::default();
                let listener = Listener::bind(&reactor, &front_door(), &options).unwrap();
                let place = (FrontendId(index as u32), bind);
                entrances.push((listener, Entrance::new(bind as u64, place, gates)));
            }
        }
        let gates = std::iter::once(&gates.process).chain(&gates.frontends);
        let gates = gates.map(Arc::clone).collect();
        let tables = Rc::new(Tables::new(shared.clone(), 0, None));
        let stopping = Arc::new(AtomicBool::new(false));
        let worker = Worker::new(reactor.clone(), 0, tables, seed, stopping);
        let orders = engine::settle(&worker, entrances).unwrap();
        Self {
            simulation,
            worker,
            orders,
            gates,
            shared,
            sink,
            staff: Vec::new(),
            cast: Cast {
                reactor,
                playing: Rc::default(),
            },
        }
    }

    pub(super) fn cast(&self) -> &Cast {
        &self.cast
    }

    /// Has the worker serve by another model, through the order that a reload sends; the listeners stay.
    pub(super) fn adopt(&mut self, model: Model) {
        let before = Arc::clone(&self.shared.plane);
        let plane = Plane::build(model, Some(&before));
        let gates = self.shared.desk.gates().next(&before.model, &plane.model);
        plane.settle(&before);
        gates.settle(&plane);
        let fixture = Fixture {
            number: 0,
            frontend: FrontendId(0),
            bind: 0,
            eager: true,
        };
        self.shared = self
            .shared
            .next(plane, Tls::default(), gates, &self.sink, "test");
        let adoption = Adoption::new(self.shared.clone(), vec![fixture], vec![Vec::new()]);
        self.orders.send(Order::Adopt(Arc::new(adoption)));
    }

    /// The plane of this moment, to find out later whether anybody still holds it.
    pub(super) fn plane(&self) -> Weak<Plane> {
        Arc::downgrade(&self.shared.plane)
    }

    /// A place behind the gates, for a connection that does not come through the listener.
    pub(super) fn admission(&self) -> Admission {
        let pass = |gate: &Arc<Gate>| gate.pass(|| unreachable!("there is room")).expect("room");
        Admission::new([pass(&self.gates[0]), pass(&self.gates[1])], None)
    }

    /// Has `serve` started for every connection to server number `index`.
    pub(super) fn origin<F>(
        &mut self,
        index: usize,
        serve: impl Fn(Cast, Rc<Socket>) -> F + 'static,
    ) where
        F: Future<Output = ()> + 'static,
    {
        let cast = self.cast.clone();
        let address = Address::Inet(server_address(index));
        let options = ListenOptions::default();
        let listener = Listener::bind(&cast.reactor, &address, &options).unwrap();
        let task = self.cast.reactor.spawn(async move {
            while let Ok(socket) = std::future::poll_fn(|_| listener.poll_accept()).await {
                let serving = serve(cast.clone(), Rc::new(socket));
                cast.reactor.spawn(serving).expect("room for an origin");
            }
        });
        self.staff.push(task.expect("room for an origin"));
    }

    /// Plays until every actor has ended.
    pub(super) fn play(&self) {
        self.play_watched(|_| {});
    }

    /// As [`play`](Self::play), with somebody who looks on between turns.
    pub(super) fn play_watched(&self, mut look: impl FnMut(&Self)) {
        self.play_until(|stage| {
            look(stage);
            false
        });
    }

    /// Plays until every actor has ended, or until somebody who looks on between turns has seen enough.
    pub(super) fn play_until(&self, mut enough: impl FnMut(&Self) -> bool) {
        let until_ns = self.worker.reactor.now_ns() + RUN_NS_MAX;
        while self.cast.playing.get() > 0 {
            self.worker.reactor.turn().expect("somebody can go on");
            if enough(self) {
                return;
            }
            assert!(
                self.worker.reactor.now_ns() < until_ns,
                "{} actors are stuck; {:#?}",
                self.cast.playing.get(),
                self.simulation.recent()
            );
        }
    }

    /// Client connections that are open.
    pub(super) fn sessions(&self) -> u32 {
        self.gates[0].passed()
    }

    /// Slots taken at server number `index`, and requests waiting anywhere in the backend.
    pub(super) fn load(&self, index: usize) -> (u32, u32) {
        let tables = self.worker.tables();
        let plane = tables.plane.backend(BackendId(0));
        let live = plane.server(ServerId(index as u32));
        let queued = live.queued.load(Ordering::SeqCst) + plane.live.queued.load(Ordering::SeqCst);
        (live.current.load(Ordering::SeqCst), queued)
    }

    /// Plays to the end, lets every time-out pass, and looks for what should not be there any more.
    pub(super) fn finish(mut self) {
        self.play();
        self.simulation.set_weather(Weather::calm());
        let reactor = self.worker.reactor.clone();
        let rest = reactor.sleep_until(reactor.now_ns() + REST_NS);
        reactor.block_on(rest).unwrap();
        self.assert_idle();
        self.assert_stops();
    }

    /// No client is connected, no slot is taken, nobody waits, no pipe is lost.
    fn assert_idle(&self) {
        for gate in &self.gates {
            assert_eq!(gate.passed(), 0, "connections behind a gate");
        }
        let tables = self.worker.tables();
        for (index, backend) in tables.plane.model.backends.iter().enumerate() {
            let plane = tables.plane.backend(BackendId(index as u32));
            assert_eq!(
                plane.live.queued.load(Ordering::SeqCst),
                0,
                "queued in the backend"
            );
            assert_eq!(plane.live.current(), 0, "visits to the backend");
            for (id, server) in backend.servers.iter().enumerate() {
                let live = plane.server(ServerId(id as u32));
                let left = (
                    live.current.load(Ordering::SeqCst),
                    live.queued.load(Ordering::SeqCst),
                );
                assert_eq!(
                    left,
                    (0, 0),
                    "slots taken and requests queued at {}",
                    server.name
                );
            }
        }
        let now_ms = self.worker.reactor.now_ns() / MS_NS;
        tracking::assert_nothing_is_tracked(&tables.plane, now_ms);
        let pipes: Vec<_> = (0..PIPES_MAX).map(|_| self.worker.reactor.pipe()).collect();
        assert!(pipes.iter().all(Option::is_some), "a pipe is lost");
    }

    /// Told to stop gracefully the worker does, and neither a task nor a socket remains but the housekeeper.
    fn assert_stops(&mut self) {
        let reactor = self.worker.reactor.clone();
        self.worker
            .tables()
            .pools()
            .for_each(|(_, pool)| pool.clear());
        self.staff.drain(..).for_each(|task| reactor.cancel(task));
        self.orders.send(Order::StopGracefully);
        reactor.run().unwrap();
        reactor
            .block_on(reactor.sleep_until(reactor.now_ns() + SECOND_NS))
            .unwrap();
        let usage = reactor.usage();
        assert_eq!(
            (usage.tasks, usage.sockets),
            (1, 0),
            "tasks and sockets of the reactor"
        );
        assert_eq!(self.simulation.open_sockets(), 0, "virtual sockets");
        reactor.close();
        assert_eq!(reactor.usage().tasks, 0);
    }
}

impl Drop for Stage {
    /// A run that failed leaves tasks behind, which own the reactor; dropping them could fail once more.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.worker.reactor.close();
        }
    }
}
