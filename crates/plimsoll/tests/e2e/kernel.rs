//! What the kernel is asked to do with connections.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::rig::{Rig, until};

const DEFAULTS: &str = "defaults\n    mode http\n    timeout connect 2s\n    timeout client 5s\n    timeout server 5s\n";

/// Timers of the established connections with this address at their near end, or at their far one (proc(5)).
fn timers(address: SocketAddr, near: bool) -> Vec<String> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let SocketAddr::V4(address) = address else {
        unreachable!("the rig listens on IPv4");
    };
    let ip = u32::from_ne_bytes(address.ip().octets());
    let wanted = format!("{ip:08X}:{:04X}", address.port());
    let lines = table.lines().map(|line| line.split_whitespace().collect());
    lines
        .filter(|words: &Vec<&str>| words.len() > 5 && words[3] == "01")
        .filter(|words| words[if near { 1 } else { 2 }] == wanted)
        .map(|words| words[5][..2].to_owned())
        .collect()
}

#[test]
fn silent_connections_are_probed_on_both_sides() {
    /// Kind of a timer that probes (proc(5)).
    const PROBES: &str = "02";
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let server = origin.server_line();
    rig.config(&format!(
        "{DEFAULTS}    option clitcpka\n    clitcpka-idle 30s\n    clitcpka-intvl 5s\n    clitcpka-cnt 2\n\
         listen web\n    bind {{listen}}\n    option srvtcpka\n    srvtcpka-idle 1m\n    {server}\n"
    ));
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "a");
    let probed = |address, near| until(|| timers(address, near).iter().any(|it| it == PROBES));
    assert!(probed(rig.address(), true), "the clients' side");
    assert!(probed(origin.address, false), "the servers' side");
}

#[test]
fn connections_without_linger_end_with_a_reset() {
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let server = origin.server_line();
    rig.config(&format!(
        "{DEFAULTS}    timeout http-keep-alive 100ms\nlisten web\n    bind {{listen}}\n    option nolinger\n    {server}\n"
    ));
    let mut client = TcpStream::connect(rig.address()).unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let ended = client.read_to_end(&mut answer);
    assert!(answer.ends_with(b"a"), "{}", answer.escape_ascii());
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
}
