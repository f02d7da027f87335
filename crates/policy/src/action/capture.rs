//! `capture`: keeps a value for the log and for later rules.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Action, Flow, Places, Row, Words, action};
use crate::capture::{Filled, SLOTS_MAX, Slot};
use crate::context::{Context, Phase};
use crate::expression::{self, Expression, Scope};
use crate::keyword::haproxy::value::unknown;

/// Longest value that may be asked for, in bytes, as in HAProxy. None is longer than the message that it is in.
const BYTES_MAX: u64 = i32::MAX as u64;

pub(crate) const ROWS: &[Row] = &[Row {
    name: "capture",
    numbered: false,
    usage: "EXPRESSION len NUMBER | id NUMBER",
    doc: "Keeps a value for the log.",
    places: Places::CONTENT.and(Places::HTTP),
    read,
}];

fn read(words: &mut Words<'_, '_>, scope: &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic> {
    let word = words.args.word("an expression")?;
    let expression = expression::parse(word, scope)?;
    if scope.phase == Phase::RequestContent && !expression.needs().met_at(Phase::Session) {
        scope.captures.borrow_mut().hasty.push(word.span);
    }
    let request = matches!(scope.phase, Phase::Request | Phase::RequestContent);
    let named = scope.phase != Phase::RequestContent && words.take("id");
    let id = match named {
        true => named_slot(words, scope, request)?,
        false => new_slot(words, scope, request)?,
    };
    action(Capture {
        expression,
        request,
        id,
    })
}

/// Keeps what an expression is worth once that is sure.
struct Capture {
    expression: Expression,
    /// Of the request, or else of the response.
    request: bool,
    id: usize,
}

impl Action for Capture {
    fn run(&self, context: &mut Context<'_>) -> Flow {
        let value = self.expression.evaluate(context);
        let value = value.filter(|_| !context.unsure.get());
        if let Some(value) = value {
            let text = value.into_text().into_owned();
            context.keep_capture(self.request, self.id, &text);
        }
        Flow::Continue
    }

    fn waits(&self) -> bool {
        true
    }
}

/// A slot that the frontend declares.
fn named_slot(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    request: bool,
) -> Result<usize, Diagnostic> {
    let span = words
        .peek()
        .map_or_else(|| words.args.end(), |word| word.span);
    let numbers = 0..=SLOTS_MAX as u64 - 1;
    let id = words.args.number("the number of a capture", numbers)? as usize;
    let mut draft = scope.captures.borrow_mut();
    draft.filled.push(Filled { request, id, span });
    Ok(id)
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
        return Err(error.help(
            "write 'declare capture' in the frontend, and 'http-request capture … id NUMBER' here",
        ));
    }
    let slots = &mut scope.captures.borrow_mut().captures.request;
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
