//! Clients that are bound to a server, and what leads them away from it.

use crate::actor::Actor;
use crate::origin::Act;
use crate::stage::{Case, Stage, case, get, moment, ok, play};

/// A request whose cookie names a server.
fn asks(path: &str, server: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nCookie: S={server}\r\n\r\n")
}

/// A client that is bound to `s`, beside which there is `t`.
fn bound(name: &str, back: &str) -> Case {
    case(name)
        .says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ns")
        .says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nt")
        .back(&format!("cookie S insert;{back}"))
        .sends(asks("/a", "s") + &asks("/b", "s"), 2)
}

#[test]
fn servers_that_get_no_new_clients() {
    let drained = "server s {s1} cookie s weight 0;server t {s2} cookie t";
    play(vec![
        bound("drained", drained),
        bound("drained-alone", "server s {s1} cookie s weight 0"),
        bound("drained-forced", &format!("force-persist if TRUE;{drained}")),
        bound("drained-ignored", &format!("ignore-persist if TRUE;{drained}")),
        bound(
            "out-of-service",
            "server s {s1} cookie s disabled;server t {s2} cookie t",
        ),
        case("drained-refused")
            .back("option redispatch;retries 1;timeout connect 100ms;cookie S insert;server s {dead} cookie s weight 0;server t {s1} cookie t")
            .sends(asks("/", "s"), 1),
    ]);
}

#[test]
fn servers_that_fail_their_clients() {
    let told = |code: u16| {
        format!("HTTP/1.1 {code} Told\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    };
    play(vec![
        case("cookie-of-the-dead")
            .back("option redispatch;retries 1;timeout connect 100ms;cookie S insert;server d {dead} cookie d;server t {s1} cookie t")
            .sends(asks("/", "d"), 1),
        case("cookie-of-the-dead-forced")
            .back("force-persist if TRUE;option redispatch;retries 1;timeout connect 100ms;cookie S insert;server d {dead} cookie d;server t {s1} cookie t")
            .sends(asks("/", "d"), 1),
        case("cookie-of-one-who-failed")
            .says(&told(503))
            .says(&told(200))
            .back("option redispatch 1;retries 1;retry-on conn-failure 503;cookie S insert;server s {s1} cookie s;server t {s2} cookie t")
            .sends(asks("/", "s"), 1),
        case("cookie-of-one-tried-again")
            .origin(move |asked| {
                let code = if asked.connection == 0 { 503 } else { 200 };
                vec![Act::Send(told(code).into_bytes())]
            })
            .back("retries 1;retry-on conn-failure 503;cookie S insert;server s {s1} cookie s")
            .sends(asks("/", "s"), 1),
    ]);
}

/// Clients that come one after the other, the first of which has reached its server before the others begin; then all
/// are answered.
fn crowd(stage: &mut Stage, requests: Vec<String>) {
    let mut clients: Vec<Actor> = Vec::new();
    for request in requests {
        let mut client = stage.client();
        client.send(request);
        if clients.is_empty() {
            stage.origins[0].wait_for(1);
        } else {
            moment();
        }
        clients.push(client);
    }
    // Those that are turned away or sent elsewhere are answered first.
    for client in clients.iter_mut().skip(2) {
        client.answer();
    }
    for client in clients.iter_mut().take(2) {
        stage.origins[0].open_gate();
        client.answer();
    }
    for client in clients {
        stage.done(client);
    }
}

/// A server that takes one request at a time and lets one wait, beside one that takes all.
fn narrow(name: &str, back: &str) -> Case {
    case(name)
        .origin(|_| vec![Act::Gate, Act::Send(ok("s"))])
        .says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nt")
        .back(back)
        .unordered()
        .talk(|stage| crowd(stage, (0..4).map(|n| asks(&format!("/{n}"), "s")).collect()))
}

#[test]
fn servers_whose_queue_is_full() {
    let cookies =
        "cookie S insert;server s {s1} cookie s maxconn 1 maxqueue 1;server t {s2} cookie t";
    let rule = "use-server s if TRUE;server s {s1} maxconn 1 maxqueue 1;server t {s2}";
    play(vec![
        narrow("full-of-cookies", cookies),
        narrow(
            "full-of-cookies-moves",
            &format!("option redispatch;{cookies}"),
        ),
        narrow(
            "full-of-cookies-forced",
            &format!("force-persist if TRUE;option redispatch;{cookies}"),
        ),
        narrow("full-by-rule-moves", &format!("option redispatch;{rule}")),
    ]);
}

/// Times are masked in these cases, so lines say themselves what counts as connecting.
#[test]
fn attempts_with_one_server_are_part_of_connecting() {
    const TIMES: &str =
        "log-format \"a b w=%[req.timer.queue,div(300)] c=%[bc.timer.connect,div(300)] %ST %rc\"";
    let late = |code: u16| {
        let answer =
            format!("HTTP/1.1 {code} Told\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        vec![Act::Pause(400), Act::Send(answer.into_bytes())]
    };
    let at_last = move |failures: usize| {
        move |asked: &crate::origin::Asked| match asked.connection < failures {
            true => late(503),
            false => vec![Act::Send(ok("ok"))],
        }
    };
    play(vec![
        case("times-of-the-dead")
            .front(TIMES)
            .back("retries 1;timeout connect 400ms;server d {dead}")
            .sends(get("/"), 1),
        case("times-of-two-attempts")
            .front(TIMES)
            .origin(at_last(1))
            .back("retries 1;retry-on 503;server s {s1}")
            .sends(get("/"), 1),
        case("times-of-a-move")
            .front(TIMES)
            .origin(at_last(9))
            .says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nt")
            .back("retries 1;retry-on 503;option redispatch 1;balance roundrobin;server s {s1};server t {s2}")
            .sends(get("/"), 1),
    ]);
}

/// Automatic numbers of servers, on which hashes depend.
#[test]
fn numbers_of_servers() {
    let servers = ["", " id 18", "", " id 3", ""];
    let rows: String = servers
        .iter()
        .enumerate()
        .map(|(index, id)| {
            format!("use-server s{index} if {{ path /{index} }};server s{index} {{s1}}{id};")
        })
        .collect();
    let requests: String = (0..servers.len()).map(|n| get(&format!("/{n}"))).collect();
    play(vec![
        case("numbers-of-servers")
            .back(&format!(
                "http-response set-header x-number %[srv_id];{rows}server-template t 2 {{s1}};use-server t2 if {{ path /t }}"
            ))
            .sends(requests + &get("/t"), servers.len() + 1),
    ]);
}

#[test]
fn keys_that_are_numbers() {
    let keys: String = (0..6)
        .map(|n| get(&format!("/{}", "x".repeat(n))))
        .collect();
    let hashed = |name: &str, lines: &str| {
        let servers = "server a {s1};server b {s1};server c {s1};server d {s1}";
        case(name)
            .back(&format!(
                "http-response set-header x-server %s;{lines};{servers}"
            ))
            .whichever()
            .unordered()
            .sends(&keys, 6)
    };
    play(vec![
        hashed(
            "number-length",
            "balance hash path,length;hash-type map-based none",
        ),
        hashed(
            "number-length-hashed",
            "balance hash path,length;hash-type map-based",
        ),
        hashed(
            "number-length-ring",
            "balance hash path,length;hash-type consistent none",
        ),
        hashed(
            "number-five",
            "balance hash int(5);hash-type map-based none",
        ),
        hashed(
            "number-address",
            "balance hash src;hash-type map-based none",
        ),
        hashed(
            "number-address-ring",
            "balance hash src;hash-type consistent none",
        ),
    ]);
}

/// The same requests with every kind of cookie, for a backend that finds its server in another way.
fn with_cookies(name: &str, back: &str) -> Case {
    let requests: String = ["", "s", "t", "u", "none"]
        .iter()
        .map(|server| {
            format!("GET /a HTTP/1.1\r\nHost: x\r\nUser: one\r\nCookie: S={server}\r\n\r\n")
        })
        .collect();
    case(name)
        .says("HTTP/1.1 200 OK\r\nSet-Cookie: S=own\r\nContent-Length: 1\r\n\r\ns")
        .says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nt")
        .back(&format!(
            "{back};server s {{s1}} cookie s;server t {{s2}} cookie t weight 0;server u {{dead}} cookie u disabled"
        ))
        .sends(get("/first") + &requests, 6)
}

#[test]
fn clients_of_rules_and_tables_need_no_cookie() {
    let table = "stick-table type string len 8 size 100;stick on req.hdr(user)";
    let rule = "use-server t if { path /a }";
    play(vec![
        with_cookies(
            "insert-by-rule",
            &format!("cookie S insert indirect;{rule}"),
        ),
        with_cookies("prefix-by-rule", &format!("cookie S prefix;{rule}")),
        with_cookies("rewrite-by-rule", &format!("cookie S rewrite;{rule}")),
        with_cookies(
            "insert-by-rule-ignored",
            &format!("cookie S insert;ignore-persist if TRUE;{rule}"),
        ),
        with_cookies(
            "insert-by-table",
            &format!("cookie S insert indirect;{table}"),
        ),
        with_cookies("keep-by-table", &format!("cookie S insert;{table}")),
    ]);
}
