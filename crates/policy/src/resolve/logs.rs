//! Where a proxy writes its log, and in which form.

use std::sync::Arc;

use plimsoll_config::args::Word;
use plimsoll_config::diagnostic::Kind;

use super::Resolver;
use crate::acl::Acls;
use crate::context::Phase;
use crate::draft::{LogDraft, LogFormatDraft, LogProfileDraft, ProxyDraft, Spanned};
use crate::expression::{Profiles, Scope};
use crate::keyword::haproxy::NOWHERE;
use crate::log::{Override, Profile};
use crate::log_format::{self, Encoding, Format};
use crate::model::{LogAddress, LogFormat, LogSettings, LogTarget, Mode};
use crate::rule::Asks;

impl Resolver<'_> {
    pub(super) fn log_format(&mut self, proxy: &ProxyDraft, targets: &[LogTarget]) -> LogFormat {
        let format = proxy.settings.log_format.as_ref();
        let is_written = format.is_some() || proxy.settings.log_structured.is_some();
        if is_written && targets.is_empty() && !proxy.settings.disabled {
            let (message, help) = match proxy.settings.logs.is_empty() {
                true => ("no 'log' line", "write 'log global', or remove the option"),
                false => ("no target: 'global' has no 'log' line", "write one there"),
            };
            let message = format!(
                "{} '{}' writes no log, because it has {message}",
                proxy.noun(),
                proxy.name
            );
            self.warn(proxy.span, message, help);
        }
        let Some(format) = format else {
            return LogFormat::Connect;
        };
        match format.value {
            LogFormatDraft::Tcp { clf } => LogFormat::Tcp { clf },
            // It is read when all names are known.
            LogFormatDraft::Custom(_) => LogFormat::Connect,
            LogFormatDraft::Https if proxy.settings.mode == Mode::Http => LogFormat::Https,
            LogFormatDraft::Http { clf } if proxy.settings.mode == Mode::Http => {
                LogFormat::Http { clf }
            }
            LogFormatDraft::Http { .. } | LogFormatDraft::Https => {
                if !proxy.settings.disabled {
                    let message = format!(
                        "'option httplog' becomes 'option tcplog' in {} '{}'",
                        proxy.noun(),
                        proxy.name
                    );
                    self.warn(proxy.span, message, "write 'mode http', or 'option tcplog'");
                }
                LogFormat::Tcp { clf: false }
            }
        }
    }

    /// Reads the formats of a frontend's lines, which may ask for its ACLs.
    pub(super) fn log_formats(
        &mut self,
        proxy: &ProxyDraft,
        (scope, acls): (&Scope<'_>, &Acls),
        log: &mut LogSettings,
    ) {
        let scope = &Scope {
            acls: Some(acls),
            ..*scope
        };
        let settings = &proxy.settings;
        let custom = match settings.log_format.as_ref().map(|format| &format.value) {
            Some(LogFormatDraft::Custom(word)) => Some(word),
            _ => None,
        };
        if let Some(format) = self.log_line(custom, scope) {
            log.format = LogFormat::Custom(format);
        }
        log.structured = self.log_line(settings.log_structured.as_ref(), scope);
        log.error_format = self.log_line(settings.error_log_format.as_ref(), scope);
        if log.as_soon_as_possible && log.steps.take().is_some() {
            let message = "'log-steps' has no effect beside 'option logasap'".to_owned();
            self.warn(proxy.span, message, "remove one of them");
        }
        for target in &mut log.targets {
            // Where it is missing, that is told of the line.
            let named = target.profile.take();
            target.profile = named.and_then(|named| scope.profile(&named.name, NOWHERE).ok());
        }
    }

    /// A profile of this name, without its lines, which are read when all names are known.
    fn profile_named(&mut self, name: &Spanned<String>) -> Option<Arc<Profile>> {
        let known = self.profiles.iter().find(|known| known.name == name.value);
        if let Some(known) = known {
            return Some(Arc::new(Profile {
                name: known.name.clone(),
                tag: known.tag.clone(),
                overrides: Vec::new(),
            }));
        }
        // Lines of `defaults` and `global` are looked at once for every proxy.
        if self.told.insert(name.span) {
            let message = format!("no log profile is called '{}'", name.value);
            let help = format!("add 'log-profile {}'", name.value);
            self.error(Kind::Reference, name.span, message, &help);
        }
        None
    }

    /// Reads the lines of all log profiles, which stand for themselves: no proxy lends them its ACLs.
    pub(super) fn log_profiles(
        &mut self,
        drafts: &[LogProfileDraft],
        scope: &Scope<'_>,
    ) -> Profiles {
        let mut profiles = Profiles::new();
        for draft in drafts {
            scope.asks.set(Asks::default());
            let mut profile = Profile {
                name: draft.name.clone(),
                tag: draft.tag.clone(),
                overrides: Vec::new(),
            };
            for (step, draft) in &draft.steps {
                let format = self.log_line(draft.format.as_ref(), scope);
                let structured = self.log_line(draft.structured.as_ref(), scope);
                profile.overrides.push(match draft.drops {
                    true => (*step, Override::Drop),
                    false => (*step, Override::Lines { format, structured }),
                });
            }
            let read = (Arc::new(profile), scope.asks.get());
            profiles.entry(draft.name.clone()).or_insert(read);
        }
        profiles
    }

    /// A format that may stand in `defaults`: what is wrong with it is told once.
    fn log_line(&mut self, word: Option<&Word>, scope: &Scope<'_>) -> Option<Arc<Format>> {
        let word = word?;
        match log_format::read(word, Encoding::Log, &scope.at(Phase::Log)) {
            Ok(format) => Some(Arc::new(format)),
            Err(error) => {
                if self.told.insert(word.span) {
                    self.report(error);
                }
                None
            }
        }
    }

    pub(super) fn logs(&mut self, drafts: &[LogDraft]) -> Vec<LogTarget> {
        let mut targets = Vec::new();
        let mut has_global = false;
        for draft in drafts {
            match draft {
                LogDraft::Global => {
                    if !std::mem::replace(&mut has_global, true) {
                        targets.extend(self.global_logs.iter().cloned());
                    }
                }
                LogDraft::Target {
                    target,
                    host,
                    has_format,
                    profile,
                } => {
                    let mut target = target.clone();
                    target.profile = profile.as_ref().and_then(|name| self.profile_named(name));
                    if !has_format {
                        target.format = self.log_envelope;
                    }
                    if let Some(host) = host {
                        let Some(address) = self.socket(host) else {
                            continue;
                        };
                        target.address = LogAddress::Udp(address);
                    }
                    targets.push(target);
                }
            }
        }
        targets
    }
}
