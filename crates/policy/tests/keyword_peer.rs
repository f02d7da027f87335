//! HAProxy as a judge of single lines: what it refuses is refused, and what it takes is taken or has to wait.
//!
//! Skipped without HAProxy, unless `PLIMSOLL_REQUIRE_PEERS` is set. The lines are ones that every version from 2.6 on
//! judges alike; where we differ on purpose, `docs/differences.md` says so.

mod config_support;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use config_support::load_text;
use plimsoll_config::diagnostic::{Kind, Severity};
use plimsoll_config::source::MemoryLoader;

const FRONTEND: &[&str] = &[
    "bind :80",
    "bind 80",
    "bind",
    "bind 127.0.0.1",
    "bind :0",
    "bind :65536",
    "bind :80-90",
    "bind :90-80",
    "bind 127.0.0.1:81,127.0.0.1:82",
    "bind [::1]:81",
    "bind ipv4@::1:81",
    "bind udp@:81",
    "bind fd@x",
    "bind :81 name",
    "bind :81 id 0",
    "bind :81 mss 0",
    "bind :81 mss -12",
    "bind :81 nice 2000",
    "bind :81 level root",
    "bind :81 shards x",
    "bind :81 foo",
    "bind :81 proto xx",
    "mode foo",
    "mode",
    "mode http tcp",
    "maxconn 1 2",
    "id 0",
    "description",
    "disabled x",
    "default_backend",
    "default_backend nowhere",
    "use_backend b",
    "use_backend b if UNKNOWN",
    "use_backend b if { src 192.0.2.1 }",
    "timeout client",
    "timeout client x",
    "timeout client -1",
    "timeout client 25d",
    "timeout client 24d",
    "timeout client 10s 5s",
    "timeout foo 5s",
    "option",
    "option foo",
    "option httplog foo",
    "no option httplog",
    "no option dontlognull",
    "no option forwardfor",
    "option forwardfor except foo",
    "option forwardfor header",
    "option forwardfor header X-A if-none",
    "option dontlognull x",
    "log global x",
    "no log",
    "no log x",
    "log 127.0.0.1",
    "log 127.0.0.1:514 len 10 local0",
    "log 127.0.0.1 format foo local0",
    "log 127.0.0.1 sample 3:2 local0",
    "log 127.0.0.1 sample 1-2,2:4 local0",
    "log 127.0.0.1 local0 info err",
    "log 127.0.0.1 local0 foo",
    "log stdout format raw daemon",
    "errorfile 999 /dev/null",
    "stats uri",
    "stats refresh x",
    "stats foo",
    "stats show-node a!b",
    "server x 127.0.0.1:80",
    "acl a",
    "acl a foo",
    "acl or path /x",
    "acl a hdr(host),foo x",
    "http-request foo",
    "http-request deny if UNKNOWN",
    "redirect foo",
    "no bind :80",
    "bnid :80",
    "filter foo",
];

const BACKEND: &[&str] = &[
    "balance foo",
    "balance random(0)",
    "balance random(2",
    "balance uri len 0",
    "balance uri depth 2 whole path-only",
    "balance url_param",
    "balance url_param a check_post",
    "balance url_param a check_body",
    "balance hdr()",
    "balance hdr(a) use_domain_only",
    "balance hash foo",
    "balance rdp-cookie()",
    "hash-type",
    "hash-type consistent foo",
    "hash-type consistent sdbm avalanche",
    "hash-type map-based sdbm foo",
    "hash-balance-factor 50",
    "retry-on foo",
    "retry-on 418",
    "retry-on conn-failure 503",
    "retry-on none 503",
    "http-reuse foo",
    "source",
    "source 127.0.0.1 foo",
    "server",
    "server a",
    "server a 127.0.0.1",
    "server a 127.0.0.1:+5",
    "server a 127.0.0.1:80-81",
    "server a! 127.0.0.1:80",
    "server a 127.0.0.1:80 foo",
    "server a unix@/tmp/x",
    "server a 127.0.0.1:80 weight 257",
    "server a 127.0.0.1:80 weight -1",
    "server a 127.0.0.1:80 id 0",
    "server a 127.0.0.1:80 check inter x",
    "server a 127.0.0.1:80 pool-max-conn -2",
    "server a 127.0.0.1:80 init-addr foo",
    "server a 127.0.0.1:80 resolve-prefer foo",
    "server a 127.0.0.1:80 observe foo",
    "server a 127.0.0.1:80 on-marked-down foo",
    "server-template a 3 127.0.0.1:80",
    "server-template a 3-1 127.0.0.1:80",
    "server-template a",
    "default-server weight 5",
    "default-server foo",
    "http-check foo",
    "tcp-check foo",
    "stick-table type foo size 1k",
    "stick-table type ip",
    "stick foo",
    "id 2",
    "bind :80",
    "load-server-state-from-file foo",
];

const GLOBAL: &[&str] = &[
    "daemon x",
    "nbthread 0",
    "maxconn 100 200",
    "user nobody-of-this-name",
    "log global",
    "no log",
    "stats socket",
    "stats socket /tmp/s.sock level admin mode 660",
    "stats socket /tmp/s.sock foo",
    "stats timeout",
    "stats foo",
    "node x!y",
    "tune.foo 1",
    "tune.idle-pool.shared foo",
    "hard-stop-after x",
    "no busy-polling",
    "unix-bind foo",
    "default-path foo",
    "no maxconn",
    "foo",
    "bind :80",
    "mode http",
    "timeout client 5s",
    "option httplog",
];

const DEFAULTS: &[&str] = &[
    "bind :80",
    "server a 127.0.0.1:80",
    "acl a path /",
    "http-request deny",
    "use_backend b",
    "default_backend b",
    "id 5",
    "description x",
    "stats admin if TRUE",
    "stick on src",
    "stick-table type ip size 1k",
    "monitor fail if TRUE",
    "redirect location /",
    "default-server weight 3",
    "server-template a 3 127.0.0.1:80",
    "force-persist if TRUE",
];

/// A whole configuration around one line.
fn around(section: &str, line: &str) -> String {
    let mut parts = [
        ("global", ""),
        ("defaults", ""),
        ("frontend f", ""),
        ("backend b", ""),
    ];
    for (name, inserted) in &mut parts {
        if name.starts_with(section) {
            *inserted = line;
        }
    }
    let [global, defaults, frontend, backend] = parts.map(|(_, line)| line);
    format!(
        "global\n {global}\ndefaults\n mode http\n timeout client 5s\n timeout connect 5s\n timeout server 5s\n \
         {defaults}\nfrontend f\n bind 127.0.0.1:8080\n default_backend b\n {frontend}\nbackend b\n \
         server s 127.0.0.1:81\n {backend}\n"
    )
}

/// Whether the line is one that could work, now or later.
fn ours(text: &str) -> bool {
    let outcome = load_text("line.cfg", text, MemoryLoader::new());
    let mut errors = outcome
        .diagnostics
        .iter()
        .filter(|problem| problem.severity == Severity::Error);
    errors.all(|problem| matches!(problem.kind, Kind::NotImplemented | Kind::Refused))
}

#[expect(clippy::print_stderr, reason = "a skip has to be seen")]
fn haproxy_installed() -> bool {
    let found = Command::new("haproxy")
        .arg("-v")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_ok() {
        return true;
    }
    let required = std::env::var_os("PLIMSOLL_REQUIRE_PEERS").is_some_and(|set| set == "1");
    assert!(
        !required,
        "haproxy is not installed, and peers are required"
    );
    eprintln!("SKIPPED: haproxy is not installed");
    false
}

#[test]
fn haproxy_judges_lines_alike() {
    if !haproxy_installed() {
        return;
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("keyword_peer.cfg");
    let sections = [
        ("global", GLOBAL),
        ("defaults", DEFAULTS),
        ("frontend", FRONTEND),
        ("backend", BACKEND),
    ];
    let mut wrong = String::new();
    for (section, lines) in sections {
        for line in lines {
            let text = around(section, line);
            fs::write(&path, &text).expect("a temporary file can be written");
            let output = Command::new("haproxy")
                .arg("-c")
                .arg("-f")
                .arg(&path)
                .output()
                .expect("haproxy runs");
            let (ours, theirs) = (ours(&text), output.status.success());
            if ours != theirs {
                let _ = writeln!(
                    wrong,
                    "{section}: '{line}': HAProxy {theirs}, Plimsoll {ours}"
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
