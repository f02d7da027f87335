//! Actions on many fields at once, which a value lists in the binary form of `req.hdrs_bin`: `set-headers-bin` and its like.

use plimsoll_config::diagnostic::{Diagnostic, Kind};
use plimsoll_wire::h1::token::is_token_byte;
use plimsoll_wire::head::Head;

use super::{Action, Flow, Places, Row, Words, action, target};
use crate::context::{Context, Phase};
use crate::expression::{self, Expression, Scope};
use crate::pattern::Method;
use crate::value::Type;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "add-headers-bin",
        numbered: false,
        usage: "EXPRESSION [prefix TEXT]",
        doc: "Adds the fields that a value lists, in the form of req.hdrs_bin; those alone whose names begin so.",
        places: Places::HTTP,
        read: |words, scope| edit(words, scope, false),
    },
    Row {
        name: "del-headers-bin",
        numbered: false,
        usage: "EXPRESSION [-m str|beg|end|sub]",
        doc: "Removes the fields whose names a value lists, in the form of req.hdrs_bin without values.",
        places: Places::HTTP,
        read: delete,
    },
    Row {
        name: "set-headers-bin",
        numbered: false,
        usage: "EXPRESSION [prefix TEXT]",
        doc: "As add-headers-bin, in place of all other fields of these names.",
        places: Places::HTTP,
        read: |words, scope| edit(words, scope, true),
    },
];

/// Fields on which it depends where messages end, and who is trusted by proxies: no list changes them.
const FIXED: &[&[u8]] = &[
    b"connection",
    b"content-length",
    b"expect",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

fn is_fixed(name: &[u8]) -> bool {
    FIXED.iter().any(|fixed| fixed.eq_ignore_ascii_case(name))
}

/// The list is cut short, or says something that no field can.
#[derive(Debug, PartialEq, Eq)]
enum Malformed {
    /// A length is beyond the end, or a name is none: the change does not fit.
    Content,
    /// The mark at its end is missing.
    Unended,
}

/// The name and the value of a field.
type Field<'a> = (&'a [u8], &'a [u8]);

/// Reads a list of fields, or of names.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A number as SPOE writes it: one byte below 240, otherwise four bits and then seven at a time.
    fn length(&mut self) -> Option<usize> {
        let (first, mut rest) = self.rest.split_first()?;
        let mut number = u64::from(*first);
        if number >= 240 {
            let mut shift = 4;
            loop {
                let (next, behind) = rest.split_first()?;
                rest = behind;
                // Larger ones cannot be the length of anything here.
                let part = u64::from(*next).checked_shl(shift).filter(|_| shift < 32)?;
                number += part;
                shift += 7;
                if *next < 128 {
                    break;
                }
            }
        }
        self.rest = rest;
        usize::try_from(number).ok()
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(text)
    }

    /// The next name; `None`: the mark of the end.
    fn name(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        if self.rest.is_empty() {
            return Err(Malformed::Unended);
        }
        let name = self.text().ok_or(Malformed::Content)?;
        if !name.iter().all(|byte| is_token_byte(*byte)) {
            return Err(Malformed::Content);
        }
        Ok(Some(name).filter(|name| !name.is_empty()))
    }

    /// The next field; `None`: the mark of the end.
    fn field(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        let name = self.name()?;
        let value = self.text().ok_or(Malformed::Content)?;
        match name {
            Some(name) => Ok(Some((name, value))),
            None if value.is_empty() => Ok(None),
            None => Err(Malformed::Content),
        }
    }
}

/// Hands each field of a list to `each`, which says whether it fitted, once the whole list is known to be well-formed.
fn each_field(list: &[u8], mut each: impl FnMut(&[u8], &[u8]) -> bool) -> Result<(), Malformed> {
    let mut reader = Reader { rest: list };
    while reader.field()?.is_some() {}
    let mut reader = Reader { rest: list };
    while let Some((name, value)) = reader.field()? {
        if !each(name, value) {
            return Err(Malformed::Content);
        }
    }
    Ok(())
}

fn each_name(list: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), Malformed> {
    let mut reader = Reader { rest: list };
    while reader.name()?.is_some() {}
    let mut reader = Reader { rest: list };
    while let Some(name) = reader.name()? {
        each(name);
    }
    Ok(())
}

/// Copies the value of an expression; `false`: there is none.
fn copy(expression: &Expression, context: &Context<'_>, out: &mut Vec<u8>) -> bool {
    let value = expression.evaluate(context);
    let value = value.and_then(|value| value.cast(Type::Binary));
    let bytes = value.as_ref().and_then(|value| value.bytes());
    out.extend_from_slice(bytes.unwrap_or_default());
    bytes.is_some()
}

/// Runs a change on a copy of the list, which may be part of the message that is changed.
fn with_list(
    expression: &Expression,
    context: &mut Context<'_>,
    change: impl FnOnce(&[u8], &mut Head) -> Result<(), Malformed>,
) -> Flow {
    let mut list = context.take_buffer();
    let is_there = copy(expression, context, &mut list);
    let done = match context.message_mut().filter(|_| is_there) {
        Some(head) => change(&list, head),
        None => Ok(()),
    };
    context.give_buffer(list);
    match done {
        Ok(()) => Flow::Continue,
        Err(Malformed::Content) => context.changed(false),
        // A list that nobody finished is a mistake in the rules, of which no strictness can be let go.
        Err(Malformed::Unended) => Flow::Fail,
    }
}

struct Edit {
    list: Expression,
    /// What names begin with, in the case in which they are listed.
    prefix: Vec<u8>,
    /// In place of all others of their names.
    replaces: bool,
}

impl Action for Edit {
    fn run(&self, context: &mut Context<'_>) -> Flow {
        let flow = with_list(&self.list, context, |list, head| {
            each_field(list, |name, value| {
                if !name.starts_with(&self.prefix) || is_fixed(name) {
                    return true;
                }
                match self.replaces {
                    true => head.set_last(name, value),
                    false => head.add(name, value),
                }
            })
        });
        match flow {
            Flow::Continue if context.phase == Phase::Request => {
                let done = target::follow_host(context);
                context.changed(done)
            }
            flow => flow,
        }
    }
}

fn edit(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    replaces: bool,
) -> Result<Box<dyn Action>, Diagnostic> {
    let list = expression::parse(words.args.word("an expression")?, scope)?;
    let mut prefix = Vec::new();
    if words.take("prefix") {
        let word = words.args.word("what names begin with")?;
        prefix = word.text.as_bytes().to_vec();
    }
    action(Edit {
        list,
        prefix,
        replaces,
    })
}

/// Whether a name is meant by one in a list.
type Compare = fn(&[u8], &[u8]) -> bool;

/// How names are compared with those of a list.
fn comparison(method: Method) -> Option<Compare> {
    Some(match method {
        Method::Text => |name, listed| name.eq_ignore_ascii_case(listed),
        Method::Prefix => |name, listed| {
            name.get(..listed.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(listed))
        },
        Method::Suffix => |name, listed| {
            let start = name.len().checked_sub(listed.len());
            start.is_some_and(|start| name[start..].eq_ignore_ascii_case(listed))
        },
        Method::Substring => |name, listed| {
            let mut parts = name.windows(listed.len());
            parts.any(|part| part.eq_ignore_ascii_case(listed))
        },
        _ => return None,
    })
}

fn delete(words: &mut Words<'_, '_>, scope: &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic> {
    let list = expression::parse(words.args.word("an expression")?, scope)?;
    let mut method = Method::Text;
    let mut span = words.name.span;
    if words.take("-m") {
        let word = words.args.word("a way of comparing")?;
        span = word.span;
        method = Method::find(&word.text).ok_or_else(|| {
            let message = format_args!("'{}' is not a way of comparing", word.text);
            Diagnostic::error(Kind::Unknown, word.span, message)
        })?;
    }
    let compare = comparison(method).ok_or_else(|| {
        let message = "names in a list are compared by 'str', 'beg', 'end' or 'sub'";
        Diagnostic::error(Kind::Invalid, span, message)
    })?;
    action(move |context: &mut Context<'_>| {
        with_list(&list, context, |list, head| {
            each_name(list, |listed| {
                head.remove_where(|name| !is_fixed(name) && compare(name, listed));
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Bench;
    use crate::value::Value;

    fn bench(list: &[u8]) -> Bench {
        let text =
            "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 0\r\nY: 3\r\n\r\n";
        let mut bench = Bench::request(text);
        bench.variable("txn.l", Value::Binary(list.to_vec().into()));
        bench
    }

    /// The fields behind a rule, or that it failed.
    fn after(list: &[u8], rule: &str) -> String {
        let mut told = bench(list).fields_after(rule);
        told.retain(|character| character != '\r');
        told.replace('\n', ";")
    }

    const BEFORE: &str = "host: a;x-a: 1;x-a: 2;content-length: 0;y: 3;";

    #[test]
    fn fields_are_added_and_replaced() {
        let list = b"\x03x-a\x019\x03X-b\x00\x0econtent-length\x015\x03x-a\x018\x00\x00";
        assert_eq!(
            after(list, "add-headers-bin var(txn.l)"),
            format!("{BEFORE}x-a: 9;x-b: ;x-a: 8;")
        );
        assert_eq!(
            after(list, "set-headers-bin var(txn.l)"),
            "host: a;content-length: 0;y: 3;x-b: ;x-a: 8;"
        );
        assert_eq!(
            after(list, "set-headers-bin var(txn.l) prefix x"),
            "host: a;content-length: 0;y: 3;x-a: 8;"
        );
        assert_eq!(after(b"\x00\x00", "set-headers-bin var(txn.l)"), BEFORE);
        assert_eq!(after(b"", "set-headers-bin var(txn.none)"), BEFORE);
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        let list = b"\x01z\x06a\r\nb: \x00\x00";
        let told = after(list, "add-headers-bin var(txn.l)");
        assert_eq!(told, format!("{BEFORE}z: a  b: ;"));
    }

    #[test]
    fn fields_are_removed_by_names() {
        let list = b"\x02x-\x01Y\x07-length\x00\x00";
        let told = |method: &str| after(list, &format!("del-headers-bin var(txn.l){method}"));
        assert_eq!(told(""), "host: a;x-a: 1;x-a: 2;content-length: 0;");
        assert_eq!(told(" -m beg"), "host: a;content-length: 0;");
        assert_eq!(told(" -m end"), "host: a;x-a: 1;x-a: 2;content-length: 0;");
        assert_eq!(told(" -m sub"), "host: a;content-length: 0;");
    }

    #[test]
    fn malformed_lists_change_nothing() {
        for list in [
            &b""[..],
            b"\x01z\x011",
            b"\x01z\x011\x00",
            b"\x01z",
            b"\x09z\x011\x00\x00",
            b"\x02z:\x011\x00\x00",
            b"\x02 z\x011\x00\x00",
            b"\x00\x011\x00\x00",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01z",
        ] {
            assert_eq!(
                after(list, "add-headers-bin var(txn.l)"),
                "Fail",
                "{list:?}"
            );
        }
    }

    #[test]
    fn long_lengths_are_read() {
        for number in [0_usize, 239, 240, 2_287, 2_288, 100_000] {
            let mut bytes = Vec::new();
            crate::sample::push_length(number as u64, &mut bytes);
            let mut reader = Reader { rest: &bytes };
            assert_eq!((reader.length(), reader.rest.len()), (Some(number), 0));
        }
    }

    #[test]
    fn patterns_that_may_take_long_are_refused() {
        let bench = bench(b"");
        let refused = |rule: &str| bench.act(rule).unwrap_err();
        assert!(refused("del-headers-bin var(txn.l) -m reg").contains("'str', 'beg'"));
        assert!(refused("del-headers-bin var(txn.l) -m nope").contains("is not a way"));
        assert!(refused("add-headers-bin").contains("an expression"));
    }

    proptest! {
        #[test]
        fn hostile_lists_harm_nobody(list: Vec<u8>) {
            for rule in ["add-headers-bin", "set-headers-bin", "del-headers-bin"] {
                let told = after(&list, &format!("{rule} var(txn.l)"));
                prop_assert!(told == "Fail" || told.contains("content-length: 0;"));
            }
        }
    }
}
