//! Servers and clients that fail, and attempts that follow.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::origin::{Act, Asked};
use crate::stage::{Case, case, get, moment, ok, play};

const POST: &str = "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";

/// Fails the first `failures` requests in one way, then answers.
fn failing(failures: usize, act: Vec<Act>) -> impl Fn(&Asked) -> Vec<Act> {
    move |asked| match asked.connection < failures {
        true => act.clone(),
        false => vec![Act::Body, Act::Send(ok("at last"))],
    }
}

fn status(code: u16) -> Vec<u8> {
    format!("HTTP/1.1 {code} Told\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}

/// Ways to fail, with the word of `retry-on` that covers each.
fn failures() -> Vec<(&'static str, &'static str, Vec<Act>)> {
    vec![
        ("empty", "empty-response", vec![Act::Body, Act::Close]),
        ("reset", "empty-response", vec![Act::Body, Act::Reset]),
        (
            "junk",
            "junk-response",
            vec![Act::Body, Act::Send(b"junk\r\n\r\n".to_vec()), Act::Close],
        ),
        (
            "cut",
            "junk-response",
            vec![Act::Body, Act::Send(b"HTTP/1.1 200".to_vec()), Act::Close],
        ),
        ("silence", "response-timeout", vec![Act::Body, Act::Hold]),
        ("503", "503", vec![Act::Body, Act::Send(status(503))]),
        ("404", "404", vec![Act::Body, Act::Send(status(404))]),
    ]
}

#[test]
fn retries() {
    let mut cases = Vec::new();
    for (name, word, acts) in failures() {
        for (request_name, request) in [("get", get("/g")), ("post", POST.to_owned())] {
            for (setting, lines) in [
                ("default", ""),
                ("named", word),
                ("all", "all-retryable-errors"),
                ("none", "none"),
            ] {
                let retry_on = match lines {
                    "" => String::new(),
                    words => format!("retry-on {words};"),
                };
                cases.push(
                    case(format!("{name}-{request_name}-{setting}"))
                        .origin(failing(1, acts.clone()))
                        .back(&format!("{retry_on}timeout server 300ms;server s1 {{s1}}"))
                        .sends(&request, 1)
                        .unordered(),
                );
                if setting == "named" {
                    cases.push(
                        case(format!("{name}-{request_name}-exhausted"))
                            .origin(failing(9, acts.clone()))
                            .back(&format!(
                                "{retry_on}retries 2;timeout server 300ms;server s1 {{s1}}"
                            ))
                            .sends(&request, 1)
                            .unordered(),
                    );
                    cases.push(
                        case(format!("{name}-{request_name}-elsewhere"))
                            .origin(failing(9, acts.clone()))
                            .says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\ns2")
                            .back(&format!(
                                "{retry_on}option redispatch 1;timeout server 300ms;balance roundrobin;server s1 {{s1}};server s2 {{s2}}"
                            ))
                            .sends(&request, 1)
                            .unordered(),
                    );
                }
            }
        }
    }
    play(cases);
}

#[test]
fn servers_that_are_not_there() {
    let quick = "timeout connect 200ms";
    play(vec![
        case("no-server").back("").sends(get("/"), 1),
        case("no-server-keeps")
            .back("")
            .sends(get("/").repeat(2), 2),
        case("no-server-post").back("").sends(POST, 1),
        case("no-backend-body")
            .back("")
            .sends(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nabc",
                1,
            )
            .except(
                "no-cache | content-length",
                "no-cache | connection: close | content-length",
            ),
        case("disabled")
            .back("server s1 {s1} disabled")
            .sends(get("/"), 1),
        case("refused")
            .back("retries 0;server s1 {dead}")
            .sends(get("/"), 1),
        case("refused-keeps")
            .back("retries 0;server s1 {dead}")
            .sends(get("/").repeat(2), 2),
        case("refused-head")
            .back("retries 0;server s1 {dead}")
            .talk(|stage| {
                let mut client = stage.client();
                client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
                client.answer_to("HEAD");
                client.finish();
                client.rest();
                stage.done(client);
            })
            .except("content-length: N", "content-length: N"),
        case("refused-1")
            .back(&format!("{quick};retries 1;server s1 {{dead}}"))
            .sends(get("/"), 1),
        case("refused-3")
            .back(&format!("{quick};server s1 {{dead}}"))
            .sends(get("/"), 1),
        case("refused-redispatch")
            .back(&format!(
                "{quick};option redispatch;balance roundrobin;server d {{dead}};server s1 {{s1}}"
            ))
            .sends(get("/"), 1),
        case("refused-redispatch-1")
            .back(&format!(
                "{quick};option redispatch 1;balance roundrobin;server d {{dead}};server s1 {{s1}}"
            ))
            .sends(get("/"), 1),
        case("refused-no-redispatch")
            .back(&format!(
                "{quick};balance roundrobin;server d {{dead}};server s1 {{s1}}"
            ))
            .sends(get("/"), 1),
        case("refused-source")
            .back(&format!(
                "{quick};balance source;server d {{dead}};server e {{dead}}"
            ))
            .sends(get("/"), 1),
        case("refused-source-redispatch")
            .back(&format!(
                "{quick};option redispatch;balance source;server d {{dead}};server e {{dead}}"
            ))
            .sends(get("/"), 1)
            .except("/e N", "/d N")
            .except("/3 0/0", "/+3 0/0"),
        case("unreachable")
            .back("timeout connect 150ms;retries 1;server s1 192.0.2.1:80 source 127.0.0.1")
            .sends(get("/"), 1),
        case("backup")
            .back("server s1 {s1} disabled;server s2 {s1} backup")
            .sends(get("/"), 1),
    ]);
}

/// Errors on connections that persist, and configured error pages.
#[test]
fn error_pages() {
    play(vec![
        case("keeps-503").back("").sends(get("/").repeat(3), 3),
        case("closes-503")
            .back("")
            .sends("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1),
        case("h10-503").back("").sends("GET / HTTP/1.0\r\n\r\n", 1),
        case("h10-keep-503")
            .back("")
            .sends("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 1),
        case("httpclose-503")
            .front("option httpclose")
            .back("")
            .sends(get("/"), 1),
        case("server-close-503")
            .front("option http-server-close")
            .back("")
            .sends(get("/").repeat(2), 2),
        case("keeps-502")
            .origin(|_| vec![Act::Close])
            .sends(get("/").repeat(2), 2),
        case("keeps-504")
            .origin(|_| vec![Act::Hold])
            .back("timeout server 200ms;server s1 {s1}")
            .sends(get("/").repeat(2), 2)
            .unordered(),
    ]);
}

fn server_aborts() -> Vec<Case> {
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes!";
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nten bytes!\r\n";
    vec![
        case("length-close")
            .origin(move |_| vec![Act::Send(long.into()), Act::Close])
            .sends(get("/"), 1),
        case("length-reset")
            .origin(move |_| vec![Act::Send(long.into()), Act::Pause(50), Act::Reset])
            .sends(get("/"), 1),
        case("chunks-close")
            .origin(move |_| vec![Act::Send(chunks.into()), Act::Close])
            .sends(get("/"), 1),
        case("chunks-junk")
            .origin(move |_| {
                vec![
                    Act::Send(chunks.into()),
                    Act::Pause(50),
                    Act::Send(b"zz\r\n".to_vec()),
                    Act::Close,
                ]
            })
            .sends(get("/"), 1),
        case("length-silence")
            .origin(move |_| vec![Act::Send(long.into()), Act::Hold])
            .back("timeout server 200ms;server s1 {s1}")
            .sends(get("/"), 1),
        case("close-reset")
            .origin(|_| {
                vec![
                    Act::Send(b"HTTP/1.1 200 OK\r\n\r\nbytes".to_vec()),
                    Act::Pause(50),
                    Act::Reset,
                ]
            })
            .sends(get("/"), 1),
        case("upload-refused")
            .origin(|_| vec![Act::Send(status(413)), Act::Close])
            .sends(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
                1,
            ),
        case("upload-closed")
            .origin(|_| vec![Act::Read(3), Act::Close])
            .sends(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
                1,
            )
            .except(
                "no-cache | content-length",
                "no-cache | connection: close | content-length",
            ),
    ]
}

#[test]
fn servers_that_break_off() {
    play(server_aborts());
}

fn leaves(name: &str, request: &'static str, reset: bool) -> Case {
    case(name)
        .origin(|_| vec![Act::Body, Act::Gate, Act::Send(ok("late"))])
        .talk(move |stage| {
            let mut client = stage.client();
            client.send(request);
            stage.origins[0].wait_for(1);
            match reset {
                true => client.reset(),
                false => client.leave(),
            }
            moment();
            stage.origins[0].open_gate();
            stage.done(client);
        })
        .lines(1)
}

#[test]
fn clients_that_leave() {
    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    const PART: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc";
    play(vec![
        leaves("close", GET, false),
        leaves("reset", GET, true).except("CD--", "CH--"),
        leaves("close-abortonclose", GET, false).back("option abortonclose;server s1 {s1}"),
        leaves("reset-abortonclose", GET, true)
            .back("option abortonclose;server s1 {s1}")
            .except("CD--", "CH--"),
        leaves("close-no-abortonclose", GET, false).back("no option abortonclose;server s1 {s1}"),
        leaves("upload-close", PART, false),
        leaves("upload-reset", PART, true),
        half_close("half-close", "server s1 {s1}"),
        half_close(
            "half-close-abortonclose",
            "option abortonclose;server s1 {s1}",
        ),
        case("nothing-half").lines(1).talk(|stage| {
            let mut client = stage.client();
            client.finish();
            client.answer();
            client.rest();
            stage.done(client);
        }),
        case("nothing").lines(1).talk(|stage| {
            let client = stage.client();
            stage.done(client);
        }),
        case("nothing-dontlognull")
            .front("option dontlognull")
            .lines(0)
            .talk(|stage| {
                let client = stage.client();
                stage.done(client);
            }),
        case("reset-at-rest").lines(2).talk(|stage| {
            let mut client = stage.client();
            client.send(get("/"));
            client.answer();
            client.reset();
            stage.wait_for_line();
            moment();
            let mut other = stage.client();
            other.send(get("/other"));
            other.answer();
            stage.done(client);
            stage.done(other);
        }),
        case("part-of-a-head").lines(1).talk(|stage| {
            let mut client = stage.client();
            client.send("GET / HT");
            moment();
            client.leave();
            stage.done(client);
        }),
        case("part-of-a-head-reset").lines(1).talk(|stage| {
            let mut client = stage.client();
            client.send("GET / HT");
            moment();
            client.reset();
            stage.done(client);
        }),
        case("nothing-reset").lines(1).talk(|stage| {
            let mut client = stage.client();
            client.reset();
            stage.done(client);
        }),
        case("part-of-a-head-half").sends("GET / HT", 1),
        leaves_quietly("during-a-quiet-body", "Content-Length: 100", false),
        leaves_quietly("during-a-quiet-body-reset", "Content-Length: 100", true),
        leaves_quietly("during-quiet-chunks", "Transfer-Encoding: chunked", false),
        case("during-download")
            .origin(|_| {
                vec![
                    Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n".to_vec()),
                    Act::Fill(b'x', 50_000_000),
                ]
            })
            .lines(1)
            .talk(|stage| {
                let mut client = stage.client();
                client.send(get("/"));
                client.read(10);
                client.reset();
                stage.done(client);
            }),
    ]);
}

/// A server that has begun its answer and pauses, as those do that tell of events.
fn leaves_quietly(name: &str, framing: &str, reset: bool) -> Case {
    let begun = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n5\r\nbytes\r\n");
    case(name)
        .origin(move |_| vec![Act::Body, Act::Send(begun.clone().into()), Act::Hold])
        .lines(1)
        .talk(move |stage| {
            let mut client = stage.client();
            client.send(get("/"));
            client.read(40);
            match reset {
                true => client.reset(),
                false => client.leave(),
            }
            stage.done(client);
        })
}

fn half_close(name: &str, back: &str) -> Case {
    case(name)
        .origin(|_| vec![Act::Body, Act::Pause(150), Act::Send(ok("late"))])
        .back(back)
        .talk(|stage| {
            let mut client = stage.client();
            client.send(get("/"));
            client.finish();
            client.answer();
            client.rest();
            stage.done(client);
        })
        .lines(1)
}

/// An address at which connections are neither accepted nor refused, as long as what comes with it is there.
fn nowhere() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().unwrap();
    let patience = Duration::from_millis(200);
    let fill = || TcpStream::connect_timeout(&address, patience).ok();
    let waiting = std::iter::from_fn(fill).collect();
    (address, listener, waiting)
}

/// A client that leaves while its server is being connected.
#[test]
fn clients_that_leave_too_early() {
    let (address, _listener, _waiting) = nowhere();
    let leaves = |name: &str, back: &str| {
        let server = format!("{back};server s1 {address}");
        case(name).back(&server).lines(1).talk(|stage| {
            let mut client = stage.client();
            client.send(get("/"));
            moment();
            client.leave();
            stage.wait_for_line();
            stage.done(client);
        })
    };
    let raw = |name: &str, word: &'static str| {
        leaves(name, "mode tcp;retries 0;timeout connect 400ms")
            .front("mode tcp;option tcplog")
            .talk(move |stage| {
                let mut client = stage.client();
                client.send(word);
                moment();
                client.leave();
                stage.wait_for_line();
                stage.done(client);
            })
    };
    play(vec![
        leaves("while-connecting", "retries 1"),
        leaves("while-connecting-heeded", "option abortonclose;retries 1"),
        leaves(
            "while-connecting-unheeded",
            "no option abortonclose;retries 0;timeout connect 400ms",
        ),
        raw("while-connecting-raw", ""),
        raw("while-connecting-raw-asked", "hello"),
    ]);
}
