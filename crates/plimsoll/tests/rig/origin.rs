//! Servers for the proxy to talk to, which remember what they were asked.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::{DEADLINE, until};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which of the origin's connections brought it, from 0.
    pub connection: usize,
    /// The request line.
    pub line: String,
    /// Fields as they arrived, line ends removed.
    pub fields: Vec<String>,
    pub body: Vec<u8>,
}

impl Request {
    /// The value of the first field of that name, whatever its case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .filter_map(|field| field.split_once(':'))
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

/// What an origin does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Sends these bytes and waits for the next request.
    Send(Vec<u8>),
    /// Sends these bytes and closes.
    SendAndClose(Vec<u8>),
    /// Waits, then goes on with the other.
    After(Duration, Box<Self>),
    /// Sends these bytes, then speaks another protocol until it is done.
    Switch(Vec<u8>, Talk),
    /// Says nothing until the proxy gives up.
    Silence,
}

/// A side of another protocol: what comes, and where answers go.
pub type Talk = fn(&mut BufReader<TcpStream>, &mut TcpStream) -> io::Result<()>;

impl Reply {
    /// A plain answer with a body.
    pub fn ok(body: &str) -> Self {
        Self::Send(
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes(),
        )
    }
}

#[derive(Debug, Default)]
struct Seen {
    connections: usize,
    requests: Vec<Request>,
}

/// A listening origin. Its threads end with the process.
pub struct Origin {
    pub name: String,
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Origin {
    pub fn http(name: &str, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let noted = Arc::clone(&seen);
        let address = listen(Arc::clone(&seen), move |connection, stream| {
            // A proxy that breaks off is what many tests are about.
            let _ = converse(connection, stream, &noted, &answer);
        });
        Self {
            name: name.to_owned(),
            address,
            seen,
        }
    }

    pub fn raw(name: &str, handle: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let address = listen(Arc::clone(&seen), move |_, stream| handle(stream));
        Self {
            name: name.to_owned(),
            address,
            seen,
        }
    }

    /// The line that makes it a server of a backend.
    pub fn server_line(&self) -> String {
        format!("server {} {}", self.name, self.address)
    }

    /// How many connections it accepted.
    pub fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// The requests it got.
    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().requests.clone()
    }

    /// Waits until it has got that many requests.
    pub fn wait_for_requests(&self, count: usize) -> Vec<Request> {
        let arrived = until(|| self.seen.lock().unwrap().requests.len() >= count);
        let requests = self.requests();
        assert!(
            arrived,
            "{} got {} requests, not {count}",
            self.name,
            requests.len()
        );
        requests
    }
}

fn listen(
    seen: Arc<Mutex<Seen>>,
    handle: impl Fn(usize, TcpStream) + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().unwrap();
    let handle = Arc::new(handle);
    thread::spawn(move || {
        // A connection that cannot be taken at this moment, for want of descriptors, is not the last one.
        for stream in listener.incoming().filter_map(Result::ok) {
            let connection = {
                let mut seen = seen.lock().unwrap();
                seen.connections += 1;
                seen.connections - 1
            };
            let handle = Arc::clone(&handle);
            thread::spawn(move || handle(connection, stream));
        }
    });
    address
}

fn converse(
    connection: usize,
    stream: TcpStream,
    seen: &Mutex<Seen>,
    answer: &impl Fn(&Request) -> Reply,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(connection, &mut reader)? {
        seen.lock().unwrap().requests.push(request.clone());
        if !act(answer(&request), &mut writer, &mut reader)? {
            break;
        }
    }
    Ok(())
}

/// Does what the reply says; whether the connection goes on.
fn act(
    reply: Reply,
    writer: &mut TcpStream,
    reader: &mut BufReader<TcpStream>,
) -> io::Result<bool> {
    match reply {
        Reply::Send(bytes) => writer.write_all(&bytes).map(|()| true),
        Reply::SendAndClose(bytes) => writer.write_all(&bytes).map(|()| false),
        Reply::After(delay, reply) => {
            thread::sleep(delay.min(DEADLINE));
            act(*reply, writer, reader)
        }
        Reply::Switch(bytes, talk) => {
            writer.write_all(&bytes)?;
            talk(reader, writer).map(|()| false)
        }
        Reply::Silence => {
            writer.set_read_timeout(Some(DEADLINE))?;
            io::copy(reader, &mut io::sink()).map(|_| false)
        }
    }
}

/// The next request, or nothing when the connection ends between two.
fn read_request(
    connection: usize,
    reader: &mut BufReader<TcpStream>,
) -> io::Result<Option<Request>> {
    let line = read_line(reader)?;
    if line.is_empty() {
        return Ok(None);
    }
    let mut request = Request {
        connection,
        line,
        fields: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let field = read_line(reader)?;
        if field.is_empty() {
            break;
        }
        request.fields.push(field);
    }
    if request.field("transfer-encoding").is_some() {
        request.body = read_chunks(reader)?;
    } else if let Some(length) = request.field("content-length") {
        let length = length.parse().map_err(io::Error::other)?;
        request.body.resize(length, 0);
        reader.read_exact(&mut request.body)?;
    }
    Ok(Some(request))
}

fn read_chunks(reader: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(reader)?;
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16)
            .map_err(io::Error::other)?;
        if size == 0 {
            while !read_line(reader)?.is_empty() {}
            return Ok(body);
        }
        let start = body.len();
        body.resize(start + size, 0);
        reader.read_exact(&mut body[start..])?;
        read_line(reader)?;
    }
}

fn read_line(reader: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
