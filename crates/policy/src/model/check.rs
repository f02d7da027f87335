//! Health checks as configured: what a server is asked, what counts as healthy, how often it is asked.
//!
//! Every kind of check is a list of steps, so that one dialogue ([`crate::probe`]) speaks them all. What is absent:
//! what the checks found ([`crate::health`]).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use super::tls::ServerTls;
use super::{BackendId, ServerId};
use crate::expression::Expression;
use crate::log_format::Format;
use crate::probe::{DialOffer, DialTls, Status};
use crate::rule::Rule;

/// `inter`, unless written: time between two checks.
pub const INTERVAL_DEFAULT_MS: u64 = 2_000;

/// `rise`, unless written: passed checks in a row that bring a server back.
pub const RISE_DEFAULT: u32 = 2;

/// `fall`, unless written: failed checks in a row that take a server out.
pub const FALL_DEFAULT: u32 = 3;

/// `error-limit`, unless written: failed exchanges in a row before `on-error` acts.
pub const ERROR_LIMIT_DEFAULT: u32 = 10;

/// Most steps of one check.
pub const STEPS_MAX: usize = 256;

/// Most bytes that one step sends.
pub const SEND_BYTES_MAX: usize = 16_384;

/// Most memory of one compiled pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// How the servers of a backend are checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackendCheck {
    pub spec: CheckSpec,
    /// `option log-health-checks`: every verdict that changes a count is logged.
    pub log: bool,
}

/// What is asked and what counts as healthy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckSpec {
    pub flavour: Flavour,
    /// Begins with a connection; at most [`STEPS_MAX`].
    pub steps: Vec<CheckStep>,
    /// `http-check disable-on-404`: 404 from a server that is not down asks for no new clients.
    pub disable_on_404: bool,
    /// `http-check send-state`: requests tell servers what is thought of them.
    pub send_state: bool,
    /// [`Flavour::External`]: what is run.
    pub program: Option<Program>,
}

/// `external-check`: a program that judges servers by its exit status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// `external-check command`.
    pub command: String,
    /// `external-check path`: its `PATH`.
    pub path: String,
    /// `external-check preserve-env`: it sees our environment too.
    pub keeps_environment: bool,
}

/// Who wrote the steps, which decides how results are worded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// Nobody: a connection is all that is wanted.
    #[default]
    Connect,
    /// `option httpchk` and `http-check` lines.
    Http,
    /// `option tcp-check` and `tcp-check` lines.
    Script,
    /// A protocol we know.
    Protocol,
    /// `agent-check`: the answer is an order and not only a verdict.
    Agent,
    /// `option external-check`: a program judges, and nothing is said over the network.
    External,
    /// `option grpc-check`: a call over HTTP/2.
    Grpc,
}

/// One step of a check.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckStep {
    pub action: CheckAction,
    /// Added to what is said of a failure here.
    pub comment: Option<String>,
    /// How many lines with a comment stand right before it; each counts as a step, as in HAProxy.
    pub comment_lines: u16,
    /// What is filled in when the step is performed; most steps are as they are written.
    pub holes: Vec<Hole>,
}

impl From<CheckAction> for CheckStep {
    fn from(action: CheckAction) -> Self {
        Self {
            action,
            comment: None,
            comment_lines: 0,
            holes: Vec::new(),
        }
    }
}

/// A part of a step that is known only when the step is performed.
#[derive(Clone, Debug, PartialEq)]
pub struct Hole {
    pub slot: Slot,
    pub filling: Filling,
}

/// What a hole is filled with.
#[derive(Clone, Debug, PartialEq)]
pub enum Filling {
    Format(Format),
    Expression(Expression),
}

/// Which part of a step a hole is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// `connect port EXPRESSION`.
    Port,
    /// `send-lf`, and `send-binary-lf`, whose text is hexadecimal digits.
    Send,
    SendDigits,
    /// `send uri-lf`, `hdr` (by its place), `body-lf`.
    Target,
    Field(usize),
    Body,
    /// `expect string-lf`, and `binary-lf`, whose text is hexadecimal digits.
    Wanted,
    WantedDigits,
    /// `expect hdr name-lf`, `value-lf`.
    FieldName,
    FieldValue,
    /// `on-success`, `on-error`, `status-code`.
    OnSuccess,
    OnError,
    StatusCode,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CheckAction {
    Connect(CheckConnect),
    Send(Vec<u8>),
    Ask(HttpAsk),
    Expect(Expectation),
    /// `set-var` and its like: nothing is said or heard.
    Rule(Rule),
}

/// A connection to open; what is absent comes from the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckConnect {
    pub address: Option<IpAddr>,
    pub port: Option<u16>,
    /// `send-proxy`: the PROXY protocol first.
    pub send_proxy: bool,
    /// `via-socks4`: through the server's `socks4`.
    pub via_socks: bool,
    /// `ssl`; a line without it, and without `default`, connects plainly.
    pub tls: DialTls,
    /// `sni`, `alpn`.
    pub offer: Option<Arc<DialOffer>>,
    /// `proto h2`.
    pub http2: bool,
    /// No line asked for it, so that it does not count as a step.
    pub implicit: bool,
}

/// An HTTP/1 request. `Connection` and `Content-Length` are added where they are missing and needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAsk {
    pub method: String,
    pub target: String,
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub version: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Default for HttpAsk {
    fn default() -> Self {
        Self {
            method: "OPTIONS".to_owned(),
            target: "/".to_owned(),
            version: "HTTP/1.0".to_owned(),
            fields: Vec::new(),
            body: Vec::new(),
        }
    }
}

/// What a healthy server says.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    pub wanted: Wanted,
    /// `!`: what a healthy server does not say.
    pub negated: bool,
    /// `min-recv`: bytes without which nothing is concluded; `Some(0)`: whatever has come is conclusive; `None`: the
    /// server may go on until it has said it.
    pub receive_min: Option<u32>,
    /// Statuses instead of the usual ones (`ok-status`, `error-status`, `tout-status`).
    pub passed: Option<Status>,
    pub failed: Option<Status>,
    pub timed_out: Option<Status>,
    pub on_success: Option<Tell>,
    pub on_error: Option<Tell>,
    /// The code that goes with the verdict, where it is not the answer's own (`status-code`).
    pub code: Option<u32>,
    /// The answer is lines that begin with a code of three digits, the last of them without a hyphen behind it, and
    /// nothing is concluded before that line has ended.
    pub coded: bool,
}

impl Expectation {
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            negated: false,
            receive_min: None,
            passed: None,
            failed: None,
            timed_out: None,
            on_success: None,
            on_error: None,
            code: None,
            coded: false,
        }
    }
}

/// What is compared with what.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// These bytes, somewhere.
    Text(Vec<u8>),
    /// The same, written in hexadecimal digits.
    Binary(Vec<u8>),
    Regex(Pattern),
    /// A pattern for the hexadecimal digits of the answer, in capitals.
    BinaryRegex(Pattern),
    /// An HTTP status within one of these ranges.
    Status(Vec<(u16, u16)>),
    StatusRegex(Pattern),
    Field(FieldWanted),
    Body(Vec<u8>),
    BodyRegex(Pattern),
    /// An answer that only its protocol's file understands.
    Reply(Protocol),
}

/// A header field (`hdr`, `fhdr`).
#[derive(Clone, Debug, PartialEq)]
pub struct FieldWanted {
    pub name: TextMatch,
    /// `None`: its presence is enough.
    pub value: Option<TextMatch>,
    /// `fhdr`: values are not cut at commas.
    pub whole: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TextMatch {
    Exact(String),
    Begins(String),
    Ends(String),
    Contains(String),
    Regex(Pattern),
}

/// Answers that take more than a pattern to understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Agent,
    /// An agent's words in the body of an HTTP response.
    HttpAgent,
    Ldap,
    /// `logged_in`: the answer to a login is expected behind the greeting.
    MySql {
        logged_in: bool,
    },
    Spop,
}

/// What is said of an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tell {
    Text(String),
    /// The first line of the answer, from this byte on.
    Received(usize),
}

/// A regular expression that compiles.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// # Errors
    /// What is wrong with `text`, in words: its syntax, or the memory it would take.
    pub fn new(text: &str, ignore_case: bool) -> Result<Self, String> {
        let built = RegexBuilder::new(text)
            .unicode(false)
            .case_insensitive(ignore_case)
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_BYTES_MAX)
            .build();
        match built {
            Ok(regex) => Ok(Self(regex)),
            Err(regex::Error::CompiledTooBig(limit)) => {
                Err(format!("it would take more than {limit} bytes of memory"))
            }
            Err(error) => Err(crate::pattern::problem(&error)),
        }
    }

    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.0.as_str())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// Checks of one server.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerCheck {
    /// `check`.
    pub enabled: bool,
    pub rhythm: Rhythm,
    /// `addr`, `port`: where checks go instead.
    pub address: Option<IpAddr>,
    pub port: Option<u16>,
    /// `check-send-proxy`.
    pub send_proxy: bool,
    /// `check-proto h2`, or `proto h2` where nothing else is said.
    pub http2: bool,
    /// `check-via-socks4`.
    pub via_socks: bool,
    /// How checks use TLS: as the traffic does, unless `check-ssl`, `check-sni` and their like say otherwise.
    pub tls: Option<Arc<ServerTls>>,
    /// Whether connections use TLS unless a step says otherwise.
    pub tls_usual: bool,
    /// Whether that follows the server's traffic: it has neither `check-ssl` nor a place of its own.
    pub tls_follows: bool,
    /// `check-sni-auto`: the host that a check names is the name that its connection asks for in TLS.
    pub sni_auto: bool,
    /// `healthcheck`: steps of its own instead of the backend's.
    pub spec: Option<CheckSpec>,
    pub agent: Option<AgentCheck>,
    /// `track`: takes part in another server's state instead of having checks.
    pub track: Option<(BackendId, ServerId)>,
    pub init_state: InitState,
    /// `slowstart`: a server that comes back gets its share bit by bit; 0: at once.
    pub slow_start_ms: u64,
    pub observe: Option<Observe>,
    /// `error-limit`.
    pub error_limit: u32,
    pub on_error: OnError,
    /// `on-marked-down shutdown-sessions`: whoever is at this server when it goes down is cut off.
    pub ends_sessions_when_down: bool,
    /// `on-marked-up shutdown-backup-sessions`: whoever is at a backup server when this one comes up is cut off.
    pub ends_backup_sessions_when_up: bool,
}

impl Default for ServerCheck {
    fn default() -> Self {
        Self {
            enabled: false,
            rhythm: Rhythm::default(),
            address: None,
            port: None,
            send_proxy: false,
            http2: false,
            via_socks: false,
            tls: None,
            tls_usual: false,
            tls_follows: false,
            sni_auto: true,
            spec: None,
            agent: None,
            track: None,
            init_state: InitState::Up,
            slow_start_ms: 0,
            observe: None,
            error_limit: ERROR_LIMIT_DEFAULT,
            on_error: OnError::default(),
            ends_sessions_when_down: false,
            ends_backup_sessions_when_up: false,
        }
    }
}

/// How often, and how many in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// `inter`: between checks of a server whose state is sure.
    pub interval_ms: u64,
    /// `fastinter`: while it is not.
    pub fast_interval_ms: Option<u64>,
    /// `downinter`: of a server that is surely down.
    pub down_interval_ms: Option<u64>,
    /// At least 1.
    pub rise: u32,
    /// At least 1.
    pub fall: u32,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            interval_ms: INTERVAL_DEFAULT_MS,
            fast_interval_ms: None,
            down_interval_ms: None,
            rise: RISE_DEFAULT,
            fall: FALL_DEFAULT,
        }
    }
}

/// `agent-check` and its words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentCheck {
    /// `agent-addr`; `None`: the server's.
    pub address: Option<IpAddr>,
    /// `agent-port`.
    pub port: u16,
    /// `agent-inter`; `None`: `inter`.
    pub interval_ms: Option<u64>,
    /// `agent-send`: told to the agent before it answers.
    pub send: Vec<u8>,
    /// `agent-http`: asked over HTTP/1.1 for this target; the answer's body is the line, or JSON.
    pub http_target: Option<String>,
    /// `agent-ssl`: asked over TLS, as the server's checks would be.
    pub tls: bool,
}

/// What is thought of a server before its first check (`init-state`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InitState {
    /// Surely up.
    FullyUp,
    /// Up; one failed check takes it out.
    #[default]
    Up,
    /// Down; one passed check brings it in.
    Down,
    /// Surely down.
    FullyDown,
}

/// Which part of the traffic is watched for errors (`observe`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observe {
    /// Connections.
    Layer4,
    /// Responses.
    Layer7,
}

/// What too many errors in the traffic lead to (`on-error`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The next check comes sooner.
    FastInterval,
    /// Counts as a failed check.
    #[default]
    FailCheck,
    /// One more failed check takes the server out.
    SuddenDeath,
    /// The server is taken out.
    MarkDown,
    /// The server is taken out for `window_ms`, and failures are held against it for as long, whatever succeeds in
    /// between. Needs no check. It is what nginx's `max_fails` and `fail_timeout` do.
    Suspend { window_ms: u64 },
}

/// `error-window`, unless written: nginx's `fail_timeout`.
pub const ERROR_WINDOW_DEFAULT_MS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_compare_by_their_text_and_say_what_is_wrong() {
        let pattern = Pattern::new("^2[0-9]{2}", false).expect("a pattern");
        assert!(pattern.matches(b"200 ok") && !pattern.matches(b"x200"));
        assert_eq!(
            pattern,
            Pattern::new("^2[0-9]{2}", false).expect("a pattern")
        );
        assert!(Pattern::new("A", true).expect("a pattern").matches(b"a"));
        let error = Pattern::new("(", false).expect_err("an open group");
        assert!(error.contains("unclosed group"), "{error}");
        let error = Pattern::new("(a{1000}){1000}", false).expect_err("a million letters");
        assert!(error.contains("memory"), "{error}");
    }
}
