//! A name server that says what it is told to.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use super::DEADLINE;

/// Types of records: an IPv4 address, an IPv6 address.
pub const V4: u16 = 1;
pub const V6: u16 = 28;

/// Header flags of an answer, and its codes.
const RESPONSE: u16 = 0x8180;
const TRUNCATED: u16 = 0x0200;
const NO_NAME: u16 = 3;

/// The data of the records of a name and a type.
type Zone = Arc<Mutex<HashMap<(String, u16), Vec<Vec<u8>>>>>;

/// A name server that can be told what to say; it ends with the process.
pub struct NameServer {
    pub address: SocketAddr,
    zone: Zone,
}

impl NameServer {
    /// Over UDP; with `streams_only`, long answers are all that it has, for which one must come over TCP.
    pub fn start(streams_only: bool) -> Self {
        let (listener, socket) = both_kinds();
        let address = socket.local_addr().unwrap();
        let zone = Zone::default();
        let known = Arc::clone(&zone);
        if streams_only {
            let known = Arc::clone(&zone);
            thread::spawn(move || serve_streams(&listener, &known));
        }
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((count, peer)) = socket.recv_from(&mut buffer) {
                let flags = if streams_only { TRUNCATED } else { 0 };
                let _ = socket.send_to(&answer(&buffer[..count], &known, flags), peer);
            }
        });
        Self { address, zone }
    }

    pub fn say(&self, name: &str, kind: u16, data: Vec<Vec<u8>>) {
        let mut zone = self.zone.lock().unwrap();
        zone.insert((name.to_owned(), kind), data);
    }

    pub fn forget(&self) {
        self.zone.lock().unwrap().clear();
    }
}

/// Sockets of both kinds with one address.
fn both_kinds() -> (TcpListener, UdpSocket) {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()) {
            return (listener, socket);
        }
    }
}

fn serve_streams(listener: &TcpListener, zone: &Zone) {
    for mut stream in listener.incoming().map_while(Result::ok) {
        let mut length = [0; 2];
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        if stream.read_exact(&mut length).is_ok() {
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut question).unwrap();
            let answer = answer(&question, zone, 0);
            let length = (answer.len() as u16).to_be_bytes();
            let _ = stream.write_all(&[&length, &answer[..]].concat());
        }
    }
}

/// What the zone says to a question; a name that it does not have is none.
fn answer(question: &[u8], zone: &Zone, flags: u16) -> Vec<u8> {
    let (mut at, mut labels) = (12, Vec::new());
    while question[at] != 0 {
        let length = usize::from(question[at]);
        labels.push(String::from_utf8(question[at + 1..at + 1 + length].to_vec()).unwrap());
        at += 1 + length;
    }
    let kind = u16::from_be_bytes([question[at + 1], question[at + 2]]);
    let (name, zone) = (labels.join("."), zone.lock().unwrap());
    let is_known = zone.keys().any(|(known, _)| *known == name);
    let mut records = zone.get(&(name, kind)).cloned().unwrap_or_default();
    if flags == TRUNCATED {
        records.clear();
    }
    let code = if is_known { 0 } else { NO_NAME };
    let mut out = question[..2].to_vec();
    for word in [RESPONSE | flags | code, 1, records.len() as u16, 0, 0] {
        out.extend(word.to_be_bytes());
    }
    out.extend(&question[12..at + 5]);
    for data in records {
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 60]);
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
    }
    out
}

/// The data of a record with this address.
pub fn address(text: &str) -> Vec<u8> {
    match text.parse().unwrap() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}
