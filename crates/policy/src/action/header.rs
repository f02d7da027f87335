//! Actions on fields and first lines: `set-header`, `add-header`, `del-header`, `set-path` and their like.

use plimsoll_config::diagnostic::{Diagnostic, Kind};
use plimsoll_wire::h1::token::is_token_byte;
use plimsoll_wire::head::FieldLine;

use super::{Action, Flow, Places, Row, Words, action, target};
use crate::context::{Context, Phase};
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
        read: |words, scope| edit(words, scope, false),
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
        read: |words, scope| edit(words, scope, true),
    },
];

struct Edit {
    line: FieldLine,
    /// `None`: the line has it all.
    value: Option<Format>,
    /// In place of all others of its name.
    replaces: bool,
    /// It is the `Host` of a request.
    is_host: bool,
}

impl Action for Edit {
    fn run(&self, context: &mut Context<'_>) -> Flow {
        let line = &self.line;
        let Some(format) = &self.value else {
            let head = context.message_mut();
            let changed = head.is_none_or(|head| match self.replaces {
                true => head.replace_by_line(line),
                false => head.add_line(line),
            });
            return self.changed(changed, context);
        };
        let mut value = context.take_buffer();
        format.write(context, &mut value);
        let head = context.message_mut();
        let changed = head.is_none_or(|head| match self.replaces {
            true => head.replace_by_value(line, &value),
            false => head.add_value(line, &value),
        });
        context.give_buffer(value);
        self.changed(changed, context)
    }
}

impl Edit {
    fn changed(&self, changed: bool, context: &mut Context<'_>) -> Flow {
        let changed = changed && (!self.is_host || target::follow_host(context));
        context.changed(changed)
    }
}

fn edit(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    replaces: bool,
) -> Result<Box<dyn Action>, Diagnostic> {
    let name = field_name(words)?;
    let value = log_format::read(words.args.word("a value")?, Encoding::Http, scope)?;
    let line = value.as_literal().map(|text| FieldLine::new(name, text));
    action(Edit {
        value: line.is_none().then_some(value),
        line: line.unwrap_or_else(|| FieldLine::named(name)),
        replaces,
        is_host: scope.phase == Phase::Request && name.eq_ignore_ascii_case(b"host"),
    })
}

/// The name of a field that is set. What is no name is told: quotes or a colon may have gone astray.
pub(super) fn field_name<'a>(words: &mut Words<'a, '_>) -> Result<&'a [u8], Diagnostic> {
    let word = words.args.word("the name of a field")?;
    let name = word.text.as_bytes();
    // Fields of HTTP/2 that begin with a colon are none of HTTP/1, but nothing has gone astray.
    let inner = name.strip_prefix(b":").unwrap_or(name);
    if let Some(byte) = inner.iter().find(|byte| !is_token_byte(**byte)) {
        let message = format_args!(
            "'{}' cannot be the name of a field: it has a '{}'",
            word.text,
            byte.escape_ascii()
        );
        let warning = Diagnostic::warning(Kind::Invalid, word.span, message);
        words.args.warn(warning);
    }
    Ok(name)
}

fn delete(words: &mut Words<'_, '_>, _: &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic> {
    let name = words.args.word("the name of a field")?;
    let mut method = Method::Text;
    if words.take("-m") {
        let word = words.args.word("a way of comparing")?;
        method = Method::find(&word.text).ok_or_else(|| {
            let message = format_args!("'{}' is not a way of comparing", word.text);
            Diagnostic::error(Kind::Unknown, word.span, message)
        })?;
    }
    if method == Method::Text {
        let line = FieldLine::named(name.text.as_bytes());
        return action(move |context: &mut Context<'_>| {
            if let Some(head) = context.message_mut() {
                head.remove_named(&line);
            }
            Flow::Continue
        });
    }
    let wrong = |error: String| Diagnostic::error(Kind::Invalid, name.span, error);
    let search = Search::of_one(name.text.as_bytes(), Use::patterns(method, true));
    let search = search.map_err(wrong)?;
    action(move |context: &mut Context<'_>| {
        if let Some(head) = context.message_mut() {
            head.remove_where(|name| search.matches(crate::value::Value::text(name)));
        }
        Flow::Continue
    })
}
