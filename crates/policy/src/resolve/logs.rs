//! Where a proxy writes its log, and in which form.

use std::sync::Arc;

use plimsoll_config::args::Word;

use super::Resolver;
use crate::acl::Acls;
use crate::context::Phase;
use crate::draft::{LogDraft, LogFormatDraft, ProxyDraft};
use crate::expression::Scope;
use crate::log_format::{self, Encoding, Format};
use crate::model::{LogAddress, LogFormat, LogSettings, LogTarget, Mode};

impl Resolver<'_> {
    pub(super) fn log_format(&mut self, proxy: &ProxyDraft, targets: &[LogTarget]) -> LogFormat {
        let Some(format) = &proxy.settings.log_format else {
            return LogFormat::Connect;
        };
        if targets.is_empty() && !proxy.settings.logged && !proxy.settings.disabled {
            let message = format!(
                "{} '{}' writes no log, because it has no 'log' line",
                proxy.noun(),
                proxy.name
            );
            self.warn(
                proxy.span,
                message,
                "write 'log global', or remove the option",
            );
        }
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
                } => {
                    let mut target = target.clone();
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
