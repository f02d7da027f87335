//! The keys of a WebSocket's handshake (RFC 6455 section 4), for those who must answer or ask in another's place.
//!
//! SHA-1 proves here only that a server has read the request; nothing rests on its strength.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// `Sec-WebSocket-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key([u8; 24]);

impl Key {
    /// The key of these bytes, which should be random.
    pub fn of(bytes: [u8; 16]) -> Self {
        let mut text = [0; 24];
        base64(&bytes, &mut text);
        Self(text)
    }

    /// The key in a request's field.
    pub fn read(field: &[u8]) -> Option<Self> {
        field.try_into().ok().map(Self)
    }

    /// As it stands in the field.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// `Sec-WebSocket-Accept`: what proves that the key was read.
    pub fn accept(&self) -> [u8; 28] {
        let mut text = [0; 28];
        base64(&sha1(&[&self.0[..], MAGIC].concat()), &mut text);
        text
    }
}

fn base64(bytes: &[u8], out: &mut [u8]) {
    out.fill(b'=');
    for (piece, out) in bytes.chunks(3).zip(out.chunks_mut(4)) {
        let mut group = [0; 4];
        group[1..=piece.len()].copy_from_slice(piece);
        let group = u32::from_be_bytes(group);
        for (index, out) in out.iter_mut().enumerate().take(piece.len() + 1) {
            *out = ALPHABET[(group >> (18 - 6 * index)) as usize & 63];
        }
    }
}

/// FIPS 180-4 section 6.1.
fn sha1(text: &[u8]) -> [u8; 20] {
    let mut padded = text.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(8 * text.len() as u64).to_be_bytes());
    let mut state: [u32; 5] = [
        0x6745_2301,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];
    for block in padded.chunks_exact(64) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        for at in 16..80 {
            let mixed = words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16];
            words[at] = mixed.rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (round, word) in words.iter().enumerate() {
            let (mix, constant) = match round {
                0..20 => (b & c | !b & d, 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => (b & c | b & d | c & d, 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let next = a
                .rotate_left(5)
                .wrapping_add(mix)
                .wrapping_add(e)
                .wrapping_add(constant)
                .wrapping_add(*word);
            (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        }
        for (word, more) in state.iter_mut().zip([a, b, c, d, e]) {
            *word = word.wrapping_add(more);
        }
    }
    let mut out = [0; 20];
    for (out, word) in out.chunks_exact_mut(4).zip(state) {
        out.copy_from_slice(&word.to_be_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn digests_are_those_of_the_standard() {
        for (text, digest) in [
            ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
            ),
        ] {
            assert_eq!(hex(&sha1(text.as_bytes())), digest, "{text}");
        }
    }

    #[test]
    fn the_rfcs_handshake() {
        let key = Key::of(*b"the sample nonce");
        assert_eq!(key.as_bytes(), b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(&key.accept(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(Key::read(key.as_bytes()), Some(key));
        assert_eq!(Key::read(b"short"), None);
    }
}
