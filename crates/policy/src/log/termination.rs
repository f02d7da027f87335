//! How a session or an exchange ended: four letters that say who, when, and what became of the cookie.

use std::fmt;

/// Who or what ended it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Both sides finished.
    #[default]
    Normal,
    /// It was answered here, without a server.
    Local,
    ClientTimeout,
    ClientAborted,
    ServerTimeout,
    /// The server refused, reset, or went away too early.
    ServerAborted,
    /// A rule, a limit or a protocol check of ours ended it.
    Proxy,
    /// Memory, descriptors or ports ran out.
    Resource,
    /// A mistake of ours.
    Internal,
    /// The server was marked down, and its sessions were to end with it.
    ServerDown,
    /// An active server came up, and this backup server's sessions were to end.
    ServerUp,
    /// An operator ended it.
    Killed,
}

impl Cause {
    /// The letter HAProxy uses.
    pub fn letter(self) -> u8 {
        match self {
            Self::Normal => b'-',
            Self::Local => b'L',
            Self::ClientTimeout => b'c',
            Self::ClientAborted => b'C',
            Self::ServerTimeout => b's',
            Self::ServerAborted => b'S',
            Self::Proxy => b'P',
            Self::Resource => b'R',
            Self::Internal => b'I',
            Self::ServerDown => b'D',
            Self::ServerUp => b'U',
            Self::Killed => b'K',
        }
    }
}

/// What it was waiting for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing: it was complete.
    #[default]
    Ended,
    /// A complete request.
    Request,
    /// A slot of a server.
    Queue,
    /// A connection to the server.
    Connect,
    /// The head of the response.
    Headers,
    /// Data in either direction.
    Data,
    /// The client taking the last bytes, after the server had finished.
    Last,
    /// The end of a tarpit.
    Tarpit,
}

impl Phase {
    /// The letter HAProxy uses.
    pub fn letter(self) -> u8 {
        match self {
            Self::Ended => b'-',
            Self::Request => b'R',
            Self::Queue => b'Q',
            Self::Connect => b'C',
            Self::Headers => b'H',
            Self::Data => b'D',
            Self::Last => b'L',
            Self::Tarpit => b'T',
        }
    }
}

/// What the client's persistence cookie said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CookieSeen {
    /// The backend has no persistence cookie.
    #[default]
    Unchecked,
    None,
    /// It names no server of ours.
    Invalid,
    /// It names a server that is down.
    Down,
    Valid,
    /// Longer unused than `maxidle` allows.
    Expired,
    /// Older than `maxlife` allows.
    Old,
    /// Something else decided.
    Unused,
}

impl CookieSeen {
    /// The letter HAProxy uses.
    pub fn letter(self) -> u8 {
        match self {
            Self::Unchecked => b'-',
            Self::None => b'N',
            Self::Invalid => b'I',
            Self::Down => b'D',
            Self::Valid => b'V',
            Self::Expired => b'E',
            Self::Old => b'O',
            Self::Unused => b'U',
        }
    }
}

/// What became of the persistence cookie in the response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CookieSet {
    /// The backend has no persistence cookie.
    #[default]
    Unchecked,
    None,
    Inserted,
    /// Its date was renewed.
    Updated,
    /// The server's own was passed on.
    Provided,
    Rewritten,
    Deleted,
}

impl CookieSet {
    /// The letter HAProxy uses.
    pub fn letter(self) -> u8 {
        match self {
            Self::Unchecked => b'-',
            Self::None => b'N',
            Self::Inserted => b'I',
            Self::Updated => b'U',
            Self::Provided => b'P',
            Self::Rewritten => b'R',
            Self::Deleted => b'D',
        }
    }
}

/// The termination state of HAProxy's logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Termination {
    pub cause: Cause,
    pub phase: Phase,
    pub cookie_seen: CookieSeen,
    pub cookie_set: CookieSet,
}

impl Termination {
    /// Both sides finished and there is nothing to say about cookies.
    pub const NORMAL: Self = Self::new(Cause::Normal, Phase::Ended);

    /// A state without persistence cookies.
    pub const fn new(cause: Cause, phase: Phase) -> Self {
        Self {
            cause,
            phase,
            cookie_seen: CookieSeen::Unchecked,
            cookie_set: CookieSet::Unchecked,
        }
    }

    /// Cause and phase, as TCP logs show them.
    pub fn letters(self) -> [u8; 2] {
        [self.cause.letter(), self.phase.letter()]
    }

    /// Cause, phase, cookie seen and cookie set, as HTTP logs show them.
    pub fn letters_http(self) -> [u8; 4] {
        let [cause, phase] = self.letters();
        [
            cause,
            phase,
            self.cookie_seen.letter(),
            self.cookie_set.letter(),
        ]
    }

    /// Whether something went wrong, whoever is to blame.
    pub fn is_error(self) -> bool {
        !matches!(self.cause, Cause::Normal | Cause::Local)
    }

    /// What usually lies behind the first two letters, when the combination has a known story.
    pub fn meaning(self) -> Option<&'static str> {
        let found = MEANINGS
            .iter()
            .find(|row| (row.cause, row.phase) == (self.cause, self.phase));
        found.map(|row| row.text)
    }
}

impl fmt::Display for Termination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.letters_http()
            .iter()
            .try_for_each(|&letter| write!(f, "{}", char::from(letter)))
    }
}

/// The story behind a combination of cause and phase.
#[derive(Clone, Copy, Debug)]
pub struct Meaning {
    pub cause: Cause,
    pub phase: Phase,
    pub text: &'static str,
}

const fn row(cause: Cause, phase: Phase, text: &'static str) -> Meaning {
    Meaning { cause, phase, text }
}

/// The combinations that are met, in the order of their letters; `docs/logs.md` shows this table.
pub const MEANINGS: &[Meaning] = &[
    row(
        Cause::Normal,
        Phase::Ended,
        "Both sides finished; nothing was lost.",
    ),
    row(
        Cause::ClientAborted,
        Phase::Connect,
        "The client left while a server was being connected, often one that had just died.",
    ),
    row(
        Cause::ClientAborted,
        Phase::Data,
        "The client left during the transfer, or the network between it and us broke.",
    ),
    row(
        Cause::ClientTimeout,
        Phase::Data,
        "The client neither sent nor took data for `timeout client`.",
    ),
    row(
        Cause::ClientAborted,
        Phase::Headers,
        "The client lost patience with a server that had not answered yet.",
    ),
    row(
        Cause::ClientTimeout,
        Phase::Headers,
        "The client stopped sending its request's body, and `timeout client` passed before any answer.",
    ),
    row(
        Cause::ClientAborted,
        Phase::Last,
        "The client left while it was taking the last bytes; the server had finished.",
    ),
    row(
        Cause::ClientAborted,
        Phase::Queue,
        "The client left while its request waited for a slot: the servers are saturated.",
    ),
    row(
        Cause::ClientAborted,
        Phase::Request,
        "The client left in the middle of its request, or connected and sent none.",
    ),
    row(
        Cause::ClientTimeout,
        Phase::Request,
        "`timeout http-request` passed before the request was complete.",
    ),
    row(
        Cause::ClientAborted,
        Phase::Tarpit,
        "The client left while it was held in a tarpit.",
    ),
    row(
        Cause::ServerDown,
        Phase::Data,
        "The server was marked down, and `on-marked-down shutdown-sessions` ended its sessions.",
    ),
    row(
        Cause::Internal,
        Phase::Connect,
        "A mistake of ours while connecting: please report it.",
    ),
    row(
        Cause::Internal,
        Phase::Data,
        "A mistake of ours during the transfer: please report it.",
    ),
    row(
        Cause::Internal,
        Phase::Headers,
        "A mistake of ours while waiting for the response: please report it.",
    ),
    row(
        Cause::Internal,
        Phase::Request,
        "A mistake of ours while reading the request: please report it.",
    ),
    row(Cause::Killed, Phase::Data, "An operator ended the session."),
    row(
        Cause::Local,
        Phase::Connect,
        "The server's `redir` answered with a redirection instead of a connection.",
    ),
    row(
        Cause::Local,
        Phase::Headers,
        "A response rule answered in the server's place.",
    ),
    row(
        Cause::Local,
        Phase::Request,
        "We answered: a redirection, a fixed response, the statistics page.",
    ),
    row(
        Cause::Proxy,
        Phase::Connect,
        "The limit of the process's own sockets forbade a connection to the server.",
    ),
    row(
        Cause::Proxy,
        Phase::Data,
        "A malformed chunk was stopped after the response had begun.",
    ),
    row(
        Cause::Proxy,
        Phase::Headers,
        "The server's response was refused: malformed, too large, or denied by a rule.",
    ),
    row(
        Cause::Proxy,
        Phase::Request,
        "The request was refused: malformed, too large, or denied by a rule.",
    ),
    row(
        Cause::Proxy,
        Phase::Tarpit,
        "A rule held the client in a tarpit and then refused it.",
    ),
    row(
        Cause::Resource,
        Phase::Connect,
        "Memory, descriptors or source ports ran out while connecting.",
    ),
    row(
        Cause::ServerAborted,
        Phase::Connect,
        "The server refused the connection, could not be reached, or none was usable.",
    ),
    row(
        Cause::ServerTimeout,
        Phase::Connect,
        "`timeout connect` passed before the server accepted.",
    ),
    row(
        Cause::ServerAborted,
        Phase::Data,
        "The server's connection broke during the transfer.",
    ),
    row(
        Cause::ServerTimeout,
        Phase::Data,
        "The server neither sent nor took data for `timeout server`.",
    ),
    row(
        Cause::ServerAborted,
        Phase::Headers,
        "The server closed or reset before the head of its response was complete.",
    ),
    row(
        Cause::ServerTimeout,
        Phase::Headers,
        "`timeout server` passed before the head of the response was complete.",
    ),
    row(
        Cause::ServerTimeout,
        Phase::Queue,
        "The request waited for a slot longer than `timeout queue`.",
    ),
    row(
        Cause::ServerUp,
        Phase::Data,
        "An active server came up, and `on-marked-up shutdown-backup-sessions` ended this backup's.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters() {
        assert_eq!(&Termination::NORMAL.letters_http(), b"----");
        let refused = Termination {
            cookie_seen: CookieSeen::Down,
            cookie_set: CookieSet::Inserted,
            ..Termination::new(Cause::ServerAborted, Phase::Connect)
        };
        assert_eq!(&refused.letters(), b"SC");
        assert_eq!(refused.to_string(), "SCDI");
        assert!(refused.is_error());
    }

    #[test]
    fn what_was_answered_here_is_no_error() {
        assert!(!Termination::NORMAL.is_error());
        assert!(!Termination::new(Cause::Local, Phase::Request).is_error());
        assert!(Termination::new(Cause::Proxy, Phase::Request).is_error());
    }

    #[test]
    fn each_combination_has_one_meaning_in_order() {
        let key = |row: &Meaning| {
            let [cause, phase] = Termination::new(row.cause, row.phase).letters();
            (cause.to_ascii_uppercase(), phase, cause)
        };
        for pair in MEANINGS.windows(2) {
            assert!(
                key(&pair[0]) < key(&pair[1]),
                "{:?} before {:?}",
                pair[0],
                pair[1]
            );
        }
        assert!(Termination::NORMAL.meaning().is_some());
        assert_eq!(
            Termination::new(Cause::ServerUp, Phase::Request).meaning(),
            None
        );
    }
}
