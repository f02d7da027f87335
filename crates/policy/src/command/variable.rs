//! `get var`: variables of the process.

use super::{Answer, Command, Session, Words};
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
