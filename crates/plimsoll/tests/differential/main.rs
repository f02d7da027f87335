//! The same configuration and the same bytes before HAProxy and before Plimsoll: what differs is a mistake, or has its
//! reason in `docs/differences.md`.
#![allow(
    clippy::print_stderr,
    reason = "skips are told, and transcripts shown on request"
)]

mod actor;
mod log;
mod origin;
#[path = "../rig/mod.rs"]
mod rig;
mod stage;

mod affinity;
mod answers;
mod bandwidth;
mod commands;
mod counts;
mod errors;
mod exporter;
mod expressions;
mod faults;
mod frames;
mod framing;
mod handshakes;
mod health_words;
mod help;
mod logs;
mod lookups;
mod newer;
mod options;
mod pages;
mod persistence;
mod published;
mod queues;
mod rates;
mod raw_answers;
mod reuse;
mod rewrites;
mod samples;
mod states;
mod statistics;
mod stats_file;
mod streams;
mod timeouts;
mod tunnels;
mod users;
mod verdicts;
