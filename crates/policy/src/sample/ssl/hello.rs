//! Samples of the client's hello, as far as it is kept (`tune.ssl.capture-buffer-size`): what fingerprints are made of.

use std::fmt::Write as _;

use super::{facts, row};
use crate::context::Context;
use crate::sample::{Needs, Row, fetch};
use crate::tls::CipherSuite;
use crate::tls::facts::Hello;
use crate::value::{Type, Value};

fn hello<'a>(context: &'a Context<'_>) -> Option<&'a Hello> {
    facts(context)?.hello.as_deref()
}

/// Pairs of bytes without the meaningless ones that keep servers tolerant (RFC 8701).
fn without_grease(list: &[u8]) -> Vec<u8> {
    let meant = |pair: &&[u8]| pair.len() < 2 || pair[0] != pair[1] || pair[0] & 0x0f != 0x0a;
    list.chunks(2).filter(meant).flatten().copied().collect()
}

/// A row about a list, which can be had without its meaningless parts.
macro_rules! list_row {
    ($name:literal, $doc:literal, $field:ident) => {
        Row {
            name: $name,
            usage: "[FILTER]",
            doc: $doc,
            needs: Needs::Handshake,
            read: |arguments, _| {
                let filtered = arguments.optional_integer("0 or 1")?.unwrap_or(0) != 0;
                fetch(Type::Binary, move |context| {
                    let list = &*hello(context)?.$field;
                    Some(match filtered {
                        false => Value::Binary(list.into()),
                        true => Value::Binary(without_grease(list).into()),
                    })
                })
            },
        }
    };
}

/// A row about the list of suites as text.
macro_rules! suites_row {
    ($name:literal, $doc:literal, $write:expr) => {
        Row {
            name: $name,
            usage: "[FILTER]",
            doc: $doc,
            needs: Needs::Handshake,
            read: |arguments, _| {
                let filtered = arguments.optional_integer("0 or 1")?.unwrap_or(0) != 0;
                fetch(Type::Text, move |context| {
                    let list = &*hello(context)?.suites;
                    let text: String = match filtered {
                        false => $write(list),
                        true => $write(&without_grease(list)),
                    };
                    Some(Value::owned(text))
                })
            },
        }
    };
}

pub(crate) const HELLO: &[Row] = &[
    list_row!(
        "ssl_fc_cipherlist_bin",
        "The suites that the client offers, two bytes each.",
        suites
    ),
    suites_row!(
        "ssl_fc_cipherlist_hex",
        "The suites that the client offers, four hexadecimal digits each.",
        |list: &[u8]| data_encoding::HEXUPPER.encode(list)
    ),
    suites_row!(
        "ssl_fc_cipherlist_str",
        "The suites that the client offers, by OpenSSL's names where we offer them too.",
        suite_names
    ),
    row!(
        "ssl_fc_cipherlist_xxh",
        "The xxh64 of the suites that the client offers.",
        Handshake,
        Integer,
        |context| Some(Value::Integer(hello(context)?.suites_hash.cast_signed()))
    ),
    row!(
        "ssl_fc_ecformats_bin",
        "The formats of points that the client knows, a byte each.",
        Handshake,
        Binary,
        |context| Some(Value::Binary((&*hello(context)?.point_formats).into()))
    ),
    list_row!(
        "ssl_fc_eclist_bin",
        "The groups that the client offers, two bytes each.",
        groups
    ),
    list_row!(
        "ssl_fc_extlist_bin",
        "The extensions of the client's hello, two bytes each.",
        extensions
    ),
    row!(
        "ssl_fc_protocol_hello_id",
        "The version in the client's hello, as a number.",
        Handshake,
        Integer,
        |context| Some(Value::Integer(hello(context)?.version.into()))
    ),
    list_row!(
        "ssl_fc_sigalgs_bin",
        "The signatures that the client can check, two bytes each.",
        signatures
    ),
    list_row!(
        "ssl_fc_supported_versions_bin",
        "The versions that the client offers, two bytes each.",
        versions
    ),
];

fn suite_names(list: &[u8]) -> String {
    let mut text = String::new();
    for pair in list.chunks_exact(2) {
        if !text.is_empty() {
            text.push(',');
        }
        let number = u16::from_be_bytes([pair[0], pair[1]]);
        match CipherSuite::numbered(number) {
            Some(suite) => text.push_str(suite.name()),
            None => {
                let _ = write!(text, "UNKNOWN({number:04x})");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meaningless_numbers_are_left_out() {
        assert_eq!(
            without_grease(&[0x0a, 0x0a, 0x13, 0x01, 0xfa, 0xfa, 0x13, 0x13, 7]),
            [0x13, 0x01, 0x13, 0x13, 7]
        );
        assert_eq!(
            suite_names(&[0x13, 0x01, 0x0a, 0x0a, 0xc0, 0x2b]),
            "TLS_AES_128_GCM_SHA256,UNKNOWN(0a0a),ECDHE-ECDSA-AES128-GCM-SHA256"
        );
    }
}
