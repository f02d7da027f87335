//! What operators say of a server's health reaches those that track it, and the log, as in HAProxy.

use std::path::Path;

use crate::log::Receiver;
use crate::rig::{PLIMSOLL, Rig, ask, free_address};
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
    receiver.pending();
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
