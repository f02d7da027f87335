//! `balance source`: the same client address always goes to the same server.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::{Algorithm, BalanceSpec, Call, Dialect};

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "source",
    aliases: &[(Dialect::Keepalived, "sh"), (Dialect::Nginx, "ip_hash")],
    usage: "source",
    doc: "By a hash of the client's address.",
    read,
};

fn read(call: Call<'_>, _: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    call.without_argument()?;
    Ok(BalanceSpec::Source)
}
