//! `show resolvers`.

use super::{Answer, Command, Session, Words};
use crate::ledger::LINES;
use crate::model::AccessLevel;
use crate::stats::View;
use crate::stats::format::write;

pub(super) const SHOW: Command = Command {
    path: &["show", "resolvers"],
    access: AccessLevel::User,
    usage: "show resolvers [<section>]",
    doc: "what name servers have said",
    run: show,
};

fn show(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let sections = &view.model().resolvers;
    let wanted = words.next();
    if wanted.is_some_and(|name| sections.iter().all(|section| section.name != name)) {
        return Err("Can't find that resolvers section".into());
    }
    if sections.is_empty() {
        return Ok("No resolvers found\n".to_owned());
    }
    let mut text = String::new();
    let shown = sections.iter();
    for section in shown.filter(|section| wanted.is_none_or(|name| section.name == name)) {
        write(
            &mut text,
            format_args!("Resolvers section {}\n", section.name),
        );
        for server in &section.servers {
            write(&mut text, format_args!(" nameserver {}:\n", server.name));
            for (name, said) in LINES {
                let ledger = &view.plane.ledger;
                let count = said.map_or(0, |said| ledger.read(&section.name, &server.name, said));
                let name = format!("{name}:");
                write(&mut text, format_args!("  {name:<12} {count}\n"));
            }
        }
    }
    Ok(text)
}

/// The same as a table (`show stat domain resolvers`).
pub(super) fn table(view: View<'_>) -> String {
    let mut text = "# id,pid,".to_owned();
    for (name, _) in LINES {
        // HAProxy has two names for it.
        let name = if name == "snd_error" {
            "send_error"
        } else {
            name
        };
        write(&mut text, format_args!("{name},"));
    }
    text.push('\n');
    for section in &view.model().resolvers {
        for server in &section.servers {
            write(&mut text, format_args!("{},{},", server.name, section.name));
            for (_, said) in LINES {
                let ledger = &view.plane.ledger;
                let count = said.map_or(0, |said| ledger.read(&section.name, &server.name, said));
                write(&mut text, format_args!("{count},"));
            }
            text.push('\n');
        }
    }
    text
}
