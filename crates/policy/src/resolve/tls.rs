//! TLS of binds and servers: files are read and taken apart, lists become suites and groups, defaults are applied.
//!
//! What keeps clients or servers from ever agreeing is an error; what merely leaves some of them out is a warning.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};
use zeroize::Zeroizing;

use super::Resolver;
use crate::draft::{BindDraft, ServerDraft, Spanned};
use crate::keyword::haproxy::{CertificateDraft, LIST_OPTIONS, LoadDraft, SniDraft, TlsDraft};
use crate::keyword::read_words;
use crate::model::check::{CheckAction, CheckStep};
use crate::model::tls::{
    BindTls, Bundle, Entry, Offer, Profile, ServerName, ServerTls, TicketKey, Verify,
};
use crate::model::{Backend, Mode, Server};
use crate::probe::DialTls;
use crate::tls::certificate::{self, Parts};
use crate::tls::names::Filter;
use crate::tls::{Certificate, CipherSuite, Version, Versions, cipher, crt_list, group};

/// Protocols that HTTP proxies speak with clients, and with servers.
const SPOKEN_WITH_CLIENTS: &[&[u8]] = &[b"h2", b"http/1.1", b"http/1.0"];
const SPOKEN_WITH_SERVERS: &[&[u8]] = &[b"http/1.1", b"http/1.0"];

/// Where systems keep the authorities that they trust; the first that exists counts.
const SYSTEM_AUTHORITIES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
];

/// Most certificates of one bind.
const ENTRIES_MAX: usize = 100_000;

/// Names of bundles: one certificate for each kind of key.
const BUNDLE_EXTENSIONS: [&str; 3] = ["rsa", "ecdsa", "dsa"];

/// Files that lie beside certificates and are none.
const EXTRA_EXTENSIONS: [&str; 4] = ["issuer", "ocsp", "sctl", "key"];

/// Most keys of `tls-ticket-keys`.
const TICKET_KEYS_MAX: usize = 1_000;

impl Resolver<'_> {
    // ---- Binds

    /// TLS of a bind line, when it says `ssl`.
    pub(super) fn bind_tls(&mut self, draft: &BindDraft, mode: Mode) -> Option<Arc<BindTls>> {
        let own = &draft.tls;
        let ssl = own.ssl.as_ref().filter(|ssl| ssl.value)?;
        let defaults = std::mem::take(&mut self.tls.bind);
        let profile = self
            .profile(&[own, &defaults], mode, ssl.span)
            .map(Arc::new);
        let mut tls = BindTls {
            strict_sni: own.strict_sni.or(defaults.strict_sni).unwrap_or(false),
            tickets: own.tickets.or(defaults.tickets).unwrap_or(true),
            ..BindTls::default()
        };
        if let Some(keys) = &own.ticket_keys {
            tls.ticket_keys = self.ticket_keys(keys);
        }
        for named in &own.certificates {
            self.named(named, &[own, &defaults], mode, &mut tls.entries);
        }
        self.tls.bind = defaults;
        choose_defaults(&mut tls.entries);
        if own.certificates.is_empty() {
            let error = Diagnostic::error(Kind::Invalid, ssl.span, "'ssl' needs a certificate");
            self.report(error.help("add 'crt FILE'"));
        }
        tls.profile = profile?;
        Some(Arc::new(tls))
    }

    /// What a word of a bind line names: a file, a directory, a list, or something of a store.
    fn named(
        &mut self,
        named: &Spanned<CertificateDraft>,
        chain: &[&TlsDraft],
        mode: Mode,
        entries: &mut Vec<Entry>,
    ) {
        let span = named.span;
        match &named.value {
            CertificateDraft::List(path) => self.list(path, span, chain, mode, entries),
            CertificateDraft::File(name) | CertificateDraft::Default(name) => {
                let default = matches!(named.value, CertificateDraft::Default(_));
                for certificate in self.certificates(name, span) {
                    self.push(
                        entries,
                        span,
                        Entry {
                            certificate,
                            filters: Vec::new(),
                            profile: None,
                            list: None,
                            default,
                        },
                    );
                }
            }
        }
    }

    fn push(&mut self, entries: &mut Vec<Entry>, span: Span, entry: Entry) {
        if entries.len() < ENTRIES_MAX {
            return entries.push(entry);
        }
        if self.told.insert(span) {
            let message = format!("a bind has more than {ENTRIES_MAX} certificates");
            self.error(Kind::Invalid, span, message, "");
        }
    }

    /// The lines of a `crt-list`.
    fn list(
        &mut self,
        path: &str,
        span: Span,
        chain: &[&TlsDraft],
        mode: Mode,
        entries: &mut Vec<Entry>,
    ) {
        let text = match self.read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(complaint) => return self.error(Kind::Environment, span, complaint, ""),
        };
        let (lines, errors) = crt_list::parse(&text);
        for error in errors {
            let message = format!("{path}:{}: {}", error.number, error.what);
            self.error(
                Kind::Invalid,
                span,
                message,
                "write FILE [OPTION...] NAME...",
            );
        }
        let list: Arc<str> = path.into();
        for line in lines {
            let profile = self.line_profile(&line, path, span, chain, mode);
            for certificate in self.certificates(&line.file, span) {
                self.push(
                    entries,
                    span,
                    Entry {
                        certificate,
                        filters: line.filters.clone(),
                        profile: profile.clone(),
                        list: Some((Arc::clone(&list), line.number as u32)),
                        default: line.filters.iter().any(Filter::is_default),
                    },
                );
            }
        }
    }

    /// What the brackets of a line change.
    fn line_profile(
        &mut self,
        line: &crt_list::Line,
        path: &str,
        span: Span,
        chain: &[&TlsDraft],
        mode: Mode,
    ) -> Option<Arc<Profile>> {
        if line.options.is_empty() {
            return None;
        }
        let words = line
            .options
            .iter()
            .map(|option| Word::new(option.as_str(), span));
        let words: Vec<Word> = words.collect();
        let mut own = TlsDraft::default();
        let mut args = Args::new(&words, span);
        for mut problem in read_words(&mut args, LIST_OPTIONS, &mut own, "an option of a crt-list")
        {
            problem.message = format!("{path}:{}: {}", line.number, problem.message);
            self.report(problem);
        }
        let mut all = vec![&own];
        all.extend(chain);
        self.profile(&all, mode, span).map(Arc::new)
    }

    /// How handshakes go; the first place that says something counts.
    fn profile(&mut self, chain: &[&TlsDraft], mode: Mode, span: Span) -> Option<Profile> {
        let offer = self.offer(chain, span);
        let alpn = first(chain, |tls| tls.alpn.as_ref());
        let alpn = match (alpn, mode) {
            (Some(written), Mode::Http) => self.spoken(written, SPOKEN_WITH_CLIENTS),
            (Some(written), Mode::Tcp) => written.value.clone(),
            (None, Mode::Http) => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            (None, Mode::Tcp) => Vec::new(),
        };
        let verify = first(chain, |tls| tls.verify.as_ref());
        let how = verify.map_or(Verify::None, |verify| verify.value);
        let mut profile = Profile {
            verify: how,
            ca_ignore: first(chain, |tls| tls.ca_ignore.as_ref())
                .cloned()
                .unwrap_or_default(),
            crt_ignore: first(chain, |tls| tls.crt_ignore.as_ref())
                .cloned()
                .unwrap_or_default(),
            hide_authorities: first(chain, |tls| tls.hide_authorities).unwrap_or(false),
            client_order: first(chain, |tls| tls.client_order).unwrap_or(false),
            ..Profile::default()
        };
        if how != Verify::None {
            let named = first(chain, |tls| tls.ca_file.as_ref());
            let quiet = first(chain, |tls| tls.ca_verify_file.as_ref());
            profile.authorities = match (named, quiet) {
                (None, None) => {
                    let span = verify.map_or(span, |verify| verify.span);
                    let message = "clients are to be verified, but by no authority".to_owned();
                    self.error(Kind::Invalid, span, message, "add 'ca-file FILE'");
                    None
                }
                (None, Some(quiet)) => {
                    profile.hide_authorities = true;
                    self.authorities(quiet)
                }
                (Some(named), None) => self.authorities(named),
                (Some(named), Some(quiet)) => {
                    profile.hide_authorities = true;
                    let (named, quiet) = (self.authorities(named), self.authorities(quiet));
                    named.zip(quiet).map(|(named, quiet)| both(&named, &quiet))
                }
            };
            let lists = first(chain, |tls| tls.crl_file.as_ref());
            profile.revocations = lists.and_then(|lists| self.revocations(lists));
        }
        profile.offer = Offer { alpn, ..offer? };
        Some(profile)
    }

    // ---- Servers

    /// TLS of a server line, for traffic and for checks.
    pub(super) fn server_tls(
        &mut self,
        draft: &ServerDraft,
        mode: Mode,
    ) -> (Option<Arc<ServerTls>>, Option<Arc<ServerTls>>) {
        let own = &draft.tls;
        let traffic = own.ssl.as_ref().is_some_and(|ssl| ssl.value);
        // Checks go where traffic goes, unless they have a port or an address of their own.
        let elsewhere = draft.model.check.port.is_some() || draft.checks.address.is_some();
        let checked = own.check_ssl.unwrap_or(traffic && !elsewhere);
        if !traffic && !checked {
            return (None, None);
        }
        let span = own.ssl.as_ref().map_or(draft.name_span, |ssl| ssl.span);
        let Some(tls) = self.towards(own, mode, span) else {
            return (None, None);
        };
        let check = checked.then(|| Arc::new(self.check_tls(own, &tls)));
        (traffic.then(|| Arc::new(tls)), check)
    }

    fn towards(&mut self, own: &TlsDraft, mode: Mode, span: Span) -> Option<ServerTls> {
        let defaults = std::mem::take(&mut self.tls.server);
        let offer = self.offer(&[own, &defaults], span);
        self.tls.server = defaults;
        let alpn = match (&own.alpn, mode) {
            (Some(written), Mode::Http) => self.spoken(written, SPOKEN_WITH_SERVERS),
            (Some(written), Mode::Tcp) => written.value.clone(),
            (None, _) => Vec::new(),
        };
        let verify = own.verify.as_ref().map(|verify| verify.value);
        let verify = verify
            .or(self.tls.server_verify)
            .unwrap_or(Verify::Required);
        let mut tls = ServerTls {
            offer: Offer { alpn, ..offer? },
            verify,
            authorities: None,
            revocations: None,
            certificate: None,
            name: match (&own.sni, mode) {
                (Some(sni), _) => match &sni.value {
                    SniDraft::Fixed(name) => ServerName::Fixed(name.clone()),
                    SniDraft::Host => ServerName::Host,
                    SniDraft::Client => ServerName::Client,
                },
                (None, Mode::Http) if !own.no_sni_auto => ServerName::Host,
                (None, _) => ServerName::None,
            },
            verify_host: own.verify_host.as_ref().map(|host| host.value.clone()),
            reuse: !own.no_reuse,
        };
        if verify != Verify::None {
            match &own.ca_file {
                Some(file) => tls.authorities = self.authorities(file),
                None => {
                    let span = own.verify.as_ref().map_or(span, |verify| verify.span);
                    let message = "the server is to be verified, but by no authority".to_owned();
                    let help = "add 'ca-file @system-ca' or 'ca-file FILE'; on a network that is trusted 'verify none' will do";
                    self.error(Kind::Invalid, span, message, help);
                }
            }
            tls.revocations = own
                .crl_file
                .as_ref()
                .and_then(|file| self.revocations(file));
        }
        for named in &own.certificates {
            if let CertificateDraft::File(name) = &named.value {
                tls.certificate = self.certificates(name, named.span).into_iter().next();
            }
        }
        Some(tls)
    }

    /// What checks do otherwise.
    fn check_tls(&mut self, own: &TlsDraft, traffic: &ServerTls) -> ServerTls {
        let mut tls = traffic.clone();
        tls.name = match (&own.check_sni, &traffic.name) {
            (Some(name), _) => ServerName::Fixed(name.value.clone()),
            (None, ServerName::Fixed(name)) => ServerName::Fixed(name.clone()),
            // A check has neither request nor client to take a name from.
            (None, _) => ServerName::None,
        };
        tls.offer.alpn = match &own.check_alpn {
            Some(written) => self.spoken(written, SPOKEN_WITH_SERVERS),
            None => Vec::new(),
        };
        tls
    }

    // ---- What both sides choose

    fn offer(&mut self, chain: &[&TlsDraft], span: Span) -> Option<Offer> {
        let mut versions = self.versions(chain, span)?;
        let mut suites = Vec::new();
        let written = first(chain, |tls| tls.cipher_suites.as_ref());
        let tls13 = written.map(|list| (list.span, cipher::parse_tls13(&list.value)));
        let tls13 = self.suites(tls13, &CipherSuite::TLS13, "ciphersuites");
        let written = first(chain, |tls| tls.ciphers.as_ref());
        let tls12 = written.map(|list| (list.span, cipher::parse_tls12(&list.value)));
        let tls12 = self.suites(tls12, &CipherSuite::TLS12, "ciphers");
        versions = Versions {
            tls12: versions.tls12 && !tls12.is_empty(),
            tls13: versions.tls13 && !tls13.is_empty(),
        };
        if !versions.tls12 && !versions.tls13 {
            let place = written.map_or(span, |list| list.span);
            let message = "none of the cipher suites is offered".to_owned();
            self.error(Kind::Invalid, place, message, SUITES_HELP);
            return None;
        }
        if versions.tls13 {
            suites.extend(tls13);
        }
        if versions.tls12 {
            suites.extend(tls12);
        }
        Some(Offer {
            versions,
            suites,
            groups: self.groups(first(chain, |tls| tls.curves.as_ref()))?,
            alpn: Vec::new(),
        })
    }

    fn versions(&mut self, chain: &[&TlsDraft], span: Span) -> Option<Versions> {
        let min = first(chain, |tls| tls.min.as_ref());
        let max = first(chain, |tls| tls.max.as_ref());
        let without: Vec<Version> = chain.iter().flat_map(|tls| tls.without.clone()).collect();
        let least = min.map_or(Version::Tls12, |min| min.value);
        let most = max.map_or(Version::Tls13, |max| max.value);
        let Some(versions) = Versions::between(least, most, &without) else {
            let place = max.or(min).map_or(span, |bound| bound.span);
            let message = "no version of TLS remains that is offered".to_owned();
            let help = "TLS 1.2 and 1.3 are offered; older ones are broken (RFC 8996)";
            self.error(Kind::Invalid, place, message, help);
            return None;
        };
        if let Some(min) = min
            && min.value < Version::Tls12
            && self.told.insert(min.span)
        {
            let message = format!("{} is not offered; TLS 1.2 and 1.3 are", min.value);
            self.warn(min.span, message, "write 'ssl-min-ver TLSv1.2'");
        }
        Some(versions)
    }

    /// What a list comes to, or all suites of the version.
    fn suites(
        &mut self,
        read: Option<(Span, cipher::Suites)>,
        all: &[CipherSuite],
        what: &str,
    ) -> Vec<CipherSuite> {
        let Some((span, read)) = read else {
            return all.to_vec();
        };
        if !read.missing.is_empty() && self.told.insert(span) {
            let names = shortened(&read.missing);
            let message = format!("some of the {what} are not offered: {names}");
            let warning = Diagnostic::warning(Kind::NoEffect, span, message);
            let cause = "only suites with forward secrecy over curves and with authenticated encryption are";
            let left: Vec<_> = read.suites.iter().map(|suite| suite.name()).collect();
            let left = match left.is_empty() {
                true => "nothing is left of the list".to_owned(),
                false => format!("what is left: {}", left.join(":")),
            };
            self.report(warning.cause(cause).help(left));
        }
        read.suites
    }

    fn groups(&mut self, written: Option<&Spanned<String>>) -> Option<Vec<crate::tls::Group>> {
        let Some(list) = written else {
            return Some(group::DEFAULT.to_vec());
        };
        let (groups, unknown) = group::parse(&list.value);
        if groups.is_empty() {
            let message = format!("none of the curves '{}' is offered", list.value);
            self.error(
                Kind::Invalid,
                list.span,
                message,
                "write X25519:P-256:P-384",
            );
            return None;
        }
        if !unknown.is_empty() && self.told.insert(list.span) {
            let message = format!(
                "some of the curves are not offered: {}",
                shortened(&unknown)
            );
            self.warn(list.span, message, "X25519, P-256 and P-384 are");
        }
        Some(groups)
    }

    /// The protocols of a list that HTTP proxies speak.
    fn spoken(&mut self, written: &Spanned<Vec<Vec<u8>>>, known: &[&[u8]]) -> Vec<Vec<u8>> {
        let spoken = |name: &&Vec<u8>| known.contains(&name.as_slice());
        let known: Vec<Vec<u8>> = written.value.iter().filter(spoken).cloned().collect();
        if written.value.iter().any(|name| !spoken(&name)) && self.told.insert(written.span) {
            let names: Vec<_> = written.value.iter().filter(|name| !spoken(name)).collect();
            let names: Vec<_> = names
                .iter()
                .map(|name| String::from_utf8_lossy(name))
                .collect();
            let message = format!(
                "the protocol {} is not spoken yet and not offered",
                names.join(", ")
            );
            if known.is_empty() && !written.value.is_empty() {
                self.error(Kind::NotImplemented, written.span, message, "add http/1.1");
            } else {
                let warning = Diagnostic::warning(Kind::NotImplemented, written.span, message);
                self.report(warning.cause("the others on the list are offered"));
            }
        }
        known
    }

    // ---- Files

    /// Reads a file as it is.
    fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let files = self.context.files;
        files
            .read(path.as_ref())
            .map_err(|error| format!("'{path}' cannot be read: {error}"))
    }

    /// The certificates that a name leads to: of a file, of the files of a directory, or of a store.
    fn certificates(&mut self, name: &str, span: Span) -> Vec<Arc<Certificate>> {
        if let Some(found) = self.stored(name, span) {
            return found;
        }
        let path = based(self.tls.crt_base.as_deref(), name);
        let entries = self.context.files.list(path.as_ref());
        let loaded = match entries {
            Ok(Some(entries)) => self.directory(entries, span),
            _ => self.file_or_bundle(&path, span),
        };
        loaded.into_iter().flatten().collect()
    }

    fn directory(
        &mut self,
        mut entries: Vec<PathBuf>,
        span: Span,
    ) -> Vec<Option<Arc<Certificate>>> {
        entries.sort();
        let mut loaded = Vec::new();
        for path in entries {
            let extension = path.extension().and_then(|extension| extension.to_str());
            let extra = extension.is_some_and(|extension| EXTRA_EXTENSIONS.contains(&extension));
            let hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            let folder = matches!(self.context.files.list(&path), Ok(Some(_)));
            if !extra && !hidden && !folder {
                loaded.push(self.file(&path.to_string_lossy(), span));
            }
        }
        loaded
    }

    /// A file, or where there is none those of the same name for each kind of key.
    fn file_or_bundle(&mut self, path: &str, span: Span) -> Vec<Option<Arc<Certificate>>> {
        let exists = |path: &str| self.context.files.read(path.as_ref()).is_ok();
        if self.loads("bundle") && !self.certificates.contains_key(path) && !exists(path) {
            let names = BUNDLE_EXTENSIONS.map(|extension| format!("{path}.{extension}"));
            let found: Vec<_> = names.into_iter().filter(|name| exists(name)).collect();
            if !found.is_empty() {
                return found.iter().map(|name| self.file(name, span)).collect();
            }
        }
        vec![self.file(path, span)]
    }

    /// Whether files of this kind are looked for beside certificates.
    fn loads(&self, kind: &str) -> bool {
        let kinds = self.tls.extra_files.as_ref();
        kinds.is_none_or(|kinds| kinds.iter().any(|known| known == kind))
    }

    /// One certificate, which is read once however often it is named.
    fn file(&mut self, path: &str, span: Span) -> Option<Arc<Certificate>> {
        if let Some(known) = self.certificates.get(path) {
            return known.clone();
        }
        let load = LoadDraft {
            crt: Some(Spanned::new(path.to_owned(), span)),
            ..LoadDraft::default()
        };
        let certificate = self.load(&load, path, span);
        self.certificates
            .insert(path.to_owned(), certificate.clone());
        certificate
    }

    /// Reads what belongs to a certificate and puts it together.
    fn load(&mut self, load: &LoadDraft, name: &str, span: Span) -> Option<Arc<Certificate>> {
        let path = &load.crt.as_ref()?.value;
        let pem = match self.read(path) {
            Ok(pem) => Zeroizing::new(pem),
            Err(complaint) => {
                self.error(Kind::Environment, span, complaint, "");
                return None;
            }
        };
        let key = self
            .beside(load.key.as_ref(), path, "key")
            .map(Zeroizing::new);
        let ocsp = self.beside(load.ocsp.as_ref(), path, "ocsp");
        let issuer = self.beside(load.issuer.as_ref(), path, "issuer");
        let sct = self.beside(load.sctl.as_ref(), path, "sctl");
        let parts = Parts {
            pem: &pem,
            key: key.as_ref().map(|key| key.as_slice()),
            ocsp: ocsp.as_deref(),
            sct: sct.as_deref(),
            issuer: issuer.as_deref(),
        };
        match certificate::load(name, &parts) {
            Ok(mut certificate) => {
                self.complete_chain(&mut certificate);
                Some(Arc::new(certificate))
            }
            Err(why) => {
                let message = format!("'{path}' is of no use as a certificate: {why}");
                self.error(Kind::Environment, span, message, why.help());
                None
            }
        }
    }

    /// `issuers-chain-path`: a certificate alone gets the chain that begins with its issuer.
    fn complete_chain(&mut self, certificate: &mut Certificate) {
        let Some(folder) = self.tls.issuers.take() else {
            return;
        };
        if self.issuers.is_none() {
            let texts = self.authority_files(&folder.value);
            let chains = texts.map(|texts| {
                let chains = texts.iter().map(|text| certificate::authorities(text));
                chains.filter_map(Result::ok).collect()
            });
            self.issuers = Some(chains.unwrap_or_else(|complaint| {
                self.error(Kind::Environment, folder.span, complaint, "");
                Vec::new()
            }));
        }
        self.tls.issuers = Some(folder);
        let chains = self.issuers.iter().flatten();
        certificate::complete(certificate, chains.map(Vec::as_slice));
    }

    /// A file that is named, or one that lies beside the certificate.
    fn beside(
        &mut self,
        written: Option<&Spanned<String>>,
        path: &str,
        kind: &str,
    ) -> Option<Vec<u8>> {
        if let Some(written) = written {
            return match self.read(&written.value) {
                Ok(content) => Some(content),
                Err(complaint) => {
                    self.error(Kind::Environment, written.span, complaint, "");
                    None
                }
            };
        }
        if !self.loads(kind) {
            return None;
        }
        let mut beside = match (
            self.tls.extra_without_extension,
            Path::new(path).extension(),
        ) {
            (true, Some(_)) => Path::new(path)
                .with_extension("")
                .to_string_lossy()
                .into_owned(),
            _ => path.to_owned(),
        };
        beside.push('.');
        beside.push_str(kind);
        self.context.files.read(beside.as_ref()).ok()
    }

    /// What `@STORE/NAME` stands for.
    fn stored(&mut self, name: &str, span: Span) -> Option<Vec<Arc<Certificate>>> {
        let (store, alias) = match name.strip_prefix('@') {
            Some(rest) => rest.split_once('/')?,
            None => ("", name),
        };
        let found = self.tls.stores.get(store).and_then(|drafts| {
            let named = |load: &&LoadDraft| {
                let path = load.crt.as_ref().map(|crt| crt.value.as_str());
                load.alias.as_deref() == Some(alias) || path == Some(alias)
            };
            let load = drafts.loads.iter().find(named)?.clone();
            Some((load, drafts.crt_base.clone(), drafts.key_base.clone()))
        });
        let Some((mut load, crt_base, key_base)) = found else {
            if name.starts_with('@') {
                let message = format!("no 'crt-store' has '{name}'");
                self.error(
                    Kind::Reference,
                    span,
                    message,
                    "load it in a 'crt-store' section",
                );
                return Some(Vec::new());
            }
            return None;
        };
        if let Some(known) = self.certificates.get(name) {
            return Some(known.iter().cloned().collect());
        }
        let crt_base = crt_base.or_else(|| self.tls.crt_base.clone());
        let key_base = key_base.or_else(|| self.tls.key_base.clone());
        let rebase = |part: &mut Option<Spanned<String>>, base: Option<&str>| {
            if let Some(part) = part {
                part.value = based(base, &part.value);
            }
        };
        rebase(&mut load.crt, crt_base.as_deref());
        rebase(&mut load.key, key_base.as_deref());
        for part in [&mut load.ocsp, &mut load.issuer, &mut load.sctl] {
            rebase(part, crt_base.as_deref());
        }
        let place = load.crt.as_ref().map_or(span, |crt| crt.span);
        let certificate = self.load(&load, name, place);
        self.certificates
            .insert(name.to_owned(), certificate.clone());
        Some(certificate.into_iter().collect())
    }

    /// A file of authorities, a directory of such, or what the machine trusts.
    fn authorities(&mut self, file: &Spanned<String>) -> Option<Arc<Bundle>> {
        let path = match file.value.as_str() {
            "@system-ca" => file.value.clone(),
            name => based(self.tls.ca_base.as_deref(), name),
        };
        if let Some(known) = self.bundles.get(&path) {
            return known.clone();
        }
        let read = self.authority_files(&path).and_then(|texts| {
            let mut items = Vec::new();
            for text in &texts {
                items.extend(
                    certificate::authorities(text).map_err(|why| format!("'{path}': {why}"))?,
                );
            }
            Ok(items)
        });
        let bundle = match read {
            Ok(items) => Some(Arc::new(Bundle {
                name: path.clone(),
                items,
            })),
            Err(complaint) => {
                self.error(Kind::Environment, file.span, complaint, "");
                None
            }
        };
        self.bundles.insert(path, bundle.clone());
        bundle
    }

    fn authority_files(&mut self, path: &str) -> Result<Vec<Vec<u8>>, String> {
        if path == "@system-ca" {
            let files = self.context.files;
            let found = SYSTEM_AUTHORITIES
                .iter()
                .find_map(|path| files.read(path.as_ref()).ok());
            let missing = || "this machine has no list of trusted authorities".to_owned();
            return Ok(vec![found.ok_or_else(missing)?]);
        }
        let Ok(Some(mut entries)) = self.context.files.list(path.as_ref()) else {
            return Ok(vec![self.read(path)?]);
        };
        entries.sort();
        let wanted = |path: &&PathBuf| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            matches!(extension, Some("pem" | "crt" | "cer"))
        };
        let texts = entries
            .iter()
            .filter(wanted)
            .map(|path| self.read(&path.to_string_lossy()));
        texts.collect()
    }

    fn revocations(&mut self, file: &Spanned<String>) -> Option<Arc<Bundle>> {
        let path = based(self.tls.ca_base.as_deref(), &file.value);
        let read = self.read(&path).and_then(|text| {
            certificate::revocations(&text).map_err(|why| format!("'{path}': {why}"))
        });
        match read {
            Ok(items) => Some(Arc::new(Bundle { name: path, items })),
            Err(complaint) => {
                self.error(Kind::Environment, file.span, complaint, "");
                None
            }
        }
    }

    /// Lines of 48 or 80 bytes in base64, three at least.
    fn ticket_keys(&mut self, file: &Spanned<String>) -> Vec<TicketKey> {
        let text = match self.read(&file.value) {
            Ok(text) => Zeroizing::new(text),
            Err(complaint) => {
                self.error(Kind::Environment, file.span, complaint, "");
                return Vec::new();
            }
        };
        let mut keys = Vec::new();
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        for line in lines.filter(|line| !line.is_empty()).take(TICKET_KEYS_MAX) {
            match data_encoding::BASE64.decode(line) {
                Ok(key) if matches!(key.len(), 48 | 80) => {
                    keys.push(TicketKey(Zeroizing::new(key)))
                }
                _ => {
                    let message = format!("a line of '{}' is no key of 48 or 80 bytes", file.value);
                    self.error(
                        Kind::Invalid,
                        file.span,
                        message,
                        "make one by: openssl rand -base64 80",
                    );
                    return Vec::new();
                }
            }
        }
        if keys.len() < 3 {
            let message = format!("'{}' has fewer than three keys", file.value);
            self.error(
                Kind::Invalid,
                file.span,
                message,
                "the last but one seals, the others open tickets",
            );
        }
        keys
    }
}

const SUITES_HELP: &str = "write such as ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256, or leave the list out";

/// `connect ssl` in a check: servers that are not spoken to in TLS otherwise are then, unverified as in HAProxy.
pub(super) fn secure_steps(backend: &mut Backend) {
    let is_secured = |step: &CheckStep| matches!(&step.action, CheckAction::Connect(dial) if dial.tls == DialTls::Yes);
    let by_backend = backend.check.spec.steps.iter().any(is_secured);
    let by_itself = |server: &Server| {
        let own = server.check.spec.iter();
        own.flat_map(|spec| &spec.steps).any(is_secured)
    };
    if !by_backend && !backend.servers.iter().any(by_itself) {
        return;
    }
    let unverified = Arc::new(ServerTls {
        offer: Offer {
            suites: CipherSuite::TLS13
                .into_iter()
                .chain(CipherSuite::TLS12)
                .collect(),
            groups: group::DEFAULT.to_vec(),
            ..Offer::default()
        },
        verify: Verify::None,
        authorities: None,
        revocations: None,
        certificate: None,
        name: ServerName::None,
        verify_host: None,
        reuse: false,
    });
    for server in &mut backend.servers {
        if by_backend || by_itself(server) {
            let tls = &mut server.check.tls;
            tls.get_or_insert_with(|| Arc::clone(&unverified));
        }
    }
}

/// What the first place that says something says.
fn first<'a, T>(chain: &[&'a TlsDraft], look: impl Fn(&'a TlsDraft) -> Option<T>) -> Option<T> {
    chain.iter().find_map(|tls| look(tls))
}

/// Without one that is marked, the first certificate answers for unknown names, with those of its bundle.
fn choose_defaults(entries: &mut [Entry]) {
    if entries.iter().any(|entry| entry.default) {
        return;
    }
    let Some(first) = entries.first() else { return };
    let stem = bundle_stem(&first.certificate.name).map(str::to_owned);
    for (index, entry) in entries.iter_mut().enumerate() {
        let sibling = stem.is_some() && bundle_stem(&entry.certificate.name) == stem.as_deref();
        entry.default = index == 0 || sibling;
    }
}

/// The name that the files of a bundle share.
fn bundle_stem(name: &str) -> Option<&str> {
    let (stem, extension) = name.rsplit_once('.')?;
    BUNDLE_EXTENSIONS.contains(&extension).then_some(stem)
}

/// A relative name behind its base.
fn based(base: Option<&str>, name: &str) -> String {
    match base {
        Some(base) if !name.starts_with('/') => format!("{base}/{name}"),
        _ => name.to_owned(),
    }
}

fn both(named: &Bundle, quiet: &Bundle) -> Arc<Bundle> {
    let mut items = named.items.clone();
    items.extend(quiet.items.iter().cloned());
    Arc::new(Bundle {
        name: named.name.clone(),
        items,
    })
}

/// A few names, and how many more there are.
fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
