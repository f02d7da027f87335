//! From a backend to a server with a free slot, and from one attempt to the next.
//!
//! Shared by HTTP exchanges and TCP sessions: pick, queue when everything is full, decide about retries.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use plimsoll_policy::balance::Pick;
use plimsoll_policy::live::{BackendLive, Visit};
use plimsoll_policy::model::{BackendId, ServerId};
use plimsoll_policy::queue::Priority;

use crate::account;
use crate::fault::Fault;
use crate::queue::{self, Manners, Slot, Waited};
use crate::tables::Tables;
use crate::worker::Worker;

/// Longest pause before the same server is tried again.
const RETRY_PAUSE_MS: u64 = 1_000;

/// Where one request or session stands with its backend.
#[derive(Debug)]
pub(crate) struct Dispatch {
    pub(crate) backend: BackendId,
    /// A retry goes to this server again.
    pinned: Option<ServerId>,
    /// A rule or a table has chosen the server: only `option redispatch` leads away from it.
    bound: bool,
    /// Nothing leads away from the server that was chosen (`force-persist`).
    stays: bool,
    /// The server that was given up last: the attempts that follow go anywhere but here, where there is a choice.
    avoid: Option<ServerId>,
    /// The server that a redispatched retry comes from, until it is known where it goes.
    left: Option<ServerId>,
    /// The coming attempt is a repetition with the server of the one before.
    pub(crate) repeats: bool,
    pub(crate) retries: u32,
    /// Another server than the first has been chosen.
    pub(crate) redispatched: bool,
    /// Where the request waited last.
    pub(crate) waited: Waited,
    /// What is kept of the server while a repetition waits to be made there: nobody takes its place meanwhile.
    kept: Option<Slot>,
    /// The place in the backend's count, on which `minconn` and `hash-balance-factor` depend.
    visit: Option<(Arc<BackendLive>, Visit)>,
}

impl Drop for Dispatch {
    fn drop(&mut self) {
        if let Some((live, visit)) = self.visit.take() {
            live.leave(visit);
        }
    }
}

/// What a request is hashed and counted by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affinity<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) source: Option<IpAddr>,
    /// How long it may wait for a slot, where a rule says so.
    pub(crate) queue_ms: Option<u64>,
    /// Its class and its offset among those who wait.
    pub(crate) priority: (i32, i64),
    /// The client stays with its server in any case (`force-persist`).
    pub(crate) stays: bool,
}

impl Dispatch {
    /// Enters a backend; dropped, leaves it again.
    pub(crate) fn new(worker: &Worker, tables: &Tables, backend: BackendId) -> Self {
        account::backend_entered(worker, tables, backend);
        let live = &tables.plane.backend(backend).live;
        let visit = live.counts().then(|| (Arc::clone(live), live.enter()));
        Self {
            visit,
            backend,
            pinned: None,
            bound: false,
            avoid: None,
            left: None,
            repeats: false,
            kept: None,
            stays: false,
            retries: 0,
            redispatched: false,
            waited: Waited::default(),
        }
    }

    /// Sends the first attempt to this server, whatever the algorithm would choose.
    pub(crate) fn pin(&mut self, server: ServerId) {
        (self.pinned, self.bound) = (Some(server), true);
    }

    /// Sends the first attempt to this server, because that spares a connection; any other would do.
    pub(crate) fn prefer(&mut self, server: ServerId) {
        self.pinned = Some(server);
    }

    /// Whether a server has been chosen for the first attempt.
    pub(crate) fn is_pinned(&self) -> bool {
        self.pinned.is_some()
    }

    /// Whether a server that was chosen has been given up.
    pub(crate) fn has_left(&self) -> bool {
        self.avoid.is_some()
    }

    /// Gives a server up: the next attempt goes where the algorithm leads.
    fn leave(&mut self, server: ServerId) {
        (self.pinned, self.bound, self.repeats) = (None, false, false);
        (self.avoid, self.left) = (Some(server), Some(server));
    }

    /// Picks a server and waits, if need be, until it may take one more; `gone` gives up the wait.
    pub(crate) async fn acquire(
        &mut self,
        worker: &Rc<Worker>,
        tables: &Rc<Tables>,
        affinity: Affinity<'_>,
        mut gone: impl FnMut() -> bool,
    ) -> Result<Slot, Fault> {
        self.stays = affinity.stays;
        let redispatches = tables.backend(self.backend).redispatch != 0 && !self.stays;
        let acquired = loop {
            let acquired = match self.kept.take() {
                Some(slot) => Ok(slot),
                None => self.try_acquire(worker, tables, affinity, &mut gone).await,
            };
            match (&acquired, self.pinned) {
                // Whoever is bound to a server whose queue is full need not be turned away.
                (Err(Fault::QueueFull), Some(full)) if self.bound && redispatches => {
                    self.leave(full);
                }
                _ => break acquired,
            }
        };
        let server = acquired
            .as_ref()
            .map_or(self.waited.server, |it| Some(it.server));
        let left = self.left.take();
        if let Some(left) = left {
            self.redispatched |= server != Some(left);
            account::attempt_moved(tables, self.backend, left, server);
        }
        // Whoever waited for any server takes the one that comes free, which is no choice.
        let is_chosen = !self.waited.has_queued() || self.waited.server.is_some();
        if let Some(server) = server
            && is_chosen
            && self.pinned != Some(server)
            && left != Some(server)
        {
            account::server_chosen(tables, (self.backend, server));
        }
        let slot = acquired?;
        let place = (self.backend, slot.server);
        account::server_entered(worker, tables, place, slot.live().load());
        Ok(slot)
    }

    /// One choice, and the wait that follows from it.
    async fn try_acquire(
        &mut self,
        worker: &Rc<Worker>,
        tables: &Rc<Tables>,
        affinity: Affinity<'_>,
        gone: &mut impl FnMut() -> bool,
    ) -> Result<Slot, Fault> {
        let pick = Pick {
            key: affinity.key,
            source: affinity.source,
            random: worker.random(),
            now_ns: worker.reactor.now_ns(),
            avoid: self.avoid,
        };
        self.waited = Waited::default();
        let (class, offset_ms) = affinity.priority;
        let manners = Manners {
            pinned: self.pinned,
            queue_ms: affinity.queue_ms,
            priority: Priority {
                class,
                offset_ms,
                now_ms: pick.now_ns / 1_000_000,
            },
        };
        let (backend, waited) = (self.backend, &mut self.waited);
        queue::acquire(worker, tables, backend, manners, &pick, waited, gone).await
    }

    /// Decides whether another attempt follows `fault`, and where; pauses where that gives a server time to return,
    /// unless the client is `gone` meanwhile. The `slot` is kept for an attempt with the same server.
    ///
    /// `replayable`: the request can be sent again although part of it may have been sent; `retries_max`: what a rule says
    /// in place of `retries`.
    pub(crate) async fn retry(
        &mut self,
        worker: &Worker,
        tables: &Tables,
        slot: Slot,
        fault: Fault,
        (replayable, retries_max): (bool, Option<u32>),
        mut gone: impl FnMut() -> bool,
    ) -> Result<(), Fault> {
        let model = tables.backend(self.backend);
        let unsent = matches!(fault, Fault::ConnectRefused | Fault::ConnectTimeout);
        if !model.retry_on.covers(fault.retry_cause())
            || !(unsent || replayable)
            || self.retries >= retries_max.unwrap_or(model.retries)
        {
            return Err(fault);
        }
        self.retries += 1;
        let failed = slot.server;
        account::attempt_follows(tables, (self.backend, failed), fault);
        let live = tables.plane.backend(self.backend).server(failed);
        let hopeless = self.bound && !live.state().is_in();
        let moves = model.redispatch != 0 && (hopeless || self.moves_freely(tables))
            || redispatches(model.redispatch, self.retries, model.retries);
        if moves && !self.stays {
            self.leave(failed);
            return Ok(());
        }
        (self.pinned, self.repeats) = (Some(failed), true);
        if fault == Fault::ConnectRefused {
            let pause_ms = model
                .timeouts
                .connect_ms
                .map_or(RETRY_PAUSE_MS, |ms| ms.min(RETRY_PAUSE_MS));
            let paused = worker
                .reactor
                .until(worker.deadline(Some(pause_ms)), || match gone() {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                });
            if paused.await.is_ok() {
                return Err(Fault::ClientClosed);
            }
        }
        self.kept = Some(slot);
        account::attempt_repeated(tables, (self.backend, failed));
        Ok(())
    }

    /// Which server serves a request does not matter to it, and there are several: there is nothing to wait for.
    fn moves_freely(&self, tables: &Tables) -> bool {
        !self.bound
            && !queue::binds(&tables.backend(self.backend).balance)
            && tables.arrangement(self.backend).usable > 1
    }
}

/// `option redispatch <interval>`: whether retry number `retry` of `retries` may go to another server.
fn redispatches(interval: i32, retry: u32, retries: u32) -> bool {
    match interval {
        0 => false,
        1.. => retry.is_multiple_of(interval.unsigned_abs()),
        ..0 => retry == (retries + 1).saturating_sub(interval.unsigned_abs()),
    }
}

#[cfg(test)]
mod tests {
    use super::redispatches;

    #[test]
    fn redispatch_intervals() {
        let retries_that_move = |interval| {
            (1..=3)
                .filter(|&retry| redispatches(interval, retry, 3))
                .collect::<Vec<_>>()
        };
        assert_eq!(retries_that_move(0), []);
        assert_eq!(retries_that_move(1), [1, 2, 3]);
        assert_eq!(retries_that_move(2), [2]);
        assert_eq!(retries_that_move(-1), [3]);
        assert_eq!(retries_that_move(-2), [2]);
    }
}
