//! Expressions evaluated by HAProxy and by Plimsoll for the same request: the texts of both are compared.
//!
//! `expressions.txt` has one expression a line. Behind a tab may stand why ours is another one, which then must differ.
//! What is absent: `has_ctl` without arguments, after which HAProxy gives its mask to every other converter that has none.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use crate::rig::{DEADLINE, PLIMSOLL, Rig, free_address};
use crate::stage::{reference, version};

const EXPRESSIONS: &str = include_str!("expressions.txt");

const REQUEST: &str = "POST /n/p.html;x=7?a=1&b=x%20y&c&d=&a=2&e HTTP/1.1\r\nHost: Example.org:8080\r\n\
    X: 1, 2\r\nX: \"3,4\",5\r\nE: ,a,,b,\r\nIp1: 10.0.0.1\r\nIp2: 10.0.0.1:80\r\nIp3: [2001:db8::1]\r\n\
    Ip4: 2001:db8::1\r\nIp5: 1.2.3.4, junk\r\nCookie: a=b; c=d; a=e; q=\"x;y\"; n=12z; e=; f\r\n\
    Cookie: a = g , z=1\r\nAccept-Language: de-DE, en;q=0.5\r\nContent-Length: 13\r\nConnection: close\r\n";

const BODY: &str = "z=1&Y=2;z=3=4";

/// Where keys and tokens are.
const JWT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/tests/jwt");

/// Expressions, each with a reason where ours is another value.
fn expressions() -> Vec<(&'static str, Option<&'static str>)> {
    let lines = EXPRESSIONS.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| match line.split_once('\t') {
            Some((text, reason)) => (text, Some(reason)),
            None => (line, None),
        })
        .collect()
}

fn configuration(address: SocketAddr) -> String {
    let mut text = format!(
        "defaults\n mode http\n timeout client 1m\n timeout server 1m\n timeout connect 20s\n\
         frontend fe\n bind {address} name lis id 7\n default_backend be\n option http-buffer-request\n\
         http-request set-var(txn.text) str(text)\n http-request set-var(txn.seven) int(7)\n"
    );
    for (number, (expression, _)) in expressions().iter().enumerate() {
        let quoted = expression
            .replace("{jwt}", JWT)
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('$', "\\$");
        text.push_str(&format!(
            " http-request return status 200 content-type text/plain lf-string \"<%[{quoted}]>\" if {{ req.hdr(case) {number} }}\n"
        ));
    }
    text.push_str("backend be\n server s1 127.0.0.1:1 weight 10\n");
    text
}

fn answer(address: SocketAddr, number: usize) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    let request = format!("{REQUEST}Case: {number}\r\n\r\n{BODY}");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("it answers");
    let text: String = bytes.iter().map(|byte| *byte as char).collect();
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
    body.unwrap_or_default().to_owned()
}

fn answers(program: &Path) -> Vec<String> {
    let address = free_address();
    let mut rig = Rig::new();
    rig.serve(program, &configuration(address), address);
    (0..expressions().len())
        .map(|number| answer(address, number))
        .collect()
}

#[test]
fn expressions_have_the_same_values() {
    let Some(reference) = reference() else { return };
    let version = version(&reference);
    if version.0 < 3 {
        eprintln!("SKIPPED: HAProxy {version:?} lacks names that 3.x has");
        return;
    }
    let (theirs, ours) = (answers(&reference), answers(Path::new(PLIMSOLL)));
    let mut differing = Vec::new();
    for (number, (expression, reason)) in expressions().into_iter().enumerate() {
        let (their, our) = (&theirs[number], &ours[number]);
        match reason {
            None if their != our => {
                differing.push(format!("{expression}: {their:?}, ours {our:?}"))
            }
            Some(reason) if their == our => {
                differing.push(format!(
                    "{expression} no longer differs ({reason}): {our:?}"
                ));
            }
            _ => {}
        }
    }
    let (count, all) = (differing.len(), theirs.len());
    assert!(
        differing.is_empty(),
        "{count} of {all} differ\n{}",
        differing.join("\n")
    );
    assert!(all >= 200, "only {all} expressions were compared");
}
