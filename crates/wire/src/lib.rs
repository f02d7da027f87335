//! Bytes to values and back, without I/O.
//!
//! [`head`] is the protocol-neutral message head; `h1` reads and writes HTTP/1 messages and bodies.
//! What is absent: sockets, clocks, configuration words, policy. Every parser here is resumable or restartable,
//! bounded, and safe on hostile input.
#![forbid(unsafe_code)]

pub mod head;
