//! Samples of header fields: their values, how many there are, all of them (manual, section 7.3.6).

use plimsoll_config::diagnostic::Diagnostic;
use plimsoll_wire::head::{Field, FieldKind, Head};

use super::{Fetch, Needs, Row, Side, Tested, fetch, leading_address};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::convert::OUTPUT_BYTES_MAX;
use crate::value::{Type, Value, leading_integer};

pub(crate) const ROWS: &[Row] = &[
    value("hdr", Needs::MessageHead, |arguments, _| {
        comma_separated(arguments, Side::AtHand, TEXT)
    }),
    count("hdr_cnt", Needs::RequestHead, |arguments, _| {
        counted(arguments, Side::Request, false)
    }),
    address("hdr_ip", Needs::RequestHead, |arguments, _| {
        comma_separated(arguments, Side::Request, ADDRESS)
    }),
    number("hdr_val", Needs::RequestHead, |arguments, _| {
        comma_separated(arguments, Side::Request, NUMBER)
    }),
    whole("req.fhdr", Needs::RequestHead, |arguments, _| {
        header(arguments, Side::Request, true, TEXT)
    }),
    whole_count("req.fhdr_cnt", Needs::RequestHead, |arguments, _| {
        counted(arguments, Side::Request, true)
    }),
    value("req.hdr", Needs::RequestHead, |arguments, _| {
        comma_separated(arguments, Side::Request, TEXT)
    }),
    count("req.hdr_cnt", Needs::RequestHead, |arguments, _| {
        counted(arguments, Side::Request, false)
    }),
    address("req.hdr_ip", Needs::RequestHead, |arguments, _| {
        comma_separated(arguments, Side::Request, ADDRESS)
    }),
    names("req.hdr_names", Needs::RequestHead, |arguments, _| {
        listed(arguments, Side::Request)
    }),
    number("req.hdr_val", Needs::RequestHead, |arguments, _| {
        comma_separated(arguments, Side::Request, NUMBER)
    }),
    all("req.hdrs", Needs::RequestHead, |_, _| {
        dumped(Side::Request, lines)
    }),
    all_binary("req.hdrs_bin", Needs::RequestHead, |_, _| {
        dumped(Side::Request, encoded)
    }),
    whole("res.fhdr", Needs::ResponseHead, |arguments, _| {
        header(arguments, Side::Response, true, TEXT)
    }),
    whole_count("res.fhdr_cnt", Needs::ResponseHead, |arguments, _| {
        counted(arguments, Side::Response, true)
    }),
    value("res.hdr", Needs::ResponseHead, |arguments, _| {
        comma_separated(arguments, Side::Response, TEXT)
    }),
    count("res.hdr_cnt", Needs::ResponseHead, |arguments, _| {
        counted(arguments, Side::Response, false)
    }),
    address("res.hdr_ip", Needs::ResponseHead, |arguments, _| {
        comma_separated(arguments, Side::Response, ADDRESS)
    }),
    names("res.hdr_names", Needs::ResponseHead, |arguments, _| {
        listed(arguments, Side::Response)
    }),
    number("res.hdr_val", Needs::ResponseHead, |arguments, _| {
        comma_separated(arguments, Side::Response, NUMBER)
    }),
    all("res.hdrs", Needs::ResponseHead, |_, _| {
        dumped(Side::Response, lines)
    }),
    all_binary("res.hdrs_bin", Needs::ResponseHead, |_, _| {
        dumped(Side::Response, encoded)
    }),
    value("shdr", Needs::ResponseHead, |arguments, _| {
        comma_separated(arguments, Side::Response, TEXT)
    }),
    count("shdr_cnt", Needs::ResponseHead, |arguments, _| {
        counted(arguments, Side::Response, false)
    }),
    address("shdr_ip", Needs::ResponseHead, |arguments, _| {
        comma_separated(arguments, Side::Response, ADDRESS)
    }),
    number("shdr_val", Needs::ResponseHead, |arguments, _| {
        comma_separated(arguments, Side::Response, NUMBER)
    }),
];

use super::Read;

/// A row whose arguments are a name and an occurrence.
const fn occurring(name: &'static str, doc: &'static str, needs: Needs, read: Read) -> Row {
    Row {
        name,
        usage: "[NAME[,OCCURRENCE]]",
        doc,
        needs,
        read,
    }
}

const fn value(name: &'static str, needs: Needs, read: Read) -> Row {
    let doc = "One of a field's values between commas; the last one where no occurrence is given.";
    occurring(name, doc, needs, read)
}

const fn whole(name: &'static str, needs: Needs, read: Read) -> Row {
    let doc = "A field with all its commas; the last one where no occurrence is given.";
    occurring(name, doc, needs, read)
}

const fn address(name: &'static str, needs: Needs, read: Read) -> Row {
    let doc =
        "A field's value as an address, its port aside; the last one where no occurrence is given.";
    occurring(name, doc, needs, read)
}

const fn number(name: &'static str, needs: Needs, read: Read) -> Row {
    let doc = "A field's value as a number; the last one where no occurrence is given.";
    occurring(name, doc, needs, read)
}

const fn count(name: &'static str, needs: Needs, read: Read) -> Row {
    Row {
        name,
        usage: "[NAME]",
        doc: "How many values between commas fields of this name have.",
        needs,
        read,
    }
}

const fn whole_count(name: &'static str, needs: Needs, read: Read) -> Row {
    Row {
        name,
        usage: "[NAME]",
        doc: "How many fields of this name there are.",
        needs,
        read,
    }
}

const fn names(name: &'static str, needs: Needs, read: Read) -> Row {
    Row {
        name,
        usage: "[DELIMITER]",
        doc: "The names of all fields with commas, or another character, between them.",
        needs,
        read,
    }
}

const fn all(name: &'static str, needs: Needs, read: Read) -> Row {
    Row {
        name,
        usage: "",
        doc: "All fields as lines, with the empty one behind them.",
        needs,
        read,
    }
}

const fn all_binary(name: &'static str, needs: Needs, read: Read) -> Row {
    Row {
        name,
        usage: "",
        doc: "All fields in the binary form of HAProxy's SPOE.",
        needs,
        read,
    }
}

/// What is made of the text of a value, and its type.
type Make = (Type, fn(&[u8]) -> Option<Value<'_>>);

const TEXT: Make = (Type::Text, |text| Some(Value::text(text)));
const ADDRESS: Make = (Type::Address, |text| {
    leading_address(text).map(Value::Address)
});
const NUMBER: Make = (Type::Integer, |text| {
    Some(Value::Integer(leading_integer(text)))
});

type Made = Result<(Box<dyn Fetch>, Type), Diagnostic>;

/// HAProxy remembers no more occurrences than these when it counts from the end.
const OCCURRENCES_FROM_END_MAX: i64 = 10;

fn comma_separated(arguments: &mut Arguments, side: Side, make: Make) -> Made {
    header(arguments, side, false, make)
}

fn header(arguments: &mut Arguments, side: Side, whole: bool, make: Make) -> Made {
    let name = Name::read(arguments);
    let occurrence = arguments.optional_integer("an occurrence")?.unwrap_or(0);
    if occurrence < -OCCURRENCES_FROM_END_MAX {
        let least = -OCCURRENCES_FROM_END_MAX;
        return Err(arguments.invalid(format_args!("the occurrence must be at least {least}")));
    }
    let (output, make) = make;
    let header = Header {
        name,
        occurrence,
        side,
        whole,
        make,
    };
    Ok((Box::new(header), output))
}

/// A field's name in lower case, and what the proxy knows it as; `None`: any.
#[derive(Clone)]
struct Name(Option<(Vec<u8>, FieldKind)>);

impl Name {
    fn read(arguments: &mut Arguments) -> Self {
        Self(arguments.optional().map(|name| {
            let name = name.to_ascii_lowercase().into_bytes();
            let kind = FieldKind::of(&name);
            (name, kind)
        }))
    }

    /// Whether a field is called so.
    fn is_of(&self, head: &Head, field: &Field) -> bool {
        match &self.0 {
            None => field.kind != FieldKind::Removed,
            Some((name, FieldKind::Other)) => {
                field.kind == FieldKind::Other && head.bytes(field.name) == name.as_slice()
            }
            // What has a kind of its own has no other name.
            Some((_, kind)) => field.kind == *kind,
        }
    }

    /// The fields of this name.
    fn fields<'a>(&self, head: &'a Head) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let fields = head.fields.iter().filter(|field| self.is_of(head, field));
        fields.map(|field| head.bytes(field.value))
    }
}

/// The values of all fields of one name.
struct Header {
    name: Name,
    /// 1 is the first value, -1 the last; 0: any in conditions, otherwise the last.
    occurrence: i64,
    side: Side,
    /// Commas do not divide.
    whole: bool,
    make: fn(&[u8]) -> Option<Value<'_>>,
}

impl Header {
    fn values<'a>(&'a self, head: &'a Head) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let fields = self.name.fields(head);
        fields.flat_map(|value| match self.is_one(value) {
            true => Values::whole(value),
            false => Values::new(value),
        })
    }

    /// Whether a field has one value only: most do.
    fn is_one(&self, field: &[u8]) -> bool {
        self.whole || !field.contains(&b',')
    }

    /// The last value.
    fn last<'a>(&self, head: &'a Head) -> Option<&'a [u8]> {
        let field = self.name.fields(head).next_back()?;
        match self.is_one(field) {
            true => Some(field.trim_ascii()),
            // Quotes can only be understood from the front.
            false => Values::new(field).fold(None, |_, value| Some(value)),
        }
    }
}

impl Fetch for Header {
    fn fetch<'a>(&'a self, context: &'a Context<'_>) -> Option<Value<'a>> {
        let head = self.side.head(context)?;
        if self.occurrence == 0 {
            return (self.make)(self.last(head)?);
        }
        let mut values = self.values(head);
        let place = usize::try_from(self.occurrence.unsigned_abs()).ok()?;
        let value = match self.occurrence {
            1.. => values.nth(place - 1),
            _ => values.nth_back(place - 1),
        };
        (self.make)(value?)
    }

    fn any(&self, context: &Context<'_>, test: &mut dyn FnMut(Value<'_>) -> bool) -> Tested {
        let Some(head) = self.side.head(context) else {
            return Tested::Missing;
        };
        if self.occurrence != 0 {
            return match self.fetch(context) {
                None => Tested::Missing,
                Some(value) => Tested::of(test(value)),
            };
        }
        let mut tested = Tested::Missing;
        let mut one = |text: &[u8]| match (self.make)(text) {
            None => false,
            Some(value) => {
                tested = Tested::Different;
                test(value)
            }
        };
        let found = self
            .name
            .fields(head)
            .any(|field| match self.is_one(field) {
                true => one(field.trim_ascii()),
                false => Values::new(field).any(&mut one),
            });
        match found {
            true => Tested::Found,
            false => tested,
        }
    }
}

fn counted(arguments: &mut Arguments, side: Side, whole: bool) -> Made {
    let name = Name::read(arguments);
    fetch(Type::Integer, move |context| {
        let fields = name.fields(side.head(context)?);
        let count: usize = match whole {
            true => fields.count(),
            false => fields.map(|value| Values::new(value).count()).sum(),
        };
        Some(Value::Integer(count as i64))
    })
}

fn listed(arguments: &mut Arguments, side: Side) -> Made {
    let delimiter = arguments.optional();
    let delimiter = delimiter.map_or(b',', |text| text.as_bytes()[0]);
    fetch(Type::Text, move |context| {
        let mut out = Vec::new();
        for (name, _) in side.head(context)?.fields() {
            if !out.is_empty() {
                out.push(delimiter);
            }
            out.extend_from_slice(name);
        }
        crate::convert::text(out)
    })
}

fn dumped(side: Side, dump: fn(&Head, &mut Vec<u8>)) -> Made {
    fetch(Type::Binary, move |context| {
        let mut out = Vec::new();
        dump(side.head(context)?, &mut out);
        crate::convert::binary(out)
    })
}

fn lines(head: &Head, out: &mut Vec<u8>) {
    for (name, value) in head.fields() {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
        if out.len() > OUTPUT_BYTES_MAX {
            return;
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn encoded(head: &Head, out: &mut Vec<u8>) {
    for (name, value) in head.fields() {
        for text in [name, value] {
            push_length(text.len() as u64, out);
            out.extend_from_slice(text);
        }
        if out.len() > OUTPUT_BYTES_MAX {
            return;
        }
    }
    out.extend_from_slice(&[0, 0]);
}

/// A number as SPOE writes it: one byte below 240, otherwise four bits and then seven at a time.
pub(crate) fn push_length(number: u64, out: &mut Vec<u8>) {
    if number < 240 {
        out.push(number as u8);
        return;
    }
    out.push(number as u8 | 240);
    let mut rest = (number - 240) >> 4;
    while rest >= 128 {
        out.push(rest as u8 | 128);
        rest = (rest - 128) >> 7;
    }
    out.push(rest as u8);
}

/// The values of one field: what stands between commas outside of quoted strings, without white space around.
#[derive(Clone)]
pub(crate) struct Values<'a> {
    rest: Option<&'a [u8]>,
    whole: bool,
}

impl<'a> Values<'a> {
    pub(crate) fn new(field: &'a [u8]) -> Self {
        Self {
            rest: Some(field),
            whole: false,
        }
    }

    /// The field as its only value.
    pub(crate) fn whole(field: &'a [u8]) -> Self {
        Self {
            rest: Some(field),
            whole: true,
        }
    }
}

/// The place of the first comma of a list outside of double quotes.
pub(crate) fn comma(list: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    list.iter().position(|&byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    })
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        if self.whole {
            self.rest = None;
            return Some(rest.trim_ascii());
        }
        let comma = comma(rest);
        let value = &rest[..comma.unwrap_or(rest.len())];
        self.rest = comma.map(|comma| &rest[comma + 1..]);
        Some(value.trim_ascii())
    }
}

impl DoubleEndedIterator for Values<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        // Quotes can only be understood from the front.
        let all = self.clone();
        let last = all.clone().count().checked_sub(1)?;
        let value = all.clone().nth(last);
        self.rest = match last {
            0 => None,
            _ => {
                let rest = self.rest?;
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
    use crate::acl::Truth;
    use crate::testing::Bench;

    #[test]
    fn values_are_split_outside_of_quotes_both_ways() {
        let text = br#" a , "b,c" ,, d "#;
        let expected: [&[u8]; 4] = [b"a", b"\"b,c\"", b"", b"d"];
        assert!(Values::new(text).eq(expected));
        assert!(Values::new(text).rev().eq(expected.into_iter().rev()));
        assert!(Values::new(b"").eq([b""]));
    }

    const FIELDS: &str = "Host: Example.org:8080\r\nX: 1, 2\r\nX: \"3,4\",5\r\nE: ,a,,b,\r\nIp1: 10.0.0.1\r\n\
        Ip2: 10.0.0.1:80\r\nIp3: [2001:db8::1]\r\nIp4: 2001:db8::1\r\nIp5: 1.2.3.4, junk\r\n\r\n";

    /// Expected values are HAProxy's, here and below.
    #[test]
    fn fields_are_found() {
        let request = Bench::request(&format!("GET / HTTP/1.1\r\n{FIELDS}"));
        let response = Bench::default().with_response(&format!("HTTP/1.1 204 No\r\n{FIELDS}"));
        for (text, expected) in [
            ("@.hdr(host)", Some("Example.org:8080")),
            ("@.hdr(x)", Some("5")),
            ("@.hdr(X,1)", Some("1")),
            ("@.hdr(x,3)", Some("\"3,4\"")),
            ("@.hdr(x,-3)", Some("2")),
            ("@.hdr(x,5)", None),
            ("@.hdr(y)", None),
            ("@.hdr(,1)", Some("Example.org:8080")),
            ("@.hdr(e,1)", Some("")),
            ("@.hdr(e,2)", Some("a")),
            ("@.hdr_cnt(x)", Some("4")),
            ("@.hdr_cnt(e)", Some("5")),
            ("@.hdr_cnt(y)", Some("0")),
            ("@.hdr_cnt", Some("16")),
            ("@.fhdr(x)", Some("\"3,4\",5")),
            ("@.fhdr(x,1)", Some("1, 2")),
            ("@.fhdr_cnt(x)", Some("2")),
            ("@.fhdr_cnt", Some("9")),
            ("@.hdr_names(:)", Some("host:x:x:e:ip1:ip2:ip3:ip4:ip5")),
            ("@.hdr_ip(ip1)", Some("10.0.0.1")),
            ("@.hdr_ip(ip2)", Some("10.0.0.1")),
            ("@.hdr_ip(ip3)", Some("2001:db8::1")),
            ("@.hdr_ip(ip4)", Some("2001:db8::1")),
            ("@.hdr_ip(ip5)", None),
            ("@.hdr_ip(ip5,1)", Some("1.2.3.4")),
            ("@.hdr_val(x)", Some("5")),
            ("@.hdr_val(host)", Some("0")),
        ] {
            let of = |side| text.replace('@', side);
            assert_eq!(
                request.evaluate(&of("req")).as_deref(),
                expected,
                "{text} of the request"
            );
            assert_eq!(
                response.evaluate(&of("res")).as_deref(),
                expected,
                "{text} of the response"
            );
        }
        let pairs = [
            ("shdr(ip1)", "10.0.0.1"),
            ("shdr_cnt(x)", "4"),
            ("shdr_val(x)", "5"),
        ];
        for (text, expected) in pairs {
            assert_eq!(response.evaluate(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn all_fields_are_written() {
        let bench = Bench::request("GET / HTTP/1.1\r\nHost: a\r\nX: 1, 2\r\n\r\n");
        let lines = bench.evaluate("req.hdrs");
        assert_eq!(lines.as_deref(), Some("host: a\r\nx: 1, 2\r\n\r\n"));
        let binary = bench.evaluate("req.hdrs_bin,hex");
        assert_eq!(
            binary.as_deref(),
            Some(
                "04686F737401610178 04312C20320000"
                    .replace(' ', "")
                    .as_str()
            )
        );
        for (number, expected) in [
            (239_u64, &[239_u8][..]),
            (240, &[240, 0]),
            (2_287, &[255, 127]),
            (2_288, &[240, 128, 0]),
        ] {
            let mut out = Vec::new();
            push_length(number, &mut out);
            assert_eq!(out, expected, "{number}");
        }
    }

    #[test]
    fn any_value_satisfies_a_condition() {
        let bench = Bench::request(&format!("GET / HTTP/1.1\r\n{FIELDS}"));
        for (text, expected) in [
            ("if { hdr_ip(ip5) 1.2.3.4 }", Truth::Pass),
            ("if { hdr_ip(ip5) 1.2.3.5 }", Truth::Fail),
            ("if { hdr_val(x) 2 }", Truth::Pass),
            ("if { hdr_val(x,1) 2 }", Truth::Fail),
            ("if { hdr(x) 2 }", Truth::Pass),
            ("if { req.fhdr(x) 2 }", Truth::Fail),
            ("if { hdr_cnt(x) 4 }", Truth::Pass),
            ("if { hdr_cnt(nope) 0 }", Truth::Pass),
        ] {
            assert_eq!(bench.condition(text), Ok(expected), "{text}");
        }
        assert!(bench.refused("req.hdr(x,-11)").contains("at least -10"));
        assert!(bench.refused("res.hdr(x)").contains("not available"));
    }
}
