//! The answers to `-v` and its longer forms.
//!
//! Scripts read the version after the words `HAProxy version`, and the target after `TARGET`. The same lines say
//! plainly that this is another program.

use std::fmt::Write as _;

use super::arguments::Version;
use crate::claims::{FEATURES, HAPROXY_BRANCH, HAPROXY_VERSION_TEXT};

/// The text to print.
pub(crate) fn text(version: Version) -> String {
    match version {
        Version::Short => short(),
        Version::Full => full(),
        Version::Number => format!("{HAPROXY_VERSION_TEXT}\n"),
        Version::NumberShort | Version::Branch => format!("{HAPROXY_BRANCH}\n"),
    }
}

/// Two lines, as at the head of the usage.
pub(crate) fn short() -> String {
    format!(
        "HAProxy version {HAPROXY_VERSION_TEXT} compatible: this is Plimsoll {}, which is not HAProxy\n\
         It reads HAProxy's configuration and command line; 'plimsoll --help' shows its own.\n",
        env!("CARGO_PKG_VERSION")
    )
}

fn full() -> String {
    let mut text = short();
    text.push_str("Build options :\n  TARGET  = linux-glibc\n  OPTIONS =\n\nFeature list :");
    for (feature, present) in FEATURES {
        let _ = write!(text, " {}{feature}", if *present { '+' } else { '-' });
    }
    text.push_str(
        "\n\nBuilt with multi-threading support.\nBuilt without TLS, compression, Lua and QUIC.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scripts_read() {
        let text = full();
        let version = text
            .lines()
            .find_map(|line| line.strip_prefix("HAProxy version "))
            .and_then(|rest| rest.split(' ').next());
        assert_eq!(version, Some(HAPROXY_VERSION_TEXT));
        let target = text
            .lines()
            .find(|line| line.contains("TARGET"))
            .and_then(|line| line.rsplit(" = ").next());
        assert_eq!(target, Some("linux-glibc"));
        assert!(text.contains("which is not HAProxy"));
        assert_eq!(super::text(Version::Branch), "3.5\n");
    }
}
