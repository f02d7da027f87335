//! Questions of rules about where names lead (`do-resolve`), on their way from the workers to the thread that asks name
//! servers, and the answers on their way back.
//!
//! What is absent: name servers, and for how long answers may be used again ([`crate::control::names`]).

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use plimsoll_policy::action::Lookup;
use plimsoll_policy::plane::Plane;
use plimsoll_policy::variable::Name;
use tokio::sync::oneshot;

use crate::inbox::Inbox;
use crate::tables::Tables;
use crate::worker::Worker;

/// Questions that wait to be heard; more are not asked, and counted.
const QUESTIONS_MAX: usize = 4_096;

/// A question of a rule.
pub(crate) struct Question {
    /// Where the name servers are described.
    pub(crate) plane: Arc<Plane>,
    pub(crate) lookup: Lookup,
    /// Dropped: nobody knows.
    pub(crate) answer: oneshot::Sender<IpAddr>,
}

/// Where workers leave questions.
pub(crate) type Questions = Inbox<Question, QUESTIONS_MAX>;

/// An answer that is awaited.
pub(crate) struct Asked(oneshot::Receiver<IpAddr>);

impl Asked {
    /// The address, or `None` where nobody knows one.
    pub(crate) fn poll(&mut self, worker: &Worker) -> Poll<Option<IpAddr>> {
        let waker = worker.reactor.waker();
        let answer = Pin::new(&mut self.0);
        answer
            .poll(&mut Context::from_waker(&waker))
            .map(Result::ok)
    }
}

/// Asks where a name leads; also the name of the variable that is to be set.
pub(crate) fn ask(tables: &Tables, lookup: Lookup) -> (Name, Asked) {
    let (answer, asked) = oneshot::channel();
    let name = lookup.variable.clone();
    tables.desk.questions().leave(Question {
        plane: Arc::clone(&tables.plane),
        lookup,
        answer,
    });
    (name, Asked(asked))
}

/// As [`ask`], waiting for the answer.
pub(crate) async fn find(
    worker: &Worker,
    tables: &Tables,
    lookup: Lookup,
) -> (Name, Option<IpAddr>) {
    let (name, mut asked) = ask(tables, lookup);
    let address = poll_fn(|_| asked.poll(worker)).await;
    (name, address)
}
