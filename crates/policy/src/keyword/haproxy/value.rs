//! Readers of values that several topics share, on top of those of the cursor.

use std::ops::RangeInclusive;

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};
use plimsoll_config::suggest::nearest;
use plimsoll_config::values::TimeUnit;
use plimsoll_wire::h1::token;

use crate::draft::Spanned;
use crate::model::is_guid;

/// A duration in milliseconds; a number without a unit counts milliseconds.
pub(crate) fn duration_ms(args: &mut Args<'_>, what: &str) -> Result<u64, Diagnostic> {
    let duration = args.duration(what, TimeUnit::Milliseconds)?;
    Ok(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// A size in bytes, with `k`, `m` or `g` for powers of 1024.
/// Longest name of a field, in bytes.
const FIELD_NAME_BYTES_MAX: usize = 128;

/// Whether a field of a message can have this name (RFC 9110 section 5.1).
pub(crate) fn is_field_name(name: &str) -> bool {
    let bytes = 1..=FIELD_NAME_BYTES_MAX;
    bytes.contains(&name.len()) && name.bytes().all(token::is_token_byte)
}

/// A time in whole seconds, which is the unit where none is written.
pub(crate) fn seconds(args: &mut Args<'_>) -> Result<u32, Diagnostic> {
    let time = args.duration("a time", TimeUnit::Seconds)?;
    Ok(u32::try_from(time.as_secs()).unwrap_or(u32::MAX))
}

pub(crate) fn size_bytes(args: &mut Args<'_>, what: &str) -> Result<u32, Diagnostic> {
    let size = args.size(what, 0..=u64::from(u32::MAX))?;
    Ok(u32::try_from(size).unwrap_or(u32::MAX))
}

/// Where the next word stands, or where it is missing.
pub(crate) fn place(args: &Args<'_>) -> Span {
    args.peek().map_or_else(|| args.end(), |word| word.span)
}

/// A `guid`.
pub(crate) fn guid(args: &mut Args<'_>) -> Result<Spanned<String>, Diagnostic> {
    let word = args.word("a guid")?;
    if is_guid(&word.text) {
        return Ok(Spanned::new(word.text.clone(), word.span));
    }
    let message = format_args!("'{}' is no guid", word.text);
    let error = Diagnostic::error(Kind::Invalid, word.span, message);
    Err(error.help("write up to 127 letters, digits, '.', ':', '-' and '_'"))
}

/// A number that fits 32 bits.
pub(crate) fn number(
    args: &mut Args<'_>,
    what: &str,
    range: RangeInclusive<u32>,
) -> Result<u32, Diagnostic> {
    let number = args.number(what, u64::from(*range.start())..=u64::from(*range.end()))?;
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

/// A number of either sign.
pub(crate) fn signed(
    args: &mut Args<'_>,
    what: &str,
    range: RangeInclusive<i32>,
) -> Result<i32, Diagnostic> {
    let word = args.word(what)?;
    match word.text.parse::<i32>() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => {
            let (least, most) = (range.start(), range.end());
            let message = format_args!("'{}' is not the number wanted here", word.text);
            let error = Diagnostic::error(Kind::Invalid, word.span, message);
            Err(error.help(format_args!("{what} is a number from {least} to {most}")))
        }
    }
}

/// A limit, of which zero means that there is none.
pub(crate) fn limit(args: &mut Args<'_>, what: &str) -> Result<Option<u32>, Diagnostic> {
    let number = number(args, what, 0..=u32::MAX)?;
    Ok((number != 0).then_some(number))
}

/// The next word as text.
pub(crate) fn text(args: &mut Args<'_>, what: &str) -> Result<String, Diagnostic> {
    args.word(what).map(|word| word.text.clone())
}

/// A name for this machine.
pub(crate) fn machine_name(args: &mut Args<'_>) -> Result<String, Diagnostic> {
    let word = args.word("a name")?;
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if word.text.is_empty() || !word.text.bytes().all(safe) {
        let message = format_args!("'{}' cannot be the name of a machine", word.text);
        return Err(Diagnostic::error(Kind::Invalid, word.span, message)
            .help("write letters, digits, '-', '_' and '.'"));
    }
    Ok(word.text.clone())
}

/// All words that are left, at least one, as one text.
pub(crate) fn sentence(args: &mut Args<'_>, what: &str) -> Result<String, Diagnostic> {
    let mut sentence = text(args, what)?;
    while let Some(word) = args.next() {
        sentence.push(' ');
        sentence.push_str(&word.text);
    }
    Ok(sentence)
}

/// One of a few words; the value that belongs to it.
pub(crate) fn choice<T: Copy>(
    args: &mut Args<'_>,
    what: &str,
    known: &[(&str, T)],
) -> Result<T, Diagnostic> {
    let word = args.word(what)?;
    match known.iter().find(|(name, _)| *name == word.text) {
        Some((_, value)) => Ok(*value),
        None => Err(unknown(word, what, known.iter().map(|(name, _)| *name))),
    }
}

/// The error for a word that is not among the `known` ones.
pub(crate) fn unknown<'a>(
    word: &Word,
    what: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let message = format_args!("'{}' is not {what}", word.text);
    let error = Diagnostic::error(Kind::Invalid, word.span, message);
    match nearest(&word.text, known.clone()) {
        Some(near) => error.help(format_args!("did you mean '{near}'?")),
        None => error.help(format_args!(
            "write one of {}",
            known.collect::<Vec<_>>().join(", ")
        )),
    }
}
