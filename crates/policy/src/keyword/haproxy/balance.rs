//! `balance`, `hash-type` and what tunes them.

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::value;
use crate::balance::{BalanceSpec, HashFunction, HashMethod, HashSpec};
use crate::draft::Draft;
use crate::keyword::{Keyword, Sections};
use crate::model::HashPreserveAffinity;

/// Draws of `random` when none are written.
const DRAWS: u32 = 2;

/// Most draws of `random`; more cost time and gain nothing.
const DRAWS_MAX: u32 = 64;

/// The first words that `balance` knows, for suggestions.
const ALGORITHMS: &[&str] = &[
    "first",
    "hash",
    "hdr",
    "leastconn",
    "log-hash",
    "peak-ewma",
    "random",
    "rdp-cookie",
    "roundrobin",
    "source",
    "static-rr",
    "sticky",
    "uri",
    "url_param",
];

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

/// Reads what stands behind `balance`.
fn algorithm(args: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    let Some(word) = args.next() else {
        return Ok(BalanceSpec::RoundRobin);
    };
    let (name, argument) = call(word)?;
    match (name, argument) {
        ("roundrobin", None) => Ok(BalanceSpec::RoundRobin),
        ("static-rr", None) => Ok(BalanceSpec::StaticRoundRobin),
        ("leastconn", None) => Ok(BalanceSpec::LeastConnections),
        ("first", None) => Ok(BalanceSpec::First),
        ("source", None) => Ok(BalanceSpec::Source),
        ("peak-ewma", None) => Ok(BalanceSpec::PeakEwma),
        ("random", None | Some("")) => Ok(BalanceSpec::Random { draws: DRAWS }),
        ("random", Some(draws)) => match draws.parse() {
            Ok(draws @ 1..=DRAWS_MAX) => Ok(BalanceSpec::Random { draws }),
            _ => {
                let message = format_args!("'{draws}' is not a number of draws");
                let error = Diagnostic::error(Kind::Invalid, word.span, message);
                Err(error.help(format_args!("write a number from 1 to {DRAWS_MAX}")))
            }
        },
        ("uri", None) => uri(args),
        ("url_param", None) => url_param(args),
        ("hdr", Some(name)) if !name.is_empty() => {
            let use_domain_only = args.take("use_domain_only");
            Ok(BalanceSpec::Header {
                name: name.to_owned(),
                use_domain_only,
            })
        }
        ("hash", None) => {
            let expression = args.word("an expression")?.text.clone();
            super::names::check_expression(&expression, word.span)?;
            Ok(BalanceSpec::Hash { expression })
        }
        ("rdp-cookie", None) => Ok(BalanceSpec::RdpCookie {
            name: "mstshash".to_owned(),
        }),
        ("rdp-cookie", Some(name)) if !name.is_empty() => Ok(BalanceSpec::RdpCookie {
            name: name.to_owned(),
        }),
        ("log-hash" | "sticky", None) => {
            let message = format_args!("'balance {name}' is not implemented yet");
            Err(Diagnostic::error(Kind::NotImplemented, word.span, message))
        }
        _ => Err(value::unknown(
            word,
            "a balancing algorithm",
            ALGORITHMS.iter().copied(),
        )),
    }
}

/// Splits `name(argument)`.
fn call(word: &Word) -> Result<(&str, Option<&str>), Diagnostic> {
    match word.text.split_once('(') {
        None => Ok((&word.text, None)),
        Some((name, rest)) => match rest.strip_suffix(')') {
            Some(argument) => Ok((name, Some(argument))),
            None => Err(Diagnostic::error(
                Kind::Invalid,
                word.span,
                "the closing parenthesis is missing",
            )),
        },
    }
}

fn uri(args: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    let (mut length, mut depth, mut whole, mut path_only) = (None, None, false, false);
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "len" => length = Some(value::number(args, "the length", 1..=u32::MAX)?),
            "depth" => depth = Some(value::number(args, "the depth", 1..=u32::MAX - 1)?),
            "whole" => whole = true,
            "path-only" => path_only = true,
            _ => {
                let known = ["len", "depth", "whole", "path-only"];
                return Err(value::unknown(
                    word,
                    "an option of 'balance uri'",
                    known.into_iter(),
                ));
            }
        }
    }
    Ok(BalanceSpec::Uri {
        length,
        depth,
        whole,
        path_only,
    })
}

fn url_param(args: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    let name = args.word("the name of a parameter")?.text.clone();
    if let Some(word) = args.peek()
        && word.text == "check_post"
    {
        let message = "looking for the parameter in request bodies is not implemented yet";
        return Err(Diagnostic::error(Kind::NotImplemented, word.span, message));
    }
    Ok(BalanceSpec::UrlParam { name })
}

fn hash_type(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let methods = [
        ("map-based", HashMethod::MapBased),
        ("consistent", HashMethod::Consistent),
        ("maglev", HashMethod::Maglev),
    ];
    let method = value::choice(args, "a way of mapping keys", &methods)?;
    if args.is_empty() {
        let avalanche = method != HashMethod::MapBased;
        draft.settings().back.hash = HashSpec {
            method,
            function: HashFunction::Sdbm,
            avalanche,
        };
        return Ok(());
    }
    let functions = [
        ("sdbm", HashFunction::Sdbm),
        ("djb2", HashFunction::Djb2),
        ("wt6", HashFunction::Wt6),
        ("crc32", HashFunction::Crc32),
        ("none", HashFunction::None),
    ];
    let function = value::choice(args, "a hash function", &functions)?;
    let avalanche = args.take("avalanche");
    draft.settings().back.hash = HashSpec {
        method,
        function,
        avalanche,
    };
    Ok(())
}
