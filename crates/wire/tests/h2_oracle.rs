//! A second opinion: the `h2` crate as the peer, in both roles.

mod support;

use std::io::Cursor;

use plimsoll_wire::h2::{Config, Connection, Event, Key, Read, Role};
use plimsoll_wire::head::{Framing, Head};
use support::h2::receive;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let limit = std::time::Duration::from_secs(120);
    runtime.block_on(async { tokio::time::timeout(limit, test).await.expect("in time") });
}

/// What one of our machines does with a stream: says so much, and counts what it hears.
struct Talk {
    key: Key,
    left: usize,
    heard: usize,
    ended: bool,
    said_all: bool,
}

/// Runs one of our machines over a transport: an echo of sizes as a server, a list of requests as a client.
async fn drive(
    mut connection: Connection<u32>,
    mut io: DuplexStream,
    mut talks: Vec<Talk>,
    mut each: impl FnMut(&Head) -> usize,
) -> Vec<(u16, usize)> {
    let mut results = Vec::new();
    let mut input = vec![0; 9_000];
    loop {
        talk(&mut connection, &mut talks, &mut results, &mut each);
        let out = std::mem::take(connection.output());
        if io.write_all(&out).await.is_err() {
            return results;
        }
        connection.output_taken();
        match io.read(&mut input).await {
            Ok(0) | Err(_) => return results,
            Ok(count) => receive(&mut connection, &input[..count]).expect("no fault"),
        }
    }
}

fn talk(
    connection: &mut Connection<u32>,
    talks: &mut Vec<Talk>,
    results: &mut Vec<(u16, usize)>,
    each: &mut impl FnMut(&Head) -> usize,
) {
    while let Some(event) = connection.next_event() {
        if let Event::Request(key) = event {
            connection.set_owner(key, key.id());
            let left = each(&connection.take_head(key).expect("a head"));
            let mut head = Head {
                status: 200,
                framing: Framing::Chunked,
                ..Head::default()
            };
            head.add(b"server", b"plimsoll");
            head.add(b"x-left", left.to_string().as_bytes());
            connection.send_head(key, &head, false);
            talks.push(Talk {
                key,
                left,
                heard: 0,
                ended: false,
                said_all: false,
            });
        }
    }
    for talk in talks.iter_mut() {
        while !talk.said_all {
            let taken = connection.send_data(talk.key, &vec![7; talk.left.min(20_000)], false);
            talk.left -= taken;
            if talk.left == 0 {
                let mut trailers = Head::default();
                trailers.add(b"x-end", b"yes");
                connection.send_trailers(talk.key, &trailers);
                talk.said_all = true;
            } else if taken == 0 {
                break;
            }
        }
        let mut buffer = [0; 4_096];
        while let (false, Read::Data { bytes, end }) =
            (talk.ended, connection.read(talk.key, &mut buffer))
        {
            talk.heard += bytes;
            talk.ended = end;
        }
    }
    talks.retain(|talk| {
        let done = talk.ended && talk.said_all;
        if done {
            let status = connection.take_head(talk.key).map_or(0, |head| head.status);
            results.push((status, talk.heard));
            connection.release(talk.key);
        }
        !done
    });
}

const SIZES: &[(usize, usize)] = &[
    (0, 0),
    (1, 1),
    (100_000, 10),
    (10, 100_000),
    (300_000, 300_000),
    (65_535, 65_536),
    (16_384, 16_385),
];

#[test]
fn their_client_and_our_server() {
    run(async {
        let (ours, theirs) = duplex(7_777);
        let machine = Connection::new(Role::Server, Config::default());
        let server = tokio::spawn(drive(machine, ours, Vec::new(), |head| {
            let wanted = head
                .value(b"x-want")
                .and_then(|value| std::str::from_utf8(value).ok());
            wanted.and_then(|value| value.parse().ok()).unwrap_or(0)
        }));
        let (mut client, connection) = h2::client::handshake(theirs).await.expect("a handshake");
        let connection = tokio::spawn(async move { drop(connection.await) });
        let mut waiting = Vec::new();
        for (upload, download) in SIZES.iter().copied() {
            let request = http::Request::post("http://a/path?q")
                .header("x-want", download)
                .header("cookie", "a=b")
                .body(())
                .expect("a request");
            client = client.ready().await.expect("room");
            let (response, mut body) = client.send_request(request, false).expect("sent");
            waiting.push(tokio::spawn(async move {
                body.send_data(vec![1; upload].into(), true).expect("sent");
                let response = response.await.expect("a response");
                assert_eq!(response.headers()["server"], "plimsoll");
                let mut body = response.into_body();
                let mut heard = 0;
                while let Some(data) = body.data().await {
                    let data = data.expect("data");
                    heard += data.len();
                    body.flow_control()
                        .release_capacity(data.len())
                        .expect("room");
                }
                let trailers = body.trailers().await.expect("trailers").expect("some");
                assert_eq!(
                    (trailers["x-end"].to_str().ok(), heard),
                    (Some("yes"), download)
                );
            }));
        }
        for waiting in waiting {
            waiting.await.expect("no panic");
        }
        drop(client);
        connection.await.expect("no panic");
        let mut heard: Vec<usize> = server
            .await
            .expect("no panic")
            .into_iter()
            .map(|(_, heard)| heard)
            .collect();
        let mut expected: Vec<usize> = SIZES.iter().map(|(upload, _)| *upload).collect();
        heard.sort_unstable();
        expected.sort_unstable();
        assert_eq!(heard, expected);
    });
}

#[test]
fn our_client_and_their_server() {
    run(async {
        let (ours, theirs) = duplex(7_777);
        let server = tokio::spawn(async move {
            let mut connection = h2::server::Builder::new()
                .handshake::<_, Cursor<Vec<u8>>>(theirs)
                .await
                .expect("a handshake");
            while let Some(Ok((request, respond))) = connection.accept().await {
                tokio::spawn(answer(request, respond));
            }
        });
        let mut machine = Connection::new(Role::Client, Config::default());
        let mut talks = Vec::new();
        for (upload, download) in SIZES.iter().copied() {
            let mut head = Head {
                framing: Framing::Chunked,
                ..Head::default()
            };
            head.method = head.push(b"POST");
            head.target = head.push(b"/path?q");
            head.add(b"host", b"a");
            head.add(b"x-want", download.to_string().as_bytes());
            let key = machine.open(&head, b"http", false).expect("room");
            machine.set_owner(key, 0);
            talks.push(Talk {
                key,
                left: upload,
                heard: 0,
                ended: false,
                said_all: false,
            });
        }
        let driven = tokio::spawn(async move {
            let count = talks.len();
            let mut seen = drive_until(machine, ours, talks, count).await;
            seen.sort_unstable();
            seen
        });
        let mut expected: Vec<(u16, usize)> =
            SIZES.iter().map(|(_, download)| (201, *download)).collect();
        expected.sort_unstable();
        assert_eq!(driven.await.expect("no panic"), expected);
        server.await.expect("no panic");
    });
}

async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Cursor<Vec<u8>>>,
) {
    let wanted: usize = request.headers()["x-want"]
        .to_str()
        .ok()
        .and_then(|value| value.parse().ok())
        .expect("a number");
    assert_eq!(
        (
            request.uri().path(),
            request.uri().authority().map(|a| a.as_str())
        ),
        ("/path", Some("a"))
    );
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        let length = data.expect("data").len();
        body.flow_control().release_capacity(length).expect("room");
    }
    assert_eq!(
        body.trailers().await.expect("trailers").expect("some")["x-end"],
        "yes"
    );
    let response = http::Response::builder()
        .status(201)
        .body(())
        .expect("a response");
    let mut stream = respond.send_response(response, false).expect("sent");
    stream
        .send_data(Cursor::new(vec![2; wanted]), true)
        .expect("sent");
}

/// Like [`drive`], until so many talks have ended.
async fn drive_until(
    mut connection: Connection<u32>,
    mut io: DuplexStream,
    mut talks: Vec<Talk>,
    count: usize,
) -> Vec<(u16, usize)> {
    let mut results = Vec::new();
    let mut input = vec![0; 9_000];
    while results.len() < count {
        talk(&mut connection, &mut talks, &mut results, &mut |_| 0);
        let out = std::mem::take(connection.output());
        io.write_all(&out).await.expect("written");
        connection.output_taken();
        if results.len() < count {
            let received = io.read(&mut input).await.expect("read");
            assert!(received > 0, "the peer left");
            receive(&mut connection, &input[..received]).expect("no fault");
        }
    }
    results
}
