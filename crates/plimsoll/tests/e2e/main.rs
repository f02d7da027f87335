//! The real binary, from outside.
#![allow(clippy::print_stderr, reason = "skips are told")]

#[path = "../rig/mod.rs"]
mod rig;

mod admin;
mod browser;
mod checks;
mod command_line;
mod http;
mod lab;
mod life;
mod logs;
mod peers;
mod reload;
mod soak;
mod tcp;
