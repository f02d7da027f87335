//! `capture` and `declare capture`: slots in the order they are written.

use std::cell::RefCell;

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use crate::action::capture_length as length;
use crate::capture::{CookieSlot, Draft, SLOTS_MAX, Slot};
use crate::keyword::haproxy::value::unknown;

/// `capture cookie NAME len NUMBER`, `capture request|response header NAME len NUMBER`.
pub(super) fn read(args: &mut Args<'_>, captures: &RefCell<Draft>) -> Result<(), Diagnostic> {
    let side = args.word("'cookie', 'request' or 'response'")?;
    if side.text == "cookie" {
        let name = args.word("the cookie's name")?.bytes().into();
        let bytes_max = length(args)?;
        captures.borrow_mut().captures.cookie = Some(CookieSlot {
            prefix: name,
            bytes_max,
        });
        return Ok(());
    }
    if !args.take("header") {
        let word = args.word("'header'")?;
        return Err(unknown(word, "what to capture", ["header"].into_iter()));
    }
    let name = args.word("the name of a field")?;
    let field = Some(name.text.to_ascii_lowercase().into_bytes().into());
    let bytes_max = length(args)?;
    push(side, captures, Slot { field, bytes_max })
}

/// `declare capture request|response len NUMBER`.
pub(super) fn declare(args: &mut Args<'_>, captures: &RefCell<Draft>) -> Result<(), Diagnostic> {
    let word = args.word("'capture'")?;
    if word.text != "capture" {
        return Err(unknown(word, "what to declare", ["capture"].into_iter()));
    }
    let side = args.word("'request' or 'response'")?;
    let bytes_max = length(args)?;
    push(
        side,
        captures,
        Slot {
            field: None,
            bytes_max,
        },
    )
}

fn push(side: &Word, captures: &RefCell<Draft>, slot: Slot) -> Result<(), Diagnostic> {
    let captures = &mut captures.borrow_mut().captures;
    let slots = match side.text.as_str() {
        "request" => &mut captures.request,
        "response" => &mut captures.response,
        _ => {
            return Err(unknown(
                side,
                "a side",
                ["cookie", "request", "response"].into_iter(),
            ));
        }
    };
    if slots.len() >= SLOTS_MAX {
        let message = format_args!("there are more than {SLOTS_MAX} captures");
        return Err(Diagnostic::error(Kind::Invalid, side.span, message));
    }
    slots.push(slot);
    Ok(())
}
