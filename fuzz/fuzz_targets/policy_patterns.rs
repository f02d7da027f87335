//! Files of patterns and the texts that are looked for in them, on any bytes.
#![no_main]

#[path = "../../crates/policy/tests/pattern_support/mod.rs"]
mod pattern_support;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pattern_support::search(bytes);
});
