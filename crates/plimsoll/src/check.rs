//! `plimsoll check`: everything that is wrong with a configuration, at once.

use std::fmt::Write as _;

use clap::{ArgGroup, Args, ValueEnum};
use plimsoll_config::diagnostic::{DIAGNOSTICS_MAX, FileId};
use plimsoll_config::haproxy::{
    BLOCK_DEPTH_MAX, EXPANDED_BYTES_MAX, LINE_BYTES_MAX, LINE_WORDS_MAX, WORDS_MAX,
};
use plimsoll_config::render::{self, Style};
use plimsoll_config::source::{FILE_BYTES_MAX, FILES_MAX, TEXT_BYTES_MAX};
use plimsoll_policy::model::Model;
use plimsoll_policy::queue;

use crate::configuration::{self, Configuration, FileArgs, Request};
use crate::console;

/// Check configuration files: every problem with its place, its cause and a way out.
///
/// Exits with 0 when the configuration can be run and with 1 when it cannot.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("source").args(["files", "file"]).required(true))]
pub(crate) struct Check {
    #[command(flatten)]
    files: FileArgs,

    /// How problems are written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Treat warnings as errors.
    #[arg(long)]
    deny_warnings: bool,

    /// Also warn of lines that work, but hardly as they are meant; docs/lints.md describes each warning.
    #[arg(long)]
    lint: bool,

    /// Also list every limit that applies to the configuration.
    #[arg(long)]
    explain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With the line in question, a caret below it, the cause and the fix.
    Text,
    /// `file:line:column: severity: message`, for editors.
    Short,
    /// A JSON array, for programs.
    Json,
}

impl Check {
    /// The result is the exit status.
    pub(crate) fn run(&self) -> u8 {
        if self.explain && self.format == Format::Json {
            console::complain("--explain is for people; leave it or '--format json' out");
            return 1;
        }
        let foreign = configuration::foreign_files(self.files.list());
        if !foreign.is_empty() {
            configuration::refuse_foreign(&foreign);
            return 1;
        }
        let configuration = configuration::load(&Request {
            files: self.files.list().to_vec(),
            lint: self.lint,
            ..Request::default()
        });
        console::print(&self.findings(&configuration));
        if let (true, Some(model)) = (self.explain, &configuration.model) {
            console::print(&caps(model));
        }
        let (errors, warnings) = configuration.counts();
        u8::from(errors > 0 || (self.deny_warnings && warnings > 0))
    }

    fn findings(&self, configuration: &Configuration) -> String {
        let (diagnostics, sources) = (&configuration.diagnostics, &configuration.sources);
        match self.format {
            Format::Json => render::json(diagnostics, sources),
            Format::Short => diagnostics
                .iter()
                .map(|diagnostic| render::one_line(diagnostic, sources) + "\n")
                .collect(),
            Format::Text if diagnostics.is_empty() => {
                let names = (0..sources.len())
                    .map(|index| sources.path(FileId(index as u32)).display().to_string());
                format!("{}: no problems\n", names.collect::<Vec<_>>().join(", "))
            }
            Format::Text => render::text(
                diagnostics,
                sources,
                Style {
                    color: console::color_on_stdout(),
                    ..Style::default()
                },
            ),
        }
    }
}

/// Every limit that the configuration runs under, one to a line.
fn caps(model: &Model) -> String {
    let mut text = "Limits\n".to_owned();
    for (what, value) in language_caps()
        .into_iter()
        .chain(process_caps(model))
        .chain(proxy_caps(model))
    {
        let _ = writeln!(text, "  {what:52} {value}");
    }
    text
}

type Cap = (String, String);

fn cap(what: impl Into<String>, value: impl ToString) -> Cap {
    (what.into(), value.to_string())
}

fn language_caps() -> Vec<Cap> {
    vec![
        cap("configuration: files", FILES_MAX),
        cap("configuration: bytes of a file", FILE_BYTES_MAX),
        cap("configuration: bytes in all", TEXT_BYTES_MAX),
        cap("configuration: bytes after expansion", EXPANDED_BYTES_MAX),
        cap("configuration: bytes of a line", LINE_BYTES_MAX),
        cap("configuration: words of a line", LINE_WORDS_MAX),
        cap("configuration: words in all", WORDS_MAX),
        cap("configuration: depth of conditions", BLOCK_DEPTH_MAX),
        cap("configuration: problems kept", DIAGNOSTICS_MAX),
    ]
}

fn process_caps(model: &Model) -> Vec<Cap> {
    let tune = &model.global.tune;
    vec![
        cap(
            "process: connections (maxconn)",
            or_derived(model.global.maxconn),
        ),
        cap(
            "process: workers (nbthread)",
            or_derived(model.global.worker_count),
        ),
        cap(
            "worker: connections per turn (tune.maxaccept)",
            tune.max_accept,
        ),
        cap(
            "worker: events per turn (tune.maxpollevents)",
            tune.max_events,
        ),
        cap("message: bytes of a head (tune.bufsize)", tune.buffer_bytes),
        cap(
            "message: bytes kept free in it (tune.maxrewrite)",
            tune.rewrite_bytes,
        ),
        cap("message: fields (tune.http.maxhdr)", tune.max_fields),
        cap(
            "log: bytes of a URI (tune.http.logurilen)",
            tune.log_uri_bytes,
        ),
        cap("queue: waiting requests of a backend", queue::ENTRIES_MAX),
    ]
}

fn proxy_caps(model: &Model) -> Vec<Cap> {
    let frontends = model.frontends.iter().map(|frontend| {
        cap(
            format!("frontend {}: connections (maxconn)", frontend.name),
            or_derived(frontend.maxconn),
        )
    });
    let servers = model
        .backends
        .iter()
        .flat_map(|backend| backend.servers.iter().map(move |server| (backend, server)));
    let servers = servers.flat_map(|(backend, server)| {
        let name = format!("server {}/{}", backend.name, server.name);
        [
            cap(
                format!("{name}: connections (maxconn)"),
                or_none(server.maxconn),
            ),
            cap(
                format!("{name}: waiting requests (maxqueue)"),
                or_none(server.maxqueue),
            ),
            cap(
                format!("{name}: idle connections (pool-max-conn)"),
                or_none(server.pool_max),
            ),
        ]
    });
    frontends.chain(servers).collect()
}

fn or_derived(cap: Option<u32>) -> String {
    cap.map_or_else(
        || "derived from the machine".to_owned(),
        |cap| cap.to_string(),
    )
}

fn or_none(cap: Option<u32>) -> String {
    cap.map_or_else(|| "none of its own".to_owned(), |cap| cap.to_string())
}
