//! What traffic says of servers, on its way from the workers to the thread that judges them.
//!
//! Failures are counted where they happen, in atomics of the server; only so many of them together make a report. What
//! is absent: what counts as a failure (`policy::passive`), and what follows from a report (`policy::health`).

use std::sync::Arc;

use plimsoll_policy::live::ServerLive;
use plimsoll_policy::model::{BackendId, ServerId};
use plimsoll_policy::passive::{Observation, Rule};

use crate::inbox::Inbox;
use crate::tables::Tables;

/// Reports that wait to be heard; more are dropped and counted, since the next failures bring another one.
const REPORTS_MAX: usize = 1_024;

const NS_PER_MS: u64 = 1_000_000;

/// A server whose traffic has failed often enough.
pub(crate) struct Report {
    pub(crate) live: Arc<ServerLive>,
    /// The last failure, and how many there were.
    pub(crate) last: Observation,
    pub(crate) errors: u32,
}

/// Where workers leave reports.
pub(crate) type Reports = Inbox<Report, REPORTS_MAX>;

/// Takes note of an exchange with a server, where its configuration wants that.
pub(crate) fn note(
    tables: &Tables,
    (backend, server): (BackendId, ServerId),
    observation: Observation,
    now_ns: u64,
) {
    let Some(rule) = Rule::of(&tables.server(backend, server).check) else {
        return;
    };
    let live = tables.plane.backend(backend).server(server);
    if let Some(errors) = live.note(&rule, observation, now_ns / NS_PER_MS) {
        tables.desk.reports().leave(Report {
            live: Arc::clone(live),
            last: observation,
            errors,
        });
    }
}
