//! What a TCP session's rules need to see before they decide: `tcp-request content`, `tcp-response content` and
//! `use_backend`, over bytes that are looked at and then relayed.
//!
//! What is absent: HTTP exchanges, whose rules see whole heads ([`crate::exchange`]).

use std::rc::Rc;
use std::task::{Poll, ready};

use plimsoll_policy::action::{Flow, Versions};
use plimsoll_policy::context::{ExchangeFacts, Payload, Phase};
use plimsoll_policy::model::BackendId;
use plimsoll_policy::rule::{self, Rule, Verdict};

use plimsoll_policy::value::Value;
use plimsoll_wire::h1::request::{self, Parse};
use plimsoll_wire::h1::{self, Limits};
use plimsoll_wire::head::{Head, Version};

use crate::account;
use crate::fault::Fault;
use crate::h1::client::PREFACE;
use crate::lookup;
use crate::reactor::Socket;
use crate::rules::{self, Reached, Sight};
use crate::session::Session;
use crate::transport::Transport;
use crate::tunnel::{self, Side};
use crate::worker::Worker;

/// Bytes of one side, looked at before they are relayed.
#[derive(Default)]
pub(crate) struct Peeked {
    pub(crate) bytes: Vec<u8>,
    /// The side has ended.
    ended: bool,
    /// A rule has the connection vanish.
    pub(crate) dropped: bool,
    reading: Reading,
}

/// What the first bytes are, taken for a request of HTTP: its samples are known in TCP mode too.
#[derive(Default)]
enum Reading {
    /// More than the first so many bytes are needed to know.
    #[default]
    Nothing,
    Part(usize),
    Whole(Box<Head>),
    /// It is something else.
    Other,
}

impl Peeked {
    pub(crate) fn sight(&mut self, reached: Option<Reached>) -> Sight<'_> {
        self.read();
        let refused = matches!(self.reading, Reading::Other);
        let request = match &mut self.reading {
            Reading::Whole(head) => Some(&mut **head),
            _ => None,
        };
        Sight {
            request,
            refused,
            is_raw: true,
            payload: Payload {
                bytes: &self.bytes,
                complete: self.ended,
            },
            reached,
        }
    }

    /// Reads the head as soon as it is there.
    fn read(&mut self) {
        let limits = Limits::default();
        let scanned = match self.reading {
            Reading::Nothing => 0,
            Reading::Part(scanned) => scanned,
            Reading::Whole(_) | Reading::Other => return,
        };
        if self.bytes.starts_with(PREFACE) {
            self.reading = Reading::Whole(preface());
            return;
        }
        if self.bytes.is_empty() || !h1::has_news(&self.bytes, scanned, &limits) {
            return;
        }
        let mut head = Box::<Head>::default();
        self.reading = match request::parse(&self.bytes, &mut head, &limits) {
            Ok(Parse::Complete(_)) => Reading::Whole(head),
            Ok(Parse::Partial) if !self.ended => Reading::Part(self.bytes.len()),
            Ok(Parse::Partial) | Err(_) => Reading::Other,
        };
    }
}

/// What the preface of HTTP/2 looks like (RFC 9113 section 3.4); of what follows it rules of TCP see nothing.
fn preface() -> Box<Head> {
    let mut head = Box::<Head>::default();
    head.method = head.push(b"PRI");
    head.target = head.push(b"*");
    head.version = Version::H2;
    head
}

/// Whose bytes are looked at.
pub(crate) enum Source<'a, 's, 'c> {
    Client(&'a mut Transport),
    /// A server's, which hears meanwhile what this client says.
    Server(&'a mut Side<'s>, &'a mut Side<'c>),
}

impl Source<'_, '_, '_> {
    /// Passes on what the other side says meanwhile, and reads.
    fn poll_read(&mut self, worker: &Rc<Worker>, scratch: &mut [u8]) -> Poll<Result<usize, Fault>> {
        match self {
            Self::Client(transport) => transport
                .poll_read(scratch)
                .map_err(|_| Fault::ClientClosed),
            Self::Server(server, client) => {
                tunnel::poll_upload(worker, client, server)?;
                // As in HAProxy: rules decide by what has come until then.
                server.poll_read(scratch).map(|read| Ok(read.unwrap_or(0)))
            }
        }
    }

    fn client(&self) -> &Socket {
        match self {
            Self::Client(transport) => transport.socket(),
            Self::Server(_, client) => client.transport.socket(),
        }
    }
}

/// For how long a client's first bytes are waited for where rules look at them and are not told to wait.
const GLANCE_NS: u64 = 2_000_000;

/// Reads what a client says at once, for rules that look at it without `inspect-delay`. As a rule it has been said by the time
/// HAProxy runs them; here a connection is served sooner than that.
pub(crate) async fn glance(
    session: &Session,
    client: &mut Transport,
    peeked: &mut Peeked,
) -> Result<(), Fault> {
    let worker = Rc::clone(&session.worker);
    let limit = session.tables.plane.model.global.tune.buffer_bytes as usize;
    let deadline_ns = worker.reactor.now_ns() + GLANCE_NS;
    let mut source = Source::Client(client);
    let read = worker.reactor.until(deadline_ns, || {
        poll_more(&worker, &mut source, peeked, limit)
    });
    read.await.unwrap_or(Ok(()))
}

/// Runs `rules`, waiting for bytes up to `delay_ms` while they are needed. A rule may find that the bytes are HTTP.
pub(crate) async fn judge(
    session: &mut Session,
    facts: &mut ExchangeFacts,
    mut source: Source<'_, '_, '_>,
    peeked: &mut Peeked,
    (set, delay_ms): (&[Rule], Option<u64>),
    (phase, reached): (Phase, Option<Reached>),
) -> Result<Option<Versions>, Fault> {
    let worker = Rc::clone(&session.worker);
    let deadline_ns = worker.deadline(delay_ms);
    let limit = session.tables.plane.model.global.tune.buffer_bytes as usize;
    let mut from = 0;
    loop {
        let now_ns = worker.reactor.now_ns();
        let last = delay_ms.is_none()
            || peeked.ended
            || peeked.bytes.len() >= limit
            || now_ns >= deadline_ns;
        let sight = peeked.sight(reached);
        let verdict = rules::with_session(session, facts, phase, sight, |context| {
            context.last = last;
            rule::run(set, from, context)
        });
        match verdict {
            Verdict::Pass => return Ok(None),
            Verdict::Wait { from: next, .. } => {
                from = next;
                let more = worker.reactor.until(deadline_ns, || {
                    poll_more(&worker, &mut source, peeked, limit)
                });
                if let Ok(Err(fault)) = more.await {
                    return Err(fault);
                }
            }
            Verdict::Stop { at, flow } => {
                from = at + 1;
                match flow {
                    // Where it cannot be had, the connection is closed in the open.
                    Flow::Drop { ttl } => {
                        peeked.dropped = true;
                        let _ = source.client().vanish(ttl);
                    }
                    Flow::Label(label) => rules::label(source.client(), label),
                    _ => {}
                }
                if let Flow::Switch(versions) = flow {
                    return Ok(Some(versions));
                }
                if let Flow::Resolve(lookup) = flow {
                    let (name, address) = lookup::find(&worker, &session.tables, *lookup).await;
                    if let Some(address) = address {
                        let sight = peeked.sight(reached);
                        rules::with_session(session, facts, phase, sight, |context| {
                            context.set_variable(&name, Value::Address(address));
                        });
                    }
                    continue;
                }
                follow(
                    session,
                    flow,
                    reached.filter(|_| phase == Phase::ResponseContent),
                )
                .await?;
            }
        }
    }
}

fn poll_more(
    worker: &Rc<Worker>,
    source: &mut Source<'_, '_, '_>,
    peeked: &mut Peeked,
    limit: usize,
) -> Poll<Result<(), Fault>> {
    let mut scratch = worker.reactor.scratch();
    let room = (limit - peeked.bytes.len()).min(scratch.len());
    match ready!(source.poll_read(worker, &mut scratch[..room]))? {
        0 => peeked.ended = true,
        count => peeked.bytes.extend_from_slice(&scratch[..count]),
    }
    Poll::Ready(Ok(()))
}

/// `answering`: the server whose bytes are judged.
async fn follow(
    session: &mut Session,
    flow: Flow,
    answering: Option<Reached>,
) -> Result<(), Fault> {
    match flow {
        Flow::Continue
        | Flow::Accept
        | Flow::Switch(_)
        | Flow::AwaitBody { .. }
        | Flow::AwaitHandshake
        | Flow::Inform(_)
        | Flow::Resolve(_)
        | Flow::Label(_) => Ok(()),
        Flow::Pause { ms } => {
            let worker = Rc::clone(&session.worker);
            let until_ns = worker.deadline(Some(ms));
            worker.reactor.sleep_until(until_ns).await;
            Ok(())
        }
        Flow::Part => Err(Fault::EmptyResponse),
        Flow::Reject | Flow::Drop { .. } | Flow::Reply(_) | Flow::Tarpit(_) => {
            match answering {
                None => account::request_denied(session, None),
                Some(it) => account::answer_denied(session, Some(it.backend), it.server),
            }
            Err(Fault::Rejected)
        }
        // Services stand in `http-request` alone.
        Flow::Serve(_) | Flow::Refuse | Flow::Fail => Err(Fault::RuleFailed),
    }
}

/// The backend that `use_backend` names, or the frontend's default.
pub(crate) fn choose_backend(
    session: &mut Session,
    facts: &mut ExchangeFacts,
    peeked: &mut Peeked,
) -> Option<BackendId> {
    let tables = Rc::clone(&session.tables);
    let frontend = tables.frontend(session.frontend);
    let default = frontend.default_backend;
    let always = frontend.rules.always(default);
    if let Some(id) = always.filter(|&id| tables.plane.is_eligible(id)) {
        return Some(id);
    }
    let sight = peeked.sight(None);
    rules::with_session(session, facts, Phase::Request, sight, |context| {
        rule::backend(&frontend.rules, default, context)
    })
}
