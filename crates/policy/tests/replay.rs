//! Every input that the fuzzer was started from, or that once broke something, is evaluated again; so is every expression
//! that is compared with HAProxy, and what can be made of it by leaving parts out.

mod config_support;
mod expression_support;

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Names in any order, with any arguments.
    #[test]
    fn nothing_panics(text in "(str|int|bin|hdr|req.body|path|src|urlp)\\([a-z0-9,.:'-]{0,8}\\)(,(field|word|bytes|regsub|map|json_query|utime|hex|b64dec|ipmask|concat|param|be2hex)\\([a-z0-9,.:$%'-]{0,10}\\)){0,3}") {
        evaluate(text.as_bytes());
    }
}
