//! How things go on behind an action.

use plimsoll_wire::head::Head;

use super::{Lookup, Versions};

/// What the engine is to do after an action has run.
#[derive(Debug)]
pub enum Flow {
    /// On with the next rule.
    Continue,
    /// No further rule of this set: the message is let through.
    Accept,
    /// Answer the client in place of a server.
    Reply(Box<Reply>),
    /// Answer the client with what a part of this program has to say.
    Serve(Service),
    /// As [`Flow::Reply`], but only after `timeout tarpit`.
    Tarpit(Box<Reply>),
    /// Refuse: close the connection without an answer.
    Reject,
    /// Close the server's connection, as if it had done so itself.
    Part,
    /// Vanish: the client is not told that the connection has ended, or by a reset that gets only `ttl` hops far.
    Drop { ttl: Option<u8> },
    /// Run the next rule after so many milliseconds, unless the client is gone by then.
    Pause { ms: u64 },
    /// Run the next rule when so many bytes of the body are there, or all of it, or this time is over.
    AwaitBody { bytes: u64, ms: u64 },
    /// Run the next rule when the client's handshake is over.
    AwaitHandshake,
    /// Find out where a name leads, keep it, and go on.
    Resolve(Box<Lookup>),
    /// Label packets to the client from now on, where that can be had, and go on.
    Label(Label),
    /// No further rule of this set: what has come, and what follows, are messages of HTTP.
    Switch(Versions),
    /// Send this interim response, and go on.
    Inform(Box<Head>),
    /// The request is not acceptable: answer 400.
    Refuse,
    /// The rule cannot be carried out: answer 500.
    Fail,
}

/// What packets carry for routers and filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// The kernel's mark (`SO_MARK`), which does not leave this machine.
    Mark(u32),
    /// The type of service, or DSCP (RFC 2474), in its eight bits.
    Service(u8),
}

/// A part of this program that answers requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The statistics, for scrapers.
    Prometheus,
}

/// An answer of our own.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// What logs and counters tell. A file that answers an error may say something else to the client.
    pub status: u16,
    /// Status, reason and fields; framing follows from `body`.
    pub head: Head,
    pub body: Vec<u8>,
    /// The answer that the configuration has for this status (`errorfile`, or ours) is to be used.
    pub stock: bool,
    /// Close the connection behind it.
    pub close: bool,
    /// It refuses the message, rather than answering it.
    pub denies: bool,
}

impl Reply {
    /// The answer that the configuration has for a status.
    pub fn stock(status: u16) -> Self {
        let head = Head {
            status,
            ..Head::default()
        };
        Self {
            status,
            head,
            stock: true,
            ..Self::default()
        }
    }

    /// An answer with a body.
    pub fn new(status: u16, body: Vec<u8>) -> Self {
        Self {
            body,
            stock: false,
            ..Self::stock(status)
        }
    }
}
