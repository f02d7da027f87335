//! Client connections one by one: `show sess`, `shutdown session`, `shutdown sessions server`.

use std::io::Read as _;

use crate::rig::client::Client;
use crate::rig::{Rig, ask, free_address, until};

/// Lines of `show sess` that contain all of this.
fn lines(socket: &std::path::Path, parts: &[&str]) -> Vec<String> {
    let text = ask(socket, "show sess");
    let lines = text
        .lines()
        .filter(|line| parts.iter().all(|part| line.contains(part)));
    lines.map(str::to_owned).collect()
}

fn id(line: &str) -> &str {
    line.split_once(':').expect("an identifier").0
}

#[test]
fn sessions_are_listed_and_ended_one_by_one() {
    let mut rig = Rig::new();
    // Hears everything, and never answers.
    let deaf = rig.origin_raw("deaf", |mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (socket, stream, log) = (rig.path("c"), free_address(), rig.syslog());
    rig.config(&format!(
        "global\n    stats socket {} level admin\ndefaults\n    log {} local0\n    timeout connect 10s\n    timeout client 5m\n    \
         timeout server 5m\nfrontend web\n    mode http\n    option httplog\n    bind {{listen}} name front\n    \
         http-request return status 204 if {{ path /here }}\n    default_backend app\n\
         backend app\n    mode http\n    {}\nlisten raw\n    mode tcp\n    option tcplog\n    bind {stream}\n    {}\n",
        socket.display(),
        log.address(),
        deaf.server_line(),
        deaf.server_line(),
    ));
    let told = |end: &str| {
        let mut lines =
            std::iter::repeat_with(|| log.line()).filter(|line| !line.contains("<BADREQ>"));
        let line = lines.next().expect("a line");
        assert!(line.contains(end), "{line}");
    };
    // One is idle, behind a request that was answered; one waits for an answer; one is a stream of bytes.
    let mut idle = rig.client();
    idle.send("GET /here HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(idle.response().status, 204);
    told(" LR-- ");
    let mut waiting = rig.client();
    waiting.send("GET /there HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut bytes = Client::connect(stream);
    bytes.send("hello");
    assert!(until(|| {
        lines(&socket, &["be=app srv=deaf"]).len() == 1
            && lines(&socket, &["be=raw srv=deaf"]).len() == 1
    }));
    let resting = lines(
        &socket,
        &[
            "proto=tcpv4 src=127.0.0.1:",
            " fe=web be=<NONE> srv=<none> ",
            " calls=1",
        ],
    );
    let [resting] = &resting[..] else {
        panic!("{resting:?}");
    };
    let shown = ask(&socket, &format!("show sess {}", id(resting)));
    assert!(
        shown.contains("frontend=web (id=2 mode=http), listener=front (id=1)"),
        "{shown}"
    );
    let filtered = ask(&socket, "show sess server app/deaf");
    assert_eq!(filtered.matches("0x").count(), 1, "{filtered}");
    assert_eq!(ask(&socket, "show sess older 1h"), "\n");

    assert_eq!(
        ask(&socket, &format!("shutdown session {}", id(resting))),
        "\n"
    );
    assert!(idle.is_closed());
    let at_work = lines(&socket, &["be=app srv=deaf"]);
    assert_eq!(
        ask(&socket, &format!("shutdown session {}", id(&at_work[0]))),
        "\n"
    );
    assert!(waiting.is_closed(), "it gets no answer, as from HAProxy");
    told(" KH-- ");
    assert_eq!(ask(&socket, "shutdown sessions server raw/deaf"), "\n");
    assert!(bytes.is_closed());
    told(" KD ");
    assert!(until(|| lines(&socket, &["fe="]).is_empty()));
    assert!(ask(&socket, "shutdown session 0x1000").starts_with("No such session"));
}
