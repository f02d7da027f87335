//! Every time-out fires at its moment, with its answer.

use std::cell::Cell;
use std::rc::Rc;

use plimsoll_policy::model::{Mode, Model};

use super::client::Errand;
use super::origin::{self, Register};
use super::peer::Peer;
use super::script::{Kind, Script};
use super::stage::{Cast, MS_NS, SECOND_NS, Stage, front_door, model};
use crate::reactor::simulated::Weather;

/// How late anything may be: the wheel's coarseness and a few ways through the calm world.
const LATE_NS_MAX: u64 = 20 * MS_NS;

/// Everything that came until the end, and when that was, counted from the connection's begin.
struct Heard {
    text: String,
    after_ns: u64,
}

impl Heard {
    #[track_caller]
    fn is(&self, after_s: u64, start: &str) {
        let (least, text) = (after_s * SECOND_NS, &self.text);
        assert!(text.starts_with(start), "{text:?} and not {start:?}");
        assert!(start.is_empty() == text.is_empty(), "{text:?}");
        assert!(
            (least..least + LATE_NS_MAX).contains(&self.after_ns),
            "{text:?} came after {} ms and not {after_s} s",
            self.after_ns / MS_NS
        );
    }
}

/// Lets one client do what `act` says, and then listen to the end.
fn hear<F>(stage: &mut Stage, act: impl FnOnce(Cast, Rc<Peer>) -> F + 'static) -> Heard
where
    F: Future<Output = ()> + 'static,
{
    let heard = Rc::new(Cell::new(None));
    let (cast, told) = (stage.cast().clone(), Rc::clone(&heard));
    stage.cast().enter(async move {
        let socket = cast.dial(&front_door()).await.unwrap();
        let begun_ns = cast.reactor.now_ns();
        let peer = Rc::new(Peer::new(cast.clone(), Rc::clone(&socket)));
        cast.enter(act(cast.clone(), peer));
        let mut listener = Peer::new(cast.clone(), socket);
        let mut all = Vec::new();
        while let Ok(piece) = listener.piece().await {
            if piece.is_empty() {
                break;
            }
            all.extend(piece);
        }
        told.set(Some(Heard {
            text: String::from_utf8_lossy(&all).into_owned(),
            after_ns: cast.reactor.now_ns() - begun_ns,
        }));
    });
    stage.play();
    heard.take().expect("the client has listened")
}

/// A calm world with one server that plays scripts.
fn stage(change: impl FnOnce(&mut Model)) -> Stage {
    let mut model = model(Mode::Http, 1);
    change(&mut model);
    let mut stage = Stage::new(1, Weather::calm(), model);
    stage.origin(0, |cast, socket| {
        origin::serve(cast, socket, Register::default())
    });
    stage
}

async fn say(peer: Rc<Peer>, bytes: Vec<u8>) {
    // Whoever is closed on meanwhile hears of it where it listens.
    let _ = peer.write(&bytes).await;
}

fn get(kind: Kind, length: usize, at: usize) -> Vec<u8> {
    let errand = Errand::get(kind, 1, length);
    let script = Script {
        at,
        ..errand.script
    };
    Errand { script, ..errand }.request()
}

#[test]
fn a_request_must_arrive_in_time() {
    for said in ["", "GET / HTT", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        let mut stage = stage(|_| {});
        hear(&mut stage, move |_, peer| say(peer, said.into())).is(30, "HTTP/1.1 408 ");
        stage.finish();
    }
}

#[test]
fn a_request_that_drips_gets_no_more_time() {
    let mut stage = stage(|_| {});
    let heard = hear(&mut stage, |cast, peer| async move {
        for byte in b"GET / HTTP/1.1\r\nX-Long: 3456789012345678901234567890" {
            let _ = peer.write(&[*byte]).await;
            cast.sleep(SECOND_NS).await;
        }
    });
    heard.is(30, "HTTP/1.1 408 ");
    stage.finish();
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let mut stage = stage(|_| {});
    let heard = hear(&mut stage, |_, peer| say(peer, get(Kind::NoContent, 0, 0)));
    heard.is(50, "HTTP/1.1 204 ");
    assert!(!heard.text.contains("408"));
    stage.finish();
}

#[test]
fn a_second_request_has_its_own_time() {
    let mut stage = stage(|_| {});
    let heard = hear(&mut stage, |cast, peer| async move {
        let _ = peer.write(&get(Kind::NoContent, 0, 0)).await;
        cast.sleep(10 * SECOND_NS).await;
        let _ = peer.write(b"GET / HTTP/1.1\r\n").await;
    });
    heard.is(40, "HTTP/1.1 204 ");
    assert!(heard.text.contains("HTTP/1.1 408 "), "{}", heard.text);
    stage.finish();
}

#[test]
fn an_upload_that_stands_still_is_the_clients_fault() {
    let mut stage = stage(|_| {});
    let mut request = Errand::post(Kind::Fixed, 1, 10, 1_000).request();
    request.truncate(request.len() - 1);
    hear(&mut stage, |_, peer| say(peer, request)).is(40, "HTTP/1.1 408 ");
    stage.finish();
}

#[test]
fn a_buffered_upload_must_arrive_like_a_head() {
    let mut stage = stage(|model| model.frontends[0].buffer_request = true);
    let mut request = Errand::post(Kind::Fixed, 1, 10, 1_000).request();
    request.truncate(request.len() - 1);
    hear(&mut stage, |_, peer| say(peer, request)).is(30, "HTTP/1.1 408 ");
    stage.finish();
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let mut stage = stage(|model| model.frontends[0].timeouts.http_keep_alive_ms = Some(1));
    hear(&mut stage, |_, peer| say(peer, get(Kind::Silent, 0, 0))).is(20, "HTTP/1.1 504 ");
    stage.finish();
}

#[test]
fn a_server_that_stops_in_the_middle_is_given_up() {
    let mut stage = stage(|_| {});
    let heard = hear(&mut stage, |_, peer| {
        say(peer, get(Kind::StallAt, 1_000, 500))
    });
    heard.is(20, "HTTP/1.1 200 ");
    stage.finish();
}

#[test]
fn every_attempt_to_connect_has_its_time() {
    let mut stage = stage(|model| model.frontends[0].timeouts.http_keep_alive_ms = Some(1));
    let simulation = stage.simulation.clone();
    let heard = hear(&mut stage, move |_, peer| {
        // From now on: the client itself is connected.
        simulation.set_weather(Weather {
            unanswered: 1_000_000,
            ..Weather::calm()
        });
        say(peer, get(Kind::Fixed, 10, 0))
    });
    heard.is(20, "HTTP/1.1 503 "); // the first attempt and three more, five seconds each
    stage.finish();
}

#[test]
fn between_attempts_at_a_server_that_refuses_a_second_passes() {
    let mut model = model(Mode::Http, 1);
    model.frontends[0].timeouts.http_keep_alive_ms = Some(1);
    let mut stage = Stage::new(1, Weather::calm(), model);
    hear(&mut stage, |_, peer| say(peer, get(Kind::Fixed, 10, 0))).is(3, "HTTP/1.1 503 ");
    stage.finish();
}

#[test]
fn waiting_for_a_slot_has_an_end() {
    let mut stage = stage(|model| {
        model.frontends[0].timeouts.http_keep_alive_ms = Some(1);
        model.backends[0].servers[0].maxconn = Some(1);
        model.backends[0].timeouts.queue_ms = Some(8_000);
    });
    let cast = stage.cast().clone();
    let heard = hear(&mut stage, |_, peer| async move {
        let first = cast.dial(&front_door()).await.unwrap();
        let first = Peer::new(cast.clone(), first);
        let _ = first.write(&get(Kind::Silent, 0, 0)).await;
        cast.sleep(SECOND_NS).await;
        let _ = peer.write(&get(Kind::Fixed, 10, 0)).await;
        cast.sleep(60 * SECOND_NS).await;
    });
    heard.is(9, "HTTP/1.1 503 ");
    stage.finish();
}

/// How long the proxy holds the connection of a client that sends this and then does nothing at all.
fn patience_ns(stage: &mut Stage, bytes: Vec<u8>) -> u64 {
    let cast = stage.cast().clone();
    stage.cast().enter(async move {
        let peer = Peer::new(cast.clone(), cast.dial(&front_door()).await.unwrap());
        let _ = peer.write(&bytes).await;
        cast.sleep(200 * SECOND_NS).await;
    });
    let (mut begun_ns, mut ended_ns) = (0, 0);
    stage.play_watched(|stage| {
        let now_ns = stage.worker.reactor.now_ns();
        match stage.sessions() {
            0 if begun_ns > 0 && ended_ns == 0 => ended_ns = now_ns,
            1 if begun_ns == 0 => begun_ns = now_ns,
            _ => {}
        }
    });
    ended_ns - begun_ns
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    let mut stage = stage(|_| {});
    let held_ns = patience_ns(&mut stage, get(Kind::Fixed, 1_000_000, 0));
    let least_ns = 40 * SECOND_NS;
    assert!(
        (least_ns..least_ns + LATE_NS_MAX).contains(&held_ns),
        "{held_ns}"
    );
    stage.finish();
}

/// A world of two ends of a tunnel; the server reads, and half-closes at once when `shut`.
fn tunnel(shut: bool, change: impl FnOnce(&mut Model)) -> Stage {
    let mut model = model(Mode::Tcp, 1);
    change(&mut model);
    let mut stage = Stage::new(1, Weather::calm(), model);
    stage.origin(0, move |cast, socket| async move {
        if shut {
            let _ = socket.shutdown_write();
        }
        let mut peer = Peer::new(cast, socket);
        while peer.piece().await.is_ok_and(|piece| !piece.is_empty()) {}
        // The client's end alone does not end a server that is silent.
        peer.cast.sleep(400 * SECOND_NS).await;
    });
    stage
}

#[test]
fn an_idle_tunnel_ends_with_the_first_time_out() {
    let mut stage = tunnel(false, |_| {});
    hear(&mut stage, |_, peer| say(peer, b"hello".into())).is(20, "");
    stage.finish();
}

#[test]
fn a_tunnels_own_time_out_replaces_those_of_its_sides() {
    let mut stage = tunnel(false, |model| {
        model.backends[0].timeouts.tunnel_ms = Some(100_000);
    });
    hear(&mut stage, |_, peer| say(peer, b"hello".into())).is(100, "");
    stage.finish();
}

/// As in HAProxy: who has ended their own side is not waited for any more, but the other one is.
#[test]
fn a_server_whose_client_has_ended_is_waited_for_less() {
    let mut stage = tunnel(false, |model| {
        model.backends[0].timeouts.tunnel_ms = Some(100_000);
        model.backends[0].timeouts.server_fin_ms = Some(3_000);
        model.frontends[0].timeouts.client_fin_ms = Some(1_000);
    });
    let heard = hear(&mut stage, |cast, peer| async move {
        cast.sleep(SECOND_NS).await;
        peer.socket.shutdown_write().unwrap();
    });
    heard.is(4, "");
    stage.finish();
}

#[test]
fn a_client_whose_server_has_ended_is_waited_for_less() {
    let mut stage = tunnel(true, |model| {
        model.backends[0].timeouts.tunnel_ms = Some(100_000);
        model.frontends[0].timeouts.client_fin_ms = Some(4_000);
        model.backends[0].timeouts.server_fin_ms = Some(1_000);
    });
    let held_ns = patience_ns(&mut stage, Vec::new());
    let least_ns = 4 * SECOND_NS;
    assert!(
        (least_ns..least_ns + LATE_NS_MAX).contains(&held_ns),
        "{held_ns}"
    );
    stage.finish();
}

/// Says a byte in every second, so many times.
async fn drip(cast: Cast, peer: Rc<Peer>, count: u32) {
    for _ in 0..count {
        let _ = peer.write(b"x").await;
        cast.sleep(SECOND_NS).await;
    }
}

#[test]
fn what_an_independent_server_takes_is_no_excuse() {
    for (independent, after_s) in [(true, 20), (false, 49)] {
        let mut stage = tunnel(false, |model| model.backends[0].independent = independent);
        let heard = hear(&mut stage, |cast, peer| drip(cast, peer, 30));
        heard.is(after_s, "");
        stage.finish();
    }
}

/// As in HAProxy: the server may go on, and learns by the end of what it hears.
#[test]
fn what_an_independent_client_takes_is_no_excuse() {
    let mut model = model(Mode::Tcp, 1);
    model.frontends[0].independent = true;
    let mut stage = Stage::new(1, Weather::calm(), model);
    stage.origin(0, |cast, socket| async move {
        let peer = Rc::new(Peer::new(cast.clone(), Rc::clone(&socket)));
        cast.enter(drip(cast.clone(), peer, 50));
        let mut peer = Peer::new(cast.clone(), socket);
        while peer.piece().await.is_ok_and(|piece| !piece.is_empty()) {}
        let _ = peer.write(b" heard the end").await;
    });
    let heard = hear(&mut stage, |_, _| async {});
    assert_eq!(
        heard.text.find(" heard the end"),
        Some(40),
        "{}",
        heard.text
    );
    assert!(heard.text.ends_with('x'), "{}", heard.text);
    stage.finish();
}

/// As in HAProxy: the server's silence counts from the connection, but only when the request is complete.
#[test]
fn an_independent_server_has_to_answer_a_long_upload_at_once() {
    for (independent, after_s) in [(true, 25), (false, 45)] {
        let mut stage = stage(|model| {
            model.backends[0].independent = independent;
            model.frontends[0].timeouts.http_keep_alive_ms = Some(1);
        });
        let request = Errand::post(Kind::Silent, 1, 10, 26).request();
        let heard = hear(&mut stage, move |cast, peer| async move {
            let (head, body) = request.split_at(request.len() - 26);
            let _ = peer.write(head).await;
            for byte in body {
                let _ = peer.write(&[*byte]).await;
                cast.sleep(SECOND_NS).await;
            }
        });
        heard.is(after_s, "HTTP/1.1 504 ");
        stage.finish();
    }
}
