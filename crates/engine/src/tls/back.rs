//! How a server is called: versions, trust, our own certificate, and the name it is asked for.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
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

/// Stands for a name that no certificate can be for: an address that nobody has either.
pub(super) fn unfit() -> IpAddr {
    IpAddr::V4(Ipv4Addr::BROADCAST.into())
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
        ClientConnection::new(config, Self::server_name(name))
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

    /// The library's form of the name to ask for. One that cannot be a name, such as a client may have made up, is not the
    /// same as none: who is to be verified cannot be that.
    pub(crate) fn server_name(name: Option<&str>) -> ServerName<'static> {
        let Some(name) = name else {
            return ServerName::IpAddress(nobody());
        };
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .filter(|name| name.parse::<Ipv6Addr>().is_ok());
        let fits = |name: &&str| name.len() <= agree::NAME_BYTES_MAX;
        let read = |name: &str| ServerName::try_from(name.to_owned()).ok();
        let name = Some(bare.unwrap_or(name)).filter(fits).and_then(read);
        name.filter(|name| *name != ServerName::IpAddress(nobody()))
            .unwrap_or_else(|| ServerName::IpAddress(unfit()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_name_is_not_taken_for_none() {
        let none = ServerName::IpAddress(nobody());
        let unfit = ServerName::IpAddress(unfit());
        let long = format!("{}.test", "a".repeat(300));
        assert_eq!(Back::server_name(None), none);
        for name in [
            "", "*.test", "a..test", "-x.test", "[", "[]", "[a.test]", "a b", "0.0.0.0", &long,
        ] {
            assert_eq!(Back::server_name(Some(name)), unfit, "{name}");
        }
        for (name, read) in [
            ("a.test", "a.test"),
            ("under_score.test", "under_score.test"),
            ("10.0.0.1", "10.0.0.1"),
            ("::1", "::1"),
            ("[2001:db8::5]", "2001:db8::5"),
        ] {
            let read = ServerName::try_from(read).expect("a name");
            assert_eq!(Back::server_name(Some(name)), read, "{name}");
        }
    }
}
