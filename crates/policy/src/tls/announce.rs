//! What the header of the PROXY protocol tells a server of a client's TLS (`send-proxy-v2-ssl`, `proxy-v2-options`): fields of
//! version 2, as the protocol's section 2.2 and HAProxy write them.
//!
//! ```text
//! 0x01 ALPN   0x02 name asked for   0x20 length | flags | verify (4) | 0x21 version, 0x22 CN, 0x25 key, 0x24 signature, 0x23 cipher
//! ```

use plimsoll_wire::proxy_protocol::Tlv;
use plimsoll_wire::proxy_protocol::v2::{kind, push_tlv};

use super::{Facts, certificate, describe, x509};
use crate::model::ProxyOptions;

/// The client came over TLS.
const CLIENT_TLS: u8 = 0x01;

/// It has shown a certificate on this connection.
const CLIENT_CERTIFICATE: u8 = 0x02;

/// It has shown one in this session, which it may have resumed.
const CLIENT_CERTIFICATE_IN_SESSION: u8 = 0x04;

/// The fields for a client, in the order that HAProxy has; `named`: the authority that a header of its own has told;
/// `unique_id`: what the exchange is called here, if it has a name.
pub fn fields(
    options: &ProxyOptions,
    facts: Option<&Facts>,
    named: Option<&[u8]>,
    unique_id: Option<&[u8]>,
) -> Vec<(u8, Vec<u8>)> {
    let mut fields = Vec::new();
    if let Some(alpn) = facts.and_then(|facts| facts.alpn.as_deref()) {
        fields.push((kind::ALPN, alpn.to_vec()));
    }
    let asked = facts.and_then(|facts| facts.server_name.as_deref());
    let authority = named.or_else(|| asked.map(str::as_bytes));
    if let Some(name) = authority.filter(|_| options.authority) {
        fields.push((kind::AUTHORITY, name.to_vec()));
    }
    if options.unique_id {
        fields.push((kind::UNIQUE_ID, unique_id.unwrap_or_default().to_vec()));
    }
    if options.tls {
        fields.push((kind::SSL, secrecy(options, facts)));
    }
    fields
}

/// The inside of the field about TLS.
fn secrecy(options: &ProxyOptions, facts: Option<&Facts>) -> Vec<u8> {
    let Some(facts) = facts else {
        return vec![0; 5];
    };
    let (mut flags, mut verify) = (CLIENT_TLS, 0);
    if !facts.peer_chain.is_empty() {
        verify = facts.verify_error;
        flags |= CLIENT_CERTIFICATE_IN_SESSION;
        if !facts.resumed {
            flags |= CLIENT_CERTIFICATE;
        }
    }
    let mut out = vec![flags];
    out.extend_from_slice(&verify.to_be_bytes());
    let mut push = |kind, value: &[u8]| push_tlv(&mut out, Tlv { kind, value });
    if let Some(version) = facts.version {
        push(kind::SSL_VERSION, version.name().as_bytes());
    }
    let peer = facts.peer_chain.first();
    let peer = peer.filter(|_| options.common_name);
    if let Some(parsed) = peer.and_then(|der| certificate::parse(der).ok())
        && let Some(name) = x509::attribute(parsed.subject(), "CN", 1)
    {
        push(kind::SSL_CN, &name);
    }
    let own = facts.own.as_ref().and_then(|own| own.chain.first());
    if let Some(parsed) = own.and_then(|der| certificate::parse(der).ok()) {
        if options.key {
            push(kind::SSL_KEY_ALG, describe::algorithm(&parsed).as_bytes());
        }
        if options.signature {
            push(kind::SSL_SIG_ALG, &x509::signature_algorithm(&parsed));
        }
    }
    if let Some(suite) = facts.suite.filter(|_| options.cipher) {
        push(kind::SSL_CIPHER, suite.name().as_bytes());
    }
    out
}
