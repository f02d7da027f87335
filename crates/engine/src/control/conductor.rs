//! Changes of what is served: one at a time, all or nothing, while the workers go on.
//!
//! ```text
//! model ──► sockets opened, plane built beside the present one ──► refused: nothing has happened
//!                              │
//!                              ▼
//!          live state takes over what was edited ──► Order::Adopt to each worker ──► checks, command sockets, desk
//! ```
//! Whatever is found again by its name goes on: counters, weights, health, what operators ordered, queues, idle
//! connections. What is absent: reading files (whoever started the engine gives a [`Loader`]) and text for people beyond
//! one sentence.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_policy::command::{self, Change, FrontendChange, Session, Words};
use plimsoll_policy::log::{Event, Level, WallTime};
use plimsoll_policy::model::{Global, LogSettings, Model};
use plimsoll_policy::plan::Plan;
use plimsoll_policy::plane::Plane;
use plimsoll_policy::queue;
use plimsoll_policy::stats::file::Recalled;
use plimsoll_sys::clock;

use super::acme::Renewals;
use super::admin::desk::{self, Desk};
use super::admin::{Admin, Doors};
use super::checks::Checks;
use super::log::{self, LogSink, LogWriter};
use super::names::Names;
use super::stapling::Inquirer;
use crate::engine::{StartError, both, connection_limit};
use crate::orders::{Adoption, Order, Orders};
use crate::sockets::Sockets;
use crate::tables::Shared;
use crate::tls::Tls;

/// How long a change waits for all workers to serve by it. They do so by themselves in any case.
const ADOPTION_PATIENCE: Duration = Duration::from_secs(10);

/// How often it looks.
const ADOPTION_POLL: Duration = Duration::from_micros(200);

/// Reads the configuration anew.
///
/// From these files, or, without any, from those that it was read from at the start.
pub type Loader = Box<dyn Fn(&[PathBuf]) -> Result<Loaded, String> + Send + Sync>;

/// A configuration that was read.
pub struct Loaded {
    pub model: Model,
    /// What a person should know about it: warnings.
    pub remarks: String,
}

/// What came of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Warnings of the configuration, and what takes effect with the next start only; lines.
    pub remarks: String,
}

/// The one who changes planes.
pub(crate) struct Conductor {
    present: RwLock<Arc<Desk>>,
    state: Mutex<State>,
    /// Where log lines go, in all planes.
    pub(crate) sink: LogSink,
    pub(crate) stopping: Arc<AtomicBool>,
    program: String,
    loader: Option<Loader>,
    itself: OnceLock<Weak<Self>>,
}

/// What belongs to the present plane.
struct State {
    shared: Shared,
    sockets: Sockets,
    workers: Arc<[Orders]>,
    checks: Option<Checks>,
    renewals: Option<Renewals>,
    inquirer: Option<Inquirer>,
    names: Option<Names>,
    admin: Option<Admin>,
    stopped: bool,
}

impl Conductor {
    pub(crate) fn new(
        shared: Shared,
        sockets: Sockets,
        sink: LogSink,
        program: String,
        loader: Option<Loader>,
    ) -> Self {
        let stopping = Arc::clone(shared.desk.stopping());
        Self {
            present: RwLock::new(Arc::clone(&shared.desk)),
            state: Mutex::new(State {
                shared,
                sockets,
                workers: Arc::default(),
                checks: None,
                renewals: None,
                inquirer: None,
                names: None,
                admin: None,
                stopped: false,
            }),
            sink,
            stopping,
            program,
            loader,
            itself: OnceLock::new(),
        }
    }

    /// Begins what goes on beside the traffic: the workers run. What is recalled of checks is counted on.
    pub(crate) fn begin(
        self: &Arc<Self>,
        workers: Vec<Orders>,
        doors: Doors,
        recalled: &[Recalled],
    ) -> io::Result<()> {
        let mut state = self.lock();
        state.workers = workers.into();
        let desk = Arc::clone(&state.shared.desk);
        desk.attach(Arc::clone(&state.workers));
        desk.settle_followers();
        if !doors.is_empty() || has_page(&desk.plane().model) {
            state.admin = Some(Admin::start(doors, Arc::clone(self))?);
        }
        state.checks = Checks::start(&desk, recalled)?;
        // Set once: the conductor begins once.
        let _ = self.itself.set(Arc::downgrade(self));
        state.renewals = Renewals::start(self, &desk.plane().model)?;
        state.inquirer = Inquirer::start(self, &desk.plane().model, false)?;
        state.names = Names::start(&desk)?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands behind answers at this moment.
    pub(crate) fn desk(&self) -> Arc<Desk> {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&present)
    }

    /// Reads the configuration anew and serves by it; the text says why not.
    pub(crate) fn reload(&self) -> Result<Outcome, String> {
        let Loaded { model, mut remarks } = self.load(&[])?;
        let outcome = self.adopt(model).map_err(|error| error.to_string())?;
        let desk = self.desk();
        let reloads = &desk.view().process.reloads;
        reloads.fetch_add(1, Ordering::Relaxed);
        remarks.push_str(&outcome.remarks);
        desk.note_remarks(&remarks);
        Ok(Outcome { remarks })
    }

    fn load(&self, files: &[PathBuf]) -> Result<Loaded, String> {
        let loader = self.loader.as_ref();
        let load = loader.ok_or("there are no files that could be read")?;
        load(files)
    }

    /// What other files would change; nothing is changed.
    fn plan(&self, files: &[String]) -> Result<Plan, String> {
        let files: Vec<_> = files.iter().map(PathBuf::from).collect();
        let Loaded { mut model, remarks } = self.load(&files)?;
        let present = Arc::clone(self.desk().plane());
        let fixed = keep_what_is_fixed(&present.model.global, &mut model.global);
        model.keep_issued(&present.model);
        model.keep_vouched(&present.model);
        let process_maxconn = connection_limit(&model);
        queue::fill_fullconn(&mut model, process_maxconn);
        let mut plan = Plan::new(&present.model, &model, Some(&present));
        let lines = remarks.lines().chain(fixed.lines());
        plan.remarks = lines.map(str::to_owned).collect();
        Ok(plan)
    }

    /// Serves by another model from now on. When this fails nothing has changed.
    pub(crate) fn adopt(&self, model: Model) -> Result<Outcome, StartError> {
        self.adopt_in(&mut self.lock(), model)
    }

    /// Serves by a model that is a little different from the present one.
    pub(crate) fn edit(&self, edit: impl FnOnce(&mut Model)) -> Result<Outcome, StartError> {
        let mut state = self.lock();
        let mut model = state.shared.plane.model.clone();
        edit(&mut model);
        self.adopt_in(&mut state, model)
    }

    fn adopt_in(&self, state: &mut State, mut model: Model) -> Result<Outcome, StartError> {
        if state.stopped {
            return Err(StartError::Ending);
        }
        let before = Arc::clone(&state.shared.plane);
        let remarks = keep_what_is_fixed(&before.model.global, &mut model.global);
        model.keep_issued(&before.model);
        model.keep_vouched(&before.model);
        let process_maxconn = connection_limit(&model);
        queue::fill_fullconn(&mut model, process_maxconn);
        let tls_before = Some((&before.model, &*state.shared.tls));
        let tls = Tls::build(&model, tls_before).map_err(StartError::Tls)?;
        let plane = Plane::build(model, Some(&before));
        let gates = state.shared.desk.gates();
        let gates = gates.next(&before.model, &plane.model);
        let wanted = state.sockets.prepare(&plane, state.workers.len(), &gates);
        let doors = match &state.admin {
            Some(admin) => admin.prepare(&plane.model),
            None => Doors::open(&plane.model),
        };
        let (doors, wanted) = both(doors, wanted)?;
        // From here on nothing can fail.
        plane.settle(&before);
        gates.settle(&plane);
        let sink = &self.sink;
        let shared = state.shared.next(plane, tls, gates, sink, &self.program);
        let desk = &shared.desk;
        let plane = desk.plane();
        plane.begin_variables(Some(&before), &**desk, desk::now());
        desk.settle_followers();
        let (standing, next_number, fixtures, fresh) = wanted.into_parts();
        self.follow_checks(state, &shared);
        self.follow_names(state, &shared);
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&shared.desk);
        // These look at what is present.
        self.follow_renewals(state, &shared);
        self.follow_inquiries(state, &shared.plane.model, false);
        let adoption = Arc::new(Adoption::new(shared.clone(), fixtures, fresh));
        for orders in state.workers.iter() {
            orders.send(Order::Adopt(Arc::clone(&adoption)));
        }
        await_adoption(&adoption);
        state.sockets.settle(standing, next_number);
        state.shared = shared;
        if let Some(admin) = &state.admin {
            admin.adopt(doors);
        }
        Ok(Outcome { remarks })
    }

    /// Lets the checks go on under the plane that follows, or begins them.
    fn follow_checks(&self, state: &mut State, shared: &Shared) {
        match &state.checks {
            Some(checks) => checks.adopt(&shared.desk),
            None => match Checks::start(&shared.desk, &[]) {
                Ok(checks) => state.checks = checks,
                // No thread can be had at this moment: servers count as up, as without checks.
                Err(_) => self.count_failure(),
            },
        }
    }

    /// Lets certificates be renewed under the plane that follows, or begins with it.
    fn follow_renewals(&self, state: &mut State, shared: &Shared) {
        if let Some(renewals) = &state.renewals {
            return renewals.adopt();
        }
        let Some(itself) = self.itself.get().and_then(Weak::upgrade) else {
            return;
        };
        match Renewals::start(&itself, &shared.plane.model) {
            Ok(renewals) => state.renewals = renewals,
            // No thread can be had at this moment: certificates stay as they are.
            Err(_) => self.count_failure(),
        }
    }

    /// Lets authorities be asked under the plane that follows, or begins it: also when somebody `wants` it.
    fn follow_inquiries(&self, state: &mut State, model: &Model, wants: bool) {
        if let Some(inquirer) = &state.inquirer {
            return inquirer.adopt();
        }
        let Some(itself) = self.itself.get().and_then(Weak::upgrade) else {
            return;
        };
        match Inquirer::start(&itself, model, wants) {
            Ok(inquirer) => state.inquirer = inquirer,
            // No thread can be had at this moment: responses stay as they are.
            Err(_) => self.count_failure(),
        }
    }

    /// Logs a line about the process.
    pub(crate) fn tell(&self, level: Level, text: &str) {
        let desk = self.desk();
        let global = &desk.plane().model.global;
        let settings = LogSettings {
            targets: global.logs.clone(),
            ..LogSettings::default()
        };
        let who = log::identity(global, &settings, &self.program);
        let route = self.sink.route(&settings, false, &who);
        let now = WallTime::from_unix_ns(clock::wall_ns());
        LogWriter::default().event(&route, &Event { level, text }, now);
    }

    /// Lets the inquiries about names go on under the plane that follows, or begins them.
    fn follow_names(&self, state: &mut State, shared: &Shared) {
        match &state.names {
            Some(names) => names.adopt(&shared.desk),
            None => match Names::start(&shared.desk) {
                Ok(names) => state.names = names,
                // No thread can be had at this moment: servers stay where they are.
                Err(_) => self.count_failure(),
            },
        }
    }

    fn count_failure(&self) {
        self.sink.losses().fetch_add(1, Ordering::Relaxed);
    }

    /// Runs a command and carries out what it asks for.
    pub(crate) fn run(&self, words: Words<'_>, session: &mut Session) -> String {
        let mut state = self.lock();
        let desk = self.desk();
        let mut answer = command::run(words, desk.view(), session);
        for change in std::mem::take(&mut session.changes) {
            match change {
                Change::Reload => {
                    // Reading files may take its time, and asks for the lock by itself.
                    drop(state);
                    answer = told(self.reload());
                    state = self.lock();
                }
                Change::Plan { files, json } => {
                    drop(state);
                    answer = match self.plan(&files) {
                        Ok(plan) if json => plan.json() + "\n",
                        Ok(plan) => plan.text() + "\n",
                        Err(reason) => format!("{}\n\n", reason.trim_end()),
                    };
                    state = self.lock();
                }
                Change::Model(model) => {
                    if let Err(error) = self.adopt_in(&mut state, *model) {
                        answer = format!("{error}\n\n");
                    }
                }
                Change::Renew(name) => {
                    if let Some(renewals) = &state.renewals {
                        renewals.renew(&name);
                    }
                }
                Change::Inquire(file) => {
                    self.follow_inquiries(&mut state, &desk.plane().model, true);
                    if let Some(inquirer) = &state.inquirer {
                        inquirer.inquire(&file);
                    }
                }
                change => {
                    desk.carry_out(&change);
                    forget_listeners(&mut state, &change);
                }
            }
        }
        answer
    }

    /// See [`crate::Handle::is_alive`].
    pub(crate) fn is_alive(&self, patience: Duration) -> bool {
        let workers = Arc::clone(&self.lock().workers);
        let silent = Arc::new(AtomicUsize::new(workers.len()));
        for orders in workers.iter() {
            orders.send(Order::Tell(Arc::clone(&silent)));
        }
        let deadline = Instant::now() + patience;
        while silent.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
            thread::sleep(ADOPTION_POLL);
        }
        silent.load(Ordering::Acquire) == 0 || self.stopping.load(Ordering::SeqCst)
    }

    /// The listening sockets, to be handed to a newer process.
    pub(crate) fn listening(&self) -> Vec<OwnedFd> {
        self.lock().sockets.all()
    }

    /// Tells everybody to end.
    pub(crate) fn end(&self, order: &Order) {
        self.stopping.store(true, Ordering::SeqCst);
        let mut state = self.lock();
        state.stopped = true;
        state.sockets.abandon();
        if let Some(admin) = &state.admin {
            admin.stop();
        }
        if let Some(checks) = &state.checks {
            checks.stop();
        }
        if let Some(renewals) = &state.renewals {
            renewals.stop();
        }
        if let Some(inquirer) = &state.inquirer {
            inquirer.stop();
        }
        if let Some(names) = &state.names {
            names.stop();
        }
        for orders in state.workers.iter() {
            orders.send(order.clone());
        }
    }

    /// Whether what goes on beside the traffic has ended.
    pub(crate) fn is_finished(&self) -> bool {
        let state = self.lock();
        let checks = state.checks.as_ref().is_none_or(Checks::is_finished);
        let renewals = state.renewals.as_ref();
        checks
            && renewals.is_none_or(Renewals::is_finished)
            && state.inquirer.as_ref().is_none_or(Inquirer::is_finished)
            && state.names.as_ref().is_none_or(Names::is_finished)
            && state.admin.as_ref().is_none_or(Admin::is_finished)
    }

    pub(crate) fn shared(&self) -> Shared {
        self.lock().shared.clone()
    }
}

/// A frontend that was shut down has no listeners any more.
fn forget_listeners(state: &mut State, change: &Change) {
    if let Change::Frontend(id, FrontendChange::Stop) = change {
        let model = &state.shared.plane.model;
        let binds = &model.frontends[id.0 as usize].binds;
        let numbers = state.sockets.numbers_of(binds);
        state.sockets.forget(&numbers);
    }
}

/// The answer to `reload`, as HAProxy's master gives it: a status, a line, and what there is to say.
fn told(outcome: Result<Outcome, String>) -> String {
    let (status, text) = match &outcome {
        Ok(outcome) => (1, outcome.remarks.trim_end()),
        Err(reason) => (0, reason.trim_end()),
    };
    match text {
        "" => format!("Success={status}\n--\n\n"),
        text => format!("Success={status}\n--\n{text}\n\n"),
    }
}

fn await_adoption(adoption: &Adoption) {
    let deadline = Instant::now() + ADOPTION_PATIENCE;
    while !adoption.is_adopted() && Instant::now() < deadline {
        thread::sleep(ADOPTION_POLL);
    }
}

pub(crate) fn has_page(model: &Model) -> bool {
    let pages = model.frontends.iter().map(|frontend| &frontend.stats_page);
    let pages = pages.chain(model.backends.iter().map(|backend| &backend.stats_page));
    pages.flatten().next().is_some()
}

/// What only a start decides stays as it is; returns a line for everything that was meant to change.
fn keep_what_is_fixed(before: &Global, after: &mut Global) -> String {
    let mut remarks = String::new();
    let mut note = |changed: bool, what: &str| {
        if changed {
            remarks.push_str(&format!(
                "'{what}' takes effect with the next start, not with a reload\n"
            ));
        }
    };
    note(before.worker_count != after.worker_count, "nbthread");
    note(
        before.tune.max_events != after.tune.max_events,
        "tune.maxpollevents",
    );
    note(
        before.tune.max_accept != after.tune.max_accept,
        "tune.maxaccept",
    );
    note(before.user != after.user, "user");
    note(before.group != after.group, "group");
    note(before.chroot != after.chroot, "chroot");
    note(before.daemon != after.daemon, "daemon");
    note(before.pidfile != after.pidfile, "pidfile");
    note(before.stats_file != after.stats_file, "stats-file");
    note(
        before.descriptor_limit != after.descriptor_limit,
        "ulimit-n",
    );
    after.worker_count = before.worker_count;
    after.tune.max_events = before.tune.max_events;
    after.tune.max_accept = before.tune.max_accept;
    after.user.clone_from(&before.user);
    after.group.clone_from(&before.group);
    after.chroot.clone_from(&before.chroot);
    after.daemon = before.daemon;
    after.pidfile.clone_from(&before.pidfile);
    after.stats_file.clone_from(&before.stats_file);
    after.descriptor_limit = before.descriptor_limit;
    remarks
}
