//! Patterns: what values are compared with in conditions and looked up with in maps (manual, section 7.1).
//!
//! | look in | for |
//! |---|---|
//! | [`Method`] | the ways of comparing (`-m`) |
//! | [`List`] | patterns of one origin and their versions, which change at run time while others search |
//! | [`Search`] | one way of searching in a list |
//! | [`Editor`] | what can be done to a list |
//! | [`Lists`] | all lists of a configuration, so that a file named twice is one list |
//! | [`file_list`] | the text of a file of patterns |
//!
//! What is absent: files (their text is an argument) and the words of an `acl` line ([`crate::acl`]).

mod entry;
mod expression;
mod file;
mod filter;
mod hash;
mod index;
mod list;
mod lists;
mod method;
mod networks;
mod numbers;
mod row;
mod texts;
mod trie;

#[cfg(test)]
mod tests;

pub use entry::Entry;
pub(crate) use expression::{Expression, problem};
pub use file::file_list;
pub(crate) use file::read;
pub(crate) use index::REGEX_BYTES_MAX;
pub(crate) use list::read_value;
pub use list::{Editor, List, Origin, Search, State, Use};
pub(crate) use lists::Promise;
pub use lists::{Known, Lists};
pub use method::Method;
