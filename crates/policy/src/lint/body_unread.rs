//! Bodies that are looked at before they are there.

use super::{Findings, Lint, Proxy};

pub(super) const LINT: Lint = Lint {
    name: "body-unread",
    doc: "Rules see what happens to have arrived of a body when they run, unless they are told to wait for it.",
    usual: false,
    example: "http-request deny if { req.body -m sub evil }",
    better: "option http-buffer-request\nhttp-request deny if { req.body -m sub evil }",
    look,
};

/// `req.body_size` is told by the header, as a rule.
const SAMPLES: [&str; 3] = ["req.body", "req.body_len", "req.body_param"];

fn look(proxy: &Proxy<'_>, findings: &mut Findings) {
    let waits = proxy.has(&["option", "http-buffer-request"])
        || proxy.has(&["http-request", "wait-for-body"]);
    if waits {
        return;
    }
    for line in proxy.lines() {
        let looks = |text: &str| SAMPLES.iter().any(|name| mentions(text, name));
        if let Some(word) = line.words.iter().find(|word| looks(&word.text)) {
            let help =
                "add 'option http-buffer-request', or 'http-request wait-for-body time 5s' above";
            findings.add(
                word.span,
                "nobody waits for the body that is looked at here",
                help,
            );
        }
    }
}

/// Whether a word of this name stands in the text by itself.
fn mentions(text: &str, name: &str) -> bool {
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
    text.match_indices(name).any(|(start, _)| {
        let bytes = text.as_bytes();
        let before = start.checked_sub(1).and_then(|index| bytes.get(index));
        let behind = bytes.get(start + name.len());
        !before.is_some_and(inside) && !behind.is_some_and(inside)
    })
}
