//! `option spop-check`: an agent of the stream processing protocol answers a greeting that asks for its health
//! (HAProxy's `SPOE.txt`, sections 3.1 "Frame specification" and 3.2.4 to 3.2.9).

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::script::Outcome;
use super::{Kind, Status, Verdict};
use crate::model::check::{CheckAction, CheckSpec, Expectation, Flavour, Protocol, Wanted};

const HAPROXY_HELLO: u8 = 1;
const AGENT_HELLO: u8 = 101;
const AGENT_DISCONNECT: u8 = 102;
/// The only flag of a frame that is whole.
const FIN: [u8; 4] = [0, 0, 0, 1];
/// Type, flags, stream and frame number.
const PREFIX_BYTES: usize = 7;
const LENGTH_BYTES: usize = 4;

/// Types of values: the lower half of a byte, whose upper half holds flags such as "true".
const NULL: u8 = 0;
const BOOLEAN: u8 = 1;
const INTEGERS: std::ops::RangeInclusive<u8> = 2..=5;
const UNSIGNED: u8 = 3;
const IPV4: u8 = 6;
const IPV6: u8 = 7;
const STRING: u8 = 8;
const BINARY: u8 = 9;
const TRUE: u8 = 0x11;

/// The largest frame we take, and the limits for what agents may ask.
const FRAME_BYTES_MAX: u64 = 16_380;
const FRAME_BYTES_RANGE: std::ops::RangeInclusive<u64> = 256..=16_380;

/// Reasons, at their codes.
const REASONS: [&str; 10] = [
    "normal",
    "I/O error",
    "a timeout occurred",
    "frame is too big",
    "invalid frame received",
    "version value not found",
    "max-frame-size value not found",
    "capabilities value not found",
    "unsupported version",
    "max-frame-size too big or too small",
];
const INVALID: u32 = 4;
const NO_VERSION: u32 = 5;
const NO_FRAME_SIZE: u32 = 6;
const NO_CAPABILITIES: u32 = 7;
const BAD_VERSION: u32 = 8;
const BAD_FRAME_SIZE: u32 = 9;

pub(super) const PROBE: Kind = Kind {
    name: "spop-check",
    usage: "",
    doc: "Greets an agent of the stream processing protocol.",
    read,
};

fn read(_: &mut Args<'_>) -> Result<CheckSpec, Diagnostic> {
    let answer = Expectation::new(Wanted::Reply(Protocol::Spop));
    Ok(CheckSpec {
        flavour: Flavour::Protocol,
        steps: vec![
            CheckAction::Send(hello()).into(),
            CheckAction::Expect(answer).into(),
        ],
        ..CheckSpec::default()
    })
}

fn hello() -> Vec<u8> {
    let mut frame = vec![HAPROXY_HELLO];
    frame.extend_from_slice(&FIN);
    frame.extend_from_slice(&[0, 0]);
    let key = |frame: &mut Vec<u8>, name: &str| put_text(frame, name);
    key(&mut frame, "supported-versions");
    frame.push(STRING);
    put_text(&mut frame, "2.0");
    key(&mut frame, "max-frame-size");
    frame.push(UNSIGNED);
    put_number(&mut frame, FRAME_BYTES_MAX);
    key(&mut frame, "capabilities");
    frame.push(STRING);
    put_text(&mut frame, "");
    key(&mut frame, "healthcheck");
    frame.push(TRUE);
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    frame.splice(..0, length.to_be_bytes());
    frame
}

fn put_text(frame: &mut Vec<u8>, text: &str) {
    put_number(frame, text.len() as u64);
    frame.extend_from_slice(text.as_bytes());
}

/// Below 240 one byte; beyond it four bits in the first byte and seven in each that follows.
fn put_number(frame: &mut Vec<u8>, number: u64) {
    if number < 240 {
        frame.push(number as u8);
        return;
    }
    frame.push(number as u8 | 0xf0);
    let mut rest = (number - 240) >> 4;
    while rest >= 128 {
        frame.push(rest as u8 | 0x80);
        rest = (rest - 128) >> 7;
    }
    frame.push(rest as u8);
}

pub(super) fn judge(heard: &[u8], last: bool) -> Outcome {
    let invalid = Err((INVALID, Vec::new()));
    let found = match whole(heard) {
        Some(Some((kind, fields))) => opinion(kind, fields),
        Some(None) => invalid,
        None if last => invalid,
        None => return Outcome::Wait,
    };
    let verdict = match found {
        Ok(()) => Verdict::new(Status::ReplyOk, 0, "SPOA server is ok"),
        Err((code, words)) if words.is_empty() => {
            let reason = REASONS
                .get(code as usize)
                .unwrap_or(&"an unknown error occurred");
            Verdict::new(Status::ReplyInvalid, code, *reason)
        }
        Err((code, words)) => Verdict::new(Status::ReplyInvalid, code, words),
    };
    Outcome::End(verdict)
}

/// The kind and the fields of a frame; `None`: bytes are missing; `Some(None)`: it is none that an agent begins with.
fn whole(heard: &[u8]) -> Option<Option<(u8, &[u8])>> {
    let length = heard.get(..LENGTH_BYTES)?;
    let length = length
        .iter()
        .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    if length < PREFIX_BYTES || length as u64 > FRAME_BYTES_MAX {
        return Some(None);
    }
    let prefix = heard.get(LENGTH_BYTES..LENGTH_BYTES + PREFIX_BYTES)?;
    let known = matches!(prefix[0], AGENT_HELLO | AGENT_DISCONNECT);
    if !known || prefix[1..5] != FIN || prefix[5..] != [0, 0] {
        return Some(None);
    }
    let frame = heard.get(LENGTH_BYTES..LENGTH_BYTES + length)?;
    Some(Some((prefix[0], &frame[PREFIX_BYTES..])))
}

enum Value<'a> {
    Number(u64),
    Text(&'a [u8]),
    Other,
}

/// Code and words of what is wrong; without words those of the code are meant.
fn opinion(kind: u8, fields: &[u8]) -> Result<(), (u32, Vec<u8>)> {
    let invalid = || (INVALID, Vec::new());
    let wrong = |code| Err((code, Vec::new()));
    let (mut version, mut frame_size, mut capabilities) = (false, false, false);
    let (mut code, mut words) = (INVALID, Vec::new());
    let mut rest = fields;
    while !rest.is_empty() {
        let key = take_text(&mut rest)
            .filter(|key| !key.is_empty())
            .ok_or_else(invalid)?;
        let value = take_value(&mut rest).ok_or_else(invalid)?;
        match (kind, key, value) {
            (AGENT_DISCONNECT, b"status-code", Value::Number(number)) => {
                code = u32::try_from(number).unwrap_or(u32::MAX);
            }
            (AGENT_DISCONNECT, b"message", Value::Text(text)) => words = text.to_vec(),
            (AGENT_HELLO, b"version", Value::Text(text)) => match text.trim_ascii() {
                text if !is_version(text) => return Err(invalid()),
                text if !text.starts_with(b"2.") => return wrong(BAD_VERSION),
                _ => version = true,
            },
            (AGENT_HELLO, b"max-frame-size", Value::Number(number)) => {
                if !FRAME_BYTES_RANGE.contains(&number) {
                    return wrong(BAD_FRAME_SIZE);
                }
                frame_size = true;
            }
            (AGENT_HELLO, b"capabilities", Value::Text(_)) => capabilities = true,
            (
                _,
                b"version" | b"max-frame-size" | b"capabilities" | b"status-code" | b"message",
                _,
            ) => {
                return Err(invalid());
            }
            _ => {}
        }
    }
    match (kind, version, frame_size, capabilities) {
        (AGENT_DISCONNECT, ..) => Err((code, words)),
        (_, false, _, _) => wrong(NO_VERSION),
        (_, _, false, _) => wrong(NO_FRAME_SIZE),
        (_, _, _, false) => wrong(NO_CAPABILITIES),
        _ => Ok(()),
    }
}

/// `MAJOR.MINOR`.
fn is_version(text: &[u8]) -> bool {
    let mut parts = text.split(|&byte| byte == b'.');
    let digits = |part: Option<&[u8]>| {
        part.is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
    };
    digits(parts.next()) && digits(parts.next()) && parts.next().is_none()
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let (&first, behind) = rest.split_first()?;
    *rest = behind;
    let mut number = u64::from(first);
    if number < 240 {
        return Some(number);
    }
    let mut shift = 4;
    loop {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        let part = u64::from(byte).checked_shl(shift).filter(|_| shift < 57)?;
        number = number.checked_add(part)?;
        shift += 7;
        if byte < 128 {
            return Some(number);
        }
    }
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(rest)?).ok()?;
    take(rest, length)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(taken)
}

fn take_value<'a>(rest: &mut &'a [u8]) -> Option<Value<'a>> {
    let kind = take(rest, 1)?[0] & 0x0f;
    match kind {
        NULL | BOOLEAN => Some(Value::Other),
        kind if INTEGERS.contains(&kind) => take_number(rest).map(Value::Number),
        IPV4 => take(rest, 4).map(|_| Value::Other),
        IPV6 => take(rest, 16).map(|_| Value::Other),
        STRING => take_text(rest).map(Value::Text),
        BINARY => take_text(rest).map(|_| Value::Other),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, fields: &[u8]) -> Vec<u8> {
        let body = [&[kind], FIN.as_slice(), &[0, 0], fields].concat();
        [(body.len() as u32).to_be_bytes().as_slice(), &body].concat()
    }

    fn code(bytes: &[u8]) -> Option<u32> {
        match judge(bytes, false) {
            Outcome::End(verdict) if verdict.status == Status::ReplyOk => None,
            Outcome::End(verdict) => Some(verdict.code),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn greetings_need_their_three_fields() {
        let version = |text: &str| {
            let mut bytes = b"\x07version\x08".to_vec();
            put_text(&mut bytes, text);
            bytes
        };
        let size = |number| {
            let mut bytes = b"\x0emax-frame-size\x03".to_vec();
            put_number(&mut bytes, number);
            bytes
        };
        let capabilities = b"\x0ccapabilities\x08\x00".to_vec();
        let hello = |fields: &[Vec<u8>]| frame(AGENT_HELLO, &fields.concat());
        let cases = [
            (
                vec![version("2.0"), size(16_380), capabilities.clone()],
                None,
            ),
            (vec![version("2.0"), size(16_380)], Some(NO_CAPABILITIES)),
            (
                vec![version("2.0"), capabilities.clone()],
                Some(NO_FRAME_SIZE),
            ),
            (vec![size(16_380), capabilities.clone()], Some(NO_VERSION)),
            (vec![version("1.0")], Some(BAD_VERSION)),
            (vec![version("two")], Some(INVALID)),
            (vec![version("2.0"), size(10)], Some(BAD_FRAME_SIZE)),
        ];
        for (fields, expected) in cases {
            assert_eq!(code(&hello(&fields)), expected, "{fields:?}");
        }
        let bye = frame(
            AGENT_DISCONNECT,
            b"\x0bstatus-code\x03\x02\x07message\x08\x04late",
        );
        let Outcome::End(verdict) = judge(&bye, false) else {
            panic!("a farewell is conclusive");
        };
        assert_eq!((verdict.code, verdict.info.as_slice()), (2, &b"late"[..]));
    }

    proptest! {
        #[test]
        fn numbers_come_back(number in any::<u64>().prop_map(|number| number >> 8)) {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(take_number(&mut rest), Some(number));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn anything_is_survived(fields in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = judge(&frame(AGENT_HELLO, &fields), true);
            let _ = judge(&frame(AGENT_DISCONNECT, &fields), true);
            let _ = judge(&fields, true);
        }
    }
}
