//! The reactor on the kernel's own sockets, over loopback.

mod reactor_help;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;

use plimsoll_engine::reactor::{Listener, Options, Reactor, Socket, TableFull, TimedOut};
use plimsoll_sys::{Address, ListenOptions, limit};
use reactor_help::*;

fn reactor() -> Reactor {
    Reactor::new(Options::default()).unwrap()
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

/// Ends what a test has left, and sees that nothing stays open.
fn end(reactor: &Reactor) {
    reactor.cancel_all();
    let usage = reactor.usage();
    assert_eq!((usage.tasks, usage.sockets), (0, 0));
}

#[test]
fn bytes_come_back() {
    let reactor = reactor();
    let (listener, address) = listen(&reactor);
    serve_echo(&reactor, listener);
    let task = reactor.clone();
    let conversation = async move {
        let socket = dial(&task, &address).await.unwrap();
        for round in 0..100 {
            let sent = pattern(round * 997, round);
            write_all(&socket, &sent).await.unwrap();
            assert_eq!(read_exact(&socket, sent.len()).await.unwrap(), sent);
        }
        assert_eq!(socket.peer_address().unwrap(), &address);
    };
    reactor.block_on(conversation).unwrap();
    end(&reactor);
}

#[test]
fn unix_and_abstract_sockets_carry_bytes_too() {
    let reactor = reactor();
    let directory = std::env::temp_dir().join(format!("plimsoll-reactor-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let name = format!("plimsoll reactor test {}", std::process::id());
    let addresses = [
        Address::Unix(directory.join("echo.sock")),
        Address::Abstract(name.into_bytes().into_boxed_slice()),
    ];
    for address in addresses {
        let listener = Listener::bind(&reactor, &address, &ListenOptions::default()).unwrap();
        serve_echo(&reactor, listener);
        let task = reactor.clone();
        let conversation = async move {
            let socket = dial(&task, &address).await.unwrap();
            write_all(&socket, b"over there").await.unwrap();
            assert_eq!(read_exact(&socket, 10).await.unwrap(), b"over there");
        };
        reactor.block_on(conversation).unwrap();
    }
    std::fs::remove_dir_all(&directory).unwrap();
    end(&reactor);
}

#[test]
fn a_deadline_ends_a_wait_for_silence() {
    let reactor = reactor();
    let (listener, address) = listen(&reactor);
    let task = reactor.clone();
    let wait = async move {
        let client = dial(&task, &address).await.unwrap();
        let _server = accept(&listener).await;
        let start_ns = task.now_ns();
        let waited = task
            .until(start_ns + SECOND_NS / 50, || client.poll_readable())
            .await;
        assert_eq!(waited, Err(TimedOut));
        task.now_ns() - start_ns
    };
    let waited_ns = reactor.block_on(wait).unwrap();
    // On a busy machine later, but not without any end.
    assert!(
        (SECOND_NS / 50..30 * SECOND_NS).contains(&waited_ns),
        "waited {waited_ns} ns"
    );
    end(&reactor);
}

#[test]
fn an_end_that_comes_with_the_last_bytes_is_not_lost() {
    let reactor = reactor();
    let (listener, address) = listen(&reactor);
    let task = reactor.clone();
    let conversation = async move {
        for _ in 0..200 {
            let client = dial(&task, &address).await.unwrap();
            let server = accept(&listener).await;
            assert!(server.poll_readable().is_pending());
            write_all(&client, b"last words").await.unwrap();
            drop(client);
            assert_eq!(read_all(&server).await.unwrap(), b"last words");
        }
    };
    reactor.block_on(conversation).unwrap();
    end(&reactor);
}

#[test]
fn events_of_a_closed_socket_do_not_reach_its_successor() {
    let reactor = reactor();
    let (listener, address) = listen(&reactor);
    let task = reactor.clone();
    let conversation = async move {
        for _ in 0..100 {
            let first = dial(&task, &address).await.unwrap();
            let second = dial(&task, &address).await.unwrap();
            let (ours, other) = (accept(&listener).await, accept(&listener).await);
            assert!(ours.poll_readable().is_pending() && other.poll_readable().is_pending());
            task.yield_now().await;
            // Both events are waiting in the kernel when the slot changes hands.
            write_all(&first, b"to a socket that closes").await.unwrap();
            write_all(&second, b"x").await.unwrap();
            drop(ours);
            let third = dial(&task, &address).await.unwrap();
            let successor = accept(&listener).await;
            poll_fn(|_| other.poll_readable()).await;
            assert!(successor.poll_readable().is_pending());
            assert!(!successor.hung_up() && !third.hung_up());
        }
    };
    reactor.block_on(conversation).unwrap();
    end(&reactor);
}

#[test]
fn splicing_moves_megabytes_unchanged() {
    let reactor = reactor();
    let (listener, address) = listen(&reactor);
    let (far, far_address) = listen(&reactor);
    let task = reactor.clone();
    let relay = async move {
        let from = accept(&listener).await;
        let to = dial(&task, &far_address).await.unwrap();
        let mut pipe = task.pipe().unwrap();
        while poll_fn(|_| pipe.poll_fill(&from)).await.unwrap() > 0 {
            poll_fn(|_| pipe.poll_drain(&to)).await.unwrap();
        }
    };
    reactor.spawn(relay).unwrap();
    let sent = pattern(16 << 20, 3);
    let (task, bytes) = (reactor.clone(), sent.clone());
    let write = async move {
        let client = dial(&task, &address).await.unwrap();
        write_all(&client, &bytes).await.unwrap();
        client.shutdown_write().unwrap();
        assert_eq!(read_all(&client).await.unwrap(), b"");
    };
    reactor.spawn(write).unwrap();
    let heard = reactor
        .block_on(async move { read_all(&accept(&far).await).await.unwrap() })
        .unwrap();
    assert!(heard == sent);
    end(&reactor);
    assert_eq!(reactor.usage().pipes, 1, "kept for the next one");
}

#[test]
fn pipes_are_capped() {
    let reactor = Reactor::new(Options {
        pipes_max: 1,
        ..Options::default()
    })
    .unwrap();
    let pipe = reactor.pipe();
    assert!(pipe.is_some() && reactor.pipe().is_none());
    drop(pipe);
    assert!(reactor.pipe().is_some());
    assert_eq!(reactor.usage().pipes_refused, 1);
}

#[test]
fn a_parked_connection_that_its_server_closes_is_reported() {
    let reactor = reactor();
    let (listener, address) = listen(&reactor);
    let task = reactor.clone();
    let rest = async move {
        let idle = dial(&task, &address).await.unwrap();
        let kept = dial(&task, &address).await.unwrap();
        let server = accept(&listener).await;
        let _other = accept(&listener).await;
        assert!(idle.park(7) && kept.park(8));
        drop(server);
        let stale = poll_fn(|_| match task.take_stale() {
            Some(stale) => Poll::Ready(stale),
            None => {
                task.wake(task.current());
                Poll::Pending
            }
        })
        .await;
        assert_eq!((stale.tag, stale.socket), (7, idle.id()));
        assert!(idle.is_stale() && !idle.unpark());
        assert!(!kept.is_stale() && kept.unpark());
        assert!(!idle.park(7), "stale before it is parked");
        assert_eq!(task.take_stale(), None);
    };
    reactor.block_on(rest).unwrap();
    end(&reactor);
}

#[test]
fn a_read_that_filled_its_buffer_exactly_does_not_spoil_parking() {
    let reactor = reactor();
    let (listener, address) = listen(&reactor);
    let task = reactor.clone();
    let rest = async move {
        let ours = dial(&task, &address).await.unwrap();
        let server = accept(&listener).await;
        write_all(&server, b"12345678").await.unwrap();
        read_exact(&ours, 8).await.unwrap();
        assert!(ours.park(1) && ours.unpark());
        write_all(&server, b"12345678unasked").await.unwrap();
        poll_fn(|_| ours.poll_readable()).await;
        read_exact(&ours, 8).await.unwrap();
        assert!(!ours.park(1), "the server spoke out of turn");
    };
    reactor.block_on(rest).unwrap();
    end(&reactor);
}

#[test]
fn mail_from_other_threads_is_heard() {
    const LETTERS: usize = 10_000;
    let reactor = reactor();
    let (letters, inbox) = mpsc::channel();
    let heard = Arc::new(AtomicUsize::new(0));
    let (stop, count) = (reactor.clone(), Arc::clone(&heard));
    reactor.on_mail(move || {
        let received = inbox.try_iter().count();
        if count.fetch_add(received, Ordering::Relaxed) + received == 3 * LETTERS {
            stop.stop();
        }
    });
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (letters, mailbox) = (letters.clone(), reactor.mailbox());
            std::thread::spawn(move || {
                for letter in 0..LETTERS {
                    letters.send(letter).unwrap();
                    mailbox.notify();
                }
            })
        })
        .collect();
    reactor.run().unwrap();
    assert_eq!(heard.load(Ordering::Relaxed), 3 * LETTERS);
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_real_waker_reaches_a_task_from_another_thread() {
    let reactor = reactor();
    let (wakers, received) = mpsc::channel::<std::task::Waker>();
    let done = Arc::new(AtomicUsize::new(0));
    let flag = Arc::clone(&done);
    let thread = std::thread::spawn(move || {
        let waker = received.recv().unwrap();
        flag.store(1, Ordering::Release);
        waker.wake();
    });
    let task = reactor.clone();
    let mut handed_over = false;
    let wait = poll_fn(move |_| {
        if done.load(Ordering::Acquire) == 1 {
            return Poll::Ready(());
        }
        if !std::mem::replace(&mut handed_over, true) {
            wakers.send(task.waker()).unwrap();
        }
        Poll::Pending
    });
    reactor.block_on(wait).unwrap();
    thread.join().unwrap();
}

#[test]
fn a_waker_may_be_kept_and_wakes_every_time() {
    const WAKES: usize = 50;
    let reactor = reactor();
    let (wakers, received) = mpsc::channel::<std::task::Waker>();
    let (polled, polls) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let waker = received.recv().unwrap();
        for _ in 0..WAKES {
            waker.wake_by_ref();
            polls.recv().unwrap();
        }
    });
    let task = reactor.clone();
    let mut seen = 0;
    let wait = poll_fn(move |_| {
        match seen {
            0 => wakers.send(task.waker()).unwrap(),
            _ => polled.send(()).unwrap(),
        }
        seen += 1;
        if seen > WAKES {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    reactor.block_on(wait).unwrap();
    thread.join().unwrap();
}

#[test]
fn a_vectored_write_to_who_has_gone_is_an_error() {
    let reactor = reactor();
    let (listener, address) = listen(&reactor);
    let task = reactor.clone();
    let conversation = async move {
        let client = dial(&task, &address).await.unwrap();
        drop(accept(&listener).await);
        let parts = [IoSlice::new(b"is any"), IoSlice::new(b"body there")];
        loop {
            if let Err(error) = poll_fn(|_| client.poll_write_vectored(&parts)).await {
                return error.kind();
            }
        }
    };
    let kind = reactor.block_on(conversation).unwrap();
    assert!(
        matches!(
            kind,
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
        ),
        "{kind}"
    );
    end(&reactor);
}

#[test]
fn a_task_that_never_waits_does_not_starve_the_others() {
    let reactor = reactor();
    let (listener, address) = listen(&reactor);
    let spins = Rc::new(Cell::new(0_u64));
    let (task, count) = (reactor.clone(), Rc::clone(&spins));
    let spin = async move {
        loop {
            count.set(count.get() + 1);
            task.yield_now().await;
        }
    };
    reactor.spawn(spin).unwrap();
    serve_echo(&reactor, listener);
    let task = reactor.clone();
    let conversation = async move {
        let socket = dial(&task, &address).await.unwrap();
        for _ in 0..100 {
            write_all(&socket, b"now").await.unwrap();
            read_exact(&socket, 3).await.unwrap();
        }
        task.sleep_until(task.now_ns() + SECOND_NS / 100).await;
    };
    reactor.block_on(conversation).unwrap();
    assert!(spins.get() > 100);
    end(&reactor);
}

#[test]
fn a_turn_polls_in_order_and_has_the_last_word_before_it_waits() {
    let reactor = reactor();
    let story = Rc::new(RefCell::new(Vec::new()));
    for name in ["first", "second", "third"] {
        let (task, story) = (reactor.clone(), Rc::clone(&story));
        let teller = async move {
            if name == "first" {
                task.turn_end().await;
            }
            story.borrow_mut().push(name);
        };
        reactor.spawn(teller).unwrap();
    }
    let (hook, stop) = (Rc::clone(&story), reactor.clone());
    reactor.on_turn_end(move || {
        hook.borrow_mut().push("hook");
        stop.stop();
    });
    reactor.run().unwrap();
    assert_eq!(*story.borrow(), ["second", "third", "first", "hook"]);
    assert_eq!(reactor.usage().turns, 1);
}

#[test]
fn the_table_of_tasks_is_capped_and_cancelling_makes_room() {
    let reactor = Reactor::new(Options {
        tasks_max: 2,
        ..Options::default()
    })
    .unwrap();
    let first = reactor.spawn(std::future::pending()).unwrap();
    reactor.spawn(std::future::pending()).unwrap();
    assert_eq!(reactor.spawn(std::future::pending()), Err(TableFull));
    assert_eq!(reactor.usage().tasks_refused, 1);
    reactor.cancel(first);
    reactor.cancel(first);
    assert_eq!(reactor.usage().tasks, 1);
    reactor.spawn(std::future::pending()).unwrap();
    end(&reactor);
}

#[test]
fn the_table_of_sockets_is_capped_and_the_listener_waits_for_room() {
    let reactor = Reactor::new(Options {
        sockets_max: 4,
        ..Options::default()
    })
    .unwrap();
    let (listener, address) = listen(&reactor);
    let task = reactor.clone();
    let conversation = async move {
        let clients = [
            dial(&task, &address).await.unwrap(),
            dial(&task, &address).await.unwrap(),
        ];
        let first = accept(&listener).await;
        let deadline_ns = task.now_ns() + SECOND_NS / 20;
        assert!(
            task.until(deadline_ns, || listener.poll_accept())
                .await
                .is_err()
        );
        assert_eq!(
            dial(&task, &address).await.unwrap_err().kind(),
            io::ErrorKind::OutOfMemory
        );
        drop(first);
        accept(&listener).await;
        drop(clients);
    };
    reactor.block_on(conversation).unwrap();
    assert!(reactor.usage().accept_pauses >= 1);
    end(&reactor);
}

#[test]
fn a_worker_that_gave_up_a_shared_listener_takes_no_wake_from_the_others() {
    let shared = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = Address::Inet(shared.local_addr().unwrap());
    let theirs = shared.try_clone().unwrap();
    let (ready, is_ready) = mpsc::channel();
    let other = std::thread::spawn(move || {
        let reactor = reactor();
        let listener = Listener::adopt(&reactor, theirs.into(), false).unwrap();
        let task = reactor.clone();
        let give_up = async move {
            assert!(listener.poll_accept().is_pending());
            drop(listener);
        };
        reactor.block_on(give_up).unwrap();
        let stop = reactor.clone();
        reactor.on_mail(move || stop.stop());
        ready.send(task.mailbox()).unwrap();
        reactor.run().unwrap();
    });
    let mailbox = is_ready.recv().unwrap();

    let reactor = reactor();
    let listener = Listener::adopt(&reactor, shared.into(), false).unwrap();
    assert_eq!(listener.address(), &port);
    let task = reactor.clone();
    let conversation = async move {
        for _ in 0..50 {
            assert!(listener.poll_accept().is_pending());
            let client = dial(&task, &port).await.unwrap();
            let deadline_ns = task.now_ns() + 30 * SECOND_NS;
            let server = task.until(deadline_ns, || listener.poll_accept()).await;
            let server = server.expect("the wake went elsewhere").unwrap();
            write_all(&server, b"hello").await.unwrap();
            read_exact(&client, 5).await.unwrap();
        }
    };
    let talked = reactor.block_on(conversation);
    mailbox.notify();
    other.join().unwrap();
    talked.unwrap();
    end(&reactor);
}

#[test]
fn ten_thousand_connections_are_held_and_served() {
    const WISHED: usize = 10_000;
    let allowed = limit::raise_descriptor_limit(2 * WISHED as u64 + 1_000).unwrap();
    let connections = WISHED.min((allowed as usize).saturating_sub(1_000) / 2);
    let reactor = reactor();
    let (listener, address) = listen(&reactor);
    serve_echo(&reactor, listener);
    let task = reactor.clone();
    let conversation = async move {
        let mut sockets: Vec<Socket> = Vec::new();
        for _ in 0..connections {
            sockets.push(dial(&task, &address).await.unwrap());
        }
        for (number, socket) in sockets.iter().enumerate() {
            write_all(socket, &(number as u64).to_le_bytes())
                .await
                .unwrap();
        }
        for (number, socket) in sockets.iter().enumerate() {
            assert_eq!(
                read_exact(socket, 8).await.unwrap(),
                (number as u64).to_le_bytes()
            );
        }
        assert!(task.usage().sockets > 2 * connections);
    };
    reactor.block_on(conversation).unwrap();
    end(&reactor);
}
