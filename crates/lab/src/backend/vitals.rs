//! What the demo service knows about itself: totals, recent latency, recent errors, concurrency.
//!
//! Recent means decayed: every sample weighs half as much after [`HALF_LIFE_SECONDS`]. So a server that
//! gets no traffic, because its agent advised against it, slowly forgets its bad time and is tried
//! again. Time is an argument (seconds since the start of the service), never read here.

use super::agent::Condition;

/// A sample weighs half after this many seconds.
const HALF_LIFE_SECONDS: f64 = 2.0;

/// So many perfect requests are imagined when judging, so that one slow or failed request out of
/// one does not take a server out.
const PRIOR_REQUESTS: f64 = 4.0;

/// Below this weight nothing is left of the samples.
const WEIGHT_NOTHING: f64 = 1e-6;

/// Most latencies kept for percentiles.
pub const LATENCY_SAMPLE_MAX: usize = 1 << 20;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Served,
    Failed,
}

/// Exponentially decayed sums.
#[derive(Debug, Default)]
struct Recent {
    weight: f64,
    latency_ms: f64,
    failed: f64,
    at_seconds: f64,
}

impl Recent {
    fn decay(&mut self, now_seconds: f64) {
        let elapsed = (now_seconds - self.at_seconds).max(0.0);
        let left = (-elapsed / HALF_LIFE_SECONDS).exp2();
        self.weight *= left;
        self.latency_ms *= left;
        self.failed *= left;
        self.at_seconds = self.at_seconds.max(now_seconds);
    }
}

/// The numbers of one service instance.
#[derive(Debug)]
pub struct Vitals {
    /// Requests finished, failed ones included.
    pub requests: u64,
    /// Requests that were answered with an error on purpose.
    pub failed: u64,
    /// Requests with a query that could not be understood.
    pub refused: u64,
    /// Requests given up by the client before the answer was ready.
    pub abandoned: u64,
    /// Requests being worked on.
    pub inflight: u32,
    /// The most requests that were worked on at once.
    pub inflight_peak: u32,
    recent: Recent,
    /// Ring of the latest latencies, in milliseconds.
    sample: Vec<f32>,
    sample_size: usize,
    sample_next: usize,
}

/// Percentiles of the latest latencies, in milliseconds; all 0 before the first request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latencies {
    pub count: usize,
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Vitals {
    /// Keeps the latest `sample_size` latencies (1 to [`LATENCY_SAMPLE_MAX`]).
    pub fn new(sample_size: usize) -> Self {
        Self {
            requests: 0,
            failed: 0,
            refused: 0,
            abandoned: 0,
            inflight: 0,
            inflight_peak: 0,
            recent: Recent::default(),
            sample: Vec::new(),
            sample_size: sample_size.clamp(1, LATENCY_SAMPLE_MAX),
            sample_next: 0,
        }
    }

    /// A request begins.
    pub fn begin(&mut self) {
        self.inflight += 1;
        self.inflight_peak = self.inflight_peak.max(self.inflight);
    }

    /// A request that began has been answered.
    pub fn finish(&mut self, now_seconds: f64, latency_ms: f64, ending: Ending) {
        self.inflight = self.inflight.saturating_sub(1);
        self.requests += 1;
        self.recent.decay(now_seconds);
        self.recent.weight += 1.0;
        self.recent.latency_ms += latency_ms;
        if ending == Ending::Failed {
            self.failed += 1;
            self.recent.failed += 1.0;
        }
        if self.sample.len() < self.sample_size {
            self.sample.push(latency_ms as f32);
        } else {
            self.sample[self.sample_next] = latency_ms as f32;
        }
        self.sample_next = (self.sample_next + 1) % self.sample_size;
    }

    /// A request that began will never be answered: its client is gone.
    pub fn abandon(&mut self) {
        self.inflight = self.inflight.saturating_sub(1);
        self.abandoned += 1;
    }

    /// Share of failed requests since the start, 0 to 1.
    pub fn error_ratio(&self) -> f64 {
        self.failed as f64 / self.requests.max(1) as f64
    }

    /// Exponentially weighted moving average of the latency, in milliseconds; 0 without a sample.
    pub fn ewma_latency_ms(&mut self, now_seconds: f64) -> f64 {
        self.recent.decay(now_seconds);
        if self.recent.weight < WEIGHT_NOTHING {
            0.0
        } else {
            self.recent.latency_ms / self.recent.weight
        }
    }

    /// What the agent judges by.
    pub fn condition(
        &mut self,
        now_seconds: f64,
        target_latency_ms: f64,
        max_inflight_safe: u32,
    ) -> Condition {
        self.recent.decay(now_seconds);
        let weight = self.recent.weight + PRIOR_REQUESTS;
        Condition {
            latency_ms: self.recent.latency_ms / weight,
            target_latency_ms,
            error_ratio: self.recent.failed / weight,
            inflight: self.inflight,
            max_inflight_safe,
        }
    }

    /// Percentiles by nearest rank over the latest latencies.
    pub fn latencies(&self) -> Latencies {
        if self.sample.is_empty() {
            return Latencies::default();
        }
        let mut sorted = self.sample.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let count = sorted.len();
        let rank = |share: f64| {
            let index = (share * count as f64).ceil() as usize;
            f64::from(sorted[index.clamp(1, count) - 1])
        };
        Latencies {
            count,
            min: rank(0.0),
            mean: sorted.iter().map(|&value| f64::from(value)).sum::<f64>() / count as f64,
            p50: rank(0.5),
            p90: rank(0.9),
            p95: rank(0.95),
            p99: rank(0.99),
            max: rank(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::agent::{Advice, Agent};
    use super::*;

    #[test]
    fn percentiles_by_nearest_rank() {
        let mut vitals = Vitals::new(100);
        assert_eq!(vitals.latencies(), Latencies::default());
        for latency_ms in (1..=100).rev() {
            vitals.begin();
            vitals.finish(0.0, f64::from(latency_ms), Ending::Served);
        }
        let latencies = vitals.latencies();
        assert_eq!((latencies.min, latencies.max), (1.0, 100.0));
        assert_eq!(
            (latencies.p50, latencies.p90, latencies.p99),
            (50.0, 90.0, 99.0)
        );
        assert_eq!(latencies.mean, 50.5);
    }

    #[test]
    fn the_sample_forgets_the_oldest() {
        let mut vitals = Vitals::new(4);
        for latency_ms in 0..10 {
            vitals.finish(0.0, f64::from(latency_ms), Ending::Served);
        }
        let latencies = vitals.latencies();
        assert_eq!(
            (latencies.count, latencies.min, latencies.max),
            (4, 6.0, 9.0)
        );
    }

    #[test]
    fn the_moving_average_follows_the_recent_past() {
        let mut vitals = Vitals::new(16);
        vitals.finish(0.0, 100.0, Ending::Served);
        assert_eq!(vitals.ewma_latency_ms(0.0), 100.0);
        vitals.finish(HALF_LIFE_SECONDS, 10.0, Ending::Served);
        let average = vitals.ewma_latency_ms(HALF_LIFE_SECONDS);
        assert!((average - 40.0).abs() < 1e-9, "{average}");
        assert_eq!(vitals.ewma_latency_ms(1e6), 0.0, "all forgotten");
    }

    #[test]
    fn a_clock_that_steps_back_does_no_harm() {
        let mut vitals = Vitals::new(16);
        vitals.finish(10.0, 5.0, Ending::Served);
        vitals.finish(9.0, 5.0, Ending::Served);
        assert_eq!(vitals.ewma_latency_ms(8.0), 5.0);
    }

    #[test]
    fn down_without_traffic_recovers_to_full_weight() {
        let (mut vitals, mut agent) = (Vitals::new(16), Agent::default());
        let mut advise = |vitals: &mut Vitals, now| agent.advise(&vitals.condition(now, 80.0, 120));
        assert_eq!(advise(&mut vitals, 0.0), Advice::Up(100));
        for _ in 0..50 {
            vitals.finish(1.0, 10.0, Ending::Failed);
        }
        assert_eq!(advise(&mut vitals, 1.0), Advice::Down);
        let up_at = (1..60)
            .map(f64::from)
            .find(|&now| advise(&mut vitals, now) != Advice::Down)
            .expect("comes back");
        assert!(up_at > 5.0, "not at once: {up_at}");
        assert_eq!(advise(&mut vitals, up_at + 30.0), Advice::Up(100));
    }

    #[test]
    fn inflight_is_counted_both_ways() {
        let mut vitals = Vitals::new(16);
        vitals.begin();
        vitals.begin();
        vitals.abandon();
        vitals.finish(0.0, 1.0, Ending::Failed);
        assert_eq!((vitals.inflight, vitals.inflight_peak), (0, 2));
        assert_eq!(
            (vitals.requests, vitals.failed, vitals.abandoned),
            (1, 1, 1)
        );
        assert_eq!(vitals.error_ratio(), 1.0);
    }
}
