//! Values with commas of their own that are taken for lists.

use super::{Findings, Lint, Proxy, sample};

pub(super) const LINT: Lint = Lint {
    name: "list-of-one",
    doc: "'hdr' and its like take commas for the ends of values. A date or a user agent has commas that belong to it, of which \
          then only the last part is seen.",
    usual: false,
    example: "http-request set-header x-agent %[req.hdr(user-agent)]",
    better: "http-request set-header x-agent %[req.fhdr(user-agent)]",
    look,
};

/// Fields whose one value may contain commas.
const FIELDS: [&str; 9] = [
    "cookie",
    "date",
    "expires",
    "if-modified-since",
    "if-unmodified-since",
    "last-modified",
    "referer",
    "set-cookie",
    "user-agent",
];

const SAMPLES: [&str; 3] = ["hdr", "req.hdr", "res.hdr"];

fn look(proxy: &Proxy<'_>, findings: &mut Findings) {
    for word in proxy.lines().flat_map(|line| &line.words) {
        for part in parts(&word.text) {
            let (name, inner) = sample(part);
            let field = inner
                .split(',')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase();
            if SAMPLES.contains(&name) && FIELDS.contains(&field.as_str()) {
                let side = if name == "res.hdr" { "res" } else { "req" };
                let message = format!("'{field}' may have commas, which '{name}' splits at");
                let help = format!("write '{side}.fhdr({field})'");
                findings.add(word.span, message, help);
            }
        }
    }
}

/// The word itself, and the expressions in its holes.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    std::iter::once(text).chain(
        text.match_indices("%[")
            .map(|(start, _)| &text[start + 2..]),
    )
}
