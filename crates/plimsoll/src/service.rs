//! The life of a balancer as a process: background, privileges, signals, end.
//!
//! What is absent: the balancer itself. [`serve`] starts an engine with a finished model and stays until a signal
//! ends it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use plimsoll_engine::{Engine, Handle, Options};
use plimsoll_policy::model::{Backend, Global, Model};
use plimsoll_policy::saved::{self, Extent, Saved, States};
use plimsoll_policy::stats::file::{self, Recalled};
use plimsoll_sys::clock;
use plimsoll_sys::handover;
use plimsoll_sys::process::{self, Forked};
use plimsoll_sys::signal::{self, Signal, Signals};
use plimsoll_sys::{capability, limit, user};

use crate::console;
use crate::reload;

/// How often the end of the workers is looked for while they end.
const END_POLL: Duration = Duration::from_millis(5);

/// How long exchanges that are cut off have for their lines in the log.
const LAST_LINES: Duration = Duration::from_millis(500);

/// How long workers may take to end at once; the process leaves without them afterwards.
const END_POLLS_MAX: u32 = 200;

/// How long an older process may take to hand its listeners over.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(5);

/// Most that is read of what an older process says of its servers.
const STATES_BYTES_MAX: u64 = 256 << 20;

/// Descriptors beside two per connection: listeners, logs, the terminal.
const DESCRIPTORS_RESERVED: u64 = 200;

const NS_PER_S: u64 = 1_000_000_000;

/// How the process lives.
#[derive(Default)]
pub(crate) struct Life {
    /// Where the configuration comes from, for reloads.
    pub(crate) source: Option<reload::Source>,
    /// What was said of the configuration when it was read: lines.
    pub(crate) remarks: String,
    /// Reload when the files change.
    pub(crate) watch: bool,
    /// The name the program was called by; it stands in log lines without a `log-tag`.
    pub(crate) name: String,
    /// Go to the background once listening.
    pub(crate) background: bool,
    /// The line to a master that has started this process.
    pub(crate) line: Option<Arc<UnixStream>>,
    /// Tell the service manager when ready (`NOTIFY_SOCKET`).
    pub(crate) notify: bool,
    pub(crate) quiet: bool,
    pub(crate) pidfile: Option<PathBuf>,
    /// The command socket of a process that hands its listeners over (`-x`).
    pub(crate) predecessor: Option<PathBuf>,
    /// Processes to signal once we listen.
    pub(crate) old: Vec<u32>,
    /// What to send them.
    pub(crate) old_signal: Option<Signal>,
}

/// Serves until a signal ends it; the result is the exit status.
///
/// # Errors
/// Whatever keeps the balancer from starting.
pub(crate) fn serve(model: Model, life: &Life) -> anyhow::Result<u8> {
    beside(life.background, |ready| live(model, life, ready))
}

/// Does something in this process, or in the background, where it tells over a line when it is ready.
///
/// # Errors
/// Whatever it fails with here; in the background it says so itself.
pub(crate) fn beside(
    background: bool,
    run: impl FnOnce(Option<UnixStream>) -> anyhow::Result<u8>,
) -> anyhow::Result<u8> {
    if !background {
        return run(None);
    }
    // Listening may fail, and the caller wants to know: the parent stays until the child is ready.
    let (mut parent, child) = UnixStream::pair()?;
    match process::fork()? {
        Forked::Parent { .. } => {
            drop(child);
            let mut ready = [0];
            // A child that failed has said why, and closed its end.
            Ok(u8::from(parent.read_exact(&mut ready).is_err()))
        }
        Forked::Child => {
            drop(parent);
            run(Some(child))
        }
    }
}

fn live(model: Model, life: &Life, ready: Option<UnixStream>) -> anyhow::Result<u8> {
    // Before any thread, so that all of them leave the signals to this one.
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
    // Out of reach behind 'chroot'.
    let ready = ready.map(|parent| Ok::<_, io::Error>((parent, process::null()?)));
    let ready = ready.transpose()?;
    let global = model.global.clone();
    raise_descriptor_limit(&global, life.quiet);
    let saved = saved_states(&model, life);
    let counters = recalled(&model);
    let (settled, pidfile) = (global, life.pidfile.clone());
    let foreign = uses_foreign_addresses(&model);
    let engine = Engine::start(
        model,
        Options {
            saved,
            counters,
            name: life.name.clone(),
            remarks: life.remarks.clone(),
            loader: life.source.clone().map(reload::Source::into_loader),
            inherited: match &life.predecessor {
                Some(socket) => listeners_of(socket)?,
                None => Vec::new(),
            },
            settle: Some(Box::new(move || {
                settle(&settled, pidfile.as_deref(), foreign).map_err(|error| format!("{error:#}"))
            })),
        },
    )?;
    if let Some(source) = life.source.clone().filter(|_| life.watch) {
        reload::watch(source, engine.handle())?;
    }
    if life.notify {
        watchdog(engine.handle(), || notify("WATCHDOG=1\n"))?;
        notify(&format!("READY=1\nMAINPID={}\n", std::process::id()));
    }
    retire_old(life);
    if let Some(line) = &life.line {
        tie(engine.handle(), line)?;
    }
    if let Some((mut parent, null)) = ready {
        process::detach(&null)?;
        // The parent may have been killed meanwhile; that is no reason to stop.
        let _ = parent.write_all(&[1]);
    }
    obey(&signals, engine, life)
}

/// The states that servers begin with: from files (`load-server-state-from-file`), and from the worker that this one
/// follows under the same master. What cannot be had is told and left out.
fn saved_states(model: &Model, life: &Life) -> Vec<(Vec<Saved>, Extent)> {
    let take = |from: &Path, text: io::Result<String>| {
        let text = text.map_err(|error| error.to_string());
        let states = text.and_then(|text| saved::read(&text));
        let from = from.display();
        let states = states.unwrap_or_else(|problem| {
            console::complain(&format!("no server states from {from}: {problem}"));
            States::default()
        });
        for problem in &states.problems {
            console::complain(&format!("server states from {from}: {problem}"));
        }
        states.servers
    };
    let mut all = Vec::new();
    let files = model.backends.iter();
    let files: BTreeSet<_> = files
        .filter_map(|backend| backend.state_file.as_ref())
        .collect();
    for file in files {
        let from = |backend: &&Backend| backend.state_file.as_ref() == Some(file);
        let names = model.backends.iter().filter(from);
        let names: BTreeSet<_> = names.map(|backend| &backend.name).collect();
        let mut states = take(file, std::fs::read_to_string(file));
        // A file says nothing of backends that do not ask it.
        states.retain(|state| names.contains(&state.backend));
        all.push((states, Extent::File));
    }
    if let (Some(_), Some(socket)) = (&life.line, &life.predecessor) {
        all.push((take(socket, states_of(socket)), Extent::Heritage));
    }
    all
}

/// What counters begin with (`stats-file`). What cannot be had is told and left out.
fn recalled(model: &Model) -> Vec<Recalled> {
    let Some(path) = &model.global.stats_file else {
        return Vec::new();
    };
    let read = || {
        let (source, mut text) = (File::open(path)?, String::new());
        source.take(STATES_BYTES_MAX).read_to_string(&mut text)?;
        io::Result::Ok(text)
    };
    match read() {
        Ok(text) => {
            let read = file::read(&text, model, clock::wall_ns() / NS_PER_S);
            for problem in &read.problems {
                console::complain(&format!("stats-file {}: {problem}", path.display()));
            }
            read.counters
        }
        Err(error) => {
            console::complain(&format!("no counters from {}: {error}", path.display()));
            Vec::new()
        }
    }
}

/// What a running process says of its servers.
fn states_of(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(HAND_OVER_PATIENCE))?;
    stream.set_write_timeout(Some(HAND_OVER_PATIENCE))?;
    stream.write_all(b"show servers state\n")?;
    stream.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    stream.take(STATES_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// The listening sockets of the process behind a command socket.
fn listeners_of(socket: &Path) -> anyhow::Result<Vec<OwnedFd>> {
    let ask = || -> io::Result<Vec<OwnedFd>> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(HAND_OVER_PATIENCE))?;
        stream.set_write_timeout(Some(HAND_OVER_PATIENCE))?;
        handover::ask(&stream)
    };
    let place = socket.display();
    ask().with_context(|| format!("cannot get the sockets of the old process at {place}"))
}

/// Waits for signals and does what they say, until one of them has ended the engine.
fn obey(signals: &Signals, engine: Engine, life: &Life) -> anyhow::Result<u8> {
    loop {
        match signals.wait()? {
            Signal::Interrupt | Signal::Terminate => return Ok(end_now(&engine, life)),
            Signal::User1 => return end_gracefully(signals, engine, life),
            Signal::Hangup | Signal::User2 => reload(&engine, life),
            Signal::TerminalOutput => pause(&engine, true),
            Signal::TerminalInput => pause(&engine, false),
            _ => {}
        }
    }
}

/// Stops accepting, or goes on with it; which frontends that is news for is told.
fn pause(engine: &Engine, paused: bool) {
    let done = if paused { "paused" } else { "resumed" };
    for name in engine.handle().pause(paused) {
        console::complain(&format!("{done} frontend {name}"));
    }
}

/// Reads the configuration anew; whatever comes of it is told.
fn reload(engine: &Engine, life: &Life) {
    if life.notify {
        let now_us = clock::monotonic_ns() / 1_000;
        notify(&format!("RELOADING=1\nMONOTONIC_USEC={now_us}\n"));
    }
    reload::tell(&engine.handle().reload(), life.quiet);
    if life.notify {
        notify("READY=1\n");
    }
}

fn end_now(engine: &Engine, life: &Life) -> u8 {
    if life.notify {
        notify("STOPPING=1\n");
    }
    engine.stop_now();
    for _ in 0..END_POLLS_MAX {
        if engine.is_finished() {
            break;
        }
        thread::sleep(END_POLL);
    }
    0
}

/// Lets running work end; a second signal ends it at once, and so does `hard-stop-after`.
fn end_gracefully(signals: &Signals, engine: Engine, life: &Life) -> anyhow::Result<u8> {
    let global = engine.handle().global();
    if life.notify {
        notify("STOPPING=1\n");
    }
    // Others may need a while to learn that nothing more is to be sent here (`grace`).
    let grace = Some(Duration::from_millis(global.grace_ms)).filter(|grace| !grace.is_zero());
    if grace.is_some()
        && let Some(status) = until(signals, &engine, life, grace, || false)?
    {
        return Ok(status);
    }
    engine.stop_gracefully();
    let patience = global.hard_stop_after_ms.map(Duration::from_millis);
    let finished = || engine.is_finished();
    if let Some(status) = until(signals, &engine, life, patience, finished)? {
        return Ok(status);
    }
    if !engine.is_finished() {
        console::complain("'hard-stop-after' has passed: connections that are left are closed");
        engine.cut_off();
        let status = until(signals, &engine, life, Some(LAST_LINES), || {
            engine.is_finished()
        })?;
        return Ok(status.unwrap_or_else(|| end_now(&engine, life)));
    }
    engine.wait();
    Ok(0)
}

/// Waits for something, at most so long. A signal that ends the process at once gives its status.
fn until(
    signals: &Signals,
    engine: &Engine,
    life: &Life,
    patience: Option<Duration>,
    enough: impl Fn() -> bool,
) -> anyhow::Result<Option<u8>> {
    let begun = Instant::now();
    while !enough() && patience.is_none_or(|patience| begun.elapsed() < patience) {
        match signals.next()? {
            Some(Signal::Interrupt | Signal::Terminate) => return Ok(Some(end_now(engine, life))),
            _ => thread::sleep(END_POLL),
        }
    }
    Ok(None)
}

/// Two descriptors per connection are wanted; what cannot be had lowers the number of connections, not the start.
fn raise_descriptor_limit(global: &Global, quiet: bool) {
    let before = limit::descriptor_limit();
    let wanted = match (global.descriptor_limit, global.maxconn) {
        (Some(descriptors), _) => u64::from(descriptors),
        (None, Some(maxconn)) => u64::from(maxconn) * 2 + DESCRIPTORS_RESERVED,
        (None, None) => before.ceiling,
    };
    if wanted <= before.now {
        return;
    }
    let reached = limit::raise_descriptor_limit(wanted).unwrap_or(before.now);
    if reached < wanted && !quiet {
        console::complain(&format!(
            "the descriptor limit is {reached}, and {wanted} are wanted; not all connections may find one"
        ));
    }
}

pub(crate) fn write_pidfile(path: &Path) -> anyhow::Result<()> {
    std::fs::write(path, format!("{}\n", std::process::id()))
        .with_context(|| format!("cannot write the pid file {}", path.display()))
}

/// What is to be done with root's power, and then without it, before there are threads. `foreign`: connections come from
/// addresses that are not this machine's.
fn settle(global: &Global, pidfile: Option<&Path>, foreign: bool) -> anyhow::Result<()> {
    if let Some(path) = pidfile {
        write_pidfile(path)?;
    }
    drop_privileges(global)?;
    if foreign && !capability::may_use_foreign_addresses() {
        console::complain(
            "'usesrc' takes the capability cap_net_raw or cap_net_admin, and this process has neither: its connections will \
             fail ('setcap' keeps one beside 'user')",
        );
    }
    Ok(())
}

/// Whether connections to some server come from addresses that need not be this machine's.
fn uses_foreign_addresses(model: &Model) -> bool {
    model.backends.iter().any(|backend| {
        let sources = backend.servers.iter();
        let mut sources = sources.filter_map(|server| backend.source_of(server));
        sources.any(|source| source.foreign.is_some())
    })
}

/// Goes into the cage and gives up root, in the order that works. Listening sockets are open already.
fn drop_privileges(global: &Global) -> anyhow::Result<()> {
    let (uid, gid) = account(global)?;
    if let Some(directory) = &global.chroot {
        process::change_root(directory)
            .with_context(|| format!("cannot make {} the root directory", directory.display()))?;
    }
    let kept = capability::Capability::NAMES.iter();
    let kept: Vec<_> = kept
        .filter(|(name, _)| global.capabilities.contains(name))
        .map(|(_, capability)| *capability)
        .collect();
    user::become_user(uid, gid, &kept).context("cannot become the configured user")
}

/// The numbers of `user` and `group`, asked for while the user database is still in reach.
fn account(global: &Global) -> anyhow::Result<(Option<u32>, Option<u32>)> {
    if !user::is_root() {
        // HAProxy's files name a user for the case that root starts them; others cannot change theirs.
        return Ok((None, None));
    }
    let user_of = |name: &str| Ok(user::user_by_name(name)?.map(|user| user.uid));
    let user = global.user.as_ref();
    let user = user
        .map(|name| numbered("user", name, user_of))
        .transpose()?;
    let group = global.group.as_ref();
    let group = group
        .map(|name| numbered("group", name, user::group_by_name))
        .transpose()?;
    Ok((user, group))
}

/// What a name stands for; a number, as `uid` and `gid` have it, for itself.
fn numbered(
    what: &str,
    name: &str,
    find: impl FnOnce(&str) -> io::Result<Option<u32>>,
) -> anyhow::Result<u32> {
    match name.parse() {
        Ok(number) => Ok(number),
        Err(_) => find(name)?.with_context(|| format!("no {what} '{name}'")),
    }
}

/// Tells a service manager that asks for it (`WATCHDOG_USEC`), by `tell`, that the workers turn, for as long as they do.
fn watchdog(handle: Handle, tell: impl Fn() + Send + 'static) -> io::Result<()> {
    let asked = std::env::var("WATCHDOG_USEC").ok();
    let Some(period_us) = asked.and_then(|text| text.parse::<u64>().ok()) else {
        return Ok(());
    };
    // Twice in a period, as sd_watchdog_enabled(3) recommends.
    let half = Duration::from_micros(period_us / 2).max(END_POLL);
    thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || {
            loop {
                if handle.is_alive(half) {
                    tell();
                }
                thread::sleep(half);
            }
        })?;
    Ok(())
}

/// Tells the master that this worker serves, and that it lives; ends when the master does.
fn tie(handle: Handle, line: &Arc<UnixStream>) -> io::Result<()> {
    let beat = |line: &UnixStream| {
        let mut line = line;
        line.write_all(&[1])
    };
    beat(line)?;
    let own = Arc::clone(line);
    watchdog(handle, move || {
        // A master that is gone is found out below.
        let _ = beat(&own);
    })?;
    let own = Arc::clone(line);
    thread::Builder::new()
        .name("tie".to_owned())
        .spawn(move || {
            // A master says nothing: this ends when it does.
            while matches!((&*own).read(&mut [0]), Ok(1..)) {}
            let _ = signal::send(std::process::id(), Signal::Terminate);
        })?;
    Ok(())
}

/// Tells the service manager; without one nothing happens.
pub(crate) fn notify(message: &str) {
    if let Some(name) = std::env::var_os("NOTIFY_SOCKET") {
        // A manager that does not listen is its own trouble.
        let _ = send_notice(name.as_bytes(), message);
    }
}

fn send_notice(name: &[u8], message: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
    };
    socket.send_to_addr(message.as_bytes(), &address).map(drop)
}

/// Signals the processes that hand over to this one.
fn retire_old(life: &Life) {
    let Some(signal) = life.old_signal else {
        return;
    };
    for &pid in &life.old {
        if let Err(error) = signal::send(pid, signal) {
            console::complain(&format!("cannot signal process {pid}: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_policy::model::CAPABILITIES;
    use plimsoll_sys::capability::Capability;

    #[test]
    fn every_capability_that_can_be_named_can_be_kept() {
        let known = Capability::NAMES.map(|(name, _)| name);
        assert_eq!(known, CAPABILITIES);
    }
}
