//! `plimsoll load`: the load generator, with the flags people know from wrk and hey.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use plimsoll_lab::load::profile::{self, Profile};
use plimsoll_lab::load::report::{Detailed, Report, Second, Time};
use plimsoll_lab::load::target::{Protocol, Target};
use plimsoll_lab::load::{self, Options, plan::REQUEST_BYTES_MAX};
use plimsoll_lab::{duration, interrupt};

use crate::console;

/// Put load on a server and measure its answers.
///
/// Without --rate each connection asks again as soon as it is answered (closed loop). With --rate
/// requests are sent at that rate however slow the answers are, and latency counts from the moment
/// a request was meant to be sent, so that a stall cannot hide itself (open loop).
///
/// Exits with 1 when not a single request was answered well.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Load {
    /// http://host[:port][/path], or tcp://host:port for a server that echoes.
    #[arg(value_name = "URL")]
    url: String,

    /// Threads.
    #[arg(short, long, value_name = "COUNT", default_value_t = 2)]
    threads: usize,

    /// Connections.
    #[arg(short, long, value_name = "COUNT", default_value_t = 10)]
    connections: usize,

    /// How long [default: 10s, or as long as -n takes].
    #[arg(short, long, visible_short_alias = 'z', value_name = "TIME", value_parser = duration::parse)]
    duration: Option<Duration>,

    /// How long an answer may take.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration::parse)]
    timeout: Duration,

    /// End after so many requests.
    #[arg(short = 'n', long, value_name = "COUNT")]
    requests: Option<u64>,

    /// Requests per second in all, in an open loop.
    #[arg(short = 'R', long, value_name = "RATE")]
    rate: Option<f64>,

    /// Most requests per second of each connection, in a closed loop.
    #[arg(short = 'q', long, value_name = "RATE", conflicts_with = "rate")]
    rate_per_connection: Option<f64>,

    /// Load over time: LENGTH:LEVEL,… ramps to each level in turn ('0s:500' jumps). Levels are
    /// requests per second, or connections with a 'c' ('30s:200c').
    #[arg(long, value_name = "STAGES", conflicts_with_all = ["rate", "duration", "preset"])]
    stages: Option<String>,

    /// A kind of test, stretched to -d and to --rate or -c.
    #[arg(long, value_enum, value_name = "KIND")]
    preset: Option<Preset>,

    /// Method [default: GET, or POST with a body].
    #[arg(short, long, value_name = "METHOD")]
    method: Option<String>,

    /// A request field, 'Name: value'. Can be repeated.
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    headers: Vec<String>,

    /// The request's body, or the message of tcp://; '@FILE' reads it from a file.
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,

    /// A body of so many bytes.
    #[arg(long, value_name = "COUNT", conflicts_with = "body")]
    body_bytes: Option<usize>,

    /// A new connection for each request.
    #[arg(long)]
    close: bool,

    /// Also count answers by the value of this response field ('X-Backend').
    #[arg(long, value_name = "FIELD")]
    count_by: Option<String>,

    /// More percentiles, and the times of connecting.
    #[arg(short = 'L', long)]
    latency: bool,

    /// Print the result as JSON, with a row for each second.
    #[arg(long)]
    json: bool,

    /// Show the progress of each second on standard error [default: on a terminal].
    #[arg(long)]
    progress: bool,
}

const EXAMPLES: &str = "\
Examples:
  plimsoll load -t2 -c64 -d30s http://127.0.0.1:8080/
  plimsoll load --rate 5000 -c200 -d1m --timeout 4s 'http://127.0.0.1/?cpu_ms=2'
  plimsoll load --stages 10s:100,30s:500,10s:0 http://127.0.0.1/
  plimsoll load --preset spike --rate 2000 -d2m http://127.0.0.1/
  plimsoll load -n 10000 -c 50 --count-by X-Backend http://127.0.0.1/
  plimsoll load --body-bytes 128 tcp://127.0.0.1:9000";

/// The names of the presets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Preset {
    Load,
    Stress,
    Soak,
    Spike,
}

impl From<Preset> for profile::Preset {
    fn from(preset: Preset) -> Self {
        match preset {
            Preset::Load => Self::Load,
            Preset::Stress => Self::Stress,
            Preset::Soak => Self::Soak,
            Preset::Spike => Self::Spike,
        }
    }
}

impl Load {
    /// The result is the exit status: 1 when not a single request was answered well.
    ///
    /// # Errors
    /// Whatever keeps the test from starting.
    pub(crate) fn run(&self) -> anyhow::Result<u8> {
        let options = self.options()?;
        let announcement = Report::announcement(&options).map_err(|message| anyhow!(message))?;
        if !self.json {
            console::print(&format!("{announcement}\n"));
        }
        let stop = interrupt::watch()?;
        let on_terminal = io::stderr().is_terminal();
        let mut observe = |second: &Second| {
            if self.progress || on_terminal {
                console::report(&progress(second, on_terminal));
            }
        };
        let report = load::run(&options, stop, &mut observe)?;
        if on_terminal {
            console::report(CLEAR_LINE);
        }
        console::print(&match (self.json, self.latency) {
            (true, _) => format!("{:#}\n", report.json()),
            (false, true) => format!("{}\n", Detailed(&report)),
            (false, false) => format!("{report}\n"),
        });
        Ok(u8::from(report.total.tally.ok() == 0))
    }

    fn options(&self) -> anyhow::Result<Options> {
        let text = |message: String| anyhow!(message);
        let target = Target::parse(&self.url).map_err(text)?;
        let stages = match &self.stages {
            Some(stages) => Some(Profile::parse(stages).map_err(text)?),
            None => None,
        };
        let body = self.body()?;
        let method = match &self.method {
            Some(method) => method.clone(),
            None if body.is_empty() || target.protocol == Protocol::Tcp => "GET".to_owned(),
            None => "POST".to_owned(),
        };
        Ok(Options {
            threads: self.threads,
            connections: self.connections,
            duration: self.duration,
            timeout: self.timeout,
            requests: self.requests,
            rate: self.rate,
            rate_per_connection: self.rate_per_connection,
            stages,
            preset: self.preset.map(Into::into),
            method,
            headers: self.headers.clone(),
            body,
            close: self.close,
            count_by: self.count_by.clone(),
            ..Options::new(target)
        })
    }

    fn body(&self) -> anyhow::Result<Vec<u8>> {
        if let Some(count) = self.body_bytes {
            if count > REQUEST_BYTES_MAX {
                return Err(anyhow!("a body has at most {REQUEST_BYTES_MAX} bytes"));
            }
            return Ok(vec![b'x'; count]);
        }
        match self
            .body
            .as_deref()
            .map(|body| (body, body.strip_prefix('@')))
        {
            None => Ok(Vec::new()),
            Some((_, Some(path))) => {
                std::fs::read(path).with_context(|| format!("cannot read `{path}`"))
            }
            Some((body, None)) => Ok(body.as_bytes().to_vec()),
        }
    }
}

/// Goes to the beginning of the terminal's line and empties it.
const CLEAR_LINE: &str = "\r\x1b[K";

/// One second in one line; on a terminal it replaces the line before.
fn progress(second: &Second, on_terminal: bool) -> String {
    let (begin, end) = if on_terminal {
        (CLEAR_LINE, "")
    } else {
        ("", "\n")
    };
    let tally = &second.interval.tally;
    let latency = &second.interval.latency;
    format!(
        "{begin}  {:>4}s  OK {:>8}/s  KO {:>6}/s  p50 {:>9}  p99 {:>9}{end}",
        second.number + 1,
        tally.ok(),
        tally.ko(),
        Time(latency.quantile_us(0.5)),
        Time(latency.quantile_us(0.99)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser, Debug)]
    struct Line {
        #[command(flatten)]
        load: Load,
    }

    fn options(text: &str) -> anyhow::Result<Options> {
        let words = std::iter::once("load").chain(text.split_whitespace());
        <Line as clap::Parser>::try_parse_from(words)?
            .load
            .options()
    }

    #[test]
    fn flags_of_wrk_and_hey() {
        let wrk = options("-t8 -c200 -d120s --timeout 4s http://lab-lb/?cpu_ms=8").unwrap();
        assert_eq!((wrk.threads, wrk.connections), (8, 200));
        assert_eq!(wrk.duration, Some(Duration::from_secs(120)));
        assert_eq!(wrk.timeout, Duration::from_secs(4));
        assert_eq!(wrk.target.path, "/?cpu_ms=8");
        let hey = options("-n 200 -c 50 -q 10 -m PUT -H X:1 --body hi http://a").unwrap();
        assert_eq!((hey.requests, hey.connections), (Some(200), 50));
        assert_eq!(hey.rate_per_connection, Some(10.0));
        assert_eq!(
            (hey.method.as_str(), hey.body.as_slice()),
            ("PUT", b"hi".as_slice())
        );
        assert_eq!(hey.headers, ["X:1"]);
    }

    #[test]
    fn a_body_makes_it_a_post() {
        assert_eq!(options("http://a").unwrap().method, "GET");
        assert_eq!(options("--body-bytes 3 http://a").unwrap().method, "POST");
        assert_eq!(options("--body-bytes 3 http://a").unwrap().body, b"xxx");
    }

    #[test]
    fn contradictions_are_refused() {
        for text in [
            "",
            "https://a",
            "--rate 5 -q 5 http://a",
            "--stages 1s:1 --rate 5 http://a",
            "--stages nonsense http://a",
            "--preset storm http://a",
            "-d soon http://a",
            "--body @/nonexistent/file http://a",
        ] {
            assert!(options(text).is_err(), "{text}");
        }
    }

    #[test]
    fn presets_have_the_same_names_everywhere() {
        for (preset, name) in profile::Preset::ALL {
            let parsed = <Preset as ValueEnum>::from_str(name, false).unwrap();
            assert_eq!(profile::Preset::from(parsed), preset);
        }
    }
}
