//! Dates and durations.

use super::Alias;
use crate::context::Context;
use crate::log::{Dates, Timers, WallTime};
use crate::log_format::Form;
use crate::log_format::pen::Pen;
use crate::model::Mode;

/// Sorted.
pub(super) const ALIASES: &[Alias] = &[
    Alias::new(
        "T",
        "When the connection was accepted, in universal time.",
        |context, pen| {
            date(context, accepted(context), Dates::push_utc, pen);
        },
    ),
    Alias::new(
        "TR",
        "Milliseconds from the first byte to the end of the request's head.",
        |context, pen| {
            optional(timers(context).request_ms.map(u64::from), pen);
        },
    ),
    Alias::new(
        "Ta",
        "Milliseconds from the first byte of the request to the end.",
        |context, pen| {
            growing(context, u64::from(timers(context).active_ms), pen);
        },
    ),
    Alias::new(
        "Tc",
        "Milliseconds until the server accepted the connection.",
        |context, pen| {
            optional(timers(context).connect_ms.map(u64::from), pen);
        },
    ),
    Alias::new(
        "Td",
        "Milliseconds from the response's head, or the connection, to the end.",
        |context, pen| {
            let mode = context.record.map_or(Mode::Http, |record| record.mode);
            optional(timers(context).data_ms(mode), pen);
        },
    ),
    Alias::new("Th", "Milliseconds of handshakes.", |context, pen| {
        pen.integer(timers(context).handshake_ms);
    }),
    Alias::new(
        "Ti",
        "Milliseconds before the first byte of the request.",
        |context, pen| {
            pen.integer(timers(context).idle_ms);
        },
    ),
    Alias::new(
        "Tl",
        "When the connection was accepted, in local time.",
        |context, pen| {
            date(context, accepted(context), Dates::push_local, pen);
        },
    ),
    Alias::new(
        "Tq",
        "Milliseconds from accept to the end of the request's head.",
        |context, pen| {
            let timers = timers(context);
            let request_ms = timers.request_ms.map(u64::from);
            optional(request_ms.map(|ms| timers.before_ms() + ms), pen);
        },
    ),
    Alias::new(
        "Tr",
        "Milliseconds until the response's head was there.",
        |context, pen| {
            optional(timers(context).response_ms.map(u64::from), pen);
        },
    ),
    Alias::new(
        "Ts",
        "When the connection was accepted, in seconds since 1970.",
        |context, pen| {
            pen.hexadecimal(accepted(context).unix_s as i64, 4);
        },
    ),
    Alias::new(
        "Tt",
        "Milliseconds from accept to the end.",
        |context, pen| {
            growing(context, timers(context).total_ms(), pen);
        },
    ),
    Alias::new(
        "Tu",
        "Milliseconds from accept to the end, without the wait for a request.",
        |context, pen| {
            let timers = timers(context);
            growing(context, timers.total_ms() - u64::from(timers.idle_ms), pen);
        },
    ),
    Alias::new("Tw", "Milliseconds in queues.", |context, pen| {
        optional(timers(context).queue_ms.map(u64::from), pen);
    }),
    Alias::new(
        "ms",
        "The millisecond at which the connection was accepted.",
        |context, pen| {
            let millis = accepted(context).millis();
            match (pen.flags.form, pen.flags.hexadecimal) {
                (Form::Plain, false) => pen.word(format!("{millis:03}").as_bytes()),
                _ => pen.hexadecimal(millis, 2),
            }
        },
    ),
    Alias::new(
        "t",
        "When the connection was accepted, in local time with milliseconds.",
        |context, pen| {
            date(context, accepted(context), Dates::push_local_ms, pen);
        },
    ),
    Alias::new(
        "tr",
        "When the request began, in local time with milliseconds.",
        |context, pen| {
            date(context, began(context), Dates::push_local_ms, pen);
        },
    ),
    Alias::new(
        "trg",
        "When the request began, in universal time.",
        |context, pen| {
            date(context, began(context), Dates::push_utc, pen);
        },
    ),
    Alias::new(
        "trl",
        "When the request began, in local time.",
        |context, pen| {
            date(context, began(context), Dates::push_local, pen);
        },
    ),
];

fn accepted(context: &Context<'_>) -> WallTime {
    context.accepted()
}

fn began(context: &Context<'_>) -> WallTime {
    context.began()
}

fn timers(context: &Context<'_>) -> Timers {
    context.timers()
}

fn date(
    context: &Context<'_>,
    time: WallTime,
    push: fn(&mut Dates, WallTime, &mut Vec<u8>),
    pen: &mut Pen<'_>,
) {
    let mut dates = Dates::default();
    dates.set_utc_offset_s(context.world.utc_offset_s());
    pen.made(false, |out| push(&mut dates, time, out));
}

/// What did not take place lasted -1.
fn optional(ms: Option<u64>, pen: &mut Pen<'_>) {
    pen.integer(ms.map_or(-1, |ms| ms as i64));
}

/// A duration that may not be over.
fn growing(context: &Context<'_>, ms: u64, pen: &mut Pen<'_>) {
    if context.record.is_some_and(|record| record.partial) {
        pen.mark(b'+');
    }
    pen.integer(ms as i64);
}
