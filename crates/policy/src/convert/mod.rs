//! Converters: what can be made of a value (manual, section 7.3.1).
//!
//! One file per topic, each with a sorted list of rows. A converter gets a value of the type its row expects and yields
//! another one, or nothing where it cannot. What is absent: parsing of expressions ([`crate::expression`]).

mod binary;
mod capture;
mod codec;
mod crypto;
mod date;
mod fix;
mod hash;
pub(crate) mod json;
mod jwt;
mod jwt_decrypt;
mod jwt_verify;
mod language;
mod map;
mod mqtt;
mod network;
mod number;
mod packet;
mod protobuf;
mod regsub;
pub(crate) mod rfc7239;
mod server;
mod stick;
mod text;
mod variable;

pub(crate) use codec::decode_url;
pub(crate) use json::Query as JsonQuery;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

use plimsoll_config::diagnostic::Diagnostic;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::expression::Scope;
use crate::value::{Type, Value};

/// Most bytes that converters make of a value, as HAProxy's `tune.bufsize` limits them. Some cut off what is beyond
/// it, others yield nothing.
pub(crate) const OUTPUT_BYTES_MAX: usize = 16_384;

/// Makes one value of another.
pub(crate) trait Convert: Send + Sync {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>>;
}

impl<F> Convert for F
where
    F: for<'a, 'b> Fn(Value<'a>, &'a Context<'b>) -> Option<Value<'a>> + Send + Sync,
{
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        self(value, context)
    }
}

/// What a row makes of its arguments.
pub(crate) type Read = fn(&mut Arguments, &Scope<'_>) -> Result<Box<dyn Convert>, Diagnostic>;

/// One converter.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The arguments between parentheses, empty where there are none.
    pub(crate) usage: &'static str,
    /// One sentence.
    pub(crate) doc: &'static str,
    pub(crate) input: Type,
    /// `None`: the type of what came in.
    pub(crate) output: Option<Type>,
    pub(crate) read: Read,
}

/// Boxes a closure as a converter that needs nothing but the value.
#[expect(clippy::unnecessary_wraps, reason = "it is what readers return")]
pub(crate) fn pure<F>(convert: F) -> Result<Box<dyn Convert>, Diagnostic>
where
    F: for<'a> Fn(Value<'a>) -> Option<Value<'a>> + Send + Sync + 'static,
{
    struct Pure<F>(F);
    impl<F> Convert for Pure<F>
    where
        F: for<'a> Fn(Value<'a>) -> Option<Value<'a>> + Send + Sync,
    {
        fn convert<'a>(&'a self, value: Value<'a>, _: &'a Context<'_>) -> Option<Value<'a>> {
            (self.0)(value)
        }
    }
    Ok(Box::new(Pure(convert)))
}

/// A part of a text, borrowed where the text is.
pub(crate) fn part(text: Cow<'_, [u8]>, range: Range<usize>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(mut text) => {
            text.truncate(range.end);
            text.drain(..range.start);
            Cow::Owned(text)
        }
    }
}

/// A text made just now, unless it is too long.
pub(crate) fn text(bytes: Vec<u8>) -> Option<Value<'static>> {
    (bytes.len() <= OUTPUT_BYTES_MAX).then_some(Value::Text(Cow::Owned(bytes)))
}

/// As [`text`], for binary data.
pub(crate) fn binary(bytes: Vec<u8>) -> Option<Value<'static>> {
    (bytes.len() <= OUTPUT_BYTES_MAX).then_some(Value::Binary(Cow::Owned(bytes)))
}

const TOPICS: &[&[Row]] = &[
    binary::ROWS,
    capture::ROWS,
    codec::ROWS,
    crypto::ROWS,
    date::ROWS,
    fix::ROWS,
    hash::ROWS,
    json::ROWS,
    jwt::ROWS,
    jwt_decrypt::ROWS,
    jwt_verify::ROWS,
    language::ROWS,
    map::ROWS,
    mqtt::ROWS,
    network::ROWS,
    number::ROWS,
    packet::ROWS,
    protobuf::ROWS,
    regsub::ROWS,
    rfc7239::ROWS,
    server::ROWS,
    stick::INDEXED,
    stick::OTHERS,
    stick::ROWS,
    text::ROWS,
    variable::ROWS,
];

/// Every row, topic by topic.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    TOPICS.iter().copied().flatten()
}

/// The row called `name`.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    static INDEX: OnceLock<HashMap<&'static str, &'static Row>> = OnceLock::new();
    INDEX
        .get_or_init(|| rows().map(|row| (row.name, row)).collect())
        .get(name)
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::haproxy::names;

    #[test]
    fn rows_are_sorted_known_and_documented() {
        for topic in TOPICS {
            assert!(topic.windows(2).all(|pair| pair[0].name < pair[1].name));
        }
        let mut seen = HashMap::new();
        for row in rows() {
            assert!(seen.insert(row.name, ()).is_none(), "{} twice", row.name);
            assert!(row.doc.ends_with('.'), "{}", row.name);
            let known = names::converters::CONVERTERS
                .binary_search(&row.name)
                .is_ok();
            assert!(known, "{} is not HAProxy's", row.name);
        }
    }
}
