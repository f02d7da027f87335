//! Converters: what can be made of a value (manual, section 7.3.1).
//!
//! One file per topic, each with a sorted list of rows. A converter gets a value of the type its row expects and yields
//! another one, or nothing where it cannot. What is absent: parsing of expressions ([`crate::expression`]).

mod number;
mod stick;
mod text;

use std::collections::HashMap;
use std::sync::OnceLock;

use plimsoll_config::diagnostic::Diagnostic;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::expression::Scope;
use crate::value::{Type, Value};

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

const TOPICS: &[&[Row]] = &[
    number::ROWS,
    stick::INDEXED,
    stick::OTHERS,
    stick::ROWS,
    text::ROWS,
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
