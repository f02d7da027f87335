//! Certificates that an authority issues by itself (RFC 8555), as plain data.

use std::net::IpAddr;

use zeroize::Zeroizing;

/// An `acme` section: an authority, and our account there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    pub name: String,
    /// Where the authority tells its addresses.
    pub directory: String,
    /// An address of mail that the authority may write to.
    pub contact: Option<String>,
    /// The file of the account's key, which is made when it does not exist.
    pub account_key: String,
    pub challenge: Challenge,
    /// Keys to be made.
    pub key: KeyKind,
    /// The map in which tokens of http-01 lead to the account's thumbprint.
    pub map: Option<String>,
    /// What kind of certificate is asked for, in the authority's words.
    pub profile: Option<String>,
    /// A certificate keeps its key when it is renewed.
    pub reuse_key: bool,
    /// An account elsewhere that ours is bound to.
    pub external: Option<ExternalAccount>,
}

/// How an authority is shown that a name is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Challenge {
    /// By an answer to a request (RFC 8555 section 8.3).
    #[default]
    Http01,
    /// By a certificate in a handshake (RFC 8737).
    TlsAlpn01,
}

impl Challenge {
    /// The name that authorities give it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

/// A key to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    Rsa(RsaBits),
    Ecdsa(Curve),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RsaBits {
    #[default]
    B2048,
    B3072,
    B4096,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Curve {
    P256,
    #[default]
    P384,
    P521,
}

/// External account binding (RFC 8555 section 7.3.4).
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalAccount {
    pub id: String,
    pub key: Zeroizing<Vec<u8>>,
    pub algorithm: MacAlgorithm,
}

impl std::fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ExternalAccount({:?})", self.id)
    }
}

/// HMAC with a hash, by its name in RFC 7518 section 3.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MacAlgorithm {
    #[default]
    Hs256,
    Hs384,
    Hs512,
}

impl MacAlgorithm {
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// The shortest key, in bytes: as long as the hash.
    pub fn key_bytes_min(self) -> usize {
        match self {
            Self::Hs256 => 32,
            Self::Hs384 => 48,
            Self::Hs512 => 64,
        }
    }
}

/// A certificate that is to come from an authority (`acme`, `domains`, `ips` of a `load` line).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The `acme` section.
    pub section: String,
    pub domains: Vec<String>,
    pub ips: Vec<IpAddr>,
    /// The file that it is kept in, and that of its key where it is another one.
    pub path: String,
    pub key_path: Option<String>,
}

impl Subscription {
    /// Everything the certificate is to be for; the first is its common name.
    pub fn names(&self) -> Vec<String> {
        let ips = self.ips.iter().map(ToString::to_string);
        self.domains.iter().cloned().chain(ips).collect()
    }
}
