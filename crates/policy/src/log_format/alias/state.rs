//! How it ended, and what was counted on the way.

use super::Alias;
use crate::context::Context;
use crate::log::{Load, Termination};
use crate::log_format::pen::Pen;
use crate::model::Mode;

/// Sorted.
pub(super) const ALIASES: &[Alias] = &[
    Alias::new(
        "B",
        "Bytes from the server to the client.",
        |context, pen| {
            if context.record.is_some_and(|record| record.partial) {
                pen.mark(b'+');
            }
            pen.integer(context.record.map_or(0, |record| record.bytes_sent as i64));
        },
    ),
    Alias {
        log_only: true,
        ..Alias::new(
            "OG",
            "The moment to which the line owes its being.",
            |context, pen| {
                let origin = context
                    .record
                    .map(|record| record.origin)
                    .unwrap_or_default();
                pen.text(Some(origin.name().as_bytes()));
            },
        )
    },
    Alias::new("ST", "The status.", status),
    Alias::new(
        "U",
        "Bytes from the client to the server.",
        |context, pen| {
            pen.integer(
                context
                    .record
                    .map_or(0, |record| record.bytes_received as i64),
            );
        },
    ),
    Alias::new("ac", "Connections of the process.", |context, pen| {
        pen.integer(load(context).process)
    }),
    Alias::new("bc", "Connections of the backend.", |context, pen| {
        pen.integer(load(context).backend)
    }),
    Alias::new(
        "bq",
        "Requests before this one in the backend's queue.",
        |context, pen| {
            pen.integer(context.record.map_or(0, |record| record.queued.backend));
        },
    ),
    Alias::new("fc", "Connections of the frontend.", |context, pen| {
        pen.integer(load(context).frontend)
    }),
    Alias::new("lc", "Lines the frontend has written.", |context, pen| {
        pen.hexadecimal(context.record.map_or(0, |record| record.logged as i64), 4);
    }),
    Alias::new("pid", "The process's number.", |context, pen| {
        pen.hexadecimal(context.world.process_id(), 4);
    }),
    Alias::new(
        "rc",
        "Retries, with '+' before them where another server was tried.",
        |context, pen| {
            if context.record.is_some_and(|record| record.redispatched) {
                pen.mark(b'+');
            }
            pen.integer(context.record.map_or(0, |record| record.retries));
        },
    ),
    Alias::new(
        "rt",
        "The number of the request or TCP session.",
        |context, pen| {
            pen.hexadecimal(context.number(), 4);
        },
    ),
    Alias::new("sc", "Connections of the server.", |context, pen| {
        pen.integer(load(context).server)
    }),
    Alias::new(
        "sq",
        "Requests before this one in the server's queue.",
        |context, pen| {
            pen.integer(context.record.map_or(0, |record| record.queued.server));
        },
    ),
    Alias::new("ts", "How it ended.", |context, pen| {
        pen.word(&termination(context).letters())
    }),
    Alias::new(
        "tsc",
        "How it ended, and what became of cookies.",
        |context, pen| {
            pen.word(&termination(context).letters_http());
        },
    ),
];

fn load(context: &Context<'_>) -> Load {
    context
        .record
        .map_or_else(Load::default, |record| record.load)
}

fn termination(context: &Context<'_>) -> Termination {
    context
        .record
        .map_or(Termination::NORMAL, |record| record.termination)
}

fn status(context: &Context<'_>, pen: &mut Pen<'_>) {
    let status = match context.record {
        Some(record) => match record.status {
            None if record.mode == Mode::Tcp => Some(0),
            status => status,
        },
        None => context.response.as_deref().map(|head| head.status),
    };
    pen.integer(status.map_or(-1, i64::from));
}
