//! What goes on beside the traffic: logs.
//!
//! What is absent: decisions about traffic, and anything that could make a worker wait.

pub mod log;
