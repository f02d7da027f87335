//! Everything of TLS that goes by the name of a file: certificates, files of authorities and of revocation lists, and
//! lists of certificates, whether anything uses them or not. Commands show it and replace what is in it.
//!
//! What is absent: where it is used, which binds and servers hold by themselves ([`crate::model`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Certificate;
use super::certificate::PrivateKey;
use super::pieces::Pieces;
use crate::model::acme::Subscription;
use crate::model::tls::Bundle;

/// What a configuration, and commands since, have loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Store {
    pub certificates: BTreeMap<String, Arc<Stored>>,
    pub bundles: BTreeMap<String, StoredBundle>,
    /// Lists of certificates, and directories of such.
    pub lists: BTreeMap<String, Arc<List>>,
    /// `crt-base` and `ca-base`: where relative names begin.
    pub crt_base: Option<String>,
    pub ca_base: Option<String>,
    /// `ssl-load-extra-del-ext`: `site.key` belongs to `site.crt`.
    pub short_names: bool,
    /// The chains of `issuers-chain-path`, by file.
    pub issuers: Arc<Vec<(String, Vec<Vec<u8>>)>>,
    /// Where binds stand in the configuration, as `FILE:LINE`, by the numbers of frontend and bind.
    pub places: Arc<BTreeMap<(u32, u32), String>>,
}

/// A certificate by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    pub content: Content,
    pub files: Files,
    /// `jwt on`: tokens are verified with it.
    pub jwt: bool,
    /// It comes from an authority, which renews it.
    pub subscription: Option<Arc<Subscription>>,
    /// It was made up, because the authority has not issued it yet.
    pub stands_in: bool,
    /// `ocsp-update on`: its authority is asked again and again whether it vouches for it.
    pub fetches: bool,
}

/// The files that a certificate was loaded from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    pub crt: Option<String>,
    pub key: Option<String>,
    pub ocsp: Option<String>,
    pub issuer: Option<String>,
    pub sctl: Option<String>,
}

/// Whether a certificate can be presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Whole(Arc<Certificate>),
    /// Without a key, or with nothing in it yet.
    Part(Arc<Pieces>),
}

impl Default for Content {
    fn default() -> Self {
        Self::Part(Arc::default())
    }
}

impl Content {
    /// The certificate and those behind it, in DER.
    pub fn chain(&self) -> &[Vec<u8>] {
        match self {
            Self::Whole(certificate) => &certificate.chain,
            Self::Part(pieces) => &pieces.chain,
        }
    }

    /// What it is made of.
    pub fn pieces(&self) -> Pieces {
        match self {
            Self::Whole(certificate) => Pieces::from(&**certificate),
            Self::Part(pieces) => Pieces::clone(pieces),
        }
    }

    /// Its private key.
    pub fn key(&self) -> Option<&PrivateKey> {
        match self {
            Self::Whole(certificate) => Some(&certificate.key),
            Self::Part(pieces) => pieces.key.as_ref(),
        }
    }

    pub fn whole(&self) -> Option<&Arc<Certificate>> {
        match self {
            Self::Whole(certificate) => Some(certificate),
            Self::Part(_) => None,
        }
    }
}

/// What a file of authorities or lists is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleKind {
    Authorities,
    Revocations,
}

#[derive(Clone, Debug, PartialEq)]
pub struct StoredBundle {
    pub kind: BundleKind,
    /// `None`: nothing is in it yet.
    pub bundle: Option<Arc<Bundle>>,
}

/// A `crt-list`, or a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    pub lines: Vec<ListLine>,
    pub is_directory: bool,
    /// The number of the last line there was; further ones are counted from it.
    pub last: u32,
}

/// One line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListLine {
    pub number: u32,
    /// The name of its certificate.
    pub certificate: String,
    /// What its brackets say, in the order in which HAProxy shows it; `None`: it has none.
    pub options: Option<String>,
    /// The names it is for, as they were written.
    pub filters: Vec<String>,
}

impl Store {
    /// The name that lists and commands mean when they write `name`.
    pub fn full_name(&self, name: &str) -> String {
        match &self.crt_base {
            Some(base) if !name.starts_with(['/', '@']) => format!("{base}/{name}"),
            _ => name.to_owned(),
        }
    }

    /// The chains that certificates without one are completed from.
    pub fn issuer_chains(&self) -> impl Iterator<Item = (&str, &[Vec<u8>])> {
        let all = self.issuers.iter();
        all.map(|(file, chain)| (file.as_str(), chain.as_slice()))
    }
}

/// What has been sent by commands and not been committed yet: one of each kind, as in HAProxy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transactions {
    pub certificate: Option<Pending<Pieces>>,
    pub authorities: Option<Pending<Vec<Vec<u8>>>>,
    pub revocations: Option<Pending<Vec<Vec<u8>>>>,
}

/// What is to take the place of a file's content.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending<T> {
    pub name: String,
    pub content: T,
}
