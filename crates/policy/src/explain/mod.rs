//! Why a request goes where it goes: each rule that would run or be passed by, what its ACLs' samples are worth, the
//! backend, the servers that may be chosen, and the one that would be.
//!
//! [`request`] walks the way of a request ([`crate::rule`]) with nothing but a plane: nobody is connected to, and nothing is
//! waited for. What counts, such as `sc_inc_gpc0`, counts in that plane, once for the rule and once for being shown. What
//! is absent: responses, since no server is asked.

mod condition;
mod server;

use std::net::SocketAddr;

use plimsoll_wire::h1::request::{Parse, parse};
use plimsoll_wire::h1::{HEAD_FIELDS_MAX, Limits};
use plimsoll_wire::head::Head;

use crate::acl::Truth;
use crate::action::Flow;
use crate::context::{Context, ExchangeFacts, Now, Nowhere, Payload, Phase, SessionFacts};
use crate::model::{BackendId, FrontendId, Mode, ServerId};
use crate::plane::Plane;
use crate::rule::{BackendTarget, Place, Rule};

pub use condition::{ClauseTold, TermTold};
pub use server::Candidate;

/// Longest head that is replayed, in bytes.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Longest value of a sample that is shown, in bytes.
const VALUE_BYTES_MAX: usize = 200;

/// A request, and where it comes in.
#[derive(Clone, Debug)]
pub struct Question {
    pub frontend: FrontendId,
    /// The request; a TCP frontend sees its bytes.
    pub head: Head,
    pub body: Vec<u8>,
    pub source: Option<SocketAddr>,
    pub destination: Option<SocketAddr>,
    pub now: Now,
}

/// What becomes of a request, step by step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explanation {
    pub frontend: String,
    pub steps: Vec<Step>,
    pub backend: Option<String>,
    pub candidates: Vec<Candidate>,
    pub server: Option<String>,
    /// The end of it in a sentence.
    pub outcome: String,
}

/// One line of the configuration that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The proxy whose line it is.
    pub proxy: String,
    pub place: Place,
    /// As written, without its condition.
    pub text: String,
    /// What its condition came to, as `if …` or `unless …`; alternatives one after the other.
    pub condition: Vec<Vec<TermTold>>,
    pub unless: bool,
    pub result: StepResult,
}

/// What became of a line.
#[derive(Clone, Debug, PartialEq)]
pub enum StepResult {
    /// Its condition does not hold.
    Skipped,
    /// It would have to see more than there is.
    Waits,
    /// It ran, and the next one is looked at.
    Ran,
    /// It ran and decided; this is how.
    Decided(String),
}

/// The head of a request as HTTP/1 writes it.
///
/// # Errors
/// What keeps it from being one.
pub fn read(text: &[u8]) -> Result<Head, String> {
    let limits = Limits {
        bytes_max: REQUEST_BYTES_MAX,
        fields_max: HEAD_FIELDS_MAX,
        lenient: false,
    };
    let mut head = Head::default();
    match parse(text, &mut head, &limits) {
        Ok(Parse::Complete(_)) => Ok(head),
        Ok(Parse::Partial) => Err("the request is not complete".to_owned()),
        Err(error) => Err(format!("this is no acceptable request: {}", error.name())),
    }
}

/// Walks the way of a request.
pub fn request(plane: &Plane, question: &Question) -> Explanation {
    let mut walk = Walk::new(plane, question);
    if let Err(Ended(outcome)) = walk.all() {
        walk.told.outcome = outcome;
    }
    walk.told
}

/// The request goes no further; a sentence says why.
struct Ended(String);

struct Walk<'a> {
    plane: &'a Plane,
    question: &'a Question,
    head: Head,
    session: SessionFacts,
    exchange: ExchangeFacts,
    backend: Option<BackendId>,
    told: Explanation,
}

impl<'a> Walk<'a> {
    fn new(plane: &'a Plane, question: &'a Question) -> Self {
        let name = plane.model.frontends.get(question.frontend.0 as usize);
        Self {
            plane,
            question,
            head: question.head.clone(),
            session: SessionFacts {
                source: question.source,
                destination: question.destination,
                extra: None,
            },
            exchange: ExchangeFacts::default(),
            backend: None,
            told: Explanation {
                frontend: name
                    .map(|frontend| frontend.name.clone())
                    .unwrap_or_default(),
                ..Explanation::default()
            },
        }
    }

    fn all(&mut self) -> Result<(), Ended> {
        let plane = self.plane;
        let Some(frontend) = plane.model.frontends.get(self.question.frontend.0 as usize) else {
            return Err(Ended("there is no such frontend".to_owned()));
        };
        let (name, rules) = (frontend.name.clone(), &frontend.rules);
        self.rules(&name, &rules.connection, Phase::Connection)?;
        self.rules(&name, &rules.session, Phase::Session)?;
        self.rules(&name, &rules.content, Phase::RequestContent)?;
        if frontend.mode == Mode::Http {
            rules.captures.take_request(&self.head, &mut self.exchange);
            self.rules(&name, &rules.request, Phase::Request)?;
            self.rules(&name, &rules.redirect, Phase::Request)?;
        }
        let backend = self.choose_backend(frontend)?;
        let model = &plane.model.backends[backend.0 as usize];
        self.told.backend = Some(model.name.clone());
        self.backend = Some(backend);
        if model.number != frontend.number {
            self.exchange.overrides.enter_backend();
            self.rules(&model.name, &model.rules.content, Phase::RequestContent)?;
            if model.mode == Mode::Http {
                self.rules(&model.name, &model.rules.request, Phase::Request)?;
                self.rules(&model.name, &model.rules.redirect, Phase::Request)?;
            }
        }
        self.choose_server(backend)
    }

    /// Lends a context of this time.
    fn with<T>(&mut self, phase: Phase, use_it: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let mode = self.plane.model.frontends[self.question.frontend.0 as usize].mode;
        let mut context = Context::new(
            self.plane,
            &Nowhere,
            phase,
            self.question.frontend,
            &mut self.session,
            &mut self.exchange,
        );
        context.now = self.question.now;
        context.backend = self.backend;
        context.request_payload = Payload {
            bytes: &self.question.body,
            complete: true,
        };
        let is_early = matches!(phase, Phase::Connection | Phase::Session);
        context.request = (mode == Mode::Http && !is_early).then_some(&mut self.head);
        use_it(&mut context)
    }

    /// Walks through one set of rules.
    fn rules(&mut self, proxy: &str, rules: &[Rule], phase: Phase) -> Result<(), Ended> {
        for rule in rules {
            let (condition, truth) = self.with(phase, |context| match &rule.condition {
                None => (Vec::new(), Truth::Pass),
                Some(test) => {
                    let truth = test.holds(context);
                    (condition::told(test, context), truth)
                }
            });
            let flow = match truth {
                Truth::Pass => Some(self.with(phase, |context| rule.act(context))),
                Truth::Fail | Truth::Unsure => None,
            };
            let (result, end) = match (truth, flow) {
                (Truth::Unsure, _) => (StepResult::Waits, None),
                (_, None) => (StepResult::Skipped, None),
                (_, Some(flow)) => result(flow),
            };
            let accepted = matches!(&end, Some(None));
            self.told.steps.push(Step {
                proxy: proxy.to_owned(),
                place: rule.place.clone(),
                text: rule.text.to_string(),
                unless: rule.condition.as_ref().is_some_and(|test| test.unless),
                condition,
                result,
            });
            if let Some(Some(outcome)) = end {
                return Err(Ended(format!("{outcome} by {}", rule.place)));
            }
            if accepted {
                return Ok(());
            }
        }
        Ok(())
    }

    fn choose_backend(&mut self, frontend: &crate::model::Frontend) -> Result<BackendId, Ended> {
        for choice in &frontend.rules.use_backend {
            let (condition, truth, name) = self.with(Phase::Request, |context| {
                let truth = choice.condition.as_ref().map(|test| test.holds(context));
                let told = choice
                    .condition
                    .as_ref()
                    .map(|test| condition::told(test, context));
                let name = match &choice.target {
                    BackendTarget::Known(id) => {
                        context.plane.model.backends[id.0 as usize].name.clone()
                    }
                    BackendTarget::Named(format) => {
                        let mut name = Vec::new();
                        format.write(context, &mut name);
                        String::from_utf8_lossy(&name).into_owned()
                    }
                };
                let truth = truth.unwrap_or(Truth::Pass);
                (told.unwrap_or_default(), truth, name)
            });
            let id = self.plane.find_backend(name.as_bytes());
            let eligible = id.filter(|id| self.plane.is_eligible(*id));
            let (result, end) = match (truth, id, eligible) {
                (Truth::Fail, ..) => (StepResult::Skipped, None),
                (Truth::Unsure, ..) => (StepResult::Waits, None),
                (_, None, _) => (
                    StepResult::Decided(format!("no backend is called '{name}': the default")),
                    Some(None),
                ),
                (_, Some(_), None) => (StepResult::Skipped, None),
                (_, _, Some(id)) => (StepResult::Decided("chosen".to_owned()), Some(Some(id))),
            };
            self.told.steps.push(Step {
                proxy: frontend.name.clone(),
                place: choice.place.clone(),
                text: format!("use_backend {name}"),
                unless: choice.condition.as_ref().is_some_and(|test| test.unless),
                condition,
                result,
            });
            match end {
                Some(Some(id)) => return Ok(id),
                Some(None) => break,
                None => {}
            }
        }
        let default = frontend.default_backend;
        let default = default.filter(|id| self.plane.is_eligible(*id));
        default.ok_or_else(|| Ended("503: no rule and no default names a backend".to_owned()))
    }

    fn server_name(&self, backend: BackendId, server: ServerId) -> &'a str {
        &self.plane.model.backends[backend.0 as usize].servers[server.0 as usize].name
    }
}

/// What a flow is called, and whether it ends the walk: `Some(None)` ends this set of rules alone.
#[expect(
    clippy::option_option,
    reason = "a set of rules ends, or all of it, or nothing"
)]
fn result(flow: Flow) -> (StepResult, Option<Option<String>>) {
    let ended = |outcome: String| {
        let decided = StepResult::Decided(outcome.clone());
        (decided, Some(Some(outcome)))
    };
    match flow {
        Flow::Continue | Flow::Inform(_) | Flow::Label(_) => (StepResult::Ran, None),
        Flow::Pause { ms } => (StepResult::Decided(format!("waits for {ms} ms")), None),
        Flow::AwaitBody { .. } => (StepResult::Decided("waits for the body".to_owned()), None),
        Flow::Accept => {
            let decided = StepResult::Decided("let through".to_owned());
            (decided, Some(None))
        }
        Flow::Reply(reply) => ended(format!("answered with {}", reply.head.status)),
        Flow::Tarpit(reply) => ended(format!("answered late with {}", reply.head.status)),
        Flow::Serve(_) => ended("answered by a service".to_owned()),
        Flow::Reject => ended("closed without an answer".to_owned()),
        Flow::Drop { .. } => ended("dropped in silence".to_owned()),
        Flow::Fail => ended("answered with 500, since the rule cannot be carried out".to_owned()),
    }
}
