//! Authorities that issue certificates by themselves, and how they are called.

use std::sync::Arc;

use plimsoll_config::diagnostic::{Kind, Span};
use zeroize::Zeroizing;

use super::Resolver;
use crate::draft::Spanned;
use crate::keyword::haproxy::acme::AcmeDraft;
use crate::keyword::haproxy::{SniDraft, TlsDraft};
use crate::model::acme::{Acme, ExternalAccount};
use crate::model::tls::{ServerTls, Verify};
use crate::model::{Mode, Model};

impl Resolver<'_> {
    /// All `acme` sections.
    pub(super) fn authorities_that_issue(&mut self, drafts: &[AcmeDraft]) -> Vec<Arc<Acme>> {
        let resolved = drafts.iter().filter_map(|draft| self.authority_of(draft));
        resolved.collect()
    }

    fn authority_of(&mut self, draft: &AcmeDraft) -> Option<Arc<Acme>> {
        let (name, span) = (&draft.name.value, draft.name.span);
        let Some(directory) = draft.directory.clone() else {
            let message = format!("section 'acme {name}' names no authority");
            self.error(Kind::Invalid, span, message, "write 'directory URL'");
            return None;
        };
        let key = draft.account_key.clone();
        let key = key.unwrap_or_else(|| format!("{name}.account.key"));
        Some(Arc::new(Acme {
            name: name.clone(),
            directory,
            contact: draft.contact.clone(),
            account_key: self.store.full_name(&key),
            challenge: draft.challenge,
            key: draft.key.kind(false),
            map: draft.map.as_ref().map(|map| map.value.clone()),
            profile: draft.profile.clone(),
            reuse_key: draft.reuse_key,
            external: self.external(draft),
        }))
    }

    /// `eab-key-id` with `eab-mac-key`; files that are empty bind to nothing, as in HAProxy.
    fn external(&mut self, draft: &AcmeDraft) -> Option<ExternalAccount> {
        let (id, key) = match (&draft.external_id, &draft.external_key) {
            (None, None) => return None,
            (Some(id), Some(key)) => (id, key),
            (Some(alone), None) | (None, Some(alone)) => {
                let message = "'eab-key-id' and 'eab-mac-key' belong together".to_owned();
                self.error(Kind::Invalid, alone.span, message, "write both or neither");
                return None;
            }
        };
        let (id, encoded) = (self.first_line(id)?, self.first_line(key)?);
        if id.is_empty() || encoded.is_empty() {
            return None;
        }
        let decoded =
            data_encoding::BASE64URL_NOPAD.decode(encoded.trim_end_matches('=').as_bytes());
        let least = draft.external_algorithm.key_bytes_min();
        match decoded {
            Ok(bytes) if bytes.len() >= least => Some(ExternalAccount {
                id: id.to_string(),
                key: Zeroizing::new(bytes),
                algorithm: draft.external_algorithm,
            }),
            _ => {
                let message = format!("'{}' is no key of {least} bytes in base64url", key.value);
                self.error(Kind::Invalid, key.span, message, "");
                None
            }
        }
    }

    fn first_line(&mut self, file: &Spanned<String>) -> Option<Zeroizing<String>> {
        match self.read(&file.value) {
            Ok(bytes) => {
                let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
                Some(Zeroizing::new(
                    text.lines().next().unwrap_or_default().to_owned(),
                ))
            }
            Err(complaint) => {
                self.error(Kind::Environment, file.span, complaint, "");
                None
            }
        }
    }

    /// Whether what certificates and sections refer to is there.
    pub(super) fn subscriptions(&mut self, drafts: &[AcmeDraft], model: &Model) {
        for (section, span) in std::mem::take(&mut self.subscribed) {
            let mut known = drafts.iter();
            if !known.any(|draft| draft.name.value == section) {
                let message = format!("there is no section 'acme {section}'");
                self.error(
                    Kind::Reference,
                    span,
                    message,
                    "write one, with its 'directory'",
                );
            }
        }
        for map in drafts.iter().filter_map(|draft| draft.map.as_ref()) {
            if model.lists.find(&map.value).is_none() {
                let message = format!("no rule looks into the map '{}'", map.value);
                let help = "answer /.well-known/acme-challenge/ by a rule with map(…) of it";
                self.error(Kind::Reference, map.span, message, help);
            }
        }
    }

    /// How authorities are called, where something needs one.
    pub(super) fn http_client(&mut self, needed: Option<Span>) -> Option<Arc<ServerTls>> {
        let needed = needed?;
        let client = std::mem::take(&mut self.tls.http_client);
        let nowhere = Spanned::new("@system-ca".to_owned(), needed);
        let file = client.ca_file.unwrap_or(nowhere);
        let span = file.span;
        let draft = TlsDraft {
            verify: Some(Spanned::new(
                client.verify.unwrap_or(Verify::Required),
                span,
            )),
            ca_file: Some(file),
            sni: Some(Spanned::new(SniDraft::Host, span)),
            ..TlsDraft::default()
        };
        self.towards(&draft, Mode::Tcp, span).map(Arc::new)
    }
}
