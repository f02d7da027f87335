//! `16384`, `16k`, `1m`: numbers of bytes.

use super::{Malformed, leading_number};

/// Reads a size in bytes; `k`, `m` and `g` in either case stand for 2¹⁰, 2²⁰ and 2³⁰.
///
/// # Errors
/// When no number begins the text, the unit is unknown, or the size exceeds 64 bits.
pub fn parse_size(text: &str) -> Result<u64, Malformed> {
    const UNITS: &str = "the units are k, m and g, each 1024 times the one before";
    let (length, number) = leading_number(text);
    if length == 0 {
        let message = format_args!("'{text}' is not a size");
        let help = format_args!("write a whole number of bytes, or with a unit: 16k; {UNITS}");
        return Err(Malformed::new(0..text.len(), message).help(help));
    }
    let shift = match &text[length..] {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        other => {
            let message = format_args!("'{other}' is not a unit of size");
            return Err(Malformed::new(length..text.len(), message).help(UNITS));
        }
    };
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| Malformed::new(0..text.len(), format_args!("'{text}' is too large")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let good = [
            ("0", 0),
            ("16384", 16384),
            ("16k", 16384),
            ("1M", 1 << 20),
            ("3g", 3 << 30),
        ];
        for (text, bytes) in good {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "k",
            "-1",
            "1kb",
            "1.5k",
            "1t",
            "99999999999999999999",
            "18446744073709551615k",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
