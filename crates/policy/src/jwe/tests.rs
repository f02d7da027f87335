//! Tokens that another implementation has made, each with the names of its algorithms inside.

use proptest::prelude::*;

use super::*;
use crate::tls::certificate::{self, Parts};

/// Lines of the name of a key, two algorithms and a token.
const TOKENS: &str = include_str!("../../tests/jwt/encrypted.txt");

/// Lines of a name and a key in JSON.
const KEYS: &str = include_str!("../../tests/jwt/keys.txt");

fn all() -> Allowed {
    let mut allowed = Allowed::default();
    allowed.set_algorithms("ALL").expect("a list");
    allowed
}

fn key(name: &str) -> Option<Key> {
    let pem = match name {
        "rsa.pem" => include_str!("../../tests/tls/rsa.pem"),
        "site.pem" => include_str!("../../tests/tls/site.pem"),
        _ => {
            let mut lines = KEYS.lines().filter_map(|line| line.split_once(' '));
            let (_, json) = lines.find(|(known, _)| *known == name)?;
            return Key::from_json(json.as_bytes());
        }
    };
    let parts = Parts {
        pem: pem.as_bytes(),
        ..Parts::default()
    };
    let certificate = certificate::load(name, &parts).expect("a certificate");
    Key::from_certificate(&certificate.key)
}

fn tokens() -> impl Iterator<Item = [&'static str; 4]> {
    TOKENS.lines().map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        words.try_into().expect("four words")
    })
}

fn said(token: &str, name: &str) -> Option<String> {
    let said = decrypt(token.as_bytes(), || key(name), all(), |_| true)?;
    Some(String::from_utf8(said).expect("text"))
}

#[test]
fn every_algorithm_is_understood() {
    let (mut algorithms, mut encryptions) = (Vec::new(), Vec::new());
    for [name, algorithm, encryption, token] in tokens() {
        let expected = format!("{algorithm} {encryption}");
        assert_eq!(said(token, name), Some(expected), "{name}");
        algorithms.push(algorithm);
        encryptions.push(encryption);
    }
    let known = |name| algorithms.contains(&name) || encryptions.contains(&name);
    assert_eq!(Allowed::names().find(|name| !known(name)), None);
}

#[test]
fn a_token_that_was_touched_says_nothing() {
    for [name, algorithm, encryption, token] in tokens() {
        let parts: Vec<&str> = token.split('.').collect();
        for (index, part) in parts
            .iter()
            .enumerate()
            .filter(|(_, part)| !part.is_empty())
        {
            let mut bytes = decode_url(part.as_bytes()).expect("base 64");
            let last = bytes.len() - 1;
            // The header's last byte is a brace; a space before it leaves it readable.
            match index {
                0 => bytes.insert(last, b' '),
                _ => bytes[last] ^= 1,
            }
            let touched = data_encoding::BASE64URL_NOPAD.encode(&bytes);
            let mut parts = parts.clone();
            parts[index] = &touched;
            let what = format!("{algorithm} {encryption}, part {index}");
            assert_eq!(said(&parts.join("."), name), None, "{what}");
            parts[index] = &touched[..touched.len() / 2];
            assert_eq!(said(&parts.join("."), name), None, "half of {what}");
        }
        for other in [
            format!("{token}."),
            format!(".{token}"),
            parts[..4].join("."),
        ] {
            assert_eq!(said(&other, name), None);
        }
    }
}

#[test]
fn a_key_fits_its_own_tokens_alone() {
    for [name, algorithm, encryption, token] in tokens() {
        for other in [
            "rsa",
            "rsa.pem",
            "site.pem",
            "P-256",
            "P-384",
            "P-521",
            "secret256",
            "secret512",
        ] {
            if other != name {
                assert_eq!(
                    said(token, other),
                    None,
                    "{algorithm} {encryption} with {other}"
                );
            }
        }
    }
}

#[test]
fn what_is_not_allowed_is_not_tried() {
    for [name, algorithm, encryption, token] in tokens() {
        let with = |edit: &dyn Fn(&mut Allowed)| {
            let mut allowed = all();
            edit(&mut allowed);
            decrypt(token.as_bytes(), || key(name), allowed, |_| true).is_some()
        };
        let no = [format!("ALL:!{algorithm}"), format!("ALL:!{encryption}")];
        assert!(!with(&|allowed| allowed
            .set_algorithms(&no[0])
            .expect("a list")));
        assert!(!with(&|allowed| allowed
            .set_encryptions(&no[1])
            .expect("a list")));
        let usual = decrypt(token.as_bytes(), || key(name), Allowed::default(), |_| true);
        assert_eq!(usual.is_some(), algorithm != "RSA1_5", "{algorithm}");
        assert_eq!(
            decrypt(token.as_bytes(), || key(name), all(), |_| false),
            None
        );
    }
}

#[test]
fn keys_that_are_none() {
    let rsa = KEYS
        .lines()
        .next()
        .expect("a line")
        .split_once(' ')
        .expect("words")
        .1;
    for json in [
        "",
        "{}",
        r#"{"kty":"oct"}"#,
        r#"{"kty":"oct","k":"!"}"#,
        r#"{"kty":"OKP","crv":"X25519","x":"AA","d":"AA"}"#,
        r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
        r#"{"kty":"EC","crv":"P-224","x":"AA","y":"AA","d":"AA"}"#,
        r#"{"kty":"RSA","n":"AA","e":"AQAB"}"#,
        &rsa.replace("\"qi\":\"", "\"qi\":\"AA"),
        &rsa.replace("\"qi\"", "\"qj\""),
    ] {
        assert!(Key::from_json(json.as_bytes()).is_none(), "{json}");
    }
}

proptest! {
    #[test]
    fn anything_at_all_is_survived(
        header in "\\{(\"(alg|enc|epk|iv|tag|apu)\":(\"(dir|A128KW|ECDH-ES|A128GCM|A128GCMKW|A128CBC-HS256)\"|\\{\\}|7),?){0,5}\\}",
        parts in prop::collection::vec("[A-Za-z0-9_.-]{0,60}", 0..6),
    ) {
        let header = data_encoding::BASE64URL_NOPAD.encode(header.as_bytes());
        let token = format!("{header}.{}", parts.join("."));
        for name in ["secret128", "P-256"] {
            prop_assert_eq!(said(&token, name), None);
        }
    }
}
