//! Dates in cookies: seconds since 1970 by fours, as five digits of base 64 (manual, "cookie … maxidle").

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends a date.
pub(super) fn write(unix_s: u64, out: &mut Vec<u8>) {
    let fours = unix_s >> 2;
    for shift in [24, 18, 12, 6, 0] {
        out.push(DIGITS[(fours >> shift & 63) as usize]);
    }
}

/// The date that `text` begins with; 0 where there is none.
pub(super) fn read(text: &[u8]) -> u64 {
    let digits = text.get(..5).unwrap_or_default();
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        let value = DIGITS.iter().position(|known| known == digit)?;
        Some(number << 6 | value as u64)
    });
    number.unwrap_or(0) << 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_come_back_by_fours() {
        for unix_s in [4, 1_700_000_000, 4_294_967_292] {
            let mut text = Vec::new();
            write(unix_s, &mut text);
            assert_eq!(text.len(), 5);
            assert_eq!(read(&text), unix_s);
        }
        for bad in ["", "AAAA", "AA=AA", "AA AA"] {
            assert_eq!(read(bad.as_bytes()), 0, "{bad}");
        }
    }
}
