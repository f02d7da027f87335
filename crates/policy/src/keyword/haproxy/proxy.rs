//! What a proxy is: its mode, limits, identity, backends, retries, sources and error pages.

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{source, value};
use crate::draft::{Draft, Spanned};
use crate::keyword::{Keyword, Sections, Status};
use crate::model::{Mode, RetryOn, Reuse};

const FRONT: Sections = Sections::FRONT;
const BACK: Sections = Sections::BACK;
const PROXY: Sections = Sections::PROXY;

/// What [`RetryOn::status`] knows.
const RETRY_STATUSES: &[u16] = &[401, 403, 404, 408, 421, 425, 429, 500, 501, 502, 503, 504];

/// A line about the probes of one side.
macro_rules! probes {
    ($name:literal, $sections:ident, $side:ident, count) => {
        Keyword::new(
            $name,
            $sections,
            "NUMBER",
            "Unanswered probes of TCP keep-alive.",
            |args, draft| {
                let count = value::number(args, "a number of probes", 1..=i32::MAX as u32)?;
                draft.settings().$side.probes.count = Some(count);
                Ok(())
            },
        )
    };
    ($name:literal, $sections:ident, $side:ident, idle_s) => {
        probes!(
            $name,
            $sections,
            $side,
            idle_s,
            "Silence before TCP keep-alive."
        )
    };
    ($name:literal, $sections:ident, $side:ident, interval_s) => {
        probes!(
            $name,
            $sections,
            $side,
            interval_s,
            "Interval of TCP keep-alive."
        )
    };
    ($name:literal, $sections:ident, $side:ident, $time:ident, $doc:literal) => {
        Keyword::new($name, $sections, "TIME", $doc, |args, draft| {
            draft.settings().$side.probes.$time = Some(value::seconds(args)?);
            Ok(())
        })
    };
}

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::new(
        "backlog",
        FRONT,
        "NUMBER",
        "Connections that may wait in the kernel.",
        |args, draft| {
            draft.settings().front.backlog = value::limit(args, "the number of connections")?;
            Ok(())
        },
    ),
    Keyword::new(
        "be-unpublished",
        Sections::OWN_BACK,
        "",
        "Hides a backend from rules until it is published.",
        |_, draft| {
            draft.settings().back.unpublished = true;
            Ok(())
        },
    ),
    probes!("clitcpka-cnt", FRONT, front, count),
    probes!("clitcpka-idle", FRONT, front, idle_s),
    probes!("clitcpka-intvl", FRONT, front, interval_s),
    Keyword::new(
        "default_backend",
        FRONT,
        "NAME",
        "Where requests go.",
        |args, draft| {
            let word = args.word("the name of a backend")?;
            draft.settings().default_backend = Some(Spanned::new(word.text.clone(), word.span));
            Ok(())
        },
    ),
    Keyword {
        status: Status::Deferred("statistics do not show it"),
        ..Keyword::new(
            "description",
            Sections::OWN,
            "TEXT...",
            "Text for statistics.",
            |args, draft| {
                draft.proxy().description = Some(value::sentence(args, "a description")?);
                Ok(())
            },
        )
    },
    Keyword::new("disabled", PROXY, "", "Listens on nothing.", |_, draft| {
        draft.settings().disabled = true;
        Ok(())
    }),
    Keyword::inert(
        "email-alert",
        PROXY,
        "WORD...",
        "Sends mail about servers.",
        Status::Refused {
            reason: "mail needs queues, retries and TLS that a mail server has and a balancer should not",
            instead: "send the log, or alerts on haproxy_server_status of the metrics, to what writes mail",
        },
    ),
    Keyword::new("enabled", PROXY, "", "Undoes 'disabled'.", |_, draft| {
        draft.settings().disabled = false;
        Ok(())
    }),
    Keyword::new(
        "errorfile",
        PROXY.and(Sections::HTTP_ERRORS),
        "STATUS FILE",
        "Answers an error with a file.",
        super::errors::file,
    ),
    Keyword::new(
        "fullconn",
        BACK,
        "NUMBER",
        "Load at which servers get their full 'maxconn'.",
        |args, draft| {
            draft.settings().back.fullconn = value::limit(args, "the number of connections")?;
            Ok(())
        },
    ),
    Keyword::new(
        "guid",
        Sections::OWN,
        "NAME",
        "Unique name under which counters are saved.",
        |args, draft| {
            draft.proxy().guid = Some(value::guid(args)?);
            Ok(())
        },
    ),
    Keyword::new(
        "http-reuse",
        BACK,
        "never|safe|aggressive|always",
        "Which requests share connections.",
        |args, draft| {
            let known = [
                ("never", Reuse::Never),
                ("safe", Reuse::Safe),
                ("aggressive", Reuse::Aggressive),
                ("always", Reuse::Always),
            ];
            draft.settings().back.reuse =
                value::choice(args, "a way of reusing connections", &known)?;
            Ok(())
        },
    ),
    Keyword::new(
        "id",
        Sections::OWN,
        "NUMBER",
        "Number of the proxy.",
        |args, draft| {
            let span = value::place(args);
            let number = value::number(args, "the number", 1..=i32::MAX.unsigned_abs())?;
            draft.proxy().id = Some(Spanned::new(number, span));
            Ok(())
        },
    ),
    noop(
        "max-keep-alive-queue",
        BACK,
        "NUMBER",
        "Queue beyond which a kept server is left.",
        "kept servers are not favoured",
    ),
    Keyword::new(
        "maxconn",
        FRONT,
        "NUMBER",
        "Most concurrent connections.",
        |args, draft| {
            draft.settings().front.maxconn = value::limit(args, "the number of connections")?;
            Ok(())
        },
    ),
    Keyword::new(
        "mode",
        PROXY,
        "http|tcp",
        "Whether messages are understood or bytes relayed.",
        mode,
    ),
    Keyword::new(
        "retries",
        BACK,
        "NUMBER",
        "How often a failed request is tried again.",
        |args, draft| {
            draft.settings().back.retries =
                value::number(args, "the number of retries", 0..=1_000)?;
            Ok(())
        },
    ),
    Keyword::new(
        "retry-on",
        BACK,
        "none|CAUSE...",
        "Which failures are tried again.",
        retry_on,
    ),
    Keyword::new(
        "source",
        BACK,
        source::USAGE,
        "Where connections are made from.",
        |args, draft| {
            draft.settings().source = Some(source::read(args)?);
            Ok(())
        },
    ),
    probes!("srvtcpka-cnt", BACK, back, count),
    probes!("srvtcpka-idle", BACK, back, idle_s),
    probes!("srvtcpka-intvl", BACK, back, interval_s),
];

const fn noop(
    name: &'static str,
    sections: Sections,
    usage: &'static str,
    doc: &'static str,
    why: &'static str,
) -> Keyword<Draft> {
    Keyword::inert(name, sections, usage, doc, Status::NoOp(why))
}

fn mode(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let word = args.word("a mode")?;
    draft.settings().has_mode = true;
    draft.settings().mode = match word.text.as_str() {
        "http" => Mode::Http,
        "tcp" => Mode::Tcp,
        "haterm" | "log" | "spop" | "syslog" => {
            let message = format_args!("'mode {}' is not implemented yet", word.text);
            return Err(Diagnostic::error(Kind::NotImplemented, word.span, message));
        }
        "health" => {
            let error =
                Diagnostic::error(Kind::Refused, word.span, "'mode health' is not supported");
            return Err(error.help("write 'mode http' and 'http-request return status 200'"));
        }
        _ => return Err(value::unknown(word, "a mode", ["http", "tcp"].into_iter())),
    };
    Ok(())
}

fn retry_on(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let mut causes = RetryOn::NONE;
    let first = args.word("'none' or a cause")?;
    if first.text != "none" {
        causes = cause(first)?;
        while let Some(word) = args.next() {
            causes = causes.with(cause(word)?);
        }
    }
    draft.settings().back.retry_on = causes;
    Ok(())
}

fn cause(word: &Word) -> Result<RetryOn, Diagnostic> {
    let named = [
        ("0rtt-rejected", RetryOn::ZERO_RTT_REJECTED),
        ("conn-failure", RetryOn::CONN_FAILURE),
        ("empty-response", RetryOn::EMPTY_RESPONSE),
        ("junk-response", RetryOn::JUNK_RESPONSE),
        ("response-timeout", RetryOn::RESPONSE_TIMEOUT),
    ];
    if let Some((_, cause)) = named.iter().find(|(name, _)| *name == word.text) {
        return Ok(*cause);
    }
    if word.text == "all-retryable-errors" {
        let safe = [
            RetryOn::status(500),
            RetryOn::status(502),
            RetryOn::status(503),
            RetryOn::status(504),
        ];
        let all = named.iter().map(|(_, cause)| *cause).chain(safe);
        return Ok(all.fold(RetryOn::NONE, RetryOn::with));
    }
    match word.text.parse() {
        Ok(status) if RETRY_STATUSES.contains(&status) => Ok(RetryOn::status(status)),
        _ => {
            let known =
                named
                    .iter()
                    .map(|(name, _)| *name)
                    .chain(["all-retryable-errors", "404", "503"]);
            Err(value::unknown(word, "a cause for trying again", known))
        }
    }
}
