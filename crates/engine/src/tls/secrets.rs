//! Secrets of connections, for those who look into what they have recorded (`tune.ssl.keylog`).
//!
//! The library tells them while a handshake moves on; the stream whose handshake it is takes them at once. Without the
//! word none of this is asked for.

use std::cell::RefCell;

use plimsoll_policy::tls::Secrets;
use rustls::KeyLog;

thread_local! {
    /// What this thread has been told since it was last taken. Of connections that others carry nobody takes it; it is
    /// forgotten with the next one.
    static TOLD: RefCell<Option<Box<Secrets>>> = const { RefCell::new(None) };
}

/// Whom the library tells.
#[derive(Debug)]
pub(super) struct Secretary;

impl KeyLog for Secretary {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        TOLD.with_borrow_mut(|told| {
            let kept = told.get_or_insert_default();
            if kept.client_random() != client_random {
                **kept = Secrets::new(client_random);
            }
            kept.keep(label, secret);
        });
    }
}

/// Takes what this thread has been told.
pub(super) fn take() -> Option<Box<Secrets>> {
    TOLD.take()
}
