//! One pattern as written.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::networks::Net;

/// Bytes of the number, of the length of the pattern, and of whether there is a value.
const ID: usize = 8;
const LENGTH: usize = 4;
const HEAD: usize = ID + LENGTH + 1;

/// A pattern, with the value that a map has for it. All of it is one run of memory, so that comparing with it is one look
/// at memory that no cache has; copies share it.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry(Arc<[u8]>);

impl Entry {
    pub(super) fn new(id: u64, pattern: &[u8], value: Option<&[u8]>) -> Self {
        let length = (pattern.len() as u32).to_le_bytes();
        let flag = [u8::from(value.is_some())];
        let value = value.unwrap_or_default();
        Self(
            [&id.to_le_bytes(), &length[..], &flag, pattern, value]
                .concat()
                .into(),
        )
    }

    /// Tells entries of a list apart; later ones have greater numbers. The runtime API shows it as `0x…`.
    pub fn id(&self) -> u64 {
        self.0
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    fn texts(&self) -> (&[u8], &[u8]) {
        let length = self.0[ID..].first_chunk();
        let length = length.map_or(0, |bytes| u32::from_le_bytes(*bytes));
        self.0[HEAD..].split_at(length as usize)
    }

    pub fn pattern(&self) -> &[u8] {
        self.texts().0
    }

    /// What a map has for the pattern.
    pub fn value(&self) -> Option<&[u8]> {
        (self.0[HEAD - 1] != 0).then(|| self.texts().1)
    }

    /// The pattern for people.
    pub fn pattern_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.pattern())
    }

    /// Whether the pattern is a network whose mask has gaps.
    pub(crate) fn has_gaps(&self) -> bool {
        matches!(Net::parse(&self.pattern_text()), Ok(Net::Masked(..)))
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.id(), self.pattern_text())
    }
}
