//! `balance rdp-cookie(NAME)`: the same Remote Desktop user always goes to the same server.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::{Algorithm, BalanceSpec, Call};

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "rdp-cookie",
    aliases: &[],
    usage: "rdp-cookie[(<name>)]",
    doc: "By a hash of the cookie (default 'mstshash') in the first packet of a Remote Desktop connection.",
    read,
};

fn read(call: Call<'_>, _: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    match call.argument {
        None => Ok(BalanceSpec::RdpCookie {
            name: "mstshash".into(),
        }),
        Some("") => Err(call
            .error("the name of a cookie is missing")
            .help("write for example 'rdp-cookie(mstshash)', or 'rdp-cookie' alone")),
        Some(name) => Ok(BalanceSpec::RdpCookie { name: name.into() }),
    }
}

/// Bytes of the TPKT (4) and X.224 connection request (7) headers before the routing token or cookie
/// (MS-RDPBCGR 2.2.1.1).
const HEADERS_BYTES: usize = 11;

/// The cookie's value, when the whole line has arrived and names that cookie, whatever its case.
pub(crate) fn value<'a>(opening: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let line = opening.get(HEADERS_BYTES..)?;
    let mut cookie = strip_prefix_any_case(line, b"Cookie:")?;
    while let [b' ', rest @ ..] = cookie {
        cookie = rest;
    }
    let value = strip_prefix_any_case(cookie, name.as_bytes())?.strip_prefix(b"=")?;
    let end = memchr::memchr(b'\r', value)?;
    let is_whole = value.get(end + 1) == Some(&b'\n') && end > 0;
    is_whole.then_some(&value[..end])
}

fn strip_prefix_any_case<'a>(bytes: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let headers = b"\x03\x00\x00\x2a\x25\xe0\x00\x00\x00\x00\x00";
        let cases: [(&str, Option<&str>); 9] = [
            ("Cookie: mstshash=eltons\r\n", Some("eltons")),
            ("cookie:   MSTSHASH=a=b\r\nrest", Some("a=b")),
            ("Cookie: mstshash=\r\n", None),
            ("Cookie: mstshash=a\r", None),
            ("Cookie: mstshash=a\rb", None),
            ("Cookie: mstshash=a", None),
            ("Cookie: msts=a\r\n", None),
            ("Cookie: mstshash2=a\r\n", None),
            ("", None),
        ];
        for (line, expected) in cases {
            let opening = [headers.as_slice(), line.as_bytes()].concat();
            assert_eq!(
                value(&opening, "mstshash"),
                expected.map(str::as_bytes),
                "{line:?}"
            );
        }
        assert_eq!(value(b"short", "mstshash"), None);
    }
}
