//! The way that a request would take.
//!
//! [`request`] walks it ([`crate::rule`]) with nothing but a plane: nobody is connected to, and nothing is waited for. What
//! counts, such as `sc_inc_gpc0`, counts in that plane. What is absent: responses, since no server is asked.

use std::net::SocketAddr;

use plimsoll_wire::h1::request::{Parse, parse};
use plimsoll_wire::h1::{HEAD_FIELDS_MAX, Limits};
use plimsoll_wire::head::Head;

use super::{Explanation, StepResult, Story};
use crate::action::Flow;
use crate::context::{Context, ExchangeFacts, Now, Nowhere, Payload, Phase, SessionFacts};
use crate::model::{BackendId, FrontendId, Mode};
use crate::plane::Plane;
use crate::rule::{self, Rule, Verdict};

/// Longest head that is replayed, in bytes.
const REQUEST_BYTES_MAX: usize = 1 << 20;

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

/// The head of a request as HTTP/1 writes it.
///
/// # Errors
/// What keeps it from being one.
pub fn read(text: &[u8]) -> Result<Head, String> {
    let limits = Limits {
        bytes_max: REQUEST_BYTES_MAX,
        fields_max: HEAD_FIELDS_MAX,
        ..Limits::default()
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
    let (Ok(outcome) | Err(Ended(outcome))) = walk.all();
    let story = walk.exchange.story.take();
    story.map_or_else(Explanation::default, |story| story.end(outcome))
}

/// The request goes no further; a sentence says why.
pub(super) struct Ended(pub(super) String);

pub(super) struct Walk<'a> {
    pub(super) plane: &'a Plane,
    pub(super) question: &'a Question,
    pub(super) head: Head,
    pub(super) session: SessionFacts,
    pub(super) exchange: ExchangeFacts,
    backend: Option<BackendId>,
    /// The frontend speaks HTTP, or a rule has found that the client does.
    is_http: bool,
}

impl<'a> Walk<'a> {
    fn new(plane: &'a Plane, question: &'a Question) -> Self {
        let frontend = plane.model.frontends.get(question.frontend.0 as usize);
        let name = frontend.map_or("", |frontend| frontend.name.as_str());
        Self {
            plane,
            question,
            head: question.head.clone(),
            session: SessionFacts {
                source: question.source,
                destination: question.destination,
                extra: None,
            },
            exchange: ExchangeFacts {
                story: Some(Box::new(Story::new(name))),
                ..ExchangeFacts::default()
            },
            backend: None,
            is_http: frontend.is_some_and(|frontend| frontend.mode == Mode::Http),
        }
    }

    /// The sentence that all of it ends with.
    fn all(&mut self) -> Result<String, Ended> {
        let plane = self.plane;
        let Some(frontend) = plane.model.frontends.get(self.question.frontend.0 as usize) else {
            return Err(Ended("there is no such frontend".to_owned()));
        };
        let rules = &frontend.rules;
        self.rules(&rules.connection, Phase::Connection)?;
        self.rules(&rules.session, Phase::Session)?;
        self.rules(&rules.content, Phase::RequestContent)?;
        if self.is_http {
            rules.captures.take_request(&self.head, &mut self.exchange);
            self.rules(&rules.request, Phase::Request)?;
            self.rules(&rules.redirect, Phase::Request)?;
        }
        let default = frontend.default_backend;
        let backend = self.with(Phase::Request, |context| {
            rule::backend(rules, default, context)
        });
        let Some(backend) = backend else {
            let nobody = "503: no rule and no default names a backend";
            return Err(Ended(nobody.to_owned()));
        };
        let model = &plane.model.backends[backend.0 as usize];
        self.backend = Some(backend);
        self.is_http |= model.mode == Mode::Http;
        if let Some(story) = &self.exchange.story {
            story.enter(&model.name);
            story.candidates(plane, backend);
        }
        if model.number != frontend.number {
            self.exchange.overrides.enter_backend();
            self.rules(&model.rules.content, Phase::RequestContent)?;
            if model.mode == Mode::Http {
                self.rules(&model.rules.request, Phase::Request)?;
                self.rules(&model.rules.redirect, Phase::Request)?;
            }
        }
        self.choose_server(backend)
    }

    /// Lends a context of this time.
    pub(super) fn with<T>(
        &mut self,
        phase: Phase,
        use_it: impl FnOnce(&mut Context<'_>) -> T,
    ) -> T {
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
        context.is_raw = !self.is_http;
        context.request = (self.is_http && !is_early).then_some(&mut self.head);
        use_it(&mut context)
    }

    /// Walks through one set of rules.
    fn rules(&mut self, rules: &[Rule], phase: Phase) -> Result<(), Ended> {
        let mut from = 0;
        loop {
            let verdict = self.with(phase, |context| rule::run(rules, from, context));
            let (at, flow) = match verdict {
                Verdict::Pass => return Ok(()),
                // What it needs will not come.
                Verdict::Wait { at, .. } => {
                    from = at + 1;
                    continue;
                }
                Verdict::Stop { at, flow } => (at, flow),
            };
            let goes_on = matches!(
                flow,
                Flow::Continue
                    | Flow::Inform(_)
                    | Flow::Label(_)
                    | Flow::Resolve(_)
                    | Flow::Pause { .. }
                    | Flow::AwaitBody { .. }
                    | Flow::AwaitHandshake
            );
            if matches!(flow, Flow::Switch(_)) {
                self.is_http = true;
                return Ok(());
            }
            if let StepResult::Decided(outcome) = super::result(&flow)
                && !goes_on
            {
                return Err(Ended(format!("{outcome} by {}", rules[at].place)));
            }
            from = at + 1;
        }
    }
}
