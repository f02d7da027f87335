//! What clients that abuse HTTP/2 may take from others: no more than as long again.
//!
//! A clock would say as much of the machine as of the proxy. Here time is simulated, and passes with work: each turn of the
//! loop, each poll of a task, each byte that is read and each unit of work on frames cost some. So the figures follow from the
//! seed alone. What the work of a unit really costs is measured (docs/http2.md).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use plimsoll_policy::model::Mode;
use plimsoll_wire::h2::frame::{FrameHead, HEAD_BYTES, PREFACE, flag, kind};

use super::client::{Errand, response};
use super::origin::{self, Register};
use super::peer::{Peer, write_all};
use super::script::Kind;
use super::stage::{Cast, MS_NS, Stage, front_door, model};
use crate::reactor::simulated::Weather;

/// Requests of the client that is served beside it.
const REQUESTS: u32 = 20;

/// What may lie unread on a connection: more than a turn should take in.
const BUFFER_BYTES: usize = 1 << 18;

/// What attackers send in one piece.
const SEGMENT_BYTES: usize = 16_384;

/// The world of one run.
#[derive(Clone, Copy, Debug)]
struct Terms {
    /// Connections that one flood holds at once.
    attackers: u64,
    /// Longest time anything is on its way.
    delay_ns_max: u64,
    /// Who is served beside them speaks HTTP/2 as well.
    in_frames: bool,
    /// How many times slower the machine is than the one whose figures are in docs/http2.md.
    slowness: u64,
}

const USUAL: Terms = Terms {
    attackers: 2,
    delay_ns_max: MS_NS,
    in_frames: false,
    slowness: 1,
};

/// What work costs there, in nanoseconds, rounded up: a byte that is read, a task that is polled, a unit of work on frames.
const BYTE_NS: u64 = 1;
const POLL_NS: u64 = 2_000;
const UNIT_NS: u64 = 50;

/// What a connection may do in one turn, and what it makes others do, in the same way: it reads once, works off a share of units,
/// and the requests that it has cancelled thereby are looked at.
const SHARE_NS: u64 = 65_536 * BYTE_NS + 1_024 * UNIT_NS + 34 * POLL_NS;

/// Shares that a request has to wait for in all where that is longer than it took anyway: it waits for a turn when it is accepted,
/// when it is read and when it is answered, and others that have just come may have a share in such a turn too.
const SHARES_MAX: u64 = 6;

/// What a connection sends, again and again.
type Part = fn(u32) -> Vec<u8>;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let head = FrameHead {
        length: payload.len(),
        kind,
        flags,
        stream,
    };
    head.write(&mut out);
    out.extend_from_slice(payload);
    out
}

/// What a client begins with.
fn greeting(settings: &[u8]) -> Vec<u8> {
    [PREFACE, &frame(kind::SETTINGS, 0, 0, settings)].concat()
}

/// The header block of a request that an origin of ours understands.
fn block(method: u8, id: u32, length: usize) -> Vec<u8> {
    let target = Errand::get(Kind::Fixed, id, length).script.to_string();
    let path = [&[0x04, target.len() as u8], target.as_bytes()].concat();
    let fields = b"\x86\x01\x01a\x00\x08x-upload\x010";
    let (pseudo, others) = fields.split_at(4);
    [&[method][..], pseudo, &path, others].concat()
}

fn get() -> Vec<u8> {
    block(0x82, 1, 1)
}

/// A request without a body.
fn request(stream: u32, block: &[u8]) -> Vec<u8> {
    let flags = flag::END_STREAM | flag::END_HEADERS;
    frame(kind::HEADERS, flags, stream, block)
}

fn rapid_reset(number: u32) -> Vec<u8> {
    let stream = 2 * number + 1;
    let reset = frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    [request(stream, &get()), reset].concat()
}

fn made_you_reset(number: u32) -> Vec<u8> {
    let stream = 2 * number + 1;
    let nothing_more = frame(kind::WINDOW_UPDATE, 0, stream, &[0; 4]);
    [request(stream, &get()), nothing_more].concat()
}

fn pings(_: u32) -> Vec<u8> {
    frame(kind::PING, 0, 0, &[0; 8]).repeat(10)
}

fn settings(_: u32) -> Vec<u8> {
    frame(kind::SETTINGS, 0, 0, b"").repeat(10)
}

fn priorities(_: u32) -> Vec<u8> {
    frame(kind::PRIORITY, 0, 3, &[0, 0, 0, 0, 9]).repeat(10)
}

fn empty_data(number: u32) -> Vec<u8> {
    match number {
        0 => frame(kind::HEADERS, flag::END_HEADERS, 1, &block(0x83, 1, 1)),
        _ => frame(kind::DATA, 0, 1, b"").repeat(10),
    }
}

/// An upload in pieces of one byte each.
fn bytewise(number: u32) -> Vec<u8> {
    match number {
        0 => frame(kind::HEADERS, flag::END_HEADERS, 1, &block(0x83, 1, 1)),
        _ => frame(kind::DATA, 0, 1, b"x").repeat(10),
    }
}

/// Windows that grow byte by byte.
fn updates(_: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(10)
}

/// More requests than may be open at once.
fn requests(number: u32) -> Vec<u8> {
    request(2 * number + 1, &get())
}

fn continuations(number: u32) -> Vec<u8> {
    match number {
        0 => frame(kind::HEADERS, flag::END_STREAM, 1, &get()),
        _ => frame(kind::CONTINUATION, 0, 1, b""),
    }
}

fn header_bombs(number: u32) -> Vec<u8> {
    // A long field that the decoder keeps, and then thousands of times the byte that stands for it.
    let kept = [&get()[..], b"\x40\x01b\x7f\xbd\x1d", &[b'x'; 3_900]].concat();
    let told = [&get()[..], &[0xbe; 10_000]].concat();
    match number {
        0 => request(1, &kept),
        _ => request(2 * number + 1, &told),
    }
}

/// What all in a run look at.
#[derive(Clone, Default)]
struct Board {
    cut_off: Rc<Cell<u32>>,
    over: Rc<Cell<bool>>,
    /// It is not over before an attacker was cut off.
    until_cut_off: bool,
    /// How long each request of the innocent client took.
    times_ns: Rc<RefCell<Vec<u64>>>,
}

impl Board {
    fn until_cut_off(self) -> Self {
        Self {
            until_cut_off: true,
            ..self
        }
    }

    fn is_over(&self) -> bool {
        self.over.get() && (!self.until_cut_off || self.cut_off.get() > 0)
    }
}

/// One connection after the other, until the innocent client has had its fill.
async fn attacker(cast: Cast, board: Board, part: Part) {
    while !board.is_over() {
        let Ok(socket) = cast.dial(&front_door()).await else {
            continue;
        };
        let mut sent = write_all(&socket, &greeting(b"")).await;
        let mut number = 0;
        while sent.is_ok() && !board.is_over() {
            // Many at once, as a network would carry them.
            let mut bytes = Vec::new();
            while bytes.len() < SEGMENT_BYTES {
                bytes.extend(part(number));
                number += 1;
            }
            sent = write_all(&socket, &bytes).await;
            // Whoever does not read is held back by its own window; this one reads.
            let mut piece = [0; 4_096];
            while let Ok(Some(1..)) = socket.try_read(&mut piece) {}
        }
        board
            .cut_off
            .set(board.cut_off.get() + u32::from(sent.is_err()));
    }
}

/// Asks again and again, each time on a connection of its own.
async fn innocent(cast: Cast, board: Board, status: u16) {
    for id in 0..REQUESTS {
        let begun_ns = cast.reactor.now_ns();
        let socket = cast.dial(&front_door()).await.expect("it accepts");
        let mut peer = Peer::new(cast.clone(), socket);
        let errand = Errand::get(Kind::Fixed, id, 100);
        peer.write(&errand.request()).await.expect("it is sent");
        let answer = response(&mut peer, "GET").await.expect("an answer");
        assert_eq!(answer.map(|answer| answer.status), Some(status));
        let took_ns = cast.reactor.now_ns() - begun_ns;
        board.times_ns.borrow_mut().push(took_ns);
    }
    board.over.set(true);
}

/// The same over HTTP/2.
async fn innocent_in_frames(cast: Cast, board: Board) {
    for _ in 0..REQUESTS {
        let begun_ns = cast.reactor.now_ns();
        let socket = cast.dial(&front_door()).await.expect("it accepts");
        let mut peer = Peer::new(cast.clone(), socket);
        let request = [greeting(b""), request(1, &get())].concat();
        peer.write(&request).await.expect("it is sent");
        loop {
            let head = peer.take(HEAD_BYTES).await.expect("a frame");
            let head = FrameHead::read(&head).expect("the head of a frame");
            peer.take(head.length).await.expect("the rest of it");
            if head.kind == kind::HEADERS {
                break;
            }
        }
        let took_ns = cast.reactor.now_ns() - begun_ns;
        board.times_ns.borrow_mut().push(took_ns);
    }
    board.over.set(true);
}

/// Holds streams open that have asked for more than they take: nothing at all.
async fn staller(cast: Cast, board: Board) {
    let socket = cast.dial(&front_door()).await.expect("it accepts");
    // INITIAL_WINDOW_SIZE is 0.
    let mut bytes = greeting(&[0, 4, 0, 0, 0, 0]);
    for number in 0..100 {
        let block = block(0x82, 1_000 + number, 100_000);
        bytes.extend(request(2 * number + 1, &block));
    }
    write_all(&socket, &bytes).await.expect("it is sent");
    while !board.over.get() {
        let mut piece = [0; 4_096];
        while let Ok(Some(1..)) = socket.try_read(&mut piece) {}
        cast.sleep(MS_NS).await;
    }
}

/// The slowest of the innocent client's answers, in simulated time (stricter than a percentile), and how many attackers were cut off.
/// Without `servers` all are told 503: what servers can take is not judged here.
fn play<F: Future<Output = ()> + 'static>(
    terms: Terms,
    servers: usize,
    attackers: impl Fn(Cast, Board) -> Option<F>,
) -> (u64, u32) {
    let weather = Weather {
        buffer_bytes: BUFFER_BYTES,
        byte_ns: BYTE_NS * terms.slowness,
        poll_ns: POLL_NS * terms.slowness,
        unit_ns: UNIT_NS * terms.slowness,
        delay_ns_max: terms.delay_ns_max,
        ..Weather::calm()
    };
    let mut stage = Stage::new(1, weather, model(Mode::Http, servers));
    for index in 0..servers {
        stage.origin(index, |cast, socket| {
            origin::serve(cast, socket, Register::default())
        });
    }
    let status = if servers == 0 { 503 } else { 200 };
    let board = Board::default();
    let cast = stage.cast().clone();
    for _ in 0..terms.attackers {
        if let Some(attacker) = attackers(cast.clone(), board.clone()) {
            cast.enter(attacker);
        }
    }
    match terms.in_frames {
        true => cast.enter(innocent_in_frames(cast.clone(), board.clone())),
        false => cast.enter(innocent(cast.clone(), board.clone(), status)),
    }
    stage.finish();
    let slowest_ns = board.times_ns.take().into_iter().max();
    (slowest_ns.expect("answers"), board.cut_off.get())
}

fn calm_slowest_ns(terms: Terms, servers: usize) -> u64 {
    play(terms, servers, |_, _| None::<std::future::Ready<()>>).0
}

/// What is to be cut off.
const FLOODS: [(&str, Part); 9] = [
    ("rapid reset", rapid_reset),
    ("MadeYouReset", made_you_reset),
    ("PING", pings),
    ("SETTINGS", settings),
    ("PRIORITY", priorities),
    ("empty DATA", empty_data),
    ("CONTINUATION", continuations),
    ("header bomb", header_bombs),
    ("requests", requests),
];

/// What nothing is wrong with, only that it is much.
const TORRENTS: [(&str, Part); 2] = [("uploads", bytewise), ("window updates", updates)];

/// Plays each of them with so many attackers, in networks of several lengths and on machines of two speeds.
fn take_little_from_others(attackers: u64) {
    for (delay_ns_max, slowness, in_frames, twice_at_most) in [
        (MS_NS / 5, 1, false, false),
        (MS_NS / 2, 1, false, true),
        (MS_NS / 2, 1, true, true),
        (2 * MS_NS, 4, false, true),
    ] {
        let terms = Terms {
            attackers,
            delay_ns_max,
            in_frames,
            slowness,
        };
        let calm_ns = calm_slowest_ns(terms, 0);
        let most_ns = match twice_at_most {
            true => 2 * calm_ns,
            false => calm_ns + SHARES_MAX * SHARE_NS * slowness,
        };
        for (name, part) in FLOODS.iter().chain(&TORRENTS) {
            // As many requests as may be open at once are honest work, and longer than a share.
            if delay_ns_max < 2 * MS_NS && *name == "requests" {
                continue;
            }
            let (slowest_ns, _) = play(terms, 0, |cast, board| Some(attacker(cast, board, *part)));
            assert!(
                slowest_ns <= most_ns,
                "{name}, {terms:?}: {slowest_ns} ns, {most_ns} allowed, {calm_ns} ns without it"
            );
        }
    }
}

#[test]
fn two_attackers_take_little_from_others() {
    take_little_from_others(2);
}

#[test]
fn four_attackers_take_little_from_others() {
    take_little_from_others(4);
}

#[test]
fn eight_attackers_take_little_from_others() {
    take_little_from_others(8);
}

#[test]
fn floods_are_cut_off() {
    for (name, part) in FLOODS {
        let (_, cut_off) = play(USUAL, 0, |cast, board| {
            Some(attacker(cast, board.until_cut_off(), part))
        });
        assert!(cut_off > 0, "{name}: never cut off");
    }
}

#[test]
fn stalled_windows_take_no_time_from_others() {
    let calm_ns = calm_slowest_ns(USUAL, 1);
    let (slowest_ns, _) = play(USUAL, 1, |cast, board| Some(staller(cast, board)));
    assert!(
        slowest_ns <= 2 * calm_ns,
        "{slowest_ns} ns, {calm_ns} ns without it"
    );
}
