//! The words of server lines that are about checks. What is asked is written on lines of their own ([`super::check_lines`]).

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};

use super::check_lines::bounded;
use super::timeouts::hardly_milliseconds;
use super::{tls, value};
use crate::draft::{AddressDraft, Family, HostDraft, ServerDraft, Spanned};
use crate::keyword::{Keyword, Sections, Status};
use crate::model::check::{AgentCheck, ERROR_WINDOW_DEFAULT_MS, InitState, Observe, OnError};

/// What a server line says about checks and cannot be said in the model yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerChecksDraft {
    pub(crate) address: Option<AddressDraft>,
    pub(crate) agent_enabled: bool,
    pub(crate) agent: AgentCheck,
    pub(crate) agent_address: Option<AddressDraft>,
    /// `healthcheck NAME`.
    pub(crate) section: Option<Spanned<String>>,
    /// `track [BACKEND/]SERVER`.
    pub(crate) track: Option<Spanned<String>>,
    /// `check-proto`: whether it is HTTP/2.
    pub(crate) http2: Option<bool>,
    /// `error-window`.
    pub(crate) error_window_ms: Option<u64>,
    /// Where `observe` was written.
    pub(crate) observed_at: Option<Span>,
}

const NOWHERE: Sections = Sections::NONE;
const DOC: &str = "Health check.";
const OWN_CONNECTIONS: &str = "every check opens a connection of its own";

type ReadServer = fn(&mut Args<'_>, &mut ServerDraft) -> Result<(), Diagnostic>;

const fn word(name: &'static str, usage: &'static str, read: ReadServer) -> Keyword<ServerDraft> {
    Keyword::new(name, NOWHERE, usage, DOC, read)
}

const fn switch(name: &'static str, set: fn(&mut ServerDraft, bool)) -> Keyword<ServerDraft> {
    Keyword::switch(name, NOWHERE, DOC, set)
}

const fn inert(name: &'static str, usage: &'static str, status: Status) -> Keyword<ServerDraft> {
    Keyword::inert(name, NOWHERE, usage, DOC, status)
}

pub(super) const ADDR: Keyword<ServerDraft> = word("addr", "ADDRESS", |args, server| {
    server.checks.address = Some(host(args)?);
    Ok(())
});
pub(super) const AGENT_ADDR: Keyword<ServerDraft> =
    word("agent-addr", "ADDRESS", |args, server| {
        server.checks.agent_address = Some(host(args)?);
        Ok(())
    });
pub(super) const AGENT_CHECK: Keyword<ServerDraft> =
    switch("agent-check", |server, on| server.checks.agent_enabled = on);
pub(super) const AGENT_HTTP: Keyword<ServerDraft> = word("agent-http", "URI", |args, server| {
    let target = crate::probe::token(args, "a URI")?;
    server.checks.agent.http_target = Some(target.to_owned());
    Ok(())
});
pub(super) const AGENT_INTER: Keyword<ServerDraft> = word("agent-inter", "TIME", |args, server| {
    server.checks.agent.interval_ms = Some(interval(args, "agent-inter")?);
    Ok(())
});
pub(super) const AGENT_PORT: Keyword<ServerDraft> = word("agent-port", "NUMBER", |args, server| {
    server.checks.agent.port = port(args)?;
    Ok(())
});
pub(super) const AGENT_SEND: Keyword<ServerDraft> = word("agent-send", "TEXT", |args, server| {
    let word = args.word("a text")?;
    bounded(word, word.bytes())?;
    server.checks.agent.send = word.bytes().to_vec();
    Ok(())
});
pub(super) const AGENT_SSL: Keyword<ServerDraft> =
    switch("agent-ssl", |server, on| server.checks.agent.tls = on);
pub(super) const CHECK: Keyword<ServerDraft> =
    switch("check", |server, on| server.model.check.enabled = on);
pub(super) const CHECK_ALPN: Keyword<ServerDraft> = tls::check_alpn();
pub(super) const CHECK_POOL_CONN_NAME: Keyword<ServerDraft> = inert(
    "check-pool-conn-name",
    "NAME",
    Status::NoOp(OWN_CONNECTIONS),
);
pub(super) const CHECK_PROTO: Keyword<ServerDraft> = word("check-proto", "NAME", |args, server| {
    server.checks.http2 = Some(protocol(args)?);
    Ok(())
});

/// The protocol that checks speak: whether it is HTTP/2.
pub(super) fn protocol(args: &mut Args<'_>) -> Result<bool, Diagnostic> {
    let word = args.word("a protocol")?;
    let is_h2 = word.text == "h2";
    if !is_h2 {
        super::bind::http1_only(&word.text, word.span)?;
    }
    Ok(is_h2)
}

pub(super) const CHECK_REUSE_POOL: Keyword<ServerDraft> =
    inert("check-reuse-pool", "", Status::NoOp(OWN_CONNECTIONS));
pub(super) const CHECK_SEND_PROXY: Keyword<ServerDraft> =
    switch("check-send-proxy", |server, on| {
        server.model.check.send_proxy = on
    });
pub(super) const CHECK_SNI: Keyword<ServerDraft> = tls::check_sni();
pub(super) const CHECK_SNI_AUTO: Keyword<ServerDraft> =
    tls::check_sni_auto("check-sni-auto", false);
pub(super) const CHECK_SSL: Keyword<ServerDraft> = tls::check_ssl("check-ssl", false);
pub(super) const CHECK_VIA_SOCKS4: Keyword<ServerDraft> =
    switch("check-via-socks4", |server, on| {
        server.model.check.via_socks = on
    });
pub(super) const DOWNINTER: Keyword<ServerDraft> = word("downinter", "TIME", |args, server| {
    server.model.check.rhythm.down_interval_ms = Some(interval(args, "downinter")?);
    Ok(())
});
pub(super) const ERROR_LIMIT: Keyword<ServerDraft> =
    word("error-limit", "NUMBER", |args, server| {
        server.model.check.error_limit = value::number(args, "a number of errors", 1..=ROW_MAX)?;
        Ok(())
    });
pub(super) const ERROR_WINDOW: Keyword<ServerDraft> =
    word("error-window", "TIME", |args, server| {
        let span = value::place(args);
        let window_ms = value::duration_ms(args, "a time")?;
        if window_ms == 0 {
            let message = "a window without an end or a beginning holds no errors";
            return Err(Diagnostic::error(Kind::Invalid, span, message));
        }
        server.checks.error_window_ms = Some(window_ms);
        Ok(())
    });
pub(super) const FALL: Keyword<ServerDraft> = word("fall", "NUMBER", |args, server| {
    server.model.check.rhythm.fall = row(args)?;
    Ok(())
});
pub(super) const FASTINTER: Keyword<ServerDraft> = word("fastinter", "TIME", |args, server| {
    server.model.check.rhythm.fast_interval_ms = Some(interval(args, "fastinter")?);
    Ok(())
});
pub(super) const HEALTHCHECK: Keyword<ServerDraft> = word("healthcheck", "NAME", |args, server| {
    let word = args.word("the name of a 'healthcheck' section")?;
    server.checks.section = Some(Spanned::new(word.text.clone(), word.span));
    Ok(())
});
pub(super) const INIT_STATE: Keyword<ServerDraft> = word(
    "init-state",
    "up|fully-up|down|fully-down|none",
    |args, server| {
        let known = [
            ("up", InitState::Up),
            ("fully-up", InitState::FullyUp),
            ("down", InitState::Down),
            ("fully-down", InitState::FullyDown),
            ("none", InitState::Up),
        ];
        server.model.check.init_state = value::choice(args, "a state", &known)?;
        Ok(())
    },
);
pub(super) const INTER: Keyword<ServerDraft> = word("inter", "TIME", |args, server| {
    server.model.check.rhythm.interval_ms = interval(args, "inter")?;
    Ok(())
});
pub(super) const NO_AGENT_CHECK: Keyword<ServerDraft> = switch("no-agent-check", |server, on| {
    server.checks.agent_enabled = !on;
});
pub(super) const NO_CHECK: Keyword<ServerDraft> =
    switch("no-check", |server, on| server.model.check.enabled = !on);
pub(super) const NO_CHECK_SEND_PROXY: Keyword<ServerDraft> =
    switch("no-check-send-proxy", |server, on| {
        server.model.check.send_proxy = !on
    });
pub(super) const OBSERVE: Keyword<ServerDraft> =
    word("observe", "layer4|layer7", |args, server| {
        let known = [("layer4", Observe::Layer4), ("layer7", Observe::Layer7)];
        let word = args.peek().map(|word| word.span);
        let observe = value::choice(args, "a layer", &known)?;
        server.model.check.observe = Some(observe);
        server.checks.observed_at = word;
        Ok(())
    });
pub(super) const ON_ERROR: Keyword<ServerDraft> = word(
    "on-error",
    "fastinter|fail-check|sudden-death|mark-down|suspend",
    |args, server| {
        let known = [
            ("fastinter", OnError::FastInterval),
            ("fail-check", OnError::FailCheck),
            ("sudden-death", OnError::SuddenDeath),
            ("mark-down", OnError::MarkDown),
            (
                "suspend",
                OnError::Suspend {
                    window_ms: ERROR_WINDOW_DEFAULT_MS,
                },
            ),
        ];
        server.model.check.on_error = value::choice(args, "a reaction", &known)?;
        Ok(())
    },
);
pub(super) const ON_MARKED_DOWN: Keyword<ServerDraft> =
    word("on-marked-down", "shutdown-sessions", |args, server| {
        value::choice(args, "a reaction", &[("shutdown-sessions", ())])?;
        server.model.check.ends_sessions_when_down = true;
        Ok(())
    });
pub(super) const ON_MARKED_UP: Keyword<ServerDraft> = word(
    "on-marked-up",
    "shutdown-backup-sessions",
    |args, server| {
        value::choice(args, "a reaction", &[("shutdown-backup-sessions", ())])?;
        server.model.check.ends_backup_sessions_when_up = true;
        Ok(())
    },
);
pub(super) const PORT: Keyword<ServerDraft> = word("port", "NUMBER", |args, server| {
    server.model.check.port = Some(port(args)?);
    Ok(())
});
pub(super) const RISE: Keyword<ServerDraft> = word("rise", "NUMBER", |args, server| {
    server.model.check.rhythm.rise = row(args)?;
    Ok(())
});
pub(super) const SLOWSTART: Keyword<ServerDraft> = word("slowstart", "TIME", |args, server| {
    server.model.check.slow_start_ms = value::duration_ms(args, "a time")?;
    Ok(())
});
pub(super) const TRACK: Keyword<ServerDraft> = word("track", "SERVER", |args, server| {
    let word = args.word("a server")?;
    server.checks.track = Some(Spanned::new(word.text.clone(), word.span));
    Ok(())
});

/// Longest row of verdicts that decides anything.
const ROW_MAX: u32 = 1_000_000;

fn row(args: &mut Args<'_>) -> Result<u32, Diagnostic> {
    value::number(args, "the number of checks", 1..=ROW_MAX)
}

fn port(args: &mut Args<'_>) -> Result<u16, Diagnostic> {
    let port = value::number(args, "the port", 1..=u32::from(u16::MAX))?;
    Ok(u16::try_from(port).unwrap_or(u16::MAX))
}

fn interval(args: &mut Args<'_>, name: &str) -> Result<u64, Diagnostic> {
    let (span, word) = (value::place(args), args.peek());
    let interval_ms = value::duration_ms(args, "a time")?;
    if interval_ms == 0 {
        let message = "checks cannot follow each other without a pause";
        return Err(Diagnostic::error(Kind::Invalid, span, message));
    }
    let remark = word.and_then(|word| hardly_milliseconds(word, name, interval_ms));
    if let Some(remark) = remark {
        args.warn(remark);
    }
    Ok(interval_ms)
}

/// An address, which may have a port, or a name.
fn host(args: &mut Args<'_>) -> Result<AddressDraft, Diagnostic> {
    let word = args.word("an address")?;
    let (text, family) = match word.text.split_once('@') {
        Some(("ipv4", text)) => (text, Family::V4),
        Some(("ipv6", text)) => (text, Family::V6),
        _ => (word.text.as_str(), Family::Any),
    };
    if let Ok(socket) = text.parse::<std::net::SocketAddr>() {
        return Ok(AddressDraft {
            host: HostDraft::Ip(socket.ip()),
            port: socket.port(),
            span: word.span,
        });
    }
    let host = match text.parse() {
        Ok(ip) => HostDraft::Ip(ip),
        Err(_) => HostDraft::Name(text.to_owned(), family),
    };
    Ok(AddressDraft {
        host,
        port: 0,
        span: word.span,
    })
}
