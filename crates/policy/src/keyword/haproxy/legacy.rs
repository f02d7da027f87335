//! Lines that today's HAProxy has dropped and old files still contain.
//!
//! A line with one clear meaning is understood, with the modern line shown; the others are refused with what replaces
//! them. Spellings that belong to a topic (`clitimeout`, `option forceclose`, `nbproc`) stand with it.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};
use plimsoll_config::values::TimeUnit;

use super::{address, value};
use crate::draft::{Draft, ServerDraft};
use crate::keyword::{Keyword, Sections, Status};

const PROXY: Sections = Sections::PROXY;
const BACK: Sections = Sections::BACK;

/// Sorted.
pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    refused(
        "appsession",
        BACK,
        "it has been dropped",
        "write 'cookie … insert', or a stick table",
    ),
    Keyword::legacy(
        "bind-process",
        PROXY,
        "SET...",
        "nbthread NUMBER",
        |args, draft| {
            while args.next().is_some() {}
            let warning =
                Diagnostic::warning(Kind::Legacy, draft.line, "'bind-process' has no effect");
            draft.report(
                warning
                    .cause("there is one process; its workers share every proxy")
                    .help("remove the line"),
            );
            Ok(())
        },
    ),
    Keyword::legacy(
        "block",
        PROXY,
        "if|unless CONDITION...",
        "http-request deny if CONDITION",
        |args, draft| {
            let condition = join(args);
            rule(draft, "block", &format!("http-request deny {condition}"))
        },
    ),
    refused(
        "cliexp",
        PROXY,
        "it has been dropped",
        "write 'http-request replace-header' or 'replace-path'",
    ),
    Keyword::legacy(
        "dispatch",
        BACK,
        "ADDRESS",
        "server dispatch ADDRESS",
        dispatch,
    ),
    Keyword::legacy(
        "grace",
        PROXY,
        "TIME",
        "hard-stop-after TIME",
        |args, draft| {
            args.duration("a time", TimeUnit::Milliseconds)?;
            let warning =
                Diagnostic::warning(Kind::Legacy, draft.line, "'grace' has no effect in a proxy");
            draft.report(
                warning
                    .cause("a stopping proxy serves its connections to their end")
                    .help("remove the line"),
            );
            Ok(())
        },
    ),
    refused(
        "monitor-net",
        PROXY,
        "it has been dropped",
        "write 'http-request return status 200 if { src NETWORK }'",
    ),
    Keyword::legacy("redisp", BACK, "", "option redispatch", |_, draft| {
        redispatch(draft, "redisp")
    }),
    Keyword::legacy("redispatch", BACK, "", "option redispatch", |_, draft| {
        redispatch(draft, "redispatch")
    }),
    Keyword::legacy(
        "reqadd",
        PROXY,
        "TEXT [CONDITION...]",
        "http-request add-header NAME VALUE",
        |args, draft| add(args, draft, "reqadd", "http-request"),
    ),
    deny("reqallow", "http-request allow if { … }"),
    Keyword::legacy(
        "reqdel",
        PROXY,
        "REGEX [CONDITION...]",
        "http-request del-header NAME",
        |args, draft| delete(args, draft, "reqdel", "http-request"),
    ),
    deny("reqdeny", "http-request deny if { … }"),
    deny("reqiallow", "http-request allow if { … }"),
    Keyword::legacy(
        "reqidel",
        PROXY,
        "REGEX [CONDITION...]",
        "http-request del-header NAME",
        |args, draft| delete(args, draft, "reqidel", "http-request"),
    ),
    deny("reqideny", "http-request deny if { … }"),
    deny("reqipass", "http-request allow if { … }"),
    Keyword::legacy(
        "reqirep",
        PROXY,
        "REGEX TEXT [CONDITION...]",
        REPLACE_REQUEST,
        |args, draft| replace(args, draft, "reqirep", "http-request"),
    ),
    deny("reqitarpit", "http-request tarpit if { … }"),
    deny("reqpass", "http-request allow if { … }"),
    Keyword::legacy(
        "reqrep",
        PROXY,
        "REGEX TEXT [CONDITION...]",
        REPLACE_REQUEST,
        |args, draft| replace(args, draft, "reqrep", "http-request"),
    ),
    deny("reqtarpit", "http-request tarpit if { … }"),
    Keyword::legacy(
        "rspadd",
        PROXY,
        "TEXT [CONDITION...]",
        "http-response add-header NAME VALUE",
        |args, draft| add(args, draft, "rspadd", "http-response"),
    ),
    Keyword::legacy(
        "rspdel",
        PROXY,
        "REGEX [CONDITION...]",
        "http-response del-header NAME",
        |args, draft| delete(args, draft, "rspdel", "http-response"),
    ),
    deny("rspdeny", "http-response deny if { … }"),
    Keyword::legacy(
        "rspidel",
        PROXY,
        "REGEX [CONDITION...]",
        "http-response del-header NAME",
        |args, draft| delete(args, draft, "rspidel", "http-response"),
    ),
    deny("rspideny", "http-response deny if { … }"),
    Keyword::legacy(
        "rspirep",
        PROXY,
        "REGEX TEXT [CONDITION...]",
        REPLACE_RESPONSE,
        |args, draft| replace(args, draft, "rspirep", "http-response"),
    ),
    Keyword::legacy(
        "rsprep",
        PROXY,
        "REGEX TEXT [CONDITION...]",
        REPLACE_RESPONSE,
        |args, draft| replace(args, draft, "rsprep", "http-response"),
    ),
    refused(
        "srvexp",
        PROXY,
        "it has been dropped",
        "write 'http-response replace-header'",
    ),
    refused(
        "transparent",
        PROXY,
        "it has been dropped",
        "write a server with the address 0.0.0.0",
    ),
    refused(
        "usesrc",
        BACK,
        "it has no meaning on a line of its own",
        "write it behind 'source ADDRESS'",
    ),
];

const REPLACE_REQUEST: &str = "http-request replace-header NAME REGEX TEXT";
const REPLACE_RESPONSE: &str = "http-response replace-header NAME REGEX TEXT";

const fn refused(
    name: &'static str,
    sections: Sections,
    reason: &'static str,
    instead: &'static str,
) -> Keyword<Draft> {
    Keyword::inert(
        name,
        sections,
        "[WORD...]",
        "Dropped.",
        Status::Refused { reason, instead },
    )
}

const fn deny(name: &'static str, instead: &'static str) -> Keyword<Draft> {
    refused(
        name,
        PROXY,
        "it matches whole header lines, which are not kept as text",
        instead,
    )
}

fn join(args: &mut Args<'_>) -> String {
    let words: Vec<_> = std::iter::from_fn(|| args.next())
        .map(|word| quote(&word.text))
        .collect();
    words.join(" ")
}

/// The text as one word of a configuration line.
pub(super) fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\#$".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' | '$' => quoted.extend(['\\', character]),
            '\r' => quoted.push_str("\\r"),
            '\n' => quoted.push_str("\\n"),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// An old rule with one clear meaning: its modern line is shown, and has to wait like all rules.
fn rule(draft: &mut Draft, name: &str, modern: &str) -> Result<(), Diagnostic> {
    let message = format_args!("'{name}' is an old spelling");
    let warning = Diagnostic::warning(Kind::Legacy, draft.line, message);
    draft.report(warning.help(format_args!("write '{modern}'")));
    let action = modern.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let waits = Status::NotYet("the HTTP rules").diagnostic(&action, draft.keyword);
    waits.map_or(Ok(()), Err)
}

fn condition(args: &mut Args<'_>) -> String {
    if args.is_empty() {
        String::new()
    } else {
        format!(" {}", join(args))
    }
}

/// `reqadd "Name: value"`.
fn add(args: &mut Args<'_>, draft: &mut Draft, name: &str, rules: &str) -> Result<(), Diagnostic> {
    let word = args.word("a header line")?;
    let Some((header, text)) = word
        .text
        .split_once(':')
        .filter(|(header, _)| is_name(header))
    else {
        let message = format_args!("'{}' is not a header line", word.text);
        return Err(
            Diagnostic::error(Kind::Invalid, word.span, message).help("write 'Name:\\ value'")
        );
    };
    let modern = format!(
        "{rules} add-header {header} {}{}",
        quote(text.trim_start()),
        condition(args)
    );
    rule(draft, name, &modern)
}

/// `reqdel ^Name:`.
fn delete(
    args: &mut Args<'_>,
    draft: &mut Draft,
    name: &str,
    rules: &str,
) -> Result<(), Diagnostic> {
    let word = args.word("a regular expression")?;
    match header_of(&word.text) {
        Some((header, "" | ".*" | " .*" | "\\ .*")) => {
            let modern = format!("{rules} del-header {header}{}", condition(args));
            rule(draft, name, &modern)
        }
        _ => Err(unclear(
            draft,
            name,
            &format!("{rules} del-header NAME -m reg REGEX"),
        )),
    }
}

/// `reqrep "^Name: regex" "Name: text"`, or the same with the request line.
fn replace(
    args: &mut Args<'_>,
    draft: &mut Draft,
    name: &str,
    rules: &str,
) -> Result<(), Diagnostic> {
    let pattern = args.word("a regular expression")?;
    let text = args.word("what replaces it")?;
    let replaced = header_of(&pattern.text).zip(text.text.split_once(':'));
    if let Some(((header, regex), (_, text))) = replaced {
        let (regex, text) = (quote(regex.trim_start()), quote(text.trim_start()));
        let modern = format!(
            "{rules} replace-header {header} {regex} {text}{}",
            condition(args)
        );
        return rule(draft, name, &modern);
    }
    let request_line = pattern.text.starts_with("^([^") || pattern.text.starts_with("^(GET") || {
        let method = pattern.text.trim_start_matches('^');
        method.starts_with("GET") || method.starts_with("POST")
    };
    if rules == "http-request" && request_line {
        let modern = format!("{rules} replace-path REGEX TEXT{}", condition(args));
        return rule(draft, name, &modern);
    }
    Err(unclear(
        draft,
        name,
        &format!("{rules} replace-header NAME REGEX TEXT"),
    ))
}

fn unclear(draft: &Draft, name: &str, instead: &str) -> Diagnostic {
    let message = format_args!("'{name}' is not supported");
    Diagnostic::error(Kind::Refused, draft.keyword, message)
        .cause("it matches whole header lines, which are not kept as text")
        .help(format_args!("write '{instead}'"))
}

/// The header that a regular expression begins with, and the rest of the expression.
fn header_of(pattern: &str) -> Option<(&str, &str)> {
    let (header, rest) = pattern.trim_start_matches('^').split_once(':')?;
    is_name(header).then_some((header, rest))
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn redispatch(draft: &mut Draft, name: &str) -> Result<(), Diagnostic> {
    let message = format_args!("'{name}' is an old spelling of 'option redispatch'");
    draft.report(
        Diagnostic::warning(Kind::Legacy, draft.line, message).help("write 'option redispatch'"),
    );
    draft.settings().back.redispatch = -1;
    Ok(())
}

/// One server without a name, to which everything goes.
fn dispatch(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let written = args.peek().map_or("ADDRESS", |word| word.text.as_str());
    let message = "'dispatch' is an old way of writing a server";
    let warning = Diagnostic::warning(Kind::Legacy, draft.line, message);
    let warning = warning.help(format_args!("write 'server dispatch {written}'"));
    let span = value::place(args);
    let address = address::server(args)?;
    draft.report(warning);
    if !draft.proxy().has_back() {
        let error = Diagnostic::error(
            Kind::Invalid,
            draft.line,
            "'dispatch' cannot stand in 'defaults'",
        );
        return Err(error.help("write a server in each backend"));
    }
    let mut server = ServerDraft {
        address,
        name_span: span,
        ..ServerDraft::default()
    };
    server.model.name = "dispatch".to_owned();
    draft.proxy().servers.push(server);
    Ok(())
}

/// `option httpchk METHOD URI VERSION HOST`, where old files write headers behind the version.
pub(super) fn http_check(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let words: Vec<_> = std::iter::from_fn(|| args.next()).collect();
    let Some(last) = words.get(2) else {
        return Ok(());
    };
    let joined = words[2..]
        .iter()
        .map(|word| word.text.as_str())
        .collect::<Vec<_>>()
        .join(" ");
    let mut lines = joined
        .split("\r\n")
        .flat_map(|line| line.split("\\r\\n"))
        .filter(|line| !line.is_empty());
    let version = lines.next().unwrap_or("HTTP/1.0");
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, text)| format!(" hdr {} {}", name.trim(), quote(text.trim())))
        .collect();
    // Today a fourth word is the Host field.
    if headers.is_empty() && words.len() <= 4 {
        return Ok(());
    }
    let (method, uri) = (&words[0].text, &words[1].text);
    let warning = Diagnostic::warning(
        Kind::Legacy,
        last.span,
        "headers behind the version are an old spelling",
    );
    draft.report(warning.help(format_args!(
        "write 'option httpchk' and 'http-check send meth {method} uri {uri} ver {version}{}'",
        headers.concat()
    )));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_in_clear_expressions_only() {
        let cases = [
            ("^Host:\\ (.*)", Some(("Host", "\\ (.*)"))),
            ("X-Forwarded-For:", Some(("X-Forwarded-For", ""))),
            ("^([^ :]*) /a(.*)", None),
            ("^[Hh]ost:", None),
        ];
        for (pattern, expected) in cases {
            assert_eq!(header_of(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn quoting_survives_the_grammar() {
        let cases = [
            ("plain", "plain"),
            ("two words", "\"two words\""),
            ("a\"b$c\\", "\"a\\\"b\\$c\\\\\""),
        ];
        for (text, expected) in cases {
            assert_eq!(quote(text), expected);
        }
    }
}
