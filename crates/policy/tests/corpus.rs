//! Configurations that people have published: what HAProxy accepts is accepted, or refused for a reason that is not
//! the text's.

mod config_support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use config_support::{Outcome, load_text, shared};
use plimsoll_config::diagnostic::{Diagnostic, Kind, Severity};
use plimsoll_config::render;
use plimsoll_config::source::MemoryLoader;

/// What became of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// It would run.
    Loads,
    /// It would run on a machine that has what it names.
    LacksEnvironment,
    /// It needs something that is not implemented yet, or refused on purpose.
    Waits,
    /// The text itself is at fault.
    Faulty,
}

fn judge(outcome: &Outcome) -> Verdict {
    let lacking = |problem: &Diagnostic| problem.kind == Kind::Environment;
    let lacks = outcome.diagnostics.iter().any(lacking);
    let errors = outcome
        .diagnostics
        .iter()
        .filter(|problem| problem.severity == Severity::Error);
    let verdicts = errors.map(|problem| match problem.kind {
        // Advice is what a file's own `.alert` says when a variable is not set.
        Kind::Environment | Kind::Advice => Verdict::LacksEnvironment,
        Kind::NotImplemented | Kind::Refused => Verdict::Waits,
        // A line that a missing variable leaves empty is lost, and with it what it defines.
        Kind::Reference if lacks => Verdict::LacksEnvironment,
        _ => Verdict::Faulty,
    });
    verdicts.max().unwrap_or(Verdict::Loads)
}

/// Files whose text is at fault although the table does not say so: a host called `<…>`, a list of servers that a
/// template would have filled in, ports with paths behind them.
const FAULTY_AFTER_ALL: &[&str] = &["249af9d100.cfg", "6b8497044b.cfg", "bc6ed5f320.cfg"];

/// Lines that are wrong in files that nobody could load.
const WRONG_LINES: &[(&str, u32)] = &[
    ("7686b44ba3.cfg", 4),
    ("78a2bcdf95.cfg", 11),
    ("797e2752de.cfg", 1),
    ("797e2752de.cfg", 2),
    ("797e2752de.cfg", 6),
    ("80f606fcc5.cfg", 2),
    ("80f606fcc5.cfg", 40),
    ("80f606fcc5.cfg", 43),
    ("80f606fcc5.cfg", 47),
    ("af0917c74d.cfg", 18),
];

/// What a file may wait for and still count: each is a piece of work of its own.
const EXCUSED: &[&str] = &[
    "cache",
    "compression",
    "filter",
    "lua",
    "spoe",
    "ssl",
    "tls",
];

/// The least share of files, in per mille, that load with nothing refused but that.
const SHARE_MIN_PER_MILLE: usize = 984;

/// Whether nothing keeps the file from running but its environment and what is excused.
fn is_understood(outcome: &Outcome) -> bool {
    let waits = |problem: &&Diagnostic| {
        problem.severity == Severity::Error
            && matches!(problem.kind, Kind::NotImplemented | Kind::Refused)
    };
    let excused = |problem: &Diagnostic| {
        let text = problem.message.to_ascii_lowercase();
        EXCUSED.iter().any(|word| text.contains(word))
    };
    outcome.diagnostics.iter().filter(waits).all(excused)
}

#[test]
#[expect(clippy::print_stderr, reason = "a skip has to be seen")]
#[expect(
    clippy::print_stdout,
    reason = "the shares and the backlog are the result"
)]
fn published_configurations_are_understood() {
    let Ok(table) = fs::read_to_string(shared("corpus/haproxy/EXPECTED.tsv")) else {
        eprintln!("SKIPPED: there is no corpus of configurations beside this checkout");
        return;
    };
    let mut shares: BTreeMap<(String, Verdict), usize> = BTreeMap::new();
    let mut backlog: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut faults = String::new();
    let mut read = 0;
    let mut understood = (0, 0);
    for (name, expected) in table.lines().filter_map(|line| line.split_once('\t')) {
        let Ok(text) = fs::read(shared("corpus/haproxy").join(name)) else {
            continue;
        };
        read += 1;
        let outcome = load_text(name, text, MemoryLoader::new());
        let verdict = judge(&outcome);
        *shares.entry((expected.to_owned(), verdict)).or_default() += 1;
        if matches!(expected, "ok" | "ok-env" | "legacy") {
            understood.0 += usize::from(is_understood(&outcome));
            understood.1 += 1;
        }
        let broken = matches!(expected, "broken/other" | "template");
        let wrong = match broken {
            true => verdict == Verdict::Loads,
            false => verdict == Verdict::Faulty && !FAULTY_AFTER_ALL.contains(&name),
        };
        for problem in &outcome.diagnostics {
            if problem.severity < Severity::Error {
                continue;
            }
            if wrong {
                let line = render::one_line(problem, &outcome.sources);
                let _ = writeln!(faults, "{expected} {line}");
            }
            if matches!(problem.kind, Kind::NotImplemented | Kind::Refused) {
                backlog
                    .entry(problem.message.clone())
                    .or_default()
                    .insert(name.to_owned());
            }
        }
        for (_, line) in WRONG_LINES.iter().filter(|(file, _)| *file == name) {
            let errors = outcome
                .diagnostics
                .iter()
                .filter(|problem| problem.severity == Severity::Error);
            let mut lines = errors.map(|problem| {
                outcome
                    .sources
                    .location(problem.span.file, problem.span.start)
                    .line
            });
            if !lines.any(|found| found == *line) {
                let _ = writeln!(faults, "{expected} {name}: nothing is said of line {line}");
            }
        }
        let suspected = |problem: &Diagnostic| problem.message.contains("template");
        if expected == "template" && !outcome.diagnostics.iter().any(suspected) {
            let _ = writeln!(faults, "{expected} {name}: nobody says that it is one");
        }
        if wrong && verdict == Verdict::Loads {
            let _ = writeln!(faults, "{expected} {name}: loads");
        }
    }
    for ((expected, verdict), count) in &shares {
        println!("{expected:<14} {verdict:?}: {count}");
    }
    let mut backlog: Vec<_> = backlog
        .iter()
        .map(|(message, files)| (files.len(), message))
        .collect();
    backlog.sort_by(|a, b| b.cmp(a));
    for (count, message) in backlog {
        println!("{count:4} {message}");
    }
    let (good, all) = understood;
    let share = good * 1_000 / all.max(1);
    println!("{good} of {all} files wait for nothing but {EXCUSED:?}: {share} of 1000");
    assert!(share >= SHARE_MIN_PER_MILLE, "{good} of {all} files");
    assert!(read >= 100, "only {read} files of the corpus could be read");
    assert!(faults.is_empty(), "{faults}");
}
