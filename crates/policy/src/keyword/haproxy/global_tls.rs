//! `global` words about TLS: where files are, what is loaded beside them, and what binds and servers say unless they
//! say otherwise.

use std::sync::Arc;

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::tls::{BIND_DEFAULTS, SERVER_DEFAULTS, TlsDraft, VERIFY_SERVER};
use super::value;
use crate::draft::{Draft, Spanned};
use crate::keyword::{Keyword, Sections, Status, read_words};

const GLOBAL: Sections = Sections::GLOBAL;
const OPENSSL: &str = "it is about OpenSSL, which is not used here";

/// Sorted; `tune.ssl.*` stands with the other tuning.
pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::new(
        "ca-base",
        GLOBAL,
        "DIRECTORY",
        "Where relative names of CA files begin.",
        |args, draft| {
            draft.global.tls.ca_base = Some(value::text(args, "a directory")?);
            Ok(())
        },
    ),
    Keyword::new(
        "crt-base",
        GLOBAL,
        "DIRECTORY",
        "Where relative names of certificates begin.",
        |args, draft| {
            draft.global.tls.crt_base = Some(value::text(args, "a directory")?);
            Ok(())
        },
    ),
    Keyword::new(
        "issuers-chain-path",
        GLOBAL,
        "DIRECTORY",
        "Certificates that complete chains.",
        |args, draft| {
            let span = value::place(args);
            draft.global.tls.issuers = Some(Spanned::new(value::text(args, "a directory")?, span));
            Ok(())
        },
    ),
    Keyword::new(
        "key-base",
        GLOBAL,
        "DIRECTORY",
        "Where relative names of keys begin.",
        |args, draft| {
            draft.global.tls.key_base = Some(value::text(args, "a directory")?);
            Ok(())
        },
    ),
    Keyword::inert(
        "maxsslconn",
        GLOBAL,
        "NUMBER",
        "Most concurrent TLS connections.",
        Status::Dormant("'maxconn' limits connections of both kinds together"),
    ),
    Keyword::inert(
        "maxsslrate",
        GLOBAL,
        "NUMBER",
        "Most TLS handshakes per second.",
        Status::Dormant("handshakes are not counted apart from connections"),
    ),
    Keyword::new(
        "ocsp-update.disable",
        GLOBAL,
        "on|off",
        "Authorities are never asked by themselves to vouch for certificates.",
        |args, draft| {
            let disabled = args.on_off("whether none are asked")?;
            draft.global.model.stapling.disabled = disabled;
            Ok(())
        },
    ),
    Keyword::new(
        "ocsp-update.httpproxy",
        GLOBAL,
        "HOST[:PORT]",
        "The proxy that authorities are asked through.",
        |args, draft| {
            let place = args.word("a proxy")?.text.clone();
            let place = if place.contains(':') {
                place
            } else {
                place + ":80"
            };
            draft.global.model.stapling.proxy = Some(place);
            Ok(())
        },
    ),
    ocsp_delay("ocsp-update.maxdelay", longest_delay),
    ocsp_delay("ocsp-update.mindelay", shortest_delay),
    Keyword::new(
        "ocsp-update.mode",
        GLOBAL,
        "on|off",
        "Whether authorities are asked where a certificate does not say otherwise.",
        |args, draft| {
            let wanted = args.on_off("whether responses are fetched")?;
            draft.global.tls.fetches = wanted;
            draft.global.model.stapling.by_default = wanted;
            Ok(())
        },
    ),
    list(
        "ssl-default-bind-ciphers",
        "Ciphers of TLS 1.2 for clients.",
        |args, draft| {
            Arc::make_mut(&mut draft.global.tls.bind).ciphers = Some(spanned(args)?);
            Ok(())
        },
    ),
    list(
        "ssl-default-bind-ciphersuites",
        "Ciphers of TLS 1.3 for clients.",
        |args, draft| {
            Arc::make_mut(&mut draft.global.tls.bind).cipher_suites = Some(spanned(args)?);
            Ok(())
        },
    ),
    list(
        "ssl-default-bind-client-sigalgs",
        "Signatures of client certificates.",
        |args, draft| {
            Arc::make_mut(&mut draft.global.tls.bind).client_signatures = Some(spanned(args)?);
            Ok(())
        },
    ),
    list(
        "ssl-default-bind-curves",
        "Key exchanges for clients.",
        |args, draft| {
            Arc::make_mut(&mut draft.global.tls.bind).curves = Some(spanned(args)?);
            Ok(())
        },
    ),
    Keyword::new(
        "ssl-default-bind-options",
        GLOBAL,
        "OPTION...",
        "TLS versions for clients.",
        |args, draft| {
            options(args, draft, BIND_DEFAULTS, |draft| {
                Arc::make_mut(&mut draft.global.tls.bind)
            })
        },
    ),
    list(
        "ssl-default-bind-sigalgs",
        "Signatures for clients.",
        |args, draft| {
            Arc::make_mut(&mut draft.global.tls.bind).signatures = Some(spanned(args)?);
            Ok(())
        },
    ),
    list(
        "ssl-default-server-ciphers",
        "Ciphers of TLS 1.2 for servers.",
        |args, draft| {
            Arc::make_mut(&mut draft.global.tls.server).ciphers = Some(spanned(args)?);
            Ok(())
        },
    ),
    list(
        "ssl-default-server-ciphersuites",
        "Ciphers of TLS 1.3 for servers.",
        |args, draft| {
            Arc::make_mut(&mut draft.global.tls.server).cipher_suites = Some(spanned(args)?);
            Ok(())
        },
    ),
    list(
        "ssl-default-server-client-sigalgs",
        "Signatures of our certificate.",
        |args, draft| {
            Arc::make_mut(&mut draft.global.tls.server).client_signatures = Some(spanned(args)?);
            Ok(())
        },
    ),
    list(
        "ssl-default-server-curves",
        "Key exchanges for servers.",
        |args, draft| {
            Arc::make_mut(&mut draft.global.tls.server).curves = Some(spanned(args)?);
            Ok(())
        },
    ),
    Keyword::new(
        "ssl-default-server-options",
        GLOBAL,
        "OPTION...",
        "TLS versions for servers.",
        |args, draft| {
            options(args, draft, SERVER_DEFAULTS, |draft| {
                Arc::make_mut(&mut draft.global.tls.server)
            })
        },
    ),
    list(
        "ssl-default-server-sigalgs",
        "Signatures for servers.",
        |args, draft| {
            Arc::make_mut(&mut draft.global.tls.server).signatures = Some(spanned(args)?);
            Ok(())
        },
    ),
    noop(
        "ssl-dh-param-file",
        "FILE",
        "Parameters of finite-field key exchange.",
        DHE,
    ),
    noop("ssl-engine", "NAME [WORD...]", "OpenSSL engine.", OPENSSL),
    Keyword::switch(
        "ssl-load-extra-del-ext",
        GLOBAL,
        "How names of extra files are formed.",
        |draft, on| {
            draft.global.tls.extra_without_extension = on;
        },
    ),
    Keyword::new(
        "ssl-load-extra-files",
        GLOBAL,
        "KIND...",
        "Which extra files are loaded.",
        extra_files,
    ),
    noop("ssl-mode-async", "", "Asynchronous TLS.", OPENSSL),
    Keyword::inert(
        "ssl-passphrase-cmd",
        GLOBAL,
        "COMMAND...",
        "Program that knows pass phrases.",
        Status::Refused {
            reason: "Plimsoll starts no programs while it loads keys",
            instead: "store the keys without a pass phrase, readable by root alone",
        },
    ),
    noop(
        "ssl-propquery",
        "QUERY",
        "Choice among OpenSSL providers.",
        OPENSSL,
    ),
    noop("ssl-provider", "NAME", "OpenSSL provider.", OPENSSL),
    noop(
        "ssl-provider-path",
        "DIRECTORY",
        "Where OpenSSL providers are.",
        OPENSSL,
    ),
    noop(
        "ssl-security-level",
        "NUMBER",
        "OpenSSL security level.",
        "only suites and keys of level 2 and above are offered",
    ),
    Keyword::new(
        "ssl-server-verify",
        GLOBAL,
        "none|required",
        "Whether certificates of servers are verified.",
        |args, draft| {
            draft.global.tls.server_verify =
                Some(value::choice(args, "a way of verifying", VERIFY_SERVER)?);
            Ok(())
        },
    ),
    noop(
        "ssl-skip-self-issued-ca",
        "",
        "Leaves out self-issued CA certificates.",
        "a root that is sent with the chain is of no use to clients, and no harm",
    ),
];

/// Why words about finite-field Diffie-Hellman have no effect.
pub(super) const DHE: &str = "key exchange over finite fields is not offered; that over curves is";

/// Seconds between two requests for one certificate.
const fn ocsp_delay(
    name: &'static str,
    read: fn(&mut Args<'_>, &mut Draft) -> Result<(), Diagnostic>,
) -> Keyword<Draft> {
    let doc = "Seconds between two requests to an authority for one certificate.";
    Keyword::new(name, GLOBAL, "NUMBER", doc, read)
}

pub(super) fn longest_delay(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let stapling = &mut draft.global.model.stapling;
    let range = stapling.min_delay_s..=DELAY_MAX_S;
    stapling.max_delay_s = value::number(args, "a number of seconds", range)?;
    Ok(())
}

pub(super) fn shortest_delay(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let stapling = &mut draft.global.model.stapling;
    let range = 0..=stapling.max_delay_s;
    stapling.min_delay_s = value::number(args, "a number of seconds", range)?;
    Ok(())
}

/// Longest time between two requests to an authority: a month.
const DELAY_MAX_S: u32 = 31 * 24 * 3_600;

const fn noop(
    name: &'static str,
    usage: &'static str,
    doc: &'static str,
    why: &'static str,
) -> Keyword<Draft> {
    Keyword::inert(name, GLOBAL, usage, doc, Status::NoOp(why))
}

const fn list(
    name: &'static str,
    doc: &'static str,
    read: fn(&mut Args<'_>, &mut Draft) -> Result<(), Diagnostic>,
) -> Keyword<Draft> {
    Keyword::new(name, GLOBAL, "LIST", doc, read)
}

fn spanned(args: &mut Args<'_>) -> Result<Spanned<String>, Diagnostic> {
    let word = args.word("a list")?;
    Ok(Spanned::new(word.text.clone(), word.span))
}

fn options(
    args: &mut Args<'_>,
    draft: &mut Draft,
    known: &'static [Keyword<TlsDraft>],
    of: fn(&mut Draft) -> &mut TlsDraft,
) -> Result<(), Diagnostic> {
    let mut tls = std::mem::take(of(draft));
    let found = read_words(args, known, &mut tls, "an option of TLS defaults");
    *of(draft) = tls;
    draft.findings.extend(found);
    Ok(())
}

/// `ssl-load-extra-files none | all | bundle sctl ocsp issuer key`.
fn extra_files(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    const KINDS: [&str; 5] = ["bundle", "issuer", "key", "ocsp", "sctl"];
    let mut kinds = Vec::new();
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "none" => kinds.clear(),
            "all" => kinds.extend(KINDS.map(str::to_owned)),
            kind if KINDS.contains(&kind) => kinds.push(kind.to_owned()),
            _ => return Err(value::unknown(word, "a kind of file", KINDS.into_iter())),
        }
    }
    draft.global.tls.extra_files = Some(kinds);
    Ok(())
}
