//! The metrics for Prometheus: other programs read them, and dashboards made for HAProxy find what they know.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::rig::client::Client;
use crate::rig::peer::{require_peer, require_python_module};
use crate::rig::{Binary, Rig, free_address, until};

const CONFIGURATION: &str = "defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
    frontend web\n    bind {listen}\n    http-request use-service prometheus-exporter if { path /metrics }\n    \
    default_backend app\nbackend app\n    SERVERS\n";

fn servers(rig: &Rig) -> (Vec<crate::rig::origin::Origin>, String) {
    let origins: Vec<_> = ["one", "two"].map(|name| rig.origin(name)).into();
    let lines: Vec<_> = origins
        .iter()
        .map(|origin| format!("{} check inter 50ms", origin.server_line()))
        .collect();
    (origins, lines.join("\n    "))
}

fn scrape(address: std::net::SocketAddr, query: &str) -> (u16, String) {
    let mut client = Client::connect(address);
    client.send(format!(
        "GET /metrics{query} HTTP/1.1\r\nHost: rig\r\nConnection: close\r\n\r\n"
    ));
    let answer = client.response();
    if answer.status == 200 {
        let kind = answer.field("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    }
    (answer.status, answer.text())
}

fn value(text: &str, sample: &str) -> Option<f64> {
    let line = text.lines().find(|line| {
        line.rsplit_once(' ')
            .is_some_and(|(name, _)| name == sample)
    });
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok())
}

#[test]
fn what_is_counted_is_told_and_a_public_parser_reads_it() {
    let mut rig = Rig::new();
    let (_origins, lines) = servers(&rig);
    let address = rig.config(&CONFIGURATION.replace("SERVERS", &lines));
    for _ in 0..10 {
        assert_eq!(rig.get("/").status, 200);
    }
    let up = "haproxy_server_check_status{proxy=\"app\",server=\"two\",state=\"L4OK\"}";
    assert!(until(|| value(&scrape(address, "").1, up) == Some(1.0)));
    let told = [
        (
            "haproxy_backend_http_responses_total{proxy=\"app\",code=\"2xx\"}",
            10.0,
        ),
        (
            "haproxy_server_status{proxy=\"app\",server=\"one\",state=\"UP\"}",
            1.0,
        ),
        ("haproxy_backend_active_servers{proxy=\"app\"}", 2.0),
        (
            "haproxy_server_http_requests_total{proxy=\"app\",server=\"one\"}",
            5.0,
        ),
        (
            "plimsoll_backend_response_time_seconds_count{proxy=\"app\"}",
            10.0,
        ),
        (
            "plimsoll_backend_response_time_seconds_bucket{proxy=\"app\",le=\"+Inf\"}",
            10.0,
        ),
    ];
    // An answer may reach its client before it is counted.
    let mut text = String::new();
    let counted = until(|| {
        (_, text) = scrape(address, "");
        let mut all = told.iter();
        all.all(|(sample, expected)| value(&text, sample) == Some(*expected))
    });
    assert!(counted, "{told:?} in {text}");
    assert_eq!(scrape(address, "?scope=galaxy").0, 400);
    let (_, global) = scrape(address, "?scope=global");
    assert!(
        global.contains("haproxy_process_uptime_seconds") && !global.contains("haproxy_server_")
    );

    let Some(python) = require_python_module("prometheus_client") else {
        return;
    };
    let script = "import sys\nfrom prometheus_client.parser import text_string_to_metric_families as read\n\
        families = list(read(sys.stdin.read()))\n\
        names = [family.name for family in families]\n\
        assert len(names) == len(set(names)), names\n\
        assert all(family.type in ('counter', 'gauge', 'histogram') for family in families), families\n\
        print(len(names), sum(len(family.samples) for family in families))\n";
    let mut child = Command::new(python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(text.as_bytes())
        .expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the parser refuses: {text}");
    let said = String::from_utf8_lossy(&output.stdout);
    let families: u32 = said
        .split(' ')
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(0);
    assert!(families > 100, "{said}");
}

/// The types of all families.
fn types(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines.filter_map(|line| line.split_once(' ')).collect()
}

/// What of HAProxy has no counterpart here: facts of its process (zlib, TLS caches, memory pools, the scheduler), name
/// servers, listeners one by one, and the counter that a table keeps for peers. Of proxies, servers and tables nothing is.
fn is_absent(name: &str) -> bool {
    let of_process = [
        "_ssl_",
        "_zlib_",
        "_http_comp",
        "_pool",
        "_pipes_",
        "_patterns_",
        "_tasks",
        "_run_queue",
        "_idle_time_percent",
        "_jobs",
        "_failed_resolutions",
        "_spliced_",
        "_bytes_out_rate",
        "_recv_logs",
        "_total_warnings",
        "_process_node",
        "_process_max_memory_bytes",
    ];
    match name.strip_prefix("haproxy_process_") {
        Some(_) => of_process.iter().any(|part| name.contains(part)),
        None => {
            let prefixes = ["haproxy_listener_", "haproxy_resolver_"];
            prefixes.iter().any(|prefix| name.starts_with(prefix))
                || name == "haproxy_sticktable_local_updates"
        }
    }
}

/// The names of the labels of each family.
fn labels(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let named = samples.filter_map(|line| {
        let (name, rest) = line.split_once('{')?;
        let parts = rest.split("=\"").map(|part| part.rsplit(['"', ',']).next());
        let mut names: Vec<_> = parts.flatten().collect();
        names.pop();
        Some((name, names))
    });
    named.collect()
}

#[test]
fn dashboards_made_for_haproxy_find_their_families() {
    let chosen = std::env::var_os("PLIMSOLL_HAPROXY").map(std::path::PathBuf::from);
    let Some(haproxy) = chosen.or_else(|| require_peer("haproxy")) else {
        return;
    };
    let mut rig = Rig::new();
    let (_origins, lines) = servers(&rig);
    let lines = format!("{lines}\n    stick-table type ip size 1k store gpc0");
    let configuration = CONFIGURATION.replace("SERVERS", &lines);
    let ours = rig.config(&configuration);
    let theirs = free_address();
    let path = rig.file(
        "theirs.cfg",
        &configuration.replace("{listen}", &theirs.to_string()),
    );
    let mut command = Command::new(haproxy);
    command.arg("-db").arg("-f").arg(path);
    let _other = Binary::start(command);
    assert!(
        until(|| std::net::TcpStream::connect(theirs).is_ok()),
        "HAProxy accepts"
    );
    let (_, their_text) = scrape(theirs, "");
    let checked = "haproxy_server_check_duration_seconds{proxy=\"app\",server=\"two\"}";
    assert!(until(|| value(&scrape(ours, "").1, checked).is_some()));
    let (_, our_text) = scrape(ours, "");
    let (their_types, our_types) = (types(&their_text), types(&our_text));
    assert!(
        their_types.len() > 100,
        "HAProxy was built with its exporter"
    );
    let missing: Vec<_> = their_types
        .iter()
        .filter(|(name, _)| !is_absent(name) && !our_types.contains_key(**name))
        .collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    for (name, kind) in &our_types {
        if let Some(theirs) = their_types.get(name) {
            assert_eq!(kind, theirs, "the type of {name}");
        }
    }
    let (their_labels, our_labels) = (labels(&their_text), labels(&our_text));
    for (name, names) in &our_labels {
        if let Some(theirs) = their_labels.get(name) {
            assert_eq!(names, theirs, "the labels of {name}");
        }
    }
}
