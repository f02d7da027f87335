//! What peers do wrong, and the codes that tell them so (RFC 9113 section 7).

use std::fmt;

use super::hpack::HpackError;

/// An error code as it stands in `RST_STREAM` and `GOAWAY`. Unknown ones are kept as they came.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub u32);

impl Code {
    pub const NO_ERROR: Self = Self(0x0);
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    pub const INTERNAL_ERROR: Self = Self(0x2);
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    pub const SETTINGS_TIMEOUT: Self = Self(0x4);
    pub const STREAM_CLOSED: Self = Self(0x5);
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    pub const REFUSED_STREAM: Self = Self(0x7);
    pub const CANCEL: Self = Self(0x8);
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    pub const CONNECT_ERROR: Self = Self(0xa);
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);
    pub const INADEQUATE_SECURITY: Self = Self(0xc);
    pub const HTTP_1_1_REQUIRED: Self = Self(0xd);

    /// The RFC's name for it.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        NAMES.get(self.0 as usize).copied().unwrap_or("UNKNOWN")
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:#x})", self.name(), self.0)
    }
}

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident $code:ident $name:literal $text:literal,)*) => {
        /// What exactly was wrong. Whether it ends a stream or the connection depends on where it is found.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            /// A header block cannot be decoded.
            Hpack(HpackError),
            $($(#[$doc])* $fault,)*
        }

        impl Fault {
            /// The code that the peer is told.
            pub fn code(self) -> Code {
                match self {
                    Self::Hpack(_) => Code::COMPRESSION_ERROR,
                    $(Self::$fault => Code::$code,)*
                }
            }

            /// A short stable name, for counters.
            pub fn name(self) -> &'static str {
                match self {
                    Self::Hpack(error) => error.name(),
                    $(Self::$fault => $name,)*
                }
            }

            fn text(self) -> &'static str {
                match self {
                    Self::Hpack(_) => "a header block cannot be decoded",
                    $(Self::$fault => $text,)*
                }
            }
        }
    };
}

faults! {
    // -- connection
    /// The first bytes are not the client's preface, or not followed by `SETTINGS` (section 3.4).
    BadPreface PROTOCOL_ERROR "h2_bad_preface" "the connection does not begin with its preface",
    /// A frame above `SETTINGS_MAX_FRAME_SIZE` (section 4.2).
    FrameTooLarge FRAME_SIZE_ERROR "h2_frame_too_large" "a frame exceeds the size that was agreed on",
    /// A frame whose length its type does not allow (section 6).
    BadFrameLength FRAME_SIZE_ERROR "h2_bad_frame_length" "a frame has a length that its type does not allow",
    /// A frame on a stream, or on none, where its type does not belong (section 6).
    WrongStream PROTOCOL_ERROR "h2_wrong_stream" "a frame names a stream where it belongs to none, or the reverse",
    /// Padding as long as the frame or longer (section 6.1).
    BadPadding PROTOCOL_ERROR "h2_bad_padding" "a frame is padded beyond its end",
    /// A value out of a setting's range (section 6.5.2).
    BadSetting PROTOCOL_ERROR "h2_bad_setting" "a setting's value is out of its range",
    /// An initial window above 2^31 - 1 (section 6.5.2).
    BadWindowSetting FLOW_CONTROL_ERROR "h2_bad_window_setting" "a setting makes windows too large",
    /// `PUSH_PROMISE`, which nobody may send us (section 8.4).
    UnexpectedPush PROTOCOL_ERROR "h2_unexpected_push" "a push was promised that nobody allowed",
    /// `CONTINUATION` without a header block before it, or something else within one (section 6.10).
    BrokenBlock PROTOCOL_ERROR "h2_broken_block" "a header block is interrupted, or continued where there is none",
    /// A frame on a stream that was never opened, or one opened out of order or by the wrong side (section 5.1).
    BadStreamId PROTOCOL_ERROR "h2_bad_stream_id" "a frame is on a stream that it cannot open",
    /// An increment of zero (section 6.9).
    ZeroIncrement PROTOCOL_ERROR "h2_zero_increment" "a window is enlarged by nothing",
    /// A window above 2^31 - 1 (section 6.9.1).
    WindowOverflow FLOW_CONTROL_ERROR "h2_window_overflow" "a window is enlarged beyond its limit",
    /// More data than the window allows (section 6.9).
    WindowExceeded FLOW_CONTROL_ERROR "h2_window_exceeded" "more data was sent than the window allows",
    /// A frame on a stream that is closed (section 5.1).
    StreamClosed STREAM_CLOSED "h2_stream_closed" "a frame is on a stream that is closed",
    /// A stream that depends on itself (section 5.3.1 of RFC 7540).
    SelfDependency PROTOCOL_ERROR "h2_self_dependency" "a stream depends on itself",
    // -- budgets
    /// Too many streams were cancelled, or made us cancel them, for the time that has passed.
    TooManyResets ENHANCE_YOUR_CALM "h2_too_many_resets" "too many streams were cancelled in a short time",
    /// Too many frames that cost work and do nothing: pings, settings, priorities, empty data.
    TooManyIdleFrames ENHANCE_YOUR_CALM "h2_too_many_idle_frames" "too many frames that do nothing came in a short time",
    /// A header block in too many pieces, or with too many bytes of code.
    BlockTooLong ENHANCE_YOUR_CALM "h2_block_too_long" "a header block is too long or in too many pieces",
    /// More interim responses than anyone sends.
    TooManyInterim ENHANCE_YOUR_CALM "h2_too_many_interim" "a response is preceded by too many interim ones",
    // -- messages (section 8)
    /// Too many streams at once (section 5.1.2).
    TooManyStreams REFUSED_STREAM "h2_too_many_streams" "more streams are open than were allowed",
    /// Pseudo-header fields that are unknown, doubled, missing, misplaced or empty (section 8.3).
    BadPseudoHeader PROTOCOL_ERROR "h2_bad_pseudo_header" "pseudo-header fields are missing, doubled or misplaced",
    /// A field name with a byte that is no lower-case token byte (section 8.2.1).
    BadFieldName PROTOCOL_ERROR "h2_bad_field_name" "a field name is not in lower case, or no name",
    /// A field value with a byte that cannot be there (section 8.2.1).
    BadFieldValue PROTOCOL_ERROR "h2_bad_field_value" "a field value has a byte or a blank that cannot be there",
    /// A field that governs HTTP/1 connections (section 8.2.2).
    ConnectionField PROTOCOL_ERROR "h2_connection_field" "a field belongs to HTTP/1 connections",
    /// A method that is no token.
    BadMethod PROTOCOL_ERROR "h2_bad_method" "the method is no token",
    /// A method that means something else: `PRI` begins a connection.
    ReservedMethod PROTOCOL_ERROR "h2_reserved_method" "the method is reserved for the preface",
    /// A scheme that is none (section 8.3.1).
    BadScheme PROTOCOL_ERROR "h2_bad_scheme" "the scheme is malformed",
    /// A path that does not begin with a slash, or contains what no target does (section 8.3.1).
    BadPath PROTOCOL_ERROR "h2_bad_path" "the path is empty or malformed",
    /// An authority that two readers could understand differently, or that is not the host's (section 8.3.1).
    BadAuthority PROTOCOL_ERROR "h2_bad_authority" "the authority is malformed, or not the host",
    /// A status that is no number of three digits, or 101 (section 8.6).
    BadStatus PROTOCOL_ERROR "h2_bad_status" "the status is not a number of three digits, or one that HTTP/2 lacks",
    /// A length that is no number, or differs from the data's (section 8.1.1).
    BadContentLength PROTOCOL_ERROR "h2_bad_content_length" "the content length is no number, or not the data's",
    /// Header fields above the limits.
    HeadTooLarge ENHANCE_YOUR_CALM "h2_head_too_large" "the head is larger than this side accepts",
    /// Trailers that do not end their stream (section 8.1).
    TrailersWithoutEnd PROTOCOL_ERROR "h2_trailers_without_end" "trailers do not end their stream",
}

impl From<HpackError> for Fault {
    fn from(error: HpackError) -> Self {
        Self::Hpack(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Fault {}
