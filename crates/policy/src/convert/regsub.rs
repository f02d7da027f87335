//! `regsub`: replacing what a regular expression matches.

use regex::bytes::{Captures, Regex, RegexBuilder};

use super::{Convert, OUTPUT_BYTES_MAX, Row};
use crate::context::Context;
use crate::pattern::{REGEX_BYTES_MAX, problem};
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[Row {
    name: "regsub",
    usage: "REGEX,REPLACEMENT[,FLAGS]",
    doc: "Replaces the first match, or all with the flag g; i ignores case; \\1 stands for a group.",
    input: Type::Text,
    output: Some(Type::Text),
    read: |arguments, _| {
        let pattern = arguments.text("a regular expression")?;
        let replacement = arguments.text("a replacement")?;
        let flags = arguments.optional().unwrap_or_default();
        if let Some(flag) = flags.chars().find(|flag| !matches!(flag, 'i' | 'g')) {
            return Err(arguments.invalid(format_args!("'{flag}' is not a flag: i and g are")));
        }
        let regex = RegexBuilder::new(&pattern)
            .case_insensitive(flags.contains('i'))
            .unicode(false)
            .size_limit(REGEX_BYTES_MAX)
            .build();
        Ok(Box::new(Substitution {
            regex: regex.map_err(|error| {
                arguments.invalid(format_args!(
                    "not a regular expression: {}",
                    problem(&error)
                ))
            })?,
            template: Template::read(&replacement).map_err(|error| arguments.invalid(error))?,
            all: flags.contains('g'),
        }))
    },
}];

/// A text with places for what groups matched.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Byte(u8),
    /// 0 is the whole match.
    Group(usize),
}

impl Template {
    /// Reads `\0` to `\9`, `\xHH`, and `\` before any other character, which stands for itself.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            if byte != b'\\' {
                pieces.push(Piece::Byte(byte));
                continue;
            }
            pieces.push(match bytes.next() {
                None => return Err("a replacement cannot end with '\\'".to_owned()),
                Some(digit @ b'0'..=b'9') => Piece::Group(usize::from(digit - b'0')),
                Some(b'x') => {
                    let mut digit = || (bytes.next()? as char).to_digit(16);
                    let (high, low) = (digit(), digit());
                    let (Some(high), Some(low)) = (high, low) else {
                        return Err("'\\x' needs two hexadecimal digits".to_owned());
                    };
                    Piece::Byte((high << 4 | low) as u8)
                }
                Some(other) => Piece::Byte(other),
            });
        }
        Ok(Self(pieces))
    }

    pub(crate) fn write(&self, groups: &Captures<'_>, out: &mut Vec<u8>) {
        for piece in &self.0 {
            match piece {
                Piece::Byte(byte) => out.push(*byte),
                Piece::Group(number) => {
                    if let Some(group) = groups.get(*number) {
                        out.extend_from_slice(group.as_bytes());
                    }
                }
            }
        }
    }
}

struct Substitution {
    regex: Regex,
    template: Template,
    all: bool,
}

impl Convert for Substitution {
    fn convert<'a>(&'a self, value: Value<'a>, _: &'a Context<'_>) -> Option<Value<'a>> {
        let text = value.into_text();
        let Some(first) = self.regex.captures(&text) else {
            return Some(Value::Text(text));
        };
        let mut out = Vec::with_capacity(text.len());
        let (mut next, mut found) = (0, Some(first));
        while let Some(groups) = found {
            let whole = groups.get(0)?;
            out.extend_from_slice(&text[next..whole.start()]);
            self.template.write(&groups, &mut out);
            if next >= text.len() || out.len() > OUTPUT_BYTES_MAX {
                break;
            }
            // A match of nothing stands in front of a character, which is copied.
            if whole.end() == next {
                out.push(text[next]);
                next += 1;
            } else {
                next = whole.end();
            }
            found = if self.all {
                self.regex.captures_at(&text, next)
            } else {
                None
            };
        }
        out.extend_from_slice(&text[next..]);
        out.truncate(OUTPUT_BYTES_MAX);
        Some(Value::owned(out))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    /// Expected values are HAProxy's.
    #[test]
    fn matches_are_replaced() {
        let bench = Bench::default();
        for (text, expected) in [
            ("str(abc),regsub(b,X)", "aXc"),
            (r"str(abc),regsub('b','\0\0')", "abbc"),
            ("str(abab),regsub('b','X',g)", "aXaX"),
            ("str(abab),regsub('b','X')", "aXab"),
            ("str(aBab),regsub('b','X',i)", "aXab"),
            (r"str(abab),regsub('(a)(b)','\2\1',g)", "baba"),
            ("str(a1b22),regsub('[0-9]*','x',g)", "xaxxbxx"),
            ("str(abc),regsub('^a','',g)", "bc"),
            ("str(aab),regsub('^a','',g)", "ab"),
            (r"str(abc),regsub('b','\x41\+')", "aA+c"),
            (r"str(abc),regsub('(x)?b','[\1]')", "a[]c"),
            ("str(abc),regsub(z,y)", "abc"),
            ("str(),regsub('$','y')", "y"),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_and_growth_is_bounded() {
        let bench = Bench::default();
        for (text, part) in [
            ("str(a),regsub(b)", "lacks"),
            ("str(a),regsub(b,c,x)", "not a flag"),
            (
                "str(a),regsub('(',c)",
                "not a regular expression: unclosed group",
            ),
            (r"str(a),regsub(b,'\x4')", "hexadecimal"),
        ] {
            let error = bench.refused(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        let long = "a".repeat(1_000);
        let grown = bench.evaluate(&format!("str({long}),regsub(a,{long},g)"));
        assert_eq!(grown.map(|text| text.len()), Some(super::OUTPUT_BYTES_MAX));
    }
}
