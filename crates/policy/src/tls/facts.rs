//! What a handshake tells rules and logs: a finished one, and as far as it came one that failed.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use plimsoll_wire::tls_hello::ClientHello;

use super::{Certificate, CipherSuite, Secrets, Version};

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
    /// What came before its end; `None`: nothing could.
    pub early: Option<Arc<EarlyData>>,
    /// The peer's certificates, its own first, in DER; empty: it sent none.
    pub peer_chain: Vec<Box<[u8]>>,
    /// Our own certificate.
    pub own: Option<Arc<Certificate>>,
    /// What was wrong with the peer's certificate and was overlooked, by OpenSSL's numbers; 0: nothing.
    pub peer_error: u32,
    /// The same of an authority, and how far from the peer's own certificate it stands.
    pub authority_error: u32,
    pub authority_depth: u32,
    /// The last of these faults, in the order in which they are found.
    pub verify_error: u32,
    /// How long it took.
    pub handshake_ms: u32,
    /// The group of the key exchange, by OpenSSL's name.
    pub group: Option<Box<str>>,
    /// The certificate of the authority that the peer's led to, in DER.
    pub root: Option<Box<[u8]>>,
    /// The client's hello, where it is kept.
    pub hello: Option<Box<Hello>>,
    /// Its secrets, where they are kept.
    pub secrets: Option<Box<Secrets>>,
    /// Why it failed, where there is more to say than that the connection ended.
    pub error: Option<HandshakeError>,
}

/// What is known of a client that may send before its handshake has ended (RFC 8446 section 2.3). Until then nothing shows
/// that it is there: its words may be somebody else's, who has recorded them.
#[derive(Debug, Default)]
pub struct EarlyData {
    received: AtomicBool,
    confirmed: AtomicBool,
}

impl EarlyData {
    /// Some has come.
    pub fn receive(&self) {
        self.received.store(true, Ordering::Relaxed);
    }

    /// The handshake has ended.
    pub fn confirm(&self) {
        self.confirmed.store(true, Ordering::Relaxed);
    }

    /// Whether some has ever come.
    pub fn was_received(&self) -> bool {
        self.received.load(Ordering::Relaxed)
    }

    /// Whether some has come, and nothing shows yet that it is the client's.
    pub fn is_pending(&self) -> bool {
        self.was_received() && !self.confirmed.load(Ordering::Relaxed)
    }
}

impl PartialEq for EarlyData {
    fn eq(&self, other: &Self) -> bool {
        let state = |it: &Self| (it.was_received(), it.is_pending());
        state(self) == state(other)
    }
}

impl Eq for EarlyData {}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeError {
    /// The number by which OpenSSL 3 calls it, its library included; 0: it has none of the same meaning.
    pub number: u32,
    pub text: Cow<'static, str>,
}

impl HandshakeError {
    /// What the numbers of OpenSSL's room for TLS begin with.
    pub const LIBRARY: u32 = 20 << 23;
}

impl fmt::Display for HandshakeError {
    /// As OpenSSL writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            0 => f.write_str(&self.text),
            number => write!(f, "error:{number:08X}:SSL routines::{}", self.text),
        }
    }
}

/// What a client's hello offers, as it stood there. All lists together have at most the bytes that the configuration
/// allows; what does not fit is left out from the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The version in the message; TLS 1.3 says 0x0303 here.
    pub version: u16,
    /// Two bytes each.
    pub suites: Box<[u8]>,
    /// The xxh64 of all suites, kept or not.
    pub suites_hash: u64,
    /// The numbers of the extensions, two bytes each.
    pub extensions: Box<[u8]>,
    /// Two bytes each.
    pub groups: Box<[u8]>,
    pub point_formats: Box<[u8]>,
    /// Two bytes each.
    pub versions: Box<[u8]>,
    /// Two bytes each.
    pub signatures: Box<[u8]>,
}

impl Hello {
    /// Keeps up to `bytes_max` bytes of what a client offers.
    pub fn keep(hello: &ClientHello<'_>, bytes_max: usize) -> Self {
        let mut left = bytes_max;
        let mut take = |list: &[u8]| -> Box<[u8]> {
            let kept = &list[..list.len().min(left)];
            left -= kept.len();
            kept.into()
        };
        let suites = take(hello.cipher_suites);
        let numbers: Vec<u8> = hello
            .extension_numbers()
            .flat_map(u16::to_be_bytes)
            .collect();
        Self {
            version: hello.version,
            suites,
            suites_hash: twox_hash::XxHash64::oneshot(0, hello.cipher_suites),
            extensions: take(&numbers),
            groups: take(hello.groups.unwrap_or_default()),
            point_formats: take(hello.point_formats.unwrap_or_default()),
            versions: take(hello.versions.unwrap_or_default()),
            signatures: take(hello.signatures.unwrap_or_default()),
        }
    }
}

impl Facts {
    /// Whether the request may be a replay: it has come early, and the client has not shown yet that it is there.
    pub fn may_be_replayed(&self) -> bool {
        self.early.as_ref().is_some_and(|early| early.is_pending())
    }

    /// `ssl_c_verify`: the last fault that was found and overlooked, or 0.
    pub fn verify_result(&self) -> u32 {
        self.verify_error
    }
}
