//! `agent-check`: a line from a program beside the server. What the line orders is [`crate::agent`]'s to read.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::script::Outcome;
use super::{Kind, Status, Verdict};
use crate::model::check::{
    AgentCheck, CheckAction, CheckSpec, Expectation, Flavour, Protocol, Wanted,
};

pub(super) const PROBE: Kind = Kind {
    name: "agent-check",
    usage: "",
    doc: "Reads a line from an agent.",
    read,
};

fn read(_: &mut Args<'_>) -> Result<CheckSpec, Diagnostic> {
    Ok(spec(&AgentCheck::default()))
}

/// The steps of an agent check.
pub fn spec(check: &AgentCheck) -> CheckSpec {
    let line = Expectation::new(Wanted::Reply(Protocol::Agent));
    let mut steps = Vec::new();
    if !check.send.is_empty() {
        steps.push(CheckAction::Send(check.send.clone()).into());
    }
    steps.push(CheckAction::Expect(line).into());
    CheckSpec {
        flavour: Flavour::Agent,
        steps,
        ..CheckSpec::default()
    }
}

/// The line ends at the first CR, LF or zero.
pub(super) fn judge(heard: &[u8], last: bool) -> Outcome {
    let end = heard
        .iter()
        .position(|byte| matches!(byte, b'\r' | b'\n' | 0));
    match end {
        Some(end) => Outcome::End(Verdict {
            agent: Some(heard[..end].to_vec()),
            ..Verdict::new(Status::Checked, 0, "")
        }),
        None if last => {
            let words = "Ignoring incomplete line from agent";
            Outcome::End(Verdict::new(Status::Checked, 0, words))
        }
        None => Outcome::Wait,
    }
}
