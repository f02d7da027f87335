//! One worker's view of a plane: the shared tables, and beside them what belongs to this worker alone.

use std::cell::{Ref, RefCell};
use std::sync::Arc;

use plimsoll_policy::balance::Pick;
use plimsoll_policy::counters::BackendCounter;
use plimsoll_policy::model::{
    Backend, BackendId, ErrorFile, Frontend, FrontendId, Server, ServerAddress, ServerId,
    ServerPort,
};
use plimsoll_policy::plane::{Arrangement, Plane};
use plimsoll_policy::rule::Rules;
use plimsoll_sys::ConnectOptions;
use plimsoll_wire::h1::Limits;

use crate::control::admin::desk::Desk;
use crate::control::log::{self, LogRoute, LogSink};
use crate::counters::{AllCounters, Counters};
use crate::pool::{IDLE_PER_SERVER_MAX, Pool};
use crate::queue::Queues;

/// What all workers of one plane share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) plane: Arc<Plane>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) counters: AllCounters,
    pub(crate) desk: Arc<Desk>,
    /// Where each frontend's lines go.
    routes: Arc<[LogRoute]>,
}

impl Shared {
    /// `program` is the name in log lines where no `log-tag` is set.
    pub(crate) fn new(plane: Plane, workers: usize, sink: &LogSink, program: &str) -> Self {
        let global = &plane.model.global;
        let route = |frontend: &Frontend| {
            let who = log::identity(global, &frontend.log, program);
            sink.route(&frontend.log, frontend.ignore_empty_connections, &who)
        };
        let routes = plane.model.frontends.iter().map(route).collect();
        let (counters, plane) = (AllCounters::new(&plane.model, workers), Arc::new(plane));
        Self {
            routes,
            queues: Arc::new(Queues::new(&plane)),
            desk: Arc::new(Desk::new(&plane, &counters, sink, workers)),
            counters,
            plane,
        }
    }
}

pub(crate) struct Tables {
    pub(crate) plane: Arc<Plane>,
    pub(crate) queues: Arc<Queues>,
    /// What this worker counts.
    pub(crate) counters: Arc<Counters>,
    pub(crate) desk: Arc<Desk>,
    all_counters: AllCounters,
    routes: Arc<[LogRoute]>,
    backends: Vec<BackendTable>,
    wants_local_address: bool,
}

/// What a worker keeps for one backend.
struct BackendTable {
    arrangement: RefCell<Arrangement>,
    pools: Vec<Pool>,
    /// The tag of the first server's pool; the others follow.
    first_tag: u32,
}

impl Tables {
    pub(crate) fn new(shared: Shared, worker: usize) -> Self {
        let Shared {
            plane,
            queues,
            counters: all_counters,
            desk,
            routes,
        } = shared;
        let counters = Arc::clone(all_counters.of_worker(worker));
        let mut next_tag = 0;
        let backends = plane
            .model
            .backends
            .iter()
            .enumerate()
            .map(|(index, backend)| {
                let first_tag = next_tag;
                next_tag += backend.servers.len() as u32;
                BackendTable {
                    arrangement: RefCell::new(
                        plane.backend(BackendId(index as u32)).arrangement(backend),
                    ),
                    pools: backend.servers.iter().map(|_| Pool::default()).collect(),
                    first_tag,
                }
            })
            .collect();
        let wants_local_address = plane
            .model
            .backends
            .iter()
            .flat_map(|backend| &backend.servers)
            .any(|server| {
                matches!(
                    server.address,
                    ServerAddress::Inet {
                        port: ServerPort::Offset(_),
                        ..
                    }
                )
            })
            || plane
                .model
                .frontends
                .iter()
                .any(|frontend| *frontend.rules != Rules::default())
            || plane
                .model
                .backends
                .iter()
                .any(|backend| *backend.rules != Rules::default());
        Self {
            plane,
            queues,
            counters,
            desk,
            all_counters,
            routes,
            backends,
            wants_local_address,
        }
    }

    pub(crate) fn frontend(&self, id: FrontendId) -> &Frontend {
        &self.plane.model.frontends[id.0 as usize]
    }

    pub(crate) fn backend(&self, id: BackendId) -> &Backend {
        &self.plane.model.backends[id.0 as usize]
    }

    pub(crate) fn server(&self, backend: BackendId, server: ServerId) -> &Server {
        &self.backend(backend).servers[server.0 as usize]
    }

    pub(crate) fn pool(&self, backend: BackendId, server: ServerId) -> &Pool {
        &self.backends[backend.0 as usize].pools[server.0 as usize]
    }

    /// The tag under which connections to this server are parked.
    pub(crate) fn pool_tag(&self, backend: BackendId, server: ServerId) -> u32 {
        self.backends[backend.0 as usize].first_tag + server.0
    }

    /// The pool of a tag, if the tag is of this plane.
    pub(crate) fn pool_of_tag(&self, tag: u32) -> Option<&Pool> {
        let index = self
            .backends
            .partition_point(|backend| backend.first_tag <= tag)
            .checked_sub(1)?;
        let backend = &self.backends[index];
        backend.pools.get((tag - backend.first_tag) as usize)
    }

    pub(crate) fn pools(&self) -> impl Iterator<Item = (&Server, &Pool)> {
        let servers = self
            .plane
            .model
            .backends
            .iter()
            .map(|backend| &backend.servers);
        servers
            .zip(&self.backends)
            .flat_map(|(servers, table)| servers.iter().zip(&table.pools))
    }

    /// Where a frontend's log lines go.
    pub(crate) fn log_route(&self, frontend: FrontendId) -> &LogRoute {
        &self.routes[frontend.0 as usize]
    }

    /// Exchanges and tunnels now in a backend, over all workers.
    pub(crate) fn backend_sessions(&self, backend: BackendId) -> u32 {
        self.all_counters
            .backend(backend, BackendCounter::SessionsNow) as u32
    }

    /// Most idle connections this worker keeps to a server.
    pub(crate) fn pool_max(&self, backend: BackendId, server: ServerId) -> usize {
        self.server(backend, server)
            .pool_max
            .map_or(IDLE_PER_SERVER_MAX, |max| max as usize)
    }

    /// The arrangement for the present weights and states.
    pub(crate) fn arrangement(&self, backend: BackendId) -> Ref<'_, Arrangement> {
        let (plane, table) = (
            self.plane.backend(backend),
            &self.backends[backend.0 as usize],
        );
        if table.arrangement.borrow().generation != plane.live.generation() {
            *table.arrangement.borrow_mut() = plane.arrangement(self.backend(backend));
        }
        table.arrangement.borrow()
    }

    /// The server that the backend's algorithm chooses; `None` when none may be chosen.
    pub(crate) fn pick(&self, backend: BackendId, pick: &Pick<'_>) -> Option<ServerId> {
        self.arrangement(backend).picker.pick(pick)
    }

    /// Whether balancing may send a server requests now: it is usable, and as a backup its turn has come.
    pub(crate) fn takes_part(&self, backend: BackendId, server: ServerId) -> bool {
        let (model, plane) = (self.backend(backend), self.plane.backend(backend));
        let active = |(index, server): (usize, &Server)| {
            !server.backup && plane.server(ServerId(index as u32)).is_usable()
        };
        plane.server(server).is_usable()
            && (!self.server(backend, server).backup
                || !model.servers.iter().enumerate().any(active))
    }

    /// Whether any server's port depends on the port the client connected to.
    pub(crate) fn wants_local_address(&self) -> bool {
        self.wants_local_address
    }

    /// Whether a connection that has begun `uses` exchanges may be kept for another (`max-reuse`).
    pub(crate) fn may_reuse(&self, backend: BackendId, server: ServerId, uses: u32) -> bool {
        self.server(backend, server)
            .max_reuse
            .is_none_or(|max| uses <= max)
    }

    /// Bytes that `option http-buffer-request` waits for at most.
    pub(crate) fn buffer_bytes(&self) -> usize {
        let tune = &self.plane.model.global.tune;
        tune.buffer_bytes.saturating_sub(tune.rewrite_bytes).max(1) as usize
    }

    /// The configured error responses that apply: the backend's, or the frontend's before there is a backend.
    pub(crate) fn error_files(
        &self,
        frontend: FrontendId,
        backend: Option<BackendId>,
    ) -> &[ErrorFile] {
        let backend = backend.map(|id| self.backend(id).error_files.as_slice());
        backend
            .filter(|files| !files.is_empty())
            .unwrap_or(&self.frontend(frontend).error_files)
    }

    /// What all server connections have in common.
    pub(crate) fn connect_options(&self) -> ConnectOptions {
        let tune = &self.plane.model.global.tune;
        ConnectOptions {
            receive_buffer_bytes: tune.receive_buffer_server_bytes,
            send_buffer_bytes: tune.send_buffer_server_bytes,
            ..ConnectOptions::default()
        }
    }

    pub(crate) fn request_limits(&self, frontend: FrontendId) -> Limits {
        let tune = &self.plane.model.global.tune;
        Limits {
            bytes_max: tune.buffer_bytes as usize,
            fields_max: tune.max_fields as usize,
            lenient: self.frontend(frontend).lenient_request,
        }
    }

    pub(crate) fn response_limits(&self, backend: BackendId) -> Limits {
        let tune = &self.plane.model.global.tune;
        Limits {
            bytes_max: tune.buffer_bytes as usize,
            fields_max: tune.max_fields as usize,
            lenient: self.backend(backend).lenient_response,
        }
    }
}
