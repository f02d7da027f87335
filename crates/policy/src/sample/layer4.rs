//! Samples of a client's connection: addresses, ports, the frontend (manual, section 7.3.3).

use super::{Needs, Row, fetch};
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "be_name",
        usage: "",
        doc: "The name of the backend that was chosen.",
        needs: Needs::Client,
        read: |_, _| {
            fetch(Type::Text, |context| {
                let backend = &context.plane.model.backends[context.backend?.0 as usize];
                Some(Value::text(backend.name.as_bytes()))
            })
        },
    },
    Row {
        name: "dst",
        usage: "",
        doc: "The address the client connected to.",
        needs: Needs::Client,
        read: |_, _| {
            fetch(Type::Address, |context| {
                Some(Value::Address(context.session.destination?.ip()))
            })
        },
    },
    Row {
        name: "dst_port",
        usage: "",
        doc: "The port the client connected to.",
        needs: Needs::Client,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                Some(Value::Integer(context.session.destination?.port().into()))
            })
        },
    },
    Row {
        name: "fe_conn",
        usage: "[FRONTEND]",
        doc: "Client connections now open to a frontend.",
        needs: Needs::Nothing,
        read: |arguments, scope| {
            let name = arguments.optional();
            let frontend = scope.frontend(name.as_deref(), arguments.span)?;
            fetch(Type::Integer, move |context| {
                let open = context.world.sums().connections(frontend);
                Some(Value::Integer(open.into()))
            })
        },
    },
    Row {
        name: "fe_name",
        usage: "",
        doc: "The name of the frontend.",
        needs: Needs::Client,
        read: |_, _| {
            fetch(Type::Text, |context| {
                let frontend = &context.plane.model.frontends[context.frontend.0 as usize];
                Some(Value::text(frontend.name.as_bytes()))
            })
        },
    },
    Row {
        name: "src",
        usage: "",
        doc: "The client's address.",
        needs: Needs::Client,
        read: |_, _| {
            fetch(Type::Address, |context| {
                Some(Value::Address(context.session.source?.ip().to_canonical()))
            })
        },
    },
    Row {
        name: "src_port",
        usage: "",
        doc: "The client's port.",
        needs: Needs::Client,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                Some(Value::Integer(context.session.source?.port().into()))
            })
        },
    },
];
