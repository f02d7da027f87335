//! Numbers below zero that are taken for ranges.

use super::{Findings, Lint, Proxy, criteria};

pub(super) const LINT: Lint = Lint {
    name: "negative-number",
    doc: "In patterns of numbers a '-' stands for the ':' of ranges, and a range makes the operator before it void: 'ge -60' \
          means 'at most 60'.",
    usual: false,
    example: "http-request deny if { int(5),sub(9) ge -60 }",
    better: "http-request deny if { int(5),sub(9),add(60) ge 0 }",
    look,
};

fn look(proxy: &Proxy<'_>, findings: &mut Findings) {
    for words in proxy.lines().flat_map(criteria) {
        let pairs = words.windows(2);
        let operator = |text: &str| matches!(text, "eq" | "ge" | "gt" | "le" | "lt");
        let negative = |text: &str| {
            let digits = text.strip_prefix('-').unwrap_or_default();
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        let range = |text: &str| negative(text) || text == "--";
        for pair in pairs.filter(|pair| operator(&pair[0].text) && range(&pair[1].text)) {
            let digits = pair[1].text[1..].replace('-', "0");
            let message = format!("this means 'at most {digits}': a number below zero is a range");
            findings.add(
                pair[1].span,
                message,
                "compare a number that cannot be negative, by 'add'",
            );
        }
    }
}
