//! What happens on connections that track keys in stick tables is counted there, each thing at its moment.
//!
//! What is absent: tracking itself, which is an action of rules; connections are counted by it. A key is let go of when
//! the connection or exchange that tracks it ends, in whatever way: here, or at the latest when it is dropped.

use plimsoll_policy::context::{ExchangeFacts, SessionFacts};
use plimsoll_policy::stick_table::Event;

use crate::exchange::Record;
use crate::fault::Fault;
use crate::session::Session;
use crate::worker::Worker;

const NS_PER_MS: u64 = 1_000_000;

/// Counts something for all that a connection and an exchange on it track.
pub(crate) fn count(session: &Session, facts: &ExchangeFacts, event: Event) {
    let now_ms = now_ms(&session.worker);
    facts.tracked.count(event, now_ms);
    if let Some(extra) = &session.facts.extra {
        extra.tracked.count(event, now_ms);
    }
}

/// Counts something that came before any exchange.
pub(crate) fn count_session(session: &Session, event: Event) {
    if let Some(extra) = &session.facts.extra {
        extra.tracked.count(event, now_ms(&session.worker));
    }
}

/// A server's answer is there: its status may be the client's fault or the server's.
pub(crate) fn answered(session: &Session, facts: &ExchangeFacts, status: u16) {
    let statuses = &session.tables.plane.model.global.statuses;
    if statuses.is_error(status) {
        count(session, facts, Event::Error);
    }
    if statuses.is_failure(status) {
        count(session, facts, Event::Failure);
    }
}

/// An exchange ended in a fault.
pub(crate) fn failed(session: &Session, facts: &ExchangeFacts, fault: Fault) {
    match fault {
        Fault::EmptyResponse
        | Fault::ServerClosed
        | Fault::ServerTimeout
        | Fault::JunkResponse
        | Fault::RetryStatus(_) => count(session, facts, Event::Failure),
        _ => {}
    }
}

/// What an exchange, or a TCP session, moved in all.
pub(crate) fn moved(session: &Session, facts: &ExchangeFacts, (received, sent): (u64, u64)) {
    if received > 0 {
        count(session, facts, Event::BytesIn(received));
    }
    if sent > 0 {
        count(session, facts, Event::BytesOut(sent));
    }
}

/// An exchange has moved what it will. It still tracks its keys, which its line may tell of.
pub(crate) fn exchange_moved(session: &Session, record: &Record) {
    let bytes = (record.received_bytes, record.sent_bytes);
    moved(session, &record.facts, bytes);
}

/// An exchange lets go of what it tracks.
pub(crate) fn exchange_ends(session: &Session, record: &mut Record) {
    record.facts.tracked.release(now_ms(&session.worker));
}

/// A TCP session lets go of what its contents were tracked by.
pub(crate) fn tcp_ends(session: &Session, facts: &mut ExchangeFacts) {
    facts.tracked.release(now_ms(&session.worker));
}

/// A connection lets go of what it tracks.
pub(crate) fn session_ends(worker: &Worker, facts: &mut SessionFacts) {
    if let Some(extra) = &mut facts.extra {
        extra.tracked.release(now_ms(worker));
    }
}

/// The clock of stick tables.
pub(crate) fn now_ms(worker: &Worker) -> u64 {
    worker.reactor.now_ns() / NS_PER_MS
}
