//! HTTP under many seeds: clients that behave are served exactly what they asked for, whatever others do.

use std::time::Duration;

use plimsoll_policy::balance::BalanceSpec;
use plimsoll_policy::model::{ConnectionMode, Mode, Model, RetryOn, Reuse};

use super::client::{self, Errand, Leave, Manner, Mood};
use super::origin::{self, Register};
use super::script::{Kind, Script};
use super::stage::{MS_NS, SECOND_NS, Stage, for_seeds, model};
use super::tracking;
use crate::reactor::simulated::{Chance, Weather};

/// Which origins there are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origins {
    /// They do what they promise.
    Honest,
    /// And close connections that lie idle.
    Restless,
    /// They fail the first two attempts at some requests.
    Hesitant,
    /// They fail in every way they can.
    Wicked,
}

const HONEST: &[Kind] = &[
    Kind::Fixed,
    Kind::Chunked,
    Kind::Trailers,
    Kind::Slow,
    Kind::NoContent,
    Kind::Interim,
    Kind::Echo,
];
const FINAL: &[Kind] = &[Kind::UntilClose, Kind::Early];
const RESTLESS: &[Kind] = &[Kind::CloseAfter, Kind::CloseLate];
const WICKED: &[Kind] = &[
    Kind::ResetAt,
    Kind::CloseAt,
    Kind::Garbage,
    Kind::JunkChunks,
    Kind::StallAt,
    Kind::Silent,
];

const BABBLE: &[&[u8]] = &[
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
];

fn one_of<T: Copy>(chance: &mut Chance, list: &[T]) -> T {
    list[chance.below(list.len() as u64) as usize]
}

/// A configuration that has something to do with every queue, pool and limit.
fn any_model(chance: &mut Chance) -> Model {
    let servers = 1 + chance.below(4) as usize;
    let mut model = model(Mode::Http, servers);
    let backend = &mut model.backends[0];
    backend.balance = one_of(
        chance,
        &[
            BalanceSpec::RoundRobin,
            BalanceSpec::LeastConnections,
            BalanceSpec::First,
            BalanceSpec::Source,
            BalanceSpec::Random { draws: 2 },
            BalanceSpec::PeakEwma,
        ]
        .each_ref(),
    )
    .clone();
    backend.reuse = one_of(
        chance,
        &[Reuse::Never, Reuse::Safe, Reuse::Aggressive, Reuse::Always],
    );
    backend.persistence = one_of(
        chance,
        &[
            ConnectionMode::KeepAlive,
            ConnectionMode::KeepAlive,
            ConnectionMode::ServerClose,
        ],
    );
    backend.redispatch = i32::from(chance.happens(500_000));
    backend.abort_on_close = chance.happens(300_000);
    for server in &mut backend.servers {
        if chance.happens(600_000) {
            server.maxconn = Some(1 + chance.below(3) as u32);
        }
        if chance.happens(200_000) {
            server.pool_max = Some(chance.below(2) as u32);
        }
        if chance.happens(200_000) {
            server.max_reuse = Some(chance.below(3) as u32);
        }
    }
    let frontend = &mut model.frontends[0];
    if chance.happens(300_000) {
        frontend.maxconn = Some(2 + chance.below(4) as u32);
    }
    frontend.buffer_request = chance.happens(150_000);
    if chance.happens(500_000) {
        let (front, back) = (
            " tcp-request connection track-sc0 src table t\n http-request track-sc1 src table t if METH_GET",
            " tcp-request content track-sc2 src table t\n http-response track-sc1 src table t",
        );
        tracking::with_rules(&mut model, "http", front, back);
    }
    model
}

/// An errand with this number that such origins can be asked for.
fn any_errand(chance: &mut Chance, id: u32, origins: Origins, manner: Manner) -> Errand {
    let kind = match origins {
        _ if manner == Manner::Pipelined => one_of(chance, HONEST),
        Origins::Wicked if chance.happens(400_000) => one_of(chance, WICKED),
        Origins::Hesitant if chance.happens(500_000) => Kind::Again,
        Origins::Restless if chance.happens(500_000) => one_of(chance, RESTLESS),
        _ if chance.happens(200_000) => one_of(chance, FINAL),
        _ => one_of(chance, HONEST),
    };
    let upload = match kind {
        Kind::Echo | Kind::Early => true,
        _ => chance.happens(250_000),
    };
    let method = match upload {
        true => one_of(chance, &["POST", "PUT"]),
        false => one_of(chance, &["GET", "GET", "GET", "HEAD", "DELETE"]),
    };
    let most = one_of(chance, &[10, 1_000, 20_000, 90_000]);
    Errand {
        script: Script {
            kind,
            id,
            length: chance.below(most) as usize,
            at: chance.below(most + 100) as usize,
        },
        method,
        upload: if upload {
            chance.below(most) as usize
        } else {
            0
        },
        chunked: chance.happens(500_000),
        trailed: chance.happens(300_000),
        expects: manner != Manner::Pipelined && chance.happens(200_000),
    }
}

/// One whole world: origins, clients that behave, and clients that do not.
fn play(seed: u64, weather: Weather, origins: Origins, foul: bool) {
    let mut chance = Chance::new(seed ^ 0x5eed);
    let mut model = any_model(&mut chance);
    if origins == Origins::Hesitant {
        let causes = RetryOn::CONN_FAILURE.with(RetryOn::EMPTY_RESPONSE);
        model.backends[0].retry_on = causes.with(RetryOn::status(503));
    }
    // Whoever half-closes is taken for gone where `abortonclose` says so.
    let may_half_close = !model.backends[0].abort_on_close;
    let servers = model.backends[0].servers.len();
    let mut stage = Stage::new(seed, weather, model);
    let register = Register::default();
    for index in 0..servers {
        let register = register.clone();
        stage.origin(index, move |cast, socket| {
            origin::serve(cast, socket, register.clone())
        });
    }
    let mood = Mood {
        foul,
        restless: origins != Origins::Honest,
    };
    let mut all = Vec::new();
    for number in 0..4 + chance.below(10) as u32 {
        let manner = match chance.below(6) {
            0 if may_half_close => Manner::HalfClosed,
            1 if origins == Origins::Honest => Manner::Pipelined,
            2 => Manner::Slow,
            _ => Manner::OneByOne,
        };
        let errands: Vec<Errand> = (0..1 + chance.below(5) as u32)
            .map(|index| any_errand(&mut chance, number << 8 | index, origins, manner))
            .collect();
        all.extend(errands.clone());
        let (cast, late_ns) = (stage.cast().clone(), chance.below(SECOND_NS));
        stage.cast().enter(async move {
            cast.sleep(late_ns).await;
            client::behave(cast, errands, manner, mood).await;
        });
    }
    for number in 0..chance.below(8) as u32 {
        misbehave(&stage, &mut chance, 0x10_0000 | number << 8, origins, mood);
    }
    stage.finish();
    judge_arrivals(&all, &register, origins, foul);
}

fn misbehave(stage: &Stage, chance: &mut Chance, id: u32, origins: Origins, mood: Mood) {
    let cast = stage.cast().clone();
    if chance.happens(250_000) {
        return stage
            .cast()
            .enter(client::babble(cast, one_of(chance, BABBLE), mood));
    }
    let bytes: Vec<u8> = (0..1 + chance.below(3) as u32)
        .flat_map(|index| any_errand(chance, id | index, origins, Manner::OneByOne).request())
        .collect();
    let count = chance.below(bytes.len() as u64 + 200) as usize;
    let leave = one_of(chance, &[Leave::Close, Leave::Reset, Leave::Mute]);
    let stay_ns = chance.below(2_000) * MS_NS;
    stage
        .cast()
        .enter(client::vanish(cast, bytes, count, stay_ns, leave));
}

/// Nothing that must not be repeated has been, and what was answered had arrived.
fn judge_arrivals(all: &[Errand], register: &Register, origins: Origins, foul: bool) {
    for errand in all {
        let arrivals = register.arrivals(errand.script.id);
        if errand.script.kind == Kind::Again {
            assert!(
                (1..=3).contains(&arrivals) || foul,
                "{errand:?} arrived {arrivals} times"
            );
            continue;
        }
        // Where a connection may break behind a request, `retry-on empty-response` sends that again, whatever its method.
        let may_repeat = errand.method != "POST" || origins == Origins::Hesitant && foul;
        assert!(
            may_repeat || arrivals <= 1,
            "{errand:?} arrived {arrivals} times"
        );
        if origins == Origins::Honest && !foul {
            assert_eq!(arrivals, 1, "{errand:?}");
        }
    }
}

/// Weather in which everything arrives, with buffers of any size.
fn fair_weather(seed: u64) -> Weather {
    let mut chance = Chance::new(seed);
    Weather {
        buffer_bytes: one_of(&mut chance, &[100, 2_000, 65_536]),
        delay_ns_max: one_of(&mut chance, &[1_000, MS_NS, 20 * MS_NS]),
        ..Weather::choppy()
    }
}

#[test]
fn in_calm_weather_everybody_is_served() {
    for_seeds(40, Duration::from_millis(400), |seed| {
        play(seed, Weather::calm(), Origins::Honest, false);
    });
}

#[test]
fn bytes_may_come_in_any_pieces() {
    for_seeds(120, Duration::from_millis(800), |seed| {
        play(seed, fair_weather(seed), Origins::Honest, false);
    });
}

#[test]
fn origins_may_close_idle_connections_at_any_moment() {
    for_seeds(80, Duration::from_millis(800), |seed| {
        play(seed, fair_weather(seed), Origins::Restless, false);
    });
}

#[test]
fn what_fails_at_first_is_tried_again() {
    for_seeds(80, Duration::from_millis(800), |seed| {
        play(seed, fair_weather(seed), Origins::Hesitant, false);
    });
}

#[test]
fn wicked_origins_harm_only_those_who_ask_them() {
    for_seeds(80, Duration::from_millis(800), |seed| {
        play(seed, fair_weather(seed), Origins::Wicked, false);
    });
}

#[test]
fn in_a_storm_nothing_is_mixed_up_and_nothing_is_left() {
    for_seeds(160, Duration::from_millis(1_200), |seed| {
        let origins = match seed % 4 {
            0 => Origins::Honest,
            1 => Origins::Restless,
            2 => Origins::Hesitant,
            _ => Origins::Wicked,
        };
        play(seed, Weather::stormy(), origins, true);
    });
}
