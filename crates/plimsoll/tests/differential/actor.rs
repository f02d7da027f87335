//! A client that follows a script and writes down all it sees.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::thread;
use std::time::Duration;

use crate::origin::abridged;
use crate::rig::DEADLINE;

/// Longest wait for a byte. Above every time-out that a case may be about.
const PATIENCE: Duration = Duration::from_secs(6);

/// Pause between two bytes of one who says little, where that is what a case is about.
pub(crate) const DRIP: Duration = Duration::from_millis(50);

/// One client connection.
pub(crate) struct Actor {
    label: char,
    stream: Option<TcpStream>,
    ahead: Vec<u8>,
    pub(crate) notes: Vec<String>,
    /// Final answers seen.
    pub(crate) answers: usize,
}

impl Actor {
    pub(crate) fn connect(label: char, address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the connection is accepted");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            label,
            stream: Some(stream),
            ahead: Vec::new(),
            notes: Vec::new(),
            answers: 0,
        }
    }

    fn note(&mut self, note: &str) {
        self.notes.push(format!("{}: {note}", self.label));
    }

    /// Sends; a proxy that has closed already does not matter here, but in what is read.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        if let Some(stream) = &mut self.stream {
            let _ = stream.write_all(bytes.as_ref());
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&self) {
        if let Some(stream) = &self.stream {
            let _ = stream.shutdown(Shutdown::Write);
        }
    }

    /// Leaves rudely.
    pub(crate) fn reset(&mut self) {
        if let Some(stream) = self.stream.take() {
            let _ = plimsoll_sys::socket::set_reset_on_close(stream.as_fd(), true);
        }
    }

    /// Leaves in order.
    pub(crate) fn leave(&mut self) {
        self.stream = None;
    }

    /// Reads an answer to a request that was not HEAD, interim answers before it included.
    pub(crate) fn answer(&mut self) {
        self.answer_to("GET");
    }

    pub(crate) fn answer_to(&mut self, method: &str) {
        loop {
            let Some(head) = self.read_head() else { return };
            let status = head
                .split(' ')
                .nth(1)
                .and_then(|status| status.parse::<u16>().ok());
            let Some(status) = status else {
                return self.note(&format!("no status: {head:?}"));
            };
            let mut lines: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
            if (100..200).contains(&status) && status != 101 {
                self.note(&lines.join(" | "));
                continue;
            }
            self.answers += 1;
            let bodiless = method == "HEAD" || matches!(status, 101 | 204 | 304);
            let tunnel = method == "CONNECT" && status < 300;
            let body = match bodiless || tunnel {
                true => String::new(),
                false => self.read_body(&lines),
            };
            if body.contains("<html><body><h1>") {
                return self.note(&error_page(&mut lines));
            }
            self.note(&format!("{} {body}", lines.join(" | ")));
            return;
        }
    }

    /// Reads so many bytes.
    pub(crate) fn read(&mut self, count: usize) {
        while self.ahead.len() < count && self.fill() == Filled::Some {}
        let bytes: Vec<u8> = self.ahead.drain(..count.min(self.ahead.len())).collect();
        self.note(&format!("read {}", abridged(&bytes)));
    }

    /// Reads until the proxy ends the connection, in whatever way.
    pub(crate) fn rest(&mut self) {
        let end = loop {
            match self.fill() {
                Filled::Some => {}
                Filled::End => break "the end",
                Filled::Nothing => break "silence",
            }
        };
        let bytes = std::mem::take(&mut self.ahead);
        match bytes.is_empty() {
            true => self.note(end),
            false => self.note(&format!("read {}, then {end}", abridged(&bytes))),
        }
    }

    /// All bytes until then, which leave no note.
    pub(crate) fn all(&mut self) -> Vec<u8> {
        while self.fill() == Filled::Some {}
        std::mem::take(&mut self.ahead)
    }

    /// The same, where how much comes until then is a matter of time.
    pub(crate) fn outlast(&mut self) {
        while self.fill() == Filled::Some {}
        self.ahead.clear();
        self.rest();
    }

    /// The same, and says a byte every now and then, so many times.
    pub(crate) fn outlast_dripping(&mut self, count: u32) {
        self.dripping(count, Self::outlast);
    }

    /// Reads an answer, and says a byte every now and then meanwhile.
    pub(crate) fn answer_dripping(&mut self, count: u32) {
        self.dripping(count, Self::answer);
    }

    fn dripping(&mut self, count: u32, act: fn(&mut Self)) {
        let stream = self
            .stream
            .as_ref()
            .map(|stream| stream.try_clone().unwrap());
        thread::scope(|scope| {
            scope.spawn(move || {
                let Some(mut stream) = stream else { return };
                for _ in 0..count {
                    if stream.write_all(b"x").is_err() {
                        break;
                    }
                    thread::sleep(DRIP);
                }
            });
            act(self);
        });
    }

    fn read_head(&mut self) -> Option<String> {
        let end = loop {
            if let Some(end) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if self.fill() != Filled::Some {
                let got = abridged(&self.ahead);
                self.note(&format!("no answer: {got}"));
                return None;
            }
        };
        let head: Vec<u8> = self.ahead.drain(..end + 4).collect();
        Some(String::from_utf8_lossy(&head[..end]).into_owned())
    }

    /// The body as text; how the chunks are cut does not matter.
    fn read_body(&mut self, lines: &[String]) -> String {
        let field = |name: &str| {
            lines
                .iter()
                .filter_map(|line| line.split_once(':'))
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
        };
        if field("transfer-encoding").is_some() {
            return self.read_chunks();
        }
        let Some(length) = field("content-length") else {
            while self.fill() == Filled::Some {}
            let bytes = std::mem::take(&mut self.ahead);
            return format!("{}, then the end", abridged(&bytes));
        };
        let length: usize = length.parse().expect("a length is a number");
        while self.ahead.len() < length && self.fill() == Filled::Some {}
        let cut = self.ahead.len() < length;
        let bytes: Vec<u8> = self.ahead.drain(..length.min(self.ahead.len())).collect();
        format!("{}{}", abridged(&bytes), if cut { " (cut)" } else { "" })
    }

    fn read_chunks(&mut self) -> String {
        let mut body = Vec::new();
        loop {
            let Some(line) = self.read_line() else {
                return format!("{} (cut)", abridged(&body));
            };
            let size = line.split(';').next().unwrap_or_default();
            let Ok(size) = usize::from_str_radix(size, 16) else {
                return format!("{} (no chunk: {line:?})", abridged(&body));
            };
            if size == 0 {
                let mut trailers = String::new();
                while let Some(line) = self.read_line().filter(|line| !line.is_empty()) {
                    trailers.push_str(" | ");
                    trailers.push_str(&line);
                }
                return format!("chunks {}{trailers}", abridged(&body));
            }
            while self.ahead.len() < size + 2 && self.fill() == Filled::Some {}
            let length = self.ahead.len();
            body.extend(self.ahead.drain(..size.min(length)));
            let length = self.ahead.len();
            self.ahead.drain(..2.min(length));
        }
    }

    fn read_line(&mut self) -> Option<String> {
        let end = loop {
            if let Some(end) = self.ahead.windows(2).position(|two| two == b"\r\n") {
                break end;
            }
            if self.fill() != Filled::Some {
                return None;
            }
        };
        let line: Vec<u8> = self.ahead.drain(..end + 2).collect();
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    fn fill(&mut self) -> Filled {
        let mut chunk = [0; 16 << 10];
        let Some(stream) = &mut self.stream else {
            return Filled::End;
        };
        match stream.read(&mut chunk) {
            Ok(0) => Filled::End,
            Ok(count) => {
                self.ahead.extend_from_slice(&chunk[..count]);
                Filled::Some
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Filled::Nothing
            }
            Err(_) => Filled::End,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Filled {
    Some,
    End,
    Nothing,
}

/// An error page of the proxy's own: the words, and so the length, are each program's; the rest is not.
fn error_page(lines: &mut [String]) -> String {
    for line in lines.iter_mut() {
        if line.to_ascii_lowercase().starts_with("content-length:") {
            *line = "content-length: N".to_owned();
        }
    }
    let mut status: Vec<&str> = lines[0].splitn(3, ' ').collect();
    status.truncate(2);
    lines[0] = status.join(" ");
    lines[1..].sort();
    format!("{} an error page", lines.join(" | "))
}
