//! HPACK: header compression (RFC 7541).
//!
//! [`Decoder`] hands each field of a block to a [`Sink`] and never keeps more than its table; [`Encoder`] writes fields
//! with the static table, and a small dynamic one for values that come again. What a field means is not known here.

mod decode;
mod encode;
mod huffman;
mod table;

pub use decode::{Decoder, HpackError, Sink};
pub use encode::{ENCODER_BYTES_MAX, Encoder};

/// The size of a dynamic table unless a peer says otherwise (RFC 9113 section 6.5.2).
pub const TABLE_BYTES_DEFAULT: usize = 4_096;

/// What an entry counts beyond its bytes (RFC 7541 section 4.1).
pub const ENTRY_OVERHEAD_BYTES: usize = 32;
