//! The seam: exchanges whose client is neither HTTP/1 nor a socket, but one stream of many on one connection.
//!
//! The streams of a connection live in memory. Each runs [`exchange::run`] in a task of its own, beside the others,
//! behind the admission of the one connection; its client sends the request's body in pieces, grants the response
//! room in pieces, and may cancel. Servers, pools, queues and rules are the usual ones.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use plimsoll_policy::context::SessionFacts;
use plimsoll_policy::model::{FrontendId, Mode};
use plimsoll_wire::head::{Framing, Head, Version};

use super::client::{Errand, Mood, Response, judge};
use super::origin::{self, Register};
use super::peer::{Body, Lines};
use super::script::{Kind, Script, bytes_of, upload_id};
use super::stage::{Cast, MS_NS, Stage, for_seeds, model};
use crate::account;
use crate::exchange::{self, Outcome, Request, Times};
use crate::listener::Admission;
use crate::reactor::simulated::{Chance, Weather};
use crate::reactor::{Reactor, TaskId};
use crate::session::Session;
use crate::splice::Splice;
use crate::stream::{ClientStream, End, Piece, StreamError};
use crate::worker::Worker;

/// What the two ends of a stream have told each other.
#[derive(Default)]
struct Shared {
    upload: VecDeque<u8>,
    upload_ended: bool,
    cancelled: bool,
    informs: u32,
    /// The response: status and fields, then its body as far as there was room, and its end.
    answer: Option<(u16, Lines)>,
    download: Vec<u8>,
    download_ended: bool,
    /// Bytes that the client still takes.
    room: usize,
    /// The exchange's task has ended.
    over: bool,
    proxy: Option<TaskId>,
    client: Option<TaskId>,
}

/// The proxy's end of a stream.
struct Stream {
    reactor: Reactor,
    shared: Rc<RefCell<Shared>>,
    /// Handed over, but without room.
    held: VecDeque<u8>,
    ending: bool,
}

impl Stream {
    fn wait<T>(&self) -> Poll<T> {
        self.shared.borrow_mut().proxy = Some(self.reactor.current());
        Poll::Pending
    }

    fn begin(&mut self, head: &Head) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let lines = Lines {
            first: String::new(),
            fields: head
                .fields()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
        };
        self.shared.borrow_mut().answer = Some((head.status, lines));
    }

    fn push(&mut self, payload: &[u8], end: End) -> Result<(), StreamError> {
        self.held.extend(payload);
        self.ending |= end.is_done();
        self.move_on()
    }

    /// Gives the client what it has room for.
    fn move_on(&mut self) -> Result<(), StreamError> {
        let mut shared = self.shared.borrow_mut();
        if shared.cancelled {
            return Err(StreamError::Reset);
        }
        let count = self.held.len().min(shared.room);
        shared.room -= count;
        shared.download.extend(self.held.drain(..count));
        shared.download_ended = self.ending && self.held.is_empty();
        if let Some(client) = shared.client {
            self.reactor.wake(client);
        }
        Ok(())
    }
}

impl Splice for Stream {}

impl ClientStream for Stream {
    fn poll_body(&mut self, scratch: &mut [u8]) -> Poll<Result<Piece, StreamError>> {
        let mut shared = self.shared.borrow_mut();
        if shared.cancelled {
            return Poll::Ready(Err(StreamError::Reset));
        }
        let count = shared.upload.len().min(scratch.len());
        let last = shared.upload_ended && count == shared.upload.len();
        if count == 0 && !last {
            drop(shared);
            return self.wait();
        }
        for (to, from) in scratch.iter_mut().zip(shared.upload.drain(..count)) {
            *to = from;
        }
        Poll::Ready(Ok(Piece {
            range: 0..count,
            last,
        }))
    }

    fn request_trailers(&self) -> Option<&Head> {
        None
    }

    fn invite(&mut self) -> Result<(), StreamError> {
        self.shared.borrow_mut().informs += 1;
        Ok(())
    }

    fn inform(&mut self, _: &Head) -> Result<(), StreamError> {
        self.invite()
    }

    fn respond(
        &mut self,
        head: &Head,
        payload: &[u8],
        end: End,
        _: Option<&Head>,
    ) -> Result<(), StreamError> {
        self.begin(head);
        self.push(payload, end)
    }

    fn send(&mut self, payload: &[u8], end: End, _: Option<&Head>) -> Result<(), StreamError> {
        self.push(payload, end)
    }

    fn poll_flush(&mut self) -> Poll<Result<(), StreamError>> {
        match self.move_on() {
            Ok(()) if !self.held.is_empty() => self.wait(),
            moved => Poll::Ready(moved),
        }
    }

    fn is_backlogged(&self) -> bool {
        !self.held.is_empty()
    }

    fn poll_gone(&mut self) -> Poll<()> {
        if self.shared.borrow().cancelled {
            return Poll::Ready(());
        }
        self.wait()
    }

    fn take_traffic(&mut self) -> (u64, u64) {
        (0, 0)
    }

    fn traffic(&self) -> (u64, u64) {
        (0, 0)
    }

    /// One stream cannot close the connection of the others.
    fn close_after(&mut self) {}

    fn closes(&self) -> bool {
        false
    }

    fn become_tunnel(&mut self) {
        panic!("nobody asked for a tunnel");
    }
}

/// A request head that no HTTP/1 parser has made.
fn head_of(errand: &Errand) -> Head {
    let mut head = Head {
        version: Version::H2,
        keep_alive: true,
        framing: match errand.upload {
            0 => Framing::None,
            _ if errand.chunked => Framing::Chunked,
            length => Framing::Length(length as u64),
        },
        ..Head::default()
    };
    head.method = head.push(errand.method.as_bytes());
    head.target = head.push(errand.script.to_string().as_bytes());
    head.add(b"host", b"a");
    head.add(b"x-upload", errand.upload.to_string().as_bytes());
    head
}

/// A connection's session, and one of the same for each of its streams.
fn session(worker: &Rc<Worker>, admission: &Arc<Admission>) -> Session {
    Session {
        leaving: false,
        worker: Rc::clone(worker),
        tables: worker.tables(),
        frontend: FrontendId(0),
        bind: 0,
        facts: SessionFacts {
            source: Some(([10, 0, 3, 1], 40_000).into()),
            ..SessionFacts::default()
        },
        accepted_ns: worker.reactor.now_ns(),
        accepted_wall_us: 0,
        requests: 1,
        own: Vec::new(),
        handover: None,
        admission: Arc::clone(admission),
    }
}

/// What a client does with one stream.
#[derive(Clone, Copy)]
struct Plan {
    errand: Errand,
    /// Bytes sent, and room granted, at a time.
    piece: usize,
    /// Cancels after so many steps.
    cancel: Option<u32>,
    /// The longest pause between steps.
    pause_ns: u64,
}

/// The client's end: sends and grants in pieces, judges what came.
async fn client(cast: Cast, plan: Plan, shared: Rc<RefCell<Shared>>, seed: u64, mood: Mood) {
    let mut chance = Chance::new(seed);
    let upload = bytes_of(upload_id(plan.errand.script.id), plan.errand.upload);
    let mut pieces = upload.chunks(plan.piece);
    let mut step = 0;
    loop {
        cast.sleep(1 + chance.below(plan.pause_ns)).await;
        let mut now = shared.borrow_mut();
        if now.over {
            break;
        }
        step += 1;
        now.cancelled |= plan.cancel.is_some_and(|cancel| step > cancel);
        match pieces.next() {
            Some(piece) => now.upload.extend(piece),
            None => now.upload_ended = true,
        }
        now.room = (now.room + plan.piece).min(10 * plan.piece);
        now.client = Some(cast.reactor.current());
        if let Some(proxy) = now.proxy.take() {
            cast.reactor.wake(proxy);
        }
    }
    let mut shared = shared.borrow_mut();
    let body = Body {
        bytes: std::mem::take(&mut shared.download),
        complete: shared.download_ended,
        trailer: None,
    };
    let answer = shared.answer.take();
    let heard = answer.map(|(status, lines)| Response::new(shared.informs, status, lines, body));
    match plan.cancel {
        // Too late to matter, perhaps; but then all of it must be right.
        Some(_) if heard.as_ref().is_none_or(|heard| !heard.body.complete) => {}
        _ => drop(judge(&plan.errand, Ok(heard), mood)),
    }
}

/// One connection with all these streams at once; returns how many were open at the same time.
fn open_all(stage: &Stage, plans: &[Plan], seed: u64, mood: Mood) {
    let cast = stage.cast().clone();
    let admission = Arc::new(stage.admission());
    let mut connection = session(&stage.worker, &admission);
    account::session_begins(&mut connection);
    let open = Rc::new(());
    for (index, plan) in plans.iter().copied().enumerate() {
        let shared = Rc::new(RefCell::new(Shared::default()));
        let mut stream = Stream {
            reactor: cast.reactor.clone(),
            shared: Rc::clone(&shared),
            held: VecDeque::new(),
            ending: false,
        };
        let (mut session, open) = (session(&stage.worker, &admission), Rc::clone(&open));
        let request = Request {
            head: head_of(&plan.errand),
            early: Vec::new(),
            complete: plan.errand.upload == 0,
        };
        let told = Rc::clone(&shared);
        cast.enter(async move {
            let now_ns = session.worker.reactor.now_ns();
            let times = Times {
                idle_ns: now_ns,
                started_ns: now_ns,
                received_ns: now_ns,
                ..Times::default()
            };
            let outcome = exchange::run(&mut session, &mut stream, request, times).await;
            assert!(
                !matches!(outcome, Outcome::Tunnel(_)),
                "nobody asked for a tunnel"
            );
            // What was handed over belongs to the client even when the exchange is over.
            while !matches!(outcome, Outcome::Gone) && !stream.held.is_empty() {
                if std::future::poll_fn(|_| stream.poll_flush()).await.is_err() {
                    break;
                }
            }
            told.borrow_mut().over = true;
            drop(open);
        });
        let seed = seed << 8 | index as u64;
        cast.enter(client(cast.clone(), plan, shared, seed, mood));
    }
    cast.enter({
        let cast = cast.clone();
        async move {
            while Rc::strong_count(&open) > 1 {
                cast.sleep(MS_NS).await;
            }
            account::session_ends(&connection);
        }
    });
}

const KINDS: &[Kind] = &[
    Kind::Fixed,
    Kind::Chunked,
    Kind::UntilClose,
    Kind::Slow,
    Kind::NoContent,
    Kind::Interim,
    Kind::Echo,
    Kind::Early,
];

fn any_plan(chance: &mut Chance, id: u32, wicked: bool) -> Plan {
    let kind = match wicked && chance.happens(300_000) {
        true => [Kind::ResetAt, Kind::Garbage, Kind::JunkChunks][chance.below(3) as usize],
        false => KINDS[chance.below(KINDS.len() as u64) as usize],
    };
    let most = [100, 5_000, 40_000][chance.below(3) as usize];
    let uploads = matches!(kind, Kind::Echo | Kind::Early) || chance.happens(300_000);
    Plan {
        errand: Errand {
            script: Script {
                kind,
                id,
                length: chance.below(most) as usize,
                at: chance.below(most) as usize,
            },
            method: if uploads { "POST" } else { "GET" },
            upload: if uploads {
                1 + chance.below(most) as usize
            } else {
                0
            },
            chunked: chance.happens(500_000),
            ..Errand::get(kind, id, 0)
        },
        piece: 1 + most as usize / 10,
        cancel: chance.happens(150_000).then(|| chance.below(12) as u32),
        pause_ns: [MS_NS, 20 * MS_NS][chance.below(2) as usize],
    }
}

fn play(seed: u64, weather: Weather, wicked: bool, foul: bool) {
    let mut chance = Chance::new(seed ^ 0x57ea);
    let mut model = model(Mode::Http, 2);
    model.backends[0].abort_on_close = chance.happens(500_000);
    if chance.happens(500_000) {
        model.backends[0].servers[0].maxconn = Some(2);
    }
    let mut stage = Stage::new(seed, weather, model);
    let register = Register::default();
    for index in 0..2 {
        let register = register.clone();
        stage.origin(index, move |cast, socket| {
            origin::serve(cast, socket, register.clone())
        });
    }
    let mood = Mood {
        foul,
        restless: wicked,
    };
    for connection in 0..1 + chance.below(3) as u32 {
        let plans: Vec<Plan> = (0..2 + chance.below(8) as u32)
            .map(|index| any_plan(&mut chance, connection << 8 | index, wicked))
            .collect();
        open_all(&stage, &plans, seed, mood);
    }
    stage.finish();
}

#[test]
fn streams_of_one_connection_are_served_side_by_side() {
    for_seeds(60, Duration::from_millis(500), |seed| {
        play(seed, Weather::choppy(), false, false);
    });
}

#[test]
fn a_streams_misfortune_is_its_own() {
    for_seeds(60, Duration::from_millis(500), |seed| {
        play(seed, Weather::choppy(), true, false);
    });
}

#[test]
fn streams_in_a_storm_leave_nothing() {
    for_seeds(60, Duration::from_millis(500), |seed| {
        play(seed, Weather::stormy(), true, true);
    });
}

#[test]
fn streams_do_not_wait_for_each_other() {
    let mut stage = Stage::new(1, Weather::calm(), model(Mode::Http, 1));
    stage.origin(0, |cast, socket| {
        origin::serve(cast, socket, Register::default())
    });
    let plans: Vec<Plan> = (0..10)
        .map(|id| Plan {
            errand: Errand::get(Kind::Slow, id, 1_000),
            piece: 10_000,
            cancel: None,
            pause_ns: MS_NS,
        })
        .collect();
    let fair = Mood {
        foul: false,
        restless: false,
    };
    let begun_ns = stage.worker.reactor.now_ns();
    open_all(&stage, &plans, 1, fair);
    let mut most = 0;
    stage.play_watched(|stage| most = most.max(stage.load(0).0));
    let took_ns = stage.worker.reactor.now_ns() - begun_ns;
    assert_eq!(most, 10, "requests at the server at the same time");
    // One after the other they would take six seconds. The last turn may have waited for the housekeeper.
    assert!(
        took_ns < 1_500 * MS_NS,
        "{took_ns} ns for responses of 600 ms"
    );
    stage.finish();
}
