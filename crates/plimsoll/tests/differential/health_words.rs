//! What servers are asked about their health; and what operators say of it reaches those that track it, and the log, as in HAProxy.

use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::log::Receiver;
use crate::rig::origin::Reply;
use crate::rig::{PLIMSOLL, Rig, ask, free_address, until};
use crate::stage::reference;

/// What is ordered, one after the other, and how many lines are logged of it.
const ORDERS: [(&str, usize); 9] = [
    ("set server lead/a health down", 4),
    ("set server lead/a health up", 2),
    ("set server lead/a health stopping", 4),
    ("set server lead/a health stopping", 0),
    ("set server lead/a health up", 2),
    ("set server lead/a agent down", 4),
    ("set server lead/a agent up", 2),
    ("disable server lead/a", 4),
    ("set server lead/a health down", 0),
];

/// After each order: who answers by the leader and by its follower, and what was logged.
fn course(program: &Path) -> Vec<String> {
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let (address, socket, receiver) = (free_address(), rig.path("socket"), Receiver::start());
    let server = origin.server_line();
    let text = format!(
        "global\n stats socket {socket} level admin\n log {log} local0\n\
         defaults\n log global\n mode http\n timeout client 10s\n timeout server 10s\n timeout connect 5s\n timeout queue 5s\n\
         frontend fe\n no log\n bind {address}\n use_backend %[path,field(2,/)]\n\
         backend lead\n {server} check inter 1h agent-check agent-inter 1h agent-addr 127.0.0.1 agent-port {port}\n\
         backend tr\n {tracking} track lead/a\n",
        socket = socket.display(),
        log = receiver.address(),
        port = free_address().port(),
        tracking = server.replace("server a", "server t"),
    );
    rig.serve(program, &text, address);
    // Both are checked once, and then not for an hour.
    receiver.lines(0);
    let mut told = Vec::new();
    for (order, lines) in ORDERS {
        ask(&socket, order);
        let statuses = ["lead", "tr"].map(|backend| rig.get(&format!("/{backend}")).status);
        told.push(format!("{order}: {statuses:?}"));
        told.extend(receiver.lines(lines));
    }
    told
}

#[test]
fn words_of_operators_reach_followers_and_the_log() {
    let Some(reference) = reference() else { return };
    let (theirs, ours) = (course(&reference), course(Path::new(PLIMSOLL)));
    assert_eq!(ours, theirs);
}

/// The first line of what a server of HTTP/1 is asked in a check.
fn asked(program: &Path, version: &str) -> String {
    let mut rig = Rig::new();
    let line = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&line);
    let origin = rig.origin_with("a", move |request| {
        request
            .line
            .clone_into(&mut heard.lock().expect("nobody panics"));
        Reply::ok("fine")
    });
    let address = free_address();
    let server = origin.server_line();
    let text = format!(
        "defaults\n mode http\n timeout client 10s\n timeout server 10s\n timeout connect 5s\n\
         frontend fe\n bind {address}\n default_backend be\n\
         backend be\n option httpchk\n http-check send meth GET uri /health ver {version} hdr Host a\n {server} check\n"
    );
    rig.serve(program, &text, address);
    let line = || line.lock().expect("nobody panics").clone();
    assert!(until(|| !line().is_empty()), "{version}: no check");
    line()
}

#[test]
fn versions_of_checks_are_those_of_connections() {
    let Some(reference) = reference() else { return };
    for version in ["HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/2.0"] {
        let theirs = asked(&reference, version);
        assert_eq!(asked(Path::new(PLIMSOLL), version), theirs, "{version}");
    }
}

/// What is said of checks that fail at the steps of these scripts, after lines that only comment.
fn failed_steps(program: &Path) -> Vec<String> {
    const SCRIPTS: [&str; 3] = [
        "tcp-check connect\n tcp-check comment one\n tcp-check send x\n tcp-check expect string nope",
        "tcp-check comment one\n tcp-check comment two\n tcp-check send x\n tcp-check expect string nope comment three",
        "tcp-check send x comment one\n tcp-check comment two\n tcp-check expect rstring ^nope",
    ];
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let (address, receiver) = (free_address(), Receiver::start());
    let mut text = format!(
        "global\n log {log} local0\n\
         defaults\n log global\n timeout client 10s\n timeout server 10s\n timeout connect 5s\n timeout check 200ms\n\
         frontend fe\n no log\n bind {address}\n",
        log = receiver.address(),
    );
    for (number, script) in SCRIPTS.iter().enumerate() {
        let server = origin.server_line();
        text += &format!(
            "backend b{number}\n option tcp-check\n {script}\n {server} check inter 300ms fall 1\n"
        );
    }
    rig.serve(program, &text, address);
    let without_duration = |line: &String| {
        line.split(", check duration")
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let lines = receiver.lines(2 * SCRIPTS.len());
    let mut told: Vec<_> = lines.iter().map(without_duration).collect();
    told.sort();
    told
}

#[test]
fn comments_count_as_steps() {
    let Some(reference) = reference() else { return };
    let (theirs, ours) = (failed_steps(&reference), failed_steps(Path::new(PLIMSOLL)));
    assert_eq!(ours, theirs);
    assert!(
        ours.iter()
            .any(|line| line.contains("at step 4 of tcp-check")),
        "{ours:?}"
    );
}
