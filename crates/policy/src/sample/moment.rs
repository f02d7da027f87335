//! Samples of how far an exchange or a session has come: dates, durations, sizes, the rules that decided (manual,
//! sections 7.3.2, 7.3.3 and 7.3.6).
//!
//! While rules run, a duration is that of a step that has ended, or -1. What is absent: the words of log lines
//! ([`crate::log_format`]), which look at the same.

use plimsoll_config::diagnostic::Diagnostic;

use super::{Fetch, Needs, Row, Unit, fetch};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::log::{Queued, Termination, Timers, WallTime};
use crate::model::Mode;
use crate::rule::Place;
use crate::value::{Type, Value};

/// A row about the time that a step took; what did not take place lasted -1.
macro_rules! duration {
    ($name:literal, $needs:ident, $doc:literal, $ms:expr) => {
        Row {
            name: $name,
            usage: "",
            doc: $doc,
            needs: Needs::$needs,
            read: |_, _| {
                let ms: fn(&Timers, Mode) -> Option<u64> = $ms;
                number(move |context| duration(ms(&context.timers(), mode(context))))
            },
        }
    };
}

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "accept_date",
        usage: "[UNIT]",
        doc: "When the connection was accepted, in seconds (or ms, us) since 1970.",
        needs: Needs::Client,
        read: |arguments, _| date(arguments, |context| context.accepted()),
    },
    duration!(
        "bc.timer.connect",
        Server,
        "Milliseconds until the server accepted the connection (%Tc).",
        |timers, _| timers.connect_ms.map(u64::from)
    ),
    Row {
        name: "bc_be_queue",
        usage: "",
        doc: "Requests before this one in the backend's queue (%bq).",
        needs: Needs::Server,
        read: |_, _| number(|context| queued(context).backend.into()),
    },
    Row {
        name: "bc_srv_queue",
        usage: "",
        doc: "Requests before this one in the server's queue (%sq).",
        needs: Needs::Server,
        read: |_, _| number(|context| queued(context).server.into()),
    },
    Row {
        name: "bytes_in",
        usage: "",
        doc: "Bytes received from the client (%U).",
        needs: Needs::RequestLine,
        read: |_, _| number(received),
    },
    Row {
        name: "bytes_out",
        usage: "",
        doc: "Bytes of the response (%B).",
        needs: Needs::ResponseLine,
        read: |_, _| number(sent),
    },
    Row {
        name: "fc.timer.handshake",
        usage: "",
        doc: "Milliseconds of handshakes (%Th).",
        needs: Needs::Client,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                let ms = context.timers().handshake_ms;
                Some(Value::Integer(duration(Some(ms.into()))))
            })
        },
    },
    duration!(
        "fc.timer.total",
        Client,
        "Milliseconds since the connection was accepted (%Tt).",
        |timers, _| Some(timers.total_ms())
    ),
    Row {
        name: "last_entity",
        usage: "",
        doc: "The file and the line of the rule that decided last.",
        needs: Needs::Client,
        read: |_, _| place(|context| context.exchange.last_rule.as_ref()),
    },
    Row {
        name: "last_rule_file",
        usage: "",
        doc: "The file of the rule that decided last.",
        needs: Needs::Client,
        read: |_, _| {
            fetch(Type::Text, |context| {
                let place = context.exchange.last_rule.as_ref()?;
                Some(Value::text(place.file.as_bytes()))
            })
        },
    },
    Row {
        name: "last_rule_line",
        usage: "",
        doc: "The line of the rule that decided last.",
        needs: Needs::Client,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                let place = context.exchange.last_rule.as_ref()?;
                Some(Value::Integer(place.line.into()))
            })
        },
    },
    Row {
        name: "req.bytes_in",
        usage: "",
        doc: "Bytes received from the client (%U).",
        needs: Needs::RequestLine,
        read: |_, _| number(received),
    },
    duration!(
        "req.timer.hdr",
        RequestLine,
        "Milliseconds from the first byte to the end of the request's head (%TR).",
        |timers, _| timers.request_ms.map(u64::from)
    ),
    duration!(
        "req.timer.idle",
        RequestLine,
        "Milliseconds before the first byte of the request (%Ti).",
        |timers, _| Some(timers.idle_ms.into())
    ),
    duration!(
        "req.timer.queue",
        Server,
        "Milliseconds in queues (%Tw).",
        |timers, _| timers.queue_ms.map(u64::from)
    ),
    duration!(
        "req.timer.tq",
        RequestLine,
        "Milliseconds from accept to the end of the request's head (%Tq).",
        |timers, _| Some(timers.before_ms() + u64::from(timers.request_ms?))
    ),
    Row {
        name: "request_date",
        usage: "[UNIT]",
        doc: "When the first byte of the request arrived, in seconds (or ms, us) since 1970.",
        needs: Needs::RequestLine,
        read: |arguments, _| date(arguments, |context| context.began()),
    },
    Row {
        name: "res.bytes_out",
        usage: "",
        doc: "Bytes sent to the client.",
        needs: Needs::ResponseLine,
        read: |_, _| number(sent),
    },
    duration!(
        "res.timer.data",
        ResponseLine,
        "Milliseconds from the response's head, or the connection, to the end (%Td).",
        Timers::data_ms
    ),
    duration!(
        "res.timer.hdr",
        ResponseLine,
        "Milliseconds until the response's head was there (%Tr).",
        |timers, _| timers.response_ms.map(u64::from)
    ),
    Row {
        name: "txn.conn_retries",
        usage: "",
        doc: "How often another attempt was made.",
        needs: Needs::Server,
        read: |_, _| number(retries),
    },
    Row {
        name: "txn.id32",
        usage: "",
        doc: "The number of the request or TCP session (%rt).",
        needs: Needs::Client,
        read: |_, _| number(|context| context.number().into()),
    },
    Row {
        name: "txn.redispatched",
        usage: "",
        doc: "Whether another server than the one first chosen was tried.",
        needs: Needs::Server,
        read: |_, _| {
            fetch(Type::Boolean, |context| {
                (!context.lacks_exchange()).then(|| redispatched(context))
            })
        },
    },
    Row {
        name: "txn.sess_term_state",
        usage: "",
        doc: "The two letters that say how it ended, or -- while it goes on (%ts).",
        needs: Needs::Client,
        read: |_, _| {
            fetch(Type::Text, |context| {
                if context.lacks_exchange() {
                    return None;
                }
                let ended = context.record.map(|record| record.termination);
                Some(Value::owned(ended.unwrap_or(Termination::NORMAL).letters()))
            })
        },
    },
    duration!(
        "txn.timer.total",
        RequestLine,
        "Milliseconds since the first byte of the request (%Ta).",
        |timers, _| Some(timers.active_ms.into())
    ),
    duration!(
        "txn.timer.user",
        RequestLine,
        "Milliseconds since accept, without the wait for a request (%Tu).",
        |timers, _| Some(timers.total_ms() - u64::from(timers.idle_ms))
    ),
    Row {
        name: "waiting_entity",
        usage: "",
        doc: "The file and the line of the rule that had the exchange wait when it ended.",
        needs: Needs::Client,
        read: |_, _| place(|context| context.exchange.waiting_rule.as_ref()),
    },
];

type Made = Result<(Box<dyn Fetch>, Type), Diagnostic>;

/// A number about an exchange; nothing where there is none.
fn number(read: impl Fn(&Context<'_>) -> i64 + Send + Sync + 'static) -> Made {
    fetch(Type::Integer, move |context| {
        (!context.lacks_exchange()).then(|| Value::Integer(read(context)))
    })
}

/// What did not take place lasted -1.
fn duration(ms: Option<u64>) -> i64 {
    ms.map_or(-1, |ms| i64::try_from(ms).unwrap_or(i64::MAX))
}

fn mode(context: &Context<'_>) -> Mode {
    let frontends = &context.plane.model.frontends;
    let frontend = frontends.get(context.frontend.0 as usize);
    frontend.map_or(Mode::Http, |frontend| frontend.mode)
}

/// `([UNIT])`: a date in seconds, milliseconds or microseconds.
fn date(arguments: &mut Arguments, when: fn(&Context<'_>) -> WallTime) -> Made {
    let unit = Unit::read(arguments)?;
    fetch(Type::Integer, move |context| {
        Some(Value::Integer(unit.count(when(context))))
    })
}

fn place(rule: for<'a> fn(&'a Context<'_>) -> Option<&'a Place>) -> Made {
    fetch(Type::Text, move |context| {
        Some(Value::owned(rule(context)?.to_string()))
    })
}

fn queued(context: &Context<'_>) -> Queued {
    let progress = context.progress.queued;
    context.record.map_or(progress, |record| record.queued)
}

fn received(context: &Context<'_>) -> i64 {
    let progress = context.progress.received_bytes;
    let bytes = context
        .record
        .map_or(progress, |record| record.bytes_received);
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn sent(context: &Context<'_>) -> i64 {
    let progress = context.progress.sent_bytes;
    let bytes = context.record.map_or(progress, |record| record.bytes_sent);
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn retries(context: &Context<'_>) -> i64 {
    let progress = context.progress.retries;
    context
        .record
        .map_or(progress, |record| record.retries)
        .into()
}

fn redispatched(context: &Context<'_>) -> Value<'static> {
    let progress = context.progress.redispatched;
    Value::Boolean(
        context
            .record
            .map_or(progress, |record| record.redispatched),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::context::Progress;
    use crate::log::{Queued, Times, WallTime};
    use crate::rule::Place;
    use crate::testing::Bench;

    /// Milliseconds as the reactor has them.
    fn at(ms: u64) -> u64 {
        ms * 1_000_000
    }

    #[test]
    fn the_way_of_an_exchange_is_told() {
        let request = Bench::request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut bench = request.with_response("HTTP/1.1 200 OK\r\n\r\n");
        bench.progress = Progress {
            accepted: WallTime {
                unix_s: 1_700_000_000,
                micros: 500,
            },
            times: Times {
                idle_ns: at(100),
                started_ns: at(110),
                received_ns: at(130),
                admitted_ns: at(160),
                connected_ns: at(200),
                answered_ns: 0,
            },
            handshake_ms: 5,
            received_bytes: 30,
            sent_bytes: 4,
            queued: Queued {
                server: 1,
                backend: 2,
            },
            retries: 3,
            redispatched: true,
            ..Progress::default()
        };
        bench.now.monotonic_ns = at(300);
        for (text, expected) in [
            ("accept_date", "1700000000"),
            ("accept_date(us)", "1700000000000500"),
            ("request_date(ms)", "1700000000015"),
            ("fc.timer.handshake", "5"),
            ("req.timer.idle", "10"),
            ("req.timer.hdr", "20"),
            ("req.timer.tq", "35"),
            ("req.timer.queue", "30"),
            ("bc.timer.connect", "40"),
            ("res.timer.hdr", "-1"),
            ("res.timer.data", "-1"),
            ("txn.timer.total", "190"),
            ("txn.timer.user", "195"),
            ("fc.timer.total", "205"),
            ("bc_be_queue", "2"),
            ("bc_srv_queue", "1"),
            ("bytes_in", "30"),
            ("req.bytes_in", "30"),
            ("bytes_out", "4"),
            ("txn.conn_retries", "3"),
            ("txn.redispatched", "1"),
            ("txn.sess_term_state", "--"),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), Some(expected), "{text}");
        }
        assert!(bench.refused("accept_date(h)").contains("no unit"));
    }

    #[test]
    fn rules_that_decided_are_named() {
        let mut bench = Bench::default();
        assert_eq!(bench.evaluate("last_rule_file"), None);
        let place = |line| Place {
            file: Arc::from("a.cfg"),
            line,
        };
        bench.exchange.last_rule = Some(place(7));
        bench.exchange.waiting_rule = Some(place(9));
        for (text, expected) in [
            ("last_rule_file", "a.cfg"),
            ("last_rule_line", "7"),
            ("last_entity", "a.cfg:7"),
            ("waiting_entity", "a.cfg:9"),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), Some(expected), "{text}");
        }
    }
}
