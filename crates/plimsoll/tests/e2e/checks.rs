//! Health checks and agents: who is asked, who gets traffic.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::rig::origin::Reply;
use crate::rig::syslog::Syslog;
use crate::rig::{Rig, ask, free_address, listen_again, until};

fn text(log: Option<&Syslog>, backend: &str) -> String {
    let log = log.map(|log| {
        format!(
            "    log {} local0\n    option log-health-checks\n",
            log.address()
        )
    });
    format!(
        "defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n    timeout check 20s\n\
         frontend web\n    bind {{listen}}\n    default_backend app\n\
         backend app\n{}{backend}\n",
        log.unwrap_or_default()
    )
}

/// The bodies of so many answers, sorted and without repetition.
fn who_answers(rig: &Rig, requests: usize) -> Vec<String> {
    let mut names: Vec<_> = (0..requests).map(|_| rig.get("/").text()).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn a_server_that_dies_gets_nothing_and_comes_back() {
    let mut rig = Rig::new();
    let (one, log) = (rig.origin("one"), rig.syslog());
    let gone = free_address();
    let listener = TcpListener::bind(gone).expect("a free address");
    rig.config(&text(
        Some(&log),
        &format!(
            "    {} check inter 50ms rise 1 fall 1\n    server two {gone} check inter 50ms rise 1 fall 2",
            one.server_line()
        ),
    ));
    for _ in 0..2 {
        let line = log.line();
        assert!(
            line.contains(" succeeded, reason: Layer4 check passed, check duration: "),
            "{line}"
        );
    }
    drop(listener);
    let (first, second, down) = (log.line(), log.line(), log.line());
    assert!(
        first.contains(
            "Health check for server app/two failed, reason: Layer4 connection problem, info: \""
        ),
        "{first}"
    );
    assert!(first.trim_end().ends_with("status: 1/2 UP."), "{first}");
    assert!(second.trim_end().ends_with("status: 0/1 DOWN."), "{second}");
    // local0.alert
    assert!(down.starts_with("<129>"), "{down}");
    assert!(
        down.contains("Server app/two is DOWN, reason: Layer4 connection problem"),
        "{down}"
    );
    assert!(
        down.trim_end().ends_with(
            "ms. 1 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue."
        ),
        "{down}"
    );
    assert_eq!(who_answers(&rig, 10), ["one"]);

    let _listener = listen_again(gone);
    let (passed, up) = (log.line(), log.line());
    assert!(passed.trim_end().ends_with("status: 2/2 UP."), "{passed}");
    assert!(
        up.contains("Server app/two is UP, reason: Layer4 check passed"),
        "{up}"
    );
    assert!(
        up.contains(". 2 active and 0 backup servers online."),
        "{up}"
    );
}

#[test]
fn a_server_that_says_it_is_ill_is_left_out() {
    let mut rig = Rig::new();
    let log = rig.syslog();
    let well = Arc::new(AtomicBool::new(true));
    let (one, asked) = (rig.origin("one"), Arc::clone(&well));
    let two = rig.origin_with("two", move |request| {
        match request.line.contains(" /healthz ") && !asked.load(Ordering::SeqCst) {
            true => Reply::Send(b"HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n".to_vec()),
            false => Reply::ok("two"),
        }
    });
    rig.config(&text(
        Some(&log),
        &format!(
            "    option httpchk GET /healthz HTTP/1.1 app.example\n    http-check expect status 200\n\
             \x20   {}\n    {} check inter 50ms rise 1 fall 1",
            one.server_line(),
            two.server_line()
        ),
    ));
    let line = log.line();
    assert!(
        line.contains("app/two succeeded, reason: Layer7 check passed, code: 200"),
        "{line}"
    );
    let asked = two.wait_for_requests(1);
    assert_eq!(asked[0].field("host"), Some("app.example"));
    assert_eq!(who_answers(&rig, 10), ["one", "two"]);

    well.store(false, Ordering::SeqCst);
    let (failed, down) = (log.line(), log.line());
    assert!(
        failed.contains("app/two failed, reason: Layer7 wrong status, code: 500"),
        "{failed}"
    );
    assert!(down.contains("Server app/two is DOWN"), "{down}");
    assert_eq!(who_answers(&rig, 10), ["one"]);

    well.store(true, Ordering::SeqCst);
    assert!(log.line().contains("app/two succeeded"));
    assert!(log.line().contains("Server app/two is UP"));
    assert_eq!(who_answers(&rig, 10), ["one", "two"]);
}

#[test]
fn the_last_server_takes_its_backend_with_it_and_followers_follow() {
    let mut rig = Rig::new();
    let (one, log) = (rig.origin("one"), rig.syslog());
    rig.config(&text(
        Some(&log),
        &format!(
            "    {} track sick/two\nbackend sick\n    log {} local0\n    server two {} check inter 50ms fall 1",
            one.server_line(),
            log.address(),
            free_address()
        ),
    ));
    let lines: Vec<_> = (0..4).map(|_| log.line()).collect();
    assert!(
        lines[0].contains("Server sick/two is DOWN, reason: "),
        "{lines:?}"
    );
    // local0.emerg
    assert!(lines[1].starts_with("<128>"), "{lines:?}");
    assert!(
        lines[1]
            .trim_end()
            .ends_with("backend sick has no server available!"),
        "{lines:?}"
    );
    assert!(
        lines[2].contains("Server app/one is DOWN via sick/two. 0 active"),
        "{lines:?}"
    );
    assert!(
        lines[3]
            .trim_end()
            .ends_with("backend app has no server available!"),
        "{lines:?}"
    );
    assert_eq!(rig.get("/").status, 503);
}

/// An agent that answers with a line which can be changed, and notes when it last did.
struct Agent {
    address: SocketAddr,
    line: Arc<Mutex<String>>,
    heard: Arc<Mutex<Vec<u8>>>,
    /// Microseconds after the beginning when the line was last told.
    told_us: Arc<AtomicU64>,
    begun: Instant,
}

impl Agent {
    fn start(line: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let agent = Self {
            address: listener.local_addr().expect("bound"),
            line: Arc::new(Mutex::new(line.to_owned())),
            heard: Arc::default(),
            told_us: Arc::default(),
            begun: Instant::now(),
        };
        let (line, heard) = (Arc::clone(&agent.line), Arc::clone(&agent.heard));
        let (told_us, begun) = (Arc::clone(&agent.told_us), agent.begun);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut asked = [0; 5];
                if stream.read_exact(&mut asked).is_ok() {
                    *heard.lock().unwrap() = asked.to_vec();
                    // Told and noted at once, so that nobody changes it in between.
                    let line = line.lock().unwrap();
                    let _ = stream.write_all(line.as_bytes());
                    told_us.store(begun.elapsed().as_micros() as u64, Ordering::SeqCst);
                }
            }
        });
        agent
    }

    fn say(&self, line: &str) {
        *self.line.lock().unwrap() = line.to_owned();
    }

    /// Says this from now on; when it was first told.
    fn tells(&self, line: &str) -> Instant {
        let before_us = {
            // Whatever is being told was the line of before.
            let mut present = self.line.lock().unwrap();
            *present = line.to_owned();
            self.told_us.load(Ordering::SeqCst)
        };
        assert!(until(|| self.told_us.load(Ordering::SeqCst) > before_us));
        self.begun + Duration::from_micros(self.told_us.load(Ordering::SeqCst))
    }
}

#[test]
fn an_agent_governs_the_share_of_its_server() {
    let mut rig = Rig::new();
    let agent = Agent::start("100%\n");
    let (one, two) = (rig.origin("one"), rig.origin("two"));
    let agent_words = format!(
        "weight 100 agent-check agent-addr 127.0.0.1 agent-port {} agent-send hello agent-inter 30ms",
        agent.address.port()
    );
    rig.config(&text(
        None,
        &format!(
            "    {} weight 100\n    {} {agent_words}",
            one.server_line(),
            two.server_line()
        ),
    ));
    assert_eq!(who_answers(&rig, 10), ["one", "two"]);
    assert!(until(|| *agent.heard.lock().unwrap() == b"hello"));

    let orders = [
        ("0%\n", vec!["one"]),
        ("50% # busy\n", vec!["one", "two"]),
        ("drain\n", vec!["one"]),
        ("ready up\n", vec!["one", "two"]),
        ("down # disk full\n", vec!["one"]),
        ("up\n", vec!["one", "two"]),
        ("maint\n", vec!["one"]),
        ("ready\n", vec!["one", "two"]),
    ];
    for (line, expected) in orders {
        agent.say(line);
        assert!(until(|| who_answers(&rig, 8) == expected), "after {line}");
    }
}

#[test]
fn an_agents_word_is_obeyed_at_once() {
    let mut rig = Rig::new();
    let agent = Agent::start("100%\n");
    let one = rig.origin("one");
    rig.config(&text(
        None,
        &format!(
            "    {} agent-check agent-port {} agent-send hello agent-inter 200ms",
            one.server_line(),
            agent.address.port()
        ),
    ));
    assert!(until(|| agent.told_us.load(Ordering::SeqCst) > 0));
    let mut took: Vec<Duration> = Vec::new();
    // Again and again, because other tests share the processor: what is not obeyed at once never is.
    let obeyed = until(|| {
        for (line, status) in [("down\n", 503), ("up\n", 200)] {
            let told = agent.tells(line);
            assert!(until(|| rig.get("/").status == status), "after {line}");
            took.push(told.elapsed());
        }
        took.iter().any(|took| *took < Duration::from_millis(100))
    });
    assert!(obeyed, "{took:?}");
}

#[test]
fn a_weight_takes_effect_within_a_tenth_of_a_second() {
    let mut rig = Rig::new();
    let agent = Agent::start("100%\n");
    let (one, two) = (rig.origin("one"), rig.origin("two"));
    let socket = rig.path("sock");
    let words = format!(
        "weight 100 agent-check agent-addr 127.0.0.1 agent-port {} agent-send hello agent-inter 100ms",
        agent.address.port()
    );
    let backend = format!(
        "    {} weight 100\n    {} {words}",
        one.server_line(),
        two.server_line()
    );
    let global = format!(
        "global\n    stats socket {} level admin\n",
        socket.display()
    );
    rig.config(&format!("{global}{}", text(None, &backend)));
    assert!(until(|| agent.told_us.load(Ordering::SeqCst) > 0));
    let mut client = rig.client();
    let mut took: Vec<Duration> = Vec::new();
    let mut gone = false;
    // Until several have, because other tests share the processor: what takes longer by itself always does.
    let in_time = until(|| {
        // Nothing, and all again: what counts is who answers.
        gone = !gone;
        let told = agent.tells(if gone { "0%\n" } else { "100%\n" });
        let mut last = String::new();
        assert!(until(|| {
            client.send("GET / HTTP/1.1\r\nHost: rig\r\n\r\n");
            let answer = client.response().text();
            let changed = match gone {
                // Two answers in a row by the same one: the other takes no part.
                true => answer == "one" && last == "one",
                false => answer == "two",
            };
            last = answer;
            changed
        }));
        took.push(told.elapsed());
        let tenth = Duration::from_millis(100);
        took.iter().filter(|took| **took <= tenth).count() >= 5
    });
    assert!(in_time, "{took:?}");
}

#[test]
fn operators_pause_and_move_checks_and_speak_for_agents() {
    let mut rig = Rig::new();
    let agent = Agent::start("up\n");
    let other = Agent::start("down\n");
    let (one, two) = (rig.origin("one"), rig.origin("two"));
    let socket = rig.path("sock");
    let words = format!(
        "check inter 30ms rise 1 fall 1 agent-check agent-addr 127.0.0.1 agent-port {} agent-send hello agent-inter 30ms",
        agent.address.port()
    );
    let backend = format!(
        "    {}\n    {} {words}",
        one.server_line(),
        two.server_line()
    );
    let global = format!(
        "global\n    stats socket {} level admin\n",
        socket.display()
    );
    rig.config(&format!("{global}{}", text(None, &backend)));
    assert_eq!(who_answers(&rig, 8), ["one", "two"]);
    let both = ["one", "two"];
    let told = |line: &str, answer: &str, expected: &[&str]| {
        assert_eq!(ask(&socket, line), answer, "{line}");
        assert!(until(|| who_answers(&rig, 6) == expected), "after {line}");
    };
    told("set server app/two agent-send world", "\n", &both);
    assert!(until(|| *agent.heard.lock().unwrap() == b"world"));
    let port = other.address.port();
    told(
        &format!("set server app/two agent-port {port}"),
        "\n",
        &["one"],
    );
    told("disable agent app/two", "\n", &["one"]);
    told("set server app/two agent up", "\n", &both);
    told("enable agent app/two", "\n", &["one"]);
    told(
        &format!("set server app/two agent-port {}", agent.address.port()),
        "\n",
        &both,
    );
    // Nobody is there to be found well.
    let nowhere = free_address().port();
    told(
        &format!("set server app/two check-port {nowhere}"),
        "\n",
        &["one"],
    );
    told("disable health app/two", "\n", &["one"]);
    told("set server app/two health up", "\n", &both);
    told("enable health app/two", "\n", &["one"]);
    let home = two.address.port();
    told(
        &format!("set server app/two check-addr 127.0.0.1 port {home}"),
        "\n",
        &both,
    );
    // The next check finds it well again.
    told("set server app/two health down", "\n", &both);
    for (line, answer) in [
        (
            "enable agent app/one",
            "Agent was not configured on this server, cannot enable.\n\n",
        ),
        (
            "set server app/one agent up",
            "agent checks are not enabled on this server.\n\n",
        ),
        (
            "set server app/one check-port 80",
            "Health checks are not enabled on this server.\n\n",
        ),
        (
            "set server app/two check-port 0",
            "provided port is not valid.\n\n",
        ),
        (
            "set server app/two agent-addr nobody",
            "Invalid addr 'nobody'\n\n",
        ),
        (
            "set server app/two agent sideways",
            "'set server <srv> agent' expects 'up' or 'down'.\n\n",
        ),
    ] {
        assert_eq!(ask(&socket, line), answer, "{line}");
    }
}

#[test]
fn scripts_speak_with_servers_that_speak_first() {
    let mut rig = Rig::new();
    let (good, bad, log) = (
        rig.origin_raw("good", |mut stream| {
            let _ = stream.write_all(b"+READY\r\n");
            let mut asked = [0; 4];
            let answer: &[u8] = match stream.read_exact(&mut asked) {
                Ok(()) if asked == *b"PING" => b"PONG\r\n",
                _ => b"WHAT\r\n",
            };
            let _ = stream.write_all(answer);
        }),
        rig.origin_raw("bad", |mut stream| {
            let _ = stream.write_all(b"-LOADING\r\n");
        }),
        rig.syslog(),
    );
    let script = "    option tcp-check\n    tcp-check connect\n    tcp-check expect string +READY\n\
         \x20   tcp-check send PING\n    tcp-check expect rstring ^P[A-Z]NG comment 'the answer'\n";
    rig.config(&text(
        Some(&log),
        &format!(
            "{script}    {} check inter 1s fall 1 rise 1\n    {} check inter 1s fall 1 rise 1",
            good.server_line(),
            bad.server_line()
        ),
    ));
    let lines: Vec<_> = (0..3).map(|_| log.line()).collect();
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(
        has("app/good succeeded, reason: Layer7 check passed, code: 0, info: \"(tcp-check)\""),
        "{lines:?}"
    );
    assert!(
        has(
            "app/bad failed, reason: Layer7 invalid response, info: \"TCPCHK did not match content '+READY' at step 2\""
        ),
        "{lines:?}"
    );
    assert!(has("Server app/bad is DOWN"), "{lines:?}");
}
