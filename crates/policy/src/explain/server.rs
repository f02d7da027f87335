//! From a backend to a server.

use plimsoll_wire::head::Head;

use super::replay::{Ended, Walk};
use crate::balance::{BalanceSpec, Pick, key, usable};
use crate::context::Phase;
use crate::cookie::Asked;
use crate::model::{Backend, BackendId, ServerId};
use crate::plane::Plane;
use crate::rule;
use crate::stats::rows::algorithm;
use crate::stickiness;

/// A server that may be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub name: String,
    pub weight: u32,
    /// Requests and sessions that it has, those that wait for it included.
    pub load: u32,
    /// Why it may not be, otherwise.
    pub out: Option<&'static str>,
}

/// The servers of a backend, as they are now.
pub(super) fn candidates(plane: &Plane, backend: BackendId) -> Vec<Candidate> {
    let model = &plane.model.backends[backend.0 as usize];
    let plane = plane.backend(backend);
    let servers = (0..).map(ServerId).zip(&model.servers);
    let servers = servers.filter(|(_, server)| !server.removed);
    let pairs = servers.clone();
    let pairs = pairs.map(|(id, server)| (server, plane.server(id)));
    let takes = usable(pairs, model.all_backups);
    let takes: Vec<_> = takes.iter().map(|candidate| candidate.id).collect();
    let candidate = |(id, server): (ServerId, &crate::model::Server)| {
        let live = plane.server(id);
        let out = match (takes.contains(&id), live.is_usable()) {
            (true, _) => None,
            (false, false) => Some("cannot be used"),
            (false, true) => Some("a backup, whose turn has not come"),
        };
        Candidate {
            name: server.name.clone(),
            weight: live.weight(),
            load: live.load(),
            out,
        }
    };
    servers.map(candidate).collect()
}

pub(super) fn name(plane: &Plane, (backend, server): (BackendId, ServerId)) -> &str {
    &plane.model.backends[backend.0 as usize].servers[server.0 as usize].name
}

/// How a backend's algorithm chose a server.
pub(super) fn algorithm_told(plane: &Plane, backend: BackendId, key: Option<&[u8]>) -> String {
    let balance = &plane.model.backends[backend.0 as usize].balance;
    let name = algorithm(balance);
    match key {
        Some(key) => {
            let end = key.len().min(super::VALUE_BYTES_MAX);
            let key = String::from_utf8_lossy(&key[..end]);
            format!("by 'balance {name}' of '{key}'")
        }
        None => format!("by 'balance {name}'"),
    }
}

/// The request as algorithms look at it.
struct Keys<'a>(&'a Head, &'a [u8]);

impl<'a> key::Request<'a> for Keys<'a> {
    fn target(&self) -> Option<&'a [u8]> {
        Some(self.0.target())
    }

    fn header(&self, name: &str) -> Option<&'a [u8]> {
        let mut fields = self.0.fields();
        let found = fields.find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value)
    }

    fn post_body(&self) -> Option<&'a [u8]> {
        (self.0.method() == b"POST").then_some(self.1)
    }

    fn opening(&self) -> Option<&'a [u8]> {
        Some(self.1)
    }
}

impl Walk<'_> {
    /// Rules first, then cookies, then tables, then the algorithm. The sentence that all of it ends with.
    pub(super) fn choose_server(&mut self, backend: BackendId) -> Result<String, Ended> {
        let plane = self.plane;
        let model = &plane.model.backends[backend.0 as usize];
        self.persistence(model);
        let by_rule = self.by_rule(backend, model);
        let by_cookie = self.by_cookie(backend, model, by_rule.is_some());
        let chosen = by_rule.or(by_cookie);
        let chosen = chosen.or_else(|| self.by_table(backend, model));
        let (id, reason, key) = match chosen {
            Some((id, reason)) => (id, Some(reason), None),
            None => match self.by_algorithm(backend, model) {
                Some((id, key)) => (id, None, key),
                None => {
                    let outcome = format!("503: no server of '{}' can be used", model.name);
                    return Err(Ended(outcome));
                }
            },
        };
        let mut why = reason.clone();
        let why = why.get_or_insert_with(|| algorithm_told(plane, backend, key.as_deref()));
        // Whose turn it is depends on those who came before.
        let first = reason.is_none() && key.is_none() && model.balance != BalanceSpec::Source;
        let turn = if first {
            ", were it the first request of all"
        } else {
            ""
        };
        if let Some(story) = &self.exchange.story {
            story.chosen_by(why.clone());
            story.tries(plane, (backend, id), None);
        }
        let name = name(plane, (backend, id));
        Ok(format!("sent to {}/{name}, {why}{turn}", model.name))
    }

    fn persistence(&mut self, model: &Backend) {
        self.with(Phase::Request, |context| {
            rule::judge_persistence(&model.rules.persist, context);
        });
    }

    fn by_cookie(
        &mut self,
        backend: BackendId,
        model: &Backend,
        assigned: bool,
    ) -> Option<(ServerId, String)> {
        let cookie = model.cookie.as_ref()?;
        let plane = self.plane.backend(backend);
        let overrides = &self.exchange.overrides;
        let asked = Asked {
            servers: &model.servers,
            keeps_clients: &|id| plane.server(id).state().keeps_clients(),
            force: model.persist || overrides.force_persist,
            ignore: overrides.ignore_persist,
            assigned,
            unix_s: self.question.now.wall.unix_s,
        };
        let (_, found) = cookie.read_request(&mut self.head, &asked);
        found.map(|id| (id, format!("which the cookie '{}' names", cookie.name)))
    }

    fn by_rule(&mut self, backend: BackendId, model: &Backend) -> Option<(ServerId, String)> {
        let rules = model.rules.use_server.as_slice();
        let server = self.with(Phase::Request, |context| {
            rule::server(rules, backend, context)
        });
        let id = server?;
        let place = self.exchange.story.as_ref()?.last_place()?;
        Some((id, format!("which the rule at {place} names")))
    }

    fn by_table(&mut self, backend: BackendId, model: &Backend) -> Option<(ServerId, String)> {
        let rules = &model.rules.stick;
        let known = self.with(Phase::Request, |context| {
            stickiness::recall(rules, backend, context)
        });
        known.map(|id| (id, "which a stick table remembers".to_owned()))
    }

    /// The server, and what algorithms have hashed.
    fn by_algorithm(
        &mut self,
        backend: BackendId,
        model: &Backend,
    ) -> Option<(ServerId, Option<Vec<u8>>)> {
        let hashed = model.balance_key.as_ref().and_then(|expression| {
            self.with(Phase::Request, |context| {
                let value = expression.evaluate(context)?;
                Some(model.hash.key_of(value))
            })
        });
        let keys = Keys(&self.head, &self.question.body);
        let key = key::find(&model.balance, &keys).or(hashed.as_deref());
        let pick = Pick {
            key,
            source: self.session.source.map(|source| source.ip()),
            now_ns: self.question.now.monotonic_ns,
            ..Pick::default()
        };
        let arrangement = self.plane.backend(backend).arrangement(model);
        let id = arrangement.picker.pick(&pick)?;
        Some((id, key.map(<[u8]>::to_vec)))
    }
}
