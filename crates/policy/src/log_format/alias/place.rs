//! Addresses and names of those who take part.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::Alias;
use crate::context::Context;
use crate::log::Endpoint;
use crate::log::text::push_ip;
use crate::log_format::pen::Pen;

/// Sorted.
pub(super) const ALIASES: &[Alias] = &[
    Alias::new("H", "The machine's name.", |context, pen| {
        pen.text(Some(context.world.hostname().as_bytes()));
    }),
    Alias::new(
        "b",
        "The backend, or the frontend where none was chosen.",
        |context, pen| {
            pen.text(Some(backend(context).as_bytes()));
        },
    ),
    Alias::new(
        "bi",
        "The address the server was reached from.",
        |context, pen| {
            ip(
                endpoint(context.record.and_then(|record| record.server_source)),
                pen,
            );
        },
    ),
    Alias::new(
        "bp",
        "The port the server was reached from.",
        |context, pen| {
            port(
                endpoint(context.record.and_then(|record| record.server_source)),
                pen,
            );
        },
    ),
    Alias::new("ci", "The client's address.", |context, pen| {
        ip(client(context), pen)
    }),
    Alias::new("cp", "The client's port.", |context, pen| {
        port(client(context), pen)
    }),
    Alias::new("f", "The frontend.", |context, pen| {
        pen.text(Some(frontend(context).as_bytes()));
    }),
    Alias::new(
        "fi",
        "The address the client connected to.",
        |context, pen| {
            ip(local(context), pen);
        },
    ),
    Alias::new("fp", "The port the client connected to.", |context, pen| {
        port(local(context), pen);
    }),
    Alias::new(
        "ft",
        "The frontend, with '~' behind it where the bind speaks TLS.",
        |context, pen| {
            pen.composed(|stroke| {
                stroke.own(frontend(context).as_bytes());
                if context.record.is_some_and(|record| record.secure) {
                    stroke.own(b"~");
                }
            });
        },
    ),
    Alias::new("s", "The server.", |context, pen| {
        pen.text(Some(server(context).unwrap_or("<NOSRV>").as_bytes()));
    }),
    Alias::new("si", "The server's address.", |context, pen| {
        ip(
            endpoint(context.record.and_then(|record| record.server_address)),
            pen,
        );
    }),
    Alias::new("sp", "The server's port.", |context, pen| {
        port(
            endpoint(context.record.and_then(|record| record.server_address)),
            pen,
        );
    }),
    Alias::new(
        "sslc",
        "The cipher suite of the client's connection.",
        |context, pen| {
            let suite = context.session.tls().and_then(|tls| tls.suite);
            pen.text(suite.map(|suite| suite.name().as_bytes()));
        },
    ),
    Alias::new(
        "sslv",
        "The version of TLS of the client's connection.",
        |context, pen| {
            let version = context.session.tls().and_then(|tls| tls.version);
            pen.text(version.map(|version| version.name().as_bytes()));
        },
    ),
];

fn frontend<'a>(context: &'a Context<'_>) -> &'a str {
    let frontends = &context.plane.model.frontends;
    match context.record {
        Some(record) => record.frontend,
        None => frontends
            .get(context.frontend.0 as usize)
            .map_or("", |frontend| &frontend.name),
    }
}

fn backend<'a>(context: &'a Context<'_>) -> &'a str {
    if let Some(record) = context.record {
        return record.backend;
    }
    let backends = &context.plane.model.backends;
    let known = context.backend.and_then(|id| backends.get(id.0 as usize));
    known.map_or_else(|| frontend(context), |backend| &backend.name)
}

fn server<'a>(context: &'a Context<'_>) -> Option<&'a str> {
    if let Some(record) = context.record {
        return record.server;
    }
    let (backend, server) = context.backend.zip(context.server)?;
    let backend = context.plane.model.backends.get(backend.0 as usize)?;
    let server = backend.servers.get(server.0 as usize)?;
    Some(&server.name)
}

fn endpoint(address: Option<SocketAddr>) -> Endpoint {
    address.map_or(Endpoint::Unknown, Endpoint::Inet)
}

/// Rules may have said where the client comes from; otherwise the line's record knows of unix sockets too.
fn client(context: &Context<'_>) -> Endpoint {
    match (context.session.source, context.record) {
        (Some(source), _) => Endpoint::Inet(source),
        (None, Some(record)) => record.client,
        (None, None) => context
            .bind
            .map_or(Endpoint::Unknown, |bind| Endpoint::Unix {
                bind: bind.number,
            }),
    }
}

fn local(context: &Context<'_>) -> Endpoint {
    match (context.session.destination, context.record) {
        (Some(destination), _) => Endpoint::Inet(destination),
        (None, Some(record)) => record.local,
        (None, None) => Endpoint::Unknown,
    }
}

fn ip(endpoint: Endpoint, pen: &mut Pen<'_>) {
    match endpoint {
        Endpoint::Unknown => pen.text(None),
        Endpoint::Unix { .. } => pen.text(Some(b"unix")),
        Endpoint::Inet(address) if pen.flags.hexadecimal => pen.made(false, |out| {
            // Writing to a vector cannot fail.
            drop(match address.ip() {
                IpAddr::V4(ip) => write!(out, "{:08X}", ip.to_bits()),
                IpAddr::V6(ip) => write!(out, "{:032X}", ip.to_bits()),
            });
        }),
        Endpoint::Inet(address) => pen.made(true, |out| push_ip(out, address.ip())),
    }
}

fn port(endpoint: Endpoint, pen: &mut Pen<'_>) {
    match endpoint {
        Endpoint::Unknown => pen.text(None),
        Endpoint::Unix { bind } => pen.integer(bind),
        Endpoint::Inet(address) => pen.hexadecimal(address.port(), 4),
    }
}
