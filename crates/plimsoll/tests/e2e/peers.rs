//! Programs of others before and behind the real binary.

use std::process::Command;

use crate::rig::peer::require_peer;
use crate::rig::{Rig, free_address, run, until};

fn text(server: &str) -> String {
    format!(
        "defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         listen web\n    bind {{listen}}\n    {server}\n"
    )
}

#[test]
fn curl() {
    let Some(curl) = require_peer("curl") else {
        return;
    };
    let mut rig = Rig::new();
    let origin = rig.origin_with("a", |request| {
        crate::rig::origin::Reply::ok(&String::from_utf8_lossy(&request.body))
    });
    let address = rig.config(&text(&origin.server_line()));
    let body = rig
        .file("body", &"0123456789".repeat(10_000))
        .display()
        .to_string();
    let url = format!("http://{address}/upload");
    // `Expect: 100-continue` with a length, then chunked.
    for extra in ["Expect: 100-continue", "Transfer-Encoding: chunked"] {
        let outcome = run(Command::new(&curl)
            .args([
                "-s",
                "-S",
                "-f",
                "--max-time",
                "60",
                "-H",
                extra,
                "--data-binary",
            ])
            .arg(format!("@{body}"))
            .arg(&url));
        assert_eq!(outcome.status, Some(0), "{extra}: {}", outcome.stderr);
        assert_eq!(outcome.stdout.len(), 100_000, "{extra}");
    }
}

#[test]
fn wrk() {
    let Some(wrk) = require_peer("wrk") else {
        return;
    };
    let mut rig = Rig::new();
    let (a, b) = (rig.origin("a"), rig.origin("b"));
    let address = rig.config(&text(&format!(
        "{}\n    {}",
        a.server_line(),
        b.server_line()
    )));
    let url = format!("http://{address}/");
    // As often as a busy machine needs.
    let mut runs = 0;
    assert!(until(|| {
        runs += 1;
        let words = ["-t1", "-c50", "-d1s", "--timeout", "60s", &url];
        let outcome = run(Command::new(&wrk).args(words));
        assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
        for bad in ["Socket errors", "Non-2xx"] {
            assert!(!outcome.stdout.contains(bad), "{}", outcome.stdout);
        }
        a.requests().len() > 500
    }));
    let (a, b) = (a.requests().len(), b.requests().len());
    // Turns are exact; requests that were under way at the end may differ.
    assert!(a.abs_diff(b) <= 50 * runs, "{a} and {b}");
}

#[test]
fn ab() {
    let Some(ab) = require_peer("ab") else { return };
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let address = rig.config(&text(&origin.server_line()));
    let url = format!("http://{address}/");
    for flags in [&["-k"][..], &[]] {
        let outcome = run(Command::new(&ab)
            .args(["-q", "-n", "500", "-c", "20"])
            .args(flags)
            .arg(&url));
        assert!(
            outcome.stdout.contains("Complete requests:      500"),
            "{}",
            outcome.stdout
        );
        assert!(
            outcome.stdout.contains("Failed requests:        0"),
            "{}",
            outcome.stdout
        );
    }
}

#[test]
fn nginx_behind_it() {
    let Some(nginx) = require_peer("nginx") else {
        return;
    };
    let mut rig = Rig::new();
    let origin = free_address();
    let folder = rig.path("");
    let user = if plimsoll_sys::user::is_root() {
        "user root;"
    } else {
        ""
    };
    // Without a master: the rig ends the process it started, and a worker would outlive its master.
    let file = rig.file(
        "nginx.conf",
        &format!(
            "{user} daemon off; master_process off; pid {0}/pid; error_log stderr crit;\n\
             events {{ worker_connections 100; }}\n\
             http {{ access_log off; client_body_temp_path {0}/a; proxy_temp_path {0}/b; fastcgi_temp_path {0}/c;\n\
             uwsgi_temp_path {0}/d; scgi_temp_path {0}/e;\n\
             server {{ listen {origin}; location / {{ return 200 hello; }} }} }}\n",
            folder.display()
        ),
    );
    let mut command = Command::new(nginx);
    command
        .arg("-c")
        .arg(file)
        .arg("-p")
        .arg(&folder)
        .args(["-e", "stderr"]);
    rig.start(command, origin);
    rig.config(&text(&format!("server nginx {origin}")));
    let mut client = rig.client();
    for method in ["GET", "HEAD", "GET"] {
        client.send(format!("{method} / HTTP/1.1\r\nHost: x\r\n\r\n"));
        let response = client.response_to(method);
        assert_eq!(response.status, 200);
        assert_eq!(response.field("content-length"), Some("5"));
        assert_eq!(response.text(), if method == "GET" { "hello" } else { "" });
    }
}

#[test]
fn haproxy_and_it_meet_at_abstract_names() {
    let Some(haproxy) = require_peer("haproxy") else {
        return;
    };
    let mut rig = Rig::new();
    let front = free_address();
    let name = |what: &str| format!("abns@plimsoll-test-{what}-{}", std::process::id());
    let defaults = "defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n";
    rig.config(&format!(
        "{defaults}listen middle\n    bind {{listen}}\n    bind {}\n    server a {}\n",
        name("middle"),
        name("back")
    ));
    let file = rig.file(
        "haproxy-around.cfg",
        &format!(
            "{defaults}listen front\n    bind {front}\n    server a {}\n\
             frontend back\n    bind {}\n    http-request return status 204\n",
            name("middle"),
            name("back")
        ),
    );
    let mut command = Command::new(haproxy);
    command.arg("-db").arg("-f").arg(file);
    rig.start(command, front);
    assert_eq!(rig.get("/").status, 204);
}

#[test]
fn the_same_files_pass_and_fail_as_with_haproxy() {
    let Some(haproxy) = require_peer("haproxy") else {
        return;
    };
    let rig = Rig::new();
    let cases = [
        "frontend f\n    bind 127.0.0.1:1\n    timeout client 1m\n",
        "frontend f\n    bind 127.0.0.1:1\n    timeout client 1m\n    default_backend nowhere\n",
        "listen l\n    bind 127.0.0.1:1\n    timeout client five\n",
        "listen l\n    bind 127.0.0.1:1\n    balance nonsense\n",
        "frobnicate\n",
        "listen \"a b\"\n    bind 127.0.0.1:1\n",
        "listen l\n    bind 127.0.0.1:1\n    server a 127.0.0.1:1 weight 257\n",
    ];
    for case in cases {
        let file = rig.file("a.cfg", case);
        let theirs = run(Command::new(&haproxy).args(["-c", "-f"]).arg(&file));
        let ours = run(Command::new(crate::rig::PLIMSOLL)
            .args(["-c", "-f"])
            .arg(&file));
        assert_eq!(
            ours.status, theirs.status,
            "{case}\n{}\n{}",
            ours.stderr, theirs.stderr
        );
    }
}
