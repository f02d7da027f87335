//! What leads a client back to its server: cookies and server states. Stick tables are in `stick`.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{cookie, rules, value};
use crate::draft::{Draft, StateSource};
use crate::keyword::{Keyword, Sections};

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
    Keyword::new(
        "persist",
        BACK,
        "rdp-cookie[(NAME)]",
        "Leads clients back by the cookie in which terminal servers name themselves.",
        rdp_cookie,
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

/// `rdp-cookie`, or `rdp-cookie(NAME)`.
fn rdp_cookie(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let word = args.word("'rdp-cookie'")?;
    let inner = word.text.strip_prefix("rdp-cookie");
    let name = match inner {
        Some("") => Some("msts"),
        Some(rest) => rest
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')')),
        None => None,
    };
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| {
        let message = format_args!("'{}' is not 'rdp-cookie' or 'rdp-cookie(NAME)'", word.text);
        Diagnostic::error(Kind::Invalid, word.span, message)
    })?;
    draft.settings().back.rdp_persistence = Some(name.to_owned());
    Ok(())
}
