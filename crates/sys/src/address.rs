//! Addresses of sockets. Resolving names and reading configuration spellings happen elsewhere.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

/// Where a stream or datagram socket is, or what it talks to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// TCP or UDP over IPv4 or IPv6.
    Inet(SocketAddr),
    /// A unix socket in the file system.
    Unix(PathBuf),
    /// A unix socket in Linux's abstract name space: any bytes, without the leading zero.
    Abstract(Box<[u8]>),
    /// A unix socket without a name, such as the client's end of a connection.
    Unnamed,
}

impl Address {
    /// The internet address, if it is one.
    #[must_use]
    pub fn inet(&self) -> Option<SocketAddr> {
        match self {
            Self::Inet(address) => Some(*address),
            _ => None,
        }
    }

    /// Whether it leads back to this machine by way of the loopback interface.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        matches!(self, Self::Inet(address) if address.ip().to_canonical().is_loopback())
    }

    /// Whether this is a unix socket of any kind.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        !matches!(self, Self::Inet(_))
    }

    pub(crate) fn family(&self) -> AddressFamily {
        match self {
            Self::Inet(SocketAddr::V4(_)) => AddressFamily::INET,
            Self::Inet(SocketAddr::V6(_)) => AddressFamily::INET6,
            _ => AddressFamily::UNIX,
        }
    }

    /// The kernel's form. Fails when a path or name does not fit the 108 bytes of `sockaddr_un`.
    pub(crate) fn encode(&self) -> io::Result<SocketAddrAny> {
        Ok(match self {
            Self::Inet(address) => (*address).into(),
            Self::Unix(path) => SocketAddrUnix::new(path.as_path())?.into(),
            Self::Abstract(name) => SocketAddrUnix::new_abstract_name(name)?.into(),
            Self::Unnamed => SocketAddrUnix::new_unnamed().into(),
        })
    }

    pub(crate) fn decode(raw: &SocketAddrAny) -> Self {
        if let Ok(address) = SocketAddr::try_from(raw.clone()) {
            return Self::Inet(address);
        }
        let Ok(unix) = SocketAddrUnix::try_from(raw.clone()) else {
            return Self::Unnamed;
        };
        // An unnamed socket looks like an empty abstract name.
        if let Some(name) = unix.abstract_name().filter(|name| !name.is_empty()) {
            return Self::Abstract(name.into());
        }
        match unix.path() {
            Some(path) => Self::Unix(std::ffi::OsStr::from_bytes(path.to_bytes()).into()),
            None => Self::Unnamed,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix@{}", path.display()),
            Self::Abstract(name) => {
                // Zeros at the end are padding.
                let name = String::from_utf8_lossy(name);
                write!(f, "abns@{}", name.trim_end_matches('\0'))
            }
            Self::Unnamed => f.write_str("unix@"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_kernel_form() {
        for address in [
            Address::Inet("127.0.0.1:80".parse().unwrap()),
            Address::Inet("[::1]:8080".parse().unwrap()),
            Address::Unix("/run/a.sock".into()),
            Address::Abstract(Box::from(&b"na\0me"[..])),
            Address::Unnamed,
        ] {
            assert_eq!(Address::decode(&address.encode().unwrap()), address);
        }
    }

    #[test]
    fn a_path_that_does_not_fit_is_refused() {
        assert!(Address::Unix("x".repeat(200).into()).encode().is_err());
    }
}
