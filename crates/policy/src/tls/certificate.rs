//! Certificates with their keys, as PEM files give them: read, taken apart as far as choosing and checking need it, and
//! compared with their key, so that a wrong pair is told with its line and not by a handshake.
//!
//! What is absent: signatures and trust, which belong to the engine's TLS library, and files.

use std::fmt;

use rustls_pki_types::pem::{PemObject as _, SectionKind};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::der::{DerObject, parse_der};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

use super::pieces::Pieces;

/// Longest chain that is sent.
pub const CHAIN_MAX: usize = 16;

/// Most certificates or revocation lists in one file of authorities.
pub const BUNDLE_MAX: usize = 10_000;

/// Most names taken from one certificate.
const NAMES_MAX: usize = 1_000;

/// The algorithm of a key, as far as the choice among certificates depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    Rsa,
    Ecdsa,
    Other,
}

/// How the bytes of a private key are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    Pkcs1,
    Pkcs8,
    Sec1,
}

/// A private key in DER. Its bytes are overwritten when it goes, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey {
    pub form: KeyForm,
    der: Zeroizing<Vec<u8>>,
}

impl PrivateKey {
    pub fn new(form: KeyForm, der: Vec<u8>) -> Self {
        Self {
            form,
            der: Zeroizing::new(der),
        }
    }

    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

/// A certificate that can be presented.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The file it comes from, as commands and messages call it.
    pub name: String,
    /// Its own certificate, then those that lead to an authority, in DER.
    pub chain: Vec<Vec<u8>>,
    pub key: PrivateKey,
    pub kind: KeyKind,
    /// Names it is for, in lower case; wildcards begin with `*.`.
    pub names: Vec<String>,
    /// An OCSP response to staple, in DER.
    pub ocsp: Option<Vec<u8>>,
    /// A list of signed certificate timestamps.
    pub sct: Option<Vec<u8>>,
    /// The certificate of the issuer, where it is not in the chain.
    pub issuer: Option<Vec<u8>>,
    /// The file that the chain was completed from (`issuers-chain-path`).
    pub chain_file: Option<String>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// Why something cannot be presented as a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateError {
    /// The text is no PEM.
    Pem(String),
    NoCertificate,
    /// The own certificate, or one of the chain, is no X.509 certificate.
    Malformed(String),
    NoKey,
    /// The key is protected by a pass phrase.
    EncryptedKey,
    KeyMalformed,
    /// The key belongs to another certificate.
    KeyMismatch,
    TooLong,
    /// A response or a list of timestamps is no base64.
    Encoding,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pem(why) => write!(f, "it is not PEM: {why}"),
            Self::NoCertificate => f.write_str("it contains no certificate"),
            Self::Malformed(why) => write!(f, "a certificate in it is malformed: {why}"),
            Self::NoKey => f.write_str("there is no private key in it or beside it"),
            Self::EncryptedKey => f.write_str("its private key is protected by a pass phrase"),
            Self::KeyMalformed => f.write_str("its private key is malformed"),
            Self::KeyMismatch => f.write_str("its private key belongs to another certificate"),
            Self::TooLong => write!(f, "its chain is longer than {CHAIN_MAX} certificates"),
            Self::Encoding => f.write_str("it is not base64"),
        }
    }
}

impl CertificateError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::NoKey => "append the key to the file, or put it into FILE.key",
            Self::EncryptedKey => "store it without: openssl pkey -in FILE -out NEW",
            Self::KeyMismatch => {
                "compare: openssl x509 -pubkey -noout -in FILE, openssl pkey -pubout -in KEY"
            }
            _ => "",
        }
    }
}

/// The content of the files that make up one certificate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts<'a> {
    pub pem: &'a [u8],
    /// `.key`, looked at when `pem` has no key.
    pub key: Option<&'a [u8]>,
    pub ocsp: Option<&'a [u8]>,
    pub sct: Option<&'a [u8]>,
    pub issuer: Option<&'a [u8]>,
}

/// Puts a certificate together.
///
/// # Errors
/// What keeps it from being presented.
pub fn load(name: &str, parts: &Parts<'_>) -> Result<Certificate, CertificateError> {
    gather(parts)?.assemble(name)
}

/// The pieces that files give.
///
/// # Errors
/// When one of them is not what it should be, or there is no key.
pub fn gather(parts: &Parts<'_>) -> Result<Pieces, CertificateError> {
    let pieces = gather_public(parts)?;
    match pieces.key {
        Some(_) => Ok(pieces),
        None => Err(no_key(parts.pem)),
    }
}

/// The same, where a certificate will do without its key.
///
/// # Errors
/// When one of them is not what it should be.
pub fn gather_public(parts: &Parts<'_>) -> Result<Pieces, CertificateError> {
    let mut pieces = Pieces::read(parts.pem)?;
    if let (None, Some(beside)) = (&pieces.key, parts.key) {
        pieces.set_key(beside)?;
    }
    if let Some(issuer) = parts.issuer {
        pieces.set_issuer(issuer)?;
    }
    pieces.ocsp = parts.ocsp.map(<[u8]>::to_vec);
    pieces.sct = parts.sct.map(<[u8]>::to_vec);
    Ok(pieces)
}

/// Whether a private key stands in a PEM text.
pub(crate) fn has_key(pem: &[u8]) -> bool {
    sections(pem).is_ok_and(|(_, key)| key.is_some())
}

pub(super) fn no_key(pem: &[u8]) -> CertificateError {
    let encrypted = memchr::memmem::find(pem, b"ENCRYPTED").is_some();
    if encrypted {
        CertificateError::EncryptedKey
    } else {
        CertificateError::NoKey
    }
}

/// All certificates of a PEM text, and its first private key.
pub(super) fn sections(pem: &[u8]) -> Result<(Vec<Vec<u8>>, Option<PrivateKey>), CertificateError> {
    // Old tools write an encrypted key under the usual title, with a header that is no base64.
    if memchr::memmem::find(pem, b"Proc-Type: 4,ENCRYPTED").is_some() {
        return Err(CertificateError::EncryptedKey);
    }
    let (mut chain, mut key) = (Vec::new(), None);
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        let (kind, der) = section.map_err(|error| CertificateError::Pem(error.to_string()))?;
        let form = match kind {
            SectionKind::Certificate => {
                chain.push(der);
                continue;
            }
            SectionKind::RsaPrivateKey => KeyForm::Pkcs1,
            SectionKind::PrivateKey => KeyForm::Pkcs8,
            SectionKind::EcPrivateKey => KeyForm::Sec1,
            _ => continue,
        };
        let found = PrivateKey::new(form, der);
        key.get_or_insert(found);
    }
    Ok((chain, key))
}

/// Takes a certificate apart.
///
/// # Errors
/// When it is no X.509 certificate, or something follows it.
pub fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(CertificateError::Malformed(
            "something follows it".to_owned(),
        )),
        Err(error) => Err(CertificateError::Malformed(error.to_string())),
    }
}

/// A public key as signatures are checked with it.
pub struct PublicKeyBits<'a> {
    /// The contents of its AlgorithmIdentifier.
    pub algorithm: &'a [u8],
    pub bits: &'a [u8],
}

/// The key of a certificate; `None` when it is malformed.
pub fn public_key<'a>(certificate: &'a X509Certificate<'_>) -> Option<PublicKeyBits<'a>> {
    let (information, _) = element(certificate.public_key().raw)?;
    let (algorithm, rest) = element(information.content)?;
    let (key, _) = element(rest)?;
    Some(PublicKeyBits {
        algorithm: algorithm.content,
        bits: bits(key.content)?,
    })
}

/// The bytes of a bit string that has no unused bits.
pub(super) fn bits(content: &[u8]) -> Option<&[u8]> {
    match content {
        [0, bytes @ ..] => Some(bytes),
        _ => None,
    }
}

/// One element of DER.
pub(super) struct Element<'a> {
    pub(super) whole: &'a [u8],
    pub(super) content: &'a [u8],
}

/// The first element, and what follows it.
pub(super) fn element(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let first = usize::from(*der.get(1)?);
    let (head, length) = match first {
        // (0x80 is a length that is told by an end, which DER does not have.)
        0..=0x7f => (2, first),
        0x81..=0x84 => {
            let count = first & 0x7f;
            let digits = der.get(2..2 + count)?;
            let length = digits
                .iter()
                .fold(0, |length, digit| (length << 8) | usize::from(*digit));
            (2 + count, length)
        }
        _ => return None,
    };
    let end = head.checked_add(length)?;
    let whole = der.get(..end)?;
    let content = &whole[head..];
    Some((Element { whole, content }, &der[end..]))
}

/// The certificates of a file of authorities.
///
/// # Errors
/// When the text is no PEM, or has no certificate, or too many.
pub fn authorities(pem: &[u8]) -> Result<Vec<Vec<u8>>, CertificateError> {
    let mut found = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        let (kind, der) = section.map_err(|error| CertificateError::Pem(error.to_string()))?;
        if kind == SectionKind::Certificate && found.len() < BUNDLE_MAX {
            found.push(der);
        }
    }
    if found.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    Ok(found)
}

/// The revocation lists of a file.
///
/// # Errors
/// When the text is no PEM.
pub fn revocations(pem: &[u8]) -> Result<Vec<Vec<u8>>, CertificateError> {
    let mut found = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        let (kind, der) = section.map_err(|error| CertificateError::Pem(error.to_string()))?;
        if kind == SectionKind::Crl && found.len() < BUNDLE_MAX {
            found.push(der);
        }
    }
    Ok(found)
}

/// The names a certificate is for: alternative names, then common names (as HAProxy takes them).
pub fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: &str| {
        let name = name.to_ascii_lowercase();
        if !name.is_empty() && names.len() < NAMES_MAX && !names.contains(&name) {
            names.push(name);
        }
    };
    if let Ok(Some(extension)) = certificate.subject_alternative_name() {
        for name in &extension.value.general_names {
            if let GeneralName::DNSName(name) = name {
                add(name);
            }
        }
    }
    for common in certificate.subject().iter_common_name() {
        if let Ok(name) = common.as_str() {
            add(name);
        }
    }
    names
}

/// The kind of the key, which must be the certificate's.
pub(super) fn matching_kind(
    certificate: &X509Certificate<'_>,
    key: &PrivateKey,
) -> Result<KeyKind, CertificateError> {
    let known = Known::of(key).ok_or(CertificateError::KeyMalformed)?;
    let public = certificate.public_key();
    let same = |ours: Option<&[u8]>, theirs: &[u8]| match ours {
        Some(ours) if ours != theirs => Err(CertificateError::KeyMismatch),
        // A key may leave its public half out; then the handshake library compares them.
        _ => Ok(()),
    };
    match public.parsed() {
        Ok(PublicKey::RSA(rsa)) if known.kind == KeyKind::Rsa => {
            let unsigned = |bytes: &'_ [u8]| bytes.iter().position(|byte| *byte != 0);
            let trim = |bytes: &[u8]| bytes[unsigned(bytes).unwrap_or(bytes.len())..].to_vec();
            let ours = known.public.as_deref().map(trim);
            same(ours.as_deref(), &trim(rsa.modulus))?;
            Ok(KeyKind::Rsa)
        }
        Ok(PublicKey::EC(point)) if known.kind == KeyKind::Ecdsa => {
            same(known.public.as_deref(), point.data())?;
            Ok(KeyKind::Ecdsa)
        }
        Ok(PublicKey::RSA(_) | PublicKey::EC(_)) => Err(CertificateError::KeyMismatch),
        _ if known.kind == KeyKind::Other => Ok(KeyKind::Other),
        _ => Err(CertificateError::KeyMismatch),
    }
}

/// What a private key tells of its public half.
struct Known {
    kind: KeyKind,
    /// The modulus of an RSA key; the point of one on a curve, where it is written.
    public: Option<Vec<u8>>,
}

impl Known {
    fn of(key: &PrivateKey) -> Option<Self> {
        match key.form {
            KeyForm::Pkcs1 => rsa(key.der()),
            KeyForm::Sec1 => elliptic(key.der()),
            KeyForm::Pkcs8 => pkcs8(key.der()),
        }
    }
}

/// RFC 8017 appendix A.1.2: version, modulus, …
fn rsa(der: &[u8]) -> Option<Known> {
    let (_, object) = parse_der(der).ok()?;
    let modulus = object.as_sequence().ok()?.get(1)?.as_slice().ok()?;
    Some(Known {
        kind: KeyKind::Rsa,
        public: Some(modulus.to_vec()),
    })
}

/// Modulus and exponent of a public key of RSA (RFC 8017 appendix A.1.1), without leading zeros.
pub fn rsa_numbers(public: &[u8]) -> Option<[Vec<u8>; 2]> {
    let (_, object) = parse_der(public).ok()?;
    let [modulus, exponent] = object.as_sequence().ok()?.as_slice() else {
        return None;
    };
    let number = |object: &DerObject<'_>| {
        let bytes = object.as_slice().ok()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Some(bytes[zeros..].to_vec())
    };
    Some([number(modulus)?, number(exponent)?])
}

/// RFC 5915 section 3: version, key, \[0\] curve, \[1\] point.
fn elliptic(der: &[u8]) -> Option<Known> {
    let (_, object) = parse_der(der).ok()?;
    let parts = object.as_sequence().ok()?;
    let tagged = parts
        .iter()
        .find(|part| part.header.tag().0 == 1 && part.header.is_contextspecific());
    // The content of an explicit tag is an object of its own, and that of a bit string begins with its unused bits.
    let point = tagged.and_then(|part| {
        let (_, inner) = parse_der(part.as_slice().ok()?).ok()?;
        Some(inner.as_bitstring().ok()?.data.to_vec())
    });
    Some(Known {
        kind: KeyKind::Ecdsa,
        public: point,
    })
}

/// RFC 5958 section 2: version, algorithm, key.
fn pkcs8(der: &[u8]) -> Option<Known> {
    const RSA: &str = "1.2.840.113549.1.1.1";
    const ELLIPTIC: &str = "1.2.840.10045.2.1";
    let (_, object) = parse_der(der).ok()?;
    let parts = object.as_sequence().ok()?;
    let algorithm = parts.get(1)?.as_sequence().ok()?.first()?.as_oid().ok()?;
    let inner = parts.get(2)?.as_slice().ok()?;
    match algorithm.to_id_string().as_str() {
        RSA => rsa(inner),
        ELLIPTIC => elliptic(inner),
        _ => Some(Known {
            kind: KeyKind::Other,
            public: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/");
        std::fs::read(format!("{folder}{name}")).expect("a certificate for tests")
    }

    fn alone(name: &str) -> Result<Certificate, CertificateError> {
        let pem = file(name);
        let parts = Parts {
            pem: &pem,
            ..Parts::default()
        };
        load(name, &parts)
    }

    #[test]
    fn certificates_are_taken_apart() {
        let site = alone("site.pem").expect("a pair");
        assert_eq!(site.kind, KeyKind::Ecdsa);
        assert_eq!(site.names, ["site.test", "*.site.test", "www.site.test"]);
        let rsa = alone("rsa.pem").expect("a pair");
        assert_eq!(rsa.kind, KeyKind::Rsa);
        assert_eq!(rsa.names, ["rsa.test", "site.test"]);
        assert_eq!(rsa.chain.len(), 1);
        assert!(!format!("{rsa:?}").contains("der"), "keys are not shown");
    }

    #[test]
    fn a_key_may_lie_beside() {
        let (pem, key) = (file("split.pem"), file("split.pem.key"));
        let parts = Parts {
            pem: &pem,
            key: Some(&key),
            ..Parts::default()
        };
        assert!(load("split.pem", &parts).is_ok());
        assert_eq!(alone("split.pem"), Err(CertificateError::NoKey));
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert_eq!(alone("mismatch.pem"), Err(CertificateError::KeyMismatch));
        assert_eq!(alone("encrypted.pem"), Err(CertificateError::EncryptedKey));
        let load = |pem: &[u8]| {
            let parts = Parts {
                pem,
                ..Parts::default()
            };
            load("x", &parts)
        };
        assert_eq!(load(b""), Err(CertificateError::NoCertificate));
        assert_eq!(load(b"hello"), Err(CertificateError::NoCertificate));
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(load(broken).is_err());
        let truncated = file("site.pem");
        for end in 0..truncated.len() {
            let _ = load(&truncated[..end]); // whatever it is, it is no panic
        }
    }

    #[test]
    fn a_chain_is_completed_by_the_issuer() {
        let site = alone("site.pem").expect("a pair");
        let chains = [
            authorities(&file("self.pem")).expect("a certificate"),
            authorities(&file("ca.pem")).expect("a certificate"),
        ];
        let named = |chains: &'static [&'static str], all: &'static [Vec<Vec<u8>>]| {
            chains.iter().copied().zip(all.iter().map(Vec::as_slice))
        };
        let chains: &'static [Vec<Vec<u8>>] = Vec::from(chains).leak();
        let mut pieces = Pieces::from(&site);
        pieces.complete(named(&["self", "ca"], chains));
        assert_eq!(pieces.chain[1..], chains[1]);
        assert_eq!(pieces.chain_file.as_deref(), Some("ca"));
        let mut alone = Pieces::from(&alone("self.pem").expect("a pair"));
        alone.complete(named(&["ca"], &chains[1..]));
        assert_eq!(alone.chain.len(), 1);
    }

    #[test]
    fn authorities_are_counted() {
        assert_eq!(authorities(&file("ca.pem")).map(|all| all.len()), Ok(1));
        assert_eq!(authorities(b""), Err(CertificateError::NoCertificate));
        assert_eq!(revocations(&file("ca.pem")), Ok(Vec::new()));
    }
}
