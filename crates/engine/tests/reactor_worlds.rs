//! What must be the same over the kernel and in a simulated world, so that what is learnt in one holds in the other.

mod reactor_help;

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use plimsoll_engine::reactor::simulated::{Simulation, Weather};
use plimsoll_engine::reactor::{Options, Reactor, Socket};
use plimsoll_sys::Address;
use reactor_help::*;

/// Runs one scenario in each world, on a client's and a server's end of one connection.
fn in_both_worlds<F: Future<Output = ()> + 'static>(
    scenario: impl Fn(Reactor, Socket, Socket) -> F,
) {
    let kernel = Reactor::new(Options::default()).unwrap();
    let simulation = Simulation::new(5, Weather::calm());
    let simulated = Reactor::simulated(&simulation, Options::default());
    for reactor in [kernel, simulated] {
        let (listener, address) = listen(&reactor);
        let task = reactor.clone();
        let meet = async move {
            let client = dial(&task, &address).await.unwrap();
            let server = accept(&listener).await;
            (client, server)
        };
        let (client, server) = reactor.block_on(meet).unwrap();
        let run = scenario(reactor.clone(), client, server);
        reactor.block_on(run).unwrap();
        reactor.close();
        let usage = reactor.usage();
        assert_eq!((usage.tasks, usage.sockets), (0, 0));
    }
}

/// Waits until a hang-up has been seen.
async fn hangup(socket: &Socket) {
    poll_fn(|_| socket.poll_hangup()).await;
}

/// Writes until writing fails, which it must.
async fn write_until_error(socket: &Socket) -> io::ErrorKind {
    loop {
        if let Err(error) = write_all(socket, &[0; 1_000]).await {
            return error.kind();
        }
    }
}

#[test]
fn both_ends_agree_on_their_addresses() {
    in_both_worlds(|_, client, server| async move {
        assert_eq!(
            client.local_address().unwrap(),
            server.peer_address().unwrap()
        );
        assert_eq!(
            client.peer_address().unwrap(),
            server.local_address().unwrap()
        );
        assert!(matches!(client.local_address().unwrap(), Address::Inet(inet) if inet.port() != 0));
    });
}

#[test]
fn a_close_is_an_end_and_no_error() {
    in_both_worlds(|_, client, server| async move {
        drop(client);
        hangup(&server).await;
        assert!(server.hung_up() && !server.is_broken());
        assert_eq!(read_all(&server).await.unwrap(), b"");
        assert_eq!(
            read_all(&server).await.unwrap(),
            b"",
            "the end stays the end"
        );
    });
}

#[test]
fn bytes_before_an_end_are_read_first() {
    in_both_worlds(|_, client, server| async move {
        write_all(&client, &pattern(30_000, 1)).await.unwrap();
        drop(client);
        hangup(&server).await;
        assert!(read_exact(&server, 30_000).await.unwrap() == pattern(30_000, 1));
        assert_eq!(read_all(&server).await.unwrap(), b"");
    });
}

#[test]
fn both_halves_closed_is_the_end_of_the_connection() {
    in_both_worlds(|_, client, server| async move {
        client.shutdown_write().unwrap();
        hangup(&server).await;
        server.shutdown_write().unwrap();
        poll_fn(|_| client.poll_hangup()).await;
        assert_eq!(read_all(&client).await.unwrap(), b"");
        assert!(client.hung_up() && client.is_broken());
    });
}

#[test]
fn a_reset_is_an_error() {
    in_both_worlds(|_, client, server| async move {
        client.reset_on_close().unwrap();
        drop(client);
        hangup(&server).await;
        assert!(server.is_broken());
        assert_eq!(
            read_all(&server).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
    });
}

#[test]
fn a_close_with_bytes_unread_is_a_reset() {
    in_both_worlds(|_, client, server| async move {
        write_all(&server, b"never read").await.unwrap();
        poll_fn(|_| client.poll_readable()).await;
        drop(client);
        hangup(&server).await;
        assert_eq!(
            read_all(&server).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
    });
}

#[test]
fn writing_to_who_has_gone_fails_in_the_end() {
    in_both_worlds(|_, client, server| async move {
        drop(client);
        let kind = write_until_error(&server).await;
        assert!(
            matches!(
                kind,
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ),
            "{kind}"
        );
    });
}

#[test]
fn writing_after_saying_that_it_was_all_fails() {
    in_both_worlds(|_, client, _server| async move {
        client.shutdown_write().unwrap();
        assert_eq!(write_until_error(&client).await, io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_writer_waits_for_a_reader_and_goes_on() {
    in_both_worlds(|reactor, client, server| async move {
        let piece = pattern(65_536, 9);
        let mut sent = 0;
        // Until neither end has room for more.
        let full = loop {
            let written = reactor
                .until(reactor.now_ns() + SECOND_NS / 10, || {
                    client.poll_write(&piece)
                })
                .await;
            match written {
                Ok(written) => sent += written.unwrap(),
                Err(_) => break sent,
            }
        };
        let task = reactor.clone();
        let reader = async move {
            let mut scratch = task.scratch();
            let mut heard = 0;
            loop {
                match poll_fn(|_| server.poll_read(&mut scratch)).await.unwrap() {
                    0 => break,
                    count => heard += count,
                }
            }
            assert_eq!(heard, full + 1_000_000);
            task.stop();
        };
        reactor.spawn(reader).unwrap();
        write_all(&client, &vec![7; 1_000_000]).await.unwrap();
        client.shutdown_write().unwrap();
        assert_eq!(read_all(&client).await.unwrap(), b"");
    });
}

#[test]
fn one_task_may_read_while_another_writes() {
    in_both_worlds(|reactor, client, server| async move {
        let socket = std::rc::Rc::new(client);
        let writer = std::rc::Rc::clone(&socket);
        let write = async move {
            write_all(&writer, &pattern(3_000_000, 2)).await.unwrap();
            writer.shutdown_write().unwrap();
        };
        reactor.spawn(write).unwrap();
        let answer = echo(reactor.clone(), server);
        reactor.spawn(async { answer.await.unwrap() }).unwrap();
        assert!(read_all(&socket).await.unwrap() == pattern(3_000_000, 2));
    });
}

#[test]
fn one_task_may_wait_for_bytes_and_for_a_hang_up() {
    in_both_worlds(|reactor, client, server| async move {
        let write = async move {
            write_all(&client, b"bytes").await.unwrap();
            std::future::pending::<()>().await;
        };
        reactor.spawn(write).unwrap();
        let deadline_ns = reactor.now_ns() + SECOND_NS;
        let woken = reactor.until(deadline_ns, || {
            if server.poll_readable().is_ready() {
                return Poll::Ready("bytes");
            }
            server.poll_hangup().map(|()| "hang-up")
        });
        let begun_ns = reactor.now_ns();
        assert_eq!(woken.await, Ok("bytes"));
        assert!(
            reactor.now_ns() - begun_ns < SECOND_NS / 2,
            "only the deadline woke it"
        );
    });
}

#[test]
fn looking_does_not_take() {
    in_both_worlds(|_, client, server| async move {
        let mut seen = [0; 16];
        write_all(&client, b"hel").await.unwrap();
        assert_eq!(
            poll_fn(|_| server.poll_peek(&mut seen, 0)).await.unwrap(),
            3
        );
        assert!(server.poll_peek(&mut seen, 3).is_pending());
        write_all(&client, b"lo").await.unwrap();
        assert_eq!(
            poll_fn(|_| server.poll_peek(&mut seen, 3)).await.unwrap(),
            5
        );
        assert_eq!(&seen[..5], b"hello");
        assert!(server.poll_peek(&mut seen, 5).is_pending());
        assert_eq!(
            server.try_read(&mut seen[..2]).unwrap(),
            Some(2),
            "what was seen is there"
        );
        client.shutdown_write().unwrap();
        assert_eq!(
            poll_fn(|_| server.poll_peek(&mut seen, 3)).await.unwrap(),
            3,
            "no more will come"
        );
        assert_eq!(read_all(&server).await.unwrap(), b"llo");
        assert_eq!(
            poll_fn(|_| server.poll_peek(&mut seen, 0)).await.unwrap(),
            0
        );
    });
}

#[test]
fn a_resting_connection_notices_its_peer() {
    in_both_worlds(|reactor, client, server| async move {
        assert!(client.park(3));
        reactor
            .sleep_until(reactor.now_ns() + SECOND_NS / 100)
            .await;
        assert!(client.unpark(), "nothing has happened");
        assert!(client.park(3));
        write_all(&server, b"unasked").await.unwrap();
        while !client.is_stale() {
            reactor
                .sleep_until(reactor.now_ns() + SECOND_NS / 1_000)
                .await;
        }
        assert_eq!(
            reactor.take_stale().map(|stale| (stale.tag, stale.socket)),
            Some((3, client.id()))
        );
        assert!(!client.unpark());
    });
}

#[test]
fn a_port_nobody_listens_on_refuses() {
    in_both_worlds(|reactor, _client, _server| async move {
        let (listener, address) = listen(&reactor);
        drop(listener);
        let error = dial(&reactor, &address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn those_who_wait_at_a_closing_listener_are_turned_away() {
    in_both_worlds(|reactor, _client, _server| async move {
        let (listener, address) = listen(&reactor);
        let waiting = dial(&reactor, &address).await.unwrap();
        drop(listener);
        hangup(&waiting).await;
        assert_eq!(
            read_all(&waiting).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
    });
}
