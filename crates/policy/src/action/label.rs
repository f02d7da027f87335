//! `set-fc-mark`, `set-bc-tos` and their like: how packets to the client or the server are labelled (manual, section 4.4).

use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Action, Flow, Label, Places, Row, Words, action};
use crate::context::{Context, Labels};
use crate::expression::{self, Expression, Scope};

const EVERYWHERE: Places = Places::TCP_REQUEST
    .and(Places::RESPONSE_CONTENT)
    .and(Places::MESSAGES);

/// Before a connection to a server is chosen.
const EARLY: Places = Places::CONTENT.and(Places::REQUEST);

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "set-bc-mark",
        numbered: false,
        usage: "NUMBER|EXPRESSION",
        doc: "Marks packets to the server for the kernel's own routing and filters, where this process may.",
        places: EARLY,
        read: |words, scope| {
            let number = read_number(words, scope, u32::MAX.into())?;
            towards_server(number, |labels, number| labels.mark = Some(number as u32))
        },
    },
    Row {
        name: "set-bc-tos",
        numbered: false,
        usage: "NUMBER|EXPRESSION",
        doc: "Sets the type of service (DSCP) in packets to the server.",
        places: EARLY,
        read: |words, scope| {
            let number = read_number(words, scope, u8::MAX.into())?;
            towards_server(number, |labels, number| labels.service = Some(number as u8))
        },
    },
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
        read: |words, scope| {
            let number = read_number(words, scope, u32::MAX.into())?;
            towards_client(number, |number| Label::Mark(number as u32))
        },
    }
}

const fn tos(name: &'static str) -> Row {
    Row {
        name,
        numbered: false,
        usage: "NUMBER|EXPRESSION",
        doc: "Sets the type of service (DSCP) in packets to the client.",
        places: EVERYWHERE,
        read: |words, scope| {
            let number = read_number(words, scope, u8::MAX.into())?;
            towards_client(number, |number| Label::Service(number as u8))
        },
    }
}

/// A number that is known when the configuration is read, or later.
enum Number {
    Known(i64),
    Asked(Expression),
}

impl Number {
    fn value(&self, context: &Context<'_>) -> Option<i64> {
        match self {
            Self::Known(number) => Some(*number),
            Self::Asked(expression) => expression.evaluate(context)?.as_integer(),
        }
    }
}

/// A number up to `max`, perhaps in hexadecimal digits behind `0x`, or an expression.
fn read_number(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    max: i64,
) -> Result<Number, Diagnostic> {
    let word = words.args.word("a number or an expression")?;
    let known = match word.text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => word.text.parse(),
    };
    match known {
        Ok(number) if (0..=max).contains(&number) => Ok(Number::Known(number)),
        Ok(_) => {
            let message = format_args!("'{}' is not between 0 and {max}", word.text);
            Err(Diagnostic::error(Kind::Invalid, word.span, message))
        }
        Err(_) => Ok(Number::Asked(expression::parse(word, scope)?)),
    }
}

fn towards_client(number: Number, make: fn(i64) -> Label) -> Result<Box<dyn Action>, Diagnostic> {
    action(
        move |context: &mut Context<'_>| match number.value(context) {
            Some(number) => Flow::Label(make(number)),
            None => Flow::Continue,
        },
    )
}

/// Connections that carry other labels are of no use from here on.
fn towards_server(
    number: Number,
    set: fn(&mut Labels, i64),
) -> Result<Box<dyn Action>, Diagnostic> {
    action(move |context: &mut Context<'_>| {
        if let Some(number) = number.value(context) {
            set(&mut context.exchange.overrides.server_labels, number);
        }
        Flow::Continue
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
            "set-bc-tos 256",
            "set-bc-mark x",
            "set-tos 256",
            "set-mark -1",
            "set-mark 0x100000000",
            "set-tos",
        ] {
            assert!(bench.act(rule).is_err(), "{rule}");
        }
    }
}
