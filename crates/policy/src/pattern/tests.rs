//! Lists that change while others search, and what searching costs.

use std::sync::Arc;

use plimsoll_config::diagnostic::Span;
use proptest::prelude::*;

use super::*;
use crate::value::{Type, Value};

fn list(text: &[u8], has_values: bool) -> Arc<List> {
    let lists = Lists::default();
    let list = lists.file("x", false, has_values, Span::default());
    let (list, _) = list.expect("a new list");
    read(text, &list).expect("patterns");
    list
}

fn search(list: &Arc<List>, method: Method) -> Search {
    Search::new(Arc::clone(list), Use::patterns(method, false)).expect("patterns")
}

fn value(search: &Search, text: &str) -> Option<String> {
    search.find(Value::text(text.as_bytes()), |entry| {
        String::from_utf8_lossy(entry.value().unwrap_or_default()).into_owned()
    })
}

#[test]
fn every_use_sees_every_change() {
    let list = list(b"10.0.0.1 a\n10.0.0.2 b\n", true);
    let (text, ip) = (search(&list, Method::Text), search(&list, Method::Ip));
    let both = |key: &str| (value(&text, key), value(&ip, key));
    let found = |text: &str| Some(text.to_owned());
    assert_eq!(both("10.0.0.1"), (found("a"), found("a")));
    let set = list.edit(|editor| editor.set(b"10.0.0.1", b"c"));
    assert_eq!(set, Ok(true));
    assert_eq!(both("10.0.0.1"), (found("c"), found("c")));
    assert!(list.edit(|editor| editor.remove(b"10.0.0.1")));
    assert!(!list.edit(|editor| editor.remove(b"10.0.0.1")));
    assert_eq!(both("10.0.0.1"), (None, None));
    let added = list.edit(|editor| editor.add(0, b"10.0.0.0/24", Some(b"d")));
    assert_eq!(added, Ok(()));
    assert_eq!(both("10.0.0.9"), (None, found("d")));
    // What one use cannot understand is in none.
    let added = list.edit(|editor| editor.add(0, b"host", Some(b"e")));
    assert!(added.is_err());
    assert_eq!(both("host").0, None);
}

#[test]
fn values_must_fit_every_use() {
    let list = list(b"a 1\n", true);
    let used = |values| Use {
        values: Some(values),
        ..Use::patterns(Method::Text, false)
    };
    assert!(Search::new(Arc::clone(&list), used(Type::Address)).is_err());
    let search = Search::new(Arc::clone(&list), used(Type::Integer)).expect("numbers");
    let error = list.edit(|editor| editor.set(b"a", b"x"));
    assert_eq!(error, Err("unable to parse 'x'".to_owned()));
    let error = list.edit(|editor| editor.add(0, b"b", Some(b"1.5")));
    assert_eq!(error, Err("unable to parse '1.5'".to_owned()));
    assert_eq!(value(&search, "a").as_deref(), Some("1"));
    assert_eq!(value(&search, "b"), None);
}

#[test]
fn equal_patterns_take_turns() {
    let list = list(b"a 1\nb 2\na 3\n", true);
    let search = search(&list, Method::Text);
    assert_eq!(value(&search, "a").as_deref(), Some("1"));
    list.edit(|editor| editor.remove(b"a"));
    assert_eq!(value(&search, "a").as_deref(), Some("3"));
    let numbered = list.entries(None)[0].id();
    assert!(list.edit(|editor| editor.remove_numbered(numbered)));
    assert_eq!(value(&search, "b"), None);
    assert!(!list.edit(|editor| editor.remove_numbered(numbered)));
}

#[test]
fn versions_are_seen_when_they_are_committed() {
    let list = list(b"a 1\n", true);
    let search = search(&list, Method::Text);
    let version = list.edit(|editor| {
        let version = editor.prepare();
        editor.add(version, b"a", Some(b"2")).expect("an entry");
        version
    });
    assert_eq!(version, 1);
    assert_eq!(value(&search, "a").as_deref(), Some("1"));
    assert_eq!(list.entries(Some(1)).len(), 1);
    assert!(!list.replace(|editor| editor.commit(2)), "never handed out");
    assert!(list.replace(|editor| editor.commit(1)));
    assert_eq!(value(&search, "a").as_deref(), Some("2"));
    assert_eq!(
        list.entries(Some(0)).len(),
        0,
        "the old version is forgotten"
    );
    assert!(!list.replace(|editor| editor.commit(1)), "it is current");
    list.replace(|editor| editor.clear(1));
    assert_eq!(value(&search, "a"), None);
    let state = list.state();
    assert_eq!((state.current, state.next, state.patterns), (1, 1, 0));
}

#[test]
fn changes_go_on_where_the_file_is_the_same() {
    let before = list(b"a 1\nb 2\n", true);
    before
        .edit(|editor| editor.set(b"a", b"9"))
        .expect("a value");
    before.edit(|editor| editor.remove(b"b"));
    let same = list(b"# other notes\na  1\nb 2\n", true);
    let (text, beginning) = (search(&same, Method::Text), search(&same, Method::Prefix));
    assert!(same.take_over(&before));
    assert_eq!(value(&text, "a").as_deref(), Some("9"));
    assert_eq!(value(&beginning, "abc").as_deref(), Some("9"));
    assert_eq!(value(&text, "b"), None);
    // An edit of the file wins, and so does the file where the changes do not fit.
    let edited = list(b"a 1\nb 3\n", true);
    let text = search(&edited, Method::Text);
    assert!(edited.take_over(&before));
    assert_eq!(value(&text, "a").as_deref(), Some("1"));
    let other = list(b"a 1\nb 2\n", true);
    before
        .edit(|editor| editor.set(b"a", b"x"))
        .expect("a value");
    let numbers = Use {
        values: Some(Type::Integer),
        ..Use::patterns(Method::Text, false)
    };
    let text = Search::new(Arc::clone(&other), numbers).expect("numbers");
    assert!(!other.take_over(&before));
    assert_eq!(value(&text, "a").as_deref(), Some("1"));
}

#[test]
fn lists_are_known_by_name_and_number() {
    let lists = Lists::default();
    let span = Span::default();
    let (file, is_new) = lists.file("file@a", true, false, span).expect("a list");
    assert!(is_new);
    lists.line("path", Some(0), span).expect("a list");
    lists.line("hdr", None, span).expect("a list");
    assert!(lists.line("src", Some(0), span).is_err());
    assert!(lists.file("a", false, true, span).is_err());
    let promise = lists.promise("opt@a", span);
    assert!(promise.get().is_some_and(|list| Arc::ptr_eq(list, &file)));
    lists.number();
    for (reference, number) in [("a", 1), ("opt@a", 1), ("#0", 0), ("#2", 2)] {
        let found = lists.find(reference).map(|known| known.list.number());
        assert_eq!(found, Some(number), "{reference}");
    }
    for reference in ["b", "#3", "#x", "", "#"] {
        assert!(lists.find(reference).is_none(), "{reference}");
    }
}

/// What HAProxy finds, one pattern after the other.
fn plain(method: Method, patterns: &[String], text: &str) -> Option<usize> {
    let between = |pattern: &str, delimiters: &[char]| {
        let pattern = pattern.trim_matches(delimiters);
        !pattern.is_empty()
            && (0..text.len())
                .filter(|&start| text[start..].starts_with(pattern))
                .any(|start| {
                    let before = text[..start].chars().next_back();
                    let behind = text[start + pattern.len()..].chars().next();
                    let bounds = [before, behind].into_iter().flatten();
                    bounds.into_iter().all(|bound| delimiters.contains(&bound))
                })
    };
    let matches = |pattern: &String| match method {
        Method::Text => text == pattern,
        Method::Prefix => text.starts_with(pattern),
        Method::Suffix => text.ends_with(pattern),
        Method::Substring => text.contains(pattern),
        Method::Directory => between(pattern, &['/', '?']),
        _ => between(pattern, &['/', '?', '.', ':']),
    };
    let found = (0..patterns.len()).filter(|&place| matches(&patterns[place]));
    match method {
        Method::Prefix => found.rev().max_by_key(|&place| patterns[place].len()),
        _ => found.min(),
    }
}

proptest! {
    /// Whatever was added and removed, an index finds what a look at each pattern finds.
    #[test]
    fn an_index_finds_what_one_look_at_each_would(
        steps in proptest::collection::vec(("[ab/.]{0,12}", any::<bool>()), 1..40),
        texts in proptest::collection::vec("[ab/.]{0,14}", 1..12),
    ) {
        for method in [
            Method::Text, Method::Prefix, Method::Suffix, Method::Substring, Method::Directory, Method::Domain,
        ] {
            let list = list(b"", false);
            let search = search(&list, method);
            let mut known: Vec<String> = Vec::new();
            for (pattern, add) in &steps {
                let place = known.iter().position(|known| known == pattern);
                match place {
                    Some(place) if !add => {
                        known.remove(place);
                        prop_assert!(list.edit(|editor| editor.remove(pattern.as_bytes())));
                    }
                    _ => {
                        known.push(pattern.clone());
                        let added = list.edit(|editor| editor.add(0, pattern.as_bytes(), None));
                        prop_assert_eq!(added, Ok(()));
                    }
                }
            }
            for text in &texts {
                let entry = |place: usize| list.entries(None)[place].id();
                let expected = plain(method, &known, text).map(entry);
                let found = search.find(Value::text(text.as_bytes()), |entry| entry.id());
                prop_assert_eq!(found, expected, "{:?} {:?} in {:?}", method, text, known);
            }
        }
    }

    /// The smallest network counts, among equal ones the first.
    #[test]
    fn the_smallest_network_counts(
        networks in proptest::collection::vec((any::<u32>(), 0_u8..=32), 1..60),
        addresses in proptest::collection::vec(any::<u32>(), 1..20),
    ) {
        let list = list(b"", false);
        let search = search(&list, Method::Ip);
        // Few different bits, so that networks lie in each other.
        let spread = |bits: u32| std::net::Ipv4Addr::from_bits(bits & 0xc000_0303);
        for &(bits, length) in &networks {
            let text = format!("{}/{length}", spread(bits));
            list.edit(|editor| editor.add(0, text.as_bytes(), None)).expect("a network");
        }
        for bits in addresses {
            let address = spread(bits);
            let contains = |&(_, &(bits, length)): &(usize, &(u32, u8))| {
                let host = 32 - u32::from(length);
                let prefix = |address: std::net::Ipv4Addr| address.to_bits().checked_shr(host);
                prefix(spread(bits)) == prefix(address)
            };
            let all = networks.iter().enumerate().filter(contains);
            let best = all.rev().max_by_key(|(_, (_, length))| *length);
            let found = search.find(Value::Address(address.into()), |entry| entry.id());
            prop_assert_eq!(found, best.map(|(place, _)| place as u64 + 1));
        }
    }
}

/// Patterns that keep a backtracking matcher busy for longer than the universe, and long texts for all others.
#[test]
fn no_pattern_makes_a_lookup_exponential() {
    let text = "a".repeat(16_000);
    for pattern in ["(a+)+$b", "^(a|a)*b$", "(a*)*c", "(.*a){20}b"] {
        let list = list(pattern.as_bytes(), false);
        assert!(
            !search(&list, Method::Regex).matches(Value::text(text.as_bytes())),
            "{pattern}"
        );
    }
    let huge = list(b"", false);
    let _ = search(&huge, Method::Regex);
    let error = huge.edit(|editor| editor.add(0, b"((a{100}){100}){100}", None));
    assert!(error.is_err(), "it is too large");
    let text = "/".repeat(8_000) + &"a/".repeat(4_000);
    let many = (1..200)
        .map(|length| "b".repeat(length) + "\n")
        .collect::<String>();
    let list = list(many.as_bytes(), false);
    for method in [Method::Directory, Method::Domain, Method::Suffix] {
        assert!(!search(&list, method).matches(Value::text(text.as_bytes())));
    }
}
