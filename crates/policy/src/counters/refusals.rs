//! Messages that were refused because of their form: one row for each way to be wrong.

use plimsoll_wire::h1::HeadError;
use plimsoll_wire::h1::body::BodyError;
use plimsoll_wire::h1::request::RequestError;
use plimsoll_wire::h1::response::ResponseError;
use plimsoll_wire::proxy_protocol::ProxyError;

use super::rows::counters;
use super::{Counter, Kind, Row};

counters! {
    /// Why a message was refused. A worker has one block for clients and one for servers.
    RefusalCounter {
        BareLineFeed: Count "h1_bare_line_feed" "Lines without a carriage return.",
        BareCarriageReturn: Count "h1_bare_carriage_return" "Carriage returns without a line feed.",
        FoldedLine: Count "h1_folded_line" "Field values that went on in a second line.",
        NulByte: Count "h1_nul_byte" "NUL bytes in heads.",
        ControlByte: Count "h1_control_byte" "Other control bytes in heads.",
        EmptyName: Count "h1_empty_name" "Fields without a name.",
        InvalidName: Count "h1_invalid_name" "Field names with bytes that are not allowed there.",
        SpaceBeforeColon: Count "h1_space_before_colon" "White space between a field's name and its colon.",
        MissingColon: Count "h1_missing_colon" "Field lines without a colon.",
        TooManyBlankLines: Count "h1_too_many_blank_lines" "Heads that never began.",
        TooManyFields: Count "h1_too_many_fields" "Heads with more fields than `tune.http.maxhdr`.",
        StartLineTooLong: Count "h1_start_line_too_long" "Start lines that did not fit.",
        HeadTooLong: Count "h1_head_too_long" "Heads that did not fit into a buffer.",
        InvalidContentLength: Count "h1_invalid_content_length" "Content-Length values that were no numbers.",
        ConflictingContentLengths: Count "h1_conflicting_content_lengths" "Several Content-Length values that differed.",
        InvalidTransferEncoding: Count "h1_invalid_transfer_encoding" "Transfer-Encoding values with empty members.",
        ChunkedTwice: Count "h1_chunked_twice" "Transfer-Encoding with chunked more than once.",
        ChunkedNotLast: Count "h1_chunked_not_last" "Transfer-Encoding with something behind chunked.",
        ChunkedMissing: Count "h1_chunked_missing" "Transfer-Encoding without chunked.",
        UnknownTransferEncoding: Count "h1_unknown_transfer_encoding" "Transfer codings other than chunked.",
        InvalidMethod: Count "h1_invalid_method" "Methods that were no tokens.",
        InvalidTarget: Count "h1_invalid_target" "Request targets with bytes that are not allowed there.",
        FragmentInTarget: Count "h1_fragment_in_target" "Request targets with a fragment.",
        WrongTargetForm: Count "h1_wrong_target_form" "Request targets whose form did not suit the method.",
        InvalidRequestLine: Count "h1_invalid_request_line" "Request lines that were not three words.",
        InvalidVersion: Count "h1_invalid_version" "Protocol versions that could not be read.",
        UnsupportedVersion: Count "h1_unsupported_version" "Protocol versions other than HTTP/1.",
        MissingVersion: Count "h1_missing_version" "Request lines without a version.",
        InvalidHost: Count "h1_invalid_host" "Host fields with bytes that are not allowed there.",
        ConflictingHosts: Count "h1_conflicting_hosts" "Several Host fields that differed.",
        InvalidAuthority: Count "h1_invalid_authority" "Request targets with a malformed authority.",
        HostMismatch: Count "h1_host_mismatch" "Host fields that differed from the target's authority.",
        UnexpectedBody: Count "h1_unexpected_body" "Bodies in HTTP/1.0 requests whose method has none.",
        InvalidWebSocketKey: Count "h1_invalid_websocket_key" "WebSocket handshakes without a well-formed key.",
        InvalidStatus: Count "h1_invalid_status" "Statuses that were not three digits.",
        InvalidReason: Count "h1_invalid_reason" "Reason phrases with control bytes.",
        UnexpectedSwitch: Count "h1_unexpected_switch" "Responses with status 101 that nobody had asked for.",
        InvalidChunkSize: Count "h1_invalid_chunk_size" "Chunk sizes that were no hexadecimal numbers.",
        ChunkTooLarge: Count "h1_chunk_too_large" "Chunk sizes beyond all reason.",
        InvalidChunkExtension: Count "h1_invalid_chunk_extension" "Malformed chunk extensions.",
        ChunkExtensionTooLong: Count "h1_chunk_extension_too_long" "Chunk extensions that did not end.",
        MissingLineEnd: Count "h1_missing_line_end" "Chunks without a line end behind them.",
        ProxyNotAHeader: Count "proxy_not_a_header" "Connections that did not begin with a PROXY protocol header.",
        ProxyTooLong: Count "proxy_too_long" "PROXY protocol headers that were too long.",
        ProxyUnknownFamily: Count "proxy_unknown_family" "PROXY protocol headers with an unknown address family.",
        ProxyUnknownCommand: Count "proxy_unknown_command" "PROXY protocol headers with an unknown command.",
        ProxyInvalidAddress: Count "proxy_invalid_address" "PROXY protocol headers with a malformed address.",
        ProxyInvalidPort: Count "proxy_invalid_port" "PROXY protocol headers with a malformed port.",
        ProxyInvalidLine: Count "proxy_invalid_line" "Malformed PROXY protocol lines.",
        ProxyTooShort: Count "proxy_too_short" "PROXY protocol headers without room for their addresses.",
        ProxyInvalidTlv: Count "proxy_invalid_tlv" "PROXY protocol headers with a malformed field.",
        ProxyWrongChecksum: Count "proxy_wrong_checksum" "PROXY protocol headers with a wrong checksum.",
    }
}

impl From<HeadError> for RefusalCounter {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::BareLineFeed => Self::BareLineFeed,
            HeadError::BareCarriageReturn => Self::BareCarriageReturn,
            HeadError::FoldedLine => Self::FoldedLine,
            HeadError::NulByte => Self::NulByte,
            HeadError::ControlByte => Self::ControlByte,
            HeadError::EmptyName => Self::EmptyName,
            HeadError::InvalidName => Self::InvalidName,
            HeadError::SpaceBeforeColon => Self::SpaceBeforeColon,
            HeadError::MissingColon => Self::MissingColon,
            HeadError::TooManyBlankLines => Self::TooManyBlankLines,
            HeadError::TooManyFields => Self::TooManyFields,
            HeadError::StartLineTooLong => Self::StartLineTooLong,
            HeadError::TooLong => Self::HeadTooLong,
            HeadError::InvalidContentLength => Self::InvalidContentLength,
            HeadError::ConflictingContentLengths => Self::ConflictingContentLengths,
            HeadError::InvalidTransferEncoding => Self::InvalidTransferEncoding,
            HeadError::ChunkedTwice => Self::ChunkedTwice,
            HeadError::ChunkedNotLast => Self::ChunkedNotLast,
            HeadError::ChunkedMissing => Self::ChunkedMissing,
            HeadError::UnknownTransferEncoding => Self::UnknownTransferEncoding,
        }
    }
}

impl From<BodyError> for RefusalCounter {
    /// A fault in a trailer counts as the same fault in a head.
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::InvalidChunkSize => Self::InvalidChunkSize,
            BodyError::ChunkTooLarge => Self::ChunkTooLarge,
            BodyError::InvalidChunkExtension => Self::InvalidChunkExtension,
            BodyError::ChunkExtensionTooLong => Self::ChunkExtensionTooLong,
            BodyError::MissingLineEnd => Self::MissingLineEnd,
            BodyError::Trailer(error) => error.into(),
        }
    }
}

impl From<RequestError> for RefusalCounter {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Head(error) => error.into(),
            RequestError::Body(error) => error.into(),
            RequestError::InvalidMethod => Self::InvalidMethod,
            RequestError::InvalidTarget => Self::InvalidTarget,
            RequestError::FragmentInTarget => Self::FragmentInTarget,
            RequestError::WrongTargetForm => Self::WrongTargetForm,
            RequestError::InvalidRequestLine => Self::InvalidRequestLine,
            RequestError::InvalidVersion => Self::InvalidVersion,
            RequestError::UnsupportedVersion => Self::UnsupportedVersion,
            RequestError::MissingVersion => Self::MissingVersion,
            RequestError::InvalidHost => Self::InvalidHost,
            RequestError::ConflictingHosts => Self::ConflictingHosts,
            RequestError::InvalidAuthority => Self::InvalidAuthority,
            RequestError::HostMismatch => Self::HostMismatch,
            RequestError::UnexpectedBody => Self::UnexpectedBody,
            RequestError::InvalidWebSocketKey => Self::InvalidWebSocketKey,
        }
    }
}

impl From<ResponseError> for RefusalCounter {
    fn from(error: ResponseError) -> Self {
        match error {
            ResponseError::Head(error) => error.into(),
            ResponseError::InvalidVersion => Self::InvalidVersion,
            ResponseError::InvalidStatus => Self::InvalidStatus,
            ResponseError::InvalidReason => Self::InvalidReason,
            ResponseError::UnexpectedSwitch => Self::UnexpectedSwitch,
        }
    }
}

impl From<ProxyError> for RefusalCounter {
    fn from(error: ProxyError) -> Self {
        match error {
            ProxyError::NotAHeader => Self::ProxyNotAHeader,
            ProxyError::TooLong => Self::ProxyTooLong,
            ProxyError::UnknownFamily => Self::ProxyUnknownFamily,
            ProxyError::UnknownCommand => Self::ProxyUnknownCommand,
            ProxyError::InvalidAddress => Self::ProxyInvalidAddress,
            ProxyError::InvalidPort => Self::ProxyInvalidPort,
            ProxyError::InvalidLine => Self::ProxyInvalidLine,
            ProxyError::TooShort => Self::ProxyTooShort,
            ProxyError::InvalidTlv => Self::ProxyInvalidTlv,
            ProxyError::WrongChecksum => Self::ProxyWrongChecksum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Diagnostics and counters call a fault by one name.
    fn check<E: Copy + Into<RefusalCounter>>(
        prefix: &str,
        errors: &[E],
        name: fn(E) -> &'static str,
    ) {
        for &error in errors {
            let counter: RefusalCounter = error.into();
            assert_eq!(counter.row().name, format!("{prefix}{}", name(error)));
        }
    }

    #[test]
    fn names_of_heads_are_those_of_wire() {
        use HeadError::*;
        check(
            "h1_",
            &[
                BareLineFeed,
                BareCarriageReturn,
                FoldedLine,
                NulByte,
                ControlByte,
                EmptyName,
                InvalidName,
                SpaceBeforeColon,
                MissingColon,
                TooManyBlankLines,
                TooManyFields,
                StartLineTooLong,
                TooLong,
                InvalidContentLength,
                ConflictingContentLengths,
                InvalidTransferEncoding,
                ChunkedTwice,
                ChunkedNotLast,
                ChunkedMissing,
                UnknownTransferEncoding,
            ],
            HeadError::name,
        );
    }

    #[test]
    fn names_of_bodies_are_those_of_wire() {
        use BodyError::*;
        check(
            "h1_",
            &[
                InvalidChunkSize,
                ChunkTooLarge,
                InvalidChunkExtension,
                ChunkExtensionTooLong,
                MissingLineEnd,
            ],
            BodyError::name,
        );
    }

    #[test]
    fn names_of_requests_are_those_of_wire() {
        use RequestError::*;
        check(
            "h1_",
            &[
                InvalidMethod,
                InvalidTarget,
                FragmentInTarget,
                WrongTargetForm,
                InvalidRequestLine,
                InvalidVersion,
                UnsupportedVersion,
                MissingVersion,
                InvalidHost,
                ConflictingHosts,
                InvalidAuthority,
                HostMismatch,
                UnexpectedBody,
                InvalidWebSocketKey,
            ],
            RequestError::name,
        );
    }

    #[test]
    fn names_of_responses_are_those_of_wire() {
        use ResponseError::*;
        check(
            "h1_",
            &[
                InvalidVersion,
                InvalidStatus,
                InvalidReason,
                UnexpectedSwitch,
            ],
            ResponseError::name,
        );
    }

    #[test]
    fn names_of_proxy_headers_are_those_of_wire() {
        use ProxyError::*;
        check(
            "proxy_",
            &[
                NotAHeader,
                TooLong,
                UnknownFamily,
                UnknownCommand,
                InvalidAddress,
                InvalidPort,
                InvalidLine,
                TooShort,
                InvalidTlv,
                WrongChecksum,
            ],
            ProxyError::name,
        );
    }

    #[test]
    fn a_fault_in_a_trailer_is_the_fault_itself() {
        let error = RequestError::Body(BodyError::Trailer(HeadError::NulByte));
        assert_eq!(RefusalCounter::from(error), RefusalCounter::NulByte);
    }
}
