//! What a connection, or an exchange on it, tracks: a key for each number of `track-sc`.

use super::data::Data;
use super::entry::Entry;
use super::tracked::Tracked;

/// Counters of a configuration that does not say `tune.stick-counters`.
pub const STICK_COUNTERS_DEFAULT: u32 = 3;

/// The most that `tune.stick-counters` allows.
pub const STICK_COUNTERS_MAX: u32 = 100;

/// The keys that one connection or exchange tracks, by the numbers of their counters.
///
/// It is empty, and owns nothing, until a rule tracks something.
#[derive(Debug, Default)]
pub struct Counters(Vec<Option<Tracked>>);

impl Counters {
    pub fn get(&self, number: u32) -> Option<&Tracked> {
        self.0.get(number as usize)?.as_ref()
    }

    /// Follows a key under a number that is free.
    pub fn put(&mut self, number: u32, tracked: Tracked) {
        let index = number as usize;
        if index >= self.0.len() {
            self.0.resize_with(index + 1, || None);
        }
        self.0[index] = Some(tracked);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Tracked> {
        self.0.iter().flatten()
    }

    /// The same keys for a stream of this connection: what happens there is counted, and nothing is let go of twice.
    pub fn lent(&self) -> Self {
        Self(
            self.0
                .iter()
                .map(|tracked| tracked.as_ref().map(Tracked::lent))
                .collect(),
        )
    }

    /// Lets go of all keys.
    pub fn release(&mut self, now_ms: u64) {
        for tracked in self.0.drain(..).flatten() {
            tracked.release(now_ms);
        }
    }

    /// Counts something that happened in every entry.
    pub fn count(&self, event: Event, now_ms: u64) {
        for tracked in self.iter() {
            tracked.with(now_ms, |entry| event.count(entry));
        }
    }
}

/// A copy of what a connection knows tracks nothing of its own, so that nothing is counted or let go twice.
impl Clone for Counters {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What is counted in the entries of tracked keys, beside connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection was let in.
    Session,
    /// A request arrived.
    Request,
    /// A request was wrong, refused or answered with an error of the client (`http-err-codes`).
    Error,
    /// A server failed (`http-fail-codes`).
    Failure,
    /// So much arrived from the client.
    BytesIn(u64),
    /// So much arrived for the client.
    BytesOut(u64),
    /// The client did something odd, so often.
    Glitch(u64),
}

impl Event {
    /// Counts it in one entry.
    pub fn count(self, entry: &mut Entry<'_>) {
        match self {
            Self::Session => entry.count(Data::SessCnt, Data::SessRate, 1),
            Self::Request => entry.count(Data::HttpReqCnt, Data::HttpReqRate, 1),
            Self::Error => entry.count(Data::HttpErrCnt, Data::HttpErrRate, 1),
            Self::Failure => entry.count(Data::HttpFailCnt, Data::HttpFailRate, 1),
            Self::BytesIn(bytes) => entry.count(Data::BytesInCnt, Data::BytesInRate, bytes),
            Self::BytesOut(bytes) => entry.count(Data::BytesOutCnt, Data::BytesOutRate, bytes),
            Self::Glitch(count) => entry.count(Data::GlitchCnt, Data::GlitchRate, count),
        }
    }
}
