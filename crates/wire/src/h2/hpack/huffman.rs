//! The Huffman code of HPACK (RFC 7541 appendix B).
//!
//! The code is canonical: codes of one length follow each other in the order of their symbols, and lengths ascend. The
//! lengths alone therefore say everything, and both directions are computed from them at compile time.

/// The code's length, in bits, of each byte; that of the end-of-string symbol is [`LENGTH_MAX`].
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

const LENGTH_MAX: usize = 30;

/// Codes up to this length are decoded with one look; all printable bytes but a few are such.
const SHORT_BITS: usize = 10;

/// The code of each byte, in its lowest bits.
static CODES: [u32; 256] = codes();

/// What the next [`SHORT_BITS`] bits begin with: the symbol, and its length; length 0: a longer code.
static SHORT: [(u8, u8); 1 << SHORT_BITS] = short();

/// Of each length: the first code, how many there are, and where their symbols begin in [`SYMBOLS`].
static ROWS: [(u32, u32, u32); LENGTH_MAX + 1] = rows();

/// The bytes in the order of their codes.
static SYMBOLS: [u8; 256] = symbols();

const fn rows() -> [(u32, u32, u32); LENGTH_MAX + 1] {
    let mut rows = [(0, 0, 0); LENGTH_MAX + 1];
    let (mut code, mut start, mut length) = (0, 0, 1);
    while length <= LENGTH_MAX {
        code <<= 1;
        let (mut count, mut byte) = (0, 0);
        while byte < 256 {
            count += (LENGTHS[byte] as usize == length) as u32;
            byte += 1;
        }
        rows[length] = (code, count, start);
        code += count;
        start += count;
        length += 1;
    }
    rows
}

const fn symbols() -> [u8; 256] {
    let rows = rows();
    let mut filled = [0; LENGTH_MAX + 1];
    let mut symbols = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let length = LENGTHS[byte] as usize;
        symbols[rows[length].2 as usize + filled[length]] = byte as u8;
        filled[length] += 1;
        byte += 1;
    }
    symbols
}

const fn codes() -> [u32; 256] {
    let rows = rows();
    let mut filled = [0; LENGTH_MAX + 1];
    let mut codes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let length = LENGTHS[byte] as usize;
        codes[byte] = rows[length].0 + filled[length];
        filled[length] += 1;
        byte += 1;
    }
    codes
}

const fn short() -> [(u8, u8); 1 << SHORT_BITS] {
    let codes = codes();
    let mut short = [(0, 0); 1 << SHORT_BITS];
    let mut byte = 0;
    while byte < 256 {
        let length = LENGTHS[byte] as usize;
        if length <= SHORT_BITS {
            let first = (codes[byte] as usize) << (SHORT_BITS - length);
            let mut offset = 0;
            while offset < 1 << (SHORT_BITS - length) {
                short[first + offset] = (byte as u8, length as u8);
                offset += 1;
            }
        }
        byte += 1;
    }
    short
}

/// How many bytes `text` takes when it is encoded.
pub(crate) fn encoded_len(text: &[u8]) -> usize {
    let bits: usize = text
        .iter()
        .map(|&byte| LENGTHS[byte as usize] as usize)
        .sum();
    bits.div_ceil(8)
}

/// Appends the code of `text` to `out`, padded with ones.
pub(crate) fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut held, mut bits) = (0u64, 0);
    for &byte in text {
        let length = u32::from(LENGTHS[byte as usize]);
        held = held << length | u64::from(CODES[byte as usize]);
        bits += length;
        while bits >= 8 {
            bits -= 8;
            out.push((held >> bits) as u8);
        }
    }
    if bits > 0 {
        let padding = 8 - bits;
        out.push((held << padding) as u8 | ((1u16 << padding) - 1) as u8);
    }
}

/// Appends the text that `code` stands for to `out`, at most `room` bytes of it; the rest is checked but not kept.
///
/// `None`: no code, more than seven bits of padding, padding that is not all ones, or the end-of-string symbol
/// (RFC 7541 section 5.2). Returns the whole length.
pub(crate) fn decode(code: &[u8], out: &mut Vec<u8>, room: usize) -> Option<usize> {
    // `window` holds the next bits at its top.
    let (mut window, mut bits, mut at, mut length) = (0u64, 0u32, 0, 0);
    loop {
        while bits <= 56 && at < code.len() {
            window |= u64::from(code[at]) << (56 - bits);
            bits += 8;
            at += 1;
        }
        if bits < 8 && window >> (64 - 8) as u64 == padding(bits) {
            return Some(length);
        }
        let (symbol, taken) = match SHORT[(window >> (64 - SHORT_BITS)) as usize] {
            (_, 0) => long(window)?,
            short => short,
        };
        let taken = u32::from(taken);
        if taken > bits {
            return None;
        }
        window <<= taken;
        bits -= taken;
        if length < room {
            out.push(symbol);
        }
        length += 1;
    }
}

/// So many ones at the top of a byte.
fn padding(bits: u32) -> u64 {
    0xff & !(0xff >> bits)
}

#[cold]
fn long(window: u64) -> Option<(u8, u8)> {
    for (length, &(first, count, start)) in ROWS.iter().enumerate().skip(SHORT_BITS + 1) {
        let offset = ((window >> (64 - length)) as u32).wrapping_sub(first);
        if offset < count {
            return Some((SYMBOLS[(start + offset) as usize], length as u8));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(code: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let length = decode(code, &mut out, usize::MAX)?;
        assert_eq!(length, out.len());
        Some(out)
    }

    /// RFC 7541 appendix C.4 and C.6.
    #[test]
    fn the_rfcs_examples() {
        for (text, code) in [
            ("www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"),
            ("no-cache", "a8eb10649cbf"),
            ("custom-value", "25a849e95bb8e8b4bf"),
            ("302", "6402"),
            ("private", "aec3771a4b"),
            (
                "https://www.example.com",
                "9d29ad171863c78f0b97c8e9ae82ae43d3",
            ),
        ] {
            let mut out = Vec::new();
            encode(text.as_bytes(), &mut out);
            let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(
                (hex.as_str(), out.len()),
                (code, encoded_len(text.as_bytes()))
            );
            assert_eq!(decoded(&out).as_deref(), Some(text.as_bytes()));
        }
    }

    #[test]
    fn every_byte_comes_back() {
        for byte in 0..=255u8 {
            for text in [vec![byte], vec![byte; 9], vec![b'a', byte, b'z', byte]] {
                let mut out = Vec::new();
                encode(&text, &mut out);
                assert_eq!(decoded(&out), Some(text));
            }
        }
    }

    #[test]
    fn bad_padding_and_the_end_symbol_are_refused() {
        assert_eq!(decoded(b""), Some(Vec::new()));
        assert_eq!(decoded(&[0x07]), Some(b"0".to_vec()));
        for bad in [
            &[0x00][..],                     // padded with zeros
            &[0xff],                         // eight bits of padding
            &[0x07, 0xff],                   // a whole byte more of padding than is needed
            &[0xff, 0xff, 0xff, 0xff],       // end of string
            &[0x07, 0xff, 0xff, 0xff, 0xfc], // and within
        ] {
            assert_eq!(decoded(bad), None, "{bad:02x?}");
        }
    }

    #[test]
    fn what_has_no_room_is_measured_only() {
        let (mut code, mut out) = (Vec::new(), Vec::new());
        encode(b"hello", &mut code);
        assert_eq!(decode(&code, &mut out, 2), Some(5));
        assert_eq!(out, b"he");
    }
}
