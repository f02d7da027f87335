//! HTTP/2 (RFC 9113): frames, header compression, streams and flow control, as a machine without I/O.
//!
//! ```text
//! bytes ──► receive ──► frames ──► streams ──► events, heads, data      Connection: one per transport, either role
//! bytes ◄──── output ◄── frames ◄── send_head, send_data, send_trailers
//! ```
//!
//! A [`Connection`] never waits, never reads a clock and never opens anything. What it is given is judged at once; what
//! it has to say gathers in one buffer, so that all streams of a loop's turn leave in one write. Each stream holds at
//! most one window of unread data, the whole connection at most its own, and [`budget`] bounds what flow control does
//! not. What is absent: server push (always refused, never offered) and priorities (read, then ignored; RFC 9113
//! section 5.3.2 permits both).

pub mod budget;
mod connection;
mod error;
pub mod frame;
pub mod hpack;
mod message;
mod receive;
mod send;
mod streams;

pub use connection::{Config, Connection, Counts, Event, Read, Role};
pub use error::{Code, Fault};
pub use streams::Key;
