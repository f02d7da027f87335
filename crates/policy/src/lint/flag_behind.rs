//! Flags that are taken for patterns.

use super::{Findings, Lint, Proxy, criteria};

pub(super) const LINT: Lint = Lint {
    name: "flag-behind",
    doc: "Flags of an ACL stand before its patterns. Behind the first pattern, or behind '--', they are patterns themselves.",
    usual: false,
    example: "http-request deny if { path_beg /a -i }",
    better: "http-request deny if { path_beg -i /a }",
    look,
};

const FLAGS: [&str; 6] = ["-M", "-f", "-i", "-m", "-n", "-u"];

fn look(proxy: &Proxy<'_>, findings: &mut Findings) {
    for words in proxy.lines().flat_map(criteria) {
        let mut patterns = false;
        let mut words = words.iter().skip(1);
        while let Some(word) = words.next() {
            let is_flag = FLAGS.contains(&word.text.as_str());
            match word.text.as_str() {
                text if patterns && is_flag => {
                    let message = format!("'{text}' is a pattern here, and no flag");
                    findings.add(word.span, message, "write flags before the patterns");
                }
                "--" => patterns = true,
                "-f" | "-m" | "-u" => {
                    words.next();
                }
                _ => patterns |= !is_flag,
            }
        }
    }
}
