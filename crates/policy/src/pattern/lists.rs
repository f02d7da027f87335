//! The lists of one configuration: who uses them, under which names and numbers they are known.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use plimsoll_config::diagnostic::Span;
use plimsoll_config::source::Sources;

use super::list::{List, Origin};

/// A list that rules change and that something else may define further down; empty where nothing does.
pub(crate) type Promise = Arc<OnceLock<Arc<List>>>;

/// The lists of one configuration.
#[derive(Debug, Default)]
pub struct Lists(Mutex<Register>);

#[derive(Debug, Default)]
struct Register {
    /// In the order of the configuration until they have their numbers, in the order of these then.
    all: Vec<Known>,
    promises: BTreeMap<String, (Promise, Span)>,
}

/// One list, and what is known about it.
#[derive(Clone, Debug)]
pub struct Known {
    pub list: Arc<List>,
    /// Conditions use it.
    pub is_acl: bool,
    /// Converters use it, or conditions as if they did.
    pub is_map: bool,
    /// Where it is used, for people.
    pub about: String,
    /// The number that the configuration gives it.
    number: Option<u32>,
    /// The name as it was written first.
    written: String,
    mentions: Vec<Mention>,
}

/// A place in the configuration that uses a list.
#[derive(Clone, Debug)]
struct Mention {
    noun: String,
    span: Span,
}

/// What lists contain changes while the configuration stays the same.
impl PartialEq for Lists {
    fn eq(&self, other: &Self) -> bool {
        let origins = |lists: &Self| -> Vec<Origin> {
            let register = lists.register();
            let lists = register.all.iter();
            lists.map(|known| known.list.origin.clone()).collect()
        };
        origins(self) == origins(other)
    }
}

/// The name of a file without a prefix that changes nothing about which list it is.
fn bare(name: &str) -> &str {
    let rest = name
        .strip_prefix("file@")
        .or_else(|| name.strip_prefix("opt@"));
    rest.filter(|rest| !rest.is_empty()).unwrap_or(name)
}

impl Lists {
    fn register(&self) -> MutexGuard<'_, Register> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The list of a file; `true` when it is new and has no patterns yet.
    ///
    /// # Errors
    /// The file is used with and without values.
    pub(crate) fn file(
        &self,
        name: &str,
        is_acl: bool,
        has_values: bool,
        span: Span,
    ) -> Result<(Arc<List>, bool), String> {
        let origin = Origin::File(bare(name).to_owned());
        let mention = Mention {
            noun: if has_values { "map" } else { "acl" }.to_owned(),
            span,
        };
        let mut register = self.register();
        let mut lists = register.all.iter_mut();
        if let Some(known) = lists.find(|known| known.list.origin == origin) {
            if known.list.has_values() != has_values {
                let (used, wanted) = if has_values {
                    ("one", "two")
                } else {
                    ("two", "one")
                };
                return Err(format!(
                    "'{name}' is already used as a file of {used} column(s), and cannot be one of {wanted}"
                ));
            }
            known.is_acl |= is_acl;
            known.is_map |= has_values;
            known.mentions.push(mention);
            return Ok((Arc::clone(&known.list), false));
        }
        let list = Arc::new(List::new(origin, has_values));
        register.all.push(Known {
            list: Arc::clone(&list),
            is_acl,
            is_map: has_values,
            about: String::new(),
            number: None,
            written: name.to_owned(),
            mentions: vec![mention],
        });
        if let Some((promise, _)) = register.promises.get(bare(name)) {
            // A file has one list.
            let _ = promise.set(Arc::clone(&list));
        }
        Ok((list, true))
    }

    /// A list for the patterns of one line, which compares with this criterion.
    ///
    /// # Errors
    /// The number is another list's.
    pub(crate) fn line(
        &self,
        criterion: &str,
        number: Option<u32>,
        span: Span,
    ) -> Result<Arc<List>, String> {
        let mut register = self.register();
        let mut lists = register.all.iter();
        if number.is_some() && lists.any(|known| known.number == number) {
            return Err("the number is another list's".to_owned());
        }
        let origin = Origin::Line(register.all.len() as u32);
        let list = Arc::new(List::new(origin, false));
        register.all.push(Known {
            list: Arc::clone(&list),
            is_acl: true,
            is_map: false,
            about: String::new(),
            number,
            written: String::new(),
            mentions: vec![Mention {
                noun: criterion.to_owned(),
                span,
            }],
        });
        Ok(list)
    }

    /// The list of a file, as soon as something reads it.
    pub(crate) fn promise(&self, name: &str, span: Span) -> Promise {
        let mut register = self.register();
        let origin = Origin::File(bare(name).to_owned());
        let mut lists = register.all.iter();
        let known = lists.find(|known| known.list.origin == origin);
        let known = known.map(|known| Arc::clone(&known.list));
        let promise = register.promises.entry(bare(name).to_owned());
        let (promise, _) = promise.or_insert_with(|| (Promise::default(), span));
        if let Some(list) = known {
            // A file has one list.
            let _ = promise.set(list);
        }
        Arc::clone(promise)
    }

    /// Names that rules change and that nothing reads.
    pub(crate) fn broken_promises(&self) -> Vec<(String, Span)> {
        let register = self.register();
        let promises = register.promises.iter();
        promises
            .filter(|(_, (promise, _))| promise.get().is_none())
            .map(|(name, (_, span))| (name.clone(), *span))
            .collect()
    }

    /// Gives every list its number: first those that the configuration numbers.
    pub(crate) fn number(&self) {
        let mut register = self.register();
        let taken: HashSet<u32> = register
            .all
            .iter()
            .filter_map(|known| known.number)
            .collect();
        let mut free = (0..).filter(|number| !taken.contains(number));
        for known in &register.all {
            let number = known.number.or_else(|| free.next());
            known.list.set_number(number.unwrap_or_default());
        }
        register.all.sort_by_key(|known| known.list.number());
    }

    /// Finds out on which lines lists are used.
    pub fn locate(&self, sources: &Sources) {
        let mut register = self.register();
        for known in &mut register.all {
            let place = |mention: &Mention| {
                let file = sources.path(mention.span.file).display().to_string();
                let line = sources.location(mention.span.file, mention.span.start).line;
                format!("file '{file}' line {line}")
            };
            known.about = match &known.list.origin {
                Origin::File(_) => format!("pattern loaded from file '{}' used", known.written),
                Origin::Line(_) => String::new(),
            };
            for (index, mention) in known.mentions.iter().enumerate() {
                let (noun, place) = (&mention.noun, place(mention));
                // Writing into a String cannot fail.
                let _ = match (&known.list.origin, index) {
                    (Origin::Line(_), _) => write!(known.about, "acl '{noun}' {place}"),
                    (Origin::File(_), 0) => write!(known.about, " by {noun} at {place}"),
                    (Origin::File(_), _) => write!(known.about, ", by {noun} at {place}"),
                };
            }
        }
    }

    /// Every list, in the order of their numbers.
    pub fn all(&self) -> Vec<Known> {
        self.register().all.clone()
    }

    /// The list of this name, or of the number behind `#`.
    pub fn find(&self, reference: &str) -> Option<Known> {
        let register = self.register();
        let mut lists = register.all.iter();
        let found = match reference.strip_prefix('#') {
            Some(number) => {
                let number: u32 = number.parse().ok()?;
                lists.find(|known| known.list.number() == number)
            }
            None => lists.find(|known| match &known.list.origin {
                Origin::File(name) => name == bare(reference),
                Origin::Line(_) => false,
            }),
        };
        found.cloned()
    }

    /// Goes on with what was changed at run time in lists of files that the configuration reads as before.
    pub(crate) fn settle(&self, before: &Self) {
        if std::ptr::eq(self, before) {
            return;
        }
        let before = before.all();
        for known in self.all() {
            let Origin::File(_) = &known.list.origin else {
                continue;
            };
            let mut lists = before.iter();
            let same = lists.find(|before| before.list.origin == known.list.origin);
            if let Some(before) = same {
                // What does not fit the new uses stays as the file says.
                let _ = known.list.take_over(&before.list);
            }
        }
    }
}
