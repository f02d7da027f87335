//! Every input that the fuzzer was started from, or that once broke something, is evaluated again; so is every expression
//! that is compared with HAProxy, and what can be made of it by leaving parts out.

mod config_support;
mod expression_support;
mod pattern_support;

use expression_support::{corpus, evaluate};
use proptest::prelude::*;

#[test]
fn policy_expression() {
    let (mut files, mut expressions) = (0, 0);
    for entry in std::fs::read_dir(corpus()).expect("the corpus is there") {
        let path = entry.expect("the corpus can be listed").path();
        for line in std::fs::read(&path)
            .expect("the corpus can be read")
            .split(|byte| *byte == b'\n')
        {
            expressions += usize::from(evaluate(line));
        }
        files += 1;
    }
    assert!(files >= 5, "there are only {files} files");
    assert!(
        expressions >= 300,
        "only {expressions} lines are expressions"
    );
}

#[test]
fn policy_patterns() {
    let (mut files, mut understood) = (0, 0);
    for entry in std::fs::read_dir(pattern_support::corpus()).expect("the corpus is there") {
        let path = entry.expect("the corpus can be listed").path();
        understood +=
            pattern_support::search(&std::fs::read(&path).expect("the corpus can be read"));
        files += 1;
    }
    assert!(files >= 8, "there are only {files} files");
    assert!(
        understood >= 100,
        "only {understood} ways of comparing understood a file"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Names in any order, with any arguments.
    #[test]
    fn nothing_panics(text in "(str|int|bin|hdr|req.body|path|src|urlp)\\([a-z0-9,.:'-]{0,8}\\)(,(field|word|bytes|regsub|map|json_query|utime|hex|b64dec|ipmask|concat|param|be2hex)\\([a-z0-9,.:$%'-]{0,10}\\)){0,3}") {
        evaluate(text.as_bytes());
    }

    /// Any bytes as a file of patterns.
    #[test]
    fn any_patterns_are_searched(text in "[a./:0-9 \n()+*\\#-]{0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
        pattern_support::search(text.as_bytes());
        pattern_support::search(&[text.as_bytes(), &bytes].concat());
    }
}
