//! What is let through, how it is written on, and what is refused: requests and responses.

use crate::origin::Act;
use crate::stage::{Case, case, get, ok, play};

/// Requests, each with a `GET /next` behind it, which must never be seen when the first is refused.
fn requests() -> Vec<(&'static str, &'static str)> {
    vec![
        ("plain", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("leading-crlf", "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("leading-crlfs", "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("bare-lf", "GET / HTTP/1.1\nHost: x\n\n"),
        ("mixed-lf", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n"),
        (
            "te-and-cl",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "te-and-cl-h10",
            "POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "te-h10",
            "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "te-twice",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "te-gzip-chunked",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "te-gzip",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        ),
        (
            "te-identity",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n",
        ),
        (
            "te-case",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
        ),
        (
            "te-two-fields",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "te-empty",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \r\n\r\n",
        ),
        (
            "te-xchunked",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "cl-same",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        ),
        (
            "cl-list",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
        ),
        (
            "cl-differ",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        ),
        (
            "cl-plus",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
        ),
        (
            "cl-minus",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc",
        ),
        (
            "cl-hex",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc",
        ),
        (
            "cl-empty",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n",
        ),
        (
            "cl-huge",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
        ),
        (
            "cl-zeros",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0003\r\n\r\nabc",
        ),
        (
            "cl-space",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc",
        ),
        (
            "obs-fold",
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
        ),
        ("fold-first", "GET / HTTP/1.1\r\n Host: x\r\n\r\n"),
        ("bare-cr", "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n"),
        ("nul", "GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n"),
        ("control", "GET / HTTP/1.1\r\nHost: x\r\nA: b\x01c\r\n\r\n"),
        ("tab", "GET / HTTP/1.1\r\nHost: x\r\nA: b\tc\r\n\r\n"),
        ("del", "GET / HTTP/1.1\r\nHost: x\r\nA: b\x7fc\r\n\r\n"),
        ("latin", "GET / HTTP/1.1\r\nHost: x\r\nA: b\u{e9}c\r\n\r\n"),
        ("name-space", "GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n"),
        ("name-empty", "GET / HTTP/1.1\r\nHost: x\r\n: c\r\n\r\n"),
        ("no-colon", "GET / HTTP/1.1\r\nHost: x\r\nabc\r\n\r\n"),
        ("name-odd", "GET / HTTP/1.1\r\nHost: x\r\nA@b: c\r\n\r\n"),
        (
            "value-spaces",
            "GET / HTTP/1.1\r\nHost: x\r\nA:   b  \r\nB:\r\n\r\n",
        ),
        ("no-host", "GET / HTTP/1.1\r\n\r\n"),
        ("two-hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
        ("same-hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"),
        ("absolute", "GET http://x/a?b HTTP/1.1\r\nHost: x\r\n\r\n"),
        (
            "absolute-other",
            "GET http://y/a HTTP/1.1\r\nHost: x\r\n\r\n",
        ),
        (
            "absolute-port",
            "GET http://x:80/a HTTP/1.1\r\nHost: x\r\n\r\n",
        ),
        ("absolute-no-host", "GET http://y/a HTTP/1.1\r\n\r\n"),
        (
            "absolute-no-path",
            "GET http://x HTTP/1.1\r\nHost: x\r\n\r\n",
        ),
        ("asterisk", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("asterisk-get", "GET * HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("odd-target", "GET a HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("fragment", "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("target-space", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("target-quote", "GET /a\"b HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("target-control", "GET /a\x01b HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("target-latin", "GET /\u{e9} HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("two-spaces", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("trailing-space", "GET / HTTP/1.1 \r\nHost: x\r\n\r\n"),
        ("h09", "GET /\r\n\r\n"),
        ("h12", "GET / HTTP/1.2\r\nHost: x\r\n\r\n"),
        ("h20", "GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
        ("h1x", "GET / HTTP/1.x\r\nHost: x\r\n\r\n"),
        ("http-lower", "GET / http/1.1\r\nHost: x\r\n\r\n"),
        ("method-lower", "get / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("method-odd", "FOO / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("method-bad", "G@T / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("garbage", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"),
        (
            "chunk-ext",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b;c=\"d\"\r\nabc\r\n0;e\r\nT: 1\r\n\r\n",
        ),
        (
            "chunk-upper",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
        ),
        (
            "chunk-space",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
        ),
        (
            "chunk-bad",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        ),
        (
            "chunk-hex",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        ),
        (
            "chunk-lf",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
        ),
        (
            "chunk-long",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        ),
        (
            "chunk-huge",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n",
        ),
        (
            "connection-names",
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: x-a, keep-alive\r\nX-A: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nProxy-Connection: close\r\n\r\n",
        ),
        (
            "upgrade-no-connection",
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
        ),
        (
            "get-body",
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        ),
        (
            "upgrade-body",
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: foo\r\nContent-Length: 3\r\n\r\nabc",
        ),
        (
            "http2-settings",
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
        ),
        ("host-port", "GET / HTTP/1.1\r\nHost: x:8080\r\n\r\n"),
        ("host-bad", "GET / HTTP/1.1\r\nHost: x y\r\n\r\n"),
        ("host-empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    ]
}

/// What RFC 9112 forbids and HAProxy lets pass.
const STRICTER: &[&str] = &[
    "bare-lf",
    "mixed-lf",
    "obs-fold",
    "control",
    "del",
    "h20",
    "chunk-space",
    "status-short",
    "status-099",
    "h2",
];

fn judged(case: Case, name: &str) -> Case {
    if STRICTER.contains(&name) {
        return case.refused();
    }
    case.except(
        "422 | cache-control: no-cache | content",
        "422 | cache-control: no-cache | connection: close | content",
    )
    .except("HTTP/1.2\"", "HTTP/1.1\"")
    .except(" | keep-alive: 5", "")
    .except(" | proxy-connection: close", "")
}

#[test]
fn requests_in_every_shape() {
    let cases = requests().into_iter().map(|(name, request)| {
        let mut bytes = request.as_bytes().to_vec();
        bytes.extend(b"GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        judged(case(name), name)
            .origin(|asked| vec![Act::Body, Act::Send(ok(&asked.line))])
            .talk(move |stage| {
                let mut client = stage.client();
                client.send(&bytes);
                client.answer();
                client.rest();
                stage.done(client);
            })
    });
    play(cases.collect());
}

fn responses() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "te-and-cl",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        (
            "te-gzip",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        ),
        (
            "te-gzip-chunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        (
            "te-twice",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        (
            "cl-same",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            "cl-list",
            "HTTP/1.1 200 OK\r\nContent-Length: 2,2\r\n\r\nok",
        ),
        (
            "cl-differ",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        ),
        ("cl-bad", "HTTP/1.1 200 OK\r\nContent-Length: 2a\r\n\r\nok"),
        (
            "cl-minus",
            "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        ),
        (
            "obs-fold",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n c\r\n\r\nok",
        ),
        (
            "bare-cr",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\rc\r\n\r\nok",
        ),
        ("bare-lf", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
        (
            "nul",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\0c\r\n\r\nok",
        ),
        (
            "control",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\x01c\r\n\r\nok",
        ),
        (
            "name-space",
            "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
        ),
        (
            "no-colon",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nabc\r\n\r\nok",
        ),
        ("junk", "HELLO\r\n\r\n"),
        (
            "status-short",
            "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            "status-long",
            "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            "status-letters",
            "HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            "status-600",
            "HTTP/1.1 600 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            "status-099",
            "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        ("h2", "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("h12", "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("h09", "ok and nothing else"),
        (
            "leading-crlf",
            "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            "chunk-bad",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
        ),
        (
            "chunk-cut",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
        ),
        (
            "chunk-none",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            "body-cut",
            "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok",
        ),
        ("body-none", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"),
        ("head-cut", "HTTP/1.1 200 OK\r\nContent-Le"),
        ("line-cut", "HTTP/1.1 20"),
        ("empty", ""),
        (
            "surplus",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        ),
        (
            "surplus-204",
            "HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            "101-unasked",
            "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\nok",
        ),
        (
            "1xx-many",
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        ("1xx-end", "HTTP/1.1 102 Processing\r\n\r\n"),
        (
            "1xx-length",
            "HTTP/1.1 102 Processing\r\nContent-Length: 2\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
    ]
}

#[test]
fn responses_in_every_shape() {
    let cases = responses().into_iter().map(|(name, response)| {
        judged(case(name), name)
            .origin(|asked| vec![Act::Send(ok(&asked.line))])
            .origin(move |_| vec![Act::Send(response.into()), Act::Close])
            .back("server s2 {s2}")
            .talk(|stage| {
                let mut client = stage.client();
                client.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n");
                client.answer();
                client.send("GET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                client.answer();
                client.rest();
                stage.done(client);
            })
    });
    play(cases.collect());
}

/// Rules may write what they like: no field makes a body where there is none, which its receiver would wait for, or take
/// the next message for.
#[test]
fn rules_frame_no_bodies() {
    let twice = |name: &str, front: &str| case(name).front(front).sends(get("/").repeat(2), 2);
    play(vec![
        twice(
            "stray-chunks",
            "http-request set-header transfer-encoding chunked",
        ),
        twice(
            "stray-chunks-of-204",
            "http-response set-header transfer-encoding chunked",
        )
        .says("HTTP/1.1 204 No Content\r\n\r\n"),
        // The reference answers 500.
        case("stray-length")
            .front("http-request set-header content-length 5")
            .sends(get("/"), 1)
            .instead(&[
                "a: HTTP/1.1 200 OK | content-length: 2 \"ok\"",
                "a: the end",
                "s1#0 GET / HTTP/1.1 | host: x",
            ]),
    ]);
}
