//! Health checks: when each is due, what it found, and what follows from it.
//!
//! ```text
//! one task per check: wait ──► permit ──► conversation ──► Verdict ──► Health ──► Live (workers choose again)
//!                      ▲                                                  │
//!                      └───────────── interval, jitter ◄──────────────────┴──► lines in the log, orders of agents
//! ```
//! All of it happens on one thread. First checks are spread over an interval, so that ten thousand servers are not
//! asked at once. The same thread hears what workers say of the traffic, and compares servers with their peers. What is
//! absent: what is said to servers (`policy::probe`), what verdicts mean (`policy::health`), and who is slow
//! (`policy::outlier`).

mod around;
mod conversation;
mod external;
mod hall;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll_policy::health::Which;
use plimsoll_policy::model::{Backend, BackendId, Model, ServerId};
use plimsoll_policy::stats::file::Recalled;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle as JoinLocal;
use tokio::time::{Instant, sleep, sleep_until};

use crate::control::admin::desk::Desk;
use crate::control::background::Background;
use conversation::Ending;
use hall::{Board, Hall};

/// Checks that run at the same time; others wait for their turn.
const RUNNING_MAX: usize = 1_000;

/// How often a server whose checks rest is looked at again.
const REST: Duration = Duration::from_millis(100);

/// The chance that leaves an interval as it is.
const HALF: u64 = 1 << 63;

/// The running thread.
pub(crate) struct Checks {
    news: UnboundedSender<News>,
    board: Mutex<Arc<Board>>,
    thread: Background,
}

/// What the checks of another plane begin with.
struct News {
    desk: Arc<Desk>,
    board: Arc<Board>,
}

impl Checks {
    /// Starts the checks of a plane, which count on from what is recalled; `None` when it has none.
    pub(crate) fn start(desk: &Arc<Desk>, recalled: &[Recalled]) -> io::Result<Option<Self>> {
        let plane = desk.plane();
        if !wants_checks(&plane.model) {
            return Ok(None);
        }
        let board = Arc::new(Board::new(&plane.model, None));
        board.recall(recalled);
        let first = News::new(desk, &board);
        let (news, arriving) = unbounded_channel();
        let thread = Background::start("checks", move || attend(first, arriving))?;
        Ok(Some(Self {
            news,
            board: Mutex::new(board),
            thread,
        }))
    }

    /// Goes on under the plane of another desk. Verdicts and the moments of the next checks stay.
    pub(crate) fn adopt(&self, desk: &Arc<Desk>) {
        let mut present = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let board = Arc::new(Board::new(&desk.plane().model, Some(&present)));
        *present = Arc::clone(&board);
        // A thread that has ended checks nothing.
        let _ = self.news.send(News::new(desk, &board));
    }

    /// Ends the thread; checks under way are forgotten.
    pub(crate) fn stop(&self) {
        self.thread.stop();
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

impl News {
    fn new(desk: &Arc<Desk>, board: &Arc<Board>) -> Self {
        let shown = Arc::clone(board);
        desk.attach_health(Box::new(move |backend, server| {
            shown.health(backend, server)
        }));
        Self {
            desk: Arc::clone(desk),
            board: Arc::clone(board),
        }
    }
}

/// Keeps the watches that the newest plane wants.
async fn attend(first: News, mut arriving: UnboundedReceiver<News>) {
    let mut next = Some(first);
    let mut posts: HashMap<PostKey, Rc<Post>> = HashMap::new();
    let running = Rc::new(Semaphore::new(RUNNING_MAX));
    let begun = Instant::now();
    while let Some(News { desk, board }) = next {
        let hall = Rc::new(Hall::new(desk, board, &running, begun));
        hall.begin();
        let mut before = std::mem::take(&mut posts);
        for (number, watch) in hall.watches().into_iter().enumerate() {
            let key = hall.key(watch);
            let post = match before.remove(&key) {
                Some(post) => {
                    post.adopt(&hall, watch);
                    post
                }
                None => Post::take(&hall, watch, number as u64),
            };
            posts.insert(key, post);
        }
        // Watches that nobody wants any more end with their posts.
        before.values().for_each(|post| post.leave());
        let hurry = |hall: &Hall, (backend, server)| {
            let post = posts.get(&hall.key_of(backend, server, Which::Check));
            if let Some(post) = post {
                post.hurry();
            }
        };
        next = tokio::select! {
            news = arriving.recv() => news,
            () = hall.watch_traffic(hurry) => None,
        };
    }
}

/// Backend and server by name, and which of its checks.
type PostKey = (String, String, Which);

/// A watch that is kept from plane to plane.
struct Post {
    duty: RefCell<(Rc<Hall>, Watch)>,
    /// The rhythm may be another now.
    changed: Notify,
    /// The traffic says that a check is worth while.
    hurried: Notify,
    task: RefCell<Option<JoinLocal<()>>>,
}

impl Post {
    fn take(hall: &Rc<Hall>, watch: Watch, number: u64) -> Rc<Self> {
        let post = Rc::new(Self {
            duty: RefCell::new((Rc::clone(hall), watch)),
            changed: Notify::new(),
            hurried: Notify::new(),
            task: RefCell::default(),
        });
        let task = tokio::task::spawn_local(keep_watch(Rc::clone(&post), number));
        *post.task.borrow_mut() = Some(task);
        post
    }

    fn duty(&self) -> (Rc<Hall>, Watch) {
        let duty = self.duty.borrow();
        (Rc::clone(&duty.0), duty.1)
    }

    fn adopt(&self, hall: &Rc<Hall>, watch: Watch) {
        let before = self.duty.replace((Rc::clone(hall), watch));
        if before.0.rhythm(before.1) != hall.rhythm(watch) {
            self.changed.notify_one();
        }
    }

    fn leave(&self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    /// The next check is due after `fastinter` at the latest.
    fn hurry(&self) {
        self.hurried.notify_one();
    }

    /// Waits until a moment, or until the rhythm has changed where that counts: first checks stay spread.
    async fn rest(&self, time: Duration, changes: bool) {
        let mut due = Instant::now() + time;
        loop {
            tokio::select! {
                () = sleep_until(due) => return,
                () = self.changed.notified(), if changes => return,
                () = self.hurried.notified() => {}
            }
            let (hall, watch) = self.duty();
            due = due.min(Instant::now() + Duration::from_millis(hall.interval_ms(watch, HALF)));
        }
    }
}

fn wants_checks(model: &Model) -> bool {
    let servers = model.backends.iter().flat_map(|backend| &backend.servers);
    let mut checks = servers.map(|server| &server.check);
    let outliers = |backend: &Backend| backend.outliers.is_some();
    checks.any(|check| check.enabled || check.agent.is_some() || check.observe.is_some())
        || model.backends.iter().any(outliers)
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
async fn keep_watch(post: Rc<Post>, number: u64) {
    let mut chance = plimsoll_sys::clock::wall_ns() ^ number << 32 | 1;
    let first = Duration::from_millis(post.duty().1.delay_ms);
    post.rest(first, false).await;
    loop {
        let (hall, watch) = post.duty();
        if hall.rests(watch) {
            drop(hall);
            sleep(REST).await;
            continue;
        }
        let running = Rc::clone(&hall.running);
        drop(hall);
        // The permits are never taken away; without one there is nothing to wait for either.
        let Ok(permit) = running.acquire().await else {
            return;
        };
        // Boxed, because most watches sleep.
        Box::pin(check(&post)).await;
        drop(permit);
        let (hall, watch) = post.duty();
        let interval_ms = hall.interval_ms(watch, next(&mut chance));
        drop(hall);
        post.rest(Duration::from_millis(interval_ms), true).await;
    }
}

/// Makes one check and does what follows from it, under the plane that is in use when it ends.
async fn check(post: &Post) {
    let (hall, watch) = post.duty();
    let Some(finding) = hall.ask(watch).await else {
        return;
    };
    drop(hall);
    let (hall, watch) = post.duty();
    hall.heard(watch, &finding.verdict, finding.duration_ms);
    drop(hall);
    match finding.line {
        Some(line) if finding.ending == Ending::Drain => conversation::farewell(line).await,
        line => drop(line),
    }
}

/// The next number of a xorshift generator: for spreading load, not for secrets.
fn next(x: &mut u64) -> u64 {
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    x.wrapping_mul(0x2545_f491_4f6c_dd1d)
}
