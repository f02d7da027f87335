//! Regular expressions, most of which need not be asked: many begin with a text that must stand at the beginning.

use regex::bytes::{Captures, Regex};

/// A regular expression.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    regex: Regex,
    /// What every text that matches begins with.
    start: Box<[u8]>,
}

impl Expression {
    pub(crate) fn new(regex: Regex, ignore_case: bool) -> Self {
        let start = match ignore_case {
            true => "",
            false => start(regex.as_str()),
        };
        Self {
            start: start.as_bytes().into(),
            regex,
        }
    }

    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        text.starts_with(&self.start) && self.regex.is_match(text)
    }

    pub(crate) fn captures<'t>(&self, text: &'t [u8]) -> Option<Captures<'t>> {
        if !text.starts_with(&self.start) {
            return None;
        }
        self.regex.captures(text)
    }
}

/// What is wrong with a regular expression, in one line: the library's last says what, those before it draw where.
pub(crate) fn problem(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

/// The letters, digits and slashes right behind `^`; empty where an expression need not begin with any.
fn start(pattern: &str) -> &str {
    let Some(rest) = pattern.strip_prefix('^').filter(|rest| !rest.contains('|')) else {
        return "";
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_');
    let end = rest.bytes().position(|byte| !is_plain(byte));
    let plain = &rest[..end.unwrap_or(rest.len())];
    match rest.as_bytes().get(plain.len()) {
        // It says how often the last one stands there, perhaps not at all.
        Some(b'*' | b'?' | b'{' | b'+') => &plain[..plain.len().saturating_sub(1)],
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::bytes::RegexBuilder;

    #[test]
    fn starts_are_what_texts_must_begin_with() {
        for (pattern, expected) in [
            ("^/api/v[0-9]+/", "/api/v"),
            ("^/old/(.*)", "/old/"),
            ("^/a", "/a"),
            ("^/ab*c", "/a"),
            ("^/ab?", "/a"),
            ("^/ab{0,2}", "/a"),
            ("^/ab+", "/a"),
            ("^a?", ""),
            ("^/a|/b", ""),
            ("/a", ""),
            ("^(?i)/a", ""),
            ("^[ab]", ""),
            ("^/a\\.b", "/a"),
            ("^", ""),
        ] {
            assert_eq!(start(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn nothing_that_matches_is_missed() {
        let texts = [
            "",
            "/a",
            "/ab",
            "/abbc",
            "/ac",
            "/api/v1/x",
            "/API/v1/",
            "x/a",
            "^/a",
        ];
        let patterns = [
            "^/ab*c",
            "^/ab?",
            "^/api/v[0-9]+/",
            "^/a|x",
            "/a",
            "^$",
            "^(/a)?",
            "^a*",
        ];
        for ignore_case in [false, true] {
            for pattern in patterns {
                let mut builder = RegexBuilder::new(pattern);
                let regex = builder.case_insensitive(ignore_case).build().unwrap();
                let expression = Expression::new(regex.clone(), ignore_case);
                for text in texts {
                    let (text, expected) = (text.as_bytes(), regex.is_match(text.as_bytes()));
                    assert_eq!(expression.is_match(text), expected, "{pattern} {text:?}");
                    assert_eq!(expression.captures(text).is_some(), expected, "{pattern}");
                }
            }
        }
    }
}
