//! `plimsoll demo`: servers, a balancer, load and a live table, in one process and without a file.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use plimsoll_engine::Engine;
use plimsoll_lab::demo::{Fleet, Options, Table, free_address};
use plimsoll_lab::interrupt;
use plimsoll_lab::load::report::Second;
use serde_json::json;

use crate::configuration;
use crate::console;

/// What problems of the demo's own configuration are told under.
const CONFIGURATION_NAME: &str = "demo.cfg";

/// See it work: three servers of different speed, a balancer, load and a live table.
///
/// Everything runs on free ports of this machine until Ctrl-C, or for --seconds. The table shows
/// what each server got and how fast it answered, second by second; at the end, for the whole time.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// End after so many seconds.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: Option<u64>,

    /// Requests per second.
    #[arg(long, value_name = "RATE", default_value_t = 500.0)]
    rate: f64,

    /// Connections that may be used.
    #[arg(short, long, value_name = "COUNT", default_value_t = 64)]
    connections: usize,

    /// The balancing algorithm, as after 'balance' in a configuration.
    #[arg(long, value_name = "ALGORITHM", default_value = "leastconn")]
    balance: String,

    /// Share of the slow server's requests that fail, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    fail_rate: f64,

    /// Print a JSON object per second, and one with the summary at the end.
    #[arg(long)]
    json: bool,
}

impl Demo {
    /// The result is the exit status: 0 also when Ctrl-C ended it.
    ///
    /// # Errors
    /// Whatever keeps the demo from starting.
    pub(crate) fn run(&self) -> anyhow::Result<u8> {
        let options = Options {
            length: self.seconds.map(Duration::from_secs),
            rate: self.rate,
            connections: self.connections,
            fail_rate: self.fail_rate,
        };
        let stop = interrupt::watch()?;
        let fleet = Fleet::start(&options)?;
        let address = free_address()?;
        if self.balance.contains(char::is_control) {
            bail!("an algorithm is one line");
        }
        let text = fleet.configuration(address, &self.balance);
        if !self.json {
            console::print(&format!("{text}\n"));
        }
        let balancer = start_balancer(text)?;
        let mut shown = false;
        let mut observe = |second: &Second| {
            // Answers that come after the end belong to the summary alone.
            if self.seconds.is_some_and(|end| second.number as u64 >= end) {
                return;
            }
            console::print(&self.second(second, shown));
            shown = true;
        };
        let report = fleet.load(address, &options, stop, &mut observe);
        balancer.stop_now();
        balancer.wait();
        fleet.stop();
        let report = report?;
        let table = Table(&report.total);
        console::print(&match self.json {
            true => format!(
                "{}\n",
                json!({ "summary": table.json(), "load": report.json() })
            ),
            false => format!("\nIn {:.1} seconds:\n{table}", report.elapsed.as_secs_f64()),
        });
        Ok(0)
    }

    /// One second for the reader; on a terminal it replaces the second before.
    fn second(&self, second: &Second, shown: bool) -> String {
        let table = Table(&second.interval);
        let number = second.number + 1;
        if self.json {
            let mut object = table.json();
            object["second"] = number.into();
            return format!("{object}\n");
        }
        let back = match shown && io::stdout().is_terminal() {
            true => format!("\x1b[{}A\x1b[J", Table::LINES + 1),
            false => String::new(),
        };
        format!("{back}second {number}\n{table}")
    }
}

/// Starts a balancer in this process, from the text of a configuration.
fn start_balancer(text: String) -> anyhow::Result<Engine> {
    let configuration = configuration::load_text(CONFIGURATION_NAME, text);
    console::report(&configuration.problems(false));
    let model = configuration
        .model
        .ok_or_else(|| anyhow!("the demo's configuration has errors"))?;
    let options = plimsoll_engine::Options {
        name: "demo".to_owned(),
        ..plimsoll_engine::Options::default()
    };
    Ok(Engine::start(model, options)?)
}
