//! The little of CBOR (RFC 8949) that log lines need: integers, texts, byte strings, maps without a length.

/// `false`, `true`, `null`.
pub(super) const FALSE: u8 = 0xf4;
pub(super) const TRUE: u8 = 0xf5;
pub(super) const NULL: u8 = 0xf6;
/// A map and a list whose ends are told by [`BREAK`].
pub(super) const MAP: u8 = 0xbf;
pub(super) const LIST: u8 = 0x9f;
/// A text in pieces, up to [`BREAK`].
pub(super) const TEXTS: u8 = 0x7f;
pub(super) const BREAK: u8 = 0xff;

/// Major types, in place.
const NEGATIVE: u8 = 1 << 5;
const BYTES: u8 = 2 << 5;
const TEXT: u8 = 3 << 5;

/// Where to, and whether as hexadecimal digits.
pub(super) struct Writer<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) binary: bool,
}

impl Writer<'_> {
    pub(super) fn byte(&mut self, byte: u8) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        if self.binary {
            self.out.push(byte);
            return;
        }
        let digits = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
        self.out.extend_from_slice(&digits);
    }

    fn all(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.byte(byte));
    }

    /// A head: the type, and a number in as few bytes as it needs.
    fn head(&mut self, kind: u8, number: u64) {
        let bytes = number.to_be_bytes();
        let (short, from) = match number {
            0..=23 => return self.byte(kind | number as u8),
            24..=0xff => (24, 7),
            0x100..=0xffff => (25, 6),
            0x1_0000..=0xffff_ffff => (26, 4),
            _ => (27, 0),
        };
        self.byte(kind | short);
        self.all(&bytes[from..]);
    }

    pub(super) fn integer(&mut self, number: i64) {
        match u64::try_from(number) {
            Ok(number) => self.head(0, number),
            // -1 is written as 0, -2 as 1.
            Err(_) => self.head(NEGATIVE, !number as u64),
        }
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        self.head(TEXT, text.len() as u64);
        self.all(text);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len() as u64);
        self.all(bytes);
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.byte(if value { TRUE } else { FALSE });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Writer {
            out: &mut out,
            binary: false,
        });
        String::from_utf8(out).expect("digits")
    }

    #[test]
    fn the_examples_of_rfc_8949() {
        for (number, expected) in [
            (0, "00"),
            (23, "17"),
            (24, "1818"),
            (100, "1864"),
            (1_000, "1903E8"),
            (1_000_000, "1A000F4240"),
            (1_000_000_000_000, "1B000000E8D4A51000"),
            (-1, "20"),
            (-100, "3863"),
            (-1_000, "3903E7"),
        ] {
            assert_eq!(written(|writer| writer.integer(number)), expected);
        }
        assert_eq!(written(|writer| writer.text(b"IETF")), "6449455446");
        assert_eq!(written(|writer| writer.bytes(&[1, 2, 3, 4])), "4401020304");
    }
}
