//! The immutable run-time tables built from one model, shared by all workers.
//!
//! A plane never changes; what changes ([`crate::live`]) hangs off it and is carried over to the next plane by name,
//! so that a reload loses neither counts nor states.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use crate::acme::Running;
use crate::balance::{self, Arranged, Balance};
use crate::context::{Context, ExchangeFacts, Now, Phase, SessionFacts, World};
use crate::ledger::Ledger;
use crate::live::{BackendLive, ServerLive};
use crate::model::{Backend, BackendId, Frontend, FrontendId, Initial, Model, Server, ServerId};
use crate::pace::Pace;
use crate::stapling::Inquiries;
use crate::stick_table::Tables;
use crate::tls::store::Transactions;
use crate::value::Value;
use crate::variable::{Name, Shared};

/// Shared state of one frontend.
#[derive(Debug, Default)]
pub struct FrontendLive {
    /// Client connections now open.
    pub current: AtomicU32,
    /// `maxconn` as an operator set it, plus one; 0: the configuration's holds.
    maxconn: AtomicU32,
    state: AtomicU32,
    /// How fast clients come to it.
    pub pace: Pace,
}

/// Whether a frontend accepts connections, as far as operators decide it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FrontendState {
    #[default]
    Open,
    /// Accepts nothing until it is enabled again.
    Paused,
    /// Has given up its addresses for good.
    Stopped,
}

impl FrontendLive {
    /// The limit an operator set; `None`: the configuration's holds.
    pub fn maxconn(&self) -> Option<u32> {
        self.maxconn.load(Relaxed).checked_sub(1)
    }

    pub fn set_maxconn(&self, maxconn: u32) {
        self.maxconn.store(maxconn.saturating_add(1), Relaxed);
    }

    pub fn state(&self) -> FrontendState {
        match self.state.load(Relaxed) {
            0 => FrontendState::Open,
            1 => FrontendState::Paused,
            _ => FrontendState::Stopped,
        }
    }

    pub fn set_state(&self, state: FrontendState) {
        self.state.store(state as u32, Relaxed);
    }

    /// Adopts what an edit of the configuration changed.
    fn reconfigure(&self, before: &Frontend, after: &Frontend) {
        if before.maxconn != after.maxconn {
            self.maxconn.store(0, Relaxed);
        }
        // An operator gave its addresses up for good; these are others.
        if self.state() == FrontendState::Stopped && before.binds != after.binds {
            self.set_state(FrontendState::Open);
        }
    }

    /// Whether it still holds its addresses.
    pub fn is_listening(&self) -> bool {
        self.state() != FrontendState::Stopped
    }
}

/// Everything that workers look up while they serve.
#[derive(Debug)]
pub struct Plane {
    pub model: Model,
    pub tables: Tables,
    frontends: Vec<Arc<FrontendLive>>,
    frontend_ids: HashMap<String, FrontendId>,
    backends: Vec<Arc<BackendPlane>>,
    backend_names: HashMap<String, BackendId>,
    /// Variables of the process (`proc.…`).
    pub variables: Arc<Shared>,
    /// The process's `maxconn` as an operator set it, plus one; 0: that of the start holds.
    process_maxconn: Arc<AtomicU32>,
    /// How fast clients come to the process.
    pub pace: Arc<Pace>,
    /// What commands have sent of certificates and not committed yet.
    transactions: Arc<Mutex<Arc<Transactions>>>,
    /// Certificates that authorities are being asked for.
    pub acme: Arc<Running>,
    /// What authorities have said of certificates.
    pub inquiries: Arc<Inquiries>,
    /// What name servers have said.
    pub ledger: Arc<Ledger>,
}

impl Plane {
    /// Builds the tables of `model`; what `previous` knows of frontends, backends and servers of the same names
    /// goes on.
    ///
    /// Nothing that `previous` uses is changed by it, so that a plane may be thrown away again: whoever puts it to use
    /// calls [`Self::settle`]. Other state with a name (stick tables) is handed on here too.
    pub fn build(model: Model, previous: Option<&Self>) -> Self {
        let known: HashMap<&str, usize> = previous
            .iter()
            .flat_map(|plane| plane.model.frontends.iter().enumerate())
            .map(|(index, frontend)| (frontend.name.as_str(), index))
            .collect();
        let frontends = model
            .frontends
            .iter()
            .map(
                |frontend| match (previous, known.get(frontend.name.as_str())) {
                    (Some(plane), Some(&index)) => Arc::clone(&plane.frontends[index]),
                    _ => Arc::default(),
                },
            )
            .collect();
        let known = previous.map(Self::backend_ids).unwrap_or_default();
        let backends = model
            .backends
            .iter()
            .map(|backend| {
                let before = previous.zip(known.get(backend.name.as_str()));
                let before =
                    before.map(|(plane, &id)| (plane.backend_model(id), plane.backend(id)));
                match before {
                    // Cursors and arrangements of what has not changed go on too.
                    Some((model, plane)) if model == backend => Arc::clone(plane),
                    before => Arc::new(BackendPlane::build(backend, before)),
                }
            })
            .collect();
        let backend_names = model.backends.iter().enumerate();
        let backend_names = backend_names
            .map(|(index, backend)| (backend.name.clone(), BackendId(index as u32)))
            .collect();
        let names = model.frontends.iter().map(|frontend| frontend.name.clone());
        Self {
            tables: Tables::build(&model.tables, previous.map(|plane| &plane.tables)),
            frontend_ids: names.zip((0..).map(FrontendId)).collect(),
            model,
            backend_names,
            frontends,
            backends,
            variables: previous
                .map(|plane| Arc::clone(&plane.variables))
                .unwrap_or_default(),
            process_maxconn: previous
                .map(|plane| Arc::clone(&plane.process_maxconn))
                .unwrap_or_default(),
            pace: previous
                .map(|plane| Arc::clone(&plane.pace))
                .unwrap_or_default(),
            transactions: previous
                .map(|plane| Arc::clone(&plane.transactions))
                .unwrap_or_default(),
            acme: previous
                .map(|plane| Arc::clone(&plane.acme))
                .unwrap_or_default(),
            inquiries: previous
                .map(|plane| Arc::clone(&plane.inquiries))
                .unwrap_or_default(),
            ledger: previous
                .map(|plane| Arc::clone(&plane.ledger))
                .unwrap_or_default(),
        }
    }

    /// Gives the variables of the process what the configuration says, in order: at the start, and where it says
    /// something else than `previous`.
    pub fn begin_variables(&self, previous: Option<&Self>, world: &dyn World, now: Now) {
        let variables = &self.model.global.variables;
        if previous.is_none_or(|previous| *variables != previous.model.global.variables) {
            for (name, value) in variables {
                self.set_variable(name, value, world, now);
            }
        }
    }

    /// Gives a variable of the process a value, if there is one.
    pub fn set_variable(&self, name: &Name, value: &Initial, world: &dyn World, now: Now) {
        let (mut session, mut exchange) = (SessionFacts::default(), ExchangeFacts::default());
        let mut context = Context::new(
            self,
            world,
            Phase::Command,
            FrontendId(0),
            &mut session,
            &mut exchange,
        );
        context.now = now;
        let value = match value {
            Initial::Expression(expression) => expression.evaluate(&context).map(Value::into_owned),
            Initial::Format(format) => {
                let mut text = Vec::new();
                format.write(&context, &mut text);
                Some(Value::owned(text))
            }
        };
        if let Some(value) = value {
            context.set_variable(name, value);
        }
    }

    /// Puts into effect what the configuration has changed since `previous`. What operators and checks have changed
    /// stays, unless it is this very value that was edited.
    pub fn settle(&self, previous: &Self) {
        self.tables.settle(&self.model.tables);
        self.ledger.keep(&self.model.resolvers);
        self.model.lists.settle(&previous.model.lists);
        if self.model.global.maxconn != previous.model.global.maxconn {
            self.process_maxconn.store(0, Relaxed);
        }
        let known: HashMap<&str, &Frontend> = previous
            .model
            .frontends
            .iter()
            .map(|frontend| (frontend.name.as_str(), frontend))
            .collect();
        for (frontend, live) in self.model.frontends.iter().zip(&self.frontends) {
            if let Some(before) = known.get(frontend.name.as_str()) {
                live.reconfigure(before, frontend);
            }
        }
        let known = previous.backend_ids();
        for (backend, plane) in self.model.backends.iter().zip(&self.backends) {
            if let Some(&id) = known.get(backend.name.as_str())
                && !Arc::ptr_eq(plane, previous.backend(id))
            {
                plane.settle(backend, previous.backend_model(id));
            }
        }
    }

    fn backend_ids(&self) -> HashMap<&str, BackendId> {
        (0..)
            .map(BackendId)
            .zip(&self.model.backends)
            .map(|(id, backend)| (backend.name.as_str(), id))
            .collect()
    }

    /// The process's `maxconn` as an operator set it; `None`: that of the start holds.
    pub fn process_maxconn(&self) -> Option<u32> {
        self.process_maxconn.load(Relaxed).checked_sub(1)
    }

    pub fn set_process_maxconn(&self, maxconn: u32) {
        self.process_maxconn
            .store(maxconn.saturating_add(1), Relaxed);
    }

    /// What commands have sent of certificates and not committed yet. Workers never ask.
    pub fn transactions(&self) -> Arc<Transactions> {
        let open = self.transactions.lock();
        Arc::clone(&open.unwrap_or_else(PoisonError::into_inner))
    }

    pub fn set_transactions(&self, transactions: Transactions) {
        let open = self.transactions.lock();
        *open.unwrap_or_else(PoisonError::into_inner) = Arc::new(transactions);
    }

    pub fn frontend(&self, id: FrontendId) -> &Arc<FrontendLive> {
        &self.frontends[id.0 as usize]
    }

    /// Whether requests may be led to a backend: the configuration has not disabled it, and it is published.
    pub fn is_eligible(&self, id: BackendId) -> bool {
        !self.backend_model(id).disabled && self.backend(id).live.is_published()
    }

    pub fn frontend_named(&self, name: &str) -> Option<FrontendId> {
        self.frontend_ids.get(name).copied()
    }

    /// Whose state `live` is; `None`: no server's of this plane.
    pub fn server_of(&self, live: &Arc<ServerLive>) -> Option<(BackendId, ServerId)> {
        let mut backends = (0..).map(BackendId).zip(&self.backends);
        let (id, backend) = backends.find(|(_, plane)| Arc::ptr_eq(&plane.live, live.backend()))?;
        Some((id, backend.server_of(live)?))
    }

    pub fn backend(&self, id: BackendId) -> &Arc<BackendPlane> {
        &self.backends[id.0 as usize]
    }

    /// The backend of this name.
    pub fn find_backend(&self, name: &[u8]) -> Option<BackendId> {
        let name = std::str::from_utf8(name).ok()?;
        self.backend_names.get(name).copied()
    }

    /// The server of this name. Searched one by one: names that only run time tells are rare.
    pub fn find_server(&self, backend: BackendId, name: &[u8]) -> Option<ServerId> {
        let servers = &self.backend_model(backend).servers;
        let known = |server: &Server| server.name.as_bytes() == name;
        servers
            .iter()
            .position(known)
            .map(|index| ServerId(index as u32))
    }

    fn backend_model(&self, id: BackendId) -> &Backend {
        &self.model.backends[id.0 as usize]
    }
}

/// One backend at run time.
pub struct BackendPlane {
    pub live: Arc<BackendLive>,
    servers: Vec<Arc<ServerLive>>,
    balance: Box<dyn Balance>,
    /// The newest arrangement, with the generation of the live state it was made from.
    arranged: Mutex<Arrangement>,
}

/// An arrangement and the generation of the live state it reflects.
#[derive(Clone, Debug)]
pub struct Arrangement {
    pub generation: u64,
    /// Servers that may be chosen; 0 when nobody may.
    pub usable: usize,
    pub picker: Arc<dyn Arranged>,
}

impl BackendPlane {
    fn build(backend: &Backend, previous: Option<(&Backend, &Arc<Self>)>) -> Self {
        let live = match previous {
            Some((_, before)) => Arc::clone(&before.live),
            None => Arc::new(BackendLive::new(backend)),
        };
        let known: HashMap<&str, &Arc<ServerLive>> = previous
            .iter()
            .flat_map(|(model, before)| model.servers.iter().zip(&before.servers))
            .map(|(server, live)| (server.name.as_str(), live))
            .collect();
        let servers: Vec<_> = backend
            .servers
            .iter()
            .map(|server| match server.find_in(&known) {
                Some(&before) => Arc::clone(before),
                None => Arc::new(ServerLive::new(server, Arc::clone(&live))),
            })
            .collect();
        let balance = balance::build(
            &backend.balance,
            backend.hash,
            backend.hash_balance_factor,
            backend.hash_preserve_affinity,
        );
        let arranged = Mutex::new(arrange(backend, &servers, &*balance, live.generation()));
        if previous.is_none() {
            live.availability.begin(is_usable(&servers));
        }
        Self {
            live,
            servers,
            balance,
            arranged,
        }
    }

    /// See [`Plane::settle`].
    fn settle(&self, after: &Backend, before: &Backend) {
        self.live.reconfigure(before, after);
        let known: HashMap<&str, &Server> = before
            .servers
            .iter()
            .map(|server| (server.name.as_str(), server))
            .collect();
        for (server, live) in after.servers.iter().zip(&self.servers) {
            if let Some(before) = server.find_in(&known) {
                live.reconfigure(before, server);
            }
        }
    }

    /// Whose state `live` is; `None`: no server's of this backend.
    pub fn server_of(&self, live: &Arc<ServerLive>) -> Option<ServerId> {
        let position = self
            .servers
            .iter()
            .position(|known| Arc::ptr_eq(known, live));
        position.map(|index| ServerId(index as u32))
    }

    pub fn server(&self, id: ServerId) -> &Arc<ServerLive> {
        &self.servers[id.0 as usize]
    }

    /// Notes that a server's state or weight may have changed; both moments are in seconds since 1970.
    pub fn note_change(&self, now_s: u64, started_s: u64) {
        let usable = is_usable(&self.servers);
        self.live.availability.note(usable, now_s, started_s);
    }

    /// The arrangement for the present weights and states. Takes a lock: workers keep what they got until
    /// [`BackendLive::generation`] moves on.
    pub fn arrangement(&self, backend: &Backend) -> Arrangement {
        let generation = self.live.generation();
        let mut arranged = self.arranged.lock().unwrap_or_else(PoisonError::into_inner);
        if arranged.generation != generation {
            *arranged = arrange(backend, &self.servers, &*self.balance, generation);
        }
        arranged.clone()
    }
}

/// Whether any of them may be chosen.
fn is_usable(servers: &[Arc<ServerLive>]) -> bool {
    servers.iter().any(|server| server.is_usable())
}

fn arrange(
    backend: &Backend,
    servers: &[Arc<ServerLive>],
    balance: &dyn Balance,
    generation: u64,
) -> Arrangement {
    let usable = balance::usable(backend.servers.iter().zip(servers), backend.all_backups);
    Arrangement {
        generation,
        usable: usable.len(),
        picker: Arc::from(balance.arrange(&usable)),
    }
}

impl fmt::Debug for BackendPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendPlane")
            .field("live", &self.live)
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::ServerState;
    use crate::model::ServerAddress;

    fn server(name: &str) -> Server {
        Server::new(name, ServerAddress::Abstract(name.to_owned()))
    }

    fn model(servers: &[&str]) -> Model {
        Model {
            frontends: vec![Frontend {
                name: "front".to_owned(),
                ..Frontend::default()
            }],
            backends: vec![Backend {
                name: "back".to_owned(),
                servers: servers.iter().map(|name| server(name)).collect(),
                ..Backend::default()
            }],
            ..Model::default()
        }
    }

    const BACK: BackendId = BackendId(0);

    fn next(plane: &Plane, model: Model) -> Plane {
        let next = Plane::build(model, Some(plane));
        next.settle(plane);
        next
    }

    #[test]
    fn what_operators_changed_is_found_again_by_name() {
        let plane = Plane::build(model(&["a", "b"]), None);
        plane.backend(BACK).server(ServerId(1)).set_weight(7);
        plane
            .backend(BACK)
            .server(ServerId(1))
            .mark(ServerState::DRAIN);
        plane.frontend(FrontendId(0)).set_maxconn(5);
        let next = next(&plane, model(&["b", "c"]));
        let live = next.backend(BACK).server(ServerId(0));
        assert_eq!((live.weight(), live.state()), (7, ServerState::DRAIN));
        assert_eq!(next.backend(BACK).server(ServerId(1)).weight(), 1);
        assert_eq!(next.frontend(FrontendId(0)).maxconn(), Some(5));
    }

    #[test]
    fn an_edit_of_the_very_value_wins() {
        let plane = Plane::build(model(&["a", "b"]), None);
        for id in [ServerId(0), ServerId(1)] {
            let live = plane.backend(BACK).server(id);
            live.set_weight(7);
            live.set_maxconn(9);
            live.move_to(ServerAddress::Abstract("elsewhere".to_owned()));
        }
        plane.frontend(FrontendId(0)).set_maxconn(5);
        plane.set_process_maxconn(6);
        let mut edited = model(&["a", "b"]);
        edited.global.maxconn = Some(70);
        edited.frontends[0].maxconn = Some(80);
        let a = &mut edited.backends[0].servers[0];
        (a.weight, a.disabled) = (3, true);
        a.address = ServerAddress::Abstract("new".to_owned());
        let next = next(&plane, edited);
        let [a, b] = [0, 1].map(|id| next.backend(BACK).server(ServerId(id)));
        assert_eq!((a.weight(), a.maxconn(), a.moved_to()), (3, 9, None));
        assert_eq!(a.state(), ServerState::MAINTENANCE);
        assert_eq!((b.weight(), b.maxconn()), (7, 9));
        assert!(b.moved_to().is_some());
        assert_eq!(next.frontend(FrontendId(0)).maxconn(), None);
        assert_eq!(next.process_maxconn(), None);
    }

    #[test]
    fn a_plane_that_is_thrown_away_leaves_no_trace() {
        let plane = Plane::build(model(&["a"]), None);
        let generation = plane.backend(BACK).live.generation();
        let mut edited = model(&["a"]);
        edited.backends[0].servers[0].weight = 9;
        drop(Plane::build(edited, Some(&plane)));
        let live = plane.backend(BACK).server(ServerId(0));
        assert_eq!(live.weight(), 1);
        assert_eq!(plane.backend(BACK).live.generation(), generation);
    }

    #[test]
    fn a_backend_without_changes_is_the_same_one() {
        let plane = Plane::build(model(&["a"]), None);
        let same = next(&plane, model(&["a"]));
        assert!(Arc::ptr_eq(plane.backend(BACK), same.backend(BACK)));
        let other = next(&plane, model(&["a", "b"]));
        assert!(!Arc::ptr_eq(plane.backend(BACK), other.backend(BACK)));
        let live = plane.backend(BACK).server(ServerId(0));
        assert_eq!(other.backend(BACK).server_of(live), Some(ServerId(0)));
        let added = other.backend(BACK).server(ServerId(1));
        assert_eq!(plane.backend(BACK).server_of(added), None);
    }

    #[test]
    fn checks_that_are_gone_keep_nobody_down() {
        let mut checked = model(&["a"]);
        checked.backends[0].servers[0].check.enabled = true;
        let plane = Plane::build(checked, None);
        let live = Arc::clone(plane.backend(BACK).server(ServerId(0)));
        live.mark(ServerState::DOWN);
        live.set_ramp_sixteenths(3);
        next(&plane, model(&["a"]));
        assert_eq!(live.state(), ServerState::UP);
        assert_eq!(live.ramp_sixteenths(), crate::live::RAMP_FULL);
    }
}
