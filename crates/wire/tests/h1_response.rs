//! Response heads: framing by status, request and fields; junk refused.

use plimsoll_wire::h1::response::{Asked, Parse, ResponseError as R, parse};
use plimsoll_wire::h1::{HeadError as H, Limits, encode, request};
use plimsoll_wire::head::{Framing, Head, Version};

const LIMITS: Limits = Limits {
    bytes_max: 4_096,
    fields_max: 16,
    lenient: false,
    any_method_bodies: false,
    trusts_ambiguous: false,
};
const GET: Asked = Asked {
    head: false,
    connect: false,
    upgrade: false,
};
const HEAD: Asked = Asked { head: true, ..GET };
const CONNECT: Asked = Asked {
    connect: true,
    ..GET
};
const UPGRADE: Asked = Asked {
    upgrade: true,
    ..GET
};

fn accepted(input: &str, asked: Asked) -> Head {
    let mut head = Head::default();
    match parse(input.as_bytes(), &mut head, &LIMITS, asked) {
        Ok(Parse::Complete(length)) => assert_eq!(length, input.len(), "{input:?}"),
        other => panic!("{input:?}: {other:?}"),
    }
    head
}

fn forwarded(head: &Head, connection: encode::Connection, framing: Framing) -> String {
    let mut out = Vec::new();
    encode::response(head, connection, framing, &mut out);
    String::from_utf8(out).expect("test heads are text")
}

#[test]
fn a_plain_response_is_taken_apart() {
    let head = accepted(
        "HTTP/1.1 404 Not Found\r\nServer: x\r\nContent-Length: 3\r\n\r\n",
        GET,
    );
    assert_eq!(
        (head.status, head.reason(), head.version),
        (404, &b"Not Found"[..], Version::H11)
    );
    assert!(head.keep_alive && !head.upgrade);
    assert_eq!(head.framing, Framing::Length(3));
    assert_eq!(
        forwarded(&head, encode::Connection::Implied, head.framing),
        "HTTP/1.1 404 Not Found\r\nserver: x\r\ncontent-length: 3\r\n\r\n"
    );
}

#[test]
fn status_lines_may_lack_a_reason() {
    for line in ["HTTP/1.1 200", "HTTP/1.1 200 "] {
        let head = accepted(&format!("{line}\r\n\r\n"), GET);
        assert_eq!((head.status, head.reason()), (200, &b""[..]), "{line:?}");
        assert_eq!(
            forwarded(&head, encode::Connection::Close, Framing::UntilClose),
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
        );
    }
}

/// What was asked, the status and the framing fields; how the body ends, and whether the connection persists.
const ENDS: &[(Asked, &str, &str, Framing, bool)] = &[
    (GET, "200", "", Framing::UntilClose, false),
    (
        GET,
        "200",
        "Content-Length: 0\r\n",
        Framing::Length(0),
        true,
    ),
    (
        GET,
        "200",
        "Content-Length: 7\r\n",
        Framing::Length(7),
        true,
    ),
    (
        GET,
        "200",
        "Content-Length: 7, 7\r\nContent-Length: 7\r\n",
        Framing::Length(7),
        true,
    ),
    (
        GET,
        "200",
        "Transfer-Encoding: chunked\r\n",
        Framing::Chunked,
        true,
    ),
    (
        GET,
        "200",
        "Transfer-Encoding: chunked\r\nContent-Length: 7\r\n",
        Framing::Chunked,
        false,
    ),
    (
        GET,
        "200",
        "Content-Length: 7\r\nConnection: close\r\n",
        Framing::Length(7),
        false,
    ),
    (HEAD, "200", "Content-Length: 7\r\n", Framing::None, true),
    (HEAD, "200", "", Framing::None, true),
    (GET, "204", "", Framing::None, true),
    (GET, "204", "Content-Length: 7\r\n", Framing::None, true),
    (GET, "304", "Content-Length: 7\r\n", Framing::None, true),
    (GET, "100", "Content-Length: 7\r\n", Framing::None, true),
    (GET, "103", "", Framing::None, true),
    (
        CONNECT,
        "200",
        "Transfer-Encoding: chunked\r\n",
        Framing::None,
        true,
    ),
    (
        CONNECT,
        "407",
        "Content-Length: 7\r\n",
        Framing::Length(7),
        true,
    ),
    (
        GET,
        "999",
        "Content-Length: 7\r\n",
        Framing::Length(7),
        true,
    ),
];

#[test]
fn the_end_of_the_body_follows_rfc_9112_section_6_3() {
    for &(asked, status, fields, framing, keep_alive) in ENDS {
        let head = accepted(&format!("HTTP/1.1 {status} x\r\n{fields}\r\n"), asked);
        assert_eq!(
            (head.framing, head.keep_alive),
            (framing, keep_alive),
            "{status} {fields:?}"
        );
    }
    let head = accepted("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", GET);
    assert!(!head.keep_alive);
    let head = accepted(
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n",
        GET,
    );
    assert!(head.keep_alive);
    let head = accepted(
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
        GET,
    );
    assert!(!head.keep_alive);
}

#[test]
fn lengths_outlive_a_missing_body_only_where_they_mean_something() {
    for (asked, status, kept) in [
        (HEAD, "200", true),
        (GET, "304", true),
        (GET, "204", false),
        (GET, "100", false),
        (CONNECT, "200", false),
    ] {
        let head = accepted(
            &format!("HTTP/1.1 {status} x\r\nContent-Length: 7\r\n\r\n"),
            asked,
        );
        let text = forwarded(&head, encode::Connection::Implied, head.framing);
        assert_eq!(
            text.contains("content-length: 7\r\n"),
            kept,
            "{status}: {text}"
        );
    }
}

#[test]
fn the_framing_written_is_the_one_asked_for() {
    let length = accepted("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nA: b\r\n\r\n", GET);
    let chunked = accepted(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n",
        GET,
    );
    let cases = [
        (&length, Framing::Length(7), "content-length: 7\r\na: b\r\n"),
        (&length, Framing::Length(8), "a: b\r\ncontent-length: 8\r\n"),
        (
            &length,
            Framing::Chunked,
            "a: b\r\ntransfer-encoding: chunked\r\n",
        ),
        (&length, Framing::UntilClose, "a: b\r\n"),
        (
            &chunked,
            Framing::Chunked,
            "transfer-encoding: chunked\r\na: b\r\n",
        ),
        (&chunked, Framing::UntilClose, "a: b\r\n"),
        (
            &chunked,
            Framing::Length(0),
            "a: b\r\ncontent-length: 0\r\n",
        ),
    ];
    for (head, framing, fields) in cases {
        let text = forwarded(head, encode::Connection::Implied, framing);
        assert_eq!(
            text,
            format!("HTTP/1.1 200 OK\r\n{fields}\r\n"),
            "{framing:?}"
        );
    }
    let text = forwarded(&length, encode::Connection::KeepAlive, Framing::Length(7));
    assert!(text.ends_with("a: b\r\nconnection: keep-alive\r\n\r\n"));
}

#[test]
fn a_switch_of_protocols_must_have_been_asked_for() {
    let input = "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 3\r\n\r\n";
    let head = accepted(input, UPGRADE);
    assert!(head.upgrade && head.framing == Framing::None);
    assert_eq!(
        forwarded(&head, encode::Connection::Upgrade, Framing::None),
        "HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n"
    );
    let mut head = Head::default();
    for (input, asked) in [(input, GET), ("HTTP/1.1 101 x\r\n\r\n", UPGRADE)] {
        assert_eq!(
            parse(input.as_bytes(), &mut head, &LIMITS, asked),
            Err(R::UnexpectedSwitch)
        );
    }
    let head = accepted(
        "HTTP/1.1 426 x\r\nUpgrade: foo\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n",
        UPGRADE,
    );
    assert!(!head.upgrade);
    assert!(
        forwarded(&head, encode::Connection::Implied, head.framing).contains("upgrade: foo\r\n")
    );
}

#[test]
fn what_was_asked_is_read_off_the_request() {
    let mut head = Head::default();
    for (line, asked) in [("GET /", GET), ("HEAD /", HEAD), ("CONNECT a:1", CONNECT)] {
        let input = format!("{line} HTTP/1.1\r\n\r\n");
        assert!(request::parse(input.as_bytes(), &mut head, &LIMITS).is_ok());
        assert_eq!(Asked::by(&head), asked);
    }
}

/// Heads that are refused: why, and how they look.
const JUNK: &[(R, &[&str])] = &[
    (
        R::InvalidVersion,
        &[
            "junk",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
        ],
    ),
    (
        R::InvalidStatus,
        &[
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 +20 OK\r\n\r\n",
            "HTTP/1.1 200OK\r\n\r\n",
        ],
    ),
    (R::InvalidReason, &["HTTP/1.1 200 O\x01K\r\n\r\n"]),
    (
        R::Head(H::BareLineFeed),
        &["HTTP/1.1 200 OK\n\r\n", "HTTP/1.1 200 OK\r\nA: b\n\r\n"],
    ),
    (
        R::Head(H::FoldedLine),
        &["HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"],
    ),
    (
        R::Head(H::SpaceBeforeColon),
        &["HTTP/1.1 200 OK\r\nA : b\r\n\r\n"],
    ),
    (
        R::Head(H::ConflictingContentLengths),
        &["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"],
    ),
    (
        R::Head(H::InvalidContentLength),
        &["HTTP/1.1 204 OK\r\nContent-Length: x\r\n\r\n"],
    ),
    (
        R::Head(H::ChunkedTwice),
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"],
    ),
    (
        R::Head(H::ChunkedNotLast),
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip, chunked\r\n\r\n"],
    ),
    (
        R::Head(H::ChunkedMissing),
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"],
    ),
    (
        R::Head(H::UnknownTransferEncoding),
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"],
    ),
];

#[test]
fn junk_is_refused() {
    for (error, inputs) in JUNK {
        for input in *inputs {
            let mut head = Head::default();
            assert_eq!(
                parse(input.as_bytes(), &mut head, &LIMITS, GET),
                Err(*error),
                "{input:?}"
            );
        }
        assert_eq!(error.status(), 502);
        assert!(error.to_string().len() > 10 && !error.name().is_empty());
    }
}
