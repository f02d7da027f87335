//! Names of hosts that clients may write otherwise.

use super::{Findings, Lint, Proxy, criteria, sample};

pub(super) const LINT: Lint = Lint {
    name: "uncased-host",
    doc: "The case of a host's name means nothing, but an ACL without '-i' is particular about it.",
    usual: false,
    example: "http-request deny if { req.hdr(host) www.example.com }",
    better: "http-request deny if { req.hdr(host) -i www.example.com }",
    look,
};

const SAMPLES: [&str; 2] = ["hdr", "req.hdr"];
const SUFFIXES: [&str; 6] = ["_beg", "_dom", "_end", "_reg", "_sub", "_str"];

fn look(proxy: &Proxy<'_>, findings: &mut Findings) {
    for words in proxy.lines().flat_map(criteria) {
        let Some(first) = words.first() else { continue };
        let (name, inner) = sample(&first.text);
        let bare = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
        let field = inner.split(',').next().unwrap_or_default();
        let is_host = SAMPLES.contains(&bare.unwrap_or(name)) && field.eq_ignore_ascii_case("host");
        let has = |flag: &str| words.iter().any(|word| word.text == flag);
        // Converters such as 'lower' may have seen to it, and a mere look whether there is one needs nothing.
        let converted = first.text.contains("),");
        let compares = words.len() > 1 && !has("found");
        if is_host && compares && !converted && !has("-i") {
            let message = "clients may write the host's name in other letters than these";
            findings.add(first.span, message, "put '-i' behind the sample");
        }
    }
}
