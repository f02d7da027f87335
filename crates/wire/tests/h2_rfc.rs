//! What RFC 9113 and RFC 7541 demand of a server, section by section: the cases that the h2spec suite asks, as bytes.

mod support;

use plimsoll_wire::h2::frame::{PREFACE, flag, kind, setting};
use plimsoll_wire::h2::{Code, Config, Connection, Event, Role};
use support::h2::{frame, frames, headers, receive, server};

/// What a server makes of some frames.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Fine,
    /// `RST_STREAM` with this code, and no more.
    Stream(Code),
    /// `GOAWAY` with this code.
    Connection(Code),
}
use Verdict::{Connection as Conn, Fine, Stream};

const PROTOCOL: Code = Code::PROTOCOL_ERROR;
const SIZE: Code = Code::FRAME_SIZE_ERROR;
const FLOW: Code = Code::FLOW_CONTROL_ERROR;
const CLOSED: Code = Code::STREAM_CLOSED;
const COMPRESSION: Code = Code::COMPRESSION_ERROR;

/// `GET / http a` and `POST / http a`.
const GET: &[u8] = b"\x82\x86\x84\x41\x01a";
const POST: &[u8] = b"\x83\x86\x84\x41\x01a";

fn judge(bytes: &[u8]) -> Verdict {
    let mut server = server(Config::default());
    let _ = receive(&mut server, bytes);
    answer(&mut server)
}

fn answer(server: &mut Connection<u32>) -> Verdict {
    let sent = frames(server.output());
    let code = |payload: &[u8]| Code(u32::from_be_bytes(*payload.last_chunk().expect("a code")));
    let find = |kind| {
        sent.iter()
            .find(|(head, _)| head.kind == kind)
            .map(|(_, payload)| code(payload))
    };
    match (find(kind::GOAWAY), find(kind::RST_STREAM)) {
        (Some(code), _) => Conn(code),
        (None, Some(code)) => Stream(code),
        (None, None) => Fine,
    }
}

fn check(cases: &[(&str, &[&[u8]], Verdict)]) {
    for (name, bytes, verdict) in cases {
        assert_eq!(judge(&bytes.concat()), *verdict, "{name}");
    }
}

fn get(stream: u32) -> Vec<u8> {
    headers(stream, flag::END_STREAM, GET)
}

fn post(stream: u32) -> Vec<u8> {
    headers(stream, 0, POST)
}

fn data(stream: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    frame(kind::DATA, flags, stream, payload)
}

fn reset(stream: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

fn update(stream: u32, increment: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

fn set(setting: u16, value: u32) -> Vec<u8> {
    let pair = [&setting.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(kind::SETTINGS, 0, 0, &pair)
}

/// Fields as literals that touch no table.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.extend_from_slice(&[0, name.len() as u8]);
        out.extend_from_slice(name.as_bytes());
        out.push(value.len() as u8);
        out.extend_from_slice(value.as_bytes());
    }
    out
}

/// A request with these fields behind the four usual ones.
fn with(fields: &[(&str, &str)]) -> Vec<u8> {
    headers(1, flag::END_STREAM, &[GET, &block(fields)].concat())
}

fn only(fields: &[(&str, &str)]) -> Vec<u8> {
    headers(1, flag::END_STREAM, &block(fields))
}

#[test]
fn section_3_4_preface() {
    let verdict = |bytes: &[u8]| {
        let mut server = Connection::new(Role::Server, Config::default());
        let _ = receive(&mut server, bytes);
        answer(&mut server)
    };
    assert_eq!(
        verdict(b"INVALID CONNECTION PREFACE\r\n\r\n"),
        Conn(PROTOCOL)
    );
    assert_eq!(verdict(&PREFACE[..10]), Fine);
    assert_eq!(
        verdict(&[PREFACE, &frame(kind::PING, 0, 0, &[0; 8])].concat()),
        Conn(PROTOCOL)
    );
    assert_eq!(
        verdict(&[PREFACE, &frame(kind::SETTINGS, flag::ACK, 0, b"")].concat()),
        Conn(PROTOCOL)
    );
    assert_eq!(
        verdict(&[PREFACE, &frame(kind::SETTINGS, 0, 0, b"")].concat()),
        Fine
    );
}

#[test]
fn section_4_1_frame_format() {
    check(&[
        (
            "unknown type",
            &[&frame(0x16, 0, 0, b"12345678"), &get(1)],
            Fine,
        ),
        (
            "undefined flags",
            &[&frame(kind::PING, 0x16, 0, &[0; 8])],
            Fine,
        ),
        (
            "reserved bit",
            &[b"\0\0\x08\x06\0\x80\0\0\0\0\0\0\0\0\0\0\0"],
            Fine,
        ),
    ]);
}

#[test]
fn section_4_2_frame_size() {
    let large = vec![0; 16_385];
    check(&[
        (
            "DATA of 2^14",
            &[&post(1), &data(1, 0, &large[..16_384])],
            Fine,
        ),
        (
            "DATA beyond the limit",
            &[&post(1), &data(1, 0, &large)],
            Conn(SIZE),
        ),
        (
            "HEADERS beyond the limit",
            &[&headers(1, flag::END_STREAM, &large)],
            Conn(SIZE),
        ),
    ]);
}

#[test]
fn section_4_3_field_section() {
    let part = frame(kind::HEADERS, flag::END_STREAM, 1, &GET[..3]);
    check(&[
        (
            "invalid block",
            &[&headers(1, flag::END_STREAM, b"\0\0\0")],
            Stream(PROTOCOL),
        ),
        (
            "undecodable block",
            &[&headers(1, flag::END_STREAM, b"\x40\x7f")],
            Conn(COMPRESSION),
        ),
        (
            "PRIORITY within a block",
            &[&part, &frame(kind::PRIORITY, 0, 1, b"\0\0\0\0\x10")],
            Conn(PROTOCOL),
        ),
        (
            "HEADERS within another's block",
            &[&part, &get(3)],
            Conn(PROTOCOL),
        ),
    ]);
}

#[test]
fn section_5_1_stream_states() {
    let half_closed: &[&[u8]] = &[&get(1)];
    let join = |last: &[u8]| [half_closed.concat(), last.to_vec()].concat();
    for (name, bytes, verdict) in [
        ("idle: DATA", data(1, 0, b"x"), Conn(PROTOCOL)),
        ("idle: RST_STREAM", reset(1), Conn(PROTOCOL)),
        ("idle: WINDOW_UPDATE", update(1, 1), Conn(PROTOCOL)),
        (
            "idle: CONTINUATION",
            frame(kind::CONTINUATION, flag::END_HEADERS, 1, GET),
            Conn(PROTOCOL),
        ),
        ("half closed: DATA", join(&data(1, 0, b"x")), Stream(CLOSED)),
        ("half closed: HEADERS", join(&get(1)), Stream(CLOSED)),
        (
            "half closed: CONTINUATION",
            join(&frame(kind::CONTINUATION, flag::END_HEADERS, 1, GET)),
            Conn(PROTOCOL),
        ),
        ("half closed: WINDOW_UPDATE", join(&update(1, 1)), Fine),
        ("half closed: RST_STREAM", join(&reset(1)), Fine),
    ] {
        assert_eq!(judge(&bytes), verdict, "{name}");
    }
}

#[test]
fn section_5_1_closed_streams() {
    for (name, late, verdict) in [
        ("DATA", data(1, 0, b"x"), Stream(CLOSED)),
        ("HEADERS", get(1), Conn(CLOSED)),
        (
            "CONTINUATION",
            frame(kind::CONTINUATION, flag::END_HEADERS, 1, GET),
            Conn(PROTOCOL),
        ),
        ("WINDOW_UPDATE", update(1, 1), Fine),
        ("RST_STREAM", reset(1), Fine),
        (
            "PRIORITY",
            frame(kind::PRIORITY, 0, 1, b"\0\0\0\0\x10"),
            Fine,
        ),
    ] {
        let mut server = server(Config::default());
        receive(&mut server, &get(1)).expect("a request");
        let Some(Event::Request(key)) = server.next_event() else {
            panic!("{name}");
        };
        let head = plimsoll_wire::head::Head {
            status: 204,
            ..Default::default()
        };
        server.send_head(key, &head, true);
        server.release(key);
        server.output().clear();
        let _ = receive(&mut server, &late);
        let answered = answer(&mut server);
        // A priority may be changed for ever, but it need not be.
        assert!(
            answered == verdict || name == "PRIORITY" && answered == Fine,
            "{name}: {answered:?}"
        );
    }
}

#[test]
fn section_5_1_streams_that_we_cancelled_may_still_speak() {
    let mut server = server(Config::default());
    receive(&mut server, &post(1)).expect("a request");
    let Some(Event::Request(key)) = server.next_event() else {
        panic!("a request");
    };
    server.cancel(key, Code::CANCEL);
    server.release(key);
    server.output().clear();
    receive(
        &mut server,
        &[
            data(1, 0, b"x"),
            headers(1, flag::END_STREAM, b""),
            update(1, 1),
        ]
        .concat(),
    )
    .expect("no fault");
    assert_eq!(answer(&mut server), Fine);
}

#[test]
fn section_5_1_1_identifiers() {
    check(&[
        ("even", &[&get(2)], Conn(PROTOCOL)),
        ("lower than the last", &[&get(5), &get(3)], Conn(CLOSED)),
        ("gaps", &[&get(1), &get(101)], Fine),
        ("the largest", &[&get((1 << 31) - 1)], Fine),
    ]);
}

#[test]
fn section_5_1_2_concurrency() {
    let requests: Vec<u8> = (0..101).flat_map(|index| get(2 * index + 1)).collect();
    assert_eq!(judge(&requests[..100 * requests.len() / 101]), Fine);
    assert_eq!(judge(&requests), Stream(Code::REFUSED_STREAM));
}

#[test]
fn section_5_3_1_dependencies() {
    let block = [&1_u32.to_be_bytes()[..], b"\x10", GET].concat();
    check(&[
        (
            "HEADERS",
            &[&headers(1, flag::PRIORITY | flag::END_STREAM, &block)],
            Stream(PROTOCOL),
        ),
        (
            "PRIORITY",
            &[&get(1), &frame(kind::PRIORITY, 0, 1, b"\0\0\0\x01\x10")],
            Stream(PROTOCOL),
        ),
    ]);
}

#[test]
fn section_5_5_extensions() {
    let part = frame(kind::HEADERS, flag::END_STREAM, 1, GET);
    check(&[
        ("unknown frame", &[&frame(0xff, 0, 0, b"x"), &get(1)], Fine),
        (
            "unknown frame within a block",
            &[&part, &frame(0xff, 0, 0, b"x")],
            Conn(PROTOCOL),
        ),
    ]);
}

#[test]
fn section_6_1_data() {
    check(&[
        ("on no stream", &[&data(0, 0, b"x")], Conn(PROTOCOL)),
        (
            "padding as long as the frame",
            &[&post(1), &data(1, flag::PADDED, b"\x05test\0")],
            Fine,
        ),
        (
            "padding beyond the frame",
            &[&post(1), &data(1, flag::PADDED, b"\x06test\0")],
            Conn(PROTOCOL),
        ),
        (
            "padded and empty",
            &[&post(1), &data(1, flag::PADDED, b"")],
            Conn(PROTOCOL),
        ),
        (
            "nothing but padding",
            &[&post(1), &data(1, flag::PADDED, b"\x02\0\0")],
            Fine,
        ),
    ]);
}

#[test]
fn section_6_2_headers() {
    check(&[
        ("on no stream", &[&get(0)], Conn(PROTOCOL)),
        (
            "padding beyond the frame",
            &[&headers(1, flag::PADDED, &[&[9], GET].concat())],
            Conn(PROTOCOL),
        ),
        (
            "padded",
            &[&headers(
                1,
                flag::PADDED | flag::END_STREAM,
                &[&[2], GET, &[0, 0]].concat(),
            )],
            Fine,
        ),
        (
            "priority without room",
            &[&headers(1, flag::PRIORITY, b"\0\0")],
            Conn(SIZE),
        ),
    ]);
}

#[test]
fn section_6_3_priority() {
    check(&[
        (
            "on no stream",
            &[&frame(kind::PRIORITY, 0, 0, b"\0\0\0\0\x10")],
            Conn(PROTOCOL),
        ),
        (
            "too short",
            &[&get(1), &frame(kind::PRIORITY, 0, 1, b"\0\0\0\0")],
            Stream(SIZE),
        ),
        (
            "on an idle stream",
            &[&frame(kind::PRIORITY, 0, 1, b"\0\0\0\0\x10"), &get(1)],
            Fine,
        ),
    ]);
}

#[test]
fn section_6_4_rst_stream() {
    check(&[
        ("on no stream", &[&reset(0)], Conn(PROTOCOL)),
        ("on an idle stream", &[&reset(1)], Conn(PROTOCOL)),
        (
            "too short",
            &[&get(1), &frame(kind::RST_STREAM, 0, 1, b"\0\0\0")],
            Conn(SIZE),
        ),
        (
            "with an unknown code",
            &[&get(1), &frame(kind::RST_STREAM, 0, 1, b"\0\0\0\xff")],
            Fine,
        ),
    ]);
}

#[test]
fn section_6_5_settings() {
    check(&[
        (
            "acknowledged with a payload",
            &[&frame(kind::SETTINGS, flag::ACK, 0, b"\0")],
            Conn(SIZE),
        ),
        (
            "on a stream",
            &[&frame(kind::SETTINGS, 0, 1, b"")],
            Conn(PROTOCOL),
        ),
        (
            "of odd length",
            &[&frame(kind::SETTINGS, 0, 0, b"\0\0\0")],
            Conn(SIZE),
        ),
        (
            "ENABLE_PUSH 2",
            &[&set(setting::ENABLE_PUSH, 2)],
            Conn(PROTOCOL),
        ),
        (
            "INITIAL_WINDOW_SIZE 2^31",
            &[&set(setting::INITIAL_WINDOW_SIZE, 1 << 31)],
            Conn(FLOW),
        ),
        (
            "MAX_FRAME_SIZE 2^14 - 1",
            &[&set(setting::MAX_FRAME_SIZE, 16_383)],
            Conn(PROTOCOL),
        ),
        (
            "MAX_FRAME_SIZE 2^24",
            &[&set(setting::MAX_FRAME_SIZE, 1 << 24)],
            Conn(PROTOCOL),
        ),
        (
            "MAX_FRAME_SIZE 2^24 - 1",
            &[&set(setting::MAX_FRAME_SIZE, (1 << 24) - 1)],
            Fine,
        ),
        ("unknown", &[&set(0xff, 1)], Fine),
        (
            "ENABLE_CONNECT_PROTOCOL 2",
            &[&set(setting::ENABLE_CONNECT_PROTOCOL, 2)],
            Conn(PROTOCOL),
        ),
    ]);
}

#[test]
fn section_6_5_3_settings_are_acknowledged() {
    let mut server = server(Config::default());
    receive(
        &mut server,
        &[set(setting::MAX_CONCURRENT_STREAMS, 1), set(0xff, 1)].concat(),
    )
    .expect("settings");
    let sent = frames(server.output());
    assert!(
        sent.len() == 2
            && sent
                .iter()
                .all(|(head, _)| head.kind == kind::SETTINGS && head.has(flag::ACK))
    );
}

#[test]
fn section_6_6_push_promise() {
    check(&[(
        "from a client",
        &[
            &get(1),
            &frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, b"\0\0\0\x02\x82"),
        ],
        Conn(PROTOCOL),
    )]);
}

#[test]
fn section_6_7_ping() {
    check(&[
        (
            "on a stream",
            &[&frame(kind::PING, 0, 1, &[0; 8])],
            Conn(PROTOCOL),
        ),
        (
            "too short",
            &[&frame(kind::PING, 0, 0, &[0; 6])],
            Conn(SIZE),
        ),
        (
            "an answer nobody asked for",
            &[&frame(kind::PING, flag::ACK, 0, &[0; 8])],
            Fine,
        ),
    ]);
    let mut server = server(Config::default());
    receive(&mut server, &frame(kind::PING, 0, 0, b"h2spec!!")).expect("a ping");
    let (head, payload) = &frames(server.output())[0];
    assert!(head.kind == kind::PING && head.has(flag::ACK) && payload == b"h2spec!!");
}

#[test]
fn section_6_8_goaway() {
    check(&[
        (
            "on a stream",
            &[&frame(kind::GOAWAY, 0, 1, &[0; 8])],
            Conn(PROTOCOL),
        ),
        (
            "too short",
            &[&frame(kind::GOAWAY, 0, 0, &[0; 7])],
            Conn(SIZE),
        ),
        (
            "with a word",
            &[&frame(kind::GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0bye")],
            Fine,
        ),
    ]);
}

#[test]
fn section_6_9_window_update() {
    let most = (1 << 31) - 1;
    check(&[
        ("of zero", &[&update(0, 0)], Conn(PROTOCOL)),
        (
            "of zero on a stream",
            &[&post(1), &update(1, 0)],
            Stream(PROTOCOL),
        ),
        (
            "too short",
            &[&frame(kind::WINDOW_UPDATE, 0, 0, b"\0\0\0")],
            Conn(SIZE),
        ),
        (
            "beyond the limit",
            &[&update(0, most), &update(0, most)],
            Conn(FLOW),
        ),
        (
            "beyond the limit on a stream",
            &[&post(1), &update(1, most), &update(1, most)],
            Stream(FLOW),
        ),
        (
            "settings beyond the limit",
            &[
                &post(1),
                &update(1, most - 65_535),
                &set(setting::INITIAL_WINDOW_SIZE, 65_536),
            ],
            Conn(FLOW),
        ),
    ]);
}

#[test]
fn section_6_10_continuation() {
    let open = frame(kind::HEADERS, flag::END_STREAM, 1, &GET[..2]);
    let more = |flags, bytes| frame(kind::CONTINUATION, flags, 1, bytes);
    check(&[
        (
            "several",
            &[
                &open,
                &more(0, &GET[2..4]),
                &more(flag::END_HEADERS, &GET[4..]),
            ],
            Fine,
        ),
        (
            "on no stream",
            &[
                &open,
                &frame(kind::CONTINUATION, flag::END_HEADERS, 0, &GET[2..]),
            ],
            Conn(PROTOCOL),
        ),
        (
            "on another stream",
            &[
                &open,
                &frame(kind::CONTINUATION, flag::END_HEADERS, 3, &GET[2..]),
            ],
            Conn(PROTOCOL),
        ),
        (
            "interrupted by DATA",
            &[&open, &data(1, 0, b"x")],
            Conn(PROTOCOL),
        ),
        (
            "behind a whole block",
            &[&get(1), &more(flag::END_HEADERS, GET)],
            Conn(PROTOCOL),
        ),
        (
            "behind DATA",
            &[&post(1), &data(1, 0, b"x"), &more(flag::END_HEADERS, GET)],
            Conn(PROTOCOL),
        ),
    ]);
}

#[test]
fn section_7_codes() {
    check(&[
        (
            "unknown in GOAWAY",
            &[&frame(kind::GOAWAY, 0, 0, b"\0\0\0\0\0\0\xff\xff")],
            Fine,
        ),
        (
            "unknown in RST_STREAM",
            &[
                &get(1),
                &frame(kind::RST_STREAM, 0, 1, b"\0\0\xff\xff"),
                &get(3),
            ],
            Fine,
        ),
    ]);
}

#[test]
fn section_8_1_messages() {
    let trailers = |flags| headers(1, flags, &block(&[("x", "y")]));
    check(&[
        (
            "trailers",
            &[&post(1), &data(1, 0, b"x"), &trailers(flag::END_STREAM)],
            Fine,
        ),
        (
            "trailers that do not end the stream",
            &[&post(1), &trailers(0)],
            Stream(PROTOCOL),
        ),
        (
            "pseudo-header fields in trailers",
            &[
                &post(1),
                &headers(1, flag::END_STREAM, &block(&[(":path", "/")])),
            ],
            Stream(PROTOCOL),
        ),
    ]);
}

#[test]
fn section_8_1_1_content_length() {
    let sized = |length| {
        headers(
            1,
            0,
            &[POST, &block(&[("content-length", length)])].concat(),
        )
    };
    check(&[
        (
            "right",
            &[&sized("4"), &data(1, flag::END_STREAM, b"test")],
            Fine,
        ),
        (
            "in several frames",
            &[
                &sized("4"),
                &data(1, 0, b"te"),
                &data(1, flag::END_STREAM, b"st"),
            ],
            Fine,
        ),
        (
            "too large",
            &[&sized("5"), &data(1, flag::END_STREAM, b"test")],
            Stream(PROTOCOL),
        ),
        (
            "too small",
            &[&sized("3"), &data(1, flag::END_STREAM, b"test")],
            Stream(PROTOCOL),
        ),
        (
            "in several frames, too small",
            &[
                &sized("1"),
                &data(1, 0, b"te"),
                &data(1, flag::END_STREAM, b"st"),
            ],
            Stream(PROTOCOL),
        ),
        (
            "ended by trailers, too large",
            &[
                &sized("5"),
                &data(1, 0, b"test"),
                &headers(1, flag::END_STREAM, b""),
            ],
            Stream(PROTOCOL),
        ),
        ("no number", &[&sized("+4")], Stream(PROTOCOL)),
        ("empty", &[&sized("")], Stream(PROTOCOL)),
        (
            "without a body",
            &[&with(&[("content-length", "1")])],
            Stream(PROTOCOL),
        ),
        (
            "zero without a body",
            &[&with(&[("content-length", "0")])],
            Fine,
        ),
        (
            "twice the same",
            &[&with(&[("content-length", "0"), ("content-length", "0")])],
            Fine,
        ),
        (
            "twice",
            &[&with(&[("content-length", "0"), ("content-length", "1")])],
            Stream(PROTOCOL),
        ),
    ]);
}

#[test]
fn section_8_2_1_fields() {
    check(&[
        (
            "upper case",
            &[&with(&[("X-Test", "ok")])],
            Stream(PROTOCOL),
        ),
        ("empty name", &[&with(&[("", "ok")])], Stream(PROTOCOL)),
        (
            "space in a name",
            &[&with(&[("x test", "ok")])],
            Stream(PROTOCOL),
        ),
        (
            "colon in a name",
            &[&with(&[("x:", "ok")])],
            Stream(PROTOCOL),
        ),
        (
            "beyond ASCII in a name",
            &[&with(&[("x\u{e9}", "ok")])],
            Stream(PROTOCOL),
        ),
        (
            "beyond ASCII in a value",
            &[&with(&[("x", "\u{e9}")])],
            Fine,
        ),
        (
            "NUL in a value",
            &[&with(&[("x", "a\0b")])],
            Stream(PROTOCOL),
        ),
        (
            "CR in a value",
            &[&with(&[("x", "a\rb")])],
            Stream(PROTOCOL),
        ),
        (
            "LF in a value",
            &[&with(&[("x", "a\nb")])],
            Stream(PROTOCOL),
        ),
        // Blanks around a value are taken away, as in HTTP/1 and in HAProxy.
        ("leading space", &[&with(&[("x", " a")])], Fine),
        ("trailing tab", &[&with(&[("x", "a\t")])], Fine),
        ("blanks within", &[&with(&[("x", "a \t b")])], Fine),
        ("empty value", &[&with(&[("x", "")])], Fine),
    ]);
}

#[test]
fn section_8_2_2_connection_fields() {
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ] {
        assert_eq!(judge(&with(&[(name, "x")])), Stream(PROTOCOL), "{name}");
    }
    check(&[
        ("te: trailers", &[&with(&[("te", "trailers")])], Fine),
        (
            "te: gzip",
            &[&with(&[("te", "trailers, deflate;q=0.5")])],
            Stream(PROTOCOL),
        ),
    ]);
}

#[test]
fn section_8_3_pseudo_header_fields() {
    let usual = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/"),
    ];
    let without = |name| {
        only(
            &usual
                .into_iter()
                .filter(|(known, _)| *known != name)
                .collect::<Vec<_>>(),
        )
    };
    let twice = |name| {
        only(
            &usual
                .into_iter()
                .flat_map(|field| {
                    if field.0 == name {
                        vec![field; 2]
                    } else {
                        vec![field]
                    }
                })
                .collect::<Vec<_>>(),
        )
    };
    let instead = |name, value| {
        only(&usual.map(|field| {
            if field.0 == name {
                (name, value)
            } else {
                field
            }
        }))
    };
    let cases: &[(&str, Vec<u8>, Verdict)] = &[
        ("usual", only(&usual), Fine),
        (
            "unknown",
            with(&[])
                .into_iter()
                .chain(headers(
                    3,
                    flag::END_STREAM,
                    &[&block(&[(":test", "ok")]), GET].concat(),
                ))
                .collect(),
            Stream(PROTOCOL),
        ),
        (
            "of a response",
            headers(
                1,
                flag::END_STREAM,
                &[&block(&[(":status", "200")]), GET].concat(),
            ),
            Stream(PROTOCOL),
        ),
        (
            "behind a regular field",
            with(&[("x", "y"), (":path", "/")]),
            Stream(PROTOCOL),
        ),
        ("no method", without(":method"), Stream(PROTOCOL)),
        ("no scheme", without(":scheme"), Stream(PROTOCOL)),
        ("no path", without(":path"), Stream(PROTOCOL)),
        ("no authority", without(":authority"), Fine),
        ("two methods", twice(":method"), Stream(PROTOCOL)),
        ("two schemes", twice(":scheme"), Stream(PROTOCOL)),
        ("two paths", twice(":path"), Stream(PROTOCOL)),
        ("two authorities", twice(":authority"), Stream(PROTOCOL)),
        ("empty path", instead(":path", ""), Stream(PROTOCOL)),
        (
            "path without a slash",
            instead(":path", "a"),
            Stream(PROTOCOL),
        ),
        (
            "path with a space",
            instead(":path", "/a b"),
            Stream(PROTOCOL),
        ),
        (
            "path with a fragment",
            instead(":path", "/a#b"),
            Stream(PROTOCOL),
        ),
        ("asterisk for GET", instead(":path", "*"), Stream(PROTOCOL)),
        ("method with a space", instead(":method", "GET /"), Fine),
        ("empty method", instead(":method", ""), Fine),
        (
            "scheme that is none",
            instead(":scheme", "http://a/?"),
            Fine,
        ),
        (
            "authority with a user",
            instead(":authority", "u@a"),
            Stream(PROTOCOL),
        ),
        (
            "authority with a comma",
            instead(":authority", "a,b"),
            Stream(PROTOCOL),
        ),
    ];
    for (name, bytes, verdict) in cases {
        assert_eq!(judge(bytes), *verdict, "{name}");
    }
}

#[test]
fn section_8_3_1_host_and_authority() {
    check(&[
        ("the same host", &[&with(&[("host", "A")])], Fine),
        // What the authority says counts, here and behind.
        ("another host", &[&with(&[("host", "b")])], Fine),
        (
            "two hosts",
            &[&only(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                ("host", "a"),
                ("host", "b"),
            ])],
            Stream(PROTOCOL),
        ),
        (
            "a host alone",
            &[&only(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                ("host", "a"),
            ])],
            Fine,
        ),
        (
            "OPTIONS *",
            &[&only(&[
                (":method", "OPTIONS"),
                (":scheme", "http"),
                (":path", "*"),
            ])],
            Fine,
        ),
    ]);
}

#[test]
fn section_8_5_connect() {
    let connect = |fields: &[(&str, &str)]| headers(1, 0, &block(fields));
    for (name, bytes, verdict) in [
        (
            "CONNECT",
            connect(&[(":method", "CONNECT"), (":authority", "a:1")]),
            Fine,
        ),
        (
            "without a port",
            connect(&[(":method", "CONNECT"), (":authority", "a")]),
            Stream(PROTOCOL),
        ),
        (
            "without an authority",
            connect(&[(":method", "CONNECT")]),
            Stream(PROTOCOL),
        ),
        (
            "with a path",
            connect(&[
                (":method", "CONNECT"),
                (":authority", "a:1"),
                (":path", "/"),
            ]),
            Stream(PROTOCOL),
        ),
        (
            "extended",
            connect(&[
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "/"),
            ]),
            Fine,
        ),
        (
            "extended without a path",
            connect(&[
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":authority", "a"),
            ]),
            Stream(PROTOCOL),
        ),
        (
            "a protocol for GET",
            connect(&[
                (":method", "GET"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "/"),
            ]),
            Stream(PROTOCOL),
        ),
    ] {
        assert_eq!(judge(&bytes), verdict, "{name}");
    }
}

#[test]
fn hpack_faults_end_the_connection() {
    let bad = |block: &[u8]| headers(1, flag::END_STREAM, &[GET, block].concat());
    check(&[
        (
            "2.3.3: static index 70",
            &[&bad(b"\xc6")],
            Conn(COMPRESSION),
        ),
        (
            "2.3.3: dynamic index 70 as a name",
            &[&bad(b"\x7f\x07\x01a")],
            Conn(COMPRESSION),
        ),
        (
            "4.2: size update at the end",
            &[&bad(b"\x21")],
            Conn(COMPRESSION),
        ),
        (
            "5.2: more than seven bits of padding",
            &[&bad(b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")],
            Conn(COMPRESSION),
        ),
        (
            "5.2: padding of zeros",
            &[&bad(
                b"\x00\x85\xf2\xb2\x4a\x87\xff\xff\xff\xfd\x25\x42\x7f",
            )],
            Conn(COMPRESSION),
        ),
        (
            "5.2: end of string",
            &[&bad(
                b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f",
            )],
            Conn(COMPRESSION),
        ),
        ("6.1: index 0", &[&bad(b"\x80")], Conn(COMPRESSION)),
        (
            "6.3: size above the limit",
            &[&headers(
                1,
                flag::END_STREAM,
                &[b"\x3f\xe2\x1f", GET].concat(),
            )],
            Conn(COMPRESSION),
        ),
    ]);
}
