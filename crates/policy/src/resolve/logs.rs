//! Where a proxy writes its log, in which form, and the files that answer its errors.

use plimsoll_config::diagnostic::Kind;

use super::Resolver;
use crate::draft::{ErrorFileDraft, LogDraft, LogFormatDraft, ProxyDraft};
use crate::model::{ErrorFile, LogAddress, LogFormat, LogTarget, Mode};

/// Largest file that answers an error, in bytes.
const ERROR_FILE_BYTES_MAX: usize = 256 << 10;

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
            LogFormatDraft::Tcp => LogFormat::Tcp,
            LogFormatDraft::Http { clf } if proxy.settings.mode == Mode::Http => {
                LogFormat::Http { clf }
            }
            LogFormatDraft::Https if proxy.settings.mode == Mode::Http => LogFormat::Https,
            LogFormatDraft::Http { .. } | LogFormatDraft::Https => {
                if !proxy.settings.disabled {
                    let message = format!(
                        "'option httplog' becomes 'option tcplog' in {} '{}'",
                        proxy.noun(),
                        proxy.name
                    );
                    self.warn(proxy.span, message, "write 'mode http', or 'option tcplog'");
                }
                LogFormat::Tcp
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

    pub(super) fn error_files(&mut self, drafts: &[ErrorFileDraft]) -> Vec<ErrorFile> {
        let mut files = Vec::new();
        for draft in drafts {
            match self.content(&draft.path.value) {
                Ok(content) => files.push(ErrorFile {
                    status: draft.status,
                    content,
                }),
                // The line may stand in `defaults`; its problem is told once.
                Err(complaint) => {
                    if self.told.insert(draft.path.span) {
                        self.error(Kind::Environment, draft.path.span, complaint, "");
                    }
                }
            }
        }
        files
    }

    /// The content of a file, which is read once.
    fn content(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let files = self.context.files;
        let read = || match files.read(path.as_ref()) {
            Ok(content) if content.len() <= ERROR_FILE_BYTES_MAX => Ok(content),
            Ok(_) => Err(format!(
                "'{path}' is longer than {ERROR_FILE_BYTES_MAX} bytes"
            )),
            Err(error) => Err(format!("'{path}' cannot be read: {error}")),
        };
        self.files
            .entry(path.to_owned())
            .or_insert_with(read)
            .clone()
    }
}
