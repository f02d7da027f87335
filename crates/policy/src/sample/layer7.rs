//! Samples of the first lines of HTTP messages (manual, section 7.3.6).

use plimsoll_config::diagnostic::Diagnostic;
use plimsoll_wire::head::{FieldKind, Head, Version};

use super::{Fetch, Needs, Row, fetch, logged_line, request, response_version};
use crate::balance::hash_type::{avalanche, sdbm};
use crate::context::Context;
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "base",
        usage: "",
        doc: "The first host followed by the path.",
        needs: Needs::RequestHead,
        read: |_, _| base(|path| split_query(path).0),
    },
    Row {
        name: "base32",
        usage: "",
        doc: "A hash of 32 bits of the host and the path.",
        needs: Needs::RequestHead,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                let hash = hash(request(context)?, false);
                Some(Value::Integer(hash.into()))
            })
        },
    },
    Row {
        name: "base32+src",
        usage: "",
        doc: "A hash of the host and the path, followed by the client's address.",
        needs: Needs::RequestHead,
        read: |_, _| with_source(false),
    },
    Row {
        name: "baseq",
        usage: "",
        doc: "The first host followed by the path and the query.",
        needs: Needs::RequestHead,
        read: |_, _| base(|path| path),
    },
    Row {
        name: "http_first_req",
        usage: "",
        doc: "Whether the request is the first one of its connection.",
        needs: Needs::RequestLine,
        read: |_, _| {
            fetch(Type::Boolean, |context| {
                if context.request.is_none() {
                    logged_line(context)?;
                }
                Some(Value::Boolean(!context.exchange.is_later))
            })
        },
    },
    Row {
        name: "internal.strm.is_htx",
        usage: "",
        doc: "Whether what is looked at is a message of HTTP, and not bytes of TCP mode.",
        needs: Needs::Nothing,
        read: |_, _| {
            fetch(Type::Boolean, |context| {
                Some(Value::Boolean(!context.is_raw))
            })
        },
    },
    Row {
        name: "method",
        usage: "",
        doc: "The request's method.",
        needs: Needs::RequestLine,
        read: |_, _| {
            fetch(Type::Method, |context| {
                let method = match (logged_line(context), &context.exchange.original) {
                    (Some(line), _) => line.method,
                    // As in HAProxy, what rules make of it is not seen, unless it is a method of somebody's own.
                    (None, Some(line)) if is_common(&line.method) => {
                        request(context)?;
                        line.method.as_slice()
                    }
                    (None, _) => request(context)?.method(),
                };
                Some(Value::Method(method.into()))
            })
        },
    },
    Row {
        name: "path",
        usage: "",
        doc: "The path of the request's target, without query.",
        needs: Needs::RequestHead,
        read: |_, _| {
            fetch(Type::Text, |context| {
                let (path, _) = split_query(path_and_query(request(context)?.target())?);
                Some(Value::text(path))
            })
        },
    },
    Row {
        name: "pathq",
        usage: "",
        doc: "The path of the request's target, with its query.",
        needs: Needs::RequestHead,
        read: |_, _| {
            fetch(Type::Text, |context| {
                let path = path_and_query(request(context)?.target())?;
                Some(Value::text(path))
            })
        },
    },
    Row {
        name: "query",
        usage: "[with_qm]",
        doc: "What follows the first question mark of the request's target; with_qm: the mark, too, unless nothing follows.",
        needs: Needs::RequestHead,
        read: |arguments, _| {
            let option = arguments.optional();
            if let Some(other) = option.as_deref().filter(|option| *option != "with_qm") {
                return Err(arguments.invalid(format_args!("'{other}' is not 'with_qm'")));
            }
            let with_mark = option.is_some();
            fetch(Type::Text, move |context| {
                let target = request(context)?.target();
                let mark = memchr::memchr(b'?', target)?;
                let is_empty = mark + 1 == target.len();
                let start = if with_mark && !is_empty {
                    mark
                } else {
                    mark + 1
                };
                Some(Value::text(&target[start..]))
            })
        },
    },
    Row {
        name: "req.proto_http",
        usage: "",
        doc: "Whether the client speaks HTTP.",
        needs: Needs::RequestLine,
        read: |_, _| is_http(),
    },
    Row {
        name: "req.ver",
        usage: "",
        doc: "The version of HTTP in the request, such as 1.1.",
        needs: Needs::RequestLine,
        read: |_, _| request_version(),
    },
    Row {
        name: "req_proto_http",
        usage: "",
        doc: "Whether the client speaks HTTP.",
        needs: Needs::RequestLine,
        read: |_, _| is_http(),
    },
    Row {
        name: "req_ver",
        usage: "",
        doc: "The version of HTTP in the request, such as 1.1.",
        needs: Needs::RequestLine,
        read: |_, _| request_version(),
    },
    Row {
        name: "res.ver",
        usage: "",
        doc: "The version of HTTP in the response, such as 1.1.",
        needs: Needs::ResponseLine,
        read: |_, _| response_version_text(),
    },
    Row {
        name: "resp_ver",
        usage: "",
        doc: "The version of HTTP in the response, such as 1.1.",
        needs: Needs::ResponseLine,
        read: |_, _| response_version_text(),
    },
    Row {
        name: "server_status",
        usage: "",
        doc: "The status that the server sent, whatever rules made of it.",
        needs: Needs::ResponseLine,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                let status = context.exchange.server_status;
                let is_told = status != 0 || (context.record.is_some() && !context.is_raw);
                is_told.then(|| Value::Integer(status.into()))
            })
        },
    },
    Row {
        name: "status",
        usage: "",
        doc: "The response's status.",
        needs: Needs::ResponseLine,
        read: |_, _| status(),
    },
    Row {
        name: "txn.status",
        usage: "",
        doc: "The status of the response that the client gets.",
        needs: Needs::ResponseLine,
        read: |_, _| status(),
    },
    Row {
        name: "unique-id",
        usage: "",
        doc: "The name that unique-id-format gives the request.",
        needs: Needs::Nothing,
        read: |_, _| fetch(Type::Text, |context| context.unique_id().map(Value::text)),
    },
    Row {
        name: "url",
        usage: "",
        doc: "The request's target as it was received.",
        needs: Needs::RequestHead,
        read: |_, _| {
            fetch(Type::Text, |context| {
                Some(Value::Text(request(context)?.whole_target()))
            })
        },
    },
    Row {
        name: "url32",
        usage: "",
        doc: "A hash of 32 bits of the host and the path with its query.",
        needs: Needs::RequestHead,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                let hash = hash(request(context)?, true);
                Some(Value::Integer(hash.into()))
            })
        },
    },
    Row {
        name: "url32+src",
        usage: "",
        doc: "A hash of the host and the path with its query, followed by the client's address.",
        needs: Needs::RequestHead,
        read: |_, _| with_source(true),
    },
    Row {
        name: "url_ip",
        usage: "",
        doc: "The IPv4 address in a target with a scheme.",
        needs: Needs::RequestHead,
        read: |_, _| {
            fetch(Type::Ipv4, |context| {
                let (address, _) = authority(&request(context)?.whole_target())?;
                Some(Value::Address(address.into()))
            })
        },
    },
    Row {
        name: "url_port",
        usage: "",
        doc: "The port in a target with a scheme and an IPv4 address; 80 or 443 where none is written.",
        needs: Needs::RequestHead,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                let (_, port) = authority(&request(context)?.whole_target())?;
                Some(Value::Integer(port.into()))
            })
        },
    },
];

type Made = Result<(Box<dyn Fetch>, Type), Diagnostic>;

fn response<'a>(context: &'a Context<'_>) -> Option<&'a Head> {
    context.response.as_deref()
}

/// Whether a method is one of RFC 9110 section 9.3.
fn is_common(method: &[u8]) -> bool {
    let common = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE",
    ];
    common.iter().any(|name| name.as_bytes() == method)
}

/// The path with the query of a target in origin or absolute form; `None` for `*` and authorities.
pub fn path_and_query(target: &[u8]) -> Option<&[u8]> {
    if target.first() == Some(&b'/') {
        return Some(target);
    }
    let scheme = memchr::memmem::find(target, b"://")?;
    let rest = &target[scheme + 3..];
    let start = rest.iter().position(|byte| matches!(byte, b'/' | b'?'))?;
    Some(&rest[start..])
}

/// What stands before and behind the first question mark.
pub(crate) fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', target) {
        Some(mark) => (&target[..mark], Some(&target[mark + 1..])),
        None => (target, None),
    }
}

/// The IPv4 address and the port of a target in absolute form.
fn authority(target: &[u8]) -> Option<(std::net::Ipv4Addr, u16)> {
    let text = std::str::from_utf8(target).ok()?;
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let (address, port) = match authority.split_once(':') {
        Some((address, port)) => (address, port.parse().ok()?),
        None if scheme.eq_ignore_ascii_case("https") => (authority, 443),
        None => (authority, 80),
    };
    Some((address.parse().ok()?, port))
}

/// The first Host field, and the path; `None` for targets without one.
fn base(part: fn(&[u8]) -> &[u8]) -> Made {
    fetch(Type::Text, move |context| {
        let head = request(context)?;
        let path = path_and_query(head.target()).map(part);
        let host = head.find(FieldKind::Host).unwrap_or_default();
        if host.is_empty() {
            return path.map(Value::text);
        }
        let path = path.filter(|path| path.starts_with(b"/"));
        crate::convert::text([host, path.unwrap_or_default()].concat())
    })
}

/// HAProxy's hash of the host and the path, with or without its query.
fn hash(head: &Head, with_query: bool) -> u32 {
    let host = head.find(FieldKind::Host).unwrap_or_default();
    let path = path_and_query(head.target()).unwrap_or_default();
    let path = match with_query {
        true => path,
        false => split_query(path).0,
    };
    let path = if path.starts_with(b"/") { path } else { &[] };
    avalanche(sdbm(&[host, path].concat()))
}

fn with_source(with_query: bool) -> Made {
    fetch(Type::Binary, move |context| {
        let hash = hash(request(context)?, with_query);
        let source = Value::Address(context.session.source?.ip());
        let mut bytes = hash.to_be_bytes().to_vec();
        bytes.extend_from_slice(&source.into_binary());
        crate::convert::binary(bytes)
    })
}

fn is_http() -> Made {
    fetch(Type::Boolean, |context| {
        let is_http = request(context).is_some();
        if !is_http && (context.unsure.get() || context.record.is_some()) {
            return None;
        }
        Some(Value::Boolean(is_http))
    })
}

/// `1.1` and the like.
pub(super) fn version_number(version: Version) -> &'static str {
    match version {
        Version::H09 => "0.9",
        Version::H10 => "1.0",
        Version::H11 => "1.1",
        Version::H2 => "2.0",
        Version::H3 => "3.0",
    }
}

fn request_version() -> Made {
    fetch(Type::Text, |context| {
        if let Some(line) = logged_line(context) {
            return Some(Value::text(line.version.strip_prefix(b"HTTP/")?));
        }
        let version = version_number(request(context)?.version);
        Some(Value::text(version.as_bytes()))
    })
}

fn response_version_text() -> Made {
    fetch(Type::Text, |context| {
        let version = version_number(response_version(context)?);
        Some(Value::text(version.as_bytes()))
    })
}

fn status() -> Made {
    fetch(Type::Integer, |context| {
        if context.lacks_exchange() {
            return None;
        }
        let status = match (response(context), context.record) {
            (Some(head), _) => head.status,
            (None, record) => record?.status?,
        };
        (status != 0).then(|| Value::Integer(status.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn check(bench: &Bench, cases: &[(&str, Option<&str>)]) {
        for (text, expected) in cases {
            assert_eq!(bench.evaluate(text).as_deref(), *expected, "{text}");
        }
    }

    /// Expected values are HAProxy's.
    #[test]
    fn requests_are_looked_into() {
        let mut bench = Bench::request(
            "GET /n/p.html;x=7?a=1&b=x%20y&c&d=&a=2&e HTTP/1.1\r\nHost: Example.org:8080\r\n\r\n",
        );
        bench.session.source = "127.0.0.1:5".parse().ok();
        check(
            &bench,
            &[
                ("base", Some("Example.org:8080/n/p.html;x=7")),
                ("base32", Some("348486495")),
                ("base32+src,hex", Some("14C57B5F7F000001")),
                (
                    "baseq",
                    Some("Example.org:8080/n/p.html;x=7?a=1&b=x%20y&c&d=&a=2&e"),
                ),
                ("http_first_req", Some("1")),
                ("method", Some("GET")),
                ("path", Some("/n/p.html;x=7")),
                ("pathq", Some("/n/p.html;x=7?a=1&b=x%20y&c&d=&a=2&e")),
                ("query", Some("a=1&b=x%20y&c&d=&a=2&e")),
                ("query(with_qm)", Some("?a=1&b=x%20y&c&d=&a=2&e")),
                ("req.proto_http", Some("1")),
                ("req.ver", Some("1.1")),
                ("url", Some("/n/p.html;x=7?a=1&b=x%20y&c&d=&a=2&e")),
                ("url32", Some("2108725550")),
                ("url32+src,hex", Some("7DB0992E7F000001")),
                ("url_ip", None),
                ("url_port", None),
                ("unique-id", None),
            ],
        );
        assert!(bench.refused("query(x)").contains("with_qm"));
        assert!(bench.refused("status").contains("not available"));
    }

    #[test]
    fn targets_have_several_forms() {
        let bench =
            Bench::request("GET http://10.0.0.1:81/a?b HTTP/1.1\r\nHost: 10.0.0.1:81\r\n\r\n");
        check(
            &bench,
            &[
                ("path", Some("/a")),
                ("url_ip", Some("10.0.0.1")),
                ("url_port", Some("81")),
                ("query", Some("b")),
            ],
        );
        let bench = Bench::request("GET /a? HTTP/1.0\r\n\r\n");
        check(
            &bench,
            &[
                ("base", Some("/a")),
                ("query", Some("")),
                ("query(with_qm)", Some("")),
                ("req_ver", Some("1.0")),
            ],
        );
        for (target, expected) in [
            ("/a?b", Some("/a?b")),
            ("http://h/a", Some("/a")),
            ("http://h?x", Some("?x")),
            ("http://h", None),
            ("*", None),
            ("h:80", None),
        ] {
            let path = path_and_query(target.as_bytes());
            assert_eq!(path, expected.map(str::as_bytes), "{target}");
        }
    }

    #[test]
    fn responses_are_looked_into() {
        let mut bench =
            Bench::default().with_response("HTTP/1.0 503 Busy\r\nContent-Length: 0\r\n\r\n");
        bench.exchange.server_status = 500;
        check(
            &bench,
            &[
                ("status", Some("503")),
                ("txn.status", Some("503")),
                ("server_status", Some("500")),
                ("res.ver", Some("1.0")),
                ("resp_ver", Some("1.0")),
            ],
        );
        assert!(bench.refused("path").contains("not available"));
    }
}
