//! Lines that today's HAProxy has dropped and old files still contain.
//!
//! A line with one clear meaning is understood, with the modern line shown; the others are refused with what replaces
//! them. Spellings that belong to a topic (`clitimeout`, `option forceclose`, `nbproc`) stand with it.

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};
use plimsoll_config::values::TimeUnit;

use super::{address, value};
use crate::draft::{Draft, RuleDraft, ServerDraft};
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
            let words = std::iter::once(new("deny", draft.line)).chain(rest(args));
            rule(draft, "block", REQUEST, words.collect())
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
        |args, draft| add(args, draft, "reqadd", REQUEST),
    ),
    Keyword::legacy(
        "reqallow",
        PROXY,
        "REGEX [CONDITION...]",
        "http-request allow if { req.hdr(NAME) -m reg REGEX }",
        |args, draft| judge(args, draft, "reqallow", REQUEST, "allow"),
    ),
    Keyword::legacy(
        "reqdel",
        PROXY,
        "REGEX [CONDITION...]",
        "http-request del-header NAME",
        |args, draft| delete(args, draft, "reqdel", REQUEST),
    ),
    Keyword::legacy(
        "reqdeny",
        PROXY,
        "REGEX [CONDITION...]",
        "http-request deny if { req.hdr(NAME) -m reg REGEX }",
        |args, draft| judge(args, draft, "reqdeny", REQUEST, "deny"),
    ),
    Keyword::legacy(
        "reqiallow",
        PROXY,
        "REGEX [CONDITION...]",
        "http-request allow if { req.hdr(NAME) -m reg REGEX }",
        |args, draft| judge(args, draft, "reqiallow", REQUEST, "allow"),
    ),
    Keyword::legacy(
        "reqidel",
        PROXY,
        "REGEX [CONDITION...]",
        "http-request del-header NAME",
        |args, draft| delete(args, draft, "reqidel", REQUEST),
    ),
    Keyword::legacy(
        "reqideny",
        PROXY,
        "REGEX [CONDITION...]",
        "http-request deny if { req.hdr(NAME) -m reg REGEX }",
        |args, draft| judge(args, draft, "reqideny", REQUEST, "deny"),
    ),
    Keyword::legacy(
        "reqipass",
        PROXY,
        "REGEX [CONDITION...]",
        "http-request allow if { req.hdr(NAME) -m reg REGEX }",
        |args, draft| judge(args, draft, "reqipass", REQUEST, "allow"),
    ),
    Keyword::legacy(
        "reqirep",
        PROXY,
        "REGEX TEXT [CONDITION...]",
        REPLACE_REQUEST,
        |args, draft| replace(args, draft, "reqirep", REQUEST),
    ),
    Keyword::legacy(
        "reqitarpit",
        PROXY,
        "REGEX [CONDITION...]",
        "http-request tarpit if { req.hdr(NAME) -m reg REGEX }",
        |args, draft| judge(args, draft, "reqitarpit", REQUEST, "tarpit"),
    ),
    Keyword::legacy(
        "reqpass",
        PROXY,
        "REGEX [CONDITION...]",
        "http-request allow if { req.hdr(NAME) -m reg REGEX }",
        |args, draft| judge(args, draft, "reqpass", REQUEST, "allow"),
    ),
    Keyword::legacy(
        "reqrep",
        PROXY,
        "REGEX TEXT [CONDITION...]",
        REPLACE_REQUEST,
        |args, draft| replace(args, draft, "reqrep", REQUEST),
    ),
    Keyword::legacy(
        "reqtarpit",
        PROXY,
        "REGEX [CONDITION...]",
        "http-request tarpit if { req.hdr(NAME) -m reg REGEX }",
        |args, draft| judge(args, draft, "reqtarpit", REQUEST, "tarpit"),
    ),
    Keyword::legacy(
        "rspadd",
        PROXY,
        "TEXT [CONDITION...]",
        "http-response add-header NAME VALUE",
        |args, draft| add(args, draft, "rspadd", RESPONSE),
    ),
    Keyword::legacy(
        "rspdel",
        PROXY,
        "REGEX [CONDITION...]",
        "http-response del-header NAME",
        |args, draft| delete(args, draft, "rspdel", RESPONSE),
    ),
    Keyword::legacy(
        "rspdeny",
        PROXY,
        "REGEX [CONDITION...]",
        "http-response deny if { res.hdr(NAME) -m reg REGEX }",
        |args, draft| judge(args, draft, "rspdeny", RESPONSE, "deny"),
    ),
    Keyword::legacy(
        "rspidel",
        PROXY,
        "REGEX [CONDITION...]",
        "http-response del-header NAME",
        |args, draft| delete(args, draft, "rspidel", RESPONSE),
    ),
    Keyword::legacy(
        "rspideny",
        PROXY,
        "REGEX [CONDITION...]",
        "http-response deny if { res.hdr(NAME) -m reg REGEX }",
        |args, draft| judge(args, draft, "rspideny", RESPONSE, "deny"),
    ),
    Keyword::legacy(
        "rspirep",
        PROXY,
        "REGEX TEXT [CONDITION...]",
        REPLACE_RESPONSE,
        |args, draft| replace(args, draft, "rspirep", RESPONSE),
    ),
    Keyword::legacy(
        "rsprep",
        PROXY,
        "REGEX TEXT [CONDITION...]",
        REPLACE_RESPONSE,
        |args, draft| replace(args, draft, "rsprep", RESPONSE),
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

const REQUEST: &str = "http-request";
const RESPONSE: &str = "http-response";

fn new(text: impl Into<String>, span: Span) -> Word {
    Word::new(text, span)
}

/// The words that are left: the condition.
fn rest<'a>(args: &mut Args<'a>) -> impl Iterator<Item = Word> + use<'a> {
    let words: Vec<_> = std::iter::from_fn(|| args.next()).cloned().collect();
    words.into_iter()
}

/// An old rule with one clear meaning: its modern line is shown, and kept in its place.
fn rule(
    draft: &mut Draft,
    name: &str,
    keyword: &'static str,
    words: Vec<Word>,
) -> Result<(), Diagnostic> {
    let message = format_args!("'{name}' is an old spelling");
    let warning = Diagnostic::warning(Kind::Legacy, draft.line, message);
    let modern: Vec<_> = words.iter().map(|word| quote(&word.text)).collect();
    draft.report(warning.help(format_args!("write '{keyword} {}'", modern.join(" "))));
    let rule = RuleDraft {
        keyword,
        keyword_span: draft.keyword,
        words,
        line: draft.line,
        section: draft.proxy().span,
    };
    draft.settings().rules.push(rule);
    Ok(())
}

/// `reqadd "Name: value"`.
fn add(
    args: &mut Args<'_>,
    draft: &mut Draft,
    name: &str,
    rules: &'static str,
) -> Result<(), Diagnostic> {
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
    let text = text.trim_start().replace('%', "%%");
    let words = ["add-header", header, &text].map(|text| new(text, word.span));
    rule(
        draft,
        name,
        rules,
        words.into_iter().chain(rest(args)).collect(),
    )
}

/// `reqdel ^Name:`.
fn delete(
    args: &mut Args<'_>,
    draft: &mut Draft,
    name: &str,
    rules: &'static str,
) -> Result<(), Diagnostic> {
    let word = args.word("a regular expression")?;
    match header_of(&word.text) {
        Some((header, "" | ".*" | " .*" | "\\ .*")) => {
            let words = ["del-header", header].map(|text| new(text, word.span));
            rule(
                draft,
                name,
                rules,
                words.into_iter().chain(rest(args)).collect(),
            )
        }
        _ => Err(unclear(
            draft,
            name,
            &format!("{rules} del-header NAME -m reg REGEX"),
        )),
    }
}

/// `reqrep "^Name: regex" "Name: text"`, or the same with the target of the request line.
fn replace(
    args: &mut Args<'_>,
    draft: &mut Draft,
    name: &str,
    rules: &'static str,
) -> Result<(), Diagnostic> {
    let pattern = args.word("a regular expression")?;
    let text = args.word("what replaces it")?;
    let sensitivity = if name.contains('i') { "(?i)" } else { "" };
    let escaped = |text: &str| text.replace('%', "%%");
    let line = |draft: &mut Draft, words: &[String], args: &mut Args<'_>| {
        let words = words.iter().map(|text| new(text.as_str(), pattern.span));
        rule(draft, name, rules, words.chain(rest(args)).collect())
    };
    let replaced = header_of(&pattern.text).zip(text.text.split_once(':'));
    if let Some(((header, regex), (_, text))) = replaced {
        let words = [
            "replace-header".to_owned(),
            header.to_owned(),
            format!("{sensitivity}^{}", without_blanks(regex)),
            escaped(without_blanks(text)),
        ];
        return line(draft, &words, args);
    }
    // `^([^ ]*) /old(.*)` and `\1 /new\2`: what the second group finds runs to the end of the line in old files, and to
    // the end of the target here.
    let methods = ["^([^\\ :]*)\\ ", "^([^\\ ]*)\\ ", "^([^ :]*) ", "^([^ ]*) "];
    let regex = methods
        .iter()
        .find_map(|method| pattern.text.strip_prefix(method));
    let kept = text
        .text
        .strip_prefix("\\1\\ ")
        .or_else(|| text.text.strip_prefix("\\1 "));
    if let (REQUEST, Some(regex), Some(text)) = (rules, regex, kept)
        && !regex.contains("HTTP/")
        && !text.contains("HTTP/")
    {
        let words = [
            "replace-uri".to_owned(),
            format!("{sensitivity}^{regex}"),
            escaped(&renumbered(text)),
        ];
        return line(draft, &words, args);
    }
    let instead = match rules {
        REQUEST => {
            "http-request replace-header NAME REGEX TEXT' or 'http-request replace-path REGEX TEXT"
        }
        _ => REPLACE_RESPONSE,
    };
    Err(unclear(draft, name, instead))
}

/// `reqdeny "^Name: regex"`.
fn judge(
    args: &mut Args<'_>,
    draft: &mut Draft,
    name: &str,
    rules: &'static str,
    action: &str,
) -> Result<(), Diagnostic> {
    let pattern = args.word("a regular expression")?;
    let sample = if rules == REQUEST {
        "req.hdr"
    } else {
        "res.hdr"
    };
    let instead = format!("{rules} {action} if {{ {sample}(NAME) -m reg REGEX }}");
    let found = header_of(&pattern.text);
    let Some((header, regex)) = found.filter(|_| pattern.text.starts_with('^')) else {
        return Err(unclear(draft, name, &instead));
    };
    let condition: Vec<_> = rest(args).collect();
    let splits = |word: &Word| matches!(word.text.as_str(), "or" | "||" | "unless");
    if condition.iter().any(splits) {
        return Err(unclear(draft, name, &instead));
    }
    let (sample, regex) = (
        format!("{sample}({header})"),
        format!("^{}", without_blanks(regex)),
    );
    let mut words = vec![action, "if", "{", &sample, "-m", "reg"];
    if name.contains("qi") || name.contains("pi") {
        words.push("-i");
    }
    words.extend(["--", &regex, "}"]);
    let words = words.into_iter().map(|text| new(text, pattern.span));
    let also = condition.into_iter().skip_while(|word| word.text == "if");
    rule(draft, name, rules, words.chain(also).collect())
}

/// A regular expression, or a text, without the blanks before what it is about.
fn without_blanks(text: &str) -> &str {
    let blanks = ["\\ *", "\\ +", "\\s*", "\\s+", "\\ ", "[ ]*", " *", " "];
    let found = blanks.iter().find_map(|blank| text.strip_prefix(blank));
    found.unwrap_or(text)
}

/// The text with its groups counted from one less.
fn renumbered(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        out.push(character);
        if character == '\\'
            && let Some(next) = characters.next()
        {
            match next.to_digit(10) {
                Some(group @ 1..=9) => out.extend(char::from_digit(group - 1, 10)),
                _ => out.push(next),
            }
        }
    }
    out
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
