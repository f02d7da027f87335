//! `plimsoll run`: serve, from files or from two addresses.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use clap::{ArgGroup, Args};

use crate::configuration::{self, Configuration, FileArgs, Request};
use crate::console;
use crate::reload::Source;
use crate::service::{self, Life};

/// The name under which problems of a configuration made from addresses are told.
const COMMAND_LINE: &str = "command line";

/// Run a balancer in the foreground until Ctrl-C. SIGHUP and SIGUSR2 make it read its files anew.
///
/// Either from configuration files, or from --listen and --to without any.
///
/// SIGUSR1 ends it when running work has ended. Exits with 0 when it was told to end, and with 1 when it cannot start: a
/// faulty configuration, an address that somebody else has.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("source").args(["files", "file", "listen"]).required(true))]
pub(crate) struct Run {
    #[command(flatten)]
    files: FileArgs,

    /// Where to listen, as after 'bind' (":8080", "127.0.0.1:80", "/run/app.sock").
    #[arg(long, value_name = "ADDRESS", requires = "to")]
    listen: Option<String>,

    /// Servers to balance over, separated by commas.
    #[arg(
        long,
        value_name = "ADDRESS,…",
        value_delimiter = ',',
        requires = "listen"
    )]
    to: Vec<String>,

    /// Relay bytes instead of HTTP requests.
    #[arg(long, requires = "listen")]
    tcp: bool,

    /// Reload when a file changes.
    #[arg(long, conflicts_with = "listen")]
    watch: bool,

    /// Write the process id to this file.
    #[arg(long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
}

impl Run {
    /// The result is the exit status.
    ///
    /// # Errors
    /// Whatever keeps the balancer from starting.
    pub(crate) fn run(&self) -> anyhow::Result<u8> {
        let foreign = configuration::foreign_files(self.files.list());
        if !foreign.is_empty() {
            configuration::refuse_foreign(&foreign);
            return Ok(1);
        }
        let configuration = self.load();
        console::report(&configuration.problems(false));
        let has_listener = configuration.has_listener();
        let remarks = configuration.plain_problems();
        let Some(model) = configuration.model else {
            return Ok(1);
        };
        if !has_listener {
            console::complain("nothing to listen on: no frontend has a 'bind' line");
            return Ok(1);
        }
        let life = Life {
            name: "plimsoll".to_owned(),
            remarks,
            source: self.listen.is_none().then(|| Source {
                request: self.request(),
                warnings_fatal: false,
                adjust: Arc::new(|_| {}),
                seen: Arc::new(Mutex::new(configuration.looked_at)),
            }),
            watch: self.watch,
            pidfile: self
                .pidfile
                .clone()
                .or_else(|| model.global.pidfile.clone()),
            ..Life::default()
        };
        service::serve(model, &life)
    }

    fn load(&self) -> Configuration {
        match &self.listen {
            Some(listen) => {
                let mode = if self.tcp { "tcp" } else { "http" };
                configuration::load_text(COMMAND_LINE, text(listen, &self.to, mode))
            }
            None => configuration::load(&self.request()),
        }
    }

    fn request(&self) -> Request {
        Request {
            files: self.files.list().to_vec(),
            ..Request::default()
        }
    }
}

/// The configuration that stands for two addresses; it is what a person would write.
fn text(listen: &str, servers: &[String], mode: &str) -> String {
    let mut text = format!(
        "defaults\n    mode {mode}\n    timeout connect 5s\n    timeout client 50s\n    timeout server 50s\n\
         listen plimsoll\n    bind {}\n    balance roundrobin\n",
        quoted(listen)
    );
    for (index, server) in servers.iter().enumerate() {
        text.push_str(&format!("    server s{} {}\n", index + 1, quoted(server)));
    }
    text
}

/// A word that the grammar takes as it is. What cannot stand in a line is left out, and the rest is refused as usual.
fn quoted(word: &str) -> String {
    let word: String = word
        .chars()
        .filter(|letter| !letter.is_control() && *letter != '\'')
        .collect();
    format!("'{word}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_a_configuration() {
        let servers = ["127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()];
        let configuration = configuration::load_text("t", text("127.0.0.1:80", &servers, "tcp"));
        let (errors, warnings) = configuration.counts();
        assert_eq!(
            (errors, warnings),
            (0, 0),
            "{}",
            configuration.problems(true)
        );
        let model = configuration.model.unwrap();
        assert_eq!(model.frontends.len(), 1);
        assert_eq!(model.backends[0].servers.len(), 2);
    }

    #[test]
    fn hostile_addresses_stay_one_word() {
        let servers = [
            "a:1\n    server evil 127.0.0.1:1".to_owned(),
            "x' y".to_owned(),
        ];
        let text = text(":80", &servers, "http");
        assert_eq!(
            text.lines()
                .filter(|line| line.contains("server s"))
                .count(),
            2
        );
        assert!(!text.contains("\n    server evil"));
        assert!(text.contains("server s2 'x y'"));
    }
}
