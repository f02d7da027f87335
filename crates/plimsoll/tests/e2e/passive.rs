//! What traffic says of servers: failures that take them out, sessions that end with them, and who is too slow.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::rig::client::Client;
use crate::rig::origin::{Origin, Reply};
use crate::rig::syslog::Syslog;
use crate::rig::{Rig, ask, free_address, until};

fn text(rig: &Rig, log: &Syslog, backend: &str) -> String {
    format!(
        "global\n    stats socket {} level admin\n\
         defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n    retries 0\n\
         frontend web\n    bind {{listen}}\n    default_backend app\n\
         backend app\n    log {} local0\n{backend}\n",
        rig.path("sock").display(),
        log.address(),
    )
}

/// An origin that is well until it is told otherwise, and answers checks in any case.
fn moody(rig: &Rig, name: &str) -> (Origin, Arc<AtomicBool>) {
    let ill = Arc::new(AtomicBool::new(false));
    let (told, body) = (Arc::clone(&ill), name.to_owned());
    let origin = rig.origin_with(name, move |request| {
        let check = request.line.starts_with("OPTIONS ");
        match told.load(Ordering::SeqCst) && !check {
            true => Reply::Send(b"HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n".to_vec()),
            false => Reply::ok(&body),
        }
    });
    (origin, ill)
}

/// The next line of the log that says this, however many others come first.
fn line_with(log: &Syslog, text: &str) -> String {
    loop {
        let line = log.line();
        if line.contains(text) {
            return line;
        }
    }
}

fn status(rig: &Rig, server: &str) -> String {
    let answer = ask(&rig.path("sock"), "show stat app 4 -1");
    let row = answer
        .lines()
        .find(|row| row.starts_with(&format!("app,{server},")))
        .unwrap_or_else(|| panic!("no {server} in {answer}"));
    row.split(',').nth(17).unwrap_or_default().to_owned()
}

#[test]
fn errors_in_the_traffic_mark_a_server_down_and_its_checks_bring_it_back() {
    let mut rig = Rig::new();
    let log = rig.syslog();
    let one = rig.origin("one");
    let (two, ill) = moody(&rig, "two");
    let config = text(
        &rig,
        &log,
        &format!(
            "    option httpchk\n    {}\n    {} check inter 9s fastinter 2s rise 1 fall 3 observe layer7 error-limit 3 \
             on-error mark-down",
            one.server_line(),
            two.server_line()
        ),
    );
    rig.config(&config);
    let answers =
        |number: usize| -> Vec<u16> { (0..number).map(|_| rig.get("/").status).collect() };
    assert!(answers(10).iter().all(|&status| status == 200));
    ill.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(status(&rig, "two"), "UP");
        assert!(until(|| rig.get("/").status == 500));
    }
    let down = line_with(&log, " is DOWN");
    assert!(
        down.contains(
            "Server app/two is DOWN, reason: Health analyze, info: \"Detected 3 consecutive errors, last one was: Wrong \
             http response\". 1 active"
        ),
        "{down}"
    );
    let later = answers(6);
    // Unless it has been found well meanwhile.
    if status(&rig, "two").starts_with("DOWN") {
        assert_eq!(later, [200; 6]);
    }
    // Its check passes, which brings it back after `fastinter`, and its traffic fails again.
    line_with(&log, "Server app/two is UP");
    ill.store(false, Ordering::SeqCst);
    assert!(until(|| rig.get("/").text() == "two"));
    let stat = ask(&rig.path("sock"), "show stat app 4 -1");
    let row = stat
        .lines()
        .find(|row| row.contains(",two,"))
        .unwrap_or_default();
    // hanafail
    assert!(
        row.split(',').nth(45).is_some_and(|number| number != "0"),
        "{row}"
    );
}

fn checks_of(origin: &Origin) -> usize {
    let requests = origin.requests();
    let asked = requests.iter().map(|request| &request.line);
    asked.filter(|line| line.starts_with("OPTIONS ")).count()
}

/// First checks are spread over the interval; errors do not wait for them.
#[test]
fn with_fastinter_errors_bring_the_first_check_forward_too() {
    let mut rig = Rig::new();
    let log = rig.syslog();
    let one = rig.origin("one");
    let (two, ill) = moody(&rig, "two");
    let config = text(
        &rig,
        &log,
        &format!(
            "    option httpchk\n    use-server two if TRUE\n    {} check inter 10m\n    \
             {} check inter 10m fastinter 50ms observe layer7 error-limit 2 on-error fastinter",
            one.server_line(),
            two.server_line()
        ),
    );
    rig.config(&config);
    assert!(
        until(|| checks_of(&one) == 1),
        "the first check of the first server"
    );
    ill.store(true, Ordering::SeqCst);
    assert_eq!(checks_of(&two), 0);
    assert_eq!((rig.get("/").status, rig.get("/").status), (500, 500));
    assert!(until(|| checks_of(&two) >= 1), "a check follows the errors");
    assert_eq!(status(&rig, "two"), "UP");
}

#[test]
fn with_fastinter_errors_only_bring_the_next_check_forward() {
    let mut rig = Rig::new();
    let log = rig.syslog();
    let (two, ill) = moody(&rig, "two");
    let config = text(
        &rig,
        &log,
        &format!(
            "    option httpchk\n    {} check inter 10m fastinter 50ms observe layer7 error-limit 2 on-error fastinter",
            two.server_line()
        ),
    );
    rig.config(&config);
    let checks = || checks_of(&two);
    assert!(until(|| checks() == 1), "the first check");
    ill.store(true, Ordering::SeqCst);
    assert_eq!((rig.get("/").status, rig.get("/").status), (500, 500));
    assert!(until(|| checks() >= 2), "a check follows the errors");
    assert_eq!(status(&rig, "two"), "UP");
}

#[test]
fn a_suspended_server_is_left_alone_then_tried_and_the_last_one_is_never_suspended() {
    let mut rig = Rig::new();
    let log = rig.syslog();
    let one = rig.origin("one");
    let (two, ill) = moody(&rig, "two");
    let config = text(
        &rig,
        &log,
        &format!(
            "    default-server observe layer7 error-limit 2 on-error suspend error-window 1s\n    {}\n    {}",
            one.server_line(),
            two.server_line()
        ),
    );
    rig.config(&config);
    ill.store(true, Ordering::SeqCst);
    let failed = |number| (0..number).filter(|_| rig.get("/").status == 500).count();
    assert!(until(|| failed(1) == 1));
    assert_eq!(status(&rig, "two"), "no check", "one failure is none");
    assert!(until(|| {
        failed(1);
        status(&rig, "two") == "NOLB"
    }));
    let line = line_with(&log, "suspended");
    assert!(
        line.contains("Server app/two is suspended, reason: 2 failures in its traffic. 1 active"),
        "{line}"
    );
    // Seen between two trials, of which the first ones may be over before a busy machine has looked.
    assert!(until(|| {
        let seen = (status(&rig, "two"), failed(5), status(&rig, "two"));
        (seen.0.as_str(), seen.1, seen.2.as_str()) == ("NOLB", 0, "NOLB")
    }));
    assert!(until(|| {
        line_with(&log, "Server app/two is on trial");
        status(&rig, "two") == "no check"
    }));
    // One failure is enough now.
    assert!(until(|| failed(1) == 1));
    line_with(&log, "Server app/two is suspended");
    ill.store(false, Ordering::SeqCst);
    line_with(&log, "Server app/two is on trial");
    assert!(until(|| rig.get("/").text() == "two"));
    assert_eq!(status(&rig, "two"), "no check");

    ask(&rig.path("sock"), "disable server app/one");
    ill.store(true, Ordering::SeqCst);
    assert_eq!(failed(10), 10);
    assert_eq!(status(&rig, "two"), "no check", "nobody else is left");
}

#[test]
fn sessions_end_with_their_server_where_that_is_wanted() {
    let mut rig = Rig::new();
    let log = rig.syslog();
    let address = free_address();
    // It accepts, and never says anything.
    let listener = TcpListener::bind(address).expect("a free address");
    let config = format!(
        "global\n    stats socket {} level admin\n\
         defaults\n    mode tcp\n    timeout connect 20s\n    timeout client 60s\n    timeout server 60s\n\
         \x20   log {} local0\n    option tcplog\n\
         listen app\n    bind {{listen}}\n    server one {address} on-marked-down shutdown-sessions\n    server two {address}\n",
        rig.path("sock").display(),
        log.address(),
    );
    rig.config(&config);
    let mut clients: Vec<Client> = (0..4).map(|_| rig.client()).collect();
    let taken: Vec<_> = (0..4)
        .map(|_| listener.accept().expect("relayed").0)
        .collect();
    let now = |server: &str| -> u32 {
        let stat = ask(&rig.path("sock"), "show stat app 4 -1");
        let row = stat
            .lines()
            .find(|row| row.contains(&format!(",{server},")));
        row.and_then(|row| row.split(',').nth(4)?.parse().ok())
            .unwrap_or_default()
    };
    assert!(until(|| now("one") >= 2 && now("two") >= 2));
    let before = (now("one"), now("two"));
    ask(
        &rig.path("sock"),
        "set server app/one state maint; set server app/two state maint",
    );
    assert!(until(|| now("one") == 0), "they are cut off");
    assert!(now("two") >= before.1, "these were not to end");
    // What is said of the maintenance may come before or after the lines of the sessions.
    let line = line_with(&log, " DD ");
    assert!(line.contains(" app/one "), "{line}");
    // How many of the clients were at either server depends on the connections by which the rig found the listener.
    let mut ended = || clients.iter_mut().filter_map(Client::ended).count();
    assert!(until(|| (1..4).contains(&ended())));
    drop(taken);
}

#[test]
fn sessions_at_backups_end_when_an_active_server_returns() {
    let mut rig = Rig::new();
    let log = rig.syslog();
    let active = rig.origin("active");
    let spare = rig.origin_with("spare", |_| Reply::Silence);
    let config = text(
        &rig,
        &log,
        &format!(
            "    {} on-marked-up shutdown-backup-sessions\n    {} backup",
            active.server_line(),
            spare.server_line()
        ),
    );
    rig.config(&config);
    let order = |state: &str| {
        ask(
            &rig.path("sock"),
            &format!("set server app/active state {state}"),
        )
    };
    order("maint");
    let mut waiting = rig.client();
    waiting.send("GET / HTTP/1.1\r\nHost: rig\r\n\r\n");
    spare.wait_for_requests(1);
    order("ready");
    assert_eq!(waiting.response().status, 503);
    assert_eq!(rig.get("/").text(), "active");
}

#[test]
fn whoever_waits_for_a_server_that_goes_down_is_sent_to_another() {
    let mut rig = Rig::new();
    let log = rig.syslog();
    let held = Arc::new(AtomicBool::new(true));
    let origins = ["one", "two"].map(|name| {
        let held = Arc::clone(&held);
        rig.origin_with(name, move |request| {
            let waits = request.line.contains(" /hold ");
            while waits && held.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(2));
            }
            Reply::ok(name)
        })
    });
    let lines = origins
        .each_ref()
        .map(Origin::server_line)
        .join(" maxconn 1\n    ");
    let backend = format!("    balance source\n    timeout queue 5m\n    {lines} maxconn 1");
    let config = text(&rig, &log, &backend);
    rig.config(&config);
    // All come from one address, so all are bound to one server.
    let home = rig.get("/").text();
    let mut first = rig.client();
    first.send("GET /hold HTTP/1.1\r\nHost: rig\r\n\r\n");
    let busy = origins
        .iter()
        .find(|origin| origin.name == home)
        .expect("one of the two");
    busy.wait_for_requests(2);
    let mut waiting: Vec<_> = (0..20).map(|_| rig.client()).collect();
    for client in &mut waiting {
        client.send("GET / HTTP/1.1\r\nHost: rig\r\nConnection: close\r\n\r\n");
    }
    let queued = || {
        let stat = ask(&rig.path("sock"), "show stat app 4 -1");
        let row = stat.lines().find(|row| row.contains(&format!(",{home},")));
        row.is_some_and(|row| row.split(',').nth(2) == Some("20"))
    };
    assert!(until(queued), "they wait for their server");
    ask(
        &rig.path("sock"),
        &format!("set server app/{home} health down"),
    );
    // Long before any time-out.
    for client in &mut waiting {
        let answer = client.response();
        assert_eq!((answer.status, answer.text() == home), (200, false));
    }
    held.store(false, Ordering::SeqCst);
    assert_eq!(first.response().text(), home);
}

/// Asks again and again from a few threads while it lives; counts the answers by body.
struct Load {
    going: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
    counts: Arc<[AtomicU64; 4]>,
}

const NAMES: [&str; 3] = ["one", "two", "three"];

impl Load {
    fn start(rig: &Rig) -> Self {
        let going = Arc::new(AtomicBool::new(true));
        let counts: Arc<[AtomicU64; 4]> = Arc::default();
        let address = rig.address();
        let threads = (0..6).map(|_| {
            let (going, counts) = (Arc::clone(&going), Arc::clone(&counts));
            thread::spawn(move || {
                let mut client = Client::connect(address);
                while going.load(Ordering::SeqCst) {
                    client.send("GET / HTTP/1.1\r\nHost: rig\r\n\r\n");
                    let answer = client.response();
                    let known = NAMES.iter().position(|name| *name == answer.text());
                    let index = known.filter(|_| answer.status == 200).unwrap_or(3);
                    counts[index].fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        Self {
            threads: threads.collect(),
            going,
            counts,
        }
    }

    fn count(&self, index: usize) -> u64 {
        self.counts[index].load(Ordering::SeqCst)
    }

    fn stop(self) -> u64 {
        self.going.store(false, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("every request is answered");
        }
        self.counts[3].load(Ordering::SeqCst)
    }
}

/// Three servers that answer after a time that can be changed.
fn slow_farm(rig: &mut Rig, log: &Syslog, words: &str) -> [(Origin, Arc<AtomicU64>); 3] {
    let origins = NAMES.map(|name| {
        let delay_ms = Arc::new(AtomicU64::new(10));
        let told = Arc::clone(&delay_ms);
        let origin = rig.origin_with(name, move |_| {
            let delay = Duration::from_millis(told.load(Ordering::SeqCst));
            Reply::After(delay, Box::new(Reply::ok(name)))
        });
        (origin, delay_ms)
    });
    let lines = origins.each_ref().map(|(origin, _)| origin.server_line());
    let backend = format!(
        "    option outlier-ejection {words}\n    {}",
        lines.join("\n    ")
    );
    let config = text(rig, log, &backend);
    rig.config(&config);
    origins
}

#[test]
fn a_server_ten_times_slower_than_its_siblings_is_ejected_and_readmitted() {
    let mut rig = Rig::new();
    let log = rig.syslog();
    let origins = slow_farm(&mut rig, &log, "base-time 1s min-gap 60ms");
    let load = Load::start(&rig);
    assert!(until(|| load.count(1) > 30), "all take part");
    origins[1].1.store(300, Ordering::SeqCst);
    let line = line_with(&log, "ejected");
    assert!(
        line.contains("Server app/two is ejected for 1000ms, reason: median response time "),
        "{line}"
    );
    // It is slow still: should this time be over already, it is ejected again.
    assert!(until(|| status(&rig, "two") == "NOLB"));
    let mut outliers = String::new();
    let told = until(|| {
        outliers = ask(&rig.path("sock"), "show outliers");
        let mut rows = outliers.lines().map(|row| row.split(' '));
        let row: Vec<_> = rows
            .find(|row| row.clone().nth(1) == Some("two"))
            .map_or_else(Vec::new, Iterator::collect);
        row.len() > 4 && row[..3] == ["app", "two", "ejected"] && row[3] != "0" && row[4] == "0"
    });
    assert!(told, "{outliers}");
    // The next time it is left alone for longer.
    let again = line_with(&log, "app/two is ejected");
    assert!(again.contains("ejected for 2000ms"), "{again}");
    origins[1].1.store(10, Ordering::SeqCst);
    line_with(&log, "app/two is readmitted");
    let before = load.count(1);
    assert!(until(|| load.count(1) > before + 30), "it takes part again");
    assert_eq!(load.stop(), 0, "no request failed");
}

#[test]
fn nobody_is_ejected_when_all_slow_down_together_and_the_share_is_kept() {
    let mut rig = Rig::new();
    let log = rig.syslog();
    let origins = slow_farm(
        &mut rig,
        &log,
        "max-share 34 interval 1s min-gap 60ms min-samples 3",
    );
    let load = Load::start(&rig);
    let total = |load: &Load| load.count(0) + load.count(1) + load.count(2);
    assert!(until(|| total(&load) > 100));
    for (_, delay_ms) in &origins {
        delay_ms.store(200, Ordering::SeqCst);
    }
    let before = total(&load);
    assert!(until(|| total(&load) > before + 100));
    assert!(NAMES.iter().all(|name| status(&rig, name) == "no check"));
    // Two of three are slow, and only one may be ejected. Of two that are left nobody is.
    origins[0].1.store(10, Ordering::SeqCst);
    origins[1].1.store(600, Ordering::SeqCst);
    line_with(&log, "app/two is ejected");
    let kept = line_with(&log, "is kept");
    assert!(
        kept.contains("Server app/three is kept, for enough others are ejected, though: median"),
        "{kept}"
    );
    let out = NAMES
        .iter()
        .filter(|name| status(&rig, name) == "NOLB")
        .count();
    assert_eq!(out, 1);
    assert_eq!(load.stop(), 0, "no request failed");
}
