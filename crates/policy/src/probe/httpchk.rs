//! `option httpchk`: a request over HTTP/1 and the status of its response; `http-check` lines refine both.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind as Fault};

use super::Kind;
use crate::model::check::{CheckAction, CheckSpec, Expectation, Flavour, HttpAsk, Wanted};

/// Statuses of a healthy server, where no line says which.
const GOOD: (u16, u16) = (200, 399);

pub(super) const PROBE: Kind = Kind {
    name: "httpchk",
    usage: "[METHOD] [URI] [VERSION] [HOST]",
    doc: "Sends an HTTP request and looks at the status of the response.",
    read,
};

/// The steps are completed by [`complete`] once all lines are known.
fn read(args: &mut Args<'_>) -> Result<CheckSpec, Diagnostic> {
    let mut ask = HttpAsk::default();
    if args.rest().len() == 1 {
        token(args, "a URI")?.clone_into(&mut ask.target);
    } else if let Some(method) = args.peek().map(|_| token(args, "a method")).transpose()? {
        method.clone_into(&mut ask.method);
        token(args, "a URI")?.clone_into(&mut ask.target);
        version(args, &mut ask)?;
    }
    Ok(CheckSpec {
        flavour: Flavour::Http,
        steps: vec![CheckAction::Ask(ask).into()],
        ..CheckSpec::default()
    })
}

/// A word that is safe in a request line.
pub(crate) fn token<'a>(args: &mut Args<'a>, what: &str) -> Result<&'a str, Diagnostic> {
    let word = args.word(what)?;
    let safe = |byte: u8| byte > b' ' && byte != 0x7f;
    if !word.text.is_empty() && word.text.bytes().all(safe) {
        return Ok(&word.text);
    }
    let message = format_args!("{what} has no blanks and no control characters");
    Err(Diagnostic::error(Fault::Invalid, word.span, message))
}

/// `HTTP/1.1 [HOST]`; files of old put whole header fields behind the version.
fn version(args: &mut Args<'_>, ask: &mut HttpAsk) -> Result<(), Diagnostic> {
    let Some(first) = args.next() else {
        return Ok(());
    };
    if args.rest().len() == 1 && known_version(&first.text).is_some() {
        let host = token(args, "a host")?.to_owned();
        ask.fields.push(("Host".to_owned(), host));
    }
    let mut text = first.text.clone();
    while let Some(word) = args.next() {
        text.push(' ');
        text.push_str(&word.text);
    }
    let text = text.replace("\\r\\n", "\n").replace("\r\n", "\n");
    let mut lines = text.split('\n');
    let version = known_version(lines.next().unwrap_or_default());
    version
        .ok_or_else(|| bad_version(first))?
        .clone_into(&mut ask.version);
    for line in lines.filter(|line| !line.is_empty()) {
        let field = line.split_once(':').filter(|(name, _)| is_name(name));
        let Some((name, value)) = field else {
            let message = format_args!("'{}' is not a header field", line.escape_debug());
            return Err(Diagnostic::error(Fault::Invalid, first.span, message)
                .help("write fields with 'http-check send hdr NAME VALUE'"));
        };
        ask.fields.push((name.to_owned(), value.trim().to_owned()));
    }
    Ok(())
}

/// A version that can be spoken, as it is sent.
pub(crate) fn known_version(text: &str) -> Option<&'static str> {
    match text {
        "HTTP/1.0" | "1.0" => Some("HTTP/1.0"),
        "HTTP/1.1" | "1.1" => Some("HTTP/1.1"),
        // It is the connection that says whether HTTP/2 is spoken; over any other this is the best there is, as in HAProxy.
        "HTTP/2" | "HTTP/2.0" => Some("HTTP/1.1"),
        _ => None,
    }
}

pub(crate) fn bad_version(word: &plimsoll_config::args::Word) -> Diagnostic {
    let message = format_args!("'{}' is not a version that checks speak", word.text);
    Diagnostic::error(Fault::Invalid, word.span, message).help("write HTTP/1.0, HTTP/1.1 or HTTP/2")
}

/// Whether a text can name a header field (RFC 9110 section 5.1).
pub(crate) fn is_name(text: &str) -> bool {
    let mark = |byte: u8| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || mark(byte))
}

/// Adds what the lines left out: a request behind a connection, an expectation behind a request.
pub fn complete(spec: &mut CheckSpec) {
    let asks = |step: &crate::model::check::CheckStep| matches!(step.action, CheckAction::Ask(_));
    if !spec.steps.iter().any(asks) {
        let first = spec.steps.first();
        let behind = first.is_some_and(|step| matches!(step.action, CheckAction::Connect(_)));
        let ask = CheckAction::Ask(HttpAsk::default());
        spec.steps.insert(usize::from(behind), ask.into());
    }
    if spec.steps.last().is_some_and(asks) {
        let good = Expectation::new(Wanted::Status(vec![GOOD]));
        spec.steps.push(CheckAction::Expect(good).into());
    }
}
