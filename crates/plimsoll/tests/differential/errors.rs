//! `show errors` of both programs, after the same messages that are not acceptable: which byte is at fault, how the bytes
//! are shown, and whom they concern.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::rig::{DEADLINE, PLIMSOLL, Rig, ask, free_address, until};
use crate::stage::{reference, version};

/// Requests, and what is at another position here than in HAProxy, if anything is.
const REQUESTS: &[(&[u8], &str)] = &[
    (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", ""),
    (b"GET / HTTP/1.1\r\nHost: a\r\nfoo/bar: x\r\n\r\n", ""),
    (b"GET / HTTP/1.1\r\nHost: a\r\nfoo : x\r\n\r\n", ""),
    (b"GET / HTTP/1.1\r\nHost: a\r\nfoo\r\n\r\n", ""),
    (b"GET / HTTP/1.1\r\nHost: a\r\nfoo: a\0b\r\n\r\n", ""),
    (b"GET /\x01 HTTP/1.1\r\n\r\n", ""),
    (b"\x16\x03\x01\x02", ""),
    (b"\r\nGET / HTTP/1.1\r\na/b: c\r\n\r\n", ""),
    (b"GET / HTTP/1.1\r\nA: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\\\t\xff\r\n: b\r\n\r\n", ""),
    (b"GET / HTTP/1.1x\r\n\r\n", ""),
    (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "fields that contradict each other are judged at the end of the head"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ""),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nazz\r\n", ""),
];

const RESPONSES: &[(&[u8], &str)] = &[
    (b"HTTP/1.1 200 OK\r\nfoo/bar: x\r\n\r\n", ""),
    (b"HTTX/1.1 200 OK\r\n\r\n", ""),
    (b"HTTP/1.1 2x0 OK\r\n\r\n", "a status is judged as a whole"),
    (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "",
    ),
    (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n",
        "",
    ),
    (
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "fields are judged at the end of the head",
    ),
];

fn send(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).expect("it accepts");
    stream.set_read_timeout(Some(DEADLINE)).expect("a time-out");
    stream.write_all(bytes).expect("it reads");
    // A connection that is cut off has been answered as well.
    let _ = stream.read_to_end(&mut Vec::new());
}

/// What a program has shown after each message.
fn answers(program: &Path) -> Vec<String> {
    let address = free_address();
    let mut rig = Rig::new();
    let said: Arc<Mutex<&[u8]>> = Arc::default();
    let says = Arc::clone(&said);
    let origin = rig.origin_raw("s", move |mut stream| {
        // What cannot be sent is missed by the test.
        let _ = stream.read(&mut [0; 4_096]);
        let _ = stream.write_all(*says.lock().expect("nobody panics"));
    });
    let text = format!(
        "global\n stats socket {socket} level admin\n\
         defaults\n mode http\n timeout client 1m\n timeout server 1m\n timeout connect 20s\n\
         frontend fe\n bind {address}\n default_backend be\nbackend be\n {server}\n",
        socket = rig.path("socket").display(),
        server = origin.server_line(),
    );
    rig.serve(program, &text, address);
    let socket = rig.path("socket");
    let mut answers = Vec::new();
    let messages = REQUESTS.iter().map(|(bytes, _)| ("fe request", *bytes));
    let responses = RESPONSES.iter().map(|(bytes, _)| ("be response", *bytes));
    for (number, (filter, bytes)) in messages.chain(responses).enumerate() {
        if filter == "fe request" {
            send(address, bytes);
        } else {
            *said.lock().expect("nobody panics") = bytes;
            send(
                address,
                b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            );
        }
        let mut answer = String::new();
        let mark = format!(" event #{number}, ");
        let told = until(|| {
            answer = ask(&socket, &format!("show errors {filter}"));
            answer.contains(&mark)
        });
        assert!(told, "{program:?} {}: {answer}", bytes.escape_ascii());
        answers.push(plain(&answer));
    }
    answers
}

/// The answer without dates, ports and what tells of HAProxy's parser and memory.
fn plain(answer: &str) -> String {
    let is_own = |line: &str| {
        line.starts_with("  H1 ")
            || line.contains(" free,")
            || line.ends_with(" :") && line.contains('_')
    };
    let lines = answer.lines().filter(|line| !is_own(line)).map(|line| {
        if let Some((_, rest)) = line.split_once("] ") {
            rest.to_owned()
        } else if let Some((line, _)) = line.split_once(" src 127.0.0.1:") {
            line.to_owned()
        } else if let Some((length, rest)) = line.split_once(", wraps at ") {
            format!("{length}{}", rest.split_once(',').expect("a position").1)
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn messages_that_are_not_acceptable_are_shown_alike() {
    let Some(reference) = reference() else { return };
    let version = version(&reference);
    if version.0 < 3 {
        eprintln!("SKIPPED: HAProxy {version:?} tells of its parser in another form");
        return;
    }
    let (theirs, ours) = (answers(&reference), answers(Path::new(PLIMSOLL)));
    let messages = REQUESTS.iter().chain(RESPONSES);
    let mut differing = Vec::new();
    for ((their, our), (bytes, reason)) in theirs.iter().zip(&ours).zip(messages) {
        let [their_rest, our_rest] = [their, our].map(|text| {
            let lines = text.lines().filter(|line| !line.contains("position"));
            lines.collect::<Vec<_>>().join("\n")
        });
        if (their == our) != reason.is_empty() || their_rest != our_rest {
            differing.push(format!(
                "{} ({reason}):\n{their}\nours:\n{our}",
                bytes.escape_ascii()
            ));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n\n"));
}
