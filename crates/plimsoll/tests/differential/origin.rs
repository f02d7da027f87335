//! Origins that do what a script says and write down what they were told.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::rig::{DEADLINE, until};

/// Longest wait for a proxy to end connections that it has no more use for.
const AFTERMATH: Duration = Duration::from_millis(500);

/// One step of an origin.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Reads the request's body, in the framing of the head, and writes it down.
    Body,
    /// Reads so many bytes and writes them down.
    Read(usize),
    /// Reads until the proxy says that nothing follows.
    ReadToEnd,
    Send(Vec<u8>),
    /// The same byte, many times.
    Fill(u8, usize),
    /// A pause, where time is what the case is about.
    Pause(u64),
    /// Waits until the case says [`Origin::open_gate`].
    Gate,
    /// Says that nothing follows.
    Finish,
    /// Ends the connection in order.
    Close,
    /// Ends the connection rudely.
    Reset,
    /// Waits until the proxy ends the connection, and writes that down.
    Hold,
}

/// A request whose head has arrived.
pub(crate) struct Asked {
    /// Which of the origin's connections brought it, and which request of that connection it is; both from 0.
    pub(crate) connection: usize,
    pub(crate) request: usize,
    /// The request line.
    pub(crate) line: String,
}

/// What is done about a request.
pub(crate) type Answer = dyn Fn(&Asked) -> Vec<Act> + Send + Sync;

/// What an origin does.
#[derive(Clone)]
pub(crate) enum Script {
    /// For each request.
    Http(Arc<Answer>),
    /// For each connection, by its number.
    Raw(Arc<dyn Fn(usize) -> Vec<Act> + Send + Sync>),
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: usize,
    notes: Vec<String>,
    /// Connections that wait for the proxy to end them.
    held: usize,
    /// Passages through the gate, allowed and asked for.
    allowed: usize,
    asked: usize,
}

/// A listening origin. Its threads end with the process.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Origin {
    pub(crate) fn start(name: &str, script: Script) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let origin = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
        };
        let (name, started) = (name.to_owned(), origin.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let connection = origin.next_connection();
                let mut visit = Visit {
                    origin: origin.clone(),
                    label: format!("{name}#{connection}"),
                    reader: BufReader::new(stream.try_clone().expect("a second handle")),
                    stream,
                    connection,
                };
                let script = script.clone();
                // A proxy that breaks off is what many cases are about.
                thread::spawn(move || visit.run(&script));
            }
        });
        started
    }

    fn next_connection(&self) -> usize {
        let mut seen = self.seen.lock().unwrap();
        seen.connections += 1;
        seen.connections - 1
    }

    fn turn(&self) -> usize {
        let mut seen = self.seen.lock().unwrap();
        seen.asked += 1;
        seen.asked - 1
    }

    fn note(&self, note: String) {
        self.seen.lock().unwrap().notes.push(note);
    }

    /// What was written down, as soon as the proxy has left those connections that wait for it, which is a moment after
    /// the client's part was over.
    pub(crate) fn notes(&self) -> Vec<String> {
        let hurry = Instant::now() + AFTERMATH;
        until(|| self.seen.lock().unwrap().held == 0 || Instant::now() > hurry);
        let seen = self.seen.lock().unwrap();
        let mut notes = seen.notes.clone();
        notes.push(format!("{} connections", seen.connections));
        notes
    }

    /// Waits until so many request heads (or, of a raw origin, connections) have arrived.
    pub(crate) fn wait_for(&self, requests: usize) {
        let arrived = until(|| self.seen.lock().unwrap().requests >= requests);
        assert!(arrived, "fewer than {requests} requests arrived");
    }

    /// Waits until a note that begins so has been written.
    pub(crate) fn wait_for_note(&self, text: &str) -> bool {
        until(|| {
            let seen = self.seen.lock().unwrap();
            seen.notes.iter().any(|note| note.contains(text))
        })
    }

    /// Lets one go on who waits at [`Act::Gate`], in the order of their coming.
    pub(crate) fn open_gate(&self) {
        self.seen.lock().unwrap().allowed += 1;
    }
}

/// One connection to an origin.
struct Visit {
    origin: Origin,
    label: String,
    reader: BufReader<TcpStream>,
    stream: TcpStream,
    connection: usize,
}

impl Visit {
    fn run(&mut self, script: &Script) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.stream.set_read_timeout(Some(DEADLINE))?;
        match script {
            Script::Raw(acts) => {
                self.origin.seen.lock().unwrap().requests += 1;
                self.act_all(acts(self.connection), &[])?;
            }
            Script::Http(acts) => {
                for request in 0.. {
                    let Some(head) = self.read_head()? else { break };
                    let asked = Asked {
                        connection: self.connection,
                        request,
                        line: head[0].clone(),
                    };
                    if !self.act_all(acts(&asked), &head)? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn read_head(&mut self) -> io::Result<Option<Vec<String>>> {
        let mut head = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                break;
            }
            head.push(line);
        }
        if head.is_empty() {
            return Ok(None);
        }
        self.origin
            .note(format!("{} {}", self.label, head.join(" | ")));
        self.origin.seen.lock().unwrap().requests += 1;
        Ok(Some(head))
    }

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        let line = String::from_utf8_lossy(&line).into_owned();
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Whether the connection goes on.
    fn act_all(&mut self, acts: Vec<Act>, head: &[String]) -> io::Result<bool> {
        for act in acts {
            match act {
                Act::Body => self.read_body(head)?,
                Act::Read(count) => self.read_exactly(count)?,
                Act::ReadToEnd => self.read_to_end("then the end"),
                Act::Send(bytes) => self.stream.write_all(&bytes)?,
                Act::Fill(byte, count) => self.stream.write_all(&vec![byte; count])?,
                Act::Pause(ms) => thread::sleep(Duration::from_millis(ms).min(DEADLINE)),
                Act::Gate => {
                    let turn = self.origin.turn();
                    until(|| self.origin.seen.lock().unwrap().allowed > turn);
                }
                Act::Finish => self.stream.shutdown(Shutdown::Write)?,
                Act::Close => return Ok(false),
                Act::Reset => {
                    // Unread bytes or not: a linger time of zero resets.
                    plimsoll_sys::socket::set_reset_on_close(self.stream.as_fd(), true)?;
                    return Ok(false);
                }
                Act::Hold => {
                    self.read_to_end("was left");
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn read_exactly(&mut self, count: usize) -> io::Result<()> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes)?;
        self.origin
            .note(format!("{} read {}", self.label, abridged(&bytes)));
        Ok(())
    }

    fn read_to_end(&mut self, end: &str) {
        let mut bytes = Vec::new();
        self.origin.seen.lock().unwrap().held += 1;
        // A reset is an end as well.
        let _ = self.reader.read_to_end(&mut bytes);
        let note = format!("{} read {}, {end}", self.label, abridged(&bytes));
        let mut seen = self.origin.seen.lock().unwrap();
        seen.held -= 1;
        seen.notes.push(note);
    }

    fn read_body(&mut self, head: &[String]) -> io::Result<()> {
        let field = |name: &str| {
            head.iter()
                .filter_map(|line| line.split_once(':'))
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
        };
        let mut body = Vec::new();
        let mut trailers = Vec::new();
        let whole = if field("transfer-encoding").is_some() {
            self.read_chunks(&mut body, &mut trailers)
        } else if let Some(length) = field("content-length") {
            let length: u64 = length.parse().map_err(io::Error::other)?;
            let read = self
                .reader
                .by_ref()
                .take(length)
                .read_to_end(&mut body)
                .unwrap_or(0);
            Ok(read as u64 == length)
        } else {
            return Ok(());
        };
        let whole = whole.unwrap_or(false);
        let end = if whole { "" } else { " (incomplete)" };
        let trailers = trailers.join(" | ");
        self.origin.note(format!(
            "{} body {}{end}{trailers}",
            self.label,
            abridged(&body)
        ));
        if whole {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Whether all chunks arrived.
    fn read_chunks(&mut self, body: &mut Vec<u8>, trailers: &mut Vec<String>) -> io::Result<bool> {
        loop {
            let line = self.read_line()?;
            let size = line.split(';').next().unwrap_or_default();
            let Ok(size) = u64::from_str_radix(size, 16) else {
                return Ok(false);
            };
            if size == 0 {
                loop {
                    let line = self.read_line()?;
                    if line.is_empty() {
                        return Ok(true);
                    }
                    trailers.push(format!(" | {line}"));
                }
            }
            let read = self.reader.by_ref().take(size).read_to_end(body)?;
            if read as u64 != size {
                return Ok(false);
            }
            self.read_line()?;
        }
    }
}

/// Bytes as readable text; of many, the beginning and the number.
pub(crate) fn abridged(bytes: &[u8]) -> String {
    const SHOWN_MAX: usize = 400;
    if bytes.len() > SHOWN_MAX {
        return format!("{} and {} more", bytes[..8].escape_ascii(), bytes.len() - 8);
    }
    format!("\"{}\"", bytes.escape_ascii())
}
