//! `stats …` in proxies: the statistics page. All words are dormant, so that no page is served.

use super::value;
use crate::draft::Draft;
use crate::keyword::{Keyword, Reading, Sections, Status};

const PAGE: &str = "no statistics page is served, and requests for it go where all others go";

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    stats(
        "stats admin",
        Sections::OWN,
        "if|unless CONDITION...",
        "Who may change servers.",
    ),
    stats(
        "stats auth",
        Sections::PROXY,
        "USER:PASSWORD",
        "Who may see the page.",
    ),
    stats("stats enable", Sections::PROXY, "", "Serves the page."),
    stats(
        "stats hide-version",
        Sections::PROXY,
        "",
        "Hides the version.",
    ),
    stats(
        "stats http-request",
        Sections::OWN,
        "allow|deny|auth [WORD...]",
        "Who may see the page.",
    ),
    stats(
        "stats realm",
        Sections::PROXY,
        "TEXT",
        "What a browser shows when it asks for a password.",
    ),
    Keyword {
        read: Reading::Full(|args, _| {
            args.duration("an interval", plimsoll_config::values::TimeUnit::Seconds)
                .map(drop)
        }),
        ..stats(
            "stats refresh",
            Sections::PROXY,
            "TIME",
            "How often the page reloads.",
        )
    },
    stats(
        "stats scope",
        Sections::PROXY,
        "NAME",
        "What the page shows.",
    ),
    stats(
        "stats show-desc",
        Sections::PROXY,
        "[TEXT...]",
        "Shows a description.",
    ),
    stats("stats show-legends", Sections::PROXY, "", "Shows legends."),
    stats("stats show-modules", Sections::PROXY, "", "Shows modules."),
    Keyword {
        read: Reading::Full(|args, _| {
            if args.is_empty() {
                Ok(())
            } else {
                value::machine_name(args).map(drop)
            }
        }),
        ..stats(
            "stats show-node",
            Sections::PROXY,
            "[NAME]",
            "Shows the machine's name.",
        )
    },
    stats(
        "stats show-version",
        Sections::PROXY,
        "",
        "Shows the version.",
    ),
    stats("stats uri", Sections::PROXY, "PREFIX", "Where the page is."),
];

const fn stats(
    name: &'static str,
    sections: Sections,
    usage: &'static str,
    doc: &'static str,
) -> Keyword<Draft> {
    Keyword::inert(name, sections, usage, doc, Status::Dormant(PAGE))
}
