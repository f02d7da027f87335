//! Whom the other side is willing to believe, and what it asks for: its hello, as far as choosing needs it.

use plimsoll_policy::tls::names::Verifies;
use rustls::server::ClientHello;
use rustls::{CipherSuite, SignatureScheme};

/// Longest name of a server (RFC 1035 section 2.3.4).
pub(super) const NAME_BYTES_MAX: usize = 255;

/// Signatures that a client can check; `tls13`: whether that version may be agreed upon.
pub(super) fn verifies(hello: &ClientHello<'_>, tls13: bool) -> Verifies {
    let schemes = hello.signature_schemes();
    let ecdsa_scheme = |scheme: &SignatureScheme| {
        matches!(
            scheme,
            SignatureScheme::ECDSA_NISTP256_SHA256
                | SignatureScheme::ECDSA_NISTP384_SHA384
                | SignatureScheme::ECDSA_NISTP521_SHA512
                | SignatureScheme::ECDSA_SHA1_Legacy
        )
    };
    let rsa_scheme = |scheme: &SignatureScheme| {
        matches!(
            scheme,
            SignatureScheme::RSA_PSS_SHA256
                | SignatureScheme::RSA_PSS_SHA384
                | SignatureScheme::RSA_PSS_SHA512
                | SignatureScheme::RSA_PKCS1_SHA256
                | SignatureScheme::RSA_PKCS1_SHA384
                | SignatureScheme::RSA_PKCS1_SHA512
                | SignatureScheme::RSA_PKCS1_SHA1
        )
    };
    // The suites of TLS 1.3 go with every kind of key, those of TLS 1.2 with one.
    let (mut ecdsa_suite, mut rsa_suite) = (false, false);
    for suite in hello.cipher_suites() {
        match suite {
            CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS13_AES_256_GCM_SHA384
            | CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
                if tls13 =>
            {
                (ecdsa_suite, rsa_suite) = (true, true);
            }
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => ecdsa_suite = true,
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => rsa_suite = true,
            _ => {}
        }
    }
    Verifies {
        ecdsa: ecdsa_suite && schemes.iter().any(ecdsa_scheme),
        rsa: rsa_suite && schemes.iter().any(rsa_scheme),
    }
}

/// Whether the client offers a protocol that is among `ours`, or offers none at all.
pub(super) fn agrees(hello: &ClientHello<'_>, ours: &[Vec<u8>]) -> bool {
    match hello.alpn() {
        Some(mut theirs) => theirs.any(|theirs| ours.iter().any(|own| own == theirs)),
        None => true,
    }
}
