//! What a finished handshake tells rules and logs.

use std::sync::Arc;

use super::{Certificate, CipherSuite, Version};

/// A connection's TLS, as far as anybody asks. Certificates stay in DER and are taken apart when asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub version: Option<Version>,
    pub suite: Option<CipherSuite>,
    /// The name that was asked for.
    pub server_name: Option<Box<str>>,
    /// The protocol agreed upon.
    pub alpn: Option<Box<[u8]>>,
    /// The session was resumed.
    pub resumed: bool,
    /// The peer's certificates, its own first, in DER; empty: it sent none.
    pub peer_chain: Vec<Box<[u8]>>,
    /// Our own certificate.
    pub own: Option<Arc<Certificate>>,
    /// What was wrong with the peer's certificate and was overlooked, by OpenSSL's numbers; 0: nothing.
    pub peer_error: u32,
    /// The same of an authority, and how far from the peer's own certificate it stands.
    pub authority_error: u32,
    pub authority_depth: u32,
    /// How long it took.
    pub handshake_ms: u32,
    /// The group of the key exchange, by IANA's name.
    pub group: Option<Box<str>>,
}

impl Facts {
    /// `ssl_c_verify`: the first error in the order of checking, or 0.
    pub fn verify_result(&self) -> u32 {
        match self.authority_error {
            0 => self.peer_error,
            error => error,
        }
    }
}
