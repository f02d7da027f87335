//! Which connections live on, on both sides, and what is said about it.

use crate::origin::Act;
use crate::stage::{Case, case, get, ok, play};

const MODES: [&str; 4] = [
    "",
    "option http-keep-alive",
    "option http-server-close",
    "option httpclose",
];

/// Requests as clients of different age make them.
fn clients() -> Vec<(&'static str, String)> {
    vec![
        ("h11", get("/1")),
        (
            "h11-close",
            "GET /1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into(),
        ),
        (
            "h11-keep",
            "GET /1 HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n".into(),
        ),
        ("h10", "GET /1 HTTP/1.0\r\n\r\n".into()),
        (
            "h10-keep",
            "GET /1 HTTP/1.0\r\nHost: x\r\nConnection: Keep-Alive\r\n\r\n".into(),
        ),
        (
            "h10-both",
            "GET /1 HTTP/1.0\r\nHost: x\r\nConnection: Keep-Alive, close\r\n\r\n".into(),
        ),
    ]
}

#[test]
fn modes_of_both_sides() {
    let mut cases = Vec::new();
    for (front_number, front) in MODES.into_iter().enumerate() {
        for (back_number, back) in MODES.into_iter().enumerate() {
            for (name, request) in clients() {
                cases.push(
                    case(format!("{name}-f{front_number}-b{back_number}"))
                        .front(front)
                        .back(&format!("{back};server s1 {{s1}}"))
                        .talk(move |stage| {
                            let mut client = stage.client();
                            client.send(&request);
                            client.answer();
                            // A closed connection shows in this one's fate.
                            client.send("GET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                            client.rest();
                            stage.done(client);
                        })
                        .unordered(),
                );
            }
        }
    }
    play(cases);
}

fn answers() -> Vec<(&'static str, &'static str)> {
    vec![
        ("length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        (
            "close",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        ),
        (
            "keep",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\nok",
        ),
        (
            "chunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n",
        ),
        (
            "trailers",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n",
        ),
        ("h10", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        (
            "h10-keep",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
        ),
        ("204", "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "204-length",
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "304",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\nETag: \"x\"\r\n\r\n",
        ),
        (
            "304-chunked",
            "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            "reason",
            "HTTP/1.1 299 Something else, really\r\nContent-Length: 0\r\n\r\n",
        ),
        ("no-reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
        (
            "order",
            "HTTP/1.1 200 OK\r\nB: 1\r\na: 2\r\nContent-Length: 2\r\nB: 3\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\nok",
        ),
        (
            "nominated",
            "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            "ntlm",
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "negotiate",
            "HTTP/1.1 407 Proxy\r\nProxy-Authenticate: Negotiate abc\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "100",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            "103",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
    ]
}

/// What HAProxy sends even to clients of HTTP/1.0, which know neither chunks nor interim answers.
const UNKNOWN_TO_H10: &[&str] = &["chunked", "trailers", "100", "103"];

/// Where we differ: the version is ours, and `Keep-Alive` is between neighbours.
fn known(case: Case, client: &str) -> Case {
    const OLD: &str = "HTTP/1.0 200 OK | content-length: 2";
    const NEW: &str = "HTTP/1.1 200 OK | content-length: 2";
    let persisting = match client {
        "h10-keep" => format!("{NEW} | connection: keep-alive"),
        _ => NEW.to_owned(),
    };
    case.except(" | keep-alive: timeout=5", "")
        .except("keep-alive: timeout=5\\r\\n", "")
        .except(&format!("{OLD} | connection: keep-alive"), &persisting)
        .except(OLD, &format!("{NEW} | connection: close"))
        .except(
            "HTTP/1.0 200 OK\\r\\ncontent-length: 2\\r\\n",
            "HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\nconnection: close\\r\\n",
        )
}

/// Every kind of answer, to every kind of client, with two requests on the connection.
#[test]
fn answers_of_servers() {
    let mut cases = Vec::new();
    for (answer_name, answer) in answers() {
        for (client_name, request) in clients() {
            if UNKNOWN_TO_H10.contains(&answer_name) && client_name.starts_with("h10") {
                continue;
            }
            cases.push(
                known(case(format!("{answer_name}-to-{client_name}")), client_name)
                    .says(answer)
                    .talk(move |stage| {
                        let mut client = stage.client();
                        client.send(&request);
                        client.answer();
                        client.send("GET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                        client.rest();
                        stage.done(client);
                    })
                    .unordered(),
            );
        }
        cases.push(
            known(case(format!("{answer_name}-to-head")), "h11")
                .origin(move |asked| {
                    let bytes = answer.as_bytes();
                    let head = bytes.windows(4).rposition(|four| four == b"\r\n\r\n");
                    let end = match asked.line.starts_with("HEAD")
                        && !answer.starts_with("HTTP/1.1 10")
                    {
                        true => bytes
                            .windows(4)
                            .position(|four| four == b"\r\n\r\n")
                            .map(|at| at + 4),
                        false => head.map(|_| bytes.len()),
                    };
                    vec![Act::Send(bytes[..end.unwrap_or(bytes.len())].to_vec())]
                })
                .talk(|stage| {
                    let mut client = stage.client();
                    client.send("HEAD /1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                    client.answer_to("HEAD");
                    client.rest();
                    stage.done(client);
                }),
        );
    }
    play(cases);
}

fn until_close() -> Vec<Case> {
    let answers = [
        ("plain", "HTTP/1.1 200 OK\r\n\r\nuntil the end"),
        ("h10", "HTTP/1.0 200 OK\r\n\r\nuntil the end"),
        (
            "connection-close",
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
        ),
        ("empty", "HTTP/1.1 200 OK\r\n\r\n"),
        (
            "closing-length",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
    ];
    let mut cases = Vec::new();
    for (answer_name, answer) in answers {
        for (client_name, request) in clients() {
            cases.push(
                case(format!("{answer_name}-{client_name}"))
                    .origin(move |_| vec![Act::Body, Act::Send(answer.into()), Act::Close])
                    .sends(request, 1)
                    .except(
                        "HTTP/1.0 200 OK \"until",
                        "HTTP/1.1 200 OK | connection: close \"until",
                    ),
            );
        }
    }
    cases
}

#[test]
fn answers_that_end_by_closing() {
    play(until_close());
}

#[test]
fn pipelining() {
    let mut cases = Vec::new();
    for count in [2, 5, 10] {
        let requests: String = (0..count).map(|n| get(&format!("/{n}"))).collect();
        cases.push(
            case(format!("gets-{count}"))
                .origin(|asked| vec![Act::Send(ok(&asked.line))])
                .sends(requests, count),
        );
    }
    let mixed = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcPOST /b HTTP/1.1\r\nHost: x\r\n\
                 Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\nGET /c HTTP/1.1\r\nHost: x\r\n\r\n";
    for cut in 1..mixed.len() {
        cases.push(
            case(format!("cut-{cut}"))
                .origin(|asked| vec![Act::Body, Act::Send(ok(&asked.line))])
                .talk(move |stage| {
                    let mut client = stage.client();
                    client.send(&mixed[..cut]);
                    crate::stage::moment();
                    client.send(&mixed[cut..]);
                    for _ in 0..3 {
                        client.answer();
                    }
                    client.finish();
                    client.rest();
                    stage.done(client);
                }),
        );
    }
    play(cases);
}
