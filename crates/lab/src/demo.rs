//! The parts of `plimsoll demo`: three servers of different speed, a configuration to balance them,
//! and the table that shows what each of them gets.
//!
//! What is absent: the balancer. The command line starts one with [`Fleet::configuration`].

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use crate::backend::work::Work;
use crate::backend::{self, Backend};
use crate::load::report::{Report, Second, Time};
use crate::load::target::Target;
use crate::load::{self};
use crate::statistics::{Interval, Latency, Tally};

/// The servers: name, wait of each request in ms, random wait in addition in ms.
const SERVERS: [(&str, f64, f64); 3] = [
    ("fast", 2.0, 1.0),
    ("medium", 8.0, 4.0),
    ("slow", 30.0, 15.0),
];

/// The response field that tells the servers apart.
const SERVER_FIELD: &str = "X-Backend";

/// How long without `--seconds`: until it is interrupted, and a week at most.
const ENDLESS: Duration = crate::duration::DURATION_MAX;

/// What can be chosen in a demo.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long; `None`: until interrupted.
    pub length: Option<Duration>,
    /// Requests per second.
    pub rate: f64,
    /// Connections of the load generator.
    pub connections: usize,
    /// Share of the slow server's requests that fail, 0 to 1.
    pub fail_rate: f64,
}

/// Three running servers.
#[derive(Debug)]
pub struct Fleet {
    servers: Vec<(&'static str, Backend)>,
}

impl Fleet {
    /// Starts the servers on free ports of the loopback interface.
    ///
    /// # Errors
    /// When a server cannot be started.
    pub fn start(options: &Options) -> anyhow::Result<Self> {
        let start = |(name, sleep_ms, jitter_ms): (&'static str, f64, f64)| {
            let fail_rate = if name == "slow" {
                options.fail_rate
            } else {
                0.0
            };
            let backend = Backend::start(backend::Options {
                instance: name.to_owned(),
                listen: "127.0.0.1:0".to_owned(),
                agent_listen: Some("127.0.0.1:0".to_owned()),
                base: Work {
                    sleep_ms,
                    jitter_ms,
                    fail_rate,
                    ..Work::default()
                },
                ..backend::Options::default()
            })?;
            Ok((name, backend))
        };
        let servers = SERVERS.into_iter().map(start);
        Ok(Self {
            servers: servers.collect::<anyhow::Result<_>>()?,
        })
    }

    /// A configuration that balances the servers by the algorithm `balance` and listens on `listen`.
    pub fn configuration(&self, listen: SocketAddr, balance: &str) -> String {
        let mut text = format!(
            "defaults\n    \
                 mode http\n    \
                 timeout connect 2s\n    \
                 timeout client 30s\n    \
                 timeout server 30s\n\
             \n\
             frontend demo\n    \
                 bind {listen}\n    \
                 default_backend servers\n\
             \n\
             backend servers\n    \
                 balance {balance}\n"
        );
        for (name, backend) in &self.servers {
            text.push_str(&format!("    server {name} {}\n", backend.address()));
        }
        text
    }

    /// Puts load on `balancer` until the time is over or `stop` is set. `observe` sees each second.
    ///
    /// # Errors
    /// When the balancer cannot be reached or an option makes no sense.
    pub fn load(
        &self,
        balancer: SocketAddr,
        options: &Options,
        stop: &AtomicBool,
        observe: &mut dyn FnMut(&Second),
    ) -> anyhow::Result<Report> {
        let target = Target::parse(&format!("http://{balancer}/")).map_err(anyhow::Error::msg)?;
        let load = load::Options {
            threads: 1,
            connections: options.connections,
            rate: Some(options.rate),
            duration: Some(options.length.unwrap_or(ENDLESS)),
            timeout: Duration::from_secs(5),
            count_by: Some(SERVER_FIELD.to_owned()),
            ..load::Options::new(target)
        };
        load::run(&load, stop, observe)
    }

    /// Stops the servers; requests in flight may end.
    pub fn stop(self) {
        for (_, backend) in self.servers {
            backend.stop();
        }
    }
}

/// A port of the loopback interface that was free a moment ago.
///
/// # Errors
/// When there is none.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port is free")?;
    Ok(listener.local_addr()?)
}

/// What each server got and did, as a table of a constant number of lines.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a>(pub &'a Interval);

impl Table<'_> {
    /// Lines of every table: a heading, the servers, the rest, the total.
    pub const LINES: usize = SERVERS.len() + 3;

    /// The same for programs; latencies in milliseconds.
    pub fn json(&self) -> Value {
        let row = |tally: &Tally, latency: &Latency| {
            json!({
                "requests": tally.requests(),
                "share": self.share(tally),
                "errors": tally.ko(),
                "p50_ms": latency.quantile_us(0.5) as f64 / 1000.0,
                "p99_ms": latency.quantile_us(0.99) as f64 / 1000.0,
            })
        };
        let mut servers = serde_json::Map::new();
        for server in self.0.servers() {
            servers.insert(server.label(), row(&server.tally, &server.latency));
        }
        json!({
            "servers": servers,
            "total": row(&self.0.tally, &self.0.latency),
        })
    }

    fn share(&self, tally: &Tally) -> f64 {
        tally.requests() as f64 / self.0.tally.requests().max(1) as f64
    }

    fn write_row(
        &self,
        out: &mut fmt::Formatter<'_>,
        name: &str,
        tally: &Tally,
        latency: &Latency,
    ) -> fmt::Result {
        writeln!(
            out,
            "{name:<10}{:>10}{:>8.1}%{:>9}{:>11}{:>11}",
            tally.requests(),
            100.0 * self.share(tally),
            tally.ko(),
            Time(latency.quantile_us(0.5)),
            Time(latency.quantile_us(0.99)),
        )
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{:<10}{:>10}{:>9}{:>9}{:>11}{:>11}",
            "server", "requests", "share", "errors", "p50", "p99"
        )?;
        let (no_tally, no_latency) = (Tally::default(), Latency::default());
        let mut rest = self.0.tally.requests();
        let mut rest_ko = self.0.tally.ko();
        for (name, _, _) in SERVERS {
            let found = self
                .0
                .servers()
                .iter()
                .find(|server| server.label() == name);
            let (tally, latency) = match found {
                Some(server) => (&server.tally, &server.latency),
                None => (&no_tally, &no_latency),
            };
            rest = rest.saturating_sub(tally.requests());
            rest_ko = rest_ko.saturating_sub(tally.ko());
            self.write_row(out, name, tally, latency)?;
        }
        writeln!(out, "{:<10}{rest:>10}{:>9}{rest_ko:>9}", "no server", "")?;
        self.write_row(out, "total", &self.0.tally, &self.0.latency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Cause;

    fn interval() -> Interval {
        let mut interval = Interval::default();
        for _ in 0..3 {
            interval.answer(200, 2_000_000);
            interval.answer_of(Some(b"fast"), 200, 2_000_000);
        }
        interval.tally.failure(Cause::Timeout);
        interval
    }

    #[test]
    fn the_table_accounts_for_every_request() {
        let interval = interval();
        let text = Table(&interval).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), Table::LINES);
        let words = |line: &str| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            words(lines[1]),
            ["fast", "3", "75.0%", "0", "2.00ms", "2.00ms"]
        );
        assert_eq!(words(lines[2])[..3], ["medium", "0", "0.0%"]);
        assert_eq!(words(lines[4]), ["no", "server", "1", "1"]);
        assert_eq!(words(lines[5])[..4], ["total", "4", "100.0%", "1"]);
    }

    #[test]
    fn the_table_in_json() {
        let json = Table(&interval()).json();
        assert_eq!(json["servers"]["fast"]["requests"], 3);
        assert_eq!(json["servers"]["fast"]["share"], 0.75);
        assert_eq!(json["total"]["errors"], 1);
    }

    #[test]
    fn the_fleet_answers_and_is_in_its_configuration() {
        let options = Options {
            length: Some(Duration::from_millis(300)),
            rate: 100.0,
            connections: 4,
            fail_rate: 0.0,
        };
        let fleet = Fleet::start(&options).unwrap();
        let text = fleet.configuration(free_address().unwrap(), "leastconn");
        let (_, fast) = &fleet.servers[0];
        assert!(
            text.contains(&format!("    server fast {}\n", fast.address())),
            "{text}"
        );
        assert_eq!(text.matches("\n    server ").count(), SERVERS.len());
        let stop = AtomicBool::new(false);
        let report = fleet
            .load(fast.address(), &options, &stop, &mut |_| {})
            .unwrap();
        assert_eq!(report.total.tally.ko(), 0);
        assert_eq!(report.total.servers()[0].label(), "fast");
        fleet.stop();
    }
}
