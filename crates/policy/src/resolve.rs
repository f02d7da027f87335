//! From a draft to a model: names become ids, hosts become addresses, defaults are applied.
//!
//! Resolution goes on after an error, so that all problems are found in one pass; whether the model may be used is
//! for the caller to decide from the diagnostics. What is absent: text and keywords.

mod acme;
mod captures;
mod certificates;
mod checks;
mod cookies;
mod endpoints;
mod errors;
mod forwarded;
mod limits;
mod logs;
mod modes;
mod names;
mod rules;
mod spelling;
mod tables;
mod tls;
mod users;

#[cfg(test)]
pub(crate) use rules::known_names;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll_config::diagnostic::{Diagnostic, FileId, Kind, Span};
use plimsoll_config::suggest::nearest;

use self::tls::Uses;
use crate::balance::BalanceSpec;
use crate::draft::{
    BindDraft, Draft, Findings, LogProfileDraft, ProxyDraft, ServerDraft, Settings, Spanned,
    StateSource, VariableDraft,
};
use crate::keyword::Sections;
use crate::keyword::haproxy::{Context, GlobalTlsDraft, NOWHERE, StepDraft};
use crate::model::names::Resolvers;
use crate::model::tls::{BindTls, Profile};
use crate::model::{
    Backend, BackendId, Bind, ForwardFor, Frontend, Global, LogEnvelope, LogTarget, Mode, Model,
    Preset, Template,
};
use crate::tls::{Store, crt_list};

/// What replaces a timeout that nobody wrote, in milliseconds.
pub(crate) const TIMEOUT_CLIENT_MS: u64 = 60_000;
pub(crate) const TIMEOUT_SERVER_MS: u64 = 60_000;
pub(crate) const TIMEOUT_CONNECT_MS: u64 = 5_000;

/// The first number given to a proxy that has none.
const FIRST_PROXY_NUMBER: u32 = 2;

/// Errors after which the names of all backends are no longer searched for what was meant.
const SUGGESTIONS_MAX: usize = 50;

/// Most servers, and most listening addresses, of a whole configuration.
const SERVERS_MAX: usize = 200_000;
const LISTENERS_MAX: usize = 65_536;

/// Makes the model of a draft, and says everything that is wrong with either.
pub(crate) fn resolve(draft: Draft, context: &Context<'_>) -> Resolved {
    let tls = &draft.global.tls;
    let store = Store {
        crt_base: tls.crt_base.clone(),
        ca_base: tls.ca_base.clone(),
        short_names: tls.extra_without_extension,
        ..Store::default()
    };
    resolve_among(draft, context, store)
}

/// What becomes of a draft.
pub(crate) struct Resolved {
    pub(crate) model: Model,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// The same where the files of TLS in `store` are known already.
pub(crate) fn resolve_among(mut draft: Draft, context: &Context<'_>, store: Store) -> Resolved {
    let mut resolver = Resolver {
        findings: std::mem::take(&mut draft.findings),
        tls: std::mem::take(&mut draft.global.tls),
        variables: std::mem::take(&mut draft.global.variables),
        profiles: std::mem::take(&mut draft.log_profiles),
        states: (
            draft.global.states_base.take(),
            draft.global.states_file.take(),
        ),
        // Only a host that is to be sent needs the form that has one.
        log_envelope: match draft.global.model.log_hostname {
            Some(_) => LogEnvelope::Rfc3164,
            None => LogEnvelope::Local,
        },
        ..Resolver::new(context, store)
    };
    resolver.load_stores();
    let mut model = Model {
        global: resolver.global(&draft),
        ..Model::default()
    };
    resolver.resolvers = resolver.name_servers(&draft);
    let numbers = resolver.numbers(&draft.proxies);
    resolver.unique_names(&draft.proxies);
    let places = resolver.names(&draft.proxies);
    for (proxy, number) in draft.proxies.iter().zip(numbers) {
        resolver.timeouts(proxy);
        resolver.without_http(proxy);
        if proxy.has_front() {
            let frontend = resolver.frontend(proxy, number, &places, &draft.proxies);
            model.frontends.push(frontend);
        }
        if proxy.has_back() {
            model.backends.push(resolver.backend(proxy, number));
        }
    }
    resolver.tracks(&draft.proxies, &places, &mut model);
    model.resolvers = std::mem::take(&mut resolver.resolvers);
    model.tables = resolver.tables(&draft);
    model.userlists = resolver.userlists(&draft.userlists);
    let http_errors = resolver.http_errors(&draft.http_errors);
    model.templates = resolver.templates(&draft);
    resolver.rules(&draft, &http_errors, &mut model);
    let needed = resolver.subscribed.first().map(|(_, span)| *span);
    resolver.subscriptions(&draft.acme, &model);
    model.acme = resolver.authorities_that_issue(&draft.acme);
    model.global.http_client = resolver.http_client(needed);
    model.store = Arc::new(std::mem::take(&mut resolver.store));
    if draft.global.zero_warning {
        resolver.deny_warnings();
    }
    Resolved {
        model,
        diagnostics: resolver.findings.into_vec(),
    }
}

/// How handshakes go at a bind of profile `base` with the certificate of a line that a command adds to a list.
pub(crate) fn line_profile(
    line: &crt_list::Line,
    base: &Profile,
    mode: Mode,
    context: &Context<'_>,
    store: &Store,
) -> Result<Option<Arc<Profile>>, Vec<Diagnostic>> {
    let mut resolver = Resolver::new(context, store.clone());
    let profile = resolver.line_profile(line, "CLI", NOWHERE, base, mode);
    match resolver.findings.errors() {
        0 => Ok(profile),
        _ => Err(resolver.findings.into_vec()),
    }
}

/// Where a backend stands in the model, and which draft it comes from.
#[derive(Clone, Copy)]
struct Place {
    id: BackendId,
    draft: usize,
}

struct Resolver<'a> {
    context: &'a Context<'a>,
    findings: Findings,
    /// Answers of the resolver, so that a name is asked for once; `Err` holds what was said.
    hosts: HashMap<String, Result<Vec<IpAddr>, String>>,
    /// Files by path, or why they cannot be read.
    files: HashMap<String, Result<Vec<u8>, String>>,
    tls: GlobalTlsDraft,
    /// Certificates and authorities by name, so that each file is read and kept once.
    store: Store,
    /// Expressions behind `sni`, which are read when all names are known.
    name_expressions: Vec<(String, Span)>,
    /// Whether authorities are asked about certificates, by name, and whether a store has said so.
    fetching: HashMap<String, (bool, bool)>,
    /// Names of such files that have been complained about.
    broken: HashSet<String>,
    /// The names of the configuration's files, so that each is kept once.
    file_names: HashMap<FileId, Arc<str>>,
    /// `set-var` lines of the global section.
    variables: Vec<VariableDraft>,
    /// `acme` sections that certificates refer to.
    subscribed: Vec<(String, Span)>,
    /// Sections of name servers, which servers refer to.
    resolvers: Vec<Resolvers>,
    /// `server-state-base`, `server-state-file`.
    states: (Option<PathBuf>, Option<String>),
    /// Places that have been complained about.
    told: HashSet<Span>,
    /// Servers and listeners so far, against their caps.
    servers: usize,
    listeners: usize,
    global_logs: Vec<LogTarget>,
    /// `log-profile` sections.
    profiles: Vec<LogProfileDraft>,
    /// The form of messages to targets without a `format`.
    log_envelope: LogEnvelope,
}

impl<'a> Resolver<'a> {
    /// One that has found nothing yet.
    fn new(context: &'a Context<'a>, store: Store) -> Self {
        Self {
            context,
            findings: Findings::default(),
            hosts: HashMap::new(),
            files: HashMap::new(),
            store,
            tls: GlobalTlsDraft::default(),
            name_expressions: Vec::new(),
            file_names: HashMap::new(),
            variables: Vec::new(),
            subscribed: Vec::new(),
            states: (None, None),
            broken: HashSet::new(),
            fetching: HashMap::new(),
            resolvers: Vec::new(),
            told: HashSet::new(),
            servers: 0,
            listeners: 0,
            global_logs: Vec::new(),
            profiles: Vec::new(),
            log_envelope: LogEnvelope::Local,
        }
    }
}

impl Resolver<'_> {
    /// What named `defaults` sections make of a backend. What is wrong with them is told where they are used.
    fn templates(&mut self, draft: &Draft) -> Vec<Template> {
        let findings = std::mem::take(&mut self.findings);
        let named = draft.defaults_by_name.iter();
        let named = named.filter(|(name, _)| !name.is_empty());
        let template = |(name, &index): (&String, &usize)| {
            let section = &draft.defaults[index];
            let proxy = ProxyDraft {
                kind: Some(Sections::BACKEND),
                name: String::new(),
                settings: section.settings.clone(),
                ..ProxyDraft::default()
            };
            Template {
                name: name.clone(),
                has_mode: section.settings.has_mode,
                backend: self.backend(&proxy, 0),
            }
        };
        let templates = named.map(template).collect();
        self.findings = findings;
        templates
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.findings.push(diagnostic);
    }

    fn error(&mut self, kind: Kind, span: Span, message: String, help: &str) {
        let error = Diagnostic::error(kind, span, message);
        self.report(if help.is_empty() {
            error
        } else {
            error.help(help)
        });
    }

    fn warn(&mut self, span: Span, message: String, help: &str) {
        self.report(Diagnostic::warning(Kind::NoEffect, span, message).help(help));
    }

    /// `zero-warning`.
    fn deny_warnings(&mut self) {
        let count = self.findings.warnings();
        if count > 0 {
            let message = format!("'zero-warning' is set, and there are {count} warnings");
            self.error(
                Kind::Invalid,
                NOWHERE,
                message,
                "deal with the warnings, or remove 'zero-warning'",
            );
        }
    }

    fn global(&mut self, draft: &Draft) -> Global {
        let mut global = draft.global.model.clone();
        global.user = self.account("user", draft.global.user.as_ref());
        global.group = self.account("group", draft.global.group.as_ref());
        global.logs = self.logs(&draft.global.logs);
        self.global_logs.clone_from(&global.logs);
        for socket in &draft.global.stats_sockets {
            let first = u32::try_from(global.stats_sockets.len())
                .unwrap_or(u32::MAX)
                .saturating_add(1);
            let binds = self.binds(
                std::slice::from_ref(socket),
                first,
                (Mode::Tcp, Uses::default()),
            );
            global.stats_sockets.extend(binds);
        }
        global.spelling = self.spelling(&draft.global).into();
        let tune = &global.tune;
        if tune.rewrite_bytes >= tune.buffer_bytes / 2 {
            global.tune.rewrite_bytes = tune.buffer_bytes / 2;
        }
        global
    }

    /// A user or group, which must exist; a number stands for itself.
    fn account(&mut self, what: &str, name: Option<&Spanned<String>>) -> Option<String> {
        let name = name?;
        if name.value.parse::<u32>().is_err() && self.account_number(what, &name.value).is_none() {
            let message = format!("this machine has no {what} called '{}'", name.value);
            self.error(
                Kind::Environment,
                name.span,
                message,
                &format!("create the {what}, or remove the line"),
            );
        }
        Some(name.value.clone())
    }

    fn account_number(&self, what: &str, name: &str) -> Option<u32> {
        match what {
            "user" => self.context.machine.user_id(name),
            _ => self.context.machine.group_id(name),
        }
    }

    /// The number of each proxy: written, or the next free one.
    fn numbers(&mut self, proxies: &[ProxyDraft]) -> Vec<u32> {
        let mut taken = HashSet::new();
        for proxy in proxies {
            if let Some(id) = &proxy.id
                && !taken.insert(id.value)
            {
                let message = format!("another proxy has the id {}", id.value);
                self.error(Kind::Invalid, id.span, message, "write a number of its own");
            }
        }
        let mut next = FIRST_PROXY_NUMBER;
        let mut number = |proxy: &ProxyDraft| match &proxy.id {
            Some(id) => id.value,
            None => free(&taken, &mut next),
        };
        proxies.iter().map(&mut number).collect()
    }

    /// No two proxies and servers may have the same `guid`.
    fn unique_names(&mut self, proxies: &[ProxyDraft]) {
        let mut taken = HashSet::new();
        let of_proxies = proxies.iter().filter_map(|proxy| proxy.guid.as_ref());
        let of_proxies = of_proxies.map(|guid| (&guid.value, guid.span));
        let servers = proxies.iter().flat_map(|proxy| &proxy.servers);
        let of_servers = servers.filter_map(|server| Some((server, server.model.guid.as_ref()?)));
        let of_servers = of_servers.map(|(server, guid)| (guid, server.name_span));
        for (guid, span) in of_proxies.chain(of_servers) {
            if !taken.insert(guid) {
                let message = format!("the guid '{guid}' is taken");
                self.error(
                    Kind::Invalid,
                    span,
                    message,
                    "write one that nothing else has",
                );
            }
        }
    }

    /// Backends by name. Frontends and backends have a name space each, and a `listen` section is in both.
    fn names(&mut self, proxies: &[ProxyDraft]) -> HashMap<String, Place> {
        let (mut fronts, mut backs) = (HashMap::new(), HashMap::new());
        let mut backends = 0;
        for (index, proxy) in proxies.iter().enumerate() {
            let front = fronts.get(&proxy.name).copied();
            let back = backs.get(&proxy.name).map(|place: &Place| place.draft);
            let clash = front
                .filter(|_| proxy.has_front())
                .or_else(|| back.filter(|_| proxy.has_back()));
            if let Some(earlier) = clash {
                let message = format!(
                    "another {} is called '{}'",
                    proxies[earlier].noun(),
                    proxy.name
                );
                self.error(
                    Kind::Invalid,
                    proxy.span,
                    message,
                    "give each of them a name of its own",
                );
            } else if front.or(back).is_some() {
                let message = format!("a frontend and a backend are both called '{}'", proxy.name);
                let warning = Diagnostic::warning(Kind::Legacy, proxy.span, message);
                self.report(
                    warning
                        .cause("today's HAProxy refuses this")
                        .help("rename one of them"),
                );
            }
            if proxy.has_front() {
                fronts.entry(proxy.name.clone()).or_insert(index);
            }
            if proxy.has_back() {
                let place = Place {
                    id: BackendId(backends),
                    draft: index,
                };
                backs.entry(proxy.name.clone()).or_insert(place);
                backends += 1;
            }
        }
        backs
    }

    /// Says once per proxy which timeouts are missing; [`bounded`] puts in what replaces them.
    fn timeouts(&mut self, proxy: &ProxyDraft) {
        if proxy.settings.disabled {
            return;
        }
        let (front, back) = (
            &proxy.settings.front.timeouts,
            &proxy.settings.back.timeouts,
        );
        let mut missing = Vec::new();
        if proxy.has_front() && front.client_ms.is_none() {
            missing.push(("client", TIMEOUT_CLIENT_MS));
        }
        if proxy.has_back() && !proxy.servers.is_empty() {
            if back.connect_ms.is_none() {
                missing.push(("connect", TIMEOUT_CONNECT_MS));
            }
            if back.server_ms.is_none()
                && (proxy.settings.mode == Mode::Http || back.tunnel_ms.is_none())
            {
                missing.push(("server", TIMEOUT_SERVER_MS));
            }
        }
        if missing.is_empty() {
            return;
        }
        let names: Vec<_> = missing
            .iter()
            .map(|(name, _)| format!("'timeout {name}'"))
            .collect();
        let lines: Vec<_> = missing
            .iter()
            .map(|(name, ms)| format!("timeout {name} {}s", ms / 1000))
            .collect();
        let message = format!(
            "{} '{}' has no {}",
            proxy.noun(),
            proxy.name,
            names.join(" and no ")
        );
        let warning = Diagnostic::warning(Kind::Advice, proxy.span, message);
        let cause = "without them a silent peer could hold a connection for ever, so bounded defaults are used";
        self.report(
            warning
                .cause(cause)
                .help(format_args!("write '{}'", lines.join("', '"))),
        );
    }

    fn frontend(
        &mut self,
        proxy: &ProxyDraft,
        number: u32,
        places: &HashMap<String, Place>,
        proxies: &[ProxyDraft],
    ) -> Frontend {
        let settings = &proxy.settings;
        let mut frontend = settings.front.clone();
        frontend.name.clone_from(&proxy.name);
        (frontend.number, frontend.mode, frontend.disabled) =
            (number, settings.mode, settings.disabled);
        frontend.description.clone_from(&proxy.description);
        frontend.guid = proxy.guid.as_ref().map(|guid| guid.value.clone());
        frontend.binds = {
            let uses = Uses {
                frontend: &proxy.name,
                all: &proxy.certificates,
            };
            self.binds(&proxy.binds, 1, (settings.mode, uses))
        };
        self.note_places(number, &proxy.binds, &frontend.binds);
        if !proxy.bound && !settings.disabled {
            let message = format!(
                "{} '{}' has no 'bind' line, so that nobody can reach it",
                proxy.noun(),
                proxy.name
            );
            self.warn(
                proxy.span,
                message,
                "write 'bind :PORT', or make it a backend",
            );
        }
        frontend.timeouts.client_ms = Some(
            settings
                .front
                .timeouts
                .client_ms
                .unwrap_or(TIMEOUT_CLIENT_MS),
        );
        frontend.forward_for = self.told(proxy, &settings.forward_for, "option forwardfor");
        frontend.original_to = self.told(proxy, &settings.original_to, "option originalto");
        frontend.log.targets = self.logs(&settings.logs);
        frontend.log.tag.clone_from(&settings.log_tag);
        frontend.log.format = self.log_format(proxy, &frontend.log.targets);
        let place = self.default_backend(proxy, places, proxies);
        frontend.default_backend = place.map(|place| place.id);
        frontend
    }

    /// Remembers where binds with TLS stand, which commands about certificates tell.
    fn note_places(&mut self, frontend: u32, drafts: &[BindDraft], binds: &[Bind]) {
        let mut spans = drafts.iter().filter_map(|draft| draft.tls.ssl.as_ref());
        let mut last: Option<(&Arc<BindTls>, Span)> = None;
        for bind in binds {
            let Some(tls) = &bind.tls else { continue };
            // The addresses of one line share their TLS.
            let known = last.filter(|(known, _)| Arc::ptr_eq(known, tls));
            let Some(place) = known.or_else(|| Some((tls, spans.next()?.span))) else {
                return;
            };
            last = Some(place);
            let here = self.place(place.1);
            let text = format!("{}:{}", here.file, here.line);
            Arc::make_mut(&mut self.store.places).insert((frontend, bind.number), text);
        }
    }

    fn backend(&mut self, proxy: &ProxyDraft, number: u32) -> Backend {
        let settings = &proxy.settings;
        let mut backend = settings.back.clone();
        backend.name.clone_from(&proxy.name);
        (backend.number, backend.mode, backend.disabled) =
            (number, settings.mode, settings.disabled);
        backend.has_number = proxy.id.is_some();
        backend.description.clone_from(&proxy.description);
        backend.guid = proxy.guid.as_ref().map(|guid| guid.value.clone());
        backend.timeouts = bounded(settings);
        backend.abort_on_close = settings
            .abort_on_close
            .unwrap_or(settings.mode == Mode::Http);
        backend.forward_for.clone_from(&settings.forward_for);
        backend.original_to.clone_from(&settings.original_to);
        if settings.mode == Mode::Tcp {
            (backend.forward_for, backend.original_to) = (None, None);
            self.no_http_hash(proxy, &mut backend);
        }
        if !proxy.has_front() {
            self.told(proxy, &settings.forward_for, "option forwardfor");
            self.told(proxy, &settings.original_to, "option originalto");
        }
        backend.source = settings
            .source
            .as_ref()
            .and_then(|source| self.source(source));
        backend.log.targets = self.logs(&settings.logs);
        backend.log.tag.clone_from(&settings.log_tag);
        backend.check = settings.checks.resolve(&mut StepDraft::plain);
        backend.servers = self.servers(proxy);
        backend.presets = presets(settings);
        backend.state_file = self.state_file(proxy);
        self.cookies(proxy, &mut backend);
        self.check_ports(proxy, &backend);
        self.check_observed(proxy);
        backend
    }

    /// What servers are told of addresses, in messages alone.
    fn told(
        &mut self,
        proxy: &ProxyDraft,
        option: &Option<ForwardFor>,
        name: &str,
    ) -> Option<ForwardFor> {
        let option = option.clone()?;
        if proxy.settings.mode == Mode::Http {
            return Some(option);
        }
        if !proxy.settings.disabled {
            let message = format!(
                "'{name}' has no effect in {} '{}'",
                proxy.noun(),
                proxy.name
            );
            self.warn(proxy.span, message, "write 'mode http'");
        }
        None
    }

    /// Where the states of a backend's servers are read from.
    fn state_file(&mut self, proxy: &ProxyDraft) -> Option<PathBuf> {
        let (base, global) = &self.states;
        let name = match proxy.settings.states {
            StateSource::Nowhere => return None,
            StateSource::Global => {
                let Some(name) = global else {
                    let message = format!(
                        "{} '{}' takes states from a file of the process, which has none",
                        proxy.noun(),
                        proxy.name
                    );
                    self.warn(proxy.span, message, "add 'server-state-file' to 'global'");
                    return None;
                };
                name
            }
            StateSource::Local => proxy.settings.states_file.as_ref().unwrap_or(&proxy.name),
        };
        // An absolute name replaces the base.
        Some(base.as_deref().unwrap_or_else(|| Path::new("")).join(name))
    }

    /// Without messages there is nothing to hash but the source.
    fn no_http_hash(&mut self, proxy: &ProxyDraft, backend: &mut Backend) {
        use BalanceSpec::{Header, Uri, UrlParam};
        if matches!(
            backend.balance,
            Uri { .. } | UrlParam { .. } | Header { .. }
        ) {
            backend.balance = BalanceSpec::RoundRobin;
            let span = proxy.settings.balance.unwrap_or(proxy.span);
            let message = format!(
                "{} '{}' has no messages to choose by and uses round robin",
                proxy.noun(),
                proxy.name
            );
            self.warn(span, message, "write 'mode http', or another 'balance'");
        }
    }

    fn default_backend(
        &mut self,
        proxy: &ProxyDraft,
        places: &HashMap<String, Place>,
        proxies: &[ProxyDraft],
    ) -> Option<Place> {
        // What is always chosen is a rule too, for the case that it is not published.
        let always = proxy.use_backend.as_ref();
        // A name that nobody has is told of where rules are read.
        let always = always.filter(|wanted| places.contains_key(&wanted.value));
        let always = always.and_then(|wanted| self.led_to(proxy, wanted, places, proxies));
        match &proxy.settings.default_backend {
            Some(wanted) => self.led_to(proxy, wanted, places, proxies),
            None => always.or_else(|| {
                let own = places.get(&proxy.name).filter(|_| proxy.has_back());
                own.copied()
            }),
        }
    }

    /// The backend that a frontend names.
    fn led_to(
        &mut self,
        proxy: &ProxyDraft,
        wanted: &Spanned<String>,
        places: &HashMap<String, Place>,
        proxies: &[ProxyDraft],
    ) -> Option<Place> {
        if proxy.settings.disabled {
            return places.get(&wanted.value).copied();
        }
        let Some(place) = places.get(&wanted.value).copied() else {
            self.no_backend(wanted, places);
            return None;
        };
        let target = &proxies[place.draft];
        if target.name == proxy.name && proxy.has_back() {
            let message = format!("'{}' would send its requests to itself", proxy.name);
            self.error(
                Kind::Invalid,
                wanted.span,
                message,
                "remove the line; the servers below are used anyway",
            );
        } else if (proxy.settings.mode, target.settings.mode) == (Mode::Http, Mode::Tcp) {
            let (from, to) = (&proxy.name, &target.name);
            let message = format!("'{from}' speaks HTTP and cannot use the TCP backend '{to}'");
            let help = "give both the same mode";
            self.error(Kind::Invalid, wanted.span, message, help);
        } else if !proxy.servers.is_empty() {
            let message = format!("the servers of '{}' are never used", proxy.name);
            self.warn(wanted.span, message, "remove this line, or the servers");
        }
        Some(place)
    }

    fn no_backend(&mut self, wanted: &Spanned<String>, places: &HashMap<String, Place>) {
        let message = format!("no backend is called '{}'", wanted.value);
        let mut names: Vec<_> = places.keys().map(String::as_str).collect();
        names.sort_unstable();
        let near = if self.findings.errors() < SUGGESTIONS_MAX {
            nearest(&wanted.value, names)
        } else {
            None
        };
        let help = match near {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("add 'backend {}'", wanted.value),
        };
        self.error(Kind::Reference, wanted.span, message, &help);
    }
}

/// The options that servers which are added at run time may take over.
fn presets(settings: &Settings) -> Vec<Preset> {
    let usual = std::iter::once(("", &settings.default_server));
    let usual = usual.filter(|(_, server)| !server.written.is_empty());
    let named = settings.named_servers.iter();
    let named = named.map(|(name, server)| (name.as_str(), server));
    let preset = |(name, server): (&str, &ServerDraft)| Preset {
        name: name.to_owned(),
        words: server.written.clone(),
    };
    usual.chain(named).map(preset).collect()
}

/// The next number that is not taken.
fn free(taken: &HashSet<u32>, next: &mut u32) -> u32 {
    while taken.contains(next) {
        *next = next.saturating_add(1);
    }
    let number = *next;
    *next = next.saturating_add(1);
    number
}

/// The number of a server, which uses up one of the row, also where another one is written.
fn in_row(written: Option<u32>, taken: &HashSet<u32>, next: &mut u32) -> u32 {
    match written {
        Some(number) => {
            *next = next.saturating_add(1);
            number
        }
        None => free(taken, next),
    }
}

/// The backend's timeouts, with bounds where none were written.
fn bounded(settings: &Settings) -> crate::model::BackendTimeouts {
    let mut timeouts = settings.back.timeouts;
    timeouts.connect_ms = Some(timeouts.connect_ms.unwrap_or(TIMEOUT_CONNECT_MS));
    let tunnel = timeouts.tunnel_ms.filter(|_| settings.mode == Mode::Tcp);
    timeouts.server_ms = Some(timeouts.server_ms.or(tunnel).unwrap_or(TIMEOUT_SERVER_MS));
    timeouts
}
