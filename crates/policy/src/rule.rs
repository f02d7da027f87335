//! Rules: a condition and an action each, in the order they were written.
//!
//! [`run`] walks through them until one of them decides. What is absent: reading them (the resolver does), and what
//! follows from a decision (the engine does).

use std::fmt;
use std::sync::Arc;

use crate::acl::{Acl, Condition, Truth};
use crate::action::{Action, Flow};
use crate::capture::Captures;
use crate::context::Context;
use crate::forwarded::Forwarded;
use crate::log_format::Format;
use crate::model::{BackendId, ServerId};
use crate::stickiness::{self, StickRule};

/// Where a rule is written. All places are equal: a rule that has moved is still the same rule.
#[derive(Clone, Default)]
pub struct Place {
    /// The file's name, as it was given.
    pub file: Arc<str>,
    /// Counted from 1; 0 where nobody knows.
    pub line: u32,
}

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One line such as `http-request deny if BAD`. Equal when written equally under equal ACLs.
#[derive(Clone)]
pub struct Rule {
    /// As written, without its condition.
    pub text: Arc<str>,
    pub condition: Option<Condition>,
    pub place: Place,
    action: Arc<dyn Action>,
}

impl Rule {
    pub(crate) fn new(
        text: &str,
        condition: Option<Condition>,
        action: Box<dyn Action>,
        place: Place,
    ) -> Self {
        Self {
            text: text.into(),
            condition,
            place,
            action: action.into(),
        }
    }

    /// Does what the rule says, whatever its condition.
    pub(crate) fn perform(&self, context: &mut Context<'_>) {
        // Whoever performs a rule outside of a rule set has nothing to decide.
        let _ = self.action.run(context);
        context.settle();
    }
}

impl Rule {
    fn wait(&self, at: usize, from: usize, context: &mut Context<'_>) -> Verdict {
        context.exchange.waiting_rule = Some(self.place.clone());
        Verdict::Wait { at, from }
    }

    /// Does what the rule does, whatever its condition, and notes it where it decides.
    pub(crate) fn act(&self, context: &mut Context<'_>) -> Flow {
        context.unsure.set(false);
        context.settle();
        let flow = self.action.run(context);
        let facts = &mut *context.exchange;
        if let Some(story) = &facts.story {
            story.acted(&flow);
        }
        match flow {
            Flow::Continue | Flow::Inform(_) | Flow::Label(_) => {}
            _ if self.place.line == 0 => {}
            Flow::Pause { .. }
            | Flow::AwaitBody { .. }
            | Flow::AwaitHandshake
            | Flow::Resolve(_) => {
                facts.waiting_rule = Some(self.place.clone());
            }
            _ => facts.last_rule = Some(self.place.clone()),
        }
        flow
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

/// What samples of a proxy's rules and lines want to know of connections, which is found out before they run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// How well packets travel to the client.
    pub client_info: bool,
    /// How well packets travel to the server.
    pub server_info: bool,
    /// Both addresses of the server's connection, and whether it was used before.
    pub server_end: bool,
    /// What the exchange is among others on its two connections, and what went wrong with the server's.
    pub streams: bool,
    /// Where names lead that only requests bring.
    pub resolves: bool,
    /// The packet that the client's connection began with.
    pub saved_syn: bool,
    /// How many connections a bind has.
    pub bind_connections: bool,
}

impl Asks {
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            client_info: self.client_info | other.client_info,
            server_info: self.server_info | other.server_info,
            server_end: self.server_end | other.server_end,
            streams: self.streams | other.streams,
            resolves: self.resolves | other.resolves,
            saved_syn: self.saved_syn | other.saved_syn,
            bind_connections: self.bind_connections | other.bind_connections,
        }
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
    /// `redirect` lines, which come behind all of those, wherever they are written and whatever was let through.
    pub redirect: Vec<Rule>,
    /// `tcp-response content`.
    pub response_content: Vec<Rule>,
    pub response_inspect_delay_ms: Option<u64>,
    pub response: Vec<Rule>,
    pub after_response: Vec<Rule>,
    /// `use_backend`, in order; the first that holds counts.
    pub use_backend: Vec<Choice<BackendTarget>>,
    /// `force-be-switch`: when one of them holds, backends may be chosen that are disabled or not published.
    pub force_switch: Vec<Condition>,
    /// `use-server`.
    pub use_server: Vec<Choice<ServerTarget>>,
    /// `stick on`, `stick match`, `stick store-request`.
    pub stick: Vec<StickRule>,
    /// `stick store-response`.
    pub stick_response: Vec<StickRule>,
    /// `monitor fail`: when [`crate::model::Frontend::monitor_uri`] is answered with 503.
    pub monitor_fail: Vec<Condition>,
    /// `stats http-request`: who may see the statistics page.
    pub stats: Vec<Rule>,
    /// `stats admin`: whoever meets one of these may change servers there.
    pub stats_admin: Vec<Condition>,
    /// `force-persist`, `ignore-persist`, in the order they were written.
    pub persist: Vec<(Persist, Condition)>,
    /// `capture`, `declare capture`, and the slots that rules made.
    pub captures: Captures,
    /// `option forwarded`.
    pub forwarded: Option<Arc<Forwarded>>,
    /// `unique-id-format`.
    pub unique_id: Option<Arc<Format>>,
    pub asks: Asks,
    /// The named ACLs, for explanations.
    pub acls: Vec<Arc<Acl>>,
}

impl Rules {
    /// The backend that is chosen whatever the request is, as long as it may be.
    pub fn always(&self, default: Option<BackendId>) -> Option<BackendId> {
        match self.use_backend.first() {
            None => default,
            Some(Choice {
                target: BackendTarget::Known(id),
                condition: None,
                ..
            }) => Some(*id),
            Some(_) => None,
        }
    }
}

/// Whether the first bytes of a client decide something in these rules, without a time to wait for them.
pub fn glances_at_bytes(rules: &Rules) -> bool {
    let contents = rules.content.iter().map(|rule| rule.condition.as_ref());
    let choices = rules
        .use_backend
        .iter()
        .map(|choice| choice.condition.as_ref());
    let tests = contents.chain(choices).flatten();
    let mut clauses = tests.flat_map(Condition::clauses);
    rules.inspect_delay_ms.is_none()
        && clauses.any(|clause| clause.expression.needs().comes_from_client())
}

/// What becomes of persistence under a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persist {
    /// Servers that are down keep their clients.
    Force,
    /// Nobody is bound to a server.
    Ignore,
}

/// A target and the condition under which it is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice<T> {
    pub target: T,
    pub condition: Option<Condition>,
    pub place: Place,
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
    /// More bytes are needed to decide rule number `at`. When they are there, rule number `from` is the next: the first,
    /// where a condition waits, so that what stands above it sees them too (as in HAProxy).
    Wait { at: usize, from: usize },
    /// Rule number `at` wants something.
    Stop { at: usize, flow: Flow },
}

/// Whether what stands behind `if` or `unless` holds, if anything stands there. Where a story is written, it is told of
/// the line.
fn judge(
    test: Option<&Condition>,
    line: impl FnOnce() -> (Place, Arc<str>),
    context: &Context<'_>,
) -> Truth {
    match &context.exchange.story {
        None => test.map_or(Truth::Pass, |test| test.holds(context)),
        Some(story) => story.judge(test, line(), context),
    }
}

/// Walks through `rules` from number `from`.
pub fn run(rules: &[Rule], from: usize, context: &mut Context<'_>) -> Verdict {
    context.exchange.waiting_rule = None;
    for (at, rule) in rules.iter().enumerate().skip(from) {
        let line = || (rule.place.clone(), Arc::clone(&rule.text));
        match judge(rule.condition.as_ref(), line, context) {
            Truth::Fail => continue,
            Truth::Unsure => return rule.wait(at, 0, context),
            Truth::Pass => {}
        }
        match rule.act(context) {
            Flow::Continue if context.unsure.get() && rule.action.waits() => {
                return rule.wait(at, at, context);
            }
            Flow::Continue => {}
            Flow::Accept => return Verdict::Pass,
            flow => return Verdict::Stop { at, flow },
        }
    }
    Verdict::Pass
}

/// What became of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick<R> {
    /// This one.
    Take(R),
    /// It cannot be had: the next may.
    Skip,
    /// There is no such thing: no other is looked for.
    End,
}

/// The first of the targets whose conditions hold that `look` takes. A condition that cannot be decided ends the search.
/// `word` is what such lines begin with.
fn pick<T, R>(
    (word, choices): (&str, &[Choice<T>]),
    context: &Context<'_>,
    name: impl Fn(&T) -> String,
    look: impl Fn(&T) -> Pick<R>,
) -> Option<R> {
    for choice in choices {
        let line = || {
            let text = format!("{word} {}", name(&choice.target));
            (choice.place.clone(), text.into())
        };
        match judge(choice.condition.as_ref(), line, context) {
            Truth::Fail => continue,
            Truth::Unsure => return None,
            Truth::Pass => {}
        }
        let picked = look(&choice.target);
        if let Some(story) = &context.exchange.story {
            story.picked(&picked);
        }
        match picked {
            Pick::Take(taken) => return Some(taken),
            Pick::Skip => {}
            Pick::End => return None,
        }
    }
    None
}

/// The backend that the rules of a frontend choose, or else its default. One that is disabled or not published is passed
/// by, unless `force-be-switch` says otherwise.
pub fn backend(
    rules: &Rules,
    default: Option<BackendId>,
    context: &Context<'_>,
) -> Option<BackendId> {
    let force = rules.force_switch.iter();
    let forced = force
        .map(|test| test.holds(context))
        .any(|truth| matches!(truth, Truth::Pass));
    let may = |id: &BackendId| forced || context.plane.is_eligible(*id);
    let name = |target: &BackendTarget| match target {
        BackendTarget::Known(id) => context.plane.model.backends[id.0 as usize].name.clone(),
        BackendTarget::Named(format) => String::from_utf8_lossy(&format.text(context)).into_owned(),
    };
    let choices = ("use_backend", rules.use_backend.as_slice());
    let chosen = pick(choices, context, name, |target| {
        let id = match target {
            BackendTarget::Known(id) => *id,
            BackendTarget::Named(format) => {
                match context.plane.find_backend(&format.text(context)) {
                    Some(id) => id,
                    None => return Pick::End,
                }
            }
        };
        match may(&id) {
            true => Pick::Take(id),
            false => Pick::Skip,
        }
    });
    chosen.or_else(|| default.filter(may))
}

/// `force-persist`, `ignore-persist`: the first that holds counts.
pub fn judge_persistence(lines: &[(Persist, Condition)], context: &mut Context<'_>) {
    let mut known = lines.iter();
    let found = known.find(|(_, condition)| condition.holds(context) == Truth::Pass);
    let overrides = &mut context.exchange.overrides;
    match found {
        Some((Persist::Force, _)) => overrides.force_persist = true,
        Some((Persist::Ignore, _)) => overrides.ignore_persist = true,
        None => {}
    }
}

/// The server of this backend that `use-server` lines choose. The first whose condition holds counts; where its server
/// cannot be reached there is none.
pub fn server(
    choices: &[Choice<ServerTarget>],
    backend: BackendId,
    context: &Context<'_>,
) -> Option<ServerId> {
    let servers = &context.plane.model.backends[backend.0 as usize].servers;
    let name = |target: &ServerTarget| match target {
        ServerTarget::Known(id) => servers[id.0 as usize].name.clone(),
        ServerTarget::Named(format) => String::from_utf8_lossy(&format.text(context)).into_owned(),
    };
    let chosen = pick(("use-server", choices), context, name, |target| {
        let id = match target {
            ServerTarget::Known(id) => Some(*id),
            ServerTarget::Named(format) => {
                context.plane.find_server(backend, &format.text(context))
            }
        };
        id.map_or(Pick::End, Pick::Take)
    });
    chosen.filter(|&id| stickiness::is_reachable(context, backend, id))
}
