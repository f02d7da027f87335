//! `normalize-uri`: one spelling for targets that mean the same (RFC 3986, section 6).

use plimsoll_config::diagnostic::Diagnostic;

use super::{Flow, Places, Row, Words, action, target};
use crate::context::Context;
use crate::expression::Scope;
use crate::keyword::haproxy::value::unknown;

pub(crate) const ROWS: &[Row] = &[Row {
    name: "normalize-uri",
    numbered: false,
    usage: "NORMALIZER [full|strict]",
    doc: "Gives the target one spelling.",
    places: Places::REQUEST,
    read,
}];

/// Changes a path; `None`: it is not well formed.
type Normalize = fn(&[u8]) -> Option<Vec<u8>>;

const NAMES: &[&str] = &[
    "fragment-encode",
    "fragment-strip",
    "path-merge-slashes",
    "path-strip-dot",
    "path-strip-dotdot",
    "percent-decode-unreserved",
    "percent-to-uppercase",
    "query-sort-by-name",
];

fn read(words: &mut Words<'_, '_>, _: &Scope<'_>) -> Result<Box<dyn super::Action>, Diagnostic> {
    let word = words.args.word("a normalizer")?;
    // Whether the query is normalized as well.
    let (query, normalize): (bool, Normalize) = match word.text.as_str() {
        "fragment-encode" => (true, |text| Some(replace_all(text, b'#', b"%23"))),
        "fragment-strip" => (true, |text| Some(strip_fragment(text))),
        "path-merge-slashes" => (false, |text| Some(merge_slashes(text))),
        "path-strip-dot" => (false, |text| Some(strip_dot(text))),
        "path-strip-dotdot" if words.take("full") => (false, |text| Some(strip_dotdot(text, true))),
        "path-strip-dotdot" => (false, |text| Some(strip_dotdot(text, false))),
        "percent-decode-unreserved" if words.take("strict") => {
            (true, |text| percent(text, true, decode_unreserved))
        }
        "percent-decode-unreserved" => (true, |text| percent(text, false, decode_unreserved)),
        "percent-to-uppercase" if words.take("strict") => {
            (true, |text| percent(text, true, uppercase))
        }
        "percent-to-uppercase" => (true, |text| percent(text, false, uppercase)),
        "query-sort-by-name" => (true, |text| Some(sort_query(text))),
        _ => return Err(unknown(word, "a normalizer", NAMES.iter().copied())),
    };
    action(move |context: &mut Context<'_>| {
        let mut malformed = false;
        let done = target::rewrite(context, query, |text| {
            let changed = normalize(text);
            malformed = changed.is_none();
            changed
        });
        if malformed {
            return Flow::Refuse;
        }
        done.unwrap_or(Flow::Continue)
    })
}

fn replace_all(text: &[u8], wanted: u8, by: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte == wanted {
            true => out.extend_from_slice(by),
            false => out.push(byte),
        }
    }
    out
}

fn strip_fragment(text: &[u8]) -> Vec<u8> {
    let end = memchr::memchr(b'#', text).unwrap_or(text.len());
    text[..end].to_vec()
}

fn merge_slashes(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    for &byte in path {
        if byte != b'/' || out.last() != Some(&b'/') {
            out.push(byte);
        }
    }
    out
}

/// Takes out segments that are a single dot.
fn strip_dot(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut segments = path.split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        if segment == b"." {
            continue;
        }
        out.extend_from_slice(segment);
        if segments.peek().is_some() {
            out.push(b'/');
        }
    }
    out
}

/// Takes out segments that are two dots, with the segment before each. Those without one stay at the beginning, unless
/// `full`. As in HAProxy, empty segments count, and single dots are not understood.
fn strip_dotdot(path: &[u8], full: bool) -> Vec<u8> {
    let Some(rest) = path.strip_prefix(b"/") else {
        return path.to_vec();
    };
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut above = 0;
    let mut segments = rest.split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        if segment != b".." {
            kept.push(segment);
            continue;
        }
        if kept.pop().is_none() {
            above += 1;
        }
        // The path goes on to end with a slash.
        if segments.peek().is_none() {
            kept.push(b"");
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for segment in std::iter::repeat_n(&b".."[..], if full { 0 } else { above }).chain(kept) {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    out
}

/// Hands the two digits behind each percent sign to `change`; `None` where they are missing and must not be.
fn percent(text: &[u8], strict: bool, change: fn([u8; 2], &mut Vec<u8>)) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match behind {
            _ if byte != b'%' => out.push(byte),
            [high, low, further @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                change([*high, *low], &mut out);
                rest = further;
            }
            _ if strict => return None,
            _ => out.push(byte),
        }
    }
    Some(out)
}

fn uppercase(digits: [u8; 2], out: &mut Vec<u8>) {
    out.push(b'%');
    out.extend(digits.map(|digit| digit.to_ascii_uppercase()));
}

/// RFC 3986 section 2.3: characters that mean the same with and without a percent sign.
fn decode_unreserved(digits: [u8; 2], out: &mut Vec<u8>) {
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
    let byte = value(digits[0]) << 4 | value(digits[1]);
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        out.push(byte);
    } else {
        out.push(b'%');
        out.extend(digits);
    }
}

/// Parameters of one name stay in their order.
fn sort_query(target: &[u8]) -> Vec<u8> {
    let Some(mark) = memchr::memchr(b'?', target) else {
        return target.to_vec();
    };
    let (path, query) = target.split_at(mark + 1);
    let mut parameters: Vec<_> = query.split(|&byte| byte == b'&').collect();
    let name = |parameter: &&[u8]| {
        let end = memchr::memchr(b'=', parameter);
        parameter[..end.unwrap_or(parameter.len())].to_vec()
    };
    parameters.sort_by_cached_key(name);
    [path, &parameters.join(&b'&')].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[test]
    fn fragments_are_taken_out_or_encoded() {
        // A strict parser refuses them before rules run; a lenient one does not.
        assert_eq!(strip_fragment(b"/a#b?c"), b"/a");
        assert_eq!(replace_all(b"/a#b?c#d", b'#', b"%23"), b"/a%23b?c%23d");
    }

    #[test]
    fn targets_get_one_spelling() {
        let of =
            |target: &str| Bench::request(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        for (rule, target, expected) in [
            ("path-merge-slashes", "//a///b//?//", "/a/b/?//"),
            ("path-strip-dot", "/./a/./b/.", "/a/b/"),
            ("path-strip-dot", "/.a/..b", "/.a/..b"),
            ("path-strip-dotdot", "/a/../b/c/..", "/b/"),
            ("path-strip-dotdot", "/../a/../../b", "/../../b"),
            ("path-strip-dotdot full", "/../a/../../b", "/b"),
            ("path-strip-dotdot", "/a/..", "/"),
            ("path-strip-dotdot", "/..", "/../"),
            ("path-strip-dotdot", "/a//../b", "/a/b"),
            ("percent-decode-unreserved", "/%41%2f%7e?%2d", "/A%2f~?-"),
            ("percent-decode-unreserved", "/%4", "/%4"),
            ("percent-to-uppercase", "/%2f%4g?%e9", "/%2F%4g?%E9"),
            ("query-sort-by-name", "/?c=3&a=2&b=&a=1", "/?a=2&a=1&b=&c=3"),
        ] {
            let found = of(target).line_after(&format!("normalize-uri {rule}"));
            assert_eq!(found, format!("GET {expected}"), "{rule} {target}");
        }
        assert_eq!(
            of("/%4").line_after("normalize-uri percent-to-uppercase strict"),
            "Refuse"
        );
    }
}
