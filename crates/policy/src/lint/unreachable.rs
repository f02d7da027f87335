//! Rules behind one that always decides.

use super::{Findings, Lint, Proxy, condition, rule_set};

pub(super) const LINT: Lint = Lint {
    name: "unreachable",
    doc: "A rule without a condition that ends the processing leaves nothing to the rules of its kind that follow.",
    usual: false,
    example: "http-request deny\nhttp-request set-header x-a b",
    better: "http-request set-header x-a b\nhttp-request deny",
    look,
};

/// Actions behind which no further rule of the set runs.
const FINAL: [&str; 11] = [
    "accept",
    "allow",
    "auth",
    "close",
    "deny",
    "redirect",
    "reject",
    "return",
    "silent-drop",
    "tarpit",
    "use-service",
];

fn look(proxy: &Proxy<'_>, findings: &mut Findings) {
    let mut ended: Vec<(String, String)> = Vec::new();
    for line in proxy.lines() {
        let Some((set, start)) = rule_set(line) else {
            continue;
        };
        if set.ends_with("inspect-delay") {
            continue;
        }
        if let Some((_, by)) = ended.iter().find(|(known, _)| *known == set) {
            let message = format!("this rule never runs: '{set} {by}' above has no condition");
            findings.add(
                line.span,
                message,
                "give that rule a condition, or put it last",
            );
            continue;
        }
        let action = line.words.get(start).map_or("", |word| word.text.as_str());
        if FINAL.contains(&action) && condition(line).is_none() {
            ended.push((set, action.to_owned()));
        }
    }
}
