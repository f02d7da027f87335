//! Relaying bytes.

use std::io::{Read as _, Write as _};

use crate::rig::Rig;

fn text(server: &str) -> String {
    format!(
        "defaults\n    mode tcp\n    timeout connect 1s\n    timeout client 5s\n    timeout server 5s\n\
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
    assert_eq!(
        origin.connections(),
        1 + 1,
        "one for the rig's own question whether it accepts"
    );
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
        "defaults\n    timeout connect 1s\n    timeout client 5s\n    timeout server 5s\n\
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

#[test]
fn nobody_behind_it_closes_the_connection() {
    let mut rig = Rig::new();
    rig.config(&text(&format!(
        "server nobody {}",
        crate::rig::free_address()
    )));
    assert!(rig.client().is_closed());
}
