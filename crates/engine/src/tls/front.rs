//! What a bind presents: its certificates by name, and the settings of each handshake.

use std::collections::{HashMap, hash_map};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use plimsoll_policy::model::TlsTune;
use plimsoll_policy::model::tls::{BindTls, Entry, Profile};
use plimsoll_policy::tls::Certificate;
use plimsoll_policy::tls::names::Names;
use plimsoll_policy::tls::ocsp::Response;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert,
    ServerSessionMemoryCache, StoresServerSessions,
};
use rustls::sign::CertifiedKey;

use super::proofs::Proofs;
use super::provider::{Workshop, signing, versions};
use super::secrets::Secretary;
use super::substitutes::Substitutes;
use super::tickets::Tickets;
use super::trust::Clients;
use super::{SetupError, agree, early};

/// TLS of one bind.
pub(crate) struct Front {
    shelf: Shelf,
    /// Certificates for names that have none.
    substitutes: Option<Substitutes>,
    memory: Memory,
    proofs: Arc<Proofs>,
    /// What all this was made of.
    made_of: Arc<BindTls>,
    tune: TlsTune,
}

/// The certificates by name.
pub(super) struct Shelf {
    names: Names,
    strict: bool,
    /// TLS 1.3 is offered.
    tls13: bool,
    presents: Vec<Present>,
}

/// One certificate, ready for handshakes.
pub(super) struct Present {
    pub(super) certificate: Arc<Certificate>,
    /// As it was made ready, for whoever takes the certificate over.
    key: Arc<CertifiedKey>,
    /// As it is shown.
    shown: Arc<CertifiedKey>,
    /// Who judges clients' certificates.
    pub(super) clients: Option<Arc<dyn ClientCertVerifier>>,
    config: Arc<ServerConfig>,
    /// For clients whose protocols are none of ours: they go on without one, as in HAProxy.
    without_alpn: OnceLock<Arc<ServerConfig>>,
}

impl Present {
    /// The settings for a client.
    pub(super) fn config(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        if self.config.alpn_protocols.is_empty()
            || agree::agrees(hello, &self.config.alpn_protocols)
        {
            return Arc::clone(&self.config);
        }
        let without = || {
            let mut config = ServerConfig::clone(&self.config);
            config.alpn_protocols.clear();
            Arc::new(config)
        };
        Arc::clone(self.without_alpn.get_or_init(without))
    }

    /// The same with another certificate of the same key.
    pub(super) fn with(&self, certificate: Arc<Certificate>) -> Self {
        let chain = certificate.chain.iter();
        let chain = chain.map(|der| CertificateDer::from(der.clone()));
        let key = CertifiedKey::new(chain.collect(), Arc::clone(&self.shown.key));
        let key = Arc::new(key);
        let mut config = ServerConfig::clone(&self.config);
        config.cert_resolver = Arc::new(Own::new(Arc::clone(&key)));
        Self {
            certificate,
            shown: Arc::clone(&key),
            key,
            clients: self.clients.clone(),
            config: Arc::new(config),
            without_alpn: OnceLock::new(),
        }
    }
}

impl Front {
    /// What `tls` says; `old` is what the bind has presented so far, whose sessions can be resumed.
    pub(super) fn build(
        tls: &Arc<BindTls>,
        old: Option<&Arc<Self>>,
        tune: &TlsTune,
        workshop: &mut Workshop,
        proofs: &Arc<Proofs>,
    ) -> Result<Arc<Self>, SetupError> {
        let same = |old: &&Arc<Self>| *old.made_of == **tls && old.tune == *tune;
        if let Some(same) = old.filter(same) {
            return Ok(Arc::clone(same));
        }
        // A session resumed is a client not asked for its certificate again, so that its rules must be the same.
        let kept = old.filter(|old| {
            let (before, now) = (&*old.made_of, &**tls);
            before.profile == now.profile
                && takes_early(before) == takes_early(now)
                && before.tickets == now.tickets
                && before.ticket_keys == now.ticket_keys
        });
        let memory = match kept {
            Some(old) => old.memory.clone(),
            None => Memory::new(tls, tune)?,
        };
        // Keys that go on being used need not be made ready again.
        for present in old.iter().flat_map(|old| &old.shelf.presents) {
            workshop.keep(&present.certificate, &present.key);
        }
        let shelf = Shelf::build(tls, &memory, workshop)?;
        let kept = tune.substitutes;
        let authority = tls.authority.as_ref();
        let substitutes = authority.map(|authority| Substitutes::new(authority, kept));
        Ok(Arc::new(Self {
            shelf,
            substitutes: substitutes.transpose()?,
            memory,
            proofs: Arc::clone(proofs),
            made_of: Arc::clone(tls),
            tune: *tune,
        }))
    }

    /// How much of a client's hello is kept for samples.
    pub(super) fn capture_bytes(&self) -> usize {
        self.tune.capture_bytes as usize
    }

    /// What validators of authorities are shown.
    pub(super) fn proofs(&self) -> &Proofs {
        &self.proofs
    }

    /// The certificate for what a client asks.
    pub(super) fn pick(&self, hello: &ClientHello<'_>) -> Option<Picked<'_>> {
        if let (Some(substitutes), Some(name)) = (&self.substitutes, hello.server_name()) {
            return self.substituted(substitutes, hello, name);
        }
        let index = self.shelf.pick(hello, self.shelf.strict)?;
        self.shelf.at(index)
    }

    /// As [`Self::pick`], where names without a certificate get one. With `strict-sni` there is nothing else for those that
    /// cannot have one.
    fn substituted(
        &self,
        substitutes: &Substitutes,
        hello: &ClientHello<'_>,
        name: &str,
    ) -> Option<Picked<'_>> {
        if let Some(index) = self.shelf.pick(hello, true) {
            return self.shelf.at(index);
        }
        let index = self.shelf.pick(hello, false)?;
        let twin = self.shelf.presents.get(index)?;
        let made = substitutes.get(&name.to_ascii_lowercase(), index, twin);
        match made {
            Some(made) => Some(Picked::Made(made)),
            None if self.shelf.strict => None,
            None => Some(Picked::Own(twin)),
        }
    }
}

/// What a client is shown.
pub(super) enum Picked<'a> {
    Own(&'a Present),
    Made(Arc<Present>),
}

impl Deref for Picked<'_> {
    type Target = Present;

    fn deref(&self) -> &Present {
        match self {
            Self::Own(present) => present,
            Self::Made(present) => present,
        }
    }
}

impl Shelf {
    fn build(tls: &BindTls, memory: &Memory, workshop: &mut Workshop) -> Result<Self, SetupError> {
        let mut names = Names::default();
        let mut presents = Vec::with_capacity(tls.entries.len());
        let mut templates: HashMap<*const Profile, Template> = HashMap::new();
        for (index, entry) in tls.entries.iter().enumerate() {
            let certificate = &entry.certificate;
            let own = certificate.names.iter().map(String::as_str);
            names.add(index, certificate.kind, own, &entry.filters);
            if entry.default {
                names.add_default(index, certificate.kind);
            }
            presents.push(present(entry, tls, memory, &mut templates, workshop)?);
        }
        Ok(Self {
            names,
            strict: tls.strict_sni,
            tls13: tls.profile.offer.versions.tls13,
            presents,
        })
    }

    /// The place of the certificate for what a client asks; `strict`: only one that is for its name.
    fn pick(&self, hello: &ClientHello<'_>, strict: bool) -> Option<usize> {
        let client = agree::verifies(hello, self.tls13);
        let asked = hello.server_name();
        match asked {
            Some(name) if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                let name = name.to_ascii_lowercase();
                self.names.pick(Some(&name), client, strict)
            }
            name => self.names.pick(name, client, strict),
        }
    }

    fn at(&self, index: usize) -> Option<Picked<'_>> {
        self.presents.get(index).map(Picked::Own)
    }
}

/// Whether any of its clients may send before the handshake ends.
fn takes_early(tls: &BindTls) -> bool {
    let own = tls
        .entries
        .iter()
        .filter_map(|entry| entry.profile.as_ref());
    let mut profiles = own.chain([&tls.profile]);
    profiles.any(|profile| profile.early_data)
}

/// How sessions are resumed.
#[derive(Clone)]
struct Memory {
    tickets: Option<Arc<Tickets>>,
    cache: Sessions,
    /// For clients that may send before the handshake ends, whose sessions are never kept in tickets: only what we remember by
    /// ourselves can be forgotten with its first use.
    single_use: Sessions,
}

/// Sessions that the process remembers.
pub(super) type Sessions = Arc<dyn StoresServerSessions>;

impl Memory {
    fn new(tls: &BindTls, tune: &TlsTune) -> Result<Self, SetupError> {
        let tickets = match tls.tickets {
            true => Some(Tickets::new(&tls.ticket_keys)?),
            false => None,
        };
        let cache = |wanted: bool| -> Sessions {
            match (wanted, tune.cache_sessions) {
                (false, _) | (_, 0) => Arc::new(NoServerSessionStorage {}),
                (true, sessions) => ServerSessionMemoryCache::new(sessions as usize),
            }
        };
        Ok(Self {
            cache: cache(tickets.is_none()),
            single_use: cache(takes_early(tls)),
            tickets,
        })
    }
}

fn present(
    entry: &Entry,
    tls: &BindTls,
    memory: &Memory,
    templates: &mut HashMap<*const Profile, Template>,
    workshop: &mut Workshop,
) -> Result<Present, SetupError> {
    let profile = entry.profile.as_ref().unwrap_or(&tls.profile);
    let key = workshop.key(&entry.certificate)?;
    let address = Arc::as_ptr(profile);
    let made = match templates.entry(address) {
        hash_map::Entry::Occupied(made) => made.into_mut(),
        hash_map::Entry::Vacant(room) => room.insert(template(profile, memory, workshop)?),
    };
    let mut config = made.config.clone();
    let shown = signing(&key, &profile.offer.signs);
    config.cert_resolver = Arc::new(Own::new(Arc::clone(&shown)));
    Ok(Present {
        certificate: Arc::clone(&entry.certificate),
        key,
        shown,
        clients: made.clients.clone(),
        config: Arc::new(config),
        without_alpn: OnceLock::new(),
    })
}

/// The settings of a profile, for which only the certificate is missing.
struct Template {
    config: ServerConfig,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

fn template(
    profile: &Profile,
    memory: &Memory,
    workshop: &mut Workshop,
) -> Result<Template, SetupError> {
    let provider = workshop.provider(&profile.offer);
    let clients = Clients::build(profile, &provider, workshop)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(&profile.offer))
        .map_err(|error| SetupError::new("TLS towards clients", error))?;
    let builder = match &clients {
        Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Nothing));
    config.alpn_protocols.clone_from(&profile.offer.alpn);
    config.ignore_client_order = !profile.client_order;
    config.session_storage = Arc::clone(&memory.cache);
    if workshop.keeps_secrets {
        config.key_log = Arc::new(Secretary);
    }
    if profile.early_data {
        early::allow(&mut config, &memory.single_use);
    } else if let Some(tickets) = &memory.tickets {
        config.ticketer = Arc::clone(tickets) as Arc<dyn ProducesTickets>;
    }
    Ok(Template { config, clients })
}

/// The one certificate of a handshake.
#[derive(Debug)]
pub(super) struct Own {
    key: Arc<CertifiedKey>,
    /// What is shown once the response that is stapled to it has ended.
    later: Option<Later>,
}

#[derive(Debug)]
struct Later {
    /// Seconds since 1970.
    from_s: u64,
    /// The same without the response.
    key: Arc<CertifiedKey>,
}

impl Own {
    pub(super) fn new(key: Arc<CertifiedKey>) -> Self {
        let response = key.ocsp.as_deref().map(Response::read);
        let ends_s = response.and_then(|response| response.ok()?.usable_until_s());
        let later = ends_s.map(|ends_s| Later {
            from_s: u64::try_from(ends_s).unwrap_or(0).saturating_add(1),
            key: Arc::new(CertifiedKey::new(key.cert.clone(), Arc::clone(&key.key))),
        });
        Self { key, later }
    }

    fn at(&self, now_s: u64) -> &Arc<CertifiedKey> {
        match &self.later {
            Some(later) if now_s >= later.from_s => &later.key,
            _ => &self.key,
        }
    }
}

impl ResolvesServerCert for Own {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Only what can end needs to know what time it is.
        let now_s = match self.later {
            Some(_) => UnixTime::now().as_secs(),
            None => 0,
        };
        Some(Arc::clone(self.at(now_s)))
    }
}

/// Stands in a template.
#[derive(Debug)]
struct Nothing;

impl ResolvesServerCert for Nothing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_policy::tls::certificate::{self, Parts};

    use super::super::provider::certified;
    use super::*;

    /// A response that holds until then, as far as it is read here: it is neither signed nor about anything.
    fn response(until: &[u8; 15]) -> Vec<u8> {
        fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
            let content = parts.concat();
            let length = u8::try_from(content.len()).expect("short");
            let mut der = match length {
                0..=127 => vec![tag, length],
                _ => vec![tag, 0x81, length],
            };
            der.extend(content);
            der
        }
        const SHA1: &[u8] = b"\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00";
        const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00";
        const BASIC: &[u8] = b"\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x01";
        let since = tagged(0x18, &[b"20260101000000Z"]);
        let hash = tagged(4, &[&[7; 20]]);
        let id = tagged(0x30, &[SHA1, &hash, &hash, &tagged(2, &[&[1]])]);
        let until = tagged(0xa0, &[&tagged(0x18, &[until])]);
        let single = tagged(0x30, &[&id, &[0x80, 0], &since, &until]);
        let responder = tagged(0xa2, &[&hash]);
        let data = tagged(0x30, &[&responder, &since, &tagged(0x30, &[&single])]);
        let basic = tagged(0x30, &[&data, RSA, &[3, 2, 0, 0]]);
        let bytes = tagged(0xa0, &[&tagged(0x30, &[BASIC, &tagged(4, &[&basic])])]);
        tagged(0x30, &[&[0x0a, 1, 0], &bytes])
    }

    fn shown(ocsp: Option<Vec<u8>>) -> Own {
        let parts = Parts {
            pem: include_bytes!("../../../policy/tests/tls/site.pem"),
            ..Parts::default()
        };
        let mut site = certificate::load("site", &parts).expect("a pair");
        site.ocsp = ocsp;
        Own::new(Arc::new(certified(&site).expect("a key that signs")))
    }

    /// 2026-11-28 12:00:00 UTC.
    const NOON_S: u64 = 1_795_867_200;

    #[test]
    fn a_response_is_stapled_until_five_minutes_before_it_ends() {
        let own = shown(Some(response(b"20261128120000Z")));
        for (now_s, is_stapled) in [
            (0, true),
            (NOON_S - 3_600, true),
            (NOON_S - 300, true),
            (NOON_S - 299, false),
            (NOON_S, false),
            (u64::MAX, false),
        ] {
            assert_eq!(own.at(now_s).ocsp.is_some(), is_stapled, "{now_s}");
        }
        assert!(shown(None).at(u64::MAX).ocsp.is_none());
    }
}
