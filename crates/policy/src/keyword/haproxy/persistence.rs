//! What leads a client back to its server: cookies and server states. Stick tables are in `stick`.

use super::{cookie, rules, value};
use crate::draft::Draft;
use crate::keyword::{Keyword, Reading, Sections, Status};

const BACK: Sections = Sections::BACK;

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::new(
        "cookie",
        BACK,
        "NAME [insert|prefix|rewrite] [OPTION...]",
        "Leads clients back by a cookie.",
        cookie::read,
    ),
    Keyword::new(
        "dynamic-cookie-key",
        BACK,
        "SECRET",
        "Key of computed cookies.",
        |args, draft| {
            draft.settings().cookie.key = Some(value::text(args, "a secret")?);
            Ok(())
        },
    ),
    Keyword::new(
        "force-persist",
        Sections::OWN_BACK,
        "if|unless CONDITION...",
        "Leads clients to their servers even when these are down.",
        rules::keep,
    ),
    Keyword::new(
        "ignore-persist",
        Sections::OWN_BACK,
        "if|unless CONDITION...",
        "Leads nobody back.",
        rules::keep,
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
        "rdp-cookie[(NAME)]",
        "Leads clients back by an RDP cookie; 'balance rdp-cookie' does so too.",
        "persistence by cookies that terminal servers make",
    ),
    Keyword::inert(
        "server-state-file-name",
        BACK,
        "[NAME]",
        "File of server states.",
        Status::NoOp("no state file is read without 'load-server-state-from-file'"),
    ),
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
