//! Numbers made up for tests.

use std::sync::Arc;

use super::{Meter, Now, Process, Refusal, Spare, Speed, Sums, View, Vitals};
use crate::counters::{
    BackendCounter, Counter as _, FrontendCounter, Histogram, ServerCounter, Summary,
};
use crate::health::{Health, HealthSums};
use crate::log::WallTime;
use crate::model::check::ServerCheck;
use crate::model::{
    Backend, BackendId, Frontend, FrontendId, Global, Mode, Model, Server, ServerAddress, ServerId,
    ServerPort,
};
use crate::plane::Plane;
use crate::specimen::{Bytes, Direction, Named, Specimen};
use crate::stick_table::{Data, DataSpec, KeyType, TableSpec};

/// What the checks of the server that is checked have counted.
pub(crate) const SUMS: HealthSums = HealthSums {
    checks_failed: 3,
    traffic_failed: 1,
    times_down: 2,
    down_ms: 0,
};

/// The start of the process in tests, and the moment of the question a minute later.
pub(crate) const STARTED_MS: u64 = 1_700_000_000_000;
pub(crate) const NOW_MS: u64 = STARTED_MS + 61_500;

/// Every counter is its own position plus 1.
pub(crate) struct Made;

impl Sums for Made {
    fn frontend(&self, _: FrontendId, counter: FrontendCounter) -> u64 {
        counter.index() as u64 + 1
    }

    fn backend(&self, _: BackendId, counter: BackendCounter) -> u64 {
        counter.index() as u64 + 1
    }

    fn server(&self, _: BackendId, server: ServerId, counter: ServerCounter) -> u64 {
        match counter {
            ServerCounter::LastSession => u64::from(server.0) * (NOW_MS / 1_000 - 5),
            counter => counter.index() as u64 + 1,
        }
    }

    fn rate(&self, _: Meter) -> Speed {
        Speed { now: 3, max: 9 }
    }

    fn connections(&self, _: FrontendId) -> u32 {
        2
    }

    fn latencies(&self, _: BackendId, _: ServerId) -> Option<Summary> {
        let histogram = Histogram::default();
        histogram.record(2_000);
        Some(Summary::of([&histogram]))
    }

    fn health(&self, _: BackendId, server: ServerId) -> Option<Health> {
        let check = ServerCheck {
            enabled: true,
            ..ServerCheck::default()
        };
        // Only the second server is checked.
        (server.0 == 1).then(|| {
            let mut health = Health::new(&check);
            health.recall(SUMS);
            health
        })
    }

    fn lost_logs(&self) -> u64 {
        4
    }

    fn vitals(&self) -> Vec<Vitals> {
        let worker = Vitals {
            tasks: 3,
            pipes: 2,
            pipes_idle: 1,
            turns: 40,
            busy_percent: 20,
            ..Vitals::default()
        };
        vec![
            worker,
            Vitals {
                busy_percent: 31,
                ..worker
            },
        ]
    }

    fn refusals(&self) -> Vec<Refusal> {
        vec![Refusal {
            side: "client",
            fault: "invalid_host",
            count: 2,
        }]
    }

    fn spares(&self) -> Vec<Spare> {
        let spare = |name, count, bytes| Spare { name, count, bytes };
        vec![
            spare("head", 4, 400),
            spare("buffer", 0, 0),
            spare("idle_conn", 2, 1_000),
        ]
    }

    fn specimens(&self) -> (u32, Vec<Arc<Specimen>>) {
        let named = |name: &str, number| Named {
            name: name.to_owned(),
            number,
        };
        let wrong = ("invalid_name", "a name is none".to_owned());
        let request = Specimen {
            number: 0,
            seen: WallTime::from_unix_ns(STARTED_MS * 1_000_000),
            direction: Direction::Request,
            frontend: named("web", 2),
            backend: None,
            server: None,
            source: Some(([10, 0, 0, 1], 99).into()),
            buffer_bytes: 16_384,
            bytes: Bytes::keep(b"GET / HTTP/1.1\r\na/b: c\r\n\r\n", 0, 17, wrong),
        };
        let response = Specimen {
            number: 6,
            direction: Direction::Response,
            backend: Some(named("app", 3)),
            server: Some(named("b", 2)),
            source: None,
            ..request.clone()
        };
        let gone = Specimen {
            frontend: named("gone", 9),
            ..request.clone()
        };
        (7, [response, gone, request].map(Arc::new).to_vec())
    }
}

/// `web` (a frontend), `app` (a backend of three servers, one of them a disabled backup) and `raw` (a TCP `listen`).
pub(crate) fn plane() -> Plane {
    let address = |port| ServerAddress::Inet {
        ip: [127, 0, 0, 1].into(),
        port: ServerPort::Fixed(port),
    };
    let server = |name: &str, number, weight| Server {
        number,
        weight,
        ..Server::new(name, address(8_000 + number as u16))
    };
    let app = Backend {
        name: "app".to_owned(),
        description: Some("what people <see>".to_owned()),
        number: 3,
        mode: Mode::Http,
        servers: vec![
            server("a", 1, 50),
            Server {
                maxconn: Some(10),
                ..server("b", 2, 20)
            },
            Server {
                backup: true,
                disabled: true,
                ..server("c", 3, 1)
            },
        ],
        ..Backend::default()
    };
    let raw = Backend {
        name: "raw".to_owned(),
        number: 4,
        servers: vec![server("x", 1, 1)],
        ..Backend::default()
    };
    let frontend = |name: &str, number, mode| Frontend {
        name: name.to_owned(),
        number,
        mode,
        ..Frontend::default()
    };
    let model = Model {
        frontends: vec![
            frontend("web", 2, Mode::Http),
            frontend("raw", 4, Mode::Tcp),
        ],
        backends: vec![app, raw],
        tables: tables(),
        global: Global {
            environment: vec!["A=1".to_owned(), "AB=2".to_owned()],
            ..Global::default()
        },
        ..Model::default()
    };
    Plane::build(model, None)
}

/// `clients` of addresses and `names` of texts.
fn tables() -> Vec<TableSpec> {
    let mut clients = TableSpec::new("clients", KeyType::Ipv4, 1_024);
    clients.expire_ms = 60_000;
    for (data, elements, period_ms) in [
        (Data::ServerId, 1, 0),
        (Data::Gpc0, 1, 0),
        (Data::ConnRate, 1, 10_000),
        (Data::ServerKey, 1, 0),
        (Data::Gpt, 2, 0),
    ] {
        clients.store(DataSpec {
            data,
            elements,
            period_ms,
        });
    }
    let names = TableSpec::new("names", KeyType::Text { length: 31 }, 10);
    vec![clients, names]
}

pub(crate) fn process() -> Process {
    Process {
        stopping: Arc::default(),
        reloads: Arc::default(),
        remarks: Arc::default(),
        id: 77,
        workers: 2,
        started_ms: STARTED_MS,
        connections_max: 1_000,
        descriptors_max: 4_096,
        machine: "here".to_owned(),
    }
}

pub(crate) fn view<'a>(plane: &'a Plane, process: &'a Process) -> View<'a> {
    View {
        plane,
        sums: &Made,
        process,
        now: Now {
            wall_ms: NOW_MS,
            monotonic_ms: NOW_MS,
            utc_offset_s: 0,
        },
    }
}
