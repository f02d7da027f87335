//! Samples of TLS (manual, section 7.3.4): connections on both sides, their certificates, and the client's hello.
//!
//! What is absent: secrets of connections, which are not kept.

mod certificate;
mod connection;
mod hello;

pub(crate) use certificate::{
    CLIENT, CLIENT_CERTIFICATE, OWN_CERTIFICATE, SERVER, SERVER_CERTIFICATE,
};
pub(crate) use connection::{CLIENT_CONNECTION, CONNECTION, SERVER_CONNECTION};
pub(crate) use hello::HELLO;

use crate::context::Context;
use crate::tls::Facts;

/// What the handshake with the client has told.
fn facts<'a>(context: &'a Context<'_>) -> Option<&'a Facts> {
    context.session.tls()
}

/// What the handshake with the server has told.
fn server_facts<'a>(context: &'a Context<'_>) -> Option<&'a Facts> {
    context.exchange.server_tls.as_deref()
}

/// A row without arguments.
macro_rules! row {
    ($name:expr, $doc:expr, $needs:ident, $kind:ident, |$context:ident| $value:expr) => {
        $crate::sample::Row {
            name: $name,
            usage: "",
            doc: $doc,
            needs: $crate::sample::Needs::$needs,
            read: |_, _| $crate::sample::fetch($crate::value::Type::$kind, |$context| $value),
        }
    };
}
use row;
