//! Whatever the bytes: no panic, an end, and spans that point into the text.

mod support;

use plimsoll_config::args::Word;
use plimsoll_config::condition;
use plimsoll_config::diagnostic::{FileId, Span};
use plimsoll_config::haproxy::{self, Parsed};
use plimsoll_config::source::Environment;
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
        support::read_haproxy(&text);
    }

    #[test]
    fn haproxy_reads_anything_that_looks_like_itself(text in r#"(global|frontend f|backend b| setenv A "\$A\$A"|unsetenv A|\.(if|elif|else|endif) ?[0-9!&|()]{0,4}|\.alert x|[a-c"'\\$#{}\[\]*\- \t\r.]{0,12}|\n){0,40}"#) {
        support::read_haproxy(text.as_bytes());
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
        support::read_braces(&text);
    }

    #[test]
    fn braces_read_anything_that_looks_like_themselves(text in r#"[ab{};"'\\#!$ \r\n]{0,80}"#) {
        support::read_braces(text.as_bytes());
    }

    #[test]
    fn conditions_answer_or_explain(text in r#"([01]|!|&&|\|\||[()]| |,|"|'|\\|\$\{?A|streq|defined|feature|version_atleast|[a-z.\-]){0,20}"#) {
        let environment = Environment::new();
        if let Err(problem) = condition::evaluate(&text, &support::Claims, &environment) {
            support::within(problem.span, text.len());
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
            support::within(problem.span, 5 + text.len());
        }
    }
}
