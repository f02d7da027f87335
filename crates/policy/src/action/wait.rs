//! Actions that wait, and what is said meanwhile: `wait-for-body`, `wait-for-handshake`, `pause`, `early-hint`.

use plimsoll_config::diagnostic::{Diagnostic, Kind};
use plimsoll_config::values::TimeUnit;
use plimsoll_wire::head::{Head, Version};

use super::{Action, Flow, Places, Row, Words, action, header, settings};
use crate::context::Context;
use crate::expression::Scope;
use crate::keyword::haproxy::value::unknown;
use crate::log_format::{self, Encoding};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "early-hint",
        numbered: false,
        usage: "NAME FORMAT",
        doc: "Sends an interim response 103 with a field.",
        places: Places::REQUEST,
        read: early_hint,
    },
    Row {
        name: "pause",
        numbered: false,
        usage: "TIME|EXPRESSION",
        doc: "Waits.",
        places: Places::MESSAGES,
        read: settings::pause,
    },
    Row {
        name: "wait-for-body",
        numbered: false,
        usage: "time TIME [at-least SIZE]",
        doc: "Waits for the body of a message, as far as a buffer reaches.",
        places: Places::MESSAGES,
        read: wait_for_body,
    },
    Row {
        name: "wait-for-handshake",
        numbered: false,
        usage: "",
        doc: "Waits for the end of the client's handshake, where the request came before it ('allow-0rtt').",
        places: Places::REQUEST,
        read: |_, _| action(wait_for_handshake),
    },
];

fn wait_for_handshake(context: &mut Context<'_>) -> Flow {
    match context.session.tls() {
        Some(facts) if facts.may_be_replayed() => Flow::AwaitHandshake,
        _ => Flow::Continue,
    }
}

fn wait_for_body(words: &mut Words<'_, '_>, _: &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic> {
    let (mut ms, mut bytes) = (None, u64::MAX);
    while let Some(word) = words.peek() {
        words.args.next();
        match word.text.as_str() {
            "time" => {
                let time = words.args.duration("a time", TimeUnit::Milliseconds)?;
                ms = Some(time.as_millis() as u64);
            }
            "at-least" => bytes = words.args.size("a size", 0..=u64::from(u32::MAX))?,
            _ => {
                return Err(unknown(
                    word,
                    "a word of 'wait-for-body'",
                    ["time", "at-least"].into_iter(),
                ));
            }
        }
    }
    let Some(ms) = ms else {
        let error = Diagnostic::error(Kind::Invalid, words.args.end(), "the time is missing");
        return Err(error.help("write 'wait-for-body time 5s'"));
    };
    action(move |_: &mut Context<'_>| Flow::AwaitBody { bytes, ms })
}

fn early_hint(words: &mut Words<'_, '_>, scope: &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic> {
    let name = header::field_name(words)?.to_vec();
    let format = log_format::read(words.args.word("a value")?, Encoding::Http, scope)?;
    action(move |context: &mut Context<'_>| {
        // Older clients know no interim responses.
        let request = context.request.as_deref();
        if request.is_none_or(|head| head.version < Version::H11) {
            return Flow::Continue;
        }
        let mut value = Vec::new();
        format.write(context, &mut value);
        let mut head = Box::new(Head {
            status: 103,
            ..Head::default()
        });
        head.reason = head.push(b"Early Hints");
        let added = head.add(&name, &value);
        if added {
            Flow::Inform(head)
        } else {
            Flow::Fail
        }
    })
}
