//! Samples that only the kernel can tell: the server's end of things, how well packets travel, whose an address is
//! (manual, section 7.3.3).
//!
//! Nobody is asked unless a rule or a line has such a sample: [`asks`] says what to find out before they run.

use std::net::{IpAddr, SocketAddr};

use plimsoll_config::diagnostic::Diagnostic;

use super::{Fetch, Needs, Row, Unit, fetch};
use crate::arguments::Arguments;
use crate::context::{Context, Ends, SessionFacts};
use crate::rule::Asks;
use crate::value::{Type, Value};

const SAVED_SYN: &str = "fc_saved_syn";

/// A row about the client's packets.
macro_rules! counted {
    ($name:literal, $doc:literal, $count:ident) => {
        Row {
            name: $name,
            usage: "",
            doc: $doc,
            needs: Needs::Client,
            read: |_, _| {
                fetch(Type::Integer, |context| {
                    let info = ends(context)?.client?;
                    Some(Value::Integer(info.$count.into()))
                })
            },
        }
    };
}

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "bc_dst",
        usage: "",
        doc: "The server's address.",
        needs: Needs::Server,
        read: |_, _| address(|context| Some(ends(context)?.server_addresses?.0)),
    },
    Row {
        name: "bc_dst_port",
        usage: "",
        doc: "The server's port.",
        needs: Needs::Server,
        read: |_, _| port(|context| Some(ends(context)?.server_addresses?.0)),
    },
    Row {
        name: "bc_reused",
        usage: "",
        doc: "Whether the server's connection has carried another exchange before.",
        needs: Needs::Server,
        read: |_, _| {
            fetch(Type::Boolean, |context| {
                Some(Value::Boolean(ends(context)?.reused))
            })
        },
    },
    Row {
        name: "bc_rtt",
        usage: "[UNIT]",
        doc: "The round-trip time to the server, in milliseconds (or us).",
        needs: Needs::Server,
        read: |arguments, _| time(arguments, |ends| Some(ends.server?.rtt_us)),
    },
    Row {
        name: "bc_rttvar",
        usage: "[UNIT]",
        doc: "How much the round-trip time to the server varies, in milliseconds (or us).",
        needs: Needs::Server,
        read: |arguments, _| time(arguments, |ends| Some(ends.server?.rtt_variance_us)),
    },
    Row {
        name: "bc_src",
        usage: "",
        doc: "The address that the server was reached from.",
        needs: Needs::Server,
        read: |_, _| address(|context| Some(ends(context)?.server_addresses?.1)),
    },
    Row {
        name: "bc_src_port",
        usage: "",
        doc: "The port that the server was reached from.",
        needs: Needs::Server,
        read: |_, _| port(|context| Some(ends(context)?.server_addresses?.1)),
    },
    Row {
        name: "dst_is_local",
        usage: "",
        doc: "Whether the address the client wanted to reach is this machine's.",
        needs: Needs::Client,
        read: |_, _| is_local(|session| session.destination),
    },
    Row {
        name: "fc_dst_is_local",
        usage: "",
        doc: "Whether the address that the client's socket is connected to is this machine's.",
        needs: Needs::Client,
        read: |_, _| is_local(super::layer4::socket_destination),
    },
    counted!(
        "fc_fackets",
        "Forward acknowledged packets to the client, which today's kernels do not count.",
        forward_acknowledged
    ),
    counted!("fc_lost", "Packets to the client that are lost.", lost),
    counted!(
        "fc_reordering",
        "How far packets to the client may overtake each other.",
        reordering
    ),
    counted!(
        "fc_retrans",
        "Packets to the client that were sent again and are on their way.",
        retransmitted
    ),
    Row {
        name: "fc_rtt",
        usage: "[UNIT]",
        doc: "The round-trip time to the client, in milliseconds (or us).",
        needs: Needs::Client,
        read: |arguments, _| time(arguments, |ends| Some(ends.client?.rtt_us)),
    },
    Row {
        name: "fc_rttvar",
        usage: "[UNIT]",
        doc: "How much the round-trip time to the client varies, in milliseconds (or us).",
        needs: Needs::Client,
        read: |arguments, _| time(arguments, |ends| Some(ends.client?.rtt_variance_us)),
    },
    counted!(
        "fc_sacked",
        "Packets to the client that were acknowledged selectively.",
        sacked
    ),
    Row {
        name: SAVED_SYN,
        usage: "",
        doc: "The packet that the client's connection began with, where its bind has 'tcp-ss'.",
        needs: Needs::Client,
        read: |_, _| {
            fetch(Type::Binary, |context| {
                let packet = &*context.session.extra.as_ref()?.saved_syn;
                let is_known = !packet.is_empty();
                is_known.then_some(Value::Binary(packet.into()))
            })
        },
    },
    Row {
        name: "fc_src_is_local",
        usage: "",
        doc: "Whether the address that the client's socket comes from is this machine's.",
        needs: Needs::Client,
        read: |_, _| is_local(super::layer4::socket_source),
    },
    counted!(
        "fc_unacked",
        "Packets to the client that have not been acknowledged.",
        unacked
    ),
    Row {
        name: "src_is_local",
        usage: "",
        doc: "Whether the client's address is this machine's.",
        needs: Needs::Client,
        read: |_, _| is_local(|session| session.source),
    },
];

/// What has to be found out before a sample of this name can have a value.
pub(crate) fn asks(name: &str) -> Asks {
    let row = |name: &str| ROWS.iter().any(|row| row.name == name);
    Asks {
        client_info: name.starts_with("fc_")
            && row(name)
            && !name.ends_with("_is_local")
            && name != SAVED_SYN,
        server_info: matches!(name, "bc_rtt" | "bc_rttvar"),
        server_end: name.starts_with("bc_") && row(name),
        streams: super::stream::ROWS.iter().any(|row| row.name == name),
        resolves: false,
        saved_syn: name == SAVED_SYN,
        bind_connections: name == "dst_conn",
    }
}

type Made = Result<(Box<dyn Fetch>, Type), Diagnostic>;

fn ends<'a>(context: &'a Context<'_>) -> Option<&'a Ends> {
    context.exchange.ends.as_deref()
}

fn address(end: fn(&Context<'_>) -> Option<SocketAddr>) -> Made {
    fetch(Type::Address, move |context| {
        Some(Value::Address(end(context)?.ip()))
    })
}

fn port(end: fn(&Context<'_>) -> Option<SocketAddr>) -> Made {
    fetch(Type::Integer, move |context| {
        Some(Value::Integer(end(context)?.port().into()))
    })
}

/// A time that the kernel gives in microseconds.
fn time(arguments: &mut Arguments, us: fn(&Ends) -> Option<u32>) -> Made {
    let unit = match arguments.left() {
        0 => Unit::Milliseconds,
        _ => Unit::read(arguments)?,
    };
    let divisor = match unit {
        Unit::Microseconds => 1,
        Unit::Milliseconds => 1_000,
        Unit::Seconds => return Err(arguments.invalid("the units are ms and us")),
    };
    fetch(Type::Integer, move |context| {
        let us = i64::from(us(ends(context)?)?);
        Some(Value::Integer((us + divisor / 2) / divisor))
    })
}

fn is_local(end: fn(&SessionFacts) -> Option<SocketAddr>) -> Made {
    fetch(Type::Boolean, move |context| {
        let address: IpAddr = end(context.session)?.ip();
        Some(Value::Boolean(context.world.is_local(address)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::TcpInfo;
    use crate::testing::Bench;

    #[test]
    fn the_kernel_tells() {
        let request = Bench::request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut bench = request.with_response("HTTP/1.1 200 OK\r\n\r\n");
        for name in ["fc_rtt", "bc_src", "bc_reused"] {
            assert_eq!(bench.evaluate(name), None, "{name}: nobody was asked");
        }
        let info = TcpInfo {
            rtt_us: 1_499,
            rtt_variance_us: 500,
            unacked: 1,
            sacked: 2,
            lost: 3,
            retransmitted: 4,
            forward_acknowledged: 5,
            reordering: 6,
        };
        bench.exchange.ends = Some(Box::new(Ends {
            client: Some(info),
            server: Some(TcpInfo {
                rtt_us: 2_500,
                ..info
            }),
            server_addresses: "192.0.2.7:80"
                .parse()
                .ok()
                .zip("192.0.2.8:4000".parse().ok()),
            reused: true,
            ..Ends::default()
        }));
        for (text, expected) in [
            ("fc_rtt", "1"),
            ("fc_rtt(us)", "1499"),
            ("fc_rttvar", "1"),
            ("bc_rtt", "3"),
            ("bc_rtt(us)", "2500"),
            ("bc_rttvar(ms)", "1"),
            ("fc_unacked", "1"),
            ("fc_sacked", "2"),
            ("fc_lost", "3"),
            ("fc_retrans", "4"),
            ("fc_fackets", "5"),
            ("fc_reordering", "6"),
            ("bc_dst", "192.0.2.7"),
            ("bc_dst_port", "80"),
            ("bc_src", "192.0.2.8"),
            ("bc_src_port", "4000"),
            ("bc_reused", "1"),
            ("src_is_local", "0"),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), Some(expected), "{text}");
        }
        assert!(bench.refused("fc_rtt(s)").contains("ms and us"));
    }

    #[test]
    fn what_is_asked_is_known_beforehand() {
        let of = |name: &str| {
            let asks = asks(name);
            (asks.client_info, asks.server_info, asks.server_end)
        };
        assert_eq!(of("fc_rtt"), (true, false, false));
        assert_eq!(of("fc_src_is_local"), (false, false, false));
        assert_eq!(of("fc_src"), (false, false, false));
        assert_eq!(of("bc_rtt"), (false, true, true));
        assert_eq!(of("bc_src"), (false, false, true));
        assert_eq!(of("bc_http_major"), (false, false, false));
    }
}
