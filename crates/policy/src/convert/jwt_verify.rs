//! Converters that verify the signatures of JSON web tokens (RFC 7515, RFC 7518 section 3.1).
//!
//! Keys of files are read with the configuration; nothing is read later. Certificates are looked up by their names in the
//! store when a token comes, since commands may replace them. What is absent: encrypted tokens ([`super::jwt_decrypt`]),
//! and what the claims say, which [`super::jwt`] looks at.

use std::borrow::Cow;
use std::sync::Arc;

use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm};
use plimsoll_config::diagnostic::{Diagnostic, Kind};
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use zeroize::Zeroizing;

use super::codec::{PADDED, decode_url};
use super::jwt_decrypt::Text;
use super::{Convert, Row};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::expression::Scope;
use crate::tls::store::{Content, Files, Stored};
use crate::tls::{Pieces, certificate};
use crate::value::{Type, Value};
use crate::variable::Name;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "jwt_verify",
        usage: "ALGORITHM,SECRET|FILE",
        doc: "Whether a token's signature is right (1) or wrong (0), by a secret or a file's public key; less than 0 where that cannot be told.",
        input: Type::Binary,
        output: Some(Type::Integer),
        read: |arguments, scope| read(arguments, scope, key),
    },
    Row {
        name: "jwt_verify_cert",
        usage: "ALGORITHM,FILE",
        doc: "As jwt_verify, by the key of a certificate; a file that is not loaded yet is.",
        input: Type::Binary,
        output: Some(Type::Integer),
        read: |arguments, scope| read(arguments, scope, certificate),
    },
];

/// What the manual calls the results.
const VALID: i64 = 1;
const WRONG: i64 = 0;
const UNKNOWN_ALGORITHM: i64 = -1;
const UNMANAGED_ALGORITHM: i64 = -2;
const INVALID_TOKEN: i64 = -3;
const UNKNOWN_KEY: i64 = -5;
/// There is such a certificate, but not for tokens.
const UNAVAILABLE_CERTIFICATE: i64 = -7;

/// What a signature is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Number,
    /// Two numbers of the same length, one behind the other (RFC 7518 section 3.4).
    Pair,
}

#[derive(Clone, Copy)]
enum Algorithm {
    None,
    Secret(hmac::Algorithm),
    /// Public keys of one kind; curves are those that the algorithm is meant for.
    Public(&'static dyn VerificationAlgorithm, Form),
}

impl Algorithm {
    fn find(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"none" => Self::None,
            b"HS256" => Self::Secret(hmac::HMAC_SHA256),
            b"HS384" => Self::Secret(hmac::HMAC_SHA384),
            b"HS512" => Self::Secret(hmac::HMAC_SHA512),
            b"RS256" => Self::Public(&signature::RSA_PKCS1_2048_8192_SHA256, Form::Number),
            b"RS384" => Self::Public(&signature::RSA_PKCS1_2048_8192_SHA384, Form::Number),
            b"RS512" => Self::Public(&signature::RSA_PKCS1_2048_8192_SHA512, Form::Number),
            b"PS256" => Self::Public(&signature::RSA_PSS_2048_8192_SHA256, Form::Number),
            b"PS384" => Self::Public(&signature::RSA_PSS_2048_8192_SHA384, Form::Number),
            b"PS512" => Self::Public(&signature::RSA_PSS_2048_8192_SHA512, Form::Number),
            b"ES256" => Self::Public(&signature::ECDSA_P256_SHA256_FIXED, Form::Pair),
            b"ES384" => Self::Public(&signature::ECDSA_P384_SHA384_FIXED, Form::Pair),
            b"ES512" => Self::Public(&signature::ECDSA_P521_SHA512_FIXED, Form::Pair),
            _ => return None,
        })
    }
}

/// The algorithm of a token must be the administrator's choice: a token that chooses for itself is no proof.
enum Choice {
    Fixed(Algorithm),
    Variable(Name),
}

enum Key {
    /// A secret, and as DER the public key of the file of that name, where there is one.
    Text(Vec<u8>, Option<Vec<u8>>),
    /// Ready for the one algorithm.
    Parsed(ParsedPublicKey),
    /// A secret of a variable.
    Variable(Name),
    /// The name of a certificate.
    Certificate(Text),
}

struct Verify {
    choice: Choice,
    key: Key,
}

fn read(
    arguments: &mut Arguments,
    scope: &Scope<'_>,
    read_key: ReadKey,
) -> Result<Box<dyn Convert>, Diagnostic> {
    let name = arguments.word("an algorithm")?;
    let choice = match Name::parse(&name) {
        Ok(variable) => Choice::Variable(variable),
        Err(_) => Choice::Fixed(Algorithm::find(name.as_bytes()).ok_or_else(|| {
            arguments.invalid(format_args!("'{name}' is not an algorithm of tokens"))
        })?),
    };
    let text = arguments.text("a key")?;
    let key = read_key(&text, &choice, arguments, scope)?;
    Ok(Box::new(Verify { choice, key }))
}

type ReadKey = fn(&str, &Choice, &Arguments, &Scope<'_>) -> Result<Key, Diagnostic>;

fn key(
    text: &str,
    choice: &Choice,
    arguments: &Arguments,
    scope: &Scope<'_>,
) -> Result<Key, Diagnostic> {
    if let Ok(variable) = Name::parse(text) {
        return Ok(Key::Variable(variable));
    }
    let secret = || text.as_bytes().to_vec();
    match choice {
        Choice::Fixed(Algorithm::Secret(_)) => Ok(Key::Text(secret(), None)),
        Choice::Fixed(Algorithm::None) | Choice::Variable(_) => {
            Ok(Key::Text(secret(), public_key(text, scope).ok()))
        }
        Choice::Fixed(Algorithm::Public(algorithm, _)) => {
            let lacks = |why: String| lacks(text, &why, arguments);
            let der = public_key(text, scope).map_err(lacks)?;
            let parsed = ParsedPublicKey::new(*algorithm, der);
            parsed.map(Key::Parsed).map_err(|error| lacks(unfit(error)))
        }
    }
}

fn lacks(text: &str, why: &str, arguments: &Arguments) -> Diagnostic {
    let message = format_args!("there is no key to be had from '{text}': {why}");
    Diagnostic::error(Kind::Environment, arguments.span, message)
}

fn unfit(error: KeyRejected) -> String {
    format!("it does not fit the algorithm ({error})")
}

/// The certificate of a name; it is loaded where none is known, and serves for tokens from now on.
fn certificate(
    text: &str,
    choice: &Choice,
    arguments: &Arguments,
    scope: &Scope<'_>,
) -> Result<Key, Diagnostic> {
    if matches!(choice, Choice::Fixed(Algorithm::Secret(_))) {
        let message = "a certificate verifies no token that is signed with a secret";
        return Err(arguments.invalid(message));
    }
    let name = Text::read(text.to_owned());
    if let Text::Known(name) = &name {
        let mut known = scope.names.certificates.borrow_mut();
        if !known.contains_key(name) {
            let stored = load(name, scope).map_err(|why| lacks(name, &why, arguments))?;
            known.insert(name.clone(), Arc::new(stored));
        }
        if let Some(stored) = known.get_mut(name) {
            Arc::make_mut(stored).jwt = true;
            if let Choice::Fixed(Algorithm::Public(algorithm, _)) = choice {
                let der = subject_key(stored).unwrap_or_default();
                let parsed = ParsedPublicKey::new(*algorithm, der);
                parsed.map_err(|error| lacks(name, &unfit(error), arguments))?;
            }
        }
    }
    Ok(Key::Certificate(name))
}

/// A certificate of a file, with a key or without one.
fn load(path: &str, scope: &Scope<'_>) -> Result<Stored, String> {
    let pem = scope.files.read(path.as_ref());
    let pem = Zeroizing::new(pem.map_err(|error| error.to_string())?);
    let pieces = Pieces::read(&pem).map_err(|why| why.to_string())?;
    let content = match pieces.key.is_some() {
        false => Content::Part(Arc::new(pieces)),
        true => Content::Whole(Arc::new(
            pieces.assemble(path).map_err(|why| why.to_string())?,
        )),
    };
    Ok(Stored {
        content,
        files: Files {
            crt: Some(path.to_owned()),
            ..Files::default()
        },
        jwt: true,
        ..Stored::default()
    })
}

/// The public key of a certificate, as DER.
fn subject_key(stored: &Stored) -> Option<Vec<u8>> {
    let certificate = certificate::parse(stored.content.chain().first()?).ok()?;
    Some(certificate.public_key().raw.to_vec())
}

/// The first public key of a file, as DER.
fn public_key(path: &str, scope: &Scope<'_>) -> Result<Vec<u8>, String> {
    let pem = scope.files.read(path.as_ref());
    let pem = pem.map_err(|error| error.to_string())?;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&pem) {
        let (kind, der) = section.map_err(|error| error.to_string())?;
        if kind == SectionKind::PublicKey {
            return Ok(der);
        }
    }
    // A title that the PEM reader does not tell apart.
    pkcs1(&pem).ok_or_else(|| "it holds none".to_owned())
}

/// What stands under the title `RSA PUBLIC KEY`.
fn pkcs1(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once("-----BEGIN RSA PUBLIC KEY-----")?;
    let (body, _) = rest.split_once("-----END RSA PUBLIC KEY-----")?;
    let body: String = body.split_whitespace().collect();
    PADDED.decode(body.as_bytes()).ok()
}

impl Verify {
    fn verify(&self, token: &[u8], context: &Context<'_>) -> Option<i64> {
        let algorithm = match &self.choice {
            Choice::Fixed(algorithm) => Some(*algorithm),
            Choice::Variable(name) => Algorithm::find(&context.variable(name)?.into_text()),
        };
        let Some(algorithm) = algorithm else {
            return Some(UNKNOWN_ALGORITHM);
        };
        let key = match &self.key {
            Key::Variable(name) => Some(context.variable(name)?.into_binary()),
            Key::Text(text, _) => Some(Cow::Borrowed(text.as_slice())),
            Key::Parsed(_) | Key::Certificate(_) => None,
        };
        let Some((signed, signature)) = split(token) else {
            return Some(INVALID_TOKEN);
        };
        if matches!(algorithm, Algorithm::None) {
            return Some(if signature.is_empty() { VALID } else { WRONG });
        }
        let signature = match decode_url(signature) {
            Some(bytes) if !signature.is_empty() => bytes,
            _ => return Some(INVALID_TOKEN),
        };
        let is_pair = matches!(algorithm, Algorithm::Public(_, Form::Pair));
        let is_halved = is_pair && !signature.len().is_multiple_of(2);
        let verified = match (algorithm, &self.key) {
            (Algorithm::Secret(_), Key::Certificate(_)) => return Some(UNMANAGED_ALGORITHM),
            (Algorithm::Public(algorithm, _), Key::Certificate(name)) => {
                let der = match stored_key(name, context)? {
                    Ok(_) if is_halved => return Some(INVALID_TOKEN),
                    Ok(der) => der,
                    Err(result) => return Some(result),
                };
                let key = UnparsedPublicKey::new(algorithm, der);
                key.verify(signed, &signature).is_ok()
            }
            (Algorithm::Secret(algorithm), _) => {
                let key = hmac::Key::new(algorithm, &key.unwrap_or_default());
                hmac::verify(&key, signed, &signature).is_ok()
            }
            (_, Key::Parsed(_) | Key::Text(_, Some(_))) if is_halved => return Some(INVALID_TOKEN),
            (_, Key::Parsed(key)) => key.verify_sig(signed, &signature).is_ok(),
            (Algorithm::Public(algorithm, _), Key::Text(_, Some(der))) => {
                let key = UnparsedPublicKey::new(algorithm, der);
                key.verify(signed, &signature).is_ok()
            }
            _ => return Some(UNKNOWN_KEY),
        };
        Some(if verified { VALID } else { WRONG })
    }
}

/// The key of a certificate, or the result without it; `None`: its name is not known.
fn stored_key(name: &Text, context: &Context<'_>) -> Option<Result<Vec<u8>, i64>> {
    name.with(context, |name| {
        let name = std::str::from_utf8(name).unwrap_or_default();
        let store = &context.plane.model.store;
        let Some(stored) = store.certificates.get(name) else {
            return Some(Err(UNKNOWN_KEY));
        };
        if !stored.jwt {
            return Some(Err(UNAVAILABLE_CERTIFICATE));
        }
        Some(subject_key(stored).ok_or(UNKNOWN_KEY))
    })
}

/// What is signed, and the signature; `None`: there are not exactly three parts.
fn split(token: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = token.iter().rposition(|byte| *byte == b'.')?;
    let dots = token.iter().filter(|byte| **byte == b'.').count();
    (dots == 2).then(|| (&token[..end], &token[end + 1..]))
}

impl Convert for Verify {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let token = value.into_binary();
        self.verify(&token, context).map(Value::Integer)
    }
}

#[cfg(test)]
mod tests {
    use super::decode_url;
    use crate::testing::Bench;
    use crate::value::Value;

    /// Signed by OpenSSL, an algorithm and a token on each line.
    const TOKENS: &str = include_str!("../../tests/jwt/tokens.txt");

    const FILES: [(&str, &str); 6] = [
        ("rsa.pem", include_str!("../../tests/jwt/rsa.pem")),
        ("pkcs1.pem", include_str!("../../tests/jwt/rsa-pkcs1.pem")),
        ("p256.pem", include_str!("../../tests/jwt/p256.pem")),
        ("p384.pem", include_str!("../../tests/jwt/p384.pem")),
        ("p521.pem", include_str!("../../tests/jwt/p521.pem")),
        ("signer.pem", include_str!("../../tests/jwt/signer.pem")),
    ];

    fn bench() -> Bench {
        let mut bench = Bench::default();
        for (name, text) in FILES {
            bench.files = std::mem::take(&mut bench.files).file(name, text);
        }
        bench
    }

    fn token(algorithm: &str) -> &'static str {
        let mut lines = TOKENS.lines().filter_map(|line| line.split_once(' '));
        let found = lines.find(|(name, _)| *name == algorithm);
        found.expect("there is one for each algorithm").1
    }

    #[test]
    fn signatures_are_verified() {
        let bench = bench();
        let verify = |token: &str, call: &str| bench.evaluate(&format!("str({token}),{call}"));
        for (algorithm, key) in [
            ("none", "x"),
            ("HS256", "secret"),
            ("HS384", "secret"),
            ("HS512", "secret"),
            ("RS256", "rsa.pem"),
            ("RS384", "rsa.pem"),
            ("RS512", "pkcs1.pem"),
            ("PS256", "rsa.pem"),
            ("PS384", "rsa.pem"),
            ("PS512", "rsa.pem"),
            ("ES256", "p256.pem"),
            ("ES384", "p384.pem"),
            ("ES512", "p521.pem"),
        ] {
            let (token, call) = (token(algorithm), format!("jwt_verify({algorithm},{key})"));
            assert_eq!(verify(token, &call).as_deref(), Some("1"), "{call}");
            // Another payload than the one that was signed.
            let forged = token.replacen(".e", ".f", 1);
            let result = verify(&forged, &call);
            let expected = if algorithm == "none" { "1" } else { "0" };
            assert_eq!(result.as_deref(), Some(expected), "{call} of a forgery");
            if algorithm.starts_with("ES") {
                let (signed, signature) = token.rsplit_once('.').expect("three parts");
                let bytes = decode_url(signature.as_bytes()).expect("base 64");
                let short = data_encoding::BASE64URL_NOPAD.encode(&bytes[1..]);
                let odd = verify(&format!("{signed}.{short}"), &call);
                assert_eq!(odd.as_deref(), Some("-3"), "{call}");
            }
        }
        let wrong = token("HS256");
        assert_eq!(
            verify(wrong, "jwt_verify(HS256,other)").as_deref(),
            Some("0")
        );
        assert_eq!(verify("a.b", "jwt_verify(HS256,x)").as_deref(), Some("-3"));
        assert_eq!(verify("a.b.", "jwt_verify(HS256,x)").as_deref(), Some("-3"));
        assert_eq!(
            verify("a.b.c.d", "jwt_verify(none,x)").as_deref(),
            Some("-3")
        );
    }

    #[test]
    fn algorithms_and_secrets_may_be_variables() {
        let mut bench = bench();
        bench.variable("txn.rs", Value::owned(*b"RS256"));
        bench.variable("txn.hs", Value::owned(*b"HS256"));
        bench.variable("txn.no", Value::owned(*b"XX"));
        bench.variable("txn.secret", Value::owned(*b"secret"));
        for (algorithm, call, expected) in [
            ("RS256", "jwt_verify(txn.rs,rsa.pem)", Some("1")),
            ("HS256", "jwt_verify(txn.hs,secret)", Some("1")),
            ("HS256", "jwt_verify(HS256,txn.secret)", Some("1")),
            // The public key is no secret, whatever the token says.
            ("HS256", "jwt_verify(txn.rs,rsa.pem)", Some("0")),
            ("HS256", "jwt_verify(txn.no,secret)", Some("-1")),
            ("RS256", "jwt_verify(txn.rs,secret)", Some("-5")),
            ("RS256", "jwt_verify(txn.none,secret)", None),
        ] {
            let text = format!("str({}),{call}", token(algorithm));
            assert_eq!(bench.evaluate(&text).as_deref(), expected, "{text}");
        }
        for (call, part) in [
            ("jwt_verify(XX,a)", "not an algorithm"),
            ("jwt_verify(RS256,none.pem)", "no key to be had"),
            ("jwt_verify(RS256,signer.pem)", "no key to be had"),
            ("jwt_verify(ES384,p256.pem)", "does not fit"),
            ("jwt_verify_cert(HS256,signer.pem)", "signed with a secret"),
        ] {
            let error = bench.refused(&format!("str(x),{call}"));
            assert!(error.contains(part), "{call}: {error}");
        }
    }

    #[test]
    fn certificates_are_those_of_the_store() {
        let pem = FILES[5].1;
        let mut bench = bench()
            .with_certificate("mine", pem, true)
            .with_certificate("signer.pem", pem, true)
            .with_certificate("other", pem, false);
        bench.variable("txn.hs", Value::owned(*b"HS256"));
        for name in ["mine", "other", "nobody"] {
            bench.variable(&format!("txn.{name}"), Value::owned(name.as_bytes()));
        }
        for (algorithm, call, expected) in [
            ("ES256", "jwt_verify_cert(ES256,signer.pem)", Some("1")),
            ("ES256", "jwt_verify_cert(ES256,mine)", Some("1")),
            ("ES256", "jwt_verify_cert(ES256,txn.mine)", Some("1")),
            ("ES384", "jwt_verify_cert(ES256,mine)", Some("0")),
            ("RS256", "jwt_verify_cert(RS256,txn.mine)", Some("0")),
            ("ES256", "jwt_verify_cert(ES256,txn.other)", Some("-7")),
            ("ES256", "jwt_verify_cert(ES256,txn.nobody)", Some("-5")),
            ("ES256", "jwt_verify_cert(ES256,txn.unset)", None),
            ("HS256", "jwt_verify_cert(txn.hs,mine)", Some("-2")),
        ] {
            let text = format!("str({}),{call}", token(algorithm));
            assert_eq!(bench.evaluate(&text).as_deref(), expected, "{text}");
        }
        for (call, part) in [
            ("jwt_verify_cert(ES256,none.pem)", "no key to be had"),
            ("jwt_verify_cert(ES256,p256.pem)", "no certificate"),
            ("jwt_verify_cert(RS256,mine)", "does not fit"),
        ] {
            let error = bench.refused(&format!("str(x),{call}"));
            assert!(error.contains(part), "{call}: {error}");
        }
    }
}
