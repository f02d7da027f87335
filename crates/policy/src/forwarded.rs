//! `option forwarded`: the Forwarded field (RFC 7239), which tells servers who came, where to and how.
//!
//! What is absent: reading such fields ([`crate::convert`] does), and `option forwardfor`, which is older.

use std::net::{IpAddr, SocketAddr};

use plimsoll_wire::head::{FieldKind, Head};

use crate::context::Context;
use crate::convert::rfc7239;
use crate::expression::Expression;
use crate::value::{Type, Value};

const NAME: &[u8] = b"forwarded";

/// Which parameters are told, in the order proto, host, by, for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forwarded {
    pub(crate) proto: bool,
    pub(crate) host: Option<Origin>,
    pub(crate) by: Node,
    pub(crate) client: Node,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Origin {
    /// What the connection or the request says.
    Known,
    Found(Expression),
}

/// A name with a port, one end of a connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Node {
    pub(crate) name: Option<Origin>,
    pub(crate) port: Option<Origin>,
}

impl Forwarded {
    /// Tells the server; returns `false` where there is no room.
    ///
    /// What clients and proxies before us have said is kept as long as it is well-formed.
    pub fn write(&self, context: &mut Context<'_>) -> bool {
        let value = self.value(context);
        let Some(head) = context.request.as_deref_mut() else {
            return true;
        };
        if !head.values(NAME).all(rfc7239::is_valid_list) {
            return head.add(NAME, &value);
        }
        append(head, &value)
    }

    fn value(&self, context: &Context<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        if self.proto {
            let secure = context.session.tls().is_some();
            out.extend_from_slice(if secure {
                b"proto=https"
            } else {
                b"proto=http"
            });
        }
        if let Some(origin) = &self.host {
            begin(&mut out, b"host=\"");
            let host = match origin {
                Origin::Known => context
                    .request
                    .as_deref()
                    .and_then(|head| head.find(FieldKind::Host))
                    .map(<[u8]>::to_vec),
                Origin::Found(expression) => text(expression, context),
            };
            out.extend(
                host.filter(|host| rfc7239::is_host(host))
                    .unwrap_or_default(),
            );
            out.push(b'"');
        }
        self.by
            .write(b"by=", context.session.destination, context, &mut out);
        self.client
            .write(b"for=", context.session.source, context, &mut out);
        out
    }
}

fn begin(out: &mut Vec<u8>, name: &[u8]) {
    if !out.is_empty() {
        out.push(b';');
    }
    out.extend_from_slice(name);
}

fn text(expression: &Expression, context: &Context<'_>) -> Option<Vec<u8>> {
    let value = expression.evaluate(context)?.cast(Type::Text)?;
    Some(value.into_text().into_owned())
}

impl Node {
    fn write(
        &self,
        parameter: &[u8],
        end: Option<SocketAddr>,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) {
        let Some(name) = &self.name else { return };
        begin(out, parameter);
        let name = self.name(name, end, context);
        let name = name.unwrap_or_else(|| b"unknown".to_vec());
        let Some(port) = &self.port else {
            // What is no token has to be quoted.
            let quoted = name.starts_with(b"[");
            out.extend(quoted.then_some(b'"'));
            out.extend(name);
            out.extend(quoted.then_some(b'"'));
            return;
        };
        out.push(b'"');
        out.extend(name);
        let port = match port {
            Origin::Known => end.map(|end| end.port().to_string().into_bytes()),
            Origin::Found(expression) => {
                let port = text(expression, context);
                port.and_then(|port| rfc7239::port_or_made_up(&port))
            }
        };
        if let Some(port) = port {
            out.push(b':');
            out.extend(port);
        }
        out.push(b'"');
    }

    fn name(
        &self,
        origin: &Origin,
        end: Option<SocketAddr>,
        context: &Context<'_>,
    ) -> Option<Vec<u8>> {
        let address = match origin {
            Origin::Known => end?.ip(),
            Origin::Found(expression) => match expression.evaluate(context)? {
                Value::Address(address) => address,
                value => {
                    let text = value.cast(Type::Text)?.into_text();
                    return rfc7239::name_or_made_up(&text);
                }
            },
        };
        Some(match address {
            IpAddr::V4(address) => address.to_string().into_bytes(),
            IpAddr::V6(address) => format!("[{address}]").into_bytes(),
        })
    }
}

/// Puts a value behind those that are there.
fn append(head: &mut Head, value: &[u8]) -> bool {
    let present = |index: &usize| {
        let field = &head.fields[*index];
        field.kind != FieldKind::Removed && head.bytes(field.name).eq_ignore_ascii_case(NAME)
    };
    let Some(last) = (0..head.fields.len()).rev().find(present) else {
        return head.add(NAME, value);
    };
    let whole = [head.bytes(head.fields[last].value), b", ", value].concat();
    if !head.has_room(whole.len()) {
        return false;
    }
    head.fields[last].value = head.push_value(&whole);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn found(bench: &Bench, text: &str) -> Option<Origin> {
        Some(Origin::Found(bench.expression(text)))
    }

    fn written(bench: &Bench, forwarded: &Forwarded) -> Vec<String> {
        bench.change(|context| {
            assert!(forwarded.write(context));
            let head = context.request.as_deref().expect("a request");
            let values = head.values(NAME);
            values
                .map(|value| String::from_utf8_lossy(value).into_owned())
                .collect()
        })
    }

    fn plain() -> Forwarded {
        Forwarded {
            proto: true,
            client: Node {
                name: Some(Origin::Known),
                port: None,
            },
            ..Forwarded::default()
        }
    }

    #[test]
    fn servers_are_told_who_came() {
        let mut bench = Bench::request("GET / HTTP/1.1\r\nHost: a.test:81\r\n\r\n");
        assert_eq!(written(&bench, &plain()), ["proto=http;for=192.0.2.1"]);
        bench.session.source = "[2001:db8::1]:7".parse().ok();
        assert_eq!(
            written(&bench, &plain()),
            ["proto=http;for=\"[2001:db8::1]\""]
        );
        bench.session.source = None;
        assert_eq!(written(&bench, &plain()), ["proto=http;for=unknown"]);
        let all = Forwarded {
            proto: false,
            host: Some(Origin::Known),
            by: Node {
                name: Some(Origin::Known),
                port: found(&bench, "int(10)"),
            },
            client: Node {
                name: found(&bench, "str(who)"),
                port: found(&bench, "str(id)"),
            },
        };
        assert_eq!(
            written(&bench, &all),
            ["host=\"a.test:81\";by=\"192.0.2.9:10\";for=\"_who:_id\""]
        );
        let odd = Forwarded {
            host: found(&bench, "str('a b')"),
            client: Node {
                name: found(&bench, "str('a b')"),
                port: found(&bench, "str('a b')"),
            },
            ..Forwarded::default()
        };
        assert_eq!(written(&bench, &odd), ["host=\"\";for=\"unknown\""]);
    }

    #[test]
    fn what_others_have_said_is_kept_if_it_is_sound() {
        for (before, expected) in [
            (
                "Forwarded: for=10.0.0.1",
                &["for=10.0.0.1, proto=http;for=192.0.2.1"][..],
            ),
            (
                "Forwarded: for=a b",
                &["for=a b", "proto=http;for=192.0.2.1"],
            ),
        ] {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{before}\r\n\r\n");
            assert_eq!(
                written(&Bench::request(&text), &plain()),
                expected,
                "{before}"
            );
        }
    }
}
