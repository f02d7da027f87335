//! Stick tables through the real binary: limits, persistence, the counts in between, and the recipes of the documentation.

use std::fs;
use std::thread;

use crate::rig::client::{Client, Response};
use crate::rig::origin::{Origin, Reply};
use crate::rig::{Rig, ask, free_address, plimsoll, until, workspace};

/// A balancer with a command socket and these sections; `{listen}` stands for its address.
fn start(rig: &mut Rig, sections: &str) {
    let socket = rig.path("admin.sock");
    rig.config(&format!(
        "global\n    stats socket {} level admin\n    nbthread 2\n\
         defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n{sections}",
        socket.display()
    ));
}

fn request(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: rig\r\n{fields}\r\n")
}

fn get(rig: &Rig, path: &str, fields: &str) -> Response {
    let mut client = rig.client();
    client.send(request(path, fields));
    client.response()
}

fn table(rig: &Rig, line: &str) -> String {
    ask(&rig.path("admin.sock"), line)
}

/// The value behind `name=` in the only entry of an answer.
fn value(answer: &str, name: &str) -> Option<u64> {
    let mut words = answer.split_whitespace();
    let text = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
    text.parse().ok()
}

/// The block of a page of the documentation that begins with this line, listening where the rig wants it.
fn recipe(page: &str, first: &str) -> String {
    let path = workspace().join("docs").join(page);
    let page = fs::read_to_string(path).expect("the page");
    let lines = page.lines().skip_while(|line| *line != first);
    let block = lines.take_while(|line| !line.starts_with("```"));
    block
        .map(|line| match line.trim().starts_with("bind ") {
            true => "    bind {listen}\n".to_owned(),
            false => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn what_the_documentation_shows_loads() {
    let rig = Rig::new();
    let mut shown = 0;
    for page in ["rate-limiting.md", "persistence.md", "canary.md"] {
        let text = fs::read_to_string(workspace().join("docs").join(page)).expect("the page");
        for block in text.split("```").skip(1).step_by(2) {
            if block.trim_start().starts_with('$') {
                continue;
            }
            let app = "backend app\n    server a 127.0.0.1:80\n";
            let whole = format!(
                "defaults\n    mode http\n    timeout connect 20s\n    timeout client 1s\n    timeout server 1s\n{block}{}",
                if block.contains("\nbackend app\n") {
                    ""
                } else {
                    app
                }
            );
            let file = rig.file("recipe.cfg", &whole);
            let checked = plimsoll(&["check", file.to_str().expect("a path")]);
            assert!(
                checked.status == Some(0),
                "{whole}\n{}{}",
                checked.stdout,
                checked.stderr
            );
            shown += 1;
        }
    }
    assert!(shown >= 10, "only {shown} recipes were found");
}

/// What several clients at once are answered to `each` requests each.
fn hammer(rig: &Rig, clients: usize, each: usize, fields: &str) -> Vec<u16> {
    let address = rig.address();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|_| {
                scope.spawn(move || {
                    let mut statuses = Vec::new();
                    let mut client = Client::connect(address);
                    for _ in 0..each {
                        client.send(request("/", fields));
                        let response = client.response();
                        statuses.push(response.status);
                        if response.field("connection") == Some("close") {
                            client = Client::connect(address);
                        }
                    }
                    statuses
                })
            })
            .collect();
        let joined = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        joined.collect()
    })
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|&&found| found == status).count()
}

#[test]
fn the_recipe_for_addresses_holds_under_load() {
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let text = recipe("rate-limiting.md", "frontend web");
    start(
        &mut rig,
        &format!("{text}backend app\n    {}\n", origin.server_line()),
    );
    let statuses = hammer(&rig, 8, 25, "");
    // All within one period, unless the machine is very slow; then more may pass. Fewer may pass only where requests are
    // counted on several workers between one's own count and its rule: each further worker can push one of the twenty over.
    let workers = thread::available_parallelism().map_or(1, usize::from);
    assert_eq!(statuses.len(), 200);
    assert_eq!(
        count(&statuses, 200) + count(&statuses, 429),
        200,
        "{statuses:?}"
    );
    assert!(count(&statuses, 200) > 20 - workers.min(8), "{statuses:?}");
    assert!(count(&statuses, 429) >= 100, "{statuses:?}");
    let seen = table(&rig, "show table web");
    assert!(seen.contains("key=::ffff:127.0.0.1 "), "{seen}");
    // The last answers may be there before their requests have let go of the entry, which is not cleared until then.
    assert!(until(|| table(&rig, "show table web").contains("use=0 ")));
    assert_eq!(table(&rig, "clear table web"), "\n");
    assert_eq!(get(&rig, "/", "").status, 200);
}

#[test]
fn the_recipe_for_keys_tells_clients_apart() {
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let text = recipe("rate-limiting.md", "frontend api");
    start(
        &mut rig,
        &format!("{text}backend app\n    {}\n", origin.server_line()),
    );
    assert_eq!(get(&rig, "/", "").status, 401);
    let greedy = hammer(&rig, 2, 40, "X-Api-Key: greedy\r\n");
    assert!(count(&greedy, 429) >= 20, "{greedy:?}");
    let modest = hammer(&rig, 1, 15, "X-Api-Key: modest\r\n");
    assert_eq!(count(&modest, 200), 15, "{modest:?}");
}

#[test]
fn what_clients_do_is_counted() {
    let mut rig = Rig::new();
    let origin = rig.origin_with("a", |request| match request.line.contains("/missing") {
        true => Reply::Send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()),
        false => Reply::ok("found"),
    });
    let sections = format!(
        "frontend web\n    bind {{listen}}\n    default_backend app\n\
         \x20   tcp-request connection track-sc0 src table t\n\
         \x20   http-request track-sc1 req.hdr(x-user) table users\n\
         \x20   http-request sc-inc-gpc0(1) if {{ path /mark }}\n\
         \x20   http-request deny if {{ path /denied }}\n\
         \x20   http-response set-header x-count %[sc1_http_req_cnt]\n\
         backend app\n    {}\n\
         backend t\n    stick-table type ip size 10 expire 1m store \
         conn_cnt,conn_cur,sess_cnt,http_req_cnt,http_err_cnt,http_fail_cnt,bytes_in_cnt,bytes_out_cnt\n\
         backend users\n    stick-table type string size 10 expire 1m store gpc0,http_req_cnt,http_err_cnt,conn_cur\n",
        origin.server_line()
    );
    start(&mut rig, &sections);
    // The connection by which the rig found the listener has been counted, and has gone.
    assert!(until(|| {
        let held = table(&rig, "show table t");
        (value(&held, "conn_cnt"), value(&held, "conn_cur")) == (Some(1), Some(0))
    }));
    assert_eq!(table(&rig, "clear table t"), "\n");
    let mut client = rig.client();
    for (path, status, count) in [
        ("/", 200, Some("1")),
        ("/missing", 404, Some("2")),
        ("/mark", 200, Some("3")),
        ("/denied", 403, None),
    ] {
        client.send(request(path, "X-User: joe doe\r\n"));
        let response = client.response();
        assert_eq!(
            (response.status, response.field("x-count")),
            (status, count),
            "{path}"
        );
    }
    assert!(until(|| value(
        &table(&rig, "show table users"),
        "conn_cur"
    ) == Some(0)));
    let users = table(&rig, "show table users");
    assert!(users.contains("key=joe\\ doe "), "{users}");
    for (name, expected) in [("gpc0", 1), ("http_req_cnt", 4), ("http_err_cnt", 2)] {
        assert_eq!(value(&users, name), Some(expected), "{name}: {users}");
    }
    // An answer is counted when its exchange ends, which is a moment after the client has it.
    assert!(until(|| {
        let held = table(&rig, "show table t");
        value(&held, "http_err_cnt") == Some(2)
            && value(&held, "bytes_in_cnt") >= Some(200)
            && value(&held, "bytes_out_cnt") >= Some(200)
    }));
    let held = table(&rig, "show table t");
    for (name, expected) in [
        ("use", 1),
        ("conn_cnt", 1),
        ("conn_cur", 1),
        ("sess_cnt", 1),
        ("http_req_cnt", 4),
        ("http_err_cnt", 2),
        ("http_fail_cnt", 0),
    ] {
        assert_eq!(value(&held, name), Some(expected), "{name}: {held}");
    }
    drop(client);
    assert!(until(
        || value(&table(&rig, "show table t"), "conn_cur") == Some(0)
    ));
}

#[test]
fn a_connection_too_many_is_refused_and_a_reload_forgets_nobody() {
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let sections = format!(
        "frontend web\n    bind {{listen}}\n    default_backend app\n\
         \x20   stick-table type ip size 10 expire 1m store conn_cur,gpc0\n\
         \x20   tcp-request connection track-sc0 src\n\
         \x20   tcp-request connection reject if {{ sc0_conn_cur gt 2 }}\n\
         backend app\n    {}\n",
        origin.server_line()
    );
    start(&mut rig, &sections);
    let connections = |rig: &Rig| value(&table(rig, "show table web"), "conn_cur");
    // The connection by which the rig found the listener has come, and gone.
    assert!(until(|| connections(&rig) == Some(0)));
    let mut kept: Vec<_> = (0..2).map(|_| rig.client()).collect();
    for client in &mut kept {
        client.send(request("/", ""));
        assert_eq!(client.response().status, 200);
    }
    assert!(rig.client().is_closed(), "the third one");
    table(&rig, "set table web key 127.0.0.1 data.gpc0 7");
    assert!(table(&rig, "reload").starts_with("Success=1"));
    assert_eq!(value(&table(&rig, "show table web"), "gpc0"), Some(7));
    // Whoever was refused has heard so before it is counted no more.
    assert!(until(|| connections(&rig) == Some(2)));
    drop(kept);
    assert!(until(|| connections(&rig) == Some(0)));
    assert_eq!(get(&rig, "/", "").status, 200);
}

/// Two servers, of which the answer tells which one it was.
fn pair(rig: &Rig) -> [Origin; 2] {
    ["a", "b"].map(|name| rig.origin(name))
}

#[test]
fn clients_come_back_to_their_servers() {
    let mut rig = Rig::new();
    let [a, b] = pair(&rig);
    let sections = format!(
        "frontend web\n    bind {{listen}}\n    default_backend app\n\
         backend app\n    balance roundrobin\n    stick-table type string len 20 size 100 expire 1m\n\
         \x20   stick on req.hdr(x-user)\n    {}\n    {}\n",
        a.server_line(),
        b.server_line()
    );
    start(&mut rig, &sections);
    let who = |user: &str| get(&rig, "/", &format!("X-User: {user}\r\n")).text();
    let users = ["joe", "ann", "eve", "bob"];
    let first: Vec<_> = users.iter().map(|user| who(user)).collect();
    assert!(
        first.contains(&"a".to_owned()) && first.contains(&"b".to_owned()),
        "{first:?}"
    );
    for _ in 0..3 {
        let again: Vec<_> = users.iter().map(|user| who(user)).collect();
        assert_eq!(again, first);
    }
    let shown = table(&rig, "show table app key joe");
    let (number, name) = (if first[0] == "a" { 1 } else { 2 }, &first[0]);
    assert_eq!(value(&shown, "server_id"), Some(number), "{shown}");
    assert!(shown.contains(&format!("server_key={name}")), "{shown}");

    // In maintenance it serves nobody, and its clients move for good.
    table(&rig, &format!("set server app/{name} state maint"));
    let moved = who("joe");
    assert_ne!(&moved, name);
    table(&rig, &format!("set server app/{name} state ready"));
    assert_eq!(who("joe"), moved);
    // Drained, it keeps those it has.
    table(&rig, &format!("set server app/{moved} state drain"));
    assert_eq!(who("joe"), moved);
}

#[test]
fn what_servers_say_is_remembered_too() {
    let mut rig = Rig::new();
    let [a, b] = ["a", "b"].map(|name| {
        rig.origin_with(name, move |_| {
            let head = format!(
                "HTTP/1.1 200 OK\r\nX-Session: s-{name}\r\nContent-Length: 1\r\n\r\n{name}"
            );
            Reply::Send(head.into_bytes())
        })
    });
    let sections = format!(
        "frontend web\n    bind {{listen}}\n    default_backend app\n\
         backend app\n    balance roundrobin\n    stick-table type string len 20 size 100 expire 1m srvkey addr\n\
         \x20   stick match req.hdr(x-session)\n    stick store-response res.hdr(x-session)\n    {}\n    {} non-stick\n",
        a.server_line(),
        b.server_line()
    );
    start(&mut rig, &sections);
    let ask_twice: Vec<_> = (0..2).map(|_| get(&rig, "/", "").text()).collect();
    assert!(ask_twice.contains(&"a".to_owned()) && ask_twice.contains(&"b".to_owned()));
    for _ in 0..4 {
        assert_eq!(get(&rig, "/", "X-Session: s-a\r\n").text(), "a");
    }
    let shown = table(&rig, "show table app");
    assert!(
        shown.contains("key=s-a ") && !shown.contains("key=s-b "),
        "{shown}"
    );
    assert!(shown.contains("server_key=127.0.0.1:"), "{shown}");
}

#[test]
fn a_remembered_server_that_is_gone_is_left_by_redispatch() {
    let mut rig = Rig::new();
    let alive = rig.origin("alive");
    let dead = free_address();
    let sections = format!(
        "frontend web\n    bind {{listen}}\n    default_backend app\n\
         backend app\n    balance first\n    retries 1\n    option redispatch\n\
         \x20   stick-table type ip size 100 expire 1m\n    stick on src\n\
         \x20   server dead {dead}\n    {}\n",
        alive.server_line()
    );
    start(&mut rig, &sections);
    table(&rig, "set table app key 127.0.0.1 data.server_id 1");
    assert_eq!(get(&rig, "/", "").text(), "alive");
    let shown = table(&rig, "show table app");
    assert_eq!(value(&shown, "server_id"), Some(2), "{shown}");
}

#[test]
fn tcp_sessions_come_back_too() {
    let mut rig = Rig::new();
    let origins = ["a", "b"].map(|name| {
        rig.origin_raw(name, move |mut stream| {
            use std::io::Write as _;
            let _ = stream.write_all(name.as_bytes());
        })
    });
    let [a, b] = &origins;
    let sections = format!(
        "listen relay\n    mode tcp\n    bind {{listen}}\n    balance roundrobin\n\
         \x20   stick-table type ip size 100 expire 1m\n    stick on src\n    {}\n    {}\n",
        a.server_line(),
        b.server_line()
    );
    start(&mut rig, &sections);
    let hear = || rig.client().read_to_end();
    // The connection by which the rig found the listener is a session like others, and may be stored after the first.
    assert!(until(|| hear() == hear()), "in turns, without a memory");
    let heard: Vec<_> = (0..6).map(|_| hear()).collect();
    assert!(heard.iter().all(|text| *text == heard[0]), "{heard:?}");
}
