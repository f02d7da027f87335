//! One way of comparing with the patterns of one list, arranged so that many patterns cost little more than few.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use regex::bytes::{Captures, Regex, RegexBuilder};

use crate::model::Network;
use crate::value::Value;

use super::method::Method;

/// Largest compiled form of one regular expression.
pub(crate) const REGEX_BYTES_MAX: usize = 1 << 20;

/// The patterns of a list in the form that one method needs. Positions are those of the list's entries.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Whole texts, beginnings or ends, in lower case where case does not matter.
    exact: HashMap<Box<[u8]>, usize>,
    /// The lengths of `exact`, the longest first.
    lengths: Vec<usize>,
    networks: Vec<(Network, usize)>,
    ranges: Vec<(i64, i64, usize)>,
    expressions: Vec<(Regex, usize)>,
    /// Texts that are searched for one by one.
    texts: Vec<(Box<[u8]>, usize)>,
}

impl Index {
    /// Adds the pattern at `position` of the list. The first of several equal patterns counts.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub(super) fn add(
        &mut self,
        method: Method,
        ignore_case: bool,
        pattern: &str,
        position: usize,
    ) -> Result<(), String> {
        match method {
            Method::Found => {}
            Method::Boolean => {
                let value = i64::from(truth(pattern)?);
                self.ranges.push((value, value, position));
            }
            Method::Integer | Method::Length => {
                let (low, high) = range(pattern)?;
                self.ranges.push((low, high, position));
            }
            Method::Ip => self.networks.push((network(pattern)?, position)),
            Method::Regex => {
                let expression = RegexBuilder::new(pattern)
                    .case_insensitive(ignore_case)
                    .unicode(false)
                    .size_limit(REGEX_BYTES_MAX)
                    .build();
                let expression = expression.map_err(|error| error.to_string())?;
                self.expressions.push((expression, position));
            }
            Method::Binary => {
                let bytes = crate::sample::unhex(pattern)
                    .ok_or_else(|| format!("'{pattern}' are no pairs of hexadecimal digits"))?;
                self.add_exact(bytes, position);
            }
            Method::Text | Method::Prefix | Method::Suffix => {
                self.add_exact(
                    folded(pattern.as_bytes(), ignore_case).into_owned(),
                    position,
                );
            }
            Method::Substring | Method::Directory | Method::Domain => {
                let text = folded(pattern.as_bytes(), ignore_case).into_owned();
                self.texts.push((text.into(), position));
            }
        }
        Ok(())
    }

    fn add_exact(&mut self, bytes: Vec<u8>, position: usize) {
        if let Err(place) = self
            .lengths
            .binary_search_by(|known| bytes.len().cmp(known))
        {
            self.lengths.insert(place, bytes.len());
        }
        self.exact.entry(bytes.into()).or_insert(position);
    }

    /// The position of the pattern that `value` satisfies: the most precise one of prefixes, suffixes and networks,
    /// otherwise the first.
    pub(super) fn find(
        &self,
        method: Method,
        ignore_case: bool,
        value: Value<'_>,
    ) -> Option<usize> {
        match method {
            Method::Found => Some(0),
            Method::Boolean | Method::Integer => self.in_range(value.as_integer()?),
            Method::Length => self.in_range(value.into_text().len() as i64),
            Method::Ip => self.in_network(value.as_address()?),
            Method::Binary => self.exact.get(&*value.into_binary()).copied(),
            Method::Regex => {
                let text = value.into_text();
                let mut all = self.expressions.iter();
                all.find(|(expression, _)| expression.is_match(&text))
                    .map(|(_, position)| *position)
            }
            _ => {
                let text = value.into_text();
                self.find_text(method, &folded(&text, ignore_case))
            }
        }
    }

    /// The first regular expression that matches, and what its groups matched.
    pub(super) fn find_groups<'t>(&self, text: &'t [u8]) -> Option<(usize, Captures<'t>)> {
        let mut all = self.expressions.iter();
        all.find_map(|(expression, position)| Some((*position, expression.captures(text)?)))
    }

    fn find_text(&self, method: Method, text: &[u8]) -> Option<usize> {
        let lengths = || {
            self.lengths
                .iter()
                .copied()
                .filter(|&length| length <= text.len())
        };
        match method {
            Method::Text => self.exact.get(text).copied(),
            Method::Prefix => lengths().find_map(|length| self.exact.get(&text[..length]).copied()),
            Method::Suffix => {
                let ends = lengths().map(|length| &text[text.len() - length..]);
                ends.into_iter()
                    .find_map(|end| self.exact.get(end).copied())
            }
            Method::Substring => self.first(|pattern| {
                pattern.is_empty() || memchr::memmem::find(text, pattern).is_some()
            }),
            Method::Directory => self.first(|pattern| between(text, pattern, b"/?")),
            Method::Domain => self.first(|pattern| between(text, pattern, b"/?.:")),
            _ => None,
        }
    }

    fn first(&self, matches: impl Fn(&[u8]) -> bool) -> Option<usize> {
        let mut all = self.texts.iter();
        all.find(|(pattern, _)| matches(pattern))
            .map(|(_, position)| *position)
    }

    fn in_range(&self, number: i64) -> Option<usize> {
        let mut all = self.ranges.iter();
        all.find(|(low, high, _)| (*low..=*high).contains(&number))
            .map(|(_, _, position)| *position)
    }

    fn in_network(&self, address: IpAddr) -> Option<usize> {
        let all = self
            .networks
            .iter()
            .filter(|(network, _)| network.contains(address));
        // Of several equally long prefixes the first counts.
        all.rev()
            .max_by_key(|(network, _)| network.prefix)
            .map(|(_, position)| *position)
    }
}

/// The text, in lower case where case does not matter.
fn folded(text: &[u8], ignore_case: bool) -> Cow<'_, [u8]> {
    if ignore_case && text.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether `pattern`, without delimiters around it, stands in `text` between delimiters or its ends.
fn between(text: &[u8], pattern: &[u8], delimiters: &[u8]) -> bool {
    let is_delimiter = |byte: &u8| delimiters.contains(byte);
    let start = pattern
        .iter()
        .position(|byte| !is_delimiter(byte))
        .unwrap_or(pattern.len());
    let end = pattern
        .iter()
        .rposition(|byte| !is_delimiter(byte))
        .map_or(start, |last| last + 1);
    let pattern = &pattern[start..end];
    let bounded = |place: usize| {
        let before = place.checked_sub(1).map(|before| &text[before]);
        let behind = text.get(place + pattern.len());
        before.is_none_or(is_delimiter) && behind.is_none_or(is_delimiter)
    };
    memchr::memmem::find_iter(text, pattern).any(bounded)
}

fn truth(text: &str) -> Result<bool, String> {
    match text {
        "true" | "yes" | "1" | "on" => Ok(true),
        "false" | "no" | "0" | "off" => Ok(false),
        _ => Err(format!("'{text}' is neither true nor false")),
    }
}

/// `N`, `N:`, `:N`, `N:M`.
fn range(text: &str) -> Result<(i64, i64), String> {
    let wrong = || format!("'{text}' is neither a number nor a range of numbers");
    let number = |text: &str| text.parse::<i64>().map_err(|_| wrong());
    let bound = |text: &str, open: i64| match text {
        "" => Ok(open),
        text => number(text),
    };
    match text.split_once(':') {
        None => number(text).map(|number| (number, number)),
        Some(("", "")) => Err(wrong()),
        Some((low, high)) => Ok((bound(low, i64::MIN)?, bound(high, i64::MAX)?)),
    }
}

/// An address, or one with a prefix length or a mask behind a slash.
fn network(text: &str) -> Result<Network, String> {
    let (address, mask) = match text.split_once('/') {
        Some((address, mask)) => (address, Some(mask)),
        None => (text, None),
    };
    let wrong = || format!("'{text}' is neither an address nor a network");
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match mask {
        None => Some(bits),
        Some(mask) => match mask.parse::<IpAddr>() {
            Ok(IpAddr::V4(mask)) if address.is_ipv4() => {
                let ones = mask.to_bits().leading_ones();
                (mask.to_bits().count_ones() == ones).then_some(ones as u8)
            }
            _ => mask.parse().ok().filter(|&prefix| prefix <= bits),
        },
    };
    let prefix = prefix.ok_or_else(wrong)?;
    Ok(Network { address, prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        method: Method,
        ignore_case: bool,
        patterns: &[&str],
        cases: &[(&str, Option<usize>)],
    ) {
        let mut index = Index::default();
        for (position, pattern) in patterns.iter().enumerate() {
            index.add(method, ignore_case, pattern, position).unwrap();
        }
        for (text, expected) in cases {
            let found = index.find(method, ignore_case, Value::text(text.as_bytes()));
            assert_eq!(found, *expected, "{method:?} {text}");
        }
    }

    #[test]
    fn each_method_finds_its_patterns() {
        check(
            Method::Text,
            false,
            &["a", "B", "a"],
            &[("a", Some(0)), ("b", None), ("B", Some(1)), ("", None)],
        );
        check(Method::Text, true, &["Ab"], &[("aB", Some(0)), ("a", None)]);
        check(
            Method::Prefix,
            false,
            &["/", "/a/", "/a"],
            &[
                ("/a/b", Some(1)),
                ("/ab", Some(2)),
                ("/", Some(0)),
                ("a", None),
            ],
        );
        check(
            Method::Suffix,
            true,
            &[".png", "x.png"],
            &[("/A.PNG", Some(0)), ("ax.png", Some(1)), ("png", None)],
        );
        check(
            Method::Substring,
            false,
            &["bc"],
            &[("abcd", Some(0)), ("acb", None)],
        );
        check(
            Method::Directory,
            false,
            &["/img/", "a/b"],
            &[("/x/img/y", Some(0)), ("/imgs", None), ("/a/b?c", Some(1))],
        );
        check(
            Method::Domain,
            false,
            &["example.org"],
            &[
                ("www.example.org:80", Some(0)),
                ("example.org", Some(0)),
                ("anexample.org", None),
            ],
        );
        check(
            Method::Integer,
            false,
            &["5", "10:20", "100:"],
            &[
                ("5", Some(0)),
                ("15", Some(1)),
                ("1000", Some(2)),
                ("6", None),
            ],
        );
        check(
            Method::Length,
            false,
            &["0:2"],
            &[("ab", Some(0)), ("abc", None)],
        );
        check(
            Method::Ip,
            false,
            &["10.0.0.0/8", "10.1.0.0/255.255.0.0", "::1"],
            &[
                ("10.2.0.1", Some(0)),
                ("10.1.0.1", Some(1)),
                ("::1", Some(2)),
                ("11.0.0.1", None),
            ],
        );
        check(
            Method::Regex,
            true,
            &["^a+$", r"\.php"],
            &[("AAA", Some(0)), ("x.PHP", Some(1)), ("b", None)],
        );
    }

    #[test]
    fn bad_patterns_are_told() {
        for (method, pattern) in [
            (Method::Integer, "x"),
            (Method::Integer, ":"),
            (Method::Ip, "10.0.0.0/33"),
            (Method::Ip, "10.0.0.0/255.0.255.0"),
            (Method::Ip, "host"),
            (Method::Regex, "("),
            (Method::Regex, "(?=a)"),
            (Method::Binary, "abc"),
            (Method::Boolean, "maybe"),
        ] {
            let added = Index::default().add(method, false, pattern, 0);
            assert!(added.is_err(), "{method:?} {pattern}");
        }
    }
}
