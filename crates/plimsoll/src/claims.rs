//! What Plimsoll says of itself when a configuration or a script asks in HAProxy's words.
//!
//! Scripts choose what they write by these answers, so each "yes" here is a promise. The cryptography is AWS-LC, and so
//! HAProxy's answers on AWS-LC are given: it calls itself OpenSSL 1.1.1, which stands for TLS 1.3 and its words.

use plimsoll_config::condition::{Conditions, LibraryVersion, Version};

/// The HAProxy version whose language we read.
pub(crate) const HAPROXY_VERSION: Version = Version::development(3, 5, 5);

/// The same as text.
pub(crate) const HAPROXY_VERSION_TEXT: &str = "3.5-dev5";

/// The branch of that version.
pub(crate) const HAPROXY_BRANCH: &str = "3.5";

/// HAProxy's build features, sorted, and whether we have what each stands for.
pub(crate) const FEATURES: &[(&str, bool)] = &[
    ("ACCEPT4", true),
    ("CPU_AFFINITY", true),
    ("EPOLL", true),
    ("GETADDRINFO", true),
    ("KQUEUE", false),
    ("LINUX_SPLICE", true),
    ("LINUX_TPROXY", true),
    ("LUA", false),
    ("OPENSSL", true),
    ("OPENSSL_AWSLC", true),
    // Patterns in Perl's language, which is what files ask about: all of it but what needs time without bounds.
    ("PCRE", true),
    ("PCRE2", true),
    ("PROMEX", true),
    ("QUIC", false),
    ("SLZ", false),
    ("THREAD", true),
    ("TPROXY", true),
    ("ZLIB", false),
];

/// Options of HAProxy's that can be switched off on its command line.
const ENABLED: &[&str] = &[
    "EPOLL",
    "FAST-FORWARD",
    "GETADDRINFO",
    "REUSEPORT",
    "SPLICE",
];

/// The number of the interface of the AWS-LC that is built in (AWSLC_API_VERSION).
const AWSLC_API: u32 = 37;

/// The answers to `.if` and `-cc`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims {
    /// Whether splice(2) may be used (`-dS` says no).
    pub(crate) splice: bool,
}

impl Default for Claims {
    fn default() -> Self {
        Self { splice: true }
    }
}

impl Conditions for Claims {
    fn version(&self) -> Version {
        HAPROXY_VERSION
    }

    fn feature(&self, name: &str) -> bool {
        FEATURES
            .iter()
            .any(|(feature, present)| *feature == name && *present)
    }

    fn ssl_library(&self) -> Option<&str> {
        Some("AWS-LC")
    }

    fn openssl_version(&self) -> Option<LibraryVersion> {
        Some(LibraryVersion::new(1, 1, 1))
    }

    fn awslc_api(&self) -> Option<u32> {
        Some(AWSLC_API)
    }

    fn enabled(&self, option: &str) -> bool {
        ENABLED.contains(&option) && (self.splice || option != "SPLICE")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_and_its_text_agree() {
        assert_eq!(Version::parse(HAPROXY_VERSION_TEXT), Some(HAPROXY_VERSION));
        assert!(HAPROXY_VERSION_TEXT.starts_with(HAPROXY_BRANCH));
    }

    #[test]
    fn features_are_sorted_and_nothing_is_claimed_twice() {
        assert!(FEATURES.is_sorted_by(|a, b| a.0 < b.0));
        assert!(Claims::default().feature("OPENSSL"));
        assert!(Claims::default().feature("THREAD"));
        assert!(!Claims { splice: false }.enabled("SPLICE"));
    }
}
