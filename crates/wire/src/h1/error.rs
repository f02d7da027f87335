//! What requests and responses can get wrong alike.

use std::fmt;

/// A fault in a head that requests and responses have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadError {
    /// A line feed without its carriage return (RFC 9112 section 2.2).
    BareLineFeed,
    /// A carriage return without its line feed (RFC 9112 section 2.2).
    BareCarriageReturn,
    /// A continuation line (RFC 9112 section 5.2).
    FoldedLine,
    NulByte,
    /// A control byte other than tab.
    ControlByte,
    /// A line that starts with a colon.
    EmptyName,
    /// A byte in a name that is no token byte.
    InvalidName,
    /// White space between name and colon (RFC 9112 section 5.1).
    SpaceBeforeColon,
    /// A field line without a colon.
    MissingColon,
    /// More blank lines before the start line than anyone sends in good faith.
    TooManyBlankLines,
    TooManyFields,
    /// The start line exceeds the limit.
    StartLineTooLong,
    /// Start line and fields exceed the limit.
    TooLong,
    /// Not a number, empty, or above 2^64 - 1 (RFC 9110 section 8.6).
    InvalidContentLength,
    /// Several lengths that differ.
    ConflictingContentLengths,
    /// Empty, or with empty members.
    InvalidTransferEncoding,
    /// `chunked` more than once (RFC 9112 section 7).
    ChunkedTwice,
    /// `chunked` followed by something else (RFC 9112 section 6.3).
    ChunkedNotLast,
    /// Codings without `chunked` at their end, so that nobody knows where the body ends.
    ChunkedMissing,
    /// A coding other than `chunked` before it, which a proxy cannot vouch for.
    UnknownTransferEncoding,
}

impl HeadError {
    /// A short stable name, for counters.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::BareLineFeed => ("bare_line_feed", "a line ends without a carriage return"),
            Self::BareCarriageReturn => (
                "bare_carriage_return",
                "a carriage return is not followed by a line feed",
            ),
            Self::FoldedLine => ("folded_line", "a field value continues on a second line"),
            Self::NulByte => ("nul_byte", "a NUL byte stands in the head"),
            Self::ControlByte => ("control_byte", "a control byte stands in the head"),
            Self::EmptyName => ("empty_name", "a field has no name"),
            Self::InvalidName => (
                "invalid_name",
                "a field name contains a byte that is not allowed there",
            ),
            Self::SpaceBeforeColon => (
                "space_before_colon",
                "white space stands before a field's colon",
            ),
            Self::MissingColon => ("missing_colon", "a field line has no colon"),
            Self::TooManyBlankLines => (
                "too_many_blank_lines",
                "too many blank lines precede the head",
            ),
            Self::TooManyFields => ("too_many_fields", "the head has too many fields"),
            Self::StartLineTooLong => ("start_line_too_long", "the start line is too long"),
            Self::TooLong => ("head_too_long", "the head is too long"),
            Self::InvalidContentLength => (
                "invalid_content_length",
                "Content-Length is not a number of bytes",
            ),
            Self::ConflictingContentLengths => (
                "conflicting_content_lengths",
                "several Content-Length values differ",
            ),
            Self::InvalidTransferEncoding => (
                "invalid_transfer_encoding",
                "Transfer-Encoding has an empty member",
            ),
            Self::ChunkedTwice => (
                "chunked_twice",
                "Transfer-Encoding names chunked more than once",
            ),
            Self::ChunkedNotLast => (
                "chunked_not_last",
                "chunked is not the last transfer coding",
            ),
            Self::ChunkedMissing => (
                "chunked_missing",
                "Transfer-Encoding does not end in chunked",
            ),
            Self::UnknownTransferEncoding => (
                "unknown_transfer_encoding",
                "Transfer-Encoding names a coding other than chunked",
            ),
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().1)
    }
}

impl std::error::Error for HeadError {}
