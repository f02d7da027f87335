//! Holes with short names, such as `%ci` (manual, section 8.2.6).
//!
//! One file per topic. A name asks the [`log::Record`](crate::log::Record) of a line that is being written, and before
//! there is one, what the context knows so far.

mod message;
mod place;
mod state;
mod time;

use super::pen::Pen;
use crate::context::Context;

/// One short name.
pub(crate) struct Alias {
    pub(crate) name: &'static str,
    /// One sentence.
    pub(crate) doc: &'static str,
    /// Refused but in log lines.
    pub(crate) log_only: bool,
    pub(super) write: fn(&Context<'_>, &mut Pen<'_>),
}

impl Alias {
    const fn new(
        name: &'static str,
        doc: &'static str,
        write: fn(&Context<'_>, &mut Pen<'_>),
    ) -> Self {
        Self {
            name,
            doc,
            log_only: false,
            write,
        }
    }
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

const TOPICS: &[&[Alias]] = &[
    place::ALIASES,
    time::ALIASES,
    message::ALIASES,
    state::ALIASES,
];

/// Every name, topic by topic.
pub(crate) fn rows() -> impl Iterator<Item = &'static Alias> {
    TOPICS.iter().copied().flatten()
}

/// The alias called `name`.
pub(super) fn find(name: &str) -> Option<&'static Alias> {
    rows().find(|alias| alias.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_all_of_haproxys() {
        for topic in TOPICS {
            assert!(topic.windows(2).all(|pair| pair[0].name < pair[1].name));
        }
        let mut names: Vec<_> = rows().map(|alias| alias.name).collect();
        names.sort_unstable();
        let manual = "B CC CS H HM HP HPO HQ HU HV ID OG ST T TR Ta Tc Td Th Ti Tl Tq Tr Ts Tt Tu Tw U ac b bc bi bp bq \
                      ci cp f fc fi fp ft hr hrl hs hsl lc ms pid r rc rt s sc si sp sq sslc sslv t tr trg trl ts tsc";
        assert_eq!(names, manual.split_ascii_whitespace().collect::<Vec<_>>());
    }
}
