//! Samples of parameters: in a target's query and in the body of a form.

use plimsoll_config::diagnostic::Diagnostic;

use super::{Fetch, Needs, Row, Tested, body, request};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::value::{Type, Value, leading_integer};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "req.body_param",
        usage: "[NAME[,i]]",
        doc: "A parameter in the body of a form; i ignores the name's case.",
        needs: Needs::RequestHead,
        read: |arguments, _| {
            let name = arguments.optional().map(String::into_bytes);
            let parameter = Parameter {
                name,
                delimiter: b'&',
                ignore_case: ignore_case(arguments),
                list: |context, _| body::of_request(context),
                make: |text| Value::Binary(text.into()),
            };
            Ok((Box::new(parameter), Type::Binary))
        },
    },
    Row {
        name: "url_param",
        usage: "[NAME[,DELIMITER[,i]]]",
        doc: "A parameter of the target, behind the question mark or another delimiter; i ignores the name's case.",
        needs: Needs::RequestHead,
        read: |arguments, _| in_target(arguments, TEXT),
    },
    Row {
        name: "urlp",
        usage: "[NAME[,DELIMITER[,i]]]",
        doc: "A parameter of the target, behind the question mark or another delimiter; i ignores the name's case.",
        needs: Needs::RequestHead,
        read: |arguments, _| in_target(arguments, TEXT),
    },
    Row {
        name: "urlp_val",
        usage: "[NAME[,DELIMITER[,i]]]",
        doc: "A parameter of the target as a number.",
        needs: Needs::RequestHead,
        read: |arguments, _| in_target(arguments, NUMBER),
    },
];

type Make = (Type, fn(&[u8]) -> Value<'_>);

const TEXT: Make = (Type::Text, |text| Value::text(text));
const NUMBER: Make = (Type::Integer, |text| Value::Integer(leading_integer(text)));

fn ignore_case(arguments: &mut Arguments) -> bool {
    arguments
        .optional()
        .is_some_and(|text| text.starts_with('i'))
}

fn in_target(arguments: &mut Arguments, make: Make) -> Result<(Box<dyn Fetch>, Type), Diagnostic> {
    let name = arguments.optional().map(String::into_bytes);
    let delimiter = arguments.optional();
    let (output, make) = make;
    let parameter = Parameter {
        name,
        delimiter: delimiter.map_or(b'?', |text| text.as_bytes()[0]),
        ignore_case: ignore_case(arguments),
        list: |context, delimiter| {
            let target = request(context)?.target();
            let start = memchr::memchr(delimiter, target)? + 1;
            Some(&target[start..])
        },
        make,
    };
    Ok((Box::new(parameter), output))
}

struct Parameter {
    /// `None`: any.
    name: Option<Vec<u8>>,
    /// Where the list begins, and what divides parameters besides `&` and `;`.
    delimiter: u8,
    ignore_case: bool,
    list: for<'a, 'b> fn(&'a Context<'b>, u8) -> Option<&'a [u8]>,
    make: fn(&[u8]) -> Value<'_>,
}

impl Parameter {
    fn values<'a>(&'a self, context: &'a Context<'_>) -> Option<impl Iterator<Item = &'a [u8]>> {
        let list = (self.list)(context, self.delimiter)?;
        let divides = |byte: &u8| matches!(byte, b'&' | b';') || *byte == self.delimiter;
        Some(list.split(divides).filter_map(|piece| {
            let equals = match &self.name {
                None => memchr::memchr(b'=', piece)?,
                Some(name) => {
                    let known = piece.get(..name.len())?;
                    let fits =
                        known == name || self.ignore_case && known.eq_ignore_ascii_case(name);
                    (fits && piece.get(name.len()) == Some(&b'=')).then_some(name.len())?
                }
            };
            Some(&piece[equals + 1..])
        }))
    }
}

impl Fetch for Parameter {
    fn fetch<'a>(&'a self, context: &'a Context<'_>) -> Option<Value<'a>> {
        self.values(context)?.next().map(self.make)
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

#[cfg(test)]
mod tests {
    use crate::acl::Truth;
    use crate::testing::Bench;

    /// Expected values are HAProxy's.
    #[test]
    fn parameters_are_found() {
        let bench = Bench::request(
            "POST /p;x=7?a=1&b=x%20y&c&d=&a=2&e HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\nz=1&Y=2;z=3=4",
        );
        for (text, expected) in [
            ("urlp", Some("1")),
            ("urlp(a)", Some("1")),
            ("urlp(b)", Some("x%20y")),
            ("urlp(c)", None),
            ("urlp(d)", Some("")),
            ("urlp(e)", None),
            ("urlp(A)", None),
            ("urlp(A,,i)", Some("1")),
            ("urlp(x,;)", Some("7?a=1")),
            ("urlp_val(a)", Some("1")),
            ("url_param(a)", Some("1")),
            ("req.body_param(z)", Some("1")),
            ("req.body_param(y)", None),
            ("req.body_param(y,i)", Some("2")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
        for (text, expected) in [
            ("if { urlp(a) 2 }", Truth::Pass),
            ("if { urlp(a) 3 }", Truth::Fail),
            ("if { urlp_val(a) ge 2 }", Truth::Pass),
            ("if { req.body_param(z) -m str 3=4 }", Truth::Pass),
        ] {
            assert_eq!(bench.condition(text), Ok(expected), "{text}");
        }
    }
}
