//! Every time-out, with a small value.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::actor::DRIP;
use crate::origin::Act;
use crate::rig::DEADLINE;
use crate::stage::{Case, case, get, ok, play};

const PART: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc";

#[test]
fn timeouts_of_clients() {
    let lines = |name: &str, front: &str| case(name).front(front);
    play(vec![
        lines("request-nothing", "timeout http-request 200ms")
            .sends("", 1)
            .talk(|stage| {
                let mut client = stage.client();
                client.answer();
                client.rest();
                stage.done(client);
            }),
        lines("request-part", "timeout http-request 200ms").talk(|stage| {
            let mut client = stage.client();
            client.send("GET / HTTP/1.1\r\nHo");
            client.answer();
            client.rest();
            stage.done(client);
        }),
        lines("client-part", "timeout client 200ms").talk(|stage| {
            let mut client = stage.client();
            client.send("GET / HTTP/1.1\r\nHo");
            client.answer();
            client.rest();
            stage.done(client);
        }),
        lines("client-nothing", "timeout client 200ms")
            .lines(1)
            .talk(|stage| {
                let mut client = stage.client();
                client.answer();
                client.rest();
                stage.done(client);
            }),
        lines(
            "request-nothing-dontlognull",
            "timeout http-request 200ms;option dontlognull",
        )
        .lines(0)
        .talk(|stage| {
            let mut client = stage.client();
            client.answer();
            client.rest();
            stage.done(client);
        }),
        idle("keep-alive", "timeout http-keep-alive 200ms"),
        // How the connection ends, which other cases do not tell apart.
        lines(
            "keep-alive-nolinger",
            "option nolinger;timeout http-keep-alive 200ms",
        )
        .lines(1)
        .talk(|stage| {
            let mut client = TcpStream::connect(stage.address()).unwrap();
            client.set_read_timeout(Some(DEADLINE)).unwrap();
            client.write_all(get("/").as_bytes()).unwrap();
            let end = client.read_to_end(&mut Vec::new());
            stage.note(format!(
                "ends: {:?}",
                end.map(drop).map_err(|error| error.kind())
            ));
        }),
        idle("keep-alive-by-request", "timeout http-request 200ms"),
        idle("keep-alive-by-client", "timeout client 200ms"),
        lines(
            "second-part",
            "timeout http-request 200ms;timeout http-keep-alive 3s",
        )
        .talk(|stage| {
            let mut client = stage.client();
            client.send(get("/"));
            client.answer();
            client.send("GET / HT");
            client.answer();
            client.rest();
            stage.done(client);
        }),
        lines("upload", "timeout client 200ms")
            .except("1 400", "1 408")
            .except(" 400 N", " 408 N")
            .talk(|stage| {
                let mut client = stage.client();
                client.send(PART);
                client.answer();
                client.rest();
                stage.done(client);
            }),
        lines(
            "upload-buffered",
            "timeout http-request 200ms;option http-buffer-request",
        )
        .talk(|stage| {
            let mut client = stage.client();
            client.send(PART);
            client.answer();
            client.rest();
            stage.done(client);
        }),
        case("slow-reader")
            .front("timeout client 300ms")
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
                crate::stage::moment();
                stage.wait_for_line();
                stage.done(client);
            }),
    ]);
}

fn idle(name: &str, front: &str) -> Case {
    case(name).front(front).talk(|stage| {
        let mut client = stage.client();
        client.send(get("/"));
        client.answer();
        client.rest();
        stage.done(client);
    })
}

#[test]
fn timeouts_of_servers() {
    let back = "timeout server 250ms;server s1 {s1}";
    play(vec![
        case("response")
            .origin(|_| vec![Act::Body, Act::Hold])
            .back(back)
            .sends(get("/"), 1),
        case("body")
            .origin(|_| {
                vec![
                    Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_vec()),
                    Act::Hold,
                ]
            })
            .back(back)
            .sends(get("/"), 1),
        case("slow-but-alive")
            .origin(|_| {
                let mut acts = vec![Act::Send(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n".to_vec(),
                )];
                for _ in 0..6 {
                    acts.extend([Act::Pause(100), Act::Send(b"x".to_vec())]);
                }
                acts
            })
            .back(back)
            .sends(get("/"), 1),
        case("interim-then-silence")
            .origin(|_| vec![Act::Send(b"HTTP/1.1 103 Early\r\n\r\n".to_vec()), Act::Hold])
            .back(back)
            .sends(get("/"), 1),
        case("upload-unread")
            .origin(|_| vec![Act::Hold])
            .back(back)
            .sends(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
                1,
            ),
    ]);
}

#[test]
fn timeouts_of_tunnels() {
    const UPGRADE: &str =
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    const GRANTED: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let idle = |name: &str, front: &str, back: &str| {
        case(name)
            .front(front)
            .back(&format!("{back};server s1 {{s1}}"))
            .origin(|_| vec![Act::Send(GRANTED.to_vec()), Act::Hold])
            .talk(|stage| {
                let mut client = stage.client();
                client.send(UPGRADE);
                client.answer();
                client.rest();
                stage.done(client);
            })
    };
    let tcp = |name: &str, front: &str, back: &str| {
        case(name)
            .front(&format!("mode tcp;option tcplog;{front}"))
            .back(&format!("mode tcp;{back};server s1 {{s1}}"))
            .lines(1)
    };
    play(vec![
        idle("upgrade-client", "timeout client 200ms", ""),
        idle("upgrade-server", "", "timeout server 200ms"),
        idle("upgrade-tunnel", "", "timeout tunnel 200ms"),
        idle(
            "upgrade-tunnel-wins",
            "timeout client 100ms",
            "timeout server 100ms;timeout tunnel 600ms",
        ),
        tcp("tcp-client", "timeout client 200ms", "")
            .raw(|_| vec![Act::Hold])
            .talk(|stage| {
                let mut client = stage.client();
                client.rest();
                stage.done(client);
            }),
        tcp("tcp-server", "", "timeout server 200ms")
            .raw(|_| vec![Act::Hold])
            .talk(|stage| {
                let mut client = stage.client();
                client.rest();
                stage.done(client);
            }),
        tcp("tcp-tunnel", "", "timeout tunnel 200ms")
            .raw(|_| vec![Act::Hold])
            .talk(|stage| {
                let mut client = stage.client();
                client.rest();
                stage.done(client);
            }),
        tcp("tcp-server-fin", "", "timeout server-fin 200ms")
            .raw(|_| vec![Act::ReadToEnd, Act::Hold, Act::Pause(1000)])
            .talk(|stage| {
                let mut client = stage.client();
                client.send("hello");
                client.finish();
                client.rest();
                stage.done(client);
            }),
        tcp("tcp-client-fin", "timeout client-fin 200ms", "")
            .raw(|_| {
                vec![
                    Act::Read(5),
                    Act::Send(b"bye".to_vec()),
                    Act::Finish,
                    Act::Hold,
                ]
            })
            .talk(|stage| {
                let mut client = stage.client();
                client.send("hello");
                client.rest();
                stage.origins[0].wait_for_note("was left");
                client.leave();
                stage.done(client);
            }),
    ]);
}

#[test]
fn answers_before_the_request_is_read() {
    play(vec![
        case("early")
            .origin(|_| vec![Act::Send(ok("early")), Act::Body])
            .talk(|stage| {
                let mut client = stage.client();
                client.send(PART);
                client.answer();
                client.send("defghij");
                client.send(get("/next"));
                client.rest();
                stage.done(client);
            }),
        case("early-close")
            .front("timeout client 300ms")
            .origin(|_| {
                vec![
                    Act::Send(
                        b"HTTP/1.1 413 Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                            .to_vec(),
                    ),
                    Act::Hold,
                ]
            })
            .talk(|stage| {
                let mut client = stage.client();
                client.send(PART);
                client.answer();
                client.rest();
                stage.done(client);
            }),
    ]);
}

/// What is said first, and then a byte every now and then for longer than the time-outs of these cases.
fn dripping(first: &[u8]) -> Vec<Act> {
    let ms = u64::try_from(DRIP.as_millis()).unwrap();
    let drips = (0..DRIPS).flat_map(|_| [Act::Send(b"x".to_vec()), Act::Pause(ms)]);
    std::iter::once(Act::Send(first.to_vec()))
        .chain(drips)
        .collect()
}

const DRIPS: u32 = 40;

/// A case whose client drips, while its server says this and no more.
fn unheard(name: &str, server: &'static [u8], client: &'static [u8]) -> Case {
    let acts = move || vec![Act::Send(server.to_vec()), Act::Pause(3_000), Act::Close];
    case(name)
        .raw(move |_| acts())
        .talk(move |stage| {
            let mut client_side = stage.client();
            client_side.send(client);
            client_side.outlast_dripping(DRIPS);
            stage.done(client_side);
        })
        .lines(1)
}

/// `option independent-streams`: what a side takes does not excuse that it says nothing.
#[test]
fn independent_silences() {
    const UPGRADE: &[u8] =
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
    const GRANTED: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
    let taking = |case: Case, said: &'static str| {
        case.talk(move |stage| {
            let mut client = stage.client();
            client.send(said);
            client.outlast();
            stage.done(client);
        })
        .lines(1)
    };
    play(vec![
        unheard("independent-server", b"", b"")
            .front("mode tcp")
            .back("mode tcp;timeout server 400ms;option independent-streams;server s1 {s1}"),
        // Only the server's own backend says so.
        unheard("independent-elsewhere", b"", b"")
            .front("mode tcp;option independent-streams")
            .back("mode tcp;timeout server 2s;server s1 {s1}"),
        unheard("independent-upgraded-server", GRANTED, UPGRADE)
            .back("timeout tunnel 400ms;option independent-streams;server s1 {s1}"),
        taking(case("independent-client").raw(|_| dripping(b"")), "hello")
            .front("mode tcp;timeout client 400ms;option independent-streams")
            .back("mode tcp;server s1 {s1}"),
        taking(
            case("independent-uploading-client")
                .origin(|_| dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")),
            PART,
        )
        .front("timeout client 400ms;option independent-streams"),
        // The server's silence counts from the connection, but only when the request is complete.
        case("independent-server-of-an-upload")
            .except(
                "no-cache | content-length",
                "no-cache | connection: close | content-length",
            )
            .origin(|_| vec![Act::Body, Act::Pause(300), Act::Send(ok("late"))])
            .back("timeout server 400ms;option independent-streams;server s1 {s1}")
            .talk(|stage| {
                let mut client = stage.client();
                client.send(format!(
                    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {DRIPS}\r\n\r\n"
                ));
                client.answer_dripping(DRIPS);
                client.leave();
                stage.done(client);
            }),
    ]);
}
