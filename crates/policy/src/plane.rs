//! The immutable run-time tables built from one model, shared by all workers.
//!
//! A plane never changes; what changes ([`crate::live`]) hangs off it and is carried over to the next plane by name,
//! so that a reload loses neither counts nor states.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use crate::balance::{self, Arranged, Balance};
use crate::live::{BackendLive, ServerLive};
use crate::model::{Backend, BackendId, FrontendId, Model, ServerId};
use crate::stick_table::Tables;
use crate::variable::Shared;

/// Shared state of one frontend.
#[derive(Debug, Default)]
pub struct FrontendLive {
    /// Client connections now open.
    pub current: AtomicU32,
    /// `maxconn` as an operator set it, plus one; 0: the configuration's holds.
    maxconn: AtomicU32,
    state: AtomicU32,
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
    backends: Vec<BackendPlane>,
    /// The process's `maxconn` as an operator set it, plus one; 0: that of the start holds.
    backend_names: HashMap<String, BackendId>,
    /// Variables of the process (`proc.…`).
    pub variables: Arc<Shared>,
    process_maxconn: Arc<AtomicU32>,
}

impl Plane {
    /// Builds the tables of `model`; what `previous` knows of frontends, backends and servers of the same names
    /// goes on.
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
        let known: HashMap<&str, BackendId> = previous
            .iter()
            .flat_map(|plane| plane.model.backends.iter().enumerate())
            .map(|(index, backend)| (backend.name.as_str(), BackendId(index as u32)))
            .collect();
        let backends = model
            .backends
            .iter()
            .map(|backend| {
                let before = previous.zip(known.get(backend.name.as_str()));
                BackendPlane::build(
                    backend,
                    before.map(|(plane, &id)| (plane.backend_model(id), plane.backend(id))),
                )
            })
            .collect();
        let backend_names = model.backends.iter().enumerate();
        let backend_names = backend_names
            .map(|(index, backend)| (backend.name.clone(), BackendId(index as u32)))
            .collect();
        Self {
            tables: Tables::build(&model.tables, previous.map(|plane| &plane.tables)),
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
        }
    }

    /// The process's `maxconn` as an operator set it; `None`: that of the start holds.
    pub fn process_maxconn(&self) -> Option<u32> {
        self.process_maxconn.load(Relaxed).checked_sub(1)
    }

    pub fn set_process_maxconn(&self, maxconn: u32) {
        self.process_maxconn
            .store(maxconn.saturating_add(1), Relaxed);
    }

    pub fn frontend(&self, id: FrontendId) -> &Arc<FrontendLive> {
        &self.frontends[id.0 as usize]
    }

    pub fn backend(&self, id: BackendId) -> &BackendPlane {
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
        let known = |server: &crate::model::Server| server.name.as_bytes() == name;
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
    fn build(backend: &Backend, previous: Option<(&Backend, &Self)>) -> Self {
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
            .map(|server| match known.get(server.name.as_str()) {
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
        Self {
            live,
            servers,
            balance,
            arranged,
        }
    }

    pub fn server(&self, id: ServerId) -> &Arc<ServerLive> {
        &self.servers[id.0 as usize]
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
