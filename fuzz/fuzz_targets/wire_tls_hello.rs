//! Hellos of TLS clients, on any bytes.
#![no_main]

#[path = "../../crates/wire/tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|input: &[u8]| support::read_tls_hello(input));
