//! Choosing a server: one file per algorithm, one row per file.
//!
//! An algorithm has two halves. [`Balance::arrange`] runs when the usable set or a weight changes and may take
//! its time; [`Arranged::pick`] runs for every request on every worker: atomics only, no lock, no allocation.
//!
//! The engine holds, per backend, the [`Balance`] that [`build`] made and the [`Arranged`] it made of
//! [`usable()`] candidates; it arranges anew when `BackendLive::generation` has risen. For hashed algorithms it
//! fills [`Pick::key`] through [`key::find`].
//!
//! What is absent: slots and queues (`crate::queue`), persistence, retries, the evaluation of expressions.

#[cfg(test)]
mod conformance;
mod draw;
mod first;
mod hash;
pub(crate) mod hash_type;
mod hashed;
mod hdr;
pub mod key;
mod leastconn;
mod maglev;
mod map;
mod peak_ewma;
mod random;
pub(crate) mod rdp_cookie;
mod ring;
mod rotation;
mod roundrobin;
mod smooth;
mod source;
mod static_rr;
#[cfg(test)]
mod testing;
mod uri;
mod url_param;
mod usable;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};
use plimsoll_config::suggest;

use crate::live::ServerLive;
use crate::model::{HashPreserveAffinity, ServerId};
use crate::value::Value;

pub use hash_type::read as read_hash_type;
pub use leastconn::EXACT_MAX;
pub use usable::usable;

/// What a configuration says after `balance`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BalanceSpec {
    #[default]
    RoundRobin,
    StaticRoundRobin,
    LeastConnections,
    First,
    /// `random(draws)`.
    Random {
        draws: u32,
    },
    Source,
    /// `uri [len N] [depth N] [whole] [path-only]`.
    Uri {
        length: Option<u32>,
        depth: Option<u32>,
        whole: bool,
        path_only: bool,
    },
    /// `url_param NAME`.
    UrlParam {
        name: String,
    },
    /// `hdr(NAME)`; `use_domain_only` keeps the main part of a host name.
    Header {
        name: String,
        use_domain_only: bool,
    },
    /// `hash EXPRESSION`: the expression's text; [`crate::model::Backend::balance_key`] is what it means.
    Hash {
        expression: String,
    },
    /// `rdp-cookie(NAME)`.
    RdpCookie {
        name: String,
    },
    /// Ours: least expected delay from a peak-sensitive moving average of response times.
    PeakEwma,
}

/// `hash-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashSpec {
    pub method: HashMethod,
    pub function: HashFunction,
    pub avalanche: bool,
}

impl HashSpec {
    /// The bytes of what `balance hash` has found. Where they are themselves the hash they are a number in digits.
    pub fn key_of(self, value: Value<'_>) -> Vec<u8> {
        match self.function {
            HashFunction::None => value.into_text().into_owned(),
            _ => value.into_binary().into_owned(),
        }
    }
}

/// How a hash leads to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashMethod {
    #[default]
    MapBased,
    Consistent,
    /// Ours: Google's Maglev table.
    Maglev,
}

/// How bytes become a hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashFunction {
    #[default]
    Sdbm,
    Djb2,
    Wt6,
    Crc32,
    /// The key is itself a decimal number.
    None,
}

/// A server that may be chosen, as an algorithm sees it when it arranges.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub id: ServerId,
    /// The configured identifier (`Server::number`), which orders `first` and seeds consistent hashing.
    pub number: u32,
    /// The weight in force, 1 to 256.
    pub weight: u32,
    /// How much of its weight a warming server gets, 1 to 16 sixteenths; 16 for all others.
    pub ramp_sixteenths: u32,
    /// What `hash-key` asked for, already reduced to the 32 bits that seed the ring.
    pub hash_seed: u32,
    /// Counters and limits that change while the arrangement lives.
    pub live: Arc<ServerLive>,
}

impl Candidate {
    /// The weight in sixteenths, with the ramp applied: the unit of all algorithms that allow for warming.
    pub fn scaled_weight(&self) -> u32 {
        self.weight * self.ramp_sixteenths
    }
}

/// One choice to make.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pick<'a> {
    /// The part of the request that hashed algorithms look at; `None`: absent, so fall back to round robin.
    pub key: Option<&'a [u8]>,
    pub source: Option<IpAddr>,
    /// Chance, as an argument.
    pub random: u64,
    /// Nanoseconds since an arbitrary start.
    pub now_ns: u64,
    /// A server that has just failed this request and should be avoided where there is another.
    pub avoid: Option<ServerId>,
}

/// An algorithm with its settings; lives as long as its backend's configuration.
pub trait Balance: fmt::Debug + Send + Sync {
    /// Prepares choices among `candidates`, which are those of [`usable()`], in their order.
    fn arrange(&self, candidates: &[Candidate]) -> Box<dyn Arranged>;
}

/// An algorithm at work on one set of servers and weights; shared by all workers.
pub trait Arranged: fmt::Debug + Send + Sync {
    /// Chooses a server, without taking a slot of it.
    ///
    /// `None`: there is no server, or the algorithm prefers to let the request wait in the backend's queue for
    /// the first free one, because those it would choose are full. An algorithm that binds a key to one server
    /// names that server even when it is full; the request then waits in that server's queue.
    fn pick(&self, pick: &Pick<'_>) -> Option<ServerId>;
}

/// A language that has names of its own for the algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Keepalived,
    Nginx,
}

/// One algorithm as a configuration knows it.
#[derive(Debug)]
pub struct Algorithm {
    /// HAProxy's spelling, or ours, without arguments.
    pub name: &'static str,
    /// The same in other dialects: keepalived's `lb_algo`, nginx's `upstream`.
    pub aliases: &'static [(Dialect, &'static str)],
    pub usage: &'static str,
    pub doc: &'static str,
    read: fn(Call<'_>, &mut Args<'_>) -> Result<BalanceSpec, Diagnostic>,
}

/// The word that names an algorithm, with what stood in its parentheses.
#[derive(Clone, Copy, Debug)]
struct Call<'a> {
    word: &'a Word,
    argument: Option<&'a str>,
}

impl Call<'_> {
    /// An error at the word.
    fn error(&self, message: impl fmt::Display) -> Diagnostic {
        Diagnostic::error(Kind::Invalid, self.word.span, message)
    }

    /// An error if there were parentheses with something in them.
    fn without_argument(&self) -> Result<(), Diagnostic> {
        match self.argument {
            None | Some("") => Ok(()),
            Some(_) => Err(self.error(format_args!(
                "'{}' takes nothing in parentheses",
                self.word.text
            ))),
        }
    }
}

/// Every algorithm, sorted by name.
pub const ALGORITHMS: &[Algorithm] = &[
    first::ALGORITHM,
    hash::ALGORITHM,
    hdr::ALGORITHM,
    leastconn::ALGORITHM,
    peak_ewma::ALGORITHM,
    random::ALGORITHM,
    rdp_cookie::ALGORITHM,
    roundrobin::ALGORITHM,
    source::ALGORITHM,
    static_rr::ALGORITHM,
    uri::ALGORITHM,
    url_param::ALGORITHM,
];

/// Reads what follows `balance`.
pub fn read(args: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    let word = args.word("a balancing algorithm")?;
    let (name, argument) = match word.text.split_once('(') {
        None => (word.text.as_str(), None),
        Some((name, rest)) => {
            let argument = rest.strip_suffix(')').ok_or_else(|| {
                Diagnostic::error(
                    Kind::Invalid,
                    word.span,
                    "the closing parenthesis is missing",
                )
                .help(format_args!("write '{})'", word.text))
            })?;
            (name, Some(argument))
        }
    };
    let call = Call { word, argument };
    let Some(algorithm) = ALGORITHMS.iter().find(|row| row.name == name) else {
        let error = Diagnostic::error(
            Kind::Unknown,
            word.span,
            format_args!("no balancing algorithm is called '{name}'"),
        );
        let names = ALGORITHMS.iter().map(|row| row.name);
        return Err(match suggest::nearest(name, names) {
            Some(near) => error.help(format_args!("did you mean '{near}'?")),
            None => error,
        });
    };
    (algorithm.read)(call, args)
}

/// Makes the algorithm that a backend asks for.
///
/// `balance_factor` is `hash-balance-factor`: 0, or the load in per cent of the average beyond which a hashed
/// algorithm passes a server over.
pub fn build(
    spec: &BalanceSpec,
    hash: HashSpec,
    balance_factor: u32,
    affinity: HashPreserveAffinity,
) -> Box<dyn Balance> {
    let settings = hashed::Settings {
        by_source: matches!(spec, BalanceSpec::Source),
        hash,
        balance_factor,
        affinity,
    };
    match spec {
        BalanceSpec::RoundRobin => Box::new(roundrobin::RoundRobin::default()),
        BalanceSpec::StaticRoundRobin => Box::new(static_rr::StaticRoundRobin::default()),
        BalanceSpec::LeastConnections => Box::new(leastconn::LeastConnections::default()),
        BalanceSpec::First => Box::new(first::First),
        BalanceSpec::Random { draws } => Box::new(random::Random {
            draws: *draws,
            balance_factor,
        }),
        BalanceSpec::PeakEwma => Box::new(peak_ewma::PeakEwma),
        BalanceSpec::Source
        | BalanceSpec::Uri { .. }
        | BalanceSpec::UrlParam { .. }
        | BalanceSpec::Header { .. }
        | BalanceSpec::Hash { .. }
        | BalanceSpec::RdpCookie { .. } => Box::new(hashed::Hashed::new(settings)),
    }
}
