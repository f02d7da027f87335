//! Lines that work, but hardly as they are meant: `plimsoll check --lint`.
//!
//! One file per lint, each with its row; [`look`] asks them about a configuration that loads. What is absent: what is wrong
//! with a configuration, which loading it tells.

mod acl_parts;
mod body_unread;
mod flag_behind;
mod list_of_one;
mod negative_number;
mod order;
mod shadowed;
mod uncased_host;
mod unreachable;
mod unused_acl;

use plimsoll_config::args::Word;
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};
use plimsoll_config::haproxy::{Document, Line, Section};

/// One lint.
pub struct Lint {
    /// Its name, as warnings show it.
    pub name: &'static str,
    /// What is wrong with such lines, in a sentence or two.
    pub doc: &'static str,
    /// HAProxy warns of such lines whenever it reads a configuration, and so is done here.
    pub usual: bool,
    /// Lines that it warns of, within a frontend.
    pub example: &'static str,
    /// How they are better written.
    pub better: &'static str,
    look: fn(&Proxy<'_>, &mut Findings),
}

/// Sorted.
pub const LINTS: &[Lint] = &[
    acl_parts::LINT,
    body_unread::LINT,
    flag_behind::LINT,
    list_of_one::LINT,
    negative_number::LINT,
    order::LINT,
    shadowed::LINT,
    uncased_host::LINT,
    unreachable::LINT,
    unused_acl::LINT,
];

/// Sections whose lines are looked at.
const SECTIONS: [&str; 4] = ["backend", "defaults", "frontend", "listen"];

/// One section, with what it takes over.
struct Proxy<'a> {
    section: &'a Section,
    /// The lines of the `defaults` section it takes over.
    inherited: &'a [Line],
}

impl<'a> Proxy<'a> {
    fn lines(&self) -> impl Iterator<Item = &'a Line> + use<'a> {
        self.section.lines.iter()
    }

    /// Whether a line of the section, or of its `defaults`, begins with these words.
    fn has(&self, words: &[&str]) -> bool {
        let mut lines = self.section.lines.iter().chain(self.inherited);
        lines.any(|line| begins(line, words))
    }
}

/// Collects what one lint has found.
struct Findings {
    name: &'static str,
    list: Vec<Diagnostic>,
}

impl Findings {
    fn add(&mut self, span: Span, message: impl std::fmt::Display, help: impl std::fmt::Display) {
        let message = format_args!("{message} [{}]", self.name);
        let warning = Diagnostic::warning(Kind::Advice, span, message);
        self.list.push(warning.help(help));
    }
}

/// What lints have to say of a configuration: all of them, or the usual ones.
pub fn look(document: &Document, all: bool) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut defaults: &[Line] = &[];
    for section in &document.sections {
        let name = section.keyword.text.as_str();
        if !SECTIONS.contains(&name) {
            continue;
        }
        let proxy = Proxy {
            section,
            inherited: if name == "defaults" {
                &[]
            } else {
                taken_over(document, section, defaults)
            },
        };
        for lint in LINTS.iter().filter(|lint| all || lint.usual) {
            let mut findings = Findings {
                name: lint.name,
                list: Vec::new(),
            };
            (lint.look)(&proxy, &mut findings);
            found.append(&mut findings.list);
        }
        if name == "defaults" {
            defaults = &section.lines;
        }
    }
    found.sort_by_key(|finding| (finding.span.file, finding.span.start));
    found
}

/// The lines of the `defaults` section that `from NAME` names, or else of the last one.
fn taken_over<'a>(document: &'a Document, section: &Section, last: &'a [Line]) -> &'a [Line] {
    let mut words = section
        .args
        .iter()
        .skip_while(|word| word.text != "from")
        .skip(1);
    let Some(name) = words.next() else {
        return last;
    };
    let mut sections = document.sections.iter();
    let named = sections.find(|section| {
        section.keyword.text == "defaults"
            && section.name().is_some_and(|own| own.text == name.text)
    });
    named.map_or(last, |section| &section.lines)
}

fn begins(line: &Line, words: &[&str]) -> bool {
    let known = line.words.iter().map(|word| word.text.as_str());
    known.take(words.len()).eq(words.iter().copied())
}

/// The words of a condition, `if` or `unless` first; `None`: the line always holds.
fn condition(line: &Line) -> Option<&[Word]> {
    let begins = |word: &Word| !word.quoted && matches!(word.text.as_str(), "if" | "unless");
    let start = line.words.iter().position(begins)?;
    Some(&line.words[start..])
}

/// The rule set that a line belongs to, such as `http-request`, and where the words of its action begin.
fn rule_set(line: &Line) -> Option<(String, usize)> {
    let word = |index: usize| line.words.get(index).map(|word| word.text.as_str());
    match (word(0)?, word(1)) {
        (first @ ("tcp-request" | "tcp-response"), Some(kind)) => {
            Some((format!("{first} {kind}"), 2))
        }
        (first @ ("http-request" | "http-response" | "http-after-response"), _) => {
            Some((first.to_owned(), 1))
        }
        _ => None,
    }
}

/// The criteria of a line: of an `acl` line, and of each pair of braces in a condition.
fn criteria(line: &Line) -> Vec<&[Word]> {
    if begins(line, &["acl"]) {
        return line.words.get(2..).into_iter().collect();
    }
    let mut found = Vec::new();
    let mut rest = condition(line).unwrap_or_default();
    while let Some(open) = rest
        .iter()
        .position(|word| word.text.trim_start_matches('!') == "{")
    {
        rest = &rest[open + 1..];
        let close = rest
            .iter()
            .position(|word| word.text == "}" && !word.quoted);
        let close = close.unwrap_or(rest.len());
        found.push(&rest[..close]);
        rest = rest.get(close + 1..).unwrap_or_default();
    }
    found
}

/// The name of a sample with what stands between its parentheses.
fn sample(text: &str) -> (&str, &str) {
    let end = text.find(['(', ',']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let inner = rest
        .strip_prefix('(')
        .and_then(|rest| rest.split(')').next());
    (name, inner.unwrap_or_default())
}

/// The page that describes all lints.
pub fn reference() -> String {
    let mut page = "# Lints\n\nMade from the rows in `crates/policy/src/lint`; do not edit. \
        `UPDATE_DOCS=1 cargo test -p plimsoll-policy --test keyword` writes it again.\n\n\
        `plimsoll check --lint FILE` warns of lines that load and run, but hardly as they are meant.\n"
        .to_owned();
    for lint in LINTS {
        let always = match lint.usual {
            true => " Told without `--lint` as well, as by HAProxy.",
            false => "",
        };
        page += &format!(
            "\n## {}\n\n{}{always}\n\n```\n{}\n```\n\nBetter:\n\n```\n{}\n```\n",
            lint.name, lint.doc, lint.example, lint.better
        );
    }
    page
}
