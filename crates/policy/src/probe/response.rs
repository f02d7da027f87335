//! An HTTP response as far as it has come, for checks alone: the head in full, the body decoded.

use plimsoll_wire::h1::body::Decoder;
use plimsoll_wire::h1::response::{self, Asked};
use plimsoll_wire::h1::{Limits, Parse};
use plimsoll_wire::head::Head;

use super::HEARD_BYTES_MAX;

#[derive(Debug, Default)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
    /// Nothing more belongs to it.
    pub(super) complete: bool,
}

/// What has been made of some bytes.
#[derive(Debug)]
pub(super) enum Reading {
    /// The head has not ended.
    Partial,
    /// It is no HTTP response.
    Invalid,
    /// The head is there, and what has come of the body.
    Head(Response),
}

impl Response {
    pub(super) fn read(
        bytes: &[u8],
        closed: bool,
        head_asked: bool,
        upgrade_asked: bool,
    ) -> Reading {
        let limits = Limits {
            bytes_max: HEARD_BYTES_MAX,
            lenient: true,
            ..Limits::default()
        };
        let asked = Asked {
            head: head_asked,
            upgrade: upgrade_asked,
            ..Asked::default()
        };
        let mut head = Head::default();
        let length = match response::parse(bytes, &mut head, &limits, asked) {
            Ok(Parse::Complete(length)) => length,
            Ok(Parse::Partial) => return Reading::Partial,
            Err(_) => return Reading::Invalid,
        };
        let mut decoder = Decoder::new(head.framing);
        let mut read = Self {
            status: head.status,
            head,
            ..Self::default()
        };
        let mut rest = bytes[length..].to_vec();
        let Ok(decoded) = decoder.decode(&mut rest) else {
            return Reading::Invalid;
        };
        read.body = rest[decoded.payload].to_vec();
        read.complete = decoder.is_done() || closed;
        Reading::Head(read)
    }
}
