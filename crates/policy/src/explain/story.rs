//! What is written down of an exchange while it goes its way, to be told later.
//!
//! [`crate::rule`] tells of the lines that it looks at, whoever sends the exchange to a server tells of that. Nothing is
//! evaluated for the story alone. What is absent: who keeps stories, and for how long (the engine).

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::{Attempt, Explanation, Step, StepResult, TermTold, condition, server};
use crate::acl::{Condition, Truth};
use crate::action::Flow;
use crate::context::Context;
use crate::model::{BackendId, ServerId};
use crate::plane::Plane;
use crate::rule::{Pick, Place};

/// Longest story in bytes, as far as it grows with rules and values.
const STORY_BYTES_MAX: usize = 32_768;

/// Most servers of a backend that a story lists.
const CANDIDATES_MAX: usize = 64;

/// Most attempts that a story tells of.
const ATTEMPTS_MAX: usize = 16;

/// A story in the making.
#[derive(Clone, Debug)]
pub struct Story {
    told: RefCell<Explanation>,
    /// Whose lines are looked at now.
    proxy: RefCell<Arc<str>>,
    /// What chose the server of the next attempt, if not the algorithm.
    reason: RefCell<Option<String>>,
    bytes_left: Cell<usize>,
}

impl Story {
    /// A story that begins in this frontend.
    pub fn new(frontend: &str) -> Self {
        Self {
            told: RefCell::new(Explanation {
                frontend: frontend.to_owned(),
                ..Explanation::default()
            }),
            proxy: RefCell::new(frontend.into()),
            reason: RefCell::default(),
            bytes_left: Cell::new(STORY_BYTES_MAX),
        }
    }

    /// The lines that follow are this proxy's.
    pub fn enter(&self, proxy: &str) {
        let mut known = self.proxy.borrow_mut();
        if **known != *proxy {
            *known = proxy.into();
        }
    }

    /// A line is looked at; whether its condition holds.
    pub(crate) fn judge(
        &self,
        test: Option<&Condition>,
        (place, text): (Place, Arc<str>),
        context: &Context<'_>,
    ) -> Truth {
        let (truth, condition) = match test {
            None => (Truth::Pass, Vec::new()),
            Some(test) => condition::judge(test, context),
        };
        let step = Step {
            proxy: Arc::clone(&self.proxy.borrow()),
            place,
            text,
            condition,
            unless: test.is_some_and(|test| test.unless),
            result: match truth {
                Truth::Pass => StepResult::Ran,
                Truth::Unsure => StepResult::Waits,
                Truth::Fail => StepResult::Skipped,
            },
        };
        self.push(step);
        truth
    }

    fn push(&self, step: Step) {
        let mut told = self.told.borrow_mut();
        let left = self.bytes_left.get().checked_sub(size(&step));
        let Some(left) = left.filter(|_| !told.cut) else {
            told.cut = true;
            return;
        };
        let steps = told.steps_now();
        // What had to wait for more bytes is looked at again.
        let again = |last: &mut Step| last.result == StepResult::Waits && last.is_at(&step.place);
        steps.pop_if(again);
        steps.push(step);
        self.bytes_left.set(left);
    }

    /// The rule that was looked at last has run.
    pub(crate) fn acted(&self, flow: &Flow) {
        self.result(super::result(flow));
    }

    /// The choice that was looked at last has been tried.
    pub(crate) fn picked<R>(&self, pick: &Pick<R>) {
        self.result(match pick {
            Pick::Take(_) => StepResult::Decided("chosen".to_owned()),
            Pick::Skip => StepResult::Skipped,
            Pick::End => StepResult::Decided("nobody is called so".to_owned()),
        });
    }

    fn result(&self, result: StepResult) {
        let mut told = self.told.borrow_mut();
        let cut = told.cut;
        if let Some(step) = told.steps_now().last_mut()
            && !cut
        {
            step.result = result;
        }
    }

    /// The servers of the backend, as they are now.
    pub fn candidates(&self, plane: &Plane, backend: BackendId) {
        let mut told = self.told.borrow_mut();
        let mut candidates = server::candidates(plane, backend);
        told.cut |= candidates.len() > CANDIDATES_MAX;
        candidates.truncate(CANDIDATES_MAX);
        told.backend = Some(plane.model.backends[backend.0 as usize].name.clone());
        told.candidates = candidates;
    }

    /// Something other than the algorithm has chosen a server: "which …".
    pub fn chosen_by(&self, reason: String) {
        self.reason.borrow_mut().get_or_insert(reason);
    }

    /// A server is tried; `key` is what algorithms hash.
    pub fn tries(&self, plane: &Plane, place: (BackendId, ServerId), key: Option<&[u8]>) {
        let reason = self.reason.borrow_mut().take();
        let why = reason.unwrap_or_else(|| server::algorithm_told(plane, place.0, key));
        let mut told = self.told.borrow_mut();
        let server = server::name(plane, place).to_owned();
        told.server = Some(server.clone());
        if told.attempts.len() < ATTEMPTS_MAX {
            told.attempts.push(Attempt {
                server,
                why,
                failure: None,
            });
        }
    }

    /// The server that was tried last did not do.
    pub fn failed(&self, failure: &str) {
        if let Some(attempt) = self.told.borrow_mut().attempts.last_mut() {
            attempt.failure = Some(failure.to_owned());
        }
    }

    /// The end: what it came to, in a sentence.
    pub fn end(self, outcome: String) -> Explanation {
        Explanation {
            outcome,
            ..self.told.into_inner()
        }
    }

    /// The line that was looked at last.
    pub(super) fn last_place(&self) -> Option<Place> {
        let mut told = self.told.borrow_mut();
        told.steps_now().last().map(|step| step.place.clone())
    }
}

/// About how many bytes a step takes.
fn size(step: &Step) -> usize {
    let term = |term: &TermTold| {
        let clauses = term.clauses.iter();
        let clauses = clauses.map(|clause| {
            let values: usize = clause.values.iter().map(|text| 24 + text.len()).sum();
            64 + clause.expression.len() + values
        });
        64 + term.name.len() + clauses.sum::<usize>()
    };
    let terms: usize = step.condition.iter().flatten().map(term).sum();
    128 + terms
}
