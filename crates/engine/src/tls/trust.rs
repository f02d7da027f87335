//! Whose certificates are believed: those of clients (`verify`, `ca-file`, `crl-file`, `…-ignore-err`), and those of
//! servers.
//!
//! Chains are judged by the library (webpki). On top of it a certificate that itself stands in the file of authorities
//! is believed as long as it is valid, as with OpenSSL: that is how self-signed certificates are pinned.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use plimsoll_policy::model::tls::{Bundle, Ignored, Profile, ServerTls, Verify};
use plimsoll_policy::tls::certificate;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::SetupError;
use super::provider::Workshop;

/// OpenSSL's numbers of what can be wrong with a certificate (X509_STORE_CTX_get_error(3)).
mod number {
    pub(super) const UNSPECIFIED: u32 = 1;
    pub(super) const NO_REVOCATION_LIST: u32 = 3;
    pub(super) const BAD_SIGNATURE: u32 = 7;
    pub(super) const NOT_YET_VALID: u32 = 9;
    pub(super) const EXPIRED: u32 = 10;
    pub(super) const REVOCATION_LIST_EXPIRED: u32 = 12;
    pub(super) const SELF_SIGNED: u32 = 18;
    pub(super) const SELF_SIGNED_IN_CHAIN: u32 = 19;
    pub(super) const NO_LOCAL_ISSUER: u32 = 20;
    pub(super) const REVOKED: u32 = 23;
    pub(super) const INVALID_PURPOSE: u32 = 26;
    pub(super) const HOST_MISMATCH: u32 = 62;
}

/// What was wrong with a client's certificate and was overlooked; zero: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Overlooked {
    /// Of the client's own certificate.
    pub(super) own: u32,
    /// Of an authority, and how far from the client's certificate it is.
    pub(super) authority: u32,
    pub(super) depth: u32,
}

thread_local! {
    /// The verdict of the handshake that this thread has just moved on; the library has no other way to tell it.
    static OVERLOOKED: Cell<Overlooked> = const { Cell::new(Overlooked { own: 0, authority: 0, depth: 0 }) };
}

/// Takes what the last verification on this thread overlooked.
pub(super) fn take_overlooked() -> Overlooked {
    OVERLOOKED.take()
}

/// Whether `own` is one of the trusted certificates itself, and valid now.
fn is_pinned(pinned: &[Arc<Bundle>], own: &CertificateDer<'_>, now: UnixTime) -> bool {
    let mut items = pinned.iter().flat_map(|bundle| &bundle.items);
    if !items.any(|item| item.as_slice() == own.as_ref()) {
        return false;
    }
    let now_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    certificate::parse(own).is_ok_and(|parsed| {
        let validity = parsed.validity();
        (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now_s)
    })
}

/// What messages about authorities are about.
fn name_of(authorities: &[Arc<Bundle>]) -> &str {
    authorities.first().map_or("verify", |bundle| &bundle.name)
}

fn lists(bundle: Option<&Arc<Bundle>>) -> Vec<CertificateRevocationListDer<'static>> {
    let items = bundle.map_or(&[][..], |bundle| &bundle.items);
    let items = items
        .iter()
        .map(|der| CertificateRevocationListDer::from(der.clone()));
    items.collect()
}

// ---- Clients

/// Judges the certificates of clients.
pub(super) struct Clients {
    inner: Arc<dyn ClientCertVerifier>,
    authorities: Vec<Arc<Bundle>>,
    revocations: bool,
    own: Ignored,
    ca: Ignored,
    /// The names of authorities that clients are told.
    hints: Vec<DistinguishedName>,
}

impl Clients {
    /// `None` when clients are not asked.
    pub(super) fn build(
        profile: &Profile,
        provider: &Arc<CryptoProvider>,
        workshop: &mut Workshop,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, SetupError> {
        if profile.verify == Verify::None {
            return Ok(None);
        }
        let authorities = [&profile.authorities, &profile.unnamed];
        let authorities: Vec<_> = authorities.into_iter().flatten().cloned().collect();
        let roots = workshop.roots(&authorities)?;
        let hints = match &profile.authorities {
            Some(named) if !profile.hide_authorities => {
                workshop.roots(std::slice::from_ref(named))?.subjects()
            }
            _ => Vec::new(),
        };
        let lists = lists(profile.revocations.as_ref());
        let revocations = !lists.is_empty();
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
            .with_crls(lists);
        if profile.verify == Verify::Optional {
            builder = builder.allow_unauthenticated();
        }
        let inner = builder
            .build()
            .map_err(|error| SetupError::new(name_of(&authorities), error))?;
        Ok(Some(Arc::new(Self {
            inner,
            authorities,
            revocations,
            own: profile.crt_ignore.clone(),
            ca: profile.ca_ignore.clone(),
            hints,
        })))
    }

    /// Whether the configuration overlooks this error; remembers it when it does.
    fn overlooks(
        &self,
        error: &Error,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> bool {
        let (number, depth) = classify(error, own, chain, now);
        let ignored = if depth == 0 { &self.own } else { &self.ca };
        if !ignored.covers(number) {
            return false;
        }
        OVERLOOKED.set(match depth {
            0 => Overlooked {
                own: number,
                ..Overlooked::default()
            },
            depth => Overlooked {
                authority: number,
                depth,
                own: 0,
            },
        });
        true
    }
}

/// OpenSSL's number for an error, and the place of the certificate it is about: 0 is the client's own.
fn classify(
    error: &Error,
    own: &CertificateDer<'_>,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> (u32, u32) {
    let Error::InvalidCertificate(error) = error else {
        return (number::UNSPECIFIED, 0);
    };
    let self_signed = |der: &CertificateDer<'_>| {
        certificate::parse(der)
            .is_ok_and(|parsed| parsed.subject().as_raw() == parsed.issuer().as_raw())
    };
    let now_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let in_time = |der: &CertificateDer<'_>| {
        certificate::parse(der).is_ok_and(|parsed| {
            let validity = parsed.validity();
            (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now_s)
        })
    };
    // The library does not say which certificate was out of time.
    let late = || u32::from(in_time(own));
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            (number::EXPIRED, late())
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            (number::NOT_YET_VALID, late())
        }
        CertificateError::UnknownIssuer if self_signed(own) => (number::SELF_SIGNED, 0),
        CertificateError::UnknownIssuer => match chain.last() {
            Some(last) if self_signed(last) => (number::SELF_SIGNED_IN_CHAIN, chain.len() as u32),
            _ => (number::NO_LOCAL_ISSUER, chain.len() as u32),
        },
        CertificateError::Revoked => (number::REVOKED, 0),
        CertificateError::UnknownRevocationStatus => (number::NO_REVOCATION_LIST, 0),
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => {
            (number::REVOCATION_LIST_EXPIRED, 0)
        }
        CertificateError::BadSignature => (number::BAD_SIGNATURE, 0),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            (number::INVALID_PURPOSE, 0)
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (number::HOST_MISMATCH, 0)
        }
        _ => (number::UNSPECIFIED, 0),
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Clients {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        OVERLOOKED.set(Overlooked::default());
        let Err(error) = self.inner.verify_client_cert(own, chain, now) else {
            return Ok(ClientCertVerified::assertion());
        };
        let believed = (!self.revocations && is_pinned(&self.authorities, own, now))
            || self.overlooks(&error, own, chain, now);
        if believed {
            return Ok(ClientCertVerified::assertion());
        }
        Err(error)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

// ---- Servers

/// Judges the certificate of a server.
pub(super) struct Servers {
    /// `None`: `verify none`, any certificate will do.
    chain: Option<Chain>,
    algorithms: WebPkiSupportedAlgorithms,
    /// `verifyhost`.
    host: Option<ServerName<'static>>,
}

struct Chain {
    inner: Arc<WebPkiServerVerifier>,
    authorities: Vec<Arc<Bundle>>,
    revocations: bool,
}

impl Servers {
    pub(super) fn build(
        tls: &ServerTls,
        provider: &Arc<CryptoProvider>,
        workshop: &mut Workshop,
    ) -> Result<Arc<dyn ServerCertVerifier>, SetupError> {
        let chain = match tls.verify {
            Verify::None => None,
            Verify::Optional | Verify::Required => {
                let authorities: Vec<_> = tls.authorities.iter().cloned().collect();
                let lists = lists(tls.revocations.as_ref());
                let revocations = !lists.is_empty();
                let roots = workshop.roots(&authorities)?;
                let builder =
                    WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
                let inner = builder
                    .with_crls(lists)
                    .build()
                    .map_err(|error| SetupError::new(name_of(&authorities), error))?;
                Some(Chain {
                    inner,
                    authorities,
                    revocations,
                })
            }
        };
        let host = match &tls.verify_host {
            Some(host) => Some(
                ServerName::try_from(host.clone()).map_err(|error| SetupError::new(host, error))?,
            ),
            None => None,
        };
        Ok(Arc::new(Self {
            chain,
            algorithms: provider.signature_verification_algorithms,
            host,
        }))
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        // The library looks at the name last, so that a wrong one says that the chain is right.
        let judged = chain
            .inner
            .verify_server_cert(own, intermediates, name, ocsp, now);
        match judged {
            Ok(_)
            | Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => {}
            Err(_) if !chain.revocations && is_pinned(&chain.authorities, own, now) => {}
            Err(error) => return Err(error),
        }
        // The name that was asked for, or `verifyhost`; where neither is given none is compared.
        let asked =
            !matches!(name, ServerName::IpAddress(address) if *address == super::back::nobody());
        let wanted = match (asked, &self.host) {
            (true, _) => name,
            (false, Some(host)) => host,
            (false, None) => return Ok(ServerCertVerified::assertion()),
        };
        verify_server_name(&ParsedCertificate::try_from(own)?, wanted)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
