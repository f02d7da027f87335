//! Single cases, each the smallest that shows a fault once found under some seed.

use plimsoll_policy::model::Mode;

use super::client::{self, Errand, Manner, Mood};
use super::origin::{self, Register};
use super::script::Kind;
use super::stage::{Stage, model};
use crate::reactor::simulated::Weather;

const FAIR: Mood = Mood {
    foul: false,
    restless: false,
};

/// One client runs these errands with one server.
fn run(weather: Weather, manner: Manner, errands: &[Errand]) {
    let mut stage = Stage::new(1, weather, model(Mode::Http, 1));
    let register = Register::default();
    stage.origin(0, move |cast, socket| {
        origin::serve(cast, socket, register.clone())
    });
    let (cast, errands) = (stage.cast().clone(), errands.to_vec());
    stage
        .cast()
        .enter(client::behave(cast, errands, manner, FAIR));
    stage.finish();
}

#[test]
fn what_follows_an_upload_may_be_more_than_one_head_can_be() {
    let upload = |id, length| Errand::post(Kind::Fixed, id, 10, length);
    let errands = [upload(1, 70_000), upload(2, 50_000), upload(3, 20_000)];
    run(Weather::calm(), Manner::Pipelined, &errands);
}

#[test]
fn an_error_that_answers_head_has_no_body() {
    let refused = Errand {
        method: "HEAD",
        ..Errand::get(Kind::Garbage, 1, 0)
    };
    let errands = [refused, Errand::get(Kind::Fixed, 2, 10)];
    run(Weather::calm(), Manner::Pipelined, &errands);
}

#[test]
fn an_error_that_leaves_slowly_leaves_the_connection_open() {
    let slowly = Weather {
        buffer_bytes: 20,
        ..Weather::calm()
    };
    let errands = [
        Errand::get(Kind::Garbage, 1, 0),
        Errand::get(Kind::Fixed, 2, 10),
    ];
    run(slowly, Manner::Pipelined, &errands);
}
