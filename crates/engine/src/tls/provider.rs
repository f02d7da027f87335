//! The cryptographic provider of each offer, and keys and trust in the library's form; each is made once.

use std::collections::HashMap;
use std::sync::Arc;

use plimsoll_policy::model::tls::{Bundle, Offer};
use plimsoll_policy::tls::certificate::PrivateKey;
use plimsoll_policy::tls::{Certificate, CipherSuite, Group, KeyForm, Signature, Version};
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
    SubjectPublicKeyInfoDer,
};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    InconsistentKeys, RootCertStore, SignatureAlgorithm, SignatureScheme, SupportedCipherSuite,
    SupportedProtocolVersion, version,
};

use super::SetupError;
use super::wide_curve::P521;

/// What is shared while settings are made; dropped when they are.
#[derive(Default)]
pub(super) struct Workshop {
    providers: Vec<(Offer, Arc<CryptoProvider>)>,
    /// By the address of what they are made of, which outlives the workshop.
    keys: HashMap<*const Certificate, Arc<CertifiedKey>>,
    /// Certificates that were made ready before, by name.
    kept: HashMap<String, (Arc<Certificate>, Arc<CertifiedKey>)>,
    roots: HashMap<Vec<*const Bundle>, Arc<RootCertStore>>,
    /// Connections tell their secrets.
    pub(super) keeps_secrets: bool,
}

impl Workshop {
    /// An empty one; `keeps_secrets`: connections tell their secrets.
    pub(super) fn new(keeps_secrets: bool) -> Self {
        Self {
            keeps_secrets,
            ..Self::default()
        }
    }

    /// The provider that offers these suites and groups and no others.
    pub(super) fn provider(&mut self, offer: &Offer) -> Arc<CryptoProvider> {
        let same = |known: &Offer| {
            known.versions == offer.versions
                && known.suites == offer.suites
                && known.groups == offer.groups
        };
        if let Some((_, provider)) = self.providers.iter().find(|(known, _)| same(known)) {
            return Arc::clone(provider);
        }
        let provider = Arc::new(CryptoProvider {
            // Suites of a version that is not offered would be named to servers all the same.
            cipher_suites: offer.usable_suites().map(suite_of).collect(),
            kx_groups: offer.groups.iter().map(|group| group_of(*group)).collect(),
            ..aws_lc_rs::default_provider()
        });
        self.providers.push((offer.clone(), Arc::clone(&provider)));
        provider
    }

    /// A certificate ready to sign with.
    pub(super) fn key(
        &mut self,
        certificate: &Arc<Certificate>,
    ) -> Result<Arc<CertifiedKey>, SetupError> {
        let address = Arc::as_ptr(certificate);
        if let Some(key) = self.keys.get(&address) {
            return Ok(Arc::clone(key));
        }
        let key = match self.kept.get(&certificate.name) {
            Some((kept, key)) if kept == certificate => Arc::clone(key),
            _ => Arc::new(certified(certificate)?),
        };
        self.keys.insert(address, Arc::clone(&key));
        Ok(key)
    }

    /// Remembers a certificate that was made ready before.
    pub(super) fn keep(&mut self, certificate: &Arc<Certificate>, key: &Arc<CertifiedKey>) {
        let pair = (Arc::clone(certificate), Arc::clone(key));
        self.kept.insert(certificate.name.clone(), pair);
    }

    /// The authorities of these files. Those that the library cannot use are left out, as long as some remain.
    pub(super) fn roots(
        &mut self,
        bundles: &[Arc<Bundle>],
    ) -> Result<Arc<RootCertStore>, SetupError> {
        let addresses: Vec<_> = bundles.iter().map(Arc::as_ptr).collect();
        if let Some(roots) = self.roots.get(&addresses) {
            return Ok(Arc::clone(roots));
        }
        let mut store = RootCertStore::empty();
        let items = bundles.iter().flat_map(|bundle| &bundle.items);
        let items = items.map(|der| CertificateDer::from(der.as_slice()));
        let (added, _) = store.add_parsable_certificates(items);
        if added == 0 {
            let name = bundles.first().map_or("verify", |bundle| &bundle.name);
            let reason = "there is no certificate of an authority";
            return Err(SetupError::new(name, reason));
        }
        let store = Arc::new(store);
        self.roots.insert(addresses, Arc::clone(&store));
        Ok(store)
    }
}

/// Makes the key that signs for a certificate.
pub(super) fn certified(certificate: &Certificate) -> Result<CertifiedKey, SetupError> {
    let key = library_key(&certificate.key);
    let signing = aws_lc_rs::sign::any_supported_type(&key)
        .map_err(|error| SetupError::new(&certificate.name, error))?;
    let chain = certificate
        .chain
        .iter()
        .map(|der| CertificateDer::from(der.clone()));
    let mut certified = CertifiedKey::new(chain.collect(), signing);
    // The library takes no certificate of X.509 version 1 apart, and has no need to: it only sends ours. `policy::tls`
    // has compared the keys already where a key names its public half.
    if let Err(error @ rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) =
        certified.keys_match()
    {
        return Err(SetupError::new(&certificate.name, error));
    }
    certified.ocsp.clone_from(&certificate.ocsp);
    Ok(certified)
}

/// A key in the library's form.
pub(super) fn library_key(key: &PrivateKey) -> PrivateKeyDer<'_> {
    let der = key.der();
    match key.form {
        KeyForm::Pkcs1 => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der)),
        KeyForm::Pkcs8 => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)),
        KeyForm::Sec1 => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der)),
    }
}

pub(super) fn versions(offer: &Offer) -> Vec<&'static SupportedProtocolVersion> {
    let both = [
        (Version::Tls13, &version::TLS13),
        (Version::Tls12, &version::TLS12),
    ];
    let offered = both.into_iter().filter(|(version, _)| {
        let mut suites = offer.usable_suites();
        suites.any(|suite| suite.version() == *version)
    });
    offered.map(|(_, version)| version).collect()
}

/// The same certificate, signing with these alone; empty: with whatever its key can do.
pub(super) fn signing(key: &Arc<CertifiedKey>, signs: &[Signature]) -> Arc<CertifiedKey> {
    if signs.is_empty() {
        return Arc::clone(key);
    }
    let selective = Selective {
        key: Arc::clone(&key.key),
        schemes: schemes(signs),
    };
    let mut chosen = CertifiedKey::new(key.cert.clone(), Arc::new(selective));
    chosen.ocsp.clone_from(&key.ocsp);
    Arc::new(chosen)
}

/// A key that signs in some of the ways it could.
#[derive(Debug)]
struct Selective {
    key: Arc<dyn SigningKey>,
    /// The most wanted first.
    schemes: Vec<SignatureScheme>,
}

impl SigningKey for Selective {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let mut common = self
            .schemes
            .iter()
            .filter(|scheme| offered.contains(scheme));
        common.find_map(|scheme| self.key.choose_scheme(&[*scheme]))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.key.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

/// Of two lists the first, unless nothing is written there.
pub(super) fn first_written<'a>(
    list: &'a [Signature],
    otherwise: &'a [Signature],
) -> &'a [Signature] {
    if list.is_empty() { otherwise } else { list }
}

/// The library's names.
pub(super) fn schemes(signatures: &[Signature]) -> Vec<SignatureScheme> {
    let name = |signature: &Signature| match signature {
        Signature::EcdsaSha256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        Signature::EcdsaSha384 => SignatureScheme::ECDSA_NISTP384_SHA384,
        Signature::EcdsaSha512 => SignatureScheme::ECDSA_NISTP521_SHA512,
        Signature::Ed25519 => SignatureScheme::ED25519,
        Signature::PssSha256 => SignatureScheme::RSA_PSS_SHA256,
        Signature::PssSha384 => SignatureScheme::RSA_PSS_SHA384,
        Signature::PssSha512 => SignatureScheme::RSA_PSS_SHA512,
        Signature::RsaSha256 => SignatureScheme::RSA_PKCS1_SHA256,
        Signature::RsaSha384 => SignatureScheme::RSA_PKCS1_SHA384,
        Signature::RsaSha512 => SignatureScheme::RSA_PKCS1_SHA512,
    };
    signatures.iter().map(name).collect()
}

fn suite_of(suite: CipherSuite) -> SupportedCipherSuite {
    match suite {
        CipherSuite::Tls13Aes128 => cipher_suite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::Tls13Aes256 => cipher_suite::TLS13_AES_256_GCM_SHA384,
        CipherSuite::Tls13ChaCha20 => cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        CipherSuite::EcdsaAes128 => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdsaAes256 => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdsaChaCha20 => cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite::RsaAes128 => cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::RsaAes256 => cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::RsaChaCha20 => cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    }
}

fn group_of(group: Group) -> &'static dyn SupportedKxGroup {
    match group {
        Group::X25519 => kx_group::X25519,
        Group::P256 => kx_group::SECP256R1,
        Group::P384 => kx_group::SECP384R1,
        Group::P521 => &P521,
        Group::X25519MlKem768 => kx_group::X25519MLKEM768,
        Group::P256MlKem768 => kx_group::SECP256R1MLKEM768,
        Group::MlKem768 => kx_group::MLKEM768,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_policy::tls::certificate::{self, Parts};

    #[test]
    fn every_usual_kind_of_key_signs() {
        for name in ["site.pem", "rsa.pem", "client.pem", "self.pem", "old.pem"] {
            let path = format!("{}/../policy/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"));
            let pem = std::fs::read(path).expect("a certificate for tests");
            let parts = Parts {
                pem: &pem,
                ..Parts::default()
            };
            let loaded = certificate::load(name, &parts).expect("a pair");
            let made = certified(&loaded);
            assert!(made.is_ok(), "{name}: {:?}", made.err());
        }
    }
}
