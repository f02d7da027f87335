//! How much memory workers keep for the next request: told by each of them once a second, for those who ask.
//!
//! What is absent: the memory itself (`worker`, `reactor`, `pool`), and how it is shown (`policy::command`).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use plimsoll_policy::stats::Spare;

use crate::pool::Connection;
use crate::worker::Worker;

/// What is kept, in the order of the cells.
const NAMES: [&str; 6] = ["head", "buffer", "out", "output", "scratch", "idle_conn"];

/// How many of each, and how many bytes they have together.
pub(crate) type Stock = [(usize, usize); NAMES.len()];

/// Those of all workers. Each writes its own cells alone.
pub(crate) struct Spares(Box<[[(AtomicU64, AtomicU64); NAMES.len()]]>);

impl Spares {
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Default::default()).collect())
    }

    /// Takes note of what a worker has.
    pub(crate) fn note(&self, worker: usize, stock: Stock) {
        let Some(cells) = self.0.get(worker) else {
            return;
        };
        for ((count, bytes), now) in cells.iter().zip(stock) {
            count.store(now.0 as u64, Relaxed);
            bytes.store(now.1 as u64, Relaxed);
        }
    }

    /// The sums of all workers.
    pub(crate) fn all(&self) -> Vec<Spare> {
        let sum = |index: usize| {
            let cells = self.0.iter().map(|cells| &cells[index]);
            cells.fold((0, 0), |sum, (count, bytes)| {
                (sum.0 + count.load(Relaxed), sum.1 + bytes.load(Relaxed))
            })
        };
        let names = NAMES.into_iter().enumerate();
        names
            .map(|(index, name)| {
                let (count, bytes) = sum(index);
                Spare { name, count, bytes }
            })
            .collect()
    }
}

/// What a worker keeps at this moment.
pub(crate) fn stock(worker: &Worker) -> Stock {
    let [heads, buffers, outs, outputs] = worker.spares();
    let tables = worker.tables();
    let idle = tables.pools().map(|(_, pool)| pool.len()).sum::<usize>();
    let idle_bytes = idle * size_of::<Connection>();
    [
        heads,
        buffers,
        outs,
        outputs,
        worker.reactor.spare_scratches(),
        (idle, idle_bytes),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_summed() {
        let spares = Spares::new(2);
        spares.note(0, [(1, 10); NAMES.len()]);
        spares.note(1, [(2, 30); NAMES.len()]);
        spares.note(1, [(3, 40); NAMES.len()]);
        spares.note(9, [(9, 9); NAMES.len()]);
        let all = spares.all();
        assert!(
            all.iter()
                .all(|spare| (spare.count, spare.bytes) == (4, 50))
        );
        assert_eq!(all[0].name, "head");
    }
}
