//! Why a request goes where it goes: each rule that ran or was passed by, what its ACLs' samples were worth, the backend,
//! the servers that might have been chosen, and the one that was.
//!
//! | look in | for |
//! |---|---|
//! | [`Story`] | what is written down while an exchange is served |
//! | [`request`] | the way that a request would take, with nothing but a plane |
//! | [`Told`] | a story that is kept |
//! | [`print`](self::print) | stories as text and as JSON |

mod condition;
mod print;
mod replay;
mod server;
mod story;

use std::sync::Arc;

use crate::action::Flow;
use crate::log::WallTime;
use crate::rule::Place;

pub use condition::{ClauseTold, TermTold};
pub use replay::{Question, read, request};
pub use server::Candidate;
pub use story::Story;

/// Longest value of a sample that is shown, in bytes.
const VALUE_BYTES_MAX: usize = 200;

/// The story of an exchange or a TCP session that has ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// The number of the request or session (`%rt`).
    pub number: u32,
    /// What `unique-id-format` calls it; empty where there is none.
    pub unique_id: String,
    /// When its first byte arrived.
    pub began: WallTime,
    /// The first line of the request, or who came.
    pub request: String,
    pub explanation: Explanation,
}

/// What becomes of a request, step by step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explanation {
    pub frontend: String,
    /// Lines that were looked at before a server was chosen.
    pub steps: Vec<Step>,
    pub backend: Option<String>,
    pub candidates: Vec<Candidate>,
    pub attempts: Vec<Attempt>,
    /// The server that was tried last.
    pub server: Option<String>,
    /// Lines that were looked at afterwards.
    pub answer: Vec<Step>,
    /// There was more than is kept.
    pub cut: bool,
    /// The end of it in a sentence.
    pub outcome: String,
}

impl Explanation {
    /// Where the next line belongs.
    fn steps_now(&mut self) -> &mut Vec<Step> {
        match self.attempts.is_empty() {
            true => &mut self.steps,
            false => &mut self.answer,
        }
    }
}

/// A server that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub server: String,
    /// Why this one: "by …" or "which …".
    pub why: String,
    /// Why another attempt had to follow, or the end.
    pub failure: Option<String>,
}

/// One line of the configuration that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The proxy whose line it is.
    pub proxy: Arc<str>,
    pub place: Place,
    /// As written, without its condition.
    pub text: Arc<str>,
    /// What its condition came to, as `if …` or `unless …`; alternatives one after the other, up to the one that decided.
    pub condition: Vec<Vec<TermTold>>,
    pub unless: bool,
    pub result: StepResult,
}

impl Step {
    fn is_at(&self, place: &Place) -> bool {
        // All places are equal, so that rules that have moved are; these are to be the same.
        self.place.line == place.line && self.place.file == place.file
    }
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

/// What a flow is called.
fn result(flow: &Flow) -> StepResult {
    let decided = match flow {
        Flow::Continue | Flow::Inform(_) | Flow::Label(_) => return StepResult::Ran,
        Flow::Pause { ms } => format!("waits for {ms} ms"),
        Flow::AwaitBody { .. } => "waits for the body".to_owned(),
        Flow::AwaitHandshake => "waits for the end of the handshake".to_owned(),
        Flow::Resolve(lookup) => format!("asks where '{}' leads", lookup.host),
        Flow::Accept => "let through".to_owned(),
        Flow::Reply(reply) => format!("answered with {}", reply.head.status),
        Flow::Tarpit(reply) => format!("answered late with {}", reply.head.status),
        Flow::Serve(_) => "answered by a service".to_owned(),
        Flow::Switch(_) => "taken for HTTP from here on".to_owned(),
        Flow::Reject => "closed without an answer".to_owned(),
        Flow::Refuse => "refused as not acceptable".to_owned(),
        Flow::Part => "closed on the server's side".to_owned(),
        Flow::Drop { .. } => "dropped in silence".to_owned(),
        Flow::Fail => "answered with 500, since the rule cannot be carried out".to_owned(),
    };
    StepResult::Decided(decided)
}
