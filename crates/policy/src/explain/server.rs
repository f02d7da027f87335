//! From a backend to a server.

use plimsoll_wire::head::Head;

use super::{Ended, Step, StepResult, Walk, condition};
use crate::acl::Truth;
use crate::balance::{BalanceSpec, Pick, key, usable};
use crate::context::Phase;
use crate::cookie::Asked;
use crate::model::{Backend, BackendId, ServerId};
use crate::rule::{Persist, ServerTarget};
use crate::stats::rows::algorithm;
use crate::stickiness;

/// A server that may be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub name: String,
    pub weight: u32,
    /// Why it may not be, otherwise.
    pub out: Option<&'static str>,
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
    /// Persistence first, then rules, then tables, then the algorithm.
    pub(super) fn choose_server(&mut self, backend: BackendId) -> Result<(), Ended> {
        let plane = self.plane;
        let model = &plane.model.backends[backend.0 as usize];
        self.list(backend, model);
        self.persistence(model);
        let chosen = self.by_cookie(backend, model);
        let chosen = self.by_rule(backend, model).or(chosen);
        let chosen = chosen.or_else(|| self.by_table(backend, model));
        let chosen = match chosen {
            Some(chosen) => Some(chosen),
            None => self.by_algorithm(backend, model),
        };
        let Some((id, why)) = chosen else {
            let outcome = format!("503: no server of '{}' can be used", model.name);
            return Err(Ended(outcome));
        };
        let name = self.server_name(backend, id);
        self.told.server = Some(name.to_owned());
        self.told.outcome = format!("sent to {}/{name}, {why}", model.name);
        Ok(())
    }

    fn list(&mut self, backend: BackendId, model: &Backend) {
        let plane = self.plane.backend(backend);
        let servers = model.servers.iter().enumerate();
        let pairs = servers.clone();
        let pairs = pairs.map(|(index, server)| (server, plane.server(ServerId(index as u32))));
        let takes = usable(pairs, model.all_backups);
        let takes: Vec<_> = takes.iter().map(|candidate| candidate.id).collect();
        self.told.candidates = servers
            .map(|(index, server)| {
                let id = ServerId(index as u32);
                let live = plane.server(id);
                let out = match (takes.contains(&id), live.is_usable()) {
                    (true, _) => None,
                    (false, false) => Some("cannot be used"),
                    (false, true) => Some("a backup, whose turn has not come"),
                };
                Candidate {
                    name: server.name.clone(),
                    weight: live.weight(),
                    out,
                }
            })
            .collect();
    }

    fn persistence(&mut self, model: &Backend) {
        let found = self.with(Phase::Request, |context| {
            let mut lines = model.rules.persist.iter();
            let found = lines.find(|(_, test)| test.holds(context) == Truth::Pass);
            found.map(|(persist, _)| *persist)
        });
        let overrides = &mut self.exchange.overrides;
        match found {
            Some(Persist::Force) => overrides.force_persist = true,
            Some(Persist::Ignore) => overrides.ignore_persist = true,
            None => {}
        }
    }

    fn by_cookie(&mut self, backend: BackendId, model: &Backend) -> Option<(ServerId, String)> {
        let cookie = model.cookie.as_ref()?;
        let plane = self.plane.backend(backend);
        let overrides = &self.exchange.overrides;
        let asked = Asked {
            servers: &model.servers,
            is_usable: &|id| plane.server(id).is_usable(),
            force: model.persist || overrides.force_persist,
            ignore: overrides.ignore_persist,
            unix_s: self.question.now.wall.unix_s,
        };
        let (_, found) = cookie.read_request(&mut self.head, &asked);
        found.map(|id| (id, format!("which the cookie '{}' names", cookie.name)))
    }

    fn by_rule(&mut self, backend: BackendId, model: &Backend) -> Option<(ServerId, String)> {
        for choice in &model.rules.use_server {
            let (told, truth, id) = self.with(Phase::Request, |context| {
                let test = choice.condition.as_ref();
                let truth = test.map_or(Truth::Pass, |test| test.holds(context));
                let told = test.map(|test| condition::told(test, context));
                let id = match &choice.target {
                    ServerTarget::Known(id) => Some(*id),
                    ServerTarget::Named(format) => {
                        let mut name = Vec::new();
                        format.write(context, &mut name);
                        context.plane.find_server(backend, &name)
                    }
                };
                (told.unwrap_or_default(), truth, id)
            });
            let name = id.map(|id| self.server_name(backend, id));
            self.told.steps.push(Step {
                proxy: model.name.clone(),
                place: choice.place.clone(),
                text: format!("use-server {}", name.unwrap_or("(nobody)")),
                unless: choice.condition.as_ref().is_some_and(|test| test.unless),
                condition: told,
                result: match truth {
                    Truth::Pass => StepResult::Decided("chosen".to_owned()),
                    Truth::Unsure => StepResult::Waits,
                    Truth::Fail => StepResult::Skipped,
                },
            });
            if truth == Truth::Pass {
                let plane = self.plane.backend(backend);
                let id = id.filter(|id| plane.server(*id).is_usable())?;
                return Some((id, format!("which the rule at {} names", choice.place)));
            }
        }
        None
    }

    fn by_table(&mut self, backend: BackendId, model: &Backend) -> Option<(ServerId, String)> {
        let rules = &model.rules.stick;
        let known = self.with(Phase::Request, |context| {
            stickiness::recall(rules, backend, context)
        });
        known.map(|id| (id, "which a stick table remembers".to_owned()))
    }

    fn by_algorithm(&mut self, backend: BackendId, model: &Backend) -> Option<(ServerId, String)> {
        let hashed = model.balance_key.as_ref().and_then(|expression| {
            self.with(Phase::Request, |context| {
                let value = expression.evaluate(context)?;
                Some(value.into_binary().into_owned())
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
        let name = algorithm(&model.balance);
        let why = match (&model.balance, key) {
            (_, Some(key)) => {
                let key = String::from_utf8_lossy(key);
                format!("by 'balance {name}' of '{key}'")
            }
            (BalanceSpec::Source, None) => format!("by 'balance {name}'"),
            // Whose turn it is depends on those who came before.
            (_, None) => format!("by 'balance {name}', were it the first request of all"),
        };
        Some((id, why))
    }
}
