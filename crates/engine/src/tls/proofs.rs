//! Certificates that show an authority's validator that a name is ours (`tls-alpn-01`, RFC 8737).
//!
//! They are asked for by a protocol that no client offers (`acme-tls/1`), so that other handshakes never meet them.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

use super::front::Own;

/// The protocol that validators ask for (RFC 8737 section 6.2).
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";

/// Most names that are shown at a time.
const PROOFS_MAX: usize = 10_000;

/// What is to be shown at this moment, by the name that is asked for; all binds and planes share it.
#[derive(Debug, Default)]
pub(crate) struct Proofs(ArcSwap<HashMap<String, Arc<ServerConfig>>>);

impl Proofs {
    /// Shows a certificate from now on.
    pub(crate) fn show(&self, name: &str, key: Arc<CertifiedKey>) -> Result<(), String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let mut config = builder
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Own::new(key)));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        let config = Arc::new(config);
        self.0.rcu(|all| {
            let mut all = HashMap::clone(all);
            if all.len() < PROOFS_MAX {
                all.insert(name.to_owned(), Arc::clone(&config));
            }
            all
        });
        Ok(())
    }

    /// Shows it no more.
    pub(crate) fn hide(&self, name: &str) {
        self.0.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.remove(name);
            all
        });
    }

    /// What a validator is to see; `None`: the client is none, or asks in vain.
    pub(super) fn answer(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut offered = hello.alpn()?;
        if offered.next() != Some(PROTOCOL) || offered.next().is_some() {
            return None;
        }
        let name = hello.server_name()?.to_ascii_lowercase();
        self.0.load().get(&name).cloned()
    }
}
