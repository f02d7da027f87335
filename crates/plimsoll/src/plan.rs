//! `plimsoll plan`: what another configuration would change, before it is served.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgGroup, Args, ValueEnum};
use plimsoll_policy::model::Model;
use plimsoll_policy::plan::Plan;

use crate::configuration::{self, FileArgs, Request};
use crate::console;
use crate::ctl;

/// Show what a configuration would change: of a running balancer, or of other files.
///
/// The running balancer reads the files itself, as a reload would. Nothing is changed.
///
/// Exits with 0 whatever there is to change, and with 1 when a configuration has errors or the balancer cannot be asked.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("source").args(["files", "file"]).required(true))]
pub(crate) struct PlanCommand {
    #[command(flatten)]
    files: FileArgs,

    /// Compare with this configuration instead of a running balancer; may be given several times.
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    from: Vec<PathBuf>,

    /// The command socket of the running balancer; without it, the usual places are tried.
    #[arg(short, long, value_name = "SOCKET")]
    socket: Option<String>,

    /// How changes are written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each thing that is added (+), removed (-) or changed (~), and its settings below it.
    Text,
    /// A JSON object, for programs.
    Json,
}

impl PlanCommand {
    /// The result is the exit status.
    ///
    /// # Errors
    /// When the running balancer cannot be asked.
    pub(crate) fn run(&self) -> anyhow::Result<u8> {
        if self.from.is_empty() {
            return self.ask();
        }
        let (Some(before), Some(after)) = (load(&self.from), load(self.files.list())) else {
            return Ok(1);
        };
        let plan = Plan::new(&before, &after, None);
        console::print(&match self.format {
            Format::Text => plan.text(),
            Format::Json => plan.json(),
        });
        Ok(0)
    }

    /// Has the running balancer compare.
    fn ask(&self) -> anyhow::Result<u8> {
        let socket = ctl::place(self.socket.as_deref())?;
        let mut line = "plan".to_owned();
        if self.format == Format::Json {
            line.push_str(" json");
        }
        for file in self.files.list() {
            // It works in another directory.
            let path = std::fs::canonicalize(file)
                .with_context(|| format!("cannot find {}", file.display()))?;
            line.push(' ');
            for letter in path.display().to_string().chars() {
                if matches!(letter, ' ' | '\\' | ';' | '<') {
                    line.push('\\');
                }
                line.push(letter);
            }
        }
        line.push('\n');
        ctl::ask(socket, &line)
    }
}

/// Reads files, and tells what is wrong with them.
fn load(files: &[PathBuf]) -> Option<Model> {
    let configuration = configuration::load(&Request {
        files: files.to_vec(),
        ..Request::default()
    });
    console::report(&configuration.problems(false));
    configuration.model
}
