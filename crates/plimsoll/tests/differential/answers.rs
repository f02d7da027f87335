//! What the proxy says itself, in which order, and what its lines call that; and what it adds to requests.

use crate::rig::Rig;
use crate::stage::{case, get, play};

/// Whether a refusal comes with a page depends on how it is written.
#[test]
fn refusals_with_a_page_and_without() {
    let rules = [
        ("deny-bare", "http-request deny"),
        ("deny-status", "http-request deny status 429"),
        ("deny-deny_status", "http-request deny deny_status 429"),
        (
            "deny-page",
            "http-request deny status 429 default-errorfiles",
        ),
        ("deny-field", "http-request deny deny_status 404 hdr x-a b"),
        (
            "deny-page-and-field",
            "http-request deny status 404 default-errorfiles hdr x-a b",
        ),
        (
            "deny-text",
            "http-request deny status 429 content-type text/plain string no",
        ),
        ("tarpit-bare", "timeout tarpit 10ms;http-request tarpit"),
        (
            "tarpit-status",
            "timeout tarpit 10ms;http-request tarpit status 429",
        ),
        (
            "tarpit-deny_status",
            "timeout tarpit 10ms;http-request tarpit deny_status 429",
        ),
        ("return-status", "http-request return status 404"),
        (
            "return-page",
            "http-request return status 404 default-errorfiles",
        ),
        ("refuse-response", "http-response deny"),
        ("refuse-response-status", "http-response deny status 404"),
        ("return-response", "http-response return status 404"),
    ];
    let case = |(name, front): (&str, &str)| case(name).front(front).sends(get("/"), 1);
    play(rules.map(case).into());
}

/// A file may say what it likes: lines and counters tell the status of the error, and the connection goes on where the
/// response says where it ends.
#[test]
fn files_that_answer() {
    let rig = Rig::new();
    let file = |name: &str, head: &str| {
        let text = format!("HTTP/1.1 {head}\r\nContent-Type: text/html\r\n\r\nsorry");
        rig.file(name, &text).display().to_string()
    };
    let other = file("other", "200 Fine\r\nContent-Length: 5");
    let closing = file(
        "closing",
        "403 No\r\nContent-Length: 5\r\nConnection: close",
    );
    let endless = file("endless", "403 No");
    let twice = get("/a") + &get("/b");
    play(vec![
        case("file-of-another-status")
            .front(&format!("errorfile 403 {other};http-request deny"))
            .sends(twice.clone(), 2)
            .lines(2)
            .counted(),
        case("file-that-ends")
            .front(&format!("errorfile 403 {closing};http-request deny"))
            .sends(get("/a"), 1),
        case("file-without-length")
            .front(&format!("errorfile 403 {endless};http-request deny"))
            .except(
                "connection: close \"sorry\", then the end",
                "content-length: 5 | connection: close \"sorry\"",
            )
            .sends(get("/a"), 1),
        case("file-of-a-rule")
            .front(&format!("http-request return status 403 errorfile {other}"))
            .sends(twice.clone(), 2)
            .lines(2)
            .counted(),
        case("place-of-an-error")
            .front("errorloc303 403 http://x/;http-request deny")
            .sends(twice.clone(), 2)
            .lines(2)
            .counted(),
        case("status-set-later")
            .front(&format!(
                "errorfile 403 {other};http-request deny;http-after-response set-status 418"
            ))
            .sends(twice, 2)
            .lines(2)
            .counted(),
    ]);
}

#[test]
fn answers_and_additions() {
    play(vec![
        case("redirect-302")
            .front("http-request redirect location /b code 302 set-cookie a=b")
            .sends(get("/a"), 1),
        // Files have fields behind the place: HAProxy sends what is written.
        case("redirect-fields")
            .front("http-request redirect location \"http://y%[path]\\r\\nx-a: %[method]\\r\\nx-b: c\" code 301")
            .sends(get("/a"), 1),
        case("redirect-plain-fields")
            .front("redirect location \"http://y/\\r\\nx-a: b\"")
            .sends(get("/a"), 1),
        case("redirect-plain")
            .front("redirect location http://y/%[path]%20a?%%")
            .sends(get("/a?b"), 1),
        case("normalize-strict")
            .front("http-request normalize-uri percent-to-uppercase strict")
            .sends(get("/%zz"), 1),
        case("redirect-301").front("redirect prefix /b code 301").sends(get("/a?b"), 1),
        case("return-typed")
            .front("http-request return status 200 content-type text/plain string ok hdr x-a b")
            .sends(get("/a"), 1),
        case("return-bare").front("http-request return status 200 hdr x-a b").sends(get("/a"), 1),
        case("set-header-moves")
            .front("http-request set-header host elsewhere;http-request set-header x-a b")
            .sends("GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-B: 2\r\nX-A: 3\r\n\r\n", 1),
        case("send-name-moves")
            .back("http-send-name-header x-a;server s1 {s1}")
            .sends("GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-B: 2\r\n\r\n", 1),
        case("labelled-packets")
            .front("http-request set-tos 0x20;http-request set-mark 7;http-request set-header x-a b")
            .sends(get("/"), 1),
        case("captured-on-the-way")
            .front("declare capture request len 3;declare capture response len 9;http-request set-var(txn.a) path,capture-req(0),upper;\
                http-response set-var(txn.b) status,capture-res(0);http-response set-header x-a %[capture.req.uri,capture-req(7)]%[var(txn.a)]")
            .sends(get("/abcd"), 1),
        case("originalto-alone").front("option originalto").sends(get("/"), 1),
        case("exporter")
            .front("http-request return status 200 if { path /a };http-request use-service prometheus-exporter if { path /m }")
            .talk(|stage| {
                let mut client = stage.client();
                client.send("HEAD /m?scope=global HTTP/1.1\r\nHost: x\r\n\r\n");
                client.answer_to("HEAD");
            })
            .lines(1),
        case("stats-page").front("stats uri /s").talk(|stage| {
            let mut client = stage.client();
            client.send("HEAD /s HTTP/1.1\r\nHost: x\r\n\r\n");
            client.answer_to("HEAD");
        }).lines(1),
        case("monitor-with-a-query").front("monitor-uri /m").sends(get("/m") + &get("/m?q"), 2).lines(1),
    ]);
}

/// `redir` of servers.
#[test]
fn servers_that_are_elsewhere() {
    let back = "server s1 {s1} redir http://images.example.org";
    let post = "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na";
    let after = "http-after-response set-header x-a b";
    play(vec![
        case("redir").back(back).sends(get("/a?b=c") + &get("/"), 2),
        case("redir-post").back(back).sends(post.to_owned() + &get("/a"), 2),
        case("redir-same").back("server s1 {s1} redir /").sends(get("/a"), 1),
        case("redir-absolute")
            .back(back)
            .sends("GET http://x/a?b HTTP/1.1\r\nHost: x\r\n\r\n", 1),
        case("redir-rewritten")
            .front(&format!("http-request set-path /c;{after}"))
            .back("cookie SRV insert;server s1 {s1} cookie a redir http://images.example.org")
            .sends(get("/a"), 1),
        case("redir-head").back(back).talk(|stage| {
            let mut client = stage.client();
            client.send("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
            client.answer_to("HEAD");
            stage.done(client);
        }),
        case("redir-of-one")
            .back("balance roundrobin;server s1 {s1} redir http://images.example.org weight 1;server s2 {s1} weight 1")
            .sends(get("/a") + &get("/b") + &get("/c"), 3)
            .whichever(),
    ]);
}

/// `set-headers-bin` and its like, with lists that clients send in Base64.
#[test]
fn lists_of_fields() {
    let request = |list: &str| {
        format!(
            "GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-B: 2\r\nX-A: 3\r\nY: 4\r\nL: {list}\r\n\r\n"
        )
    };
    // x-a: 9, x-c without a value, content-length: 5, x-a: 8
    let list = "A3gtYQE5A3gtYwAOY29udGVudC1sZW5ndGgBNQN4LWEBOAAA";
    // x-, y, b, host
    let names = "AngtAXkBYgRob3N0AA==";
    let case = |name: &str, rule: &str, list: &str| {
        let rule = format!("http-request {rule};http-request del-header l");
        case(name).front(&rule).sends(request(list), 1)
    };
    let value = "req.hdr(l),b64dec";
    let restored = "http-request set-var(txn.h) req.hdrs_bin;http-request del-header x-a;http-request del-header host;\
        http-request set-headers-bin var(txn.h)";
    let replayed = "http-response set-var(txn.h) res.hdrs_bin;http-response del-header x-b;\
        http-after-response add-headers-bin var(txn.h) prefix x-";
    play(vec![
        case("list-added", &format!("add-headers-bin {value}"), list),
        case("list-set", &format!("set-headers-bin {value}"), list),
        case(
            "list-set-prefix",
            &format!("set-headers-bin {value} prefix x-a"),
            list,
        ),
        case(
            "list-prefix-case",
            &format!("set-headers-bin {value} prefix X-A"),
            list,
        ),
        case("list-empty", &format!("set-headers-bin {value}"), "AAA="),
        case("list-none", "set-headers-bin var(txn.none)", list),
        // HAProxy tells this mistake from others that rules run into.
        case(
            "list-unended",
            &format!("add-headers-bin {value}"),
            "AXoBMQ==",
        )
        .except("IR--", "PR--"),
        case("list-cut", &format!("add-headers-bin {value}"), "CXoBMQAA"),
        case(
            "list-cut-lenient",
            &format!("strict-mode off;http-request add-headers-bin {value}"),
            "CXoBMQAA",
        ),
        case(
            "list-no-name",
            &format!("add-headers-bin {value}"),
            "AAExAAA=",
        ),
        case("list-deleted", &format!("del-headers-bin {value}"), names),
        case(
            "list-deleted-beg",
            &format!("del-headers-bin {value} -m beg"),
            names,
        ),
        case(
            "list-deleted-end",
            &format!("del-headers-bin {value} -m end"),
            names,
        ),
        case(
            "list-deleted-sub",
            &format!("del-headers-bin {value} -m sub"),
            names,
        ),
        crate::stage::case("list-restored")
            .front(restored)
            .sends(request("1"), 1),
        crate::stage::case("list-replayed")
            .front(replayed)
            .says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-a: 1\r\nx-b: 2\r\n\r\n")
            .sends(request("1"), 1),
    ]);
}

/// Connections of a TCP frontend that become ones of HTTP, by a rule or by the backend they are led to.
#[test]
fn tcp_that_becomes_http() {
    // HAProxy counts bytes of its own notation for such requests.
    let delay = "mode tcp;log-format %ci:%cp\\ [%tr]\\ %ft\\ %b/%s\\ %ST\\ %tsc\\ %[var(txn.a)];tcp-request inspect-delay 3s";
    let both = get("/one") + &get("/two");
    let switch = |name: &str, rules: &str| case(name).front(&format!("{delay};{rules}"));
    play(vec![
        switch(
            "switched",
            "tcp-request content switch-mode http if HTTP;tcp-request content reject;\
             http-request set-header x-a %[path]%[http_first_req]",
        )
        .sends(&both, 2),
        switch(
            "switched-and-denied",
            "tcp-request content switch-mode http if HTTP;http-request deny if { path /two }",
        )
        .sends(&both, 2),
        switch(
            "switched-bad-request",
            "tcp-request content switch-mode http",
        )
        .sends("GET / BAD\r\n\r\n", 1),
        switch(
            "switched-to-http1-alone",
            "tcp-request content switch-mode http proto h1",
        )
        .sends("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 1)
        .except(
            "no-cache | content-length",
            "no-cache | connection: close | content-length",
        ),
        switch(
            "not-switched",
            "tcp-request content switch-mode http if HTTP;tcp-request content reject",
        )
        .sends("HELLO YOU\r\n\r\n", 0)
        .lines(1)
        // A status that was never there: 0 here, as for all that was not HTTP.
        .except("<NOSRV> -1 ", "<NOSRV> N "),
        switch(
            "led-to-http",
            "tcp-request content set-var(txn.a) path if HTTP",
        )
        .sends(&both, 2),
        switch(
            "led-to-http-by-rules",
            "tcp-request content reject if { path /two };tcp-request content accept if HTTP",
        )
        .sends(&both, 1)
        .lines(2),
    ]);
}

/// Samples of HTTP in TCP mode read the first bytes as a request.
#[test]
fn requests_in_tcp_mode() {
    let by_path = "mode tcp;option tcplog;tcp-request inspect-delay 3s;tcp-request content reject if { path /no };\
        tcp-request content accept if HTTP;tcp-request content reject";
    let tcp = |name: &str, front: &str| case(name).front(front).back("mode tcp;server s1 {s1}");
    play(vec![
        tcp("tcp-http", by_path).sends("GET /yes HTTP/1.1\r\nHost: x\r\n\r\n", 1),
        tcp("tcp-http-rejected", by_path)
            .sends(get("/no"), 0)
            .lines(1),
        tcp("tcp-other", by_path)
            .sends("\x16\x03\x01 and so on\r\n\r\n", 0)
            .lines(1),
        tcp("tcp-http-in-parts", by_path)
            .talk(|stage| {
                let mut client = stage.client();
                client.send("GET /no HTT");
                crate::stage::moment();
                client.send("P/1.1\r\nHost: x\r\n\r\n");
                client.finish();
                client.rest();
                stage.done(client);
            })
            .lines(1),
    ]);
}

/// What is not there when an error is answered is empty.
#[test]
fn formats_know_what_is_there() {
    let format = "content-type text/plain lf-string \"s=%[status] h=%[res.hdr(a)] n=%[srv_name] m=%[method] b=%[be_name]\"";
    let front = format!(
        "http-error status 429 {format};http-error status 403 {format};http-error status 503 {format};\
         http-request deny deny_status 429 if {{ path /early }};\
         http-response deny deny_status 403 if {{ path_len ge 0 }} || {{ res.hdr(a) -m found }}"
    );
    let says = "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\nok";
    play(vec![
        case("format-of-early-error")
            .front(&front)
            .says(says)
            .sends(get("/early"), 1),
        case("format-of-late-error")
            .front(&front)
            .says(says)
            .except("content-length: 42", "content-length: 46")
            .except("s= h= n=s1", "s=200 h=b n=s1")
            .sends(get("/late"), 1),
        case("format-without-server")
            .front(&front)
            .back("retries 0;server s1 {dead}")
            .sends(get("/"), 1),
    ]);
}
