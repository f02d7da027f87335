//! Actions on fields and first lines: `set-header`, `add-header`, `del-header`, `set-path` and their like.

use plimsoll_config::diagnostic::Diagnostic;

use super::{Action, Flow, Places, Row, Words, action};
use crate::context::Context;
use crate::expression::Scope;
use crate::log_format::{self, Encoding, Format};
use crate::pattern::{Method, Search, Use};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "add-header",
        numbered: false,
        usage: "NAME FORMAT",
        doc: "Adds a field.",
        places: Places::HTTP,
        read: |words, scope| edit(words, scope, |head, name, value| head.add(name, value)),
    },
    Row {
        name: "del-header",
        numbered: false,
        usage: "NAME [-m METHOD]",
        doc: "Removes all fields of a name.",
        places: Places::HTTP,
        read: delete,
    },
    Row {
        name: "set-header",
        numbered: false,
        usage: "NAME FORMAT",
        doc: "Replaces all fields of a name by one.",
        places: Places::HTTP,
        read: |words, scope| edit(words, scope, |head, name, value| head.set_last(name, value)),
    },
];

type Change = fn(&mut plimsoll_wire::head::Head, &[u8], &[u8]) -> bool;

struct Edit {
    name: Vec<u8>,
    value: Format,
    change: Change,
}

impl Action for Edit {
    fn run(&self, context: &mut Context<'_>) -> Flow {
        if let Some(value) = self.value.as_literal() {
            let head = context.message_mut();
            let changed = head.is_none_or(|head| (self.change)(head, &self.name, value));
            return context.changed(changed);
        }
        let mut value = context.take_buffer();
        self.value.write(context, &mut value);
        let changed = context
            .message_mut()
            .is_none_or(|head| (self.change)(head, &self.name, &value));
        context.give_buffer(value);
        context.changed(changed)
    }
}

fn edit(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    change: Change,
) -> Result<Box<dyn Action>, Diagnostic> {
    let name = words.args.word("the name of a field")?;
    let value = words.args.word("a value")?;
    action(Edit {
        name: name.text.to_ascii_lowercase().into_bytes(),
        value: log_format::read(value, Encoding::Http, scope)?,
        change,
    })
}

fn delete(words: &mut Words<'_, '_>, _: &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic> {
    let name = words.args.word("the name of a field")?;
    let mut method = Method::Text;
    if words.take("-m") {
        let word = words.args.word("a way of comparing")?;
        method = Method::find(&word.text).ok_or_else(|| {
            let message = format_args!("'{}' is not a way of comparing", word.text);
            Diagnostic::error(
                plimsoll_config::diagnostic::Kind::Unknown,
                word.span,
                message,
            )
        })?;
    }
    if method == Method::Text {
        let name = name.text.to_ascii_lowercase().into_bytes();
        return action(move |context: &mut Context<'_>| {
            if let Some(head) = context.message_mut() {
                head.remove(&name);
            }
            Flow::Continue
        });
    }
    let wrong = |error: String| {
        Diagnostic::error(plimsoll_config::diagnostic::Kind::Invalid, name.span, error)
    };
    let search = Search::of_one(name.text.as_bytes(), Use::patterns(method, true));
    let search = search.map_err(wrong)?;
    action(move |context: &mut Context<'_>| {
        if let Some(head) = context.message_mut() {
            head.remove_where(|name| search.matches(crate::value::Value::text(name)));
        }
        Flow::Continue
    })
}
