//! HTTP/1 messages (RFC 9112): heads, bodies, and the way back to bytes.
//!
//! ```text
//! bytes ──► scan (syntax) ──► framing (meaning) ──► Head ──► encode ──► bytes
//!           lines, fields     length, chunks,
//!                             connection, host
//! ```
//!
//! A head is accepted only in the one form that all readers understand alike; whatever two readers could take for
//! different messages is refused. `Limits::lenient` relaxes what HAProxy's `option
//! accept-unsafe-violations-in-http-request` relaxes, and never the framing.
//! What is absent: buffers, sockets, deciding whether to keep a connection.

pub mod body;
pub mod encode;
mod error;
mod framing;
pub mod request;
pub mod response;
mod scan;
mod spelling;
mod target;
pub mod token;

pub use error::HeadError;
pub use scan::fault_position;
pub(crate) use scan::{is_lower_name_byte, is_target_byte};
pub use spelling::{Spelling, SpellingError};

/// Most bytes of a head, unless configured: HAProxy's `tune.bufsize` less `tune.maxrewrite`.
pub const HEAD_BYTES_MAX: usize = 15_360;
/// Most fields of a head, unless configured: HAProxy's `tune.http.maxhdr`.
pub const HEAD_FIELDS_MAX: usize = 101;

/// What a head may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes, from the first (a blank line's, perhaps) to the last of the empty line. [`Parse::Partial`] is never
    /// said of so many bytes, so a buffer of this size suffices.
    pub bytes_max: usize,
    pub fields_max: usize,
    /// Accepts bare line feeds, folded lines, blanks, non-ASCII bytes and `#` in targets, HTTP/0.9 and control bytes in
    /// values; drops fields with unreadable names.
    pub lenient: bool,
    /// Accepts bodies in requests of HTTP/1.0 whose methods usually have none; older servers might take them for the
    /// next request.
    pub any_method_bodies: bool,
    /// Trusts connections on which a message has both a length and chunks. Whoever asks for that vouches for all peers.
    pub trusts_ambiguous: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: HEAD_BYTES_MAX,
            fields_max: HEAD_FIELDS_MAX,
            lenient: false,
            any_method_bodies: false,
            trusts_ambiguous: false,
        }
    }
}

/// What parsing a head has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parse {
    /// So far nothing is wrong, but the head has not ended.
    Partial,
    /// The head is this many bytes long, the blank lines before it included; what follows is its body.
    Complete(usize),
}

/// Whether it is worth parsing again after a [`Parse::Partial`] over the first `scanned` bytes of `input`.
///
/// Only a line end can turn a partial head into a whole one or reveal most faults. Asking this first bounds the work
/// for a head that trickles in to `fields_max` passes, however few bytes come at a time.
pub fn has_news(input: &[u8], scanned: usize, limits: &Limits) -> bool {
    scanned == 0
        || input.len() >= limits.bytes_max
        || memchr::memchr(b'\n', input.get(scanned..).unwrap_or_default()).is_some()
}
