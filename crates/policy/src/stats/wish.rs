//! What a scrape of the Prometheus exporter asks for: the part of its URI behind `?`, as HAProxy's exporter reads it.

use std::collections::BTreeSet;

use crate::convert::decode_percent;

/// Most names of metrics that one scrape may ask for or leave out; further ones are not looked at.
const METRICS_MAX: usize = 1_024;

/// What a scrape asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    pub(super) process: bool,
    pub(super) frontends: bool,
    pub(super) backends: bool,
    pub(super) servers: bool,
    pub(super) tables: bool,
    pub(super) resolvers: bool,
    /// `no-maint`: servers in maintenance are left out.
    pub(super) without_maintenance: bool,
    /// `desc-labels`: descriptions of the process and of proxies are labels.
    pub(super) described: bool,
    /// `metrics=NAME,-NAME`: these alone where there are any, and those not.
    wanted: BTreeSet<String>,
    unwanted: BTreeSet<String>,
    /// Some were wanted, so that others are not.
    chooses: bool,
}

impl Wish {
    /// Reads `scope=global|frontend|backend|server|resolver|sticktable|*` and `metrics=[-]NAME,…`, each as often as wanted,
    /// `no-maint` and `desc-labels`. `None`: a scope is not known, or a percent sign is followed by no number.
    pub fn read(query: &str) -> Option<Self> {
        let (mut wish, mut scoped) = (Self::default(), false);
        for part in query.split('&') {
            let (key, value) = match part.split_once('=') {
                Some((key, value)) => (key, Some(decoded(value)?)),
                None => (part, None),
            };
            match (decoded(key)?.as_str(), value) {
                ("scope", Some(scope)) => {
                    scoped = true;
                    wish.scope(&scope)?;
                }
                ("metrics", Some(names)) => wish.metrics(&names),
                ("scope" | "metrics", None) => return None,
                ("no-maint", _) => wish.without_maintenance = true,
                ("desc-labels", _) => wish.described = true,
                _ => {}
            }
        }
        if !scoped {
            wish.all(true);
        }
        Some(wish)
    }

    fn scope(&mut self, scope: &str) -> Option<()> {
        match scope {
            "" => self.all(false),
            "*" => self.all(true),
            "global" => self.process = true,
            "frontend" => self.frontends = true,
            "backend" => self.backends = true,
            "server" => self.servers = true,
            "resolver" => self.resolvers = true,
            "sticktable" => self.tables = true,
            // Listeners have no counters of their own here.
            "listener" => {}
            _ => return None,
        }
        Some(())
    }

    fn all(&mut self, on: bool) {
        (self.process, self.frontends, self.backends) = (on, on, on);
        (self.servers, self.tables, self.resolvers) = (on, on, on);
    }

    fn metrics(&mut self, names: &str) {
        for name in names.split(',').filter(|name| !name.is_empty()) {
            let (name, on) = match name.strip_prefix('-') {
                Some(name) => (name, false),
                None => (name, true),
            };
            if name.is_empty() || self.wanted.len() + self.unwanted.len() >= METRICS_MAX {
                continue;
            }
            // The last word on a name counts.
            let (into, from) = match on {
                true => (&mut self.wanted, &mut self.unwanted),
                false => (&mut self.unwanted, &mut self.wanted),
            };
            from.remove(name);
            into.insert(name.to_owned());
            self.chooses |= on;
        }
    }

    /// The families of a text that are wished for.
    pub(super) fn filtered(&self, text: String) -> String {
        if !self.chooses && self.unwanted.is_empty() {
            return text;
        }
        let (mut out, mut kept) = (String::new(), true);
        for line in text.split_inclusive('\n') {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let name = rest.split(' ').next().unwrap_or_default();
                kept =
                    !self.unwanted.contains(name) && (!self.chooses || self.wanted.contains(name));
            }
            if kept {
                out.push_str(line);
            }
        }
        out
    }
}

fn decoded(text: &str) -> Option<String> {
    let bytes = decode_percent(text.as_bytes(), true)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(query: &str) -> Vec<String> {
        let text = ["a", "b", "c"]
            .map(|name| format!("# HELP {name} x\n# TYPE {name} gauge\n{name}_sum 1\n"));
        let text = Wish::read(query).expect("a query").filtered(text.concat());
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| line.replace("_sum 1", "")).collect()
    }

    #[test]
    fn metrics_are_chosen_and_left_out() {
        for (query, expected) in [
            ("", &["a", "b", "c"][..]),
            ("metrics=a", &["a"]),
            ("metrics=a,c", &["a", "c"]),
            ("metrics=a%2Cc", &["a", "c"]),
            ("metrics=a&metrics=b", &["a", "b"]),
            ("metrics=-b", &["a", "c"]),
            ("metrics=a,-a", &[]),
            ("metrics=-a,a", &["a"]),
            ("metrics=", &["a", "b", "c"]),
            ("metrics=-,,", &["a", "b", "c"]),
            ("metrics=none", &[]),
        ] {
            assert_eq!(names(query), expected, "{query}");
        }
    }

    #[test]
    fn scopes_add_up_until_an_empty_one() {
        let read = |query| Wish::read(query).expect("a query");
        let wish = read("scope=%2A");
        assert!(wish.process && wish.servers && wish.resolvers && wish.tables);
        assert_eq!(read("scope=*&scope="), Wish::default());
        assert!(read("scope=server&no-maint=1").without_maintenance);
        for wrong in ["scope=galaxy", "scope", "metrics", "scope=%zz"] {
            assert_eq!(Wish::read(wrong), None, "{wrong}");
        }
    }
}
