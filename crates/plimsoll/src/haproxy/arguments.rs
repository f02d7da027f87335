//! HAProxy's command line, read as HAProxy reads it.
//!
//! Its words begin with one dash and may be longer than a letter (`-dM`, `-cc`, `-Ws`), so no library of GNU habits
//! fits. What is absent: any effect. This file turns words into [`Arguments`] and nothing else.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Most process ids taken behind `-sf` and `-st`.
const OLD_PIDS_MAX: usize = 1024;

/// What HAProxy's command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) task: Task,
    /// `-f` and what follows `--`, in order; files or directories.
    pub(crate) files: Vec<PathBuf>,
    /// `-W` or `-Ws`: signals end the process with 128 and their number.
    pub(crate) master: bool,
    /// `-Ws`: tell the service manager when ready.
    pub(crate) notify: bool,
    /// `-D`: go to the background once listening.
    pub(crate) daemon: bool,
    /// `-d` or `-db`: stay in the foreground even when the file says `daemon`.
    pub(crate) foreground: bool,
    /// `-q`.
    pub(crate) quiet: bool,
    /// `-V`.
    pub(crate) verbose: bool,
    /// `-dW`: a warning is as bad as an error.
    pub(crate) warnings_fatal: bool,
    /// `-dD`: show `.diag` messages.
    pub(crate) diagnose: bool,
    /// `-dr`: servers whose names cannot be resolved are down instead of wrong.
    pub(crate) bears_unknown_hosts: bool,
    /// `-dS`: no splice(2).
    pub(crate) no_splice: bool,
    /// `-p`.
    pub(crate) pidfile: Option<PathBuf>,
    /// `-C`: the directory to work in.
    pub(crate) directory: Option<PathBuf>,
    /// `-n`: most connections of the process.
    pub(crate) maxconn: Option<u32>,
    /// `-N`: most connections of a proxy that sets none.
    pub(crate) maxconn_proxy: Option<u32>,
    /// `-L`: our name among peers.
    pub(crate) local_peer: Option<String>,
    /// `-S`: one more command socket, `ADDRESS[,OPTION…]`.
    pub(crate) master_socket: Option<String>,
    /// `-worker DOOR,LINE[,PREDECESSOR]`, from our own master: descriptors of a command socket and of the line to the
    /// master, and the command socket of the worker to follow.
    pub(crate) worker: Option<Worker>,
    /// `-master STATE`, from the program that this process was before.
    pub(crate) carried: Option<String>,
    /// `-x`: the command socket of a process that hands its listeners over.
    pub(crate) predecessor: Option<PathBuf>,
    /// `-sf` and `-st`: processes to end once we listen.
    pub(crate) old: Option<OldProcesses>,
    /// Words that were understood but do nothing here, for a notice.
    pub(crate) without_effect: Vec<String>,
}

/// The one thing to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Task {
    #[default]
    Run,
    /// `-c`: check the configuration and exit.
    Check,
    /// `-cc`: evaluate a condition and exit.
    Condition(String),
    /// `-v` and its longer forms: print and exit.
    Version(Version),
}

/// What to print about the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// `-v`
    Short,
    /// `-vv`
    Full,
    /// `-vq`: the number alone.
    Number,
    /// `-vqs`: the number without what follows a dash.
    NumberShort,
    /// `-vqb`: the first two parts of the number.
    Branch,
}

/// What a worker is told by its master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Worker {
    pub(crate) door: i32,
    pub(crate) line: i32,
    pub(crate) predecessor: Option<PathBuf>,
}

impl Worker {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ',');
        Some(Self {
            door: parts.next()?.parse().ok()?,
            line: parts.next()?.parse().ok()?,
            predecessor: parts.next().map(PathBuf::from),
        })
    }
}

/// Processes that hand over to this one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OldProcesses {
    pub(crate) pids: Vec<i32>,
    /// `-sf`: let them finish; `-st`: end them at once.
    pub(crate) finish: bool,
}

/// The words not read yet.
struct Words {
    words: std::iter::Peekable<std::vec::IntoIter<OsString>>,
}

impl Words {
    fn value(&mut self, flag: &str) -> Result<OsString, String> {
        self.words
            .next()
            .ok_or_else(|| format!("'{flag}' wants an argument"))
    }

    fn number(&mut self, flag: &str) -> Result<u32, String> {
        let value = self.value(flag)?;
        let text = value.to_string_lossy();
        text.parse()
            .map_err(|_| format!("'{flag}' wants a number, not '{text}'"))
    }

    fn pids(&mut self, flag: &str) -> Result<Vec<i32>, String> {
        let mut pids = Vec::new();
        while let Some(word) = self
            .words
            .next_if(|word| !word.to_string_lossy().starts_with('-'))
        {
            // An init script may pass all ids as one word: `-sf "$(cat pidfile)"`.
            for text in word.to_string_lossy().split_ascii_whitespace() {
                match text.parse() {
                    Ok(pid) if pid > 0 && pids.len() < OLD_PIDS_MAX => pids.push(pid),
                    _ => return Err(format!("'{flag}' wants process ids, not '{text}'")),
                }
            }
        }
        Ok(pids)
    }
}

/// Reads the words behind the program's name.
///
/// # Errors
/// One sentence about the first word that cannot be understood.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Arguments, String> {
    let words: Vec<OsString> = words.into_iter().collect();
    let mut words = Words {
        words: words.into_iter().peekable(),
    };
    let mut arguments = Arguments::default();
    while let Some(word) = words.words.next() {
        let flag = word.to_string_lossy();
        if flag == "--" {
            arguments.files.extend(words.words.map(PathBuf::from));
            break;
        }
        if !flag.starts_with('-') {
            return Err(format!("'{flag}' is no option; files follow '-f' or '--'"));
        }
        if let Some(version) = version(&flag) {
            arguments.task = Task::Version(version);
            break;
        }
        read(&flag, &mut words, &mut arguments)?;
    }
    Ok(arguments)
}

fn version(flag: &str) -> Option<Version> {
    match flag {
        "-v" => Some(Version::Short),
        "-vv" => Some(Version::Full),
        "-vq" => Some(Version::Number),
        "-vqs" => Some(Version::NumberShort),
        "-vqb" => Some(Version::Branch),
        _ => None,
    }
}

fn read(flag: &str, words: &mut Words, arguments: &mut Arguments) -> Result<(), String> {
    match flag {
        "-c" if !matches!(arguments.task, Task::Condition(_)) => arguments.task = Task::Check,
        "-c" => {}
        "-cc" => {
            let condition = words.value(flag)?;
            arguments.task = Task::Condition(condition.to_string_lossy().into_owned());
        }
        "-f" => arguments.files.push(words.value(flag)?.into()),
        "-p" => arguments.pidfile = Some(words.value(flag)?.into()),
        "-C" => arguments.directory = Some(words.value(flag)?.into()),
        "-n" => arguments.maxconn = Some(words.number(flag)?).filter(|number| *number > 0),
        "-N" => arguments.maxconn_proxy = Some(words.number(flag)?).filter(|number| *number > 0),
        "-L" => {
            let name = words.value(flag)?;
            arguments.local_peer = Some(name.to_string_lossy().into_owned());
        }
        "-m" => {
            let limit = words.number(flag)?;
            arguments.without_effect.push(format!("-m {limit}"));
        }
        "-x" => {
            // Scripts name /dev/null when there is no older process.
            let socket = PathBuf::from(words.value(flag)?);
            arguments.predecessor = Some(socket).filter(|path| path != Path::new("/dev/null"));
        }
        "-S" => {
            let socket = words.value(flag)?;
            arguments.master_socket = Some(socket.to_string_lossy().into_owned());
        }
        "-sf" | "-st" => {
            let pids = words.pids(flag)?;
            let finish = flag == "-sf";
            arguments.old = Some(OldProcesses { pids, finish }).filter(|old| !old.pids.is_empty());
        }
        "-worker" => {
            let text = words.value(flag)?;
            let worker = Worker::read(&text.to_string_lossy());
            arguments.worker = Some(worker.ok_or("'-worker' is for masters alone")?);
        }
        "-master" => {
            let state = words.value(flag)?;
            arguments.carried = Some(state.to_string_lossy().into_owned());
        }
        "-W" => arguments.master = true,
        "-Ws" => (arguments.master, arguments.notify) = (true, true),
        "-D" => arguments.daemon = true,
        "-q" => arguments.quiet = true,
        "-V" => arguments.verbose = true,
        "-4" => arguments.without_effect.push(flag.to_owned()),
        _ => return debug_flag(flag, words, arguments),
    }
    Ok(())
}

/// The family `-d?`. Its unknown members are tolerated, because every HAProxy version has others.
fn debug_flag(flag: &str, words: &mut Words, arguments: &mut Arguments) -> Result<(), String> {
    match flag {
        "-d" | "-db" => arguments.foreground = true,
        "-dW" => arguments.warnings_fatal = true,
        "-dD" => arguments.diagnose = true,
        "-dr" => arguments.bears_unknown_hosts = true,
        "-dS" => arguments.no_splice = true,
        // How HAProxy manages memory, waits for events and copies bytes inside is its own affair, and external
        // checks need no permission here: nothing is lost when these are left out.
        "-dI" | "-dR" | "-de" | "-dk" | "-dp" | "-dv" | "-dF" | "-dZ" | "-dG" | "-dT" => {}
        _ if flag.starts_with("-dM") => {}
        "-dt" => {
            // Its argument may be a word of its own.
            let _ = words
                .words
                .next_if(|word| !word.to_string_lossy().starts_with('-'));
            arguments.without_effect.push(flag.to_owned());
        }
        _ if flag.starts_with("-d") => arguments.without_effect.push(flag.to_owned()),
        _ => return Err(format!("unknown option '{flag}'")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, String> {
        parse(line.split_ascii_whitespace().map(OsString::from))
    }

    #[test]
    fn the_lines_of_init_scripts_containers_and_test_suites() {
        let debian =
            read("-Ws -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid -S /run/master.sock");
        assert_eq!(
            debian,
            Ok(Arguments {
                files: vec!["/etc/haproxy/haproxy.cfg".into()],
                master: true,
                notify: true,
                pidfile: Some("/run/haproxy.pid".into()),
                master_socket: Some("/run/master.sock".to_owned()),
                ..Arguments::default()
            })
        );
        let container = read("-W -db -f /usr/local/etc/haproxy/haproxy.cfg");
        assert_eq!(
            container,
            Ok(Arguments {
                files: vec!["/usr/local/etc/haproxy/haproxy.cfg".into()],
                master: true,
                foreground: true,
                ..Arguments::default()
            })
        );
        let suite = read("-d -dM -dI -dW -f a.cfg -L us -m 100 -n 20");
        assert_eq!(
            suite,
            Ok(Arguments {
                files: vec!["a.cfg".into()],
                foreground: true,
                warnings_fatal: true,
                local_peer: Some("us".to_owned()),
                maxconn: Some(20),
                without_effect: vec!["-m 100".to_owned()],
                ..Arguments::default()
            })
        );
    }

    #[test]
    fn tasks() {
        let cases = [
            ("-c -f a", Task::Check),
            ("-dM -dI -cc 1", Task::Condition("1".to_owned())),
            ("-c -cc 1 -c", Task::Condition("1".to_owned())),
            ("-v", Task::Version(Version::Short)),
            ("-dM -vv", Task::Version(Version::Full)),
            ("-vq -f", Task::Version(Version::Number)),
            ("-vqs", Task::Version(Version::NumberShort)),
            ("-vqb", Task::Version(Version::Branch)),
            ("-D -f a", Task::Run),
        ];
        for (line, task) in cases {
            assert_eq!(read(line).map(|read| read.task), Ok(task), "{line}");
        }
    }

    #[test]
    fn files_follow_a_flag_or_two_dashes() {
        let read = read("-f a -f conf.d -- b -c").unwrap();
        assert_eq!(read.files, ["a", "conf.d", "b", "-c"].map(PathBuf::from));
        assert_eq!(read.task, Task::Run);
    }

    #[test]
    fn old_processes_may_come_as_one_word_or_as_none() {
        let words = ["-sf", "12 13", "14", "-c"].map(OsString::from);
        let old = OldProcesses {
            pids: vec![12, 13, 14],
            finish: true,
        };
        let arguments = parse(words).unwrap();
        assert_eq!((arguments.old, arguments.task), (Some(old), Task::Check));
        assert_eq!(read("-st").unwrap().old, None);
    }

    #[test]
    fn unknown_debug_words_are_tolerated_and_others_are_not() {
        assert_eq!(read("-dQ7").unwrap().without_effect, ["-dQ7"]);
        assert_eq!(read("-dt h1 -c").unwrap().task, Task::Check);
        let cases = [
            ("-f", "'-f' wants an argument"),
            ("-cc", "'-cc' wants an argument"),
            ("-n many", "'-n' wants a number, not 'many'"),
            ("-sf 12 x", "'-sf' wants process ids, not 'x'"),
            ("-st 0", "'-st' wants process ids, not '0'"),
            ("-y", "unknown option '-y'"),
            ("--frobnicate", "unknown option '--frobnicate'"),
            ("a.cfg", "'a.cfg' is no option; files follow '-f' or '--'"),
        ];
        for (line, expected) in cases {
            assert_eq!(read(line), Err(expected.to_owned()), "{line}");
        }
    }
}
