//! Messages through two of our own machines, whatever the windows and however the bytes are cut; and what heads become.

mod support;

use plimsoll_wire::h1::{encode, request, response};
use plimsoll_wire::h2::frame::{kind, setting};
use plimsoll_wire::h2::{Code, Config, Connection, Event, Key, Read, Role};
use plimsoll_wire::head::{Framing, Head, Version};
use proptest::prelude::*;
use support::h2::{client, frame, frames, receive, server};

/// A head out of HTTP/1 text.
fn request_head(text: &str) -> Head {
    let mut head = Head::default();
    let parsed = request::parse(text.as_bytes(), &mut head, &h1_limits());
    assert!(matches!(parsed, Ok(request::Parse::Complete(_))), "{text}");
    head
}

fn response_head(text: &str, asked: response::Asked) -> Head {
    let mut head = Head::default();
    let parsed = response::parse(text.as_bytes(), &mut head, &h1_limits(), asked);
    assert!(matches!(parsed, Ok(request::Parse::Complete(_))), "{text}");
    head
}

fn h1_limits() -> plimsoll_wire::h1::Limits {
    plimsoll_wire::h1::Limits::default()
}

/// Moves what each has to say to the other, in pieces.
fn exchange(one: &mut Connection<u32>, other: &mut Connection<u32>, piece: usize) {
    loop {
        let (there, back) = (std::mem::take(one.output()), std::mem::take(other.output()));
        if there.is_empty() && back.is_empty() {
            return;
        }
        for bytes in there.chunks(piece) {
            receive(other, bytes).expect("no fault");
        }
        for bytes in back.chunks(piece) {
            receive(one, bytes).expect("no fault");
        }
        one.output_taken();
        other.output_taken();
    }
}

fn pair(config: Config) -> (Connection<u32>, Connection<u32>) {
    let (mut client, mut server) = (
        Connection::new(Role::Client, config),
        Connection::new(Role::Server, config),
    );
    exchange(&mut client, &mut server, usize::MAX);
    (client, server)
}

fn opened(server: &mut Connection<u32>) -> Key {
    std::iter::from_fn(|| server.next_event())
        .find_map(|event| match event {
            Event::Request(key) => Some(key),
            _ => None,
        })
        .expect("a request")
}

/// What a request becomes behind HTTP/2, as the text that HTTP/1 would carry on.
fn through(text: &str) -> String {
    let (mut client, mut server) = pair(Config::default());
    let head = request_head(text);
    client
        .open(&head, b"http", head.framing == Framing::None)
        .expect("room");
    exchange(&mut client, &mut server, usize::MAX);
    let key = opened(&mut server);
    let head = server.take_head(key).expect("a head");
    assert_eq!((head.version, head.keep_alive), (Version::H2, true));
    let connection = if head.upgrade {
        encode::Connection::Upgrade
    } else {
        encode::Connection::Implied
    };
    let mut out = Vec::new();
    encode::request(&head, connection, head.framing, &mut out);
    String::from_utf8(out).expect("text")
}

#[test]
fn requests_come_out_as_they_went_in() {
    for (text, expected) in [
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        (
            "GET /x?y=z HTTP/1.1\r\nHost: a:81\r\nUser-Agent: u\r\nX-A: b, c\r\n\r\n",
            "GET /x?y=z HTTP/1.1\r\nhost: a:81\r\nuser-agent: u\r\nx-a: b, c\r\n\r\n",
        ),
        (
            "GET http://b?q HTTP/1.1\r\nHost: b\r\n\r\n",
            "GET /?q HTTP/1.1\r\nhost: b\r\n\r\n",
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        (
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nConnection: keep-alive\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\nExpect: 100-continue\r\n\r\n",
            "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 7\r\nexpect: 100-continue\r\n\r\n",
        ),
        (
            "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            "GET /chat HTTP/1.1\r\nhost: a\r\nsec-websocket-version: 13\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        ),
    ] {
        assert_eq!(through(text), expected);
    }
}

#[test]
fn crumbs_of_cookies_become_one_field() {
    let mut server = server(Config::default());
    let crumbs = b"\x82\x86\x84\x41\x01a\x00\x06cookie\x03a=b\x00\x01x\x01y\x00\x06cookie\x03c=d\x00\x06cookie\x03e=f";
    receive(&mut server, &support::h2::headers(1, 1, crumbs)).expect("a request");
    let key = opened(&mut server);
    let head = server.take_head(key).expect("a head");
    let fields: Vec<_> = head
        .fields()
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    let expected: &[(&[u8], &[u8])] =
        &[(b"host", b"a"), (b"cookie", b"a=b; c=d; e=f"), (b"x", b"y")];
    assert_eq!(
        fields,
        expected
            .iter()
            .map(|(n, v)| (n.to_vec(), v.to_vec()))
            .collect::<Vec<_>>()
    );
}

/// The status, framing and fields that a response has behind HTTP/2.
fn answered(method: &str, text: &str, end: bool) -> (u16, Framing, Vec<String>) {
    let (mut client, mut server) = pair(Config::default());
    let asked = request_head(&format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
    let stream = client.open(&asked, b"http", true).expect("room");
    exchange(&mut client, &mut server, usize::MAX);
    let key = opened(&mut server);
    server.send_head(key, &response_head(text, response::Asked::by(&asked)), end);
    exchange(&mut client, &mut server, usize::MAX);
    let head = client.take_head(stream).expect("a head");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields = head
        .fields()
        .map(|(name, value)| format!("{}: {}", text(name), text(value)));
    (head.status, head.framing, fields.collect())
}

#[test]
fn responses_come_out_as_they_went_in() {
    for (method, text, end, status, framing, fields) in [
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
            false,
            200,
            Framing::Length(5),
            vec!["content-length: 5"],
        ),
        (
            "GET",
            "HTTP/1.1 299 Odd\r\nTransfer-Encoding: chunked\r\n\r\n",
            false,
            299,
            Framing::Chunked,
            vec![],
        ),
        (
            "GET",
            "HTTP/1.1 404 No\r\nServer: s\r\n\r\n",
            true,
            404,
            Framing::Length(0),
            vec!["server: s"],
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            true,
            200,
            Framing::None,
            vec!["content-length: 5"],
        ),
        (
            "GET",
            "HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n",
            true,
            304,
            Framing::None,
            vec!["content-length: 5"],
        ),
        (
            "GET",
            "HTTP/1.1 204 None\r\n\r\n",
            true,
            204,
            Framing::None,
            vec![],
        ),
        (
            "GET",
            "HTTP/1.1 103 Early\r\nLink: l\r\n\r\n",
            true,
            103,
            Framing::None,
            vec!["link: l"],
        ),
    ] {
        let fields: Vec<String> = fields.into_iter().map(str::to_owned).collect();
        assert_eq!(
            answered(method, text, end),
            (status, framing, fields),
            "{text}"
        );
    }
}

#[test]
fn an_extended_connect_is_an_upgrade_and_back() {
    let (mut client, mut server) = pair(Config::default());
    let text = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let asked = request_head(text);
    assert!(client.peer_connects());
    let stream = client.open(&asked, b"http", true).expect("room");
    exchange(&mut client, &mut server, usize::MAX);
    let key = opened(&mut server);
    assert!(!server.is_read_out(key), "the tunnel is open");
    let switch = "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: p\r\n\r\n";
    server.send_head(
        key,
        &response_head(switch, response::Asked::by(&asked)),
        true,
    );
    assert_eq!(server.send_data(key, b"pong", false), 4);
    assert_eq!(client.send_data(stream, b"ping", false), 4);
    exchange(&mut client, &mut server, usize::MAX);
    let head = client.take_head(stream).expect("a head");
    let fields: Vec<_> = head.fields().map(|(name, _)| name.to_vec()).collect();
    assert_eq!(
        (head.status, head.upgrade, fields),
        (101, true, vec![b"sec-websocket-protocol".to_vec()])
    );
    let mut buffer = [0; 9];
    assert_eq!(
        client.read(stream, &mut buffer),
        Read::Data {
            bytes: 4,
            end: false
        }
    );
    assert_eq!(
        server.read(key, &mut buffer),
        Read::Data {
            bytes: 4,
            end: false
        }
    );
}

#[test]
fn trailers_end_a_message() {
    let (mut client, mut server) = pair(Config::default());
    let asked = request_head("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let stream = client.open(&asked, b"http", false).expect("room");
    let mut trailers = Head::default();
    trailers.add(b"grpc-status", b"0");
    assert_eq!(client.send_data(stream, b"abc", false), 3);
    client.send_trailers(stream, &trailers);
    exchange(&mut client, &mut server, 5);
    let key = opened(&mut server);
    assert!(server.take_trailers(key).is_none(), "the data comes first");
    let mut buffer = [0; 9];
    assert_eq!(
        server.read(key, &mut buffer),
        Read::Data {
            bytes: 3,
            end: true
        }
    );
    let trailers = server.take_trailers(key).expect("trailers");
    let known = trailers.value(b"grpc-status");
    assert_eq!(known, Some(&b"0"[..]));
}

#[test]
fn long_heads_are_cut_into_several_frames() {
    let (mut client, mut server) = pair(Config::default());
    let mut asked = request_head("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for index in 0..2 {
        assert!(asked.add(format!("x-{index}").as_bytes(), &[b'v'; 14_000]));
    }
    client.open(&asked, b"http", true).expect("room");
    let sent = frames(client.output());
    assert!(sent.len() == 2 && sent[1].0.kind == kind::CONTINUATION);
    // It is more than the server takes, which it says.
    exchange(&mut client, &mut server, usize::MAX);
    assert!(matches!(server.next_event(), Some(Event::Rejected(_, 431))));
    assert!(client.output().is_empty());
}

#[test]
fn a_head_beyond_the_limits_is_answered() {
    let (mut client, mut server) = pair(Config::default());
    let mut asked = request_head("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    asked.add(b"x", &[b'v'; 15_360]);
    let stream = client.open(&asked, b"http", true).expect("room");
    exchange(&mut client, &mut server, usize::MAX);
    assert_eq!(client.take_head(stream).map(|head| head.status), Some(431));
    // The connection and its tables are sound.
    client.release(stream);
    client
        .open(
            &request_head("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            b"http",
            true,
        )
        .expect("room");
    exchange(&mut client, &mut server, usize::MAX);
    opened(&mut server);
}

#[test]
fn what_is_only_wrong_to_http_is_answered_in_http() {
    let scheme = b"\x82\x84\x41\x01a\x06\x0ahttp://a/?\x00";
    let preface = b"\x02\x03PRI\x86\x04\x01*\x41\x01a";
    let method = b"\x02\x04A /b\x86\x84\x41\x01a";
    for block in [&scheme[..scheme.len() - 1], preface, method] {
        let mut server = server(Config::default());
        receive(&mut server, &support::h2::headers(1, 1, block)).expect("the connection is sound");
        let sent = frames(server.output());
        assert_eq!((sent.len(), sent[0].0.kind), (1, kind::HEADERS));
        assert_eq!(sent[0].1, [0x8c], "400");
    }
}

#[test]
fn an_upload_may_fill_a_share_of_the_connections_window() {
    let mut server = server(Config::default());
    receive(&mut server, &support::h2::headers(1, 0, b"\x83\x86\x84")).expect("a request");
    let sent = frames(server.output());
    let more = 4_u32.pow(9) - 65_536;
    assert_eq!(sent[0].0.kind, kind::WINDOW_UPDATE);
    assert_eq!(sent[0].1, more.to_be_bytes());
}

/// One side sends as much as it may before it hears of the other; how much that has to read then.
fn pour(
    (sender, out): (&mut Connection<u32>, Key),
    (reader, stream): (&mut Connection<u32>, Key),
) -> usize {
    let (body, mut buffer) = (vec![b'x'; 1 << 20], vec![0; 1 << 20]);
    while sender.send_data(out, &body, false) > 0 {
        let sent = std::mem::take(sender.output());
        receive(reader, &sent).expect("within the window");
        sender.output_taken();
    }
    let mut unread = 0;
    while let Read::Data {
        bytes: count @ 1.., ..
    } = reader.read(stream, &mut buffer)
    {
        unread += count;
    }
    unread
}

/// However small the windows are that streams begin with, an upload may fill a quarter of the connection's in each
/// round trip, and never lies here with more than that.
#[test]
fn uploads_through_small_windows_are_as_fast_as_others() {
    const UPLOAD_BYTES: usize = 4 << 20;
    let round_trips = |window_bytes: u32| {
        let config = Config {
            window_bytes,
            ..Config::default()
        };
        let share = (config.connection_window_bytes / 4).max(window_bytes) as usize;
        let (mut client, mut server) = pair(config);
        let asked =
            request_head("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let stream = client.open(&asked, b"http", false).expect("room");
        exchange(&mut client, &mut server, usize::MAX);
        let (key, mut taken, mut trips) = (opened(&mut server), 0, 0);
        while taken < UPLOAD_BYTES {
            let unread = pour((&mut client, stream), (&mut server, key));
            assert!((1..=share).contains(&unread), "{unread} of {share}");
            taken += unread;
            trips += 1;
            exchange(&mut client, &mut server, usize::MAX);
        }
        trips
    };
    for window_bytes in [1, 2, 100, 16_384, 65_535, 262_144] {
        // Sixteen quarters of the connection's window, and a rest.
        let trips = round_trips(window_bytes);
        assert!(trips <= 17, "{trips} with {window_bytes}");
    }
}

/// The twin of the above: however small the windows are that streams begin with, a download may fill a quarter of what the
/// connection has to spare in each round trip, and never lies here with more than that. Four may at once, where windows are small;
/// others have their windows, and the next one has a share again.
#[test]
fn downloads_through_small_windows_are_as_fast_as_others() {
    const DOWNLOAD_BYTES: usize = 4 << 20;
    for window_bytes in [1, 2, 100, 16_384, 65_535, 262_144] {
        let config = Config {
            window_bytes,
            spare_bytes: 1 << 20,
            ..Config::default()
        };
        let share = (config.spare_bytes / 4).max(window_bytes) as usize;
        let (mut client, mut server) = pair(config);
        let asked = request_head("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let begun = "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let begun = response_head(begun, response::Asked::default());
        let ask = |client: &mut Connection<u32>, server: &mut Connection<u32>| {
            let stream = client.open(&asked, b"http", true).expect("room");
            exchange(client, server, usize::MAX);
            let key = opened(server);
            server.send_head(key, &begun, false);
            exchange(client, server, usize::MAX);
            (stream, key)
        };
        let (stream, key) = ask(&mut client, &mut server);
        let (mut taken, mut trips) = (0, 0);
        while taken < DOWNLOAD_BYTES {
            let unread = pour((&mut server, key), (&mut client, stream));
            assert!((1..=share).contains(&unread), "{unread} of {share}");
            taken += unread;
            trips += 1;
            exchange(&mut client, &mut server, usize::MAX);
        }
        // Sixteen shares, and one for the connection's window, which begins with what everybody knows.
        assert!(trips <= 20, "{trips} with {window_bytes}");
        if window_bytes > 16_384 {
            continue;
        }
        let others: Vec<_> = (0..4).map(|_| ask(&mut client, &mut server)).collect();
        assert_eq!(server.room(others[2].1), 65_536, "the fourth");
        assert_eq!(server.room(others[3].1), window_bytes as usize, "the fifth");
        client.release(stream);
        let (_, next) = ask(&mut client, &mut server);
        assert_eq!(server.room(next), 65_536, "in place of the first");
    }
}

/// Streams that wait for the connection's window, or for room in the output, have it in turn: a long download leaves half of it to a
/// short one.
#[test]
fn streams_share_what_there_is() {
    for (window, taken_at_once) in [(100_u32, usize::MAX), (1 << 30, 1_000)] {
        let mut server = server(Config::default());
        let settings = [&[0, 4][..], &(1_u32 << 30).to_be_bytes()].concat();
        receive(&mut server, &frame(kind::SETTINGS, 0, 0, &settings)).expect("settings");
        let begun = "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let begun = response_head(begun, response::Asked::default());
        let mut keys = Vec::new();
        for id in [1, 3, 5] {
            receive(&mut server, &support::h2::headers(id, 0, b"\x82\x86\x84")).expect("a request");
            let key = opened(&mut server);
            server.set_owner(key, id);
            server.send_head(key, &begun, false);
            keys.push(key);
        }
        let body = vec![b'x'; 1 << 20];
        let mut sent = [0_usize; 3];
        // All of them want to send for ever, the first one first.
        for (count, key) in sent.iter_mut().zip(&keys) {
            *count += server.send_data(*key, &body, false);
        }
        if window > 65_535 {
            let update = frame(kind::WINDOW_UPDATE, 0, 0, &window.to_be_bytes());
            receive(&mut server, &update).expect("an update");
        }
        sent = [0; 3];
        for _ in 0..300 {
            let output = server.output();
            output.drain(..taken_at_once.min(output.len()));
            if window < 65_535 {
                let update = frame(kind::WINDOW_UPDATE, 0, 0, &window.to_be_bytes());
                receive(&mut server, &update).expect("an update");
            }
            server.output_taken();
            while let Some(event) = server.next_event() {
                let Event::Wake(id) = event else { continue };
                let at = id as usize / 2;
                sent[at] += server.send_data(keys[at], &body, false);
            }
        }
        let all: usize = sent.iter().sum();
        assert!(sent.iter().all(|count| count * 4 > all), "{sent:?}");
    }
}

/// RFC 9113 section 8.1: a server may answer in full and then refuse the rest of the request.
#[test]
fn an_answer_that_is_complete_survives_a_reset() {
    let mut client = client(Config::default());
    let asked = request_head("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let stream = client.open(&asked, b"http", false).expect("room");
    let answer = [
        support::h2::headers(1, 1, b"\x8c"),
        frame(kind::RST_STREAM, 0, 1, &0_u32.to_be_bytes()),
    ];
    receive(&mut client, &answer.concat()).expect("no fault");
    assert_eq!(client.take_head(stream).map(|head| head.status), Some(400));
    let nothing = Read::Data {
        bytes: 0,
        end: true,
    };
    assert_eq!(client.read(stream, &mut [0; 9]), nothing);
    assert_eq!(client.reset_code(stream), Some(Code::NO_ERROR));
}

#[test]
fn goaway_returns_what_was_not_looked_at() {
    let (mut client, mut server) = pair(Config::default());
    let asked = request_head("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let first = client.open(&asked, b"http", true).expect("room");
    exchange(&mut client, &mut server, usize::MAX);
    server.leave();
    let second = client.open(&asked, b"http", true).expect("room");
    exchange(&mut client, &mut server, usize::MAX);
    assert_eq!(
        (client.reset_code(first), client.reset_code(second)),
        (None, Some(Code::REFUSED_STREAM))
    );
    assert!(client.open(&asked, b"http", true).is_none());
    // The first is served to its end.
    let key = opened(&mut server);
    server.send_head(
        key,
        &response_head("HTTP/1.1 204 x\r\n\r\n", response::Asked::default()),
        true,
    );
    exchange(&mut client, &mut server, usize::MAX);
    assert_eq!(client.take_head(first).map(|head| head.status), Some(204));
}

#[test]
fn a_server_holds_back_what_the_window_does_not_take() {
    let mut server = server(Config::default());
    let window = [
        &setting::INITIAL_WINDOW_SIZE.to_be_bytes()[..],
        &3_u32.to_be_bytes(),
    ]
    .concat();
    receive(&mut server, &frame(kind::SETTINGS, 0, 0, &window)).expect("settings");
    receive(&mut server, &support::h2::headers(1, 1, b"\x82\x86\x84")).expect("a request");
    let key = opened(&mut server);
    server.set_owner(key, 7);
    server.send_head(
        key,
        &response_head(
            "HTTP/1.1 200 x\r\nContent-Length: 8\r\n\r\n",
            response::Asked::default(),
        ),
        false,
    );
    assert_eq!(
        (server.send_data(key, b"12345678", true), server.room(key)),
        (3, 0)
    );
    // RFC 9113 section 6.9.2: a lowered window goes below zero, and then has to be made up for.
    let lower = [
        &setting::INITIAL_WINDOW_SIZE.to_be_bytes()[..],
        &1_u32.to_be_bytes(),
    ]
    .concat();
    receive(&mut server, &frame(kind::SETTINGS, 0, 0, &lower)).expect("settings");
    receive(
        &mut server,
        &frame(kind::WINDOW_UPDATE, 0, 1, &2_u32.to_be_bytes()),
    )
    .expect("an update");
    assert_eq!(
        (server.next_event(), server.send_data(key, b"45678", true)),
        (Some(Event::Wake(7)), 0)
    );
    receive(
        &mut server,
        &frame(kind::WINDOW_UPDATE, 0, 1, &5_u32.to_be_bytes()),
    )
    .expect("an update");
    assert_eq!(
        (server.next_event(), server.send_data(key, b"45678", true)),
        (Some(Event::Wake(7)), 5)
    );
    let sent = frames(server.output());
    let data: Vec<_> = sent
        .iter()
        .filter(|(head, _)| head.kind == kind::DATA)
        .map(|(head, bytes)| (bytes.len(), head.flags))
        .collect();
    assert_eq!(data, [(3, 0), (5, 1)]);
}

#[test]
fn a_client_that_ignores_the_window_is_cut_off() {
    let config = Config {
        window_bytes: 10,
        connection_window_bytes: 0,
        ..Config::default()
    };
    let mut server = server(config);
    receive(&mut server, &support::h2::headers(1, 0, b"\x83\x86\x84")).expect("a request");
    let _ = receive(&mut server, &frame(kind::DATA, 0, 1, &[0; 11]));
    let sent = frames(server.output());
    assert!(
        sent.iter()
            .any(|(head, payload)| head.kind == kind::RST_STREAM
                && payload.as_slice() == 3_u32.to_be_bytes())
    );
}

#[test]
fn tunnels_by_extended_connect_are_offered_unless_they_are_hidden() {
    for extended_connect in [true, false] {
        let config = Config {
            extended_connect,
            ..Config::default()
        };
        let mut server = Connection::<u32>::new(Role::Server, config);
        let sent = frames(server.output());
        let (_, settings) = sent
            .iter()
            .find(|(head, _)| head.kind == kind::SETTINGS)
            .expect("settings");
        let offered = settings.chunks(6).any(|pair| pair[..2] == [0, 8]);
        assert_eq!(offered, extended_connect);
    }
}

#[test]
fn responses_are_judged_too() {
    let asked = request_head("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for (name, block, flags) in [
        ("no status", &b"\x00\x01x\x01y"[..], 0),
        ("a request", b"\x82\x86\x84", 0),
        ("101", b"\x08\x03101", 0),
        ("two digits", b"\x08\x0220", 0),
        ("status 000", b"\x08\x03000", 0),
        ("interim that ends", b"\x08\x03103", 1),
        ("connection field", b"\x88\x00\x0aconnection\x05close", 0),
    ] {
        let mut client = client(Config::default());
        let stream = client.open(&asked, b"http", true).expect("room");
        client.output().clear();
        receive(&mut client, &support::h2::headers(1, flags, block))
            .expect("the connection is sound");
        assert!(
            client.take_head(stream).is_none()
                && client.reset_code(stream) == Some(Code::PROTOCOL_ERROR),
            "{name}"
        );
    }
    let mut client = client(Config::default());
    let stream = client.open(&asked, b"http", true).expect("room");
    let _ = receive(&mut client, &frame(kind::DATA, 0, 1, b"x"));
    assert_eq!(
        client.reset_code(stream),
        Some(Code::PROTOCOL_ERROR),
        "data without a head"
    );
}

/// One request or response, as a property picks it.
#[derive(Clone, Debug)]
struct Plan {
    upload: usize,
    download: usize,
    trailers: bool,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan =
        (0..3_000_usize, 0..3_000_usize, any::<bool>()).prop_map(|(upload, download, trailers)| {
            Plan {
                upload,
                download,
                trailers,
            }
        });
    prop::collection::vec(plan, 1..8)
}

fn bytes(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + seed * 17) as u8).collect()
}

/// A side of a stream: what it still has to say, and what it has heard.
struct Side {
    key: Key,
    left: Vec<u8>,
    heard: Vec<u8>,
    ended: bool,
    trailers: bool,
}

impl Side {
    /// Says and hears what can be; `true` when there is nothing more of either.
    fn go_on(&mut self, connection: &mut Connection<u32>, step: usize) -> bool {
        if !self.left.is_empty() {
            let count = step.min(self.left.len());
            let taken = connection.send_data(
                self.key,
                &self.left[..count],
                !self.trailers && count == self.left.len(),
            );
            self.left.drain(..taken);
            if self.left.is_empty() && self.trailers {
                let mut head = Head::default();
                head.add(b"x-sum", b"1");
                connection.send_trailers(self.key, &head);
            }
        }
        let mut buffer = vec![0; step];
        if let Read::Data { bytes, end } = connection.read(self.key, &mut buffer) {
            self.heard.extend_from_slice(&buffer[..bytes]);
            self.ended |= end;
        }
        self.ended && self.left.is_empty()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bodies_arrive_whole_whatever_the_windows(
        plans in plans(),
        window in 1_u32..5_000,
        piece in 1_usize..400,
        step in 1_usize..900,
    ) {
        let config = Config { window_bytes: window, connection_window_bytes: 0, ..Config::default() };
        let (mut client, mut server) = pair(config);
        let mut clients = Vec::new();
        for (index, plan) in plans.iter().enumerate() {
            let head = request_head("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            let key = client.open(&head, b"http", plan.upload == 0).expect("room");
            clients.push(Side { key, left: bytes(index, plan.upload), heard: Vec::new(), ended: false, trailers: plan.trailers });
        }
        exchange(&mut client, &mut server, piece);
        let mut servers = Vec::new();
        while let Some(event) = server.next_event() {
            let Event::Request(key) = event else { continue };
            let plan = &plans[servers.len()];
            server.send_head(key, &response_head("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n", response::Asked::default()), plan.download == 0);
            servers.push(Side { key, left: bytes(servers.len() + 100, plan.download), heard: Vec::new(), ended: false, trailers: plan.trailers });
        }
        for _ in 0..200_000 {
            let mut done = true;
            for side in &mut clients { done &= side.go_on(&mut client, step); }
            for side in &mut servers { done &= side.go_on(&mut server, step); }
            exchange(&mut client, &mut server, piece);
            if done { break; }
        }
        for (index, (plan, (one, other))) in plans.iter().zip(clients.iter().zip(&servers)).enumerate() {
            prop_assert_eq!(&other.heard, &bytes(index, plan.upload));
            prop_assert_eq!(&one.heard, &bytes(index + 100, plan.download));
            prop_assert!(one.ended && other.ended);
            prop_assert_eq!(server.take_trailers(other.key).is_some(), plan.trailers && plan.upload > 0);
            client.release(one.key);
            server.release(other.key);
        }
        exchange(&mut client, &mut server, piece);
        prop_assert_eq!((client.open_streams(), server.open_streams()), (0, 0));
    }

    #[test]
    fn anything_at_all_is_survived(input in prop::collection::vec(any::<u8>(), 0..600)) {
        support::h2::read_h2_frames(&input);
        support::h2::read_h2_connection(&input);
        support::h2::read_hpack(&input);
    }
}

/// The head of a request of these fields, which are written without compression.
fn head_of(fields: &[(&str, &str)]) -> Head {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("a short text"));
            block.extend_from_slice(text.as_bytes());
        }
    }
    let (_, mut server) = pair(Config::default());
    receive(&mut server, &frame(kind::HEADERS, 5, 1, &block)).expect("no fault");
    let key = opened(&mut server);
    server.take_head(key).expect("a head")
}

#[test]
fn the_parts_of_a_target_are_one_for_those_who_ask() {
    for (scheme, authority, host, whole) in [
        ("https", "a.test", "a.test", "https://a.test/p?q"),
        ("https", "a.test:443", "a.test", "https://a.test/p?q"),
        ("http", "a.test:80", "a.test", "http://a.test/p?q"),
        ("http", "a.test:443", "a.test:443", "http://a.test:443/p?q"),
    ] {
        let head = head_of(&[
            (":method", "GET"),
            (":scheme", scheme),
            (":path", "/p?q"),
            (":authority", authority),
            ("host", "other.test"),
            ("x", " a\t"),
        ]);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        assert_eq!(text(&head.whole_target()), whole);
        assert_eq!(text(head.target()), "/p?q");
        let fields: Vec<_> = head
            .fields()
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        let expected = [("host", host), ("x", "a")];
        assert_eq!(
            fields,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
    let bare = head_of(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        ("host", "a"),
    ]);
    assert_eq!(&*bare.whole_target(), b"/");
}

#[test]
fn a_length_may_be_said_several_times_but_not_differently() {
    let head = head_of(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        ("content-length", "000, 00"),
    ]);
    assert_eq!(head.framing, Framing::Length(0));
}
