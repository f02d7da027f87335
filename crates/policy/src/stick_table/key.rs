//! Keys of tables: bytes of the table's own form, whatever they were made of.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::spec::KeyType;
use crate::value::{Type, Value, embedded_ipv4, leading_integer};

/// A key as a table keeps it, without the zeros that fill it up.
///
/// Texts end at their first zero byte, as in HAProxy, so that these zeros tell nothing.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a>(Bytes<'a>);

#[derive(Clone, Copy, Debug)]
enum Bytes<'a> {
    Short([u8; 16], u8),
    Long(&'a [u8]),
}

impl<'a> Key<'a> {
    pub fn ipv4(address: Ipv4Addr) -> Self {
        Self::short(&address.octets())
    }

    pub fn ipv6(address: Ipv6Addr) -> Self {
        Self::short(&address.octets())
    }

    pub fn integer(value: u32) -> Self {
        Self::short(&value.to_be_bytes())
    }

    /// Text for a table of texts, or the bytes of a binary key.
    pub fn bytes(kind: KeyType, bytes: &'a [u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(kind.length())];
        let bytes = match kind {
            KeyType::Binary { .. } => bytes,
            _ => &bytes[..memchr::memchr(0, bytes).unwrap_or(bytes.len())],
        };
        Self(Bytes::Long(without_padding(bytes)))
    }

    /// A key for a table of `kind`, from a value that rules have; `None` where it cannot be one.
    ///
    /// Texts are those of `value`, so that one that is none yet has to become one first ([`castable`]).
    pub fn of(kind: KeyType, value: &'a Value<'_>) -> Option<Self> {
        Some(match kind {
            KeyType::Ipv4 => Self::ipv4(value.as_ipv4()?),
            KeyType::Ipv6 => Self::ipv6(value.as_ipv6()?),
            KeyType::Integer => Self::integer(value.as_integer()? as u32),
            KeyType::Text { .. } | KeyType::Binary { .. } => Self::bytes(kind, value.bytes()?),
        })
    }

    /// The key that another table has, for a table of the same type.
    pub fn known(kind: KeyType, key: &'a KeyValue) -> Self {
        match key {
            KeyValue::Address(IpAddr::V4(address)) => Self::ipv4(*address),
            KeyValue::Address(IpAddr::V6(address)) => Self::ipv6(*address),
            KeyValue::Integer(value) => Self::integer(*value),
            KeyValue::Text(bytes) | KeyValue::Binary(bytes) => Self::bytes(kind, bytes),
        }
    }

    /// A key for a table of `kind`, from how a person writes it. Addresses of the other family are translated where
    /// they can be; a number that is none is 0, as in HAProxy.
    pub fn parse(kind: KeyType, text: &'a str) -> Option<Self> {
        Some(match kind {
            KeyType::Ipv4 => match text.parse().ok()? {
                IpAddr::V4(address) => Self::ipv4(address),
                IpAddr::V6(address) => Self::ipv4(embedded_ipv4(address)?),
            },
            KeyType::Ipv6 => match text.parse().ok()? {
                IpAddr::V4(address) => Self::ipv6(address.to_ipv6_mapped()),
                IpAddr::V6(address) => Self::ipv6(address),
            },
            KeyType::Integer => Self::integer(leading_integer(text.as_bytes()) as u32),
            KeyType::Text { .. } | KeyType::Binary { .. } => Self::bytes(kind, text.as_bytes()),
        })
    }

    /// The key on its own.
    pub fn to_value(&self, kind: KeyType) -> KeyValue {
        let mut words: Vec<u32> = self.words().collect();
        words.resize(kind.length().div_ceil(4), 0);
        KeyValue::read(kind, &words)
    }

    fn short(bytes: &[u8]) -> Self {
        let mut short = [0; 16];
        short[..bytes.len()].copy_from_slice(bytes);
        Self(Bytes::Short(short, without_padding(bytes).len() as u8))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short(bytes, length) => &bytes[..usize::from(*length)],
            Bytes::Long(bytes) => bytes,
        }
    }

    /// The key as words, the last one filled with zeros.
    pub(super) fn words(&self) -> impl Iterator<Item = u32> {
        self.as_bytes().chunks(4).map(|chunk| {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            u32::from_ne_bytes(word)
        })
    }
}

/// The type of values that a key of `kind` is made of.
pub fn castable(kind: KeyType) -> Type {
    match kind {
        KeyType::Ipv4 => Type::Ipv4,
        KeyType::Ipv6 => Type::Ipv6,
        KeyType::Integer => Type::Integer,
        KeyType::Text { .. } => Type::Text,
        KeyType::Binary { .. } => Type::Binary,
    }
}

fn without_padding(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte != 0);
    &bytes[..end.map_or(0, |last| last + 1)]
}

/// A key that has been read back from a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyValue {
    Address(IpAddr),
    Integer(u32),
    Text(Vec<u8>),
    Binary(Vec<u8>),
}

impl KeyValue {
    /// The key as a value for rules.
    pub fn into_value(self) -> Value<'static> {
        match self {
            Self::Address(address) => Value::Address(address),
            Self::Integer(value) => Value::Integer(value.into()),
            Self::Text(bytes) => Value::Text(bytes.into()),
            Self::Binary(bytes) => Value::Binary(bytes.into()),
        }
    }

    pub(super) fn read(kind: KeyType, words: &[u32]) -> Self {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.truncate(kind.length());
        match kind {
            KeyType::Ipv4 => Self::Address(IpAddr::V4(Ipv4Addr::from(array(&bytes)))),
            KeyType::Ipv6 => Self::Address(IpAddr::V6(Ipv6Addr::from(array(&bytes)))),
            KeyType::Integer => Self::Integer(u32::from_be_bytes(array(&bytes))),
            KeyType::Text { .. } => Self::Text(without_padding(&bytes).to_vec()),
            KeyType::Binary { .. } => Self::Binary(bytes),
        }
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_meant() {
        const TEXT: KeyType = KeyType::Text { length: 4 };
        for (kind, text, expected) in [
            (KeyType::Ipv4, "10.0.0.0", Some(&[10][..])),
            (KeyType::Ipv4, "::ffff:1.2.3.4", Some(&[1, 2, 3, 4])),
            (KeyType::Ipv4, "2001:db8::1", None),
            (KeyType::Ipv4, "nobody", None),
            (
                KeyType::Ipv6,
                "1.2.3.4",
                Some(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4]),
            ),
            (KeyType::Integer, "258", Some(&[0, 0, 1, 2])),
            (KeyType::Integer, "x", Some(&[])),
            (TEXT, "abcdef", Some(b"abcd")),
            (TEXT, "ab\0f", Some(b"ab")),
            (KeyType::Binary { length: 3 }, "a\0b", Some(b"a\0b")),
        ] {
            let key = Key::parse(kind, text);
            assert_eq!(
                key.as_ref().map(Key::as_bytes),
                expected,
                "{text} as {kind:?}"
            );
        }
    }

    #[test]
    fn what_is_stored_is_read_back() {
        for (kind, key, expected) in [
            (
                KeyType::Ipv4,
                Key::ipv4(Ipv4Addr::new(10, 0, 0, 0)),
                KeyValue::Address("10.0.0.0".parse().unwrap()),
            ),
            (KeyType::Integer, Key::integer(7), KeyValue::Integer(7)),
            (
                KeyType::Text { length: 10 },
                Key::bytes(KeyType::Text { length: 10 }, b"abcde"),
                KeyValue::Text(b"abcde".to_vec()),
            ),
            (
                KeyType::Binary { length: 3 },
                Key::bytes(KeyType::Binary { length: 3 }, b"a"),
                KeyValue::Binary(b"a\0\0".to_vec()),
            ),
        ] {
            let mut words = vec![0; kind.length().div_ceil(4)];
            for (word, value) in words.iter_mut().zip(key.words()) {
                *word = value;
            }
            assert_eq!(KeyValue::read(kind, &words), expected);
        }
    }
}
