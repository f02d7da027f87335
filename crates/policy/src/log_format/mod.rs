//! Text with holes: `log-format`, and the values of headers, redirects and the like (manual, section 8.2.6).
//!
//! `%[EXPRESSION]` is a hole that an expression fills, `%ci` and its like one that [`alias`] fills; `%{+Q}` before either
//! says how, and a name in parentheses before that labels it where the whole text is JSON or CBOR. What is absent: the
//! ready-made lines of `option httplog` ([`crate::log`]), which are written without being interpreted.

mod alias;
mod cbor;
mod pen;
mod read;
mod standard;
#[cfg(test)]
mod tests;
mod write;

use crate::expression::Expression;

pub(crate) use alias::rows as alias_rows;
pub(crate) use read::read;
pub use standard::STANDARD_FORMATS;

/// How the content of a hole is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `Q`: between double quotes.
    pub quote: bool,
    /// `X`: addresses, ports and a few numbers in hexadecimal digits.
    pub hexadecimal: bool,
    /// `E`: `"`, `\` and `]` get a backslash.
    pub escape: bool,
    /// `M`, set in log lines: what is missing becomes `-`.
    pub mandatory: bool,
    /// `bin`: CBOR as it is rather than in hexadecimal digits.
    pub binary: bool,
    pub form: Form,
}

/// The language of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    #[default]
    Plain,
    Json,
    Cbor,
}

/// What `%(NAME:TYPE)` makes of a value in an encoded text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cast {
    /// What it is.
    #[default]
    Same,
    Text,
    Integer,
    Boolean,
    /// The text of the value, unencoded.
    Raw,
}

/// What becomes of bytes that could break the line they are written into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Nothing: the text is for programs of our own.
    #[default]
    Raw,
    /// For header fields and targets: control characters become `%XX`.
    Http,
    /// As [`Encoding::Http`], and spaces that follow each other are one: for `unique-id-format`.
    Name,
    /// For log lines: control characters and those beyond ASCII become `#XX`, and spaces that follow each other are one.
    Log,
}

impl Encoding {
    fn merges_spaces(self) -> bool {
        matches!(self, Self::Log | Self::Name)
    }

    fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Name)
    }
}

/// A text with holes, ready to be filled in. Equal when written equally.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Format {
    pub(crate) items: Vec<Item>,
    pub(crate) encoding: Encoding,
    /// What all `%{…}o` agree on: whether the text as a whole is JSON or CBOR.
    pub(crate) whole: Flags,
}

/// One piece of a format.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    Literal(Box<[u8]>),
    /// A space where spaces are merged.
    Space,
    Expression(Expression, Hole),
    Alias(&'static alias::Alias, Hole),
}

/// How a hole is written, and what it is called.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Hole {
    pub(crate) flags: Flags,
    pub(crate) name: Option<Box<str>>,
    pub(crate) cast: Cast,
}

impl Format {
    /// A text without holes.
    pub fn literal(text: &[u8]) -> Self {
        Self {
            items: vec![Item::Literal(text.into())],
            ..Self::default()
        }
    }

    /// The text, where there are no holes in it.
    pub fn as_literal(&self) -> Option<&[u8]> {
        match self.items.as_slice() {
            _ if self.whole.form != Form::Plain => None,
            [] => Some(b""),
            [Item::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether a hole asks for the request's own name.
    pub(crate) fn asks_unique_id(&self) -> bool {
        self.items.iter().any(|item| match item {
            Item::Alias(alias, _) => alias.name == "ID",
            Item::Expression(expression, _) => expression.text().contains("unique-id"),
            Item::Literal(_) | Item::Space => false,
        })
    }

    /// Whether a hole asks for the addresses of the server's connection.
    pub fn asks_addresses(&self) -> bool {
        let asks = |item: &Item| matches!(item, Item::Alias(alias, _) if matches!(alias.name, "bi" | "bp" | "si" | "sp"));
        self.items.iter().any(asks)
    }

    /// Whether a hole asks how many lines the frontend has written.
    pub fn asks_count(&self) -> bool {
        let count = |item: &Item| matches!(item, Item::Alias(alias, _) if alias.name == "lc");
        self.items.iter().any(count)
    }
}
