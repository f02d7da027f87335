//! The meaning of the fields that frame a message and govern its connection (RFC 9112 sections 6, 7 and 9).
//!
//! What a message says twice is reduced to once, and what was meant for this hop alone is removed, so that a head can
//! be forwarded as it lies.

use super::token::{self, members};
use super::{HeadError, Limits};
use crate::decimal;
use crate::head::{Field, FieldKind, Head, Slice, Version};

/// The kinds of fields that occur in a head: most questions need not be asked at all.
#[derive(Clone, Copy)]
pub(super) struct Kinds(u16);

impl Kinds {
    pub(super) fn of(head: &Head) -> Self {
        Self(
            head.fields
                .iter()
                .fold(0, |bits, field| bits | 1 << field.kind as u16),
        )
    }

    pub(super) fn contains(self, kind: FieldKind) -> bool {
        self.0 & 1 << kind as u16 != 0
    }
}

/// What a message says about its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Length(u64),
    Chunked,
}

/// Reads `Content-Length` and `Transfer-Encoding`.
///
/// Where both occur the length is dropped and the connection is not to be used again (RFC 9112 section 6.1), unless it is
/// trusted; the same goes for a transfer coding in HTTP/1.0.
pub(super) fn body(head: &mut Head, kinds: Kinds, limits: &Limits) -> Result<Said, HeadError> {
    let length = match kinds.contains(FieldKind::ContentLength) {
        true => Some(content_length(head)?),
        false => None,
    };
    if !kinds.contains(FieldKind::TransferEncoding) {
        return Ok(length.map_or(Said::Nothing, Said::Length));
    }
    transfer_encoding(head)?;
    if length.is_some() {
        head.remove_kind(FieldKind::ContentLength);
        head.keep_alive &= limits.trusts_ambiguous;
    }
    head.keep_alive &= head.version >= Version::H11;
    Ok(Said::Chunked)
}

/// The one length that all `Content-Length` members agree on; repetitions are removed (RFC 9110 section 8.6).
fn content_length(head: &mut Head) -> Result<u64, HeadError> {
    let mut agreed = None;
    for index in 0..head.fields.len() {
        let field = head.fields[index];
        if field.kind != FieldKind::ContentLength {
            continue;
        }
        let is_repeated = agreed.is_some();
        for member in members(head.bytes(field.value)) {
            let length = decimal::parse(member).ok_or(HeadError::InvalidContentLength)?;
            if agreed.is_some_and(|known| known != length) {
                return Err(HeadError::ConflictingContentLengths);
            }
            agreed = Some(length);
        }
        if is_repeated {
            head.fields[index].kind = FieldKind::Removed;
        } else if let Some(length) = agreed
            && !decimal::is_written(head.bytes(field.value), length)
        {
            let digits = decimal::Digits::of(length);
            head.fields[index].value = head.push(digits.as_bytes());
        }
    }
    agreed.ok_or(HeadError::InvalidContentLength)
}

/// Accepts exactly one transfer coding in the whole head: `chunked`.
fn transfer_encoding(head: &mut Head) -> Result<(), HeadError> {
    let (mut chunked, mut other) = (false, false);
    let mut is_first = true;
    for index in 0..head.fields.len() {
        let field = head.fields[index];
        if field.kind != FieldKind::TransferEncoding {
            continue;
        }
        for member in members(head.bytes(field.value)) {
            match member {
                b"" => return Err(HeadError::InvalidTransferEncoding),
                _ if member.eq_ignore_ascii_case(b"chunked") && chunked => {
                    return Err(HeadError::ChunkedTwice);
                }
                _ if member.eq_ignore_ascii_case(b"chunked") => chunked = true,
                _ if chunked => return Err(HeadError::ChunkedNotLast),
                _ => other = true,
            }
        }
        if is_first {
            head.arena[field.value.range()].make_ascii_lowercase();
        }
        is_first = false;
    }
    match (chunked, other) {
        (true, false) => Ok(()),
        (true, true) => Err(HeadError::UnknownTransferEncoding),
        (false, _) => Err(HeadError::ChunkedMissing),
    }
}

/// Reads `Connection` and `Upgrade`, sets `keep_alive` and `upgrade`, and removes what concerns this hop alone.
///
/// Other options that `Connection` names are forwarded together with the fields they nominate, as HAProxy does: a client
/// could otherwise make us drop a field that an upstream proxy added for the server's protection.
pub(super) fn connection(head: &mut Head, kinds: Kinds) {
    head.keep_alive = head.version >= Version::H11;
    if !kinds.contains(FieldKind::Connection) {
        if kinds.contains(FieldKind::Upgrade) {
            head.remove_kind(FieldKind::Upgrade);
        }
        return;
    }
    if simple_connection(head) {
        if kinds.contains(FieldKind::Upgrade) {
            head.remove_kind(FieldKind::Upgrade);
        }
        return;
    }
    let (mut close, mut keep_alive, mut upgrade) = (false, false, false);
    for field in head
        .fields
        .iter()
        .filter(|field| field.kind == FieldKind::Connection)
    {
        for member in token::list(head.bytes(field.value)) {
            close |= member.eq_ignore_ascii_case(b"close");
            keep_alive |= member.eq_ignore_ascii_case(b"keep-alive");
            upgrade |= member.eq_ignore_ascii_case(b"upgrade");
        }
    }
    head.keep_alive = !close && (keep_alive || head.keep_alive);
    head.upgrade = upgrade
        && head.version >= Version::H11
        && kinds.contains(FieldKind::Upgrade)
        && upgrades(head);
    if !head.upgrade {
        head.remove_kind(FieldKind::Upgrade);
    }
    let upgrade = head.upgrade;
    retain(head, FieldKind::Connection, |member| {
        !(member.eq_ignore_ascii_case(b"close")
            || member.eq_ignore_ascii_case(b"keep-alive")
            || !upgrade && member.eq_ignore_ascii_case(b"upgrade"))
    });
}

/// Reads a `Connection` that says but one word, as nearly all do: `keep-alive` or `close`.
fn simple_connection(head: &mut Head) -> bool {
    let is_connection = |field: &Field| field.kind == FieldKind::Connection;
    let mut indices = (0..head.fields.len()).filter(|&index| is_connection(&head.fields[index]));
    let (Some(index), None) = (indices.next(), indices.next()) else {
        return false;
    };
    let value = head.bytes(head.fields[index].value);
    // Compared as it stands first, which is quicker.
    let is = |word: &[u8]| value == word || value.eq_ignore_ascii_case(word);
    let keep_alive = is(b"keep-alive");
    if !keep_alive && !is(b"close") {
        return false;
    }
    head.keep_alive = keep_alive;
    head.fields[index].kind = FieldKind::Removed;
    true
}

/// Drops offers of HTTP/2 from `Upgrade` (RFC 9113 section 3.1 has withdrawn them); says whether others are left.
fn upgrades(head: &mut Head) -> bool {
    retain(head, FieldKind::Upgrade, |member| {
        !member.eq_ignore_ascii_case(b"h2c") && !member.eq_ignore_ascii_case(b"h2")
    });
    head.fields
        .iter()
        .any(|field| field.kind == FieldKind::Upgrade)
}

/// Removes the remaining fields that concern one hop; of `TE`, `trailers` may go on (RFC 9110 section 7.6.1).
pub(super) fn hop_by_hop(head: &mut Head, kinds: Kinds) {
    if kinds.contains(FieldKind::KeepAlive) {
        head.remove_kind(FieldKind::KeepAlive);
    }
    if kinds.contains(FieldKind::ProxyConnection) {
        head.remove_kind(FieldKind::ProxyConnection);
    }
    if kinds.contains(FieldKind::Te) {
        retain(head, FieldKind::Te, |member| {
            member.eq_ignore_ascii_case(b"trailers")
        });
    }
}

/// Keeps only some members of the lists in all fields of a kind; empty lists are removed with their fields.
fn retain(head: &mut Head, kind: FieldKind, keep: impl Fn(&[u8]) -> bool) {
    for index in 0..head.fields.len() {
        let field = head.fields[index];
        if field.kind != kind {
            continue;
        }
        let (mut kept, mut dropped) = (0, 0);
        for member in token::list(head.bytes(field.value)) {
            if keep(member) {
                kept += 1
            } else {
                dropped += 1
            }
        }
        if kept == 0 {
            head.fields[index].kind = FieldKind::Removed;
        } else if dropped > 0 {
            head.fields[index].value = join(head, field.value, &keep);
        }
    }
}

/// Writes a list anew with only some of its members.
fn join(head: &mut Head, list: Slice, keep: impl Fn(&[u8]) -> bool) -> Slice {
    let begin = head.arena.len();
    let (mut at, end) = (list.range().start, list.range().end);
    while at < end {
        let rest = &head.arena[at..end];
        let length = memchr::memchr(b',', rest).unwrap_or(rest.len());
        let member = token::trim(&rest[..length]);
        let indent = length - token::trim_start(&rest[..length]).len();
        if !member.is_empty() && keep(member) {
            let member = at + indent..at + indent + member.len();
            if head.arena.len() > begin {
                head.arena.push(b',');
            }
            head.arena.extend_from_within(member);
        }
        at += length + 1;
    }
    Slice::new(begin, head.arena.len())
}
