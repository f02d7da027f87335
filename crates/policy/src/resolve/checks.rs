//! Checks of servers: hosts become addresses, and names of tracked servers ids.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};

use super::endpoints::server_names;
use super::{Place, Resolver};
use crate::action::{self, Words};
use crate::context::Phase;
use crate::draft::{Draft, ProxyDraft, ServerDraft, Settings, Spanned};
use crate::expression::{self, Names, Scope};
use crate::keyword::haproxy::{Pending, StepDraft};
use crate::log_format::{self, Encoding};
use crate::model::check::{
    AgentCheck, CheckAction, CheckSpec, CheckStep, Filling, Flavour, Hole, Observe, OnError,
    ServerCheck, Slot,
};
use crate::model::{
    Backend, BackendId, ErrorFile, Mode, Model, ServerAddress, ServerId, ServerPort,
};
use crate::pattern::Lists;
use crate::rule::{self, Rule};

/// Most servers that follow each other in a row.
const TRACKS_MAX: usize = 1_000;

/// What the steps of checks may refer to.
pub(super) struct Reach<'a> {
    pub(super) names: &'a Names,
    pub(super) lists: &'a Lists,
    pub(super) http_errors: &'a HashMap<String, Vec<ErrorFile>>,
}

impl Resolver<'_> {
    /// Fills in what waited for all names to be known: steps with holes, and `healthcheck` sections.
    pub(super) fn check_steps(&mut self, draft: &Draft, reach: &Reach<'_>, model: &mut Model) {
        let mut sections = HashMap::new();
        for section in &draft.healthchecks {
            if !section.settings.checks.is_chosen() {
                let message = format!("healthcheck '{}' has no type", section.name);
                let help = "write 'type httpchk', or another kind of check";
                self.error(Kind::Invalid, section.span, message, help);
            }
            let spec = self.steps(&section.settings, reach, None);
            model
                .healthchecks
                .push((section.name.clone(), spec.clone()));
            sections.insert(section.name.as_str(), spec);
        }
        let proxies = draft.proxies.iter().filter(|proxy| proxy.has_back());
        for (index, proxy) in proxies.enumerate() {
            let own = (proxy.name.as_str(), BackendId(index as u32));
            for (span, line, option) in proxy.settings.checks.unused() {
                let message = format!("'{line}' without 'option {option}' does nothing");
                let warning = Diagnostic::warning(Kind::Invalid, span, message);
                self.report(
                    warning.help(format_args!("add 'option {option}', or remove the line")),
                );
            }
            if proxy.settings.checks.is_pending() {
                let spec = self.steps(&proxy.settings, reach, Some(own));
                model.backends[index].check.spec = spec;
            }
            let backend = &mut model.backends[index];
            self.named_checks(proxy, &sections, backend);
            self.programs(draft, proxy, backend);
            super::tls::secure_steps(backend);
        }
        let named = draft.defaults_by_name.values();
        let pending = named.map(|&index| &draft.defaults[index]);
        for section in pending.filter(|section| section.settings.checks.is_pending()) {
            let spec = self.steps(&section.settings, reach, None);
            let mut templates = model.templates.iter_mut();
            if let Some(template) = templates.find(|template| template.name == section.name) {
                template.backend.check.spec = spec;
            }
        }
    }

    /// The check of a section; `own`: the proxy that it is in.
    fn steps(
        &mut self,
        settings: &Settings,
        reach: &Reach<'_>,
        own: Option<(&str, BackendId)>,
    ) -> CheckSpec {
        let (captures, asks) = (RefCell::default(), Cell::default());
        let files = self.context.files;
        let scope = Scope {
            files,
            asks: &asks,
            environment: self.context.environment,
            names: reach.names,
            lists: reach.lists,
            acls: None,
            limits: &[],
            any_time: false,
            chooses: false,
            captures: &captures,
            http_errors: reach.http_errors,
            phase: Phase::Check,
            mode: settings.mode,
            frontend: None,
            backend: own.map(|(_, id)| id),
            proxy: own.map(|(name, _)| name),
        };
        let mut read = |draft: &StepDraft| match step(draft, &scope) {
            Ok(step) => Some(step),
            Err(error) => {
                // Lines of `defaults` are read once for each proxy that takes them over.
                if self.told.insert(error.span) {
                    self.report(error);
                }
                None
            }
        };
        settings.checks.resolve(&mut read).spec
    }

    /// `healthcheck NAME` of servers.
    fn named_checks(
        &mut self,
        proxy: &ProxyDraft,
        sections: &HashMap<&str, CheckSpec>,
        backend: &mut Backend,
    ) {
        let mut servers = backend.servers.iter_mut();
        for draft in &proxy.servers {
            let count = server_names(draft).len();
            let named = draft.checks.section.as_ref();
            let spec = named.and_then(|name| sections.get(name.value.as_str()));
            if let (Some(name), None) = (named, spec)
                && self.told.insert(name.span)
            {
                let message = format!("no 'healthcheck' section is called '{}'", name.value);
                let help = "add the section, or write the name of another";
                self.error(Kind::Reference, name.span, message, help);
            }
            for server in servers.by_ref().take(count) {
                server.check.spec = spec.cloned();
            }
        }
    }

    /// Programs are run only where the process as a whole allows it.
    fn programs(&mut self, draft: &Draft, proxy: &ProxyDraft, backend: &mut Backend) {
        if backend.check.spec.flavour != Flavour::External || proxy.settings.disabled {
            return;
        }
        let program = backend.check.spec.program.get_or_insert_default();
        program.keeps_environment = draft.global.external_environment;
        let without = program.command.is_empty();
        let name = &proxy.name;
        if without {
            let message = format!("'{name}' checks servers by a program and names none");
            self.error(
                Kind::Invalid,
                proxy.span,
                message,
                "write 'external-check command FILE'",
            );
        } else if !draft.global.external_checks {
            let message = format!("'{name}' checks servers by a program, which is not allowed");
            self.error(
                Kind::Invalid,
                proxy.span,
                message,
                "write 'external-check' in the global section",
            );
        }
    }

    pub(super) fn server_check(&mut self, draft: &ServerDraft) -> ServerCheck {
        let written = &draft.checks;
        let mut check = draft.model.check.clone();
        check.http2 = written.http2.unwrap_or(draft.model.http2);
        if let (OnError::Suspend { window_ms }, Some(written_ms)) =
            (&mut check.on_error, written.error_window_ms)
        {
            *window_ms = written_ms;
        }
        let elsewhere = written.address.as_ref();
        if let Some(socket) = elsewhere.and_then(|host| self.socket(host)) {
            check.address = Some(socket.ip());
            // A port behind the address counts where 'port' does not say another.
            let port = Some(socket.port()).filter(|port| *port != 0);
            check.port = check.port.or(port);
        }
        if !written.agent_enabled {
            return check;
        }
        // 'addr' and 'port' are for agents too, unless theirs are written.
        let port = match written.agent.port {
            0 => draft.model.check.port.unwrap_or(0),
            port => port,
        };
        if port == 0 {
            self.error(
                Kind::Invalid,
                draft.name_span,
                format!("server '{}' has an agent without a port", draft.model.name),
                "write 'agent-port NUMBER'",
            );
        }
        let address = match &written.agent_address {
            Some(host) => self.socket(host).map(|socket| socket.ip()),
            None => check.address,
        };
        check.agent = Some(AgentCheck {
            address,
            port,
            ..written.agent.clone()
        });
        check
    }

    /// Responses can be watched only where they are understood.
    pub(super) fn check_observed(&mut self, proxy: &ProxyDraft) {
        if proxy.settings.mode == Mode::Http || proxy.settings.disabled {
            return;
        }
        for draft in &proxy.servers {
            let Some(span) = draft.checks.observed_at else {
                continue;
            };
            if draft.model.check.observe == Some(Observe::Layer7) {
                self.error(
                    Kind::Invalid,
                    span,
                    "'observe layer7' needs 'mode http'".to_owned(),
                    "write 'observe layer4'",
                );
            }
        }
    }

    /// Checks must know a port; a server whose port is the client's has none.
    pub(super) fn check_ports(&mut self, proxy: &ProxyDraft, backend: &Backend) {
        let first = backend.check.spec.steps.first().map(|step| &step.action);
        let named = matches!(first, Some(CheckAction::Connect(connect)) if connect.port.is_some());
        if named || proxy.settings.disabled {
            return;
        }
        let mut servers = backend.servers.iter();
        for draft in &proxy.servers {
            for server in servers.by_ref().take(server_names(draft).len()) {
                // A host without an address has been told of; it may lack a port too.
                let ServerAddress::Inet { ip, port } = &server.address else {
                    continue;
                };
                // A server that is nowhere yet gets its address at run time.
                let placed = !ip.is_unspecified();
                let portless = matches!(port, ServerPort::Offset(_)) && server.check.port.is_none();
                if server.check.enabled && portless && placed {
                    self.error(
                        Kind::Invalid,
                        draft.name_span,
                        format!(
                            "server '{}' has no port that checks could go to",
                            server.name
                        ),
                        "write 'port NUMBER' behind 'check', or a port behind the address",
                    );
                }
            }
        }
    }

    /// Agents are asked over TLS as the server's checks are.
    pub(super) fn check_agent_tls(&mut self, draft: &ServerDraft, check: &ServerCheck) {
        let wanted = check.agent.as_ref().is_some_and(|agent| agent.tls);
        if wanted && check.tls.is_none() {
            let message = format!("server '{}' has no TLS for 'agent-ssl'", draft.model.name);
            self.error(
                Kind::Invalid,
                draft.name_span,
                message,
                "write 'check-ssl' or 'ssl', and 'ca-file' or 'verify none'",
            );
        }
    }

    /// Resolves `track` on all servers.
    pub(super) fn tracks(
        &mut self,
        proxies: &[ProxyDraft],
        places: &HashMap<String, Place>,
        model: &mut Model,
    ) {
        let mut found = Vec::new();
        let sections = proxies.iter().filter(|proxy| proxy.has_back());
        for (backend, proxy) in sections.enumerate() {
            let mut index = 0;
            for draft in &proxy.servers {
                let count = server_names(draft).len();
                if let Some(track) = &draft.checks.track
                    && !proxy.settings.disabled
                    && let Some(leader) = self.leader(track, backend, places, model)
                {
                    let own = (0..count).map(|offset| ServerId((index + offset) as u32));
                    let id = BackendId(backend as u32);
                    found.extend(own.map(|server| ((id, server), leader, track)));
                }
                index += count;
            }
        }
        for ((backend, server), leader, _) in &found {
            let server = &mut model.backends[backend.0 as usize].servers[server.0 as usize];
            server.check.track = Some(*leader);
        }
        for ((backend, server), _, track) in found {
            self.judge_track(model, (backend, server), track);
        }
    }

    /// The server that `[BACKEND/]SERVER` names.
    fn leader(
        &mut self,
        track: &Spanned<String>,
        own: usize,
        places: &HashMap<String, Place>,
        model: &Model,
    ) -> Option<(BackendId, ServerId)> {
        let (backend, name) = match track.value.rsplit_once('/') {
            Some((backend, name)) => (places.get(backend).map(|place| place.id), name),
            None => (Some(BackendId(own as u32)), track.value.as_str()),
        };
        let found = backend.and_then(|id| {
            let servers = &model.backends.get(id.0 as usize)?.servers;
            let index = servers.iter().position(|server| server.name == name)?;
            Some((id, ServerId(index as u32)))
        });
        if found.is_none() {
            let message = format!("no server is called '{}'", track.value);
            self.error(
                Kind::Reference,
                track.span,
                message,
                "write the name of a server, or BACKEND/SERVER",
            );
        }
        found
    }

    /// What is tracked must be checked in the end, and who tracks has no check of its own.
    fn judge_track(
        &mut self,
        model: &Model,
        start: (BackendId, ServerId),
        track: &Spanned<String>,
    ) {
        let check = |(backend, server): (BackendId, ServerId)| {
            &model.backends[backend.0 as usize].servers[server.0 as usize].check
        };
        let mut report = |message: &str, help: &str| {
            let error = Diagnostic::error(Kind::Invalid, track.span, message);
            self.report(error.help(help));
        };
        if check(start).enabled || check(start).agent.is_some() {
            return report(
                "a server that tracks another cannot be checked itself",
                "remove 'check' or 'track'",
            );
        }
        let mut at = start;
        for _ in 0..TRACKS_MAX {
            let here = check(at);
            match here.track {
                Some(next) => at = next,
                None if here.enabled || here.agent.is_some() => return,
                None => {
                    return report(
                        "the server that is tracked is not checked",
                        "write 'check' there",
                    );
                }
            }
        }
        report(
            "the servers track each other in a circle",
            "let one of them be checked",
        );
    }
}

/// A step with what waited for names.
fn step(draft: &StepDraft, scope: &Scope<'_>) -> Result<CheckStep, Diagnostic> {
    let mut plain = draft.plain();
    for pending in &draft.pending {
        match pending {
            Pending::Rule(words, line) => return rule(words, *line, scope),
            Pending::Hole(slot, word) => {
                let filling = filling(*slot, word, scope)?;
                if let Some(step) = &mut plain {
                    let slot = *slot;
                    step.holes.push(Hole { slot, filling });
                }
            }
        }
    }
    plain.ok_or_else(|| Diagnostic::error(Kind::Invalid, Span::default(), "a step without words"))
}

fn filling(slot: Slot, word: &Word, scope: &Scope<'_>) -> Result<Filling, Diagnostic> {
    let encoding = match slot {
        Slot::Port | Slot::StatusCode => {
            return expression::parse(word, scope).map(Filling::Expression);
        }
        // A line must not end where a value says so.
        Slot::Target | Slot::Field(_) => Encoding::Http,
        _ => Encoding::Raw,
    };
    log_format::read(word, encoding, scope).map(Filling::Format)
}

/// `set-var(NAME) EXPRESSION` and its like.
fn rule(words: &[Word], line: Span, scope: &Scope<'_>) -> Result<CheckStep, Diagnostic> {
    let Some((name, rest)) = words.split_first() else {
        return Err(Diagnostic::error(
            Kind::Invalid,
            line,
            "a rule without words",
        ));
    };
    let row = action::find(&name.text, scope.phase).ok_or_else(|| {
        let message = format_args!("'{}' is not a rule of checks", name.text);
        Diagnostic::error(Kind::Unknown, name.span, message)
    })?;
    let mut args = Args::new(rest, line);
    let action = (row.read)(
        &mut Words {
            name,
            args: &mut args,
        },
        scope,
    )?;
    args.finish()?;
    let texts: Vec<_> = words.iter().map(|word| word.text.as_str()).collect();
    let rule = Rule::new(&texts.join(" "), None, action, rule::Place::default());
    Ok(CheckAction::Rule(rule).into())
}
