//! `option pgsql-check`: a startup message is answered by a request to authenticate (PostgreSQL's manual,
//! "Frontend/Backend Protocol", message formats `StartupMessage`, `Authentication…`, `ErrorResponse`).

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind as Fault};

use super::smtpchk::own_pattern;
use super::{Kind, Status};
use crate::model::check::{CheckAction, CheckSpec, Expectation, Flavour, Tell, Wanted};

/// Protocol 3.0.
const VERSION: [u8; 4] = [0, 3, 0, 0];
/// `R`, a length below 256, and a kind of authentication that is known: none, Kerberos, passwords, GSSAPI, SASL.
const AUTHENTICATION: &str = "^52000000[A-F0-9]{2}000000(00|02|03|04|05|06|07|09|0A)";
/// Longest name of a user (`NAMEDATALEN`).
const USER_BYTES_MAX: usize = 63;

pub(super) const PROBE: Kind = Kind {
    name: "pgsql-check",
    usage: "user NAME",
    doc: "Opens a session of a PostgreSQL server.",
    read,
};

fn read(args: &mut Args<'_>) -> Result<CheckSpec, Diagnostic> {
    let user = user(args, USER_BYTES_MAX)?;
    let mut startup = VERSION.to_vec();
    startup.extend_from_slice(b"user\0");
    startup.extend_from_slice(user.as_bytes());
    startup.extend_from_slice(b"\0\0");
    // The length counts itself.
    let length = u32::try_from(startup.len() + 4).unwrap_or(u32::MAX);
    startup.splice(..0, length.to_be_bytes());

    let no_error = Expectation {
        negated: true,
        receive_min: Some(5),
        failed: Some(Status::ReplyInvalid),
        // Behind the letter, the length and the letter of the first field, its severity.
        on_error: Some(Tell::Received(6)),
        ..Expectation::new(Wanted::Regex(own_pattern("^E", args)?))
    };
    let authentication = Expectation {
        receive_min: Some(9),
        failed: Some(Status::ReplyWrong),
        on_success: Some(Tell::Text("PostgreSQL server is ok".to_owned())),
        on_error: Some(Tell::Text("PostgreSQL unknown error".to_owned())),
        ..Expectation::new(Wanted::BinaryRegex(own_pattern(AUTHENTICATION, args)?))
    };
    Ok(CheckSpec {
        flavour: Flavour::Protocol,
        steps: vec![
            CheckAction::Send(startup).into(),
            CheckAction::Expect(no_error).into(),
            CheckAction::Expect(authentication).into(),
        ],
        ..CheckSpec::default()
    })
}

/// `user NAME`.
pub(super) fn user(args: &mut Args<'_>, bytes_max: usize) -> Result<String, Diagnostic> {
    let word = args.word("'user'")?;
    if word.text != "user" {
        let message = format_args!("'{}' is not known here", word.text);
        return Err(Diagnostic::error(Fault::Invalid, word.span, message).help("write 'user NAME'"));
    }
    let name = args.word("the name of a user")?;
    if name.text.len() > bytes_max || name.text.contains('\0') {
        let message = format_args!("the name of a user has at most {bytes_max} bytes");
        return Err(Diagnostic::error(Fault::Invalid, name.span, message));
    }
    Ok(name.text.clone())
}
