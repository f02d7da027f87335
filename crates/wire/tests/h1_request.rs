//! Request heads: what is accepted and what becomes of it, what is refused and why.

use std::collections::HashSet;

use plimsoll_wire::h1::request::{Parse, RequestError as R, parse};
use plimsoll_wire::h1::{HeadError as H, Limits, encode, has_news};
use plimsoll_wire::head::{Framing, Head, Version};

const STRICT: Limits = Limits {
    bytes_max: 4_096,
    fields_max: 16,
    lenient: false,
    any_method_bodies: false,
    trusts_ambiguous: false,
};
const LENIENT: Limits = Limits {
    lenient: true,
    ..STRICT
};

fn whole(input: &str, limits: &Limits) -> Result<Head, R> {
    let mut head = Head::default();
    match parse(input.as_bytes(), &mut head, limits)? {
        Parse::Complete(length) => assert_eq!(length, input.len(), "{input:?}"),
        Parse::Partial => panic!("{input:?} is taken for incomplete"),
    }
    Ok(head)
}

fn accepted(input: &str) -> Head {
    whole(input, &STRICT).unwrap_or_else(|error| panic!("{input:?}: {error}"))
}

/// The head as it would be forwarded on a connection that persists.
fn forwarded(head: &Head) -> String {
    let mut out = Vec::new();
    let connection = if head.upgrade {
        encode::Connection::Upgrade
    } else {
        encode::Connection::Implied
    };
    encode::request(head, connection, head.framing, &mut out);
    String::from_utf8(out).expect("test heads are text")
}

#[test]
fn a_plain_request_is_taken_apart() {
    let input = "POST /a?b HTTP/1.1\r\nHost: Example.org\r\nX-One:  two words \t\r\nEmpty:\r\nContent-Length: 5\r\n\r\nhello";
    let mut head = Head::default();
    assert_eq!(
        parse(input.as_bytes(), &mut head, &STRICT),
        Ok(Parse::Complete(input.len() - 5))
    );
    assert_eq!(head.method(), b"POST");
    assert_eq!(head.target(), b"/a?b");
    assert_eq!(head.version, Version::H11);
    assert_eq!(head.framing, Framing::Length(5));
    assert!(head.keep_alive && !head.upgrade && !head.expect_continue && head.status == 0);
    let fields: Vec<_> = head.fields().collect();
    let expected: [(&[u8], &[u8]); 4] = [
        (b"host", b"Example.org"),
        (b"x-one", b"two words"),
        (b"empty", b""),
        (b"content-length", b"5"),
    ];
    assert_eq!(fields, expected);
    assert_eq!(head.value(b"X-ONE"), Some(&b"two words"[..]));
}

/// What is sent, and what is forwarded.
const FORWARDED: &[(&str, &str)] = &[
    (
        "GET / HTTP/1.0\r\nA:b\r\nC: d  \r\nE:\tf\r\n\r\n",
        "GET / HTTP/1.0\r\na: b\r\nc: d\r\ne: f\r\n\r\n",
    ),
    ("GET   /a  HTTP/1.1\r\n\r\n", "GET /a HTTP/1.1\r\n\r\n"),
    (
        "GET / HTTP/1.1\r\nConnection: close\r\nA: b\r\n\r\n",
        "GET / HTTP/1.1\r\na: b\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nKeep-Alive: 3\r\nProxy-Connection: x\r\nA: b\r\n\r\n",
        "GET / HTTP/1.1\r\na: b\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nA: b\r\nConnection: close, Foo ,keep-alive, bar\r\nFoo: 1\r\n\r\n",
        "GET / HTTP/1.1\r\na: b\r\nconnection: Foo,bar\r\nfoo: 1\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nTE: gzip, trailers\r\nA: b\r\n\r\n",
        "GET / HTTP/1.1\r\nte: trailers\r\na: b\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nTE: trailers;q=0.5\r\nA: b\r\n\r\n",
        "GET / HTTP/1.1\r\na: b\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nUpgrade: h2c, foo\r\nConnection: Upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\nupgrade: foo\r\nconnection: Upgrade\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nUpgrade: foo\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nConnection: upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
    ),
    (
        "GET / HTTP/1.0\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ),
    (
        "POST / HTTP/1.1\r\nContent-Length: 3, 3\r\nContent-Length: 003\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n",
    ),
    (
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: Chunked\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
    ),
    (
        "CONNECT a:81 HTTP/1.1\r\nContent-Length: 3\r\n\r\n",
        "CONNECT a:81 HTTP/1.1\r\n\r\n",
    ),
    ("\r\n\r\nGET / HTTP/1.9\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"),
];

#[test]
fn what_is_forwarded_is_what_was_sent_but_for_this_hop() {
    for (input, output) in FORWARDED {
        assert_eq!(forwarded(&accepted(input)), *output, "{input:?}");
    }
}

#[test]
fn persistence_follows_version_and_connection() {
    for (version, connection, keep_alive) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: x, CLOSE\r\n", false),
        (
            "1.1",
            "Connection: close\r\nConnection: keep-alive\r\n",
            false,
        ),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        (
            "1.1",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            false,
        ),
        (
            "1.0",
            "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
            false,
        ),
    ] {
        let input = format!("POST / HTTP/{version}\r\n{connection}\r\n");
        assert_eq!(accepted(&input).keep_alive, keep_alive, "{input:?}");
    }
}

#[test]
fn expectations_are_seen_in_http_1_1() {
    for (version, expect, expected) in [
        ("1.1", "100-Continue", true),
        ("1.0", "100-continue", false),
        ("1.1", "200-ok", false),
    ] {
        let input =
            format!("POST / HTTP/{version}\r\nExpect: {expect}\r\nContent-Length: 1\r\n\r\n");
        assert_eq!(accepted(&input).expect_continue, expected, "{input:?}");
    }
}

#[test]
fn web_socket_handshakes_need_a_key() {
    let ask = "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n";
    let head = accepted(&format!(
        "{ask}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ));
    assert!(head.upgrade);
    assert!(forwarded(&head).contains("\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"));
    assert_eq!(
        whole(&format!("{ask}\r\n"), &STRICT).err(),
        Some(R::InvalidWebSocketKey)
    );
    assert!(whole(&format!("{ask}\r\n"), &LENIENT).is_ok());
}

/// Heads that are refused: why, with which status, and how they look.
const FAULTS: &[(R, u16, &[&str])] = &[
    (
        R::Head(H::BareLineFeed),
        400,
        &[
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "\nGET / HTTP/1.1\r\n\r\n",
        ],
    ),
    (
        R::Head(H::BareCarriageReturn),
        400,
        &[
            "GET / HTTP/1.1\rHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
            "GET / HTTP/1.1\r\n\rA: b\r\n\r\n",
        ],
    ),
    (
        R::Head(H::FoldedLine),
        400,
        &[
            "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
            "GET / HTTP/1.1\r\nA:\r\n\tc\r\n\r\n",
            "GET / HTTP/1.1\r\n A: b\r\n\r\n",
        ],
    ),
    (
        R::Head(H::NulByte),
        400,
        &[
            "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n",
            "GET / HTTP/1.1\r\nA\0: b\r\n\r\n",
        ],
    ),
    (
        R::Head(H::ControlByte),
        400,
        &[
            "GET / HTTP/1.1\r\nA: b\x01c\r\n\r\n",
            "GET / HTTP/1.1\r\nA: 123456789\x7f\r\n\r\n",
        ],
    ),
    (
        R::Head(H::EmptyName),
        400,
        &["GET / HTTP/1.1\r\n: b\r\n\r\n"],
    ),
    (
        R::Head(H::SpaceBeforeColon),
        400,
        &["GET / HTTP/1.1\r\nA : b\r\n\r\n"],
    ),
    (
        R::Head(H::InvalidName),
        400,
        &[
            "GET / HTTP/1.1\r\nA(: b\r\n\r\n",
            "GET / HTTP/1.1\r\n\u{e9}: b\r\n\r\n",
        ],
    ),
    (
        R::Head(H::MissingColon),
        400,
        &["GET / HTTP/1.1\r\nA\r\n\r\n"],
    ),
    (
        R::InvalidRequestLine,
        400,
        &[
            "GET \t/ HTTP/1.1\r\n\r\n",
            "GET / \tHTTP/1.1\r\n\r\n",
            "GET \r\n\r\n",
        ],
    ),
    (
        R::InvalidMethod,
        400,
        &[
            "GET\t/ HTTP/1.1\r\n\r\n",
            " GET / HTTP/1.1\r\n\r\n",
            "G(T / HTTP/1.1\r\n\r\n",
            "\x16\x03\x01",
            "GET\r\n\r\n",
        ],
    ),
    (
        R::InvalidTarget,
        400,
        &[
            "GET /a\tb HTTP/1.1\r\n\r\n",
            "GET /a\x01b HTTP/1.1\r\n\r\n",
            "GET /\u{e9} HTTP/1.1\r\n\r\n",
        ],
    ),
    (R::FragmentInTarget, 400, &["GET /a#b HTTP/1.1\r\n\r\n"]),
    (R::MissingVersion, 400, &["GET /a\r\n\r\n"]),
    (
        R::InvalidVersion,
        400,
        &[
            "GET /a b HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1 \r\n\r\n",
            "GET / HTTP/1.10\r\n\r\n",
            "GET / http/1.1\r\n\r\n",
            "GET / HTTP/1\r\n\r\n",
            "GET / \r\n\r\n",
        ],
    ),
    (
        R::UnsupportedVersion,
        505,
        &[
            "GET / HTTP/2.0\r\n\r\n",
            "GET / HTTP/0.9\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ],
    ),
    (
        R::Head(H::InvalidContentLength),
        400,
        &[
            "POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3,\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3 3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n",
        ],
    ),
    (
        R::Head(H::ConflictingContentLengths),
        400,
        &[
            "POST / HTTP/1.1\r\nContent-Length: 3, 4\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        ],
    ),
    (
        R::Head(H::InvalidTransferEncoding),
        400,
        &[
            "POST / HTTP/1.1\r\nTransfer-Encoding:\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked,\r\n\r\n",
        ],
    ),
    (
        R::Head(H::ChunkedTwice),
        400,
        &[
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        ],
    ),
    (
        R::Head(H::ChunkedNotLast),
        400,
        &[
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip, chunked\r\n\r\n",
        ],
    ),
    (
        R::Head(H::ChunkedMissing),
        400,
        &[
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
        ],
    ),
    (
        R::Head(H::UnknownTransferEncoding),
        422,
        &["POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"],
    ),
    (
        R::UnexpectedBody,
        413,
        &[
            "GET / HTTP/1.0\r\nContent-Length: 1\r\n\r\n",
            "DELETE / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        ],
    ),
    (
        R::InvalidHost,
        400,
        &[
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
        ],
    ),
    (
        R::ConflictingHosts,
        400,
        &["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
    ),
    (
        R::WrongTargetForm,
        400,
        &[
            "GET a HTTP/1.1\r\n\r\n",
            "GET a:80 HTTP/1.1\r\n\r\n",
            "GET * HTTP/1.1\r\n\r\n",
            "OPTIONS */x HTTP/1.1\r\n\r\n",
            "CONNECT / HTTP/1.1\r\n\r\n",
            "CONNECT http://a:80 HTTP/1.1\r\n\r\n",
        ],
    ),
    (
        R::InvalidAuthority,
        400,
        &[
            "GET a/b HTTP/1.1\r\n\r\n",
            "CONNECT a HTTP/1.1\r\n\r\n",
            "CONNECT a: HTTP/1.1\r\n\r\n",
            "GET http://a,b/ HTTP/1.1\r\n\r\n",
        ],
    ),
    (
        R::HostMismatch,
        400,
        &[
            "CONNECT a:80 HTTP/1.1\r\nHost: b:80\r\n\r\n",
            "CONNECT a:8080 HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT a:80 HTTP/1.1\r\nHost: a:443\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
            "GET http://a:80/ HTTP/1.1\r\nHost: a:81\r\n\r\n",
            "GET http://a:8080/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET https://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    ),
];

#[test]
fn faults_are_told_apart() {
    let mut names = HashSet::new();
    for (error, status, inputs) in FAULTS {
        for input in *inputs {
            let mut head = Head::default();
            assert_eq!(
                parse(input.as_bytes(), &mut head, &STRICT),
                Err(*error),
                "{input:?}"
            );
        }
        assert_eq!(error.status(), *status, "{error:?}");
        assert!(
            names.insert(error.name()),
            "two errors are called {}",
            error.name()
        );
        assert!(error.to_string().len() > 10, "{error:?}");
    }
}

#[test]
fn hosts_are_normalized_against_targets() {
    // method and target, host ─► target, host
    let cases = [
        ("GET http://u:p@h:80/a", "h:80", "http://u:p@h/a", "h"),
        ("GET http://h:8080/a", "h:8080", "http://h:8080/a", "h:8080"),
        ("GET https://h:443/a", "H:443", "https://h/a", "h"),
        ("GET https://h:80/a", "h:80", "https://h:80/a", "h:80"),
        ("GET http://h:80/a", "h", "http://h/a", "h"),
        ("GET http://h/a", "h:80", "http://h/a", "h:80"),
        ("GET http://h:/a", "h", "http://h/a", "h"),
        ("GET http://h/a", "h:", "http://h/a", "h:"),
        ("GET http://:", ":80", "http:///", ""),
        ("GET http://h", "h", "http://h/", "h"),
        ("GET http://h:81", "h:81", "http://h:81/", "h:81"),
        ("GET http://h?a=b", "h", "http://h?a=b", "h"),
        ("GET http://h:80?c=d", "h:80", "http://h?c=d", "h"),
        ("OPTIONS http://h", "h", "http://h", "h"),
        ("OPTIONS http://h:80", "h", "http://h", "h"),
        ("OPTIONS *", "h", "*", "h"),
        ("GET /x", "h:80", "/x", "h:80"),
        ("GET /x", "", "/x", ""),
        ("CONNECT h:80", "h:80", "h:80", "h"),
        ("CONNECT h:80", "h", "h:80", "h"),
        ("CONNECT h:443", "h:", "h:443", "h:"),
        ("CONNECT h:8443", "h:8443", "h:8443", "h:8443"),
        ("CONNECT [::1]:443", "[::1]", "[::1]:443", "[::1]"),
    ];
    for (line, host, target, normal) in cases {
        let head = accepted(&format!("{line} HTTP/1.1\r\nhost: {host}\r\na: b\r\n\r\n"));
        let method = line.split(' ').next().unwrap_or_default();
        assert_eq!(
            forwarded(&head),
            format!("{method} {target} HTTP/1.1\r\nhost: {normal}\r\na: b\r\n\r\n"),
            "{line} {host}"
        );
    }
    let head = accepted("GET / HTTP/1.1\r\nHost: a\r\nHOST: A\r\nhost: a\r\n\r\n");
    assert_eq!(forwarded(&head), "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
}

#[test]
fn lenience_repairs_and_never_forwards_the_doubtful() {
    let cases = [
        ("GET / HTTP/1.1\nA: b\n\n", "GET / HTTP/1.1\r\na: b\r\n\r\n"),
        (
            "GET / HTTP/1.1\nA: b \nC: d\r\n\n",
            "GET / HTTP/1.1\r\na: b\r\nc: d\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n",
            "GET / HTTP/1.1\r\na: b  \tc\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nA:\r\n  b\r\n\r\n",
            "GET / HTTP/1.1\r\na: b\r\n\r\n",
        ),
        ("GET \t /a \tHTTP/1.1\r\n\r\n", "GET /a HTTP/1.1\r\n\r\n"),
        (
            "GET /a#b\u{e9} HTTP/1.1\r\n\r\n",
            "GET /a#b\u{e9} HTTP/1.1\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nTransfer-Encoding : chunked\r\nA: b\r\n\r\n",
            "GET / HTTP/1.1\r\na: b\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nA(b): c\r\nD: e\r\n\r\n",
            "GET / HTTP/1.1\r\nd: e\r\n\r\n",
        ),
        (
            "GET http://a#b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a#b HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        (
            "GET http://a@b HTTP/1.1\r\nHost: c\r\n\r\n",
            "GET http://a@b HTTP/1.1\r\nhost: c\r\n\r\n",
        ),
        (
            "GET http://b\u{e9}?c HTTP/1.1\r\nHost: b\r\n\r\n",
            "GET http://b\u{e9}?c HTTP/1.1\r\nhost: b\r\n\r\n",
        ),
        ("GET /old\r\n", "GET /old HTTP/1.0\r\n\r\n"),
    ];
    for (input, output) in cases {
        let head = whole(input, &LENIENT).unwrap_or_else(|error| panic!("{input:?}: {error}"));
        assert_eq!(forwarded(&head), output, "{input:?}");
        assert!(
            whole(input, &STRICT).is_err(),
            "{input:?} is acceptable as it is"
        );
    }
    for input in [
        "GET / HTTP/1.1\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nA\r\n\r\n",
        "POST /old\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 3, 4\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    ] {
        assert!(whole(input, &LENIENT).is_err(), "{input:?}");
    }
}

#[test]
fn limits_hold_at_their_edges() {
    let mut head = Head::default();
    let fields = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert!(matches!(
        parse(fields(16).as_bytes(), &mut head, &STRICT),
        Ok(Parse::Complete(_))
    ));
    let error = parse(fields(17).as_bytes(), &mut head, &STRICT).expect_err("one field too many");
    assert_eq!((error, error.status()), (R::Head(H::TooManyFields), 400));

    let padded = |bytes: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(bytes - 23));
    assert!(matches!(
        parse(padded(4_096).as_bytes(), &mut head, &STRICT),
        Ok(Parse::Complete(4_096))
    ));
    let error = parse(padded(4_097).as_bytes(), &mut head, &STRICT).expect_err("one byte too many");
    assert_eq!((error, error.status()), (R::Head(H::TooLong), 431));
    assert_eq!(
        parse(&padded(4_097).as_bytes()[..4_095], &mut head, &STRICT),
        Ok(Parse::Partial)
    );

    // Blank lines count: a buffer of the limit's size can never be full of a partial head.
    let blank = format!("\r\n{}", padded(4_095));
    assert_eq!(
        parse(blank.as_bytes(), &mut head, &STRICT),
        Err(R::Head(H::TooLong))
    );

    let long = format!("GET /{}", "x".repeat(4_091));
    let error = parse(long.as_bytes(), &mut head, &STRICT).expect_err("no end in sight");
    assert_eq!((error, error.status()), (R::Head(H::StartLineTooLong), 414));

    let blank = "\r\n".repeat(40) + "GET / HTTP/1.1\r\n\r\n";
    assert_eq!(
        parse(blank.as_bytes(), &mut head, &STRICT),
        Err(R::Head(H::TooManyBlankLines))
    );
}

#[test]
fn a_trickling_head_is_parsed_once_per_line() {
    let input = format!("GET / HTTP/1.1\r\n{}\r\n", "Name: value\r\n".repeat(15));
    let (mut head, mut passes, mut scanned) = (Head::default(), 0, 0);
    for end in 1..=input.len() {
        let seen = &input.as_bytes()[..end];
        if !has_news(seen, scanned, &STRICT) {
            continue;
        }
        passes += 1;
        scanned = end;
        let parse = parse(seen, &mut head, &STRICT);
        assert_eq!(
            parse,
            Ok(if end == input.len() {
                Parse::Complete(end)
            } else {
                Parse::Partial
            })
        );
    }
    assert_eq!(passes, 1 + 17, "the first byte, and each line end");
}

#[test]
fn limits_vouch_for_old_peers() {
    let bodies = Limits {
        any_method_bodies: true,
        ..STRICT
    };
    let old = "GET / HTTP/1.0\r\nContent-Length: 1\r\n\r\n";
    assert_eq!(whole(old, &STRICT).unwrap_err(), R::UnexpectedBody);
    assert_eq!(whole(old, &bodies).unwrap().framing, Framing::Length(1));
    let trusting = Limits {
        trusts_ambiguous: true,
        ..STRICT
    };
    let both = "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (limits, kept) in [(STRICT, false), (trusting, true)] {
        let head = whole(both, &limits).unwrap();
        assert_eq!((head.framing, head.keep_alive), (Framing::Chunked, kept));
        assert!(head.value(b"content-length").is_none());
    }
    // What HTTP/1.0 says of chunks is never believed.
    let old = both.replace("HTTP/1.1", "HTTP/1.0");
    assert!(!whole(&old, &trusting).unwrap().keep_alive);
}
