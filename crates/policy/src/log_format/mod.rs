//! Text with holes: `log-format`, and the values of headers, redirects and the like (manual, section 8.2.6).
//!
//! `%[EXPRESSION]` is a hole that an expression fills, `%ci` and its like one that [`alias`] fills; `%{+Q}` before either
//! says how. What is absent: the ready-made lines of `option httplog` ([`crate::log`]).

mod alias;
mod read;
mod write;

use crate::expression::Expression;

pub(crate) use alias::ALIASES;
pub(crate) use read::read;

/// How the content of a hole is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `Q`: between double quotes; what is missing becomes `""`.
    pub quote: bool,
    /// `X`: numbers and addresses in hexadecimal digits.
    pub hexadecimal: bool,
    /// `E`: `"`, `\` and `]` get a backslash.
    pub escape: bool,
    /// `M`: what is missing becomes `-`.
    pub mandatory: bool,
}

/// What becomes of bytes that could break the line they are written into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Nothing: the text is for programs of our own.
    #[default]
    Raw,
    /// For header fields and targets: control characters become `%XX`.
    Http,
    /// For log lines: control characters and those beyond ASCII become `#XX`.
    Log,
}

/// A text with holes, ready to be filled in. Equal when written equally.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Format {
    pub(crate) items: Vec<Item>,
    pub(crate) encoding: Encoding,
}

/// One piece of a format.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    Literal(Box<[u8]>),
    Expression(Expression, Flags),
    Alias(&'static alias::Alias, Flags),
}

impl Format {
    /// A text without holes.
    pub fn literal(text: &[u8]) -> Self {
        Self {
            items: vec![Item::Literal(text.into())],
            encoding: Encoding::Raw,
        }
    }

    /// The text, where there are no holes in it.
    pub fn as_literal(&self) -> Option<&[u8]> {
        match self.items.as_slice() {
            [] => Some(b""),
            [Item::Literal(text)] => Some(text),
            _ => None,
        }
    }
}
