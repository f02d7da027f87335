//! Converters of Financial Information eXchange messages: fields `TAG=VALUE`, each ended by a byte 1.

use std::str;

use plimsoll_config::diagnostic::Diagnostic;

use super::{Convert, Row};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "fix_is_valid",
        usage: "",
        doc: "Whether a FIX message has its tags in order, and the length and the checksum that it says; waits for all of it.",
        input: Type::Binary,
        output: Some(Type::Boolean),
        read: |_, _| Ok(Box::new(Valid)),
    },
    Row {
        name: "fix_tag_value",
        usage: "TAG",
        doc: "The value of a tag of a FIX message, by its number or one of the names of the header's tags.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: tag_value,
    },
];

const END: u8 = 1;

const BEGIN_STRING: u32 = 8;
const BODY_LENGTH: u32 = 9;
const CHECKSUM: u32 = 10;
const MESSAGE_TYPE: u32 = 35;

/// Tags that may be named.
const NAMES: [(&str, u32); 6] = [
    ("BeginString", BEGIN_STRING),
    ("BodyLength", BODY_LENGTH),
    ("CheckSum", CHECKSUM),
    ("MsgType", MESSAGE_TYPE),
    ("SenderCompID", 49),
    ("TargetCompID", 56),
];

/// Versions, and the greatest tag of each. All versions 5.0 call themselves by the session protocol.
const VERSIONS: [(&[u8], u32); 6] = [
    (b"FIX.4.0", 140),
    (b"FIX.4.1", 211),
    (b"FIX.4.2", 446),
    (b"FIX.4.3", 659),
    (b"FIX.4.4", 956),
    (b"FIXT.1.1", 1_621),
];

/// Tags that users define, in every version.
const OWN_TAGS: std::ops::RangeInclusive<u32> = 10_000..=19_999;

/// Fewer bytes are no message yet.
const BYTES_MIN: usize = 26;

/// One step through a message.
enum Field<'a> {
    /// The tag, the value, and how many bytes both take.
    Whole(u32, &'a [u8], usize),
    /// Its end is not there.
    Part,
    Bad,
}

fn field(bytes: &[u8]) -> Field<'_> {
    let Some(sign) = bytes.iter().position(|byte| *byte == b'=') else {
        return Field::Part;
    };
    let rest = &bytes[sign + 1..];
    let Some(end) = rest.iter().position(|byte| *byte == END) else {
        return Field::Part;
    };
    match number(&bytes[..sign]) {
        Some(tag) if tag > 0 => Field::Whole(tag, &rest[..end], sign + end + 2),
        _ => Field::Bad,
    }
}

/// Nothing but digits.
fn number(digits: &[u8]) -> Option<u32> {
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits).ok().filter(|_| all)?.parse().ok()
}

/// Whether a message is sound; `None`: that depends on what follows.
fn is_valid(message: &[u8]) -> Option<bool> {
    if message.len() < BYTES_MIN {
        return None;
    }
    let (mut rest, mut sum, mut count) = (message, 0_u8, 0_usize);
    let (mut tag_max, mut body) = (u32::MAX, (0, 0));
    while !rest.is_empty() {
        let (tag, value, length) = match field(rest) {
            Field::Whole(tag, value, length) => (tag, value, length),
            Field::Part => return None,
            Field::Bad => return Some(false),
        };
        if tag > tag_max && !OWN_TAGS.contains(&tag) {
            return Some(false);
        }
        count += 1;
        let here = message.len() - rest.len();
        match (count, tag) {
            (1, BEGIN_STRING) => match VERSIONS.iter().find(|(name, _)| *name == value) {
                Some((_, max)) => tag_max = *max,
                None => return Some(false),
            },
            (2, BODY_LENGTH) => match number(value) {
                Some(bytes) if bytes > 0 => body = (here + length, bytes as usize),
                _ => return Some(false),
            },
            (3, MESSAGE_TYPE) => {}
            (1..=3, _) => return Some(false),
            (_, CHECKSUM) => {
                let right = value.len() == 3 && number(value) == Some(u32::from(sum));
                return Some(right && here - body.0 == body.1);
            }
            _ => {}
        }
        let bytes = rest[..length].iter();
        sum = bytes.fold(sum, |sum, byte| sum.wrapping_add(*byte));
        rest = &rest[length..];
    }
    match count {
        0 | 1 => Some(false),
        _ => None,
    }
}

/// The value of a tag; `Err`: it may follow.
fn find(message: &[u8], wanted: u32) -> Result<Option<&[u8]>, ()> {
    let mut rest = message;
    while !rest.is_empty() {
        match field(rest) {
            Field::Whole(tag, value, _) if tag == wanted => return Ok(Some(value)),
            Field::Whole(CHECKSUM, ..) | Field::Bad => return Ok(None),
            Field::Whole(_, _, length) => rest = &rest[length..],
            Field::Part => return Err(()),
        }
    }
    Err(())
}

struct Valid;

impl Convert for Valid {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let known = is_valid(&value.into_binary());
        match known {
            None => context.may_change(),
            // A part of a stream is not going to be judged otherwise.
            Some(_) => context.unsure.set(false),
        }
        known.map(Value::Boolean)
    }
}

struct Find(u32);

impl Convert for Find {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let message = value.into_binary();
        let found = find(&message, self.0);
        match found {
            Err(()) => context.may_change(),
            Ok(_) => context.unsure.set(false),
        }
        let value = found.ok().flatten().filter(|value| !value.is_empty())?;
        super::binary(value.to_vec())
    }
}

fn tag_value(
    arguments: &mut Arguments,
    _: &crate::expression::Scope<'_>,
) -> Result<Box<dyn Convert>, Diagnostic> {
    let text = arguments.word("a tag")?;
    let mut names = NAMES.iter();
    let named = names.find(|(name, _)| name.eq_ignore_ascii_case(&text));
    let tag = named.map_or_else(|| number(text.as_bytes()), |(_, tag)| Some(*tag));
    match tag {
        Some(tag) if tag > 0 => Ok(Box::new(Find(tag))),
        _ => Err(arguments.invalid(format_args!("'{text}' is not a tag of FIX that is known"))),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    /// A message with this body, its length and its checksum.
    fn message(version: &str, body: &str) -> String {
        let text = format!("8={version}|9={}|{body}", body.len()).replace('|', "\x01");
        let sum = text.bytes().fold(0_u8, u8::wrapping_add);
        format!("{text}10={sum:03}\x01")
    }

    fn evaluate(message: &str, converter: &str) -> Option<String> {
        use std::fmt::Write as _;
        let mut digits = String::new();
        for byte in message.bytes() {
            let _ = write!(digits, "{byte:02x}");
        }
        Bench::default().evaluate(&format!("bin({digits}),{converter}"))
    }

    #[test]
    fn messages_are_judged() {
        let good = message("FIX.4.4", "35=A|49=CLIENT|56=SERVER|12345=own|");
        for (text, expected) in [
            (good.clone(), Some("1")),
            (format!("{good}more"), Some("1")),
            (message("FIXT.1.1", "35=A|1621=x|49=C|"), Some("1")),
            (message("FIX.4.0", "35=A|141=too new|"), Some("0")),
            (message("FIX.4.9", "35=A|49=CLIENT|"), Some("0")),
            (message("FIX.4.4", "49=CLIENT|35=A|"), Some("0")),
            (message("FIX.4.4", "35=A|x=CLIENT|"), Some("0")),
            (good.replace("10=", "10=9"), Some("0")),
            (good.replace("9=35", "9=34"), Some("0")),
            (good[..30].to_owned(), None),
            (good[..good.len() - 1].to_owned(), None),
            ("8=FIX.4.4".to_owned(), None),
        ] {
            let found = evaluate(&text, "fix_is_valid");
            assert_eq!(found.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn tags_are_found() {
        let good = message("FIX.4.4", "35=A|49=CLIENT|56=SERVER|12345=own|");
        for (converter, expected) in [
            ("fix_tag_value(MsgType)", Some("A")),
            ("fix_tag_value(sendercompid)", Some("CLIENT")),
            ("fix_tag_value(56)", Some("SERVER")),
            ("fix_tag_value(12345)", Some("own")),
            ("fix_tag_value(99)", None),
        ] {
            let found = evaluate(&good, converter);
            assert_eq!(found.as_deref(), expected, "{converter}");
        }
        assert_eq!(evaluate("8=FIX.4.4", "fix_tag_value(8)"), None);
        for tag in ["0", "Nobody", "-1"] {
            let error = Bench::default().refused(&format!("str(x),fix_tag_value({tag})"));
            assert!(error.contains("is not a tag"), "{error}");
        }
    }
}
