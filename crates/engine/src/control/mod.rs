//! What goes on beside the traffic: health checks, names, logs, command sockets.
//!
//! What is absent: decisions about traffic, and anything that could make a worker wait.

pub(crate) mod admin;
pub(crate) mod checks;
pub(crate) mod conductor;
pub mod log;
pub(crate) mod names;
