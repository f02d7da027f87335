//! A client that shows every byte: what is sent is sent as it is, and answers are read without forgiveness.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::DEADLINE;

/// One connection.
pub struct Client {
    stream: TcpStream,
    /// Received but not consumed.
    ahead: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names in lower case, in the order received.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the first field of that name (in lower case).
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the connection is accepted");
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the connection takes bytes");
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Whether the other side has ended the connection already; `None`: it has not.
    pub fn ended(&mut self) -> Option<()> {
        self.stream.set_nonblocking(true).unwrap();
        let read = self.stream.read(&mut [0; 64]);
        self.stream.set_nonblocking(false).unwrap();
        match read {
            Ok(0) => Some(()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Some(()),
            _ => None,
        }
    }

    /// Reads an answer to a request that was not HEAD.
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads an answer; the method decides whether it has a body.
    pub fn response_to(&mut self, method: &str) -> Response {
        let head = self.read_head();
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("no status line: {head:?}"));
        let fields: Vec<_> = lines
            .filter(|line| !line.is_empty())
            .map(|line| {
                line.split_once(':')
                    .unwrap_or_else(|| panic!("no field: {line:?}"))
            })
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Response {
            status,
            fields,
            body: Vec::new(),
        };
        let bodiless = method == "HEAD" || status < 200 || status == 204 || status == 304;
        if !bodiless {
            response.body = self.read_body(&response);
        }
        response
    }

    fn read_body(&mut self, response: &Response) -> Vec<u8> {
        if response.field("transfer-encoding") == Some("chunked") {
            return self.read_chunks();
        }
        match response.field("content-length") {
            Some(length) => {
                let length = length.parse().expect("a length is a number");
                self.read_exact(length)
            }
            None => self.read_to_end(),
        }
    }

    fn read_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line();
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16)
                .unwrap_or_else(|_| panic!("no chunk size: {line:?}"));
            if size == 0 {
                while !self.read_line().is_empty() {}
                return body;
            }
            body.extend(self.read_exact(size));
            assert_eq!(self.read_line(), "", "a chunk ends with a line end");
        }
    }

    /// Reads up to and including the empty line; without it.
    pub fn read_head(&mut self) -> String {
        let end =
            self.fill_until(|bytes| bytes.windows(4).position(|window| window == b"\r\n\r\n"));
        let head = self.take(end);
        self.take(4);
        String::from_utf8_lossy(&head).into_owned()
    }

    /// Reads a line without its end.
    pub fn read_line(&mut self) -> String {
        let end = self.fill_until(|bytes| bytes.windows(2).position(|window| window == b"\r\n"));
        let line = self.take(end);
        self.take(2);
        String::from_utf8_lossy(&line).into_owned()
    }

    pub fn read_exact(&mut self, length: usize) -> Vec<u8> {
        self.fill_until(|bytes| (bytes.len() >= length).then_some(()));
        self.take(length)
    }

    /// Reads until the other side ends the connection, in whatever way.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.ahead)
    }

    /// Whether the other side ends the connection without another byte.
    pub fn is_closed(&mut self) -> bool {
        self.ahead.is_empty() && !self.fill()
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.ahead.drain(..count).collect()
    }

    fn fill_until<T>(&mut self, complete: impl Fn(&[u8]) -> Option<T>) -> T {
        loop {
            if let Some(result) = complete(&self.ahead) {
                return result;
            }
            assert!(
                self.fill(),
                "the connection ended early, after {:?}",
                String::from_utf8_lossy(&self.ahead)
            );
        }
    }

    /// Receives some more; false at the end.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 16 << 10];
        match self.stream.read(&mut chunk) {
            Ok(count) => {
                self.ahead.extend_from_slice(&chunk[..count]);
                count > 0
            }
            // The process stood still.
            Err(error) if error.kind() == ErrorKind::Interrupted => self.fill(),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!(
                "nothing comes: {error}; so far {:?}",
                String::from_utf8_lossy(&self.ahead)
            ),
        }
    }
}
