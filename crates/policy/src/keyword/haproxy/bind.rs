//! `bind` and `stats socket` lines, and the words behind their addresses.

use std::ffi::OsString;
use std::sync::Arc;

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};
use plimsoll_config::values::UNIX_PATH_BYTES_MAX;

use super::tls::TlsDraft;
use super::{address, tls, value};
use crate::draft::{BindDraft, Draft, ListenDraft, Spanned, UnixDraft};
use crate::keyword::{Keyword, Sections, Status, read_words};
use crate::model::{AccessLevel, Bind, BindAddress, Severity};

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[Keyword::new(
    "bind",
    Sections::OWN_FRONT,
    "ADDRESS[,ADDRESS...] [OPTION...]",
    "Where clients come in.",
    |args, draft| {
        draft.proxy().bound = true;
        let unix = draft.global.unix_bind.clone();
        let bind = read(args, draft, unix)?;
        draft.proxy().binds.push(bind);
        Ok(())
    },
)];

const SHARDS: &str = "every worker has a listening socket of its own";
const ONE_POOL: &str = "connections are spread over all workers";

/// The words of a `bind` line, sorted.
pub(super) const OPTIONS: &[Keyword<BindDraft>] = &[
    later(
        "accept-netscaler-cip",
        "NUMBER",
        "Reads NetScaler's header with the client's address.",
        "its reader",
    ),
    Keyword::switch(
        "accept-proxy",
        NOWHERE,
        "Reads the PROXY protocol header of clients.",
        |bind, on| bind.model.accept_proxy = on,
    ),
    tls::allow_0rtt(),
    tls::alpn(),
    Keyword::new(
        "backlog",
        NOWHERE,
        "NUMBER",
        "Connections that may wait in the kernel.",
        |args, bind| {
            bind.model.backlog = value::limit(args, "the number of connections")?;
            Ok(())
        },
    ),
    tls::ca_file(),
    tls::ca_ignore_err(),
    tls::ca_sign_file(),
    noop(
        "ca-sign-pass",
        "PHRASE",
        "Opens the key of 'ca-sign-file'.",
        "keys that are protected by a phrase are refused",
    ),
    tls::ca_verify_file(),
    noop(
        "cc",
        "NAME",
        "Congestion control.",
        "the system's default applies",
    ),
    tls::ciphers(),
    tls::ciphersuites(),
    tls::client_sigalgs(),
    tls::crl_file(),
    tls::crt(),
    tls::crt_ignore_err(),
    tls::crt_list(),
    tls::curves("curves"),
    tls::default_crt(),
    Keyword::switch(
        "defer-accept",
        NOWHERE,
        "Accepts when the first bytes have come.",
        |bind, on| bind.model.defer_accept = on,
    ),
    tls::curves("ecdhe"),
    later(
        "ech",
        "DIRECTORY",
        "Encrypts the client's hello.",
        "a TLS library that does it for servers",
    ),
    Keyword::new(
        "expose-fd",
        NOWHERE,
        "listeners",
        "Hands listeners to a successor.",
        |args, bind| {
            value::choice(args, "what is handed over", &[("listeners", ())])?;
            bind.model.exposes_listeners = true;
            Ok(())
        },
    ),
    tls::force_sslv3(),
    tls::force_tlsv10(),
    tls::force_tlsv11(),
    tls::force_tlsv12(),
    tls::force_tlsv13(),
    tls::generate_certificates(),
    Keyword::new(
        "gid",
        NOWHERE,
        "NUMBER",
        "Group of a unix socket.",
        |args, bind| {
            bind.unix.gid = Some(value::number(args, "the group id", 0..=u32::MAX)?);
            Ok(())
        },
    ),
    Keyword::new(
        "group",
        NOWHERE,
        "NAME",
        "Group of a unix socket.",
        |args, bind| {
            let word = args.word("a group name")?;
            bind.unix.group = Some(Spanned::new(word.text.clone(), word.span));
            Ok(())
        },
    ),
    noop(
        "guid-prefix",
        "NAME",
        "Name under which a listener's counters are saved.",
        "listeners have no counters of their own",
    ),
    Keyword::new(
        "id",
        NOWHERE,
        "NUMBER",
        "Number of the listener.",
        |args, bind| {
            let span = value::place(args);
            bind.id = Some(Spanned::new(
                value::number(args, "the number", 1..=u32::MAX)?,
                span,
            ));
            Ok(())
        },
    ),
    noop(
        "idle-ping",
        "TIME",
        "Pings idle HTTP/2 clients.",
        "idle connections end by their time-outs",
    ),
    Keyword::new(
        "interface",
        NOWHERE,
        "NAME",
        "Only clients that come through this interface.",
        |args, bind| {
            bind.model.interface = Some(value::text(args, "the name of an interface")?);
            Ok(())
        },
    ),
    tls::ktls(),
    noop(
        "label",
        "NAME",
        "Name of the listener.",
        "only HAProxy's own scripts ask for it",
    ),
    Keyword::new(
        "level",
        NOWHERE,
        "user|operator|admin",
        "What a command socket allows.",
        |args, bind| {
            let known = [
                ("user", AccessLevel::User),
                ("operator", AccessLevel::Operator),
                ("admin", AccessLevel::Admin),
            ];
            bind.model.level = value::choice(args, "an access level", &known)?;
            Ok(())
        },
    ),
    Keyword::new(
        "maxconn",
        NOWHERE,
        "NUMBER",
        "Most concurrent connections.",
        |args, bind| {
            bind.model.maxconn = value::limit(args, "the number of connections")?;
            Ok(())
        },
    ),
    Keyword::new(
        "mode",
        NOWHERE,
        "BITS",
        "Permissions of a unix socket, in octal.",
        |args, bind| {
            bind.unix.mode = Some(permissions(args)?);
            Ok(())
        },
    ),
    Keyword::new(
        "mss",
        NOWHERE,
        "NUMBER",
        "Longest TCP segment.",
        |args, bind| {
            let place = value::place(args);
            let bytes = value::signed(args, "the segment size", -65_535..=65_535)?;
            if bytes == 0 {
                let message = "a segment cannot be empty";
                return Err(Diagnostic::error(Kind::Invalid, place, message));
            }
            bind.model.segment_bytes = Some(bytes);
            Ok(())
        },
    ),
    Keyword::new(
        "name",
        NOWHERE,
        "NAME",
        "Name in statistics.",
        |args, bind| {
            bind.model.name = Some(value::text(args, "a name")?);
            Ok(())
        },
    ),
    later(
        "namespace",
        "NAME",
        "Network namespace to listen in.",
        "network namespaces",
    ),
    later(
        "nbconn",
        "NUMBER",
        "Connections of reverse HTTP.",
        "reverse HTTP",
    ),
    Keyword {
        status: Status::NoOp("workers treat all connections alike"),
        ..Keyword::new(
            "nice",
            NOWHERE,
            "NUMBER",
            "Priority of the listener's tasks.",
            |args, bind| {
                bind.model.nice = value::signed(args, "the priority", -1024..=1024)?;
                Ok(())
            },
        )
    },
    tls::no_alpn(),
    tls::no_ca_names(),
    tls::no_sslv3(),
    tls::no_strict_sni(),
    tls::no_tls_tickets(),
    tls::no_tlsv10(),
    tls::no_tlsv11(),
    tls::no_tlsv12(),
    tls::no_tlsv13(),
    tls::npn(),
    tls::prefer_client_ciphers(),
    Keyword::legacy("process", NOWHERE, "SET", "thread SET", |args, bind| {
        let span = args.end();
        let set = value::text(args, "a set of processes")?;
        let message = format_args!("'process {set}' has no effect");
        let warning = Diagnostic::warning(Kind::Legacy, span, message);
        bind.remarks.push(
            warning
                .cause("there is one process; its workers share every listener")
                .help("remove it"),
        );
        Ok(())
    }),
    Keyword::new(
        "proto",
        NOWHERE,
        "h1|h2|none",
        "Forces a protocol.",
        protocol,
    ),
    noop(
        "quic-cc-algo",
        "NAME",
        "Congestion control of QUIC.",
        "QUIC is not offered",
    ),
    noop(
        "quic-force-retry",
        "",
        "Proof of address in QUIC.",
        "QUIC is not offered",
    ),
    noop(
        "quic-socket",
        "connection|listener",
        "Sockets of QUIC.",
        "QUIC is not offered",
    ),
    Keyword::new(
        "severity-output",
        NOWHERE,
        "none|number|string",
        "How errors begin on a command socket.",
        |args, bind| {
            let known = [
                ("none", Severity::None),
                ("number", Severity::Number),
                ("string", Severity::Word),
            ];
            bind.model.severity = value::choice(args, "a form of severities", &known)?;
            Ok(())
        },
    ),
    noop(
        "shards",
        "NUMBER|by-thread|by-group",
        "Sockets per address.",
        SHARDS,
    ),
    tls::sigalgs(),
    tls::ssl(),
    tls::ssl_max_ver(),
    tls::ssl_min_ver(),
    tls::strict_sni(),
    later(
        "tcp-md5sig",
        "PASSWORD",
        "Signs TCP segments.",
        "a socket option of its own",
    ),
    Keyword::new(
        "tcp-ss",
        NOWHERE,
        "0|1|2",
        "Saves SYN packets for 'fc_saved_syn': 1 from their IP header on, 2 whole.",
        |args, bind| {
            bind.model.save_syn = value::number(args, "what is saved", 0..=2)? as u8;
            Ok(())
        },
    ),
    Keyword::new(
        "tcp-ut",
        NOWHERE,
        "TIME",
        "How long sent data may stay unacknowledged.",
        |args, bind| {
            bind.model.user_timeout_ms = Some(value::duration_ms(args, "a time")?);
            Ok(())
        },
    ),
    Keyword::switch("tfo", NOWHERE, "TCP fast open.", |bind, on| {
        bind.model.fast_open = on
    }),
    noop(
        "thread",
        "SET",
        "Threads that serve the listener.",
        ONE_POOL,
    ),
    tls::tls_ticket_keys(),
    tls::tls_tickets(),
    Keyword::switch(
        "transparent",
        NOWHERE,
        "Accepts connections to foreign addresses.",
        |bind, on| bind.model.transparent = on,
    ),
    Keyword::new(
        "uid",
        NOWHERE,
        "NUMBER",
        "User of a unix socket.",
        |args, bind| {
            bind.unix.uid = Some(value::number(args, "the user id", 0..=u32::MAX)?);
            Ok(())
        },
    ),
    Keyword::new(
        "user",
        NOWHERE,
        "NAME",
        "User of a unix socket.",
        |args, bind| {
            let word = args.word("a user name")?;
            bind.unix.user = Some(Spanned::new(word.text.clone(), word.span));
            Ok(())
        },
    ),
    Keyword::switch(
        "v4v6",
        NOWHERE,
        "An IPv6 socket accepts IPv4 too.",
        |bind, on| {
            bind.model.only_v6 = Some(!on);
        },
    ),
    Keyword::switch(
        "v6only",
        NOWHERE,
        "An IPv6 socket accepts IPv6 only.",
        |bind, on| {
            bind.model.only_v6 = Some(on);
        },
    ),
    tls::verify_client(),
];

/// Options stand on a line, not in a section; so do those of servers.
pub(super) const NOWHERE: Sections = Sections::NONE;

/// An option without effect.
pub(super) const fn noop<D>(
    name: &'static str,
    usage: &'static str,
    doc: &'static str,
    why: &'static str,
) -> Keyword<D> {
    Keyword::inert(name, NOWHERE, usage, doc, Status::NoOp(why))
}

/// An option that is not implemented yet.
pub(super) const fn later<D>(
    name: &'static str,
    usage: &'static str,
    doc: &'static str,
    waits: &'static str,
) -> Keyword<D> {
    Keyword::inert(name, NOWHERE, usage, doc, Status::NotYet(waits))
}

/// Reads an address and the options behind it.
fn read(args: &mut Args<'_>, draft: &mut Draft, unix: UnixDraft) -> Result<BindDraft, Diagnostic> {
    let place = value::place(args);
    let addresses = address::listen(args);
    let model = Bind::new(BindAddress::Abstract(String::new()));
    let mut bind = BindDraft {
        line: Some(args.line()),
        addresses: Vec::new(),
        model,
        unix,
        id: None,
        tls: TlsDraft::default(),
        remarks: Vec::new(),
    };
    let mut found = read_words(args, OPTIONS, &mut bind, "an option of a bind line");
    found.append(&mut bind.remarks);
    draft.findings.extend(found);
    bind.addresses = prefixed(addresses?, &bind.unix.prefix, place)?;
    if bind.tls.ssl.is_some() {
        bind.tls.defaults = Some(Arc::clone(&draft.global.tls.bind));
    }
    Ok(bind)
}

/// `stats socket ADDRESS …`, which `unix-bind` says nothing of.
pub(super) fn read_stats_socket(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let bind = read(args, draft, UnixDraft::default())?;
    draft.global.stats_sockets.push(bind);
    Ok(())
}

/// Puts the prefix of `unix-bind` before the paths of unix sockets.
pub(super) fn prefixed(
    mut addresses: Vec<ListenDraft>,
    prefix: &str,
    span: Span,
) -> Result<Vec<ListenDraft>, Diagnostic> {
    for address in &mut addresses {
        let ListenDraft::Other(BindAddress::Unix(path)) = address else {
            continue;
        };
        let mut whole = OsString::from(prefix);
        whole.push(&*path);
        if whole.len() > UNIX_PATH_BYTES_MAX {
            let shown = whole.display();
            let message =
                format_args!("the path '{shown}' is longer than {UNIX_PATH_BYTES_MAX} bytes");
            let error = Diagnostic::error(Kind::Invalid, span, message);
            return Err(error.cause("the prefix of 'unix-bind' counts"));
        }
        *path = whole.into();
    }
    Ok(addresses)
}

/// `unix-bind OPTION VALUE …`.
pub(super) fn read_unix_bind(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    const KNOWN: [&str; 6] = ["gid", "group", "mode", "prefix", "uid", "user"];
    let unix: &mut UnixDraft = &mut draft.global.unix_bind;
    args.options(KNOWN.into_iter(), |word, args| {
        unix_option(word, args, unix, &KNOWN)
    })
}

fn unix_option(
    word: &Word,
    args: &mut Args<'_>,
    unix: &mut UnixDraft,
    known: &[&str],
) -> Result<(), Diagnostic> {
    match word.text.as_str() {
        "mode" => unix.mode = Some(permissions(args)?),
        "uid" => unix.uid = Some(value::number(args, "the user id", 0..=u32::MAX)?),
        "gid" => unix.gid = Some(value::number(args, "the group id", 0..=u32::MAX)?),
        "user" => unix.user = Some(spanned(args, "a user name")?),
        "group" => unix.group = Some(spanned(args, "a group name")?),
        "prefix" => unix.prefix = value::text(args, "a prefix")?,
        _ => {
            let what = "an option of 'unix-bind'";
            return Err(value::unknown(word, what, known.iter().copied()));
        }
    }
    Ok(())
}

fn spanned(args: &mut Args<'_>, what: &str) -> Result<Spanned<String>, Diagnostic> {
    let word = args.word(what)?;
    Ok(Spanned::new(word.text.clone(), word.span))
}

fn permissions(args: &mut Args<'_>) -> Result<u32, Diagnostic> {
    let word = args.word("permissions")?;
    match u32::from_str_radix(&word.text, 8) {
        Ok(bits) if bits <= 0o7777 => Ok(bits),
        _ => {
            let message = format_args!("'{}' are no permissions", word.text);
            Err(Diagnostic::error(Kind::Invalid, word.span, message)
                .help("write them in octal, such as 660"))
        }
    }
}

fn protocol(args: &mut Args<'_>, bind: &mut BindDraft) -> Result<(), Diagnostic> {
    let word = args.word("a protocol")?;
    bind.model.http2 = word.text == "h2";
    bind.model.stays_http1 = word.text == "h1";
    bind.model.stays_raw = word.text == "none";
    match bind.model.http2 {
        true => Ok(()),
        false => http1_only(&word.text, word.span),
    }
}

/// Whether a forced protocol is one that is spoken here.
pub(super) fn http1_only(name: &str, span: Span) -> Result<(), Diagnostic> {
    match name {
        "h1" | "none" => Ok(()),
        "h2" | "fcgi" | "qmux" | "quic" | "spop" => {
            let message = format_args!("the protocol '{name}' is not implemented yet");
            Err(Diagnostic::error(Kind::NotImplemented, span, message))
        }
        _ => Err(Diagnostic::error(
            Kind::Invalid,
            span,
            format_args!("'{name}' is not a protocol"),
        )
        .help("write h1, h2 or none")),
    }
}
