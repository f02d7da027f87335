//! A session in TCP mode: choose a server, connect, relay.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use plimsoll_policy::action::Versions;
use plimsoll_policy::balance::key;
use plimsoll_policy::context::{ExchangeFacts, Overrides, Phase as Moment, StreamEnd};
use plimsoll_policy::model::{BackendId, Mode, ServerId};
use plimsoll_policy::{rdp, rule, stickiness};

use crate::account;
use crate::dispatch::{Affinity, Dispatch};
use crate::exchange::Handover;
use crate::fault::{Fault, Phase};
use crate::inspection::{self, Peeked, Source};
use crate::pool::{self, Identity, Opening, Route};
use crate::proxy_protocol;
use crate::queue::Slot;
use crate::reactor::Socket;
use crate::relay::Independent;
use crate::rules::{self, Reached, Sight};
use crate::session::{LINGER_TURN_BYTES, Session};
use crate::stories;
use crate::tracking;
use crate::transport::Transport;
use crate::tunnel::{self, Ended, Patience, Side};
use crate::worker::Worker;

/// What a finished TCP session leaves for its log line.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) phase: Phase,
    pub(crate) admitted_ns: u64,
    pub(crate) connected_ns: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    /// The server tried last, and its load when its slot was given back.
    pub(crate) server: Option<ServerId>,
    pub(crate) server_load: Option<u32>,
    pub(crate) fault: Option<Fault>,
    /// What rules have found out and decided.
    pub(crate) facts: ExchangeFacts,
}

/// Where a session goes.
enum Course {
    To(BackendId),
    /// It is one of HTTP; the backend, where it was chosen by bytes.
    Http(Versions, Option<BackendId>),
}

/// Serves one client connection as a stream of bytes, unless it turns out to be one of HTTP: then all that was found out
/// is left in the session, and the connection is returned with the bytes that were looked at.
pub(crate) async fn serve(
    session: &mut Session,
    mut client: Transport,
) -> Option<(Transport, Vec<u8>)> {
    let (mut report, mut peeked) = (Report::default(), Peeked::default());
    report.facts.story = stories::begin(session);
    session.admission.asks(1);
    account::tcp_begins(session);
    let mut entered = None;
    let directed = direct(
        session,
        &mut report.facts,
        (&mut client, &mut peeked),
        &mut entered,
    );
    match directed.await {
        Ok(Course::To(backend)) => {
            serve_to_end(session, client, peeked, backend, &mut report).await;
        }
        Ok(Course::Http(versions, backend)) => {
            session.handover = Some(Box::new(Handover {
                facts: report.facts,
                versions,
                backend,
            }));
            return Some((client, peeked.bytes));
        }
        Err(fault) => {
            report.fault = Some(fault);
            report.received_bytes = peeked.bytes.len() as u64;
            let dispatch = entered.map(|id| Dispatch::new(&session.worker, &session.tables, id));
            account::tcp(session, dispatch.as_ref(), None, &mut report);
            part(session, &mut client, fault);
        }
    }
    tracking::tcp_ends(session, &mut report.facts);
    None
}

async fn serve_to_end(
    session: &mut Session,
    mut client: Transport,
    mut peeked: Peeked,
    backend: BackendId,
    report: &mut Report,
) {
    let mut dispatch = Dispatch::new(&session.worker, &session.tables, backend);
    report
        .facts
        .tell(|story| story.candidates(&session.tables.plane, backend));
    choose_server(session, &mut dispatch, &mut peeked, report);
    let hashed = balance_key(session, backend, &mut peeked, report);
    let model = session.tables.backend(backend);
    let key = key::find(&model.balance, &FirstBytes(&peeked.bytes));
    let key = key.or(hashed.as_deref()).map(<[u8]>::to_vec);
    let mut client = Side::new(&mut client);
    match reach_server(
        session,
        &mut dispatch,
        (&mut client, !peeked.bytes.is_empty(), key.as_deref()),
        report,
    )
    .await
    {
        Ok((server, slot)) => {
            account::tcp_connected(session, &dispatch, slot.server, report);
            remember(session, (backend, slot.server), report);
            relay(session, &slot, (&mut client, server), peeked, report).await;
            report.server_load = Some(slot.release());
            account::tcp(session, Some(&dispatch), report.server, report);
        }
        Err(fault) => {
            report.fault = Some(fault);
            account::tcp(session, Some(&dispatch), report.server, report);
            part(session, client.transport, fault);
        }
    }
}

/// Closes the connection of a client that is not served: the end comes before anything else. Closed with unread bytes it
/// would be reset, and the client would not know whether it was heard (RFC 9112 section 9.6).
fn part(session: &Session, client: &mut Transport, fault: Fault) {
    // Whom a rule turns away is shown the door at once.
    if matches!(fault, Fault::Rejected | Fault::ClientClosed) || client.shutdown_write().is_err() {
        return;
    }
    let mut scratch = session.worker.reactor.scratch();
    let mut left = LINGER_TURN_BYTES;
    while left > 0
        && let Poll::Ready(Ok(count @ 1..)) = client.poll_read(&mut scratch)
    {
        left = left.saturating_sub(count);
    }
}

/// The server that rules name, the client's cookie, or a stick table, before any is balanced.
fn choose_server(
    session: &mut Session,
    dispatch: &mut Dispatch,
    peeked: &mut Peeked,
    report: &mut Report,
) {
    let (tables, backend) = (Rc::clone(&session.tables), dispatch.backend);
    let model = tables.backend(backend);
    let rules = &model.rules;
    let has_cookie = model.rdp_persistence.is_some();
    if rules.stick.is_empty() && rules.use_server.is_empty() && !has_cookie {
        return;
    }
    let reached = Reached {
        backend,
        server: None,
    };
    let sight = peeked.sight(Some(reached));
    let moment = Moment::RequestContent;
    let facts = &mut report.facts;
    let known = rules::with_session(session, facts, moment, sight, |context| {
        rule::judge_persistence(&rules.persist, context);
        let named = rule::server(&rules.use_server, backend, context);
        let before = match named {
            Some(id) => Some((id, "which a rule names")),
            None => rdp::server(backend, context).map(|id| (id, "which the client's cookie names")),
        };
        // What is to be remembered is found out in any case.
        let remembered = stickiness::recall(&rules.stick, backend, context);
        before.or_else(|| remembered.map(|id| (id, "which a stick table remembers")))
    });
    if let Some((id, reason)) = known {
        dispatch.pin(id);
        report.facts.reason(|| reason.to_owned());
    }
}

/// A session's first bytes as the balancing algorithms look at them.
struct FirstBytes<'a>(&'a [u8]);

impl<'a> key::Request<'a> for FirstBytes<'a> {
    fn opening(&self) -> Option<&'a [u8]> {
        Some(self.0)
    }
}

/// What `balance hash` hashes of this session.
fn balance_key(
    session: &mut Session,
    backend: BackendId,
    peeked: &mut Peeked,
    report: &mut Report,
) -> Option<Vec<u8>> {
    let tables = Rc::clone(&session.tables);
    let model = tables.backend(backend);
    let key = model.balance_key.as_ref()?;
    let reached = Reached {
        backend,
        server: None,
    };
    let sight = peeked.sight(Some(reached));
    let moment = Moment::RequestContent;
    rules::with_session(session, &mut report.facts, moment, sight, |context| {
        Some(model.hash.key_of(key.evaluate(context)?))
    })
}

/// The server is connected: it is remembered, as `stick` lines say.
fn remember(session: &mut Session, ids: (BackendId, ServerId), report: &mut Report) {
    let tables = Rc::clone(&session.tables);
    let rules = &tables.backend(ids.0).rules.stick_response;
    if !rules.is_empty() {
        let reached = Reached {
            backend: ids.0,
            server: Some(ids.1),
        };
        let sight = Sight {
            reached: Some(reached),
            ..Sight::default()
        };
        let moment = Moment::ResponseContent;
        rules::with_session(session, &mut report.facts, moment, sight, |context| {
            stickiness::recall_response(rules, context);
        });
    }
    let remembered = &mut report.facts.remembered;
    if !remembered.is_empty() {
        let now_ms = tracking::now_ms(&session.worker);
        stickiness::remember(remembered, &tables.plane, ids, now_ms);
    }
}

/// When a client that has not been connected to a server yet is taken for gone.
#[derive(Clone, Copy)]
struct Leaves {
    /// Some of what it said has been looked at.
    has_spoken: bool,
    /// The end of its side alone says so (`option abortonclose`).
    heeded: bool,
}

impl Leaves {
    /// Whether it has left: its connection is over, or it has ended its side before it said anything. One that has asked
    /// something may well wait for the answer with its side closed.
    fn has_left(self, client: &mut Transport) -> bool {
        client.poll_hangup().is_ready() && (client.socket().is_broken() || self.is_silent(client))
    }

    /// Whether it has ended its side, and there is nothing to be told to a server.
    fn is_silent(self, client: &mut Transport) -> bool {
        if self.heeded {
            return true;
        }
        // What TLS has for us is not known before it is read.
        let Some(socket) = client.plain().filter(|_| !self.has_spoken) else {
            return false;
        };
        matches!(socket.poll_peek(&mut [0], 0), Poll::Ready(Ok(0)))
    }

    /// Waits for a server's connection, unless the client ends its side meanwhile without having said anything.
    async fn unless_left(
        self,
        worker: &Worker,
        client: &mut Transport,
        opening: Pin<Box<impl Future<Output = Result<Transport, Fault>>>>,
    ) -> Result<Transport, Fault> {
        let left = || client.poll_hangup().is_ready() && self.is_silent(client);
        pool::unless_left(&worker.reactor, opening, left).await
    }

    /// Lines tell a connection that was reset from one that was closed, wherever that happened.
    fn note(self, fault: Fault, client: &Transport, report: &mut Report) -> Fault {
        if fault == Fault::ClientClosed && client.socket().is_broken() {
            report.phase = Phase::Data;
        }
        fault
    }
}

/// Attempts until a server is connected.
async fn reach_server(
    session: &mut Session,
    dispatch: &mut Dispatch,
    (client, has_spoken, key): (&mut Side<'_>, bool, Option<&[u8]>),
    report: &mut Report,
) -> Result<(Transport, Slot), Fault> {
    let (worker, tables) = (Rc::clone(&session.worker), Rc::clone(&session.tables));
    let affinity = Affinity {
        key,
        source: session.client_ip(),
        queue_ms: report.facts.overrides.queue_ms,
        priority: report.facts.overrides.priority(),
        stays: report.facts.overrides.force_persist,
    };
    let leaves = Leaves {
        has_spoken,
        heeded: tables.backend(dispatch.backend).abort_on_close,
    };
    loop {
        report.phase = Phase::Queue;
        let acquired = dispatch
            .acquire(&worker, &tables, affinity, || {
                leaves.has_left(client.transport)
            })
            .await;
        note_wait(dispatch, acquired.is_err(), worker.reactor.now_ns(), report);
        let slot = acquired.map_err(|fault| leaves.note(fault, client.transport, report))?;
        report
            .facts
            .tell(|story| story.tries(&tables.plane, (dispatch.backend, slot.server), key));
        report.server = Some(slot.server);
        session
            .admission
            .goes_to(Some((dispatch.backend, slot.server)));
        report.phase = Phase::Connect;
        account::server_connection(&tables, dispatch.backend, slot.server, false);
        let ids = (dispatch.backend, slot.server);
        let opening = Box::pin(open(session, ids, report));
        match leaves.unless_left(&worker, client.transport, opening).await {
            Ok(transport) => {
                report.connected_ns = worker.reactor.now_ns();
                report.facts.server_tls = transport.facts().map(Arc::clone);
                note_server(session, ids.0, &transport, report);
                return Ok((transport, slot));
            }
            Err(fault) => {
                note_failure(session, ids.0, None, Some(fault), report);
                let now_ns = worker.reactor.now_ns();
                let failed = (dispatch.backend, slot.server);
                account::attempt_failed(&tables, failed, fault, now_ns);
                report.facts.tell(|story| story.failed(fault.words()));
                dispatch
                    .retry(
                        &worker,
                        &tables,
                        slot,
                        fault,
                        (true, report.facts.overrides.retries),
                        || leaves.has_left(client.transport),
                    )
                    .await
                    .map_err(|fault| leaves.note(fault, client.transport, report))?;
                report.facts.retries(dispatch.is_pinned());
            }
        }
    }
}

/// Keeps when a session ceased to wait, and for which server, if it waited in vain.
fn note_wait(dispatch: &Dispatch, in_vain: bool, now_ns: u64, report: &mut Report) {
    let waited = dispatch.waited;
    if in_vain {
        report.server = waited.server.or(report.server);
    }
    let ends = match in_vain {
        true => waited.has_queued(),
        // Repetitions with the same server are part of connecting to it.
        false => !dispatch.repeats || report.admitted_ns == 0,
    };
    if ends {
        report.admitted_ns = now_ns;
    }
}

/// Connects to a server, introducing the client where the server wants that.
async fn open(
    session: &mut Session,
    ids: (BackendId, ServerId),
    report: &mut Report,
) -> Result<Transport, Fault> {
    let (worker, tables) = (Rc::clone(&session.worker), Rc::clone(&session.tables));
    let fields = proxy_fields(session, ids, &mut report.facts);
    if let Some(expression) = tables.name_expression(ids) {
        let name = rules::name_of(session, &mut report.facts, ids, expression);
        report.facts.server_name = name;
    }
    let unique_id = report.facts.unique_id.get().map(|name| &**name);
    let header = proxy_protocol::header(tables.server(ids.0, ids.1), session, unique_id, &fields);
    let (client, labels) = (
        session.facts.destination,
        report.facts.overrides.server_labels,
    );
    let opening = Opening {
        client,
        connect_ms: report.facts.overrides.connect_ms,
        name: session.server_name(ids, None, report.facts.server_name.as_deref()),
        // A connection of TCP is never shared; nothing else tells it apart.
        identity: Identity {
            route: Route::to(&tables, ids, &session.facts, None, labels),
            header: header.as_deref(),
            ..Identity::default()
        },
        protocol: None,
    };
    pool::open(&worker, &tables, ids, opening).await
}

/// What the configuration adds to the PROXY header for this server.
fn proxy_fields(
    session: &mut Session,
    (backend, server): (BackendId, ServerId),
    facts: &mut ExchangeFacts,
) -> Vec<(u8, Vec<u8>)> {
    let tables = Rc::clone(&session.tables);
    let model = tables.server(backend, server);
    if !proxy_protocol::asks_context(model) {
        return Vec::new();
    }
    let reached = Reached {
        backend,
        server: Some(server),
    };
    let sight = Sight {
        reached: Some(reached),
        ..Sight::default()
    };
    rules::with_session(session, facts, Moment::RequestContent, sight, |context| {
        proxy_protocol::fields(model, context)
    })
}

/// Keeps what rules and lines ask of the server's connection.
fn note_server(session: &Session, backend: BackendId, server: &Transport, report: &mut Report) {
    let asks = session.tables.frontend(session.frontend).rules.asks;
    let asks = asks.and(session.tables.backend(backend).rules.asks);
    let route = session.tables.log_route(session.frontend);
    if asks.server_end || route.asks_addresses() {
        report.facts.ends().server_addresses = rules::addresses(server.socket());
    }
    if asks.server_info {
        report.facts.ends().server = rules::tcp_info(server.socket());
    }
    if asks.streams {
        report.facts.ends().server_stream = Some(StreamEnd::alone(0));
    }
}

/// The rules for first bytes of frontend and backend; the backend that was chosen between them, which is `entered` before
/// its rules can refuse anything.
async fn direct(
    session: &mut Session,
    facts: &mut ExchangeFacts,
    (client, peeked): (&mut Transport, &mut Peeked),
    entered: &mut Option<BackendId>,
) -> Result<Course, Fault> {
    let tables = Rc::clone(&session.tables);
    let frontend = tables.frontend(session.frontend);
    let rules = &frontend.rules;
    if rules.asks.client_info {
        facts.ends().client = rules::tcp_info(client.socket());
    }
    if rules.asks.streams {
        facts.ends().client_stream = Some(StreamEnd::alone(0));
    }
    if rule::glances_at_bytes(rules) {
        Box::pin(inspection::glance(session, client, peeked)).await?;
    }
    if !rules.content.is_empty() {
        let set = (rules.content.as_slice(), rules.inspect_delay_ms);
        let stage = (Moment::RequestContent, None);
        let judged = inspection::judge(session, facts, Source::Client(client), peeked, set, stage);
        if let Some(versions) = Box::pin(judged).await? {
            return may_switch(session).map(|()| Course::Http(versions, None));
        }
    }
    let backend = inspection::choose_backend(session, facts, peeked).ok_or(Fault::NoServer)?;
    if tables.backend(backend).mode == Mode::Http {
        return may_switch(session).map(|()| Course::Http(Versions::Any, Some(backend)));
    }
    *entered = Some(backend);
    let rules = &tables.backend(backend).rules;
    let is_other = tables.backend(backend).number != frontend.number;
    facts.tell(|story| story.enter(&tables.backend(backend).name));
    if is_other {
        facts.overrides.enter_backend();
    }
    if !rules.content.is_empty() && is_other {
        let set = (rules.content.as_slice(), rules.inspect_delay_ms);
        let reached = Reached {
            backend,
            server: None,
        };
        let stage = (Moment::RequestContent, Some(reached));
        Box::pin(inspection::judge(
            session,
            facts,
            Source::Client(client),
            peeked,
            set,
            stage,
        ))
        .await?;
    }
    Ok(Course::To(backend))
}

/// `proto none`: whoever is taken for a client of HTTP all the same is turned away.
fn may_switch(session: &Session) -> Result<(), Fault> {
    match session.bind().is_some_and(|bind| bind.stays_raw) {
        true => Err(Fault::Rejected),
        false => Ok(()),
    }
}

async fn relay(
    session: &mut Session,
    slot: &Slot,
    (client, mut server): (&mut Side<'_>, Transport),
    mut peeked: Peeked,
    report: &mut Report,
) {
    report.phase = Phase::Data;
    let (backend, tables) = (slot.backend, Rc::clone(&session.tables));
    let rules = &tables.backend(backend).rules;
    let mut answer = Peeked::default();
    let mut server = Side::new(&mut server);
    if !rules.response_content.is_empty() {
        // The request has to leave before anything can come back.
        let sent = client.forward(server.transport, &peeked.bytes).is_ok();
        peeked.bytes.clear();
        if !sent || tunnel::poll_upload(&session.worker, client, &mut server).is_err() {
            report.fault = Some(Fault::ServerClosed);
            return;
        }
        let set = (
            rules.response_content.as_slice(),
            rules.response_inspect_delay_ms,
        );
        let reached = Reached {
            backend,
            server: Some(slot.server),
        };
        let stage = (Moment::ResponseContent, Some(reached));
        let facts = &mut report.facts;
        let source = Source::Server(&mut server, client);
        let judged = inspection::judge(session, facts, source, &mut answer, set, stage);
        if let Err(fault) = Box::pin(judged).await {
            report.received_bytes = client.received_bytes;
            report.sent_bytes = answer.bytes.len() as u64;
            // As in HAProxy, whose log takes it for an end of the request.
            if answer.dropped {
                report.phase = Phase::Request;
            }
            // Where a rule parts with the server, nothing has failed.
            report.fault = Some(fault).filter(|fault| *fault != Fault::EmptyResponse);
            return;
        }
    }
    let admission = Arc::clone(&session.admission);
    let recall = slot.recall(&admission);
    let patience = patience(session, backend, &report.facts.overrides);
    let pace = (patience, report.facts.limits.as_deref_mut());
    let carry = [peeked.bytes.as_slice(), answer.bytes.as_slice()];
    let server = &mut server;
    let ended = tunnel::run(&session.worker, client, server, carry, pace, recall).await;
    report.received_bytes = client.received_bytes;
    report.sent_bytes = server.received_bytes;
    report.fault = fault(ended);
    let socket = server.transport.socket();
    note_failure(session, backend, Some(socket), report.fault, report);
}

/// Keeps what went wrong with the server's connection, where somebody asks.
fn note_failure(
    session: &Session,
    backend: BackendId,
    socket: Option<&Socket>,
    fault: Option<Fault>,
    report: &mut Report,
) {
    let asks = session.tables.frontend(session.frontend).rules.asks;
    if asks.and(session.tables.backend(backend).rules.asks).streams {
        let ends = report.facts.ends();
        ends.server_stream = Some(StreamEnd::alone(0));
        ends.server_failure = Some(rules::failure(fault, socket));
    }
}

/// The time-outs of a tunnel between this session's frontend and `backend`, or those that rules set.
pub(crate) fn patience(session: &Session, backend: BackendId, own: &Overrides) -> Patience {
    let frontend = session.tables.frontend(session.frontend);
    let backend = session.tables.backend(backend);
    let (front, back) = (frontend.timeouts, backend.timeouts);
    Patience {
        independent: Independent::of(frontend, backend),
        client_ms: own.client_ms.or(front.client_ms),
        server_ms: own.server_ms.or(back.server_ms),
        tunnel_ms: own.tunnel_ms.or(back.tunnel_ms),
        client_fin_ms: front.client_fin_ms,
        server_fin_ms: back.server_fin_ms,
    }
}

/// What the log calls the end of a tunnel.
pub(crate) fn fault(ended: Ended) -> Option<Fault> {
    match ended {
        Ended::Both => None,
        Ended::ClientBroke => Some(Fault::ClientClosed),
        Ended::ServerBroke => Some(Fault::ServerClosed),
        Ended::ClientTimeout => Some(Fault::ClientTimeout),
        Ended::ServerTimeout => Some(Fault::ServerTimeout),
        Ended::Recalled(fault) => Some(fault),
    }
}
