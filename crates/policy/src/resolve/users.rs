//! `userlist` sections: users are put into their groups.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};
use plimsoll_config::suggest::nearest;

use super::Resolver;
use crate::draft::UserlistDraft;
use crate::users::{User, Userlist};

impl Resolver<'_> {
    /// The lists of users; of several with one name the first.
    pub(super) fn userlists(&mut self, sections: &[UserlistDraft]) -> Vec<Arc<Userlist>> {
        let mut lists: Vec<Arc<Userlist>> = Vec::new();
        for section in sections {
            let users = self.users(section);
            if lists.iter().all(|known| known.name != section.name) {
                let groups = section.groups.iter().map(|group| group.name.clone());
                let list = Userlist::new(&*section.name, users, groups.collect());
                lists.push(Arc::new(list));
            }
        }
        lists
    }

    fn users(&mut self, section: &UserlistDraft) -> HashMap<String, User> {
        let mut users = HashMap::new();
        for draft in &section.users {
            let mut groups = BTreeSet::new();
            for group in &draft.groups {
                let mut known = section.groups.iter().map(|known| known.name.as_str());
                if known.any(|known| known == group.value) {
                    groups.insert(group.value.clone());
                } else {
                    let known = section.groups.iter().map(|known| known.name.as_str());
                    self.findings
                        .push(unknown("group", &group.value, known, group.span));
                }
            }
            let user = User {
                password: draft.password.clone(),
                groups,
            };
            users.insert(draft.name.clone(), user);
        }
        for group in &section.groups {
            for name in &group.users {
                match users.get_mut(&name.value) {
                    Some(user) => {
                        user.groups.insert(group.name.clone());
                    }
                    None => {
                        let known = users.keys().map(String::as_str);
                        let error = unknown("user", &name.value, known, name.span);
                        self.findings.push(error);
                    }
                }
            }
        }
        users
    }
}

fn unknown<'a>(
    noun: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
    span: Span,
) -> Diagnostic {
    let message = format_args!("this list has no {noun} called '{name}'");
    let error = Diagnostic::error(Kind::Reference, span, message);
    match nearest(name, known) {
        Some(near) => error.help(format_args!("did you mean '{near}'?")),
        None => error,
    }
}
