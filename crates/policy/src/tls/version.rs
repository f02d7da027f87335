//! TLS versions, by the names that configurations use, and which of them are offered.

use std::fmt;

/// A version of TLS or SSL that a configuration can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Ssl30,
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Self; 5] = [
        Self::Ssl30,
        Self::Tls10,
        Self::Tls11,
        Self::Tls12,
        Self::Tls13,
    ];

    /// As `ssl-min-ver` and `ssl_fc_protocol` write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ssl30 => "SSLv3",
            Self::Tls10 => "TLSv1.0",
            Self::Tls11 => "TLSv1.1",
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }

    /// The version of a name; names are exact.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == name)
    }

    /// Whether connections of this version can be made at all.
    pub const fn is_offered(self) -> bool {
        matches!(self, Self::Tls12 | Self::Tls13)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The versions that one side offers. At least one of them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Versions {
    pub tls12: bool,
    pub tls13: bool,
}

impl Default for Versions {
    fn default() -> Self {
        Self {
            tls12: true,
            tls13: true,
        }
    }
}

impl Versions {
    pub const fn offers(self, version: Version) -> bool {
        match version {
            Version::Tls12 => self.tls12,
            Version::Tls13 => self.tls13,
            _ => false,
        }
    }

    /// The oldest that is offered.
    pub const fn least(self) -> Version {
        match self.tls12 {
            true => Version::Tls12,
            false => Version::Tls13,
        }
    }

    /// The newest that is offered.
    pub const fn most(self) -> Version {
        match self.tls13 {
            true => Version::Tls13,
            false => Version::Tls12,
        }
    }

    /// What is left between two bounds and without some versions; `None` when that is nothing.
    pub fn between(min: Version, max: Version, without: &[Version]) -> Option<Self> {
        let offers =
            |version: Version| min <= version && version <= max && !without.contains(&version);
        let versions = Self {
            tls12: offers(Version::Tls12),
            tls13: offers(Version::Tls13),
        };
        (versions.tls12 || versions.tls13).then_some(versions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_leave_what_is_offered() {
        use Version::{Ssl30, Tls10, Tls11, Tls12, Tls13};
        let both = Some(Versions::default());
        let only = |tls12, tls13| Some(Versions { tls12, tls13 });
        for (min, max, without, left) in [
            (Ssl30, Tls13, &[][..], both),
            (Tls12, Tls12, &[], only(true, false)),
            (Tls13, Tls13, &[], only(false, true)),
            (Tls10, Tls13, &[Tls13], only(true, false)),
            (Tls10, Tls11, &[], None),
            (Tls12, Tls13, &[Tls12, Tls13], None),
            (Tls13, Tls12, &[], None),
        ] {
            assert_eq!(Versions::between(min, max, without), left, "{min} {max}");
        }
        assert_eq!(Version::named("TLSv1.2"), Some(Tls12));
        assert_eq!(Version::named("tlsv1.2"), None);
    }
}
