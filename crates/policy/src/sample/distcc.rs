//! Samples of distcc, which hands compilations to other machines: its messages are tokens of four letters with a number
//! in eight hexadecimal digits each, and most are followed by as many bytes (manual, section 7.3.5).

use plimsoll_config::diagnostic::Diagnostic;

use super::{Needs, Row, Side, body, fetch};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "distcc_body",
        usage: "TOKEN[,OCCURRENCE]",
        doc: "The bytes behind a token of distcc, as many as have come.",
        needs: Needs::MessageBytes,
        read: |arguments, _| {
            let wanted = Wanted::read(arguments)?;
            fetch(Type::Binary, move |context| {
                let found = wanted.find(context)?;
                if found.body.len() < found.length {
                    context.may_change();
                }
                Some(Value::Binary(found.body.into()))
            })
        },
    },
    Row {
        name: "distcc_param",
        usage: "TOKEN[,OCCURRENCE]",
        doc: "The number behind a token of distcc.",
        needs: Needs::MessageBytes,
        read: |arguments, _| {
            let wanted = Wanted::read(arguments)?;
            fetch(Type::Integer, move |context| {
                Some(Value::Integer(wanted.find(context)?.number.into()))
            })
        },
    },
];

/// A token and its digits.
const HEAD_BYTES: usize = 12;

/// Tokens whose number counts something else than bytes that follow.
const WITHOUT_BODY: [&[u8; 4]; 5] = [b"ARGC", b"DIST", b"NFIL", b"STAT", b"DONE"];

struct Wanted {
    token: [u8; 4],
    /// 0: the first.
    occurrence: u32,
}

struct Found<'a> {
    number: u32,
    /// What has come of as many bytes.
    body: &'a [u8],
    length: usize,
}

impl Wanted {
    fn read(arguments: &mut Arguments) -> Result<Self, Diagnostic> {
        let text = arguments.text("a token")?;
        let Ok(token) = text.as_bytes().try_into() else {
            return Err(arguments.invalid(format_args!("a token has four letters, not '{text}'")));
        };
        let occurrence = arguments.optional_integer("an occurrence")?.unwrap_or(0);
        let occurrence = u32::try_from(occurrence)
            .map_err(|_| arguments.invalid("an occurrence is not negative"))?;
        Ok(Self { token, occurrence })
    }

    /// Each step takes twelve bytes of what has come, so that the way is no longer than that.
    fn find<'a>(&self, context: &'a Context<'_>) -> Option<Found<'a>> {
        let has_head = Side::AtHand.head(context).is_some() && !context.is_raw;
        if has_head {
            return None;
        }
        let mut rest = body::at_hand(context)?;
        let mut seen = 0;
        // Once the rest is no message, more bytes do not make it one.
        context.unsure.set(false);
        loop {
            let Some((head, behind)) = rest.split_at_checked(HEAD_BYTES) else {
                context.may_change();
                return None;
            };
            let (token, digits) = head.split_at(4);
            let number = digits.iter().try_fold(0_u32, |number, digit| {
                Some(number << 4 | char::from(*digit).to_digit(16)?)
            })?;
            let has_body = WITHOUT_BODY.iter().all(|known| &known[..] != token);
            let length = if has_body { number as usize } else { 0 };
            if token == self.token {
                seen += 1;
                if self.occurrence == 0 || seen == self.occurrence {
                    let body = behind.get(..length).unwrap_or(behind);
                    return Some(Found {
                        number,
                        body,
                        length,
                    });
                }
            }
            rest = behind.get(length..)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::acl::Truth;
    use crate::testing::Bench;

    #[test]
    fn tokens_are_found() {
        let mut bench = Bench {
            body: b"DIST00000001ARGC00000002ARGV00000002ccARGV00000003-o DOTI00000010int".to_vec(),
            ..Bench::default()
        };
        for (text, expected) in [
            ("distcc_param(DIST)", Some("1")),
            ("distcc_param(ARGC)", Some("2")),
            ("distcc_param(DOTI)", Some("16")),
            ("distcc_body(ARGV)", Some("cc")),
            ("distcc_body(ARGV,1)", Some("cc")),
            ("distcc_body(ARGV,2)", Some("-o ")),
            ("distcc_body(ARGV,3)", None),
            ("distcc_body(DIST)", Some("")),
            ("distcc_body(DOTI)", Some("int")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
        assert!(bench.refused("distcc_param(DOT)").contains("four letters"));
        bench.last = false;
        let found = |bench: &Bench| bench.condition("if { distcc_param(DOTI) -m found }");
        assert_eq!(found(&bench), Ok(Truth::Pass));
        bench.body.truncate(37);
        assert_eq!(
            found(&bench),
            Ok(Truth::Fail),
            "what is there does not end with a token"
        );
        bench.body.truncate(20);
        assert_eq!(found(&bench), Ok(Truth::Unsure));
        bench.body = b"GET / HTTP/1.1".to_vec();
        assert_eq!(found(&bench), Ok(Truth::Fail));
    }
}
