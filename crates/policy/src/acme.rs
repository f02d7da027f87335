//! What is said to authorities that issue certificates (ACME, RFC 8555), what they answer, and when they are asked.
//!
//! Messages are JSON inside of signatures (RFC 7515). What is absent: keys and signatures, HTTP, and the order in which
//! things are said, which the engine keeps.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use data_encoding::BASE64URL_NOPAD;
use x509_parser::certificate::X509Certificate;

use crate::convert::json::Query;
use crate::model::acme::{Acme, Challenge, Subscription};
use crate::value::Value;

/// Most names of one order that are followed; authorities allow a hundred.
const AUTHORIZATIONS_MAX: usize = 1_000;

/// Longest URL, token or name that is taken from an authority, in bytes.
const TEXT_BYTES_MAX: usize = 4_096;

/// A certificate without sensible dates is renewed this long before its end.
const MARGIN_S: i64 = 7 * 24 * 3_600;

// ---- Who is being served

/// The certificates that an authority is being asked for at this moment, by name; all planes share it.
#[derive(Debug, Default)]
pub struct Running(Mutex<BTreeSet<String>>);

impl Running {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a certificate is asked for; `false`: it is already.
    pub fn begin(&self, name: &str) -> bool {
        self.lock().insert(name.to_owned())
    }

    pub fn end(&self, name: &str) {
        self.lock().remove(name);
    }

    pub fn has(&self, name: &str) -> bool {
        self.lock().contains(name)
    }
}

/// When a certificate is to be renewed, in seconds since 1970: a twelfth of its time before it ends, as in HAProxy.
pub fn renewal_s(certificate: &X509Certificate<'_>) -> i64 {
    let validity = certificate.validity();
    let (from_s, to_s) = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    let margin_s = match to_s.checked_sub(from_s) {
        Some(lifetime_s) if from_s >= 0 && lifetime_s > 0 => lifetime_s / 12,
        _ => MARGIN_S,
    };
    to_s.saturating_sub(margin_s).max(1)
}

// ---- What is said

/// Who signs a message: an account that is known, or one that shows its key.
#[derive(Clone, Copy, Debug)]
pub enum Signer<'a> {
    /// The account's URL.
    Account(&'a str),
    /// The public key as JSON (RFC 7517).
    Key(&'a str),
}

/// The header of a signed message (RFC 8555 section 6.2); `nonce` is absent in a binding to another account.
pub fn protected(algorithm: &str, nonce: Option<&str>, url: &str, signer: Signer<'_>) -> String {
    let mut text = format!("{{\"alg\":{}", quoted(algorithm));
    if let Some(nonce) = nonce {
        let _ = write!(text, ",\"nonce\":{}", quoted(nonce));
    }
    let _ = write!(text, ",\"url\":{}", quoted(url));
    let _ = match signer {
        Signer::Account(url) => write!(text, ",\"kid\":{}}}", quoted(url)),
        Signer::Key(key) => write!(text, ",\"jwk\":{key}}}"),
    };
    text
}

/// A signed message as JSON (RFC 7515 section 7.2.2); `sign` signs what stands before the signature.
pub fn flattened(
    protected: &str,
    payload: &str,
    sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Option<String> {
    let protected = BASE64URL_NOPAD.encode(protected.as_bytes());
    let payload = BASE64URL_NOPAD.encode(payload.as_bytes());
    let signature = sign(format!("{protected}.{payload}").as_bytes())?;
    let signature = BASE64URL_NOPAD.encode(&signature);
    Some(format!(
        "{{\"protected\":\"{protected}\",\"payload\":\"{payload}\",\"signature\":\"{signature}\"}}"
    ))
}

/// Asks for an account (RFC 8555 section 7.3); `binding` is a message signed by another account's key.
pub fn new_account(acme: &Acme, binding: Option<&str>) -> String {
    let mut text = "{\"termsOfServiceAgreed\":true".to_owned();
    if let Some(contact) = &acme.contact {
        let _ = write!(
            text,
            ",\"contact\":[{}]",
            quoted(&format!("mailto:{contact}"))
        );
    }
    if let Some(binding) = binding {
        let _ = write!(text, ",\"externalAccountBinding\":{binding}");
    }
    text + "}"
}

/// Asks for a certificate (RFC 8555 section 7.4, RFC 8738 for addresses).
pub fn new_order(acme: &Acme, wanted: &Subscription) -> String {
    let identifier =
        |kind: &str, value: &str| format!("{{\"type\":\"{kind}\",\"value\":{}}}", quoted(value));
    let domains = wanted.domains.iter().map(|name| identifier("dns", name));
    let ips = wanted
        .ips
        .iter()
        .map(|ip| identifier("ip", &ip.to_string()));
    let all: Vec<String> = domains.chain(ips).collect();
    let mut text = format!("{{\"identifiers\":[{}]", all.join(","));
    if let Some(profile) = &acme.profile {
        let _ = write!(text, ",\"profile\":{}", quoted(profile));
    }
    text + "}"
}

/// Sends the request for the certificate itself (PKCS #10, in DER).
pub fn finalize(request: &[u8]) -> String {
    format!("{{\"csr\":\"{}\"}}", BASE64URL_NOPAD.encode(request))
}

/// A string of JSON.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\0'..='\u{1f}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

// ---- What is answered

/// Where an authority takes requests (RFC 8555 section 7.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    pub new_nonce: String,
    pub new_account: String,
    pub new_order: String,
}

impl Directory {
    /// `None` when something is missing.
    pub fn read(json: &[u8]) -> Option<Self> {
        Some(Self {
            new_nonce: text(json, "$.newNonce")?,
            new_account: text(json, "$.newAccount")?,
            new_order: text(json, "$.newOrder")?,
        })
    }
}

/// How far something has come (RFC 8555 section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Pending,
    Ready,
    Processing,
    Valid,
    /// It will not come about: invalid, expired, revoked, deactivated, or nothing that is known.
    Failed,
}

impl Status {
    fn read(json: &[u8], path: &str) -> Option<Self> {
        Some(match text(json, path)?.as_str() {
            "pending" => Self::Pending,
            "ready" => Self::Ready,
            "processing" => Self::Processing,
            "valid" => Self::Valid,
            _ => Self::Failed,
        })
    }
}

/// An order (RFC 8555 section 7.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub status: Status,
    /// A URL for each name.
    pub authorizations: Vec<String>,
    pub finalize: String,
    /// Where the certificate is, when there is one.
    pub certificate: Option<String>,
}

impl Order {
    /// `None` when something is missing, or there are too many names.
    pub fn read(json: &[u8]) -> Option<Self> {
        let mut authorizations = Vec::new();
        while let Some(url) = text(json, &format!("$.authorizations[{}]", authorizations.len())) {
            if authorizations.len() == AUTHORIZATIONS_MAX {
                return None;
            }
            authorizations.push(url);
        }
        Some(Self {
            status: Status::read(json, "$.status")?,
            authorizations,
            finalize: text(json, "$.finalize")?,
            certificate: text(json, "$.certificate"),
        })
    }
}

/// What shows that a name is ours (RFC 8555 section 7.1.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    pub status: Status,
    /// The name or address.
    pub name: String,
    /// The challenge that was wished for, when the authority offers it.
    pub challenge: Option<Offered>,
}

/// A challenge (RFC 8555 section 8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    pub url: String,
    pub token: String,
}

/// Most kinds of challenges that are looked through.
const CHALLENGES_MAX: usize = 32;

impl Authorization {
    /// `None` when something is missing.
    pub fn read(json: &[u8], wished: Challenge) -> Option<Self> {
        let challenge = (0..CHALLENGES_MAX).find_map(|number| {
            let part = |name: &str| text(json, &format!("$.challenges[{number}].{name}"));
            let found = part("type")?.eq_ignore_ascii_case(wished.name());
            let token = part("token").filter(|token| found && is_token(token))?;
            Some(Offered {
                url: part("url")?,
                token,
            })
        });
        Some(Self {
            status: Status::read(json, "$.status")?,
            name: text(json, "$.identifier.value")?,
            challenge,
        })
    }

    /// What went wrong with the challenge, in the authority's words.
    pub fn complaint(json: &[u8]) -> Option<String> {
        (0..CHALLENGES_MAX)
            .find_map(|number| text(json, &format!("$.challenges[{number}].error.detail")))
    }
}

/// Base64url, of which paths and keys of maps are made (RFC 8555 section 8.3).
fn is_token(token: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !token.is_empty() && token.bytes().all(fits)
}

/// Why a request was refused (RFC 7807): the kind, and what there is to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// Such as `urn:ietf:params:acme:error:badNonce`.
    pub kind: String,
    pub detail: String,
}

impl Problem {
    pub fn read(json: &[u8]) -> Self {
        Self {
            kind: text(json, "$.type").unwrap_or_default(),
            detail: text(json, "$.detail").unwrap_or_default(),
        }
    }

    /// The message is to be said again with another nonce (RFC 8555 section 6.5).
    pub fn is_bad_nonce(&self) -> bool {
        self.kind == "urn:ietf:params:acme:error:badNonce"
    }
}

fn text(json: &[u8], path: &str) -> Option<String> {
    let found = match Query::parse(path, false).find(json)? {
        Value::Text(text) => String::from_utf8(text.into_owned()).ok()?,
        _ => return None,
    };
    (found.len() <= TEXT_BYTES_MAX).then_some(found)
}

/// The name that the validator asks for with `tls-alpn-01`: an address stands there as a name (RFC 8738 section 6).
pub fn asked_name(identifier: &str) -> String {
    match identifier.parse() {
        Ok(IpAddr::V4(ip)) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Ok(IpAddr::V6(ip)) => {
            let digits = ip.octets().into_iter().rev();
            let digits = digits.flat_map(|byte| [byte & 0xf, byte >> 4]);
            digits.fold(String::new(), |text, digit| format!("{text}{digit:x}.")) + "ip6.arpa"
        }
        Err(_) => identifier.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::acme::KeyKind;
    use crate::tls::certificate;

    fn acme() -> Acme {
        Acme {
            name: "a".to_owned(),
            directory: "https://ca.test/dir".to_owned(),
            contact: Some("me@site.test".to_owned()),
            account_key: String::new(),
            challenge: Challenge::Http01,
            key: KeyKind::Ecdsa(crate::model::acme::Curve::P256),
            map: None,
            profile: Some("short".to_owned()),
            reuse_key: false,
            external: None,
        }
    }

    #[test]
    fn messages_are_as_the_standard_has_them() {
        let wanted = Subscription {
            section: "a".to_owned(),
            domains: vec!["site.test".to_owned(), "\"".to_owned()],
            ips: vec!["::1".parse().expect("an address")],
            path: String::new(),
            key_path: None,
        };
        assert_eq!(
            new_order(&acme(), &wanted),
            r#"{"identifiers":[{"type":"dns","value":"site.test"},{"type":"dns","value":"\""},{"type":"ip","value":"::1"}],"profile":"short"}"#
        );
        assert_eq!(
            new_account(&acme(), Some("{}")),
            r#"{"termsOfServiceAgreed":true,"contact":["mailto:me@site.test"],"externalAccountBinding":{}}"#
        );
        assert_eq!(
            protected("ES256", Some("n"), "u", Signer::Account("k")),
            r#"{"alg":"ES256","nonce":"n","url":"u","kid":"k"}"#
        );
        assert_eq!(
            protected("HS256", None, "u", Signer::Key("{}")),
            r#"{"alg":"HS256","url":"u","jwk":{}}"#
        );
        let signed = flattened("{}", "", |bytes| {
            assert_eq!(bytes, b"e30.");
            Some(vec![0xff])
        });
        let expected = r#"{"protected":"e30","payload":"","signature":"_w"}"#;
        assert_eq!(signed.as_deref(), Some(expected));
        assert_eq!(finalize(&[0xff]), r#"{"csr":"_w"}"#);
    }

    #[test]
    fn answers_are_read() {
        let json = br#"{"newNonce":"n","newAccount":"a","newOrder":"o","meta":{}}"#;
        assert_eq!(
            Directory::read(json).map(|all| all.new_order),
            Some("o".to_owned())
        );
        assert_eq!(Directory::read(b"{}"), None);
        let json = br#"{"status":"ready","authorizations":["x","y"],"finalize":"f"}"#;
        let order = Order::read(json).expect("an order");
        assert_eq!(
            (order.status, order.authorizations.len()),
            (Status::Ready, 2)
        );
        let json = br#"{"status":"pending","identifier":{"type":"dns","value":"a"},"challenges":[
            {"type":"dns-01","url":"d","token":"t"},{"type":"http-01","url":"h","token":"t_-1"}]}"#;
        let read = |json: &[u8]| Authorization::read(json, Challenge::Http01);
        let offered = read(json).and_then(|read| read.challenge);
        assert_eq!(offered.map(|offered| offered.url).as_deref(), Some("h"));
        // A token that would leave its place in a path or a map is none.
        let json = br#"{"status":"pending","identifier":{"value":"a"},"challenges":[
            {"type":"http-01","url":"h","token":"../x"}]}"#;
        assert_eq!(read(json).map(|read| read.challenge), Some(None));
        let problem = Problem::read(br#"{"type":"urn:ietf:params:acme:error:badNonce"}"#);
        assert!(problem.is_bad_nonce());
    }

    #[test]
    fn nothing_that_an_authority_says_is_trusted() {
        let long = format!("{{\"newNonce\":\"{}\"}}", "x".repeat(TEXT_BYTES_MAX + 1));
        assert_eq!(text(long.as_bytes(), "$.newNonce"), None);
        for json in [
            "",
            "{",
            "[]",
            "{\"status\":{}}",
            "\"x",
            "{\"authorizations\":[1]}",
        ] {
            let json = json.as_bytes();
            assert_eq!(Order::read(json), None);
            assert_eq!(Authorization::read(json, Challenge::TlsAlpn01), None);
            let _ = Authorization::complaint(json);
        }
    }

    #[test]
    fn addresses_are_asked_for_as_names() {
        assert_eq!(asked_name("Site.test"), "site.test");
        assert_eq!(asked_name("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        let name = asked_name("2001:db8::1");
        assert!(name.starts_with("1.0.0.0.") && name.ends_with("8.b.d.0.1.0.0.2.ip6.arpa"));
    }

    #[test]
    fn a_twelfth_of_its_time_is_left_when_a_certificate_is_renewed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/site.pem");
        let pem = std::fs::read(path).expect("a certificate for tests");
        let chain = certificate::authorities(&pem).expect("PEM");
        let parsed = certificate::parse(&chain[0]).expect("a certificate");
        let validity = parsed.validity();
        let (from_s, to_s) = (
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        );
        assert_eq!(renewal_s(&parsed), to_s - (to_s - from_s) / 12);
    }
}
