//! Clients that speak HTTP/2: many streams on one connection, in all weathers, some of them given up.
//!
//! The client's end is `wire`'s machine in its other role; what comes out of it is judged as for every other client.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use plimsoll_policy::model::Mode;
use plimsoll_wire::h2::{Code, Config, Connection, Key, Read, Role};
use plimsoll_wire::head::{Framing, Head};

use super::client::{Errand, Mood, Response, judge};
use super::origin::{self, Register};
use super::peer::{Body, Lines};
use super::script::{Kind, Script, bytes_of, upload_id};
use super::stage::{Cast, MS_NS, Stage, for_seeds, front_door, model};
use crate::reactor::Socket;
use crate::reactor::simulated::{Chance, Weather};

/// What a client does with one stream.
#[derive(Clone, Copy)]
struct Plan {
    errand: Errand,
    /// Gives up after so many bytes of the response.
    patience_bytes: usize,
}

/// One stream, and what has come of it.
struct Open {
    plan: Plan,
    key: Key,
    upload: Vec<u8>,
    informs: u32,
    lines: Option<(u16, Lines)>,
    body: Body,
    over: bool,
    given_up: bool,
}

fn head_of(errand: &Errand) -> Head {
    let mut head = Head {
        framing: match errand.upload {
            0 => Framing::None,
            _ if errand.chunked => Framing::Chunked,
            length => Framing::Length(length as u64),
        },
        ..Head::default()
    };
    head.method = head.push(errand.method.as_bytes());
    head.target = head.push(errand.script.to_string().as_bytes());
    head.add(b"host", b"a");
    head.add(b"x-upload", errand.upload.to_string().as_bytes());
    head
}

impl Open {
    fn new(machine: &mut Connection<u32>, plan: Plan) -> Self {
        let errand = &plan.errand;
        let head = head_of(errand);
        let key = machine
            .open(&head, b"http", errand.upload == 0)
            .expect("room for a stream");
        Self {
            key,
            upload: bytes_of(upload_id(errand.script.id), errand.upload),
            informs: 0,
            lines: None,
            body: Body::default(),
            over: false,
            given_up: false,
            plan,
        }
    }

    /// Says and hears what can be.
    fn go_on(&mut self, machine: &mut Connection<u32>) {
        if self.over {
            return;
        }
        if !self.upload.is_empty() {
            let taken = machine.send_data(self.key, &self.upload, true);
            self.upload.drain(..taken);
        }
        while let Some(head) = machine.take_head(self.key) {
            if head.status < 200 {
                self.informs += 1;
                continue;
            }
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let fields = head.fields().map(|(name, value)| (text(name), text(value)));
            let lines = Lines {
                first: String::new(),
                fields: fields.collect(),
            };
            self.lines = Some((head.status, lines));
        }
        let mut buffer = [0; 3_000];
        loop {
            match machine.read(self.key, &mut buffer) {
                Read::Pending => return,
                Read::Reset(_) => break,
                Read::Data { bytes, end } => {
                    self.body.bytes.extend_from_slice(&buffer[..bytes]);
                    self.body.complete = end;
                    if self.body.bytes.len() >= self.plan.patience_bytes && !end {
                        self.given_up = true;
                        machine.cancel(self.key, Code::CANCEL);
                        break;
                    }
                    if end {
                        break;
                    }
                }
            }
        }
        self.over = true;
        machine.release(self.key);
    }

    fn judge(self, mood: Mood) {
        if self.given_up {
            return;
        }
        let heard = self
            .lines
            .map(|(status, lines)| Response::new(self.informs, status, lines, self.body));
        judge(&self.plan.errand, Ok(heard), mood);
    }
}

/// Sends what is taken and reads what is there; `false` when the connection has ended.
async fn pump(socket: &Rc<Socket>, machine: &mut Connection<u32>) -> bool {
    let mut piece = [0; 16_384];
    poll_fn(|_| {
        let out = machine.output();
        while !out.is_empty() {
            match socket.try_write(out) {
                Err(_) => return Poll::Ready(false),
                Ok(0) if socket.poll_writable().is_pending() => break,
                Ok(0) => {}
                Ok(taken) => drop(out.drain(..taken)),
            }
        }
        match socket.poll_read(&mut piece) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(count @ 1..)) => {
                let fine = machine.receive(&piece[..count], 0, &mut Head::default);
                assert!(fine.is_ok(), "the proxy breaks the protocol: {fine:?}");
                machine.output_taken();
                Poll::Ready(true)
            }
            Poll::Ready(_) => Poll::Ready(false),
        }
    })
    .await
}

/// One connection with all these streams at once.
async fn client(cast: Cast, plans: Vec<Plan>, mood: Mood) {
    let Ok(socket) = cast.dial(&front_door()).await else {
        assert!(mood.foul, "no connection");
        return;
    };
    let mut machine = Connection::new(Role::Client, Config::default());
    let mut open: Vec<Open> = plans
        .iter()
        .map(|plan| Open::new(&mut machine, *plan))
        .collect();
    loop {
        for stream in &mut open {
            stream.go_on(&mut machine);
        }
        while machine.next_event().is_some() {}
        if open.iter().all(|stream| stream.over) {
            break;
        }
        if !pump(&socket, &mut machine).await {
            assert!(mood.foul, "the connection ended before its streams");
            break;
        }
    }
    open.into_iter().for_each(|stream| stream.judge(mood));
}

const KINDS: &[Kind] = &[
    Kind::Fixed,
    Kind::Chunked,
    Kind::UntilClose,
    Kind::Slow,
    Kind::NoContent,
    Kind::Interim,
    Kind::Echo,
];

fn any_plan(chance: &mut Chance, id: u32, wicked: bool) -> Plan {
    let kind = match wicked && chance.happens(300_000) {
        true => [Kind::ResetAt, Kind::Garbage, Kind::JunkChunks][chance.below(3) as usize],
        false => KINDS[chance.below(KINDS.len() as u64) as usize],
    };
    let most = [100, 5_000, 200_000][chance.below(3) as usize];
    let uploads = kind == Kind::Echo || chance.happens(300_000);
    Plan {
        errand: Errand {
            script: Script {
                kind,
                id,
                length: chance.below(most) as usize,
                at: chance.below(most) as usize,
            },
            method: if uploads { "POST" } else { "GET" },
            upload: match uploads {
                true => 1 + chance.below(most) as usize,
                false => 0,
            },
            chunked: chance.happens(500_000),
            ..Errand::get(kind, id, 0)
        },
        patience_bytes: match wicked && chance.happens(200_000) {
            true => chance.below(2_000) as usize,
            false => usize::MAX,
        },
    }
}

fn play(seed: u64, weather: Weather, wicked: bool, foul: bool) {
    let mut chance = Chance::new(seed ^ 0x4832);
    let mut model = model(Mode::Http, 2);
    if chance.happens(500_000) {
        model.backends[0].servers[0].maxconn = Some(2);
    }
    let mut stage = Stage::new(seed, weather, model);
    let register = Register::default();
    for index in 0..2 {
        let register = register.clone();
        stage.origin(index, move |cast, socket| {
            origin::serve(cast, socket, register.clone())
        });
    }
    let mood = Mood {
        foul,
        restless: wicked,
    };
    for connection in 0..1 + chance.below(3) as u32 {
        let plans: Vec<Plan> = (0..1 + chance.below(20) as u32)
            .map(|index| any_plan(&mut chance, connection << 8 | index, wicked))
            .collect();
        let cast = stage.cast().clone();
        stage.cast().enter(client(cast, plans, mood));
    }
    stage.finish();
}

#[test]
fn streams_of_http2_are_served_side_by_side() {
    for_seeds(60, Duration::from_millis(500), |seed| {
        play(seed, Weather::choppy(), false, false);
    });
}

#[test]
fn bad_servers_and_impatient_clients_hurt_nobody_else() {
    for_seeds(60, Duration::from_millis(500), |seed| {
        play(seed, Weather::choppy(), true, false);
    });
}

#[test]
fn http2_in_a_storm_leaves_nothing() {
    for_seeds(60, Duration::from_millis(500), |seed| {
        play(seed, Weather::stormy(), true, true);
    });
}

#[test]
fn http2_in_calm_weather_takes_no_time() {
    let mut stage = Stage::new(1, Weather::calm(), model(Mode::Http, 1));
    stage.origin(0, |cast, socket| {
        origin::serve(cast, socket, Register::default())
    });
    let plans = (0..50)
        .map(|id| Plan {
            errand: Errand::get(Kind::Fixed, id, 10_000),
            patience_bytes: usize::MAX,
        })
        .collect();
    let fair = Mood {
        foul: false,
        restless: false,
    };
    let begun_ns = stage.worker.reactor.now_ns();
    let cast = stage.cast().clone();
    stage.cast().enter(client(cast, plans, fair));
    stage.play();
    let took_ns = stage.worker.reactor.now_ns() - begun_ns;
    assert!(
        took_ns < 1_500 * MS_NS,
        "{took_ns} ns for fifty small responses"
    );
    stage.finish();
}
