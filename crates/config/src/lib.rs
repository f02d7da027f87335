//! Configuration text to syntax tree, with spans and diagnostics.
//!
//! Parsing never fails: it returns the tree *and* everything that is wrong with it.
//! What is absent: keywords (they are rows in `policy`), the file system (a `Loader` is an argument),
//! and any idea of what a line means.
#![forbid(unsafe_code)]

pub mod args;
pub mod braces;
pub mod condition;
pub mod diagnostic;
pub mod haproxy;
pub mod render;
pub mod source;
pub mod suggest;
pub mod values;
