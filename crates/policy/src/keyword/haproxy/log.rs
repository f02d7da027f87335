//! `log` lines: where logs go, in which envelope, and which of them.

use plimsoll_config::args::{Args, Faults, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::address::{self, LogPlace};
use super::value;
use crate::draft::{Draft, LogDraft, Polarity, Spanned};
use crate::keyword::{Keyword, Sections};
use crate::model::{LogEnvelope, LogSample, LogTarget};

/// Shortest and longest log message that can be asked for, and the one that is used unasked, in bytes.
const LENGTH_BYTES: std::ops::RangeInclusive<u32> = 80..=65_535;
const LENGTH_BYTES_DEFAULT: u32 = 1_024;

/// Most ranges in a sample, and most targets of a proxy.
const RANGES_MAX: usize = 64;
const TARGETS_MAX: usize = 64;

/// Syslog facilities; the place in the list is the number (RFC 5424, section 6.2.1).
const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2",
    "ftp", "ntp", "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

/// Syslog severities; the place in the list is the number.
const LEVELS: &[&str] = &[
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];

/// The level of messages that are sent when none is written.
const LEVEL_DEFAULT: u8 = 7;

const FORMATS: &[(&str, LogEnvelope)] = &[
    ("iso", LogEnvelope::Iso),
    ("local", LogEnvelope::Local),
    ("priority", LogEnvelope::Priority),
    ("raw", LogEnvelope::Raw),
    ("rfc3164", LogEnvelope::Rfc3164),
    ("rfc5424", LogEnvelope::Rfc5424),
    ("short", LogEnvelope::Short),
    ("timed", LogEnvelope::Timed),
];

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::new(
        "log",
        Sections::PROXY,
        "global|ADDRESS [len NUMBER] [format NAME] [sample RANGES:SIZE] [profile NAME] FACILITY [LEVEL [LEVEL]]",
        "Where logs go.",
        read_proxy,
    )
    .negatable(),
    Keyword::new(
        "log-tag",
        Sections::PROXY,
        "TAG",
        "Name of the program in logs.",
        |args, draft| {
            draft.settings().log_tag = Some(value::text(args, "a tag")?);
            Ok(())
        },
    ),
];

fn read_proxy(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    if draft.polarity != Polarity::Plain {
        draft.settings().logs.clear();
        return Ok(());
    }
    let log = match args.peek() {
        Some(word) if word.text == "global" && args.rest().len() == 1 => {
            args.next();
            LogDraft::Global
        }
        _ => target(args)?,
    };
    push(&mut draft.settings().logs, log, args)
}

/// `log` in `global`.
pub(super) fn read_global(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    if draft.polarity != Polarity::Plain {
        draft.global.logs.clear();
        return Ok(());
    }
    if let Some(word) = args.peek()
        && word.text == "global"
    {
        return Err(
            Diagnostic::error(Kind::Invalid, word.span, "'log global' belongs in proxies")
                .help("write an address and a facility here"),
        );
    }
    let log = target(args)?;
    push(&mut draft.global.logs, log, args)
}

fn push(logs: &mut Vec<LogDraft>, log: LogDraft, args: &Args<'_>) -> Result<(), Diagnostic> {
    if logs.len() == TARGETS_MAX {
        let message = format_args!("more than {TARGETS_MAX} targets of logs");
        return Err(Diagnostic::error(Kind::Invalid, args.line(), message));
    }
    logs.push(log);
    Ok(())
}

fn target(args: &mut Args<'_>) -> Result<LogDraft, Diagnostic> {
    let place = address::log(args)?;
    let mut target = LogTarget {
        address: LogDraft::placeholder(),
        length_bytes: LENGTH_BYTES_DEFAULT,
        format: LogEnvelope::default(),
        sample: None,
        facility: 0,
        level_max: LEVEL_DEFAULT,
        level_min: 0,
        profile: None,
    };
    if args.take("len") {
        target.length_bytes = value::number(args, "the length", LENGTH_BYTES)?;
    }
    let has_format = args.take("format");
    if has_format {
        target.format = value::choice(args, "a format of log messages", FORMATS)?;
    }
    if args.take("sample") {
        target.sample = Some(sample(args.word("a sample such as 1:10")?)?);
    }
    let mut profile = None;
    if args.take("profile") {
        let word = args.word("the name of a log profile")?;
        profile = Some(Spanned::new(word.text.clone(), word.span));
    }
    let mut faults = Faults::default();
    let facility = args.word("a facility such as local0")?;
    for (word, what, names, number) in [
        (
            Some(facility),
            "a facility",
            FACILITIES,
            &mut target.facility,
        ),
        (args.next(), "a level", LEVELS, &mut target.level_max),
        (args.next(), "a level", LEVELS, &mut target.level_min),
    ] {
        match word.map(|word| numbered(word, what, names)) {
            None => {}
            Some(Ok(found)) => *number = found,
            Some(Err(fault)) => faults.note(fault, args),
        }
    }
    faults.finish()?;
    let host = match place {
        LogPlace::Known(address) => {
            target.address = address;
            None
        }
        LogPlace::Host(host) => Some(host),
    };
    Ok(LogDraft::Target {
        target,
        host,
        has_format,
        profile,
    })
}

/// The place of a word in a list.
fn numbered(word: &Word, what: &str, names: &'static [&'static str]) -> Result<u8, Diagnostic> {
    match names.iter().position(|name| *name == word.text) {
        Some(place) => Ok(u8::try_from(place).unwrap_or(u8::MAX)),
        None => Err(value::unknown(word, what, names.iter().copied())),
    }
}

/// `1,3-4:10`: of each ten messages the first, the third and the fourth.
fn sample(word: &Word) -> Result<LogSample, Diagnostic> {
    let invalid = |message: &str| {
        Diagnostic::error(
            Kind::Invalid,
            word.span,
            format_args!("'{}': {message}", word.text),
        )
        .help("write ranges, a colon and the size of the sample, such as 1-2,5:10")
    };
    let (ranges, size) = word
        .text
        .split_once(':')
        .ok_or_else(|| invalid("the size of the sample is missing"))?;
    let period = size
        .parse()
        .ok()
        .filter(|size| *size > 0)
        .ok_or_else(|| invalid("this is no size"))?;
    let mut sample = LogSample {
        ranges: Vec::new(),
        period,
    };
    for range in ranges.split(',') {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        let (Ok(low), Ok(high)) = (low.parse::<u32>(), high.parse::<u32>()) else {
            return Err(invalid("this is no range"));
        };
        if low == 0 || low > high || high > period {
            return Err(invalid("a range runs from 1 to the size of the sample"));
        }
        if sample
            .ranges
            .iter()
            .any(|(first, last)| low <= *last && *first <= high)
        {
            return Err(invalid("the ranges overlap"));
        }
        if sample.ranges.len() == RANGES_MAX {
            return Err(invalid("there are too many ranges"));
        }
        sample.ranges.push((low, high));
    }
    sample.ranges.sort_unstable();
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_config::diagnostic::Span;

    #[test]
    fn samples_are_disjoint_ranges_within_their_size() {
        let read = |text: &str| {
            sample(&Word::new(text, Span::default()))
                .ok()
                .map(|sample| sample.ranges)
        };
        assert_eq!(read("1:10"), Some(vec![(1, 1)]));
        assert_eq!(read("5-7,1:10"), Some(vec![(1, 1), (5, 7)]));
        for text in [
            "1", "0:10", "11:10", "3-2:10", "1-3,2:10", "1:0", "x:2", ":2",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn facilities_and_levels_are_numbered_as_syslog_does() {
        let number =
            |text: &str, names| numbered(&Word::new(text, Span::default()), "it", names).ok();
        assert_eq!(number("kern", FACILITIES), Some(0));
        assert_eq!(number("local7", FACILITIES), Some(23));
        assert_eq!(number("emerg", LEVELS), Some(0));
        assert_eq!(number("debug", LEVELS), Some(7));
        assert_eq!(number("local8", FACILITIES), None);
    }
}
