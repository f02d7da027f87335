//! What leads a client back to its server: cookies, stick tables, server states.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::value;
use crate::draft::{Draft, Spanned};
use crate::keyword::{Keyword, Reading, Sections, Status};

const BACK: Sections = Sections::BACK;
const COOKIES: &str = "cookies";
const TABLES: &str = "stick tables";

/// Shown for tables in TCP mode, where they are dormant.
pub(crate) const STICK: Status = Status::Dormant(
    "no client is remembered, so that one may reach another server on its next connection",
);

/// The same in HTTP mode.
pub(crate) const STICK_HTTP: Status = Status::NotYet(TABLES);

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    later(
        "cookie",
        BACK,
        "NAME [WORD...]",
        "Leads clients back by a cookie.",
        COOKIES,
    ),
    later(
        "dynamic-cookie-key",
        BACK,
        "SECRET",
        "Key of computed cookies.",
        COOKIES,
    ),
    later(
        "force-persist",
        Sections::OWN_BACK,
        "if|unless CONDITION...",
        "Reaches servers that are down.",
        COOKIES,
    ),
    later(
        "ignore-persist",
        Sections::OWN_BACK,
        "if|unless CONDITION...",
        "Ignores persistence.",
        COOKIES,
    ),
    later(
        "load-server-state-from-file",
        BACK,
        "global|local|none",
        "Where states come from.",
        "state files",
    ),
    later(
        "persist",
        BACK,
        "rdp-cookie...",
        "Leads clients back by an RDP cookie.",
        COOKIES,
    ),
    Keyword::inert(
        "server-state-file-name",
        BACK,
        "[NAME]",
        "File of server states.",
        Status::NoOp("no state file is read without 'load-server-state-from-file'"),
    ),
    later(
        "stick match",
        Sections::OWN_BACK,
        "WORD...",
        "Leads clients back by a table.",
        TABLES,
    ),
    Keyword {
        status: STICK,
        ..Keyword::new(
            "stick on",
            Sections::OWN_BACK,
            "WORD...",
            "Leads clients back by a table.",
            stick_on,
        )
    },
    later(
        "stick store-request",
        Sections::OWN_BACK,
        "WORD...",
        "Remembers a client.",
        TABLES,
    ),
    later(
        "stick store-response",
        Sections::OWN_BACK,
        "WORD...",
        "Remembers a client.",
        TABLES,
    ),
    Keyword {
        status: STICK,
        ..Keyword::new(
            "stick-table",
            Sections::OWN,
            "type TYPE size NUMBER [WORD...]",
            "A table of clients.",
            table,
        )
    },
];

const fn later(
    name: &'static str,
    sections: Sections,
    usage: &'static str,
    doc: &'static str,
    waits: &'static str,
) -> Keyword<Draft> {
    Keyword {
        read: Reading::Form,
        ..Keyword::inert(name, sections, usage, doc, Status::NotYet(waits))
    }
}

/// The mode decides what becomes of the line, and may stand below it.
fn stick_on(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let word = args.word("what to remember a client by")?;
    super::names::check_expression(&word.text, word.span)?;
    while args.next().is_some() {}
    remember(draft, "stick on");
    Ok(())
}

fn table(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let (mut typed, mut sized) = (false, false);
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "type" => {
                let types = ["ip", "ipv6", "integer", "string", "binary"].map(|name| (name, ()));
                value::choice(args, "a type of key", &types)?;
                typed = true;
            }
            "size" => {
                value::size_bytes(args, "the number of entries")?;
                sized = true;
            }
            _ => {}
        }
    }
    if !(typed && sized) {
        let error = Diagnostic::error(Kind::Invalid, args.end(), "a table needs a type and a size");
        return Err(error.help("write 'stick-table type ip size 100k'"));
    }
    remember(draft, "stick-table");
    Ok(())
}

fn remember(draft: &mut Draft, name: &'static str) {
    let span = draft.keyword;
    draft.proxy().stick.push(Spanned::new(name, span));
}
