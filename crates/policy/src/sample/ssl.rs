//! Samples of TLS: the handshake with the client, its certificate and ours (manual, section 7.3.4).
//!
//! Certificates are taken apart when they are asked for. What is absent: secrets of connections, which are not kept,
//! and the server's side.

use x509_parser::certificate::X509Certificate;
use x509_parser::x509::X509Name;

use super::{Needs, Row, fetch};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::tls::{Facts, certificate, x509};
use crate::value::{Type, Value};

/// What the handshake with the client has told.
fn facts<'a>(context: &'a Context<'_>) -> Option<&'a Facts> {
    context.session.tls()
}

/// The client's own certificate.
fn client<'a>(context: &'a Context<'_>) -> Option<&'a [u8]> {
    Some(facts(context)?.peer_chain.first()?)
}

/// The certificate that was presented to the client.
fn own<'a>(context: &'a Context<'_>) -> Option<&'a [u8]> {
    Some(facts(context)?.own.as_ref()?.chain.first()?)
}

/// Which attribute of a distinguished name, and how it is written.
struct NamePart {
    attribute: Option<String>,
    occurrence: i64,
    rfc2253: bool,
}

impl NamePart {
    /// `([ATTRIBUTE[,OCCURRENCE[,FORMAT]]])`.
    fn read(arguments: &mut Arguments) -> Result<Self, plimsoll_config::diagnostic::Diagnostic> {
        let attribute = arguments.optional();
        let occurrence = arguments.optional_integer("the occurrence")?.unwrap_or(1);
        let rfc2253 = match arguments.optional().as_deref() {
            None => false,
            Some("rfc2253") => true,
            Some(other) => {
                let message = format!("'{other}' is not a format; rfc2253 is");
                return Err(arguments.invalid(message));
            }
        };
        Ok(Self {
            attribute,
            occurrence,
            rfc2253,
        })
    }

    fn of(&self, name: &X509Name<'_>) -> Option<Vec<u8>> {
        match &self.attribute {
            Some(attribute) => x509::attribute(name, attribute, self.occurrence),
            None if self.rfc2253 => Some(x509::rfc2253(name)),
            None => Some(x509::one_line(name)),
        }
    }
}

/// A row about the client's TLS.
macro_rules! row {
    ($name:expr, $doc:expr, $kind:ident, |$context:ident| $value:expr) => {
        Row {
            name: $name,
            usage: "",
            doc: $doc,
            needs: Needs::Handshake,
            read: |_, _| fetch(Type::$kind, |$context| $value),
        }
    };
}

/// Rows about a certificate, for the client's and for ours.
macro_rules! certificate_rows {
    ($of:ident, $whose:literal, $der:literal, $issuer:literal, $key:literal, $after:literal, $before:literal,
     $subject:literal, $serial:literal, $signature:literal, $version:literal) => {
        &[
            Row {
                name: $der,
                usage: "",
                doc: concat!($whose, " in DER."),
                needs: Needs::Handshake,
                read: |_, _| {
                    fetch(Type::Binary, |context| {
                        Some(Value::Binary($of(context)?.into()))
                    })
                },
            },
            Row {
                name: $issuer,
                usage: "[ATTRIBUTE[,OCCURRENCE[,FORMAT]]]",
                doc: concat!("The issuer of ", $whose, "."),
                needs: Needs::Handshake,
                read: |arguments, _| {
                    let part = NamePart::read(arguments)?;
                    fetch(Type::Text, move |context| {
                        let parsed = certificate::parse($of(context)?).ok()?;
                        part.of(parsed.issuer()).map(Value::owned)
                    })
                },
            },
            row!(
                $key,
                concat!("The algorithm of the key of ", $whose, "."),
                Text,
                |context| show($of(context), x509::key_algorithm)
            ),
            row!(
                $after,
                concat!("The last moment of ", $whose, ", as YYMMDDhhmmssZ."),
                Text,
                |context| show($of(context), x509::not_after)
            ),
            row!(
                $before,
                concat!("The first moment of ", $whose, ", as YYMMDDhhmmssZ."),
                Text,
                |context| show($of(context), x509::not_before)
            ),
            Row {
                name: $subject,
                usage: "[ATTRIBUTE[,OCCURRENCE[,FORMAT]]]",
                doc: concat!("The subject of ", $whose, "."),
                needs: Needs::Handshake,
                read: |arguments, _| {
                    let part = NamePart::read(arguments)?;
                    fetch(Type::Text, move |context| {
                        let parsed = certificate::parse($of(context)?).ok()?;
                        part.of(parsed.subject()).map(Value::owned)
                    })
                },
            },
            Row {
                name: $serial,
                usage: "",
                doc: concat!("The serial number of ", $whose, "."),
                needs: Needs::Handshake,
                read: |_, _| {
                    fetch(Type::Binary, |context| {
                        let parsed = certificate::parse($of(context)?).ok()?;
                        Some(Value::Binary(x509::serial(&parsed).into()))
                    })
                },
            },
            row!(
                $signature,
                concat!("The algorithm that signed ", $whose, "."),
                Text,
                |context| show($of(context), x509::signature_algorithm)
            ),
            Row {
                name: $version,
                usage: "",
                doc: concat!("The version of ", $whose, "."),
                needs: Needs::Handshake,
                read: |_, _| {
                    fetch(Type::Integer, |context| {
                        let parsed = certificate::parse($of(context)?).ok()?;
                        Some(Value::Integer(x509::version(&parsed)))
                    })
                },
            },
        ]
    };
}

/// A text made of a certificate.
fn show(der: Option<&[u8]>, look: fn(&X509Certificate<'_>) -> Vec<u8>) -> Option<Value<'static>> {
    let parsed = certificate::parse(der?).ok()?;
    Some(Value::owned(look(&parsed)))
}

/// `ssl_c_…`: the client's certificate.
pub(crate) const CLIENT_CERTIFICATE: &[Row] = certificate_rows!(
    client,
    "the client's certificate",
    "ssl_c_der",
    "ssl_c_i_dn",
    "ssl_c_key_alg",
    "ssl_c_notafter",
    "ssl_c_notbefore",
    "ssl_c_s_dn",
    "ssl_c_serial",
    "ssl_c_sig_alg",
    "ssl_c_version"
);

/// `ssl_f_…`: our own certificate.
pub(crate) const OWN_CERTIFICATE: &[Row] = certificate_rows!(
    own,
    "our own certificate",
    "ssl_f_der",
    "ssl_f_i_dn",
    "ssl_f_key_alg",
    "ssl_f_notafter",
    "ssl_f_notbefore",
    "ssl_f_s_dn",
    "ssl_f_serial",
    "ssl_f_sig_alg",
    "ssl_f_version"
);

/// What else there is to know of the client's certificate.
pub(crate) const CLIENT: &[Row] = &[
    row!(
        "ssl_c_ca_err",
        "What was wrong with an authority and was overlooked, or 0.",
        Integer,
        |context| { Some(Value::Integer(facts(context)?.authority_error.into())) }
    ),
    row!(
        "ssl_c_ca_err_depth",
        "How far from the client's certificate that authority stands.",
        Integer,
        |context| { Some(Value::Integer(facts(context)?.authority_depth.into())) }
    ),
    row!(
        "ssl_c_chain_der",
        "The certificates behind the client's, in DER.",
        Binary,
        |context| {
            let chain = &facts(context)?.peer_chain;
            (!chain.is_empty()).then(|| Value::Binary(chain.concat().into()))
        }
    ),
    row!(
        "ssl_c_err",
        "What was wrong with the client's certificate and was overlooked, or 0.",
        Integer,
        |context| { Some(Value::Integer(facts(context)?.peer_error.into())) }
    ),
    row!(
        "ssl_c_san",
        "The alternative names of the client's certificate.",
        Text,
        |context| {
            let parsed = certificate::parse(client(context)?).ok()?;
            x509::alternative_names(&parsed).map(Value::owned)
        }
    ),
    row!(
        "ssl_c_used",
        "Whether the client has shown a certificate.",
        Boolean,
        |context| { Some(Value::Boolean(!facts(context)?.peer_chain.is_empty())) }
    ),
    row!(
        "ssl_c_verify",
        "The result of verifying the client, or 0.",
        Integer,
        |context| { Some(Value::Integer(facts(context)?.verify_result().into())) }
    ),
];

/// `ssl_fc…`: the client's connection.
pub(crate) const CONNECTION: &[Row] = &[
    row!(
        "ssl_fc",
        "Whether the client speaks TLS.",
        Boolean,
        |context| { Some(Value::Boolean(facts(context).is_some())) }
    ),
    row!(
        "ssl_fc_alg_keysize",
        "Bits of the symmetric key.",
        Integer,
        |context| { Some(Value::Integer(facts(context)?.suite?.key_bits().into())) }
    ),
    row!(
        "ssl_fc_alpn",
        "The protocol agreed upon.",
        Text,
        |context| { facts(context)?.alpn.as_deref().map(Value::text) }
    ),
    row!(
        "ssl_fc_cipher",
        "The cipher suite, by OpenSSL's name.",
        Text,
        |context| { Some(Value::text(facts(context)?.suite?.name().as_bytes())) }
    ),
    row!(
        "ssl_fc_curve",
        "The group of the key exchange.",
        Text,
        |context| {
            let group = facts(context)?.group.as_deref()?;
            Some(Value::text(group.as_bytes()))
        }
    ),
    row!(
        "ssl_fc_has_crt",
        "Whether the client has shown a certificate.",
        Boolean,
        |context| { Some(Value::Boolean(!facts(context)?.peer_chain.is_empty())) }
    ),
    row!(
        "ssl_fc_has_early",
        "Whether data came before the end of the handshake: never.",
        Boolean,
        |context| { facts(context).map(|_| Value::Boolean(false)) }
    ),
    row!(
        "ssl_fc_has_sni",
        "Whether the client asked for a name.",
        Boolean,
        |context| { Some(Value::Boolean(facts(context)?.server_name.is_some())) }
    ),
    row!(
        "ssl_fc_is_resumed",
        "Whether the session was resumed.",
        Boolean,
        |context| { Some(Value::Boolean(facts(context)?.resumed)) }
    ),
    row!("ssl_fc_protocol", "The version of TLS.", Text, |context| {
        Some(Value::text(facts(context)?.version?.name().as_bytes()))
    }),
    row!(
        "ssl_fc_sni",
        "The name that the client asked for.",
        Text,
        |context| {
            let name = facts(context)?.server_name.as_deref()?;
            Some(Value::text(name.as_bytes()))
        }
    ),
    row!(
        "ssl_fc_use_keysize",
        "Bits of the symmetric key in use.",
        Integer,
        |context| { Some(Value::Integer(facts(context)?.suite?.key_bits().into())) }
    ),
];
