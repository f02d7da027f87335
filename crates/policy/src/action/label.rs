//! `set-mark`, `set-tos`: how packets to the client are labelled (manual, section 4.4).

use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Action, Flow, Label, Places, Row, Words, action};
use crate::context::Context;
use crate::expression::{self, Scope};
use crate::value::Value;

const EVERYWHERE: Places = Places::TCP_REQUEST.and(Places::MESSAGES);

pub(crate) const ROWS: &[Row] = &[
    mark("set-fc-mark"),
    tos("set-fc-tos"),
    mark("set-mark"),
    tos("set-tos"),
];

const fn mark(name: &'static str) -> Row {
    Row {
        name,
        numbered: false,
        usage: "NUMBER|EXPRESSION",
        doc: "Marks packets to the client for the kernel's own routing and filters, where this process may.",
        places: EVERYWHERE,
        read: |words, scope| label(words, scope, |number| Label::Mark(number as u32)),
    }
}

const fn tos(name: &'static str) -> Row {
    Row {
        name,
        numbered: false,
        usage: "NUMBER|EXPRESSION",
        doc: "Sets the type of service (DSCP) in packets to the client.",
        places: EVERYWHERE,
        read: |words, scope| label(words, scope, |number| Label::Service(number as u8)),
    }
}

/// A number, perhaps in hexadecimal digits behind `0x`, or an expression.
fn label(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    make: fn(i64) -> Label,
) -> Result<Box<dyn Action>, Diagnostic> {
    let word = words.args.word("a number or an expression")?;
    let known = match word.text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => word.text.parse(),
    };
    if let Ok(number) = known {
        let max = match make(0) {
            Label::Mark(_) => i64::from(u32::MAX),
            Label::Service(_) => i64::from(u8::MAX),
        };
        if !(0..=max).contains(&number) {
            let message = format_args!("'{}' is not between 0 and {max}", word.text);
            return Err(Diagnostic::error(Kind::Invalid, word.span, message));
        }
        return action(move |_: &mut Context<'_>| Flow::Label(make(number)));
    }
    let number = expression::parse(word, scope)?;
    action(move |context: &mut Context<'_>| {
        let value = number.evaluate(context);
        match value.as_ref().and_then(Value::as_integer) {
            Some(number) => Flow::Label(make(number)),
            None => Flow::Continue,
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn labels_are_read_and_asked_for() {
        let bench = Bench::request("GET / HTTP/1.1\r\nHost: h\r\nT: 40\r\n\r\n");
        for (rule, expected) in [
            ("set-tos 0x20", "Label(Service(32))"),
            ("set-fc-tos 255", "Label(Service(255))"),
            ("set-tos req.hdr(t)", "Label(Service(40))"),
            ("set-tos req.hdr(none)", "GET /"),
            ("set-mark 0xffffffff", "Label(Mark(4294967295))"),
            ("set-fc-mark 7", "Label(Mark(7))"),
        ] {
            assert_eq!(bench.line_after(rule), expected, "{rule}");
        }
        for rule in [
            "set-tos 256",
            "set-mark -1",
            "set-mark 0x100000000",
            "set-tos",
        ] {
            assert!(bench.act(rule).is_err(), "{rule}");
        }
    }
}
