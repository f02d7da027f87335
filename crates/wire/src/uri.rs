//! Request targets and what they are made of (RFC 3986, RFC 9112 section 3.2). Nothing is copied or decoded.

/// The four forms of a request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`
    Origin,
    /// `scheme://authority/path?query`
    Absolute,
    /// `host:port`, for CONNECT.
    Authority,
    /// `*`, for OPTIONS.
    Asterisk,
}

/// A target, split. Parts that are absent are `None`; parts that are empty are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    pub form: Form,
    /// Without `://`.
    pub scheme: Option<&'a [u8]>,
    /// Without user information.
    pub authority: Option<&'a [u8]>,
    /// `None` when an absolute form ends with its authority.
    pub path: Option<&'a [u8]>,
    /// Without `?`, and without the fragment that a lenient parser may have let through.
    pub query: Option<&'a [u8]>,
    /// Where the authority starts in the whole target: behind the user information.
    pub authority_start: usize,
}

/// Splits a target. Never fails: what is neither path, asterisk nor absolute is taken for an authority.
pub fn split(target: &[u8]) -> Target<'_> {
    let nothing = Target {
        form: Form::Origin,
        scheme: None,
        authority: None,
        path: None,
        query: None,
        authority_start: 0,
    };
    match target.first() {
        Some(b'/') => {
            let (path, query) = split_path(target);
            Target {
                path,
                query,
                ..nothing
            }
        }
        Some(b'*') => Target {
            form: Form::Asterisk,
            path: Some(target),
            ..nothing
        },
        _ => match scheme_len(target) {
            Some(length) => split_absolute(target, length),
            None => Target {
                form: Form::Authority,
                authority: Some(target),
                ..nothing
            },
        },
    }
}

fn split_absolute(target: &[u8], scheme_len: usize) -> Target<'_> {
    let mut start = scheme_len + 3;
    let end = target[start..]
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .map_or(target.len(), |offset| start + offset);
    if let Some(at) = memchr::memrchr(b'@', &target[start..end]) {
        start += at + 1;
    }
    let (path, query) = split_path(&target[end..]);
    Target {
        form: Form::Absolute,
        scheme: Some(&target[..scheme_len]),
        authority: Some(&target[start..end]),
        path,
        query,
        authority_start: start,
    }
}

fn split_path(rest: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    let rest = match memchr::memchr(b'#', rest) {
        Some(fragment) => &rest[..fragment],
        None => rest,
    };
    let (path, query) = match memchr::memchr(b'?', rest) {
        Some(mark) => (&rest[..mark], Some(&rest[mark + 1..])),
        None => (rest, None),
    };
    ((!path.is_empty()).then_some(path), query)
}

/// The length of the scheme before `://`, if there is one (RFC 3986 section 3.1).
fn scheme_len(target: &[u8]) -> Option<usize> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let length = target.iter().position(|byte| !allowed(byte))?;
    (target[0].is_ascii_alphabetic() && target[length..].starts_with(b"://")).then_some(length)
}

/// Splits an authority into host and port. The port is `None` without a colon, and empty behind a lone colon.
///
/// Colons inside an IPv6 literal's brackets are no port marks.
pub fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let digits = authority
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let mark = authority.len() - digits;
    match authority[..mark].strip_suffix(b":") {
        Some(host) => (host, Some(&authority[mark..])),
        None => (authority, None),
    }
}

/// Whether a port says nothing: absent, empty, or the scheme's own. Without a scheme, as in CONNECT, both 80 and 443
/// count as such.
pub fn is_default_port(scheme: Option<&[u8]>, port: Option<&[u8]>) -> bool {
    let is = |known: &[u8]| scheme.is_none_or(|scheme| scheme.eq_ignore_ascii_case(known));
    match port {
        None | Some(b"") => true,
        Some(b"80") => is(b"http"),
        Some(b"443") => is(b"https"),
        Some(_) => false,
    }
}

/// Whether all readers take an authority for the same host and port: no blanks, commas, slashes or user information,
/// brackets only around an IP literal, and outside of them one colon at most, with nothing but digits behind it, unless
/// there is no host anyway.
pub fn is_plain_authority(authority: &[u8]) -> bool {
    let host_end = match authority {
        [b'[', rest @ ..] => match memchr::memchr(b']', rest) {
            Some(end) => end + 2,
            None => return false,
        },
        _ => memchr::memchr(b':', authority).unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(host_end);
    let host = host
        .strip_prefix(b"[")
        .and_then(|host| host.strip_suffix(b"]"))
        .unwrap_or(host);
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => true,
        [b':', rest @ ..] if host_end == 0 => {
            rest.iter().all(|&byte| is_host(byte) && byte != b':')
        }
        _ => false,
    };
    is_port && host.iter().all(|&byte| is_host(byte))
}

fn is_host(byte: u8) -> bool {
    HOST[byte as usize]
}

/// Visible ASCII but what ends a host, or could be taken for its end.
static HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = !matches!(
            byte as u8,
            b',' | b'#' | b'/' | b'?' | b'@' | b'[' | b']' | b'\\'
        );
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    type Parts = (
        Form,
        Option<&'static str>,
        Option<&'static str>,
        Option<&'static str>,
        Option<&'static str>,
    );

    #[test]
    fn targets_are_split() {
        let cases: &[(&str, Parts)] = &[
            ("/", (Form::Origin, None, None, Some("/"), None)),
            (
                "/a/b?c=d?e",
                (Form::Origin, None, None, Some("/a/b"), Some("c=d?e")),
            ),
            ("/a?", (Form::Origin, None, None, Some("/a"), Some(""))),
            (
                "/a?b#c?d",
                (Form::Origin, None, None, Some("/a"), Some("b")),
            ),
            ("//x/y", (Form::Origin, None, None, Some("//x/y"), None)),
            ("*", (Form::Asterisk, None, None, Some("*"), None)),
            (
                "http://h",
                (Form::Absolute, Some("http"), Some("h"), None, None),
            ),
            (
                "http://h?q",
                (Form::Absolute, Some("http"), Some("h"), None, Some("q")),
            ),
            (
                "HTTPS://u:p@h:8/x@y",
                (
                    Form::Absolute,
                    Some("HTTPS"),
                    Some("h:8"),
                    Some("/x@y"),
                    None,
                ),
            ),
            (
                "http://",
                (Form::Absolute, Some("http"), Some(""), None, None),
            ),
            ("h:80", (Form::Authority, None, Some("h:80"), None, None)),
            (
                "1http://h",
                (Form::Authority, None, Some("1http://h"), None, None),
            ),
            ("", (Form::Authority, None, Some(""), None, None)),
        ];
        for (target, (form, scheme, authority, path, query)) in cases {
            let split = split(target.as_bytes());
            let text = |part: Option<&'static str>| part.map(str::as_bytes);
            assert_eq!(split.form, *form, "{target}");
            assert_eq!(split.scheme, text(*scheme), "{target}");
            assert_eq!(split.authority, text(*authority), "{target}");
            assert_eq!(split.path, text(*path), "{target}");
            assert_eq!(split.query, text(*query), "{target}");
        }
    }

    #[test]
    fn ports_are_split_off() {
        for (authority, host, port) in [
            ("h", "h", None),
            ("h:", "h", Some("")),
            ("h:80", "h", Some("80")),
            ("[::1]", "[::1]", None),
            ("[::1]:443", "[::1]", Some("443")),
            (":", "", Some("")),
            ("", "", None),
            ("80", "80", None),
        ] {
            let expected = (host.as_bytes(), port.map(str::as_bytes));
            assert_eq!(split_port(authority.as_bytes()), expected, "{authority}");
        }
    }

    #[test]
    fn authorities_with_two_readings_are_not_plain() {
        for good in ["", "h", "h:80", "[::1]", "[::1]:80", "a_b.c", ":", ":8443h"] {
            assert!(is_plain_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "a,b", "a b", "a/b", "u@h", "a#b", "[::1", "::1]", "a[b]", "[::1]x", "h\\x", "h\u{e9}",
            "[a][b]", "h::", "h:80:80", "::1", "h:x", ":8:h", ":8/", "[::1]80", "[::1",
        ] {
            assert!(!is_plain_authority(bad.as_bytes()), "{bad}");
        }
    }
}
