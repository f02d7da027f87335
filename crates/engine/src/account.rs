//! What is counted and logged when something ends.

use plimsoll_policy::model::{BackendId, ServerId};

use crate::dispatch::Dispatch;
use crate::exchange::{Record, Times};
use crate::fault::Fault;
use crate::h1::client::Client;
use crate::queue::Slot;
use crate::session::Session;
use crate::tables::Tables;
use crate::tcp::Report;

pub(crate) fn session_begins(session: &Session) {
    session.worker.session_begins();
}

pub(crate) fn session_ends(session: &Session) {
    session.worker.session_ends();
}

pub(crate) fn attempt_failed(
    _tables: &Tables,
    _backend: BackendId,
    _server: ServerId,
    _fault: Fault,
) {
}

pub(crate) fn exchange(_session: &Session, _record: &Record) {}

pub(crate) fn tcp(
    _session: &Session,
    _dispatch: Option<&Dispatch>,
    _slot: Option<&Slot>,
    _report: &Report,
) {
}

pub(crate) fn bad_request(_session: &Session, _client: &Client, _fault: Fault, _times: Times) {}
