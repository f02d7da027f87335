//! Keys that are made here, requests for certificates, and certificates that nobody has signed.

use std::io;
use std::sync::Arc;

use plimsoll_policy::keyword::haproxy::Dummy;
use plimsoll_policy::model::acme::{Curve, KeyKind, RsaBits};
use plimsoll_policy::tls::{KeyForm, PrivateKey, pem};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, Error, KeyPair, RsaKeySize,
    date_time_ymd,
};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

/// A new key.
pub(crate) fn key(kind: KeyKind) -> Result<Zeroizing<KeyPair>, Error> {
    let key = match kind {
        KeyKind::Rsa(bits) => {
            let size = match bits {
                RsaBits::B2048 => RsaKeySize::_2048,
                RsaBits::B3072 => RsaKeySize::_3072,
                RsaBits::B4096 => RsaKeySize::_4096,
            };
            KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size)
        }
        KeyKind::Ecdsa(Curve::P256) => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        KeyKind::Ecdsa(Curve::P384) => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        KeyKind::Ecdsa(Curve::P521) => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512),
    };
    key.map(Zeroizing::new)
}

/// A key that exists, to be used further.
pub(crate) fn same_key(key: &PrivateKey) -> Result<Zeroizing<KeyPair>, Error> {
    KeyPair::try_from(&super::provider::library_key(key)).map(Zeroizing::new)
}

/// The key in the form in which it is kept.
pub(crate) fn private(key: &KeyPair) -> PrivateKey {
    PrivateKey::new(KeyForm::Pkcs8, key.serialize_der())
}

/// A request (PKCS #10) for a certificate, in DER; the first name is the common one.
pub(crate) fn request(key: &KeyPair, names: &[String]) -> Result<Vec<u8>, Error> {
    let request = parameters(names)?.serialize_request(key)?;
    Ok(request.der().to_vec())
}

fn parameters(names: &[String]) -> Result<CertificateParams, Error> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = DistinguishedName::new();
    if let Some(first) = names.first() {
        let common = &mut parameters.distinguished_name;
        common.push(DnType::CommonName, first.as_str());
    }
    Ok(parameters)
}

/// What a validator wants to see with `tls-alpn-01` (RFC 8737 section 3).
pub(crate) fn proof(name: &str, digest: &[u8; 32]) -> Result<Arc<CertifiedKey>, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let key = key(KeyKind::Ecdsa(Curve::P256)).map_err(|error| told(&error))?;
    let mut parameters = parameters(&[name.to_owned()]).map_err(|error| told(&error))?;
    let identifier = CustomExtension::new_acme_identifier(digest);
    parameters.custom_extensions.push(identifier);
    let certificate = parameters
        .self_signed(&*key)
        .map_err(|error| told(&error))?;
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signing = any_supported_type(&der).map_err(|error| told(&error))?;
    let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
    Ok(Arc::new(CertifiedKey::new(chain, signing)))
}

/// A certificate that stands in for another: it has expired long ago.
///
/// # Errors
/// When a name is none, or the machine gives no chance.
pub fn dummy(wish: &Dummy) -> io::Result<Vec<u8>> {
    let pair = || {
        let key = key(wish.key)?;
        let mut parameters = parameters(&wish.names)?;
        parameters.distinguished_name = DistinguishedName::new();
        let common = &mut parameters.distinguished_name;
        common.push(DnType::CommonName, "expired");
        parameters.not_before = date_time_ymd(1970, 1, 1);
        parameters.not_after = date_time_ymd(1970, 1, 2);
        let certificate = parameters.self_signed(&*key)?;
        Ok((key, certificate))
    };
    let (key, certificate) = pair().map_err(|error: Error| io::Error::other(error.to_string()))?;
    let text = pem::text("CERTIFICATE", certificate.der());
    let text = text + &pem::private_key(&private(&key));
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_policy::tls::certificate::{self, Parts};

    fn loaded(pem: &[u8]) -> plimsoll_policy::tls::Certificate {
        let parts = Parts {
            pem,
            ..Parts::default()
        };
        certificate::load("dummy", &parts).expect("a pair")
    }

    #[test]
    fn what_stands_in_for_a_certificate_is_one() {
        let kinds = [
            KeyKind::Ecdsa(Curve::P256),
            KeyKind::Ecdsa(Curve::P384),
            KeyKind::Ecdsa(Curve::P521),
            KeyKind::Rsa(RsaBits::B2048),
        ];
        for key in kinds {
            let names = vec!["a.test".to_owned(), "192.0.2.1".to_owned()];
            let pem = dummy(&Dummy { key, names }).expect("a certificate");
            let loaded = loaded(&pem);
            assert_eq!(loaded.names, ["a.test", "expired"], "{key:?}");
            assert!(
                super::super::provider::certified(&loaded).is_ok(),
                "{key:?}"
            );
            let again = same_key(&loaded.key).expect("a key");
            assert!(request(&again, &["b.test".to_owned()]).is_ok(), "{key:?}");
        }
        let wrong = Dummy {
            key: KeyKind::Ecdsa(Curve::P256),
            names: vec!["ü".to_owned()],
        };
        assert!(dummy(&wrong).is_err());
    }
}
