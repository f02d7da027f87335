//! Configuration text to syntax tree, with spans and diagnostics.
//!
//! Parsing never fails: it returns the tree *and* everything that is wrong with it.
//! What is absent: keywords (they are rows in `policy`), the file system (a `Loader` is an argument),
//! and any idea of what a line means.
//!
//! | room | for |
//! |---|---|
//! | [`haproxy`] | sections and lines of words: quotes, escapes, variables, `.if` |
//! | [`braces`] | words and blocks in braces, as keepalived and nginx write them |
//! | [`source`] | files, variables, and where in a file something stands |
//! | [`args`] | the cursor that reads the words of a line |
//! | [`values`] | durations, sizes, addresses, networks |
//! | [`condition`] | what `.if` and the command line ask |
//! | [`diagnostic`] | what is wrong, why, and the way out |
//! | [`render`] | diagnostics as text, lines and JSON |
//! | [`suggest`] | the known word nearest to a mistyped one |
//!
//! Whatever the bytes, reading ends, in memory that named caps bound: see the constants that end in `_MAX`.
#![forbid(unsafe_code)]

pub mod args;
pub mod braces;
pub mod condition;
pub mod diagnostic;
pub mod haproxy;
pub mod render;
pub mod source;
pub mod suggest;
mod template;
pub mod values;
