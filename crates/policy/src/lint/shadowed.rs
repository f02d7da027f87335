//! Backends that are never chosen.

use super::{Findings, Lint, Proxy, begins, condition};

pub(super) const LINT: Lint = Lint {
    name: "shadowed",
    doc: "The first 'use_backend' whose condition holds counts: one behind a line without a condition, or behind one with \
          the same condition, never does.",
    usual: false,
    example: "use_backend a if { path_beg /x }\nuse_backend b if { path_beg /x }",
    better: "use_backend a if { path_beg /x/y }\nuse_backend b if { path_beg /x }",
    look,
};

fn look(proxy: &Proxy<'_>, findings: &mut Findings) {
    let mut seen: Vec<Vec<&str>> = Vec::new();
    for line in proxy.lines().filter(|line| begins(line, &["use_backend"])) {
        let words = condition(line).unwrap_or_default();
        let words: Vec<_> = words.iter().map(|word| word.text.as_str()).collect();
        if seen.iter().any(|known| known.is_empty() || *known == words) {
            let help = "remove one of the two, or make the upper one more particular";
            findings.add(
                line.span,
                "a 'use_backend' above always wins over this one",
                help,
            );
        }
        seen.push(words);
    }
}
