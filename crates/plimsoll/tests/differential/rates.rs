//! What rules learn of how often something happens: at once, and whether or not anybody watches statistics.

use crate::stage::{Case, case, get, play};

/// Five clients one after the other, each with one request.
fn clients(case: Case, mode: &str) -> Case {
    let is_raw = mode == "tcp";
    case.talk(move |stage| {
        for _ in 0..5 {
            let mut client = stage.client();
            client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            if is_raw {
                client.finish();
            }
            client.rest();
            stage.done(client);
        }
    })
}

/// A request counts between the rules for contents of its frontend and those for requests.
#[test]
fn requests_count_in_time() {
    let tracked = |name: &str, rules: &str, told: &str| {
        let front = format!(
            "stick-table type ip size 10 store http_req_cnt;tcp-request inspect-delay 1s;{rules};\
             http-request return status 200 content-type text/plain lf-string \"{told}\""
        );
        case(name).front(&front).sends(get("/").repeat(3), 3)
    };
    play(vec![
        tracked("tracked-by-connection", "tcp-request connection track-sc0 src", "%[sc0_http_req_cnt]"),
        tracked("tracked-by-content", "tcp-request content track-sc0 src", "%[sc0_http_req_cnt]"),
        tracked("tracked-by-request", "http-request track-sc0 src", "%[sc0_http_req_cnt]"),
        tracked(
            "counted-in-contents",
            "tcp-request connection track-sc0 src;tcp-request content set-var(txn.a) sc0_http_req_cnt;\
             tcp-request content set-var(txn.b) fe_req_rate",
            "%[var(txn.a)] %[var(txn.b)] %[sc0_http_req_cnt] %[fe_req_rate]",
        ),
        tracked(
            "seen-in-contents",
            "tcp-request content set-var(txn.a) bool(true) if { req.len gt 0 }",
            "%[var(txn.a)] %[ssl_fc_has_sni] %[ssl_fc_is_resumed]",
        ),
        case("refused-by-contents")
            .front("tcp-request inspect-delay 1s;tcp-request content reject if { path /no };http-request return status 200")
            .sends(get("/") + &get("/no"), 1)
            .except("-1/-1/-1/-1/N -1 N - - PR-- N/1/0/0/0 0/0 \"<BADREQ>\"", "N/-1/-1/-1/N -1 N - - PR-- N/1/0/0/0 0/0 \"GET /no HTTP/1.1\"")
            .lines(2),
    ]);
}

/// A line tells what is known of the keys that its exchange or session tracked.
#[test]
fn lines_know_what_was_tracked() {
    let line = "log-format \"a b %[sc0_tracked] %[sc0_trackers] %[sc0_http_req_cnt] %[sc0_get_gpt0] %[sc0_conn_cur]\"";
    let table = "stick-table type ip size 10 store http_req_cnt,gpt0,conn_cur";
    let told = |name: &str, rules: &str| {
        case(name)
            .front(&format!(
                "{table};{rules} track-sc0 src;http-request sc-set-gpt0(0) 7;{line}"
            ))
            .sends(get("/").repeat(2), 2)
            .lines(2)
    };
    play(vec![
        told("told-of-request", "http-request"),
        told("told-of-connection", "tcp-request connection"),
        told("told-of-session", "tcp-request session"),
        case("told-of-contents")
            .front(&format!(
                "mode tcp;{table};tcp-request content track-sc0 src;{line}"
            ))
            .back("mode tcp;server s1 {s1}")
            .sends(get("/"), 1)
            .lines(1),
    ]);
}

#[test]
fn rates_are_those_of_this_moment() {
    let tells = |name: &str, sample: &str| {
        case(name)
            .front(&format!(
                "http-request return status 200 content-type text/plain lf-string {sample}"
            ))
            .sends(get("/").repeat(4), 4)
    };
    play(vec![
        tells("requests", "%[fe_req_rate]"),
        case("backend")
            .back("http-request return status 200 content-type text/plain lf-string %[be_sess_rate(be-backend)];server s1 {s1}")
            .sends(get("/").repeat(4), 4),
        case("too-many-requests")
            .front("http-request deny status 429 if { fe_req_rate gt 2 }")
            .sends(get("/").repeat(4), 4),
        clients(case("too-many-connections").front("tcp-request connection reject if { fe_sess_rate gt 2 }"), "http").lines(3),
        clients(case("too-many-sessions").front("tcp-request session reject if { fe_sess_rate gt 2 }"), "http").lines(3),
        clients(
            case("too-many-contents")
                .front("mode tcp;tcp-request content reject if { fe_sess_rate gt 2 }")
                .back("mode tcp;server s1 {s1}"),
            "tcp",
        )
        .lines(5),
    ]);
}
