//! `add-acl`, `del-acl`, `set-map`, `del-map`: rules that change the patterns which others compare with (manual, sections
//! 4.3 and 7.1.1).
//!
//! A change is seen by every lookup that begins after it, also in the same request. What does not fit the uses of the
//! list (no address, no number) changes nothing, as in HAProxy.

use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Action, Flow, Places, Row, Words, action};
use crate::context::Context;
use crate::expression::Scope;
use crate::log_format::{self, Encoding, Format};
use crate::pattern::{List, Promise};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "add-acl",
        numbered: false,
        usage: "(FILE) FORMAT",
        doc: "Adds a pattern to a list, unless it has it.",
        places: Places::MESSAGES,
        read: |words, scope| {
            change(words, scope, |list, key| {
                list.edit(|editor| {
                    if !editor.has(key) {
                        // What the list cannot use is left out.
                        let _ = editor.add(editor.current(), key, None);
                    }
                });
            })
        },
    },
    Row {
        name: "del-acl",
        numbered: false,
        usage: "(FILE) FORMAT",
        doc: "Takes a pattern out of a list.",
        places: Places::HTTP,
        read: |words, scope| change(words, scope, remove),
    },
    Row {
        name: "del-map",
        numbered: false,
        usage: "(FILE) FORMAT",
        doc: "Takes a key out of a map.",
        places: Places::HTTP,
        read: |words, scope| change(words, scope, remove),
    },
    Row {
        name: "set-map",
        numbered: false,
        usage: "(FILE) FORMAT FORMAT",
        doc: "Gives a key of a map a value.",
        places: Places::HTTP,
        read: set,
    },
];

fn remove(list: &List, key: &[u8]) {
    list.edit(|editor| editor.remove(key));
}

/// The list between the parentheses, which something else may define further down.
fn promise(words: &Words<'_, '_>, scope: &Scope<'_>) -> Result<Promise, Diagnostic> {
    let span = words.name.span;
    match words.inner().filter(|name| !name.is_empty()) {
        Some(name) => Ok(scope.lists.promise(name, span)),
        None => {
            let message = format_args!("'{}' lacks the name of a list", words.name.text);
            Err(Diagnostic::error(Kind::Invalid, span, message)
                .help("write the file's name in parentheses, as in 'set-map(/etc/hosts.map)'"))
        }
    }
}

fn format(words: &mut Words<'_, '_>, noun: &str, scope: &Scope<'_>) -> Result<Format, Diagnostic> {
    let word = words.args.word(noun)?;
    log_format::read(word, Encoding::Raw, scope)
}

/// An action that does something with a list and a key.
fn change(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    change: fn(&List, &[u8]),
) -> Result<Box<dyn Action>, Diagnostic> {
    let promise = promise(words, scope)?;
    let key = format(words, "a pattern", scope)?;
    action(move |context: &mut Context<'_>| {
        if let Some(list) = promise.get() {
            let mut text = context.take_buffer();
            key.write(context, &mut text);
            change(list, &text);
            context.give_buffer(text);
        }
        Flow::Continue
    })
}

fn set(words: &mut Words<'_, '_>, scope: &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic> {
    let promise = promise(words, scope)?;
    let key = format(words, "a key", scope)?;
    let value = format(words, "a value", scope)?;
    action(move |context: &mut Context<'_>| {
        if let Some(list) = promise.get() {
            let mut text = context.take_buffer();
            key.write(context, &mut text);
            let length = text.len();
            value.write(context, &mut text);
            let (key, value) = text.split_at(length);
            list.edit(|editor| {
                if editor.set(key, value) == Ok(false) {
                    // What the list cannot use is left out.
                    let _ = editor.add(editor.current(), key, Some(value));
                }
            });
            context.give_buffer(text);
        }
        Flow::Continue
    })
}

#[cfg(test)]
mod tests {
    use crate::acl::Truth;
    use crate::testing::Bench;

    fn bench() -> Bench {
        let files = plimsoll_config::source::MemoryLoader::new()
            .file("hosts", "a.example\n")
            .file("ages", "joe 7\n");
        Bench {
            files,
            ..Bench::request("GET /a HTTP/1.1\r\nHost: b.example\r\n\r\n")
        }
    }

    #[test]
    fn patterns_come_and_go() {
        let bench = bench();
        let known = || bench.condition("if { hdr(host) -f hosts }");
        assert_eq!(known(), Ok(Truth::Fail));
        for (rule, expected) in [
            ("add-acl(hosts) %[hdr(host)]", Truth::Pass),
            // It is there once, however often it is added.
            ("add-acl(file@hosts) b.example", Truth::Pass),
            ("del-acl(hosts) %[hdr(host)]", Truth::Fail),
            ("del-acl(hosts) nothing", Truth::Fail),
        ] {
            assert_eq!(bench.act(rule), Ok(()));
            assert_eq!(known(), Ok(expected), "{rule}");
        }
    }

    #[test]
    fn keys_get_values() {
        let bench = bench();
        let age = |name: &str| bench.evaluate(&format!("str({name}),map_str_int(ages)"));
        for (rule, joe, ann) in [
            ("set-map(ages) joe 8", Some("8"), None),
            ("set-map(ages) ann %[int(9)]", Some("8"), Some("9")),
            // No number: nothing changes.
            ("set-map(ages) ann old", Some("8"), Some("9")),
            ("set-map(ages) eve old", Some("8"), Some("9")),
            ("del-map(ages) joe", None, Some("9")),
        ] {
            let expected = (joe.map(str::to_owned), ann.map(str::to_owned));
            age("joe");
            assert_eq!(bench.act(rule), Ok(()));
            assert_eq!((age("joe"), age("ann")), expected, "{rule}");
        }
        assert_eq!(age("eve"), None);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let bench = bench();
        for (text, part) in [
            ("set-map ages", "lacks the name of a list"),
            ("set-map() ages", "lacks the name of a list"),
            ("set-map(ages) joe", "a value"),
            ("add-acl(hosts)", "a pattern"),
        ] {
            let error = bench.act(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        let lists = &bench.lists;
        let broken = lists.broken_promises();
        assert_eq!(broken.len(), 2, "nothing has read the files");
    }
}
