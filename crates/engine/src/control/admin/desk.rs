//! What stands behind the answers: the plane, the sums of all workers, and the orders that carry changes out.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use plimsoll_policy::command::{
    BackendChange, Change, Clear, FrontendChange, ProbeChange, ServerChange,
};
use plimsoll_policy::context::{self, World};
use plimsoll_policy::counters::{BackendCounter, FrontendCounter, ServerCounter, Summary};
use plimsoll_policy::explain::Told;
use plimsoll_policy::health::{
    self, Cause, Census, Health, Line, Naming, admin_lines, change_line, no_server_line,
};
use plimsoll_policy::kin::Kin;
use plimsoll_policy::live::ServerState;
use plimsoll_policy::log::{Event, WallTime};
use plimsoll_policy::model::{Backend, BackendId, Bind, Frontend, FrontendId, Model, ServerId};
use plimsoll_policy::plane::{FrontendState, Plane};
use plimsoll_policy::rule::Rules;
use plimsoll_policy::specimen::Specimen;
use plimsoll_policy::stats::file::Recalled;
use plimsoll_policy::stats::{
    Meter, Now, Process, Refusal, Spare, Speed, Sums, View, Visitor, Vitals,
};
use plimsoll_policy::tls::store::Transactions;
use plimsoll_sys::clock;

use super::meters::Meters;
use crate::control::log::{self, LogRoute, LogSink, LogWriter};
use crate::counters::{AllCounters, Side};
use crate::engine::connection_limit;
use crate::gate::Gate;
use crate::lookup::Questions;
use crate::observe::Reports;
use crate::orders::{Order, Orders};
use crate::roster::Roster;
use crate::rules;
use crate::spares::Spares;
use crate::specimens::Specimens;
use crate::stories::Stories;
use crate::tls::Tls;
use crate::vitals::AllVitals;

const NS_PER_MS: u64 = 1_000_000;

/// Shared by the admin thread and the workers, who serve statistics pages. Each plane has its own.
pub(crate) struct Desk {
    plane: Arc<Plane>,
    counters: AllCounters,
    /// Log messages that could not be delivered.
    lost_logs: Arc<AtomicU64>,
    process: Arc<Process>,
    meters: Meters,
    stories: Arc<Stories>,
    specimens: Arc<Specimens>,
    spares: Arc<Spares>,
    vitals: Arc<AllVitals>,
    roster: Arc<Roster>,
    gates: Gates,
    tls: Arc<Tls>,
    /// Known once the workers run.
    workers: OnceLock<Arc<[Orders]>>,
    healths: OnceLock<HealthSource>,
    reports: Arc<Reports>,
    questions: Arc<Questions>,
    /// Where the lines about each backend go.
    routes: Vec<LogRoute>,
    writer: Mutex<LogWriter>,
}

/// Tells what checks think of a server.
type HealthSource = Box<dyn Fn(BackendId, ServerId) -> Option<Health> + Send + Sync>;

/// The limits on client connections.
#[derive(Clone)]
pub(crate) struct Gates {
    pub(crate) process: Arc<Gate>,
    /// The process's `maxconn` at the start.
    pub(crate) process_limit: u32,
    /// In the order of the model's frontends.
    pub(crate) frontends: Vec<Arc<Gate>>,
    /// Those of each frontend's binds; `None`: there is no limit, and nobody asks how many have passed.
    pub(crate) binds: Vec<Vec<Option<Arc<Gate>>>>,
}

impl Gates {
    /// Gates with the limits of the configuration.
    pub(crate) fn new(model: &Model) -> Self {
        let process_limit = connection_limit(model);
        let frontends = model.frontends.iter();
        let backends_ask = model.backends.iter().any(|it| asks_of_binds(&it.rules));
        Self {
            process: Arc::new(Gate::new(process_limit)),
            process_limit,
            frontends: frontends
                .map(|frontend| Arc::new(Gate::new(frontend.maxconn.unwrap_or(u32::MAX))))
                .collect(),
            binds: model
                .frontends
                .iter()
                .map(|frontend| bind_gates(backends_ask, frontend, |_| None))
                .collect(),
        }
    }

    /// The gates of a plane that follows. Those of the same frontends stay, with the limits they have.
    pub(crate) fn next(&self, before: &Model, after: &Model) -> Self {
        let kin = Kin::new(before, after);
        let backends_ask = after.backends.iter().any(|it| asks_of_binds(&it.rules));
        let frontends = || (0..).map(FrontendId).zip(&after.frontends);
        let gate = |(id, frontend): (FrontendId, &Frontend)| match kin.frontend(id) {
            Some(id) => Arc::clone(&self.frontends[id.0 as usize]),
            None => Arc::new(Gate::new(frontend.maxconn.unwrap_or(u32::MAX))),
        };
        Self {
            process: Arc::clone(&self.process),
            process_limit: connection_limit(after),
            frontends: frontends().map(gate).collect(),
            binds: frontends()
                .map(|(id, frontend)| {
                    bind_gates(backends_ask, frontend, |bind| {
                        let id = kin.frontend(id)?.0 as usize;
                        let mut known = before.frontends[id].binds.iter().zip(&self.binds[id]);
                        let same = known.find(|(known, _)| known.address == bind.address)?;
                        same.1.clone()
                    })
                })
                .collect(),
        }
    }

    /// Puts the limits of a plane into effect.
    pub(crate) fn settle(&self, plane: &Plane) {
        let limit = plane.process_maxconn().unwrap_or(self.process_limit);
        self.process.set_limit(limit);
        let frontends = (0..).map(FrontendId).zip(&plane.model.frontends);
        for (id, frontend) in frontends {
            let live = plane.frontend(id);
            let limit = match live.state() {
                FrontendState::Open => live.maxconn().or(frontend.maxconn).unwrap_or(u32::MAX),
                FrontendState::Paused | FrontendState::Stopped => 0,
            };
            self.frontends[id.0 as usize].set_limit(limit);
            for (bind, gate) in frontend.binds.iter().zip(&self.binds[id.0 as usize]) {
                if let Some(gate) = gate {
                    gate.set_limit(bind.maxconn.unwrap_or(u32::MAX));
                }
            }
        }
    }

    /// The gate of a bind, where its connections are counted.
    pub(crate) fn of_bind(&self, (id, bind): (FrontendId, usize)) -> Option<Arc<Gate>> {
        self.binds.get(id.0 as usize)?.get(bind)?.clone()
    }

    /// The two gates in front of a frontend.
    pub(crate) fn of_frontend(&self, id: FrontendId) -> [Arc<Gate>; 2] {
        [
            Arc::clone(&self.process),
            Arc::clone(&self.frontends[id.0 as usize]),
        ]
    }
}

fn asks_of_binds(rules: &Rules) -> bool {
    rules.asks.bind_connections
}

/// Gates for the binds of a frontend that have a limit, or for all where a rule asks (`dst_conn`). `known` finds those that
/// stood before.
fn bind_gates(
    backends_ask: bool,
    frontend: &Frontend,
    known: impl Fn(&Bind) -> Option<Arc<Gate>>,
) -> Vec<Option<Arc<Gate>>> {
    let is_asked = backends_ask || asks_of_binds(&frontend.rules);
    let gate = |bind: &Bind| {
        (is_asked || bind.maxconn.is_some()).then(|| {
            let fresh = || Arc::new(Gate::new(bind.maxconn.unwrap_or(u32::MAX)));
            known(bind).unwrap_or_else(fresh)
        })
    };
    frontend.binds.iter().map(gate).collect()
}

impl Desk {
    pub(crate) fn new(
        plane: &Arc<Plane>,
        counters: &AllCounters,
        (sink, program): (&LogSink, &str),
        workers: usize,
        gates: Gates,
        tls: &Arc<Tls>,
    ) -> Self {
        let meters = Meters::new(&plane.model, clock::monotonic_ns());
        Self {
            plane: Arc::clone(plane),
            counters: counters.clone(),
            lost_logs: sink.losses(),
            process: Arc::new(Self::process(&plane.model, workers)),
            meters,
            stories: Arc::new(Stories::new(workers, plane.model.global.why_sampling)),
            specimens: Arc::new(Specimens::new(workers)),
            spares: Arc::new(Spares::new(workers)),
            vitals: Arc::new(AllVitals::new(workers)),
            roster: Arc::new(Roster::new(workers)),
            gates,
            tls: Arc::clone(tls),
            workers: OnceLock::new(),
            healths: OnceLock::new(),
            reports: Arc::default(),
            questions: Arc::default(),
            routes: routes(&plane.model, sink, program),
            writer: Mutex::default(),
        }
    }

    /// The desk of a plane that follows; rates are measured on.
    pub(crate) fn next(
        &self,
        plane: &Arc<Plane>,
        counters: &AllCounters,
        (sink, program): (&LogSink, &str),
        kin: &Kin,
        gates: Gates,
        tls: &Arc<Tls>,
    ) -> Self {
        let (before, after) = (&self.plane.model.global, &plane.model.global);
        if before.why_sampling != after.why_sampling {
            self.stories.set_every(after.why_sampling);
        }
        let process = match self.process.connections_max == gates.process_limit {
            true => Arc::clone(&self.process),
            false => Arc::new(Process {
                connections_max: gates.process_limit,
                ..Process::clone(&self.process)
            }),
        };
        Self {
            plane: Arc::clone(plane),
            counters: counters.clone(),
            lost_logs: Arc::clone(&self.lost_logs),
            process,
            meters: self.meters.next(&plane.model, kin, clock::monotonic_ns()),
            stories: Arc::clone(&self.stories),
            specimens: Arc::clone(&self.specimens),
            spares: Arc::clone(&self.spares),
            vitals: Arc::clone(&self.vitals),
            roster: Arc::clone(&self.roster),
            gates,
            tls: Arc::clone(tls),
            workers: self.workers.clone(),
            healths: OnceLock::new(),
            reports: Arc::clone(&self.reports),
            questions: Arc::clone(&self.questions),
            routes: routes(&plane.model, sink, program),
            writer: Mutex::default(),
        }
    }

    pub(crate) fn gates(&self) -> &Gates {
        &self.gates
    }

    pub(crate) fn tls(&self) -> &Arc<Tls> {
        &self.tls
    }

    pub(crate) fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    pub(crate) fn stories(&self) -> &Stories {
        &self.stories
    }

    pub(crate) fn spares(&self) -> &Spares {
        &self.spares
    }

    pub(crate) fn vitals(&self) -> &AllVitals {
        &self.vitals
    }

    /// Whether the process is about to end.
    pub(crate) fn stopping(&self) -> &Arc<AtomicBool> {
        &self.process.stopping
    }

    pub(crate) fn specimens(&self) -> &Specimens {
        &self.specimens
    }

    pub(crate) fn plane(&self) -> &Arc<Plane> {
        &self.plane
    }

    /// Keeps what was said of the configuration, for those who ask.
    pub(crate) fn note_remarks(&self, remarks: &str) {
        let kept = self.process.remarks.lock();
        remarks.clone_into(&mut kept.unwrap_or_else(PoisonError::into_inner));
    }

    /// Has counters begin with what a file says. No worker may be running yet.
    pub(crate) fn recall(&self, counters: &[Recalled]) {
        self.counters.recall(counters);
        for recalled in counters {
            match *recalled {
                Recalled::Change(backend, server, moment_s) => {
                    let live = self.plane.backend(backend).server(server);
                    live.note_change(moment_s);
                }
                Recalled::Availability(backend, times_down, moment_s) => {
                    let live = &self.plane.backend(backend).live;
                    live.availability.recall(times_down, moment_s);
                }
                _ => {}
            }
        }
        self.meters.begin(&self.counters, clock::monotonic_ns());
    }

    /// Seconds since the process started.
    pub(crate) fn uptime_s(&self) -> u64 {
        let now_ms = clock::wall_ns() / NS_PER_MS;
        now_ms.saturating_sub(self.process.started_ms) / 1_000
    }

    fn process(model: &Model, workers: usize) -> Process {
        let wall_ms = clock::wall_ns() / NS_PER_MS;
        Process {
            id: std::process::id(),
            workers: workers as u32,
            started_ms: wall_ms,
            connections_max: connection_limit(model),
            descriptors_max: plimsoll_sys::limit::descriptor_limit().now,
            machine: plimsoll_sys::process::host_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            ..Process::default()
        }
    }

    /// Tells whom changes are sent to. Before that they reach live state only.
    pub(crate) fn attach(&self, workers: Arc<[Orders]>) {
        // Told once, by whoever started the workers.
        let _ = self.workers.set(workers);
    }

    /// Tells where to ask what checks think of servers.
    pub(crate) fn attach_health(&self, source: HealthSource) {
        // Told once, by whoever started the checks.
        let _ = self.healths.set(source);
    }

    /// What all workers have counted.
    pub(crate) fn counters(&self) -> &AllCounters {
        &self.counters
    }

    /// Where workers leave what the traffic says of servers.
    pub(crate) fn reports(&self) -> &Arc<Reports> {
        &self.reports
    }

    /// Where workers leave what rules want to know of names.
    pub(crate) fn questions(&self) -> &Arc<Questions> {
        &self.questions
    }

    /// How long a connection may be silent, unless it says otherwise.
    pub(super) fn timeout_ms(&self) -> u64 {
        self.plane.model.global.stats_timeout_ms
    }

    /// What can be seen at this moment.
    pub(crate) fn view(&self) -> View<'_> {
        let wall_ms = clock::wall_ns() / NS_PER_MS;
        View {
            plane: &self.plane,
            sums: self,
            process: &self.process,
            now: Now {
                wall_ms,
                monotonic_ms: clock::monotonic_ns() / NS_PER_MS,
                utc_offset_s: clock::utc_offset_seconds((wall_ms / 1_000) as i64),
            },
        }
    }

    /// Begins the next second of all rates; one thread does this.
    pub(crate) fn measure(&self) {
        self.meters.measure(&self.counters, clock::monotonic_ns());
    }

    pub(crate) fn carry_out(&self, change: &Change) {
        match change {
            Change::Server(backend, server, change) => {
                self.change_by_hand((*backend, *server), change, Cause::Command);
            }
            Change::Frontend(frontend, change) => self.change_frontend(*frontend, *change),
            Change::ProcessMaxconn(limit) => {
                let limit = match *limit {
                    0 => self.gates.process_limit,
                    limit => limit,
                };
                self.plane.set_process_maxconn(limit);
                self.gates.process.set_limit(limit);
            }
            Change::Clear(clear) => self.clear(*clear),
            Change::Variable(name, value) => {
                self.plane.set_variable(name, value, self, now());
            }
            Change::ShutSession(number) => {
                self.roster.doom(*number);
                self.order_all(&Order::Recall);
            }
            Change::Sampling(every) => self.stories.set_every(*every),
            Change::Transactions(transactions) => {
                self.plane
                    .set_transactions(Transactions::clone(transactions));
            }
            // These are the conductor's.
            Change::Reload
            | Change::Plan { .. }
            | Change::Model(_)
            | Change::Renew(_)
            | Change::Inquire(_) => {}
            Change::Backend(backend, change) => {
                let live = &self.plane.backend(*backend).live;
                live.set_published(*change == BackendChange::Publish);
            }
        }
    }

    /// What operators order: others hear of what they say of a server's health too.
    fn change_by_hand(
        &self,
        place: (BackendId, ServerId),
        change: &ServerChange,
        cause: Cause<'_>,
    ) {
        let live = self.plane.backend(place.0).server(place.1);
        let (before, waiting) = (live.state(), live.queued.load(Relaxed));
        self.change_server(place.0, place.1, change);
        let after = live.state();
        let said = match change {
            ServerChange::Probe(ProbeChange::AgentUp(true)) => &ServerChange::Up,
            ServerChange::Probe(ProbeChange::AgentUp(false)) => &ServerChange::Down,
            ServerChange::Up | ServerChange::Stopping | ServerChange::Down => change,
            _ => return,
        };
        if before == after || after.is_maintained() {
            return;
        }
        let news = match said {
            ServerChange::Up => health::Change::Up,
            ServerChange::Stopping => health::Change::Stopping,
            _ => health::Change::Down {
                was_leaving: before.is_draining() || before.contains(ServerState::STOPPING),
            },
        };
        self.tell_change(place, before.is_usable(), waiting, |naming, census| {
            vec![change_line(naming, news, cause, census)]
        });
        for follower in self.followers(place.0, place.1).into_iter().rev() {
            self.change_by_hand(follower, said, Cause::Unsaid);
        }
    }

    pub(crate) fn change_server(
        &self,
        backend: BackendId,
        server: ServerId,
        change: &ServerChange,
    ) {
        let live = self.plane.backend(backend).server(server);
        let (before, waiting) = (live.state(), live.queued.load(Relaxed));
        let was_in = before.is_in();
        let now_s = clock::wall_ns() / NS_PER_MS / 1_000;
        change.apply(live, now_s);
        let started_s = self.process.started_ms / 1_000;
        self.plane.backend(backend).note_change(now_s, started_s);
        let after = live.state();
        let is_in = after.is_in();
        if was_in && !is_in {
            self.leaves(backend, server);
        } else if !was_in && is_in {
            self.returns(backend, server);
        }
        if !live.state().is_usable() && live.queued.load(Relaxed) > 0 {
            self.order_one(Order::Redistribute(Arc::clone(live)));
        }
        match change {
            ServerChange::Vacate => {
                if live.state().is_maintained() {
                    self.order_all(&Order::DropIdle(Arc::clone(live)));
                }
                self.order_all(&Order::Recall);
            }
            ServerChange::Move(_) => self.order_all(&Order::DropIdle(Arc::clone(live))),
            // Requests may wait for what has just become possible; one worker hands out slots for all.
            _ if live.somebody_waits() => self.order_one(Order::ServeWaiting(Arc::clone(live))),
            _ => {}
        }
        let administers = matches!(
            change,
            ServerChange::Ready
                | ServerChange::Drain
                | ServerChange::Maintain
                | ServerChange::Inherit { .. }
        );
        if administers && before != after {
            self.tell_administered((backend, server), before, waiting);
            self.pass_on(backend, server);
        }
    }

    /// Logs what was done to a server's administration.
    fn tell_administered(&self, place: (BackendId, ServerId), before: ServerState, waiting: u32) {
        let live = self.plane.backend(place.0).server(place.1);
        self.tell_change(place, before.is_usable(), waiting, |naming, census| {
            admin_lines(naming, before, live.state(), census)
        });
    }

    /// Logs what has become of a server, and that nobody is left in its backend where it was the last one; `waiting`: how many
    /// requests waited for it before.
    pub(crate) fn tell_change(
        &self,
        place: (BackendId, ServerId),
        was_usable: bool,
        waiting: u32,
        lines: impl FnOnce(&Naming<'_>, Census) -> Vec<Line>,
    ) {
        let census = self.census_after(place, waiting);
        let naming = Naming::of(&self.plane.model, place.0, place.1);
        for line in lines(&naming, census) {
            self.tell(place.0, &line);
        }
        if was_usable && census.active + census.backup == 0 {
            self.tell_empty(place.0);
        }
    }

    /// How a server and its backend stand behind a change, before which so many requests waited for it.
    fn census_after(&self, place: (BackendId, ServerId), waiting: u32) -> Census {
        let mut census = self.census(place);
        if !self.plane.backend(place.0).server(place.1).is_usable() {
            // Workers are letting them choose again.
            census.requeued = waiting;
            census.queued = census.queued.saturating_sub(waiting);
        }
        census
    }

    /// Logs that nobody serves a backend any more.
    fn tell_empty(&self, backend: BackendId) {
        let model = &self.plane.model;
        let section = &model.backends[backend.0 as usize];
        let mut fronts = model.frontends.iter();
        let listen = fronts.any(|front| front.number == section.number);
        self.tell(backend, &no_server_line(&section.name, listen));
    }

    /// Lets the servers that track this one share its administration.
    fn pass_on(&self, backend: BackendId, server: ServerId) {
        let state = self.plane.backend(backend).server(server).state();
        let change = ServerChange::Inherit {
            maintenance: state.is_maintained(),
            drain: state.is_draining(),
        };
        // Who came last is told first, as in HAProxy.
        for (backend, server) in self.followers(backend, server).into_iter().rev() {
            self.change_server(backend, server, &change);
        }
    }

    /// The servers that track this one directly. They cannot do so in a circle.
    fn followers(&self, backend: BackendId, server: ServerId) -> Vec<(BackendId, ServerId)> {
        let leader = Some((backend, server));
        let backends = (0..).map(BackendId).zip(&self.plane.model.backends);
        let servers = backends.flat_map(|(id, backend)| {
            let servers = (0..).map(ServerId).zip(&backend.servers);
            servers.map(move |(server, row)| ((id, server), row))
        });
        let tracking = servers.filter(|(_, row)| row.check.track == leader);
        tracking.map(|(place, _)| place).collect()
    }

    /// Lets servers that are new share the administration of those that they track, without a word about it.
    pub(crate) fn settle_followers(&self) {
        let model = &self.plane.model;
        for (id, backend) in (0..).map(BackendId).zip(&model.backends) {
            for (server, row) in (0..).map(ServerId).zip(&backend.servers) {
                let Some((of, leader)) = row.check.track else {
                    continue;
                };
                let state = self.plane.backend(of).server(leader).state();
                let change = ServerChange::Inherit {
                    maintenance: state.is_maintained(),
                    drain: state.is_draining(),
                };
                let live = self.plane.backend(id).server(server);
                change.apply(live, clock::wall_ns() / NS_PER_MS / 1_000);
            }
        }
    }

    /// How a server and its backend stand.
    pub(crate) fn census(&self, (backend, server): (BackendId, ServerId)) -> Census {
        let mut census = Census::default();
        let plane = self.plane.backend(backend);
        let servers = &self.plane.model.backends[backend.0 as usize].servers;
        for (id, row) in (0..).map(ServerId).zip(servers) {
            if plane.server(id).is_usable() {
                match row.backup {
                    true => census.backup += 1,
                    false => census.active += 1,
                }
            }
        }
        let live = plane.server(server);
        census.sessions = live.served();
        census.queued = live.load().saturating_sub(live.served());
        census
    }

    /// Logs a line about a backend.
    pub(crate) fn tell(&self, backend: BackendId, line: &Line) {
        let event = Event {
            level: line.level,
            text: &line.text,
        };
        let route = &self.routes[backend.0 as usize];
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.event(route, &event, WallTime::from_unix_ns(clock::wall_ns()));
    }

    /// A server goes down or into maintenance: its sessions end with it, where that is configured.
    fn leaves(&self, backend: BackendId, server: ServerId) {
        let model = &self.plane.model.backends[backend.0 as usize].servers[server.0 as usize];
        if model.check.ends_sessions_when_down {
            let live = self.plane.backend(backend).server(server);
            live.recall();
            self.order_all(&Order::DropIdle(Arc::clone(live)));
            self.order_all(&Order::Recall);
        }
    }

    /// A server comes up or out of maintenance: sessions at backup servers end, where that is configured.
    fn returns(&self, backend: BackendId, server: ServerId) {
        let model = &self.plane.model.backends[backend.0 as usize];
        let returning = &model.servers[server.0 as usize];
        let plane = self.plane.backend(backend);
        let carries = plane.server(server).weight() > 0;
        if returning.backup || !returning.check.ends_backup_sessions_when_up || !carries {
            return;
        }
        let servers = (0..).map(ServerId).zip(&model.servers);
        for (id, _) in servers.filter(|(_, server)| server.backup) {
            plane.server(id).recall();
        }
        self.order_all(&Order::Recall);
    }

    fn change_frontend(&self, frontend: FrontendId, change: FrontendChange) {
        let live = self.plane.frontend(frontend);
        match change {
            FrontendChange::Enable => live.set_state(FrontendState::Open),
            FrontendChange::Disable => live.set_state(FrontendState::Paused),
            FrontendChange::Maxconn(limit) => live.set_maxconn(limit),
            FrontendChange::Stop => {
                live.set_state(FrontendState::Stopped);
                self.order_all(&Order::CloseFrontend(Arc::clone(live)));
            }
        }
        self.gates.settle(&self.plane);
    }

    fn clear(&self, clear: Clear) {
        match clear {
            Clear::All => {
                self.counters.clear();
                self.plane.ledger.clear();
            }
            Clear::Peaks => self.counters.clear_peaks(),
            Clear::Server(backend, server) => {
                self.counters.clear_server(backend, server);
                return;
            }
        }
        self.meters.clear_maxima();
    }

    /// Cuts off whoever is at any server.
    pub(crate) fn vacate_all(&self) {
        for (id, backend) in (0..).map(BackendId).zip(&self.plane.model.backends) {
            let live = self.plane.backend(id);
            let servers = (0..).map(ServerId).zip(&backend.servers);
            servers.for_each(|(server, _)| live.server(server).kill());
        }
        self.order_all(&Order::Recall);
    }

    pub(crate) fn order_all(&self, order: &Order) {
        for orders in self.workers.get().into_iter().flat_map(|all| all.iter()) {
            orders.send(order.clone());
        }
    }

    fn order_one(&self, order: Order) {
        if let Some(orders) = self.workers.get().and_then(|all| all.first()) {
            orders.send(order);
        }
    }
}

/// Where the lines about each backend go.
fn routes(model: &Model, sink: &LogSink, program: &str) -> Vec<LogRoute> {
    let route = |backend: &Backend| {
        let who = log::identity(&model.global, &backend.log, program);
        sink.route(&backend.log, false, &who)
    };
    model.backends.iter().map(route).collect()
}

/// For expressions that run while nobody is served: those of checks, of commands, and of variables at the start.
impl World for Desk {
    fn random(&self) -> u64 {
        // Keyed by the system's chance, and differently each time.
        RandomState::new().build_hasher().finish()
    }

    fn sums(&self) -> &dyn Sums {
        self
    }

    fn process_id(&self) -> u32 {
        std::process::id()
    }

    fn hostname(&self) -> &str {
        log::hostname()
    }

    fn utc_offset_s(&self) -> i32 {
        clock::utc_offset_seconds((clock::wall_ns() / NS_PER_MS / 1_000) as i64)
    }

    fn next_number(&self) -> u32 {
        rules::next_number()
    }
}

/// The moment, as such expressions see it.
pub(crate) fn now() -> context::Now {
    context::Now {
        monotonic_ns: clock::monotonic_ns(),
        wall: WallTime::from_unix_ns(clock::wall_ns()),
    }
}

impl Sums for Desk {
    fn frontend(&self, id: FrontendId, counter: FrontendCounter) -> u64 {
        self.counters.frontend(id, counter)
    }

    fn backend(&self, id: BackendId, counter: BackendCounter) -> u64 {
        self.counters.backend(id, counter)
    }

    fn server(&self, backend: BackendId, server: ServerId, counter: ServerCounter) -> u64 {
        self.counters.server(backend, server, counter)
    }

    fn rate(&self, meter: Meter) -> Speed {
        self.meters
            .speed(meter, &self.counters, clock::monotonic_ns())
    }

    fn connections(&self, frontend: FrontendId) -> u32 {
        self.gates.frontends[frontend.0 as usize].passed()
    }

    fn bind_connections(&self, frontend: FrontendId, bind: usize) -> Option<u32> {
        Some(self.gates.of_bind((frontend, bind))?.passed())
    }

    fn latencies(&self, backend: BackendId, server: ServerId) -> Option<Summary> {
        Some(self.counters.latencies(backend, server))
    }

    fn health(&self, backend: BackendId, server: ServerId) -> Option<Health> {
        self.healths.get().and_then(|ask| ask(backend, server))
    }

    fn lost_logs(&self) -> u64 {
        self.lost_logs.load(Relaxed)
    }

    fn visitors(&self) -> Vec<Visitor> {
        self.roster.visitors()
    }

    fn stories(&self) -> Vec<Arc<Told>> {
        self.stories.all()
    }

    fn sampling(&self) -> u32 {
        self.stories.every()
    }

    fn spares(&self) -> Vec<Spare> {
        self.spares.all()
    }

    fn vitals(&self) -> Vec<Vitals> {
        self.vitals.all()
    }

    fn refusals(&self) -> Vec<Refusal> {
        let refusals = self.counters.refusals().into_iter();
        let row = |((side, fault), count): ((Side, _), _)| Refusal {
            side: side.word(),
            fault,
            count,
        };
        refusals.map(row).collect()
    }

    fn maxconn_reached(&self) -> u64 {
        self.gates.process.turned_back()
    }

    fn specimens(&self) -> (u32, Vec<Arc<Specimen>>) {
        self.specimens.all()
    }
}
