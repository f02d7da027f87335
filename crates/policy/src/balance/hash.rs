//! `balance hash EXPRESSION`: the same value of an expression always goes to the same server.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::{Algorithm, BalanceSpec, Call, Dialect};

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "hash",
    aliases: &[(Dialect::Nginx, "hash")],
    usage: "hash <expression>",
    doc: "By a hash of the value of a sample expression.",
    read,
};

fn read(call: Call<'_>, args: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    call.without_argument()?;
    let expression = args.word("a sample expression")?.text.clone();
    args.finish()?;
    Ok(BalanceSpec::Hash { expression })
}
