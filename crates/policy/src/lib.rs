//! Every decision Plimsoll takes, as pure functions and state machines.
//!
//! Rooms: [`keyword`] (words of a configuration), [`model`] (what it means), [`balance`] (choosing servers), [`live`]
//! (shared atomics), [`rule`] (the rule language: [`sample`], `convert`, [`acl`], [`action`]).
//! What is absent: sockets, clocks, files, threads. Time, chance and bytes are arguments.
#![forbid(unsafe_code)]

pub mod acl;
pub mod acme;
pub mod action;
pub mod agent;
mod arguments;
pub mod availability;
pub mod balance;
pub mod bandwidth;
pub mod capture;
pub mod command;
pub mod context;
mod convert;
pub mod cookie;
pub mod counters;
mod draft;
pub mod explain;
pub mod expression;
pub mod forwarded;
pub mod health;
pub mod jwe;
pub mod keyword;
pub mod kin;
pub mod ledger;
pub mod lint;
pub mod live;
pub mod log;
pub mod log_format;
pub mod model;
pub mod outlier;
pub mod pace;
pub mod passive;
pub mod pattern;
pub mod plan;
pub mod plane;
pub mod probe;
pub mod queue;
pub mod rdp;
pub mod resolution;
mod resolve;
pub mod rule;
pub mod sample;
pub mod saved;
pub mod specimen;
pub mod stapling;
pub mod stats;
pub mod stick_table;
pub mod stickiness;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod users;
pub mod value;
pub mod variable;
