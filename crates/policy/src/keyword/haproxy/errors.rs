//! Answers to errors: `errorfile`, `errorfiles`, `errorloc` and `http-error`.
//!
//! Of several lines for one status the last counts. What is absent: the content of files, and formats, which the resolver
//! reads.

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::rules;
use crate::draft::{Draft, ErrorAnswerDraft, ErrorFileDraft, Spanned};

/// Statuses that HAProxy answers with itself, and whose answers can be replaced.
const STATUSES: &[u16] = &[
    200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 414, 421, 422, 425, 429, 431, 500, 501, 502,
    503, 504,
];

/// `errorfile STATUS FILE`.
pub(super) fn file(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let status = status(args.word("a status")?)?;
    let path = args.word("a file")?;
    let path = Spanned::new(path.text.clone(), path.span);
    push(draft, status, ErrorAnswerDraft::File(path));
    Ok(())
}

/// `errorloc STATUS URL`.
pub(super) fn location(
    args: &mut Args<'_>,
    draft: &mut Draft,
    code: u16,
) -> Result<(), Diagnostic> {
    let status = status(args.word("a status")?)?;
    let url = args.word("where to go")?;
    if url.text.bytes().any(|byte| byte.is_ascii_control()) {
        let message = "a control character cannot stand in a header field";
        return Err(Diagnostic::error(Kind::Invalid, url.span, message));
    }
    let url = url.text.clone();
    push(draft, status, ErrorAnswerDraft::Location { code, url });
    Ok(())
}

/// `errorfiles NAME [STATUS...]`.
pub(super) fn files(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let name = args.word("the name of an 'http-errors' section")?;
    let name = Spanned::new(name.text.clone(), name.span);
    let mut statuses = Vec::new();
    while let Some(word) = args.next() {
        statuses.push(status(word)?);
    }
    let answer = ErrorAnswerDraft::Section { name, statuses };
    draft.settings().error_files.push(ErrorFileDraft {
        status: None,
        answer,
    });
    Ok(())
}

/// `http-error status STATUS …`.
pub(super) fn composed(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let words = args.rest();
    let place = words.iter().position(|word| word.text == "status");
    let Some(word) = place.and_then(|place| words.get(place + 1)) else {
        let error = Diagnostic::error(Kind::Invalid, args.line(), "the status is missing");
        return Err(error.help("write 'http-error status 503 …'"));
    };
    let status = status(word)?;
    let answer = ErrorAnswerDraft::Composed(rules::line(args, draft));
    push(draft, status, answer);
    Ok(())
}

fn push(draft: &mut Draft, status: u16, answer: ErrorAnswerDraft) {
    let files = &mut draft.settings().error_files;
    files.retain(|file| file.status != Some(status));
    files.push(ErrorFileDraft {
        status: Some(status),
        answer,
    });
}

fn status(word: &Word) -> Result<u16, Diagnostic> {
    let status = word.text.parse().ok();
    status
        .filter(|status| STATUSES.contains(status))
        .ok_or_else(|| {
            let message =
                format_args!("'{}' is not a status that Plimsoll answers with", word.text);
            let known: Vec<_> = STATUSES.iter().map(u16::to_string).collect();
            let error = Diagnostic::error(Kind::Invalid, word.span, message);
            error.help(format_args!("write one of {}", known.join(", ")))
        })
}
