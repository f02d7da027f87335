//! The master (`-W`, `-Ws`): a process that serves nothing, keeps its number, and watches over workers that do.
//!
//! ```text
//! signal, master socket ──► reload ──► same binary: the worker reads its files anew, inside its process
//!                                  └─► another binary: it is tried (-c), the master becomes it (exec), a new worker takes
//!                                      the listeners over, the old one finishes
//! ```
//! Everything that happens arrives as an [`Event`] in one place, so that nothing is done twice at a time. What is absent:
//! serving, and reading configurations beyond what the first start needs.

mod door;
mod state;
mod worker;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use plimsoll_policy::model::{AccessLevel, Bind, BindAddress};
use plimsoll_policy::stats::VERSION;
use plimsoll_sys::address::Address;
use plimsoll_sys::clock;
use plimsoll_sys::listen::{self, ListenOptions};
use plimsoll_sys::process::{self, Ended};
use plimsoll_sys::signal::{self, Signal, Signals};

use self::state::{State, WorkerState};
use self::worker::Calling;
use crate::console;
use crate::service::{Life, notify, write_pidfile};

/// Exit statuses of a process that a signal ended: 128 and the signal's number.
const EXIT_SIGNAL: i32 = 128;

/// How long workers may take to end before they are killed.
const END_PATIENCE: Duration = Duration::from_secs(10);

const MS: u64 = 1_000_000;

/// Something that happened.
enum Event {
    Signal(Signal),
    /// A worker has ended.
    Ended(u32, io::Result<Ended>),
    /// A worker lives.
    Alive(u32),
    Asked(Told),
}

/// A question from the command socket.
enum Told {
    Processes(Sender<String>),
    /// The socket of the worker that `@NAME` means.
    Socket(String, Sender<Option<PathBuf>>),
    Reload {
        /// Who asks, by a descriptor that outlives an exec.
        descriptor: i32,
        answer: Sender<String>,
    },
}

/// What the file of the program looks like.
type Face = (u64, u64, u64, i64, i64);

struct Master<'a> {
    calling: Calling,
    /// The program as it was when this process began to run it.
    face: Option<Face>,
    state: State,
    /// What outlives an exec: the listening command socket, and the lines to the workers by their processes.
    door: Option<OwnedFd>,
    /// What those who come to the command socket may do.
    level: AccessLevel,
    lines: HashMap<u32, OwnedFd>,
    life: &'a Life,
    events: Sender<Event>,
    /// The signal that ends everything, once one has come.
    ending: Option<Signal>,
}

/// Serves under a master until it is told to end; the result is the exit status. `carried`: the state of the program
/// that this process was before.
///
/// # Errors
/// Whatever keeps the first worker from serving.
pub(crate) fn serve(
    calling: Call,
    door: &[Bind],
    carried: Option<&str>,
    life: &Life,
    ready: Option<UnixStream>,
) -> anyhow::Result<u8> {
    // Before any thread, so that all of them leave the signals to the one that reads them.
    let signals = Signals::collect(&[
        Signal::Hangup,
        Signal::Interrupt,
        Signal::Terminate,
        Signal::User1,
        Signal::User2,
        // Those would end the process, or stop it as a job of a terminal.
        Signal::Quit,
        Signal::TerminalInput,
        Signal::TerminalOutput,
    ])?;
    let (events, happening) = mpsc::channel();
    let calling = calling.0;
    let mut master = Master {
        face: face(&calling.file),
        calling,
        state: State::default(),
        door: None,
        level: door.first().map_or(AccessLevel::Admin, |bind| bind.level),
        lines: HashMap::new(),
        life,
        events,
        ending: None,
    };
    let carried = carried
        .map(|text| State::read(text).context("the state that was handed on cannot be read"));
    match carried.transpose()? {
        None => master.begin(door)?,
        Some(state) => master.go_on(state)?,
    }
    master.listen_to_signals(signals)?;
    if let Some(mut parent) = ready {
        process::detach(&process::null()?)?;
        // The parent may have been killed meanwhile; that is no reason to stop.
        let _ = parent.write_all(&[1]);
    }
    master.live(&happening)
}

/// How this program was called; to be noted before anything is changed.
#[derive(Clone, Debug)]
pub(crate) struct Call(Calling);

impl Call {
    /// # Errors
    /// When the program's own file or the working directory cannot be found.
    pub(crate) fn note(name: OsString, words: Vec<OsString>) -> io::Result<Self> {
        let folder = std::env::current_dir()?;
        let file = match name.as_encoded_bytes().contains(&b'/') {
            // Where it was called from, and not what a link led to: the link may lead elsewhere next time.
            true => folder.join(&name),
            false => std::env::current_exe()?,
        };
        Ok(Self(Calling {
            file,
            name,
            words,
            folder,
        }))
    }
}

fn face(file: &Path) -> Option<Face> {
    let known = fs::metadata(file).ok()?;
    let (second, nanosecond) = (known.mtime(), known.mtime_nsec());
    Some((known.dev(), known.ino(), known.size(), second, nanosecond))
}

fn now_ms() -> u64 {
    clock::wall_ns() / MS
}

impl Master<'_> {
    /// The first start.
    fn begin(&mut self, door: &[Bind]) -> anyhow::Result<()> {
        self.state = State {
            folder: private_folder()?,
            started_ms: now_ms(),
            next: 1,
            ..State::default()
        };
        if let Some(bind) = door.first() {
            self.open_door(listener(bind)?)?;
        }
        if self.start_worker(None).is_err() {
            self.leave();
            // It has said why itself.
            anyhow::bail!("the worker has not come up");
        }
        if let Some(path) = &self.life.pidfile {
            write_pidfile(path)?;
        }
        self.tell_ready();
        Ok(())
    }

    fn tell_ready(&self) {
        if self.life.notify {
            notify(&format!("READY=1\nMAINPID={}\n", std::process::id()));
        }
    }

    /// Goes on where the program has stopped that this process was before: a new worker follows the present one.
    fn go_on(&mut self, state: State) -> anyhow::Result<()> {
        self.state = state;
        if let Some(door) = self.state.door {
            self.open_door(listen::adopt(process::claim(door)?)?)?;
        }
        let asker = self.state.asker.take().map(process::claim).transpose()?;
        for (id, line) in self.state.lines() {
            self.watch(id, process::claim(line)?.into())?;
        }
        let present = self.present().map(|worker| worker.number);
        let predecessor = present.map(|number| self.state.socket(number));
        let answer = match self.start_worker(predecessor.as_deref()) {
            Ok(()) => {
                self.retire_others();
                self.state.reloads += 1;
                "Success=1\n--\n\n".to_owned()
            }
            Err(error) => {
                self.state.failed += 1;
                let text = format!("the new worker has not come up: {error}");
                console::complain(&format!("{text}; the old one goes on"));
                format!("Success=0\n--\n{text}\n\n")
            }
        };
        self.tell_ready();
        if let Some(asker) = asker {
            // Whether it is a stream of TCP or a unix one makes no difference for writing; whoever has gone misses nothing.
            let _ = TcpStream::from(asker).write_all(answer.as_bytes());
        }
        Ok(())
    }

    fn open_door(&mut self, (socket, address): (OwnedFd, Address)) -> anyhow::Result<()> {
        self.door = Some(socket.try_clone()?);
        door::open(socket, address.is_unix(), self.level, self.events.clone())?;
        Ok(())
    }

    /// The worker that serves, and is not told to finish.
    fn present(&self) -> Option<&WorkerState> {
        let mut workers = self.state.workers.iter().rev();
        workers.find(|worker| !worker.leaving)
    }

    fn start_worker(&mut self, predecessor: Option<&Path>) -> io::Result<()> {
        let number = self.state.next;
        self.state.next += 1;
        let socket = self.state.socket(number);
        let started = worker::start(&self.calling, &socket, predecessor)?;
        self.state.workers.push(WorkerState {
            number,
            process: started.process,
            line: -1,
            started_ms: now_ms(),
            reloads: 0,
            leaving: false,
        });
        self.watch(started.process, started.line)
    }

    /// Hears of a worker's life and end.
    fn watch(&mut self, id: u32, line: UnixStream) -> io::Result<()> {
        self.lines.insert(id, line.try_clone()?.into());
        let events = self.events.clone();
        let heart = move || {
            let (mut line, mut beat) = (line, [0]);
            while matches!(line.read(&mut beat), Ok(1..)) {
                if events.send(Event::Alive(id)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("heart".to_owned())
            .spawn(heart)?;
        let events = self.events.clone();
        let wait = move || {
            // A master that is gone has nobody to tell.
            let _ = events.send(Event::Ended(id, process::wait(id)));
        };
        thread::Builder::new().name("wait".to_owned()).spawn(wait)?;
        Ok(())
    }

    fn listen_to_signals(&self, signals: Signals) -> io::Result<()> {
        let events = self.events.clone();
        let hear = move || {
            while let Ok(signal) = signals.wait() {
                if events.send(Event::Signal(signal)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(hear)?;
        Ok(())
    }

    fn live(mut self, happening: &Receiver<Event>) -> anyhow::Result<u8> {
        let mut deadline = None;
        loop {
            let event = match deadline {
                None => happening.recv().ok(),
                Some(deadline) => {
                    let left = Instant::saturating_duration_since(&deadline, Instant::now());
                    happening.recv_timeout(left).ok()
                }
            };
            let status = match event {
                // Workers that do not end are ended.
                None => {
                    self.signal_all(None);
                    deadline = None;
                    None
                }
                Some(Event::Signal(Signal::Hangup | Signal::User2)) => {
                    self.reload_by_signal();
                    None
                }
                Some(Event::Signal(Signal::Quit)) => None,
                Some(Event::Signal(pause @ (Signal::TerminalInput | Signal::TerminalOutput))) => {
                    self.signal_all(Some(pause));
                    None
                }
                Some(Event::Signal(signal)) => {
                    self.end(signal);
                    if signal != Signal::User1 {
                        deadline = Some(Instant::now() + END_PATIENCE);
                    }
                    None
                }
                Some(Event::Alive(id)) => {
                    self.note_alive(id);
                    None
                }
                Some(Event::Asked(question)) => {
                    self.answer(question);
                    None
                }
                Some(Event::Ended(id, ended)) => self.bury(id, ended),
            };
            if let Some(status) = status {
                self.leave();
                return Ok(status);
            }
        }
    }

    /// The present worker lives, which the service manager wants to hear.
    fn note_alive(&self, id: u32) {
        let is_present = self.present().is_some_and(|worker| worker.process == id);
        if self.life.notify && is_present {
            notify("WATCHDOG=1\n");
        }
    }

    fn signal_all(&self, signal: Option<Signal>) {
        for worker in &self.state.workers {
            // One that has just ended is told of in a moment.
            let _ = match signal {
                Some(signal) => signal::send(worker.process, signal),
                None => process::kill(worker.process),
            };
        }
    }

    fn end(&mut self, signal: Signal) {
        if self.life.notify {
            notify("STOPPING=1\n");
        }
        self.ending = Some(signal);
        self.signal_all(Some(signal));
    }

    /// A worker has ended; the status to end with when it was the last one, or was not meant to.
    fn bury(&mut self, id: u32, ended: io::Result<Ended>) -> Option<u8> {
        let index = self
            .state
            .workers
            .iter()
            .position(|worker| worker.process == id)?;
        let gone = self.state.workers.remove(index);
        self.lines.remove(&id);
        // It may have been killed before it could tidy up.
        let _ = fs::remove_file(self.state.socket(gone.number));
        if let Some(signal) = self.ending {
            let status = match signal {
                Signal::Interrupt => EXIT_SIGNAL + 2,
                _ => 0,
            };
            return self.state.workers.is_empty().then_some(status as u8);
        }
        if gone.leaving {
            return None;
        }
        let (how, status) = match ended {
            Ok(Ended::Status(status)) => (format!("with status {status}"), i32::from(status)),
            Ok(Ended::Signal(signal)) => (format!("by signal {signal}"), EXIT_SIGNAL + signal),
            Err(error) => (format!("unseen ({error})"), 1),
        };
        console::complain(&format!(
            "worker {id} has ended {how}; the others end with it"
        ));
        self.signal_all(None);
        Some(status.clamp(1, 255) as u8)
    }

    /// Tells all workers but the newest to finish.
    fn retire_others(&mut self) {
        let Some((_, others)) = self.state.workers.split_last_mut() else {
            return;
        };
        for worker in others {
            worker.reloads += 1;
            if !worker.leaving {
                worker.leaving = true;
                // One that has just ended is told of in a moment.
                let _ = signal::send(worker.process, Signal::User1);
            }
        }
    }

    fn reload_by_signal(&mut self) {
        let answer = self.reload(None);
        let (head, text) = answer.split_once("--\n").unwrap_or((&answer, ""));
        let text = text.trim_end();
        if !text.is_empty() {
            console::report(&format!("{text}\n"));
        }
        let done = match head.starts_with("Success=1") {
            true if self.life.quiet => return,
            true => "the configuration has been reloaded",
            false => "the configuration was not reloaded; going on as before",
        };
        console::complain(done);
    }

    /// Reads the configuration anew, or becomes another program first; returns when that was not to be.
    fn reload(&mut self, asker: Option<i32>) -> String {
        if self.life.notify {
            let now_us = clock::monotonic_ns() / 1_000;
            notify(&format!("RELOADING=1\nMONOTONIC_USEC={now_us}\n"));
        }
        let answer = match face(&self.calling.file) {
            Some(now) if Some(now) != self.face => self.upgrade(asker),
            _ => self.reload_worker(),
        };
        self.state.failed += u32::from(!answer.starts_with("Success=1"));
        if self.life.notify {
            notify("READY=1\n");
        }
        answer
    }

    fn reload_worker(&mut self) -> String {
        let Some(number) = self.present().map(|worker| worker.number) else {
            return "Success=0\n--\nno worker serves\n\n".to_owned();
        };
        match worker::ask(&self.state.socket(number), "reload") {
            Ok(answer) => {
                let answer = String::from_utf8_lossy(&answer).into_owned();
                self.state.reloads += u32::from(answer.starts_with("Success=1"));
                answer
            }
            Err(error) => format!("Success=0\n--\nthe worker does not answer: {error}\n\n"),
        }
    }

    /// Becomes the program that has taken the place of this one.
    fn upgrade(&mut self, asker: Option<i32>) -> String {
        let failed = |text: &str| format!("Success=0\n--\n{}\n\n", text.trim_end());
        // A program that cannot read these files must not take over.
        match self.calling.command(&["-c", "-q"]).output() {
            Ok(tried) if tried.status.success() => {}
            Ok(tried) => {
                let said = String::from_utf8_lossy(&tried.stderr);
                return failed(&format!(
                    "the new program refuses the configuration:\n{said}"
                ));
            }
            Err(error) => return failed(&format!("the new program does not start: {error}")),
        }
        if let Err(error) = std::env::set_current_dir(&self.calling.folder) {
            return failed(&format!("{}: {error}", self.calling.folder.display()));
        }
        let mut state = self.state.clone();
        state.asker = asker;
        state.door = self.door.as_ref().map(AsRawFd::as_raw_fd);
        for worker in &mut state.workers {
            let line = self.lines.get(&worker.process);
            worker.line = line.map_or(-1, AsRawFd::as_raw_fd);
        }
        let mut words = vec!["-master".into(), OsString::from(state.write())];
        words.extend(self.calling.words.iter().cloned());
        let lines = state.lines().into_iter().map(|(_, line)| line);
        let kept: Vec<_> = lines.chain(state.door).chain(asker).collect();
        let turn = |inherited| {
            let mut all = kept.iter();
            all.try_for_each(|&descriptor| process::set_inherited(descriptor, inherited))
        };
        let error = match turn(true) {
            Ok(()) => process::replace(&self.calling.file, &self.calling.name, &words),
            Err(error) => error,
        };
        // Workers that are started later must not have them. All of them are open.
        let _ = turn(false);
        failed(&format!("the new program does not start: {error}"))
    }

    fn answer(&mut self, question: Told) {
        // Whoever has gone does not miss the answer.
        match question {
            Told::Processes(answer) => drop(answer.send(self.processes())),
            Told::Socket(name, answer) => drop(answer.send(self.socket_of(&name))),
            Told::Reload { descriptor, answer } => {
                let said = self.reload(Some(descriptor));
                drop(answer.send(said));
            }
        }
    }

    /// `1` is the present worker, `!PID` any of them.
    fn socket_of(&self, name: &str) -> Option<PathBuf> {
        let worker = match name.strip_prefix('!') {
            Some(id) => {
                let id: u32 = id.parse().ok()?;
                let mut workers = self.state.workers.iter();
                workers.find(|worker| worker.process == id)?
            }
            None if name == "1" => self.present()?,
            None => return None,
        };
        Some(self.state.socket(worker.number))
    }

    fn processes(&self) -> String {
        let now_ms = now_ms();
        let row = |id: u32, kind: &str, reloads: &str, started_ms: u64| {
            let up_s = now_ms.saturating_sub(started_ms) / 1_000;
            let (days, hours) = (up_s / 86_400, up_s / 3_600 % 24);
            let (minutes, seconds) = (up_s / 60 % 60, up_s % 60);
            let uptime = format!("{days}d{hours:02}h{minutes:02}m{seconds:02}s");
            format!("{id:<15} {kind:<15} {reloads:<15} {uptime:<15} {VERSION}\n")
        };
        let mut text = String::from(
            "#<PID>          <type>          <reloads>       <uptime>        <version>\n",
        );
        let state = &self.state;
        text.push_str(&row(
            std::process::id(),
            "master",
            &format!("{} [failed: {}]", state.reloads, state.failed),
            state.started_ms,
        ));
        text.push_str("# workers\n");
        for (leaving, title) in [(false, ""), (true, "# old workers\n")] {
            let mut title = Some(title);
            for worker in state
                .workers
                .iter()
                .filter(|worker| worker.leaving == leaving)
            {
                text.push_str(title.take().unwrap_or_default());
                text.push_str(&row(
                    worker.process,
                    "worker",
                    &worker.reloads.to_string(),
                    worker.started_ms,
                ));
            }
        }
        text
    }

    /// Tidies up.
    fn leave(&self) {
        // What is not empty, or is gone, is somebody else's now.
        for worker in &self.state.workers {
            let _ = fs::remove_file(self.state.socket(worker.number));
        }
        let _ = fs::remove_dir(&self.state.folder);
    }
}

/// A folder that only this user may look into, for sockets through which anything can be commanded.
fn private_folder() -> anyhow::Result<PathBuf> {
    let base = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from);
    let base = base
        .filter(|base| base.is_dir())
        .unwrap_or_else(std::env::temp_dir);
    let id = std::process::id();
    for attempt in 0..100 {
        let folder = base.join(format!("plimsoll-{id}-{attempt}"));
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let place = folder.display();
                return Err(error).with_context(|| format!("cannot make the folder {place}"));
            }
        }
    }
    anyhow::bail!("cannot make a folder of our own in {}", base.display())
}

/// The socket of `-S`.
fn listener(bind: &Bind) -> anyhow::Result<(OwnedFd, Address)> {
    let address = match &bind.address {
        BindAddress::Inet(address) => Address::Inet(*address),
        BindAddress::Unix(path) => Address::Unix(path.clone()),
        BindAddress::Abstract(name) => Address::Abstract(name.as_bytes().into()),
        BindAddress::Inherited(descriptor) => {
            let socket = listen::inherited(*descriptor)?;
            return Ok(listen::adopt(socket)?);
        }
    };
    let options = ListenOptions {
        unix_mode: bind.unix.mode,
        unix_uid: bind.unix.user,
        unix_gid: bind.unix.group,
        ..ListenOptions::default()
    };
    let socket =
        listen::listen(&address, &options).context("cannot listen at the place of '-S'")?;
    Ok((socket, address))
}
