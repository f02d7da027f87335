//! Key exchange over P-521, which the TLS library lacks and its cryptography has. It is there for certificates on that
//! curve: in TLS 1.2 a server may only use one whose curve its client has named (RFC 8422 section 5.1.1).

use aws_lc_rs::agreement::{self, ECDH_P521, PrivateKey, UnparsedPublicKey};
use rustls::crypto::{ActiveKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup};
use rustls::{Error, NamedGroup, PeerMisbehaved};

/// Ephemeral keys on secp521r1 (RFC 8446 section 4.2.8.2).
#[derive(Debug)]
pub(super) struct P521;

/// What an uncompressed point begins with; TLS knows no other form.
const UNCOMPRESSED: u8 = 4;

impl SupportedKxGroup for P521 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let private = PrivateKey::generate(&ECDH_P521).map_err(|_| GetRandomFailed)?;
        let public = private.compute_public_key().map_err(|_| GetRandomFailed)?;
        let public = public.as_ref().to_vec();
        Ok(Box::new(Exchange { private, public }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

/// Between our key and the peer's.
struct Exchange {
    private: PrivateKey,
    public: Vec<u8>,
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        if peer.first() != Some(&UNCOMPRESSED) {
            return Err(PeerMisbehaved::InvalidKeyShare.into());
        }
        let peer = UnparsedPublicKey::new(&ECDH_P521, peer);
        let wrong = Error::from(PeerMisbehaved::InvalidKeyShare);
        agreement::agree(&self.private, peer, wrong, |secret| Ok(secret.into()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_find_the_same_secret() {
        let (one, other) = (P521.start().expect("a key"), P521.start().expect("a key"));
        let (first, second) = (one.pub_key().to_vec(), other.pub_key().to_vec());
        assert_eq!(first.len(), 133);
        let one = one.complete(&second).expect("a point");
        let other = other.complete(&first).expect("a point");
        assert_eq!(one.secret_bytes(), other.secret_bytes());
        assert_eq!(one.secret_bytes().len(), 66);
    }

    #[test]
    fn what_is_no_point_is_refused() {
        let good = P521.start().expect("a key").pub_key().to_vec();
        let mut beside = good.clone();
        beside[132] ^= 1;
        let compressed = [&[2][..], &good[1..67]].concat();
        for peer in [&[][..], &[4], &good[..132], &beside, &compressed] {
            let outcome = P521.start().expect("a key").complete(peer);
            assert!(outcome.is_err(), "{peer:?}");
        }
    }
}
