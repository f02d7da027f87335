//! Samples of TLS (manual, section 7.3.4): connections on both sides, their certificates, and the client's hello.
//!
//! What is absent: what the library does not tell of a connection, such as the random bytes of its server.

mod certificate;
mod connection;
mod hello;

pub(crate) use certificate::{
    CLIENT, CLIENT_CERTIFICATE, OWN_CERTIFICATE, SERVER, SERVER_CERTIFICATE,
};
pub(crate) use connection::{
    CLIENT_CONNECTION, CONNECTION, SECRETS, SERVER_CONNECTION, SERVER_SECRETS,
};
pub(crate) use hello::HELLO;

use crate::context::Context;
use crate::tls::Facts;

/// Why a sample of TLS that HAProxy has is not here; `None`: it may come.
pub(super) fn absence(name: &str) -> Option<&'static str> {
    if name == "ssl_bc_client_early_traffic_secret" {
        return Some("servers are sent no early data, so that there is no such secret");
    }
    let rest = name
        .strip_prefix("ssl_fc_")
        .or_else(|| name.strip_prefix("ssl_bc_"))?;
    match rest {
        "early_exporter_secret" => Some("the TLS library makes no such secret"),
        "npn" => Some("ALPN has taken the place of NPN; ssl_fc_alpn tells what was agreed upon"),
        "server_random" | "session_id" | "unique_id" => {
            Some("the TLS library keeps it to itself; ssl_fc_client_random tells connections apart")
        }
        _ => None,
    }
}

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
