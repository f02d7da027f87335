//! Lines of the rule language: `acl`, `http-request …`, `use_backend … if …`, `redirect`, captures, formats.
//!
//! Rules are only kept here: the resolver reads them when all names are known. Words that have to wait are refused, but
//! their names are checked, so that a misspelt one is told apart.

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{errors, names, options, tls, value};
use crate::draft::{Draft, LogFormatDraft, RuleDraft, Spanned};
use crate::keyword::{Keyword, Sections, Status};

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::new(
        "acl",
        Sections::PROXY,
        "NAME CRITERION [FLAG...] [VALUE...]",
        "Names a condition.",
        keep,
    ),
    Keyword::new(
        "capture",
        Sections::OWN_FRONT,
        "cookie NAME len NUMBER | request|response header NAME len NUMBER",
        "Copies a field or a cookie to the log.",
        keep,
    ),
    later(
        "compression",
        Sections::PROXY,
        "WORD...",
        "Compresses bodies.",
        "compression",
    ),
    Keyword::new(
        "declare",
        Sections::OWN_FRONT,
        "capture request|response len NUMBER",
        "Reserves room for captures.",
        keep,
    ),
    Keyword::new(
        "error-log-format",
        Sections::FRONT,
        "FORMAT",
        "The log line of failed connections.",
        |args, draft| {
            let format = format(args)?;
            let before = draft.settings().error_log_format.replace(format);
            options::replaces_format(draft, before.is_some());
            Ok(())
        },
    ),
    Keyword::new(
        "errorfiles",
        Sections::PROXY,
        "NAME [STATUS...]",
        "Answers from an http-errors section.",
        errors::files,
    ),
    Keyword::new(
        "errorloc",
        Sections::PROXY,
        "STATUS URL",
        "Redirects instead of an error.",
        |args, draft| errors::location(args, draft, 302),
    ),
    Keyword::new(
        "errorloc302",
        Sections::PROXY,
        "STATUS URL",
        "Redirects instead of an error.",
        |args, draft| errors::location(args, draft, 302),
    ),
    Keyword::new(
        "errorloc303",
        Sections::PROXY,
        "STATUS URL",
        "Redirects instead of an error.",
        |args, draft| errors::location(args, draft, 303),
    ),
    Keyword::new(
        "filter",
        Sections::OWN,
        "bwlim-in|bwlim-out NAME default-limit SIZE default-period TIME|limit SIZE key EXPRESSION [table TABLE] [min-size SIZE]",
        "A limit of bandwidth, for set-bandwidth-limit. Other filters are not there yet.",
        filter,
    ),
    Keyword::new(
        "filter-sequence",
        Sections::OWN,
        "request|response FILTER[,FILTER...]",
        "Which filters work on a direction, the first of each name, in their order.",
        keep,
    ),
    Keyword::new(
        "force-be-switch",
        Sections::OWN_FRONT,
        "if|unless CONDITION...",
        "Reaches backends that are disabled or not published.",
        keep,
    ),
    Keyword::new(
        "http-after-response",
        Sections::PROXY,
        "ACTION...",
        "Changes every response.",
        keep,
    ),
    Keyword::new(
        "http-error",
        Sections::PROXY,
        "status STATUS [ANSWER...]",
        "Composes the answer to an error.",
        errors::composed,
    ),
    Keyword::new(
        "http-request",
        Sections::PROXY,
        "ACTION...",
        "Judges and changes requests.",
        keep,
    ),
    Keyword::new(
        "http-response",
        Sections::PROXY,
        "ACTION...",
        "Judges and changes responses.",
        keep,
    ),
    Keyword::new(
        "http-send-name-header",
        Sections::BACK,
        "NAME",
        "Tells servers their name.",
        |args, draft| {
            let name = field_of_name(args)?;
            draft.settings().back.name_header = Some(name);
            Ok(())
        },
    ),
    Keyword::new(
        "log-format",
        Sections::PROXY,
        "FORMAT",
        "The log line.",
        |args, draft| {
            let format = format(args)?;
            options::log_format(draft, LogFormatDraft::Custom(format));
            Ok(())
        },
    ),
    Keyword::new(
        "log-format-sd",
        Sections::PROXY,
        "FORMAT",
        "Structured data of the log line.",
        |args, draft| {
            draft.settings().log_structured = Some(format(args)?);
            Ok(())
        },
    ),
    Keyword::new(
        "max-session-srv-conns",
        Sections::FRONT,
        "NUMBER",
        "Most idle server connections that are kept for one client alone.",
        |args, draft| {
            let number = value::number(args, "the number of connections", 0..=u32::MAX)?;
            draft.settings().front.session_connections_max = Some(number);
            Ok(())
        },
    ),
    Keyword::new(
        "monitor fail",
        Sections::OWN_FRONT,
        "if|unless CONDITION...",
        "When the monitor fails.",
        keep,
    ),
    Keyword::new(
        "monitor-uri",
        Sections::FRONT,
        "URI",
        "Answers health checks of others.",
        |args, draft| {
            draft.settings().front.monitor_uri = Some(value::text(args, "a target")?);
            Ok(())
        },
    ),
    later(
        "quic-initial",
        Sections::FRONT,
        "WORD...",
        "Judges QUIC packets.",
        "QUIC",
    ),
    Keyword::new(
        "rate-limit",
        Sections::FRONT,
        "sessions NUMBER",
        "Most new sessions per second.",
        |args, draft| {
            value::choice(args, "what is limited", &[("sessions", ())])?;
            draft.settings().front.connection_rate = value::limit(args, "a rate")?;
            Ok(())
        },
    ),
    Keyword::new(
        "redirect",
        Sections::OWN,
        "location|prefix|scheme WORD...",
        "Redirects requests.",
        keep,
    ),
    Keyword::new(
        "ssl-f-use",
        Sections::OWN_FRONT,
        "crt FILE [WORD...]",
        "A certificate of all binds that speak TLS, with options as in a crt-list.",
        |args, draft| {
            let used = tls::certificate_use(args)?;
            draft.proxy().certificates.push(used);
            Ok(())
        },
    ),
    Keyword::new(
        "tcp-request connection",
        Sections::FRONT,
        "ACTION...",
        "Judges connections.",
        keep,
    ),
    Keyword::new(
        "tcp-request content",
        Sections::PROXY,
        "ACTION...",
        "Judges first bytes.",
        keep,
    ),
    Keyword::new(
        "tcp-request inspect-delay",
        Sections::PROXY,
        "TIME",
        "Longest wait for first bytes.",
        keep,
    ),
    Keyword::new(
        "tcp-request session",
        Sections::FRONT,
        "ACTION...",
        "Judges sessions.",
        keep,
    ),
    Keyword::new(
        "tcp-response content",
        Sections::BACK,
        "ACTION...",
        "Judges first answers.",
        keep,
    ),
    Keyword::new(
        "tcp-response inspect-delay",
        Sections::BACK,
        "TIME",
        "Longest wait for first answers.",
        keep,
    ),
    Keyword::new(
        "unique-id-format",
        Sections::PROXY,
        "FORMAT",
        "Names each request.",
        keep,
    ),
    Keyword::new(
        "unique-id-header",
        Sections::PROXY,
        "NAME",
        "Tells servers the request's name.",
        |args, draft| {
            let name = value::text(args, "the name of a field")?.to_ascii_lowercase();
            draft.settings().front.unique_id_header = Some(name);
            Ok(())
        },
    ),
    later(
        "use-fcgi-app",
        Sections::OWN_BACK,
        "NAME",
        "Speaks FastCGI to servers.",
        "FastCGI",
    ),
    Keyword::new(
        "use-server",
        Sections::OWN_BACK,
        "NAME if|unless CONDITION...",
        "Chooses a server.",
        keep,
    ),
    Keyword::new(
        "use_backend",
        Sections::OWN_FRONT,
        "NAME [if|unless CONDITION...]",
        "Chooses a backend.",
        use_backend,
    ),
];

/// Fields that say where a request goes and where it ends, which no name of a server may stand in.
const FRAMING_FIELDS: [&str; 4] = ["connection", "content-length", "host", "transfer-encoding"];

/// The field of `http-send-name-header`, in lower case.
fn field_of_name(args: &mut Args<'_>) -> Result<String, Diagnostic> {
    let word = args.word("the name of a field")?;
    let name = word.text.to_ascii_lowercase();
    if FRAMING_FIELDS.contains(&name.as_str()) {
        let message = format_args!("'{}' cannot carry the name of a server", word.text);
        return Err(Diagnostic::error(Kind::Invalid, word.span, message));
    }
    Ok(name)
}

const fn later(
    name: &'static str,
    sections: Sections,
    usage: &'static str,
    doc: &'static str,
    waits: &'static str,
) -> Keyword<Draft> {
    Keyword::inert(name, sections, usage, doc, Status::NotYet(waits))
}

/// Keeps a line for the resolver, which reads it when all names are known.
pub(super) fn keep(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    if args.is_empty() {
        return args.word("what to do").map(|_| ());
    }
    let rule = line(args, draft);
    draft.settings().rules.push(rule);
    Ok(())
}

/// `filter`: limits of bandwidth, which are read when all names are known.
fn filter(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let Some(word) = args.peek() else {
        return args.word("the name of a filter").map(|_| ());
    };
    if !matches!(word.text.as_str(), "bwlim-in" | "bwlim-out") {
        if !word.text.starts_with("lua.") {
            let known = &[names::filters::FILTERS];
            names::check(&word.text, word.span, "a filter", known)?;
        }
        let what = format!("'filter {}'", word.text);
        return Err(crate::expression::not_yet(what, word.span));
    }
    let rule = line(args, draft);
    draft.settings().rules.push(rule);
    Ok(())
}

/// The words that are left, as they are kept.
pub(super) fn line(args: &mut Args<'_>, draft: &mut Draft) -> RuleDraft {
    let words = std::iter::from_fn(|| args.next()).cloned().collect();
    RuleDraft {
        keyword: draft.name,
        keyword_span: draft.keyword,
        words,
        line: draft.line,
        section: draft.proxy().span,
    }
}

fn is_condition(word: &Word) -> bool {
    matches!(word.text.as_str(), "if" | "unless")
}

/// A format, to be read when all names are known.
fn format(args: &mut Args<'_>) -> Result<Word, Diagnostic> {
    args.word("a format").cloned()
}

fn use_backend(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let line = draft.line;
    if draft.proxy().use_backend.is_some() {
        let note = Diagnostic::note(
            Kind::Advice,
            line,
            "the 'use_backend' above wins as long as its backend is published",
        );
        draft.report(note.help("remove this line, or give the one above a condition"));
        return keep(args, draft);
    }
    let mut ahead = args.clone();
    let name = ahead.word("the name of a backend")?;
    if ahead.peek().is_some_and(is_condition) || name.text.contains('%') {
        return keep(args, draft);
    }
    draft.proxy().use_backend = Some(Spanned::new(name.text.clone(), name.span));
    keep(args, draft)
}
