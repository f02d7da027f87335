//! Choosing a server: one file per algorithm, one row per file.
//!
//! An algorithm has two halves. [`Balance::arrange`] runs when the usable set or a weight changes and may take
//! its time; [`Arranged::pick`] runs for every request on every worker: atomics only, no lock, no allocation.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::live::ServerLive;
use crate::model::ServerId;

/// What a configuration says after `balance`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BalanceSpec {
    #[default]
    RoundRobin,
    StaticRoundRobin,
    LeastConnections,
    First,
    /// `random(draws)`.
    Random { draws: u32 },
    Source,
    /// `uri [len N] [depth N] [whole] [path-only]`.
    Uri { length: Option<u32>, depth: Option<u32>, whole: bool, path_only: bool },
    /// `url_param NAME`.
    UrlParam { name: String },
    /// `hdr(NAME)`; `use_domain_only` keeps the main part of a host name.
    Header { name: String, use_domain_only: bool },
    /// `hash EXPRESSION`: the expression's text, until the rule language can compile it.
    Hash { expression: String },
    /// `rdp-cookie(NAME)`.
    RdpCookie { name: String },
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashMethod {
    #[default]
    MapBased,
    Consistent,
    /// Ours: Google's Maglev table.
    Maglev,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashFunction {
    #[default]
    Sdbm,
    Djb2,
    Wt6,
    Crc32,
    None,
}

/// A server that may be chosen, as an algorithm sees it when it arranges.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub id: ServerId,
    /// The configured identifier (`Server::number`), which seeds consistent hashing.
    pub number: u32,
    /// Effective weight, above 0. Scaled as HAProxy does where an algorithm needs it.
    pub weight: u32,
    /// What `hash-key` asked for, already reduced to the 32 bits that seed the ring.
    pub hash_seed: u32,
    /// Counters that change while the arrangement lives.
    pub live: Arc<ServerLive>,
}

/// One choice to make.
#[derive(Clone, Copy, Debug)]
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
