//! Log lines, with what differs between any two runs masked.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Longest wait for a line that is due.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a line that is not due may still come.
const AFTERMATH: Duration = Duration::from_millis(50);

/// A UDP socket that one frontend's lines are sent to.
pub(crate) struct Receiver(UdpSocket);

impl Receiver {
    pub(crate) fn start() -> Self {
        Self(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Waits until a line has come, and leaves it there.
    pub(crate) fn wait(&self) {
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = self.0.peek(&mut [0; 1]);
    }

    /// The lines that are there, masked; it waits for none.
    pub(crate) fn pending(&self) -> Vec<String> {
        self.0.set_nonblocking(true).unwrap();
        let mut buffer = vec![0; 64 << 10];
        let mut lines = Vec::new();
        while let Ok(length) = self.0.recv(&mut buffer) {
            lines.push(masked(&String::from_utf8_lossy(&buffer[..length])));
        }
        self.0.set_nonblocking(false).unwrap();
        lines
    }

    /// Waits for so many lines, then a moment for more; all of them, masked.
    pub(crate) fn lines(&self, due: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let patience = if lines.len() < due {
                PATIENCE
            } else {
                AFTERMATH
            };
            self.0.set_read_timeout(Some(patience)).unwrap();
            let Ok(length) = self.0.recv(&mut buffer) else {
                return lines;
            };
            lines.push(masked(&String::from_utf8_lossy(&buffer[..length])));
        }
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
