//! What the tests and the fuzz targets share: a grammar, a program that claims nothing special, and the promises that
//! hold for any text.
#![allow(dead_code, reason = "no test file uses all of it")]

use plimsoll_config::braces::{self, Dialect};
use plimsoll_config::condition::{Conditions, LibraryVersion, Version};
use plimsoll_config::diagnostic::{DIAGNOSTICS_MAX, Diagnostic, FileId, Span};
use plimsoll_config::haproxy::{self, Grammar};
use plimsoll_config::render;
use plimsoll_config::source::{Environment, Sources};

pub(crate) const GRAMMAR: Grammar = Grammar {
    sections: &[
        "acme",
        "backend",
        "cache",
        "crt-store",
        "defaults",
        "fcgi-app",
        "frontend",
        "global",
        "healthcheck",
        "http-errors",
        "listen",
        "log-forward",
        "log-profile",
        "mailers",
        "peers",
        "program",
        "resolvers",
        "ring",
        "traces",
        "userlist",
    ],
    environment_section: "global",
    scopes: false,
    diagnose: false,
};

pub(crate) struct Claims;

impl Conditions for Claims {
    fn version(&self) -> Version {
        Version::development(3, 5, 5)
    }

    fn feature(&self, name: &str) -> bool {
        matches!(name, "OPENSSL" | "THREAD")
    }

    fn openssl_version(&self) -> Option<LibraryVersion> {
        Some(LibraryVersion::new(3, 0, 0))
    }

    fn ssl_library(&self) -> Option<&str> {
        Some("OpenSSL")
    }
}

/// Reads a text as the grammar of line sections, and checks what every outcome promises.
pub(crate) fn read_haproxy(text: &[u8]) {
    let mut environment: Environment = [("A", "one"), ("E", ""), ("L", " x  y ")]
        .into_iter()
        .collect();
    let parsed = haproxy::parse_text("t.cfg", text, &mut environment, &GRAMMAR, &Claims);
    check_diagnostics(&parsed.diagnostics, &parsed.sources, text.len());
    for section in &parsed.document.sections {
        within(section.span, text.len());
        for line in &section.lines {
            within(line.span, text.len());
            assert!(!line.words.is_empty());
            for word in &line.words {
                within(word.span, text.len());
                assert!(!word.text.is_empty());
                assert!(line.span.start <= word.span.start && word.span.end <= line.span.end);
            }
        }
    }
}

/// Reads a text as the grammar of words and braces, and checks what every outcome promises.
pub(crate) fn read_braces(text: &[u8]) {
    let mut sources = Sources::new();
    sources.add("t.conf", text.to_vec());
    for dialect in [Dialect::KEEPALIVED, Dialect::NGINX] {
        let parsed = braces::parse(FileId(0), text, &dialect);
        check_statements(&parsed.statements, text.len());
        check_diagnostics(&parsed.diagnostics, &sources, text.len());
    }
}

fn check_statements(statements: &[braces::Statement], length: usize) {
    for statement in statements {
        assert!(!statement.words.is_empty());
        within(statement.span, length);
        for word in &statement.words {
            within(word.span, length);
        }
        if let Some(block) = &statement.block {
            within(block.span, length);
            check_statements(&block.statements, length);
        }
    }
}

fn check_diagnostics(diagnostics: &[Diagnostic], sources: &Sources, length: usize) {
    assert!(diagnostics.len() <= DIAGNOSTICS_MAX + 1);
    for problem in diagnostics {
        within(problem.span, length);
        assert!(!render::one_line(problem, sources).contains('\x1b'));
    }
    let text = render::text(diagnostics, sources, render::Style::default());
    assert_eq!(text.is_empty(), diagnostics.is_empty());
    assert!(!text.contains('\x1b'));
    assert!(render::json(diagnostics, sources).ends_with("]\n"));
}

pub(crate) fn within(span: Span, length: usize) {
    assert!(span.start <= span.end, "{span:?}");
    assert!(span.end as usize <= length, "{span:?} of {length}");
}
