//! Converters of Forwarded fields and the nodes in them (RFC 7239).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Row, pure};
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "rfc7239_field",
        usage: "FIELD",
        doc: "The parameter proto, host, for or by of a Forwarded field.",
        input: Type::Text,
        output: Some(Type::Text),
        read: |arguments, _| {
            let text = arguments.word("a parameter's name")?;
            let mut known = Parameter::NAMES.iter();
            let Some((_, wanted)) = known.find(|(name, _)| *name == text) else {
                return Err(
                    arguments.invalid(format_args!("'{text}' is none of proto, host, for, by"))
                );
            };
            pure(move |value| {
                let text = value.into_text();
                let parameters = parse(&text)?;
                let found = parameters.iter().find(|(known, _)| known == wanted)?;
                Some(Value::owned(found.1))
            })
        },
    },
    Row {
        name: "rfc7239_is_valid",
        usage: "",
        doc: "Whether the value is that of a Forwarded field.",
        input: Type::Text,
        output: Some(Type::Boolean),
        read: |_, _| pure(|value| Some(Value::Boolean(parse(&value.into_text()).is_some()))),
    },
    Row {
        name: "rfc7239_n2nn",
        usage: "",
        doc: "The name of a node: an address, unknown, or a made-up name.",
        input: Type::Text,
        output: Some(Type::Any),
        read: |_, _| {
            pure(|value| match node(&value.into_text())?.0 {
                Name::Address(address) => Some(Value::Address(address)),
                Name::Unknown => Some(Value::text(b"unknown")),
                Name::Obfuscated(name) => Some(Value::owned(name)),
            })
        },
    },
    Row {
        name: "rfc7239_n2np",
        usage: "",
        doc: "The port of a node: a number or a made-up name.",
        input: Type::Text,
        output: Some(Type::Any),
        read: |_, _| {
            pure(|value| match node(&value.into_text())?.1? {
                Port::Number(port) => Some(Value::Integer(port.into())),
                Port::Obfuscated(name) => Some(Value::owned(name)),
            })
        },
    },
    Row {
        name: "rfc7239_nn",
        usage: "",
        doc: "An address or a text as the name of a node; unknown where the text is empty.",
        input: Type::Any,
        output: Some(Type::Text),
        read: |_, _| {
            pure(|value| match value {
                Value::Address(IpAddr::V4(address)) => Some(Value::owned(address.to_string())),
                Value::Address(IpAddr::V6(address)) => Some(Value::owned(format!("[{address}]"))),
                other => match &*other.into_text() {
                    b"" => Some(Value::text(b"unknown")),
                    text => obfuscated(text),
                },
            })
        },
    },
    Row {
        name: "rfc7239_np",
        usage: "",
        doc: "A number or a text as the port of a node.",
        input: Type::Any,
        output: Some(Type::Text),
        read: |_, _| {
            pure(|value| match value {
                Value::Integer(port) => {
                    let port = u32::try_from(port).ok()?;
                    Some(Value::owned(port.to_string()))
                }
                other => match &*other.into_text() {
                    b"" => None,
                    text => obfuscated(text),
                },
            })
        },
    },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parameter {
    By,
    For,
    Host,
    Proto,
}

impl Parameter {
    const NAMES: [(&'static str, Self); 4] = [
        ("by", Self::By),
        ("for", Self::For),
        ("host", Self::Host),
        ("proto", Self::Proto),
    ];
}

/// Whether each element between commas is a Forwarded field's.
pub(crate) fn is_valid_list(text: &[u8]) -> bool {
    let mut quoted = false;
    let outside = |byte: &u8| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    };
    let mut elements = text.split(outside);
    elements.all(|element| parse(element.trim_ascii()).is_some())
}

/// Whether the text can be the parameter `host`, between quotes.
pub(crate) fn is_host(text: &[u8]) -> bool {
    is_valid(Parameter::Host, text)
}

/// A node's name as it may be written, or a name made of the text; `None` where neither is possible.
pub(crate) fn name_or_made_up(text: &[u8]) -> Option<Vec<u8>> {
    match node(text) {
        Some((_, None)) => Some(text.to_vec()),
        _ => made_up(text),
    }
}

/// As [`name_or_made_up`], for a port.
pub(crate) fn port_or_made_up(text: &[u8]) -> Option<Vec<u8>> {
    match node(&[b"unknown:", text].concat()) {
        Some((_, Some(_))) => Some(text.to_vec()),
        _ => made_up(text),
    }
}

fn made_up(text: &[u8]) -> Option<Vec<u8>> {
    let fits = !text.is_empty() && text.iter().all(|byte| is_obfuscated(*byte));
    fits.then(|| [b"_", text].concat())
}

fn is_obfuscated(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn obfuscated(text: &[u8]) -> Option<Value<'static>> {
    let fits = text.iter().all(|byte| is_obfuscated(*byte));
    fits.then(|| Value::owned([b"_", text].concat()))
}

/// The parameters of a field with one element; `None` where it is malformed.
fn parse(text: &[u8]) -> Option<Vec<(Parameter, &[u8])>> {
    let mut parameters: Vec<(Parameter, &[u8])> = Vec::new();
    let mut rest = text;
    loop {
        let equals = memchr::memchr(b'=', rest)?;
        let name = std::str::from_utf8(&rest[..equals]).ok()?;
        let mut known = Parameter::NAMES.iter();
        let (_, parameter) = known.find(|(known, _)| *known == name)?;
        if parameters.iter().any(|(known, _)| known == parameter) {
            return None;
        }
        let (value, behind) = value(&rest[equals + 1..])?;
        is_valid(*parameter, value).then_some(())?;
        parameters.push((*parameter, value));
        match behind {
            [] => return Some(parameters),
            [b';', further @ ..] => rest = further,
            _ => return None,
        }
    }
}

/// A token, or the content of a quoted string, and what follows it.
fn value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(quoted) = text.strip_prefix(b"\"") {
        let end = memchr::memchr(b'"', quoted)?;
        return Some((&quoted[..end], &quoted[end + 1..]));
    }
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let end = text.iter().position(|byte| !is_token(byte));
    let end = end.unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn is_valid(parameter: Parameter, value: &[u8]) -> bool {
    match parameter {
        Parameter::Proto => matches!(value, b"http" | b"https"),
        Parameter::Host => {
            let fits =
                |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte);
            !value.is_empty() && value.iter().all(fits)
        }
        Parameter::By | Parameter::For => node(value).is_some(),
    }
}

enum Name<'a> {
    Address(IpAddr),
    Unknown,
    Obfuscated(&'a [u8]),
}

enum Port<'a> {
    Number(u16),
    Obfuscated(&'a [u8]),
}

/// A node: a name, and a port behind a colon.
fn node(text: &[u8]) -> Option<(Name<'_>, Option<Port<'_>>)> {
    let (name, rest) = if let Some(inner) = text.strip_prefix(b"[") {
        let end = memchr::memchr(b']', inner)?;
        let address: Ipv6Addr = std::str::from_utf8(&inner[..end]).ok()?.parse().ok()?;
        (Name::Address(address.into()), &inner[end + 1..])
    } else {
        let end = memchr::memchr(b':', text).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let name = match name {
            b"unknown" => Name::Unknown,
            [b'_', made_up @ ..] => {
                let fits = !made_up.is_empty() && made_up.iter().all(|byte| is_obfuscated(*byte));
                fits.then_some(Name::Obfuscated(name))?
            }
            _ => {
                let address: Ipv4Addr = std::str::from_utf8(name).ok()?.parse().ok()?;
                Name::Address(address.into())
            }
        };
        (name, rest)
    };
    let port = match rest {
        [] => None,
        [b':', made_up @ ..] if made_up.starts_with(b"_") => {
            let fits = made_up.len() > 1 && made_up.iter().all(|byte| is_obfuscated(*byte));
            Some(fits.then_some(Port::Obfuscated(made_up))?)
        }
        [b':', digits @ ..] => {
            let digits = std::str::from_utf8(digits).ok()?;
            let fits = digits.bytes().all(|byte| byte.is_ascii_digit());
            Some(Port::Number(fits.then(|| digits.parse().ok())??))
        }
        _ => return None,
    };
    Some((name, port))
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    /// Expected values are HAProxy's.
    #[test]
    fn nodes_and_fields() {
        let bench = Bench::default();
        for (text, expected) in [
            (
                r#"str('proto=https;host="haproxy.org:80"'),rfc7239_field(host)"#,
                Some("haproxy.org:80"),
            ),
            (
                r#"str('for="127.0.0.1:9999"'),rfc7239_field(for)"#,
                Some("127.0.0.1:9999"),
            ),
            (
                "str('for=127.0.0.1;proto=http'),rfc7239_is_valid",
                Some("1"),
            ),
            ("str('proto=custom'),rfc7239_is_valid", Some("0")),
            ("str('for=1;for=2'),rfc7239_is_valid", Some("0")),
            ("str(''),rfc7239_is_valid", Some("0")),
            ("str('127.0.0.1:9999'),rfc7239_n2nn", Some("127.0.0.1")),
            ("str('127.0.0.1:9999'),rfc7239_n2np", Some("9999")),
            (
                "str('[ab:cd:ff:ff:ff:ff:ff:ff]:9998'),rfc7239_n2nn",
                Some("ab:cd:ff:ff:ff:ff:ff:ff"),
            ),
            (
                "str('[ab:cd:ff:ff:ff:ff:ff:ff]:9998'),rfc7239_n2np",
                Some("9998"),
            ),
            ("str('_name:_port'),rfc7239_n2nn", Some("_name")),
            ("str('_name:_port'),rfc7239_n2np", Some("_port")),
            ("str('unknown'),rfc7239_n2nn", Some("unknown")),
            ("str('nonsense'),rfc7239_n2nn", None),
            ("str('unknown'),rfc7239_n2np", None),
            ("ipv6(::1),rfc7239_nn", Some("[::1]")),
            ("ipv4(10.0.0.1),rfc7239_nn", Some("10.0.0.1")),
            ("str(test),rfc7239_nn", Some("_test")),
            ("str(),rfc7239_nn", Some("unknown")),
            ("str('a b'),rfc7239_nn", None),
            ("int(12),rfc7239_np", Some("12")),
            ("str(test),rfc7239_np", Some("_test")),
            ("str(),rfc7239_np", None),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
        assert!(bench.refused("str(a),rfc7239_field(x)").contains("none of"));
    }
}
