//! Limits of bandwidth: bodies take no less than their time, whole and in order. How much more depends on the machine.

use std::io::{Read as _, Write as _};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::rig::origin::{Origin, Reply};
use crate::rig::peer::require_peer;
use crate::rig::{Rig, run};

/// What passes, in bytes, at a limit of twice as many in a second.
const BODY_BYTES: usize = 200_000;

/// What that takes at least, without what may pass at once.
const TIME_MIN: Duration = Duration::from_millis(300);

const FILTERS: [&str; 2] = ["bwlim-in", "bwlim-out"];

fn body() -> String {
    "0123456789".repeat(BODY_BYTES / 10)
}

/// A file whose rules of that kind set a limit.
fn text(mode: &str, rules: &str, filter: &str, origin: &Origin) -> String {
    format!(
        "defaults\n    mode {mode}\n    timeout connect 5s\n    timeout client 20s\n    timeout server 20s\n\
         listen app\n    bind {{listen}}\n    filter {filter} l default-limit 400k default-period 1s\n    \
         {rules} set-bandwidth-limit l\n    {}\n",
        origin.server_line(),
    )
}

/// An origin that answers with what it is sent.
fn echo(rig: &Rig) -> Origin {
    rig.origin_with("a", |request| {
        Reply::ok(&String::from_utf8_lossy(&request.body))
    })
}

#[test]
fn bodies_take_their_time() {
    for filter in FILTERS {
        let mut rig = Rig::new();
        let origin = echo(&rig);
        rig.config(&text("http", "http-request", filter, &origin));
        let mut client = rig.client();
        let begun = Instant::now();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_BYTES}\r\n\r\n{}",
            body()
        ));
        let response = client.response();
        let took = begun.elapsed();
        assert!(response.text() == body(), "{filter}: the body differs");
        assert!(took >= TIME_MIN, "{filter}: {took:?}");
    }
}

#[test]
fn bodies_of_streams_take_their_time() {
    let Some(curl) = require_peer("curl") else {
        return;
    };
    for filter in FILTERS {
        let mut rig = Rig::new();
        let origin = echo(&rig);
        let address = rig.config(&text("http", "http-request", filter, &origin));
        let file = rig.file("body", &body());
        let begun = Instant::now();
        let outcome = run(Command::new(&curl)
            .args(["-sSf", "--max-time", "60", "--http2-prior-knowledge"])
            .arg("--data-binary")
            .arg(format!("@{}", file.display()))
            .arg(format!("http://{address}/")));
        let took = begun.elapsed();
        assert_eq!(outcome.status, Some(0), "{filter}: {}", outcome.stderr);
        assert!(outcome.stdout == body(), "{filter}: the body differs");
        assert!(took >= TIME_MIN, "{filter}: {took:?}");
    }
}

#[test]
fn relayed_bytes_take_their_time() {
    for filter in FILTERS {
        let mut rig = Rig::new();
        let origin = rig.origin_raw("a", |mut stream| {
            let mut heard = Vec::new();
            if stream.read_to_end(&mut heard).is_ok() {
                let _ = stream.write_all(&heard);
            }
        });
        rig.config(&text("tcp", "tcp-request content", filter, &origin));
        let mut client = rig.client();
        let begun = Instant::now();
        client.send(body());
        client.finish();
        let heard = client.read_to_end();
        let took = begun.elapsed();
        assert!(heard == body().as_bytes(), "{filter}: the bytes differ");
        assert!(took >= TIME_MIN, "{filter}: {took:?}");
    }
}
