//! TLS on listening addresses and towards servers, as plain data.

use std::sync::Arc;

use crate::expression::Expression;
use crate::tls::names::Filter;
use crate::tls::{Certificate, CipherSuite, Group, Signature, Versions};

/// Whether the peer's certificate is asked for and checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    #[default]
    None,
    /// Asked for; a client may send none.
    Optional,
    Required,
}

/// What both sides choose alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    pub versions: Versions,
    /// Suites of both versions, in the order of preference.
    pub suites: Vec<CipherSuite>,
    pub groups: Vec<Group>,
    /// Protocols, the most wanted first; empty: the extension is not used.
    pub alpn: Vec<Vec<u8>>,
    /// What we sign with, the most wanted first; empty: whatever the key can do, or towards servers the same as they.
    pub signs: Vec<Signature>,
    /// What the other side may sign with; empty: all that is verified, or for clients the same as we.
    pub verifies: Vec<Signature>,
}

impl Offer {
    /// The suites of the versions that are offered.
    pub fn usable_suites(&self) -> impl Iterator<Item = CipherSuite> {
        let suites = self.suites.iter().copied();
        suites.filter(|suite| self.versions.offers(suite.version()))
    }
}

/// A file of authorities, or of revocation lists, in DER.
#[derive(Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The file, as commands call it; `@system-ca`: what the machine trusts.
    pub name: String,
    pub items: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bundle({:?}, {})", self.name, self.items.len())
    }
}

/// Errors of certificates that do not end a handshake (`ca-ignore-err`, `crt-ignore-err`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ignored {
    #[default]
    None,
    All,
    /// By OpenSSL's numbers, sorted.
    These(Vec<u32>),
}

impl Ignored {
    pub fn covers(&self, number: u32) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::These(numbers) => numbers.contains(&number),
        }
    }
}

/// How a handshake with clients goes; a line of a `crt-list` may have its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    pub offer: Offer,
    pub verify: Verify,
    /// `ca-file`: believed, and named to clients.
    pub authorities: Option<Arc<Bundle>>,
    /// `ca-verify-file`: believed as well, but not named.
    pub unnamed: Option<Arc<Bundle>>,
    pub revocations: Option<Arc<Bundle>>,
    /// Errors of authorities that are overlooked.
    pub ca_ignore: Ignored,
    /// Errors of the client's own certificate that are overlooked.
    pub crt_ignore: Ignored,
    /// `no-ca-names`: the names of the authorities are not sent to clients.
    pub hide_authorities: bool,
    /// `allow-0rtt`: requests may come before the end of the handshake.
    pub early_data: bool,
    /// `prefer-client-ciphers`.
    pub client_order: bool,
}

impl Profile {
    /// All files that clients' certificates are judged by.
    pub fn bundles(&self) -> impl Iterator<Item = &Arc<Bundle>> {
        let all = [&self.authorities, &self.unnamed, &self.revocations];
        all.into_iter().flatten()
    }
}

/// A certificate of a bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub certificate: Arc<Certificate>,
    /// The names it is for; empty: its own.
    pub filters: Vec<Filter>,
    /// Where it differs from the bind's.
    pub profile: Option<Arc<Profile>>,
    /// The `crt-list` it stands in, with its line.
    pub list: Option<(Arc<str>, u32)>,
    /// Answers when no name matches.
    pub default: bool,
}

/// One line of `tls-ticket-keys`: 48 or 80 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKey(pub zeroize::Zeroizing<Vec<u8>>);

impl std::fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TicketKey")
    }
}

/// TLS of a bind (`ssl`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindTls {
    pub profile: Arc<Profile>,
    pub entries: Vec<Entry>,
    /// The lists and directories that entries come from, by their names in the store.
    pub lists: Vec<Arc<str>>,
    /// `strict-sni`.
    pub strict_sni: bool,
    /// Resumption by tickets, which clients keep; otherwise by a cache of our own.
    pub tickets: bool,
    /// Keys of tickets, shared with other processes; empty: our own, renewed by themselves.
    pub ticket_keys: Vec<TicketKey>,
    /// Makes certificates for names that have none (`generate-certificates`): who signs them.
    pub authority: Option<Arc<Certificate>>,
}

/// The name that a server is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ServerName {
    /// No name is sent.
    #[default]
    None,
    Fixed(String),
    /// That of the request's `Host` field, without its port.
    Host,
    /// That the client asked us for.
    Client,
    /// What an expression yields for each request.
    Expression(Arc<NameExpression>),
}

/// An expression behind `sni`.
#[derive(Clone, Debug, PartialEq)]
pub struct NameExpression {
    /// As it was written.
    pub text: String,
    /// `None` until all names are known.
    pub expression: Option<Expression>,
}

/// TLS towards a server.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerTls {
    pub offer: Offer,
    /// Required, or none.
    pub verify: Verify,
    pub authorities: Option<Arc<Bundle>>,
    pub revocations: Option<Arc<Bundle>>,
    /// `crt`: what we show when the server asks.
    pub certificate: Option<Arc<Certificate>>,
    pub name: ServerName,
    /// `verifyhost`: the name its certificate must be for, where it is not the one asked for.
    pub verify_host: Option<String>,
    /// Whether sessions are resumed.
    pub reuse: bool,
}
