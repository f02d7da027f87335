//! Converters between seconds and dates as people and HTTP write them.
//!
//! Local time is ahead of universal time by what it is ahead of it now, also for dates in another season.

use plimsoll_config::diagnostic::Diagnostic;

use super::{Convert, OUTPUT_BYTES_MAX, Row, pure, text};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::log::Civil;
use crate::sample::Unit;
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "date",
        usage: "",
        doc: "The second since 1970 that a date of HTTP stands for.",
        input: Type::Text,
        output: Some(Type::Integer),
        read: |_, _| pure(|value| Some(Value::Integer(parse(&value.into_text())?))),
    },
    Row {
        name: "http_date",
        usage: "[OFFSET[,UNIT]]",
        doc: "Seconds (or ms, us) since 1970 as a date of HTTP.",
        input: Type::Integer,
        output: Some(Type::Text),
        read: |arguments, _| {
            let offset = arguments.optional_integer("an offset")?.unwrap_or(0);
            let unit = Unit::read(arguments)?;
            pure(move |value| {
                let time = value.as_integer()?.saturating_add(offset);
                text(http(time, unit))
            })
        },
    },
    Row {
        name: "ltime",
        usage: "FORMAT[,OFFSET]",
        doc: "Seconds since 1970 as a local date in a format of strftime.",
        input: Type::Integer,
        output: Some(Type::Text),
        read: |arguments, _| formatted(arguments, Unit::Seconds, true),
    },
    Row {
        name: "ms_ltime",
        usage: "FORMAT[,OFFSET]",
        doc: "Milliseconds since 1970 as a local date; %3N stands for three digits of the fraction.",
        input: Type::Integer,
        output: Some(Type::Text),
        read: |arguments, _| formatted(arguments, Unit::Milliseconds, true),
    },
    Row {
        name: "ms_utime",
        usage: "FORMAT[,OFFSET]",
        doc: "Milliseconds since 1970 as a date in universal time; %3N stands for three digits of the fraction.",
        input: Type::Integer,
        output: Some(Type::Text),
        read: |arguments, _| formatted(arguments, Unit::Milliseconds, false),
    },
    Row {
        name: "us_ltime",
        usage: "FORMAT[,OFFSET]",
        doc: "Microseconds since 1970 as a local date; %6N stands for six digits of the fraction.",
        input: Type::Integer,
        output: Some(Type::Text),
        read: |arguments, _| formatted(arguments, Unit::Microseconds, true),
    },
    Row {
        name: "us_utime",
        usage: "FORMAT[,OFFSET]",
        doc: "Microseconds since 1970 as a date in universal time; %6N stands for six digits of the fraction.",
        input: Type::Integer,
        output: Some(Type::Text),
        read: |arguments, _| formatted(arguments, Unit::Microseconds, false),
    },
    Row {
        name: "utime",
        usage: "FORMAT[,OFFSET]",
        doc: "Seconds since 1970 as a date in universal time, in a format of strftime.",
        input: Type::Integer,
        output: Some(Type::Text),
        read: |arguments, _| formatted(arguments, Unit::Seconds, false),
    },
];

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `Tue, 14 Nov 2023 22:13:20 GMT` (RFC 9110 section 5.6.7), with a fraction for units below a second.
fn http(time: i64, unit: Unit) -> Vec<u8> {
    let (second, fraction) = (time / unit.per_second(), time % unit.per_second());
    let date = Civil::of(second);
    let fraction = match unit {
        Unit::Seconds => String::new(),
        _ => format!(".{fraction}"),
    };
    format!(
        "{:.3}, {:02} {:.3} {:04} {:02}:{:02}:{:02}{fraction} GMT",
        DAYS[date.weekday() as usize],
        date.day,
        MONTHS[(date.month - 1) as usize],
        date.year,
        date.hour,
        date.minute,
        date.second,
    )
    .into_bytes()
}

/// The second of a date in one of the three forms of HTTP.
fn parse(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split([' ', '-']).filter(|word| !word.is_empty());
    let weekday = words.next()?;
    let (day, month, year, clock);
    if let Some(name) = weekday.strip_suffix(',') {
        day = digits(words.next()?, 2)?;
        month = month_number(words.next()?)?;
        let year_text = words.next()?;
        year = match (name.len(), year_text.len()) {
            (3, 4) => digits(year_text, 4)?,
            // Two digits (RFC 850) are of the century that the Unix epoch lies in the middle of.
            (4.., 2) => match digits(year_text, 2)? {
                year @ 70.. => 1900 + year,
                year => 2000 + year,
            },
            _ => return None,
        };
        clock = words.next()?;
        if words.next()? != "GMT" {
            return None;
        }
    } else {
        month = month_number(words.next()?)?;
        day = words
            .next()?
            .parse()
            .ok()
            .filter(|day| (1..=31).contains(day))?;
        clock = words.next()?;
        year = digits(words.next()?, 4)?;
    }
    let mut parts = clock.split(':').map(|part| digits(part, 2));
    let date = Civil {
        year,
        month,
        day,
        hour: parts.next()??,
        minute: parts.next()??,
        second: parts.next()??,
    };
    (parts.next().is_none() && words.next().is_none()).then(|| date.second_of_epoch())
}

fn digits(text: &str, length: usize) -> Option<u64> {
    let fits = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| fits)
}

fn month_number(name: &str) -> Option<u64> {
    let mut months = MONTHS.iter();
    let place = months.position(|month| name.len() == 3 && month.starts_with(name))?;
    Some(place as u64 + 1)
}

struct Formatted {
    format: String,
    offset: i64,
    unit: Unit,
    local: bool,
}

fn formatted(
    arguments: &mut Arguments,
    unit: Unit,
    local: bool,
) -> Result<Box<dyn Convert>, Diagnostic> {
    Ok(Box::new(Formatted {
        format: arguments.text("a format")?,
        offset: arguments.optional_integer("an offset")?.unwrap_or(0),
        unit,
        local,
    }))
}

impl Convert for Formatted {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let (time, per_second) = (value.as_integer()?, self.unit.per_second());
        let utc_offset_s = if self.local {
            context.world.utc_offset_s()
        } else {
            0
        };
        let moment = Moment {
            second: time.div_euclid(per_second).saturating_add(self.offset),
            nanos: (time.rem_euclid(per_second) * (1_000_000_000 / per_second)) as u32,
            utc_offset_s,
            zone: if self.local { "" } else { "GMT" },
        };
        let has_fraction = self.unit != Unit::Seconds;
        text(moment.format(&self.format, has_fraction))
    }
}

/// A moment to be written.
struct Moment<'a> {
    second: i64,
    nanos: u32,
    utc_offset_s: i32,
    /// What `%Z` stands for; empty where no name is known.
    zone: &'a str,
}

/// How one part of a date is filled up, unless the format says otherwise.
enum Part {
    Number {
        value: i64,
        width: usize,
        fill: char,
    },
    Text(String),
}

impl Moment<'_> {
    /// Fills in a format of strftime (POSIX, with glibc's flags and widths); unknown parts stand for themselves.
    fn format(&self, format: &str, has_fraction: bool) -> Vec<u8> {
        let date = Civil::of(self.second.saturating_add(self.utc_offset_s.into()));
        let mut out = String::new();
        let mut rest = format;
        while let Some(percent) = rest.find('%') {
            out.push_str(&rest[..percent]);
            rest = &rest[percent..];
            let length = self.part(&date, rest, has_fraction, &mut out);
            rest = &rest[length..];
            if out.len() > OUTPUT_BYTES_MAX {
                break;
            }
        }
        out.push_str(rest);
        out.into_bytes()
    }

    /// Writes what `text` begins with, and tells its length.
    fn part(&self, date: &Civil, text: &str, has_fraction: bool, out: &mut String) -> usize {
        let flag_end = 1 + text[1..]
            .find(|character| !matches!(character, '-' | '_' | '0' | '^' | '#'))
            .unwrap_or(text.len() - 1);
        let flags = &text[1..flag_end];
        let width_end = flag_end
            + text[flag_end..]
                .find(|character: char| !character.is_ascii_digit())
                .unwrap_or(text.len() - flag_end);
        let width = text[flag_end..width_end].parse::<usize>().ok();
        let rest = &text[width_end..];
        let plain = rest.strip_prefix(['E', 'O']).unwrap_or(rest);
        let Some(letter) = plain.chars().next() else {
            out.push_str(text);
            return text.len();
        };
        let length = width_end + (rest.len() - plain.len()) + letter.len_utf8();
        if letter == 'N' && has_fraction {
            // HAProxy's own: digits of the fraction, all nine without a width.
            let digits = text[1..width_end].trim_start_matches(['-', '_', '^', '#']);
            let width = digits.parse().unwrap_or(9_usize).min(9);
            out.push_str(&format!("{:09}", self.nanos)[..width]);
            return length;
        }
        match self.value(date, letter) {
            None => out.push_str(&text[..length]),
            Some(part) => out.push_str(&filled(part, flags, width)),
        }
        length
    }

    fn value(&self, date: &Civil, letter: char) -> Option<Part> {
        let number = |value: u64, width| Part::Number {
            value: value as i64,
            width,
            fill: '0',
        };
        let spaced = |value: u64| Part::Number {
            value: value as i64,
            width: 2,
            fill: ' ',
        };
        let composed = |format: &str| {
            let text = self.format(format, false);
            Part::Text(String::from_utf8_lossy(&text).into_owned())
        };
        let (weekday, day_of_year) = (date.weekday(), date.day_of_year());
        let hour_of_12 = (date.hour + 11) % 12 + 1;
        let month = MONTHS[(date.month - 1) as usize];
        let half = if date.hour < 12 { "AM" } else { "PM" };
        Some(match letter {
            'a' => Part::Text(DAYS[weekday as usize][..3].to_owned()),
            'A' => Part::Text(DAYS[weekday as usize].to_owned()),
            'b' | 'h' => Part::Text(month[..3].to_owned()),
            'B' => Part::Text(month.to_owned()),
            'c' => composed("%a %b %e %H:%M:%S %Y"),
            'C' => number(date.year / 100, 2),
            'd' => number(date.day, 2),
            'D' | 'x' => composed("%m/%d/%y"),
            'e' => spaced(date.day),
            'F' => composed("%Y-%m-%d"),
            'g' => number(iso_week(date).0 % 100, 2),
            'G' => number(iso_week(date).0, 1),
            'H' => number(date.hour, 2),
            'I' => number(hour_of_12, 2),
            'j' => number(day_of_year, 3),
            'k' => spaced(date.hour),
            'l' => spaced(hour_of_12),
            'm' => number(date.month, 2),
            'M' => number(date.minute, 2),
            'n' => Part::Text("\n".to_owned()),
            'p' => Part::Text(half.to_owned()),
            'P' => Part::Text(half.to_ascii_lowercase()),
            'r' => composed("%I:%M:%S %p"),
            'R' => composed("%H:%M"),
            's' => Part::Number {
                value: self.second,
                width: 1,
                fill: '0',
            },
            'S' => number(date.second, 2),
            't' => Part::Text("\t".to_owned()),
            'T' | 'X' => composed("%H:%M:%S"),
            'u' => number((weekday + 6) % 7 + 1, 1),
            'U' => number((day_of_year + 6 - weekday) / 7, 2),
            'V' => number(iso_week(date).1, 2),
            'w' => number(weekday, 1),
            'W' => number((day_of_year + 6 - (weekday + 6) % 7) / 7, 2),
            'y' => number(date.year % 100, 2),
            'Y' => number(date.year, 1),
            'z' => Part::Text(self.zone_offset()),
            'Z' if self.zone.is_empty() => Part::Text(self.zone_offset()),
            'Z' => Part::Text(self.zone.to_owned()),
            '%' => Part::Text("%".to_owned()),
            _ => return None,
        })
    }

    fn zone_offset(&self) -> String {
        let sign = if self.utc_offset_s < 0 { '-' } else { '+' };
        let minutes = self.utc_offset_s.unsigned_abs() / 60;
        format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
    }
}

/// Year and week by ISO 8601: weeks begin on Monday and belong to the year of their Thursday.
fn iso_week(date: &Civil) -> (u64, u64) {
    let from_monday = (date.weekday() + 6) % 7;
    let second = date.second_of_epoch() + (3 - from_monday as i64) * 86_400;
    let thursday = Civil::of(second);
    (thursday.year, (thursday.day_of_year() - 1) / 7 + 1)
}

fn filled(part: Part, flags: &str, width: Option<usize>) -> String {
    let (mut text, mut fill, natural) = match part {
        Part::Number { value, width, fill } => (value.to_string(), fill, width),
        Part::Text(text) => (text, ' ', 0),
    };
    let is_number = natural > 0;
    let mut length = width.unwrap_or(natural);
    for flag in flags.chars() {
        match flag {
            '-' if is_number => length = width.unwrap_or(0),
            '_' => fill = ' ',
            '0' => fill = '0',
            '^' => text.make_ascii_uppercase(),
            '#' => {
                let is_upper = text.bytes().all(|byte| !byte.is_ascii_lowercase());
                text = match is_upper {
                    true => text.to_ascii_lowercase(),
                    false => text.to_ascii_uppercase(),
                };
            }
            _ => {}
        }
    }
    let missing = length.min(1_024).saturating_sub(text.len());
    let mut filled: String = std::iter::repeat_n(fill, missing).collect();
    filled.push_str(&text);
    filled
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Bench;

    fn check(cases: &[(&str, Option<&str>)]) {
        let bench = Bench::default();
        for (text, expected) in cases {
            assert_eq!(bench.evaluate(text).as_deref(), *expected, "{text}");
        }
    }

    /// Expected values are HAProxy's, here and below.
    #[test]
    fn dates_are_written() {
        check(&[
            (
                "int(1700000000),http_date",
                Some("Tue, 14 Nov 2023 22:13:20 GMT"),
            ),
            (
                "int(1700000000),http_date(60)",
                Some("Tue, 14 Nov 2023 22:14:20 GMT"),
            ),
            (
                "int(1700000000123),http_date(0,ms)",
                Some("Tue, 14 Nov 2023 22:13:20.123 GMT"),
            ),
            (
                "int(1700000000000006),http_date(0,us)",
                Some("Tue, 14 Nov 2023 22:13:20.6 GMT"),
            ),
            (
                "int(1700000000),ltime(%c)",
                Some("Tue Nov 14 22:13:20 2023"),
            ),
            (
                "int(1700000000123),ms_utime(%s.%3N)",
                Some("1700000000.123"),
            ),
            (
                "int(1700000000123456),us_utime('%3N|%N|%12N|%0N')",
                Some("123|123456000|123456000|"),
            ),
            ("int(5),utime('%s',10)", Some("15")),
            ("int(1),utime", Some("")),
            (
                "int(1700000000),utime('%d %e %D %F %H %I %j %k %l %m %M %p %P %r %R %s %S %T %u %U %V %w %W %x %X %y %Y %z %Z %C %g %G %h %c %%')",
                Some(
                    "14 14 11/14/23 2023-11-14 22 10 318 22 10 11 13 PM pm 10:13:20 PM 22:13 1700000000 20 22:13:20 2 46 46 2 46 11/14/23 22:13:20 23 2023 +0000 GMT 20 23 2023 Nov Tue Nov 14 22:13:20 2023 %",
                ),
            ),
            (
                "int(1704067200),utime('%G-%V %g %U %W')",
                Some("2024-01 24 00 01"),
            ),
            (
                "int(1609459200),utime('%G-%V %g %U %W')",
                Some("2020-53 20 00 00"),
            ),
            (
                "int(1700000000),utime('%-d %_d %5Y %^a %#Z %03d %-j %Ey %Od')",
                Some("14 14 02023 TUE gmt 014 318 23 14"),
            ),
            ("int(1700000000),utime('%Q %! %E')", Some("%Q %! %E")),
            ("int(1700000000),utime('abc%')", Some("abc%")),
        ]);
    }

    #[test]
    fn dates_are_read() {
        check(&[
            (
                "str('Sun, 06 Nov 1994 08:49:37 GMT'),date",
                Some("784111777"),
            ),
            (
                "str('Sunday, 06-Nov-94 08:49:37 GMT'),date",
                Some("784111777"),
            ),
            ("str('Sun Nov  6 08:49:37 1994'),date", Some("784111777")),
            ("str('Sun Nov 06 08:49:37 1994'),date", Some("784111777")),
            (
                "str('Mon, 06 Nov 1994 08:49:37 GMT'),date",
                Some("784111777"),
            ),
            ("str('Sun, 06 Nov 1994 08:49:37'),date", None),
            ("str('Sun, 6 Nov 1994 08:49:37 GMT'),date", None),
            ("str(x),date", None),
            ("str(),date", None),
        ]);
        let error = Bench::default().refused("int(1),http_date(0,x)");
        assert!(error.contains("no unit of time"), "{error}");
    }

    proptest! {
        #[test]
        fn nothing_panics(format in "[%a-zA-Z0-9_^#é -]{0,40}", time in any::<i64>(), text in "\\PC{0,40}") {
            for unit in [Unit::Seconds, Unit::Milliseconds, Unit::Microseconds] {
                let _ = http(time, unit);
            }
            let moment = Moment { second: time, nanos: 5, utc_offset_s: -5_400, zone: "" };
            prop_assert!(moment.format(&format, true).len() < 2 * OUTPUT_BYTES_MAX);
            let _ = parse(text.as_bytes());
        }
    }
}
