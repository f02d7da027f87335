//! What is decided about TLS before a byte of it flows: versions, ciphers, curves, certificates and their names, and what
//! a finished handshake tells rules and logs.
//!
//! Everything here is pure: the bytes of files come in as arguments. What is absent: records, handshakes and keys at
//! work, which belong to the engine's TLS room.

pub mod announce;
pub mod certificate;
pub mod cipher;
pub mod crt_list;
pub(crate) mod describe;
pub(crate) mod errors;
pub mod facts;
pub mod group;
pub mod judge;
pub mod names;
pub mod ocsp;
pub mod pem;
pub mod pieces;
pub mod secrets;
pub mod signature;
pub mod store;
pub mod substitute;
pub mod version;
pub(crate) mod x509;

pub use certificate::{Certificate, KeyForm, KeyKind, PrivateKey};
pub use cipher::CipherSuite;
pub use facts::{EarlyData, Facts, HandshakeError};
pub use group::Group;
pub use pieces::Pieces;
pub use secrets::{Secret, Secrets};
pub use signature::Signature;
pub use store::Store;
pub use version::{Version, Versions};
