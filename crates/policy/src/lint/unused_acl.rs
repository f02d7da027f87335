//! ACLs that nobody asks.

use super::{Findings, Lint, Proxy, begins, condition};

pub(super) const LINT: Lint = Lint {
    name: "unused-acl",
    doc: "An ACL that no condition names does nothing. Often its name is misspelt where it should stand.",
    usual: false,
    example: "acl inside src 10.0.0.0/8",
    better: "acl inside src 10.0.0.0/8\nhttp-request deny unless inside",
    look,
};

fn look(proxy: &Proxy<'_>, findings: &mut Findings) {
    let mut told: Vec<&str> = Vec::new();
    for line in proxy.lines().filter(|line| begins(line, &["acl"])) {
        let Some(name) = line.words.get(1) else {
            continue;
        };
        let bare = |text: &str| text.trim_start_matches('!') == name.text;
        let asks = |text: &str| {
            // The sample 'acl' names ACLs between its parentheses.
            let mut holes = text.split("acl(").skip(1);
            holes.any(|hole| {
                hole.split(')')
                    .next()
                    .unwrap_or_default()
                    .split(',')
                    .any(&bare)
            })
        };
        let used = proxy.lines().any(|other| {
            let named = condition(other).unwrap_or_default().iter();
            named.map(|word| word.text.as_str()).any(&bare)
                || other.words.iter().any(|word| asks(&word.text))
        });
        if !used && !told.contains(&name.text.as_str()) {
            let message = format!("no condition asks for the acl '{}'", name.text);
            findings.add(name.span, message, "remove it, or name it in a condition");
            told.push(&name.text);
        }
    }
}
