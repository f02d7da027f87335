//! The cases of the public conformance suite for HTTP/2 servers, over real sockets, under its numbers (`http2/6.9.1/3`). Its
//! sections are those of RFC 7540, which RFC 9113 replaces, and of RFC 7541. PRIORITY frames mean nothing any more (RFC 9113
//! section 5.3.2), so that one which makes no sense is ignored too. The same and more is asked of the machine
//! alone in `wire`; here the whole program answers, and closes where it has to.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::rig::frames::frame;
use crate::rig::{DEADLINE, Rig};

/// What the server has to do.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// Answer the request on stream 1.
    Answer,
    /// Answer it with a body of which the first piece has so many bytes.
    Piece(usize),
    /// `GOAWAY` with one of these codes, and the end of the connection.
    Connection(&'static [u32]),
    /// `RST_STREAM` with one of these codes, or `GOAWAY` with one.
    Stream(&'static [u32]),
    /// The connection lives on, and the ping that follows is answered.
    Alive,
    /// The end, in whatever way.
    End,
}
use Due::{Alive, Answer, Connection, End, Piece, Stream};

const PROTOCOL: &[u32] = &[1];
const FLOW: &[u32] = &[3];
const CLOSED: &[u32] = &[5, 1];
const SIZE: &[u32] = &[6];
const REFUSED: &[u32] = &[7, 1];
const COMPRESSION: &[u32] = &[9];

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `GET / http a` and `POST / http a`, as blocks.
const GET: &[u8] = b"\x82\x86\x84\x41\x01a";
const POST: &[u8] = b"\x83\x86\x84\x41\x01a";
/// A body that is longer than windows in these cases.
const BODY: &str = "conformance";
const PING: &[u8] = b"plimsoll";

fn data(flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(0, flags, stream, payload)
}

/// 1: the stream ends, 4: the block does.
fn headers(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    frame(1, flags, stream, block)
}

fn get(stream: u32) -> Vec<u8> {
    headers(5, stream, GET)
}

fn post(stream: u32) -> Vec<u8> {
    headers(4, stream, POST)
}

fn reset(stream: u32) -> Vec<u8> {
    frame(3, 0, stream, &[0, 0, 0, 8])
}

fn setting(number: u16, value: u32) -> Vec<u8> {
    let payload = [&number.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(4, 0, 0, &payload)
}

fn update(stream: u32, increment: u32) -> Vec<u8> {
    frame(8, 0, stream, &increment.to_be_bytes())
}

/// A literal field without indexing, its name written out.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0, name.len() as u8];
    out.extend_from_slice(name.as_bytes());
    out.push(value.len() as u8);
    out.extend_from_slice(value.as_bytes());
    out
}

/// A request with one more field.
fn with(name: &str, value: &str) -> Vec<u8> {
    headers(5, 1, &[GET, &field(name, value)].concat())
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    due: Due,
}

fn case(name: &'static str, parts: &[&[u8]], due: Due) -> Case {
    let bytes = parts.concat();
    Case { name, bytes, due }
}

/// What the server has said.
#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    /// Frames taken apart so far: kind, flags, stream, payload.
    frames: Vec<(u8, u8, u32, Vec<u8>)>,
    ended: bool,
}

impl Heard {
    fn take_apart(&mut self) {
        while let Some(head) = self.bytes.first_chunk::<9>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let (kind, flags) = (head[3], head[4]);
            let Some(payload) = self.bytes.get(9..9 + length) else {
                return;
            };
            self.frames.push((kind, flags, stream, payload.to_vec()));
            self.bytes.drain(..9 + length);
        }
    }

    fn code(&self, kind: u8) -> Option<u32> {
        let found = self.frames.iter().find(|frame| frame.0 == kind)?;
        let at = if kind == 7 { 4 } else { 0 };
        let code = found.3.get(at..at + 4)?;
        Some(u32::from_be_bytes(code.try_into().expect("four bytes")))
    }

    /// Whether what is due has come; `None`: it may still.
    fn settles(&self, due: Due) -> Option<bool> {
        let (goaway, rst) = (self.code(7), self.code(3));
        let fits =
            |code: Option<u32>, codes: &[u32]| code.is_some_and(|code| codes.contains(&code));
        let on_first = |kind| {
            self.frames
                .iter()
                .find(|frame| frame.0 == kind && frame.2 == 1)
        };
        let come = match due {
            Answer => on_first(1).is_some(),
            Piece(length) => match on_first(0) {
                Some(piece) => return Some(piece.3.len() == length),
                None => false,
            },
            Alive => self
                .frames
                .iter()
                .any(|(kind, flags, _, payload)| (*kind, *flags, &**payload) == (6, 1, PING)),
            Connection(codes) => match (goaway, self.ended) {
                (Some(_), true) => return Some(fits(goaway, codes)),
                _ => false,
            },
            Stream(codes) => match goaway.or(rst) {
                Some(_) => return Some(fits(rst, codes) || fits(goaway, codes)),
                None => false,
            },
            End => self.ended,
        };
        match come {
            true => Some(true),
            false if self.ended => Some(false),
            false => None,
        }
    }
}

fn plays(address: SocketAddr, case: &Case) -> Result<(), String> {
    let mut stream = TcpStream::connect(address).expect("it accepts");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    let mut bytes = case.bytes.clone();
    if matches!(case.due, Alive) {
        bytes.extend(frame(6, 0, 0, PING));
    }
    // It may close before it has read all of that.
    let _ = stream.write_all(&bytes);
    if matches!(case.due, End) {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let (mut heard, mut buffer) = (Heard::default(), [0; 4_096]);
    loop {
        match heard.settles(case.due) {
            Some(true) => return Ok(()),
            Some(false) => break,
            None => {}
        }
        match stream.read(&mut buffer) {
            Ok(0) => heard.ended = true,
            Ok(count) => heard.bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => heard.ended = true,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("{}: {error}; heard {:?}", case.name, heard.frames)),
        }
        heard.take_apart();
    }
    Err(format!(
        "{}: due {:?}, heard {:?}",
        case.name, case.due, heard.frames
    ))
}

/// Plays cases that begin with a preface and empty settings.
fn play(cases: Vec<Case>) {
    let begun = |case: Case| Case {
        bytes: join(&[PREFACE, &frame(4, 0, 0, b""), &case.bytes]),
        ..case
    };
    play_raw(cases.into_iter().map(begun).collect());
}

fn play_raw(cases: Vec<Case>) {
    let mut rig = Rig::new();
    let origin = rig.origin(BODY);
    let address = rig.config(&format!(
        "global\n    nbthread 1\n    tune.h2.max-concurrent-streams 100\n\
         defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         listen web\n    bind {{listen}}\n    http-reuse always\n    {}\n",
        origin.server_line()
    ));
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| plays(address, case).err())
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn generic() {
    let end = |bytes: &[u8]| data(1, 1, bytes);
    play(vec![
        case("generic/1/1 a client's preface", &[], Alive),
        case(
            "generic/2/1 PRIORITY on an idle stream",
            &[&frame(2, 0, 1, &[0, 0, 0, 0, 9]), &get(1)],
            Answer,
        ),
        case(
            "generic/2/2 WINDOW_UPDATE on a half-closed stream",
            &[&get(1), &update(1, 1)],
            Answer,
        ),
        case(
            "generic/2/3 PRIORITY on a half-closed stream",
            &[&get(1), &frame(2, 0, 1, &[0, 0, 0, 0, 9])],
            Answer,
        ),
        case(
            "generic/2/4 RST_STREAM on a half-closed stream",
            &[&get(1), &reset(1)],
            Alive,
        ),
        case(
            "generic/2/5 PRIORITY on a closed stream",
            &[&get(1), &reset(1), &frame(2, 0, 1, &[0, 0, 0, 0, 9])],
            Alive,
        ),
        case(
            "generic/3.1/1 a DATA frame",
            &[&post(1), &end(b"test")],
            Answer,
        ),
        case(
            "generic/3.1/2 several DATA frames",
            &[&post(1), &data(0, 1, b"te"), &end(b"st")],
            Answer,
        ),
        case(
            "generic/3.1/3 a DATA frame with padding",
            &[&post(1), &data(9, 1, b"\x06test\0\0\0\0\0\0")],
            Answer,
        ),
        case("generic/3.2/1 a HEADERS frame", &[&get(1)], Answer),
        case(
            "generic/3.2/2 a HEADERS frame with padding",
            &[&headers(13, 1, &[b"\x02", GET, b"\0\0"].concat())],
            Answer,
        ),
        case(
            "generic/3.2/3 a HEADERS frame with priority",
            &[&headers(0x25, 1, &[&[0, 0, 0, 0, 9], GET].concat())],
            Answer,
        ),
        case(
            "generic/3.3/1 PRIORITY with priority 1",
            &[&frame(2, 0, 1, &[0, 0, 0, 0, 0]), &get(1)],
            Answer,
        ),
        case(
            "generic/3.3/2 PRIORITY with priority 256",
            &[&frame(2, 0, 1, &[0, 0, 0, 0, 255]), &get(1)],
            Answer,
        ),
        case(
            "generic/3.3/3 PRIORITY with a dependency",
            &[&frame(2, 0, 3, &[0, 0, 0, 1, 9]), &get(1)],
            Answer,
        ),
        case(
            "generic/3.3/4 PRIORITY with an exclusive dependency",
            &[&frame(2, 0, 3, &[0x80, 0, 0, 1, 9]), &get(1)],
            Answer,
        ),
        case(
            "generic/3.3/5 PRIORITY, then HEADERS of a lower stream",
            &[&frame(2, 0, 5, &[0, 0, 0, 0, 9]), &get(1)],
            Answer,
        ),
        case(
            "generic/3.4/1 a RST_STREAM frame",
            &[&post(1), &reset(1)],
            Alive,
        ),
        case("generic/3.5/1 a SETTINGS frame", &[&setting(3, 10)], Alive),
        case("generic/3.7/1 a PING frame", &[], Alive),
        case(
            "generic/3.8/1 a GOAWAY frame",
            &[&frame(7, 0, 0, &[0; 8])],
            End,
        ),
        case(
            "generic/3.9/1 WINDOW_UPDATE of 1 on the connection",
            &[&update(0, 1), &get(1)],
            Answer,
        ),
        case(
            "generic/3.9/2 WINDOW_UPDATE of 1 on a stream",
            &[&post(1), &update(1, 1), &end(b"")],
            Answer,
        ),
        case(
            "generic/3.10/1 a CONTINUATION frame",
            &[&headers(1, 1, GET), &frame(9, 4, 1, &field("x", "y"))],
            Answer,
        ),
        case(
            "generic/3.10/2 several CONTINUATION frames",
            &[
                &headers(1, 1, GET),
                &frame(9, 0, 1, &field("x", "y")),
                &frame(9, 4, 1, &field("x", "z")),
            ],
            Answer,
        ),
        case("generic/4/1 a GET request", &[&get(1)], Answer),
        case(
            "generic/4/2 a HEAD request",
            &[&headers(
                5,
                1,
                &[&field(":method", "HEAD"), &GET[1..]].concat(),
            )],
            Answer,
        ),
        case(
            "generic/4/3 a POST request",
            &[&post(1), &end(b"test")],
            Answer,
        ),
        case(
            "generic/4/4 a POST request with trailers",
            &[
                &post(1),
                &data(0, 1, b"test"),
                &headers(5, 1, &field("x", "y")),
            ],
            Answer,
        ),
    ]);
}

#[test]
fn header_compression() {
    let block = |block: &[u8]| headers(5, 1, block);
    play(vec![
        case("generic/5/1 an indexed field", &[&get(1)], Answer),
        case(
            "generic/5/2 a literal with incremental indexing, name indexed",
            &[&block(&[GET, b"\x58\x01x"].concat())],
            Answer,
        ),
        case(
            "generic/5/3 a literal with incremental indexing, name indexed, Huffman",
            &[&block(&[GET, b"\x58\x81\xf3"].concat())],
            Answer,
        ),
        case(
            "generic/5/4 a literal with incremental indexing, new name",
            &[&block(&[GET, b"\x40\x01a\x01b"].concat())],
            Answer,
        ),
        case(
            "generic/5/5 a literal with incremental indexing, new name, Huffman",
            &[&block(&[GET, b"\x40\x81\x1f\x81\x1f"].concat())],
            Answer,
        ),
        case(
            "generic/5/6 a literal without indexing, name indexed",
            &[&block(&[GET, b"\x0f\x09\x01x"].concat())],
            Answer,
        ),
        case(
            "generic/5/8 a literal without indexing, new name",
            &[&block(&[GET, b"\x00\x01a\x01b"].concat())],
            Answer,
        ),
        case(
            "generic/5/10 a literal never indexed, name indexed",
            &[&block(&[GET, b"\x1f\x09\x01x"].concat())],
            Answer,
        ),
        case(
            "generic/5/12 a literal never indexed, new name",
            &[&block(&[GET, b"\x10\x01a\x01b"].concat())],
            Answer,
        ),
        case(
            "generic/5/14 a change of the table's size",
            &[&block(&[b"\x3f\x61", GET].concat())],
            Answer,
        ),
        case(
            "generic/5/15 several changes of the table's size",
            &[&block(&[b"\x20\x3f\x61", GET].concat())],
            Answer,
        ),
        case(
            "hpack/2.3.3/1 an index beyond the table",
            &[&block(&[GET, b"\xc6"].concat())],
            Connection(COMPRESSION),
        ),
        case(
            "hpack/2.3.3/2 a literal whose name is beyond the table",
            &[&block(&[GET, b"\x7f\x07\x01x"].concat())],
            Connection(COMPRESSION),
        ),
        case(
            "hpack/4.2/1 a change of size behind fields",
            &[&block(&[GET, b"\x21"].concat())],
            Connection(COMPRESSION),
        ),
        case(
            "hpack/5.2/1 padding longer than seven bits",
            &[&block(&[GET, b"\x00\x01x\x82\x1f\xff"].concat())],
            Connection(COMPRESSION),
        ),
        case(
            "hpack/5.2/2 padding of zeros",
            &[&block(&[GET, b"\x00\x01x\x81\x18"].concat())],
            Connection(COMPRESSION),
        ),
        case(
            "hpack/5.2/3 EOS within a text",
            &[&block(&[GET, b"\x00\x01x\x84\xff\xff\xff\xff"].concat())],
            Connection(COMPRESSION),
        ),
        case(
            "hpack/6.1/1 index 0",
            &[&block(&[GET, b"\x80"].concat())],
            Connection(COMPRESSION),
        ),
        case(
            "hpack/6.3/1 a size beyond what was allowed",
            &[&block(&[b"\x3f\xe2\x1f", GET].concat())],
            Connection(COMPRESSION),
        ),
    ]);
}

#[test]
fn section_3_starting() {
    play_raw(vec![
        case(
            "http2/3.5/1 a preface",
            &[PREFACE, &frame(4, 0, 0, b"")],
            Alive,
        ),
        case(
            "http2/3.5/2 something else",
            &[b"INVALID CONNECTION PREFACE\r\n\r\n"],
            End,
        ),
    ]);
}

#[test]
fn section_4_frames() {
    play(vec![
        case(
            "http2/4.1/1 a frame of unknown type",
            &[&frame(0x16, 0, 0, &[0; 8])],
            Alive,
        ),
        case(
            "http2/4.1/2 a frame with undefined flags",
            &[&frame(6, 0x16, 0, &[0; 8])],
            Alive,
        ),
        case(
            "http2/4.1/3 a frame with the reserved bit",
            &[&frame(6, 0, 1 << 31, &[0; 8])],
            Alive,
        ),
        case(
            "http2/4.2/1 DATA of 2^14 bytes",
            &[&post(1), &data(1, 1, &[b'x'; 16_384])],
            Answer,
        ),
        case(
            "http2/4.2/2 DATA beyond the limit",
            &[&post(1), &data(1, 1, &[b'x'; 16_385])],
            Stream(SIZE),
        ),
        case(
            "http2/4.2/3 HEADERS beyond the limit",
            &[&headers(5, 1, &[GET, &[0x82; 16_400]].concat())],
            Connection(SIZE),
        ),
        case(
            "http2/4.3/1 an invalid block",
            &[&headers(5, 1, b"\x00\x01")],
            Connection(COMPRESSION),
        ),
        case(
            "http2/4.3/2 PRIORITY within a block",
            &[&headers(1, 1, GET), &frame(2, 0, 1, &[0, 0, 0, 0, 9])],
            Connection(PROTOCOL),
        ),
        case(
            "http2/4.3/3 HEADERS of another stream within a block",
            &[&headers(1, 1, GET), &get(3)],
            Connection(PROTOCOL),
        ),
    ]);
}

#[test]
fn section_5_streams() {
    let (dead, done) = (join(&[&post(1), &reset(1)]), get(1));
    play(vec![
        case(
            "http2/5.1/1 idle: DATA",
            &[&data(1, 1, b"test")],
            Connection(PROTOCOL),
        ),
        case(
            "http2/5.1/2 idle: RST_STREAM",
            &[&reset(1)],
            Connection(PROTOCOL),
        ),
        case(
            "http2/5.1/3 idle: WINDOW_UPDATE",
            &[&update(1, 100)],
            Connection(PROTOCOL),
        ),
        case(
            "http2/5.1/4 idle: CONTINUATION",
            &[&frame(9, 4, 1, GET)],
            Connection(PROTOCOL),
        ),
        case(
            "http2/5.1/5 half closed: DATA",
            &[&done, &data(1, 1, b"test")],
            Stream(CLOSED),
        ),
        case(
            "http2/5.1/6 half closed: HEADERS",
            &[&done, &get(1)],
            Stream(CLOSED),
        ),
        case(
            "http2/5.1/7 half closed: CONTINUATION",
            &[&done, &frame(9, 4, 1, GET)],
            Stream(CLOSED),
        ),
        case(
            "http2/5.1/8 closed by RST_STREAM: DATA",
            &[&dead, &data(1, 1, b"test")],
            Stream(CLOSED),
        ),
        case(
            "http2/5.1/9 closed by RST_STREAM: HEADERS",
            &[&dead, &get(1)],
            Stream(CLOSED),
        ),
        case(
            "http2/5.1/10 closed by RST_STREAM: CONTINUATION",
            &[&dead, &frame(9, 4, 1, GET)],
            Stream(CLOSED),
        ),
        case(
            "http2/5.1.1/1 an even number",
            &[&get(2)],
            Connection(PROTOCOL),
        ),
        case(
            "http2/5.1.1/2 a lower number",
            &[&get(5), &get(3)],
            Connection(CLOSED),
        ),
        case(
            "http2/5.1.2/1 too many streams",
            &[&(0..101)
                .flat_map(|number| post(2 * number + 1))
                .collect::<Vec<u8>>()],
            Stream(REFUSED),
        ),
        case(
            "http2/5.3.1/1 HEADERS that depend on themselves",
            &[&headers(0x25, 1, &[&[0, 0, 0, 1, 9], GET].concat())],
            Stream(PROTOCOL),
        ),
        case(
            "http2/5.3.1/2 PRIORITY that depends on itself",
            &[&frame(2, 0, 1, &[0, 0, 0, 1, 9]), &get(1)],
            Answer,
        ),
        case(
            "http2/5.4.1/1 a fault is followed by the end",
            &[&frame(6, 0, 3, &[0; 8])],
            Connection(PROTOCOL),
        ),
        case(
            "http2/5.5/1 an unknown frame",
            &[&frame(0xff, 0, 0, b"unknown"), &get(1)],
            Answer,
        ),
        case(
            "http2/5.5/2 an unknown frame within a block",
            &[&headers(1, 1, GET), &frame(0xff, 0, 0, b"unknown")],
            Connection(PROTOCOL),
        ),
    ]);
}

/// RFC 9113 section 5.1: a response may have ended the stream already, which is closed then.
#[test]
fn section_5_closed_streams() {
    let small = join(&[&get(1), &frame(6, 0, 0, &[1; 8])]);
    play(vec![
        case(
            "http2/5.1/11 closed: DATA",
            &[&small, &data(1, 1, b"test")],
            Stream(CLOSED),
        ),
        case(
            "http2/5.1/12 closed: HEADERS",
            &[&small, &get(1)],
            Stream(CLOSED),
        ),
        case(
            "http2/5.1/13 closed: CONTINUATION",
            &[&small, &frame(9, 4, 1, GET)],
            Stream(CLOSED),
        ),
    ]);
}

#[test]
fn section_6_frames_of_streams() {
    play(vec![
        case(
            "http2/6.1/1 DATA on no stream",
            &[&data(1, 0, b"test")],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.1/2 DATA on a stream that is not open",
            &[&get(1), &data(1, 1, b"test")],
            Stream(CLOSED),
        ),
        case(
            "http2/6.1/3 DATA with too much padding",
            &[&post(1), &data(9, 1, b"\x05test")],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.2/1 HEADERS that go on with PRIORITY",
            &[&headers(1, 1, GET), &frame(2, 0, 1, &[0, 0, 0, 0, 9])],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.2/2 HEADERS that go on on another stream",
            &[&headers(1, 1, GET), &frame(9, 4, 3, &field("x", "y"))],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.2/3 HEADERS on no stream",
            &[&get(0)],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.2/4 HEADERS with too much padding",
            &[&headers(13, 1, &[b"\x40", GET].concat())],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.3/1 PRIORITY on no stream",
            &[&frame(2, 0, 0, &[0, 0, 0, 0, 9])],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.3/2 PRIORITY of another length",
            &[&frame(2, 0, 1, &[0; 4])],
            Stream(SIZE),
        ),
        case(
            "http2/6.4/1 RST_STREAM on no stream",
            &[&reset(0)],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.4/2 RST_STREAM on an idle stream",
            &[&reset(1)],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.4/3 RST_STREAM of another length",
            &[&post(1), &frame(3, 0, 1, &[0; 3])],
            Connection(SIZE),
        ),
    ]);
}

#[test]
fn section_6_frames_of_connections() {
    play(vec![
        case(
            "http2/6.5/1 SETTINGS with ACK and a payload",
            &[&frame(4, 1, 0, &[0; 6])],
            Connection(SIZE),
        ),
        case(
            "http2/6.5/2 SETTINGS on a stream",
            &[&frame(4, 0, 1, &[0, 3, 0, 0, 0, 9])],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.5/3 SETTINGS of another length",
            &[&frame(4, 0, 0, &[0, 3, 0])],
            Connection(SIZE),
        ),
        case(
            "http2/6.5.2/1 ENABLE_PUSH of 2",
            &[&setting(2, 2)],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.5.2/2 INITIAL_WINDOW_SIZE beyond the limit",
            &[&setting(4, 1 << 31)],
            Connection(FLOW),
        ),
        case(
            "http2/6.5.2/3 MAX_FRAME_SIZE too small",
            &[&setting(5, 16_383)],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.5.2/4 MAX_FRAME_SIZE too large",
            &[&setting(5, 1 << 24)],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.5.2/5 an unknown setting",
            &[&setting(0xff, 1)],
            Alive,
        ),
        case(
            "http2/6.5.3/1 the last of several values counts",
            &[
                &frame(4, 0, 0, &[0, 4, 0, 0, 0, 100, 0, 4, 0, 0, 0, 1]),
                &get(1),
            ],
            Piece(1),
        ),
        case("http2/6.7/1 PING", &[], Alive),
        case(
            "http2/6.7/2 PING with ACK",
            &[&frame(6, 1, 0, b"unasked!")],
            Alive,
        ),
        case(
            "http2/6.7/3 PING on a stream",
            &[&frame(6, 0, 1, &[0; 8])],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.7/4 PING of another length",
            &[&frame(6, 0, 0, &[0; 6])],
            Connection(SIZE),
        ),
        case(
            "http2/6.8/1 GOAWAY on a stream",
            &[&frame(7, 0, 1, &[0; 8])],
            Connection(PROTOCOL),
        ),
        case(
            "http2/7/1 GOAWAY with an unknown code",
            &[&frame(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff])],
            End,
        ),
        case(
            "http2/7/2 RST_STREAM with an unknown code",
            &[&post(1), &frame(3, 0, 1, &[0, 0, 0, 0xff])],
            Alive,
        ),
        case(
            "http2/8.2/1 PUSH_PROMISE",
            &[&frame(5, 4, 1, &[&[0, 0, 0, 2], GET].concat())],
            Connection(PROTOCOL),
        ),
    ]);
}

#[test]
fn section_6_windows() {
    let wide = update(0, (1 << 31) - 1);
    play(vec![
        case(
            "http2/6.9/1 WINDOW_UPDATE of 0",
            &[&update(0, 0)],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.9/2 WINDOW_UPDATE of 0 on a stream",
            &[&post(1), &update(1, 0)],
            Stream(PROTOCOL),
        ),
        case(
            "http2/6.9/3 WINDOW_UPDATE of another length",
            &[&frame(8, 0, 0, &[0, 0, 1])],
            Connection(SIZE),
        ),
        case(
            "http2/6.9.1/1 a window of 1",
            &[&setting(4, 1), &get(1)],
            Piece(1),
        ),
        case(
            "http2/6.9.1/2 the connection's window beyond the limit",
            &[&wide, &wide],
            Connection(FLOW),
        ),
        case(
            "http2/6.9.1/3 a stream's window beyond the limit",
            &[
                &post(1),
                &update(1, (1 << 31) - 1),
                &update(1, (1 << 31) - 1),
            ],
            Stream(FLOW),
        ),
        case(
            "http2/6.9.2/1 a window that is opened by settings",
            &[&setting(4, 0), &get(1), &setting(4, 1)],
            Piece(1),
        ),
        case(
            "http2/6.9.2/2 a window that was negative",
            &[&setting(4, 3), &get(1), &setting(4, 2), &update(1, 0x100)],
            Answer,
        ),
        case(
            "http2/6.9.2/3 settings beyond the limit",
            &[&post(1), &setting(4, 1 << 31)],
            Connection(FLOW),
        ),
    ]);
}

#[test]
fn section_6_continuation() {
    let more = field("x", "y");
    play(vec![
        case(
            "http2/6.10/1 several",
            &[
                &headers(1, 1, GET),
                &frame(9, 0, 1, &more),
                &frame(9, 4, 1, &more),
            ],
            Answer,
        ),
        case(
            "http2/6.10/2 followed by something else",
            &[
                &headers(1, 1, GET),
                &frame(9, 0, 1, &more),
                &data(1, 1, b"x"),
            ],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.10/3 on no stream",
            &[&headers(1, 1, GET), &frame(9, 4, 0, &more)],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.10/4 behind a whole block",
            &[&post(1), &frame(9, 4, 1, &more)],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.10/5 behind a block that has ended",
            &[
                &headers(0, 1, POST),
                &frame(9, 4, 1, &more),
                &frame(9, 4, 1, &more),
            ],
            Connection(PROTOCOL),
        ),
        case(
            "http2/6.10/6 behind DATA",
            &[&post(1), &data(0, 1, b"x"), &frame(9, 4, 1, &more)],
            Connection(PROTOCOL),
        ),
    ]);
}

#[test]
fn section_8_messages() {
    let only = |fields: &[(&str, &str)]| {
        let block: Vec<u8> = fields
            .iter()
            .flat_map(|(name, value)| field(name, value))
            .collect();
        headers(5, 1, &block)
    };
    let (method, scheme, path, host) = (
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a"),
    );
    let sized = |length: &str| headers(4, 1, &[POST, &field("content-length", length)].concat());
    play(vec![
        case(
            "http2/8.1/1 a second block that does not end the stream",
            &[
                &post(1),
                &headers(4, 1, &field("x", "y")),
                &data(1, 1, b"x"),
            ],
            Stream(PROTOCOL),
        ),
        case(
            "http2/8.1.2/1 a name in upper case",
            &[&with("X-TEST", "ok")],
            Stream(PROTOCOL),
        ),
        case(
            "http2/8.1.2.1/1 an unknown pseudo-header field",
            &[&only(&[method, scheme, path, host, (":test", "ok")])],
            Stream(PROTOCOL),
        ),
        case(
            "http2/8.1.2.1/2 one of responses",
            &[&only(&[method, scheme, path, host, (":status", "200")])],
            Stream(PROTOCOL),
        ),
        case(
            "http2/8.1.2.1/3 one in trailers",
            &[
                &post(1),
                &data(0, 1, b"x"),
                &headers(5, 1, &field(":method", "200")),
            ],
            Stream(PROTOCOL),
        ),
        case(
            "http2/8.1.2.1/4 one behind a regular field",
            &[&only(&[method, scheme, path, ("x", "y"), host])],
            Stream(PROTOCOL),
        ),
        case(
            "http2/8.1.2.2/1 a field of connections",
            &[&with("connection", "keep-alive")],
            Stream(PROTOCOL),
        ),
        case(
            "http2/8.1.2.2/2 TE other than trailers",
            &[&with("te", "trailers, deflate;q=0.5")],
            Stream(PROTOCOL),
        ),
        case(
            "http2/8.1.2.3/1 an empty path",
            &[&only(&[method, scheme, (":path", ""), host])],
            Stream(PROTOCOL),
        ),
        case(
            "http2/8.1.2.3/2 no method",
            &[&only(&[scheme, path, host])],
            Stream(PROTOCOL),
        ),
        case(
            "http2/8.1.2.3/3 no scheme",
            &[&only(&[method, path, host])],
            Stream(PROTOCOL),
        ),
        case(
            "http2/8.1.2.3/4 no path",
            &[&only(&[method, scheme, host])],
            Stream(PROTOCOL),
        ),
        case(
            "http2/8.1.2.3/5 two methods",
            &[&only(&[method, method, scheme, path, host])],
            Stream(PROTOCOL),
        ),
        case(
            "http2/8.1.2.3/6 two schemes",
            &[&only(&[method, scheme, scheme, path, host])],
            Stream(PROTOCOL),
        ),
        case(
            "http2/8.1.2.3/7 two paths",
            &[&only(&[method, scheme, path, path, host])],
            Stream(PROTOCOL),
        ),
        case(
            "http2/8.1.2.6/1 a length that is not that of DATA",
            &[&sized("1"), &data(1, 1, b"test")],
            Stream(PROTOCOL),
        ),
        case(
            "http2/8.1.2.6/2 a length that is not the sum of DATA",
            &[&sized("1"), &data(0, 1, b"te"), &data(1, 1, b"st")],
            Stream(PROTOCOL),
        ),
    ]);
}
