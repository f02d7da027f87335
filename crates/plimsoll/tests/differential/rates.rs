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
