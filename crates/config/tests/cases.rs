//! Whole files: the tree and the diagnostics of every `cases/*.cfg` and `cases/*.conf` stand in the `.expected` beside
//! it. `UPDATE_EXPECT=1` writes them anew, for reading before they are committed.

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use plimsoll_config::args::Word;
use plimsoll_config::braces::{self, Dialect, Statement};
use plimsoll_config::diagnostic::{FileId, Span};
use plimsoll_config::haproxy;
use plimsoll_config::render;
use plimsoll_config::source::{Environment, Sources};

fn place(sources: &Sources, span: Span) -> String {
    let at = sources.location(span.file, span.start);
    format!("{}:{}", at.line, at.column)
}

fn texts(words: &[Word]) -> String {
    let texts = words.iter().map(|word| match &word.raw {
        Some(raw) => format!("bytes\"{}\"", raw.escape_ascii()),
        None => format!("{:?}", word.text),
    });
    texts.collect::<Vec<_>>().join(" ")
}

fn sections(name: &str, text: Vec<u8>) -> String {
    let variables = [("A", "one"), ("EMPTY", ""), ("LIST", " x y ")];
    let mut environment: Environment = variables.into_iter().collect();
    let parsed = haproxy::parse_text(
        name,
        text,
        &mut environment,
        &support::GRAMMAR,
        &support::Claims,
    );
    let mut out = String::new();
    for section in &parsed.document.sections {
        let at = place(&parsed.sources, section.span);
        let (keyword, args) = (&section.keyword.text, texts(&section.args));
        let _ = writeln!(out, "{at} {}", format!("{keyword} {args}").trim_end());
        for line in &section.lines {
            let at = place(&parsed.sources, line.span);
            let _ = writeln!(out, "    {at} {}", texts(&line.words));
        }
    }
    let diagnostics = render::text(
        &parsed.diagnostics,
        &parsed.sources,
        render::Style::default(),
    );
    format!("{out}---\n{diagnostics}")
}

fn statements(out: &mut String, list: &[Statement], depth: usize, sources: &Sources) {
    for statement in list {
        let at = place(sources, statement.span);
        let indent = "    ".repeat(depth);
        let brace = if statement.block.is_some() { " {" } else { "" };
        let _ = writeln!(out, "{indent}{at} {}{brace}", texts(&statement.words));
        if let Some(block) = &statement.block {
            statements(out, &block.statements, depth + 1, sources);
        }
    }
}

fn blocks(name: &str, text: &[u8]) -> String {
    let dialect = match name.ends_with(".nginx.conf") {
        true => Dialect::NGINX,
        false => Dialect::KEEPALIVED,
    };
    let mut sources = Sources::new();
    sources.add(name, text.to_vec());
    let parsed = braces::parse(FileId(0), text, &dialect);
    let mut out = String::new();
    statements(&mut out, &parsed.statements, 0, &sources);
    let diagnostics = render::text(&parsed.diagnostics, &sources, render::Style::default());
    format!("{out}---\n{diagnostics}")
}

fn check(path: &Path) -> Result<(), String> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.expect("case files have plain names");
    let text = std::fs::read(path).expect("a case can be read");
    let found = match name.ends_with(".cfg") {
        true => sections(name, text),
        false => blocks(name, &text),
    };
    let expected_path = path.with_file_name(format!("{name}.expected"));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&expected_path, &found).expect("the expectation can be written");
    }
    let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
    if expected == found {
        return Ok(());
    }
    Err(format!(
        "{name} reads as\n{found}\nand not as\n{expected}\n"
    ))
}

#[test]
fn cases_read_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = std::fs::read_dir(folder).expect("the cases are there");
    let paths = entries.map(|entry| entry.expect("the cases can be listed").path());
    let is_case = |path: &PathBuf| path.extension().is_some_and(|kind| kind != "expected");
    let mut paths: Vec<_> = paths.filter(is_case).collect();
    paths.sort();
    assert!(paths.len() >= 15, "only {} cases", paths.len());
    let faults: String = paths.iter().filter_map(|path| check(path).err()).collect();
    assert!(faults.is_empty(), "{faults}");
}
