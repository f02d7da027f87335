//! Converters of cryptography: digests, keyed digests, AES. All of it is done by aws-lc, but for MD5, which it lacks.

use std::borrow::Cow;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    self, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{constant_time, digest, hmac};
use md5::{Digest as _, Md5};
use plimsoll_config::diagnostic::Diagnostic;

use super::codec::PADDED;
use super::{Convert, Row, binary, pure};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::tls::errors;
use crate::value::{Type, Value};
use crate::variable::Name;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "aes_cbc_dec",
        usage: "BITS,NONCE,KEY[,AAD]",
        doc: "Decrypts AES-CBC; nonce and key are in base 64 or in variables.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: |arguments, _| cbc(arguments, false),
    },
    Row {
        name: "aes_cbc_enc",
        usage: "BITS,NONCE,KEY[,AAD]",
        doc: "Encrypts with AES-CBC; nonce and key are in base 64 or in variables.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: |arguments, _| cbc(arguments, true),
    },
    Row {
        name: "aes_gcm_dec",
        usage: "BITS,NONCE,KEY,TAG[,AAD]",
        doc: "Decrypts AES-GCM; nonce, key, tag and further data are in base 64 or in variables.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: |arguments, _| gcm(arguments, false),
    },
    Row {
        name: "aes_gcm_enc",
        usage: "BITS,NONCE,KEY,TAG[,AAD]",
        doc: "Encrypts with AES-GCM and keeps the tag, in base 64, in a variable.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: |arguments, _| gcm(arguments, true),
    },
    Row {
        name: "digest",
        usage: "ALGORITHM",
        doc: "The digest by md5 (for fingerprints, never for secrets), sha1, sha224, sha256, sha384, sha512, sha512-256, sha3-256, sha3-384 or sha3-512.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: |arguments, _| {
            let name = arguments.word("an algorithm")?;
            if plain(&name) == "md5" {
                return pure(|value| binary(Md5::digest(value.into_binary()).to_vec()));
            }
            let found = algorithm(&name).ok_or_else(|| unknown(&name, arguments))?;
            digested(found)
        },
    },
    Row {
        name: "hmac",
        usage: "ALGORITHM,KEY",
        doc: "The keyed digest by sha1, sha224, sha256, sha384 or sha512; the key is in base 64 or in a variable.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: |arguments, _| {
            let name = arguments.word("an algorithm")?;
            let algorithm = keyed(&name).ok_or_else(|| unknown(&name, arguments))?;
            let key = Secret::read(arguments, "a key")?;
            Ok(Box::new(Hmac { algorithm, key }))
        },
    },
    Row {
        name: "secure_memcmp",
        usage: "VARIABLE",
        doc: "Whether the bytes are those of a variable, in a time that does not depend on where they differ.",
        input: Type::Binary,
        output: Some(Type::Boolean),
        read: |arguments, _| {
            let text = arguments.word("a variable's name")?;
            let name = Name::parse(&text).map_err(|error| arguments.invalid(error))?;
            Ok(Box::new(Same(name)))
        },
    },
    Row {
        name: "sha1",
        usage: "",
        doc: "The SHA-1 digest.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: |_, _| digested(&digest::SHA1_FOR_LEGACY_USE_ONLY),
    },
    Row {
        name: "sha2",
        usage: "[BITS]",
        doc: "The SHA-2 digest of 224, 256, 384 or 512 bits; 256 where nothing is said.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: |arguments, _| match arguments
            .optional_integer("a number of bits")?
            .unwrap_or(256)
        {
            224 => digested(&digest::SHA224),
            256 => digested(&digest::SHA256),
            384 => digested(&digest::SHA384),
            512 => digested(&digest::SHA512),
            bits => Err(arguments.invalid(format_args!("there is no SHA-2 of {bits} bits"))),
        },
    },
    Row {
        name: "x509_v_err_str",
        usage: "",
        doc: "OpenSSL's name of what is wrong with a certificate (ssl_c_verify); an unknown number stays one.",
        input: Type::Integer,
        output: Some(Type::Text),
        read: |_, _| {
            pure(|value| {
                let number = value.as_integer()?;
                let known = u32::try_from(number).ok().and_then(errors::name);
                Some(match known {
                    Some(name) => Value::text(name.as_bytes()),
                    None => Value::owned(number.to_string()),
                })
            })
        },
    },
];

type Made = Result<Box<dyn Convert>, Diagnostic>;

fn unknown(name: &str, arguments: &Arguments) -> Diagnostic {
    arguments.invalid(format_args!(
        "'{name}' is not an algorithm that can be used"
    ))
}

/// OpenSSL's names, whatever their case, with or without the hyphen of SHA-1 and SHA-2.
fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("sha-") {
        Some(rest) => format!("sha{rest}"),
        None => name,
    }
}

fn algorithm(name: &str) -> Option<&'static digest::Algorithm> {
    Some(match plain(name).as_str() {
        "sha1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "sha224" => &digest::SHA224,
        "sha256" => &digest::SHA256,
        "sha384" => &digest::SHA384,
        "sha512" => &digest::SHA512,
        "sha512-256" | "sha512/256" => &digest::SHA512_256,
        "sha3-256" => &digest::SHA3_256,
        "sha3-384" => &digest::SHA3_384,
        "sha3-512" => &digest::SHA3_512,
        _ => return None,
    })
}

fn keyed(name: &str) -> Option<hmac::Algorithm> {
    Some(match plain(name).as_str() {
        "sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "sha224" => hmac::HMAC_SHA224,
        "sha256" => hmac::HMAC_SHA256,
        "sha384" => hmac::HMAC_SHA384,
        "sha512" => hmac::HMAC_SHA512,
        _ => return None,
    })
}

fn digested(algorithm: &'static digest::Algorithm) -> Made {
    pure(move |value| {
        binary(
            digest::digest(algorithm, &value.into_binary())
                .as_ref()
                .to_vec(),
        )
    })
}

/// Bytes in base 64, given in the configuration or by a variable.
pub(super) enum Secret {
    Known(Vec<u8>),
    Variable(Name),
}

impl Secret {
    pub(super) fn read(arguments: &mut Arguments, what: &str) -> Result<Self, Diagnostic> {
        let text = arguments.text(what)?;
        if let Ok(name) = Name::parse(&text) {
            return Ok(Self::Variable(name));
        }
        PADDED
            .decode(text.as_bytes())
            .map(Self::Known)
            .map_err(|_| {
                arguments.invalid(format_args!(
                    "{what} is neither base 64 nor a variable's name"
                ))
            })
    }

    pub(super) fn bytes<'a>(&'a self, context: &Context<'_>) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Known(bytes) => Some(Cow::Borrowed(bytes)),
            Self::Variable(name) => {
                let text = context.variable(name)?.into_text();
                PADDED.decode(&text).ok().map(Cow::Owned)
            }
        }
    }
}

struct Hmac {
    algorithm: hmac::Algorithm,
    key: Secret,
}

impl Convert for Hmac {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let key = hmac::Key::new(self.algorithm, &self.key.bytes(context)?);
        binary(hmac::sign(&key, &value.into_binary()).as_ref().to_vec())
    }
}

struct Same(Name);

impl Convert for Same {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let other = context.variable(&self.0)?.into_binary();
        let same = constant_time::verify_slices_are_equal(&value.into_binary(), &other);
        Some(Value::Boolean(same.is_ok()))
    }
}

fn bits(arguments: &mut Arguments) -> Result<i64, Diagnostic> {
    match arguments.integer("a number of bits")? {
        bits @ (128 | 192 | 256) => Ok(bits),
        bits => Err(arguments.invalid(format_args!("there is no AES of {bits} bits"))),
    }
}

struct Cbc {
    algorithm: &'static cipher::Algorithm,
    nonce: Secret,
    key: Secret,
    encrypts: bool,
}

fn cbc(arguments: &mut Arguments, encrypts: bool) -> Made {
    let algorithm = match bits(arguments)? {
        128 => &cipher::AES_128,
        192 => &cipher::AES_192,
        _ => &cipher::AES_256,
    };
    let nonce = Secret::read(arguments, "a nonce")?;
    let key = Secret::read(arguments, "a key")?;
    if arguments.left() > 0 {
        // CBC authenticates nothing; HAProxy takes the argument, too.
        Secret::read(arguments, "further data")?;
    }
    Ok(Box::new(Cbc {
        algorithm,
        nonce,
        key,
        encrypts,
    }))
}

impl Convert for Cbc {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let nonce = self.nonce.bytes(context)?;
        // A nonce that is too short is filled up with zeros.
        let mut vector = [0; 16];
        vector.get_mut(..nonce.len())?.copy_from_slice(&nonce);
        let key = UnboundCipherKey::new(self.algorithm, &self.key.bytes(context)?).ok()?;
        let mut bytes = value.into_binary().into_owned();
        if self.encrypts {
            let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).ok()?;
            let vector = EncryptionContext::Iv128(FixedLength::from(vector));
            key.less_safe_encrypt(&mut bytes, vector).ok()?;
            return binary(bytes);
        }
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
        let vector = DecryptionContext::Iv128(FixedLength::from(vector));
        let length = key.decrypt(&mut bytes, vector).ok()?.len();
        bytes.truncate(length);
        binary(bytes)
    }
}

enum Tag {
    /// Compared with what the text and the key yield.
    Expected(Secret),
    /// Where the tag goes.
    Kept(Name),
}

struct Gcm {
    algorithm: &'static aead::Algorithm,
    nonce: Secret,
    key: Secret,
    tag: Tag,
    further: Option<Secret>,
}

fn gcm(arguments: &mut Arguments, encrypts: bool) -> Made {
    let algorithm = match bits(arguments)? {
        128 => &aead::AES_128_GCM,
        192 => &aead::AES_192_GCM,
        _ => &aead::AES_256_GCM,
    };
    let nonce = Secret::read(arguments, "a nonce")?;
    let key = Secret::read(arguments, "a key")?;
    let tag = if encrypts {
        let text = arguments.word("a variable for the tag")?;
        Tag::Kept(Name::parse(&text).map_err(|error| arguments.invalid(error))?)
    } else {
        Tag::Expected(Secret::read(arguments, "a tag")?)
    };
    let further = match arguments.left() {
        0 => None,
        _ => Some(Secret::read(arguments, "further data")?),
    };
    Ok(Box::new(Gcm {
        algorithm,
        nonce,
        key,
        tag,
        further,
    }))
}

impl Convert for Gcm {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let key = UnboundKey::new(self.algorithm, &self.key.bytes(context)?).ok()?;
        let key = LessSafeKey::new(key);
        let nonce = Nonce::try_assume_unique_for_key(&self.nonce.bytes(context)?).ok()?;
        let further = match &self.further {
            None => Cow::Borrowed(&[][..]),
            Some(further) => further.bytes(context)?,
        };
        let mut bytes = value.into_binary().into_owned();
        let further = Aad::from(further);
        match &self.tag {
            Tag::Kept(name) => {
                let tag = key
                    .seal_in_place_separate_tag(nonce, further, &mut bytes)
                    .ok()?;
                let tag = PADDED.encode(tag.as_ref());
                context.change_variable(name, Some(Value::owned(tag)));
                binary(bytes)
            }
            Tag::Expected(tag) => {
                bytes.extend_from_slice(&tag.bytes(context)?);
                let length = key.open_in_place(nonce, further, &mut bytes).ok()?.len();
                bytes.truncate(length);
                binary(bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;
    use crate::value::Value;

    /// Expected values are HAProxy's.
    #[test]
    fn digests_are_the_known_ones() {
        let mut bench = Bench::default();
        bench.variable("txn.text", Value::owned(*b"text"));
        bench.variable("txn.k", Value::owned(*b"a2V5"));
        for (text, expected) in [
            (
                "str(abc),sha1,hex",
                Some("A9993E364706816ABA3E25717850C26C9CD0D89D"),
            ),
            (
                "str(abc),sha2(224),hex",
                Some("23097D223405D8228642A477BDA255B32AADBCE4BDA0B3F7E36C9DA7"),
            ),
            (
                "str(abc),sha2,hex",
                Some("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"),
            ),
            (
                "str(abc),digest(SHA-256),hex",
                Some("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"),
            ),
            (
                "str(abc),digest(MD5),hex",
                Some("900150983CD24FB0D6963F7D28E17F72"),
            ),
            (
                "str(abc),digest(sha3-256),hex",
                Some("3A985DA74FE225B2045C172D6BD390BD855F086E3E9D525B46BFE24511431532"),
            ),
            (
                "str(abc),hmac(sha256,a2V5),hex",
                Some("9C196E32DC0175F86F4B1CB89289D6619DE6BEE699E4C378E68309ED97A1A6AB"),
            ),
            (
                "str(abc),hmac(sha256,txn.k),hex",
                Some("9C196E32DC0175F86F4B1CB89289D6619DE6BEE699E4C378E68309ED97A1A6AB"),
            ),
            ("str(abc),hmac(sha256,txn.none),hex", None),
            ("str(text),secure_memcmp(txn.text)", Some("1")),
            ("str(texu),secure_memcmp(txn.text)", Some("0")),
            ("str(tex),secure_memcmp(txn.text)", Some("0")),
            ("str(a),secure_memcmp(txn.none)", None),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
        for (text, part) in [
            ("str(a),sha2(1)", "no SHA-2"),
            ("str(a),digest", "lacks"),
            ("str(a),digest(md7)", "not an algorithm"),
            ("str(a),hmac(sha1)", "lacks"),
            ("str(a),hmac(sha1,!)", "base 64"),
            ("str(a),secure_memcmp", "lacks"),
        ] {
            let error = bench.refused(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_encrypted_can_be_read_again() {
        let bench = Bench::default();
        let (nonce, key) = ("MTIzNDU2Nzg5MDEy", "Zm9vb2Zvb29mb29vb29vbw==");
        for (text, expected) in [
            (
                format!("str(plain),aes_cbc_enc(128,{nonce},{key}),aes_cbc_dec(128,{nonce},{key})"),
                Some("plain"),
            ),
            (
                format!(
                    "str(plain),aes_gcm_enc(128,{nonce},{key},txn.t),aes_gcm_dec(128,{nonce},{key},txn.t)"
                ),
                Some("plain"),
            ),
            (
                format!(
                    "str(plain),aes_gcm_enc(128,{nonce},{key},txn.t,YQ==),aes_gcm_dec(128,{nonce},{key},txn.t,YQ==)"
                ),
                Some("plain"),
            ),
            (
                format!(
                    "str(plain),aes_gcm_enc(128,{nonce},{key},txn.t,YQ==),aes_gcm_dec(128,{nonce},{key},txn.t)"
                ),
                None,
            ),
            (
                format!("str(plain),aes_gcm_dec(128,{nonce},{key},AAAA)"),
                None,
            ),
            (format!("str(plain),aes_cbc_dec(128,{nonce},{key})"), None),
            (format!("str(plain),aes_cbc_enc(256,{nonce},{key})"), None),
            (
                format!("str(plain),aes_gcm_enc(128,YQ==,{key},txn.t)"),
                None,
            ),
        ] {
            assert_eq!(bench.evaluate(&text).as_deref(), expected, "{text}");
        }
        assert!(
            bench
                .refused("str(a),aes_cbc_enc(129,YQ==,YQ==)")
                .contains("no AES")
        );
    }
}
