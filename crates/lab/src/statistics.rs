//! Counting and summing up what a load generator sees.
//!
//! A thread fills an [`Interval`] each second and gives it away; whoever collects them adds them up.
//! So no counter is shared, and the same type serves one second, one thread and the whole run.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Longest latency told apart from longer ones: an hour, in microseconds.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// Significant decimal digits of a latency.
const DIGITS: u8 = 3;

/// Most servers counted apart by a response field; the others are counted together.
pub const SERVERS_MAX: usize = 256;

/// The name under which servers beyond [`SERVERS_MAX`] are counted.
const OTHERS: &[u8] = b"(others)";

/// The name of the answers that carried no such field.
const NAMELESS: &[u8] = b"(none)";

/// Why a request got no complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No connection could be made.
    Connect,
    /// The answer was not complete in time.
    Timeout,
    /// The connection was reset.
    Reset,
    /// The connection ended before the answer did.
    Closed,
    /// The answer was not what the protocol allows.
    Malformed,
}

impl Cause {
    /// Every cause with its name, in the order of the enumeration.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Connect, "connect"),
        (Self::Timeout, "timeout"),
        (Self::Reset, "reset"),
        (Self::Closed, "closed"),
        (Self::Malformed, "malformed"),
    ];
}

/// Counts of endings and bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Complete answers by the hundreds of their status; at 0 the answers of protocols without one.
    answers: [u64; 6],
    failures: [u64; Cause::ALL.len()],
    /// Bytes received, heads included.
    pub received_bytes: u64,
    /// Bytes sent, heads included.
    pub sent_bytes: u64,
}

impl Tally {
    /// A complete answer; `status` is 0 when the protocol has none.
    pub fn answer(&mut self, status: u16) {
        let class = usize::from(status / 100).min(5);
        self.answers[class] += 1;
    }

    /// A request without a complete answer.
    pub fn failure(&mut self, cause: Cause) {
        self.failures[cause as usize] += 1;
    }

    /// How many requests failed for `cause`.
    pub fn failed(&self, cause: Cause) -> u64 {
        self.failures[cause as usize]
    }

    /// Answers whose status is in this hundred, 0 to 5.
    pub fn class(&self, hundreds: usize) -> u64 {
        self.answers.get(hundreds).copied().unwrap_or(0)
    }

    /// Requests that ended, well or badly.
    pub fn requests(&self) -> u64 {
        self.ok() + self.ko()
    }

    /// Complete answers below 400.
    pub fn ok(&self) -> u64 {
        self.answers[..4].iter().sum()
    }

    /// Answers from 400 up, and requests without a complete answer.
    pub fn ko(&self) -> u64 {
        self.answers[4..].iter().sum::<u64>() + self.failures.iter().sum::<u64>()
    }

    fn add(&mut self, other: &Self) {
        for (sum, count) in self.answers.iter_mut().zip(other.answers) {
            *sum += count;
        }
        for (sum, count) in self.failures.iter_mut().zip(other.failures) {
            *sum += count;
        }
        self.received_bytes += other.received_bytes;
        self.sent_bytes += other.sent_bytes;
    }

    fn json(&self) -> Value {
        let failures: serde_json::Map<String, Value> = Cause::ALL
            .iter()
            .map(|&(cause, name)| (name.to_owned(), self.failed(cause).into()))
            .collect();
        json!({
            "requests": self.requests(),
            "ok": self.ok(),
            "ko": self.ko(),
            "status": {
                "1xx": self.class(1),
                "2xx": self.class(2),
                "3xx": self.class(3),
                "4xx": self.class(4),
                "5xx": self.class(5),
            },
            "failures": failures,
            "received_bytes": self.received_bytes,
            "sent_bytes": self.sent_bytes,
        })
    }
}

/// Latencies, in microseconds, in a histogram of constant relative precision (0.1 %).
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            histogram: Histogram::new(DIGITS).expect("the number of digits is between 0 and 5"),
        }
    }
}

impl Latency {
    /// Records one latency; an hour and more are the same.
    pub fn record_ns(&mut self, nanoseconds: u64) {
        let microseconds = (nanoseconds / 1000).clamp(1, LATENCY_US_MAX);
        // The histogram grows to any value of 64 bits, so only a lack of memory could fail here.
        let _ = self.histogram.record(microseconds);
    }

    /// Number of latencies recorded.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that a share of the requests (0 to 1) did not exceed, in microseconds; 0 when
    /// nothing is recorded.
    pub fn quantile_us(&self, share: f64) -> u64 {
        self.histogram.value_at_quantile(share)
    }

    /// In microseconds.
    pub fn min_us(&self) -> u64 {
        self.histogram.min()
    }

    /// In microseconds.
    pub fn max_us(&self) -> u64 {
        self.histogram.max()
    }

    /// In microseconds.
    pub fn mean_us(&self) -> f64 {
        self.histogram.mean()
    }

    /// Standard deviation, in microseconds.
    pub fn deviation_us(&self) -> f64 {
        self.histogram.stdev()
    }

    /// Share of the latencies within one standard deviation of the mean, 0 to 1.
    pub fn within_deviation(&self) -> f64 {
        if self.count() == 0 {
            return 0.0;
        }
        let (mean, deviation) = (self.mean_us(), self.deviation_us());
        let from = (mean - deviation).max(0.0) as u64;
        let to = (mean + deviation) as u64;
        self.histogram.count_between(from, to) as f64 / self.count() as f64
    }

    fn add(&mut self, other: &Self) {
        // Both grow as needed and have the same precision.
        let _ = self.histogram.add(&other.histogram);
    }

    /// The figures of a report, in milliseconds.
    pub fn json(&self) -> Value {
        let quantiles = [
            ("p50", 0.5),
            ("p75", 0.75),
            ("p90", 0.9),
            ("p95", 0.95),
            ("p99", 0.99),
            ("p99.9", 0.999),
        ];
        let mut object = serde_json::Map::new();
        object.insert("count".to_owned(), self.count().into());
        let mut put = |name: &str, microseconds: f64| {
            let milliseconds = microseconds.round() / 1000.0;
            object.insert(name.to_owned(), milliseconds.into());
        };
        put("min", self.min_us() as f64);
        put("mean", self.mean_us());
        put("std", self.deviation_us());
        for (name, share) in quantiles {
            put(name, self.quantile_us(share) as f64);
        }
        put("max", self.max_us() as f64);
        object.into()
    }
}

/// What was seen of one server, told apart by a response field.
#[derive(Clone, Debug)]
pub struct ServerCount {
    pub name: Box<[u8]>,
    pub tally: Tally,
    pub latency: Latency,
}

impl ServerCount {
    /// The name as text.
    pub fn label(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// What happened in some stretch of time.
#[derive(Clone, Debug, Default)]
pub struct Interval {
    pub tally: Tally,
    /// Of complete answers.
    pub latency: Latency,
    /// Of connections made.
    pub connect: Latency,
    servers: Vec<ServerCount>,
}

impl Interval {
    /// A complete answer that took `latency_ns`.
    pub fn answer(&mut self, status: u16, latency_ns: u64) {
        self.tally.answer(status);
        self.latency.record_ns(latency_ns);
    }

    /// A complete answer of the server called `name`; counted in addition to [`Self::answer`].
    pub fn answer_of(&mut self, name: Option<&[u8]>, status: u16, latency_ns: u64) {
        let server = self.server(name.unwrap_or(NAMELESS));
        server.tally.answer(status);
        server.latency.record_ns(latency_ns);
    }

    /// The servers seen, ordered by name.
    pub fn servers(&self) -> &[ServerCount] {
        &self.servers
    }

    /// Adds what another stretch, or another thread, has seen.
    pub fn add(&mut self, other: &Self) {
        self.tally.add(&other.tally);
        self.latency.add(&other.latency);
        self.connect.add(&other.connect);
        for theirs in &other.servers {
            let ours = self.server(&theirs.name);
            ours.tally.add(&theirs.tally);
            ours.latency.add(&theirs.latency);
        }
    }

    fn server(&mut self, name: &[u8]) -> &mut ServerCount {
        let find = |servers: &[ServerCount], name: &[u8]| {
            servers.binary_search_by(|server| server.name.as_ref().cmp(name))
        };
        let mut found = find(&self.servers, name);
        let mut name = name;
        if found.is_err() && self.servers.len() >= SERVERS_MAX {
            name = OTHERS;
            found = find(&self.servers, name);
        }
        let index = found.unwrap_or_else(|index| {
            let server = ServerCount {
                name: name.into(),
                tally: Tally::default(),
                latency: Latency::default(),
            };
            self.servers.insert(index, server);
            index
        });
        &mut self.servers[index]
    }

    /// Counts and latencies (milliseconds), per server as well when servers were told apart.
    pub fn json(&self) -> Value {
        let mut value = self.tally.json();
        value["latency_ms"] = self.latency.json();
        value["connect_ms"] = self.connect.json();
        if !self.servers.is_empty() {
            let total = self.tally.requests().max(1) as f64;
            let servers = self.servers.iter().map(|server| {
                let mut value = server.tally.json();
                value["name"] = server.label().into();
                value["share"] = (server.tally.requests() as f64 / total).into();
                value["latency_ms"] = server.latency.json();
                value
            });
            value["servers"] = servers.collect();
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_ok_or_ko() {
        let mut tally = Tally::default();
        for status in [0, 101, 200, 204, 302, 404, 500, 503, 999] {
            tally.answer(status);
        }
        for (cause, _) in Cause::ALL {
            tally.failure(cause);
        }
        assert_eq!((tally.ok(), tally.ko(), tally.requests()), (5, 4 + 5, 14));
        assert_eq!((tally.class(2), tally.class(5), tally.class(77)), (2, 3, 0));
        let json = tally.json();
        assert_eq!(json["status"]["4xx"], 1);
        for (cause, name) in Cause::ALL {
            assert_eq!(json["failures"][name], 1);
            assert_eq!(
                tally.failed(cause),
                1,
                "the table is in the enumeration's order"
            );
        }
    }

    #[test]
    fn quantiles_are_precise_to_a_thousandth() {
        let mut latency = Latency::default();
        for microseconds in 1..=100_000 {
            latency.record_ns(microseconds * 1000);
        }
        for (share, expected) in [(0.5, 50_000.0), (0.9, 90_000.0), (0.99, 99_000.0)] {
            let actual = latency.quantile_us(share) as f64;
            assert!((actual / expected - 1.0).abs() < 1e-3, "{share}: {actual}");
        }
        assert_eq!((latency.count(), latency.min_us()), (100_000, 1));
        assert!((latency.mean_us() / 50_000.5 - 1.0).abs() < 1e-3);
        // A uniform distribution has 1/√3 of its values within one deviation.
        assert!((latency.within_deviation() - 0.577).abs() < 0.01);
    }

    #[test]
    fn extremes_do_no_harm() {
        let mut latency = Latency::default();
        assert_eq!((latency.quantile_us(0.5), latency.max_us()), (0, 0));
        assert_eq!(latency.within_deviation(), 0.0);
        latency.record_ns(0);
        latency.record_ns(u64::MAX);
        assert_eq!(latency.min_us(), 1);
        assert!(latency.max_us() >= LATENCY_US_MAX);
    }

    #[test]
    fn the_sum_of_threads_is_what_one_thread_would_have_seen() {
        let (mut one, mut parts) = (
            Interval::default(),
            [Interval::default(), Interval::default()],
        );
        for number in 0..1000_u64 {
            let name = [b"a".as_slice(), b"b", b"c"][number as usize % 3];
            for interval in [&mut one, &mut parts[number as usize % 2]] {
                interval.answer(200, number * 1000);
                interval.answer_of(Some(name), 200, number * 1000);
            }
        }
        let mut sum = Interval::default();
        parts.iter().for_each(|part| sum.add(part));
        assert_eq!(sum.json(), one.json());
        let names: Vec<_> = sum.servers().iter().map(ServerCount::label).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn servers_are_capped() {
        let mut interval = Interval::default();
        for number in 0..1000 {
            interval.answer_of(Some(format!("{number:04}").as_bytes()), 200, 1);
        }
        interval.answer_of(None, 200, 1);
        assert!(interval.servers().len() <= SERVERS_MAX + 1);
        let counted: u64 = interval
            .servers()
            .iter()
            .map(|server| server.tally.ok())
            .sum();
        assert_eq!(counted, 1001);
    }
}
