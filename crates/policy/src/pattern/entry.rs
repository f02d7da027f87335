//! One pattern as written.

use std::borrow::Cow;

use super::networks::Net;

/// A pattern, with the value that a map has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Tells entries of a list apart; later ones have greater numbers. The runtime API shows it as `0x…`.
    pub id: u64,
    /// The pattern, and behind it the value.
    text: Box<[u8]>,
    pattern_bytes: usize,
    has_value: bool,
}

impl Entry {
    pub(super) fn new(id: u64, pattern: &[u8], value: Option<&[u8]>) -> Self {
        let text = [pattern, value.unwrap_or_default()].concat();
        Self {
            id,
            text: text.into(),
            pattern_bytes: pattern.len(),
            has_value: value.is_some(),
        }
    }

    pub fn pattern(&self) -> &[u8] {
        &self.text[..self.pattern_bytes]
    }

    /// What a map has for the pattern.
    pub fn value(&self) -> Option<&[u8]> {
        self.has_value.then(|| &self.text[self.pattern_bytes..])
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
