//! A server that costs next to nothing: the far end of a benchmark.
//!
//! It answers every request with the same bytes, or echoes what it receives, so that what is left to
//! measure is the proxy in between. Threads share nothing but the port (SO_REUSEPORT); each has its
//! own epoll set. It reads requests only as far as it must to find their ends, and trusts its
//! client: never put it where strangers can reach it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, anyhow};
use plimsoll_sys::epoll::{Epoll, Events, Readiness};
use plimsoll_sys::limit::{descriptor_limit, raise_descriptor_limit};
use plimsoll_sys::{ListenOptions, listen, socket};
use plimsoll_wire::h1::body::Decoder;
use plimsoll_wire::h1::{Limits, Parse, request};
use plimsoll_wire::head::{Framing, Head};

/// Largest body of an answer.
pub const SIZE_MAX: usize = 64 << 20;
/// Most threads.
pub const THREADS_MAX: usize = 256;
/// Most connections of one thread; more are closed at once.
const CONNECTIONS_MAX: usize = 65_536;
/// Most bytes of a request that may be waiting for its end.
const REQUEST_BYTES_MAX: usize = 256 << 10;
/// After a failure to accept, most likely for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const SCRATCH_BYTES: usize = 128 << 10;
const EVENTS_MAX: usize = 512;
/// How often the stop flag is looked at.
const PATIENCE_MS: u32 = 100;
const TOKEN_LISTENER: u64 = u64::MAX;

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// HTTP/1.1, with a body of this many bytes.
    Http { size: usize },
    /// Whatever was received.
    Echo,
}

/// What an origin is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    pub listen: SocketAddr,
    pub threads: usize,
    pub service: Service,
    /// The `X-Backend` field of answers, to tell several origins apart.
    pub name: Option<String>,
}

/// A running origin; it stops when dropped.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Origin {
    /// Starts the threads; they listen when this returns.
    ///
    /// # Errors
    /// When an option is beyond its cap or the address cannot be listened on.
    pub fn start(options: &Options) -> anyhow::Result<Self> {
        if !(1..=THREADS_MAX).contains(&options.threads) {
            return Err(anyhow!("there can be 1 to {THREADS_MAX} threads"));
        }
        let answer: Arc<[u8]> = answer(options)?.into();
        // As many connections as the machine grants; the cap above holds in any case.
        let _ = raise_descriptor_limit(descriptor_limit().ceiling.min(CONNECTIONS_MAX as u64 * 2));
        let mut address = options.listen;
        // Threads share the port, and so could a stranger: make sure that nobody listens there yet.
        drop(TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?);
        let mut listeners = Vec::new();
        for _ in 0..options.threads {
            let listener = listen::listen(&address.into(), &ListenOptions::default())
                .with_context(|| format!("cannot listen on {address}"))?;
            // With port 0 the first one chooses and the others join it.
            let bound = socket::local_address(listener.as_fd())?;
            address = bound.inet().unwrap_or(address);
            listeners.push(listener);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let mut origin = Self {
            address,
            stop: Arc::clone(&stop),
            threads: Vec::new(),
        };
        for listener in listeners {
            let mut worker = Worker::new(listener, options.service, Arc::clone(&answer))?;
            let stop = Arc::clone(&stop);
            let thread = thread::Builder::new()
                .name("origin".to_owned())
                .spawn(move || worker.run(&stop))?;
            origin.threads.push(thread);
        }
        Ok(origin)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
    }
}

fn answer(options: &Options) -> anyhow::Result<Vec<u8>> {
    let Service::Http { size } = options.service else {
        return Ok(Vec::new());
    };
    if size > SIZE_MAX {
        return Err(anyhow!("an answer has at most {SIZE_MAX} bytes"));
    }
    let name = match &options.name {
        Some(name) if name.bytes().all(|byte| byte.is_ascii_graphic()) => {
            format!("X-Backend: {name}\r\n")
        }
        Some(_) => return Err(anyhow!("a name is visible ASCII without blanks")),
        None => String::new(),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{name}Content-Length: {size}\r\n\r\n"
    );
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + size, b'x');
    Ok(answer)
}

/// A client's connection.
#[derive(Debug)]
struct Connection {
    socket: OwnedFd,
    /// Received and not answered yet: the beginning of a request, or requests that must wait until
    /// the client takes the answers before theirs.
    partial: Vec<u8>,
    /// The rest of a request's body, to be read before the request is answered.
    body: Option<Box<Decoder>>,
    /// To be sent when the client takes it.
    backlog: Vec<u8>,
    /// The request being read is the last one.
    last: bool,
    /// Answered for the last time: to be closed when the backlog is empty.
    closing: bool,
}

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Keep,
    Close,
}

struct Worker {
    epoll: Epoll,
    listener: OwnedFd,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    desk: Desk,
}

/// What a thread needs to answer any connection.
struct Desk {
    service: Service,
    answer: Arc<[u8]>,
    head: Head,
    scratch: Vec<u8>,
}

impl Worker {
    fn new(listener: OwnedFd, service: Service, answer: Arc<[u8]>) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.add_level(listener.as_fd(), TOKEN_LISTENER)?;
        Ok(Self {
            epoll,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            desk: Desk {
                service,
                answer,
                head: Head::default(),
                scratch: vec![0; SCRATCH_BYTES],
            },
        })
    }

    fn run(&mut self, stop: &AtomicBool) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !stop.load(Ordering::Relaxed)
            && self.epoll.wait(&mut events, Some(PATIENCE_MS)).is_ok()
        {
            // Slots freed in this batch are given out only after it, so that no event of the batch
            // can meet a connection that is younger than itself.
            let mut freed = Vec::new();
            let mut accepting = false;
            for event in events.iter() {
                let index = event.token as usize;
                if event.token == TOKEN_LISTENER {
                    accepting = true;
                } else if let Some(Some(connection)) = self.connections.get_mut(index)
                    && self.desk.attend(connection, event.ready) == Fate::Close
                {
                    self.connections[index] = None;
                    freed.push(index);
                }
            }
            self.free.append(&mut freed);
            if accepting {
                self.accept();
            }
        }
    }

    /// Takes what waits, up to the size of a batch; the listener is level-triggered.
    fn accept(&mut self) {
        for _ in 0..EVENTS_MAX {
            let socket = match listen::accept(self.listener.as_fd()) {
                Ok(Some((socket, _))) => socket,
                Ok(None) => return,
                Err(_) => return thread::sleep(ACCEPT_PAUSE),
            };
            let index = match self.free.pop() {
                Some(index) => index,
                None if self.connections.len() < CONNECTIONS_MAX => {
                    self.connections.push(None);
                    self.connections.len() - 1
                }
                None => continue,
            };
            if self.epoll.add_stream(socket.as_fd(), index as u64).is_err() {
                self.free.push(index);
                continue;
            }
            self.connections[index] = Some(Connection {
                socket,
                partial: Vec::new(),
                body: None,
                backlog: Vec::new(),
                last: false,
                closing: false,
            });
        }
    }
}

impl Desk {
    /// Does what the readiness of a connection allows.
    fn attend(&mut self, connection: &mut Connection, ready: Readiness) -> Fate {
        let mut readable = ready.intersects(Readiness::READ);
        if ready.intersects(Readiness::WRITE) && !connection.backlog.is_empty() {
            if flush(connection) == Fate::Close {
                return Fate::Close;
            }
            if !connection.backlog.is_empty() {
                return Fate::Keep;
            }
            // What was put off while the client did not take its answers.
            let mut waiting = std::mem::take(&mut connection.partial);
            if self.answer_all(connection, &mut waiting) == Fate::Close {
                return Fate::Close;
            }
            readable = true;
        }
        let closed = Readiness::READ_CLOSED.with(Readiness::HUNG_UP);
        while readable && connection.backlog.is_empty() {
            let mut scratch = std::mem::take(&mut self.scratch);
            let received = socket::receive(connection.socket.as_fd(), &mut scratch);
            let (fate, count) = match received {
                Ok(None) => (Fate::Keep, 0),
                Ok(Some(0)) | Err(_) => (Fate::Close, 0),
                Ok(Some(count)) => (self.take(connection, &mut scratch[..count]), count),
            };
            readable = count == scratch.len() || (count > 0 && ready.intersects(closed));
            self.scratch = scratch;
            if fate == Fate::Close {
                return Fate::Close;
            }
        }
        Fate::Keep
    }

    fn take(&mut self, connection: &mut Connection, received: &mut [u8]) -> Fate {
        if self.service == Service::Echo {
            return send(connection, received);
        }
        if connection.partial.is_empty() {
            return self.answer_all(connection, received);
        }
        if connection.partial.len() + received.len() > REQUEST_BYTES_MAX {
            return Fate::Close;
        }
        let mut whole = std::mem::take(&mut connection.partial);
        whole.extend_from_slice(received);
        self.answer_all(connection, &mut whole)
    }

    /// Answers the requests that are complete in `bytes` and keeps the rest.
    fn answer_all(&mut self, connection: &mut Connection, mut bytes: &mut [u8]) -> Fate {
        while !bytes.is_empty() && !connection.closing {
            if !connection.backlog.is_empty() {
                connection.partial.extend_from_slice(bytes);
                break;
            }
            let used = match self.read(connection, bytes) {
                Ok(0) => {
                    connection.partial.extend_from_slice(bytes);
                    break;
                }
                Ok(used) => used,
                Err(Malformed) => return Fate::Close,
            };
            bytes = &mut bytes[used..];
            if connection.body.is_none() {
                connection.closing = connection.last;
                if send(connection, &self.answer) == Fate::Close {
                    return Fate::Close;
                }
            }
        }
        Fate::Keep
    }

    /// Reads a head, or some of a body; returns how many bytes that took. When no body is left to
    /// read afterwards, the request is complete.
    fn read(&mut self, connection: &mut Connection, bytes: &mut [u8]) -> Result<usize, Malformed> {
        if let Some(decoder) = &mut connection.body {
            let decoded = decoder.decode(bytes).map_err(|_| Malformed)?;
            if decoded.done {
                connection.body = None;
            }
            return Ok(decoded.consumed);
        }
        let parse = request::parse(bytes, &mut self.head, &Limits::default());
        let Parse::Complete(length) = parse.map_err(|_| Malformed)? else {
            return Ok(0);
        };
        connection.last = !self.head.keep_alive;
        connection.body = match self.head.framing {
            Framing::None | Framing::Length(0) => None,
            framing => Some(Box::new(Decoder::new(framing))),
        };
        Ok(length)
    }
}

/// A request that cannot be understood; its connection is closed without an answer.
struct Malformed;

/// Sends `bytes` after what waits already; keeps what the kernel does not take.
fn send(connection: &mut Connection, bytes: &[u8]) -> Fate {
    let mut sent = 0;
    while connection.backlog.is_empty() && sent < bytes.len() {
        match socket::send(connection.socket.as_fd(), &bytes[sent..]) {
            Ok(Some(count)) => sent += count,
            Ok(None) => break,
            Err(_) => return Fate::Close,
        }
    }
    connection.backlog.extend_from_slice(&bytes[sent..]);
    fate_after_sending(connection)
}

fn flush(connection: &mut Connection) -> Fate {
    let mut sent = 0;
    while sent < connection.backlog.len() {
        match socket::send(connection.socket.as_fd(), &connection.backlog[sent..]) {
            Ok(Some(count)) => sent += count,
            Ok(None) => break,
            Err(_) => return Fate::Close,
        }
    }
    connection.backlog.drain(..sent);
    fate_after_sending(connection)
}

fn fate_after_sending(connection: &Connection) -> Fate {
    match connection.closing && connection.backlog.is_empty() {
        true => Fate::Close,
        false => Fate::Keep,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    fn origin(service: Service) -> Origin {
        Origin::start(&Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            threads: 2,
            service,
            name: Some("o1".to_owned()),
        })
        .unwrap()
    }

    fn converse(origin: &Origin, pieces: &[&[u8]]) -> String {
        let mut socket = TcpStream::connect(origin.address()).unwrap();
        socket.set_nodelay(true).unwrap();
        for piece in pieces {
            socket.write_all(piece).unwrap();
        }
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn answers_each_of_several_requests() {
        let origin = origin(Service::Http { size: 3 });
        let requests: [&[u8]; 5] = [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHo",
            b"st: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab",
            b"cdPOST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        ];
        let answer = converse(&origin, &requests);
        assert_eq!(answer.matches("HTTP/1.1 200 OK\r\n").count(), 5, "{answer}");
        assert_eq!(answer.matches("X-Backend: o1\r\n").count(), 5);
        assert!(answer.ends_with("Content-Length: 3\r\n\r\nxxx"), "{answer}");
    }

    #[test]
    fn a_client_that_is_slow_to_read_gets_every_answer() {
        const SIZE: usize = 3 << 20;
        let origin = origin(Service::Http { size: SIZE });
        let mut socket = TcpStream::connect(origin.address()).unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3);
        socket.write_all(&request).unwrap();
        socket
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        assert_eq!(
            answer.iter().filter(|&&byte| byte == b'x').count(),
            4 * (SIZE + 1)
        );
    }

    #[test]
    fn nonsense_is_hung_up_on() {
        let origin = origin(Service::Http { size: 3 });
        assert_eq!(converse(&origin, &[b"what?\r\n\r\n"]), "");
    }

    #[test]
    fn a_taken_port_is_not_shared() {
        let first = origin(Service::Echo);
        let second = Origin::start(&Options {
            listen: first.address(),
            threads: 1,
            service: Service::Echo,
            name: None,
        });
        let message = second.unwrap_err().to_string();
        assert!(message.contains(&first.address().to_string()), "{message}");
    }

    #[test]
    fn echoes() {
        let origin = origin(Service::Echo);
        let mut socket = TcpStream::connect(origin.address()).unwrap();
        for message in [b"ping".as_slice(), &[b'x'; 100_000]] {
            let mut answer = vec![0; message.len()];
            thread::scope(|scope| {
                scope.spawn(|| (&socket).write_all(message).unwrap());
                (&socket).read_exact(&mut answer).unwrap();
            });
            assert_eq!(answer, message);
        }
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(socket.read(&mut [0; 8]).unwrap(), 0);
    }
}
