//! Bytes to values and back, without I/O.
//!
//! [`head`] is the protocol-neutral message head; [`h1`] and [`h2`] read and write messages of HTTP/1 and HTTP/2; [`uri`] splits
//! request targets; [`proxy_protocol`] tells who a relayed client is;
//! [`dns`] asks for addresses of names; [`tls_hello`] reads the first message of a TLS client; [`decimal`] reads and writes numbers; [`websocket`] has the keys of handshakes.
//! What is absent: sockets, clocks, configuration words, policy. Every parser here is resumable or restartable,
//! bounded, and safe on hostile input.
#![forbid(unsafe_code)]

pub mod decimal;
pub mod dns;
pub mod h1;
pub mod h2;
pub mod head;
pub mod proxy_protocol;
pub mod reason;
pub mod socks4;
pub mod tls_hello;
pub mod uri;
pub mod websocket;
