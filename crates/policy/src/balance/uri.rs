//! `balance uri`: the same request target always goes to the same server, for caches.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Algorithm, BalanceSpec, Call};

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "uri",
    aliases: &[],
    usage: "uri [len <bytes>] [depth <slashes>] [whole] [path-only]",
    doc: "By a hash of the request target up to its query; 'whole' adds the query, 'path-only' drops scheme and \
          host, 'len' and 'depth' shorten it.",
    read,
};

fn read(call: Call<'_>, args: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    call.without_argument()?;
    let mut cut = Cut::default();
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "len" => {
                cut.length = Some(args.number("the length in bytes", 1..=i32::MAX as u64)? as u32)
            }
            "depth" => {
                cut.depth =
                    Some(args.number("the number of slashes", 1..=i32::MAX as u64 - 1)? as u32)
            }
            "whole" => cut.whole = true,
            "path-only" => cut.path_only = true,
            other => {
                return Err(Diagnostic::error(
                    Kind::Invalid,
                    word.span,
                    format_args!("'uri' has no option '{other}'"),
                )
                .help("its options are 'len', 'depth', 'whole' and 'path-only'"));
            }
        }
    }
    Ok(BalanceSpec::Uri {
        length: cut.length,
        depth: cut.depth,
        whole: cut.whole,
        path_only: cut.path_only,
    })
}

/// Which part of a target counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cut {
    /// At most so many bytes.
    pub(super) length: Option<u32>,
    /// Up to the slash that would begin the directory below this level.
    pub(super) depth: Option<u32>,
    /// The query too.
    pub(super) whole: bool,
    pub(super) path_only: bool,
}

impl Cut {
    pub(super) fn key(self, target: &[u8]) -> &[u8] {
        let target = if self.path_only { path(target) } else { target };
        let length = self.length.map_or(target.len(), |length| length as usize);
        let target = &target[..length.min(target.len())];
        let mut slashes = 0;
        let end = target.iter().position(|&byte| match byte {
            b'/' => {
                slashes += 1;
                // The leading slash is one too.
                self.depth.is_some_and(|depth| slashes > depth)
            }
            b'?' => !self.whole,
            _ => false,
        });
        &target[..end.unwrap_or(target.len())]
    }
}

/// The path and query of a target; empty for `*`, an authority, or a URI that ends with its host.
fn path(target: &[u8]) -> &[u8] {
    if target.first() == Some(&b'/') {
        return target;
    }
    let scheme_length = target
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
        .count();
    let after_scheme = match target[scheme_length..].strip_prefix(b"://") {
        Some(rest) if target[0].is_ascii_alphabetic() => rest,
        _ => return b"",
    };
    match after_scheme.iter().position(|byte| b"/?#".contains(byte)) {
        Some(start) => &after_scheme[start..],
        None => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts() {
        let plain = Cut::default();
        let whole = Cut {
            whole: true,
            ..plain
        };
        let path_only = Cut {
            path_only: true,
            ..plain
        };
        let depth = |depth| Cut {
            depth: Some(depth),
            ..plain
        };
        let length = |length| Cut {
            length: Some(length),
            ..plain
        };
        let cases: [(Cut, &str, &str); 17] = [
            (plain, "/a/b?c=/d", "/a/b"),
            (plain, "http://h:80/a?b", "http://h:80/a"),
            (plain, "?q", ""),
            (plain, "", ""),
            (whole, "/a/b?c=/d", "/a/b?c=/d"),
            (depth(1), "/a/b/c", "/a"),
            (depth(2), "/a/b/c", "/a/b"),
            (depth(9), "/a/b/c", "/a/b/c"),
            (depth(1), "http://h/a", "http:/"),
            (length(3), "/abcdef", "/ab"),
            (length(99), "/abc?d", "/abc"),
            (path_only, "http://h:80/a?b", "/a"),
            (path_only, "/a?b", "/a"),
            (path_only, "http://h", ""),
            (path_only, "*", ""),
            (path_only, "host:443", ""),
            (path_only, "1ttp://h/a", ""),
        ];
        for (cut, target, expected) in cases {
            let key = cut.key(target.as_bytes());
            assert_eq!(key, expected.as_bytes(), "{cut:?} of {target}");
        }
    }
}
