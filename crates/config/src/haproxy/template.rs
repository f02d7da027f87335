//! Placeholders of template engines: `{{ name }}`, `{% if … %}`, `<%= name %>`.
//!
//! A template is often given by mistake in place of the configuration it makes. Placeholders may stand in a good
//! configuration all the same, so only lines that begin with a statement of an engine are refused.

use std::ops::Range;

use super::words::is_space;

/// What to do about it.
pub(crate) const HELP: &str = "give the file that the template engine writes";

/// The marks of the engines in use, and whether what stands between them is a statement.
const MARKS: [(&[u8], &[u8], bool); 3] = [
    (b"{{", b"}}", false),
    (b"{%", b"%}", true),
    (b"<%", b"%>", true),
];

/// The first placeholder in a line, and whether the line begins with a statement.
pub(crate) fn find(line: &[u8]) -> Option<(Range<usize>, bool)> {
    let indent = line.iter().take_while(|byte| is_space(**byte)).count();
    MARKS.iter().find_map(|(open, close, statement)| {
        let start = position(line, open)?;
        let inner = &line[start + open.len()..];
        let length = position(inner, close)?;
        let whole = start..start + open.len() + length + close.len();
        plausible(&inner[..length]).then_some((whole, *statement && start == indent))
    })
}

/// Whether this could be an expression of a template engine, rather than of JSON or of a regular expression.
fn plausible(inner: &[u8]) -> bool {
    inner.iter().any(u8::is_ascii_alphabetic)
        && !inner
            .iter()
            .any(|byte| matches!(byte, b':' | b'{' | b'}' | b'\\'))
}

fn position(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_and_what_only_looks_like_them() {
        let cases = [
            ("server s {{ host }}:80", Some((9..19, false))),
            ("{{ block }}", Some((0..11, false))),
            ("  {% if x %}", Some((2..12, true))),
            ("  <%= name -%>", Some((2..14, true))),
            ("bind *:<%= port %>", Some((7..18, false))),
            (r#"lf-string '{"a":{"b":{}}}'"#, None),
            ("http-request set-header x %{+Q}o", None),
            ("path_reg ^/[a-z]{2}{{1}}$", None),
            ("x {{ never closed", None),
            ("{{", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(find(line.as_bytes()), expected, "{line}");
        }
    }
}
