//! Samples of connections that speak TLS, with clients (`ssl_fc…`) and with servers (`ssl_bc…`).

use super::{facts, row, server_facts};
use crate::sample::Row;
use crate::tls::{Facts, Secret};
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
                concat!($prefix, "_err"),
                concat!(
                    "Why the handshake with the ",
                    $whose,
                    " failed, by OpenSSL's number; 0: it did not, or OpenSSL has none for it."
                ),
                $needs,
                Integer,
                |context| {
                    let error = $of(context)?.error.as_ref();
                    Some(Value::Integer(error.map_or(0, |error| error.number.into())))
                }
            ),
            row!(
                concat!($prefix, "_err_str"),
                concat!(
                    "Why the handshake with the ",
                    $whose,
                    " failed, in OpenSSL's words where it has some."
                ),
                $needs,
                Text,
                |context| {
                    let error = $of(context)?.error.as_ref()?;
                    Some(Value::owned(error.to_string().into_bytes()))
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

/// Rows about secrets that both sides have. They are there with `tune.ssl.keylog on`.
macro_rules! secret_rows {
    ($of:ident, $needs:ident, $prefix:literal, $whose:literal) => {
        &[
            row!(
                concat!($prefix, "_client_handshake_traffic_secret"),
                concat!(
                    "CLIENT_HANDSHAKE_TRAFFIC_SECRET of TLS 1.3 in hexadecimal digits, with the ",
                    $whose,
                    ", with 'tune.ssl.keylog on'."
                ),
                $needs,
                Text,
                |context| hexadecimal($of(context)?, Secret::ClientHandshake)
            ),
            row!(
                concat!($prefix, "_client_random"),
                concat!(
                    "The random bytes of the hello, with the ",
                    $whose,
                    ", with 'tune.ssl.keylog on'."
                ),
                $needs,
                Binary,
                |context| Some(Value::Binary(
                    $of(context)?.secrets.as_ref()?.client_random().into()
                ))
            ),
            row!(
                concat!($prefix, "_client_traffic_secret_0"),
                concat!(
                    "CLIENT_TRAFFIC_SECRET_0 of TLS 1.3 in hexadecimal digits, with the ",
                    $whose,
                    ", with 'tune.ssl.keylog on'."
                ),
                $needs,
                Text,
                |context| hexadecimal($of(context)?, Secret::ClientTraffic)
            ),
            row!(
                concat!($prefix, "_exporter_secret"),
                concat!(
                    "EXPORTER_SECRET of TLS 1.3 in hexadecimal digits, with the ",
                    $whose,
                    ", with 'tune.ssl.keylog on'."
                ),
                $needs,
                Text,
                |context| hexadecimal($of(context)?, Secret::Exporter)
            ),
            row!(
                concat!($prefix, "_server_handshake_traffic_secret"),
                concat!(
                    "SERVER_HANDSHAKE_TRAFFIC_SECRET of TLS 1.3 in hexadecimal digits, with the ",
                    $whose,
                    ", with 'tune.ssl.keylog on'."
                ),
                $needs,
                Text,
                |context| hexadecimal($of(context)?, Secret::ServerHandshake)
            ),
            row!(
                concat!($prefix, "_server_traffic_secret_0"),
                concat!(
                    "SERVER_TRAFFIC_SECRET_0 of TLS 1.3 in hexadecimal digits, with the ",
                    $whose,
                    ", with 'tune.ssl.keylog on'."
                ),
                $needs,
                Text,
                |context| hexadecimal($of(context)?, Secret::ServerTraffic)
            ),
            row!(
                concat!($prefix, "_session_key"),
                concat!(
                    "The master secret of TLS 1.2, with the ",
                    $whose,
                    ", with 'tune.ssl.keylog on'."
                ),
                $needs,
                Binary,
                |context| Some(Value::Binary(secret($of(context)?, Secret::Master)?.into()))
            ),
        ]
    };
}

fn secret(facts: &Facts, kind: Secret) -> Option<&[u8]> {
    facts.secrets.as_ref()?.of(kind)
}

fn hexadecimal(facts: &Facts, kind: Secret) -> Option<Value<'static>> {
    let digits = data_encoding::HEXLOWER.encode(secret(facts, kind)?);
    Some(Value::owned(digits))
}

pub(crate) const SECRETS: &[Row] = secret_rows!(facts, Handshake, "ssl_fc", "client");

pub(crate) const SERVER_SECRETS: &[Row] = secret_rows!(server_facts, Server, "ssl_bc", "server");

pub(crate) const CONNECTION: &[Row] = connection_rows!(facts, Handshake, "ssl_fc", "client");

pub(crate) const SERVER_CONNECTION: &[Row] =
    connection_rows!(server_facts, Server, "ssl_bc", "server");

/// What else there is to know of the connection with the client.
pub(crate) const CLIENT_CONNECTION: &[Row] = &[
    row!(
        "ssl_fc_client_early_traffic_secret",
        "CLIENT_EARLY_TRAFFIC_SECRET of TLS 1.3 in hexadecimal digits, with 'tune.ssl.keylog on'.",
        Handshake,
        Text,
        |context| hexadecimal(facts(context)?, Secret::ClientEarly)
    ),
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
        "Whether data came before the end of the handshake, be it over by now or not.",
        Handshake,
        Boolean,
        |context| {
            let early = facts(context)?.early.as_ref();
            Some(Value::Boolean(early.is_some_and(|it| it.was_received())))
        }
    ),
    row!(
        "ssl_fc_has_crt",
        "Whether the client has shown a certificate on this connection, rather than on one whose session it resumes.",
        Handshake,
        Boolean,
        |context| {
            let facts = facts(context)?;
            Some(Value::Boolean(
                !facts.resumed && !facts.peer_chain.is_empty(),
            ))
        }
    ),
    row!(
        "ssl_fc_has_early",
        "Whether data came before the end of the handshake, which is still to come.",
        Handshake,
        Boolean,
        |context| Some(Value::Boolean(facts(context)?.may_be_replayed()))
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
