//! Certificates, authorities, revocation lists and lists of certificates at run time (management guide, section 9.3,
//! `… ssl …`).
//!
//! What is sent is collected in a transaction, one of each kind for the whole process, until it is committed or given up.
//! A commit makes another model, which is adopted as a whole, so that no handshake sees half of it.
//! Answers are HAProxy's. Private keys are shown by `dump ssl cert` alone.

pub(super) mod bundle;
pub(super) mod cert;
pub(super) mod list;
pub(super) mod ocsp;
pub(super) mod sni;

use super::{Change, Refusal, Session};
use crate::model::Model;
use crate::stats::View;
use crate::tls::store::Transactions;

/// Changes the transactions of the process.
fn change(view: View<'_>, session: &mut Session, edit: impl FnOnce(&mut Transactions)) {
    let mut transactions = Transactions::clone(&view.plane.transactions());
    edit(&mut transactions);
    let change = Change::Transactions(Box::new(transactions));
    session.changes.push(change);
}

/// Serves by a model that is a little different.
fn adopt(view: View<'_>, session: &mut Session, edit: impl FnOnce(&mut Model)) {
    let mut model = view.model().clone();
    edit(&mut model);
    session.changes.push(Change::Model(Box::new(model)));
}

/// What is said to somebody who works at another file than the transaction is about.
fn about_another(open: &str, doing: &str, name: &str) -> String {
    format!("The ongoing transaction is about '{open}' but you are trying to {doing} '{name}'\n")
}

/// A name as commands write it: behind `*` it means what is not committed yet, and `\` keeps it from meaning more.
fn shown_name(word: &str) -> (bool, &str) {
    let (uncommitted, name) = match word.strip_prefix('*') {
        Some(name) => (true, name),
        None => (false, word),
    };
    (uncommitted, name.strip_prefix('\\').unwrap_or(name))
}

fn refused(parts: &[&str]) -> Refusal {
    Refusal(parts.concat())
}

/// The answer to a commit: a dot for each place where something is replaced.
fn committed(name: &str, places: usize) -> String {
    format!("Committing {name}{}\nSuccess!\n", ".".repeat(places))
}
