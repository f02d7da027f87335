//! What is counted of whatever happens to requests, in `show stat`: column by column.

use std::collections::HashMap;
use std::path::Path;

use crate::origin::{Act, Asked};
use crate::rig::{ask, until};
use crate::stage::{Case, Stage, case, get, moment, ok, play};

/// Columns whose values are compared. Bytes are not: they are those of the wire here and of an inner representation there.
const COUNTS: &[&str] = &[
    "qmax",
    "stot",
    "dreq",
    "dresp",
    "ereq",
    "econ",
    "eresp",
    "wretr",
    "wredis",
    "lbtot",
    "hrsp_1xx",
    "hrsp_2xx",
    "hrsp_3xx",
    "hrsp_4xx",
    "hrsp_5xx",
    "hrsp_other",
    "req_tot",
    "cli_abrt",
    "srv_abrt",
    "intercepted",
    "wrew",
    "connect",
    "reuse",
    "eint",
];

/// Columns of which it is compared whether they are beyond [`SLOW_MS`].
const TIMES: &[&str] = &["qtime_max", "ctime_max", "rtime_max", "ttime_max"];

const SLOW_MS: u64 = 150;

/// A line for each frontend, server and backend of a case, with what is not 0, once nobody is served there any more.
pub(crate) fn of(control: &Path, case: &str) -> Vec<String> {
    let (frontend, backend) = (format!("fe-{case}"), format!("be-{case}"));
    let mut table = String::new();
    until(|| {
        table = ask(control, "show stat");
        let rows = rows(&table);
        let mut rows = rows.iter().filter(|row| row["pxname"] == backend);
        rows.all(|row| row["scur"] == "0" && row["qcur"] == "0")
    });
    let rows = rows(&table);
    let of_case = rows
        .iter()
        .filter(|row| row["pxname"] == frontend || row["pxname"] == backend);
    of_case.map(note).collect()
}

type Row<'a> = HashMap<&'a str, &'a str>;

fn rows(table: &str) -> Vec<Row<'_>> {
    let mut lines = table.lines().filter(|line| !line.is_empty());
    let header = lines.next().unwrap_or_default().trim_start_matches("# ");
    lines
        .map(|line| header.split(',').zip(line.split(',')).collect())
        .collect()
}

fn note(row: &Row<'_>) -> String {
    let number = |name: &str| row.get(name).and_then(|cell| cell.parse::<u64>().ok());
    let mut text = format!("counts {}:", row["svname"]);
    for name in COUNTS {
        if let Some(value @ 1..) = number(name) {
            text += &format!(" {name} {value}");
        }
    }
    for name in TIMES {
        if number(name).is_some_and(|ms| ms >= SLOW_MS) {
            text += &format!(" {name} long");
        }
    }
    text
}

const POST: &str = "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";

/// The first server of two does this, the second answers.
fn failing(act: Vec<Act>) -> impl Fn(&Asked) -> Vec<Act> {
    move |_| act.clone()
}

#[test]
fn servers_that_cannot_be_reached() {
    let quick = "timeout connect 100ms";
    let silent = |name: &str| case(name).raw(|_| vec![Act::Gate]);
    play(
        [
            case("refused")
                .back(&format!("{quick};retries 2;server s1 {{dead}}"))
                .sends(get("/").repeat(2), 2),
            case("refused-once")
                .back(&format!("{quick};retries 0;server s1 {{dead}}"))
                .sends(get("/"), 1),
            case("refused-elsewhere")
                .back(&format!("{quick};option redispatch;balance roundrobin;server d {{dead}};server s1 {{s1}}"))
                .sends(get("/"), 1),
            case("refused-elsewhere-at-last")
                .back(&format!("{quick};option redispatch;retries 2;balance source;hash-type consistent;server d1 {{dead}};server d2 {{dead}} backup"))
                .sends(get("/"), 1),
            case("refused-both")
                .back(&format!("{quick};option redispatch;retries 3;balance roundrobin;server d1 {{dead}};server d2 {{dead}}"))
                .sends(get("/"), 1),
            silent("handshake")
                .back(&format!("{quick};retries 1;server s1 {{s1}} ssl verify none"))
                .sends(get("/"), 1),
            case("no-server").back("").sends(get("/"), 1),
            case("out").back("server s1 {s1} disabled").sends(get("/"), 1),
            case("raw-refused")
                .front("mode tcp;option tcplog")
                .back(&format!("mode tcp;{quick};retries 2;server s1 {{dead}}"))
                .sends("hello", 0)
                .lines(1),
            case("raw-refused-elsewhere")
                .front("mode tcp;option tcplog")
                .raw(|_| vec![Act::ReadToEnd, Act::Send(b"bye".to_vec()), Act::Close])
                .back(&format!("mode tcp;{quick};option redispatch;balance roundrobin;server d {{dead}};server s1 {{s1}}"))
                .sends("hello", 0)
                .lines(1),
        ]
        .map(|case| case.counted().unordered())
        .into(),
    );
}

#[test]
fn servers_that_answer_badly() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let told = |bytes: &str| vec![Act::Body, Act::Send(bytes.as_bytes().to_vec())];
    let mut cases = Vec::new();
    let ways = [
        ("empty", vec![Act::Body, Act::Close]),
        ("junk", [told("junk\r\n\r\n"), vec![Act::Close]].concat()),
        ("silence", vec![Act::Body, Act::Hold]),
        (
            "503",
            told("HTTP/1.1 503 Told\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        ),
        (
            "cut-body",
            [
                told("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
                vec![Act::Pause(30), Act::Close],
            ]
            .concat(),
        ),
        (
            "junk-chunks",
            [
                told(chunked),
                vec![Act::Pause(30)],
                told("x\r\n"),
                vec![Act::Close],
            ]
            .concat(),
        ),
        (
            "quiet-body",
            [
                told("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
                vec![Act::Hold],
            ]
            .concat(),
        ),
        ("quiet-chunks", [told(chunked), vec![Act::Hold]].concat()),
    ];
    for (name, acts) in ways {
        // Each of these counts twice in HAProxy 3.5, where it is found out twice that nothing more will come.
        let seen_twice = |case: Case| match name {
            "empty" | "junk" | "junk-chunks" => case
                .except("eresp 2", "eresp 1")
                .except("eresp 4", "eresp 3"),
            _ => case,
        };
        let once = case(format!("answers-{name}"))
            .origin(failing(acts.clone()))
            .back("timeout server 200ms;server s1 {s1}")
            .sends(get("/"), 1);
        let again = case(format!("answers-{name}-again"))
            .origin(failing(acts.clone()))
            .back("retries 2;retry-on all-retryable-errors;timeout server 200ms;server s1 {s1}")
            .sends(get("/"), 1);
        let elsewhere = case(format!("answers-{name}-elsewhere"))
            .origin(failing(acts))
            .says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\ns2")
            .back("retry-on all-retryable-errors;option redispatch 1;timeout server 200ms;balance roundrobin;server s1 {s1};server s2 {s2}")
            .sends(get("/"), 1);
        cases.extend([once, again, elsewhere].map(|case| seen_twice(case.counted().unordered())));
    }
    play(cases);
}

#[test]
fn what_is_answered_and_refused() {
    let long = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n",
        "a".repeat(12_000)
    );
    let doubled = "http-request set-header x-a %[req.hdr(x-long)];http-request set-header x-b %[req.hdr(x-long)]";
    play(
        [
            case("answers").sends(get("/").repeat(2) + POST, 3),
            case("answers-404")
                .says("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
                .sends(get("/"), 1),
            case("interim")
                .says("HTTP/1.1 103 Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .sends(get("/"), 2),
            case("slow")
                .origin(|_| vec![Act::Body, Act::Pause(300), Act::Send(ok("late"))])
                .sends(get("/"), 1),
            case("denied").front("http-request deny").sends(get("/"), 1),
            case("denied-behind")
                .back("http-request deny;server s1 {s1}")
                .sends(get("/"), 1),
            case("returned-behind")
                .back("http-request return status 200;server s1 {s1}")
                .sends(get("/"), 1),
            case("denied-response")
                .back("http-response deny;server s1 {s1}")
                .sends(get("/"), 1),
            case("denied-response-in-front")
                .front("http-response deny status 403")
                .sends(get("/"), 1),
            case("returned-response")
                .back("http-response return status 404;server s1 {s1}")
                .sends(get("/"), 1),
            case("rewrite-fails")
                .front(doubled)
                .sends(&long, 1),
            case("rewrite-fails-behind")
                .back(&format!("{doubled};server s1 {{s1}}"))
                .sends(&long, 1),
            case("rewrite-left-out")
                .front(&format!("http-request strict-mode off;{doubled}"))
                .sends(&long, 1),
            case("rewrite-left-out-behind")
                .back(&format!("http-request strict-mode off;{doubled};server s1 {{s1}}"))
                .sends(&long, 1),
            case("rewrite-of-response-fails")
                .says(&format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Long: {}\r\n\r\nok", "a".repeat(12_000)))
                .back("http-response set-header x-a %[res.hdr(x-long)];http-response set-header x-b %[res.hdr(x-long)];server s1 {s1}")
                .sends(get("/"), 1),
            case("rewrite-of-response-left-out")
                .says(&format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Long: {}\r\n\r\nok", "a".repeat(12_000)))
                .back("http-response strict-mode off;http-response set-header x-a %[res.hdr(x-long)];http-response set-header x-b %[res.hdr(x-long)];server s1 {s1}")
                .sends(get("/"), 1),
            case("redirected").front("http-request redirect location /x").sends(get("/"), 1),
            case("returned").front("http-request return status 200").sends(get("/"), 1),
            case("monitored").front("monitor-uri /").sends(get("/"), 1).lines(0),
            case("by-cookie")
                .back("balance roundrobin;cookie SRV;server s1 {s1} cookie a;server s2 {dead} cookie b")
                .sends("GET / HTTP/1.1\r\nHost: x\r\nCookie: SRV=a\r\n\r\n", 1),
            case("by-rule")
                .back("balance roundrobin;use-server s1 if TRUE;server s1 {s1};server s2 {dead}")
                .sends(get("/"), 1),
            case("upgraded")
                .says("HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
                .talk(|stage| {
                    let mut client = stage.client();
                    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
                    client.answer();
                    client.finish();
                    stage.done(client);
                })
                .lines(1),
        ]
        .map(|case| case.counted().unordered())
        .into(),
    );
}

/// Clients that ask one after the other, the first of which has reached the server before the others begin.
fn ask_all(stage: &mut Stage, count: usize) -> Vec<crate::actor::Actor> {
    let mut clients = Vec::new();
    for number in 0..count {
        let mut client = stage.client();
        client.send(get(&format!("/{number}")));
        match number {
            0 => stage.origins[0].wait_for(1),
            _ => moment(),
        }
        clients.push(client);
    }
    clients
}

fn all_are_answered(stage: &mut Stage, clients: Vec<crate::actor::Actor>) {
    for mut client in clients {
        stage.origins[0].open_gate();
        client.answer();
        moment();
        stage.done(client);
    }
}

/// The last of several clients is answered, or leaves, before the gate is opened for the others.
fn last_is_answered(case: Case, count: usize, leaves: bool) -> Case {
    case.talk(move |stage| {
        let mut clients = ask_all(stage, count);
        if let Some(mut last) = clients.pop() {
            match leaves {
                true => {
                    last.leave();
                    stage.wait_for_line();
                }
                false => last.answer(),
            }
            stage.done(last);
        }
        all_are_answered(stage, clients);
    })
}

#[test]
fn those_who_wait() {
    let gated = |name: &str, back: &str| {
        case(name)
            .origin(|asked| vec![Act::Body, Act::Gate, Act::Send(ok(&asked.line))])
            .back(back)
    };
    let waits = |case: Case, count: usize| {
        case.talk(move |stage| {
            let clients = ask_all(stage, count);
            all_are_answered(stage, clients);
        })
    };
    play(
        [
            waits(
                gated(
                    "waits-for-any",
                    "balance roundrobin;server s1 {s1} maxconn 1",
                ),
                4,
            ),
            waits(
                gated("waits-for-one", "balance source;server s1 {s1} maxconn 1"),
                4,
            ),
            last_is_answered(
                gated(
                    "waits-for-too-long",
                    "timeout queue 200ms;balance roundrobin;server s1 {s1} maxconn 1",
                ),
                2,
                false,
            ),
            last_is_answered(
                gated(
                    "waits-for-one-too-long",
                    "timeout queue 200ms;balance source;server s1 {s1} maxconn 1",
                ),
                2,
                false,
            ),
            last_is_answered(
                gated(
                    "waits-no-more",
                    "option abortonclose;balance roundrobin;server s1 {s1} maxconn 1",
                ),
                2,
                true,
            )
            .lines(2),
            last_is_answered(
                gated(
                    "waits-for-one-no-more",
                    "option abortonclose;balance source;server s1 {s1} maxconn 1",
                ),
                2,
                true,
            )
            .lines(2),
        ]
        .map(|case| case.counted().unordered())
        .into(),
    );
}

#[test]
fn clients_that_leave() {
    let upload = "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc";
    let held =
        |name: &str| case(name).origin(|_| vec![Act::Gate, Act::Send(ok("late")), Act::Close]);
    let leaves = |case: Case, request: &'static str, how: fn(&mut crate::actor::Actor)| {
        case.talk(move |stage| {
            let mut client = stage.client();
            client.send(request);
            stage.origins[0].wait_for(1);
            how(&mut client);
            stage.wait_for_line();
            stage.origins[0].open_gate();
            stage.done(client);
        })
        .lines(1)
    };
    let plain = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let slow_body = |name: &str| {
        case(name).origin(|_| {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n".to_vec();
            vec![
                Act::Send(head),
                Act::Fill(b'x', 1_000_000),
                Act::Gate,
                Act::Fill(b'x', 1_000_000),
            ]
        })
    };
    play(
        [
            leaves(
                held("leaves-early").back("option abortonclose;server s1 {s1}"),
                plain,
                |client| client.leave(),
            ),
            leaves(held("leaves-upload"), upload, |client| client.leave()),
            leaves(held("resets-upload"), upload, |client| client.reset()),
            leaves(
                held("stalls-upload").front("timeout client 200ms"),
                upload,
                |_| {},
            )
            .except("400 N - - cH", "408 N - - cH"),
            slow_body("resets-download")
                .talk(|stage| {
                    let mut client = stage.client();
                    client.send(get("/"));
                    stage.origins[0].wait_for(1);
                    moment();
                    client.reset();
                    stage.origins[0].open_gate();
                    stage.wait_for_line();
                    stage.done(client);
                })
                .lines(1),
            slow_body("stalls-download")
                .front("timeout client 200ms")
                .talk(|stage| {
                    let mut client = stage.client();
                    client.send(get("/"));
                    stage.origins[0].wait_for(1);
                    stage.origins[0].open_gate();
                    stage.wait_for_line();
                    client.leave();
                    stage.done(client);
                })
                .lines(1),
        ]
        .map(|case| case.counted().unordered())
        .into(),
    );
}

#[test]
fn sessions_of_tcp() {
    let raw = |name: &str, acts: Vec<Act>| {
        case(name)
            .front("mode tcp;option tcplog")
            .raw(move |_| acts.clone())
            .back("mode tcp;server s1 {s1}")
    };
    let bye = || vec![Act::Read(5), Act::Send(b"bye".to_vec()), Act::Close];
    play(
        [
            raw("raw", bye()).sends("hello", 0),
            raw("raw-slow", vec![Act::Read(5), Act::Pause(300), Act::Close]).sends("hello", 0),
            raw("raw-server-resets", vec![Act::Read(5), Act::Reset]).sends("hello", 0),
            raw("raw-server-silent", vec![Act::Read(5), Act::Hold])
                .back("mode tcp;timeout server 200ms;server s1 {s1}")
                .talk(|stage| {
                    let mut client = stage.client();
                    client.send("hello");
                    client.rest();
                    stage.done(client);
                }),
            raw("raw-client-silent", vec![Act::Hold])
                .front("mode tcp;option tcplog;timeout client 200ms")
                .talk(|stage| {
                    let mut client = stage.client();
                    client.send("hello");
                    client.rest();
                    stage.done(client);
                }),
            raw("raw-client-resets", vec![Act::Read(5), Act::Hold]).talk(|stage| {
                let mut client = stage.client();
                client.send("hello");
                let _ = stage.origins[0].wait_for_note("hello");
                client.reset();
                stage.done(client);
            }),
            raw("raw-rejected", bye())
                .front("mode tcp;option tcplog;tcp-request content reject")
                .sends("hello", 0),
            raw("raw-rejected-behind", bye())
                .back("mode tcp;tcp-request content reject;server s1 {s1}")
                .sends("hello", 0),
            raw("raw-response-rejected", bye())
                .front("mode tcp;option tcplog;tcp-request inspect-delay 1s;tcp-request content accept if { req.len ge 5 }")
                .back("mode tcp;tcp-response inspect-delay 1s;tcp-response content reject if { res.len gt 0 };server s1 {s1}")
                .sends("hello", 0),
            raw("raw-no-server", bye()).back("mode tcp").sends("hello", 0),
        ]
        .map(|case| case.counted().unordered().lines(1))
        .into(),
    );
}
