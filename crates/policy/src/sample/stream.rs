//! Samples of one exchange among others on its two connections, and of what went wrong with the server's (manual,
//! sections 7.3.3 and 7.3.5).

use plimsoll_config::diagnostic::Diagnostic;

use super::{Fetch, Needs, Read, Row, fetch};
use crate::context::{ConnectionError, Context, StreamEnd};
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    row(
        "bc_err",
        Needs::Server,
        "The number of what went wrong with the server's connection, 0 if nothing did.",
        |_, _| number(|context| Some(failure(context)?.number.into())),
    ),
    row(
        "bc_err_name",
        Needs::Server,
        "The name of what went wrong with the server's connection.",
        |_, _| words(|context| Some(failure(context)?.name)),
    ),
    row(
        "bc_err_str",
        Needs::Server,
        "What went wrong with the server's connection, in words.",
        |_, _| words(|context| Some(failure(context)?.text)),
    ),
    row(
        "bc_nb_streams",
        Needs::Server,
        "How many exchanges the server's connection carries at the moment.",
        |_, _| number(|context| Some(server(context)?.open.into())),
    ),
    row(
        "bc_settings_streams_limit",
        Needs::Server,
        "How many exchanges the server's connection may carry at a time.",
        |_, _| number(|context| Some(server(context)?.limit.into())),
    ),
    row(
        "bs.aborted",
        Needs::Server,
        "Whether the server has cancelled the exchange (HTTP/2).",
        |_, _| {
            fetch(Type::Boolean, |context| {
                client(context)?;
                let server = server(context);
                Some(Value::Boolean(
                    server.is_some_and(|end| end.reset.is_some()),
                ))
            })
        },
    ),
    row(
        "bs.id",
        Needs::Server,
        "The number of the exchange on the server's connection: the stream of HTTP/2, or how many came before it.",
        |_, _| number(|context| Some(server(context)?.number.into())),
    ),
    row(
        "bs.rst_code",
        Needs::Server,
        "The code with which the server has cancelled the exchange (HTTP/2).",
        |_, _| number(|context| server(context)?.reset.map(i64::from)),
    ),
    row(
        "fc_nb_streams",
        Needs::Client,
        "How many exchanges the client's connection carries at the moment, in lines of HTTP/2 without this one.",
        |_, _| number(|context| Some(open(context)?.open.into())),
    ),
    row(
        "fc_settings_streams_limit",
        Needs::Client,
        "How many exchanges the client's connection may carry at a time.",
        |_, _| number(|context| Some(open(context)?.limit.into())),
    ),
    row(
        "fs.aborted",
        Needs::Client,
        "Whether the client has cancelled the exchange (HTTP/2).",
        |_, _| {
            fetch(Type::Boolean, |context| {
                Some(Value::Boolean(client(context)?.reset.is_some()))
            })
        },
    ),
    row(
        "fs.id",
        Needs::Client,
        "The number of the exchange on the client's connection: the stream of HTTP/2, or how many came before it.",
        |_, _| number(|context| Some(client(context)?.number.into())),
    ),
    row(
        "fs.rst_code",
        Needs::Client,
        "The code with which the client has cancelled the exchange (HTTP/2).",
        |_, _| number(|context| client(context)?.reset.map(i64::from)),
    ),
];

const fn row(name: &'static str, needs: Needs, doc: &'static str, read: Read) -> Row {
    Row {
        name,
        usage: "",
        doc,
        needs,
        read,
    }
}

type Made = Result<(Box<dyn Fetch>, Type), Diagnostic>;

fn number(find: fn(&Context<'_>) -> Option<i64>) -> Made {
    fetch(Type::Integer, move |context| {
        find(context).map(Value::Integer)
    })
}

fn words(find: fn(&Context<'_>) -> Option<&'static str>) -> Made {
    fetch(Type::Text, move |context| {
        Some(Value::text(find(context)?.as_bytes()))
    })
}

fn client(context: &Context<'_>) -> Option<StreamEnd> {
    context.exchange.ends.as_ref()?.client_stream
}

/// The client's; a line about a request that was none has that of its connection.
fn open(context: &Context<'_>) -> Option<StreamEnd> {
    let missing = context.record.map(|_| StreamEnd::alone(0));
    client(context).or(missing)
}

fn server(context: &Context<'_>) -> Option<StreamEnd> {
    context.exchange.ends.as_ref()?.server_stream
}

fn failure(context: &Context<'_>) -> Option<ConnectionError> {
    server(context)?;
    let failure = context.exchange.ends.as_ref()?.server_failure;
    Some(failure.unwrap_or(ConnectionError::NONE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Ends;
    use crate::testing::Bench;

    #[test]
    fn streams_are_told() {
        let request = Bench::request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut bench = request.with_response("HTTP/1.1 200 OK\r\n\r\n");
        for row in ROWS {
            assert_eq!(bench.evaluate(row.name), None, "{}: nobody asked", row.name);
        }
        bench.exchange.ends = Some(Box::new(Ends {
            client_stream: Some(StreamEnd {
                number: 5,
                open: 3,
                limit: 100,
                reset: Some(8),
            }),
            server_stream: Some(StreamEnd::alone(7)),
            server_failure: Some(ConnectionError::RESET),
            ..Ends::default()
        }));
        for (text, expected) in [
            ("bc_err", Some("48")),
            ("bc_err_name", Some("ERESET")),
            ("bc_err_str", Some("ECONNRESET returned by OS")),
            ("bc_nb_streams", Some("1")),
            ("bc_settings_streams_limit", Some("1")),
            ("bs.aborted", Some("0")),
            ("bs.id", Some("7")),
            ("bs.rst_code", None),
            ("fc_nb_streams", Some("3")),
            ("fc_settings_streams_limit", Some("100")),
            ("fs.aborted", Some("1")),
            ("fs.id", Some("5")),
            ("fs.rst_code", Some("8")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
    }
}
