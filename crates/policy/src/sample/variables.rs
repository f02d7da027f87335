//! All variables at once, for people who look for a mistake (manual, section 7.3.2).

use plimsoll_config::diagnostic::Diagnostic;

use super::{Fetch, Needs, Row, fetch};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::value::{Type, Value};
use crate::variable::Scope;

/// Longest list, in bytes; a longer one is none, as in HAProxy, whose buffers are that long.
const LIST_BYTES_MAX: usize = 16_384;

/// Those that are listed when no scope is named, in HAProxy's order.
const ALL: [Scope; 5] = [
    Scope::Session,
    Scope::Transaction,
    Scope::Request,
    Scope::Response,
    Scope::Process,
];

pub(crate) const ROWS: &[Row] = &[Row {
    name: "dump_all_vars",
    usage: "[SCOPE][,PREFIX][,DELIMITER]",
    doc: "All variables with their values, of a scope or of all, those alone whose names begin so; nothing where that exceeds 16 kB.",
    needs: Needs::Nothing,
    read: |arguments, _| list(arguments),
}];

fn list(arguments: &mut Arguments) -> Result<(Box<dyn Fetch>, Type), Diagnostic> {
    let scopes = match arguments.optional() {
        None => ALL.to_vec(),
        Some(text) => match Scope::named(&text) {
            Some(scope) => vec![scope],
            None => {
                let message = format_args!("'{text}' is not a scope of variables");
                return Err(arguments.invalid(message));
            }
        },
    };
    let prefix = arguments.optional().unwrap_or_default();
    let delimiter = match arguments.left() {
        0 => ", ".to_owned(),
        _ => arguments.text("what stands between variables")?,
    };
    fetch(Type::Text, move |context| {
        let mut out = Vec::new();
        for &scope in &scopes {
            for (name, value) in of_scope(context, scope) {
                if !name.starts_with(&prefix) {
                    continue;
                }
                if !out.is_empty() {
                    out.extend_from_slice(delimiter.as_bytes());
                }
                out.extend_from_slice(scope.name().as_bytes());
                out.push(b'.');
                out.extend_from_slice(name.as_bytes());
                out.push(b'=');
                show(&value, &mut out);
                if out.len() >= LIST_BYTES_MAX {
                    return None;
                }
            }
        }
        Some(Value::owned(out))
    })
}

fn of_scope(context: &Context<'_>, scope: Scope) -> Vec<(String, Value<'static>)> {
    let variables = match scope {
        Scope::Process => return context.plane.variables.list(),
        Scope::Session => match &context.session.extra {
            Some(extra) => &extra.variables,
            None => return Vec::new(),
        },
        _ => &context.exchange.variables,
    };
    let listed = variables.list(scope);
    listed.map(|(name, value)| (name, value.clone())).collect()
}

/// Writes a value as HAProxy does: texts in quotes, bytes as digits.
fn show(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Boolean(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Integer(_) | Value::Address(_) => {
            out.extend_from_slice(&value.borrowed().into_text());
        }
        Value::Binary(bytes) => {
            let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            out.extend(digits.map(|digit| b"0123456789ABCDEF"[usize::from(digit)]));
        }
        Value::Text(text) | Value::Method(text) => {
            out.push(b'"');
            for &byte in text.iter() {
                match byte {
                    b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                    b'\r' => out.extend_from_slice(b"\\r"),
                    b'\n' => out.extend_from_slice(b"\\n"),
                    8 => out.extend_from_slice(b"\\b"),
                    0 => out.extend_from_slice(b"\\0"),
                    _ => out.push(byte),
                }
            }
            out.push(b'"');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[test]
    fn variables_are_listed_by_scope() {
        let mut bench = Bench::default();
        assert_eq!(bench.evaluate("dump_all_vars").as_deref(), Some(""));
        bench.variable("txn.b", Value::text(b"a\"\\\r\n\x08\0b"));
        bench.variable("txn.a1", Value::Integer(-7));
        bench.variable("req.a2", Value::Boolean(true));
        bench.variable("res.bin", Value::Binary((&[0, 0xab][..]).into()));
        bench.variable("txn.a3", Value::Method(b"GET"[..].into()));
        let text = r#"txn.b="a\"\\\r\n\b\0b", txn.a1=-7, txn.a3="GET", req.a2=true, res.bin=00AB"#;
        for (expression, expected) in [
            ("dump_all_vars", text),
            ("dump_all_vars()", text),
            ("dump_all_vars(txn,a)", r#"txn.a1=-7, txn.a3="GET""#),
            (
                "dump_all_vars(,a,;)",
                r#"txn.a1=-7;txn.a3="GET";req.a2=true"#,
            ),
            ("dump_all_vars(sess)", ""),
            ("dump_all_vars(,a,)", r#"txn.a1=-7txn.a3="GET"req.a2=true"#),
        ] {
            assert_eq!(
                bench.evaluate(expression).as_deref(),
                Some(expected),
                "{expression}"
            );
        }
        assert!(bench.refused("dump_all_vars(tx)").contains("not a scope"));
        bench.variable("txn.long", Value::owned(vec![b'x'; LIST_BYTES_MAX]));
        assert_eq!(bench.evaluate("dump_all_vars"), None);
    }
}
