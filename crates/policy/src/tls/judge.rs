//! Whether a certificate leads to an authority that is believed (RFC 5280 section 6), told as OpenSSL tells it: each fault
//! with its number and its place in the chain, so that a configuration may overlook some of them.
//!
//! Private authorities issue what the web has given up: certificates and revocation lists of version 1. Both are
//! understood here. Whatever else is not understood is a fault: name constraints, and critical extensions that are not
//! looked at. What is absent: cryptography, which is an argument.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::certificate::{self, bits, element};

/// OpenSSL's numbers of what can be wrong (X509_STORE_CTX_get_error(3)).
pub mod number {
    pub const UNSPECIFIED: u32 = 1;
    pub const NO_REVOCATION_LIST: u32 = 3;
    pub const BAD_SIGNATURE: u32 = 7;
    pub const LIST_BAD_SIGNATURE: u32 = 8;
    pub const NOT_YET_VALID: u32 = 9;
    pub const EXPIRED: u32 = 10;
    pub const LIST_NOT_YET_VALID: u32 = 11;
    pub const LIST_EXPIRED: u32 = 12;
    pub const SELF_SIGNED: u32 = 18;
    pub const SELF_SIGNED_IN_CHAIN: u32 = 19;
    pub const NO_LOCAL_ISSUER: u32 = 20;
    pub const LEAF_ALONE: u32 = 21;
    pub const CHAIN_TOO_LONG: u32 = 22;
    pub const REVOKED: u32 = 23;
    pub const INVALID_AUTHORITY: u32 = 24;
    pub const PATH_TOO_LONG: u32 = 25;
    pub const INVALID_PURPOSE: u32 = 26;
    pub const MAY_NOT_SIGN: u32 = 32;
    pub const CRITICAL_EXTENSION: u32 = 34;
    pub const MAY_NOT_SIGN_LISTS: u32 = 35;
    pub const LIST_CRITICAL_EXTENSION: u32 = 36;
}

/// Longest path that is followed.
const PATH_MAX: usize = 10;

/// Most signatures that are checked for one path: whoever sends many certificates of one name gains nothing by it.
const SIGNATURES_MAX: u32 = 40;

/// Extensions that are looked at here, or mean nothing for trust.
const KNOWN_EXTENSIONS: [&str; 8] = [
    "2.5.29.14", // key identifiers
    "2.5.29.35",
    "2.5.29.15", // key usage
    "2.5.29.37", // extended key usage
    "2.5.29.17", // alternative names
    "2.5.29.18",
    "2.5.29.19", // basic constraints
    "2.5.29.32", // policies
];

/// What the certificate is to be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Client,
    Server,
}

/// What is asked.
pub struct Question<'a> {
    /// The peer's own certificate, in DER.
    pub own: &'a [u8],
    /// What it has sent to lead to an authority, in any order.
    pub chain: Vec<&'a [u8]>,
    /// Certificates that are believed.
    pub anchors: Vec<&'a [u8]>,
    /// Lists of revoked certificates; empty: none are looked for.
    pub lists: Vec<&'a [u8]>,
    /// In seconds since 1970.
    pub now_s: i64,
    pub purpose: Purpose,
}

/// What a signature stands under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    Certificate,
    RevocationList,
    /// An OCSP response.
    Response,
}

/// A signature with what it takes to check it.
pub struct Signed<'a> {
    pub document: Document,
    /// The contents of the AlgorithmIdentifier of the signer's key, and its key.
    pub key_algorithm: &'a [u8],
    pub key: &'a [u8],
    /// The contents of the AlgorithmIdentifier of the signature.
    pub algorithm: &'a [u8],
    pub message: &'a [u8],
    pub signature: &'a [u8],
}

/// Checks a signature.
pub type Check<'a> = &'a dyn Fn(&Signed<'_>) -> bool;

/// Something is wrong with the certificate that stands so far from the peer's own, which is at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub number: u32,
    pub depth: u32,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// In the order in which OpenSSL finds them; none: it is believed.
    pub faults: Vec<Fault>,
    /// The authority that the path ends at, in DER.
    pub root: Option<Vec<u8>>,
}

/// A certificate of the path.
pub(super) struct Step<'a> {
    der: &'a [u8],
    pub(super) parsed: X509Certificate<'a>,
}

impl<'a> Step<'a> {
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let parsed = certificate::parse(der).ok()?;
        Some(Self { der, parsed })
    }

    fn is_self_issued(&self) -> bool {
        self.parsed.subject().as_raw() == self.parsed.issuer().as_raw()
    }

    pub(super) fn is_issued_by(&self, other: &X509Certificate<'_>) -> bool {
        self.parsed.issuer().as_raw() == other.subject().as_raw()
    }
}

/// Follows the path and looks at everything on it.
pub fn judge(question: &Question<'_>, check: Check<'_>) -> Judgement {
    let Some(own) = Step::read(question.own) else {
        let faults = vec![Fault {
            number: number::UNSPECIFIED,
            depth: 0,
        }];
        return Judgement { faults, root: None };
    };
    let mut path = Path {
        steps: vec![own],
        faults: Vec::new(),
        anchored: false,
        signatures_left: SIGNATURES_MAX,
        check,
    };
    path.build(question);
    path.look_at_extensions(question.purpose);
    if !question.lists.is_empty() {
        path.look_for_revocations(question);
    }
    path.look_for_company();
    path.look_at_times(question.now_s);
    let root = path.steps.last().filter(|_| path.anchored);
    Judgement {
        root: root.map(|step| step.der.to_vec()),
        faults: path.faults,
    }
}

struct Path<'a, 'c> {
    steps: Vec<Step<'a>>,
    faults: Vec<Fault>,
    /// Whether the last step is believed.
    anchored: bool,
    signatures_left: u32,
    check: Check<'c>,
}

impl<'a> Path<'a, '_> {
    fn fault(&mut self, number: u32, depth: usize) {
        let depth = depth as u32;
        self.faults.push(Fault { number, depth });
    }

    fn build(&mut self, question: &Question<'a>) {
        loop {
            let depth = self.steps.len() - 1;
            let der = self.steps[depth].der;
            if question.anchors.contains(&der) {
                self.anchored = true;
                return;
            }
            if self.steps.len() > PATH_MAX {
                return self.fault(number::CHAIN_TOO_LONG, depth);
            }
            let mut forged = false;
            if let Some(anchor) = self.issuer(&question.anchors, &mut forged) {
                self.steps.push(anchor);
                self.anchored = true;
                return;
            }
            match self.issuer(&question.chain, &mut forged) {
                Some(step) => self.steps.push(step),
                None => {
                    let number = match (forged, self.steps[depth].is_self_issued()) {
                        (true, _) => number::BAD_SIGNATURE,
                        (_, true) if depth == 0 => number::SELF_SIGNED,
                        (_, true) => number::SELF_SIGNED_IN_CHAIN,
                        _ => number::NO_LOCAL_ISSUER,
                    };
                    return self.fault(number, depth);
                }
            }
        }
    }

    /// The one among `candidates` that has signed the last step; `forged`: there is only one that claims to.
    fn issuer(&mut self, candidates: &[&'a [u8]], forged: &mut bool) -> Option<Step<'a>> {
        let last = self.steps.len() - 1;
        for der in candidates {
            if self.steps.iter().any(|step| step.der == *der) {
                continue;
            }
            let Some(candidate) = Step::read(der) else {
                continue;
            };
            if !self.steps[last].is_issued_by(&candidate.parsed) {
                continue;
            }
            if self.signatures_left == 0 {
                return None;
            }
            self.signatures_left -= 1;
            let subject = self.steps[last].der;
            if signed_by(Document::Certificate, subject, &candidate, self.check) {
                *forged = false;
                return Some(candidate);
            }
            *forged = true;
        }
        None
    }

    // ---- What each certificate may be used for

    fn look_at_extensions(&mut self, purpose: Purpose) {
        let mut found = Vec::new();
        for (depth, step) in self.steps.iter().enumerate() {
            if has_unknown_critical(&step.parsed) {
                found.push((number::CRITICAL_EXTENSION, depth));
            }
            let is_anchor = self.anchored && depth + 1 == self.steps.len();
            if depth > 0 {
                found.extend(authority_fault(step, depth, is_anchor).map(|number| (number, depth)));
            }
            let fits = match depth {
                0 => suits_end(&step.parsed, purpose),
                _ => is_anchor || suits(&step.parsed, purpose),
            };
            if !fits {
                found.push((number::INVALID_PURPOSE, depth));
            }
        }
        for (number, depth) in found {
            self.fault(number, depth);
        }
    }

    // ---- Revocation

    fn look_for_revocations(&mut self, question: &Question<'a>) {
        // Nobody but the one who believes in it can revoke an authority.
        for depth in 0..self.steps.len().saturating_sub(1) {
            if let Some(number) = self.revocation_fault(depth, question) {
                self.fault(number, depth);
            }
        }
    }

    fn revocation_fault(&mut self, depth: usize, question: &Question<'a>) -> Option<u32> {
        let (step, issuer) = (&self.steps[depth], &self.steps[depth + 1]);
        let mut seen = false;
        for der in &question.lists {
            let Ok((_, list)) = CertificateRevocationList::from_der(der) else {
                continue;
            };
            if list.issuer().as_raw() != step.parsed.issuer().as_raw() {
                continue;
            }
            seen = true;
            if list.extensions().iter().any(|extension| extension.critical) {
                return Some(number::LIST_CRITICAL_EXTENSION);
            }
            if !may(&issuer.parsed, |usage| usage.crl_sign()) {
                return Some(number::MAY_NOT_SIGN_LISTS);
            }
            if self.signatures_left == 0 {
                return Some(number::LIST_BAD_SIGNATURE);
            }
            self.signatures_left -= 1;
            if !signed_by(Document::RevocationList, der, issuer, self.check) {
                return Some(number::LIST_BAD_SIGNATURE);
            }
            if list.last_update().timestamp() > question.now_s {
                return Some(number::LIST_NOT_YET_VALID);
            }
            let next = list.next_update();
            if next.is_some_and(|next| next.timestamp() < question.now_s) {
                return Some(number::LIST_EXPIRED);
            }
            let mut revoked = list.iter_revoked_certificates();
            if revoked.any(|entry| entry.raw_serial() == step.parsed.raw_serial()) {
                return Some(number::REVOKED);
            }
        }
        (!seen).then_some(number::NO_REVOCATION_LIST)
    }

    /// What nobody vouches for and stands alone is told again when signatures are looked at, as OpenSSL does: whoever overlooks
    /// that its issuer is unknown has not said yet that it may come from anybody.
    fn look_for_company(&mut self) {
        let unknown = |fault: &Fault| fault.number == number::NO_LOCAL_ISSUER && fault.depth == 0;
        if self.faults.iter().any(unknown) {
            self.fault(number::LEAF_ALONE, 0);
        }
    }

    // ---- Time

    fn look_at_times(&mut self, now_s: i64) {
        for depth in (0..self.steps.len()).rev() {
            let validity = self.steps[depth].parsed.validity();
            if validity.not_before.timestamp() > now_s {
                self.fault(number::NOT_YET_VALID, depth);
            } else if validity.not_after.timestamp() < now_s {
                self.fault(number::EXPIRED, depth);
            }
        }
    }
}

fn has_unknown_critical(certificate: &X509Certificate<'_>) -> bool {
    certificate.extensions().iter().any(|extension| {
        let identifier = extension.oid.to_id_string();
        // Name constraints that are not looked at would be broken in silence, critical or not.
        let constrains = identifier == "2.5.29.30";
        constrains || (extension.critical && !KNOWN_EXTENSIONS.contains(&identifier.as_str()))
    })
}

/// Why a certificate cannot vouch for the one before it.
fn authority_fault(step: &Step<'_>, depth: usize, is_anchor: bool) -> Option<u32> {
    let certificate = &step.parsed;
    // A certificate of version 1 cannot say that it is an authority; one that is believed by itself need not.
    if certificate.version().0 == 0 {
        return (!is_anchor).then_some(number::INVALID_AUTHORITY);
    }
    let constraints = certificate.basic_constraints().ok().flatten();
    let Some(constraints) = constraints.filter(|found| found.value.ca) else {
        return Some(number::INVALID_AUTHORITY);
    };
    // How many authorities stand between it and the end.
    let between = depth as u32 - 1;
    if constraints
        .value
        .path_len_constraint
        .is_some_and(|most| between > most)
    {
        return Some(number::PATH_TOO_LONG);
    }
    match may(certificate, |usage| usage.key_cert_sign()) {
        true => None,
        false => Some(number::MAY_NOT_SIGN),
    }
}

/// Whether the key may be used so; a certificate that does not say what its key is for allows everything.
fn may(
    certificate: &X509Certificate<'_>,
    allows: impl Fn(&x509_parser::extensions::KeyUsage) -> bool,
) -> bool {
    match certificate.key_usage() {
        Ok(None) => true,
        Ok(Some(usage)) => allows(usage.value),
        Err(_) => false,
    }
}

/// Whether the extended key usage, where there is one, names the purpose.
fn suits(certificate: &X509Certificate<'_>, purpose: Purpose) -> bool {
    match certificate.extended_key_usage() {
        Ok(None) => true,
        Ok(Some(usage)) => match purpose {
            Purpose::Client => usage.value.client_auth,
            Purpose::Server => usage.value.server_auth,
        },
        Err(_) => false,
    }
}

fn suits_end(certificate: &X509Certificate<'_>, purpose: Purpose) -> bool {
    let usable = may(certificate, |usage| {
        let agrees = usage.digital_signature() || usage.key_agreement();
        agrees || (purpose == Purpose::Server && usage.key_encipherment())
    });
    // What is malformed here was not seen above.
    let sound = !certificate.extensions().iter().any(|extension| {
        matches!(
            extension.parsed_extension(),
            ParsedExtension::ParseError { .. }
        )
    });
    usable && sound && suits(certificate, purpose)
}

// ---- Signatures

pub(super) fn signed_by(
    document: Document,
    der: &[u8],
    signer: &Step<'_>,
    check: Check<'_>,
) -> bool {
    let whole = || {
        let (outer, _) = element(der)?;
        let content = outer.content;
        let (body, rest) = element(content)?;
        let (algorithm, rest) = element(rest)?;
        let (signature, _) = element(rest)?;
        let key = certificate::public_key(&signer.parsed)?;
        // The algorithm stands inside as well, and must be the same (RFC 5280 section 4.1.1.2).
        memchr::memmem::find(body.whole, algorithm.whole)?;
        Some(check(&Signed {
            document,
            key_algorithm: key.algorithm,
            key: key.bits,
            algorithm: algorithm.content,
            message: body.whole,
            signature: bits(signature.content)?,
        }))
    };
    whole().unwrap_or(false)
}

/// Whether a certificate is for a host: by its alternative names, or by its common name. A star stands for one label.
pub fn is_for(certificate: &X509Certificate<'_>, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let names = certificate::names(certificate);
    names.iter().any(|name| match name.strip_prefix("*.") {
        None => *name == host,
        Some(parent) => host
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
    })
}

#[cfg(test)]
mod tests;
