//! Single cases, each the smallest that shows a fault once found under some seed.

use std::cell::Cell;

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

/// The most pipes in use while clients with these manners ask one server for each of these.
fn pipes_for(weather: Weather, splice: bool, errands: &[Errand], manners: &[Manner]) -> usize {
    let mut model = model(Mode::Http, 1);
    model.global.tune.splice = splice;
    let mut stage = Stage::new(1, weather, model);
    let register = Register::default();
    stage.origin(0, move |cast, socket| {
        origin::serve(cast, socket, register.clone())
    });
    let mood = Mood {
        restless: true,
        ..FAIR
    };
    for &manner in manners {
        let (cast, errands) = (stage.cast().clone(), errands.to_vec());
        stage
            .cast()
            .enter(client::behave(cast, errands, manner, mood));
    }
    let pipes = Cell::new(0);
    stage.play_watched(|stage| pipes.set(pipes.get().max(stage.worker.reactor.usage().pipes)));
    stage.finish();
    pipes.get()
}

#[test]
fn long_bodies_pass_through_pipes_and_end_where_they_should() {
    let mut cut = Errand::get(Kind::CloseAt, 4, 300_000);
    cut.script.at = 250_000;
    let errands = [
        Errand::get(Kind::Fixed, 1, 300_000),
        Errand::get(Kind::Chunked, 2, 200_000),
        Errand::get(Kind::Fixed, 3, 100),
        cut,
        Errand::get(Kind::Fixed, 5, 200_000),
        Errand::get(Kind::UntilClose, 6, 200_000),
    ];
    let manners = [Manner::OneByOne, Manner::Slow];
    for weather in [Weather::calm(), Weather::choppy()] {
        let wide = Weather {
            buffer_bytes: 131_072,
            ..weather
        };
        assert!(pipes_for(wide.clone(), true, &errands, &manners) > 0);
        assert_eq!(pipes_for(wide, false, &errands, &manners), 0);
    }
    let chunks = [Errand::get(Kind::Chunked, 1, 400_000)];
    assert_eq!(pipes_for(Weather::calm(), true, &chunks, &manners), 0);
}

#[test]
fn long_uploads_pass_through_pipes_and_so_do_long_chunks() {
    let chunked = |mut errand: Errand| {
        errand.chunked = true;
        errand
    };
    let mut trailed = chunked(Errand::post(Kind::Fixed, 4, 10, 700_000));
    trailed.trailed = true;
    let long = [
        Errand::post(Kind::Fixed, 1, 10, 400_000),
        chunked(Errand::post(Kind::Chunked, 2, 10, 900_000)),
        trailed,
        Errand::get(Kind::LongChunks, 3, 900_000),
    ];
    for weather in [Weather::calm(), Weather::choppy()] {
        let wide = Weather {
            buffer_bytes: 131_072,
            ..weather
        };
        for errand in long {
            let errands = [errand, Errand::get(Kind::Fixed, 9, 10), errand];
            assert!(pipes_for(wide.clone(), true, &errands, &[Manner::OneByOne]) > 0);
        }
        // The server answers while the request is still on its way.
        let both = [
            Errand::post(Kind::Early, 5, 300_000, 400_000),
            Errand::post(Kind::Echo, 6, 0, 400_000),
            chunked(Errand::post(Kind::Early, 7, 300_000, 900_000)),
        ];
        for errand in both {
            pipes_for(wide.clone(), true, &[errand], &[Manner::OneByOne]);
        }
    }
    // A body that ends with its connection is moved so once it has shown that it is long.
    let endless = [Errand::get(Kind::UntilClose, 8, 2_000_000)];
    let wide = Weather {
        buffer_bytes: 262_144,
        ..Weather::calm()
    };
    assert!(pipes_for(wide, true, &endless, &[Manner::OneByOne]) > 0);
}
