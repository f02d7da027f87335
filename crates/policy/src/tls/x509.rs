//! What samples show of a certificate, in HAProxy's forms (manual, section 7.3.4, `ssl_c_…` and `ssl_f_…`).
//!
//! Names of attributes and algorithms are OpenSSL's short names. What is absent: trust.

use std::fmt::Write as _;

use x509_parser::certificate::X509Certificate;
use x509_parser::x509::X509Name;

/// Attributes of distinguished names, by object identifier.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("1.3.6.1.4.1.311.60.2.1.1", "jurisdictionL"),
    ("1.3.6.1.4.1.311.60.2.1.2", "jurisdictionST"),
    ("1.3.6.1.4.1.311.60.2.1.3", "jurisdictionC"),
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.65", "pseudonym"),
    ("2.5.4.97", "organizationIdentifier"),
];

/// Algorithms of keys and signatures.
const ALGORITHMS: &[(&str, &str)] = &[
    ("1.2.840.10040.4.1", "DSA"),
    ("1.2.840.10045.2.1", "id-ecPublicKey"),
    ("1.2.840.10045.4.1", "ecdsa-with-SHA1"),
    ("1.2.840.10045.4.3.2", "ecdsa-with-SHA256"),
    ("1.2.840.10045.4.3.3", "ecdsa-with-SHA384"),
    ("1.2.840.10045.4.3.4", "ecdsa-with-SHA512"),
    ("1.2.840.113549.1.1.1", "rsaEncryption"),
    ("1.2.840.113549.1.1.5", "RSA-SHA1"),
    ("1.2.840.113549.1.1.10", "RSASSA-PSS"),
    ("1.2.840.113549.1.1.11", "RSA-SHA256"),
    ("1.2.840.113549.1.1.12", "RSA-SHA384"),
    ("1.2.840.113549.1.1.13", "RSA-SHA512"),
    ("1.3.101.112", "ED25519"),
    ("1.3.101.113", "ED448"),
];

/// The short name of an identifier, or the identifier.
fn short<'a>(table: &[(&str, &'static str)], identifier: &'a str) -> &'a str {
    let known = table.iter().find(|(known, _)| *known == identifier);
    known.map_or(identifier, |(_, name)| name)
}

/// Attributes in their order: short name and raw value.
fn attributes<'a>(name: &'a X509Name<'_>) -> impl DoubleEndedIterator<Item = (String, &'a [u8])> {
    let all: Vec<_> = name
        .iter_attributes()
        .map(|attribute| {
            let identifier = attribute.attr_type().to_id_string();
            let name = short(ATTRIBUTES, &identifier).to_owned();
            (name, attribute.as_slice())
        })
        .collect();
    all.into_iter()
}

/// `/C=NL/O=Somebody/CN=name`.
pub(crate) fn one_line(name: &X509Name<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    for (attribute, value) in attributes(name) {
        line.push(b'/');
        line.extend_from_slice(attribute.as_bytes());
        line.push(b'=');
        line.extend_from_slice(value);
    }
    line
}

/// `C = NL, O = Somebody, CN = name`.
pub(crate) fn spaced_line(name: &X509Name<'_>) -> String {
    let all = attributes(name);
    let all =
        all.map(|(attribute, value)| format!("{attribute} = {}", String::from_utf8_lossy(value)));
    all.collect::<Vec<_>>().join(", ")
}

/// RFC 2253: the last attribute first, with commas between them.
pub(crate) fn rfc2253(name: &X509Name<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    for (attribute, value) in attributes(name).rev() {
        if !line.is_empty() {
            line.push(b',');
        }
        line.extend_from_slice(attribute.as_bytes());
        line.push(b'=');
        escape(value, &mut line);
    }
    line
}

/// RFC 2253 section 2.4.
fn escape(value: &[u8], line: &mut Vec<u8>) {
    let last = value.len().saturating_sub(1);
    for (index, &byte) in value.iter().enumerate() {
        let special = matches!(byte, b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';');
        let at_edge =
            (byte == b' ' && (index == 0 || index == last)) || (byte == b'#' && index == 0);
        if special || at_edge {
            line.push(b'\\');
            line.push(byte);
        } else if !(b' '..=b'~').contains(&byte) {
            let mut hexadecimal = String::new();
            let _ = write!(hexadecimal, "\\{byte:02X}");
            line.extend_from_slice(hexadecimal.as_bytes());
        } else {
            line.push(byte);
        }
    }
}

/// The attribute called `wanted`: the first, the `occurrence`th, or counted from the end when that is negative.
pub(crate) fn attribute(name: &X509Name<'_>, wanted: &str, occurrence: i64) -> Option<Vec<u8>> {
    let fits = |(attribute, _): &(String, &[u8])| attribute.eq_ignore_ascii_case(wanted);
    let nth = usize::try_from(occurrence.unsigned_abs().max(1) - 1).ok()?;
    let found = match occurrence < 0 {
        false => attributes(name).filter(fits).nth(nth),
        true => attributes(name).rev().filter(fits).nth(nth),
    };
    found.map(|(_, value)| value.to_vec())
}

/// `YYMMDDhhmmssZ`, whatever form the certificate uses.
fn time(time: &x509_parser::time::ASN1Time) -> Vec<u8> {
    let at = time.to_datetime();
    let text = format!(
        "{:02}{:02}{:02}{:02}{:02}{:02}Z",
        at.year().rem_euclid(100),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    );
    text.into_bytes()
}

pub(crate) fn not_before(certificate: &X509Certificate<'_>) -> Vec<u8> {
    time(&certificate.validity().not_before)
}

pub(crate) fn not_after(certificate: &X509Certificate<'_>) -> Vec<u8> {
    time(&certificate.validity().not_after)
}

/// A number without the zero that only keeps it positive.
pub(crate) fn magnitude(number: &[u8]) -> &[u8] {
    match number {
        [0, rest @ ..] if !rest.is_empty() => rest,
        number => number,
    }
}

pub(crate) fn serial(certificate: &X509Certificate<'_>) -> Vec<u8> {
    magnitude(certificate.raw_serial()).to_vec()
}

/// The long name of an algorithm of signatures, or its identifier.
pub(crate) fn long_algorithm(identifier: &str) -> &str {
    match identifier {
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "rsassaPss",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        other => short(ALGORITHMS, other),
    }
}

pub(crate) fn key_algorithm(certificate: &X509Certificate<'_>) -> Vec<u8> {
    let identifier = certificate.public_key().algorithm.algorithm.to_id_string();
    short(ALGORITHMS, &identifier).as_bytes().to_vec()
}

pub(crate) fn signature_algorithm(certificate: &X509Certificate<'_>) -> Vec<u8> {
    let identifier = certificate.signature_algorithm.algorithm.to_id_string();
    short(ALGORITHMS, &identifier).as_bytes().to_vec()
}

pub(crate) fn version(certificate: &X509Certificate<'_>) -> i64 {
    i64::from(certificate.version().0) + 1
}

/// Alternative names as OpenSSL prints them: `DNS:a.test, IP Address:192.0.2.1`.
pub(crate) fn alternative_names(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    use std::net::{Ipv4Addr, Ipv6Addr};
    use x509_parser::extensions::GeneralName;
    let extension = certificate.subject_alternative_name().ok()??;
    let mut text = String::new();
    for name in &extension.value.general_names {
        let shown = match name {
            GeneralName::DNSName(name) => format!("DNS:{name}"),
            GeneralName::RFC822Name(name) => format!("email:{name}"),
            GeneralName::URI(uri) => format!("URI:{uri}"),
            GeneralName::IPAddress(bytes) => {
                match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
                    (Ok(bytes), _) => format!("IP Address:{}", Ipv4Addr::from(bytes)),
                    (_, Ok(bytes)) => format!("IP Address:{}", Ipv6Addr::from(bytes)),
                    _ => "IP Address:<invalid>".to_owned(),
                }
            }
            GeneralName::DirectoryName(name) => {
                format!("DirName:{}", String::from_utf8_lossy(&one_line(name)))
            }
            _ => "othername:<unsupported>".to_owned(),
        };
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&shown);
    }
    Some(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate;

    fn with<T>(name: &str, look: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
        let path = format!("{}/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"));
        let pem = std::fs::read(path).expect("a certificate for tests");
        let chain = certificate::authorities(&pem).expect("PEM");
        look(&certificate::parse(&chain[0]).expect("a certificate"))
    }

    #[test]
    fn names_and_dates_look_as_in_haproxy() {
        with("client.pem", |client| {
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
            assert_eq!(
                text(one_line(client.subject())),
                "/C=NL/O=Plimsoll tests/OU=Clients/CN=client one/emailAddress=one@client.test"
            );
            assert_eq!(
                text(rfc2253(client.issuer())),
                "CN=Test authority,O=Plimsoll tests,C=NL"
            );
            let of = |name, occurrence| attribute(client.subject(), name, occurrence).map(text);
            assert_eq!(of("CN", 1).as_deref(), Some("client one"));
            assert_eq!(of("CN", -1).as_deref(), Some("client one"));
            assert_eq!(of("CN", 2), None);
            assert_eq!(of("L", 1), None);
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
            assert_eq!(text(key_algorithm(client)), "id-ecPublicKey");
            assert_eq!(text(signature_algorithm(client)), "ecdsa-with-SHA256");
            assert_eq!(version(client), 3);
            let (from, to) = (text(not_before(client)), text(not_after(client)));
            assert!(
                from.len() == 13 && to.len() == 13 && from.ends_with('Z'),
                "{from} {to}"
            );
            assert!(!serial(client).is_empty());
        });
        with("site.pem", |site| {
            let names = alternative_names(site).expect("it has some");
            assert_eq!(names, b"DNS:site.test, DNS:*.site.test");
        });
    }

    #[test]
    fn special_characters_are_escaped() {
        let mut line = Vec::new();
        escape(b" a,b+\xc3\xa9# ", &mut line);
        assert_eq!(line, b"\\ a\\,b\\+\\C3\\A9#\\ ");
    }
}
