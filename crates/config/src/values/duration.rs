//! `10s`, `500ms`, `2d`: spans of time.

use std::time::Duration;

use super::{Malformed, leading_number};

/// Longest duration, in the unit it is kept in: HAProxy counts in 31 bits.
pub const DURATION_UNITS_MAX: u64 = (1 << 31) - 1;

/// The unit of a bare number, which is also the resolution a duration is rounded up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimeUnit {
    Microseconds,
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
    Days,
}

impl TimeUnit {
    /// Longer suffixes come first, so that `ms` is not read as `m`.
    const SUFFIXES: [(&'static str, Self); 6] = [
        ("us", Self::Microseconds),
        ("ms", Self::Milliseconds),
        ("s", Self::Seconds),
        ("m", Self::Minutes),
        ("h", Self::Hours),
        ("d", Self::Days),
    ];

    /// The unit in microseconds.
    pub const fn microseconds(self) -> u64 {
        match self {
            Self::Microseconds => 1,
            Self::Milliseconds => 1_000,
            Self::Seconds => 1_000_000,
            Self::Minutes => 60_000_000,
            Self::Hours => 3_600_000_000,
            Self::Days => 86_400_000_000,
        }
    }
}

/// A duration as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationText {
    /// Rounded up to a whole number of the unit it was asked for in.
    pub value: Duration,
    /// How many bytes at the end are not part of it, such as the `ec` of `5sec`; HAProxy warns of them.
    pub trailing: usize,
}

/// Reads a duration; a number without unit counts in `unit`.
///
/// # Errors
/// When no number begins the text, the unit is unknown, or it exceeds [`DURATION_UNITS_MAX`] of `unit`.
pub fn parse_duration(text: &str, unit: TimeUnit) -> Result<DurationText, Malformed> {
    const UNITS: &str = "the units are us, ms, s, m, h and d";
    let (length, number) = leading_number(text);
    if length == 0 {
        let message = format_args!("'{text}' is not a duration");
        return Err(Malformed::new(0..text.len(), message).help(format_args!(
            "write a whole number and a unit, such as 30s; {UNITS}"
        )));
    }
    let suffix = &text[length..];
    let (written, unit_bytes) = if suffix.is_empty() {
        (unit, 0)
    } else {
        let known = TimeUnit::SUFFIXES.iter();
        let mut found = known.filter(|(name, _)| suffix.starts_with(name));
        let Some((name, written)) = found.next() else {
            let message = format_args!("'{suffix}' is not a unit of time");
            let help = match suffix.starts_with(['.', ',']) {
                true => "write a whole number of a smaller unit: 1500ms for 1.5 seconds",
                false => UNITS,
            };
            return Err(Malformed::new(length..text.len(), message).help(help));
        };
        (*written, name.len())
    };
    let too_long = || {
        let most = Duration::from_micros(DURATION_UNITS_MAX.saturating_mul(unit.microseconds()));
        let message = format_args!("'{text}' is too long");
        let days = most.as_secs() / 86_400;
        Malformed::new(0..text.len(), message).help(match days {
            0 => format!("the most is {} seconds", most.as_secs()),
            _ => format!("the most is about {days} days"),
        })
    };
    let micros = number
        .and_then(|number| number.checked_mul(written.microseconds()))
        .ok_or_else(too_long)?;
    let units = micros.div_ceil(unit.microseconds());
    if units > DURATION_UNITS_MAX {
        return Err(too_long());
    }
    Ok(DurationText {
        value: Duration::from_micros(units * unit.microseconds()),
        trailing: text.len() - length - unit_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_defaults_and_rounding() {
        let ms = TimeUnit::Milliseconds;
        let cases = [
            ("0", ms, 0, 0),
            ("5000", ms, 5_000_000, 0),
            ("5s", ms, 5_000_000, 0),
            ("1us", ms, 1_000, 0),
            ("1001us", ms, 2_000, 0),
            ("2m", ms, 120_000_000, 0),
            ("1h", ms, 3_600_000_000, 0),
            ("1d", ms, 86_400_000_000, 0),
            ("24d", ms, 24 * 86_400_000_000, 0),
            ("10", TimeUnit::Seconds, 10_000_000, 0),
            ("1500ms", TimeUnit::Seconds, 2_000_000, 0),
            ("3", TimeUnit::Minutes, 180_000_000, 0),
            ("7us", TimeUnit::Microseconds, 7, 0),
            ("5sec", ms, 5_000_000, 2),
            ("1min", ms, 60_000_000, 2),
        ];
        for (text, unit, micros, trailing) in cases {
            let value = Duration::from_micros(micros);
            assert_eq!(
                parse_duration(text, unit),
                Ok(DurationText { value, trailing }),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_duration() {
        let cases = [
            ("", 0..0),
            ("x", 0..1),
            ("-1", 0..2),
            ("1x", 1..2),
            ("1.5s", 1..4),
            ("1 s", 1..3),
            ("1u", 1..2),
            ("25d", 0..3),
            ("99999999999999999999", 0..20),
            ("18446744073709551615d", 0..21),
        ];
        for (text, at) in cases {
            let fault = parse_duration(text, TimeUnit::Milliseconds).expect_err(text);
            assert_eq!(fault.at, at, "{text}");
            assert!(fault.help.is_some(), "{text}");
        }
        assert!(parse_duration("24855d", TimeUnit::Seconds).is_ok());
        assert!(parse_duration("24856d", TimeUnit::Seconds).is_err());
    }
}
