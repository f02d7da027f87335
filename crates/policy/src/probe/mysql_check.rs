//! `option mysql-check`: the greeting of a MySQL or MariaDB server, and a login where a user is given (MySQL's internals
//! manual, "Connection Phase": protocol packets, `Handshake`, `HandshakeResponse`, `ERR_Packet`).

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind as Fault};

use super::pgsql_check::user;
use super::script::Outcome;
use super::{Kind, Status, Verdict};
use crate::model::check::{CheckAction, CheckSpec, Expectation, Flavour, Protocol, Wanted};

/// Longest name of a user.
const USER_BYTES_MAX: usize = 32;
/// Bytes before a packet: three of length, one of sequence.
const HEADER_BYTES: usize = 4;
/// First byte of an error packet.
const ERROR: u8 = 0xff;
/// `COM_QUIT` as a packet.
const QUIT: &[u8] = &[1, 0, 0, 0, 1];
/// A plugin that takes an empty password in the first message.
const PLUGIN: &[u8] = b"mysql_native_password\0";

pub(super) const PROBE: Kind = Kind {
    name: "mysql-check",
    usage: "[user NAME [pre-41|post-41|post-80]]",
    doc: "Wants the greeting of a MySQL server, and logs in when a user is given.",
    read,
};

fn read(args: &mut Args<'_>) -> Result<CheckSpec, Diagnostic> {
    let mut steps = Vec::new();
    let logged_in = !args.is_empty();
    if logged_in {
        let user = user(args, USER_BYTES_MAX)?;
        steps.push(CheckAction::Send(login(args, &user)?).into());
    }
    let answer = Expectation::new(Wanted::Reply(Protocol::MySql { logged_in }));
    steps.push(CheckAction::Expect(answer).into());
    Ok(CheckSpec {
        flavour: Flavour::Protocol,
        steps,
        ..CheckSpec::default()
    })
}

/// The response to a handshake that is known beforehand, and the farewell behind it.
fn login(args: &mut Args<'_>, user: &str) -> Result<Vec<u8>, Diagnostic> {
    // Capabilities, longest packet, character set, 23 bytes of nothing.
    let modern = |capabilities: [u8; 4]| {
        let mut start = capabilities.to_vec();
        start.extend_from_slice(&[0x00, 0x80, 0x00, 0x01, 0x21]);
        start.extend_from_slice(&[0; 23]);
        start
    };
    let (start, end): (Vec<u8>, &[u8]) = match args.next() {
        None => (modern([0x00, 0x82, 0x00, 0x00]), &[]),
        Some(word) => match word.text.as_str() {
            "pre-41" => (vec![0x00, 0x80, 0x00, 0x00, 0x01], &[]),
            "post-41" => (modern([0x00, 0x82, 0x00, 0x00]), &[]),
            "post-80" => (modern([0x00, 0x82, 0x08, 0x00]), PLUGIN),
            other => {
                let message = format_args!("'{other}' is no version of the login");
                return Err(Diagnostic::error(Fault::Invalid, word.span, message)
                    .help("write pre-41, post-41 or post-80"));
            }
        },
    };
    let body = [start.as_slice(), user.as_bytes(), &[0, 0], end].concat();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let header = [length[0], length[1], length[2], 1];
    Ok([header.as_slice(), &body, QUIT].concat())
}

pub(super) fn judge(heard: &[u8], last: bool, logged_in: bool) -> Outcome {
    let packets = 1 + usize::from(logged_in);
    let mut rest = heard;
    for _ in 0..packets {
        let Some((packet, behind)) = packet(rest) else {
            return match last {
                true => Outcome::End(Verdict::new(Status::ReplyInvalid, 0, "")),
                false => Outcome::Wait,
            };
        };
        if packet.first() == Some(&ERROR) {
            let (code, words) = match packet {
                [_, low, high, words @ ..] => (u16::from_le_bytes([*low, *high]), words),
                _ => (0, &[][..]),
            };
            let verdict = Verdict::new(Status::ReplyWrong, u32::from(code), without_state(words));
            return Outcome::End(verdict);
        }
        rest = behind;
    }
    // Behind the version of the protocol stands that of the server, ended by a zero.
    let greeting = packet(heard).map_or(&[][..], |(packet, _)| packet);
    let version = greeting.get(1..).unwrap_or_default();
    let version = version.split(|&byte| byte == 0).next().unwrap_or_default();
    Outcome::End(Verdict::new(Status::ReplyOk, 0, version))
}

/// The first packet and what lies behind it, once it is whole.
fn packet(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let header = bytes.get(..HEADER_BYTES)?;
    let length =
        usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
    bytes[HEADER_BYTES..].split_at_checked(length)
}

/// An error's words; servers since 4.1 put `#` and five letters of state before them.
fn without_state(words: &[u8]) -> &[u8] {
    match words {
        [b'#', _, _, _, _, _, words @ ..] => words,
        words => words,
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_config::args::Word;
    use plimsoll_config::diagnostic::Span;

    use super::*;

    fn said(line: &str) -> Vec<u8> {
        let words: Vec<_> = line
            .split(' ')
            .map(|text| Word::new(text, Span::default()))
            .collect();
        let mut args = Args::new(&words, Span::default());
        let spec = read(&mut args).expect("a known line");
        match &spec.steps[0].action {
            CheckAction::Send(bytes) => bytes.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn logins_have_the_length_they_say() {
        for (line, length) in [
            ("user user pre-41", 11),
            ("user user", 38),
            ("user user post-41", 38),
            ("user user post-80", 60),
        ] {
            let said = said(line);
            assert_eq!(usize::from(said[0]), length, "{line}");
            assert_eq!(said.len(), HEADER_BYTES + length + QUIT.len(), "{line}");
            assert!(memchr::memmem::find(&said, b"user\0").is_some());
        }
    }

    #[test]
    fn errors_lose_their_state() {
        let body = b"\xff\x15\x04#28000Access denied";
        let packet = [&[body.len() as u8, 0, 0, 0], body.as_slice()].concat();
        let Outcome::End(verdict) = judge(&packet, false, false) else {
            panic!("an error packet is conclusive");
        };
        assert_eq!(
            (verdict.code, verdict.info.as_slice()),
            (1045, &b"Access denied"[..])
        );
    }
}
