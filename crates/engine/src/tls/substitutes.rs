//! Certificates made while clients shake hands (`generate-certificates`): for names that no certificate is for, signed by an
//! authority of ours, with the key of the certificate that would have been shown otherwise.
//!
//! What is absent: what such a certificate says (`policy::tls::substitute`).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Digest, SHA256, SHA384, digest};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use plimsoll_policy::tls::substitute::{Algorithm, Wish};
use plimsoll_policy::tls::{Certificate, KeyForm, Pieces, PrivateKey};
use plimsoll_sys::clock;

use super::SetupError;
use super::front::Present;

/// One that is older is made anew: it is valid for a year.
const AGE_S_MAX: i64 = 180 * 86_400;

const NS_PER_S: u64 = 1_000_000_000;

/// The substitutes of one bind.
pub(super) struct Substitutes {
    authority: Arc<Certificate>,
    signer: Signer,
    made: Mutex<Made>,
}

impl Substitutes {
    /// `kept` substitutes are remembered.
    pub(super) fn new(authority: &Arc<Certificate>, kept: u32) -> Result<Self, SetupError> {
        let signer = Signer::of(&authority.key);
        let reason = "its key does not sign certificates";
        Ok(Self {
            authority: Arc::clone(authority),
            signer: signer.ok_or_else(|| SetupError::new(&authority.name, reason))?,
            made: Mutex::new(Made {
                room: kept as usize,
                ..Made::default()
            }),
        })
    }

    /// The substitute for a name in lower case; `None`: the name is none, or there is no key for it. `twin` is what would be
    /// shown without it, and `index` its place.
    pub(super) fn get(&self, name: &str, index: usize, twin: &Present) -> Option<Arc<Present>> {
        let now_s = (clock::wall_ns() / NS_PER_S) as i64;
        if let Some(known) = self.lock().get(name, index, now_s) {
            return Some(known);
        }
        // Workers that want the same name at once both make it, and none waits for the other.
        let present = Arc::new(self.make(name, twin, now_s)?);
        self.lock().insert(name, index, now_s, &present);
        Some(present)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self, name: &str, twin: &Present, now_s: i64) -> Option<Present> {
        let mut serial = [0; 16];
        rand::fill(&mut serial).ok()?;
        let like = &twin.certificate;
        let wish = Wish {
            authority: self.authority.chain.first()?,
            twin: like.chain.first()?,
            name,
            serial,
            now_s,
            algorithm: self.signer.algorithm(),
        };
        let body = wish.body()?;
        let own = wish.signed(&body, &self.signer.sign(&body)?);
        let pieces = Pieces {
            chain: std::iter::once(own)
                .chain(self.authority.chain.iter().cloned())
                .collect(),
            key: Some(like.key.clone()),
            ..Pieces::default()
        };
        let certificate = pieces.assemble(&like.name).ok()?;
        Some(twin.with(Arc::new(certificate)))
    }
}

/// What has been made, the least wanted first to go.
#[derive(Default)]
struct Made {
    room: usize,
    /// By name and twin: when it was last wanted, when it was made, and what it is.
    known: HashMap<(String, usize), (u64, i64, Arc<Present>)>,
    order: BTreeMap<u64, (String, usize)>,
    last: u64,
}

impl Made {
    fn get(&mut self, name: &str, index: usize, now_s: i64) -> Option<Arc<Present>> {
        let key = (name.to_owned(), index);
        let (wanted, made_s, present) = self.known.get_mut(&key)?;
        if now_s.abs_diff(*made_s) > AGE_S_MAX.unsigned_abs() {
            return None;
        }
        self.order.remove(wanted);
        self.last += 1;
        *wanted = self.last;
        self.order.insert(self.last, key);
        Some(Arc::clone(present))
    }

    fn insert(&mut self, name: &str, index: usize, now_s: i64, present: &Arc<Present>) {
        if self.room == 0 {
            return;
        }
        let key = (name.to_owned(), index);
        self.last += 1;
        let entry = (self.last, now_s, Arc::clone(present));
        if let Some((before, ..)) = self.known.insert(key.clone(), entry) {
            self.order.remove(&before);
        }
        self.order.insert(self.last, key);
        if self.known.len() > self.room
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.known.remove(&oldest);
        }
    }
}

/// The authority's key.
enum Signer {
    Ecdsa(EcdsaKeyPair),
    /// On P-384, for which the library knows no signature with SHA-256.
    EcdsaP384(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({:?})", self.algorithm())
    }
}

impl Signer {
    fn of(key: &PrivateKey) -> Option<Self> {
        let der = key.der();
        for curve in [
            &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            &signature::ECDSA_P521_SHA256_ASN1_SIGNING,
        ] {
            if let Ok(pair) = EcdsaKeyPair::from_private_key_der(curve, der) {
                return Some(Self::Ecdsa(pair));
            }
        }
        let curve = &signature::ECDSA_P384_SHA384_ASN1_SIGNING;
        if let Ok(pair) = EcdsaKeyPair::from_private_key_der(curve, der) {
            return Some(Self::EcdsaP384(pair));
        }
        let rsa = match key.form {
            KeyForm::Pkcs1 => RsaKeyPair::from_der(der).ok(),
            KeyForm::Pkcs8 => RsaKeyPair::from_pkcs8(der).ok(),
            KeyForm::Sec1 => None,
        };
        let rsa = rsa.map(|pair| Self::Rsa(Box::new(pair)));
        rsa.or_else(|| Some(Self::Ed25519(Ed25519KeyPair::from_pkcs8(der).ok()?)))
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ecdsa(_) | Self::EcdsaP384(_) => Algorithm::EcdsaSha256,
            Self::Rsa(_) => Algorithm::RsaSha256,
            Self::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    fn sign(&self, body: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        Some(match self {
            Self::Ecdsa(pair) => pair.sign(&random, body).ok()?.as_ref().to_vec(),
            Self::EcdsaP384(pair) => {
                // A digest is a number (SEC 1 section 4.1.3): zeros before it change nothing.
                let mut wide = [0; 48];
                wide[16..].copy_from_slice(digest(&SHA256, body).as_ref());
                let wide = Digest::import_less_safe(&wide, &SHA384).ok()?;
                pair.sign_digest(&wide).ok()?.as_ref().to_vec()
            }
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, body, &mut signature)
                    .ok()?;
                signature
            }
            Self::Ed25519(pair) => pair.sign(body).as_ref().to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::forge;
    use super::*;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P521_SHA256_ASN1,
        RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
    };
    use plimsoll_policy::model::acme::{Curve, KeyKind, RsaBits};
    use rcgen::PublicKeyData as _;

    #[test]
    fn every_kind_of_authority_signs() {
        let kinds: [(KeyKind, &'static dyn VerificationAlgorithm); 4] = [
            (KeyKind::Ecdsa(Curve::P256), &ECDSA_P256_SHA256_ASN1),
            (KeyKind::Ecdsa(Curve::P384), &ECDSA_P384_SHA256_ASN1),
            (KeyKind::Ecdsa(Curve::P521), &ECDSA_P521_SHA256_ASN1),
            (KeyKind::Rsa(RsaBits::B2048), &RSA_PKCS1_2048_8192_SHA256),
        ];
        for (kind, verification) in kinds {
            let pair = forge::key(kind).expect("a key");
            let signer = Signer::of(&forge::private(&pair)).expect("a signer");
            let signature = signer.sign(b"some body").expect("a signature");
            let key = UnparsedPublicKey::new(verification, pair.der_bytes());
            assert!(key.verify(b"some body", &signature).is_ok(), "{signer:?}");
            assert!(key.verify(b"another", &signature).is_err(), "{signer:?}");
        }
    }
}
