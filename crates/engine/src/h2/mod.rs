//! HTTP/2 on both sides of an exchange.
//!
//! A connection is a [`link`]: one machine of `wire::h2`, and one task that moves its bytes. Each of its streams is an
//! exchange in a task of its own ([`client`]), or the server's side of one ([`server`]). Tasks only ever touch the
//! machine; what they have said in one turn of the loop leaves in one write at its end.

pub(crate) mod client;
mod link;
pub(crate) mod server;
mod stream;
