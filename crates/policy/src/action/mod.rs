//! Actions: what rules do (manual, sections 4.2 and 4.3).
//!
//! One file per action or family, each with its rows; [`find`] searches all of them. An action is asked with a
//! [`Context`] that it may change, and answers with a [`Flow`]; waiting, sending and closing are left to the engine. What
//! is absent: conditions ([`crate::acl`]) and the order of rules ([`crate::rule`]).

mod address;
pub(crate) mod answer;
mod auth;
mod bandwidth;
mod capture;
mod do_log;
mod expect_proxy;
mod flow;
mod header;
mod header_list;
mod label;
mod list;
mod normalize;
mod redirect;
mod replace;
mod resolve;
mod service;
mod settings;
mod switch_mode;
mod target;
mod track;
mod variable;
mod wait;

use std::fmt;

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::Diagnostic;

use crate::context::{Context, Phase};
use crate::expression::Scope;

pub(crate) use answer::read_error;
pub(crate) use capture::length as capture_length;
pub use flow::{Flow, Label, Reply, Service};
pub use resolve::Lookup;
pub use switch_mode::Versions;
pub(crate) use variable::Only;

/// Something a rule does.
pub trait Action: Send + Sync {
    fn run(&self, context: &mut Context<'_>) -> Flow;

    /// Whether it is run again with more bytes where it lacked some.
    fn waits(&self) -> bool {
        false
    }
}

impl<F> Action for F
where
    F: Fn(&mut Context<'_>) -> Flow + Send + Sync,
{
    fn run(&self, context: &mut Context<'_>) -> Flow {
        self(context)
    }
}

impl fmt::Debug for dyn Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Action")
    }
}

/// The rule sets in which an action may stand, as a set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places(u16);

impl Places {
    pub(crate) const CONNECTION: Self = Self(1);
    pub(crate) const SESSION: Self = Self(1 << 1);
    pub(crate) const CONTENT: Self = Self(1 << 2);
    pub(crate) const REQUEST: Self = Self(1 << 3);
    pub(crate) const RESPONSE_CONTENT: Self = Self(1 << 4);
    pub(crate) const RESPONSE: Self = Self(1 << 5);
    pub(crate) const AFTER_RESPONSE: Self = Self(1 << 6);

    /// All of HTTP's.
    pub(crate) const HTTP: Self = Self::REQUEST.and(Self::RESPONSE).and(Self::AFTER_RESPONSE);
    /// HTTP requests and responses, but not what was made up here.
    pub(crate) const MESSAGES: Self = Self::REQUEST.and(Self::RESPONSE);
    /// All that looks at a client's bytes or before them.
    pub(crate) const TCP_REQUEST: Self = Self::CONNECTION.and(Self::SESSION).and(Self::CONTENT);
    pub(crate) const EVERYWHERE: Self = Self(0b111_1111);

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn of(phase: Phase) -> Self {
        match phase {
            Phase::Connection => Self::CONNECTION,
            Phase::Session => Self::SESSION,
            Phase::RequestContent => Self::CONTENT,
            Phase::ResponseContent => Self::RESPONSE_CONTENT,
            Phase::Response => Self::RESPONSE,
            Phase::AfterResponse => Self::AFTER_RESPONSE,
            _ => Self::REQUEST,
        }
    }

    /// Whether an action of these places may stand in rules of this time.
    pub(crate) fn include(self, phase: Phase) -> bool {
        self.0 & Self::of(phase).0 != 0
    }
}

/// The words that an action is read from.
pub(crate) struct Words<'a, 'b> {
    /// The word that names it, with what it has in parentheses.
    pub(crate) name: &'a Word,
    /// What follows, up to the condition, which is left.
    pub(crate) args: &'b mut Args<'a>,
}

impl<'a> Words<'a, '_> {
    /// What stands between the parentheses behind the name.
    pub(crate) fn inner(&self) -> Option<&'a str> {
        let (_, inner) = self.name.text.split_once('(')?;
        inner.strip_suffix(')')
    }

    /// The next word, unless the condition begins there.
    pub(crate) fn peek(&self) -> Option<&'a Word> {
        self.args
            .peek()
            .filter(|word| !matches!(word.text.as_str(), "if" | "unless"))
    }

    /// Takes the next word when it is exactly this.
    pub(crate) fn take(&mut self, keyword: &str) -> bool {
        self.args.take(keyword)
    }
}

/// What a row makes of its words.
pub(crate) type Read = fn(&mut Words<'_, '_>, &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic>;

/// One action.
pub(crate) struct Row {
    /// The name without parentheses; a number may follow where `numbered`.
    pub(crate) name: &'static str,
    pub(crate) numbered: bool,
    pub(crate) usage: &'static str,
    /// One sentence.
    pub(crate) doc: &'static str,
    pub(crate) places: Places,
    pub(crate) read: Read,
}

/// Boxes an action.
#[expect(clippy::unnecessary_wraps, reason = "it is what readers return")]
pub(crate) fn action(action: impl Action + 'static) -> Result<Box<dyn Action>, Diagnostic> {
    Ok(Box::new(action))
}

const TOPICS: &[&[Row]] = &[
    address::ROWS,
    answer::ROWS,
    auth::ROWS,
    bandwidth::ROWS,
    capture::ROWS,
    do_log::ROWS,
    expect_proxy::ROWS,
    header::ROWS,
    header_list::ROWS,
    label::ROWS,
    list::ROWS,
    normalize::ROWS,
    redirect::ROWS,
    replace::ROWS,
    resolve::ROWS,
    service::ROWS,
    settings::ROWS,
    switch_mode::ROWS,
    target::ROWS,
    track::ROWS,
    variable::ROWS,
    wait::ROWS,
];

/// Every row, topic by topic.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    TOPICS.iter().copied().flatten()
}

/// The row of an action as it is written, for rules of this time.
pub(crate) fn find(text: &str, phase: Phase) -> Option<&'static Row> {
    let name = text.split('(').next().unwrap_or_default();
    let bare = name.trim_end_matches(|character: char| character.is_ascii_digit());
    rows().find(|row| {
        row.places.include(phase) && (row.name == name || row.numbered && row.name == bare)
    })
}

/// A redirect as the old `redirect` line writes it.
pub(crate) fn read_redirect(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
) -> Result<Box<dyn Action>, Diagnostic> {
    redirect::read_plain(words, scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_documented() {
        for topic in TOPICS {
            assert!(topic.windows(2).all(|pair| pair[0].name <= pair[1].name));
            for row in *topic {
                assert!(row.doc.ends_with('.'), "{}", row.name);
            }
        }
    }
}
