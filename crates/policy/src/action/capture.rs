//! `capture`: keeps a value for the log and for later rules.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Flow, Places, Row, Words, action};
use crate::capture::{SLOTS_MAX, Slot};
use crate::context::{Context, Phase};
use crate::expression::{self, Scope};
use crate::keyword::haproxy::value::unknown;

/// Longest value that is kept, in bytes.
const BYTES_MAX: u64 = 16_384;

pub(crate) const ROWS: &[Row] = &[Row {
    name: "capture",
    numbered: false,
    usage: "EXPRESSION len NUMBER | id NUMBER",
    doc: "Keeps a value for the log.",
    places: Places::CONTENT.and(Places::HTTP),
    read,
}];

fn read(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
) -> Result<Box<dyn super::Action>, Diagnostic> {
    let expression = expression::parse(words.args.word("an expression")?, scope)?;
    let request = matches!(scope.phase, Phase::Request | Phase::RequestContent);
    let id = match words.take("id") {
        true => words
            .args
            .number("the number of a capture", 0..=SLOTS_MAX as u64 - 1)? as usize,
        false => new_slot(words, scope, request)?,
    };
    action(move |context: &mut Context<'_>| {
        let Some(value) = expression.evaluate(context) else {
            return Flow::Continue;
        };
        let text = value.into_text().into_owned();
        context.keep_capture(request, id, &text);
        Flow::Continue
    })
}

/// A slot of the rule's own.
fn new_slot(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    request: bool,
) -> Result<usize, Diagnostic> {
    let place = words.args.end();
    let bytes_max = length(words.args)?;
    if scope.frontend.is_none() || !request {
        let error = Diagnostic::error(Kind::Invalid, place, "there is no capture to be filled");
        return Err(error.help("write 'declare capture' in the frontend, and 'id NUMBER' here"));
    }
    let slots = &mut scope.captures.borrow_mut().request;
    if slots.len() >= SLOTS_MAX {
        let message = format_args!("there are more than {SLOTS_MAX} captures");
        return Err(Diagnostic::error(Kind::Invalid, place, message));
    }
    slots.push(Slot {
        field: None,
        bytes_max,
    });
    Ok(slots.len() - 1)
}

/// `len NUMBER`.
pub(crate) fn length(args: &mut Args<'_>) -> Result<usize, Diagnostic> {
    let word = args.word("'len'")?;
    if word.text != "len" {
        return Err(unknown(
            word,
            "the length of a capture",
            ["len"].into_iter(),
        ));
    }
    Ok(args.number("a length in bytes", 1..=BYTES_MAX)? as usize)
}
