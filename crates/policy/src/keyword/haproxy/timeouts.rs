//! `timeout …` and its old spellings.

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::value;
use crate::draft::{Draft, Settings};
use crate::keyword::{Keyword, Sections};

/// Below this a number without a unit looks like a mistake.
const SUSPICIOUS_MS: u64 = 100;

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::legacy(
        "clitimeout",
        Sections::FRONT,
        "TIME",
        "timeout client TIME",
        |args, draft| {
            legacy(args, draft, "clitimeout", "client", |settings, time| {
                settings.front.timeouts.client_ms = time
            })
        },
    ),
    Keyword::legacy(
        "contimeout",
        Sections::BACK,
        "TIME",
        "timeout connect TIME",
        |args, draft| {
            legacy(args, draft, "contimeout", "connect", |settings, time| {
                settings.back.timeouts.connect_ms = time
            })
        },
    ),
    Keyword::legacy(
        "srvtimeout",
        Sections::BACK,
        "TIME",
        "timeout server TIME",
        |args, draft| {
            legacy(args, draft, "srvtimeout", "server", |settings, time| {
                settings.back.timeouts.server_ms = time
            })
        },
    ),
    timeout(
        "timeout check",
        Sections::BACK,
        "Longest wait for a health check's answer.",
        |args, draft| {
            read(args, draft, "timeout check", |settings, time| {
                settings.back.timeouts.check_ms = time
            })
        },
    ),
    timeout(
        "timeout client",
        Sections::FRONT,
        "Longest silence of a client.",
        |args, draft| {
            read(args, draft, "timeout client", |settings, time| {
                settings.front.timeouts.client_ms = time
            })
        },
    ),
    timeout(
        "timeout client-fin",
        Sections::FRONT,
        "Longest silence of a half-closed client.",
        |args, draft| {
            read(args, draft, "timeout client-fin", |settings, time| {
                settings.front.timeouts.client_fin_ms = time
            })
        },
    ),
    timeout(
        "timeout client-hs",
        Sections::FRONT,
        "Longest TLS handshake of a client.",
        |args, draft| {
            read(args, draft, "timeout client-hs", |settings, time| {
                settings.front.timeouts.client_handshake_ms = time
            })
        },
    ),
    timeout(
        "timeout connect",
        Sections::BACK,
        "Longest wait for a server to accept.",
        |args, draft| {
            read(args, draft, "timeout connect", |settings, time| {
                settings.back.timeouts.connect_ms = time
            })
        },
    ),
    timeout(
        "timeout http-keep-alive",
        Sections::PROXY,
        "Longest wait for the next request.",
        |args, draft| {
            read(args, draft, "timeout http-keep-alive", |settings, time| {
                settings.front.timeouts.http_keep_alive_ms = time;
            })
        },
    ),
    timeout(
        "timeout http-request",
        Sections::PROXY,
        "Longest time a request head may take.",
        |args, draft| {
            read(args, draft, "timeout http-request", |settings, time| {
                settings.front.timeouts.http_request_ms = time;
            })
        },
    ),
    timeout(
        "timeout queue",
        Sections::BACK,
        "Longest wait for a free server.",
        |args, draft| {
            read(args, draft, "timeout queue", |settings, time| {
                settings.back.timeouts.queue_ms = time
            })
        },
    ),
    timeout(
        "timeout server",
        Sections::BACK,
        "Longest silence of a server.",
        |args, draft| {
            read(args, draft, "timeout server", |settings, time| {
                settings.back.timeouts.server_ms = time
            })
        },
    ),
    timeout(
        "timeout server-fin",
        Sections::BACK,
        "Longest silence of a half-closed server.",
        |args, draft| {
            read(args, draft, "timeout server-fin", |settings, time| {
                settings.back.timeouts.server_fin_ms = time
            })
        },
    ),
    timeout(
        "timeout tarpit",
        Sections::PROXY,
        "How long a tarpit holds a request.",
        |args, draft| {
            read(args, draft, "timeout tarpit", |settings, time| {
                settings.front.timeouts.tarpit_ms = time;
                settings.back.timeouts.tarpit_ms = time;
            })
        },
    ),
    timeout(
        "timeout tunnel",
        Sections::BACK,
        "Longest silence of a tunnel.",
        |args, draft| {
            read(args, draft, "timeout tunnel", |settings, time| {
                settings.back.timeouts.tunnel_ms = time
            })
        },
    ),
];

type Store = fn(&mut Settings, Option<u64>);

const fn timeout(
    name: &'static str,
    sections: Sections,
    doc: &'static str,
    read: fn(&mut Args<'_>, &mut Draft) -> Result<(), Diagnostic>,
) -> Keyword<Draft> {
    Keyword::new(name, sections, "TIME", doc, read)
}

/// What is said of a short time without a unit: it may have been meant in seconds.
pub(super) fn hardly_milliseconds(word: &Word, name: &str, time_ms: u64) -> Option<Diagnostic> {
    let bare = word.text.bytes().all(|byte| byte.is_ascii_digit());
    if !bare || !(1..SUSPICIOUS_MS).contains(&time_ms) {
        return None;
    }
    let message = format_args!("'{name} {time_ms}' is only {time_ms} milliseconds");
    let warning = Diagnostic::warning(Kind::Advice, word.span, message);
    Some(warning.help(format_args!(
        "write '{time_ms}s' for seconds, or '{time_ms}ms' if that is meant"
    )))
}

/// Zero means that there is no timeout, as if none had been written.
fn read(
    args: &mut Args<'_>,
    draft: &mut Draft,
    name: &'static str,
    store: Store,
) -> Result<(), Diagnostic> {
    let word = args.peek();
    let time = value::duration_ms(args, "a time")?;
    draft
        .findings
        .extend(word.and_then(|word| hardly_milliseconds(word, name, time)));
    // In 'defaults' HAProxy takes the last line without a word.
    let inherited = draft.section == Some(Sections::DEFAULTS);
    if draft.again(name).is_some() && !inherited {
        let message = format_args!("'{name}' is set twice in this section; this line counts");
        let warning = Diagnostic::warning(Kind::NoEffect, draft.line, message);
        draft.report(warning.help("remove one of the lines"));
    }
    store(draft.settings(), (time != 0).then_some(time));
    Ok(())
}

fn legacy(
    args: &mut Args<'_>,
    draft: &mut Draft,
    name: &'static str,
    modern: &'static str,
    store: Store,
) -> Result<(), Diagnostic> {
    let written = args.peek().map_or("TIME", |word| word.text.as_str());
    let message = format_args!("'{name}' is an old spelling of 'timeout {modern}'");
    let warning = Diagnostic::warning(Kind::Legacy, draft.line, message);
    let warning = warning.help(format_args!("write 'timeout {modern} {written}'"));
    let time = value::duration_ms(args, "a time")?;
    store(draft.settings(), (time != 0).then_some(time));
    draft.report(warning);
    Ok(())
}
