//! The ways in which a value can be compared with a pattern.

use crate::value::Type;

/// What `-m` names, and what the suffixes of `path_beg` and the like stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// The sample exists, whatever its value.
    Found,
    Boolean,
    /// Numbers and ranges of numbers.
    Integer,
    /// Addresses and networks.
    Ip,
    /// Exact bytes, written in hexadecimal digits.
    Binary,
    /// The length, compared as [`Method::Integer`].
    Length,
    /// The exact text.
    Text,
    /// The text contains it.
    Substring,
    Regex,
    /// The text begins with it.
    Prefix,
    /// It stands between slashes.
    Directory,
    /// It stands between dots.
    Domain,
    /// The text ends with it.
    Suffix,
}

impl Method {
    /// Every method, under its name.
    pub const NAMES: [(&'static str, Self); 13] = [
        ("beg", Self::Prefix),
        ("bin", Self::Binary),
        ("bool", Self::Boolean),
        ("dir", Self::Directory),
        ("dom", Self::Domain),
        ("end", Self::Suffix),
        ("found", Self::Found),
        ("int", Self::Integer),
        ("ip", Self::Ip),
        ("len", Self::Length),
        ("reg", Self::Regex),
        ("str", Self::Text),
        ("sub", Self::Substring),
    ];

    pub fn find(name: &str) -> Option<Self> {
        let mut known = Self::NAMES.iter();
        known
            .find(|(known, _)| *known == name)
            .map(|(_, method)| *method)
    }

    pub fn name(self) -> &'static str {
        let mut known = Self::NAMES.iter();
        known
            .find(|(_, method)| *method == self)
            .map_or("", |(name, _)| name)
    }

    /// How values of this type are compared when nothing is said; `None`: it has to be said.
    pub fn natural(kind: Type) -> Option<Self> {
        match kind {
            Type::Boolean => Some(Self::Boolean),
            Type::Integer => Some(Self::Integer),
            Type::Address | Type::Ipv4 | Type::Ipv6 => Some(Self::Ip),
            Type::Text | Type::Method => Some(Self::Text),
            Type::Binary => Some(Self::Binary),
            Type::Any => None,
        }
    }

    /// What a value must be able to become to be compared in this way.
    pub const fn input(self) -> Type {
        match self {
            Self::Found => Type::Any,
            Self::Boolean => Type::Boolean,
            Self::Integer => Type::Integer,
            Self::Ip => Type::Address,
            Self::Binary => Type::Binary,
            Self::Length
            | Self::Text
            | Self::Substring
            | Self::Regex
            | Self::Prefix
            | Self::Directory
            | Self::Domain
            | Self::Suffix => Type::Text,
        }
    }
}
