//! The paper: links lead somewhere, commands exist, nothing of the machine it was written on.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files;

/// Longest ARCHITECTURE.md, in lines: a map, not a book.
const ARCHITECTURE_LINES_MAX: usize = 200;

#[test]
fn relative_links_resolve() {
    let mut complaints = Vec::new();
    for path in files::with_extension("md") {
        let text = files::text(&path);
        for target in
            links(&text).filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let found = match file {
                "" => path.clone(),
                file => path.parent().unwrap_or_else(|| Path::new("")).join(file),
            };
            if !files::root().join(&found).exists() {
                complaints.push(format!(
                    "{} links to {target}, which is not there",
                    path.display()
                ));
            } else if !anchor.is_empty() && !has_heading(&files::text(&found), anchor) {
                complaints.push(format!(
                    "{} links to {target}, which has no such heading",
                    path.display()
                ));
            }
        }
    }
    files::expect_none(&complaints);
}

/// The targets of a text's links, outside of code.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ', '\n']).next())
        .filter(|target| !target.is_empty())
}

fn has_heading(text: &str, anchor: &str) -> bool {
    text.lines()
        .filter_map(|line| line.strip_prefix('#'))
        .map(|heading| slug(heading.trim_start_matches('#').trim()))
        .any(|heading| heading == anchor)
}

/// A heading as its anchor is written.
fn slug(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

#[test]
fn commands_of_the_documents_exist() {
    let help = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .arg("--help")
        .output()
        .expect("the binary runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let known: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|word| !word.is_empty())
        .collect();
    assert!(known.contains(&"run"), "{help}");
    let mut complaints = Vec::new();
    for path in user_documents() {
        for line in files::text(&path).lines() {
            if let Some(word) = subcommand(line).filter(|word| !known.contains(word)) {
                complaints.push(format!(
                    "{}: 'plimsoll {word}' does not exist",
                    path.display()
                ));
            }
        }
    }
    files::expect_none(&complaints);
}

fn user_documents() -> Vec<PathBuf> {
    let mut documents = files::with_extension("md");
    documents.retain(|path| path.starts_with("docs") || path == Path::new("README.md"));
    documents
}

/// The subcommand of a line that is a command: `plimsoll WORD …` or `cargo run … -- WORD …`.
fn subcommand(line: &str) -> Option<&str> {
    let line = line.trim_start_matches("$ ").trim_start_matches("sudo ");
    let rest = match line.strip_prefix("plimsoll ") {
        Some(rest) => rest,
        None => line.strip_prefix("cargo run ")?.split_once("-- ")?.1,
    };
    let word = rest.split(' ').next()?;
    let is_word = !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase());
    // In prose a line may begin with the name.
    (is_word && !line.ends_with(['.', ','])).then_some(word)
}

#[test]
fn subcommands_are_recognised() {
    let cases = [
        ("plimsoll run a.cfg", Some("run")),
        ("$ plimsoll check a.cfg", Some("check")),
        ("cargo run --release -- demo", Some("demo")),
        ("cargo run --release", None),
        ("plimsoll -f a.cfg", None),
        ("Plimsoll is a balancer", None),
    ];
    for (line, expected) in cases {
        assert_eq!(subcommand(line), expected, "{line}");
    }
}

#[test]
fn programs_of_the_documents_exist() {
    let mut complaints = Vec::new();
    for path in user_documents() {
        let text = files::text(&path);
        for program in ["bench/", ".ci/"] {
            let named = text
                .split(program)
                .skip(1)
                .filter_map(|rest| rest.split([' ', '`', '\n', ')', ',']).next())
                // The end of a sentence.
                .map(|name| name.trim_end_matches('.'));
            for name in named.filter(|name| !name.is_empty()) {
                if !files::root().join(program).join(name).exists() {
                    complaints.push(format!(
                        "{}: {program}{name} does not exist",
                        path.display()
                    ));
                }
            }
        }
    }
    files::expect_none(&complaints);
}

#[test]
fn the_map_stays_a_map() {
    let lines = files::text(Path::new("ARCHITECTURE.md")).lines().count();
    assert!(
        lines <= ARCHITECTURE_LINES_MAX,
        "ARCHITECTURE.md has {lines} lines"
    );
}

#[test]
fn nothing_of_the_machine_is_tracked() {
    // Written in pieces, so that this file does not accuse itself.
    let words = [
        ["/ro", "ot/"],
        ["/wo", "rk/"],
        ["/ho", "me/"],
        ["/tmp/tar", "get"],
        ["/tmp/", "hap"],
        ["art", "ifactory"],
        ["jfr", "og"],
        ["nexus/repo", "sitory"],
    ]
    .map(|parts| parts.concat());
    let mut complaints = Vec::new();
    for path in files::all() {
        let text = files::text(&path).to_lowercase();
        for word in words.iter().filter(|word| text.contains(word.as_str())) {
            complaints.push(format!("{} mentions {word}", path.display()));
        }
    }
    files::expect_none(&complaints);
}
