//! `option ldap-check`: an anonymous bind succeeds (RFC 4511 sections 4.1.1, 4.1.9 and 4.2).

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::script::Outcome;
use super::{Kind, Status, Verdict};
use crate::model::check::{CheckAction, CheckSpec, Expectation, Flavour, Protocol, Wanted};

/// Message 1: bind request, version 3, no name, no password.
const BIND: &[u8] = &[
    0x30, 0x0c, 0x02, 0x01, 0x01, 0x60, 0x07, 0x02, 0x01, 0x03, 0x04, 0x00, 0x80, 0x00,
];
/// Shortest bind response.
const RESPONSE_BYTES_MIN: usize = 14;
const SEQUENCE: u8 = 0x30;
/// `messageID` 1 and the tag of a bind response.
const BIND_RESPONSE: &[u8] = &[0x02, 0x01, 0x01, 0x61];
/// The tag and length of a result code.
const RESULT_CODE: &[u8] = &[0x0a, 0x01];

const FOREIGN: &str = "Not LDAPv3 protocol";
const RESULTS: &str = "See RFC: http://tools.ietf.org/html/rfc4511#section-4.1.9";

pub(super) const PROBE: Kind = Kind {
    name: "ldap-check",
    usage: "",
    doc: "Binds to an LDAPv3 server without a name.",
    read,
};

fn read(_: &mut Args<'_>) -> Result<CheckSpec, Diagnostic> {
    let answer = Expectation::new(Wanted::Reply(Protocol::Ldap));
    Ok(CheckSpec {
        flavour: Flavour::Protocol,
        steps: vec![
            CheckAction::Send(BIND.to_vec()).into(),
            CheckAction::Expect(answer).into(),
        ],
        ..CheckSpec::default()
    })
}

pub(super) fn judge(heard: &[u8], last: bool) -> Outcome {
    if heard.len() < RESPONSE_BYTES_MIN && !last {
        return Outcome::Wait;
    }
    let (status, code, info) = match result_code(heard) {
        Some(Ok(0)) => (Status::ReplyOk, 0, "Success"),
        Some(Ok(code)) => (Status::ReplyWrong, code, RESULTS),
        Some(Err(())) => (Status::ReplyInvalid, 0, FOREIGN),
        None if last => (Status::ReplyInvalid, 0, FOREIGN),
        None => return Outcome::Wait,
    };
    Outcome::End(Verdict::new(status, u32::from(code), info))
}

/// The result of a bind response; `None`: bytes are missing.
fn result_code(heard: &[u8]) -> Option<Result<u8, ()>> {
    let Some((&SEQUENCE, rest)) = heard.split_first() else {
        return heard.first().map(|_| Err(()));
    };
    let Ok((length, rest)) = length(rest)? else {
        return Some(Err(()));
    };
    let message = rest.get(..length)?;
    let Some(response) = message.strip_prefix(BIND_RESPONSE) else {
        return Some(Err(()));
    };
    let known = length_of(response).and_then(|(_, fields)| fields.strip_prefix(RESULT_CODE));
    Some(known.and_then(|fields| fields.first().copied()).ok_or(()))
}

/// A length of BER in one, three or five bytes, and what follows it; Active Directory writes five.
fn length(bytes: &[u8]) -> Option<Result<(usize, &[u8]), ()>> {
    let (&first, rest) = bytes.split_first()?;
    let wide = match first {
        0..=0x7f => return Some(Ok((usize::from(first), rest))),
        0x82 => 2,
        0x84 => 4,
        _ => return Some(Err(())),
    };
    let digits = rest.get(..wide)?;
    let length = digits
        .iter()
        .fold(0, |sum, &digit| sum << 8 | usize::from(digit));
    Some(Ok((length, &rest[wide..])))
}

/// As [`length`], where everything has arrived.
fn length_of(bytes: &[u8]) -> Option<(usize, &[u8])> {
    length(bytes)?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(bytes: &[u8], last: bool) -> Option<(Status, u32)> {
        match judge(bytes, last) {
            Outcome::End(verdict) => Some((verdict.status, verdict.code)),
            _ => None,
        }
    }

    #[test]
    fn lengths_of_one_three_and_five_bytes() {
        let tail = [2, 1, 1, 0x61, 7, 10, 1, 0, 4, 0, 4, 0];
        for start in [
            vec![0x30, 12],
            vec![0x30, 0x82, 0, 12],
            vec![0x30, 0x84, 0, 0, 0, 12],
        ] {
            let whole = [start.as_slice(), &tail].concat();
            assert_eq!(
                verdict(&whole, false),
                Some((Status::ReplyOk, 0)),
                "{whole:?}"
            );
            let cut = &whole[..whole.len() - 1];
            assert_eq!(verdict(cut, false), None);
            assert_eq!(verdict(cut, true), Some((Status::ReplyInvalid, 0)));
        }
        // A length of eight bytes, or none at all, is nobody's.
        for first in [0x88, 0x80, 0xff] {
            let odd = [&[0x30, first], [0; 20].as_slice()].concat();
            assert_eq!(verdict(&odd, false), Some((Status::ReplyInvalid, 0)));
        }
    }

    #[test]
    fn results_are_codes() {
        let busy = [0x30, 12, 2, 1, 1, 0x61, 7, 10, 1, 51, 4, 0, 4, 0];
        assert_eq!(verdict(&busy, false), Some((Status::ReplyWrong, 51)));
    }
}
