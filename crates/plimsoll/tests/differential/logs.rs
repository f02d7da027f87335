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

/// A line that says why it is there.
const WHY: &str = "log-format \"a b %OG %ST %b/%s %ts\"";
/// And what is asked for, which HAProxy only knows where lines of requests are asked for.
const WHY_AND_WHAT: &str = "log-format \"a b %OG %ST %b/%s %ts %r\"";

/// A backend, and a profile behind it.
fn profile(lines: &str) -> String {
    format!("server s1 {{s1}};log-profile {{name}};{lines}")
}

/// `log-steps`.
#[test]
fn lines_of_several_steps() {
    let raw = format!("mode tcp;{}", WHY.replace("%ST ", ""));
    let failing = |name: &str, steps: &str| {
        case(name)
            .front(&format!("{WHY};log-steps {steps}"))
            .back("retries 0;server s1 {dead}")
            .sends(get("/"), 1)
    };
    play(vec![
        three("steps-all", &format!("{WHY_AND_WHAT};log-steps all"), 15),
        three("steps-two", &format!("{WHY};log-steps connect,close"), 6),
        three(
            "steps-request",
            &format!("{WHY_AND_WHAT};log-steps request"),
            3,
        ),
        three(
            "steps-ready-made",
            "log-steps accept,request,response,close",
            12,
        ),
        three(
            "steps-asap",
            &format!("{WHY};option logasap;log-steps close,response"),
            3,
        ),
        three(
            "steps-dontlog-normal",
            &format!("{WHY};option dontlog-normal;log-steps all"),
            2,
        ),
        three(
            "steps-separate-errors",
            &format!("{WHY};option log-separate-errors;log-steps response,close"),
            6,
        ),
        failing("steps-failing", "all").lines(3),
        failing("steps-failing-connect", "connect").lines(0),
        case("steps-answered-here")
            .front(&format!(
                "{WHY};log-steps all;http-request return status 204"
            ))
            .sends(get("/"), 1)
            .lines(3),
        case("steps-bad-request")
            .front(&format!("{WHY};log-steps connect"))
            .sends("\x01\r\n\r\n", 1),
        case("steps-bad-request-all")
            .front(&format!("{WHY};log-steps all"))
            .sends("\x01\r\n\r\n", 1),
        case("steps-raw")
            .front(&format!("{raw};log-steps all"))
            .back("mode tcp;server s1 {s1}")
            .sends(get("/a"), 1)
            .lines(3),
        case("steps-raw-two")
            .front(&format!("{raw};log-steps accept,close"))
            .back("mode tcp;server s1 {s1}")
            .sends(get("/a"), 1)
            .lines(2),
        case("origin-of-bad-requests")
            .front("error-log-format \"a b %OG %ft\"")
            .sends("\x01\r\n\r\n", 1),
        case("origin-of-no-header")
            .front("error-log-format \"a b %OG %ft\";tcp-request connection expect-proxy layer4")
            .talk(|stage| {
                let mut client = stage.client();
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
                client.rest();
                stage.done(client);
            })
            .lines(1),
    ]);
}

/// Flags count with their sign, the last of several.
#[test]
fn flags_of_formats() {
    let line = "log-format \"a b %{Q}[src] %{+Q}[src] %{+Q+X}ci %{+Q-Q}HM %{json}r %{-Q,+X}ci %{+Q,X}ci %{}b %{+E,Q}r\"";
    play(vec![case("flags").front(line).sends(get("/a"), 1).lines(1)]);
}

/// What a line of errors knows: aliases, and samples of the connection; nothing of an exchange.
const OF_ERRORS: &str = "error-log-format \"a b %OG %B %U %ST %HM %HP %HQ %HU %HV %ID %CC %CS %b %f %ft %s %ts %tsc \
    %Th %Ti %TR %Tw %Tc %Tr %Td %Tq %bq %sq %rc %bc %sc %si %sp %hr %hs %ci %fi \
    %[fc_err] %[fc_err_name] %[fc_rcvd_proxy] %[fc_http_major] %[fe_name] %[be_name] %[so_id] %[src] %[method] %[status] \
    %[bytes_in] %[bytes_out] %[fc.timer.handshake] %[fc.timer.total] %[txn.timer.total] %[res.timer.data] %[txn.conn_retries] \
    %[txn.redispatched] %[txn.sess_term_state] %[cur_client_timeout] %[bc.timer.connect] %[req.timer.queue] %[unique-id] \
    %[capture.req.uri] %[last_rule_line] %[http_first_req] %[accept_date,bool]\"";

/// `error-log-format`.
#[test]
fn lines_of_errors() {
    let front = OF_ERRORS;
    let refused = |name: &str, front: &str, sent: &str, answers| {
        case(name).front(front).sends(sent, answers).lines(1)
    };
    let header = format!("{front};tcp-request connection expect-proxy layer4");
    play(vec![
        refused("errors-request", front, "\x01\r\n\r\n", 1),
        refused(
            "errors-target",
            front,
            "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
            1,
        ),
        refused(
            "errors-length",
            front,
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
            1,
        ),
        refused("errors-no-header", &header, "GET / HTTP/1.1\r\n\r\n", 0),
        refused(
            "errors-header-cut",
            &header,
            "PROXY TCP4 1.2.3.4\r\n\r\n",
            0,
        ),
        refused(
            "errors-behind-header",
            &header,
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n\x01\r\n\r\n",
            1,
        ),
        refused("errors-of-connections", front, "\x01\r\n\r\n", 1).plain(),
        refused(
            "errors-second",
            front,
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n\x01\r\n\r\n",
            2,
        )
        .lines(2),
    ]);
}

/// Without a format lines tell of each request, or each session of TCP mode, as it begins.
#[test]
fn lines_of_connections() {
    let refused = |name: &str, front: &str| {
        case(name)
            .front(front)
            .sends("\x01\r\n\r\n", 1)
            .lines(0)
            .plain()
    };
    play(vec![
        three("connections", "", 3).plain(),
        case("connections-raw")
            .front("mode tcp")
            .back("mode tcp;server s1 {s1}")
            .sends(get("/a"), 1)
            .plain(),
        case("connections-behind-header")
            .front("tcp-request connection expect-proxy layer4")
            .sends(
                format!("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n{}", get("/a")),
                1,
            )
            .plain(),
        refused("connections-refused", ""),
        refused("connections-asap", "option logasap"),
        case("connections-answered-here")
            .front("http-request return status 204;option dontlog-normal;option dontlognull")
            .sends(get("/a"), 1)
            .plain(),
    ]);
}

/// `log-profile`.
#[test]
fn lines_of_profiles() {
    let to_p = |more: &str| format!("{WHY};no log;log {{log}} profile {{name}} local0;{more}");
    let any = profile("on any format \"a b any %OG\"");
    let drops = profile("on any drop;on error format \"a b error %OG\"");
    play(vec![
        three("profile-any", &to_p(""), 3).back(&any),
        three("profile-all-steps", &to_p("log-steps all"), 15).back(&any),
        three("profile-some", &to_p("log-steps all"), 12).back(&profile(
            "on connect drop;on accept format \"a b begins\";on close format \"a b %OG ends\"",
        )),
        three("profile-drops", &to_p(""), 0).back(&drops),
        three("profile-changes-its-mind", &to_p(""), 3)
            .back(&profile("on close drop;on close format \"a b after all\"")),
        case("profile-error")
            .front(&to_p(""))
            .back(&drops)
            .sends("\x01\r\n\r\n", 1),
        three(
            "profile-beside",
            &format!("{WHY};log {{log}} profile {{name}} local0"),
            6,
        )
        .back(&any),
        three(
            "profile-without-format",
            "no log;log {log} profile {name} local0",
            3,
        )
        .back(&any),
        three(
            "profile-levels",
            &to_p("option log-separate-errors;option dontlog-normal"),
            1,
        )
        .back(&any),
    ]);
}

/// `do-log`.
#[test]
fn lines_that_rules_ask_for() {
    let all = "tcp-request connection do-log;tcp-request session do-log;tcp-request content do-log;http-request do-log;\
        http-response do-log;http-after-response do-log";
    let own = profile(
        "on tcp-req-conn format \"a b connection\";on http-req drop;on http-res format \"a b %OG %ST\"",
    );
    let raw = format!("mode tcp;{}", WHY.replace("%ST ", ""));
    play(vec![
        three("do-log", &format!("{WHY_AND_WHAT};{all}"), 17),
        three("do-log-profile-of-target", &format!("{WHY};no log;log {{log}} profile {{name}} local0;{all}"), 14).back(&own),
        case("do-log-profile")
            .front(&format!("{WHY};http-request do-log profile {{name}};http-response do-log profile {{name}};http-after-response do-log profile {{name}}"))
            .back(&own)
            .sends(get("/"), 1)
            .lines(3),
        case("do-log-in-backend")
            .front(WHY)
            .back("http-request do-log;http-response do-log;server s1 {s1};tcp-response content do-log")
            .sends(get("/"), 1)
            .lines(4),
        case("do-log-under-conditions")
            .front(&format!("{WHY};http-request set-log-level silent if {{ path /a }};http-request do-log;http-request set-log-level err if {{ path /b }};http-request do-log"))
            .sends(get("/a") + &get("/b"), 2)
            .lines(3),
        case("do-log-dontlog-normal")
            .front(&format!("{WHY};option dontlog-normal;http-request do-log"))
            .sends(get("/"), 1)
            .lines(1),
        case("do-log-denied")
            .front(&format!("{WHY};http-request do-log;http-request deny;http-after-response do-log"))
            .sends(get("/"), 1)
            .lines(3),
        case("do-log-raw")
            .front(&format!("{raw};tcp-request content do-log"))
            .back("mode tcp;tcp-request content do-log;tcp-response content do-log;server s1 {s1}")
            .sends(get("/a"), 1)
            .lines(4),
    ]);
}

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
        // Theirs is the size of an inner representation.
        three("logasap-bytes", "option logasap;log-format \"a b %ST %B\"", 3).except("200 +53", "200 +38").except("500 +50", "500 +39").except("404 +50", "404 +39"),
        three("logasap-dontlognull", "option logasap;option dontlognull", 3),
        three("logasap-dontlognull-raw", "mode tcp;option tcplog;option logasap;option dontlognull", 1).back("mode tcp;server s1 {s1}"),
        case("nothing-logasap-dontlognull").front("option logasap;option dontlognull").lines(0).talk(|stage| {
            let client = stage.client();
            stage.done(client);
        }),
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
