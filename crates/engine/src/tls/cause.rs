//! Why a handshake failed, in OpenSSL's numbers and words where it has some of the same meaning: those are what people
//! search their logs for.

use std::borrow::Cow;

use plimsoll_policy::tls::HandshakeError;
use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible};

const HTTP_REQUEST: HandshakeError = known(0x9c, "http request");
const PROXY_REQUEST: HandshakeError = known(0x9b, "https proxy request");
const WRONG_VERSION: HandshakeError = known(0x10b, "wrong version number");
const UNEXPECTED_MESSAGE: HandshakeError = known(0xf4, "unexpected message");
const TOO_LONG: HandshakeError = known(0xc6, "packet length too long");

const NO_SHARED_CIPHER: HandshakeError = known(0xc1, "no shared cipher");
const UNSUPPORTED_PROTOCOL: HandshakeError = known(0x102, "unsupported protocol");

/// No certificate is for the name that was asked for.
pub(super) const NO_CERTIFICATE: HandshakeError = known(0xea, "callback failed");

/// The peer closed in the middle.
pub(super) const EARLY_END: HandshakeError = known(0x126, "unexpected eof while reading");

/// Bytes of a hello up to the version that it says: the head of a record (type, version and length), that of a message
/// (type and length), and the version.
pub(super) const BEGINNING_BYTES: usize = 11;

/// Bytes of content that a record may have before its keys are there (RFC 8446 section 5.1), and what OpenSSL lets pass
/// beyond them.
const CONTENT_BYTES_MAX: u16 = 16_384 + 256;

/// One of OpenSSL's reasons.
const fn known(reason: u32, text: &'static str) -> HandshakeError {
    HandshakeError {
        number: HandshakeError::LIBRARY | reason,
        text: Cow::Borrowed(text),
    }
}

/// What is wrong with the very first bytes, if they are not the beginning of TLS at all, or of one that nobody should speak.
pub(super) fn of_beginning(head: &[u8]) -> Option<HandshakeError> {
    const HANDSHAKE: u8 = 22;
    const HELLO: u8 = 1;
    const PLAIN: [&[u8]; 4] = [b"GET ", b"POST ", b"HEAD ", b"PUT "];
    match *head {
        _ if PLAIN.iter().any(|method| head.starts_with(method)) => Some(HTTP_REQUEST),
        _ if head.starts_with(b"CONNE") => Some(PROXY_REQUEST),
        // (20 to 24 are the types of records.)
        [kind, major, ..] if major != 3 || !(20..=24).contains(&kind) => Some(WRONG_VERSION),
        [kind, _, _, _, _, ..] if kind != HANDSHAKE => Some(UNEXPECTED_MESSAGE),
        [_, _, _, high, low, ..] if u16::from_be_bytes([high, low]) > CONTENT_BYTES_MAX => {
            Some(TOO_LONG)
        }
        [_, _, _, _, _, kind, ..] if kind != HELLO => Some(UNEXPECTED_MESSAGE),
        // TLS 1.2 is 3.3, and TLS 1.3 says the same here.
        [_, _, _, _, _, _, _, _, _, 3, 0..=2, ..] => Some(UNSUPPORTED_PROTOCOL),
        _ => None,
    }
}

/// What the library says of a hello; `is_tls13`: both sides speak TLS 1.3. OpenSSL finds no suite for a client of TLS 1.2 with
/// which it shares no group or signature.
pub(super) fn of_hello(error: &Error, is_tls13: bool) -> HandshakeError {
    use PeerIncompatible as P;
    match error {
        Error::PeerIncompatible(P::NoKxGroupsInCommon | P::NoSignatureSchemesInCommon)
            if !is_tls13 =>
        {
            NO_SHARED_CIPHER
        }
        _ => of(error),
    }
}

/// What the library says of a peer.
pub(super) fn of(error: &Error) -> HandshakeError {
    use PeerIncompatible as P;
    match error {
        Error::InvalidCertificate(_) => known(0x86, "certificate verify failed"),
        Error::NoCertificatesPresented => known(0xc7, "peer did not return a certificate"),
        Error::NoApplicationProtocol => known(0xeb, "no application protocol"),
        Error::DecryptError => known(0x119, "decryption failed or bad record mac"),
        Error::PeerSentOversizedRecord => TOO_LONG,
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            UNEXPECTED_MESSAGE
        }
        Error::PeerIncompatible(what) => match what {
            P::NoCipherSuitesInCommon => NO_SHARED_CIPHER,
            P::NoKxGroupsInCommon => known(0x65, "no suitable key share"),
            P::NoSignatureSchemesInCommon => known(0x76, "no suitable signature algorithm"),
            P::Tls12NotOffered
            | P::Tls12NotOfferedOrEnabled
            | P::ServerDoesNotSupportTls12Or13
            | P::ServerTlsVersionIsDisabledByOurConfig
            | P::SupportedVersionsExtensionRequired => UNSUPPORTED_PROTOCOL,
            other => own(format!("{other:?}")),
        },
        Error::InvalidMessage(what) => match what {
            InvalidMessage::MessageTooLarge => TOO_LONG,
            InvalidMessage::InvalidContentType | InvalidMessage::UnexpectedMessage(_) => {
                UNEXPECTED_MESSAGE
            }
            InvalidMessage::UnknownProtocolVersion => WRONG_VERSION,
            InvalidMessage::MessageTooShort
            | InvalidMessage::MissingData(_)
            | InvalidMessage::TrailingData(_) => known(0x9f, "length mismatch"),
            other => own(format!("{other:?}")),
        },
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::PeerMisbehaved(what) => own(format!("{what:?}")),
        other => own(other.to_string()),
    }
}

/// What the peer has given as its reason.
fn of_alert(alert: AlertDescription) -> HandshakeError {
    use AlertDescription as A;
    let text = match alert {
        A::UnexpectedMessage => "sslv3 alert unexpected message",
        A::BadRecordMac => "sslv3 alert bad record mac",
        A::RecordOverflow => "tlsv1 alert record overflow",
        A::HandshakeFailure => "sslv3 alert handshake failure",
        A::NoCertificate => "sslv3 alert no certificate",
        A::BadCertificate => "sslv3 alert bad certificate",
        A::UnsupportedCertificate => "sslv3 alert unsupported certificate",
        A::CertificateRevoked => "sslv3 alert certificate revoked",
        A::CertificateExpired => "sslv3 alert certificate expired",
        A::CertificateUnknown => "sslv3 alert certificate unknown",
        A::IllegalParameter => "sslv3 alert illegal parameter",
        A::UnknownCA => "tlsv1 alert unknown ca",
        A::AccessDenied => "tlsv1 alert access denied",
        A::DecodeError => "tlsv1 alert decode error",
        A::DecryptError => "tlsv1 alert decrypt error",
        A::ProtocolVersion => "tlsv1 alert protocol version",
        A::InsufficientSecurity => "tlsv1 alert insufficient security",
        A::InternalError => "tlsv1 alert internal error",
        A::InappropriateFallback => "tlsv1 alert inappropriate fallback",
        A::UserCanceled => "tlsv1 alert user cancelled",
        A::NoRenegotiation => "tlsv1 alert no renegotiation",
        A::MissingExtension => "tlsv13 alert missing extension",
        A::UnsupportedExtension => "tlsv1 unsupported extension",
        A::UnrecognisedName => "tlsv1 unrecognized name",
        A::UnknownPSKIdentity => "tlsv1 alert unknown psk identity",
        A::CertificateRequired => "tlsv13 alert certificate required",
        A::NoApplicationProtocol => "tlsv1 alert no application protocol",
        other => return own(format!("alert {}", u8::from(other))),
    };
    // OpenSSL's numbers of alerts.
    known(1000 + u32::from(u8::from(alert)), text)
}

/// One that OpenSSL has no words for.
fn own(text: String) -> HandshakeError {
    HandshakeError {
        number: 0,
        text: Cow::Owned(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_that_are_none_of_tls() {
        let cases: [(&[u8], _); 15] = [
            (b"G", None),
            (b"GET /", Some("http request")),
            (b"HEAD ", Some("http request")),
            (b"CONNE", Some("https proxy request")),
            (b"PRI *", Some("wrong version number")),
            (b"\x00\x01\x02ga", Some("wrong version number")),
            (b"\x16\x09\x01\x00\x08", Some("wrong version number")),
            (b"\x47\x03\x01\x00\x08", Some("wrong version number")),
            (b"\x17\x03\x03\x00\x04", Some("unexpected message")),
            (b"\x16\x03\x01\xff\xff", Some("packet length too long")),
            (b"\x16\x03\x01\x41\x00", None),
            (b"\x16\x03\x01\x02\x00", None),
            (b"\x16\x03\x01\x00\x08\x02", Some("unexpected message")),
            (
                b"\x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x02",
                Some("unsupported protocol"),
            ),
            (b"\x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x03", None),
        ];
        for (head, expected) in cases {
            let error = of_beginning(head);
            let text = error.as_ref().map(|error| error.text.as_ref());
            assert_eq!(text, expected, "{head:?}");
        }
    }

    #[test]
    fn what_openssl_has_no_words_for_has_no_number() {
        let alert = of(&Error::AlertReceived(AlertDescription::UnknownCA));
        let said = alert.to_string();
        assert_eq!(said, "error:0A000418:SSL routines::tlsv1 alert unknown ca");
        let odd = of(&Error::AlertReceived(AlertDescription::Unknown(77)));
        assert_eq!((odd.number, odd.to_string()), (0, "alert 77".to_owned()));
        let fault = rustls::PeerMisbehaved::TooManyEmptyFragments;
        let said = of(&Error::PeerMisbehaved(fault)).to_string();
        assert_eq!(said, "TooManyEmptyFragments");
    }
}
