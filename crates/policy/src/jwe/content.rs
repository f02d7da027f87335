//! The content of a token, with its key (RFC 7518 section 5).

use aws_lc_rs::cipher::{DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{constant_time, hmac};

use super::algorithm::{Encryption, Size};
use super::{Token, unwrap};

pub(super) fn decrypt(token: &Token<'_>, encryption: Encryption, key: &[u8]) -> Option<Vec<u8>> {
    match encryption {
        Encryption::Gcm(size) => {
            let sealed = (&token.nonce[..], &token.tag[..]);
            unwrap::open(size, key, sealed, token.encoded_header, &token.text)
        }
        Encryption::CbcHmac(size) => cbc(token, size, key),
    }
}

/// Section 5.2.2.2: nothing is decrypted before the tag has proved that it was encrypted with this key.
fn cbc(token: &Token<'_>, size: Size, key: &[u8]) -> Option<Vec<u8>> {
    if key.len() != 2 * size.bytes() {
        return None;
    }
    let (for_tag, for_text) = key.split_at(size.bytes());
    let digest = match size {
        Size::Aes128 => hmac::HMAC_SHA256,
        Size::Aes192 => hmac::HMAC_SHA384,
        Size::Aes256 => hmac::HMAC_SHA512,
    };
    let mut tag = hmac::Context::with_key(&hmac::Key::new(digest, for_tag));
    let header_bits = 8 * token.encoded_header.len() as u64;
    let parts = [token.encoded_header, &token.nonce, &token.text];
    parts.into_iter().for_each(|part| tag.update(part));
    tag.update(&header_bits.to_be_bytes());
    let tag = tag.sign();
    constant_time::verify_slices_are_equal(&tag.as_ref()[..size.bytes()], &token.tag).ok()?;
    let nonce: [u8; 16] = token.nonce.as_slice().try_into().ok()?;
    let key = UnboundCipherKey::new(unwrap::cipher(size), for_text).ok()?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
    let mut text = token.text.clone();
    let nonce = DecryptionContext::Iv128(FixedLength::from(nonce));
    let length = key.decrypt(&mut text, nonce).ok()?.len();
    text.truncate(length);
    Some(text)
}
