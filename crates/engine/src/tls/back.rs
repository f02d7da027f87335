//! How a server is called: versions, trust, our own certificate, and the name it is asked for.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use plimsoll_policy::model::Protocol;
use plimsoll_policy::model::tls::{ServerName as NameRule, ServerTls};
use plimsoll_policy::probe::DialOffer;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::{IpAddr, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, SignatureScheme};

use super::provider::{Workshop, first_written, signing, versions};
use super::secrets::Secretary;
use super::trust::Servers;
use super::{SetupError, agree};

/// Sessions remembered per server.
const SESSIONS_MAX: usize = 256;

/// Stands for no name: an address is never sent, and this one is nobody's.
pub(super) fn nobody() -> IpAddr {
    IpAddr::V4(Ipv4Addr::UNSPECIFIED.into())
}

/// TLS towards one server.
pub(crate) struct Back {
    config: Arc<ClientConfig>,
    pub(crate) name: NameRule,
    /// What all this was made of.
    made_of: Arc<ServerTls>,
    /// Connections tell their secrets.
    keeps_secrets: bool,
}

impl Back {
    pub(super) fn build(
        tls: &Arc<ServerTls>,
        workshop: &mut Workshop,
    ) -> Result<Arc<Self>, SetupError> {
        let provider = workshop.provider(&tls.offer);
        let verifier = Servers::build(tls, &provider, workshop)?;
        let about = |error| SetupError::new("TLS towards a server", error);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions(&tls.offer))
            .map_err(about)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &tls.certificate {
            Some(certificate) => {
                let signs = first_written(&tls.offer.signs, &tls.offer.verifies);
                let key = signing(&workshop.key(certificate)?, signs);
                builder.with_client_cert_resolver(Arc::new(Own(key)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&tls.offer.alpn);
        if workshop.keeps_secrets {
            config.key_log = Arc::new(Secretary);
        }
        config.enable_sni = tls.name != NameRule::None;
        config.resumption = match tls.reuse {
            true => Resumption::in_memory_sessions(SESSIONS_MAX),
            false => Resumption::disabled(),
        };
        Ok(Arc::new(Self {
            config: Arc::new(config),
            name: tls.name.clone(),
            made_of: Arc::clone(tls),
            keeps_secrets: workshop.keeps_secrets,
        }))
    }

    /// Whether it would be made the same way of `wanted`.
    pub(super) fn is_of(&self, wanted: &ServerTls, keeps_secrets: bool) -> bool {
        *self.made_of == *wanted && self.keeps_secrets == keeps_secrets
    }

    /// Whether servers are offered protocols to choose from.
    pub(crate) fn offers_protocols(&self) -> bool {
        !self.config.alpn_protocols.is_empty()
    }

    /// Begins a connection; `name` is what the server is asked for, `protocol` the only one it is offered where it is
    /// offered any.
    pub(super) fn begin(
        &self,
        name: Option<&str>,
        protocol: Option<Protocol>,
    ) -> Result<ClientConnection, rustls::Error> {
        let config = match protocol {
            Some(protocol) if self.offers_protocols() => {
                let mut config = (*self.config).clone();
                config.alpn_protocols = vec![match protocol {
                    Protocol::Http1 => b"http/1.1".to_vec(),
                    Protocol::Http2 => b"h2".to_vec(),
                }];
                Arc::new(config)
            }
            _ => self.config(),
        };
        let fitting = name.filter(|name| name.len() <= agree::NAME_BYTES_MAX);
        let name = fitting.and_then(|name| ServerName::try_from(name.to_owned()).ok());
        let name = name.unwrap_or_else(|| ServerName::IpAddress(nobody()));
        ClientConnection::new(config, name)
    }

    /// The library's settings, for connections that others carry.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// The same for a connection that offers something of its own.
    pub(crate) fn config_for(&self, offer: Option<&DialOffer>) -> Arc<ClientConfig> {
        let Some(offer) = offer else {
            return self.config();
        };
        let mut config = (*self.config).clone();
        config.enable_sni |= offer.name.is_some();
        if !offer.protocols.is_empty() {
            config.alpn_protocols.clone_from(&offer.protocols);
        }
        Arc::new(config)
    }

    /// The library's form of the name to ask for.
    pub(crate) fn server_name(name: Option<&str>) -> ServerName<'static> {
        let name = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
        name.unwrap_or_else(|| ServerName::IpAddress(nobody()))
    }
}

/// Our one certificate, whichever authorities the server names.
#[derive(Debug)]
struct Own(Arc<CertifiedKey>);

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Back {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Back")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
