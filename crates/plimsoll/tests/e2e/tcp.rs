//! Relaying bytes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::rig::{Rig, until};

fn text(server: &str) -> String {
    format!(
        "defaults\n    mode tcp\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         listen relay\n    bind {{listen}}\n    {server}\n"
    )
}

#[test]
fn bytes_pass_both_ways_and_ends_pass_one_by_one() {
    let mut rig = Rig::new();
    // Answers with everything it heard, after the other side has finished: a half-close must pass.
    let origin = rig.origin_raw("a", |mut stream| {
        let mut heard = Vec::new();
        if stream.read_to_end(&mut heard).is_ok() {
            let _ = stream.write_all(&heard);
        }
    });
    rig.config(&text(&origin.server_line()));
    let bytes: Vec<u8> = (0..3_000_000_u32)
        .map(|number| (number * 31 % 251) as u8)
        .collect();
    let mut client = rig.client();
    client.send(&bytes);
    client.finish();
    assert!(client.read_to_end() == bytes, "the bytes differ");
    // One for the rig's own question whether it accepts, which another worker may serve later.
    assert!(until(|| origin.connections() == 1 + 1));
}

#[test]
fn a_server_that_speaks_first_is_heard() {
    let mut rig = Rig::new();
    let origin = rig.origin_raw("a", |mut stream| {
        let _ = stream.write_all(b"220 hello\r\n");
        let mut answer = [0; 4];
        let _ = stream.read_exact(&mut answer);
        let _ = stream.write_all(&answer);
    });
    rig.config(&text(&origin.server_line()));
    let mut client = rig.client();
    assert_eq!(client.read_line(), "220 hello");
    client.send("PING");
    assert_eq!(client.read_exact(4), b"PING");
    assert!(client.is_closed());
}

#[test]
fn an_http_backend_takes_connections_of_a_tcp_frontend_as_http() {
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    rig.config(&format!(
        "defaults\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         frontend relay\n    mode tcp\n    bind {{listen}}\n    default_backend web\n\
         backend web\n    mode http\n    option forwardfor\n    {}\n",
        origin.server_line()
    ));
    let mut client = rig.client();
    for path in ["/one", "/two"] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(client.response().text(), "a");
    }
    for request in origin.wait_for_requests(2) {
        assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
    }
    client.send("HELLO\r\n\r\n");
    assert_eq!(client.response().status, 400);
}

/// Rules that look at first bytes without a time to wait see what has come by then; servers may speak first all the same.
#[test]
fn what_a_client_says_at_once_is_seen_without_a_delay() {
    let mut rig = Rig::new();
    let api = rig.origin_raw("api", |mut stream| {
        let _ = stream.write_all(b"api");
    });
    let other = rig.origin_raw("other", |mut stream| {
        let _ = stream.write_all(b"220 hello\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    rig.config(&format!(
        "defaults\n    mode tcp\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         frontend all\n    bind {{listen}}\n    maxconn 1\n    use_backend api if {{ path_beg /api }}\n    default_backend other\n\
         backend api\n    {}\nbackend other\n    {}\n",
        api.server_line(),
        other.server_line()
    ));
    let mut silent = rig.client();
    assert_eq!(silent.read_line(), "220 hello");
    // The next one is taken from the kernel when the first has left, with what it has said meanwhile.
    let mut speaker = rig.client();
    speaker.send("GET /api/a HTTP/1.1\r\nHost: x\r\n\r\n");
    drop(silent);
    assert_eq!(speaker.read_exact(3), b"api");
}

/// One port for several protocols: rules look at the first bytes.
#[test]
fn whoever_turns_out_to_speak_http_is_served_as_such() {
    let mut rig = Rig::new();
    let web = rig.origin("a");
    let shell = rig.origin_raw("b", |mut stream| {
        let mut heard = [0; 8];
        let _ = stream.read_exact(&mut heard);
        let _ = stream.write_all(b"SSH-2.0-here");
    });
    rig.config(&format!(
        "defaults\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         frontend all\n    mode tcp\n    bind {{listen}}\n    tcp-request inspect-delay 5s\n    \
         tcp-request content set-var(txn.first) internal.strm.is_htx\n    \
         tcp-request content switch-mode http if HTTP\n    \
         tcp-request content accept if {{ req.len ge 4 }}\n    \
         http-request set-header x-first %[var(txn.first)]\n    \
         use_backend web if HTTP\n    default_backend shell\n\
         backend web\n    mode http\n    {}\nbackend shell\n    mode tcp\n    {}\n",
        web.server_line(),
        shell.server_line()
    ));
    let mut client = rig.client();
    client.send("SSH-2.0-");
    assert_eq!(client.read_exact(12), b"SSH-2.0-here");
    let mut client = rig.client();
    for path in ["/one", "/two"] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(client.response().text(), "a");
    }
    let firsts = web.wait_for_requests(2);
    let firsts = firsts.iter().map(|request| request.field("x-first"));
    // What rules found out before the switch stays with the request that it was found out about.
    assert_eq!(firsts.collect::<Vec<_>>(), [Some("0"), Some("1")]);
}

#[test]
fn nobody_behind_it_closes_the_connection() {
    let mut rig = Rig::new();
    rig.config(&text(&format!(
        "server nobody {}",
        crate::rig::free_address()
    )));
    assert!(rig.client().is_closed());
}

/// The cookie in which a terminal server names itself (MS-RDPBCGR section 3.2.5.3.1).
fn terminal_cookie(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else {
        unreachable!("the rig listens on IPv4");
    };
    let ip = u32::from_le_bytes(address.ip().octets());
    format!("{ip}.{}.0000", address.port().swap_bytes())
}

#[test]
fn terminal_servers_keep_their_clients() {
    let mut rig = Rig::new();
    let serve = |name: &'static str| {
        move |mut stream: TcpStream| {
            let mut heard = [0; 64];
            let _ = stream.read(&mut heard);
            let _ = stream.write_all(name.as_bytes());
        }
    };
    let (a, b) = (
        rig.origin_raw("a", serve("a")),
        rig.origin_raw("b", serve("b")),
    );
    rig.config(&format!(
        "{}    {}\n    balance roundrobin\n    persist rdp-cookie\n    tcp-request inspect-delay 1m\n    \
         tcp-request content accept if RDP_COOKIE\n",
        text(&a.server_line()),
        b.server_line()
    ));
    let ask = |cookie: &str| {
        let mut client = rig.client();
        let line = format!("Cookie: msts={cookie}\r\n");
        client.send([b"\x03\0\0\x2a\x25\xe0\0\0\0\0\0", line.as_bytes()].concat());
        client.read_to_end()
    };
    for _ in 0..3 {
        assert_eq!(ask(&terminal_cookie(a.address)), b"a");
    }
    assert_eq!(ask(&terminal_cookie(b.address)), b"b");
    // Nobody's name: they are balanced, one after the other; and before them the rig's own question whether it accepts.
    assert!(until(|| a.connections() + b.connections() == 4 + 1));
    let strangers = [ask("1.2.0000"), ask("nonsense")];
    assert_ne!(strangers[0], strangers[1]);
}
