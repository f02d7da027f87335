//! From files on the command line to a model and everything that is wrong with it.
//!
//! This is where the pure crates meet the machine: its files, its resolver, its users, its variables.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use plimsoll_config::diagnostic::{Diagnostic, Severity};
use plimsoll_config::haproxy::{Grammar, parse};
use plimsoll_config::render::{self, Style};
use plimsoll_config::source::{Environment, FILE_BYTES_MAX, Loader, MemoryLoader, Sources};
use plimsoll_policy::keyword::haproxy::{self, Context, Dummy, Machine};
use plimsoll_policy::lint;
use plimsoll_policy::log_format::STANDARD_FORMATS;
use plimsoll_policy::model::Model;
use plimsoll_sys::{process, user};

use crate::claims::{Claims, HAPROXY_BRANCH, HAPROXY_VERSION_TEXT};
use crate::console;
use crate::dialect::{self, Dialect};

/// Most addresses taken from one answer of the resolver.
const ADDRESSES_MAX: usize = 64;

/// The files of a command, by their names alone or as HAProxy takes them.
#[derive(Args, Clone, Debug)]
#[group(multiple = false)]
pub(crate) struct FileArgs {
    /// Files, or directories whose *.cfg files are read in the order of their names.
    #[arg(id = "files", value_name = "FILE")]
    plain: Vec<PathBuf>,

    /// The same, for those who are used to it; may be given several times.
    #[arg(id = "file", short = 'f', long = "file", value_name = "FILE")]
    flagged: Vec<PathBuf>,
}

impl FileArgs {
    /// All of them, in order.
    pub(crate) fn list(&self) -> &[PathBuf] {
        match self.plain.is_empty() {
            true => &self.flagged,
            false => &self.plain,
        }
    }
}

/// What to load, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Files and directories, in order.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) claims: Claims,
    /// Whether `.diag` messages are wanted.
    pub(crate) diagnose: bool,
    /// Our name among peers, where it is not the machine's.
    pub(crate) local_peer: Option<String>,
    /// Whether a master process was asked for (`HAPROXY_MWORKER`).
    pub(crate) master: bool,
    /// Whether lines are told that hardly mean what they say.
    pub(crate) lint: bool,
    /// Whether servers whose names cannot be resolved are no error (`-dr`).
    pub(crate) bears_unknown_hosts: bool,
}

/// A configuration as far as it could be understood.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// What it means; absent when it has errors.
    pub(crate) model: Option<Model>,
    /// The files that the diagnostics point into.
    pub(crate) sources: Sources,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Every file and folder that was looked at, as it was then.
    pub(crate) looked_at: Sights,
}

/// Files and folders, and what they were known by. `None`: it was not there.
pub(crate) type Sights = BTreeMap<PathBuf, Option<Mark>>;

/// What tells whether a file is still the same: its place, the time of its last change, its length.
pub(crate) type Mark = (u64, i64, i64, u64);

/// What a file is known by now.
pub(crate) fn mark(path: &Path) -> Option<Mark> {
    let found = fs::metadata(path).ok()?;
    let (seconds, nanoseconds) = (found.mtime(), found.mtime_nsec());
    Some((found.ino(), seconds, nanoseconds, found.len()))
}

impl Configuration {
    /// How many errors and how many warnings there are.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let count = |severity| {
            let problems = self.diagnostics.iter();
            problems
                .filter(|problem| problem.severity == severity)
                .count()
        };
        (count(Severity::Error), count(Severity::Warning))
    }

    /// Whether anything would accept clients or commands.
    pub(crate) fn has_listener(&self) -> bool {
        self.model.as_ref().is_some_and(|model| {
            let bound = |frontend: &plimsoll_policy::model::Frontend| {
                !frontend.disabled && !frontend.binds.is_empty()
            };
            !model.global.stats_sockets.is_empty() || model.frontends.iter().any(bound)
        })
    }

    /// The problems for a person who wants to start, without the notes unless asked for.
    pub(crate) fn problems(&self, notes: bool) -> String {
        let style = Style {
            color: console::color_on_stderr(),
            ..Style::default()
        };
        self.problems_in(style, notes)
    }

    /// The problems for whoever reads a log or an answer.
    pub(crate) fn plain_problems(&self) -> String {
        let style = Style {
            color: false,
            ..Style::default()
        };
        self.problems_in(style, false)
    }

    fn problems_in(&self, style: Style, notes: bool) -> String {
        let problems: Vec<_> = self
            .diagnostics
            .iter()
            .filter(|problem| notes || problem.severity > Severity::Note)
            .cloned()
            .collect();
        render::text(&problems, &self.sources, style)
    }
}

/// Reads and understands files of HAProxy's language.
pub(crate) fn load(request: &Request) -> Configuration {
    load_with(request, &Files::default())
}

/// The same for a text that never was a file.
pub(crate) fn load_text(name: &str, text: String) -> Configuration {
    let request = Request {
        files: vec![PathBuf::from(name)],
        ..Request::default()
    };
    let text = MemoryLoader::new().file(name, text);
    let files = Files::default();
    load_from(&request, &text, &files)
}

fn load_with(request: &Request, files: &Files) -> Configuration {
    load_from(request, files, files)
}

/// Reads the configuration through `loader`, and the files it names through `files`.
fn load_from(request: &Request, loader: &dyn Loader, files: &Files) -> Configuration {
    let mut environment = environment(request);
    let grammar = Grammar {
        diagnose: request.diagnose,
        ..haproxy::GRAMMAR
    };
    for (name, format) in STANDARD_FORMATS {
        environment.set(name, format);
    }
    let parsed = parse(
        &request.files,
        loader,
        &mut environment,
        &grammar,
        &request.claims,
    );
    for (name, _) in STANDARD_FORMATS {
        environment.remove(name);
    }
    let context = Context {
        files,
        machine: &ThisMachine {
            bears_unknown_hosts: request.bears_unknown_hosts,
        },
        sources: &parsed.sources,
        environment: &environment,
    };
    let loaded = haproxy::load(&parsed.document, &context);
    let model = loaded.model.filter(|_| !parsed.has_errors());
    if let Some(model) = &model {
        model.lists.locate(&parsed.sources);
    }
    let mut diagnostics = parsed.diagnostics;
    diagnostics.extend(loaded.diagnostics);
    if model.is_some() {
        diagnostics.extend(lint::look(&parsed.document, request.lint));
    }
    diagnostics.sort_by_key(|problem| (problem.span.file, problem.span.start));
    Configuration {
        model,
        sources: parsed.sources,
        diagnostics,
        looked_at: files.looked_at.take(),
    }
}

/// The files that are written in another language than HAProxy's.
pub(crate) fn foreign_files(files: &[PathBuf]) -> Vec<(&Path, Dialect)> {
    let reader = Files::default();
    let foreign = |path: &PathBuf| reader.read(path).ok().map(|text| dialect::of(&text));
    files
        .iter()
        .filter_map(|path| Some((path.as_path(), foreign(path)?)))
        .filter(|(_, dialect)| *dialect != Dialect::Haproxy)
        .collect()
}

/// Says that the files are of a language that is not read yet.
pub(crate) fn refuse_foreign(foreign: &[(&Path, Dialect)]) {
    for (path, dialect) in foreign {
        console::complain(&format!(
            "{}: this is a configuration of {dialect}, which is not implemented yet; this version reads HAProxy's",
            path.display()
        ));
    }
}

/// The variables of this process.
pub(crate) fn process_environment() -> Environment {
    std::env::vars_os()
        .map(|(name, value)| (name.into_vec(), value.into_vec()))
        .collect()
}

/// The variables of this process, and those HAProxy sets for its files.
fn environment(request: &Request) -> Environment {
    let mut environment = process_environment();
    let files: Vec<&[u8]> = request
        .files
        .iter()
        .map(|path| path.as_os_str().as_bytes())
        .collect();
    environment.set("HAPROXY_CFGFILES", files.join(&b';'));
    environment.set("HAPROXY_BRANCH", HAPROXY_BRANCH);
    environment.set("HAPROXY_STARTUP_VERSION", HAPROXY_VERSION_TEXT);
    let peer = match &request.local_peer {
        Some(name) => name.clone().into_bytes(),
        None => process::host_name().unwrap_or_default().into_vec(),
    };
    environment.set("HAPROXY_LOCALPEER", peer);
    if request.master {
        environment.set("HAPROXY_MWORKER", "1");
    }
    environment
}

/// The file system, and what was looked at in it.
#[derive(Debug, Default)]
struct Files {
    looked_at: RefCell<Sights>,
}

impl Files {
    fn note(&self, path: &Path) {
        let mut sights = self.looked_at.borrow_mut();
        sights.entry(path.to_owned()).or_insert_with(|| mark(path));
    }
}

impl Loader for Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.note(path);
        let mut text = Vec::new();
        // One byte more than is accepted, so that the excess is noticed, and no more: it may be a device.
        let limit = FILE_BYTES_MAX as u64 + 1;
        File::open(path)?.take(limit).read_to_end(&mut text)?;
        Ok(text)
    }

    fn list(&self, path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
        self.note(path);
        if !fs::metadata(path)?.is_dir() {
            return Ok(None);
        }
        let entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
        entries.collect::<io::Result<_>>().map(Some)
    }
}

/// The machine this process runs on.
struct ThisMachine {
    bears_unknown_hosts: bool,
}

impl Machine for ThisMachine {
    fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in (host, 0).to_socket_addrs()?.take(ADDRESSES_MAX) {
            if !addresses.contains(&address.ip()) {
                addresses.push(address.ip());
            }
        }
        Ok(addresses)
    }

    fn bears_unknown_hosts(&self) -> bool {
        self.bears_unknown_hosts
    }

    fn user_id(&self, name: &str) -> Option<u32> {
        let user = user::user_by_name(name).ok()?;
        user.map(|user| user.uid)
    }

    fn group_id(&self, name: &str) -> Option<u32> {
        user::group_by_name(name).ok()?
    }

    fn dummy(&self, wish: &Dummy) -> io::Result<Vec<u8>> {
        plimsoll_engine::dummy_certificate(wish)
    }
}
