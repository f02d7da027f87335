//! One way of comparing with the patterns of one list, arranged so that many patterns cost little more than few.
//!
//! Whole texts, beginnings, ends, parts between delimiters, networks and single numbers are found through hashes; ranges,
//! parts of texts and regular expressions are tried one after the other. Which of several patterns counts is HAProxy's
//! choice: the longest of beginnings (where case matters) and networks, the first one otherwise.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::memmem::Finder;
use regex::bytes::{Captures, RegexBuilder};

use crate::value::Value;

use super::entry::Entry;
use super::expression::{Expression, problem};
use super::hash::Side;
use super::method::Method;
use super::networks::{Net, Networks};
use super::numbers::{Numbers, Range};
use super::row::Row;
use super::texts::Texts;

/// Largest compiled form of one regular expression.
pub(crate) const REGEX_BYTES_MAX: usize = 1 << 20;

/// What delimits parts for [`Method::Directory`] and [`Method::Domain`].
const DIRECTORY: &[u8] = b"/?";
const DOMAIN: &[u8] = b"/?.:";

/// The form of a pattern that one method compares with.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// The bytes as written.
    Written,
    Range(Range),
    Net(Net),
    Regex(Expression),
    Part(Box<Finder<'static>>),
    Bytes(Vec<u8>),
}

impl Form {
    /// Understands a pattern.
    ///
    /// # Errors
    /// What is wrong with it, in HAProxy's words where scripts may look for them.
    pub(super) fn parse(method: Method, ignore_case: bool, pattern: &[u8]) -> Result<Self, String> {
        let text = || {
            let wrong = |_| format!("'{}' is not text", pattern.escape_ascii());
            std::str::from_utf8(pattern).map_err(wrong)
        };
        Ok(match method {
            Method::Integer | Method::Length => Self::Range(Range::parse(text()?)?),
            Method::Ip => Self::Net(Net::parse(text()?)?),
            Method::Regex => {
                let expression = RegexBuilder::new(text()?)
                    .case_insensitive(ignore_case)
                    .unicode(false)
                    .size_limit(REGEX_BYTES_MAX)
                    .build();
                let regex = expression
                    .map_err(|error| format!("not a regular expression: {}", problem(&error)))?;
                Self::Regex(Expression::new(regex, ignore_case))
            }
            Method::Binary => {
                let bytes = crate::sample::unhex(text()?);
                let wrong = || {
                    let written = pattern.escape_ascii();
                    format!("'{written}' are no pairs of hexadecimal digits")
                };
                Self::Bytes(bytes.ok_or_else(wrong)?)
            }
            Method::Substring => Self::Part(Box::new(
                Finder::new(&*folded(pattern, ignore_case)).into_owned(),
            )),
            _ => Self::Written,
        })
    }
}

/// The patterns of a list in the form that one method needs. Copies are cheap.
#[derive(Clone, Debug)]
pub(super) struct Index {
    method: Method,
    ignore_case: bool,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Whatever the patterns are.
    Any(Row<()>),
    Texts(Texts),
    Numbers(Numbers),
    Networks(Networks),
    Expressions(Row<Expression>),
    Parts(Row<Finder<'static>>),
    Binaries(Row<Arc<[u8]>>),
}

impl Index {
    pub(super) fn new(method: Method, ignore_case: bool) -> Self {
        let texts = |side, delimiters| Kind::Texts(Texts::new(side, ignore_case, delimiters));
        let kind = match method {
            Method::Found | Method::Boolean => Kind::Any(Row::default()),
            Method::Integer | Method::Length => Kind::Numbers(Numbers::default()),
            Method::Ip => Kind::Networks(Networks::default()),
            Method::Regex => Kind::Expressions(Row::default()),
            Method::Substring => Kind::Parts(Row::default()),
            Method::Binary => Kind::Binaries(Row::default()),
            Method::Text | Method::Prefix => texts(Side::Front, b""),
            Method::Suffix => texts(Side::Back, b""),
            Method::Directory => texts(Side::Front, DIRECTORY),
            Method::Domain => texts(Side::Front, DOMAIN),
        };
        Self {
            method,
            ignore_case,
            kind,
        }
    }

    pub(super) fn is(&self, method: Method, ignore_case: bool) -> bool {
        (self.method, self.ignore_case) == (method, ignore_case)
    }

    /// See [`Form::parse`].
    pub(super) fn form(&self, pattern: &[u8]) -> Result<Form, String> {
        Form::parse(self.method, self.ignore_case, pattern)
    }

    /// Adds an entry that is newer than all others, with its form for this method.
    pub(super) fn add(&mut self, form: Form, entry: &Entry) {
        match (&mut self.kind, form) {
            (Kind::Texts(texts), _) => texts.add(entry),
            (Kind::Numbers(numbers), Form::Range(range)) => numbers.add(range, entry),
            (Kind::Networks(networks), Form::Net(net)) => networks.add(net, entry),
            (Kind::Expressions(row), Form::Regex(expression)) => row.push(expression, entry),
            (Kind::Parts(row), Form::Part(part)) => row.push(*part, entry),
            (Kind::Binaries(row), Form::Bytes(bytes)) => row.push(bytes.into(), entry),
            (Kind::Any(row), _) => row.push((), entry),
            // A method has forms of one kind only.
            _ => {}
        }
    }

    /// Puts an entry with another value in place of the one with the same number and pattern.
    pub(super) fn replace(&mut self, entry: &Entry) {
        match &mut self.kind {
            Kind::Any(row) => row.replace(entry),
            Kind::Texts(texts) => texts.replace(entry),
            Kind::Expressions(row) => row.replace(entry),
            Kind::Parts(row) => row.replace(entry),
            Kind::Binaries(row) => row.replace(entry),
            Kind::Numbers(_) | Kind::Networks(_) => {
                let form = Form::parse(self.method, self.ignore_case, entry.pattern());
                match (&mut self.kind, form) {
                    (Kind::Numbers(numbers), Ok(Form::Range(range))) => {
                        numbers.replace(range, entry);
                    }
                    (Kind::Networks(networks), Ok(Form::Net(net))) => networks.replace(net, entry),
                    // It was understood when it was added.
                    _ => {}
                }
            }
        }
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        match &mut self.kind {
            Kind::Any(row) => row.remove(entry.id()),
            Kind::Texts(texts) => texts.remove(entry),
            Kind::Expressions(row) => row.remove(entry.id()),
            Kind::Parts(row) => row.remove(entry.id()),
            Kind::Binaries(row) => row.remove(entry.id()),
            Kind::Numbers(_) | Kind::Networks(_) => {
                let form = Form::parse(self.method, self.ignore_case, entry.pattern());
                match (&mut self.kind, form) {
                    (Kind::Numbers(numbers), Ok(Form::Range(range))) => {
                        numbers.remove(range, entry.id());
                    }
                    (Kind::Networks(networks), Ok(Form::Net(net))) => {
                        networks.remove(net, entry.id())
                    }
                    // It was understood when it was added.
                    _ => {}
                }
            }
        }
    }

    /// The entry that `value` satisfies.
    pub(super) fn find(&self, value: Value<'_>) -> Option<&Entry> {
        match &self.kind {
            Kind::Any(row) => match self.method {
                Method::Boolean if value.as_boolean() != Some(true) => None,
                _ => row.find(|()| true),
            },
            Kind::Numbers(numbers) => match self.method {
                Method::Length => numbers.find(value.into_text().len() as i64),
                _ => numbers.find(value.as_integer()?),
            },
            Kind::Networks(networks) => networks.find(value.as_address()?),
            Kind::Expressions(row) => {
                let text = value.into_text();
                row.find(|expression| expression.is_match(&text))
            }
            Kind::Parts(row) => {
                let text = value.into_text();
                let text = folded(&text, self.ignore_case);
                row.find(|part| part.find(&text).is_some())
            }
            Kind::Binaries(row) => {
                let bytes = value.into_binary();
                row.find(|known| **known == *bytes)
            }
            Kind::Texts(texts) => {
                let text = value.into_text();
                match self.method {
                    Method::Text => texts.whole(&text),
                    Method::Prefix if !self.ignore_case => texts.longest(&text),
                    Method::Prefix | Method::Suffix => texts.oldest(&text),
                    _ => texts.between(&text),
                }
            }
        }
    }

    /// The first regular expression that matches, and what its groups matched.
    pub(super) fn find_groups<'t>(&self, text: &'t [u8]) -> Option<(&Entry, Captures<'t>)> {
        match &self.kind {
            Kind::Expressions(row) => row.find_map(|expression| expression.captures(text)),
            _ => None,
        }
    }

    /// The entries whose pattern is exactly this, the oldest first; for [`Method::Text`] alone.
    pub(super) fn same<'s>(&'s self, pattern: &[u8]) -> impl Iterator<Item = &'s Entry> {
        let slot = match &self.kind {
            Kind::Texts(texts) => texts.slot(pattern),
            _ => None,
        };
        slot.into_iter().flat_map(|slot| slot.entries())
    }
}

/// The text, in lower case where case does not matter.
pub(super) fn folded(text: &[u8], ignore_case: bool) -> Cow<'_, [u8]> {
    if ignore_case && text.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(method: Method, ignore_case: bool, patterns: &[&str]) -> Index {
        let mut index = Index::new(method, ignore_case);
        for (id, pattern) in (0..).zip(patterns) {
            let entry = Entry::new(id, pattern.as_bytes(), None);
            let form = index.form(entry.pattern());
            let form = form.unwrap_or_else(|error| panic!("{pattern}: {error}"));
            index.add(form, &entry);
        }
        index
    }

    #[track_caller]
    fn check(
        method: Method,
        ignore_case: bool,
        patterns: &[&str],
        cases: &[(&str, Option<usize>)],
    ) {
        // Few patterns are searched in another way than many: what more there are here is like none of the texts.
        let strangers: Vec<_> = match method {
            Method::Text | Method::Prefix | Method::Suffix => (0..20)
                .map(|number| format!("\u{1}{number}\u{1}"))
                .collect(),
            _ => Vec::new(),
        };
        let mut many = patterns.to_vec();
        many.extend(strangers.iter().map(String::as_str));
        for patterns in [patterns, many.as_slice()] {
            let index = index(method, ignore_case, patterns);
            for (text, expected) in cases {
                let found = index.find(Value::text(text.as_bytes()));
                let expected = expected.map(|place| place as u64);
                assert_eq!(found.map(|entry| entry.id()), expected, "{method:?} {text}");
            }
        }
    }

    #[test]
    fn texts_are_found_whole_or_at_an_end() {
        check(
            Method::Text,
            false,
            &["a", "B", "a"],
            &[("a", Some(0)), ("b", None), ("B", Some(1)), ("", None)],
        );
        check(Method::Text, true, &["Ab"], &[("aB", Some(0)), ("a", None)]);
        // The longest beginning counts, unless case does not.
        let beginnings = ["/", "/a/", "/a", "a-text-of-more-than-eight-bytes"];
        let long = "a-text-of-more-than-eight-bytes-and-more";
        check(
            Method::Prefix,
            false,
            &beginnings,
            &[
                ("/a/b", Some(1)),
                ("/ab", Some(2)),
                ("/", Some(0)),
                ("a", None),
                (long, Some(3)),
            ],
        );
        check(
            Method::Prefix,
            true,
            &beginnings,
            &[("/a/b", Some(0)), (long, Some(3)), ("A-TEXT", None)],
        );
        check(
            Method::Suffix,
            true,
            &[".png", "x.png"],
            &[("/A.PNG", Some(0)), ("ax.png", Some(0)), ("png", None)],
        );
    }

    #[test]
    fn parts_of_texts_are_found() {
        check(
            Method::Substring,
            false,
            &["bc", "", "x"],
            &[("abcd", Some(0)), ("acx", Some(1))],
        );
        check(Method::Substring, true, &["Bc"], &[("aBCd", Some(0))]);
        check(
            Method::Directory,
            false,
            &["/img/", "a/b", "/"],
            &[
                ("/x/img/y", Some(0)),
                ("/imgs", None),
                ("/a/b?c", Some(1)),
                ("/a/bc", None),
            ],
        );
        check(
            Method::Domain,
            true,
            &["example.org", "www"],
            &[
                ("www.Example.org:80", Some(0)),
                ("example.org", Some(0)),
                ("anexample.org", None),
                ("a.www.b", Some(1)),
            ],
        );
    }

    #[test]
    fn numbers_and_networks_are_found() {
        check(
            Method::Integer,
            false,
            &["5", "10:20", "100:", "15", "-3"],
            &[
                ("5", Some(0)),
                ("15", Some(1)),
                ("1000", Some(2)),
                ("6", None),
                ("3", Some(4)),
            ],
        );
        check(
            Method::Length,
            false,
            &["0-2"],
            &[("ab", Some(0)), ("abc", None)],
        );
        check(
            Method::Ip,
            false,
            &[
                "10.0.0.0/8",
                "10.1.0.0/255.255.0.0",
                "::1",
                "0.0.5.0/0.0.255.0",
                "::/0",
            ],
            &[
                ("10.2.0.1", Some(0)),
                ("10.1.0.1", Some(1)),
                ("::1", Some(2)),
                ("::ffff:10.1.2.3", Some(4)),
                ("11.0.5.1", Some(4)),
            ],
        );
        check(
            Method::Ip,
            false,
            &["0.0.5.0/0.0.255.0", "10.0.0.0/8"],
            &[
                ("11.0.5.1", Some(0)),
                ("11.0.6.1", None),
                ("2002:a01:203::1", Some(1)),
                ("64:ff9b::a01:203", None),
            ],
        );
    }

    #[test]
    fn expressions_match_in_order_and_truth_needs_no_patterns() {
        check(
            Method::Regex,
            true,
            &["^a+$", r"\.php"],
            &[("AAA", Some(0)), ("x.PHP", Some(1)), ("b", None)],
        );
        check(
            Method::Boolean,
            false,
            &["0"],
            &[("1", Some(0)), ("0", None)],
        );
        check(
            Method::Binary,
            false,
            &["6162"],
            &[("ab", Some(0)), ("a", None)],
        );
    }

    #[test]
    fn bad_patterns_are_told() {
        for (method, pattern) in [
            (Method::Integer, "x"),
            (Method::Integer, ""),
            (Method::Integer, ":"),
            (Method::Integer, "5:4"),
            (Method::Ip, "10.0.0.0/33"),
            (Method::Ip, "10/8"),
            (Method::Ip, "::1/129"),
            (Method::Ip, "host"),
            (Method::Regex, "("),
            (Method::Regex, "(?=a)"),
            (Method::Binary, "abc"),
        ] {
            let form = Form::parse(method, false, pattern.as_bytes());
            assert!(form.is_err(), "{method:?} {pattern}");
        }
    }
}
