//! Samples of HTTP messages: the first line and the header (manual, section 7.3.6).

use plimsoll_wire::head::Head;

use plimsoll_config::diagnostic::Diagnostic;

use super::{Fetch, Needs, Read, Row, Tested, fetch};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::expression::Scope;
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "hdr",
        usage: "[NAME[,OCCURRENCE]]",
        doc: "A value of a request's field; the last one where no occurrence is given.",
        needs: Needs::RequestHead,
        read: REQUEST_HEADER,
    },
    Row {
        name: "method",
        usage: "",
        doc: "The request's method.",
        needs: Needs::RequestLine,
        read: |_, _| {
            fetch(Type::Method, |context| {
                let head = request(context)?;
                Some(Value::Method(head.method().into()))
            })
        },
    },
    Row {
        name: "path",
        usage: "",
        doc: "The path of the request's target, without query.",
        needs: Needs::RequestHead,
        read: |_, _| {
            fetch(Type::Text, |context| {
                let (path, _) = split_query(path_and_query(request(context)?.target())?);
                Some(Value::text(path))
            })
        },
    },
    Row {
        name: "pathq",
        usage: "",
        doc: "The path of the request's target, with its query.",
        needs: Needs::RequestHead,
        read: |_, _| {
            fetch(Type::Text, |context| {
                let path = path_and_query(request(context)?.target())?;
                Some(Value::text(path))
            })
        },
    },
    Row {
        name: "query",
        usage: "",
        doc: "What follows the first question mark of the request's target.",
        needs: Needs::RequestHead,
        read: |_, _| {
            fetch(Type::Text, |context| {
                let (_, query) = split_query(request(context)?.target());
                Some(Value::text(query.unwrap_or_default()))
            })
        },
    },
    Row {
        name: "req.hdr",
        usage: "[NAME[,OCCURRENCE]]",
        doc: "A value of a request's field; the last one where no occurrence is given.",
        needs: Needs::RequestHead,
        read: REQUEST_HEADER,
    },
    Row {
        name: "res.hdr",
        usage: "[NAME[,OCCURRENCE]]",
        doc: "A value of a response's field; the last one where no occurrence is given.",
        needs: Needs::ResponseHead,
        read: RESPONSE_HEADER,
    },
    Row {
        name: "status",
        usage: "",
        doc: "The response's status.",
        needs: Needs::ResponseLine,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                let head = context.response.as_deref()?;
                (head.status != 0).then(|| Value::Integer(head.status.into()))
            })
        },
    },
    Row {
        name: "url",
        usage: "",
        doc: "The request's target as it was received.",
        needs: Needs::RequestHead,
        read: |_, _| {
            fetch(Type::Text, |context| {
                Some(Value::text(request(context)?.target()))
            })
        },
    },
];

const REQUEST_HEADER: Read = |arguments, scope| header(arguments, scope, false);
const RESPONSE_HEADER: Read = |arguments, scope| header(arguments, scope, true);

/// The request's head. Before one has arrived it may still come.
pub(super) fn request<'a>(context: &'a Context<'_>) -> Option<&'a Head> {
    let head = context.request.as_deref();
    if head.is_none() {
        context.may_change();
    }
    head
}

/// The path with the query of a target in origin or absolute form; `None` for `*` and authorities.
pub(crate) fn path_and_query(target: &[u8]) -> Option<&[u8]> {
    if target.first() == Some(&b'/') {
        return Some(target);
    }
    let scheme = memchr::memmem::find(target, b"://")?;
    let rest = &target[scheme + 3..];
    let start = rest.iter().position(|byte| matches!(byte, b'/' | b'?'))?;
    Some(&rest[start..])
}

/// What stands before and behind the first question mark.
pub(crate) fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', target) {
        Some(mark) => (&target[..mark], Some(&target[mark + 1..])),
        None => (target, None),
    }
}

fn header(
    arguments: &mut Arguments,
    _: &Scope<'_>,
    response: bool,
) -> Result<(Box<dyn Fetch>, Type), Diagnostic> {
    let name = arguments.optional().map(|name| name.to_ascii_lowercase());
    let occurrence = arguments.optional_integer("an occurrence")?;
    Ok((
        Box::new(Header {
            name: name.map(String::into_bytes),
            occurrence: occurrence.unwrap_or(0) as i32,
            response,
        }),
        Type::Text,
    ))
}

/// The comma-separated values of all fields of one name.
struct Header {
    /// In lower case; `None`: of all fields.
    name: Option<Vec<u8>>,
    /// 1 is the first value, -1 the last; 0: any in conditions, otherwise the last.
    occurrence: i32,
    response: bool,
}

impl Header {
    fn values<'a>(&'a self, head: &'a Head) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let fields = head.fields_both_ways();
        fields
            .filter(|(name, _)| self.name.as_deref().is_none_or(|wanted| wanted == *name))
            .flat_map(|(_, value)| Values(Some(value)))
    }

    fn head<'a>(&self, context: &'a Context<'_>) -> Option<&'a Head> {
        if self.response {
            context.response.as_deref()
        } else {
            request(context)
        }
    }
}

impl Fetch for Header {
    fn fetch<'a>(&'a self, context: &'a Context<'_>) -> Option<Value<'a>> {
        let mut values = self.values(self.head(context)?);
        let value = match self.occurrence {
            0 => values.next_back(),
            first @ 1.. => values.nth(first as usize - 1),
            last => values.nth_back(last.unsigned_abs() as usize - 1),
        };
        value.map(Value::text)
    }

    fn any(&self, context: &Context<'_>, test: &mut dyn FnMut(Value<'_>) -> bool) -> Tested {
        let Some(head) = self.head(context) else {
            return Tested::Missing;
        };
        if self.occurrence != 0 {
            return match self.fetch(context) {
                None => Tested::Missing,
                Some(value) => Tested::of(test(value)),
            };
        }
        let mut tested = Tested::Missing;
        for value in self.values(head) {
            if test(Value::text(value)) {
                return Tested::Found;
            }
            tested = Tested::Different;
        }
        tested
    }
}

/// The values of one field: what stands between commas outside of quoted strings, without white space around.
#[derive(Clone)]
pub(crate) struct Values<'a>(pub(crate) Option<&'a [u8]>);

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let (mut quoted, mut escaped) = (false, false);
        let comma = rest.iter().position(|&byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b',' => return !quoted,
                _ => {}
            }
            false
        });
        let value = &rest[..comma.unwrap_or(rest.len())];
        self.0 = comma.map(|comma| &rest[comma + 1..]);
        Some(value.trim_ascii())
    }
}

impl DoubleEndedIterator for Values<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        // Quotes can only be understood from the front.
        let all = self.clone();
        let last = all.clone().count().checked_sub(1)?;
        let value = all.clone().nth(last);
        self.0 = match last {
            0 => None,
            _ => {
                let rest = self.0?;
                let before = all.clone().nth(last - 1)?;
                let end = before.as_ptr() as usize - rest.as_ptr() as usize + before.len();
                Some(&rest[..end])
            }
        };
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[test]
    fn values_are_split_outside_of_quotes_both_ways() {
        let text = br#" a , "b,c" ,, d "#;
        let expected: [&[u8]; 4] = [b"a", b"\"b,c\"", b"", b"d"];
        assert!(Values(Some(text)).eq(expected));
        assert!(Values(Some(text)).rev().eq(expected.into_iter().rev()));
        assert!(Values(Some(b"")).eq([b""]));
    }

    #[test]
    fn requests_are_looked_into() {
        let bench = Bench::request(
            "GET /a/b?c=d&e HTTP/1.1\r\nHost: Example.org\r\nX: 1, 2\r\nX: \"3,4\",5\r\n\r\n",
        );
        for (text, expected) in [
            ("method", Some("GET")),
            ("path", Some("/a/b")),
            ("pathq", Some("/a/b?c=d&e")),
            ("query", Some("c=d&e")),
            ("url", Some("/a/b?c=d&e")),
            ("req.hdr(host)", Some("Example.org")),
            ("hdr(X)", Some("5")),
            ("hdr(x,1)", Some("1")),
            ("hdr(x,3)", Some("\"3,4\"")),
            ("hdr(x,-3)", Some("2")),
            ("hdr(x,5)", None),
            ("hdr(y)", None),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn responses_are_looked_into() {
        let bench = Bench::request("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            .with_response("HTTP/1.1 404 Nope\r\nX: 1\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(bench.evaluate("status").as_deref(), Some("404"));
        assert_eq!(bench.evaluate("res.hdr(x)").as_deref(), Some("1"));
        assert_eq!(bench.evaluate("method").as_deref(), Some("GET"));
        assert!(bench.refused("path").contains("not available here"));
    }

    #[test]
    fn targets_have_paths() {
        for (target, expected) in [
            ("/a?b", Some("/a?b")),
            ("http://h/a", Some("/a")),
            ("http://h?x", Some("?x")),
            ("http://h", None),
            ("*", None),
            ("h:80", None),
        ] {
            let path = path_and_query(target.as_bytes());
            assert_eq!(path, expected.map(str::as_bytes), "{target}");
        }
    }
}
