//! Name servers, and the servers whose addresses follow from names while the process runs.

use std::net::SocketAddr;

use super::Network;

/// Index of a section in [`super::Model::resolvers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResolversId(pub u32);

/// A `resolvers` section (manual section 5.3.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resolvers {
    pub name: String,
    /// All of them are asked; the first usable answer counts.
    pub servers: Vec<NameServer>,
    /// `accepted_payload_size`: the size in bytes that an answer may have over UDP.
    pub payload_bytes: u16,
    /// `resolve_retries`: how often a question is put before it counts as unanswered.
    pub tries: u32,
    /// `timeout resolve`: how long after one answer the next is asked for.
    pub resolve_ms: u64,
    /// `timeout retry`: how long an answer is waited for.
    pub retry_ms: u64,
    pub hold: Hold,
}

impl Resolvers {
    /// A section of that name in which nothing is written.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            servers: Vec::new(),
            payload_bytes: 512,
            tries: 3,
            resolve_ms: 1_000,
            retry_ms: 1_000,
            hold: Hold::default(),
        }
    }
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameServer {
    pub name: String,
    pub address: SocketAddr,
    /// Asked over TCP from the start.
    pub stream: bool,
}

/// `hold`: for how long after the last usable answer a lack is overlooked, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    pub no_name_ms: u64,
    pub refused_ms: u64,
    pub timeout_ms: u64,
    pub other_ms: u64,
    /// How long an address stays that answers do not name any more.
    pub obsolete_ms: u64,
    /// How long an answer given to rules may be used again.
    pub valid_ms: u64,
}

impl Default for Hold {
    fn default() -> Self {
        Self {
            no_name_ms: 30_000,
            refused_ms: 30_000,
            timeout_ms: 30_000,
            other_ms: 30_000,
            obsolete_ms: 0,
            valid_ms: 10_000,
        }
    }
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    V4,
    /// As in HAProxy, what is asked for first where nothing is said.
    #[default]
    V6,
}

/// A server's name, and how its address follows from it (`resolvers` on server lines).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follow {
    pub resolvers: ResolversId,
    /// The name; one that begins with `_` stands for services, which have ports and weights too (RFC 2782). `None`: an
    /// address is written, and stays until a command gives a name.
    pub host: Option<String>,
    /// `resolve-prefer`.
    pub prefer: Family,
    /// `resolve-net`: addresses in these networks are preferred, the first network most.
    pub networks: Vec<Network>,
    /// `resolve-opts allow-dup-ip`: several servers may have one address.
    pub shares_addresses: bool,
    /// `resolve-opts ignore-weight`: weights of services have no effect.
    pub ignores_weights: bool,
}

impl Follow {
    /// Nobody yet; how, where nothing is written about that.
    pub fn later(resolvers: ResolversId) -> Self {
        Self {
            resolvers,
            host: None,
            prefer: Family::default(),
            networks: Vec::new(),
            shares_addresses: false,
            ignores_weights: false,
        }
    }

    /// Whether the name stands for services rather than for a host.
    pub fn is_service(&self) -> bool {
        self.host.as_ref().is_some_and(|host| host.starts_with('_'))
    }
}
