//! `101 Switching Protocols` and `CONNECT`: what lies behind the heads on either side belongs to the tunnel.

use std::rc::Rc;
use std::time::Duration;

use plimsoll_policy::model::Mode;

use super::peer::{Extent, Peer};
use super::script::bytes_of;
use super::stage::{Cast, SECOND_NS, Stage, for_seeds, front_door, model};
use crate::reactor::Socket;
use crate::reactor::simulated::{Chance, Weather};

/// What the server says before it has heard anything.
const GREETING_BYTES: usize = 3_000;

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const CONNECT: &str = "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n";

/// Grants every change of protocol, greets, and echoes.
async fn server(cast: Cast, socket: Rc<Socket>) {
    let mut peer = Peer::new(cast, socket);
    let Ok(Some(request)) = peer.head().await else {
        return;
    };
    let grant = if request.first.starts_with("CONNECT ") {
        "HTTP/1.1 200 Fine\r\n\r\n"
    } else {
        assert_eq!(request.value("upgrade"), Some("websocket"), "{request:?}");
        assert!(
            request
                .value("connection")
                .is_some_and(|value| value.eq_ignore_ascii_case("upgrade"))
        );
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    };
    let granted = [grant.as_bytes(), &bytes_of(1, GREETING_BYTES)].concat();
    if peer.write(&granted).await.is_err() {
        return;
    }
    while let Ok(piece) = peer.piece().await {
        if piece.is_empty() || peer.write(&piece).await.is_err() {
            return;
        }
    }
}

/// Asks for a tunnel, says `said` without waiting for the grant, and hears both the greeting and the echo.
async fn client(cast: Cast, request: &'static str, said: Vec<u8>, foul: bool) {
    let Ok(socket) = cast.dial(&front_door()).await else {
        return assert!(foul);
    };
    let mut peer = Peer::new(cast.clone(), Rc::clone(&socket));
    let all = [request.as_bytes(), &said].concat();
    cast.enter(async move {
        if super::peer::write_all(&socket, &all).await.is_ok() {
            let _ = socket.shutdown_write();
        }
    });
    let Ok(Some(lines)) = peer.head().await else {
        return assert!(foul, "no answer");
    };
    let granted = match request {
        UPGRADE => lines.first.starts_with("HTTP/1.1 101 "),
        _ => lines.first.starts_with("HTTP/1.1 200 "),
    };
    if !granted {
        return assert!(foul && lines.first.starts_with("HTTP/1.1 50"), "{lines:?}");
    }
    assert!(!lines.is_chunked() && lines.length().is_none(), "{lines:?}");
    let heard = peer.body(Extent::ToEnd).await;
    let expected = [bytes_of(1, GREETING_BYTES), said].concat();
    assert!(
        expected.starts_with(&heard.bytes),
        "foreign bytes in a tunnel"
    );
    let whole = heard.complete && heard.bytes.len() == expected.len();
    assert!(whole || foul, "{} of {}", heard.bytes.len(), expected.len());
}

fn play(seed: u64, weather: Weather, foul: bool) {
    let mut chance = Chance::new(seed);
    let mut model = model(Mode::Http, 2);
    model.backends[0].servers[0].maxconn = Some(2);
    let mut stage = Stage::new(seed, weather, model);
    (0..2).for_each(|index| stage.origin(index, server));
    for id in 0..4 + chance.below(4) as u32 {
        let request = if chance.happens(500_000) {
            UPGRADE
        } else {
            CONNECT
        };
        let most = [1, 2_000, 40_000, 150_000][chance.below(4) as usize];
        let said = bytes_of(100 + id, chance.below(most) as usize);
        let (cast, late_ns) = (stage.cast().clone(), chance.below(SECOND_NS));
        stage.cast().enter(async move {
            cast.sleep(late_ns).await;
            client(cast, request, said, foul).await;
        });
    }
    stage.finish();
}

#[test]
fn nothing_that_follows_a_grant_is_lost() {
    for_seeds(80, Duration::from_millis(500), |seed| {
        let weather = match seed % 3 {
            0 => Weather::calm(),
            _ => Weather::choppy(),
        };
        play(seed, weather, false);
    });
}

#[test]
fn tunnels_that_break_leave_nothing() {
    for_seeds(60, Duration::from_millis(400), |seed| {
        play(seed, Weather::stormy(), true)
    });
}
