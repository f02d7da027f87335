//! Holes with short names, such as `%ci` (manual, section 8.2.6).

use crate::context::Context;

/// One short name.
pub(crate) struct Alias {
    pub(crate) name: &'static str,
    /// One sentence.
    pub(crate) doc: &'static str,
    /// Appends the content; returns whether there was any.
    pub(crate) write: fn(&Context<'_>, &mut Vec<u8>) -> bool,
}

impl std::fmt::Debug for Alias {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "%{}", self.name)
    }
}

impl PartialEq for Alias {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Sorted.
pub(crate) const ALIASES: &[Alias] = &[
    Alias {
        name: "ci",
        doc: "The client's address.",
        write: |context, out| write_ip(context.session.source, out),
    },
    Alias {
        name: "cp",
        doc: "The client's port.",
        write: |context, out| write_port(context.session.source, out),
    },
    Alias {
        name: "fi",
        doc: "The address the client connected to.",
        write: |context, out| write_ip(context.session.destination, out),
    },
    Alias {
        name: "fp",
        doc: "The port the client connected to.",
        write: |context, out| write_port(context.session.destination, out),
    },
    Alias {
        name: "sslc",
        doc: "The cipher suite of the client's connection.",
        write: |context, out| {
            let suite = context.session.tls().and_then(|tls| tls.suite);
            suite.is_some_and(|suite| {
                out.extend_from_slice(suite.name().as_bytes());
                true
            })
        },
    },
    Alias {
        name: "sslv",
        doc: "The version of TLS of the client's connection.",
        write: |context, out| {
            let version = context.session.tls().and_then(|tls| tls.version);
            version.is_some_and(|version| {
                out.extend_from_slice(version.name().as_bytes());
                true
            })
        },
    },
];

fn write_ip(address: Option<std::net::SocketAddr>, out: &mut Vec<u8>) -> bool {
    use std::io::Write as _;
    address.is_some_and(|address| write!(out, "{}", address.ip().to_canonical()).is_ok())
}

fn write_port(address: Option<std::net::SocketAddr>, out: &mut Vec<u8>) -> bool {
    use std::io::Write as _;
    address.is_some_and(|address| write!(out, "{}", address.port()).is_ok())
}

/// The alias that `text` begins with: the longest name that fits.
pub(crate) fn find(text: &str) -> Option<&'static Alias> {
    let fitting = ALIASES.iter().filter(|alias| text.starts_with(alias.name));
    fitting.max_by_key(|alias| alias.name.len())
}

#[cfg(test)]
mod tests {
    use super::ALIASES;

    #[test]
    fn names_are_sorted() {
        assert!(ALIASES.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
