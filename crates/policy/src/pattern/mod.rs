//! Patterns: what values are compared with in conditions and looked up with in maps (manual, section 7.1).
//!
//! | look in | for |
//! |---|---|
//! | [`Method`] | the ways of comparing (`-m`) |
//! | [`List`] | patterns of one origin, in the order they were given; those of files can change at run time |
//! | [`Lists`] | all lists of a configuration, so that a file named twice is one list |
//!
//! What is absent: files (their text is an argument) and the words of an `acl` line ([`crate::acl`]).

mod index;
mod list;
mod method;

pub(crate) use index::REGEX_BYTES_MAX;
pub use list::{Entry, List, Lists, Origin, Search};
pub use method::Method;
