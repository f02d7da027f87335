//! Why requests went where they went: some of them are written down, and the last ones are kept.
//!
//! A worker writes to its own shelf; whoever asks reads all of them. What is absent: what is written (`policy::explain`),
//! and how it is asked for (`policy::command`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwapOption;
use plimsoll_policy::context::ExchangeFacts;
use plimsoll_policy::explain::{Story, Told};
use plimsoll_policy::log::{Termination, WallTime};
use plimsoll_policy::model::{BackendId, ServerId};

use crate::exchange::Record;
use crate::fault::Fault;
use crate::rules;
use crate::session::Session;
use crate::tcp::Report;

/// Stories kept for each worker; older ones are forgotten.
const SHELF_STORIES_MAX: usize = 64;

/// Longest first line of a request that is kept, in bytes.
const REQUEST_BYTES_MAX: usize = 200;

/// All stories of the process.
pub(crate) struct Stories {
    /// One request in so many is written down; 0: none.
    every: AtomicU32,
    shelves: Box<[Shelf]>,
}

/// One worker's. Only that worker puts something there, and nobody waits for anybody.
struct Shelf {
    /// Requests since the last one that was written down.
    passed: AtomicU32,
    /// Where the next story goes, in place of the oldest one.
    next: AtomicUsize,
    places: [ArcSwapOption<Told>; SHELF_STORIES_MAX],
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            passed: AtomicU32::default(),
            next: AtomicUsize::default(),
            places: std::array::from_fn(|_| ArcSwapOption::empty()),
        }
    }
}

impl Shelf {
    fn put(&self, told: Told) {
        let next = self.next.load(Relaxed);
        self.next.store((next + 1) % SHELF_STORIES_MAX, Relaxed);
        self.places[next].store(Some(Arc::new(told)));
    }

    fn clear(&self) {
        self.places.iter().for_each(|place| place.store(None));
    }
}

impl Stories {
    pub(crate) fn new(workers: usize, every: u32) -> Self {
        Self {
            every: AtomicU32::new(every),
            shelves: (0..workers).map(|_| Shelf::default()).collect(),
        }
    }

    pub(crate) fn every(&self) -> u32 {
        self.every.load(Relaxed)
    }

    /// Writes down one request in so many from now on. With 0 what was written down is forgotten.
    pub(crate) fn set_every(&self, every: u32) {
        self.every.store(every, Relaxed);
        if every == 0 {
            self.shelves.iter().for_each(Shelf::clear);
        }
    }

    /// All that are kept, the oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Told>> {
        let places = self.shelves.iter().flat_map(|shelf| &shelf.places);
        let mut all: Vec<_> = places.filter_map(ArcSwapOption::load_full).collect();
        all.sort_by_key(|told| (told.began.unix_s, told.began.micros, told.number));
        all
    }

    /// Whether it is the turn of a worker's next request.
    fn is_turn(&self, worker: usize, every: u32) -> bool {
        let Some(shelf) = self.shelves.get(worker) else {
            return false;
        };
        let passed = shelf.passed.load(Relaxed).saturating_add(1);
        let turn = passed >= every;
        shelf.passed.store(if turn { 0 } else { passed }, Relaxed);
        turn
    }

    fn keep(&self, worker: usize, told: Told) {
        let Some(shelf) = self.shelves.get(worker) else {
            return;
        };
        shelf.put(told);
        // Whoever turned it off in the meantime wants to have nothing left.
        if self.every() == 0 {
            shelf.clear();
        }
    }
}

/// A story for what begins on this session, where it is its turn.
pub(crate) fn begin(session: &Session) -> Option<Box<Story>> {
    let stories = session.tables.desk.stories();
    let every = stories.every();
    // The usual case.
    if every == 0 || !stories.is_turn(session.worker.index, every) {
        return None;
    }
    let name = &session.tables.frontend(session.frontend).name;
    Some(Box::new(Story::new(name)))
}

/// An HTTP exchange has ended.
pub(crate) fn exchange_ends(session: &mut Session, record: &mut Record) {
    let Some(story) = record.facts.story.take() else {
        return;
    };
    let head = &record.request.head;
    let line = match &record.facts.original {
        Some(line) => [line.method.as_slice(), b" ", line.target.as_slice()].concat(),
        None => [head.method(), b" ", &head.whole_target()].concat(),
    };
    let ending = Ending {
        status: record.status,
        fault: record.fault,
        started_ns: record.times.started_ns,
        place: record
            .dispatch
            .as_ref()
            .map(|it| it.backend)
            .zip(record.server),
        termination: record
            .fault
            .map_or(Termination::NORMAL, |fault| fault.termination(record.phase)),
    };
    keep(session, *story, &mut record.facts, &line, &ending);
}

/// A TCP session has ended.
pub(crate) fn tcp_ends(session: &mut Session, backend: Option<BackendId>, report: &mut Report) {
    let Some(story) = report.facts.story.take() else {
        return;
    };
    let source = session.facts.source;
    let line = source.map_or_else(|| "TCP".to_owned(), |from| format!("TCP from {from}"));
    let ending = Ending {
        status: 0,
        fault: report.fault,
        started_ns: session.accepted_ns,
        place: backend.zip(report.server),
        termination: report
            .fault
            .map_or(Termination::NORMAL, |fault| fault.termination(report.phase)),
    };
    keep(session, *story, &mut report.facts, line.as_bytes(), &ending);
}

/// How it ended.
struct Ending {
    status: u16,
    fault: Option<Fault>,
    /// When its first byte arrived.
    started_ns: u64,
    place: Option<(BackendId, ServerId)>,
    termination: Termination,
}

fn keep(session: &Session, story: Story, facts: &mut ExchangeFacts, line: &[u8], ending: &Ending) {
    let outcome = outcome(session, facts, ending);
    let reactor = &session.worker.reactor;
    let since_ns = reactor.now_ns().saturating_sub(ending.started_ns);
    let id = facts.unique_id.get().map_or(&b""[..], |id| id);
    let end = line.len().min(REQUEST_BYTES_MAX);
    let told = Told {
        number: facts.number.get().unwrap_or_else(rules::next_number),
        unique_id: String::from_utf8_lossy(id).into_owned(),
        began: WallTime::from_unix_ns(reactor.wall_ns().saturating_sub(since_ns)),
        request: String::from_utf8_lossy(&line[..end]).into_owned(),
        explanation: story.end(outcome),
    };
    let stories = session.tables.desk.stories();
    stories.keep(session.worker.index, told);
}

/// The end in a sentence.
fn outcome(session: &Session, facts: &ExchangeFacts, ending: &Ending) -> String {
    let what = match ending.status {
        0 => "served".to_owned(),
        status => format!("answered with {status}"),
    };
    let letters = ending.termination.letters_http();
    let letters = String::from_utf8_lossy(&letters);
    let by_server = || {
        let (backend, server) = ending.place?;
        let (tables, server) = (&session.tables, (backend, server));
        let name = &tables.server(server.0, server.1).name;
        Some(format!("{}/{name}", tables.backend(backend).name))
    };
    let by_rule = || facts.last_rule.as_ref().map(|place| place.to_string());
    let (what, whom) = match ending.fault {
        None => (what, by_server()),
        Some(Fault::Denied(_) | Fault::Local(_)) => (what, by_rule()),
        Some(Fault::Rejected) => ("closed".to_owned(), by_rule()),
        Some(fault) if ending.status == 0 => (format!("ended: {}", fault.words()), None),
        Some(fault) => (format!("{what}: {}", fault.words()), None),
    };
    let whom = whom.map(|whom| format!(" by {whom}")).unwrap_or_default();
    format!("{what}{whom} ({letters})")
}
