//! `option smtpchk`: greeting, `HELO` or `EHLO`, `QUIT` (RFC 5321).

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind as Fault};

use super::{Kind, Status};
use crate::model::check::{CheckAction, CheckSpec, Expectation, Flavour, Pattern, Tell, Wanted};

/// A reply: lines that begin with a code, all but the last with a hyphen behind it (RFC 5321 section 4.2).
const ANY_REPLY: &str = "^([0-9]{3}-[^\r]*\r\n)*[0-9]{3}[ \r\n]";
/// A positive one.
const GOOD_REPLY: &str = "^(2[0-9]{2}-[^\r]*\r\n)*2[0-9]{2}[ \r\n]";
/// Bytes before the text of a reply.
const CODE_BYTES: usize = 4;

pub(super) const PROBE: Kind = Kind {
    name: "smtpchk",
    usage: "[HELO|EHLO DOMAIN]",
    doc: "Greets an SMTP server.",
    read,
};

fn read(args: &mut Args<'_>) -> Result<CheckSpec, Diagnostic> {
    let hello = match args.next() {
        None => "HELO localhost".to_owned(),
        Some(verb) if matches!(verb.text.as_str(), "HELO" | "EHLO") => {
            format!("{} {}", verb.text, args.word("a domain")?.text)
        }
        Some(verb) => {
            let message = format_args!("'{}' is no way to greet an SMTP server", verb.text);
            return Err(
                Diagnostic::error(Fault::Invalid, verb.span, message).help("write HELO or EHLO")
            );
        }
    };
    let reply = |pattern: &str| -> Result<Expectation, Diagnostic> {
        Ok(Expectation {
            receive_min: Some(CODE_BYTES as u32),
            failed: Some(Status::ReplyWrong),
            on_error: Some(Tell::Received(CODE_BYTES)),
            on_success: Some(Tell::Received(CODE_BYTES)),
            coded: true,
            ..Expectation::new(Wanted::Regex(own_pattern(pattern, args)?))
        })
    };
    let smtp_at_all = Expectation {
        failed: Some(Status::ReplyInvalid),
        on_error: Some(Tell::Received(0)),
        ..reply(ANY_REPLY)?
    };
    let good = reply(GOOD_REPLY)?;
    let steps = vec![
        CheckAction::Expect(smtp_at_all).into(),
        CheckAction::Expect(good.clone()).into(),
        CheckAction::Send(format!("{hello}\r\n").into_bytes()).into(),
        CheckAction::Expect(good.clone()).into(),
        CheckAction::Send(b"QUIT\r\n".to_vec()).into(),
        CheckAction::Expect(good).into(),
    ];
    Ok(CheckSpec {
        flavour: Flavour::Protocol,
        steps,
        ..CheckSpec::default()
    })
}

/// A pattern that stands in this program.
pub(super) fn own_pattern(text: &str, args: &Args<'_>) -> Result<Pattern, Diagnostic> {
    Pattern::new(text, false).map_err(|error| Diagnostic::error(Fault::Invalid, args.line(), error))
}
