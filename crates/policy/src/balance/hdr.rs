//! `balance hdr(NAME)`: the same value of a header field always goes to the same server.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Algorithm, BalanceSpec, Call};
use crate::sample::comma;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "hdr",
    aliases: &[],
    usage: "hdr(<name>) [use_domain_only]",
    doc: "By a hash of the first value of a header field; 'use_domain_only' reduces a host name to its main part.",
    read,
};

fn read(call: Call<'_>, args: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    let name = match call.argument {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => {
            return Err(call
                .error("the name of a header field is missing")
                .help("write for example 'hdr(host)'"));
        }
    };
    let use_domain_only = match args.next() {
        None => false,
        Some(word) if word.text == "use_domain_only" => true,
        Some(word) => {
            return Err(Diagnostic::error(
                Kind::Invalid,
                word.span,
                format_args!("'hdr' has no option '{}'", word.text),
            )
            .help("its only option is 'use_domain_only'"));
        }
    };
    Ok(BalanceSpec::Header {
        name,
        use_domain_only,
    })
}

/// The first element of a comma-separated list, trimmed; a comma in double quotes does not separate.
pub(super) fn first_value(field: &[u8]) -> &[u8] {
    let field = field.trim_ascii_start();
    field[..comma(field).unwrap_or(field.len())].trim_ascii_end()
}

/// The main part of a host name: what stands between its last two dots, `example` in `www.example.com`.
///
/// A name without a dot, or whose only dot is its first byte, is taken whole. The byte before the last dot always
/// counts, even if it is a dot itself.
pub(super) fn domain(host: &[u8]) -> &[u8] {
    let end = match memchr::memrchr(b'.', host) {
        None | Some(0) => return host,
        Some(end) => end,
    };
    let start = memchr::memrchr(b'.', &host[..end - 1]).map_or(0, |dot| dot + 1);
    &host[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_values() {
        let cases = [
            ("abc", "abc"),
            (" a b \t, c", "a b"),
            ("\"a,b\",c", "\"a,b\""),
            (r#""a\",b",c"#, r#""a\",b""#),
            (r"a\,b", r"a\"),
            (", b", ""),
            ("\"open, c", "\"open, c"),
            ("", ""),
        ];
        for (field, expected) in cases {
            assert_eq!(
                first_value(field.as_bytes()),
                expected.as_bytes(),
                "{field}"
            );
        }
    }

    #[test]
    fn domains() {
        let cases = [
            ("www.example.com", "example"),
            ("a.b.example.com:80", "example"),
            ("example.com", "example"),
            ("localhost", "localhost"),
            ("10.0.0.1", "0"),
            (".com", ".com"),
            ("a..com", "a."),
            ("x.a..com", "a."),
            ("a.", "a"),
            ("", ""),
        ];
        for (host, expected) in cases {
            assert_eq!(domain(host.as_bytes()), expected.as_bytes(), "{host}");
        }
    }
}
