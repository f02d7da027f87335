//! Samples of connections that speak TLS, with clients (`ssl_fc…`) and with servers (`ssl_bc…`).

use super::{facts, row, server_facts};
use crate::sample::Row;
use crate::tls::Facts;
use crate::value::Value;

/// Rows that both sides have.
macro_rules! connection_rows {
    ($of:ident, $needs:ident, $prefix:literal, $whose:literal) => {
        &[
            row!(
                $prefix,
                concat!("Whether the ", $whose, " speaks TLS."),
                $needs,
                Boolean,
                |context| Some(Value::Boolean($of(context).is_some()))
            ),
            row!(
                concat!($prefix, "_alg_keysize"),
                concat!("Bits of the symmetric key, with the ", $whose, "."),
                $needs,
                Integer,
                |context| Some(Value::Integer($of(context)?.suite?.key_bits().into()))
            ),
            row!(
                concat!($prefix, "_alpn"),
                concat!("The protocol agreed upon with the ", $whose, "."),
                $needs,
                Text,
                |context| $of(context)?.alpn.as_deref().map(Value::text)
            ),
            row!(
                concat!($prefix, "_cipher"),
                concat!(
                    "The cipher suite, with the ",
                    $whose,
                    ", by OpenSSL's name."
                ),
                $needs,
                Text,
                |context| Some(Value::text($of(context)?.suite?.name().as_bytes()))
            ),
            row!(
                concat!($prefix, "_curve"),
                concat!("The group of the key exchange with the ", $whose, "."),
                $needs,
                Text,
                |context| {
                    let group = $of(context)?.group.as_deref()?;
                    Some(Value::text(group.as_bytes()))
                }
            ),
            row!(
                concat!($prefix, "_is_resumed"),
                concat!("Whether the session with the ", $whose, " was resumed."),
                $needs,
                Boolean,
                |context| Some(Value::Boolean(
                    $of(context).is_some_and(|facts| facts.resumed)
                ))
            ),
            row!(
                concat!($prefix, "_protocol"),
                concat!("The version of TLS, with the ", $whose, "."),
                $needs,
                Text,
                |context| Some(Value::text($of(context)?.version?.name().as_bytes()))
            ),
            row!(
                concat!($prefix, "_sni"),
                concat!("The name that was asked for, with the ", $whose, "."),
                $needs,
                Text,
                |context| {
                    let name = $of(context)?.server_name.as_deref()?;
                    Some(Value::text(name.as_bytes()))
                }
            ),
            row!(
                concat!($prefix, "_use_keysize"),
                concat!("Bits of the symmetric key in use, with the ", $whose, "."),
                $needs,
                Integer,
                |context| Some(Value::Integer($of(context)?.suite?.key_bits().into()))
            ),
        ]
    };
}

pub(crate) const CONNECTION: &[Row] = connection_rows!(facts, Handshake, "ssl_fc", "client");

pub(crate) const SERVER_CONNECTION: &[Row] =
    connection_rows!(server_facts, Server, "ssl_bc", "server");

/// What else there is to know of the connection with the client.
pub(crate) const CLIENT_CONNECTION: &[Row] = &[
    row!(
        "ssl_fc_crtname",
        "The file of the certificate that was presented to the client.",
        Handshake,
        Text,
        |context| {
            let own = facts(context)?.own.as_ref()?;
            Some(Value::text(own.name.as_bytes()))
        }
    ),
    row!(
        "ssl_fc_early_rcvd",
        "Whether data came before the end of the handshake: never.",
        Handshake,
        Boolean,
        |context| facts(context).map(|_| Value::Boolean(false))
    ),
    row!(
        "ssl_fc_has_crt",
        "Whether the client has shown a certificate.",
        Handshake,
        Boolean,
        |context| Some(Value::Boolean(!facts(context)?.peer_chain.is_empty()))
    ),
    row!(
        "ssl_fc_has_early",
        "Whether data of the request came before the end of the handshake: never.",
        Handshake,
        Boolean,
        |context| facts(context).map(|_| Value::Boolean(false))
    ),
    row!(
        "ssl_fc_has_sni",
        "Whether the client asked for a name.",
        Handshake,
        Boolean,
        |context| {
            let asks = |facts: &Facts| facts.server_name.is_some();
            Some(Value::Boolean(facts(context).is_some_and(asks)))
        }
    ),
];
