//! Taking connections in.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use plimsoll_policy::context::SessionFacts;
use plimsoll_policy::model::FrontendId;

use crate::gate::{Gate, Pass};
use crate::reactor::{Listener, Socket};
use crate::session::{self, Session};
use crate::transport::Transport;
use crate::worker::Worker;

/// Where connections come in, and the gates they pass.
pub(crate) struct Entrance {
    pub(crate) frontend: FrontendId,
    /// Index of the bind within the frontend.
    pub(crate) bind: usize,
    /// The process's `maxconn`, then the frontend's.
    pub(crate) gates: [Arc<Gate>; 2],
}

/// A connection's places under the limits; given back when dropped.
pub(crate) struct Admission {
    passes: [Pass; 2],
}

impl Admission {
    pub(crate) fn new(passes: [Pass; 2]) -> Self {
        Self { passes }
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
pub(crate) async fn run(worker: Rc<Worker>, listener: Listener, entrance: Entrance) {
    while let Ok(socket) = poll_fn(|_| listener.poll_accept()).await {
        // While there is no room this one waits here, and all others in the kernel's backlog.
        let admission = admit(&worker, &entrance).await;
        let session = greet(&worker, &socket, &entrance, admission);
        // A full table closes the connection, and counts it.
        let _ = worker
            .reactor
            .spawn(session::serve(session, Transport::Plain(socket)));
    }
}

async fn admit(worker: &Worker, entrance: &Entrance) -> Admission {
    let [process, frontend] = &entrance.gates;
    Admission::new([pass(worker, process).await, pass(worker, frontend).await])
}

async fn pass(worker: &Worker, gate: &Arc<Gate>) -> Pass {
    poll_fn(|_| match gate.pass(|| worker.reactor.waker()) {
        Some(pass) => Poll::Ready(pass),
        None => Poll::Pending,
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
    Session {
        worker: Rc::clone(worker),
        frontend: entrance.frontend,
        bind: entrance.bind,
        facts: SessionFacts {
            source: socket
                .peer_address()
                .ok()
                .and_then(|address| address.inet()),
            destination: local,
            extra: None,
        },
        accepted_ns: worker.reactor.now_ns(),
        accepted_wall_us: worker.reactor.wall_ns() / 1_000,
        requests: 0,
        own: Vec::new(),
        admission: Rc::new(admission),
        tables,
    }
}
