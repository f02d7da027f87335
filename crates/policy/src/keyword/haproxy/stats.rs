//! `stats …` in proxies: the statistics page.

use std::sync::Arc;

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;
use plimsoll_config::values::TimeUnit;

use super::{rules, value};
use crate::draft::Draft;
use crate::keyword::{Keyword, Sections, Status};
use crate::stats::page::Page;

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::new(
        "stats admin",
        Sections::OWN,
        "if|unless CONDITION...",
        "Who may change servers on the page; may stand several times.",
        rule,
    ),
    Keyword::new(
        "stats auth",
        Sections::PROXY,
        "USER:PASSWORD",
        "Who may see the page; may stand several times.",
        |args, draft| {
            let user = value::text(args, "a user and a password")?;
            change(draft, |page| page.users.push(user));
            Ok(())
        },
    ),
    Keyword::new(
        "stats enable",
        Sections::PROXY,
        "",
        "Serves the page.",
        |_, draft| {
            change(draft, |_| {});
            Ok(())
        },
    ),
    Keyword::new(
        "stats hide-version",
        Sections::PROXY,
        "",
        "Hides the version.",
        |_, draft| {
            change(draft, |page| page.hide_version = true);
            Ok(())
        },
    ),
    Keyword::new(
        "stats http-request",
        Sections::OWN,
        "allow|deny|auth [realm TEXT] [if|unless CONDITION...]",
        "Who may see the page; the first of these lines that holds counts.",
        rule,
    ),
    Keyword::new(
        "stats realm",
        Sections::PROXY,
        "TEXT",
        "What a browser shows when it asks for a password.",
        |args, draft| {
            let realm = value::text(args, "a text")?;
            change(draft, |page| page.realm = realm);
            Ok(())
        },
    ),
    Keyword::new(
        "stats refresh",
        Sections::PROXY,
        "TIME",
        "How often the page reloads.",
        |args, draft| {
            let interval = args.duration("an interval", TimeUnit::Seconds)?;
            change(draft, |page| {
                page.refresh_s = Some(interval.as_secs().max(1))
            });
            Ok(())
        },
    ),
    Keyword::new(
        "stats scope",
        Sections::PROXY,
        "NAME",
        "A proxy that the page shows instead of all; '.' is this one; may stand several times.",
        |args, draft| {
            let name = value::text(args, "the name of a proxy")?;
            change(draft, |page| page.scope.push(name));
            Ok(())
        },
    ),
    Keyword::new(
        "stats show-desc",
        Sections::PROXY,
        "[TEXT...]",
        "Shows this description, or the one of 'global'.",
        |args, draft| {
            let text = match args.is_empty() {
                true => String::new(),
                false => value::sentence(args, "a description")?,
            };
            change(draft, |page| page.description = Some(text));
            Ok(())
        },
    ),
    Keyword::new(
        "stats show-legends",
        Sections::PROXY,
        "",
        "Shows addresses and algorithms in tables.",
        |_, draft| {
            change(draft, |page| page.legends = true);
            Ok(())
        },
    ),
    Keyword::inert(
        "stats show-modules",
        Sections::PROXY,
        "",
        "Shows modules.",
        Status::NoOp("there are no modules with counters of their own"),
    ),
    Keyword::new(
        "stats show-node",
        Sections::PROXY,
        "[NAME]",
        "Shows this name, or the machine's.",
        |args, draft| {
            let name = match args.is_empty() {
                true => String::new(),
                false => value::machine_name(args)?,
            };
            change(draft, |page| page.node = Some(name));
            Ok(())
        },
    ),
    Keyword::new(
        "stats show-version",
        Sections::PROXY,
        "",
        "Shows the version.",
        |_, draft| {
            change(draft, |page| page.hide_version = false);
            Ok(())
        },
    ),
    Keyword::new(
        "stats uri",
        Sections::PROXY,
        "PREFIX",
        "Where the page is.",
        |args, draft| {
            let uri = value::text(args, "a path")?;
            change(draft, |page| page.uri = uri);
            Ok(())
        },
    ),
];

/// Changes the page of both halves of a section; any word of this family means that there is one.
fn change(draft: &mut Draft, change: impl FnOnce(&mut Page)) {
    let settings = draft.settings();
    let page = settings.front.stats_page.get_or_insert_default();
    change(Arc::make_mut(page));
    settings
        .back
        .stats_page
        .clone_from(&settings.front.stats_page);
}

/// A line of the rule language that belongs to the page, so that there is one.
fn rule(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    change(draft, |_| {});
    rules::keep(args, draft)
}
