//! The files of TLS: certificates with what lies beside them, authorities, revocation lists and keys of tickets.
//!
//! Each is read once however often it is named, and kept in the store by its name.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use plimsoll_config::diagnostic::{Kind, Span};
use zeroize::Zeroizing;

use super::Resolver;
use crate::draft::Spanned;
use crate::keyword::haproxy::{Dummy, LoadDraft};
use crate::model::acme::{Curve, KeyKind, Subscription};
use crate::model::tls::{Bundle, TicketKey};
use crate::tls::certificate::{self, CertificateError, Parts};
use crate::tls::store::{BundleKind, Content, Files, List, ListLine, Stored, StoredBundle};
use crate::tls::{Certificate, Pieces};

/// Where systems keep the authorities that they trust; the first that exists counts.
const SYSTEM_AUTHORITIES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
];

/// Names of bundles: one certificate for each kind of key.
pub(super) const BUNDLE_EXTENSIONS: [&str; 3] = ["rsa", "ecdsa", "dsa"];

/// Files that lie beside certificates and are none.
const EXTRA_EXTENSIONS: [&str; 4] = ["issuer", "ocsp", "sctl", "key"];

/// Most keys of `tls-ticket-keys`.
const TICKET_KEYS_MAX: usize = 1_000;

impl Resolver<'_> {
    /// Reads a file as it is.
    pub(super) fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let files = self.context.files;
        files
            .read(path.as_ref())
            .map_err(|error| format!("'{path}' cannot be read: {error}"))
    }

    /// The certificates that a word of a bind or server line leads to: of a file, of the files of a directory, or of a
    /// store; and the directory, if it is one.
    pub(super) fn certificates(
        &mut self,
        name: &str,
        span: Span,
    ) -> (Vec<Arc<Certificate>>, Option<String>) {
        if let Some(found) = self.stored(name, span) {
            return (found, None);
        }
        let path = self.store.full_name(name);
        if !self.store.certificates.contains_key(&path)
            && let Ok(Some(entries)) = self.context.files.list(path.as_ref())
        {
            let path = path.trim_end_matches('/').to_owned();
            return (self.directory(&path, entries, span), Some(path));
        }
        (self.file_or_bundle(&path, Beside::Looked, span), None)
    }

    /// The certificates that an `ssl-f-use` line or one of a list names, with the files that belong to them.
    pub(super) fn used_certificates(
        &mut self,
        load: &LoadDraft,
        span: Span,
    ) -> Vec<Arc<Certificate>> {
        let Some(crt) = &load.crt else {
            return Vec::new();
        };
        let beside = [&load.key, &load.ocsp, &load.issuer, &load.sctl];
        if load.acme.is_none() && beside.into_iter().all(Option::is_none) {
            return self.listed(&crt.value, span);
        }
        let (name, mut load) = (self.store.full_name(&crt.value), load.clone());
        let files = written(&load);
        self.note_subscription(&load);
        self.rebase_all(&mut load, None, None);
        self.load(&load, &name, files, span).into_iter().collect()
    }

    /// The section of the authority that issues a certificate must be there.
    fn note_subscription(&mut self, load: &LoadDraft) {
        let section = load.acme.iter();
        let section = section.map(|section| (section.value.clone(), section.span));
        self.subscribed.extend(section);
    }

    /// Puts the bases of a store, or else of the process, before relative names.
    fn rebase_all(&self, load: &mut LoadDraft, crt_base: Option<&str>, key_base: Option<&str>) {
        let crt_base = crt_base.or(self.tls.crt_base.as_deref());
        for part in [
            &mut load.crt,
            &mut load.ocsp,
            &mut load.issuer,
            &mut load.sctl,
        ] {
            rebase(part, crt_base);
        }
        rebase(&mut load.key, key_base.or(self.tls.key_base.as_deref()));
    }

    /// The certificates that a line of a list names.
    pub(super) fn listed(&mut self, name: &str, span: Span) -> Vec<Arc<Certificate>> {
        if let Some(found) = self.stored(name, span) {
            return found;
        }
        let path = self.store.full_name(name);
        self.file_or_bundle(&path, Beside::Hidden, span)
    }

    fn directory(
        &mut self,
        folder: &str,
        mut entries: Vec<PathBuf>,
        span: Span,
    ) -> Vec<Arc<Certificate>> {
        entries.sort();
        let mut loaded = Vec::new();
        for path in entries {
            let extension = path.extension().and_then(|extension| extension.to_str());
            let extra = extension.is_some_and(|extension| EXTRA_EXTENSIONS.contains(&extension));
            let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else {
                continue;
            };
            let is_folder = matches!(self.context.files.list(&path), Ok(Some(_)));
            if !extra && !name.starts_with('.') && !is_folder {
                loaded.extend(self.file(&format!("{folder}/{name}"), Beside::Looked, span));
            }
        }
        let line = |certificate: &Arc<Certificate>| ListLine {
            number: 0,
            certificate: certificate.name.clone(),
            options: None,
            filters: Vec::new(),
        };
        let list = List {
            lines: loaded.iter().map(line).collect(),
            is_directory: true,
            last: 0,
        };
        self.store.lists.insert(folder.to_owned(), Arc::new(list));
        loaded
    }

    /// A file, or where there is none those of the same name for each kind of key.
    fn file_or_bundle(&mut self, path: &str, beside: Beside, span: Span) -> Vec<Arc<Certificate>> {
        let is_known = self.store.certificates.contains_key(path) || self.broken.contains(path);
        let exists = |path: &str| self.context.files.read(path.as_ref()).is_ok();
        if self.loads("bundle") && !is_known && !exists(path) {
            let names = BUNDLE_EXTENSIONS.map(|extension| format!("{path}.{extension}"));
            let found: Vec<_> = names.into_iter().filter(|name| exists(name)).collect();
            if !found.is_empty() {
                let all = found.iter();
                return all
                    .filter_map(|name| self.file(name, beside, span))
                    .collect();
            }
        }
        self.file(path, beside, span).into_iter().collect()
    }

    /// Whether files of this kind are looked for beside certificates.
    fn loads(&self, kind: &str) -> bool {
        let kinds = self.tls.extra_files.as_ref();
        kinds.is_none_or(|kinds| kinds.iter().any(|known| known == kind))
    }

    /// One certificate, which is read once however often it is named.
    fn file(&mut self, path: &str, beside: Beside, span: Span) -> Option<Arc<Certificate>> {
        let load = LoadDraft {
            crt: Some(Spanned::new(path.to_owned(), span)),
            ..LoadDraft::default()
        };
        let files = match beside {
            Beside::Looked => self.files_beside(path),
            Beside::Hidden => Files {
                crt: Some(path.to_owned()),
                ..Files::default()
            },
        };
        self.load(&load, path, files, span)
    }

    /// The files that belong to one that is named alone, as commands show them.
    fn files_beside(&self, path: &str) -> Files {
        let stem = self.stem(path);
        let beside = |kind: &str| self.loads(kind).then(|| format!("{stem}.{kind}"));
        Files {
            crt: Some(path.to_owned()),
            key: Some(path.to_owned()),
            ocsp: beside("ocsp"),
            issuer: None,
            sctl: beside("sctl"),
        }
    }

    /// Reads what belongs to a certificate and puts it together; once for each name.
    fn load(
        &mut self,
        load: &LoadDraft,
        name: &str,
        mut files: Files,
        span: Span,
    ) -> Option<Arc<Certificate>> {
        if let Some(known) = self.store.certificates.get(name) {
            let whole = known.content.whole().cloned();
            if whole.is_none() && !load.jwt {
                self.keyless(name, span);
            }
            return whole;
        }
        if self.broken.contains(name) {
            return None;
        }
        let Some((content, stands_in)) = self.loaded(load, name, &mut files, span) else {
            self.broken.insert(name.to_owned());
            return None;
        };
        let certificate = content.whole().cloned();
        let stored = Stored {
            content,
            files,
            jwt: load.jwt,
            subscription: subscription(load),
            stands_in,
            fetches: false,
        };
        let known = &mut self.store.certificates;
        known.insert(name.to_owned(), Arc::new(stored));
        certificate
    }

    /// A certificate put together, as far as it has to be, and whether it stands in for one that an authority is to issue.
    fn loaded(
        &mut self,
        load: &LoadDraft,
        name: &str,
        files: &mut Files,
        span: Span,
    ) -> Option<(Content, bool)> {
        let mut stands_in = self.is_missing(load);
        let mut assembled = match stands_in {
            true => assemble(self.stand_in(load, span)?, name),
            false => assemble(self.pieces(load, files, span)?, name),
        };
        // The process ended after the first of two files was written; that keeps nobody from starting.
        if load.acme.is_some() && matches!(assembled, Err(CertificateError::KeyMismatch)) {
            let message = format!("'{name}' does not belong to its key, so that another stands in");
            self.warn(span, message, "the authority is asked for it at once");
            stands_in = true;
            assembled = assemble(self.stand_in(load, span)?, name);
        }
        match assembled {
            Ok(content) => Some((content, stands_in)),
            Err(why) => {
                self.useless(load, &why, span);
                None
            }
        }
    }

    /// A certificate that signs others, with its key; commands do not show it.
    pub(super) fn signing_certificate(
        &mut self,
        file: &Spanned<String>,
    ) -> Option<Arc<Certificate>> {
        let path = based(self.store.ca_base.as_deref(), &file.value);
        let load = LoadDraft {
            crt: Some(Spanned::new(path.clone(), file.span)),
            ..LoadDraft::default()
        };
        let pieces = self.pieces(&load, &mut Files::default(), file.span)?;
        match pieces.assemble(&path) {
            Ok(certificate) => Some(Arc::new(certificate)),
            Err(why) => {
                self.useless(&load, &why, file.span);
                None
            }
        }
    }

    /// A certificate for tokens is to be presented.
    fn keyless(&mut self, name: &str, span: Span) {
        let message = format!("'{name}' has no private key and cannot be presented");
        let help = "load its key, or another certificate";
        self.error(Kind::Reference, span, message, help);
    }

    fn useless(&mut self, load: &LoadDraft, why: &CertificateError, span: Span) {
        let path = load.crt.as_ref().map_or("", |crt| &crt.value);
        let message = format!("'{path}' is of no use as a certificate: {why}");
        self.error(Kind::Environment, span, message, why.help());
    }

    /// Whether an authority has not issued a certificate yet.
    fn is_missing(&self, load: &LoadDraft) -> bool {
        let Some(crt) = load.crt.as_ref().filter(|_| load.acme.is_some()) else {
            return false;
        };
        let read = self.context.files.read(crt.value.as_ref());
        read.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// What stands in for a certificate until an authority has issued it.
    fn stand_in(&mut self, load: &LoadDraft, span: Span) -> Option<Pieces> {
        let path = &load.crt.as_ref()?.value;
        let made = self.dummy(load, path).map(Zeroizing::new);
        let read = made.map(|pem| Pieces::read(&pem));
        match read {
            Ok(Ok(pieces)) => return Some(pieces),
            Ok(Err(why)) => self.useless(load, &why, span),
            Err(complaint) => self.error(Kind::Environment, span, complaint, ""),
        }
        None
    }

    /// A certificate that nobody has signed, with its key.
    fn dummy(&self, load: &LoadDraft, path: &str) -> Result<Vec<u8>, String> {
        let dummy = Dummy {
            key: match load.dummy {
                true => load.dummy_key.kind(true),
                // The fastest to make: there may be thousands of names to begin with.
                false => KeyKind::Ecdsa(Curve::P256),
            },
            names: load.domains.clone(),
        };
        let made = self.context.machine.dummy(&dummy);
        made.map_err(|error| format!("no certificate can be made for '{path}': {error}"))
    }

    /// What the files of a certificate have; what is missing is told.
    fn pieces(&mut self, load: &LoadDraft, files: &mut Files, span: Span) -> Option<Pieces> {
        let path = &load.crt.as_ref()?.value;
        let pem = match load.dummy && load.acme.is_none() {
            true => self.dummy(load, path),
            false => self.read(path),
        };
        let pem = match pem {
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
        let gathered = match load.jwt {
            true => certificate::gather_public(&parts),
            false => certificate::gather(&parts),
        };
        match gathered {
            Ok(mut pieces) => {
                // A key that is named counts before one that stands in the file.
                if load.key.is_some()
                    && let Some(Err(why)) = key.as_ref().map(|key| pieces.set_key(key))
                {
                    self.useless(load, &why, span);
                    return None;
                }
                if load.key.is_none() && files.key.is_some() && !certificate::has_key(&pem) {
                    files.key = Some(format!("{}.key", self.stem(path)));
                }
                self.read_issuers();
                pieces.complete(self.store.issuer_chains());
                Some(pieces)
            }
            Err(why) => {
                self.useless(load, &why, span);
                None
            }
        }
    }

    /// `issuers-chain-path`: the chains that certificates alone are completed from.
    fn read_issuers(&mut self) {
        let Some(folder) = self.tls.issuers.take() else {
            return;
        };
        match self.authority_files(&folder.value) {
            Ok(texts) => {
                let chains = texts.iter().filter_map(|(path, text)| {
                    let chain = certificate::authorities(text).ok()?;
                    Some((path.clone(), chain))
                });
                self.store.issuers = Arc::new(chains.collect());
            }
            Err(complaint) => self.error(Kind::Environment, folder.span, complaint, ""),
        }
    }

    /// The name that files beside a certificate begin with.
    fn stem<'a>(&self, path: &'a str) -> &'a str {
        match self.tls.extra_without_extension {
            true => path.strip_suffix(".crt").unwrap_or(path),
            false => path,
        }
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
        let beside = format!("{}.{kind}", self.stem(path));
        self.context.files.read(beside.as_ref()).ok()
    }

    /// What `@STORE/NAME`, or the name of something in the store without a name, stands for.
    fn stored(&mut self, name: &str, span: Span) -> Option<Vec<Arc<Certificate>>> {
        if let Some(known) = self.store.certificates.get(name) {
            let whole = known.content.whole().cloned();
            if whole.is_none() {
                self.keyless(name, span);
            }
            return Some(whole.into_iter().collect());
        }
        if !name.starts_with('@') {
            return None;
        }
        if !self.broken.contains(name) {
            let message = format!("no 'crt-store' has '{name}'");
            let help = "load it in a 'crt-store' section";
            self.error(Kind::Reference, span, message, help);
        }
        Some(Vec::new())
    }

    /// Loads everything that the `crt-store` sections name, used or not.
    pub(super) fn load_stores(&mut self) {
        for (store, draft) in std::mem::take(&mut self.tls.stores) {
            for mut load in draft.loads {
                let Some(crt) = &load.crt else { continue };
                let name = match (&load.alias, store.as_str()) {
                    (Some(alias), store) => format!("@{store}/{alias}"),
                    (None, "") => self.store.full_name(&crt.value),
                    (None, store) if crt.value.starts_with('/') => format!("@{store}{}", crt.value),
                    (None, store) => format!("@{store}/{}", crt.value),
                };
                let files = written(&load);
                let span = crt.span;
                self.note_subscription(&load);
                self.rebase_all(
                    &mut load,
                    draft.crt_base.as_deref(),
                    draft.key_base.as_deref(),
                );
                let fetches = load.fetches.unwrap_or(self.tls.fetches);
                self.load(&load, &name, files, span);
                self.fetching.insert(name.clone(), (fetches, true));
                self.set_fetching(&name, fetches);
            }
        }
    }

    /// Has the authorities of these certificates asked again and again, or not: as `wanted` says, or else as the store
    /// they are from, or else all. Whoever says otherwise elsewhere is told.
    pub(super) fn fetch(
        &mut self,
        certificates: &[Arc<Certificate>],
        wanted: Option<bool>,
        span: Span,
    ) {
        for certificate in certificates {
            let name = &certificate.name;
            let value = wanted.unwrap_or(self.tls.fetches);
            let Some(&(before, by_store)) = self.fetching.get(name) else {
                self.fetching.insert(name.clone(), (value, false));
                self.set_fetching(name, value);
                continue;
            };
            if before != value && !(by_store && wanted.is_none()) {
                let message = format!("'{name}' has a different parameter 'ocsp-update' elsewhere");
                let help = "say the same wherever the certificate is named";
                self.error(Kind::Invalid, span, message, help);
            }
        }
    }

    fn set_fetching(&mut self, name: &str, value: bool) {
        if let Some(stored) = self.store.certificates.get_mut(name)
            && stored.fetches != value
        {
            Arc::make_mut(stored).fetches = value;
        }
    }

    /// A file of authorities, a directory of such, or what the machine trusts.
    pub(super) fn authorities(&mut self, file: &Spanned<String>) -> Option<Arc<Bundle>> {
        let path = match file.value.as_str() {
            "@system-ca" => file.value.clone(),
            name => based(self.store.ca_base.as_deref(), name),
        };
        self.bundle(
            path,
            BundleKind::Authorities,
            file.span,
            |resolver, path| {
                let texts = resolver.authority_files(path)?;
                let mut items = Vec::new();
                for (path, text) in &texts {
                    let found = certificate::authorities(text);
                    items.extend(found.map_err(|why| format!("'{path}': {why}"))?);
                }
                Ok(items)
            },
        )
    }

    pub(super) fn revocations(&mut self, file: &Spanned<String>) -> Option<Arc<Bundle>> {
        let path = based(self.store.ca_base.as_deref(), &file.value);
        self.bundle(
            path,
            BundleKind::Revocations,
            file.span,
            |resolver, path| {
                let text = resolver.read(path)?;
                certificate::revocations(&text).map_err(|why| format!("'{path}': {why}"))
            },
        )
    }

    /// A file of authorities or of revocation lists, which is read once however often it is named.
    fn bundle(
        &mut self,
        path: String,
        kind: BundleKind,
        span: Span,
        read: impl FnOnce(&mut Self, &str) -> Result<Vec<Vec<u8>>, String>,
    ) -> Option<Arc<Bundle>> {
        if let Some(known) = self.store.bundles.get(&path) {
            return known.bundle.clone();
        }
        if self.broken.contains(&path) {
            return None;
        }
        match read(self, &path) {
            Ok(items) => {
                let name = path.clone();
                let bundle = Some(Arc::new(Bundle { name, items }));
                let stored = StoredBundle {
                    kind,
                    bundle: bundle.clone(),
                };
                self.store.bundles.insert(path, stored);
                bundle
            }
            Err(complaint) => {
                self.error(Kind::Environment, span, complaint, "");
                self.broken.insert(path);
                None
            }
        }
    }

    /// The texts of a file, or of the files of a directory, by path.
    fn authority_files(&mut self, path: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
        if path == "@system-ca" {
            let files = self.context.files;
            let found = SYSTEM_AUTHORITIES
                .iter()
                .find_map(|path| files.read(path.as_ref()).ok());
            let missing = || "this machine has no list of trusted authorities".to_owned();
            return Ok(vec![(path.to_owned(), found.ok_or_else(missing)?)]);
        }
        let Ok(Some(mut entries)) = self.context.files.list(path.as_ref()) else {
            return Ok(vec![(path.to_owned(), self.read(path)?)]);
        };
        entries.sort();
        let wanted = |path: &&PathBuf| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            matches!(extension, Some("pem" | "crt" | "cer"))
        };
        let texts = entries.iter().filter(wanted).map(|path| {
            let path = path.to_string_lossy();
            Ok((path.clone().into_owned(), self.read(&path)?))
        });
        texts.collect()
    }

    /// Lines of 48 or 80 bytes in base64, three at least.
    pub(super) fn ticket_keys(&mut self, file: &Spanned<String>) -> Vec<TicketKey> {
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

/// What a `load` line says of the authority that issues a certificate.
fn subscription(load: &LoadDraft) -> Option<Arc<Subscription>> {
    let (section, crt) = (load.acme.as_ref()?, load.crt.as_ref()?);
    Some(Arc::new(Subscription {
        section: section.value.clone(),
        domains: load.domains.clone(),
        ips: load.ips.clone(),
        path: crt.value.clone(),
        key_path: load.key.as_ref().map(|key| key.value.clone()),
    }))
}

/// The files of a certificate as they are written.
fn written(load: &LoadDraft) -> Files {
    let value = |part: &Option<Spanned<String>>| part.as_ref().map(|part| part.value.clone());
    Files {
        crt: value(&load.crt),
        key: value(&load.key),
        ocsp: value(&load.ocsp),
        issuer: value(&load.issuer),
        sctl: value(&load.sctl),
    }
}

/// Whether the files beside a certificate are shown with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Looked,
    Hidden,
}

/// A certificate that can be presented, or one for tokens alone, which has no key: whoever would present it is told.
fn assemble(pieces: Pieces, name: &str) -> Result<Content, CertificateError> {
    match pieces.key {
        Some(_) => Ok(Content::Whole(Arc::new(pieces.assemble(name)?))),
        None => Ok(Content::Part(Arc::new(pieces))),
    }
}

fn rebase(part: &mut Option<Spanned<String>>, base: Option<&str>) {
    if let Some(part) = part {
        part.value = based(base, &part.value);
    }
}

/// A relative name behind its base.
fn based(base: Option<&str>, name: &str) -> String {
    match base {
        Some(base) if !name.starts_with('/') => format!("{base}/{name}"),
        _ => name.to_owned(),
    }
}
