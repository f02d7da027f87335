//! Rates, made of counters that are looked at once a second, so that counting costs workers nothing more.
//!
//! A rate is that of the last second: of the period that has not ended yet what has been counted, and of the one before
//! as much of it as still belongs to that second, as if its events had been spread evenly. Whoever asks waits for nobody.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use plimsoll_policy::counters::{BackendCounter, FrontendCounter, ServerCounter};
use plimsoll_policy::kin::Kin;
use plimsoll_policy::model::{BackendId, FrontendId, Model, ServerId};
use plimsoll_policy::stats::{Meter, Speed};

use crate::counters::AllCounters;

/// What rates are shown for.
const SECOND_NS: u64 = 1_000_000_000;

/// In place of the beginning of a period: it is about to change.
const CHANGING: u64 = u64::MAX;

/// Looks at a period that is changing, after which what was seen last has to do.
const LOOKS_MAX: usize = 64;

/// The rates of everything in a plane.
#[derive(Debug, Default)]
pub(super) struct Meters {
    process: Process,
    frontends: Vec<[Gauge; 2]>,
    backends: Vec<Gauge>,
    servers: Vec<Vec<Gauge>>,
}

/// Of the process: connections, handshakes of TLS, those that resumed no session, bytes to clients.
type Process = [Gauge; 4];

/// A count as it was at the beginning of a period, and what is known of the periods before.
#[derive(Debug, Default)]
struct Gauge {
    /// When the period began, in nanoseconds of the monotonic clock, or [`CHANGING`].
    since_ns: AtomicU64,
    count: AtomicU64,
    /// Events per second in the period before.
    past: AtomicU32,
    /// The most of all periods.
    max: AtomicU32,
}

impl Clone for Gauge {
    fn clone(&self) -> Self {
        let (since_ns, count, past) = self.period();
        Self {
            since_ns: since_ns.into(),
            count: count.into(),
            past: past.into(),
            max: self.max.load(Relaxed).into(),
        }
    }
}

impl Gauge {
    fn since(now_ns: u64) -> Self {
        Self {
            since_ns: now_ns.into(),
            ..Self::default()
        }
    }

    /// Begins another period with a count. Only one thread at a time may do this.
    fn turn(&self, count: u64, now_ns: u64) {
        let (since_ns, before, _) = self.period();
        let elapsed_ns = now_ns.saturating_sub(since_ns).max(1);
        let events = events(before, count);
        let per_second =
            narrow(u128::from(events) * u128::from(SECOND_NS) / u128::from(elapsed_ns));
        self.begin(count, per_second, now_ns);
        self.max.fetch_max(per_second, Relaxed);
    }

    fn begin(&self, count: u64, past: u32, now_ns: u64) {
        self.since_ns.store(CHANGING, Release);
        self.count.store(count, Release);
        self.past.store(past, Release);
        self.since_ns.store(now_ns, Release);
    }

    /// When the period began, the count at that time, and the rate of the one before.
    fn period(&self) -> (u64, u64, u32) {
        let mut looks = 0;
        loop {
            let since_ns = self.since_ns.load(Acquire);
            let seen = (since_ns, self.count.load(Acquire), self.past.load(Acquire));
            looks += 1;
            let is_whole = since_ns != CHANGING && self.since_ns.load(Acquire) == since_ns;
            if is_whole || looks == LOOKS_MAX {
                return seen;
            }
            std::hint::spin_loop();
        }
    }

    fn speed(&self, count: u64, now_ns: u64) -> Speed {
        let (since_ns, before, past) = self.period();
        let left_ns = SECOND_NS.saturating_sub(now_ns.saturating_sub(since_ns));
        let events = events(before, count);
        // Rare events do not make the rate go up and down.
        let now = match (events, past) {
            (0, ..=1) => past,
            _ => {
                let still = (u64::from(past) * left_ns).div_ceil(SECOND_NS);
                narrow(u128::from(events) + u128::from(still))
            }
        };
        Speed {
            now,
            max: self.max.load(Relaxed).max(now),
        }
    }
}

/// What was counted between two counts. Cleared counters begin anew.
fn events(before: u64, count: u64) -> u64 {
    count.checked_sub(before).unwrap_or(count)
}

fn narrow(count: u128) -> u32 {
    count.min(u32::MAX.into()) as u32
}

impl Meters {
    pub(super) fn new(model: &Model, now_ns: u64) -> Self {
        let gauge = || Gauge::since(now_ns);
        let gauges = |count| std::iter::repeat_with(gauge).take(count).collect();
        let (frontends, backends) = (&model.frontends, &model.backends);
        Self {
            process: std::array::from_fn(|_| gauge()),
            frontends: frontends.iter().map(|_| [gauge(), gauge()]).collect(),
            backends: gauges(backends.len()),
            servers: backends
                .iter()
                .map(|backend| gauges(backend.servers.len()))
                .collect(),
        }
    }

    /// Those of the plane that follows: what has the same name is measured on.
    pub(super) fn next(&self, model: &Model, kin: &Kin, now_ns: u64) -> Self {
        let mut next = Self::new(model, now_ns);
        next.process = self.process.clone();
        for (id, pair) in (0..).map(FrontendId).zip(&mut next.frontends) {
            if let Some(before) = kin.frontend(id) {
                *pair = self.frontends[before.0 as usize].clone();
            }
        }
        let backends = next.backends.iter_mut().zip(&mut next.servers);
        for (id, (gauge, servers)) in (0..).map(BackendId).zip(backends) {
            if let Some(before) = kin.backend(id) {
                *gauge = self.backends[before.0 as usize].clone();
            }
            for (server, gauge) in (0..).map(ServerId).zip(servers) {
                if let Some((backend, server)) = kin.server(id, server) {
                    *gauge = self.servers[backend.0 as usize][server.0 as usize].clone();
                }
            }
        }
        next
    }

    /// Takes counters as they are for their beginning: nothing has happened yet.
    pub(super) fn begin(&self, counters: &AllCounters, now_ns: u64) {
        self.each(counters, |gauge, count| gauge.begin(count, 0, now_ns));
    }

    /// Begins the next period. Only one thread at a time may do this.
    pub(super) fn measure(&self, counters: &AllCounters, now_ns: u64) {
        self.each(counters, |gauge, count| gauge.turn(count, now_ns));
    }

    fn each(&self, counters: &AllCounters, mut visit: impl FnMut(&Gauge, u64)) {
        for (gauge, sum) in self.process.iter().zip(self.sums(counters)) {
            visit(gauge, sum);
        }
        for (id, [sessions, requests]) in (0..).map(FrontendId).zip(&self.frontends) {
            visit(sessions, counters.frontend(id, FrontendCounter::Sessions));
            visit(requests, counters.frontend(id, FrontendCounter::Requests));
        }
        let backends = self.backends.iter().zip(&self.servers);
        for (id, (backend, servers)) in (0..).map(BackendId).zip(backends) {
            visit(backend, counters.backend(id, BackendCounter::Sessions));
            for (server, gauge) in (0..).map(ServerId).zip(servers) {
                let count = counters.server(id, server, ServerCounter::Sessions);
                visit(gauge, count);
            }
        }
    }

    /// The counts of the process.
    fn sums(&self, counters: &AllCounters) -> [u64; 4] {
        let mut sums = [0; 4];
        for id in (0..self.frontends.len() as u32).map(FrontendId) {
            let count = |counter| counters.frontend(id, counter);
            let (shaken, resumed) = (FrontendCounter::TlsHandshakes, FrontendCounter::TlsResumed);
            sums[0] += count(FrontendCounter::Connections);
            sums[1] += count(shaken);
            sums[2] += count(shaken).saturating_sub(count(resumed));
            sums[3] += count(FrontendCounter::BytesOut);
        }
        sums
    }

    /// A rate as it is now.
    pub(super) fn speed(&self, meter: Meter, counters: &AllCounters, now_ns: u64) -> Speed {
        let of_process = |place: usize| Some((&self.process[place], self.sums(counters)[place]));
        let of_frontend = |id: FrontendId, place: usize, counter| {
            let pair = self.frontends.get(id.0 as usize)?;
            Some((&pair[place], counters.frontend(id, counter)))
        };
        let found = match meter {
            Meter::ProcessConnections => of_process(0),
            Meter::Handshakes => of_process(1),
            Meter::FullHandshakes => of_process(2),
            Meter::BytesOut => of_process(3),
            Meter::FrontendSessions(id) => of_frontend(id, 0, FrontendCounter::Sessions),
            Meter::FrontendRequests(id) => of_frontend(id, 1, FrontendCounter::Requests),
            Meter::BackendSessions(id) => self
                .backends
                .get(id.0 as usize)
                .map(|gauge| (gauge, counters.backend(id, BackendCounter::Sessions))),
            Meter::ServerSessions(id, server) => {
                let servers = self.servers.get(id.0 as usize);
                let gauge = servers.and_then(|servers| servers.get(server.0 as usize));
                gauge.map(|gauge| (gauge, counters.server(id, server, ServerCounter::Sessions)))
            }
        };
        found.map_or_else(Speed::default, |(gauge, count)| gauge.speed(count, now_ns))
    }

    /// Forgets the greatest speeds.
    pub(super) fn clear_maxima(&self) {
        let frontends = self.frontends.iter().flatten();
        let servers = self.servers.iter().flatten();
        let all = frontends.chain(&self.backends).chain(servers);
        for gauge in all.chain(&self.process) {
            gauge.max.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_NS: u64 = 5 * SECOND_NS;

    fn at(tenths: u64) -> u64 {
        START_NS + tenths * SECOND_NS / 10
    }

    /// Events at moments, in tenths of a second, and the rate at another one.
    #[test]
    fn a_gauge_shows_events_of_the_last_second() {
        let gauge = Gauge::since(START_NS);
        let now = |count, tenths| gauge.speed(count, at(tenths)).now;
        assert_eq!(now(0, 1), 0);
        assert_eq!(now(3, 1), 3, "what has just been counted counts");
        assert_eq!(now(3, 9), 3);
        gauge.turn(10, at(10));
        assert_eq!((now(10, 10), now(10, 15), now(10, 20)), (10, 5, 0));
        assert_eq!(now(14, 15), 9);
        assert_eq!(gauge.speed(14, at(15)).max, 10);
        gauge.turn(30, at(30));
        assert_eq!(now(30, 30), 10, "twenty events in two seconds");
        assert_eq!(now(4, 40), 4, "counters were cleared");
    }

    #[test]
    fn rare_events_do_not_flap() {
        let gauge = Gauge::since(START_NS);
        gauge.turn(1, at(10));
        assert_eq!(gauge.speed(1, at(19)).now, 1);
        gauge.turn(1, at(20));
        assert_eq!(gauge.speed(1, at(21)), Speed { now: 0, max: 1 });
    }
}
