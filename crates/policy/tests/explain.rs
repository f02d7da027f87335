//! A request is explained as it would be served.

mod config_support;

use config_support::load_text;
use plimsoll_config::source::MemoryLoader;
use plimsoll_policy::acl::Truth;
use plimsoll_policy::context::Now;
use plimsoll_policy::explain::{self, Explanation, Question, StepResult};
use plimsoll_policy::model::FrontendId;
use plimsoll_policy::plane::Plane;

const TEXT: &str = "\
defaults
    mode http
    timeout client 1s
    timeout server 1s
    timeout connect 1s
frontend web
    bind :80
    acl admin path_beg /admin
    acl inside src 10.0.0.0/8
    tcp-request connection reject if { src 192.0.2.66 }
    http-request set-path /v2%[path] if { path_beg /api }
    http-request deny deny_status 429 if admin !inside
    redirect location /new if { path /old }
    use_backend api if { path_beg /v2 } or { req.hdr(host) -i api.test }
    use_backend %[req.hdr(x-to)] if { req.hdr(x-to) -m found }
    default_backend app
backend api
    balance uri
    http-request set-header x-api yes
    use-server a2 if { query two }
    server a1 192.0.2.1:80
    server a2 192.0.2.2:80
    server a3 192.0.2.3:80 backup
backend app
    cookie srv insert indirect
    server b1 192.0.2.4:80 cookie one
    server b2 192.0.2.5:80 cookie two
";

fn told(request: &str, source: &str) -> Explanation {
    told_by(TEXT, request, source)
}

fn told_by(text: &str, request: &str, source: &str) -> Explanation {
    let outcome = load_text("why.cfg", text, MemoryLoader::new());
    let model = outcome
        .model
        .unwrap_or_else(|| panic!("{:?}", outcome.diagnostics));
    let text = format!("{request}\r\n\r\n");
    let question = Question {
        frontend: FrontendId(0),
        head: explain::read(text.as_bytes()).expect("a request"),
        body: Vec::new(),
        source: format!("{source}:4000").parse().ok(),
        destination: None,
        now: Now::default(),
    };
    explain::request(&Plane::build(model, None), &question)
}

#[test]
fn the_way_of_a_request_is_told() {
    for (request, source, backend, server, outcome) in [
        (
            "GET / HTTP/1.1\r\nHost: a",
            "192.0.2.9",
            Some("app"),
            Some("b1"),
            "by 'balance roundrobin'",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nCookie: srv=two",
            "192.0.2.9",
            Some("app"),
            Some("b2"),
            "the cookie 'srv' names",
        ),
        (
            "GET /api?two HTTP/1.1\r\nHost: a",
            "192.0.2.9",
            Some("api"),
            Some("a2"),
            "the rule at why.cfg:20",
        ),
        (
            "GET /x HTTP/1.1\r\nHost: API.test",
            "192.0.2.9",
            Some("api"),
            None,
            "'balance uri' of '/x'",
        ),
        (
            "GET /x HTTP/1.1\r\nHost: a\r\nX-To: api",
            "192.0.2.9",
            Some("api"),
            None,
            "sent to api/",
        ),
        (
            "GET /admin HTTP/1.1\r\nHost: a",
            "192.0.2.9",
            None,
            None,
            "answered with 429 by why.cfg:12",
        ),
        (
            "GET /admin HTTP/1.1\r\nHost: a",
            "10.1.1.1",
            Some("app"),
            Some("b1"),
            "sent to app/b1",
        ),
        (
            "GET /old HTTP/1.1\r\nHost: a",
            "192.0.2.9",
            None,
            None,
            "answered with 302 by why.cfg:13",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a",
            "192.0.2.66",
            None,
            None,
            "closed without an answer",
        ),
    ] {
        let told = told(request, source);
        assert_eq!(told.backend.as_deref(), backend, "{request}");
        if server.is_some() || backend.is_none() {
            assert_eq!(told.server.as_deref(), server, "{request}");
        }
        assert!(
            told.outcome.contains(outcome),
            "{request}: {}",
            told.outcome
        );
    }
}

#[test]
fn each_rule_is_told_with_its_reasons() {
    let told = told("GET /admin/x HTTP/1.1\r\nHost: a", "10.1.1.1");
    let lines: Vec<_> = told.steps.iter().map(|step| step.place.line).collect();
    assert_eq!(lines, [10, 11, 12, 13, 14, 15]);
    let deny = &told.steps[2];
    assert_eq!(&*deny.text, "http-request deny deny_status 429");
    assert_eq!(deny.result, StepResult::Skipped);
    let terms = &deny.condition[0];
    let names = terms
        .iter()
        .map(|term| (term.name.as_str(), term.negated, term.truth));
    let names: Vec<_> = names.collect();
    assert_eq!(
        names,
        [("admin", false, Truth::Pass), ("inside", true, Truth::Fail)]
    );
    assert_eq!(terms[0].clauses[0].values, ["/admin/x"]);
    assert_eq!(terms[1].clauses[0].values, ["10.1.1.1"]);
    let out: Vec<_> = told
        .candidates
        .iter()
        .map(|candidate| candidate.out)
        .collect();
    assert_eq!(out, [None, None]);
}

/// A story is told of what is looked at, and changes nothing: what counts is counted once.
#[test]
fn what_counts_is_counted_once() {
    let text = "\
frontend web
    mode http
    timeout client 1s
    bind :80
    stick-table type ip size 10 store gpc0
    http-request track-sc0 src
    http-request set-header x-a one if { sc0_inc_gpc0 gt 1 } or { req.hdr(x) a b } { src 192.0.2.1 }
    http-request set-header x-b %[sc0_get_gpc0]
    http-request deny if { sc0_get_gpc0 eq 1 } { req.hdr(x) b c }
";
    let told = told_by(
        text,
        "GET / HTTP/1.1\r\nHost: a\r\nX: a, b\r\nX: c",
        "192.0.2.9",
    );
    let condition = &told.steps[1].condition;
    assert_eq!(condition.len(), 2, "alternatives");
    assert_eq!(condition[0][0].clauses[0].values, ["1"]);
    assert_eq!(condition[1][0].clauses[0].values, ["a"], "enough");
    assert_eq!(condition[1][1].clauses[0].values, ["192.0.2.9"]);
    assert_eq!(told.steps[3].condition[0][0].clauses[0].values, ["1"]);
    assert_eq!(told.steps[3].condition[0][1].clauses[0].values, ["a", "b"]);
    assert!(told.outcome.contains("answered with 403"), "{told}");
    assert_eq!(
        told.to_string().matches("does not match").count(),
        2,
        "{told}"
    );
    assert!(
        told.to_json()
            .contains(r#""values":["a","b"],"matches":"yes""#)
    );
}

#[test]
fn what_is_no_request_is_told() {
    for (text, part) in [
        ("GET /", "not complete"),
        ("GET / HTTP/1.1\r\n x\r\n\r\n", "no acceptable"),
    ] {
        let error = explain::read(text.as_bytes()).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}
