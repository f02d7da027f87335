//! `plimsoll backend`: the demo service, and the cheap origin for benchmarks.
//!
//! Its flags may have one dash or two, as in Go's programs: the words are put right first and then
//! given to the usual parser.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::{Context as _, anyhow};
use clap::{Args, CommandFactory as _, Parser};
use plimsoll_lab::backend::{Backend as Service, options::VARIABLES};
use plimsoll_lab::origin::{self, Origin};
use plimsoll_lab::{backend, interrupt};

use crate::console;

/// Run the demo service: a web server whose cost per request can be dialled (`backend --help`).
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct Backend {
    #[arg(
        value_name = "FLAGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<OsString>,
}

impl Backend {
    /// The result is the exit status.
    ///
    /// # Errors
    /// Whatever keeps the service from starting.
    pub(crate) fn run(&self) -> anyhow::Result<u8> {
        let words = two_dashes(&self.words).map_err(|message| anyhow!(message))?;
        let flags = Flags::parse_from(words);
        let _ = interrupt::watch()?;
        if flags.bench {
            return run_origin(&flags);
        }
        let options = flags.options()?;
        let instance = options.instance.clone();
        let service = Service::start(options)?;
        let mut line = format!("{instance} listens on {}", service.address());
        if let Some(address) = service.agent_address() {
            let _ = write!(line, ", its agent on {address}");
        }
        console::report(&format!("{line}; Ctrl-C stops it\n"));
        interrupt::wait()?;
        console::report(&format!("{instance} stops\n"));
        service.stop();
        Ok(0)
    }
}

/// The demo service: a web server whose cost per request can be dialled.
///
/// It answers / with JSON, after as much work as the query asks for (cpu_ms, sleep_ms, jitter_ms,
/// fail_rate, payload_bytes); /metrics as JSON or for Prometheus; /healthz; and /agent, the weight
/// that a load balancer should give it now. The agent's port answers a bare connection with the
/// agent line. Flags may be written with one dash.
#[derive(Parser, Debug)]
#[command(name = "plimsoll backend", after_help = environment_help(), max_term_width = 100)]
struct Flags {
    /// Name of the service.
    #[arg(long, value_name = "NAME", default_value = "demo")]
    service: String,

    /// Name of this instance.
    #[arg(long, value_name = "NAME", default_value = "demo-1")]
    instance: String,

    /// Where requests are taken.
    #[arg(long, value_name = "ADDRESS", default_value = ":8080")]
    listen: String,

    /// Where the agent answers; 'off': nowhere.
    #[arg(long, value_name = "ADDRESS", default_value = ":8090")]
    agent_listen: String,

    /// The latency the agent aims at, in milliseconds [default: 80].
    #[arg(long, value_name = "MS")]
    target_latency_ms: Option<f64>,

    /// Concurrent requests beyond which the agent lowers the weight [default: 120].
    #[arg(long, value_name = "COUNT")]
    max_inflight_safe: Option<u32>,

    /// How many of the latest latencies percentiles are computed from.
    #[arg(long, value_name = "COUNT", default_value_t = 512)]
    latency_sample: usize,

    /// Be the cheapest possible server instead: constant answers, no measurements.
    #[arg(long)]
    bench: bool,

    /// With --bench: bytes of the answer's body.
    #[arg(long, value_name = "BYTES", default_value_t = 128, requires = "bench")]
    size: usize,

    /// With --bench: threads.
    #[arg(long, value_name = "COUNT", default_value_t = 1, requires = "bench")]
    threads: usize,

    /// With --bench: send back what is received, instead of HTTP.
    #[arg(long, requires = "bench")]
    echo: bool,
}

fn environment_help() -> String {
    let mut text = "Environment (flags win):\n".to_owned();
    for (name, meaning) in VARIABLES {
        let _ = writeln!(text, "  {name:<18} {meaning}");
    }
    text
}

impl Flags {
    fn options(self) -> anyhow::Result<backend::Options> {
        let environment = backend::Options::from_environment(|name| std::env::var(name).ok())
            .map_err(|message| anyhow!(message))?;
        let agent_listen = Some(self.agent_listen).filter(|text| text != "off" && !text.is_empty());
        Ok(backend::Options {
            service: self.service,
            instance: self.instance,
            listen: self.listen,
            agent_listen,
            target_latency_ms: self
                .target_latency_ms
                .unwrap_or(environment.target_latency_ms),
            max_inflight_safe: self
                .max_inflight_safe
                .unwrap_or(environment.max_inflight_safe),
            latency_sample: self.latency_sample,
            base: environment.base,
        })
    }
}

fn run_origin(flags: &Flags) -> anyhow::Result<u8> {
    let text = match flags.listen.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => flags.listen.clone(),
    };
    let listen: SocketAddr = text
        .parse()
        .with_context(|| format!("`{text}` is not an address with a port"))?;
    let service = match flags.echo {
        true => origin::Service::Echo,
        false => origin::Service::Http { size: flags.size },
    };
    let origin = Origin::start(&origin::Options {
        listen,
        threads: flags.threads,
        service,
        name: Some(flags.instance.clone()),
    })?;
    console::report(&format!("origin listens on {}\n", origin.address()));
    interrupt::wait()?;
    Ok(0)
}

/// Gives known flags their second dash, and notices a flag that has none.
///
/// # Errors
/// A sentence for the person who forgot the dash.
fn two_dashes(words: &[OsString]) -> Result<Vec<OsString>, String> {
    let command = Flags::command();
    let takes_value = |name: &str| -> Option<bool> {
        let argument = command
            .get_arguments()
            .find(|argument| argument.get_long() == Some(name))?;
        Some(argument.get_action().takes_values())
    };
    let mut out = vec![OsString::from("plimsoll backend")];
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(text) = word.to_str() else {
            out.push(word.clone());
            continue;
        };
        let name = text.trim_start_matches('-');
        let flag = name.split('=').next().unwrap_or_default();
        let known = takes_value(flag);
        if !text.starts_with('-') {
            return Err(match known {
                Some(true) => format!(
                    "`{text}` lacks its dash: write `-{text} {}`",
                    words
                        .next()
                        .map_or_else(|| "VALUE".into(), |value| value.to_string_lossy())
                ),
                Some(false) => format!("`{text}` lacks its dash: write `-{text}`"),
                None => format!("`{text}` belongs to no flag; see `plimsoll backend --help`"),
            });
        }
        match known {
            Some(_) => out.push(format!("--{name}").into()),
            None => out.push(word.clone()),
        }
        if known == Some(true) && !name.contains('=') {
            out.extend(words.next().cloned());
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    fn parse(text: &str) -> anyhow::Result<Flags> {
        let words: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
        match two_dashes(&words) {
            Ok(words) => Ok(Flags::try_parse_from(words)?),
            Err(message) => bail!(message),
        }
    }

    #[test]
    fn one_dash_or_two() {
        for text in [
            "-service api -instance a -listen :1 -agent-listen :2 -target-latency-ms 80.5 -max-inflight-safe 150 -latency-sample 128",
            "--service api --instance a --listen :1 --agent-listen :2 --target-latency-ms 80.5 --max-inflight-safe 150 --latency-sample 128",
            "-service=api --instance=a -listen=:1 -agent-listen=:2 -target-latency-ms=80.5 -max-inflight-safe=150 -latency-sample=128",
        ] {
            let flags = parse(text).unwrap();
            assert_eq!(
                (flags.service.as_str(), flags.instance.as_str()),
                ("api", "a")
            );
            assert_eq!(
                (flags.listen.as_str(), flags.agent_listen.as_str()),
                (":1", ":2")
            );
            assert_eq!(flags.target_latency_ms, Some(80.5));
            assert_eq!(flags.max_inflight_safe, Some(150));
            assert_eq!(flags.latency_sample, 128);
        }
    }

    #[test]
    fn values_may_look_like_flags() {
        let flags = parse("-service listen -instance agent-listen").unwrap();
        assert_eq!(flags.service, "listen");
        assert_eq!(flags.instance, "agent-listen");
    }

    #[test]
    fn a_forgotten_dash_is_pointed_out() {
        let cases = [
            (
                "-service api-lab -listen :8080 agent-listen :8090",
                "`agent-listen` lacks its dash: write `-agent-listen :8090`",
            ),
            ("bench", "`bench` lacks its dash"),
            ("-listen :1 :2", "`:2` belongs to no flag"),
        ];
        for (text, part) in cases {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["-nothing 1", "-listen", "-max-inflight-safe x", "-size 3"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_agent_can_be_off() {
        let options = parse("-agent-listen off").unwrap().options().unwrap();
        assert_eq!(options.agent_listen, None);
    }
}
