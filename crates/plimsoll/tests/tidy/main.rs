//! The house is in order: what reviewers would otherwise have to remember, as tests.
//!
//! They look at tracked files only, so that work in progress is left in peace, and need nothing but the checkout.
#![allow(
    clippy::print_stderr,
    reason = "what could be better is told, and is no failure"
)]

mod dependencies;
mod documents;
mod files;
mod source;
