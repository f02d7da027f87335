//! What an authority vouches for (RFC 6960): requests for the state of a certificate, and responses, which are stapled to
//! handshakes.
//!
//! Responses are taken apart and judged here, with the check of a signature and the time as arguments. What is absent:
//! asking an authority, which the engine does.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use super::certificate::{self, Element, bits, element};
use super::describe::{hexadecimal, moment};
use super::judge::{Check, Document, Signed, Step, signed_by};
use super::{Pieces, x509};

/// How far clocks may be apart.
const SKEW_S: i64 = 300;

/// Longest name of a certificate, in bytes of DER, as in HAProxy.
const ID_BYTES_MAX: usize = 128;

/// Most certificates in a response that are looked at.
const CERTIFICATES_MAX: usize = 8;

// Tags of DER.
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const IDENTIFIER: u8 = 0x06;
const ENUMERATED: u8 = 0x0a;
const SEQUENCE: u8 = 0x30;

/// What comes behind `1.3.14.3.2.26`, without parameters or with none.
const SHA1: [u8; 5] = [0x2b, 0x0e, 0x03, 0x02, 0x1a];
/// id-pkix-ocsp-basic.
const BASIC: [u8; 9] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];

/// The fields of a sequence, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The next field, when it has this tag.
    fn take(&mut self, tag: u8) -> Option<Element<'a>> {
        (self.0.first() == Some(&tag)).then(|| self.any())?
    }

    fn any(&mut self) -> Option<Element<'a>> {
        let (next, rest) = element(self.0)?;
        self.0 = rest;
        Some(next)
    }

    /// What stands in the next field, a sequence.
    fn inside(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(|field| Self(field.content))
    }

    fn time(&mut self) -> Option<ASN1Time> {
        let (_, time) = ASN1Time::from_der(self.any()?.whole).ok()?;
        Some(time)
    }
}

/// The name of a certificate in requests and responses (RFC 6960 section 4.1.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateId {
    /// In DER, which HAProxy shows as its key.
    pub der: Vec<u8>,
}

/// The parts of it.
#[derive(Debug, PartialEq, Eq)]
struct IdParts<'a> {
    algorithm: &'a [u8],
    name_hash: &'a [u8],
    key_hash: &'a [u8],
    serial: &'a [u8],
}

impl CertificateId {
    /// The name of the first certificate of these, whose issuer is among them; `None` when it is not.
    pub fn of(pieces: &Pieces) -> Option<Self> {
        let own = certificate::parse(pieces.chain.first()?).ok()?;
        let issuer = certificate::parse(issuer(pieces)?).ok()?;
        let hashed = |bytes: &[u8]| digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
        let name = hashed(issuer.subject().as_raw());
        let key = hashed(&issuer.public_key().subject_public_key.data);
        let algorithm = [IDENTIFIER, 5, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00];
        let fields = [
            sequence(&[&algorithm]),
            tagged(OCTETS, name.as_ref()),
            tagged(OCTETS, key.as_ref()),
            tagged(INTEGER, own.raw_serial()),
        ];
        let der = tagged(SEQUENCE, &fields.concat());
        (der.len() <= ID_BYTES_MAX).then_some(Self { der })
    }

    /// That which hexadecimal digits stand for; `None`: they stand for none.
    pub fn read(text: &str) -> Option<Self> {
        let der = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes());
        let der = der.ok().filter(|der| der.len() <= ID_BYTES_MAX)?;
        id_parts(&der)?;
        Some(Self { der })
    }

    /// In hexadecimal digits.
    pub fn text(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.der)
    }

    /// Issuer and number, a line each, with so many spaces before them.
    pub(crate) fn describe(&self, indent: usize) -> String {
        let Some(parts) = id_parts(&self.der) else {
            return String::new();
        };
        format!(
            "{:indent$}Issuer Name Hash: {}\n{:indent$}Issuer Key Hash: {}\n{:indent$}Serial Number: {}\n",
            "",
            hexadecimal(parts.name_hash),
            "",
            hexadecimal(parts.key_hash),
            "",
            hexadecimal(x509::magnitude(parts.serial)),
        )
    }

    /// A request for its state.
    pub fn request(&self) -> Vec<u8> {
        let one = sequence(&[&self.der]);
        sequence(&[&sequence(&[&sequence(&[&one])])])
    }
}

/// The certificate of the issuer of the first of these.
pub fn issuer(pieces: &Pieces) -> Option<&[u8]> {
    let own = certificate::parse(pieces.chain.first()?).ok()?;
    let others = pieces.chain[1..].iter().chain(&pieces.issuer);
    let is_it = |der: &&Vec<u8>| {
        let other = certificate::parse(der);
        other.is_ok_and(|other| other.subject().as_raw() == own.issuer().as_raw())
    };
    others.into_iter().find(is_it).map(Vec::as_slice)
}

/// Where the state of a certificate is told: the first address of its responders.
pub fn responder(own: &[u8]) -> Option<String> {
    const OCSP: &str = "1.3.6.1.5.5.7.48.1";
    let own = certificate::parse(own).ok()?;
    let mut access =
        own.extensions()
            .iter()
            .filter_map(|extension| match extension.parsed_extension() {
                ParsedExtension::AuthorityInfoAccess(access) => Some(&access.accessdescs),
                _ => None,
            });
    let places = access.next()?.iter();
    let mut responders = places.filter(|place| place.access_method.to_id_string() == OCSP);
    responders.find_map(|place| match &place.access_location {
        GeneralName::URI(url) => Some((*url).to_owned()),
        _ => None,
    })
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    match content.len() {
        length @ 0..0x80 => der.push(length as u8),
        length => {
            let digits = length.to_be_bytes();
            let zeros = digits.iter().take_while(|digit| **digit == 0).count();
            der.push(0x80 | (digits.len() - zeros) as u8);
            der.extend_from_slice(&digits[zeros..]);
        }
    }
    der.extend_from_slice(content);
    der
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tagged(SEQUENCE, &parts.concat())
}

fn id_parts(der: &[u8]) -> Option<IdParts<'_>> {
    let mut fields = Fields(der).inside(SEQUENCE)?;
    let mut algorithm = fields.inside(SEQUENCE)?;
    Some(IdParts {
        algorithm: algorithm.take(IDENTIFIER)?.content,
        name_hash: fields.take(OCTETS)?.content,
        key_hash: fields.take(OCTETS)?.content,
        serial: fields.take(INTEGER)?.content,
    })
}

/// The state of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Good,
    /// When, and for which reason.
    Revoked(ASN1Time, Option<u8>),
    Unknown,
}

/// A response, taken apart.
pub struct Response<'a> {
    id: &'a [u8],
    state: State,
    this_update: ASN1Time,
    next_update: Option<ASN1Time>,
    produced: ASN1Time,
    responder: Element<'a>,
    body: &'a [u8],
    /// The contents of the AlgorithmIdentifier of the signature.
    algorithm: &'a [u8],
    signature: &'a [u8],
    certificates: Vec<&'a [u8]>,
}

impl<'a> Response<'a> {
    /// Takes a response about one certificate apart.
    ///
    /// # Errors
    /// Why it is none, in HAProxy's words.
    pub fn read(der: &'a [u8]) -> Result<Self, &'static str> {
        let malformed = "Unable to parse OCSP response";
        let mut outer = Fields(der).inside(SEQUENCE).ok_or(malformed)?;
        let status = outer.take(ENUMERATED).ok_or(malformed)?;
        if status.content != [0] {
            return Err("OCSP response status not successful");
        }
        Self::basic(outer).ok_or("Failed to get basic response from OCSP Response")?
    }

    /// `None`: it is malformed.
    fn basic(mut outer: Fields<'a>) -> Option<Result<Self, &'static str>> {
        let mut typed = outer.inside(0xa0)?.inside(SEQUENCE)?;
        if typed.take(IDENTIFIER)?.content != BASIC {
            return None;
        }
        let mut basic = typed.inside(OCTETS)?.inside(SEQUENCE)?;
        let body = basic.take(SEQUENCE)?;
        let algorithm = basic.take(SEQUENCE)?.content;
        let signature = bits(basic.take(0x03)?.content)?;
        let mut certificates = Vec::new();
        if let Some(mut some) = basic
            .inside(0xa0)
            .and_then(|mut list| list.inside(SEQUENCE))
        {
            while certificates.len() < CERTIFICATES_MAX
                && let Some(certificate) = some.take(SEQUENCE)
            {
                certificates.push(certificate.whole);
            }
        }
        let mut fields = Fields(body.content);
        let _version = fields.take(0xa0);
        let responder = fields.any()?;
        let produced = fields.time()?;
        let mut all = fields.inside(SEQUENCE)?;
        let mut single = all.inside(SEQUENCE)?;
        if !all.0.is_empty() {
            let several = "OCSP response ignored because contains multiple single responses";
            return Some(Err(several));
        }
        let id = single.take(SEQUENCE)?.whole;
        id_parts(id)?;
        Some(Ok(Self {
            id,
            state: state(&single.any()?)?,
            this_update: single.time()?,
            next_update: match single.inside(0xa0) {
                Some(mut next) => Some(next.time()?),
                None => None,
            },
            produced,
            responder,
            body: body.whole,
            algorithm,
            signature,
            certificates,
        }))
    }

    /// Whether it may be stapled at this moment, in seconds since 1970, wherever it is from.
    ///
    /// # Errors
    /// Why not, in HAProxy's words.
    pub fn is_usable(&self, now_s: i64) -> Result<(), &'static str> {
        if self.state == State::Unknown {
            return Err("OCSP single response: certificate status is unknown");
        }
        let Some(next) = &self.next_update else {
            return Err("OCSP single response: missing nextupdate");
        };
        let begun = self.this_update.timestamp() <= now_s.saturating_add(SKEW_S);
        if !begun || next.timestamp() < now_s.saturating_sub(SKEW_S) {
            return Err("OCSP single response: no longer valid.");
        }
        if self.usable_until_s() < Some(now_s) {
            return Err(
                "OCSP single response: no longer valid. Must be valid during at least 300s.",
            );
        }
        Ok(())
    }

    /// Until when it may be stapled, in seconds since 1970: clients whose clocks are ahead must be able to believe it.
    pub fn usable_until_s(&self) -> Option<i64> {
        Some(self.holds_until_s()?.saturating_sub(SKEW_S))
    }

    /// Since when it holds, in seconds since 1970.
    pub fn holds_since_s(&self) -> i64 {
        self.this_update.timestamp()
    }

    /// Until when it holds, in seconds since 1970.
    pub fn holds_until_s(&self) -> Option<i64> {
        self.next_update.as_ref().map(ASN1Time::timestamp)
    }

    /// Whether it is about this certificate.
    pub fn is_about(&self, id: &CertificateId) -> bool {
        id_parts(self.id) == id_parts(&id.der)
    }

    /// Whether the issuer has signed it, or somebody whom the issuer lets do so (RFC 6960 section 4.2.2.2).
    pub fn is_signed(&self, issuer: &[u8], now_s: i64, check: Check<'_>) -> bool {
        let Some(issuer) = Step::read(issuer) else {
            return false;
        };
        if self.is_by(&issuer.parsed) && self.is_sound(&issuer.parsed, check) {
            return true;
        }
        self.certificates.iter().any(|der| {
            Step::read(der).is_some_and(|signer| {
                self.is_by(&signer.parsed)
                    && may_respond(&signer.parsed, now_s)
                    && signer.is_issued_by(&issuer.parsed)
                    && signed_by(Document::Certificate, der, &issuer, check)
                    && self.is_sound(&signer.parsed, check)
            })
        })
    }

    /// Whether a certificate is that of the responder.
    fn is_by(&self, signer: &X509Certificate<'_>) -> bool {
        match self.responder.whole.first() {
            Some(0xa1) => self.responder.content == signer.subject().as_raw(),
            Some(0xa2) => {
                let key = &signer.public_key().subject_public_key.data;
                let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key);
                let named = Fields(self.responder.content).take(OCTETS);
                named.is_some_and(|named| named.content == hash.as_ref())
            }
            _ => false,
        }
    }

    fn is_sound(&self, signer: &X509Certificate<'_>, check: Check<'_>) -> bool {
        certificate::public_key(signer).is_some_and(|key| {
            check(&Signed {
                document: Document::Response,
                key_algorithm: key.algorithm,
                key: key.bits,
                algorithm: self.algorithm,
                message: self.body,
                signature: self.signature,
            })
        })
    }

    /// What there is to know of it, as `openssl ocsp -respin FILE -text` has it up to the signature.
    pub fn text(&self) -> String {
        let responder = match self.responder.whole.first() {
            Some(0xa2) => Fields(self.responder.content)
                .take(OCTETS)
                .map_or_else(String::new, |hash| hexadecimal(hash.content)),
            _ => X509Name::from_der(self.responder.content)
                .map_or_else(|_| String::new(), |(_, name)| x509::spaced_line(&name)),
        };
        let mut text = format!(
            "OCSP Response Data:\n    OCSP Response Status: successful (0x0)\n    \
             Response Type: Basic OCSP Response\n    Version: 1 (0x0)\n    \
             Responder Id: {responder}\n    Produced At: {}\n    Responses:\n    Certificate ID:\n      \
             Hash Algorithm: {}\n",
            moment(&self.produced),
            hash_name(self.id),
        );
        let id = CertificateId {
            der: self.id.to_vec(),
        };
        text.push_str(&id.describe(6));
        match &self.state {
            State::Good => text.push_str("    Cert Status: good\n"),
            State::Unknown => text.push_str("    Cert Status: unknown\n"),
            State::Revoked(time, reason) => {
                let time = moment(time);
                let _ = write!(
                    text,
                    "    Cert Status: revoked\n    Revocation Time: {time}\n"
                );
                if let Some(reason) = reason {
                    let name = reason_name(*reason);
                    let _ = writeln!(text, "    Revocation Reason: {name} ({reason:#x})");
                }
            }
        }
        let _ = writeln!(text, "    This Update: {}", moment(&self.this_update));
        if let Some(next) = &self.next_update {
            let _ = writeln!(text, "    Next Update: {}", moment(next));
        }
        text.push('\n');
        text
    }
}

fn state(field: &Element<'_>) -> Option<State> {
    match field.whole.first()? {
        0x80 => Some(State::Good),
        0x82 => Some(State::Unknown),
        0xa1 => {
            let mut fields = Fields(field.content);
            let time = fields.time()?;
            let reason = fields
                .inside(0xa0)
                .and_then(|mut reason| reason.take(ENUMERATED));
            let reason = reason.and_then(|reason| reason.content.last().copied());
            Some(State::Revoked(time, reason))
        }
        _ => None,
    }
}

/// Whether an authority lets this certificate sign responses, and it is valid.
fn may_respond(signer: &X509Certificate<'_>, now_s: i64) -> bool {
    let allowed = signer.extended_key_usage().ok().flatten();
    let validity = signer.validity();
    allowed.is_some_and(|usage| usage.value.ocsp_signing)
        && validity.not_before.timestamp() <= now_s
        && now_s <= validity.not_after.timestamp()
}

fn hash_name(id: &[u8]) -> &'static str {
    const SHA256: [u8; 9] = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
    match id_parts(id).map(|parts| parts.algorithm) {
        Some(algorithm) if algorithm == SHA1 => "sha1",
        Some(algorithm) if algorithm == SHA256 => "sha256",
        _ => "unknown",
    }
}

/// Reasons of RFC 5280 section 5.3.1, as OpenSSL writes them.
fn reason_name(reason: u8) -> &'static str {
    match reason {
        0 => "unspecified",
        1 => "keyCompromise",
        2 => "cACompromise",
        3 => "affiliationChanged",
        4 => "superseded",
        5 => "cessationOfOperation",
        6 => "certificateHold",
        8 => "removeFromCRL",
        9 => "privilegeWithdrawn",
        10 => "aACompromise",
        _ => "(UNKNOWN)",
    }
}
