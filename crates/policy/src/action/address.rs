//! `set-src`, `set-dst` and their ports: what later rules, logs, balancing and servers take for the client's addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use plimsoll_config::diagnostic::Diagnostic;

use super::{Action, Flow, Places, Row, Words, action};
use crate::context::{Context, Phase, SessionFacts};
use crate::expression::{self, Scope};
use crate::value::Value;

const EVERYWHERE: Places = Places::TCP_REQUEST.and(Places::REQUEST);

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "set-dst",
        numbered: false,
        usage: "EXPRESSION",
        doc: "Sets the address the client is taken to have connected to.",
        places: EVERYWHERE,
        read: |words, scope| {
            set(words, scope, |session, value| {
                session.destination = address(session.destination, value);
            })
        },
    },
    Row {
        name: "set-dst-port",
        numbered: false,
        usage: "EXPRESSION",
        doc: "Sets the port the client is taken to have connected to.",
        places: EVERYWHERE,
        read: |words, scope| {
            set(words, scope, |session, value| {
                session.destination = port(session.destination, value);
            })
        },
    },
    Row {
        name: "set-src",
        numbered: false,
        usage: "EXPRESSION",
        doc: "Sets the address the client is taken to come from.",
        places: EVERYWHERE,
        read: |words, scope| {
            set(words, scope, |session, value| {
                session.source = address(session.source, value);
            })
        },
    },
    Row {
        name: "set-src-port",
        numbered: false,
        usage: "EXPRESSION",
        doc: "Sets the port the client is taken to come from.",
        places: EVERYWHERE,
        read: |words, scope| {
            set(words, scope, |session, value| {
                session.source = port(session.source, value);
            })
        },
    },
];

/// As in HAProxy, the port is kept; what is no address changes nothing.
fn address(known: Option<SocketAddr>, value: &Value<'_>) -> Option<SocketAddr> {
    let port = known.map_or(0, |known| known.port());
    value
        .as_address()
        .map(|ip| SocketAddr::new(ip, port))
        .or(known)
}

/// Where there is no address, there is one now.
fn port(known: Option<SocketAddr>, value: &Value<'_>) -> Option<SocketAddr> {
    let ip = known.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |known| known.ip());
    let number = value
        .as_integer()
        .and_then(|number| u16::try_from(number).ok());
    number.map(|number| SocketAddr::new(ip, number)).or(known)
}

fn set(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    change: fn(&mut SessionFacts, &Value<'_>),
) -> Result<Box<dyn Action>, Diagnostic> {
    let expression = expression::parse(words.args.word("an expression")?, scope)?;
    action(move |context: &mut Context<'_>| {
        let Some(value) = expression.evaluate(context).map(Value::into_owned) else {
            return Flow::Continue;
        };
        // What was known before stays known as the connection's own.
        if context.phase != Phase::Connection {
            let session = &mut *context.session;
            let (source, destination) = (session.source, session.destination);
            let extra = session.extra();
            extra.own_addresses.get_or_insert((source, destination));
        }
        // What a request says of its client holds for this request only.
        if matches!(context.phase, Phase::Request | Phase::RequestContent) {
            let session = &*context.session;
            let before = (session.source, session.destination);
            context.exchange.addresses.get_or_insert(before);
        }
        change(context.session, &value);
        Flow::Continue
    })
}
