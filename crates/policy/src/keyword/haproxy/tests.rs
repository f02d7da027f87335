//! What holds for every row, and that no word of HAProxy's is missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn sorted(names: &[&str]) {
    for pair in names.windows(2) {
        assert!(
            pair[0] < pair[1],
            "'{}' stands before '{}'",
            pair[0],
            pair[1]
        );
    }
}

#[test]
fn lists_are_sorted_and_unique() {
    for topic in topics() {
        sorted(&topic.iter().map(|row| row.name).collect::<Vec<_>>());
    }
    sorted(&bind::OPTIONS.iter().map(|row| row.name).collect::<Vec<_>>());
    sorted(
        &server::OPTIONS
            .iter()
            .map(|row| row.name)
            .collect::<Vec<_>>(),
    );
    sorted(section::NAMES);
}

#[test]
fn no_two_rows_claim_one_word_in_one_section() {
    for (name, rows) in index() {
        for (at, row) in rows.iter().enumerate() {
            let clash = rows[at + 1..]
                .iter()
                .any(|other| other.sections.meets(row.sections));
            assert!(!clash, "'{name}' has two rows for one section");
        }
    }
}

#[test]
fn rows_explain_themselves() {
    let lines = keywords().map(|row| (row.name, row.doc, row.status, true));
    let binds = bind::OPTIONS
        .iter()
        .map(|row| (row.name, row.doc, row.status, true));
    let servers = server::OPTIONS
        .iter()
        .map(|row| (row.name, row.doc, row.status, true));
    for (name, doc, status, _) in lines.chain(binds).chain(servers) {
        assert!(doc.ends_with('.'), "the doc of '{name}' is no sentence");
        let remark = match status {
            Status::Implemented => continue,
            Status::Legacy(text)
            | Status::NoOp(text)
            | Status::Dormant(text)
            | Status::Deferred(text)
            | Status::NotYet(text) => text,
            Status::Refused { reason, .. } => reason,
        };
        assert!(!remark.is_empty(), "'{name}' does not say why");
    }
}

#[test]
fn inert_rows_read_their_own_usage() {
    for row in keywords().filter(|row| matches!(row.read, Reading::Form)) {
        for token in row.usage.split_whitespace() {
            let known = token.trim_matches(['[', ']', '.']);
            assert!(
                !known.is_empty(),
                "'{}' has the empty token '{token}'",
                row.name
            );
        }
    }
}

/// Words that the registry of HAProxy does not list, because they are read elsewhere.
const ELSEWHERE: &[&str] = &[
    "balance",
    "bind",
    "default-server",
    "default_backend",
    "fullconn",
    "hash-type",
    "http-reuse",
    "maxconn",
    "mode",
    "option httplog",
    "option redispatch",
    "retries",
    "server",
    "server-template",
    "source",
    "use_backend",
];

fn vocabulary(file: &str) -> Option<String> {
    let folder: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/research/haproxy-vocabulary");
    fs::read_to_string(folder.join(file)).ok()
}

#[test]
#[expect(clippy::print_stderr, reason = "a skip has to be seen")]
fn every_keyword_of_haproxy_is_known() {
    let Some(text) = vocabulary("config.txt") else {
        eprintln!("SKIPPED: there is no vocabulary of HAProxy beside this checkout");
        return;
    };
    let mut missing = BTreeSet::new();
    let mut section = "";
    let mut seen = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(line) = line.strip_prefix('\t') else {
            section = line.trim();
            if !matches!(section, "crt-list") && !section::NAMES.contains(&section) {
                missing.insert(format!("section {section}"));
            }
            continue;
        };
        seen += 1;
        if !known(section, line) {
            missing.insert(format!("{section}: {line}"));
        }
    }
    for name in ELSEWHERE {
        if !index().contains_key(name) {
            missing.insert((*name).to_owned());
        }
    }
    assert!(seen > 500, "only {seen} words were read");
    assert!(missing.is_empty(), "unknown: {missing:#?}");
}

/// Whether a line of the vocabulary has its row.
fn known(section: &str, line: &str) -> bool {
    let words: Vec<_> = line.split_whitespace().collect();
    let option = |at: usize| {
        words
            .get(at)
            .copied()
            .filter(|word| *word != "ssl" || words.len() == at + 1)
    };
    let action = |list: &[&str], at: usize| {
        words
            .get(at)
            .is_some_and(|word| list.contains(&word.trim_end_matches('*')))
    };
    match (section, words[0], words.get(1).copied()) {
        ("listen", "bind", Some(_)) => {
            let name = option(2).unwrap_or_else(|| words[3]);
            bind::OPTIONS.iter().any(|row| row.name == name)
        }
        ("listen", "server", Some(_)) => server::OPTIONS.iter().any(|row| row.name == words[3]),
        ("listen", "option", Some(name)) => index().contains_key(format!("option {name}").as_str()),
        ("listen", "http-request", Some(_)) => action(names::actions::HTTP_REQUEST, 1),
        ("listen", "http-response", Some(_)) => action(names::actions::HTTP_RESPONSE, 1),
        ("listen", "http-after-response", Some(_)) => {
            action(names::actions::HTTP_AFTER_RESPONSE, 1)
        }
        ("listen", "tcp-request", Some("connection")) => {
            action(names::actions::TCP_REQUEST_CONNECTION, 2)
        }
        ("listen", "tcp-request", Some("session")) => {
            action(names::actions::TCP_REQUEST_SESSION, 2)
        }
        ("listen", "tcp-request", Some("content")) => {
            action(names::actions::TCP_REQUEST_CONTENT, 2)
        }
        ("listen", "tcp-response", Some("content")) => {
            action(names::actions::TCP_RESPONSE_CONTENT, 2)
        }
        ("listen" | "global", head, _) => {
            let family = format!("{head} ");
            index()
                .keys()
                .any(|name| *name == head || name.starts_with(&family))
        }
        // Sections that are known as a whole.
        _ => true,
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skip has to be seen")]
fn every_name_of_the_rule_language_is_known() {
    let lists: [(&str, &[&[&str]]); 5] = [
        ("samples.txt", &[names::samples::SAMPLES]),
        ("converters.txt", &[names::converters::CONVERTERS]),
        ("acls.txt", &[names::acls::ACLS]),
        ("filters.txt", &[names::filters::FILTERS]),
        ("services.txt", &[names::filters::SERVICES]),
    ];
    for (file, known) in lists {
        let Some(text) = vocabulary(file) else {
            eprintln!("SKIPPED: there is no vocabulary of HAProxy beside this checkout");
            return;
        };
        for line in text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        {
            let line = line
                .rsplit("] ")
                .next()
                .filter(|_| line.starts_with("[ "))
                .unwrap_or(line);
            let name = line.split(['(', ':', ' ']).next().unwrap_or_default();
            assert!(
                known.iter().any(|list| list.contains(&name)),
                "{file}: '{name}'"
            );
        }
    }
}
