//! Samples of cookies in requests and responses (RFC 6265).

use plimsoll_config::diagnostic::Diagnostic;
use plimsoll_wire::head::Head;

use super::header::Values;
use super::{Fetch, Needs, Read, Row, Side, Tested, fetch};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::value::{Type, Value, leading_integer};

pub(crate) const ROWS: &[Row] = &[
    text("cook", Needs::RequestHead, |arguments, _| {
        cookie(arguments, Side::Request, TEXT)
    }),
    count("cook_cnt", Needs::RequestHead, |arguments, _| {
        counted(arguments, Side::Request)
    }),
    number("cook_val", Needs::RequestHead, |arguments, _| {
        cookie(arguments, Side::Request, NUMBER)
    }),
    text("cookie", Needs::MessageHead, |arguments, _| {
        cookie(arguments, Side::AtHand, TEXT)
    }),
    text("req.cook", Needs::RequestHead, |arguments, _| {
        cookie(arguments, Side::Request, TEXT)
    }),
    count("req.cook_cnt", Needs::RequestHead, |arguments, _| {
        counted(arguments, Side::Request)
    }),
    names("req.cook_names", Needs::RequestHead, |arguments, _| {
        listed(arguments, Side::Request)
    }),
    number("req.cook_val", Needs::RequestHead, |arguments, _| {
        cookie(arguments, Side::Request, NUMBER)
    }),
    text("res.cook", Needs::ResponseHead, |arguments, _| {
        cookie(arguments, Side::Response, TEXT)
    }),
    count("res.cook_cnt", Needs::ResponseHead, |arguments, _| {
        counted(arguments, Side::Response)
    }),
    names("res.cook_names", Needs::ResponseHead, |arguments, _| {
        listed(arguments, Side::Response)
    }),
    number("res.cook_val", Needs::ResponseHead, |arguments, _| {
        cookie(arguments, Side::Response, NUMBER)
    }),
    text("scook", Needs::ResponseHead, |arguments, _| {
        cookie(arguments, Side::Response, TEXT)
    }),
    count("scook_cnt", Needs::ResponseHead, |arguments, _| {
        counted(arguments, Side::Response)
    }),
    number("scook_val", Needs::ResponseHead, |arguments, _| {
        cookie(arguments, Side::Response, NUMBER)
    }),
];

const fn row(
    name: &'static str,
    usage: &'static str,
    doc: &'static str,
    needs: Needs,
    read: Read,
) -> Row {
    Row {
        name,
        usage,
        doc,
        needs,
        read,
    }
}

const fn text(name: &'static str, needs: Needs, read: Read) -> Row {
    let doc = "The last cookie of this name, or the first of all.";
    row(name, "[NAME]", doc, needs, read)
}

const fn number(name: &'static str, needs: Needs, read: Read) -> Row {
    let doc = "The last cookie of this name, or the first of all, as a number.";
    row(name, "[NAME]", doc, needs, read)
}

const fn count(name: &'static str, needs: Needs, read: Read) -> Row {
    let doc = "How many cookies of this name there are.";
    row(name, "[NAME]", doc, needs, read)
}

const fn names(name: &'static str, needs: Needs, read: Read) -> Row {
    let doc = "The names of all cookies with commas, or another character, between them.";
    row(name, "[DELIMITER]", doc, needs, read)
}

type Make = (Type, fn(&[u8]) -> Value<'_>);

const TEXT: Make = (Type::Text, |text| Value::text(text));
const NUMBER: Make = (Type::Integer, |text| Value::Integer(leading_integer(text)));

type Made = Result<(Box<dyn Fetch>, Type), Diagnostic>;

fn cookie(arguments: &mut Arguments, side: Side, make: Make) -> Made {
    let name = arguments.optional().map(String::into_bytes);
    let (output, make) = make;
    Ok((Box::new(Cookie { name, side, make }), output))
}

struct Cookie {
    name: Option<Vec<u8>>,
    side: Side,
    make: fn(&[u8]) -> Value<'_>,
}

impl Cookie {
    fn values<'a>(&'a self, context: &'a Context<'_>) -> Option<impl Iterator<Item = &'a [u8]>> {
        let head = self.side.head(context)?;
        Some(values(head, self.name.as_deref()))
    }
}

impl Fetch for Cookie {
    fn fetch<'a>(&'a self, context: &'a Context<'_>) -> Option<Value<'a>> {
        let mut values = self.values(context)?;
        let value = match self.name {
            None => values.next(),
            Some(_) => values.last(),
        };
        value.map(self.make)
    }

    fn any(&self, context: &Context<'_>, test: &mut dyn FnMut(Value<'_>) -> bool) -> Tested {
        let mut tested = Tested::Missing;
        for value in self.values(context).into_iter().flatten() {
            if test((self.make)(value)) {
                return Tested::Found;
            }
            tested = Tested::Different;
        }
        tested
    }
}

fn counted(arguments: &mut Arguments, side: Side) -> Made {
    let name = arguments.optional().map(String::into_bytes);
    fetch(Type::Integer, move |context| {
        let count = values(side.head(context)?, name.as_deref()).count();
        Some(Value::Integer(count as i64))
    })
}

fn listed(arguments: &mut Arguments, side: Side) -> Made {
    let delimiter = arguments.optional();
    let delimiter = delimiter.map_or(b',', |text| text.as_bytes()[0]);
    fetch(Type::Text, move |context| {
        let mut out = Vec::new();
        for (name, _) in cookies(side.head(context)?) {
            if !out.is_empty() {
                out.push(delimiter);
            }
            out.extend_from_slice(name);
        }
        crate::convert::text(out)
    })
}

fn values<'a>(
    head: &'a Head,
    wanted: Option<&'a [u8]>,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    cookies(head)
        .filter(move |(name, _)| wanted.is_none_or(|wanted| wanted == *name))
        .map(|(_, value)| value)
}

/// Names and values of all cookies. In a response only the first pair of each field is one.
fn cookies(head: &Head) -> impl Iterator<Item = (&[u8], &[u8])> {
    let is_response = head.status != 0;
    let name: &[u8] = if is_response {
        b"set-cookie"
    } else {
        b"cookie"
    };
    let fields = head.fields().filter(move |(known, _)| *known == name);
    let pieces = fields.flat_map(move |(_, field)| {
        let limit = if is_response { 1 } else { usize::MAX };
        // In requests commas divide, too, as they did in RFC 2109.
        let lists = match is_response {
            true => Values::whole(field),
            false => Values::new(field),
        };
        lists.flat_map(pairs).take(limit)
    });
    pieces.filter_map(|pair| {
        let equals = memchr::memchr(b'=', pair)?;
        let name = pair[..equals].trim_ascii();
        (!name.starts_with(b"$")).then(|| (name, pair[equals + 1..].trim_ascii()))
    })
}

/// What stands between semicolons outside of quotes.
fn pairs(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    list.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b';' && !quoted
    })
}

#[cfg(test)]
mod tests {
    use crate::acl::Truth;
    use crate::testing::Bench;

    /// Expected values are HAProxy's, here and below.
    #[test]
    fn cookies_of_requests() {
        let bench = Bench::request(
            "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=d; a=e; q=\"x;y\"; n=12z; e=; f\r\nCookie: a = g , z=1\r\n\r\n",
        );
        for (text, expected) in [
            ("req.cook", Some("b")),
            ("req.cook(a)", Some("g")),
            ("req.cook(c)", Some("d")),
            ("req.cook(q)", Some("\"x;y\"")),
            ("req.cook(e)", Some("")),
            ("req.cook(f)", None),
            ("req.cook(A)", None),
            ("req.cook_cnt", Some("8")),
            ("req.cook_cnt(a)", Some("3")),
            ("req.cook_val(n)", Some("12")),
            ("req.cook_names", Some("a,c,a,q,n,e,a,z")),
            ("req.cook_names(:)", Some("a:c:a:q:n:e:a:z")),
            ("cookie(a)", Some("g")),
            ("cook(z)", Some("1")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
        for (text, expected) in [
            ("if { req.cook(a) e }", Truth::Pass),
            ("if { req.cook(a) x }", Truth::Fail),
            ("if { req.cook(f) -m found }", Truth::Fail),
        ] {
            assert_eq!(bench.condition(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn cookies_of_responses() {
        let bench = Bench::default().with_response(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: id=7; Path=/; Expires=Thu, 01 Jan 2026 00:00:00 GMT\r\n\
             Set-Cookie: x = y\r\n\r\n",
        );
        for (text, expected) in [
            ("res.cook", Some("7")),
            ("res.cook(id)", Some("7")),
            ("res.cook(Path)", None),
            ("scook(x)", Some("y")),
            ("cookie(x)", Some("y")),
            ("scook_cnt", Some("2")),
            ("res.cook_val(id)", Some("7")),
            ("res.cook_names", Some("id,x")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
    }
}
