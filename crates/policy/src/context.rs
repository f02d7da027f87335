//! What samples look at and actions change: one connection and, on it, one exchange, at one moment.
//!
//! The engine lends its own heads, buffers and addresses for the time of one evaluation; nothing is copied. What is
//! absent: sockets and clocks. What only the engine can tell is asked through [`World`].

use std::cell::{Cell, OnceCell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use plimsoll_wire::head::Head;

use crate::action::Flow;
use crate::bandwidth::Limits;
use crate::capture;
use crate::cookie::CookieFacts;
use crate::explain::Story;
use crate::log::{self, Level, Queued, Termination, Timers, Times, WallTime};
use crate::model::{BackendId, Bind, FrontendId, ServerId};
use crate::plane::Plane;
use crate::rule::Place;
use crate::stats::{self, Sums};
use crate::stick_table::{Counters, Tracked};
use crate::stickiness::Remembered;
use crate::tls::Facts;
use crate::value::Value;
use crate::variable::{Name, Scope, Variables};

/// Longest name that `unique-id-format` gives, in bytes.
const UNIQUE_ID_BYTES_MAX: usize = 127;

/// When a rule runs, or a sample is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// `tcp-request connection`: the connection was accepted, nothing has been read.
    Connection,
    /// `tcp-request session`: handshakes (PROXY protocol, TLS) are over.
    Session,
    /// `tcp-request content`: first bytes, or an HTTP request, are there.
    RequestContent,
    /// `http-request`, and whatever else looks at a request before a server is chosen.
    Request,
    /// A server has been chosen: `sni` and the like.
    Connect,
    /// `tcp-response content`.
    ResponseContent,
    /// `http-response`.
    Response,
    /// `http-after-response`: for our own answers too.
    AfterResponse,
    /// The line in the log.
    Log,
    /// A health check.
    Check,
    /// A command on the runtime API.
    Command,
}

/// The bytes received on one side so far, where something looks into them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Payload<'a> {
    pub bytes: &'a [u8],
    /// Nothing will follow.
    pub complete: bool,
}

/// What the engine knows and can do, asked while rules run.
pub trait World {
    /// Chance for spreading load; not for secrets.
    fn random(&self) -> u64;

    /// Counters and rates, summed over all workers.
    fn sums(&self) -> &dyn Sums;

    /// The process's identifier.
    fn process_id(&self) -> u32 {
        0
    }

    /// The machine's name.
    fn hostname(&self) -> &str {
        ""
    }

    /// Whether the process is about to end.
    fn is_stopping(&self) -> bool {
        false
    }

    /// The number of the worker that asks, from 0.
    fn worker(&self) -> u32 {
        0
    }

    /// By how many seconds local time is ahead of universal time now.
    fn utc_offset_s(&self) -> i32 {
        0
    }

    /// Whether an address is this machine's.
    fn is_local(&self, _: IpAddr) -> bool {
        false
    }

    /// Seconds since the process started.
    fn uptime_s(&self) -> u64 {
        0
    }

    /// A number for a request or TCP session, greater than those given before.
    fn next_number(&self) -> u32 {
        0
    }

    /// Writes a line of the frontend's log at once, of the record that the context has. `level` is that which rules set
    /// (`None` in it: no line); a profile takes the place of those of the log's targets.
    fn log(&self, _: &Context<'_>, _level: Option<Option<Level>>, _: Option<&log::Profile>) {}

    /// Counts a change of the message at hand that did not fit.
    fn rewrite_failed(&self, _: &Context<'_>) {}
}

/// No process at all: for rules that run while nobody is served.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nowhere;

impl World for Nowhere {
    fn random(&self) -> u64 {
        0
    }

    fn sums(&self) -> &dyn Sums {
        &stats::Nothing
    }
}

/// What is known of a client connection for as long as it lasts. Kept small: there may be a great many idle ones.
#[derive(Clone, Debug, Default)]
pub struct SessionFacts {
    /// Where the client comes from: the socket, a PROXY header, or a rule says so. `None` for unix sockets.
    pub source: Option<SocketAddr>,
    /// Where it wanted to go.
    pub destination: Option<SocketAddr>,
    /// What most connections do without.
    pub extra: Option<Box<SessionExtra>>,
}

impl SessionFacts {
    /// The facts of one stream of this connection, which must not outlive it.
    pub fn of_stream(&self) -> Self {
        let mut facts = self.clone();
        if let (Some(own), Some(extra)) = (&mut facts.extra, &self.extra) {
            own.tracked = extra.tracked.lent();
        }
        facts
    }

    /// Room for what most connections do without.
    pub fn extra(&mut self) -> &mut SessionExtra {
        self.extra.get_or_insert_default()
    }

    /// What the handshake with the client has told; `None`: the client speaks plainly.
    pub fn tls(&self) -> Option<&Facts> {
        self.extra.as_ref()?.tls.as_deref()
    }
}

/// Facts about a client connection that only some configurations ask for.
#[derive(Clone, Debug, Default)]
pub struct SessionExtra {
    /// What the handshake with the client has told.
    pub tls: Option<Arc<Facts>>,
    /// `sess.…`.
    pub variables: Variables,
    /// What `track-sc` of connections and sessions follows.
    pub tracked: Counters,
    /// The connection's own source and destination, where a PROXY header or later rules than `tcp-request connection` tell
    /// others.
    pub own_addresses: Option<(Option<SocketAddr>, Option<SocketAddr>)>,
    /// `expect-proxy`: a rule wants a PROXY protocol header.
    pub expects_header: bool,
    /// A PROXY protocol header was received.
    pub proxied: bool,
    /// Oddities on the connection so far.
    pub glitches: u32,
    /// Type-length-value fields of a PROXY protocol header of version 2, as received.
    pub proxy_fields: Vec<(u8, Vec<u8>)>,
    /// The packet that the connection began with (`tcp-ss`), where somebody asks; empty: it is not known.
    pub saved_syn: Box<[u8]>,
    /// Why the connection is of no use (`fc_err`).
    pub failure: Option<ConnectionError>,
}

/// What went wrong with a connection before it could carry anything, by HAProxy's number, name and words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionError {
    pub number: u8,
    pub name: &'static str,
    pub text: &'static str,
}

impl ConnectionError {
    /// Nothing did.
    pub const NONE: Self = Self {
        number: 0,
        name: "",
        text: "Success",
    };

    /// The handshake of TLS failed.
    pub const HANDSHAKE: Self = Self {
        number: 34,
        name: "SSL_HANDSHAKE",
        text: "SSL handshake failure",
    };

    /// The peer did not take the connection.
    pub const REFUSED: Self = Self {
        number: 47,
        name: "EREFUSED",
        text: "ECONNREFUSED returned by OS",
    };

    /// The peer broke it off.
    pub const RESET: Self = Self {
        number: 48,
        name: "ERESET",
        text: "ECONNRESET returned by OS",
    };
}

/// What is known of one exchange, or of one TCP session, beyond its messages.
#[derive(Clone, Debug, Default)]
pub struct ExchangeFacts {
    /// `txn.…`, `req.…` and `res.…`.
    pub variables: Variables,
    /// What `track-sc` of contents, requests and responses follows.
    pub tracked: Counters,
    /// What `capture` kept, by the number of the capture; `None`: there was nothing.
    pub request_captures: Vec<Option<Box<[u8]>>>,
    pub response_captures: Vec<Option<Box<[u8]>>>,
    /// Under which keys its server is to be remembered.
    pub remembered: Remembered,
    /// What `capture cookie` found, `name=value`.
    pub request_cookie: Option<Box<[u8]>>,
    pub response_cookie: Option<Box<[u8]>>,
    /// The name given by `unique-id-format`, once somebody has asked ([`Context::unique_id`]).
    pub unique_id: OnceCell<Box<[u8]>>,
    /// See [`World::next_number`].
    pub number: Cell<Option<u32>>,
    /// The request's first line as it was received, for logs, where a rule changed it.
    pub original: Option<Box<OriginalLine>>,
    pub overrides: Overrides,
    /// `set-bandwidth-limit`: how fast its bodies may pass.
    pub limits: Option<Box<Limits>>,
    /// The connection has carried another request before.
    pub is_later: bool,
    /// The status of the server's response before rules saw it; 0 where there was none.
    pub server_status: u16,
    /// The connection's addresses, where a rule set others for this exchange only.
    pub addresses: Option<(Option<SocketAddr>, Option<SocketAddr>)>,
    pub cookie: CookieFacts,
    /// What the handshake with the server has told; `None`: it speaks plainly, or none was reached.
    pub server_tls: Option<Arc<Facts>>,
    /// Oddities on the server's connection so far.
    pub server_glitches: u32,
    /// What the server is to be asked for in TLS, where an expression says it (`sni`).
    pub server_name: Option<Box<str>>,
    /// What tells its connections apart, where an expression says it (`pool-conn-name`).
    pub pool_name: Option<Box<[u8]>>,
    /// What was found out about the two connections, where somebody asks.
    pub ends: Option<Box<Ends>>,
    /// What is written down of it, where somebody may want to know why it went where it went.
    pub story: Option<Box<Story>>,
    /// The rule that decided last (`last_rule_file`), and the one that is waited for (`waiting_entity`).
    pub last_rule: Option<Place>,
    pub waiting_rule: Option<Place>,
}

/// What the kernel tells of the two connections of an exchange.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    pub client: Option<TcpInfo>,
    pub server: Option<TcpInfo>,
    /// The server's address, and the one it was reached from.
    pub server_addresses: Option<(SocketAddr, SocketAddr)>,
    /// The server's connection has carried another exchange before.
    pub reused: bool,
    pub client_stream: Option<StreamEnd>,
    /// `None`: no connection to a server was asked for.
    pub server_stream: Option<StreamEnd>,
    /// What went wrong with the server's connection.
    pub server_failure: Option<ConnectionError>,
}

/// One exchange among others on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamEnd {
    /// The identifier in HTTP/2; in HTTP/1 how many came before it on the connection.
    pub number: u32,
    /// How many are open on the connection, this one included.
    pub open: u32,
    /// How many may be.
    pub limit: u32,
    /// The code with which the peer has cancelled it (RFC 9113 section 7).
    pub reset: Option<u32>,
}

impl StreamEnd {
    /// The only one on its connection, after so many others.
    #[must_use]
    pub fn alone(number: u32) -> Self {
        Self {
            number,
            open: 1,
            limit: 1,
            reset: None,
        }
    }
}

/// How well packets travel to a peer (`TCP_INFO`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    pub rtt_us: u32,
    pub rtt_variance_us: u32,
    pub unacked: u32,
    pub sacked: u32,
    pub lost: u32,
    pub retransmitted: u32,
    pub forward_acknowledged: u32,
    pub reordering: u32,
}

impl ExchangeFacts {
    /// Tells what is to be written down, where anything is.
    pub fn tell(&self, tell: impl FnOnce(&Story)) {
        if let Some(story) = &self.story {
            tell(story);
        }
    }

    /// Something other than the algorithm has chosen the server, which is written down where anything is.
    pub fn reason(&self, words: impl FnOnce() -> String) {
        self.tell(|story| story.chosen_by(words()));
    }

    /// Another attempt follows: with the same server, or with one that the algorithm chooses.
    pub fn retries(&self, again: bool) {
        if again {
            self.reason(|| "once more".to_owned());
        }
    }

    /// Room for what is found out about the two connections.
    pub fn ends(&mut self) -> &mut Ends {
        self.ends.get_or_insert_default()
    }

    /// Gives the connection its own addresses back, when the exchange has ended.
    pub fn restore(&mut self, session: &mut SessionFacts) {
        if let Some((source, destination)) = self.addresses.take() {
            (session.source, session.destination) = (source, destination);
        }
    }
}

/// A request line before rules changed it.
#[derive(Clone, Debug, Default)]
pub struct OriginalLine {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
}

/// What packets to a server carry for routers and filters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// The kernel's mark (`SO_MARK`), which does not leave this machine.
    pub mark: Option<u32>,
    /// The type of service, or DSCP (RFC 2474), in its eight bits.
    pub service: Option<u8>,
}

/// What rules set for one exchange in place of what the configuration says for all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overrides {
    /// `set-log-level`; `Some(None)`: `silent`.
    pub log_level: Option<Option<Level>>,
    /// `set-timeout`, in milliseconds.
    pub client_ms: Option<u64>,
    pub server_ms: Option<u64>,
    pub tunnel_ms: Option<u64>,
    pub connect_ms: Option<u64>,
    pub queue_ms: Option<u64>,
    pub tarpit_ms: Option<u64>,
    /// `set-retries`.
    pub retries: Option<u32>,
    /// `disable-l7-retry`.
    pub no_retry: bool,
    /// `set-priority-class`, `set-priority-offset`.
    pub priority_class: i32,
    pub priority_offset_ms: i64,
    /// `set-bc-mark`, `set-bc-tos`.
    pub server_labels: Labels,
    /// A rule answered in place of a server.
    pub intercepted: bool,
    /// `use-server`: the server that a rule chose.
    pub server: Option<ServerId>,
    /// `force-persist`: dead servers keep their clients; `ignore-persist`: nobody is bound to a server.
    pub force_persist: bool,
    pub ignore_persist: bool,
    /// `strict-mode off`: a change that does not fit is left out.
    pub lenient: bool,
}

/// How far a session or an exchange has come, where no line says it already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// When the connection was accepted; for later requests on it, when the one before had ended.
    pub accepted: WallTime,
    pub times: Times,
    pub handshake_ms: u32,
    /// Bytes received from the client, and sent to it.
    pub received_bytes: u64,
    pub sent_bytes: u64,
    /// How many stood before it in the queues it went through.
    pub queued: Queued,
    pub retries: u32,
    pub redispatched: bool,
    /// A part of this program answers in place of a server.
    pub serviced: bool,
    /// What has gone wrong so far.
    pub termination: Termination,
}

impl Overrides {
    /// A backend of another proxy was chosen: what rules set before for whichever backend would come is void.
    pub fn enter_backend(&mut self) {
        *self = Self {
            server_ms: None,
            tunnel_ms: None,
            connect_ms: None,
            queue_ms: None,
            retries: None,
            ..*self
        };
    }

    /// Class and offset in queues.
    pub fn priority(&self) -> (i32, i64) {
        (self.priority_class, self.priority_offset_ms)
    }
}

/// The moment of an evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds of a clock that never goes back.
    pub monotonic_ns: u64,
    pub wall: WallTime,
}

/// Everything that a rule may look at, and what it may change.
pub struct Context<'a> {
    pub plane: &'a Plane,
    pub world: &'a dyn World,
    pub phase: Phase,
    pub now: Now,
    pub frontend: FrontendId,
    pub bind: Option<&'a Bind>,
    pub backend: Option<BackendId>,
    pub server: Option<ServerId>,
    pub progress: Progress,
    pub session: &'a mut SessionFacts,
    pub exchange: &'a mut ExchangeFacts,
    /// The request's head; `None` where there is none (yet).
    pub request: Option<&'a mut Head>,
    /// There is none and never will be, because the client speaks something else.
    pub refused: bool,
    /// The client's bytes are relayed as they are, whatever `request` makes of them (so far).
    pub is_raw: bool,
    /// What has arrived of the request's body, or of a TCP session from the client.
    pub request_payload: Payload<'a>,
    pub response: Option<&'a mut Head>,
    pub response_payload: Payload<'a>,
    /// What the log line is made of, when it is made.
    pub record: Option<&'a log::Record<'a>>,
    /// No more is to be waited for: what is missing now stays missing.
    pub last: bool,
    /// A buffer for putting texts together, lent and taken back.
    pub buffer: Vec<u8>,
    /// Set by samples that did not find what they look for and might later ([`Context::may_change`]).
    pub unsure: Cell<bool>,
    /// What converters changed while the rest was only looked at; see [`Context::settle`].
    later: RefCell<Vec<Later>>,
}

/// A change that a converter such as `set-var` makes in the middle of an expression.
enum Later {
    /// `None`: the variable is unset.
    Variable(Name, Option<Value<'static>>),
    /// Whether it is one of the request, its number, and the text.
    Capture(bool, usize, Vec<u8>),
}

/// Most changes of converters that wait to be made; more are dropped.
const LATER_MAX: usize = 1_024;

impl<'a> Context<'a> {
    /// A context of nothing but a connection; the caller fills in what else there is.
    pub fn new(
        plane: &'a Plane,
        world: &'a dyn World,
        phase: Phase,
        frontend: FrontendId,
        session: &'a mut SessionFacts,
        exchange: &'a mut ExchangeFacts,
    ) -> Self {
        Self {
            plane,
            world,
            phase,
            now: Now::default(),
            frontend,
            bind: None,
            backend: None,
            server: None,
            progress: Progress::default(),
            session,
            exchange,
            request: None,
            refused: false,
            is_raw: false,
            request_payload: Payload::default(),
            response: None,
            response_payload: Payload::default(),
            record: None,
            last: true,
            buffer: Vec::new(),
            unsure: Cell::new(false),
            later: RefCell::default(),
        }
    }

    /// What a line that is written about this moment knows, for as long as its record lives: the connection, and where it
    /// has been led. Messages have been put into the record.
    pub fn lend<'s>(&'s mut self, record: &'s log::Record<'s>) -> Context<'s> {
        let mut lent = Context::new(
            self.plane,
            self.world,
            Phase::Log,
            self.frontend,
            self.session,
            self.exchange,
        );
        (lent.now, lent.bind) = (self.now, self.bind);
        (lent.backend, lent.server) = (self.backend, self.server);
        lent.record = Some(record);
        lent
    }

    /// An empty buffer; to be handed back with [`Context::give_buffer`].
    pub(crate) fn take_buffer(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer
    }

    pub(crate) fn give_buffer(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }

    /// Says that what was asked for is not there now but may come with more bytes.
    pub fn may_change(&self) {
        if !self.last {
            self.unsure.set(true);
        }
    }

    /// The message that rules of this phase are about.
    pub fn message(&self) -> Option<&Head> {
        match self.phase {
            Phase::ResponseContent | Phase::Response | Phase::AfterResponse => {
                self.response.as_deref()
            }
            _ => self.request.as_deref(),
        }
    }

    /// As [`Context::message`], to be changed.
    pub fn message_mut(&mut self) -> Option<&mut Head> {
        match self.phase {
            Phase::ResponseContent | Phase::Response | Phase::AfterResponse => {
                self.response.as_deref_mut()
            }
            _ => self.request.as_deref_mut(),
        }
    }
}

impl Context<'_> {
    /// What follows from a change that was done, or did not fit.
    pub(crate) fn changed(&self, done: bool) -> Flow {
        if !done {
            self.world.rewrite_failed(self);
        }
        match done || self.exchange.overrides.lenient {
            true => Flow::Continue,
            false => Flow::Fail,
        }
    }

    /// A line is written of something that could not be understood, so that nothing is known but its connection.
    pub(crate) fn lacks_exchange(&self) -> bool {
        self.record.is_some_and(|record| record.malformed)
    }

    /// Not even the connection has come to be of use.
    pub(crate) fn lacks_session(&self) -> bool {
        self.record
            .is_some_and(|record| record.origin == log::Origin::SessionKilled)
    }

    /// When the connection was accepted; for later requests on it, when the one before had ended.
    pub(crate) fn accepted(&self) -> WallTime {
        let progress = self.progress.accepted;
        let accepted = self.record.map_or(progress, |record| record.accepted);
        match accepted.unix_s {
            // Where nobody says when, it was not long ago.
            0 => self.now.wall,
            _ => accepted,
        }
    }

    /// When the first byte of the request arrived.
    pub(crate) fn began(&self) -> WallTime {
        self.accepted().after_ms(self.timers().before_ms())
    }

    /// How long each step took.
    pub(crate) fn timers(&self) -> Timers {
        let progress = &self.progress;
        match self.record {
            Some(record) => record.timers,
            None => Timers {
                handshake_ms: progress.handshake_ms,
                ..progress.times.timers(self.now.monotonic_ns)
            },
        }
    }

    /// Milliseconds of the clock of stick tables.
    pub fn now_ms(&self) -> u64 {
        self.now.monotonic_ns / 1_000_000
    }

    /// What counter `number` follows: the exchange's own, or that of its connection.
    pub fn tracked(&self, number: u32) -> Option<&Tracked> {
        let own = self.exchange.tracked.get(number);
        own.or_else(|| self.session.extra.as_ref()?.tracked.get(number))
    }

    /// The name that `unique-id-format` gives this exchange; it is made when it is first asked for.
    pub fn unique_id(&self) -> Option<&[u8]> {
        let model = &self.plane.model;
        // A check has no client, and so no frontend.
        let rules = match self.phase {
            Phase::Check => &model.backends.get(self.backend?.0 as usize)?.rules,
            _ => &model.frontends.get(self.frontend.0 as usize)?.rules,
        };
        let format = rules.unique_id.as_ref()?;
        let known = &self.exchange.unique_id;
        if known.get().is_none() {
            let mut name = Vec::new();
            format.write(self, &mut name);
            name.truncate(UNIQUE_ID_BYTES_MAX);
            // The format cannot ask for itself, which is refused when it is read.
            let _ = known.set(name.into());
        }
        known.get().map(|name| &**name)
    }

    /// The number of this request or TCP session; it is given when it is first asked for.
    pub fn number(&self) -> u32 {
        let known = &self.exchange.number;
        let number = known.get().unwrap_or_else(|| self.world.next_number());
        known.set(Some(number));
        number
    }

    /// The value of a variable.
    pub fn variable(&self, name: &Name) -> Option<Value<'_>> {
        for change in self.later.borrow().iter().rev() {
            if let Later::Variable(changed, value) = change
                && changed == name
            {
                return value.clone();
            }
        }
        match name.scope {
            Scope::Process => self.plane.variables.find(name),
            Scope::Session => {
                let extra = self.session.extra.as_ref()?;
                extra.variables.find(name).map(Value::borrowed)
            }
            _ => self.exchange.variables.find(name).map(Value::borrowed),
        }
    }

    /// Sets a variable while others still look at this context: later lookups see it, [`Context::settle`] stores it.
    /// `None` unsets it.
    pub(crate) fn change_variable(&self, name: &Name, value: Option<Value<'static>>) {
        self.change(Later::Variable(name.clone(), value));
    }

    /// Keeps a text in a capture, likewise.
    pub(crate) fn change_capture(&self, request: bool, id: usize, text: Vec<u8>) {
        self.change(Later::Capture(request, id, text));
    }

    fn change(&self, change: Later) {
        let mut later = self.later.borrow_mut();
        if later.len() < LATER_MAX {
            later.push(change);
        }
    }

    /// Makes the changes that converters asked for. Rules do it one by one, and the end of a context does it.
    #[inline]
    pub fn settle(&mut self) {
        if !self.later.get_mut().is_empty() {
            self.make_changes();
        }
    }

    #[cold]
    fn make_changes(&mut self) {
        for change in std::mem::take(self.later.get_mut()) {
            match change {
                Later::Variable(name, Some(value)) => {
                    self.store_variable(&name, value);
                }
                Later::Variable(name, None) => self.remove_variable(&name),
                Later::Capture(request, id, text) => self.keep_capture(request, id, &text),
            }
        }
    }

    /// Keeps a text in one of the frontend's captures, where it has that many.
    pub(crate) fn keep_capture(&mut self, request: bool, id: usize, text: &[u8]) {
        let frontends = &self.plane.model.frontends;
        let Some(frontend) = frontends.get(self.frontend.0 as usize) else {
            return;
        };
        let (slots, facts) = (&frontend.rules.captures, &mut *self.exchange);
        match request {
            true => capture::put(&slots.request, id, text, &mut facts.request_captures),
            false => capture::put(&slots.response, id, text, &mut facts.response_captures),
        }
    }

    /// Sets a variable; returns `false` where a cap is hit.
    pub fn set_variable(&mut self, name: &Name, value: Value<'static>) -> bool {
        self.settle();
        self.store_variable(name, value)
    }

    pub fn unset_variable(&mut self, name: &Name) {
        self.settle();
        self.remove_variable(name);
    }

    fn store_variable(&mut self, name: &Name, value: Value<'static>) -> bool {
        match name.scope {
            Scope::Process => self.plane.variables.set(name, value),
            Scope::Session => self.session.extra().variables.set(name, value),
            _ => self.exchange.variables.set(name, value),
        }
    }

    fn remove_variable(&mut self, name: &Name) {
        match name.scope {
            Scope::Process => self.plane.variables.unset(name),
            Scope::Session => self.session.extra().variables.unset(name),
            _ => self.exchange.variables.unset(name),
        }
    }
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        self.settle();
    }
}
