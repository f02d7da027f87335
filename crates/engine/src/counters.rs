//! One worker's counters: written by that worker alone, read and summed by whoever asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use plimsoll_policy::counters::{
    BackendBlock, BackendCounter, FrontendBlock, FrontendCounter, Histogram, ServerBlock,
    ServerCounter, Summary, total,
};
use plimsoll_policy::model::{BackendId, FrontendId, Model, ServerId};

/// The counters of everything in one plane, as one worker has counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    frontends: Vec<FrontendBlock>,
    backends: Vec<BackendBlock>,
    servers: Vec<Vec<ServerBlock>>,
    /// Response times of each server, in microseconds; made when it first answers.
    latencies: Vec<Vec<OnceLock<Box<Histogram>>>>,
    /// Messages that were not acceptable, by the name of what was wrong. A lock is no burden on a path that ends in
    /// closing a connection.
    refusals: Mutex<BTreeMap<(Side, &'static str), u64>>,
}

/// Who sent a message that was not acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Client,
    Server,
}

impl Counters {
    pub(crate) fn new(model: &Model) -> Self {
        let servers = || model.backends.iter().map(|backend| backend.servers.len());
        Self {
            frontends: model
                .frontends
                .iter()
                .map(|_| FrontendBlock::default())
                .collect(),
            backends: model
                .backends
                .iter()
                .map(|_| BackendBlock::default())
                .collect(),
            servers: servers()
                .map(|count| (0..count).map(|_| ServerBlock::default()).collect())
                .collect(),
            latencies: servers()
                .map(|count| (0..count).map(|_| OnceLock::new()).collect())
                .collect(),
            refusals: Mutex::default(),
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
        &self.servers[backend.0 as usize][server.0 as usize]
    }

    pub(crate) fn latency(&self, backend: BackendId, server: ServerId) -> &Histogram {
        self.latencies[backend.0 as usize][server.0 as usize].get_or_init(Box::default)
    }
}

/// The counters of all workers.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllCounters(Arc<[Arc<Counters>]>);

impl AllCounters {
    pub(crate) fn new(model: &Model, workers: usize) -> Self {
        Self(
            (0..workers)
                .map(|_| Arc::new(Counters::new(model)))
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

    /// The response time that a share (0 to 1) of a server's responses did not exceed; `None` before the first.
    pub(crate) fn latency_us(
        &self,
        backend: BackendId,
        server: ServerId,
        share: f64,
    ) -> Option<u64> {
        let cells = self.0.iter();
        let histograms = cells.filter_map(|counters| {
            let cell = &counters.latencies[backend.0 as usize][server.0 as usize];
            cell.get().map(|histogram| &**histogram)
        });
        Summary::of(histograms).percentile(share * 100.0)
    }

    /// Begins all counters anew.
    pub(crate) fn clear(&self) {
        for counters in self.0.iter() {
            counters.frontends.iter().for_each(FrontendBlock::clear);
            counters.backends.iter().for_each(BackendBlock::clear);
            let servers = counters.servers.iter().flatten();
            servers.for_each(ServerBlock::clear);
            let latencies = counters.latencies.iter().flatten();
            latencies
                .filter_map(OnceLock::get)
                .for_each(|histogram| histogram.clear());
        }
    }

    /// Begins maxima and peaks anew.
    pub(crate) fn clear_peaks(&self) {
        for counters in self.0.iter() {
            counters
                .frontends
                .iter()
                .for_each(FrontendBlock::clear_peaks);
            counters.backends.iter().for_each(BackendBlock::clear_peaks);
            let servers = counters.servers.iter().flatten();
            servers.for_each(ServerBlock::clear_peaks);
        }
    }

    /// Begins the counters of one server anew.
    pub(crate) fn clear_server(&self, backend: BackendId, server: ServerId) {
        for counters in self.0.iter() {
            counters.server(backend, server).clear();
            let cell = &counters.latencies[backend.0 as usize][server.0 as usize];
            if let Some(histogram) = cell.get() {
                histogram.clear();
            }
        }
    }

    pub(crate) fn backend(&self, id: BackendId, counter: BackendCounter) -> u64 {
        total(self.0.iter().map(|counters| counters.backend(id)), counter)
    }
}
