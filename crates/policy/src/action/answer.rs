//! Actions that end the processing: `allow`, `deny`, `reject`, `return`, `silent-drop`, `tarpit`.

use plimsoll_config::args::{Faults, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};
use plimsoll_config::suggest::nearest;

use plimsoll_wire::h1::response::{self, Asked, Parse};
use plimsoll_wire::h1::{HEAD_FIELDS_MAX, Limits};
use plimsoll_wire::head::Head;

use super::{Action, Flow, Places, Reply, Row, Words, action};
use crate::context::Context;
use crate::expression::Scope;
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
        read: |_, _| action(|_: &mut Context<'_>| Flow::Part),
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
        doc: "Forgets the connection without telling the client, which takes the right to administer the network; otherwise by a reset that gets one hop far, or as many as said.",
        places: Places::TCP_REQUEST
            .and(Places::RESPONSE_CONTENT)
            .and(Places::MESSAGES),
        read: |words, _| {
            let ttl = match words.take("rst-ttl") {
                true => Some(words.args.number("a time to live", 1..=255)? as u8),
                false => None,
            };
            action(move |_: &mut Context<'_>| Flow::Drop { ttl })
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
    /// The whole answer as a file has it.
    Raw(Raw),
    /// An empty file: nothing is said at all.
    Silence,
}

/// A response that was written as HTTP/1 text, by a person perhaps.
#[derive(Clone, Debug)]
struct Raw {
    head: Head,
    body: Vec<u8>,
}

impl Raw {
    /// Line ends may lack their CR, and the body is whatever follows the head. `None`: it is no response.
    fn read(text: &[u8]) -> Option<Self> {
        let limits = Limits {
            bytes_max: text.len() + 1,
            fields_max: HEAD_FIELDS_MAX,
            lenient: true,
            ..Limits::default()
        };
        let mut head = Head::default();
        match response::parse(text, &mut head, &limits, Asked::default()) {
            Ok(Parse::Complete(length)) => Some(Self {
                head,
                body: text[length..].to_vec(),
            }),
            _ => None,
        }
    }
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
            Body::Silence => return Flow::Reject,
            Body::None => {}
            Body::Bytes(bytes) => reply.body.extend_from_slice(bytes),
            Body::Format(format) => format.write(context, &mut reply.body),
            Body::Raw(raw) => {
                reply.head.clone_from(&raw.head);
                reply.body.extend_from_slice(&raw.body);
            }
        }
        reply.stock = false;
        let mut value = Vec::new();
        for (name, format) in &self.fields {
            value.clear();
            format.write(context, &mut value);
            if !value.is_empty() {
                reply.head.add(name.as_bytes(), &value);
            }
        }
        if !matches!(self.body, Body::Raw(_)) {
            reply.head.set_length(reply.body.len() as u64);
        }
        if let Some(kind) = &self.content_type
            && !reply.body.is_empty()
        {
            reply.head.add(b"content-type", kind.as_bytes());
        }
        (self.flow)(reply)
    }
}

/// The answer of an `http-error` line.
pub(crate) fn read_error(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
) -> Result<Box<dyn Action>, Diagnostic> {
    answer(words, scope, 500, Flow::Reply)
}

fn answer(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    status: u16,
    flow: fn(Box<Reply>) -> Flow,
) -> Result<Box<dyn Action>, Diagnostic> {
    let denies = !matches!(words.name.text.as_str(), "return" | "http-error");
    let mut answer = Answer {
        status,
        fields: Vec::new(),
        content_type: None,
        body: Body::Stock,
        flow,
        denies,
    };
    let (mut section, mut stock, mut faults) = (None, false, Faults::default());
    // As they were written before answers could be composed: a page belongs to the status.
    let mut implied = denies;
    while let Some(word) = words.peek() {
        words.args.next();
        implied &= word.text == "deny_status";
        let mut read = || -> Result<(), Diagnostic> {
            match word.text.as_str() {
                "status" | "deny_status" => answer.status = status_code(words)?,
                "content-type" => {
                    answer.content_type = Some(words.args.word("a content type")?.text.clone());
                }
                "default-errorfiles" => {
                    answer.body = Body::Stock;
                    stock = true;
                }
                "errorfiles" => {
                    section = Some(words.args.word("the name of an 'http-errors' section")?)
                }
                "hdr" => {
                    let name = words.args.word("the name of a field")?.text.clone();
                    let value = words.args.word("a value")?;
                    let format = log_format::read(value, Encoding::Http, scope)?;
                    answer.fields.push((name, format));
                }
                _ => answer.body = body(word, words, scope)?,
            }
            Ok(())
        };
        let read = read();
        faults.option(read, words.args, OPTIONS.into_iter());
    }
    faults.finish()?;
    if let Some(name) = section {
        answer.body = of_section(name, answer.status, scope)?;
        stock = true;
    }
    let has_page = implied || (stock && (denies || has_stock(answer.status)));
    if matches!(answer.body, Body::Stock) && !has_page {
        answer.body = Body::None;
    }
    Ok(Box::new(answer))
}

/// What the words of an answer begin with; a condition ends them.
const OPTIONS: [&str; 13] = [
    "content-type",
    "default-errorfiles",
    "deny_status",
    "errorfile",
    "errorfiles",
    "file",
    "hdr",
    "if",
    "lf-file",
    "lf-string",
    "status",
    "string",
    "unless",
];

/// The body that a word and the one behind it tell of.
fn body(word: &Word, words: &mut Words<'_, '_>, scope: &Scope<'_>) -> Result<Body, Diagnostic> {
    let noun = match word.text.as_str() {
        "string" => "a text",
        "lf-string" => "a format",
        "errorfile" | "file" | "lf-file" => "a file",
        other => {
            let message = format_args!("'{other}' is not part of an answer");
            let error = Diagnostic::error(Kind::Unknown, word.span, message);
            return Err(match nearest(other, OPTIONS) {
                Some(near) => error.help(format_args!("did you mean '{near}'?")),
                None => error,
            });
        }
    };
    let content = words.args.word(noun)?;
    Ok(match word.text.as_str() {
        "errorfile" => raw(&file(content, scope)?, content)?,
        "string" => Body::Bytes(content.bytes().to_vec()),
        "file" => Body::Bytes(file(content, scope)?),
        "lf-string" => Body::Format(log_format::read(content, Encoding::Raw, scope)?),
        _ => {
            let bytes = file(content, scope)?;
            let text = Word::new(String::from_utf8_lossy(&bytes).into_owned(), content.span);
            Body::Format(log_format::read(&text, Encoding::Raw, scope)?)
        }
    })
}

/// The answer that an `http-errors` section has for a status; ours, where it has none.
fn of_section(name: &Word, status: u16, scope: &Scope<'_>) -> Result<Body, Diagnostic> {
    let Some(files) = scope.http_errors.get(&name.text) else {
        let message = format_args!("no 'http-errors' section is called '{}'", name.text);
        return Err(Diagnostic::error(Kind::Reference, name.span, message));
    };
    match files.iter().find(|file| file.status == status) {
        Some(file) => raw(&file.content, name),
        None => Ok(Body::Stock),
    }
}

fn raw(text: &[u8], word: &Word) -> Result<Body, Diagnostic> {
    if text.is_empty() {
        return Ok(Body::Silence);
    }
    Raw::read(text).map(Body::Raw).ok_or_else(|| {
        let message = format_args!("'{}' does not hold a whole HTTP response", word.text);
        Diagnostic::error(Kind::Environment, word.span, message)
    })
}

/// Statuses for which there is always an answer in stock.
fn has_stock(status: u16) -> bool {
    matches!(
        status,
        200 | 400..=405 | 407 | 408 | 410 | 413 | 414 | 421 | 422 | 425 | 429 | 431 | 500..=505
    )
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
