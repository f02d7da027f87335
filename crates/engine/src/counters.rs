//! One worker's counters: written by that worker alone, read and summed by whoever asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use plimsoll_policy::counters::{
    BackendBlock, BackendCounter, Block, Counter, FrontendBlock, FrontendCounter, Histogram, Kind,
    ServerBlock, ServerCounter, Summary, total,
};
use plimsoll_policy::kin::Kin;
use plimsoll_policy::model::{BackendId, FrontendId, Model, ServerId};
use plimsoll_policy::stats::file::Recalled;

/// The counters of everything in one plane, as one worker has counted.
///
/// Planes that follow each other share the blocks of what has the same name in both.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    frontends: Vec<Arc<FrontendBlock>>,
    backends: Vec<Arc<BackendBlock>>,
    servers: Vec<Vec<Arc<ServerCells>>>,
    /// Messages that were not acceptable, by the name of what was wrong. A lock is no burden on a path that ends in
    /// closing a connection.
    refusals: Arc<Mutex<BTreeMap<(Side, &'static str), u64>>>,
}

/// What one worker has counted of one server.
#[derive(Debug, Default)]
struct ServerCells {
    block: ServerBlock,
    /// Response times, in microseconds; made when the server first answers.
    latency: OnceLock<Box<Histogram>>,
}

/// Who sent a message that was not acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Client,
    Server,
}

impl Side {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

impl Counters {
    /// Counters for `model`, which go on where `before` knows who is meant.
    fn new(model: &Model, before: Option<(&Self, &Kin)>) -> Self {
        let frontend = |id| {
            let known = before.and_then(|(old, kin)| Some((old, kin.frontend(id)?)));
            known.map_or_else(Arc::default, |(old, id)| {
                Arc::clone(&old.frontends[id.0 as usize])
            })
        };
        let backend = |id| {
            let known = before.and_then(|(old, kin)| Some((old, kin.backend(id)?)));
            known.map_or_else(Arc::default, |(old, id)| {
                Arc::clone(&old.backends[id.0 as usize])
            })
        };
        let server = |backend, server| {
            let known = before.and_then(|(old, kin)| Some((old, kin.server(backend, server)?)));
            known.map_or_else(Arc::default, |(old, (backend, server))| {
                Arc::clone(&old.servers[backend.0 as usize][server.0 as usize])
            })
        };
        let frontends = (0..model.frontends.len() as u32).map(FrontendId);
        let backends = (0..model.backends.len() as u32).map(BackendId);
        let servers = backends.clone().zip(&model.backends).map(|(id, model)| {
            let servers = (0..model.servers.len() as u32).map(ServerId);
            servers.map(|of| server(id, of)).collect()
        });
        Self {
            frontends: frontends.map(frontend).collect(),
            servers: servers.collect(),
            backends: backends.map(backend).collect(),
            refusals: before.map_or_else(Arc::default, |(old, _)| Arc::clone(&old.refusals)),
        }
    }

    /// Counts a message that was not acceptable.
    pub(crate) fn refuse(&self, side: Side, name: &'static str) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        *refusals.entry((side, name)).or_default() += 1;
    }

    pub(crate) fn frontend(&self, id: FrontendId) -> &FrontendBlock {
        &self.frontends[id.0 as usize]
    }

    pub(crate) fn backend(&self, id: BackendId) -> &BackendBlock {
        &self.backends[id.0 as usize]
    }

    pub(crate) fn server(&self, backend: BackendId, server: ServerId) -> &ServerBlock {
        &self.cells(backend, server).block
    }

    pub(crate) fn latency(&self, backend: BackendId, server: ServerId) -> &Histogram {
        self.cells(backend, server)
            .latency
            .get_or_init(Box::default)
    }

    fn cells(&self, backend: BackendId, server: ServerId) -> &ServerCells {
        &self.servers[backend.0 as usize][server.0 as usize]
    }
}

fn begin<C: Counter, const N: usize>(block: &Block<C, N>, counter: C, value: u64) {
    match counter.row().kind {
        Kind::Maximum | Kind::Peak => block.maximum(counter, value),
        _ => block.add(counter, value),
    }
}

/// The counters of all workers.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllCounters(Arc<[Arc<Counters>]>);

impl AllCounters {
    pub(crate) fn new(model: &Model, workers: usize) -> Self {
        Self(
            (0..workers)
                .map(|_| Arc::new(Counters::new(model, None)))
                .collect(),
        )
    }

    /// Those of the plane that follows: what has the same name goes on.
    pub(crate) fn next(&self, model: &Model, kin: &Kin) -> Self {
        let workers = self.0.iter();
        Self(
            workers
                .map(|counters| Arc::new(Counters::new(model, Some((counters, kin)))))
                .collect(),
        )
    }

    /// Those that worker number `index` writes.
    pub(crate) fn of_worker(&self, index: usize) -> &Arc<Counters> {
        &self.0[index]
    }

    /// Messages that were not acceptable, by side and by the name of what was wrong.
    pub(crate) fn refusals(&self) -> BTreeMap<(Side, &'static str), u64> {
        let mut sums = BTreeMap::new();
        for counters in self.0.iter() {
            let refusals = counters
                .refusals
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            refusals
                .iter()
                .for_each(|(&key, &count)| *sums.entry(key).or_default() += count);
        }
        sums
    }

    pub(crate) fn frontend(&self, id: FrontendId, counter: FrontendCounter) -> u64 {
        total(self.0.iter().map(|counters| counters.frontend(id)), counter)
    }

    pub(crate) fn server(
        &self,
        backend: BackendId,
        server: ServerId,
        counter: ServerCounter,
    ) -> u64 {
        let blocks = self.0.iter();
        total(
            blocks.map(|counters| counters.server(backend, server)),
            counter,
        )
    }

    /// The response times of a server, in microseconds.
    pub(crate) fn latencies(&self, backend: BackendId, server: ServerId) -> Summary {
        let cells = self.0.iter();
        let histograms = cells.filter_map(|counters| {
            let cells = counters.cells(backend, server);
            cells.latency.get().map(|histogram| &**histogram)
        });
        Summary::of(histograms)
    }

    /// Has counters begin with what they once were. Nobody may be counting yet.
    pub(crate) fn recall(&self, counters: &[Recalled]) {
        let Some(first) = self.0.first() else { return };
        for recalled in counters {
            match *recalled {
                Recalled::Frontend(id, counter, value) => begin(first.frontend(id), counter, value),
                Recalled::Backend(id, counter, value) => begin(first.backend(id), counter, value),
                Recalled::Server(backend, server, counter, value) => {
                    begin(first.server(backend, server), counter, value);
                }
                Recalled::Change(..) | Recalled::Health(..) | Recalled::Availability(..) => {}
            }
        }
    }

    /// Begins all counters anew.
    pub(crate) fn clear(&self) {
        for counters in self.0.iter() {
            counters.frontends.iter().for_each(|block| block.clear());
            counters.backends.iter().for_each(|block| block.clear());
            counters.servers.iter().flatten().for_each(|cells| {
                cells.block.clear();
                if let Some(histogram) = cells.latency.get() {
                    histogram.clear();
                }
            });
        }
    }

    /// Begins maxima and peaks anew.
    pub(crate) fn clear_peaks(&self) {
        for counters in self.0.iter() {
            let frontends = counters.frontends.iter();
            frontends.for_each(|block| block.clear_peaks());
            let backends = counters.backends.iter();
            backends.for_each(|block| block.clear_peaks());
            let servers = counters.servers.iter().flatten();
            servers.for_each(|cells| cells.block.clear_peaks());
        }
    }

    /// Begins the counters of one server anew.
    pub(crate) fn clear_server(&self, backend: BackendId, server: ServerId) {
        for counters in self.0.iter() {
            let cells = counters.cells(backend, server);
            cells.block.clear();
            if let Some(histogram) = cells.latency.get() {
                histogram.clear();
            }
        }
    }

    pub(crate) fn backend(&self, id: BackendId, counter: BackendCounter) -> u64 {
        total(self.0.iter().map(|counters| counters.backend(id)), counter)
    }
}
