//! Edits of what a served model does in TLS: certificates, authorities and lists that are replaced by commands.
//!
//! Binds that share their TLS go on sharing it, and so do entries their profile.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::tls::{BindTls, Bundle, Entry, Profile, ServerTls, Verify};
use super::{BackendId, Bind, Frontend, Mode, Model, ServerId};
use crate::tls::names::Filter;
use crate::tls::ocsp::{CertificateId, Response};
use crate::tls::store::Content;
use crate::tls::{Certificate, Pieces};

impl Model {
    fn listeners(&self) -> impl Iterator<Item = &Bind> {
        let fronts = self.frontends.iter().flat_map(|frontend| &frontend.binds);
        fronts.chain(&self.global.stats_sockets)
    }

    /// TLS of binds, each once however many addresses share it.
    fn bind_tls(&self) -> Vec<&Arc<BindTls>> {
        let mut seen: Vec<&Arc<BindTls>> = Vec::new();
        for tls in self.listeners().filter_map(|bind| bind.tls.as_ref()) {
            if !seen.last().is_some_and(|last| Arc::ptr_eq(last, tls)) {
                seen.push(tls);
            }
        }
        seen
    }

    fn server_tls(&self) -> impl Iterator<Item = &Arc<ServerTls>> {
        let servers = self.backends.iter().flat_map(|backend| &backend.servers);
        servers.filter_map(|server| server.all_tls().next())
    }

    /// How often binds and servers present a certificate.
    pub fn certificate_uses(&self, name: &str) -> usize {
        let entries = self.bind_tls().into_iter().flat_map(|tls| &tls.entries);
        let presented = |tls: &&Arc<ServerTls>| {
            let certificate = tls.certificate.as_ref();
            certificate.is_some_and(|certificate| certificate.name == name)
        };
        let entries = entries.filter(|entry| entry.certificate.name == name);
        entries.count() + self.server_tls().filter(presented).count()
    }

    /// How often certificates of peers are judged by a file.
    pub fn bundle_uses(&self, name: &str) -> usize {
        let named = |bundle: &Arc<Bundle>| bundle.name == name;
        let mut binds = 0;
        for tls in self.bind_tls() {
            let profiles = tls.entries.iter();
            let profiles = profiles.map(|entry| entry.profile.as_ref().unwrap_or(&tls.profile));
            let judged = profiles
                .filter(|profile| profile.verify != Verify::None && profile.bundles().any(named));
            binds += judged.count();
        }
        let servers = self.server_tls().filter(|tls| {
            let mut bundles = [&tls.authorities, &tls.revocations].into_iter().flatten();
            tls.verify != Verify::None && bundles.any(named)
        });
        binds + servers.count()
    }

    /// Keeps other content under a name, and presents it wherever that name is used.
    pub fn install(&mut self, name: &str, content: Content) {
        if let Content::Whole(certificate) = &content {
            self.replace_certificate(certificate);
        }
        let store = Arc::make_mut(&mut self.store);
        let stored = store.certificates.entry(name.to_owned()).or_default();
        let stored = Arc::make_mut(stored);
        (stored.content, stored.stands_in) = (content, false);
    }

    /// The names of the certificates that clients are shown.
    pub fn presented(&self) -> HashSet<&str> {
        let binds = self.bind_tls().into_iter();
        let entries = binds.flat_map(|tls| &tls.entries);
        entries
            .map(|entry| entry.certificate.name.as_str())
            .collect()
    }

    /// The names of the certificates that a response is about.
    pub fn stapled<'a>(&'a self, response: &Response<'_>) -> impl Iterator<Item = &'a str> {
        let all = self.store.certificates.iter();
        all.filter_map(move |(name, stored)| {
            let id = CertificateId::of(&stored.content.pieces())?;
            response.is_about(&id).then_some(name.as_str())
        })
    }

    /// Staples a response to all certificates that it is about.
    pub fn staple(&mut self, response: &Response<'_>, der: &[u8]) {
        let names: Vec<String> = self.stapled(response).map(str::to_owned).collect();
        for name in names {
            let Some(stored) = self.store.certificates.get(&name) else {
                continue;
            };
            let stands_in = stored.stands_in;
            let content = match &stored.content {
                Content::Whole(certificate) => {
                    let mut certificate = Certificate::clone(certificate);
                    certificate.ocsp = Some(der.to_vec());
                    Content::Whole(Arc::new(certificate))
                }
                Content::Part(pieces) => {
                    let mut pieces = Pieces::clone(pieces);
                    pieces.ocsp = Some(der.to_vec());
                    Content::Part(Arc::new(pieces))
                }
            };
            if !stands_in {
                self.install(&name, content);
            }
        }
    }

    /// Keeps responses that authorities have given since files were written, where they are newer.
    pub fn keep_vouched(&mut self, before: &Self) {
        let fetched = self.store.certificates.iter();
        let fetched = fetched.filter(|(_, stored)| stored.fetches);
        let kept = fetched.filter_map(|(name, stored)| {
            let known = &before.store.certificates.get(name)?.content;
            if known.chain() != stored.content.chain() || known == &stored.content {
                return None;
            }
            let response = known.pieces().ocsp?;
            let since = |der: &[u8]| Some(Response::read(der).ok()?.holds_since_s());
            let own = stored.content.pieces().ocsp;
            let own_s = own.and_then(|own| since(&own));
            (since(&response) > own_s).then_some(response)
        });
        for der in kept.collect::<Vec<_>>() {
            if let Ok(response) = Response::read(&der) {
                self.staple(&response, &der);
            }
        }
    }

    /// Keeps certificates that an authority has issued and that could not be written, so that nothing has to stand in for
    /// them when files are read again.
    pub fn keep_issued(&mut self, before: &Self) {
        let missing = self.store.certificates.iter();
        let missing = missing.filter(|(_, stored)| stored.stands_in);
        let kept = missing.filter_map(|(name, stored)| {
            let known = before.store.certificates.get(name)?;
            let same = known.subscription == stored.subscription && !known.stands_in;
            same.then(|| (name.clone(), known.content.clone()))
        });
        for (name, content) in kept.collect::<Vec<_>>() {
            self.install(&name, content);
        }
    }

    /// Speaks TLS to a server, or plainly, with checks that follow its traffic; a server without TLS at hand stays as it is.
    pub fn switch_tls(&mut self, backend: BackendId, id: ServerId, on: bool) {
        let server = &mut self.backends[backend.0 as usize].servers[id.0 as usize];
        server.no_tls = false;
        if on != server.tls.is_some() {
            std::mem::swap(&mut server.tls, &mut server.idle_tls);
        }
        if server.check.tls_follows {
            server.check.tls_usual = server.tls.is_some() && server.check.tls.is_some();
        }
    }

    /// Presents another certificate of the same name wherever that name is used.
    pub fn replace_certificate(&mut self, new: &Arc<Certificate>) {
        self.edit_binds(|tls, _| {
            let mut entries = tls.entries.iter_mut();
            let mut found = false;
            while let Some(entry) = entries.find(|entry| entry.certificate.name == new.name) {
                entry.certificate = Arc::clone(new);
                found = true;
            }
            found
        });
        self.edit_servers(|tls| match &mut tls.certificate {
            Some(certificate) if certificate.name == new.name => {
                *certificate = Arc::clone(new);
                true
            }
            _ => false,
        });
    }

    /// Believes, or disbelieves, what another file of the same name says.
    pub fn replace_bundle(&mut self, new: &Arc<Bundle>) {
        let put = |slot: &mut Option<Arc<Bundle>>| match slot {
            Some(bundle) if bundle.name == new.name => {
                *bundle = Arc::clone(new);
                true
            }
            _ => false,
        };
        let put_all = |slots: [&mut Option<Arc<Bundle>>; 3]| {
            slots
                .into_iter()
                .fold(false, |found, slot| put(slot) | found)
        };
        // Entries that share a profile go on sharing one.
        let mut made: HashMap<*const Profile, (Arc<Profile>, Arc<Profile>)> = HashMap::new();
        let mut renewed = move |profile: &mut Arc<Profile>| {
            if let Some((_, known)) = made.get(&Arc::as_ptr(profile)) {
                *profile = Arc::clone(known);
                return true;
            }
            let mut copy = Profile::clone(profile);
            let found = put_all([
                &mut copy.authorities,
                &mut copy.unnamed,
                &mut copy.revocations,
            ]);
            if found {
                let copy = Arc::new(copy);
                let before = std::mem::replace(profile, Arc::clone(&copy));
                made.insert(Arc::as_ptr(&before), (before, copy));
            }
            found
        };
        self.edit_binds(|tls, _| {
            let mut found = renewed(&mut tls.profile);
            for profile in tls
                .entries
                .iter_mut()
                .filter_map(|entry| entry.profile.as_mut())
            {
                found |= renewed(profile);
            }
            found
        });
        self.edit_servers(|tls| put(&mut tls.authorities) | put(&mut tls.revocations));
    }

    /// Has each bind that uses a list present one more certificate; `make` makes the entry for a bind.
    ///
    /// # Errors
    /// What `make` says; then the model is of no use any more.
    pub fn add_entries<E>(
        &mut self,
        list: &str,
        mut make: impl FnMut(&BindTls, Mode) -> Result<Entry, E>,
    ) -> Result<usize, E> {
        let (mut count, mut failure) = (0, None);
        self.edit_binds(|tls, mode| {
            if failure.is_some() || !tls.lists.iter().any(|used| &**used == list) {
                return false;
            }
            match make(tls, mode) {
                Ok(entry) => {
                    tls.entries.push(entry);
                    count += 1;
                }
                Err(error) => failure = Some(error),
            }
            true
        });
        failure.map_or(Ok(count), Err)
    }

    /// Has no bind present what a line of a list had named.
    pub fn remove_entries(&mut self, list: &str, certificate: &str, line: u32) {
        self.edit_binds(|tls, _| {
            let before = tls.entries.len();
            tls.entries
                .retain(|entry| !entry.is_of(list, certificate, line));
            tls.entries.len() != before
        });
    }

    /// The binds at which a line of a list answers clients whose name nobody has.
    pub fn binds_by_default(
        &self,
        list: &str,
        certificate: &str,
        line: u32,
    ) -> Vec<(&Frontend, &Bind)> {
        let binds = self
            .frontends
            .iter()
            .flat_map(|frontend| frontend.binds.iter().map(move |bind| (frontend, bind)));
        let answers = |tls: &Arc<BindTls>| {
            let mut entries = tls.entries.iter().enumerate();
            // One that only stands in for any name by its `*` can be done without, unless it is the first.
            let stands_out =
                |index, entry: &Entry| index == 0 || !entry.filters.iter().any(Filter::is_default);
            !tls.strict_sni
                && entries.any(|(index, entry)| {
                    entry.default
                        && entry.is_of(list, certificate, line)
                        && stands_out(index, entry)
                })
        };
        binds
            .filter(|(_, bind)| bind.tls.as_ref().is_some_and(answers))
            .collect()
    }

    /// Changes the TLS of binds; `edit` says whether it has changed anything.
    fn edit_binds(&mut self, mut edit: impl FnMut(&mut BindTls, Mode) -> bool) {
        let mut last: Option<(Arc<BindTls>, Arc<BindTls>)> = None;
        let fronts = self.frontends.iter_mut().flat_map(|frontend| {
            let mode = frontend.mode;
            frontend.binds.iter_mut().map(move |bind| (bind, mode))
        });
        let sockets = self.global.stats_sockets.iter_mut();
        let all = fronts.chain(sockets.map(|bind| (bind, Mode::Tcp)));
        let all = all.filter_map(|(bind, mode)| Some((bind.tls.as_mut()?, mode)));
        for (tls, mode) in all {
            if let Some((before, after)) = &last
                && Arc::ptr_eq(before, tls)
            {
                *tls = Arc::clone(after);
                continue;
            }
            let mut copy = BindTls::clone(tls);
            if edit(&mut copy, mode) {
                let after = Arc::new(copy);
                last = Some((Arc::clone(tls), Arc::clone(&after)));
                *tls = after;
            }
        }
    }

    /// Changes the TLS of servers, of traffic and of checks.
    fn edit_servers(&mut self, edit: impl Fn(&mut ServerTls) -> bool) {
        let servers = self
            .backends
            .iter_mut()
            .flat_map(|backend| &mut backend.servers);
        for server in servers {
            for tls in server.all_tls_mut() {
                let mut copy = ServerTls::clone(tls);
                if edit(&mut copy) {
                    *tls = Arc::new(copy);
                }
            }
        }
    }
}

impl Entry {
    fn is_of(&self, list: &str, certificate: &str, line: u32) -> bool {
        let place = self.list.as_ref();
        let here = place.is_some_and(|(own, number)| &**own == list && *number == line);
        here && self.certificate.name == certificate
    }
}
