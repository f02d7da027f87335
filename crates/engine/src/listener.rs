//! Taking connections in.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, ready};

use plimsoll_policy::context::SessionFacts;
use plimsoll_policy::model::{BackendId, FrontendId, ServerId};

use crate::control::admin::desk::Gates;
use crate::counters::Side;
use crate::gate::{Gate, Pass};
use crate::reactor::{Listener, Socket};
use crate::roster::{Introduction, Presence};
use crate::session::{self, Session};
use crate::worker::Worker;

/// Connections taken from the backlog of a listener that is given up; more of them are reset.
const FAREWELL_MAX: usize = 65_536;

/// Most workers there can be, each of which may be about to take one connection.
const WORKERS_MAX: u32 = 1_024;

/// Where connections come in, and the gates they pass. All of it follows the worker's plane.
pub(crate) struct Entrance {
    /// The listener's number in the process.
    pub(crate) number: u64,
    /// The frontend, and the index of the bind within it.
    place: Cell<(FrontendId, usize)>,
    /// The process's `maxconn`, then the frontend's.
    gates: RefCell<[Arc<Gate>; 2]>,
    /// The bind's, where its connections are counted.
    own_gate: RefCell<Option<Arc<Gate>>>,
}

impl Entrance {
    pub(crate) fn new(number: u64, place: (FrontendId, usize), gates: &Gates) -> Self {
        Self {
            number,
            place: Cell::new(place),
            gates: RefCell::new(gates.of_frontend(place.0)),
            own_gate: RefCell::new(gates.of_bind(place)),
        }
    }

    pub(crate) fn frontend(&self) -> FrontendId {
        self.place.get().0
    }

    /// Leads elsewhere from now on.
    pub(crate) fn lead_to(&self, place: (FrontendId, usize), gates: &Gates) {
        self.place.set(place);
        *self.gates.borrow_mut() = gates.of_frontend(place.0);
        *self.own_gate.borrow_mut() = gates.of_bind(place);
    }

    /// Whether so many more may pass.
    fn has_room_for(&self, connections: u32) -> bool {
        let gates = self.gates.borrow();
        let own = self.own_gate.borrow();
        let mut all = gates.iter().chain(own.as_ref());
        all.all(|gate| gate.room() >= connections)
    }

    /// All places under the limits, or none of them. The entrance may lead elsewhere by the next look.
    fn admit(&self, worker: &Worker) -> Poll<Admission> {
        match self.admit_by(|gate| gate.pass(|| worker.reactor.waker())) {
            Some(admission) => Poll::Ready(admission),
            None => Poll::Pending,
        }
    }

    /// As [`Self::admit`], without waiting.
    fn admit_now(&self) -> Option<Admission> {
        self.admit_by(Gate::pass_now)
    }

    fn admit_by(&self, pass: impl Fn(&Arc<Gate>) -> Option<Pass>) -> Option<Admission> {
        let [process, frontend] = &*self.gates.borrow();
        let own = match self.own_gate.borrow().as_ref().map(&pass) {
            Some(None) => return None,
            own => own.flatten(),
        };
        Some(Admission::new([pass(process)?, pass(frontend)?], own))
    }
}

/// A connection's places under the limits; given back when dropped.
pub(crate) struct Admission {
    passes: [Pass; 2],
    /// The place under the bind's limit, which is only held.
    _own: Option<Pass>,
    /// What the roster tells of it; `None`: it is on none.
    pub(crate) presence: Option<Presence>,
}

impl Admission {
    pub(crate) fn new(passes: [Pass; 2], own: Option<Pass>) -> Self {
        Self {
            passes,
            _own: own,
            presence: None,
        }
    }

    /// An operator wants the connection to end.
    pub(crate) fn is_doomed(&self) -> bool {
        self.presence.as_ref().is_some_and(Presence::is_doomed)
    }

    /// It has come to a server; `None`: it is at none any more.
    pub(crate) fn goes_to(&self, place: Option<(BackendId, ServerId)>) {
        if let Some(presence) = &self.presence {
            presence.goes_to(place);
        }
    }

    /// A header of the PROXY protocol tells where it really comes from.
    pub(crate) fn comes_from(&self, source: SocketAddr) {
        if let Some(presence) = &self.presence {
            presence.comes_from(source);
        }
    }

    /// Another request begins, the one with this number.
    pub(crate) fn asks(&self, requests: u32) {
        if let Some(presence) = &self.presence {
            presence.requests.store(requests, Relaxed);
        }
    }

    /// Client connections now open in the process.
    pub(crate) fn process(&self) -> u32 {
        self.passes[0].passed()
    }

    /// Client connections now open to the frontend.
    pub(crate) fn frontend(&self) -> u32 {
        self.passes[1].passed()
    }
}

/// Accepts until the listening socket fails; a worker that stops drops this task.
///
/// While there is no room nothing is accepted: who comes waits in the kernel's backlog.
pub(crate) async fn run(worker: Rc<Worker>, listener: Rc<Listener>, entrance: Rc<Entrance>) {
    while let Ok((socket, admission)) = poll_fn(|_| accept(&worker, &listener, &entrance)).await {
        let admission = match admission {
            Some(admission) => admission,
            None => poll_fn(|_| entrance.admit(&worker)).await,
        };
        keep_pace(&worker, &entrance).await;
        receive(&worker, socket, &entrance, admission);
    }
}

/// Takes the next connection, with its places under the limits where they are scarce.
fn accept(
    worker: &Worker,
    listener: &Listener,
    entrance: &Entrance,
) -> Poll<io::Result<(Socket, Option<Admission>)>> {
    // Each worker takes one at a time: while there is room for all of them, nobody has to be counted before.
    if entrance.has_room_for(WORKERS_MAX) {
        return listener.poll_accept().map_ok(|socket| (socket, None));
    }
    ready!(listener.poll_ready());
    let passes = ready!(entrance.admit(worker));
    // Where nobody is there any more the places are given back.
    listener
        .poll_accept()
        .map_ok(|socket| (socket, Some(passes)))
}

/// Waits until the process and the frontend take one more connection in this second, where there is a limit.
async fn keep_pace(worker: &Worker, entrance: &Entrance) {
    let tables = worker.tables();
    let (plane, id) = (&tables.plane, entrance.frontend());
    let own = tables.frontend(id).connection_rate;
    for (rate, pace) in [
        (plane.model.global.connection_rate, &*plane.pace),
        (own, &plane.frontend(id).pace),
    ] {
        let Some(rate) = rate else { continue };
        while let Err(until_ns) = pace.pass(rate, worker.reactor.now_ns()) {
            worker.reactor.sleep_until(until_ns).await;
        }
    }
}

/// Takes in what waits at a listener that is given up, as far as there is room: it was promised a connection.
pub(crate) fn farewell(worker: &Rc<Worker>, listener: &Listener, entrance: &Entrance) {
    for _ in 0..FAREWELL_MAX {
        let Some(admission) = entrance.admit_now() else {
            return;
        };
        let Some(socket) = listener.accept_now() else {
            return;
        };
        receive(worker, socket, entrance, admission);
    }
}

fn receive(worker: &Rc<Worker>, socket: Socket, entrance: &Entrance, admission: Admission) {
    let session = greet(worker, &socket, entrance, admission);
    if comes_from_a_privileged_port(&session) {
        session
            .tables
            .counters
            .refuse(Side::Client, "privileged_port");
        return;
    }
    if session.tables.frontend(session.frontend).linger_zero {
        let _ = socket.reset_on_close();
    }
    // A full table closes the connection, and counts it.
    let _ = worker.reactor.spawn(session::serve(session, socket));
}

/// `harden.reject-privileged-ports.tcp`: who may use the ports of services (RFC 6335 section 6) is no client.
fn comes_from_a_privileged_port(session: &Session) -> bool {
    session.tables.plane.model.global.rejects_privileged_ports
        && session
            .facts
            .source
            .is_some_and(|source| (1..1_024).contains(&source.port()))
}

fn greet(
    worker: &Rc<Worker>,
    socket: &Socket,
    entrance: &Entrance,
    admission: Admission,
) -> Session {
    let tables = worker.tables();
    let local = if tables.wants_local_address() {
        socket.local_address().ok().and_then(|a| a.inet())
    } else {
        None
    };
    let (frontend, bind) = entrance.place.get();
    let source = socket.peer_address().ok();
    let source = source.and_then(|address| address.inet());
    let accepted_us = worker.reactor.wall_ns() / 1_000;
    let who = Introduction {
        plane: Arc::clone(&tables.plane),
        frontend,
        bind,
        source,
        accepted_us,
    };
    let roster = tables.desk.roster();
    Session {
        worker: Rc::clone(worker),
        frontend,
        bind,
        facts: SessionFacts {
            source,
            destination: local,
            extra: None,
        },
        accepted_ns: worker.reactor.now_ns(),
        accepted_wall_us: accepted_us,
        requests: 0,
        leaving: false,
        own: Vec::new(),
        handover: None,
        admission: roster.sign(worker.index, admission, who),
        tables,
    }
}
