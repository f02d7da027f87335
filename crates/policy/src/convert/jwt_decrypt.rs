//! Converters that decrypt JSON web tokens (RFC 7516); how that is done is in [`crate::jwe`].
//!
//! A token that cannot be decrypted yields nothing, and does not say why.

use plimsoll_config::diagnostic::{Diagnostic, Kind};
use zeroize::Zeroizing;

use super::crypto::Secret;
use super::{Convert, Row, binary};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::expression::Scope;
use crate::jwe::{self, Algorithm, Key};
use crate::value::{Type, Value};
use crate::variable::Name;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "jwt_decrypt_cert",
        usage: "FILE",
        doc: "What a token says that is encrypted for the key of a certificate.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: |arguments, scope| certificate(arguments, scope),
    },
    Row {
        name: "jwt_decrypt_jwk",
        usage: "KEY",
        doc: "What a token says that is encrypted for a key in JSON.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: |arguments, _| json(arguments),
    },
    Row {
        name: "jwt_decrypt_secret",
        usage: "SECRET",
        doc: "What a token says that is encrypted with a secret, which is in base 64 or in a variable.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: |arguments, _| {
            let secret = Secret::read(arguments, "a secret")?;
            Ok(Box::new(Decrypt(Source::Secret(secret))))
        },
    },
];

type Made = Result<Box<dyn Convert>, Diagnostic>;

/// Where the key comes from.
enum Source {
    Secret(Secret),
    Json(Text),
    /// The name of a certificate that tokens may be decrypted with.
    Certificate(Text),
}

/// A text of the configuration or of a variable.
pub(super) enum Text {
    Known(String),
    Variable(Name),
}

impl Text {
    pub(super) fn read(text: String) -> Self {
        match Name::parse(&text) {
            Ok(name) => Self::Variable(name),
            Err(_) => Self::Known(text),
        }
    }

    pub(super) fn with<T>(
        &self,
        context: &Context<'_>,
        use_it: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<T> {
        match self {
            Self::Known(text) => use_it(text.as_bytes()),
            Self::Variable(name) => use_it(&context.variable(name)?.into_text()),
        }
    }
}

fn json(arguments: &mut Arguments) -> Made {
    let text = Text::read(arguments.text("a key")?);
    if let Text::Known(json) = &text
        && Key::from_json(json.as_bytes()).is_none()
    {
        let message = "this is no private key in JSON of the type 'oct', 'RSA' or 'EC'";
        return Err(arguments.invalid(message));
    }
    Ok(Box::new(Decrypt(Source::Json(text))))
}

fn certificate(arguments: &mut Arguments, scope: &Scope<'_>) -> Made {
    let text = Text::read(arguments.text("a certificate")?);
    if let Text::Known(name) = &text {
        let known = scope.names.certificates.borrow();
        let stored = known.get(name);
        let lacks = |what: &str| {
            let message = format_args!("'{name}' {what}");
            Diagnostic::error(Kind::Reference, arguments.span, message)
        };
        match stored {
            None => {
                let help = "load it in a 'crt-store' section, with 'jwt on'";
                return Err(lacks("is no certificate that is known").help(help));
            }
            Some(stored) if !stored.jwt => {
                let help = "add 'jwt on' to the line that loads it";
                return Err(lacks("is no certificate for tokens").help(help));
            }
            Some(_) => {}
        }
    }
    Ok(Box::new(Decrypt(Source::Certificate(text))))
}

struct Decrypt(Source);

impl Source {
    /// Whether tokens of this kind can be meant for such a key.
    fn holds(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Secret(_) => algorithm.is_symmetric(),
            Self::Certificate(_) => !algorithm.is_symmetric(),
            Self::Json(_) => true,
        }
    }

    fn key(&self, context: &Context<'_>) -> Option<Key> {
        match self {
            Self::Secret(secret) => {
                let bytes = secret.bytes(context)?.into_owned();
                Some(Key::Secret(Zeroizing::new(bytes)))
            }
            Self::Json(text) => text.with(context, Key::from_json),
            Self::Certificate(text) => text.with(context, |name| {
                let name = std::str::from_utf8(name).ok()?;
                let stored = context.plane.model.store.certificates.get(name)?;
                let key = stored.content.key().filter(|_| stored.jwt)?;
                Key::from_certificate(key)
            }),
        }
    }
}

impl Convert for Decrypt {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let token = value.into_binary();
        let allowed = context.plane.model.global.tokens;
        let holds = |algorithm| self.0.holds(algorithm);
        binary(jwe::decrypt(
            &token,
            || self.0.key(context),
            allowed,
            holds,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;
    use crate::value::Value;

    const TOKENS: &str = include_str!("../../tests/jwt/encrypted.txt");
    const KEYS: &str = include_str!("../../tests/jwt/keys.txt");

    /// The first token for a key by an algorithm.
    fn token(key: &str, algorithm: &str) -> &'static str {
        let mut lines = TOKENS.lines();
        let start = format!("{key} {algorithm} ");
        let line = lines.find(|line| line.starts_with(&start));
        line.and_then(|line| line.rsplit(' ').next())
            .expect("a token")
    }

    fn key(name: &str) -> &'static str {
        let mut lines = KEYS.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(known, _)| *known == name).expect("a key").1
    }

    #[test]
    fn each_converter_has_its_keys() {
        let site = include_str!("../../tests/tls/site.pem");
        let mut bench = Bench::default()
            .with_certificate("site", site, true)
            .with_certificate("other", site, false);
        for name in ["site", "other", "nobody"] {
            bench.variable(&format!("txn.{name}"), Value::owned(name.as_bytes()));
        }
        let secret = "lD2/DG2bTXVFC1VmLG3dKrWQNIc3XmLqJs70fya//Ek=";
        bench.variable("txn.secret", Value::owned(secret.as_bytes()));
        for name in ["secret256", "rsa", "P-256"] {
            let variable = format!("txn.{}", name.replace('-', ""));
            bench.variable(&variable, Value::owned(key(name).as_bytes()));
        }
        for (token, call, said) in [
            (
                token("secret256", "dir"),
                format!("jwt_decrypt_secret({secret})"),
                "dir",
            ),
            (
                token("secret256", "A256KW"),
                "jwt_decrypt_secret(txn.secret)".to_owned(),
                "A256KW",
            ),
            (
                token("secret256", "A256GCMKW"),
                "jwt_decrypt_jwk(txn.secret256)".to_owned(),
                "A256GCMKW",
            ),
            (
                token("rsa", "RSA-OAEP"),
                "jwt_decrypt_jwk(txn.rsa)".to_owned(),
                "RSA-OAEP",
            ),
            (
                token("P-256", "ECDH-ES"),
                "jwt_decrypt_jwk(txn.P256)".to_owned(),
                "ECDH-ES",
            ),
            (
                token("site.pem", "ECDH-ES"),
                "jwt_decrypt_cert(site)".to_owned(),
                "ECDH-ES",
            ),
            (
                token("site.pem", "ECDH-ES"),
                "jwt_decrypt_cert(txn.site)".to_owned(),
                "ECDH-ES",
            ),
            // Neither a certificate for other things, nor none, nor the wrong kind of key.
            (
                token("site.pem", "ECDH-ES"),
                "jwt_decrypt_cert(txn.other)".to_owned(),
                "",
            ),
            (
                token("site.pem", "ECDH-ES"),
                "jwt_decrypt_cert(txn.nobody)".to_owned(),
                "",
            ),
            (
                token("secret256", "dir"),
                "jwt_decrypt_cert(site)".to_owned(),
                "",
            ),
            (
                token("rsa", "RSA-OAEP"),
                "jwt_decrypt_secret(txn.secret)".to_owned(),
                "",
            ),
            (
                token("rsa", "RSA1_5"),
                "jwt_decrypt_jwk(txn.rsa)".to_owned(),
                "",
            ),
            (
                token("rsa", "RSA-OAEP"),
                "jwt_decrypt_jwk(txn.unset)".to_owned(),
                "",
            ),
        ] {
            let text = bench.evaluate(&format!("str({token}),{call}"));
            let word = text.as_deref().and_then(|text| text.split(' ').next());
            assert_eq!(word.unwrap_or_default(), said, "{call}");
        }
    }

    #[test]
    fn keys_of_the_configuration_are_looked_at_in_time() {
        let site = include_str!("../../tests/tls/site.pem");
        let bench = Bench::default().with_certificate("other", site, false);
        for (call, part) in [
            ("jwt_decrypt_cert(nobody)", "no certificate that is known"),
            ("jwt_decrypt_cert(other)", "no certificate for tokens"),
            ("jwt_decrypt_secret(-)", "neither base 64"),
            ("jwt_decrypt_jwk({})", "no private key in JSON"),
        ] {
            let error = bench.refused(&format!("str(x),{call}"));
            assert!(error.contains(part), "{call}: {error}");
        }
    }
}
