//! Taking connections in.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

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

    fn own_gate(&self) -> Option<Arc<Gate>> {
        self.own_gate.borrow().clone()
    }

    fn gate(&self, index: usize) -> Arc<Gate> {
        Arc::clone(&self.gates.borrow()[index])
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
pub(crate) async fn run(worker: Rc<Worker>, listener: Rc<Listener>, entrance: Rc<Entrance>) {
    while let Ok(socket) = poll_fn(|_| listener.poll_accept()).await {
        keep_pace(&worker, &entrance).await;
        // While there is no room this one waits here, and all others in the kernel's backlog.
        let own = pass_own(&worker, &entrance).await;
        let passes = [
            pass(&worker, &entrance, 0).await,
            pass(&worker, &entrance, 1).await,
        ];
        let admission = Admission::new(passes, own);
        receive(&worker, socket, &entrance, admission);
    }
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
        let Some(socket) = listener.accept_now() else {
            return;
        };
        let passes = [0, 1].map(|index| entrance.gate(index).pass_now());
        let [Some(process), Some(frontend)] = passes else {
            return;
        };
        let own = match entrance.own_gate().map(|gate| gate.pass_now()) {
            Some(None) => return,
            own => own.flatten(),
        };
        let admission = Admission::new([process, frontend], own);
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

async fn pass(worker: &Worker, entrance: &Entrance, index: usize) -> Pass {
    // Asked anew each time: the entrance may lead elsewhere meanwhile.
    poll_fn(
        |_| match entrance.gate(index).pass(|| worker.reactor.waker()) {
            Some(pass) => Poll::Ready(pass),
            None => Poll::Pending,
        },
    )
    .await
}

/// As [`pass`], at the bind's own gate, where there is one.
async fn pass_own(worker: &Worker, entrance: &Entrance) -> Option<Pass> {
    poll_fn(|_| match entrance.own_gate() {
        None => Poll::Ready(None),
        Some(gate) => match gate.pass(|| worker.reactor.waker()) {
            Some(pass) => Poll::Ready(Some(pass)),
            None => Poll::Pending,
        },
    })
    .await
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
