//! Certificates that are made while clients shake hands, for names that no certificate is for (`generate-certificates`):
//! what such a one says, in DER (RFC 5280 section 4.1).
//!
//! What is absent: the authority's key, which signs in the engine.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::certificate;
use crate::log::Civil;

/// It is valid from a day before it is made, as clocks differ, to a year later.
const BEFORE_S: i64 = 86_400;
const AFTER_S: i64 = 365 * 86_400;

/// The longest name that fits a subject (RFC 5280, ub-common-name).
const COMMON_NAME_BYTES_MAX: usize = 64;

/// The longest name of a host.
const NAME_BYTES_MAX: usize = 253;

/// How it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    EcdsaSha256,
    RsaSha256,
    Ed25519,
}

impl Algorithm {
    /// An AlgorithmIdentifier (RFC 5758, RFC 4055, RFC 8410).
    fn der(self) -> Vec<u8> {
        match self {
            Self::EcdsaSha256 => sequence(&[&[6, 8, 42, 134, 72, 206, 61, 4, 3, 2]]),
            Self::RsaSha256 => sequence(&[&[6, 9, 42, 134, 72, 134, 247, 13, 1, 1, 11, 5, 0]]),
            Self::Ed25519 => sequence(&[&[6, 3, 43, 101, 112]]),
        }
    }
}

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The certificate of the authority that signs, and the one whose key is used, in DER.
    pub authority: &'a [u8],
    pub twin: &'a [u8],
    /// The name that a client asks for, in lower case.
    pub name: &'a str,
    pub serial: [u8; 16],
    pub now_s: i64,
    pub algorithm: Algorithm,
}

impl Wish<'_> {
    /// What is to be signed; `None` when the name could mean something else than a host.
    pub fn body(&self) -> Option<Vec<u8>> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        let length = self.name.len();
        if length == 0 || length > NAME_BYTES_MAX || !self.name.bytes().all(fits) {
            return None;
        }
        let authority = certificate::parse(self.authority).ok()?;
        let twin = certificate::parse(self.twin).ok()?;
        let key = twin.tbs_certificate.subject_pki.raw;
        let issuer = authority.subject().as_raw();
        // The authority's name with ours behind it, as HAProxy has it.
        let (_, names) = split(issuer)?;
        let common = match length <= COMMON_NAME_BYTES_MAX {
            true => {
                let value = [&[6, 3, 85, 4, 3][..], &tagged(12, &[self.name.as_bytes()])];
                tagged(0x31, &[&sequence(&value)])
            }
            false => Vec::new(),
        };
        let mut serial = self.serial;
        // A positive number whose first byte says something.
        serial[0] = serial[0] & 0x7f | 0x40;
        let identifier = identifier_of(&authority);
        Some(sequence(&[
            &tagged(0xa0, &[&[2, 1, 2]]),
            &tagged(2, &[&serial]),
            &self.algorithm.der(),
            issuer,
            &sequence(&[&time(self.now_s - BEFORE_S), &time(self.now_s + AFTER_S)]),
            &sequence(&[names, &common]),
            key,
            &tagged(
                0xa3,
                &[&sequence(&[
                    // Basic constraints: no authority.
                    &extension(&[85, 29, 19], false, &sequence(&[])),
                    // Key usage: digital signature, non-repudiation, key encipherment.
                    &extension(&[85, 29, 15], true, &[3, 2, 5, 0xe0]),
                    // Extended key usage: servers.
                    &extension(
                        &[85, 29, 37],
                        false,
                        &sequence(&[&[6, 8, 43, 6, 1, 5, 5, 7, 3, 1]]),
                    ),
                    &extension(&[85, 29, 14], false, &tagged(4, &[&fingerprint(&twin)])),
                    &identifier.map_or_else(Vec::new, |identifier| {
                        extension(
                            &[85, 29, 35],
                            false,
                            &sequence(&[&tagged(0x80, &[identifier])]),
                        )
                    }),
                    &extension(
                        &[85, 29, 17],
                        false,
                        &sequence(&[&tagged(0x82, &[self.name.as_bytes()])]),
                    ),
                ])],
            ),
        ]))
    }

    /// The certificate: a body with its signature.
    pub fn signed(&self, body: &[u8], signature: &[u8]) -> Vec<u8> {
        let signature = tagged(3, &[&[0], signature]);
        sequence(&[body, &self.algorithm.der(), &signature])
    }
}

/// RFC 5280 section 4.2.1.2.
fn fingerprint(twin: &x509_parser::certificate::X509Certificate<'_>) -> Vec<u8> {
    let bits = &twin.tbs_certificate.subject_pki.subject_public_key.data;
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, bits);
    digest.as_ref().to_vec()
}

/// The subject key identifier of an authority.
fn identifier_of<'a>(
    authority: &'a x509_parser::certificate::X509Certificate<'_>,
) -> Option<&'a [u8]> {
    use x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier;
    let mut all = authority.extensions().iter();
    all.find_map(|extension| match extension.parsed_extension() {
        SubjectKeyIdentifier(identifier) => Some(identifier.0),
        _ => None,
    })
}

fn extension(identifier: &[u8], is_critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if is_critical { &[1, 1, 0xff] } else { &[] };
    sequence(&[&tagged(6, &[identifier]), critical, &tagged(4, &[value])])
}

/// Two digits for the year up to 2049, four from then on (RFC 5280 section 4.1.2.5).
fn time(second: i64) -> Vec<u8> {
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
    } = Civil::of(second);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    match year < 2050 {
        true => tagged(23, &[format!("{:02}{rest}", year % 100).as_bytes()]),
        false => tagged(24, &[format!("{year:04}{rest}").as_bytes()]),
    }
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tagged(0x30, parts)
}

/// A value of DER: tag, length, content.
fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut der = Vec::with_capacity(length + 6);
    der.push(tag);
    if length < 128 {
        der.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        der.push(0x80 | (bytes.len() - zeros) as u8);
        der.extend_from_slice(&bytes[zeros..]);
    }
    for part in parts {
        der.extend_from_slice(part);
    }
    der
}

/// Tag and content of a value; what follows it is left out.
fn split(der: &[u8]) -> Option<(u8, &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
    let (length, rest) = match first {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    Some((tag, rest.get(..length)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::extensions::GeneralName;

    fn first(name: &str) -> Vec<u8> {
        let path = format!("{}/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"));
        let pem = std::fs::read(path).expect("a certificate for tests");
        certificate::authorities(&pem).expect("PEM").remove(0)
    }

    #[test]
    fn a_substitute_says_what_a_server_needs() {
        let (authority, twin) = (first("ca.pem"), first("site.pem"));
        for (name, common) in [("some.test", true), (&"long.".repeat(20), false)] {
            for now_s in [0, 1_800_000_000, 4_000_000_000] {
                let wish = Wish {
                    authority: &authority,
                    twin: &twin,
                    name,
                    serial: [0xff; 16],
                    now_s,
                    algorithm: Algorithm::EcdsaSha256,
                };
                let body = wish.body().expect("a body");
                let der = wish.signed(&body, &[1, 2, 3]);
                let made = certificate::parse(&der).expect("a certificate");
                let by = certificate::parse(&authority).expect("a certificate");
                assert_eq!(made.issuer().as_raw(), by.subject().as_raw());
                assert_eq!(made.tbs_certificate.as_ref(), body);
                assert!(
                    made.subject()
                        .to_string()
                        .starts_with(&by.subject().to_string())
                );
                assert_eq!(made.subject().to_string().contains(name), common);
                let like = certificate::parse(&twin).expect("a certificate");
                assert_eq!(made.public_key().raw, like.public_key().raw);
                let names = made
                    .subject_alternative_name()
                    .expect("one")
                    .expect("names");
                assert_eq!(names.value.general_names, [GeneralName::DNSName(name)]);
                let usage = made.key_usage().expect("one").expect("usage").value;
                assert!(usage.digital_signature() && usage.key_encipherment());
                assert!(!made.is_ca());
                let to_s = made.validity().not_after.timestamp();
                assert_eq!(to_s, now_s + AFTER_S, "{now_s}");
            }
        }
    }

    #[test]
    fn names_that_mean_more_than_a_host_are_refused() {
        let (authority, twin) = (first("ca.pem"), first("site.pem"));
        for name in [
            "",
            "a b",
            "*.a",
            "a,DNS:b",
            "a:b",
            "a\0",
            "ä",
            &"x".repeat(254),
        ] {
            let wish = Wish {
                authority: &authority,
                twin: &twin,
                name,
                serial: [1; 16],
                now_s: 0,
                algorithm: Algorithm::RsaSha256,
            };
            assert_eq!(wish.body(), None, "{name:?}");
        }
    }

    #[test]
    fn lengths_are_written_and_read() {
        for length in [0, 1, 127, 128, 255, 256, 65_535] {
            let content = vec![7; length];
            let der = tagged(4, &[&content]);
            assert_eq!(split(&der), Some((4, &content[..])), "{length}");
        }
        assert_eq!(split(&[0x30, 0x82, 1]), None);
        assert_eq!(split(&[0x30, 5, 1]), None);
        assert_eq!(split(&[]), None);
    }
}
