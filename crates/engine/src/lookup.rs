//! Questions of rules about where names lead (`do-resolve`), on their way from the workers to the thread that asks name
//! servers, and the answers on their way back.
//!
//! What is absent: name servers, and for how long answers may be used again ([`crate::control::names`]).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use plimsoll_policy::action::Lookup;
use plimsoll_policy::plane::Plane;
use plimsoll_policy::variable::Name;
use tokio::sync::{Notify, oneshot};

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
#[derive(Default)]
pub(crate) struct Questions {
    waiting: Mutex<VecDeque<Question>>,
    arrived: Notify,
    dropped: AtomicU64,
}

impl Questions {
    fn leave(&self, question: Question) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= QUESTIONS_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.push_back(question);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Waits for the next question.
    pub(crate) async fn next(&self) -> Question {
        loop {
            let question = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.pop_front()
            };
            match question {
                Some(question) => return question,
                None => self.arrived.notified().await,
            }
        }
    }
}

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
