//! Samples of certificates: the client's, the one that we showed it, and the server's (manual, section 7.3.4).
//!
//! Certificates are taken apart when they are asked for.

use aws_lc_rs::digest;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::x509::X509Name;

use super::{facts, row, server_facts};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::sample::{Needs, Row, fetch};
use crate::tls::{certificate, x509};
use crate::value::{Type, Value};

/// The client's own certificate.
fn client<'a>(context: &'a Context<'_>) -> Option<&'a [u8]> {
    Some(facts(context)?.peer_chain.first()?)
}

/// The certificate that was presented to the client.
fn own<'a>(context: &'a Context<'_>) -> Option<&'a [u8]> {
    Some(facts(context)?.own.as_ref()?.chain.first()?)
}

/// The server's own certificate.
fn server<'a>(context: &'a Context<'_>) -> Option<&'a [u8]> {
    Some(server_facts(context)?.peer_chain.first()?)
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

/// A row about a distinguished name of a certificate.
macro_rules! name_row {
    ($name:expr, $doc:expr, $needs:ident, $of:ident, $which:ident) => {
        Row {
            name: $name,
            usage: "[ATTRIBUTE[,OCCURRENCE[,FORMAT]]]",
            doc: $doc,
            needs: Needs::$needs,
            read: |arguments, _| {
                let part = NamePart::read(arguments)?;
                fetch(Type::Text, move |context| {
                    let parsed = certificate::parse($of(context)?).ok()?;
                    part.of(parsed.$which()).map(Value::owned)
                })
            },
        }
    };
}

/// Rows about a certificate, for each side's.
macro_rules! certificate_rows {
    ($of:ident, $needs:ident, $prefix:literal, $whose:literal) => {
        &[
            row!(
                concat!($prefix, "der"),
                concat!($whose, " in DER."),
                $needs,
                Binary,
                |context| Some(Value::Binary($of(context)?.into()))
            ),
            name_row!(
                concat!($prefix, "i_dn"),
                concat!("The issuer of ", $whose, "."),
                $needs,
                $of,
                issuer
            ),
            row!(
                concat!($prefix, "key_alg"),
                concat!("The algorithm of the key of ", $whose, "."),
                $needs,
                Text,
                |context| show($of(context), x509::key_algorithm)
            ),
            row!(
                concat!($prefix, "notafter"),
                concat!("The last moment of ", $whose, ", as YYMMDDhhmmssZ."),
                $needs,
                Text,
                |context| show($of(context), x509::not_after)
            ),
            row!(
                concat!($prefix, "notbefore"),
                concat!("The first moment of ", $whose, ", as YYMMDDhhmmssZ."),
                $needs,
                Text,
                |context| show($of(context), x509::not_before)
            ),
            name_row!(
                concat!($prefix, "s_dn"),
                concat!("The subject of ", $whose, "."),
                $needs,
                $of,
                subject
            ),
            row!(
                concat!($prefix, "serial"),
                concat!("The serial number of ", $whose, "."),
                $needs,
                Binary,
                |context| {
                    let parsed = certificate::parse($of(context)?).ok()?;
                    Some(Value::Binary(x509::serial(&parsed).into()))
                }
            ),
            row!(
                concat!($prefix, "sha1"),
                concat!("The SHA-1 fingerprint of ", $whose, "."),
                $needs,
                Binary,
                |context| {
                    let der = $of(context)?;
                    let print = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der);
                    Some(Value::Binary(print.as_ref().to_vec().into()))
                }
            ),
            row!(
                concat!($prefix, "sig_alg"),
                concat!("The algorithm that signed ", $whose, "."),
                $needs,
                Text,
                |context| show($of(context), x509::signature_algorithm)
            ),
            row!(
                concat!($prefix, "version"),
                concat!("The version of ", $whose, "."),
                $needs,
                Integer,
                |context| {
                    let parsed = certificate::parse($of(context)?).ok()?;
                    Some(Value::Integer(x509::version(&parsed)))
                }
            ),
        ]
    };
}

/// A text made of a certificate.
fn show(der: Option<&[u8]>, look: fn(&X509Certificate<'_>) -> Vec<u8>) -> Option<Value<'static>> {
    let parsed = certificate::parse(der?).ok()?;
    Some(Value::owned(look(&parsed)))
}

/// `ssl_c_…`: the client's certificate.
pub(crate) const CLIENT_CERTIFICATE: &[Row] =
    certificate_rows!(client, Handshake, "ssl_c_", "the client's certificate");

/// `ssl_f_…`: our own certificate.
pub(crate) const OWN_CERTIFICATE: &[Row] =
    certificate_rows!(own, Handshake, "ssl_f_", "our own certificate");

/// `ssl_s_…`: the server's certificate.
pub(crate) const SERVER_CERTIFICATE: &[Row] =
    certificate_rows!(server, Server, "ssl_s_", "the server's certificate");

/// What else there is to know of the server's certificate.
pub(crate) const SERVER: &[Row] = &[row!(
    "ssl_s_chain_der",
    "The certificates that the server has shown, in DER.",
    Server,
    Binary,
    |context| {
        let chain = &server_facts(context)?.peer_chain;
        (!chain.is_empty()).then(|| Value::Binary(chain.concat().into()))
    }
)];

/// What else there is to know of the client's certificate.
pub(crate) const CLIENT: &[Row] = &[
    row!(
        "ssl_c_ca_err",
        "What was wrong with an authority and was overlooked, or 0.",
        Handshake,
        Integer,
        |context| { Some(Value::Integer(facts(context)?.authority_error.into())) }
    ),
    row!(
        "ssl_c_ca_err_depth",
        "How far from the client's certificate that authority stands.",
        Handshake,
        Integer,
        |context| { Some(Value::Integer(facts(context)?.authority_depth.into())) }
    ),
    row!(
        "ssl_c_chain_der",
        "The certificates behind the client's, in DER.",
        Handshake,
        Binary,
        |context| {
            let chain = &facts(context)?.peer_chain;
            (!chain.is_empty()).then(|| Value::Binary(chain.concat().into()))
        }
    ),
    row!(
        "ssl_c_err",
        "What was wrong with the client's certificate and was overlooked, or 0.",
        Handshake,
        Integer,
        |context| { Some(Value::Integer(facts(context)?.peer_error.into())) }
    ),
    Row {
        name: "ssl_c_policies",
        usage: "[IDENTIFIER]",
        doc: "The policies of the client's certificate, or the one that is named, if it is there.",
        needs: Needs::Handshake,
        read: |arguments, _| {
            let wanted = arguments.optional();
            fetch(Type::Text, move |context| {
                policies(client(context)?, wanted.as_deref()).map(Value::owned)
            })
        },
    },
    Row {
        name: "ssl_c_r_dn",
        usage: "[ATTRIBUTE[,OCCURRENCE[,FORMAT]]]",
        doc: "The subject of the authority that the client's certificate leads to.",
        needs: Needs::Handshake,
        read: |arguments, _| {
            let part = NamePart::read(arguments)?;
            fetch(Type::Text, move |context| {
                let root = facts(context)?.root.as_deref()?;
                let parsed = certificate::parse(root).ok()?;
                part.of(parsed.subject()).map(Value::owned)
            })
        },
    },
    row!(
        "ssl_c_san",
        "The alternative names of the client's certificate.",
        Handshake,
        Text,
        |context| {
            let parsed = certificate::parse(client(context)?).ok()?;
            x509::alternative_names(&parsed).map(Value::owned)
        }
    ),
    row!(
        "ssl_c_used",
        "Whether the client has shown a certificate.",
        Handshake,
        Boolean,
        |context| { Some(Value::Boolean(!facts(context)?.peer_chain.is_empty())) }
    ),
    row!(
        "ssl_c_verify",
        "The result of verifying the client, or 0; nothing of one whose handshake failed.",
        Handshake,
        Integer,
        |context| {
            let failed = context.session.extra.as_ref()?.failure.is_some();
            let facts = facts(context).filter(|_| !failed)?;
            Some(Value::Integer(facts.verify_result().into()))
        }
    ),
];

/// Identifiers of policies, with commas between them.
fn policies(der: &[u8], wanted: Option<&str>) -> Option<String> {
    let parsed = certificate::parse(der).ok()?;
    let mut extensions = parsed.extensions().iter();
    let policies = extensions.find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::CertificatePolicies(policies) => Some(policies),
        _ => None,
    })?;
    let identifiers = policies
        .iter()
        .map(|policy| policy.policy_id.to_id_string());
    let text = match wanted {
        None => identifiers.collect::<Vec<_>>().join(", "),
        Some(wanted) => {
            let mut identifiers = identifiers;
            identifiers.find(|identifier| identifier == wanted)?
        }
    };
    (!text.is_empty()).then_some(text)
}
