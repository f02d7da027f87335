//! What an exchange is marked with: captures, persistence cookies, its name, the server's name; and the monitor, whose
//! exchanges leave no mark.

use std::rc::Rc;

use plimsoll_policy::acl::Truth;
use plimsoll_policy::context::Phase;
use plimsoll_policy::cookie::Asked;
use plimsoll_policy::model::{BackendId, ServerId};
use plimsoll_policy::rule;
use plimsoll_policy::sample;

use super::{Exchange, Outcome};
use crate::account;
use crate::dispatch::Dispatch;
use crate::fault::Fault;
use crate::reply;
use crate::rules;
use crate::stream::ClientStream;

impl Exchange<'_> {
    /// `capture request …`: before rules run, which may look at captures.
    pub(super) fn capture_request(&mut self) {
        let captures = &self.tables.frontend(self.session.frontend).rules.captures;
        if !captures.is_empty() {
            let record = &mut self.record;
            captures.take_request(&record.request.head, &mut record.facts);
        }
    }

    /// `capture response …`: the head of the server's answer is there.
    pub(super) fn capture_response(&mut self) {
        let captures = &self.tables.frontend(self.session.frontend).rules.captures;
        if !captures.is_empty() {
            captures.take_response(&self.response, &mut self.record.facts);
        }
    }

    /// `monitor-uri`: answers those who ask whether we are there, as `monitor fail` says. No line is written.
    pub(super) fn answer_monitor<C: ClientStream>(
        &mut self,
        client: &mut C,
    ) -> Result<Option<Outcome>, Fault> {
        let tables = Rc::clone(&self.tables);
        let frontend = tables.frontend(self.session.frontend);
        let Some(uri) = &frontend.monitor_uri else {
            return Ok(None);
        };
        let target = self.record.request.head.target();
        let is_path =
            uri.starts_with('/') && sample::path_and_query(target) == Some(uri.as_bytes());
        if target != uri.as_bytes() && !is_path {
            return Ok(None);
        }
        let fails = self.with_context(Phase::Request, |context| {
            let conditions = &frontend.rules.monitor_fail;
            conditions
                .iter()
                .any(|test| test.holds(context) == Truth::Pass)
        });
        account::intercepted(self.session, None);
        let status = if fails { 503 } else { 200 };
        self.record.facts.overrides.log_level = Some(None);
        (self.record.status, self.record.fault) = (status, Some(Fault::Local(status)));
        if !self.record.request.complete {
            client.close_after();
        }
        let Some(answer) = reply::error(status, &frontend.error_files) else {
            return Ok(Some(Outcome::Close));
        };
        if answer.close {
            client.close_after();
        }
        self.say(client, answer)
            .map_err(|error| Fault::of_client(&error))?;
        Ok(Some(match client.closes() {
            true => Outcome::Close,
            false => Outcome::Next,
        }))
    }

    /// `force-persist`, `ignore-persist`: the first that holds counts.
    pub(super) fn judge_persistence(&mut self, backend: BackendId) {
        let tables = Rc::clone(&self.tables);
        let lines = &tables.backend(backend).rules.persist;
        if lines.is_empty() {
            return;
        }
        self.with_context(Phase::Request, |context| {
            rule::judge_persistence(lines, context);
        });
    }

    /// `cookie`: the server that the request's cookie names, where no rule has named one.
    pub(super) fn follow_cookie(&mut self, backend: BackendId) {
        let tables = Rc::clone(&self.tables);
        let model = tables.backend(backend);
        let Some(cookie) = &model.cookie else { return };
        let plane = tables.plane.backend(backend);
        let overrides = &self.record.facts.overrides;
        let keeps = |id: ServerId| plane.server(id).state().keeps_clients();
        let asked = Asked {
            servers: &model.servers,
            keeps_clients: &keeps,
            force: model.persist || overrides.force_persist,
            ignore: overrides.ignore_persist,
            assigned: self
                .record
                .dispatch
                .as_ref()
                .is_some_and(Dispatch::is_pinned),
            unix_s: rules::now(&self.worker).wall.unix_s,
        };
        let (facts, server) = cookie.read_request(&mut self.record.request.head, &asked);
        self.record.facts.cookie = facts;
        if let (Some(id), Some(dispatch)) = (server, &mut self.record.dispatch) {
            dispatch.pin(id);
            self.record
                .facts
                .reason(|| format!("which the cookie '{}' names", cookie.name));
        }
    }

    /// `cookie`: what the response tells the client to remember.
    pub(super) fn write_cookie(&mut self, backend: BackendId) {
        let tables = Rc::clone(&self.tables);
        let model = tables.backend(backend);
        let (Some(cookie), Some(server)) = (&model.cookie, self.record.server) else {
            return;
        };
        let facts = &mut self.record.facts.cookie;
        let unix_s = rules::now(&self.worker).wall.unix_s;
        let method = self.record.request.head.method();
        let server = &model.servers[server.0 as usize];
        // Without room the response goes on as it is: the client may reach another server next.
        cookie.write_response(&mut self.response, method, server, facts, unix_s);
    }

    /// `unique-id-format`: what the request is called here, and with `unique-id-header` tells the server.
    pub(super) fn add_unique_id(&mut self) {
        let tables = Rc::clone(&self.tables);
        let frontend = tables.frontend(self.session.frontend);
        if frontend.rules.unique_id.is_none() {
            return;
        }
        self.with_context(Phase::Request, |context| {
            let id = context.unique_id().unwrap_or_default().to_vec();
            if let (Some(name), Some(head)) =
                (&frontend.unique_id_header, context.request.as_deref_mut())
            {
                head.add(name.as_bytes(), &id);
            }
        });
    }

    /// Whoever asks for this exchange's story asks by its name.
    pub(super) fn name_story(&mut self) {
        if self.record.facts.story.is_some() {
            self.with_context(Phase::Log, |context| {
                context.number();
                context.unique_id();
            });
        }
    }

    /// `http-send-name-header`: tells the server what it is called here.
    pub(super) fn add_server_name(&mut self, backend: BackendId, server: ServerId) {
        if let Some(field) = &self.tables.backend(backend).name_header {
            let name = &self.tables.server(backend, server).name;
            let head = &mut self.record.request.head;
            head.set_last(field.as_bytes(), name.as_bytes());
        }
    }
}
