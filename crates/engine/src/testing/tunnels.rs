//! TCP mode: bytes in both directions, ends in any order, and nothing left behind.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use plimsoll_policy::model::Mode;

use super::peer::{Body, Extent, Peer, write_all};
use super::script::{bytes_of, upload_id};
use super::stage::{Cast, MS_NS, SECOND_NS, Stage, for_seeds, front_door, model};
use super::tracking;
use crate::reactor::Socket;
use crate::reactor::simulated::{Chance, Weather};

/// Bytes of a [`Talk`] on the wire.
const TALK_BYTES: usize = 48;

/// In which order the two ends speak and close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Both speak at once.
    Both,
    /// The client speaks and half-closes, then the server does.
    ClientFirst,
    ServerFirst,
    /// The server resets behind `down` bytes while the client speaks.
    ServerResets,
    ClientResets,
    /// The client goes without a word, in the middle.
    ClientLeaves,
}

const ORDERS: [Order; 6] = [
    Order::Both,
    Order::ClientFirst,
    Order::ServerFirst,
    Order::ServerResets,
    Order::ClientResets,
    Order::ClientLeaves,
];

/// What the two ends say, told to the server by the client's first bytes.
#[derive(Clone, Copy, Debug)]
struct Talk {
    order: Order,
    id: u32,
    /// Bytes that the client says, and the server.
    up: usize,
    down: usize,
}

impl Talk {
    fn text(&self) -> Vec<u8> {
        let order = ORDERS.iter().position(|&order| order == self.order);
        let (order, id) = (order.expect("listed"), self.id);
        let text = format!("{order} {id} {} {} ", self.up, self.down);
        format!("{text:<TALK_BYTES$}").into_bytes()
    }

    fn parse(text: &[u8]) -> Self {
        let text = std::str::from_utf8(text).expect("a talk");
        let numbers: Vec<usize> = text
            .split_whitespace()
            .map(|word| word.parse().expect(text))
            .collect();
        Self {
            order: ORDERS[numbers[0]],
            id: numbers[1] as u32,
            up: numbers[2],
            down: numbers[3],
        }
    }

    fn up(&self) -> Vec<u8> {
        bytes_of(upload_id(self.id), self.up)
    }

    fn down(&self) -> Vec<u8> {
        bytes_of(self.id, self.down)
    }

    fn is_orderly(&self) -> bool {
        matches!(
            self.order,
            Order::Both | Order::ClientFirst | Order::ServerFirst
        )
    }
}

/// Speaks beside the reading, and half-closes.
fn speak(cast: &Cast, socket: &Rc<Socket>, bytes: Vec<u8>) {
    let socket = Rc::clone(socket);
    cast.enter(async move {
        if write_all(&socket, &bytes).await.is_ok() {
            let _ = socket.shutdown_write();
        }
    });
}

async fn server(cast: Cast, socket: Rc<Socket>, foul: bool) {
    let mut peer = Peer::new(cast.clone(), Rc::clone(&socket));
    let Ok(text) = peer.take(TALK_BYTES).await else {
        return;
    };
    let talk = Talk::parse(&text);
    match talk.order {
        Order::ClientFirst => {}
        Order::ServerResets => {
            let _ = peer.write(&talk.down()).await;
            return peer.reset();
        }
        _ => speak(&cast, &socket, talk.down()),
    }
    let heard = peer.body(Extent::ToEnd).await;
    judge(&talk, &heard, &talk.up(), foul || !talk.is_orderly());
    if talk.order == Order::ClientFirst {
        let _ = peer.write(&talk.down()).await;
    }
}

async fn client(cast: Cast, talk: Talk, foul: bool) {
    let heard = converse(&cast, talk).await;
    match heard {
        Ok(heard) => judge(&talk, &heard, &talk.down(), foul || !talk.is_orderly()),
        Err(error) => assert!(foul || !talk.is_orderly(), "{talk:?}: {error}"),
    }
}

async fn converse(cast: &Cast, talk: Talk) -> io::Result<Body> {
    let socket = cast.dial(&front_door()).await?;
    let mut peer = Peer::new(cast.clone(), Rc::clone(&socket));
    peer.write(&talk.text()).await?;
    match talk.order {
        Order::ServerFirst => {
            let heard = peer.body(Extent::ToEnd).await;
            peer.write(&talk.up()).await?;
            return Ok(heard);
        }
        Order::ClientResets | Order::ClientLeaves => {
            peer.write(&talk.up()).await?;
            cast.sleep(u64::from(talk.id % 64) * 10 * MS_NS).await;
            if talk.order == Order::ClientResets {
                peer.reset();
            }
            return Ok(Body::default());
        }
        _ => speak(cast, &socket, talk.up()),
    }
    Ok(peer.body(Extent::ToEnd).await)
}

/// All that was said, or, where connections break, a beginning of it.
#[track_caller]
fn judge(talk: &Talk, heard: &Body, said: &[u8], may_be_cut: bool) {
    assert!(said.starts_with(&heard.bytes), "foreign bytes in {talk:?}");
    let whole = heard.complete && heard.bytes.len() == said.len();
    let (got, of) = (heard.bytes.len(), said.len());
    assert!(whole || may_be_cut, "{got} of {of} bytes of {talk:?}");
}

fn play(seed: u64, weather: Weather, foul: bool, orders: &[Order]) {
    let mut chance = Chance::new(seed ^ 0x7c9);
    let mut model = model(Mode::Tcp, 2);
    if seed.is_multiple_of(2) {
        let front = " tcp-request connection track-sc0 src table t\n tcp-request content track-sc1 src table t";
        tracking::with_rules(&mut model, "tcp", front, "");
    }
    model.global.tune.splice = chance.happens(700_000);
    if chance.happens(400_000) {
        model.backends[0].servers[0].maxconn = Some(2);
        model.backends[0].servers[1].maxconn = Some(1);
    }
    if chance.happens(400_000) {
        model.frontends[0].timeouts.client_fin_ms = Some(15_000);
        model.backends[0].timeouts.server_fin_ms = Some(15_000);
    }
    let mut stage = Stage::new(seed, weather, model);
    for index in 0..2 {
        stage.origin(index, move |cast, socket| server(cast, socket, foul));
    }
    for id in 0..3 + chance.below(8) as u32 {
        let most = [0, 100, 10_000, 60_000, 400_000][chance.below(5) as usize];
        let talk = Talk {
            order: orders[chance.below(orders.len() as u64) as usize],
            id,
            up: chance.below(most + 1) as usize,
            down: chance.below(most + 1) as usize,
        };
        let (cast, late_ns) = (stage.cast().clone(), chance.below(SECOND_NS));
        stage.cast().enter(async move {
            cast.sleep(late_ns).await;
            client(cast, talk, foul).await;
        });
    }
    stage.finish();
}

fn wide(weather: Weather) -> Weather {
    Weather {
        buffer_bytes: 65_536,
        delay_ns_max: MS_NS,
        ..weather
    }
}

#[test]
fn orderly_talks_arrive_whole_whoever_ends_first() {
    for_seeds(60, Duration::from_millis(500), |seed| {
        play(seed, wide(Weather::choppy()), false, &ORDERS[..3]);
    });
}

#[test]
fn resets_of_others_harm_nobody() {
    for_seeds(60, Duration::from_millis(500), |seed| {
        play(seed, wide(Weather::choppy()), false, &ORDERS);
    });
}

#[test]
fn in_a_storm_nothing_is_left() {
    for_seeds(60, Duration::from_millis(500), |seed| {
        play(seed, wide(Weather::stormy()), true, &ORDERS);
    });
}

#[test]
fn bulk_is_spliced_and_its_pipes_come_back() {
    let weather = Weather {
        buffer_bytes: 1 << 20,
        ..Weather::calm()
    };
    let mut stage = Stage::new(1, weather, model(Mode::Tcp, 1));
    stage.origin(0, |cast, socket| server(cast, socket, false));
    // More than there are pipes.
    for id in 0..6 {
        let talk = Talk {
            order: ORDERS[id as usize % 3],
            id,
            up: 1_500_000,
            down: 1_200_000,
        };
        stage
            .cast()
            .enter(client(stage.cast().clone(), talk, false));
    }
    let pipes = Cell::new(0);
    stage.play_watched(|stage| pipes.set(pipes.get().max(stage.worker.reactor.usage().pipes)));
    assert!(pipes.get() > 0, "nothing was spliced");
    stage.finish();
}
