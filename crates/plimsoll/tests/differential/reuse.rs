//! Which requests share server connections, and what is told about clients.

use crate::origin::Act;
use crate::stage::{Case, case, get, ok, play};

/// Two requests of one client, then two of a second, then one of each.
fn two_clients(name: &str, back: &str) -> Case {
    case(name)
        .origin(|asked| vec![Act::Body, Act::Send(ok(&asked.line))])
        .back(back)
        .whichever()
        .talk(|stage| {
            let mut clients = [stage.client(), stage.client()];
            for (client, path) in [
                (0, "/a1"),
                (0, "/a2"),
                (1, "/b1"),
                (1, "/b2"),
                (0, "/a3"),
                (1, "/b3"),
            ] {
                clients[client].send(get(path));
                clients[client].answer();
            }
            for client in clients {
                stage.done(client);
            }
        })
}

#[test]
fn idle_connections() {
    let mut cases = Vec::new();
    for reuse in ["never", "safe", "aggressive", "always"] {
        for (name, mode) in [
            ("keep", ""),
            ("close", "option http-server-close;"),
            ("both", "option httpclose;"),
        ] {
            cases.push(two_clients(
                &format!("{reuse}-{name}"),
                &format!("http-reuse {reuse};{mode}server s1 {{s1}}"),
            ));
        }
        cases.push(two_clients(
            &format!("{reuse}-two-servers"),
            &format!("http-reuse {reuse};balance roundrobin;server s1 {{s1}};server s2 {{s1}}"),
        ));
        cases.push(two_clients(
            &format!("{reuse}-no-pool"),
            &format!("http-reuse {reuse};server s1 {{s1}} pool-max-conn 0"),
        ));
        cases.push(private(reuse));
    }
    cases.push(two_clients("default", "server s1 {s1}"));
    // Each client has its own, one for each server: that many of them.
    for most in [0, 1, 2] {
        let servers = "http-reuse never;balance roundrobin;server s1 {s1};server s2 {s1}";
        let limited = two_clients(&format!("at-most-{most}"), servers);
        cases.push(limited.front(&format!("max-session-srv-conns {most}")));
    }
    play(cases);
}

/// A connection that was authenticated belongs to its client.
fn private(reuse: &str) -> Case {
    const NTLM: &str =
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n";
    two_clients(
        &format!("{reuse}-ntlm"),
        &format!("http-reuse {reuse};server s1 {{s1}}"),
    )
    .origin_instead(|asked| {
        let answer = match asked.request {
            0 => NTLM.into(),
            _ => ok(&asked.line),
        };
        vec![Act::Body, Act::Send(answer)]
    })
}

/// Ours says what HAProxy leaves to the client to guess.
const TOLD: &[&str] = &[
    "a: HTTP/1.1 200 OK | content-length: 5 \"first\"",
    "a: HTTP/1.1 502 | cache-control: no-cache | content-length: N | content-type: text/html an error page",
    "a: the end",
];

const REPEATED: &[&str] = &[
    "a: HTTP/1.1 200 OK | content-length: 5 \"first\"",
    "a: HTTP/1.1 200 OK | content-length: 6 \"second\"",
    "a: the end",
    "s1#0 GET /1 HTTP/1.1 | host: x",
    "s1#0 GET /2 HTTP/1.1 | host: x",
    "s1#1 GET /2 HTTP/1.1 | host: x",
    "2 connections",
];

/// The server closes while the connection lies idle, or just when it is used again.
#[test]
fn idle_connections_that_die() {
    let dies = |name: &str, request: &'static str, acts: fn() -> Vec<Act>| {
        case(name)
            .origin(move |asked| match (asked.connection, asked.request) {
                (0, 0) => vec![Act::Body, Act::Send(ok("first"))],
                (0, _) => acts(),
                _ => vec![Act::Body, Act::Send(ok("second"))],
            })
            .talk(move |stage| {
                let mut client = stage.client();
                client.send(get("/1"));
                client.answer();
                client.send(request);
                client.answer();
                client.finish();
                client.rest();
                stage.done(client);
            })
    };
    play(vec![
        // Ours asks again where that does no harm.
        dies("get-close", "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n", || {
            vec![Act::Close]
        })
        .instead(REPEATED),
        dies("get-reset", "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n", || {
            vec![Act::Reset]
        })
        .instead(REPEATED),
        dies(
            "post-close",
            "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
            || vec![Act::Body, Act::Close],
        )
        .instead(TOLD),
        dies(
            "empty-post-close",
            "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            || vec![Act::Body, Act::Close],
        )
        .instead(TOLD),
    ]);
}

fn told(name: &str, front: &str, back: &str, request: &str) -> Case {
    case(name)
        .front(front)
        .back(&format!("{back};server s1 {{s1}}"))
        .sends(request, 1)
}

#[test]
fn addresses_of_clients() {
    const PLAIN: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    const HAS: &str =
        "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.1\r\nX-Real: 10.0.0.2\r\n\r\n";
    let options = [
        "option forwardfor",
        "option forwardfor except 127.0.0.0/8",
        "option forwardfor except 10.0.0.0/8",
        "option forwardfor header X-Real",
        "option forwardfor if-none",
        "option forwardfor header X-Real if-none",
        "option forwardfor except 127.0.0.1 header X-Other",
    ];
    let mut cases = Vec::new();
    for (number, option) in options.into_iter().enumerate() {
        for (request_name, request) in [("plain", PLAIN), ("has", HAS)] {
            cases.push(told(
                &format!("front-{number}-{request_name}"),
                option,
                "",
                request,
            ));
            cases.push(told(
                &format!("back-{number}-{request_name}"),
                "",
                option,
                request,
            ));
            cases.push(told(
                &format!("both-{number}-{request_name}"),
                "option forwardfor except 10.0.0.0/8",
                option,
                request,
            ));
        }
    }
    play(cases);
}
