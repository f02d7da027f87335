//! The listening sockets of the process: which there are, and which a new model wants.
//!
//! ```text
//! model ──want──► Wanted ──┬── same address as before ──► stays, its options are adjusted
//!                          ├── handed over by an older process ──► taken
//!                          └── else ──► opened
//! ```
//! A listener that stays is not touched, so that no connection in its backlog is lost. What is absent: accepting
//! ([`crate::listener`]), and command sockets ([`crate::control::admin`]).

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use plimsoll_policy::model::{
    Bind, BindAddress, Frontend, FrontendId, Mode, Model, Probes, UnixOwner,
};
use plimsoll_policy::plane::{FrontendState, Plane};
use plimsoll_sys::address::Address;
use plimsoll_sys::listen::{self, ListenOptions};
use plimsoll_sys::socket::Keepalive;

use crate::control::admin::desk::Gates;
use crate::engine::ListenError;
use crate::listener::Entrance;
use crate::orders::Fresh;

/// Shortest timeout of a silent client beside which a second more is little.
const DEFERRED_SILENCE_MIN_MS: u64 = 5_000;

/// What makes two binds one listener. Other options can be changed while it stays.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    address: BindAddress,
    interface: Option<String>,
    transparent: bool,
    only_v6: Option<bool>,
    /// Of a unix socket: another owner means another file.
    unix: UnixOwner,
}

impl Key {
    fn of(bind: &Bind) -> Self {
        Self {
            address: bind.address.clone(),
            interface: bind.interface.clone(),
            transparent: bind.transparent,
            only_v6: bind.only_v6,
            unix: bind.unix,
        }
    }
}

/// A listener of the process.
#[derive(Debug)]
pub(crate) struct Standing {
    number: u64,
    key: Key,
    options: ListenOptions,
    /// Our own descriptors of the sockets that workers accept from: for options, and to be handed to a newer process.
    sockets: Arc<[OwnedFd]>,
}

/// All listeners of the process.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    standing: Vec<Standing>,
    next_number: u64,
    /// Handed over by an older process, and not taken yet.
    inherited: Vec<(OwnedFd, Address)>,
}

/// Where connections of a listener go in a plane.
#[derive(Clone)]
pub(crate) struct Fixture {
    pub(crate) number: u64,
    pub(crate) frontend: FrontendId,
    /// Index of the bind within the frontend.
    pub(crate) bind: usize,
    pub(crate) eager: bool,
}

/// What a model wants, ready to be put into effect; dropped, nothing has happened.
pub(crate) struct Wanted {
    standing: Vec<Standing>,
    next_number: u64,
    pub(crate) fixtures: Vec<Fixture>,
    /// New sockets of each worker.
    pub(crate) fresh: Vec<Vec<Fresh>>,
}

impl Sockets {
    /// Offers listening sockets of an older process, to be taken by whatever wants their addresses.
    pub(crate) fn inherit(&mut self, sockets: Vec<OwnedFd>) {
        // What does not listen is of no use to anybody.
        let adopted = sockets.into_iter().map(listen::adopt);
        self.inherited = adopted.filter_map(io::Result::ok).collect();
    }

    /// Opens what a plane wants and is not there yet, or tells of all that cannot be opened.
    pub(crate) fn prepare(
        &mut self,
        plane: &Plane,
        workers: usize,
        gates: &Gates,
    ) -> Result<Wanted, Vec<ListenError>> {
        let mut errors = Vec::new();
        let mut wanted = Wanted {
            standing: Vec::new(),
            next_number: self.next_number,
            fixtures: Vec::new(),
            fresh: (0..workers).map(|_| Vec::new()).collect(),
        };
        let model = &plane.model;
        for (id, frontend) in (0..).map(FrontendId).zip(&model.frontends) {
            if frontend.disabled || plane.frontend(id).state() == FrontendState::Stopped {
                continue;
            }
            for (index, bind) in frontend.binds.iter().enumerate() {
                let place = (id, index);
                let got = self.want(model, (frontend, bind), place, gates, &mut wanted);
                errors.extend(got.err().map(|error| {
                    let of = format!("frontend {}", frontend.name);
                    ListenError::new(bind, of, error)
                }));
            }
        }
        match errors.is_empty() {
            true => Ok(wanted),
            false => Err(errors),
        }
    }

    fn want(
        &mut self,
        model: &Model,
        (frontend, bind): (&Frontend, &Bind),
        (id, index): (FrontendId, usize),
        gates: &Gates,
        wanted: &mut Wanted,
    ) -> io::Result<()> {
        let key = Key::of(bind);
        let options = listen_options(model, frontend, bind);
        // A client of HTTP speaks first, and has mostly done so by the time it is accepted.
        let eager = bind.defer_accept || frontend.mode == Mode::Http;
        let taken = |number| {
            let mut fixtures = wanted.fixtures.iter();
            fixtures.any(|fixture| fixture.number == number)
        };
        let mut standing = self.standing.iter();
        let stays = standing.find(|known| known.key == key && !taken(known.number));
        let (number, sockets) = match stays {
            Some(known) => (known.number, Arc::clone(&known.sockets)),
            None => {
                let number = wanted.next_number;
                wanted.next_number += 1;
                let sockets = self.open(bind, &options, wanted.fresh.len())?;
                for (position, socket) in sockets.iter().enumerate() {
                    let worker = position % wanted.fresh.len().max(1);
                    wanted.fresh[worker].push(Fresh {
                        socket: socket.try_clone()?,
                        eager,
                        entrance: Entrance::new(number, (id, index), gates),
                    });
                }
                (number, sockets.into())
            }
        };
        wanted.fixtures.push(Fixture {
            number,
            frontend: id,
            bind: index,
            eager,
        });
        wanted.standing.push(Standing {
            number,
            key,
            options,
            sockets,
        });
        Ok(())
    }

    /// One socket per worker: of their own where the kernel can spread connections over them, else shared. An older
    /// process may have had more.
    fn open(
        &mut self,
        bind: &Bind,
        options: &ListenOptions,
        workers: usize,
    ) -> io::Result<Vec<OwnedFd>> {
        let address = match &bind.address {
            BindAddress::Inet(address) => Address::Inet(*address),
            BindAddress::Unix(path) => Address::Unix(path.clone()),
            BindAddress::Abstract(name) => Address::Abstract(name.as_bytes().into()),
            BindAddress::Inherited(descriptor) => {
                return share(listen::inherited(*descriptor)?, workers);
            }
        };
        let mut sockets: Vec<OwnedFd> = self
            .inherited
            .extract_if(.., |(_, known)| *known == address)
            .map(|(socket, _)| socket)
            .collect();
        for socket in &sockets {
            listen::adjust(socket.as_fd(), options)?;
        }
        let first = match sockets.pop() {
            Some(socket) => socket,
            None => listen::listen(&address, options)?,
        };
        if address.is_unix() {
            let mut shared = share(first, workers)?;
            shared.append(&mut sockets);
            return Ok(shared);
        }
        // Port 0 is chosen once, for all of them.
        let address = plimsoll_sys::socket::local_address(first.as_fd())?;
        sockets.push(first);
        while sockets.len() < workers {
            match listen::listen(&address, options) {
                Ok(socket) => sockets.push(socket),
                // The older process did not allow others beside its own sockets.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    sockets.push(sockets[0].try_clone()?);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(sockets)
    }

    /// Puts what was prepared into effect, and gives up our part of what is wanted no more.
    pub(crate) fn settle(&mut self, standing: Vec<Standing>, next_number: u64) {
        let before = std::mem::replace(&mut self.standing, standing);
        self.next_number = next_number;
        for now in &self.standing {
            let known = before.iter().find(|known| known.number == now.number);
            if let Some(known) = known
                && known.options != now.options
            {
                for socket in now.sockets.iter() {
                    // What the kernel refuses stays as it was; the listener works on.
                    let _ = listen::adjust(socket.as_fd(), &now.options);
                }
            }
        }
        let is_wanted = |path: &PathBuf| {
            let mut standing = self.standing.iter();
            standing.any(|now| matches!(&now.key.address, BindAddress::Unix(own) if own == path))
        };
        for known in before {
            if let BindAddress::Unix(path) = &known.key.address
                && !is_wanted(path)
            {
                // Whoever removed it did our work.
                let _ = std::fs::remove_file(path);
            }
        }
    }

    /// Forgets the listeners of a frontend whose addresses are given up.
    pub(crate) fn forget(&mut self, numbers: &[u64]) {
        self.standing
            .retain(|known| !numbers.contains(&known.number));
    }

    /// The numbers of the listeners with these addresses.
    pub(crate) fn numbers_of(&self, binds: &[Bind]) -> Vec<u64> {
        let keys: Vec<_> = binds.iter().map(Key::of).collect();
        let standing = self.standing.iter();
        standing
            .filter(|known| keys.contains(&known.key))
            .map(|known| known.number)
            .collect()
    }

    /// Gives up our part of everything: workers alone hold the sockets from now on.
    pub(crate) fn abandon(&mut self) {
        self.standing.clear();
        self.inherited.clear();
    }

    /// Every socket, to be handed to a newer process.
    pub(crate) fn all(&self) -> Vec<OwnedFd> {
        let sockets = self.standing.iter().flat_map(|known| known.sockets.iter());
        sockets.filter_map(|socket| copy(socket.as_fd())).collect()
    }
}

impl Wanted {
    /// The parts: what stands from now on, what workers are told, what they are given.
    pub(crate) fn into_parts(self) -> (Vec<Standing>, u64, Vec<Fixture>, Vec<Vec<Fresh>>) {
        (self.standing, self.next_number, self.fixtures, self.fresh)
    }
}

fn copy(socket: BorrowedFd<'_>) -> Option<OwnedFd> {
    socket.try_clone_to_owned().ok()
}

fn share(socket: OwnedFd, workers: usize) -> io::Result<Vec<OwnedFd>> {
    let mut sockets = (1..workers)
        .map(|_| socket.try_clone())
        .collect::<io::Result<Vec<_>>>()?;
    sockets.push(socket);
    Ok(sockets)
}

fn listen_options(model: &Model, frontend: &Frontend, bind: &Bind) -> ListenOptions {
    let tune = &model.global.tune;
    ListenOptions {
        backlog: bind
            .backlog
            .or(frontend.backlog)
            .unwrap_or(listen::BACKLOG_DEFAULT),
        defer_accept_seconds: u32::from(bind.defer_accept || may_defer_accept(frontend, bind)),
        fast_open_queue: if bind.fast_open {
            listen::BACKLOG_DEFAULT
        } else {
            0
        },
        interface: bind.interface.clone(),
        segment_bytes: bind
            .segment_bytes
            .and_then(|bytes| u32::try_from(bytes).ok()),
        user_timeout_ms: bind
            .user_timeout_ms
            .map(|ms| u32::try_from(ms).unwrap_or(u32::MAX)),
        v6_only: bind.only_v6,
        transparent: bind.transparent,
        save_syn: bind.save_syn,
        receive_buffer_bytes: tune.receive_buffer_client_bytes,
        send_buffer_bytes: tune.send_buffer_client_bytes,
        keepalive: keepalive(frontend.keepalive_probes, frontend.probes),
        unix_mode: bind.unix.mode,
        unix_uid: bind.unix.user,
        unix_gid: bind.unix.group,
        ..ListenOptions::default()
    }
}

/// How the kernel is to probe silent connections.
pub(crate) fn keepalive(wanted: bool, probes: Probes) -> Option<Keepalive> {
    wanted.then_some(Keepalive {
        idle_seconds: probes.idle_s,
        interval_seconds: probes.interval_s,
        count: probes.count,
    })
}

/// Whether connections may stay with the kernel until their first bytes are there (`TCP_DEFER_ACCEPT`, tcp(7)).
///
/// A client of HTTP speaks first, and what it says is mostly a moment behind its connection: not to be woken for the
/// connection alone saves a fifth of what a short one costs. A silent client is seen a second later, so this is done
/// only where nobody judges or counts connections as such, and where that second is little beside its timeout.
fn may_defer_accept(frontend: &Frontend, bind: &Bind) -> bool {
    let timeouts = &frontend.timeouts;
    let mut silence_ms = [timeouts.http_request_ms, timeouts.client_ms]
        .into_iter()
        .flatten();
    frontend.mode == Mode::Http
        && !bind.accept_proxy
        && frontend.rules.connection.is_empty()
        && frontend.rules.session.is_empty()
        && silence_ms.all(|ms| ms >= DEFERRED_SILENCE_MIN_MS)
}

/// An address as messages show it.
pub(crate) fn display(address: &BindAddress) -> String {
    match address {
        BindAddress::Inet(address) => address.to_string(),
        BindAddress::Unix(path) => path.display().to_string(),
        BindAddress::Abstract(name) => format!("abns@{}", name.trim_end_matches('\0')),
        BindAddress::Inherited(descriptor) => format!("fd@{descriptor}"),
    }
}
