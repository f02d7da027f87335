//! Signature algorithms (`sigalgs`, `client-sigalgs`), in OpenSSL's two ways to write them: `RSA+SHA256`, and the names of
//! the registry, `rsa_pkcs1_sha256` (RFC 8446 section 4.2.3).

/// A way to sign that can be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signature {
    EcdsaSha256,
    EcdsaSha384,
    EcdsaSha512,
    Ed25519,
    PssSha256,
    PssSha384,
    PssSha512,
    RsaSha256,
    RsaSha384,
    RsaSha512,
}

/// Each with its name in the registry, and the others it goes by.
const NAMES: &[(Signature, &[&str])] = &[
    (
        Signature::EcdsaSha256,
        &["ecdsa_secp256r1_sha256", "ECDSA+SHA256"],
    ),
    (
        Signature::EcdsaSha384,
        &["ecdsa_secp384r1_sha384", "ECDSA+SHA384"],
    ),
    (
        Signature::EcdsaSha512,
        &["ecdsa_secp521r1_sha512", "ECDSA+SHA512"],
    ),
    (Signature::Ed25519, &["ed25519"]),
    (
        Signature::PssSha256,
        &["rsa_pss_rsae_sha256", "RSA-PSS+SHA256", "PSS+SHA256"],
    ),
    (
        Signature::PssSha384,
        &["rsa_pss_rsae_sha384", "RSA-PSS+SHA384", "PSS+SHA384"],
    ),
    (
        Signature::PssSha512,
        &["rsa_pss_rsae_sha512", "RSA-PSS+SHA512", "PSS+SHA512"],
    ),
    (Signature::RsaSha256, &["rsa_pkcs1_sha256", "RSA+SHA256"]),
    (Signature::RsaSha384, &["rsa_pkcs1_sha384", "RSA+SHA384"]),
    (Signature::RsaSha512, &["rsa_pkcs1_sha512", "RSA+SHA512"]),
];

/// What OpenSSL knows and the TLS library does not: weak hashes, DSA, Ed448, curves by Brainpool, and keys for PSS alone.
const MISSING: &[&str] = &[
    "dsa_sha1",
    "dsa_sha224",
    "dsa_sha256",
    "dsa_sha384",
    "dsa_sha512",
    "ecdsa_brainpoolP256r1_sha256",
    "ecdsa_brainpoolP384r1_sha384",
    "ecdsa_brainpoolP512r1_sha512",
    "ecdsa_sha1",
    "ecdsa_sha224",
    "ed448",
    "rsa_pkcs1_sha1",
    "rsa_pkcs1_sha224",
    "rsa_pss_pss_sha256",
    "rsa_pss_pss_sha384",
    "rsa_pss_pss_sha512",
];

/// Kinds of keys and hashes before and behind the `+` of OpenSSL's own names.
const KEYS: &[&str] = &["RSA", "RSA-PSS", "PSS", "DSA", "ECDSA"];
const HASHES: &[&str] = &["MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512"];

/// Most names in one list.
const NAMES_MAX: usize = 64;

/// What a list comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signatures {
    /// In the order of preference.
    pub known: Vec<Signature>,
    /// Names of what is not offered.
    pub missing: Vec<String>,
    /// Names of nothing.
    pub unknown: Vec<String>,
}

/// Reads a list such as `ECDSA+SHA256:rsa_pss_rsae_sha256`.
pub fn parse(list: &str) -> Signatures {
    let mut read = Signatures::default();
    for name in list.split(':').take(NAMES_MAX) {
        // OpenSSL 3.3 marks names that may be missing.
        let bare = name.trim().trim_start_matches('?');
        let is = |known: &&str| known.eq_ignore_ascii_case(bare);
        let found = NAMES.iter().find(|(_, names)| names.iter().any(is));
        match found {
            Some((signature, _)) if !read.known.contains(signature) => read.known.push(*signature),
            Some(_) => {}
            None if bare.is_empty() => {}
            None if is_missing(bare) || name.starts_with('?') => read.missing.push(bare.to_owned()),
            None => read.unknown.push(bare.to_owned()),
        }
    }
    read
}

fn is_missing(name: &str) -> bool {
    let among =
        |names: &[&str], name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    match name.split_once('+') {
        Some((key, hash)) => among(KEYS, key) && among(HASHES, hash),
        None => among(MISSING, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_their_order() {
        use Signature::{EcdsaSha256, Ed25519, PssSha256, RsaSha256, RsaSha512};
        for (list, known, missing, unknown) in [
            (
                "RSA+SHA256:ECDSA+SHA256",
                &[RsaSha256, EcdsaSha256][..],
                &[][..],
                &[][..],
            ),
            ("rsa_pkcs1_sha512:ed25519", &[RsaSha512, Ed25519], &[], &[]),
            (
                "PSS+SHA256:RSA-PSS+SHA256:rsa_pss_rsae_sha256",
                &[PssSha256],
                &[],
                &[],
            ),
            (
                "RSA+SHA1:DSA+SHA256:ed448:Ed25519",
                &[Ed25519],
                &["RSA+SHA1", "DSA+SHA256", "ed448"],
                &[],
            ),
            ("?mldsa65:RSA+SHA256", &[RsaSha256], &["mldsa65"], &[]),
            ("RSA+SHA257:nobody", &[], &[], &["RSA+SHA257", "nobody"]),
            ("", &[], &[], &[]),
        ] {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let expected = Signatures {
                known: known.to_vec(),
                missing: owned(missing),
                unknown: owned(unknown),
            };
            assert_eq!(parse(list), expected, "{list}");
        }
    }
}
