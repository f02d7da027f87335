//! Keys of whoever receives tokens: out of JSON (RFC 7517, RFC 7518 section 6), or those of certificates.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeyPairComponents, PrivateDecryptingKey, PublicKeyComponents};
use zeroize::Zeroizing;

use crate::convert::{JsonQuery, decode_url};
use crate::tls::certificate::{self, KeyForm};

/// Most bytes of a digest that a key is derived from at a time.
const DIGEST_BYTES: usize = 32;

/// What a token can be decrypted with.
pub enum Key {
    Secret(Zeroizing<Vec<u8>>),
    Rsa(Box<PrivateDecryptingKey>),
    Curve(CurveKey),
}

impl Key {
    /// A key in JSON: `oct`, `RSA` or `EC`.
    pub fn from_json(json: &[u8]) -> Option<Self> {
        let text = |name: &str| {
            let found = JsonQuery::parse(&format!("$.{name}"), false).find(json)?;
            Some(found.into_text().into_owned())
        };
        let bytes = |name: &str| decode_url(&text(name)?).map(Zeroizing::new);
        match text("kty")?.as_slice() {
            b"oct" => bytes("k").map(Self::Secret),
            b"RSA" => rsa(bytes).map(|key| Self::Rsa(Box::new(key))),
            b"EC" => {
                let point = Point::read(text)?;
                let scalar = point.curve.padded(&bytes("d")?)?;
                let key = PrivateKey::from_private_key(point.curve.algorithm(), &scalar).ok()?;
                Some(Self::Curve(CurveKey {
                    curve: point.curve,
                    key,
                }))
            }
            _ => None,
        }
    }

    /// The private key of a certificate.
    pub fn from_certificate(key: &certificate::PrivateKey) -> Option<Self> {
        let rsa = match key.form {
            KeyForm::Pkcs1 => KeyPair::from_der(key.der()).ok().and_then(decrypting),
            KeyForm::Pkcs8 => PrivateDecryptingKey::from_pkcs8(key.der()).ok(),
            KeyForm::Sec1 => None,
        };
        if let Some(key) = rsa {
            return Some(Self::Rsa(Box::new(key)));
        }
        Curve::ALL.into_iter().find_map(|curve| {
            let key = PrivateKey::from_private_key_der(curve.algorithm(), key.der()).ok()?;
            Some(Self::Curve(CurveKey { curve, key }))
        })
    }
}

fn rsa(bytes: impl Fn(&str) -> Option<Zeroizing<Vec<u8>>>) -> Option<PrivateDecryptingKey> {
    let public = |name| {
        let bytes = bytes(name)?;
        let start = bytes.iter().position(|byte| *byte != 0)?;
        Some(bytes[start..].to_vec())
    };
    let components = KeyPairComponents {
        public_key: PublicKeyComponents {
            n: public("n")?,
            e: public("e")?,
        },
        d: bytes("d")?,
        p: bytes("p")?,
        q: bytes("q")?,
        dP: bytes("dp")?,
        dQ: bytes("dq")?,
        qInv: bytes("qi")?,
    };
    KeyPair::from_components(&components)
        .ok()
        .and_then(decrypting)
}

/// The same key for another use.
fn decrypting(pair: KeyPair) -> Option<PrivateDecryptingKey> {
    PrivateDecryptingKey::from_pkcs8(pair.as_der().ok()?.as_ref()).ok()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    fn find(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"P-256" => Self::P256,
            b"P-384" => Self::P384,
            b"P-521" => Self::P521,
            _ => return None,
        })
    }

    fn algorithm(self) -> &'static agreement::Algorithm {
        match self {
            Self::P256 => &agreement::ECDH_P256,
            Self::P384 => &agreement::ECDH_P384,
            Self::P521 => &agreement::ECDH_P521,
        }
    }

    /// A number of the field, with the zeros before it that some leave out.
    fn padded(self, number: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let length: usize = match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        };
        let zeros = length.checked_sub(number.len())?;
        let mut padded = Zeroizing::new(vec![0; zeros]);
        padded.extend_from_slice(number);
        Some(padded)
    }
}

/// A public key: a point of a curve.
pub(super) struct Point {
    curve: Curve,
    /// As in SEC 1 section 2.3.3, not compressed.
    bytes: Vec<u8>,
}

impl Point {
    /// Out of the fields of a key in JSON.
    pub(super) fn read(field: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Self> {
        if field("kty")? != b"EC" {
            return None;
        }
        let curve = Curve::find(&field("crv")?)?;
        let mut bytes = vec![4];
        for name in ["x", "y"] {
            bytes.extend_from_slice(&curve.padded(&decode_url(&field(name)?)?)?);
        }
        Some(Self { curve, bytes })
    }
}

/// A private key on a curve.
pub struct CurveKey {
    curve: Curve,
    key: PrivateKey,
}

impl CurveKey {
    /// The key that both sides agree on (RFC 7518 section 4.6.2): `name` says what for.
    pub(super) fn agree(
        &self,
        peer: &Point,
        name: &str,
        parties: &[Vec<u8>; 2],
        key_bytes: usize,
    ) -> Option<Zeroizing<Vec<u8>>> {
        if peer.curve != self.curve {
            return None;
        }
        let public = UnparsedPublicKey::new(self.curve.algorithm(), &peer.bytes);
        let agreed = agreement::agree(&self.key, public, (), |secret| {
            Ok(derive(secret, name, parties, key_bytes))
        });
        agreed.ok()
    }
}

/// The Concat KDF of NIST SP 800-56A section 5.8.1, with SHA-256.
fn derive(
    secret: &[u8],
    name: &str,
    parties: &[Vec<u8>; 2],
    key_bytes: usize,
) -> Zeroizing<Vec<u8>> {
    let mut about = Vec::new();
    for part in [name.as_bytes(), &parties[0], &parties[1]] {
        about.extend_from_slice(&(part.len() as u32).to_be_bytes());
        about.extend_from_slice(part);
    }
    about.extend_from_slice(&(8 * key_bytes as u32).to_be_bytes());
    let mut key = Zeroizing::new(Vec::with_capacity(key_bytes + DIGEST_BYTES));
    for counter in 1..=key_bytes.div_ceil(DIGEST_BYTES) as u32 {
        let mut round = digest::Context::new(&digest::SHA256);
        round.update(&counter.to_be_bytes());
        round.update(secret);
        round.update(&about);
        key.extend_from_slice(round.finish().as_ref());
    }
    key.truncate(key_bytes);
    key
}
