//! The command sockets (`stats socket`): a thread of its own that answers commands and orders what they ask for.
//!
//! Read [`dialogue`](self::dialogue) for what a connection sees, [`desk`](self::desk) for what stands behind the answers.
//! [`page`](self::page) is the same knowledge over HTTP.
//! What is absent: the commands (`policy::command`), and anything that could make a worker wait.

pub(crate) mod desk;
mod dialogue;
mod meters;
pub(crate) mod page;
pub(crate) mod service;

use std::fs;
use std::io;
use std::net::TcpListener as StdTcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll_policy::model::{AccessLevel, Bind, BindAddress, Model, Severity};
use plimsoll_sys::address::Address;
use plimsoll_sys::listen::{self, ListenOptions};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::background::Background;
use super::conductor::Conductor;
use crate::engine::ListenError;

/// Connections to command sockets served at once; further ones wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 64;

/// Pause after accepting failed for want of descriptors.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// The command sockets that a model wants.
pub(crate) struct Doors(Vec<Door>);

/// One of them.
struct Door {
    bind: Bind,
    /// `None`: it is open already.
    opened: Option<Opened>,
}

struct Opened {
    socket: OwnedFd,
    is_unix: bool,
    file: Option<SocketFile>,
}

impl Doors {
    /// Opens all command sockets of a model, or tells of all that cannot be opened.
    pub(crate) fn open(model: &Model) -> Result<Self, Vec<ListenError>> {
        Self::open_but(model, |_| false)
    }

    fn open_but(model: &Model, is_open: impl Fn(&Bind) -> bool) -> Result<Self, Vec<ListenError>> {
        let (mut doors, mut errors) = (Vec::new(), Vec::new());
        for bind in &model.global.stats_sockets {
            let opened = match is_open(bind) {
                true => Ok(None),
                false => Opened::new(bind).map(Some),
            };
            match opened {
                Ok(opened) => doors.push(Door {
                    bind: bind.clone(),
                    opened,
                }),
                Err(error) => {
                    errors.push(ListenError::new(bind, "stats socket".to_owned(), error));
                }
            }
        }
        match errors.is_empty() {
            true => Ok(Self(doors)),
            false => Err(errors),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Opened {
    fn new(bind: &Bind) -> io::Result<Self> {
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
            file,
        })
    }
}

/// An open command socket, as the rest of the process knows it.
struct Standing {
    bind: Bind,
    file: Option<SocketFile>,
    gate: Arc<DoorGate>,
}

/// What can be changed of an open command socket.
struct DoorGate {
    manner: Mutex<(AccessLevel, Severity)>,
    /// See [`Bind::exposes_listeners`].
    exposes: AtomicBool,
    closing: Notify,
}

impl DoorGate {
    /// What is allowed, and how errors begin.
    fn manner(&self) -> (AccessLevel, Severity) {
        *self.manner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether one command socket can stand for the other: they differ in nothing but what [`DoorGate`] can change.
fn is_same(one: &Bind, other: &Bind) -> bool {
    let other = Bind {
        level: one.level,
        severity: one.severity,
        exposes_listeners: one.exposes_listeners,
        name: one.name.clone(),
        number: one.number,
        ..other.clone()
    };
    *one == other
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

/// A socket on its way to the thread.
struct Arrival {
    opened: Opened,
    gate: Arc<DoorGate>,
}

/// The running thread.
pub(crate) struct Admin {
    thread: Background,
    standing: Mutex<Vec<Standing>>,
    arrivals: UnboundedSender<Arrival>,
}

impl Admin {
    /// Starts to answer on these sockets.
    pub(crate) fn start(doors: Doors, conductor: Arc<Conductor>) -> io::Result<Self> {
        let (arrivals, arriving) = unbounded_channel();
        let thread = Background::start("admin", move || async move {
            welcome(arriving, &conductor).await
        })?;
        let admin = Self {
            thread,
            standing: Mutex::default(),
            arrivals,
        };
        admin.adopt(doors);
        Ok(admin)
    }

    fn standing(&self) -> MutexGuard<'_, Vec<Standing>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the command sockets that a model wants and that are not open yet.
    pub(crate) fn prepare(&self, model: &Model) -> Result<Doors, Vec<ListenError>> {
        let standing = self.standing();
        Doors::open_but(model, |bind| {
            let mut standing = standing.iter();
            standing.any(|known| is_same(&known.bind, bind))
        })
    }

    /// Serves these command sockets from now on, and no others. Connections that are open stay so.
    pub(crate) fn adopt(&self, doors: Doors) {
        let mut standing = self.standing();
        let mut before = std::mem::take(&mut *standing);
        for Door { bind, opened } in doors.0 {
            let known = before.iter().position(|known| is_same(&known.bind, &bind));
            match (opened, known) {
                (None, Some(index)) => {
                    let known = before.swap_remove(index);
                    *known
                        .gate
                        .manner
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner) = (bind.level, bind.severity);
                    known.gate.exposes.store(bind.exposes_listeners, Relaxed);
                    standing.push(Standing { bind, ..known });
                }
                (Some(mut opened), _) => {
                    let gate = Arc::new(DoorGate {
                        manner: Mutex::new((bind.level, bind.severity)),
                        exposes: AtomicBool::new(bind.exposes_listeners),
                        closing: Notify::new(),
                    });
                    standing.push(Standing {
                        bind,
                        file: opened.file.take(),
                        gate: Arc::clone(&gate),
                    });
                    // A thread that has ended answers nobody.
                    let _ = self.arrivals.send(Arrival { opened, gate });
                }
                (None, None) => {}
            }
        }
        for gone in before {
            gone.gate.closing.notify_one();
            gone.file.iter().for_each(SocketFile::remove);
        }
    }

    /// Ends the thread; socket files that are still ours disappear.
    pub(crate) fn stop(&self) {
        self.thread.stop();
        let standing = self.standing();
        let files = standing.iter().filter_map(|known| known.file.as_ref());
        files.for_each(SocketFile::remove);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Has each socket that arrives served by a task of its own.
async fn welcome(mut arriving: UnboundedReceiver<Arrival>, conductor: &Arc<Conductor>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Some(Arrival { opened, gate }) = arriving.recv().await {
        let (room, conductor) = (Arc::clone(&room), Arc::clone(conductor));
        tokio::spawn(async move {
            tokio::select! {
                () = receive(opened, room, conductor, &gate) => {}
                () = gate.closing.notified() => {}
            }
        });
    }
}

/// Accepts at one socket for as long as the thread runs.
async fn receive(opened: Opened, room: Arc<Semaphore>, conductor: Arc<Conductor>, gate: &DoorGate) {
    if opened.is_unix {
        let socket = UnixListener::from_std(StdUnixListener::from(opened.socket));
        let Ok(socket) = socket else { return };
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            match socket.accept().await {
                Ok((stream, _)) => {
                    let exposes = gate.exposes.load(Relaxed);
                    let own = stream.as_fd().try_clone_to_owned().ok();
                    let hand_over = own.filter(|_| exposes);
                    serve(stream, &conductor, gate, place, hand_over);
                }
                Err(_) => tokio::time::sleep(EXHAUSTED_PAUSE).await,
            }
        }
    }
    let socket = TcpListener::from_std(StdTcpListener::from(opened.socket));
    let Ok(socket) = socket else { return };
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match socket.accept().await {
            Ok((stream, _)) => serve(stream, &conductor, gate, place, None),
            Err(_) => tokio::time::sleep(EXHAUSTED_PAUSE).await,
        }
    }
}

fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    conductor: &Arc<Conductor>,
    gate: &DoorGate,
    place: OwnedSemaphorePermit,
    hand_over: Option<OwnedFd>,
) {
    let (conductor, manner) = (Arc::clone(conductor), gate.manner());
    tokio::spawn(async move {
        dialogue::hold(stream, &conductor, manner, hand_over).await;
        drop(place);
    });
}
