//! Lines of the rule language: `acl`, `http-request …`, `use_backend … if …`, `redirect`, captures, formats.
//!
//! Only `use_backend` without a condition does something. All others are refused, but their names are checked, so
//! that a misspelt rule is told apart from one that has to wait.

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{names, value};
use crate::draft::{Draft, Spanned};
use crate::keyword::{Keyword, Sections, Status};

const RULES: &str = "the rule language";
const HTTP: &str = "the HTTP rules";
const LOG_FORMATS: &str = "custom log lines";

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    partly(
        "acl",
        Sections::PROXY,
        "NAME CRITERION [FLAG...] [VALUE...]",
        "Names a condition.",
        RULES,
        acl,
    ),
    later(
        "be-unpublished",
        Sections::OWN_BACK,
        "",
        "Hides a backend from rules.",
        RULES,
    ),
    later(
        "capture",
        Sections::OWN_FRONT,
        "cookie|request|response WORD...",
        "Copies a header to the log.",
        HTTP,
    ),
    later(
        "compression",
        Sections::PROXY,
        "WORD...",
        "Compresses bodies.",
        "compression",
    ),
    later(
        "declare",
        Sections::OWN_FRONT,
        "capture WORD...",
        "Reserves room for captures.",
        HTTP,
    ),
    later(
        "error-log-format",
        Sections::FRONT,
        "FORMAT",
        "The log line of failed connections.",
        LOG_FORMATS,
    ),
    later(
        "errorfiles",
        Sections::PROXY,
        "NAME [NUMBER...]",
        "Answers from an http-errors section.",
        HTTP,
    ),
    later(
        "errorloc",
        Sections::PROXY,
        "NUMBER URL",
        "Redirects instead of an error.",
        HTTP,
    ),
    later(
        "errorloc302",
        Sections::PROXY,
        "NUMBER URL",
        "Redirects instead of an error.",
        HTTP,
    ),
    later(
        "errorloc303",
        Sections::PROXY,
        "NUMBER URL",
        "Redirects instead of an error.",
        HTTP,
    ),
    partly(
        "filter",
        Sections::OWN,
        "NAME [WORD...]",
        "Passes data through a filter.",
        "filters",
        |args, _| {
            let word = args.word("the name of a filter")?;
            if !word.text.starts_with("lua.") {
                names::check(
                    &word.text,
                    word.span,
                    "a filter",
                    &[names::filters::FILTERS],
                )?;
            }
            skip(args)
        },
    ),
    later(
        "filter-sequence",
        Sections::OWN,
        "WORD...",
        "Orders filters.",
        "filters",
    ),
    later(
        "force-be-switch",
        Sections::OWN_FRONT,
        "if|unless CONDITION...",
        "Reaches hidden backends.",
        RULES,
    ),
    partly(
        "http-after-response",
        Sections::PROXY,
        "ACTION...",
        "Changes every response.",
        HTTP,
        |args, draft| rule(args, draft, names::actions::HTTP_AFTER_RESPONSE),
    ),
    later(
        "http-error",
        Sections::PROXY,
        "WORD...",
        "Composes an error.",
        HTTP,
    ),
    partly(
        "http-request",
        Sections::PROXY,
        "ACTION...",
        "Judges and changes requests.",
        HTTP,
        |args, draft| rule(args, draft, names::actions::HTTP_REQUEST),
    ),
    partly(
        "http-response",
        Sections::PROXY,
        "ACTION...",
        "Judges and changes responses.",
        HTTP,
        |args, draft| rule(args, draft, names::actions::HTTP_RESPONSE),
    ),
    later(
        "http-send-name-header",
        Sections::BACK,
        "[NAME]",
        "Tells servers their name.",
        HTTP,
    ),
    later(
        "log-format",
        Sections::PROXY,
        "FORMAT",
        "The log line.",
        LOG_FORMATS,
    ),
    later(
        "log-format-sd",
        Sections::PROXY,
        "FORMAT",
        "Structured data of the log line.",
        LOG_FORMATS,
    ),
    later(
        "log-steps",
        Sections::FRONT,
        "LIST",
        "When to log.",
        LOG_FORMATS,
    ),
    later(
        "max-session-srv-conns",
        Sections::FRONT,
        "NUMBER",
        "Server connections a client keeps.",
        "that limit",
    ),
    partly(
        "monitor fail",
        Sections::OWN_FRONT,
        "if|unless CONDITION...",
        "When the monitor fails.",
        HTTP,
        condition,
    ),
    later(
        "monitor-uri",
        Sections::FRONT,
        "URI",
        "Answers health checks of others.",
        HTTP,
    ),
    later(
        "quic-initial",
        Sections::FRONT,
        "WORD...",
        "Judges QUIC packets.",
        "QUIC",
    ),
    later(
        "rate-limit",
        Sections::FRONT,
        "sessions NUMBER",
        "Most new sessions per second.",
        "rate limits",
    ),
    partly(
        "redirect",
        Sections::OWN,
        "location|prefix|scheme WORD...",
        "Redirects requests.",
        HTTP,
        |args, draft| {
            let kind = |word: &Word| matches!(word.text.as_str(), "location" | "prefix" | "scheme");
            if !args.rest().iter().any(kind) {
                let error = Diagnostic::error(Kind::Invalid, args.end(), "the target is missing");
                return Err(error.help("write 'location', 'prefix' or 'scheme' and where to go"));
            }
            rest(args, draft)
        },
    ),
    later(
        "ssl-f-use",
        Sections::OWN_FRONT,
        "WORD...",
        "Chooses a certificate.",
        "TLS",
    ),
    partly(
        "tcp-request connection",
        Sections::FRONT,
        "ACTION...",
        "Judges connections.",
        RULES,
        |args, draft| rule(args, draft, names::actions::TCP_REQUEST_CONNECTION),
    ),
    partly(
        "tcp-request content",
        Sections::PROXY,
        "ACTION...",
        "Judges first bytes.",
        RULES,
        |args, draft| rule(args, draft, names::actions::TCP_REQUEST_CONTENT),
    ),
    later(
        "tcp-request inspect-delay",
        Sections::PROXY,
        "TIME",
        "Longest wait for first bytes.",
        RULES,
    ),
    partly(
        "tcp-request session",
        Sections::FRONT,
        "ACTION...",
        "Judges sessions.",
        RULES,
        |args, draft| rule(args, draft, names::actions::TCP_REQUEST_SESSION),
    ),
    partly(
        "tcp-response content",
        Sections::BACK,
        "ACTION...",
        "Judges first answers.",
        RULES,
        |args, draft| rule(args, draft, names::actions::TCP_RESPONSE_CONTENT),
    ),
    later(
        "tcp-response inspect-delay",
        Sections::BACK,
        "TIME",
        "Longest wait for first answers.",
        RULES,
    ),
    later(
        "unique-id-format",
        Sections::PROXY,
        "FORMAT",
        "Names each request.",
        LOG_FORMATS,
    ),
    later(
        "unique-id-header",
        Sections::PROXY,
        "NAME",
        "Tells servers the request's name.",
        LOG_FORMATS,
    ),
    later(
        "use-fcgi-app",
        Sections::OWN_BACK,
        "NAME",
        "Speaks FastCGI to servers.",
        "FastCGI",
    ),
    partly(
        "use-server",
        Sections::OWN_BACK,
        "NAME if|unless CONDITION...",
        "Chooses a server.",
        RULES,
        |args, draft| {
            args.word("the name of a server")?;
            condition(args, draft)
        },
    ),
    Keyword::new(
        "use_backend",
        Sections::OWN_FRONT,
        "NAME [if|unless CONDITION...]",
        "Chooses a backend; only without a condition.",
        use_backend,
    ),
];

const fn later(
    name: &'static str,
    sections: Sections,
    usage: &'static str,
    doc: &'static str,
    waits: &'static str,
) -> Keyword<Draft> {
    Keyword::inert(name, sections, usage, doc, Status::NotYet(waits))
}

/// A word that has to wait, but whose names are checked.
const fn partly(
    name: &'static str,
    sections: Sections,
    usage: &'static str,
    doc: &'static str,
    waits: &'static str,
    read: fn(&mut Args<'_>, &mut Draft) -> Result<(), Diagnostic>,
) -> Keyword<Draft> {
    Keyword {
        status: Status::NotYet(waits),
        ..Keyword::new(name, sections, usage, doc, read)
    }
}

fn skip(args: &mut Args<'_>) -> Result<(), Diagnostic> {
    while args.next().is_some() {}
    Ok(())
}

fn acl(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let name = args.word("the acl's name")?;
    super::server::check_name(name)?;
    if name.text.eq_ignore_ascii_case("or") {
        let message = "an acl called 'or' could never be used";
        return Err(Diagnostic::error(Kind::Invalid, name.span, message));
    }
    draft.proxy().acls.insert(name.text.clone());
    let criterion = args.word("a criterion")?;
    names::check_expression(&criterion.text, criterion.span)?;
    skip(args)
}

/// An action, its arguments, and a condition.
fn rule(
    args: &mut Args<'_>,
    draft: &mut Draft,
    known: &'static [&'static str],
) -> Result<(), Diagnostic> {
    let action = args.word("an action")?;
    let name = action.text.split('(').next().unwrap_or_default();
    let bare = name.trim_end_matches(|character: char| character.is_ascii_digit());
    if !name.starts_with("lua.") && known.binary_search(&bare).is_err() {
        names::check(
            name,
            action.span,
            "an action of this kind of rule",
            &[known],
        )?;
    }
    rest(args, draft)?;
    let rules = draft.name;
    let message = format_args!("'{rules} {name}' is not implemented yet");
    let error = Diagnostic::error(Kind::NotImplemented, draft.keyword.to(action.span), message);
    Err(error.cause(format_args!("it waits for {RULES}")))
}

/// Skips arguments up to a condition, and checks that.
fn rest(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    while let Some(word) = args.peek() {
        if is_condition(word) {
            return condition(args, draft);
        }
        args.next();
    }
    Ok(())
}

fn is_condition(word: &Word) -> bool {
    matches!(word.text.as_str(), "if" | "unless")
}

fn condition(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    value::choice(args, "'if' or 'unless'", &[("if", ()), ("unless", ())])?;
    let acls = &draft.proxy().acls;
    names::check_condition(args, |name| acls.contains(name))
}

fn use_backend(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let name = args.word("the name of a backend")?;
    let waits = Status::NotYet(RULES);
    if args.peek().is_some_and(is_condition) {
        condition(args, draft)?;
        return waits
            .diagnostic("use_backend … if", draft.keyword)
            .map_or(Ok(()), Err);
    }
    if name.text.contains("%[") {
        return waits
            .diagnostic("use_backend %[…]", draft.keyword)
            .map_or(Ok(()), Err);
    }
    let line = draft.line;
    let proxy = draft.proxy();
    if proxy.use_backend.is_some() {
        let note = Diagnostic::note(Kind::NoEffect, line, "the 'use_backend' above always wins");
        draft.report(note.help("remove this line, or give the one above a condition"));
    } else {
        proxy.use_backend = Some(Spanned::new(name.text.clone(), name.span));
    }
    Ok(())
}
