//! An authority that issues certificates by itself (RFC 8555): small, and strict. Signatures, nonces and places of messages
//! are checked, a name is validated by asking whoever is to have it (http-01), and requests for certificates are verified.
//!
//! It can be told to behave badly.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED,
    RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData,
    SignatureAlgorithm, date_time_ymd,
};
use serde_json::{Value, json};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;

use crate::rig::DEADLINE;
use crate::rig::origin::{Origin, Reply, Request};

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manners {
    Honest,
    /// Every nonce is too old when it is used for the first message after it was fetched.
    Forgetful,
    /// It issues nothing to anybody.
    Refusing,
    /// It answers with what is no JSON.
    Babbling,
    /// Its answers do not end.
    Endless,
    /// It says nothing at all.
    Silent,
    /// It wants proof for a name that nobody asked for.
    Grasping,
    /// Its certificates are for another key.
    Confused,
}

/// A running authority.
pub(super) struct Authority {
    origin: Origin,
    office: Arc<Office>,
}

struct Office {
    /// Where all names lead.
    web: SocketAddr,
    issuer: CertifiedIssuer<'static, KeyPair>,
    desk: Mutex<Desk>,
}

struct Desk {
    manners: Manners,
    /// What certificates are valid from and to, in seconds since 1970.
    validity: (u64, u64),
    /// Nonces that have been given out, and those refused once.
    nonces: HashSet<String>,
    refused: HashSet<String>,
    last: u64,
    accounts: Vec<Value>,
    orders: Vec<Order>,
}

#[derive(Clone)]
struct Order {
    names: Vec<String>,
    /// Of each name.
    validated: Vec<Option<bool>>,
    certificate: Option<String>,
}

/// A message whose signature fits.
struct Message {
    payload: Value,
    jwk: Value,
}

/// A refusal: status, kind, detail.
type Refusal = (u16, &'static str, String);

impl Authority {
    /// One that finds all names at an address.
    pub(super) fn start(web: SocketAddr) -> Self {
        let mut parameters = CertificateParams::new([]).expect("no names");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let now_s = now_s();
        let office = Arc::new(Office {
            web,
            issuer: CertifiedIssuer::self_signed(parameters, key).expect("a certificate"),
            desk: Mutex::new(Desk {
                manners: Manners::Honest,
                validity: (now_s - 3_600, now_s + 90 * 86_400),
                nonces: HashSet::new(),
                refused: HashSet::new(),
                last: 0,
                accounts: Vec::new(),
                orders: Vec::new(),
            }),
        });
        let serving = Arc::clone(&office);
        let origin = Origin::http("authority", move |request| serving.answer(request));
        Self { origin, office }
    }

    pub(super) fn directory(&self) -> String {
        format!("http://{}/directory", self.origin.address)
    }

    pub(super) fn behave(&self, manners: Manners) {
        self.office.desk().manners = manners;
    }

    pub(super) fn accounts(&self) -> usize {
        self.office.desk().accounts.len()
    }

    /// How many certificates it has issued.
    pub(super) fn issued(&self) -> usize {
        let desk = self.office.desk();
        let issued = desk
            .orders
            .iter()
            .filter(|order| order.certificate.is_some());
        issued.count()
    }

    /// A certificate with its key as files hold them, made without being asked, that ends in so many seconds.
    pub(super) fn made(&self, name: &str, ends_in_s: u64) -> String {
        let key = KeyPair::generate().expect("a key");
        let names = [name.to_owned()];
        let validity = (now_s() - 90 * 86_400, now_s() + ends_in_s);
        let chain = self.office.sign(&names, validity, &key);
        chain + &pem("PRIVATE KEY", &key.serialize_der())
    }
}

impl Office {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().expect("nobody has panicked")
    }

    fn answer(&self, request: &Request) -> Reply {
        let manners = self.desk().manners;
        let base = format!("http://{}", request.field("host").unwrap_or_default());
        let mut words = request.line.split(' ');
        let (method, path) = (words.next(), words.next().unwrap_or_default());
        match (manners, method, path) {
            (Manners::Silent, ..) => Reply::Silence,
            (Manners::Babbling, ..) => Reply::ok("<html>nothing that you would understand"),
            (Manners::Endless, ..) => {
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n";
                Reply::SendAndClose([head.as_bytes(), &vec![b'['; 8 << 20]].concat())
            }
            (_, Some("GET"), "/directory") => self.reply(200, None, &directory(&base).to_string()),
            (_, Some("HEAD"), "/nonce") => self.reply(200, None, ""),
            (_, Some("POST"), _) => match self.post(request, &base, path) {
                Ok(reply) => reply,
                Err((status, kind, detail)) => {
                    let kind = format!("urn:ietf:params:acme:error:{kind}");
                    let problem = json!({ "type": kind, "detail": detail });
                    self.reply(status, None, &problem.to_string())
                }
            },
            _ => self.reply(404, None, "{}"),
        }
    }

    fn reply(&self, status: u16, location: Option<String>, body: &str) -> Reply {
        let mut desk = self.desk();
        desk.last += 1;
        let nonce = format!("nonce-{}", desk.last);
        desk.nonces.insert(nonce.clone());
        let location = location.map_or(String::new(), |at| format!("Location: {at}\r\n"));
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} Said\r\nReplay-Nonce: {nonce}\r\n{location}Content-Length: {length}\r\n\r\n"
        );
        Reply::Send((head + body).into_bytes())
    }

    fn post(&self, request: &Request, base: &str, path: &str) -> Result<Reply, Refusal> {
        let Message { payload, jwk } = self.message(request, base, path)?;
        let (place, number) = path.rsplit_once('/').unwrap_or_default();
        let number: usize = number.parse().unwrap_or(0);
        match (place, path) {
            (_, "/account") => {
                let mut desk = self.desk();
                let known = desk.accounts.iter().position(|known| *known == jwk);
                let number = known.unwrap_or(desk.accounts.len());
                if known.is_none() {
                    desk.accounts.push(jwk);
                }
                drop(desk);
                let at = format!("{base}/account/{number}");
                Ok(self.reply(201, Some(at), "{\"status\":\"valid\"}"))
            }
            (_, "/order") => self.order(&payload, base),
            ("/order", _) => Ok(self.shown(number, base)),
            ("/authorization", _) => Ok(self.authorization(number, base)),
            ("/challenge", _) => Ok(self.challenge(number, &jwk)),
            ("/finalize", _) => self.finalize(number, &payload, base),
            ("/certificate", _) => {
                let order = self.desk().orders[number].clone();
                let chain = order.certificate.ok_or_else(|| refusal("there is none"))?;
                Ok(self.reply(200, None, &chain))
            }
            _ => Err((404, "malformed", "nothing is there".to_owned())),
        }
    }

    /// Takes a message apart and verifies it (RFC 8555 section 6).
    fn message(&self, request: &Request, base: &str, path: &str) -> Result<Message, Refusal> {
        let wrong = |what: &str| refusal(what);
        if request.field("content-type") != Some("application/jose+json") {
            return Err(wrong("the type of the content"));
        }
        let whole: Value = serde_json::from_slice(&request.body).map_err(|_| wrong("JSON"))?;
        let part = |name: &str| whole[name].as_str().ok_or_else(|| wrong(name));
        let bytes = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes());
        let protected = bytes(part("protected")?).map_err(|_| wrong("protected"))?;
        let header: Value = serde_json::from_slice(&protected).map_err(|_| wrong("header"))?;
        if header["url"].as_str() != Some(&format!("{base}{path}")) {
            return Err(wrong("the address"));
        }
        let nonce = header["nonce"].as_str().unwrap_or_default();
        self.take_nonce(nonce, path)?;
        let jwk = match (&header["jwk"], header["kid"].as_str()) {
            (Value::Null, Some(kid)) => {
                let number = kid.strip_prefix(&format!("{base}/account/"));
                let number: usize = number.and_then(|it| it.parse().ok()).unwrap_or(usize::MAX);
                let known = self.desk().accounts.get(number).cloned();
                known.ok_or_else(|| wrong("an account"))?
            }
            (jwk, None) if path == "/account" => jwk.clone(),
            _ => return Err(wrong("who signs")),
        };
        let signed = format!("{}.{}", part("protected")?, part("payload")?);
        let signature = bytes(part("signature")?).map_err(|_| wrong("signature"))?;
        let algorithm = header["alg"].as_str().unwrap_or_default();
        verify(algorithm, &jwk, signed.as_bytes(), &signature).ok_or_else(|| wrong("signature"))?;
        let payload = bytes(part("payload")?).map_err(|_| wrong("payload"))?;
        let payload = match payload.as_slice() {
            [] => Value::Null,
            text => serde_json::from_slice(text).map_err(|_| wrong("payload"))?,
        };
        Ok(Message { payload, jwk })
    }

    fn take_nonce(&self, nonce: &str, path: &str) -> Result<(), Refusal> {
        let mut desk = self.desk();
        let known = desk.nonces.remove(nonce);
        let again = desk.refused.contains(path);
        if desk.manners == Manners::Forgetful && !again {
            desk.refused.insert(path.to_owned());
            return Err((400, "badNonce", "once more".to_owned()));
        }
        known
            .then_some(())
            .ok_or_else(|| (400, "badNonce", "unknown".to_owned()))
    }

    fn order(&self, payload: &Value, base: &str) -> Result<Reply, Refusal> {
        let names = payload["identifiers"].as_array().into_iter().flatten();
        let names = names.filter(|one| one["type"] == "dns");
        let names: Vec<_> = names.filter_map(|one| one["value"].as_str()).collect();
        let mut desk = self.desk();
        if desk.manners == Manners::Refusing || names.is_empty() {
            return Err((403, "rejectedIdentifier", "not\nyou".to_owned()));
        }
        desk.orders.push(Order {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            validated: vec![None; names.len()],
            certificate: None,
        });
        let number = desk.orders.len() - 1;
        drop(desk);
        let Reply::Send(shown) = self.shown(number, base) else {
            unreachable!("orders are shown at once");
        };
        let at = format!("201 Said\r\nLocation: {base}/order/{number}");
        let shown = String::from_utf8(shown).expect("text");
        Ok(Reply::Send(shown.replacen("200 Said", &at, 1).into_bytes()))
    }

    fn shown(&self, number: usize, base: &str) -> Reply {
        let order = self.desk().orders[number].clone();
        let names = 0..order.names.len();
        let at = |index: usize| format!("{base}/authorization/{}", number * NAMES_MAX + index);
        let mut text = json!({
            "status": order.status(),
            "authorizations": names.map(at).collect::<Vec<_>>(),
            "finalize": format!("{base}/finalize/{number}"),
        });
        if order.certificate.is_some() {
            text["certificate"] = format!("{base}/certificate/{number}").into();
        }
        self.reply(200, None, &text.to_string())
    }

    fn authorization(&self, number: usize, base: &str) -> Reply {
        let desk = self.desk();
        let order = &desk.orders[number / NAMES_MAX];
        let index = number % NAMES_MAX;
        let (status, complaint) = match order.validated[index] {
            None => ("pending", Value::Null),
            Some(true) => ("valid", Value::Null),
            Some(false) => ("invalid", json!({ "detail": "it answers something else" })),
        };
        let name = match desk.manners {
            Manners::Grasping => "bank.test",
            _ => order.names[index].as_str(),
        };
        let text = json!({
            "status": status,
            "identifier": { "type": "dns", "value": name },
            "challenges": [
                { "type": "dns-01", "url": "x", "token": "x" },
                {
                    "type": "http-01",
                    "url": format!("{base}/challenge/{number}"),
                    "token": token(number),
                    "error": complaint,
                },
            ],
        });
        drop(desk);
        self.reply(200, None, &text.to_string())
    }

    /// Looks whether a name answers as its owner would (RFC 8555 section 8.3).
    fn challenge(&self, number: usize, jwk: &Value) -> Reply {
        let (order, index) = (number / NAMES_MAX, number % NAMES_MAX);
        let name = self.desk().orders[order].names[index].clone();
        let token = token(number);
        let wanted = format!("{token}.{}", thumbprint(jwk));
        let found = fetched(self.web, &name, &token);
        let valid = found.is_some_and(|found| found.trim_end() == wanted);
        self.desk().orders[order].validated[index] = Some(valid);
        self.reply(200, None, "{\"status\":\"processing\"}")
    }

    fn finalize(&self, number: usize, payload: &Value, base: &str) -> Result<Reply, Refusal> {
        let order = self.desk().orders[number].clone();
        if order.status() != "ready" {
            return Err((403, "orderNotReady", "it is not ready".to_owned()));
        }
        let encoded = payload["csr"].as_str().unwrap_or_default();
        let der = BASE64URL_NOPAD.decode(encoded.as_bytes());
        let der = der.map_err(|_| refusal("the request"))?;
        let key = requested(&der, &order.names);
        let key = key.ok_or_else(|| {
            let why = "it is for other names, or its signature does not fit";
            (400, "badCSR", why.to_owned())
        })?;
        let (manners, validity) = {
            let desk = self.desk();
            (desk.manners, desk.validity)
        };
        let chain = match manners {
            Manners::Confused => {
                let other = KeyPair::generate().expect("a key");
                self.sign(&order.names, validity, &other)
            }
            _ => self.sign(&order.names, validity, &key),
        };
        self.desk().orders[number].certificate = Some(chain);
        Ok(self.shown(number, base))
    }

    /// A certificate and ours, in PEM.
    fn sign(&self, names: &[String], validity: (u64, u64), key: &impl PublicKeyData) -> String {
        let mut parameters = CertificateParams::new(names).expect("names");
        let mut desk = self.desk();
        desk.last += 1;
        parameters.serial_number = Some(desk.last.into());
        drop(desk);
        let at = |second| date_time_ymd(1970, 1, 1) + Duration::from_secs(second);
        (parameters.not_before, parameters.not_after) = (at(validity.0), at(validity.1));
        let signed = parameters
            .signed_by(key, &self.issuer)
            .expect("a certificate");
        pem("CERTIFICATE", signed.der()) + &pem("CERTIFICATE", self.issuer.as_ref().der())
    }
}

impl Order {
    fn status(&self) -> &'static str {
        let all = self.validated.iter();
        match self.certificate {
            Some(_) => "valid",
            None if self.validated.contains(&Some(false)) => "invalid",
            None if all.copied().all(|one| one == Some(true)) => "ready",
            None => "pending",
        }
    }
}

/// Most names of one order.
const NAMES_MAX: usize = 100;

fn refusal(what: &str) -> Refusal {
    (400, "malformed", format!("wrong: {what}"))
}

fn directory(base: &str) -> Value {
    json!({
        "newNonce": format!("{base}/nonce"),
        "newAccount": format!("{base}/account"),
        "newOrder": format!("{base}/order"),
        "meta": {},
    })
}

fn token(number: usize) -> String {
    format!("token_of-{number}")
}

/// RFC 7638.
fn thumbprint(jwk: &Value) -> String {
    let member = |name: &str| format!("\"{name}\":{}", jwk[name]);
    let members: Vec<_> = match jwk["kty"].as_str() {
        Some("RSA") => ["e", "kty", "n"].map(member).into(),
        _ => ["crv", "kty", "x", "y"].map(member).into(),
    };
    let canonical = format!("{{{}}}", members.join(","));
    BASE64URL_NOPAD.encode(digest(&SHA256, canonical.as_bytes()).as_ref())
}

/// `None`: the signature does not fit, or nobody knows how.
fn verify(algorithm: &str, jwk: &Value, signed: &[u8], signature: &[u8]) -> Option<()> {
    let number = |name: &str| BASE64URL_NOPAD.decode(jwk[name].as_str()?.as_bytes()).ok();
    let on_curve = |name: &str, how: &'static dyn VerificationAlgorithm| {
        let point = [vec![4], number("x")?, number("y")?].concat();
        let key = UnparsedPublicKey::new(how, point);
        (jwk["crv"] == name).then_some(())?;
        key.verify(signed, signature).ok()
    };
    match algorithm {
        "ES256" => on_curve("P-256", &ECDSA_P256_SHA256_FIXED),
        "ES384" => on_curve("P-384", &ECDSA_P384_SHA384_FIXED),
        "RS256" => {
            let (n, e) = (number("n")?, number("e")?);
            let key = RsaPublicKeyComponents { n, e };
            key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
                .ok()
        }
        _ => None,
    }
}

/// The key that a certificate is asked for (PKCS #10), when the request is by its owner and for these names alone.
fn requested(der: &[u8], names: &[String]) -> Option<Requested> {
    let (_, request) = X509CertificationRequest::from_der(der).ok()?;
    let information = &request.certification_request_info;
    let point = information.subject_pki.subject_public_key.data.to_vec();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &point);
    key.verify(information.raw, &request.signature_value.data)
        .ok()?;
    let alternatives = request.requested_extensions()?.find_map(|one| match one {
        ParsedExtension::SubjectAlternativeName(names) => Some(names),
        _ => None,
    });
    let asked = alternatives?.general_names.iter().map(|name| match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        other => format!("{other:?}"),
    });
    (asked.collect::<Vec<_>>() == names).then_some(Requested(point))
}

/// A key on P-256.
struct Requested(Vec<u8>);

impl PublicKeyData for Requested {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// What a name answers when it is asked for a token.
fn fetched(web: SocketAddr, name: &str, token: &str) -> Option<String> {
    let mut stream = TcpStream::connect(web).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    let path = format!("/.well-known/acme-challenge/{token}");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200 ").then(|| body.to_owned())
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let encoded = BASE64.encode(der);
    format!("-----BEGIN {label}-----\n{encoded}\n-----END {label}-----\n")
}

/// Seconds since 1970.
fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is later than 1970").as_secs()
}
