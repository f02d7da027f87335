//! What is written for messages of HTTP, in proxies that relay bytes.

use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};

use super::Resolver;
use super::rules::turns_to_http;
use crate::draft::{BindDraft, ProxyDraft};
use crate::model::Mode;

impl Resolver<'_> {
    /// Tells of what says nothing where no HTTP is spoken, and refuses what cannot be spoken there.
    pub(super) fn without_http(&mut self, proxy: &ProxyDraft) {
        let settings = &proxy.settings;
        if settings.mode != Mode::Tcp || settings.disabled {
            return;
        }
        let speaks = |bind: &&BindDraft| bind.model.http2 || bind.model.stays_http1;
        let binds = proxy.binds.iter().filter(speaks);
        let spans = binds.filter_map(|bind| bind.line);
        let servers = proxy.servers.iter().filter(|server| server.model.http2);
        let spans: Vec<Span> = spans
            .chain(servers.map(|server| server.name_span))
            .collect();
        for span in spans {
            let message = "HTTP is not spoken in TCP mode".to_owned();
            self.error(
                Kind::Invalid,
                span,
                message,
                "write 'mode http', or remove 'proto'",
            );
        }
        if turns_to_http(&settings.rules) {
            return;
        }
        for (name, span) in &settings.http_words {
            // A line of `defaults` is told of once.
            if self.told.insert(*span) {
                let message = format_args!("'{name}' has no effect in TCP mode");
                let warning = Diagnostic::warning(Kind::NoEffect, *span, message);
                self.report(warning.help("write 'mode http', or remove it"));
            }
        }
        for server in proxy.servers.iter().filter(|it| it.model.cookie.is_some()) {
            let message = "the cookie of this server has no effect in TCP mode".to_owned();
            self.warn(server.name_span, message, "write 'mode http', or remove it");
        }
    }
}
