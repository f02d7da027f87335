//! The values that samples yield and converters change: typed, borrowed where they can be.
//!
//! Types and conversions between them are HAProxy's (manual, section 7.3.1 and the table of casts in 7.1). What is
//! absent: where values come from ([`crate::sample`]) and what is made of them ([`crate::convert`], [`crate::acl`]).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::log::text::{push_ip, push_number};

/// What a sample yields or a converter expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// Whatever comes: converters that take everything, variables whose content is not known before run time.
    Any,
    Boolean,
    Integer,
    /// An IPv4 or IPv6 address.
    Address,
    Ipv4,
    Ipv6,
    Text,
    Binary,
    Method,
}

impl Type {
    /// The manual's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Boolean => "bool",
            Self::Integer => "sint",
            Self::Address => "addr",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Text => "str",
            Self::Binary => "bin",
            Self::Method => "meth",
        }
    }

    /// Whether a value of this type can become one of `wanted`.
    pub fn casts_to(self, wanted: Self) -> bool {
        use Type::{Address, Any, Binary, Boolean, Integer, Ipv4, Ipv6, Method, Text};
        match (self, wanted) {
            (Any, _) | (_, Any) => true,
            (from, to) if from == to => true,
            (Boolean, Integer | Text | Binary) => true,
            (Integer, Boolean | Address | Ipv4 | Ipv6 | Text | Binary) => true,
            (Address, Ipv4 | Ipv6 | Text | Binary) => true,
            (Ipv4, Integer | Address | Ipv6 | Text | Binary) => true,
            (Ipv6, Address | Ipv4 | Text | Binary) => true,
            (Text, _) => true,
            (Binary, Text | Method) => true,
            (Method, Text | Binary) => true,
            _ => false,
        }
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Boolean(bool),
    Integer(i64),
    Address(IpAddr),
    /// Text in no particular encoding.
    Text(Cow<'a, [u8]>),
    Binary(Cow<'a, [u8]>),
    /// A request's method; as [`Value::Text`], but told apart by [`Type::Method`].
    Method(Cow<'a, [u8]>),
}

impl<'a> Value<'a> {
    /// Text that lives elsewhere.
    pub fn text(bytes: &'a [u8]) -> Self {
        Self::Text(Cow::Borrowed(bytes))
    }

    /// Text made just now.
    pub fn owned(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Text(Cow::Owned(bytes.into()))
    }

    pub fn kind(&self) -> Type {
        match self {
            Self::Boolean(_) => Type::Boolean,
            Self::Integer(_) => Type::Integer,
            Self::Address(IpAddr::V4(_)) => Type::Ipv4,
            Self::Address(IpAddr::V6(_)) => Type::Ipv6,
            Self::Text(_) => Type::Text,
            Self::Binary(_) => Type::Binary,
            Self::Method(_) => Type::Method,
        }
    }

    /// A value that borrows nothing.
    pub fn into_owned(self) -> Value<'static> {
        let own = |bytes: Cow<'_, [u8]>| Cow::Owned(bytes.into_owned());
        match self {
            Self::Boolean(value) => Value::Boolean(value),
            Self::Integer(value) => Value::Integer(value),
            Self::Address(value) => Value::Address(value),
            Self::Text(bytes) => Value::Text(own(bytes)),
            Self::Binary(bytes) => Value::Binary(own(bytes)),
            Self::Method(bytes) => Value::Method(own(bytes)),
        }
    }

    /// The same value, borrowed from this one.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Self::Boolean(value) => Value::Boolean(*value),
            Self::Integer(value) => Value::Integer(*value),
            Self::Address(value) => Value::Address(*value),
            Self::Text(bytes) => Value::Text(Cow::Borrowed(bytes)),
            Self::Binary(bytes) => Value::Binary(Cow::Borrowed(bytes)),
            Self::Method(bytes) => Value::Method(Cow::Borrowed(bytes)),
        }
    }

    /// The value as one of type `wanted`; `None` where there is no such conversion, or none for this very value.
    pub fn cast(self, wanted: Type) -> Option<Self> {
        match wanted {
            Type::Any => Some(self),
            Type::Boolean => self.as_boolean().map(Self::Boolean),
            Type::Integer => self.as_integer().map(Self::Integer),
            Type::Address => self.as_address().map(Self::Address),
            Type::Ipv4 => self
                .as_ipv4()
                .map(|address| Self::Address(IpAddr::V4(address))),
            Type::Ipv6 => self
                .as_ipv6()
                .map(|address| Self::Address(IpAddr::V6(address))),
            Type::Text => Some(Self::Text(self.into_text())),
            Type::Binary => Some(Self::Binary(self.into_binary())),
            Type::Method => match self {
                Self::Text(bytes) | Self::Binary(bytes) | Self::Method(bytes) => {
                    Some(Self::Method(bytes))
                }
                _ => None,
            },
        }
    }

    /// As an integer: numbers, booleans, IPv4 addresses, and text up to its first byte that is no digit.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Boolean(value) => Some(i64::from(*value)),
            Self::Integer(value) => Some(*value),
            Self::Address(IpAddr::V4(address)) => Some(i64::from(address.to_bits())),
            Self::Text(bytes) if !bytes.is_empty() => Some(leading_integer(bytes)),
            _ => None,
        }
    }

    pub fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Address(_) | Self::Binary(_) | Self::Method(_) => None,
            other => other.as_integer().map(|value| value != 0),
        }
    }

    pub fn as_address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Integer(_) => self.as_ipv4().map(IpAddr::V4),
            Self::Text(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
            _ => None,
        }
    }

    pub fn as_ipv4(&self) -> Option<Ipv4Addr> {
        match self {
            Self::Integer(value) => Some(Ipv4Addr::from_bits(*value as u32)),
            other => match other.as_address()? {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(address) => embedded_ipv4(address),
            },
        }
    }

    pub fn as_ipv6(&self) -> Option<Ipv6Addr> {
        match self.as_address()? {
            IpAddr::V4(address) => Some(address.to_ipv6_mapped()),
            IpAddr::V6(address) => Some(address),
        }
    }

    /// The bytes of text, binary data and methods; nothing for the others.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) | Self::Method(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// As text. Binary data ends at its first zero byte, as in HAProxy.
    pub fn into_text(self) -> Cow<'a, [u8]> {
        match self {
            Self::Text(bytes) | Self::Method(bytes) => bytes,
            Self::Binary(bytes) => match bytes.iter().position(|&byte| byte == 0) {
                None => bytes,
                Some(end) => match bytes {
                    Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[..end]),
                    Cow::Owned(mut bytes) => {
                        bytes.truncate(end);
                        Cow::Owned(bytes)
                    }
                },
            },
            Self::Boolean(value) => Cow::Borrowed(if value { b"1" } else { b"0" }),
            Self::Integer(value) => Cow::Owned(value.to_string().into_bytes()),
            Self::Address(value) => Cow::Owned(value.to_string().into_bytes()),
        }
    }

    /// As binary data: numbers as eight bytes, addresses as four or sixteen, the most significant byte first.
    pub fn into_binary(self) -> Cow<'a, [u8]> {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) | Self::Method(bytes) => bytes,
            Self::Boolean(value) => Cow::Owned(i64::from(value).to_be_bytes().to_vec()),
            Self::Integer(value) => Cow::Owned(value.to_be_bytes().to_vec()),
            Self::Address(IpAddr::V4(value)) => Cow::Owned(value.octets().to_vec()),
            Self::Address(IpAddr::V6(value)) => Cow::Owned(value.octets().to_vec()),
        }
    }

    /// Appends the value as text.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Integer(value) => {
                if *value < 0 {
                    out.push(b'-');
                }
                push_number(out, value.unsigned_abs());
            }
            Self::Address(value) => push_ip(out, *value),
            other => out.extend_from_slice(&other.borrowed().into_text()),
        }
    }
}

/// The number that `bytes` begins with: an optional sign and digits; 0 without any, the nearest limit beyond it.
pub fn leading_integer(bytes: &[u8]) -> i64 {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0_i64, |value, digit| {
        let digit = i64::from(digit - b'0');
        let value = value.saturating_mul(10);
        if negative {
            value.saturating_sub(digit)
        } else {
            value.saturating_add(digit)
        }
    })
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, or 6to4.
pub(crate) fn embedded_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [first, a, b, c, d, e, high, low] = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match (first, [a, b, c, d], e) {
        (0, [0, 0, 0, 0], 0 | 0xffff) => Some(join(high, low)),
        (0x2002, [a, b, ..], _) => Some(join(a, b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_follow_the_table() {
        let text = |text: &'static str| Value::text(text.as_bytes());
        let address = |text: &str| Value::Address(text.parse().unwrap());
        for (value, wanted, expected) in [
            (Value::Boolean(true), Type::Integer, Some(Value::Integer(1))),
            (Value::Boolean(true), Type::Text, Some(text("1"))),
            (Value::Boolean(true), Type::Ipv4, None),
            (Value::Integer(-5), Type::Text, Some(text("-5"))),
            (
                Value::Integer(0x7f00_0001),
                Type::Address,
                Some(address("127.0.0.1")),
            ),
            (text("12ab"), Type::Integer, Some(Value::Integer(12))),
            (text(""), Type::Integer, None),
            (text("ab"), Type::Boolean, Some(Value::Boolean(false))),
            (text("::1"), Type::Address, Some(address("::1"))),
            (text("nowhere"), Type::Address, None),
            (
                address("::ffff:10.0.0.1"),
                Type::Ipv4,
                Some(address("10.0.0.1")),
            ),
            (
                address("10.0.0.1"),
                Type::Ipv6,
                Some(address("::ffff:10.0.0.1")),
            ),
            (address("2001:db8::1"), Type::Ipv4, None),
            (address("10.0.0.1"), Type::Text, Some(text("10.0.0.1"))),
            (
                Value::Binary(Cow::Borrowed(b"a\0b")),
                Type::Text,
                Some(text("a")),
            ),
            (
                Value::Integer(258),
                Type::Binary,
                Some(Value::Binary(Cow::Borrowed(&[0, 0, 0, 0, 0, 0, 1, 2]))),
            ),
        ] {
            let shown = format!("{value:?} as {wanted:?}");
            let kind = value.kind();
            let cast = value.cast(wanted);
            assert_eq!(cast, expected, "{shown}");
            assert!(
                cast.is_none() || kind.casts_to(wanted),
                "{shown}: the types do not allow it"
            );
        }
    }

    #[test]
    fn numbers_are_read_up_to_what_is_none() {
        for (text, expected) in [
            ("", 0),
            ("-", 0),
            ("+7x", 7),
            ("-12", -12),
            ("99999999999999999999", i64::MAX),
            ("-99999999999999999999", i64::MIN),
        ] {
            assert_eq!(leading_integer(text.as_bytes()), expected, "{text}");
        }
    }
}
