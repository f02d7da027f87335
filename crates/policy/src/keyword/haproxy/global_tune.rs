//! `tune.*`: sizes and caps.
//!
//! Most of HAProxy's tuning describes machinery that does not exist here; such words are checked and have no effect.

use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::global_tls::{DHE, longest_delay, shortest_delay};
use super::value;
use crate::draft::Draft;
use crate::keyword::{Keyword, Sections, Status};
use crate::model::{Http2Log, Http2Tune};
use crate::stick_table::STICK_COUNTERS_MAX;
use plimsoll_config::args::Args;

const GLOBAL: Sections = Sections::GLOBAL;

/// Shortest and longest message head that can be asked for, in bytes.
const BUFFER_BYTES_MIN: u32 = 1_024;
const BUFFER_BYTES_MAX: u32 = 16 << 20;

const BUDGETS: &str = "floods are bounded by budgets that cannot be switched off";
const TURNS: &str = "a connection yields to others after a fixed amount of work";
const QUIC: &str = "QUIC is not offered in this version";
const MEMORY: &str = "memory is bounded by other caps";
const SCHEDULER: &str = "workers schedule their tasks in another way";
const ZERO_COPY: &str = "data is relayed in place or by splice(2) wherever that pays";
const VARIABLES: &str = "256 variables of 64 kB each are the cap of every scope";
const GLITCHES: &str = "a fault in HTTP/1 ends its connection at once, whatever the load";
const DATAGRAMS: &str = "no proxy relays datagrams in this version";
const STATISTICS: &str = "statistics are kept in another way";

/// A word that sets what HTTP/2 connections allow their peers.
macro_rules! http2 {
    ($name:literal, $usage:literal, $range:expr, |$tune:ident, $value:ident| $set:expr) => {
        Keyword::new($name, GLOBAL, $usage, "Limits of HTTP/2.", |args, draft| {
            let span = value::place(args);
            let $value = match $usage {
                "SIZE" => value::size_bytes(args, "a size")?,
                _ => value::number(args, "a number", 0..=u32::MAX)?,
            };
            let range: std::ops::RangeInclusive<u32> = $range;
            if !range.contains(&$value) {
                let message = format_args!("{} is out of range", $value);
                let error = Diagnostic::error(Kind::Invalid, span, message);
                let (least, most) = (range.start(), range.end());
                return Err(error.help(format_args!("write a value from {least} to {most}")));
            }
            let $tune = &mut draft.global.model.tune.http2;
            $set;
            Ok(())
        })
    };
}

/// Streams that can be allowed at once: each is a task, and has a window of memory.
const STREAMS_MAX: u32 = 1 << 20;

/// RFC 9113 section 6.9.1.
const WINDOW_MAX: u32 = (1 << 31) - 1;

/// The `tune.*` words of `global`.
pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    noop("tune.applet.zero-copy-forwarding", "on|off", ZERO_COPY),
    noop("tune.buffers.limit", "NUMBER", MEMORY),
    noop("tune.buffers.reserve", "NUMBER", MEMORY),
    Keyword::new(
        "tune.bufsize",
        GLOBAL,
        "SIZE",
        "Longest message head.",
        |args, draft| {
            let bytes = value::size_bytes(args, "a size")?;
            if !(BUFFER_BYTES_MIN..=BUFFER_BYTES_MAX).contains(&bytes) {
                let message = format_args!("buffers of {bytes} bytes are not possible");
                let error = Diagnostic::error(Kind::Invalid, args.line(), message);
                return Err(error.help(format_args!(
                    "write a size from {BUFFER_BYTES_MIN} to {BUFFER_BYTES_MAX}"
                )));
            }
            draft.global.model.tune.buffer_bytes = bytes;
            Ok(())
        },
    ),
    noop("tune.bufsize.large", "SIZE", MEMORY),
    noop("tune.bufsize.small", "SIZE", MEMORY),
    noop(
        "tune.chksize",
        "SIZE",
        "what a check hears has a cap of its own",
    ),
    noop(
        "tune.cli.max-payload-size",
        "SIZE",
        "command sockets have a cap of their own",
    ),
    noop(
        "tune.comp.maxlevel",
        "NUMBER",
        "nothing is compressed in this version",
    ),
    noop("tune.defaults.purge", "[LIST]", MEMORY),
    noop("tune.disable-fast-forward", "", ZERO_COPY),
    noop("tune.disable-zero-copy-forwarding", "", ZERO_COPY),
    noop("tune.epoll.mask-events", "LIST", SCHEDULER),
    noop("tune.events.max-events-at-once", "NUMBER", SCHEDULER),
    noop(
        "tune.fail-alloc",
        "NUMBER",
        "it only serves to debug HAProxy itself",
    ),
    noop(
        "tune.fd.edge-triggered",
        "on|off",
        "events are always edge-triggered",
    ),
    noop("tune.fd.tables", "WORD", MEMORY),
    noop("tune.glitches.kill.cpu-usage", "NUMBER", GLITCHES),
    noop("tune.h1.be.glitches-threshold", "NUMBER", GLITCHES),
    noop("tune.h1.fe.glitches-threshold", "NUMBER", GLITCHES),
    noop("tune.h1.zero-copy-fwd-recv", "on|off", ZERO_COPY),
    noop("tune.h1.zero-copy-fwd-send", "on|off", ZERO_COPY),
    noop("tune.h2.be.glitches-threshold", "NUMBER", BUDGETS),
    http2!(
        "tune.h2.be.initial-window-size",
        "SIZE",
        0..=WINDOW_MAX,
        |tune, bytes| tune.servers.window_bytes = Some(bytes).filter(|bytes| *bytes > 0)
    ),
    http2!(
        "tune.h2.be.max-concurrent-streams",
        "NUMBER",
        0..=STREAMS_MAX,
        |tune, number| tune.servers.streams_max = Some(number).filter(|number| *number > 0)
    ),
    noop("tune.h2.be.max-frames-at-once", "NUMBER", TURNS),
    http2!("tune.h2.be.rxbuf", "SIZE", 0..=WINDOW_MAX, |tune, bytes| {
        tune.servers.connection_bytes = Some(bytes)
    }),
    noop("tune.h2.fe.glitches-threshold", "NUMBER", BUDGETS),
    http2!(
        "tune.h2.fe.initial-window-size",
        "SIZE",
        0..=WINDOW_MAX,
        |tune, bytes| tune.clients.window_bytes = Some(bytes).filter(|bytes| *bytes > 0)
    ),
    http2!(
        "tune.h2.fe.max-concurrent-streams",
        "NUMBER",
        0..=STREAMS_MAX,
        |tune, number| tune.clients.streams_max = Some(number).filter(|number| *number > 0)
    ),
    noop("tune.h2.fe.max-frames-at-once", "NUMBER", TURNS),
    noop("tune.h2.fe.max-rst-at-once", "NUMBER", BUDGETS),
    http2!(
        "tune.h2.fe.max-total-streams",
        "NUMBER",
        0..=u32::MAX,
        |tune, number| tune.clients.streams_total = (number > 0).then_some(number)
    ),
    http2!("tune.h2.fe.rxbuf", "SIZE", 0..=WINDOW_MAX, |tune, bytes| {
        tune.clients.connection_bytes = Some(bytes)
    }),
    http2!(
        "tune.h2.header-table-size",
        "SIZE",
        4_096..=65_536,
        |tune, bytes| tune.table_bytes = bytes
    ),
    http2!(
        "tune.h2.initial-window-size",
        "SIZE",
        0..=WINDOW_MAX,
        |tune, bytes| tune.window_bytes = match bytes {
            // That of the table of defaults.
            0 => Http2Tune::default().window_bytes,
            bytes => bytes,
        }
    ),
    Keyword::new(
        "tune.h2.log-errors",
        GLOBAL,
        "none|connection|stream",
        "Which errors of clients in HTTP/2 leave a line in the log: those that end connections, or those of streams too.",
        |args, draft| {
            let known = [
                ("none", Http2Log::None),
                ("connection", Http2Log::Connection),
                ("stream", Http2Log::Stream),
            ];
            let logged = value::choice(args, "a level of errors", &known)?;
            draft.global.model.tune.http2.logged = logged;
            Ok(())
        },
    ),
    http2!(
        "tune.h2.max-concurrent-streams",
        "NUMBER",
        1..=STREAMS_MAX,
        |tune, number| tune.streams_max = number
    ),
    http2!(
        "tune.h2.max-frame-size",
        "SIZE",
        16_384..=16_777_215,
        |tune, bytes| tune.frame_bytes = bytes
    ),
    noop("tune.h2.zero-copy-fwd-send", "on|off", ZERO_COPY),
    noop(
        "tune.http.cookielen",
        "NUMBER",
        "the 'len' of a capture is its own limit",
    ),
    Keyword::new(
        "tune.http.logurilen",
        GLOBAL,
        "NUMBER",
        "Longest logged request line.",
        |args, draft| {
            draft.global.model.tune.log_uri_bytes = value::number(args, "the length", 1..=65_535)?;
            Ok(())
        },
    ),
    Keyword::new(
        "tune.http.maxhdr",
        GLOBAL,
        "NUMBER",
        "Most header fields in a message.",
        |args, draft| {
            draft.global.model.tune.max_fields =
                value::number(args, "the number of fields", 1..=32_767)?;
            Ok(())
        },
    ),
    noop(
        "tune.idle-pool.shared",
        "[on|off|auto|full]",
        "idle connections stay with their worker",
    ),
    noop("tune.idletimer", "TIME", SCHEDULER),
    noop(
        "tune.listener.default-shards",
        "WORD",
        "every worker has a listening socket of its own",
    ),
    noop(
        "tune.listener.multi-queue",
        "WORD",
        "every worker has a listening socket of its own",
    ),
    noop("tune.lua.bool-sample-conversion", "WORD", LUA),
    noop("tune.lua.burst-timeout", "TIME", LUA),
    noop("tune.lua.forced-yield", "NUMBER", LUA),
    noop("tune.lua.log.loggers", "on|off", LUA),
    noop("tune.lua.log.stderr", "on|off|auto", LUA),
    noop("tune.lua.maxmem", "NUMBER", LUA),
    noop("tune.lua.openlibs", "LIST", LUA),
    noop("tune.lua.service-timeout", "TIME", LUA),
    noop("tune.lua.session-timeout", "TIME", LUA),
    noop("tune.lua.task-timeout", "TIME", LUA),
    noop(
        "tune.max-checks-per-thread",
        "NUMBER",
        "at most 1,000 checks run at the same time",
    ),
    noop("tune.max-rules-at-once", "NUMBER", SCHEDULER),
    Keyword::new(
        "tune.maxaccept",
        GLOBAL,
        "NUMBER",
        "Most connections accepted at once.",
        |args, draft| {
            let number = value::signed(args, "the number of connections", -1..=65_535)?;
            draft.global.model.tune.max_accept = u32::try_from(number).unwrap_or(u32::MAX).max(1);
            Ok(())
        },
    ),
    Keyword::new(
        "tune.maxpollevents",
        GLOBAL,
        "NUMBER",
        "Most events taken at once.",
        |args, draft| {
            draft.global.model.tune.max_events =
                value::number(args, "the number of events", 1..=65_535)?;
            Ok(())
        },
    ),
    Keyword::new(
        "tune.maxrewrite",
        GLOBAL,
        "SIZE",
        "Room kept for added headers.",
        |args, draft| {
            draft.global.model.tune.rewrite_bytes = value::size_bytes(args, "a size")?;
            Ok(())
        },
    ),
    noop("tune.memory.hot-size", "SIZE", MEMORY),
    noop("tune.notsent-lowat.client", "SIZE", SCHEDULER),
    noop("tune.notsent-lowat.server", "SIZE", SCHEDULER),
    noop(
        "tune.pattern.cache-size",
        "NUMBER",
        "patterns are indexed; no results of them are kept",
    ),
    noop(
        "tune.peers.max-updates-at-once",
        "NUMBER",
        "there are no peers in this version",
    ),
    Keyword::new(
        "tune.pipesize",
        GLOBAL,
        "SIZE",
        "Capacity of pipes for splicing.",
        |args, draft| {
            let bytes = value::size_bytes(args, "a size")?;
            draft.global.model.tune.pipe_bytes = (bytes != 0).then_some(bytes);
            Ok(())
        },
    ),
    noop(
        "tune.pool-high-fd-ratio",
        "NUMBER",
        "idle connections are bounded per server",
    ),
    noop(
        "tune.pool-low-fd-ratio",
        "NUMBER",
        "idle connections are bounded per server",
    ),
    noop("tune.pt.zero-copy-forwarding", "on|off", ZERO_COPY),
    noop("tune.quic.be.cc.cubic-min-losses", "NUMBER", QUIC),
    noop("tune.quic.be.cc.hystart", "on|off", QUIC),
    noop("tune.quic.be.cc.max-frame-loss", "WORD", QUIC),
    noop("tune.quic.be.cc.max-win-size", "WORD", QUIC),
    noop("tune.quic.be.cc.reorder-ratio", "WORD", QUIC),
    noop("tune.quic.be.max-idle-timeout", "TIME", QUIC),
    noop("tune.quic.be.sec.glitches-threshold", "WORD", QUIC),
    noop("tune.quic.be.stream.data-ratio", "WORD", QUIC),
    noop("tune.quic.be.stream.max-concurrent", "WORD", QUIC),
    noop("tune.quic.be.stream.rxbuf", "WORD", QUIC),
    noop("tune.quic.be.tx.pacing", "on|off", QUIC),
    noop("tune.quic.be.tx.udp-gso", "on|off", QUIC),
    noop("tune.quic.cc-hystart", "on|off", QUIC),
    noop("tune.quic.fe.cc.cubic-min-losses", "WORD", QUIC),
    noop("tune.quic.fe.cc.hystart", "on|off", QUIC),
    noop("tune.quic.fe.cc.max-frame-loss", "WORD", QUIC),
    noop("tune.quic.fe.cc.max-win-size", "WORD", QUIC),
    noop("tune.quic.fe.cc.reorder-ratio", "WORD", QUIC),
    noop("tune.quic.fe.max-idle-timeout", "TIME", QUIC),
    noop("tune.quic.fe.sec.glitches-threshold", "WORD", QUIC),
    noop("tune.quic.fe.sec.retry-threshold", "WORD", QUIC),
    noop("tune.quic.fe.sock-per-conn", "WORD", QUIC),
    noop("tune.quic.fe.stream.data-ratio", "WORD", QUIC),
    noop("tune.quic.fe.stream.max-concurrent", "WORD", QUIC),
    noop("tune.quic.fe.stream.max-total", "WORD", QUIC),
    noop("tune.quic.fe.stream.rxbuf", "WORD", QUIC),
    noop("tune.quic.fe.tx.pacing", "on|off", QUIC),
    noop("tune.quic.fe.tx.udp-gso", "on|off", QUIC),
    noop("tune.quic.frontend.conn-tx-buffers.limit", "NUMBER", QUIC),
    noop("tune.quic.frontend.max-idle-timeout", "TIME", QUIC),
    noop("tune.quic.frontend.max-streams-bidi", "NUMBER", QUIC),
    noop("tune.quic.listen", "on|off", QUIC),
    noop("tune.quic.max-frame-loss", "NUMBER", QUIC),
    noop("tune.quic.mem.tx-max", "WORD", QUIC),
    noop("tune.quic.retry-threshold", "NUMBER", QUIC),
    noop("tune.quic.socket-owner", "WORD", QUIC),
    noop("tune.quic.zero-copy-fwd-send", "on|off", QUIC),
    noop("tune.rcvbuf.backend", "SIZE", DATAGRAMS),
    Keyword::new(
        "tune.rcvbuf.client",
        GLOBAL,
        "SIZE",
        "Receive buffer of client sockets.",
        |args, draft| {
            draft.global.model.tune.receive_buffer_client_bytes =
                Some(value::size_bytes(args, "a size")?);
            Ok(())
        },
    ),
    noop("tune.rcvbuf.frontend", "SIZE", DATAGRAMS),
    Keyword::new(
        "tune.rcvbuf.server",
        GLOBAL,
        "SIZE",
        "Receive buffer of server sockets.",
        |args, draft| {
            draft.global.model.tune.receive_buffer_server_bytes =
                Some(value::size_bytes(args, "a size")?);
            Ok(())
        },
    ),
    noop("tune.recv_enough", "SIZE", SCHEDULER),
    noop(
        "tune.renice.runtime",
        "NUMBER",
        "the system's scheduler decides",
    ),
    noop(
        "tune.renice.startup",
        "NUMBER",
        "the system's scheduler decides",
    ),
    noop("tune.ring.queues", "NUMBER", STATISTICS),
    noop("tune.runqueue-depth", "NUMBER", SCHEDULER),
    noop("tune.sched.low-latency", "on|off", SCHEDULER),
    noop("tune.sndbuf.backend", "SIZE", DATAGRAMS),
    Keyword::new(
        "tune.sndbuf.client",
        GLOBAL,
        "SIZE",
        "Send buffer of client sockets.",
        |args, draft| {
            draft.global.model.tune.send_buffer_client_bytes =
                Some(value::size_bytes(args, "a size")?);
            Ok(())
        },
    ),
    noop("tune.sndbuf.frontend", "SIZE", DATAGRAMS),
    Keyword::new(
        "tune.sndbuf.server",
        GLOBAL,
        "SIZE",
        "Send buffer of server sockets.",
        |args, draft| {
            draft.global.model.tune.send_buffer_server_bytes =
                Some(value::size_bytes(args, "a size")?);
            Ok(())
        },
    ),
    Keyword::new(
        "tune.ssl.cachesize",
        GLOBAL,
        "NUMBER",
        "Sessions of clients remembered where tickets are not used.",
        |args, draft| {
            let sessions = value::number(args, "the number of sessions", 0..=SESSIONS_MAX)?;
            draft.global.model.tune.tls.cache_sessions = sessions;
            Ok(())
        },
    ),
    Keyword::new(
        "tune.ssl.capture-buffer-size",
        GLOBAL,
        "NUMBER",
        "Bytes kept of what clients offer.",
        capture,
    ),
    Keyword::legacy(
        "tune.ssl.capture-cipherlist-size",
        GLOBAL,
        "NUMBER",
        "tune.ssl.capture-buffer-size NUMBER",
        capture,
    ),
    noop(
        "tune.ssl.certificate-compression",
        "WORD",
        "certificates are sent as they are",
    ),
    noop("tune.ssl.default-dh-param", "NUMBER", DHE),
    noop(
        "tune.ssl.force-private-cache",
        "",
        "all workers share their sessions",
    ),
    noop("tune.ssl.hard-maxrecord", "NUMBER", RECORDS),
    Keyword::new(
        "tune.ssl.keylog",
        GLOBAL,
        "on|off",
        "Keeps the secrets of connections, for rules that log them.",
        |args, draft| {
            let keeps = args.on_off("whether secrets are kept")?;
            draft.global.model.tune.tls.keeps_secrets = keeps;
            Ok(())
        },
    ),
    noop(
        "tune.ssl.keyupdate-rate-limit",
        "NUMBER",
        "the TLS library limits changes of keys by itself",
    ),
    noop(
        "tune.ssl.lifetime",
        "TIME",
        "tickets end with their keys, after twelve hours at most",
    ),
    noop("tune.ssl.maxrecord", "NUMBER", RECORDS),
    Keyword::legacy(
        "tune.ssl.ocsp-update.maxdelay",
        GLOBAL,
        "NUMBER",
        "ocsp-update.maxdelay NUMBER",
        longest_delay,
    ),
    Keyword::legacy(
        "tune.ssl.ocsp-update.mindelay",
        GLOBAL,
        "NUMBER",
        "ocsp-update.mindelay NUMBER",
        shortest_delay,
    ),
    Keyword::new(
        "tune.ssl.ssl-ctx-cache-size",
        GLOBAL,
        "NUMBER",
        "Certificates made on the fly that are remembered.",
        |args, draft| {
            let what = "the number of certificates";
            let number = value::number(args, what, 0..=SUBSTITUTES_MAX)?;
            draft.global.model.tune.tls.substitutes = number;
            Ok(())
        },
    ),
    Keyword::new(
        "tune.stick-counters",
        GLOBAL,
        "NUMBER",
        "Keys that a connection or request may track.",
        |args, draft| {
            let most = STICK_COUNTERS_MAX;
            let number = value::number(args, "the number of counters", 0..=most)?;
            draft.global.model.tune.stick_counters = number;
            Ok(())
        },
    ),
    noop(
        "tune.streams-elasticity",
        "NUMBER",
        "each connection may open as many streams as any other",
    ),
    noop(
        "tune.takeover-other-tg-connections",
        "WORD",
        "there are no thread groups",
    ),
    noop("tune.vars.check-max-size", "SIZE", VARIABLES),
    noop("tune.vars.global-max-size", "SIZE", VARIABLES),
    noop("tune.vars.proc-max-size", "SIZE", VARIABLES),
    noop("tune.vars.reqres-max-size", "SIZE", VARIABLES),
    noop("tune.vars.sess-max-size", "SIZE", VARIABLES),
    noop("tune.vars.txn-max-size", "SIZE", VARIABLES),
    noop(
        "tune.zlib.memlevel",
        "NUMBER",
        "nothing is compressed in this version",
    ),
    noop(
        "tune.zlib.windowsize",
        "NUMBER",
        "nothing is compressed in this version",
    ),
];

const DOC: &str = "Tuning.";
const LUA: &str = "Lua programs are refused";

const fn noop(name: &'static str, usage: &'static str, why: &'static str) -> Keyword<Draft> {
    Keyword::inert(name, GLOBAL, usage, DOC, Status::NoOp(why))
}

/// Most certificates made on the fly that each bind remembers.
const SUBSTITUTES_MAX: u32 = 1_000_000;

/// Most sessions that are remembered.
const SESSIONS_MAX: u32 = 10_000_000;

const RECORDS: &str = "records are as long as what is sent, up to 16 kB";

fn capture(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let bytes = value::number(args, "the number of bytes", 0..=65_535)?;
    draft.global.model.tune.tls.capture_bytes = bytes;
    Ok(())
}
