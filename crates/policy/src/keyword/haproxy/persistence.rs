//! What leads a client back to its server: cookies and server states. Stick tables are in `stick`.

use crate::draft::Draft;
use crate::keyword::{Keyword, Reading, Sections, Status};

const BACK: Sections = Sections::BACK;
const COOKIES: &str = "cookies";

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
