//! Files of patterns from any bytes, searched in every way and changed: for the fuzzer and its corpus.

use plimsoll_policy::pattern::{List, Method, Search, Use, file_list};
use plimsoll_policy::value::Value;

/// The folder of inputs.
pub(crate) fn corpus() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/policy_patterns")
}

/// The first line is looked for in a file that has the others, with and without values. Returns how many of the ways of
/// comparing understood the file.
pub(crate) fn search(bytes: &[u8]) -> usize {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (text, file) = bytes.split_at(end.unwrap_or(bytes.len()));
    let mut understood = 0;
    for (_, method) in Method::NAMES {
        for (ignore_case, has_values) in [(false, true), (true, false)] {
            let list = file_list("any", file, has_values).expect("there are few patterns");
            let Ok(search) = Search::new(list, Use::patterns(method, ignore_case)) else {
                continue;
            };
            understood += 1;
            look(&search, text);
            change(&search.list, text);
            look(&search, text);
        }
    }
    understood
}

fn look(search: &Search, text: &[u8]) {
    let input = Value::text(text).cast(search.method().input());
    if let Some(value) = input {
        let found = search.find(value, |entry| entry.id());
        let known: Vec<_> = search.list.entries(None);
        assert!(found.is_none_or(|id| known.iter().any(|entry| entry.id() == id)));
    }
}

/// Everything that can be done to a list.
fn change(list: &List, text: &[u8]) {
    let entries = list.entries(None);
    list.edit(|editor| {
        for entry in entries.iter().take(8) {
            // What the list cannot use is refused.
            let _ = editor.set(entry.pattern(), text);
            assert!(editor.remove(entry.pattern()));
            let _ = editor.add(editor.current(), entry.pattern(), entry.value());
        }
        let _ = editor.add(editor.current(), text, Some(text));
    });
    let version = list.edit(|editor| {
        let version = editor.prepare();
        let _ = editor.add(version, text, Some(text));
        version
    });
    assert!(list.replace(|editor| editor.commit(version)));
    assert!(list.state().patterns <= 1);
}
