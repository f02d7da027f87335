//! Steps with holes: what is filled in when they are performed, and what the expressions in them see.

use std::fmt;
use std::sync::Arc;

use plimsoll_wire::head::Head;

use super::hexadecimal_bytes;
use crate::context::{Context, ExchangeFacts, Now, Payload, Phase, SessionFacts, World};
use crate::log_format::Format;
use crate::model::check::{
    CheckAction, CheckStep, Expectation, Filling, Hole, Slot, Tell, TextMatch, Wanted,
};
use crate::model::{BackendId, FrontendId, ServerId};
use crate::plane::Plane;
use crate::value::Value;

/// What surrounds a check: asked by the expressions in its steps.
pub trait Surroundings: fmt::Debug + Send + Sync {
    fn plane(&self) -> &Plane;
    fn world(&self) -> &dyn World;
    fn now(&self) -> Now;
    /// The server that is checked.
    fn place(&self) -> (BackendId, ServerId);
}

/// What a check remembers for its expressions.
#[derive(Clone, Default)]
pub(super) struct Memory {
    /// `None`: expressions have no values.
    around: Option<Arc<dyn Surroundings>>,
    session: SessionFacts,
    exchange: ExchangeFacts,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

/// What a server has said.
#[derive(Debug, Default)]
pub(super) struct Heard<'a> {
    /// The head of a response, where the check speaks HTTP and one has come.
    pub(super) head: Option<Head>,
    /// The body of that response, or all that came.
    pub(super) bytes: &'a [u8],
    /// Nothing will follow.
    pub(super) complete: bool,
}

impl Memory {
    pub(super) fn new(around: Option<Arc<dyn Surroundings>>) -> Self {
        Self {
            around,
            ..Self::default()
        }
    }

    /// Lends a context; `None` where nothing surrounds the check.
    pub(super) fn with<T>(
        &mut self,
        heard: &mut Heard<'_>,
        use_it: impl FnOnce(&mut Context<'_>) -> T,
    ) -> Option<T> {
        let around = self.around.as_deref()?;
        // There is no client, so that no frontend has its number.
        let nobody = FrontendId(u32::MAX);
        let mut context = Context::new(
            around.plane(),
            around.world(),
            Phase::Check,
            nobody,
            &mut self.session,
            &mut self.exchange,
        );
        context.now = around.now();
        let (backend, server) = around.place();
        (context.backend, context.server) = (Some(backend), Some(server));
        context.response = heard.head.as_mut();
        context.response_payload = Payload {
            bytes: heard.bytes,
            complete: heard.complete,
        };
        Some(use_it(&mut context))
    }

    /// The action of a step, with its holes filled in.
    ///
    /// # Errors
    /// What cannot be made of a hole's text, for the verdict.
    pub(super) fn fill(
        &mut self,
        step: &CheckStep,
        heard: &mut Heard<'_>,
    ) -> Result<CheckAction, &'static str> {
        let mut action = step.action.clone();
        for Hole { slot, filling } in &step.holes {
            let filled = self.with(heard, |context| match filling {
                Filling::Format(format) => text(format, context),
                Filling::Expression(expression) => {
                    let value = expression.evaluate(context);
                    value.map(Value::into_owned).map_or_else(Vec::new, |value| {
                        let mut out = Vec::new();
                        value.write(&mut out);
                        out
                    })
                }
            });
            put(*slot, filled.unwrap_or_default(), &mut action)?;
        }
        Ok(action)
    }
}

fn text(format: &Format, context: &Context<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    format.write(context, &mut text);
    text
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// Puts a text into its place.
fn put(slot: Slot, text: Vec<u8>, action: &mut CheckAction) -> Result<(), &'static str> {
    const NO_DIGITS: &str = "the text is no even number of hexadecimal digits";
    let words = |text: Vec<u8>| String::from_utf8_lossy(&text).into_owned();
    match (action, slot) {
        (CheckAction::Connect(connect), Slot::Port) => {
            let port = number(&text).filter(|&port: &u16| port > 0);
            connect.port = Some(port.ok_or("the expression gives no port")?);
        }
        (CheckAction::Send(bytes), Slot::Send) => *bytes = text,
        (CheckAction::Send(bytes), Slot::SendDigits) => {
            *bytes = hexadecimal_bytes(&words(text)).ok_or(NO_DIGITS)?;
        }
        (CheckAction::Ask(ask), Slot::Target) => {
            ask.target = words(text);
            // What has blanks would end the request line early.
            let safe = |byte: u8| byte > b' ' && byte != 0x7f;
            if !ask.target.bytes().all(safe) {
                return Err("the text is no URI");
            }
            if ask.target.is_empty() {
                ask.target.push('/');
            }
        }
        (CheckAction::Ask(ask), Slot::Field(index)) => {
            if let Some(field) = ask.fields.get_mut(index) {
                field.1 = words(text);
            }
        }
        (CheckAction::Ask(ask), Slot::Body) => ask.body = text,
        (CheckAction::Expect(expectation), slot) => put_wanted(slot, text, expectation)?,
        _ => {}
    }
    Ok(())
}

fn put_wanted(
    slot: Slot,
    text: Vec<u8>,
    expectation: &mut Expectation,
) -> Result<(), &'static str> {
    let words = String::from_utf8_lossy(&text).into_owned();
    match (slot, &mut expectation.wanted) {
        (Slot::OnSuccess, _) => expectation.on_success = Some(Tell::Text(words)),
        (Slot::OnError, _) => expectation.on_error = Some(Tell::Text(words)),
        (Slot::StatusCode, _) => expectation.code = number(&text),
        // Nothing would stand in every answer.
        (Slot::Wanted | Slot::WantedDigits, _) if text.is_empty() => {
            return Err("the text that is expected is empty");
        }
        (Slot::Wanted, Wanted::Text(wanted) | Wanted::Body(wanted)) => *wanted = text,
        (Slot::WantedDigits, Wanted::Binary(wanted)) => {
            let digits = hexadecimal_bytes(&words);
            *wanted = digits.ok_or("the text is no even number of hexadecimal digits")?;
        }
        (Slot::FieldName, Wanted::Field(field)) => replace(&mut field.name, words),
        (Slot::FieldValue, Wanted::Field(field)) => {
            if let Some(value) = &mut field.value {
                replace(value, words);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Patterns have no holes, which is checked when they are read.
fn replace(pattern: &mut TextMatch, text: String) {
    match pattern {
        TextMatch::Exact(known)
        | TextMatch::Begins(known)
        | TextMatch::Ends(known)
        | TextMatch::Contains(known) => *known = text,
        TextMatch::Regex(_) => {}
    }
}
