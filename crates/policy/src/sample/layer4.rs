//! Samples of the connections to clients and servers: addresses, ports, PROXY headers (manual, section 7.3.3).

use std::net::SocketAddr;

use plimsoll_config::diagnostic::Diagnostic;
use plimsoll_wire::head::Version;

use super::{Fetch, Needs, Read, Row, fetch, logged_line, response_version};
use crate::arguments::Arguments;
use crate::context::{ConnectionError, Context, SessionFacts};
use crate::model::Bind;
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    row(
        "bc_glitches",
        "",
        Needs::Server,
        "How many oddities there were on the server's connection.",
        |_, _| {
            fetch(Type::Integer, |context| {
                Some(Value::Integer(context.exchange.server_glitches.into()))
            })
        },
    ),
    row(
        "bc_http_major",
        "",
        Needs::Server,
        "The major version of HTTP that the server speaks.",
        |_, _| {
            fetch(Type::Integer, |context| {
                // What answers in place of a server speaks through no connection.
                context.server?;
                Some(major(response_version(context)?))
            })
        },
    ),
    row(
        "dst",
        "",
        Needs::Client,
        "The address the client wanted to reach.",
        |_, _| address(|session| session.destination),
    ),
    row(
        "dst_conn",
        "",
        Needs::Client,
        "Client connections now open to the bind that this one came in by.",
        |_, _| {
            fetch(Type::Integer, |context| {
                let own: *const Bind = context.bind?;
                let frontends = &context.plane.model.frontends;
                let frontend = frontends.get(context.frontend.0 as usize)?;
                let bind = frontend
                    .binds
                    .iter()
                    .position(|bind| std::ptr::eq(bind, own))?;
                let sums = context.world.sums();
                let open = sums.bind_connections(context.frontend, bind)?;
                Some(Value::Integer(open.into()))
            })
        },
    ),
    row(
        "dst_port",
        "",
        Needs::Client,
        "The port the client wanted to reach.",
        |_, _| port(|session| session.destination),
    ),
    row(
        "fc_dst",
        "",
        Needs::Client,
        "The address of ours that the connection is to, whatever a PROXY header or later rules say.",
        |_, _| address(socket_destination),
    ),
    row(
        "fc_dst_port",
        "",
        Needs::Client,
        "The port of ours that the connection is to, whatever a PROXY header or later rules say.",
        |_, _| port(socket_destination),
    ),
    row(
        "fc_err",
        "",
        Needs::Client,
        "The number of what went wrong with the client's connection, 0 if nothing did.",
        |_, _| {
            fetch(Type::Integer, |context| {
                Some(Value::Integer(failure(context).number.into()))
            })
        },
    ),
    row(
        "fc_err_name",
        "",
        Needs::Client,
        "The name of what went wrong with the client's connection.",
        |_, _| {
            fetch(Type::Text, |context| {
                Some(Value::text(failure(context).name.as_bytes()))
            })
        },
    ),
    row(
        "fc_err_str",
        "",
        Needs::Client,
        "What went wrong with the client's connection, in words.",
        |_, _| {
            fetch(Type::Text, |context| {
                Some(Value::text(failure(context).text.as_bytes()))
            })
        },
    ),
    row(
        "fc_glitches",
        "",
        Needs::Client,
        "How many oddities there were on the client's connection.",
        |_, _| {
            fetch(Type::Integer, |context| {
                if context.lacks_session() {
                    return None;
                }
                let extra = context.session.extra.as_ref();
                let count = extra.map_or(0, |extra| extra.glitches);
                Some(Value::Integer(count.into()))
            })
        },
    ),
    row(
        "fc_http_major",
        "",
        Needs::Client,
        "The major version of HTTP that the client speaks.",
        |_, _| {
            fetch(Type::Integer, |context| {
                if context.lacks_session() {
                    return None;
                }
                let logged = || logged_line(context).map(|line| line.version);
                match context.request.as_deref() {
                    Some(head) => Some(major(head.version)),
                    None if context.is_raw => None,
                    // Heads are gone when lines are written.
                    None if logged().is_some_and(|version| version == b"HTTP/2.0") => {
                        Some(major(Version::H2))
                    }
                    None => Some(major(Version::H11)),
                }
            })
        },
    ),
    row(
        "fc_pp_authority",
        "",
        Needs::Client,
        "The host name in the client's PROXY header.",
        |_, _| {
            fetch(Type::Text, |context| {
                proxy_field(context, AUTHORITY).map(Value::text)
            })
        },
    ),
    row(
        "fc_pp_tlv",
        "TYPE",
        Needs::Handshake,
        "A field of the client's PROXY header, by its number or name.",
        pp_tlv,
    ),
    row(
        "fc_pp_unique_id",
        "",
        Needs::Client,
        "The unique identifier in the client's PROXY header.",
        |_, _| {
            fetch(Type::Text, |context| {
                proxy_field(context, UNIQUE_ID).map(Value::text)
            })
        },
    ),
    row(
        "fc_rcvd_proxy",
        "",
        Needs::Client,
        "Whether the client sent a PROXY header.",
        |_, _| {
            fetch(Type::Boolean, |context| {
                if context.lacks_session() {
                    return None;
                }
                let extra = context.session.extra.as_deref();
                Some(Value::Boolean(extra.is_some_and(|extra| extra.proxied)))
            })
        },
    ),
    row(
        "fc_src",
        "",
        Needs::Client,
        "The address that the connection comes from, whatever a PROXY header or later rules say.",
        |_, _| address(socket_source),
    ),
    row(
        "fc_src_port",
        "",
        Needs::Client,
        "The port that the connection comes from, whatever a PROXY header or later rules say.",
        |_, _| port(socket_source),
    ),
    row("src", "", Needs::Client, "The client's address.", |_, _| {
        address(|session| session.source)
    }),
    row(
        "src_port",
        "",
        Needs::Client,
        "The client's port.",
        |_, _| port(|session| session.source),
    ),
];

const fn row(
    name: &'static str,
    usage: &'static str,
    needs: Needs,
    doc: &'static str,
    read: Read,
) -> Row {
    Row {
        name,
        usage,
        doc,
        needs,
        read,
    }
}

fn failure(context: &Context<'_>) -> ConnectionError {
    let extra = context.session.extra.as_deref();
    extra
        .and_then(|extra| extra.failure)
        .unwrap_or(ConnectionError::NONE)
}

type Made = Result<(Box<dyn Fetch>, Type), Diagnostic>;
type Endpoint = fn(&SessionFacts) -> Option<SocketAddr>;

fn address(endpoint: Endpoint) -> Made {
    fetch(Type::Address, move |context| {
        let endpoint = endpoint(context.session)?;
        Some(Value::Address(endpoint.ip()))
    })
}

fn port(endpoint: Endpoint) -> Made {
    fetch(Type::Integer, move |context| {
        Some(Value::Integer(endpoint(context.session)?.port().into()))
    })
}

/// The connection's own address, as `tcp-request connection` has left it.
pub(super) fn socket_source(session: &SessionFacts) -> Option<SocketAddr> {
    own_addresses(session).0
}

pub(super) fn socket_destination(session: &SessionFacts) -> Option<SocketAddr> {
    own_addresses(session).1
}

fn own_addresses(session: &SessionFacts) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let extra = session.extra.as_deref();
    extra
        .and_then(|extra| extra.own_addresses)
        .unwrap_or((session.source, session.destination))
}

fn major(version: Version) -> Value<'static> {
    Value::Integer(match version {
        Version::H09 | Version::H10 | Version::H11 => 1,
        Version::H2 => 2,
        Version::H3 => 3,
    })
}

/// Types of fields in PROXY headers (PROXY protocol, section 2.2).
const AUTHORITY: u8 = 2;
const UNIQUE_ID: u8 = 5;

const NAMES: [(&str, u8); 7] = [
    ("alpn", 1),
    ("authority", AUTHORITY),
    ("crc32c", 3),
    ("netns", 0x30),
    ("noop", 4),
    ("ssl", 0x20),
    ("unique_id", UNIQUE_ID),
];

fn proxy_field<'a>(context: &'a Context<'_>, wanted: u8) -> Option<&'a [u8]> {
    let fields = &context.session.extra.as_deref()?.proxy_fields;
    let field = fields.iter().find(|(kind, _)| *kind == wanted)?;
    Some(&field.1)
}

fn pp_tlv(arguments: &mut Arguments, _: &crate::expression::Scope<'_>) -> Made {
    let text = arguments.word("the type of a field")?;
    let lower = text.to_ascii_lowercase();
    let known = NAMES.iter().find(|(name, _)| *name == lower);
    let number = match (known, lower.strip_prefix("0x")) {
        (Some((_, number)), _) => Ok(*number),
        (None, Some(digits)) => u8::from_str_radix(digits, 16),
        (None, None) => lower.parse(),
    };
    let number = number
        .map_err(|_| arguments.invalid(format_args!("'{text}' is not the type of a field")))?;
    fetch(Type::Text, move |context| {
        proxy_field(context, number).map(Value::text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[test]
    fn connections_have_two_ends() {
        let mut bench = Bench::default();
        for (text, expected) in [
            ("src", Some("192.0.2.1")),
            ("src_port", Some("4711")),
            ("dst", Some("192.0.2.9")),
            ("dst_port", Some("80")),
            ("fc_src", Some("192.0.2.1")),
            ("fc_dst_port", Some("80")),
            ("fc_rcvd_proxy", Some("0")),
            ("fc_pp_authority", None),
            ("fc_http_major", Some("1")),
            ("fc_err", Some("0")),
            ("fc_err_name", Some("")),
            ("fc_err_str", Some("Success")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
        let extra = bench.session.extra();
        extra.proxied = true;
        extra.failure = Some(ConnectionError {
            number: 13,
            name: "PRX_TIMEOUT",
            text: "too late",
        });
        extra.own_addresses = Some(("10.0.0.7:7".parse().ok(), None));
        extra.proxy_fields = vec![(2, b"example.org".to_vec()), (0xe1, b"own".to_vec())];
        for (text, expected) in [
            ("src", Some("192.0.2.1")),
            ("fc_src", Some("10.0.0.7")),
            ("fc_src_port", Some("7")),
            ("fc_rcvd_proxy", Some("1")),
            ("fc_pp_authority", Some("example.org")),
            ("fc_err", Some("13")),
            ("fc_err_name", Some("PRX_TIMEOUT")),
            ("fc_err_str", Some("too late")),
            ("fc_pp_unique_id", None),
            ("fc_pp_tlv(0xE1)", Some("own")),
            ("fc_pp_tlv(authority)", Some("example.org")),
            ("fc_pp_tlv(225)", Some("own")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
        assert!(bench.refused("fc_pp_tlv(nope)").contains("not the type"));
        assert!(bench.refused("fc_pp_tlv(0x100)").contains("not the type"));
    }
}
