//! Actions that end the processing: `allow`, `deny`, `reject`, `return`, `silent-drop`, `tarpit`.

use plimsoll_config::args::Word;
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Action, Flow, Places, Reply, Row, Words, action};
use crate::context::Context;
use crate::expression::{Scope, not_yet};
use crate::log_format::{self, Encoding, Format};

/// Where a message can be answered.
const ANSWERABLE: Places = Places::MESSAGES;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "accept",
        numbered: false,
        usage: "",
        doc: "Lets the connection or the message through.",
        places: Places::TCP_REQUEST.and(Places::RESPONSE_CONTENT),
        read: |_, _| action(|_: &mut Context<'_>| Flow::Accept),
    },
    Row {
        name: "allow",
        numbered: false,
        usage: "",
        doc: "Lets the message through, past the rules that follow.",
        places: Places::HTTP,
        read: |_, _| action(|_: &mut Context<'_>| Flow::Accept),
    },
    Row {
        name: "close",
        numbered: false,
        usage: "",
        doc: "Closes the connection to the server.",
        places: Places::RESPONSE_CONTENT,
        read: |_, _| action(|_: &mut Context<'_>| Flow::Reject),
    },
    Row {
        name: "deny",
        numbered: false,
        usage: "[status CODE] [ANSWER...]",
        doc: "Refuses the message: 403 for a request, 502 for a response.",
        places: ANSWERABLE,
        read: |words, scope| {
            let status = match scope.phase {
                crate::context::Phase::Response => 502,
                _ => 403,
            };
            answer(words, scope, status, Flow::Reply)
        },
    },
    Row {
        name: "reject",
        numbered: false,
        usage: "",
        doc: "Closes the connection without an answer.",
        places: Places::TCP_REQUEST
            .and(Places::RESPONSE_CONTENT)
            .and(Places::REQUEST),
        read: |_, _| action(|_: &mut Context<'_>| Flow::Reject),
    },
    Row {
        name: "return",
        numbered: false,
        usage: "[status CODE] [ANSWER...]",
        doc: "Answers in place of a server.",
        places: ANSWERABLE,
        read: |words, scope| answer(words, scope, 200, Flow::Reply),
    },
    Row {
        name: "silent-drop",
        numbered: false,
        usage: "[rst-ttl NUMBER]",
        doc: "Makes the connection vanish without telling the client.",
        places: Places::TCP_REQUEST
            .and(Places::RESPONSE_CONTENT)
            .and(Places::MESSAGES),
        read: |words, _| {
            if words.take("rst-ttl") {
                words.args.number("a time to live", 0..=255)?;
            }
            action(|_: &mut Context<'_>| Flow::Drop)
        },
    },
    Row {
        name: "tarpit",
        numbered: false,
        usage: "[status CODE] [ANSWER...]",
        doc: "Refuses the request after 'timeout tarpit'.",
        places: Places::REQUEST,
        read: |words, scope| answer(words, scope, 500, Flow::Tarpit),
    },
];

/// Where the body of an answer comes from.
enum Body {
    /// What the configuration has for the status.
    Stock,
    None,
    Bytes(Vec<u8>),
    Format(Format),
}

/// An answer as written.
struct Answer {
    status: u16,
    fields: Vec<(String, Format)>,
    content_type: Option<String>,
    body: Body,
    flow: fn(Box<Reply>) -> Flow,
    denies: bool,
}

impl Action for Answer {
    fn run(&self, context: &mut Context<'_>) -> Flow {
        let mut reply = Box::new(Reply::stock(self.status));
        reply.denies = self.denies;
        match &self.body {
            Body::Stock => return (self.flow)(reply),
            Body::None => {}
            Body::Bytes(bytes) => reply.body.extend_from_slice(bytes),
            Body::Format(format) => format.write(context, &mut reply.body),
        }
        reply.stock = false;
        let mut value = Vec::new();
        for (name, format) in &self.fields {
            value.clear();
            format.write(context, &mut value);
            reply.head.add(name.as_bytes(), &value);
        }
        if let Some(kind) = &self.content_type {
            reply.head.add(b"content-type", kind.as_bytes());
        }
        (self.flow)(reply)
    }
}

fn answer(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    status: u16,
    flow: fn(Box<Reply>) -> Flow,
) -> Result<Box<dyn Action>, Diagnostic> {
    let denies = words.name.text != "return";
    let mut answer = Answer {
        status,
        fields: Vec::new(),
        content_type: None,
        body: match denies {
            true => Body::Stock,
            false => Body::None,
        },
        flow,
        denies,
    };
    while let Some(word) = words.peek() {
        words.args.next();
        match word.text.as_str() {
            "status" | "deny_status" => answer.status = status_code(words)?,
            "content-type" => {
                answer.content_type = Some(words.args.word("a content type")?.text.clone());
            }
            "default-errorfiles" => answer.body = Body::Stock,
            "hdr" => {
                let name = words.args.word("the name of a field")?.text.clone();
                let value = words.args.word("a value")?;
                let format = log_format::read(value, Encoding::Http, scope)?;
                answer.fields.push((name, format));
                if matches!(answer.body, Body::Stock) {
                    answer.body = Body::None;
                }
            }
            "string" => {
                let text = words.args.word("a text")?;
                answer.body = Body::Bytes(text.bytes().to_vec());
            }
            "file" => answer.body = Body::Bytes(file(words.args.word("a file")?, scope)?),
            "lf-string" => {
                let text = words.args.word("a format")?;
                answer.body = Body::Format(log_format::read(text, Encoding::Raw, scope)?);
            }
            "lf-file" => {
                let word = words.args.word("a file")?;
                let bytes = file(word, scope)?;
                let text = Word::new(String::from_utf8_lossy(&bytes).into_owned(), word.span);
                answer.body = Body::Format(log_format::read(&text, Encoding::Raw, scope)?);
            }
            "errorfile" | "errorfiles" => {
                return Err(not_yet(format_args!("'{}' here", word.text), word.span));
            }
            other => {
                let message = format_args!("'{other}' is not part of an answer");
                return Err(Diagnostic::error(Kind::Unknown, word.span, message));
            }
        }
    }
    Ok(Box::new(answer))
}

pub(super) fn status_code(words: &mut Words<'_, '_>) -> Result<u16, Diagnostic> {
    Ok(words.args.number("a status", 200..=599)? as u16)
}

fn file(word: &Word, scope: &Scope<'_>) -> Result<Vec<u8>, Diagnostic> {
    scope.files.read(word.text.as_ref()).map_err(|error| {
        let message = format_args!("the file '{}' cannot be read: {error}", word.text);
        Diagnostic::error(Kind::Environment, word.span, message)
    })
}
