//! The command line: one file per subcommand, and HAProxy's own flags.
//!
//! What is absent: any logic of balancing. A subcommand reads its arguments, calls the crate that does the work, and
//! turns the outcome into text and an exit status.
#![forbid(unsafe_code)]

mod backend;
mod check;
mod claims;
mod configuration;
mod console;
mod ctl;
mod demo;
mod dialect;
mod haproxy;
mod load;
mod master;
mod plan;
mod reload;
mod run;
mod service;
#[cfg(feature = "top")]
mod top;
mod why;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit status when a command could not do its work.
const EXIT_FAILED: u8 = 1;

/// A load balancer that runs haproxy.cfg as it is.
#[derive(Parser, Debug)]
#[command(version, max_term_width = 100, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  plimsoll demo
  plimsoll run --listen :8080 --to 10.0.0.1:80,10.0.0.2:80
  plimsoll check /etc/haproxy/haproxy.cfg
  plimsoll run /etc/haproxy/haproxy.cfg
  plimsoll why -f /etc/haproxy/haproxy.cfg 'GET /cart HTTP/1.1' -H 'Host: shop.example'
  plimsoll ctl show servers state
  plimsoll top

In HAProxy's place:
  Called by the name 'haproxy', or with its flags (-f -c -cc -D -W -Ws -p -sf -st -n -v …), it behaves like HAProxy:
  plimsoll -c -f /etc/haproxy/haproxy.cfg";

#[derive(Subcommand, Debug)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Demo(demo::Demo),
    Backend(backend::Backend),
    Load(load::Load),
    Ctl(ctl::Ctl),
    #[cfg(feature = "top")]
    Top(top::Top),
    #[command(name = "plan")]
    Plan(plan::PlanCommand),
    Why(why::Why),
}

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_else(|| OsString::from("plimsoll"));
    let words: Vec<OsString> = words.collect();
    let outcome = if haproxy::is_meant(&program, words.first()) {
        haproxy::main(&program, words)
    } else {
        command(Cli::parse())
    };
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            console::complain(&format!("{error:#}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn command(cli: Cli) -> anyhow::Result<u8> {
    match cli.command {
        Command::Run(run) => run.run(),
        Command::Check(check) => Ok(check.run()),
        Command::Demo(demo) => demo.run(),
        Command::Backend(backend) => backend.run(),
        Command::Load(load) => load.run(),
        Command::Ctl(ctl) => ctl.run(),
        #[cfg(feature = "top")]
        Command::Top(top) => top.run(),
        Command::Plan(plan) => plan.run(),
        Command::Why(why) => why.run(),
    }
}
