//! HTTP/1 on both sides of an exchange.

pub(crate) mod client;
pub(crate) mod server;
pub(crate) mod writer;
