//! What the kernel is asked to do with connections.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use plimsoll_sys::{Address, ConnectOptions, capability, connect};

use crate::rig::origin::Origin;
use crate::rig::{Rig, until};

const DEFAULTS: &str = "defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n";

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
        "{DEFAULTS}    timeout client 200ms\nlisten web\n    mode tcp\n    bind {{listen}}\n    option nolinger\n    {server}\n"
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

/// An origin that answers with the address its client has.
fn mirror(rig: &Rig) -> Origin {
    rig.origin_raw("a", |mut stream| {
        let peer = stream.peer_addr().unwrap().ip().to_string();
        let mut request = Vec::new();
        let mut part = [0; 1_024];
        while let Ok(count @ 1..) = stream.read(&mut part) {
            request.extend_from_slice(&part[..count]);
            if request.ends_with(b"\r\n\r\n") {
                let length = peer.len();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{peer}");
                stream.write_all(answer.as_bytes()).unwrap();
            }
        }
    })
}

/// What the origin says to a client that comes from this address.
fn seen_from(rig: &Rig, ip: &str, fields: &str) -> String {
    let options = ConnectOptions {
        source: Some(Address::Inet(format!("{ip}:0").parse().unwrap())),
        ..ConnectOptions::default()
    };
    let connected = connect::connect(&Address::Inet(rig.address()), &options).unwrap();
    let mut client = TcpStream::from(connected.socket);
    client.set_nonblocking(false).unwrap();
    client
        .write_all(
            format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n").as_bytes(),
        )
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    match answer.rsplit_once("\r\n\r\n") {
        Some((_, body)) => body.to_owned(),
        None => answer,
    }
}

/// Skips, loudly, where foreign addresses cannot be had.
fn is_allowed() -> bool {
    let allowed = capability::may_use_foreign_addresses();
    if !allowed {
        eprintln!("SKIPPED: without cap_net_raw only this machine's own addresses can be used");
    }
    allowed
}

#[test]
fn servers_see_the_addresses_of_clients() {
    if !is_allowed() {
        return;
    }
    let mut rig = Rig::new();
    let server = mirror(&rig).server_line();
    rig.config(&format!(
        "{DEFAULTS}    http-reuse always\nfrontend web\n    bind {{listen}}\n    use_backend %[req.hdr(x-to)]\n\
         backend client\n    source 0.0.0.0 usesrc clientip\n    {server}\n\
         backend list\n    source 127.0.0.1 usesrc hdr_ip(X-List,2)\n    {server}\n\
         backend fixed\n    {server} source 127.0.0.1 usesrc 127.0.0.9\n\
         backend own\n    source 127.0.0.8\n    {server}\n\
         backend none\n    {server} source 127.0.0.6 usesrc hdr_ip(x-list,0)\n"
    ));
    for (backend, from, fields, seen) in [
        ("client", "127.0.0.3", "", "127.0.0.3"),
        ("client", "127.0.0.4", "", "127.0.0.4"),
        ("client", "127.0.0.3", "", "127.0.0.3"),
        (
            "list",
            "127.0.0.3",
            "X-List: 127.0.0.5, 127.0.0.7\r\n",
            "127.0.0.7",
        ),
        ("list", "127.0.0.3", "X-List: 127.0.0.5\r\n", "127.0.0.1"),
        ("fixed", "127.0.0.3", "", "127.0.0.9"),
        ("own", "127.0.0.3", "", "127.0.0.8"),
        ("none", "127.0.0.3", "X-List: 127.0.0.5\r\n", "127.0.0.6"),
    ] {
        let fields = format!("X-To: {backend}\r\n{fields}");
        assert_eq!(
            seen_from(&rig, from, &fields),
            seen,
            "{backend} from {from}"
        );
    }
}

/// Answers each connection with the port that it comes from, and keeps it open.
fn port_mirror(rig: &Rig) -> Origin {
    rig.origin_raw("a", |mut stream| {
        let port = stream.peer_addr().unwrap().port().to_string();
        let _ = stream.write_all(port.as_bytes());
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

#[test]
fn connections_come_from_a_range_of_ports() {
    let mut rig = Rig::new();
    let origin = port_mirror(&rig);
    // Somebody else holds the one in the middle.
    let taken = (1..)
        .map(|_| TcpListener::bind("127.0.0.5:0").unwrap())
        .find(|taken| (2_000..60_000).contains(&taken.local_addr().unwrap().port()))
        .unwrap();
    let middle = taken.local_addr().unwrap().port();
    let (first, last) = (middle - 1, middle + 1);
    rig.config(&format!(
        "global\n    nbthread 1\n{DEFAULTS}    mode tcp\n    retries 0\nlisten web\n    bind {{listen}}\n    \
         server a {} source 127.0.0.5:{first}-{last}\n",
        origin.address
    ));
    let port_seen = || {
        let mut client = TcpStream::connect(rig.address()).unwrap();
        let mut port = [0; 5];
        let count = client.read(&mut port).unwrap();
        (client, String::from_utf8_lossy(&port[..count]).into_owned())
    };
    let (one, another, none) = (port_seen(), port_seen(), port_seen());
    let mut seen = [one.1.clone(), another.1.clone()];
    seen.sort();
    assert_eq!(seen, [first.to_string(), last.to_string()]);
    assert_eq!(none.1, "", "there is no third port");
}

#[test]
fn a_capability_outlasts_root_where_it_is_asked_for() {
    if !is_allowed() || !plimsoll_sys::user::is_root() {
        return;
    }
    for (setcap, seen) in [("setcap cap_net_raw", "127.0.0.3"), ("", "503")] {
        let mut rig = Rig::new();
        let server = mirror(&rig).server_line();
        rig.config(&format!(
            "global\n    user nobody\n    {setcap}\n{DEFAULTS}    retries 0\nlisten web\n    bind {{listen}}\n    \
             http-error status 503 content-type text/plain string 503\n    \
             source 0.0.0.0 usesrc clientip\n    {server}\n"
        ));
        assert_eq!(seen_from(&rig, "127.0.0.3", ""), seen, "{setcap}");
        let said = rig.binary().said_to_its_end();
        let warned = said.contains("cap_net_raw or cap_net_admin");
        assert_eq!(warned, setcap.is_empty(), "{said}");
    }
}

#[test]
fn the_first_packet_of_a_connection_can_be_looked_at() {
    let mut rig = Rig::new();
    rig.config(&format!(
        "{DEFAULTS}frontend web\n    bind {{listen}} tcp-ss 1\n    tcp-request connection set-var(sess.syn) fc_saved_syn\n    \
         http-request return status 200 content-type text/plain lf-string \
         \"%[var(sess.syn),ip.ver] %[var(sess.syn),ip.src] %[fc_saved_syn,ip.data,tcp.dst] %[fc_saved_syn,ip.data,tcp.flags]\"\n"
    ));
    let port = rig.address().port();
    for _ in 0..2 {
        assert_eq!(rig.get("/").text(), format!("4 127.0.0.1 {port} 2"));
    }
}
