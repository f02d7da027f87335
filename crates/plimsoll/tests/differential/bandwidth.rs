//! Limits of bandwidth: what passes, and that it takes its time. How fast it is beyond that depends on the machine.

use std::io::Write as _;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::actor::Actor;
use crate::origin::Act;
use crate::rig::peer::require_peer;
use crate::rig::run;
use crate::stage::{Case, Stage, case, play};

/// What passes, in bytes, at a limit of as many in a second.
const BODY_BYTES: usize = 200_000;

/// What that takes at least, without what may pass at once.
const TIME_MIN: Duration = Duration::from_millis(600);

/// What a body takes that a limit of [`TIGHT`] holds back, at least.
const TIME_TIGHT: Duration = Duration::from_secs(20);

/// Limits that bodies never feel, unless they are set where they must not be.
const TIGHT: &str = "filter bwlim-out l default-limit 5k default-period 1s min-size 2896";

const OUT: &str = "filter bwlim-out l default-limit 200k default-period 1s min-size 2896";
const IN: &str = "filter bwlim-in l default-limit 200k default-period 1s min-size 2896";

fn body() -> Vec<u8> {
    b"0123456789".repeat(BODY_BYTES / 10)
}

/// An origin that reads what it is sent and answers with a body.
fn talkative(name: &str, front: &str) -> Case {
    case(name).front(front).origin(|_| {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_BYTES}\r\nConnection: close\r\n\r\n");
        vec![
            Act::Body,
            Act::Send([head.as_bytes(), &body()].concat()),
            Act::Close,
        ]
    })
}

/// Notes whether that took its time, if there is one to be taken; if not, whether nothing held it back.
fn note_time(client: &mut Actor, begun: Instant, least: Option<Duration>) {
    let took = begun.elapsed();
    client.notes.push(match least {
        Some(least) => format!("held back: {}", took >= least),
        None => format!("free: {}", took < TIME_TIGHT),
    });
}

/// A client that sends this and reads to the end.
fn timed(case: Case, request: Vec<u8>, least: Option<Duration>) -> Case {
    case.talk(move |stage: &mut Stage| {
        let mut client = stage.client();
        let begun = Instant::now();
        client.send(&request);
        client.rest();
        note_time(&mut client, begun, least);
        stage.done(client);
    })
    .lines(1)
}

fn limited(case: Case, request: Vec<u8>) -> Case {
    timed(case, request, Some(TIME_MIN))
}

fn get(fields: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n").into_bytes()
}

fn post() -> Vec<u8> {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {BODY_BYTES}\r\n\r\n"
    );
    [head.as_bytes(), &body()].concat()
}

#[test]
fn bodies_take_their_time() {
    let asked = |filter: &str| format!("{filter};http-request set-bandwidth-limit l");
    let raw = |filter: &str| format!("mode tcp;{filter};tcp-request content set-bandwidth-limit l");
    play(vec![
        limited(talkative("bandwidth-out", &asked(OUT)), get("")),
        limited(
            talkative(
                "bandwidth-out-late",
                &format!("{OUT};http-response set-bandwidth-limit l"),
            ),
            get(""),
        ),
        // The sequence of the other direction does not matter.
        limited(
            talkative(
                "bandwidth-in-sequence",
                &format!(
                    "{};filter-sequence request bwlim-out;filter-sequence response bwlim-out",
                    asked(OUT)
                ),
            ),
            get(""),
        ),
        // A server that waits for the rest of a body is not late.
        limited(
            talkative("bandwidth-in", &asked(IN)).back("timeout server 400ms;server s1 {s1}"),
            post(),
        ),
        limited(
            talkative(
                "bandwidth-found",
                "filter bwlim-out l default-limit 100m default-period 1s min-size 2896;\
                http-request set-bandwidth-limit l limit req.hdr(x-limit) period int(500)",
            ),
            get("X-Limit: 100000\r\n"),
        ),
        limited(
            talkative("bandwidth-of-backend", "").back(&format!("{};server s1 {{s1}}", asked(OUT))),
            get(""),
        ),
        limited(
            talkative("bandwidth-raw", &raw(OUT)).back("mode tcp;server s1 {s1}"),
            get(""),
        ),
        limited(
            talkative("bandwidth-raw-in", &raw(IN)).back("mode tcp;server s1 {s1}"),
            post(),
        ),
    ]);
}

#[test]
fn bodies_without_a_limit_take_none() {
    play(vec![
        timed(talkative("bandwidth-free", TIGHT), get(""), None),
        timed(
            talkative(
                "bandwidth-wider",
                &format!("{TIGHT};http-request set-bandwidth-limit l limit 100m"),
            ),
            get(""),
            None,
        ),
        // A sequence leaves limits out: all but the first of those of one kind.
        timed(
            talkative(
                "bandwidth-left-out",
                &format!(
                    "filter bwlim-in u default-limit 1k default-period 1s;{TIGHT};filter-sequence response bwlim-in;\
                    http-request set-bandwidth-limit l"
                ),
            ),
            get(""),
            None,
        ),
        timed(
            talkative(
                "bandwidth-second",
                &format!(
                    "filter bwlim-out first default-limit 100m default-period 1s;{TIGHT};\
                    filter-sequence response bwlim-out,bwlim-out;http-request set-bandwidth-limit l;\
                    http-request set-bandwidth-limit first"
                ),
            ),
            get(""),
            None,
        ),
    ]);
}

/// Three clients share a limit by their address: the last is not done before all bytes could pass. How many of them are
/// there still when one has ended is up to chance, and in no line.
#[test]
fn streams_share_a_limit() {
    let front = "log-format \"a b %ST %b/%s %ts\";stick-table type ip size 10 store bytes_out_rate(1s);filter bwlim-out l limit 300k key src min-size 2896;\
        http-request set-bandwidth-limit l";
    play(vec![
        talkative("bandwidth-shared", front)
            .talk(|stage| {
                let begun = Instant::now();
                let clients: Vec<_> = (0..3).map(|_| stage.client()).collect();
                let told: Vec<Actor> = thread::scope(|scope| {
                    let talk = |mut client: Actor| {
                        scope.spawn(move || {
                            client.send(get(""));
                            client.rest();
                            client
                        })
                    };
                    let talks: Vec<_> = clients.into_iter().map(talk).collect();
                    talks.into_iter().map(|talk| talk.join().unwrap()).collect()
                });
                for mut client in told {
                    note_time(&mut client, begun, Some(2 * TIME_MIN));
                    stage.done(client);
                }
            })
            .lines(3)
            .unordered()
            .whichever(),
    ]);
}

/// Bodies of HTTP/2 clients, each way.
#[test]
fn streams_take_their_time() {
    let Some(curl) = require_peer("curl") else {
        return;
    };
    let case = |name: &str, filter: &str, uploads: bool| {
        let curl = curl.clone();
        let front = format!("{filter};http-request set-bandwidth-limit l");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&body()).unwrap();
        talkative(name, &front)
            .talk(move |stage| {
                let mut command = Command::new(&curl);
                command.args(["-sS", "--http2-prior-knowledge", "--max-time", "60"]);
                command.args(["-o", "/dev/null", "-w", "%{http_code} %{size_download}"]);
                if uploads {
                    let file = format!("@{}", file.path().display());
                    command.args(["--data-binary", &file]);
                }
                let begun = Instant::now();
                command
                    .arg("--connect-to")
                    .arg(format!("::{}", stage.address()));
                let outcome = run(command.arg("http://x/"));
                stage.note(outcome.stdout + &outcome.stderr);
                stage.note(format!("held back: {}", begun.elapsed() >= TIME_MIN));
            })
            .lines(1)
    };
    play(vec![
        case("bandwidth-h2", OUT, false),
        case("bandwidth-h2-in", IN, true),
    ]);
}
