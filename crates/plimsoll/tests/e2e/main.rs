//! The real binary, from outside.
#![allow(clippy::print_stderr, reason = "skips are told")]

#[path = "../rig/mod.rs"]
mod rig;

mod acme;
mod admin;
mod affinity;
mod bandwidth;
mod browser;
mod check_kinds;
mod checks;
mod command_line;
mod connections;
mod early_data;
mod grpc;
mod h2;
mod h2_abuse;
mod h2_cases;
mod http;
mod interop;
mod kernel;
mod kills;
mod lab;
mod life;
mod logs;
mod master;
mod names;
mod passive;
mod peers;
mod prometheus;
mod proxy_protocol;
mod reload;
mod rules;
mod runtime;
mod sessions;
mod soak;
mod stapling;
mod stick;
mod tcp;
mod tls;
mod upgrade;
mod web_sockets;
mod why;
