//! One request and its response: choose, queue, connect, send, receive, relay, account.
//!
//! Read [`run`] first, then [`Exchange::carry`]; each step is one function below. What is absent: HTTP/1, HTTP/2 and
//! TLS (they are behind [`crate::stream`]), sockets (behind [`crate::pool`]), and decisions (they are `policy`'s).

mod ends;
mod marks;
mod rules;

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use plimsoll_policy::action::Versions;
use plimsoll_policy::balance::key;
use plimsoll_policy::context;
use plimsoll_policy::context::ExchangeFacts;
use plimsoll_policy::log::Moment;
pub(crate) use plimsoll_policy::log::Times;
use plimsoll_policy::model::{BackendId, ConnectionMode, ForwardFor, RetryOn, Reuse, ServerId};
use plimsoll_policy::passive::Observation;
use plimsoll_wire::h1::{encode, token};
use plimsoll_wire::head::{FieldKind, Framing, Head, Version};
use plimsoll_wire::websocket;

use self::rules::Owner;
use crate::control::admin::page;
use crate::dispatch::{Affinity, Dispatch};
use crate::fault::{Fault, Phase};
use crate::observe;
use crate::pool::{self, Connection, Identity, Opening, Route, Wish};
use crate::proxy_protocol;
use crate::queue::Slot;
use crate::quota::Quota;
use crate::reactor::Scratch;
use crate::relay::{Independent, Patience, Relay};
use crate::reply::{self, Reply};
use crate::session::{Session, write_ip};
use crate::splice::Conduit;
use crate::stream::{ClientStream, End, Piece, ServerStream, StreamError};
use crate::tables::Tables;
use crate::tcp;
use crate::transport::Transport;
use crate::upstream::Upstream;
use crate::worker::Worker;
use crate::{account, specimens, stories, tracking};

/// A request taken from a client.
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) head: Head,
    /// The part of the body that came along with the head.
    pub(crate) early: Vec<u8>,
    /// `early` is the whole body.
    pub(crate) complete: bool,
}

/// How the client's connection goes on.
pub(crate) enum Outcome {
    /// Another request may follow.
    Next,
    Close,
    /// The client takes nothing any more: there is no point in waiting until it has read what is left.
    Gone,
    /// The protocol was changed: bytes flow freely between the client and this server connection.
    Tunnel(Box<Upgrade>),
}

/// The server's side of an upgraded connection, with what it had already said.
pub(crate) struct Upgrade {
    pub(crate) transport: Transport,
    pub(crate) carry: Vec<u8>,
    pub(crate) backend: BackendId,
    pub(crate) slot: Slot,
    pub(crate) record: Record,
}

/// What an exchange leaves for counters and logs.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) request: Request,
    pub(crate) times: Times,
    pub(crate) phase: Phase,
    pub(crate) dispatch: Option<Dispatch>,
    pub(crate) server: Option<ServerId>,
    /// The part of this program that answered in place of a server, as lines call it.
    pub(crate) service: Option<&'static str>,
    /// The status the client saw; 0: none.
    pub(crate) status: u16,
    /// The version of HTTP that the response came in.
    pub(crate) version: Version,
    /// Bytes received from the client and sent to it, heads included.
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    /// Those of them that the kernel has moved by itself.
    pub(crate) spliced_bytes: (u64, u64),
    /// The server's load when its slot was given back.
    pub(crate) server_load: Option<u32>,
    pub(crate) fault: Option<Fault>,
    /// The server's address and the one it was reached from, where the log shows them.
    pub(crate) server_addresses: Option<(SocketAddr, SocketAddr)>,
    /// What rules have found out and decided.
    pub(crate) facts: ExchangeFacts,
}

/// What was found out while the client's connection was one of TCP, with which its first exchange begins.
pub(crate) struct Handover {
    /// What rules have found out and decided.
    pub(crate) facts: ExchangeFacts,
    pub(crate) versions: Versions,
    /// The backend that was chosen by bytes; `None`: a rule said that it is HTTP (`switch-mode`).
    pub(crate) backend: Option<BackendId>,
}

/// What was done for this request before it was known to be one.
enum Before {
    Nothing,
    /// The frontend's `tcp-request content` rules have run.
    Contents,
    /// Its backend has been chosen besides: the frontend's rules for HTTP are passed over.
    Choice(BackendId),
}

struct Exchange<'a> {
    session: &'a mut Session,
    worker: Rc<Worker>,
    tables: Rc<Tables>,
    record: Record,
    before: Before,
    response: Head,
    /// The way of a long request body.
    upload: Conduit,
    /// Part of the request's body has been taken from the client beyond `early`, so it cannot be sent again.
    upload_begun: bool,
    /// The client left while its request's body was awaited.
    abandoned: bool,
    /// Part of the response has reached the client.
    responding: bool,
    /// The client is not to notice that its connection ends.
    vanished: bool,
}

/// A server's answer as far as it is there: the connection, its slot, and the first bytes of the body.
struct Answer {
    connection: Box<Connection>,
    slot: Slot,
    scratch: Scratch,
    piece: Piece,
}

impl Answer {
    /// What has come of the body.
    fn payload(&self) -> context::Payload<'_> {
        context::Payload {
            bytes: &self.scratch[self.piece.range.clone()],
            complete: self.piece.last,
        }
    }
}

/// Carries one request to a server and its response back, and accounts for both.
pub(crate) fn run<'a, C: ClientStream>(
    session: &'a mut Session,
    client: &'a mut C,
    request: Request,
    times: Times,
) -> impl Future<Output = Outcome> + use<'a, C> {
    let worker = Rc::clone(&session.worker);
    let (facts, before) = begin(session);
    let mut exchange = Exchange {
        tables: Rc::clone(&session.tables),
        response: worker.take_head(),
        record: Record {
            request,
            times,
            facts,
            ..Record::default()
        },
        before,
        upload: Conduit::default(),
        upload_begun: false,
        abandoned: false,
        responding: false,
        vanished: false,
        worker,
        session,
    };
    // A block rather than an `async fn`, which would hold each argument twice.
    async move {
        exchange.spell_names(client);
        let ended = exchange.carry(client).await;
        let outcome = exchange.finish(client, ended);
        // Whoever was not told of a close may rely on the connection, however slowly our answer leaves.
        let owes = matches!(outcome, Outcome::Next) && client.is_backlogged();
        if owes && exchange.flush(client).await.is_err() {
            return Outcome::Gone;
        }
        outcome
    }
}

/// What an exchange begins with: usually nothing.
fn begin(session: &mut Session) -> (ExchangeFacts, Before) {
    if let Some(handover) = session.handover.take() {
        let Handover { facts, backend, .. } = *handover;
        return (facts, backend.map_or(Before::Contents, Before::Choice));
    }
    let facts = ExchangeFacts {
        story: stories::begin(session),
        ..ExchangeFacts::default()
    };
    (facts, Before::Nothing)
}

impl Exchange<'_> {
    /// The whole way; a fault is answered, counted and logged by [`Exchange::finish`].
    async fn carry<C: ClientStream>(&mut self, client: &mut C) -> Result<Outcome, Fault> {
        account::exchange_step(self.session, &mut self.record, Moment::Accept);
        if self.has_contents()
            && let Some(outcome) = self.judge_contents(client, Owner::Frontend).await?
        {
            return Ok(outcome);
        }
        account::request_begins(self.session, &self.record);
        self.capture_request();
        if let Some(outcome) = self.answer_monitor(client)? {
            return Ok(outcome);
        }
        account::exchange_step(self.session, &mut self.record, Moment::Request);
        if self.tables.frontend(self.session.frontend).buffer_request {
            self.buffer_request(client).await?;
        }
        if let Some(outcome) = self.judge_request(client, Owner::Frontend).await? {
            return Ok(outcome);
        }
        if let Some(outcome) = self.serve_page(client, None).await? {
            return Ok(outcome);
        }
        let frontend = self.tables.frontend(self.session.frontend);
        self.restrict_names(frontend.unusual_names)?;
        let backend = self.choose_backend()?;
        if let Some(outcome) = self.judge_request(client, Owner::Backend(backend)).await? {
            return Ok(outcome);
        }
        if let Some(outcome) = self.serve_page(client, Some(backend)).await? {
            return Ok(outcome);
        }
        self.restrict_names(self.tables.backend(backend).unusual_names)?;
        if self.tables.backend(backend).buffer_request {
            self.buffer_request(client).await?;
        }
        if self.abandoned {
            return Err(Fault::GaveUp);
        }
        self.record
            .facts
            .tell(|story| story.candidates(&self.tables.plane, backend));
        self.judge_persistence(backend);
        self.use_server(backend);
        self.follow_cookie(backend);
        self.recall_server(backend);
        self.record.request.head.arena_max = 0;
        self.add_unique_id();
        self.prepare_request(backend);
        let Some(mut answer) = self.obtain_answer(client, backend).await? else {
            return self.send_away(client, backend);
        };
        self.record.facts.server_status = self.response.status;
        tracking::answered(self.session, &self.record.facts, self.response.status);
        self.remember_server(backend, answer.slot.server);
        self.capture_response();
        if let Some(outcome) = self.judge_response(client, backend, &mut answer).await? {
            pool::discard(answer.connection);
            return Ok(outcome);
        }
        (self.record.status, self.record.version) = (self.response.status, self.response.version);
        let said = Observation::of_status(self.response.status);
        let now_ns = self.worker.reactor.now_ns();
        observe::note(&self.tables, (backend, answer.slot.server), said, now_ns);
        self.count_early(client);
        account::exchange_answered(self.session, &mut self.record);
        if self.response.status == 101 || self.is_connect_granted() {
            return self.upgrade(client, answer, backend).await;
        }
        self.deliver(client, answer, backend).await
    }

    /// `option logasap`: what has come so far, and the head that is about to leave.
    fn count_early<C: ClientStream>(&mut self, client: &C) {
        if !account::tells_answers(self.session) {
            return;
        }
        let mut out = self.worker.out_buffer();
        let (head, implied) = (&self.response, encode::Connection::Implied);
        encode::response(head, implied, Framing::None, &mut out);
        (self.record.received_bytes, self.record.sent_bytes) =
            (client.traffic().0, out.len() as u64);
    }

    /// Hands the response to the client, and keeps the connection that it came on if that is of further use.
    async fn deliver<C: ClientStream>(
        &mut self,
        client: &mut C,
        answer: Answer,
        backend: BackendId,
    ) -> Result<Outcome, Fault> {
        let Answer {
            mut connection,
            slot,
            scratch,
            piece,
        } = answer;
        self.relay_response(client, &mut connection, &slot, scratch, piece)
            .await?;
        if connection.stream.reusable() && !self.closes_servers(backend) {
            self.keep_connection(backend, connection);
        } else {
            pool::discard(connection);
        }
        self.record.server_load = Some(slot.release());
        Ok(Outcome::Next)
    }

    /// `option h1-case-adjust-bogus-client`.
    fn spell_names<C: ClientStream>(&self, client: &mut C) {
        let adjusts = self.tables.frontend(self.session.frontend).adjusts_case;
        let spelling = &self.tables.plane.model.global.spelling;
        client.spell_names(adjusts.then_some(spelling));
    }

    /// Answers with the statistics page, where this frontend or backend has one and the request is meant for it.
    async fn serve_page<C: ClientStream>(
        &mut self,
        client: &mut C,
        backend: Option<BackendId>,
    ) -> Result<Option<Outcome>, Fault> {
        let tables = Rc::clone(&self.tables);
        let frontend = tables.frontend(self.session.frontend);
        let (owner, page) = match backend {
            None => (&frontend.name, &frontend.stats_page),
            Some(id) => (&tables.backend(id).name, &tables.backend(id).stats_page),
        };
        let Some(page) = page else { return Ok(None) };
        if backend.is_none() && matches!(self.before, Before::Choice(_)) {
            return Ok(None);
        }
        let Some(wish) = page.wish(self.record.request.head.target()) else {
            return Ok(None);
        };
        self.answered_by("<STATS>");
        self.record.times.answered_ns = 0;
        let rules_owner = backend.map_or(Owner::Frontend, Owner::Backend);
        if let Some(outcome) = self.judge_page(client, rules_owner).await? {
            return Ok(Some(outcome));
        }
        let may_change = self.may_change_servers(rules_owner);
        if !self.record.request.complete {
            Box::pin(self.buffer_request(client)).await?;
        }
        let Request {
            head,
            early,
            complete,
        } = &self.record.request;
        let question = page::Question {
            head,
            body: early,
            complete: *complete,
            is_judged: self.is_page_judged(rules_owner),
            may_change,
            owner,
        };
        let (status, out) = page::answer(&tables.desk, page, &wish, &question);
        let complete = *complete;
        self.record.status = status;
        self.record.fault = Some(Fault::Local(status));
        self.answered_by("<STATS>");
        if status == 401 {
            self.record.times.answered_ns = 0;
        }
        account::intercepted(self.session, backend);
        if !complete {
            client.close_after();
        }
        let reply = Reply::read(&out).ok_or(Fault::Exhausted)?;
        self.say(client, reply)
            .map_err(|error| Fault::of_client(&error))?;
        Ok(Some(match complete {
            true => Outcome::Next,
            false => Outcome::Close,
        }))
    }

    /// A part of this program takes the place of a server, without a queue and without a connection.
    fn answered_by(&mut self, service: &'static str) {
        let (now_ns, record) = (self.worker.reactor.now_ns(), &mut self.record);
        record.service = Some(service);
        let times = &mut record.times;
        (times.admitted_ns, times.connected_ns, times.answered_ns) = (now_ns, now_ns, now_ns);
    }

    /// `option http-buffer-request`: waits for the body, as far as a buffer reaches.
    async fn buffer_request<C: ClientStream>(&mut self, client: &mut C) -> Result<(), Fault> {
        let limit = self.tables.buffer_bytes();
        let timeouts = self.tables.frontend(self.session.frontend).timeouts;
        let deadline_ns = self
            .worker
            .deadline(timeouts.http_request_ms.or(timeouts.client_ms));
        self.invite(client)?;
        let (worker, record, abandoned) = (&self.worker, &mut self.record, &mut self.abandoned);
        let (request, times) = (&mut record.request, &mut record.times);
        let whole = poll_fn(|_| {
            while !request.complete && !*abandoned && request.early.len() < limit {
                let mut scratch = worker.reactor.scratch();
                let room = (limit - request.early.len()).min(scratch.len());
                let Poll::Ready(read) = client.poll_body(&mut scratch[..room]) else {
                    return worker.reactor.poll_deadline(deadline_ns).map(|_| {
                        times.received_ns = 0; // As HAProxy has it: the request never was complete.
                        Err(Fault::ClientTimeout)
                    });
                };
                let piece = match read.map_err(|error| Fault::of_client(&error)) {
                    Ok(piece) => piece,
                    // As in HAProxy this is found out only after the backend has been chosen.
                    Err(Fault::ClientClosed) => {
                        *abandoned = true;
                        break;
                    }
                    Err(fault) => return Poll::Ready(Err(fault)),
                };
                request.early.extend_from_slice(&scratch[piece.range]);
                request.complete = piece.last;
            }
            Poll::Ready(Ok(()))
        });
        whole.await
    }

    /// What the configuration adds to every request.
    fn prepare_request(&mut self, backend: BackendId) {
        let tables = Rc::clone(&self.tables);
        let (front, back) = (
            tables.frontend(self.session.frontend),
            tables.backend(backend),
        );
        if let Some(forwarded) = &back.rules.forwarded {
            // Without room the server is not told, as with the older fields below.
            self.with_context(context::Phase::Request, |context| forwarded.write(context));
        }
        let facts = &self.session.facts;
        let ends = [
            (facts.source, &back.forward_for, &front.forward_for),
            (facts.destination, &back.original_to, &front.original_to),
        ];
        let head = &mut self.record.request.head;
        for (end, back, front) in ends {
            let rules = [back, front].into_iter().flatten();
            if let Some(address) = end.map(|end| end.ip())
                && let Some(header) = header_for(head, address, rules)
            {
                write_ip(address, |text| head.add(header.as_bytes(), text));
            }
        }
    }

    /// Tells the client where the server is to be asked, which its line says (`redir`).
    fn send_away<C: ClientStream>(
        &mut self,
        client: &mut C,
        backend: BackendId,
    ) -> Result<Outcome, Fault> {
        let tables = Rc::clone(&self.tables);
        let server = self.record.server.ok_or(Fault::NoServer)?;
        let prefix = tables.server(backend, server).redirect.as_deref();
        let prefix = prefix.filter(|prefix| *prefix != "/").unwrap_or_default();
        let reply = reply::redirect(prefix, self.record.request.head.target());
        let reply = reply.ok_or(Fault::Exhausted)?;
        self.record.phase = Phase::Connect;
        self.record.fault = Some(Fault::Local(reply.head.status));
        if self.leaves_body() {
            client.close_after();
        }
        self.say(client, reply)
            .map_err(|error| Fault::of_client(&error))?;
        Ok(match client.closes() {
            true => Outcome::Close,
            false => Outcome::Next,
        })
    }

    /// Whether clients are sent to the server instead of their requests.
    fn is_elsewhere(&self, backend: BackendId, server: ServerId) -> bool {
        self.tables.server(backend, server).redirect.is_some()
            && matches!(self.record.request.head.method(), b"GET" | b"HEAD")
    }

    /// Attempts until a server has begun to answer; `None`: clients are sent to the server that was chosen.
    async fn obtain_answer<C: ClientStream>(
        &mut self,
        client: &mut C,
        backend: BackendId,
    ) -> Result<Option<Answer>, Fault> {
        loop {
            let slot = self.acquire_slot(client, backend).await?;
            if self.is_elsewhere(backend, slot.server) {
                return Ok(None);
            }
            let fault = match self.attempt(client, backend, &slot).await {
                Ok((connection, scratch, piece)) => match self.wants_retry(backend) {
                    None => {
                        let (place, status) = ((backend, slot.server), self.response.status);
                        account::server_answered(&self.tables, place, status);
                        return Ok(Some(Answer {
                            connection,
                            slot,
                            scratch,
                            piece,
                        }));
                    }
                    Some(fault) => fault,
                },
                Err(fault) => fault,
            };
            let now_ns = self.worker.reactor.now_ns();
            account::attempt_failed(&self.tables, (backend, slot.server), fault, now_ns);
            self.record.facts.tell(|story| story.failed(fault.words()));
            self.record.times.answered_ns = 0;
            let (replayable, retries) = (self.replayable(), self.record.facts.overrides.retries);
            let watch = self.heeds_leaving(client, backend);
            let Some(dispatch) = &mut self.record.dispatch else {
                return Err(fault);
            };
            dispatch
                .retry(
                    &self.worker,
                    &self.tables,
                    slot,
                    fault,
                    (replayable, retries),
                    || watch && client.poll_gone().is_ready(),
                )
                .await?;
            self.record.times.connected_ns = 0;
            self.record.facts.retries(dispatch.is_pinned());
        }
    }

    /// Picks a server and waits until it may take one more request.
    async fn acquire_slot<C: ClientStream>(
        &mut self,
        client: &mut C,
        backend: BackendId,
    ) -> Result<Slot, Fault> {
        self.record.phase = Phase::Queue;
        let hashed = self.balance_key(backend);
        let (model, request) = (self.tables.backend(backend), &self.record.request);
        let key = key::find(&model.balance, &Keys(request)).or(hashed.as_deref());
        let affinity = Affinity {
            key,
            source: self.session.client_ip(),
            queue_ms: self.record.facts.overrides.queue_ms,
            priority: self.record.facts.overrides.priority(),
            stays: self.record.facts.overrides.force_persist,
        };
        let watch = self.heeds_leaving(client, backend);
        let gone = || watch && client.poll_gone().is_ready();
        let Some(dispatch) = &mut self.record.dispatch else {
            return Err(Fault::NoServer);
        };
        let acquired = dispatch
            .acquire(&self.worker, &self.tables, affinity, gone)
            .await;
        let (waited, repeats) = (dispatch.waited, dispatch.repeats);
        if dispatch.has_left() {
            self.record.facts.cookie.leave(dispatch.redispatched);
        }
        let now_ns = self.worker.reactor.now_ns();
        if acquired.is_err() {
            self.record.server = waited.server.or(self.record.server);
            if waited.has_queued() {
                self.record.times.admitted_ns = now_ns;
            }
        }
        let slot = acquired?;
        self.record
            .facts
            .tell(|story| story.tries(&self.tables.plane, (backend, slot.server), key));
        self.record.server = Some(slot.server);
        let admission = &self.session.admission;
        admission.goes_to(Some((slot.backend, slot.server)));
        // Repetitions with the same server are part of connecting to it.
        if !repeats || self.record.times.admitted_ns == 0 {
            self.record.times.admitted_ns = now_ns;
        }
        Ok(slot)
    }

    /// Whether a request ends with a client that leaves.
    fn heeds_leaving<C: ClientStream>(&self, client: &C, backend: BackendId) -> bool {
        let heeds_end = self.tables.backend(backend).abort_on_close;
        client.heed_end(heeds_end);
        heeds_end || client.is_multiplexed()
    }

    /// One attempt with one server, up to the head of its response.
    async fn attempt<C: ClientStream>(
        &mut self,
        client: &mut C,
        backend: BackendId,
        slot: &Slot,
    ) -> Result<(Box<Connection>, Scratch, Piece), Fault> {
        self.record.phase = Phase::Connect;
        // A stream may have been cancelled by the bytes behind its request: no server is to be troubled with it.
        if client.is_multiplexed() && client.poll_gone().is_ready() {
            return Err(Fault::ClientClosed);
        }
        self.find_names((backend, slot.server));
        let mut connection = match self.reuse_connection(backend, slot.server) {
            Some(connection) => {
                account::server_connection(&self.tables, backend, slot.server, true);
                connection
            }
            None => self.connect(client, backend, slot.server).await?,
        };
        match self.converse(client, &mut connection, slot).await {
            Ok((scratch, piece)) => Ok((connection, scratch, piece)),
            // A connection that lay idle may have been closed under us, which says nothing about the server: the same
            // request may go out once more (RFC 9112 section 9.3.1), and no retry is counted.
            Err(Fault::EmptyResponse)
                if connection.reused && self.replayable() && self.is_idempotent() =>
            {
                let mut connection = self.connect(client, backend, slot.server).await?;
                let (scratch, piece) = self.converse(client, &mut connection, slot).await?;
                Ok((connection, scratch, piece))
            }
            Err(fault) => Err(fault),
        }
    }

    /// An idle connection to the server, where the configuration allows one.
    fn reuse_connection(
        &mut self,
        backend: BackendId,
        server: ServerId,
    ) -> Option<Box<Connection>> {
        let header = self.proxy_header((backend, server));
        let wish = self.wish((backend, server), header.as_deref());
        if let Some(index) = self.session.find_own(backend, server, wish)
            && let Some(own) = self.session.take_own(index)
        {
            return Some(own);
        }
        let first = self.session.requests <= 1;
        let proven = match self.tables.backend(backend).reuse {
            Reuse::Never => return None,
            Reuse::Safe if first => return None,
            Reuse::Aggressive => first,
            Reuse::Safe | Reuse::Always => false,
        };
        let wish = self.wish((backend, server), header.as_deref());
        let mut connection = self.tables.pool(backend, server).take(proven, wish)?;
        // It may have been opened under another plane, where ids meant others.
        (connection.backend, connection.server) = (backend, server);
        Some(connection)
    }

    /// What a connection has to be like to carry the request to a server.
    fn wish<'a>(
        &'a self,
        (backend, server): (BackendId, ServerId),
        header: Option<&'a [u8]>,
    ) -> Wish<'a> {
        let model = self.tables.server(backend, server);
        let name = match &model.pool_name {
            Some(_) => self.record.facts.pool_name.as_deref(),
            None => self.server_name((backend, server)).map(str::as_bytes),
        };
        let head = &self.record.request.head;
        Wish {
            identity: Identity {
                name,
                route: Route::to(
                    &self.tables,
                    (backend, server),
                    &self.session.facts,
                    Some(head),
                    self.record.facts.overrides.server_labels,
                ),
                header,
            },
            protocol: match asks_for_web_sockets(head) {
                true => model.web_socket_protocol(),
                false => None,
            },
        }
    }

    /// What the server is to be asked for in TLS.
    fn server_name(&self, server: (BackendId, ServerId)) -> Option<&str> {
        let found = self.record.facts.server_name.as_deref();
        self.session
            .server_name(server, Some(&self.record.request.head), found)
    }

    /// Opens a connection, and gives up when the client leaves meanwhile, where its request ends with that.
    async fn connect<C: ClientStream>(
        &mut self,
        client: &mut C,
        backend: BackendId,
        server: ServerId,
    ) -> Result<Box<Connection>, Fault> {
        let watch = self.heeds_leaving(client, backend);
        let reactor = self.worker.reactor.clone();
        let opening = Box::pin(self.open_connection(backend, server));
        match watch {
            true => pool::unless_left(&reactor, opening, || client.poll_gone().is_ready()).await,
            false => opening.await,
        }
    }

    async fn open_connection(
        &mut self,
        backend: BackendId,
        server: ServerId,
    ) -> Result<Box<Connection>, Fault> {
        let ids = (backend, server);
        let header = self.proxy_header(ids);
        let Wish { identity, protocol } = self.wish(ids, header.as_deref());
        let opening = Opening {
            client: self.session.facts.destination,
            connect_ms: self.record.facts.overrides.connect_ms,
            name: self.server_name(ids),
            identity,
            protocol,
        };
        account::server_connection(&self.tables, backend, server, false);
        let opened = Connection::open(&self.worker, &self.tables, ids, opening).await;
        if let Err(fault) = &opened {
            self.note_stream(None, Some(*fault));
        }
        opened
    }

    /// The PROXY header that introduces this client to a server; `None`: the server wants none.
    fn proxy_header(&mut self, (backend, server): (BackendId, ServerId)) -> Option<Vec<u8>> {
        let tables = Rc::clone(&self.tables);
        let model = tables.server(backend, server);
        model.send_proxy?;
        let fields = match proxy_protocol::asks_context(model) {
            false => Vec::new(),
            true => self.with_context(context::Phase::Request, |context| {
                proxy_protocol::fields(model, context)
            }),
        };
        let unique_id = self.record.facts.unique_id.get().map(|name| &**name);
        proxy_protocol::header(model, self.session, unique_id, &fields)
    }

    /// Waits until a server of HTTP/2 has said whether it knows changes of protocol: asked sooner, it might not.
    async fn settle(&self, connection: &Connection) -> Result<(), Fault> {
        let timeouts = self.tables.backend(connection.backend).timeouts;
        let deadline_ns = self.worker.deadline(timeouts.connect_ms);
        let settled = self
            .worker
            .reactor
            .until(deadline_ns, || connection.stream.poll_settled());
        settled.await.map_err(|_| Fault::ConnectTimeout)
    }

    /// Sends the request and waits for the head of the final response; interim ones are passed on.
    async fn converse<C: ClientStream>(
        &mut self,
        client: &mut C,
        connection: &mut Connection,
        slot: &Slot,
    ) -> Result<(Scratch, Piece), Fault> {
        let backend = slot.backend;
        if self.record.request.head.upgrade && connection.stream.is_multiplexed() {
            Box::pin(self.settle(connection)).await?;
        }
        connection.uses += 1;
        let persistent = self.is_persistent(backend, connection);
        connection.stream.set_persistent(persistent);
        let spelling = &self.tables.plane.model.global.spelling;
        let adjusts = self.tables.backend(backend).adjusts_case;
        connection.stream.spell_names(adjusts.then_some(spelling));
        self.record.times.connected_ns = self.worker.reactor.now_ns();
        self.record.phase = Phase::Headers;
        self.add_server_name(backend, connection.server);
        self.note_server(connection);
        account::exchange_step(self.session, &mut self.record, Moment::Connect);
        self.record.facts.server_tls = connection.stream.tls().map(Arc::clone);
        self.record.facts.server_glitches = connection.stream.glitches();
        let drops = self.drops_trailers(backend);
        let request = &self.record.request;
        let (end, trailers) = match request.complete {
            true => (End::Done, client.request_trailers().filter(|_| !drops.0)),
            false => (End::More, None),
        };
        connection
            .stream
            .request(&request.head, &request.early, end, trailers)
            .map_err(|error| Fault::of_server(&error, false))?;
        let (complete, sent_bytes) = (request.complete, request.early.len());
        self.note_stream(Some(connection), None);
        let (heeds_leaving, patience) =
            (self.heeds_leaving(client, backend), self.patience(backend));
        let mut relay = Relay::new(
            &self.worker,
            client,
            &mut connection.stream,
            (&mut self.upload, complete),
            patience,
        );
        relay.recall = Some(slot.recall(&self.session.admission));
        relay.drops_trailers = drops;
        relay.heeds_leaving = heeds_leaving;
        relay.limit(self.record.facts.limits.as_deref_mut(), sent_bytes);
        let answered = loop {
            match poll_fn(|_| relay.poll_head(&mut self.response)).await {
                Ok(_) if self.response.status < 200 && self.response.status != 101 => {
                    let (place, status) = ((backend, slot.server), self.response.status);
                    account::server_answered(&self.tables, place, status);
                    if let Err(error) = relay.inform(&self.response) {
                        break Err(Fault::of_client(&error));
                    }
                }
                answered => break answered,
            }
        };
        self.upload_begun |= relay.upload_begun;
        self.keep_refused(connection, answered.as_ref().err());
        if answered.is_ok() {
            self.record.times.answered_ns = self.worker.reactor.now_ns();
            self.ask_server(connection);
        }
        answered
    }

    /// Whether a server is to keep its connection behind the coming exchange.
    fn is_persistent(&self, backend: BackendId, connection: &Connection) -> bool {
        let pretends = self.tables.backend(backend).pretend_keepalive;
        let (server, uses) = (connection.server, connection.uses);
        (pretends || !self.closes_servers(backend)) && self.tables.may_reuse(backend, server, uses)
    }

    /// Keeps what a server has said, where that is why it failed, and what became of its connection.
    fn keep_refused(&mut self, connection: &mut Connection, fault: Option<&Fault>) {
        if fault.is_some() {
            self.note_stream(Some(connection), fault.copied());
        }
        if fault == Some(&Fault::JunkResponse) {
            let place = (connection.backend, connection.server);
            specimens::response(self.session, place, connection.stream.take_refused());
        }
    }

    /// `retry-on <status>`: the fault that a response stands for, when another attempt could follow.
    fn wants_retry(&self, backend: BackendId) -> Option<Fault> {
        let model = self.tables.backend(backend);
        let retries = self
            .record
            .dispatch
            .as_ref()
            .map_or(0, |dispatch| dispatch.retries);
        let wanted = model.retry_on.covers(RetryOn::status(self.response.status));
        let retries_max = self.record.facts.overrides.retries.unwrap_or(model.retries);
        (wanted && retries < retries_max && self.replayable())
            .then_some(Fault::RetryStatus(self.response.status))
    }

    /// Passes the response on, while what is left of the request goes the other way.
    async fn relay_response<C: ClientStream>(
        &mut self,
        client: &mut C,
        connection: &mut Connection,
        slot: &Slot,
        mut scratch: Scratch,
        piece: Piece,
    ) -> Result<(), Fault> {
        self.record.phase = Phase::Data;
        self.responding = true;
        let mut done = piece.last;
        // HTTP/1.0 knows no chunks: whoever sends them there is not trusted to have framed well (RFC 9112 section 6.1).
        let doubtful = self.response.version < Version::H11
            && matches!(self.response.framing, Framing::Chunked);
        if doubtful || self.closes_clients() {
            client.close_after();
        }
        if self.record.facts.limits.is_some() {
            Box::pin(self.await_quota(piece.range.len())).await;
        }
        let drops = self.drops_trailers(connection.backend);
        let trailers = connection.stream.response_trailers();
        let end = End::of(&piece);
        client
            .respond_within(
                &self.response,
                &mut scratch,
                piece.range,
                end,
                trailers.filter(|_| !drops.1),
            )
            .map_err(|error| Fault::of_client(&error))?;
        drop(scratch);
        let upload_done = self.record.request.complete || connection.stream.is_request_done();
        if done && upload_done && !client.is_backlogged() {
            return Ok(());
        }
        let heeds_leaving = self.heeds_leaving(client, connection.backend);
        let patience = self.patience(connection.backend);
        let mut relay = Relay::new(
            &self.worker,
            client,
            &mut connection.stream,
            (&mut self.upload, upload_done),
            patience,
        );
        relay.recall = Some(slot.recall(&self.session.admission));
        relay.drops_trailers = drops;
        relay.heeds_leaving = heeds_leaving;
        relay.limit(self.record.facts.limits.as_deref_mut(), 0);
        let ended = poll_fn(|_| relay.poll_bodies(&mut done)).await;
        self.record.spliced_bytes = (relay.upload.moved_bytes, relay.download.moved_bytes);
        if done {
            self.record.phase = Phase::Last;
        }
        self.keep_refused(connection, ended.as_ref().err());
        ended
    }

    /// Waits until what has come along with the response's head may pass.
    async fn await_quota(&mut self, bytes: usize) {
        let reactor = &self.worker.reactor;
        let mut quota = Quota::new(self.record.facts.limits.as_deref_mut());
        poll_fn(|_| quota.poll(reactor, false, bytes)).await;
        quota.passed(reactor, false, bytes);
    }

    /// RFC 9110 section 9.3.6: a successful answer to CONNECT turns the connection into a tunnel.
    fn is_connect_granted(&self) -> bool {
        self.record.request.head.method() == b"CONNECT"
            && (200..300).contains(&self.response.status)
    }

    /// Passes on the head that changes the protocol; what follows it belongs to the tunnel.
    async fn upgrade<C: ClientStream>(
        &mut self,
        client: &mut C,
        answer: Answer,
        backend: BackendId,
    ) -> Result<Outcome, Fault> {
        let stream = &answer.connection.stream;
        let is_sent = self.record.request.complete || stream.is_request_done();
        // What follows in the middle of a request would be read as part of it by one, and as the other protocol by others.
        if !is_sent || !proves_handshake(&self.record.request.head, &self.response) {
            return Err(Fault::JunkResponse);
        }
        self.record.phase = Phase::Data;
        self.responding = true;
        self.response.framing = Framing::None;
        if client.is_multiplexed() || answer.connection.stream.is_multiplexed() {
            return Box::pin(self.bridge(client, answer, backend)).await;
        }
        client
            .respond(&self.response, &[], End::Done, None)
            .map_err(|error| Fault::of_client(&error))?;
        self.flush(client).await?;
        let Upstream::H1(server) = answer.connection.stream else {
            unreachable!("streams are bridged");
        };
        let (transport, mut carry) = server.into_parts();
        carry.extend_from_slice(&answer.scratch[answer.piece.range]);
        (self.record.received_bytes, self.record.sent_bytes) = client.take_traffic();
        let (slot, record) = (answer.slot, std::mem::take(&mut self.record));
        Ok(Outcome::Tunnel(Box::new(Upgrade {
            transport,
            carry,
            backend,
            slot,
            record,
        })))
    }

    /// Relays what follows a change of protocol where it is not from socket to socket.
    async fn bridge<C: ClientStream>(
        &mut self,
        client: &mut C,
        answer: Answer,
        backend: BackendId,
    ) -> Result<Outcome, Fault> {
        let Answer {
            mut connection,
            slot,
            scratch,
            piece,
        } = answer;
        let mut first = connection.stream.become_tunnel();
        first.extend_from_slice(&scratch[piece.range]);
        drop(scratch);
        client.become_tunnel();
        client
            .respond(&self.response, &first, End::More, None)
            .map_err(|error| Fault::of_client(&error))?;
        drop(first);
        let own = &self.record.facts.overrides;
        let patience = tcp::patience(self.session, backend, own);
        let patience = Patience {
            client_ms: patience.tunnel_ms.or(patience.client_ms),
            server_ms: patience.tunnel_ms.or(patience.server_ms),
            independent: patience.independent,
        };
        let mut relay = Relay::new(
            &self.worker,
            client,
            &mut connection.stream,
            (&mut self.upload, false),
            patience,
        );
        relay.limit(self.record.facts.limits.as_deref_mut(), 0);
        let mut done = false;
        let ended = poll_fn(|_| relay.poll_bodies(&mut done)).await;
        pool::discard(connection);
        self.record.server_load = Some(slot.release());
        ended.map(|()| Outcome::Close)
    }

    /// Waits until the client has taken everything.
    async fn flush<C: ClientStream>(&self, client: &mut C) -> Result<(), Fault> {
        let timeouts = self.tables.frontend(self.session.frontend).timeouts;
        let deadline_ns = self.worker.deadline(timeouts.client_ms);
        let flushed = self
            .worker
            .reactor
            .until(deadline_ns, || client.poll_flush());
        match flushed.await {
            Ok(flushed) => flushed.map_err(|error| Fault::of_client(&error)),
            Err(_) => Err(Fault::ClientTimeout),
        }
    }

    /// Keeps an idle connection for this session or for all, as `http-reuse` says.
    fn keep_connection(&mut self, backend: BackendId, mut connection: Box<Connection>) {
        connection.private |= authenticates_connection(&self.response);
        if connection.private || self.tables.backend(backend).reuse == Reuse::Never {
            self.session.keep_own(connection);
            return;
        }
        let server = connection.server;
        let max = self.tables.pool_max(backend, server);
        let in_use = self.tables.plane.backend(backend).server(server).load();
        self.tables
            .pool(backend, server)
            .put(connection, max, in_use as usize);
    }

    /// Whether the request can be sent once more: all of its body is still here, and the client has seen nothing.
    fn replayable(&self) -> bool {
        !self.upload_begun && !self.responding && !self.record.facts.overrides.no_retry
    }

    /// RFC 9110 section 9.2.2: methods whose repetition does no harm.
    fn is_idempotent(&self) -> bool {
        matches!(
            self.record.request.head.method(),
            b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE" | b"TRACE"
        )
    }

    /// Whether trailers of the request and of the response are dropped (`option http-drop-…-trailers`).
    fn drops_trailers(&self, backend: BackendId) -> (bool, bool) {
        let frontend = self.tables.frontend(self.session.frontend);
        let backend = self.tables.backend(backend);
        (backend.drops_trailers, frontend.drops_trailers)
    }

    /// How long the two sides may be silent, as the configuration or rules say.
    fn patience(&self, backend: BackendId) -> Patience {
        let own = &self.record.facts.overrides;
        let frontend = self.tables.frontend(self.session.frontend);
        let backend = self.tables.backend(backend);
        Patience {
            client_ms: own.client_ms.or(frontend.timeouts.client_ms),
            server_ms: own.server_ms.or(backend.timeouts.server_ms),
            independent: Independent::of(frontend, backend),
        }
    }

    /// `option httpclose` closes the connections of the side it is written on. Those that will not be served any more
    /// are told so in time.
    fn closes_clients(&self) -> bool {
        let frontend = self.tables.frontend(self.session.frontend);
        frontend.persistence == ConnectionMode::Close
            || self.session.leaving
            || self.worker.is_stopping()
    }

    /// `option http-server-close` closes the server's connection wherever it is written.
    fn closes_servers(&self, backend: BackendId) -> bool {
        let frontend = self.tables.frontend(self.session.frontend);
        frontend.persistence == ConnectionMode::ServerClose
            || self.tables.backend(backend).persistence != ConnectionMode::KeepAlive
    }

    /// Answers a fault where that is still possible, then counts and logs.
    fn finish<C: ClientStream>(
        &mut self,
        client: &mut C,
        ended: Result<Outcome, Fault>,
    ) -> Outcome {
        let outcome = match ended {
            Ok(outcome) => outcome,
            Err(fault) => {
                self.record.fault = Some(fault);
                if matches!(fault, Fault::Refused(_)) {
                    let backend = self.record.dispatch.as_ref().map(|it| it.backend);
                    specimens::request(self.session, backend, client.take_refused());
                }
                tracking::failed(self.session, &self.record.facts, fault);
                self.answer_fault(client, fault)
            }
        };
        if !matches!(outcome, Outcome::Tunnel(_)) {
            self.session.admission.goes_to(None);
            (self.record.received_bytes, self.record.sent_bytes) = client.take_traffic();
            tracking::exchange_moved(self.session, &self.record);
            self.ask_client_at_last(client);
            self.name_story();
            account::exchange(self.session, &mut self.record);
            tracking::exchange_ends(self.session, &mut self.record);
            self.record.facts.restore(&mut self.session.facts);
        }
        let Request { head, early, .. } = std::mem::take(&mut self.record.request);
        self.worker.give_head(head);
        self.worker.give_buffer(early);
        self.worker.give_head(std::mem::take(&mut self.response));
        outcome
    }

    /// The answer that the configuration, or `http-error`, has for a status.
    fn error_reply(&mut self, status: u16) -> Option<Reply> {
        let tables = Rc::clone(&self.tables);
        let backend = self
            .record
            .dispatch
            .as_ref()
            .map(|dispatch| dispatch.backend);
        let files = tables.error_files(self.session.frontend, backend);
        match reply::composed(status, files) {
            None => reply::error(status, files),
            Some(rule) => self.with_context(context::Phase::Request, |context| {
                reply::compose(rule, context)
            }),
        }
    }

    fn answer_fault<C: ClientStream>(&mut self, client: &mut C, fault: Fault) -> Outcome {
        if self.responding || fault.status() == 0 {
            return match fault {
                _ if self.vanished => Outcome::Gone,
                Fault::ClientClosed | Fault::ClientTimeout => Outcome::Gone,
                _ => Outcome::Close,
            };
        }
        self.record.status = fault.status();
        // The rest of a body that nobody waits for must not be taken for the next request.
        if !self.record.request.complete
            || matches!(
                fault,
                Fault::Refused(_) | Fault::GaveUp | Fault::ClientTimeout
            )
            || self.closes_clients()
        {
            client.close_after();
        }
        let Some(reply) = self.error_reply(fault.status()) else {
            return Outcome::Close;
        };
        if reply.close {
            client.close_after();
        }
        if self.say(client, reply).is_err() || client.closes() {
            Outcome::Close
        } else {
            Outcome::Next
        }
    }

    /// Answers the present request with a message of our own, after the rules that see every response.
    fn say<C: ClientStream>(
        &mut self,
        client: &mut C,
        mut reply: Reply,
    ) -> Result<(), StreamError> {
        if self.record.request.head.method() == b"HEAD" {
            reply.drop_body();
        }
        std::mem::swap(&mut self.response, &mut reply.head);
        let said = self.response.status;
        self.after_response(
            client,
            self.record
                .dispatch
                .as_ref()
                .map(|dispatch| dispatch.backend),
        );
        // Rules may have set another one.
        self.record.status = match self.response.status {
            status if status == said => reply.status,
            status => status,
        };
        self.record.version = self.response.version;
        client.respond(&self.response, &reply.body, End::Done, None)
    }
}

/// The field in which a server is to be told an address, unless the address, or what the request says, spares it.
///
/// The backend's rule comes first, being nearer to the server: its name wins where both are set. Either one may spare an
/// address; both must want to add only where there is none.
fn header_for<'r>(
    head: &Head,
    address: IpAddr,
    mut rules: impl Iterator<Item = &'r ForwardFor> + Clone,
) -> Option<&'r str> {
    let rule = rules.clone().next()?;
    let excepted = |rule: &ForwardFor| rule.except.is_some_and(|net| net.contains(address));
    let spared = rules.clone().any(excepted)
        || (rules.all(|rule| rule.if_none) && head.values(rule.header.as_bytes()).next().is_some());
    (!spared).then_some(&rule.header)
}

/// Whether the server is about to learn who sits at the other end of this connection, and will take all that comes over
/// it as his: with NTLM and its like it is connections that are authenticated, not requests.
fn authenticates_connection(response: &Head) -> bool {
    let name: &[u8] = match response.status {
        401 => b"www-authenticate",
        407 => b"proxy-authenticate",
        _ => return false,
    };
    let begins = |value: &[u8], scheme: &[u8]| {
        value
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    response
        .values(name)
        .any(|value| begins(value, b"NTLM") || begins(value, b"Negotiate"))
}

/// Whether a request asks for WebSockets (RFC 6455 section 4.1).
fn asks_for_web_sockets(request: &Head) -> bool {
    let protocols = request.find(FieldKind::Upgrade);
    protocols.is_some_and(|protocols| token::contains(protocols, b"websocket"))
}

/// RFC 6455 section 4.2.2: whoever switches to WebSockets has to prove that it was asked to. A cache that plays back an old
/// answer, or a server that switches to whatever it is asked for, cannot.
fn proves_handshake(request: &Head, response: &Head) -> bool {
    let asks = asks_for_web_sockets(request);
    let key = request
        .value(b"sec-websocket-key")
        .and_then(websocket::Key::read);
    match (response.status, asks, key) {
        (101, true, Some(key)) => {
            response.value(b"sec-websocket-accept") == Some(key.accept().as_slice())
        }
        _ => true,
    }
}

/// A request as the balancing algorithms look at it.
struct Keys<'a>(&'a Request);

impl<'a> key::Request<'a> for Keys<'a> {
    fn target(&self) -> Option<&'a [u8]> {
        Some(self.0.head.target())
    }

    fn header(&self, name: &str) -> Option<&'a [u8]> {
        let mut fields = self.0.head.fields();
        fields
            .find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    fn post_body(&self) -> Option<&'a [u8]> {
        (self.0.head.method() == b"POST").then_some(self.0.early.as_slice())
    }
}
