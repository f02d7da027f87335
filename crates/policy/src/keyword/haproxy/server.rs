//! `server`, `server-template` and `default-server` lines, and the words behind their addresses.

use std::sync::Arc;

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind, Severity};
use plimsoll_config::values::Network;

use super::bind::{NOWHERE, http1_only, later, noop};
use super::{address, checks, source, tls, value};
use crate::draft::{
    Draft, Family, InitAddr, ProxyDraft, ResolveOptions, ServerAddressDraft, ServerDraft, Spanned,
};
use crate::keyword::{Keyword, Sections, read_words};
use crate::model::{self, HashKey, ProxyHeader, WebSockets};

/// Most servers that one `server-template` may stand for.
const TEMPLATE_MAX: u32 = 10_000;

/// Most ways of finding a first address.
const INIT_ADDR_MAX: usize = 8;

/// Highest weight.
const WEIGHT_MAX: u32 = 256;

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::new(
        "default-server",
        Sections::BACK,
        "[OPTION...]",
        "Options of the servers below.",
        read_default,
    ),
    Keyword::new(
        "server",
        Sections::OWN_BACK,
        "NAME ADDRESS [OPTION...]",
        "A server.",
        read_server,
    ),
    Keyword::new(
        "server-template",
        Sections::OWN_BACK,
        "PREFIX NUMBER|RANGE ADDRESS [OPTION...]",
        "Several servers at one name.",
        read_template,
    ),
];

/// Most networks of one `resolve-net`.
const RESOLVE_NETWORKS_MAX: usize = 5;
const POOLS: &str = "idle connections stay with their worker";

/// The words of a `server` line, sorted.
pub(super) const OPTIONS: &[Keyword<ServerDraft>] = &[
    checks::ADDR,
    checks::AGENT_ADDR,
    checks::AGENT_CHECK,
    checks::AGENT_HTTP,
    checks::AGENT_INTER,
    checks::AGENT_PORT,
    checks::AGENT_SEND,
    checks::AGENT_SSL,
    tls::ALLOW_0RTT,
    tls::alpn(),
    Keyword::switch(
        "backup",
        NOWHERE,
        "Only used when no other server is.",
        |server, on| server.model.backup = on,
    ),
    tls::ca_file(),
    noop(
        "cc",
        "NAME",
        "Congestion control.",
        "the system's default applies",
    ),
    checks::CHECK,
    checks::CHECK_ALPN,
    checks::CHECK_POOL_CONN_NAME,
    checks::CHECK_PROTO,
    checks::CHECK_REUSE_POOL,
    checks::CHECK_SEND_PROXY,
    checks::CHECK_SNI,
    checks::CHECK_SNI_AUTO,
    checks::CHECK_SSL,
    checks::CHECK_VIA_SOCKS4,
    tls::ciphers(),
    tls::ciphersuites(),
    tls::client_sigalgs(),
    Keyword::new(
        "cookie",
        NOWHERE,
        "VALUE",
        "Value that leads clients back to this server.",
        |args, server| {
            server.model.cookie = Some(value::text(args, "a cookie's value")?);
            Ok(())
        },
    ),
    tls::crl_file(),
    tls::crt(),
    tls::curves("curves"),
    Keyword::switch(
        "disabled",
        NOWHERE,
        "Starts in maintenance.",
        |server, on| server.model.disabled = on,
    ),
    checks::DOWNINTER,
    Keyword::switch("enabled", NOWHERE, "Undoes 'disabled'.", |server, on| {
        server.model.disabled = !on
    }),
    checks::ERROR_LIMIT,
    checks::ERROR_WINDOW,
    checks::FALL,
    checks::FASTINTER,
    tls::force_sslv3(),
    tls::force_tlsv10(),
    tls::force_tlsv11(),
    tls::force_tlsv12(),
    tls::force_tlsv13(),
    Keyword::new(
        "from",
        NOWHERE,
        "none|be:BACKEND|srv:SERVER",
        "Takes the options of a default server or another server; stands before all others.",
        |args, _| {
            let message = "'from' stands before all other options, and once";
            let span = value::place(args);
            args.next();
            Err(Diagnostic::error(Kind::Invalid, span, message))
        },
    ),
    Keyword::new(
        "guid",
        NOWHERE,
        "NAME",
        "Unique name under which counters are saved.",
        |args, server| {
            server.model.guid = Some(value::guid(args)?.value);
            Ok(())
        },
    ),
    Keyword::new(
        "hash-key",
        NOWHERE,
        "id|id32|guid|addr|addr-port",
        "What places it on a hash ring.",
        hash_key,
    ),
    checks::HEALTHCHECK,
    Keyword::new(
        "id",
        NOWHERE,
        "NUMBER",
        "Number of the server.",
        |args, server| {
            let span = value::place(args);
            server.id = Some(Spanned::new(
                value::number(args, "the number", 1..=u32::MAX)?,
                span,
            ));
            Ok(())
        },
    ),
    noop(
        "idle-ping",
        "TIME",
        "Pings idle HTTP/2 connections.",
        "an idle connection that has died is found out when it is used, and replaced",
    ),
    Keyword::new(
        "init-addr",
        NOWHERE,
        "METHOD[,METHOD...]",
        "How a name gets its first address.",
        init_addr,
    ),
    checks::INIT_STATE,
    checks::INTER,
    tls::ktls(),
    later(
        "log-bufsize",
        "SIZE",
        "Buffer of a log server.",
        "log backends",
    ),
    later(
        "log-proto",
        "legacy|octet-count",
        "Framing of a log server.",
        "log backends",
    ),
    Keyword::new(
        "max-reuse",
        NOWHERE,
        "NUMBER",
        "Requests per connection beyond the first.",
        |args, server| {
            server.model.max_reuse = u32::try_from(value::signed(
                args,
                "the number of requests",
                -1..=i32::MAX,
            )?)
            .ok();
            Ok(())
        },
    ),
    Keyword::new(
        "maxconn",
        NOWHERE,
        "NUMBER",
        "Most concurrent connections.",
        |args, server| {
            server.model.maxconn = value::limit(args, "the number of connections")?;
            Ok(())
        },
    ),
    Keyword::new(
        "maxqueue",
        NOWHERE,
        "NUMBER",
        "Most requests that wait for it.",
        |args, server| {
            server.model.maxqueue = value::limit(args, "the number of requests")?;
            Ok(())
        },
    ),
    Keyword::new(
        "minconn",
        NOWHERE,
        "NUMBER",
        "Limit of connections at low load.",
        |args, server| {
            server.model.minconn = value::limit(args, "the number of connections")?;
            Ok(())
        },
    ),
    later(
        "namespace",
        "NAME",
        "Network namespace of connections.",
        "network namespaces",
    ),
    checks::NO_AGENT_CHECK,
    Keyword::switch("no-backup", NOWHERE, "Undoes 'backup'.", |server, on| {
        server.model.backup = !on
    }),
    checks::NO_CHECK,
    off("no-check-reuse-pool"),
    checks::NO_CHECK_SEND_PROXY,
    tls::check_sni_auto("no-check-sni-auto", true),
    tls::check_ssl("no-check-ssl", true),
    tls::renegotiate("no-renegotiate"),
    Keyword::switch(
        "no-send-proxy",
        NOWHERE,
        "Opens connections without the PROXY protocol.",
        |server, _| server.model.send_proxy = None,
    ),
    Keyword::switch(
        "no-send-proxy-v2",
        NOWHERE,
        "Opens connections without the PROXY protocol.",
        |server, _| server.model.send_proxy = None,
    ),
    Keyword::switch(
        "no-send-proxy-v2-ssl",
        NOWHERE,
        "Opens connections without the PROXY protocol.",
        |server, _| server.model.send_proxy = None,
    ),
    Keyword::switch(
        "no-send-proxy-v2-ssl-cn",
        NOWHERE,
        "Opens connections without the PROXY protocol.",
        |server, _| server.model.send_proxy = None,
    ),
    tls::sni_auto("no-sni-auto", true),
    tls::no_ssl(),
    tls::ssl_reuse("no-ssl-reuse", true),
    tls::no_sslv3(),
    off("no-tfo"),
    tls::no_tls_tickets(),
    tls::no_tlsv10(),
    tls::no_tlsv11(),
    tls::no_tlsv12(),
    tls::no_tlsv13(),
    Keyword::new(
        "non-stick",
        Sections::NONE,
        "",
        "Remembers no client in a stick table.",
        |_, server| {
            server.model.non_stick = true;
            Ok(())
        },
    ),
    tls::npn(),
    checks::OBSERVE,
    checks::ON_ERROR,
    checks::ON_MARKED_DOWN,
    checks::ON_MARKED_UP,
    Keyword::new(
        "pool-conn-name",
        NOWHERE,
        "EXPRESSION",
        "What tells idle connections apart.",
        |args, server| {
            let word = args.word("an expression")?;
            server.pool_name = Some(Spanned::new(word.text.clone(), word.span));
            Ok(())
        },
    ),
    noop(
        "pool-low-conn",
        "NUMBER",
        "Idle connections other threads must leave.",
        POOLS,
    ),
    Keyword::new(
        "pool-max-conn",
        NOWHERE,
        "NUMBER",
        "Most idle connections.",
        |args, server| {
            server.model.pool_max = u32::try_from(value::signed(
                args,
                "the number of connections",
                -1..=i32::MAX,
            )?)
            .ok();
            Ok(())
        },
    ),
    Keyword::new(
        "pool-purge-delay",
        NOWHERE,
        "TIME",
        "When needless idle connections close.",
        |args, server| {
            server.model.pool_purge_delay_ms = value::duration_ms(args, "a time")?;
            Ok(())
        },
    ),
    checks::PORT,
    Keyword::new(
        "proto",
        NOWHERE,
        "h1|h2|none",
        "Forces a protocol.",
        |args, server| {
            let word = args.word("a protocol")?;
            server.model.http2 = word.text == "h2";
            match server.model.http2 {
                true => Ok(()),
                false => http1_only(&word.text, word.span),
            }
        },
    ),
    Keyword::new(
        "proxy-v2-options",
        NOWHERE,
        "LIST",
        "What the PROXY protocol header contains.",
        proxy_options,
    ),
    Keyword::new(
        "redir",
        NOWHERE,
        "PREFIX",
        "Sends clients that ask by GET or HEAD to this prefix and their path, by redirection.",
        |args, server| {
            let word = args.word("a prefix such as http://images.example.org")?;
            if word.text.bytes().any(|byte| byte.is_ascii_control()) {
                let message = "a control character cannot stand in a header field";
                return Err(Diagnostic::error(Kind::Invalid, word.span, message));
            }
            server.model.redirect = Some(word.text.clone());
            Ok(())
        },
    ),
    tls::renegotiate("renegotiate"),
    Keyword::new(
        "resolve-net",
        NOWHERE,
        "NETWORK[,NETWORK...]",
        "Networks preferred among addresses.",
        resolve_networks,
    ),
    Keyword::new(
        "resolve-opts",
        NOWHERE,
        "OPTION[,OPTION...]",
        "How addresses of a name are used.",
        resolve_options,
    ),
    Keyword::new(
        "resolve-prefer",
        NOWHERE,
        "ipv4|ipv6",
        "Family preferred among addresses.",
        |args, server| {
            server.prefer = value::choice(
                args,
                "a family",
                &[("ipv4", Family::V4), ("ipv6", Family::V6)],
            )?;
            Ok(())
        },
    ),
    Keyword::new(
        "resolvers",
        NOWHERE,
        "NAME",
        "Follows the name's address.",
        |args, server| {
            let word = args.word("a 'resolvers' section")?;
            server.resolvers = Some(Spanned::new(word.text.clone(), word.span));
            Ok(())
        },
    ),
    checks::RISE,
    Keyword::switch(
        "send-proxy",
        NOWHERE,
        "Opens connections with the PROXY protocol.",
        |server, on| send_proxy(server, on, ProxyHeader::V1),
    ),
    Keyword::switch(
        "send-proxy-v2",
        NOWHERE,
        "Opens connections with the PROXY protocol.",
        |server, on| send_proxy(server, on, ProxyHeader::V2),
    ),
    Keyword::switch(
        "send-proxy-v2-ssl",
        NOWHERE,
        "Opens connections with the PROXY protocol.",
        |server, on| {
            send_proxy(server, on, ProxyHeader::V2);
            server.model.proxy_options.tls |= on;
        },
    ),
    Keyword::switch(
        "send-proxy-v2-ssl-cn",
        NOWHERE,
        "Opens connections with the PROXY protocol.",
        |server, on| {
            send_proxy(server, on, ProxyHeader::V2);
            let options = &mut server.model.proxy_options;
            (options.tls, options.common_name) = (options.tls | on, options.common_name | on);
        },
    ),
    Keyword::new(
        "set-proxy-v2-tlv-fmt",
        NOWHERE,
        "(TYPE) [FORMAT]",
        "Adds a field to the PROXY protocol header of version 2.",
        proxy_field,
    ),
    later(
        "shard",
        "NUMBER",
        "Part of a table that a peer keeps.",
        "peers",
    ),
    tls::sigalgs(),
    checks::SLOWSTART,
    tls::sni(),
    tls::sni_auto("sni-auto", false),
    Keyword::new(
        "socks4",
        NOWHERE,
        "ADDRESS",
        "Connects through a SOCKS4 proxy.",
        |args, server| {
            let span = value::place(args);
            let proxy = address::source(args)?;
            if proxy.port == 0 {
                let message = "the proxy's port is missing";
                return Err(Diagnostic::error(Kind::Invalid, span, message));
            }
            server.socks = Some(proxy);
            Ok(())
        },
    ),
    Keyword::new(
        "source",
        NOWHERE,
        source::USAGE,
        "Where connections are made from.",
        |args, server| {
            server.source = Some(source::of_server(args)?);
            Ok(())
        },
    ),
    tls::ssl(),
    tls::ssl_max_ver(),
    tls::ssl_min_ver(),
    tls::ssl_reuse("ssl-reuse", false),
    Keyword::new(
        "stick",
        Sections::NONE,
        "",
        "Remembers clients in stick tables, against a 'non-stick' of 'default-server'.",
        |_, server| {
            server.model.non_stick = false;
            Ok(())
        },
    ),
    noop(
        "strict-maxconn",
        "",
        "Counts idle connections too.",
        "idle connections are bounded by 'pool-max-conn'",
    ),
    later(
        "tcp-md5sig",
        "PASSWORD",
        "Signs TCP segments.",
        "a socket option of its own",
    ),
    noop(
        "tcp-ut",
        "TIME",
        "How long data may stay unacknowledged.",
        "'timeout server' closes silent connections",
    ),
    noop(
        "tfo",
        "",
        "TCP fast open.",
        "connections to servers are kept, so that few are opened",
    ),
    tls::tls_tickets(),
    checks::TRACK,
    Keyword::new(
        "usesrc",
        NOWHERE,
        "ADDRESS",
        "Foreign source addresses, behind 'source'.",
        |args, _| {
            let message = "'usesrc' belongs behind 'source' and its address";
            Err(Diagnostic::error(Kind::Invalid, args.line(), message))
        },
    ),
    tls::verify_server(),
    tls::verify_host(),
    Keyword::new(
        "weight",
        NOWHERE,
        "NUMBER",
        "Share of the load.",
        |args, server| {
            let weight = value::number(args, "the weight", 0..=WEIGHT_MAX)?;
            server.model.weight = u16::try_from(weight).unwrap_or(u16::MAX);
            Ok(())
        },
    ),
    Keyword::new(
        "ws",
        NOWHERE,
        "auto|h1|h2",
        "Protocol of WebSockets.",
        |args, server| {
            server.model.web_sockets = value::choice(
                args,
                "a protocol of WebSockets",
                &[
                    ("auto", WebSockets::Auto),
                    ("h1", WebSockets::Http1),
                    ("h2", WebSockets::Http2),
                ],
            )?;
            Ok(())
        },
    ),
];

/// Words that switch off what is off anyway.
const fn off(name: &'static str) -> Keyword<ServerDraft> {
    Keyword::switch(
        name,
        NOWHERE,
        "Undoes what a default-server line said.",
        |_, _| {},
    )
}

pub(super) fn read_server(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let name = args.word("the server's name")?;
    check_name(name)?;
    let address = address::server(args);
    let address = address.inspect_err(|_| options_only(args, draft))?;
    push(args, draft, name, address, None);
    Ok(())
}

fn read_template(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let prefix = args.word("the prefix of the servers' names")?;
    check_name(prefix)?;
    let range = template_range(args.word("a number of servers")?);
    let address = address::server(args);
    let read = range.and_then(|range| Ok((range, address?)));
    let (range, address) = read.inspect_err(|_| options_only(args, draft))?;
    push(args, draft, prefix, address, Some(range));
    Ok(())
}

fn read_default(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let name = match args.take("name") {
        true => Some(args.word("the name of the default server")?),
        false => None,
    };
    if let Some(name) = name {
        check_name(name)?;
        let mut servers = draft.proxy().servers.iter();
        if servers.any(|server| server.model.name == name.text) {
            let message = format_args!("a server is called '{}' already", name.text);
            return Err(Diagnostic::error(Kind::Invalid, name.span, message)
                .help("give the default server a name of its own"));
        }
    }
    let from = origin(args, draft)?;
    let settings = draft.settings();
    let mut server = from.unwrap_or_else(|| match name {
        Some(name) => {
            let known = settings.named_servers.get(&name.text);
            known.cloned().unwrap_or_default()
        }
        None => settings.default_server.clone(),
    });
    let words = args.rest().iter().map(|word| word.text.clone());
    server.written.extend(words);
    let found = read_words(args, OPTIONS, &mut server, "an option of a server");
    let settings = draft.settings();
    match name {
        Some(name) => {
            settings.named_servers.insert(name.text.clone(), server);
        }
        None => settings.default_server = server,
    }
    report(draft, found);
    Ok(())
}

/// `from none`, `from be:[BACKEND]` or `from srv:[BACKEND/]SERVER`: the options to begin with.
fn origin(args: &mut Args<'_>, draft: &mut Draft) -> Result<Option<ServerDraft>, Diagnostic> {
    if !args.take("from") {
        return Ok(None);
    }
    let word = args.word("whose options are taken")?;
    let unknown = |what: &str, name: &str| {
        let message = format_args!("no {what} above is called '{name}'");
        Diagnostic::error(Kind::Reference, word.span, message)
    };
    let found = match word.text.split_once(':') {
        None if word.text == "none" => ServerDraft::default(),
        Some(("be", "")) => draft.settings().default_server.clone(),
        Some(("be", name)) => {
            let backend = backend_above(draft, name).ok_or_else(|| unknown("backend", name))?;
            backend.settings.default_server.clone()
        }
        Some(("srv", path)) => {
            let (backend, name) = match path.split_once('/') {
                None => (&*draft.proxy(), path),
                Some((backend, name)) => {
                    let found = backend_above(draft, backend);
                    (found.ok_or_else(|| unknown("backend", backend))?, name)
                }
            };
            let server = server_above(backend, name).ok_or_else(|| unknown("server", name))?;
            // What is one server's own is not another's.
            ServerDraft {
                id: None,
                address: ServerAddressDraft::None,
                template: None,
                ..server.clone()
            }
        }
        _ => {
            let message = format_args!("'{}' names no options", word.text);
            return Err(Diagnostic::error(Kind::Invalid, word.span, message)
                .help("write none, be:BACKEND, srv:SERVER or srv:BACKEND/SERVER"));
        }
    };
    Ok(Some(found))
}

fn backend_above<'a>(draft: &'a Draft, name: &str) -> Option<&'a ProxyDraft> {
    let mut proxies = draft.proxies.iter().filter(|proxy| proxy.has_back());
    proxies.find(|proxy| proxy.name == name)
}

fn server_above<'a>(proxy: &'a ProxyDraft, name: &str) -> Option<&'a ServerDraft> {
    let named = proxy.settings.named_servers.get(name);
    let mut servers = proxy.servers.iter();
    named.or_else(|| servers.find(|server| server.model.name == name))
}

/// The newer version counts where both are asked for, in whatever order (as in HAProxy).
fn send_proxy(server: &mut ServerDraft, on: bool, version: ProxyHeader) {
    let newer = server.model.send_proxy == Some(ProxyHeader::V2) && version == ProxyHeader::V1;
    if !newer {
        server.model.send_proxy = on.then_some(version);
    }
}

fn proxy_options(args: &mut Args<'_>, server: &mut ServerDraft) -> Result<(), Diagnostic> {
    let word = args.word("options between commas")?;
    let options = &mut server.model.proxy_options;
    for option in word.text.split(',') {
        match option {
            "crc32c" => options.checksum = true,
            "unique-id" => options.unique_id = true,
            "authority" => options.authority = true,
            "ssl" => options.tls = true,
            "cert-cn" => (options.tls, options.common_name) = (true, true),
            "ssl-cipher" => (options.tls, options.cipher) = (true, true),
            "cert-sig" => (options.tls, options.signature) = (true, true),
            "cert-key" => (options.tls, options.key) = (true, true),
            _ => {
                let message = format_args!("'{option}' is not an option of the PROXY protocol");
                return Err(Diagnostic::error(Kind::Unknown, word.span, message));
            }
        }
    }
    Ok(())
}

/// `set-proxy-v2-tlv-fmt(TYPE) [FORMAT]`; the format is read when all names are known.
fn proxy_field(args: &mut Args<'_>, server: &mut ServerDraft) -> Result<(), Diagnostic> {
    let name = args.last().cloned().unwrap_or_default();
    let inner = name.text.split_once('(');
    let digits = inner.and_then(|(_, inner)| inner.strip_suffix(')'));
    let number = digits.and_then(|digits| match digits.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    });
    let Some(number) = number else {
        let error = Diagnostic::error(Kind::Invalid, name.span, "the type of the field is missing");
        return Err(error.help("write a number up to 255, as in 'set-proxy-v2-tlv-fmt(0xE1)'"));
    };
    server.proxy_fields.push((number, args.next().cloned()));
    Ok(())
}

/// Tells what is wrong with the options of a server that is lost already.
fn options_only(args: &mut Args<'_>, draft: &mut Draft) {
    let mut server = ServerDraft::default();
    let found = read_words(args, OPTIONS, &mut server, "an option of a server");
    let errors = found.into_iter();
    report(
        draft,
        errors
            .filter(|found| found.severity == Severity::Error)
            .collect(),
    );
}

/// Reads the options of a server and adds it to the proxy.
fn push(
    args: &mut Args<'_>,
    draft: &mut Draft,
    name: &Word,
    address: ServerAddressDraft,
    template: Option<(u32, u32)>,
) {
    let from = match origin(args, draft) {
        Ok(from) => from,
        Err(error) => {
            while args.next().is_some() {}
            return draft.report(error);
        }
    };
    let mut server = from.unwrap_or_else(|| draft.settings().default_server.clone());
    server.written = Vec::new();
    server.model.name.clone_from(&name.text);
    (server.address, server.template) = (address, template);
    server.name_span = name.span;
    let found = read_words(args, OPTIONS, &mut server, "an option of a server");
    report(draft, found);
    server.tls.defaults = Some(Arc::clone(&draft.global.tls.server));
    draft.proxy().servers.push(server);
}

/// Deferred words stand on every server line; each is spoken of once.
fn report(draft: &mut Draft, found: Vec<Diagnostic>) {
    for remark in found {
        let deferred = remark.kind == Kind::NotImplemented && remark.severity == Severity::Note;
        if !deferred || draft.told.insert(remark.message.clone()) {
            draft.report(remark);
        }
    }
}

/// Names stand in logs, statistics and commands, so that only these characters are safe.
pub(crate) fn check_name(name: &Word) -> Result<(), Diagnostic> {
    let safe = |character: &char| {
        character.is_ascii_alphanumeric() || matches!(character, '.' | ':' | '-' | '_')
    };
    match name.text.chars().find(|character| !safe(character)) {
        None => Ok(()),
        Some(character) => {
            let message = format_args!(
                "the character '{}' cannot stand in a name",
                character.escape_default()
            );
            let error = Diagnostic::error(Kind::Invalid, name.span, message);
            Err(error.help("write letters, digits, '-', '_', '.' and ':'"))
        }
    }
}

/// `5` stands for 1 to 5, `3-7` for itself.
fn template_range(word: &Word) -> Result<(u32, u32), Diagnostic> {
    let (first, last) = word.text.split_once('-').unwrap_or(("1", &word.text));
    match (first.parse::<u32>(), last.parse::<u32>()) {
        (Ok(first), Ok(last)) if first <= last && last - first < TEMPLATE_MAX => Ok((first, last)),
        _ => {
            let message = format_args!("'{}' is not a number of servers", word.text);
            let error = Diagnostic::error(Kind::Invalid, word.span, message);
            Err(error.help(format_args!(
                "write a number or a range such as 1-5, of at most {TEMPLATE_MAX}"
            )))
        }
    }
}

fn hash_key(args: &mut Args<'_>, server: &mut ServerDraft) -> Result<(), Diagnostic> {
    let known = [
        ("id", HashKey::Id),
        ("id32", HashKey::Id32),
        ("guid", HashKey::Guid),
        ("addr", HashKey::Addr),
        ("addr-port", HashKey::AddrPort),
    ];
    server.model.hash_key = value::choice(args, "a key", &known)?;
    Ok(())
}

fn init_addr(args: &mut Args<'_>, server: &mut ServerDraft) -> Result<(), Diagnostic> {
    let word = args.word("a method")?;
    server.init_addr.clear();
    for method in word.text.split(',') {
        let method = match method {
            "last" => InitAddr::Last,
            "libc" => InitAddr::Libc,
            "none" => InitAddr::None,
            text => match text.parse() {
                Ok(ip) => InitAddr::Ip(ip),
                Err(_) => {
                    let message = format_args!("'{text}' is not a way of finding an address");
                    let error = Diagnostic::error(Kind::Invalid, word.span, message);
                    return Err(error.help("write last, libc, none, or an IP address"));
                }
            },
        };
        if server.init_addr.len() == INIT_ADDR_MAX {
            let message = format_args!("more than {INIT_ADDR_MAX} ways of finding an address");
            return Err(Diagnostic::error(Kind::Invalid, word.span, message));
        }
        server.init_addr.push(method);
    }
    Ok(())
}

fn resolve_networks(args: &mut Args<'_>, server: &mut ServerDraft) -> Result<(), Diagnostic> {
    let word = args.word("networks")?;
    server.resolve_networks.clear();
    for text in word.text.split(',') {
        let network = Network::parse(text).map_err(|fault| {
            let message = format_args!("{}", fault.message);
            Diagnostic::error(Kind::Invalid, word.span, message)
        })?;
        if server.resolve_networks.len() == RESOLVE_NETWORKS_MAX {
            let message = format_args!("more than {RESOLVE_NETWORKS_MAX} networks");
            return Err(Diagnostic::error(Kind::Invalid, word.span, message));
        }
        server.resolve_networks.push(model::Network {
            address: network.address,
            prefix: network.prefix_bits,
        });
    }
    Ok(())
}

fn resolve_options(args: &mut Args<'_>, server: &mut ServerDraft) -> Result<(), Diagnostic> {
    let word = args.word("options")?;
    let mut options = ResolveOptions::default();
    for text in word.text.split(',') {
        match text {
            "allow-dup-ip" => options.allow_duplicates = true,
            "prevent-dup-ip" => options.allow_duplicates = false,
            "ignore-weight" => options.ignore_weight = true,
            _ => {
                let message = format_args!("'{text}' is no way of using addresses");
                let error = Diagnostic::error(Kind::Invalid, word.span, message);
                return Err(error.help("write allow-dup-ip, ignore-weight, or prevent-dup-ip"));
            }
        }
    }
    server.resolve_options = options;
    Ok(())
}
