//! `option ssl-hello-chk`: a greeting of TLS is answered by TLS, be it with an alert (RFC 5246 sections 6.2.1 and
//! 7.4.1.2). No key is agreed upon and no certificate looked at.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::smtpchk::own_pattern;
use super::{Kind, Status};
use crate::model::check::{CheckAction, CheckSpec, Expectation, Flavour, Wanted};

/// Ciphers that servers of any age know some of.
const CIPHERS: [u16; 12] = [
    0xc02b, 0xc02f, 0xc02c, 0xc030, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035, 0x000a, 0x0005,
];
/// Nobody goes on from this greeting, so that its nonce needs no chance.
const NONCE: &[u8; 32] = b"plimsoll asks: do you speak TLS?";
/// An alert, or a message of the handshake.
const ANSWER: &str = "^1[56]";
/// The header of a record.
const RECORD_BYTES: u32 = 5;

pub(super) const PROBE: Kind = Kind {
    name: "ssl-hello-chk",
    usage: "",
    doc: "Wants an answer of TLS to a greeting of TLS.",
    read,
};

fn read(args: &mut Args<'_>) -> Result<CheckSpec, Diagnostic> {
    let answer = Expectation {
        receive_min: Some(RECORD_BYTES),
        passed: Some(Status::TlsOk),
        failed: Some(Status::TlsInvalid),
        timed_out: Some(Status::TlsTimeout),
        ..Expectation::new(Wanted::BinaryRegex(own_pattern(ANSWER, args)?))
    };
    Ok(CheckSpec {
        flavour: Flavour::Protocol,
        steps: vec![
            CheckAction::Send(hello()).into(),
            CheckAction::Expect(answer).into(),
        ],
        ..CheckSpec::default()
    })
}

/// A record of TLS 1.0 that holds a greeting of TLS 1.2 without extensions, which all versions understand.
fn hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend_from_slice(NONCE);
    // No session to resume.
    body.push(0);
    body.extend_from_slice(&(2 * CIPHERS.len() as u16).to_be_bytes());
    CIPHERS
        .iter()
        .for_each(|cipher| body.extend_from_slice(&cipher.to_be_bytes()));
    // One method of compression: none.
    body.extend_from_slice(&[1, 0]);
    let length = |bytes: usize| (bytes as u16).to_be_bytes();
    let mut record = vec![0x16, 3, 1];
    record.extend_from_slice(&length(body.len() + 4));
    record.extend_from_slice(&[1, 0]);
    record.extend_from_slice(&length(body.len()));
    record.extend_from_slice(&body);
    record
}
