//! Planes that follow each other under traffic: nobody is failed by it, nobody is forgotten, nothing old is kept.

use std::time::Duration;

use plimsoll_policy::balance::BalanceSpec;
use plimsoll_policy::model::{BackendId, Mode, Model, ServerId};

use super::client::{self, Errand, Manner, Mood};
use super::origin::{self, Register};
use super::script::Kind;
use super::stage::{MS_NS, SECOND_NS, Stage, for_seeds, model};
use crate::reactor::simulated::{Chance, Weather};

const FAIR: Mood = Mood {
    foul: false,
    restless: false,
};

/// Servers that have an origin; each plane uses some of them.
const SERVERS: usize = 4;

/// A model with some of the servers, in some order; few slots, so that requests wait while planes change.
fn variant(chance: &mut Chance) -> Model {
    let mut model = model(Mode::Http, SERVERS);
    let backend = &mut model.backends[0];
    backend.balance = match chance.below(3) {
        0 => BalanceSpec::RoundRobin,
        1 => BalanceSpec::LeastConnections,
        _ => BalanceSpec::Source,
    };
    for server in &mut backend.servers {
        server.maxconn = match chance.below(3) {
            0 => None,
            limit => Some(limit as u32),
        };
    }
    for _ in 0..chance.below(SERVERS as u64) {
        let gone = chance.below(backend.servers.len() as u64) as usize;
        backend.servers.remove(gone);
    }
    if chance.below(2) == 0 {
        backend.servers.reverse();
    }
    // Ids of backends move too.
    if chance.below(3) == 0 {
        let other = plimsoll_policy::model::Backend {
            name: "other".into(),
            ..Default::default()
        };
        model.backends.insert(0, other);
        model.frontends[0].default_backend = Some(BackendId(1));
    }
    model
}

fn change(seed: u64) {
    let mut chance = Chance::new(seed);
    let mut stage = Stage::new(seed, Weather::choppy(), variant(&mut chance));
    let register = Register::default();
    for index in 0..SERVERS {
        let register = register.clone();
        stage.origin(index, move |cast, socket| {
            origin::serve(cast, socket, register.clone())
        });
    }
    for client in 0..20 {
        let cast = stage.cast().clone();
        let late_ns = chance.below(3 * SECOND_NS);
        let errands = (0..5).map(|number| {
            let kind = match chance.below(3) {
                0 => Kind::Slow,
                _ => Kind::Fixed,
            };
            Errand::get(kind, client * 100 + number, 300)
        });
        let (errands, manner) = (
            errands.collect(),
            match chance.below(3) {
                0 => Manner::Pipelined,
                _ => Manner::OneByOne,
            },
        );
        stage.cast().enter(async move {
            cast.sleep(late_ns).await;
            client::behave(cast, errands, manner, FAIR).await;
        });
    }
    let first = stage.plane();
    let mut due_ns = 0;
    for _ in 0..12 {
        due_ns += chance.below(500 * MS_NS);
        stage.play_until(|stage| stage.worker.reactor.now_ns() >= due_ns);
        stage.adopt(variant(&mut chance));
    }
    stage.play();
    assert_eq!(first.strong_count(), 0, "somebody holds an old plane");
    stage.finish();
}

#[test]
fn requests_are_served_whatever_changes_meanwhile() {
    for_seeds(80, Duration::from_millis(1_200), change);
}

#[test]
fn a_removed_server_is_left_with_its_connections() {
    let mut chance = Chance::new(1);
    let mut stage = Stage::new(1, Weather::calm(), model(Mode::Http, 2));
    let register = Register::default();
    for index in 0..2 {
        let register = register.clone();
        stage.origin(index, move |cast, socket| {
            origin::serve(cast, socket, register.clone())
        });
    }
    let run = |stage: &mut Stage, chance: &mut Chance| {
        for id in 0..8 {
            let (cast, errand) = (stage.cast().clone(), Errand::get(Kind::Fixed, id, 100));
            let late_ns = chance.below(SECOND_NS);
            stage.cast().enter(async move {
                cast.sleep(late_ns).await;
                client::behave(cast, vec![errand, errand], Manner::OneByOne, FAIR).await;
            });
        }
        stage.play();
    };
    run(&mut stage, &mut chance);
    let idle = |stage: &Stage| {
        stage
            .worker
            .tables()
            .pools()
            .map(|(_, pool)| pool.len())
            .sum::<usize>()
    };
    let kept = idle(&stage);
    assert!(kept > 1, "connections to both servers lie idle");
    let of_second = stage.worker.tables().pool(BackendId(0), ServerId(1)).len();
    let mut less = model(Mode::Http, 2);
    less.backends[0].servers.remove(0);
    stage.adopt(less);
    let cast = stage.cast().clone();
    stage.cast().enter(async move { cast.sleep(MS_NS).await });
    stage.play();
    assert_eq!(idle(&stage), of_second, "those of the other server go on");
    run(&mut stage, &mut chance);
    stage.finish();
}
