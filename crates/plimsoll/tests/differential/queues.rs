//! Limits, and those who wait because of them.

use crate::actor::Actor;
use crate::origin::Act;
use crate::stage::{Case, Stage, case, get, moment, ok, play};

/// A server that answers when the gate is opened.
fn gated(name: &str, back: &str) -> Case {
    case(name)
        .origin(|asked| vec![Act::Body, Act::Gate, Act::Send(ok(&asked.line))])
        .back(back)
        .unordered()
}

/// Clients that ask one after the other, the first of which has reached the server before the others begin.
fn ask(stage: &mut Stage, count: usize) -> Vec<Actor> {
    let mut clients = Vec::new();
    for number in 0..count {
        let mut client = stage.client();
        client.send(get(&format!("/{number}")));
        if number == 0 {
            stage.origins[0].wait_for(1);
        } else {
            moment();
        }
        clients.push(client);
    }
    clients
}

fn finish(stage: &mut Stage, clients: Vec<Actor>) {
    let mut gone = Vec::new();
    for mut client in clients {
        stage.origins[0].open_gate();
        client.answer();
        moment();
        gone.push(client);
    }
    for client in gone {
        stage.done(client);
    }
}

fn all_are_served(case: Case, count: usize) -> Case {
    case.talk(move |stage| {
        let clients = ask(stage, count);
        finish(stage, clients);
    })
}

#[test]
fn servers_with_limits() {
    play(vec![
        all_are_served(gated("one-waits", "server s1 {s1} maxconn 1"), 2),
        all_are_served(gated("three-wait", "server s1 {s1} maxconn 1"), 4),
        all_are_served(gated("two-of-four", "server s1 {s1} maxconn 2"), 4),
        all_are_served(gated("source", "balance source;server s1 {s1} maxconn 1"), 3),
        all_are_served(gated("minconn", "fullconn 4;server s1 {s1} minconn 1 maxconn 4"), 4),
        gated("timeout", "timeout queue 200ms;server s1 {s1} maxconn 1").talk(|stage| {
            let mut clients = ask(stage, 2);
            let mut waiting = clients.pop().expect("two clients");
            waiting.answer();
            stage.done(waiting);
            finish(stage, clients);
        }),
        gated("timeout-by-connect", "timeout connect 200ms;server s1 {s1} maxconn 1").talk(|stage| {
            let mut clients = ask(stage, 2);
            let mut waiting = clients.pop().expect("two clients");
            waiting.answer();
            stage.done(waiting);
            finish(stage, clients);
        }),
        gated("full", "timeout queue 300ms;server s1 {s1} maxconn 1 maxqueue 1").except("0/1 \"GET /2", "0/2 \"GET /2").talk(|stage| {
            let mut clients = ask(stage, 3);
            let mut refused = clients.pop().expect("three clients");
            refused.answer();
            stage.done(refused);
            finish(stage, clients);
        }),
        gated("full-source", "balance source;retries 1;timeout connect 200ms;timeout queue 2s;server s1 {s1} maxconn 1 maxqueue 1").talk(|stage| {
            let mut clients = ask(stage, 3);
            let mut refused = clients.pop().expect("three clients");
            refused.answer();
            stage.done(refused);
            finish(stage, clients);
        }),
        gated("leaves", "option abortonclose;server s1 {s1} maxconn 1").lines(2).talk(|stage| {
            let mut clients = ask(stage, 2);
            let mut leaving = clients.pop().expect("two clients");
            leaving.leave();
            stage.wait_for_line();
            stage.done(leaving);
            finish(stage, clients);
        }),
        gated("leaves-unheeded", "no option abortonclose;server s1 {s1} maxconn 1").lines(2).talk(|stage| {
            let mut clients = ask(stage, 2);
            let mut leaving = clients.pop().expect("two clients");
            leaving.leave();
            moment();
            stage.done(leaving);
            finish(stage, clients);
        }),
    ]);
}

#[test]
fn frontends_with_limits() {
    play(vec![
        gated("maxconn", "server s1 {s1}")
            .front("maxconn 1")
            .talk(|stage| {
                let mut first = stage.client();
                first.send(get("/first"));
                stage.origins[0].wait_for(1);
                let mut second = stage.client();
                second.send(get("/second"));
                moment();
                stage.origins[0].open_gate();
                first.answer();
                first.leave();
                stage.origins[0].open_gate();
                second.answer();
                stage.done(first);
                stage.done(second);
            }),
    ]);
}

/// How many connections wait in the kernel until a listener accepts them.
fn backlog(address: std::net::SocketAddr) -> Option<u32> {
    let mut all = crate::rig::listeners().into_iter();
    Some(all.find(|(port, _)| *port == address.port())?.1)
}

/// Nothing is accepted beyond the limit: who comes waits in the kernel's backlog.
#[test]
fn who_has_no_room_is_not_accepted() {
    play(vec![
        gated("not-accepted", "server s1 {s1}")
            .front("maxconn 2")
            .talk(|stage| {
                let mut clients: Vec<_> = (0..2).map(|_| stage.client()).collect();
                for (number, client) in clients.iter_mut().enumerate() {
                    client.send(get(&format!("/{number}")));
                    stage.origins[0].wait_for(number + 1);
                }
                for number in 2..4 {
                    let mut client = stage.client();
                    client.send(get(&format!("/{number}")));
                    clients.push(client);
                }
                let address = stage.address();
                assert!(
                    crate::rig::until(|| backlog(address) == Some(2)),
                    "{:?}",
                    backlog(address)
                );
                for mut client in clients {
                    stage.origins[0].open_gate();
                    client.answer();
                    client.leave();
                    stage.done(client);
                }
            }),
    ]);
}

/// A server's place is kept while a connection to it is tried again: others wait for their turn.
#[test]
fn places_are_kept_between_attempts() {
    let back = "retries 1;timeout connect 300ms;timeout queue 5s;server s1 127.0.0.1:1 maxconn 1";
    play(vec![
        case("slot-kept")
            .front("log-format %r:%sq:%rc:%[int(0)]")
            .back(back)
            .unordered()
            .lines(2)
            .talk(|stage| {
                let mut clients = Vec::new();
                for number in 0..2 {
                    let mut client = stage.client();
                    client.send(get(&format!("/{number}")));
                    moment();
                    clients.push(client);
                }
                for mut client in clients {
                    client.answer();
                    stage.done(client);
                }
            }),
    ]);
}

/// A server of TCP mode that takes one client at a time and parts with it when the gate is opened. `others` do what they do
/// while one has it; those who still wait afterwards are served as well.
fn raw(
    name: &str,
    back: &str,
    others: impl Fn(&mut Stage) -> Vec<Actor> + Send + Sync + 'static,
) -> Case {
    case(name)
        .front("mode tcp;option tcplog")
        .raw(|_| vec![Act::Read(1), Act::Gate, Act::Close])
        .back(&format!("mode tcp;{back}"))
        .unordered()
        .lines(2)
        .talk(move |stage| {
            let mut first = stage.client();
            first.send("a");
            stage.origins[0].wait_for(1);
            let mut clients = others(stage);
            clients.insert(0, first);
            for mut client in clients {
                stage.origins[0].open_gate();
                client.rest();
                stage.done(client);
            }
        })
}

#[test]
fn clients_of_tcp_that_wait() {
    let one = "timeout queue 3s;server s1 {s1} maxconn 1";
    let full = "balance source;timeout queue 3s;server s1 {s1} maxconn 1 maxqueue 1";
    let short = "timeout queue 200ms;server s1 {s1} maxconn 1";
    play(vec![
        raw("raw-leaves", one, |stage| {
            let mut client = stage.client();
            moment();
            client.leave();
            stage.wait_for_line();
            stage.done(client);
            Vec::new()
        }),
        raw("raw-leaves-rudely", one, |stage| {
            let mut client = stage.client();
            client.send("b");
            moment();
            client.reset();
            stage.wait_for_line();
            stage.done(client);
            Vec::new()
        }),
        raw("raw-times-out", short, |stage| {
            let mut client = stage.client();
            client.send("b");
            client.rest();
            stage.done(client);
            Vec::new()
        }),
        // One that has asked may wait for the answer with its side closed.
        raw("raw-waits-half-closed", one, |stage| {
            let mut client = stage.client();
            client.send("b");
            client.finish();
            moment();
            vec![client]
        }),
        raw("raw-full", full, |stage| {
            let mut waits = stage.client();
            waits.send("b");
            moment();
            let mut refused = stage.client();
            refused.send("c");
            refused.rest();
            stage.done(refused);
            vec![waits]
        })
        .lines(3),
    ]);
}
