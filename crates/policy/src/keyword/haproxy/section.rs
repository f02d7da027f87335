//! Sections: which there are, what their first lines say, and which lines they take.

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind, Severity, Span};
use plimsoll_config::haproxy;

use super::tls::{self, TlsDraft};
use super::{
    Context, acme, address, log_profile, peers, read_line, resolvers, server, surplus, userlist,
    value,
};
use crate::draft::{BindDraft, Draft, PROXIES_MAX, ProxyDraft, ServerDraft, Settings, UnixDraft};
use crate::keyword::{Sections, Status};
use crate::model::{Bind, BindAddress, Mode, Model};

/// A kind of section.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: &'static str,
    /// One sentence.
    pub(super) doc: &'static str,
    pub(super) status: Status,
}

const fn later(name: &'static str, doc: &'static str, waits: &'static str) -> Section {
    Section {
        name,
        doc,
        status: Status::NotYet(waits),
    }
}

const fn works(name: &'static str, doc: &'static str) -> Section {
    Section {
        name,
        doc,
        status: Status::Implemented,
    }
}

/// Every kind of section, sorted.
pub(super) const SECTIONS: &[Section] = &[
    works("acme", "An authority that issues certificates by itself."),
    works("backend", "Servers to which requests go."),
    later("cache", "Keeps responses.", "the cache"),
    works("crt-store", "Certificates."),
    works("defaults", "Settings of the proxies below."),
    later("fcgi-app", "A FastCGI application.", "FastCGI"),
    works("frontend", "Where clients come in."),
    works("global", "The process."),
    works(
        "healthcheck",
        "A health check, for servers of several backends.",
    ),
    works("http-errors", "Answers to errors, for several proxies."),
    works("listen", "A frontend and a backend in one."),
    later("log-forward", "Relays logs.", "log forwarding"),
    works("log-profile", "Other log lines for some steps."),
    Section {
        name: "mailers",
        doc: "Mail servers for alerts.",
        status: Status::Refused {
            reason: "mail needs queues, retries and TLS that a mail server has and a balancer should not",
            instead: "send the log, or alerts on haproxy_server_status of the metrics, to what writes mail",
        },
    },
    later(
        "namespace_list",
        "Network namespaces.",
        "network namespaces",
    ),
    works(
        "peers",
        "Stick tables by name, and who they are shared with.",
    ),
    Section {
        name: "program",
        doc: "Starts a program.",
        status: Status::Refused {
            reason: "Plimsoll supervises nothing but itself",
            instead: "start the program by the service manager",
        },
    },
    works("resolvers", "Name servers."),
    later("ring", "Keeps logs in memory.", "rings"),
    Section {
        name: "traces",
        doc: "Traces of the program.",
        status: Status::NoOp("it only serves to debug HAProxy itself"),
    },
    works("userlist", "Users, their passwords and groups."),
];

/// The names of [`SECTIONS`], for the grammar.
pub(super) const NAMES: &[&str] = &{
    let mut names = [""; SECTIONS.len()];
    let mut at = 0;
    while at < SECTIONS.len() {
        names[at] = SECTIONS[at].name;
        at += 1;
    }
    names
};

/// Reads a section and its lines into the draft.
pub(super) fn read(draft: &mut Draft, section: &haproxy::Section) {
    if draft.findings.is_full() {
        return;
    }
    draft.seen.clear();
    draft.line = section.span;
    draft.keyword = section.keyword.span;
    let name = section.keyword.text.as_str();
    let kind = match name {
        "global" => Sections::GLOBAL,
        "defaults" => Sections::DEFAULTS,
        "frontend" => Sections::FRONTEND,
        "listen" => Sections::LISTEN,
        "backend" => Sections::BACKEND,
        "healthcheck" => Sections::HEALTHCHECK,
        "http-errors" => Sections::HTTP_ERRORS,
        "peers" => Sections::PEERS,
        "acme" => Sections::ACME,
        "crt-store" => Sections::CRT_STORE,
        "resolvers" => Sections::RESOLVERS,
        "userlist" => Sections::USERLIST,
        "log-profile" => Sections::LOG_PROFILE,
        _ => {
            let known = SECTIONS.iter().find(|known| known.name == name);
            let status =
                known.and_then(|known| known.status.diagnostic(name, section.keyword.span));
            draft.findings.extend(status);
            draft.section = None;
            draft.is_astray = false;
            return;
        }
    };
    if draft.proxies.len() + draft.defaults.len() + draft.peers.len() + draft.userlists.len()
        >= PROXIES_MAX
    {
        let message = format_args!("there are more than {PROXIES_MAX} proxies");
        draft.report(Diagnostic::error(Kind::Invalid, draft.keyword, message));
        return;
    }
    draft.section = Some(kind);
    draft.is_astray = false;
    let mut args = section.args();
    let opened = match kind {
        Sections::GLOBAL => args.finish(),
        Sections::DEFAULTS => defaults(draft, &mut args),
        Sections::HEALTHCHECK => healthcheck(draft, &mut args),
        Sections::HTTP_ERRORS => http_errors(draft, &mut args),
        Sections::PEERS => peers::open(draft, &mut args),
        Sections::ACME => acme::open(draft, &mut args),
        Sections::CRT_STORE => tls::open_store(draft, &mut args),
        Sections::RESOLVERS => resolvers::open(draft, &mut args),
        Sections::USERLIST => userlist::open(draft, &mut args),
        Sections::LOG_PROFILE => log_profile::open(draft, &mut args),
        _ => proxy(draft, &mut args, kind),
    };
    if let Err(error) = opened {
        draft.report(error);
    }
    for line in &section.lines {
        if draft.findings.is_full() {
            return;
        }
        read_line(draft, line);
    }
}

/// `defaults [NAME] [from NAME]`.
fn defaults(draft: &mut Draft, args: &mut Args<'_>) -> Result<(), Diagnostic> {
    let mut section = ProxyDraft {
        kind: Some(Sections::DEFAULTS),
        span: draft.keyword,
        ..ProxyDraft::default()
    };
    let named = match (args.peek(), args.rest().len()) {
        (Some(word), 2) if word.text == "from" => None,
        (word, _) => word,
    };
    if let Some(word) = named {
        args.next();
        (section.name, section.span) = (word.text.clone(), word.span);
    }
    let from = inherited(draft, args);
    let checked = named.map_or(Ok(()), |word| defaults_name(draft, word));
    let span = section.span;
    let read = from.and_then(|from| {
        if let Some(from) = from {
            let base = &mut draft.defaults[from];
            may_inherit(base, Sections::DEFAULTS, span)?;
            section.settings = base.settings.clone();
            section.settings.checks = base.settings.checks.inherited();
        }
        checked
    });
    draft
        .defaults_by_name
        .insert(section.name.clone(), draft.defaults.len());
    draft.defaults.push(section);
    read?;
    draft.findings.extend(surplus(args, "the section's name"));
    Ok(())
}

/// `healthcheck NAME`.
fn healthcheck(draft: &mut Draft, args: &mut Args<'_>) -> Result<(), Diagnostic> {
    let word = args.word("a name")?;
    let known = draft.healthchecks.iter();
    let again = known.clone().any(|known| known.name == word.text);
    draft.healthchecks.push(ProxyDraft {
        kind: Some(Sections::HEALTHCHECK),
        name: word.text.clone(),
        span: word.span,
        ..ProxyDraft::default()
    });
    if again {
        let message = format_args!("another 'healthcheck' section is called '{}'", word.text);
        return Err(
            Diagnostic::error(Kind::Invalid, word.span, message).help("give this one another name")
        );
    }
    args.finish()
}

/// `http-errors NAME`.
fn http_errors(draft: &mut Draft, args: &mut Args<'_>) -> Result<(), Diagnostic> {
    let word = args.word("a name")?;
    draft.http_errors.push(ProxyDraft {
        kind: Some(Sections::HTTP_ERRORS),
        name: word.text.clone(),
        span: word.span,
        ..ProxyDraft::default()
    });
    draft.findings.extend(surplus(args, "the section's name"));
    Ok(())
}

/// A name may be given again, as long as nobody has named the section that had it.
fn defaults_name(draft: &Draft, word: &Word) -> Result<(), Diagnostic> {
    let earlier = draft.defaults_by_name.get(&word.text);
    match earlier {
        Some(earlier) if draft.defaults[*earlier].referenced => {
            let message = format_args!(
                "another 'defaults' section is called '{}' and has been used",
                word.text
            );
            Err(Diagnostic::error(Kind::Invalid, word.span, message)
                .help("give this one another name"))
        }
        _ => Ok(()),
    }
}

/// The `defaults` section that `from NAME` names, if those words follow.
fn inherited(draft: &mut Draft, args: &mut Args<'_>) -> Result<Option<usize>, Diagnostic> {
    if !args.take("from") {
        return Ok(None);
    }
    let word = args.word("the name of a 'defaults' section")?;
    let Some(found) = draft.defaults_by_name.get(&word.text).copied() else {
        let names = draft.defaults_by_name.keys().map(String::as_str);
        let message = format_args!("no 'defaults' section above is called '{}'", word.text);
        let error = Diagnostic::error(Kind::Reference, word.span, message);
        return Err(match plimsoll_config::suggest::nearest(&word.text, names) {
            Some(near) => error.help(format_args!("did you mean '{near}'?")),
            None => error,
        });
    };
    draft.defaults[found].referenced = true;
    Ok(Some(found))
}

/// Whether rules of a `defaults` section make sense in a section of this kind: they are written for one half of a proxy.
fn may_inherit(base: &mut ProxyDraft, kind: Sections, span: Span) -> Result<(), Diagnostic> {
    let rules = &base.settings.rules;
    let has = |names: &[&str]| rules.iter().any(|rule| names.contains(&rule.keyword));
    // Both halves may have the same name for requests.
    let of_halves = |name: &str| !matches!(name, "acl" | "unique-id-format");
    if !rules.iter().any(|rule| of_halves(rule.keyword)) {
        return Ok(());
    }
    let other_half = base.rules_for.is_some_and(|before| before != kind);
    let message = match kind {
        Sections::DEFAULTS => "a 'defaults' section cannot inherit rules",
        Sections::LISTEN => "a 'listen' section cannot inherit rules",
        _ if other_half => "a frontend and a backend cannot inherit the same rules",
        Sections::BACKEND if has(&["tcp-request connection", "tcp-request session"]) => {
            "a backend cannot inherit rules for connections and sessions"
        }
        Sections::FRONTEND if has(&["tcp-response content"]) => {
            "a frontend cannot inherit rules for what servers send"
        }
        _ => {
            base.rules_for = Some(kind);
            return Ok(());
        }
    };
    let error = Diagnostic::error(Kind::Invalid, span, message);
    Err(error.help("write 'from NAME' with a 'defaults' section that has no such rules"))
}

/// `frontend NAME [from NAME]`, and the old `listen NAME ADDRESS`.
fn proxy(draft: &mut Draft, args: &mut Args<'_>, kind: Sections) -> Result<(), Diagnostic> {
    let mut section = ProxyDraft {
        kind: Some(kind),
        span: draft.keyword,
        ..ProxyDraft::default()
    };
    let named = args.word("a name");
    if let Ok(word) = named {
        (section.name, section.span) = (word.text.clone(), word.span);
    }
    let explicit = args.peek().is_some_and(|word| word.text == "from");
    let from = if explicit {
        inherited(draft, args)
    } else {
        Ok(draft.defaults.len().checked_sub(1))
    };
    let mut judged = Ok(());
    if let Ok(Some(from)) = from {
        let base = &mut draft.defaults[from];
        judged = may_inherit(base, kind, section.span);
        base.inherited |= !explicit;
        section.settings = base.settings.clone();
        section.settings.checks = base.settings.checks.inherited();
        if base.inherited && base.referenced {
            let message = format_args!(
                "the 'defaults' section '{}' is named here and silently used there",
                base.name
            );
            let warning = Diagnostic::warning(Kind::Advice, section.span, message);
            draft.report(warning.help("name the section in every proxy that uses it"));
        }
    }
    draft.proxies.push(section);
    server::check_name(named?)?;
    from?;
    judged?;
    if !args.is_empty() && draft.has_front() {
        return old_address(draft, args);
    }
    args.finish()
}

/// An address behind the name, as files had it before there was `bind`.
fn old_address(draft: &mut Draft, args: &mut Args<'_>) -> Result<(), Diagnostic> {
    let span = value::place(args);
    let written = args.peek().map_or(String::new(), |word| word.text.clone());
    let addresses = address::listen(args)
        .map_err(|error| error.help("write 'bind ADDRESS' on a line of its own"))?;
    let warning = Diagnostic::warning(
        Kind::Legacy,
        span,
        "an address behind the name is an old spelling",
    );
    draft.report(warning.help(format_args!("write 'bind {written}' on a line of its own")));
    let unix = draft.global.unix_bind.clone();
    let addresses = super::bind::prefixed(addresses, &unix.prefix, span)?;
    let model = Bind::new(BindAddress::Abstract(String::new()));
    let bind = BindDraft {
        line: Some(span),
        addresses,
        model,
        unix,
        id: None,
        tls: TlsDraft::default(),
        remarks: Vec::new(),
    };
    draft.proxy().bound = true;
    draft.proxy().binds.push(bind);
    args.finish()
}

/// See [`super::listen_to`].
pub(super) fn listen_to(
    listen: &str,
    servers: &[&str],
    context: &Context<'_>,
) -> Result<Model, Vec<Diagnostic>> {
    let mut draft = Draft {
        section: Some(Sections::LISTEN),
        ..Draft::default()
    };
    let mut proxy = ProxyDraft {
        kind: Some(Sections::LISTEN),
        name: "main".to_owned(),
        ..ProxyDraft::default()
    };
    proxy.settings = Settings {
        mode: Mode::Http,
        ..Settings::default()
    };
    proxy.settings.front.timeouts.client_ms = Some(crate::resolve::TIMEOUT_CLIENT_MS);
    proxy.settings.back.timeouts.connect_ms = Some(crate::resolve::TIMEOUT_CONNECT_MS);
    proxy.settings.back.timeouts.server_ms = Some(crate::resolve::TIMEOUT_SERVER_MS);
    let whole = |text: &str| Span {
        end: u32::try_from(text.len()).unwrap_or(u32::MAX),
        ..super::NOWHERE
    };
    let mut problems = Vec::new();
    let words = [Word::new(listen, whole(listen))];
    match address::listen(&mut Args::new(&words, whole(listen))) {
        Ok(addresses) => {
            let model = Bind::new(BindAddress::Abstract(String::new()));
            proxy.binds.push(BindDraft {
                line: None,
                addresses,
                model,
                unix: UnixDraft::default(),
                id: None,
                tls: TlsDraft::default(),
                remarks: Vec::new(),
            });
        }
        Err(problem) => problems.push(problem),
    }
    for (index, text) in servers.iter().enumerate() {
        let words = [Word::new(*text, whole(text))];
        match address::server(&mut Args::new(&words, whole(text))) {
            Ok(address) => {
                let mut server = ServerDraft {
                    address,
                    ..ServerDraft::default()
                };
                server.model.name = format!("s{}", index + 1);
                proxy.servers.push(server);
            }
            Err(problem) => problems.push(problem),
        }
    }
    draft.proxies.push(proxy);
    let resolved = crate::resolve::resolve(draft, context);
    let (model, found) = (resolved.model, resolved.diagnostics);
    problems.extend(
        found
            .into_iter()
            .filter(|problem| problem.severity == Severity::Error),
    );
    if problems.is_empty() {
        Ok(model)
    } else {
        Err(problems)
    }
}
