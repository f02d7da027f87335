//! `balance url_param`: the same value of a query parameter always goes to the same server.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Algorithm, BalanceSpec, Call};

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "url_param",
    aliases: &[],
    usage: "url_param <name> [check_post [<bytes>]]",
    doc: "By a hash of the value of a query parameter; of a POST request the buffered body is searched too.",
    read,
};

fn read(call: Call<'_>, args: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    call.without_argument()?;
    let name = args.word("the name of a parameter")?.text.clone();
    // Bodies are searched whether it is there or not, as HAProxy does.
    if args.take("check_post") {
        let Some(word) = args.peek() else {
            return Ok(BalanceSpec::UrlParam { name });
        };
        args.number("the number of bytes to wait for", 0..=u64::from(u32::MAX))?;
        let message = "how much of a body to wait for has no effect here";
        let cause =
            "'option http-buffer-request' waits for bodies, as far as the buffer holds them";
        args.warn(Diagnostic::note(Kind::NoEffect, word.span, message).cause(cause));
    } else if let Some(word) = args.next() {
        return Err(Diagnostic::error(
            Kind::Invalid,
            word.span,
            format_args!("'url_param' has no option '{}'", word.text),
        )
        .help("its only option is 'check_post'"));
    }
    Ok(BalanceSpec::UrlParam { name })
}

/// The parameter's value in the query of a target.
pub(super) fn in_target<'a>(target: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let query = memchr::memchr(b'?', target)? + 1;
    find(&target[query..], name)
}

/// The parameter's value in a form.
///
/// A value with bytes that no encoded form contains ends the search: what follows is not a form. White space
/// ends the value.
pub(super) fn in_body<'a>(body: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let value = find(body, name)?;
    match value.iter().position(|&byte| !is_token(byte)) {
        None => Some(value),
        Some(end) if matches!(value[end], b' ' | b'\t' | b'\r' | b'\n') => Some(&value[..end]),
        Some(_) => None,
    }
}

/// The value of the first `name=value` pair of that name; the value may be empty.
fn find<'a>(pairs: &'a [u8], name: &str) -> Option<&'a [u8]> {
    pairs
        .split(|&byte| byte == b'&')
        .find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// A byte that may stand in a header field's name (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use plimsoll_config::args::Word;
    use plimsoll_config::diagnostic::Span;

    use super::*;

    #[test]
    fn what_may_follow_the_name() {
        let read = |line: &str| {
            let words: Vec<_> = line
                .split(' ')
                .map(|word| Word::new(word, Span::default()))
                .collect();
            let mut args = Args::new(&words, Span::default());
            let spec = super::super::read(&mut args).ok()?;
            assert_eq!(spec, BalanceSpec::UrlParam { name: "id".into() });
            Some(args.warnings().len())
        };
        for (line, notes) in [
            ("url_param id", Some(0)),
            ("url_param id check_post", Some(0)),
            ("url_param id check_post 512", Some(1)),
            ("url_param id check_post many", None),
            ("url_param id check_post 1 2", Some(1)),
            ("url_param id 512", None),
            ("url_param", None),
        ] {
            assert_eq!(read(line), notes, "{line}");
        }
    }

    #[test]
    fn parameters_of_a_target() {
        let cases: [(&str, Option<&str>); 9] = [
            ("/?id=7", Some("7")),
            ("/p?a=1&id=x%20y&id=2", Some("x%20y")),
            ("/p?id=", Some("")),
            ("/p?xid=1&idx=2&id=3", Some("3")),
            ("/p?id", None),
            ("/p?ID=1", None),
            ("/id=1", None),
            ("/p?a=b?id=1", None),
            ("/p?&&id=1?2", Some("1?2")),
        ];
        for (target, expected) in cases {
            let found = in_target(target.as_bytes(), "id");
            assert_eq!(found, expected.map(str::as_bytes), "{target}");
        }
    }

    #[test]
    fn parameters_of_a_form() {
        let cases: [(&str, Option<&str>); 5] = [
            ("a=1&id=7", Some("7")),
            ("id=7\r\n", Some("7")),
            ("id=7 8", Some("7")),
            ("id=7\x01", None),
            ("", None),
        ];
        for (body, expected) in cases {
            let found = in_body(body.as_bytes(), "id");
            assert_eq!(found, expected.map(str::as_bytes), "{body:?}");
        }
    }
}
