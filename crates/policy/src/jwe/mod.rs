//! Encrypted JSON web tokens in their compact form (RFC 7516 section 3.1): five parts, of which the second is the key that
//! the fourth is encrypted with.
//!
//! Everything in a token is chosen by whoever sends it. So nothing is tried that the configuration does not allow
//! ([`Allowed`]) or that does not fit the key, and what is wrong with a token is not told. What is absent: claims and
//! signatures.

mod algorithm;
mod content;
mod key;
mod unwrap;

use zeroize::Zeroizing;

pub use self::algorithm::{Algorithm, Allowed, Encryption, Padding, Size};
pub use self::key::{CurveKey, Key};
use crate::convert::{JsonQuery, decode_url};

/// The parts of a token, still encoded but for its header.
struct Token<'a> {
    /// The header as it was sent, which the content's tag is made of as well.
    encoded_header: &'a [u8],
    header: Vec<u8>,
    wrapped_key: Vec<u8>,
    nonce: Vec<u8>,
    text: Vec<u8>,
    tag: Vec<u8>,
}

impl<'a> Token<'a> {
    fn read(token: &'a [u8]) -> Option<Self> {
        let mut parts = token.split(|byte| *byte == b'.');
        let mut next = || parts.next();
        let (encoded_header, wrapped_key) = (next()?, next()?);
        let (nonce, text, tag) = (next()?, next()?, next()?);
        if next().is_some() {
            return None;
        }
        Some(Self {
            encoded_header,
            header: decode_url(encoded_header)?,
            wrapped_key: decode_url(wrapped_key)?,
            nonce: decode_url(nonce)?,
            text: decode_url(text)?,
            tag: decode_url(tag)?,
        })
    }

    /// A text in the header, by its path.
    fn field(&self, path: &str) -> Option<Vec<u8>> {
        let found = JsonQuery::parse(path, false).find(&self.header)?;
        Some(found.into_text().into_owned())
    }

    /// Bytes in the header; `Some(None)`: there is no such field.
    fn optional_bytes(&self, path: &str) -> Option<Option<Vec<u8>>> {
        match self.field(path) {
            Some(text) => decode_url(&text).map(Some),
            None => Some(None),
        }
    }
}

/// What a token says, decrypted; `None`: it is malformed, not meant for this key, or not allowed.
///
/// `holds`: whether this kind of key may be tried with an algorithm.
pub fn decrypt(
    token: &[u8],
    key: impl FnOnce() -> Option<Key>,
    allowed: Allowed,
    holds: impl FnOnce(Algorithm) -> bool,
) -> Option<Vec<u8>> {
    let token = Token::read(token)?;
    let algorithm = Algorithm::find(&token.field("$.alg")?)?;
    let encryption = Encryption::find(&token.field("$.enc")?)?;
    if !allowed.algorithm(algorithm) || !allowed.encryption(encryption) || !holds(algorithm) {
        return None;
    }
    let content_key = content_key(&token, &key()?, algorithm, encryption)?;
    content::decrypt(&token, encryption, &content_key)
}

/// The key of the content (RFC 7516 section 5.2, steps 6 to 10).
fn content_key(
    token: &Token<'_>,
    key: &Key,
    algorithm: Algorithm,
    encryption: Encryption,
) -> Option<Zeroizing<Vec<u8>>> {
    let wrapped = &token.wrapped_key;
    // With a key that is agreed on, or known, there is nothing to be sent.
    if algorithm.sends_key() == wrapped.is_empty() {
        return None;
    }
    match (algorithm, key) {
        (Algorithm::Direct, Key::Secret(secret)) => Some(secret.clone()),
        (Algorithm::Wrap(size), Key::Secret(secret)) => {
            unwrap::aes(size, secret.get(..size.bytes())?, wrapped)
        }
        (Algorithm::GcmWrap(size), Key::Secret(secret)) => {
            let nonce = decode_url(&token.field("$.iv")?)?;
            let tag = decode_url(&token.field("$.tag")?)?;
            unwrap::gcm(size, secret.get(..size.bytes())?, (&nonce, &tag), wrapped)
        }
        (Algorithm::Rsa(padding), Key::Rsa(key)) => {
            unwrap::rsa(padding, key, wrapped, encryption.key_bytes())
        }
        (Algorithm::Agreement(wrap), Key::Curve(key)) => {
            let peer = key::Point::read(|name| token.field(&format!("$.epk.{name}")))?;
            let parties = [
                token.optional_bytes("$.apu")?.unwrap_or_default(),
                token.optional_bytes("$.apv")?.unwrap_or_default(),
            ];
            let (name, bytes) = match wrap {
                None => (encryption.name(), encryption.key_bytes()),
                Some(size) => (algorithm.name(), size.bytes()),
            };
            let agreed = key.agree(&peer, name, &parties, bytes)?;
            match wrap {
                None => Some(agreed),
                Some(size) => unwrap::aes(size, &agreed, wrapped),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
