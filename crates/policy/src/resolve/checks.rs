//! Checks of servers: hosts become addresses, and names of tracked servers ids.

use std::collections::HashMap;

use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::endpoints::server_names;
use super::{Place, Resolver};
use crate::draft::{ProxyDraft, ServerDraft, Spanned};
use crate::model::check::{AgentCheck, CheckAction, Observe, OnError, ServerCheck};
use crate::model::{Backend, BackendId, Mode, Model, ServerAddress, ServerId, ServerPort};

/// Most servers that follow each other in a row.
const TRACKS_MAX: usize = 1_000;

impl Resolver<'_> {
    pub(super) fn server_check(&mut self, draft: &ServerDraft) -> ServerCheck {
        let written = &draft.checks;
        let mut check = draft.model.check.clone();
        if let (OnError::Suspend { window_ms }, Some(written_ms)) =
            (&mut check.on_error, written.error_window_ms)
        {
            *window_ms = written_ms;
        }
        check.address = written
            .address
            .as_ref()
            .and_then(|host| self.socket(host))
            .map(|socket| socket.ip());
        if !written.agent_enabled {
            return check;
        }
        if written.agent.port == 0 {
            self.error(
                Kind::Invalid,
                draft.name_span,
                format!("server '{}' has an agent without a port", draft.model.name),
                "write 'agent-port NUMBER'",
            );
        }
        let address = written.agent_address.as_ref();
        check.agent = Some(AgentCheck {
            address: address
                .and_then(|host| self.socket(host))
                .map(|socket| socket.ip()),
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
                let ServerAddress::Inet { port, .. } = &server.address else {
                    continue;
                };
                let portless = matches!(port, ServerPort::Offset(_)) && server.check.port.is_none();
                if server.check.enabled && portless {
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
