//! Header blocks of HTTP/2, on any bytes.
#![no_main]

#[path = "../../crates/wire/tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|input: &[u8]| support::h2::read_hpack(input));
