//! `balance`, `hash-type` and what tunes them.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::value;
use crate::balance::BalanceSpec;
use crate::draft::Draft;
use crate::keyword::{Keyword, Sections};
use crate::model::HashPreserveAffinity;

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::new(
        "balance",
        Sections::BACK,
        "[ALGORITHM] [ARGUMENT...]",
        "How servers are chosen.",
        balance,
    ),
    Keyword::new(
        "hash-balance-factor",
        Sections::BACK,
        "PERCENT",
        "Load beyond which a hashed choice moves on.",
        |args, draft| {
            let span = value::place(args);
            let factor = value::number(args, "the percentage", 0..=65_535)?;
            if (1..=100).contains(&factor) {
                let message = format_args!("a factor of {factor} can never be met");
                let error = Diagnostic::error(Kind::Invalid, span, message);
                return Err(error.help("write 0 for none, or a number above 100"));
            }
            draft.settings().back.hash_balance_factor = factor;
            Ok(())
        },
    ),
    Keyword::new(
        "hash-preserve-affinity",
        Sections::BACK,
        "always|maxconn|maxqueue",
        "Whether a hashed choice leaves a full server.",
        |args, draft| {
            let known = [
                ("always", HashPreserveAffinity::Always),
                ("maxconn", HashPreserveAffinity::MaxConn),
                ("maxqueue", HashPreserveAffinity::MaxQueue),
            ];
            draft.settings().back.hash_preserve_affinity =
                value::choice(args, "a way of keeping affinity", &known)?;
            Ok(())
        },
    ),
    Keyword::new(
        "hash-type",
        Sections::BACK,
        "map-based|consistent|maglev [FUNCTION] [avalanche]",
        "How keys are mapped to servers.",
        hash_type,
    ),
];

fn balance(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let spec = algorithm(args)?;
    let line = draft.line;
    let settings = draft.settings();
    settings.back.balance = spec;
    settings.balance = Some(line);
    Ok(())
}

/// What [`crate::balance::read`] reads, or nothing; and the names that wait.
fn algorithm(args: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    let Some(word) = args.peek() else {
        return Ok(BalanceSpec::RoundRobin);
    };
    if let name @ ("log-hash" | "sticky") = word.text.as_str() {
        let message = format_args!("'balance {name}' is not implemented yet");
        return Err(Diagnostic::error(Kind::NotImplemented, word.span, message));
    }
    crate::balance::read(args)
}

fn hash_type(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    draft.settings().back.hash = crate::balance::read_hash_type(args)?;
    Ok(())
}
