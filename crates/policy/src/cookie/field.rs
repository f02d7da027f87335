//! The inside of `Cookie` and `Set-Cookie` (RFC 6265), read as browsers and servers write it rather than as it should be.

use std::ops::Range;

use plimsoll_wire::head::{FieldKind, Head};

/// One `name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    /// Both, with what is between them.
    pub(crate) text: &'a [u8],
    /// Where the value stands in the field.
    at: Range<usize>,
}

/// The pairs of a field's value. What has no equals sign, and attributes that begin with a dollar sign, are left out.
pub(crate) fn pairs(field: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    segments(field).filter_map(|segment| segment.pair)
}

/// What stands between two delimiters.
struct Segment<'a> {
    /// With the delimiter before it.
    whole: Range<usize>,
    pair: Option<Pair<'a>>,
    /// Begins with a dollar sign: it belongs to the pair before it (RFC 2109).
    attribute: bool,
}

fn segments(field: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let (mut from, mut first) = (0, true);
    std::iter::from_fn(move || {
        if from >= field.len() {
            return None;
        }
        // All but the first begin with the delimiter that ended the one before.
        let start = from + usize::from(!std::mem::take(&mut first));
        let segment = segment(field, from, start);
        from = segment.whole.end;
        Some(segment)
    })
}

fn segment(field: &[u8], from: usize, start: usize) -> Segment<'_> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let blanks = field[start..]
        .iter()
        .take_while(|byte| is_blank(byte))
        .count();
    let start = start + blanks;
    let name_end = field[start..]
        .iter()
        .position(|byte| matches!(byte, b'=' | b',' | b';'))
        .map_or(field.len(), |end| start + end);
    let attribute = field.get(start) == Some(&b'$');
    if field.get(name_end) != Some(&b'=') {
        return Segment {
            whole: from..name_end,
            pair: None,
            attribute,
        };
    }
    let mut value_start = name_end + 1;
    value_start += field[value_start..]
        .iter()
        .take_while(|byte| is_blank(byte))
        .count();
    let end = value_end(field, value_start);
    let value = field[value_start..end].trim_ascii_end();
    let at = value_start..value_start + value.len();
    let pair = Pair {
        name: field[start..name_end].trim_ascii_end(),
        value,
        text: &field[start..at.end],
        at,
    };
    Segment {
        whole: from..end,
        pair: (!attribute).then_some(pair),
        attribute,
    }
}

/// The delimiter behind a value; those between quotes do not count.
fn value_end(field: &[u8], start: usize) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (index, byte) in field.iter().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b';' if !quoted => return index,
            _ => {}
        }
    }
    field.len()
}

/// What becomes of a pair.
pub(super) enum Edit {
    Keep,
    Remove,
    /// Take so many bytes from the beginning of the value.
    Strip(usize),
    /// Put another value in place of the value.
    Replace(Vec<u8>),
}

/// Shows each pair of all fields called `name` to `decide`, and does as it says. Of `set-cookie`, whose pairs behind the
/// first are attributes, only the first is shown, and removed with all of them.
///
/// Returns `false` where there is no room for a change.
pub(super) fn edit_pairs(
    head: &mut Head,
    name: &[u8],
    mut decide: impl FnMut(&Pair<'_>) -> Edit,
) -> bool {
    let single = name == b"set-cookie";
    for index in 0..head.fields.len() {
        let field = head.fields[index];
        if field.kind == FieldKind::Removed || !head.bytes(field.name).eq_ignore_ascii_case(name) {
            continue;
        }
        let Some(changed) = edited(head.bytes(field.value), single, &mut decide) else {
            continue;
        };
        if changed.is_empty() {
            head.fields[index].kind = FieldKind::Removed;
        } else if head.has_room(changed.len()) {
            head.fields[index].value = head.push(&changed);
        } else {
            return false;
        }
    }
    true
}

/// The field after its pairs were decided upon; `None`: as it was.
fn edited(
    field: &[u8],
    single: bool,
    decide: &mut impl FnMut(&Pair<'_>) -> Edit,
) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut changed, mut removing) = (false, false);
    for segment in segments(field) {
        let text = &field[segment.whole.clone()];
        let edit = segment.pair.as_ref().map(&mut *decide);
        removing &= segment.attribute;
        match (edit, segment.pair) {
            (Some(Edit::Remove), _) if single => return Some(Vec::new()),
            (Some(Edit::Remove), _) => (changed, removing) = (true, true),
            (Some(Edit::Strip(bytes)), Some(pair)) => {
                changed = true;
                let cut = pair.at.start + bytes.min(pair.value.len());
                push(&field[segment.whole.start..pair.at.start], &mut out);
                out.extend_from_slice(&field[cut..segment.whole.end]);
            }
            (Some(Edit::Replace(value)), Some(pair)) => {
                changed = true;
                push(&field[segment.whole.start..pair.at.start], &mut out);
                out.extend_from_slice(&value);
                out.extend_from_slice(&field[pair.at.end..segment.whole.end]);
            }
            _ if removing => {}
            _ => push(text, &mut out),
        }
        if single {
            out.extend_from_slice(&field[segment.whole.end..]);
            break;
        }
    }
    changed.then_some(out)
}

/// Appends a segment; what comes to stand first loses its delimiter.
fn push(text: &[u8], out: &mut Vec<u8>) {
    if out.is_empty() {
        let text = text.trim_ascii_start();
        let text = text
            .strip_prefix(b";")
            .or_else(|| text.strip_prefix(b","))
            .unwrap_or(text);
        out.extend_from_slice(text.trim_ascii_start());
    } else {
        out.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_are_found_however_they_are_written() {
        let cases: [(&str, &[(&str, &str)]); 7] = [
            ("", &[]),
            ("a=1; b=2", &[("a", "1"), ("b", "2")]),
            (
                " a = 1 ;b=\"2;3\\\"\" , c=",
                &[("a", "1"), ("b", "\"2;3\\\"\""), ("c", "")],
            ),
            ("a; b=1", &[("b", "1")]),
            ("$Version=1; a=1; $Path=/", &[("a", "1")]),
            (";;=;", &[("", "")]),
            ("a=b=c", &[("a", "b=c")]),
        ];
        for (field, expected) in cases {
            let found: Vec<_> = pairs(field.as_bytes())
                .map(|pair| (pair.name.to_vec(), pair.value.to_vec()))
                .collect();
            let expected: Vec<_> = expected
                .iter()
                .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .collect();
            assert_eq!(found, expected, "{field}");
        }
    }

    #[test]
    fn what_is_removed_leaves_the_rest_well_formed() {
        for (field, expected) in [
            ("x=1", Some("")),
            ("a=1", None),
            ("x=1; a=1", Some("a=1")),
            ("a=1; x=1", Some("a=1")),
            ("a=1; x=1; b=2", Some("a=1; b=2")),
            ("x=1; $Path=/; a=1; $Path=/", Some("a=1; $Path=/")),
            ("a; x=1", Some("a")),
        ] {
            let decide = &mut |pair: &Pair<'_>| match pair.name {
                b"x" => Edit::Remove,
                _ => Edit::Keep,
            };
            let found = edited(field.as_bytes(), false, decide);
            let found = found.map(|text| String::from_utf8_lossy(&text).into_owned());
            assert_eq!(found.as_deref(), expected, "{field}");
        }
    }

    proptest! {
        /// Hostile fields neither panic nor loop, and keeping everything changes nothing.
        #[test]
        fn keeping_everything_changes_nothing(field in "[ a=;,$\"\\\\]{0,30}") {
            prop_assert_eq!(edited(field.as_bytes(), false, &mut |_| Edit::Keep), None);
            let mut out = Vec::new();
            for segment in segments(field.as_bytes()) {
                out.extend_from_slice(&field.as_bytes()[segment.whole]);
            }
            prop_assert_eq!(out, field.as_bytes());
        }
    }
}
