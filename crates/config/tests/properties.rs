//! Whatever the bytes: no panic, an end, and spans that point into the text.

mod support;

use plimsoll_config::args::Word;
use plimsoll_config::braces::{self, Dialect};
use plimsoll_config::condition;
use plimsoll_config::diagnostic::{Diagnostic, FileId, Span};
use plimsoll_config::haproxy::{self, Parsed};
use plimsoll_config::render;
use plimsoll_config::source::{Environment, Sources};
use plimsoll_config::values::{self, AddressText, Network, TimeUnit};
use proptest::prelude::*;

fn read(text: &[u8]) -> Parsed {
    let mut environment: Environment = [("A", "one"), ("E", ""), ("L", " x  y ")]
        .into_iter()
        .collect();
    haproxy::parse_text(
        "t.cfg",
        text,
        &mut environment,
        &support::GRAMMAR,
        &support::Claims,
    )
}

fn within(span: Span, length: usize) {
    assert!(span.start <= span.end, "{span:?}");
    assert!(span.end as usize <= length, "{span:?} of {length}");
}

fn shown(diagnostics: &[Diagnostic], sources: &Sources, length: usize) {
    for problem in diagnostics {
        within(problem.span, length);
        assert!(!render::one_line(problem, sources).is_empty());
    }
    let text = render::text(diagnostics, sources, render::Style::default());
    assert_eq!(text.is_empty(), diagnostics.is_empty());
    assert!(render::json(diagnostics, sources).ends_with("]\n"));
}

fn braces(statements: &[braces::Statement], length: usize) {
    for statement in statements {
        assert!(!statement.words.is_empty());
        within(statement.span, length);
        for word in &statement.words {
            within(word.span, length);
        }
        if let Some(block) = &statement.block {
            within(block.span, length);
            braces(&block.statements, length);
        }
    }
}

/// Writes a word in one of the ways that read back as the same word.
fn write_word(word: &str, way: u8) -> String {
    let escaped = |specials: &str| {
        let escape = |c: char| match specials.contains(c) {
            true => format!("\\{c}"),
            false => c.to_string(),
        };
        word.chars().map(escape).collect::<String>()
    };
    match way % 3 {
        0 if !word.contains('\'') => format!("'{word}'"),
        1 => format!("\"{}\"", escaped("\"\\$")),
        _ => escaped(" \\'\"#"),
    }
}

proptest! {
    #[test]
    fn haproxy_reads_any_bytes(text in prop::collection::vec(any::<u8>(), 0..400)) {
        let parsed = read(&text);
        shown(&parsed.diagnostics, &parsed.sources, text.len());
    }

    #[test]
    fn haproxy_reads_anything_that_looks_like_itself(text in r#"(global|frontend f|backend b| setenv A "\$A\$A"|unsetenv A|\.(if|elif|else|endif) ?[0-9!&|()]{0,4}|\.alert x|[a-c"'\\$#{}\[\]*\- \t\r.]{0,12}|\n){0,40}"#) {
        let parsed = read(text.as_bytes());
        shown(&parsed.diagnostics, &parsed.sources, text.len());
        for section in &parsed.document.sections {
            within(section.span, text.len());
            for line in &section.lines {
                within(line.span, text.len());
                prop_assert!(!line.words.is_empty());
                for word in &line.words {
                    within(word.span, text.len());
                    prop_assert!(!word.text.is_empty());
                    prop_assert!(line.span.start <= word.span.start && word.span.end <= line.span.end);
                }
            }
        }
    }

    #[test]
    fn written_words_are_read_back(words in prop::collection::vec((r#"[a-z "'\\#$]{1,8}"#, any::<u8>()), 1..6)) {
        let written: Vec<_> = words.iter().map(|(word, way)| write_word(word, *way)).collect();
        let text = format!("global\nx {}\n", written.join(" "));
        let parsed = read(text.as_bytes());
        let line = &parsed.document.sections[0].lines[0];
        let found: Vec<_> = line.words[1..].iter().map(|word| word.text.as_str()).collect();
        let expected: Vec<_> = words.iter().map(|(word, _)| word.as_str()).collect();
        prop_assert_eq!(found, expected, "{}", text);
        for (word, written) in line.words[1..].iter().zip(&written) {
            prop_assert_eq!(parsed.sources.slice(word.span), written.as_str());
        }
    }

    #[test]
    fn braces_read_any_bytes(text in prop::collection::vec(any::<u8>(), 0..400)) {
        for dialect in [Dialect::KEEPALIVED, Dialect::NGINX] {
            let parsed = braces::parse(FileId(0), &text, &dialect);
            braces(&parsed.statements, text.len());
        }
    }

    #[test]
    fn braces_read_anything_that_looks_like_themselves(text in r#"[ab{};"'\\#!$ \r\n]{0,80}"#) {
        for dialect in [Dialect::KEEPALIVED, Dialect::NGINX] {
            let parsed = braces::parse(FileId(0), text.as_bytes(), &dialect);
            braces(&parsed.statements, text.len());
            let mut sources = Sources::new();
            sources.add("t.conf", text.clone().into_bytes());
            shown(&parsed.diagnostics, &sources, text.len());
        }
    }

    #[test]
    fn conditions_answer_or_explain(text in r#"([01]|!|&&|\|\||[()]| |,|"|'|\\|\$\{?A|streq|defined|feature|version_atleast|[a-z.\-]){0,20}"#) {
        let environment = Environment::new();
        if let Err(problem) = condition::evaluate(&text, &support::Claims, &environment) {
            within(problem.span, text.len());
            prop_assert!(!problem.message.is_empty());
        }
    }

    #[test]
    fn values_answer_or_explain(text in r"([0-9]{1,3}|[kmgsudh]|:|\*|\[|\]|-|\+|\.|/|@|,|[a-z]{1,4}@|é|\PC){0,10}") {
        let faults = [
            AddressText::parse(&text, Span::default()).err(),
            Network::parse(&text).err(),
            values::parse_duration(&text, TimeUnit::Milliseconds).err(),
            values::parse_size(&text).err(),
        ];
        for fault in faults.into_iter().flatten() {
            prop_assert!(text.get(fault.at.clone()).is_some(), "{:?} of {:?}", fault.at, text);
        }
        let word = Word::new(text.as_str(), Span::new(FileId(0), 5, 5 + text.len()));
        let line = [word];
        let mut args = plimsoll_config::args::Args::new(&line, line[0].span);
        if let Err(problem) = args.addresses("address") {
            within(problem.span, 5 + text.len());
        }
    }
}
