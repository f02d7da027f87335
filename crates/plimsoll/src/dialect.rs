//! Which language a configuration file is written in, told by its content.
//!
//! HAProxy's sections are bare words on a line; keepalived and nginx open blocks with braces. A person who hands us
//! the wrong kind of file deserves a better answer than a hundred unknown words.

use std::fmt;

/// Bytes at the beginning of a file that decide.
const PREFIX_BYTES_MAX: usize = 64 << 10;

/// A configuration language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Haproxy,
    Keepalived,
    Nginx,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Haproxy => "HAProxy",
            Self::Keepalived => "keepalived",
            Self::Nginx => "nginx",
        })
    }
}

/// Words that begin a block of keepalived's at the top of a file.
const KEEPALIVED: &[&str] = &[
    "global_defs",
    "net_namespace",
    "real_server",
    "static_ipaddress",
    "static_routes",
    "static_rules",
    "track_file",
    "track_process",
    "virtual_server",
    "virtual_server_group",
    "vrrp_instance",
    "vrrp_script",
    "vrrp_sync_group",
    "vrrp_track_process",
];

/// Words that begin a block of nginx's at the top of a file or of an included one.
const NGINX: &[&str] = &[
    "events", "geo", "http", "location", "mail", "map", "server", "stream", "types", "upstream",
];

/// The language of a file, by the first block it opens. Whatever opens none is HAProxy's.
pub(crate) fn of(text: &[u8]) -> Dialect {
    let prefix = &text[..text.len().min(PREFIX_BYTES_MAX)];
    let text = String::from_utf8_lossy(prefix);
    let mut lines = text.lines().map(code).filter(|line| !line.is_empty());
    while let Some(line) = lines.next() {
        let first = line.split([' ', '\t', '{']).next().unwrap_or_default();
        // The brace may stand on the next line.
        let opens = line.ends_with('{')
            || line.split_ascii_whitespace().any(|word| word == "{")
            || (!line.ends_with(';') && lines.clone().next() == Some("{"));
        if opens && KEEPALIVED.contains(&first) {
            return Dialect::Keepalived;
        }
        if opens && NGINX.contains(&first) {
            return Dialect::Nginx;
        }
    }
    Dialect::Haproxy
}

/// A line without its comment and blanks; `!` begins a comment of keepalived's.
fn code(line: &str) -> &str {
    let line = line.split('#').next().unwrap_or_default().trim();
    if line.starts_with('!') { "" } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_tells() {
        let cases = [
            ("", Dialect::Haproxy),
            (
                "global\n    daemon\nfrontend a\n    bind :80\n",
                Dialect::Haproxy,
            ),
            (
                "backend b\n    http-request return status 200 if { path / }\n",
                Dialect::Haproxy,
            ),
            (
                "! two nodes\nglobal_defs {\n    router_id a\n}\n",
                Dialect::Keepalived,
            ),
            (
                "vrrp_instance VI_1\n{\n    state MASTER\n}\n",
                Dialect::Keepalived,
            ),
            (
                "worker_processes 1;\nevents { worker_connections 10; }\n",
                Dialect::Nginx,
            ),
            ("upstream app {\n    server 10.0.0.1;\n}\n", Dialect::Nginx),
            ("# http {\nlisten a :80\n", Dialect::Haproxy),
        ];
        for (text, dialect) in cases {
            assert_eq!(of(text.as_bytes()), dialect, "{text}");
        }
        assert_eq!(of(&[0xff; 1 << 20]), Dialect::Haproxy);
    }
}
