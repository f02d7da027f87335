//! Rules: a condition and an action each, in the order they were written.
//!
//! [`run`] walks through them until one of them decides. What is absent: reading them (the resolver does), and what
//! follows from a decision (the engine does).

use std::fmt;
use std::sync::Arc;

use crate::acl::{Acl, Condition, Truth};
use crate::action::{Action, Flow};
use crate::context::Context;
use crate::log_format::Format;
use crate::model::{BackendId, ServerId};

/// One line such as `http-request deny if BAD`. Equal when written equally under equal ACLs.
#[derive(Clone)]
pub struct Rule {
    /// As written, without its condition.
    pub text: Arc<str>,
    pub condition: Option<Condition>,
    action: Arc<dyn Action>,
}

impl Rule {
    pub(crate) fn new(text: &str, condition: Option<Condition>, action: Box<dyn Action>) -> Self {
        Self {
            text: text.into(),
            condition,
            action: action.into(),
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("text", &self.text)
            .field("condition", &self.condition)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.condition) == (&other.text, &other.condition)
    }
}

/// The rules of one half of a proxy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// `tcp-request connection`, `tcp-request session`.
    pub connection: Vec<Rule>,
    pub session: Vec<Rule>,
    /// `tcp-request content`, and how long to wait for what it looks at.
    pub content: Vec<Rule>,
    pub inspect_delay_ms: Option<u64>,
    pub request: Vec<Rule>,
    /// `tcp-response content`.
    pub response_content: Vec<Rule>,
    pub response_inspect_delay_ms: Option<u64>,
    pub response: Vec<Rule>,
    pub after_response: Vec<Rule>,
    /// `use_backend`, in order; the first that holds counts.
    pub use_backend: Vec<Choice<BackendTarget>>,
    /// `use-server`.
    pub use_server: Vec<Choice<ServerTarget>>,
    /// The named ACLs, for explanations.
    pub acls: Vec<Arc<Acl>>,
}

/// A target and the condition under which it is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice<T> {
    pub target: T,
    pub condition: Option<Condition>,
}

/// A backend, known when the configuration is read or only when a request is there.
#[derive(Clone, Debug, PartialEq)]
pub enum BackendTarget {
    Known(BackendId),
    Named(Format),
}

/// A server of the backend at hand.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerTarget {
    Known(ServerId),
    Named(Format),
}

/// What became of a set of rules.
#[derive(Debug)]
pub enum Verdict {
    /// All have been walked through, or one has let the message through.
    Pass,
    /// More bytes are needed to decide rule number `at`.
    Wait { at: usize },
    /// Rule number `at` wants something.
    Stop { at: usize, flow: Flow },
}

/// Walks through `rules` from number `from`.
pub fn run(rules: &[Rule], from: usize, context: &mut Context<'_>) -> Verdict {
    for (at, rule) in rules.iter().enumerate().skip(from) {
        match rule.condition.as_ref().map(|test| test.holds(context)) {
            Some(Truth::Fail) => continue,
            Some(Truth::Unsure) => return Verdict::Wait { at },
            Some(Truth::Pass) | None => {}
        }
        context.unsure.set(false);
        match rule.action.run(context) {
            Flow::Continue if rule.action.waits() && context.unsure.get() => {
                return Verdict::Wait { at };
            }
            Flow::Continue => {}
            Flow::Accept => return Verdict::Pass,
            flow => return Verdict::Stop { at, flow },
        }
    }
    Verdict::Pass
}

/// The first target whose condition holds; `Err` where more bytes are needed to know.
///
/// # Errors
/// The number of the choice that cannot be decided yet.
pub fn choose<'a, T>(
    choices: &'a [Choice<T>],
    context: &Context<'_>,
) -> Result<Option<&'a T>, usize> {
    for (at, choice) in choices.iter().enumerate() {
        match choice.condition.as_ref().map(|test| test.holds(context)) {
            Some(Truth::Fail) => {}
            Some(Truth::Unsure) => return Err(at),
            Some(Truth::Pass) | None => return Ok(Some(&choice.target)),
        }
    }
    Ok(None)
}
