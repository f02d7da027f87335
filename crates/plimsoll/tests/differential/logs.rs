//! Which lines are written, when, and at what level.

use crate::origin::Act;
use crate::stage::{Case, case, get, ok, play};

fn three(name: &str, front: &str, lines: usize) -> Case {
    case(name)
        .front(front)
        .origin(|asked| {
            let answer = match asked.request {
                0 => ok("fine"),
                1 => b"HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n".to_vec(),
                _ => b"HTTP/1.1 404 Not\r\nContent-Length: 0\r\n\r\n".to_vec(),
            };
            vec![Act::Body, Act::Send(answer)]
        })
        .sends(get("/a") + &get("/b") + &get("/c"), 3)
        .lines(lines)
}

/// Samples of requests and responses that outlast both.
const WHAT_LINES_STILL_KNOW: &str = "http-request set-method PUT if { path /b };http-request set-path /changed if { path /c };\
    log-format \"%[method] %[req.ver] %[capture.req.method] %[capture.req.uri] %[capture.req.ver] %[txn.status] %[res.ver] \
    %[capture.res.ver] %[server_status] %[http_first_req] %[bc_http_major] %[be_name] %[srv_name] %[req.proto_http]\"";

/// Each condition of `when`, and its contrary.
const UNDER_CONDITIONS: &str = "acl a path /a;log-format \"a b %ST e=%[int(1),when(error)]%[int(0),when(!error)] n=%[int(1),when(normal)] \
    f=%[int(1),when(forwarded)]%[int(0),when(!forwarded)] t=%[int(1),when(toapplet)] p=%[int(1),when(processed)] \
    s=%[int(1),when(stopping)] a=%[int(1),when(acl,a)]%[int(0),when(!acl,a)]\"";

#[test]
fn what_lines_say_under_conditions() {
    let rules = "http-response set-header x-when %[int(1),when(forwarded)]%[int(2),when(error)]%[int(3),when(normal)];\
        http-after-response set-header x-after %[int(1),when(forwarded)]%[int(2),when(processed)]%[int(3),when(normal)]";
    let front = format!("{UNDER_CONDITIONS};{rules}");
    play(vec![
        three("when-served", &front, 3),
        case("when-answered-here")
            .front(&format!("{front};http-request return status 204"))
            .sends(get("/a"), 1),
        case("when-denied")
            .front(&format!("{front};http-request deny"))
            .sends(get("/b"), 1),
        case("when-no-server")
            .front(&front)
            .back("retries 0;server s1 {dead}")
            .sends(get("/a"), 1),
        case("when-tried-again")
            .front(&front)
            .back("retries 1;timeout connect 100ms;option redispatch 1;balance roundrobin;server d {dead};server s1 {s1}")
            .sends(get("/a"), 1),
        case("when-statistics")
            .front(&format!("{UNDER_CONDITIONS};stats uri /s"))
            .talk(|stage| {
                let mut client = stage.client();
                client.send("HEAD /s HTTP/1.1\r\nHost: x\r\n\r\n");
                client.answer_to("HEAD");
            })
            .lines(1),
        case("when-raw")
            .front("mode tcp;log-format \"a b e=%[int(1),when(error)] n=%[int(1),when(normal)] f=%[int(1),when(forwarded)]\"")
            .back("mode tcp;server s1 {s1}")
            .sends(get("/a"), 1),
    ]);
}

#[test]
fn which_lines_are_written() {
    let failing = |name: &str, front: &str, lines| {
        case(name)
            .front(front)
            .back("retries 0;server s1 {dead}")
            .sends(get("/"), 1)
            .lines(lines)
    };
    play(vec![
        three("all", "", 3),
        three("dontlog-normal", "option dontlog-normal", 1),
        three("separate-errors", "option log-separate-errors", 3),
        three("both", "option dontlog-normal;option log-separate-errors", 1),
        three("logasap", "option logasap", 3),
        failing("failed", "", 1),
        failing("failed-dontlog-normal", "option dontlog-normal", 1),
        failing("failed-separate-errors", "option log-separate-errors", 1),
        failing("failed-logasap", "option logasap", 1),
        case("retried-dontlog-normal")
            .front("option dontlog-normal")
            .back("timeout connect 100ms;option redispatch 1;balance roundrobin;server d {dead};server s1 {s1}")
            .sends(get("/"), 1),
        case("asap-of-a-long-body")
            .front("option logasap")
            .origin(|_| vec![Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf".to_vec()), Act::Gate, Act::Send(b"half".to_vec())])
            .talk(|stage| {
                let mut client = stage.client();
                client.send(get("/"));
                stage.wait_for_line();
                stage.origins[0].open_gate();
                client.answer();
                stage.done(client);
            }),
        three("standard-format-and-more", "log-format \"${HAPROXY_HTTP_LOG_FMT} more %[src_is_local]\"", 3),
        three("what-lines-still-know", WHAT_LINES_STILL_KNOW, 3),
        case("what-lines-of-rules-know").front(&format!("http-request return status 204;{WHAT_LINES_STILL_KNOW}")).sends(get("/a"), 1),
        case("captures-without-a-response")
            .front("capture request header host len 9;capture response header server len 9;capture response header x len 9;http-request deny if { path /deny };http-request return status 204 if { path /return }")
            .back("retries 0;server s1 {dead}")
            .sends(get("/deny") + &get("/return") + &get("/"), 3)
            .lines(3),
        case("captures-of-a-bad-request")
            .front("capture request header host len 9;capture response header server len 9")
            .sends("\x01\r\n\r\n", 1),
        case("bad-request").sends("\x01\r\n\r\n", 1),
        case("bad-request-dontlognull").front("option dontlognull").sends("\x01\r\n\r\n", 1),
    ]);
}
