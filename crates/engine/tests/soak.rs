//! A great many connections with every ending, over the kernel: what is open afterwards is what was open before.
//!
//! `PLIMSOLL_SOAK=100000 cargo test --release -p plimsoll-engine --test soak -- --nocapture` runs the full count and
//! prints what it has cost. Without the variable a few thousand connections are made.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_engine::reactor::{self, Listener, Reactor, Socket};
use plimsoll_engine::{Engine, Options};
use plimsoll_policy::model::source::Source;
use plimsoll_policy::model::{
    Backend, BackendId, BackendTimeouts, Bind, BindAddress, Frontend, FrontendTimeouts, Mode,
    Model, Server, ServerAddress, ServerPort,
};
use plimsoll_sys::{Address, ConnectOptions, ListenOptions};

/// Connections when nobody asks for more.
const CONNECTIONS_DEFAULT: u64 = 4_000;

/// Clients at the same time.
const CLIENTS: u64 = 200;

/// Connections made before anything is measured, so that every cache has been filled once.
const WARM_UP: u64 = 2_000;

/// Memory may settle, but not grow with the number of connections.
const GROWTH_BYTES_MAX: u64 = 24 << 20;

/// Descriptors of the pipes that the proxy keeps for its next spliced tunnels: two for each of thirty-two.
const PIPES_KEPT: usize = 64;

/// The proxy's patience with those who say nothing, behind doors where everybody does so, and behind the others: a busy
/// machine leaves nobody silent for so long who has something to say.
const TIMEOUT_MS: u64 = 300;
const TIMEOUT_LONG_MS: u64 = 120_000;

/// An origin closes a connection that has rested this long.
const REST_NS: u64 = 2_000_000_000;

/// The longest run, per thousand connections and in all.
const PATIENCE: Duration = Duration::from_secs(30);
const PATIENCE_LEAST: Duration = Duration::from_secs(300);

/// Longest wait for what has been told to end.
const END_PATIENCE: Duration = Duration::from_secs(60);

/// First bytes of a conversation in TCP mode: a letter and a length.
const ORDER_BYTES: usize = 16;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The client has got what it asked for and closes.
    Fin,
    /// The client half-closes behind its request, and reads to the end.
    HalfClose,
    /// The server closes first.
    ServerFin,
    ClientReset,
    ServerReset,
    /// The client closes in the middle of everything.
    ClientVanishes,
    /// The server closes where an answer was due.
    ServerDies,
    /// Nobody says anything any more.
    Timeout,
}

const ENDINGS: [Ending; 8] = [
    Ending::Fin,
    Ending::HalfClose,
    Ending::ServerFin,
    Ending::ClientReset,
    Ending::ServerReset,
    Ending::ClientVanishes,
    Ending::ServerDies,
    Ending::Timeout,
];

impl Ending {
    fn letter(self) -> char {
        let index = ENDINGS.iter().position(|&ending| ending == self);
        (b'a' + index.expect("listed") as u8) as char
    }

    fn of(letter: u8) -> Self {
        ENDINGS[usize::from(letter - b'a')]
    }
}

/// Bytes that only clients and origins of orderly conversations have counted.
#[derive(Default)]
struct Tally {
    said_by_clients: AtomicU64,
    heard_by_origins: AtomicU64,
}

// ---- Sockets

async fn write_all(socket: &Socket, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = poll_fn(|_| socket.poll_write(bytes)).await?;
        bytes = &bytes[count..];
    }
    Ok(())
}

/// Reads until there are `length` bytes, or the end.
async fn read_up_to(socket: &Socket, length: usize) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut piece = [0; 16_384];
    while all.len() < length {
        let room = piece.len().min(length - all.len());
        match poll_fn(|_| socket.poll_read(&mut piece[..room])).await? {
            0 => break,
            count => all.extend_from_slice(&piece[..count]),
        }
    }
    Ok(all)
}

/// Reads a head, to its empty line; `None` when there is none before the end or `deadline_ns`.
async fn read_head(reactor: &Reactor, socket: &Socket, deadline_ns: u64) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        let read = reactor.until(deadline_ns, || socket.poll_read(&mut byte));
        match read.await {
            Ok(Ok(1)) => head.push(byte[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

// ---- Origins

async fn tcp_origin(socket: Socket, tally: &Tally) -> io::Result<()> {
    let order = read_up_to(&socket, ORDER_BYTES).await?;
    if order.len() < ORDER_BYTES {
        return Ok(());
    }
    let (ending, length) = parse_order(&order);
    match ending {
        Ending::Fin | Ending::ServerFin | Ending::HalfClose => {
            let heard = read_up_to(&socket, length).await?;
            if heard.len() < length {
                return Ok(()); // a client of another ending's: it was told to vanish
            }
            assert!(heard == pattern(length), "bytes changed on their way");
            tally
                .heard_by_origins
                .fetch_add(length as u64, Ordering::SeqCst);
            if ending == Ending::HalfClose {
                assert!(
                    read_up_to(&socket, 1).await?.is_empty(),
                    "more than was said"
                );
            }
            write_all(&socket, &heard).await?;
            if ending == Ending::Fin {
                read_up_to(&socket, 1).await?;
            }
            Ok(())
        }
        Ending::ServerReset => socket.reset_on_close(),
        Ending::ServerDies => Ok(()),
        Ending::ClientReset | Ending::ClientVanishes | Ending::Timeout => {
            read_up_to(&socket, usize::MAX).await.map(drop)
        }
    }
}

fn parse_order(order: &[u8]) -> (Ending, usize) {
    let text = std::str::from_utf8(&order[1..]).expect("an order");
    (Ending::of(order[0]), text.trim().parse().expect("a length"))
}

async fn http_origin(reactor: Reactor, socket: Socket) -> io::Result<()> {
    loop {
        let deadline_ns = reactor.now_ns() + REST_NS;
        let Some(head) = read_head(&reactor, &socket, deadline_ns).await else {
            return Ok(());
        };
        let order = head
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .trim_start_matches('/');
        let (ending, length) = parse_order(order.as_bytes());
        let body = pattern(length);
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        match ending {
            Ending::ServerDies => return Ok(()),
            Ending::ServerReset => {
                write_all(&socket, response.as_bytes()).await?;
                write_all(&socket, &body[..length / 2]).await?;
                return socket.reset_on_close();
            }
            _ => {
                write_all(&socket, response.as_bytes()).await?;
                write_all(&socket, &body).await?;
            }
        }
    }
}

/// Both kinds of origin on a thread of their own, until told to stop; returns their addresses.
fn start_origins(
    tally: &Arc<Tally>,
    stop: &Arc<AtomicBool>,
) -> (thread::JoinHandle<()>, [SocketAddr; 2]) {
    let (tally, stop) = (Arc::clone(tally), Arc::clone(stop));
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        let reactor = Reactor::new(reactor::Options::default()).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let addresses = [true, false].map(|tcp| {
            let options = ListenOptions::default();
            let listener = Listener::bind(&reactor, &Address::Inet(any), &options).unwrap();
            let address = listener.address().inet().unwrap();
            let (spawner, tally) = (reactor.clone(), Arc::clone(&tally));
            let serve = async move {
                while let Ok(socket) = poll_fn(|_| listener.poll_accept()).await {
                    let (reactor, tally) = (spawner.clone(), Arc::clone(&tally));
                    let conversation = async move {
                        // Most endings are errors for one of the two ends.
                        let _ = match tcp {
                            true => tcp_origin(socket, &tally).await,
                            false => http_origin(reactor, socket).await,
                        };
                    };
                    spawner.spawn(conversation).unwrap();
                }
            };
            reactor.spawn(serve).unwrap();
            address
        });
        sender.send(addresses).unwrap();
        turn_until(&reactor, Duration::MAX, || stop.load(Ordering::SeqCst));
        // What remains are the two that accept.
        let usage = reactor.usage();
        assert!(
            usage.tasks <= 3 && usage.sockets == 2,
            "left at the origins: {usage:?}"
        );
        reactor.close();
    });
    (thread, receiver.recv().unwrap())
}

/// Turns the reactor until `done`, looking every few milliseconds.
fn turn_until(reactor: &Reactor, patience: Duration, done: impl Fn() -> bool) {
    let ticking = reactor.clone();
    let tick = async move {
        loop {
            ticking.sleep_until(ticking.now_ns() + 5_000_000).await;
        }
    };
    let tick = reactor.spawn(tick).unwrap();
    let begun = Instant::now();
    while !done() {
        reactor.turn().unwrap();
        assert!(
            begun.elapsed() < patience,
            "somebody is stuck: {:?}",
            reactor.usage()
        );
    }
    reactor.cancel(tick);
}

// ---- Clients

/// Connection number `number` to `address`. Sources differ, so that ports do not run out.
async fn dial(reactor: &Reactor, address: SocketAddr, number: u64) -> io::Result<Socket> {
    let source = SocketAddr::from(([127, 0, 1, (number % 16) as u8 + 1], 0));
    let options = ConnectOptions {
        source: Some(Address::Inet(source)),
        ..ConnectOptions::default()
    };
    let socket = reactor::connect(reactor, &Address::Inet(address), &options)?;
    poll_fn(|_| socket.poll_connected()).await?;
    Ok(socket)
}

fn length_of(number: u64) -> usize {
    match number % 64 {
        0 => 400_000, // enough to be spliced
        rest => (rest * 97 % 5_000) as usize,
    }
}

async fn tcp_client(reactor: &Reactor, address: SocketAddr, number: u64, tally: &Tally) {
    let ending = ENDINGS[number as usize % ENDINGS.len()];
    let length = length_of(number / 8);
    let socket = dial(reactor, address, number).await.unwrap();
    let order = format!("{}{length:<15}", ending.letter());
    let said = [order.into_bytes(), pattern(length)].concat();
    match ending {
        Ending::Fin | Ending::HalfClose | Ending::ServerFin => {
            write_all(&socket, &said).await.unwrap();
            tally
                .said_by_clients
                .fetch_add(length as u64, Ordering::SeqCst);
            if ending == Ending::HalfClose {
                socket.shutdown_write().unwrap();
            }
            let wanted = if ending == Ending::Fin {
                length
            } else {
                usize::MAX
            };
            let heard = read_up_to(&socket, wanted).await.unwrap();
            assert!(
                heard == pattern(length),
                "{} of {length} bytes",
                heard.len()
            );
        }
        Ending::ClientReset => {
            let _ = write_all(&socket, &said).await;
            let _ = socket.reset_on_close();
        }
        Ending::ClientVanishes => {
            let _ = write_all(&socket, &said[..said.len() / 2]).await;
        }
        Ending::ServerReset | Ending::ServerDies => {
            let _ = write_all(&socket, &said).await;
            let _ = read_up_to(&socket, usize::MAX).await;
        }
        Ending::Timeout => {
            write_all(&socket, &said[..ORDER_BYTES]).await.unwrap();
            let _ = read_up_to(&socket, usize::MAX).await;
        }
    }
}

async fn http_client(reactor: &Reactor, address: SocketAddr, number: u64) {
    let ending = ENDINGS[number as usize % ENDINGS.len()];
    let length = length_of(number / 8);
    let socket = dial(reactor, address, number).await.unwrap();
    let target = format!("/{}{length}", ending.letter());
    let request = format!("GET {target} HTTP/1.1\r\nHost: soak\r\n\r\n");
    match ending {
        Ending::Fin => {
            for _ in 0..2 {
                write_all(&socket, request.as_bytes()).await.unwrap();
                fetch(reactor, &socket, length).await;
            }
        }
        Ending::HalfClose | Ending::ServerFin => {
            let request = match ending {
                Ending::ServerFin => request.replace("soak", "soak\r\nConnection: close"),
                _ => request,
            };
            write_all(&socket, request.as_bytes()).await.unwrap();
            if ending == Ending::HalfClose {
                socket.shutdown_write().unwrap();
            }
            fetch(reactor, &socket, length).await;
            assert!(
                read_up_to(&socket, 1).await.unwrap().is_empty(),
                "more than a response"
            );
        }
        Ending::ClientReset => {
            let _ = write_all(&socket, request.as_bytes()).await;
            let _ = socket.reset_on_close();
        }
        Ending::ClientVanishes => {
            let _ = write_all(&socket, &request.as_bytes()[..20]).await;
        }
        Ending::ServerReset | Ending::ServerDies => {
            write_all(&socket, request.as_bytes()).await.unwrap();
            if ending == Ending::ServerDies {
                let head = read_head(reactor, &socket, reactor::NEVER).await.unwrap();
                assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
            } else {
                let _ = read_head(reactor, &socket, reactor::NEVER).await;
            }
        }
        Ending::Timeout => {
            write_all(&socket, &request.as_bytes()[..20]).await.unwrap();
            let head = read_head(reactor, &socket, reactor::NEVER).await.unwrap();
            assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
        }
    }
}

/// Reads a whole response and compares its body.
async fn fetch(reactor: &Reactor, socket: &Socket, length: usize) {
    let head = read_head(reactor, socket, reactor::NEVER)
        .await
        .expect("a response");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let body = read_up_to(socket, length).await.unwrap();
    assert!(body == pattern(length), "{} of {length} bytes", body.len());
}

/// Makes `count` connections, half of them in each mode.
fn run(count: u64, addresses: [SocketAddr; DOORS], tally: &Arc<Tally>) {
    let reactor = Reactor::new(reactor::Options::default()).unwrap();
    let (next, left) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(CLIENTS)));
    for _ in 0..CLIENTS {
        let (task, tally) = (reactor.clone(), Arc::clone(tally));
        let (next, left) = (Rc::clone(&next), Rc::clone(&left));
        let client = async move {
            while next.get() < count {
                let number = next.replace(next.get() + 1);
                let ending = ENDINGS[(number / 2) as usize % ENDINGS.len()];
                let hurried = 2 * usize::from(ending == Ending::Timeout);
                match number % 2 {
                    0 => tcp_client(&task, addresses[hurried], number / 2, &tally).await,
                    _ => http_client(&task, addresses[hurried + 1], number / 2).await,
                }
            }
            left.set(left.get() - 1);
        };
        reactor.spawn(client).unwrap();
    }
    let patience = PATIENCE.mul_f64(count as f64 / 1_000.0).max(PATIENCE_LEAST);
    turn_until(&reactor, patience, || left.get() == 0);
    let usage = reactor.usage();
    assert_eq!((usage.tasks, usage.sockets), (0, 0), "left at the clients");
}

// ---- The proxy

/// Doors of the proxy: one for each mode, and again for those who say nothing.
const DOORS: usize = 4;

/// One proxy for each door, on sockets that are already open.
fn model(doors: &[TcpListener; DOORS], origins: [SocketAddr; 2]) -> Model {
    let mut model = Model::default();
    model.global.worker_count = Some(1);
    for index in 0..DOORS {
        let mode = [Mode::Tcp, Mode::Http][index % 2];
        let timeout_ms = Some(if index < 2 {
            TIMEOUT_LONG_MS
        } else {
            TIMEOUT_MS
        });
        let origin = origins[index % 2];
        let door = BindAddress::Inherited(doors[index].as_raw_fd());
        model.frontends.push(Frontend {
            name: format!("front{index}"),
            mode,
            binds: vec![Bind::new(door)],
            default_backend: Some(BackendId(index as u32)),
            timeouts: FrontendTimeouts {
                client_ms: Some(TIMEOUT_LONG_MS),
                http_request_ms: timeout_ms,
                // So long that no second request can be on its way when it ends.
                http_keep_alive_ms: Some(TIMEOUT_LONG_MS),
                ..FrontendTimeouts::default()
            },
            ..Frontend::default()
        });
        let server = ServerAddress::Inet {
            ip: origin.ip(),
            port: ServerPort::Fixed(origin.port()),
        };
        let mut server = Server::new("origin", server);
        // One source among many addresses would run out of ports.
        server.source = Some(Source {
            address: ([127, 0, 2, index as u8 + 1], 0).into(),
            ..Source::default()
        });
        model.backends.push(Backend {
            name: format!("back{index}"),
            mode,
            servers: vec![server],
            retries: 3,
            timeouts: BackendTimeouts {
                connect_ms: Some(TIMEOUT_LONG_MS),
                server_ms: Some(TIMEOUT_LONG_MS),
                tunnel_ms: timeout_ms.filter(|_| mode == Mode::Tcp),
                ..BackendTimeouts::default()
            },
            ..Backend::default()
        });
    }
    model
}

/// Open descriptors of this process: sockets, and pipes.
fn descriptors() -> (usize, usize) {
    let names: Vec<_> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .collect();
    let count = |kind| {
        let all = names.iter();
        all.filter(|name| name.to_string_lossy().starts_with(kind))
            .count()
    };
    (count("socket:"), count("pipe:"))
}

/// Memory of this process that is in use: proxy, clients and origins together.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

/// Waits until as many sockets are open as before, and no more pipes than may be kept.
fn assert_closes(before: (usize, usize), pipes_kept: usize) {
    let begun = Instant::now();
    loop {
        let (sockets, pipes) = descriptors();
        if sockets == before.0 && pipes <= before.1 + pipes_kept {
            return;
        }
        let now = (sockets, pipes);
        assert!(
            begun.elapsed() < END_PATIENCE,
            "sockets and pipes: {now:?}, and {before:?} before"
        );
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the figures of a long run are its purpose"
)]
fn nothing_is_left_of_a_great_many_connections() {
    let asked = std::env::var("PLIMSOLL_SOAK").ok();
    let count = asked.map_or(CONNECTIONS_DEFAULT, |text| text.parse().expect("a number"));
    let at_first = descriptors();
    let (tally, stop) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let (origins, origin_addresses) = start_origins(&tally, &stop);
    let doors = [(); DOORS].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = doors.each_ref().map(|door| door.local_addr().unwrap());
    let engine = Engine::start(model(&doors, origin_addresses), Options::default()).unwrap();
    let idle = descriptors();

    run(WARM_UP.min(count), addresses, &tally);
    assert_closes(idle, PIPES_KEPT);
    let (bytes_before, begun) = (resident_bytes(), Instant::now());
    run(count, addresses, &tally);
    let took = begun.elapsed();
    assert_closes(idle, PIPES_KEPT);
    let bytes_after = resident_bytes();
    println!(
        "{count} connections in {:.1} s; sockets and pipes {idle:?} before, {:?} after; {} bytes said; resident memory {} kB before, {} kB after",
        took.as_secs_f64(),
        descriptors(),
        tally.said_by_clients.load(Ordering::SeqCst),
        bytes_before >> 10,
        bytes_after >> 10,
    );
    let said = tally.said_by_clients.load(Ordering::SeqCst);
    assert_eq!(
        said,
        tally.heard_by_origins.load(Ordering::SeqCst),
        "bytes said and heard"
    );
    assert!(
        bytes_after < bytes_before + GROWTH_BYTES_MAX,
        "memory has grown"
    );

    // It stops by itself only when no session is left.
    engine.stop_gracefully();
    let begun = Instant::now();
    while !engine.is_finished() {
        assert!(begun.elapsed() < END_PATIENCE, "a session never ends");
        thread::sleep(Duration::from_millis(10));
    }
    engine.wait();
    stop.store(true, Ordering::SeqCst);
    origins.join().unwrap();
    drop(doors);
    assert_closes(at_first, 0);
}
