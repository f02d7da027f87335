//! Which certificate answers for the name that a client asks for (HAProxy's manual, `crt`, `crt-list`, `strict-sni`).
//!
//! A name is looked up as it is, then with its first label replaced by `*`; of certificates for the same name the one
//! whose key the client can verify is taken, ECDSA before RSA. Without a match the default certificates stand in.

use std::collections::HashMap;

use super::certificate::KeyKind;

/// Signature algorithms of the client, as far as they matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verifies {
    pub ecdsa: bool,
    pub rsa: bool,
}

/// A name behind a certificate of a `crt-list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// In lower case; a wildcard without its `*`.
    pub name: String,
    pub wildcard: bool,
    /// `!`: excluded from the wildcards of the same line.
    pub negated: bool,
}

impl Filter {
    /// `[!][*]name`.
    pub fn read(text: &str) -> Self {
        let (negated, rest) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (wildcard, name) = match rest.strip_prefix('*') {
            Some(name) => (true, name),
            None => (false, rest),
        };
        Self {
            name: name.to_ascii_lowercase(),
            wildcard,
            negated,
        }
    }

    /// `*` alone: the certificate is a default one.
    pub fn is_default(&self) -> bool {
        self.wildcard && !self.negated && self.name.is_empty()
    }

    /// As it was written.
    pub fn text(&self) -> String {
        let (not, star) = (
            if self.negated { "!" } else { "" },
            if self.wildcard { "*" } else { "" },
        );
        format!("{not}{star}{}", self.name)
    }
}

/// A certificate that names lead to.
#[derive(Clone, Copy, Debug)]
struct Target {
    /// Its place in the bind's list.
    index: u32,
    kind: KeyKind,
}

/// The certificates of a bind, by name.
#[derive(Debug, Default)]
pub struct Names {
    exact: HashMap<Box<str>, Vec<Target>>,
    /// By what follows the first label, dot included.
    wild: HashMap<Box<str>, Vec<Target>>,
    /// Names that a certificate's wildcards do not cover.
    excluded: HashMap<Box<str>, Vec<u32>>,
    defaults: Vec<Target>,
}

impl Names {
    /// Adds the certificate at `index` under what its filters say, or its own names when there are none.
    pub fn add<'a>(
        &mut self,
        index: usize,
        kind: KeyKind,
        names: impl Iterator<Item = &'a str>,
        filters: &[Filter],
    ) {
        let target = Target {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            kind,
        };
        if filters.is_empty() {
            for name in names {
                self.insert(&Filter::read(name), target);
            }
        }
        for filter in filters {
            self.insert(filter, target);
        }
    }

    fn insert(&mut self, filter: &Filter, target: Target) {
        let name = filter.name.as_str();
        let map = match (filter.negated, filter.wildcard) {
            (_, true) if name.is_empty() => {
                if !filter.negated {
                    self.defaults.push(target);
                }
                return;
            }
            (true, true) => return, // excluding a wildcard means nothing
            (true, false) => {
                let excluded = self.excluded.entry(name.into()).or_default();
                return excluded.push(target.index);
            }
            (false, true) => &mut self.wild,
            (false, false) => &mut self.exact,
        };
        map.entry(name.into()).or_default().push(target);
    }

    /// Makes the certificate at `index` one of those that answer when no name matches.
    pub fn add_default(&mut self, index: usize, kind: KeyKind) {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        if !self.defaults.iter().any(|target| target.index == index) {
            self.defaults.push(Target { index, kind });
        }
    }

    /// The certificate for a name, in lower case, or for a client that gave none.
    pub fn pick(&self, name: Option<&str>, client: Verifies, strict: bool) -> Option<usize> {
        if let Some(name) = name {
            let exact = self.exact.get(name).map_or(&[][..], Vec::as_slice);
            let dot = name.find('.').unwrap_or(name.len());
            let wild = self.wild.get(&name[dot..]).map_or(&[][..], Vec::as_slice);
            let excluded = match wild.is_empty() || self.excluded.is_empty() {
                true => &[][..],
                false => self.excluded.get(name).map_or(&[][..], Vec::as_slice),
            };
            let covered = wild
                .iter()
                .filter(|target| !excluded.contains(&target.index));
            let found = best(exact.iter().chain(covered), client);
            if found.is_some() {
                return found;
            }
        }
        if strict {
            return None;
        }
        best(self.defaults.iter(), client)
    }
}

/// The first certificate of the kind that the client likes best.
fn best<'a>(targets: impl Iterator<Item = &'a Target>, client: Verifies) -> Option<usize> {
    let (mut ecdsa, mut rsa, mut other) = (None, None, None);
    for target in targets {
        let slot = match target.kind {
            KeyKind::Ecdsa => &mut ecdsa,
            KeyKind::Rsa => &mut rsa,
            KeyKind::Other => &mut other,
        };
        slot.get_or_insert(target.index);
    }
    let liked = ecdsa
        .filter(|_| client.ecdsa)
        .or_else(|| rsa.filter(|_| client.rsa));
    let index = liked.or(other).or(ecdsa).or(rsa)?;
    Some(index as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Verifies = Verifies {
        ecdsa: true,
        rsa: true,
    };
    const RSA_ONLY: Verifies = Verifies {
        ecdsa: false,
        rsa: true,
    };

    fn filters(texts: &[&str]) -> Vec<Filter> {
        texts.iter().map(|text| Filter::read(text)).collect()
    }

    #[test]
    fn names_lead_to_certificates() {
        let mut names = Names::default();
        let own = ["example.com", "*.example.com"];
        names.add(0, KeyKind::Rsa, own.into_iter(), &[]);
        names.add_default(0, KeyKind::Rsa);
        names.add(
            1,
            KeyKind::Ecdsa,
            own.into_iter(),
            &filters(&["www.example.com"]),
        );
        let line = filters(&["*.shop.org", "!old.shop.org"]);
        names.add(2, KeyKind::Rsa, own.into_iter(), &line);
        for (name, client, strict, index) in [
            (Some("example.com"), BOTH, false, Some(0)),
            (Some("a.example.com"), BOTH, false, Some(0)),
            (Some("a.b.example.com"), BOTH, false, Some(0)), // by default
            (Some("a.b.example.com"), BOTH, true, None),
            (Some("www.example.com"), BOTH, true, Some(1)),
            (Some("www.example.com"), RSA_ONLY, true, Some(0)),
            (Some("new.shop.org"), BOTH, true, Some(2)),
            (Some("old.shop.org"), BOTH, true, None),
            (Some("shop.org"), BOTH, true, None),
            (None, BOTH, false, Some(0)),
            (None, BOTH, true, None),
        ] {
            assert_eq!(
                names.pick(name, client, strict),
                index,
                "{name:?} {client:?}"
            );
        }
    }

    #[test]
    fn a_star_is_a_default() {
        let mut names = Names::default();
        names.add(0, KeyKind::Rsa, std::iter::empty(), &filters(&["one.org"]));
        names.add(1, KeyKind::Ecdsa, std::iter::empty(), &filters(&["*"]));
        assert_eq!(names.pick(Some("two.org"), BOTH, false), Some(1));
        assert_eq!(names.pick(Some("one.org"), BOTH, false), Some(0));
        assert_eq!(Filter::read("!*.A.org").text(), "!*.a.org");
    }

    #[test]
    fn a_name_that_clients_choose_costs_two_lookups() {
        let mut names = Names::default();
        for index in 0..10_000 {
            let name = format!("host{index}.example{index}.com");
            names.add(index, KeyKind::Ecdsa, [name.as_str()].into_iter(), &[]);
        }
        for index in [0, 1, 5_000, 9_999] {
            let name = format!("host{index}.example{index}.com");
            assert_eq!(names.pick(Some(&name), BOTH, true), Some(index));
        }
    }
}
