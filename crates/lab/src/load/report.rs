//! The outcome of a load test.
//!
//! The human form keeps the lines that scripts made for wrk look for (`Requests/sec:`,
//! `Transfer/sec:`, `Socket errors:`, the latency distribution).

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::plan::{Options, Plan};
use super::profile::Unit;
use crate::duration;
use crate::statistics::{Cause, Interval, Latency};

/// One second of a test.
#[derive(Clone, Debug)]
pub struct Second {
    /// 0 for the first.
    pub number: usize,
    pub interval: Interval,
}

impl Second {
    pub(super) fn row(&self) -> Row {
        let Interval { tally, latency, .. } = &self.interval;
        Row {
            number: self.number,
            ok: tally.ok(),
            ko: tally.ko(),
            p50_us: latency.quantile_us(0.5),
            p99_us: latency.quantile_us(0.99),
        }
    }
}

/// What a report keeps of a second.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub number: usize,
    pub ok: u64,
    pub ko: u64,
    pub p50_us: u64,
    pub p99_us: u64,
}

/// Everything a test found out.
#[derive(Clone, Debug)]
pub struct Report {
    pub target: String,
    pub threads: usize,
    pub connections: usize,
    /// What the profile's levels count: an open or a closed loop.
    pub unit: Unit,
    /// The length that was asked for.
    pub length: Duration,
    /// Requests that were asked for.
    pub requests: Option<u64>,
    pub elapsed: Duration,
    pub total: Interval,
    pub seconds: Vec<Row>,
    /// Requests sent and not answered when the test ended.
    pub unfinished: u64,
    /// Arrivals of an open loop that were due and could not be sent: no connection was free.
    pub unsent: u64,
}

impl Report {
    pub(super) fn new(options: &Options, plan: &Plan) -> Self {
        Self {
            target: options.target.to_string(),
            threads: plan.threads,
            connections: plan.connections,
            unit: plan.profile.unit(),
            length: plan.profile.length(),
            requests: plan.requests,
            elapsed: Duration::ZERO,
            total: Interval::default(),
            seconds: Vec::new(),
            unfinished: 0,
            unsent: 0,
        }
    }

    /// Complete answers per second.
    pub fn requests_per_second(&self) -> f64 {
        self.total.latency.count() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    fn bytes_per_second(&self) -> f64 {
        self.total.tally.received_bytes as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// For programs: everything, latencies in milliseconds.
    pub fn json(&self) -> Value {
        let mut value = self.total.json();
        let seconds = self.seconds.iter().map(|row| {
            json!({
                "second": row.number,
                "ok": row.ok,
                "ko": row.ko,
                "p50_ms": row.p50_us as f64 / 1000.0,
                "p99_ms": row.p99_us as f64 / 1000.0,
            })
        });
        value["target"] = self.target.as_str().into();
        value["threads"] = self.threads.into();
        value["connections"] = self.connections.into();
        value["loop"] = match self.unit {
            Unit::Rate => "open",
            Unit::Connections => "closed",
        }
        .into();
        value["elapsed_seconds"] = self.elapsed.as_secs_f64().into();
        value["requests_per_second"] = self.requests_per_second().into();
        value["received_bytes_per_second"] = self.bytes_per_second().into();
        value["unfinished"] = self.unfinished.into();
        value["unsent"] = self.unsent.into();
        value["seconds"] = seconds.collect();
        value
    }

    /// The line that announces a test, before it runs.
    pub fn announcement(options: &Options) -> Result<String, String> {
        let plan = Plan::new(options)?;
        let what = match plan.requests {
            Some(requests) if options.duration.is_none() => format!("{requests} requests"),
            _ => format!("{} test", duration::render(plan.profile.length())),
        };
        Ok(format!(
            "Running {what} @ {}\n  {} threads and {} connections, {}",
            options.target,
            plan.threads,
            plan.connections,
            match plan.profile.unit() {
                Unit::Rate => format!("open loop, up to {} requests/s", plan.profile.peak()),
                Unit::Connections => "closed loop".to_owned(),
            }
        ))
    }
}

/// The human form, without the latency distribution's details; see [`Detailed`].
impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(out, false)
    }
}

/// The human form with more percentiles, and with connection times.
#[derive(Clone, Copy, Debug)]
pub struct Detailed<'a>(pub &'a Report);

impl fmt::Display for Detailed<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(out, true)
    }
}

impl Report {
    fn write(&self, out: &mut fmt::Formatter<'_>, detailed: bool) -> fmt::Result {
        let Interval { tally, latency, .. } = &self.total;
        writeln!(
            out,
            "  {:<10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "", "min", "mean", "stdev", "max", "+/- stdev"
        )?;
        write_times(out, "Latency", latency)?;
        if detailed {
            write_times(out, "Connect", &self.total.connect)?;
        }
        writeln!(out, "  Latency Distribution")?;
        let shares: &[f64] = match detailed {
            true => &[50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99],
            false => &[50.0, 75.0, 90.0, 95.0, 99.0, 99.9],
        };
        for share in shares {
            let time = Time(latency.quantile_us(share / 100.0));
            writeln!(out, "  {share:>6}%  {time:>10}")?;
        }
        self.write_servers(out)?;
        writeln!(
            out,
            "  {} requests in {:.2}s, {} read",
            tally.requests(),
            self.elapsed.as_secs_f64(),
            Bytes(tally.received_bytes as f64)
        )?;
        writeln!(out, "  OK {}, KO {}", tally.ok(), tally.ko())?;
        self.write_problems(out)?;
        writeln!(out, "Requests/sec: {:>10.2}", self.requests_per_second())?;
        write!(out, "Transfer/sec: {:>10}", Bytes(self.bytes_per_second()))
    }

    fn write_servers(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total.tally.requests().max(1) as f64;
        for server in self.total.servers() {
            writeln!(
                out,
                "  server {:<16} {:>9} requests {:>5.1}%  KO {:<6} p50 {:>9}  p99 {:>9}",
                server.label(),
                server.tally.requests(),
                100.0 * server.tally.requests() as f64 / total,
                server.tally.ko(),
                Time(server.latency.quantile_us(0.5)),
                Time(server.latency.quantile_us(0.99)),
            )?;
        }
        Ok(())
    }

    /// Nothing is printed when nothing went wrong.
    fn write_problems(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.total.tally;
        if Cause::ALL.iter().any(|&(cause, _)| tally.failed(cause) > 0) {
            let list: Vec<String> = Cause::ALL
                .iter()
                .map(|&(cause, name)| format!("{name} {}", tally.failed(cause)))
                .collect();
            writeln!(out, "  Socket errors: {}", list.join(", "))?;
        }
        let (client, server) = (tally.class(4), tally.class(5));
        if client + server > 0 {
            writeln!(
                out,
                "  Non-2xx or 3xx responses: {} (4xx {client}, 5xx {server})",
                client + server
            )?;
        }
        if self.unfinished > 0 {
            writeln!(out, "  Unfinished at the end: {}", self.unfinished)?;
        }
        if self.unsent > 0 {
            writeln!(
                out,
                "  Not sent, no connection was free: {} (more connections: -c)",
                self.unsent
            )?;
        }
        Ok(())
    }
}

fn write_times(out: &mut fmt::Formatter<'_>, name: &str, latency: &Latency) -> fmt::Result {
    writeln!(
        out,
        "  {name:<10}{:>10}{:>10}{:>10}{:>10}{:>9.2}%",
        Time(latency.min_us()),
        Time(latency.mean_us().round() as u64),
        Time(latency.deviation_us().round() as u64),
        Time(latency.max_us()),
        100.0 * latency.within_deviation()
    )
}

/// Microseconds, written with three digits and the unit that fits: `874us`, `1.23ms`, `2.50s`.
#[derive(Clone, Copy, Debug)]
pub struct Time(pub u64);

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let microseconds = self.0 as f64;
        let text = match self.0 {
            0..1_000 => format!("{}us", self.0),
            1_000..1_000_000 => format!("{:.2}ms", microseconds / 1e3),
            1_000_000.. => format!("{:.2}s", microseconds / 1e6),
        };
        out.pad(&text)
    }
}

/// Bytes, in powers of 1024 as wrk writes them: `512B`, `1.50MB`.
#[derive(Clone, Copy, Debug)]
struct Bytes(f64);

impl fmt::Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0;
        let mut units = ["B", "KB", "MB", "GB", "TB"].into_iter();
        let mut unit = units.next().unwrap_or_default();
        for next in units {
            if value < 1024.0 {
                break;
            }
            value /= 1024.0;
            unit = next;
        }
        out.pad(&format!("{value:.2}{unit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::target::Target;
    use super::*;

    fn report() -> Report {
        let options = Options::new(Target::parse("http://a/").unwrap());
        let plan = Plan::new(&options).unwrap();
        let mut report = Report::new(&options, &plan);
        report.elapsed = Duration::from_secs(2);
        for _ in 0..100 {
            report.total.answer(200, 1_500_000);
        }
        report.total.tally.received_bytes = 3 << 20;
        report
    }

    #[test]
    fn times_and_bytes() {
        let cases = [
            (0, "0us"),
            (999, "999us"),
            (1234, "1.23ms"),
            (2_500_000, "2.50s"),
        ];
        for (microseconds, text) in cases {
            assert_eq!(Time(microseconds).to_string(), text);
        }
        let cases = [
            (0.0, "0.00B"),
            (1536.0, "1.50KB"),
            (3.0 * 1048576.0, "3.00MB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn scripts_find_the_lines_they_know() {
        let text = report().to_string();
        for line in ["Requests/sec:      50.00", "Transfer/sec:     1.50MB"] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        assert!(
            text.contains("100 requests in 2.00s, 3.00MB read"),
            "{text}"
        );
        assert!(text.contains("    99%      1.50ms"), "{text}");
        assert!(
            !text.contains("errors") && !text.contains("Non-2xx"),
            "{text}"
        );
    }

    #[test]
    fn problems_are_listed_by_cause() {
        let mut report = report();
        report.total.tally.failure(Cause::Timeout);
        report.total.answer(503, 1000);
        report.unsent = 7;
        let text = Detailed(&report).to_string();
        for part in [
            "connect 0, timeout 1, reset 0",
            "Non-2xx or 3xx responses: 1 (4xx 0, 5xx 1)",
            "no connection was free: 7",
            "OK 100, KO 2",
            "99.99%",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn json_has_the_figures() {
        let json = report().json();
        assert_eq!(json["ok"], 100);
        assert_eq!(json["requests_per_second"], 50.0);
        assert_eq!(json["loop"], "closed");
        assert_eq!(json["latency_ms"]["p99"], 1.5);
    }
}
