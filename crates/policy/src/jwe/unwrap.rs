//! How the key of the content is taken out of what was sent.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey,
    Pkcs1PrivateDecryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::{constant_time, rand};
use zeroize::Zeroizing;

use super::algorithm::{Padding, Size};

/// Bytes that are wrapped at a time (RFC 3394 section 2).
const HALF_BYTES: usize = 8;

/// The longest key that may be wrapped: more than any encryption needs.
const WRAPPED_BYTES_MAX: usize = 256;

/// What a wrapped key begins with (RFC 3394 section 2.2.3.1).
const BEGINNING: [u8; HALF_BYTES] = [0xa6; HALF_BYTES];

/// The tag of AES-GCM (RFC 7518 section 4.7.1.2).
const TAG_BYTES: usize = 16;

pub(super) fn cipher(size: Size) -> &'static cipher::Algorithm {
    match size {
        Size::Aes128 => &cipher::AES_128,
        Size::Aes192 => &cipher::AES_192,
        Size::Aes256 => &cipher::AES_256,
    }
}

/// RFC 3394 section 2.2.2. (The library unwraps with keys of 128 and 256 bits alone.)
pub(super) fn aes(size: Size, key: &[u8], wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let blocks = wrapped.len() / HALF_BYTES;
    let whole = wrapped.len().is_multiple_of(HALF_BYTES);
    if !whole || blocks < 3 || wrapped.len() > WRAPPED_BYTES_MAX {
        return None;
    }
    let key = DecryptingKey::ecb(UnboundCipherKey::new(cipher(size), key).ok()?).ok()?;
    let (beginning, rest) = wrapped.split_at(HALF_BYTES);
    let mut register = Zeroizing::new([0; 2 * HALF_BYTES]);
    register[..HALF_BYTES].copy_from_slice(beginning);
    let mut unwrapped = Zeroizing::new(rest.to_vec());
    let count = unwrapped.len() / HALF_BYTES;
    for step in (1..=6 * count).rev() {
        for (byte, turn) in register.iter_mut().zip((step as u64).to_be_bytes()) {
            *byte ^= turn;
        }
        let place = (step - 1) % count * HALF_BYTES;
        let half = &mut unwrapped[place..place + HALF_BYTES];
        register[HALF_BYTES..].copy_from_slice(half);
        key.decrypt(&mut register[..], DecryptionContext::None)
            .ok()?;
        half.copy_from_slice(&register[HALF_BYTES..]);
    }
    constant_time::verify_slices_are_equal(&register[..HALF_BYTES], &BEGINNING).ok()?;
    Some(unwrapped)
}

/// RFC 7518 section 4.7.
pub(super) fn gcm(
    size: Size,
    key: &[u8],
    sealed: (&[u8], &[u8]),
    wrapped: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    open(size, key, sealed, b"", wrapped).map(Zeroizing::new)
}

/// AES-GCM, with a whole tag: one that is cut off would be easier to guess.
pub(super) fn open(
    size: Size,
    key: &[u8],
    (nonce, tag): (&[u8], &[u8]),
    beside: &[u8],
    text: &[u8],
) -> Option<Vec<u8>> {
    let algorithm = match size {
        Size::Aes128 => &aead::AES_128_GCM,
        Size::Aes192 => &aead::AES_192_GCM,
        Size::Aes256 => &aead::AES_256_GCM,
    };
    let tag: &[u8; TAG_BYTES] = tag.try_into().ok()?;
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut sealed = [text, tag].concat();
    let length = key
        .open_in_place(nonce, Aad::from(beside), &mut sealed)
        .ok()?
        .len();
    sealed.truncate(length);
    Some(sealed)
}

/// RFC 7518 sections 4.2 and 4.3.
pub(super) fn rsa(
    padding: Padding,
    key: &PrivateDecryptingKey,
    wrapped: &[u8],
    key_bytes: usize,
) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(vec![0; key.key_size_bytes()]);
    let oaep = match padding {
        Padding::OaepSha1 => &OAEP_SHA1_MGF1SHA1,
        Padding::OaepSha256 => &OAEP_SHA256_MGF1SHA256,
        Padding::Pkcs1 => return pkcs1(key, wrapped, out, key_bytes),
    };
    let key = OaepPrivateDecryptingKey::new(key.clone()).ok()?;
    let length = key.decrypt(oaep, wrapped, &mut out, None).ok()?.len();
    out.truncate(length);
    Some(out)
}

/// RFC 7516 section 11.5: whoever sends tokens must not learn whether the padding was right, so that a key that was not
/// found is replaced by one that nobody knows, and all goes on as if it were the right one.
fn pkcs1(
    key: &PrivateDecryptingKey,
    wrapped: &[u8],
    mut out: Zeroizing<Vec<u8>>,
    key_bytes: usize,
) -> Option<Zeroizing<Vec<u8>>> {
    let mut other = Zeroizing::new(vec![0; key_bytes]);
    rand::fill(&mut other).ok()?;
    let key = Pkcs1PrivateDecryptingKey::new(key.clone()).ok()?;
    let length = key.decrypt(wrapped, &mut out).map(|key| key.len());
    if length == Ok(key_bytes) {
        other.copy_from_slice(&out[..key_bytes]);
    }
    Some(other)
}
