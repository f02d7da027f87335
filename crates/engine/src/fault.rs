//! What can go wrong with an exchange, and what follows: the answer a client sees, whether another attempt may be
//! made, and HAProxy's two letters of termination state. This is the only place where these three meet.

use plimsoll_policy::log::{self, Cause, Termination};
use plimsoll_policy::model::RetryOn;
use plimsoll_policy::passive::Observation;

use crate::stream::StreamError;

/// Why an exchange or a tunnel did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    // -- the client's
    /// The request is not acceptable; the status says how.
    Refused(u16),
    /// The client ended its side in the middle of its request, or while it was owed an answer; it may still read that
    /// it gets none.
    GaveUp,
    /// The client left before its request or the response was complete.
    ClientClosed,
    /// The client was silent for too long.
    ClientTimeout,
    // -- ours, or the configuration's
    /// A rule refused the message with this status.
    Denied(u16),
    /// A rule answered in place of a server.
    Local(u16),
    /// A rule closed the connection.
    Rejected,
    /// A rule could not be carried out.
    RuleFailed,
    /// No backend, or none that has a usable server.
    NoServer,
    QueueFull,
    QueueTimeout,
    /// A cap or a descriptor limit was hit.
    Exhausted,
    // -- the server's
    ConnectRefused,
    ConnectTimeout,
    /// The connection stands, but the two sides did not agree on TLS, or its certificate is not believed.
    HandshakeFailed,
    /// The connection ended before anything of the response had arrived.
    EmptyResponse,
    /// The connection ended in the middle of the response.
    ServerClosed,
    ServerTimeout,
    /// What arrived is not an acceptable response.
    JunkResponse,
    /// The server was marked down, and whoever was there is cut off (`on-marked-down`).
    ServerDown,
    /// An active server came up, and whoever was at a backup server is cut off (`on-marked-up`).
    ServerUp,
    /// An operator ended it (`shutdown session`).
    Killed,
    /// A response arrived whose status asks for another attempt (`retry-on`).
    RetryStatus(u16),
}

/// How far the exchange had come when it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Waiting for the request.
    #[default]
    Request,
    /// Held back by a rule before it is refused.
    Tarpit,
    /// Waiting for a server's free slot.
    Queue,
    Connect,
    /// Waiting for the response's head.
    Headers,
    /// Relaying bodies.
    Data,
    /// The response has been taken from the server: waiting for the client to take it, or to end its request.
    Last,
}

impl Fault {
    /// A failure of the client's stream.
    pub(crate) fn of_client(error: &StreamError) -> Self {
        match error {
            StreamError::Body(_) => Self::Refused(400),
            StreamError::Closed
            | StreamError::Reset
            | StreamError::Unprocessed
            | StreamError::Response(_)
            | StreamError::TooLarge => Self::ClientClosed,
        }
    }

    /// A failure of the server's stream; `answered`: some of the response had arrived.
    pub(crate) fn of_server(error: &StreamError, answered: bool) -> Self {
        match error {
            StreamError::Body(_) | StreamError::Response(_) | StreamError::TooLarge => {
                Self::JunkResponse
            }
            StreamError::Unprocessed => Self::ConnectRefused,
            StreamError::Closed | StreamError::Reset if answered => Self::ServerClosed,
            StreamError::Closed | StreamError::Reset => Self::EmptyResponse,
        }
    }

    /// The status to answer with, while an answer is still possible; 0: just close.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Refused(status) | Self::Denied(status) | Self::Local(status) => status,
            Self::Rejected => 0,
            Self::RuleFailed => 500,
            Self::GaveUp => 400,
            Self::ClientClosed | Self::Killed => 0,
            Self::ClientTimeout => 408,
            Self::NoServer | Self::QueueFull | Self::QueueTimeout | Self::Exhausted => 503,
            Self::ConnectRefused | Self::ConnectTimeout | Self::HandshakeFailed => 503,
            Self::ServerDown | Self::ServerUp => 503,
            Self::EmptyResponse | Self::ServerClosed | Self::JunkResponse => 502,
            Self::ServerTimeout => 504,
            Self::RetryStatus(status) => status,
        }
    }

    /// In words, for people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Refused(_) => "the request is not acceptable",
            Self::GaveUp => "the client gave up",
            Self::ClientClosed => "the client left",
            Self::ClientTimeout => "the client was silent for too long",
            Self::Denied(_) => "a rule refused it",
            Self::Local(_) => "it was answered here",
            Self::Rejected => "a rule closed the connection",
            Self::RuleFailed => "a rule could not be carried out",
            Self::NoServer => "no server can be used",
            Self::QueueFull => "the queue is full",
            Self::QueueTimeout => "no slot of a server came free in time",
            Self::Exhausted => "a limit was hit",
            Self::ConnectRefused => "the connection was refused",
            Self::ConnectTimeout => "the connection was not accepted in time",
            Self::HandshakeFailed => "the handshake failed",
            Self::EmptyResponse => "the server closed without an answer",
            Self::ServerClosed => "the server closed in the middle of its answer",
            Self::ServerTimeout => "the server was silent for too long",
            Self::JunkResponse => "the answer is not acceptable",
            Self::ServerDown => "the server went down",
            Self::ServerUp => "the servers that this one stands in for came back",
            Self::Killed => "an operator ended it",
            Self::RetryStatus(_) => "its status asks for another attempt",
        }
    }

    /// What `retry-on` calls it.
    pub(crate) fn retry_cause(self) -> RetryOn {
        match self {
            Self::ConnectRefused | Self::ConnectTimeout | Self::HandshakeFailed => {
                RetryOn::CONN_FAILURE
            }
            Self::EmptyResponse | Self::ServerDown | Self::ServerUp => RetryOn::EMPTY_RESPONSE,
            Self::JunkResponse | Self::ServerClosed => RetryOn::JUNK_RESPONSE,
            Self::ServerTimeout => RetryOn::RESPONSE_TIMEOUT,
            Self::RetryStatus(status) => RetryOn::status(status),
            _ => RetryOn::NONE,
        }
    }

    /// What it says of the server, where its traffic is watched.
    pub(crate) fn observation(self) -> Option<Observation> {
        match self {
            Self::ConnectRefused | Self::ConnectTimeout => Some(Observation::ConnectFailed),
            Self::EmptyResponse => Some(Observation::BrokenPipe),
            Self::ServerClosed => Some(Observation::ReadError),
            Self::ServerTimeout => Some(Observation::ReadTimeout),
            Self::JunkResponse => Some(Observation::ResponseInvalid),
            Self::RetryStatus(status) => Some(Observation::of_status(status)),
            _ => None,
        }
    }

    /// The log's termination state (HAProxy's manual, section 8.5).
    pub(crate) fn termination(self, phase: Phase) -> Termination {
        let cause = match self {
            Self::Refused(_)
            | Self::JunkResponse
            | Self::Denied(_)
            | Self::Rejected
            | Self::RuleFailed => Cause::Proxy,
            Self::Local(_) => Cause::Local,
            // Part of a head is junk; part of a body is an end.
            Self::ServerClosed if phase == Phase::Headers => Cause::Proxy,
            Self::GaveUp | Self::ClientClosed => Cause::ClientAborted,
            Self::ClientTimeout => Cause::ClientTimeout,
            Self::NoServer | Self::QueueFull => Cause::ServerAborted,
            Self::QueueTimeout | Self::ConnectTimeout | Self::ServerTimeout => Cause::ServerTimeout,
            Self::ServerDown => Cause::ServerDown,
            Self::ServerUp => Cause::ServerUp,
            Self::Killed => Cause::Killed,
            Self::Exhausted => Cause::Resource,
            Self::ConnectRefused
            | Self::HandshakeFailed
            | Self::EmptyResponse
            | Self::ServerClosed => Cause::ServerAborted,
            Self::RetryStatus(_) => Cause::Normal,
        };
        let phase = match (self, phase) {
            // Finding no server is seen while connecting, whenever it is found out.
            (Self::NoServer, _) | (_, Phase::Connect) => log::Phase::Connect,
            (_, Phase::Request) => log::Phase::Request,
            (_, Phase::Tarpit) => log::Phase::Tarpit,
            (_, Phase::Queue) => log::Phase::Queue,
            (_, Phase::Headers) => log::Phase::Headers,
            (_, Phase::Data) => log::Phase::Data,
            (_, Phase::Last) => log::Phase::Last,
        };
        Termination::new(cause, phase)
    }

    /// Whether the fault lies with the server, for its counters and health.
    pub(crate) fn is_servers(self) -> bool {
        matches!(
            self,
            Self::ConnectRefused
                | Self::ConnectTimeout
                | Self::HandshakeFailed
                | Self::EmptyResponse
                | Self::ServerClosed
                | Self::ServerTimeout
                | Self::JunkResponse
        )
    }
}

/// How something ended, or would if it ended now.
pub(crate) fn termination(fault: Option<Fault>, phase: Phase) -> Termination {
    fault.map_or(Termination::NORMAL, |fault| fault.termination(phase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_haproxys() {
        for (fault, phase, letters, status) in [
            (Fault::NoServer, Phase::Request, b"SC", 503),
            (Fault::ConnectRefused, Phase::Connect, b"SC", 503),
            (Fault::ConnectTimeout, Phase::Connect, b"sC", 503),
            (Fault::HandshakeFailed, Phase::Connect, b"SC", 503),
            (Fault::QueueTimeout, Phase::Queue, b"sQ", 503),
            (Fault::EmptyResponse, Phase::Headers, b"SH", 502),
            (Fault::ServerTimeout, Phase::Headers, b"sH", 504),
            (Fault::JunkResponse, Phase::Headers, b"PH", 502),
            (Fault::ServerClosed, Phase::Data, b"SD", 502),
            (Fault::ClientClosed, Phase::Data, b"CD", 0),
            (Fault::ClientTimeout, Phase::Request, b"cR", 408),
            (Fault::Refused(400), Phase::Request, b"PR", 400),
            (Fault::GaveUp, Phase::Request, b"CR", 400),
            (Fault::ServerClosed, Phase::Headers, b"PH", 502),
            (Fault::ServerDown, Phase::Data, b"DD", 503),
            (Fault::ServerUp, Phase::Headers, b"UH", 503),
            (Fault::Killed, Phase::Data, b"KD", 0),
        ] {
            assert_eq!(
                (fault.termination(phase).letters(), fault.status()),
                (*letters, status),
                "{fault:?} {phase:?}"
            );
        }
    }
}
