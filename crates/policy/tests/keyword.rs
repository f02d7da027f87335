//! The references of keywords and of the rule language are those that the rows make.

use std::path::Path;
use std::{env, fs};

use plimsoll_policy::keyword::haproxy::{reference, rule_reference};

#[test]
fn the_reference_of_keywords_is_current() {
    compare("keywords.md", &reference());
}

#[test]
fn the_reference_of_the_rule_language_is_current() {
    compare("rule-language.md", &rule_reference());
}

#[test]
fn the_reference_of_lints_is_current() {
    compare("lints.md", &plimsoll_policy::lint::reference());
}

fn compare(name: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, made).expect("the page can be written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/{name} is not what the rows say; write it again with UPDATE_DOCS=1"
    );
}
