//! Log lines, with what differs between any two runs masked.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Longest wait for a line that is due.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a line that is not due may still come.
const AFTERMATH: Duration = Duration::from_millis(50);

/// A UDP socket that one frontend's lines are sent to. It is read at all times: the kernel keeps some hundred lines at most,
/// and loses what comes beyond.
pub(crate) struct Receiver {
    address: SocketAddr,
    lines: mpsc::Receiver<String>,
    /// The line that was waited for, and has not been asked for yet.
    waited: RefCell<Option<String>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            loop {
                // An interrupted call says nothing.
                let Ok(length) = socket.recv(&mut buffer) else {
                    continue;
                };
                let line = masked(&String::from_utf8_lossy(&buffer[..length]));
                if length == 0 || sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            address,
            lines,
            waited: RefCell::default(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until a line has come, and leaves it there.
    pub(crate) fn wait(&self) {
        let mut waited = self.waited.borrow_mut();
        if waited.is_none() {
            *waited = self.lines.recv_timeout(PATIENCE).ok();
        }
    }

    /// All lines, masked, of a program that has ended; no more are read then.
    pub(crate) fn all(&self) -> Vec<String> {
        self.end();
        let mut lines = Vec::from_iter(self.waited.take());
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            lines.push(line);
        }
        lines
    }

    /// Behind what is there already, an empty line says that it is over.
    fn end(&self) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let _ = socket.and_then(|socket| socket.send_to(b"", self.address));
    }

    /// Waits for so many lines, then a moment for more; all of them, masked.
    pub(crate) fn lines(&self, due: usize) -> Vec<String> {
        let mut lines = Vec::from_iter(self.waited.take());
        loop {
            let patience = if lines.len() < due {
                PATIENCE
            } else {
                AFTERMATH
            };
            let Ok(line) = self.lines.recv_timeout(patience) else {
                return lines;
            };
            lines.push(line);
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.end();
    }
}

/// Without the client's port, dates and durations; of timers it matters only whether they ran at all. Bytes of HTTP
/// exchanges are those of the wire here and of an inner representation there.
fn masked(line: &str) -> String {
    let Some((header, message)) = line.trim_end().split_once("]: ") else {
        return format!("log {line}");
    };
    let level = header.split('>').next().unwrap_or_default();
    let words: Vec<&str> = message.split(' ').collect();
    if let ["Connect", "from", from, "to", to, proxy] = words[..] {
        let host = |address: &str| address.rsplit_once(':').map(|(host, _)| host.to_owned());
        return format!(
            "log {level}> from {:?} to {:?} {proxy}",
            host(from),
            host(to)
        );
    }
    // address [date] frontend backend/server timers status bytes ...; TCP lines have no status, and those of sessions that
    // came to nothing say why behind a colon.
    let came_to_nothing = words.get(2).is_some_and(|word| word.ends_with(':'));
    if words.len() < 7 || !words[1].starts_with('[') || came_to_nothing {
        return format!("log {level}> {}", words[2.min(words.len())..].join(" "));
    }
    let mut words: Vec<String> = words[2..].iter().map(|&word| word.to_owned()).collect();
    words[2] = words[2]
        .split('/')
        .map(mask_timer)
        .collect::<Vec<_>>()
        .join("/");
    let is_http = words.len() > 9;
    if is_http {
        words[4] = "N".to_owned();
    }
    let load = if is_http { 8 } else { 5 };
    if let Some(word) = words.get_mut(load)
        && let Some((_, rest)) = word.split_once('/')
    {
        *word = format!("N/{rest}");
    }
    format!("log {level}> {}", words.join(" "))
}

fn mask_timer(timer: &str) -> String {
    let plus = if timer.starts_with('+') { "+" } else { "" };
    match timer {
        "-1" => timer.to_owned(),
        _ => format!("{plus}N"),
    }
}
