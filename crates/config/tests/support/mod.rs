//! What the test files share: a grammar and a program that claims nothing special.

use plimsoll_config::condition::{Conditions, LibraryVersion, Version};
use plimsoll_config::haproxy::Grammar;

pub(crate) const GRAMMAR: Grammar = Grammar {
    sections: &[
        "acme",
        "backend",
        "cache",
        "crt-store",
        "defaults",
        "fcgi-app",
        "frontend",
        "global",
        "healthcheck",
        "http-errors",
        "listen",
        "log-forward",
        "log-profile",
        "mailers",
        "peers",
        "program",
        "resolvers",
        "ring",
        "traces",
        "userlist",
    ],
    environment_section: "global",
    scopes: false,
    diagnose: false,
};

pub(crate) struct Claims;

impl Conditions for Claims {
    fn version(&self) -> Version {
        Version::development(3, 5, 5)
    }

    fn feature(&self, name: &str) -> bool {
        matches!(name, "OPENSSL" | "THREAD")
    }

    fn openssl_version(&self) -> Option<LibraryVersion> {
        Some(LibraryVersion::new(3, 0, 0))
    }

    fn ssl_library(&self) -> Option<&str> {
        Some("OpenSSL")
    }
}
