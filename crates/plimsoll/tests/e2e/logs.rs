//! Lines at a log receiver.

use crate::rig::Rig;
use crate::rig::syslog::Syslog;

fn text(mode: &str, log: &Syslog, server: &str) -> String {
    format!(
        "global\n    log {} local0\n\
         defaults\n    mode {mode}\n    log global\n    option {mode}log\n    option dontlognull\n\
         \x20   timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         frontend web\n    bind {{listen}}\n    default_backend app\n\
         backend app\n    {server}\n",
        log.address()
    )
}

#[test]
fn a_request_leaves_a_line() {
    let mut rig = Rig::new();
    let origin = rig.origin("s1");
    let log = rig.syslog();
    rig.config(&text("http", &log, &origin.server_line()));
    let mut client = rig.client();
    client.send("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().status, 200);
    let line = log.line();
    // local0.info
    assert!(line.starts_with("<134>"), "{line}");
    let id = rig.binary().id();
    assert!(
        line.contains(&format!("[{id}]: {} [", client.local_address())),
        "{line}"
    );
    assert!(line.contains("] web app/s1 "), "{line}");
    assert!(line.contains(" 200 "), "{line}");
    assert!(line.contains(" ---- "), "{line}");
    assert!(
        line.trim_end().ends_with("\"GET /hello HTTP/1.1\""),
        "{line}"
    );
}

#[test]
fn a_request_that_nobody_could_serve_says_so() {
    let mut rig = Rig::new();
    let log = rig.syslog();
    let server = format!("retries 0\n    server s1 {}", crate::rig::free_address());
    rig.config(&text("http", &log, &server));
    assert_eq!(rig.get("/").status, 503);
    let line = log.line();
    assert!(line.contains(" 503 ") && line.contains(" SC-- "), "{line}");
}

/// Without a backend a request is never complete, as HAProxy has it.
#[test]
fn a_request_that_no_backend_is_there_for_has_no_time() {
    let mut rig = Rig::new();
    let log = rig.syslog();
    rig.config(&format!(
        "frontend web\n    mode http\n    option httplog\n    log {} local0\n    bind {{listen}}\n    timeout client 1m\n",
        log.address()
    ));
    assert_eq!(rig.get("/").status, 503);
    let line = log.line();
    assert!(line.contains(" web/<NOSRV> -1/-1/-1/-1/"), "{line}");
}

/// Each request is; a connection without one, such as the rig's own look at the port, is not.
#[test]
fn a_connection_is_logged_with_both_ends() {
    let mut rig = Rig::new();
    let (origin, log) = (rig.origin("s1"), rig.syslog());
    let text = text("http", &log, &origin.server_line()).replace("option httplog", "");
    let address = rig.config(&text);
    rig.get("/");
    rig.get("/");
    let lines = [log.line(), log.line()];
    let shown = format!(" to {address} (web/HTTP)");
    assert!(lines.iter().all(|line| line.contains(&shown)), "{lines:?}");
}

/// One that comes to nothing in its handshake, as the rig's own look at the port does, has never begun.
#[test]
fn a_connection_is_logged_once_its_handshake_is_over() {
    let Some(curl) = crate::rig::peer::require_peer("curl") else {
        return;
    };
    let mut rig = Rig::new();
    let (origin, log) = (rig.origin("s1"), rig.syslog());
    let site = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/tests/tls/site.pem");
    let text = text("http", &log, &origin.server_line())
        .replace("option httplog\n    option dontlognull", "")
        .replace("{listen}", &format!("{{listen}} ssl crt {site}"));
    let address = rig.config(&text);
    let mut plain = rig.client();
    plain.send("GET / HTTP/1.0\r\n\r\n");
    assert!(!plain.read_to_end().starts_with(b"HTTP"));
    let url = format!("https://{address}/");
    let show_port = ["-sSk", "-o", "/dev/null", "-w", "%{local_port}"];
    let outcome = crate::rig::run(std::process::Command::new(curl).args(show_port).arg(url));
    let line = log.line();
    let shown = format!(":{} to {address} (web/HTTP)", outcome.stdout);
    assert!(line.contains(&shown), "{line}");
}

#[test]
fn junk_is_logged_as_a_bad_request() {
    let mut rig = Rig::new();
    let origin = rig.origin("s1");
    let log = rig.syslog();
    rig.config(&text("http", &log, &origin.server_line()));
    let mut client = rig.client();
    client.send("HELLO\r\n\r\n");
    assert_eq!(client.response().status, 400);
    let line = log.line();
    // Whether the client or the proxy ended it is told differently by HAProxy's versions.
    assert!(
        line.contains(" web web/<NOSRV> ") || line.contains(" web/<NOSRV> "),
        "{line}"
    );
    assert!(
        line.contains(" 400 ") && line.contains("R-- ") && line.contains("<BADREQ>"),
        "{line}"
    );
}

#[test]
fn a_connection_leaves_a_line() {
    let mut rig = Rig::new();
    let origin = rig.origin_raw("s1", |mut stream| {
        let mut byte = [0];
        let _ = std::io::Read::read_exact(&mut stream, &mut byte);
        let _ = std::io::Write::write_all(&mut stream, b"goodbye");
    });
    let log = rig.syslog();
    rig.config(&text("tcp", &log, &origin.server_line()));
    let mut client = rig.client();
    let address = client.local_address().to_string();
    client.send("x");
    assert_eq!(client.read_to_end(), b"goodbye");
    drop(client);
    // The rig's own question whether it accepts may have left a line of its own.
    let line = std::iter::repeat_with(|| log.line())
        .take(3)
        .find(|line| line.contains(&address));
    let line = line.expect("our connection is logged");
    assert!(
        line.contains(" web app/s1 ") && line.contains(" 7 -- "),
        "{line}"
    );
}
