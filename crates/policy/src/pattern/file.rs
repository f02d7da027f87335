//! The text of a file of patterns: a pattern a line, or a key and a value (manual, sections 7.1.1 and 7.3.1, `map`).

use std::sync::Arc;

use super::list::{List, Origin};

/// Adds what a file says to a new list.
///
/// # Errors
/// There are too many patterns.
pub(crate) fn read(text: &[u8], list: &List) -> Result<(), String> {
    let has_values = list.has_values();
    list.load(|editor| {
        let version = editor.current();
        lines(text, has_values).try_for_each(|(pattern, value)| editor.add(version, pattern, value))
    })
}

/// A list of its own for the text of a file.
///
/// # Errors
/// There are too many patterns.
pub fn file_list(name: &str, text: &[u8], has_values: bool) -> Result<Arc<List>, String> {
    let list = Arc::new(List::new(Origin::File(name.to_owned()), has_values));
    read(text, &list)?;
    Ok(list)
}

/// The patterns of a text, each with the value behind it where there are values.
fn lines(text: &[u8], has_values: bool) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    let lines = text.split(|byte| *byte == b'\n');
    // A line ends at a carriage return, too, and what follows is not looked at.
    let lines = lines.map(|line| line.split(|byte| *byte == b'\r').next().unwrap_or(line));
    let lines = lines.filter(|line| !line.starts_with(b"#"));
    let trimmed = lines.map(blanks_cut);
    let filled = trimmed.filter(|line| !line.is_empty());
    filled.map(move |line| match has_values {
        false => (line, None),
        true => {
            let end = line.iter().position(is_blank).unwrap_or(line.len());
            let (key, value) = line.split_at(end);
            let end = value.iter().rposition(|byte| !is_blank(byte));
            let value = &value[..end.map_or(0, |last| last + 1)];
            (key, Some(blanks_cut(value)))
        }
    })
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The text behind its leading blanks.
fn blanks_cut(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_blank(byte));
    &text[start.unwrap_or(text.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"# note\n\n  a  one two \t\r\nb\n #c d\r\n\t\xff\x80 x";

    #[test]
    fn lines_are_keys_and_values() {
        let found: Vec<_> = lines(TEXT, true).collect();
        let expected: [(&[u8], Option<&[u8]>); 4] = [
            (b"a", Some(b"one two")),
            (b"b", Some(b"")),
            (b"#c", Some(b"d")),
            (b"\xff\x80", Some(b"x")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_are_patterns() {
        let found: Vec<_> = lines(TEXT, false).map(|(pattern, _)| pattern).collect();
        let expected: [&[u8]; 4] = [b"a  one two \t", b"b", b"#c d", b"\xff\x80 x"];
        assert_eq!(found, expected);
    }
}
