//! Expressions of the rule language, read and evaluated, on any bytes.
#![no_main]

#[path = "../../crates/policy/tests/config_support/mod.rs"]
mod config_support;
#[path = "../../crates/policy/tests/expression_support/mod.rs"]
mod expression_support;

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    expression_support::evaluate(text);
});
