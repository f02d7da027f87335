//! What one request costs: the base cost of the instance plus what its query asks for.

use std::time::Duration;

/// Most processor time of one request.
pub const CPU_MS_MAX: f64 = 10_000.0;
/// Most sleep, and most jitter, of one request.
pub const SLEEP_MS_MAX: f64 = 60_000.0;
/// Most padding in one answer.
pub const PAYLOAD_BYTES_MAX: u64 = 16 << 20;
/// Longest query that is read.
pub const QUERY_BYTES_MAX: usize = 4096;

/// The adjustable cost of a request. Costs in milliseconds, chances from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Processor time to burn.
    pub cpu_ms: f64,
    /// Time to wait.
    pub sleep_ms: f64,
    /// A random wait of up to this much is added.
    pub jitter_ms: f64,
    /// Chance of an error instead of an answer.
    pub fail_rate: f64,
    /// Padding in the answer.
    pub payload_bytes: u64,
}

impl Work {
    /// The parameters a query may have, for messages.
    pub const PARAMETERS: [&str; 5] = [
        "cpu_ms",
        "sleep_ms",
        "jitter_ms",
        "fail_rate",
        "payload_bytes",
    ];

    /// Adds what `query` asks for. Costs add up; chances of failure combine as independent causes.
    /// Parameters of other names are left to others, as on any web server.
    ///
    /// # Errors
    /// A sentence for the caller when a known parameter has no usable value or a cap is exceeded.
    pub fn plus_query(&self, query: &str) -> Result<Self, String> {
        if query.len() > QUERY_BYTES_MAX {
            return Err(format!("the query is longer than {QUERY_BYTES_MAX} bytes"));
        }
        let mut work = *self;
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "cpu_ms" => work.cpu_ms += number(name, value)?,
                "sleep_ms" => work.sleep_ms += number(name, value)?,
                "jitter_ms" => work.jitter_ms += number(name, value)?,
                "fail_rate" => {
                    work.fail_rate = 1.0 - (1.0 - work.fail_rate) * (1.0 - number(name, value)?);
                }
                "payload_bytes" => {
                    let bytes: u64 = value
                        .parse()
                        .map_err(|_| format!("{name}: `{value}` is not a number of bytes"))?;
                    work.payload_bytes = work.payload_bytes.saturating_add(bytes);
                }
                _ => {}
            }
        }
        work.check()?;
        Ok(work)
    }

    /// Whether every cost is within its cap.
    ///
    /// # Errors
    /// A sentence that names the cost and its cap.
    pub fn check(&self) -> Result<(), String> {
        let caps = [
            ("cpu_ms", self.cpu_ms, CPU_MS_MAX),
            ("sleep_ms", self.sleep_ms, SLEEP_MS_MAX),
            ("jitter_ms", self.jitter_ms, SLEEP_MS_MAX),
            ("fail_rate", self.fail_rate, 1.0),
            (
                "payload_bytes",
                self.payload_bytes as f64,
                PAYLOAD_BYTES_MAX as f64,
            ),
        ];
        for (name, value, cap) in caps {
            if !(0.0..=cap).contains(&value) {
                return Err(format!("{name}: {value} is not between 0 and {cap}"));
            }
        }
        Ok(())
    }

    /// The wait of one request; `chance` is a random number from 0 to 1.
    pub fn wait(&self, chance: f64) -> Duration {
        Duration::from_secs_f64((self.sleep_ms + self.jitter_ms * chance).max(0.0) / 1000.0)
    }
}

fn number(name: &str, value: &str) -> Result<f64, String> {
    value
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number >= 0.0)
        .ok_or_else(|| format!("{name}: `{value}` is not a number from 0 up"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_adds_to_the_base() {
        let base = Work {
            sleep_ms: 20.0,
            fail_rate: 0.5,
            ..Work::default()
        };
        let work = base
            .plus_query("cpu_ms=8&sleep_ms=2.5&fail_rate=0.5&payload_bytes=256&other=1&&x")
            .unwrap();
        let expected = Work {
            cpu_ms: 8.0,
            sleep_ms: 22.5,
            jitter_ms: 0.0,
            fail_rate: 0.75,
            payload_bytes: 256,
        };
        assert_eq!(work, expected);
        assert_eq!(base.plus_query("").unwrap(), base);
    }

    #[test]
    fn what_is_not_a_cost_is_refused() {
        let cases = [
            "cpu_ms",
            "cpu_ms=",
            "cpu_ms=x",
            "cpu_ms=-1",
            "cpu_ms=NaN",
            "cpu_ms=inf",
            "cpu_ms=1e9",
            "cpu_ms=9000&cpu_ms=9000",
            "sleep_ms=60001",
            "fail_rate=1.5",
            "fail_rate=3&fail_rate=3",
            "payload_bytes=1.5",
            "payload_bytes=16777217",
            "payload_bytes=18446744073709551615&payload_bytes=1",
        ];
        for query in cases {
            assert!(Work::default().plus_query(query).is_err(), "{query}");
        }
        assert!(Work::default().plus_query(&"x".repeat(5000)).is_err());
    }

    #[test]
    fn jitter_is_a_share_of_its_limit() {
        let work = Work {
            sleep_ms: 10.0,
            jitter_ms: 20.0,
            ..Work::default()
        };
        assert_eq!(work.wait(0.0), Duration::from_millis(10));
        assert_eq!(work.wait(0.5), Duration::from_millis(20));
    }
}
