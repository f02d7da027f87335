//! The reference of keywords is the one that the rows make.

use std::path::Path;
use std::{env, fs};

use plimsoll_policy::keyword::haproxy::reference;

#[test]
fn the_reference_of_keywords_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/keywords.md");
    let made = reference();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &made).expect("docs/keywords.md can be written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/keywords.md is not what the rows say; write it again with UPDATE_DOCS=1"
    );
}
