//! CRC-32C (Castagnoli), which version 2 headers may be protected with.

const POLYNOMIAL_REVERSED: u32 = 0x82f6_3b78;

static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut rest = index as u32;
        let mut bit = 0;
        while bit < 8 {
            rest = if rest & 1 == 1 {
                rest >> 1 ^ POLYNOMIAL_REVERSED
            } else {
                rest >> 1
            };
            bit += 1;
        }
        table[index] = rest;
        index += 1;
    }
    table
}

/// The checksum of all parts, one after the other.
pub(super) fn checksum(parts: &[&[u8]]) -> u32 {
    !parts
        .iter()
        .flat_map(|part| part.iter())
        .fold(u32::MAX, |rest, byte| {
            rest >> 8 ^ TABLE[((rest ^ u32::from(*byte)) & 0xff) as usize]
        })
}

#[cfg(test)]
mod tests {
    use super::checksum;

    /// The check value that catalogues of checksums give, and the examples of RFC 3720 appendix B.4.
    #[test]
    fn known_answers() {
        assert_eq!(checksum(&[b"123456789"]), 0xe306_9283);
        assert_eq!(checksum(&[b"1234", b"", b"56789"]), 0xe306_9283);
        assert_eq!(checksum(&[&[0; 32]]), 0x8a91_36aa);
        assert_eq!(checksum(&[&[0xff; 32]]), 0x62a8_ab43);
        assert_eq!(checksum(&[]), 0);
    }
}
