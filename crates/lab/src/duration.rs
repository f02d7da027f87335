//! Lengths of time as people write them: `250ms`, `10s`, `1m30s`, `2h`.
//!
//! Only the laboratory's command lines read this; configuration files have HAProxy's own units.

use std::fmt::Write as _;
use std::time::Duration;

/// Longest length of time accepted: a week.
pub const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// The units, longest names first so that `ms` is not taken for `m`.
const UNITS: [(&str, f64); 5] = [
    ("us", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Reads a length of time; a bare number means seconds.
///
/// # Errors
/// A sentence for the person who typed it, when `text` is not one or is longer than [`DURATION_MAX`].
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a length of time such as 250ms, 10s or 1m30s");
    let mut seconds = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let (unit, factor) = UNITS
            .iter()
            .find(|(unit, _)| rest.starts_with(unit))
            .copied()
            .or_else(|| (digits == text.trim().len()).then_some(("", 1.0)))
            .ok_or_else(wrong)?;
        seconds += number * factor;
        rest = &rest[unit.len()..];
    }
    if seconds > DURATION_MAX.as_secs_f64() {
        return Err(format!("`{text}` is longer than a week"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Writes a length of time the way [`parse`] reads it, in whole units: `1m30s`, `250ms`.
pub fn render(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return if duration.is_zero() {
            "0s".to_owned()
        } else {
            format!("{}us", duration.as_micros())
        };
    }
    let mut text = String::new();
    let parts = [
        (millis / 3_600_000, "h"),
        (millis / 60_000 % 60, "m"),
        (millis / 1000 % 60, "s"),
        (millis % 1000, "ms"),
    ];
    for (count, unit) in parts.into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(text, "{count}{unit}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let cases = [
            ("10s", 10_000),
            ("250ms", 250),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("1.5s", 1500),
            ("7", 7000),
            ("0s", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "", "s", "ten", "-1s", "1x", "1s2", "1..2s", "8d", "999h", "1e3s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for text in ["250ms", "10s", "1m30s", "2h", "1h1m1s1ms", "12us", "0s"] {
            assert_eq!(render(parse(text).unwrap()), text);
        }
    }
}
