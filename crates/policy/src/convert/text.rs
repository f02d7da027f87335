//! Converters of text: case, parts, putting together, comparing.

use std::borrow::Cow;

use plimsoll_config::diagnostic::Diagnostic;

use super::{Convert, OUTPUT_BYTES_MAX, Row, part, pure};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::value::{Type, Value};
use crate::variable::Name;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "add_item",
        usage: "DELIMITER,[VARIABLE][,SUFFIX]",
        doc: "Appends a variable and a suffix, behind a delimiter unless the text is empty.",
        input: Type::Text,
        output: Some(Type::Text),
        read: |arguments, _| {
            let delimiter = arguments.text("a delimiter")?;
            let variable = variable(&arguments.text("a variable's name")?, arguments)?;
            let suffix = arguments.optional().unwrap_or_default();
            if variable.is_none() && suffix.is_empty() {
                return Err(arguments.invalid("there is neither a variable nor a suffix"));
            }
            Ok(Box::new(Append {
                delimiter: Some(delimiter),
                prefix: String::new(),
                variable,
                suffix,
            }))
        },
    },
    Row {
        name: "concat",
        usage: "[PREFIX][,[VARIABLE][,SUFFIX]]",
        doc: "Appends a text, a variable and another text.",
        input: Type::Text,
        output: Some(Type::Text),
        read: |arguments, _| {
            let prefix = arguments.optional().unwrap_or_default();
            let variable = variable(&arguments.optional().unwrap_or_default(), arguments)?;
            let suffix = arguments.optional().unwrap_or_default();
            Ok(Box::new(Append {
                delimiter: None,
                prefix,
                variable,
                suffix,
            }))
        },
    },
    Row {
        name: "cut_crlf",
        usage: "",
        doc: "What stands before the first end of a line.",
        input: Type::Text,
        output: Some(Type::Text),
        read: |_, _| {
            trimmed(|text| {
                let end = memchr::memchr2(b'\r', b'\n', text);
                0..end.unwrap_or(text.len())
            })
        },
    },
    Row {
        name: "field",
        usage: "INDEX,SEPARATORS[,COUNT]",
        doc: "The INDEX-th part between separators, from the end where it is negative; 0: all from there on.",
        input: Type::Text,
        output: Some(Type::Text),
        read: |arguments, _| select(arguments, field, Some(first_field)),
    },
    Row {
        name: "host_only",
        usage: "",
        doc: "The host of a Host field, in lower case, without its port.",
        input: Type::Text,
        output: Some(Type::Text),
        read: |_, _| {
            pure(|value| {
                let text = value.into_text();
                let end = port_at(&text).unwrap_or(text.len());
                Some(Value::owned(text[..end].to_ascii_lowercase()))
            })
        },
    },
    Row {
        name: "iif",
        usage: "TRUE,FALSE",
        doc: "One of two texts, depending on whether the value is true.",
        input: Type::Boolean,
        output: Some(Type::Text),
        read: |arguments, _| {
            let yes = arguments.text("a text for true")?;
            let no = arguments.text("a text for false")?;
            Ok(Box::new(Choice { yes, no }))
        },
    },
    Row {
        name: "length",
        usage: "",
        doc: "The number of bytes.",
        input: Type::Text,
        output: Some(Type::Integer),
        read: |_, _| pure(|value| Some(Value::Integer(value.into_text().len() as i64))),
    },
    Row {
        name: "lower",
        usage: "",
        doc: "ASCII letters in lower case.",
        input: Type::Text,
        output: Some(Type::Text),
        read: |_, _| changed(u8::is_ascii_uppercase, <[u8]>::make_ascii_lowercase),
    },
    Row {
        name: "ltrim",
        usage: "CHARACTERS",
        doc: "Without these characters at the beginning.",
        input: Type::Text,
        output: Some(Type::Text),
        read: |arguments, _| {
            let unwanted = arguments.text("characters")?.into_bytes();
            trimmed(move |text| {
                let start = text.iter().position(|byte| !unwanted.contains(byte));
                start.unwrap_or(text.len())..text.len()
            })
        },
    },
    Row {
        name: "param",
        usage: "NAME[,DELIMITER]",
        doc: "The value of a parameter in a text such as a=1&b=2.",
        input: Type::Text,
        output: Some(Type::Text),
        read: param,
    },
    Row {
        name: "port_only",
        usage: "",
        doc: "The port of a Host field, 0 where it has none.",
        input: Type::Text,
        output: Some(Type::Integer),
        read: |_, _| {
            pure(|value| {
                let text = value.into_text();
                let digits = port_at(&text).map_or(&[][..], |colon| &text[colon + 1..]);
                let digits = digits.iter().map_while(|byte| (*byte as char).to_digit(10));
                let port = digits.fold(0_u32, |port, digit| {
                    port.wrapping_mul(10).wrapping_add(digit)
                });
                Some(Value::Integer(port.into()))
            })
        },
    },
    Row {
        name: "reverse",
        usage: "",
        doc: "The bytes in the opposite order.",
        input: Type::Text,
        output: Some(Type::Text),
        read: |_, _| changed(|_| true, <[u8]>::reverse),
    },
    Row {
        name: "reverse_dom",
        usage: "",
        doc: "The labels of a domain name in the opposite order.",
        input: Type::Text,
        output: Some(Type::Text),
        read: |_, _| {
            pure(|value| {
                let text = value.into_text();
                let name = text.strip_suffix(b".").unwrap_or(&text);
                let labels = || name.split(|byte| *byte == b'.');
                if labels().any(<[u8]>::is_empty) {
                    return None;
                }
                let reversed: Vec<&[u8]> = labels().rev().collect();
                Some(Value::owned(reversed.join(&b'.')))
            })
        },
    },
    Row {
        name: "rtrim",
        usage: "CHARACTERS",
        doc: "Without these characters at the end.",
        input: Type::Text,
        output: Some(Type::Text),
        read: |arguments, _| {
            let unwanted = arguments.text("characters")?.into_bytes();
            trimmed(move |text| {
                let last = text.iter().rposition(|byte| !unwanted.contains(byte));
                0..last.map_or(0, |last| last + 1)
            })
        },
    },
    Row {
        name: "strcmp",
        usage: "VARIABLE",
        doc: "0 where the text equals a variable's, less where it comes before it, otherwise more.",
        input: Type::Text,
        output: Some(Type::Integer),
        read: |arguments, _| {
            let text = arguments.word("a variable's name")?;
            let name = Name::parse(&text).map_err(|error| arguments.invalid(error))?;
            Ok(Box::new(Compare(name)))
        },
    },
    Row {
        name: "upper",
        usage: "",
        doc: "ASCII letters in upper case.",
        input: Type::Text,
        output: Some(Type::Text),
        read: |_, _| changed(u8::is_ascii_lowercase, <[u8]>::make_ascii_uppercase),
    },
    Row {
        name: "word",
        usage: "INDEX,SEPARATORS[,COUNT]",
        doc: "The INDEX-th word between one or more separators, from the end where it is negative; 0: all from there on.",
        input: Type::Text,
        output: Some(Type::Text),
        read: |arguments, _| select(arguments, word, None),
    },
];

type Made = Result<Box<dyn Convert>, Diagnostic>;

/// The text with its bytes changed in place.
fn changed(concerns: fn(&u8) -> bool, change: fn(&mut [u8])) -> Made {
    pure(move |value| {
        let text = value.into_text();
        // Most texts are as they are wanted.
        if !text.iter().any(concerns) {
            return Some(Value::Text(text));
        }
        let mut text = text.into_owned();
        change(&mut text);
        Some(Value::owned(text))
    })
}

/// A part of the text.
fn trimmed(range: impl Fn(&[u8]) -> std::ops::Range<usize> + Send + Sync + 'static) -> Made {
    pure(move |value| {
        let text = value.into_text();
        let range = range(&text);
        Some(Value::Text(part(text, range)))
    })
}

/// The place of the colon in front of a port.
fn port_at(text: &[u8]) -> Option<usize> {
    let last = memchr::memrchr2(b':', b']', text)?;
    (text[last] == b':').then_some(last)
}

struct Choice {
    yes: String,
    no: String,
}

impl Convert for Choice {
    fn convert<'a>(&'a self, value: Value<'a>, _: &'a Context<'_>) -> Option<Value<'a>> {
        let text = if value.as_boolean()? {
            &self.yes
        } else {
            &self.no
        };
        Some(Value::text(text.as_bytes()))
    }
}

/// The variable called `text`, where it is not empty.
fn variable(text: &str, arguments: &Arguments) -> Result<Option<Name>, Diagnostic> {
    if text.is_empty() {
        return Ok(None);
    }
    let name = Name::parse(text).map_err(|error| arguments.invalid(error))?;
    Ok(Some(name))
}

/// Appends constants and a variable; what does not fit is cut off.
struct Append {
    delimiter: Option<String>,
    prefix: String,
    variable: Option<Name>,
    suffix: String,
}

impl Convert for Append {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let mut text = value.into_text().into_owned();
        let found = self
            .variable
            .as_ref()
            .and_then(|name| context.variable(name));
        let found = found.map_or(Cow::Borrowed(&[][..]), Value::into_text);
        if let Some(delimiter) = &self.delimiter
            && !text.is_empty()
            && !(found.is_empty() && self.suffix.is_empty())
        {
            text.extend_from_slice(delimiter.as_bytes());
        }
        text.extend_from_slice(self.prefix.as_bytes());
        text.extend_from_slice(&found);
        text.extend_from_slice(self.suffix.as_bytes());
        text.truncate(OUTPUT_BYTES_MAX);
        Some(Value::owned(text))
    }
}

struct Compare(Name);

impl Convert for Compare {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let (text, other) = (value.into_text(), context.variable(&self.0)?.into_text());
        let mut pairs = text.iter().zip(other.iter());
        let order = match pairs.find(|(a, b)| a != b) {
            Some((a, b)) => i64::from(*a) - i64::from(*b),
            None => text.len().cmp(&other.len()) as i64,
        };
        Some(Value::Integer(order))
    }
}

/// Finds part number `index` (from 0) and, from there, the end of `count` parts, or of all where that is 0.
/// `is_separator` is asked for places below `length`.
type Find = fn(
    is_separator: &dyn Fn(usize) -> bool,
    length: usize,
    index: usize,
    count: usize,
) -> Option<(usize, usize)>;

/// Where the first of some separators stands in a text, or its end.
type FirstEnd = fn(&[u8], &[u8]) -> usize;

/// Where the first of these separators stands, or the end.
fn first_field(separators: &[u8], text: &[u8]) -> usize {
    let end = match separators {
        [one] => memchr::memchr(*one, text),
        all => text.iter().position(|byte| all.contains(byte)),
    };
    end.unwrap_or(text.len())
}

/// `first` is a quicker way to the end of the first part.
fn select(arguments: &mut Arguments, find: Find, first: Option<FirstEnd>) -> Made {
    let index = arguments.integer("an index")?;
    if index == 0 {
        return Err(arguments.invalid("parts are counted from 1, or from -1 at the end"));
    }
    let separators = arguments.word("separators")?.into_bytes();
    // A comma with nothing behind it is a count of 0, as in HAProxy.
    let is_empty = arguments.left() > 0;
    let count = arguments.optional_integer("a count")?;
    let count = count.unwrap_or(if is_empty { 0 } else { 1 });
    // Below 0 is as 0: everything from there on.
    let count = usize::try_from(count).unwrap_or(0);
    let skip = usize::try_from(index.unsigned_abs() - 1).unwrap_or(usize::MAX);
    let first = first.filter(|_| (index, count) == (1, 1));
    pure(move |value| {
        let text = value.into_text();
        let length = text.len();
        if let Some(first) = first {
            let end = first(&separators, &text);
            return Some(Value::Text(part(text, 0..end)));
        }
        let range = if index > 0 {
            let (start, end) = find(
                &|place| separators.contains(&text[place]),
                length,
                skip,
                count,
            )?;
            start..end
        } else {
            // From the end: the same with places counted backwards.
            let mirrored = |place: usize| separators.contains(&text[length - 1 - place]);
            let (start, end) = find(&mirrored, length, skip, count)?;
            length - end..length - start
        };
        Some(Value::Text(part(text, range)))
    })
}

fn field(
    is_separator: &dyn Fn(usize) -> bool,
    length: usize,
    index: usize,
    count: usize,
) -> Option<(usize, usize)> {
    let mut separators = (0..length).filter(|place| is_separator(*place));
    let start = match index.checked_sub(1) {
        None => 0,
        Some(before) => separators.nth(before)? + 1,
    };
    let end = match count.checked_sub(1) {
        None => length,
        Some(more) => separators.nth(more).unwrap_or(length),
    };
    Some((start, end))
}

fn word(
    is_separator: &dyn Fn(usize) -> bool,
    length: usize,
    index: usize,
    count: usize,
) -> Option<(usize, usize)> {
    let mut from = 0;
    let mut words = std::iter::from_fn(|| {
        let start = (from..length).find(|place| !is_separator(*place))?;
        let end = (start..length).find(|place| is_separator(*place));
        from = end.unwrap_or(length);
        Some((start, from))
    });
    let (start, end) = words.nth(index)?;
    let end = match count {
        0 => length,
        1 => end,
        more => words.nth(more - 2).map_or(length, |(_, end)| end),
    };
    Some((start, end))
}

fn param(arguments: &mut Arguments, _: &crate::expression::Scope<'_>) -> Made {
    let name = arguments.text("a parameter's name")?.into_bytes();
    let delimiter = match arguments.optional() {
        None => b'&',
        Some(text) => match text.as_bytes() {
            [one] => *one,
            [b'0', b'x', digits @ ..] if digits.len() == 2 => {
                u8::from_str_radix(&text[2..], 16).map_err(|_| one_character(arguments))?
            }
            _ => return Err(one_character(arguments)),
        },
    };
    pure(move |value| {
        let text = value.into_text();
        let range = parameter(&text, &name, delimiter)?;
        Some(Value::Text(part(text, range)))
    })
}

fn one_character(arguments: &Arguments) -> Diagnostic {
    arguments.invalid("a delimiter is one character, or 0xHH for its code")
}

/// Where the value of a parameter stands.
fn parameter(text: &[u8], name: &[u8], delimiter: u8) -> Option<std::ops::Range<usize>> {
    let mut start = 0;
    for piece in text.split(|byte| *byte == delimiter) {
        let end = start + piece.len();
        if start == text.len() {
            break;
        }
        if let Some(rest) = piece.strip_prefix(name) {
            match rest {
                [] => return Some(end..end),
                [b'=', ..] => return Some(start + name.len() + 1..end),
                _ => {}
            }
        }
        start = end + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;
    use crate::value::Value;

    fn check(bench: &Bench, cases: &[(&str, Option<&str>)]) {
        for (text, expected) in cases {
            assert_eq!(bench.evaluate(text).as_deref(), *expected, "{text}");
        }
    }

    /// Expected values are HAProxy's, here and below.
    #[test]
    fn parts_are_selected_from_both_ends() {
        check(
            &Bench::default(),
            &[
                ("str(a.b.c),field(2,.)", Some("b")),
                ("str(a.b.c),field(-1,.)", Some("c")),
                ("str(a.b.c),field(-3,.)", Some("a")),
                ("str(a.b.c),field(-1,.,2)", Some("b.c")),
                ("str(a.b.c),field(-2,.,0)", Some("a.b")),
                ("str(a.b.c),field(2,.,0)", Some("b.c")),
                ("str(a.b.c),field(1,.,2)", Some("a.b")),
                ("str(a.b.c),field(2,.,9)", Some("b.c")),
                ("str(a.b.c),field(5,.)", None),
                ("str(a.b.c),field(-5,.)", None),
                ("str(a..c),field(2,.)", Some("")),
                ("str(),field(1,.)", Some("")),
                ("str(a-b.c),field(2,.-)", Some("b")),
                ("str(/a//b),word(2,/)", Some("b")),
                ("str(/a//b),word(1,/,0)", Some("a//b")),
                ("str(/a//b/),word(1,/,0)", Some("a//b/")),
                ("str(/a//b/),word(-1,/)", Some("b")),
                ("str(/a//b/),word(-1,/,2)", Some("a//b")),
                ("str(/a//b/),word(-1,/,0)", Some("/a//b")),
                ("str(/a//b/),word(3,/)", None),
                ("str(),word(1,/)", None),
            ],
        );
    }

    #[test]
    fn parameters_are_found_by_name() {
        check(
            &Bench::default(),
            &[
                ("str(a&b=1&c=2),param(b)", Some("1")),
                ("str(a&b=1&c=2),param(a)", Some("")),
                ("str(a&b=1&c=2),param(c)", Some("2")),
                ("str(a&b=1&c=2),param(d)", None),
                ("str(a;b=1),param(b,;)", Some("1")),
                ("str(a;b=1),param(b,0x3b)", Some("1")),
                ("str(ab=1&a=2),param(a)", Some("2")),
                ("str(a=),param(a)", Some("")),
            ],
        );
    }

    #[test]
    fn texts_are_put_together() {
        let mut bench = Bench::default();
        bench.variable("txn.x", Value::owned(*b"v"));
        check(
            &bench,
            &[
                ("str(a),concat", Some("a")),
                ("str(a),concat(b)", Some("ab")),
                ("str(a),concat(,txn.x,c)", Some("avc")),
                ("str(a),concat(,txn.none,c)", Some("ac")),
                ("str(a),add_item(;,txn.x,w)", Some("a;vw")),
                ("str(a),add_item(;,txn.none)", Some("a")),
                ("str(),add_item(;,,x)", Some("x")),
                ("str(w),strcmp(txn.x)", Some("1")),
                ("str(v),strcmp(txn.x)", Some("0")),
                ("str(v1),strcmp(txn.x)", Some("1")),
                ("str(),strcmp(txn.x)", Some("-1")),
                ("str(v),strcmp(txn.none)", None),
            ],
        );
    }

    #[test]
    fn texts_are_changed() {
        check(
            &Bench::default(),
            &[
                ("str(AbC),lower", Some("abc")),
                ("str(AbC),upper", Some("ABC")),
                ("str(abc),reverse", Some("cba")),
                ("str(a.b.c),reverse_dom", Some("c.b.a")),
                ("str(a.b.),reverse_dom", Some("b.a")),
                ("str(a..b),reverse_dom", None),
                ("str(.),reverse_dom", None),
                ("str(),reverse_dom", None),
                ("str(xxabcxx),ltrim(x)", Some("abcxx")),
                ("str(xxabcxx),rtrim(x)", Some("xxabc")),
                ("str(xx),rtrim(x)", Some("")),
                ("str(xx),ltrim(x)", Some("")),
                ("bin(610d0a62),cut_crlf", Some("a")),
                ("str(Example.org:80),host_only", Some("example.org")),
                ("str('[::1]:80'),host_only", Some("[::1]")),
                ("str('[::1]'),host_only", Some("[::1]")),
                ("str('[::1]:80'),port_only", Some("80")),
                ("str('a:'),port_only", Some("0")),
                ("str(a),port_only", Some("0")),
                ("str(abc),length", Some("3")),
                ("str(),length", Some("0")),
                ("src,length", Some("9")),
                ("bool(true),iif(a,b)", Some("a")),
                ("str(a),iif(a,b)", Some("b")),
                ("int(0),iif(a,)", Some("")),
            ],
        );
    }

    #[test]
    fn arguments_are_checked() {
        let bench = Bench::default();
        for (text, part) in [
            ("str(a),field(0,.)", "counted from 1"),
            ("str(a),field(1)", "lacks"),
            ("str(a),field(1,)", "lacks"),
            ("str(a),param(a,ab)", "one character"),
            ("str(a),add_item(x)", "lacks"),
            ("str(a),add_item(x,)", "neither a variable"),
            ("str(a),concat(b,c)", "no scope"),
            ("str(a),strcmp", "lacks"),
            ("bool(1),iif(a)", "lacks"),
        ] {
            let error = bench.refused(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
