//! Statistics as data: rows of named, typed cells, and the formats they are printed in.
//!
//! | look in | for |
//! |---|---|
//! | [`Column`] | which columns there are |
//! | [`rows`] | what stands in the row of a frontend, backend or server |
//! | [`info`] | what is said of the process as a whole |
//! | [`file`] | counters that outlast the process |
//! | [`format`] | CSV, typed lines and JSON |
//! | [`page`] | the page for people |
//! | [`prometheus`] | the text that scrapers read |
//!
//! What is absent: counting (that is [`crate::counters`]), clocks and sockets. Sums, rates and the time come through
//! [`View`].

mod cell;
mod chart;
mod columns;
pub mod file;
pub mod format;
pub mod info;
mod nothing;
pub mod page;
pub mod prometheus;
pub mod rows;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use crate::counters::{BackendCounter, FrontendCounter, ServerCounter, Summary};
use crate::explain::Told;
use crate::health::Health;
use crate::live::ServerState;
use crate::model::{Backend, BackendId, Frontend, FrontendId, Model, Server, ServerId};
use crate::plane::Plane;
use crate::specimen::Specimen;

pub use cell::{Cell, Row, RowKind, Tags, Value};
pub use columns::Column;
pub use nothing::Nothing;

/// Everything that commands and pages may look at.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub plane: &'a Plane,
    pub sums: &'a dyn Sums,
    pub process: &'a Process,
    pub now: Now,
}

/// Numbers that several workers make together, and what only the engine knows.
pub trait Sums {
    fn frontend(&self, id: FrontendId, counter: FrontendCounter) -> u64;
    fn backend(&self, id: BackendId, counter: BackendCounter) -> u64;
    fn server(&self, backend: BackendId, server: ServerId, counter: ServerCounter) -> u64;
    /// Events per second.
    fn rate(&self, meter: Meter) -> Speed;
    /// Client connections now open to a frontend.
    fn connections(&self, frontend: FrontendId) -> u32;
    /// Client connections now open to a frontend's bind; `None`: they are not counted.
    fn bind_connections(&self, _frontend: FrontendId, _bind: usize) -> Option<u32> {
        None
    }
    /// All response times of a server, in microseconds.
    fn latencies(&self, backend: BackendId, server: ServerId) -> Option<Summary>;
    /// What checks think of a server; `None`: it has none.
    fn health(&self, backend: BackendId, server: ServerId) -> Option<Health>;
    /// Log messages that could not be delivered.
    fn lost_logs(&self) -> u64;

    /// Client connections, the oldest first.
    fn visitors(&self) -> Vec<Visitor> {
        Vec::new()
    }

    /// Exchanges that were written down, the oldest first.
    fn stories(&self) -> Vec<Arc<Told>> {
        Vec::new()
    }

    /// How many messages were not acceptable and have been kept, and the last one of each direction and proxy, the
    /// oldest first.
    fn specimens(&self) -> (u32, Vec<Arc<Specimen>>) {
        (0, Vec::new())
    }

    /// Memory that is kept for the next request.
    fn spares(&self) -> Vec<Spare> {
        Vec::new()
    }

    /// How each worker fares.
    fn vitals(&self) -> Vec<Vitals> {
        Vec::new()
    }

    /// Messages that were not acceptable, by who sent them and what was wrong.
    fn refusals(&self) -> Vec<Refusal> {
        Vec::new()
    }

    /// How often a connection had to wait because the process had its `maxconn`.
    fn maxconn_reached(&self) -> u64 {
        0
    }

    /// One request in so many is written down; 0: none.
    fn sampling(&self) -> u32 {
        0
    }
}

/// A worker, as it told of itself within the last second. What is not said to be of now is counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Tasks alive now.
    pub tasks: u64,
    /// Those that were to be polled when it told.
    pub runnable: u64,
    /// Turns of its loop.
    pub turns: u64,
    /// Polls of tasks.
    pub polls: u64,
    /// Events received from the kernel.
    pub events: u64,
    /// Pipes open now, idle ones included.
    pub pipes: u64,
    /// Pipes open now that nobody uses.
    pub pipes_idle: u64,
    /// Times it stopped accepting for want of descriptors, memory or room.
    pub accept_pauses: u64,
    /// Tasks that its table had no room for.
    pub tasks_refused: u64,
    /// Sockets that its table had no room for.
    pub sockets_refused: u64,
    /// Bodies that were copied because there was no pipe for them.
    pub pipes_refused: u64,
    /// Processor time it has used, in milliseconds.
    pub busy_ms: u64,
    /// The share of the last second that it spent working, from 0 to 100.
    pub busy_percent: u32,
}

/// How often somebody sent a message with a certain fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `client` or `server`.
    pub side: &'static str,
    /// What was wrong.
    pub fault: &'static str,
    pub count: u64,
}

/// Things of one kind that are kept for the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spare {
    pub name: &'static str,
    pub count: u64,
    /// All of them together.
    pub bytes: u64,
}

impl Spare {
    /// Whether these are connections, which somebody at the other end has open.
    pub fn is_open(&self) -> bool {
        self.name == "idle_conn"
    }
}

/// A client connection.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Tells it from all others of this process.
    pub number: u64,
    /// Who serves it, from 0.
    pub worker: u32,
    /// When it was accepted, in microseconds since 1970.
    pub accepted_us: u64,
    /// Requests begun so far.
    pub requests: u32,
    /// `None`: it came by a unix socket.
    pub source: Option<SocketAddr>,
    /// By whose identifiers the rest goes.
    pub plane: Arc<Plane>,
    pub frontend: FrontendId,
    /// Index of the bind within the frontend.
    pub bind: usize,
    /// Where its last request is now; `None`: at no server.
    pub at: Option<(BackendId, ServerId)>,
}

/// A kind of event and where it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    FrontendSessions(FrontendId),
    FrontendRequests(FrontendId),
    BackendSessions(BackendId),
    ServerSessions(BackendId, ServerId),
    ProcessConnections,
    /// Handshakes of TLS with clients.
    Handshakes,
    /// Those that resumed no session, and so took a signature of ours.
    FullHandshakes,
    /// Bytes sent to clients. More than 4 GB/s are shown as 4 GB/s.
    BytesOut,
}

/// Events per second: in the last one, and the most ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speed {
    pub now: u32,
    pub max: u32,
}

/// What does not change while the process lives.
#[derive(Clone, Debug, Default)]
pub struct Process {
    pub id: u32,
    pub workers: u32,
    /// Milliseconds since 1970.
    pub started_ms: u64,
    /// The process's `maxconn` as it came out at the start.
    pub connections_max: u32,
    /// Open files allowed.
    pub descriptors_max: u64,
    /// The machine's name.
    pub machine: String,
    /// Reloads since the start.
    pub reloads: Arc<AtomicU32>,
    /// What was said of the configuration when it was read: lines.
    pub remarks: Arc<Mutex<String>>,
    /// The process ends as soon as its clients have gone.
    pub stopping: Arc<AtomicBool>,
}

/// The time of a question.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Milliseconds since 1970.
    pub wall_ms: u64,
    /// Milliseconds of the clock that never jumps.
    pub monotonic_ms: u64,
    /// Local time minus UTC, in seconds.
    pub utc_offset_s: i32,
}

/// The version this program claims towards scripts written for HAProxy.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The day of that version, as HAProxy writes it. It changes with the version.
pub const RELEASED: &str = "2026/11/27";

impl<'a> View<'a> {
    pub fn model(self) -> &'a Model {
        &self.plane.model
    }

    pub fn frontends(self) -> impl Iterator<Item = (FrontendId, &'a Frontend)> {
        (0..).map(FrontendId).zip(&self.model().frontends)
    }

    pub fn backends(self) -> impl Iterator<Item = (BackendId, &'a Backend)> {
        (0..)
            .map(BackendId)
            .zip(&self.model().backends)
            .filter(|(_, backend)| !backend.removed)
    }

    /// The servers of a backend.
    pub fn servers(self, backend: &'a Backend) -> impl Iterator<Item = (ServerId, &'a Server)> {
        (0..)
            .map(ServerId)
            .zip(&backend.servers)
            .filter(|(_, server)| !server.removed)
    }

    pub fn frontend_named(self, name: &str) -> Option<FrontendId> {
        self.frontends()
            .find(|(_, frontend)| named(name, &frontend.name, frontend.number))
            .map(|(id, _)| id)
    }

    pub fn backend_named(self, name: &str) -> Option<BackendId> {
        self.backends()
            .find(|(_, backend)| named(name, &backend.name, backend.number))
            .map(|(id, _)| id)
    }

    pub fn server_named(self, backend: BackendId, name: &str) -> Option<ServerId> {
        self.servers(self.backend(backend))
            .find(|(_, server)| named(name, &server.name, server.number))
            .map(|(id, _)| id)
    }

    pub fn frontend(self, id: FrontendId) -> &'a Frontend {
        &self.model().frontends[id.0 as usize]
    }

    pub fn backend(self, id: BackendId) -> &'a Backend {
        &self.model().backends[id.0 as usize]
    }

    pub fn server(self, backend: BackendId, server: ServerId) -> &'a Server {
        &self.backend(backend).servers[server.0 as usize]
    }

    /// Seconds since a moment (in seconds since 1970); since the start when the moment is 0.
    pub fn seconds_since(self, moment_s: u64) -> u64 {
        let then = if moment_s == 0 {
            self.process.started_ms / 1_000
        } else {
            moment_s
        };
        (self.now.wall_ms / 1_000).saturating_sub(then)
    }

    /// Requests now waiting in a backend: for any server, and for a given one.
    pub fn queued(self, id: BackendId) -> u32 {
        let plane = self.plane.backend(id);
        let servers = self.servers(self.backend(id));
        servers
            .map(|(server, _)| plane.server(server).queued.load(Relaxed))
            .fold(plane.live.queued.load(Relaxed), u32::saturating_add)
    }

    /// The servers that balancing uses now: active ones, or backups when no active one is left.
    pub fn usable(self, id: BackendId) -> Usable {
        let (model, plane) = (self.backend(id), self.plane.backend(id));
        let mut usable = Usable::default();
        for (server, known) in self.servers(model) {
            let live = plane.server(server);
            if !live.is_usable() {
                continue;
            }
            if known.backup {
                usable.backup += 1;
                usable.first_backup_weight = match usable.backup {
                    1 => live.weight(),
                    _ => usable.first_backup_weight,
                };
                usable.backup_weight += live.weight();
            } else {
                usable.active += 1;
                usable.active_weight += live.weight();
            }
        }
        usable.weight = match (usable.active, model.all_backups) {
            (1.., _) => usable.active_weight,
            (0, true) => usable.backup_weight,
            (0, false) => usable.first_backup_weight,
        };
        usable
    }
}

/// How much of a backend can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usable {
    pub active: u32,
    pub backup: u32,
    /// Sum of the weights in use.
    pub weight: u32,
    active_weight: u32,
    backup_weight: u32,
    first_backup_weight: u32,
}

/// Whether a name, or a number (with or without `#` before it), means this object.
fn named(asked: &str, name: &str, number: u32) -> bool {
    let digits = asked.strip_prefix('#').unwrap_or(asked);
    asked == name || digits.parse() == Ok(number)
}

/// Why an operator or the configuration keeps a server out, as the bits of `srv_admin_state`.
pub fn admin_bits(server: &Server, state: ServerState) -> u32 {
    let bits = [
        (ServerState::MAINTENANCE, 1),
        (ServerState::INHERITED_MAINTENANCE, 2),
        (ServerState::DRAIN, 8),
        (ServerState::INHERITED_DRAIN, 16),
        (ServerState::UNRESOLVED, 32),
    ];
    let held = bits
        .into_iter()
        .filter(|(reason, _)| state.contains(*reason));
    let configured = if server.disabled { 4 } else { 0 };
    held.fold(configured, |all, (_, bit)| all | bit)
}

#[cfg(test)]
pub(crate) mod testing;
mod wish;
