//! `userlist` sections: users, their passwords and groups (manual, section 12.2).

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::check_name;
use crate::draft::{Draft, GroupDraft, Spanned, UserDraft, UserlistDraft};
use crate::keyword::{Keyword, Sections};
use crate::users::{COST_US_NOTED, Password};

const USERLIST: Sections = Sections::USERLIST;

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::new(
        "group",
        USERLIST,
        "NAME [users USER[,USER...]]",
        "A group of users.",
        group,
    ),
    Keyword::new(
        "user",
        USERLIST,
        "NAME [password HASH|insecure-password TEXT] [groups GROUP[,GROUP...]]",
        "A user. HASH is that of crypt(3): $1$, $5$, $6$, $2a$, $2b$ or $2y$.",
        user,
    ),
];

/// `userlist NAME`.
pub(super) fn open(draft: &mut Draft, args: &mut Args<'_>) -> Result<(), Diagnostic> {
    let name = args.word("a name");
    let mut section = UserlistDraft::default();
    if let Ok(word) = name {
        (section.name, section.span) = (word.text.clone(), word.span);
        if draft.userlists.iter().any(|known| known.name == word.text) {
            let message = format_args!(
                "another userlist is called '{}'; the first one counts",
                word.text
            );
            draft.report(Diagnostic::warning(Kind::Invalid, word.span, message));
        }
    }
    draft.userlists.push(section);
    check_name(name?)?;
    args.finish()
}

/// The section being read.
fn section(draft: &mut Draft) -> &mut UserlistDraft {
    if draft.userlists.is_empty() {
        draft.userlists.push(UserlistDraft::default());
    }
    let last = draft.userlists.len() - 1;
    &mut draft.userlists[last]
}

/// Names between commas.
fn names(args: &mut Args<'_>, what: &str) -> Result<Vec<Spanned<String>>, Diagnostic> {
    let word = args.word(what)?;
    let names = word.text.split(',').filter(|name| !name.is_empty());
    let names = names.map(|name| Spanned {
        value: name.to_owned(),
        span: word.span,
    });
    Ok(names.collect())
}

fn group(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let word = args.word("the name of a group")?;
    check_name(word)?;
    let mut group = GroupDraft {
        name: word.text.clone(),
        users: Vec::new(),
    };
    if args.take("users") {
        group.users = names(args, "names of users")?;
    }
    if section(draft)
        .groups
        .iter()
        .any(|known| known.name == group.name)
    {
        let message = format_args!(
            "another group is called '{}'; the first one counts",
            group.name
        );
        draft.report(Diagnostic::warning(Kind::Invalid, word.span, message));
    } else {
        section(draft).groups.push(group);
    }
    args.finish()
}

fn user(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let word = args.word("the name of a user")?;
    let mut user = UserDraft {
        name: word.text.clone(),
        password: None,
        groups: Vec::new(),
    };
    while !args.is_empty() {
        if args.take("password") {
            let word = args.word("a hashed password")?;
            let password = Password::hashed(&word.text);
            let password = password.map_err(|error| {
                let error = Diagnostic::error(Kind::NotImplemented, word.span, error);
                error.help("make a hash with 'openssl passwd -6'")
            })?;
            let cost_ms = password.cost_us() / 1_000;
            if password.cost_us() >= COST_US_NOTED {
                let message = format_args!(
                    "to check this password takes about {cost_ms} ms, during which a worker serves nobody else"
                );
                let warning = Diagnostic::warning(Kind::Advice, word.span, message);
                draft.report(warning.help("use fewer rounds: 'openssl passwd -6' has 5,000"));
            }
            user.password = Some(password);
        } else if args.take("insecure-password") {
            user.password = Some(Password::plain(args.word("a password")?.text.as_str()));
        } else if args.take("groups") {
            user.groups = names(args, "names of groups")?;
        } else {
            break;
        }
    }
    if section(draft)
        .users
        .iter()
        .any(|known| known.name == user.name)
    {
        let message = format_args!(
            "another user is called '{}'; the first one counts",
            user.name
        );
        draft.report(Diagnostic::warning(Kind::Invalid, word.span, message));
    } else {
        section(draft).users.push(user);
    }
    args.finish()
}
