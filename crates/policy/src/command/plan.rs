//! `plan`.

use super::{Answer, Change, Command, Session, Words};
use crate::model::AccessLevel;
use crate::stats::View;

pub(super) const PLAN: Command = Command {
    path: &["plan"],
    access: AccessLevel::Admin,
    usage: "plan [json] [<file>]*",
    doc: "what a reload would change, or what these files would",
    run: plan,
};

fn plan(words: &mut Words<'_>, _: View<'_>, session: &mut Session) -> Answer {
    let json = words.all().first().is_some_and(|word| word == "json");
    if json {
        words.next();
    }
    session.changes.push(Change::Plan {
        files: words.all().to_vec(),
        json,
    });
    Ok(String::new())
}
