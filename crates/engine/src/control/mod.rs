//! What goes on beside the traffic: health checks, names, certificates that are issued, logs, command sockets.
//!
//! What is absent: decisions about traffic, and anything that could make a worker wait.

pub(crate) mod acme;
pub(crate) mod admin;
mod background;
pub(crate) mod checks;
pub(crate) mod conductor;
pub(crate) mod http_client;
pub mod log;
pub(crate) mod names;
mod stapling;
