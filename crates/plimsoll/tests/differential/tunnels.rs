//! Upgrades, CONNECT, `Expect`, and TCP mode.

use crate::origin::Act;
use crate::stage::{Case, Stage, case, get, ok, play};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const GRANTED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn tunnelled(
    name: &str,
    request: &'static str,
    method: &'static str,
    answer: &'static str,
) -> Case {
    case(name)
        .origin(move |_| {
            vec![
                Act::Send(answer.into()),
                Act::Send(b"welcome".to_vec()),
                Act::Read(5),
                Act::Send(b"bye".to_vec()),
                Act::Close,
            ]
        })
        .talk(move |stage| {
            let mut client = stage.client();
            client.send(request);
            client.answer_to(method);
            client.read(7);
            client.send("hello");
            client.rest();
            stage.done(client);
        })
}

#[test]
fn other_protocols() {
    play(vec![
        tunnelled("upgrade", UPGRADE, "GET", GRANTED),
        tunnelled("upgrade-close", UPGRADE, "GET", GRANTED).front("option httpclose"),
        tunnelled("upgrade-server-close", UPGRADE, "GET", GRANTED)
            .back("option http-server-close;server s1 {s1}"),
        tunnelled(
            "connect",
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
            "CONNECT",
            "HTTP/1.1 200 OK\r\n\r\n",
        ),
        case("refused-upgrade")
            .says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
            .sends(UPGRADE.repeat(2), 2),
        case("refused-connect")
            .says("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
            .sends("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 1),
        case("connect-path").sends("CONNECT /a HTTP/1.1\r\nHost: x\r\n\r\n", 1),
        case("connect-other-host").sends("CONNECT a:1 HTTP/1.1\r\nHost: b:1\r\n\r\n", 1),
        case("client-ends")
            .origin(|_| {
                vec![
                    Act::Send(GRANTED.into()),
                    Act::ReadToEnd,
                    Act::Send(b"bye".to_vec()),
                    Act::Close,
                ]
            })
            .talk(|stage| {
                let mut client = stage.client();
                client.send(UPGRADE);
                client.answer();
                client.send("hello");
                client.finish();
                client.rest();
                stage.done(client);
            }),
        case("client-resets")
            .origin(|_| vec![Act::Send(GRANTED.into()), Act::Read(5), Act::Hold])
            .lines(1)
            .talk(|stage| {
                let mut client = stage.client();
                client.send(UPGRADE);
                client.answer();
                client.send("hello");
                stage.origins[0].wait_for_note("read \"hello\"");
                client.reset();
                stage.origins[0].wait_for_note("was left");
                stage.done(client);
            }),
    ]);
}

#[test]
fn expectations() {
    const HEAD: &str =
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    let waits = |name: &str, continues: bool| {
        case(name).origin(move |_| {
            let mut acts = Vec::new();
            if continues {
                acts.push(Act::Send(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()));
            }
            acts.extend([Act::Body, Act::Send(ok("got it"))]);
            acts
        })
    };
    play(vec![
        waits("passed", true).talk(|stage| {
            let mut client = stage.client();
            client.send(HEAD);
            client.read("HTTP/1.1 100 Continue\r\n\r\n".len());
            client.send("abc");
            client.answer();
            client.send(get("/next"));
            client.rest();
            stage.done(client);
        }),
        waits("not-waited-for", false).sends(format!("{HEAD}abc{}", get("/next")), 2),
        waits("h10", false).sends(HEAD.replace("1.1", "1.0") + "abc", 1),
        waits("other", false).sends(HEAD.replace("100-continue", "something") + "abc", 1),
        case("final-early")
            .origin(|_| {
                vec![Act::Send(
                    b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n".to_vec(),
                )]
            })
            .talk(|stage| {
                let mut client = stage.client();
                client.send(HEAD);
                client.answer();
                client.finish();
                client.rest();
                stage.done(client);
            })
            .except(
                "content-length: 0 \"\"",
                "content-length: 0 | connection: close \"\"",
            )
            .except("CL--", "----"),
        case("buffered")
            .front("option http-buffer-request")
            .talk(|stage| {
                let mut client = stage.client();
                client.send(HEAD);
                client.read("HTTP/1.1 100 Continue\r\n\r\n".len());
                client.send("abc");
                client.answer();
                client.finish();
                client.rest();
                stage.done(client);
            }),
    ]);
}

fn tcp(name: &str) -> Case {
    case(name)
        .front("mode tcp;option tcplog")
        .back("mode tcp;server s1 {s1}")
        .lines(1)
}

/// A client that says this and no more, and hears what comes.
fn says_all(words: &'static str) -> impl Fn(&mut Stage) {
    move |stage| {
        let mut client = stage.client();
        client.send(words);
        client.finish();
        client.rest();
        stage.done(client);
    }
}

#[test]
fn streams_of_bytes() {
    play(vec![
        tcp("echo").raw(|_| vec![Act::Read(5), Act::Send(b"world".to_vec()), Act::Close]).talk(|stage| {
            let mut client = stage.client();
            client.send("hello");
            client.rest();
            stage.done(client);
        }),
        // Who has said everything keeps nobody waiting: it is the server's time that counts.
        tcp("client-half-closes-and-waits")
            .front("mode tcp;option tcplog;timeout client 200ms")
            .raw(|_| vec![Act::ReadToEnd, Act::Pause(500), Act::Send(b"late".to_vec()), Act::Close])
            .talk(says_all("abc")),
        tcp("client-half-closes-before-silence")
            .front("mode tcp;option tcplog;timeout client 200ms;timeout client-fin 100ms")
            .back("mode tcp;timeout server 400ms;server s1 {s1}")
            .raw(|_| vec![Act::ReadToEnd, Act::Hold])
            .talk(says_all("abc")),
        tcp("client-half-closes").raw(|_| vec![Act::ReadToEnd, Act::Send(b"late".to_vec()), Act::Close]).talk(says_all("hello")),
        tcp("server-half-closes")
            .raw(|_| vec![Act::Send(b"early".to_vec()), Act::Finish, Act::ReadToEnd])
            .talk(|stage| {
                let mut client = stage.client();
                client.rest();
                client.send("late");
                client.leave();
                stage.origins[0].wait_for_note("then the end");
                stage.done(client);
            }),
        tcp("server-resets").raw(|_| vec![Act::Read(5), Act::Reset]).talk(|stage| {
            let mut client = stage.client();
            client.send("hello");
            client.rest();
            stage.done(client);
        }),
        tcp("client-resets").raw(|_| vec![Act::Read(5), Act::Hold]).talk(|stage| {
            let mut client = stage.client();
            client.send("hello");
            stage.origins[0].wait_for_note("hello");
            client.reset();
            stage.origins[0].wait_for_note("was left");
            stage.done(client);
        }),
        tcp("refused").back("mode tcp;retries 1;timeout connect 200ms;server s1 {dead}").talk(|stage| {
            let mut client = stage.client();
            client.rest();
            stage.done(client);
        }),
        tcp("no-server").back("mode tcp").talk(|stage| {
            let mut client = stage.client();
            client.rest();
            stage.done(client);
        }),
        tcp("redispatched")
            .raw(|_| vec![Act::Send(b"here".to_vec()), Act::Close])
            .back("mode tcp;timeout connect 200ms;option redispatch 1;balance roundrobin;server d {dead};server s1 {s1}")
            .talk(|stage| {
                let mut client = stage.client();
                client.rest();
                stage.done(client);
            }),
        tcp("bulk")
            .raw(|_| vec![Act::Fill(b'x', 20_000_000), Act::Close])
            .talk(|stage| {
                let mut client = stage.client();
                client.rest();
                stage.done(client);
            }),
    ]);
}

/// Servers that rules choose by the first bytes.
#[test]
fn servers_that_rules_name() {
    let front = "mode tcp;option tcplog;tcp-request inspect-delay 2s;tcp-request content accept if { req.len ge 3 };tcp-request content reject";
    let named = |name: &str, word: &'static str, back: &str| {
        case(name)
            .front(front)
            .back(&format!(
                "mode tcp;retries 1;timeout connect 300ms;balance roundrobin;server s1 {{s1}};server s2 {{s2}};server dead {{dead}};{back}"
            ))
            .raw(|_| vec![Act::Read(3), Act::Send(b"one".to_vec()), Act::Close])
            .raw(|_| vec![Act::Read(3), Act::Send(b"two".to_vec()), Act::Close])
            .talk(move |stage| {
                let mut client = stage.client();
                client.send(word);
                client.rest();
                stage.done(client);
            })
    };
    let by_word = "use-server s2 if { req.payload(0,3) -m str two };use-server dead if { req.payload(0,3) -m str end }";
    play(vec![
        named("named-by-bytes", "two", by_word),
        named("named-by-no-rule", "one", by_word),
        named("named-and-dead", "end", by_word),
        named(
            "named-by-format",
            "s2.",
            "use-server %[req.payload(0,2)] if TRUE",
        ),
        named(
            "named-before-a-table",
            "two",
            "stick-table type string size 10;stick on req.payload(0,3);use-server s2 if { req.len ge 3 }",
        ),
    ]);
}

/// What rules keep of the first bytes, though nothing has come yet when they are first asked.
#[test]
fn bytes_that_rules_keep() {
    let keeps = |name: &str, rules: &str| {
        case(name)
            .front(&format!(
                "mode tcp;log-format %ts\\ %[var(txn.a)]\\ %hr;tcp-request inspect-delay 3s;{rules}"
            ))
            .back("mode tcp;server s1 {s1}")
            .raw(|_| vec![Act::Read(8), Act::Send(b"one".to_vec()), Act::Close])
            .talk(|stage| {
                let mut client = stage.client();
                client.send("one-two-");
                client.rest();
                stage.done(client);
            })
            .lines(1)
    };
    let accept = "tcp-request content accept if { req.len ge 8 }";
    let ends = keeps("ends-of-servers", "log-format %ts\\ %si\\ %bi");
    play(vec![
        keeps(
            "kept-by-capture",
            &format!("tcp-request content capture req.payload(4,3) len 20;{accept}"),
        ),
        keeps(
            "kept-by-capture-alone",
            "tcp-request content capture req.payload(4,3) len 20",
        ),
        keeps(
            "kept-by-variable",
            &format!("tcp-request content set-var(txn.a) req.payload(4,3);{accept}"),
        ),
        keeps(
            "kept-by-format",
            &format!("tcp-request content set-var-fmt(txn.a) %[req.payload(0,3)];{accept}"),
        ),
        ends,
        keeps(
            "kept-in-order",
            &format!(
                "tcp-request content set-var(txn.a) str(x) unless {{ var(txn.a) -m found }};\
                tcp-request content capture var(txn.a),concat(y) len 20;{accept}"
            ),
        ),
    ]);
}

#[test]
fn servers_are_told_names_of_sessions() {
    let told = |name: &str, format: &str, options: &str| {
        tcp(name)
            .bind("accept-proxy")
            .front(&format!("mode tcp;option tcplog;{format}"))
            .back(&format!("mode tcp;server s1 {{s1}} {options}"))
            .raw(|_| vec![Act::ReadToEnd, Act::Send(b"late".to_vec()), Act::Close])
            .talk(says_all("PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\nhello"))
    };
    let format = "unique-id-format U-%ci-%cp";
    let field = "set-proxy-v2-tlv-fmt(0xE1) %[src]";
    play(vec![
        told("named", format, "send-proxy-v2 proxy-v2-options unique-id"),
        told("named-not", "", "send-proxy-v2 proxy-v2-options unique-id"),
        told(
            "named-checked",
            format,
            "send-proxy-v2 proxy-v2-options unique-id,crc32c",
        ),
        told(
            "named-of-tls",
            format,
            "send-proxy-v2-ssl proxy-v2-options crc32c,unique-id",
        ),
        told(
            "named-with-field",
            format,
            &format!("send-proxy-v2 proxy-v2-options crc32c,unique-id {field}"),
        ),
    ]);
}
