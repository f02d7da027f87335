//! What follows from the traffic: reports of failures ([`crate::observe`]), and servers slower than their peers.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_policy::command::ServerChange;
use plimsoll_policy::counters::Summary;
use plimsoll_policy::health::{Which, outlier_line};
use plimsoll_policy::live::{RAMP_FULL, ServerLive, ServerState};
use plimsoll_policy::model::{BackendId, ServerId};
use plimsoll_policy::outlier::{self, Act, Look, Spec, Standing};
use tokio::time::{Instant, sleep};

use super::{Hall, Place};
use crate::observe::Report;

/// How long to wait when nothing is due.
const IDLE: Duration = Duration::from_secs(3_600);

/// Judges the servers of one backend.
struct Judge {
    backend: BackendId,
    spec: Spec,
    due: Instant,
    /// What each server's answers were by the last judgement.
    before: Vec<Summary>,
}

impl Hall {
    /// Hears what the traffic says for as long as this plane is in use. `hurry`: the next check of a server is to come
    /// sooner.
    pub(in crate::control::checks) async fn watch_traffic(
        self: &Rc<Self>,
        hurry: impl Fn(&Self, Place),
    ) {
        let places = self.observed();
        let mut judges = self.judges();
        let mut resumptions = self.suspended();
        let reports = Arc::clone(self.desk.reports());
        loop {
            let due = judges.iter().map(|judge| judge.due).min();
            let mut rest = due.map_or(IDLE, |due| due.saturating_duration_since(Instant::now()));
            if let Some((at_ms, _)) = resumptions.first() {
                rest = rest.min(Duration::from_millis(at_ms.saturating_sub(self.now_ms())));
            }
            tokio::select! {
                report = reports.next() => {
                    if let Some(&place) = places.get(&Arc::as_ptr(&report.live)) {
                        self.accused(place, &report, &hurry);
                        if let Some(at_ms) = self.resumption(place) {
                            resumptions.insert((at_ms, place));
                        }
                    }
                }
                () = sleep(rest) => {}
            }
            self.resume_due(&mut resumptions);
            let now = Instant::now();
            for judge in judges.iter_mut().filter(|judge| judge.due <= now) {
                judge.due = now + Duration::from_millis(judge.spec.interval_ms);
                self.judge(judge);
            }
        }
    }

    /// The servers on the board, by their live state.
    fn observed(&self) -> HashMap<*const ServerLive, Place> {
        let places = self.board.healths.keys();
        places
            .map(|&place| (Arc::as_ptr(self.live(place)), place))
            .collect()
    }

    /// When the suspensions under way end.
    fn suspended(&self) -> BTreeSet<(u64, Place)> {
        let places = self.board.healths.keys();
        places
            .filter_map(|&place| Some((self.resumption(place)?, place)))
            .collect()
    }

    fn resumption(&self, place: Place) -> Option<u64> {
        self.board
            .with(place, |health| health.suspended_until_ms())
            .flatten()
    }

    /// The traffic of a server has failed often enough.
    fn accused(self: &Rc<Self>, place: Place, report: &Report, hurry: &impl Fn(&Self, Place)) {
        let now_ms = self.now_ms();
        let live = self.live(place);
        let out = live.state().is_maintained();
        if out || self.is_last_to_suspend(place) {
            return;
        }
        let reaction = self.board.with(place, |health| {
            health.accuse(report.last, report.errors, now_ms)
        });
        let Some(reaction) = reaction else { return };
        self.react(place, Which::Check, &reaction);
        if reaction.hurry {
            hurry(self, place);
        }
    }

    /// A suspension is a guess. Where nobody else is left, an attempt is worth more than an error.
    fn is_last_to_suspend(&self, place: Place) -> bool {
        let suspends = self
            .board
            .with(place, |health| health.suspends())
            .unwrap_or(false);
        let census = self.desk.census(place);
        suspends && census.active + census.backup <= 1
    }

    fn resume_due(self: &Rc<Self>, resumptions: &mut BTreeSet<(u64, Place)>) {
        let now_ms = self.now_ms();
        while let Some((at_ms, place)) = resumptions.pop_first() {
            if at_ms > now_ms {
                resumptions.insert((at_ms, place));
                return;
            }
            match self.board.with(place, |health| health.resume(now_ms)) {
                Some(Ok(change)) => self.change(place, change, None),
                Some(Err(Some(later_ms))) => {
                    resumptions.insert((later_ms, place));
                }
                Some(Err(None)) | None => {}
            }
        }
    }

    /// Puts an end to what another configuration began.
    pub(super) fn forget_traffic(&self) {
        for (place, backend, _) in super::places(&self.plane.model) {
            let state = self.live(place).state();
            if state.contains(ServerState::SUSPENDED) && self.resumption(place).is_none() {
                self.order(place, ServerChange::Resume);
            }
            if state.contains(ServerState::EJECTED) && backend.outliers.is_none() {
                self.live(place).set_standing(Standing::default());
                self.order(place, ServerChange::Readmit);
            }
        }
    }

    fn judges(&self) -> Vec<Judge> {
        let backends = (0..).map(BackendId).zip(&self.plane.model.backends);
        let judges = backends.filter(|(_, backend)| !backend.disabled);
        let judge = |(id, spec): (BackendId, Spec)| Judge {
            backend: id,
            before: self.summaries(id),
            due: Instant::now() + Duration::from_millis(spec.interval_ms),
            spec,
        };
        judges
            .filter_map(|(id, backend)| Some((id, backend.outliers?)))
            .map(judge)
            .collect()
    }

    fn summaries(&self, backend: BackendId) -> Vec<Summary> {
        let servers = 0..self.backend(backend).servers.len() as u32;
        servers
            .map(|index| self.desk.counters().latencies(backend, ServerId(index)))
            .collect()
    }

    fn judge(self: &Rc<Self>, judge: &mut Judge) {
        let after = self.summaries(judge.backend);
        let place = |index: usize| (judge.backend, ServerId(index as u32));
        let looks: Vec<_> = after
            .iter()
            .zip(&judge.before)
            .enumerate()
            .map(|(index, (after, before))| look(self.live(place(index)), &after.since(before)))
            .collect();
        judge.before = after;
        let mut standings: Vec<_> = (0..looks.len())
            .map(|index| self.live(place(index)).standing())
            .collect();
        let acts = outlier::judge(&judge.spec, self.now_ms(), &looks, &mut standings);
        for (index, standing) in standings.into_iter().enumerate() {
            self.live(place(index)).set_standing(standing);
        }
        for act in acts {
            self.carry_out(judge.backend, act);
        }
    }

    fn carry_out(self: &Rc<Self>, backend: BackendId, act: Act) {
        let (index, change) = match act {
            Act::Eject { index, .. } => (index, Some(ServerChange::Eject)),
            Act::Readmit { index, .. } => (index, Some(ServerChange::Readmit)),
            Act::Keep { index, .. } => (index, None),
        };
        let place = (backend, ServerId(index as u32));
        if let Some(change) = change {
            self.order(place, change);
        }
        let line = outlier_line(&self.naming(place), act, self.desk.census(place));
        self.desk.tell(backend, &line);
    }
}

/// What a server's answers of one interval say.
fn look(live: &ServerLive, answers: &Summary) -> Look {
    let state = live.state();
    let ejected = state.contains(ServerState::EJECTED);
    let reasons = [
        ServerState::UNRESOLVED,
        ServerState::STOPPING,
        ServerState::SUSPENDED,
    ];
    let out = !state.is_in() || state.is_draining();
    let out = out || reasons.iter().any(|&reason| state.contains(reason));
    let in_service = live.weight() > 0 && !out;
    Look {
        in_service,
        warming: live.ramp_sixteenths() < RAMP_FULL,
        samples: if ejected { 0 } else { answers.count() },
        median_us: answers.percentile(50.0).unwrap_or(0),
    }
}
