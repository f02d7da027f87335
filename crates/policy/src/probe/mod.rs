//! What health checks say to servers, and what they make of the answers.
//!
//! ```text
//! engine: connects, writes, reads, counts time        here: says what to send and what the answer means
//!   Heard::Begin ─────────────────────────────────► Dialogue::hear ──► Step::Connect, Listen, Done(Verdict)
//!   Heard::Connected, Bytes, Closed ──────────────►
//!   Fault (refused, reset, too late) ─────────────► Dialogue::fault ──► Verdict
//! ```
//!
//! Every kind of check is a list of steps ([`CheckSpec`]); its file here writes the list, and reads answers that take
//! more than a pattern. One [`script`] performs them all. What is absent: sockets, clocks, counting of verdicts
//! ([`crate::health`]), and external programs, which are run and not spoken to.

mod agent;
mod connect;
mod fill;
mod grpc_check;
mod httpchk;
mod ldap_check;
mod mysql_check;
mod over_h2;
mod pgsql_check;
mod redis_check;
mod response;
mod script;
mod smtpchk;
mod spop_check;
mod ssl_hello_chk;
mod status;
mod tcp_check;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use crate::model::check::CheckSpec;

pub use agent::spec as agent_spec;
pub use fill::Surroundings;
pub use httpchk::complete as complete_http;
pub(crate) use httpchk::{bad_version, is_name, known_version, token};
pub use script::{HEARD_BYTES_MAX, Script};
pub use status::{Class, Status};

/// Longest text that goes with a verdict, in bytes.
pub const INFO_BYTES_MAX: usize = 127;

/// Something that can be asked again and again whether it is healthy.
pub trait Probe: fmt::Debug + Send + Sync {
    /// Begins one check.
    fn begin(&self, standing: &Standing) -> Box<dyn Dialogue>;
}

/// What is thought of the server when a check begins.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    pub down: bool,
    /// What expressions see; `None`: they have no values.
    pub around: Option<Arc<dyn Surroundings>>,
    /// The value of `X-Haproxy-Server-State`, where it is wanted.
    pub report: String,
    /// The server speaks HTTP/2 unless a step says otherwise.
    pub http2: bool,
}

/// One check under way.
pub trait Dialogue: fmt::Debug + Send {
    /// Takes in what happened, adds to `say` what is to be sent, and says what comes next.
    ///
    /// What is in `say` is sent before the step is taken.
    fn hear(&mut self, heard: Heard<'_>, say: &mut Vec<u8>) -> Step;

    /// What a failure of the connection means at this point.
    fn fault(&self, fault: &Fault) -> Verdict;
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// The check begins.
    Begin,
    /// The connection asked for stands; `http2`: both sides agreed on that while they secured it.
    Connected { http2: bool },
    /// The server has said more.
    Bytes(&'a [u8]),
    /// The server will say no more.
    Closed,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Close the connection, if there is one, and open this one.
    Connect(Dial),
    /// Wait for the server.
    Listen,
    /// That was it.
    Done(Verdict),
}

/// A connection to open; what is absent comes from the server's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dial {
    pub address: Option<IpAddr>,
    pub port: Option<u16>,
    pub send_proxy: bool,
    /// Through the server's SOCKS proxy, where it has one.
    pub via_socks: bool,
    pub tls: DialTls,
    pub offer: Option<Arc<DialOffer>>,
    /// The host that the request behind it is for, where no line says how to connect.
    pub host: Option<String>,
}

/// What a step says in the handshake of TLS, instead of what the server's line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialOffer {
    /// `sni`: the name to ask for.
    pub name: Option<String>,
    /// `alpn`: the protocols to offer; none: those of the server's checks.
    pub protocols: Vec<Vec<u8>>,
}

/// Whether a connection uses TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DialTls {
    /// As the checks of the server do.
    #[default]
    Usual,
    No,
    Yes,
}

/// Why a connection failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It could not be attempted: no address, no descriptor.
    Unable(String),
    /// It was refused or unreachable; the system's words.
    Refused(String),
    /// It did not come about in time.
    ConnectTimeout,
    /// It broke; the system's words.
    Broken(String),
    /// The handshake of TLS did not end in time.
    TlsTimeout,
    /// The two sides did not agree on TLS, or the certificate is not believed.
    TlsInvalid(String),
    /// The server did not answer in time.
    Timeout,
}

impl Fault {
    /// What a failure of a connection means; `late`: what a silent server means.
    fn verdict(&self, late: Status) -> (Status, &str) {
        match self {
            Self::Unable(words) | Self::Broken(words) => (Status::SocketError, words),
            Self::Refused(words) => (Status::ConnectError, words),
            Self::ConnectTimeout => (Status::ConnectTimeout, ""),
            Self::TlsTimeout => (Status::TlsTimeout, ""),
            Self::TlsInvalid(words) => (Status::TlsInvalid, words),
            Self::Timeout => (late, ""),
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub status: Status,
    /// The status of a response, or whatever else the protocol calls its codes; 0 without one.
    pub code: u32,
    /// At most [`INFO_BYTES_MAX`] bytes; may be anything the server said.
    pub info: Vec<u8>,
    /// The line of an agent, for [`crate::agent`].
    pub agent: Option<Vec<u8>>,
}

impl Verdict {
    pub fn new(status: Status, code: u32, info: impl Into<Vec<u8>>) -> Self {
        let mut info = info.into();
        info.truncate(INFO_BYTES_MAX);
        Self {
            status,
            code,
            info,
            agent: None,
        }
    }
}

/// A kind of check.
#[derive(Debug)]
pub struct Kind {
    /// The word behind `option`, or the word of a server line.
    pub name: &'static str,
    /// Its arguments.
    pub usage: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Reads the arguments and writes the steps.
    ///
    /// # Errors
    /// Words that are missing, superfluous or mean nothing, with their place.
    pub read: fn(&mut Args<'_>) -> Result<CheckSpec, Diagnostic>,
}

/// Every kind of check, sorted.
pub const PROBES: &[Kind] = &[
    agent::PROBE,
    connect::PROBE,
    grpc_check::PROBE,
    httpchk::PROBE,
    ldap_check::PROBE,
    mysql_check::PROBE,
    pgsql_check::PROBE,
    redis_check::PROBE,
    smtpchk::PROBE,
    spop_check::PROBE,
    ssl_hello_chk::PROBE,
    tcp_check::PROBE,
];

/// The kind of a name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    PROBES.iter().find(|kind| kind.name == name)
}

/// The bytes that an even number of hexadecimal digits stands for.
pub(crate) fn hexadecimal_bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|digit| digit.to_digit(16));
    let digits: Vec<u8> = digits
        .map(|digit| digit.map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let pairs = digits.chunks(2);
    digits
        .len()
        .is_multiple_of(2)
        .then(|| pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod conformance;
