//! Variables of rules: named values with a scope (manual, section 2.8).
//!
//! Names become numbers when a configuration is read, so that a lookup compares numbers only. What is absent: the
//! variables of the process, which all workers share ([`Shared`] guards them with a lock).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::value::Value;

/// Most variables of one session or exchange; a rule that sets another one has no effect.
pub const VARIABLES_MAX: usize = 256;

/// Most bytes of one variable's value.
pub const VALUE_BYTES_MAX: usize = 1 << 16;

/// Most names that are remembered for those who list variables ([`Variables::list`]).
const NAMES_MAX: usize = 1 << 16;

/// The names behind the numbers, as they were read from configurations. Rules never look here.
static NAMES: Mutex<BTreeMap<u64, Box<str>>> = Mutex::new(BTreeMap::new());

fn names() -> MutexGuard<'static, BTreeMap<u64, Box<str>>> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a variable lives, and who sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// The process: all sessions share it.
    Process,
    /// One client connection.
    Session,
    /// One request and its response.
    Transaction,
    /// The processing of the request alone.
    Request,
    /// The processing of the response alone.
    Response,
    /// One health check.
    Check,
}

impl Scope {
    const NAMES: [(&'static str, Self); 6] = [
        ("proc", Self::Process),
        ("sess", Self::Session),
        ("txn", Self::Transaction),
        ("req", Self::Request),
        ("res", Self::Response),
        ("check", Self::Check),
    ];

    /// The scope that a configuration calls so.
    pub(crate) fn named(text: &str) -> Option<Self> {
        let known = Self::NAMES.iter().find(|(name, _)| *name == text)?;
        Some(known.1)
    }

    /// What a configuration calls it.
    pub(crate) fn name(self) -> &'static str {
        let mut known = Self::NAMES.iter();
        known
            .find(|(_, scope)| *scope == self)
            .map_or("", |(name, _)| name)
    }
}

/// A variable's name as written in a configuration, such as `txn.user`.
#[derive(Clone, PartialEq, Eq)]
pub struct Name {
    pub scope: Scope,
    /// A number that stands for the name within its scope.
    key: u64,
    text: Box<str>,
}

impl Name {
    /// Reads `SCOPE.NAME`.
    ///
    /// # Errors
    /// What is wrong with the name, as one sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scope, name) = text
            .split_once('.')
            .ok_or_else(|| format!("the variable '{text}' has no scope"))?;
        let Some(scope) = Scope::named(scope) else {
            return Err(format!("'{scope}' is not a scope of variables"));
        };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
        if name.is_empty() || !name.bytes().all(fits) {
            return Err(format!(
                "'{name}' is not a variable's name: it consists of letters, digits, '.' and '_'"
            ));
        }
        let key = hash(name.as_bytes());
        let mut names = names();
        if names.len() < NAMES_MAX {
            names.entry(key).or_insert_with(|| name.into());
        }
        Ok(Self {
            scope,
            key,
            text: text.into(),
        })
    }

    /// As written, scope included.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// FNV-1a: names come from configurations, so nobody picks them to collide.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Variables of one session or one exchange, few enough to be searched one by one.
#[derive(Clone, Debug, Default)]
pub struct Variables(Vec<(Scope, u64, Value<'static>)>);

impl Variables {
    pub fn find(&self, name: &Name) -> Option<&Value<'static>> {
        let mut known = self.0.iter();
        let found = known.find(|(scope, key, _)| (*scope, *key) == (name.scope, name.key))?;
        Some(&found.2)
    }

    /// Sets a variable; returns `false`, and changes nothing, when a cap is hit.
    pub fn set(&mut self, name: &Name, value: Value<'static>) -> bool {
        if value.bytes().map_or(0, <[u8]>::len) > VALUE_BYTES_MAX {
            return false;
        }
        let place = |(scope, key, _): &&mut (Scope, u64, Value<'static>)| {
            (*scope, *key) == (name.scope, name.key)
        };
        if let Some(known) = self.0.iter_mut().find(place) {
            known.2 = value;
            return true;
        }
        let fits = self.0.len() < VARIABLES_MAX;
        if fits {
            self.0.push((name.scope, name.key, value));
        }
        fits
    }

    pub fn unset(&mut self, name: &Name) {
        self.0
            .retain(|(scope, key, _)| (*scope, *key) != (name.scope, name.key));
    }

    /// Names, without their scope, and values of the variables of one scope, in the order in which they were first set.
    pub(crate) fn list(&self, scope: Scope) -> impl Iterator<Item = (String, &Value<'static>)> {
        let of_scope = self.0.iter().filter(move |(known, ..)| *known == scope);
        of_scope.map(|(_, key, value)| {
            let name = names().get(key).map(ToString::to_string);
            let name = name.unwrap_or_else(|| format!("var_{key:016x}"));
            (name, value)
        })
    }

    /// Forgets the variables of one scope.
    pub fn end(&mut self, ended: Scope) {
        self.0.retain(|(scope, ..)| *scope != ended);
    }
}

/// Variables of the process (`proc.NAME`), by name.
#[derive(Debug, Default)]
pub struct Shared(Mutex<BTreeMap<Box<str>, Value<'static>>>);

impl Shared {
    pub fn find(&self, name: &Name) -> Option<Value<'static>> {
        self.lock().get(name.text()).cloned()
    }

    /// See [`Variables::set`].
    pub fn set(&self, name: &Name, value: Value<'static>) -> bool {
        let mut known = self.lock();
        let fits = value.bytes().map_or(0, <[u8]>::len) <= VALUE_BYTES_MAX
            && (known.len() < VARIABLES_MAX || known.contains_key(name.text()));
        if fits {
            known.insert(name.text().into(), value);
        }
        fits
    }

    pub fn unset(&self, name: &Name) {
        self.lock().remove(name.text());
    }

    /// As [`Variables::list`], sorted by their names.
    pub(crate) fn list(&self) -> Vec<(String, Value<'static>)> {
        let known = self.lock();
        let unscoped = |name: &str| {
            name.split_once('.')
                .map_or(name, |(_, name)| name)
                .to_owned()
        };
        let entries = known.iter();
        entries
            .map(|(name, value)| (unscoped(name), value.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Value<'static>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_scopes() {
        assert_eq!(Name::parse("txn.a.b_1").unwrap().scope, Scope::Transaction);
        for (text, part) in [
            ("a", "no scope"),
            ("global.a", "not a scope"),
            ("txn.", "not a variable's name"),
            ("txn.a-b", "not a variable's name"),
        ] {
            let error = Name::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn scopes_are_apart_and_end_alone() {
        let name = |text| Name::parse(text).unwrap();
        let mut variables = Variables::default();
        assert!(variables.set(&name("req.a"), Value::Integer(1)));
        assert!(variables.set(&name("txn.a"), Value::Integer(2)));
        assert!(variables.set(&name("txn.a"), Value::Integer(3)));
        variables.end(Scope::Request);
        assert_eq!(variables.find(&name("req.a")), None);
        assert_eq!(variables.find(&name("txn.a")), Some(&Value::Integer(3)));
        variables.unset(&name("txn.a"));
        assert_eq!(variables.find(&name("txn.a")), None);
    }

    #[test]
    fn caps_hold() {
        let mut variables = Variables::default();
        for index in 0..VARIABLES_MAX {
            let name = Name::parse(&format!("txn.v{index}")).unwrap();
            assert!(variables.set(&name, Value::Integer(0)));
        }
        let more = Name::parse("txn.more").unwrap();
        assert!(!variables.set(&more, Value::Integer(0)));
        let known = Name::parse("txn.v0").unwrap();
        assert!(!variables.set(&known, Value::owned(vec![0; VALUE_BYTES_MAX + 1])));
        assert!(variables.set(&known, Value::Integer(7)));
    }
}
