//! What name servers have said, for `show resolvers`.
//!
//! Counted by the one thread that asks them, a few times a second: a lock is good enough. What is absent: asking.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use plimsoll_wire::dns::Lack;

use crate::model::names::Resolvers;
use crate::resolution::Failure;

/// What is counted of a name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It was asked.
    Sent,
    /// It could not be asked.
    SendError,
    Valid,
    /// What it said has moved a server.
    Update,
    /// The name exists, but nothing of the kind that was asked for.
    Empty,
    NoName,
    /// Nothing, in time.
    Timeout,
    Refused,
    Other,
    Invalid,
    Truncated,
}

const SAID: usize = Said::Truncated as usize + 1;

/// The lines of `show resolvers`, in order. Those without a counter tell of what cannot happen here: aliases are followed
/// within an answer, longer ones than asked for are cut off by the kernel, and once one server has answered the others are
/// not heard any more.
pub const LINES: [(&str, Option<Said>); 15] = [
    ("sent", Some(Said::Sent)),
    ("snd_error", Some(Said::SendError)),
    ("valid", Some(Said::Valid)),
    ("update", Some(Said::Update)),
    ("cname", None),
    ("cname_error", None),
    ("any_err", Some(Said::Empty)),
    ("nx", Some(Said::NoName)),
    ("timeout", Some(Said::Timeout)),
    ("refused", Some(Said::Refused)),
    ("other", Some(Said::Other)),
    ("invalid", Some(Said::Invalid)),
    ("too_big", None),
    ("truncated", Some(Said::Truncated)),
    ("outdated", None),
];

impl From<Failure> for Said {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Timeout => Self::Timeout,
            Failure::Lack(Lack::Nothing) => Self::Empty,
            Failure::Lack(Lack::NoName) => Self::NoName,
            Failure::Lack(Lack::Refused) => Self::Refused,
            Failure::Lack(Lack::Truncated) => Self::Truncated,
            Failure::Lack(Lack::Malformed | Lack::NotOurs) => Self::Invalid,
            Failure::Lack(Lack::Failed(_)) => Self::Other,
        }
    }
}

/// A `resolvers` section and one of its servers.
type Place = (String, String);

/// The counts of all name servers of the process; they outlive planes.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<BTreeMap<Place, [u64; SAID]>>);

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Place, [u64; SAID]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more.
    pub fn count(&self, section: &str, server: &str, said: Said) {
        let mut counts = self.lock();
        let place = (section.to_owned(), server.to_owned());
        counts.entry(place).or_default()[said as usize] += 1;
    }

    /// How often something was said so far.
    pub fn read(&self, section: &str, server: &str, said: Said) -> u64 {
        let place = (section.to_owned(), server.to_owned());
        self.lock()
            .get(&place)
            .map_or(0, |counts| counts[said as usize])
    }

    /// Begins anew.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Forgets all but the servers of these sections.
    pub(crate) fn keep(&self, sections: &[Resolvers]) {
        self.lock().retain(|(section, server), _| {
            let known = sections.iter().find(|known| known.name == *section);
            known.is_some_and(|known| known.servers.iter().any(|known| known.name == *server))
        });
    }
}
