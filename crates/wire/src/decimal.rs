//! Unsigned numbers in decimal digits, without allocation or formatting machinery.

/// Digits of the largest `u64`.
const DIGITS_MAX: usize = 20;

/// Reads a number made of digits alone: no sign, no blanks, not empty, at most 2^64 - 1.
pub fn parse(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then_some(())?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Whether `text` is `number` as [`Digits`] writes it: without leading zeros.
pub fn is_written(text: &[u8], number: u64) -> bool {
    let is_shortest = text.len() == 1 || text.first() != Some(&b'0');
    is_shortest && parse(text) == Some(number)
}

/// A number written out.
#[derive(Clone, Copy, Debug)]
pub struct Digits {
    bytes: [u8; DIGITS_MAX],
    start: u8,
}

impl Digits {
    /// Writes `number`, without leading zeros.
    pub fn of(mut number: u64) -> Self {
        let mut bytes = [b'0'; DIGITS_MAX];
        let mut start = DIGITS_MAX;
        loop {
            start -= 1;
            bytes[start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return Self {
                    bytes,
                    start: start as u8,
                };
            }
        }
    }

    /// The digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start as usize..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_are_numbers() {
        for (text, number) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("99999999999999999999999", None),
            ("", None),
            ("+1", None),
            ("-1", None),
            (" 1", None),
            ("1 ", None),
            ("0x1", None),
            ("1_0", None),
        ] {
            assert_eq!(parse(text.as_bytes()), number, "{text:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for number in [0, 1, 9, 10, 99, 100, 65_536, u64::MAX - 1, u64::MAX] {
            assert_eq!(Digits::of(number).as_bytes(), number.to_string().as_bytes());
            assert!(is_written(Digits::of(number).as_bytes(), number));
        }
    }

    #[test]
    fn a_number_is_written_in_one_way_only() {
        for text in ["", "00", "07", "7 ", "+7", "8"] {
            assert!(!is_written(text.as_bytes(), 7), "{text:?}");
        }
    }
}
