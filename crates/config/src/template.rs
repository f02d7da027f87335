//! Placeholders of template engines: `{{ name }}`, `{% if … %}`, `<%= name %>`.
//!
//! A template is often given by mistake in place of the configuration it makes. Placeholders may stand in a good
//! configuration all the same, so only lines that begin with a statement of an engine are refused.

use std::ops::Range;

use crate::haproxy::words::is_space;

/// What to do about it.
pub(crate) const HELP: &str = "give the file that the template engine writes";

/// The message for a placeholder.
pub(crate) const MESSAGE: &str = "this looks like a placeholder of a template engine";

/// Longest placeholder that [`leading`] looks for, in bytes: it is asked at every brace.
const LEADING_BYTES_MAX: usize = 128;

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

/// The length of a `{{ … }}` that the text begins with, on one line and of at most [`LEADING_BYTES_MAX`].
pub(crate) fn leading(text: &[u8]) -> Option<usize> {
    let inner = text.strip_prefix(b"{{")?;
    let inner = &inner[..inner.len().min(LEADING_BYTES_MAX)];
    let length = position(inner, b"}}")?;
    (!inner[..length].contains(&b'\n')).then_some(length + 4)
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
    fn leading_placeholders_end_on_their_line() {
        assert_eq!(leading(b"{{ a }}/24"), Some(7));
        assert_eq!(leading(b"{{ a\n }}"), None);
        assert_eq!(leading(b"{ {a}}"), None);
        assert_eq!(leading(b"{{"), None);
        assert_eq!(
            leading(format!("{{{{{}}}}}", "a".repeat(LEADING_BYTES_MAX)).as_bytes()),
            None
        );
    }

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
