//! What leads a client back to its server: cookies and server states. Stick tables are in `stick`.

use super::{cookie, rules, value};
use crate::draft::{Draft, StateSource};
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
    Keyword::new(
        "load-server-state-from-file",
        BACK,
        "global|local|none",
        "Where states of servers come from at the start.",
        |args, draft| {
            let known = [
                ("global", StateSource::Global),
                ("local", StateSource::Local),
                ("none", StateSource::Nowhere),
            ];
            draft.settings().states = value::choice(args, "a source", &known)?;
            Ok(())
        },
    ),
    later(
        "persist",
        BACK,
        "rdp-cookie[(NAME)]",
        "Leads clients back by an RDP cookie; 'balance rdp-cookie' does so too.",
        "persistence by cookies that terminal servers make",
    ),
    Keyword::new(
        "server-state-file-name",
        Sections::OWN_BACK,
        "[NAME]",
        "File of server states; the backend's name, unless written.",
        |args, draft| {
            let name = args.next().map(|word| word.text.clone());
            draft.settings().states_file = name.filter(|name| name != "use-backend-name");
            Ok(())
        },
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
