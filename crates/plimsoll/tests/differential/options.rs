//! Options that change what is passed on, and what is said to clients that send nothing.

use crate::stage::{Case, case, get, play};

/// A request whose trailers say something.
const TRAILED: &str = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-name: a\r\nx-b: c\r\n\r\n";
/// A response of the same kind.
const TRAILING: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-name: a\r\nx-b: c\r\n\r\n";

/// A client that shows its answers byte by byte.
fn raw(case: Case, request: &str) -> Case {
    let request = request.to_owned();
    case.talk(move |stage| {
        let mut client = stage.client();
        client.send(&request);
        client.rest();
        stage.done(client);
    })
    .lines(1)
}

/// `option h1-case-adjust-bogus-client` and `-server`.
#[test]
fn names_of_fields_in_another_case() {
    let answer = "HTTP/1.1 200 OK\r\nx-name: x-name: 1\r\nX-Name: 2\r\nx-names: 3\r\ncontent-length: 2\r\n\r\nok";
    let request = "GET / HTTP/1.1\r\nHost: x\r\nX-NAME: 1\r\nx-other: x-name\r\n\r\n";
    let both = "server s1 {s1};option h1-case-adjust-bogus-server";
    let last = format!(
        "{}connection: close\r\n\r\n",
        request.trim_end_matches("\r\n").to_owned() + "\r\n"
    );
    let client = "option h1-case-adjust-bogus-client";
    let own = "http-request return status 200 hdr x-name 1 content-type text/plain string ok";
    play(vec![
        raw(case("case-as-it-is").says(answer), &last),
        raw(case("case-client").front(client).says(answer), &last),
        raw(case("case-server").back(both).says(answer), &last),
        case("case-both")
            .front(client)
            .back(both)
            .sends(request.repeat(3), 3)
            .says(answer),
        raw(
            case("case-own-answers").front(&format!("{client};{own}")),
            &last,
        ),
        raw(
            case("case-trailers")
                .front(client)
                .back(both)
                .says(TRAILING),
            &TRAILED.replace("Host: x", "Host: x\r\nConnection: close"),
        ),
        case("case-body")
            .back(both)
            .sends(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n\r\nx-name: 1\r\n\r\n",
                1,
            )
            .says(answer),
    ]);
}

/// `option http-drop-request-trailers` and `-response-trailers`.
#[test]
fn trailers_that_are_dropped() {
    let (front, back) = (
        "option http-drop-response-trailers",
        "server s1 {s1};option http-drop-request-trailers",
    );
    play(vec![
        case("trailers-pass").sends(TRAILED, 1).says(TRAILING),
        case("trailers-dropped")
            .front(front)
            .back(back)
            .sends(TRAILED.repeat(2), 2)
            .says(TRAILING),
        case("trailers-dropped-late")
            .front(front)
            .back(back)
            .talk(|stage| {
                let mut client = stage.client();
                let (head, rest) = TRAILED.split_at(TRAILED.find("3\r\n").unwrap_or_default());
                client.send(head);
                crate::stage::moment();
                client.send(rest);
                client.answer();
                stage.done(client);
            })
            .says(TRAILING),
    ]);
}

/// `option checkcache`.
#[test]
fn unusual_names_of_fields() {
    const REQUEST: &str =
        "GET / HTTP/1.1\r\nHost: x\r\nX_Name: 1\r\nx-name: 2\r\nx.y: 3\r\nx-end_: 4\r\n\r\n";
    let option = |how: &str| format!("option http-restrict-req-hdr-names {how}");
    let mut cases = Vec::new();
    for how in ["preserve", "delete", "reject"] {
        let back = format!("server s1 {{s1}};{}", option(how));
        cases.push(
            case(format!("names-front-{how}"))
                .front(&option(how))
                .sends(REQUEST, 1),
        );
        cases.push(
            case(format!("names-back-{how}"))
                .back(&back)
                .sends(REQUEST, 1),
        );
        let rules = format!(
            "{};http-request set-header y_z 1 if {{ hdr(x_name) 1 }}",
            option(how)
        );
        cases.push(
            case(format!("names-rules-{how}"))
                .front(&rules)
                .sends(REQUEST, 1),
        );
    }
    cases.push(
        case("names-usual")
            .front(&option("reject"))
            .sends(get("/"), 1),
    );
    play(cases);
}

#[test]
fn cookies_that_caches_could_keep() {
    let answer = |name: &str, status: &str, fields: &str| {
        let back = "server s1 {s1};option checkcache";
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n{fields}\r\n");
        case(format!("cache-{name}"))
            .back(back)
            .sends(get("/"), 1)
            .says(&text)
    };
    // HAProxy sends its page of an error with the status that the server has said.
    let refused = |case: Case| {
        case.except("HTTP/1.1 200", "HTTP/1.1 502")
            .except("HTTP/1.1 500", "HTTP/1.1 502")
            .except("N/N/N/N/N 200", "N/N/N/N/N 502")
            .except("N/N/N/N/N 500", "N/N/N/N/N 502")
    };
    let cookie = "set-cookie: a=b\r\n";
    let fresh = |control: &str| format!("{cookie}etag: \"a\"\r\ncache-control: {control}\r\n");
    play(vec![
        answer("none", "200 OK", "etag: \"a\"\r\n"),
        refused(answer(
            "cookie",
            "200 OK",
            &format!("{cookie}etag: \"a\"\r\n"),
        )),
        answer("unmarked", "200 OK", cookie),
        answer("500", "500 No", &format!("{cookie}etag: \"a\"\r\n")),
        refused(answer("500-public", "500 No", &fresh("public"))),
        refused(answer("public", "200 OK", &fresh("public"))),
        answer("private", "200 OK", &fresh("private")),
        answer("no-store", "200 OK", &fresh("max-age=5, no-store")),
        refused(answer(
            "max-age",
            "200 OK",
            &format!("{cookie}cache-control: max-age=5\r\n"),
        )),
        answer("max-age-0", "200 OK", &fresh("max-age=0")),
        refused(answer(
            "s-maxage",
            "200 OK",
            &fresh("max-age=0, s-maxage=9"),
        )),
        answer("set-cookie", "200 OK", &fresh("no-cache=\"set-cookie\"")),
        answer(
            "pragma",
            "200 OK",
            &format!("{cookie}etag: \"a\"\r\npragma: no-cache\r\n"),
        ),
        case("cache-post")
            .back("server s1 {s1};option checkcache")
            .sends(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
                1,
            )
            .says(&format!(
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{cookie}etag: \"a\"\r\n\r\n"
            )),
        case("cache-own-cookie")
            .back("cookie SRV insert;server s1 {s1} cookie a;option checkcache")
            .sends(get("/"), 1)
            .says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\netag: \"a\"\r\n\r\n"),
        case("cache-own-cookie-nocache")
            .back("cookie SRV insert nocache;server s1 {s1} cookie a;option checkcache")
            .sends(get("/"), 1)
            .says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\netag: \"a\"\r\nset-cookie: b=c\r\n\r\n"),
    ]);
}

/// `option http-ignore-probes`: those that said something are answered all the same.
#[test]
fn clients_that_send_nothing() {
    let front = "option http-ignore-probes;timeout http-request 300ms";
    play(vec![
        case("probe-that-waits")
            .front(front)
            .talk(|stage| {
                let mut client = stage.client();
                client.rest();
                stage.done(client);
            })
            .lines(0),
        case("probe-that-ends")
            .front(front)
            .talk(|stage| {
                let mut client = stage.client();
                client.finish();
                client.rest();
                stage.done(client);
            })
            .lines(0),
        case("probe-that-begins")
            .front(front)
            .talk(|stage| {
                let mut client = stage.client();
                client.send("GE");
                client.answer();
                stage.done(client);
            })
            .lines(1),
        case("probe-later").front(front).talk(|stage| {
            let mut client = stage.client();
            client.send(get("/"));
            client.answer();
            client.rest();
            stage.done(client);
        }),
    ]);
}

/// `option http-use-proxy-header`: whoever asks a proxy is asked for a password as one is.
#[test]
fn passwords_for_proxies() {
    let front =
        "option http-use-proxy-header;http-request auth realm r unless { http_auth(nobody) }";
    let without = "http-request auth realm r unless { http_auth(nobody) }";
    let absolute = "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n";
    play(vec![
        case("proxy-asked").front(front).sends(absolute, 1),
        case("origin-asked").front(front).sends(get("/"), 1),
        case("all-asked").front("option http-use-proxy-header;http-request auth realm r unless { http_auth(nobody) }").sends("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 1),
        case("proxy-asked-otherwise").front(without).sends(absolute, 1),
    ]);
}
