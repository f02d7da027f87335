//! Lints warn of their own examples, and of nothing else.

mod config_support;

use std::path::PathBuf;

use config_support::{load_text, shared};
use plimsoll_config::diagnostic::Severity;
use plimsoll_config::haproxy;
use plimsoll_config::source::{Environment, MemoryLoader};
use plimsoll_policy::keyword::haproxy::GRAMMAR;
use plimsoll_policy::lint::{self, LINTS};

/// The names of the lints that warn of a text.
fn warned(name: &str, text: impl Into<Vec<u8>>) -> Vec<String> {
    let loader = MemoryLoader::new().file(name, text);
    let parsed = haproxy::parse(
        &[PathBuf::from(name)],
        &loader,
        &mut Environment::new(),
        &GRAMMAR,
        &config_support::Claims,
    );
    let found = lint::look(&parsed.document, true);
    let names = found.iter().map(|finding| {
        assert_eq!(finding.severity, Severity::Warning);
        let (_, name) = finding
            .message
            .rsplit_once('[')
            .expect("a name in brackets");
        name.trim_end_matches(']').to_owned()
    });
    names.collect()
}

/// A whole configuration around the lines of a frontend.
fn whole(lines: &str) -> String {
    let lines = lines.replace('\n', "\n    ");
    format!(
        "defaults\n    mode http\n    timeout client 1s\n    timeout server 1s\n    timeout connect 1s\n\
         backend a\nbackend b\nfrontend f\n    bind :80\n    {lines}\n    default_backend a\n"
    )
}

#[test]
fn each_lint_warns_of_its_example_alone() {
    assert!(LINTS.windows(2).all(|pair| pair[0].name < pair[1].name));
    for lint in LINTS {
        let (bad, good) = (whole(lint.example), whole(lint.better));
        for text in [&bad, &good] {
            let outcome = load_text("lint.cfg", text.as_str(), MemoryLoader::new());
            assert!(outcome.model.is_some(), "{}: {text}", lint.name);
        }
        let found = warned("lint.cfg", bad);
        assert!(!found.is_empty(), "{}: nothing is said", lint.name);
        assert!(
            found.iter().all(|name| name == lint.name),
            "{}: {found:?}",
            lint.name
        );
        assert_eq!(warned("lint.cfg", good), [""; 0], "{}", lint.name);
        assert!(lint.doc.ends_with('.'), "{}", lint.name);
    }
}

#[test]
fn what_is_common_is_not_warned_of() {
    for lines in [
        "acl a path /a\nacl a path /b\nhttp-request deny if a",
        "acl a path /a\nhttp-request set-var(txn.a) acl(!a)",
        "acl a path /a\nhttp-request deny if !a",
        "http-request deny if { req.hdr(host),lower www.a.test }",
        "http-request deny if { req.hdr(host) -m found }",
        "tcp-request inspect-delay 5s\ntcp-request content accept\nhttp-request deny if { path /a }",
        "http-request wait-for-body time 1s\nhttp-request deny if { req.body -m sub a }",
        "http-request deny if { req.body_size gt 10 }",
        "use_backend a if { path /a }\nuse_backend b if { path /b }",
    ] {
        assert_eq!(warned("lint.cfg", whole(lines)), [""; 0], "{lines}");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skip has to be seen")]
#[expect(clippy::print_stdout, reason = "the counts are the result")]
fn published_configurations_are_looked_at() {
    let Ok(table) = std::fs::read_to_string(shared("corpus/haproxy/EXPECTED.tsv")) else {
        eprintln!("SKIPPED: there is no corpus of configurations beside this checkout");
        return;
    };
    let mut counts = std::collections::BTreeMap::new();
    for (name, _) in table.lines().filter_map(|line| line.split_once('\t')) {
        let Ok(text) = std::fs::read(shared("corpus/haproxy").join(name)) else {
            continue;
        };
        for lint in warned(name, text) {
            *counts.entry(lint).or_insert(0) += 1;
        }
    }
    println!("{counts:?}");
}
