//! What is known of a session or an exchange when its line is written: plain data, borrowed where it is text.

use std::net::SocketAddr;

use plimsoll_wire::head::Version;

use crate::model::Mode;
use crate::tls::Facts;

use super::{Level, Termination, WallTime};

/// Everything a line may say about a session (TCP) or an exchange (HTTP).
///
/// Times: a connection is accepted, shakes hands (PROXY header, TLS), lies idle until the first byte of a request, and
/// is then active. `accepted` is the beginning of this count: for the second and later exchanges of a connection it
/// is the moment the one before ended, and there is no handshake.
#[derive(Clone, Debug, Default)]
pub struct Record<'a> {
    pub mode: Mode,
    pub client: Endpoint,
    /// Where the client connected to.
    pub local: Endpoint,
    pub frontend: &'a str,
    /// The bind's name; empty: it has none. Only error lines show it, or its number.
    pub bind: &'a str,
    pub bind_number: u32,
    /// The bind speaks TLS: the frontend's name is followed by `~`.
    pub secure: bool,
    /// What the handshake with the client has told.
    pub tls: Option<&'a Facts>,
    /// The frontend's name when no backend has been chosen.
    pub backend: &'a str,
    /// `None` is written as `<NOSRV>`.
    pub server: Option<&'a str>,
    /// It is none: a part of this program answered in place of a server.
    pub serviced: bool,
    pub accepted: WallTime,
    pub timers: Timers,
    /// The status sent to the client; `None` (written -1) when none was.
    pub status: Option<u16>,
    /// The version of the response; `None` when there was none.
    pub response_version: Option<Version>,
    /// Bytes sent to the client, heads included.
    pub bytes_sent: u64,
    /// Bytes received from the client, heads included.
    pub bytes_received: u64,
    /// The client has said something that is not counted: frames that were no request.
    pub spoke: bool,
    /// `None` is written as `<BADREQ>`.
    pub request: Option<RequestLine<'a>>,
    /// `name=value`, when `capture cookie` found one.
    pub request_cookie: Option<&'a [u8]>,
    pub response_cookie: Option<&'a [u8]>,
    /// One for each `capture request header`, empty where the field was missing.
    pub request_captures: &'a [&'a [u8]],
    pub response_captures: &'a [&'a [u8]],
    pub termination: Termination,
    pub load: Load,
    pub retries: u32,
    /// Another server than the one first chosen was tried.
    pub redispatched: bool,
    pub queued: Queued,
    /// The server's address and the one it was reached from.
    pub server_address: Option<SocketAddr>,
    pub server_source: Option<SocketAddr>,
    /// How many lines the frontend has written, this one included.
    pub logged: u64,
    /// Why the line is written.
    pub origin: Origin,
    /// The session or the request could not be understood: `error-log-format` is the line's form, where there is one.
    pub malformed: bool,
    /// `option logasap`: the line is written before the end, so times and sizes are lower bounds (`+`).
    pub partial: bool,
}

/// The moment to which a line owes its being (`%OG`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    #[default]
    Unknown,
    /// What came could not be understood.
    SessionError,
    /// The session ended before it could carry anything.
    SessionKilled,
    Accept,
    Request,
    Connect,
    Response,
    Close,
    /// A rule asked for it (`do-log`).
    Rule(&'static str),
}

impl Origin {
    /// HAProxy's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unspec",
            Self::SessionError => "sess_error",
            Self::SessionKilled => "sess_killed",
            Self::Accept => "txn_accept",
            Self::Request => "txn_request",
            Self::Connect => "txn_connect",
            Self::Response => "txn_response",
            Self::Close => "txn_close",
            Self::Rule(name) => name,
        }
    }
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Endpoint {
    Inet(SocketAddr),
    /// A unix socket, shown with the number of the bind.
    Unix {
        bind: u32,
    },
    #[default]
    Unknown,
}

/// When things happened, in nanoseconds of the clock that never goes back; 0: they did not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// The connection was accepted, or the response before this request ended.
    pub idle_ns: u64,
    /// The first byte of the request arrived.
    pub started_ns: u64,
    /// The head was complete.
    pub received_ns: u64,
    /// A server had a free slot.
    pub admitted_ns: u64,
    pub connected_ns: u64,
    /// The response's head was complete.
    pub answered_ns: u64,
}

impl Times {
    /// How long each step took; one that goes on at `now_ns` has not taken place yet.
    pub fn timers(&self, now_ns: u64) -> Timers {
        let started_ns = match self.started_ns {
            0 => self.idle_ns,
            started_ns => started_ns,
        };
        // A request that was kept waiting on purpose counts as one in a queue, and never as complete.
        let waits_ns = match self.received_ns {
            0 => started_ns,
            received_ns => received_ns,
        };
        Timers {
            handshake_ms: 0,
            idle_ms: elapsed_ms(self.idle_ns, started_ns).unwrap_or(0),
            request_ms: elapsed_ms(self.started_ns, self.received_ns),
            queue_ms: elapsed_ms(waits_ns, self.admitted_ns),
            connect_ms: elapsed_ms(self.admitted_ns, self.connected_ns),
            response_ms: elapsed_ms(self.connected_ns, self.answered_ns),
            active_ms: elapsed_ms(started_ns, now_ns).unwrap_or(0),
        }
    }
}

/// Milliseconds between two moments that have both come.
pub fn elapsed_ms(from_ns: u64, to_ns: u64) -> Option<u32> {
    (from_ns > 0 && to_ns > 0)
        .then(|| u32::try_from(to_ns.saturating_sub(from_ns) / 1_000_000).unwrap_or(u32::MAX))
}

/// Durations in milliseconds; `None` (written -1) for what did not take place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timers {
    /// From accept to the end of handshakes (`Th`).
    pub handshake_ms: u32,
    /// From there to the first byte of the request (`Ti`); 0 in TCP mode.
    pub idle_ms: u32,
    /// From the first byte to the end of the request's head (`TR`).
    pub request_ms: Option<u32>,
    /// In queues (`Tw`).
    pub queue_ms: Option<u32>,
    /// Until a server accepted the connection, attempts that failed included (`Tc`).
    pub connect_ms: Option<u32>,
    /// Until the head of the response was complete (`Tr`).
    pub response_ms: Option<u32>,
    /// From the first byte of the request to the end (`Ta`).
    pub active_ms: u32,
}

impl Timers {
    /// From accept to the end (`Tt`).
    pub fn total_ms(&self) -> u64 {
        self.before_ms() + u64::from(self.active_ms)
    }

    /// From the response's head, or in TCP mode the connection, to the end (`Td`).
    pub(crate) fn data_ms(&self, mode: Mode) -> Option<u64> {
        let mut before_ms = self.before_ms() + u64::from(self.queue_ms.unwrap_or(0));
        before_ms += u64::from(self.connect_ms.unwrap_or(0));
        match mode {
            Mode::Tcp => self.connect_ms?,
            Mode::Http => {
                let response_ms = self.response_ms?;
                before_ms += u64::from(self.request_ms.unwrap_or(0)) + u64::from(response_ms);
                response_ms
            }
        };
        Some(self.total_ms().saturating_sub(before_ms))
    }

    /// From accept to the first byte of the request.
    pub(crate) fn before_ms(&self) -> u64 {
        u64::from(self.handshake_ms) + u64::from(self.idle_ms)
    }
}

/// The first line of a request, as it was received.
#[derive(Clone, Copy, Debug)]
pub struct RequestLine<'a> {
    pub method: &'a [u8],
    pub target: &'a [u8],
    /// Such as `HTTP/1.1`.
    pub version: &'a [u8],
    /// No more bytes of the line than this are logged (`tune.http.logurilen`).
    pub bytes_max: usize,
}

/// What was going on when the line is written.
///
/// As in HAProxy, process and frontend count connections, so the one that is logged is among them; backend and server
/// count exchanges that have not ended, so one that is logged at its end is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    pub process: u32,
    pub frontend: u32,
    pub backend: u32,
    pub server: u32,
}

/// How many requests stood before this one when it entered a queue, all queues it went through added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    pub server: u32,
    pub backend: u32,
}

/// A message that is not about traffic: a server went down, a proxy started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    pub level: Level,
    pub text: &'a str,
}
