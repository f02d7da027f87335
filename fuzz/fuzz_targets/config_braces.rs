//! The grammar of words and braces, in both dialects, on any bytes.
#![no_main]

#[path = "../../crates/config/tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|text: &[u8]| support::read_braces(text));
