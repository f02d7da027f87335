//! What logs say of clients that break the rules of HTTP/2, and what becomes of those that end their side.

use crate::origin::Act;
use crate::rig::frames::frame;
use crate::stage::{Case, case, ok, play};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH: u8 = 5;
const PING: u8 = 6;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const WHOLE: u8 = END_STREAM | END_HEADERS;

/// `GET http://a/`.
const GET: &[u8] = b"\x82\x86\x84\x41\x01a";

fn begun(frames: &[Vec<u8>]) -> Vec<u8> {
    let settings = frame(SETTINGS, 0, 0, b"");
    [PREFACE, &settings, &frames.concat()].concat()
}

/// A client of HTTP/2 that says this and leaves once there is a line.
fn says(name: &str, bytes: Vec<u8>) -> Case {
    case(name).bind("proto h2").lines(1).talk(move |stage| {
        let mut client = stage.client();
        client.send(&bytes);
        stage.wait_for_line();
        client.leave();
    })
}

/// A request with a field more.
fn asks(name: &str, more: &[u8]) -> Case {
    let head = [GET, more].concat();
    says(name, begun(&[frame(HEADERS, WHOLE, 1, &head)]))
}

#[test]
fn frames_that_end_connections() {
    let one = |name: &str, frame: Vec<u8>| says(name, begun(&[frame]));
    let first = |name: &str, frame: Vec<u8>| says(name, [PREFACE, &frame].concat());
    play(vec![
        says("h2-preface", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec()),
        says("h2-http1", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
        first("h2-no-settings", frame(PING, 0, 0, b"12345678")),
        first("h2-settings-length", frame(SETTINGS, 0, 0, b"12345")),
        first(
            "h2-settings-window",
            frame(SETTINGS, 0, 0, b"\0\x04\xff\xff\xff\xff"),
        ),
        first("h2-settings-stream", frame(SETTINGS, 0, 1, b"")),
        one("h2-data-nowhere", frame(DATA, 0, 0, b"x")),
        one("h2-data-idle", frame(DATA, 0, 1, b"x")),
        one("h2-even", frame(HEADERS, WHOLE, 2, GET)),
        one("h2-headers-nowhere", frame(HEADERS, WHOLE, 0, GET)),
        one(
            "h2-block",
            frame(HEADERS, WHOLE, 1, b"\xff\xff\xff\xff\xff\xff"),
        ),
        one("h2-too-big", frame(DATA, 0, 1, &[b'x'; 16_385])),
        one("h2-ping-length", frame(PING, 0, 0, b"1234")),
        one("h2-reset-idle", frame(RESET, 0, 1, b"\0\0\0\0")),
        one(
            "h2-push",
            frame(PUSH, END_HEADERS, 1, &[b"\0\0\0\x02", GET].concat()),
        ),
        one(
            "h2-continuation-alone",
            frame(CONTINUATION, END_HEADERS, 1, GET),
        ),
        one(
            "h2-padding",
            frame(HEADERS, WHOLE | PADDED, 1, &[b"\xff", GET].concat()),
        ),
        says(
            "h2-interleaved",
            begun(&[
                frame(HEADERS, END_STREAM, 1, GET),
                frame(PING, 0, 0, b"12345678"),
            ]),
        ),
    ]);
}

#[test]
fn requests_that_are_none() {
    play(vec![
        asks("h2-upper-case", b"\x00\x01A\x01b"),
        asks("h2-connection", b"\x00\x0aconnection\x01b"),
        asks("h2-two-paths", b"\x04\x01/"),
        says(
            "h2-no-method",
            begun(&[frame(HEADERS, WHOLE, 1, &GET[1..])]),
        ),
        // Both keep going, and so do their lines.
        says(
            "h2-two-of-them",
            begun(&[
                frame(HEADERS, WHOLE, 1, &GET[1..]),
                frame(HEADERS, WHOLE, 3, &GET[1..]),
            ]),
        )
        .lines(2),
    ]);
}

/// A client that asks, ends its side, and reads to the end: whether a response came.
fn ends_its_side(name: &str, frames: &[Vec<u8>]) -> Case {
    let bytes = begun(frames);
    case(name)
        .bind("proto h2")
        .lines(1)
        .origin(|_| vec![Act::Body, Act::Pause(100), Act::Send(ok("late"))])
        .whichever()
        .talk(move |stage| {
            let mut client = stage.client();
            client.send(&bytes);
            client.finish();
            let heads = heads_among(&client.all());
            client.leave();
            stage.note(format!("{heads} heads"));
        })
}

fn heads_among(mut frames: &[u8]) -> usize {
    let mut heads = 0;
    while let [high, middle, low, kind, _, _, _, _, _, rest @ ..] = frames {
        heads += usize::from(*kind == HEADERS);
        let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        frames = rest.get(length..).unwrap_or_default();
    }
    heads
}

#[test]
fn clients_that_end_their_side() {
    let request = || frame(HEADERS, WHOLE, 1, GET);
    let part = || frame(HEADERS, END_HEADERS, 1, b"\x83\x86\x84\x41\x01a");
    let unheeded = "no option abortonclose;server s1 {s1}";
    play(vec![
        ends_its_side("h2-ends", &[request()]),
        ends_its_side("h2-ends-unheeded", &[request()]).back(unheeded),
        ends_its_side("h2-ends-in-request", &[part()]).back(unheeded),
        ends_its_side("h2-ends-answered", &[request()]).front("http-request return status 200"),
        ends_its_side(
            "h2-window-and-ends",
            &[request(), frame(WINDOW, 0, 0, b"\0\0\0\x09")],
        )
        .front("http-request return status 200"),
    ]);
}
