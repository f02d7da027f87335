//! `maxconn` under churn: never more than allowed, nobody forgotten, first come first served.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use plimsoll_policy::balance::BalanceSpec;
use plimsoll_policy::model::{Mode, Model};

use super::client::{self, Errand, Leave, Manner, Mood};
use super::origin::{self, Register};
use super::script::Kind;
use super::stage::{MS_NS, SECOND_NS, Stage, for_seeds, model};
use crate::reactor::simulated::{Chance, Weather};

const FAIR: Mood = Mood {
    foul: false,
    restless: false,
};

/// Many clients at servers with room for few, some of which leave while they wait.
fn churn(seed: u64) {
    let mut chance = Chance::new(seed);
    let mut model = model(Mode::Http, 3);
    let backend = &mut model.backends[0];
    backend.abort_on_close = true;
    backend.balance = match seed % 3 {
        0 => BalanceSpec::RoundRobin,
        1 => BalanceSpec::LeastConnections,
        _ => BalanceSpec::Source,
    };
    let limits = [1, 2, 3];
    for (server, limit) in backend.servers.iter_mut().zip(limits) {
        server.maxconn = Some(limit);
    }
    let mut stage = Stage::new(seed, Weather::choppy(), model);
    let register = Register::default();
    for index in 0..limits.len() {
        let register = register.clone();
        stage.origin(index, move |cast, socket| {
            origin::serve(cast, socket, register.clone())
        });
    }
    for id in 0..40 {
        let (cast, errand) = (stage.cast().clone(), Errand::get(Kind::Slow, id, 500));
        let late_ns = chance.below(3 * SECOND_NS);
        let stay_ns = chance.below(4 * SECOND_NS);
        let leave = match chance.below(4) {
            0 => Some(Leave::Close),
            1 => Some(Leave::Reset),
            _ => None,
        };
        stage.cast().enter(async move {
            cast.sleep(late_ns).await;
            match leave {
                Some(leave) => {
                    client::vanish(cast, errand.request(), usize::MAX, stay_ns, leave).await;
                }
                None => client::behave(cast, vec![errand], Manner::OneByOne, FAIR).await,
            }
        });
    }
    let mut most = ([0; 3], 0);
    stage.play_watched(|stage| {
        for (index, limit) in limits.into_iter().enumerate() {
            let (taken, queued) = stage.load(index);
            assert!(taken <= limit, "{taken} requests at a server for {limit}");
            most.0[index] = most.0[index].max(taken);
            most.1 = most.1.max(queued);
        }
    });
    assert!(most.1 > 0, "nobody had to wait");
    if seed % 3 != 2 {
        assert_eq!(most.0, limits, "room was left unused");
    }
    stage.finish();
}

#[test]
fn servers_get_no_more_than_they_take_and_nobody_is_forgotten() {
    for_seeds(60, Duration::from_millis(800), churn);
}

#[test]
fn whoever_came_first_is_served_first() {
    let mut model = model(Mode::Http, 1);
    model.backends[0].servers[0].maxconn = Some(1);
    let mut stage = Stage::new(1, Weather::calm(), model);
    let served = Rc::new(RefCell::new(Vec::new()));
    let register = Register::default();
    stage.origin(0, move |cast, socket| {
        origin::serve(cast, socket, register.clone())
    });
    for id in 0..10 {
        let (cast, served) = (stage.cast().clone(), Rc::clone(&served));
        stage.cast().enter(async move {
            cast.sleep(u64::from(id) * 10 * MS_NS).await;
            let errand = Errand::get(Kind::Slow, id, 100);
            client::behave(cast, vec![errand], Manner::OneByOne, FAIR).await;
            served.borrow_mut().push(id);
        });
    }
    stage.finish();
    assert_eq!(*served.borrow(), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_full_frontend_leaves_clients_to_the_backlog() {
    let mut model = model(Mode::Http, 1);
    model.frontends[0].maxconn = Some(3);
    crowd(model);
}

#[test]
fn a_full_bind_leaves_clients_to_the_backlog() {
    let mut model = model(Mode::Http, 1);
    model.frontends[0].binds[0].maxconn = Some(3);
    crowd(model);
}

/// Twenty clients where three may be served.
fn crowd(model: Model) {
    let mut stage = Stage::new(1, Weather::calm(), model);
    let register = Register::default();
    stage.origin(0, move |cast, socket| {
        origin::serve(cast, socket, register.clone())
    });
    for id in 0..20 {
        let (cast, errand) = (stage.cast().clone(), Errand::get(Kind::Slow, id, 100));
        stage
            .cast()
            .enter(client::behave(cast, vec![errand], Manner::OneByOne, FAIR));
    }
    let (most, at_server) = (Cell::new(0), Cell::new(0));
    stage.play_watched(|stage| {
        let sessions = stage.sessions();
        assert!(sessions <= 3, "{sessions} clients");
        most.set(most.get().max(stage.sessions()));
        at_server.set(at_server.get().max(stage.load(0).0));
    });
    assert_eq!((most.get(), at_server.get()), (3, 3));
    stage.finish();
}
