//! The request's first line, and what was copied from messages.

use super::Alias;
use crate::context::Context;
use crate::log::text::{CAPTURED, QUOTED};
use crate::log_format::Form;
use crate::log_format::pen::Pen;
use crate::sample::path_and_query;

/// Sorted.
pub(super) const ALIASES: &[Alias] = &[
    Alias::new(
        "CC",
        "The request's cookie that 'capture cookie' found.",
        |context, pen| {
            pen.text(context.exchange.request_cookie.as_deref());
        },
    ),
    Alias::new(
        "CS",
        "The response's cookie that 'capture cookie' found.",
        |context, pen| {
            pen.text(context.exchange.response_cookie.as_deref());
        },
    ),
    Alias::new("HM", "The request's method.", |context, pen| {
        part(context, pen, |line| line.method)
    }),
    Alias::new(
        "HP",
        "The request's target without its query.",
        |context, pen| {
            part(context, pen, |line| split(line.target).0);
        },
    ),
    Alias::new(
        "HPO",
        "The path of the request's target.",
        |context, pen| {
            part(context, pen, |line| {
                split(path_and_query(line.target).unwrap_or_default()).0
            });
        },
    ),
    Alias::new(
        "HQ",
        "The query of the request's target, with its question mark.",
        |context, pen| {
            part(context, pen, |line| split(line.target).1);
        },
    ),
    Alias::new("HU", "The request's target.", |context, pen| {
        part(context, pen, |line| line.target)
    }),
    Alias::new("HV", "The request's version.", |context, pen| {
        part(context, pen, |line| match line.version {
            b"" => b"HTTP/0.9",
            version => version,
        });
    }),
    Alias::new(
        "ID",
        "The name given by 'unique-id-format'.",
        |context, pen| {
            pen.text(context.unique_id());
        },
    ),
    Alias::new(
        "hr",
        "The captures of the request, between braces.",
        |context, pen| {
            captures(&context.exchange.request_captures, pen);
        },
    ),
    Alias::new(
        "hrl",
        "The captures of the request, one after the other.",
        |context, pen| {
            listed(&context.exchange.request_captures, pen);
        },
    ),
    Alias::new(
        "hs",
        "The captures of the response, between braces.",
        |context, pen| {
            captures(&context.exchange.response_captures, pen);
        },
    ),
    Alias::new(
        "hsl",
        "The captures of the response, one after the other.",
        |context, pen| {
            listed(&context.exchange.response_captures, pen);
        },
    ),
    Alias::new("r", "The request's first line.", |context, pen| {
        let line = line(context);
        pen.composed(|stroke| match line {
            None => stroke.own(b"<BADREQ>"),
            Some(line) => {
                let version: &[&[u8]] = match line.version {
                    b"" => &[],
                    version => &[b" ", version],
                };
                let parts = [line.method, b" ", line.target].into_iter();
                for part in parts.chain(version.iter().copied()) {
                    stroke.push(part, &QUOTED);
                }
            }
        });
    }),
];

/// A first line, cut where the log cuts it.
struct Line<'a> {
    method: &'a [u8],
    target: &'a [u8],
    version: &'a [u8],
}

fn line<'a>(context: &'a Context<'_>) -> Option<Line<'a>> {
    if let Some(record) = context.record {
        let request = record.request?;
        let mut room = request.bytes_max;
        let mut cut = |part: &'a [u8]| {
            let part = &part[..part.len().min(room)];
            room = room.saturating_sub(part.len() + 1);
            part
        };
        return Some(Line {
            method: cut(request.method),
            target: cut(request.target),
            version: cut(request.version),
        });
    }
    let head = context.request.as_deref()?;
    let (method, target) = match &context.exchange.original {
        Some(original) => (&original.method[..], &original.target[..]),
        None => (head.method(), head.target()),
    };
    Some(Line {
        method,
        target,
        version: head.version.name().as_bytes(),
    })
}

fn part(
    context: &Context<'_>,
    pen: &mut Pen<'_>,
    find: impl for<'a> FnOnce(&Line<'a>) -> &'a [u8],
) {
    let line = line(context);
    pen.composed(|stroke| match line {
        None => stroke.own(b"<BADREQ>"),
        Some(line) => stroke.push(find(&line), &QUOTED),
    });
}

/// A target, and what begins at its question mark.
fn split(target: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'?', target).unwrap_or(target.len());
    target.split_at(end)
}

fn captures(captures: &[Option<Box<[u8]>>], pen: &mut Pen<'_>) {
    if captures.is_empty() {
        return;
    }
    pen.composed(|stroke| {
        stroke.own(b"{");
        for (index, capture) in captures.iter().enumerate() {
            if index > 0 {
                stroke.own(b"|");
            }
            stroke.push(capture.as_deref().unwrap_or_default(), &CAPTURED);
        }
        stroke.own(b"}");
    });
}

fn listed(captures: &[Option<Box<[u8]>>], pen: &mut Pen<'_>) {
    if captures.is_empty() {
        return;
    }
    pen.list(captures, |pen, capture| {
        let bare = pen.flags.form == Form::Plain && !pen.flags.quote;
        pen.composed(|stroke| match capture {
            Some(capture) => stroke.push(capture, &CAPTURED),
            None if bare => stroke.own(b"-"),
            None => {}
        });
    });
}
