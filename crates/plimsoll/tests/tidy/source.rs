//! Rust files: declared, headed, safe, and made of short functions.

use std::path::{Path, PathBuf};

use crate::files;

/// Lines a function should not exceed.
const FUNCTION_LINES_MAX: usize = 70;

/// How many functions outside of tests exceed that. The number may go down and never up.
const LONG_FUNCTIONS: usize = 1;

/// The one crate that may hold unsafe code.
const UNSAFE_CRATE: &str = "crates/sys";

/// The Rust files of the product and its tests; fuzz targets live outside the workspace.
fn rust_files() -> Vec<PathBuf> {
    let mut files = files::with_extension("rs");
    files.retain(|path| path.starts_with("crates"));
    files
}

fn is_source(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "src")
}

#[test]
fn every_file_is_declared() {
    let complaints: Vec<_> = rust_files()
        .iter()
        .filter(|path| !is_root(path) && !is_declared(path))
        .map(|path| format!("{} is declared by no module", path.display()))
        .collect();
    files::expect_none(&complaints);
}

/// Whether cargo finds the file by itself.
fn is_root(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    let target = ["tests", "examples", "benches", "bin"]
        .iter()
        .any(|kind| folder == *kind);
    name == "lib.rs" || name == "main.rs" || name == "build.rs" || target
}

fn is_declared(path: &Path) -> bool {
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let (name, home) = match stem.as_ref() {
        "mod" => {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            (
                name.into_owned(),
                folder.parent().unwrap_or_else(|| Path::new("")),
            )
        }
        _ => (stem.into_owned(), folder),
    };
    let beside = home.with_extension("rs");
    let parents = [
        home.join("lib.rs"),
        home.join("main.rs"),
        home.join("mod.rs"),
        beside,
    ];
    let in_parent = parents
        .iter()
        .filter(|parent| files::root().join(parent).is_file())
        .any(|parent| declares(&files::text(parent), &name));
    // Test targets share helpers: `tests/rig/mod.rs` is declared in `tests/*.rs` or `tests/*/main.rs`.
    in_parent
        || (!is_source(path)
            && rust_files().iter().any(|test| {
                test.parent()
                    .is_some_and(|parent| parent == home || parent.parent() == Some(home))
                    && declares(&files::text(test), &name)
            }))
}

fn declares(text: &str, name: &str) -> bool {
    let declaration = format!("mod {name};");
    text.lines()
        .map(str::trim_start)
        .any(|line| line.ends_with(&declaration) && !line.starts_with("//"))
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let complaints: Vec<_> = rust_files()
        .iter()
        .filter(|path| is_source(path) && !files::text(path).starts_with("//! "))
        .map(|path| format!("{} does not begin with a `//!` header", path.display()))
        .collect();
    files::expect_none(&complaints);
}

#[test]
fn unsafe_code_lives_in_one_crate() {
    let mut complaints = Vec::new();
    for path in rust_files()
        .iter()
        .filter(|path| !path.starts_with(UNSAFE_CRATE))
    {
        let text = files::text(path);
        let name = path.file_name().unwrap_or_default();
        let crate_root = is_source(path) && (name == "lib.rs" || name == "main.rs");
        if crate_root && !text.contains("#![forbid(unsafe_code)]") {
            complaints.push(format!("{} does not forbid unsafe code", path.display()));
        }
        // Tests and examples are crates of their own, which the attribute does not reach.
        let found = text
            .lines()
            .map(str::trim_start)
            .filter(|line| !line.starts_with("//"))
            .any(|line| {
                ["unsafe {", "unsafe fn", "unsafe impl"]
                    .iter()
                    .any(|word| opens_with(line, word))
            });
        if found {
            complaints.push(format!("{} holds unsafe code", path.display()));
        }
    }
    files::expect_none(&complaints);
}

/// Whether the word stands in the line outside of a string.
fn opens_with(line: &str, word: &str) -> bool {
    line.find(word)
        .is_some_and(|at| line[..at].matches('"').count().is_multiple_of(2))
}

#[test]
fn long_functions_do_not_become_more() {
    let mut long = Vec::new();
    for path in rust_files().iter().filter(|path| is_source(path)) {
        // Tables of cases are data, however many rows they have.
        let text = files::text(path);
        let product = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        for (name, lines) in functions(product) {
            if lines > FUNCTION_LINES_MAX {
                long.push(format!("{}: fn {name} has {lines} lines", path.display()));
            }
        }
    }
    assert!(
        long.len().saturating_sub(LONG_FUNCTIONS) == 0,
        "{} functions exceed {FUNCTION_LINES_MAX} lines, {LONG_FUNCTIONS} are allowed:\n{}",
        long.len(),
        long.join("\n")
    );
    if LONG_FUNCTIONS.saturating_sub(long.len()) > 0 {
        eprintln!("LONG_FUNCTIONS can be lowered to {}", long.len());
    }
}

/// Name and length of each function, told by rustfmt's indentation.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        let closing = format!("{indent}}}");
        let rest = lines[start..].iter();
        let end = rest.clone().position(|line| *line == closing);
        // Without a body, or with one on the same line, the signature's end comes first.
        let bodiless = rest
            .clone()
            .position(|line| line.ends_with(';') || line.ends_with("{}"))
            .filter(|at| {
                lines[start..=start + at]
                    .iter()
                    .all(|line| !line.ends_with('{'))
            });
        if let (Some(end), None) = (end, bodiless) {
            found.push((name.to_owned(), end + 1));
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    const QUALIFIERS: &[&str] = &[
        "pub",
        "pub(crate)",
        "pub(super)",
        "const",
        "async",
        "unsafe",
        "extern",
        "\"C\"",
    ];
    let mut words = line.split_ascii_whitespace();
    let first = words.find(|word| !QUALIFIERS.contains(word))?;
    if first != "fn" {
        return None;
    }
    words.next()?.split(['(', '<']).next()
}

#[test]
fn functions_are_measured() {
    let text = "impl A {\n    pub(crate) async fn long(\n        a: u8,\n    ) {\n        one();\n    }\n\n    fn short() {}\n}\n\ntrait B {\n    fn none(&self);\n}\n\nfn last<T>() {\n    two();\n}\n";
    assert_eq!(
        functions(text),
        [("long".to_owned(), 5), ("last".to_owned(), 3)]
    );
}

#[test]
fn declarations_are_recognised() {
    assert!(declares("pub mod a;\nmod b;\n", "b"));
    assert!(declares("    #[cfg(test)] mod b;", "b"));
    assert!(!declares("// mod b;\nmod bb;", "b"));
}
