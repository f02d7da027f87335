//! Standing where HAProxy stands: called by its name, or with its flags.
//!
//! Init scripts, containers and test suites made for HAProxy drive the program through this file. What is absent:
//! the master process of `-W` and `-Ws` ([`crate::master`]).

mod arguments;
mod version;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use arguments::{Arguments, OldProcesses, Task};
use plimsoll_config::condition;
use plimsoll_config::source::Environment;
use plimsoll_policy::model::{Bind, Global, Model};
use plimsoll_sys::process;
use plimsoll_sys::signal::Signal;

use crate::claims::Claims;
use crate::configuration::{self, Configuration, Request};
use crate::console;
use crate::master::{self, Call};
use crate::reload::Source;
use crate::service::{self, Life};

/// Exit status of `-cc` when the condition cannot be read.
const EXIT_CONDITION_UNREADABLE: u8 = 2;

/// Exit status of `-c` when nothing is wrong and nothing would listen.
const EXIT_NOTHING_TO_DO: u8 = 2;

const USAGE: &str = "\
Usage : haproxy [-f <cfgfile|cfgdir>]* [ -vdVD ] [ -n <maxconn> ] [ -N <maxpconn> ]
        [ -p <pidfile> ] [ -C <dir> ] [ -L <name> ] [-- <cfgfile>*]
        -v shows the version ; -vv what is built in ; -vq, -vqs, -vqb the number alone.
        -c checks the files and exits ; -cc evaluates a condition and exits.
        -D goes to the background ; -d or -db stay in the foreground.
        -W starts a master and a worker ; -Ws notifies the service manager too.
        -q says nothing that is no error ; -V says more.
        -n sets the most connections of the process ; -N of a proxy that sets none.
        -C changes the directory first ; -p writes a pid file ; -L names us among peers.
        -sf/-st [pid ]* let old processes finish / end them, once we listen.
        -dW makes warnings fatal ; -dD shows .diag messages ; -dS never splices.
        -x takes over the listeners of the process behind this command socket.
        -S opens the master's command socket: 'reload', 'show proc', '@1 COMMAND'.
        Other -d words, -m and -4 are accepted without effect.
";

/// Whether the words are meant for HAProxy: the program is called so, or the first word is one of its flags.
pub(crate) fn is_meant(program: &OsStr, first: Option<&OsString>) -> bool {
    let name = Path::new(program).file_name().unwrap_or_default();
    if name.as_encoded_bytes().starts_with(b"haproxy") {
        return true;
    }
    // `-h` and `-V` alone are everybody's habit; HAProxy's own `-V` never comes alone or first.
    first.is_some_and(|word| {
        let word = word.as_encoded_bytes();
        word.starts_with(b"-") && !word.starts_with(b"--") && word != b"-h" && word != b"-V"
    })
}

/// Does what HAProxy's command line says; the result is the exit status.
///
/// # Errors
/// Whatever keeps the balancer from starting.
pub(crate) fn main(program: &OsStr, words: Vec<OsString>) -> anyhow::Result<u8> {
    let mut arguments = match arguments::parse(words.clone()) {
        Ok(arguments) => arguments,
        Err(problem) => return Ok(refuse(&problem)),
    };
    // What a program says to itself is not said again.
    let own = if arguments.carried.is_some() { 2 } else { 0 };
    let call = Call::note(program.to_owned(), words.into_iter().skip(own).collect())?;
    if let Some(worker) = &arguments.worker {
        obey_master(worker.predecessor.clone(), &mut arguments);
    }
    match &arguments.task {
        Task::Version(asked) => {
            console::print(&version::text(*asked));
            Ok(0)
        }
        Task::Condition(text) => Ok(evaluate(text)),
        Task::Check | Task::Run if arguments.files.is_empty() => {
            Ok(refuse("no configuration file given ('-f')"))
        }
        Task::Check => check(&arguments),
        Task::Run => run(program, &arguments, call),
    }
}

/// A worker does nothing that is its master's to do; one that follows another has nothing of the first start to do.
fn obey_master(predecessor: Option<PathBuf>, arguments: &mut Arguments) {
    arguments.notify = false;
    arguments.daemon = false;
    arguments.foreground = true;
    arguments.master_socket = None;
    arguments.pidfile = None;
    // What there is to say has been said by the master.
    arguments.quiet = true;
    if predecessor.is_some() {
        arguments.old = None;
        arguments.predecessor = predecessor;
    }
}

fn refuse(problem: &str) -> u8 {
    console::report(&format!(
        "{}{USAGE}\nplimsoll: {problem}\n",
        version::short()
    ));
    1
}

/// `-cc`: 0 true, 1 false, 2 unreadable.
fn evaluate(text: &str) -> u8 {
    let environment: Environment = configuration::process_environment();
    match condition::evaluate(text, &Claims::default(), &environment) {
        Ok(holds) => u8::from(!holds),
        Err(problem) => {
            console::complain(&format!("condition '{text}': {}", problem.message));
            EXIT_CONDITION_UNREADABLE
        }
    }
}

fn check(arguments: &Arguments) -> anyhow::Result<u8> {
    let configuration = load(arguments)?;
    if !is_acceptable(&configuration, arguments) {
        return Ok(1);
    }
    if !configuration.has_listener() {
        console::report("The configuration has no error but nothing to listen on.\n");
        return Ok(EXIT_NOTHING_TO_DO);
    }
    if !arguments.quiet {
        console::print("Configuration file is valid\n");
    }
    Ok(0)
}

fn run(program: &OsStr, arguments: &Arguments, call: Call) -> anyhow::Result<u8> {
    let mut configuration = load(arguments)?;
    let acceptable = is_acceptable(&configuration, arguments);
    let serves = acceptable && configuration.has_listener();
    let is_master = arguments.master && arguments.worker.is_none();
    if is_master && arguments.carried.is_some() && !serves {
        // The old worker goes on; the new one is going to fail, and to be told of.
        return watch_over(program, arguments, call, &Global::default());
    }
    if !acceptable {
        return Ok(1);
    }
    if !configuration.has_listener() {
        console::complain("nothing to listen on: no frontend has a 'bind' line");
        return Ok(1);
    }
    let Some(mut model) = configuration.model.take() else {
        return Ok(1);
    };
    if is_master {
        return watch_over(program, arguments, call, &model.global);
    }
    if !arguments.quiet && !arguments.without_effect.is_empty() {
        let words = arguments.without_effect.join("', '");
        console::complain(&format!("without effect in this version: '{words}'"));
    }
    let limits = Limits::of(arguments)?;
    limits.apply(&mut model);
    let life = Life {
        remarks: configuration.plain_problems(),
        source: Some(Source {
            request: request(arguments),
            warnings_fatal: arguments.warnings_fatal,
            adjust: Arc::new(move |model| limits.apply(model)),
            seen: Arc::new(Mutex::new(configuration.looked_at)),
        }),
        ..life(program, arguments, &model.global)?
    };
    service::serve(model, &life)
}

/// Becomes a master.
fn watch_over(
    program: &OsStr,
    arguments: &Arguments,
    call: Call,
    global: &Global,
) -> anyhow::Result<u8> {
    let door = match &arguments.master_socket {
        Some(text) => command_socket(text)?,
        None => Vec::new(),
    };
    let mut life = life(program, arguments, global)?;
    life.background &= arguments.carried.is_none();
    let carried = arguments.carried.as_deref();
    service::beside(life.background, |ready| {
        master::serve(call, &door, carried, &life, ready)
    })
}

/// What the command line says beside the files, at the start and with each reload.
#[derive(Clone, Debug)]
struct Limits {
    maxconn: Option<u32>,
    maxconn_proxy: Option<u32>,
    splice: bool,
    /// The command socket of our master.
    door: Vec<Bind>,
}

impl Limits {
    fn of(arguments: &Arguments) -> anyhow::Result<Self> {
        let door = match (&arguments.worker, &arguments.master_socket) {
            (Some(worker), _) => {
                // It is ours, and not for programs that checks run.
                process::set_inherited(worker.door, false)?;
                command_socket(&format!("fd@{},expose-fd,listeners", worker.door))?
            }
            (None, Some(text)) => command_socket(text)?,
            (None, None) => Vec::new(),
        };
        Ok(Self {
            door,
            maxconn: arguments.maxconn,
            maxconn_proxy: arguments.maxconn_proxy,
            splice: !arguments.no_splice,
        })
    }

    fn apply(&self, model: &mut Model) {
        model.global.maxconn = self.maxconn.or(model.global.maxconn);
        for frontend in &mut model.frontends {
            frontend.maxconn = frontend.maxconn.or(self.maxconn_proxy);
        }
        model.global.tune.splice &= self.splice;
        model.global.stats_sockets.extend(self.door.clone());
    }
}

/// The command socket that `-S ADDRESS[,OPTION…]` asks for; the options are those of a `stats socket` line.
fn command_socket(text: &str) -> anyhow::Result<Vec<Bind>> {
    let mut words = text.split(',');
    let address = words.next().unwrap_or_default();
    let options = words.collect::<Vec<_>>().join(" ");
    let line = format!("global\n    stats socket {address} level admin {options}\n");
    let configuration = configuration::load_text("-S", line);
    console::report(&configuration.problems(false));
    let model = configuration.model.context("'-S' cannot be understood")?;
    Ok(model.global.stats_sockets)
}

fn life(program: &OsStr, arguments: &Arguments, global: &Global) -> anyhow::Result<Life> {
    let name = Path::new(program).file_name().unwrap_or_default();
    let (old, old_signal) = match &arguments.old {
        Some(OldProcesses { pids, finish }) => {
            let signal = if *finish {
                Signal::User1
            } else {
                Signal::Terminate
            };
            (
                pids.iter().map(|pid| pid.unsigned_abs()).collect(),
                Some(signal),
            )
        }
        None => (Vec::new(), None),
    };
    Ok(Life {
        name: name.to_string_lossy().into_owned(),
        background: (arguments.daemon || global.daemon)
            && !arguments.foreground
            && !arguments.notify
            && arguments.worker.is_none(),
        line: match &arguments.worker {
            Some(worker) => Some(Arc::new(process::claim(worker.line)?.into())),
            None => None,
        },
        notify: arguments.notify,
        quiet: arguments.quiet || global.quiet,
        pidfile: match &arguments.worker {
            Some(_) => None,
            None => arguments.pidfile.clone().or_else(|| global.pidfile.clone()),
        },
        predecessor: arguments.predecessor.clone(),
        old,
        old_signal,
        ..Life::default()
    })
}

fn load(arguments: &Arguments) -> anyhow::Result<Configuration> {
    if let Some(directory) = &arguments.directory {
        std::env::set_current_dir(directory).map_err(|error| {
            anyhow::anyhow!("cannot change to {}: {error}", directory.display())
        })?;
    }
    Ok(configuration::load(&request(arguments)))
}

fn request(arguments: &Arguments) -> Request {
    Request {
        files: arguments.files.clone(),
        claims: Claims {
            splice: !arguments.no_splice,
        },
        lint: false,
        bears_unknown_hosts: arguments.bears_unknown_hosts,
        diagnose: arguments.diagnose,
        local_peer: arguments.local_peer.clone(),
        master: arguments.master,
    }
}

/// Tells what is wrong, and whether the configuration may be used all the same.
fn is_acceptable(configuration: &Configuration, arguments: &Arguments) -> bool {
    let (errors, warnings) = configuration.counts();
    if errors > 0 || !arguments.quiet {
        console::report(&configuration.problems(arguments.verbose));
    }
    let fatal_warnings = arguments.warnings_fatal && warnings > 0;
    if fatal_warnings && errors == 0 {
        console::complain("warnings are fatal here ('-dW')");
    }
    errors == 0 && !fatal_warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_meant() {
        let cases = [
            ("/usr/sbin/haproxy", None, true),
            ("haproxy-3.5", Some("run"), true),
            ("plimsoll", Some("-f"), true),
            ("plimsoll", Some("-vv"), true),
            ("plimsoll", Some("-cc"), true),
            ("plimsoll", Some("-dM"), true),
            ("plimsoll", Some("run"), false),
            ("plimsoll", Some("--version"), false),
            ("plimsoll", Some("-V"), false),
            ("plimsoll", Some("-h"), false),
            ("plimsoll", None, false),
        ];
        for (program, first, expected) in cases {
            let first = first.map(OsString::from);
            assert_eq!(
                is_meant(OsStr::new(program), first.as_ref()),
                expected,
                "{program} {first:?}"
            );
        }
    }
}
