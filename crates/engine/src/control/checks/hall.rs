//! What all checks share: the servers, what is thought of them, and the ways to tell workers and logs.

mod traffic;

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll_policy::agent::{AdminWord, Reply};
use plimsoll_policy::command::ServerChange;
use plimsoll_policy::health::{
    Cause, Change, Condition, Health, Naming, Reaction, SPREAD_INTERVAL_MIN_MS, Seen, Which,
    change_line, check_line, jittered_ms, report_header, start_delay_ms,
};
use plimsoll_policy::live::{Probing, ServerLive, ServerState};
use plimsoll_policy::model::check::{AgentCheck, Flavour, OnError, Rhythm, ServerCheck};
use plimsoll_policy::model::{
    Backend, BackendId, Model, ProxyHeader, Server, ServerAddress, ServerId, ServerPort,
};
use plimsoll_policy::plane::Plane;
use plimsoll_policy::probe::{
    Fault, Probe as _, Script, Standing, Surroundings, Verdict, agent_spec,
};
use plimsoll_policy::stats::file::Recalled;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::around::Around;
use super::conversation::{self, Ending, Manner, Target};
use super::external::{self, Told};
use super::{PostKey, Watch};
use crate::control::admin::desk::Desk;

/// A server of a backend.
type Place = (BackendId, ServerId);

/// The health of every server that is checked or tracks one that is; readable from any thread.
pub(super) struct Board {
    healths: HashMap<Place, Arc<Mutex<Health>>>,
    /// By the names of backend and server, with the settings they were made from: for the plane that follows.
    known: HashMap<(String, String), (ServerCheck, Place)>,
}

impl Board {
    /// The board for a model; what is thought of servers that were on another one `before` stays.
    pub(super) fn new(model: &Model, before: Option<&Self>) -> Self {
        let wanted = |server: &Server| {
            let check = &server.check;
            let suspends = matches!(check.on_error, OnError::Suspend { .. });
            let passive = check.observe.is_some() && suspends;
            check.enabled || check.agent.is_some() || check.track.is_some() || passive
        };
        let (mut healths, mut known) = (HashMap::new(), HashMap::new());
        for (place, backend, server) in places(model).filter(|(_, _, server)| wanted(server)) {
            let names = (backend.name.clone(), server.name.clone());
            let former = server.former_name.clone();
            let former = former.map(|name| (backend.name.clone(), name));
            let old = before.and_then(|board| {
                let by_former = || board.find(former.as_ref()?);
                board.find(&names).or_else(by_former)
            });
            let health = match old {
                Some((settings, health)) if *settings == server.check => health,
                Some((_, health)) => {
                    let health = health.lock().unwrap_or_else(PoisonError::into_inner);
                    Arc::new(Mutex::new(health.reconfigured(&server.check)))
                }
                None => Arc::new(Mutex::new(Health::new(&server.check))),
            };
            healths.insert(place, health);
            known.insert(names, (server.check.clone(), place));
        }
        Self { healths, known }
    }

    /// Counts on from what a file of counters says. No check may be running yet.
    pub(super) fn recall(&self, counters: &[Recalled]) {
        for recalled in counters {
            if let Recalled::Health(backend, server, sums) = *recalled {
                self.with((backend, server), |health| health.recall(sums));
            }
        }
    }

    fn find(&self, names: &(String, String)) -> Option<(&ServerCheck, Arc<Mutex<Health>>)> {
        let (settings, place) = self.known.get(names)?;
        Some((settings, Arc::clone(self.healths.get(place)?)))
    }

    pub(super) fn health(&self, backend: BackendId, server: ServerId) -> Option<Health> {
        self.with((backend, server), |health| health.clone())
    }

    fn with<T>(&self, place: Place, look: impl FnOnce(&mut Health) -> T) -> Option<T> {
        let health = self.healths.get(&place)?;
        Some(look(
            &mut health.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

fn places(model: &Model) -> impl Iterator<Item = (Place, &Backend, &Server)> {
    let backends = model.backends.iter().enumerate();
    backends.flat_map(|(backend_index, backend)| {
        let servers = backend.servers.iter().enumerate();
        servers.map(move |(index, server)| {
            let place = (BackendId(backend_index as u32), ServerId(index as u32));
            (place, backend, server)
        })
    })
}

/// What the tasks of all checks share.
pub(super) struct Hall {
    plane: Arc<Plane>,
    desk: Arc<Desk>,
    board: Arc<Board>,
    /// What is asked: one script per backend, and one per server that has its own or an agent.
    scripts: Vec<Script>,
    own_scripts: HashMap<Place, Script>,
    agents: HashMap<Place, Script>,
    followers: HashMap<Place, Vec<Place>>,
    /// Permits for checks that run at the same time, in all planes.
    pub(super) running: Rc<Semaphore>,
    /// When the first plane's checks began.
    begun: Instant,
}

/// What a check found.
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) duration_ms: u64,
    /// The connection, which ends once the verdict has had its effect: whoever sees its end may rely on that.
    pub(super) line: Option<conversation::Line>,
    pub(super) ending: Ending,
}

impl Hall {
    pub(super) fn new(
        desk: Arc<Desk>,
        board: Arc<Board>,
        running: &Rc<Semaphore>,
        begun: Instant,
    ) -> Self {
        let plane = Arc::clone(desk.plane());
        let model = &plane.model;
        let of_backend = |backend: &Backend| Script::new(backend.check.spec.clone());
        let mut followers: HashMap<Place, Vec<Place>> = HashMap::new();
        let (mut own_scripts, mut agents) = (HashMap::new(), HashMap::new());
        for (place, _, server) in places(model) {
            if let Some(leader) = server.check.track {
                followers.entry(leader).or_default().push(place);
            }
            if let Some(spec) = &server.check.spec {
                own_scripts.insert(place, Script::new(spec.clone()));
            }
            if let Some(agent) = &server.check.agent {
                agents.insert(place, Script::new(agent_spec(agent, &server.address)));
            }
        }
        Self {
            scripts: model.backends.iter().map(of_backend).collect(),
            own_scripts,
            agents,
            followers,
            board,
            running: Rc::clone(running),
            begun,
            desk,
            plane,
        }
    }

    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    fn backend(&self, id: BackendId) -> &Backend {
        &self.plane.model.backends[id.0 as usize]
    }

    fn server(&self, place: Place) -> &Server {
        &self.backend(place.0).servers[place.1.0 as usize]
    }

    fn live(&self, place: Place) -> &Arc<ServerLive> {
        self.plane.backend(place.0).server(place.1)
    }

    /// Servers that are down before their first check take no traffic from the start.
    pub(super) fn begin(&self) {
        for &place in self.board.healths.keys() {
            let condition = self.board.with(place, |health| health.condition());
            if condition == Some(Condition::Down) {
                self.order(place, ServerChange::Down);
            }
        }
        for &leader in self.followers.keys() {
            self.heed(leader, self.live(leader).state());
            self.lead_on(leader, &|follower, change| {
                self.order(follower, order_of(change))
            });
        }
        self.forget_traffic();
    }

    /// Has those who track a server think of themselves what is thought of it; `tell` passes on what is news.
    fn lead(&self, leader: Place, tell: &dyn Fn(Place, Change)) {
        let Some(condition) = self.board.with(leader, |health| health.condition()) else {
            return;
        };
        for &follower in self.followers.get(&leader).into_iter().flatten() {
            let now_ms = self.now_ms();
            let followed = self
                .board
                .with(follower, |health| health.follow(condition, now_ms));
            if let Some(change) = followed.flatten() {
                tell(follower, change);
            }
        }
    }

    /// The same for those who track these in turn.
    fn lead_on(&self, leader: Place, tell: &dyn Fn(Place, Change)) {
        self.lead(leader, tell);
        for &follower in self.followers.get(&leader).into_iter().flatten() {
            self.lead_on(follower, tell);
        }
    }

    /// What a watch is known by in all planes.
    pub(super) fn key(&self, watch: Watch) -> PostKey {
        self.key_of(watch.backend, watch.server, watch.which)
    }

    pub(super) fn key_of(&self, backend: BackendId, server: ServerId, which: Which) -> PostKey {
        let server = self.server((backend, server));
        let backend = self.backend(backend);
        (backend.name.clone(), server.name.clone(), which)
    }

    /// What decides how often a watch asks.
    pub(super) fn rhythm(&self, watch: Watch) -> (Rhythm, Option<u64>) {
        let check = &self.server((watch.backend, watch.server)).check;
        let agent = check.agent.as_ref();
        (check.rhythm, agent.and_then(|agent| agent.interval_ms))
    }

    /// All checks, with their delays before the first time.
    pub(super) fn watches(&self) -> Vec<Watch> {
        let model = &self.plane.model;
        let mut watches = Vec::new();
        for ((backend, server), section, row) in places(model) {
            if section.disabled {
                continue;
            }
            let mut add = |which, delay_ms| {
                watches.push(Watch {
                    backend,
                    server,
                    which,
                    delay_ms,
                });
            };
            let inter_ms = row.check.rhythm.interval_ms;
            if row.check.enabled {
                add(Which::Check, inter_ms);
            }
            if let Some(agent) = &row.check.agent {
                add(Which::Agent, agent.interval_ms.unwrap_or(inter_ms));
            }
        }
        let long = |watch: &Watch| watch.delay_ms >= SPREAD_INTERVAL_MIN_MS;
        let shortest_ms = watches.iter().filter(|watch| long(watch));
        let shortest_ms = shortest_ms.map(|watch| watch.delay_ms).min().unwrap_or(0);
        let most_ms = model.global.spread_checks_max_ms.unwrap_or(u64::MAX);
        let total = watches.len();
        for (position, watch) in watches.iter_mut().enumerate() {
            let interval_ms = watch.delay_ms.min(most_ms);
            watch.delay_ms = start_delay_ms(position, total, shortest_ms.min(most_ms), interval_ms);
        }
        watches
    }

    /// Whether a check is not to be made now: an operator has the server, or it has no address.
    pub(super) fn rests(self: &Rc<Self>, watch: Watch) -> bool {
        let place = (watch.backend, watch.server);
        let state = self.live(place).state();
        let maintenance = state.is_maintained();
        let draining = state.is_draining();
        let now_ms = self.now_ms();
        let probing = self.heed(place, state);
        let before = self.board.with(place, |health| health.condition());
        self.board.with(place, |health| {
            health.administer(maintenance, draining, now_ms)
        });
        let after = self.board.with(place, |health| health.condition());
        if before != after && after == Some(Condition::Up) {
            self.warm_up(place);
            self.order(place, ServerChange::Up);
        }
        // An agent is asked all the same: it may be the one to end the maintenance.
        let paused = match watch.which {
            Which::Check => maintenance || probing.check_paused,
            Which::Agent => probing.agent_paused,
        };
        paused || state.contains(ServerState::UNRESOLVED)
    }

    /// Lets health know what operators said of it; how they want the server to be checked.
    fn heed(&self, place: Place, state: ServerState) -> Probing {
        let (live, now_ms) = (self.live(place), self.now_ms());
        let probing = live.probing();
        let before = self.board.with(place, |health| health.condition());
        if let Some(up) = probing.agent_up {
            live.set_probing(|probing| probing.agent_up = None);
            self.board
                .with(place, |health| health.heed_agent(up, now_ms));
        } else if !state.is_maintained() {
            let (down, stopping) = (ServerState::DOWN, ServerState::STOPPING);
            let said = (state.contains(down), state.contains(stopping));
            self.board
                .with(place, |health| health.heed(said.0, said.1, now_ms));
        }
        if before != self.board.with(place, |health| health.condition()) {
            // Workers and logs were told when the operator said so.
            self.lead_on(place, &|_, _| {});
        }
        probing
    }

    pub(super) fn interval_ms(&self, watch: Watch, chance: u64) -> u64 {
        let place = (watch.backend, watch.server);
        let interval_ms = self
            .board
            .with(place, |health| health.interval_ms(watch.which));
        let percent = self.plane.model.global.spread_checks_percent;
        jittered_ms(interval_ms.unwrap_or(REST_MS), percent, chance)
    }

    /// Makes one check.
    pub(super) async fn ask(&self, watch: Watch) -> Option<Finding> {
        let place = (watch.backend, watch.server);
        let begun = Instant::now();
        let told = self.agent_told(watch);
        let script = told.as_ref().or_else(|| self.script(watch))?;
        if let Some(program) = script.program() {
            let (told, patience) = self.told(place);
            return Some(Finding {
                verdict: external::judge(program, &told, patience).await,
                duration_ms: begun.elapsed().as_millis() as u64,
                line: None,
                ending: Ending::Close,
            });
        }
        let dialogue = script.begin(&self.standing(place, script));
        let (ending, (verdict, line)) = match self.manner(watch) {
            Ok(manner) => (manner.ending, conversation::hold(dialogue, &manner).await),
            Err(fault) => (Ending::Close, (dialogue.fault(&fault), None)),
        };
        Some(Finding {
            verdict,
            duration_ms: begun.elapsed().as_millis() as u64,
            line,
            ending,
        })
    }

    /// What a program that checks a server is told, and how long it may take.
    fn told(&self, place: Place) -> (Told, Duration) {
        let (backend, server) = (self.backend(place.0), self.server(place));
        let live = self.live(place);
        let moved_to = live.moved_to();
        let address = moved_to.as_ref().unwrap_or(&server.address);
        let model = &self.plane.model;
        let told = Told::new(model, backend, server, address, live.served());
        let interval_ms = server.check.rhythm.interval_ms;
        let patience_ms = match (backend.timeouts.check_ms, backend.timeouts.connect_ms) {
            (Some(_), Some(connect_ms)) => connect_ms.min(interval_ms),
            _ => interval_ms,
        };
        (told, Duration::from_millis(patience_ms))
    }

    /// What an agent is asked, where an operator has changed that.
    fn agent_told(&self, watch: Watch) -> Option<Script> {
        let place = (watch.backend, watch.server);
        let server = self.server(place);
        let agent = server.check.agent.as_ref();
        let agent = agent.filter(|_| watch.which == Which::Agent)?;
        let send = self.live(place).probing().agent_send?;
        let agent = AgentCheck {
            send,
            ..agent.clone()
        };
        Some(Script::new(agent_spec(&agent, &server.address)))
    }

    fn script(&self, watch: Watch) -> Option<&Script> {
        let place = (watch.backend, watch.server);
        match watch.which {
            Which::Agent => self.agents.get(&place),
            Which::Check => self
                .own_scripts
                .get(&place)
                .or_else(|| self.scripts.get(watch.backend.0 as usize)),
        }
    }

    fn standing(&self, place: Place, script: &Script) -> Standing {
        let health = self.board.health(place.0, place.1);
        let down = health
            .as_ref()
            .is_some_and(|health| health.condition() == Condition::Down);
        let tally = health
            .as_ref()
            .and_then(|health| health.tally(Which::Check));
        let report = match tally.filter(|_| script.wants_report()) {
            None => String::new(),
            Some(tally) => {
                let live = self.live(place);
                let lives = (0..self.backend(place.0).servers.len() as u32)
                    .map(|index| self.live((place.0, ServerId(index))));
                let usable = lives.clone().filter(|live| live.is_usable());
                let sessions = lives.map(|live| live.load()).sum();
                let node = self.plane.model.global.node.as_deref();
                report_header(
                    &self.naming(place),
                    tally,
                    live.state().contains(ServerState::STOPPING),
                    node.unwrap_or_default(),
                    (live.weight(), usable.map(|live| live.weight()).sum()),
                    (
                        live.served(),
                        sessions,
                        live.load() - live.served().min(live.load()),
                    ),
                )
            }
        };
        let around = script.looks_around().then(|| {
            let desk = Arc::clone(&self.desk);
            Arc::new(Around { desk, place }) as Arc<dyn Surroundings>
        });
        Standing {
            down,
            around,
            report,
            http2: self.server(place).check.http2,
        }
    }

    /// Where a server is asked; without an address and a port of its own a check goes where the traffic goes.
    fn target(
        &self,
        place: Place,
        address: Option<IpAddr>,
        port: Option<u16>,
    ) -> Result<Target, Fault> {
        let moved_to = self.live(place).moved_to();
        let own = &self.server(place).address;
        let home = moved_to.as_ref().unwrap_or(own);
        Ok(match (address, home) {
            (Some(ip), home) => Target::Inet {
                ip,
                port: port.or_else(|| fixed_port(home)),
            },
            (None, ServerAddress::Inet { ip, .. }) => Target::Inet {
                ip: *ip,
                port: port.or_else(|| fixed_port(home)),
            },
            (None, ServerAddress::Unix(path)) => Target::Unix(path.clone()),
            // The runtime takes a leading zero for the abstract name space.
            (None, ServerAddress::Abstract(name)) => Target::Unix(format!("\0{name}").into()),
            (None, ServerAddress::Unresolved { host, .. }) => {
                let words = format!("{host} has no address");
                return Err(Fault::Unable(words));
            }
        })
    }

    /// Where and how patiently a server is asked now.
    fn manner(&self, watch: Watch) -> Result<Manner, Fault> {
        let place = (watch.backend, watch.server);
        let (backend, server) = (self.backend(watch.backend), self.server(place));
        let check = &server.check;
        let agent = check.agent.as_ref().filter(|_| watch.which == Which::Agent);
        let probing = self.live(place).probing();
        let (address, port, interval_ms) = match agent {
            Some(agent) => (
                probing.agent_address.or(agent.address),
                probing.agent_port.or(Some(agent.port)),
                agent.interval_ms,
            ),
            None => (
                probing.check_address.or(check.address),
                probing.check_port.or(check.port),
                None,
            ),
        };
        let interval_ms = interval_ms.unwrap_or(check.rhythm.interval_ms);
        let target = self.target(place, address, port)?;
        let answer_ms = backend.timeouts.check_ms;
        let connect_ms = match (answer_ms, backend.timeouts.connect_ms) {
            (Some(_), Some(connect_ms)) => connect_ms.min(interval_ms),
            _ => interval_ms,
        };
        let header_version = server.send_proxy.unwrap_or(ProxyHeader::V1);
        // A check of the very place that traffic goes to speaks as traffic does, unless the server was added at run time.
        let own_place = address.is_none() && port.is_none() && !server.dynamic;
        let wanted = check.send_proxy || (own_place && server.send_proxy.is_some());
        let ending = match self.script(watch).map(Script::flavour) {
            None | Some(Flavour::Connect) => Ending::Reset,
            Some(Flavour::Http) => Ending::Drain,
            Some(
                Flavour::Script
                | Flavour::Protocol
                | Flavour::Agent
                | Flavour::External
                | Flavour::Grpc,
            ) => Ending::Close,
        };
        let tls = self.desk.tls().check(place.0, place.1).cloned();
        Ok(Manner {
            ending,
            tls_usual: check.tls_usual && agent.is_none(),
            sni_auto: check.sni_auto && agent.is_none(),
            tls: tls.filter(|_| agent.is_none_or(|agent| agent.tls)),
            target,
            socks: server.socks,
            socks_usual: check.via_socks && agent.is_none(),
            source: backend.source_of(server).cloned(),
            header: (wanted && agent.is_none()).then_some(header_version),
            header_version,
            connect: Duration::from_millis(connect_ms),
            answer: answer_ms.map(Duration::from_millis),
            whole: Duration::from_millis(interval_ms),
        })
    }

    /// Takes in a verdict: counts it, tells workers and logs.
    pub(super) fn heard(self: &Rc<Self>, watch: Watch, verdict: &Verdict, duration_ms: u64) {
        let place = (watch.backend, watch.server);
        // An operator may have taken the server while it was being asked.
        let state = self.live(place).state();
        if state.is_maintained() && watch.which == Which::Check {
            return;
        }
        let now_ms = self.now_ms();
        let reaction = self.board.with(place, |health| {
            health.hear(watch.which, verdict, Some(duration_ms), now_ms)
        });
        if let Some(reaction) = reaction {
            self.react(place, watch.which, &reaction);
        }
    }

    fn react(self: &Rc<Self>, place: Place, which: Which, reaction: &Reaction) {
        if let Some(orders) = &reaction.orders {
            self.obey_agent(place, orders);
        }
        let Some(health) = self.board.health(place.0, place.1) else {
            return;
        };
        if reaction.news
            && self.backend(place.0).check.log
            && let Some(tally) = health.tally(which)
        {
            let weight = self.live(place).weight();
            let line = check_line(&self.naming(place), which, tally, weight);
            self.desk.tell(place.0, &line);
        }
        if let Some(change) = reaction.change {
            let seen = health.tally(which).map(|tally| tally.last());
            self.change(place, change, seen);
        }
    }

    /// Lets workers, logs and followers know of a change.
    fn change(self: &Rc<Self>, place: Place, change: Change, seen: Option<&Seen>) {
        let was_usable = self.live(place).is_usable();
        let waiting = self.live(place).queued.load(Relaxed);
        if change == Change::Up {
            self.warm_up(place);
        }
        self.order(place, order_of(change));
        let cause = seen.map_or(Cause::Unsaid, Cause::Seen);
        let line = |naming: &Naming<'_>, census| vec![change_line(naming, change, cause, census)];
        self.desk.tell_change(place, was_usable, waiting, line);
        if matches!(change, Change::Suspended { .. } | Change::Resumed) {
            return;
        }
        self.lead(place, &|follower, change| {
            self.change(follower, change, None)
        });
    }

    /// Lets the share of a server that comes back rise (`slowstart`).
    fn warm_up(self: &Rc<Self>, place: Place) {
        let step = move |hall: &Self| {
            let now_ms = hall.now_ms();
            let (sixteenths, next_ms) = hall.board.with(place, |health| health.ramp(now_ms))?;
            hall.live(place).set_ramp_sixteenths(sixteenths);
            next_ms.map(|next_ms| Duration::from_millis(next_ms.saturating_sub(now_ms)))
        };
        let Some(mut rest) = step(self) else {
            return;
        };
        let hall = Rc::clone(self);
        tokio::task::spawn_local(async move {
            loop {
                sleep(rest).await;
                match step(&hall) {
                    Some(next) => rest = next,
                    None => return,
                }
            }
        });
    }

    fn obey_agent(&self, place: Place, orders: &Reply) {
        let live = self.live(place);
        if let Some(admin) = orders.admin {
            let order = match admin {
                AdminWord::Ready => ServerChange::Ready,
                AdminWord::Drain => ServerChange::Drain,
                AdminWord::Maintenance => ServerChange::Maintain,
            };
            self.order(place, order);
        }
        if let Some(share) = orders.weight {
            let weight = share.of(u32::from(self.server(place).weight));
            if weight != live.weight() {
                self.order(place, ServerChange::Weight(weight));
            }
        }
        if let Some(limit) = orders.maxconn
            && limit != live.maxconn()
        {
            self.order(place, ServerChange::Maxconn(limit));
        }
    }

    fn order(&self, (backend, server): Place, change: ServerChange) {
        self.desk.change_server(backend, server, &change);
    }

    fn naming(&self, place: Place) -> Naming<'_> {
        Naming::of(&self.plane.model, place.0, place.1)
    }
}

/// What workers are to take a change of health for.
fn order_of(change: Change) -> ServerChange {
    match change {
        Change::Suspended { .. } => ServerChange::Suspend,
        Change::Resumed => ServerChange::Resume,
        Change::Up => ServerChange::Up,
        Change::Down { .. } => ServerChange::Down,
        Change::Stopping => ServerChange::Stopping,
    }
}

/// Between two checks of a server that is not on the board any more.
const REST_MS: u64 = 1_000;

fn fixed_port(address: &ServerAddress) -> Option<u16> {
    match address {
        ServerAddress::Inet {
            port: ServerPort::Fixed(port),
            ..
        } => Some(*port),
        _ => None,
    }
}
