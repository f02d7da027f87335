//! Performs the steps of a check, one dialogue for all kinds.
//!
//! An expectation is judged whenever the server has said more, on all it has said since the last thing it was told.
//! Expectations that stand in a row and begin with a negated one are judged again from there when the server goes on.
//! Steps with holes are filled in whenever they are performed.

use std::borrow::Cow;
use std::sync::Arc;

use super::fill::{self, Memory};
use super::grpc_check::Call;
use super::over_h2::Carrier;
use super::response::{Reading, Response};
use super::{Dial, Dialogue, Fault, Heard, Probe, Standing, Status, Step, Verdict};
use super::{agent, ldap_check, mysql_check, spop_check};
use crate::model::check::{
    CheckAction, CheckSpec, CheckStep, Expectation, FieldWanted, Flavour, HttpAsk, Program,
    Protocol, Tell, TextMatch, Wanted,
};

/// Most bytes of an answer that are kept; what fills them is taken for the whole answer.
pub const HEARD_BYTES_MAX: usize = 16_384;

/// The steps of a check, ready to be performed.
#[derive(Clone, Debug)]
pub struct Script(Arc<CheckSpec>);

impl Script {
    /// A check without steps is a connection.
    pub fn new(mut spec: CheckSpec) -> Self {
        let opens = |step: &CheckStep| matches!(step.action, CheckAction::Connect(_));
        let speaks = |step: &&CheckStep| !matches!(step.action, CheckAction::Rule(_));
        if !spec.steps.iter().find(speaks).is_some_and(opens) {
            let implicit = crate::model::check::CheckConnect {
                implicit: true,
                ..Default::default()
            };
            spec.steps.insert(0, CheckAction::Connect(implicit).into());
        }
        Self(Arc::new(spec))
    }

    /// What kind of check it is.
    pub fn flavour(&self) -> Flavour {
        self.0.flavour
    }

    /// The program that judges in place of a dialogue.
    pub fn program(&self) -> Option<&Program> {
        self.0.program.as_ref()
    }

    /// Whether its steps have expressions, which want to see [`Standing::around`].
    pub fn looks_around(&self) -> bool {
        let looks = |step: &CheckStep| {
            !step.holes.is_empty() || matches!(step.action, CheckAction::Rule(_))
        };
        self.0.steps.iter().any(looks)
    }

    /// Whether requests carry [`Standing::report`].
    pub fn wants_report(&self) -> bool {
        self.0.send_state
    }
}

impl Probe for Script {
    fn begin(&self, standing: &Standing) -> Box<dyn Dialogue> {
        if let Some(call) = Call::new(&self.0) {
            return Box::new(call);
        }
        Box::new(Talk {
            spec: Arc::clone(&self.0),
            memory: Memory::new(standing.around.clone()),
            standing: standing.clone(),
            at: 0,
            connected: false,
            heard: Vec::new(),
            closed: false,
            code: 0,
            head_asked: false,
            upgrade_asked: false,
            carrier: None,
        })
    }
}

#[derive(Debug)]
struct Talk {
    spec: Arc<CheckSpec>,
    standing: Standing,
    memory: Memory,
    /// The step that is being performed.
    at: usize,
    /// The connection of this step stands.
    connected: bool,
    /// Since the last connection or thing sent.
    heard: Vec<u8>,
    closed: bool,
    code: u32,
    /// The last request was HEAD; offered another protocol.
    head_asked: bool,
    upgrade_asked: bool,
    /// What carries requests on a connection that speaks HTTP/2.
    carrier: Option<Carrier>,
}

/// What a server has said, to be lent to expressions.
struct Said {
    head: Option<plimsoll_wire::head::Head>,
    bytes: Vec<u8>,
    complete: bool,
}

impl Said {
    fn lend(&mut self) -> fill::Heard<'_> {
        fill::Heard {
            head: self.head.take(),
            bytes: &self.bytes,
            complete: self.complete,
        }
    }
}

/// What an expectation makes of what was heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Not enough to tell.
    Wait,
    /// As expected; on to the next step.
    Pass,
    /// The check ends here.
    End(Verdict),
}

impl Dialogue for Talk {
    fn hear(&mut self, heard: Heard<'_>, say: &mut Vec<u8>) -> Step {
        match heard {
            Heard::Begin => {}
            Heard::Connected { http2 } => {
                self.connected = true;
                self.closed = false;
                self.heard.clear();
                self.carrier = (http2 || self.speaks_h2()).then(Carrier::new);
            }
            Heard::Bytes(bytes) => {
                let mut carried = Vec::new();
                let bytes = match &mut self.carrier {
                    None => bytes,
                    Some(carrier) => {
                        self.closed |= carrier.hear(bytes, &mut carried);
                        &carried
                    }
                };
                let room = HEARD_BYTES_MAX - self.heard.len();
                self.heard
                    .extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            Heard::Closed => self.closed = true,
        }
        let step = self.go_on(say);
        if let Some(carrier) = &mut self.carrier {
            carrier.send(say);
        }
        step
    }

    fn fault(&self, fault: &Fault) -> Verdict {
        let (status, words) = fault.verdict(self.late());
        Verdict::new(status, self.code, format!("{words}{}", self.place()))
    }
}

impl Talk {
    /// Whether the connection that has come about is one for HTTP/2.
    fn speaks_h2(&self) -> bool {
        let step = self.spec.steps.get(self.at).map(|step| &step.action);
        match step {
            Some(CheckAction::Connect(connect)) if !connect.implicit => connect.http2,
            _ => self.standing.http2,
        }
    }

    fn go_on(&mut self, say: &mut Vec<u8>) -> Step {
        let spec = Arc::clone(&self.spec);
        while let Some(step) = spec.steps.get(self.at) {
            let is_expectation = matches!(step.action, CheckAction::Expect(_));
            if is_expectation && self.heard.is_empty() && !self.closed {
                return Step::Listen;
            }
            let action = match self.filled(step) {
                Ok(action) => action,
                Err(_) if is_expectation && !self.said().complete => {
                    self.at = self.chain_head();
                    return Step::Listen;
                }
                Err(what) => {
                    let text = format!("{what} at step {}", self.number());
                    let what = commented(text.into_bytes(), step);
                    return Step::Done(Verdict::new(Status::ReplyInvalid, self.code, what));
                }
            };
            match &*action {
                CheckAction::Connect(_) if self.connected => {
                    // A further connect step needs a connection of its own.
                    self.connected = false;
                }
                CheckAction::Connect(connect) => {
                    return Step::Connect(Dial {
                        address: connect.address,
                        port: connect.port,
                        send_proxy: connect.send_proxy,
                        via_socks: connect.via_socks,
                        tls: connect.tls,
                        offer: connect.offer.clone(),
                        host: connect.implicit.then(|| self.host_asked()).flatten(),
                    });
                }
                CheckAction::Send(bytes) => {
                    say.extend_from_slice(bytes);
                    self.heard.clear();
                }
                CheckAction::Ask(ask) => self.ask(ask, say),
                CheckAction::Expect(expectation) => match self.judge(expectation, step) {
                    Outcome::Wait => {
                        self.at = self.chain_head();
                        return Step::Listen;
                    }
                    Outcome::Pass => {}
                    Outcome::End(verdict) => return Step::Done(verdict),
                },
                CheckAction::Rule(rule) => {
                    let mut said = self.said();
                    let memory = &mut self.memory;
                    memory.with(&mut said.lend(), |context| rule.perform(context));
                }
            }
            self.at += 1;
        }
        Step::Done(self.passed())
    }

    fn ask(&mut self, ask: &HttpAsk, say: &mut Vec<u8>) {
        self.head_asked = ask.method == "HEAD";
        self.upgrade_asked = has_field(ask, "upgrade");
        let standing = &self.standing;
        let report = self.spec.send_state.then_some(standing.report.as_str());
        match &mut self.carrier {
            None => write_request(ask, report, say),
            Some(carrier) => {
                let mut text = Vec::new();
                write_request(ask, report, &mut text);
                // One that cannot be put is not answered either.
                self.closed |= !carrier.ask(&text);
            }
        }
        self.heard.clear();
    }

    /// The host of the next request, without its port (HAProxy: `check-sni-auto`).
    fn host_asked(&mut self) -> Option<String> {
        let spec = Arc::clone(&self.spec);
        let mut steps = spec.steps.iter().skip(self.at);
        let step = steps.find(|step| matches!(step.action, CheckAction::Ask(_)))?;
        let action = self.filled(step).ok()?;
        let CheckAction::Ask(ask) = &*action else {
            return None;
        };
        let mut hosts = ask.fields.iter();
        let (_, host) = hosts.rfind(|(name, _)| name.eq_ignore_ascii_case("host"))?;
        let end = host
            .rfind([':', ']'])
            .filter(|&at| host[at..].starts_with(':'));
        let name = &host[..end.unwrap_or(host.len())];
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// What a step does, with its holes filled in.
    fn filled<'a>(&mut self, step: &'a CheckStep) -> Result<Cow<'a, CheckAction>, &'static str> {
        if step.holes.is_empty() {
            return Ok(Cow::Borrowed(&step.action));
        }
        let mut said = self.said();
        let mut heard = said.lend();
        self.memory.fill(step, &mut heard).map(Cow::Owned)
    }

    /// What the server has said, as expressions see it.
    fn said(&self) -> Said {
        let mut said = Said {
            head: None,
            bytes: self.heard.clone(),
            complete: self.is_last(),
        };
        if self.spec.flavour == Flavour::Http {
            let (head_asked, upgrade_asked) = (self.head_asked, self.upgrade_asked);
            let read = Response::read(&self.heard, self.closed, head_asked, upgrade_asked);
            if let Reading::Head(response) = read {
                said.complete |= response.complete;
                (said.head, said.bytes) = (Some(response.head), response.body);
            }
        }
        said
    }

    /// Where judging begins again when the server goes on: at the first negated expectation of this row.
    fn chain_head(&self) -> usize {
        let mut head = self.at;
        for (index, step) in self.spec.steps[..self.at].iter().enumerate().rev() {
            let CheckAction::Expect(earlier) = &step.action else {
                break;
            };
            if earlier.negated {
                head = index;
            }
        }
        head
    }

    /// The answer cannot grow any more.
    fn is_last(&self) -> bool {
        self.closed || self.heard.len() >= HEARD_BYTES_MAX
    }

    fn judge(&mut self, expectation: &Expectation, step: &CheckStep) -> Outcome {
        match &expectation.wanted {
            Wanted::Reply(protocol) => self.judge_reply(*protocol, step),
            Wanted::Text(_) | Wanted::Binary(_) | Wanted::Regex(_) | Wanted::BinaryRegex(_) => {
                self.judge_bytes(expectation, step)
            }
            Wanted::Status(_)
            | Wanted::StatusRegex(_)
            | Wanted::Field(_)
            | Wanted::Body(_)
            | Wanted::BodyRegex(_) => self.judge_http(expectation, step),
        }
    }

    fn judge_reply(&self, protocol: Protocol, step: &CheckStep) -> Outcome {
        if self.heard.is_empty() {
            let what = self.complaint("", false, step);
            return Outcome::End(Verdict::new(Status::ReplyInvalid, 0, what));
        }
        let last = self.is_last();
        match protocol {
            Protocol::Agent => agent::judge(&self.heard, last),
            Protocol::HttpAgent => agent::judge_http(&self.heard, self.closed, last),
            Protocol::Ldap => ldap_check::judge(&self.heard, last),
            Protocol::MySql { logged_in } => mysql_check::judge(&self.heard, last, logged_in),
            Protocol::Spop => spop_check::judge(&self.heard, last),
        }
    }

    fn judge_bytes(&mut self, expectation: &Expectation, step: &CheckStep) -> Outcome {
        let last = self.is_last();
        let least = match &expectation.wanted {
            Wanted::Text(text) | Wanted::Binary(text) => text.len(),
            _ => 0,
        };
        let least = least.max(expectation.receive_min.unwrap_or(0) as usize);
        let unended = expectation.coded && !ends_reply(&self.heard);
        if !last && (unended || self.heard.len() < least) {
            return Outcome::Wait;
        }
        let matches = match &expectation.wanted {
            Wanted::Text(text) | Wanted::Binary(text) => contains(&self.heard, text),
            Wanted::Regex(pattern) => pattern.matches(&self.heard),
            Wanted::BinaryRegex(pattern) => pattern.matches(&hexadecimal(&self.heard)),
            _ => false,
        };
        if !matches && !last && expectation.receive_min.is_none() {
            return Outcome::Wait;
        }
        if expectation.coded {
            self.code = code(&self.heard);
        }
        self.code = expectation.code.unwrap_or(self.code);
        if matches != expectation.negated {
            return Outcome::Pass;
        }
        let status = expectation.failed.unwrap_or(Status::ReplyInvalid);
        let told = self.tell(expectation.on_error.as_ref());
        let what = if told.is_empty() {
            self.complaint(&described(&expectation.wanted), matches, step)
        } else {
            commented(told, step)
        };
        Outcome::End(Verdict::new(status, self.code, what))
    }

    fn judge_http(&mut self, expectation: &Expectation, step: &CheckStep) -> Outcome {
        let last = self.is_last();
        let response = Response::read(
            &self.heard,
            self.closed,
            self.head_asked,
            self.upgrade_asked,
        );
        let response = match response {
            Reading::Partial if !last => return Outcome::Wait,
            Reading::Partial | Reading::Invalid => {
                let what = self.complaint(&described(&expectation.wanted), false, step);
                return Outcome::End(Verdict::new(Status::ReplyInvalid, 0, what));
            }
            Reading::Head(response) => response,
        };
        self.code = expectation.code.unwrap_or_else(|| response.status.into());
        if self.spec.disable_on_404 && response.status == 404 && !self.standing.down {
            return Outcome::Pass;
        }
        let last = last || response.complete;
        let (matches, usual, words) = match &expectation.wanted {
            Wanted::Status(ranges) => {
                let within = |&(low, high): &(u16, u16)| (low..=high).contains(&response.status);
                let matches = ranges.iter().any(within);
                (matches, Status::ReplyWrong, response.head.reason().to_vec())
            }
            Wanted::StatusRegex(pattern) => {
                let matches = pattern.matches(response.status.to_string().as_bytes());
                (matches, Status::ReplyWrong, response.head.reason().to_vec())
            }
            Wanted::Field(wanted) => {
                let matches = has_wanted_field(&response, wanted);
                (matches, Status::ReplyWrong, response.head.reason().to_vec())
            }
            _ => match self.judge_body(expectation, &response, last) {
                Some((matches, words)) => (matches, Status::ReplyInvalid, words.into()),
                None => return Outcome::Wait,
            },
        };
        // Without a body there is nothing to want or not to want in it.
        let bodiless = words == NO_BODY.as_bytes();
        if matches != expectation.negated && !bodiless {
            return Outcome::Pass;
        }
        let status = expectation.failed.unwrap_or(usual);
        let told = self.tell(expectation.on_error.as_ref());
        let what = match (told.is_empty(), words.is_empty()) {
            (false, _) => commented(told, step),
            (true, false) => commented(words, step),
            (true, true) => self.complaint(&described(&expectation.wanted), matches, step),
        };
        Outcome::End(Verdict::new(status, self.code, what))
    }

    /// Whether the body matches, and what is said when it should not be as it is; `None`: more may come.
    fn judge_body(
        &self,
        expectation: &Expectation,
        response: &Response,
        last: bool,
    ) -> Option<(bool, &'static str)> {
        if response.body.is_empty() {
            return last.then_some((false, NO_BODY));
        }
        let least = match &expectation.wanted {
            Wanted::Body(text) => text.len(),
            _ => 0,
        };
        let least = least.max(expectation.receive_min.unwrap_or(0) as usize);
        if !last && response.body.len() < least {
            return None;
        }
        let matches = match &expectation.wanted {
            Wanted::Body(text) => contains(&response.body, text),
            Wanted::BodyRegex(pattern) => pattern.matches(&response.body),
            _ => false,
        };
        if !matches && !last && expectation.receive_min.is_none() {
            return None;
        }
        let words = if expectation.negated {
            "HTTP check matched unwanted content"
        } else {
            "HTTP content check did not match"
        };
        Some((matches, words))
    }

    /// The verdict of a check whose steps have all been performed.
    fn passed(&mut self) -> Verdict {
        let script = self.spec.flavour == Flavour::Script;
        let spec = Arc::clone(&self.spec);
        // Rules say nothing: the step before them has the last word.
        let spoken = |step: &&CheckStep| !matches!(step.action, CheckAction::Rule(_));
        let last = spec.steps.iter().rev().find(spoken);
        let last = last.map(|step| self.filled(step).unwrap_or(Cow::Borrowed(&step.action)));
        let (status, info) = match last.as_deref() {
            Some(CheckAction::Expect(expectation)) => {
                if self.spec.disable_on_404 && self.code == 404 && !self.standing.down {
                    return Verdict::new(Status::ReplyConditional, self.code, "");
                }
                let told = self.tell(expectation.on_success.as_ref());
                let told = match told.is_empty() && script {
                    true => b"(tcp-check)".to_vec(),
                    false => told,
                };
                (expectation.passed.unwrap_or(Status::ReplyOk), told)
            }
            Some(CheckAction::Connect(connect)) if connect.implicit => {
                (Status::ConnectOk, Vec::new())
            }
            Some(CheckAction::Connect(_)) => (Status::ConnectOk, b"(tcp-check)".to_vec()),
            _ => (Status::ReplyOk, b"(tcp-check)".to_vec()),
        };
        Verdict::new(status, self.code, info)
    }

    fn tell(&self, tell: Option<&Tell>) -> Vec<u8> {
        match tell {
            None => Vec::new(),
            Some(Tell::Text(text)) => text.clone().into_bytes(),
            Some(Tell::Received(from)) => {
                let rest = self.heard.get(*from..).unwrap_or_default();
                let end = rest
                    .iter()
                    .position(|byte| matches!(byte, b'\r' | b'\n' | 0));
                rest[..end.unwrap_or(rest.len())]
                    .trim_ascii_start()
                    .to_vec()
            }
        }
    }

    /// What is said when neither the server nor the configuration has better words.
    fn complaint(&self, what: &str, matched: bool, step: &CheckStep) -> Vec<u8> {
        let number = self.number();
        let text = if self.heard.is_empty() {
            format!("TCPCHK got an empty response at step {number}")
        } else if self.spec.flavour == Flavour::Protocol {
            String::new()
        } else {
            let verb = match matched {
                true => "matched unwanted content",
                false => "did not match content",
            };
            format!("TCPCHK {verb}{what} at step {number}")
        };
        commented(text.into_bytes(), step)
    }

    /// The number of the present step as its author counts them; 0: the connection nobody asked for.
    fn number(&self) -> usize {
        let implicit = |step: &CheckStep| matches!(&step.action, CheckAction::Connect(connect) if connect.implicit);
        let first_is_implicit = self.spec.steps.first().is_some_and(implicit);
        let passed = self.spec.steps.iter().take(self.at + 1);
        let comment_lines: usize = passed.map(|step| usize::from(step.comment_lines)).sum();
        self.at + comment_lines + usize::from(!first_is_implicit)
    }

    /// The status of an answer that does not come.
    fn late(&self) -> Status {
        match self.spec.steps.get(self.at).map(|step| &step.action) {
            Some(CheckAction::Expect(expectation)) => {
                expectation.timed_out.unwrap_or(Status::ReplyTimeout)
            }
            _ => Status::ReplyTimeout,
        }
    }

    /// Where a written script has got to, for failures that are not about what the server said.
    fn place(&self) -> String {
        if self.spec.flavour != Flavour::Script {
            return String::new();
        }
        let Some(step) = self.spec.steps.get(self.at) else {
            return String::new();
        };
        let number = self.number();
        if number == 0 {
            return " at initial connection step of tcp-check".to_owned();
        }
        let doing = match &step.action {
            CheckAction::Connect(connect) => match connect.port {
                Some(port) => format!("connect port {port}"),
                None => "connect".to_owned(),
            },
            CheckAction::Send(_) | CheckAction::Ask(_) => "send".to_owned(),
            CheckAction::Rule(_) => "action".to_owned(),
            CheckAction::Expect(expectation) => awaited(&expectation.wanted),
        };
        let comment = match &step.comment {
            Some(comment) => format!(" comment: '{comment}'"),
            None => String::new(),
        };
        format!(" at step {number} of tcp-check ({doing}){comment}")
    }
}

const NO_BODY: &str = "HTTP content check could not find a response body";

fn commented(mut text: Vec<u8>, step: &CheckStep) -> Vec<u8> {
    if let Some(comment) = &step.comment {
        text.extend_from_slice(b" comment: ");
        text.extend_from_slice(comment.as_bytes());
    }
    text
}

/// What was compared, in messages about a comparison that failed.
fn described(wanted: &Wanted) -> String {
    let words = match wanted {
        Wanted::Text(text) | Wanted::Body(text) => {
            return format!(" '{}'", String::from_utf8_lossy(text));
        }
        Wanted::Status(_) => "(status codes)",
        Wanted::Binary(_) => " (binary)",
        Wanted::Regex(_) | Wanted::StatusRegex(_) | Wanted::BodyRegex(_) => " (regex)",
        Wanted::BinaryRegex(_) => " (binary regex)",
        Wanted::Field(_) => " (header pattern)",
        Wanted::Reply(_) => "",
    };
    words.to_owned()
}

/// What was waited for, in messages about a wait that ended badly.
fn awaited(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Text(text) => format!("expect string '{}'", String::from_utf8_lossy(text)),
        Wanted::Binary(bytes) => {
            let digits = hexadecimal(bytes);
            format!("expect binary '{}'", String::from_utf8_lossy(&digits))
        }
        Wanted::Regex(_) => "expect regex".to_owned(),
        Wanted::BinaryRegex(_) => "expect binary regex".to_owned(),
        Wanted::Status(_) => "expect HTTP status codes".to_owned(),
        Wanted::StatusRegex(_) => "expect HTTP status regex".to_owned(),
        Wanted::Field(_) => "expect HTTP header pattern".to_owned(),
        Wanted::Body(text) => {
            format!(
                "expect HTTP body content '{}'",
                String::from_utf8_lossy(text)
            )
        }
        Wanted::BodyRegex(_) => "expect HTTP body regex".to_owned(),
        Wanted::Reply(_) => "expect custom function".to_owned(),
    }
}

/// Whether the last line has ended and promises no other.
fn ends_reply(heard: &[u8]) -> bool {
    let last = heard
        .strip_suffix(b"\n")
        .and_then(|lines| lines.rsplit(|&byte| byte == b'\n').next());
    last.is_some_and(|line| line.get(3) != Some(&b'-'))
}

/// The number in the first three bytes.
fn code(heard: &[u8]) -> u32 {
    let digits = heard
        .iter()
        .take(3)
        .take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |code, digit| code * 10 + u32::from(digit - b'0'))
}

fn contains(heard: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(heard, text).is_some()
}

fn hexadecimal(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digits = |byte: &u8| {
        [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]
    };
    bytes.iter().flat_map(digits).collect()
}

fn has_field(ask: &HttpAsk, name: &str) -> bool {
    ask.fields
        .iter()
        .any(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// Writes a request; `report` is what is thought of the server, where it is to be told.
fn write_request(ask: &HttpAsk, report: Option<&str>, say: &mut Vec<u8>) {
    let mut line = |parts: &[&str]| {
        parts
            .iter()
            .for_each(|part| say.extend_from_slice(part.as_bytes()));
        say.extend_from_slice(b"\r\n");
    };
    line(&[&ask.method, " ", &ask.target, " ", &ask.version]);
    for (name, value) in &ask.fields {
        line(&[name, ": ", value]);
    }
    if let Some(report) = report {
        line(&["X-Haproxy-Server-State: ", report]);
    }
    if !has_field(ask, "connection") {
        line(&["Connection: close"]);
    }
    let usually_bodiless = matches!(ask.method.as_str(), "OPTIONS" | "GET" | "HEAD" | "DELETE");
    if !ask.body.is_empty() || !usually_bodiless {
        line(&["Content-Length: ", &ask.body.len().to_string()]);
    }
    line(&[]);
    say.extend_from_slice(&ask.body);
}

fn has_wanted_field(response: &Response, wanted: &FieldWanted) -> bool {
    response.head.fields().any(|(name, value)| {
        if !text_matches(&wanted.name, name, true) {
            return false;
        }
        let Some(pattern) = &wanted.value else {
            return true;
        };
        let fits = |value: &[u8]| text_matches(pattern, value.trim_ascii(), false);
        match wanted.whole {
            true => fits(value),
            false => value.split(|&byte| byte == b',').any(fits),
        }
    })
}

/// Names are compared without regard to case.
fn text_matches(pattern: &TextMatch, text: &[u8], ignore_case: bool) -> bool {
    let same = |part: &[u8], wanted: &str| match ignore_case {
        true => part.eq_ignore_ascii_case(wanted.as_bytes()),
        false => part == wanted.as_bytes(),
    };
    match pattern {
        TextMatch::Exact(wanted) => same(text, wanted),
        TextMatch::Begins(wanted) => {
            let part = text.get(..wanted.len());
            part.is_some_and(|part| same(part, wanted))
        }
        TextMatch::Ends(wanted) => {
            let start = text.len().checked_sub(wanted.len());
            start.is_some_and(|start| same(&text[start..], wanted))
        }
        TextMatch::Contains(wanted) => match wanted.len() {
            0 => true,
            length => text.windows(length).any(|part| same(part, wanted)),
        },
        TextMatch::Regex(pattern) => pattern.matches(text),
    }
}
