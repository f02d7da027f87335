//! Samples of what is kept of an exchange for its line in the log.

use plimsoll_config::diagnostic::Diagnostic;

use super::layer7::{path_and_query, version_number};
use super::{Fetch, Needs, Row, fetch, logged_line, request, response_version};
use crate::arguments::Arguments;
use crate::context::ExchangeFacts;
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "capture.req.hdr",
        usage: "NUMBER",
        doc: "What the request's capture of this number kept.",
        needs: Needs::RequestLine,
        read: |arguments, _| captured(arguments, |facts| &facts.request_captures),
    },
    Row {
        name: "capture.req.method",
        usage: "",
        doc: "The request's method as it was received.",
        needs: Needs::RequestLine,
        read: |_, _| {
            fetch(Type::Text, |context| {
                Some(Value::text(
                    match (logged_line(context), &context.exchange.original) {
                        (Some(line), _) => line.method,
                        (None, Some(line)) => &line.method,
                        (None, None) => request(context)?.method(),
                    },
                ))
            })
        },
    },
    Row {
        name: "capture.req.uri",
        usage: "",
        doc: "The path and the query of the request's target as it was received.",
        needs: Needs::RequestLine,
        read: |_, _| {
            fetch(Type::Text, |context| {
                let target = match (logged_line(context), &context.exchange.original) {
                    (Some(line), _) => line.target,
                    (None, Some(line)) => line.target.as_slice(),
                    (None, None) => request(context)?.target(),
                };
                // Of a target in absolute form, as those of HTTP/2 are, the scheme and the host are no part of it.
                path_and_query(target).map(Value::text)
            })
        },
    },
    Row {
        name: "capture.req.ver",
        usage: "",
        doc: "The request's version, such as HTTP/1.1.",
        needs: Needs::RequestLine,
        read: |_, _| {
            fetch(Type::Text, |context| {
                if let Some(line) = logged_line(context) {
                    return Some(Value::text(line.version));
                }
                let version = version_number(request(context)?.version);
                Some(Value::owned(format!("HTTP/{version}")))
            })
        },
    },
    Row {
        name: "capture.res.hdr",
        usage: "NUMBER",
        doc: "What the response's capture of this number kept.",
        needs: Needs::ResponseLine,
        read: |arguments, _| captured(arguments, |facts| &facts.response_captures),
    },
    Row {
        name: "capture.res.ver",
        usage: "",
        doc: "The response's version, such as HTTP/1.1.",
        needs: Needs::RequestLine,
        read: |_, _| {
            fetch(Type::Text, |context| {
                let version = version_number(response_version(context)?);
                Some(Value::owned(format!("HTTP/{version}")))
            })
        },
    },
];

type Captures = Vec<Option<Box<[u8]>>>;

fn captured(
    arguments: &mut Arguments,
    captures: fn(&ExchangeFacts) -> &Captures,
) -> Result<(Box<dyn Fetch>, Type), Diagnostic> {
    let number = arguments.integer("a capture's number")?;
    let Ok(number) = usize::try_from(number) else {
        return Err(arguments.invalid("captures are counted from 0"));
    };
    fetch(Type::Text, move |context| {
        let kept = captures(context.exchange).get(number)?;
        kept.as_deref().map(Value::text)
    })
}

#[cfg(test)]
mod tests {
    use crate::context::OriginalLine;
    use crate::testing::Bench;

    #[test]
    fn what_was_kept_is_found() {
        let mut bench = Bench::request("GET /new HTTP/1.1\r\nHost: a\r\n\r\n");
        bench.exchange.request_captures = vec![Some((*b"a").into()), None];
        for (text, expected) in [
            ("capture.req.hdr(0)", Some("a")),
            ("capture.req.hdr(1)", None),
            ("capture.req.hdr(2)", None),
            ("capture.req.method", Some("GET")),
            ("capture.req.uri", Some("/new")),
            ("capture.req.ver", Some("HTTP/1.1")),
            ("capture.res.ver", None),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
        bench.exchange.original = Some(Box::new(OriginalLine {
            method: b"PUT".to_vec(),
            target: b"/old".to_vec(),
        }));
        assert_eq!(bench.evaluate("capture.req.method").as_deref(), Some("PUT"));
        assert_eq!(bench.evaluate("capture.req.uri").as_deref(), Some("/old"));
        assert!(bench.refused("capture.req.hdr(-1)").contains("from 0"));
        assert!(
            bench
                .refused("capture.res.hdr(0)")
                .contains("not available")
        );
    }
}
