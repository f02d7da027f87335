//! `option …`: what a proxy does or does not do.

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::value;
use crate::draft::{Draft, LogFormatDraft, Polarity, Spanned};
use crate::keyword::{Keyword, Sections, Status};
use crate::model::{ConnectionMode, ForwardFor, Network, UnusualNames};

const FRONT: Sections = Sections::FRONT;
const BACK: Sections = Sections::BACK;
const PROXY: Sections = Sections::PROXY;

const SPLICE: &str = "splice(2) is used wherever it pays";

/// The options, sorted.
pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::switch(
        "option abortonclose",
        PROXY,
        "Drops requests of clients that left. The default in HTTP mode.",
        |draft, on| {
            draft.settings().abort_on_close = Some(on);
        },
    ),
    Keyword::legacy(
        "option accept-invalid-http-request",
        FRONT,
        "",
        LENIENT_REQUEST,
        old_lenient_request,
    )
    .negatable(),
    Keyword::legacy(
        "option accept-invalid-http-response",
        BACK,
        "",
        LENIENT_RESPONSE,
        old_lenient_response,
    )
    .negatable(),
    Keyword::switch(
        LENIENT_REQUEST,
        FRONT,
        "Forgives some malformed requests.",
        |draft, on| {
            draft.settings().front.lenient_request = on;
        },
    ),
    Keyword::switch(
        LENIENT_RESPONSE,
        BACK,
        "Forgives some malformed responses.",
        |draft, on| {
            draft.settings().back.lenient_response = on;
        },
    ),
    Keyword::switch(
        "option allbackups",
        BACK,
        "Uses all backup servers at once.",
        |draft, on| {
            draft.settings().back.all_backups = on;
        },
    ),
    later(
        "option assume-rfc6587-ntf",
        FRONT,
        "Framing of syslog over TCP.",
        "log forwarding",
    ),
    Keyword::switch(
        "option checkcache",
        BACK,
        "Blocks responses that could be cached with a cookie.",
        |draft, on| draft.settings().back.checks_cache = on,
    ),
    Keyword::switch(
        "option clitcpka",
        FRONT,
        "TCP keep-alive towards clients.",
        |draft, on| {
            draft.settings().front.keepalive_probes = on;
        },
    ),
    noop(
        "option contstats",
        FRONT,
        "Counts bytes as they pass.",
        "bytes are always counted as they pass",
    ),
    Keyword::switch(
        "option disable-h2-upgrade",
        FRONT,
        "Refuses HTTP/2 where HTTP/1 is expected.",
        |draft, on| {
            draft.settings().front.stays_http1 = on;
        },
    ),
    later(
        "option dont-parse-log",
        FRONT,
        "Relays syslog as it is.",
        "log forwarding",
    ),
    Keyword::switch(
        "option dontlog-normal",
        FRONT,
        "Logs only what went wrong.",
        |draft, on| {
            draft.settings().front.log.skip_normal = on;
        },
    ),
    Keyword::switch(
        "option dontlognull",
        FRONT,
        "Ignores connections without data.",
        |draft, on| {
            draft.settings().front.ignore_empty_connections = on;
        },
    ),
    Keyword::switch(
        "option external-check",
        BACK,
        "Checks servers by a program.",
        super::check_lines::external,
    ),
    Keyword::legacy(
        "option forceclose",
        PROXY,
        "",
        "option httpclose",
        forceclose,
    )
    .negatable(),
    Keyword::new(
        "option forwarded",
        BACK,
        "[proto] [host|host-expr EXPRESSION] [by|by-expr|by_port|by_port-expr|for|for-expr|for_port|for_port-expr...]",
        "Tells servers who came, where to and how (RFC 7239).",
        |args, draft| {
            let line = super::rules::line(args, draft);
            let on = draft.polarity == Polarity::Plain;
            draft.settings().forwarded = on.then_some(line);
            Ok(())
        },
    )
    .negatable(),
    Keyword::new(
        "option forwardfor",
        PROXY,
        "[except NETWORK] [header NAME] [if-none]",
        "Tells servers the client's address.",
        forward_for,
    ),
    check("option grpc-check", "[SERVICE]"),
    Keyword::switch(
        "option h1-case-adjust-bogus-client",
        FRONT,
        "Spells headers for old clients.",
        |draft, on| draft.settings().front.adjusts_case = on,
    ),
    Keyword::switch(
        "option h1-case-adjust-bogus-server",
        BACK,
        "Spells headers for old servers.",
        |draft, on| draft.settings().back.adjusts_case = on,
    ),
    Keyword::switch(
        "option http-buffer-request",
        PROXY,
        "Waits for the body before choosing a server.",
        |draft, on| {
            draft.settings().front.buffer_request = on;
            draft.settings().back.buffer_request = on;
        },
    ),
    Keyword::switch(
        "option http-drop-request-trailers",
        BACK,
        "Drops trailers of requests.",
        |draft, on| draft.settings().back.drops_trailers = on,
    ),
    Keyword::switch(
        "option http-drop-response-trailers",
        FRONT,
        "Drops trailers of responses.",
        |draft, on| draft.settings().front.drops_trailers = on,
    ),
    Keyword::switch(
        "option http-ignore-probes",
        FRONT,
        "Says nothing to clients that send nothing.",
        |draft, on| draft.settings().front.ignores_probes = on,
    ),
    Keyword::switch(
        "option http-keep-alive",
        PROXY,
        "Keeps both connections.",
        |draft, on| {
            connection_mode(draft, ConnectionMode::KeepAlive, on);
        },
    ),
    Keyword {
        status: Status::NoOp("small pieces are always sent at once"),
        ..Keyword::switch(
            "option http-no-delay",
            PROXY,
            "Sends every piece at once.",
            |draft, on| {
                draft.settings().front.low_latency = on;
                draft.settings().back.low_latency = on;
            },
        )
    },
    Keyword::switch(
        "option http-pretend-keepalive",
        BACK,
        "Does not tell servers that their connections will be closed.",
        |draft, on| {
            draft.settings().back.pretend_keepalive = on;
        },
    ),
    Keyword::new(
        "option http-restrict-req-hdr-names",
        PROXY,
        "preserve|delete|reject",
        "What to do with unusual header names.",
        restrict_names,
    ),
    Keyword::switch(
        "option http-server-close",
        PROXY,
        "Closes server connections after each response.",
        |draft, on| {
            connection_mode(draft, ConnectionMode::ServerClose, on);
        },
    ),
    Keyword::inert(
        "option http-tunnel",
        PROXY,
        "",
        "Tunnels after the first response.",
        Status::Refused {
            reason: "it hid all but the first request",
            instead: "remove the line; upgraded connections become tunnels by themselves",
        },
    )
    .negatable(),
    Keyword::switch(
        "option http-use-proxy-header",
        FRONT,
        "Obeys Proxy-Connection.",
        |draft, on| {
            draft.settings().front.use_proxy_connection_header = on;
        },
    ),
    Keyword::inert(
        "option http_proxy",
        PROXY,
        "",
        "Connects where the request says.",
        Status::Refused {
            reason: "it makes an open proxy of every client's choice",
            instead: "use a forward proxy, or name the servers",
        },
    )
    .negatable(),
    check("option httpchk", "[METHOD] [URI] [VERSION] [HOST]"),
    Keyword::switch(
        "option httpclose",
        PROXY,
        "Closes both connections after each exchange.",
        |draft, on| {
            connection_mode(draft, ConnectionMode::Close, on);
        },
    ),
    Keyword::new(
        "option httplog",
        PROXY,
        "[clf]",
        "A line per request.",
        |args, draft| {
            let clf = args.take("clf");
            log_format(draft, LogFormatDraft::Http { clf });
            Ok(())
        },
    ),
    Keyword::new(
        "option httpslog",
        PROXY,
        "",
        "A line per request, with what is known of TLS.",
        |_, draft| {
            log_format(draft, LogFormatDraft::Https);
            Ok(())
        },
    ),
    Keyword::switch(
        "option idle-close-on-response",
        FRONT,
        "Tells idle clients of a soft stop with their next response.",
        |draft, on| draft.settings().front.idles_on = on,
    ),
    Keyword::switch(
        "option independent-streams",
        PROXY,
        "What a side takes does not excuse that it says nothing: each direction has its own silence.",
        |draft, on| {
            let settings = draft.settings();
            (settings.front.independent, settings.back.independent) = (on, on);
        },
    ),
    check("option ldap-check", ""),
    Keyword::switch(
        "option log-health-checks",
        BACK,
        "Logs the verdicts of checks.",
        super::check_lines::log,
    ),
    Keyword::switch(
        "option log-separate-errors",
        FRONT,
        "Logs errors one level higher.",
        |draft, on| {
            draft.settings().front.log.separate_errors = on;
        },
    ),
    Keyword::switch(
        "option logasap",
        FRONT,
        "Logs before the end.",
        |draft, on| {
            draft.settings().front.log.as_soon_as_possible = on;
        },
    ),
    check("option mysql-check", "[WORD...]"),
    Keyword::switch(
        "option nolinger",
        PROXY,
        "Resets connections instead of closing them.",
        |draft, on| {
            draft.settings().front.linger_zero = on;
            draft.settings().back.linger_zero = on;
        },
    ),
    Keyword::new(
        "option originalto",
        PROXY,
        "[except NETWORK] [header NAME]",
        "Tells servers the address the client came to.",
        original_to,
    ),
    super::outliers::OUTLIER_EJECTION,
    Keyword::switch(
        "option persist",
        BACK,
        "Leads clients back to servers that are down.",
        |draft, on| draft.settings().back.persist = on,
    ),
    check("option pgsql-check", "[WORD...]"),
    Keyword::switch(
        "option prefer-last-server",
        BACK,
        "Stays with a server to which the client has a connection of its own.",
        |draft, on| draft.settings().back.prefer_last_server = on,
    ),
    check("option redis-check", ""),
    Keyword::new(
        "option redispatch",
        BACK,
        "[NUMBER]",
        "Tries another server.",
        redispatch,
    )
    .negatable(),
    check("option smtpchk", "[WORD...]"),
    noop(
        "option socket-stats",
        FRONT,
        "Statistics of each listener.",
        "it only adds lines to statistics",
    ),
    noop(
        "option splice-auto",
        PROXY,
        "Relays within the kernel.",
        SPLICE,
    ),
    noop(
        "option splice-request",
        PROXY,
        "Relays within the kernel.",
        SPLICE,
    ),
    noop(
        "option splice-response",
        PROXY,
        "Relays within the kernel.",
        SPLICE,
    ),
    check("option spop-check", ""),
    Keyword::switch(
        "option srvtcpka",
        BACK,
        "TCP keep-alive towards servers.",
        |draft, on| {
            draft.settings().back.keepalive_probes = on;
        },
    ),
    check("option ssl-hello-chk", ""),
    check("option tcp-check", ""),
    noop(
        "option tcp-smart-accept",
        FRONT,
        "Saves a packet per accepted connection.",
        "it changes packets, not data",
    ),
    noop(
        "option tcp-smart-connect",
        BACK,
        "Saves a packet per connection.",
        "it changes packets, not data",
    ),
    Keyword::switch(
        "option tcpka",
        PROXY,
        "TCP keep-alive on both sides.",
        |draft, on| {
            let settings = draft.settings();
            settings.front.keepalive_probes = on;
            settings.back.keepalive_probes = on;
        },
    ),
    Keyword::new(
        "option tcplog",
        PROXY,
        "[clf]",
        "A line per connection.",
        |args, draft| {
            let clf = args.take("clf");
            log_format(draft, LogFormatDraft::Tcp { clf });
            Ok(())
        },
    ),
    Keyword::inert(
        "option transparent",
        PROXY,
        "",
        "Connects where the client wanted to.",
        Status::Refused {
            reason: "today's HAProxy has dropped it",
            instead: "write a server with the address 0.0.0.0",
        },
    )
    .negatable(),
    Keyword::inert(
        "option use-small-buffers",
        BACK,
        "[WORD...]",
        "Saves memory while requests wait.",
        Status::NoOp("waiting requests hold no more than their bytes"),
    )
    .negatable(),
];

const LENIENT_REQUEST: &str = "option accept-unsafe-violations-in-http-request";
const LENIENT_RESPONSE: &str = "option accept-unsafe-violations-in-http-response";

const fn noop(
    name: &'static str,
    sections: Sections,
    doc: &'static str,
    why: &'static str,
) -> Keyword<Draft> {
    Keyword::inert(name, sections, "", doc, Status::NoOp(why)).negatable()
}

const fn later(
    name: &'static str,
    sections: Sections,
    doc: &'static str,
    waits: &'static str,
) -> Keyword<Draft> {
    Keyword::inert(name, sections, "", doc, Status::NotYet(waits)).negatable()
}

const fn check(name: &'static str, usage: &'static str) -> Keyword<Draft> {
    Keyword::new(
        name,
        BACK,
        usage,
        "Health check.",
        super::check_lines::option,
    )
    .negatable()
}

/// Says how an old option is written today.
fn legacy(draft: &mut Draft, name: &str, modern: &str) {
    let message = format_args!("'{name}' is an old spelling of '{modern}'");
    let warning = Diagnostic::warning(Kind::Legacy, draft.line, message);
    draft.report(warning.help(format_args!("write '{modern}'")));
}

/// The three modes exclude each other, and `no` only undoes the one it names.
fn connection_mode(draft: &mut Draft, mode: ConnectionMode, on: bool) {
    let settings = draft.settings();
    for current in [
        &mut settings.front.persistence,
        &mut settings.back.persistence,
    ] {
        if on {
            *current = mode;
        } else if *current == mode {
            *current = ConnectionMode::KeepAlive;
        }
    }
}

/// Without a number only the last retry goes to another server.
fn redispatch(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let every = match draft.polarity {
        Polarity::Plain if args.is_empty() => -1,
        Polarity::Plain => value::signed(args, "the number of retries", i32::MIN..=i32::MAX)?,
        Polarity::No | Polarity::Default => 0,
    };
    draft.settings().back.redispatch = every;
    Ok(())
}

/// Chooses the log line; logs belong to frontends.
pub(super) fn log_format(draft: &mut Draft, format: LogFormatDraft) {
    if !draft.has_front() {
        let warning = Diagnostic::warning(
            Kind::NoEffect,
            draft.line,
            "a backend has no log line of its own",
        );
        draft.report(warning.help("write it in the frontend or in 'defaults'"));
        return;
    }
    let line = draft.line;
    let before = draft
        .settings()
        .log_format
        .replace(Spanned::new(format, line));
    replaces_format(draft, before.is_some());
}

/// Warns of a log format that was there for nothing. Proxies have reasons for another one than their `defaults`.
pub(super) fn replaces_format(draft: &mut Draft, is_second: bool) {
    if is_second && draft.section == Some(Sections::DEFAULTS) {
        let message = "this log format takes the place of an earlier one";
        let warning = Diagnostic::warning(Kind::Advice, draft.line, message);
        draft.report(warning.help("leave out the other, which does nothing; 'option httplog' and its like are formats too"));
    }
}

fn forward_for(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let known = ["except", "header", "if-none"];
    let option = told_address(args, "X-Forwarded-For", "option forwardfor", &known)?;
    draft.settings().forward_for = Some(option);
    Ok(())
}

fn original_to(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let known = ["except", "header"];
    let option = told_address(args, "X-Original-To", "option originalto", &known)?;
    draft.settings().original_to = Some(option);
    Ok(())
}

/// Which addresses are told to servers, and in which field.
fn told_address(
    args: &mut Args<'_>,
    header: &str,
    name: &str,
    known: &[&'static str],
) -> Result<ForwardFor, Diagnostic> {
    let mut option = ForwardFor {
        except: None,
        header: header.to_owned(),
        if_none: false,
    };
    args.options(known.iter().copied(), |word, args| {
        told_option(word, args, &mut option, (name, known))
    })?;
    Ok(option)
}

fn told_option(
    word: &Word,
    args: &mut Args<'_>,
    option: &mut ForwardFor,
    (name, known): (&str, &[&'static str]),
) -> Result<(), Diagnostic> {
    match word.text.as_str() {
        "except" => {
            let network = args.network("a network")?;
            option.except = Some(Network {
                address: network.address,
                prefix: network.prefix_bits,
            });
        }
        "header" => option.header = header_name(args)?,
        "if-none" if known.contains(&"if-none") => option.if_none = true,
        _ => {
            let what = format!("a parameter of '{name}'");
            return Err(value::unknown(word, &what, known.iter().copied()));
        }
    }
    Ok(())
}

/// A name that can stand in a message (RFC 9110, section 5.1).
fn header_name(args: &mut Args<'_>) -> Result<String, Diagnostic> {
    let word = args.word("the name of a header")?;
    if !value::is_field_name(&word.text) {
        let message = format_args!("'{}' cannot be the name of a header", word.text);
        return Err(Diagnostic::error(Kind::Invalid, word.span, message));
    }
    Ok(word.text.clone())
}

fn restrict_names(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let known = [
        ("preserve", UnusualNames::Kept),
        ("delete", UnusualNames::Dropped),
        ("reject", UnusualNames::Refused),
    ];
    let names = value::choice(args, "a way of treating header names", &known)?;
    draft.settings().front.unusual_names = names;
    draft.settings().back.unusual_names = names;
    Ok(())
}

fn old_lenient_request(_: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    legacy(draft, "option accept-invalid-http-request", LENIENT_REQUEST);
    let on = draft.polarity.switch();
    draft.settings().front.lenient_request = on;
    Ok(())
}

fn old_lenient_response(_: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    legacy(
        draft,
        "option accept-invalid-http-response",
        LENIENT_RESPONSE,
    );
    let on = draft.polarity.switch();
    draft.settings().back.lenient_response = on;
    Ok(())
}

fn forceclose(_: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    legacy(draft, "option forceclose", "option httpclose");
    connection_mode(draft, ConnectionMode::Close, draft.polarity.switch());
    Ok(())
}
