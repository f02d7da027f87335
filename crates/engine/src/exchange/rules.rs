//! The rules of an exchange, and what follows from their verdicts.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use plimsoll_policy::acl::Truth;
use plimsoll_policy::action::{Flow, Lookup, Reply};
use plimsoll_policy::context::{Context, Payload, Phase, Progress};
use plimsoll_policy::cookie::Storage;
use plimsoll_policy::health::Line;
use plimsoll_policy::log::{Level, Queued};
use plimsoll_policy::model::{BackendId, ConnectionMode, Mode, ServerId, UnusualNames};
use plimsoll_policy::rule::{self, Rule, Rules, Verdict};
use plimsoll_policy::stick_table::Event;
use plimsoll_policy::stickiness;
use plimsoll_policy::value::Value;
use plimsoll_wire::head::{FieldKind, Head, Version};

use super::{Answer, Before, Exchange, Outcome};
use crate::control::admin::service;
use crate::dispatch::Dispatch;
use crate::fault::{self, Fault};
use crate::lookup;
use crate::reply;
use crate::rules::{self, Teller};
use crate::stream::{ClientStream, ServerStream as _};
use crate::tables::Tables;
use crate::{account, tracking};

/// How long `tarpit` lasts where no time is set.
const TARPIT_MS: u64 = 10_000;

/// Whose rules run.
#[derive(Clone, Copy)]
pub(super) enum Owner {
    Frontend,
    Backend(BackendId),
}

/// A set of rules of a proxy.
type Select = fn(&Rules) -> &[Rule];

/// Whose rules, which of them, and when.
type Stage = (Owner, Select, Phase);

impl Exchange<'_> {
    fn rules<'t>(&self, tables: &'t Tables, owner: Owner) -> &'t Rules {
        match owner {
            Owner::Frontend => &tables.frontend(self.session.frontend).rules,
            Owner::Backend(id) => &tables.backend(id).rules,
        }
    }

    /// Says whose rules are looked at, where it is written down.
    fn enter(&self, owner: Owner) {
        if let Some(story) = &self.record.facts.story {
            story.enter(match owner {
                Owner::Frontend => &self.tables.frontend(self.session.frontend).name,
                Owner::Backend(id) => &self.tables.backend(id).name,
            });
        }
    }

    /// Whether frontend and backend are the halves of one `listen` section, whose rules run once.
    fn is_same_proxy(&self, backend: BackendId) -> bool {
        self.tables.frontend(self.session.frontend).number == self.tables.backend(backend).number
    }

    /// Lends what rules of this time may look at.
    pub(super) fn with_context<T>(
        &mut self,
        phase: Phase,
        use_it: impl FnOnce(&mut Context<'_>) -> T,
    ) -> T {
        self.with_payload(phase, Payload::default(), use_it)
    }

    /// As [`Exchange::with_context`], with what has come of a response's body.
    fn with_payload<T>(
        &mut self,
        phase: Phase,
        payload: Payload<'_>,
        use_it: impl FnOnce(&mut Context<'_>) -> T,
    ) -> T {
        let Self {
            session,
            worker,
            tables,
            record,
            response,
            ..
        } = self;
        let teller = Teller { worker, tables };
        // Of streams none is the first, as in HAProxy.
        record.facts.is_later = session.requests > 1 || record.request.head.version >= Version::H2;
        let waited = record.dispatch.as_ref().map(|it| it.waited.behind);
        let (at_server, at_backend) = waited.unwrap_or_default();
        let progress = Progress {
            times: record.times,
            received_bytes: record.received_bytes,
            sent_bytes: record.sent_bytes,
            queued: Queued {
                server: at_server,
                backend: at_backend,
            },
            retries: record.dispatch.as_ref().map_or(0, |it| it.retries),
            redispatched: record.dispatch.as_ref().is_some_and(|it| it.redispatched),
            serviced: record.service.is_some(),
            termination: fault::termination(record.fault, record.phase),
            ..rules::progress(session)
        };
        let mut buffer = worker.out_buffer();
        let mut context = Context::new(
            &tables.plane,
            &teller,
            phase,
            session.frontend,
            &mut session.facts,
            &mut record.facts,
        );
        context.now = rules::now(worker);
        context.progress = progress;
        context.bind = tables.frontend(session.frontend).binds.get(session.bind);
        context.backend = record.dispatch.as_ref().map(|dispatch| dispatch.backend);
        context.server = record.server;
        context.request_payload = Payload {
            bytes: &record.request.early,
            complete: record.request.complete,
        };
        context.request = Some(&mut record.request.head);
        context.response = (response.status != 0).then_some(response);
        context.response_payload = payload;
        context.buffer = std::mem::take(&mut *buffer);
        let result = use_it(&mut context);
        *buffer = std::mem::take(&mut context.buffer);
        result
    }

    /// How large rules may make a head: what is left of a buffer beside it and its body, or what is reserved for that.
    fn edit_limit(&self, head: &Head, body_bytes: usize) -> u32 {
        let tune = &self.tables.plane.model.global.tune;
        let used = head.arena.len().saturating_add(body_bytes);
        let used = u32::try_from(used).unwrap_or(u32::MAX);
        let room = tune
            .buffer_bytes
            .saturating_sub(used)
            .max(tune.rewrite_bytes);
        (head.arena.len() as u32).saturating_add(room)
    }

    /// `tcp-request content` and `http-request` of one side; an outcome where they answered.
    pub(super) async fn judge_request<C: ClientStream>(
        &mut self,
        client: &mut C,
        owner: Owner,
    ) -> Result<Option<Outcome>, Fault> {
        let is_done = match owner {
            Owner::Backend(id) => self.is_same_proxy(id),
            Owner::Frontend => matches!(self.before, Before::Choice(_)),
        };
        if is_done {
            return Ok(None);
        }
        let tables = Rc::clone(&self.tables);
        let rules = self.rules(&tables, owner);
        self.limit_edits();
        if matches!(owner, Owner::Backend(_))
            && !rules.content.is_empty()
            && let Some(outcome) = self.judge_contents(client, owner).await?
        {
            return Ok(Some(outcome));
        }
        let (request, redirect): (Select, Select) =
            (|rules| &rules.request, |rules| &rules.redirect);
        for select in [request, redirect] {
            if select(rules).is_empty() {
                continue;
            }
            let stage = (owner, select, Phase::Request);
            if let Some(outcome) = self.judge(client, stage, None).await? {
                return Ok(Some(outcome));
            }
        }
        self.mark_early()?;
        Ok(None)
    }

    /// Tells the server where the request may be a replay (RFC 8470 section 5.1): it may answer 425, and the client asks again.
    fn mark_early(&mut self) -> Result<(), Fault> {
        let facts = self.session.facts.tls();
        if !facts.is_some_and(|facts| facts.may_be_replayed()) {
            return Ok(());
        }
        let head = &mut self.record.request.head;
        let is_marked = head.values(b"early-data").next().is_some();
        match is_marked || head.add(b"Early-Data", b"1") {
            true => Ok(()),
            false => Err(Fault::RuleFailed),
        }
    }

    /// `stats http-request`: an outcome where the client may not see the statistics page.
    pub(super) async fn judge_page<C: ClientStream>(
        &mut self,
        client: &mut C,
        owner: Owner,
    ) -> Result<Option<Outcome>, Fault> {
        if !self.is_page_judged(owner) {
            return Ok(None);
        }
        let select: Select = |rules| &rules.stats;
        self.judge(client, (owner, select, Phase::Request), None)
            .await
    }

    /// Whether rules say who may see the statistics page.
    pub(super) fn is_page_judged(&self, owner: Owner) -> bool {
        let tables = Rc::clone(&self.tables);
        !self.rules(&tables, owner).stats.is_empty()
    }

    /// `stats admin`: whether the client may change servers on the page.
    pub(super) fn may_change_servers(&mut self, owner: Owner) -> bool {
        let tables = Rc::clone(&self.tables);
        let conditions = &self.rules(&tables, owner).stats_admin;
        self.with_context(Phase::Request, |context| {
            let mut conditions = conditions.iter();
            conditions.any(|test| test.holds(context) == Truth::Pass)
        })
    }

    /// Whether the frontend's `tcp-request content` rules are still to be run for this request.
    pub(super) fn has_contents(&self) -> bool {
        let rules = &self.tables.frontend(self.session.frontend).rules;
        !rules.content.is_empty() && matches!(self.before, Before::Nothing)
    }

    /// `tcp-request content`; those of the frontend come before the request counts as one.
    pub(super) async fn judge_contents<C: ClientStream>(
        &mut self,
        client: &mut C,
        owner: Owner,
    ) -> Result<Option<Outcome>, Fault> {
        self.limit_edits();
        let content: Select = |rules| &rules.content;
        self.judge(client, (owner, content, Phase::RequestContent), None)
            .await
    }

    /// Rules may make the head so much longer, and no more.
    fn limit_edits(&mut self) {
        let request = &self.record.request;
        if request.head.arena_max == 0 {
            let limit = self.edit_limit(&request.head, request.early.len());
            self.record.request.head.arena_max = limit;
        }
    }

    /// `tcp-response content` of the backend and `http-response` of both sides; an outcome where they answered in place of the server.
    pub(super) async fn judge_response<C: ClientStream>(
        &mut self,
        client: &mut C,
        backend: BackendId,
        answer: &mut Answer,
    ) -> Result<Option<Outcome>, Fault> {
        let tables = Rc::clone(&self.tables);
        self.response.arena_max = self.edit_limit(&self.response, answer.piece.range.len());
        if !tables.backend(backend).rules.response_content.is_empty() {
            let content: Select = |rules| &rules.response_content;
            let stage = (Owner::Backend(backend), content, Phase::ResponseContent);
            if let Some(outcome) = self.judge(client, stage, Some(&mut *answer)).await? {
                return Ok(Some(outcome));
            }
        }
        let response: Select = |rules| &rules.response;
        for owner in self.owners(backend) {
            if self.rules(&tables, owner).response.is_empty() {
                continue;
            }
            let stage = (owner, response, Phase::Response);
            if let Some(outcome) = self.judge(client, stage, Some(&mut *answer)).await? {
                return Ok(Some(outcome));
            }
        }
        self.response.arena_max = 0;
        let sets_cookie =
            tables.backend(backend).checks_cache && self.response.value(b"set-cookie").is_some();
        self.write_cookie(backend);
        if sets_cookie {
            self.check_cache(backend)?;
        }
        self.after_response(client, Some(backend));
        Ok(None)
    }

    /// `option checkcache`: refuses a response that caches might hand to others with the cookie in it.
    fn check_cache(&self, backend: BackendId) -> Result<(), Fault> {
        let method = self.record.request.head.method();
        if !Storage::of(&self.response, method).shares_cookies() {
            return Ok(());
        }
        let model = self.tables.backend(backend);
        let server = self
            .record
            .server
            .and_then(|id| model.servers.get(id.0 as usize));
        let server = server.map_or("<NOSRV>", |server| &server.name);
        let line = Line {
            level: Level::Alert,
            text: format!(
                "Blocking cacheable cookie in response from instance {}, server {server}.",
                model.name
            ),
        };
        self.tables.desk.tell(backend, &line);
        self.count_denied(Phase::Response);
        Err(Fault::Denied(502))
    }

    /// The backend's rules for responses run before the frontend's.
    fn owners(&self, backend: BackendId) -> impl Iterator<Item = Owner> + use<> {
        let frontend = (!self.is_same_proxy(backend)).then_some(Owner::Frontend);
        std::iter::once(Owner::Backend(backend)).chain(frontend)
    }

    /// `http-after-response`, on the response at hand. None of these rules can keep it from the client.
    pub(super) fn after_response<C: ClientStream>(
        &mut self,
        client: &C,
        backend: Option<BackendId>,
    ) {
        let tables = Rc::clone(&self.tables);
        let frontend = backend.is_none_or(|id| !self.is_same_proxy(id));
        let owners = backend.map(Owner::Backend).into_iter();
        for owner in owners.chain(frontend.then_some(Owner::Frontend)) {
            let rules = &self.rules(&tables, owner).after_response;
            if !rules.is_empty() {
                self.ask_client(client);
                self.enter(owner);
                self.with_context(Phase::AfterResponse, |context| rule::run(rules, 0, context));
            }
        }
        self.response.settle_framing();
    }

    async fn judge<C: ClientStream>(
        &mut self,
        client: &mut C,
        stage: Stage,
        answer: Option<&mut Answer>,
    ) -> Result<Option<Outcome>, Fault> {
        // Few rules want something that takes time; only they need room for it.
        match self.look(client, stage, answer.as_deref(), 0) {
            Verdict::Pass | Verdict::Wait { .. } => Ok(None),
            Verdict::Stop { at, flow } => {
                Box::pin(self.follow(client, stage, answer, (at, flow))).await
            }
        }
    }

    /// Walks through a set of rules from number `from`.
    fn look<C: ClientStream>(
        &mut self,
        client: &C,
        (owner, select, phase): Stage,
        answer: Option<&Answer>,
        from: usize,
    ) -> Verdict {
        (self.record.received_bytes, self.record.sent_bytes) = client.traffic();
        self.ask_client(client);
        self.enter(owner);
        let payload = answer.map_or_else(Payload::default, Answer::payload);
        let tables = Rc::clone(&self.tables);
        let set = select(self.rules(&tables, owner));
        self.with_payload(phase, payload, |context| rule::run(set, from, context))
    }

    /// Does what a rule wants, and goes on behind it.
    async fn follow<C: ClientStream>(
        &mut self,
        client: &mut C,
        stage: Stage,
        mut answer: Option<&mut Answer>,
        mut next: (usize, Flow),
    ) -> Result<Option<Outcome>, Fault> {
        let (tables, (owner, _, phase)) = (Rc::clone(&self.tables), stage);
        loop {
            let (at, flow) = next;
            match flow {
                // It is spoken already, which the rule has seen.
                Flow::Continue | Flow::Accept | Flow::Switch(_) => {}
                Flow::Pause { ms } => self.pause(client, ms).await?,
                Flow::AwaitBody { bytes, ms } => match &mut answer {
                    None => self.await_body(client, bytes, ms).await?,
                    Some(answer) => self.await_answer(answer, bytes, ms).await?,
                },
                Flow::AwaitHandshake => self.await_handshake(client).await?,
                Flow::Resolve(lookup) => self.look_up(client, *lookup, phase).await?,
                Flow::Label(label) => {
                    if let Some(socket) = client.socket() {
                        rules::label(socket, label);
                    }
                }
                Flow::Inform(head) => client
                    .inform(&head)
                    .map_err(|error| Fault::of_client(&error))?,
                Flow::Reply(reply) => return self.intercept(client, *reply, phase).map(Some),
                Flow::Serve(service) => {
                    let desk = &self.tables.desk;
                    let reply = service::answer(desk, service, &self.record.request.head);
                    self.answered_by("<PROMEX>");
                    return self.intercept(client, reply, phase).map(Some);
                }
                Flow::Tarpit(reply) => {
                    let ms = self.tarpit_ms(&tables, owner);
                    self.record.phase = fault::Phase::Tarpit;
                    let waited = self.pause(client, ms).await;
                    let times = &mut self.record.times;
                    (times.received_ns, times.admitted_ns) = (0, self.worker.reactor.now_ns());
                    waited?;
                    return self.intercept(client, *reply, phase).map(Some);
                }
                // As in HAProxy: the response never was complete.
                Flow::Part => {
                    self.record.times.answered_ns = 0;
                    return Err(Fault::EmptyResponse);
                }
                Flow::Reject => return Err(self.reject(phase, fault::Phase::Data)),
                Flow::Drop { ttl } => {
                    // A stream among others cannot take the connection with it: it is reset.
                    let vanished = client.socket().map(|socket| socket.vanish(ttl));
                    self.vanished = matches!(vanished, Some(Ok(())));
                    return Err(self.reject(phase, fault::Phase::Request));
                }
                Flow::Refuse => return Err(self.fail(phase, Fault::Refused(400))),
                Flow::Fail => return Err(self.fail(phase, Fault::RuleFailed)),
            }
            next = match self.look(client, stage, answer.as_deref(), at + 1) {
                Verdict::Pass | Verdict::Wait { .. } => return Ok(None),
                Verdict::Stop { at, flow } => (at, flow),
            };
        }
    }

    /// A rule could not be carried out. As HAProxy has it, the request never was complete.
    fn fail(&mut self, phase: Phase, fault: Fault) -> Fault {
        if phase == Phase::Request {
            self.record.times.received_ns = 0;
        }
        fault
    }

    /// A rule refuses the message. As in HAProxy, one that 'tcp-response content' refuses is over in that phase of the log,
    /// and never was complete.
    fn reject(&mut self, phase: Phase, logged: fault::Phase) -> Fault {
        self.count_denied(phase);
        if phase == Phase::ResponseContent {
            self.record.times.answered_ns = 0;
            self.record.phase = logged;
        }
        Fault::Rejected
    }

    fn tarpit_ms(&self, tables: &Tables, owner: Owner) -> u64 {
        let (tarpit, connect) = match owner {
            Owner::Frontend => (
                tables.frontend(self.session.frontend).timeouts.tarpit_ms,
                None,
            ),
            Owner::Backend(id) => {
                let timeouts = &tables.backend(id).timeouts;
                (timeouts.tarpit_ms, timeouts.connect_ms)
            }
        };
        let own = self.record.facts.overrides.tarpit_ms;
        own.or(tarpit).or(connect).unwrap_or(TARPIT_MS)
    }

    /// Waits, unless the client leaves.
    async fn pause<C: ClientStream>(&mut self, client: &mut C, ms: u64) -> Result<(), Fault> {
        let deadline_ns = self.worker.deadline(Some(ms));
        let gone = self
            .worker
            .reactor
            .until(deadline_ns, || client.poll_gone())
            .await;
        match gone {
            Ok(()) => Err(Fault::ClientClosed),
            Err(_) => Ok(()),
        }
    }

    /// `do-resolve`: keeps where a name leads, unless the client leaves before that is known.
    async fn look_up<C: ClientStream>(
        &mut self,
        client: &mut C,
        lookup: Lookup,
        phase: Phase,
    ) -> Result<(), Fault> {
        let (name, mut asked) = lookup::ask(&self.tables, lookup);
        let answer = poll_fn(|_| match asked.poll(&self.worker) {
            Poll::Ready(found) => Poll::Ready(Some(found)),
            Poll::Pending => client.poll_gone().map(|_| None),
        });
        match answer.await {
            None => return Err(Fault::ClientClosed),
            Some(None) => {}
            Some(Some(address)) => {
                self.with_context(phase, |context| {
                    context.set_variable(&name, Value::Address(address));
                });
            }
        }
        Ok(())
    }

    /// `wait-for-handshake`: until the client has shown that it is there.
    async fn await_handshake<C: ClientStream>(&self, client: &mut C) -> Result<(), Fault> {
        let timeouts = &self.tables.frontend(self.session.frontend).timeouts;
        let patience_ms = timeouts.client_handshake_ms.or(timeouts.client_ms);
        let deadline_ns = self.worker.deadline(patience_ms);
        let reactor = &self.worker.reactor;
        let ended = reactor.until(deadline_ns, || client.poll_handshake()).await;
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Fault::of_client(&error)),
            Err(_) => Err(Fault::ClientTimeout),
        }
    }

    /// `wait-for-body`: until so much of the body is here, or the time is over.
    async fn await_body<C: ClientStream>(
        &mut self,
        client: &mut C,
        bytes: u64,
        ms: u64,
    ) -> Result<(), Fault> {
        let limit = self.tables.buffer_bytes();
        let wanted = match usize::try_from(bytes) {
            Ok(0) | Err(_) => limit,
            Ok(bytes) => bytes.min(limit),
        };
        let deadline_ns = self.worker.deadline(Some(ms));
        self.invite(client)?;
        let (worker, request) = (&self.worker, &mut self.record.request);
        let waited = worker.reactor.until(deadline_ns, || {
            while !request.complete && request.early.len() < wanted {
                let mut scratch = worker.reactor.scratch();
                let room = (limit - request.early.len()).min(scratch.len());
                let read = std::task::ready!(client.poll_body(&mut scratch[..room]));
                let piece = match read {
                    Ok(piece) => piece,
                    Err(error) => return Poll::Ready(Err(Fault::of_client(&error))),
                };
                request.early.extend_from_slice(&scratch[piece.range]);
                request.complete = piece.last;
            }
            Poll::Ready(Ok(()))
        });
        waited.await.unwrap_or(Err(Fault::ClientTimeout))
    }

    /// `http-response wait-for-body`: until so much of the body is here, or the time is over.
    async fn await_answer(&self, answer: &mut Answer, bytes: u64, ms: u64) -> Result<(), Fault> {
        let deadline_ns = self.worker.deadline(Some(ms));
        let wanted = usize::try_from(bytes).unwrap_or(usize::MAX);
        let waited = self.worker.reactor.until(deadline_ns, || {
            let Answer {
                connection,
                scratch,
                piece,
                ..
            } = &mut *answer;
            // What has come lies at the front, so that as much as possible fits behind it.
            scratch.copy_within(piece.range.clone(), 0);
            piece.range = 0..piece.range.len();
            while !piece.last && piece.range.len() < wanted && piece.range.end < scratch.len() {
                let room = &mut scratch[piece.range.end..];
                let more = match std::task::ready!(connection.stream.poll_body(room)) {
                    Ok(more) => more,
                    Err(error) => return Poll::Ready(Err(Fault::of_server(&error, true))),
                };
                room.copy_within(more.range.clone(), 0);
                piece.range.end += more.range.len();
                piece.last = more.last;
            }
            Poll::Ready(Ok(()))
        });
        waited.await.unwrap_or(Err(Fault::ServerTimeout))
    }

    /// `option http-restrict-req-hdr-names`, behind the rules for requests.
    pub(super) fn restrict_names(&mut self, names: UnusualNames) -> Result<(), Fault> {
        let is_unusual = |name: &[u8]| {
            let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
            !name.iter().all(is_plain)
        };
        let head = &mut self.record.request.head;
        match names {
            UnusualNames::Kept => {}
            UnusualNames::Dropped => head.remove_where(is_unusual),
            UnusualNames::Refused if head.fields().any(|(name, _)| is_unusual(name)) => {
                self.count_denied(Phase::Request);
                return Err(Fault::Denied(403));
            }
            UnusualNames::Refused => {}
        }
        Ok(())
    }

    fn count_denied(&self, phase: Phase) {
        let backend = self.record.dispatch.as_ref().map(|it| it.backend);
        if matches!(phase, Phase::Response | Phase::ResponseContent) {
            let server = self.record.server;
            return account::answer_denied(self.session, backend, server);
        }
        tracking::count(self.session, &self.record.facts, Event::Error);
        account::request_denied(self.session, backend);
    }

    /// Answers in place of a server.
    fn intercept<C: ClientStream>(
        &mut self,
        client: &mut C,
        reply: Reply,
        phase: Phase,
    ) -> Result<Outcome, Fault> {
        let status = reply.status;
        let denied = reply.denies;
        if denied {
            self.count_denied(phase);
        } else if phase == Phase::Request {
            let backend = self.record.dispatch.as_ref().map(|it| it.backend);
            account::intercepted(self.session, backend);
        }
        self.record.fault = Some(if denied {
            Fault::Denied(status)
        } else {
            Fault::Local(status)
        });
        if reply.stock && !reply.head.fields.is_empty() {
            return self.say_stock(client, reply);
        }
        if reply.stock {
            return Err(if denied {
                Fault::Denied(status)
            } else {
                Fault::Local(status)
            });
        }
        if reply.close || self.leaves_body() {
            client.close_after();
        }
        self.say(client, reply::of_rule(reply))
            .map_err(|error| Fault::of_client(&error))?;
        Ok(match client.closes() {
            true => Outcome::Close,
            false => Outcome::Next,
        })
    }

    /// The answer that the configuration has for a status, with fields that a rule adds to it.
    fn say_stock<C: ClientStream>(
        &mut self,
        client: &mut C,
        reply: Reply,
    ) -> Result<Outcome, Fault> {
        let Some(mut answer) = self.error_reply(reply.head.status) else {
            return Ok(Outcome::Close);
        };
        self.record.status = reply.head.status;
        for (name, value) in reply.head.fields() {
            answer.head.add(name, value);
        }
        if answer.close || self.leaves_body() {
            client.close_after();
        }
        self.say(client, answer)
            .map_err(|error| Fault::of_client(&error))?;
        Ok(match client.closes() {
            true => Outcome::Close,
            false => Outcome::Next,
        })
    }

    /// Whether part of a request's body is still to come, which must not be taken for the next request.
    pub(super) fn leaves_body(&self) -> bool {
        !self.record.request.complete
            || self.tables.frontend(self.session.frontend).persistence == ConnectionMode::Close
    }

    /// The backend that rules choose, or the frontend's default.
    pub(super) fn choose_backend(&mut self) -> Result<BackendId, Fault> {
        let tables = Rc::clone(&self.tables);
        let frontend = tables.frontend(self.session.frontend);
        let default = frontend.default_backend;
        let known = match self.before {
            Before::Choice(id) => Some(id),
            // The usual case needs no context.
            _ => frontend.rules.always(default),
        };
        let backend = match known.filter(|&id| tables.plane.is_eligible(id)) {
            Some(id) => Some(id),
            None => self.with_context(Phase::Request, |context| {
                rule::backend(&frontend.rules, default, context)
            }),
        };
        let Some(backend) = backend else {
            // As HAProxy has it: a request that nobody takes was never complete.
            self.record.times.received_ns = 0;
            return Err(Fault::NoServer);
        };
        if tables.backend(backend).mode == Mode::Tcp {
            return Err(Fault::RuleFailed); // A frontend of TCP led there before, in TCP.
        }
        if !self.is_same_proxy(backend) {
            self.record.facts.overrides.enter_backend();
        }
        self.record.dispatch = Some(Dispatch::new(&self.worker, &self.tables, backend));
        Ok(backend)
    }

    /// The server that a stick table remembers, where neither a rule nor a cookie names one.
    pub(super) fn recall_server(&mut self, backend: BackendId) {
        let tables = Rc::clone(&self.tables);
        let rules = &tables.backend(backend).rules.stick;
        if rules.is_empty() {
            return self.prefer_last_server(backend);
        }
        let known = self.with_context(Phase::Request, |context| {
            stickiness::recall(rules, backend, context)
        });
        if let (Some(id), Some(dispatch)) = (known, &mut self.record.dispatch)
            && !dispatch.is_pinned()
        {
            dispatch.pin(id);
            self.record.facts.cookie.direct = true;
            let reason = || "which a stick table remembers".to_owned();
            self.record.facts.reason(reason);
        }
        self.prefer_last_server(backend);
    }

    /// `option prefer-last-server`, and connections that are authenticated: the client stays with a server to which it
    /// has a connection of its own.
    fn prefer_last_server(&mut self, backend: BackendId) {
        let prefers = self.tables.backend(backend).prefer_last_server;
        let mut own = self.session.own.iter().rev();
        let last = own.find(|own| own.backend == backend && (prefers || own.private));
        let Some(server) = last.map(|own| own.server) else {
            return;
        };
        let usable = self
            .tables
            .plane
            .backend(backend)
            .server(server)
            .is_usable();
        if let Some(dispatch) = &mut self.record.dispatch
            && usable
            && !dispatch.is_pinned()
        {
            dispatch.prefer(server);
            let reason = || "to which the client has a connection".to_owned();
            self.record.facts.reason(reason);
        }
    }

    /// A server has begun to answer: it is remembered in stick tables, as `stick` lines say.
    pub(super) fn remember_server(&mut self, backend: BackendId, server: ServerId) {
        let tables = Rc::clone(&self.tables);
        let rules = &tables.backend(backend).rules.stick_response;
        if !rules.is_empty() {
            self.with_context(Phase::Response, |context| {
                stickiness::recall_response(rules, context);
            });
        }
        let remembered = &mut self.record.facts.remembered;
        if !remembered.is_empty() {
            let now_ms = tracking::now_ms(&self.worker);
            stickiness::remember(remembered, &tables.plane, (backend, server), now_ms);
        }
    }

    /// What `balance hash` hashes of this request.
    pub(super) fn balance_key(&mut self, backend: BackendId) -> Option<Vec<u8>> {
        let tables = Rc::clone(&self.tables);
        let model = tables.backend(backend);
        let key = model.balance_key.as_ref()?;
        self.with_context(Phase::Request, |context| {
            Some(model.hash.key_of(key.evaluate(context)?))
        })
    }

    /// Finds what a server is to be asked for in TLS, where an expression says it.
    pub(super) fn find_names(&mut self, server: (BackendId, ServerId)) {
        let tables = Rc::clone(&self.tables);
        if let Some(expression) = tables.name_expression(server) {
            let name = self.with_context(Phase::Connect, |context| {
                rules::host(&expression.evaluate(context)?.into_text())
            });
            self.record.facts.server_name = name;
        }
        if let Some(name) = &tables.server(server.0, server.1).pool_name
            && let Some(expression) = &name.expression
        {
            let name = self.with_context(Phase::Connect, |context| {
                Some(expression.evaluate(context)?.into_text().into())
            });
            self.record.facts.pool_name = name;
        }
    }

    /// `use-server`: the server that rules choose, if it can take the request.
    pub(super) fn use_server(&mut self, backend: BackendId) {
        let tables = Rc::clone(&self.tables);
        let choices = &tables.backend(backend).rules.use_server;
        if choices.is_empty() {
            return;
        }
        let server = self.with_context(Phase::Request, |context| {
            rule::server(choices, backend, context)
        });
        if let (Some(id), Some(dispatch)) = (server, &mut self.record.dispatch) {
            dispatch.pin(id);
            self.record.facts.reason(|| "which a rule names".to_owned());
        }
    }

    /// The client waits for an invitation before it sends the body that is wanted here.
    pub(super) fn invite<C: ClientStream>(&mut self, client: &mut C) -> Result<(), Fault> {
        let request = &mut self.record.request;
        if request.head.expect_continue && !request.complete {
            client.invite().map_err(|error| Fault::of_client(&error))?;
            request.head.remove_kind(FieldKind::Expect);
        }
        Ok(())
    }
}
