//! Converters that look up frontends, backends and servers by name.

use std::sync::atomic::Ordering::Relaxed;

use plimsoll_config::diagnostic::Diagnostic;

use super::{Convert, Row};
use crate::context::Context;
use crate::model::{BackendId, ServerId};
use crate::sample::usable_servers;
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "fe_exists",
        usage: "",
        doc: "Whether a frontend has this name.",
        input: Type::Text,
        output: Some(Type::Boolean),
        read: |_, _| {
            look_up(|context, name| {
                let mut frontends = context.plane.model.frontends.iter();
                let exists = frontends.any(|frontend| frontend.name.as_bytes() == name);
                Some(Value::Boolean(exists))
            })
        },
    },
    Row {
        name: "nbsrv",
        usage: "",
        doc: "How many servers of the backend of this name can be used.",
        input: Type::Text,
        output: Some(Type::Integer),
        read: |_, _| {
            look_up(|context, name| {
                let usable = usable_servers(context.plane, backend(context, name)?);
                Some(Value::Integer(usable.into()))
            })
        },
    },
    Row {
        name: "srv_is_up",
        usage: "",
        doc: "Whether the server written as BACKEND/SERVER can be used.",
        input: Type::Text,
        output: Some(Type::Boolean),
        read: |_, _| {
            look_up(|context, name| {
                let (backend, server) = server(context, name)?;
                let live = context.plane.backend(backend).server(server);
                Some(Value::Boolean(live.is_usable()))
            })
        },
    },
    Row {
        name: "srv_queue",
        usage: "",
        doc: "How many requests wait for the server written as BACKEND/SERVER.",
        input: Type::Text,
        output: Some(Type::Integer),
        read: |_, _| {
            look_up(|context, name| {
                let (backend, server) = server(context, name)?;
                let live = context.plane.backend(backend).server(server);
                Some(Value::Integer(live.queued.load(Relaxed).into()))
            })
        },
    },
];

type Look = fn(&Context<'_>, &[u8]) -> Option<Value<'static>>;

struct LookUp(Look);

impl Convert for LookUp {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        (self.0)(context, &value.into_text())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is what readers return")]
fn look_up(look: Look) -> Result<Box<dyn Convert>, Diagnostic> {
    Ok(Box::new(LookUp(look)))
}

fn backend(context: &Context<'_>, name: &[u8]) -> Option<BackendId> {
    context.plane.find_backend(name)
}

/// The server written as `BACKEND/SERVER`, or as `SERVER` of the backend at hand.
fn server(context: &Context<'_>, name: &[u8]) -> Option<(BackendId, ServerId)> {
    let name = std::str::from_utf8(name).ok()?;
    let (backend, name) = match name.split_once('/') {
        Some((backend, name)) => (context.plane.find_backend(backend.as_bytes())?, name),
        None => (context.backend?, name),
    };
    let mut servers = context.plane.model.backends[backend.0 as usize]
        .servers
        .iter();
    let place = servers.position(|server| server.name == name)?;
    Some((backend, ServerId(place as u32)))
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn names_are_looked_up() {
        let bench = Bench::with_backend();
        for (text, expected) in [
            ("str(web),fe_exists", Some("1")),
            ("str(app),fe_exists", Some("0")),
            ("str(app),nbsrv", Some("2")),
            ("str(web),nbsrv", None),
            ("str(app/one),srv_is_up", Some("1")),
            ("str(one),srv_is_up", Some("1")),
            ("str(app/nope),srv_is_up", None),
            ("str(app/one),srv_queue", Some("0")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
    }
}
