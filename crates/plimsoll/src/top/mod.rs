//! `plimsoll top`: proxies and servers of a running balancer, as they are now.
//!
//! It asks the command socket, once or again and again, so that it works with HAProxy too. [`sample`] reads answers,
//! [`table`] lays them out as text, [`screen`] shows them in a terminal. What is absent: changing anything.

mod sample;
mod screen;
mod table;

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::{console, ctl};
use sample::Sample;

/// Shortest pause between two questions, in seconds.
const INTERVAL_MIN_S: f64 = 0.1;

/// Watch a running balancer: who is up, who gets what, how fast it answers.
///
/// Keys: arrows, Page and Home, End move; 's' hides and shows servers; 'q' ends.
#[derive(Args, Debug)]
pub(crate) struct Top {
    /// The command socket: a path, 'abns@NAME', or HOST:PORT. Without it, the usual places are tried.
    #[arg(short, long, value_name = "SOCKET")]
    socket: Option<String>,

    /// Seconds between two looks.
    #[arg(short, long, value_name = "SECONDS", default_value_t = 1.0)]
    interval: f64,

    /// Print one look as text and end; rates are those of one interval.
    #[arg(long)]
    once: bool,
}

impl Top {
    /// The result is the exit status.
    ///
    /// # Errors
    /// When the socket cannot be reached, or there is no terminal to show anything in.
    pub(crate) fn run(&self) -> anyhow::Result<u8> {
        let socket = ctl::place(self.socket.as_deref())?;
        let interval = self.interval();
        if self.once {
            let first = look(socket)?;
            std::thread::sleep(interval);
            let second = look(socket)?;
            console::print(&table::text(&second, &second.since(&first)));
            return Ok(0);
        }
        if !io::stdout().is_terminal() {
            bail!("there is no terminal to show anything in; 'plimsoll top --once' prints text");
        }
        screen::show(interval, || look(socket)).context("the terminal fails")?;
        Ok(0)
    }

    fn interval(&self) -> Duration {
        let seconds = self.interval.max(INTERVAL_MIN_S);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(1))
    }
}

/// Asks for everything that is shown.
fn look(socket: &str) -> anyhow::Result<Sample> {
    let asked =
        |line: &str| ctl::converse(socket, line).with_context(|| format!("cannot ask {socket}"));
    let at = Instant::now();
    let (info, stat) = (asked("show info\n")?, asked("show stat\n")?);
    Sample::read(at, &info, &stat)
        .with_context(|| format!("{socket} answers with something that is no statistics"))
}
