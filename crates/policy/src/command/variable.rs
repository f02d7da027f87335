//! `get var` and `set var`: variables of the process.

use super::{Answer, Change, Command, Refusal, Session, Words};
use crate::keyword::haproxy;
use crate::model::AccessLevel;
use crate::stats::View;
use crate::variable::{Name, Scope};

pub(super) const GET: Command = Command {
    path: &["get", "var"],
    access: AccessLevel::Operator,
    usage: "get var <name>",
    doc: "type and value of a variable of the process",
    run: get,
};

pub(super) const SET: Command = Command {
    path: &["set", "var"],
    access: AccessLevel::Operator,
    usage: "set var <name> [expr|fmt] <value>",
    doc: "give a variable of the process another value (experimental-mode)",
    run: set,
};

fn get(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let text = words
        .next()
        .ok_or("Missing process-wide variable identifier.\n")?;
    let name = Name::parse(text).ok();
    let name = name.filter(|name| name.scope == Scope::Process);
    let value = name.and_then(|name| view.plane.variables.find(&name));
    let value = value.ok_or("Variable not found.\n")?;
    let kind = value.kind().name();
    let displayed: String = value
        .into_text()
        .iter()
        .map(|&byte| match byte {
            b' '..=b'~' => byte as char,
            _ => '.',
        })
        .collect();
    Ok(format!("{text}: type={kind} value=<{displayed}>\n"))
}

fn set(words: &mut Words<'_>, _: View<'_>, session: &mut Session) -> Answer {
    if !session.experimental {
        return Err("This command is restricted to experimental mode only.".into());
    }
    let name = words
        .next()
        .ok_or("Missing process-wide variable identifier.")?;
    let (is_format, value) = match (words.next(), words.next()) {
        (None, _) => return Err("Missing either 'expr', 'fmt' or expression.".into()),
        (Some(value), None) => (false, value),
        (Some("expr"), Some(value)) => (false, value),
        (Some("fmt"), Some(value)) => (true, value),
        (Some(word), Some(_)) => {
            let wanted = "arg type must be either 'expr' or 'fmt'";
            return Err(Refusal(format!("'set var': {wanted} but got '{word}'.")));
        }
    };
    let (name, value) = haproxy::dynamic_variable(name, value, is_format).map_err(Refusal)?;
    session.changes.push(Change::Variable(name, value));
    Ok(String::new())
}
