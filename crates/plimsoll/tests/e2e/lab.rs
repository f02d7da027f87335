//! The commands of the laboratory, as a person or a script uses them.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use plimsoll_sys::signal::{self, Signal};
use serde_json::Value;

use crate::rig::client::Client;
use crate::rig::peer::require_peer;
use crate::rig::{Binary, PLIMSOLL, Rig, free_address, plimsoll, run, until};

/// Who asks for shares at the same time.
const CLIENTS: usize = 12;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Starts a demo service of the real binary.
fn backend(listen: SocketAddr, agent: SocketAddr, fail_rate: &str) -> Binary {
    let mut command = Command::new(PLIMSOLL);
    command.args(["backend", "-service", "api-lab", "-instance=app-a"]);
    command.args(["-listen", &listen.to_string()]);
    command.args(["--agent-listen", &agent.to_string()]);
    command.env("FAIL_RATE", fail_rate);
    let mut backend = Binary::start(command);
    let listening = until(|| !backend.is_running() || backend.said().contains("listens"));
    assert!(listening && backend.is_running(), "{}", backend.said());
    backend
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut client = Client::connect(address);
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"
    ));
    let response = client.response();
    (response.status, response.text())
}

#[test]
fn the_demo_balances_and_accounts_for_every_request() {
    let outcome = plimsoll(&["demo", "--seconds", "2", "--rate", "200", "--json"]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    let lines: Vec<Value> = outcome.stdout.lines().map(json).collect();
    let summary = &lines.last().expect("a summary")["summary"];
    let total = &summary["total"];
    assert_eq!(total["errors"], 0, "{summary}");
    let of = |name: &str| summary["servers"][name]["requests"].as_u64().unwrap_or(0);
    assert!(of("fast") > of("slow") && of("slow") > 0, "{summary}");
    let sum = of("fast") + of("medium") + of("slow");
    assert_eq!(total["requests"].as_u64(), Some(sum));
    assert!(lines.iter().any(|line| line["second"] == 1));
}

#[test]
fn the_demo_ends_well_when_interrupted() {
    let mut demo = Command::new(PLIMSOLL)
        .args(["demo", "--rate", "100", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the demo starts");
    let mut said = BufReader::new(demo.stdout.take().expect("stdout is a pipe"));
    let mut first = String::new();
    said.read_line(&mut first).expect("a line");
    assert_eq!(json(&first)["second"], 1);
    signal::send(demo.id(), Signal::Interrupt).expect("the demo is there");
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("the rest");
    assert_eq!(demo.wait().expect("the end").code(), Some(0));
    let last = rest.lines().last().expect("a summary");
    assert!(json(last)["summary"]["total"]["requests"].as_u64() > Some(0));
}

#[test]
fn load_asks_the_demo_service() {
    let (listen, agent) = (free_address(), free_address());
    let mut backend = backend(listen, agent, "0");
    assert_eq!(get(listen, "/agent"), (200, "up 100\n".to_owned()));
    // It waits a moment only for what clients say first, which is over before a busy machine has let them say it.
    assert!(until(|| {
        let mut told = String::new();
        let mut stream = TcpStream::connect(agent).expect("it listens");
        let _ = stream.write_all(b"GET /agent HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
        let _ = stream.read_to_string(&mut told);
        told.starts_with("HTTP/1.1 200 ") && told.ends_with("\r\n\r\nup 100\n")
    }));
    let url = format!("http://{listen}/?sleep_ms=1&payload_bytes=256");
    let words = [
        "load",
        "-t2",
        "-c8",
        "-n",
        "300",
        "--timeout",
        "60s",
        "--json",
        "--count-by",
    ];
    let outcome = plimsoll(&[&words[..], &["X-Backend", &url]].concat());
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    let report = json(&outcome.stdout);
    assert_eq!((&report["ok"], &report["ko"]), (&300.into(), &0.into()));
    assert_eq!(report["servers"][0]["name"], "app-a");
    assert!(report["latency_ms"]["min"].as_f64() >= Some(1.0));
    assert!(report["received_bytes"].as_u64() > Some(300 * 256));
    let metrics = json(&get(listen, "/metrics").1);
    assert_eq!(metrics["counters"]["requests_total"], 300);

    let outcome = plimsoll(&["load", "-n10", "-c2", "--timeout", "60s", &url]);
    assert!(
        outcome.stdout.contains("Requests/sec:"),
        "{}",
        outcome.stdout
    );
    backend.signal(Signal::Interrupt);
    assert_eq!(backend.wait().code(), Some(0));
    let outcome = plimsoll(&["load", "-n10", "-c2", "--timeout", "60s", &url]);
    assert_eq!(outcome.status, Some(1));
    assert!(
        outcome.stderr.contains("cannot connect"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_test_without_one_good_answer_fails() {
    let (listen, agent) = (free_address(), free_address());
    let _backend = backend(listen, agent, "1");
    let url = format!("http://{listen}/");
    let outcome = plimsoll(&["load", "-n10", "-c2", "--timeout", "60s", &url]);
    assert_eq!(outcome.status, Some(1));
    assert!(outcome.stdout.contains("5xx 10"), "{}", outcome.stdout);
}

#[test]
fn mistakes_are_explained() {
    let cases: [(&[&str], &str); 5] = [
        (
            &["backend", "-listen", ":8080", "agent-listen", ":8090"],
            "write `-agent-listen :8090`",
        ),
        (&["backend", "-listen", "8080"], "has no port"),
        (&["load", "https://127.0.0.1/"], "is not spoken"),
        (&["load", "--stages", "10s", "http://a/"], "is not a stage"),
        (&["demo", "--balance", "nonsense"], "nonsense"),
    ];
    for (words, part) in cases {
        let outcome = plimsoll(words);
        assert_eq!(outcome.status, Some(1), "{words:?}");
        assert!(
            outcome.stderr.contains(part),
            "{words:?}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn a_taken_port_is_named() {
    let (listen, agent) = (free_address(), free_address());
    let _backend = backend(listen, agent, "0");
    let text = listen.to_string();
    let outcome = plimsoll(&["backend", "-listen", &text, "-agent-listen", "off"]);
    assert_eq!(outcome.status, Some(1));
    assert!(
        outcome.stderr.contains(&text) && outcome.stderr.contains("another process"),
        "{}",
        outcome.stderr
    );
}

/// The weight that a real HAProxy gives a server follows what the demo service advises.
#[test]
fn haproxy_obeys_the_agent() {
    let Some(haproxy) = require_peer("haproxy") else {
        return;
    };
    let (listen, agent, front) = (free_address(), free_address(), free_address());
    let _backend = backend(listen, agent, "0.2");
    let rig = Rig::new();
    let socket = rig.path("admin.sock");
    let text = format!(
        "global\n    stats socket {} level admin\n\
         defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         listen lab\n    bind {front}\n    balance roundrobin\n    \
         server a {listen} weight 100 agent-check agent-addr {} agent-port {} agent-inter 100ms\n",
        socket.display(),
        agent.ip(),
        agent.port(),
    );
    let mut command = Command::new(haproxy);
    command.arg("-db").arg("-f").arg(rig.file("lab.cfg", &text));
    let _haproxy = Binary::start(command);
    let weight = || {
        let mut socket = UnixStream::connect(&socket).ok()?;
        socket.write_all(b"get weight lab/a\n").ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        answer.split_whitespace().next()?.parse::<u32>().ok()
    };
    assert!(until(|| weight() == Some(100)), "full weight at rest");
    let url = format!("http://{front}/");
    plimsoll(&["load", "-n", "400", "-c4", "--timeout", "60s", &url]);
    assert!(
        until(|| weight().is_some_and(|weight| (1..60).contains(&weight))),
        "a fifth of failures lowers the weight"
    );
}

/// A demo service with an agent, that can be replaced by a better or worse one at the same place.
struct Demo {
    name: &'static str,
    listen: SocketAddr,
    agent: SocketAddr,
    running: Option<Binary>,
}

impl Demo {
    fn start(name: &'static str) -> Self {
        let mut demo = Self {
            name,
            listen: free_address(),
            agent: free_address(),
            running: None,
        };
        demo.release(&[]);
        demo
    }

    /// Replaces the service by one with these properties.
    fn release(&mut self, properties: &[(&str, &str)]) {
        self.running = None;
        let mut command = Command::new(PLIMSOLL);
        command.args(["backend", "-instance", self.name, "-latency-sample", "32"]);
        command.args(["-listen", &self.listen.to_string()]);
        command.args(["-agent-listen", &self.agent.to_string()]);
        // Far beyond what a busy machine adds by itself.
        command.env("TARGET_LATENCY_MS", "200");
        command.envs(properties.iter().copied());
        let mut running = Binary::start(command);
        let listening = until(|| !running.is_running() || running.said().contains("listens"));
        assert!(listening && running.is_running(), "{}", running.said());
        self.running = Some(running);
    }

    fn server_line(&self) -> String {
        let port = self.agent.port();
        format!(
            "server {} {} weight 100 check inter 200ms agent-check agent-port {port} agent-inter 100ms",
            self.name, self.listen
        )
    }
}

/// How often each instance answered, and how many answers were no success.
type Shares = (BTreeMap<String, usize>, usize);

/// Asks through the balancer, as [`CLIENTS`] that do not wait for each other: with one alone, the slowest server would
/// set the pace of all, and the agents, which forget with time, would judge by a handful of requests.
fn shares(rig: &Rig, requests: usize) -> Shares {
    let address = rig.address();
    let left = AtomicUsize::new(requests);
    let ask = || {
        let mut client = Client::connect(address);
        let (mut shares, mut failed) = Shares::default();
        while left
            .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
            .is_ok()
        {
            client.send("GET / HTTP/1.1\r\nHost: lab\r\n\r\n");
            let answer = client.response();
            failed += usize::from(answer.status != 200);
            let name = answer.field("x-backend").unwrap_or_default().to_owned();
            *shares.entry(name).or_default() += 1;
        }
        (shares, failed)
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        let asked = clients.into_iter().map(|client| client.join().unwrap());
        asked.fold(Shares::default(), |(mut all, failed), (shares, more)| {
            for (name, count) in shares {
                *all.entry(name).or_default() += count;
            }
            (all, failed + more)
        })
    })
}

/// The weight of a server as it is balanced now; 0 while it is down.
fn weight(rig: &Rig, server: &str) -> u32 {
    let stat = crate::rig::ask(&rig.path("sock"), "show stat app 4 -1");
    let row = stat
        .lines()
        .find(|row| row.starts_with(&format!("app,{server},")));
    let cells: Vec<_> = row.unwrap_or_default().split(',').collect();
    match cells.get(17) {
        Some(status) if status.starts_with("UP") => cells[18].parse().unwrap_or(0),
        _ => 0,
    }
}

#[test]
fn agents_shift_traffic_to_those_who_are_well_and_back_without_flapping() {
    let mut rig = Rig::new();
    let mut demos = ["app-a", "app-b", "app-c"].map(Demo::start);
    let lines = demos.each_ref().map(Demo::server_line).join("\n    ");
    rig.config(&format!(
        "global\n    stats socket {} level admin\n\
         defaults\n    mode http\n    timeout connect 20s\n    timeout client 2m\n    timeout server 2m\n\
         \x20   timeout check 20s\n    retries 3\n    option redispatch\n    retry-on conn-failure empty-response\n\
         frontend web\n    bind {{listen}}\n    default_backend app\n\
         backend app\n    {lines}\n",
        rig.path("sock").display()
    ));
    // What of 300 requests goes to an instance, where the fair share is 100; and how many of them failed.
    let share = |name: &str| {
        let (shares, failed) = shares(&rig, 300);
        (shares.get(name).copied().unwrap_or(0), failed)
    };
    let falls_below = |name: &str, limit: u32| {
        until(|| {
            shares(&rig, 100);
            weight(&rig, name) < limit
        })
    };
    let is_well = |name: &&str| weight(&rig, name) > 90;
    assert!(until(|| ["app-a", "app-b", "app-c"].iter().all(is_well)));
    assert!((85..=115).contains(&share("app-b").0));
    // B becomes four times slower than it should be.
    demos[1].release(&[("BASE_SLEEP_MS", "800")]);
    assert!(falls_below("app-b", 45));
    let (count, failed) = share("app-b");
    assert!(
        count < 75 && failed == 0,
        "{count} of 300 went to B, {failed} failed"
    );
    // A fails one request of five.
    demos[0].release(&[("FAIL_RATE", "0.2")]);
    assert!(falls_below("app-a", 50));
    let (count, _) = share("app-a");
    assert!(count < 90, "{count} of 300 went to A");
    // Both recover; their weights return, and stay.
    demos[0].release(&[]);
    demos[1].release(&[]);
    let recovered = || ["app-a", "app-b"].iter().all(is_well);
    assert!(until(|| {
        shares(&rig, 100);
        recovered()
    }));
    for _ in 0..20 {
        assert_eq!(shares(&rig, 50).1, 0);
        assert!(recovered(), "the weights flap");
    }
}

/// Runs a line of a shell as people do who follow a lesson; what it printed.
fn shell(line: &str) -> String {
    let mut command = Command::new("sh");
    let outcome = run(command.args(["-c", line]).env("TERM", "xterm"));
    assert_eq!(outcome.status, Some(0), "{line}: {}", outcome.stderr);
    outcome.stdout
}

/// What lessons about HAProxy have people type, and what they look for in the answers.
#[test]
fn commands_of_lessons_print_what_people_look_for() {
    let tools = ["socat", "awk", "curl", "watch", "script"];
    if tools.map(require_peer).iter().any(Option::is_none) {
        return;
    }
    let mut rig = Rig::new();
    let mut demos = ["app-a", "app-b"].map(Demo::start);
    let (socket, stats) = (rig.path("admin.sock"), free_address());
    let line = |demo: &Demo| {
        let (name, port, agent) = (demo.name, demo.listen.port(), demo.agent.port());
        format!(
            "server {name} localhost:{port} check weight 50 agent-addr localhost agent-port {agent}"
        )
    };
    rig.config(&format!(
        "global\n    stats socket {} mode 666 level admin expose-fd listeners\n\
         defaults\n    mode http\n    timeout connect 20s\n    timeout client 60s\n    timeout server 60s\n    timeout check 20s\n\
         frontend fe_http\n    bind {{listen}}\n    default_backend be_app\n\
         backend be_app\n    balance roundrobin\n    option httpchk GET /healthz\n\
         \x20   default-server agent-check agent-inter 100ms inter 200ms init-addr 127.0.0.1\n    {}\n    {}\n\
         listen stats\n    bind {stats}\n    stats enable\n    stats uri /haproxy?stats\n    stats refresh 5s\n",
        socket.display(),
        line(&demos[0]),
        line(&demos[1]),
    ));
    let ask = format!(
        "echo 'show servers state be_app' | socat stdio {}",
        socket.display()
    );
    assert!(shell(&ask).starts_with("1\n# be_id be_name srv_id srv_name srv_addr "));
    // The backend's number, address, weights as they are and as configured, and the host of each server.
    let columns = format!("{ask} | awk '{{print $1,$5,$8,$9,$18}}'");
    let weights = || -> Vec<u32> {
        let rows = shell(&columns);
        let rows = rows.lines().filter_map(|row| {
            let weights = row
                .strip_prefix("3 127.0.0.1 ")?
                .strip_suffix(" 50 localhost");
            weights?.parse().ok()
        });
        rows.collect()
    };
    assert!(until(|| weights() == [50, 50]), "{}", shell(&columns));
    let watched = shell(&format!(
        "timeout 3 script -qec \"watch -n1 \\\"{ask}\\\"\" /dev/null | tr '\\033' ' '; true"
    ));
    assert!(
        watched.contains("app-a localhost") || watched.contains("app-a 127.0.0.1"),
        "{watched}"
    );
    let url = format!("http://{}/", rig.address());
    assert!(shell(&format!("curl -sI {url}")).starts_with("HTTP/1.1 200"));
    let page = shell(&format!("curl -s http://{stats}/haproxy\\?stats"));
    assert!(page.contains("app-a") && page.contains("be_app"), "{page}");
    // One server fails now and then: its agent says so, and its weight falls.
    demos[0].release(&[("FAIL_RATE", "0.2")]);
    let agent = format!("curl -s http://{}/agent", demos[0].listen);
    assert!(until(|| {
        shares(&rig, 100);
        weights().first().is_some_and(|weight| *weight < 25)
    }));
    assert!(!shell(&agent).starts_with("up 100"));
    demos[0].release(&[]);
    assert!(until(
        || shell(&agent).starts_with("up 100") && weights() == [50, 50]
    ));
}
