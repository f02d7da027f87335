//! One snapshot of an instance, written as JSON and as Prometheus text.
//!
//! Both are made from the same rows, so that neither can know a number the other does not.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::agent::Advice;
use super::vitals::Latencies;

/// What kind of number a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

/// One number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) value: f64,
}

/// Everything `/metrics` tells.
#[derive(Debug)]
pub(super) struct Snapshot<'a> {
    pub(super) service: &'a str,
    pub(super) instance: &'a str,
    pub(super) advice: Advice,
    pub(super) ewma_latency_ms: f64,
    pub(super) latencies: Latencies,
    pub(super) rows: Vec<Row>,
}

impl Snapshot<'_> {
    /// An object with `counters`, `gauges` and `latency` (milliseconds).
    pub(super) fn json(&self) -> Value {
        let of = |kind| -> Map<String, Value> {
            self.rows
                .iter()
                .filter(|row| row.kind == kind)
                .map(|row| (row.name.to_owned(), number(row.value)))
                .collect()
        };
        let mut gauges = of(Kind::Gauge);
        gauges.insert("agent".to_owned(), self.advice.to_string().into());
        let mut latency = Map::new();
        latency.insert("ewma_latency_ms".to_owned(), rounded(self.ewma_latency_ms));
        for (name, value) in self.quantities() {
            latency.insert(format!("{name}_ms"), rounded(value));
        }
        latency.insert("samples".to_owned(), self.latencies.count.into());
        json!({
            "service": self.service,
            "instance": self.instance,
            "counters": of(Kind::Counter),
            "gauges": gauges,
            "latency": latency,
        })
    }

    /// The text format of Prometheus, version 0.0.4.
    pub(super) fn prometheus(&self) -> String {
        let mut out = String::new();
        let labels = format!(
            "service=\"{}\",instance=\"{}\"",
            escape(self.service),
            escape(self.instance)
        );
        for row in &self.rows {
            let kind = match row.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            let Row {
                name, help, value, ..
            } = row;
            let _ = write!(
                out,
                "# HELP plimsoll_backend_{name} {help}\n# TYPE plimsoll_backend_{name} {kind}\n\
                 plimsoll_backend_{name}{{{labels}}} {value}\n"
            );
        }
        let _ = write!(
            out,
            "# HELP plimsoll_backend_ewma_latency_ms Moving average of the latency, in milliseconds.\n\
             # TYPE plimsoll_backend_ewma_latency_ms gauge\n\
             plimsoll_backend_ewma_latency_ms{{{labels}}} {}\n\
             # HELP plimsoll_backend_latency_ms Quantiles of the latest latencies, in milliseconds.\n\
             # TYPE plimsoll_backend_latency_ms gauge\n",
            self.ewma_latency_ms
        );
        let Latencies {
            p50,
            p90,
            p95,
            p99,
            max,
            ..
        } = self.latencies;
        for (quantile, value) in [
            ("0.5", p50),
            ("0.9", p90),
            ("0.95", p95),
            ("0.99", p99),
            ("1", max),
        ] {
            let _ = writeln!(
                out,
                "plimsoll_backend_latency_ms{{{labels},quantile=\"{quantile}\"}} {value}"
            );
        }
        out
    }

    fn quantities(&self) -> [(&'static str, f64); 7] {
        let of = &self.latencies;
        [
            ("min", of.min),
            ("mean", of.mean),
            ("p50", of.p50),
            ("p90", of.p90),
            ("p95", of.p95),
            ("p99", of.p99),
            ("max", of.max),
        ]
    }
}

/// Counts stay whole numbers in JSON.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        (value as i64).into()
    } else {
        value.into()
    }
}

/// Microseconds are all that a person or a plot can use of a latency.
fn rounded(milliseconds: f64) -> Value {
    ((milliseconds * 1000.0).round() / 1000.0).into()
}

fn escape(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot<'static> {
        Snapshot {
            service: "api",
            instance: "a\"b",
            advice: Advice::Up(50),
            ewma_latency_ms: 1.23456,
            latencies: Latencies {
                count: 2,
                p99: 7.5,
                ..Latencies::default()
            },
            rows: vec![
                Row {
                    kind: Kind::Counter,
                    name: "requests_total",
                    help: "Requests.",
                    value: 3.0,
                },
                Row {
                    kind: Kind::Gauge,
                    name: "error_ratio",
                    help: "Share.",
                    value: 0.25,
                },
            ],
        }
    }

    #[test]
    fn json_has_the_three_groups() {
        let value = snapshot().json();
        assert_eq!(value["counters"], json!({"requests_total": 3}));
        assert_eq!(
            value["gauges"],
            json!({"error_ratio": 0.25, "agent": "up 50"})
        );
        assert_eq!(value["latency"]["ewma_latency_ms"], json!(1.235));
        assert_eq!(value["latency"]["p99_ms"], json!(7.5));
    }

    #[test]
    fn prometheus_text_has_help_type_and_escaped_labels() {
        let text = snapshot().prometheus();
        for line in [
            "# HELP plimsoll_backend_requests_total Requests.",
            "# TYPE plimsoll_backend_requests_total counter",
            r#"plimsoll_backend_requests_total{service="api",instance="a\"b"} 3"#,
            r#"plimsoll_backend_latency_ms{service="api",instance="a\"b",quantile="0.99"} 7.5"#,
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        for line in text.lines() {
            assert!(
                line.starts_with('#') || line.rsplit_once(' ').unwrap().1.parse::<f64>().is_ok()
            );
        }
    }
}
