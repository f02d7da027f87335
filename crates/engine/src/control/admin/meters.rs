//! Rates, measured once a second from counters, so that counting costs workers nothing more.

use plimsoll_policy::counters::{BackendCounter, FrontendCounter, ServerCounter};
use plimsoll_policy::kin::Kin;
use plimsoll_policy::model::{BackendId, FrontendId, Model, ServerId};
use plimsoll_policy::stats::{Meter, Speed};

use crate::counters::AllCounters;

/// The rates of everything in a plane.
#[derive(Debug, Default)]
pub(super) struct Meters {
    process: Process,
    frontends: Vec<[Gauge; 2]>,
    backends: Vec<Gauge>,
    servers: Vec<Vec<Gauge>>,
    /// When the last measurement was made, in nanoseconds of the monotonic clock.
    measured_ns: u64,
}

/// Of the process: connections, handshakes of TLS, those that resumed no session, bytes to clients.
type Process = [Gauge; 4];

/// A count as it was at the last measurement, and the speed at which it got there.
#[derive(Clone, Copy, Debug, Default)]
struct Gauge {
    count: u64,
    speed: Speed,
}

impl Gauge {
    fn note(&mut self, count: u64, elapsed_ns: u64) {
        // Cleared counters begin anew.
        let events = count.checked_sub(self.count).unwrap_or(count);
        let per_second = (u128::from(events) * 1_000_000_000 / u128::from(elapsed_ns.max(1)))
            .min(u128::from(u32::MAX)) as u32;
        self.count = count;
        self.speed.now = per_second;
        self.speed.max = self.speed.max.max(per_second);
    }
}

impl Meters {
    pub(super) fn new(model: &Model, now_ns: u64) -> Self {
        let backends = &model.backends;
        Self {
            process: Process::default(),
            frontends: vec![Default::default(); model.frontends.len()],
            backends: vec![Gauge::default(); backends.len()],
            servers: backends
                .iter()
                .map(|backend| vec![Gauge::default(); backend.servers.len()])
                .collect(),
            measured_ns: now_ns,
        }
    }

    /// Those of the plane that follows: what has the same name is measured on.
    pub(super) fn next(&self, model: &Model, kin: &Kin) -> Self {
        let mut next = Self::new(model, self.measured_ns);
        next.process = self.process;
        for (id, pair) in (0..).map(FrontendId).zip(&mut next.frontends) {
            if let Some(before) = kin.frontend(id) {
                *pair = self.frontends[before.0 as usize];
            }
        }
        let backends = next.backends.iter_mut().zip(&mut next.servers);
        for (id, (gauge, servers)) in (0..).map(BackendId).zip(backends) {
            if let Some(before) = kin.backend(id) {
                *gauge = self.backends[before.0 as usize];
            }
            for (server, gauge) in (0..).map(ServerId).zip(servers) {
                if let Some((backend, server)) = kin.server(id, server) {
                    *gauge = self.servers[backend.0 as usize][server.0 as usize];
                }
            }
        }
        next
    }

    /// Takes counters as they are for their beginning: nothing has happened yet.
    pub(super) fn begin(&mut self, counters: &AllCounters) {
        self.note(counters, u64::MAX);
    }

    pub(super) fn measure(&mut self, counters: &AllCounters, now_ns: u64) {
        let elapsed_ns = now_ns.saturating_sub(self.measured_ns);
        self.measured_ns = now_ns;
        self.note(counters, elapsed_ns);
    }

    fn note(&mut self, counters: &AllCounters, elapsed_ns: u64) {
        let mut sums = [0; 4];
        for (id, [sessions, requests]) in (0..).map(FrontendId).zip(&mut self.frontends) {
            let count = |counter| counters.frontend(id, counter);
            let (shaken, resumed) = (FrontendCounter::TlsHandshakes, FrontendCounter::TlsResumed);
            sums[0] += count(FrontendCounter::Connections);
            sums[1] += count(shaken);
            sums[2] += count(shaken).saturating_sub(count(resumed));
            sums[3] += count(FrontendCounter::BytesOut);
            sessions.note(count(FrontendCounter::Sessions), elapsed_ns);
            requests.note(count(FrontendCounter::Requests), elapsed_ns);
        }
        for (gauge, sum) in self.process.iter_mut().zip(sums) {
            gauge.note(sum, elapsed_ns);
        }
        let backends = self.backends.iter_mut().zip(&mut self.servers);
        for (id, (backend, servers)) in (0..).map(BackendId).zip(backends) {
            let count = counters.backend(id, BackendCounter::Sessions);
            backend.note(count, elapsed_ns);
            for (server, gauge) in (0..).map(ServerId).zip(servers) {
                let count = counters.server(id, server, ServerCounter::Sessions);
                gauge.note(count, elapsed_ns);
            }
        }
    }

    pub(super) fn speed(&self, meter: Meter) -> Speed {
        let gauge = match meter {
            Meter::ProcessConnections => Some(&self.process[0]),
            Meter::Handshakes => Some(&self.process[1]),
            Meter::FullHandshakes => Some(&self.process[2]),
            Meter::BytesOut => Some(&self.process[3]),
            Meter::FrontendSessions(id) => self.frontends.get(id.0 as usize).map(|pair| &pair[0]),
            Meter::FrontendRequests(id) => self.frontends.get(id.0 as usize).map(|pair| &pair[1]),
            Meter::BackendSessions(id) => self.backends.get(id.0 as usize),
            Meter::ServerSessions(id, server) => self
                .servers
                .get(id.0 as usize)
                .and_then(|servers| servers.get(server.0 as usize)),
        };
        gauge.map_or_else(Speed::default, |gauge| gauge.speed)
    }

    /// Forgets the greatest speeds.
    pub(super) fn clear_maxima(&mut self) {
        let servers = self.servers.iter_mut().flatten();
        let frontends = self.frontends.iter_mut().flatten();
        let all = frontends.chain(&mut self.backends).chain(servers);
        for gauge in all.chain(&mut self.process) {
            gauge.speed.max = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_shows_events_per_second() {
        let mut gauge = Gauge::default();
        gauge.note(100, 2_000_000_000);
        assert_eq!(gauge.speed, Speed { now: 50, max: 50 });
        gauge.note(110, 1_000_000_000);
        assert_eq!(gauge.speed, Speed { now: 10, max: 50 });
        gauge.note(3, 1_000_000_000);
        assert_eq!(gauge.speed.now, 3, "the counter was cleared");
    }
}
