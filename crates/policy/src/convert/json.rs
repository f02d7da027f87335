//! `json` and `json_query`: texts for JSON strings, and values out of JSON (RFC 8259).
//!
//! What is absent: a tree. A query walks through the text until it finds its value; what follows is not looked at.

use plimsoll_config::diagnostic::Diagnostic;

use super::{Convert, OUTPUT_BYTES_MAX, Row, pure, text};
use crate::arguments::Arguments;
use crate::value::{Type, Value, leading_integer};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "json",
        usage: "[ENCODING]",
        doc: "Escaped for a JSON string; the text is ascii, utf8, or utf8s, utf8p and utf8ps with their tolerances.",
        input: Type::Text,
        output: Some(Type::Text),
        read: |arguments, _| {
            let encoding = match arguments.optional().as_deref() {
                None | Some("ascii") => Encoding::Ascii,
                Some("utf8") => Encoding::UTF8,
                Some("utf8s") => Encoding::Utf8 {
                    skips: true,
                    overlong: false,
                },
                Some("utf8p") => Encoding::Utf8 {
                    skips: false,
                    overlong: true,
                },
                Some("utf8ps") => Encoding::Utf8 {
                    skips: true,
                    overlong: true,
                },
                Some(other) => {
                    let known = "ascii, utf8, utf8s, utf8p or utf8ps";
                    return Err(arguments.invalid(format_args!("'{other}' is not {known}")));
                }
            };
            pure(move |value| text(escape(&value.into_text(), encoding)?))
        },
    },
    Row {
        name: "json_query",
        usage: "PATH[,int]",
        doc: "A value out of JSON, by a path such as $.a[0].b.",
        input: Type::Text,
        output: Some(Type::Any),
        read: |arguments, _| {
            let path = arguments.word("a path")?;
            query(&path, arguments)
        },
    },
];

#[derive(Clone, Copy)]
enum Encoding {
    Ascii,
    Utf8 {
        /// What is no UTF-8 is left out; otherwise there is no value.
        skips: bool,
        /// Characters may be written longer than necessary.
        overlong: bool,
    },
}

impl Encoding {
    const UTF8: Self = Self::Utf8 {
        skips: false,
        overlong: false,
    };
}

fn escape(input: &[u8], encoding: Encoding) -> Option<Vec<u8>> {
    use std::io::Write as _;
    let mut out = Vec::with_capacity(input.len());
    let mut rest = input;
    while let Some(&first) = rest.first() {
        let character = match encoding {
            Encoding::Ascii => {
                rest = &rest[1..];
                u32::from(first)
            }
            Encoding::Utf8 { skips, overlong } => {
                let (length, character) = utf8(rest, overlong);
                rest = &rest[length..];
                match character.filter(|character| *character <= 0xffff) {
                    Some(character) => character,
                    None if skips => continue,
                    None => return None,
                }
            }
        };
        match u8::try_from(character) {
            Ok(byte @ (b'"' | b'\\' | b'/')) => out.extend([b'\\', byte]),
            Ok(8) => out.extend(b"\\b"),
            Ok(12) => out.extend(b"\\f"),
            Ok(b'\r') => out.extend(b"\\r"),
            Ok(b'\n') => out.extend(b"\\n"),
            Ok(b'\t') => out.extend(b"\\t"),
            Ok(byte @ 0x20..0x7f) => out.push(byte),
            // Writing into a Vec cannot fail.
            _ => drop(write!(out, "\\u{character:04x}")),
        }
        if out.len() > OUTPUT_BYTES_MAX {
            return None;
        }
    }
    Some(out)
}

/// How many bytes a character takes at least, and the character where it is one.
fn utf8(bytes: &[u8], overlong: bool) -> (usize, Option<u32>) {
    let first = bytes[0];
    let (length, bits) = match first {
        0..0x80 => return (1, Some(first.into())),
        0xc0..0xe0 => (2, first & 0x1f),
        0xe0..0xf0 => (3, first & 0x0f),
        0xf0..0xf8 => (4, first & 0x07),
        _ => return (1, None),
    };
    let mut character = u32::from(bits);
    for place in 1..length {
        match bytes.get(place) {
            Some(byte @ 0x80..0xc0) => character = character << 6 | u32::from(byte & 0x3f),
            _ => return (place, None),
        }
    }
    let shortest = match character {
        0..0x80 => 1,
        0x80..0x800 => 2,
        0x800..0x1_0000 => 3,
        _ => 4,
    };
    let is_fine = (overlong || shortest == length) && !(0xd800..0xe000).contains(&character);
    (length, is_fine.then_some(character))
}

/// A step into a value.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(Vec<u8>),
    Index(usize),
    /// Any element: the first that fits.
    Any,
}

/// Reads what follows a path: what becomes of numbers.
pub(super) fn query(path: &str, arguments: &mut Arguments) -> Result<Box<dyn Convert>, Diagnostic> {
    let as_integer = as_integer(arguments)?;
    let query = Query::parse(path, as_integer);
    pure(move |value| query.find(&value.into_text()))
}

pub(super) fn as_integer(arguments: &mut Arguments) -> Result<bool, Diagnostic> {
    match arguments.optional().as_deref() {
        None => Ok(false),
        Some("int") => Ok(true),
        Some(other) => Err(arguments.invalid(format_args!("'{other}' is not 'int'"))),
    }
}

/// A path, and what becomes of a number.
#[derive(Debug)]
pub(crate) struct Query {
    /// `None`: the path is none, and nothing is ever found, as in HAProxy.
    steps: Option<Vec<Step>>,
    as_integer: bool,
}

/// The greatest integer that every reader of JSON understands (RFC 8259 section 6).
const INTEGER_MAX: i64 = (1 << 53) - 1;

/// How deep values may be nested.
const DEPTH_MAX: usize = 32;

impl Query {
    pub(crate) fn parse(path: &str, as_integer: bool) -> Self {
        Self {
            steps: steps(path.as_bytes()),
            as_integer,
        }
    }

    /// The value: text for strings, arrays and most numbers; nothing for objects and null.
    pub(crate) fn find(&self, json: &[u8]) -> Option<Value<'static>> {
        let mut cursor = Cursor { json, at: 0 };
        let found = cursor.find(self.steps.as_deref()?, 0)?;
        match *found.first()? {
            b'"' => text(unescape(found)?),
            b't' => Some(Value::Boolean(true)),
            b'f' => Some(Value::Boolean(false)),
            b'[' => text(found.to_vec()),
            b'-' | b'0'..=b'9' if self.as_integer => {
                let number = leading_integer(found);
                (-INTEGER_MAX..=INTEGER_MAX)
                    .contains(&number)
                    .then_some(Value::Integer(number))
            }
            b'-' | b'0'..=b'9' => {
                let number: f64 = std::str::from_utf8(found).ok()?.parse().ok()?;
                text(significant(number).into_bytes())
            }
            _ => None,
        }
    }
}

fn steps(path: &[u8]) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix(b"$")?;
    let mut steps = Vec::new();
    while let Some((&first, behind)) = rest.split_first() {
        match first {
            b'.' => {
                let mut key = Vec::new();
                let mut at = 0;
                while let Some(&byte) = behind.get(at) {
                    match byte {
                        b'.' | b'[' => break,
                        b'\\' if at + 1 < behind.len() => {
                            key.push(behind[at + 1]);
                            at += 2;
                        }
                        _ => {
                            key.push(byte);
                            at += 1;
                        }
                    }
                }
                steps.push(Step::Key(key));
                rest = &behind[at..];
            }
            b'[' => {
                let end = memchr::memchr(b']', behind)?;
                steps.push(match &behind[..end] {
                    b"*" => Step::Any,
                    digits => Step::Index(std::str::from_utf8(digits).ok()?.parse().ok()?),
                });
                rest = &behind[end + 1..];
            }
            _ => return None,
        }
    }
    Some(steps)
}

struct Cursor<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn space(&mut self) {
        while matches!(self.json.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Takes one of these bytes, white space in front of it included.
    fn take(&mut self, wanted: &[u8]) -> Option<u8> {
        self.space();
        let byte = *self.json.get(self.at)?;
        wanted.contains(&byte).then(|| {
            self.at += 1;
            byte
        })
    }

    /// The text of the value that the steps lead to, from the value at the cursor, which is passed over when they do
    /// not lead anywhere.
    fn find(&mut self, steps: &[Step], depth: usize) -> Option<&'a [u8]> {
        let Some((step, further)) = steps.split_first() else {
            self.space();
            let start = self.at;
            self.skip(depth)?;
            return Some(&self.json[start..self.at]);
        };
        if depth > DEPTH_MAX {
            return None;
        }
        match step {
            Step::Key(key) => {
                self.take(b"{")?;
                loop {
                    let name = self.string()?;
                    self.take(b":")?;
                    if unescape(name).as_deref() == Some(key) {
                        return self.find(further, depth + 1);
                    }
                    self.skip(depth + 1)?;
                    self.take(b",")?;
                }
            }
            Step::Index(wanted) => {
                self.take(b"[")?;
                for _ in 0..*wanted {
                    self.skip(depth + 1)?;
                    self.take(b",")?;
                }
                self.find(further, depth + 1)
            }
            Step::Any => {
                self.take(b"[")?;
                loop {
                    let start = self.at;
                    let found = self.find(further, depth + 1);
                    if found.is_some() {
                        return found;
                    }
                    self.at = start;
                    self.skip(depth + 1)?;
                    self.take(b",")?;
                }
            }
        }
    }

    /// A string with its quotes.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.take(b"\"")?;
        let start = self.at - 1;
        loop {
            let more = memchr::memchr2(b'"', b'\\', self.json.get(self.at..)?)?;
            self.at += more + 1;
            if self.json[self.at - 1] == b'"' {
                return Some(&self.json[start..self.at]);
            }
            self.at += 1;
        }
    }

    /// Passes over one value.
    fn skip(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.space();
        let literal = |cursor: &mut Self, word: &[u8]| {
            let fits = cursor.json[cursor.at..].starts_with(word);
            cursor.at += word.len();
            fits.then_some(())
        };
        match *self.json.get(self.at)? {
            b'"' => self.string().map(drop),
            b't' => literal(self, b"true"),
            b'f' => literal(self, b"false"),
            b'n' => literal(self, b"null"),
            b'-' | b'0'..=b'9' => {
                let rest = &self.json[self.at..];
                let is_part =
                    |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                self.at += rest.iter().take_while(|byte| is_part(byte)).count();
                Some(())
            }
            open @ (b'{' | b'[') => {
                self.at += 1;
                let close = if open == b'{' { b'}' } else { b']' };
                if self.take(&[close]).is_some() {
                    return Some(());
                }
                loop {
                    if open == b'{' {
                        self.string()?;
                        self.take(b":")?;
                    }
                    self.skip(depth + 1)?;
                    if self.take(&[b',', close])? == close {
                        return Some(());
                    }
                }
            }
            _ => None,
        }
    }
}

/// The content of a string with quotes; `None` where its escapes are wrong.
fn unescape(quoted: &[u8]) -> Option<Vec<u8>> {
    let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next()? {
            byte @ (b'"' | b'\\' | b'/') => *byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let character = escaped_character(&mut bytes)?;
                let mut buffer = [0; 4];
                out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                continue;
            }
            _ => return None,
        });
    }
    Some(out)
}

/// What four digits stand for, or eight with a second `\u` between them.
fn escaped_character(bytes: &mut std::slice::Iter<'_, u8>) -> Option<char> {
    let mut unit = || {
        let digits = bytes.as_slice().get(..4)?;
        let number = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        bytes.nth(3)?;
        Some((number, bytes.as_slice().starts_with(b"\\u")))
    };
    let (first, more) = unit()?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first.into());
    }
    if !more {
        return None;
    }
    bytes.nth(1)?;
    let digits = bytes.as_slice().get(..4)?;
    let second = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    bytes.nth(3)?;
    char::decode_utf16([first, second]).next()?.ok()
}

/// A number with six significant digits, as `%g` of C writes it.
fn significant(number: f64) -> String {
    const DIGITS: i32 = 6;
    if !number.is_finite() {
        return number.to_string();
    }
    let rounded = format!("{number:.5e}");
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..DIGITS).contains(&exponent) {
        let decimals = (DIGITS - 1 - exponent) as usize;
        return trim(&format!("{number:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Bench;

    /// Expected values are HAProxy's; it also understands neither `\/` nor characters beyond `\u00ff`.
    #[test]
    fn values_are_found_by_path() {
        let json = r#" {"a":1.5, "b":[1, 2,{"k":"v"}] ,"c":true,"d":{"e":"f\n\u00e9\ud83d\ude00\/"},"n":null,"a.b":7,"a":2}"#;
        for (path, integer, expected) in [
            ("$.a", false, Some(Value::owned(*b"1.5"))),
            ("$.a", true, Some(Value::Integer(1))),
            ("$.b", false, Some(Value::owned(*b"[1, 2,{\"k\":\"v\"}]"))),
            ("$.b[1]", true, Some(Value::Integer(2))),
            ("$.b[3]", true, None),
            ("$.b[2].k", false, Some(Value::owned(*b"v"))),
            ("$.b[*].k", false, Some(Value::owned(*b"v"))),
            ("$.c", false, Some(Value::Boolean(true))),
            ("$.d", false, None),
            (
                "$.d.e",
                false,
                Some(Value::owned("f\n\u{e9}\u{1f600}/".as_bytes())),
            ),
            ("$.n", false, None),
            (r"$.a\.b", true, Some(Value::Integer(7))),
            ("$", false, None),
            ("a", false, None),
            ("$a", false, None),
            ("$.x", false, None),
        ] {
            let found = Query::parse(path, integer).find(json.as_bytes());
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn numbers_are_written_like_printf() {
        for (json, expected) in [
            ("1234567", "1.23457e+06"),
            ("1e3", "1000"),
            ("0.1", "0.1"),
            ("1e-7", "1e-07"),
            ("123456.7", "123457"),
            ("999999.5", "1e+06"),
            ("1e100", "1e+100"),
            ("1.0", "1"),
            ("-0.00012", "-0.00012"),
            ("0", "0"),
        ] {
            let found = Query::parse("$", false).find(json.as_bytes());
            assert_eq!(found, Some(Value::owned(expected)), "{json}");
        }
        for (json, expected) in [
            ("9007199254740991", Some(9_007_199_254_740_991)),
            ("9007199254740993", None),
            ("-5", Some(-5)),
        ] {
            let found = Query::parse("$", true).find(json.as_bytes());
            assert_eq!(found, expected.map(Value::Integer), "{json}");
        }
    }

    #[test]
    fn texts_are_escaped() {
        let bench = Bench::default();
        for (text, expected) in [
            (
                "bin(612f6222635c6409650a),json(utf8)",
                Some(r#"a\/b\"c\\d\te\n"#),
            ),
            ("bin(e29c93),json(utf8)", Some(r"\u2713")),
            ("bin(e29c93),json(ascii)", Some(r"\u00e2\u009c\u0093")),
            ("bin(e29c),json(utf8)", None),
            ("bin(61e29c62),json(utf8s)", Some("ab")),
            ("bin(61f09f988062),json(utf8s)", Some("ab")),
            ("bin(61f09f988062),json(utf8)", None),
            ("bin(c3a9),json(utf8)", Some(r"\u00e9")),
            ("bin(7f01),json", Some(r"\u007f\u0001")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
        assert!(bench.refused("str(a),json(latin)").contains("utf8ps"));
        assert!(bench.refused("str(a),json_query").contains("lacks"));
        assert!(
            bench
                .refused("str(a),json_query($.a,str)")
                .contains("'int'")
        );
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "[".repeat(100_000);
        assert_eq!(Query::parse("$.a", false).find(deep.as_bytes()), None);
        assert_eq!(Query::parse("$", false).find(deep.as_bytes()), None);
        let path = format!("${}", "[0]".repeat(1_000));
        assert_eq!(Query::parse(&path, false).find(deep.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(json in r#"[\[\]{}:,"\\u0-9a-e.trlsn -]{0,60}"#, path in r"\$?[.\[\]a*0-9\\]{0,12}") {
            let _ = Query::parse(&path, false).find(json.as_bytes());
            let _ = unescape(json.as_bytes());
        }
    }
}
