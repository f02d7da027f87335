//! One worker's view of a plane: the shared tables, and beside them what belongs to this worker alone.

use std::cell::{Ref, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_policy::balance::Pick;
use plimsoll_policy::counters::BackendCounter;
use plimsoll_policy::expression::Expression;
use plimsoll_policy::kin::Kin;
use plimsoll_policy::model::source::Source;
use plimsoll_policy::model::tls::ServerName;
use plimsoll_policy::model::{
    Backend, BackendId, ErrorFile, Frontend, FrontendId, LogFormat, LogSettings, Model, Server,
    ServerId,
};
use plimsoll_policy::plane::{Arrangement, Plane};
use plimsoll_policy::rule::Rules;
use plimsoll_sys::ConnectOptions;
use plimsoll_wire::h1::Limits;

use crate::control::admin::desk::{Desk, Gates};
use crate::control::log::{self, LogRoute, LogSink};
use crate::counters::{AllCounters, Counters};
use crate::pool::{IDLE_PER_SERVER_MAX, Pool};
use crate::queue::Queues;
use crate::tls::Tls;

/// What all workers of one plane share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) plane: Arc<Plane>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) counters: AllCounters,
    pub(crate) desk: Arc<Desk>,
    pub(crate) tls: Arc<Tls>,
    /// Where each frontend's lines go.
    routes: Arc<[LogRoute]>,
}

impl Shared {
    /// `program` is the name in log lines where no `log-tag` is set.
    pub(crate) fn new(
        plane: Plane,
        tls: Tls,
        workers: usize,
        sink: &LogSink,
        program: &str,
    ) -> Self {
        let counters = AllCounters::new(&plane.model, workers);
        let gates = Gates::new(&plane.model);
        let (plane, tls) = (Arc::new(plane), Arc::new(tls));
        Self {
            routes: routes(&plane, sink, program),
            queues: Arc::new(Queues::new(&plane, None)),
            desk: Arc::new(Desk::new(
                &plane,
                &counters,
                (sink, program),
                workers,
                gates,
                &tls,
            )),
            tls,
            counters,
            plane,
        }
    }

    /// What a plane that follows shares: whatever has the same name in both goes on.
    pub(crate) fn next(
        &self,
        plane: Plane,
        tls: Tls,
        gates: Gates,
        sink: &LogSink,
        program: &str,
    ) -> Self {
        let kin = Kin::new(&self.plane.model, &plane.model);
        let counters = self.counters.next(&plane.model, &kin);
        let (plane, tls) = (Arc::new(plane), Arc::new(tls));
        let queues = Queues::new(&plane, Some((&self.queues, &kin)));
        Self {
            routes: routes(&plane, sink, program),
            queues: Arc::new(queues),
            desk: Arc::new(
                self.desk
                    .next(&plane, &counters, (sink, program), &kin, gates, &tls),
            ),
            tls,
            counters,
            plane,
        }
    }
}

/// Where each frontend's lines go.
fn routes(plane: &Plane, sink: &LogSink, program: &str) -> Arc<[LogRoute]> {
    let global = &plane.model.global;
    let route = |frontend: &Frontend| {
        let who = log::identity(global, &frontend.log, program);
        sink.route(&frontend.log, frontend.ignore_empty_connections, &who)
    };
    plane.model.frontends.iter().map(route).collect()
}

pub(crate) struct Tables {
    pub(crate) plane: Arc<Plane>,
    pub(crate) queues: Arc<Queues>,
    /// What this worker counts.
    pub(crate) counters: Arc<Counters>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) tls: Arc<Tls>,
    all_counters: AllCounters,
    routes: Arc<[LogRoute]>,
    backends: Vec<BackendTable>,
    tags: Tags,
    wants_local_address: bool,
}

/// Whether anything looks at the address that clients came to: it takes a system call for each connection.
fn wants_local_address(model: &Model) -> bool {
    let server = |server: &Server| server.send_proxy.is_some() || server.address.follows_client();
    let logged = |log: &LogSettings| {
        let shows = matches!(log.format, LogFormat::Custom(_) | LogFormat::Connect);
        let profiled = log.targets.iter().any(|target| target.profile.is_some());
        let others = log.structured.is_some() || log.error_format.is_some() || profiled;
        !log.targets.is_empty() && (shows || others)
    };
    let frontend = |frontend: &Frontend| {
        *frontend.rules != Rules::default()
            || frontend.original_to.is_some()
            || logged(&frontend.log)
    };
    let backend = |backend: &Backend| {
        *backend.rules != Rules::default()
            || backend.original_to.is_some()
            || backend.servers.iter().any(server)
    };
    model.frontends.iter().any(frontend) || model.backends.iter().any(backend)
}

/// What a worker keeps for one backend.
struct BackendTable {
    arrangement: RefCell<Arrangement>,
    pools: Vec<Rc<Pool>>,
}

/// The pools of a worker by their tags, which no other pool of this worker ever had.
#[derive(Default)]
struct Tags {
    pools: HashMap<u32, Rc<Pool>>,
    next: u32,
}

impl Tags {
    fn add(&mut self, pool: Option<Rc<Pool>>) -> Rc<Pool> {
        let pool = pool.unwrap_or_else(|| {
            let tag = self.next;
            // After four thousand million servers some stale connection might be looked for in vain.
            self.next = self.next.wrapping_add(1);
            Rc::new(Pool::new(tag))
        });
        self.pools.insert(pool.tag, Rc::clone(&pool));
        pool
    }
}

impl Tables {
    /// The tables of worker number `worker`; what it has open to servers that are the same in `before` goes on.
    pub(crate) fn new(shared: Shared, worker: usize, before: Option<&Self>) -> Self {
        let Shared {
            plane,
            queues,
            counters: all_counters,
            desk,
            tls,
            routes,
        } = shared;
        let counters = Arc::clone(all_counters.of_worker(worker));
        let mut tags = Tags {
            next: before.map_or(0, |before| before.tags.next),
            ..Tags::default()
        };
        let kin = before.map(|before| Kin::new(&before.plane.model, &plane.model));
        let backends = (0..).map(BackendId).zip(&plane.model.backends);
        let backends = backends
            .map(|(id, backend)| BackendTable {
                arrangement: RefCell::new(plane.backend(id).arrangement(backend)),
                pools: (0..backend.servers.len() as u32)
                    .map(ServerId)
                    .map(|server| {
                        let known = before
                            .zip(kin.as_ref())
                            .and_then(|(before, kin)| before.heirloom(&plane, kin, (id, server)));
                        tags.add(known)
                    })
                    .collect(),
            })
            .collect();
        let wants_local_address = wants_local_address(&plane.model);
        Self {
            plane,
            queues,
            counters,
            desk,
            tls,
            all_counters,
            routes,
            backends,
            tags,
            wants_local_address,
        }
    }

    /// The pool of a server of a plane that follows, if connections to it are as good there as here.
    fn heirloom(
        &self,
        next: &Plane,
        kin: &Kin,
        (backend, server): (BackendId, ServerId),
    ) -> Option<Rc<Pool>> {
        let (old_backend, old_server) = kin.server(backend, server)?;
        let (before, after) = (
            self.backend(old_backend),
            &next.model.backends[backend.0 as usize],
        );
        let tune = |plane: &Plane| {
            let tune = &plane.model.global.tune;
            (tune.buffer_bytes, tune.max_fields)
        };
        let same = before.source == after.source
            && before.lenient_response == after.lenient_response
            && before.mode == after.mode
            && tune(&self.plane) == tune(next)
            && self
                .server(old_backend, old_server)
                .connects_as(&after.servers[server.0 as usize]);
        same.then(|| Rc::clone(&self.backends[old_backend.0 as usize].pools[old_server.0 as usize]))
    }

    /// Closes the pools that `next` has not taken over.
    pub(crate) fn close_others(&self, next: &Self) {
        for (tag, pool) in &self.tags.pools {
            if !next.tags.pools.contains_key(tag) {
                pool.close();
            }
        }
    }

    /// A server of older tables, as it is called here; `None` when it is gone, or connections to it are not what they
    /// were.
    pub(crate) fn heir_of(
        &self,
        before: &Self,
        (backend, server): (BackendId, ServerId),
    ) -> Option<(BackendId, ServerId)> {
        let live = before.plane.backend(backend).server(server);
        let (id, heir) = self.plane.server_of(live)?;
        let same = Rc::ptr_eq(
            &before.backends[backend.0 as usize].pools[server.0 as usize],
            &self.backends[id.0 as usize].pools[heir.0 as usize],
        );
        same.then_some((id, heir))
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

    /// Where connections to a server come from, if that is said.
    pub(crate) fn source(&self, backend: BackendId, server: ServerId) -> Option<&Source> {
        let server = self.server(backend, server);
        self.backend(backend).source_of(server)
    }

    /// The expression that says what a server is to be asked for in TLS; `None`: something else does.
    pub(crate) fn name_expression(
        &self,
        (backend, server): (BackendId, ServerId),
    ) -> Option<&Expression> {
        match &self.tls.server(backend, server)?.name {
            ServerName::Expression(name) => name.expression.as_ref(),
            _ => None,
        }
    }

    pub(crate) fn pool(&self, backend: BackendId, server: ServerId) -> &Pool {
        &self.backends[backend.0 as usize].pools[server.0 as usize]
    }

    /// The pool of a tag, if it is still in use.
    pub(crate) fn pool_of_tag(&self, tag: u32) -> Option<&Pool> {
        self.tags.pools.get(&tag).map(|pool| &**pool)
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
            .flat_map(|(servers, table)| servers.iter().zip(table.pools.iter().map(|pool| &**pool)))
    }

    /// Where a frontend's log lines go.
    /// The name of a bind; empty where it has none.
    pub(crate) fn bind_name(&self, frontend: FrontendId, bind: usize) -> &str {
        let bind = self.frontend(frontend).binds.get(bind);
        bind.and_then(|bind| bind.name.as_deref())
            .unwrap_or_default()
    }

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
            any_method_bodies: self.plane.model.global.any_method_bodies,
            trusts_ambiguous: self.plane.model.global.trusts_ambiguous,
        }
    }

    pub(crate) fn response_limits(&self, backend: BackendId) -> Limits {
        let tune = &self.plane.model.global.tune;
        Limits {
            bytes_max: tune.buffer_bytes as usize,
            fields_max: tune.max_fields as usize,
            lenient: self.backend(backend).lenient_response,
            trusts_ambiguous: self.plane.model.global.trusts_ambiguous,
            ..Limits::default()
        }
    }
}
