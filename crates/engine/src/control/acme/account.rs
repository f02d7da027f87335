//! An account at an authority: its key, and what it signs.

use std::io;
use std::path::Path;

use aws_lc_rs::digest;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use data_encoding::BASE64URL_NOPAD;
use plimsoll_policy::acme::{Signer, flattened, protected};
use plimsoll_policy::model::acme::{Acme, ExternalAccount, MacAlgorithm};
use plimsoll_policy::tls::certificate::{self, PrivateKey};
use plimsoll_policy::tls::{KeyForm, Pieces, pem};

use super::disk;
use crate::tls::forge;

/// A key that signs for an account, with its public half as JSON (RFC 7517).
pub(super) struct Account {
    key: Key,
    pub(super) jwk: String,
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ecdsa(&'static Curve, EcdsaKeyPair),
}

/// A curve, in the words of RFC 7518.
struct Curve {
    name: &'static str,
    algorithm: &'static str,
    signing: &'static EcdsaSigningAlgorithm,
}

static CURVES: [Curve; 3] = [
    Curve {
        name: "P-256",
        algorithm: "ES256",
        signing: &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
    },
    Curve {
        name: "P-384",
        algorithm: "ES384",
        signing: &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
    },
    Curve {
        name: "P-521",
        algorithm: "ES512",
        signing: &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
    },
];

impl Account {
    /// The key of the section's file, which is made when there is none.
    pub(super) fn open(acme: &Acme) -> Result<Self, String> {
        let path = Path::new(&acme.account_key);
        let told = |error: &dyn std::fmt::Display| format!("'{}': {error}", acme.account_key);
        let key = match disk::read(path) {
            Ok(pem) => {
                let mut pieces = Pieces::default();
                pieces.set_key(&pem).map_err(|error| told(&error))?;
                pieces.key
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = forge::key(acme.key).map_err(|error| told(&error))?;
                let key = forge::private(&made);
                let text = pem::private_key(&key);
                disk::store(&[(path, text.as_bytes())]).map_err(|error| told(&error))?;
                Some(key)
            }
            Err(error) => return Err(told(&error)),
        };
        let usable = key.as_ref().and_then(Self::of);
        usable.ok_or_else(|| told(&"it is no key of RSA or of a curve that is known"))
    }

    fn of(key: &PrivateKey) -> Option<Self> {
        let der = key.der();
        let by_curve = |curve| {
            let pair = EcdsaKeyPair::from_private_key_der(Curve::signing(curve), der).ok()?;
            Some(Key::Ecdsa(curve, pair))
        };
        let rsa = || match key.form {
            KeyForm::Pkcs1 => RsaKeyPair::from_der(der).ok(),
            KeyForm::Pkcs8 => RsaKeyPair::from_pkcs8(der).ok(),
            KeyForm::Sec1 => None,
        };
        let rsa = || rsa().map(|pair| Key::Rsa(Box::new(pair)));
        let key = CURVES.iter().find_map(by_curve).or_else(rsa)?;
        let jwk = key.jwk()?;
        Some(Self { key, jwk })
    }

    /// The account's key in short (RFC 7638): what answers to challenges end with.
    pub(super) fn thumbprint(&self) -> String {
        let digest = digest::digest(&digest::SHA256, self.jwk.as_bytes());
        BASE64URL_NOPAD.encode(digest.as_ref())
    }

    /// A message by this account.
    pub(super) fn signed(
        &self,
        nonce: &str,
        url: &str,
        signer: Signer<'_>,
        payload: &str,
    ) -> Option<String> {
        let header = protected(self.key.algorithm(), Some(nonce), url, signer);
        flattened(&header, payload, |bytes| self.key.sign(bytes))
    }

    /// Binds this account to another one (RFC 8555 section 7.3.4).
    pub(super) fn bound(&self, external: &ExternalAccount, url: &str) -> Option<String> {
        let signer = Signer::Account(&external.id);
        let header = protected(external.algorithm.name(), None, url, signer);
        let algorithm = match external.algorithm {
            MacAlgorithm::Hs256 => hmac::HMAC_SHA256,
            MacAlgorithm::Hs384 => hmac::HMAC_SHA384,
            MacAlgorithm::Hs512 => hmac::HMAC_SHA512,
        };
        let key = hmac::Key::new(algorithm, &external.key);
        flattened(&header, &self.jwk, |bytes| {
            Some(hmac::sign(&key, bytes).as_ref().to_vec())
        })
    }
}

impl Curve {
    fn signing(&self) -> &'static EcdsaSigningAlgorithm {
        self.signing
    }
}

impl Key {
    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ecdsa(curve, _) => curve.algorithm,
        }
    }

    fn sign(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature);
                signed.ok().map(|()| signature)
            }
            Self::Ecdsa(_, pair) => Some(pair.sign(&random, bytes).ok()?.as_ref().to_vec()),
        }
    }

    /// The public half; its members stand in the order that RFC 7638 wants.
    fn jwk(&self) -> Option<String> {
        match self {
            Self::Rsa(pair) => {
                let numbers = certificate::rsa_numbers(pair.public_key().as_ref())?;
                let [modulus, exponent] = numbers.map(|number| BASE64URL_NOPAD.encode(&number));
                Some(format!(
                    "{{\"e\":\"{exponent}\",\"kty\":\"RSA\",\"n\":\"{modulus}\"}}"
                ))
            }
            Self::Ecdsa(curve, pair) => {
                // An uncompressed point (SEC 1 section 2.3.3).
                let point = pair.public_key().as_ref().strip_prefix(&[4])?;
                let (x, y) = point.split_at(point.len() / 2);
                let (x, y) = (BASE64URL_NOPAD.encode(x), BASE64URL_NOPAD.encode(y));
                let name = curve.name;
                Some(format!(
                    "{{\"crv\":\"{name}\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\"}}"
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_policy::model::acme::{Curve as Named, KeyKind, RsaBits};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn keys_of_accounts_are_made_once_and_for_nobody_else() {
        let folder = std::env::temp_dir().join(format!("plimsoll-acme-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        for (number, kind) in [
            KeyKind::Ecdsa(Named::P256),
            KeyKind::Ecdsa(Named::P384),
            KeyKind::Ecdsa(Named::P521),
            KeyKind::Rsa(RsaBits::B2048),
        ]
        .into_iter()
        .enumerate()
        {
            let path = folder.join(format!("{number}.key"));
            let acme = Acme {
                name: String::new(),
                directory: String::new(),
                contact: None,
                account_key: path.display().to_string(),
                challenge: Default::default(),
                key: kind,
                map: None,
                profile: None,
                reuse_key: false,
                external: None,
            };
            let first = Account::open(&acme).expect("a key is made");
            let second = Account::open(&acme).expect("it is there");
            assert_eq!(first.thumbprint(), second.thumbprint(), "{kind:?}");
            let mode = fs::metadata(&path).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let signed = first.signed("n", "u", Signer::Key(&first.jwk), "{}");
            assert!(signed.is_some_and(|signed| signed.contains("\"signature\"")));
        }
        let _ = fs::remove_dir_all(&folder);
    }
}
