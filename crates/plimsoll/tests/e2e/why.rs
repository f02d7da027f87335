//! Why requests went where they went, asked while the balancer runs.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::rig::client::Response;
use crate::rig::{Rig, ask, free_address, plimsoll, until};

fn start(rig: &mut Rig, sampling: &str, server: &str) -> PathBuf {
    let socket = rig.path("admin.sock");
    rig.config(&format!(
        "global\n    stats socket {} level admin\n    nbthread 1\n    {sampling}\n\
         defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n    retries 1\n\
         frontend web\n    bind {{listen}}\n    unique-id-format id-%[req.hdr(x-id)]\n    acl secret path_beg /secret\n    \
         stick-table type ip size 10 store gpc0\n    http-request track-sc0 src\n    \
         http-request set-var(txn.n) sc0_inc_gpc0 if {{ sc0_inc_gpc0 ge 0 }}\n    \
         http-request deny if secret !{{ src 192.0.2.0/24 }}\n    \
         http-response set-header x-seen yes if {{ status 200 }}\n    \
         use_backend app if {{ path_beg /app }}\n    default_backend none\n\
         backend none\n    server gone {}\n\
         backend app\n    server s1 {server}\n    use-server s1 if {{ path_end .css }}\n",
        socket.display(),
        free_address(),
    ));
    socket
}

fn get(rig: &Rig, path: &str, id: &str) -> Response {
    let mut client = rig.client();
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: rig\r\nX-Id: {id}\r\n\r\n"
    ));
    client.response()
}

/// Both the answer and its story are there as soon as somebody sees either; the story may come a moment later.
fn told(socket: &Path, words: &str) -> String {
    let mut told = String::new();
    let kept = until(|| {
        told = ask(socket, words);
        !told.starts_with("No request")
    });
    assert!(kept, "{told}");
    told
}

#[test]
fn a_request_that_was_written_down_is_told_by_its_id() {
    let mut rig = Rig::new();
    let origin = rig.origin("one");
    let address = origin.address;
    let socket = start(&mut rig, "why-sampling 1/1", &address.to_string());
    assert_eq!(get(&rig, "/app/a.css", "first").status, 200);
    let text = told(&socket, "show why id-first");
    for part in [
        "id-first GET /app/a.css\nfrontend web\n",
        "http-request track-sc0 src  -> runs\n",
        "if {…}: yes\n          sc0_inc_gpc0 = '1', matches\n",
        "http-request deny  -> passed by\n      if secret: no\n          path = '/app/a.css', does not match\n",
        "use_backend app  -> chosen\n",
        "use-server s1  -> chosen\n",
        "servers of app\n  s1 (weight 1, load 0)\n  -> s1, which a rule names\n",
        "http-response set-header x-seen yes  -> runs\n      if {…}: yes\n          status = '200', matches\n",
        "=> answered with 200 by app/s1 (----)\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(get(&rig, "/secret", "second").status, 403);
    let denied = told(&socket, "show why id-second");
    // What counts has counted once for the first request and twice for its rule's value.
    assert!(denied.contains("sc0_inc_gpc0 = '3', matches"), "{denied}");
    assert!(denied.contains("=> answered with 403 by "), "{denied}");
    assert_eq!(get(&rig, "/else", "third").status, 503);
    let failed = told(&socket, "show why id-third json");
    let json: Value = serde_json::from_str(failed.trim()).expect("JSON");
    assert_eq!(json["backend"], "none");
    assert_eq!(json["attempts"][0]["why"], "by 'balance roundrobin'");
    assert_eq!(json["attempts"][1]["why"], "once more");
    assert_eq!(json["attempts"][1]["failure"], "the connection was refused");
    let place = socket.display().to_string();
    let command = plimsoll(&["why", "--socket", &place, "id-first"]);
    assert_eq!(
        command.stdout.trim_end(),
        text.trim_end(),
        "{}",
        command.stderr
    );
    assert!(
        plimsoll(&["why", "--socket", &place])
            .stdout
            .contains("id-second")
    );
}

#[test]
fn nothing_is_written_down_unless_it_is_asked_for() {
    let mut rig = Rig::new();
    let origin = rig.origin("one");
    let address = origin.address;
    let socket = start(&mut rig, "", &address.to_string());
    assert_eq!(get(&rig, "/app", "a").status, 200);
    let unknown = "No request 'id-a' is known; nothing is sampled: 'set why sampling 1/N'.\n\n";
    assert_eq!(ask(&socket, "show why id-a"), unknown);
    assert!(ask(&socket, "set why sampling often").starts_with("write '1/N'"));
    assert_eq!(ask(&socket, "set why sampling 1/3"), "\n");
    for id in ["b", "c", "d", "e", "f", "g"] {
        assert_eq!(get(&rig, "/app", id).status, 200);
    }
    told(&socket, "show why id-g");
    let list = ask(&socket, "show why");
    let kept: Vec<_> = list
        .lines()
        .skip(1)
        .filter_map(|line| line.split(' ').nth(1))
        .collect();
    assert_eq!(kept, ["id-d", "id-g"], "{list}");
    assert_eq!(ask(&socket, "set why sampling off"), "\n");
    assert_eq!(
        ask(&socket, "show why").lines().count(),
        2,
        "all is forgotten"
    );
}
