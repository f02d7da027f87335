//! Persistence cookies: values that are computed, and lines that lead nobody back.

use std::sync::Arc;

use super::Resolver;
use crate::cookie::dynamic_value;
use crate::draft::ProxyDraft;
use crate::model::{Backend, Mode, ServerAddress, ServerPort};

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
        if spec.dynamic {
            match &proxy.settings.cookie.key {
                Some(key) => compute(key, backend),
                None => {
                    let message = format!(
                        "the cookies of {} '{}' are not computed",
                        proxy.noun(),
                        proxy.name
                    );
                    self.warn(proxy.span, message, "write 'dynamic-cookie-key SECRET'");
                }
            }
        }
        backend.cookie = Some(Arc::new(spec));
    }
}

fn compute(key: &str, backend: &mut Backend) {
    for server in backend
        .servers
        .iter_mut()
        .filter(|server| server.cookie.is_none())
    {
        if let ServerAddress::Inet { ip, port } = server.address {
            let port = match port {
                ServerPort::Fixed(port) => port,
                ServerPort::Offset(_) => 0,
            };
            server.cookie = Some(dynamic_value(key, ip, port));
        }
    }
}
