//! The reactor in simulated worlds: many seeds, no time, no machine.

mod reactor_help;

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;

use plimsoll_engine::reactor::simulated::{Simulation, Weather};
use plimsoll_engine::reactor::{Listener, Options, Reactor, RunError, Socket, TimedOut, connect};
use plimsoll_sys::{Address, ConnectOptions, ListenOptions};
use reactor_help::*;

const HOUR_NS: u64 = 3_600 * SECOND_NS;

fn world(seed: u64, weather: Weather) -> (Simulation, Reactor) {
    let simulation = Simulation::new(seed, weather);
    let reactor = Reactor::simulated(&simulation, Options::default());
    (simulation, reactor)
}

/// Echoes on every connection.
fn serve_echo(reactor: &Reactor, listener: Listener) {
    let spawner = reactor.clone();
    let serve = async move {
        loop {
            let socket = accept(&listener).await;
            let conversation = echo(spawner.clone(), socket);
            spawner.spawn(async { drop(conversation.await) }).unwrap();
        }
    };
    reactor.spawn(serve).unwrap();
}

/// One client: sends a pattern while reading the echo, half-closes, and reads to the end.
async fn converse(
    reactor: Reactor,
    address: Address,
    length: usize,
    salt: usize,
) -> io::Result<()> {
    let socket = Rc::new(dial(&reactor, &address).await?);
    let sent = pattern(length, salt);
    let (writer, bytes) = (Rc::clone(&socket), sent.clone());
    let written = reactor.spawn(async move {
        if write_all(&writer, &bytes).await.is_ok() {
            let _ = writer.shutdown_write();
        }
    });
    written.map_err(io::Error::other)?;
    let heard = read_all(&socket).await?;
    if heard.len() == sent.len() {
        assert!(heard == sent, "bytes changed on their way");
        return Ok(());
    }
    assert!(heard.len() < sent.len(), "bytes appeared from nowhere");
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// Runs `clients` against an echo service; tells how many were content.
fn run_clients(simulation: &Simulation, reactor: &Reactor, clients: usize) -> usize {
    let (listener, address) = listen(reactor);
    serve_echo(reactor, listener);
    let (content, ended) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let mut chance = simulation.chance();
    for salt in 0..clients {
        let length = chance.below(20_000) as usize;
        let conversation = converse(reactor.clone(), address.clone(), length, salt);
        let (content, ended, task) = (Rc::clone(&content), Rc::clone(&ended), reactor.clone());
        let client = async move {
            let mut conversation = Box::pin(conversation);
            let deadline_ns = task.now_ns() + HOUR_NS;
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let result = task
                .until(deadline_ns, || conversation.as_mut().poll(&mut context))
                .await;
            content.set(content.get() + usize::from(matches!(result, Ok(Ok(())))));
            ended.set(ended.get() + 1);
            if ended.get() == clients {
                task.stop();
            }
        };
        reactor.spawn(client).unwrap();
    }
    reactor
        .run()
        .unwrap_or_else(|error| panic!("seed {}: {error}", simulation.seed()));
    reactor.cancel_all();
    let usage = reactor.usage();
    assert_eq!(
        (usage.tasks, usage.sockets),
        (0, 0),
        "seed {}",
        simulation.seed()
    );
    // Connections which nobody has accepted went with the listener.
    assert_eq!(simulation.open_sockets(), 0, "seed {}", simulation.seed());
    content.get()
}

#[test]
fn everything_arrives_in_choppy_weather() {
    for seed in Simulation::seeds(0, 40) {
        let (simulation, reactor) = world(seed, Weather::choppy());
        assert_eq!(run_clients(&simulation, &reactor, 8), 8, "seed {seed}");
    }
}

#[test]
fn a_storm_breaks_connections_but_leaks_and_hangs_nothing() {
    let mut content = 0;
    let seeds: Vec<u64> = Simulation::seeds(0, 60).collect();
    for &seed in &seeds {
        let (simulation, reactor) = world(seed, Weather::stormy());
        content += run_clients(&simulation, &reactor, 12);
    }
    if seeds.len() > 1 {
        let all = seeds.len() * 12;
        assert!(
            content > all / 5 && content < all * 4 / 5,
            "{content} of {all} got through: that is no storm"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let (simulation, reactor) = world(seed, Weather::stormy());
        run_clients(&simulation, &reactor, 10);
        (simulation.digest(), simulation.recent(), reactor.now_ns())
    };
    let (first, second) = (run(11), run(11));
    assert_eq!(first, second);
    assert!(first.1.len() > 50);
    assert_ne!(first.0, run(12).0);
}

#[test]
fn waiting_for_what_cannot_come_is_reported() {
    let (_simulation, reactor) = world(1, Weather::calm());
    let (listener, _) = listen(&reactor);
    let stuck = reactor.block_on(async move { accept(&listener).await.id() });
    assert!(matches!(stuck, Err(RunError::Deadlocked { tasks: 1 })));
    reactor.cancel_all();
}

#[test]
fn time_jumps_and_deadlines_are_kept_in_order() {
    let (_simulation, reactor) = world(1, Weather::calm());
    let task = reactor.clone();
    let (early_ns, late_ns) = reactor
        .block_on(async move {
            let start_ns = task.now_ns();
            task.sleep_until(start_ns + SECOND_NS).await;
            let early_ns = task.now_ns() - start_ns;
            task.sleep_until(start_ns + 24 * HOUR_NS).await;
            (early_ns, task.now_ns() - start_ns)
        })
        .unwrap();
    let slack_ns = 10_000_000;
    assert!((SECOND_NS..SECOND_NS + slack_ns).contains(&early_ns));
    assert!((24 * HOUR_NS..24 * HOUR_NS + slack_ns).contains(&late_ns));
}

#[test]
fn the_earliest_of_nested_deadlines_counts() {
    let (_simulation, reactor) = world(1, Weather::calm());
    let task = reactor.clone();
    let waited_ns = reactor
        .block_on(async move {
            let start_ns = task.now_ns();
            let inner_ns = start_ns + SECOND_NS;
            let outer = task
                .until(start_ns + HOUR_NS, || task.poll_deadline(inner_ns))
                .await;
            assert_eq!(outer, Ok(TimedOut));
            task.now_ns() - start_ns
        })
        .unwrap();
    assert!(waited_ns < 2 * SECOND_NS, "{waited_ns}");
}

#[test]
fn an_unanswered_connect_is_ended_by_its_deadline() {
    let (_simulation, reactor) = world(
        1,
        Weather {
            unanswered: 1_000_000,
            ..Weather::calm()
        },
    );
    let (_listener, address) = listen(&reactor);
    let task = reactor.clone();
    let waited = reactor
        .block_on(async move {
            let socket = connect(&task, &address, &ConnectOptions::default()).unwrap();
            let deadline_ns = task.now_ns() + 5 * SECOND_NS;
            task.until(deadline_ns, || socket.poll_connected())
                .await
                .map(|_| ())
        })
        .unwrap();
    assert_eq!(waited, Err(TimedOut));
}

#[test]
fn a_connect_to_nobody_is_refused() {
    let (_simulation, reactor) = world(1, Weather::calm());
    let task = reactor.clone();
    let nowhere = Address::Inet("127.0.0.1:9".parse().unwrap());
    let error = reactor
        .block_on(async move { dial(&task, &nowhere).await.map(|_| ()).unwrap_err() })
        .unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_listener_without_descriptors_pauses_and_recovers() {
    let (simulation, reactor) = world(1, Weather::calm());
    let (listener, address) = listen(&reactor);
    let task = reactor.clone();
    let world = simulation.clone();
    reactor
        .block_on(async move {
            let _client = dial(&task, &address).await.unwrap();
            world.set_weather(Weather {
                exhausted: 1_000_000,
                ..Weather::calm()
            });
            let deadline_ns = task.now_ns() + SECOND_NS;
            let accepted = task.until(deadline_ns, || listener.poll_accept()).await;
            assert!(accepted.is_err());
            world.set_weather(Weather::calm());
            accept(&listener).await;
        })
        .unwrap();
    let pauses = reactor.usage().accept_pauses;
    assert!(
        (8..=12).contains(&pauses),
        "ten pauses of 100 ms fit into a second, not {pauses}"
    );
}

#[test]
fn one_turn_accepts_no_more_than_its_cap() {
    let simulation = Simulation::new(
        1,
        Weather {
            delay_ns_max: 1,
            ..Weather::calm()
        },
    );
    let reactor = Reactor::simulated(
        &simulation,
        Options {
            accepts_per_turn: 4,
            ..Options::default()
        },
    );
    let (listener, address) = listen(&reactor);
    let task = reactor.clone();
    let accepted_in_one_turn = reactor
        .block_on(async move {
            let mut clients = Vec::new();
            for _ in 0..20 {
                clients.push(dial(&task, &address).await.unwrap());
            }
            let mut most = 0;
            let mut sockets: Vec<Socket> = Vec::new();
            while sockets.len() < 20 {
                let (turn, before) = (task.usage().turns, sockets.len());
                while task.usage().turns == turn && sockets.len() < 20 {
                    sockets.push(accept(&listener).await);
                }
                // The last one belongs to the next turn already.
                most = most.max(sockets.len() - before);
            }
            most
        })
        .unwrap();
    assert!(
        (4..=5).contains(&accepted_in_one_turn),
        "{accepted_in_one_turn}"
    );
}

#[test]
fn a_reset_is_seen_by_who_waits_for_something_else() {
    let (_simulation, reactor) = world(1, Weather::calm());
    let (listener, address) = listen(&reactor);
    let (quiet, quiet_address) = listen(&reactor);
    let task = reactor.clone();
    reactor
        .block_on(async move {
            let client = dial(&task, &address).await.unwrap();
            let _server = dial(&task, &quiet_address).await.unwrap();
            let ours = accept(&listener).await;
            let server = accept(&quiet).await;
            client.reset_on_close().unwrap();
            drop(client);
            // One task waits for the server's answer and for the client's going away.
            poll_fn(|_| {
                if server.poll_readable().is_ready() {
                    panic!("silent")
                } else {
                    ours.poll_hangup()
                }
            })
            .await;
            assert!(ours.hung_up() && ours.is_broken());
            let error = poll_fn(|_| ours.poll_read(&mut [0; 16])).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        })
        .unwrap();
}

#[test]
fn a_half_close_is_not_the_end_of_the_other_direction() {
    let (_simulation, reactor) = world(1, Weather::calm());
    let (listener, address) = listen(&reactor);
    let task = reactor.clone();
    reactor
        .block_on(async move {
            let client = dial(&task, &address).await.unwrap();
            client.shutdown_write().unwrap();
            let server = accept(&listener).await;
            poll_fn(|_| server.poll_hangup()).await;
            assert!(server.hung_up() && !server.is_broken());
            write_all(&server, b"still here").await.unwrap();
            drop(server);
            assert_eq!(read_exact(&client, 5).await.unwrap(), b"still");
            assert_eq!(read_all(&client).await.unwrap(), b" here");
        })
        .unwrap();
}

#[test]
fn a_full_backlog_delays_clients_and_loses_none() {
    let (_simulation, reactor) = world(3, Weather::calm());
    let options = ListenOptions {
        backlog: 2,
        ..ListenOptions::default()
    };
    let listener = Listener::bind(&reactor, &any_port(), &options).unwrap();
    let address = listener.address().clone();
    let connected = Rc::new(Cell::new(0));
    for _ in 0..6 {
        let (task, address, connected) = (reactor.clone(), address.clone(), Rc::clone(&connected));
        let client = async move {
            let _socket = dial(&task, &address).await.unwrap();
            connected.set(connected.get() + 1);
            task.forever().await;
        };
        reactor.spawn(client).unwrap();
    }
    let (task, seen) = (reactor.clone(), Rc::clone(&connected));
    reactor
        .block_on(async move {
            task.sleep_until(task.now_ns() + 10 * SECOND_NS).await;
            assert_eq!(seen.get(), 2, "the others wait outside");
            let mut accepted = Vec::new();
            for _ in 0..6 {
                accepted.push(accept(&listener).await);
            }
            task.sleep_until(task.now_ns() + SECOND_NS).await;
        })
        .unwrap();
    assert_eq!(connected.get(), 6);
    reactor.cancel_all();
}

#[test]
fn a_pipe_carries_a_stream_through_choppy_weather() {
    for seed in Simulation::seeds(0, 20) {
        let (_simulation, reactor) = world(seed, Weather::choppy());
        let (listener, address) = listen(&reactor);
        let (end, end_address) = listen(&reactor);
        let task = reactor.clone();
        let relay = async move {
            let from = accept(&listener).await;
            let to = dial(&task, &end_address).await.unwrap();
            let mut pipe = task.pipe().unwrap();
            while poll_fn(|_| pipe.poll_fill(&from)).await.unwrap() > 0 {
                poll_fn(|_| pipe.poll_drain(&to)).await.unwrap();
            }
        };
        reactor.spawn(relay).unwrap();
        let task = reactor.clone();
        let sent = pattern(100_000, 5);
        let bytes = sent.clone();
        let write = async move {
            let client = dial(&task, &address).await.unwrap();
            write_all(&client, &bytes).await.unwrap();
            client.shutdown_write().unwrap();
            assert_eq!(read_all(&client).await.unwrap(), b"");
        };
        reactor.spawn(write).unwrap();
        let heard = reactor
            .block_on(async move { read_all(&accept(&end).await).await.unwrap() })
            .unwrap();
        assert!(heard == sent, "seed {seed}");
        reactor.cancel_all();
    }
}
