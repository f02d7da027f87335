//! Configurations that people have published: none that HAProxy understands is a syntax error here.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use plimsoll_config::braces::{self, Dialect};
use plimsoll_config::diagnostic::{Kind, Severity};
use plimsoll_config::haproxy;
use plimsoll_config::render;
use plimsoll_config::source::{Environment, Sources};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/haproxy")
}

#[test]
#[expect(clippy::print_stderr, reason = "a skip has to be seen")]
fn published_configurations_are_read() {
    let Ok(verdicts) = fs::read_to_string(corpus().join("EXPECTED.tsv")) else {
        eprintln!("SKIPPED: there is no corpus of configurations beside this checkout");
        return;
    };
    let mut read = 0;
    let mut faults = String::new();
    for line in verdicts.lines() {
        let Some((name, verdict)) = line.split_once('\t') else {
            continue;
        };
        let Ok(text) = fs::read(corpus().join(name)) else {
            continue;
        };
        read += 1;
        let mut environment = Environment::new();
        let parsed = haproxy::parse_text(
            name,
            text,
            &mut environment,
            &support::GRAMMAR,
            &support::Claims,
        );
        let understood = matches!(verdict.trim(), "ok" | "ok-env" | "legacy");
        for problem in &parsed.diagnostics {
            // Advice is what a file's own `.alert` says when a variable is not set.
            let expected = matches!(problem.kind, Kind::Environment | Kind::Advice);
            let grave = problem.severity == Severity::Error && !expected;
            if grave && understood {
                let line = render::one_line(problem, &parsed.sources);
                faults.push_str(&format!("{verdict} {line}\n"));
            }
        }
        if understood && parsed.document.sections.is_empty() {
            faults.push_str(&format!("{verdict} {name}: no section was found\n"));
        }
    }
    assert!(read >= 100, "only {read} files of the corpus could be read");
    assert!(faults.is_empty(), "{faults}");
}

/// Files whose braces do not match.
const BROKEN: [&str; 1] = ["b2244fa8c0.conf"];

/// The syntax errors in every file of a folder of the corpus.
fn syntax_errors(folder: &str, dialect: &Dialect) -> Option<(usize, String)> {
    let entries = fs::read_dir(corpus().join("..").join(folder)).ok()?;
    let mut read = 0;
    let mut faults = String::new();
    for entry in entries {
        let path = entry.expect("the corpus can be listed").path();
        let text = fs::read(&path).expect("the corpus can be read");
        let mut sources = Sources::new();
        let name = path.file_name().unwrap_or_default();
        let file = sources.add(name, text.clone());
        read += 1;
        let parsed = braces::parse(file, &text, dialect);
        let template = parsed.diagnostics.iter().any(|problem| {
            let message = problem.message.as_str();
            message.contains("template engine")
        });
        if template || BROKEN.iter().any(|broken| name == *broken) {
            continue;
        }
        for problem in &parsed.diagnostics {
            faults.push_str(&render::one_line(problem, &sources));
            faults.push('\n');
        }
    }
    Some((read, faults))
}

#[test]
#[expect(clippy::print_stderr, reason = "a skip has to be seen")]
fn published_files_with_braces_are_read() {
    for (folder, dialect) in [
        ("keepalived", Dialect::KEEPALIVED),
        ("nginx", Dialect::NGINX),
    ] {
        let Some((read, faults)) = syntax_errors(folder, &dialect) else {
            eprintln!("SKIPPED: there is no corpus of configurations beside this checkout");
            return;
        };
        assert!(read >= 40, "only {read} files of the corpus could be read");
        assert!(faults.is_empty(), "{folder}:\n{faults}");
    }
}
