//! A connection of HTTP/2 and its owner, on any bytes.
#![no_main]

#[path = "../../crates/wire/tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|input: &[u8]| support::h2::read_h2_connection(input));
