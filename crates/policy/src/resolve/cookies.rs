//! Persistence cookies: values that are computed, and lines that lead nobody back.

use std::sync::Arc;

use super::Resolver;
use crate::cookie::compute;
use crate::draft::ProxyDraft;
use crate::model::{Backend, Mode};

impl Resolver<'_> {
    /// Gives the backend its cookie, and servers the values that follow from their addresses.
    pub(super) fn cookies(&mut self, proxy: &ProxyDraft, backend: &mut Backend) {
        let Some(spec) = proxy.settings.cookie.spec.clone() else {
            return;
        };
        if proxy.settings.mode == Mode::Tcp {
            if !proxy.settings.disabled {
                let message = format!(
                    "'cookie' has no effect in {} '{}'",
                    proxy.noun(),
                    proxy.name
                );
                self.warn(proxy.span, message, "write 'mode http'");
            }
            return;
        }
        let key = proxy.settings.cookie.key.clone();
        if spec.dynamic && key.is_none() {
            let message = format!(
                "the cookies of {} '{}' are not computed",
                proxy.noun(),
                proxy.name
            );
            self.warn(proxy.span, message, "write 'dynamic-cookie-key SECRET'");
        }
        (backend.cookie, backend.cookie_key) = (Some(Arc::new(spec)), key);
        compute(backend);
    }
}
