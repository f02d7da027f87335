//! The command sockets (`stats socket`): a thread of its own that answers commands and orders what they ask for.
//!
//! Read [`dialogue`](self::dialogue) for what a connection sees, [`desk`](self::desk) for what stands behind the answers.
//! [`page`](self::page) is the same knowledge over HTTP.
//! What is absent: the commands (`policy::command`), and anything that could make a worker wait.

pub(crate) mod desk;
mod dialogue;
mod meters;
pub(crate) mod page;

use std::fs;
use std::io;
use std::net::TcpListener as StdTcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use plimsoll_policy::model::{AccessLevel, Bind, BindAddress, Model};
use plimsoll_sys::address::Address;
use plimsoll_sys::listen::{self, ListenOptions};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, Semaphore};

use desk::Desk;

/// Connections to command sockets served at once; further ones wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 64;

/// Pause after accepting failed for want of descriptors.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// How often rates are measured.
const METER_PERIOD: Duration = Duration::from_secs(1);

/// A listening command socket.
pub(crate) struct Door {
    socket: OwnedFd,
    is_unix: bool,
    level: AccessLevel,
    file: Option<SocketFile>,
}

impl Door {
    /// Opens one `stats socket`.
    pub(crate) fn open(bind: &Bind) -> io::Result<Self> {
        let options = ListenOptions {
            backlog: bind.backlog.unwrap_or(CONNECTIONS_MAX as u32),
            interface: bind.interface.clone(),
            v6_only: bind.only_v6,
            unix_mode: bind.unix.mode,
            unix_uid: bind.unix.user,
            unix_gid: bind.unix.group,
            ..ListenOptions::default()
        };
        let address = match &bind.address {
            BindAddress::Inet(address) => Address::Inet(*address),
            BindAddress::Unix(path) => Address::Unix(path.clone()),
            BindAddress::Abstract(name) => Address::Abstract(name.as_bytes().into()),
            BindAddress::Inherited(descriptor) => {
                let (socket, address) = listen::adopt(listen::inherited(*descriptor)?)?;
                return Ok(Self {
                    socket,
                    is_unix: address.is_unix(),
                    level: bind.level,
                    file: None,
                });
            }
        };
        let socket = listen::listen(&address, &options)?;
        let file = match &address {
            Address::Unix(path) => SocketFile::of(path),
            _ => None,
        };
        Ok(Self {
            socket,
            is_unix: address.is_unix(),
            level: bind.level,
            file,
        })
    }
}

/// The file of a unix socket that we made; another process may have put its own there since.
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Path) -> Option<Self> {
        let known = fs::symlink_metadata(path).ok()?;
        Some(Self {
            path: path.to_owned(),
            device: known.dev(),
            inode: known.ino(),
        })
    }

    /// Removes the file if it is still ours.
    fn remove(&self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode) {
            // Whoever removed it in this very moment did our work.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The running thread.
pub(crate) struct Admin {
    ending: Arc<Notify>,
    thread: JoinHandle<()>,
    files: Vec<SocketFile>,
}

impl Admin {
    /// Starts to answer on these sockets, and to measure rates.
    pub(crate) fn start(mut doors: Vec<Door>, desk: Arc<Desk>) -> io::Result<Self> {
        let files = doors.iter_mut().filter_map(|door| door.file.take());
        let files = files.collect();
        let ending = Arc::new(Notify::new());
        let ended = Arc::clone(&ending);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let thread = thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
                    for door in doors {
                        tokio::spawn(receive(door, Arc::clone(&room), Arc::clone(&desk)));
                    }
                    tokio::select! {
                        () = measure(&desk) => {}
                        () = ended.notified() => {}
                    }
                });
                // A connection in the middle of an answer is no reason to stay.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            ending,
            thread,
            files,
        })
    }

    /// Ends the thread; socket files that are still ours disappear.
    pub(crate) fn stop(&self) {
        self.ending.notify_one();
        self.files.iter().for_each(SocketFile::remove);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Opens the command sockets of a model.
pub(crate) fn open(model: &Model) -> Result<Vec<Door>, (&Bind, io::Error)> {
    let binds = model.global.stats_sockets.iter();
    binds
        .map(|bind| Door::open(bind).map_err(|error| (bind, error)))
        .collect()
}

async fn measure(desk: &Desk) {
    let mut ticks = tokio::time::interval(METER_PERIOD);
    loop {
        ticks.tick().await;
        desk.measure();
    }
}

/// Accepts at one socket for as long as the thread runs.
async fn receive(door: Door, room: Arc<Semaphore>, desk: Arc<Desk>) {
    let level = door.level;
    if door.is_unix {
        let socket = UnixListener::from_std(StdUnixListener::from(door.socket));
        let Ok(socket) = socket else { return };
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            match socket.accept().await {
                Ok((stream, _)) => {
                    let desk = Arc::clone(&desk);
                    tokio::spawn(async move {
                        dialogue::hold(stream, &desk, level).await;
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(EXHAUSTED_PAUSE).await,
            }
        }
    }
    let socket = TcpListener::from_std(StdTcpListener::from(door.socket));
    let Ok(socket) = socket else { return };
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match socket.accept().await {
            Ok((stream, _)) => {
                let desk = Arc::clone(&desk);
                tokio::spawn(async move {
                    dialogue::hold(stream, &desk, level).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(EXHAUSTED_PAUSE).await,
        }
    }
}
