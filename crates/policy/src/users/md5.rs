//! The hash of passwords that begins with `$1$`: a thousand rounds of MD5. Old and cheap, and in many files.

use md5::{Digest as _, Md5};

const ROUNDS: usize = 1_000;
const SALT_BYTES_MAX: usize = 8;
const MAGIC: &[u8] = b"$1$";

/// The sixteen bytes of the hash.
pub(super) fn md5_crypt(password: &[u8], salt: &[u8]) -> [u8; 16] {
    let salt = &salt[..salt.len().min(SALT_BYTES_MAX)];
    let around = Md5::new().chain_update(password).chain_update(salt);
    let around = around.chain_update(password).finalize();
    let mut first = Md5::new();
    for part in [password, MAGIC, salt] {
        first.update(part);
    }
    let mut left = password.len();
    while left > 0 {
        let taken = left.min(around.len());
        first.update(&around[..taken]);
        left -= taken;
    }
    let mut bits = password.len();
    while bits > 0 {
        // The bits of the length choose between a zero and the first byte: a mistake of long ago that made the format.
        first.update(if bits & 1 == 1 { &[0] } else { &password[..1] });
        bits >>= 1;
    }
    let mut hash: [u8; 16] = first.finalize().into();
    for round in 0..ROUNDS {
        let mut next = Md5::new();
        let odd = round % 2 == 1;
        next.update(if odd { password } else { &hash });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if odd { &hash } else { password });
        hash = next.finalize().into();
    }
    hash
}
