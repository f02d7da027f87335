//! Health checks: when each is due, what it found, and what follows from it.
//!
//! ```text
//! one task per check: wait ──► permit ──► conversation ──► Verdict ──► Health ──► Live (workers choose again)
//!                      ▲                                                  │
//!                      └───────────── interval, jitter ◄──────────────────┴──► lines in the log, orders of agents
//! ```
//! All of it happens on one thread. First checks are spread over an interval, so that ten thousand servers are not
//! asked at once. What is absent: what is said to servers (`policy::probe`), what verdicts mean (`policy::health`),
//! passing observations of the traffic, and the closing of sessions at servers that went down.

mod conversation;
mod hall;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use plimsoll_policy::health::Which;
use plimsoll_policy::model::{BackendId, Model, ServerId};
use plimsoll_policy::plane::Plane;
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::sleep;

use crate::control::admin::desk::Desk;
use crate::control::log::LogSink;
use hall::{Board, Hall};

/// Checks that run at the same time; others wait for their turn.
const RUNNING_MAX: usize = 1_000;

/// How often a server whose checks rest is looked at again.
const REST: Duration = Duration::from_millis(100);

/// The running thread.
pub(crate) struct Checks {
    ending: Arc<Notify>,
    thread: JoinHandle<()>,
}

impl Checks {
    /// Starts the checks of a plane; `None` when it has none. `program` is the name in log lines where no `log-tag` is
    /// set.
    pub(crate) fn start(
        plane: &Arc<Plane>,
        desk: &Arc<Desk>,
        sink: &LogSink,
        program: &str,
    ) -> io::Result<Option<Self>> {
        if !wants_checks(&plane.model) {
            return Ok(None);
        }
        let board = Arc::new(Board::new(&plane.model));
        let routes = hall::routes(&plane.model, sink, program);
        let ending = Arc::new(Notify::new());
        let (ended, plane, desk) = (Arc::clone(&ending), Arc::clone(plane), Arc::clone(desk));
        let shown = Arc::clone(&board);
        desk.attach_health(Box::new(move |backend, server| {
            board.health(backend, server)
        }));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let thread = thread::Builder::new()
            .name("checks".to_owned())
            .spawn(move || {
                let hall = Rc::new(Hall::new(plane, desk, shown, routes));
                let tasks = LocalSet::new();
                hall.begin();
                for (number, watch) in hall.watches().into_iter().enumerate() {
                    tasks.spawn_local(keep_watch(Rc::clone(&hall), watch, number as u64));
                }
                tasks.block_on(&runtime, ended.notified());
            })?;
        Ok(Some(Self { ending, thread }))
    }

    /// Ends the thread; checks under way are forgotten.
    pub(crate) fn stop(&self) {
        self.ending.notify_one();
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

fn wants_checks(model: &Model) -> bool {
    let servers = model.backends.iter().flat_map(|backend| &backend.servers);
    let mut checks = servers.map(|server| &server.check);
    checks.any(|check| check.enabled || check.agent.is_some())
}

/// One check of one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    pub(super) backend: BackendId,
    pub(super) server: ServerId,
    pub(super) which: Which,
    /// Before the first time.
    pub(super) delay_ms: u64,
}

/// Checks a server again and again.
async fn keep_watch(hall: Rc<Hall>, watch: Watch, number: u64) {
    let mut chance = plimsoll_sys::clock::wall_ns() ^ number << 32 | 1;
    sleep(Duration::from_millis(watch.delay_ms)).await;
    loop {
        if hall.rests(watch) {
            sleep(REST).await;
            continue;
        }
        // The permits are never taken away; without one there is nothing to wait for either.
        let Ok(permit) = hall.running.acquire().await else {
            return;
        };
        // Boxed, because most watches sleep.
        Box::pin(hall.check(watch)).await;
        drop(permit);
        let interval_ms = hall.interval_ms(watch, next(&mut chance));
        sleep(Duration::from_millis(interval_ms)).await;
    }
}

/// The next number of a xorshift generator: for spreading load, not for secrets.
fn next(x: &mut u64) -> u64 {
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    x.wrapping_mul(0x2545_f491_4f6c_dd1d)
}
