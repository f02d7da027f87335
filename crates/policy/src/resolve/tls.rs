//! TLS of binds and servers: files are read and taken apart, lists become suites and groups, defaults are applied.
//!
//! What keeps clients or servers from ever agreeing is an error; what merely leaves some of them out is a warning.

use std::sync::Arc;

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};

use super::Resolver;
use super::certificates::BUNDLE_EXTENSIONS;
use crate::draft::{BindDraft, ServerDraft, Spanned};
use crate::keyword::haproxy::{
    CertificateDraft, CertificateUse, LIST_OPTIONS, LoadDraft, SniDraft, TlsDraft,
};
use crate::keyword::read_words;
use crate::model::check::{CheckAction, CheckStep};
use crate::model::tls::{
    BindTls, Entry, Ignored, NameExpression, Offer, Profile, ServerName, ServerTls, Verify,
};
use crate::model::{Backend, Mode, Server};
use crate::probe::DialTls;
use crate::tls::names::Filter;
use crate::tls::store::{List, ListLine};
use crate::tls::{
    Certificate, CipherSuite, Signature, Version, Versions, cipher, crt_list, group, signature,
};

/// Protocols that HTTP proxies speak with clients, and with servers.
const SPOKEN_WITH_CLIENTS: &[&[u8]] = &[b"h2", b"http/1.1", b"http/1.0"];

/// Most certificates of one bind.
const ENTRIES_MAX: usize = 100_000;

impl Resolver<'_> {
    // ---- Binds

    /// TLS of a bind line, when it says `ssl`.
    pub(super) fn bind_tls(
        &mut self,
        draft: &BindDraft,
        mode: Mode,
        uses: Uses<'_>,
    ) -> Option<Arc<BindTls>> {
        let own = &draft.tls;
        let ssl = own.ssl.as_ref().filter(|ssl| ssl.value)?;
        let defaults = own.defaults.clone().unwrap_or_default();
        let profile = self.profile(&[own, &defaults], mode, ssl.span);
        let mut tls = BindTls {
            strict_sni: own.strict_sni.or(defaults.strict_sni).unwrap_or(false),
            tickets: own.tickets.or(defaults.tickets).unwrap_or(true),
            ..BindTls::default()
        };
        // Without it nothing is made of the bind; its files are looked at all the same.
        let usable = profile.is_some();
        tls.profile = Arc::new(profile.unwrap_or_default());
        if let Some(keys) = &own.ticket_keys {
            tls.ticket_keys = self.ticket_keys(keys);
        }
        tls.authority = self.signing_authority(own);
        for named in &own.certificates {
            self.named(named, mode, &mut tls);
        }
        self.used(uses, mode, &mut tls);
        let marked = |named: &&Spanned<CertificateDraft>| {
            matches!(named.value, CertificateDraft::Default(_))
        };
        if let Some(marked) = own
            .certificates
            .iter()
            .find(marked)
            .filter(|_| tls.strict_sni)
        {
            let message = "'default-crt' answers for no other names beside 'strict-sni'".to_owned();
            self.warn(marked.span, message, "write 'crt' instead");
        }
        choose_defaults(&mut tls.entries);
        if own.certificates.is_empty() && uses.all.is_empty() {
            let error = Diagnostic::error(Kind::Invalid, ssl.span, "'ssl' needs a certificate");
            self.report(error.help("add 'crt FILE'"));
        }
        usable.then(|| Arc::new(tls))
    }

    /// Who signs the certificates that a bind makes on the fly.
    fn signing_authority(&mut self, own: &TlsDraft) -> Option<Arc<Certificate>> {
        match (own.generates, &own.ca_sign_file) {
            (Some(_), Some(file)) => return self.signing_certificate(file),
            (Some(span), None) => {
                let message = "'generate-certificates' needs an authority".to_owned();
                self.error(Kind::Invalid, span, message, "add 'ca-sign-file FILE'");
            }
            (None, Some(file)) => {
                let message = "'ca-sign-file' signs nothing".to_owned();
                self.warn(file.span, message, "add 'generate-certificates'");
            }
            (None, None) => {}
        }
        None
    }

    /// What a word of a bind line names: a file, a directory, a list, or something of a store.
    fn named(&mut self, named: &Spanned<CertificateDraft>, mode: Mode, tls: &mut BindTls) {
        let span = named.span;
        match &named.value {
            CertificateDraft::List(path) => self.list(path, span, mode, tls),
            CertificateDraft::File(name) | CertificateDraft::Default(name) => {
                let default = matches!(named.value, CertificateDraft::Default(_));
                let (certificates, folder) = self.certificates(name, span);
                self.fetch(&certificates, None, span);
                let folder: Option<Arc<str>> = folder.map(Into::into);
                tls.lists.extend(folder.clone());
                for certificate in certificates {
                    let entry = Entry {
                        certificate,
                        filters: Vec::new(),
                        profile: None,
                        list: folder.clone().map(|folder| (folder, 0)),
                        default,
                    };
                    self.push(&mut tls.entries, span, entry);
                }
            }
        }
    }

    /// `ssl-f-use` lines, which make up a list of their own.
    fn used(&mut self, uses: Uses<'_>, mode: Mode, tls: &mut BindTls) {
        if uses.all.is_empty() {
            return;
        }
        let list: Arc<str> = format!("@{}", uses.frontend).into();
        tls.lists.push(Arc::clone(&list));
        let mut shown = Vec::new();
        // As in HAProxy the last line comes first, and answers for names that nobody has.
        for (index, used) in uses.all.iter().enumerate().rev() {
            let span = used.span;
            let line = crt_list::Line {
                number: index + 1,
                file: used
                    .load
                    .crt
                    .as_ref()
                    .map_or_else(String::new, |crt| crt.value.clone()),
                options: used.options.clone(),
                names: Vec::new(),
            };
            let profile = self.line_profile(&line, "ssl-f-use", span, &tls.profile, mode);
            let certificates = self.used_certificates(&used.load, span);
            self.fetch(&certificates, used.load.fetches, span);
            for certificate in certificates {
                shown.push(self.shown(&line, &certificate.name));
                let entry = Entry {
                    certificate,
                    filters: Vec::new(),
                    profile: profile.clone(),
                    list: Some((Arc::clone(&list), line.number as u32)),
                    default: false,
                };
                self.push(&mut tls.entries, span, entry);
            }
        }
        let list_of = List {
            lines: shown,
            is_directory: false,
            last: uses.all.len() as u32,
        };
        let known = self.store.lists.entry(list.to_string());
        known.or_insert_with(|| Arc::new(list_of));
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
    fn list(&mut self, path: &str, span: Span, mode: Mode, tls: &mut BindTls) {
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
        let list: Arc<str> = path.trim_end_matches('/').into();
        tls.lists.push(Arc::clone(&list));
        let mut shown = Vec::new();
        for line in lines {
            let place = format!("{path}:{}", line.number);
            let profile = self.line_profile(&line, &place, span, &tls.profile, mode);
            let certificates = self.used_certificates(&files_of(&line, span), span);
            self.fetch(&certificates, line.fetches(), span);
            for certificate in certificates {
                shown.push(self.shown(&line, &certificate.name));
                let entry = Entry {
                    certificate,
                    filters: line.filters(),
                    profile: profile.clone(),
                    list: Some((Arc::clone(&list), line.number as u32)),
                    default: line.filters().iter().any(Filter::is_default),
                };
                self.push(&mut tls.entries, span, entry);
            }
        }
        let list_of = List {
            lines: shown,
            is_directory: false,
            last: text.lines().count() as u32,
        };
        let known = self.store.lists.entry(list.to_string());
        known.or_insert_with(|| Arc::new(list_of));
    }

    /// A line of a list as commands show it.
    pub(super) fn shown(&self, line: &crt_list::Line, certificate: &str) -> ListLine {
        let ca_base = self.store.ca_base.as_deref();
        ListLine {
            number: line.number as u32,
            certificate: certificate.to_owned(),
            options: crt_list::in_order(&line.options, ca_base),
            filters: line.names.clone(),
        }
    }

    /// What the brackets of a line change of how its bind shakes hands.
    pub(super) fn line_profile(
        &mut self,
        line: &crt_list::Line,
        place: &str,
        span: Span,
        base: &Profile,
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
            problem.message = format!("{place}: {}", problem.message);
            self.report(problem);
        }
        self.changed(base, &own, mode, span).map(Arc::new)
    }

    /// A profile with what one place says otherwise.
    fn changed(
        &mut self,
        base: &Profile,
        own: &TlsDraft,
        mode: Mode,
        span: Span,
    ) -> Option<Profile> {
        let mut profile = base.clone();
        let offer = &mut profile.offer;
        offer.versions = self.versions(&[own], base.offer.versions, span)?;
        let of_version = |wanted: Version| {
            let suites = base.offer.suites.iter().copied();
            suites
                .filter(|suite| suite.version() == wanted)
                .collect::<Vec<_>>()
        };
        let tls13 = match &own.cipher_suites {
            Some(list) => self.suites_written(list, cipher::parse_tls13, "ciphersuites"),
            None => of_version(Version::Tls13),
        };
        let tls12 = match &own.ciphers {
            Some(list) => self.suites_written(list, cipher::parse_tls12, "ciphers"),
            None => of_version(Version::Tls12),
        };
        offer.suites = tls13.into_iter().chain(tls12).collect();
        if own.curves.is_some() {
            offer.groups = self.groups(own.curves.as_ref())?;
        }
        if own.signatures.is_some() {
            offer.signs = self.signatures(own.signatures.as_ref())?;
        }
        if own.client_signatures.is_some() {
            offer.verifies = self.signatures(own.client_signatures.as_ref())?;
        }
        match (&own.alpn, mode) {
            (Some(written), Mode::Http) => offer.alpn = self.spoken(written, SPOKEN_WITH_CLIENTS),
            (Some(written), Mode::Tcp) => offer.alpn.clone_from(&written.value),
            (None, _) => {}
        }
        if !self.is_usable(offer, span) {
            return None;
        }
        profile.hide_authorities = own.hide_authorities.unwrap_or(base.hide_authorities);
        self.trust(&mut profile, own, span);
        self.take_early(&mut profile, own.early_data, mode);
        Some(profile)
    }

    /// Whose certificates clients may show: what one place says of it.
    fn trust(&mut self, profile: &mut Profile, own: &TlsDraft, span: Span) {
        if let Some(verify) = &own.verify {
            profile.verify = verify.value;
        }
        if let Some(file) = &own.ca_file {
            profile.authorities = self.authorities(file);
        }
        if let Some(file) = &own.ca_verify_file {
            profile.unnamed = self.authorities(file);
        }
        if let Some(file) = &own.crl_file {
            profile.revocations = self.revocations(file);
        }
        let named = own.ca_file.is_some() || own.ca_verify_file.is_some();
        let believed = profile.authorities.is_some() || profile.unnamed.is_some();
        if profile.verify != Verify::None && !believed && !named {
            let span = own.verify.as_ref().map_or(span, |verify| verify.span);
            let message = "clients are to be verified, but by no authority".to_owned();
            self.error(Kind::Invalid, span, message, "add 'ca-file FILE'");
        }
    }

    /// How handshakes of a bind go; the first place that says something counts.
    fn profile(&mut self, chain: &[&TlsDraft], mode: Mode, span: Span) -> Option<Profile> {
        let offer = self.offer(chain, span);
        let signs = self.signatures(first(chain, |tls| tls.signatures.as_ref()));
        let verifies = self.signatures(first(chain, |tls| tls.client_signatures.as_ref()));
        let alpn = first(chain, |tls| tls.alpn.as_ref());
        let alpn = match (alpn, mode) {
            (Some(written), Mode::Http) => self.spoken(written, SPOKEN_WITH_CLIENTS),
            (Some(written), Mode::Tcp) => written.value.clone(),
            (None, Mode::Http) => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            (None, Mode::Tcp) => Vec::new(),
        };
        let ignored = |look: fn(&TlsDraft) -> Option<&Ignored>| first(chain, look).cloned();
        let mut profile = Profile {
            ca_ignore: ignored(|tls| tls.ca_ignore.as_ref()).unwrap_or_default(),
            crt_ignore: ignored(|tls| tls.crt_ignore.as_ref()).unwrap_or_default(),
            hide_authorities: first(chain, |tls| tls.hide_authorities).unwrap_or(false),
            client_order: first(chain, |tls| tls.client_order).unwrap_or(false),
            ..Profile::default()
        };
        // Defaults of binds say nothing of whom to believe.
        if let Some(own) = chain.first() {
            self.trust(&mut profile, own, span);
        }
        profile.offer = Offer {
            alpn,
            signs: signs?,
            verifies: verifies?,
            ..offer?
        };
        self.take_early(&mut profile, first(chain, |tls| tls.early_data), mode);
        Some(profile)
    }

    /// Whether requests may come before the end of the handshake: wanted at `span`, or already.
    fn take_early(&mut self, profile: &mut Profile, span: Option<Span>, mode: Mode) {
        profile.early_data |= span.is_some();
        let unsafe_for = match mode {
            _ if !profile.early_data => return,
            Mode::Tcp => "in TCP mode nothing can tell the server that it may be a replay",
            Mode::Http if profile.verify != Verify::None => "clients are to show certificates",
            Mode::Http if !profile.offer.versions.tls13 => "TLS 1.3 is not offered",
            Mode::Http => return,
        };
        profile.early_data = false;
        if let Some(span) = span {
            let message = format!("no early data is taken here: {unsafe_for}");
            let note = Diagnostic::note(Kind::NoEffect, span, message);
            self.report(note.help("remove 'allow-0rtt'"));
        }
    }

    // ---- Servers

    /// TLS of a server line, for traffic and for checks.
    pub(super) fn server_tls(&mut self, draft: &ServerDraft, mode: Mode) -> ServerSecrecy {
        let own = &draft.tls;
        let traffic = own.ssl.as_ref().is_some_and(|ssl| ssl.value);
        // Checks go where traffic goes, unless they have a port or an address of their own. Those of servers that a
        // command adds have to say what they want.
        let elsewhere = draft.model.check.port.is_some() || draft.checks.address.is_some();
        let follows = own.check_ssl.is_none() && !elsewhere && !draft.model.dynamic;
        let checked = own.check_ssl.unwrap_or(traffic && follows);
        let no_tls = own.ssl.as_ref().is_some_and(|ssl| !ssl.value);
        let mut secrecy = ServerSecrecy {
            no_tls,
            // As in HAProxy: checks of a server with 'no-ssl' stay plain, whatever it is switched to.
            check_follows: follows && !no_tls,
            ..ServerSecrecy::default()
        };
        if !traffic && !checked && !own.idle {
            return secrecy;
        }
        let span = own.ssl.as_ref().map_or(draft.name_span, |ssl| ssl.span);
        let Some(tls) = self.towards(own, mode, span) else {
            return secrecy;
        };
        secrecy.check = checked.then(|| Arc::new(check_tls(own, &tls)));
        let tls = Arc::new(tls);
        secrecy.idle = own.idle.then(|| Arc::clone(&tls));
        secrecy.traffic = traffic.then_some(tls);
        secrecy
    }

    pub(super) fn towards(&mut self, own: &TlsDraft, mode: Mode, span: Span) -> Option<ServerTls> {
        let defaults = own.defaults.clone().unwrap_or_default();
        let offer = self.offer(&[own, &defaults], span);
        // Towards servers it is the other way round: what they sign with, and what we do.
        let chain = [own, &*defaults];
        let verifies = self.signatures(first(&chain, |tls| tls.signatures.as_ref()))?;
        let signs = self.signatures(first(&chain, |tls| tls.client_signatures.as_ref()))?;
        if mode == Mode::Http {
            for written in own.alpn.iter().chain(&own.check_alpn) {
                self.tell_unspoken(written);
            }
        }
        let alpn = own.alpn.as_ref().map(|written| written.value.clone());
        let alpn = alpn.unwrap_or_default();
        let verify = own.verify.as_ref().map(|verify| verify.value);
        let verify = verify
            .or(self.tls.server_verify)
            .unwrap_or(Verify::Required);
        let mut tls = ServerTls {
            offer: Offer {
                alpn,
                signs,
                verifies,
                ..offer?
            },
            verify,
            authorities: None,
            revocations: None,
            certificate: None,
            name: match (&own.sni, mode) {
                (Some(sni), _) => match &sni.value {
                    SniDraft::Fixed(name) => ServerName::Fixed(name.clone()),
                    SniDraft::Host => ServerName::Host,
                    SniDraft::Client => ServerName::Client,
                    SniDraft::Expression(text) => {
                        let name = Spanned::new(text.clone(), sni.span);
                        ServerName::Expression(self.name_expression(&name))
                    }
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
                tls.certificate = self.certificates(name, named.span).0.into_iter().next();
            }
        }
        Some(tls)
    }

    /// An expression that is read once all names are known.
    pub(super) fn name_expression(&mut self, written: &Spanned<String>) -> Arc<NameExpression> {
        let text = written.value.clone();
        self.name_expressions.push((text.clone(), written.span));
        Arc::new(NameExpression {
            text,
            expression: None,
        })
    }

    // ---- What both sides choose

    fn offer(&mut self, chain: &[&TlsDraft], span: Span) -> Option<Offer> {
        let versions = self.versions(chain, Versions::default(), span)?;
        let tls13 = match first(chain, |tls| tls.cipher_suites.as_ref()) {
            Some(list) => self.suites_written(list, cipher::parse_tls13, "ciphersuites"),
            None => CipherSuite::TLS13_PREFERRED.to_vec(),
        };
        let ciphers = first(chain, |tls| tls.ciphers.as_ref());
        let tls12 = match ciphers {
            Some(list) => self.suites_written(list, cipher::parse_tls12, "ciphers"),
            None => CipherSuite::TLS12_PREFERRED.to_vec(),
        };
        let offer = Offer {
            versions,
            suites: tls13.into_iter().chain(tls12).collect(),
            groups: self.groups(first(chain, |tls| tls.curves.as_ref()))?,
            ..Offer::default()
        };
        let place = ciphers.map_or(span, |list| list.span);
        self.is_usable(&offer, place).then_some(offer)
    }

    /// Whether a version that is offered has a suite.
    fn is_usable(&mut self, offer: &Offer, span: Span) -> bool {
        if offer.usable_suites().next().is_some() {
            return true;
        }
        let message = "none of the cipher suites is offered".to_owned();
        self.error(Kind::Invalid, span, message, SUITES_HELP);
        false
    }

    /// The versions that bounds leave, where `base` is offered without them.
    fn versions(&mut self, chain: &[&TlsDraft], base: Versions, span: Span) -> Option<Versions> {
        let min = first(chain, |tls| tls.min.as_ref());
        let max = first(chain, |tls| tls.max.as_ref());
        let without: Vec<Version> = chain.iter().flat_map(|tls| tls.without.clone()).collect();
        let least = min.map_or_else(|| base.least(), |min| min.value);
        let most = max.map_or_else(|| base.most(), |max| max.value);
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

    /// What a list comes to.
    fn suites_written(
        &mut self,
        list: &Spanned<String>,
        parse: fn(&str) -> cipher::Suites,
        what: &str,
    ) -> Vec<CipherSuite> {
        let (span, read) = (list.span, parse(&list.value));
        let plausible = |word: &String| cipher::is_plausible(word);
        let nonsense = !read.missing.is_empty() && !read.missing.iter().any(plausible);
        if read.suites.is_empty() && nonsense {
            if self.told.insert(span) {
                let message = format!("'{}' names no cipher suite", list.value);
                self.error(
                    Kind::Unknown,
                    span,
                    message,
                    "write names as 'openssl ciphers' prints them",
                );
            }
            return Vec::new();
        }
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
                "write X25519:P-256:P-384:P-521",
            );
            return None;
        }
        if !unknown.is_empty() && self.told.insert(list.span) {
            let message = format!(
                "some of the curves are not offered: {}",
                shortened(&unknown)
            );
            self.warn(list.span, message, "X25519, P-256, P-384 and P-521 are");
        }
        Some(groups)
    }

    /// The signature algorithms of a list; empty: nothing is written.
    fn signatures(&mut self, written: Option<&Spanned<String>>) -> Option<Vec<Signature>> {
        let Some(list) = written else {
            return Some(Vec::new());
        };
        let read = signature::parse(&list.value);
        let help = "write such as ECDSA+SHA256:RSA-PSS+SHA256:RSA+SHA256:ed25519";
        if !read.unknown.is_empty() {
            let names = shortened(&read.unknown);
            let message = format!("there are no signature algorithms of these names: {names}");
            self.error(Kind::Invalid, list.span, message, help);
            return None;
        }
        if read.known.is_empty() {
            let message = format!(
                "none of the signature algorithms '{}' is offered",
                list.value
            );
            self.error(Kind::Invalid, list.span, message, help);
            return None;
        }
        if !read.missing.is_empty() && self.told.insert(list.span) {
            let names = shortened(&read.missing);
            let message = format!("some of the signature algorithms are not offered: {names}");
            let warning = Diagnostic::warning(Kind::NoEffect, list.span, message);
            let cause = "weak hashes, DSA, Ed448 and keys for PSS alone are not supported; the others on the list are used";
            self.report(warning.cause(cause));
        }
        Some(read.known)
    }

    /// A server may be offered what we do not speak, as in HAProxy; where it is offered nothing else, that is told.
    fn tell_unspoken(&mut self, written: &Spanned<Vec<Vec<u8>>>) {
        let speaks = |name: &Vec<u8>| SPOKEN_WITH_CLIENTS.contains(&name.as_slice());
        if written.value.is_empty() || written.value.iter().any(speaks) {
            return;
        }
        let message = "the server is offered no protocol that is spoken with it".to_owned();
        let help = "add http/1.1: whatever it agrees to, HTTP/1.1 is spoken";
        // (A note: HAProxy says nothing, and whoever makes warnings fatal may mean it.)
        self.report(Diagnostic::note(Kind::NoEffect, written.span, message).help(help));
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
}

/// The `ssl-f-use` lines of a frontend.
#[derive(Clone, Copy, Default)]
pub(super) struct Uses<'a> {
    pub(super) frontend: &'a str,
    pub(super) all: &'a [CertificateUse],
}

/// TLS towards a server.
#[derive(Default)]
pub(super) struct ServerSecrecy {
    pub(super) traffic: Option<Arc<ServerTls>>,
    pub(super) check: Option<Arc<ServerTls>>,
    pub(super) idle: Option<Arc<ServerTls>>,
    pub(super) no_tls: bool,
    pub(super) check_follows: bool,
}

/// What checks do otherwise.
fn check_tls(own: &TlsDraft, traffic: &ServerTls) -> ServerTls {
    let mut tls = traffic.clone();
    tls.name = match (&own.check_sni, &traffic.name) {
        (Some(name), _) => ServerName::Fixed(name.value.clone()),
        (None, ServerName::Fixed(name)) => ServerName::Fixed(name.clone()),
        // A check has neither request nor client to take a name from.
        (None, _) => ServerName::None,
    };
    tls.offer.alpn = match &own.check_alpn {
        Some(written) => written.value.clone(),
        None => Vec::new(),
    };
    tls
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

/// The first certificate answers for unknown names, with those of its bundle, and whatever is marked behind it.
fn choose_defaults(entries: &mut [Entry]) {
    let Some(first) = entries.first() else { return };
    let stem = bundle_stem(&first.certificate.name).map(str::to_owned);
    for (index, entry) in entries.iter_mut().enumerate() {
        let sibling = stem.is_some() && bundle_stem(&entry.certificate.name) == stem.as_deref();
        entry.default |= index == 0 || sibling;
    }
}

/// The name that the files of a bundle share.
fn bundle_stem(name: &str) -> Option<&str> {
    let (stem, extension) = name.rsplit_once('.')?;
    BUNDLE_EXTENSIONS.contains(&extension).then_some(stem)
}

/// The files that a line of a list names.
fn files_of(line: &crt_list::Line, span: Span) -> LoadDraft {
    let spanned = |name: &str| Spanned::new(name.to_owned(), span);
    let beside = |option| line.value(option).map(spanned);
    LoadDraft {
        crt: Some(spanned(&line.file)),
        key: beside("key"),
        ocsp: beside("ocsp"),
        issuer: beside("issuer"),
        sctl: beside("sctl"),
        ..LoadDraft::default()
    }
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
