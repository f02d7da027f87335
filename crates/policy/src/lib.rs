//! Every decision Plimsoll takes, as pure functions and state machines.
//!
//! Rooms: [`keyword`] (words of a configuration), [`model`] (what it means), [`balance`] (choosing servers), [`live`]
//! (shared atomics).
//! What is absent: sockets, clocks, files, threads. Time, chance and bytes are arguments.
#![forbid(unsafe_code)]

pub mod agent;
pub mod balance;
pub mod command;
pub mod counters;
mod draft;
pub mod health;
pub mod keyword;
pub mod kin;
pub mod live;
pub mod log;
pub mod model;
pub mod plane;
pub mod probe;
pub mod queue;
mod resolve;
pub mod stats;
pub mod stick_table;
