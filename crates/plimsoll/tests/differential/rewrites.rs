//! Redirects, and what rules make of fields and targets, in all forms: many rules in one frontend, each for the requests
//! that name it.

use crate::stage::{Case, case, play};

/// A frontend with these rules, in which `{}` is where the condition stands, and requests that meet each of them.
fn each(name: &str, rules: &[&str], requests: &[&str]) -> Case {
    let mut front = "http-request set-var(txn.rule) req.hdr(rule)".to_owned();
    for (number, rule) in rules.iter().enumerate() {
        let condition = format!("if {{ var(txn.rule) -m str {number} }}");
        front += &format!(";{}", rule.replace("{}", &condition));
    }
    let requests: Vec<String> = requests.iter().map(|request| request.to_string()).collect();
    let count = rules.len();
    case(name)
        .front(&front)
        .back("http-reuse always;server s1 {s1}")
        .says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-List: a , b,\"a,b\",,a\r\nX-List: b\r\n\r\nok")
        .talk(move |stage| {
            for number in 0..count {
                let mut client = stage.client();
                for request in &requests {
                    client.send(written(request, number));
                    client.answer();
                }
                stage.done(client);
            }
        })
}

/// A request for one of the rules; fields stand behind `|`.
fn written(request: &str, rule: usize) -> String {
    let (line, fields) = request.split_once('|').unwrap_or((request, ""));
    let fields = fields.split_terminator('|');
    let fields: String = fields.map(|field| format!("{field}\r\n")).collect();
    format!("{line} HTTP/1.1\r\nHost: x.org\r\nRule: {rule}\r\n{fields}\r\n")
}

const PLACES: [&str; 13] = [
    "GET /",
    "GET /a",
    "GET /a/",
    "GET /a?",
    "GET /a?x=1",
    "GET /a/?x=1",
    "GET //a",
    "GET /?",
    "GET http://x.org/a?b",
    "GET /a;b%20c",
    "GET /a|T: /",
    "GET /a?b|T: http://z/?q",
    "GET /a?b|T: z?",
];

#[test]
fn redirects() {
    let rules = [
        "http-request redirect prefix / {}",
        "http-request redirect prefix %[req.hdr(nope)] ignore-empty {}",
        "http-request redirect prefix /p append-slash {}",
        "http-request redirect prefix /p append-slash drop-query code 301 {}",
        "http-request redirect prefix %[req.hdr(t)] {}",
        "http-request redirect prefix %[req.hdr(t)] append-slash {}",
        "http-request redirect scheme https append-slash {}",
        "http-request redirect scheme %[req.hdr(t)] drop-query {}",
        "http-request redirect location %[path] set-cookie A=%[path] clear-cookie B= {}",
    ];
    let with_queries = [
        "http-request redirect location /l keep-query {}",
        "http-request redirect location /l?z keep-query append-slash {}",
        "http-request redirect location /l? keep-query {}",
        "http-request redirect location %[req.hdr(t)] keep-query ignore-empty {}",
        "http-request redirect prefix /p keep-query {}",
    ];
    play(vec![
        each("redirects", &rules, &PLACES),
        each("redirects-with-queries", &with_queries, &PLACES),
        each(
            "redirects-without-path",
            &rules,
            &["GET http://x.org", "GET http://x.org?a"],
        ),
        each(
            "redirects-late",
            &["http-response redirect location /late?%[var(txn.rule)] code 303 {}"],
            &["GET /a?b"],
        ),
        each(
            "redirects-with-cookies",
            &["http-request redirect location /l set-cookie-fmt A=%[path] code 307 {}"],
            &PLACES,
        ),
        // A line of its own comes behind all others, and takes where to go as it is written.
        each(
            "redirects-prefix",
            &["redirect prefix / append-slash {}"],
            &PLACES,
        ),
        each(
            "redirects-location",
            &["redirect location /l%[path] code 308 {}"],
            &PLACES,
        ),
    ]);
}

#[test]
fn values_of_lists() {
    let values: Vec<String> = [
        "a,b",
        "a, b",
        "a ,b",
        " a , b ",
        "a,,b",
        ",a",
        ",",
        "a,",
        "\"a,b\",c",
        "a;b,c",
        "a b",
        "a , ,b",
        "a,\"b",
        "a,b\\,c",
        "\"a\\\"b,c\",d",
    ]
    .iter()
    .map(|value| format!("GET /|X-List: {value}"))
    .collect();
    let mut requests: Vec<&str> = values.iter().map(String::as_str).collect();
    requests.push("GET /|X-List: a,b|Other: 1|X-List: b,a");
    let mut rules = Vec::new();
    for (found, made) in [
        ("a", "X"),
        ("^a$", "<\\0>"),
        ("(a)(b)?", "\\1-\\2"),
        ("^$", "e"),
        (".*", "%[str()]"),
        ("b", "x,y"),
        ("^.$", "%[src]"),
        ("\"", "\\\\"),
        (" ", "\\9"),
    ] {
        for (when, what) in [
            ("request", "value"),
            ("request", "header"),
            ("response", "value"),
            ("response", "header"),
        ] {
            rules.push(format!(
                "http-{when} replace-{what} x-list '{found}' '{made}' {{}}"
            ));
        }
    }
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    play(vec![each("lists", &rules, &requests)]);
}

#[test]
fn targets() {
    let requests = [
        "GET /",
        "GET /a/b?x=1",
        "GET /a?",
        "GET /a?b?c",
        "GET http://x.org/a?b",
        "GET /a%20b",
        "GET //",
        "OPTIONS *",
    ];
    let mut rules = Vec::new();
    for what in ["path", "pathq"] {
        for (found, made) in [
            ("a", "X"),
            ("^/(.*)$", "/<\\1>"),
            (".*", "/x?y"),
            ("(.)$", "\\1\\1"),
            ("\\?", "q"),
            ("/", "\\\\"),
        ] {
            rules.push(format!(
                "http-request replace-{what} '{found}' '{made}' {{}}"
            ));
        }
        for made in ["X", "/x", "/x?y", "*", "%[path,lower]z", "/%[query]"] {
            rules.push(format!("http-request set-{what} '{made}' {{}}"));
        }
    }
    for made in ["X", "%[str()]", "?y", "y?z", "%[path]", "a=1&b"] {
        rules.push(format!("http-request set-query '{made}' {{}}"));
    }
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    play(vec![each("targets", &rules, &requests)]);
}

/// What is gone by then never matches, whatever is still in memory by chance.
#[test]
fn conditions_on_what_is_gone() {
    let rules = [
        "http-response set-header x-a yes if { req.hdr(rule) -m found }",
        "http-response set-header x-b yes unless { path /a }",
        "http-response set-header x-c yes if { method GET }",
        "http-request set-header x-d yes unless { res.hdr(a) -m found }",
        "http-request set-header x-e yes unless { status 200 }",
        "http-after-response set-header x-f yes if !{ path /a }",
        "acl here path /a;http-response set-header x-g yes if !here {}",
        "acl here path /a;http-response set-header x-h yes if here",
    ];
    let rules: Vec<String> = rules.iter().map(|rule| rule.replace(" {}", "")).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    play(vec![each(
        "conditions-on-what-is-gone",
        &rules,
        &["GET /a", "GET /b"],
    )]);
}

/// What a rule makes of the method is for servers; rules go on with the one that was asked with.
#[test]
fn methods_that_rules_make() {
    let told = ";http-request set-header x-method %[method] {};http-request set-header x-is %[method,length] {}";
    let rules = [
        "http-request set-method PUT {}",
        "http-request set-method FOO {}",
        "http-request set-path /x {}",
        "http-request set-method PUT {};http-request set-method PATCH {}",
    ];
    let rules: Vec<String> = rules.iter().map(|rule| rule.to_string() + told).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let requests = ["GET /a", "BAR /a", "PATCH /a", "DELETE /a"];
    play(vec![each("methods-made", &rules, &requests)]);
}

/// A target that names a host names the one that a rule has put into its field: whoever asks so cannot keep another one.
#[test]
fn targets_follow_hosts() {
    let told = ";http-request set-header x-url %[url] {};http-request set-header x-base %[base] {}";
    let rules = [
        "http-request set-header Host new.org {}",
        "http-request set-header host new.org:81 {};http-request set-path /p {}",
        "http-request replace-header Host (.*) pre.\\1 {}",
        "http-request replace-value Host x new {}",
        "http-request del-header Host {};http-request set-header Host other {}",
    ];
    let rules: Vec<String> = rules.iter().map(|rule| rule.to_string() + told).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let requests = [
        "GET http://x.org/a?b=c",
        "GET http://x.org/",
        "GET /a?u=http://x.org/",
    ];
    play(vec![each("targets-follow-hosts", &rules, &requests)]);
}
