//! Whose certificates are believed: those of clients (`verify`, `ca-file`, `crl-file`, `…-ignore-err`), and those of
//! servers.
//!
//! Chains are judged by the library (webpki). What it refuses is judged once more as OpenSSL would
//! ([`plimsoll_policy::tls::judge`]): private authorities issue certificates and revocation lists of version 1, which the
//! library does not read, a certificate that itself stands in the file of authorities is believed, and a configuration may
//! overlook faults by OpenSSL's numbers.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};
use plimsoll_policy::model::tls::{Bundle, Ignored, Profile, ServerTls, Verify};
use plimsoll_policy::tls::certificate;
use plimsoll_policy::tls::judge::{
    Document, Fault, Judgement, Purpose, Question, Signed, is_for, judge, number,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    SignatureScheme,
};

use super::SetupError;
use super::provider::{Workshop, first_written, schemes};

/// What became of a client's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// What was wrong with it; zero: nothing, or nothing that was looked for.
    pub(super) own: u32,
    /// The same of an authority, and how far from the client's certificate it is.
    pub(super) authority: u32,
    pub(super) depth: u32,
    /// The last of these faults.
    pub(super) last: u32,
    /// The authority, in DER.
    pub(super) root: Option<Box<[u8]>>,
    /// The certificates that were not believed, in DER; the library forgets them.
    pub(super) shown: Vec<Box<[u8]>>,
}

impl Verdict {
    /// About these faults, in the order in which they were found.
    fn about(faults: &[Fault]) -> Self {
        let authority = faults.iter().find(|fault| fault.depth > 0);
        let of_own = faults.iter().find(|fault| fault.depth == 0);
        Self {
            own: of_own.map_or(0, |fault| fault.number),
            authority: authority.map_or(0, |fault| fault.number),
            depth: authority.map_or(0, |fault| fault.depth),
            last: faults.last().map_or(0, |fault| fault.number),
            ..Self::default()
        }
    }
}

thread_local! {
    /// The verdict of the handshake that this thread has just moved on; the library has no other way to tell it.
    static VERDICT: RefCell<Option<Verdict>> = const { RefCell::new(None) };
}

/// Takes the verdict of what this thread has just received.
pub(super) fn take_verdict() -> Option<Verdict> {
    VERDICT.take()
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

// ---- Judging

/// What chains are judged by beside the library.
struct Faith {
    authorities: Vec<Arc<Bundle>>,
    revocations: Option<Arc<Bundle>>,
    algorithms: WebPkiSupportedAlgorithms,
    /// What the other side may sign handshakes with; empty: all of these algorithms.
    signatures: Vec<SignatureScheme>,
    purpose: Purpose,
}

impl Faith {
    fn anchors(&self) -> impl Iterator<Item = &[u8]> {
        let bundles = self.authorities.iter();
        bundles.flat_map(|bundle| &bundle.items).map(Vec::as_slice)
    }

    fn judge(
        &self,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Judgement {
        let lists = self.revocations.iter().flat_map(|bundle| &bundle.items);
        let question = Question {
            own,
            chain: chain.iter().map(AsRef::as_ref).collect(),
            anchors: self.anchors().collect(),
            lists: lists.map(Vec::as_slice).collect(),
            now_s: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
            purpose: self.purpose,
        };
        judge(&question, &|signed| self.is_sound(signed))
    }

    fn is_sound(&self, signed: &Signed<'_>) -> bool {
        is_sound_by(&self.algorithms, signed)
    }

    /// The authority that a chain which is believed leads to.
    fn root_of(&self, own: &CertificateDer<'_>, chain: &[CertificateDer<'_>]) -> Option<Box<[u8]>> {
        let mut steps = chain.iter().rev().chain(std::iter::once(own));
        steps.find_map(|der| {
            let step = certificate::parse(der).ok()?;
            let issuer = step.issuer().as_raw();
            let mut anchors = self.anchors();
            let anchor = anchors.find(|anchor| {
                certificate::parse(anchor).is_ok_and(|anchor| anchor.subject().as_raw() == issuer)
            });
            anchor.map(Into::into)
        })
    }

    /// What the other side is told that it may sign with.
    fn schemes(&self) -> Vec<SignatureScheme> {
        match self.signatures.is_empty() {
            true => self.algorithms.supported_schemes(),
            false => self.signatures.clone(),
        }
    }

    /// Fails for what was not offered.
    fn is_offered(&self, scheme: SignatureScheme) -> Result<(), Error> {
        match self.signatures.is_empty() || self.signatures.contains(&scheme) {
            true => Ok(()),
            false => Err(PeerIncompatible::NoSignatureSchemesInCommon.into()),
        }
    }

    /// A signature of a handshake under a certificate that the library does not read.
    fn verify_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let unreadable = || Error::InvalidCertificate(CertificateError::BadEncoding);
        let parsed = certificate::parse(cert).map_err(|_| unreadable())?;
        let key = certificate::public_key(&parsed).ok_or_else(unreadable)?;
        let mapping = self.algorithms.mapping.iter();
        let mut known = mapping.filter(|(scheme, _)| *scheme == dss.scheme);
        let (_, algorithms) = known.next().ok_or(
            PeerIncompatible::NoSignatureSchemesInCommon, // it was not offered
        )?;
        let mut fitting = algorithms
            .iter()
            .filter(|known| known.public_key_alg_id().as_ref() == key.algorithm);
        let sound = fitting.any(|known| {
            let verified = known.verify_signature(key.bits, message, dss.signature());
            verified.is_ok()
        });
        match sound {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(Error::InvalidCertificate(CertificateError::BadSignature)),
        }
    }
}

/// Whether a signature is right.
fn is_sound_by(algorithms: &WebPkiSupportedAlgorithms, signed: &Signed<'_>) -> bool {
    // sha1WithRSAEncryption under lists: whoever makes one up needs more than a collision.
    const SHA1_WITH_RSA: &[u8] = &[
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05, 0x05, 0x00,
    ];
    if signed.document == Document::RevocationList && signed.algorithm == SHA1_WITH_RSA {
        let algorithm = &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY;
        let key = UnparsedPublicKey::new(algorithm, signed.key);
        return key.verify(signed.message, signed.signature).is_ok();
    }
    let mut known = algorithms.all.iter().filter(|known| {
        known.signature_alg_id().as_ref() == signed.algorithm
            && known.public_key_alg_id().as_ref() == signed.key_algorithm
    });
    known.any(|known| {
        let sound = known.verify_signature(signed.key, signed.message, signed.signature);
        sound.is_ok()
    })
}

/// The same, by all algorithms that the library knows.
pub(crate) fn is_sound(signed: &Signed<'_>) -> bool {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    is_sound_by(&provider.signature_verification_algorithms, signed)
}

/// Whether the library cannot read a certificate, which it need not: X.509 version 1.
fn is_old(cert: &CertificateDer<'_>) -> bool {
    certificate::parse(cert).is_ok_and(|parsed| parsed.version().0 == 0)
}

/// Signatures of TLS 1.3 (RFC 8446 section 4.2.3).
fn is_of_tls13(scheme: SignatureScheme) -> bool {
    use SignatureScheme as S;
    matches!(
        scheme,
        S::ECDSA_NISTP256_SHA256
            | S::ECDSA_NISTP384_SHA384
            | S::ECDSA_NISTP521_SHA512
            | S::ED25519
            | S::RSA_PSS_SHA256
            | S::RSA_PSS_SHA384
            | S::RSA_PSS_SHA512
    )
}

/// What the peer is told about the first fault.
fn error_of(fault: Fault) -> Error {
    Error::InvalidCertificate(match fault.number {
        number::EXPIRED => CertificateError::Expired,
        number::NOT_YET_VALID => CertificateError::NotValidYet,
        number::REVOKED => CertificateError::Revoked,
        number::BAD_SIGNATURE => CertificateError::BadSignature,
        number::INVALID_PURPOSE => CertificateError::InvalidPurpose,
        number::NO_REVOCATION_LIST | number::LIST_BAD_SIGNATURE => {
            CertificateError::UnknownRevocationStatus
        }
        number::LIST_EXPIRED => CertificateError::ExpiredRevocationList,
        number::SELF_SIGNED | number::SELF_SIGNED_IN_CHAIN | number::NO_LOCAL_ISSUER => {
            CertificateError::UnknownIssuer
        }
        _ => CertificateError::ApplicationVerificationFailure,
    })
}

// ---- Clients

/// Judges the certificates of clients.
pub(super) struct Clients {
    /// `None`: there are revocation lists that the library does not read.
    inner: Option<Arc<dyn ClientCertVerifier>>,
    faith: Faith,
    mandatory: bool,
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
        let has_lists = !lists.is_empty();
        let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
            .with_crls(lists)
            .allow_unauthenticated();
        let inner = match builder.build() {
            Ok(inner) => Some(inner),
            Err(_) if has_lists => None,
            Err(error) => return Err(SetupError::new(name_of(&authorities), error)),
        };
        Ok(Some(Arc::new(Self {
            inner,
            faith: Faith {
                authorities,
                revocations: profile.revocations.clone().filter(|_| has_lists),
                algorithms: provider.signature_verification_algorithms,
                signatures: schemes(first_written(&profile.offer.verifies, &profile.offer.signs)),
                purpose: Purpose::Client,
            },
            mandatory: profile.verify == Verify::Required,
            own: profile.crt_ignore.clone(),
            ca: profile.ca_ignore.clone(),
            hints,
        })))
    }

    /// Whether the configuration overlooks a fault.
    fn overlooks(&self, fault: &Fault) -> bool {
        let ignored = if fault.depth == 0 {
            &self.own
        } else {
            &self.ca
        };
        ignored.covers(fault.number)
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
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
        let judged = self
            .inner
            .as_ref()
            .map(|inner| inner.verify_client_cert(own, chain, now));
        if let Some(Ok(_)) = judged {
            VERDICT.set(Some(Verdict {
                root: self.faith.root_of(own, chain),
                ..Verdict::default()
            }));
            return Ok(ClientCertVerified::assertion());
        }
        let Judgement { faults, root } = self.faith.judge(own, chain, now);
        if let Some(first) = faults.iter().position(|fault| !self.overlooks(fault)) {
            let shown = std::iter::once(own).chain(chain);
            VERDICT.set(Some(Verdict {
                shown: shown.map(|der| der.as_ref().into()).collect(),
                ..Verdict::about(&faults[..=first])
            }));
            return Err(error_of(faults[first]));
        }
        VERDICT.set(Some(Verdict {
            root: root.map(Into::into),
            ..Verdict::about(&faults)
        }));
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.faith.is_offered(dss.scheme)?;
        match is_old(cert) {
            true => self.faith.verify_signature(message, cert, dss),
            false => verify_tls12_signature(message, cert, dss, &self.faith.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.faith.is_offered(dss.scheme)?;
        match is_old(cert) && is_of_tls13(dss.scheme) {
            true => self.faith.verify_signature(message, cert, dss),
            false => verify_tls13_signature(message, cert, dss, &self.faith.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.faith.schemes()
    }
}

// ---- Servers

/// Judges the certificate of a server.
pub(super) struct Servers {
    /// `verify none`: any certificate will do.
    any: bool,
    /// `None`: there are revocation lists that the library does not read.
    inner: Option<Arc<WebPkiServerVerifier>>,
    faith: Faith,
    /// `verifyhost`.
    host: Option<ServerName<'static>>,
}

impl Servers {
    pub(super) fn build(
        tls: &ServerTls,
        provider: &Arc<CryptoProvider>,
        workshop: &mut Workshop,
    ) -> Result<Arc<dyn ServerCertVerifier>, SetupError> {
        let any = tls.verify == Verify::None;
        let authorities: Vec<_> = tls.authorities.iter().cloned().collect();
        let lists = lists(tls.revocations.as_ref());
        let has_lists = !lists.is_empty();
        let mut inner = None;
        if !any {
            let roots = workshop.roots(&authorities)?;
            let builder = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
            inner = match builder.with_crls(lists).build() {
                Ok(inner) => Some(inner),
                Err(_) if has_lists => None,
                Err(error) => return Err(SetupError::new(name_of(&authorities), error)),
            };
        }
        let host = match &tls.verify_host {
            Some(host) => Some(
                ServerName::try_from(host.clone()).map_err(|error| SetupError::new(host, error))?,
            ),
            None => None,
        };
        Ok(Arc::new(Self {
            any,
            inner,
            faith: Faith {
                authorities,
                revocations: tls.revocations.clone().filter(|_| has_lists),
                algorithms: provider.signature_verification_algorithms,
                signatures: schemes(&tls.offer.verifies),
                purpose: Purpose::Server,
            },
            host,
        }))
    }

    /// The name that was asked for, or `verifyhost`; where neither is given none is compared.
    fn verify_name(&self, own: &CertificateDer<'_>, asked: &ServerName<'_>) -> Result<(), Error> {
        let is = |address| *asked == ServerName::IpAddress(address);
        if is(super::back::unfit()) {
            return Err(CertificateError::NotValidForName.into());
        }
        let named = !is(super::back::nobody());
        let wanted = match (named, &self.host) {
            (true, _) => asked,
            (false, Some(host)) => host,
            (false, None) => return Ok(()),
        };
        // HAProxy is content with a common name, which the library does not look at.
        if let ServerName::DnsName(name) = wanted
            && certificate::parse(own).is_ok_and(|parsed| is_for(&parsed, name.as_ref()))
        {
            return Ok(());
        }
        verify_server_name(&ParsedCertificate::try_from(own)?, wanted)
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
        if self.any {
            return Ok(ServerCertVerified::assertion());
        }
        // The library looks at the name last, so that a wrong one says that the chain is right.
        let judged = self
            .inner
            .as_ref()
            .map(|inner| inner.verify_server_cert(own, intermediates, name, ocsp, now));
        let believed = matches!(
            judged,
            Some(
                Ok(_)
                    | Err(Error::InvalidCertificate(
                        CertificateError::NotValidForName
                            | CertificateError::NotValidForNameContext { .. }
                    ))
            )
        );
        if !believed {
            let judgement = self.faith.judge(own, intermediates, now);
            if let Some(fault) = judgement.faults.first() {
                return Err(error_of(*fault));
            }
        }
        self.verify_name(own, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.faith.is_offered(dss.scheme)?;
        match is_old(cert) {
            true => self.faith.verify_signature(message, cert, dss),
            false => verify_tls12_signature(message, cert, dss, &self.faith.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.faith.is_offered(dss.scheme)?;
        match is_old(cert) && is_of_tls13(dss.scheme) {
            true => self.faith.verify_signature(message, cert, dss),
            false => verify_tls13_signature(message, cert, dss, &self.faith.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.faith.schemes()
    }
}
