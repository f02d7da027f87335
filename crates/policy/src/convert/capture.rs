//! Converters that keep a text for the line in the log and let it pass.

use plimsoll_config::diagnostic::Diagnostic;

use super::{Convert, Row};
use crate::arguments::Arguments;
use crate::capture::SLOTS_MAX;
use crate::context::Context;
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "capture-req",
        usage: "NUMBER",
        doc: "Keeps the text in the request's capture of this number and lets it pass; nothing where there is no such capture.",
        input: Type::Text,
        output: None,
        read: |arguments, _| keep(arguments, true),
    },
    Row {
        name: "capture-res",
        usage: "NUMBER",
        doc: "Keeps the text in the response's capture of this number and lets it pass; nothing where there is no such capture.",
        input: Type::Text,
        output: None,
        read: |arguments, _| keep(arguments, false),
    },
];

struct Keep {
    request: bool,
    id: usize,
}

fn keep(arguments: &mut Arguments, request: bool) -> Result<Box<dyn Convert>, Diagnostic> {
    let number = arguments.integer("the number of a capture")?;
    let id = usize::try_from(number).ok().filter(|id| *id < SLOTS_MAX);
    let wrong = || arguments.invalid(format_args!("there is no capture number {number}"));
    Ok(Box::new(Keep {
        request,
        id: id.ok_or_else(wrong)?,
    }))
}

impl Convert for Keep {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let frontend = context
            .plane
            .model
            .frontends
            .get(context.frontend.0 as usize)?;
        let slots = &frontend.rules.captures;
        let slots = match self.request {
            true => &slots.request,
            false => &slots.response,
        };
        slots.get(self.id)?;
        let text = value.borrowed().into_text().into_owned();
        context.change_capture(self.request, self.id, text);
        Some(value)
    }
}
