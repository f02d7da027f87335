//! `replace-header`, `replace-value`: values made from what a regular expression found in them.

use plimsoll_config::args::Word;
use plimsoll_config::diagnostic::{Diagnostic, Kind};
use plimsoll_wire::head::{FieldKind, Head};
use regex::bytes::{Captures, Regex, RegexBuilder};

use super::{Action, Flow, Places, Row, Words, action, target};
use crate::context::{Context, Phase};
use crate::expression::Scope;
use crate::log_format::{self, Encoding, Format};
use crate::sample::comma;

/// Largest compiled expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 4 << 20;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "replace-header",
        numbered: false,
        usage: "NAME REGEX FORMAT",
        doc: "Replaces each field of a name whose value matches.",
        places: Places::HTTP,
        read: |words, scope| read(words, scope, false),
    },
    Row {
        name: "replace-value",
        numbered: false,
        usage: "NAME REGEX FORMAT",
        doc: "Replaces each of the values between commas in fields of a name, where it matches.",
        places: Places::HTTP,
        read: |words, scope| read(words, scope, true),
    },
];

struct Replace {
    name: Vec<u8>,
    expression: Regex,
    format: Format,
    /// Values are what stands between commas.
    list: bool,
}

impl Action for Replace {
    fn run(&self, context: &mut Context<'_>) -> Flow {
        let wanted = |head: &Head| {
            head.values(&self.name)
                .any(|value| self.list || self.expression.is_match(value))
        };
        if !context.message().is_some_and(wanted) {
            return Flow::Continue;
        }
        let mut template = Vec::new();
        self.format.write(context, &mut template);
        let done = context
            .message_mut()
            .is_none_or(|head| self.replace(head, &template));
        let is_host = context.phase == Phase::Request && self.name == b"host";
        let done = done && (!is_host || target::follow_host(context));
        context.changed(done)
    }
}

impl Replace {
    fn replace(&self, head: &mut Head, template: &[u8]) -> bool {
        for index in 0..head.fields.len() {
            let field = head.fields[index];
            if field.kind == FieldKind::Removed
                || !head.bytes(field.name).eq_ignore_ascii_case(&self.name)
            {
                continue;
            }
            let Some(changed) = self.changed(head.bytes(field.value), template) else {
                return false;
            };
            let Some(changed) = changed else { continue };
            if !head.has_room(changed.len()) {
                return false;
            }
            head.fields[index].value = head.push_value(&changed);
        }
        true
    }

    /// The value as it is to be, `Some(None)` where it stays, `None` where it cannot be made.
    #[expect(
        clippy::option_option,
        reason = "it fails or not, and it changes or not"
    )]
    fn changed(&self, value: &[u8], template: &[u8]) -> Option<Option<Vec<u8>>> {
        let mut out = Vec::new();
        if !self.list {
            let Some(found) = self.expression.captures(value) else {
                return Some(None);
            };
            return expand(template, &found, &mut out).then_some(Some(out));
        }
        let (mut changed, mut rest) = (false, value);
        loop {
            let end = comma(rest);
            let part = &rest[..end.unwrap_or(rest.len())];
            match self.expression.captures(part.trim_ascii()) {
                None => out.extend_from_slice(part),
                // The blanks around it go with the value.
                Some(found) => {
                    changed = true;
                    if !expand(template, &found, &mut out) {
                        return None;
                    }
                }
            }
            let Some(end) = end else {
                return Some(changed.then_some(out));
            };
            out.push(b',');
            rest = &rest[end + 1..];
        }
    }
}

fn read(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    list: bool,
) -> Result<Box<dyn Action>, Diagnostic> {
    let name = words.args.word("the name of a field")?;
    let expression = expression(words.args.word("a regular expression")?)?;
    let word = words.args.word("what replaces it")?;
    action(Replace {
        name: name.text.to_ascii_lowercase().into_bytes(),
        expression,
        format: log_format::read(word, Encoding::Http, scope)?,
        list,
    })
}

/// Reads a regular expression; it runs in time linear in its input.
pub(super) fn expression(word: &Word) -> Result<Regex, Diagnostic> {
    let built = RegexBuilder::new(&word.text)
        .unicode(false)
        .size_limit(EXPRESSION_BYTES_MAX)
        .build();
    built.map_err(|error| {
        let what = crate::pattern::problem(&error);
        let message = format_args!("'{}' is not a regular expression: {what}", word.text);
        Diagnostic::error(Kind::Invalid, word.span, message)
    })
}

/// Appends `template` with `\1` replaced by what the first group found, and so on; `\x41` is a byte, and another
/// character behind a backslash stands for itself. Returns `false` where the backslash is the last character.
pub(super) fn expand(template: &[u8], found: &Captures<'_>, out: &mut Vec<u8>) -> bool {
    let mut bytes = template.iter().copied();
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            None => return false,
            Some(number @ b'0'..=b'9') => {
                let group = found.get(usize::from(number - b'0'));
                out.extend_from_slice(group.map_or(b"", |group| group.as_bytes()));
            }
            Some(b'x') => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => out.push((high << 4 | low) as u8),
                _ => return false,
            },
            Some(other) => out.push(other),
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn values_are_replaced_whole_or_one_by_one() {
        let bench = || Bench::request("GET / HTTP/1.1\r\nX: a1, b2\r\nX: c3\r\n\r\n");
        for (rule, expected) in [
            (r"replace-header X (.)1(.*) [\1\2]", &["[a, b2]", "c3"][..]),
            (r"replace-header x ^(.)\d.*$ \1", &["a", "c"]),
            (r"replace-value X ([a-c])(\d) \2\1", &["1a,2b", "3c"]),
            (r"replace-value X ^b.* z", &["a1,z", "c3"]),
            (r"replace-header Y .* z", &["a1, b2", "c3"]),
        ] {
            assert_eq!(bench().act_on_field(rule, "x"), expected, "{rule}");
        }
    }
}
