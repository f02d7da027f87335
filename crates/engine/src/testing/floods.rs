//! What clients that abuse HTTP/2 may take from others: no more than as long again.
//!
//! A clock would say as much of the machine as of the proxy. Here time is simulated, and passes with work: each turn of
//! the loop and each byte that is taken in cost some. So the figures follow from the seed alone.
//!
//! They also follow from the constants below: more attackers, dearer bytes or shorter delays of the network give a worse ratio
//! (docs/http2.md has figures). So this finds turns that last milliseconds too long, and floods that are not cut off.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use plimsoll_policy::model::Mode;
use plimsoll_wire::h2::frame::{FrameHead, PREFACE, flag, kind};

use super::client::{Errand, response};
use super::origin::{self, Register};
use super::peer::{Peer, write_all};
use super::script::Kind;
use super::stage::{Cast, MS_NS, Stage, front_door, model};
use crate::reactor::simulated::Weather;

/// Connections that one flood holds at once.
const ATTACKERS: u64 = 2;

/// Requests of the client that is served beside it.
const REQUESTS: u32 = 50;

/// What may lie unread on a connection: more than a turn should take in.
const BUFFER_BYTES: usize = 1 << 18;

/// What attackers send in one piece.
const SEGMENT_BYTES: usize = 16_384;

/// What a byte costs that is taken in, in nanoseconds.
const BYTE_NS: u64 = 1;

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
    let fields = b"\x86\x01\x01a\x00\x08x-upload\x010";
    let path = [&[0x04, target.len() as u8], target.as_bytes()].concat();
    [&[method][..], fields, &path].concat()
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
    /// How long each request of the innocent client took.
    times_ns: Rc<RefCell<Vec<u64>>>,
}

/// One connection after the other, until the innocent client has had its fill.
async fn attacker(cast: Cast, board: Board, part: Part) {
    while !board.over.get() {
        let Ok(socket) = cast.dial(&front_door()).await else {
            continue;
        };
        let mut sent = write_all(&socket, &greeting(b"")).await;
        let mut number = 0;
        while sent.is_ok() && !board.over.get() {
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
    servers: usize,
    attackers: impl Fn(Cast, Board) -> Option<F>,
) -> (u64, u32) {
    let weather = Weather {
        buffer_bytes: BUFFER_BYTES,
        byte_ns: BYTE_NS,
        delay_ns_max: MS_NS,
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
    for _ in 0..ATTACKERS {
        if let Some(attacker) = attackers(cast.clone(), board.clone()) {
            cast.enter(attacker);
        }
    }
    cast.enter(innocent(cast.clone(), board.clone(), status));
    stage.finish();
    let slowest_ns = board.times_ns.take().into_iter().max();
    (slowest_ns.expect("answers"), board.cut_off.get())
}

fn calm_slowest_ns(servers: usize) -> u64 {
    play(servers, |_, _| None::<std::future::Ready<()>>).0
}

#[test]
fn floods_are_cut_off_and_take_no_time_from_others() {
    let calm_ns = calm_slowest_ns(0);
    let floods: [(&str, Part); 8] = [
        ("rapid reset", rapid_reset),
        ("MadeYouReset", made_you_reset),
        ("PING", pings),
        ("SETTINGS", settings),
        ("PRIORITY", priorities),
        ("empty DATA", empty_data),
        ("CONTINUATION", continuations),
        ("header bomb", header_bombs),
    ];
    for (name, part) in floods {
        let (slowest_ns, cut_off) = play(0, |cast, board| Some(attacker(cast, board, part)));
        assert!(cut_off > 0, "{name}: never cut off");
        assert!(
            slowest_ns <= 2 * calm_ns,
            "{name}: {slowest_ns} ns, {calm_ns} ns without it"
        );
    }
}

#[test]
fn stalled_windows_take_no_time_from_others() {
    let calm_ns = calm_slowest_ns(1);
    let (slowest_ns, _) = play(1, |cast, board| Some(staller(cast, board)));
    assert!(
        slowest_ns <= 2 * calm_ns,
        "{slowest_ns} ns, {calm_ns} ns without it"
    );
}
